"""How far apart are the rows of a file of demand, and do they stand on one grid?

Rows come sorted by pool and time here, with doubles taken out. What is no grid (a row off the hour, a step that
changes on the way, rows at random times) is refused: demand between them would be a guess that nobody asked for.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
from pydantic_core import PydanticCustomError

from calibration.problems import InputError, Problem
from calibration.source import COMMAND_LINE
from calibration.units import positive_duration_ns
from optimizer.history_table import RowProblems, Table
from optimizer.history_times import Moments
from simulator.clock import NS_PER_S

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

HOUR_S: Final = 3_600
DAY_S: Final = 86_400

USUAL_STEPS_S: Final = 60 * np.array([1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30, 60])
"""Whole minutes that divide an hour."""

SHORT_STEPS: Final = 0.05
"""Share of spacings of an hour at most from which on the step is one of them: pools that are seldom wanted have rows
far apart, but those of a daily file are never an hour apart."""

MOST_JITTER_S: Final = 60
"""A row may miss its place on the grid by so much, and by a quarter of a step: clocks of exporters drift."""

LONG_RUN: Final = 24
"""So many equal spacings in a row that are not the step are no chance."""


class Rows(NamedTuple):
    """Rows of a table, sorted by pool and time, none twice."""

    row: Ints
    """(n,) index into the table."""
    pool: Ints
    """(n,) index of its pool."""
    seconds: Ints
    """(n,) since 1970, UTC."""


class Doubles(NamedTuple):
    """Rows that stand twice."""

    seconds: Ints
    """Times at which two rows of a pool stand."""
    contradict: bool
    """Whether some of them have two values."""


def sorted_rows(table: Table, when: Moments, problems: RowProblems) -> tuple[Rows, Doubles, list[str]]:
    """Sort rows by pool and time: which stand twice, which contradict each other?

    Two rows of one pool and time with one value are one; with two values they are a problem.
    """
    read = np.flatnonzero(when.read)
    in_order = read[np.lexsort((read, when.seconds[read], table.pool[read]))]
    pool, seconds = table.pool[in_order], when.seconds[in_order]
    notes = []
    later_line = np.diff(table.line[in_order]) > 0
    unsorted = int((~later_line & (np.diff(pool) == 0)).sum())
    if unsorted:
        notes.append(f"{unsorted} rows stand before an earlier row of their pool: sorted by time")
    again = np.flatnonzero((np.diff(pool) == 0) & (np.diff(seconds) == 0)) + 1
    demand = table.demand[in_order]
    alike = (demand[again] == demand[again - 1]) | (np.isnan(demand[again]) & np.isnan(demand[again - 1]))
    for position in again[~alike]:
        row, before = in_order[position], in_order[position - 1]
        stamp = table.stamps[table.stamp[row]].strip()
        name = f"{stamp} of {table.pools[table.pool[row]]}" if table.columns.pool else stamp
        problems.add(
            int(table.line[row]), table.columns.timestamp, "must stand once for a pool, or say the same again",
            f"{name} with {demand[position]:g}, on line {table.line[before]} {demand[position - 1]:g}",
            _mend_doubles(table),
        )  # fmt: skip
    dropped = int(alike.sum())
    if dropped:
        first = in_order[again[alike][0]]
        rows = "1 row says" if dropped == 1 else f"{dropped} rows say"
        notes.append(f"{rows} the same as another of its pool and time (line {table.line[first]} first): dropped")
    keep = np.ones(len(pool), dtype=np.bool_)
    keep[again] = False
    return Rows(in_order[keep], pool[keep], seconds[keep]), Doubles(seconds[again], not alike.all()), notes


def _mend_doubles(table: Table) -> str:
    others = [name for name, different in (table.unused or {}).items() if different > 1]
    if table.columns.pool is None and others:
        return f"If {others[0]} tells series apart, name it as the pool (pool={others[0]})."
    if others:
        return f"If {others[0]} tells them apart, keep the rows of one {others[0]}."
    return "Delete one of the two, or add them up."


class Steps(NamedTuple):
    """Spacing of the rows."""

    step_s: Ints
    """(P,) spacing of each pool's rows; an hour or less, or whole hours."""
    snapped_s: Ints
    """(n,) time of each row, moved onto the grid of its pool."""
    notes: list[str]


