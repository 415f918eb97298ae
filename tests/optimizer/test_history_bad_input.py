"""A file of demand that cannot be trusted: everything wrong with it is told at once, with its line."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from calibration.problems import InputError, Problem
from optimizer.history import load_history

START = datetime(2021, 2, 1, tzinfo=UTC)


def file_of(tmp_path: Path, rows: Iterable[object], header: str = "timestamp,pool,demand") -> Path:
    path = tmp_path / "demand.csv"
    path.write_text("".join(f"{row}\n" for row in (header, *rows)), encoding="utf-8")
    return path


def hour(number: float) -> str:
    return f"{START + timedelta(hours=number):%Y-%m-%d %H:%M}"


def problems_of(path: Path, **options: Any) -> tuple[Problem, ...]:
    with pytest.raises(InputError) as caught:
        load_history(path, **options)
    return caught.value.problems


def waves(hours: int) -> list[float]:
    """Demand that is never near 0, with a day and a week."""
    at = np.arange(hours)
    return [round(value, 3) for value in 100 + 20 * np.sin(at * 2 * np.pi / 24) + 10 * (at // 24 % 7 < 5)]


@pytest.mark.parametrize(
    ("cell", "rule"),
    [
        ("-3", "must not be negative"),
        ("many", "must be a number"),
        ("inf", "must be a number"),
        ("1e999", "must be at most 1e+12"),
        ("3e12", "must be at most 1e+12"),
        ("0x10", "must be a number"),
        ("1_000", "must be a plain number"),
        ("$12.50", "must be a number without a currency"),
        ("12 USD", "must be a number without a currency"),
        ("€3", "must be a number without a currency"),
        ('"1,234.5"', "must be a plain number"),
        ('"12,5"', "must be a plain number"),
        ("1 234", "must be a plain number"),
    ],
)
def test_a_demand_that_is_no_count_is_refused_with_its_line(tmp_path: Path, cell: str, rule: str) -> None:
    rows = [f"{hour(0)},A,1", f"{hour(1)},A,{cell}", f"{hour(2)},A,3"]
    (problem,) = problems_of(file_of(tmp_path, rows))
    assert (3, "demand", rule, repr(cell.strip('"'))) == (problem.line, problem.path, problem.rule, problem.value)
    assert problem.remedy


def test_everything_wrong_is_told_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    rows = [
        f"{hour(0)},A,1",
        f"{hour(1)},A,-1",
        f"{hour(2)},,1",
        "yesterday,A,1",
        f"{hour(3)},A,1",
        f"{hour(3)},A,2",
        f"{hour(4.5)},A,2",
        f"{hour(5)},A",
        f"{hour(6)},A,$1",
        f"{hour(7)},A,1",
    ]
    found = problems_of(file_of(tmp_path, rows))
    assert [3, 4, 5, 7, 8, 9, 10] == [problem.line for problem in found]
    assert all(problem.file.endswith("demand.csv") for problem in found)


def test_of_one_broken_rule_five_rows_are_told_and_the_others_counted(tmp_path: Path) -> None:
    rows = [f"{hour(h)},A,-1" for h in range(12)] + [f"{hour(12)},A,x"]
    found = problems_of(file_of(tmp_path, rows))
    assert [2, 3, 4, 5, 6, 14, None] == [problem.line for problem in found]
    assert "must not be negative: 7 more rows break this rule" == found[-1].rule


@pytest.mark.parametrize("content", ["", "\n\n", "timestamp,pool,demand\n"])
def test_an_empty_file_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "demand.csv"
    path.write_text(content, encoding="utf-8")
    (problem,) = problems_of(path)
    assert problem.rule in ("must not be empty", "must hold at least one row")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    (problem,) = problems_of(tmp_path / "absent.csv")
    assert "must be a file that exists" == problem.rule


@pytest.mark.parametrize(
    ("header", "row", "keys"),
    [
        ("a,b,c", "x,y,z", ["timestamp", "demand"]),
        ("timestamp,pool,left,right", f"{hour(0)},A,1,2", ["demand"]),
        ("timestamp,usage,value", f"{hour(0)},1,2", ["demand"]),
        ("start_time,interval_start,demand", f"{hour(0)},{hour(0)},2", ["timestamp"]),
        ("timestamp,series,sku,demand", f"{hour(0)},a,b,2", ["pool"]),
    ],
)
def test_columns_that_cannot_be_told_apart_are_asked_for(
    tmp_path: Path, header: str, row: str, keys: list[str]
) -> None:
    found = problems_of(file_of(tmp_path, [row], header))
    assert keys == [problem.path for problem in found]
    assert all(header.replace(",", ", ") == problem.value for problem in found)


def test_a_named_column_that_is_absent_gets_the_nearest_name(tmp_path: Path) -> None:
    (problem,) = problems_of(file_of(tmp_path, [f"{hour(0)},A,1"]), columns={"demand": "demands"})
    assert "Did you mean demand?" == problem.remedy


def test_a_file_without_a_header_is_told_so(tmp_path: Path) -> None:
    (problem,) = problems_of(file_of(tmp_path, [f"{hour(1)},A,1"], f"{hour(0)},A,1"))
    assert "must begin with a header row" == problem.rule


def test_rows_that_contradict_each_other_name_both_lines(tmp_path: Path) -> None:
    rows = [f"{hour(0)},A,1", f"{hour(1)},A,2", f"{hour(0)},A,3"]
    (problem,) = problems_of(file_of(tmp_path, rows))
    assert 4 == problem.line
    assert f"{hour(0)} of A with 3, on line 2 1" == problem.value


def test_rows_that_repeat_each_other_are_dropped_and_said(tmp_path: Path) -> None:
    rows = [f"{hour(0)},A,1", f"{hour(1)},A,2", f"{hour(1)},A,2"]
    history = load_history(file_of(tmp_path, rows))
    assert [1, 2] == history.total.tolist()
    assert any("1 row says the same as another" in note and "line 4" in note for note in history.notes)


def test_contradictions_that_another_column_explains_name_that_column(tmp_path: Path) -> None:
    rows = [f"{hour(0)},1,A,5", f"{hour(0)},2,A,6"]
    (problem,) = problems_of(file_of(tmp_path, rows, "timestamp,region,pool,demand"))
    assert "If region tells them apart, keep the rows of one region." == problem.remedy


@pytest.mark.parametrize(
    "stamp", ["", "soon", "02/01/2021 05:00", "2021-13-01 05:00", "2021-02-30 05:00", "2021-02-01 25:00"]
)
def test_a_stamp_that_is_no_time_is_refused_with_its_line(tmp_path: Path, stamp: str) -> None:
    (problem,) = problems_of(file_of(tmp_path, [f"{hour(0)},A,1", f"{stamp},A,1", f"{hour(1)},A,1"]))
    assert (3, "timestamp") == (problem.line, problem.path)


def test_stamps_with_and_without_a_zone_are_not_mixed(tmp_path: Path) -> None:
    rows = [f"{hour(0)},A,1", f"{hour(1)}Z,A,1", f"{hour(2)},A,1"]
    (problem,) = problems_of(file_of(tmp_path, rows))
    assert (3, "must name a time zone in every row or in none") == (problem.line, problem.rule)


def test_stamps_without_a_zone_are_utc_and_that_is_said(tmp_path: Path) -> None:
    history = load_history(file_of(tmp_path, [f"{hour(0)},A,1"]))
    assert START == history.start
    assert "timestamps name no time zone: taken as UTC" in history.notes


def test_a_zone_that_there_is_none_of_gets_a_likely_name(tmp_path: Path) -> None:
    (problem,) = problems_of(file_of(tmp_path, [f"{hour(0)},A,1"]), timezone="Berlin")
    assert ("--timezone", "Did you mean Europe/Berlin?") == (problem.path, problem.remedy)


def test_an_hour_that_the_clock_skipped_is_refused(tmp_path: Path) -> None:
    rows = [f"2021-03-28 0{h}:00,A,1" for h in range(5)]
    (problem,) = problems_of(file_of(tmp_path, rows), timezone="Europe/Berlin")
    assert (4, "'2021-03-28 02:00'") == (problem.line, problem.value)
    assert "put forward" in problem.rule


def test_a_repeated_hour_that_stands_once_is_said(tmp_path: Path) -> None:
    rows = [f"2021-10-31 0{h}:00,A,1" for h in range(5)]
    history = load_history(file_of(tmp_path, rows), timezone="Europe/Berlin")
    assert any("stand once: taken as before the clocks went back" in note for note in history.notes)


@pytest.mark.parametrize("zone", ["Europe/Berlin", "Europe/London", "America/New_York"])
def test_local_time_passed_off_as_utc_is_recognised_by_its_clock_changes(tmp_path: Path, zone: str) -> None:
    """The hour that autumn doubles contradicts itself: the reason is told beside the lines."""
    year = [datetime(2021, 1, 2, tzinfo=UTC) + timedelta(hours=h) for h in range(8_700)]
    rows = [f"{m.astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M},A,{100 + h % 37}" for h, m in enumerate(year)]
    found = problems_of(file_of(tmp_path, rows))
    (jump,) = [problem for problem in found if problem.line is None]
    assert "must be in UTC" == jump.rule
    assert "is missing and" in str(jump.value)
    assert f"timezone={zone}" in jump.remedy


def test_a_missing_hour_of_spring_alone_is_remarked_on(tmp_path: Path) -> None:
    begin = datetime(2021, 3, 1, tzinfo=UTC)
    moments = [(begin + timedelta(hours=h)).astimezone(ZoneInfo("Europe/Berlin")) for h in range(1_000)]
    rows = [f"{m:%Y-%m-%d %H:%M},A,{value}" for m, value in zip(moments, waves(1_000), strict=True)]
    notes = " / ".join(load_history(file_of(tmp_path, rows)).notes)
    assert "2021-03-28 02:00 is missing, as in local time whose clocks change" in notes
    assert "Europe/Berlin" in notes


def test_a_row_off_the_hour_is_refused(tmp_path: Path) -> None:
    rows = [f"{hour(h)},A,1" for h in range(20)] + [f"{hour(20.5)},A,1"]
    (problem,) = problems_of(file_of(tmp_path, rows))
    assert (22, "must stand on the hour") == (problem.line, problem.rule)


def test_a_row_some_seconds_off_is_moved_and_that_is_said(tmp_path: Path) -> None:
    rows = [f"{START + timedelta(hours=h, seconds=h % 3):%Y-%m-%d %H:%M:%S},A,{h}" for h in range(20)]
    history = load_history(file_of(tmp_path, rows))
    assert list(range(20)) == history.total.tolist()
    assert any("off their place: moved onto it" in note for note in history.notes)


@pytest.mark.parametrize(("first", "then"), [(1.0, 1 / 12), (1 / 12, 1.0), (1.0, 0.5)])
def test_a_step_that_changes_on_the_way_is_refused(tmp_path: Path, first: float, then: float) -> None:
    times = [first * index for index in range(60)]
    times += [60 * first + then * index for index in range(60)]
    found = problems_of(file_of(tmp_path, [f"{hour(time)},A,5" for time in times]))
    assert any(
        "like most" in problem.rule or "on the hour" in problem.rule or "keep its step" in problem.rule
        for problem in found
    )


@pytest.mark.parametrize("minutes", [7, 25, 90])
def test_a_step_that_does_not_divide_the_hour_is_refused(tmp_path: Path, minutes: int) -> None:
    (problem,) = problems_of(file_of(tmp_path, [f"{hour(minutes * i / 60)},1" for i in range(30)], "timestamp,value"))
    assert ("must have a step that divides an hour, or whole hours", f"{minutes}min") == (problem.rule, problem.value)


@pytest.mark.parametrize("step", ["soon", "7min", "5", "-1h", "0.5s"])
def test_a_step_of_the_users_that_fits_no_hour_is_refused(tmp_path: Path, step: str) -> None:
    path = file_of(tmp_path, [f"{hour(0)},A,1"])
    if step == "0.5s":
        assert "--step" == problems_of(path, step=step)[0].path
    else:
        assert ["--step"] == [problem.path for problem in problems_of(path, step=step)]


@pytest.mark.parametrize("header", ["timestamp,pool,demand", "timestamp,value"])
def test_a_gap_in_steady_demand_is_filled_from_the_week_before_marked_and_said(tmp_path: Path, header: str) -> None:
    demand = waves(600)
    gap = range(400, 412)
    name = ",A" if "pool" in header else ""
    rows = [f"{hour(h)}{name},{value}" for h, value in enumerate(demand) if h not in gap]
    history = load_history(file_of(tmp_path, rows, header))
    assert demand[400 - 168 : 412 - 168] == history.total[400:412].tolist()
    assert list(gap) == np.flatnonzero(history.filled[:, 0]).tolist()
    assert (
        "12 hours missing (12 h from 2021-02-17 16:00): filled from the same hour of the week before" in history.notes
    )


def test_a_gap_longer_than_a_week_repeats_the_last_week_known(tmp_path: Path) -> None:
    demand = waves(2_000)
    rows = [f"{hour(h)},{value}" for h, value in enumerate(demand) if not 1_000 <= h < 1_300]
    history = load_history(file_of(tmp_path, rows, "timestamp,value"))
    np.testing.assert_allclose(demand[1_000:1_300], history.total[1_000:1_300])


def test_a_gap_may_be_bridged_by_a_line_or_refused(tmp_path: Path) -> None:
    path = file_of(tmp_path, [f"{hour(h)},{h}" for h in range(1, 40) if h not in (20, 21)], "timestamp,value")
    assert list(range(1, 40)) == load_history(path, fill="line").total.tolist()
    (problem,) = problems_of(path, fill="refuse")
    assert "must have every hour" == problem.rule


def test_silence_of_all_pools_is_zero_where_demand_does_fall_to_nothing(tmp_path: Path) -> None:
    """A machine that runs by day only is not a gap every night."""
    rows = [f"{hour(h)},A,{3 + h % 2}" for h in range(24 * 30) if 8 <= h % 24 < 20]
    history = load_history(file_of(tmp_path, rows))
    assert not history.filled.any()
    assert 0 == history.total[12]


def test_silence_at_random_for_much_of_the_time_is_zero(tmp_path: Path) -> None:
    """A pool of ten that is absent from a third of the hours wanted nothing in them, as the contract has it."""
    wanted = np.random.default_rng(2).random(2_000) > 1 / 3
    history = load_history(file_of(tmp_path, [f"{hour(h)},A,10" for h in np.flatnonzero(wanted).tolist()]))
    assert not history.filled.any()
    assert 10 * wanted.sum() == history.total.sum()


def test_a_short_contract_file_is_not_second_guessed(tmp_path: Path) -> None:
    history = load_history(file_of(tmp_path, [f"{hour(0)},A,5", f"{hour(1)},A,5", f"{hour(3)},A,5"]))
    assert [5, 5, 0, 5] == history.total.tolist()


@pytest.mark.parametrize(("absent", "value"), [("zero", 0.0), ("gap", 103.0)])
def test_the_user_can_say_what_absent_rows_mean(tmp_path: Path, absent: str, value: float) -> None:
    rows = [f"{hour(h)},A,103" for h in range(300) if h != 200]
    assert value == load_history(file_of(tmp_path, rows), absent=absent).total[200]


def test_a_blank_demand_is_missing_not_zero(tmp_path: Path) -> None:
    rows = [f"{hour(h)},{pool},{'' if (h, pool) == (50, 'A') else 7 + h % 24}" for h in range(96) for pool in "AB"]
    history = load_history(file_of(tmp_path, rows))
    assert 7 + 50 % 24 == history.of("A")[50]
    assert [(50, 0)] == [tuple(cell) for cell in np.argwhere(history.filled).tolist()]
    assert any("1 hour of A missing" in note for note in history.notes)


def test_a_history_of_holes_is_refused(tmp_path: Path) -> None:
    rows = [f"{hour(h)},{value}" for h, value in enumerate(waves(1_000)) if not 300 <= h < 600]
    (problem,) = problems_of(file_of(tmp_path, rows, "timestamp,value"))
    assert "must have at least 80% of its hours" == problem.rule
    assert "70.0%: 300 hours missing (300 h from 2021-02-13 12:00)" == problem.value
    assert load_history(file_of(tmp_path, rows, "timestamp,value"), most_missing=0.5).filled.sum() == 300


def test_a_slip_in_a_year_is_refused_before_memory_is(tmp_path: Path) -> None:
    (problem,) = problems_of(file_of(tmp_path, [f"{hour(0)},A,1", "2121-02-01 01:00,A,1", f"{hour(2)},A,1"]))
    assert (3, "must span at most 20 years") == (problem.line, problem.rule)


CELLS = st.sampled_from(["1", "0", "2.5", "-1", "", "nan", "$3", "1e999", "x", "é", " 4 "])
STAMPS = st.one_of(
    st.integers(0, 400).map(hour),
    st.integers(0, 50).map(lambda step: hour(step / 12)),
    st.sampled_from(
        ["", "soon", "2021-02-01", "2021-02-01T05:00Z", "9999-12-31 23:00", "1612137600", "2021-02-29 00:00"]
    ),
)


@given(
    rows=st.lists(st.tuples(STAMPS, st.sampled_from(["A", "B", ""]), CELLS), max_size=30),
    header=st.sampled_from(["timestamp,pool,demand", "hour,series,value", "a,b,c", ""]),
    timezone=st.sampled_from([None, "Europe/Berlin", "Australia/Lord_Howe"]),
)
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_a_file_holds_it_is_read_or_refused_in_words(
    tmp_path: Path, rows: list[tuple[str, str, str]], header: str, timezone: str | None
) -> None:
    path = file_of(tmp_path, map(",".join, rows), header)
    try:
        history = load_history(path, timezone=timezone)
    except InputError as error:
        refused = error.problems
    else:
        refused = ()
        assert history.demand.any()
        assert set(history.pools) <= {"A", "B"}
    assert all(problem.rule and problem.file for problem in refused)


def test_nothing_wanted_at_all_is_refused(tmp_path: Path) -> None:
    (problem,) = problems_of(file_of(tmp_path, [f"{hour(h)},A,0" for h in range(5)]))
    assert "must have demand in some hour" == problem.rule
