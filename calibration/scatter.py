"""How widely do executions of one batch size scatter, and in which shape?

A lognormal distribution needs one number a point and smooths what chance put into the tail; it is used unless the
measured times contradict it. Times of requests under load tell nothing of the device: only executions themselves and
lone requests count, these with what lies outside the execution taken off.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import NormalDist
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from calibration.profile import LONGEST_MS, SHORTEST_MS, Z99

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]

ENOUGH: Final = 100
"""Executions (or quantiles of them) at every point from which on they can be resampled."""

MISSES: Final = 0.02
"""Relative error of the lognormal's median or 99th percentile from which on it is not the shape of samples."""

MISSES_PERCENTILES: Final = 0.05
"""The same for published percentiles, which are rounded."""

KEPT: Final = 200
"""Quantiles kept of a point that is resampled, each standing for as many executions as any other."""

_MOST_CV: Final = 10.0
_SHARE: Final[Mapping[str, float]] = {
    **{"p1": 0.01, "p5": 0.05, "p10": 0.1, "p25": 0.25, "p50": 0.5, "p75": 0.75},
    **{"p90": 0.9, "p95": 0.95, "p97": 0.97, "p99": 0.99, "p999": 0.999},
}


@dataclass(frozen=True, kw_only=True)
class ScatterPoint:
    """What is known of single executions of one batch size."""

    batch: int
    """Items in the batch."""
    executions: int | None = None
    """Executions behind it."""
    samples_ms: tuple[float, ...] = ()
    """Single executions, or their quantiles at equal steps from the least to the largest."""
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
    """For ``empirical``: times over their mean at each, ascending."""
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
            tuple(min(max(float(f"{ratio * mean:.6g}"), SHORTEST_MS), LONGEST_MS) for ratio in self.relative[index])
            for index, mean in zip(nearest, latency_ms, strict=True)
        )


@dataclass(frozen=True)
class _Shape:
    """One batch size: its spread, its quantiles, and how badly a lognormal distribution misses them."""

    cv: float
    quantiles: Floats | None
    miss: float


def fit_scatter(points: Sequence[ScatterPoint]) -> Scatter:
    """Which distribution describes these executions?

    Returns
    -------
    Scatter
        ``none`` where nothing is known. ``empirical`` where a lognormal distribution misses some point, and every
        point has samples enough, or percentiles, to be resampled instead; ``lognormal`` otherwise.

    Examples
    --------
    >>> fit_scatter([ScatterPoint(batch=1, statistics_ms={"p50": 5.0, "p99": 10.0})]).latency_cv
    (0.304692,)
    """
    groups: dict[int, list[ScatterPoint]] = {}
    for point in sorted(points, key=lambda point: point.batch):
        groups.setdefault(point.batch, []).append(point)
    found = {size: shape for size, group in groups.items() if (shape := _shape(group)) is not None}
    if not found:
        return Scatter(kind="none", basis="nothing tells how executions scatter: each takes the mean")
    sizes, spread = tuple(found), tuple(round(shape.cv, 6) for shape in found.values())
    worst = max(found, key=lambda size: found[size].miss)
    if found[worst].miss == 0:
        return Scatter(kind="lognormal", batch=sizes, latency_cv=spread, basis="lognormal: nothing contradicts it")
    told = f"a lognormal distribution misses a percentile by {found[worst].miss:.0%} at batch {worst}"
    quantiles = [shape.quantiles for shape in found.values() if shape.quantiles is not None]
    if len(quantiles) == len(found):
        return Scatter(
            kind="empirical",
            batch=sizes,
            latency_cv=tuple(round(float(values.std() / values.mean()), 6) for values in quantiles),
            relative=tuple(tuple((values / values.mean()).tolist()) for values in quantiles),
            basis=f"resampled: {told}",
        )
    warning = f"{told}, and not every batch size has the {ENOUGH} executions it takes to resample them"
    basis = "lognormal, for want of samples"
    return Scatter(kind="lognormal", batch=sizes, latency_cv=spread, basis=basis, warnings=(warning,))


