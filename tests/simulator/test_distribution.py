"""Durations kept exactly and in a histogram: the same questions, the stated error, exact merging."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from simulator.distribution import BLOCK, RELATIVE_ERROR, LogHistogram, Sample, buckets_of

Int64s = npt.NDArray[np.int64]

KINDS: list[Any] = [Sample, LogHistogram]
PROBABILITIES = (0.0, 0.001, 0.25, 0.5, 0.9, 0.95, 0.99, 0.999, 0.9999, 1.0)

durations = arrays.arrays(np.int64, st.integers(1, 300), elements=st.integers(0, 1 << 62) | st.integers(0, 5_000))
probabilities = st.floats(0, 1)


def filled(kind: Any, *pieces: Int64s) -> Any:
    """A distribution of that kind holding all pieces."""
    distribution = kind()
    for piece in pieces:
        distribution.add(piece)
    return distribution


def exact_quantile(values: Int64s, p: float) -> Fraction:
    """Quantile at rank p (n - 1), in fractions: beyond 2^53 floats would blur the reference."""
    ordered: list[int] = sorted(values.tolist())
    rank = Fraction(p) * (len(ordered) - 1)
    below = math.floor(rank)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (rank - below) * (ordered[above] - ordered[below])


def skewed(shape: str, n: int = 200_000) -> Int64s:
    """Durations as they come out of queues, and worse."""
    random = np.random.default_rng(20)
    drawn: dict[str, Any] = {
        "exponential": random.exponential(5e6, n),
        "lognormal": random.lognormal(16, 2, n),
        "heavy": (random.pareto(1.1, n) + 1) * 1e6,
        "two modes": np.where(random.random(n) < 0.97, 1e6, 3e9) * random.uniform(0.9, 1.1, n),
        "mostly none": np.where(random.random(n) < 0.9, 0, random.exponential(1e7, n)),
        "constant": np.full(n, 7_654_321),
        "tiny": random.integers(0, 50, n),
    }
    return np.asarray(drawn[shape]).astype(np.int64)


SHAPES = ["exponential", "lognormal", "heavy", "two modes", "mostly none", "constant", "tiny"]


@pytest.mark.parametrize("shape", SHAPES)
def test_exact_percentiles_are_numpys(shape: str) -> None:
    """Our percentile is not the documented one."""
    values = skewed(shape)
    sample = filled(Sample, *np.array_split(values, 7))

    assert np.quantile(values, PROBABILITIES).tolist() == [sample.quantile(p) for p in PROBABILITIES]


@pytest.mark.parametrize("shape", SHAPES)
def test_histogram_percentiles_err_by_at_most_a_twentieth_of_a_per_cent(shape: str) -> None:
    """The error bound that the report relies on does not hold."""
    values = skewed(shape)
    histogram = filled(LogHistogram, values)

    assert RELATIVE_ERROR <= 0.0005
    for p in PROBABILITIES:
        assert pytest.approx(np.quantile(values, p), rel=RELATIVE_ERROR) == histogram.quantile(p)


@given(values=durations, p=probabilities)
def test_histogram_quantile_is_within_its_bound_for_any_durations(values: Int64s, p: float) -> None:
    """Some durations, small, huge or far apart, break the error bound."""
    expected = exact_quantile(values, p)
    slack = Fraction(1, 10**12)  # the float arithmetic of the interpolation

    error = abs(Fraction(filled(LogHistogram, values).quantile(p)) - expected)

    assert error <= expected * (Fraction(RELATIVE_ERROR) + slack)


@given(values=durations, p=probabilities, late=st.integers(0, 400))
def test_late_requests_lie_above_all_others(values: Int64s, p: float, late: int) -> None:
    """Requests that never got an answer are lost from a percentile."""
    rank = p * (len(values) + late - 1)
    reaches_late = math.ceil(rank) >= len(values)
    for kind in KINDS:
        assert reaches_late == math.isinf(filled(kind, values).quantile(p, late=late))


@given(values=durations, late=st.integers(1, 50))
def test_late_requests_count_as_infinite_values_do_in_numpy(values: Int64s, late: int) -> None:
    """Below the late requests the rank is not that of all requests together."""
    both = np.sort(np.concatenate((values.astype(np.float64), np.full(late, np.inf))))
    sample = filled(Sample, values)
    for p in (0.0, 0.1, 0.5, 0.9):
        rank = p * (len(both) - 1)
        if math.ceil(rank) < len(values):
            expected = np.interp(rank, np.arange(len(values)), both[: len(values)])
            assert pytest.approx(expected) == sample.quantile(p, late=late)


@given(values=durations, cuts=st.lists(st.integers(0, 300), max_size=4))
def test_merging_pieces_equals_adding_all(values: Int64s, cuts: list[int]) -> None:
    """A run's numbers depend on how it was cut into stretches or spread over cores."""
    pieces = np.split(values, sorted(min(cut, len(values)) for cut in cuts))
    for kind in KINDS:
        whole, merged = filled(kind, values), kind()
        for piece in pieces:
            merged.merge(filled(kind, piece))

        assert (whole.count, whole.total, whole.min, whole.max) == (
            merged.count,
            merged.total,
            merged.min,
            merged.max,
        )
        assert [whole.quantile(p) for p in PROBABILITIES] == [merged.quantile(p) for p in PROBABILITIES]
        assert whole.share_within(1_000) == merged.share_within(1_000)


