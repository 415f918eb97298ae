"""From a demand history to a budget: forecast, fleets, purchases, and the months of a year with their uncertainty.

    history --forecast--> sample paths --fleet tables--> instances --recommend--> purchases --ledger--> Budget

Where to read next: what may be written (:mod:`optimizer.budget.budget_spec`), how a file is read
(:mod:`optimizer.budget.budget_file`), the chain (:mod:`optimizer.budget.chain`), the answer
(:mod:`optimizer.budget.budget`).
"""
