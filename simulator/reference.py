"""The reference engine: SimPy processes, the executable specification of what a run means.

Read it top to bottom: requests arrive, are routed, pass the front end and reach a queue; a batcher decides; executions
pass through dispatch, execution and release; replies leave. Every decision is a call into :mod:`simulator.policies`.
It is some hundred times slower than :mod:`simulator.compiled`, and it is where a new idea is tried first: the two
agree on every column of every request.

Simultaneous events happen in the order that :func:`instance_order`, :func:`deadline_order` and :func:`arrival_order`
declare; SimPy takes those integers as priorities. (SimPy's own urgent events, the start and the interruption of a
process, have lower numbers: they finish what the current event began.)
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import Any, Final

import simpy

from simulator.clock import NEVER
from simulator.draws import WorkloadDraws
from simulator.log import COMPLETED, NOWHERE, REJECTED, TIMED_OUT, RunLog
from simulator.model import Model, effective_rule, forms_ahead, item_work_ns, preferred_sizes, turn_order
from simulator.policies import admission, batching, routing, service
from simulator.reference_batching import TritonBatcher, launch
from simulator.reference_log import run_log
from simulator.reference_state import Batch, Fleet, Instance, Request

Process = Generator[simpy.Event, Any, None]

_STEP: Final = 1 << 48
_INSTANCES, _DEADLINES, _ARRIVALS = 1 * _STEP * _STEP, 2 * _STEP * _STEP, 3 * _STEP * _STEP
MODEL_INSTANCE, TIMER, QUEUE = 0, 1, 2
"""Ranks of the events of one instance at one instant."""


def instance_order(instance: int, rank: int, index: int) -> int:
    """Instance events come first: by instance, then model instances, the timer, requests reaching the queue."""
    return _INSTANCES + (instance * 4 + rank) * _STEP + index


def deadline_order(workload: int, row: int) -> int:
    """Then deadlines, by workload and request."""
    return _DEADLINES + workload * _STEP + row


def arrival_order(workload: int, client: int) -> int:
    """Then arrivals, by workload and client."""
    return _ARRIVALS + workload * _STEP + client


class Reference:
    """One run: the processes and what they have recorded so far."""

    def __init__(self, model: Model) -> None:
        self.env = simpy.Environment(initial_time=0)
        self.model = model
        self.requests: list[Request] = []
        self.batches: list[Batch] = []
        self.fleets = [self._fleet(f) for f in range(len(model.fleets))]
        for workload, spec in enumerate(model.workloads):
            draws = WorkloadDraws(model, workload)
            if draws.closed:
                supply = _supply(draws, spec.clients)
                for client in range(spec.clients):
                    self.env.process(self.client(workload, client, next(supply)[0], supply))
            else:
                self.env.process(self.open_workload(workload, draws))

    def _fleet(self, f: int) -> Fleet:
        spec = self.model.fleets[f]
        turns = turn_order(spec.weights or (1,) * spec.instances) if spec.router == routing.SCHEDULE else []
        fleet = Fleet(
            model=spec,
            rule=effective_rule(spec),
            forms_ahead=forms_ahead(self.model, f),
            item_work_ns=item_work_ns(spec),
            preferred=preferred_sizes(spec),
            turns=turns,
            keys=[0] * spec.instances,
        )
        first = sum(other.instances for other in self.model.fleets[:f])
        for i in range(spec.instances):
            instance = Instance(first + i, fleet, idle=list(range(spec.model_instances)))
            if fleet.rule == batching.TRITON:
                instance.batcher = TritonBatcher(self, instance)
            fleet.instances.append(instance)
        return fleet

    # Time

    @property
    def now(self) -> int:
        """The simulated time in ns."""
        return int(self.env.now)

    def at(self, time_ns: int, order: int) -> simpy.Event:
        """An event at a time, in the declared order among those of the same instant."""
        event = simpy.Event(self.env)
        event._ok = True
        event._value = None
        self.env.schedule(event, priority=order, delay=time_ns - self.now)  # type: ignore[arg-type]
        return event

    # Arrivals

    def open_workload(self, workload: int, draws: WorkloadDraws) -> Process:
        """Requests arrive whatever becomes of the earlier ones."""
        times, items, coins, noise = draws.until(NEVER)
        for k, arrival_ns in enumerate(times.tolist()):
            yield self.at(arrival_ns, arrival_order(workload, 0))
            self.receive(workload, int(items[k]), int(coins[k]), float(noise[k]) if len(noise) else 0.0)

    def client(self, workload: int, client: int, first_think_ns: int, supply: Iterator[Draw]) -> Process:
        """A client of a closed loop: think, send, wait for the answer, and again until the horizon."""
        send_ns = first_think_ns
        while send_ns < self.model.horizon_ns:
            yield self.at(send_ns, arrival_order(workload, client))
            think_ns, items, coin, noise = next(supply)
            request = self.receive(workload, items, coin, noise, answered=self.env.event())
            assert request.answered is not None
            yield request.answered
            send_ns = request.left_ns + think_ns

    def receive(
        self, workload: int, items: int, coin: int, noise: float, answered: simpy.Event | None = None
    ) -> Request:
        """A request arrives now: route it, let it pass the front end and reach the queue."""
        spec = self.model.workloads[workload]
        fleet = self.fleets[spec.fleet]
        items = items or spec.items[0]
        instance = fleet.instances[self.route(fleet, items, coin)]
        request = Request(len(self.requests), workload, items, noise, self.now, instance, answered=answered)
        self.requests.append(request)
        if spec.timeout_ns != NEVER:
            self.env.process(self.deadline(request, self.now + spec.timeout_ns))
        leaves_frontend_ns = self.now
        frontend_ns = int(fleet.model.part("frontend_ns")[items])
        if frontend_ns > 0:
            leaves_frontend_ns = max(self.now, instance.frontend_free_ns) + frontend_ns
            instance.frontend_free_ns = leaves_frontend_ns
        request.queued_ns = leaves_frontend_ns + int(fleet.model.part("enqueue_ns")[items])
        if request.queued_ns == self.now:
            self.join(request)
        else:
            self.env.process(self.approach(request))
        return request

    def route(self, fleet: Fleet, items: int, coin: int) -> int:
        """Which instance of the fleet receives the request?"""
        n = len(fleet.instances)
        pick = len(self.requests) + 1
        keys = fleet.keys
        router = fleet.model.router
        if n == 1:
            return 0
        if router == routing.SCHEDULE:
            chosen = fleet.turns[fleet.turn]
            fleet.turn = (fleet.turn + 1) % len(fleet.turns)
        elif router == routing.RANDOM:
            chosen = routing.drawn(coin, n)
        elif router == routing.TWO:
            one, other = routing.drawn(coin, n), routing.drawn_other(coin, n)
            load, other_load = routing.outstanding_of(keys[one]), routing.outstanding_of(keys[other])
            chosen = routing.less_loaded(one, load, other, other_load)
            keys[chosen] = routing.picked(keys[chosen], pick)
        else:
            chosen = min(range(n), key=keys.__getitem__)
            if router == routing.LEAST:
                keys[chosen] = routing.picked(keys[chosen], pick)
            else:
                keys[chosen] = routing.booked(keys[chosen], self.now, items, fleet.item_work_ns)
        return chosen

    def approach(self, request: Request) -> Process:
        """Front end and enqueue delay: the request is on its way into the queue."""
        yield self.at(request.queued_ns, instance_order(request.instance.index, QUEUE, request.row))
        if request.waiting:
            self.join(request)

    def deadline(self, request: Request, due_ns: int) -> Process:
        """The client gives up unless a model instance has taken the request by then."""
        yield self.at(due_ns, deadline_order(request.workload, request.row))
        if not request.waiting:
            return
        instance = request.instance
        in_queue = request.queued_ns <= self.now
        self.leave(request, TIMED_OUT, self.now)
        if in_queue:
            instance.queue.remove(request)
            if not instance.queue:
                instance.carried_ns = batching.UNSET
            self.decide(instance)
        else:
            request.queued_ns = NOWHERE

    def join(self, request: Request) -> None:
        """The request reaches the queue, and is refused if that is full."""
        instance = request.instance
        if not admission.admits(len(instance.queue), instance.fleet.model.max_queue):
            request.queued_ns = NOWHERE
            self.leave(request, REJECTED, self.now)
            return
        instance.queue.append(request)
        if instance.batcher is not None:
            instance.batcher.request_queued()
        else:
            launch(self, instance)

    # Executions

    def decide(self, instance: Instance) -> None:
        """Something changed at this instance: its batcher decides."""
        if instance.batcher is not None:
            instance.batcher.look()
        else:
            launch(self, instance)

    def set_timer(self, instance: Instance, at_ns: int) -> None:
        """Let the batcher decide at a time unless something moves the timer first; NEVER switches it off."""
        if instance.timer_ns != at_ns and at_ns != NEVER:
            self.env.process(self.timer(instance, at_ns))
        instance.timer_ns = at_ns

    def timer(self, instance: Instance, at_ns: int) -> Process:
        """One setting of a batcher's timer."""
        yield self.at(at_ns, instance_order(instance.index, TIMER, 0))
        if instance.timer_ns == at_ns:
            instance.timer_ns = NEVER
            self.decide(instance)

    def take(self, instance: Instance, requests: list[Request]) -> None:
        """A free model instance takes these requests as one batch."""
        fleet = instance.fleet.model
        items = sum(request.items for request in requests)
        work_ns = int(fleet.service_ns[items])
        if fleet.noise is not None:
            work_ns = service.noisy(work_ns, fleet.noise.factors[fleet.noise.row[items]], requests[0].noise)
        slot = instance.idle.pop(0)
        batch = Batch(len(self.batches), instance, slot, requests, items, work_ns, self.now, left_ns=work_ns)
        self.batches.append(batch)
        for request in requests:
            request.batch = batch
        batch.process = self.env.process(self.execution(batch))

    def execution(self, batch: Batch) -> Process:
        """Dispatch, execution beside others, release."""
        instance = batch.instance
        fleet = instance.fleet.model
        order = instance_order(instance.index, MODEL_INSTANCE, batch.slot)
        dispatch_ns = int(fleet.part("dispatch_ns")[batch.items])
        if dispatch_ns > 0:
            yield self.at(self.now + dispatch_ns, order)
        batch.start_ns = batch.since_ns = self.now
        self.change_speed(instance, before=len(instance.running), after=len(instance.running) + 1)
        instance.running.append(batch)
        while True:
            slow_ppm = fleet.slowdowns[len(instance.running) - 1]
            try:
                yield self.at(batch.since_ns + service.duration(batch.left_ns, slow_ppm), order)
                break
            except simpy.Interrupt:
                continue  # another execution began or ended: this one's end has moved
        batch.end_ns = self.now
        instance.running.remove(batch)
        self.change_speed(instance, before=len(instance.running) + 1, after=len(instance.running))
        self.settle(instance, len(batch.requests))
        for request in batch.requests:
            self.leave(request, COMPLETED, self.now + int(fleet.part("reply_ns")[batch.items]))
        batch.free_ns = self.now + int(fleet.part("release_ns")[batch.items])
        if batch.free_ns > self.now:
            yield self.at(batch.free_ns, order)
        if not instance.idle:
            instance.ready_ns = self.now
        instance.idle.append(batch.slot)
        instance.idle.sort()
        if instance.batcher is not None:
            instance.batcher.model_instance_freed()
        else:
            launch(self, instance)

    def change_speed(self, instance: Instance, before: int, after: int) -> None:
        """``before`` executions ran beside each other until now, ``after`` do from now: move their ends."""
        slowdowns = instance.fleet.model.slowdowns
        if not instance.running or slowdowns[before - 1] == slowdowns[after - 1]:
            return
        for batch in instance.running:
            batch.left_ns = service.work_left(batch.left_ns, self.now - batch.since_ns, slowdowns[before - 1])
            batch.since_ns = self.now
            assert batch.process is not None
            batch.process.interrupt()

    def leave(self, request: Request, outcome: int, left_ns: int) -> None:
        """The request's fate is settled; its client knows at ``left_ns``."""
        request.outcome = outcome
        request.left_ns = left_ns
        if outcome != COMPLETED:
            self.settle(request.instance, 1)
        if request.answered is not None:
            request.answered.succeed()

    def settle(self, instance: Instance, requests: int) -> None:
        """Tell the router that ``requests`` sent to this instance are no longer outstanding."""
        fleet = instance.fleet
        if len(fleet.instances) > 1 and fleet.model.router in (routing.LEAST, routing.TWO):
            place = instance.index - fleet.instances[0].index
            fleet.keys[place] = routing.finished(fleet.keys[place], requests)


Draw = tuple[int, int, int, float]


def _supply(draws: WorkloadDraws, clients: int) -> Iterator[Draw]:
    """The draws of a closed loop, one request after the other, without end."""
    while True:
        times, items, coins, noise = draws.more(max(clients, 256))
        for k in range(len(times)):
            yield int(times[k]), int(items[k]), int(coins[k]), float(noise[k]) if len(noise) else 0.0


def run_reference(model: Model) -> RunLog:
    """The log of one run of the reference engine."""
    run = Reference(model)
    run.env.run()
    return run_log(run)
