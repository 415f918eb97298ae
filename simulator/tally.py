"""What is counted of a run: a fold over its logs, stretch by stretch.

A :class:`Tally` takes in the logs of one run, in any number of stretches, and keeps only sums, counts and
distributions; all of them add, so that tallies of stretches or of replications merge into the tally of the whole,
the same to the last bit. Rates and verdicts are made of them in :mod:`simulator.metrics`.

The measurements, each made here and nowhere else:

window              [warmup, horizon)
latency             left - arrival            of requests that arrived in the window and completed
queue delay         start - arrival           of the same; it holds the front end, the queue and the dispatch
service time        end - start               of the same
time before queue   queued - arrival          of the same; only its sum is kept
offered             requests (and items) that arrived in the window
lost                of these, the ones never answered: rejected, timed out, in flight
good                of these, the ones answered within the workload's threshold
answered            requests (and items) completed with ``left`` in the window, whenever they arrived
outcomes            of all requests of the run, warm-up included
batch sizes         items of each execution that started at or after the warm-up
work                time that executions would have taken alone on the accelerator; of one that overlaps an end of
                    the window, the part in proportion to the overlap

Requests keep no one waiting for them after the horizon: a run drains, and what arrived in the window is measured
until its end, so that the slowest requests are not cut off.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from simulator.distribution import BLOCK, SUB_BUCKET_BITS, Distribution, LogHistogram, Sample, buckets_of
from simulator.log import COMPLETED, OUTCOMES, BatchLog, RequestLog, RunLog

Int64s = npt.NDArray[np.int64]

TENTHS: Final = 10
"""The window is also looked at in this many equal parts, by time of arrival, to see whether a backlog grows."""

_COARSE_BITS: Final = 4
"""Buckets an octave of the makeup: 16, each about 6 % wide."""


@dataclass(frozen=True)
class Window:
    """Which part of a run is measured, and what is looked for in it."""

    warmup_ns: int
    horizon_ns: int
    threshold_ns: tuple[int | None, ...]
    """For each workload, the latency within which a request is good; None without an SLO."""
    n_fleets: int

    def __post_init__(self) -> None:
        """Refuse a window that holds nothing."""
        if not 0 <= self.warmup_ns < self.horizon_ns:
            raise ValueError(f"warm-up must be >= 0 and before the horizon, got {self.warmup_ns} of {self.horizon_ns}.")

    @property
    def n_workloads(self) -> int:
        """Number of workloads."""
        return len(self.threshold_ns)

    @property
    def length_ns(self) -> int:
        """Duration of the window."""
        return self.horizon_ns - self.warmup_ns

    @property
    def tenth_ends_ns(self) -> Int64s:
        """Where one part of the window ends and the next begins; (9,) int64."""
        return self.warmup_ns + np.arange(1, TENTHS) * self.length_ns // TENTHS


class Share(NamedTuple):
    """What the time of a request consists of, as shares of its latency that add up to 1."""

    queue: float
    service: float
    rest: float
    """Reply, and whatever else follows the execution."""


class Makeup:
    """What requests of a given latency spent it on: sums of queue delay and service time by latency, coarsely.

    The percentiles of the parts do not add up to the percentile of the whole; this does.
    """

    def __init__(self) -> None:
        # Sums in ns as float64: integers, and so exact and independent of order, up to 2^53 ns or 104 days.
        self._sums = np.zeros((3, 0))

    def add(self, latency_ns: Int64s, queue_ns: Int64s, service_ns: Int64s) -> None:
        """Take in requests; three columns of the same length."""
        bucket = buckets_of(latency_ns) >> (SUB_BUCKET_BITS - _COARSE_BITS)
        self._add_sums(np.stack([np.bincount(bucket, column) for column in (latency_ns, queue_ns, service_ns)]))

    def merge(self, other: Makeup) -> None:
        """Take in the requests of another one."""
        self._add_sums(other._sums)

    def around(self, latency_ns: float) -> Share:
        """What the requests of about this latency spent it on; of those nearest to it, when there are none.

        All shares are 0 when no request took any time.
        """
        filled = np.flatnonzero(self._sums[0])
        if len(filled) == 0:
            return Share(0.0, 0.0, 0.0)
        bucket = buckets_of(np.array([round(latency_ns)])) >> (SUB_BUCKET_BITS - _COARSE_BITS)
        latency, queue, service = self._sums[:, filled[np.abs(filled - bucket).argmin()]]
        return Share(queue / latency, service / latency, 1 - (queue + service) / latency)

    def _add_sums(self, sums: npt.NDArray[np.float64]) -> None:
        missing = sums.shape[1] - self._sums.shape[1]
        if missing > 0:
            self._sums = np.pad(self._sums, ((0, 0), (0, missing)))
        self._sums[:, : sums.shape[1]] += sums


class _Columns(NamedTuple):
    """The columns of one workload's requests that are measured, in order of arrival."""

    arrival_ns: Int64s
    queued_ns: Int64s
    start_ns: Int64s
    end_ns: Int64s
    left_ns: Int64s
    items: npt.NDArray[np.int32]
    outcome: npt.NDArray[np.int8]

    def rows(self, which: slice | npt.NDArray[np.bool_] | npt.NDArray[np.intp]) -> _Columns:
        """The same columns for some of the rows."""
        return _Columns(
            self.arrival_ns[which],
            self.queued_ns[which],
            self.start_ns[which],
            self.end_ns[which],
            self.left_ns[which],
            self.items[which],
            self.outcome[which],
        )


