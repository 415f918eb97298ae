"""Laws that every run of either engine keeps, whatever the model: read off the log and the model, never off an engine.

:func:`check_laws` asserts them all. The laws of one queue (first come first served, nobody waits without a reason) are
in :mod:`tests.queue_laws`. What chance decided is drawn once more, since a model says what its draws are.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from simulator.clock import NEVER
from simulator.draws import WorkloadDraws
from simulator.log import COMPLETED, IN_FLIGHT, NOWHERE, REJECTED, TIMED_OUT, RunLog
from simulator.model import UNBOUNDED, FleetModel, Model, item_work_ns, turn_order
from simulator.policies import batching, routing, service
from tests.queue_laws import check_queue

Column = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Drawn:
    """What chance decided for each request of a log, by row."""

    items: Column
    coin: Column
    position: npt.NDArray[np.float64]
    think_ns: Column


def check_laws(model: Model, log: RunLog) -> None:
    """Assert every law on the whole log of a run."""
    drawn = draws_of(model, log)
    for law in LAWS:
        law(model, log, drawn)


def draws_of(model: Model, log: RunLog) -> Drawn:
    """Draw again what the run used, and hold the log to its arrivals: those drawn, or those of its clients."""
    n = len(log.requests)
    drawn = Drawn(np.ones(n, np.int64), np.zeros(n, np.int64), np.zeros(n), np.zeros(n, np.int64))
    for w, workload in enumerate(model.workloads):
        rows = np.flatnonzero(log.requests.workload == w)
        draws = WorkloadDraws(model, w)
        used = draws.more(workload.clients + len(rows)) if draws.closed else draws.until(NEVER)
        first, (times, items, coin, position) = workload.clients, used
        drawn.items[rows] = items[first:] if len(workload.items) > 1 else workload.items[0]
        drawn.coin[rows] = coin[first:]
        if len(position):
            drawn.position[rows] = position[first:]
        if draws.closed:
            drawn.think_ns[rows] = times[first:]
            left = log.requests.outcome[rows] != IN_FLIGHT
            answered_ns = (log.requests.left_ns[rows] + times[first:])[left]
            times = np.sort(np.concatenate((times[:first], answered_ns)))
            times = times[times < model.horizon_ns]
        assert times.tolist() == log.requests.arrival_ns[rows].tolist(), f"workload {w} sends when its draws say"
    return drawn


def rows_are_whole(model: Model, log: RunLog, drawn: Drawn) -> None:
    """Columns of one length and of the declared types, that nobody can write into; requests in order of arrival."""
    for table in (log.requests, log.batches):
        for column in fields(table):
            values = getattr(table, column.name)
            assert (len(table),) == values.shape, column.name
            assert not values.flags.writeable, column.name
            assert column.type == f"Int{8 * values.itemsize}s", column.name
    assert (np.diff(log.requests.arrival_ns) >= 0).all()
    assert log.requests.items.tolist() == drawn.items.tolist()
    fleet_of = np.array([workload.fleet for workload in model.workloads])
    assert log.requests.fleet.tolist() == fleet_of[log.requests.workload].tolist()
    home = np.repeat(np.arange(len(model.fleets)), [fleet.instances for fleet in model.fleets])
    assert log.requests.fleet.tolist() == home[log.requests.instance].tolist()
    assert log.batches.fleet.tolist() == home[log.batches.instance].tolist()


def every_request_has_one_fate(model: Model, log: RunLog, drawn: Drawn) -> None:  # noqa: ARG001
    """Conservation: arrived = completed + rejected + timed out + in flight, each where the model allows it."""
    requests = log.requests
    timeout_ns = np.array([workload.timeout_ns for workload in model.workloads])[requests.workload]
    counts = np.bincount(requests.outcome, minlength=4)
    assert 4 == len(counts)
    assert len(requests) == counts.sum()
    assert len(requests) == sum((requests.workload == w).sum() for w in range(len(model.workloads)))
    assert counts[COMPLETED] == log.batches.requests.sum()
    assert ((requests.outcome == COMPLETED) == (requests.batch != NOWHERE)).all()
    bounded = np.array([fleet.max_queue != UNBOUNDED for fleet in model.fleets])
    static = np.array([fleet.rule == batching.STATIC for fleet in model.fleets])
    assert bounded[requests.fleet[requests.outcome == REJECTED]].all()
    assert static[requests.fleet[requests.outcome == IN_FLIGHT]].all(), "only a static batch may never fill"
    assert (timeout_ns[requests.outcome == TIMED_OUT] != NEVER).all()
    assert (timeout_ns[requests.outcome == IN_FLIGHT] == NEVER).all()


def times_follow_one_another(model: Model, log: RunLog, drawn: Drawn) -> None:  # noqa: ARG001
    """Causality: arrival <= queued <= taken <= start < end <= left, free not before end, and deadlines are kept."""
    requests, batches = log.requests, log.batches
    done = requests.outcome == COMPLETED
    taken_ns = batches.taken_ns[requests.batch[done]]
    assert (requests.arrival_ns <= requests.queued_ns)[done].all()
    assert (requests.queued_ns[done] <= taken_ns).all()
    assert (requests.end_ns <= requests.left_ns)[done].all()
    assert (batches.taken_ns <= batches.start_ns).all()
    assert (batches.start_ns < batches.end_ns).all()
    assert (batches.end_ns <= batches.free_ns).all()
    for outcome in (REJECTED, TIMED_OUT, IN_FLIGHT):
        rows = requests.outcome == outcome
        assert (requests.start_ns[rows] == NOWHERE).all()
        assert (requests.end_ns[rows] == NOWHERE).all()
        assert (requests.batch_items[rows] == 0).all()
    assert (requests.left_ns[requests.outcome == IN_FLIGHT] == NOWHERE).all()
    assert (requests.queued_ns[requests.outcome == IN_FLIGHT] >= 0).all()
    assert (requests.queued_ns[requests.outcome == REJECTED] == NOWHERE).all()
    for w, workload in enumerate(model.workloads):
        if workload.timeout_ns != NEVER:
            own = requests.workload == w
            due_ns = requests.arrival_ns + workload.timeout_ns
            assert (taken_ns <= due_ns[done])[own[done]].all()
            expired = own & (requests.outcome == TIMED_OUT)
            assert requests.left_ns[expired].tolist() == due_ns[expired].tolist()
            assert (requests.queued_ns[expired] <= due_ns[expired]).all()


def parts_take_what_the_model_says(model: Model, log: RunLog, drawn: Drawn) -> None:  # noqa: ARG001
    """Front end (one at a time), enqueue, dispatch, release and reply are exactly as long as the model says."""
    requests, batches = log.requests, log.batches
    for f, fleet in enumerate(model.fleets):
        ours = batches.fleet == f
        items = batches.items[ours]
        assert (batches.start_ns - batches.taken_ns)[ours].tolist() == fleet.part("dispatch_ns")[items].tolist()
        assert (batches.free_ns - batches.end_ns)[ours].tolist() == fleet.part("release_ns")[items].tolist()
        done = (requests.fleet == f) & (requests.outcome == COMPLETED)
        reply_ns = fleet.part("reply_ns")[requests.batch_items[done]]
        assert (requests.left_ns - requests.end_ns)[done].tolist() == reply_ns.tolist()
    reached_ns = reaches_queue_ns(model, log)
    told_ns = np.where(requests.outcome == REJECTED, requests.left_ns, requests.queued_ns)
    others = requests.outcome != TIMED_OUT
    assert reached_ns[others].tolist() == told_ns[others].tolist()
    expired = requests.outcome == TIMED_OUT
    queued_ns = np.where(reached_ns > requests.left_ns, NOWHERE, reached_ns)
    assert requests.queued_ns[expired].tolist() == queued_ns[expired].tolist()


def reaches_queue_ns(model: Model, log: RunLog) -> Column:
    """When each request is through the front end and the enqueue delay, by the recursion of a single server."""
    requests = log.requests
    reached_ns = requests.arrival_ns.copy()
    frontend_free_ns: dict[int, int] = {}
    for row in range(len(requests)):
        fleet, instance = model.fleets[requests.fleet[row]], int(requests.instance[row])
        serial_ns = int(fleet.part("frontend_ns")[requests.items[row]])
        if serial_ns > 0:
            reached_ns[row] = max(frontend_free_ns.get(instance, 0), int(reached_ns[row])) + serial_ns
            frontend_free_ns[instance] = int(reached_ns[row])
        reached_ns[row] += fleet.part("enqueue_ns")[requests.items[row]]
    return reached_ns


def batches_hold_their_requests(model: Model, log: RunLog, drawn: Drawn) -> None:
    """A batch is the sum of its requests, takes as long as its size and its oldest request's draw say, and fits."""
    requests, batches = log.requests, log.batches
    done = np.flatnonzero(requests.outcome == COMPLETED)
    number = requests.batch[done]
    assert batches.requests.tolist() == np.bincount(number, minlength=len(batches)).tolist()
    items = np.bincount(number, weights=requests.items[done], minlength=len(batches)).astype(np.int64)
    assert batches.items.tolist() == items.tolist()
    for request_column, batch_column in (
        (requests.instance, batches.instance),
        (requests.start_ns, batches.start_ns),
        (requests.end_ns, batches.end_ns),
        (requests.batch_items, batches.items),
    ):
        assert request_column[done].tolist() == batch_column[number].tolist()
    assert (np.diff(batches.taken_ns) >= 0).all(), "executions are numbered as they are taken"
    oldest: dict[int, int] = {}
    for row in sorted(done.tolist(), key=lambda row: (requests.queued_ns[row], row), reverse=True):
        oldest[int(requests.batch[row])] = row
    for b in range(len(batches)):
        fleet = model.fleets[batches.fleet[b]]
        size = int(batches.items[b])
        work_ns = int(fleet.service_ns[size])
        if fleet.noise is not None:
            factors = fleet.noise.factors[fleet.noise.row[size]]
            work_ns = service.noisy(work_ns, factors, float(drawn.position[oldest[b]]))
        assert work_ns == batches.work_ns[b]
        if fleet.rule == batching.NONE:
            assert 1 == batches.requests[b]
        elif batches.requests[b] > 1:
            assert size <= fleet.max_batch


