"""Rolling origins: what would each model have said at past times, and how far off was it?

Every forecast is made from what was known at its origin, and only then compared. The procedure itself is rolled, too:
at each scored origin the model is chosen and the interval calibrated on origins whose outcome was known by then.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from optimizer.forecast.marginals import Bools, Ints, Marginals, calibrate, weighted_quantile
from optimizer.forecast.models import COMBINATION, REFERENCE
from optimizer.forecast.scale import Floats, Scale
from optimizer.forecast.season import DAY, WEEK

_ORIGINS: Final = 32
_FEWEST_HOURS: Final = 3 * DAY
_RECENT: Final = 26 * WEEK
"""Errors of origins longer ago than this (or three horizons) say little about the next."""
_CLEARLY: Final = 0.98
"""Share of the reference's error that a model must stay below to be used instead of it."""
_NEAR: Final = 1.03
"""The median of models is used where the best single one is no better than this: that one may have been lucky."""
_ENOUGH: Final = 8 * WEEK
"""A model that has seen less than this is further off than one that has: its errors count by the square of the share,
or a short history, whose first origins had seen least, would be given too wide an interval."""
_TRUST: Final = 2.0
"""Scored origins after which half of what they say of the intervals' width is believed."""
_FORGOTTEN: Final = 4 * WEEK
"""After so long (or two horizons) half of what an origin says of the intervals' width is forgotten: noise comes and
goes. One width for both sides: factors of their own, for above and below, held less and lost more on real demand."""
_DECIMALS: Final = 9
_EXACT: Final = 1e-6
"""A smaller share of mean demand than this is what arithmetic leaves, and no miss."""
_TO: Final = (0.6, 3.0)


@dataclass(frozen=True)
class Rolled:
    """Forecasts and outcomes at past origins, in units of demand."""

    origins: Ints
    """(N,) hours known at each origin, increasing."""
    leads: Ints
    """(K,) hours ahead, from 0, increasing: all of the first weeks, then one in so many."""
    ahead: dict[str, Floats]
    """Model -> (N, K) forecasts; NaN where it could not."""
    actual: Floats
    """(N, K) what came; NaN beyond the end of the series."""
    naive_error: Floats
    """(N,) mean absolute error of seasonal naive in the training data of each origin: MASE's scale."""
    scales: tuple[Scale, ...]
    """(N,) the even scale, as chosen at each origin."""

    @property
    def stands_for(self) -> Floats:
        """(K,) hours that each lead stands for, as shares of all."""
        gaps = np.diff(self.leads, append=2 * self.leads[-1] - self.leads[-2] if len(self.leads) > 1 else 1)
        return np.asarray(gaps / gaps.sum(), dtype=np.float64)

    @property
    def reach(self) -> int:
        """Hours ahead up to which origins are compared."""
        return int(self.leads[-1]) + 1

    def known(self, at_h: int) -> Bools:
        """(N, K) which outcomes were known when so many hours were."""
        return (self.origins[:, None] + self.leads + 1 <= at_h) & np.isfinite(self.actual)


@dataclass(frozen=True)
class Chosen:
    """A model, and the quantiles of its errors, as known at one time."""

    model: str
    marginals: Marginals
    ratio: float
    """Its mean absolute error over the reference's, at the origins known; NaN where there are none."""
    relative: Floats
    """(N, K) its errors in units of their spread; 0 where not known."""
    known: Bools
    """(N, K) which are known."""


@dataclass(frozen=True)
class Scores:
    """What the whole procedure scored at origins that it had not seen. NaN where there are none."""

    origins: int
    steps: int
    """Hours ahead up to which was scored."""
    mase: float
    """Mean absolute error over that of seasonal naive in the training data (Hyndman and Koehler 2006)."""
    mase_naive: float
    """The same of seasonal naive, at the same origins."""
    pinball: float
    """Mean pinball loss at 10, 50 and 90 %, over the same scale."""
    coverage_80: float
    """Share of the hours within P10 and P90."""
    relative_error: float
    """Mean absolute error as a share of mean demand."""


