"""Run a model: from draws to logs, in one piece or in stretches that fit into memory."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, Literal

from simulator import columns, compiled, kernels, reading
from simulator.clock import NEVER
from simulator.draws import WorkloadDraws, side_by_side
from simulator.log import Int32s, Int64s, RunLog
from simulator.model import Model
from simulator.state import Draws, Float64s, State

Engine = Literal["compiled", "reference"]

STRETCH: Final = 1 << 16
"""Requests in one stretch of a streamed run, about: few enough that its tables are touched again and again. The first
touch of fresh memory costs as much as simulating the request that is written there."""

Columns = tuple[Int64s, Int32s, Int64s, Float64s]


@dataclass
class Timing:
    """Wall seconds that a run spent where; filled while its logs are taken."""

    compile: float = 0.0
    draw: float = 0.0
    run: float = 0.0
    stretches: int = field(default=0)


def run(model: Model, engine: Engine = "compiled", timing: Timing | None = None) -> RunLog:
    """The whole log of one run, in one piece.

    Raises
    ------
    ValueError
        ``engine`` is neither "compiled" nor "reference".
    """
    (only,) = run_logs(model, engine, stretch=None, timing=timing)
    return only


def run_logs(
    model: Model,
    engine: Engine = "compiled",
    *,
    stretch: int | Literal["auto"] | None = "auto",
    timing: Timing | None = None,
) -> Iterator[RunLog]:
    """The log of one run in stretches of about ``stretch`` requests; None for one piece.

    The rows are the same whatever the stretch. Memory is bounded by a stretch plus the requests that are in the
    system: bounded as long as the fleets keep up. The reference engine always returns one piece.

    Raises
    ------
    ValueError
        ``engine`` is neither "compiled" nor "reference", or ``stretch`` is less than 1.
    """
    timing = timing if timing is not None else Timing()
    if engine == "reference":
        from simulator.reference import run_reference

        start = time.perf_counter()
        log = run_reference(model)
        timing.run += time.perf_counter() - start
        yield log
        return
    if engine != "compiled":
        raise ValueError(f'engine must be "compiled" or "reference", got {engine!r}')
    if isinstance(stretch, int) and stretch < 1:
        raise ValueError(f"stretch must be at least 1 request, got {stretch}")
    if stretch == "auto":
        stretch = STRETCH if model.expected_requests > 2 * STRETCH else None
    yield from _CompiledRun(model, timing).logs(stretch)


class _CompiledRun:
    """One run of the compiled engine: keeps the draws, the state and the stretch it is in."""

    def __init__(self, model: Model, timing: Timing) -> None:
        self._model = model
        self._timing = timing
        self._tables = model.tables()
        self._sources = [WorkloadDraws(model, w) for w in range(len(model.workloads))]
        self._columns: list[Columns] = [source.more(0) for source in self._sources]
        self._state = columns.empty_state(model)
        self._noisy = any(fleet.noise is not None for fleet in model.fleets)
        self._started = False

    def logs(self, stretch: int | None) -> Iterator[RunLog]:
        """Every stretch's log, the last one with what is left."""
        span_ns = self._model.horizon_ns
        if stretch is not None:
            span_ns = max(int(span_ns * stretch / max(self._model.expected_requests, stretch)), 1)
        until_ns = 0
        while until_ns != NEVER:
            until_ns = until_ns + span_ns if until_ns + span_ns < self._model.horizon_ns else NEVER
            drawn = self._draw(until_ns, stretch)
            if stretch is not None:
                # Traffic that swells gets shorter spans: the rows are the same however it is cut.
                span_ns = max(int(span_ns * min(max(stretch / max(drawn, 0.5), 1 / 8), 2)), 1)
            while (status := self._advance(until_ns)) != compiled.DONE:
                if status == compiled.DRY:
                    self._draw_more()
                elif stretch is None:
                    self._state = columns.with_room(self._model, self._state, self._used())
                else:
                    yield from self._hand_out()
                    self._state = columns.with_room(self._model, self._state, stretch)
            if until_ns == NEVER:
                used, executed = self._used(), int(self._state.counts[0].batches)
                yield reading.read_out(self._tables, self._state, used, executed)
            elif stretch is not None:
                yield from self._hand_out()

    def _used(self) -> int:
        return int(self._state.counts[0].requests)

    def _hand_out(self) -> Iterator[RunLog]:
        """The log of what is final, if that is half of the rows or more: moving up the rest costs no more than it."""
        rows, batches = reading.settled(self._state)
        if 2 * rows < self._used() or not rows:
            return
        log = reading.read_out(self._tables, self._state, rows, batches)
        columns.drop_passed_deadlines(self._state, rows)
        columns.move_up(self._state, rows, batches)
        self._timing.stretches += 1
        yield log

    def _draw(self, until_ns: int, most_rows: int | None = None) -> int:
        """Draw what the open workloads need before ``until_ns``, and say how many requests that is.

        Closed loops get a first supply. Room is made for them all, or for ``most_rows``: a stretch with more is handed
        out in parts.
        """
        start = time.perf_counter()
        open_requests = 0
        for w, source in enumerate(self._sources):
            left = self._left(w)
            if source.closed:
                clients = self._model.workloads[w].clients
                self._columns[w] = left if len(left[0]) else source.more(max(4 * clients, 1024))
            else:
                self._columns[w] = source.until(until_ns)
                open_requests += len(self._columns[w][0])
        self._timing.draw += time.perf_counter() - start
        closed = sum(len(self._columns[w][0]) for w, source in enumerate(self._sources) if source.closed)
        rows = open_requests + closed
        self._state = columns.with_room(self._model, self._state, rows if most_rows is None else min(rows, most_rows))
        self._set_out()
        return open_requests

    def _draw_more(self) -> None:
        """A closed loop has used its draws: double them."""
        start = time.perf_counter()
        for w, source in enumerate(self._sources):
            left = self._left(w)
            if source.closed and not len(left[0]):
                self._columns[w] = source.more(max(2 * len(self._columns[w][0]), 1024))
            else:
                self._columns[w] = left
        self._timing.draw += time.perf_counter() - start
        self._set_out()

    def _left(self, workload: int) -> Columns:
        """The draws of a workload that no request has used yet."""
        position = int(self._state.sources[workload].position)
        times, items, coins, noise = self._columns[workload]
        return times[position:], items[position:], coins[position:], noise[position:]

    def _set_out(self) -> None:
        """Lay the columns side by side and point every source at its next draw."""
        self._draws: Draws = side_by_side(self._columns, self._noisy)
        sources = self._state.sources
        sources["position"] = 0
        for w, source in enumerate(self._sources):
            times = self._columns[w][0]
            if not source.closed:
                sources[w].next_ns = times[0] if len(times) else NEVER
        if not self._started:
            self._started = True
            columns.start_clients(self._model, self._tables, self._draws, self._state)

    def _advance(self, until_ns: int) -> int:
        start = time.perf_counter()
        status = int(compiled.advance(self._tables, self._draws, self._state, until_ns))
        self._timing.run += time.perf_counter() - start
        return status


def warm_up(model: Model, timing: Timing | None = None) -> None:
    """Compile the engine, or load it from the cache, without running anything."""
    start = time.perf_counter()
    job = _CompiledRun(model, Timing())
    job._draw(0)
    compiled.advance(job._tables, job._draws, job._state, -1)
    reading.settled(job._state)
    reading.read_out(job._tables, job._state, 0, 0)
    kernels.remember(compiled.form(model.plain))
    if timing is not None:
        timing.compile += time.perf_counter() - start


__all__ = ["STRETCH", "Engine", "State", "Timing", "run", "run_logs", "warm_up"]
