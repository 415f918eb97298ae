"""The engine users get: one event loop over integer tables, compiled by numba.

It does what :mod:`simulator.reference` does, request by request and bit for bit; read that first. Decisions are in
:mod:`simulator.policies`, the tables in :mod:`simulator.state`. Here time moves.

The order of simultaneous events is ``(time, instance events < deadlines < arrivals, index, rank)``: instances in their
order, and within one instance its model instances (in their order), then its batcher's timer, then requests that
reach its queue (in the order of arrival); deadlines by workload and request; arrivals by workload and client.

The loop can stop between any two events and go on later: when a stretch of arrivals is used up, when a closed
loop has used its draws, when the request columns are full. That is how runs longer than memory are streamed.
"""

from __future__ import annotations

from typing import Final

from simulator import clients, kernels, minima
from simulator.clock import NEVER
from simulator.compiled_batching import FREED, NOBODY, QUEUED, TIMER, WITHDRAWN, enqueue, matters, wake
from simulator.compiled_service import begin, choose, finish, send_again, settle
from simulator.kernels import entry, inlined, kernel, natural
from simulator.policies import batching
from simulator.state import (
    DISPATCHING,
    EXECUTING,
    EXPIRED,
    IDLE,
    NIL,
    PART,
    WAITING,
    Draws,
    Records,
    Requests,
    State,
    Tables,
)

DONE: Final = 0
"""Every event before the time asked for has happened."""
FULL: Final = 1
"""The request columns or the batch table are full: make room and go on."""
DRY: Final = 2
"""A closed loop has used all its draws: add some and go on."""


@inlined
def next_source(sources: Records) -> int:
    """The workload whose arrival comes next, the first among equals."""
    best = 0
    for workload in range(1, sources.shape[0]):
        if sources[workload].next_ns < sources[best].next_ns:
            best = workload
    return best


@inlined
def next_deadline(tables: Tables, state: State) -> tuple[int, int]:
    """(time, workload) of the earliest deadline of a request that may still time out; NEVER if there is none."""
    at_ns = NEVER
    best = 0
    for workload in range(state.sources.shape[0]):
        row = state.sources[workload].deadline
        if row != NIL:
            due_ns = state.requests.arrival_ns[row] + tables.workloads[workload].timeout_ns
            if due_ns < at_ns:
                at_ns = due_ns
                best = workload
    return at_ns, best


@inlined
def arrive(tables: Tables, draws: Draws, state: State, workload: int, now_ns: int) -> int:
    """A client sends a request: route it and write its row; returns the row."""
    requests = state.requests
    row = natural(state.counts[0].requests)
    state.counts[0].requests = row + 1
    source = state.sources[workload]
    position = source.position
    source.position = position + 1
    draw = natural(draws.first[workload] + position)
    traits = tables.workloads[workload]
    fleet = natural(traits.fleet)
    items = 1
    coin = 0
    if tables.extras is not None:
        items = traits.items
        if items == 0:
            items = draws.items[draw]
        if traits.coin != 0:
            coin = draws.coin[draw]
        if len(requests.noise) > 0:
            requests.noise[row] = draws.noise[draw] if tables.fleets[fleet].noisy != 0 else 0.0
        if len(requests.client) > 0:
            requests.client[row] = NIL
    if tables.extras is not None and traits.closed != 0:
        first = traits.first_client
        requests.client[row] = state.client[first]
        requests.think_ns[row] = draws.arrival_ns[draw]
        clients.pop(state.client_ns, state.client, first, source.clients)
        source.clients -= 1
        source.next_ns = state.client_ns[first] if source.clients > 0 else NEVER
    elif draw + 1 < draws.first[natural(workload + 1)]:
        source.next_ns = draws.arrival_ns[natural(draw + 1)]
    else:
        source.next_ns = NEVER
    if tables.extras is not None and traits.timeout_ns != NEVER:
        requests.following_deadline[row] = NIL
        if source.deadline == NIL:
            source.deadline = row
        else:
            requests.following_deadline[source.deadline_tail] = row
        source.deadline_tail = row

    instance = natural(tables.fleets[fleet].first + choose(tables, state, fleet, now_ns, items, coin))
    if tables.extras is not None:
        queued_ns = now_ns + tables.parts[fleet, PART.ENQUEUE, natural(items)]
        frontend_ns = tables.parts[fleet, PART.FRONTEND, natural(items)]
        if frontend_ns > 0:
            done_ns = max(now_ns, state.instances[instance].frontend_ns) + frontend_ns
            state.instances[instance].frontend_ns = done_ns
            queued_ns += done_ns - now_ns
        requests.queued_ns[row] = queued_ns
        requests.items[row] = items
    requests.workload[row] = workload
    requests.instance[row] = instance
    requests.arrival_ns[row] = now_ns
    return row


