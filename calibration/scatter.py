"""How widely do executions of one batch size scatter, and in which shape?

A lognormal distribution needs one number a point and smooths what chance put into the tail; it is used unless the
measured times contradict it. Times of requests under load tell nothing of the device: only executions themselves and
lone requests count, these with what lies outside the execution taken off.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

import numpy as np

from calibration.profile import Z99

ENOUGH: Final = 100
"""Executions (or quantiles of them) at every point from which on they can be resampled."""

MISSES: Final = 0.02
"""Relative error of the lognormal's median or 99th percentile from which on it is not the shape."""

KEPT: Final = 200
"""Quantiles kept of a point that is resampled."""

_MOST_CV: Final = 10.0


@dataclass(frozen=True, kw_only=True)
class ScatterPoint:
    """What is known of single executions of one batch size."""

    batch: int
    """Items in the batch."""
    samples_ms: tuple[float, ...] = ()
    """Single executions, or their quantiles at equal steps."""
    statistics_ms: Mapping[str, float] = field(default_factory=dict)
    """``mean``, ``std``, ``p50``, ``p99`` ... where they are known."""


@dataclass(frozen=True, kw_only=True)
class Scatter:
    """How execution times scatter around their mean."""

    kind: Literal["none", "lognormal", "empirical"]
    """As in a profile's ``noise``."""
    batch: tuple[int, ...] = ()
    """Batch sizes, increasing."""
    latency_cv: tuple[float, ...] = ()
    """Coefficient of variation at each."""
    relative: tuple[tuple[float, ...], ...] = ()
    """For ``empirical``: times over their mean at each."""
    basis: str = ""
    """Why this kind, in a sentence."""
    warnings: tuple[str, ...] = ()
    """What could mislead."""

    def cv_at(self, batch: Sequence[int]) -> tuple[float, ...]:
        """Coefficient of variation at these batch sizes, straight between the points."""
        return tuple(np.interp(batch, self.batch, self.latency_cv).round(6).tolist())

    def samples_at(self, batch: Sequence[int], latency_ms: Sequence[float]) -> tuple[tuple[float, ...], ...]:
        """Times to resample at these batch sizes, around these means: those of the nearest measured size."""
        nearest = [min(range(len(self.batch)), key=lambda i: abs(self.batch[i] - size)) for size in batch]
        return tuple(
            tuple(float(f"{ratio * mean:.6g}") for ratio in self.relative[index])
            for index, mean in zip(nearest, latency_ms, strict=True)
        )


def fit_scatter(points: Sequence[ScatterPoint]) -> Scatter:
    """Which distribution describes these executions?

    Returns
    -------
    Scatter
        ``none`` where nothing is known; ``empirical`` where every point has at least ENOUGH samples and a lognormal
        distribution of their mean and standard deviation misses a median or a 99th percentile by more than MISSES.

    Examples
    --------
    >>> fit_scatter([ScatterPoint(batch=1, statistics_ms={"p50": 5.0, "p99": 10.0})]).latency_cv
    (0.304692,)
    """
    groups: dict[int, list[ScatterPoint]] = {}
    for point in sorted(points, key=lambda point: point.batch):
        groups.setdefault(point.batch, []).append(point)
    cvs = {size: [cv for cv in map(_cv, group) if cv is not None] for size, group in groups.items()}
    known = {size: float(np.median(values)) for size, values in cvs.items() if values}
    if not known:
        return Scatter(kind="none", basis="nothing tells how executions scatter: each takes the mean")
    samples = {size: _relative([s for point in group for s in point.samples_ms]) for size, group in groups.items()}
    lognormal = Scatter(
        kind="lognormal",
        batch=tuple(known),
        latency_cv=tuple(round(cv, 6) for cv in known.values()),
        basis="lognormal",
    )
    missed = {size: miss for size, ratios in samples.items() if (miss := lognormal_miss(ratios)) > MISSES}
    if not missed:
        return lognormal
    worst = max(missed, key=lambda size: missed[size])
    told = f"a lognormal distribution misses median or p99 by {missed[worst]:.1%} at batch {worst}"
    if all(len(ratios) >= ENOUGH for ratios in samples.values()):
        steps = (np.arange(KEPT) + 0.5) / KEPT
        kept = {size: _relative(np.quantile(ratios, steps)) for size, ratios in samples.items()}
        return Scatter(
            kind="empirical",
            batch=tuple(kept),
            latency_cv=tuple(float(np.std(ratios)) for ratios in kept.values()),
            relative=tuple(tuple(ratios.tolist()) for ratios in kept.values()),
            basis=f"resampled: {told}",
        )
    warning = f"{told}, and not every batch size has the {ENOUGH} executions it takes to resample them"
    return Scatter(
        kind="lognormal",
        batch=lognormal.batch,
        latency_cv=lognormal.latency_cv,
        basis="lognormal, for want of samples",
        warnings=(warning,),
    )


def lognormal_miss(ratios: np.ndarray) -> float:
    """By how much do median or p99 of the lognormal of the same mean and spread miss these, at most?

    0 where fewer than ENOUGH samples tell.

    >>> round(lognormal_miss(np.r_[np.ones(90), np.full(10, 2.0)]), 2)
    0.06
    """
    if len(ratios) < ENOUGH:
        return 0.0
    sigma = math.sqrt(math.log1p(float(np.var(ratios) / np.mean(ratios) ** 2)))
    middle, high = np.quantile(ratios, (0.5, 0.99)) / np.mean(ratios)
    median = math.exp(-(sigma**2) / 2)
    return float(max(abs(median / middle - 1), abs(median * math.exp(Z99 * sigma) / high - 1)))


def _relative(samples: Sequence[float] | np.ndarray) -> np.ndarray:
    values = np.asarray(samples, dtype=np.float64)
    return values / values.mean() if len(values) else values


def _cv(point: ScatterPoint) -> float | None:
    """Coefficient of variation by what is known best: samples, the standard deviation, two percentiles."""
    known = point.statistics_ms
    if len(point.samples_ms) >= 2:
        values = np.asarray(point.samples_ms)
        return min(float(values.std(ddof=1) / values.mean()), _MOST_CV)
    centre = known.get("mean", known.get("p50"))
    if "std" in known and centre:
        return min(known["std"] / centre, _MOST_CV)
    low, high = known.get("p50", 0.0), known.get("p99", 0.0)
    if 0 < low <= high:
        return min(math.sqrt(math.expm1((math.log(high / low) / Z99) ** 2)), _MOST_CV)
    return None
