"""The backtest: what it may look at, how it chooses, and how its errors become intervals and paths."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.signal import lfilter

from optimizer.forecast.backtest import Rolled, choose, place_origins, roll, select, widening
from optimizer.forecast.marginals import calibrate, weighted_quantile
from optimizer.forecast.models import MODELS, REFERENCE, Training, forecasts
from optimizer.forecast.occasions import Occasions
from optimizer.forecast.paths import dependence, shock_roots
from optimizer.forecast.rolling import forecast_at, leads_of, naive_scale
from optimizer.forecast.scale import Scale, choose_scale
from optimizer.forecast.season import find_seasons, profile

MONDAY = datetime(2024, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def rolled() -> Rolled:
    rng = np.random.default_rng(5)
    hour = np.arange(1400)
    values = 100 + 30 * np.sin(2 * np.pi * hour / 24) + rng.normal(0, 8, 1400)
    origins, steps = place_origins(1400, 48)
    return forecast_at(values, Occasions(MONDAY), origins, steps, 24)


def test_a_choice_looks_at_no_outcome_that_was_not_known(rolled: Rolled) -> None:
    """A backtest that peeks promises intervals that do not hold."""
    at_h = int(rolled.origins[10])
    spoilt = replace(rolled, actual=np.where(rolled.known(at_h), rolled.actual, 1e9))
    before, after = (choose(one, at_h, Scale("identity"), 48) for one in (rolled, spoilt))
    assert before is not None
    assert after is not None
    assert before.model == after.model
    assert np.array_equal(before.marginals.spread, after.marginals.spread)
    assert np.array_equal(before.marginals.shape, after.marginals.shape)


def test_scores_are_of_origins_after_those_that_taught(rolled: Rolled) -> None:
    found = roll(rolled).scores
    assert 5 <= found.origins < len(rolled.origins)
    assert 48 == found.steps
    assert found.mase < found.mase_naive


def test_a_model_that_knows_the_future_is_chosen(rolled: Rolled) -> None:
    knowing = replace(rolled, ahead={**rolled.ahead, "oracle": rolled.actual})
    known = np.ones(rolled.actual.shape, dtype=np.bool_)
    assert ("oracle", 0.0) == select(knowing, known, np.ones(len(rolled.origins)))


def test_seasonal_naive_is_used_where_nothing_is_better(rolled: Rolled) -> None:
    alike = replace(rolled, ahead={REFERENCE: rolled.ahead[REFERENCE], "same": rolled.ahead[REFERENCE]})
    known = np.ones(rolled.actual.shape, dtype=np.bool_)
    assert (REFERENCE, 1.0) == select(alike, known, np.ones(len(rolled.origins)))


@given(hours=st.integers(1, 40_000), horizon=st.integers(1, 9_000))
def test_origins_leave_every_outcome_known_and_lie_whole_days_before_the_end(hours: int, horizon: int) -> None:
    origins, steps = place_origins(hours, horizon)
    assert steps <= horizon
    assert np.all(origins + steps <= hours)
    assert np.all((hours - steps - origins) % 24 == 0)
    assert np.all(np.diff(origins) > 0)
    assert not len(origins) or origins[0] >= 72


def test_long_horizons_are_compared_at_all_hours_of_the_week() -> None:
    leads = leads_of(8760)
    assert len(leads) < 1600
    assert set(range(168)) == set((leads[672:] % 168).tolist())


def test_the_scale_of_mase_is_the_mean_difference_of_hours_a_season_apart() -> None:
    """Hyndman and Koehler, International Journal of Forecasting 22 (2006), equation 5."""
    values = np.concatenate([np.zeros(24), np.full(24, 3.0), np.zeros(24)])
    assert 3.0 == naive_scale(values, 24)


def test_errors_drawn_from_one_distribution_give_its_quantiles() -> None:
    rng = np.random.default_rng(2)
    errors = rng.normal(0, 5, (60, 96))
    found = calibrate(errors, np.ones(errors.shape, dtype=np.bool_), np.arange(96), np.ones(60), 200, 60.0)
    assert (200,) == found.spread.shape
    assert np.mean(found.spread[:96]) * found.at(0.9) == pytest.approx(1.2816 * 5, rel=0.05)
    assert np.mean(found.spread[:96]) * found.at(0.1) == pytest.approx(-1.2816 * 5, rel=0.05)


def test_spread_never_shrinks_further_ahead() -> None:
    rng = np.random.default_rng(3)
    errors = np.cumsum(rng.normal(0, 1, (40, 168)), axis=1)
    found = calibrate(errors, np.ones(errors.shape, dtype=np.bool_), np.arange(168), np.ones(40), 1000, 20.0)
    days = found.spread[:984].reshape(-1, 24).mean(axis=1)
    assert np.all(np.diff(days) > 0)
    # A random walk's spread grows with the root of the time.
    assert days[28] / days[6] == pytest.approx(2.0, rel=0.25)


def test_intervals_that_missed_are_widened_and_those_that_held_too_much_narrowed() -> None:
    when = np.tile(np.arange(24.0), (20, 1))
    assert widening(np.full((20, 24), 2.0), when, 1000) > 1.5
    assert widening(np.full((20, 24), 0.5), when, 1000) < 0.75
    assert 1.0 == widening(np.full((20, 24), 2.0), when + 2000, 1000)


def test_the_width_follows_noise_that_grew_or_fell_two_months_ago() -> None:
    """Half a year ago counts for less than last month: neither keeps an interval too narrow or too wide."""
    when = 168.0 * np.arange(26)[:, None] + np.arange(24.0)
    for first, last in ((1.0, 2.0), (1.0, 0.7)):
        sizes = np.repeat(np.where(np.arange(26) < 18, first, last)[:, None], 24, axis=1) * np.linspace(0.1, 1.125, 24)
        assert abs(widening(sizes, when, 9000) - last) < 0.5 * abs(last - first)


def test_errors_of_a_model_that_had_seen_little_do_not_widen_the_interval_of_one_that_has(rolled: Rolled) -> None:
    """Origins within the first weeks are further off: weighted alike, they would count as today's errors do."""
    today = rolled.origins[-1]
    little = np.sqrt(np.maximum(8 * 168 / rolled.origins, 1.0))[:, None]
    errors = np.random.default_rng(1).normal(0, 8, rolled.actual.shape)
    worse = replace(rolled, ahead={REFERENCE: rolled.actual + little * errors})
    found = choose(worse, int(today) + 48, Scale("identity"), 48)
    alike = calibrate(
        -little * errors, np.ones(errors.shape, dtype=np.bool_), rolled.leads, np.ones(len(errors)), 48, 9
    )
    assert found is not None
    width, wide = (one.spread.mean() * (one.at(0.9) - one.at(0.1)) for one in (found.marginals, alike))
    assert 0.8 * wide < width < 0.97 * wide


