"""The candidates: each takes a series apart and says what comes next.

A candidate is a function ``(Training) -> (H,)`` on an even scale, or None where the series is too short for it, and a
line in ``MODELS``. Which one is used is the backtest's to say (:mod:`optimizer.forecast.choose`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

import numpy as np

from optimizer.forecast.decomposed import Decomposed, by_profile, recent_mean
from optimizer.forecast.scale import Floats
from optimizer.forecast.season import DAY, WEEK, YEAR, Seasons, tiled
from optimizer.forecast.statistical import Remembered, arima_level, by_mstl, ets_level

REFERENCE: Final = "seasonal naive"
"""What every other must beat."""
LAST_LEVEL: Final = "last level"
"""What is said of a series too short to test anything on."""


@dataclass(frozen=True)
class Training:
    """What a model may see: a series up to its origin, on an even scale."""

    values: Floats
    """(T,), at least one."""
    seasons: Seasons
    """Seasons found in the series."""
    steps: int
    """H, hours to foretell."""
    period: int = WEEK
    """Hours of the season of the naive forecast that all are compared with."""
    remembered: Remembered = field(default_factory=Remembered)
    """Parameters from earlier origins of the same backtest."""

    @cached_property
    def profiled(self) -> Decomposed:
        """Taken apart by its mean shape."""
        return by_profile(self.values, self.seasons, self.steps)

    @cached_property
    def mstl(self) -> Decomposed | None:
        """Taken apart by MSTL."""
        return by_mstl(self.values, self.seasons, self.steps)


Model = Callable[[Training], Floats | None]


def seasonal_naive(training: Training) -> Floats:
    """As in the last week (day, where no week stands out; the last hour, where no day does)."""
    period = min(training.period, len(training.values))
    return tiled(training.values[-period:], training.steps)


def drift(training: Training) -> Floats | None:
    """Level of the last days, going on as it came, half as steeply with every month."""
    parts = training.profiled
    days = min(len(parts.daily), 8 * 7)
    if days < 14:
        return None
    level = recent_mean(parts.daily, 3.0)
    slope = (parts.daily[-7:].mean() - parts.daily[-days:][:7].mean()) / (days - 7)
    rate = 0.5 ** (1 / 30)
    ahead: Floats = slope * (1 - rate ** (np.arange(1, parts.steps + 1) / DAY)) / (1 / rate - 1)
    return parts.season + level + ahead + parts.following(level)


def last_level(training: Training) -> Floats:
    """What the last hours were, for demand that moves in steps."""
    return np.full(training.steps, float(np.median(training.values[-6:])))


def median_level(training: Training) -> Floats:
    """Median of the last two weeks, for demand that comes and goes."""
    return np.full(training.steps, float(np.median(training.values[-2 * WEEK :])))


def last_year(training: Training) -> Floats | None:
    """Mean shape, and the level moving from here as it did from this day a year ago; needs two years."""
    parts = training.profiled
    days = 365
    if len(training.values) < 2 * YEAR:
        return None
    level = recent_mean(parts.daily, 7.0)
    smooth = np.convolve(np.pad(parts.daily, 7, mode="edge"), np.ones(15) / 15, mode="valid")
    weeks = smooth[-days:]
    moved = weeks - smooth[-days - 1]
    ahead = -(-parts.steps // DAY)
    by_day = np.concatenate([[0.0], np.resize(moved, ahead)])
    course = np.asarray(np.interp(np.arange(parts.steps) / DAY, np.arange(ahead + 1), by_day), dtype=np.float64)
    return parts.season + level + course


def _steady(half_life_days: float) -> Model:
    def model(training: Training) -> Floats:
        parts = training.profiled
        level = recent_mean(parts.daily, half_life_days)
        return parts.season + level + parts.following(level)

    return model


def mstl_ets(training: Training) -> Floats | None:
    """MSTL's seasons, and exponential smoothing with a damped trend of what they leave."""
    parts = training.mstl if training.seasons.daily or training.seasons.weekly else training.profiled
    level = ets_level(parts, "MSTL", training.remembered) if parts is not None else None
    return None if parts is None or level is None else parts.season + level


def mstl_arima(training: Training) -> Floats | None:
    """MSTL's seasons, and ARIMA of what they leave."""
    parts = training.mstl if training.seasons.daily or training.seasons.weekly else training.profiled
    level = arima_level(parts) if parts is not None else None
    return None if parts is None or level is None else parts.season + level


def profile_ets(training: Training) -> Floats | None:
    """Mean shape of the recent weeks, and exponential smoothing with a damped trend of the rest."""
    level = ets_level(training.profiled, "shape", training.remembered)
    return None if level is None else training.profiled.season + level


MODELS: Final[dict[str, Model]] = {
    REFERENCE: seasonal_naive,
    "drift": drift,
    LAST_LEVEL: last_level,
    "median level": median_level,
    "mean shape, level of 2 days": _steady(2.0),
    "mean shape, level of a week": _steady(7.0),
    "mean shape, level of a month": _steady(28.0),
    "mean shape + ETS": profile_ets,
    "MSTL + ETS": mstl_ets,
    "MSTL + ARIMA": mstl_arima,
    "last year's course": last_year,
}
"""All candidates by the name that users read. A new one is a function and a line here."""

COMBINATION: Final = "median of models"
"""Of all but naive and flat ones: errors of different models cancel in part (Bates and Granger 1969), and the median
heeds none that has gone astray (Stock and Watson 2004)."""
_NOT_COMBINED: Final = (REFERENCE, LAST_LEVEL, "median level", "last year's course")


def forecasts(training: Training) -> dict[str, Floats]:
    """What every candidate that can says: name -> (H,) on the even scale. The reference is always among them."""
    said: dict[str, Floats] = {}
    for name, model in MODELS.items():
        ahead = model(training)
        if ahead is not None and bool(np.all(np.isfinite(ahead))):
            said[name] = ahead
    combined = [ahead for name, ahead in said.items() if name not in _NOT_COMBINED]
    if len(combined) > 2:
        said[COMBINATION] = np.asarray(np.median(combined, axis=0))
    return said
