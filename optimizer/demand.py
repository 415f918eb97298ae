"""When is how much asked? The traffic of a plan file as hours, each with a rate that must be carried.

A rate series is planned hour by hour. What an hour must carry is the mean rate of its busiest five minutes (of its
busiest interval, where intervals are longer): a plan for the mean of the hour would miss its SLO in the half of the
hour that lies above it, and the count of a single second is chance. Every other process is one hour that repeats, at
its mean rate; its ups and downs are in the simulations, which draw them anew (mmpp, gamma) or replay them (trace).

A :class:`Demand` is one course of events. Several of them, each with a probability, make a demand by scenario: they
share ``hours`` and ``weight_h``, and stack along a new first axis of ``demand_rps``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from calibration.problems import InputError
from calibration.units import NS_BY_UNIT
from optimizer.problem import HOURS_PER_MONTH
from simulator.clock import NS_PER_S
from simulator.expected_rates import mean_rate_rps
from simulator.rate_series import RateSeries

if TYPE_CHECKING:
    from optimizer.plan_file import Question

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

HOUR_NS: Final = NS_BY_UNIT["h"]

BUSY_SPELL_NS: Final = 5 * NS_BY_UNIT["min"]
"""Shortest time whose mean rate counts as a rate: shorter counts are chance."""

MOST_HOURS: Final = 366 * 24
"""Hours of a plan: a year."""

ALL_DAY: Final = "all day"
"""Name of the one hour of traffic that does not change."""


@dataclass(frozen=True)
class Demand:
    """How many requests per second must be served, in which hours? The arrays are read-only."""

    workloads: tuple[str, ...]
    """B names, in the order of the file."""
    hours: tuple[str, ...]
    """T names of hours, in order: ``13:00``, ``day 2 13:00``, ``2024-01-01 13:00``; or ``all day`` alone."""
    weight_h: Floats
    """(T,) hours of a month that each stands for; they add up to 730."""
    demand_rps: Floats
    """(B, T) rate to carry."""
    cyclic: bool = False
    """Whether the last hour is followed by the first, as in a day that repeats."""
    notes: tuple[str, ...] = ()
    """What was assumed, one sentence each."""


@dataclass(frozen=True)
class _Course:
    """One workload's hours."""

    rate_rps: Floats
    length_h: Floats
    start_ns: int | None = None
    repeats: bool = True


def demand(question: Question) -> Demand:
    """When is how much asked, over all workloads?

    Raises
    ------
    InputError
        Series whose lengths do not fit together, or that are longer than a year.
    """
    courses = {name: _course(question, name) for name in question.workloads}
    longest = max(courses.values(), key=lambda course: len(course.rate_rps))
    hours = len(longest.rate_rps)
    _refuse(question, courses, hours)
    rows = [_aligned(course, longest) for course in courses.values()]
    weight_h = longest.length_h * (HOURS_PER_MONTH / longest.length_h.sum())
    return Demand(
        workloads=tuple(courses),
        hours=hour_names(hours, longest.start_ns),
        weight_h=_frozen(weight_h),
        demand_rps=_frozen(np.stack(rows)),
        cyclic=hours > 1 and all(course.repeats for course in courses.values() if len(course.rate_rps) > 1),
        notes=tuple(_notes(question, courses)),
    )


def hourly_rps(series: RateSeries, until_ns: int | None = None) -> tuple[Floats, Floats]:
    """Which rate must each hour of a series carry, and how much of an hour is each (the last may be cut)?

    Parameters
    ----------
    series
        Expected requests by interval.
    until_ns
        What comes later is left out.

    Examples
    --------
    >>> rates, length_h = hourly_rps(RateSeries(np.array([3600.0, 7200.0, 0.0]), 1_800 * NS_PER_S))
    >>> rates.tolist(), length_h.tolist()
    ([4.0, 0.0], [1.0, 0.5])
    """
    end_ns = series.length_ns if until_ns is None else min(until_ns, series.length_ns)
    step_ns = max(series.interval_ns, BUSY_SPELL_NS)
    cuts = np.concatenate((np.arange(0, end_ns, step_ns), np.arange(0, end_ns, HOUR_NS), [end_ns]))
    edges = np.unique(cuts)
    # Positions in intervals, as exact as floats allow: 1e18 ns would lose its last digits.
    whole, part = np.divmod(edges, series.interval_ns)
    before = np.concatenate(([0.0], np.cumsum(series.requests)))
    rate_here = np.append(series.requests, 0.0)[whole]
    seen = before[whole] + rate_here * (part / series.interval_ns)
    spells = np.diff(seen) / (np.diff(edges) / NS_PER_S)
    hour = edges[:-1] // HOUR_NS
    busiest = np.zeros(int(hour[-1]) + 1)
    np.maximum.at(busiest, hour, spells)
    length_h = np.ones(len(busiest))
    length_h[-1] = (end_ns - hour[-1] * HOUR_NS) / HOUR_NS
    return busiest, length_h


