"""Did demand move to another level, and when? Not by a season, not by a trend: from one day to the next.

Days are cut into spells, each with a level and a slope of its own, so that the squared residuals and a penalty for
each cut are least (optimal partitioning). A cut is a shift when the week after it differs from the week before it by
far more than weeks that follow each other usually do: a trend, a yearly season or a random walk moves every week.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

DAY_H: Final = 24
WEEK_H: Final = 168

SHORTEST_SPELL_DAYS: Final = 14
"""A shorter spell is an event, not a level."""

USUAL_CHANGES: Final = 5.0
"""A shift is so many times larger than the robust deviation of the change from one week to the next."""

LEAST_SHARE: Final = 0.1
"""A shift changes the level by so much of the larger one: less may be real, but moves no purchase."""

PENALTY: Final = 6.0
"""A cut must lower the residuals by so many variances of the noise, times the logarithm of the days: three parameters
(place, level, slope), each at twice the price that the Bayesian information criterion asks."""

_MAD: Final = 1.4826
"""Median absolute deviations in a standard deviation of a normal distribution."""


@dataclass(frozen=True)
class Shift:
    """A change of level that stays."""

    hour: int
    """First hour on the new level."""
    before: float
    """Median of the week before."""
    after: float
    """Median of the week after."""

    @property
    def size(self) -> float:
        """By how much the level rose; negative where it fell."""
        return self.after - self.before


def level_shifts(values: Floats, *, penalty: float = PENALTY) -> tuple[Shift, ...]:
    """When did a series move to another level?

    Parameters
    ----------
    values : (T,) float64
        Hourly demand without outliers.
    penalty
        Price of a cut, in variances of the noise for each unit of log(days).

    Returns
    -------
    shifts
        In the order of time; none where the series is shorter than four weeks.

    Notes
    -----
    F(t) = min over s <= t - 14 of F(s) + C(s, t) + penalty * variance * log(n), where C is the sum of squares about the
    straight line through days s to t. The noise is that of a day against its neighbours, times (1 + r) / (1 - r) where
    residuals of one day and the next correlate by r > 0.

    References
    ----------
    Jackson et al., An algorithm for optimal partitioning of data on an interval, IEEE Signal Processing Letters 12
    (2005), equation 3; Killick, Fearnhead and Eckley, Optimal detection of changepoints with a linear computational
    cost, JASA 107 (2012), section 2.2.

    Examples
    --------
    >>> demand = np.where(np.arange(2000) < 1000, 10.0, 20.0) + np.tile([0.0, 1.0], 1000)
    >>> [(shift.hour, shift.size) for shift in level_shifts(demand)]
    [(1000, 10.0)]
    """
    days = len(values) // DAY_H
    if days < 2 * SHORTEST_SPELL_DAYS:
        return ()
    offset = len(values) - days * DAY_H  # whole days, counted from the end: the newest hours matter most
    flat = _without_week(values)
    day = np.median(flat[offset:].reshape(days, DAY_H), axis=1)
    found = []
    for cut in _cuts(day, penalty):
        hour = _to_the_hour(flat, offset + cut * DAY_H)
        before, after = (
            float(np.median(part)) for part in (values[max(hour - WEEK_H, 0) : hour], values[hour:][:WEEK_H])
        )
        found.append(Shift(hour, before, after))
    usual, slope = _usual_change(day)
    return tuple(
        shift
        for shift in found
        if abs(shift.size - slope) > USUAL_CHANGES * usual
        and abs(shift.size) >= LEAST_SHARE * max(abs(shift.before), abs(shift.after))
    )


def _without_week(values: Floats) -> Floats:
    """Values less what the hour of the week adds to the level of its week."""
    weeks = len(values) // WEEK_H
    whole = values[len(values) - weeks * WEEK_H :].reshape(weeks, WEEK_H)
    profile = np.median(whole - np.median(whole, axis=1, keepdims=True), axis=0)
    phase = (np.arange(len(values)) - len(values)) % WEEK_H
    flat: Floats = values - profile[phase]
    return flat


def _cuts(day: Floats, penalty: float) -> list[int]:
    """First days of spells, but for the first spell."""
    days = len(day)
    price = penalty * _noise_variance(day) * np.log(days)
    x = np.arange(days, dtype=np.float64)
    level = float(np.median(day))
    sums = [
        np.concatenate(([0.0], np.cumsum(column)))
        for column in (x, x * x, day - level, (day - level) ** 2, x * (day - level))
    ]
    best = np.full(days + 1, np.inf)
    best[0] = -price
    came_from = np.zeros(days + 1, dtype=np.int64)
    for end in range(SHORTEST_SPELL_DAYS, days + 1):
        start = np.arange(end - SHORTEST_SPELL_DAYS + 1)
        sx, sxx, sy, syy, sxy = (total[end] - total[start] for total in sums)
        n = end - start
        spread = sxx - sx * sx / n
        residual = syy - sy * sy / n - (sxy - sx * sy / n) ** 2 / spread
        cost = best[start] + np.maximum(residual, 0.0) + price
        came_from[end] = int(np.argmin(cost))
        best[end] = cost[came_from[end]]
    cuts = []
    end = days
    while came_from[end] > 0:
        end = int(came_from[end])
        cuts.append(end)
    return cuts[::-1]


def _noise_variance(day: Floats) -> float:
    """Variance of a day about the line through its neighbours, made larger where residuals come in waves."""
    bend = day[1:-1] - (day[:-2] + day[2:]) / 2
    variance = (_MAD * float(np.median(np.abs(bend)))) ** 2 / 1.5
    smooth = _rolling_median(day, SHORTEST_SPELL_DAYS + 1)
    residual = day - smooth
    power = float(residual @ residual)
    if power == 0:
        return variance
    r = min(max(float(residual[1:] @ residual[:-1]) / power, 0.0), 0.9)
    largest = float(np.abs(day).max(initial=0.0))
    return max(variance * (1 + r) / (1 - r), (1e-6 * largest) ** 2)


def _rolling_median(values: Floats, width: int) -> Floats:
    padded = np.pad(values, width // 2, mode="reflect")
    median: Floats = np.median(np.lib.stride_tricks.sliding_window_view(padded, width), axis=1)
    return median


def _usual_change(day: Floats) -> tuple[float, float]:
    """Robust deviation, and median, of the change of the median from one week to the next."""
    week = np.median(np.lib.stride_tricks.sliding_window_view(day, 7), axis=1)
    change = week[7:] - week[:-7]
    slope = float(np.median(change))
    return _MAD * float(np.median(np.abs(change - slope))), slope


def _to_the_hour(flat: Floats, near: int) -> int:
    """The hour within two days of a cut at which one step explains most of the fortnight around it."""
    begin, end = max(near - WEEK_H, 0), min(near + WEEK_H, len(flat))
    around = flat[begin:end] - np.median(flat[begin:end])
    total = np.cumsum(around)
    hour = np.arange(max(near - 2 * DAY_H, begin + DAY_H), min(near + 2 * DAY_H, end - DAY_H) + 1)
    left = (hour - begin).astype(np.float64)
    sum_left = total[hour - begin - 1]
    gain = sum_left**2 / left + (total[-1] - sum_left) ** 2 / (len(around) - left)
    return int(hour[int(np.argmax(gain))])
