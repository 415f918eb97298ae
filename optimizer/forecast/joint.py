"""Forecast all pools of a history together: ``forecast(history, horizon_h) -> Forecast``.

Each pool has its own model; their futures share their randomness, so that a sample path is one future of all pools,
and pools whose errors went together in the past do so in every path. Beyond eight weeks, futures of the level are
held against the models of hours (:mod:`optimizer.forecast.level_forecast`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from functools import partial
from typing import Final

import numpy as np

from optimizer.calendar_days import Event, Holiday
from optimizer.forecast.backtest import Scores
from optimizer.forecast.level_forecast import BEYOND_H, MOST_LOSS, LevelForecast, level_forecasts, notes_of_all
from optimizer.forecast.paths import shock_roots
from optimizer.forecast.scale import Floats
from optimizer.forecast.series import PATHS, SeriesForecast, Shocks, ended, forecast_series
from optimizer.history import History
from optimizer.history_cleaning import clean, pool_lives

_STREAMS: Final = 64
"""Pools whose errors are correlated with each other; further ones are drawn on their own."""

PoolForecast = SeriesForecast | LevelForecast
"""Of one pool, by models of hours or by futures of its level: to be read alike."""


@dataclass(frozen=True)
class Forecast:
    """What all pools will be, hour by hour, and how sure that is."""

    start: datetime
    """First hour foretold, UTC."""
    pools: tuple[str, ...]
    """P names, as in the history."""
    series: tuple[PoolForecast, ...]
    """(P,) forecast of each pool."""
    notes: tuple[str, ...]
    """What was found and assumed, one sentence each, the pool's name in front where it is about one."""

    @property
    def steps(self) -> int:
        """H, hours foretold."""
        return self.series[0].steps

    @property
    def mean(self) -> Floats:
        """(H, P) expected demand."""
        return np.stack([one.mean for one in self.series], axis=1)

    def of(self, pool: str) -> PoolForecast:
        """Forecast of one pool.

        Raises
        ------
        ValueError
            There is no such pool.
        """
        if pool not in self.pools:
            raise ValueError(f"there is no pool {pool}; there are {', '.join(self.pools)}")
        return self.series[self.pools.index(pool)]

    def quantile(self, level: float) -> Floats:
        """(H, P) demand of each pool that is not exceeded with this probability, hour by hour."""
        return np.stack([one.quantile(level) for one in self.series], axis=1)

    def paths(self, pool: str | None = None) -> Floats:
        """(S, H) futures of a pool, or of all together; the same index is the same future in every pool."""
        if pool is not None:
            return self.of(pool).paths
        total = self.series[0].paths
        for one in self.series[1:]:
            total = total + one.paths
        return total

    @property
    def scores(self) -> Scores:
        """Scores of the backtest over the pools: means, weighted by the origins of each; NaN where there were none."""
        tested = [one.scores for one in self.series if one.scores.origins]
        if not tested:
            return self.series[0].scores
        weights = np.array([one.origins for one in tested], dtype=np.float64)
        names = ("mase", "mase_naive", "pinball", "coverage_80", "relative_error")
        means = {name: float(np.average([getattr(one, name) for one in tested], weights=weights)) for name in names}
        return Scores(int(weights.sum()), max(one.steps for one in tested), **means)


