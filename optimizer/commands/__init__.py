"""Commands of ``optimize`` beside ``run``: options on one side, questions that the library answers on the other.

They stand on everything else: commitments <- budget <- commands.
"""
