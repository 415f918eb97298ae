"""What a model may be fitted to: a series without outliers, its shifts of level, and which pools still live.

Nothing here changes a :class:`~optimizer.history.History`: outliers were wanted and are paid. They are only kept from
bending a forecast, and are told.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from optimizer.history import History
from optimizer.level_shifts import DAY_H, WEEK_H, Shift, level_shifts

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

THRESHOLD: Final = 6.0
"""Robust deviations from the usual beyond which an hour is an outlier. Hampel's 3 belongs to normal noise; demand has
longer tails, and every hour replaced narrows the forecast."""

MOST_OUTLIERS: Final = 0.02
"""Share of hours beyond which they are not outliers but the nature of the series, and none is replaced."""

LONGEST_SPELL_H: Final = 24
"""A longer row of unusual hours is an event or a new level, not an outlier."""

FEWEST_CYCLES: Final = 3
"""Weeks, or days, that say what is usual at an hour."""

YOUNG_H: Final = 2 * WEEK_H
"""A pool that has lived shorter shows no weekly season."""

_MAD: Final = 1.4826
"""Median absolute deviations in a standard deviation of normal noise, and mean ones."""
_MEAN_AD: Final = 1.2533
_LEAST_DEVIATION: Final = 0.02
"""Of the median demand: steadier noise than that is taken for so much."""


@dataclass(frozen=True)
class Cleaned:
    """A series for fitting. The arrays are read-only."""

    values: Floats
    """(T,) the series, its outliers replaced by what is usual at their hours."""
    outliers: Ints
    """(K,) hours that were replaced."""
    shifts: tuple[Shift, ...]
    """Changes of level, in the order of time. They are left in ``values``."""
    notes: tuple[str, ...]
    """What was found, one sentence each."""

    def on_last_level(self) -> Floats:
        """(T,) the values as they would be had the last level held from the start.

        What came before a shift is multiplied by the ratio of the two levels, where both are above 0.
        """
        levelled = self.values.copy()
        for shift in self.shifts:
            if shift.before > 0 and shift.after > 0:
                levelled[: shift.hour] *= shift.after / shift.before
        return levelled


def clean(values: Floats, *, threshold: float = THRESHOLD, known: Bools | None = None) -> Cleaned:
    """Which hours of a series are outliers, and when did its level shift?

    Parameters
    ----------
    values : (T,) float64
        Hourly demand of a pool within its life, 0 or more.
    threshold
        Robust deviations beyond which an hour is an outlier.
    known : (T,) bool, optional
        Hours that were measured, not filled in: only they can be outliers.

    Notes
    -----
    Usual at hour t is the median of the five same hours of the week around it (x[t - 336], ..., x[t + 336]; of seven
    days where there are fewer than three weeks). The deviation is that of the week around t: 1.4826 times its median
    absolute residual, or 1.2533 times the mean one where that is larger (a series that mostly stands still has a median
    of 0), and at least 2% of the median demand. A step of one (of the least difference between two values) is never an
    outlier, and a series that is 0 most of the time has none.

    References
    ----------
    Hampel, The influence curve and its role in robust estimation, JASA 69 (1974); Pearson, Outliers in process modeling
    and identification, IEEE Transactions on Control Systems Technology 10 (2002), section III (the Hampel filter);
    Iglewicz and Hoaglin, How to detect and handle outliers (1993), section 3.3 (the mean where the median is 0).

    Examples
    --------
    >>> week = 10.0 + np.arange(168) % 24
    >>> demand = np.tile(week, 6)
    >>> demand[500] = 400.0
    >>> cleaned = clean(demand)
    >>> cleaned.outliers, float(cleaned.values[500])
    (array([500]), 30.0)
    """
    values = np.array(values, dtype=np.float64)
    usual = _usual(values)
    notes: list[str] = []
    outliers = np.zeros(0, dtype=np.int64)
    if usual is not None:
        far = _far(values, usual, threshold)
        if known is not None:
            far &= known
        outliers = np.flatnonzero(far)
        if len(outliers) > MOST_OUTLIERS * len(values):
            share = len(outliers) / len(values)
            notes.append(f"{share:.1%} of the hours are far from usual: that is its nature, none was replaced")
            outliers = outliers[:0]
        elif len(outliers):
            hours = "1 hour is" if len(outliers) == 1 else f"{len(outliers)} hours are"
            notes.append(f"{hours} more than {threshold:g} robust deviations from usual: left out of the fit")
            values[outliers] = usual[outliers]
    shifts = level_shifts(values) if (values > 0).mean() > 0.5 else ()
    notes += [f"the level went from {shift.before:.4g} to {shift.after:.4g} at hour {shift.hour}" for shift in shifts]
    for array in (values, outliers):
        array.setflags(write=False)
    return Cleaned(values, outliers, shifts, tuple(notes))


def _usual(values: Floats) -> Floats | None:
    """What is usual at each hour: the median of the same hour nearby; None where too little is known to say."""
    hours = len(values)
    if (values > 0).mean() <= 0.5:
        return None
    if hours >= FEWEST_CYCLES * WEEK_H:
        offsets = WEEK_H * np.arange(-2, 3)
    elif hours >= FEWEST_CYCLES * DAY_H:
        offsets = DAY_H * np.arange(-3, 4)
    else:
        return None
    at = np.arange(hours)[:, np.newaxis] + offsets
    within = (at >= 0) & (at < hours)
    nearby = np.where(within, values[np.clip(at, 0, hours - 1)], np.nan)
    usual: Floats = np.nanmedian(nearby, axis=1)
    return usual


def _far(values: Floats, usual: Floats, threshold: float) -> Bools:
    """Which hours are far from usual, alone or in a row of at most a day?"""
    residual = values - usual
    least = _LEAST_DEVIATION * float(np.median(values))
    # The spread changes from day to day, not from hour to hour: one window for each day.
    centre = np.arange(0, len(values), DAY_H)
    window = np.clip(centre[:, np.newaxis] + DAY_H // 2 + np.arange(-WEEK_H // 2, WEEK_H // 2), 0, len(values) - 1)
    around = residual[window]
    middle = np.median(around, axis=1)
    distance = np.abs(around - middle[:, np.newaxis])
    spread = np.maximum(_MAD * np.median(distance, axis=1), _MEAN_AD * distance.mean(axis=1))
    of_day = np.arange(len(values)) // DAY_H
    off = np.abs(residual - middle[of_day])
    one_step = float(np.diff(np.unique(values)).min(initial=np.inf))
    far = (off > threshold * np.maximum(spread, least)[of_day]) & (off > 1.5 * one_step)
    edges = np.flatnonzero(np.diff(np.concatenate(([False], far, [False])).astype(np.int8))).reshape(-1, 2)
    for begin, end in edges:
        if end - begin > LONGEST_SPELL_H:
            far[begin:end] = False
    return np.asarray(far, dtype=np.bool_)


State = Literal["steady", "young", "ended", "never"]


@dataclass(frozen=True)
class Life:
    """Whether a pool still lives, and for how long it has."""

    pool: str
    state: State
    """``ended``: it has been idle for more than a week, and longer than ever before; ``young``: it has lived for less
    than two weeks; ``never``: it had no demand."""
    first_h: int
    """First hour of its life."""
    last_h: int
    """Last hour of its life."""
    idle_share: float
    """Share of its life without demand."""


def pool_lives(history: History) -> tuple[Life, ...]:
    """Which pools still live at the end of a history?

    Returns
    -------
    lives
        One for each pool, in the order of the history.
    """
    return tuple(_life(history, pool) for pool in range(len(history.pools)))


def _life(history: History, pool: int) -> Life:
    wanted = np.flatnonzero(history.demand[:, pool])
    first, last = int(history.first_h[pool]), int(history.last_h[pool])
    if not len(wanted):
        return Life(history.pools[pool], "never", first, last, 1.0)
    longest_rest = int(np.diff(wanted).max(initial=1)) - 1
    rest_at_end = history.hours - 1 - int(wanted[-1])
    state: State = "steady"
    if rest_at_end > max(WEEK_H, longest_rest):
        state = "ended"
    elif history.hours - first < YOUNG_H:
        state = "young"
    return Life(history.pools[pool], state, first, last, 1 - len(wanted) / (last - first + 1))
