"""Real demand as it was published: virtual machines by type, tweets, taxis, a load balancer, the World Cup of 1998."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from optimizer.history import History, load_history
from optimizer.history_cleaning import clean, pool_lives

SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "data"


def real(name: str) -> Path:
    path = SHARED / name
    if not path.exists():
        pytest.skip(f"../shared/data/{name} is absent")
    return path


def machines() -> History:
    """Snowflake's virtual machines of one region (Zenodo 10.5281/zenodo.15015992)."""
    return load_history(real("shavedice_region3_hourly.csv.gz"))


def test_three_years_of_machines_are_read_whole() -> None:
    history = machines()
    assert tuple("ABCDEFGHIJKL") == history.pools
    assert (datetime(2021, 2, 1, tzinfo=UTC), datetime(2024, 2, 1, tzinfo=UTC)) == (history.start, history.end)
    assert (24, 168, 8_766) == history.seasons()
    assert not history.filled.any()
    assert 141_857 == int((history.demand > 0).sum())
    assert [0, 8_249] == history.first_h[:2].tolist()
    assert datetime(2023, 5, 25, 2, tzinfo=UTC) == history.time(int(history.last_h[history.pools.index("I")]))


def test_machine_types_that_are_gone_are_told() -> None:
    states = {life.pool: life.state for life in pool_lives(machines())}
    assert {"G", "H", "I"} == {pool for pool, state in states.items() if state == "ended"}
    assert {"steady"} == {state for pool, state in states.items() if pool not in "GHI"}


def test_a_year_of_machines_knows_nothing_of_the_next() -> None:
    history = machines()
    first = history.between(0, 8_760)
    assert ("A", "B", "G", "H", "I") == tuple(np.array(first.pools)[first.lived])
    assert history.demand[:8_760].tolist() == first.demand.tolist()


def test_series_of_two_steps_in_one_file_become_hours() -> None:
    """Numenta Anomaly Benchmark: 5 minutes for tweets and a load balancer, 30 for taxis."""
    path = real("nab_rate_series.csv.gz")
    history = load_history(path)
    assert 6 == len(history.pools)
    taxi = load_history(path, where={"series": "nyc_taxi"})
    assert (datetime(2014, 7, 1, tzinfo=UTC), 5_160) == (taxi.start, taxi.hours)
    assert (10_844 + 8_127) / 2 == taxi.of("nyc_taxi")[0]
    life = slice(history.first_h[history.pools.index("nyc_taxi")], history.last_h[history.pools.index("nyc_taxi")] + 1)
    assert taxi.total.tolist() == history.of("nyc_taxi")[life].tolist()


def test_the_missing_rows_of_the_load_balancer_do_not_count_as_silence() -> None:
    """Eight of its rows are missing: their hours are the mean of eleven."""
    history = load_history(real("nab_rate_series.csv.gz"), where={"series": "elb_request_count_8c0756"})
    assert 337 == history.hours
    assert not history.filled.any()


def test_the_anomalies_of_the_taxis_are_found() -> None:
    """Two of the five that the benchmark labels are hours (clocks going back, the blizzard), one is a fortnight."""
    taxi = load_history(real("nab_rate_series.csv.gz"), where={"series": "nyc_taxi"})
    cleaned = clean(taxi.total)
    days = {f"{taxi.time(int(hour)):%m-%d}" for hour in cleaned.outliers}
    assert {"11-02", "01-27"} <= days
    assert len(days) <= 12
    assert {"12-24", "12-25"} & {f"{taxi.time(shift.hour):%m-%d}" for shift in cleaned.shifts}


def test_the_minutes_of_the_world_cup_add_up_to_its_hours() -> None:
    by_minute = load_history(real("worldcup98_per_minute.csv.gz"), unit="requests")
    by_hour = load_history(real("worldcup98_hourly.csv"), unit="requests")
    assert by_hour.start == by_minute.start
    assert by_hour.hours == by_minute.hours == 1_419
    whole = np.ones(1_419, dtype=np.bool_)
    whole[[0, *np.flatnonzero(by_hour.total == 0)]] = False  # it begins at half past nine
    blank = np.abs(by_minute.total / by_hour.total - 1) > 1e-9
    assert int((blank & whole).sum()) == 4  # hours of which minutes are blank: their mean is of the others
    np.testing.assert_allclose(by_minute.total[whole & ~blank], by_hour.total[whole & ~blank])


def test_the_level_of_the_world_cup_rises_as_the_tournament_begins() -> None:
    """The first match was played on 10 June 1998 at 15:30 UTC."""
    history = load_history(real("worldcup98_hourly.csv"))
    (shift,) = clean(history.total).shifts
    assert datetime(1998, 6, 10, tzinfo=UTC) <= history.time(shift.hour) <= datetime(1998, 6, 10, 16, tzinfo=UTC)
    assert shift.after > 3 * shift.before
