"""Recorded traffic: when did the requests of a real service arrive?

Three layouts are read: the Azure LLM CSV (``TIMESTAMP,ContextTokens,GeneratedTokens``), Mooncake's JSON lines
(``{"timestamp": 27482, "input_length": 6955, "output_length": 52}``) and a plain CSV column of times. Plain or
gzipped; which of the two is told by the first bytes, and ``auto`` tells the layout by what the file holds.

Times are kept as they are, from the start of the run; only Azure's, which are dates, are counted from the first.
Whatever had to be assumed is said in ``Trace.notes``. Requests per interval: :mod:`simulator.rate_series`.
"""

from __future__ import annotations

import difflib
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np

from simulator.arrival_column import DATES, UNIT_NAMES, ArrivalColumn, Trace, extent
from simulator.mooncake import read_mooncake
from simulator.rate_series import RateSeries, read_rate_series
from simulator.text_rows import FileProblems, Start, csv_blocks, open_text, start_of_rows, whole_rows
from simulator.time_text import DIGITS_BY_UNIT, READ, Cells, Int64s, cells_from, ns_from_decimals

__all__ = ["FORMATS", "RateSeries", "Trace", "at_speed", "read_rate_series", "read_trace"]

FORMATS: Final = ("azure_llm", "mooncake", "column")
"""The layouts, as ``format:`` names them."""

AZURE_COLUMNS: Final = ("TIMESTAMP", "ContextTokens", "GeneratedTokens")
DEFAULT_COLUMN: Final = "arrival_s"

_MOST_TOKEN_DIGITS: Final = 9
_SHOWN: Final = 120


def read_trace(
    path: str | Path,
    *,
    format: str = "auto",
    column: str | None = None,
    time_unit: str | None = None,
    speed: float = 1.0,
) -> Trace:
    """When does each request of this file arrive?

    Parameters
    ----------
    path
        A CSV or JSON-lines file, plain or gzipped.
    format
        ``auto``, ``azure_llm``, ``mooncake`` or ``column``.
    column
        Name of the CSV column of arrival times, for the plain layout; ``arrival_s`` where not given. A file with
        one column of numbers needs no header.
    time_unit
        ``s``, ``ms``, ``us`` or ``ns``. Where not given, a plain column's ending says it (``arrival_ms``) and
        else seconds are read; Mooncake's whole numbers are milliseconds, and its fractions are seconds.
    speed
        The trace is replayed so many times as fast: times are divided by it.

    Raises
    ------
    InputError
        With the lines of what is wrong: absent, directory, unreadable, cut gzip, empty, no such column, a cell
        that is no time, a negative or missing one, rows out of order.
    ValueError
        ``format``, ``time_unit`` or ``speed`` is none of the above.
    """
    if format not in ("auto", *FORMATS):
        raise ValueError(f"format must be auto or one of {', '.join(FORMATS)}, got {format!r}.")
    if time_unit is not None and time_unit not in DIGITS_BY_UNIT:
        raise ValueError(f"time_unit must be one of {', '.join(DIGITS_BY_UNIT)}, got {time_unit!r}.")
    if not (speed > 0 and math.isfinite(speed)):
        raise ValueError(f"speed must be greater than 0 and finite, got {speed}.")
    problems = FileProblems(str(path))
    with open_text(Path(path), problems) as text:
        start = start_of_rows(text, problems)
        if format == "mooncake" or (format == "auto" and start.first.lstrip().startswith("{")):
            if column is not None:
                rule = "column must be left out with the mooncake layout, whose key is timestamp"
                raise problems.failure(None, rule, column, "Delete it.")
            trace = read_mooncake(start, time_unit, problems)
        else:
            trace = _read_csv(start, format, column, time_unit, problems)
    for array in (trace.arrival_ns, trace.prompt_tokens, trace.output_tokens):
        if array is not None:
            array.setflags(write=False)
    return at_speed(trace, speed)


def at_speed(trace: Trace, speed: float) -> Trace:
    """The same trace played so many times as fast: times are divided by it."""
    if speed == 1.0:
        return trace
    arrival_ns = np.rint(trace.arrival_ns / speed).astype(np.int64)
    arrival_ns.setflags(write=False)
    return replace(trace, arrival_ns=arrival_ns, notes=(*trace.notes, f"replayed {speed:g} times as fast"))


@dataclass(frozen=True)
class _Layout:
    """Which columns of a CSV file are read, and how."""

    format: str
    time: int
    """Position of the column of times."""
    key: str
    """Its name; empty in a file without a header."""
    unit: str
    tokens: tuple[int, ...]
    """Positions of the columns of token counts."""
    note: str
    """What was found, in words."""

    @property
    def has_header(self) -> bool:
        return self.key != ""


