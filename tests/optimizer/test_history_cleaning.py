"""Outliers, shifts of level and ended pools: told where they are, and not where a season or a trend is."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt
import pytest

from optimizer.history import History
from optimizer.history_cleaning import clean, pool_lives
from optimizer.level_shifts import level_shifts

Floats = npt.NDArray[np.float64]

YEAR = 8_760


def demand(hours: int = YEAR, *, seed: int = 0, trend: float = 0.0, yearly: float = 0.0, memory: float = 0.5) -> Floats:
    """Hourly demand about 130 with a day, a working week, and noise that remembers."""
    at = np.arange(hours)
    shape = 100 + 20 * np.sin(2 * np.pi * at / 24) + 30 * (at // 24 % 7 < 5)
    shape = shape * (1 + yearly * np.sin(2 * np.pi * at / 8_766)) + trend * at
    shocks = np.random.default_rng(seed).normal(scale=5 * np.sqrt(1 - memory**2), size=hours)
    noise = np.zeros(hours)
    for hour in range(1, hours):
        noise[hour] = memory * noise[hour - 1] + shocks[hour]
    values: Floats = np.maximum(shape + noise, 0.0)
    return values


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind", [{}, {"trend": 0.01}, {"trend": -0.008}, {"yearly": 0.3}, {"memory": 0.95}])
def test_no_shift_is_seen_in_a_season_a_trend_or_noise_that_remembers(seed: int, kind: dict[str, float]) -> None:
    assert () == level_shifts(demand(2 * YEAR, seed=seed, **kind))


@pytest.mark.parametrize("kind", [{}, {"trend": 0.01}, {"yearly": 0.3}])
@pytest.mark.parametrize("factor", [0.6, 1.5])
def test_a_shift_is_found_to_the_hour(kind: dict[str, float], factor: float) -> None:
    values = demand(2 * YEAR, **kind)
    values[9_003:] *= factor
    (shift,) = level_shifts(values)
    assert abs(shift.hour - 9_003) <= 3
    assert factor == pytest.approx(shift.after / shift.before, rel=0.1)


def test_several_shifts_are_found_in_order() -> None:
    values = demand()
    values[2_000:] += 100
    values[5_000:] -= 60
    shifts = level_shifts(values)
    assert [2_000, 5_000] == pytest.approx([shift.hour for shift in shifts], abs=6)
    assert [100, -60] == pytest.approx([shift.size for shift in shifts], abs=12)


def test_shifts_and_outliers_do_not_depend_on_the_unit() -> None:
    values = demand()
    values[4_000:] *= 1.5
    values[1_000] = 900.0
    one, thousand = clean(values), clean(values * 1_000)
    assert [shift.hour for shift in one.shifts] == [shift.hour for shift in thousand.shifts]
    assert one.outliers.tolist() == thousand.outliers.tolist()


def test_a_series_of_under_four_weeks_shows_no_shift() -> None:
    values = demand(27 * 24)
    values[300:] *= 3
    assert () == level_shifts(values)


def test_outliers_are_found_and_take_what_is_usual_at_their_hour() -> None:
    clean_values = demand()
    values = clean_values.copy()
    at = [700, 2_345, 2_346, 6_000]
    values[at] = [900.0, 700.0, 650.0, 0.0]
    cleaned = clean(values)
    assert at == cleaned.outliers.tolist()
    np.testing.assert_allclose(cleaned.values[at], clean_values[at], rtol=0.2)
    untouched = np.setdiff1d(np.arange(len(values)), at)
    assert values[untouched].tolist() == cleaned.values[untouched].tolist()


def test_what_was_wanted_is_not_changed() -> None:
    values = demand()
    values[700] = 900.0
    before = values.copy()
    clean(values)
    assert before.tolist() == values.tolist()


@pytest.mark.parametrize("seed", range(4))
def test_normal_noise_has_hardly_an_outlier(seed: int) -> None:
    """Beyond 6 deviations a normal hour falls once in 500 million; the estimate of the deviation costs a few."""
    assert len(clean(demand(seed=seed)).outliers) <= 2


def test_a_filled_hour_is_never_an_outlier() -> None:
    values = demand()
    values[[700, 900]] = 900.0
    known = np.ones(len(values), dtype=np.bool_)
    known[700] = False
    assert [900] == clean(values, known=known).outliers.tolist()


def test_an_event_of_days_is_not_taken_for_outliers() -> None:
    values = demand()
    values[3_000:3_060] *= 4
    assert not set(range(3_000, 3_060)) & set(clean(values).outliers.tolist())


def test_demand_that_is_seldom_keeps_its_bursts() -> None:
    values = np.zeros(YEAR)
    values[::50] = 8.0
    cleaned = clean(values)
    assert values.tolist() == cleaned.values.tolist()
    assert () == cleaned.shifts


def test_one_machine_more_is_no_outlier_in_a_small_pool() -> None:
    values = np.full(YEAR, 3.0)
    values[[500, 4_000]] = 4.0
    values[7_000] = 30.0
    assert [7_000] == clean(values).outliers.tolist()


def test_a_series_that_is_all_outliers_has_none_and_says_so() -> None:
    values = demand()
    values[np.random.default_rng(1).choice(YEAR, YEAR // 25, replace=False)] *= 6
    cleaned = clean(values)
    assert not len(cleaned.outliers)
    assert "that is its nature" in cleaned.notes[0]


def test_a_constant_is_clean() -> None:
    cleaned = clean(np.full(2_000, 7.0))
    assert ((), 0, ()) == (cleaned.shifts, len(cleaned.outliers), cleaned.notes)


@pytest.mark.parametrize("hours", [1, 23, 24, 71, 72, 167, 168, 503, 504, 671, 672, 700])
def test_any_length_is_cleaned(hours: int) -> None:
    assert hours == len(clean(demand(hours)).values)


def test_on_the_last_level_an_old_shift_is_gone() -> None:
    values = demand()
    values[4_000:] *= 2
    levelled = clean(values).on_last_level()
    assert np.median(levelled[:4_000]) == pytest.approx(np.median(levelled[4_000:]), rel=0.05)
    assert values[4_100:].tolist() == levelled[4_100:].tolist()


def test_pools_are_told_to_live_to_be_young_or_to_have_ended() -> None:
    hours = 2_000
    steady = np.ones(hours)
    ended = np.where(np.arange(hours) < 1_500, 5.0, 0.0)
    young = np.where(np.arange(hours) >= 1_800, 5.0, 0.0)
    weekend_rest = np.where(np.arange(hours) // 24 % 7 < 5, 2.0, 0.0)
    seldom = np.where(np.arange(hours) % 400 == 10, 1.0, 0.0)
    never = np.zeros(hours)
    values = np.stack([steady, ended, young, weekend_rest, seldom, never], axis=1)
    wanted = [np.flatnonzero(column) for column in values.T]
    history = History(
        start=datetime(2021, 1, 1, tzinfo=UTC),
        pools=("steady", "ended", "young", "weekdays", "seldom", "never"),
        demand=values,
        first_h=np.array([hits[0] if len(hits) else hours for hits in wanted]),
        last_h=np.array([hits[-1] if len(hits) else -1 for hits in wanted]),
        filled=np.zeros(values.shape, dtype=np.bool_),
    )
    states = {life.pool: life.state for life in pool_lives(history)}
    assert {
        "steady": "steady", "ended": "ended", "young": "young", "weekdays": "steady", "seldom": "steady",
        "never": "never",
    } == states  # fmt: skip