def model_instances_do_one_thing_at_a_time(model: Model, log: RunLog, drawn: Drawn) -> None:  # noqa: ARG001
    """Capacity: a model instance is taken only when free, and of the free ones the first is taken."""
    batches = log.batches
    for instance, fleet in instances_of(model):
        free_ns = [0] * fleet.model_instances
        for b in np.flatnonzero(batches.instance == instance).tolist():
            taken_ns, slot = int(batches.taken_ns[b]), int(batches.model_instance[b])
            assert free_ns[slot] <= taken_ns
            # Of those that become free at the same instant, one may not have when another was taken.
            assert all(free >= taken_ns for free in free_ns[:slot])
            free_ns[slot] = int(batches.free_ns[b])


def executions_get_their_work_done(model: Model, log: RunLog, drawn: Drawn) -> None:  # noqa: ARG001
    """Shared accelerators: the speed 1 / slowdown[k(t)] summed over an execution is its work, but for rounding.

    Each change of k may leave up to 1 ns of work undone in the books, and the end is rounded up by less than 1 ns.
    """
    batches = log.batches
    for instance, fleet in instances_of(model):
        ours = batches.instance == instance
        start_ns, end_ns = batches.start_ns[ours], batches.end_ns[ours]
        change_ns = np.unique(np.concatenate((start_ns, end_ns)))
        running = np.searchsorted(np.sort(start_ns), change_ns, side="right")
        running -= np.searchsorted(np.sort(end_ns), change_ns, side="right")
        slow = np.array((service.PPM, *fleet.slowdowns), dtype=np.float64)[running] / service.PPM
        done_ns = np.concatenate(([0.0], np.cumsum(np.diff(change_ns) / slow[:-1])))
        first, last = np.searchsorted(change_ns, start_ns), np.searchsorted(change_ns, end_ns)
        excess_ns = done_ns[last] - done_ns[first] - batches.work_ns[ours]
        assert (excess_ns >= -0.01).all()
        assert (excess_ns <= last - first + 0.01).all()


