"""Which seasons does a series have, and what do they look like? The hour of the day, the hour of the week.

Tables are aligned to the end of the series, so that column j of a season of m hours is also step j, j + m, j + 2 m ...
of the forecast, whatever the weekday.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from optimizer.forecast.scale import Floats

DAY: Final = 24
WEEK: Final = 168
YEAR: Final = 8_760

_WEEKS: Final = 26
"""Older weeks say nothing about the shape of the next."""
_HALF_LIFE_WEEKS: Final = 4.0
_CLEAR: Final = 0.05
"""Share of the variance that a season must foretell on days it was not estimated from."""
_CLEARER: Final = 0.02
"""Share of the remaining squared error that the hour of the week must save over the hour of the day."""
_CLIP: Final = 4.0
"""Robust standard deviations beyond which a value no longer shapes the profile."""


@dataclass(frozen=True)
class Seasons:
    """Seasons found in a series."""

    daily: bool
    weekly: bool
    strength: float
    """Share of the variance about the weekly level that the season foretells out of sample, 0 to 1."""

    @property
    def period_h(self) -> int:
        """Hours of the longest season; 1 where there is none."""
        return WEEK if self.weekly else DAY if self.daily else 1


def find_seasons(values: Floats) -> Seasons:
    """Does the hour of the day, or of the week, foretell demand on days it was not estimated from?

    Each day (week) is foretold by the mean shape of the others; a season is there when that explains a share of the
    variance, which noise alone would make negative.

    Parameters
    ----------
    values
        (T,) on an even scale (:mod:`optimizer.forecast.scale`).
    """
    none = Seasons(daily=False, weekly=False, strength=0.0)
    days = min(len(values) // DAY, 7 * _WEEKS)
    if days < 3 or np.ptp(values) == 0:
        return none
    table = values[-days * DAY :].reshape(days, DAY)
    shapes = _clipped(table - table.mean(axis=1, keepdims=True))
    within = float(np.sum(np.square(shapes)))
    daily = 1 - float(np.sum(np.square(shapes - _others(shapes)))) / within if within > 0 else 0.0
    weeks = days // 7
    weekly, strength = False, max(daily, 0.0)
    if weeks >= 3:
        rows = values[-weeks * WEEK :].reshape(weeks, WEEK)
        shapes = _clipped(rows - rows.mean(axis=1, keepdims=True))
        by_hour = shapes.reshape(weeks, 7, DAY).mean(axis=1)
        total = float(np.sum(np.square(shapes)))
        if total > 0:
            rest_day = float(np.sum(np.square(shapes - np.tile(_others(by_hour), 7))))
            noise = float(np.mean(np.var(shapes, axis=0)))
            rest_week = float(np.sum(np.square(shapes - _shrunk(shapes, np.ones(weeks), noise, leave_out=True))))
            best = 1 - min(rest_day, rest_week) / total
            weekly = rest_week < (1 - _CLEARER) * rest_day and 1 - rest_week / total > _CLEAR
            strength = max(best, 0.0) if weekly else strength
    return Seasons(daily=daily > _CLEAR, weekly=weekly, strength=strength if weekly or daily > _CLEAR else 0.0)


def profile(values: Floats, seasons: Seasons) -> Floats:
    """The mean shape of a season about its level, recent weeks first: (period,), summing to about 0.

    The hour of the week is built from the hour of the day, the day of the week, and what is particular to both, the
    last shrunk by as much as it is noise.
    """
    if not seasons.daily and not seasons.weekly:
        return np.zeros(1)
    period = seasons.period_h
    if not seasons.weekly:
        days = min(len(values) // DAY, 4 * 7)
        rows = values[-days * DAY :].reshape(days, DAY)
        shapes = _clipped(rows - rows.mean(axis=1, keepdims=True))
        weights = 0.5 ** (np.arange(days)[::-1] / (7 * _HALF_LIFE_WEEKS))
        return np.asarray(np.average(shapes, axis=0, weights=weights))
    weeks = min(len(values) // period, _WEEKS)
    if weeks == 0:
        return np.zeros(1)
    rows = values[-weeks * period :].reshape(weeks, period)
    shapes = _clipped(rows - rows.mean(axis=1, keepdims=True))
    weights = 0.5 ** (np.arange(weeks)[::-1] / _HALF_LIFE_WEEKS)
    noise = float(np.mean(np.var(shapes, axis=0)))
    return np.asarray(_shrunk(shapes, weights, noise, leave_out=False)[0])


def tiled(shape: Floats, steps: int) -> Floats:
    """A season repeated over the steps after the end of the series: (steps,)."""
    return np.resize(shape, steps)


def tiled_back(shape: Floats, hours: int) -> Floats:
    """A season repeated over the hours up to the end of the series: (hours,)."""
    return np.resize(shape[::-1], hours)[::-1]


def _others(rows: Floats) -> Floats:
    """Mean of the other rows, for each row."""
    n = len(rows)
    return np.asarray((rows.sum(axis=0) - rows) / max(n - 1, 1))


def _shrunk(shapes: Floats, weights: Floats, noise: float, *, leave_out: bool) -> Floats:
    """Hour-of-week shapes (n, 168) from all weeks, or for each week from the others, noise shrunk away."""
    n = len(shapes)
    use = weights[None, :] * (1.0 - np.eye(n)) if leave_out and n > 1 else weights[None, :]
    use = use / use.sum(axis=1, keepdims=True)
    means = use @ shapes
    cells = means.reshape(-1, 7, DAY)
    by_hour = cells.mean(axis=1, keepdims=True)
    by_day = cells.mean(axis=2, keepdims=True)
    additive = by_hour + by_day - cells.mean(axis=(1, 2), keepdims=True)
    particular = cells - additive
    variance = np.mean(np.square(particular), axis=(1, 2), keepdims=True)
    error = noise * np.sum(np.square(use), axis=1)[:, None, None]
    kept = np.maximum(0.0, 1.0 - error / np.maximum(variance, 1e-300))
    return np.asarray((additive + kept * particular).reshape(len(means), -1))


def _clipped(shapes: Floats) -> Floats:
    """Shapes without what lies far off the usual spread of its column."""
    if len(shapes) < 4:
        return shapes
    centre = np.median(shapes, axis=0)
    off = shapes - centre
    spread = 1.4826 * float(np.median(np.abs(off)))
    if spread == 0:
        return shapes
    return np.asarray(centre + np.clip(off, -_CLIP * spread, _CLIP * spread))
