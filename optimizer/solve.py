"""The cheapest plan, with a bound on how much cheaper any other could be: split, solve the parts, put together."""

from __future__ import annotations

import time

import numpy as np

from optimizer.answer import Answer, answer
from optimizer.decompose import Part, decompose
from optimizer.problem import PlanProblem
from optimizer.solution import NoPlanInTimeError, Solution, broken_rules, usd_per_month


def solve(problem: PlanProblem, *, gap: float = 1e-3, time_limit_s: float = 60.0) -> Solution:
    """Which instances in which hour, and which requests to which of them, cost least?"""
    deadline = time.monotonic() + time_limit_s
    parts = decompose(problem)
    places: dict[object, list[Part]] = {}
    for part in parts:
        places.setdefault(part.key, []).append(part)
    answers = [answer(same[0].problem, gap, deadline - time.monotonic()) for same in places.values()]
    return _together(problem, list(places.values()), answers, gap)


def _together(problem: PlanProblem, places: list[list[Part]], answers: list[Answer], gap: float) -> Solution:
    running = np.zeros((len(problem.options), len(problem.hours)), dtype=np.int64)
    survivors = np.zeros_like(running)
    share = np.zeros((len(problem.workloads), *running.shape))
    unserved = np.zeros_like(problem.demand_rps)
    bound = 0.0
    for parts, found in zip(places, answers, strict=True):
        for part in parts:
            unserved[np.ix_(part.workloads, part.hours)] += found.unserved
            bound += found.bound * part.weight_h
            if found.fleets is not None:
                running[np.ix_(part.options, part.hours)] += found.fleets.running
                survivors[np.ix_(part.options, part.hours)] += found.fleets.survivors
                share[np.ix_(part.workloads, part.options, part.hours)] += found.fleets.share
    build_s, solve_s = sum(found.build_s for found in answers), sum(found.solve_s for found in answers)
    if any(found.infeasible for found in answers):
        none, infinite = np.zeros_like(running), float("inf")
        return Solution("infeasible", infinite, infinite, none, none, 0 * share, unserved, build_s, solve_s)
    if any(found.fleets is None for found in answers):
        raise NoPlanInTimeError("no plan was found in time")
    broken = broken_rules(problem, running, survivors, share)
    if broken:
        raise ArithmeticError("; ".join(broken))
    usd = usd_per_month(problem, running, share)
    bound = min(bound, usd)
    within = usd - bound <= gap * usd + 1e-9
    return Solution(
        "optimal" if within else "feasible", usd, bound, running, survivors, share, unserved, build_s, solve_s
    )
