"""The forecasts of every model at every origin, each made from nothing but what was known there."""

from __future__ import annotations

from typing import Final

import numpy as np

from optimizer.forecast.backtest import Rolled
from optimizer.forecast.marginals import Ints
from optimizer.forecast.models import Training, forecasts
from optimizer.forecast.occasions import Occasions
from optimizer.forecast.scale import Floats, choose_scale
from optimizer.forecast.season import DAY, WEEK, find_seasons
from optimizer.forecast.statistical import Remembered

_ALL_LEADS: Final = 4 * WEEK
_LEADS: Final = 800
"""So many leads beyond the first weeks are compared at most."""
_LEAST_SCALE: Final = 1e-9


def leads_of(steps: int) -> Ints:
    """Which hours ahead are compared: all of the first four weeks, then every so many, over all hours of the week."""
    if steps <= _ALL_LEADS + _LEADS:
        return np.arange(steps, dtype=np.int64)
    stride = -(-(steps - _ALL_LEADS) // _LEADS)
    while np.gcd(stride, WEEK) > 1:
        stride += 1
    return np.concatenate([np.arange(_ALL_LEADS), np.arange(_ALL_LEADS, steps, stride)])


def forecast_at(values: Floats, occasions: Occasions, origins: Ints, steps: int, period: int) -> Rolled:
    """Run every model at every origin.

    Parameters
    ----------
    values
        (T,) demand.
    occasions
        Holidays and events of the series.
    origins, steps
        As :func:`optimizer.forecast.backtest.place_origins` gives them.
    period
        Hours of the season of the naive forecast that errors are compared with.
    """
    leads = leads_of(steps)
    remembered = Remembered()
    ahead: dict[str, Floats] = {}
    actual = np.full((len(origins), len(leads)), np.nan)
    naive_error = np.ones(len(origins))
    scales = []
    for k, origin in enumerate(origins):
        usual = occasions.usual(values[:origin])
        scale = choose_scale(usual)
        even = scale.forward(usual)
        factor = occasions.factors(usual, values[:origin], steps)
        said = forecasts(Training(even, find_seasons(even), steps, period, remembered))
        for name, forecast in said.items():
            rows = ahead.setdefault(name, np.full(actual.shape, np.nan))
            rows[k] = (scale.back(forecast) * factor)[leads]
        actual[k] = values[origin + leads]
        naive_error[k] = naive_scale(values[:origin], period)
        scales.append(scale)
    return Rolled(origins, leads, ahead, actual, naive_error, tuple(scales))


def naive_scale(values: Floats, period: int) -> float:
    """Mean absolute difference of hours one season apart: the unit of MASE (Hyndman and Koehler 2006, equation 5).

    A day apart at least, as forecasts reach days ahead; 1 where the series never moved.
    """
    lag = max(period, min(DAY, len(values) - 1))
    if len(values) <= lag:
        return 1.0
    error = float(np.mean(np.abs(values[lag:] - values[:-lag])))
    return error if error > _LEAST_SCALE else 1.0
