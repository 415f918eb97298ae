"""What was wanted, hour by hour: the demand of every pool over the time that is past.

A *pool* is what commitments are bought for and forecasts are made of: an instance type, a model, a team, or any name.
A :class:`History` is hourly and in UTC, whatever the file was. Its ``demand`` is what is paid and never smoothed;
what a model is fitted to is cleaned apart (:mod:`optimizer.history_cleaning`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from optimizer.history_gaps import Fill, fill_gaps
from optimizer.history_hours import Absent, hours_of
from optimizer.history_steps import HOUR_S, Steps, sorted_rows, steps_of
from optimizer.history_table import RowProblems, Table, read_table
from optimizer.history_times import clock_changes, moments

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

Unit = Literal["instances", "requests_per_s"]

POOLED: Final = "*"
"""Name of the one pool that stands for all."""

SEASONS_H: Final = {"day": 24, "week": 168, "year": 8_766}
"""Lengths of the seasons that demand may have, in hours; the year with its quarter of a day."""

MOST_MISSING: Final = 0.2
"""Share of the hours that may be missing: beyond a fifth, what is filled in would shape the answer."""

FULL_CYCLES: Final = 2
"""So often a season must have been seen before it can be told from a trend."""


@dataclass(frozen=True)
class History:
    """How much did each pool want in each hour? The arrays are read-only."""

    start: datetime
    """First hour, UTC, on the hour."""
    pools: tuple[str, ...]
    """P names, in alphabetical order where they come from a file."""
    demand: Floats
    """(T, P) mean demand of each hour in ``unit``, 0 or more; 0 outside a pool's life."""
    first_h: Ints
    """(P,) first hour of each pool's life, counted from ``start``; T where it did not live."""
    last_h: Ints
    """(P,) last hour of each pool's life; -1 where it did not live. T - 1: it lives at the end."""
    filled: Bools
    """(T, P) whether the value is a guess for one that the file lacks."""
    unit: Unit = "instances"
    """What demand counts."""
    notes: tuple[str, ...] = ()
    """What was found and what was assumed, one sentence each, without a full stop."""
    source: str = ""
    """File that it was read from, as the user named it."""

    def __post_init__(self) -> None:
        """Refuse what is no history, and keep the arrays from being written to."""
        shape = (len(self.demand), len(self.pools))
        if self.demand.shape != shape or self.filled.shape != shape or not self.demand.size:
            raise ValueError(f"demand and filled must have the shape {shape} with an hour and a pool at least")
        if self.first_h.shape != shape[1:] or self.last_h.shape != shape[1:]:
            raise ValueError("first_h and last_h must have one hour for each pool")
        on_the_hour = self.start.replace(minute=0, second=0, microsecond=0)
        if self.start.utcoffset() != timedelta(0) or self.start != on_the_hour:
            raise ValueError(f"start must be on the hour in UTC, got {self.start}")
        if len(set(self.pools)) != len(self.pools):
            raise ValueError("pools must have different names")
        if not (np.isfinite(self.demand) & (self.demand >= 0)).all():
            raise ValueError("demand must be finite and not negative")
        for array in (self.demand, self.first_h, self.last_h, self.filled):
            array.setflags(write=False)

    @property
    def hours(self) -> int:
        """T, the number of hours."""
        return len(self.demand)

    @property
    def end(self) -> datetime:
        """The hour after the last."""
        return self.time(self.hours)

    @property
    def lived(self) -> Bools:
        """(P,) which pools lived at all."""
        return self.last_h >= self.first_h

    @property
    def total(self) -> Floats:
        """(T,) demand of all pools together."""
        total: Floats = self.demand.sum(axis=1)
        return total

    def time(self, hour: int) -> datetime:
        """When does an hour, counted from ``start``, begin?

        >>> one_pool(np.ones(48), datetime(2024, 2, 28, tzinfo=UTC)).time(30).isoformat()
        '2024-02-29T06:00:00+00:00'
        """
        return self.start + timedelta(hours=hour)

    def hour_of(self, time: datetime) -> int:
        """Which hour, counted from ``start``, holds this time? May lie before or after the history."""
        return (time - self.start) // timedelta(hours=1)

    def of(self, pool: str) -> Floats:
        """(T,) demand of one pool.

        Raises
        ------
        ValueError
            There is no such pool.
        """
        return self.demand[:, self._column(pool)]

    def between(self, start_h: int, end_h: int) -> History:
        """Give the history from one hour to the hour before another, as somebody knew it then.

        Every pool keeps its column, so that two stretches of one history fit together; one that did not live then
        has no life (:attr:`lived`). A pool idle at the cut lived until its last demand: that it came back is not
        known yet.

        Examples
        --------
        >>> history = one_pool(np.array([1.0, 2.0, 0.0, 0.0, 3.0]), datetime(2024, 1, 1, tzinfo=UTC))
        >>> earlier = history.between(0, 4)
        >>> earlier.hours, earlier.last_h
        (4, array([1]))

        Raises
        ------
        ValueError
            The range holds no hour of the history, or ends outside it.
        """
        if not 0 <= start_h < end_h <= self.hours:
            raise ValueError(f"must be hours within 0 and {self.hours}, the first before the last: {start_h}, {end_h}")
        hours = end_h - start_h
        demand = self.demand[start_h:end_h].copy()
        first = np.clip(self.first_h - start_h, 0, hours)
        last = np.minimum(self.last_h, end_h - 1) - start_h
        for pool in np.flatnonzero((self.last_h >= end_h) & (first < hours)):
            wanted = np.flatnonzero(demand[:, pool])
            last[pool] = wanted[-1] if len(wanted) else -1
        gone = last < first
        return History(
            start=self.time(start_h),
            pools=self.pools,
            demand=demand,
            first_h=np.where(gone, hours, first),
            last_h=np.where(gone, -1, last),
            filled=self.filled[start_h:end_h].copy(),
            unit=self.unit,
            notes=self.notes,
            source=self.source,
        )

    def pooled(self) -> History:
        """Give the history of all pools as one, ``*``: they are interchangeable."""
        lived = self.lived
        return History(
            start=self.start,
            pools=(POOLED,),
            demand=self.total[:, np.newaxis],
            first_h=np.array([self.first_h[lived].min() if lived.any() else self.hours]),
            last_h=np.array([self.last_h.max()]),
            filled=np.asarray(self.filled.any(axis=1, keepdims=True), dtype=np.bool_),
            unit=self.unit,
            notes=self.notes,
            source=self.source,
        )

    def select(self, pools: Sequence[str]) -> History:
        """Give the history of some pools, in the order named.

        Raises
        ------
        ValueError
            There is no such pool, or none is named.
        """
        columns = np.array([self._column(pool) for pool in pools], dtype=np.int64)
        return History(
            start=self.start,
            pools=tuple(pools),
            demand=self.demand[:, columns],
            first_h=self.first_h[columns],
            last_h=self.last_h[columns],
            filled=self.filled[:, columns],
            unit=self.unit,
            notes=self.notes,
            source=self.source,
        )

    def seasons(self) -> tuple[int, ...]:
        """Which seasons, in hours, is the history long enough to show: at least two full cycles?

        >>> one_pool(np.ones(400), datetime(2024, 1, 1, tzinfo=UTC)).seasons()
        (24, 168)
        """
        return seasons_within(self.hours)

    def _column(self, pool: str) -> int:
        if pool not in self.pools:
            raise ValueError(f"there is no pool {pool}; there are {', '.join(self.pools)}")
        return self.pools.index(pool)


