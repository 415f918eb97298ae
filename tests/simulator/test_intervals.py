"""Do the 95 % intervals cover the truth in 95 % of experiments? On M/M/1, whose p99 is known."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
import pytest
from scipy import stats

from simulator.distribution import Sample
from simulator.intervals import interval_95, student_t_975
from simulator.theory import mm1_mean_sojourn, mm1_sojourn_quantile

RHO = 0.8
NS = 1e9
"""Mean service time: 1 s in ns."""

Estimate = Callable[[Sample], float]


def mm1_sojourns(random: np.random.Generator, n: int, warmup: int) -> npt.NDArray[np.int64]:
    """Sojourns of n consecutive requests of M/M/1 at load RHO, ``warmup`` requests after it started empty, in ns."""
    service = random.exponential(1.0, warmup + n)
    walk = np.concatenate(([0.0], np.cumsum(service[:-1] - random.exponential(1 / RHO, warmup + n - 1))))
    wait = walk - np.minimum.accumulate(walk)
    return np.rint(NS * (wait + service)[warmup:]).astype(np.int64)


def experiments(trials: int, replications: int, requests: int) -> Iterator[tuple[Sample, list[Sample]]]:
    """The pooled requests of each experiment, and those of each of its replications."""
    random = np.random.default_rng(2024)
    for _ in range(trials):
        each, pooled = [], Sample()
        for _ in range(replications):
            replication = Sample()
            replication.add(mm1_sojourns(random, requests, warmup=1_000))
            each.append(replication)
            pooled.merge(replication)
        yield pooled, each


def coverage(trials: int, replications: int, requests: int, estimates: dict[Estimate, float]) -> list[float]:
    """Share of the experiments in which the interval of each estimate holds its true value."""
    hits = np.zeros(len(estimates))
    for pooled, each in experiments(trials, replications, requests):
        for index, (estimate, truth) in enumerate(estimates.items()):
            low, high = interval_95(estimate(pooled), [estimate(one) for one in each])
            hits[index] += low <= truth <= high
    shares: list[float] = (hits / trials).tolist()
    return shares


ESTIMATES: dict[Estimate, float] = {
    lambda sample: sample.mean: NS * mm1_mean_sojourn(RHO, 1.0),
    lambda sample: sample.quantile(0.5): NS * mm1_sojourn_quantile(0.5, RHO, 1.0),
    lambda sample: sample.quantile(0.99): NS * mm1_sojourn_quantile(0.99, RHO, 1.0),
}


def test_intervals_of_mm1_cover_the_truth_as_often_as_they_say() -> None:
    """The 95 % interval of a mean, a median or a p99 covers the truth in less than 90 or more than 99 %."""
    for share in coverage(trials=300, replications=10, requests=10_000, estimates=ESTIMATES):
        assert 0.90 <= share <= 0.99


@pytest.mark.slow
@pytest.mark.parametrize("replications", [5, 20])
def test_intervals_of_mm1_cover_the_truth_for_few_and_many_replications(replications: int) -> None:
    """The 95 % interval of a mean, a median or a p99 covers the truth in less than 90 or more than 99 %."""
    for share in coverage(trials=1_000, replications=replications, requests=25_000, estimates=ESTIMATES):
        assert 0.90 <= share <= 0.99


def test_the_independent_samples_interval_would_not_cover() -> None:
    """The reason for replications is gone: latencies of one run behave as if they were independent."""
    truth, hits, trials, n = NS * mm1_sojourn_quantile(0.99, RHO, 1.0), 0, 40, 20_000
    low_rank, high_rank = stats.binom.ppf([0.025, 0.975], n, 0.99).astype(int)
    for pooled, _ in experiments(trials, replications=1, requests=n):
        hits += bool(pooled.values()[low_rank] <= truth <= pooled.values()[high_rank])

    assert hits / trials < 0.6


@pytest.mark.parametrize("degrees", [1, 2, 4, 9, 19, 20, 21, 29, 60, 999, 100_000])
def test_students_t_agrees_with_scipy(degrees: int) -> None:
    """A quantile in the table, or the expansion beyond it, is wrong."""
    assert pytest.approx(stats.t.ppf(0.975, degrees), abs=1e-6) == student_t_975(degrees)


def test_interval_is_the_textbook_one_where_the_pooled_estimate_is_the_mean() -> None:
    """For a mean over equally many requests the formula is not Student's."""
    each = [10.0, 12.0, 11.0, 15.0]
    expected = stats.t.interval(0.95, 3, loc=np.mean(each), scale=stats.sem(each))

    assert pytest.approx(expected) == interval_95(12.0, each)


def test_interval_is_centred_on_the_pooled_estimate_and_widens_when_replications_are_biased() -> None:
    """Short replications whose percentiles all lie too low make a narrow interval around the wrong value."""
    low, high = interval_95(100.0, [90.0, 91.0, 90.5])

    assert 100.0 == (low + high) / 2
    assert low < 90.0


def test_an_interval_needs_two_replications() -> None:
    """A single run claims to know its error."""
    with pytest.raises(ValueError, match=r"at least 2 replications, got 1\."):
        interval_95(1.0, [1.0])
    with pytest.raises(ValueError, match=r"must be >= 1, got 0\."):
        student_t_975(0)


def test_equal_replications_have_an_interval_of_no_width() -> None:
    """A run without any randomness is reported with an error."""
    assert (7.0, 7.0) == interval_95(7.0, [7.0, 7.0, 7.0])
    assert math.isclose(12.706205, student_t_975(1))
