"""Requests per interval: the shape of a day or a week, from a CSV file.

A row says how many requests came in one interval; inside an interval arrivals are Poisson (that is drawn in
:mod:`simulator.arrivals`). Such files are small, at most a few million rows of one number.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from simulator.clock import NS_PER_US, s_from_ns
from simulator.text_rows import FileProblems, csv_blocks, open_text, start_of_rows, whole_rows
from simulator.time_text import DIGITS_BY_UNIT, READ, cells_from, ns_from_decimals

Float64s = npt.NDArray[np.float64]

DEFAULT_COLUMN: Final = "requests"

_NUMBER: Final = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3})?", re.ASCII)


@dataclass(frozen=True)
class RateSeries:
    """How many requests each of a row of equal intervals brings. The array is read-only."""

    requests: Float64s
    """Expected requests in each interval, 0 or more, not all 0; shape (n,)."""
    interval_ns: int
    """Length of every interval."""
    notes: tuple[str, ...] = ()
    """What was found and what was assumed, one sentence each."""
    start_ns: int | None = None
    """When the first interval begins, in ns since 1970 UTC, where the file has dates."""

    @property
    def length_ns(self) -> int:
        """Time that the series covers once."""
        return len(self.requests) * self.interval_ns


@dataclass(frozen=True)
class _Rows:
    """The cells of the file, by column, and the line of each row."""

    names: tuple[str, ...]
    header_line: int
    lines: tuple[int, ...]
    columns: tuple[tuple[str, ...], ...]

    def __getitem__(self, name: str) -> tuple[str, ...]:
        return self.columns[self.names.index(name)]


def read_rate_series(
    path: str | Path, *, column: str | None = None, interval_ns: int | None = None, scale: float = 1.0
) -> RateSeries:
    """How many requests does each interval of this file bring?

    Parameters
    ----------
    path
        A CSV file with a header, plain or gzipped; or one column of numbers without a header.
    column
        Name of the column of requests; where not given, ``requests``, or the only column of numbers.
    interval_ns
        Length of an interval; where not given, the equal spacing of a column of dates, or of times whose name
        ends in a unit (``start_s``).
    scale
        Every count is multiplied by it.

    Raises
    ------
    InputError
        With the lines of what is wrong: the file cannot be read, no column or more than one could be meant, a
        count that is blank, negative or no number, only zeros, dates that are not equally spaced.
    ValueError
        ``interval_ns`` or ``scale`` is not greater than 0.
    """
    if interval_ns is not None and interval_ns <= 0:
        raise ValueError(f"interval_ns must be greater than 0, got {interval_ns}.")
    if not (scale > 0 and math.isfinite(scale)):
        raise ValueError(f"scale must be greater than 0 and finite, got {scale}.")
    problems = FileProblems(str(path))
    rows = _read_rows(Path(path), problems)
    chosen = _chosen_column(rows, column, problems)
    requests = _requests(rows, chosen, problems)
    spacing = _spacing(rows, chosen, problems, must_be_equal=interval_ns is None)
    problems.raise_if_any()
    if not requests.any():
        remedy = "A series of zeros brings no request."
        raise problems.failure(None, "must have a request in some interval", "0 in all", remedy)
    notes = [f"requests per interval from column {chosen}" if chosen else "requests per interval, no header"]
    if interval_ns is None:
        if spacing is None:
            remedy = "Give interval:, or add a column of equally spaced dates."
            raise problems.failure(None, "must say how long an interval is", None, remedy)
        name, interval_ns = spacing
        notes.append(f"interval of {s_from_ns(interval_ns):g} s, the spacing of column {name}")
    elif spacing is not None and spacing[1] != interval_ns:
        name, found_ns = spacing
        notes.append(
            f"column {name} is spaced {s_from_ns(found_ns):g} s; played as intervals of {s_from_ns(interval_ns):g} s"
        )
    if scale != 1.0:
        notes.append(f"requests multiplied by {scale:g}")
    scaled = requests * scale
    scaled.setflags(write=False)
    return RateSeries(scaled, interval_ns, tuple(notes), _start_ns(rows, chosen))


def _read_rows(path: Path, problems: FileProblems) -> _Rows:
    lines: list[int] = []
    kept: list[list[str]] = []
    names: tuple[str, ...] | None = None
    header_line = 0
    width = 0
    with open_text(path, problems) as text:
        for at, rows in csv_blocks(start_of_rows(text, problems), problems):
            if names is None:
                width = len(rows[0])
                headerless = width == 1 and _number(rows[0][0]) is not None
                header_line = int(at[0])
                names = ("",) if headerless else tuple(cell.strip() for cell in rows[0])
                if not headerless:
                    at, rows = at[1:], rows[1:]
            at, rows = whole_rows(at, rows, width, problems)
            lines += at.tolist()
            kept += rows
    problems.raise_if_any()
    if not kept or names is None:
        raise problems.failure(None, "must hold at least one interval", None, "It has a header and no rows.")
    columns = tuple(tuple(cell.strip() for cell in column) for column in zip(*kept, strict=True))
    return _Rows(names, header_line, tuple(lines), columns)


def _number(cell: str) -> float | None:
    """The number that a cell holds, or None.

    >>> _number("324.0"), _number("nan"), _number("1_000")
    (324.0, None, None)
    """
    cell = cell.strip()
    return float(cell) if _NUMBER.fullmatch(cell) else None


def _chosen_column(rows: _Rows, column: str | None, problems: FileProblems) -> str:
    wanted = column or DEFAULT_COLUMN
    if column is not None or DEFAULT_COLUMN in rows.names:
        if rows.names.count(wanted) == 1:
            return wanted
        if wanted in rows.names:
            raise problems.failure(
                rows.header_line, f"must have the column {wanted} once", None, "Delete or rename the other."
            )
        near = difflib.get_close_matches(wanted, rows.names, n=1)
        remedy = f"Did you mean {near[0]}?" if near else "Name the column of requests with column:."
        raise problems.failure(rows.header_line, f"must have the column {wanted}", ", ".join(rows.names), remedy)
    numeric = [
        name
        for name, cells in zip(rows.names, rows.columns, strict=True)
        if any(cells) and all(_number(cell) is not None for cell in cells if cell)
    ]
    counts = [name for name in numeric if not _time_unit(name)] or numeric
    if len(counts) == 1:
        return counts[0]
    what = (
        f"several columns of numbers: {', '.join(counts)}"
        if counts
        else f"no column of numbers: {', '.join(rows.names)}"
    )
    raise problems.failure(None, f"must have the column {wanted}", what, "Name the column of requests with column:.")


def _requests(rows: _Rows, chosen: str, problems: FileProblems) -> Float64s:
    counts = np.zeros(len(rows.lines))
    for row, cell in enumerate(rows[chosen]):
        number = _number(cell)
        if number is None or number < 0 or not math.isfinite(number):
            negative = number is not None and number < 0
            rule = "must not be blank" if not cell else "must not be negative" if negative else "must be a number"
            remedy = "Write 0 for an interval without requests, and a guess where it is not known."
            problems.add(rows.lines[row], chosen, rule, repr(cell) if cell else None, remedy)
        else:
            counts[row] = number
    return counts


def _time_unit(name: str) -> str | None:
    """Unit of time that a column's name ends in (``start_s``), if any."""
    stem, _, ending = name.rpartition("_")
    return ending if stem and ending in DIGITS_BY_UNIT else None


