"""Read finished rows out of the compiled engine's tables, as a log."""

from __future__ import annotations

from collections import namedtuple
from dataclasses import fields
from typing import Any, Final

import numpy as np

from simulator import log
from simulator.kernels import entry, natural
from simulator.log import BatchLog, RequestLog, RunLog, column_type
from simulator.state import EXPIRED, IDLE, NIL, PART, REFUSED, WAITING, State, Tables

Rows: Final[Any] = namedtuple("Rows", [column.name for column in fields(RequestLog)])  # type: ignore[misc]
"""The columns of a request log in a form that compiled code can write into."""


@entry
def settled(state: State) -> tuple[int, int]:
    """How many leading request rows and execution rows are final and can be handed out."""
    requests = state.requests
    used = state.counts[0].requests
    executed = state.counts[0].batches
    first_batch = state.counts[0].first_batch
    rows = 0
    while rows < used:
        number = requests.batch[natural(rows)]
        if number == WAITING or (number >= 0 and state.batches[natural(number - first_batch)].free_ns == NIL):
            break
        rows += 1
    if len(requests.following_deadline) > 0:
        rows = oldest_linked(state, rows)
    batches = 0
    while batches < executed and state.batches[natural(batches)].free_ns != NIL:
        batches += 1
    for row in range(rows, used):
        if requests.batch[row] >= 0:
            batches = min(batches, requests.batch[row] - first_batch)
    return rows, batches


@entry
def oldest_linked(state: State, oldest: int) -> int:
    """The oldest row, at most ``oldest``, that a queue still links; requests that timed out stay linked for a while."""
    requests = state.requests
    for instance in range(state.instances.shape[0]):
        for head in (state.instances[instance].head, state.instances[instance].coming):
            row = head
            while row != NIL:
                oldest = min(oldest, row)
                row = requests.following[row]
        for slot in range(state.slots.shape[1]):
            if state.slots[instance, slot].phase != IDLE:
                number = state.slots[instance, slot].batch
                left = state.batches[number - state.counts[0].first_batch].requests
                row = state.slots[instance, slot].head
                while left > 0:
                    oldest = min(oldest, row)
                    if requests.batch[row] == number:
                        left -= 1
                    row = requests.following[row]
    return oldest


@entry
def write_rows(tables: Tables, state: State, out: Any) -> None:
    """Write the first rows of the engine's requests as rows of a log, as many as ``out`` (Rows) has room for."""
    requests = state.requests
    first_batch = state.counts[0].first_batch
    for row in range(len(out.batch)):
        number = requests.batch[row]
        instance = natural(requests.instance[row])
        fleet = natural(state.instances[instance].fleet)
        workload = natural(requests.workload[row])
        arrival_ns = requests.arrival_ns[row]
        queued_ns = arrival_ns
        items = 1
        if tables.extras is not None:
            queued_ns = requests.queued_ns[row]
            items = requests.items[row]
        start_ns = end_ns = left_ns = log.NOWHERE
        batch_items = 0
        outcome = log.IN_FLIGHT
        if number >= 0:
            batch = state.batches[natural(number - first_batch)]
            start_ns = batch.start_ns
            end_ns = batch.end_ns
            batch_items = batch.items
            left_ns = end_ns + tables.parts[fleet, PART.REPLY, natural(batch_items)]
            outcome = log.COMPLETED
        elif number == REFUSED:
            left_ns = queued_ns
            queued_ns = log.NOWHERE
            outcome = log.REJECTED
        elif number == EXPIRED:
            left_ns = arrival_ns + tables.workloads[workload].timeout_ns
            if queued_ns > left_ns:
                queued_ns = log.NOWHERE
            outcome = log.TIMED_OUT
        out.workload[row] = workload
        out.fleet[row] = fleet
        out.instance[row] = instance
        out.items[row] = items
        out.arrival_ns[row] = arrival_ns
        out.queued_ns[row] = queued_ns
        out.start_ns[row] = start_ns
        out.end_ns[row] = end_ns
        out.left_ns[row] = left_ns
        out.batch_items[row] = batch_items
        out.batch[row] = number if number >= 0 else log.NOWHERE
        out.outcome[row] = outcome


def read_out(tables: Tables, state: State, rows: int, batches: int) -> RunLog:
    """The first ``rows`` requests and ``batches`` executions as a log of their own."""
    out = Rows(*(np.empty(rows, dtype=column_type(column)) for column in fields(RequestLog)))
    write_rows(tables, state, out)
    requests = RequestLog(**out._asdict())
    done = state.batches[:batches]
    instance = done["instance"].astype(np.int32)
    executions = BatchLog(
        fleet=state.instances["fleet"].astype(np.int32)[instance],
        instance=instance,
        model_instance=done["slot"].astype(np.int32),
        items=done["items"].astype(np.int32),
        requests=done["requests"].astype(np.int32),
        taken_ns=done["taken_ns"].copy(),
        start_ns=done["start_ns"].copy(),
        end_ns=done["end_ns"].copy(),
        free_ns=done["free_ns"].copy(),
        work_ns=done["work_ns"].copy(),
    )
    log.freeze(*vars(requests).values(), *vars(executions).values())
    return RunLog(requests, executions)
