"""At which level does a pool run, and where is it heading? Levels of whole weeks, and the trends through them.

A commitment lives for years: what decides it is the level of demand, week by week, not the hour. Levels are looked at
as logarithms, so that a trend is a rate of growth; lines are Theil-Sen lines, which a bad week does not turn.

References
----------
P. K. Sen, "Estimates of the regression coefficient based on Kendall's tau", JASA 63 (1968); F. R. Hampel, "The
influence curve and its role in robust estimation", JASA 69 (1974).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

DAY_H: Final = 24
WEEK_H: Final = 168

LEAST_WEEKS: Final = 2
"""Fewer weeks of history than this are looked at day by day."""

LEAST_DAYS: Final = 4
"""Days that a history must have to tell a level from an accident."""

MAD_TO_SD: Final = 1.4826
"""A normal distribution's standard deviation over its median absolute deviation."""

OUTLIER_WINDOW: Final = 7
"""Levels whose median a level is held against, itself in the middle."""

OUTLIER_MADS: Final = 2.5
"""Deviations beyond which a level is an accident: a holiday, an outage, a launch."""

SMALLEST_SHARE: Final = 0.02
"""Of the highest level: logarithms are taken of no less, unless demand is lower now, so that an idle week is low and
not infinitely low."""


class Line(NamedTuple):
    """A trend through the last few levels."""

    level: float
    """Logarithm of the level at the last of them."""
    slope: float
    """Change of that logarithm from one to the next."""


@dataclass(frozen=True)
class Levels:
    """Mean demand of whole weeks (or days) up to the end of a history, oldest first."""

    block_h: int
    """Hours of a block: 168, or 24 where the history is short."""
    demand: Floats
    """(K, P) mean demand of each block."""

    @property
    def current(self) -> Floats:
        """(P,) mean of the last two blocks."""
        mean: Floats = self.demand[-2:].mean(axis=0)
        return mean

    @property
    def age(self) -> Ints:
        """(P,) blocks since a pool first wanted anything; 0 where it never did."""
        lived = self.demand > 0
        first = np.where(lived.any(axis=0), np.argmax(lived, axis=0), len(self.demand))
        return len(self.demand) - first


def levels_of(demand: Floats) -> Levels:
    """Which levels does an hourly history (T, P) run through?

    Hours at its beginning that fill no block are left out.

    Raises
    ------
    ValueError
        The history has fewer than four days.

    Examples
    --------
    >>> levels = levels_of(np.repeat([[1.0], [3.0]], 336, axis=0))
    >>> levels.block_h, levels.demand[:, 0], levels.current
    (168, array([1., 1., 3., 3.]), array([3.]))
    """
    block_h = WEEK_H if len(demand) >= LEAST_WEEKS * WEEK_H else DAY_H
    blocks = len(demand) // block_h
    if len(demand) < LEAST_DAYS * DAY_H:
        raise ValueError(f"a level needs {LEAST_DAYS} days of history at least, got {len(demand)} hours")
    whole = demand[len(demand) - blocks * block_h :]
    return Levels(block_h, whole.reshape(blocks, block_h, -1).mean(axis=1))


def logarithms(levels: Floats) -> Floats:
    """(K,) logarithms of a pool's levels over its life, accidents replaced.

    >>> logarithms(np.full(12, np.e)).round(6)[:3]
    array([1., 1., 1.])
    """
    least = min(SMALLEST_SHARE * levels.max(), max(levels[-2:].mean(), 1e-9 * levels.max()))
    return without_accidents(np.log(np.maximum(levels, least)))


def without_accidents(levels: Floats) -> Floats:
    """Replace levels that stand out from those around them (Hampel's filter).

    The last two stay: nothing after them tells an accident from a change.

    >>> without_accidents(np.array([5.0, 5.1, 5.0, 9.0, 5.1, 5.0, 5.1, 5.0, 5.1, 5.0])).max().round(2)
    np.float64(5.1)
    """
    half = OUTLIER_WINDOW // 2
    if len(levels) < OUTLIER_WINDOW + 1:
        return levels
    padded = np.pad(levels, half, mode="reflect", reflect_type="odd")
    middle = np.median(np.lib.stride_tricks.sliding_window_view(padded, OUTLIER_WINDOW), axis=1)
    off = np.abs(levels - middle)
    bound = OUTLIER_MADS * max(MAD_TO_SD * float(np.median(off)), 0.01)
    kept = np.where(off > bound, middle, levels)
    kept[-2:] = levels[-2:]
    return kept


def trend(levels: Floats, over: int) -> Line:
    """Which line runs through the last ``over`` levels? The median of the slopes of all pairs.

    Fewer than three levels have no slope.

    >>> trend(np.array([1.0, 2.0, 3.0, 9.0, 5.0]), over=5)
    Line(level=5.0, slope=1.0)
    """
    last = levels[-over:]
    if len(last) < 3:
        return Line(float(last[-1]), 0.0)
    one, other = np.triu_indices(len(last), 1)
    slope = float(np.median((last[other] - last[one]) / (other - one)))
    back = np.arange(1 - len(last), 1)
    return Line(float(np.median(last - slope * back)), slope)


def lasting_change(levels: Floats) -> float:
    """How much does a level change for good, from one to the next? A standard deviation, of logarithms.

    Changes over four levels, divided by two: of a random walk the same, of noise that comes and goes a quarter. The
    larger of a robust figure and half of the plain one, which a jump moves.

    >>> lasting_change(np.zeros(20))
    0.0
    """
    step = 4 if len(levels) >= 12 else 1
    change = levels[step:] - levels[:-step]
    if len(change) < 4:
        return UNKNOWN_CHANGE
    robust = MAD_TO_SD * float(np.median(np.abs(change - np.median(change))))
    return float(max(robust, 0.5 * float(change.std())) / np.sqrt(step))


UNKNOWN_CHANGE: Final = 0.1
"""Lasting change from week to week that is assumed of a pool too young to show its own."""
