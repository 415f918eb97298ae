"""When is each row of a file of demand? Stamps with a zone, without one, and clocks that jump.

Stamps become seconds since 1970 in UTC. A stamp without a zone is UTC, unless the user names the zone whose clock
wrote it; then the hour that autumn repeats is told apart by the order of rows, and one that spring skips is refused.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

import numpy as np
import numpy.typing as npt

from calibration.problems import InputError, Problem
from calibration.source import COMMAND_LINE
from optimizer.history_table import RowProblems, Table
from simulator.clock import NS_PER_S
from simulator.time_text import BLANK, READ, RULES, Cells, cells_from, ns_from_timestamps

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

HOUR_S: Final = 3_600

JUMPS_A_YEAR: Final = 4
"""Clocks jump twice a year; so many single hours may be missing for it to be a sign of that."""

_WRITTEN_SHORT: Final = re.compile(
    r"(?P<date>\d{4}-\d\d-\d\d)(?:[T ](?P<hour>\d\d)(?::(?P<minute>\d\d)(?::(?P<second>\d\d(?:\.\d{1,9})?))?)?)?"
    r"\s?(?P<zone>Z|z|UTC|GMT|[+-]\d\d(?::?\d\d)?)?",
    re.ASCII,
)
_EPOCH: Final = {9: 1, 10: 1, 12: 1_000, 13: 1_000}
"""Units in a second, by the digits of a count since 1970: 1973 to 2286."""
_CHANGING_MONTHS: Final = (3, 4, 9, 10, 11)
_ZONE_BY_JUMP: Final = {(3, 1): "Europe/London", (3, 2): "Europe/Berlin"}


class Moments(NamedTuple):
    """When each row is."""

    seconds: Ints
    """(n,) since 1970, UTC."""
    read: Bools
    """(n,) whether the stamp could be read; what could not is among the problems."""
    naive: bool
    """Whether the stamps name no zone and none was given, so that they were taken as UTC."""
    notes: tuple[str, ...]


def moments(table: Table, timezone: str | None, problems: RowProblems) -> Moments:
    """When, in UTC, is each row?

    Parameters
    ----------
    table
        The rows.
    timezone
        IANA name of the zone whose clock wrote stamps that name none.
    problems
        Receives stamps that cannot be read, that mix zones and none, or that a clock never showed.

    Raises
    ------
    InputError
        There is no such zone.
    """
    zone = _zone(timezone)
    counted = _since_1970(table.stamps)
    if counted is not None:
        notes = ["timestamps are counts since 1970, UTC"]
        every = np.ones(len(table.stamp), dtype=np.bool_)
        return Moments(counted[table.stamp], every, False, tuple(notes + _needless(timezone)))
    seconds, aware, verdict = _read(table.stamps)
    _refuse_unread(table, verdict, problems)
    read = verdict == READ
    if (aware & read).any() and (~aware & read).any():
        fewer = aware if 2 * int(aware[table.stamp].sum()) <= len(table.stamp) else ~aware & read
        kind = "names a time zone, and others do not" if fewer is aware else "names no time zone, and others do"
        rows = np.flatnonzero(fewer[table.stamp])
        problems.add(
            int(table.line[rows[0]]), table.columns.timestamp, "must name a time zone in every row or in none",
            f"{table.stamps[table.stamp[rows[0]]]!r}, which {kind} ({len(rows)} of {len(read[table.stamp])} rows)",
            "Write them all in UTC.",
        )  # fmt: skip
        return Moments(seconds[table.stamp], np.zeros(len(table.stamp), dtype=np.bool_), False, ())
    if aware.any() or not read.any():
        return Moments(seconds[table.stamp], read[table.stamp], False, tuple(_needless(timezone)))
    if zone is None:
        return Moments(seconds[table.stamp], read[table.stamp], True, ("timestamps name no time zone: taken as UTC",))
    converted, shown, notes = _from_clock(table, seconds, read, zone, problems)
    return Moments(converted, shown, False, (f"timestamps name no time zone: read as the clock of {zone.key}", *notes))


def _zone(timezone: str | None) -> ZoneInfo | None:
    if timezone is None:
        return None
    try:
        return ZoneInfo(timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        known = available_timezones()
        alike = sorted(name for name in known if timezone.lower().replace(" ", "_") in name.lower().split("/"))
        remedy = f"Did you mean {alike[0]}?" if alike else "Give a name such as Europe/Berlin."
        if not known:
            remedy = "This machine has no table of time zones: install the package tzdata."
        rule = "must be an IANA name of a time zone"
        raise InputError([Problem(COMMAND_LINE, None, None, "--timezone", rule, repr(timezone), remedy)]) from None


def _needless(timezone: str | None) -> list[str]:
    return [] if timezone is None else [f"timestamps name their zone: {timezone} is not needed"]


def _since_1970(stamps: Sequence[str]) -> Ints | None:
    """Seconds of stamps that are all counts of seconds or milliseconds since 1970; else None.

    >>> _since_1970(["1612137600", "1612141200000"])
    array([1612137600, 1612141200])
    """
    texts = [stamp.strip().removesuffix(".0") for stamp in stamps]
    if not all(len(text) in _EPOCH and text.isdecimal() and text.isascii() for text in texts):
        return None
    return np.array([int(text) // _EPOCH[len(text)] for text in texts], dtype=np.int64)


def _read(stamps: Sequence[str]) -> tuple[Ints, Bools, npt.NDArray[np.int8]]:
    """Seconds as if in UTC where no zone is named, whether one is, and the verdict, of each different stamp."""
    cells = cells_from(stamps)
    ns, verdict = ns_from_timestamps(cells)
    aware = _names_zone(cells)
    unread = np.flatnonzero((verdict != READ) & (verdict != BLANK)).tolist()
    longer = [_in_full(stamps[index]) for index in unread]
    if any(longer):
        cells = cells_from(longer)
        ns[unread], again = ns_from_timestamps(cells)
        verdict[unread] = np.where(again == BLANK, verdict[unread], again)
        aware[unread] = _names_zone(cells)
    return ns // NS_PER_S, aware, verdict


def _in_full(stamp: str) -> str:
    """A stamp with everything that it may leave out, or nothing where it is no stamp.

    >>> _in_full("2021-02-01"), _in_full("2021-02-01T07:30Z"), _in_full("1/2/2021")
    ('2021-02-01 00:00:00', '2021-02-01 07:30:00Z', '')
    """
    match = _WRITTEN_SHORT.fullmatch(stamp.strip())
    if match is None:
        return ""
    zone = match["zone"] or ""
    zone = "Z" if zone.upper() in ("Z", "UTC", "GMT") else zone
    return f"{match['date']} {match['hour'] or '00'}:{match['minute'] or '00'}:{match['second'] or '00'}{zone}"


def _names_zone(cells: Cells) -> Bools:
    after_date = len("2021-02-01")
    named = np.strings.endswith(cells, b"Z") | (np.strings.rfind(cells, b"+") > after_date)
    return np.asarray(named | (np.strings.rfind(cells, b"-") > after_date), dtype=np.bool_)


def _refuse_unread(table: Table, verdict: npt.NDArray[np.int8], problems: RowProblems) -> None:
    remedy = "Write 2021-02-01T07:00:00Z: year, month, day, and the hour in UTC."
    for row in np.flatnonzero(verdict[table.stamp] != READ):
        code = table.stamp[row]
        stamp = table.stamps[code].strip()
        rule = RULES[int(verdict[code])]
        problems.add(int(table.line[row]), table.columns.timestamp, rule, repr(stamp) if stamp else None, remedy)


def _from_clock(
    table: Table, clock_s: Ints, read: Bools, zone: ZoneInfo, problems: RowProblems
) -> tuple[Ints, Bools, list[str]]:
    """Seconds in UTC of rows stamped by the clock of a zone, and which of them it can have shown."""
    early = np.zeros(len(clock_s), dtype=np.int64)
    late = np.zeros(len(clock_s), dtype=np.int64)
    never = np.zeros(len(clock_s), dtype=np.bool_)
    epoch = datetime(1970, 1, 1)
    for code in np.flatnonzero(read):
        shown = epoch + timedelta(seconds=int(clock_s[code]))
        first, second = (shown.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
        early[code], late[code] = int(first.timestamp()), int(second.timestamp())
        never[code] = first.astimezone(zone).replace(tzinfo=None) != shown
    for row in np.flatnonzero(never[table.stamp]):
        stamp = table.stamps[table.stamp[row]].strip()
        rule = f"must be a time that clocks in {zone.key} showed: they were put forward over it"
        remedy = "If the timestamps are UTC, give no time zone."
        problems.add(int(table.line[row]), table.columns.timestamp, rule, repr(stamp), remedy)
    seconds = early[table.stamp]
    shown_at_all = (read & ~never)[table.stamp]
    rows = np.flatnonzero((late > early)[table.stamp] & shown_at_all)
    if not len(rows):
        return seconds, shown_at_all, []
    if (np.diff(clock_s[table.stamp]) < 0).sum() * 2 > len(table.stamp):
        rows = rows[::-1]  # newest first: the second of two comes before the first
    which = table.stamp[rows] * len(table.pools) + table.pool[rows]
    _, code, times = np.unique(which, return_inverse=True, return_counts=True)
    order = np.argsort(code, kind="stable")
    is_later = np.diff(code[order], prepend=-1) == 0
    seconds[rows[order[is_later]]] = late[table.stamp[rows[order[is_later]]]]
    doubled, alone = int((times > 1).sum()), int((times == 1).sum())
    notes = []
    if doubled:
        notes.append(f"{doubled} stamps of repeated hours stand twice: taken as before and after the clocks went back")
    if alone:
        notes.append(f"{alone} stamps of repeated hours stand once: taken as before the clocks went back")
    return seconds, shown_at_all, notes


def clock_changes(seconds: Ints, doubled_s: Ints) -> tuple[str, str] | None:
    """Do missing and doubled hours look like local time, whose clocks jump twice a year?

    Parameters
    ----------
    seconds
        Times of all rows, since 1970 as stamped.
    doubled_s
        Times that stand twice for a pool.

    Returns
    -------
    found, zone
        What is missing or doubled, in words, and a zone that it may be; or None.

    Examples
    --------
    >>> spring = int(datetime(2021, 3, 28, tzinfo=UTC).timestamp())
    >>> clock_changes(spring + 3_600 * np.array([0, 1, 3, 4]), np.array([], dtype=np.int64))
    ('2021-03-28 02:00 is missing', 'Europe/Berlin')
    """
    hours = np.unique(seconds // HOUR_S)
    alone = hours[:-1][np.diff(hours) == 2] + 1
    if len(alone) > JUMPS_A_YEAR * (1 + (hours[-1] - hours[0]) // 8_766):
        alone = alone[:0]  # hours are missing everywhere: no sign of anything
    missing, doubled = (
        [moment for moment in map(_utc, sorted({int(second) for second in times})) if _may_change(moment)]
        for times in (alone * HOUR_S, doubled_s)
    )
    if not missing and not doubled:
        return None
    words = [(missing, "is missing"), (doubled, "stands twice")]
    found = [f"{moments[0]:%Y-%m-%d %H:%M} {what}" for moments, what in words if moments]
    return " and ".join(found), _likely_zone(missing, doubled)


def _utc(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _may_change(moment: datetime) -> bool:
    return moment.weekday() == 6 and moment.month in _CHANGING_MONTHS and moment.hour <= 3


def _likely_zone(missing: list[datetime], doubled: list[datetime]) -> str:
    for moment in missing:
        if moment.month == 3:
            last_sunday = moment.day > 24
            return _ZONE_BY_JUMP.get((3, moment.hour), "Europe/Berlin") if last_sunday else "America/New_York"
    if doubled and doubled[0].month == 11:
        return "America/New_York"
    southern = (missing and missing[0].month >= 9) or (doubled and doubled[0].month <= 4)
    return "Australia/Sydney" if southern else "Europe/Berlin"
