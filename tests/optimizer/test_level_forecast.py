"""Forecasts of months: which model they take, where they join today, and what they hold on real demand."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from optimizer.calendar_days import Event
from optimizer.forecast import joint
from optimizer.forecast.backtest import Scores
from optimizer.forecast.joint import Forecast, forecast
from optimizer.forecast.level_backtest import LevelPast, Pool, level_pasts
from optimizer.forecast.level_forecast import BEYOND_H, MODEL, LevelForecast, level_forecasts
from optimizer.forecast.occasions import Occasions
from optimizer.forecast.series import forecast_series
from optimizer.history import History, load_history, one_pool

Floats = npt.NDArray[np.float64]
START = datetime(2024, 1, 1, tzinfo=UTC)
WEEK = 168
SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "data"


def wandering(weeks: int, seed: int = 3) -> Floats:
    """A day's swing about a level that wanders by 4 % a week."""
    rng = np.random.default_rng(seed)
    level = 200 * np.exp(np.cumsum(rng.normal(0, 0.04, weeks)))
    hours = np.arange(weeks * WEEK)
    values: Floats = np.repeat(level, WEEK) * (1 + 0.3 * np.sin(hours * 2 * np.pi / 24))
    return values


def two_pools() -> History:
    demand = np.stack([wandering(40), wandering(40, seed=4)], axis=1)
    return History(
        start=START,
        pools=("a", "b"),
        demand=demand,
        first_h=np.zeros(2, dtype=np.int64),
        last_h=np.full(2, len(demand) - 1),
        filled=np.zeros(demand.shape, dtype=np.bool_),
        unit="requests_per_s",
    )


@pytest.fixture(scope="module")
def said() -> Forecast:
    """A year ahead of forty weeks: further than they can test."""
    return forecast(two_pools(), 52 * WEEK, paths=150)


def test_up_to_eight_weeks_the_hours_decide_as_ever() -> None:
    values = wandering(10)
    joined = forecast(one_pool(values, START), BEYOND_H).series[0]
    alone = forecast_series(values, start=START, horizon_h=BEYOND_H)
    assert alone.model == joined.model
    np.testing.assert_array_equal(alone.paths, joined.paths)


def test_further_than_the_history_can_test_the_level_is_foretold_and_that_is_said(said: Forecast) -> None:
    assert [MODEL, MODEL] == [one.model for one in said.series]
    assert any("cannot tell how models of hours do so far ahead" in note for note in said.of("a").notes)


def test_a_long_forecast_begins_at_the_level_of_today(said: Forecast) -> None:
    """No jump on the first day, and within the first week no more than the level moved from week to week."""
    history = two_pools()
    for pool in (0, 1):
        now = history.demand[-WEEK:, pool].mean()
        weeks = said.series[pool].paths[:, : 4 * WEEK].reshape(-1, 4, WEEK).mean(axis=2)
        assert now == pytest.approx(np.median(weeks[:, 0]), rel=0.08)
        low, high = np.quantile(weeks[:, 0], (0.1, 0.9)) / now
        assert 0.85 < low < high < 1.15


def test_quantiles_and_means_are_those_of_the_paths(said: Forecast) -> None:
    one = said.of("a")
    np.testing.assert_array_equal(np.quantile(one.paths, 0.9, axis=0), one.quantile(0.9))
    np.testing.assert_allclose(one.paths.mean(axis=0), one.mean)
    assert (one.quantile(0.1) <= one.p50).all()


def test_one_index_is_one_future_of_all_pools(said: Forecast) -> None:
    """They go on with the trend of the same window, and with the same weeks' hours."""
    np.testing.assert_allclose(said.paths("a") + said.paths("b"), said.paths())
    one, other = said.series
    assert isinstance(one, LevelForecast)
    assert isinstance(other, LevelForecast)
    assert one.levels is other.levels


