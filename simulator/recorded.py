"""What the arrivals of a scenario name: the trace or the rate series of a workload, read as its keys ask."""

from __future__ import annotations

from typing import Any

import numpy as np

from simulator.rate_series import RateSeries, read_rate_series
from simulator.time_text import Int64s
from simulator.traces import Trace, read_trace


def read_recorded_trace(spec: Any) -> Trace:
    """Which arrivals are in the file that a ``trace`` names, and what had to be assumed to read it?"""
    return read_trace(spec.file, format=spec.format, column=spec.column, time_unit=spec.time_unit, speed=spec.speed)


def read_trace_ns(spec: Any) -> Int64s:
    """Arrival times alone, in ns."""
    return read_recorded_trace(spec).arrival_ns


def read_series(spec: Any) -> RateSeries:
    """How many requests does each interval of a ``rate_series`` bring, in its file or in the scenario itself?"""
    if spec.requests is None:
        return read_rate_series(spec.file, column=spec.column, interval_ns=spec.interval_ns, scale=spec.scale)
    return RateSeries(np.array(spec.requests, dtype=np.float64) * spec.scale, spec.interval_ns)
