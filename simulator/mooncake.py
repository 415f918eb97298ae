"""Mooncake's trace layout: one JSON object a line, ``{"timestamp": 27482, "input_length": 6955, ...}``.

The published traces count in whole milliseconds; other tools write the same keys in seconds with a fraction. The
unit is therefore taken from the scenario, or else from the numbers, and always said.
"""

from __future__ import annotations

import json
from typing import Final

import numpy as np

from simulator.arrival_column import UNIT_NAMES, ArrivalColumn, Trace, extent
from simulator.text_rows import BLOCK_ROWS, FileProblems, Start
from simulator.time_text import Cells, Int64s, cells_from

TIME_KEY: Final = "timestamp"
TOKEN_KEYS: Final = ("input_length", "output_length")
MOST_TOKENS: Final = 10**9

_SHOWN: Final = 60
_MEND: Final = "Correct or delete the line."


class _Fraction(str):
    """Text of a JSON number with a point or an exponent, kept as it stands: a float would round it."""

    __slots__ = ()


def read_mooncake(start: Start, time_unit: str | None, problems: FileProblems) -> Trace:
    """When does each request of these JSON lines arrive?

    Parameters
    ----------
    start
        The file's rows.
    time_unit
        Unit of the timestamps; None reads whole numbers as milliseconds, and seconds once one has a fraction.
    problems
        Receives what is wrong.

    Raises
    ------
    InputError
        What is wrong with the lines, all together.
    """
    decoder = json.JSONDecoder(parse_float=_Fraction)
    lines: list[int] = []
    texts: list[str] = []
    blocks: list[tuple[Int64s, Cells]] = []
    tokens: dict[str, list[int]] = {key: [] for key in TOKEN_KEYS}
    rows = 0
    fractions = False
    for line_number, line in enumerate(start.lines, start.number):
        if not line.strip():
            continue
        row = _json_object(line, line_number, decoder, problems)
        time = None if row is None else _timestamp(row, line_number, problems)
        if row is None or time is None:
            continue
        rows += 1
        fractions = fractions or isinstance(time, _Fraction)
        lines.append(line_number)
        texts.append(str(time))
        for key in TOKEN_KEYS:
            if key in row:
                tokens[key].append(_token_count(row[key], key, line_number, problems))
        if len(texts) == BLOCK_ROWS:
            blocks.append((np.array(lines, dtype=np.int64), cells_from(texts)))
            lines, texts = [], []
    if texts:
        blocks.append((np.array(lines, dtype=np.int64), cells_from(texts)))
    unit = time_unit or ("s" if fractions else "ms")
    arrivals = ArrivalColumn(TIME_KEY, unit, problems)
    for block_lines, cells in blocks:
        arrivals.add(block_lines, cells)
    ns = arrivals.whole()
    note = f"{extent(ns)} in the mooncake layout; mooncake timestamps read as {UNIT_NAMES[unit]}"
    if time_unit is None:
        note += " (some have a fraction; no time_unit given)" if fractions else " (no time_unit given)"
    # A column that some rows lack is of no use to anybody.
    columns = (np.array(counts, dtype=np.int64) if len(counts) == rows else None for counts in tokens.values())
    return Trace(ns, "mooncake", (note,), *columns)


def _json_object(
    line: str, line_number: int, decoder: json.JSONDecoder, problems: FileProblems
) -> dict[str, object] | None:
    """The object on a line, or None with the problem noted."""
    try:
        row = decoder.decode(line.rstrip())
    except json.JSONDecodeError as error:
        rule = f"must be a JSON object ({error.msg[:1].lower()}{error.msg[1:]})"
        problems.add(line_number, "", rule, None, _MEND, column=error.colno)
        return None
    except (ValueError, RecursionError):
        # Thousands of digits or of brackets.
        problems.add(line_number, "", "must be a JSON object of numbers and short lists", None, _MEND)
        return None
    if not isinstance(row, dict):
        problems.add(line_number, "", "must be a JSON object", line.strip()[:_SHOWN], "Write one object a line.")
        return None
    return row


def _timestamp(row: dict[str, object], line_number: int, problems: FileProblems) -> int | _Fraction | None:
    """The arrival time as it was written, or None with the problem noted."""
    time = row.get(TIME_KEY)
    if isinstance(time, int | _Fraction) and not isinstance(time, bool):
        return time
    given = TIME_KEY in row
    shown = json.dumps(time)[:_SHOWN] if given else None
    problems.add(line_number, TIME_KEY, "must be a number" if given else "must be given", shown, _MEND)
    return None


def _token_count(count: object, key: str, line_number: int, problems: FileProblems) -> int:
    """A whole number of tokens; 0 with the problem noted where it is none."""
    if isinstance(count, int) and not isinstance(count, bool) and 0 <= count < MOST_TOKENS:
        return count
    shown = str(count) if isinstance(count, _Fraction) else json.dumps(count)
    problems.add(line_number, key, "must be a whole number of tokens", shown[:_SHOWN], _MEND)
    return 0