def steps_of(rows: Rows, table: Table, step: str | None, problems: RowProblems) -> Steps:
    """How far apart are the rows of each pool?

    Parameters
    ----------
    rows, table
        The rows.
    step
        What the user says it is, such as ``5min``; None: the most common spacing.
    problems
        Receives rows that are off the grid, and steps that do not fit into hours.

    Raises
    ------
    InputError
        ``step`` is no duration, or fits neither into an hour nor an hour into it.
    """
    same_pool = np.diff(rows.pool) == 0
    spacing, of_pool = _without_jitter(np.diff(rows.seconds)[same_pool]), rows.pool[1:][same_pool]
    told = None if step is None else _told(step)
    common = told or _common(spacing, grouped=table.columns.pool is not None)
    step_s = np.full(len(table.pools), common, dtype=np.int64)
    if told is None and common < HOUR_S:
        ends = np.searchsorted(of_pool, np.arange(len(table.pools) + 1))
        for pool in range(len(table.pools)):
            own = spacing[ends[pool] : ends[pool + 1]]
            if len(own):
                usual, times = _mode(own)
                if common < usual <= HOUR_S and 2 * times > len(own):
                    step_s[pool] = usual
    odd_steps = sorted({int(s) for s in step_s if not _fits_hours(int(s))})
    for odd in odd_steps:
        rule = "must have a step that divides an hour, or whole hours"
        remedy = "Aggregate it to hours first, or give the step that is meant (step=1h)."
        problems.add(None, table.columns.timestamp, rule, duration(odd), remedy)
    if odd_steps:
        problems.raise_if_any()
    snapped, notes = _onto_grid(rows, table, step_s, problems)
    for position in np.flatnonzero(same_pool & (np.diff(snapped) == 0) & (np.diff(rows.seconds) > 0)) + 1:
        row = rows.row[position]
        rule = f"must stand {duration(int(step_s[rows.pool[position]]))} apart like most"
        stamp = table.stamps[table.stamp[row]].strip()
        problems.add(int(table.line[row]), table.columns.timestamp, rule, repr(stamp), "Keep one of the two rows.")
    _refuse_mixed(rows._replace(seconds=snapped), table, step_s, problems)
    return Steps(step_s, snapped, _about(table, step_s) + notes)


def _told(step: str) -> int:
    try:
        step_s, rest = divmod(positive_duration_ns(step), NS_PER_S)
    except PydanticCustomError as error:
        rule = error.message()
        remedy = str((error.context or {}).get("remedy", ""))
        raise InputError([Problem(COMMAND_LINE, None, None, "--step", rule, repr(step), remedy)]) from None
    if rest or not _fits_hours(step_s):
        rule = "must divide an hour or be whole hours"
        raise InputError([Problem(COMMAND_LINE, None, None, "--step", rule, step, "Give for instance 5min, 1h or 1d.")])
    return step_s


def _fits_hours(step_s: int) -> bool:
    return step_s > 0 and (HOUR_S % step_s == 0 or step_s % HOUR_S == 0)


