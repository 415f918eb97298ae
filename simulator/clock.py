"""The one place where seconds become integer nanoseconds and back.

Inside the engines time is int64 nanoseconds: with float seconds ``(a + w) - a < w`` holds for half of all
requests, so "has it waited long enough?" may never come true. Nothing else in the package multiplies by 1e9.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

NS_PER_US: Final = 1_000
NS_PER_MS: Final = 1_000_000
NS_PER_S: Final = 1_000_000_000
NS_PER_HOUR: Final = 3_600 * NS_PER_S

NEVER: Final = np.iinfo(np.int64).max
"""The time of an event that is not scheduled, in ns."""

LATEST_NS: Final = 1 << 62
"""No simulated time may lie beyond this (146 years): it leaves room to add any delay without overflow."""


def ns_from_s(seconds: float) -> int:
    """Nearest nanosecond of a time in seconds.

    >>> ns_from_s(0.005)
    5000000
    """
    return round(seconds * NS_PER_S)


def ns_from_ms(milliseconds: float) -> int:
    """Nearest nanosecond of a time in milliseconds.

    >>> ns_from_ms(1.2044)
    1204400
    """
    return round(milliseconds * NS_PER_MS)


def s_from_ns(nanoseconds: float) -> float:
    """Seconds of a time in nanoseconds.

    >>> s_from_ns(5_000_000)
    0.005
    """
    return nanoseconds / NS_PER_S


def ms_from_ns(nanoseconds: float) -> float:
    """Milliseconds of a time in nanoseconds.

    >>> ms_from_ns(5_000_000)
    5.0
    """
    return nanoseconds / NS_PER_MS


def ns_array_from_s(seconds: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Nearest nanoseconds of times in seconds; shape kept."""
    return np.rint(np.asarray(seconds, dtype=np.float64) * NS_PER_S).astype(np.int64)
