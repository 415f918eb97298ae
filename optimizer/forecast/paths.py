"""Sample paths: futures that hang together over the hours and over the pools, and agree with the intervals.

A path's rank at each hour is a Gaussian copula's: a level that wanders as slowly as the errors did, and what comes
and goes within the day. Ranks are then read off the calibrated quantiles, so that over all paths every hour has
exactly the distribution that the intervals state (Clark and others' Schaake shuffle, J. Hydrometeorology 2004, with a
model of the ranks in place of a historical template).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from optimizer.forecast.marginals import Bools, Ints
from optimizer.forecast.scale import Floats
from optimizer.forecast.season import DAY

_PERSISTENCE: Final = (0.5, 0.995)
_FEWEST_DAYS: Final = 10


@dataclass(frozen=True)
class Dependence:
    """How the errors of a forecast hang together over time."""

    slow: float
    """Share of their variance that a whole day has in common."""
    daily: float
    """Correlation of that common part from one day to the next."""
    hourly: float
    """Correlation of the rest from one hour to the next."""


TYPICAL: Final = Dependence(slow=0.5, daily=0.95, hourly=0.7)
"""Of errors of a series too short to see any."""


def _by_day(relative: Floats, known: Bools, leads: Ints) -> tuple[Floats, Bools]:
    """(N, D, 24) errors of whole days ahead, as far as every hour is compared, and (N, D) which days are known.

    Where less than a day is foretold, all its hours are the one day there is.
    """
    hours = int(np.count_nonzero(leads == np.arange(len(leads))))
    length = min(hours, DAY)
    shape = (len(relative), hours // length, length)
    used = shape[1] * length
    table = np.clip(relative[:, :used], -3.0, 3.0).reshape(shape)
    use: Bools = np.all(known[:, :used].reshape(shape), axis=2)
    return table, use


def errors_by_day(relative: Floats, known: Bools, leads: Ints, origins: Ints) -> dict[int, float]:
    """Mean error of each day of the history, over the origins that foretold it: how pools are seen to go together.

    Parameters
    ----------
    relative, known, leads
        As in :func:`dependence`.
    origins
        (N,) hours known at each.
    """
    table, use = _by_day(relative, known, leads)
    found: dict[int, list[float]] = {}
    means = table.mean(axis=2) if table.size else np.zeros(use.shape)
    for k, day in zip(*np.nonzero(use), strict=True):
        found.setdefault(int(origins[k]) // DAY + int(day), []).append(float(means[k, day]))
    return {day: float(np.mean(errors)) for day, errors in found.items()}


def dependence(relative: Floats, known: Bools, leads: Ints) -> Dependence:
    """How do errors hang together?

    Parameters
    ----------
    relative
        (N, K) errors in units of their spread, at N origins and K steps.
    known
        (N, K) which of them are known.
    leads
        (K,) hours ahead of the steps.
    """
    table, use = _by_day(relative, known, leads)
    if np.count_nonzero(use) < 2:
        return TYPICAL
    means = table.mean(axis=2)
    rest = (table - means[:, :, None])[use]
    total = float(np.mean(np.square(table[use])))
    if total <= 0:
        return TYPICAL
    within = float(np.mean(np.square(rest)))
    hourly = float(np.sum(rest[:, 1:] * rest[:, :-1]) / max(float(np.sum(np.square(rest))), 1e-12))
    slow = float(np.clip(1 - within / total, 0.05, 0.95))
    pairs = use[:, 1:] & use[:, :-1]
    daily = 0.9
    if np.count_nonzero(pairs) >= 2:
        before, after = means[:, :-1][pairs], means[:, 1:][pairs]
        daily = float(np.dot(before, after) / max(np.sqrt(np.dot(before, before) * np.dot(after, after)), 1e-12))
    return Dependence(slow, float(np.clip(daily, *_PERSISTENCE)), float(np.clip(hourly + 1 / DAY, 0.0, 0.98)))


def slow_part(shocks: Floats, growth: Floats, how: Dependence) -> Floats:
    """(S, D) the level's ranks by day, unit variance, from independent shocks (S, D).

    Where the spread grows from day to day (``growth`` (D,), its spread), what is new is independent of what was; so a
    level that wanders keeps its past.
    """
    level = np.empty_like(shocks)
    level[:, 0] = shocks[:, 0]
    for day in range(1, shocks.shape[1]):
        keep = how.daily * min(growth[day - 1] / growth[day] if growth[day] > 0 else 1.0, 1.0)
        level[:, day] = keep * level[:, day - 1] + np.sqrt(1 - keep * keep) * shocks[:, day]
    return level


def fast_part(shocks: Floats, how: Dependence) -> Floats:
    """(S, H) ranks of what comes and goes, unit variance, from independent shocks (S, H)."""
    from scipy.signal import lfilter

    keep = how.hourly
    shocks = shocks.copy()
    shocks[:, 1:] *= np.sqrt(1 - keep * keep)
    return np.asarray(lfilter([1.0], [1.0, -keep], shocks, axis=1), dtype=np.float64)


def levels_of(slow: Floats, fast: Floats, how: Dependence) -> Floats:
    """(S, H) probability at which each path lies in each hour: every hour holds (i + 1/2) / S for i = 0 ... S - 1."""
    paths, steps = fast.shape
    by_hour = np.sqrt(how.slow) * np.repeat(slow, DAY, axis=1)[:, :steps] + np.sqrt(1 - how.slow) * fast
    order = np.argsort(by_hour, axis=0, kind="stable")
    ranks = np.empty((paths, steps))
    np.put_along_axis(ranks, order, np.broadcast_to(np.arange(paths)[:, None] + 0.5, (paths, steps)), axis=0)
    return np.asarray(ranks / paths, dtype=np.float64)


def shock_roots(days: list[dict[int, float]]) -> Floats:
    """(P, P) root of the correlation of the pools' errors: how each mixes independent shocks, squares adding up to 1.

    From mean errors of the same days, shrunk towards independence.

    Parameters
    ----------
    days
        For each pool, day -> mean error of that day in units of its spread.
    """
    pools = len(days)
    found = np.eye(pools)
    for i in range(pools):
        for j in range(i):
            common = sorted(days[i].keys() & days[j].keys())
            if len(common) < _FEWEST_DAYS:
                continue
            x, y = (np.array([days[k][day] for day in common]) for k in (i, j))
            scale = np.sqrt(np.mean(np.square(x)) * np.mean(np.square(y)))
            if scale > 0:
                weight = len(common) / (len(common) + _FEWEST_DAYS)
                found[i, j] = found[j, i] = weight * float(np.mean(x * y)) / scale
    values, vectors = np.linalg.eigh(found)
    root = vectors * np.sqrt(np.maximum(values, 1e-6))
    return np.asarray(root / np.linalg.norm(root, axis=1, keepdims=True))
