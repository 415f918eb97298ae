"""One series: what is foretold, how wide the intervals are, and what is said where nothing can be foretold."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime

import numpy as np
import pytest
from scipy.signal import lfilter

from optimizer.calendar_days import Event, Holiday
from optimizer.forecast.models import Training
from optimizer.forecast.scale import Floats
from optimizer.forecast.series import SeriesForecast, forecast_series
from optimizer.forecast.verdict import interval_notes, verdict

MONDAY = datetime(2024, 1, 1, tzinfo=UTC)


def weekly(hours: int, *, noise: float = 0.1, seed: int = 1) -> Floats:
    """Demand by the hour of the day and the weekend, with lognormal noise that lasts some hours."""
    rng = np.random.default_rng(seed)
    hour = np.arange(hours)
    shape = 0.5 * np.sin(2 * np.pi * hour / 24) - 0.4 * ((hour // 24) % 7 >= 5)
    wander = lfilter([1.0], [1.0, -0.8], rng.standard_normal(hours) * noise * 0.6)
    return np.asarray(np.exp(4 + shape + wander))


@pytest.fixture(scope="module")
def seasonal() -> SeriesForecast:
    return forecast_series(weekly(8 * 168), start=MONDAY, horizon_h=100)


def test_a_season_is_found_and_foretold_better_than_by_the_last_week(seasonal: SeriesForecast) -> None:
    assert 168 == seasonal.seasons.period_h
    assert seasonal.forecastable, seasonal.reasons
    assert seasonal.scores.mase < 0.85 * seasonal.scores.mase_naive
    assert datetime(2024, 2, 26, tzinfo=UTC) == seasonal.start


def test_the_interval_held_what_it_was_to_hold_at_origins_it_had_not_seen(seasonal: SeriesForecast) -> None:
    assert 0.75 <= seasonal.scores.coverage_80 <= 0.85


def test_quantiles_rise_with_their_level_and_hold_the_point_forecast(seasonal: SeriesForecast) -> None:
    levels = np.stack([seasonal.quantile(level) for level in (0.01, 0.1, 0.5, 0.9, 0.99)])
    assert np.all(np.diff(levels, axis=0) >= 0)
    assert np.array_equal(levels[2], seasonal.p50)


def test_paths_have_the_quantiles_that_the_interval_states(seasonal: SeriesForecast) -> None:
    """Plans are made on paths and read with intervals: the two must be one distribution, hour by hour."""
    paths = seasonal.paths
    assert (200, 100) == paths.shape
    below = np.mean(paths <= seasonal.quantile(0.9), axis=0)
    assert np.all(np.abs(below - 0.9) <= 0.005)
    assert np.allclose(paths.mean(axis=0), seasonal.mean)


def test_a_path_stays_on_its_side_for_hours(seasonal: SeriesForecast) -> None:
    """Hours drawn apart would average out within a day, and a month would seem certain."""
    above = seasonal.paths > seasonal.p50
    assert np.mean(above[:, 1:] == above[:, :-1]) > 0.6


def test_a_forecast_is_the_same_each_time_and_its_paths_follow_the_seed() -> None:
    values = weekly(4 * 168)
    one, same, other = (forecast_series(values, start=MONDAY, horizon_h=24, seed=seed) for seed in (3, 3, 4))
    assert np.array_equal(one.paths, same.paths)
    assert np.array_equal(one.p50, other.p50)
    assert not np.array_equal(one.paths, other.paths)


def test_constant_demand_stays() -> None:
    said = forecast_series(np.full(1000, 5.0), start=MONDAY, horizon_h=48)
    assert np.array_equal(np.full(48, 5.0), said.p50)
    assert np.array_equal(np.full(48, 5.0), said.quantile(0.9))
    assert 1.0 == said.scores.coverage_80
    assert said.forecastable, said.reasons
    assert any("just what was foretold in 100 % of the hours" in note for note in said.notes)
    assert not any("wider than it need be" in note for note in said.notes)


@pytest.mark.parametrize("noise", [0.0, 0.15])
def test_demand_that_is_nearly_always_just_as_foretold_is_not_said_to_have_too_wide_an_interval(noise: float) -> None:
    """Whole instances by the clock: to hold the commonest value is to hold more than four hours in five."""
    hour = np.arange(8 * 168)
    values = 20 + 8 * np.sin(2 * np.pi * hour / 24) - 5 * ((hour // 24) % 7 >= 5)
    values = np.round(values + np.random.default_rng(1).normal(0, noise, hour.size)) if noise else values
    said = forecast_series(values, start=MONDAY, horizon_h=24)
    assert said.scores.coverage_80 > 0.85
    assert any("just what was foretold in" in note for note in said.notes)
    assert not any("P10 to P90 held" in reason for reason in said.reasons)


@pytest.mark.parametrize(
    ("coverage", "reason", "note"),
    [
        (1.00, None, "wider than it need be"),
        (0.86, None, "wider than it need be"),
        (0.85, None, None),
        (0.75, None, None),
        (0.74, None, "narrower than it should be"),
        (0.70, None, "narrower than it should be"),
        (0.69, "held only 69 %", None),
    ],
)
def test_only_an_interval_that_held_too_little_speaks_against_the_forecast(
    coverage: float, reason: str | None, note: str | None, seasonal: SeriesForecast
) -> None:
    """One that held more is wide, no more; up to ten points less is told, and beyond that the series has changed."""
    scores = replace(seasonal.scores, coverage_80=coverage)
    values = weekly(8 * 168)
    parts = Training(values, seasonal.seasons, 100, seasonal.seasons.period_h).profiled
    reasons, notes = verdict(scores, seasonal.seasons, parts, 100), interval_notes(scores)
    assert [reason is not None] == [reason is not None and reason in said for said in reasons or [""]]
    assert [note is not None] == [note is not None and note in said for said in notes or [""]]


def test_noise_without_a_season_is_called_so() -> None:
    rng = np.random.default_rng(0)
    said = forecast_series(rng.exponential(10.0, 1200), start=MONDAY, horizon_h=48)
    assert not said.forecastable
    assert any("No season was found" in reason for reason in said.reasons)


@pytest.mark.parametrize("hours", [1, 2, 30, 71])
def test_a_history_too_short_to_test_says_so_and_still_gives_an_interval(hours: int) -> None:
    values = weekly(hours)
    said = forecast_series(values, start=MONDAY, horizon_h=168)
    assert not said.forecastable
    assert "too short" in said.reasons[0]
    assert np.all(said.quantile(0.1) < said.p50)
    assert np.all(said.p50 < said.quantile(0.9))


def test_a_jump_at_the_end_is_told() -> None:
    values = weekly(6 * 168, noise=0.05)
    values[-72:] *= 4
    said = forecast_series(values, start=MONDAY, horizon_h=48)
    assert not said.forecastable
    assert any("far higher" in reason for reason in said.reasons)


def test_intervals_widen_beyond_what_could_be_tested() -> None:
    said = forecast_series(weekly(5 * 168), start=MONDAY, horizon_h=3000)
    width = (said.quantile(0.9) - said.quantile(0.1)) / said.p50
    assert np.mean(width[-168:]) > 1.2 * np.mean(width[168:336])
    assert any("long enough to test" in note for note in said.notes)


def test_a_known_launch_multiplies_demand_and_a_new_one_does_as_the_last_of_its_name() -> None:
    values = weekly(8 * 168, noise=0.02)
    values[700:724] *= 2.0
    past = Event(datetime.fromtimestamp(MONDAY.timestamp() + 700 * 3600, UTC),
                 datetime.fromtimestamp(MONDAY.timestamp() + 724 * 3600, UTC), "launch")  # fmt: skip
    coming = datetime(2024, 2, 27, tzinfo=UTC)
    until = datetime(2024, 2, 28, tzinfo=UTC)
    plain, given, measured = (
        forecast_series(values, start=MONDAY, horizon_h=72, events=(past, *more))
        for more in ((), (Event(coming, until, "sale", 3.0),), (Event(coming, until, "launch"),))
    )
    ratio = given.p50 / plain.p50
    assert np.allclose(ratio[24:48], 3.0)
    assert np.allclose(np.delete(ratio, np.s_[24:48]), 1.0)
    assert np.allclose((measured.p50 / plain.p50)[24:48], 2.0, rtol=0.1)


def test_a_holiday_is_as_earlier_ones_or_else_as_a_sunday() -> None:
    values = weekly(8 * 168, noise=0.02)
    wednesday, coming = date(2024, 2, 7), date(2024, 2, 28)
    values[37 * 24 : 38 * 24] *= 0.5
    measured = forecast_series(values, start=MONDAY, horizon_h=96, holidays=(wednesday, coming))
    unlike = forecast_series(values, start=MONDAY, horizon_h=96, holidays=(Holiday(coming, "new"), wednesday))
    plain = forecast_series(values, start=MONDAY, horizon_h=96, holidays=(wednesday,))
    assert np.allclose((measured.p50 / plain.p50)[48:72], 0.5, rtol=0.1)
    assert np.allclose((unlike.p50 / plain.p50)[48:72], np.exp(-0.4), rtol=0.1)
    assert np.allclose((unlike.p50 / plain.p50)[:48], 1.0, rtol=0.02)


@pytest.mark.parametrize("values", [np.zeros(0), np.array([1.0, -1.0]), np.array([1.0, np.nan])])
def test_what_is_no_demand_is_refused(values: Floats) -> None:
    with pytest.raises(ValueError, match="finite and not negative"):
        forecast_series(values, start=MONDAY, horizon_h=24)


def test_no_demand_at_all_is_foretold_as_none() -> None:
    said = forecast_series(np.zeros(500), start=MONDAY, horizon_h=24)
    assert 0.0 == said.quantile(0.9).max()