def numbers_in_system_add_up(model: Model, log: RunLog, drawn: Drawn) -> None:  # noqa: ARG001
    """Little's law on the path itself: the number in the system, added up over time, is the sum of the sojourns.

    J. D. C. Little (1961), "A proof for the queuing formula: L = lambda W", Operations Research 9(3), 383-387; as an
    identity of sample paths S. Stidham (1974), "A last word on L = lambda W", the same 22(2), 417-421.
    """
    requests = log.requests
    left = requests.outcome != IN_FLIGHT
    for entered_ns, left_ns in (
        (requests.arrival_ns[left], requests.left_ns[left]),
        (requests.start_ns[requests.outcome == COMPLETED], requests.end_ns[requests.outcome == COMPLETED]),
    ):
        at_ns = np.concatenate((entered_ns, left_ns))
        order = np.argsort(at_ns, kind="stable")
        present = np.cumsum(np.repeat((1, -1), len(entered_ns))[order])
        assert (present >= 0).all()
        assert 0 == present[-1:].sum()
        assert int((left_ns - entered_ns).sum()) == int((present[:-1] * np.diff(at_ns[order])).sum())


def closed_loops_keep_their_clients(model: Model, log: RunLog, drawn: Drawn) -> None:  # noqa: ARG001
    """A client has one request at a time, so a workload never has more in the system than clients."""
    requests = log.requests
    for w, workload in enumerate(model.workloads):
        if workload.clients:
            own = requests.workload == w
            left_ns = np.where(requests.outcome[own] == IN_FLIGHT, NEVER, requests.left_ns[own])
            gone = np.searchsorted(np.sort(left_ns), requests.arrival_ns[own], side="right")
            assert (np.arange(1, own.sum() + 1) - gone <= workload.clients).all()