def forecast(
    history: History,
    horizon_h: int,
    *,
    holidays: Sequence[Holiday | date] = (),
    events: Sequence[Event] = (),
    seed: int = 0,
    paths: int = PATHS,
    interchangeable: bool | None = None,
    watch: Callable[[str], object] | None = None,
) -> Forecast:
    """What will every pool of a history be, hour by hour, and how sure is that?

    Parameters
    ----------
    history
        Past demand.
    horizon_h
        H, hours to foretell after its end, at least 1.
    holidays, events, seed, paths
        As :func:`optimizer.forecast.series.forecast_series`; they concern all pools.
    interchangeable
        Whether the pools do the same work, so that over months one may take another's place; None: where they count
        instances, not requests.
    watch
        Told each pool's name before it is looked at.

    Returns
    -------
    Forecast
    """
    lives = pool_lives(history)
    living = [column for column, life in enumerate(lives) if life.state not in ("ended", "never")]
    levels: Mapping[int, LevelForecast] = {}
    alike = history.unit == "instances" if interchangeable is None else interchangeable
    if horizon_h > BEYOND_H:
        levels = level_forecasts(
            history, horizon_h, living, holidays=holidays, events=events, seed=seed, paths=paths, interchangeable=alike
        )
    series: list[PoolForecast] = []
    for column, life in enumerate(lives):
        if watch is not None:
            watch(life.pool)
        shocks = Shocks(seed, paths, column)
        if column not in living:
            last = history.time(life.last_h) if life.state == "ended" else None
            series.append(ended(history.end, horizon_h, last, shocks))
            continue
        hourly = partial(
            forecast_series,
            history.demand[int(history.first_h[column]) :, column],
            start=history.time(int(history.first_h[column])),
            horizon_h=horizon_h,
            holidays=holidays,
            events=events,
            shocks=shocks,
        )
        said = _chosen(levels.get(column), hourly)
        series.append(replace(said, notes=(*_told(history, column), *said.notes)))
    notes = [*history.notes, *notes_of_all(history, levels)]
    if levels and alike and len(living) > 1:
        notes.append("Pools that count instances are taken to do the same work: over months they share out one total")
    several = len(series) > 1
    for pool, one in zip(history.pools, series, strict=True):
        notes += [f"{pool}: {note}" if several else note for note in (*one.reasons, *one.notes)]
    return Forecast(history.end, history.pools, _together(series, history), tuple(notes))


def _chosen(level: LevelForecast | None, hourly: Callable[[], SeriesForecast]) -> PoolForecast:
    """By level futures where there are any, unless models of hours were clearly better on the past."""
    if level is None:
        return hourly()
    if not level.tested_far:
        note = "The history cannot tell how models of hours do so far ahead: futures of the level are used"
        return replace(level, notes=(note, *level.notes))
    other = hourly()
    share = level.loss_beside(other)
    if share is None:
        return level
    if share > MOST_LOSS:
        less = f"{100 * (1 - 1 / share):.0f} % less than futures of the level"
        note = f"Models of hours are used: at past origins they lost {less}"
        return replace(other, notes=(note, *other.notes))
    than = f"{100 * abs(1 - share):.0f} % {'less' if share < 1 else 'more'} than"
    note = f"Futures of the level are used: at past origins they lost {than} models of hours"
    return replace(level, notes=(note, *level.notes))


def _together(series: list[PoolForecast], history: History) -> tuple[PoolForecast, ...]:
    """Let the levels of pools that models of hours foretell share their shocks as their errors did."""
    hourly = {i: one for i, one in enumerate(series) if isinstance(one, SeriesForecast)}
    moving = [i for i, one in hourly.items() if one.day_errors][:_STREAMS]
    if len(moving) < 2:
        return tuple(series)
    # Days of a pool are counted from its first hour; from here on, from the end of the history, which all share.
    days = [
        {day - (history.hours - int(history.first_h[i])) // 24: error for day, error in hourly[i].day_errors.items()}
        for i in moving
    ]
    roots = shock_roots(days)
    alike = roots @ roots.T
    joined = list(series)
    for place, i in enumerate(moving):
        row = np.zeros(len(series))
        row[moving] = roots[place]
        common = (alike[place].sum() - 1) / (len(moving) - 1)
        shocks = replace(hourly[i].shocks, row=row, common=float(np.clip(common, 0.0, 0.9)))
        joined[i] = replace(hourly[i], shocks=shocks)
    for i, one in hourly.items():
        if i not in moving:
            row = np.zeros(len(series))
            row[i] = 1.0
            joined[i] = replace(one, shocks=replace(one.shocks, row=row))
    return tuple(joined)


def _told(history: History, column: int) -> tuple[str, ...]:
    """Say what a pool's life held: outliers, and shifts of its level."""
    first = int(history.first_h[column])
    found = clean(history.demand[first:, column], known=~history.filled[first:, column])
    shifts = [
        f"The level went from {shift.before:,.4g} to {shift.after:,.4g} on {_day(history, first + shift.hour)}"
        for shift in found.shifts
    ]
    others = [note[0].upper() + note[1:] for note in found.notes if "the level went" not in note]
    return *others, *shifts


def _day(history: History, hour: int) -> str:
    return (history.start + timedelta(hours=hour)).strftime("%Y-%m-%d")
