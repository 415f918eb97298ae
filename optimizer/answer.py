"""The cheapest plan of one part: stated, solved, and checked in plain arithmetic."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from optimizer import highs
from optimizer.build import Program, build
from optimizer.problem import Floats, Ints, PlanProblem
from optimizer.prune import undominated
from optimizer.rounding import kept_running, one_option_each, rounded_up
from optimizer.routing import level
from optimizer.solution import broken_rules, fewest_running, fewest_survivors, load, usd_per_month

LEAST_S: Final = 5.0
"""Seconds for a plan by rounding when the time is up: a plan a little late is better than none."""

TRIES: Final = 4
"""How often a borrowed plan is enlarged before it is given up."""

TIGHTER: Final = 1 - 1e-6
"""Capacities are taken down by this much where what the solver found holds within its tolerances only."""


@dataclass(frozen=True)
class Fleets:
    """A plan's numbers; shapes as in :class:`optimizer.solution.Solution`."""

    running: Ints
    survivors: Ints
    share: Floats


@dataclass(frozen=True)
class Answer:
    """What came of one part."""

    fleets: Fleets | None
    """None where no plan was found."""
    usd: float
    """What the plan costs; infinite for none."""
    bound: float
    """No plan of the part costs less; infinite where it is proven that there is none."""
    unserved: Floats
    """(B, T) share of requests that cannot be served, where there is no plan."""
    build_s: float
    solve_s: float

    @property
    def infeasible(self) -> bool:
        """Whether it is proven that there is no plan."""
        return self.bound == float("inf")


def answer(problem: PlanProblem, gap: float, limit_s: float) -> Answer:
    """Solve one part; options that another one makes superfluous are left out before and put back after."""
    kept = undominated(problem)
    found = _answer(only(problem, kept), gap, limit_s)
    return _placed(found, problem, kept)


def _placed(found: Answer, problem: PlanProblem, kept: Ints) -> Answer:
    """An answer for some of the options, as one for all of them."""
    if found.fleets is None:
        return found
    running, survivors = np.zeros((2, len(problem.options), len(problem.hours)), dtype=np.int64)
    share = np.zeros((len(problem.workloads), *running.shape))
    running[kept], survivors[kept], share[:, kept] = found.fleets.running, found.fleets.survivors, found.fleets.share
    return replace(found, fleets=Fleets(running, survivors, share))


def only(problem: PlanProblem, kept: Ints) -> PlanProblem:
    """The same question with some of the options."""
    place = {int(j): i for i, j in enumerate(kept)}
    quotas = [
        replace(quota, options=tuple(place[j] for j in sorted(set(quota.options)) if j in place))
        for quota in problem.quotas
    ]
    return replace(
        problem,
        options=tuple(problem.options[j] for j in kept),
        quotas=tuple(quota for quota in quotas if quota.options),
    )


def _answer(problem: PlanProblem, gap: float, limit_s: float) -> Answer:
    begun, deadline = time.process_time(), time.monotonic() + limit_s
    if _nobody_serves(problem).any():
        return _shortfall(problem, limit_s)
    found = _searched(problem, gap, deadline)
    found = replace(found, solve_s=time.process_time() - begun - found.build_s)
    return _shortfall(problem, limit_s, found.build_s, found.solve_s) if found.infeasible else found


def bounded(problem: PlanProblem, gap: float, limit_s: float) -> Answer:
    """A bound on the cost of a part and no plan, from its linear program: in a fraction of the time of an answer."""
    begun = time.process_time()
    narrowed = only(problem, undominated(problem))
    if _nobody_serves(narrowed).any():
        return _shortfall(problem, limit_s)
    program = build(narrowed, relaxed=True, tight=True)
    build_s = time.process_time() - begun
    verdict = highs.run(program.model, limit_s=limit_s, whole=False)
    if verdict.status == "infeasible":
        return answer(problem, gap, limit_s)
    nothing = np.zeros_like(problem.demand_rps)
    return Answer(None, float("inf"), verdict.bound, nothing, build_s, verdict.seconds)


