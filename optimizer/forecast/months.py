"""A forecast by calendar month: what finance teams read."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from optimizer.forecast.joint import Forecast
from optimizer.forecast.scale import Floats

ALL_POOLS = "all pools"


@dataclass(frozen=True)
class Month:
    """Demand of a pool over the hours of a month that are foretold."""

    month: str
    """``2026-03``."""
    hours: int
    """Hours of it that are foretold."""
    mean: float
    """Expected mean demand."""
    p10: float
    p50: float
    p90: float
    """Quantiles of the month's mean demand over the sample paths."""
    peak: float
    """Median over the sample paths of the month's highest hour."""
    peak_p90: float
    """The highest hour that nine in ten sample paths stay within."""


def by_month(start: datetime, paths: Floats) -> tuple[Month, ...]:
    """What does each month ask for?

    Parameters
    ----------
    start
        First hour foretold, UTC.
    paths
        (S, H) sample paths.
    """
    names = np.array([(start + timedelta(hours=hour)).strftime("%Y-%m") for hour in range(paths.shape[1])])
    months = []
    for name in dict.fromkeys(names.tolist()):
        of_month = paths[:, names == name]
        means, peaks = of_month.mean(axis=1), of_month.max(axis=1)
        p10, p50, p90 = (float(one) for one in np.quantile(means, (0.1, 0.5, 0.9)))
        peak, high = (float(one) for one in np.quantile(peaks, (0.5, 0.9)))
        months.append(Month(name, of_month.shape[1], float(means.mean()), p10, p50, p90, peak, high))
    return tuple(months)


def monthly(forecast: Forecast) -> dict[str, tuple[Month, ...]]:
    """What does each pool, and where there are several, all together, ask for in each month?"""
    total = np.zeros((1, 1))
    found = {}
    for pool, series in zip(forecast.pools, forecast.series, strict=True):
        paths = series.paths
        found[pool] = by_month(forecast.start, paths)
        total = total + paths
    if len(found) > 1:
        found[ALL_POOLS] = by_month(forecast.start, total)
    return found
