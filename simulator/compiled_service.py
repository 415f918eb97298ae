"""The compiled engine's service: routing, executions beside one another, replies to closed loops.

Part of :mod:`simulator.compiled`; the same steps as in :mod:`simulator.reference`, on tables.
"""

from __future__ import annotations

from simulator import clients, minima
from simulator.kernels import inlined, kernel, natural
from simulator.policies import routing, service
from simulator.state import EXECUTING, NIL, PART, RELEASING, State, Tables


@inlined
def choose(tables: Tables, state: State, fleet: int, now_ns: int, items: int, coin: int) -> int:
    """Route one request: the chosen instance's index within the fleet; its router key is updated."""
    n = tables.fleets[fleet].instances
    pick = state.counts[0].picks + 1
    state.counts[0].picks = pick
    if n == 1:
        return 0
    router = tables.fleets[fleet].router
    keys = state.keys
    offset = tables.fleets[fleet].keys
    half = tables.fleets[fleet].half
    if router == routing.SCHEDULE:
        turn = keys[natural(offset)]
        keys[natural(offset)] = (turn + 1) % tables.fleets[fleet].turns
        return int(tables.schedule[natural(tables.fleets[fleet].schedule + turn)])
    if router == routing.RANDOM:
        return routing.drawn(coin, n)
    if router == routing.LEAST:
        chosen = minima.smallest(keys, offset, half, n)
        minima.put(keys, offset, half, n, chosen, routing.picked(keys[natural(offset + half + chosen)], pick))
        return chosen
    if router == routing.TWO:
        one = routing.drawn(coin, n)
        other = routing.drawn_other(coin, n)
        load = routing.outstanding_of(keys[natural(offset + half + one)])
        other_load = routing.outstanding_of(keys[natural(offset + half + other)])
        chosen = routing.less_loaded(one, load, other, other_load)
        keys[natural(offset + half + chosen)] = routing.picked(keys[natural(offset + half + chosen)], pick)
        return chosen
    chosen = minima.smallest(keys, offset, half, n)
    work_ns = tables.fleets[fleet].item_work_ns
    key = routing.booked(keys[natural(offset + half + chosen)], now_ns, items, work_ns)
    minima.put(keys, offset, half, n, chosen, key)
    return chosen


@inlined
def settle(tables: Tables, state: State, instance: int, requests: int) -> None:
    """Tell the router that ``requests`` sent to this instance are no longer outstanding."""
    fleet = natural(state.instances[instance].fleet)
    n = tables.fleets[fleet].instances
    router = tables.fleets[fleet].router
    if n > 1 and (router == routing.LEAST or router == routing.TWO):
        offset = tables.fleets[fleet].keys
        half = tables.fleets[fleet].half
        leaf = instance - tables.fleets[fleet].first
        key = routing.finished(state.keys[natural(offset + half + leaf)], requests)
        minima.put(state.keys, offset, half, n, leaf, key)


@kernel
def send_again(tables: Tables, state: State, row: int, answered_ns: int) -> None:
    """Closed loop: the client of this request has its answer; it thinks, then sends the next one."""
    workload = state.requests.workload[row]
    at_ns = answered_ns + state.requests.think_ns[row]
    if at_ns >= tables.horizon_ns:
        return
    first = tables.workloads[workload].first_client
    size = state.sources[workload].clients
    clients.push(state.client_ns, state.client, first, size, at_ns, state.requests.client[row])
    state.sources[workload].clients = size + 1
    state.sources[workload].next_ns = state.client_ns[first]


@kernel
def change_speed(tables: Tables, state: State, instance: int, now_ns: int, before: int, after: int) -> None:
    """Executions beside each other: ``before`` ran until now, ``after`` run from now; move their ends."""
    fleet = natural(state.instances[instance].fleet)
    old = tables.slow_ppm[fleet, natural(before)]
    new = tables.slow_ppm[fleet, natural(after)]
    if old == new:
        return
    slots = state.slots
    for slot in range(tables.fleets[fleet].model_instances):
        if slots[instance, natural(slot)].phase == EXECUTING:
            since_ns = slots[instance, natural(slot)].since_ns
            left_ns = service.work_left(slots[instance, natural(slot)].work_ns, now_ns - since_ns, old)
            slots[instance, natural(slot)].work_ns = left_ns
            slots[instance, natural(slot)].since_ns = now_ns
            slots[instance, natural(slot)].at_ns = now_ns + service.duration(left_ns, new)


@inlined
def begin(tables: Tables, state: State, instance: int, slot: int, now_ns: int) -> None:
    """An execution starts on the accelerator."""
    fleet = natural(state.instances[instance].fleet)
    running = state.instances[instance].running + 1
    state.instances[instance].running = running
    if tables.extras is not None and running > 1:
        change_speed(tables, state, instance, now_ns, running - 1, running)
    slots = state.slots
    slots[instance, natural(slot)].phase = EXECUTING
    slots[instance, natural(slot)].since_ns = now_ns
    work_ns = slots[instance, natural(slot)].work_ns
    slots[instance, natural(slot)].at_ns = now_ns + service.duration(work_ns, tables.slow_ppm[fleet, natural(running)])
    state.batches[natural(slots[instance, natural(slot)].batch - state.counts[0].first_batch)].start_ns = now_ns


@inlined
def finish(tables: Tables, state: State, instance: int, slot: int, now_ns: int) -> None:
    """An execution ends: replies leave, the release of the model instance begins."""
    fleet = natural(state.instances[instance].fleet)
    slots = state.slots
    running = state.instances[instance].running - 1
    state.instances[instance].running = running
    slots[instance, natural(slot)].phase = RELEASING
    if tables.extras is not None and running > 0:
        change_speed(tables, state, instance, now_ns, running + 1, running)
    number = slots[instance, natural(slot)].batch
    row = natural(number - state.counts[0].first_batch)
    items = natural(state.batches[row].items)
    requests = state.batches[row].requests
    state.batches[row].end_ns = now_ns
    settle(tables, state, instance, requests)
    if tables.extras is not None and len(state.requests.client) > 0:
        answered_ns = now_ns + tables.parts[fleet, PART.REPLY, items]
        request = slots[instance, natural(slot)].head
        left = requests
        while left > 0:
            if state.requests.batch[natural(request)] == number:
                left -= 1
                if state.requests.client[natural(request)] != NIL:
                    send_again(tables, state, natural(request), answered_ns)
            request = state.requests.following[natural(request)]
    free_ns = now_ns + tables.parts[fleet, PART.RELEASE, items]
    state.batches[row].free_ns = free_ns
    slots[instance, natural(slot)].at_ns = free_ns
