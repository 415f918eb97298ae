"""The scatter of executions: lognormal unless what was measured contradicts it, and never that of waiting clients."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibration.profile import Z99, Profile
from calibration.scatter import KEPT, Scatter, ScatterPoint, fit_scatter

RNG = np.random.default_rng(11)


def lognormal(cv: float, mean_ms: float, executions: int, seed: int = 0) -> tuple[float, ...]:
    """Executions with this mean and coefficient of variation."""
    sigma = math.sqrt(math.log1p(cv**2))
    rng = np.random.default_rng(seed)
    return tuple((mean_ms * np.exp(rng.normal(-(sigma**2) / 2, sigma, executions))).tolist())


def two_speeds(mean_ms: float, executions: int) -> tuple[float, ...]:
    """Nine executions in ten take one time, the tenth twice as long."""
    times = np.where(np.arange(executions) % 10 == 0, 2.0, 1.0)
    return tuple((times * mean_ms / times.mean()).tolist())


@pytest.mark.parametrize("cv", [0.01, 0.1, 0.4])
def test_the_spread_of_lognormal_executions_is_found_again(cv: float) -> None:
    found = fit_scatter([ScatterPoint(batch=1, samples_ms=lognormal(cv, 20, 20_000))])
    assert "lognormal" == found.kind
    assert cv == pytest.approx(found.latency_cv[0], rel=0.04)


@given(st.floats(0.5, 100), st.floats(1.0, 3.0))
def test_two_percentiles_give_the_spread_that_a_profile_reads_from_them(p50: float, ratio: float) -> None:
    found = fit_scatter([ScatterPoint(batch=1, statistics_ms={"p50": p50, "p99": p50 * ratio})])
    profile = Profile(batch=(1,), latency_ms=(p50,), p50_ms=(p50,), p99_ms=(p50 * ratio,))
    assert float(profile.latency_cv_at(np.array([1]))[0]) == pytest.approx(found.latency_cv[0], abs=1e-6)


def test_a_mean_and_a_p99_give_the_spread_too() -> None:
    """The lognormal of cv 0.3 has its p99 at exp(2.3263 s - s^2 / 2) times its mean, s^2 = ln 1.09."""
    sigma = math.sqrt(math.log(1.09))
    p99 = 8 * math.exp(Z99 * sigma - sigma**2 / 2)
    found = fit_scatter([ScatterPoint(batch=1, statistics_ms={"mean": 8.0, "p99": p99})])
    assert 0.3 == pytest.approx(found.latency_cv[0], abs=1e-6)


def test_a_standard_deviation_is_enough() -> None:
    assert (0.05,) == fit_scatter([ScatterPoint(batch=1, statistics_ms={"mean": 8.0, "std": 0.4})]).latency_cv


@pytest.mark.parametrize("point", [ScatterPoint(batch=1), ScatterPoint(batch=1, statistics_ms={"mean": 5.0})])
def test_a_mean_alone_tells_no_scatter(point: ScatterPoint) -> None:
    found = fit_scatter([point])
    assert "none" == found.kind
    assert "each takes the mean" in found.basis


def test_executions_of_two_speeds_are_resampled_and_keep_their_percentiles() -> None:
    """A lognormal of the same spread puts the median 6 % too low."""
    found = fit_scatter([ScatterPoint(batch=b, samples_ms=two_speeds(10.0 * b, 400)) for b in (1, 2)])
    assert "empirical" == found.kind
    assert found.basis.startswith("resampled: a lognormal distribution misses a percentile by 6%")
    for relative in found.relative:
        assert KEPT == len(relative)
        assert 1 == pytest.approx(float(np.mean(relative)))
        assert 1 / 1.1 == pytest.approx(float(np.median(relative)), rel=0.01)
        assert 2 / 1.1 == pytest.approx(float(np.quantile(relative, 0.99)), rel=0.01)


def test_what_would_be_resampled_needs_a_hundred_executions_everywhere() -> None:
    found = fit_scatter(
        [
            ScatterPoint(batch=1, samples_ms=two_speeds(10.0, 400)),
            ScatterPoint(batch=2, samples_ms=two_speeds(20.0, 50)),
        ]
    )
    assert "lognormal" == found.kind
    (warning,) = found.warnings
    assert "not every batch size has the 100 executions" in warning


def test_quantiles_from_least_to_largest_do_not_overstate_the_extremes() -> None:
    """101 quantiles of 10,000 executions hold the largest of all, as if one in a hundred took so long."""
    samples = lognormal(0.3, 10.0, 10_000)
    quantiles = tuple(np.quantile(samples, np.linspace(0, 1, 101)).tolist())
    found = fit_scatter([ScatterPoint(batch=1, samples_ms=quantiles, executions=10_000)])
    naive = float(np.std(quantiles) / np.mean(quantiles))
    assert abs(found.latency_cv[0] - 0.3) < abs(naive - 0.3)
    assert 0.3 == pytest.approx(found.latency_cv[0], rel=0.05)


def test_published_percentiles_that_no_lognormal_has_are_kept_as_they_are() -> None:
    """Triton on an A100, batch 8 (NVIDIA/DeepLearningExamples, BERT dist4l): 1.5 ms up to p95, then 5.2 at p99."""
    percentiles = {"p50": 1.5, "p90": 1.5, "p95": 1.5, "p99": 5.2}
    found = fit_scatter([ScatterPoint(batch=8, statistics_ms=percentiles)])
    assert "empirical" == found.kind
    relative = np.array(found.relative[0]) / np.median(found.relative[0])
    shares = (np.arange(KEPT) + 0.5) / KEPT
    assert 1 == pytest.approx(float(np.interp(0.95, shares, relative)), rel=0.03)
    assert 5.2 / 1.5 == pytest.approx(float(np.interp(0.99, shares, relative)), rel=0.1)
    assert max(relative) < 2 * 5.2 / 1.5


def test_percentiles_near_a_lognormal_are_smoothed_by_it() -> None:
    percentiles = {"p50": 10.0, "p90": 11.3, "p95": 11.7, "p99": 12.5}
    assert "lognormal" == fit_scatter([ScatterPoint(batch=8, statistics_ms=percentiles)]).kind


def test_repeats_of_a_batch_size_are_pooled() -> None:
    halves = [ScatterPoint(batch=4, samples_ms=lognormal(0.1, mean, 5_000, seed)) for seed, mean in ((1, 9), (2, 11))]
    found = fit_scatter(halves)
    assert (4,) == found.batch
    assert 0.1 == pytest.approx(found.latency_cv[0], rel=0.05)


def test_between_measured_sizes_the_spread_lies_on_straight_lines_and_samples_are_the_nearest() -> None:
    scatter = Scatter(kind="empirical", batch=(1, 9), latency_cv=(0.1, 0.3), relative=((0.5, 1.5), (0.9, 1.1)))
    assert (0.1, 0.2, 0.3) == scatter.cv_at([1, 5, 9])
    assert ((5.0, 15.0), (36.0, 44.0)) == scatter.samples_at([2, 8], [10.0, 40.0])