@pytest.mark.parametrize("kind", ["noise", "lasting", "counts"])
@pytest.mark.parametrize(("weeks", "horizon"), [(8, 24), (8, 168), (12, 24)])
def test_intervals_of_stationary_demand_hold_four_in_five_hours(kind: str, weeks: int, horizon: int) -> None:
    """Within five points on rolling origins: a level, a day, a week-end, and noise alone, lasting, or of counts."""
    rng = np.random.default_rng(weeks)
    hour = np.arange(weeks * 168)
    shape = 60 * (1 + 0.4 * np.sin(2 * np.pi * hour / 24) - 0.25 * ((hour // 24) % 7 >= 5))
    if kind == "counts":
        values = rng.poisson(shape).astype(np.float64)
    else:
        noise = rng.normal(0, 5, hour.size)
        values = shape + (lfilter([0.6], [1.0, -0.8], noise) if kind == "lasting" else noise)
    origins, steps = place_origins(len(values), horizon)
    found = roll(forecast_at(values, Occasions(MONDAY), origins, steps, 168)).scores
    assert 0.8 == pytest.approx(found.coverage_80, abs=0.05)


def test_weights_count_as_repetitions() -> None:
    values = np.array([1.0, 5.0, 9.0])
    twice = weighted_quantile(np.array([1.0, 1.0, 5.0, 5.0, 9.0, 9.0]), np.ones(6), np.array([0.25, 0.5, 0.75]))
    assert weighted_quantile(values, 2 * np.ones(3), 0.5) == twice[1]


def test_a_wandering_level_is_seen_as_slow_and_noise_as_fast() -> None:
    rng = np.random.default_rng(4)
    known, leads = np.ones((30, 240), dtype=np.bool_), np.arange(240)
    level = np.repeat(np.cumsum(rng.normal(0, 1, (30, 10)), axis=1), 24, axis=1)
    assert dependence(0.3 * level, known, leads).slow > 0.9
    assert dependence(rng.normal(0, 1, (30, 240)), known, leads).slow < 0.15


def test_pools_that_were_wrong_together_share_their_shocks() -> None:
    rng = np.random.default_rng(6)
    common = rng.normal(0, 1, 400)
    days = [dict(enumerate(common + rng.normal(0, 0.1, 400))) for _ in range(2)] + [
        dict(enumerate(rng.normal(0, 1, 400)))
    ]
    roots = shock_roots(days)
    alike = roots @ roots.T
    assert np.allclose(1.0, np.diag(alike))
    assert alike[0, 1] > 0.85
    assert abs(alike[0, 2]) < 0.2


@pytest.mark.parametrize("name", MODELS)
def test_every_model_gives_one_number_a_step_or_says_that_it_cannot(name: str) -> None:
    rng = np.random.default_rng(7)
    for hours in (30, 400, 2000):
        values = 10 + np.sin(2 * np.pi * np.arange(hours) / 24) + rng.normal(0, 0.1, hours)
        training = Training(values, find_seasons(values), 100, 24)
        ahead = MODELS[name](training)
        assert ahead is None or (ahead.shape == (100,) and np.isfinite(ahead).all())


def test_every_model_goes_on_with_a_clean_season() -> None:
    hour = np.arange(2000)
    values = 10 + np.sin(2 * np.pi * hour / 24)
    ahead = 10 + np.sin(2 * np.pi * np.arange(2000, 2048) / 24)
    said = forecasts(Training(values, find_seasons(values), 48, 24))
    flat = {"last level", "median level"}
    assert all(np.max(np.abs(one - ahead)) < 0.2 for name, one in said.items() if name not in flat)


def test_the_season_is_found_by_what_it_foretells() -> None:
    rng = np.random.default_rng(8)
    hour = np.arange(8 * 168)
    noise = rng.normal(0, 1, hour.size)
    day, week = 2 * np.sin(2 * np.pi * hour / 24), 2.0 * ((hour // 24) % 7 >= 5)
    assert [1, 24, 168] == [find_seasons(one).period_h for one in (noise, noise + day, noise + day + week)]


def test_the_profile_of_a_clean_season_is_that_season() -> None:
    hour = np.arange(6 * 168)
    season = np.sin(2 * np.pi * hour / 24) + ((hour // 24) % 7 >= 5)
    expected = season[:168] - season[:168].mean()
    assert np.allclose(expected, profile(season, find_seasons(season)), atol=0.02)


@pytest.mark.parametrize(("power", "name"), [(0.0, "identity"), (0.5, "sqrt"), (1.0, "log")])
def test_the_scale_follows_how_the_spread_grows_with_the_level(power: float, name: str) -> None:
    rng = np.random.default_rng(9)
    level = 200 * np.exp(0.8 * np.sin(2 * np.pi * np.arange(2400) / 24))
    spread = 0.1 * 200 * (level / 200) ** power
    assert name == choose_scale(np.maximum(level + spread * rng.normal(0, 1, 2400), 0.0)).name


@pytest.mark.parametrize("name", ["identity", "sqrt", "log"])
def test_a_scale_takes_back_what_it_did(name: str) -> None:
    scale = Scale(name, offset=0.5)  # type: ignore[arg-type]
    values = np.array([0.0, 0.3, 7.0, 1e6])
    assert np.allclose(values, scale.back(scale.forward(values)))
