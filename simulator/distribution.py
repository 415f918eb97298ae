"""How durations are distributed: exactly, or in a histogram of bounded size whose error is known.

:class:`Sample` keeps every value; :class:`LogHistogram` keeps counts in buckets that grow with the value, so that
1e8 requests take a few hundred KiB. Both are filled piece by piece, both merge (stretches of a streamed run,
replications), and both are a :class:`Distribution` and answer the same questions. Values are int64 nanoseconds.

A percentile means the same everywhere in Headroom. With n values in ascending order x[0] ... x[n-1], the p-quantile
lies at rank r = p (n - 1), and between two ranks it is interpolated linearly: x[floor r] + (r - floor r)
(x[ceil r] - x[floor r]). This is the "linear" method of numpy.quantile, definition 7 of Hyndman and Fan (1996),
"Sample quantiles in statistical packages", The American Statistician 50(4), 361-365. A request that never got an
answer can be counted as infinitely late: ``late`` such values lie above all others.

The buckets: a value v falls by the binary exponent of v + 1 into an octave, and each octave is cut into 1,024
buckets of equal width. A bucket speaks for its values by the middle of the integers in it, so that no value is moved
by more than a 2,048th part of itself (0.0488 %), and a quantile, an interpolation between two such values, neither.
Up to 1,023 ns, and for the smallest and the largest value, it is exact.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any, Final

import numpy as np
import numpy.typing as npt

Int64s = npt.NDArray[np.int64]

SUB_BUCKET_BITS: Final = 10
"""Each octave has 2 to this power buckets."""

RELATIVE_ERROR: Final = 2.0 ** -(SUB_BUCKET_BITS + 1)
"""No quantile of a LogHistogram is further from the exact one than this part of it."""

BLOCK: Final = 1 << 16
"""Values handled at once: their temporaries (512 KiB each) stay in the processor's cache."""

_MANTISSA_BITS: Final = 52
_SHIFT: Final = _MANTISSA_BITS - SUB_BUCKET_BITS
_BIAS: Final = 1023 << SUB_BUCKET_BITS
"""What the exponent field of 1.0 becomes after the shift, so that the buckets start from 0."""


class Distribution(ABC):
    """A set of durations in ns that can be added to and asked; how the values are kept is the subclass's affair."""

    def __init__(self) -> None:
        self.count = 0
        """Number of values, exact."""
        self.total = 0
        """Sum of the values in ns, a Python int: exact however large."""
        self._min = 0
        self._max = 0

    @property
    def min(self) -> int:
        """Smallest value, exact; ValueError when there is none."""
        self._refuse_empty()
        return self._min

    @property
    def max(self) -> int:
        """Largest value, exact; ValueError when there is none."""
        self._refuse_empty()
        return self._max

    @property
    def mean(self) -> float:
        """Mean of the values, exact but for one rounding; ValueError when there is none."""
        self._refuse_empty()
        return self.total / self.count

    def add(self, values: Int64s) -> None:
        """Take in more values, in any order.

        Parameters
        ----------
        values : (n,) int64
            Durations in ns. The caller must not write into the array afterwards.

        Raises
        ------
        ValueError
            If a value is negative.
        """
        for first in range(0, len(values), BLOCK):
            block = values[first : first + BLOCK]
            low, high = int(block.min()), int(block.max())
            if low < 0:
                raise ValueError(f"a duration must be >= 0 ns, got {low}.")
            self._widen(low, high)
            self._keep(block, high)
            self.count += len(block)
            # The sum of one block fits 64 bits when its values stay below 2^47 ns, which is 39 hours.
            self.total += int(block.sum()) if high < 1 << 47 else sum(block.tolist())

    def merge(self, other: Distribution) -> None:
        """Take in all values of another one of the same kind; TypeError if it is of another kind.

        The result is the same, to the last bit, as if the values had been added here.
        """
        if type(self) is not type(other):
            raise TypeError(f"a {type(self).__name__} can merge only its own kind, got {type(other).__name__}.")
        if other.count == 0:
            return
        self._widen(other._min, other._max)
        self._keep_all(other)
        self.count += other.count
        self.total += other.total

    def quantile(self, p: float, late: int = 0) -> float:
        """Value at rank p (n - 1), in ns, with ``late`` infinitely large values counted on top of those added.

        Raises
        ------
        ValueError
            If p is not between 0 and 1, or there is no value at all.
        """
        if not 0.0 <= p <= 1.0:
            raise ValueError(f"a quantile's p must be between 0 and 1, got {p}.")
        if self.count + late == 0:
            self._refuse_empty()
        rank = p * (self.count + late - 1)
        below = math.floor(rank)
        part = rank - below
        if below + (part > 0) >= self.count:
            return math.inf
        lower = self._order_statistic(below)
        if part == 0:
            return lower
        upper = self._order_statistic(below + 1)
        # Two forms of one formula: rounding then never carries the result past the nearer end, as in numpy.
        return lower + (upper - lower) * part if part < 0.5 else upper - (upper - lower) * (1 - part)

    def share_within(self, threshold: float, late: int = 0) -> float:
        """Share of the values, and of ``late`` infinitely large ones, that are at most ``threshold`` ns."""
        if self.count + late == 0:
            self._refuse_empty()
        if self.count == 0 or threshold < self._min:
            return 0.0
        within = self.count if threshold >= self._max else self._count_within(threshold)
        return within / (self.count + late)

    def _widen(self, low: int, high: int) -> None:
        self._min = min(self._min, low) if self.count else low
        self._max = max(self._max, high) if self.count else high

    def _refuse_empty(self) -> None:
        if self.count == 0:
            raise ValueError("a distribution must hold a value before it can be asked, got none.")

    @abstractmethod
    def _keep(self, block: Int64s, high: int) -> None:
        """Keep the values of one block, the largest of which is ``high``."""

    @abstractmethod
    def _keep_all(self, other: Any) -> None:
        """Keep the values of another one of the same kind."""

    @abstractmethod
    def _order_statistic(self, index: int) -> float:
        """Value number ``index``, from 0, in ascending order."""

    @abstractmethod
    def _count_within(self, threshold: float) -> float:
        """Count the values at most ``threshold``, which lies between the smallest and the largest."""


