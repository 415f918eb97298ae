"""Other people's ways of doing the same work: an idiomatic SimPy model, Ciw, and small C++ loops.

Each takes the arrivals as an array, so that every contender of a benchmark simulates the same requests.
Nothing here imports the project.
"""
