"""The compiled engine's batchers: a request joins a queue, a model instance takes a batch.

Part of :mod:`simulator.compiled`; the same steps as in :mod:`simulator.reference_batching`, on tables.
"""

from __future__ import annotations

from typing import Final

from simulator.clock import NEVER
from simulator.compiled_service import begin, send_again, settle
from simulator.kernels import inlined, kernel, natural
from simulator.policies import admission, batching, service, triton
from simulator.state import DISPATCHING, EXPIRED, IDLE, NIL, PART, REFUSED, WAITING, State, Tables

# What brought the loop to an instance's batcher.
NOBODY: Final = 0
FREED: Final = 1
TIMER: Final = 2
QUEUED: Final = 3
WITHDRAWN: Final = 4


@inlined
def items_of(tables: Tables, state: State, row: int) -> int:
    """Items that a request carries; a plain model's requests carry one each."""
    if tables.extras is None:
        return 1
    return int(state.requests.items[natural(row)])


@inlined
def queued_at(tables: Tables, state: State, row: int) -> int:
    """When a request reached its queue; in a plain model on arrival."""
    if tables.extras is None:
        return int(state.requests.arrival_ns[natural(row)])
    return int(state.requests.queued_ns[natural(row)])


@inlined
def take(tables: Tables, state: State, instance: int, now_ns: int, most: int, max_items: int) -> int:
    """A free model instance takes the oldest requests, at most ``most``, as long as they fit; returns how many."""
    fleet = natural(state.instances[instance].fleet)
    requests = state.requests
    number = state.counts[0].first_batch + state.counts[0].batches
    head = state.instances[instance].head
    request = head
    items = 0
    taken = 0
    while request >= 0 and taken < most:
        if tables.extras is None or requests.batch[natural(request)] == WAITING:
            size = items_of(tables, state, request)
            if not batching.joins(items, size, max_items):
                break
            items += size
            taken += 1
            requests.batch[natural(request)] = number
        request = requests.following[natural(request)]
    if tables.extras is not None:
        while request >= 0 and requests.batch[natural(request)] == EXPIRED:
            request = requests.following[natural(request)]
    state.instances[instance].head = request
    if request == NIL:
        state.instances[instance].tail = NIL

    slots = state.slots
    slot = 0
    if tables.extras is not None:
        while slots[instance, natural(slot)].phase != IDLE:
            slot += 1
    state.instances[instance].idle -= 1
    work_ns = tables.parts[fleet, PART.SERVICE, natural(items)]
    if tables.extras is not None and tables.fleets[fleet].noisy != 0:
        work_ns = service.noisy(work_ns, tables.noise[tables.noise_row[fleet, items]], requests.noise[natural(head)])
    slots[instance, natural(slot)].work_ns = work_ns
    slots[instance, natural(slot)].batch = number
    slots[instance, natural(slot)].head = head

    row = natural(state.counts[0].batches)
    state.counts[0].batches = row + 1
    batches = state.batches
    batches[row].instance = instance
    batches[row].slot = slot
    batches[row].items = items
    batches[row].requests = taken
    batches[row].taken_ns = now_ns
    batches[row].start_ns = NIL
    batches[row].end_ns = NIL
    batches[row].free_ns = NIL
    batches[row].work_ns = work_ns
    dispatch_ns = tables.parts[fleet, PART.DISPATCH, natural(items)]
    if tables.extras is not None and dispatch_ns > 0:
        slots[instance, natural(slot)].phase = DISPATCHING
        slots[instance, natural(slot)].at_ns = now_ns + dispatch_ns
    else:
        begin(tables, state, instance, slot, now_ns)
    return taken


