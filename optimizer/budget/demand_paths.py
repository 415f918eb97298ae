"""What could be asked in the hours to come? Futures of every workload's demand, with what the planner knows put in.

A *path* is one possible future, whole: peaks and troughs of one path belong together, which quantiles hour by hour
would not. The forecast (:mod:`optimizer.forecast`) draws them from the history. Then, in this order: a growth that the
file states replaces the forecast's own, events multiply their days, and demand scenarios with a probability multiply
their share of the paths. The paths of different workloads are drawn independently of one another.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np
import numpy.typing as npt

from optimizer.budget.budget_spec import BudgetSpec, DemandScenarioSpec
from optimizer.budget.demand_history import HOURS_PER_WEEK, DemandHistory
from simulator.purchase_plan import HOURS_PER_YEAR

if TYPE_CHECKING:
    from optimizer.budget.budget_file import BudgetQuestion

Floats = npt.NDArray[np.float64]

MOST_TIMES_PEAK: Final = 20.0
"""A path that asks more than so many times the peak of the history is cut there: a fleet for it says nothing."""

_LEVEL_WEEKS: Final = 4
"""Last weeks of the history whose mean is its level."""


class Drawn(Protocol):
    """What a forecast of one series must give; :class:`optimizer.forecast.SeriesForecast` does."""

    @property
    def paths(self) -> Floats:
        """(S, H) sample paths."""

    @property
    def model(self) -> str:
        """Name of the model."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What was found, one sentence each."""

    @property
    def forecastable(self) -> bool:
        """Whether it beats repeating the last season."""

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why it does not, one sentence each."""


Forecaster = Callable[[Mapping[str, DemandHistory], dt.datetime, Sequence[dt.date], int, int], Mapping[str, Drawn]]
"""From histories by workload, the hour before which futures end, holidays, a seed and a count, to so many futures.

Each workload's begin where its history ends."""


@dataclass(frozen=True)
class DemandPaths:
    """Futures of the demand, from the first hour of the budget on. The arrays are read-only."""

    start: dt.datetime
    """First hour, UTC."""
    rps: Mapping[str, Floats]
    """(S, H) requests per second by workload; path s of every workload is one future."""
    scenario: tuple[str, ...]
    """(S,) name of the demand scenario that each path follows; blank for none."""
    models: Mapping[str, str]
    """Forecasting model, by workload."""
    notes: tuple[str, ...] = ()
    """What was found and assumed, one sentence each."""
    unforecastable: tuple[str, ...] = ()
    """Workloads whose forecast is no better than repeating the last season."""

    @property
    def count(self) -> int:
        """S, the number of futures."""
        return len(self.scenario)

    @property
    def hours(self) -> int:
        """H, the hours of each."""
        return len(next(iter(self.rps.values()))[0])

    def first(self, hours: int) -> DemandPaths:
        """The same futures, cut after so many hours."""
        rps = {name: paths[:, :hours] for name, paths in self.rps.items()}
        return DemandPaths(self.start, rps, self.scenario, self.models, self.notes, self.unforecastable)

    def multiplied(self, factor: Mapping[str, Floats]) -> DemandPaths:
        """The same futures with the demand of some workloads multiplied, hour by hour, with (H,) factors."""
        rps = {name: paths * factor[name] if name in factor else paths for name, paths in self.rps.items()}
        return DemandPaths(self.start, rps, self.scenario, self.models, self.notes, self.unforecastable)


def demand_paths(question: BudgetQuestion, hours: int, *, forecaster: Forecaster | None = None) -> DemandPaths:
    """Which futures could the demand have, for so many hours from the start of the budget?

    Parameters
    ----------
    question
        The budget file.
    hours
        At least those of the budget; more where a promise lasts longer.
    forecaster
        What draws futures of histories; default: :func:`forecast_paths`.
    """
    spec, seed = question.spec, question.plan.file.seed
    until = question.start + dt.timedelta(hours=hours)
    drawn_of = (forecaster or forecast_paths)(question.history, until, spec.holidays, seed, spec.paths)
    rps: dict[str, Floats] = {}
    models: dict[str, str] = {}
    notes: list[str] = []
    weak: list[str] = []
    chosen = _scenarios(spec, seed)
    for name, history in question.history.items():
        gap = (question.start - history.end) // dt.timedelta(hours=1)
        found = drawn_of[name]
        drawn = np.maximum(np.asarray(found.paths, dtype=np.float64), 0.0)
        most = MOST_TIMES_PEAK * float(history.rps.max())
        cut = int((drawn > most).any(axis=1).sum())
        paths = np.minimum(drawn, most)
        if name in spec.growth:
            paths = paths * _growth_factor(paths, history, spec.growth[name].yearly)
            notes.append(f"{name}: growth of {spec.growth[name].yearly:+.0%} a year, stated by the planner")
        paths = paths[:, gap:] * _event_factor(spec, name, question.start, hours)
        rps[name] = _with_scenarios(spec, chosen, name, question.start, paths)
        rps[name].setflags(write=False)
        models[name] = found.model
        notes += [f"{name}: {note}" for note in (*history.notes, *found.reasons, *found.notes)]
        notes += [f"{name}: {cut} futures were cut at {MOST_TIMES_PEAK:g} times the past peak"] if cut else []
        weak += [] if found.forecastable else [name]
    names = tuple("" if place < 0 else spec.demand_scenarios[place].name for place in chosen)
    return DemandPaths(question.start, rps, names, models, tuple(notes), tuple(weak))


