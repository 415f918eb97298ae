"""Which instances does a demand need? A table from requests per second to the cheapest fleet, for every hour at once.

A budget asks for the fleet of 8,760 hours in a hundred futures: nearly a million hours for each workload. The
optimizer plans a grid of demands instead, once, and an hour gets the fleet of the next demand on the grid above its
own, which carries it: never less than needed. What the rounding costs at most is known, since the cheapest fleet for
the least demand that gets a fleet is planned, too (:meth:`FleetTable.rounding_share`).

The grid lies where fleets change: at the most that n instances of one kind carry, thinned where there are many. Every
workload has fleets of its own, so that each has its bill; that a fleet shared by two could do with an instance less is
not in it. Fleets of every size, from the smallest to the peak's, are simulated by the optimizer's own proof, and what
misses takes down the capacity that all others are planned with; a table with a fleet that misses is never shown.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from calibration.console import Unwatched, Watch
from calibration.problems import InputError
from optimizer.capacity import capacities
from optimizer.demand import Demand
from optimizer.problem import CapacityCurve, Option, PlanProblem
from optimizer.problem_of import problem_of
from optimizer.prove import Proven, prove
from optimizer.settings import expand
from optimizer.simulations import Simulations
from optimizer.solution import NoPlanInTimeError, Solution
from optimizer.solve import solve
from simulator.arrival_spec import PoissonArrivals
from simulator.clock import NS_PER_S

if TYPE_CHECKING:
    from optimizer.plan_file import Question

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

MOST_LEVELS: Final = 160
"""Demands on the grid of one workload."""

SIMULATED: Final = 16
"""Fleets of one workload that are simulated at least, the smallest, the largest and the median one among them."""

MOST_COUNTS: Final = 4_096
"""Counts of instances of one kind whose capacities are candidates for the grid."""

_MOST_ASKED: Final = 100_000
"""Demands that are looked at to place the grid."""

_JUST_ABOVE: Final = 1e-6
"""Share by which a demand is more than that of the grid, where the least above it is asked for."""

_ROUNDING: Final = 1e-9
"""Share by which a demand may exceed that of the grid: sums are rounded."""


@dataclass(frozen=True)
class FleetTable:
    """The cheapest fleets of one workload, by demand. The arrays are read-only."""

    workload: str
    candidates: tuple[str, ...]
    """J names, in the order of the file."""
    level_rps: Floats
    """(G,) demands of the grid, increasing."""
    instances: Ints
    """(G, J) instances of each candidate that carry the demand of the grid."""
    usd_per_hour: Floats
    """(G,) what they cost at the prices that the fleets were chosen for."""
    least_usd_per_hour: Floats
    """(G,) what the cheapest fleet costs for a little more than the demand of the grid below (than none, the first): no
    demand that gets this fleet could do with less."""
    simulated: int
    """Fleets of all workloads that were simulated and held; 0 where capacities are stated."""

    def level_of(self, rps: Floats) -> Ints:
        """Index of the demand of the grid that stands for each of these; any shape. No demand has the index -1.

        Raises
        ------
        ValueError
            More is asked than the table holds.
        """
        index = np.searchsorted(self.level_rps * (1 + _ROUNDING), rps)
        if (index == len(self.level_rps)).any():
            raise ValueError(
                f"{self.workload}: the table ends at {self.level_rps[-1]:g} requests/s, {rps.max():g} asked"
            )
        found: Ints = np.where(rps > 0, index, -1)
        return found

    def fleet(self, rps: Floats) -> Ints:
        """Instances of each candidate for each of these demands: the same shape and one axis more.

        >>> one_two = np.array([1.0, 2.0])
            >>> table = FleetTable("w", ("l4",), 10 * one_two, np.array([[1], [2]]), one_two, one_two, 0)
            >>> table.fleet(np.array([0.0, 4.0, 10.0, 10.1])).ravel().tolist()
            [0, 1, 1, 2]
        """
        with_none = np.vstack([self.instances, np.zeros((1, len(self.candidates)), dtype=np.int64)])
        found: Ints = with_none[self.level_of(rps)]
        return found

    def rounding_share(self, rps: Floats) -> float:
        """By what share of their cost could the fleets of these demands be too dear, at most?"""
        index = self.level_of(rps[rps > 0])
        spent = self.usd_per_hour[index].sum()
        return float(1 - self.least_usd_per_hour[index].sum() / spent) if spent > 0 else 0.0


def fleet_tables(
    question: Question,
    asked_rps: Mapping[str, Floats],
    *,
    usd_per_hour: Mapping[str, float] | None = None,
    jobs: int | None = None,
    cluster: str | None = None,
    cache: Path | None = None,
    watch: Watch | None = None,
) -> tuple[FleetTable, ...]:
    """Which fleets carry these demands, and any between, at the least cost? One table a workload.

    Parameters
    ----------
    question
        The plan file: candidates, objectives, limits.
    asked_rps
        Demands that will be asked for, by workload; any shape.
    usd_per_hour
        Prices to choose fleets by, by candidate; default: those on demand.

    Raises
    ------
    InputError
        A demand that no fleet can carry within its objectives, or the time limit passed.
    """
    watch = watch or Unwatched()
    above_0 = {name: _sample(rps) for name, rps in asked_rps.items()}
    asked = _at_rates(question, {name: float(rps.max()) for name, rps in above_0.items()})
    settings = expand(asked)
    if any(one.simulated for one in settings):
        watch.stage("finding what instances can carry")
    found = capacities(asked, settings, jobs=jobs, cluster=cluster, cache=cache, watch=watch)
    curves = [one.curve for one in found]
    levels = {
        name: grid([(curve, place) for curve in curves], above_0[name]) for place, name in enumerate(asked.workloads)
    }
    problem = problem_of(asked, settings, curves, _grid_demand(levels))
    if usd_per_hour is not None:
        problem = _at_prices(problem, usd_per_hour)
    watch.stage("planning a fleet for every demand")
    solution = _solved(asked, problem)
    _refuse(asked, problem, solution)
    watch.stage("simulating fleets of every size")
    shown = _shown(levels, above_0)
    part = _some_hours(problem, shown)
    proven = prove(asked, part, _some_of(solution, shown), simulations=Simulations(asked, jobs, cluster, watch))
    _refuse(asked, proven.problem, proven.solution, proven)
    problem, running = _mended(asked, problem, solution, proven)
    names = [option.name for option in problem.options]
    for row, option in enumerate(proven.problem.options):
        running[names.index(option.name), shown] = proven.solution.running[row]
    least = _least(asked, levels, above_0, problem)
    simulated = 0 if proven.met is None else len(shown)
    return tuple(_tables(asked, levels, problem, running, least, simulated))


def _shown(levels: Mapping[str, Floats], asked_rps: Mapping[str, Floats]) -> Ints:
    """Places on the grid of the fleets to simulate: spread over all sizes, the usual one among them."""
    found: list[Ints] = []
    begin = 0
    for name, rps in levels.items():
        usual = min(int(np.searchsorted(rps, np.median(asked_rps[name]))), len(rps) - 1)
        spread = np.linspace(0, len(rps) - 1, min(SIMULATED, len(rps))).round().astype(np.int64)
        found.append(begin + np.unique(np.append(spread, usual)))
        begin += len(rps)
    return np.concatenate(found)


def _some_hours(problem: PlanProblem, hours: Ints) -> PlanProblem:
    """The same question for some of its hours."""
    return replace(
        problem,
        options=tuple(replace(option, usd_per_hour=option.usd_per_hour[hours]) for option in problem.options),
        hours=tuple(problem.hours[hour] for hour in hours),
        weight_h=problem.weight_h[hours],
        demand_rps=problem.demand_rps[:, hours],
    )


def _some_of(solution: Solution, hours: Ints) -> Solution:
    return replace(
        solution,
        running=solution.running[:, hours],
        survivors=solution.survivors[:, hours],
        share=solution.share[:, :, hours],
        unserved=solution.unserved[:, hours],
    )


def _mended(question: Question, problem: PlanProblem, solution: Solution, proven: Proven) -> tuple[PlanProblem, Ints]:
    """Every fleet anew at the capacities that the proof left, where it took any down."""
    if not any(one.misses for one in proven.rounds):
        return problem, np.array(solution.running)
    hours = len(problem.hours)
    options = tuple(
        replace(option, usd_per_hour=np.full(hours, option.usd_per_hour[0])) for option in proven.problem.options
    )
    problem = replace(problem, options=options, quotas=proven.problem.quotas)
    solution = _solved(question, problem)
    _refuse(question, problem, solution)
    return problem, np.array(solution.running)


def grid(curves: Sequence[tuple[CapacityCurve, int]], asked_rps: Floats) -> Floats:
    """Which demands are planned? The most that n instances of one kind carry, and the greatest demand itself.

    Parameters
    ----------
    curves
        What each kind carries, and the row of the workload in it.
    asked_rps
        Demands above 0 that fleets are asked for: where many lie, the grid is fine.

    Examples
    --------
    >>> grid([(CapacityCurve(np.array([1]), np.array([[10.0]])), 0)], np.array([12.0, 35.0])).tolist()
    [20.0, 30.0, 35.0]
    """
    least_rps, most_rps = float(asked_rps.min()), float(asked_rps.max())
    steps: list[Floats] = [np.zeros(0)]
    for curve, row in curves:
        rates = curve.rps_per_instance[row]
        if rates.any():
            most = int(np.ceil(most_rps / rates[rates > 0].min()))
            counts = (
                np.arange(1, most + 1) if most <= MOST_COUNTS else np.unique(np.geomspace(1, most, MOST_COUNTS).round())
            )
            segment = np.searchsorted(curve.instances, counts, side="right") - 1
            steps.append(counts * rates[segment])
    every = np.unique(np.concatenate(steps))
    within = every[(every >= least_rps) & (every < most_rps)]
    if len(within) >= MOST_LEVELS:
        usual = np.quantile(asked_rps, np.linspace(0, 1, 3 * MOST_LEVELS // 4))
        edges = np.concatenate([usual, np.geomspace(least_rps, most_rps, MOST_LEVELS // 4)])
        next_up = np.unique(np.searchsorted(within, edges))
        within = within[next_up[next_up < len(within)]]
    return np.append(within, most_rps)


def _sample(rps: Floats) -> Floats:
    """Demands above 0, of many a part, with the least and the greatest."""
    above_0 = rps[rps > 0].ravel()
    if not len(above_0):
        return np.ones(1)
    return np.concatenate([above_0[:: -(-len(above_0) // _MOST_ASKED)], [above_0.min(), above_0.max()]])


def _least(
    question: Question, levels: Mapping[str, Floats], asked_rps: Mapping[str, Floats], problem: PlanProblem
) -> Floats:
    """(T,) a lower bound on the cost of every demand that gets the fleet of one of the grid.

    The cheapest fleet of the least such demand, at the capacities that the proof left: costs never fall with demand.
    """
    just_above = {
        name: np.append(min(asked_rps[name].min(), rps[0]), rps[:-1] * (1 + _JUST_ABOVE))
        for name, rps in levels.items()
    }
    demand = _grid_demand({name: np.minimum(rps, levels[name]) for name, rps in just_above.items()})
    problem = replace(problem, hours=demand.hours, demand_rps=demand.demand_rps)
    found = _solved(question, problem)
    if found.status == "infeasible":
        return np.zeros(len(problem.hours))
    prices = np.array([option.usd_per_hour for option in problem.options])
    usd: Floats = (prices * found.running).sum(axis=0) * (1 - found.gap)
    return usd


def _at_rates(question: Question, rates_rps: Mapping[str, float]) -> Question:
    """The same question with the greatest demand of each workload as its rate."""
    workloads = {}
    for name, workload in question.workloads.items():
        arrivals: Any = workload.arrivals
        if arrivals.process == "mmpp":
            mean = sum(r * d for r, d in zip(arrivals.rates, arrivals.mean_durations_ns, strict=True))
            factor = rates_rps[name] * sum(arrivals.mean_durations_ns) / mean
            changed = arrivals.model_copy(update={"rates": tuple(rate * factor for rate in arrivals.rates)})
        elif hasattr(arrivals, "rate"):
            changed = arrivals.model_copy(update={"rate": rates_rps[name]})
        else:
            changed = PoissonArrivals(process="poisson", rate=rates_rps[name])
        workloads[name] = workload.model_copy(update={"arrivals": changed})
    return replace(question, file=question.file.model_copy(update={"workloads": workloads}))


def _grid_demand(levels: Mapping[str, Floats]) -> Demand:
    """Every demand of the grid as an hour of its own, in which one workload alone asks."""
    names = tuple(levels)
    total = sum(len(levels[name]) for name in names)
    rps = np.zeros((len(names), total))
    hours: list[str] = []
    for row, name in enumerate(names):
        rps[row, len(hours) : len(hours) + len(levels[name])] = levels[name]
        hours += [f"{name} at {level:.6g} requests/s ({place})" for place, level in enumerate(levels[name])]
    return Demand(names, tuple(hours), np.ones(total), rps)


def _at_prices(problem: PlanProblem, usd_per_hour: Mapping[str, float]) -> PlanProblem:
    def repriced(option: Option) -> Option:
        price = usd_per_hour.get(option.candidate)
        return option if price is None else replace(option, usd_per_hour=np.full(len(problem.hours), price))

    return replace(problem, options=tuple(repriced(option) for option in problem.options))


def _solved(question: Question, problem: PlanProblem) -> Solution:
    spec = question.file.plan
    limit_s = spec.time_limit_ns / NS_PER_S
    try:
        return solve(problem, gap=spec.gap, time_limit_s=limit_s)
    except NoPlanInTimeError as error:
        rule = "passed before every demand had a fleet"
        raise InputError([question.problem("plan.time_limit", rule, f"{limit_s:g} s", "Allow more time.")]) from error


def _refuse(question: Question, problem: PlanProblem, solution: Solution, proven: Proven | None = None) -> None:
    """Stop where a demand has no fleet, or one that does not hold when it is simulated."""
    problems = []
    if solution.status == "infeasible":
        for row, name in enumerate(problem.workloads):
            short = (solution.unserved[row] > 0) & (problem.demand_rps[row] > 0)
            if short.any():
                rate = problem.demand_rps[row, short].min()
                rule = f"has no fleet that carries {rate:,.4g} requests/s within its objectives and limits"
                remedy = "Allow more instances or another candidate, or relax the objective."
                problems.append(question.problem(f"workloads.{name}", rule, None, remedy))
        if not problems:
            problems.append(question.problem("plan", "leaves no fleet for some demand", None, "Relax a limit."))
    elif proven is not None and proven.met is False:
        missed = {problem.hours[t] for (_, t), shown in proven.shown.items() if not shown.met}
        rule = f"leave fleets that miss an objective when simulated: {', '.join(sorted(missed)[:3])}"
        problems.append(question.problem("plan.candidates", rule, None, "Relax a limit or an objective."))
    if problems:
        raise InputError(problems)


def _tables(
    question: Question,
    levels: Mapping[str, Floats],
    problem: PlanProblem,
    running: Ints,
    least_usd: Floats,
    simulated: int,
) -> Iterator[FleetTable]:
    names = tuple(candidate.name for candidate in question.candidates)
    counts = np.zeros((len(problem.hours), len(names)), dtype=np.int64)
    for option, row in zip(problem.options, running, strict=True):
        counts[:, names.index(option.candidate)] += row
    prices = np.array([option.usd_per_hour for option in problem.options])
    usd = (prices * running).sum(axis=0)
    begin = 0
    for workload, level_rps in levels.items():
        part = slice(begin, begin + len(level_rps))
        begin += len(level_rps)
        instances, cost, least = counts[part].copy(), usd[part].copy(), np.minimum(least_usd[part], usd[part])
        for array in (level_rps, instances, cost, least):
            array.setflags(write=False)
        yield FleetTable(workload, names, level_rps, instances, cost, least, simulated)
