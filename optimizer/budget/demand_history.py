"""A workload's past demand, hour by hour in requests per second, from either form in which a file may hold it.

An hourly table is read by :mod:`optimizer.history`. Means of days or weeks with the shape of a week are expanded
here: an hour brings ``mean x factor of its hour of the week x scale`` (of a day, over the mean factor of its weekday,
so that days keep their means). What that leaves out, the ups and downs of single hours around the shape, is in no
future that is drawn from it.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from calibration.csv_sheet import Row, Sheet, read_sheet
from calibration.problems import InputError, Problem
from calibration.units import NS_BY_UNIT
from optimizer.budget.budget_spec import HistorySpec

Floats = npt.NDArray[np.float64]

HOURS_PER_WEEK: Final = 168

LEAST_HOURS: Final = 8 * HOURS_PER_WEEK
"""Shortest history that a budget is made from: with less than eight weeks a trend cannot be told from a season."""

_MEAN_TOLERANCE: Final = 0.005
"""How far the mean of a week's factors may be from 1: printed factors are rounded."""


@dataclass(frozen=True)
class DemandHistory:
    """Hourly demand of one workload."""

    start: dt.datetime
    """First hour, UTC."""
    rps: Floats
    """(T,) requests per second, 0 or more."""
    notes: tuple[str, ...] = ()
    """What was found and what was assumed, one sentence each."""

    @property
    def end(self) -> dt.datetime:
        """The hour after the last one.

        >>> DemandHistory(dt.datetime(2026, 1, 1, tzinfo=dt.UTC), np.ones(24)).end.isoformat()
        '2026-01-02T00:00:00+00:00'
        """
        return self.start + dt.timedelta(hours=len(self.rps))


