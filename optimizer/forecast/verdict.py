"""Can this series be forecast at all? Said plainly, with the reason, where it cannot.

An interval that held too little speaks against the forecast; one that held too much is only wide, and is called so.
"""

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
_MISSED: Final = 0.70
"""The series no longer behaves as it did where its intervals held less than this instead of 80 %."""
_HELD: Final = (0.75, 0.85)
"""Less or more than this is said, too, but is no reason against the forecast."""
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
        if scores.origins >= _FEWEST_ORIGINS and round(scores.coverage_80, 4) < _MISSED:
            reasons.append(
                f"P10 to P90 held only {100 * scores.coverage_80:.0f} % of the hours at past origins instead of "
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


def interval_notes(scores: Scores, *, exact: float = 0.0) -> tuple[str, ...]:
    """How far off 80 % was what P10 to P90 held, where that speaks against the interval and not the forecast?

    Parameters
    ----------
    scores
        Of the backtest.
    exact
        Share of the hours that were just what was foretold: an interval without any width holds so many.

    >>> interval_notes(Scores(12, 24, 0.8, 1.0, 0.3, 0.92, 0.1))
    ('P10 to P90 held 92 % of the hours at past origins, more than 80 %: the interval is wider than it need be',)
    """
    if scores.origins < _FEWEST_ORIGINS:
        return ()
    held = f"{100 * scores.coverage_80:.0f} % of the hours at past origins"
    if exact > _HELD[0] and scores.coverage_80 > _HELD[1]:
        return (
            f"Demand was just what was foretold in {100 * exact:.0f} % of the hours at past origins, which an interval "
            f"without width holds: P10 to P90 held {100 * scores.coverage_80:.0f} %",
        )
    if round(scores.coverage_80, 4) > _HELD[1]:
        return (f"P10 to P90 held {held}, more than 80 %: the interval is wider than it need be",)
    if _MISSED <= round(scores.coverage_80, 4) < _HELD[0]:
        return (f"P10 to P90 held {held}, less than 80 %: the interval is narrower than it should be",)
    return ()


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
