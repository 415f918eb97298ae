"""A file of demand becomes hours by pool: the laws of that, whatever names, steps and zones the file has."""

from __future__ import annotations

import gzip
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from optimizer.history import POOLED, History, load_history, one_pool, seasons_within

START = datetime(2021, 2, 1, tzinfo=UTC)


def file_of(tmp_path: Path, rows: Iterable[object], header: str = "timestamp,pool,demand") -> Path:
    path = tmp_path / "demand.csv"
    path.write_text("\n".join([header, *map(str, rows)]) + "\n", encoding="utf-8")
    return path


def hour(number: float) -> str:
    """Give the stamp of an hour after the start."""
    return f"{START + timedelta(hours=number):%Y-%m-%dT%H:%M:%SZ}"


def series(values: Iterable[float], step_h: float = 1.0) -> list[str]:
    return [f"{hour(index * step_h)},{value:g}" for index, value in enumerate(values)]


def two_pools() -> History:
    return History(
        start=START,
        pools=("A", "B"),
        demand=np.array([[1.0, 0.0], [2.0, 5.0], [0.0, 0.0], [4.0, 6.0]]),
        first_h=np.array([0, 1]),
        last_h=np.array([3, 3]),
        filled=np.zeros((4, 2), dtype=np.bool_),
    )


def test_the_contracts_file_is_read_as_the_contract_says(tmp_path: Path) -> None:
    """Absent hours are 0 within a pool's life; before and after its rows a pool does not live."""
    rows = [f"{hour(h)},A,{h + 1}" for h in range(6)] + [f"{hour(1)},B,2.5", f"{hour(4)},B,3"]
    history = load_history(file_of(tmp_path, rows))
    assert ("A", "B") == history.pools
    assert START == history.start
    assert START + timedelta(hours=6) == history.end
    assert [[1, 2, 3, 4, 5, 6], [0, 2.5, 0, 0, 3, 0]] == history.demand.T.tolist()
    assert [0, 1] == history.first_h.tolist()
    assert [5, 4] == history.last_h.tolist()
    assert not history.filled.any()


@pytest.mark.parametrize(
    "header", ["USAGE_HOUR,REGION_NUM,INSTANCE_TYPE,NORM_USAGE", "usage_hour,zone,sku,value", "date,n,series,instances"]
)
def test_columns_of_other_names_are_guessed_and_the_guess_is_said(tmp_path: Path, header: str) -> None:
    rows = [f"2021-02-01 0{h}:00:00.000,3,{pool},{h + 1}" for h in range(3) for pool in "AB"]
    history = load_history(file_of(tmp_path, rows, header))
    assert [[1, 1], [2, 2], [3, 3]] == history.demand.tolist()
    guessed = [note for note in history.notes if note.startswith("columns taken as")]
    assert header.split(",")[3] in guessed[0]
    assert f"columns not used: {header.split(',')[1]}" in history.notes


def test_named_columns_and_filters_win_over_guesses(tmp_path: Path) -> None:
    rows = [f"{hour(0)},1,A,5,7", f"{hour(0)},2,A,6,8"]
    path = file_of(tmp_path, rows, "timestamp,region,pool,demand,wanted")
    history = load_history(path, columns={"demand": "wanted"}, where={"region": "2"})
    assert [[8.0]] == history.demand.tolist()


def test_a_series_without_pools_is_one_pool_named_after_its_column(tmp_path: Path) -> None:
    history = load_history(file_of(tmp_path, series([5, 6, 7]), "hour_start,requests"))
    assert ("requests",) == history.pools
    assert [5, 6, 7] == history.total.tolist()


def test_a_gzipped_file_is_read_like_a_plain_one(tmp_path: Path) -> None:
    plain = file_of(tmp_path, series([5, 6, 7]), "timestamp,value")
    packed = tmp_path / "demand.csv.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    assert load_history(plain).demand.tolist() == load_history(packed).demand.tolist()


