"""The compiled engine's tables between two calls: allocated, grown, and moved up when streamed."""

from __future__ import annotations

from typing import Final

import numpy as np

from simulator.clock import NEVER
from simulator.log import Int64s
from simulator.minima import width
from simulator.model import Model
from simulator.policies import batching, triton
from simulator.policies.routing import SCHEDULE, WORK, outstanding_key
from simulator.state import (
    BATCH,
    COUNT,
    FORMED,
    IDLE,
    INSTANCE,
    NIL,
    SLOT,
    SOURCE,
    WAITING,
    Draws,
    Requests,
    State,
    Tables,
    records,
)

LINKS: Final = ("head", "tail", "loose", "coming", "coming_tail")
"""Fields of an instance that name a request row."""


def empty_state(model: Model) -> State:
    """The state before the first event: everything idle, every client about to think."""
    n = sum(fleet.instances for fleet in model.fleets)
    slots = max(fleet.model_instances for fleet in model.fleets)
    instances = records(n, INSTANCE)
    for link in LINKS:
        instances[link] = NIL
    instances["fleet"] = np.repeat(np.arange(len(model.fleets)), [f.instances for f in model.fleets])
    instances["idle"] = np.repeat([f.model_instances for f in model.fleets], [f.instances for f in model.fleets])
    instances["carried_ns"] = batching.UNSET
    instances["timer_ns"] = NEVER
    instances["batcher"] = triton.FRESH
    slot_rows = records((n, slots), SLOT)
    slot_rows["phase"] = IDLE
    slot_rows["at_ns"] = NEVER
    slot_rows["head"] = NIL
    sources = records(len(model.workloads), SOURCE)
    sources["next_ns"] = NEVER
    sources["deadline"] = NIL
    sources["deadline_tail"] = NIL
    clients = sum(workload.clients for workload in model.workloads)
    return State(
        counts=records(1, COUNT),
        instances=instances,
        slots=slot_rows,
        formed=records((n, 2 * slots + 1), FORMED),
        events=np.full(2 * width(n), NEVER, dtype=np.int64),
        keys=_router_keys(model),
        sources=sources,
        client_ns=np.zeros(clients, dtype=np.int64),
        client=np.zeros(clients, dtype=np.int32),
        requests=_request_columns(model, 0),
        batches=records(0, BATCH),
    )


def _router_keys(model: Model) -> Int64s:
    """Every instance idle and never chosen; among equals the first goes first."""
    keys = []
    for fleet in model.fleets:
        half = width(fleet.instances)
        tree = np.full(2 * half, NEVER, dtype=np.int64)
        if fleet.router == SCHEDULE:
            tree[:] = 0
        elif fleet.router == WORK:
            tree[half : half + fleet.instances] = 0
        else:
            tree[half : half + fleet.instances] = outstanding_key(0, 0)
        if fleet.router != SCHEDULE:
            for node in range(half - 1, 0, -1):
                tree[node] = min(tree[2 * node], tree[2 * node + 1])
        keys.append(tree)
    return np.concatenate(keys)


def _request_columns(model: Model, capacity: int) -> Requests:
    closed = capacity if any(workload.clients for workload in model.workloads) else 0
    impatient = capacity if any(workload.timeout_ns != NEVER for workload in model.workloads) else 0
    noisy = capacity if any(fleet.noise is not None for fleet in model.fleets) else 0
    return Requests(
        workload=np.empty(capacity, dtype=np.int32),
        instance=np.empty(capacity, dtype=np.int32),
        items=np.empty(capacity, dtype=np.int32),
        arrival_ns=np.empty(capacity, dtype=np.int64),
        queued_ns=np.empty(capacity, dtype=np.int64),
        batch=np.full(capacity, WAITING, dtype=np.int64),
        following=np.full(capacity, NIL, dtype=np.int32),
        following_deadline=np.empty(impatient, dtype=np.int32),
        client=np.empty(closed, dtype=np.int32),
        think_ns=np.empty(closed, dtype=np.int64),
        noise=np.empty(noisy, dtype=np.float64),
    )


def with_room(model: Model, state: State, rows: int) -> State:
    """The same state with room for ``rows`` more requests, and as many more executions."""
    used = int(state.counts[0].requests)
    executed = int(state.counts[0].batches)
    slots = state.slots.shape[1]
    if used + rows > len(state.requests.arrival_ns):
        larger = _request_columns(model, used + rows)
        for name, new in larger._asdict().items():
            old = getattr(state.requests, name)
            new[: min(used, len(old))] = old[: min(used, len(new))]
        state = state._replace(requests=larger)
    # An execution takes at least one request that was waiting or is still to come.
    if executed + used + rows + slots + 1 > len(state.batches):
        batches = records(executed + used + rows + slots + 1, BATCH)
        batches[:executed] = state.batches[:executed]
        state = state._replace(batches=batches)
    return state


def start_clients(model: Model, tables: Tables, draws: Draws, state: State) -> None:
    """Closed loops: every client thinks once, then sends; a heap in order of (time, client)."""
    for w, workload in enumerate(model.workloads):
        if not workload.clients:
            continue
        first = int(tables.workloads[w].first_client)
        times = draws.arrival_ns[draws.first[w] : draws.first[w] + workload.clients]
        state.sources[w].position += workload.clients
        order = np.lexsort((np.arange(workload.clients), times))
        order = order[times[order] < model.horizon_ns]
        state.client[first : first + len(order)] = order
        state.client_ns[first : first + len(order)] = times[order]
        state.sources[w].clients = len(order)
        state.sources[w].next_ns = times[order[0]] if len(order) else NEVER


def move_up(state: State, rows: int, batches: int) -> None:
    """Forget the first ``rows`` requests and ``batches`` executions; what is left moves to the top."""
    used = int(state.counts[0].requests)
    executed = int(state.counts[0].batches)
    for column in state.requests:
        if len(column):
            column[: used - rows] = column[rows:used].copy()
    state.batches[: executed - batches] = state.batches[batches:executed].copy()
    state.counts[0].requests -= rows
    state.counts[0].batches -= batches
    state.counts[0].first_batch += batches
    left = used - rows
    state.requests.batch[left:used] = WAITING
    state.requests.following[left:used] = NIL
    for links in (state.requests.following[:left], state.requests.following_deadline[:left]):
        links[:] = np.maximum(links - rows, NIL)
    for link in LINKS:
        state.instances[link] = np.maximum(state.instances[link] - rows, NIL)
    state.slots["head"] = np.maximum(state.slots["head"] - rows, NIL)


def drop_passed_deadlines(state: State, rows: int) -> None:
    """Requests before ``rows`` are final: none of them can time out any more. Call before :func:`move_up`."""
    following = state.requests.following_deadline
    if not len(following):
        return
    for source in state.sources:
        row = int(source.deadline)
        while row != NIL and row < rows:
            row = int(following[row])
        source.deadline = row - rows if row != NIL else NIL
        source.deadline_tail -= rows