def borrowed(problem: PlanProblem, plan: Mapping[str, int]) -> Answer:
    """A plan of one hour with the instances of another hour's plan, more of them where those carry too little.

    Parameters
    ----------
    problem
        A question of one hour.
    plan
        Survivors by the name of their option.
    """
    begun = time.process_time()
    survivors = np.array([[plan.get(option.name, 0)] for option in problem.options], dtype=np.int64)
    fleets = None
    for _ in range(TRIES):
        share = level(problem, survivors, _anywhere(problem, survivors))
        if share is None:
            break
        fleets = _kept_running(problem, survivors, share)
        if fleets is not None:
            break
        demand = problem.demand_rps[:, 0]
        busiest = max(
            load(option, demand, share[:, j, 0], int(survivors[j, 0])) / survivors[j, 0]
            for j, option in enumerate(problem.options)
            if survivors[j, 0] > 0
        )
        survivors = np.ceil(survivors * max(busiest, 1.0) - highs.FEASIBILITY).astype(np.int64)
    usd = float("inf") if fleets is None else _usd(problem, fleets)
    return Answer(fleets, usd, 0.0, np.zeros_like(problem.demand_rps), 0.0, time.process_time() - begun)


def _anywhere(problem: PlanProblem, survivors: Ints) -> Floats:
    """(B, J, 1) 1 where an option that runs can serve a workload."""
    able = np.zeros((len(problem.workloads), len(problem.options), 1))
    for j, option in enumerate(problem.options):
        if survivors[j, 0] > 0:
            rates = option.curve.rps_per_instance[:, option.curve.segment(int(survivors[j, 0]))]
            able[:, j, 0] = (rates > 0) & (problem.demand_rps[:, 0] > 0)
    return able


def _searched(problem: PlanProblem, gap: float, deadline: float) -> Answer:
    """The answer of the solver, with a plan by rounding where its time was up; how much is unserved is left open."""
    begun = time.process_time()
    nothing = Answer(None, float("inf"), float("inf"), np.zeros_like(problem.demand_rps), 0.0, 0.0)
    if _nobody_serves(problem).any():
        return nothing
    program = build(problem)
    build_s = time.process_time() - begun
    verdict = highs.run(program.model, gap=gap, limit_s=deadline - time.monotonic())
    if verdict.status == "infeasible":
        return replace(nothing, build_s=build_s)
    bound = verdict.bound
    candidates = [None if verdict.objective == float("inf") else mended(problem, *values(program))]
    if candidates[0] is None and verdict.objective < float("inf"):
        candidates.append(_held_tighter(problem, gap, max(deadline - time.monotonic(), LEAST_S)))
    best = cheapest(problem, candidates)
    if verdict.status == "stopped" and (best is None or _usd(problem, best) - bound > gap * _usd(problem, best)):
        rounded, relaxed = rounded_up(problem, max(deadline - time.monotonic(), LEAST_S))
        bound = max(bound, relaxed)
        if rounded is not None:
            best = cheapest(problem, [best, _kept_running(problem, *values(rounded)[1:])])
    usd = float("inf") if best is None else _usd(problem, best)
    return replace(nothing, fleets=best, usd=usd, bound=min(bound, usd) if best else bound, build_s=build_s)


def in_no_time(problem: PlanProblem) -> Answer:
    """A plan that takes no solver, with no bound but 0: for a part whose time was up before it had any."""
    begun = time.process_time()
    fleets = _kept_running(problem, *one_option_each(problem))
    usd = float("inf") if fleets is None else _usd(problem, fleets)
    return Answer(fleets, usd, 0.0, np.zeros_like(problem.demand_rps), 0.0, time.process_time() - begun)


def _held_tighter(problem: PlanProblem, gap: float, limit_s: float) -> Fleets | None:
    """A plan for capacities a little lower, so that what the solver's tolerances let through holds after all."""
    options = tuple(replace(option, curve=option.curve.scaled(TIGHTER)) for option in problem.options)
    program = build(replace(problem, options=options))
    verdict = highs.run(program.model, gap=gap, limit_s=limit_s)
    return None if verdict.objective == float("inf") else mended(problem, *values(program))