def _spacing(rows: _Rows, chosen: str, problems: FileProblems, *, must_be_equal: bool) -> tuple[str, int] | None:
    """The first column of times, and its spacing in ns; None where there is none (or it is not equal)."""
    if len(rows.lines) < 2:
        return None
    for name, cells in zip(rows.names, rows.columns, strict=True):
        if name == chosen:
            continue
        times = _times_ns(name, cells)
        if times is None:
            continue
        steps = [after - before for before, after in pairwise(times)]
        if steps[0] > 0 and all(step == steps[0] for step in steps):
            return name, steps[0]
        if must_be_equal:
            _note_gaps(rows, name, cells, steps, problems)
        return None
    return None


def _start_ns(rows: _Rows, chosen: str) -> int | None:
    """The first row's date, of the first column of dates; None where there is none."""
    for name, cells in zip(rows.names, rows.columns, strict=True):
        if name != chosen and _time_unit(name) is None:
            times = _times_ns(name, cells[:1])
            if times is not None:
                return times[0]
    return None


def _note_gaps(rows: _Rows, name: str, cells: Sequence[str], steps: Sequence[int], problems: FileProblems) -> None:
    usual = steps[0]
    rule = f"must be {s_from_ns(usual):g} s after the row before" if usual > 0 else "must be later than the row before"
    remedy = "Complete the rows (0 requests where there were none), or give interval:."
    for row, step in enumerate(steps, start=1):
        if step != usual or usual <= 0:
            problems.add(rows.lines[row], name, f"{rule} ({cells[row - 1]})", cells[row], remedy)


def _times_ns(name: str, cells: Sequence[str]) -> list[int] | None:
    """Times of a column in ns, when every cell is a date or its name ends in a unit; else None."""
    unit = _time_unit(name)
    if unit is not None:
        ns, verdicts = ns_from_decimals(cells_from(cells), unit)
        return [int(value) for value in ns] if (verdicts == READ).all() else None
    if _number(cells[0]) is not None:
        return None
    try:
        dates = [datetime.fromisoformat(cell) for cell in cells]
    except ValueError:
        return None
    start = datetime(1970, 1, 1, tzinfo=UTC)
    in_utc = [date if date.tzinfo else date.replace(tzinfo=UTC) for date in dates]
    return [(date - start) // timedelta(microseconds=1) * NS_PER_US for date in in_utc]
