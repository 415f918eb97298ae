"""What one more request per second costs."""

from __future__ import annotations

import numpy as np

from optimizer import highs
from optimizer.build import Program, build
from optimizer.problem import Floats, PlanProblem
from optimizer.solution import Solution


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
    if solution.status == "infeasible":
        return prices
    program = build(problem, relaxed=True)
    _keep_to_the_plan(program, solution)
    if highs.run(program.model, whole=False).status != "solved":
        return prices
    for constraint in program.model.constraints():
        rule, *place = constraint.name.split("_")
        if rule == "serve":
            b, t = int(place[0]), int(place[1])
            dual = max(float(constraint.pi), 0.0)
            prices[b, t] = dual / (problem.demand_rps[b, t] * problem.weight_h[t]) if problem.weight_h[t] else np.nan
    return prices


def _keep_to_the_plan(program: Program, solution: Solution) -> None:
    """Segments that the plan is on are chosen and may grow; all others are empty."""
    for (j, t), columns in program.fleets.items():
        count = int(solution.survivors[j, t])
        for segment in columns.segments:
            here = count > 0 and segment.low <= count <= segment.high
            segment.survivors.bounds(0, segment.high if here else 0)
            if segment.chosen is not None:
                segment.chosen.bounds(int(here), int(here))