def read_history(spec: HistorySpec) -> DemandHistory:
    """Which demand does this entry of a budget file name?

    Raises
    ------
    InputError
        With everything that is wrong with its files.
    """
    found = _hourly(spec) if spec.file is not None else _shaped(spec)
    notes = list(found.notes)
    start = found.start
    if spec.scale != 1.0:
        notes.append(f"multiplied by {spec.scale:g} to requests per second")
    if spec.shift_ns:
        shift = dt.timedelta(hours=spec.shift_ns // NS_BY_UNIT["h"])
        start = found.start + shift
        notes.append(f"taken {shift.days:,} days later than it was: it began on {found.start:%Y-%m-%d}")
    rps = np.ascontiguousarray(found.rps * spec.scale)
    rps.setflags(write=False)
    return DemandHistory(start, rps, tuple(notes))


def _hourly(spec: HistorySpec) -> DemandHistory:
    from optimizer.history import load_history

    assert spec.file is not None, "asked only with a file"
    history = load_history(spec.file)
    pool = spec.pool or history.pools[0]
    if (spec.pool is None and len(history.pools) > 1) or pool not in history.pools:
        rule = f"holds the pools {', '.join(history.pools[:12])}"
        remedy = "Say which one the workload is with pool:."
        raise InputError([Problem(str(spec.file), None, None, "pool", rule, spec.pool, remedy)])
    column = history.pools.index(pool)
    first, end = int(history.first_h[column]), int(history.last_h[column]) + 1
    filled = int(np.count_nonzero(history.filled[first:end, column]))
    notes = [*history.notes, *([f"{filled:,} missing hours were filled in"] if filled else [])]
    start = history.start + dt.timedelta(hours=first)
    return DemandHistory(start, history.demand[first:end, column], tuple(notes))


def _shaped(spec: HistorySpec) -> DemandHistory:
    assert spec.means is not None, "the door lets nothing else in"
    assert spec.week_shape is not None, "the door lets nothing else in"
    problems: list[Problem] = []
    start, days, means = _means(spec.means, spec.column, problems)
    factors = _factors(spec.week_shape, spec.column, problems)
    if problems or start is None:
        raise InputError(problems)
    if days == 1:
        of_day = factors.reshape(7, 24).mean(axis=1)
        factors = factors / np.repeat(np.where(of_day > 0, of_day, 1.0), 24)
    hours = (np.arange(len(means) * days * 24) + start.weekday() * 24) % HOURS_PER_WEEK
    rps = np.repeat(means, days * 24) * factors[hours]
    of = "days" if days == 1 else "weeks"
    note = f"means of {len(means):,} {of} times the shape of one week: no ups and downs of single hours around it"
    return DemandHistory(start, rps, (note,))


def _means(path: Path, column: str | None, problems: list[Problem]) -> tuple[dt.datetime | None, int, Floats]:
    """First day, days of a row, and the means."""
    sheet = _sheet(path, problems)
    name = None if sheet is None else _column(sheet, ("day",), column, problems)
    if sheet is None or name is None:
        return None, 7, np.zeros(0)
    means = _numbers(sheet, name, problems)
    days = [_day(sheet, row, problems) for row in sheet.rows]
    known = [day for day in days[:2] if day is not None]
    step = 1 if len(known) == 2 and (known[1] - known[0]).days == 1 else 7
    for row, before, day in zip(sheet.rows[1:], days, days[1:], strict=False):
        if before is not None and day is not None and (day - before).days != step:
            rule = f"must be {step} day{'s' * (step > 1)} after {before}"
            remedy = "Give every day, or every week, once and in order; one without demand has mean 0."
            problems.append(sheet.problem(row, "day", rule, row.cells["day"], remedy))
    first = days[0]
    start = None if first is None else dt.datetime(first.year, first.month, first.day, tzinfo=dt.UTC)
    return start, step, means


def _factors(path: Path, column: str | None, problems: list[Problem]) -> Floats:
    sheet = _sheet(path, problems)
    name = None if sheet is None else _column(sheet, ("weekday", "hour"), column, problems)
    if sheet is None or name is None:
        return np.ones(HOURS_PER_WEEK)
    values = _numbers(sheet, name, problems)
    factors = np.full(HOURS_PER_WEEK, np.nan)
    for row, value in zip(sheet.rows, values, strict=True):
        try:
            weekday, hour = int(row.cells["weekday"]), int(row.cells["hour"])
        except ValueError:
            weekday = hour = -1
        if not (0 <= weekday < 7 and 0 <= hour < 24):
            got = f"{row.cells['weekday']}, {row.cells['hour']}"
            rule, remedy = "must be a weekday from 0 (Monday) to 6 and an hour from 0 to 23", "Mend the row."
            problems.append(sheet.problem(row, "weekday", rule, got, remedy))
        elif not math.isnan(factors[weekday * 24 + hour]):
            problems.append(sheet.problem(row, "hour", "is there twice", None, "Delete one of the rows."))
        else:
            factors[weekday * 24 + hour] = value
    missing = int(np.isnan(factors).sum())
    if missing:
        rule = f"must hold all {HOURS_PER_WEEK} hours of a week, {missing} are missing"
        problems.append(Problem(sheet.file, None, None, name, rule, None, "Add a row for each."))
    elif abs(factors.mean() - 1) > _MEAN_TOLERANCE:
        rule = "must have the mean 1 over the week"
        remedy = "Divide every factor by their mean."
        problems.append(Problem(sheet.file, None, None, name, rule, f"{factors.mean():.4g}", remedy))
    return factors / factors.mean() if not missing and factors.mean() > 0 else np.ones(HOURS_PER_WEEK)


def _sheet(path: Path, problems: list[Problem]) -> Sheet | None:
    try:
        sheet = read_sheet(path)
    except InputError as error:
        problems += error.problems
        return None
    if not sheet.rows:
        problems.append(Problem(sheet.file, None, None, "", "must hold a row", None, "Add one for each week or hour."))
        return None
    return sheet


def _column(sheet: Sheet, keys: Sequence[str], column: str | None, problems: list[Problem]) -> str | None:
    """Name of the column of values; None where that, or a key, cannot be told."""
    absent = [key for key in keys if key not in sheet.columns]
    for key in absent:
        rule, remedy = f"must have a column {key}", f"It has {', '.join(sheet.columns)}."
        problems.append(Problem(sheet.file, 1, 1, "", rule, None, remedy))
    others = [name for name in sheet.columns if name not in keys]
    chosen = column if column is not None else others[0] if len(others) == 1 else None
    if chosen is None or chosen not in others:
        rule = "must have one column of values" if column is None else f"must have the column {column}"
        remedy = f"Say which with column:. There are: {', '.join(others) or 'none'}."
        problems.append(Problem(sheet.file, 1, 1, "", rule, None, remedy))
        return None
    return None if absent else chosen


def _numbers(sheet: Sheet, name: str, problems: list[Problem]) -> Floats:
    values = np.zeros(len(sheet.rows))
    for index, row in enumerate(sheet.rows):
        try:
            values[index] = float(row.cells[name])
        except ValueError:
            values[index] = math.nan
        if not (math.isfinite(values[index]) and values[index] >= 0):
            rule, remedy = "must be a number that is 0 or greater", "Write it as digits."
            problems.append(sheet.problem(row, name, rule, row.cells[name] or "nothing", remedy))
    return values


def _day(sheet: Sheet, row: Row, problems: list[Problem]) -> dt.date | None:
    try:
        return dt.date.fromisoformat(row.cells["day"].strip())
    except ValueError:
        rule, remedy = "must be a day, as in 2026-11-02", "Write year, month and day."
        problems.append(sheet.problem(row, "day", rule, row.cells["day"], remedy))
        return None