def _without_jitter(spacing: Ints) -> Ints:
    """Spacings brought to the nearest usual step, where one is near.

    >>> _without_jitter(np.array([3_598, 301, 420, 86_401]))
    array([ 3600,   300,   420, 86400])
    """
    nearest = USUAL_STEPS_S[np.argmin(np.abs(spacing[:, np.newaxis] - USUAL_STEPS_S), axis=1)]
    nearest = np.where(spacing > HOUR_S, (spacing + HOUR_S // 2) // HOUR_S * HOUR_S, nearest)
    return np.where(np.abs(spacing - nearest) <= np.minimum(nearest // 10, MOST_JITTER_S // 2), nearest, spacing)


def _common(spacing: Ints, *, grouped: bool) -> int:
    """The spacing of most rows; an hour where it is longer but rows are merely absent."""
    if not len(spacing):
        return HOUR_S
    short = spacing[spacing <= HOUR_S]
    if len(short) and len(short) >= SHORT_STEPS * len(spacing):
        return _mode(short)[0]
    usual, times = _mode(spacing)
    # Daily files with one clock have days of 23 and 25 hours.
    near = int((np.abs(spacing - usual) <= HOUR_S).sum()) if usual >= DAY_S else times
    return HOUR_S if grouped and 2 * near <= len(spacing) else usual


def _mode(values: Ints) -> tuple[int, int]:
    different, times = np.unique(values, return_counts=True)
    most = int(np.argmax(times))
    return int(different[most]), int(times[most])


def _onto_grid(rows: Rows, table: Table, step_s: Ints, problems: RowProblems) -> tuple[Ints, list[str]]:
    """Move rows onto the grid of their pool; those too far off are problems."""
    grid_s = np.minimum(step_s, HOUR_S)
    snapped = rows.seconds.copy()
    moved = 0
    offsets = set()
    ends = np.searchsorted(rows.pool, np.arange(len(table.pools) + 1))
    for pool in range(len(table.pools)):
        mine = slice(ends[pool], ends[pool + 1])
        if ends[pool] == ends[pool + 1]:
            continue  # none of its rows could be read
        grid = int(grid_s[pool])
        offset = _mode(rows.seconds[mine] % grid)[0]
        offsets.add(offset if grid == HOUR_S else 0)
        off = (rows.seconds[mine] - offset + grid // 2) % grid - grid // 2
        far = np.abs(off) > min(grid // 4, MOST_JITTER_S)
        moved += int(((off != 0) & ~far).sum())
        snapped[mine] -= np.where(far, 0, off)
        for row in rows.row[mine][far]:
            stamp = table.stamps[table.stamp[row]].strip()
            place = "on the hour" if grid == HOUR_S and not offset else f"{duration(grid)} apart like most"
            remedy = "Are two steps mixed? Bring every row to one step, or give the shorter one (step=5min)."
            problems.add(int(table.line[row]), table.columns.timestamp, f"must stand {place}", repr(stamp), remedy)
    notes = []
    if moved:
        notes.append(f"{moved} rows stand up to {MOST_JITTER_S} s off their place: moved onto it")
    if any(offsets):
        minutes = ", ".join(f"{offset / 60:g}" for offset in sorted(offsets))
        notes.append(f"rows stand {minutes} minutes past the hour: taken as the hour that they stand in")
    return snapped, notes


def _refuse_mixed(rows: Rows, table: Table, step_s: Ints, problems: RowProblems) -> None:
    """Note where a pool goes over to another step."""
    spacing = np.diff(rows.seconds)
    usual = step_s[rows.pool[1:]]
    longest = HOUR_S if table.columns.pool else spacing.max(initial=0)
    other = (np.diff(rows.pool) == 0) & (spacing > usual) & (spacing <= longest)
    coarse_off = (np.diff(rows.pool) == 0) & (usual > HOUR_S) & ((spacing + HOUR_S) % usual > 2 * HOUR_S)
    for position in np.flatnonzero(coarse_off):
        row = rows.row[position + 1]
        rule = f"must stand {duration(int(usual[position]))} apart like most"
        remedy = "Bring every row to one step, or give the step that is meant (step=1h)."
        stamp = table.stamps[table.stamp[row]].strip()
        problems.add(int(table.line[row]), table.columns.timestamp, rule, repr(stamp), remedy)
    starts = np.flatnonzero(other & (np.diff(spacing, prepend=-1) != 0))
    for start in starts:
        run = spacing[start : start + LONG_RUN]
        if len(run) == LONG_RUN and (run == run[0]).all() and other[start : start + LONG_RUN].all():
            row = rows.row[start]
            stamp = table.stamps[table.stamp[row]].strip()
            rule = f"must keep its step of {duration(int(usual[start]))}"
            found = f"{duration(int(run[0]))} from {stamp} on"
            problems.add(int(table.line[row]), table.columns.timestamp, rule, found, "Bring every row to one step.")


def _about(table: Table, step_s: Ints) -> list[str]:
    different = sorted({int(step) for step in step_s})
    if different == [HOUR_S]:
        return []
    notes = []
    for step in different:
        names = [name for name, own in zip(table.pools, step_s, strict=True) if own == step]
        of = "" if len(different) == 1 else f" of {', '.join(names[:5])}" + (" and others" if len(names) > 5 else "")
        notes.append(f"rows{of} are {duration(step)} apart")
    return notes


def duration(seconds: int) -> str:
    """A time in the largest unit that it is a whole number of.

    >>> duration(300), duration(86_400), duration(5_400)
    ('5min', '1d', '90min')
    """
    for unit, length in (("d", DAY_S), ("h", HOUR_S), ("min", 60)):
        if seconds >= length and seconds % length == 0:
            return f"{seconds // length}{unit}"
    return f"{seconds}s"