@kernel
def approach(state: State, instance: int, row: int) -> None:
    """A request is on its way into the queue: insert it among those coming, by (time, order of arrival)."""
    requests = state.requests
    tail = state.instances[instance].coming_tail
    if tail == NIL or state.instances[instance].coming == NIL:
        requests.following[row] = NIL
        state.instances[instance].coming = row
        state.instances[instance].coming_tail = row
        return
    if requests.queued_ns[tail] <= requests.queued_ns[row]:
        requests.following[row] = NIL
        requests.following[tail] = row
        state.instances[instance].coming_tail = row
        return
    before = NIL
    after = state.instances[instance].coming
    while requests.queued_ns[after] <= requests.queued_ns[row]:
        before = after
        after = requests.following[after]
    requests.following[row] = after
    if before == NIL:
        state.instances[instance].coming = row
    else:
        requests.following[before] = row


@inlined
def withdraw(tables: Tables, state: State, workload: int, now_ns: int) -> int:
    """The oldest deadline of a workload has come; the instance whose queue changed, or NIL."""
    requests = state.requests
    row = state.sources[workload].deadline
    state.sources[workload].deadline = requests.following_deadline[row]
    if requests.batch[row] != WAITING:
        return NIL
    requests.batch[row] = EXPIRED
    instance = requests.instance[row]
    settle(tables, state, instance, 1)
    if len(requests.client) > 0 and requests.client[row] != NIL:
        send_again(tables, state, row, now_ns)
    if requests.queued_ns[row] > now_ns:
        return NIL
    place = state.instances[instance]
    place.waiting -= 1
    place.waiting_items -= requests.items[row]
    head = place.head
    while head >= 0 and requests.batch[head] == EXPIRED:
        head = requests.following[head]
    place.head = head
    place.loose = head
    if head == NIL:
        place.tail = NIL
        place.carried_ns = batching.UNSET
    return instance


@inlined
def next_event_ns(tables: Tables, state: State, instance: int) -> int:
    """When something happens next at this instance; NEVER if nothing does."""
    at_ns = state.instances[instance].timer_ns
    if tables.extras is None:
        return min(at_ns, state.slots[instance, 0].at_ns)
    for slot in range(tables.fleets[state.instances[instance].fleet].model_instances):
        at_ns = min(at_ns, state.slots[instance, natural(slot)].at_ns)
    coming = state.instances[instance].coming
    if coming != NIL:
        at_ns = min(at_ns, state.requests.queued_ns[coming])
    return at_ns