class WorkloadTally:
    """What is counted of one workload."""

    def __init__(self, window: Window, threshold_ns: int | None, exact: bool) -> None:
        kind = Sample if exact else LogHistogram
        self._window = window
        self._tenth_ends_ns = window.tenth_ends_ns
        self._threshold_ns = threshold_ns
        self.latency: Distribution = kind()
        self.queue: Distribution = kind()
        self.service: Distribution = kind()
        self.makeup = Makeup()
        self.outcomes = np.zeros(len(OUTCOMES), np.int64)
        """Requests by outcome, over the whole run; (4,) int64."""
        self.offered = 0
        self.offered_items = 0
        self.lost = 0
        self.good = 0
        """Stays 0 without a threshold."""
        self.answered = 0
        self.answered_items = 0
        self.before_queue_ns = 0
        """Sum of the time before the queue."""
        self.tenth_offered = np.zeros(TENTHS, np.int64)
        """Requests that arrived in each tenth of the window; (10,) int64."""
        self.tenth_measured = np.zeros(TENTHS, np.int64)
        """Of these, the ones that completed."""
        self.tenth_queue_ns = np.zeros(TENTHS, np.float64)
        """Sum of their queue delays; integers, exact up to 104 days."""

    def add(self, columns: _Columns) -> None:
        """Take in requests in order of arrival."""
        all_completed = not columns.outcome.any()  # COMPLETED is 0: one fast pass in the usual case
        self.outcomes += (
            (len(columns.outcome), 0, 0, 0) if all_completed else np.bincount(columns.outcome, minlength=len(OUTCOMES))
        )
        self._count_answered(columns, all_completed)
        ends = np.searchsorted(columns.arrival_ns, (self._window.warmup_ns, self._window.horizon_ns))
        arrived = columns.rows(slice(int(ends[0]), int(ends[1])))
        if len(arrived.arrival_ns) == 0:
            return
        self.offered += len(arrived.arrival_ns)
        self.offered_items += int(arrived.items.sum(dtype=np.int64))
        self.tenth_offered += np.diff(self._tenths(arrived.arrival_ns))
        if not all_completed:
            completed = arrived.rows(arrived.outcome == COMPLETED)
            self.lost += len(arrived.arrival_ns) - len(completed.arrival_ns)
            arrived = completed
        if len(arrived.arrival_ns):
            self._measure(arrived)

    def merge(self, other: WorkloadTally) -> None:
        """Take in everything another one counted."""
        for name in ("latency", "queue", "service", "makeup"):
            getattr(self, name).merge(getattr(other, name))
        for name in ("outcomes", "tenth_offered", "tenth_measured", "tenth_queue_ns"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for name in ("offered", "offered_items", "lost", "good", "answered", "answered_items", "before_queue_ns"):
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def _count_answered(self, columns: _Columns, all_completed: bool) -> None:
        left_ns, (warmup_ns, horizon_ns) = columns.left_ns, (self._window.warmup_ns, self._window.horizon_ns)
        if all_completed and left_ns.min() >= warmup_ns and left_ns.max() < horizon_ns:
            self.answered += len(left_ns)
            self.answered_items += int(columns.items.sum(dtype=np.int64))
        else:
            inside = (left_ns >= warmup_ns) & (left_ns < horizon_ns) & (columns.outcome == COMPLETED)
            self.answered += int(np.count_nonzero(inside))
            self.answered_items += int(columns.items[inside].sum(dtype=np.int64))

    def _measure(self, completed: _Columns) -> None:
        latency_ns = completed.left_ns - completed.arrival_ns
        queue_ns = completed.start_ns - completed.arrival_ns
        service_ns = completed.end_ns - completed.start_ns
        self.latency.add(latency_ns)
        self.queue.add(queue_ns)
        self.service.add(service_ns)
        self.makeup.add(latency_ns, queue_ns, service_ns)
        if self._threshold_ns is not None:
            self.good += int(np.count_nonzero(latency_ns <= self._threshold_ns))
        self.before_queue_ns += int((completed.queued_ns - completed.arrival_ns).sum())
        ends = self._tenths(completed.arrival_ns)
        for tenth in np.flatnonzero(np.diff(ends)):
            self.tenth_measured[tenth] += ends[tenth + 1] - ends[tenth]
            self.tenth_queue_ns[tenth] += float(queue_ns[ends[tenth] : ends[tenth + 1]].sum())

    def _tenths(self, arrival_ns: Int64s) -> Int64s:
        """Where the rows of each tenth begin, and where those of the last end; (11,)."""
        inner = np.searchsorted(arrival_ns, self._tenth_ends_ns)
        return np.concatenate(([0], inner, [len(arrival_ns)]))


class FleetTally:
    """What is counted of one fleet."""

    def __init__(self, window: Window) -> None:
        self._window = window
        self.batch_sizes = np.zeros(0, np.int64)
        """Executions by their number of items, which is the index; int64."""
        self.work_ns = 0

    def add(self, items: npt.NDArray[np.int32], start_ns: Int64s, end_ns: Int64s, work_ns: Int64s) -> None:
        """Take in executions, in any order; four columns of the same length."""
        first_ns, last_ns = self._window.warmup_ns, self._window.horizon_ns
        inside = (start_ns >= first_ns) & (end_ns <= last_ns)
        cut = ~inside & (end_ns > first_ns) & (start_ns < last_ns)
        self.work_ns += int(work_ns[inside].sum())
        if cut.any():
            start, end, work = start_ns[cut], end_ns[cut], work_ns[cut]
            overlap = np.minimum(end, last_ns) - np.maximum(start, first_ns)
            # Rounded one by one, so that the sum does not depend on how a run is cut into stretches.
            self.work_ns += int(np.rint(work * (overlap / (end - start))).astype(np.int64).sum())
        self._add_sizes(np.bincount(items if start_ns.min() >= first_ns else items[start_ns >= first_ns]))

    def merge(self, other: FleetTally) -> None:
        """Take in everything another one counted."""
        self.work_ns += other.work_ns
        self._add_sizes(other.batch_sizes)

    def _add_sizes(self, counts: Int64s) -> None:
        missing = len(counts) - len(self.batch_sizes)
        if missing > 0:
            self.batch_sizes = np.concatenate((self.batch_sizes, np.zeros(missing, np.int64)))
        self.batch_sizes[: len(counts)] += counts


class Tally:
    """What is counted of one run, or of several merged."""

    def __init__(self, window: Window, *, exact: bool) -> None:
        self.window = window
        self.exact = exact
        self.workloads = tuple(WorkloadTally(window, threshold, exact) for threshold in window.threshold_ns)
        self.fleets = tuple(FleetTally(window) for _ in range(window.n_fleets))

    @classmethod
    def of(cls, window: Window, exact: bool) -> Tally:
        """Start an empty tally: ``exact`` keeps every duration (24 bytes a request), else bounded histograms."""
        return cls(window, exact=exact)

    def add(self, log: RunLog) -> None:
        """Take in one run, or one stretch of a streamed run; rows of requests in order of arrival."""
        self._add_requests(log.requests)
        self._add_batches(log.batches)

    def merge(self, other: Tally) -> None:
        """Take in everything another tally of the same window counted; ValueError if it is of another window."""
        if (self.window, self.exact) != (other.window, other.exact):
            raise ValueError(f"tallies must be of the same window to merge, got {self.window} and {other.window}.")
        for mine, theirs in zip(self.workloads, other.workloads, strict=True):
            mine.merge(theirs)
        for my_fleet, their_fleet in zip(self.fleets, other.fleets, strict=True):
            my_fleet.merge(their_fleet)

    def _add_requests(self, log: RequestLog) -> None:
        table = _Columns(log.arrival_ns, log.queued_ns, log.start_ns, log.end_ns, log.left_ns, log.items, log.outcome)
        for first in range(0, len(log), BLOCK):
            block = slice(first, first + BLOCK)
            for workload, rows in _split(log.workload[block], self.window.n_workloads):
                columns = table.rows(block)
                self.workloads[workload].add(columns if rows is None else columns.rows(rows))

    def _add_batches(self, log: BatchLog) -> None:
        for first in range(0, len(log), BLOCK):
            block = slice(first, first + BLOCK)
            columns = (log.items[block], log.start_ns[block], log.end_ns[block], log.work_ns[block])
            for fleet, rows in _split(log.fleet[block], self.window.n_fleets):
                self.fleets[fleet].add(*(columns if rows is None else (column[rows] for column in columns)))


def _split(index: npt.NDArray[np.int32], n: int) -> list[tuple[int, npt.NDArray[np.intp] | None]]:
    """Rows of each index that occurs, in their order; None for "all rows", which spares a copy of every column."""
    if n == 1 or index.min() == index.max():
        return [(int(index[0]), None)]
    # Radix sort, and so linear, on 16 bits.
    order = np.argsort(index.astype(np.int16) if n <= 1 << 15 else index, kind="stable")
    ends = np.cumsum(np.bincount(index, minlength=n))
    return [
        (which, order[end - size : end])
        for which, (end, size) in enumerate(zip(ends, np.diff(ends, prepend=0), strict=True))
        if size
    ]
