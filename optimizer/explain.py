"""Why is this the plan? Limits that bind, what more would cost, the best single type, what else costs nearly as little.

Everything is found by solving again: with one candidate alone, one instance more, other prices. What the curves would
be for another SLO only simulation knows; whoever can simulate hands it in (:mod:`optimizer.variations`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from calibration.console import Unwatched, Watch
from optimizer.alternatives import alternatives
from optimizer.binding import binding
from optimizer.explanation import (
    Alternative,
    Explanation,
    LimitPrice,
    Mend,
    NotChosen,
    RequestPrice,
    Simulate,
    SingleType,
    SloPrice,
)
from optimizer.marginal import limit_prices, request_prices, slo_price
from optimizer.not_chosen import not_chosen
from optimizer.problem import Floats, PlanProblem
from optimizer.single_type import single_types
from optimizer.solution import NoPlanInTimeError, Solution

__all__ = [
    "Alternative",
    "Explanation",
    "LimitPrice",
    "NotChosen",
    "RequestPrice",
    "SingleType",
    "SloPrice",
    "explain",
]

TIME_LIMIT_S: Final = 60.0
"""Longest time for solving again, all questions together."""

Looser = Callable[[str, str, float], PlanProblem]
"""The problem with an objective (workload, ``p99``) later by so many ms; its curves cost simulation."""


def explain(
    problem: PlanProblem,
    solution: Solution,
    *,
    usd_per_rps_h: Floats | None = None,
    objectives: Mapping[str, tuple[str, float]] | None = None,
    looser: Looser | None = None,
    mend: Mend | None = None,
    simulate: Simulate | None = None,
    refusals: Mapping[str, Sequence[str]] | None = None,
    near_optimal: bool = True,
    gap: float = 1e-3,
    time_limit_s: float = TIME_LIMIT_S,
    watch: Watch | None = None,
) -> Explanation:
    """Why is this the cheapest plan?

    Parameters
    ----------
    problem, solution
        What was asked, with the capacities that the plan was proven with, and a plan.
    usd_per_rps_h : (B, T), optional
        Shadow prices of requests, as :func:`optimizer.shadow_price.shadow_prices` gives them.
    objectives
        Of each workload the objective whose worth is asked for, and its target in ms: ``{"chat": ("p99", 200.0)}``.
    looser
        The problem with an objective relaxed. None: what an objective costs is not looked into.
    mend, simulate
        Simulate the best single type, and alternatives. None: they are not simulated, and say so.
    refusals
        By candidate, why it cannot serve some workload within its SLO.
    near_optimal
        Whether alternatives are looked for.
    gap
        Of every problem solved again; that of the plan.
    time_limit_s
        Questions that are not begun by then are named in ``left_out``.
    watch
        Is told what is looked into.

    Raises
    ------
    ValueError
        There is no plan to explain.
    """
    if solution.status == "infeasible":
        raise ValueError("there is no plan to explain")
    watch = watch or Unwatched()
    deadline = time.monotonic() + time_limit_s
    watch.stage("asking what else would be possible")
    singles, alone = single_types(problem, solution, refusals=refusals, gap=gap, deadline=deadline, mend=mend)
    limits, missed = limit_prices(problem, solution, gap=gap, deadline=deadline)
    left_out = [*missed]
    others: tuple[Alternative, ...] = ()
    if near_optimal:
        watch.stage("looking for plans that cost nearly as little")
        others, missed = alternatives(
            problem, solution, list(alone.values()), gap=gap, deadline=deadline, simulate=simulate
        )
        left_out += missed
    watch.stage("asking why the other candidates were not chosen")
    rejected = not_chosen(problem, solution, usd_per_rps_h, refusals=refusals, deadline=deadline)
    left_out += [
        f"the price at which {one.candidate} would enter"
        for one in rejected
        if one.entry_usd_per_hour is None and one.reason in ("dominated", "dearer")
    ]
    slos: list[SloPrice] = []
    for workload, (objective, target_ms) in (objectives or {}).items() if looser is not None else ():
        assert looser is not None
        left_s = deadline - time.monotonic()
        watch.stage(f"asking what a looser {objective} of {workload} saves")
        try:
            if left_s <= 0:
                raise NoPlanInTimeError
            slos.append(
                slo_price(solution, workload, objective, target_ms, looser, gap=gap, time_limit_s=max(left_s, 1.0))
            )
        except NoPlanInTimeError:
            left_out.append(f"what the {objective} of {workload} costs")
    return Explanation(
        binding=binding(problem, solution),
        request_prices=() if usd_per_rps_h is None else request_prices(problem, usd_per_rps_h),
        slo_prices=tuple(slos),
        limit_prices=limits,
        single_types=singles,
        alternatives=others,
        not_chosen=rejected,
        left_out=tuple(left_out),
    )