def place_origins(hours: int, horizon_h: int) -> tuple[Ints, int]:
    """Where are the origins, and how many steps does each foretell?

    Parameters
    ----------
    hours
        T, length of the series.
    horizon_h
        Steps that are asked for.

    Returns
    -------
    origins : (N,) int64
        Whole days apart and at the hour of the day at which the series ends, so that errors of one hour of the day
        can be compared; at different weekdays; the last as late as its outcome is known in full.
    steps : int
        At most ``horizon_h``; less where the series is too short to look back so far.
    """
    # What a model says that has seen less than half a horizon is not what it would say today.
    first = min(max(_FEWEST_HOURS, min(max(3 * WEEK, horizon_h // 2), hours // 3)), hours)
    steps = min(horizon_h, (hours - first) // 2)
    if steps < min(DAY, horizon_h):
        return np.zeros(0, dtype=np.int64), 0
    last = hours - steps
    first = max(first, last - max(_RECENT, 3 * steps))
    days = max(-(-((last - first) // DAY) // (_ORIGINS - 1)), 1)
    days += days % 7 == 0
    return np.arange(last, first - 1, -days * DAY, dtype=np.int64)[::-1], steps


def select(rolled: Rolled, known: Bools, weights: Floats) -> tuple[str, float]:
    """Which model has the least absolute error at the known origins and steps, beside the reference's?

    Returns
    -------
    model : str
        The reference where none is clearly better.
    ratio : float
        Of its error to the reference's; NaN where nothing is known.
    """
    unit = weights / rolled.naive_error
    share = known * rolled.stands_for
    base = share * np.abs(rolled.actual - rolled.ahead[REFERENCE])
    ratios = {}
    for name, ahead in rolled.ahead.items():
        could = np.isfinite(ahead[:, 0]) & known.any(axis=1)
        if np.count_nonzero(could) < max(1, 0.5 * np.count_nonzero(known.any(axis=1))):
            continue
        off = share * np.abs(rolled.actual - np.where(could[:, None], ahead, 0.0))
        own, reference = (float(np.sum(unit[could] * one[could].sum(axis=1))) for one in (off, base))
        ratios[name] = own / reference if reference > 0 else (1.0 if own == 0 else np.inf)
    if not ratios:
        return (COMBINATION if COMBINATION in rolled.ahead else REFERENCE), np.nan
    best = min(ratios, key=lambda name: ratios[name])
    if COMBINATION in ratios and ratios[COMBINATION] <= _NEAR * ratios[best]:
        best = COMBINATION
    return (best, ratios[best]) if ratios[best] < _CLEARLY else (REFERENCE, 1.0)


def choose(rolled: Rolled, at_h: int, scale: Scale, steps: int, *, model: str | None = None) -> Chosen | None:
    """Choose a model and calibrate its errors on what was known at one time; None where too little was.

    Parameters
    ----------
    rolled
        All origins; those whose outcome was not known at ``at_h`` are not looked at.
    at_h
        Hours known.
    scale
        On which errors are even, as chosen then.
    steps
        H, steps to speak about.
    model
        Calibrate this one instead of choosing.
    """
    known = rolled.known(at_h)
    if np.count_nonzero(known.mean(axis=1) > 0.5) < 2:
        return None
    horizon = rolled.reach
    had_seen = np.minimum(rolled.origins, _ENOUGH) / min(at_h, _ENOUGH)
    weights = np.square(had_seen) * 0.5 ** ((at_h - rolled.origins) / max(_RECENT / 2, 2 * horizon))
    name, ratio = (model, np.nan) if model else select(rolled, known, weights)
    ahead = rolled.ahead[name]
    known &= np.isfinite(ahead)
    if not known.any():
        return None
    errors = scale.forward(rolled.actual) - scale.forward(ahead)
    errors = np.where(known, errors, 0.0)
    used = rolled.origins[known.any(axis=1)]
    independent = 1 + float(used[-1] - used[0]) / max(horizon, DAY)
    marginals = calibrate(errors, known, rolled.leads, weights, max(steps, horizon), min(independent, len(used)))
    relative = errors / np.maximum(marginals.spread[rolled.leads], 1e-12)
    return Chosen(name, marginals.first(steps), ratio, relative, known)


@dataclass(frozen=True)
class Rolling:
    """What came of the procedure at the origins where it was scored."""

    scores: Scores
    relative: Floats
    """(R, K) errors in units of what P10 to P90 allowed: beyond 1 lie the misses."""
    when: Floats
    """(R, K) the hour at which each was known."""
    exact: float = 0.0
    """Share of the hours that were just what was foretold, so that an interval without width would hold them."""


UNTESTED: Final = Rolling(Scores(0, 0, np.nan, np.nan, np.nan, np.nan, np.nan), np.zeros((0, 1)), np.zeros((0, 1)))
"""Of a series too short for any origin."""


def roll(rolled: Rolled, *, model: str | None = None) -> Rolling:
    """Score the procedure at every origin from what was known there; one model alone, where named."""
    relative: list[Floats] = []
    when: list[Floats] = []
    rows = []
    share = rolled.stands_for
    for k, origin in enumerate(rolled.origins):
        scale, actual = rolled.scales[k], rolled.actual[k]
        chosen = choose(rolled, int(origin), scale, rolled.reach, model=model)
        if chosen is None or not np.isfinite(rolled.ahead[chosen.model][k, 0]):
            continue
        middle = scale.forward(rolled.ahead[chosen.model][k])
        spread = chosen.marginals.spread[rolled.leads]
        low, high = (chosen.marginals.at(level) * spread for level in (0.1, 0.9))
        error = scale.forward(actual) - middle
        factor = widening(relative, when, int(origin))
        # Where demand moves in rare steps nothing is allowed at first, and a step would seem an endless miss.
        least = max(0.25 * float(np.mean(high - low)), 1e-12)
        relative.append(np.abs(error) / np.maximum(np.where(error > 0, high, -low), least))
        when.append(origin + rolled.leads + 1.0)
        p10, p90 = (np.round(scale.back(middle + factor * side), _DECIMALS) for side in (low, high))
        p50, naive = rolled.ahead[chosen.model][k], rolled.ahead[REFERENCE][k]
        losses = sum(pinball(actual, q, p) for q, p in ((p10, 0.1), (p50, 0.5), (p90, 0.9))) / 3
        no_miss = _EXACT * float(np.mean(actual))
        off, held = np.abs(actual - p50), (actual >= p10 - no_miss) & (actual <= p90 + no_miss)
        found = (off, np.abs(actual - naive), losses, held, off, actual, off <= no_miss)
        unit = rolled.naive_error[k]
        rows.append(np.array([np.dot(share, one) for one in found]) / (unit, unit, unit, 1.0, 1.0, 1.0, 1.0))
    if not rows:
        return UNTESTED
    mase, naive_mase, loss, hits, wrong, demand, exact = (float(value) for value in np.mean(rows, axis=0))
    scores = Scores(len(rows), rolled.reach, mase, naive_mase, loss, hits, wrong / demand if demand > 0 else 0.0)
    return Rolling(scores, np.array(relative), np.array(when), exact)


def widening(relative: list[Floats] | Floats, when: list[Floats] | Floats, at_h: int) -> float:
    """By how much must intervals be wider to hold 80 % of what earlier ones, made the same way, were to hold?"""
    if not len(relative):
        return 1.0
    sizes, times = np.asarray(relative), np.asarray(when)
    known = times <= at_h
    told = known.mean(axis=1) > 0.5
    if not told.any():
        return 1.0
    first, last = times[:, 0], times[:, -1]
    weights = 0.5 ** ((first[told].max() - first) / max(_FORGOTTEN, 2 * float(np.max(last - first) + 1)))
    origins = float(weights[told].sum())
    needed = float(weighted_quantile(sizes[known], np.broadcast_to(weights[:, None], sizes.shape)[known], 0.8))
    return float(np.clip(max(needed, 1e-3) ** (origins / (origins + _TRUST)), *_TO))


def pinball(actual: Floats, quantile: Floats, level: float) -> Floats:
    """How bad is a quantile, given what came (Koenker and Bassett 1978)? The true one costs least on average."""
    off = actual - quantile
    return np.maximum(level * off, (level - 1) * off)
