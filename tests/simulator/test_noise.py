"""Scatter of service times: every table has mean 1 and the quantiles it should, and draws pick from it evenly."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from calibration.profile import Profile
from simulator.model import Noise
from simulator.noise import MOST_ROWS, REACH, empirical, lognormal, noise_of, normal_positions, whole_positions
from simulator.policies.service import NOISE_LEVELS, noisy

Floats = npt.NDArray[np.float64]


def profile(**keys: Any) -> Profile:
    """Measured at batches of 1 and 4."""
    return Profile.model_validate({"batch": [1, 4], "latency_ms": [10.0, 20.0], **keys})


def factors_drawn(noise: Noise, items: int, n: int = 200_000) -> Floats:
    """What ``n`` executions of this size are multiplied by."""
    position = noise.draw(np.random.default_rng(7), n)
    factors: Floats = np.interp(position, np.arange(NOISE_LEVELS + 1), noise.factors[noise.row[items]])
    return factors


@pytest.mark.parametrize("cv", [0.02, 0.3, 1.0])
def test_lognormal_scatter_has_mean_1_and_its_cv(cv: float) -> None:
    """A scatter whose mean is not 1 changes the capacity of the fleet. Each figure within 4 standard errors."""
    factors = factors_drawn(lognormal(np.array([cv])), 1)
    n = len(factors)
    kurtosis = stats.lognorm.stats(np.sqrt(np.log1p(cv**2)), moments="k")
    assert abs(1 - factors.mean()) <= 4 * cv / np.sqrt(n)
    assert abs(1 - factors.std() / cv) <= 4 * np.sqrt((kurtosis + 2) / (4 * n))


@pytest.mark.parametrize("cv", [0.05, 0.5, 2.0])
def test_a_lognormal_table_is_the_quantile_function(cv: float) -> None:
    """Between the steps of the grid the straight line errs by no more than the docstring says."""
    noise = lognormal(np.array([cv]))
    sigma = np.sqrt(np.log1p(cv**2))
    z = np.linspace(-REACH, REACH, 10 * NOISE_LEVELS + 1)
    position = (z + REACH) * NOISE_LEVELS / (2 * REACH)
    table = np.interp(position, np.arange(NOISE_LEVELS + 1), noise.factors[noise.row[1]])
    exact = stats.lognorm.ppf(stats.norm.cdf(z), sigma, scale=np.exp(-(sigma**2) / 2))
    inside = np.abs(z) < 5  # beyond, 1 - cdf loses its digits, not the table
    assert np.abs(table / exact - 1)[inside].max() <= sigma**2 * (2 * REACH / NOISE_LEVELS) ** 2 / 8 + 1e-9


def test_each_batch_size_has_its_own_scatter() -> None:
    """Large batches that scattered like small ones would have a p99 of their own invention."""
    cv = np.array([0.5, 0.0, 0.1, 0.5])
    noise = lognormal(cv)
    assert (3, NOISE_LEVELS + 1) == noise.factors.shape
    assert noise.row[1] == noise.row[4]
    assert {1.0} == set(noise.factors[noise.row[2]].tolist())
    spreads = [factors_drawn(noise, items).std() for items in (1, 2, 3, 4)]
    assert np.allclose(cv, spreads, rtol=0.02, atol=1e-12)


def test_very_many_batch_sizes_share_the_nearest_scatter() -> None:
    """A table row for each of thousands of batch sizes would not fit the processor's cache."""
    cv = np.linspace(0.1, 0.6, 4096)
    noise = lognormal(cv)
    assert len(noise.factors) <= MOST_ROWS
    middle = np.log(noise.factors[:, NOISE_LEVELS // 2])  # at z = 0 the factor is exp(-sigma^2 / 2)
    shared = np.sqrt(np.expm1(-2 * middle))[noise.row[1:]]
    assert np.abs(shared - cv).max() <= (cv[-1] - cv[0]) / (MOST_ROWS - 1) / 2 + 1e-9


@pytest.mark.parametrize("draw", [normal_positions, whole_positions])
def test_positions_lie_on_the_grid(draw: Any) -> None:
    """A position at the very end of the grid would read past the table."""

    class Extreme:
        def standard_normal(self, n: int) -> Floats:
            return np.array([-99.0, -6.0, 0.0, 6.0, 99.0])[:n]

        def random(self, n: int) -> Floats:
            return np.array([0.0, 0.5, np.nextafter(1.0, 0.0), 0.1, 0.2])[:n]

    for position in (draw(Extreme(), 5), draw(np.random.default_rng(1), 10_000)):
        assert (position >= 0).all()
        assert (position < NOISE_LEVELS).all()


def test_samples_are_drawn_as_often_as_they_were_measured() -> None:
    """Resampling must give back the measured distribution: four samples, each a quarter of the time."""
    noise = empirical(profile(samples_ms=[[8.0, 9.0, 11.0, 12.0], [20.0]]), np.arange(1, 9))
    values, counts = np.unique(np.round(10 * factors_drawn(noise, 1), 9), return_counts=True)
    assert [8.0, 9.0, 11.0, 12.0] == values.tolist()
    assert np.abs(counts / counts.sum() - 0.25).max() < 0.005
    assert {1.0} == set(factors_drawn(noise, 4).tolist())


@given(st.lists(st.floats(0.1, 100.0), min_size=1, max_size=50))
def test_resampled_scatter_has_mean_1(samples: list[float]) -> None:
    """However many samples there are, a scatter whose mean is not 1 changes the capacity of the fleet."""
    noise = empirical(profile(samples_ms=[samples, [1.0]]), np.arange(1, 5))
    levels = noise.factors[noise.row[1]]
    assert abs(1 - levels[:-1].mean()) < 1e-12
    assert (np.diff(levels) >= 0).all()


def test_a_batch_between_two_measured_ones_scatters_like_the_nearest() -> None:
    """Sizes 1 and 4 were measured: 2 is nearer to 1; 3 and all above are nearer to 4."""
    noise = empirical(profile(samples_ms=[[9.0, 11.0], [19.0, 21.0]]), np.arange(1, 9))
    assert [0, 0, 1, 1, 1, 1, 1, 1] == noise.row[1:].tolist()


def test_a_profile_says_how_it_scatters() -> None:
    """Scatter that is not in the profile must not appear, and scatter that is must not vanish."""
    assert noise_of(profile(), 4) is None
    assert noise_of(profile(latency_cv=0.0), 4) is None
    fitted = noise_of(profile(latency_cv=0.25), 4)
    assert fitted is not None
    assert abs(0.25 - factors_drawn(fitted, 3).std()) < 0.003
    resampled = noise_of(profile(samples_ms=[[5.0, 15.0], [20.0]]), 4)
    assert resampled is not None
    assert {0.5, 1.5} == set(np.round(factors_drawn(resampled, 1), 9).tolist())


def test_percentiles_of_a_profile_come_back() -> None:
    """A profile that gives p50 and p99 must scatter so that the p99 is that multiple of the p50."""
    noise = noise_of(profile(p50_ms=[10.0, 20.0], p99_ms=[15.0, 24.0]), 4)
    assert noise is not None
    for items, ratio in ((1, 1.5), (4, 1.2)):
        p50, p99 = np.percentile(factors_drawn(noise, items), [50, 99])
        assert abs(ratio - p99 / p50) < 0.01


def test_a_factor_between_two_levels_is_interpolated_and_an_execution_takes_time() -> None:
    """A position of 2.25 lies a quarter of the way from level 2 to level 3; no execution ends as it starts."""
    factors = np.arange(NOISE_LEVELS + 1) / 100
    assert round(1_000_000 * 0.0225) == noisy(1_000_000, factors, 2.25)
    assert 1 == noisy(10, factors, 0.0)
