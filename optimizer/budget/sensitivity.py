"""On what does the budget hang most? Its mean when one input at a time is lower or higher, and the promises stay.

Four inputs are moved, by shares that :data:`CHANGES` names: demand (every hour of every future), prices on demand
(what is promised keeps its price), what an instance carries, and the latency objectives, for which every fleet is
planned and simulated anew. What was bought stays as it is: these are the surprises of whoever has signed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from calibration.console import Unwatched, Watch
from calibration.problems import InputError
from optimizer.budget.budget import Budget
from optimizer.budget.budget_file import BudgetQuestion
from optimizer.budget.demand_paths import DemandPaths
from optimizer.budget.fleet_of_demand import FleetTable, fleet_tables
from optimizer.budget.hourly_fleets import HourlyFleets
from optimizer.budget.monthly import Columns, settle_paths
from optimizer.plan_file import Question
from simulator.wording import percent

Floats = npt.NDArray[np.float64]

CHANGES: Final[Mapping[str, tuple[float, float]]] = {
    "demand": (0.8, 1.2),
    "on-demand price": (0.8, 1.2),
    "efficiency": (0.9, 1.1),
    "SLO": (0.8, 1.25),
}
"""What each input is multiplied with, by name. An efficiency of 1.1 is an instance that carries a tenth more."""

FUTURES: Final = 24
"""Futures that are settled: a mean is shown, no quantile."""

_WORDS: Final = {
    "demand": "requests in every hour",
    "on-demand price": "prices on demand; promised prices stay",
    "efficiency": "requests that an instance carries",
    "SLO": "every latency objective; fleets are planned and simulated anew",
}


@dataclass(frozen=True)
class Variant:
    """One input at one other value."""

    factor: float
    """What it is multiplied with."""
    usd: float | None
    """Mean effective cost of the whole budget then; None where no fleet holds the objectives."""
    reason: str = ""
    """Why there is none."""

    @property
    def label(self) -> str:
        """By how much the input is moved.

        >>> Variant(0.8, 1.0).label, Variant(1.25, 1.0).label
        ('−20%', '+25%')
        """
        return f"{'+' if self.factor > 1 else '−'}{percent(abs(self.factor - 1))}"


@dataclass(frozen=True)
class Sensitivity:
    """One input, lower and higher."""

    name: str
    words: str
    """What is multiplied."""
    low: Variant
    high: Variant
    base_usd: float
    """The budget's own mean."""

    @property
    def reach_usd(self) -> float:
        """How far the budget moves, from the one end to the other."""
        known = [one.usd for one in (self.low, self.high) if one.usd is not None]
        return max([*known, self.base_usd]) - min([*known, self.base_usd])


def sensitivities(
    question: BudgetQuestion,
    budget: Budget,
    *,
    jobs: int | None = None,
    cache: Path | None = None,
    watch: Watch | None = None,
) -> tuple[Sensitivity, ...]:
    """How does the budget move with each input? The one that moves it most first.

    Parameters
    ----------
    question, budget
        The budget, as :func:`optimizer.budget.chain.budget` made it of the question.
    jobs, cache, watch
        As there.

    Raises
    ------
    ValueError
        The budget does not hold its fleets and futures.
    """
    if budget.hourly is None or budget.demand is None:
        raise ValueError("the budget must hold its fleets and its futures")
    watch = watch or Unwatched()
    settled = _Settled(question, budget, _some(budget.demand))
    most = max(*CHANGES["demand"], *(1 / factor for factor in CHANGES["efficiency"]))
    asked = {name: most * paths.ravel() for name, paths in settled.demand.rps.items()}

    def fleets_of(plan: Question) -> HourlyFleets:
        return settled.fleets(fleet_tables(plan, asked, jobs=jobs, cache=cache, watch=watch))

    watch.stage("planning fleets for more demand")
    own, known = fleets_of(question.plan), budget.hourly
    changes: dict[str, list[tuple[float | None, str]]] = {
        "demand": [(settled.change(own, own, demand_factor=factor), "") for factor in CHANGES["demand"]],
        "on-demand price": [(settled.change(known, known, price_factor=one), "") for one in CHANGES["on-demand price"]],
        "efficiency": [(settled.change(own, own, demand_factor=1 / factor), "") for factor in CHANGES["efficiency"]],
    }
    if budget.simulated:
        changes["SLO"] = []
        for factor in CHANGES["SLO"]:
            watch.stage(f"planning fleets for objectives {Variant(factor, None).label}")
            try:
                changes["SLO"].append((settled.change(own, fleets_of(with_slo(question.plan, factor))), ""))
            except InputError as error:
                changes["SLO"].append((None, error.problems[0].rule))
    mean = budget.total.effective.mean
    sides = {
        name: [
            Variant(factor, None if change is None else mean + change, reason)
            for factor, (change, reason) in zip(CHANGES[name], pair, strict=True)
        ]
        for name, pair in changes.items()
    }
    rows = [Sensitivity(name, _WORDS[name], low, high, mean) for name, (low, high) in sides.items()]
    return tuple(sorted(rows, key=lambda one: -one.reach_usd))


def with_slo(plan: Question, factor: float) -> Question:
    """The same plan file with every latency objective multiplied."""
    workloads: dict[str, Any] = {}
    for name, workload in plan.workloads.items():
        workloads[name] = workload
        if workload.slo is not None:
            longer = {f"{key}_ns": round(ns * factor) for key, ns in workload.slo.targets_ns.items()}
            workloads[name] = workload.model_copy(update={"slo": workload.slo.model_copy(update=longer)})
    return replace(plan, file=plan.file.model_copy(update={"workloads": workloads}))


def _some(demand: DemandPaths) -> DemandPaths:
    """Some of the futures, evenly picked."""
    picked = np.unique(np.linspace(0, demand.count - 1, min(demand.count, FUTURES)).astype(np.int64))
    rps = {name: paths[picked] for name, paths in demand.rps.items()}
    return DemandPaths(demand.start, rps, tuple(demand.scenario[path] for path in picked), demand.models)


class _Settled:
    """Means of the same futures under other fleets, demands and prices."""

    def __init__(self, question: BudgetQuestion, budget: Budget, demand: DemandPaths) -> None:
        self.question, self.budget, self.demand = question, budget, demand
        self._known: dict[int, float] = {}

    def fleets(self, tables: tuple[FleetTable, ...]) -> HourlyFleets:
        """Fleets by other tables."""
        assert self.budget.hourly is not None, "looked at before"
        return HourlyFleets(self.question, tables, self.budget.hourly.offers)

    def change(
        self, before: HourlyFleets, fleets: HourlyFleets, *, demand_factor: float = 1.0, price_factor: float = 1.0
    ) -> float:
        """By how much does the mean change, of the same futures?"""
        if id(before) not in self._known:
            self._known[id(before)] = self._mean(before, 1.0, 1.0)
        return self._mean(fleets, demand_factor, price_factor) - self._known[id(before)]

    def _mean(self, fleets: HourlyFleets, demand_factor: float, price_factor: float) -> float:
        hours = self.demand.hours
        demand = self.demand.multiplied(dict.fromkeys(self.demand.rps, np.full(hours, demand_factor)))
        own = fleets.described()
        columns = Columns(own.start, own.instance_types, own.tags, own.usd_per_hour * price_factor)
        return float(settle_paths(fleets.every(demand), columns, self.budget.promised).total_usd.mean())
