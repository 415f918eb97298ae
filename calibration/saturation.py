"""Runs in which a server never waited for requests: how far apart are the executions of one model instance?"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from calibration.idle import ANSWER, number_in
from calibration.observation import Observation

DeviceMs = Callable[[float], float]
"""Batch size to mean time of an execution in ms."""

FULL: Final = 0.9
"""Mean batch over ``max_batch_size`` from which on batches count as full."""

WAITED: Final = 0.9
"""Throughput over that of a server where nothing waits, below which requests did wait."""

BEHIND: Final = 0.95
"""Throughput over the rate sent, below which an open loop fell behind."""

ITEMS: Final = "items_per_request"
"""Note of a row: items in each request, where ``batch`` is what the server merged."""

LIMITED: Final = "generator_limited"
"""Note of a row: the load generator, not the server, was the limit."""

_MERGED: Final = 0.8


@dataclass(frozen=True, kw_only=True)
class Saturated:
    """Executions that followed one another."""

    batch: float
    """Mean items in an execution."""
    cycle_ms: float
    """Mean time from one execution to the next of the same model instance."""
    separate: bool
    """Whether a batch was merged of separate requests; otherwise each request was a batch of its own."""
    requests_each: float
    """Mean requests in an execution."""
    answer_ms: float | None = None
    """Mean time from the end of an execution to the answer, where the server logs it."""


def saturated_runs(rows: Sequence[Observation]) -> list[Saturated]:
    """In which rows did one model instance work without a pause? The fastest of each batch size, by batch size.

    Full batches of separate requests: a closed loop of at least two of them (one executes, one waits), or an open
    loop that fell behind. Where every request is a batch of its own: more requests outstanding than one, and fewer
    answers than without waiting.

    >>> row = Observation(concurrency=32, max_batch_size=8, throughput_rps=500.0)
    >>> [(run.batch, run.cycle_ms, run.separate) for run in saturated_runs([row])]
    [(8.0, 16.0, True)]
    """
    alone = alone_ms(rows)
    fastest: dict[tuple[float, bool], Saturated] = {}
    for row in rows:
        run = _merged(row, alone) or _own(row, alone)
        if run is None:
            continue
        key = float(round(run.batch)), run.separate
        if key not in fastest or run.cycle_ms / run.batch < fastest[key].cycle_ms / fastest[key].batch:
            fastest[key] = run
    return [fastest[key] for key in sorted(fastest)]


def _usable(row: Observation) -> bool:
    return row.model_instances == 1 and bool(row.throughput_rps) and not row.notes.get(LIMITED) and row.batch > 0


def _fell_behind(row: Observation) -> bool:
    return row.rate_rps is not None and (row.throughput_rps or 0.0) < BEHIND * row.rate_rps


def _merged(row: Observation, alone: Mapping[float, float]) -> Saturated | None:
    """The row as one of full batches of separate requests."""
    size = row.max_batch_size
    if not _usable(row) or size is None or size < 2 or (row.batch != 1 and not row.merged):
        return None
    if not _fell_behind(row) and (row.concurrency or 0.0) < 2 * size:
        return None
    batch = row.batch if row.merged else float(size)
    if batch < FULL * size or not merges(row, alone):
        return None
    return _run(row, batch, batch / items_each(row), separate=True)


def merges(row: Observation, alone: Mapping[float, float]) -> bool:
    """Whether requests were merged at all: a limit for batches is configured more often than batching itself.

    A server that merges nothing answers no more requests than lone ones follow one another.
    """
    lone = alone.get(row.batch)
    return row.merged or lone is None or 1000.0 / (row.throughput_rps or 1.0) < _MERGED * lone


def _own(row: Observation, alone: Mapping[float, float]) -> Saturated | None:
    """The row as one in which every request is a batch of its own."""
    size = row.max_batch_size
    may_merge = size is not None and row.batch < size and merges(row, alone)
    if not _usable(row) or row.merged or may_merge:
        return None
    lone = alone.get(row.batch)
    waited = row.concurrency is not None and row.concurrency >= 2 and lone is not None
    if waited and lone is not None:
        possible = 1000.0 * (row.concurrency or 0.0) / lone
        waited = (row.throughput_rps or 0.0) < WAITED * possible
    return _run(row, row.batch, 1.0, separate=False) if waited or _fell_behind(row) else None


def items_each(row: Observation) -> float:
    """Items in each request of this row: ``batch``, or what the notes say where that is what a server merged."""
    return number_in(row.notes, ITEMS) or 1.0 if row.merged else row.batch


def alone_ms(rows: Sequence[Observation]) -> dict[float, float]:
    """Latency of lone requests by their items."""
    lone = [row for row in rows if row.idle and not row.merged and row.mean_ms is not None]
    return {row.batch: row.mean_ms for row in reversed(lone) if row.mean_ms is not None}


def _run(row: Observation, batch: float, requests_each: float, *, separate: bool) -> Saturated:
    return Saturated(
        batch=batch,
        cycle_ms=1000.0 * requests_each / (row.throughput_rps or 1.0),
        separate=separate,
        requests_each=requests_each,
        answer_ms=number_in(row.notes, ANSWER),
    )
