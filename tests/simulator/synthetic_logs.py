"""Logs written by hand or by a recursion, for tests of what is measured on them without running an engine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from simulator.log import COMPLETED, NOWHERE, BatchLog, RequestLog, RunLog
from simulator.metrics import Description, FleetCost, FleetDescription, Tally, WorkloadDescription, summarise, window_of
from simulator.outcome import Report

MS = 1_000_000
S = 1_000 * MS

Column = npt.ArrayLike
Table = TypeVar("Table", RequestLog, BatchLog)


def request_log(
    arrival_ns: Column,
    queue_ns: Column = 0,
    service_ns: Column = 0,
    *,
    reply_ns: Column = 0,
    front_ns: Column = 0,
    workload: Column = 0,
    fleet: Column = 0,
    items: Column = 1,
    outcome: Column = COMPLETED,
    left_ns: Column | None = None,
) -> RequestLog:
    """Requests from the parts of their latency; one that did not complete has no start and leaves at ``left_ns``."""
    columns = (arrival_ns, queue_ns, service_ns, reply_ns, front_ns, workload, fleet, items, outcome)
    arrival, queue, service, reply, front, served, home, carried, code = (
        np.array(column, np.int64) for column in np.broadcast_arrays(*columns)
    )
    done = code == COMPLETED
    start = np.where(done, arrival + queue, NOWHERE)
    end = np.where(done, start + service, NOWHERE)
    gave_up = np.broadcast_to(np.asarray(arrival if left_ns is None else left_ns, np.int64), arrival.shape)
    return RequestLog(
        workload=served.astype(np.int32),
        fleet=home.astype(np.int32),
        instance=np.zeros(len(arrival), np.int32),
        items=carried.astype(np.int32),
        arrival_ns=arrival,
        queued_ns=arrival + front,
        start_ns=start,
        end_ns=end,
        left_ns=np.where(done, end + reply, gave_up),
        batch_items=np.where(done, carried, 0).astype(np.int32),
        batch=np.where(done, np.arange(len(arrival)), NOWHERE),
        outcome=code.astype(np.int8),
    )


def batch_log(
    start_ns: Column = (), work_ns: Column = 0, *, items: Column = 1, fleet: Column = 0, stretch: int = 1
) -> BatchLog:
    """Executions that each take ``stretch`` times as long as their work alone would."""
    start, work, size, home = (
        np.array(column, np.int64) for column in np.broadcast_arrays(start_ns, work_ns, items, fleet)
    )
    end = start + stretch * work
    return BatchLog(
        fleet=home.astype(np.int32),
        instance=np.zeros(len(start), np.int32),
        model_instance=np.zeros(len(start), np.int32),
        items=size.astype(np.int32),
        requests=size.astype(np.int32),
        taken_ns=start,
        start_ns=start,
        end_ns=end,
        free_ns=end,
        work_ns=work,
    )


def single_server_log(
    random: np.random.Generator, n: int, load: float, *, service: str = "exponential", reply_ns: int = 0
) -> RunLog:
    """Poisson requests to one server that serves one at a time, 1 ms on average: M/M/1 or M/D/1."""
    arrival = np.cumsum(np.rint(random.exponential(MS / load, n)).astype(np.int64))
    work = np.full(n, MS) if service == "constant" else np.rint(random.exponential(MS, n)).astype(np.int64)
    walk = np.concatenate(([0], np.cumsum(work[:-1] - np.diff(arrival))))
    queue = walk - np.minimum.accumulate(walk)
    return RunLog(request_log(arrival, queue, work, reply_ns=reply_ns), batch_log(arrival + queue, work))


def stretches(log: RunLog, request_cuts: Sequence[int], batch_cuts: Sequence[int]) -> list[RunLog]:
    """The log of a streamed run: the same rows in several logs, requests and executions cut at different places."""
    requests = _pieces(log.requests, request_cuts)
    batches = _pieces(log.batches, batch_cuts)
    pieces = max(len(requests), len(batches))
    requests += [request_log([])] * (pieces - len(requests))
    batches += [batch_log()] * (pieces - len(batches))
    return [RunLog(*pair) for pair in zip(requests, batches, strict=True)]


def _pieces(table: Table, cuts: Sequence[int]) -> list[Table]:
    """One table's rows as several tables."""
    columns = [np.split(column, sorted(cuts)) for column in vars(table).values()]
    return [type(table)(**dict(zip(vars(table), piece, strict=True))) for piece in zip(*columns, strict=True)]


def describe(
    *,
    slo_ms: dict[str, float] | None = None,
    capacity: float = 1_000.0,
    workloads: tuple[WorkloadDescription, ...] | None = None,
    fleets: tuple[FleetDescription, ...] | None = None,
) -> Description:
    """One workload on one fleet that executes ``capacity`` items a second, unless told otherwise."""
    return Description(
        scenario="hand-made",
        seed=7,
        engine="compiled",
        workloads=workloads or (WorkloadDescription("search", 0, slo_ms or {}),),
        fleets=fleets or (FleetDescription("gpu", 1, capacity, cost=FleetCost(0.02, 0.8, "own price")),),
        timing_s={"run": 0.01},
        assumptions={"seed": "7"},
    )


def measured(log: RunLog, description: Description, warmup_ns: int, horizon_ns: int, exact: bool = True) -> Tally:
    """What is counted of one log."""
    tally = Tally.of(window_of(description, warmup_ns, horizon_ns), exact=exact)
    tally.add(log)
    return tally


def report_of(
    logs: Sequence[RunLog], description: Description, warmup_ns: int = 0, horizon_ns: int = 10 * S, exact: bool = True
) -> Report:
    """The report of one replication a log."""
    return summarise([measured(log, description, warmup_ns, horizon_ns, exact) for log in logs], description)
