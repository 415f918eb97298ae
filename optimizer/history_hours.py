"""Rows become hours: the demand of every pool in every hour, and which of it is not known.

What an hour without rows means depends on the file. In a file of pools an absent row is demand 0, as the contract has
it; but where every pool falls silent at once, in the midst of demand that is never near 0, rows are missing. In a file
of one series without a column of pools, or one that writes its zeros, a time without any row is always missing.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from optimizer.history_steps import HOUR_S, Rows, Steps
from optimizer.history_table import RowProblems, Table

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

Absent = Literal["auto", "zero", "gap"]
"""What a time without any row means: told by the rows around it, demand 0, or rows that are missing."""

MOST_YEARS: Final = 20
"""A longer history has a slip in a year."""

MOST_CELLS: Final = 50_000_000
"""Hours x pools that are held at once: 400 MB."""

NEVER_NEAR_ZERO: Final = 0.1
"""Demand whose least value is at least this share of its median does not fall to 0 for an hour."""

WINDOW_H: Final = 168
"""Hours before and after a silence that say whether demand was near 0."""

SELDOM: Final = 0.1
"""A file that writes zeros, and is without rows for a smaller share of the time, writes all of its zeros."""

MOST_HOLES: Final = 10
"""More silences than that, for no small share of the time, are no holes of a file but its way to write 0."""

FEWEST_WITNESSES: Final = 24
"""Rows around a silence without which it is taken as demand 0."""


class Hours(NamedTuple):
    """Demand by hour and pool, not yet filled."""

    start_h: int
    """First hour, since 1970."""
    demand: Floats
    """(T, P) 0 where absent or not known."""
    first_h: Ints
    """(P,) first hour of each pool's life."""
    last_h: Ints
    """(P,) last hour of it."""
    missing: Bools
    """(T, P) whether the demand of a pool that lives is not known."""
    notes: list[str]


