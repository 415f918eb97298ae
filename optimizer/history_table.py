"""A file of demand as columns that still know their lines: which column means what, and what its cells hold.

Text becomes codes and numbers block by block (:func:`simulator.text_rows.csv_blocks`), each different text once: a
hundred thousand rows hold few different stamps and pools. What the stamps mean is :mod:`optimizer.history_times`'.
"""

from __future__ import annotations

import difflib
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from calibration.problems import InputError, Problem
from simulator.text_rows import TOLD, FileProblems, csv_blocks, open_text, start_of_rows, whole_rows

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

KNOWN_NAMES: Final[Mapping[str, tuple[str, ...]]] = {
    "timestamp": (
        *("timestamp", "usage_hour", "hour_start", "minute_start", "interval_start", "start_time", "usage_start_time"),
        *("datetime", "date_time", "time", "date", "day", "hour", "ds"),
    ),
    "pool": (
        "pool",
        "instance_type",
        "machine_type",
        "instance_class",
        "series",
        "sku",
        "vm_type",
        "model",
        "unique_id",
    ),
    "demand": ("demand", "norm_usage", "instances", "usage", "value", "requests", "vms", "count", "y"),
}
"""Names, in lower case, by which a column is known without being told; the contract's own come first and win."""

BLANKS: Final = frozenset({"", "nan", "na", "n/a", "null", "none"})
"""What stands for a demand that is not known, in lower case."""

MOST_DEMAND: Final = 1e12
"""More than this of anything is a unit gone wrong, or a filler for what is not known."""

_NUMBER: Final = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3})?", re.ASCII)
_MONEY: Final = re.compile(r"[$€£¥]|\b(?:usd|eur|gbp|jpy)\b", re.IGNORECASE)
_GROUPED: Final = re.compile(r"[+-]?\d{1,3}(?:[,_' .]\d{3})+(?:[.,]\d+)?|[+-]?\d+,\d+")
_DATED: Final = re.compile(r"\d{4}-\d\d-\d\d\b")
_SAMPLE_ROWS: Final = 1_000


class RowProblems(FileProblems):
    """What is wrong with the rows of one file: of each broken rule the first few are told, the others counted."""

    def __init__(self, file: str) -> None:
        super().__init__(file)
        self._by_rule: dict[tuple[str, str], list[Problem]] = {}
        self._counts: Counter[tuple[str, str]] = Counter()

    def add(
        self, line: int | None, key: str, rule: str, value: str | None, remedy: str, column: int | None = None
    ) -> None:
        """Note one problem; ``key`` is the column it is about."""
        of_rule = self._by_rule.setdefault((key, rule), [])
        self._counts[key, rule] += 1
        if len(of_rule) < TOLD:
            of_rule.append(Problem(self.file, line, column, key, rule, value, remedy))

    def raise_if_any(self) -> None:
        """Raise InputError with everything noted, if there is anything."""
        if self._by_rule:
            raise InputError(self._in_order())

    def _in_order(self) -> list[Problem]:
        told = sorted((p for of_rule in self._by_rule.values() for p in of_rule), key=lambda problem: problem.line or 0)
        for (key, rule), count in self._counts.items():
            if count > TOLD:
                more = f"{rule}: {count - TOLD} more rows break this rule"
                told.append(Problem(self.file, None, None, key, more, None, "Mend those above first."))
        return told


@dataclass(frozen=True)
class Columns:
    """Which column of a file means what."""

    timestamp: str
    pool: str | None
    """None: the file is one series."""
    demand: str


@dataclass(frozen=True)
class Table:
    """The rows of a file, in its order."""

    columns: Columns
    stamps: tuple[str, ...]
    """Different timestamps, as text."""
    pools: tuple[str, ...]
    """Different pools, in alphabetical order."""
    line: Ints
    """(n,) line of each row."""
    stamp: Ints
    """(n,) index into ``stamps``."""
    pool: Ints
    """(n,) index into ``pools``."""
    demand: Floats
    """(n,) NaN where the cell is blank."""
    notes: tuple[str, ...] = ()
    """What was assumed about the columns."""
    unused: Mapping[str, int] | None = None
    """Columns that mean nothing here, with how many different texts they hold (in the first rows)."""


