"""What one more request per second costs."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np

from optimizer import highs
from optimizer.build import Program, build
from optimizer.decompose import decompose
from optimizer.problem import Floats, Ints, PlanProblem
from optimizer.solution import Solution

A_LITTLE: Final = 1e-6
"""Share by which demand is raised, so that the price is that of more where less has another: whole loads are common."""


def shadow_prices(problem: PlanProblem, solution: Solution) -> Floats:
    """What does one more request per second of each workload cost in each hour, instances being divisible?

    Parameters
    ----------
    problem
        What was asked.
    solution
        Its plan.

    Returns
    -------
    (B, T)
        Dollars per hour for one request per second more; NaN where there is no demand, or no plan.

    Notes
    -----
    Whole instances make the true price of one more request nothing at all until the spare capacity is used up, and that
    of a whole instance then. The figure here is the mean over many such steps: dual values of the linear program in
    which the options that the plan uses in an hour stay on the segments of their curves that the plan is on, with
    fractions of instances, and all others stay out. By the theorem of the envelope the dual value of "all of workload b
    is served" is lambda_b times the derivative of the cost by lambda_b. Where the plan holds more than it needs (a
    least count, spares), more requests cost nothing, and the figure says so.

    A difference of two re-solved plans would be exact for its step but jumps with the size of the step; it is what to
    use for the price of a larger change.
    """
    prices = np.full(problem.demand_rps.shape, np.nan)
    if solution.status != "infeasible":
        for part in decompose(problem):
            rows, columns = np.ix_(part.workloads, part.hours), np.ix_(part.options, part.hours)
            found = _of_part(part.problem, solution.survivors[columns])
            prices[rows] = np.where(part.problem.demand_rps > 0, found, prices[rows])
    return prices


def _of_part(problem: PlanProblem, survivors: Ints) -> Floats:
    prices = np.full(problem.demand_rps.shape, np.nan)
    for little in (A_LITTLE, 0.0):  # more, unless the plan is at a limit beyond which there is no more
        demand = problem.demand_rps * (1 + little)
        program = build(replace(problem, demand_rps=demand), relaxed=True)
        _keep_to_the_plan(program, survivors)
        if highs.run(program.model, whole=False).status == "solved":
            break
    else:
        return prices
    for constraint in program.model.constraints():
        rule, *place = constraint.name.split("_")
        if rule == "serve":
            b, t = int(place[0]), int(place[1])
            if problem.weight_h[t] > 0:
                prices[b, t] = max(float(constraint.pi), 0.0) / (demand[b, t] * problem.weight_h[t])
    return prices


def _keep_to_the_plan(program: Program, survivors: Ints) -> None:
    """Segments that the plan is on are chosen and may grow; all others are empty."""
    for (j, t), columns in program.fleets.items():
        count = int(survivors[j, t])
        for segment in columns.segments:
            here = count > 0 and segment.low <= count <= segment.high
            segment.survivors.bounds(0, segment.high if here else 0)
            if segment.chosen is not None:
                segment.chosen.bounds(int(here), int(here))
