"""AIPerf's and genai-perf's metrics: a value and its unit, in the units of :mod:`calibration.observation`.

Every metric says its unit, and none is guessed: the same metric is in ns in one export and in ms in another. Units:
ai-dynamo/aiperf, src/aiperf/common/enums/metric_enums.py. Telemetry counts 10^9 bytes to a GB (both tools multiply
DCGM's MiB by 1.048576e-3), whatever the unit's definition elsewhere says.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from calibration.importers.json_fields import Fields
from calibration.tree import shown

Units = Mapping[str, float]

TIME: Final[Units] = {
    **{"ns": 1e-6, "nanoseconds": 1e-6, "us": 1e-3, "µs": 1e-3, "microseconds": 1e-3},
    **{"ms": 1.0, "milliseconds": 1.0, "s": 1000.0, "sec": 1000.0, "seconds": 1000.0},
}
"""Milliseconds in each unit of time."""
RATE: Final[Units] = {"requests/sec": 1.0, "requests/second": 1.0, "requests/s": 1.0, "per sec": 1.0}
TOKENS: Final[Units] = {"tokens": 1.0, "token": 1.0}
COUNT: Final[Units] = {"requests": 1.0, "count": 1.0, "errors": 1.0, "": 1.0}
POWER: Final[Units] = {"W": 1.0, "watts": 1.0, "mW": 1e-3}
MEMORY: Final[Units] = {"B": 1.0, "MB": 1e6, "MiB": 2.0**20, "GB": 1e9, "GiB": 2.0**30}
"""Bytes in each unit of telemetry."""
SHARE: Final[Units] = {"%": 0.01, "percent": 0.01, "ratio": 1.0}

STATISTICS: Final = {
    "mean": "avg",
    **{name: name for name in ("min", "p1", "p5", "p10", "p25", "p50", "p75", "p90", "p95", "p99", "max", "std")},
}
"""The tools' keys by the names of :data:`calibration.observation.STATISTICS`."""

METRICS: Final = (
    *("request_latency", "time_to_first_token", "inter_token_latency", "request_throughput", "request_count"),
    *("error_request_count", "input_sequence_length", "output_sequence_length"),
)
"""Metrics that are read; others are kept as notes."""


def times_ms(run: Fields, tag: str) -> dict[str, float]:
    """The statistics of a metric that is a time, in ms; empty where it was not measured."""
    metric = run.fields(tag)
    factor = _factor(metric, TIME)
    return metric.statistics(STATISTICS, factor) if factor is not None else {}


def mean_of(run: Fields, tag: str, units: Units) -> float | None:
    """The mean of a metric in the unit that counts 1; None where it was not measured."""
    return statistic_of(run, tag, "avg", units)


def statistic_of(run: Fields, tag: str, statistic: str, units: Units) -> float | None:
    """One statistic of a metric, as :func:`mean_of`."""
    metric = run.fields(tag)
    factor = _factor(metric, units)
    value = metric.number(statistic) if factor is not None else None
    return value * factor if value is not None and factor is not None else None


def other_metrics(run: Fields) -> dict[str, Any]:
    """Metrics that are not read, with their unit and mean, for the notes."""
    return {
        tag: {key: metric[key] for key in ("unit", "avg", "p50", "p99") if metric.get(key) is not None}
        for tag, metric in run.content.items()
        if isinstance(metric, dict) and "unit" in metric and tag not in METRICS
    }


def _factor(metric: Fields, units: Units) -> float | None:
    """What a value of the metric is multiplied with; None, and a problem, where its unit does not tell."""
    if not metric.content:
        return None
    unit = metric.content.get("unit")
    if isinstance(unit, str) and unit in units:
        return units[unit]
    known = ", ".join(unit for unit in units if unit)
    if unit is None and "" not in units:
        metric.problem("", "must say its unit", None, f"Known here: {known}. Export it again with its unit.")
        return None
    if unit is None:
        return units[""]
    metric.problem("unit", f"must be one of {known}", shown(unit), "A figure in an unknown unit is not guessed at.")
    return None