@inlined
def launch(tables: Tables, state: State, instance: int, now_ns: int) -> None:
    """Free model instances take batches from the queue (all rules but Triton's), or the timer is set."""
    fleet = natural(state.instances[instance].fleet)
    rule = tables.fleets[fleet].rule
    max_batch = tables.fleets[fleet].max_batch
    delay_ns = tables.fleets[fleet].delay_ns
    most = 1 if rule == batching.NONE else max_batch
    row = state.instances[instance]
    timer_ns = NEVER
    while row.idle > 0 and row.waiting > 0:
        at_ns = batching.launch_ns(
            rule,
            row.waiting_items,
            max_batch,
            delay_ns,
            queued_at(tables, state, row.head),
            row.ready_ns,
            row.carried_ns,
        )
        if at_ns > now_ns:
            if at_ns < batching.WAIT_FOR_MORE:
                timer_ns = at_ns
            break
        taken = take(tables, state, instance, now_ns, most, max_batch)
        row.waiting -= taken
        row.waiting_items -= state.batches[natural(state.counts[0].batches - 1)].items
        row.carried_ns = now_ns if row.waiting > 0 else batching.UNSET
        row.ready_ns = now_ns
    row.timer_ns = timer_ns


@kernel
def take_formed(tables: Tables, state: State, instance: int, now_ns: int) -> None:
    """Triton: a free model instance takes the oldest formed batch and swallows those that have waited too long."""
    fleet = natural(state.instances[instance].fleet)
    max_batch = tables.fleets[fleet].max_batch
    row = state.instances[instance]
    formed = state.formed[instance]
    ring = formed.shape[0]
    front = row.formed_head
    requests = formed[natural(front)].requests
    items = formed[natural(front)].items
    if row.formed == 1:
        row.batcher = triton.STALE
    row.formed -= 1
    front = (front + 1) % ring
    while row.formed > 0 and triton.merge_due(formed[natural(front)].oldest_ns, now_ns, tables.fleets[fleet].delay_ns):
        if row.formed == 1:
            row.batcher = triton.STALE
        if not batching.joins(items, formed[natural(front)].items, max_batch):
            break
        requests += formed[natural(front)].requests
        items += formed[natural(front)].items
        row.formed -= 1
        front = (front + 1) % ring
    row.formed_head = front
    take(tables, state, instance, now_ns, requests, items)


@kernel
def form(state: State, instance: int, requests: int) -> None:
    """Triton: move the oldest ``requests`` that are in no batch into the open batch, or into a new one."""
    row = state.instances[instance]
    formed = state.formed[instance]
    ring = formed.shape[0]
    request = row.loose
    if row.batcher == triton.FRESH:
        place = (row.formed_head + row.formed) % ring
        formed[natural(place)].requests = 0
        formed[natural(place)].items = 0
        formed[natural(place)].oldest_ns = state.requests.queued_ns[natural(request)]
        row.formed += 1
        row.batcher = triton.OPEN
    else:
        place = (row.formed_head + row.formed - 1) % ring
    moved = 0
    items = 0
    while moved < requests:
        if state.requests.batch[natural(request)] == WAITING:
            moved += 1
            items += state.requests.items[natural(request)]
        request = state.requests.following[natural(request)]
    while request >= 0 and state.requests.batch[natural(request)] == EXPIRED:
        request = state.requests.following[natural(request)]
    row.loose = request
    row.waiting -= moved
    row.waiting_items -= items
    row.open_items += items
    formed[natural(place)].requests += moved
    formed[natural(place)].items += items


