"""Doubt: quiet samples raise none, and each kind of unrest raises its own."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibration.observation import STATISTICS
from calibration.stability import (
    ADVICE,
    Doubt,
    doubt_of_clocks,
    doubt_of_load,
    doubts_of_samples,
    raw_quantiles,
    sentences,
    shaky,
    statistics_ms,
)


def kinds(*rounds: np.ndarray) -> list[str]:
    return [doubt.kind for doubt in doubts_of_samples([one.tolist() for one in rounds])]


def rounds_of(samples: np.ndarray, count: int = 5) -> list[np.ndarray]:
    return np.array_split(samples, count)


@pytest.mark.parametrize("seed", range(20))
def test_quiet_samples_raise_no_doubt(seed: int) -> None:
    """An alarm that rings for 1 % of noise is one that nobody reads."""
    rng = np.random.default_rng(seed)
    assert [] == kinds(*rounds_of(rng.normal(10, 0.1, 200)))
    assert [] == kinds(*rounds_of(10 * rng.lognormal(0, 0.02, 60)))


@pytest.mark.parametrize("seed", range(5))
def test_one_wide_group_is_scatter_and_not_two_speeds(seed: int) -> None:
    rng = np.random.default_rng(seed)
    for wide in (rng.normal(10, 1.0, 300), rng.uniform(8, 12, 300), 8 + rng.exponential(1, 300)):
        assert "scatter" in kinds(*rounds_of(wide))
        assert "two speeds" not in kinds(*rounds_of(wide))


@given(st.integers(0, 1000), st.floats(0.15, 0.85), st.floats(1.2, 4.0))
def test_two_groups_are_two_speeds(seed: int, share: float, ratio: float) -> None:
    rng = np.random.default_rng(seed)
    slow = rng.permutation(200) < 200 * share
    samples = rng.normal(10, 0.1, 200) * np.where(slow, ratio, 1.0)
    found = doubts_of_samples([samples.tolist()])
    assert "two speeds" == found[0].kind
    assert "scatter" not in [doubt.kind for doubt in found]


def test_drift_counts_from_three_per_cent_and_beyond_chance() -> None:
    rng = np.random.default_rng(1)
    quiet = rng.normal(10, 0.05, 200)
    assert [] == kinds(*rounds_of(quiet * np.linspace(1, 1.02, 200)))
    assert ["drift"] == kinds(*rounds_of(quiet * np.linspace(1, 1.07, 200)))
    few = [np.array([10.0, 10.6, 9.8]), np.array([10.5, 10.0, 10.7])]
    assert "drift" not in kinds(*few), "three samples against three may differ by chance"
    assert "drift" not in kinds(quiet), "one round has no before and after"


def test_a_single_slow_execution_is_not_worth_a_word() -> None:
    samples = np.full(150, 10.0)
    samples[7] = 40.0
    assert [] == kinds(samples)
    samples[[8, 9]] = 40.0
    assert ["slow executions"] == kinds(samples)


def test_clocks_may_move_by_a_twentieth() -> None:
    assert [] == doubt_of_clocks(1500.0, 1560.0)
    assert [] == doubt_of_clocks(None, None)
    assert "clocks" == doubt_of_clocks(1200.0, 1560.0)[0].kind


def test_a_load_of_its_own_is_no_doubt() -> None:
    assert [] == doubt_of_load(8.0, 8)
    assert [] == doubt_of_load(None, 8)
    assert "busy machine" == doubt_of_load(12.0, 8)[0].kind


def test_who_got_all_the_time_of_its_processors_was_not_disturbed_by_a_queue_for_others() -> None:
    """A pinned process with priority would be told to close programs that never touched it."""
    assert [] == doubt_of_load(12.0, 8, got=0.99)
    assert ["busy machine"] == [doubt.kind for doubt in doubt_of_load(12.0, 8, got=0.8)]


def test_every_kind_of_doubt_comes_with_advice() -> None:
    said = sentences({"batch 1": [Doubt(kind, "x") for kind in ADVICE]})
    assert 1 == len(said)
    for kind, advice in ADVICE.items():
        assert [f"unstable: batch 1 (x). {advice}"] == sentences({"batch 1": [Doubt(kind, "x")]})


def test_advice_is_on_the_cause() -> None:
    effects = [Doubt("scatter", "a"), Doubt("drift", "b")]
    said = sentences({"batch 1": effects, "batch 2": [*effects, Doubt("busy machine", "c")], "batch 4": []})
    assert [f"unstable: batch 1 (a, b); batch 2 (a, b, c). {ADVICE['busy machine']} {ADVICE['drift']}"] == said
    assert [] == sentences({"batch 4": []})


@given(st.lists(st.floats(0.001, 1e6), min_size=1, max_size=2000))
def test_statistics_keep_their_order(samples: list[float]) -> None:
    found = statistics_ms(samples)
    assert set(found) <= set(STATISTICS)
    order = ["min", "p5", "p25", "p50", "p75", "p90", "p95", "p99", "p999", "max"]
    values = [found[name] for name in order if name in found]
    assert sorted(values) == values
    assert min(samples) * (1 - 1e-9) <= found["mean"] <= max(samples) * (1 + 1e-9)
    assert ("p999" in found) == (len(samples) >= 1000)


@given(st.lists(st.floats(0.001, 1e6), min_size=1, max_size=500))
def test_raw_quantiles_are_the_samples_or_a_hundred_equal_steps(samples: list[float]) -> None:
    kept = raw_quantiles(samples)
    assert (min(samples), max(samples)) == (kept[0], kept[-1])
    assert sorted(kept) == list(kept)
    assert (len(samples) if len(samples) <= 200 else 101) == len(kept)


def test_percentiles_with_nothing_beyond_them_are_named() -> None:
    assert (["p90", "p95", "p99"], ["p95", "p99"], ["p99"], []) == (shaky(9), shaky(19), shaky(99), shaky(100))
