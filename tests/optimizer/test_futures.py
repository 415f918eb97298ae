"""Futures of demand: what they continue, what they share, and what a newcomer does to older pools."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt
import pytest

from optimizer.forecast import futures
from optimizer.forecast.futures import futures_of
from optimizer.forecast.levels import Levels
from optimizer.forecast.substitution import CHANCE_OF_MOVE, Newcomers, moved, newcomers
from optimizer.history import History, one_pool

Floats = npt.NDArray[np.float64]
START = datetime(2024, 1, 1, tzinfo=UTC)
WEEK = 168
YEAR = 52 * WEEK


def history(*series: Floats) -> History:
    """Pools a, b, ... side by side."""
    demand = np.stack(series, axis=1)
    lived = demand > 0
    return History(
        start=START,
        pools=tuple("abcdef"[: len(series)]),
        demand=demand,
        first_h=np.argmax(lived, axis=0),
        last_h=len(demand) - 1 - np.argmax(lived[::-1], axis=0),
        filled=np.zeros(demand.shape, dtype=np.bool_),
    )


def daily(level: float | Floats, hours: int = YEAR) -> Floats:
    """A day's swing of 40 % around a level."""
    values: Floats = np.asarray(level) * (1 + 0.4 * np.sin(np.arange(hours) * 2 * np.pi / 24))
    return values


def test_the_same_seed_gives_the_same_futures() -> None:
    known = history(daily(100.0), daily(30.0))
    one, same, other = (futures_of(known, 2 * WEEK, seed=seed).demand for seed in (1, 1, 2))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


def test_futures_begin_where_the_history_ends() -> None:
    known = one_pool(daily(100.0), START)
    scenarios = futures_of(known, 5 * WEEK + 3)
    assert known.end == scenarios.start
    assert (5 * WEEK + 3, 1) == scenarios.demand.shape[1:]
    assert 1.0 == pytest.approx(scenarios.probability.sum())


def test_steady_demand_stays_near_its_level_and_keeps_its_hours() -> None:
    scenarios = futures_of(one_pool(daily(100.0), START), YEAR)
    assert 100.0 == pytest.approx(scenarios.demand.mean(), rel=0.05)
    hours = scenarios.mean[:, 0].reshape(-1, 24).mean(axis=0)
    assert 1.4 / 0.6 == pytest.approx(hours.max() / hours.min(), rel=0.05)


def test_growth_goes_on_and_fades() -> None:
    """A trend of 1 % a week over a year: more at first, and never as much as if it went on for ever."""
    grown = daily(100 * 1.01 ** (np.arange(YEAR) / WEEK))
    scenarios = futures_of(one_pool(grown, START), YEAR)
    now, later = 100 * 1.01**52, scenarios.mean[-4 * WEEK :].mean()
    assert now * 1.1 < later < now * 1.01**52


def test_futures_part_as_they_go_further() -> None:
    demand = futures_of(one_pool(daily(100.0), START), YEAR).demand[:, :, 0]
    spread = [demand[:, week * WEEK : (week + 1) * WEEK].mean(axis=1).std() for week in (1, 12, 50)]
    assert spread[0] < spread[1] < spread[2]


def test_pools_that_share_a_steady_sum_cannot_all_grow() -> None:
    """One pool moves to another of old: each trend alone would double the sum, the sum's own trend is flat."""
    weeks = np.arange(YEAR) / WEEK
    falling, rising = 200 * (1 - weeks / 80), 200 * weeks / 80 + 20
    scenarios = futures_of(history(daily(falling), daily(rising)), YEAR)
    assert 220 == pytest.approx(scenarios.mean.sum(axis=1).mean(), rel=0.1)
    assert scenarios.mean[-WEEK:, 1].mean() > scenarios.mean[:WEEK, 1].mean()


def test_whole_instances_stay_whole() -> None:
    whole = np.rint(daily(10.0))
    assert np.array_equal(futures_of(one_pool(whole, START), WEEK).demand % 1, np.zeros((100, WEEK, 1)))


def test_a_pool_that_ended_stays_away_and_is_named() -> None:
    ended = daily(50.0)
    ended[-4 * WEEK :] = 0.0
    scenarios = futures_of(history(daily(100.0), ended), WEEK)
    assert not scenarios.demand[:, :, 1].any()
    assert any("no demand at the end" in note and "b" in note for note in scenarios.notes)


def test_a_newcomer_may_take_the_place_of_the_old() -> None:
    """Fisher and Pry 1971: what is left falls along a logistic curve; here in half of the futures."""
    new = daily(40.0)
    new[: -4 * WEEK] = 0.0
    scenarios = futures_of(history(daily(200.0), new), YEAR)
    left = scenarios.demand[:, -4 * WEEK :, 0].mean(axis=1) / 200
    assert CHANCE_OF_MOVE == pytest.approx((left < 0.5).mean(), abs=0.1)
    assert any("b came within" in note for note in scenarios.notes)


def test_no_pool_is_a_newcomer_because_the_history_is_short() -> None:
    found = newcomers(Levels(WEEK, np.full((8, 2), 10.0)))
    assert not found.any


def test_a_move_keeps_the_sum() -> None:
    paths = np.random.default_rng(1).uniform(1, 9, size=(20, 30, 3))
    who = Newcomers(np.array([False, False, True]), np.array([True, True, False]))
    after = moved(paths, who, np.array([5.0, 5.0, 5.0]), WEEK, np.random.default_rng(2))
    np.testing.assert_allclose(paths.sum(axis=2), after.sum(axis=2))
    assert (after[:, :, 2] >= paths[:, :, 2] - 1e-12).all()


def test_fewer_futures_are_drawn_than_memory_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(futures, "LARGEST_TABLE", 30 * WEEK)
    assert 30 == len(futures_of(one_pool(daily(9.0), START), WEEK).probability)


def test_pools_of_different_workloads_share_no_total_and_nobody_moves() -> None:
    """A newcomer beside another workload takes nobody's place, and what one workload does is alone its own."""
    new = daily(40.0)
    new[: -4 * WEEK] = 0.0
    apart = futures_of(history(daily(200.0), new), YEAR, interchangeable=False)
    assert 200.0 == pytest.approx(apart.demand[:, :, 0].mean(), rel=0.05)
    assert not any("came within" in note for note in apart.notes)
    beside = futures_of(history(daily(200.0), daily(7.0)), YEAR, interchangeable=False)
    np.testing.assert_array_equal(apart.demand[:, :, 0], beside.demand[:, :, 0])