@pytest.mark.parametrize("minutes", [1, 5, 15, 30, 60])
def test_an_hour_is_the_mean_of_its_rows_or_on_request_their_largest(tmp_path: Path, minutes: int) -> None:
    values = np.arange(4 * 60 // minutes, dtype=np.float64)
    path = file_of(tmp_path, series(values, minutes / 60), "timestamp,value")
    by_hour = values.reshape(4, -1)
    assert by_hour.mean(axis=1).tolist() == load_history(path).total.tolist()
    assert by_hour.max(axis=1).tolist() == load_history(path, within_hour="max").total.tolist()


def test_counts_of_requests_become_rates_whatever_the_step(tmp_path: Path) -> None:
    """600 requests in five minutes are 2 per second, and so are 7,200 in an hour."""
    fine = file_of(tmp_path, series([600.0] * 24, 1 / 12), "timestamp,requests")
    assert [2.0, 2.0] == load_history(fine, unit="requests").total.tolist()
    coarse = file_of(tmp_path, series([7200.0] * 2), "timestamp,requests")
    history = load_history(coarse, unit="requests")
    assert [2.0, 2.0] == history.total.tolist()
    assert "requests_per_s" == history.unit


def test_a_day_is_spread_over_its_hours_and_that_is_said(tmp_path: Path) -> None:
    rows = [f"2021-02-0{day},A,{day}" for day in range(1, 5)]
    history = load_history(file_of(tmp_path, rows))
    assert [1.0] * 24 + [2.0] * 24 + [3.0] * 24 + [4.0] * 24 == history.total.tolist()
    assert any("a daily season cannot be seen" in note for note in history.notes)


def test_pools_of_different_steps_stand_side_by_side(tmp_path: Path) -> None:
    fast = [f"{hour(index / 12)},fast,{index // 12}" for index in range(48)]
    slow = [f"{hour(index / 2)},slow,{10 + index // 2}" for index in range(8)]
    history = load_history(file_of(tmp_path, fast + slow))
    assert [[0, 1, 2, 3], [10, 11, 12, 13]] == history.demand.T.tolist()


def test_an_absent_row_within_the_hour_is_zero_for_a_pool_of_instances(tmp_path: Path) -> None:
    """Four instances for 15 of 60 minutes are one instance in the mean."""
    rows = [f"{hour(index / 4)},base,8" for index in range(12)] + [f"{hour(1.25)},burst,4"]
    assert [0, 1, 0] == load_history(file_of(tmp_path, rows)).of("burst").tolist()


def test_rows_in_any_order_give_the_same_history(tmp_path: Path) -> None:
    rows = [f"{hour(h)},{pool},{h + ord(pool)}" for h in range(40) for pool in "ABC"]
    sorted_first = load_history(file_of(tmp_path, rows))
    shuffled = load_history(file_of(tmp_path, np.random.default_rng(3).permutation(rows)))
    assert sorted_first.demand.tolist() == shuffled.demand.tolist()
    assert any("sorted by time" in note for note in shuffled.notes)
    assert not any("sorted by time" in note for note in sorted_first.notes)


@pytest.mark.parametrize("form", ["%Y-%m-%d %H:%M:%S.000", "%Y-%m-%dT%H:%MZ", "%Y-%m-%d %H:%M:%S UTC", "%s", "%s000"])
def test_one_moment_written_in_several_ways_is_one_moment(tmp_path: Path, form: str) -> None:
    moments = [START + timedelta(hours=h) for h in range(3)]
    written = [f"{m:{form.replace('%s', str(int(m.timestamp())))}}" for m in moments]
    history = load_history(file_of(tmp_path, [f"{stamp},{h}" for h, stamp in enumerate(written, 1)], "timestamp,value"))
    assert START == history.start
    assert [1, 2, 3] == history.total.tolist()


def test_offsets_are_converted_to_utc(tmp_path: Path) -> None:
    rows = ["2021-02-01T01:00:00+01:00,A,1", "2021-02-01T03:00:00+02:00,A,2"]
    history = load_history(file_of(tmp_path, rows))
    assert START == history.start
    assert [1, 2] == history.total.tolist()


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "Australia/Sydney", "Asia/Kolkata"])
@pytest.mark.parametrize("newest_first", [False, True])
def test_a_year_of_local_time_gives_every_hour_of_utc_once(tmp_path: Path, zone: str, *, newest_first: bool) -> None:
    """The skipped hour of spring and the repeated one of autumn are clocks, not demand."""
    hours = [START + timedelta(minutes=30 if zone == "Asia/Kolkata" else 0, hours=h) for h in range(8_760)]
    rows = [f"{moment.astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M},A,{h}" for h, moment in enumerate(hours)]
    history = load_history(file_of(tmp_path, rows[::-1] if newest_first else rows), timezone=zone)
    assert START == history.start
    assert list(range(8_760)) == history.total.tolist()
    assert not history.filled.any()


def test_half_hours_of_local_time_keep_their_order_over_the_repeated_hour(tmp_path: Path) -> None:
    begin = datetime(2021, 10, 30, 22, tzinfo=UTC)
    moments = [begin + timedelta(minutes=30 * index) for index in range(12)]
    rows = [f"{m.astimezone(ZoneInfo('Europe/Berlin')):%Y-%m-%d %H:%M},{h // 2}" for h, m in enumerate(moments)]
    history = load_history(file_of(tmp_path, rows, "timestamp,value"), timezone="Europe/Berlin")
    assert begin == history.start
    assert [0, 1, 2, 3, 4, 5] == history.total.tolist()


