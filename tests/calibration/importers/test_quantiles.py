"""Percentiles: NumPy's definition, honest about samples that are too small, and about buckets."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibration.importers.quantiles import histogram_quantile, percentile_name, quantile, raw_quantiles, statistics_of
from calibration.observation import STATISTICS

times = st.lists(st.floats(0.001, 1e6), min_size=1, max_size=300)


@given(times, st.floats(0, 1))
def test_a_quantile_is_numpys(values: list[float], share: float) -> None:
    assert pytest.approx(float(np.quantile(values, share)), rel=1e-9) == quantile(sorted(values), share)


@given(times)
def test_statistics_are_those_of_the_sample(values: list[float]) -> None:
    found = statistics_of(values)
    assert set(found) <= set(STATISTICS)
    assert pytest.approx(float(np.mean(values))) == found["mean"]
    assert (min(values), max(values)) == (found["min"], found["max"])
    ordered = [found[name] for name in STATISTICS if name[1:].isdigit() and name in found]
    assert sorted(ordered) == ordered


def test_a_small_sample_tells_no_tail() -> None:
    """The 99th percentile of ten requests is their maximum, dressed up."""
    assert "p99" not in statistics_of(list(range(1, 100)))
    assert "p99" in statistics_of(list(range(1, 101)))
    assert {} == statistics_of([])


@given(times)
def test_raw_quantiles_keep_a_small_sample_whole(values: list[float]) -> None:
    assert tuple(sorted(values)) == raw_quantiles(values)


def test_raw_quantiles_of_a_large_sample_keep_its_shape() -> None:
    values = [float(index) for index in range(100_000)]
    kept = raw_quantiles(values)
    assert (1000, 0.0, 99_999.0) == (len(kept), kept[0], kept[-1])
    assert pytest.approx(np.mean(values), rel=1e-3) == np.mean(kept)


@pytest.mark.parametrize(
    ("text", "name"), [("99.90", "p999"), ("p95", "p95"), ("100", None), ("max", None), ("1%", "p1")]
)
def test_percentiles_have_names(text: str, name: str | None) -> None:
    assert name == percentile_name(text)


@given(st.lists(st.integers(0, 50), min_size=2, max_size=8), st.floats(0.01, 1))
def test_a_histograms_quantile_lies_in_its_bucket(counts: list[int], share: float) -> None:
    bounds = [float(index + 1) for index in range(len(counts))]
    cumulative = [float(value) for value in np.cumsum(counts)]
    found = histogram_quantile(bounds, cumulative, share)
    if cumulative[-1] == 0:
        assert found is None
    else:
        assert found is not None
        value, width = found
        bucket = math.ceil(value - 1e-9)
        assert 1.0 == width
        assert cumulative[bucket - 1] >= share * cumulative[-1] - 1e-9


def test_beyond_the_last_bound_nothing_is_known() -> None:
    assert histogram_quantile([1.0, math.inf], [9.0, 10.0], 0.99) is None
    assert (0.5, 1.0) == histogram_quantile([1.0, math.inf], [10.0, 10.0], 0.5)
