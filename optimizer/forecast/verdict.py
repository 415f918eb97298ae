"""Can this series be forecast at all? Said plainly, with the reason, where it cannot."""

from __future__ import annotations

from typing import Final

import numpy as np

from optimizer.forecast.backtest import Scores
from optimizer.forecast.decomposed import Decomposed
from optimizer.forecast.season import DAY, Seasons

_CLEARLY: Final = 0.98
_STEADY: Final = 0.1
"""A series without a season whose error is a smaller share of its demand than this is steady enough."""
_FEWEST_ORIGINS: Final = 5
_MISSED: Final = 0.1
_FAR: Final = 6.0
_LAST_DAYS, _BEFORE_DAYS = 3, 28


def verdict(
    scores: Scores, seasons: Seasons, parts: Decomposed, horizon_h: int, *, chosen_mase: float | None = None
) -> tuple[str, ...]:
    """Why can the series not be forecast better than by repeating it? Empty where it can.

    Parameters
    ----------
    scores
        Of the backtest.
    seasons
        Found in the series.
    parts
        The series taken apart, on its even scale.
    horizon_h
        Hours asked for.
    chosen_mase
        What the models chosen at past origins scored, where that was worse than seasonal naive and this is used.
    """
    reasons = []
    if not scores.origins:
        reasons.append(
            f"The history of {len(parts.adjusted):,} h is too short to test a forecast of {horizon_h:,} h on its own "
            "past: the interval is a guess from how much demand varied"
        )
    else:
        if scores.mase > _CLEARLY * scores.mase_naive:
            mase = scores.mase if chosen_mase is None else chosen_mase
            reasons.append(
                f"No model foretold clearly better than seasonal naive at {scores.origins} past origins (MASE "
                f"{mase:.2f} beside {scores.mase_naive:.2f})"
            )
        if not seasons.daily and not seasons.weekly and scores.relative_error > _STEADY:
            reasons.append("No season was found, by day or by week: what is foretold is a level")
        if scores.origins >= _FEWEST_ORIGINS and abs(scores.coverage_80 - 0.8) > _MISSED:
            side = "only " if scores.coverage_80 < 0.8 else ""
            reasons.append(
                f"P10 to P90 held {side}{100 * scores.coverage_80:.0f} % of the hours at past origins instead of "
                "80 %: the series does not behave as it used to"
            )
    shift = shift_at_end(parts)
    if shift is not None:
        way = "higher" if shift > 0 else "lower"
        reasons.append(
            f"The last {_LAST_DAYS} days are far {way} than the {_BEFORE_DAYS} before them ({abs(shift):.0f} times "
            "the usual difference of days): whether that stays, the history cannot tell"
        )
    return tuple(reasons)


def shift_at_end(parts: Decomposed) -> float | None:
    """How far are the last days off the weeks before, in usual differences? None where not unusually far."""
    daily = parts.daily
    if len(daily) < _LAST_DAYS + _BEFORE_DAYS // 2:
        return None
    last, before = daily[-_LAST_DAYS:], daily[-_LAST_DAYS - _BEFORE_DAYS : -_LAST_DAYS]
    middle = float(np.median(before))
    spread = 1.4826 * float(np.median(np.abs(before - middle)))
    hourly = parts.adjusted[-_BEFORE_DAYS * DAY :]
    spread = max(spread, 0.2 * float(np.std(hourly - np.median(hourly))), 1e-9)
    off = last - middle
    if np.all(off > 0) or np.all(off < 0):
        size = float(np.median(off)) / spread
        return size if abs(size) > _FAR else None
    return None