def read_table(
    path: str | Path,
    problems: RowProblems,
    columns: Mapping[str, str] | None = None,
    where: Mapping[str, str] | None = None,
) -> Table:
    """Which demand does a file give for which pool and time, still unchecked against the clock?

    Parameters
    ----------
    path
        CSV with a header, plain or gzipped.
    problems
        Receives every cell that cannot be read.
    columns
        Names of the columns ``timestamp``, ``pool`` and ``demand``, where they are others.
    where
        Only rows whose column has this text are read.

    Raises
    ------
    InputError
        The file cannot be opened, is empty, or leaves open which column is which.
    """
    with open_text(Path(path), problems) as text:
        blocks = csv_blocks(start_of_rows(text, problems, "It must hold a header and a row of demand."), problems)
        at, rows = next(blocks)
        header = [cell.strip() for cell in rows[0]]
        chosen, notes = _choose(header, rows[1 : 1 + _SAMPLE_ROWS], int(at[0]), columns or {}, where or {}, problems)
        kept = [(header.index(name), text) for name, text in (where or {}).items()]
        reader = _Reader(header, chosen, problems)
        unused = _unused(header, rows[1 : 1 + _SAMPLE_ROWS], chosen)
        at, rows = at[1:], rows[1:]
        while True:
            at, rows = whole_rows(at, rows, len(header), problems)
            for index, wanted in kept:
                fits = np.array([row[index].strip() == wanted for row in rows], dtype=np.bool_)
                at, rows = at[fits], [row for row, fit in zip(rows, fits, strict=True) if fit]
            reader.take(at, rows)
            block = next(blocks, None)
            if block is None:
                break
            at, rows = block
    if not reader.lines or not sum(map(len, reader.lines)):
        problems.raise_if_any()
        rule = "must hold at least one row" + (" of those asked for" if where else "")
        raise problems.failure(None, rule, None, "It has a header and no rows." if not where else "Check the filter.")
    return reader.table(tuple(notes), unused)


class _Reader:
    """Texts of three columns become codes and numbers, block by block."""

    def __init__(self, header: Sequence[str], columns: Columns, problems: RowProblems) -> None:
        self.columns = columns
        self.problems = problems
        self.lines: list[Ints] = []
        self._at = [header.index(columns.timestamp), header.index(columns.demand)]
        self._pool_at = None if columns.pool is None else header.index(columns.pool)
        self._stamps: dict[str, int] = {}
        self._pools: dict[str, int] = {}
        self._numbers: dict[str, float] = {}
        self._codes: list[tuple[Ints, Ints, Floats]] = []

    def take(self, at: Ints, rows: list[list[str]]) -> None:
        """Read a block of rows."""
        stamps, pools, numbers = self._stamps, self._pools, self._numbers
        stamp_at, demand_at = self._at
        stamp = [stamps.setdefault(row[stamp_at], len(stamps)) for row in rows]
        at_pool = self._pool_at
        if at_pool is None:
            pool = [pools.setdefault(self.columns.demand, 0)] * len(rows)
        else:
            pool = [pools.setdefault(row[at_pool].strip(), len(pools)) for row in rows]
            for index in np.flatnonzero(np.array(pool) == pools.get("", -1)):
                self.problems.add(int(at[index]), self.columns.pool or "", "must not be blank", None, "Name the pool.")
        for text in {row[demand_at] for row in rows} - numbers.keys():
            numbers[text] = _number(text)
        demand = np.array([numbers[row[demand_at]] for row in rows], dtype=np.float64)
        for index in np.flatnonzero(np.isinf(demand) | (demand < 0)):
            rule, remedy = _broken_rule(rows[index][demand_at])
            self.problems.add(int(at[index]), self.columns.demand, rule, repr(rows[index][demand_at].strip()), remedy)
        self.lines.append(at)
        self._codes.append((np.array(stamp, dtype=np.int64), np.array(pool, dtype=np.int64), demand))

    def table(self, notes: tuple[str, ...], unused: Mapping[str, int]) -> Table:
        """Everything read so far."""
        names = sorted(self._pools)
        rank = np.empty(len(names), dtype=np.int64)
        rank[[self._pools[name] for name in names]] = np.arange(len(names))
        stamp, pool, demand = (np.concatenate(parts) for parts in zip(*self._codes, strict=True))
        return Table(
            columns=self.columns,
            stamps=tuple(self._stamps),
            pools=tuple(names),
            line=np.concatenate(self.lines),
            stamp=stamp,
            pool=rank[pool],
            demand=demand,
            notes=notes,
            unused=unused,
        )


def _number(cell: str) -> float:
    """The number of a cell, NaN for a blank, infinity for what is none.

    >>> _number(" 12.5"), _number(""), _number("$12")
    (12.5, nan, inf)
    """
    cell = cell.strip()
    if _NUMBER.fullmatch(cell):
        number = float(cell)
        return number if number <= MOST_DEMAND else math.inf
    return math.nan if cell.lower() in BLANKS else math.inf


def _broken_rule(cell: str) -> tuple[str, str]:
    cell = cell.strip()
    if _MONEY.search(cell):
        return "must be a number without a currency", "Demand counts instances or requests; write 12.5, not dollars."
    if _NUMBER.fullmatch(cell):
        if float(cell) < 0:
            return "must not be negative", "Write 0 where nothing was wanted, and leave blank what is not known."
        return f"must be at most {MOST_DEMAND:g}", "Check the unit, and leave blank what is not known."
    if _GROUPED.fullmatch(cell):
        return "must be a plain number", "Write 1234.5: a point for decimals, nothing between thousands."
    return "must be a number", "Leave it blank if it is not known."