def _layout(
    header: list[str], line: int, format: str, column: str | None, time_unit: str | None, problems: FileProblems
) -> _Layout:
    """Tell the layout from the first row and what the user said."""
    if format == "azure_llm" or (format == "auto" and column is None and set(AZURE_COLUMNS) <= set(header)):
        if column is not None or time_unit is not None:
            rule = "column and time_unit must be left out with the azure_llm layout, whose TIMESTAMP is a date"
            raise problems.failure(None, rule, None, "Delete them, or choose format: column.")
        time, *tokens = (_position(header, name, line, "azure_llm", problems) for name in AZURE_COLUMNS)
        note = "in the azure_llm layout; time 0 is its first timestamp"
        return _Layout("azure_llm", time, AZURE_COLUMNS[0], DATES, tuple(tokens), note)
    if header[0].startswith("["):
        raise problems.failure(line, "must hold one JSON object a line", None, "Write the array's members as lines.")
    if column is None and len(header) == 1 and _is_number(header[0]):
        unit = time_unit or "s"
        return _Layout("column", 0, "", unit, (), f"from a file without a header, read as {UNIT_NAMES[unit]}")
    key = column or _default_column(header)
    unit = time_unit or _unit_of(key)
    time = _position(header, key, line, "column", problems)
    return _Layout("column", time, key, unit, (), f"from column {key}, read as {UNIT_NAMES[unit]}")


def _read_csv(start: Start, format: str, column: str | None, time_unit: str | None, problems: FileProblems) -> Trace:
    """Read the Azure layout or a plain column."""
    layout: _Layout | None = None
    width = 0
    for lines, rows in csv_blocks(start, problems):
        if layout is None:
            header = [cell.strip() for cell in rows[0]]
            layout = _layout(header, start.number, format, column, time_unit, problems)
            width = len(header)
            arrivals = ArrivalColumn(layout.key, layout.unit, problems)
            tokens: list[list[Int64s]] = [[] for _ in layout.tokens]
            if layout.has_header:
                lines, rows = lines[1:], rows[1:]
        lines, rows = whole_rows(lines, rows, width, problems)
        if not rows:
            continue
        arrivals.add(lines, cells_from([row[layout.time] for row in rows]))
        for counts, position in zip(tokens, layout.tokens, strict=True):
            counts.append(_token_counts(header[position], lines, cells_from([row[position] for row in rows]), problems))
    assert layout is not None  # start_of_rows has seen a row
    ns = arrivals.whole()
    note = f"{extent(ns)} {layout.note}"
    if layout.unit == DATES:
        note += f", {np.datetime64(int(ns[0]), 'ns')} UTC"
        ns = ns - ns[0]
    elif time_unit is None:
        note += " (no time_unit given)"
    return Trace(ns, layout.format, (note,), *(np.concatenate(counts) for counts in tokens))


def _position(header: list[str], name: str, line: int, format: str, problems: FileProblems) -> int:
    """Where a column stands; raises when it is not there once."""
    if header.count(name) == 1:
        return header.index(name)
    if name in header:
        raise problems.failure(line, f"must have the column {name} once", None, "Delete or rename the other.")
    found = ", ".join(cell or "''" for cell in header)
    found = found if len(found) <= _SHOWN else found[: _SHOWN - 3] + "..."
    if format == "azure_llm":
        remedy = f"The azure_llm layout has the columns {', '.join(AZURE_COLUMNS)}."
    elif all(_is_number(cell) for cell in header):
        remedy = "Give the file a header row, and name the column of arrival times with column:."
    else:
        near = difflib.get_close_matches(name, header, n=1)
        remedy = f"Did you mean {near[0]}? " if near else ""
        remedy += "Name the column of arrival times with column: (and its unit with time_unit:)."
    raise problems.failure(line, f"must have the column {name}", found, remedy)


def _default_column(header: list[str]) -> str:
    """``arrival_s``, or ``arrival_ms`` and the like where the header has exactly one of them."""
    named = [f"arrival_{unit}" for unit in DIGITS_BY_UNIT if f"arrival_{unit}" in header]
    return named[0] if len(named) == 1 else DEFAULT_COLUMN


def _unit_of(column: str) -> str:
    """Unit that a column's name ends in, else seconds.

    >>> _unit_of("arrival_ms"), _unit_of("when")
    ('ms', 's')
    """
    stem, _, ending = column.rpartition("_")
    return ending if stem and ending in DIGITS_BY_UNIT else "s"


def _is_number(cell: str) -> bool:
    return cell != "" and int(ns_from_decimals(cells_from([cell]), "s")[1][0]) == READ


def _token_counts(key: str, lines: Int64s, cells: Cells, problems: FileProblems) -> Int64s:
    """Whole numbers from 0; 0 with the problem noted where a cell is none."""
    good = np.strings.isdigit(cells) & (np.strings.str_len(cells) <= _MOST_TOKEN_DIGITS)
    for row in np.flatnonzero(~good):
        shown = repr(cells[row].decode("ascii"))
        problems.add(int(lines[row]), key, "must be a whole number of tokens", shown, "Correct or delete the row.")
    return np.where(good, cells, b"0").astype(np.int64)
