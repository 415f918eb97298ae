"""What the arrivals of a scenario name: the trace or the rate series of a workload, read as its keys ask."""

from __future__ import annotations

import os
import time
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np

from simulator.clock import NS_PER_S
from simulator.rate_series import RateSeries, read_rate_series
from simulator.time_text import Int64s
from simulator.traces import Trace, at_speed, read_trace

CLOCK_STEP_NS: Final = 2 * NS_PER_S
"""File systems date changes no finer than this, the coarsest of them: of two within it the second may not show."""


def read_recorded_trace(spec: Any) -> Trace:
    """Which arrivals are in the file that a ``trace`` names, and what had to be assumed to read it?

    A file is read once as long as it stays the same: a search plays it at one speed after another.
    """
    layout = (spec.format, spec.column, spec.time_unit)
    version = _version(spec.file)
    read = _read if version is None else _read_once
    return at_speed(read(Path(spec.file), version, layout), spec.speed)


def _version(file: Path) -> tuple[int, ...] | None:
    """What tells a file from its earlier states; None when it is too new for that, or cannot be asked."""
    try:
        found = os.stat(file)
    except (OSError, ValueError):
        return None
    if time.time_ns() - found.st_mtime_ns < CLOCK_STEP_NS:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


def _read(file: Path, _version: tuple[int, ...] | None, layout: tuple[str, str | None, str | None]) -> Trace:
    """The trace at its own speed."""
    format, column, time_unit = layout
    return read_trace(file, format=format, column=column, time_unit=time_unit)


_read_once = lru_cache(maxsize=2)(_read)


def read_trace_ns(spec: Any) -> Int64s:
    """Arrival times alone, in ns."""
    return read_recorded_trace(spec).arrival_ns


def read_series(spec: Any) -> RateSeries:
    """How many requests does each interval of a ``rate_series`` bring, in its file or in the scenario itself?"""
    if spec.requests is None:
        return read_rate_series(spec.file, column=spec.column, interval_ns=spec.interval_ns, scale=spec.scale)
    return RateSeries(np.array(spec.requests, dtype=np.float64) * spec.scale, spec.interval_ns)