def _kept_running(problem: PlanProblem, survivors: Ints, share: Floats) -> Fleets | None:
    """A plan for survivors that are whole, with what runs decided anew."""
    return mended(problem, kept_running(problem, fewest_running(problem, survivors)), survivors, share)


def cheapest(problem: PlanProblem, candidates: Sequence[Fleets | None]) -> Fleets | None:
    """The plan that costs least, the first of equals; None where there is none."""
    found = [fleets for fleets in candidates if fleets is not None]
    return min(found, key=lambda fleets: _usd(problem, fleets), default=None)


def _usd(problem: PlanProblem, fleets: Fleets) -> float:
    return usd_per_month(problem, fleets.running, fleets.share)


def values(program: Program) -> tuple[Ints, Ints, Floats]:
    """Running instances, survivors and shares of a program that was solved, whole numbers rounded."""
    problem = program.problem
    running = np.zeros((len(problem.options), len(problem.hours)), dtype=np.int64)
    survivors = np.zeros_like(running)
    share = np.zeros((len(problem.workloads), *running.shape))
    for (j, t), columns in program.fleets.items():
        running[j, t] = round(sum(column.value() * factor for column, factor in columns.running))
        survivors[j, t] = round(sum(segment.survivors.value() for segment in columns.segments))
        for segment in columns.segments:
            for b, column in segment.shares.items():
                share[b, j, t] += column.value()
    return running, survivors, share


def mended(problem: PlanProblem, running: Ints, survivors: Ints, share: Floats) -> Fleets | None:
    """The plan with its shares adding up to 1 and no instance more than it needs; None if it breaks a rule then."""
    share = np.where(survivors > 0, np.clip(share, 0.0, 1.0), 0.0)
    share[share < highs.FEASIBILITY] = 0.0
    total = share.sum(axis=1, keepdims=True)
    share = np.divide(share, total, out=np.zeros_like(share), where=total > 0)
    fleets = _trimmed(problem, running, survivors, share)
    if not broken_rules(problem, fleets.running, fleets.survivors, fleets.share):
        return fleets
    levelled = level(problem, survivors, share)
    if levelled is None:
        return None
    fleets = _trimmed(problem, running, survivors, levelled)
    return None if broken_rules(problem, fleets.running, fleets.survivors, fleets.share) else fleets


def _trimmed(problem: PlanProblem, running: Ints, survivors: Ints, share: Floats) -> Fleets:
    fewest = survivors.copy()
    for j, t in np.argwhere(survivors > 0).tolist():
        option = problem.options[j]
        fewest[j, t] = fewest_survivors(option, problem.demand_rps[:, t], share[:, j, t], int(survivors[j, t]))
    needed = fewest_running(problem, fewest)
    keeps = np.array([option.keeps_instances for option in problem.options]).reshape(-1, 1)
    return Fleets(np.where(keeps, np.maximum(running, needed), needed), fewest, share)


def _nobody_serves(problem: PlanProblem) -> np.ndarray:
    """(B, T) whether there is demand that no option can take any of."""
    able = np.zeros(problem.demand_rps.shape, dtype=bool)
    for j, option in enumerate(problem.options):
        for t in range(len(problem.hours)):
            for i, _, _ in problem.segments(j, t):
                able[:, t] |= option.curve.rps_per_instance[:, i] > 0
    return (problem.demand_rps > 0) & ~able


def _shortfall(problem: PlanProblem, limit_s: float, build_s: float = 0.0, solve_s: float = 0.0) -> Answer:
    """No plan: how few requests must be left out for there to be one?"""
    begun = time.process_time()
    program = build(problem, shortfall=True)
    build_s += time.process_time() - begun
    verdict = highs.run(program.model, gap=1e-4, limit_s=max(limit_s, 1.0))
    unserved = np.where(_nobody_serves(problem), 1.0, 0.0)
    if verdict.objective < float("inf"):
        for (b, t), column in program.unserved.items():
            unserved[b, t] = min(max(column.value(), 0.0), 1.0)
    unserved[unserved < 1e-7] = 0.0
    return Answer(None, float("inf"), float("inf"), unserved, build_s, solve_s + verdict.seconds)