def lognormal_miss(values: Floats) -> float:
    """By how much do median or p99 of the lognormal of the same mean and spread miss those of these, at most?

    >>> round(lognormal_miss(np.r_[np.ones(90), np.full(10, 2.0)]), 2)
    0.06
    """
    sigma = math.sqrt(math.log1p(float(np.var(values) / np.mean(values) ** 2)))
    middle, high = np.quantile(values, (0.5, 0.99)) / np.mean(values)
    median = math.exp(-(sigma**2) / 2)
    return float(max(abs(median / middle - 1), abs(median * math.exp(Z99 * sigma) / high - 1)))


def _shape(group: Sequence[ScatterPoint]) -> _Shape | None:
    """What the repeats of one batch size say together: their samples pooled, else the median of their spreads."""
    sampled = [point for point in group if len(point.samples_ms) >= 2]
    if sampled:
        centred = [_evenly(point) for point in sampled]
        values = np.sort(np.concatenate([one / one.mean() for one in centred]))
        executions = sum(max(point.executions or 0, len(point.samples_ms)) for point in sampled)
        cv = min(float(values.std(ddof=1)), _MOST_CV)
        if executions < ENOUGH:
            return _Shape(cv, None, 0.0)
        miss = lognormal_miss(values)
        steps = (np.arange(KEPT) + 0.5) / KEPT
        return _Shape(cv, np.quantile(values, steps), miss if miss > MISSES else 0.0)
    shapes = [shape for point in group if (shape := _by_statistics(point.statistics_ms)) is not None]
    return sorted(shapes, key=lambda shape: shape.cv)[len(shapes) // 2] if shapes else None


def _evenly(point: ScatterPoint) -> Floats:
    """Samples that each stand for as many executions: quantiles from least to largest overstate these two."""
    samples = np.sort(np.asarray(point.samples_ms, dtype=np.float64))
    if (point.executions or 0) <= len(samples):
        return samples
    steps = (np.arange(2 * KEPT) + 0.5) / (2 * KEPT)
    evenly: Floats = np.quantile(samples, steps)
    return evenly


def _by_statistics(known: Mapping[str, float]) -> _Shape | None:
    """Spread by two percentiles, as a profile reads them, or by the standard deviation."""
    low, high = known.get("p50", _median_of(known)), known.get("p99", 0.0)
    if 0 < low <= high:
        sigma = math.log(high / low) / Z99
        cv = min(math.sqrt(math.expm1(sigma**2)), _MOST_CV)
        normal = NormalDist()
        named = {_SHARE[name]: value for name, value in known.items() if name in _SHARE}
        miss = max(abs(low * math.exp(sigma * normal.inv_cdf(share)) / value - 1) for share, value in named.items())
        quantiles = _through(named) if {"p50", "p90", "p99"} <= set(known) else None
        return _Shape(cv, quantiles, miss if miss > MISSES_PERCENTILES and quantiles is not None else 0.0)
    centre = known.get("mean", low)
    if "std" in known and centre > 0:
        return _Shape(min(known["std"] / centre, _MOST_CV), None, 0.0)
    return None


def _median_of(known: Mapping[str, float]) -> float:
    """Median of the lognormal distribution that has this mean and this p99; 0 where they are not known."""
    mean, high = known.get("mean", 0.0), known.get("p99", 0.0)
    if not 0 < mean <= high or math.log(high / mean) > Z99**2 / 2:
        return 0.0
    sigma = Z99 - math.sqrt(Z99**2 - 2 * math.log(high / mean))
    return mean * math.exp(-(sigma**2) / 2)


def _through(named: Mapping[float, float]) -> Floats:
    """KEPT quantiles of the distribution that is lognormal between each two of these percentiles.

    Below the lowest percentile it falls as slowly as it rises above it; above the highest it goes on as the lognormal
    through the median and the highest would, since the last step may be a jump.
    """
    normal = NormalDist()
    shares = sorted(named)
    z = np.array([normal.inv_cdf(share) for share in shares])
    logs = np.maximum.accumulate(np.log([named[share] for share in shares]))
    rise = np.diff(logs) / np.diff(z)
    overall = (logs[-1] - np.interp(0.0, z, logs)) / z[-1]
    at = np.array([normal.inv_cdf((i + 0.5) / KEPT) for i in range(KEPT)])
    below, above = logs[0] + rise[0] * (at - z[0]), logs[-1] + min(rise[-1], overall) * (at - z[-1])
    through = np.where(at < z[0], below, np.where(at > z[-1], above, np.interp(at, z, logs)))
    quantiles: Floats = np.exp(through)
    return quantiles
