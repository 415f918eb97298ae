"""How far off is a forecast at each step? Quantiles from the errors that the backtest saw, not from a model's belief.

Errors of rolling origins are put on one footing (hour of the day, hours ahead), pooled, and their quantiles taken:
split conformal prediction (Vovk, Gammerman and Shafer, *Algorithmic Learning in a Random World*, 2005; Lei and
others, JASA 2018), by step as Stankevičiūtė, Alaa and van der Schaar (NeurIPS 2021) do. Beyond the longest step seen,
the spread grows on by a power of the time ahead.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from optimizer.forecast.scale import Floats
from optimizer.forecast.season import DAY

Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]

LEVELS: Final = np.concatenate([[0.002, 0.005], np.linspace(0.01, 0.99, 99), [0.995, 0.998]])
"""Probabilities at which the quantiles of the pooled errors are kept."""

_CENTRAL: Final = 0.8
"""Spread is the half-width that holds this share of the errors."""
_SYMMETRIC: Final = 5.0
"""So many origins' worth of belief that errors are as often too high as too low."""
_BEYOND: Final = 1.5
"""The interval never reaches further than so many times the largest error seen, until its growth takes it there."""
_POWER: Final = (0.25, 0.5)
"""Least and greatest power of the time ahead by which spread grows beyond what was seen: 1/2 is a random walk's."""


@dataclass(frozen=True)
class Marginals:
    """Spread of the errors at each step, and the shape of their distribution."""

    spread: Floats
    """(H,) half-width that holds 80 % of the errors at each step, on the even scale."""
    shape: Floats
    """(Q,) quantiles at ``LEVELS`` of errors in units of the spread."""
    most: float = np.inf
    """Largest error believed, in units of the spread."""

    def at(self, level: Floats | float) -> Floats:
        """Quantile of the error in units of the spread.

        >>> Marginals(np.ones(1), np.linspace(-1, 1, len(LEVELS))).at(0.5).item()
        0.0
        """
        return np.asarray(np.interp(level, LEVELS, self.shape), dtype=np.float64)

    def first(self, steps: int) -> Marginals:
        """Give the same of the first steps."""
        return Marginals(self.spread[:steps], self.shape, self.most)

    def widened(self, factor: float) -> Marginals:
        """Give the same with all errors so many times as large, up to the largest believed."""
        most = self.most / factor
        return Marginals(self.spread * factor, np.clip(self.shape, -most, most), most)


def weighted_quantile(values: Floats, weights: Floats, levels: Floats | float) -> Floats:
    """Quantiles of weighted values, linear between their mid-ranks.

    >>> weighted_quantile(np.array([1.0, 2.0, 3.0]), np.ones(3), 0.5).item()
    2.0
    """
    order = np.argsort(values, kind="stable")
    ranked, weight = values[order], weights[order]
    middle = (np.cumsum(weight) - 0.5 * weight) / weight.sum()
    return np.asarray(np.interp(levels, middle, ranked), dtype=np.float64)