@inlined
def happen(tables: Tables, state: State, instance: int, now_ns: int) -> int:
    """The next event of an instance takes place; what it is to the instance's batcher."""
    slots = state.slots
    slot = 0
    if tables.extras is not None:
        last = tables.fleets[natural(state.instances[instance].fleet)].model_instances
        while slot < last and slots[instance, natural(slot)].at_ns != now_ns:
            slot += 1
        if slot == last:
            if state.instances[instance].timer_ns == now_ns:
                return TIMER
            row = natural(state.instances[instance].coming)
            state.instances[instance].coming = state.requests.following[row]
            return QUEUED if enqueue(tables, state, instance, row, now_ns) else NOBODY
        if slots[instance, natural(slot)].phase == DISPATCHING:
            begin(tables, state, instance, slot, now_ns)
            return NOBODY
    elif slots[instance, 0].at_ns != now_ns:
        return TIMER
    if slots[instance, natural(slot)].phase == EXECUTING:
        finish(tables, state, instance, slot, now_ns)
        if slots[instance, natural(slot)].at_ns > now_ns:
            return NOBODY
    slots[instance, natural(slot)].phase = IDLE
    slots[instance, natural(slot)].at_ns = NEVER
    if state.instances[instance].idle == 0:
        state.instances[instance].ready_ns = now_ns
    state.instances[instance].idle += 1
    return FREED


@entry
def advance(tables: Tables, draws: Draws, state: State, until_ns: int) -> int:
    """Let every event before ``until_ns`` happen, in order; returns DONE, FULL or DRY.

    ``draws`` must hold every arrival of the open workloads before ``until_ns``; ``state`` is changed in place.
    """
    requests: Requests = state.requests
    events = state.events
    n = len(state.instances)
    half = len(events) // 2
    most_batches = len(state.batches) - state.slots.shape[1]
    room = len(requests.arrival_ns)
    workload = natural(next_source(state.sources))
    arrival_ns = state.sources[workload].next_ns
    deadline_ns, impatient = next_deadline(tables, state)
    busiest = natural(minima.smallest(events, 0, half, n))
    event_ns = events[natural(half + busiest)]
    while True:
        if event_ns <= arrival_ns and event_ns <= deadline_ns:
            now_ns = event_ns
            if now_ns >= until_ns:
                return DONE
            if state.counts[0].batches >= most_batches:
                return FULL
            instance = busiest
            why = happen(tables, state, instance, now_ns)
        elif tables.extras is not None and deadline_ns <= arrival_ns:
            now_ns = deadline_ns
            if now_ns >= until_ns:
                return DONE
            if state.counts[0].batches >= most_batches:
                return FULL
            changed = withdraw(tables, state, impatient, now_ns)
            why = NOBODY if changed == NIL else WITHDRAWN
            instance = natural(max(changed, 0))
        else:
            now_ns = arrival_ns
            if now_ns >= until_ns:
                return DONE
            if state.counts[0].requests == room or state.counts[0].batches >= most_batches:
                return FULL
            if draws.first[workload] + state.sources[workload].position == draws.first[natural(workload + 1)]:
                return DRY
            row = arrive(tables, draws, state, workload, now_ns)
            instance = natural(requests.instance[row])
            why = NOBODY
            if tables.extras is None:
                enqueue(tables, state, instance, row, now_ns)
                if not matters(tables, state, instance):
                    workload = natural(next_source(state.sources))
                    arrival_ns = state.sources[workload].next_ns
                    continue
                why = QUEUED
            elif requests.queued_ns[row] > now_ns:
                approach(state, instance, row)
            elif enqueue(tables, state, instance, row, now_ns) and matters(tables, state, instance):
                why = QUEUED
        if why != NOBODY:
            wake(tables, state, instance, now_ns, why)
        minima.put(events, 0, half, n, instance, next_event_ns(tables, state, instance))
        busiest = natural(minima.smallest(events, 0, half, n))
        event_ns = events[natural(half + busiest)]
        workload = natural(next_source(state.sources))
        arrival_ns = state.sources[workload].next_ns
        if tables.extras is not None:
            deadline_ns, impatient = next_deadline(tables, state)


def form(plain: bool) -> str:
    """Name of the compiled form that plain models run in, or all others."""
    return "plain" if plain else "full"


def is_warm(plain: bool) -> bool:
    """Whether this form of the loop has been compiled and kept on disk (else its first call compiles)."""
    return kernels.remembers(form(plain))
