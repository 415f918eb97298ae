"""Percentiles by the names of :data:`calibration.observation.STATISTICS`, and out of single measurements."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from calibration.observation import STATISTICS

MOST_SAMPLES: Final = 1_000
"""Single latencies kept for a row; of more, as many quantiles at equal steps."""

_NAMES: Final = {float(f"{name[1:3]}.{name[3:]}" if len(name) > 3 else name[1:]): name
                 for name in STATISTICS if name[1:].isdigit()}  # fmt: skip


def percentile_name(percent: float | str) -> str | None:
    """Which statistic is this percentile? None where there is no name for it.

    >>> percentile_name("99"), percentile_name(99.9), percentile_name("66"), percentile_name("P50")
    ('p99', 'p999', None, 'p50')
    """
    if isinstance(percent, str):
        percent = percent.strip().lower().removeprefix("p").removesuffix("%")
    try:
        return _NAMES.get(float(percent))
    except ValueError:
        return None


def quantile(ascending: Sequence[float], share: float) -> float:
    """Value below which this share of the sample lies, by a straight line between its order statistics.

    Hyndman and Fan's definition 7 (The American Statistician 50, 1996), the default of NumPy and R.

    >>> quantile([1.0, 2.0, 4.0], 0.5), quantile([1.0, 2.0, 4.0], 0.75)
    (2.0, 3.0)
    """
    position = share * (len(ascending) - 1)
    low = math.floor(position)
    high = min(low + 1, len(ascending) - 1)
    return ascending[low] + (position - low) * (ascending[high] - ascending[low])


def statistics_of(values: Sequence[float]) -> dict[str, float]:
    """Which statistics does a sample have? Percentiles that it is too small to tell are left out.

    A percentile is told by a sample only if at least one value is expected beyond it.

    >>> statistics_of([3.0, 1.0])
    {'mean': 2.0, 'min': 1.0, 'max': 3.0, 'std': 1.4142135623730951, 'p50': 2.0}
    """
    if not values:
        return {}
    ascending = sorted(values)
    count = len(ascending)
    mean = math.fsum(ascending) / count
    found = {"mean": mean, "min": ascending[0], "max": ascending[-1]}
    if count > 1:
        found["std"] = math.sqrt(math.fsum((value - mean) ** 2 for value in ascending) / (count - 1))
    for percent, name in _NAMES.items():
        if count * min(percent, 100 - percent) / 100 >= 1 or percent == 50:
            found[name] = quantile(ascending, percent / 100)
    return found


def raw_quantiles(values: Sequence[float]) -> tuple[float, ...]:
    """The values in ascending order; as many quantiles at equal steps as are kept, where there are more."""
    ascending = sorted(values)
    if len(ascending) <= MOST_SAMPLES:
        return tuple(ascending)
    return tuple(quantile(ascending, index / (MOST_SAMPLES - 1)) for index in range(MOST_SAMPLES))


def histogram_quantile(bounds: Sequence[float], counts: Sequence[float], share: float) -> tuple[float, float] | None:
    """Value below which this share of a histogram lies, and the width of the bucket it lies in.

    By a straight line inside the bucket, as Prometheus's ``histogram_quantile`` has it; the first bucket begins at 0.

    Parameters
    ----------
    bounds
        (n,) upper bounds of the buckets, ascending; the last may be infinite.
    counts
        (n,) observations at or below each bound.
    share
        From 0 to 1.

    Returns
    -------
    tuple[float, float] | None
        None when there is no observation, or when the value lies beyond the last finite bound: it is not known then.

    >>> histogram_quantile([0.1, 0.2, float("inf")], [10, 20, 20], 0.75)
    (0.15000000000000002, 0.1)
    """
    if not counts or counts[-1] <= 0:
        return None
    wanted = share * counts[-1]
    edges = [0.0, *bounds]
    cumulative = [0.0, *counts]
    for (low, high), (before, after) in zip(pairwise(edges), pairwise(cumulative), strict=True):
        if after >= wanted and after > before:
            if math.isinf(high):
                return None
            return low + (high - low) * max(0.0, wanted - before) / (after - before), high - low
    return None
