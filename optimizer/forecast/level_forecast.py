"""Forecasts of months and years: futures of the level, week by week, with the hours of the last weeks on top.

Models of hours carry what a series does from day to day; over months the level decides, and which trend it follows is
not known. Level futures (:mod:`optimizer.forecast.futures`) go on with trends of different length, each in its share of
the paths. Their spread is multiplied by what held 80 % of the hours at past origins.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

import numpy as np

from optimizer.calendar_days import Event, Holiday
from optimizer.forecast.backtest import UNTESTED, Scores
from optimizer.forecast.futures import LevelPaths, level_paths, notes_on
from optimizer.forecast.level_backtest import LevelPast, Pool, level_pasts
from optimizer.forecast.models import Training
from optimizer.forecast.occasions import Occasions, holidays_of
from optimizer.forecast.scale import Floats, choose_scale
from optimizer.forecast.season import WEEK, Seasons, find_seasons
from optimizer.forecast.series import SeriesForecast
from optimizer.forecast.verdict import interval_notes, verdict
from optimizer.history import History

BEYOND_H: Final = 8 * WEEK
"""Horizons longer than this ask for level futures: their weeks are drawn from the last eight, and within eight weeks
the models of hours, which follow a level from day to day, were the better ones."""

MODEL: Final = "weekly levels"
"""In place of a model's name."""

MOST_LOSS: Final = 1.05
"""Models of hours are used instead where level futures lost more than so many times as much on the past."""

_FEWEST_ORIGINS: Final = 5
"""Scored origins without which a backtest says nothing about which of two is better."""
_LEAST_LIFE: Final = 2 * WEEK


@dataclass(frozen=True)
class LevelForecast:
    """What one pool will be, by futures of its level; reads like :class:`optimizer.forecast.series.SeriesForecast`."""

    start: datetime
    """First hour foretold, UTC."""
    steps: int
    """H, hours foretold."""
    forecastable: bool
    """Whether the forecast is better than repeating the past; ``reasons`` says why not."""
    reasons: tuple[str, ...]
    """Why it cannot be forecast, one sentence each; empty where it can."""
    notes: tuple[str, ...]
    """What was found and assumed, one sentence each."""
    scores: Scores
    """Of the backtest, on origins whose outcome the spread had not seen."""
    seasons: Seasons
    """Seasons found."""
    levels: LevelPaths
    """Futures of all pools."""
    column: int
    """Place of this one."""
    spread: float
    """What the spread of its levels is multiplied by."""
    factor: Floats
    """(H,) what holidays and events multiply."""
    model: str = MODEL
    """Name that users read."""

    @property
    def paths(self) -> Floats:
        """(S, H) futures, each coherent over the hours; computed anew each time, always the same."""
        return self.levels.at(self.column, np.arange(self.steps), self.spread, self.factor)

    @property
    def mean(self) -> Floats:
        """(H,) expected demand: the mean of the paths."""
        return np.asarray(self.paths.mean(axis=0))

    @property
    def p50(self) -> Floats:
        """(H,) the median of the paths."""
        return self.quantile(0.5)

    def quantile(self, level: float) -> Floats:
        """(H,) demand that this share of the paths does not exceed, hour by hour."""
        return np.asarray(np.quantile(self.paths, level, axis=0))

    def loss_beside(self, hourly: SeriesForecast) -> float | None:
        """Its loss over that of models of hours, on the same past; None where that holds too few origins.

        Notes
        -----
        Of the pinball loss at 10, 50 and 90 %, over the error of seasonal naive at the same origins.
        """
        mine, other = self.scores, hourly.scores
        if min(mine.origins, other.origins) < _FEWEST_ORIGINS or not other.pinball * mine.mase_naive > 0:
            return None
        return mine.pinball * other.mase_naive / (other.pinball * mine.mase_naive)

    @property
    def tested_far(self) -> bool:
        """Whether the history can test half of the horizon at all; else there is nothing to hold models against."""
        return self.scores.origins >= _FEWEST_ORIGINS and 2 * self.scores.steps >= self.steps


def level_forecasts(
    history: History,
    horizon_h: int,
    columns: Sequence[int],
    *,
    holidays: Sequence[Holiday | date] = (),
    events: Sequence[Event] = (),
    seed: int,
    paths: int,
    interchangeable: bool,
) -> Mapping[int, LevelForecast]:
    """What will pools be over months and years? By column; none of pools that have no two weeks to go on from.

    Parameters
    ----------
    history
        Of all pools.
    horizon_h
        H, hours to foretell.
    columns
        Pools that live.
    holidays, events
        As :func:`optimizer.forecast.series.forecast_series`.
    seed, paths
        Of the futures; how many.
    interchangeable
        As :func:`optimizer.forecast.futures.level_paths`.
    """
    given, launches = holidays_of(holidays), tuple(events)
    seasons, pools, usual = {}, [], history.demand.copy()
    for column in columns:
        first = int(history.first_h[column])
        if history.hours - first < _LEAST_LIFE or not history.demand[-_LEAST_LIFE:, column].any():
            continue
        occasions = Occasions(history.time(first), given, launches)
        values = occasions.usual(history.demand[first:, column])
        seasons[column] = find_seasons(choose_scale(values).forward(values))
        pools.append(Pool(column, first, occasions, seasons[column].period_h))
        usual[first:, column] = values
    if not pools:
        return {}
    levels = level_paths(usual, horizon_h, futures=paths, seed=seed, interchangeable=interchangeable)
    pasts = level_pasts(history.demand, pools, horizon_h, seed=seed, interchangeable=interchangeable)
    found = {}
    for pool in pools:
        column, values = pool.column, usual[pool.first_h :, pool.column]
        past = pasts.get(column)
        spread = None if past is None else past.spread(history.hours)
        scores = UNTESTED.scores if past is None else past.scores()
        training = Training(choose_scale(values).forward(values), seasons[column], horizon_h, pool.period)
        reasons = verdict(scores, seasons[column], training.profiled, horizon_h)
        found[column] = LevelForecast(
            start=history.end,
            steps=horizon_h,
            forecastable=not reasons,
            reasons=reasons,
            notes=(*interval_notes(scores), *_notes(past, spread, horizon_h)),
            scores=scores,
            seasons=seasons[column],
            levels=levels,
            column=column,
            spread=1.0 if spread is None else spread,
            factor=pool.factors(history.demand, usual[:, column], horizon_h),
        )
    return found


def notes_of_all(history: History, said: Mapping[int, LevelForecast]) -> list[str]:
    """Say what level futures assume of all pools together."""
    one = next(iter(said.values()), None)
    return [] if one is None else [note[0].upper() + note[1:] for note in notes_on(history, one.levels)]


def _notes(past: LevelPast | None, spread: float | None, horizon_h: int) -> list[str]:
    notes = []
    if past is None or spread is None:
        notes.append(
            "No past origin had so long an outcome that the spread could be tested: it is what the level changed from "
            "week to week"
        )
    else:
        notes.append(f"The spread of the levels is multiplied by {spread:.2f}, from what held 80 % of the past hours")
        if past.steps < horizon_h:
            notes.append(
                f"The history can test {past.steps:,} h ahead, not {horizon_h:,}: beyond, the level wanders on"
            )
    return notes