def hour_names(hours: int, start_ns: int | None = None) -> tuple[str, ...]:
    """Names of so many hours from the start of a series, which may have a date.

    >>> hour_names(3), hour_names(1), hour_names(26)[-1]
    (('00:00', '01:00', '02:00'), ('all day',), 'day 2 01:00')
    >>> hour_names(2, 1_704_110_400 * NS_PER_S)
    ('2024-01-01 12:00', '2024-01-01 13:00')
    """
    if hours == 1:
        return (ALL_DAY,)
    if start_ns is not None:
        start = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=start_ns // NS_PER_S)
        return tuple(f"{start + timedelta(hours=hour):%Y-%m-%d %H:%M}" for hour in range(hours))
    days = hours > 24
    return tuple(f"{f'day {hour // 24 + 1} ' if days else ''}{hour % 24:02}:00" for hour in range(hours))


def _course(question: Question, name: str) -> _Course:
    arrivals = question.workloads[name].arrivals
    content = question.traffic.get(name)
    if isinstance(content, RateSeries):
        rates, length_h = hourly_rps(content, question.file.horizon_ns)
        repeats = bool(getattr(arrivals, "repeat", False)) or content.start_ns is None
        return _Course(rates, length_h, content.start_ns, repeats)
    if content is not None:
        times = content.arrival_ns
        rate: float | None = len(times) / ((int(times[-1]) + 1) / NS_PER_S)
    else:
        rate = mean_rate_rps(arrivals, HOUR_NS)
    assert rate is not None, "the door lets no closed loop in"
    return _Course(np.array([rate]), np.ones(1))


def _refuse(question: Question, courses: Mapping[str, _Course], hours: int) -> None:
    """Series that are too long, and lengths that do not divide one another."""
    problems = []
    longest = next(name for name, course in courses.items() if len(course.rate_rps) == hours)
    for name, course in courses.items():
        own = len(course.rate_rps)
        if own > MOST_HOURS:
            rule = f"must be at most a year ({MOST_HOURS:,} hours) long"
            remedy = "Plan a part of it (horizon: 7d), or a typical week."
            problems.append(question.problem(f"workloads.{name}.arrivals", rule, f"{own:,} hours", remedy))
        elif hours % own:
            rule = f"must be as long as the series of '{longest}' ({hours} hours), or divide it"
            remedy = "Cut or complete one of the two series; horizon cuts both."
            problems.append(question.problem(f"workloads.{name}.arrivals", rule, f"{own} hours", remedy))
    if problems:
        raise InputError(problems)


def _aligned(course: _Course, longest: _Course) -> Floats:
    """A workload's rates in the hours of the longest series: repeated, and by date where both have one."""
    own, hours = len(course.rate_rps), len(longest.rate_rps)
    shift = 0
    if course.start_ns is not None and longest.start_ns is not None:
        shift = math.floor((longest.start_ns - course.start_ns) / HOUR_NS)
    return course.rate_rps[(np.arange(hours) + shift) % own]


def _notes(question: Question, courses: Mapping[str, _Course]) -> list[str]:
    notes: list[str] = []
    for name, content in question.traffic.items():
        if isinstance(content, RateSeries) and content.interval_ns < HOUR_NS:
            spell = max(content.interval_ns, BUSY_SPELL_NS) / NS_BY_UNIT["min"]
            notes.append(f"{name}: every hour is planned for the mean rate of its busiest {spell:g} minutes")
        elif isinstance(content, RateSeries):
            interval = content.interval_ns / HOUR_NS
            notes.append(
                f"{name}: the series holds means of {interval:g} h; a busier spell within them is not planned for"
            )
        else:
            rate = float(courses[name].rate_rps[0])
            notes.append(f"{name}: the trace is planned at its mean rate, {rate:.4g} requests per second")
        notes += [f"{name}: {note}" for note in content.notes]
    starts = {course.start_ns % HOUR_NS for course in courses.values() if course.start_ns is not None}
    if len(starts) > 1:
        notes.append("series that begin at different minutes of the hour are taken to begin together")
    return notes


def _frozen(values: Floats) -> Floats:
    values = np.ascontiguousarray(values, dtype=np.float64)
    values.setflags(write=False)
    return values
