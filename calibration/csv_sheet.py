"""A CSV file that a person hands over, as text cells that still know their line and column.

Readers of price lists and of measurements name the cell that is wrong, so the place of every cell must survive
reading; the standard library's reader gives only the last line of a record. What the cells mean is decided elsewhere.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from calibration.problems import InputError, Problem

MAX_FILE_BYTES: Final = 1 << 28
"""Larger files are refused: SkyPilot's largest list is 4 MB."""


@dataclass(frozen=True)
class Row:
    """One record of a CSV file."""

    line: int
    """Line of the file on which it starts, from 1."""
    cells: Mapping[str, str]
    """Text by column name, as the header spells it."""


@dataclass(frozen=True)
class Sheet:
    """A CSV file with a header, still text."""

    file: str
    """Path as the user named it."""
    columns: tuple[str, ...]
    """The header."""
    rows: tuple[Row, ...]
    """Its records; blank lines are left out."""
    lines: tuple[str, ...]
    """The file's lines, for finding the place of a cell."""

    def problem(self, row: Row, column: str, rule: str, value: str | None, remedy: str) -> Problem:
        """Problem at a cell; ``column`` may be one that the sheet does not have."""
        index = self.columns.index(column) if column in self.columns else 0
        place = _column_of_cell(self.lines[row.line - 1], index)
        return Problem(self.file, row.line, place, column, rule, value, remedy)


def read_sheet(path: str | Path) -> Sheet:
    """Read a CSV file: which cells does it hold, and on which lines.

    Raises
    ------
    InputError
        The file is absent, a directory, unreadable, not UTF-8, empty, has a column twice, or has rows that are
        longer or shorter than the header (all of them).
    """
    file = str(path)
    text = _read_text(Path(path), file)
    # Not splitlines(): it also splits at form feeds and other separators that a cell may hold.
    lines = tuple(io.StringIO(text))
    reader = csv.reader(lines, strict=True)
    records: list[tuple[int, list[str]]] = []
    line = 1
    try:
        for record in reader:
            if any(cell.strip() for cell in record):
                records.append((line, record))
            line = reader.line_num + 1
    except csv.Error as error:
        raise InputError(
            [Problem(file, line, None, "", f"must be a CSV file: {error}", None, "Check the quotes of that row.")]
        ) from None
    if not records:
        raise InputError([Problem(file, None, None, "", "must not be empty", None, "Start it with a header row.")])
    header_line, header = records[0]
    columns = tuple(cell.strip() for cell in header)
    problems = [
        Problem(
            file, header_line, _column_of_cell(lines[header_line - 1], index), name, "must stand once in the header",
            None, "Delete or rename one of the two columns.",
        )
        for index, name in enumerate(columns)
        if name and name in columns[:index]
    ]  # fmt: skip
    problems += [
        Problem(
            file, at, None, "", f"must have {len(columns)} cells like the header", str(len(record)),
            "A comma inside a cell needs quotes around the cell.",
        )
        for at, record in records[1:]
        if len(record) != len(columns)
    ]  # fmt: skip
    if problems:
        raise InputError(problems)
    rows = tuple(Row(at, dict(zip(columns, record, strict=True))) for at, record in records[1:])
    return Sheet(file, columns, rows, lines)


def missing_columns(sheet: Sheet, wanted: Iterable[str], kind: str) -> list[Problem]:
    """One problem for the columns of ``wanted`` that the header lacks, or none."""
    missing = [column for column in wanted if column not in sheet.columns]
    if not missing:
        return []
    found = ", ".join(sheet.columns)
    remedy = f"Name the columns of {kind} in its first row"
    remedy += ", separated by commas." if len(sheet.columns) == 1 and re.search(r"[;\t|]", found) else "."
    return [Problem(sheet.file, 1, 1, "", f"must have the columns {', '.join(missing)}", shown(found, 120), remedy)]


def _read_text(path: Path, file: str) -> str:
    """The text of a file that a person named."""
    try:
        if path.is_dir():
            raise InputError([file_problem(file, "must be a CSV file, not a directory", "Name a file in it.")])
        if path.exists() and not path.is_file():
            raise InputError([file_problem(file, "must be a regular file", "Save the list as a file first.")])
        if path.stat().st_size > MAX_FILE_BYTES:
            rule = f"must be smaller than {MAX_FILE_BYTES >> 20} MiB"
            raise InputError([file_problem(file, rule, "Keep only the rows that are needed.")])
        return path.read_text(encoding="utf-8-sig")
    except InputError:
        raise
    except UnicodeDecodeError as error:
        rule = f"must be UTF-8 text, byte {error.start} is not"
        raise InputError([file_problem(file, rule, "Save it as CSV in UTF-8.")]) from None
    except FileNotFoundError:
        raise InputError([file_problem(file, "must be a file that exists", "Check the path.")]) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError([file_problem(file, f"must be a file that can be read ({reason})", "Check it.")]) from None


def file_problem(file: str, rule: str, remedy: str) -> Problem:
    """A problem of a file as a whole."""
    return Problem(file, None, None, "", rule, None, remedy)


def _column_of_cell(line: str, index: int) -> int:
    """1-based column where cell ``index`` of a CSV line starts; 1 when it begins on a later line of the record.

    >>> _column_of_cell('aws,"a,b",3', 2)
    11
    """
    quoted = False
    cell = 0
    for position, character in enumerate(line):
        if cell == index:
            return position + 1
        if character == '"':
            quoted = not quoted
        elif character == "," and not quoted:
            cell += 1
    return len(line.rstrip()) + 1 if cell == index else 1


def shown(text: str, width: int = 60) -> str:
    """A cell's text for a message, shortened."""
    return text if len(text) <= width else text[: width - 3] + "..."
