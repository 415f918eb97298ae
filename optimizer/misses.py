"""What missed, by how much, and how much of its load it would have held."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

import numpy as np

from optimizer.bisection import highest
from optimizer.check import MOST_LOAD, FleetCheck, FleetLoadCase, check
from optimizer.plan import Miss
from optimizer.problem import PlanProblem
from optimizer.simulations import Place, Shown, Simulations, cases_of, fullness
from optimizer.solution import Solution
from optimizer.spread import spread
from optimizer.tighten import Tightening

NEVER_MORE: Final = 0.995
"""A fleet that missed gets at most this share of what it had: a smaller step would be within the noise."""


LEAST_SHARE: Final = 0.05
"""A fleet that does not hold even this share of its requests is taken to hold none."""


GRAIN: Final = 0.01
"""How finely an excess is known, about."""

MOST_TRIES: Final = 8
"""Simulations to find the share that holds."""


def tightenings(
    simulations: Simulations, problem: PlanProblem, solution: Solution, missed: Mapping[Place, Shown], number: int
) -> list[tuple[Tightening, Miss]]:
    """For each option and stretch of its curve the worst miss, and how much of its load it would have held."""
    worst: dict[tuple[int, int], list[Place]] = {}
    for j, t in missed:
        column = problem.options[j].curve.segment(int(solution.survivors[j, t]))
        worst.setdefault((j, column), []).append((j, t))
    places = [max(alike, key=lambda place: _worse(missed[place])[0].excess) for alike in worst.values()]
    runs = simulations.question.file.plan.replications
    pieces = []
    for j, t in places:
        both = cases_of(problem, solution, j, t)
        assert both is not None, "what missed was simulated"
        found, lossy = _worse(missed[j, t])
        case = both[1] if lossy and both[1] is not None else both[0]
        pieces.append((passing_share, (case, found, simulations.seed(number), runs)))
    shares = list(spread(pieces, jobs=simulations.jobs, cluster=simulations.cluster))
    return [
        _said(problem, solution, place, _worse(missed[place]), share, len(alike))
        for place, share, alike in zip(places, shares, worst.values(), strict=True)
    ]


def _worse(shown: Shown) -> tuple[FleetCheck, bool]:
    """The check that is farther off, and whether it is the one after a loss."""
    if shown.after_loss is not None and shown.after_loss.excess >= shown.whole.excess:
        return shown.after_loss, True
    return shown.whole, False


def _said(
    problem: PlanProblem, solution: Solution, place: Place, shown: tuple[FleetCheck, bool], passing: float, hours: int
) -> tuple[Tightening, Miss]:
    (j, t), (found, lossy) = place, shown
    option, n = problem.options[j], int(solution.survivors[j, t])
    workload, worst = max(found.workloads.items(), key=lambda one: one[1].excess)
    served = tuple(np.flatnonzero(solution.share[:, j, t] * problem.demand_rps[:, t]).tolist())
    here = fullness(problem, solution, j, t) * n
    tightening = Tightening(j, n, served, here, passing, problem.workloads.index(workload))
    full = found.full and (worst.met or math.isinf(worst.excess))
    miss = Miss(
        fleet=option.name,
        hour=problem.hours[t],
        hours=hours,
        instances=option.survivors(int(solution.running[j, t])) if lossy else int(solution.running[j, t]),
        after_loss=lossy,
        workload=workload,
        objective="load" if full else worst.nearest,
        target=MOST_LOAD if full else worst.targets_ms[worst.nearest],
        value=found.offered_load if full else worst.one_run_ms[worst.nearest],
        capacity_factor=tightening.factor,
    )
    return tightening, miss


def passing_share(case: FleetLoadCase, found: FleetCheck, seed: int, replications: int) -> float:
    """Which share of the requests of a fleet that missed does it hold? 0 where it holds none to speak of."""
    limit = min(MOST_LOAD, NEVER_MORE * found.offered_load)

    def excess(offered: float) -> tuple[float, float]:
        tried = check(case.scaled(offered / found.offered_load), seed, replications, most_replications=2 * replications)
        return tried.excess, GRAIN

    guess = 0.9 * limit
    if math.isfinite(found.excess) and found.offered_load < 1:
        guess = -math.expm1(min(found.excess + math.log1p(-found.offered_load), 0.0))
    lowest = LEAST_SHARE * found.offered_load
    best = highest(excess, max(guess, lowest), limit=limit, lowest=lowest, tolerance=0.01, most_tries=MOST_TRIES)
    return best.load / found.offered_load
