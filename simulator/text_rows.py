"""A text file of rows that a person hands over: opened, unpacked, and read in blocks that know their lines.

Files of millions of rows pass through here, so that rows come in blocks and only one block is text at a time.
What the cells mean is decided by the readers (:mod:`simulator.traces`, :mod:`simulator.rate_series`).
"""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain, count, islice
from pathlib import Path
from typing import Final, NamedTuple, TextIO

import numpy as np

from calibration.problems import InputError, Problem
from simulator.time_text import READ, RULES, Cells, Int64s, Verdicts

BLOCK_ROWS: Final = 1 << 16
"""Rows that are text at the same time."""

LONGEST_LINE: Final = 1 << 20
"""Characters; a longer line is no row of a trace, and reading it whole could fill the memory."""

TOLD: Final = 5
"""So many broken rows of a file are told one by one; the others are counted."""

_OTHER_FORMATS: Final = {
    b"PK\x03\x04": "a zip archive",
    b"\x28\xb5\x2f\xfd": "a zstandard file",
    b"\xfd7zXZ": "an xz file",
    b"BZh": "a bzip2 file",
    b"PAR1": "a Parquet file",
    b"\xff\xfe": "UTF-16 text",
    b"\xfe\xff": "UTF-16 text",
}
"""What a file is that starts with these bytes, when it is neither plain text nor gzip."""


class FileProblems:
    """What is wrong with one file: the first few rows are told, the others counted, all raised together."""

    def __init__(self, file: str) -> None:
        self.file = file
        self._told: list[Problem] = []
        self._untold = 0

    def add(
        self, line: int | None, key: str, rule: str, value: str | None, remedy: str, column: int | None = None
    ) -> None:
        """Note one problem; ``key`` is the column or the JSON key it is about."""
        if len(self._told) < TOLD:
            self._told.append(Problem(self.file, line, column, key, rule, value, remedy))
        else:
            self._untold += 1

    def add_cells(self, key: str, lines: Int64s, cells: Cells, verdicts: Verdicts, remedy: str) -> None:
        """Note every cell of a column that could not be read."""
        bad = np.flatnonzero(verdicts != READ)
        told = bad[: TOLD - len(self._told)]
        for row in told:
            shown = cells[row].decode("ascii")
            self.add(int(lines[row]), key, RULES[int(verdicts[row])], repr(shown) if shown else None, remedy)
        self._untold += len(bad) - len(told)

    def raise_if_any(self) -> None:
        """Raise InputError with everything noted, if there is anything."""
        if not self._told:
            return
        problems = self._in_order()
        if self._untold:
            rows = "row is" if self._untold == 1 else "rows are"
            rule = f"{self._untold} more {rows} wrong in the same or another way"
            problems.append(Problem(self.file, None, None, "", rule, None, "Mend those above first."))
        raise InputError(problems)

    def failure(self, line: int | None, rule: str, value: str | None, remedy: str) -> InputError:
        """Give the error to raise when nothing more can be read: what was noted before, and this."""
        return InputError([*self._in_order(), Problem(self.file, line, None, "", rule, value, remedy)])

    def _in_order(self) -> list[Problem]:
        """Those told, in the order of the file: columns are checked one after another."""
        return sorted(self._told, key=lambda problem: problem.line or 0)


