"""What the rows of a load test say about each other: whether they can all be true."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from calibration.observation import Observation

MS_PER_S: Final = 1000.0

LITTLE: Final = 0.10
"""By how much throughput x mean latency may differ from the concurrency, as a share of it."""

BEHIND: Final = 0.05
"""By how much the throughput may fall short of the rate at which requests were sent, as a share of it."""

_MOST_NAMED: Final = 8


def about_load(rows: Sequence[Observation]) -> list[str]:
    """What must be said of rows that contradict Little's law, and of rates that were not kept up with?

    In a closed loop, throughput x mean latency = concurrency (J. D. C. Little, Operations Research 9, 1961). Where it
    fails, units or the batch were misread, or the measurement was too short.

    >>> about_load([Observation(concurrency=4, throughput_rps=100.0, latency_ms={"mean": 40.0})])
    []
    """
    warnings = []
    off = [(row, ratio) for row in rows if (ratio := _little(row)) is not None and abs(ratio - 1) > LITTLE]
    if off:
        loads = _named(f"{row.concurrency:g}" for row, _ in off)
        ratios = _range(ratio for _, ratio in off)
        warnings.append(
            f"Little's law fails at concurrency {loads}: throughput x mean latency is {ratios} times the concurrency. "
            "The batch size may be another, or the measurement was too short there"
        )
    behind = [
        f"{row.rate_rps:g}"
        for row in rows
        if row.rate_rps and row.throughput_rps is not None and row.throughput_rps < (1 - BEHIND) * row.rate_rps
    ]
    if behind:
        warnings.append(f"fewer requests were answered than sent at {_named(behind)} requests per second")
    return warnings


def _little(row: Observation) -> float | None:
    """Throughput x mean latency / concurrency, where all three are known."""
    mean_ms = row.latency_ms.get("mean")
    if not row.concurrency or row.throughput_rps is None or mean_ms is None:
        return None
    return row.throughput_rps * mean_ms / MS_PER_S / row.concurrency


def _range(values: Iterable[float]) -> str:
    ascending = sorted(values)
    low, high = f"{ascending[0]:.2g}", f"{ascending[-1]:.2g}"
    return low if low == high else f"{low} to {high}"


def _named(names: Iterable[str]) -> str:
    every = list(dict.fromkeys(names))
    return ", ".join(every[:_MOST_NAMED]) + (", ..." if len(every) > _MOST_NAMED else "")
