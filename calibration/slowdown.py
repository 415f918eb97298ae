"""How much longer do k executions take when they share one device? From throughput at saturation, 1 to k at once.

Throughput is the better witness than the server's own compute times: where a framework only queues work on the device
and returns, these stop before the work does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from calibration.observation import Observation

RESAMPLES: Final = 2_000
"""Resamples of the bootstrap."""

DIFFERS: Final = 0.15
"""Spread over the batch sizes from which on one number for all of them is doubtful."""


@dataclass(frozen=True, kw_only=True)
class Slowdown:
    """How many times as long each of k executions takes when k share the device."""

    factors: tuple[float, ...]
    """One for each k from 1: starts with 1, does not decrease."""
    ci95: tuple[tuple[float, float], ...]
    """95 % interval of each."""
    warnings: tuple[str, ...] = ()
    """What could mislead."""


def fit_slowdown(
    rows: Sequence[Observation],
    *,
    held_ms: float = 0.0,
    seed: int = 0,
) -> Slowdown | None:
    """Which slow-down explains how the throughput grows with the model instances?

    Parameters
    ----------
    rows
        Closed loops of various ``model_instances``; those with at least twice as many requests outstanding as model
        instances count (twice as many full batches where ``max_batch_size`` is known).
    held_ms
        Dispatch and release together: time for which an execution holds its model instance but not the device.
    seed
        Of the bootstrap.

    Returns
    -------
    Slowdown or None
        None where only one number of model instances was measured.

    Notes
    -----
    With b items an execution, k model instances turn over k b / (held + slowdown_k s) items in a unit of time, so that
    slowdown_k = (k b / throughput_k - held) / (b / throughput_1 - held). Batch and load alike on both sides. The
    factors are medians over batches and loads; numbers of model instances in between that were not measured lie on
    straight lines.
    """
    saturated = _by_setting(rows)
    factors: dict[int, list[tuple[float, float]]] = {}
    for (instances, batch, load), throughputs in saturated.items():
        alone = saturated.get((1, batch, load))
        if instances == 1 or alone is None:
            continue
        one = 1000.0 * batch / float(np.median(alone)) - held_ms
        many = 1000.0 * batch * instances / float(np.median(throughputs)) - held_ms
        if one > 0 and many > 0:
            factors.setdefault(instances, []).append((batch, many / one))
    if not factors:
        return None
    rng = np.random.default_rng(seed)
    known = {1: (1.0, 1.0, 1.0)}
    for instances, pairs in sorted(factors.items()):
        values = np.array([value for _, value in pairs])
        medians = np.median(rng.choice(values, size=(RESAMPLES, len(values))), axis=1)
        low, high = np.quantile(medians, (0.025, 0.975))
        known[instances] = (float(np.median(values)), float(low), float(high))
    counts = np.arange(1, max(known) + 1)
    middle, low, high = (np.interp(counts, list(known), [value[i] for value in known.values()]) for i in range(3))
    rising = np.maximum.accumulate(np.maximum(middle, 1.0))
    lowest, highest = np.minimum(low, rising), np.maximum(high, rising)
    return Slowdown(
        factors=tuple(rising.round(4).tolist()),
        ci95=tuple(zip(lowest.round(4).tolist(), highest.round(4).tolist(), strict=True)),
        warnings=tuple(_warnings(factors)),
    )


def _by_setting(rows: Sequence[Observation]) -> Mapping[tuple[int, float, float | None], list[float]]:
    """Items per second at saturation, by model instances, items an execution, and requests outstanding."""
    found: dict[tuple[int, float, float | None], list[float]] = {}
    for row in rows:
        if not row.throughput_rps or row.concurrency is None:
            continue
        full = row.max_batch_size if row.merged and row.max_batch_size else 1
        if row.concurrency < 2 * full * row.model_instances:
            continue
        items = row.throughput_rps if row.merged else row.throughput_rps * row.batch
        found.setdefault((row.model_instances, row.batch, row.concurrency), []).append(items)
    return found


def _warnings(factors: Mapping[int, Sequence[tuple[float, float]]]) -> list[str]:
    warnings = []
    for instances, pairs in sorted(factors.items()):
        by_batch = {batch: [value for size, value in pairs if size == batch] for batch, _ in pairs}
        medians = {batch: float(np.median(values)) for batch, values in by_batch.items()}
        least, most = min(medians, key=lambda b: medians[b]), max(medians, key=lambda b: medians[b])
        if medians[most] > (1 + DIFFERS) * medians[least]:
            warnings.append(
                f"{instances} executions at once slow one another {medians[least]:.2f}-fold at batch {least:g} and"
                f" {medians[most]:.2f}-fold at batch {most:g}: one number for all batches is doubtful"
            )
    return warnings