@contextmanager
def open_text(path: Path, problems: FileProblems) -> Iterator[TextIO]:
    """Open a text file, unpacked when its first bytes are gzip's; what goes wrong while reading is told too.

    Raises
    ------
    InputError
        The file is absent, a directory, not a regular file, unreadable, a damaged gzip, or of another format.
    """
    try:
        if "\0" in str(path):
            raise FileNotFoundError
        if path.is_dir():
            raise problems.failure(None, "must be a file, is a directory", None, "Name a file in it.")
        if path.exists() and not path.is_file():
            raise problems.failure(None, "must be a regular file", None, "Save it as a file first.")
        with path.open("rb") as raw:
            start = raw.peek(8)[:8]
            for magic, kind in _OTHER_FORMATS.items():
                if start.startswith(magic):
                    rule = f"must be UTF-8 text or gzip of it, is {kind}"
                    raise problems.failure(None, rule, None, "Convert it first.")
            unpacked = gzip.GzipFile(fileobj=raw) if start.startswith(b"\x1f\x8b") else raw
            # Bytes that are no UTF-8 become escapes: the cell that holds them is then told with its line.
            with io.TextIOWrapper(unpacked, encoding="utf-8-sig", errors="backslashreplace", newline="") as text:
                yield text
    except FileNotFoundError:
        raise problems.failure(None, "must be a file that exists", None, "Check the path.") from None
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        rule = f"must be a whole gzip file, is cut or damaged ({str(error).rstrip('.')})"
        raise problems.failure(None, rule, None, "Fetch or pack it again.") from None
    except OSError as error:
        rule = f"must be a file that can be read ({error.strerror or error})"
        raise problems.failure(None, rule, None, "Check its permissions.") from None


class Start(NamedTuple):
    """Where the rows of a file start."""

    number: int
    """Number of the first line that is neither blank nor a comment."""
    first: str
    """That line."""
    lines: Iterator[str]
    """All lines from there, that one included."""


def start_of_rows(text: TextIO, problems: FileProblems, remedy: str = "It must hold at least one request.") -> Start:
    """Skip blank lines and ``#`` comments at the head of a file.

    Raises
    ------
    InputError
        There is none, or a line is endless.
    """
    lines = _lines(text, problems)
    for number, line in enumerate(lines, start=1):
        if line.strip() and not line.lstrip().startswith("#"):
            return Start(number, line, chain([line], lines))
    raise problems.failure(None, "must not be empty", None, remedy)


def _lines(text: TextIO, problems: FileProblems) -> Iterator[str]:
    for number in count(1):
        line = text.readline(LONGEST_LINE)
        if not line:
            return
        if len(line) >= LONGEST_LINE:
            rule = f"must have lines shorter than {LONGEST_LINE} characters"
            raise problems.failure(number, rule, None, "Check that it is the file you mean.")
        yield line


def csv_blocks(start: Start, problems: FileProblems) -> Iterator[tuple[Int64s, list[list[str]]]]:
    """Blocks of CSV rows with the line of each; blank lines are left out.

    Parameters
    ----------
    start
        As from :func:`start_of_rows`.
    problems
        Receives what is wrong.

    Raises
    ------
    InputError
        Quotes do not pair, or a cell runs over the end of its line.
    """
    number = start.number
    reader = csv.reader(start.lines, strict=True)
    while True:
        before = reader.line_num
        try:
            rows = list(islice(reader, BLOCK_ROWS))
        except csv.Error as error:
            line = number + reader.line_num - 1
            raise problems.failure(line, f"must be CSV ({error})", None, "Check the quotes of that row.") from None
        if not rows:
            return
        if reader.line_num - before != len(rows):
            row = next(row for row, cells in enumerate(rows) if any("\n" in cell or "\r" in cell for cell in cells))
            rule = "must end each quoted cell on its line"
            raise problems.failure(number + before + row, rule, None, "Check the quotes of that row.")
        at = np.arange(number + before, number + before + len(rows), dtype=np.int64)
        if not all(rows):
            filled = np.array([bool(row) for row in rows], dtype=np.bool_)
            at, rows = at[filled], [row for row in rows if row]
        yield at, rows


def whole_rows(
    lines: Int64s, rows: list[list[str]], width: int, problems: FileProblems
) -> tuple[Int64s, list[list[str]]]:
    """Those rows that have as many cells as the header; the others are noted as problems."""
    if all(len(row) == width for row in rows):
        return lines, rows
    fits = np.array([len(row) == width for row in rows], dtype=np.bool_)
    cells = "1 cell" if width == 1 else f"{width} cells"
    for row in np.flatnonzero(~fits):
        rule = f"must have {cells}, as the first row has"
        problems.add(int(lines[row]), "", rule, str(len(rows[row])), "Complete the row or delete it.")
    return lines[fits], [row for row, fit in zip(rows, fits, strict=True) if fit]
