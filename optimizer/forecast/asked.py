"""What the user asks for, as written on the command line: how far ahead, which levels, which events."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Final

from calibration.command_line import refuse
from optimizer.calendar_days import LARGEST_FACTOR, Event

_HORIZON: Final = re.compile(r"(\d+)\s*(h|d|w|mo|y)")
_HOURS: Final = {"h": 1, "d": 24, "w": 168}
_MOST_H: Final = 10 * 8_784
_EVENT: Final = re.compile(r"(?P<name>[^=]+)=(?P<start>[^/]+)/(?P<end>[^*]+?)(?:\*(?P<factor>.+))?")
_FORM: Final = "Write NAME=START/END or NAME=START/END*FACTOR, as in launch=2026-11-27/2026-11-29*1.5."


def horizon_h(text: str, end: datetime) -> int:
    """How many hours after the end of a history does a horizon reach?

    Months and years are the calendar's.

    Parameters
    ----------
    text
        A count and its unit: ``8760h``, ``30d``, ``4w``, ``12mo``, ``1y``.
    end
        The hour after the history's last.

    Raises
    ------
    InputError
        It is no horizon, or none of 1 hour to 10 years.

    Examples
    --------
    >>> horizon_h("12mo", datetime(2023, 3, 1, tzinfo=UTC)), horizon_h("4w", datetime(2023, 3, 1, tzinfo=UTC))
    (8784, 672)
    """
    found = _HORIZON.fullmatch(text.strip())
    remedy = "Write a count and its unit: 168h, 30d, 4w, 12mo or 1y."
    if found is None:
        refuse("--horizon", "must be a time ahead", repr(text), remedy)
    count, unit = int(found[1]), found[2]
    hours = count * _HOURS[unit] if unit in _HOURS else _months_h(end, count * (12 if unit == "y" else 1))
    if not 1 <= hours <= _MOST_H:
        refuse("--horizon", "must be from 1 hour to 10 years", repr(text), remedy)
    return hours


def _months_h(start: datetime, months: int) -> int:
    """Hours of so many calendar months; a day that the last month lacks is its last."""
    if months > _MOST_H // 672:
        return _MOST_H + 1
    years, month = divmod(start.month - 1 + months, 12)
    day = start.day
    while True:
        try:
            end = start.replace(year=start.year + years, month=month + 1, day=day)
        except ValueError:
            day -= 1
            continue
        return int((end - start) / timedelta(hours=1))


def levels(texts: Sequence[str]) -> tuple[float, ...]:
    """Which probabilities are asked for, beside 10, 50 and 90 %?

    >>> levels(["95", "0.99", "p5"])
    (0.95, 0.99, 0.05)

    Raises
    ------
    InputError
        One of them is no probability.
    """
    found = []
    for text in texts:
        try:
            level = float(text.strip().lower().removeprefix("p").removesuffix("%"))
        except ValueError:
            level = -1.0
        level = level / 100 if level >= 1 else level
        if not 0.005 <= level <= 0.995:
            refuse("--level", "must be from 0.5 to 99.5 %", repr(text), "Write 95 or 0.95.")
        found.append(level)
    return tuple(found)


def level_name(level: float) -> str:
    """Key of a quantile in JSON and CSV.

    >>> level_name(0.1), level_name(0.995)
    ('p10', 'p99.5')
    """
    return f"p{round(100 * level, 4):g}"


def events(texts: Sequence[str]) -> tuple[Event, ...]:
    """Which events does the command line name?

    An end that is a date is the last day of the event.

    Raises
    ------
    InputError
        One of them is no event.

    Examples
    --------
    >>> events(["launch=2026-11-27/2026-11-28*1.5"])[0].end.isoformat()
    '2026-11-29T00:00:00+00:00'
    """
    return tuple(_event(text) for text in texts)


def _event(text: str) -> Event:
    found = _EVENT.fullmatch(text.strip())
    if found is None:
        refuse("--event", "must be an event", repr(text), _FORM)
    start, end = _moment(found["start"], last_day=False), _moment(found["end"], last_day=True)
    if start is None or end is None or end <= start:
        refuse("--event", "must begin and end at times, in that order", repr(text), _FORM)
    factor = None
    if found["factor"] is not None:
        try:
            factor = float(found["factor"])
        except ValueError:
            factor = -1.0
        if not 0 <= factor <= LARGEST_FACTOR:
            refuse("--event", f"must have a factor from 0 to {LARGEST_FACTOR:g}", repr(text), _FORM)
    return Event(start, end, found["name"].strip(), factor)


def _moment(text: str, *, last_day: bool) -> datetime | None:
    text = text.strip()
    try:
        if len(text) == len("2026-11-27"):
            return datetime.combine(date.fromisoformat(text) + timedelta(days=int(last_day)), time(), UTC)
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