def routers_choose_as_they_say(model: Model, log: RunLog, drawn: Drawn) -> None:
    """Every request goes where its fleet's router, told again in plain Python, sends it."""
    requests = log.requests
    first = np.cumsum([0, *(fleet.instances for fleet in model.fleets)])
    settled_ns = np.where(requests.outcome == COMPLETED, requests.end_ns, requests.left_ns)
    settled_ns[requests.outcome == IN_FLIGHT] = NEVER
    for f, fleet in enumerate(model.fleets):
        n = fleet.instances
        rows = np.flatnonzero(requests.fleet == f)
        chosen = (requests.instance[rows] - first[f]).tolist()
        if n == 1:
            assert [0] * len(rows) == chosen
        elif fleet.router == routing.SCHEDULE:
            turns = turn_order(fleet.weights or (1,) * n)
            assert [turns[k % len(turns)] for k in range(len(rows))] == chosen
        elif fleet.router == routing.RANDOM:
            assert [routing.drawn(int(coin), n) for coin in drawn.coin[rows]] == chosen
        elif fleet.router == routing.WORK:
            assert list(_by_account(fleet, requests.arrival_ns[rows], requests.items[rows])) == chosen
        else:
            outstanding: list[list[int]] = [[] for _ in range(n)]
            last_pick = [-1] * n
            for row, instance in zip(rows.tolist(), chosen, strict=True):
                now_ns = int(requests.arrival_ns[row])
                for waiting in outstanding:
                    while waiting and waiting[0] <= now_ns:
                        heapq.heappop(waiting)
                if fleet.router == routing.LEAST:
                    best = min(range(n), key=lambda i: (len(outstanding[i]), last_pick[i]))
                else:
                    one = routing.drawn(int(drawn.coin[row]), n)
                    other = routing.drawn_other(int(drawn.coin[row]), n)
                    best = other if len(outstanding[other]) < len(outstanding[one]) else one
                assert best == instance
                last_pick[instance] = row
                heapq.heappush(outstanding[instance], int(settled_ns[row]))


def _by_account(fleet: FleetModel, arrival_ns: Column, items: Column) -> Iterator[int]:
    """Who is chosen where each instance has an account of booked work, and the one that runs out first is next."""
    ends_ns = [0] * fleet.instances
    for now_ns, size in zip(arrival_ns.tolist(), items.tolist(), strict=True):
        best = ends_ns.index(min(ends_ns))
        ends_ns[best] = max(ends_ns[best], now_ns) + size * item_work_ns(fleet)
        yield best


def queues_are_worked_off_in_order(model: Model, log: RunLog, drawn: Drawn) -> None:  # noqa: ARG001
    """First come first served, bounded queues, and work conservation, instance by instance."""
    reached_ns = reaches_queue_ns(model, log)
    home = [f for f, fleet in enumerate(model.fleets) for _ in range(fleet.instances)]
    for instance, f in enumerate(home):
        check_queue(model, f, log, instance, reached_ns)


def instances_of(model: Model) -> Iterator[tuple[int, FleetModel]]:
    """Every instance's number with its fleet."""
    yield from enumerate(fleet for fleet in model.fleets for _ in range(fleet.instances))


LAWS: tuple[Callable[[Model, RunLog, Drawn], Any], ...] = (
    rows_are_whole,
    every_request_has_one_fate,
    times_follow_one_another,
    parts_take_what_the_model_says,
    batches_hold_their_requests,
    model_instances_do_one_thing_at_a_time,
    executions_get_their_work_done,
    numbers_in_system_add_up,
    closed_loops_keep_their_clients,
    routers_choose_as_they_say,
    queues_are_worked_off_in_order,
)
