"""All pools together: one index is one future, and pools that came and went."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest

from optimizer.forecast.joint import Forecast, forecast
from optimizer.forecast.months import by_month, monthly
from optimizer.history import History, one_pool

START = datetime(2024, 1, 1, tzinfo=UTC)
HOURS = 8 * 168


def history() -> History:
    """Two pools that rise and fall together, one of its own, one that ended, one that began late."""
    rng = np.random.default_rng(11)
    hour = np.arange(HOURS)
    shape = 1 + 0.3 * np.sin(2 * np.pi * hour / 24)
    days = HOURS // 24
    common, own = (np.repeat(rng.normal(0, 0.15, days), 24) for _ in range(2))
    noise = rng.normal(0, 0.02, (HOURS, 5))
    demand = 50 * shape[:, None] * np.exp(np.stack([common, common, own, own, own], axis=1) + noise)
    demand[600:, 3] = 0
    demand[:800, 4] = 0
    return History(
        start=START,
        pools=("a", "b", "c", "ended", "late"),
        demand=demand,
        first_h=np.array([0, 0, 0, 0, 800]),
        last_h=np.array([HOURS - 1] * 3 + [599, HOURS - 1]),
        filled=np.zeros(demand.shape, dtype=np.bool_),
        notes=("read with care",),
    )


@pytest.fixture(scope="module")
def said() -> Forecast:
    return forecast(history(), 60, paths=300)


def day_means(said: Forecast, pool: str) -> np.ndarray:  # type: ignore[type-arg]
    return said.paths(pool)[:, 24:48].mean(axis=1)


def test_one_index_is_one_future_of_all_pools(said: Forecast) -> None:
    """Pools that rose together must do so in each path, or their sum would seem too certain."""
    together = np.corrcoef(day_means(said, "a"), day_means(said, "b"))[0, 1]
    apart = np.corrcoef(day_means(said, "a"), day_means(said, "c"))[0, 1]
    assert together > 0.4
    assert abs(apart) < 0.3


def test_paths_of_all_pools_are_the_sums_of_the_pools_paths(said: Forecast) -> None:
    assert np.allclose(sum(said.paths(pool) for pool in said.pools), said.paths())


def test_a_pool_that_ended_is_foretold_as_nothing_and_that_is_said(said: Forecast) -> None:
    one = said.of("ended")
    assert 0.0 == one.quantile(0.99).max() == one.paths.max()
    assert not one.forecastable
    assert any("ended: Its last demand was on 2024-01-25" in note for note in said.notes)


def test_a_pool_that_began_late_is_judged_by_its_life_alone(said: Forecast) -> None:
    assert said.of("late").quantile(0.1).min() > 10


def test_shapes_names_and_start_are_those_of_the_history(said: Forecast) -> None:
    assert datetime(2024, 2, 26, tzinfo=UTC) == said.start
    assert (60, 5) == said.mean.shape == said.quantile(0.9).shape
    assert "read with care" in said.notes
    with pytest.raises(ValueError, match="no pool x"):
        said.of("x")


def test_one_pool_of_a_history_is_foretold_as_the_series_alone() -> None:
    from optimizer.forecast.series import forecast_series

    values = history().demand[:, 0]
    joint = forecast(one_pool(values, START), 24).series[0]
    alone = forecast_series(values, start=START, horizon_h=24)
    assert np.array_equal(alone.p50, joint.p50)
    assert np.array_equal(alone.paths, joint.paths)


def test_months_hold_the_means_and_peaks_of_the_paths(said: Forecast) -> None:
    paths = np.array([[1.0, 3.0] * 12 * 3, [2.0, 6.0] * 12 * 3])
    january, february = by_month(datetime(2024, 1, 31, tzinfo=UTC), paths)
    assert ("2024-01", 24, 3.0) == (january.month, january.hours, january.mean)
    assert ("2024-02", 48, 3.0, 4.5) == (february.month, february.hours, february.p50, february.peak)
    assert ["a", "b", "c", "ended", "late", "all pools"] == list(monthly(said))
