"""The highest load at which a condition holds, in few tries: a bracket, narrowed by secants and by halves.

The condition is an *excess* that grows with the load: the logarithm of a latency over its target, so that it holds up
to 0. Latencies of a queue grow like 1 / (1 - load) near its capacity. In ``u = -ln(1 - load)`` the excess is then a
straight line of slope 1 (for M/M/1 exactly), and two tries tell where it crosses 0. Where the line misleads, the
bracket is halved.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

MOST_TRIES: Final = 16
"""Tries that halve even a bracket that secants cannot shrink to a thousandth of it."""

LEAST_SLOPE: Final = 0.1
"""Flatter lines say nothing about where the excess will cross 0, steeper ones than its reciprocal neither."""

APART: Final = 0.02
"""Two tries tell a slope only if their excess differs by this much: nearer to one another they differ by chance."""

INSIDE: Final = 0.1
"""A try keeps this share of the bracket away from its ends."""


@dataclass(frozen=True)
class Found:
    """Where a search ended."""

    load: float
    """The highest load tried at which the condition held; 0.0 if it held at none."""
    excess: float
    """The excess there; minus infinity if it held at none."""
    slope: float
    """Of the excess against u, near the crossing."""
    tries: int


def highest(
    excess: Callable[[float], tuple[float, float]],
    guess: float,
    *,
    limit: float,
    lowest: float = 1e-3,
    slope: float = 1.0,
    tolerance: float = 0.005,
    most_tries: int = MOST_TRIES,
) -> Found:
    """What is the highest load up to ``limit`` at which the excess is not above 0?

    Parameters
    ----------
    excess
        By load: the excess, increasing, infinite where there is no steady state; and how finely it is known. Nobody
        looks for a load whose excess is nearer to 0 than that. Dear: it is asked as rarely as possible.
    guess
        Where to begin.
    limit
        Highest load to consider, below 1.
    lowest
        Where nothing holds down to this load, the answer is 0.
    slope
        What the excess grows by, per unit of u, until two tries tell better.
    tolerance
        How far the answer may be below the crossing, as a share of it. Where the excess is so flat that it says little
        about the load, the answer may be further below it, with an excess of next to 0.
    most_tries
        Stop then, with what holds for certain.

    Notes
    -----
    The load returned has been tried: that the condition holds there does not rest on any interpolation.

    >>> found = highest(lambda load: (math.log(0.1 / (1 - load)), 0.0), 0.5, limit=0.97)
    >>> 0.8955 <= found.load <= 0.9, found.tries <= 3
    (True, True)
    """
    search = _Search(limit, slope, tolerance)
    load = min(max(guess, lowest), limit)
    tries = 0
    while True:
        search.note(load, *excess(load))
        tries += 1
        if tries >= most_tries or search.done() or (search.low is None and load <= lowest):
            break
        load = max(search.halfway() if tries % 4 == 0 else search.aim(), lowest)
    low = search.low
    return Found(low[0], low[1], search.slope, tries) if low else Found(0.0, -math.inf, search.slope, tries)


class _Search:
    """The bracket: the highest load that holds, the lowest that does not."""

    def __init__(self, limit: float, slope: float, tolerance: float) -> None:
        self._limit = limit
        self._tolerance = tolerance
        self.slope = slope
        self.low: tuple[float, float] | None = None
        self.high: tuple[float, float] | None = None
        self._grain = 0.0

    def note(self, load: float, excess: float, grain: float) -> None:
        """Take in a try."""
        before = [end for end in (self.low, self.high) if end is not None and math.isfinite(end[1])]
        self._grain = grain
        if excess <= 0:
            self.low = (load, excess)
        else:
            self.high = (load, excess)
        if before and math.isfinite(excess):
            near = min(before, key=lambda end: abs(end[1]))
            rise, across = excess - near[1], _u(load) - _u(near[0])
            if abs(rise) >= APART and across:
                self.slope = min(max(rise / across, LEAST_SLOPE), 1 / LEAST_SLOPE)

    def done(self) -> bool:
        """Whether the load that holds is as near to the crossing as was asked for."""
        if self.low is None:
            return False
        if self.low[0] >= self._limit or self.low[1] >= -self._grain:
            return True
        ends = [self._crossing()]
        if self.high is not None:
            ends.append(self.high[0])
        return min(ends) - self.low[0] <= self._tolerance * self.low[0]

    def aim(self) -> float:
        """Where to try next: just below the presumed crossing, well inside the bracket."""
        crossing = self._crossing()
        if self.high is None and crossing >= self._limit:
            return self._limit
        load = min(self._crossing(-self._grain / 2), crossing * (1 - self._tolerance / 2))
        if self.high is None:
            return load
        if self.low is None:
            return min(load, self.high[0] * (1 - self._tolerance))
        room = INSIDE * (self.high[0] - self.low[0])
        return min(max(load, self.low[0] + room), self.high[0] - room)

    def halfway(self) -> float:
        """The middle of the bracket, in u."""
        low = 0.0 if self.low is None else _u(self.low[0])
        high = _u(self._limit if self.high is None else self.high[0])
        return -math.expm1(-(low + high) / 2)

    def _crossing(self, excess: float = 0.0) -> float:
        """Where the excess presumably is that, at most the limit."""
        known = [end for end in (self.low, self.high) if end is not None and math.isfinite(end[1])]
        if not known:
            return self.halfway()
        near = min(known, key=lambda end: abs(end[1]))
        u = _u(near[0]) + (excess - near[1]) / self.slope
        return min(-math.expm1(-max(u, 0.0)), self._limit)


def _u(load: float) -> float:
    return -math.log1p(-load)
