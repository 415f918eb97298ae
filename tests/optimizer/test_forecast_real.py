"""Real demand: better than seasonal naive where there is a season, intervals that hold, and a plain word where not.

NYC taxi, an AWS load balancer and the tweets about four firms from the Numenta Anomaly Benchmark (Lavin and Ahmad,
ICMLA 2015, MIT), and the requests to the web site of the football World Cup of 1998 (Arlitt and Jin, HPL-1999-35).
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest

from optimizer.forecast.series import SeriesForecast, forecast_series
from optimizer.history import load_history

SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "data"
NAB, WORLD_CUP = SHARED / "nab_rate_series.csv.gz", SHARED / "worldcup98_hourly.csv"
SERIES = (
    *("Twitter_volume_AAPL", "Twitter_volume_AMZN", "Twitter_volume_FB", "Twitter_volume_GOOG"),
    *("nyc_taxi", "elb_request_count_8c0756", "worldcup98"),
)


@cache
def demand(name: str) -> tuple[object, np.ndarray]:  # type: ignore[type-arg]
    """Start, and hourly demand within the series' life."""
    path = WORLD_CUP if name == "worldcup98" else NAB
    if not path.exists():
        pytest.skip(f"../shared/data/{path.name} is absent")
    history = load_history(path, columns={"demand": "requests"} if name == "worldcup98" else None)
    pool = 0 if name == "worldcup98" else history.pools.index(name)
    first, last = int(history.first_h[pool]), int(history.last_h[pool])
    return history.time(first), history.demand[first : last + 1, pool]


def said(name: str, horizon_h: int, until: int | None = None) -> SeriesForecast:
    start, values = demand(name)
    return forecast_series(values[:until], start=start, horizon_h=horizon_h)  # type: ignore[arg-type]


@pytest.mark.parametrize("horizon_h", [24, 168])
@pytest.mark.parametrize("name", SERIES)
def test_a_season_is_foretold_better_than_by_the_last_one_or_it_is_said_that_it_cannot_be(
    name: str, horizon_h: int
) -> None:
    """On rolling origins that neither the choice of the model nor the width of the interval had seen."""
    horizon_h = min(horizon_h, len(demand(name)[1]) // 6)
    found = said(name, horizon_h)
    if found.forecastable:
        assert found.seasons.period_h > 1
        assert found.scores.mase < found.scores.mase_naive
    else:
        assert found.reasons
    if found.forecastable and name != "worldcup98":
        # An hour more or less at five origins is not beyond chance.
        assert abs(found.scores.coverage_80 - 0.8) <= 0.065
    # That traffic grew fiftyfold in six weeks and went as the matches did: a week of it cannot be foretold.
    assert found.forecastable or (name, horizon_h) == ("worldcup98", 168)


@pytest.mark.slow
@pytest.mark.parametrize("horizon_h", [24, 168])
def test_intervals_of_forecasts_made_anew_hold_four_in_five_hours(horizon_h: int) -> None:
    """Each cut is forecast from scratch: no part of the procedure knows what comes after."""
    held, ratios = [], []
    for name in SERIES[:-1]:
        values = demand(name)[1]
        horizon = min(horizon_h, len(values) // 6)
        errors, naive = [], []
        for cut in np.linspace(len(values) // 2, len(values) - horizon, 12).astype(int).tolist():
            found, actual = said(name, horizon, cut), values[cut : cut + horizon]
            held.append(np.mean((actual >= found.quantile(0.1)) & (actual <= found.quantile(0.9))))
            errors.append(np.mean(np.abs(actual - found.p50)))
            naive.append(np.mean(np.abs(actual - np.resize(values[cut - 168 : cut], horizon))))
        ratios.append(np.mean(errors) / np.mean(naive))
    assert abs(float(np.mean(held)) - 0.8) <= 0.05
    assert max(ratios) < 1