def load_history(
    path: str | Path,
    *,
    columns: Mapping[str, str] | None = None,
    where: Mapping[str, str] | None = None,
    step: str | None = None,
    unit: Literal["instances", "requests_per_s", "requests"] = "instances",
    within_hour: Literal["mean", "max"] = "mean",
    absent: Absent = "auto",
    fill: Fill = "week",
    most_missing: float = MOST_MISSING,
    timezone: str | None = None,
) -> History:
    """What did each pool want in each hour of this file?

    Parameters
    ----------
    path
        CSV with a header, plain or gzipped: ``timestamp,pool,demand``, or names that mean the same
        (:data:`optimizer.history_table.KNOWN_NAMES`). Without a column of pools it is one series.
    columns
        Names of the columns ``timestamp``, ``pool`` and ``demand``, where they are others.
    where
        Only rows whose column has this text are read, for instance ``{"REGION_NUM": "3"}``.
    step
        Spacing of the rows, such as ``5min``; None: the most common one.
    unit
        What the numbers count. ``requests`` in each step become ``requests_per_s``.
    within_hour
        What stands for an hour that has several rows.
    absent
        What a time without any row means (:mod:`optimizer.history_hours`).
    fill
        What stands for hours that are missing (:mod:`optimizer.history_gaps`).
    most_missing
        Share of hours that may be missing.
    timezone
        IANA name of the zone whose clock wrote stamps that name none; None: UTC.

    Raises
    ------
    InputError
        With every problem and its line: the file cannot be read, a demand is negative or no number, rows contradict
        each other, stamps are off the hour, mix zones or never were, too much is missing, all demand is 0.
    """
    problems = RowProblems(str(path))
    table = read_table(path, problems, columns, where)
    when = moments(table, timezone, problems)
    rows, doubles, sorting = sorted_rows(table, when, problems)
    if not len(rows.row):
        problems.raise_if_any()
    jumps = clock_changes(rows.seconds, doubles.seconds) if when.naive else None
    if jumps and doubles.contradict:
        found, zone = jumps
        remedy = f"If it is local time, whose clocks change, give its zone (timezone={zone})."
        problems.add(None, table.columns.timestamp, "must be in UTC", found, remedy)
    steps = steps_of(rows, table, step, problems)
    problems.raise_if_any()
    hours = hours_of(table, rows, steps, within_hour, absent, problems)
    if not hours.demand.any():
        raise problems.failure(None, "must have demand in some hour", "0 in all", "Check the column of demand.")
    whole = fill_gaps(hours, table.pools, fill, most_missing, problems)
    demand = whole.demand
    if unit == "requests":
        demand = demand / steps.step_s
    notes = [*table.notes, *when.notes, *sorting, *steps.notes, *hours.notes, *whole.notes]
    if jumps:
        notes.append(
            "{}, as in local time whose clocks change: if it is, give its zone, for instance {}".format(*jumps)
        )
    return History(
        start=datetime(1970, 1, 1, tzinfo=UTC) + timedelta(hours=hours.start_h),
        pools=table.pools,
        demand=demand,
        first_h=hours.first_h,
        last_h=hours.last_h,
        filled=whole.filled,
        unit="requests_per_s" if unit == "requests" else unit,
        notes=(*notes, *_shape_notes(table, demand, steps)),
        source=str(path),
    )


