"""One look at a scenario: its report, and the shape of the run behind it (latencies, queue and batches over time)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from presentation.excerpt import excerpt
from simulator.log import COMPLETED, NOWHERE, RunLog
from simulator.outcome import Report
from simulator.study import simulate

if TYPE_CHECKING:
    from calibration.console import Watch
    from simulator.scenario import Scenario

Floats = npt.NDArray[np.float64]

MOMENTS: Final = 240
"""Points of simulated time at which the run is drawn."""

BARS: Final = 60
"""Bars of the latency distribution."""

_DRAWN_UP_TO: Final = 0.999
"""Quantile at which the distribution is cut: the last bar holds the rest."""


@dataclass(frozen=True)
class Distribution:
    """How the latencies of one workload are spread; replication 0, after the warm-up."""

    edges_ms: Floats
    """(BARS + 1,)"""
    shares: Floats
    """Share of the requests in each bar, (BARS,); what is beyond the last edge is in ``beyond``."""
    beyond: float


@dataclass(frozen=True)
class Course:
    """What happened on one fleet over simulated time; replication 0. Columns of shape (MOMENTS,)."""

    time_s: Floats
    waiting: Floats
    """Requests that wait for an execution, the most in each stretch between two moments."""
    batch_items: Floats
    """Mean items of the executions that began in each stretch; NaN where none began."""


@dataclass(frozen=True)
class Look:
    """What one look at a scenario shows."""

    report: Report
    note: str
    """What was run."""
    distributions: dict[str, Distribution]
    """By workload; those without an answered request are absent."""
    courses: dict[str, Course]
    """By fleet."""


def look(scenario: Scenario, *, watch: Watch | None = None) -> Look:
    """Does it hold its SLO, what does it cost, and what happens in it? A short run with the same question.

    Raises
    ------
    InputError
        With everything that is wrong with the scenario, its traces and its prices.
    """
    short = excerpt(scenario)
    logs: list[RunLog] = []
    report = simulate(short.scenario, replications=short.replications, jobs=1, keep=logs.append, watch=watch)
    warmup_ns, horizon_ns = short.scenario.warmup_ns, round(report.horizon_s * 1e9)
    distributions = {}
    for index, name in enumerate(scenario.workloads):
        found = _distribution(logs, index, warmup_ns)
        if found is not None:
            distributions[name] = found
    courses = {name: _course(logs, index, horizon_ns) for index, name in enumerate(scenario.fleets)}
    return Look(report, short.note, distributions, courses)


def _distribution(logs: list[RunLog], workload: int, warmup_ns: int) -> Distribution | None:
    parts = []
    for log in logs:
        rows = log.requests
        counted = (rows.workload == workload) & (rows.outcome == COMPLETED) & (rows.arrival_ns >= warmup_ns)
        parts.append((rows.left_ns[counted] - rows.arrival_ns[counted]) / 1e6)
    latency_ms = np.concatenate(parts) if parts else np.array([])
    if not len(latency_ms):
        return None
    low, high = float(latency_ms.min()), float(np.quantile(latency_ms, _DRAWN_UP_TO))
    edges = np.linspace(low, high if high > low else low + max(low, 1e-3) * 0.01, BARS + 1)
    counts, _ = np.histogram(latency_ms, edges)
    return Distribution(edges, counts / len(latency_ms), 1 - counts.sum() / len(latency_ms))


def _course(logs: list[RunLog], fleet: int, horizon_ns: int) -> Course:
    """The course of one fleet, up to the horizon."""
    queued, left, started, items = [], [], [], []
    for log in logs:
        rows = log.requests
        waited = (rows.fleet == fleet) & (rows.queued_ns != NOWHERE)
        queued.append(rows.queued_ns[waited])
        start, gone = rows.start_ns[waited], rows.left_ns[waited]
        # One that gave up left the queue when it left; one in flight never did.
        out = np.where(start != NOWHERE, start, np.where(gone != NOWHERE, gone, np.iinfo(np.int64).max))
        left.append(out)
        executed = log.batches.fleet == fleet
        started.append(log.batches.start_ns[executed])
        items.append(log.batches.items[executed])
    ends = np.linspace(0, horizon_ns, MOMENTS + 1)
    waiting = _most_waiting(np.sort(np.concatenate(queued)), np.sort(np.concatenate(left)), ends)
    starts, sizes = np.concatenate(started), np.concatenate(items)
    executions, _ = np.histogram(starts, ends)
    sums, _ = np.histogram(starts, ends, weights=sizes.astype(np.float64))
    mean = np.full(MOMENTS, np.nan)
    np.divide(sums, executions, out=mean, where=executions > 0)
    return Course((ends[:-1] + ends[1:]) / 2e9, waiting, mean)


def _most_waiting(queued_ns: npt.NDArray[np.int64], left_ns: npt.NDArray[np.int64], ends: Floats) -> Floats:
    """The longest queue in each stretch: it is longest just after an arrival, or at the stretch's beginning."""
    after = np.arange(1, len(queued_ns) + 1) - np.searchsorted(left_ns, queued_ns, side="right")
    most = np.searchsorted(queued_ns, ends[:-1], side="right") - np.searchsorted(left_ns, ends[:-1], side="right")
    stretch = np.searchsorted(ends, queued_ns, side="right") - 1
    inside = (stretch >= 0) & (stretch < MOMENTS)
    np.maximum.at(most, stretch[inside], after[inside])
    return most.astype(np.float64)
