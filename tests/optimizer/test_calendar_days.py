"""Holidays and events as users give them, and the hours that they lie on."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from calibration.problems import InputError
from optimizer.calendar_days import (
    Event,
    Holiday,
    event_hours,
    given_factors,
    holiday_hours,
    holidays_from,
    read_events,
    read_holidays,
)

START = datetime(2021, 3, 27, tzinfo=UTC)
LAUNCH = Event(datetime(2021, 3, 27, 6, 30, tzinfo=UTC), datetime(2021, 3, 27, 9, tzinfo=UTC), "launch", 2.0)


def file_of(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "days.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_holiday_lasts_from_midnight_to_midnight_of_its_zone() -> None:
    """On the day that clocks are put forward it has 23 hours."""
    berlin = ZoneInfo("Europe/Berlin")
    on_holiday = np.flatnonzero(holiday_hours([Holiday(date(2021, 3, 28))], START, 96, berlin))
    assert list(range(23, 46)) == on_holiday.tolist()
    assert list(range(24, 48)) == np.flatnonzero(holiday_hours([Holiday(date(2021, 3, 28))], START, 96)).tolist()


def test_days_outside_the_time_asked_for_touch_nothing() -> None:
    far = [Holiday(date(2020, 1, 1)), Holiday(date(2022, 1, 1))]
    assert not holiday_hours(far, START, 96).any()


def test_an_event_takes_every_hour_that_it_touches() -> None:
    assert [6, 7, 8] == np.flatnonzero(event_hours([LAUNCH], START, 24)).tolist()


def test_factors_of_events_at_once_multiply() -> None:
    sale = Event(datetime(2021, 3, 27, 8, tzinfo=UTC), datetime(2021, 3, 27, 10, tzinfo=UTC), "sale", 1.5)
    unknown = Event(START, datetime(2021, 3, 28, tzinfo=UTC), "freeze")
    assert [1, 2, 2, 3, 1.5, 1] == given_factors([LAUNCH, sale, unknown], START, 24)[5:11].tolist()


@pytest.mark.parametrize(("start", "end", "factor"), [(9, 9, None), (9, 8, None), (8, 9, -1.0), (8, 9, 5_000.0)])
def test_an_event_that_cannot_be_is_refused(start: int, end: int, factor: float | None) -> None:
    with pytest.raises(ValueError, match="launch"):
        Event(START.replace(hour=start), START.replace(hour=end), "launch", factor)


def test_holidays_come_from_a_file_or_from_dates(tmp_path: Path) -> None:
    path = file_of(tmp_path, "date,name\n2021-12-25,Christmas\n2021-05-01,\n")
    expected = (Holiday(date(2021, 5, 1)), Holiday(date(2021, 12, 25), "Christmas"))
    assert expected == read_holidays(path) == holidays_from(["2021-12-25=Christmas", "2021-05-01"])


def test_every_problem_of_a_file_of_holidays_is_told(tmp_path: Path) -> None:
    path = file_of(tmp_path, "date,name\n25.12.2021,x\n2021-05-01,a\n2021-05-01,b\n,c\n0001-01-01,d\n")
    with pytest.raises(InputError) as caught:
        read_holidays(path)
    assert [2, 4, 5, 6] == [problem.line for problem in caught.value.problems]


def test_every_date_of_an_option_that_is_none_is_told() -> None:
    with pytest.raises(InputError) as caught:
        holidays_from(["2021-05-01", "May Day", "2021-02-30"])
    assert ["'May Day'", "'2021-02-30'"] == [problem.value for problem in caught.value.problems]


def test_events_come_from_a_file_whose_last_day_counts(tmp_path: Path) -> None:
    text = "start,end,name,factor\n2021-03-27T06:30Z,2021-03-27T09:00Z,launch,2\n2021-03-27,2021-03-28,sale,\n"
    sale = Event(START, datetime(2021, 3, 29, tzinfo=UTC), "sale")
    assert (sale, LAUNCH) == read_events(file_of(tmp_path, text))


def test_times_without_a_zone_are_of_the_zone_given(tmp_path: Path) -> None:
    text = "start,end\n2021-03-27 07:30,2021-03-27 10:00\n"
    (event,) = read_events(file_of(tmp_path, text), ZoneInfo("Europe/Berlin"))
    assert (LAUNCH.start, LAUNCH.end, None) == (event.start, event.end, event.factor)


def test_every_problem_of_a_file_of_events_is_told(tmp_path: Path) -> None:
    text = "start,end,factor\nsoon,2021-03-27,2\n2021-03-27,2021-03-26,x\n2021-03-27,2021-03-28,-1\n"
    with pytest.raises(InputError) as caught:
        read_events(file_of(tmp_path, text))
    found = [(problem.line, problem.path) for problem in caught.value.problems]
    assert [(2, "start"), (3, "end"), (3, "factor"), (4, "factor")] == found


@pytest.mark.parametrize("header", ["day,name", "start,finish"])
def test_a_column_that_is_missing_is_named(tmp_path: Path, header: str) -> None:
    path = file_of(tmp_path, f"{header}\n2021-03-27,x\n")
    for read in (read_holidays, read_events):
        with pytest.raises(InputError, match="must have the columns"):
            read(path)