def hours_of(
    table: Table, rows: Rows, steps: Steps, within_hour: Literal["mean", "max"], absent: Absent, problems: RowProblems
) -> Hours:
    """What did each pool want in each hour?

    Parameters
    ----------
    table, rows, steps
        The rows, sorted and on a grid.
    within_hour
        What stands for an hour that has several rows.
    absent
        What a time without any row means.
    problems
        Receives a history that is too long.

    Raises
    ------
    InputError
        The history is too long to be meant.
    """
    pool, seconds, demand, last_s, notes = _no_longer_than_an_hour(table, rows, steps)
    start_h, end_h = int(seconds.min() // HOUR_S), int(last_s.max() // HOUR_S) + 1
    _refuse_long(table, rows, end_h - start_h, problems)
    shape = (end_h - start_h, len(table.pools))
    found = np.zeros(shape)
    missing = np.zeros(shape, dtype=np.bool_)
    first_h = np.zeros(shape[1], dtype=np.int64)
    last_h = np.zeros(shape[1], dtype=np.int64)
    short = np.minimum(steps.step_s, HOUR_S)
    origin_s = start_h * HOUR_S
    for step_s in np.unique(short):
        pools = np.flatnonzero(short == step_s)
        mine = np.isin(pool, pools)
        group = _Group(
            step_s=int(step_s),
            slots=shape[0] * (HOUR_S // int(step_s)),
            slot=(seconds[mine] - origin_s) // step_s,
            pool=np.searchsorted(pools, pool[mine]),
            demand=demand[mine],
            pools=len(pools),
        )
        absent_is_zero = _absent_is_zero(group, absent, grouped=table.columns.pool is not None)
        gap, why = _gaps(group, may_be_zero=absent_is_zero, may_be_gap=absent != "zero")
        notes += why
        part, unknown, first, last = _hourly(group, gap, within_hour, absent_is_zero=absent_is_zero)
        found[:, pools], missing[:, pools] = part, unknown
        first_h[pools], last_h[pools] = first, last
        if step_s < HOUR_S:
            notes.append(f"hours are the {within_hour} of their rows")
    hour = np.arange(shape[0])[:, np.newaxis]
    lives = (hour >= first_h) & (hour <= last_h)
    found[~lives] = 0.0
    begin = int(first_h.min())
    stop = int(last_h.max()) + 1
    return Hours(
        start_h=start_h + begin,
        demand=found[begin:stop],
        first_h=first_h - begin,
        last_h=last_h - begin,
        missing=(missing & lives)[begin:stop],
        notes=list(dict.fromkeys(notes)),
    )


class _Group(NamedTuple):
    """Rows of pools of one step, on a grid of slots."""

    step_s: int
    slots: int
    slot: Ints
    pool: Ints
    demand: Floats
    pools: int


def _no_longer_than_an_hour(table: Table, rows: Rows, steps: Steps) -> tuple[Ints, Ints, Floats, Ints, list[str]]:
    """Rows of more than an hour as one row for each of their hours."""
    demand = table.demand[rows.row]
    length = steps.step_s[rows.pool]
    if (length <= HOUR_S).all():
        return rows.pool, steps.snapped_s, demand, steps.snapped_s, []
    until_next = np.diff(steps.snapped_s, append=0)
    follows = np.diff(rows.pool, append=-1) == 0
    # Where clocks changed, a day has 23 or 25 hours.
    covered = np.where(follows & (np.abs(until_next - length) <= HOUR_S), until_next, length) // HOUR_S
    begins = np.repeat(np.cumsum(covered) - covered, covered)
    hour = np.arange(int(covered.sum())) - begins
    seconds = np.repeat(steps.snapped_s, covered) + hour * HOUR_S
    notes = ["rows longer than an hour: each of their hours has the same demand, so a daily season cannot be seen"]
    return np.repeat(rows.pool, covered), seconds, np.repeat(demand, covered), seconds, notes


def _refuse_long(table: Table, rows: Rows, hours: int, problems: RowProblems) -> None:
    if hours <= MOST_YEARS * 8_766 and hours * len(table.pools) <= MOST_CELLS:
        return
    by_time = rows.row[np.argsort(rows.seconds, kind="stable")]
    first, last = by_time[0], by_time[-1]
    if hours > MOST_YEARS * 8_766:
        rule = f"must span at most {MOST_YEARS} years"
        remedy = "Check the year of the first and of the last row."
    else:
        rule = f"must have at most {MOST_CELLS:,} values, hours x pools"
        remedy = "Keep the last years, or put small pools together."
    found = f"{table.stamps[table.stamp[last]].strip()} and, on line {table.line[first]}, "
    found += f"{table.stamps[table.stamp[first]].strip()}, with {len(table.pools)} pools"
    raise problems.failure(int(table.line[last]), rule, found, remedy)


def _absent_is_zero(group: _Group, absent: Absent, *, grouped: bool) -> bool:
    """Whether a time without any row may be demand 0."""
    if absent != "auto":
        return absent == "zero"
    if not grouped:
        return False
    span = int(group.slot.max() - group.slot.min()) + 1
    seldom_silent = span - len(np.unique(group.slot)) <= SELDOM * span
    return not (seldom_silent and (group.demand == 0).any())


def _gaps(group: _Group, *, may_be_zero: bool, may_be_gap: bool) -> tuple[Bools, list[str]]:
    """Which slots, between the first and the last row of the group, are without the rows that they should have?"""
    total = np.zeros(group.slots)
    np.add.at(total, group.slot, np.nan_to_num(group.demand))
    present = np.bincount(group.slot, minlength=group.slots) > 0
    between = np.zeros(group.slots, dtype=np.bool_)
    between[group.slot.min() : group.slot.max() + 1] = True
    silent = between & ~present
    if not silent.any() or not may_be_zero:
        return silent, []
    gap = np.zeros_like(silent)
    if may_be_gap:
        gap = _never_near_zero_around(silent, present, total, WINDOW_H * HOUR_S // group.step_s)
    times = int((silent & ~gap).sum())
    unit = "hours" if group.step_s == HOUR_S else "times"
    return gap, [f"{times} {unit} without any row are demand 0"] if times else []


def _never_near_zero_around(silent: Bools, present: Bools, total: Floats, window: int) -> Bools:
    """Which silences stand in the midst of demand that is never near 0, and do not come again by day or week?"""

    def recurs(begin: int, end: int) -> bool:
        """Whether half of a silence is silent a day or a week away, outside itself."""
        for offset in (-window, -window // 7, window // 7, window):
            other = np.arange(begin, end) + offset
            other = other[(other >= 0) & (other < len(silent)) & ((other < begin) | (other >= end))]
            if len(other) and 2 * int(silent[other].sum()) >= end - begin:
                return True
        return False

    gap = np.zeros_like(silent)
    edges = np.flatnonzero(np.diff(np.concatenate(([False], silent, [False])).astype(np.int8)))
    at = np.flatnonzero(present)
    values = total[at]
    often = len(edges) > 2 * MOST_HOLES and silent.sum() > SELDOM * (at[-1] - at[0])
    if often:
        return gap
    for begin, end in edges.reshape(-1, 2):
        near = slice(np.searchsorted(at, begin - window), np.searchsorted(at, end + window))
        around = values[near]
        if recurs(begin, end):
            continue
        if len(around) >= FEWEST_WITNESSES and around.min() >= NEVER_NEAR_ZERO * np.median(around):
            gap[begin:end] = 2 * len(around) > end - begin
    return gap


def _hourly(
    group: _Group, gap: Bools, within_hour: Literal["mean", "max"], *, absent_is_zero: bool
) -> tuple[Floats, Bools, Ints, Ints]:
    """Demand by hour and pool, where it is not known, and the life of each pool, in hours."""
    each = HOUR_S // group.step_s
    hours = group.slots // each
    first = np.full(group.pools, group.slots, dtype=np.int64)
    last = np.full(group.pools, -1, dtype=np.int64)
    np.minimum.at(first, group.pool, group.slot)
    np.maximum.at(last, group.pool, group.slot)
    known = np.zeros(group.slots, dtype=np.bool_)
    known[group.slot.min() : group.slot.max() + 1] = True
    known &= ~gap
    before = np.concatenate(([0], np.cumsum(known)))
    starts = (np.arange(hours) * each)[:, np.newaxis]
    # An absent row is 0 also in the hours in which a pool comes or goes; a series is not known there.
    from_slot = starts if absent_is_zero else np.maximum(starts, first)
    to_slot = starts + each if absent_is_zero else np.minimum(starts + each, last + 1)
    slots = before[np.maximum(to_slot, from_slot)] - before[from_slot]
    cell = group.slot // each * group.pools + group.pool
    blank = np.isnan(group.demand)
    shape = (hours, group.pools)
    slots = slots - np.bincount(cell[blank], minlength=hours * group.pools).reshape(shape)
    cells = np.zeros(hours * group.pools)
    gather = np.maximum if within_hour == "max" else np.add
    gather.at(cells, cell[~blank], group.demand[~blank])
    found = cells.reshape(shape)
    if within_hour == "mean":
        found = found / np.maximum(slots, 1)
    first_h, last_h = first // each, last // each
    unknown = 2 * slots < each
    pools = np.arange(group.pools)
    long_life = last_h - first_h >= 2
    first_h = first_h + (long_life & unknown[first_h, pools])
    last_h = last_h - (long_life & unknown[last_h, pools])
    found[unknown] = 0.0
    return found, unknown, first_h, last_h
