"""What was measured of a batch curve: points, repeats of them joined, and what about them is doubtful."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np

from calibration.curve_forms import Floats

FEW: Final = 4
"""Batch sizes below which a curve is a guess: no form can be chosen, for want of two inner points to leave out."""

FALL: Final = 0.05
"""Share by which the time of a larger batch may fall before something is said."""

SPARSE: Final = 8.0
"""Ratio of neighbouring batch sizes beyond which the gap between them is called wide."""

UNSTABLE: Final = 0.10
"""IQR over median beyond which a point is called unstable, as torch.utils.benchmark does."""

_STANDARD_ERRORS: Final = 4.0


@dataclass(frozen=True, kw_only=True)
class CurvePoint:
    """What was measured at one batch size, once."""

    batch: int
    """Items in the batch."""
    mean_ms: float
    """Mean time of an execution."""
    executions: int | None = None
    """Executions behind the mean."""
    std_ms: float | None = None
    """Standard deviation of a single execution."""
    samples_ms: tuple[float, ...] = ()
    """Single executions, or their raw quantiles at equal steps."""
    repeats_ms: tuple[float, ...] = ()
    """Times of rounds of measurement that took turns with other batch sizes; their spread is that of the mean."""
    doubted: bool = False
    """Whether what measured it has already said how far to trust it."""

    @property
    def relative_error(self) -> float | None:
        """Standard error of the mean over the mean, as far as single executions tell it.

        >>> CurvePoint(batch=1, mean_ms=10.0, std_ms=1.0, executions=100).relative_error
        0.01
        """
        if len(self.samples_ms) >= 2:
            spread = float(np.std(self.samples_ms, ddof=1))
            executions = max(self.executions or 0, len(self.samples_ms))
        elif self.std_ms is not None and self.executions:
            spread, executions = self.std_ms, self.executions
        else:
            return None
        return spread / self.mean_ms / float(np.sqrt(executions))

    @property
    def relative_iqr(self) -> float:
        """Spread of the middle half of the executions over their median; 0 where fewer than 4 tell."""
        if len(self.samples_ms) < 4:
            return 0.0
        low, middle, high = np.quantile(self.samples_ms, (0.25, 0.5, 0.75))
        return float((high - low) / middle)


@dataclass(frozen=True)
class JoinedPoints:
    """Repeats of one batch size joined, one entry a size."""

    batch: Floats
    """Batch sizes, increasing."""
    ms: Floats
    """Mean of the repeats' means."""
    weight: Floats
    """Number of repeats."""
    groups: tuple[tuple[CurvePoint, ...], ...]
    """The repeats."""

    @property
    def sizes(self) -> list[int]:
        """Batch sizes as integers."""
        return [int(b) for b in self.batch]


def joined(points: Sequence[CurvePoint]) -> JoinedPoints:
    """Which points are repeats of one another? Each counts alike, however many executions it holds."""
    groups: dict[int, list[CurvePoint]] = {}
    for point in sorted(points, key=lambda point: point.batch):
        groups.setdefault(point.batch, []).append(point)
    return JoinedPoints(
        batch=np.array(list(groups), dtype=np.float64),
        ms=np.array([float(np.mean([point.mean_ms for point in group])) for group in groups.values()]),
        weight=np.array([float(len(group)) for group in groups.values()]),
        groups=tuple(tuple(group) for group in groups.values()),
    )


def doubts(points: JoinedPoints, fitted: Floats) -> list[str]:
    """What about these points could mislead, given the curve at them? A sentence each.

    Few points, wide gaps, times that fall as the batch grows, repeats that contradict each other, unstable points.
    """
    return [*_coverage(points), *_falls(points, fitted), *_contradictions(points), *_unstable(points)]


def _coverage(points: JoinedPoints) -> list[str]:
    sizes = points.sizes
    found = []
    if len(sizes) == 1:
        found.append(f"only batch {sizes[0]} was measured: nothing tells how the time grows with the batch")
    elif len(sizes) < FEW:
        listed = " and ".join([", ".join(map(str, sizes[:-1])), str(sizes[-1])])
        found.append(f"only batches {listed} were measured: between them the curve is a guess")
    for small, large in pairwise(sizes):
        if large / small > SPARSE:
            found.append(f"nothing was measured between batches {small} and {large}")
    return found


def _falls(points: JoinedPoints, fitted: Floats) -> list[str]:
    """Larger batches that were faster than smaller ones, and what became of them."""
    found = []
    sizes = points.sizes
    for index, (first, second) in enumerate(pairwise(points.ms.tolist())):
        if second >= first * (1 - FALL):
            continue
        pooled = [i for i in range(len(sizes)) if abs(fitted[i] / fitted[index] - 1) < 1e-9]
        which = " and ".join([", ".join(str(sizes[i]) for i in pooled[:-1]), str(sizes[pooled[-1]])])
        found.append(
            f"batch {sizes[index + 1]} took {1 - second / first:.0%} less than batch {sizes[index]}"
            f" ({second:.4g} ms against {first:.4g}), which cannot be: batches {which} count as"
            f" {fitted[index]:.4g} ms. Measure them again"
        )
    return found


def _contradictions(points: JoinedPoints) -> list[str]:
    """Repeats of one batch size that lie further apart than their own scatter allows."""
    found = []
    for size, mean, repeats in zip(points.sizes, points.ms.tolist(), points.groups, strict=True):
        means = [point.mean_ms for point in repeats]
        apart = (max(means) - min(means)) / mean
        errors = [point.relative_error for point in repeats if point.relative_error is not None]
        allowed = _STANDARD_ERRORS * float(np.hypot(max(errors), max(errors))) if errors else 0.0
        if apart > max(allowed, FALL):
            found.append(
                f"batch {size} was measured {len(repeats)} times, from {min(means):.4g} to {max(means):.4g} ms:"
                f" {apart:.0%} apart, more than scatter explains. Their mean is used"
            )
    return found


def _unstable(points: JoinedPoints) -> list[str]:
    found = []
    for size, repeats in zip(points.sizes, points.groups, strict=True):
        spread = max((point.relative_iqr for point in repeats if not point.doubted), default=0.0)
        if spread > UNSTABLE:
            found.append(
                f"batch {size} is unstable: the middle half of its executions spreads over {spread:.0%} of the median."
                " Measure it again on a quiet machine"
            )
    return found