class Sample(Distribution):
    """Every value, so that every answer is exact; 8 bytes a value.

    >>> sample = Sample()
    >>> sample.add(np.arange(1, 102))
    >>> sample.quantile(0.99), sample.quantile(0.99, late=2), sample.share_within(50)
    (100.0, inf, 0.49504950495049505)
    """

    def __init__(self) -> None:
        super().__init__()
        self._pieces: list[Int64s] = []
        self._sorted = True

    def values(self) -> Int64s:
        """Give all values in ascending order; (count,) int64, read-only."""
        if not self._sorted or len(self._pieces) != 1:
            whole = np.concatenate(self._pieces) if self._pieces else np.empty(0, np.int64)
            whole.sort()
            whole.setflags(write=False)
            self._pieces = [whole]
            self._sorted = True
        return self._pieces[0]

    def _keep(self, block: Int64s, high: int) -> None:
        del high
        self._pieces.append(block)
        self._sorted = False

    def _keep_all(self, other: Sample) -> None:
        self._pieces.extend(other._pieces)
        self._sorted = False

    def _order_statistic(self, index: int) -> float:
        return float(self.values()[index])

    def _count_within(self, threshold: float) -> float:
        return float(np.searchsorted(self.values(), math.floor(threshold), side="right"))


class LogHistogram(Distribution):
    """Counts in log-linear buckets: bounded memory, quantiles within RELATIVE_ERROR, merged exactly.

    It takes 8 KiB for each octave up to the largest value: 240 KiB for 1 s, 350 KiB for an hour, 500 KiB at the most.

    >>> histogram = LogHistogram()
    >>> histogram.add(np.arange(1, 1_000_002) * 1_000)
    >>> histogram.quantile(0.99), histogram.count, histogram.max
    (990117886.5, 1000001, 1000001000)
    """

    def __init__(self) -> None:
        super().__init__()
        self._counts = np.zeros(0, np.int64)
        self._cumulated: Int64s | None = None

    def counts(self) -> Int64s:
        """Give the number of values in each bucket, as far as the last that is not empty; int64, read-only."""
        filled = np.flatnonzero(self._counts)
        counts = self._counts[: filled[-1] + 1 if len(filled) else 0].view()
        counts.setflags(write=False)
        return counts

    def _keep(self, block: Int64s, high: int) -> None:
        del high
        self._keep_counts(np.bincount(buckets_of(block)))

    def _keep_all(self, other: LogHistogram) -> None:
        self._keep_counts(other._counts)

    def _keep_counts(self, counts: Int64s) -> None:
        missing = len(counts) - len(self._counts)
        if missing > 0:
            self._counts = np.concatenate((self._counts, np.zeros(missing, np.int64)))
        self._counts[: len(counts)] += counts
        self._cumulated = None

    def _order_statistic(self, index: int) -> float:
        if index == self.count - 1:
            return float(self._max)
        if self._cumulated is None:
            self._cumulated = np.cumsum(self._counts)
        first, last = _bounds(int(np.searchsorted(self._cumulated, index, side="right")))
        return min(max((first + last) / 2, float(self._min)), float(self._max)) if index else float(self._min)

    def _count_within(self, threshold: float) -> float:
        """Count the buckets below that of the threshold, and of that one the part which the threshold cuts off."""
        bucket = int(buckets_of(np.array([math.floor(threshold)]))[0])
        first, last = _bounds(bucket)
        part = (math.floor(threshold) - first + 1) / (last - first + 1)
        return float(self._counts[:bucket].sum()) + part * float(self._counts[bucket])


def buckets_of(values: Int64s) -> Int64s:
    """Give the bucket of each value, from 0, in the order of the values.

    A float64 is its own logarithm: the bits of v + 1 are its binary exponent followed by its mantissa, and their
    leading part is the number of the octave followed by that of the bucket in it.

    Parameters
    ----------
    values : (n,) int64
        Durations in ns, none negative.

    >>> buckets_of(np.array([0, 1, 2, 1_000, 1_000_000])).tolist()
    [0, 1024, 1536, 10194, 20385]
    """
    bits: Int64s = np.add(values, 1.0).view(np.int64)
    bits >>= _SHIFT
    bits -= _BIAS
    return bits


def _bounds(bucket: int) -> tuple[int, int]:
    """Smallest and largest integer value of a bucket that holds any."""
    octave, part = divmod(bucket, 1 << SUB_BUCKET_BITS)
    edges = (part + (1 << SUB_BUCKET_BITS), part + (1 << SUB_BUCKET_BITS) + 1)
    first, beyond = (-((-edge << octave) >> SUB_BUCKET_BITS) for edge in edges)
    return first - 1, beyond - 2