@kernel
def look(tables: Tables, state: State, instance: int, now_ns: int) -> None:
    """Triton: the batcher looks at the queue until it has nothing more to do, then sleeps."""
    fleet = natural(state.instances[instance].fleet)
    max_batch = tables.fleets[fleet].max_batch
    delay_ns = tables.fleets[fleet].delay_ns
    preferred = tables.preferred[fleet]
    requests = state.requests
    row = state.instances[instance]
    row.looked_ns = now_ns
    row.timer_ns = NEVER
    row.blocked = 0
    while True:
        if row.batcher == triton.STALE:
            row.batcher = triton.FRESH
            row.open_items = 0
            row.hoped = 0
        if row.waiting == 0:
            row.hoped = triton.hope_left(row.batcher, row.hoped)
            return
        ahead = tables.fleets[fleet].forms_ahead != 0
        slots = tables.fleets[fleet].model_instances
        if not triton.may_form(ahead, row.formed, row.idle, slots):
            row.blocked = 1
            return
        open_items = row.open_items
        glance = triton.Glance(0, 0, 0, 0, False, False)
        request = row.loose
        while request >= 0 and not glance.full:
            if requests.batch[natural(request)] == WAITING:
                glance = triton.examine(glance, open_items, requests.items[natural(request)], max_batch, preferred)
            request = requests.following[natural(request)]
        oldest_ns = requests.queued_ns[natural(row.loose)]
        action, moving, closes, hoped = triton.verdict(glance, open_items, now_ns - oldest_ns, delay_ns, preferred)
        if hoped != triton.KEEP:
            row.hoped = hoped
        if action == triton.SLEEP:
            row.timer_ns = oldest_ns + delay_ns
            return
        if action == triton.FORM:
            form(state, instance, moving)
            if row.idle > 0:
                take_formed(tables, state, instance, now_ns)
        if closes:
            row.batcher = triton.STALE


@inlined
def wake(tables: Tables, state: State, instance: int, now_ns: int, why: int) -> None:
    """Something happened at this instance: its batcher decides."""
    fleet = natural(state.instances[instance].fleet)
    if tables.extras is None or tables.fleets[fleet].rule != batching.TRITON:
        launch(tables, state, instance, now_ns)
        return
    row = state.instances[instance]
    if why == QUEUED:
        ahead = tables.fleets[fleet].forms_ahead != 0
        slots = tables.fleets[fleet].model_instances
        room = triton.may_form(ahead, row.formed, row.idle, slots)
        if not room or not triton.wakes(row.batcher, row.waiting_items, row.hoped):
            if row.timer_ns == NEVER and row.blocked == 0:
                row.timer_ns = triton.next_poll_ns(row.looked_ns, now_ns)
            return
    if why == FREED:
        if row.formed > 0:
            take_formed(tables, state, instance, now_ns)
        elif not triton.end_wakes(tables.fleets[fleet].forms_ahead != 0, row.blocked != 0, row.waiting):
            return
    look(tables, state, instance, now_ns)


@inlined
def matters(tables: Tables, state: State, instance: int) -> bool:
    """Whether a request that just joined the queue can change what happens next.

    Not while all model instances are busy (Triton's batcher forms ahead, so there it can), and not behind others
    unless it fills the batch: under every rule the timer belongs to the oldest.
    """
    row = state.instances[instance]
    fleet = natural(row.fleet)
    if tables.extras is not None and tables.fleets[fleet].rule == batching.TRITON:
        return True
    full = row.waiting_items >= tables.fleets[fleet].max_batch
    return bool(row.idle > 0 and (row.waiting == 1 or full))


@inlined
def enqueue(tables: Tables, state: State, instance: int, row: int, now_ns: int) -> bool:
    """A request reaches the queue of its instance; whether it joined."""
    requests = state.requests
    if tables.extras is not None and requests.batch[row] != WAITING:
        return False
    fleet = natural(state.instances[instance].fleet)
    if tables.extras is not None and not admission.admits(
        state.instances[instance].waiting, tables.fleets[fleet].max_queue
    ):
        requests.batch[row] = REFUSED
        settle(tables, state, instance, 1)
        if len(requests.client) > 0 and requests.client[row] != NIL:
            send_again(tables, state, row, now_ns)
        return False
    if tables.extras is not None:
        requests.following[row] = NIL  # it may have been among those coming
    tail = state.instances[instance].tail
    if tail == NIL:
        state.instances[instance].head = row
    else:
        requests.following[natural(tail)] = row
    state.instances[instance].tail = row
    if tables.extras is not None and state.instances[instance].waiting == 0:
        state.instances[instance].loose = row
    state.instances[instance].waiting += 1
    state.instances[instance].waiting_items += items_of(tables, state, row)
    return True
