"""Which instances to run, hour by hour, so that every latency SLO holds at the least cost.

A plan file (:mod:`optimizer.plan_file`) names workloads and candidates. Capacity curves found by simulation
(:mod:`optimizer.capacity`) and prices make a :class:`~optimizer.problem.PlanProblem`, which is built
(:mod:`optimizer.build`) and solved (:mod:`optimizer.solve`) as a mixed-integer program; the plan is simulated,
tightened where it misses, and explained.

A demand history (:mod:`optimizer.history`) is forecast (:mod:`optimizer.forecast`) and committed for
(:mod:`optimizer.commitments`); a budget file (:mod:`optimizer.budget`) joins requests, forecasts, fleets, purchases and
the bill.
"""
