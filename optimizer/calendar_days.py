"""Days and hours that are not like others: holidays and launch events, as the user gives them.

No calendar is shipped: which holidays move a fleet's demand is known to those who run it. Whether and how much a day
differs is estimated, or given as a factor; that is the forecast's (:mod:`optimizer.forecast`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from calibration.csv_sheet import Row, Sheet, missing_columns, read_sheet, shown
from calibration.problems import InputError, Problem
from calibration.source import COMMAND_LINE

Bools = npt.NDArray[np.bool_]

LARGEST_FACTOR: Final = 1_000.0
"""No event multiplies demand by more: a larger number is a count, not a factor."""

YEARS: Final = range(1900, 2200)
"""Any other is a slip of the pen."""

_DATE: Final = "Write a date such as 2026-12-25."
_TIME: Final = "Write a time such as 2026-11-27T18:00Z, or a date."
_FACTOR: Final = "Write 1.5 for half as much again, or leave it blank to have it estimated."


@dataclass(frozen=True, order=True)
class Holiday:
    """A day on which demand is not as usual. Days of one name are taken to be alike."""

    day: date
    name: str = "holiday"


@dataclass(frozen=True)
class Event:
    """A time in which demand is not as usual: a launch, a sale, a freeze."""

    start: datetime
    """UTC."""
    end: datetime
    """UTC, after ``start``; the first moment that is as usual again."""
    name: str = "event"
    """Events of one name are taken to be alike."""
    factor: float | None = None
    """What demand is multiplied by; None: as earlier events of that name did."""

    def __post_init__(self) -> None:
        """Refuse an event that takes no time, or whose factor is none."""
        if self.start.utcoffset() is None or self.end.utcoffset() is None or self.end <= self.start:
            raise ValueError(f"{self.name}: an event must have a zone and end after its start")
        if self.factor is not None and not 0 <= self.factor <= LARGEST_FACTOR:
            raise ValueError(f"{self.name}: factor must be within 0 and {LARGEST_FACTOR:g}, got {self.factor}")


def holiday_hours(holidays: Iterable[Holiday], start: datetime, hours: int, zone: tzinfo = UTC) -> Bools:
    """Which hours lie on a holiday, as the calendar of ``zone`` has it?

    Returns
    -------
    on_holiday : (hours,) bool

    Examples
    --------
    >>> christmas = [Holiday(date(2026, 12, 25))]
    >>> np.flatnonzero(holiday_hours(christmas, datetime(2026, 12, 24, tzinfo=UTC), 72))[[0, -1]]
    array([24, 47])
    """
    midnights = [datetime.combine(holiday.day, time(), zone) for holiday in holidays]
    nights_after = [datetime.combine(midnight.date() + timedelta(days=1), time(), zone) for midnight in midnights]
    return _hours_within(zip(midnights, nights_after, strict=True), start, hours)


def event_hours(events: Iterable[Event], start: datetime, hours: int) -> Bools:
    """Which hours lie, at least in part, in one of the events?

    Returns
    -------
    in_event : (hours,) bool
    """
    return _hours_within(((event.start, event.end) for event in events), start, hours)


def given_factors(events: Iterable[Event], start: datetime, hours: int) -> npt.NDArray[np.float64]:
    """What is the demand of each hour multiplied by, where the user said so? Events at once multiply.

    Returns
    -------
    factor : (hours,) float64
        1 in hours without an event of a given factor.
    """
    factor = np.ones(hours)
    for event in events:
        if event.factor is not None:
            factor[event_hours([event], start, hours)] *= event.factor
    return factor


def _hours_within(spans: Iterable[tuple[datetime, datetime]], start: datetime, hours: int) -> Bools:
    inside = np.zeros(hours, dtype=np.bool_)
    for begin, end in spans:
        # In UTC: two times of one zone subtract as clocks show them, whatever daylight saving did between.
        first = (begin.astimezone(UTC) - start) // timedelta(hours=1)
        last = -((start - end.astimezone(UTC)) // timedelta(hours=1))
        inside[max(first, 0) : max(last, 0)] = True
    return inside


def read_holidays(path: str | Path) -> tuple[Holiday, ...]:
    """Which holidays does a file name? CSV with the columns ``date`` and, where wanted, ``name``.

    Raises
    ------
    InputError
        With every problem of the file: no such file, no such column, what is no date, a day twice.
    """
    sheet = read_sheet(path)
    problems = missing_columns(sheet, ["date"], "holidays")
    if problems:
        raise InputError(problems)
    found: dict[date, Holiday] = {}
    for row in sheet.rows:
        day = _date(row.cells["date"])
        if day is None:
            problems.append(_cell(sheet, row, "date", "must be a date", _DATE))
        elif day in found:
            problems.append(_cell(sheet, row, "date", "must stand once", "Delete one of the two rows."))
        else:
            found[day] = Holiday(day, row.cells.get("name", "").strip() or "holiday")
    if problems:
        raise InputError(problems)
    return tuple(sorted(found.values()))


def holidays_from(texts: Sequence[str], key: str = "--holiday") -> tuple[Holiday, ...]:
    """Which holidays do dates such as ``2026-12-25`` or ``2026-12-25=Christmas`` name? A day named twice is one.

    >>> holidays_from(["2026-12-25=Christmas"])
    (Holiday(day=datetime.date(2026, 12, 25), name='Christmas'),)

    Raises
    ------
    InputError
        With every text that is no date.
    """
    found: dict[date, Holiday] = {}
    problems: list[Problem] = []
    for text in texts:
        written, _, name = text.partition("=")
        day = _date(written)
        if day is None:
            problems.append(Problem(COMMAND_LINE, None, None, key, "must be a date", repr(shown(text)), _DATE))
        else:
            found[day] = Holiday(day, name.strip() or "holiday")
    if problems:
        raise InputError(problems)
    return tuple(sorted(found.values()))


def read_events(path: str | Path, zone: tzinfo = UTC) -> tuple[Event, ...]:
    """Which events does a file name? CSV with ``start`` and ``end``, and where wanted ``name`` and ``factor``.

    Parameters
    ----------
    path
        The file. An ``end`` that is a date without a time is the last day of the event; one with a time is when it
        is over.
    zone
        Of times that name none.

    Raises
    ------
    InputError
        With every problem of the file.
    """
    sheet = read_sheet(path)
    problems = missing_columns(sheet, ["start", "end"], "events")
    if problems:
        raise InputError(problems)
    events = []
    for row in sheet.rows:
        start = _moment(row.cells["start"], zone)
        end = _moment(row.cells["end"], zone, last_day=True)
        factor = _factor(row.cells.get("factor", ""))
        found = []
        if start is None:
            found.append(_cell(sheet, row, "start", "must be a time", _TIME))
        if end is None:
            found.append(_cell(sheet, row, "end", "must be a time", _TIME))
        if start is not None and end is not None and end <= start:
            found.append(_cell(sheet, row, "end", f"must be after the start ({row.cells['start']})", "Swap the two."))
        if factor is None:
            rule = f"must be a number within 0 and {LARGEST_FACTOR:g}, or blank"
            found.append(_cell(sheet, row, "factor", rule, _FACTOR))
        problems += found
        if not found and start is not None and end is not None and factor is not None:
            name = row.cells.get("name", "").strip() or "event"
            events.append(Event(start, end, name, None if math.isnan(factor) else factor))
    if problems:
        raise InputError(problems)
    return tuple(sorted(events, key=lambda event: (event.start, event.end, event.name)))


def _cell(sheet: Sheet, row: Row, column: str, rule: str, remedy: str) -> Problem:
    cell = row.cells[column]
    return sheet.problem(row, column, rule, repr(shown(cell)) if cell.strip() else "a blank", remedy)


def _date(text: str) -> date | None:
    """The date that is written, or None.

    >>> _date("2026-12-25"), _date("25.12.2026")
    (datetime.date(2026, 12, 25), None)
    """
    try:
        day = date.fromisoformat(text.strip())
    except ValueError:
        return None
    return day if day.year in YEARS else None


def _moment(text: str, zone: tzinfo, *, last_day: bool = False) -> datetime | None:
    day = _date(text)
    if day is not None:
        midnight = datetime.combine(day + timedelta(days=1) if last_day else day, time(), zone)
        return midnight.astimezone(UTC)
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        return None
    if moment.year not in YEARS:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(UTC)


def _factor(text: str) -> float | None:
    """The factor that is written; NaN where none is, None where it is no factor."""
    if not text.strip():
        return math.nan
    try:
        factor = float(text)
    except ValueError:
        return None
    return factor if 0 <= factor <= LARGEST_FACTOR else None
