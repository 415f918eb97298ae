"""A tool's CSV file, its columns found by name and its cells read as numbers, with all that is wrong with them.

A reader asks for the columns it knows; what else there is it keeps as notes, and names in one warning.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from calibration.csv_sheet import Row, Sheet, read_sheet, shown
from calibration.problems import InputError, Problem
from calibration.source import did_you_mean

NOTHING: Final = frozenset({"", "n/a", "na", "nan", "-", "none", "null"})
"""Cells that hold no value, in lower case."""


class Table:
    """A CSV file that is being read; :attr:`problems` collects what is wrong with its cells."""

    def __init__(self, sheet: Sheet) -> None:
        self.sheet = sheet
        self.problems: list[Problem] = []
        self._written: Mapping[str, str] = {_plain(column): column for column in sheet.columns}

    @property
    def columns(self) -> tuple[str, ...]:
        """The header, without blank names."""
        return tuple(column for column in self.sheet.columns if column)

    @property
    def rows(self) -> tuple[Row, ...]:
        """Its records."""
        return self.sheet.rows

    def has(self, column: str) -> bool:
        """Whether there is such a column, whatever its capitals and blanks."""
        return _plain(column) in self._written

    def require(self, columns: Iterable[str | tuple[str, ...]], kind: str, remedy: str = "") -> None:
        """See to it that these columns are there; of a tuple, one is enough.

        Raises
        ------
        InputError
            Naming all that are missing.
        """
        wanted = [(column,) if isinstance(column, str) else column for column in columns]
        missing = [names for names in wanted if not any(self.has(name) for name in names)]
        if not missing:
            return
        rule = f"must have the columns {', '.join(' or '.join(names) for names in missing)}"
        near = "" if len(missing) > 1 else did_you_mean(missing[0][0], self.columns)
        found = shown(", ".join(self.columns), 120)
        remedy = " ".join(filter(None, [near, remedy or f"Name a file of {kind}, with its header in the first row."]))
        raise InputError([Problem(self.sheet.file, 1, 1, "", rule, found, remedy)])

    def text(self, row: Row, column: str) -> str | None:
        """The cell's text; None where it is blank or there is no such column."""
        cell = row.cells.get(self._written.get(_plain(column), ""), "").strip()
        return None if cell.lower() in NOTHING else cell

    def number(self, row: Row, column: str, *, least: float = 0.0, above: float | None = None) -> float | None:
        """The cell as a number; None where it is blank, there is no such column, or (a problem then) it is none."""
        cell = self.text(row, column)
        if cell is None:
            return None
        value = as_number(cell)
        if value is None:
            self.problem(row, column, "must be a number", cell, "Mend the cell, or delete the row.")
            return None
        if value < least or (above is not None and value <= above):
            rule = f"must be at least {least:g}" if above is None else f"must be greater than {above:g}"
            self.problem(row, column, rule, cell, "Mend the cell, or delete the row.")
            return None
        return value

    def needed(self, row: Row, column: str, *, above: float | None = None) -> float | None:
        """As :meth:`number`, for a cell that may not be blank."""
        if self.text(row, column) is None:
            self.problem(row, column, "must not be blank", None, "Fill the cell, or delete the row.")
            return None
        return self.number(row, column, above=above)

    def problem(self, row: Row, column: str, rule: str, value: str | None, remedy: str) -> None:
        """Remember what is wrong with a cell."""
        written = self._written.get(_plain(column), column)
        got = None if value is None else shown(value)
        self.problems.append(self.sheet.problem(row, written, rule, got, remedy))

    def notes(self, row: Row, columns: Iterable[str]) -> dict[str, Any]:
        """Cells of these columns that are not blank, by the names in the header; numbers where they are numbers."""
        cells = {self._written[_plain(column)]: self.text(row, column) for column in columns if self.has(column)}
        return {column: number_or_text(cell) for column, cell in cells.items() if cell is not None}

    def others(self, known: Iterable[str]) -> tuple[str, ...]:
        """Columns that are none of these."""
        plain = {_plain(column) for column in known}
        return tuple(column for column in self.columns if _plain(column) not in plain)

    def place(self, row: Row) -> str:
        """``file:line``."""
        return f"{self.sheet.file}:{row.line}"

    def stop_at_problems(self) -> None:
        """Raise what was found to be wrong, if anything.

        Raises
        ------
        InputError
            With all problems, in the order of the file.
        """
        if self.problems:
            raise InputError(sorted(self.problems, key=lambda problem: (problem.line or 0, problem.column or 0)))


def read_table(path: Path, kind: str) -> Table:
    """Read a tool's CSV file.

    Raises
    ------
    InputError
        It cannot be read as CSV, or holds no row.
    """
    table = Table(read_sheet(path))
    if not table.rows:
        remedy = "The tool may have stopped before it wrote a result: run it again."
        raise InputError([Problem(table.sheet.file, None, None, "", f"holds no row of {kind}", None, remedy)])
    return table


def as_number(text: str) -> float | None:
    """The finite number that a text says, or None.

    >>> as_number(" 1e3 "), as_number("1,000"), as_number("nan"), as_number("0x1")
    (1000.0, None, None, None)
    """
    if not re.fullmatch(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*", text):
        return None
    value = float(text)
    return value if math.isfinite(value) else None


def number_or_text(text: str) -> float | int | str:
    """A note's value: a number where the text says one.

    >>> number_or_text("12"), number_or_text("0.5"), number_or_text("Yes")
    (12, 0.5, 'Yes')
    """
    value = as_number(text)
    if value is None:
        return text
    return int(value) if value.is_integer() and abs(value) < 2**53 else value


def unknown_columns(names: Iterable[str], kept: str = "kept as notes, not used") -> tuple[str, ...]:
    """The one warning about columns that a reader does not know; nothing where there are none.

    >>> unknown_columns(["Colour", "Taste"])
    ("columns that are not known, kept as notes, not used: 'Colour', 'Taste'",)
    """
    found = list(dict.fromkeys(names))
    return (f"columns that are not known, {kept}: {', '.join(map(repr, found))}",) if found else ()


def _plain(column: str) -> str:
    return re.sub(r"\s+", " ", column).strip().casefold()
