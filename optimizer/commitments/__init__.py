"""How much to commit, of what and when, so that demand that is only guessed at costs least.

The question as arrays is :mod:`optimizer.commitments.program`; :mod:`optimizer.commitments.solve` answers it by cutting
planes over the closed form of an hour (:mod:`optimizer.commitments.second_stage`), and
:mod:`optimizer.commitments.direct` states the same program with every hour written out.
"""
