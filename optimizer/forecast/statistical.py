"""MSTL, ETS and ARIMA of statsmodels, so called that a backtest can afford them.

The season of a long series is what it was in its last weeks, so MSTL sees no more than those; trends are fitted to
means of days, and of weeks where the horizon is long. statsmodels takes seconds to import: it is, where it is called.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from optimizer.forecast.decomposed import Decomposed, decomposed
from optimizer.forecast.scale import Floats
from optimizer.forecast.season import DAY, WEEK, Seasons, tiled

_MSTL_WEEKS: Final = 10
_FEWEST: Final = 10
"""Fewer means than this carry no trend."""
_MOST_DAYS: Final = 400
_LONG_DAYS: Final = 60
"""Horizons beyond this see the trend of weeks, not of days."""
_ARMA_HOURS: Final = 6 * WEEK
_WINDOWS: Final = {DAY: 35, WEEK: 51}
"""Cycles over which MSTL smooths a season: an hour's season is a mean of many, not of the last few."""
_GROWN: Final = 1.2
"""Parameters are estimated anew once the series is so much longer than the one they came from."""


@dataclass
class Remembered:
    """Parameters that an earlier origin of the same backtest estimated, on less of the series than is known now.

    To estimate them costs sixty times what it costs to run the smoothing with them.
    """

    parameters: dict[str, tuple[int, Floats]] = field(default_factory=dict)
    """By the model's name: length of the series they were estimated on, and the parameters."""


def by_mstl(values: Floats, seasons: Seasons, steps: int) -> Decomposed | None:
    """Take out the seasons of MSTL (Bandara, Hyndman and Bergmeir 2021); None where the series is too short for it.

    Its seasons of 24 and 168 hours go on as in their last cycle.
    """
    periods = [DAY] * seasons.daily + [WEEK] * seasons.weekly
    hours = min(len(values), _MSTL_WEEKS * WEEK)
    if not periods or hours <= 2 * periods[-1]:
        return None
    from statsmodels.tsa.seasonal import MSTL

    recent = values[-hours:]
    jumps = {"seasonal_jump": 5, "trend_jump": 2 * DAY, "low_pass_jump": 2 * DAY, "inner_iter": 1, "outer_iter": 0}
    with _quiet():
        windows = [_WINDOWS[period] for period in periods]
        parts = MSTL(_calm(recent), periods=periods, windows=windows, iterate=2, stl_kwargs=jumps).fit().seasonal
    seasonal = np.asarray(parts, dtype=np.float64).reshape(hours, -1)
    ahead = sum((tiled(seasonal[-period:, i], steps) for i, period in enumerate(periods)), np.zeros(steps))
    return decomposed(recent - seasonal.sum(axis=1), ahead)


def ets_level(parts: Decomposed, name: str, remembered: Remembered) -> Floats | None:
    """Exponential smoothing with a damped trend, ETS(A,Ad,N): (H,), None where there are too few days.

    Hyndman, Koehler, Ord and Snyder, *Forecasting with Exponential Smoothing* (2008), table 2.2.
    """
    days = -(-parts.steps // DAY)
    means, each = _means(parts, days)
    if len(means) < _FEWEST or np.ptp(means) == 0:
        return None
    from statsmodels.tsa.exponential_smoothing.ets import ETSModel

    with _quiet():
        model = ETSModel(means, trend="add", damped_trend=True, initialization_method="heuristic")
        length, parameters = remembered.parameters.get(name, (0, np.zeros(0)))
        if len(means) > _GROWN * length:
            parameters = np.asarray(model.fit(disp=False, maxiter=30).params, dtype=np.float64)
            remembered.parameters[name] = (len(means), parameters)
        ahead = np.asarray(model.smooth(parameters).forecast(-(-days // each)), dtype=np.float64)
    return _by_hour(ahead, each, parts)


def arima_level(parts: Decomposed) -> Floats | None:
    """ARIMA on the seasonally adjusted series: (H,), None where there are too few values.

    About a mean, hour by hour, up to two months ahead; fitted by Hannan and Rissanen's regressions (Biometrika 1982).
    ARIMA(2,0,1), or (2,0,0) where its moving average could not be told.
    """
    days = -(-parts.steps // DAY)
    if days > _LONG_DAYS or len(parts.adjusted) < 7 * DAY or np.ptp(parts.adjusted) == 0:
        return None
    from statsmodels.tsa.arima.estimators.hannan_rissanen import hannan_rissanen

    recent = parts.adjusted[-_ARMA_HOURS:]
    mean = float(recent.mean())
    centred = recent - mean
    for order in (1, 0):
        with _quiet():
            estimate, _ = hannan_rissanen(centred, ar_order=2, ma_order=order, demean=False)
        ar = np.asarray(estimate.ar_params, dtype=np.float64)
        ma = float(estimate.ma_params[0]) if order else 0.0
        if estimate.is_stationary and abs(ma) < 1:
            return mean + _arma_ahead(centred, ar, ma, parts.steps)
    return None


def _arma_ahead(centred: Floats, ar: Floats, ma: float, steps: int) -> Floats:
    """Forecasts of an ARMA(2,1) about 0: its innovations so far, then the recursion without new ones."""
    from scipy.signal import lfilter

    innovations = lfilter([1.0, -ar[0], -ar[1]], [1.0, ma], centred)
    ahead = np.empty(steps)
    before, last = centred[-2], centred[-1]
    for step in range(steps):
        value = ar[0] * last + ar[1] * before + (ma * innovations[-1] if step == 0 else 0.0)
        ahead[step] = value
        before, last = last, value
    return ahead


def _means(parts: Decomposed, days_ahead: int) -> tuple[Floats, int]:
    """Means that the trend is fitted to, and the days that each covers."""
    if days_ahead <= _LONG_DAYS or len(parts.daily) < 7 * _FEWEST:
        return parts.daily[-_MOST_DAYS:], 1
    weeks = len(parts.daily) // 7
    return parts.daily[-7 * weeks :].reshape(weeks, 7).mean(axis=1), 7


def _by_hour(ahead: Floats, days_each: int, parts: Decomposed) -> Floats:
    """Means of days or weeks as hours, drawn through their middles; the last hours' deviation fades in front."""
    hours = days_each * DAY
    middles = hours * (np.arange(len(ahead)) + 0.5)
    level = np.asarray(np.interp(np.arange(parts.steps) + 0.5, middles, ahead), dtype=np.float64)
    return level + parts.following(float(level[0]))


def _calm(values: Floats) -> Floats:
    """Without hours that lie far outside what the series did in the weeks seen."""
    low, middle, high = np.quantile(values, (0.01, 0.5, 0.99))
    return np.clip(values, middle - 1.5 * (middle - low), middle + 1.5 * (high - middle))


@contextmanager
def _quiet() -> Iterator[None]:
    """A fit that did not converge is still a fit: the backtest judges what it foretells."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        yield
