"""Levels and trends of demand: what a bad week, a young pool or a walk does to them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimizer.forecast.levels import (
    DAY_H,
    WEEK_H,
    lasting_change,
    levels_of,
    logarithms,
    trend,
    without_accidents,
)


@given(st.floats(-3, 3), st.floats(-0.2, 0.2), st.integers(4, 60))
def test_a_straight_course_is_its_own_trend(level: float, slope: float, over: int) -> None:
    course = level + slope * np.arange(-69, 1)
    found = trend(course, over)
    assert level == pytest.approx(found.level, abs=1e-9)
    assert slope == pytest.approx(found.slope, abs=1e-9)


def test_one_bad_week_does_not_turn_the_trend() -> None:
    course = 0.01 * np.arange(20)
    bad = course.copy()
    bad[14] -= 3.0
    assert trend(course, 13).slope == pytest.approx(trend(bad, 13).slope, abs=0.002)


def test_a_holiday_is_an_accident_and_a_move_is_none() -> None:
    """Two weeks of a year's end are replaced; a new level that stays is kept."""
    holiday = np.full(20, 5.0)
    holiday[10:12] = 4.0
    assert 0.01 > np.abs(without_accidents(holiday) - 5.0).max()
    moved = np.r_[np.full(10, 5.0), np.full(10, 4.0)]
    assert [5.0, 4.0] == [without_accidents(moved)[4], without_accidents(moved)[15]]


def test_the_last_two_levels_are_believed() -> None:
    """Nothing after them tells an accident from a change."""
    course = np.r_[np.full(18, 5.0), 4.0, 4.0]
    assert [4.0, 4.0] == without_accidents(course)[-2:].tolist()


def test_noise_that_comes_and_goes_lasts_less_than_a_walk() -> None:
    rng = np.random.default_rng(1)
    noise = rng.normal(scale=0.1, size=2_000)
    assert 0.1 == pytest.approx(lasting_change(np.cumsum(noise)), rel=0.1)
    assert lasting_change(noise) < 0.08


def test_weeks_are_whole_and_end_with_the_history() -> None:
    levels = levels_of(np.arange(5.0 * WEEK_H + 30)[:, np.newaxis])
    assert (WEEK_H, 5) == (levels.block_h, len(levels.demand))
    assert 30 + 4 * WEEK_H + (WEEK_H - 1) / 2 == levels.demand[-1, 0]


def test_less_than_two_weeks_are_looked_at_day_by_day() -> None:
    assert WEEK_H == levels_of(np.ones((14 * DAY_H, 1))).block_h
    assert DAY_H == levels_of(np.ones((13 * DAY_H, 1))).block_h
    with pytest.raises(ValueError, match="needs 4 days"):
        levels_of(np.ones((3 * DAY_H, 1)))


def test_a_pool_that_shrank_to_little_is_at_its_little_level() -> None:
    """The least that logarithms are taken of must not lift the level of today."""
    life = np.r_[np.full(40, 300.0), np.full(10, 1.0)]
    assert 0.0 == pytest.approx(trend(logarithms(life), 6).level, abs=1e-9)
