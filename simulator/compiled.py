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
from simulator.kernels import entry, inlined, kernel
from simulator.log import Int64s
from simulator.policies import admission, batching, routing, service, triton
from simulator.state import (
    BATCH,
    COUNT,
    DISPATCHING,
    EXECUTING,
    EXPIRED,
    FLEET,
    FORMED,
    IDLE,
    INSTANCE,
    NIL,
    PART,
    REFUSED,
    RELEASING,
    SLOT,
    SOURCE,
    WAITING,
    WORKLOAD,
    Draws,
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

# What brought the loop to an instance's batcher.
NOBODY: Final = 0
FREED: Final = 1
TIMER: Final = 2
QUEUED: Final = 3
WITHDRAWN: Final = 4


@inlined
def next_source(sources: Int64s) -> int:
    """The workload whose arrival comes next, the first among equals."""
    best = 0
    for workload in range(1, sources.shape[0]):
        if sources[workload, SOURCE.NEXT_NS] < sources[best, SOURCE.NEXT_NS]:
            best = workload
    return best


@inlined
def next_deadline(tables: Tables, state: State) -> tuple[int, int]:
    """(time, workload) of the earliest deadline of a request that may still time out; NEVER if there is none."""
    at_ns = NEVER
    best = 0
    for workload in range(state.sources.shape[0]):
        row = state.sources[workload, SOURCE.DEADLINE]
        if row != NIL:
            due_ns = state.requests.arrival_ns[row] + tables.workloads[workload, WORKLOAD.TIMEOUT_NS]
            if due_ns < at_ns:
                at_ns = due_ns
                best = workload
    return at_ns, best


@inlined
def choose(tables: Tables, state: State, fleet: int, now_ns: int, items: int, coin: int) -> int:
    """Route one request: the chosen instance's index within the fleet; its router key is updated."""
    n = tables.fleets[fleet, FLEET.INSTANCES]
    pick = state.counts[COUNT.PICKS]
    state.counts[COUNT.PICKS] = pick + 1
    if n == 1:
        return 0
    router = tables.fleets[fleet, FLEET.ROUTER]
    keys = state.keys
    offset = tables.fleets[fleet, FLEET.KEYS]
    half = width(n)
    if router == routing.SCHEDULE:
        turn = keys[offset]
        keys[offset] = (turn + 1) % tables.fleets[fleet, FLEET.TURNS]
        return tables.schedule[tables.fleets[fleet, FLEET.SCHEDULE] + turn]
    if router == routing.RANDOM:
        return routing.drawn(coin, n)
    if router == routing.LEAST:
        chosen = minima.smallest(keys, offset, half, n)
        minima.put(keys, offset, half, n, chosen, routing.picked(keys[offset + half + chosen], pick))
        return chosen
    if router == routing.TWO:
        one = routing.drawn(coin, n)
        other = routing.drawn_other(coin, n)
        load = routing.outstanding_of(keys[offset + half + one])
        other_load = routing.outstanding_of(keys[offset + half + other])
        chosen = routing.less_loaded(one, load, other, other_load)
        keys[offset + half + chosen] = routing.picked(keys[offset + half + chosen], pick)
        return chosen
    chosen = minima.smallest(keys, offset, half, n)
    work_ns = tables.fleets[fleet, FLEET.ITEM_WORK_NS]
    key = routing.booked(keys[offset + half + chosen], now_ns, items, work_ns)
    minima.put(keys, offset, half, n, chosen, key)
    return chosen


@inlined
def settle(tables: Tables, state: State, instance: int, requests: int) -> None:
    """Tell the router that ``requests`` sent to this instance are no longer outstanding."""
    fleet = state.instances[instance, INSTANCE.FLEET]
    n = tables.fleets[fleet, FLEET.INSTANCES]
    router = tables.fleets[fleet, FLEET.ROUTER]
    if n > 1 and (router == routing.LEAST or router == routing.TWO):
        offset = tables.fleets[fleet, FLEET.KEYS]
        half = width(n)
        leaf = instance - tables.fleets[fleet, FLEET.FIRST]
        key = routing.finished(state.keys[offset + half + leaf], requests)
        minima.put(state.keys, offset, half, n, leaf, key)


@inlined
def width(leaves: int) -> int:
    """As :func:`simulator.minima.width`, for compiled code."""
    half = 1
    while half < leaves:
        half *= 2
    return half


@kernel
def send_again(tables: Tables, state: State, row: int, answered_ns: int) -> None:
    """Closed loop: the client of this request has its answer; it thinks, then sends the next one."""
    workload = state.requests.workload[row]
    at_ns = answered_ns + state.requests.think_ns[row]
    if at_ns >= tables.horizon_ns:
        return
    first = tables.workloads[workload, WORKLOAD.FIRST_CLIENT]
    size = state.sources[workload, SOURCE.CLIENTS]
    clients.push(state.client_ns, state.client, first, size, at_ns, state.requests.client[row])
    state.sources[workload, SOURCE.CLIENTS] = size + 1
    state.sources[workload, SOURCE.NEXT_NS] = state.client_ns[first]


@kernel
def change_speed(tables: Tables, state: State, instance: int, now_ns: int, before: int, after: int) -> None:
    """Executions beside each other: ``before`` ran until now, ``after`` run from now; move their ends."""
    fleet = state.instances[instance, INSTANCE.FLEET]
    old = tables.slow_ppm[fleet, before]
    new = tables.slow_ppm[fleet, after]
    if old == new:
        return
    slots = state.slots
    for slot in range(tables.fleets[fleet, FLEET.MODEL_INSTANCES]):
        if slots[instance, slot, SLOT.PHASE] == EXECUTING:
            since_ns = slots[instance, slot, SLOT.SINCE_NS]
            left_ns = service.work_left(slots[instance, slot, SLOT.WORK_NS], now_ns - since_ns, old)
            slots[instance, slot, SLOT.WORK_NS] = left_ns
            slots[instance, slot, SLOT.SINCE_NS] = now_ns
            slots[instance, slot, SLOT.AT_NS] = now_ns + service.duration(left_ns, new)


@inlined
def begin(tables: Tables, state: State, instance: int, slot: int, now_ns: int) -> None:
    """An execution starts on the accelerator."""
    fleet = state.instances[instance, INSTANCE.FLEET]
    running = state.instances[instance, INSTANCE.RUNNING] + 1
    state.instances[instance, INSTANCE.RUNNING] = running
    if running > 1:
        change_speed(tables, state, instance, now_ns, running - 1, running)
    slots = state.slots
    slots[instance, slot, SLOT.PHASE] = EXECUTING
    slots[instance, slot, SLOT.SINCE_NS] = now_ns
    work_ns = slots[instance, slot, SLOT.WORK_NS]
    slots[instance, slot, SLOT.AT_NS] = now_ns + service.duration(work_ns, tables.slow_ppm[fleet, running])
    state.batches[slots[instance, slot, SLOT.BATCH] - state.counts[COUNT.FIRST_BATCH], BATCH.START_NS] = now_ns


@inlined
def finish(tables: Tables, state: State, instance: int, slot: int, now_ns: int) -> None:
    """An execution ends: replies leave, the release of the model instance begins."""
    fleet = state.instances[instance, INSTANCE.FLEET]
    slots = state.slots
    running = state.instances[instance, INSTANCE.RUNNING] - 1
    state.instances[instance, INSTANCE.RUNNING] = running
    slots[instance, slot, SLOT.PHASE] = RELEASING
    if running > 0:
        change_speed(tables, state, instance, now_ns, running + 1, running)
    number = slots[instance, slot, SLOT.BATCH]
    row = number - state.counts[COUNT.FIRST_BATCH]
    items = state.batches[row, BATCH.ITEMS]
    requests = state.batches[row, BATCH.REQUESTS]
    state.batches[row, BATCH.END_NS] = now_ns
    settle(tables, state, instance, requests)
    if len(state.requests.client) > 0:
        answered_ns = now_ns + tables.parts[fleet, PART.REPLY, items]
        request = slots[instance, slot, SLOT.HEAD]
        left = requests
        while left > 0:
            if state.requests.batch[request] == number:
                left -= 1
                if state.requests.client[request] != NIL:
                    send_again(tables, state, request, answered_ns)
            request = state.requests.following[request]
    free_ns = now_ns + tables.parts[fleet, PART.RELEASE, items]
    state.batches[row, BATCH.FREE_NS] = free_ns
    slots[instance, slot, SLOT.AT_NS] = free_ns


@inlined
def take(tables: Tables, state: State, instance: int, now_ns: int, most: int, max_items: int) -> int:
    """A free model instance takes the oldest requests, at most ``most``, as long as they fit; returns how many."""
    fleet = state.instances[instance, INSTANCE.FLEET]
    requests = state.requests
    number = state.counts[COUNT.FIRST_BATCH] + state.counts[COUNT.BATCHES]
    head = state.instances[instance, INSTANCE.HEAD]
    request = head
    items = 0
    taken = 0
    while request >= 0 and taken < most:
        if requests.batch[request] == WAITING:
            if not batching.joins(items, requests.items[request], max_items):
                break
            items += requests.items[request]
            taken += 1
            requests.batch[request] = number
        request = requests.following[request]
    while request >= 0 and requests.batch[request] == EXPIRED:
        request = requests.following[request]
    state.instances[instance, INSTANCE.HEAD] = request
    if request == NIL:
        state.instances[instance, INSTANCE.TAIL] = NIL

    slots = state.slots
    slot = 0
    while slots[instance, slot, SLOT.PHASE] != IDLE:
        slot += 1
    state.instances[instance, INSTANCE.IDLE] -= 1
    work_ns = tables.parts[fleet, PART.SERVICE, items]
    if tables.fleets[fleet, FLEET.NOISY] != 0:
        work_ns = service.noisy(work_ns, tables.noise[tables.noise_row[fleet, items]], requests.noise[head])
    slots[instance, slot, SLOT.WORK_NS] = work_ns
    slots[instance, slot, SLOT.BATCH] = number
    slots[instance, slot, SLOT.HEAD] = head

    row = state.counts[COUNT.BATCHES]
    state.counts[COUNT.BATCHES] = row + 1
    batches = state.batches
    batches[row, BATCH.INSTANCE] = instance
    batches[row, BATCH.SLOT] = slot
    batches[row, BATCH.ITEMS] = items
    batches[row, BATCH.REQUESTS] = taken
    batches[row, BATCH.TAKEN_NS] = now_ns
    batches[row, BATCH.START_NS] = NIL
    batches[row, BATCH.END_NS] = NIL
    batches[row, BATCH.FREE_NS] = NIL
    batches[row, BATCH.WORK_NS] = work_ns
    dispatch_ns = tables.parts[fleet, PART.DISPATCH, items]
    if dispatch_ns > 0:
        slots[instance, slot, SLOT.PHASE] = DISPATCHING
        slots[instance, slot, SLOT.AT_NS] = now_ns + dispatch_ns
    else:
        begin(tables, state, instance, slot, now_ns)
    return taken


@inlined
def launch(tables: Tables, state: State, instance: int, now_ns: int) -> None:
    """Free model instances take batches from the queue (all rules but Triton's), or the timer is set."""
    fleet = state.instances[instance, INSTANCE.FLEET]
    rule = tables.fleets[fleet, FLEET.RULE]
    max_batch = tables.fleets[fleet, FLEET.MAX_BATCH]
    delay_ns = tables.fleets[fleet, FLEET.DELAY_NS]
    most = 1 if rule == batching.NONE else max_batch
    row = state.instances[instance]
    timer_ns = NEVER
    while row[INSTANCE.IDLE] > 0 and row[INSTANCE.WAITING] > 0:
        at_ns = batching.launch_ns(
            rule,
            row[INSTANCE.WAITING_ITEMS],
            max_batch,
            delay_ns,
            state.requests.queued_ns[row[INSTANCE.HEAD]],
            row[INSTANCE.READY_NS],
            row[INSTANCE.CARRIED_NS],
        )
        if at_ns > now_ns:
            if at_ns < batching.WAIT_FOR_MORE:
                timer_ns = at_ns
            break
        taken = take(tables, state, instance, now_ns, most, max_batch)
        row[INSTANCE.WAITING] -= taken
        row[INSTANCE.WAITING_ITEMS] -= state.batches[state.counts[COUNT.BATCHES] - 1, BATCH.ITEMS]
        row[INSTANCE.CARRIED_NS] = now_ns if row[INSTANCE.WAITING] > 0 else batching.UNSET
        row[INSTANCE.READY_NS] = now_ns
    row[INSTANCE.TIMER_NS] = timer_ns


@kernel
def take_formed(tables: Tables, state: State, instance: int, now_ns: int) -> None:
    """Triton: a free model instance takes the oldest formed batch and swallows those that have waited too long."""
    fleet = state.instances[instance, INSTANCE.FLEET]
    max_batch = tables.fleets[fleet, FLEET.MAX_BATCH]
    row = state.instances[instance]
    formed = state.formed[instance]
    ring = formed.shape[0]
    front = row[INSTANCE.FORMED_HEAD]
    requests = formed[front, FORMED.REQUESTS]
    items = formed[front, FORMED.ITEMS]
    if row[INSTANCE.FORMED] == 1:
        row[INSTANCE.BATCHER] = triton.STALE
    row[INSTANCE.FORMED] -= 1
    front = (front + 1) % ring
    while row[INSTANCE.FORMED] > 0 and triton.merge_due(
        formed[front, FORMED.OLDEST_NS], now_ns, tables.fleets[fleet, FLEET.DELAY_NS]
    ):
        if row[INSTANCE.FORMED] == 1:
            row[INSTANCE.BATCHER] = triton.STALE
        if not batching.joins(items, formed[front, FORMED.ITEMS], max_batch):
            break
        requests += formed[front, FORMED.REQUESTS]
        items += formed[front, FORMED.ITEMS]
        row[INSTANCE.FORMED] -= 1
        front = (front + 1) % ring
    row[INSTANCE.FORMED_HEAD] = front
    take(tables, state, instance, now_ns, requests, items)


@kernel
def form(state: State, instance: int, requests: int) -> None:
    """Triton: move the oldest ``requests`` that are in no batch into the open batch, or into a new one."""
    row = state.instances[instance]
    formed = state.formed[instance]
    ring = formed.shape[0]
    request = row[INSTANCE.LOOSE]
    if row[INSTANCE.BATCHER] == triton.FRESH:
        place = (row[INSTANCE.FORMED_HEAD] + row[INSTANCE.FORMED]) % ring
        formed[place, FORMED.REQUESTS] = 0
        formed[place, FORMED.ITEMS] = 0
        formed[place, FORMED.OLDEST_NS] = state.requests.queued_ns[request]
        row[INSTANCE.FORMED] += 1
        row[INSTANCE.BATCHER] = triton.OPEN
    else:
        place = (row[INSTANCE.FORMED_HEAD] + row[INSTANCE.FORMED] - 1) % ring
    moved = 0
    items = 0
    while moved < requests:
        if state.requests.batch[request] == WAITING:
            moved += 1
            items += state.requests.items[request]
        request = state.requests.following[request]
    while request >= 0 and state.requests.batch[request] == EXPIRED:
        request = state.requests.following[request]
    row[INSTANCE.LOOSE] = request
    row[INSTANCE.WAITING] -= moved
    row[INSTANCE.WAITING_ITEMS] -= items
    row[INSTANCE.OPEN_ITEMS] += items
    formed[place, FORMED.REQUESTS] += moved
    formed[place, FORMED.ITEMS] += items


@kernel
def look(tables: Tables, state: State, instance: int, now_ns: int) -> None:
    """Triton: the batcher looks at the queue until it has nothing more to do, then sleeps."""
    fleet = state.instances[instance, INSTANCE.FLEET]
    max_batch = tables.fleets[fleet, FLEET.MAX_BATCH]
    delay_ns = tables.fleets[fleet, FLEET.DELAY_NS]
    preferred = tables.preferred[fleet]
    requests = state.requests
    row = state.instances[instance]
    row[INSTANCE.LOOKED_NS] = now_ns
    row[INSTANCE.TIMER_NS] = NEVER
    row[INSTANCE.BLOCKED] = 0
    while True:
        if row[INSTANCE.BATCHER] == triton.STALE:
            row[INSTANCE.BATCHER] = triton.FRESH
            row[INSTANCE.OPEN_ITEMS] = 0
            row[INSTANCE.HOPED] = 0
        if row[INSTANCE.WAITING] == 0:
            return
        ahead = tables.fleets[fleet, FLEET.FORMS_AHEAD] != 0
        slots = tables.fleets[fleet, FLEET.MODEL_INSTANCES]
        if not triton.may_form(ahead, row[INSTANCE.FORMED], row[INSTANCE.IDLE], slots):
            row[INSTANCE.BLOCKED] = 1
            return
        open_items = row[INSTANCE.OPEN_ITEMS]
        glance = triton.Glance(0, 0, 0, 0, False, False)
        request = row[INSTANCE.LOOSE]
        while request >= 0 and not glance.full:
            if requests.batch[request] == WAITING:
                glance = triton.examine(glance, open_items, requests.items[request], max_batch, preferred)
            request = requests.following[request]
        oldest_ns = requests.queued_ns[row[INSTANCE.LOOSE]]
        action, moving, closes, hoped = triton.verdict(glance, open_items, now_ns - oldest_ns, delay_ns, preferred)
        if hoped != triton.KEEP:
            row[INSTANCE.HOPED] = hoped
        if action == triton.SLEEP:
            row[INSTANCE.TIMER_NS] = oldest_ns + delay_ns
            return
        if action == triton.FORM:
            form(state, instance, moving)
            if row[INSTANCE.IDLE] > 0:
                take_formed(tables, state, instance, now_ns)
        if closes:
            row[INSTANCE.BATCHER] = triton.STALE


@inlined
def wake(tables: Tables, state: State, instance: int, now_ns: int, why: int) -> None:
    """Something happened at this instance: its batcher decides."""
    fleet = state.instances[instance, INSTANCE.FLEET]
    if tables.fleets[fleet, FLEET.RULE] != batching.TRITON:
        launch(tables, state, instance, now_ns)
        return
    row = state.instances[instance]
    if why == QUEUED:
        ahead = tables.fleets[fleet, FLEET.FORMS_AHEAD] != 0
        slots = tables.fleets[fleet, FLEET.MODEL_INSTANCES]
        room = triton.may_form(ahead, row[INSTANCE.FORMED], row[INSTANCE.IDLE], slots)
        if not room or not triton.wakes(row[INSTANCE.BATCHER], row[INSTANCE.WAITING_ITEMS], row[INSTANCE.HOPED]):
            if row[INSTANCE.TIMER_NS] == NEVER and row[INSTANCE.BLOCKED] == 0:
                row[INSTANCE.TIMER_NS] = triton.next_poll_ns(row[INSTANCE.LOOKED_NS], now_ns)
            return
    if why == FREED:
        if row[INSTANCE.FORMED] > 0:
            take_formed(tables, state, instance, now_ns)
        elif row[INSTANCE.BLOCKED] == 0:
            return
    look(tables, state, instance, now_ns)


@inlined
def matters(tables: Tables, state: State, instance: int) -> bool:
    """Whether a request that just joined the queue can change what happens next.

    Not while all model instances are busy (Triton's batcher forms ahead, so there it can), and not behind others
    unless it fills the batch: under every rule the timer belongs to the oldest.
    """
    row = state.instances[instance]
    fleet = row[INSTANCE.FLEET]
    if tables.fleets[fleet, FLEET.RULE] == batching.TRITON:
        return True
    full = row[INSTANCE.WAITING_ITEMS] >= tables.fleets[fleet, FLEET.MAX_BATCH]
    return row[INSTANCE.IDLE] > 0 and (row[INSTANCE.WAITING] == 1 or full)


@inlined
def enqueue(tables: Tables, state: State, instance: int, row: int, now_ns: int) -> bool:
    """A request reaches the queue of its instance; whether it joined."""
    requests = state.requests
    if requests.batch[row] != WAITING:
        return False
    fleet = state.instances[instance, INSTANCE.FLEET]
    if not admission.admits(state.instances[instance, INSTANCE.WAITING], tables.fleets[fleet, FLEET.MAX_QUEUE]):
        requests.batch[row] = REFUSED
        settle(tables, state, instance, 1)
        if len(requests.client) > 0 and requests.client[row] != NIL:
            send_again(tables, state, row, now_ns)
        return False
    requests.following[row] = NIL
    tail = state.instances[instance, INSTANCE.TAIL]
    if tail == NIL:
        state.instances[instance, INSTANCE.HEAD] = row
    else:
        requests.following[tail] = row
    state.instances[instance, INSTANCE.TAIL] = row
    if state.instances[instance, INSTANCE.WAITING] == 0:
        state.instances[instance, INSTANCE.LOOSE] = row
    state.instances[instance, INSTANCE.WAITING] += 1
    state.instances[instance, INSTANCE.WAITING_ITEMS] += requests.items[row]
    return True


@kernel
def approach(state: State, instance: int, row: int) -> None:
    """A request is on its way into the queue: insert it among those coming, by (time, order of arrival)."""
    requests = state.requests
    tail = state.instances[instance, INSTANCE.COMING_TAIL]
    if tail == NIL or state.instances[instance, INSTANCE.COMING] == NIL:
        requests.following[row] = NIL
        state.instances[instance, INSTANCE.COMING] = row
        state.instances[instance, INSTANCE.COMING_TAIL] = row
        return
    if requests.queued_ns[tail] <= requests.queued_ns[row]:
        requests.following[row] = NIL
        requests.following[tail] = row
        state.instances[instance, INSTANCE.COMING_TAIL] = row
        return
    before = NIL
    after = state.instances[instance, INSTANCE.COMING]
    while requests.queued_ns[after] <= requests.queued_ns[row]:
        before = after
        after = requests.following[after]
    requests.following[row] = after
    if before == NIL:
        state.instances[instance, INSTANCE.COMING] = row
    else:
        requests.following[before] = row


@inlined
def withdraw(tables: Tables, state: State, workload: int, now_ns: int) -> int:
    """The oldest deadline of a workload has come; the instance whose queue changed, or NIL."""
    requests = state.requests
    row = state.sources[workload, SOURCE.DEADLINE]
    state.sources[workload, SOURCE.DEADLINE] = requests.following_deadline[row]
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
    place[INSTANCE.WAITING] -= 1
    place[INSTANCE.WAITING_ITEMS] -= requests.items[row]
    head = place[INSTANCE.HEAD]
    while head >= 0 and requests.batch[head] == EXPIRED:
        head = requests.following[head]
    place[INSTANCE.HEAD] = head
    place[INSTANCE.LOOSE] = head
    if head == NIL:
        place[INSTANCE.TAIL] = NIL
        place[INSTANCE.CARRIED_NS] = batching.UNSET
    return instance


@inlined
def arrive(tables: Tables, draws: Draws, state: State, workload: int, now_ns: int) -> int:
    """A client sends a request: route it and write its row; returns the row."""
    requests = state.requests
    row = state.counts[COUNT.REQUESTS]
    state.counts[COUNT.REQUESTS] = row + 1
    source = state.sources[workload]
    position = source[SOURCE.POSITION]
    source[SOURCE.POSITION] = position + 1
    draw = draws.first[workload] + position
    traits = tables.workloads[workload]
    fleet = traits[WORKLOAD.FLEET]
    items = traits[WORKLOAD.ITEMS]
    if items == 0:
        items = draws.items[draw]
    coin = 0
    if traits[WORKLOAD.COIN] != 0:
        coin = draws.coin[draw]
    if len(requests.noise) > 0:
        requests.noise[row] = draws.noise[draw] if tables.fleets[fleet, FLEET.NOISY] != 0 else 0.0
    if len(requests.client) > 0:
        requests.client[row] = NIL
    if traits[WORKLOAD.CLOSED] != 0:
        first = traits[WORKLOAD.FIRST_CLIENT]
        requests.client[row] = state.client[first]
        requests.think_ns[row] = draws.arrival_ns[draw]
        clients.pop(state.client_ns, state.client, first, source[SOURCE.CLIENTS])
        source[SOURCE.CLIENTS] -= 1
        source[SOURCE.NEXT_NS] = state.client_ns[first] if source[SOURCE.CLIENTS] > 0 else NEVER
    elif draw + 1 < draws.first[workload + 1]:
        source[SOURCE.NEXT_NS] = draws.arrival_ns[draw + 1]
    else:
        source[SOURCE.NEXT_NS] = NEVER
    if traits[WORKLOAD.TIMEOUT_NS] != NEVER:
        requests.following_deadline[row] = NIL
        if source[SOURCE.DEADLINE] == NIL:
            source[SOURCE.DEADLINE] = row
        else:
            requests.following_deadline[source[SOURCE.DEADLINE_TAIL]] = row
        source[SOURCE.DEADLINE_TAIL] = row

    instance = tables.fleets[fleet, FLEET.FIRST] + choose(tables, state, fleet, now_ns, items, coin)
    queued_ns = now_ns + tables.parts[fleet, PART.ENQUEUE, items]
    frontend_ns = tables.parts[fleet, PART.FRONTEND, items]
    if frontend_ns > 0:
        done_ns = max(now_ns, state.instances[instance, INSTANCE.FRONTEND_NS]) + frontend_ns
        state.instances[instance, INSTANCE.FRONTEND_NS] = done_ns
        queued_ns += done_ns - now_ns
    requests.workload[row] = workload
    requests.instance[row] = instance
    requests.items[row] = items
    requests.arrival_ns[row] = now_ns
    requests.queued_ns[row] = queued_ns
    requests.batch[row] = WAITING
    return row


@inlined
def next_event_ns(tables: Tables, state: State, instance: int) -> int:
    """When something happens next at this instance; NEVER if nothing does."""
    at_ns = state.instances[instance, INSTANCE.TIMER_NS]
    for slot in range(tables.fleets[state.instances[instance, INSTANCE.FLEET], FLEET.MODEL_INSTANCES]):
        at_ns = min(at_ns, state.slots[instance, slot, SLOT.AT_NS])
    coming = state.instances[instance, INSTANCE.COMING]
    if coming != NIL:
        at_ns = min(at_ns, state.requests.queued_ns[coming])
    return at_ns


@entry
def advance(tables: Tables, draws: Draws, state: State, until_ns: int) -> int:
    """Let every event before ``until_ns`` happen, in order; returns DONE, FULL or DRY.

    ``draws`` must hold every arrival of the open workloads before ``until_ns``; ``state`` is changed in place.
    """
    requests: Requests = state.requests
    n = state.instances.shape[0]
    half = width(n)
    events = state.events
    most_batches = state.batches.shape[0] - state.slots.shape[1]
    deadlines = len(requests.following_deadline) > 0
    workload = 0
    arrival_ns = NIL
    deadline_ns, impatient = next_deadline(tables, state)
    while True:
        if arrival_ns == NIL:
            workload = next_source(state.sources)
            arrival_ns = state.sources[workload, SOURCE.NEXT_NS]
        instance = minima.smallest(events, 0, half, n)
        now_ns = events[half + instance]
        if state.counts[COUNT.BATCHES] >= most_batches:
            return FULL
        why = NOBODY
        if now_ns <= arrival_ns and now_ns <= deadline_ns:
            if now_ns >= until_ns:
                return DONE
            slot = 0
            slots = tables.fleets[state.instances[instance, INSTANCE.FLEET], FLEET.MODEL_INSTANCES]
            while slot < slots and state.slots[instance, slot, SLOT.AT_NS] != now_ns:
                slot += 1
            if slot < slots:
                if state.slots[instance, slot, SLOT.PHASE] == DISPATCHING:
                    begin(tables, state, instance, slot, now_ns)
                elif state.slots[instance, slot, SLOT.PHASE] == EXECUTING:
                    finish(tables, state, instance, slot, now_ns)
                    arrival_ns = NIL
                if (
                    state.slots[instance, slot, SLOT.PHASE] == RELEASING
                    and state.slots[instance, slot, SLOT.AT_NS] == now_ns
                ):
                    state.slots[instance, slot, SLOT.PHASE] = IDLE
                    state.slots[instance, slot, SLOT.AT_NS] = NEVER
                    if state.instances[instance, INSTANCE.IDLE] == 0:
                        state.instances[instance, INSTANCE.READY_NS] = now_ns
                    state.instances[instance, INSTANCE.IDLE] += 1
                    why = FREED
            elif state.instances[instance, INSTANCE.TIMER_NS] == now_ns:
                why = TIMER
            else:
                row = state.instances[instance, INSTANCE.COMING]
                state.instances[instance, INSTANCE.COMING] = requests.following[row]
                if enqueue(tables, state, instance, row, now_ns):
                    why = QUEUED
                else:
                    arrival_ns = NIL
        elif deadline_ns <= arrival_ns:
            now_ns = deadline_ns
            if now_ns >= until_ns:
                return DONE
            instance = withdraw(tables, state, impatient, now_ns)
            deadline_ns, impatient = next_deadline(tables, state)
            arrival_ns = NIL
            if instance != NIL:
                why = WITHDRAWN
        else:
            now_ns = arrival_ns
            if now_ns >= until_ns:
                return DONE
            if state.counts[COUNT.REQUESTS] == len(requests.arrival_ns):
                return FULL
            first = draws.first[workload]
            if first + state.sources[workload, SOURCE.POSITION] == draws.first[workload + 1]:
                return DRY
            row = arrive(tables, draws, state, workload, now_ns)
            instance = requests.instance[row]
            arrival_ns = NIL
            if deadlines:
                deadline_ns, impatient = next_deadline(tables, state)
            if requests.queued_ns[row] > now_ns:
                approach(state, instance, row)
            elif enqueue(tables, state, instance, row, now_ns) and matters(tables, state, instance):
                why = QUEUED
            else:
                continue
        if why != NOBODY:
            wake(tables, state, instance, now_ns, why)
        if instance != NIL:
            minima.put(events, 0, half, n, instance, next_event_ns(tables, state, instance))


def is_warm() -> bool:
    """Whether the compiled loop is ready in this process or in the disk cache (else its first call compiles)."""
    return bool(advance.signatures) or kernels.holds("advance")