def test_days_of_local_time_meet_although_one_has_23_hours(tmp_path: Path) -> None:
    rows = [f"2021-03-{day},{day}" for day in (26, 27, 28, 29, 30)]
    history = load_history(file_of(tmp_path, rows, "date,value"), timezone="Europe/Berlin")
    assert [24, 24, 23, 24, 24] == [int((history.total == day).sum()) for day in (26, 27, 28, 29, 30)]


def test_stamps_past_the_hour_are_taken_as_their_hour_and_that_is_said(tmp_path: Path) -> None:
    history = load_history(file_of(tmp_path, series([1, 2, 3]), "timestamp,value"))
    late = [row.replace(":00:00Z", ":17:00Z") for row in series([1, 2, 3])]
    shifted = load_history(file_of(tmp_path, late, "timestamp,value"))
    assert history.demand.tolist() == shifted.demand.tolist()
    assert history.start == shifted.start
    assert any("17 minutes past the hour" in note for note in shifted.notes)


@given(
    demand=arrays(np.float64, st.tuples(st.integers(1, 40), st.integers(1, 3)), elements=st.integers(0, 9)),
    cut=st.tuples(st.integers(0, 39), st.integers(1, 40)),
)
@settings(max_examples=60, deadline=None)
def test_a_stretch_of_a_history_holds_its_demand_and_no_life_beyond_it(
    demand: np.ndarray, cut: tuple[int, int]
) -> None:
    hours, pools = demand.shape
    begin, end = min(cut[0], hours - 1), min(max(cut[1], min(cut[0], hours - 1) + 1), hours)
    history = History(
        start=START,
        pools=tuple("ABC"[:pools]),
        demand=demand,
        first_h=np.zeros(pools, dtype=np.int64),
        last_h=np.full(pools, hours - 1),
        filled=np.zeros((hours, pools), dtype=np.bool_),
    )
    part = history.between(begin, end)
    assert demand[begin:end].tolist() == part.demand.tolist()
    assert START + timedelta(hours=begin) == part.start
    assert (part.last_h < part.hours).all()
    assert history.pools == part.pools
    outside = np.arange(part.hours)[:, np.newaxis] > part.last_h
    assert not part.demand[outside].any()


def test_a_pool_that_comes_later_has_no_life_in_an_earlier_stretch() -> None:
    early = two_pools().between(0, 1)
    assert [True, False] == early.lived.tolist()
    assert [0, 1] == early.first_h.tolist()
    assert [0, -1] == early.last_h.tolist()


def test_pooled_demand_is_the_sum_and_lives_while_any_pool_lives() -> None:
    pooled = two_pools().pooled()
    assert (POOLED,) == pooled.pools
    assert [1, 7, 0, 10] == pooled.total.tolist()
    assert ([0], [3]) == (pooled.first_h.tolist(), pooled.last_h.tolist())


def test_selected_pools_come_in_the_order_named() -> None:
    chosen = two_pools().select(["B", "A"])
    assert ("B", "A") == chosen.pools
    assert [0, 5, 0, 6] == chosen.demand[:, 0].tolist()
    with pytest.raises(ValueError, match="there is no pool C; there are A, B"):
        two_pools().select(["C"])


def test_nobody_writes_into_a_history() -> None:
    with pytest.raises(ValueError, match="read-only"):
        two_pools().demand[0, 0] = 9.0


@pytest.mark.parametrize(
    ("hours", "seasons"), [(47, ()), (48, (24,)), (336, (24, 168)), (17_531, (24, 168)), (17_532, (24, 168, 8_766))]
)
def test_a_season_needs_two_full_cycles(hours: int, seasons: tuple[int, ...]) -> None:
    assert seasons == seasons_within(hours) == one_pool(np.ones(hours), START).seasons()


def test_a_history_too_short_for_a_season_says_so(tmp_path: Path) -> None:
    history = load_history(file_of(tmp_path, series(range(1, 101)), "timestamp,value"))
    assert "100 hours: a season of a week needs 336, a season of a year needs 17,532" in history.notes


def test_a_constant_is_said_to_be_one(tmp_path: Path) -> None:
    history = load_history(file_of(tmp_path, series([4] * 50), "timestamp,value"))
    assert "demand is always the same where there is any: value" in history.notes