def forecast_paths(
    histories: Mapping[str, DemandHistory], until: dt.datetime, holidays: Sequence[dt.date], seed: int, paths: int
) -> Mapping[str, Drawn]:
    """Draw futures with the forecasting models (:mod:`optimizer.forecast`).

    Histories of the same hours are forecast together, so that a path is one future of all of them; others apart.
    """
    from optimizer.forecast.joint import forecast
    from optimizer.history import History

    found: dict[str, Drawn] = {}
    for end in dict.fromkeys(history.end for history in histories.values()):
        alike = {name: history for name, history in histories.items() if history.end == end}
        start = min(history.start for history in alike.values())
        hours = (end - start) // dt.timedelta(hours=1)
        first = np.array([hours - len(history.rps) for history in alike.values()], dtype=np.int64)
        demand = np.zeros((hours, len(alike)))
        for column, history in enumerate(alike.values()):
            demand[first[column] :, column] = history.rps
        together = History(
            start=start,
            pools=tuple(alike),
            demand=demand,
            first_h=first,
            last_h=np.array([_last_wanted(column) for column in demand.T], dtype=np.int64),
            filled=np.zeros(demand.shape, dtype=np.bool_),
            unit="requests_per_s",
        )
        ahead = (until - end) // dt.timedelta(hours=1)
        said = forecast(together, ahead, holidays=tuple(holidays), seed=seed, paths=paths)
        found |= {name: said.of(name) for name in alike}
    return found


def _last_wanted(rps: Floats) -> int:
    return int(np.flatnonzero(rps)[-1])


def factor_from(start: dt.datetime, hours: int, first: dt.date, factor: float, last: dt.date | None = None) -> Floats:
    """(H,) 1 until a day begins, and this factor from then on, or until the last day is over.

    >>> factor_from(dt.datetime(2027, 1, 1, tzinfo=dt.UTC), 72, dt.date(2027, 1, 2), 0.5, dt.date(2027, 1, 2))[::24]
    array([1. , 0.5, 1. ])
    """
    day_h = dt.timedelta(hours=1)
    begin = (dt.datetime.combine(first, dt.time(), dt.UTC) - start) // day_h
    end = hours if last is None else (dt.datetime.combine(last, dt.time(), dt.UTC) - start) // day_h + 24
    factors = np.ones(hours)
    factors[max(begin, 0) : max(end, 0)] = factor
    return factors


def scenario_factors(
    scenario: DemandScenarioSpec, workloads: Sequence[str], start: dt.datetime, hours: int
) -> dict[str, Floats]:
    """(H,) what a demand scenario multiplies, by workload that it touches."""
    touched = workloads if scenario.workload is None else (scenario.workload,)
    return dict.fromkeys(touched, factor_from(start, hours, scenario.first, scenario.factor))


def _scenarios(spec: BudgetSpec, seed: int) -> npt.NDArray[np.int64]:
    """(S,) which demand scenario each path follows, -1 for none: shares as near to the probabilities as S allows."""
    edges = np.round(np.cumsum([scenario.probability for scenario in spec.demand_scenarios]) * spec.paths)
    chosen = np.full(spec.paths, -1, dtype=np.int64)
    begin = 0
    for place, edge in enumerate(edges.astype(np.int64)):
        chosen[begin:edge] = place
        begin = int(edge)
    return np.random.default_rng((seed, len(chosen))).permutation(chosen)


def _with_scenarios(
    spec: BudgetSpec, chosen: npt.NDArray[np.int64], name: str, start: dt.datetime, paths: Floats
) -> Floats:
    found = np.array(paths)
    for place, scenario in enumerate(spec.demand_scenarios):
        factors = scenario_factors(scenario, (name,), start, paths.shape[1])
        if scenario.workload in (None, name):
            found[chosen == place] *= factors[name]
    return found


def _event_factor(spec: BudgetSpec, name: str, start: dt.datetime, hours: int) -> Floats:
    factors = np.ones(hours)
    for event in spec.events:
        if event.workload == name:
            factors = factors * factor_from(start, hours, event.first, event.factor, event.last)
    return factors


def _growth_factor(paths: Floats, history: DemandHistory, yearly: float) -> Floats:
    """(H,) from the level that the forecast expects to that of the stated growth, both over a week.

    Notes
    -----
    The stated level is ``L (1 + g)^(h / 8760)``, with L the mean of the history's last four weeks. The week's shape and
    the spread of the paths about their mean stay, in proportion; a season of the year goes, as it is a level, too.
    """
    hours = paths.shape[1]
    expected = paths.mean(axis=0)
    weeks = np.arange(hours) // HOURS_PER_WEEK
    whole = np.minimum(weeks, max(hours // HOURS_PER_WEEK - 1, 0))
    level = (np.bincount(whole, weights=expected) / np.bincount(whole))[whole]
    now = float(history.rps[-_LEVEL_WEEKS * HOURS_PER_WEEK :].mean())
    stated = now * (1 + yearly) ** (np.arange(hours) / HOURS_PER_YEAR)
    factor: Floats = np.divide(stated, level, out=np.ones(hours), where=level > 0)
    return factor