def test_merged_histograms_have_the_same_counts_bucket_by_bucket() -> None:
    """Counts of workers do not add up exactly."""
    values = skewed("heavy")
    merged = filled(LogHistogram, values[:10])
    merged.merge(filled(LogHistogram, values[10:]))

    assert np.array_equal(filled(LogHistogram, values).counts(), merged.counts())
    assert len(values) == merged.counts().sum()


def test_merging_leaves_the_other_as_it_was() -> None:
    """Pooling replications changes the replications."""
    for kind in KINDS:
        one, other = filled(kind, np.array([1, 2])), filled(kind, np.array([5, 9]))
        one.merge(other)
        one.add(np.array([100]))

        assert (2, 14, 9.0) == (other.count, other.total, other.quantile(1.0))


@given(values=durations)
def test_count_sum_and_extremes_are_exact(values: Int64s) -> None:
    """A sum overflows 64 bits, or an extreme is rounded to its bucket."""
    for kind in KINDS:
        distribution = filled(kind, values)

        assert len(values) == distribution.count
        assert sum(values.tolist()) == distribution.total
        assert sum(values.tolist()) / len(values) == distribution.mean
        assert (values.min(), values.max()) == (distribution.min, distribution.max)
        assert (float(values.min()), float(values.max())) == (distribution.quantile(0.0), distribution.quantile(1.0))


@given(values=durations, threshold=st.integers(0, 1 << 62) | st.integers(0, 5_000), late=st.integers(0, 9))
def test_share_within_is_exact_for_a_sample_and_bracketed_for_a_histogram(
    values: Int64s, threshold: int, late: int
) -> None:
    """Attainment of a threshold counts the wrong requests."""
    everything = len(values) + late
    assert np.count_nonzero(values <= threshold) / everything == filled(Sample, values).share_within(threshold, late)

    width = 2 * RELATIVE_ERROR * threshold
    least, most = (np.count_nonzero(values <= edge) / everything for edge in (threshold - width, threshold + width))
    assert least - 1e-12 <= filled(LogHistogram, values).share_within(threshold, late) <= most + 1e-12


@given(p=probabilities, q=probabilities, values=durations)
def test_a_higher_percentile_is_never_smaller(p: float, q: float, values: Int64s) -> None:
    """A p99 lies below a p95."""
    for kind in KINDS:
        distribution = filled(kind, values)
        assert distribution.quantile(min(p, q)) <= distribution.quantile(max(p, q))


def test_buckets_are_in_the_order_of_the_values_and_exact_up_to_a_microsecond() -> None:
    """Two different short durations share a bucket, or a longer one falls into a lower bucket."""
    values = np.unique(np.concatenate((np.arange(3_000), np.geomspace(3_000, 2**62, 50_000).astype(np.int64))))
    buckets = buckets_of(values)

    assert np.all(np.diff(buckets) >= 0)
    assert np.all(np.diff(buckets[:1_024]) > 0)


def test_more_values_than_a_block_are_all_counted() -> None:
    """The last, incomplete block of a long column is forgotten."""
    n = 2 * BLOCK + 17
    for kind in KINDS:
        distribution = filled(kind, np.arange(n))
        assert (n, n * (n - 1) // 2, n - 1) == (distribution.count, distribution.total, distribution.max)


def test_a_histogram_stays_within_half_a_mebibyte() -> None:
    """Memory grows with the number of requests, or with the length of the longest beyond what is stated."""
    for longest, kib in ((1_000_000_000, 240), (3_600 * 10**9, 344), (1 << 62, 504)):
        histogram = filled(LogHistogram, np.arange(100_000), np.array([longest]))
        assert histogram.counts().nbytes <= kib * 1024


def test_sorted_values_of_a_sample_cannot_be_written_to() -> None:
    """Somebody downstream changes a measurement."""
    values = filled(Sample, np.array([3, 1]), np.array([2])).values()

    assert [1, 2, 3] == values.tolist()
    with pytest.raises(ValueError, match="read-only"):
        values[0] = 9
    assert [] == Sample().values().tolist()


@pytest.mark.parametrize("kind", KINDS)
def test_nonsense_is_refused(kind: Any) -> None:
    """An impossible question is answered."""
    with pytest.raises(ValueError, match="must hold a value before it can be asked"):
        kind().quantile(0.5)
    with pytest.raises(ValueError, match="must hold a value before it can be asked"):
        _ = kind().mean
    with pytest.raises(ValueError, match="must hold a value before it can be asked"):
        kind().share_within(1.0)
    with pytest.raises(ValueError, match=r"between 0 and 1, got 99\."):
        filled(kind, np.array([1])).quantile(99)
    with pytest.raises(ValueError, match=r"must be >= 0 ns, got -1\."):
        kind().add(np.array([3, -1]))


def test_only_late_requests_make_every_percentile_infinite() -> None:
    """A workload of which nothing was answered has a finite p50."""
    for kind in KINDS:
        assert math.inf == kind().quantile(0.5, late=3)
        assert kind().share_within(1e18, late=3) == 0.0


def test_kinds_do_not_mix() -> None:
    """An exact distribution silently becomes an approximate one."""
    with pytest.raises(TypeError, match="a Sample can merge only its own kind, got LogHistogram"):
        Sample().merge(LogHistogram())