def _shape_notes(table: Table, demand: Floats, steps: Steps) -> list[str]:
    """What the demand itself leaves open."""
    notes = []
    hours = len(demand)
    short = [f"a season of a {name} needs {FULL_CYCLES * length:,}" for name, length in SEASONS_H.items()]
    short = short[len(seasons_within(hours)) :]
    if short:
        notes.append(f"{hours:,} hours: {', '.join(short)}")
    constant = [name for name, values in zip(table.pools, demand.T, strict=True) if len(set(values[values > 0])) == 1]
    if constant and (steps.step_s <= HOUR_S).all():
        listed = ", ".join(constant[:5]) + (" and others" if len(constant) > 5 else "")
        notes.append(f"demand is always the same where there is any: {listed}")
    nothing = [name for pool, name in enumerate(table.pools) if not demand[:, pool].any()]
    if nothing:
        notes.append(
            f"pools without any demand: {', '.join(nothing[:5])}" + (" and others" if len(nothing) > 5 else "")
        )
    return notes


def seasons_within(hours: int) -> tuple[int, ...]:
    """Which seasons, in hours, do so many hours show at least twice?

    >>> seasons_within(17_532), seasons_within(47)
    ((24, 168, 8766), ())
    """
    return tuple(season for season in SEASONS_H.values() if hours >= FULL_CYCLES * season)


def one_pool(
    demand: Floats, start: datetime, *, pool: str = "demand", unit: Unit = "instances", notes: tuple[str, ...] = ()
) -> History:
    """Give the history of a single series that lives from its first hour to its last."""
    hours = len(demand)
    return History(
        start=start.astimezone(UTC),
        pools=(pool,),
        demand=np.array(demand, dtype=np.float64).reshape(hours, 1),
        first_h=np.zeros(1, dtype=np.int64),
        last_h=np.full(1, hours - 1, dtype=np.int64),
        filled=np.zeros((hours, 1), dtype=np.bool_),
        unit=unit,
        notes=notes,
    )