def calibrate(errors: Floats, known: Bools, leads: Ints, weights: Floats, steps: int, independent: float) -> Marginals:
    """How are the errors at each step ahead distributed?

    Parameters
    ----------
    errors
        (N, K) actual less forecast on the even scale, of N origins and K steps; every origin at the same hour of
        the day as the forecast's.
    known
        (N, K) which of them may be used; at least one.
    leads
        (K,) hours ahead of the steps, from 0, increasing.
    weights
        (N,) of the origins.
    steps
        H, steps to speak about.
    independent
        How many of the origins' windows do not overlap: the fewer, the wider.
    """
    weight = np.broadcast_to(weights[:, None], errors.shape)
    hour = leads % DAY
    size = np.abs(errors)
    typical = float(weighted_quantile(size[known], weight[known], _CENTRAL))
    if typical <= 0:
        typical = float(np.max(size[known])) / 2
    if typical <= 0:
        return Marginals(np.zeros(steps), np.zeros(len(LEVELS)))
    by_hour = _by_hour(size, known, weight, typical, hour)
    even = size / by_hour[hour]
    reach = int(leads[np.flatnonzero(known.any(axis=0))[-1]]) + 1
    grown = _grown(even, known, leads, weight, typical, reach)
    relative = errors / (by_hour[hour] * grown[np.minimum(leads, reach - 1)])
    # Conformal: the next origin is one more of the same kind, so quantiles are taken a little further out; the less,
    # the less the errors of one origin have in common, for then there are more of them than origins.
    seen = independent / max(_in_common(relative, known, weights), 1e-3)
    out = np.clip(0.5 + (LEVELS - 0.5) * (1 + 1 / max(seen, 1.0)), 0.0, 1.0)
    shape = weighted_quantile(relative[known], weight[known], out)
    shape = shape - shape[len(LEVELS) // 2]
    symmetric = 0.5 * (shape - shape[::-1])
    own = seen / (seen + _SYMMETRIC)
    spread = _extended(grown, steps) * by_hour[np.arange(steps) % DAY]
    # Demand that moves in rare steps has no spread at first: what it is far from there must not be scaled up later.
    most = _BEYOND * float(np.max(size[known])) / float(grown.max())
    return Marginals(spread, np.clip(own * shape + (1 - own) * symmetric, -most, most), most)


def _in_common(relative: Floats, known: Bools, weights: Floats) -> float:
    """Share of the errors' variance that is each origin's own mean: 1 where an origin is wrong by one amount."""
    count = known.sum(axis=1)
    clipped = np.where(known, np.clip(relative, -3.0, 3.0), 0.0)
    means = clipped.sum(axis=1) / np.maximum(count, 1)
    total = float(np.dot(weights, np.square(clipped).sum(axis=1)))
    return float(np.dot(weights, count * np.square(means))) / total if total > 0 else 1.0


def _by_hour(size: Floats, known: Bools, weight: Floats, typical: float, hour: NDArray[np.int64]) -> Floats:
    """(24,) relative size of errors by hour of the day, counted from the first step; shrunk to 1 where seen rarely."""
    relative = np.ones(DAY)
    seen = np.zeros(DAY)
    for each in range(min(DAY, size.shape[1])):
        column = np.where(hour == each)[0]
        use = known[:, column]
        if use.any():
            relative[each] = float(weighted_quantile(size[:, column][use], weight[:, column][use], _CENTRAL)) / typical
            seen[each] = np.count_nonzero(use)
    smooth = (np.roll(relative, 1) + 2 * relative + np.roll(relative, -1)) / 4
    trust = seen / (seen + 20.0)
    return np.asarray(np.clip(smooth, 0.2, 5.0) ** trust)


def _grown(size: Floats, known: Bools, leads: Ints, weight: Floats, typical: float, reach: int) -> Floats:
    """(reach,) spread by hours ahead, never less further ahead."""
    edges = [0, 1, 3, 6, 12]
    while edges[-1] < reach:
        edges.append(2 * edges[-1])
    middles, spreads, counts = [], [], []
    for first, last in zip(edges[:-1], np.minimum(edges[1:], reach), strict=True):
        columns = slice(*np.searchsorted(leads, (first, last)))
        use = known[:, columns]
        if use.any():
            spreads.append(float(weighted_quantile(size[:, columns][use], weight[:, columns][use], _CENTRAL)))
            middles.append(0.5 * (first + last))
            counts.append(float(use.any(axis=1).sum()))
    rising = _isotonic(np.maximum(spreads, 0.05 * typical), np.asarray(counts))
    return np.asarray(np.exp(np.interp(np.log(np.arange(reach) + 1.0), np.log(middles), np.log(rising))))


def _extended(spread: Floats, steps: int) -> Floats:
    """(steps,) the spread seen, and beyond it what its growth so far leads to expect."""
    seen = len(spread)
    if steps <= seen:
        return spread[:steps]
    early = spread[min(DAY, seen - 1)]
    power = _POWER[1]
    if seen > 7 * DAY:
        power = float(np.clip(np.log(spread[-1] / early) / np.log(seen / DAY), *_POWER))
    beyond = spread[-1] * (np.arange(seen, steps) / seen) ** power
    return np.concatenate([spread, beyond])


def _isotonic(values: Floats, weights: Floats) -> Floats:
    """Nearest non-decreasing values (pool adjacent violators)."""
    blocks: list[list[float]] = []
    for value, weight in zip(values, weights, strict=True):
        blocks.append([float(value), float(weight), 1.0])
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
            last = blocks.pop()
            before = blocks[-1]
            total = before[1] + last[1]
            blocks[-1] = [(before[0] * before[1] + last[0] * last[1]) / total, total, before[2] + last[2]]
    return np.concatenate([np.full(int(count), value) for value, _, count in blocks])