def _choose(
    header: list[str],
    sample: list[list[str]],
    line: int,
    named: Mapping[str, str],
    where: Mapping[str, str],
    problems: RowProblems,
) -> tuple[Columns, list[str]]:
    """Find the columns: as named, by known names, or as the only ones that can be meant."""
    unknown = set(named) - set(KNOWN_NAMES)
    if unknown:
        raise ValueError(f"columns may name {', '.join(KNOWN_NAMES)}, got {', '.join(sorted(unknown))}")
    if any(_DATED.match(cell) or _NUMBER.fullmatch(cell) for cell in header):
        found = ",".join(header)
        raise problems.failure(line, "must begin with a header row", repr(found), "Write timestamp,pool,demand there.")
    doubled = sorted({name for name in header if header.count(name) > 1 and name})
    if doubled:
        raise problems.failure(line, f"must have the column {doubled[0]} once", None, "Delete or rename the other.")
    for key, name in [*named.items(), *((f"where {name}", name) for name in where)]:
        if name not in header:
            near = difflib.get_close_matches(name, header, n=1)
            remedy = f"Did you mean {near[0]}?" if near else "Name a column that the file has."
            problems.add(line, key, f"must be in the column {name}", ", ".join(header), remedy)
    problems.raise_if_any()
    kinds = {name: _kind([row[index] for row in sample if index < len(row)]) for index, name in enumerate(header)}
    guess = _Guess(header, kinds, dict(named))
    timestamp = guess.column("timestamp", "dates")
    demand = guess.column("demand", "numbers")
    pool = guess.column("pool", "text")
    open_questions = [guess.open_question(key) for key in ("timestamp", "demand") if key not in guess.chosen]
    if pool is None and guess.candidates("pool"):
        open_questions.append(guess.open_question("pool"))
    if open_questions or timestamp is None or demand is None:
        listed = ", ".join(header)
        raise InputError(
            Problem(problems.file, line, None, key, rule, listed, f"Name it so, or say which it is ({key}=NAME).")
            for key, rule in open_questions
        )
    notes = []
    if guess.guessed:
        notes.append("columns taken as " + ", ".join(f"{key}: {name}" for key, name in guess.guessed.items()))
    if pool is None:
        notes.append(f"no column of pools: one series, called {demand}")
    left = [name for name in header if name not in (timestamp, pool, demand)]
    if left:
        notes.append(f"columns not used: {', '.join(left)}")
    return Columns(timestamp, pool, demand), notes


class _Guess:
    """Which column a name means, and what of it was guessed."""

    def __init__(self, header: list[str], kinds: Mapping[str, str], chosen: dict[str, str]) -> None:
        self.header = header
        self.kinds = kinds
        self.chosen = chosen
        self.guessed: dict[str, str] = {}

    def column(self, key: str, kind: str) -> str | None:
        """The column for ``key``, which holds cells of ``kind``; None where none or several could be meant."""
        if key in self.chosen:
            return self.chosen[key]
        exact = [name for name in self.header if name.lower() == key]
        candidates = exact or self.candidates(key) or ([] if key == "pool" else self._only(kind))
        if key == "pool" and not candidates:
            candidates = self._only("text")
        if len(candidates) != 1:
            return None
        self.chosen[key] = candidates[0]
        if candidates[0].lower() != key:
            self.guessed[key] = candidates[0]
        return candidates[0]

    def candidates(self, key: str) -> list[str]:
        """Columns not taken yet whose names are known to mean ``key``."""
        taken = set(self.chosen.values())
        return [name for name in self.header if name not in taken and name.lower() in KNOWN_NAMES[key]]

    def open_question(self, key: str) -> tuple[str, str]:
        """Give the key, and the rule that its column breaks by being absent or not the only one."""
        candidates = self.candidates(key)
        return key, f"must be one column, could be {' or '.join(candidates)}" if candidates else "must be a column"

    def _only(self, kind: str) -> list[str]:
        taken = set(self.chosen.values())
        return [name for name in self.header if name not in taken and self.kinds[name] == kind]


def _kind(cells: Sequence[str]) -> str:
    """Whether cells are dates, numbers, text, or all blank.

    >>> _kind(["2021-02-01", ""]), _kind(["1", "2.5"]), _kind(["a", "2"])
    ('dates', 'numbers', 'text')
    """
    written = [cell.strip() for cell in cells if cell.strip().lower() not in BLANKS]
    if not written:
        return "blank"
    if all(_DATED.match(cell) for cell in written):
        return "dates"
    return "numbers" if all(_NUMBER.fullmatch(cell) for cell in written) else "text"


def _unused(header: Sequence[str], sample: list[list[str]], columns: Columns) -> dict[str, int]:
    used = (columns.timestamp, columns.pool, columns.demand)
    return {
        name: len({row[index] for row in sample if index < len(row)})
        for index, name in enumerate(header)
        if name not in used
    }
