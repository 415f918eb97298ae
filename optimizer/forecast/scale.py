"""On which scale does a series vary evenly? Counts spread with their level; a model wants them not to.

The three steps of the ladder of powers that demand needs: as it is, square root (spread grows with the root of the
level, as counts do), logarithm (spread is a share of the level).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_HOURS_PER_DAY: Final = 24
_FEWEST_DAYS: Final = 7
_SQRT_FROM, _LOG_FROM = 0.25, 0.75
"""Slope of log spread over log level: 0 needs no transform, 1/2 the square root, 1 the logarithm."""
_MOST_ZEROS: Final = 0.02
"""Share of hours without demand above which a logarithm would be made of its offset."""


@dataclass(frozen=True)
class Scale:
    """A monotone transform of demand and its inverse."""

    name: Literal["identity", "sqrt", "log"]
    offset: float = 0.0
    """Added before the logarithm: an hour without demand may yet come."""
    most: float = np.inf
    """Values are never taken back to more than this: an exponential knows no bounds, a market does."""

    def forward(self, values: Floats) -> Floats:
        """From demand to the even scale; below 0 counts as 0."""
        clipped = np.maximum(values, 0.0)
        if self.name == "sqrt":
            return np.asarray(np.sqrt(clipped), dtype=np.float64)
        if self.name == "log":
            return np.asarray(np.log(clipped + self.offset), dtype=np.float64)
        return np.asarray(values, dtype=np.float64)

    def back(self, values: Floats) -> Floats:
        """From the even scale to demand, at least 0.

        >>> Scale("sqrt").back(np.array([-1.0, 2.0])).tolist()
        [0.0, 4.0]
        """
        if self.name == "sqrt":
            values = np.square(np.maximum(values, 0.0))
        elif self.name == "log":
            top = np.log(min(self.most, 1e300) + self.offset)
            values = np.exp(np.minimum(values, top)) - self.offset
        return np.clip(values, 0.0, self.most)


def choose_scale(values: Floats) -> Scale:
    """On which scale is the spread the same at every level?

    The slope of log spread over log level (Box and Cox's λ is 1 less it; Guerrero, Journal of Forecasting 1993), over
    the hours of the day and over the days.

    Parameters
    ----------
    values
        (T,), at least 0, hourly.
    """
    most = 4.0 * float(np.max(values, initial=0.0))
    days = len(values) // _HOURS_PER_DAY
    if days < _FEWEST_DAYS or np.ptp(values) == 0:
        return Scale("identity", most=most)
    table = values[len(values) - days * _HOURS_PER_DAY :].reshape(days, _HOURS_PER_DAY)
    slopes = [slope for slope in (_slope(table), _slope(table.T)) if slope is not None]
    zeros = float(np.mean(values <= 0))
    steepest = float(np.mean(slopes)) if slopes else 0.5
    if steepest >= _LOG_FROM and zeros <= _MOST_ZEROS:
        return Scale("log", offset=(0.05 if zeros else 0.01) * float(np.median(values)), most=most)
    return Scale("sqrt" if steepest >= _SQRT_FROM else "identity", most=most)


def _slope(table: Floats) -> float | None:
    """Slope of log spread over log level over the columns of a table; None where the levels are too alike to tell."""
    level = np.median(table, axis=0)
    spread = np.median(np.abs(table - level), axis=0)
    use = (level > 0) & (spread > 0)
    if np.count_nonzero(use) < _FEWEST_DAYS:
        return None
    x, y = np.log(level[use]), np.log(spread[use])
    if np.std(x) < 0.1:
        return None
    return float(np.polyfit(x, y, 1)[0])
