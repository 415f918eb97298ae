"""Rolling origins of level futures: how far off were they, and how wide must they be to hold 80 % of the hours?

As in :mod:`optimizer.forecast.backtest`: every origin sees what was known there, and the spread that it is scored with
is taken from origins whose outcome was known by then.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from optimizer.forecast.backtest import UNTESTED, Scores, pinball, place_origins
from optimizer.forecast.futures import level_paths
from optimizer.forecast.marginals import Ints
from optimizer.forecast.occasions import Occasions
from optimizer.forecast.rolling import naive_scale
from optimizer.forecast.scale import Floats
from optimizer.forecast.season import WEEK, tiled

SPREADS: Final = np.geomspace(0.5, 2.0, 9)
"""Factors of the spread that are tried."""

_LEADS: Final = 300
"""So many hours ahead are compared at most, over all hours of the week."""
_FUTURES: Final = 100
_FEWEST_WEEKS: Final = 4
"""Weeks that a pool must have lived at an origin."""
_CENTRAL: Final = 0.8
_TRUST: Final = 3.0
"""Horizons between the first and the last origin after which half of what they say of the spread is believed: the
misses of origins whose horizons overlap are one miss."""


@dataclass(frozen=True)
class Pool:
    """A pool as the backtest needs it."""

    column: int
    """Its place in the history."""
    first_h: int
    """Its first hour."""
    occasions: Occasions
    """Holidays and events, counted from its first hour."""
    period: int
    """Hours of the season of the naive forecast."""

    def usual(self, demand: Floats) -> Floats:
        """(T,) demand without holidays and events, of a history (T, P)."""
        column = demand[:, self.column].copy()
        column[self.first_h :] = self.occasions.usual(column[self.first_h :])
        return column

    def factors(self, demand: Floats, usual: Floats, steps: int) -> Floats:
        """(steps,) what the occasions ahead multiply."""
        lived = slice(self.first_h, None)
        return self.occasions.factors(usual[lived], demand[lived, self.column], steps)


@dataclass(frozen=True)
class LevelPast:
    """What level futures said of one pool at past origins, and what came."""

    origins: Ints
    """(N,) hours known at each."""
    leads: Ints
    """(K,) hours ahead that are compared."""
    steps: int
    """Hours ahead up to which was compared."""
    actual: Floats
    """(N, K) what came."""
    middle: Floats
    """(N, K) medians."""
    low: Floats
    """(G, N, K) P10 with each of ``SPREADS``."""
    high: Floats
    """(G, N, K) P90 with each of them."""
    naive: Floats
    """(N, K) the last season repeated."""
    unit: Floats
    """(N,) error of seasonal naive within what was known: MASE's scale."""

    def spread(self, at_h: int) -> float | None:
        """Which factor of the spread would have held 80 % of what was known at one time? None where too little was.

        Between that and 1 where what is known covers the horizon few times.
        """
        known = self.origins[:, None] + self.leads + 1 <= at_h
        told = np.count_nonzero(known.mean(axis=1) > 0.5)
        if told < 2:
            return None
        held = (self.low <= self.actual) & (self.actual <= self.high)
        shares = np.maximum.accumulate(np.array([one[known].mean() for one in held]))
        needed = float(np.interp(_CENTRAL, shares + 1e-9 * np.arange(len(SPREADS)), np.log(SPREADS)))
        seen = self.origins[known.any(axis=1)]
        windows = float(seen[-1] - seen[0]) / self.steps
        return float(np.exp(needed * windows / (windows + _TRUST)))

    def scores(self) -> Scores:
        """How good were they at origins that their spread had not seen?"""
        rows = []
        for k, origin in enumerate(self.origins):
            spread = self.spread(int(origin))
            if spread is None:
                continue
            low, high = (self._between(table[:, k], spread) for table in (self.low, self.high))
            actual, middle = self.actual[k], self.middle[k]
            lost = sum(pinball(actual, q, p) for q, p in ((low, 0.1), (middle, 0.5), (high, 0.9))) / 3
            off, held = np.abs(actual - middle), (low <= actual) & (actual <= high)
            unit = self.unit[k]
            found = (off / unit, np.abs(actual - self.naive[k]) / unit, lost / unit, held, off, actual)
            rows.append([float(np.mean(one)) for one in found])
        if not rows:
            return UNTESTED.scores
        mase, naive, loss, hits, wrong, demand = np.mean(rows, axis=0).tolist()
        return Scores(len(rows), self.steps, mase, naive, loss, hits, wrong / demand if demand > 0 else 0.0)

    @staticmethod
    def _between(table: Floats, spread: float) -> Floats:
        """(K,) row of a table (G, K) that belongs to a factor, linear between those tried."""
        place = float(np.interp(np.log(spread), np.log(SPREADS), np.arange(len(SPREADS))))
        under = min(int(place), len(SPREADS) - 2)
        share = place - under
        row: Floats = (1 - share) * table[under] + share * table[under + 1]
        return row


def level_pasts(
    demand: Floats, pools: Sequence[Pool], horizon_h: int, *, seed: int, interchangeable: bool
) -> dict[int, LevelPast]:
    """What would level futures have said at past origins? By the column of the pool; none of those that were too young.

    Parameters
    ----------
    demand
        (T, P) of all pools.
    pools
        Those to test.
    horizon_h
        Hours that are asked for.
    seed, interchangeable
        As :func:`optimizer.forecast.futures.level_paths`.
    """
    origins, steps = place_origins(len(demand), horizon_h)
    if steps < 2 * WEEK:
        return {}
    stride = -(-steps // _LEADS)
    while np.gcd(stride, WEEK) > 1:
        stride += 1
    leads = np.arange(0, steps, stride, dtype=np.int64)
    rows: dict[int, list[tuple[int, Floats, Floats, Floats, Floats, float]]] = {}
    for origin in origins.tolist():
        known = demand[:origin]
        lived = [one for one in pools if _alive(known, one)]
        if not lived:
            continue
        usual = known.copy()
        for one in lived:
            usual[:, one.column] = one.usual(known)
        paths = level_paths(usual, steps, futures=_FUTURES, seed=seed, interchangeable=interchangeable)
        for one in lived:
            column = one.column
            values = usual[one.first_h :, column]
            factor = one.factors(known, usual[:, column], steps)[leads]
            ahead = (paths.at(column, leads, c, factor) for c in SPREADS)
            told = np.array([np.quantile(one, (0.1, 0.5, 0.9), axis=0) for one in ahead])
            naive = tiled(values[-one.period :], steps)[leads] * factor
            unit = naive_scale(known[one.first_h :, column], one.period)
            middle = told[len(SPREADS) // 2, 1]
            rows.setdefault(column, []).append((origin, middle, told[:, 0], told[:, 2], naive, unit))
    pasts = {}
    for column, found in rows.items():
        at = np.array([row[0] for row in found], dtype=np.int64)
        pasts[column] = LevelPast(
            origins=at,
            leads=leads,
            steps=steps,
            actual=demand[at[:, None] + leads, column],
            middle=np.array([row[1] for row in found]),
            low=np.array([row[2] for row in found]).swapaxes(0, 1),
            high=np.array([row[3] for row in found]).swapaxes(0, 1),
            naive=np.array([row[4] for row in found]),
            unit=np.array([row[5] for row in found]),
        )
    return pasts


def _alive(known: Floats, pool: Pool) -> bool:
    """Whether a pool had a level to go on from."""
    enough = len(known) - pool.first_h >= _FEWEST_WEEKS * WEEK
    return enough and bool(known[-2 * WEEK :, pool.column].any())
