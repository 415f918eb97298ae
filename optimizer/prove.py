"""Every plan that is shown has been simulated: solve, simulate, tighten what missed, and solve again.

Each fleet of each hour is simulated by itself (:mod:`optimizer.check`) with all workloads that share it; fleets and
hours that are alike, once. Where an instance or a zone may be lost, a second time with the worst loss taken away. A
workload that several fleets serve must be served within its objectives by each of them: the percentile over all its
requests then lies within them, too.

A miss says that the capacity found for this setting is too much for this mix of workloads, or was found by luck. The
share of the requests with which the fleet holds is searched for, the capacity is taken down to that
(:mod:`optimizer.tighten`), and the problem is solved again, until a plan holds or there is none.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from optimizer.misses import tightenings
from optimizer.plan import Miss, Round
from optimizer.problem import PlanProblem
from optimizer.routing import level
from optimizer.simulations import Place, Shown, Simulations, simulated
from optimizer.solution import NoPlanInTimeError, Solution, broken_rules, fewest_running, usd_per_month
from optimizer.solve import solve
from optimizer.tighten import gathered, separated, tightened
from simulator.clock import NS_PER_S

if TYPE_CHECKING:
    from optimizer.plan_file import Question

MOST_ROUNDS: Final = 12
"""Turns of tightening; then instances are added to what missed until it holds."""

GENTLE_ROUNDS: Final = 4
"""After so many turns a miss counts for all counts of instances."""

MOST_ADDITIONS: Final = 12
"""Turns of adding instances."""

LEAST_SOLVE_S: Final = 1.0
"""With less time left, no problem is solved again."""


@dataclass(frozen=True)
class Proven:
    """A solution that was simulated, or the reason why there is none."""

    problem: PlanProblem
    """With the capacities as they are after the last round, and fleets that were added on the way."""
    solution: Solution
    shown: Mapping[Place, Shown] = field(default_factory=dict)
    """Fleets that were simulated; those whose capacity is stated are absent."""
    rounds: tuple[Round, ...] = ()
    met: bool | None = None
    """Whether everything that was simulated holds; None where nothing could be simulated."""


def prove(
    question: Question,
    problem: PlanProblem,
    solution: Solution,
    *,
    simulations: Simulations | None = None,
    time_limit_s: float | None = None,
    most_rounds: int = MOST_ROUNDS,
    solver: Callable[..., Solution] = solve,
) -> Proven:
    """Which plan holds when it is simulated, beginning with this one?

    Parameters
    ----------
    question
        The plan file: how many replications, which gap.
    problem, solution
        What was solved, and the outcome.
    simulations
        Where to run, and what is known already; default: this machine, nothing.
    time_limit_s
        For solving again, all rounds together; default: the file's time limit less what the solution took.
    most_rounds
        Turns of tightening; 0 only adds instances where fleets miss.
    solver
        As :func:`optimizer.solve.solve`.
    """
    simulations = simulations or Simulations(question)
    spec = question.file.plan
    left_s = spec.time_limit_ns / NS_PER_S - solution.solve_s if time_limit_s is None else time_limit_s
    rounds: list[Round] = []
    for number in range(most_rounds + 1):
        if solution.status == "infeasible":
            return Proven(problem, solution, {}, tuple(rounds))
        solution = levelled(problem, gathered(problem, solution))
        begun, before = time.perf_counter(), len(simulations.known)
        shown = simulated(simulations, problem, solution, number)
        missed = {place: found for place, found in shown.items() if not found.met}
        last = number == most_rounds or left_s < LEAST_SOLVE_S
        found = [] if last else tightenings(simulations, problem, solution, missed, number)
        wider, names = separated(problem, [one for one, _ in found])
        misses = tuple(miss for _, miss in found)
        rounds.append(_round(problem, solution, len(simulations.known) - before, begun, misses, names))
        if not missed:
            return Proven(problem, solution, shown, tuple(rounds), True if shown else None)
        if last:
            break
        wider = tightened(wider, [one for one, _ in found], everywhere=number >= GENTLE_ROUNDS)
        begun = time.perf_counter()
        try:
            solution = solver(wider, gap=spec.gap, time_limit_s=left_s)
        except NoPlanInTimeError:
            break
        left_s -= time.perf_counter() - begun
        problem = wider
    return _with_more_instances(simulations, problem, solution, shown, rounds)


def levelled(problem: PlanProblem, solution: Solution) -> Solution:
    """The same instances at the same cost, with the requests spread so that the fullest fleet is less full.

    The solver fills one fleet to the brim and leaves another half empty, as both cost the same; waiting times do not.
    """
    used = [option for option, row in zip(problem.options, solution.running, strict=True) if row.any()]
    if not any(option.detail.simulated for option in used):
        return solution
    share = level(problem, solution.survivors, solution.share)
    if share is None or broken_rules(problem, solution.running, solution.survivors, share):
        return solution
    usd = usd_per_month(problem, solution.running, share)
    return replace(solution, share=share) if usd <= solution.usd_per_month * (1 + 1e-12) else solution


def _round(
    problem: PlanProblem,
    solution: Solution,
    simulated_anew: int,
    begun: float,
    misses: tuple[Miss, ...] = (),
    names: tuple[str, ...] = (),
) -> Round:
    return Round(
        usd_per_hour=solution.usd_per_month / problem.month_h,
        lower_bound_usd_per_hour=solution.lower_bound_usd_per_month / problem.month_h,
        status=solution.status,
        simulated=simulated_anew,
        misses=misses,
        separated=names,
        solve_s=solution.build_s + solution.solve_s,
        simulate_s=time.perf_counter() - begun,
    )


def _with_more_instances(
    simulations: Simulations,
    problem: PlanProblem,
    solution: Solution,
    shown: Mapping[Place, Shown],
    rounds: list[Round],
) -> Proven:
    """When there is no time left, or no end: add instances to what misses until it holds, as far as the limits go."""
    for number in range(len(rounds), len(rounds) + MOST_ADDITIONS):
        more = np.zeros_like(solution.survivors)
        for (j, t), found in shown.items():
            if not found.met:
                hours = slice(None) if problem.options[j].keeps_instances else t
                more[j, hours] = np.maximum(more[j, hours], max(1, int(solution.survivors[j, t]) // 20))
        survivors = solution.survivors + np.where(solution.survivors > 0, more, 0)
        running = np.maximum(solution.running, fewest_running(problem, survivors))
        if not more.any() or broken_rules(problem, running, survivors, solution.share):
            break
        usd = usd_per_month(problem, running, solution.share)
        solution = replace(solution, status="feasible", running=running, survivors=survivors, usd_per_month=usd)
        begun, before = time.perf_counter(), len(simulations.known)
        shown = simulated(simulations, problem, solution, number)
        rounds.append(_round(problem, solution, len(simulations.known) - before, begun))
        if all(found.met for found in shown.values()):
            return Proven(problem, solution, shown, tuple(rounds), True)
    return Proven(problem, solution, shown, tuple(rounds), False)
