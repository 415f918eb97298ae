"""Executions of the batches that a server formed itself, as its own statistics tell of them.

A server that merges separate requests counts items, executions and the time of both; what it cannot tell is the time
at each size, only at the mean size of a window of time. Where the time grows evenly with the batch, the mean time is
the time of the mean batch, so windows of unlike load are points of the batch curve.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from calibration.observation import Observation, Observations

_EXECUTION = ("input", "compute", "output")
"""Parts of a request's life that are the execution."""


def formed_batches(found: Observations) -> Observations | None:
    """Which executions do rows of merged requests tell of, at whole batch sizes?

    Straight lines between the mean sizes that were seen; where no whole size lies between them, the nearest one to
    all of them.

    Parameters
    ----------
    found
        What a server told of itself.

    Returns
    -------
    Observations | None
        Of scope ``device``; None where a row tells of a request that was served alone, which tells more, or where
        there is no time of an execution.

    Examples
    --------
    >>> rows = [Observation(batch=b, merged=True, parts_ms={"compute": ms}) for b, ms in ((1.5, 11.0), (3.5, 15.0))]
    >>> formed = formed_batches(Observations(rows=tuple(rows), scope="server"))
    >>> [(row.batch, row.mean_ms) for row in formed.rows]
    [(2.0, 12.0), (3.0, 14.0)]
    """
    if found.scope != "server" or not found.rows or not all(row.merged for row in found.rows):
        return None
    points = [(row.batch, execution) for row in found.rows if (execution := _execution_ms(row)) is not None]
    if not points:
        return None
    sizes, times = zip(*_by_size(points), strict=True)
    whole = range(math.ceil(sizes[0]), math.floor(sizes[-1]) + 1) or (max(1, round(sum(sizes) / len(sizes))),)
    rows = tuple(Observation(batch=float(size), latency_ms={"mean": _between(sizes, times, size)}) for size in whole)
    seen = f"{sizes[0]:.3g}" if sizes[0] == sizes[-1] else f"{sizes[0]:.3g} to {sizes[-1]:.3g}"
    words = f"the batch curve is of batches that the server formed, of {seen} items on average"
    return Observations(rows=rows, scope="device", provenance=found.provenance, warnings=(words,))


def _execution_ms(row: Observation) -> float | None:
    parts = [row.parts_ms[part] for part in _EXECUTION if part in row.parts_ms]
    return sum(parts) if "compute" in row.parts_ms and sum(parts) > 0 else None


def _by_size(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Points in order of size; those of one size are one, with the mean of their times."""
    times: dict[float, list[float]] = {}
    for size, ms in points:
        times.setdefault(size, []).append(ms)
    return [(size, sum(times[size]) / len(times[size])) for size in sorted(times)]


def _between(sizes: Sequence[float], times: Sequence[float], size: int) -> float:
    """Time at a size by a straight line between the two points beside it; beyond them, that of the nearest."""
    for (low, before), (high, after) in pairwise(zip(sizes, times, strict=True)):
        if low <= size <= high:
            return before + (after - before) * (size - low) / (high - low)
    return min(zip(sizes, times, strict=True), key=lambda point: abs(point[0] - size))[1]
