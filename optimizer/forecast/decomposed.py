"""A series taken apart: its season, what is left when the season is taken out, and the level of each day.

Everything is on an even scale (:mod:`optimizer.forecast.scale`) and aligned to the end of the series.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from optimizer.forecast.scale import Floats
from optimizer.forecast.season import DAY, Seasons, profile, tiled, tiled_back

_CLIP: Final = 4.0
"""Robust standard deviations about the day's median beyond which an hour does not move the day's level."""
_RECENT: Final = 28 * DAY
_FOLLOWED: Final = 0.98
"""A deviation of the last hours never outlives this, an hour: longer ones are levels."""


@dataclass(frozen=True)
class Decomposed:
    """Season and remainder of a series, up to its end."""

    season: Floats
    """(H,) the season over the steps of the forecast."""
    adjusted: Floats
    """(T,) the series less its season, single hours that stand out cut down to size."""
    daily: Floats
    """(D,) means of ``adjusted`` over the days before the end, the last day last; at least one."""
    follow: float
    """Share of a deviation of one hour from its level that is still there in the next."""

    @property
    def steps(self) -> int:
        """H, steps of the forecast."""
        return len(self.season)

    def following(self, level: float) -> Floats:
        """(H,) what the deviation of the last hours from a level adds to the next ones, fading."""
        recent = float(np.mean(self.adjusted[-3:]))
        return np.asarray((recent - level) * self.follow ** np.arange(2.0, self.steps + 2.0), dtype=np.float64)


def by_profile(values: Floats, seasons: Seasons, steps: int) -> Decomposed:
    """Take out the mean shape of the recent weeks (:func:`optimizer.forecast.season.profile`)."""
    shape = profile(values, seasons)
    return decomposed(values - tiled_back(shape, len(values)), tiled(shape, steps))


def decomposed(adjusted: Floats, season: Floats) -> Decomposed:
    """Cut single hours that stand out, average by day, and see how long deviations last.

    Parameters
    ----------
    adjusted
        (T,) the series less its season, T at least 1.
    season
        (H,) the season over the steps ahead.
    """
    days = max(len(adjusted) // DAY, 1)
    used = adjusted[-days * DAY :]
    rows = used.reshape(days, -1)
    centre = np.median(rows, axis=1, keepdims=True)
    off = rows - centre
    spread = 1.4826 * float(np.median(np.abs(off[-28:])))
    if spread > 0:
        off = np.clip(off, -_CLIP * spread, _CLIP * spread)
    calm = centre + off
    whole = np.concatenate([adjusted[: len(adjusted) - used.size], calm.ravel()])
    daily = calm.mean(axis=1)
    recent = (calm - daily[:, None]).ravel()[-_RECENT:]
    power = float(np.dot(recent, recent))
    follow = float(np.dot(recent[1:], recent[:-1])) / power if power > 0 else 0.0
    return Decomposed(season, whole, daily, min(max(follow, 0.0), _FOLLOWED))


def recent_mean(daily: Floats, half_life_days: float) -> float:
    """Mean of the days, the weight of one halving with every half-life of its age."""
    weights = 0.5 ** (np.arange(len(daily))[::-1] / half_life_days)
    return float(np.dot(weights, daily) / weights.sum())