def scores(loss: float, origins: int = 20) -> Scores:
    return Scores(origins, 52 * WEEK, 1.0, 1.0, loss, 0.8, 0.1)


@pytest.mark.parametrize(("hourly", "used"), [(scores(0.15), False), (scores(0.29), True), (scores(0.1, 2), True)])
def test_models_of_hours_are_used_where_they_were_clearly_better_on_the_past(
    hourly: Scores, used: bool, said: Forecast, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half the loss wins; a few per cent less does not, nor do too few origins to tell."""
    level = said.series[0]
    assert isinstance(level, LevelForecast)
    values = wandering(3)
    other = replace(forecast_series(values[-96:], start=START, horizon_h=1, paths=20), scores=hourly)
    monkeypatch.setattr(joint, "level_forecasts", lambda *_, **__: {0: replace(level, scores=scores(0.3))})
    monkeypatch.setattr(joint, "forecast_series", lambda *_, **__: other)
    found = forecast(one_pool(values, START), 52 * WEEK, paths=20).series[0]
    assert used == (MODEL == found.model)
    assert used != any("Models of hours are used" in note for note in found.notes)


def test_a_pool_too_young_for_a_level_is_left_to_the_models_of_hours() -> None:
    found = forecast(one_pool(wandering(2)[:300], START), 9 * WEEK, paths=20)
    assert MODEL != found.series[0].model


def test_events_multiply_what_is_foretold_and_do_not_teach_the_level() -> None:
    """A past sale of five times the demand leaves the level alone; a coming one of twice doubles its hours."""
    values = wandering(30)
    sale = slice(28 * WEEK, 28 * WEEK + 48)
    sold = values.copy()
    sold[sale] *= 5
    end = START + timedelta(hours=len(values))
    past = Event(START + timedelta(hours=sale.start), START + timedelta(hours=sale.stop), "sale")
    coming = Event(end + timedelta(hours=100), end + timedelta(hours=124), "launch", 2.0)
    plain = forecast(one_pool(values, START), 30 * WEEK, paths=50).series[0]
    found = forecast(one_pool(sold, START), 30 * WEEK, paths=50, events=[past, coming]).series[0]
    ratio = found.mean / plain.mean
    assert 2.0 == pytest.approx(ratio[100:124].mean(), rel=0.03)
    assert 1.0 == pytest.approx(np.delete(ratio, np.s_[100:124]).mean(), rel=0.03)


def past(error: float) -> LevelPast:
    """Forty weekly origins that were off by a share of what P10 to P90 allowed on either side."""
    values = np.full((120 * WEEK, 1), 100.0)
    pool = Pool(0, 0, Occasions(START), WEEK)
    found = level_pasts(values, [pool], 12 * WEEK, seed=0, interchangeable=True)[0]
    middle, high = found.middle, found.high[len(found.high) // 2]
    return replace(found, actual=middle + error * (high - middle))


def test_the_spread_grows_where_the_past_held_less_and_shrinks_where_it_held_more() -> None:
    narrow, wide = (past(error).spread(120 * WEEK) for error in (1.5, 0.6))
    assert narrow is not None
    assert wide is not None
    assert wide < 0.9 < 1.1 < narrow < 1.5


def test_a_spread_looks_at_no_outcome_that_was_not_known() -> None:
    found = past(1.5)
    at_h = int(found.origins[12])
    unknown = found.origins[:, None] + found.leads + 1 > at_h
    spoilt = replace(found, actual=np.where(unknown, 1e9, found.actual))
    assert found.spread(at_h) == spoilt.spread(at_h)
    assert found.spread(int(found.origins[0])) is None


@pytest.fixture(scope="module")
def shavedice() -> History:
    """Hourly demand for virtual machines of twelve types over three years (Snowflake-Labs/shavedice-dataset)."""
    path = SHARED / "shavedice_region3_hourly.csv.gz"
    if not path.exists():
        pytest.skip(f"../shared/data/{path.name} is absent")
    return load_history(path)


def test_levels_of_real_demand_hold_what_they_say_half_a_year_ahead(shavedice: History) -> None:
    """At origins that the spread had not seen: within 5 points of 80 %, and better than the last week again."""
    pooled = shavedice.pooled()
    pool = Pool(0, 0, Occasions(pooled.start), WEEK)
    found = level_pasts(pooled.demand, [pool], 26 * WEEK, seed=0, interchangeable=True)[0].scores()
    assert found.origins >= 20
    assert 0.8 == pytest.approx(found.coverage_80, abs=0.05)
    assert found.mase < 0.8 * found.mase_naive


def test_kinds_that_do_the_same_work_are_foretold_better_together(shavedice: History) -> None:
    """Types A and B, of which the second took the place of the first: A ends where B is seen to come."""
    both = shavedice.select(["A", "B"])
    pools = [Pool(i, int(both.first_h[i]), Occasions(both.start), WEEK) for i in (0, 1)]
    found = {
        alike: level_pasts(both.demand, pools, 52 * WEEK, seed=0, interchangeable=alike)[0].scores()
        for alike in (True, False)
    }
    assert found[True].pinball < 0.8 * found[False].pinball


@pytest.mark.slow
@pytest.mark.parametrize(("series", "weeks", "least", "most"), [
    ("machines", 4, 1.00, 1.05), ("machines", 8, 1.00, 1.03), ("machines", 26, 0.82, 0.93),
    ("machines", 52, 0.67, 0.78), ("nyc_taxi", 8, 1.05, 1.20), ("nyc_taxi", 10, 1.05, 1.20),
])  # fmt: skip
def test_levels_lose_more_than_models_of_hours_within_two_months_and_less_from_half_a_year_on(
    series: str, weeks: int, least: float, most: float, shavedice: History
) -> None:
    """The table of docs/forecast.md, and why ``BEYOND_H`` is eight weeks. Short sibling: half a year, above."""
    history = shavedice.pooled() if series == "machines" else taxi()
    horizon = weeks * WEEK
    found = level_forecasts(history, horizon, [0], seed=0, paths=20, interchangeable=False)[0]
    share = found.loss_beside(forecast_series(history.demand[:, 0], start=history.start, horizon_h=horizon))
    assert share is not None
    assert least <= share <= most


def taxi() -> History:
    """Taxi passengers in New York by the hour (Numenta Anomaly Benchmark)."""
    path = SHARED / "nab_rate_series.csv.gz"
    if not path.exists():
        pytest.skip(f"../shared/data/{path.name} is absent")
    history = load_history(path)
    pool = history.pools.index("nyc_taxi")
    return history.between(int(history.first_h[pool]), int(history.last_h[pool]) + 1).select(["nyc_taxi"])


@pytest.mark.slow
def test_a_year_ahead_from_five_origins_beats_the_models_of_hours_and_naive(shavedice: History) -> None:
    """Each cut is forecast from scratch. Short siblings: the two tests above."""
    pooled = shavedice.pooled()
    held, off, hourly, naive = [], [], [], []
    for months in (12, 15, 18, 21, 24):
        cut = min(int(months * 730.5) // 24 * 24, pooled.hours - 8760)
        known, came = pooled.between(0, cut), pooled.demand[cut : cut + 8760, 0]
        one = forecast(known, 8760).series[0]
        alone = forecast_series(known.demand[:, 0], start=START, horizon_h=8760)
        held.append(np.mean((one.quantile(0.1) <= came) & (came <= one.quantile(0.9))))
        off.append(np.abs(one.p50 - came).mean())
        hourly.append(np.abs(alone.p50 - came).mean())
        naive.append(np.abs(np.resize(known.demand[-WEEK:, 0], 8760) - came).mean())
    assert 0.75 < np.mean(held) < 0.95
    assert np.mean(off) < 0.85 * np.mean(hourly)
    assert np.mean(off) < 0.7 * np.mean(naive)
