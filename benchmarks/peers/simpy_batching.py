"""Dynamically batching instances in SimPy, written as its documentation teaches: a process a request.

The requests are processes that put themselves into the store of the instance they chose and wait for their reply;
an instance is a process that collects a batch from its store, with a timeout, and serves it. Textbook rule,
least-outstanding router; the clock counts integer nanoseconds, which SimPy allows.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import simpy

Steps: TypeAlias = Generator[simpy.Event, object, None]


@dataclass
class Request:
    """A request on its way."""

    number: int
    arrival_ns: int
    done: simpy.Event
    """Succeeds when the execution of its batch ends."""
    start_ns: int = -1
    """When the execution of its batch starts."""


class Instance:
    """A server that executes the requests of its store in batches."""

    def __init__(self, env: simpy.Environment, max_batch: int, max_delay_ns: int, service_ns: Sequence[int]) -> None:
        self.env = env
        self.max_batch = max_batch
        self.max_delay_ns = max_delay_ns
        self.service_ns = service_ns
        self.queue = simpy.Store(env)
        self.outstanding = 0
        self.last_chosen = -1
        env.process(self.serve())

    def serve(self) -> Steps:
        """Collect a batch until it is full or its oldest request has waited long enough, execute it, and again."""
        while True:
            first = yield self.queue.get()
            assert isinstance(first, Request)
            batch = [first]
            deadline = self.env.timeout(max(0, first.arrival_ns + self.max_delay_ns - self.env.now))
            while len(batch) < self.max_batch:
                following = self.queue.get()
                if not following.triggered:
                    yield following | deadline
                if not following.triggered:
                    following.cancel()
                    break
                assert isinstance(following.value, Request)
                batch.append(following.value)
            for request in batch:
                request.start_ns = int(self.env.now)
            yield self.env.timeout(self.service_ns[len(batch)])
            for request in batch:
                request.done.succeed()


def simulate(
    arrival_ns: Sequence[int], n_instances: int, max_batch: int, max_delay_ns: int, service_ns: Sequence[int]
) -> tuple[list[int], list[int]]:
    """When does the batch of each request start and end, in ns?

    ``service_ns[b]`` is the time a batch of b takes.
    """
    env = simpy.Environment()
    instances = [Instance(env, max_batch, max_delay_ns, service_ns) for _ in range(n_instances)]
    start_ns = [-1] * len(arrival_ns)
    end_ns = [-1] * len(arrival_ns)

    def request(number: int) -> Steps:
        instance = min(instances, key=lambda each: (each.outstanding, each.last_chosen))
        instance.outstanding += 1
        instance.last_chosen = number
        this = Request(number, int(env.now), env.event())
        yield instance.queue.put(this)
        yield this.done
        instance.outstanding -= 1
        start_ns[number] = this.start_ns
        end_ns[number] = int(env.now)

    def source() -> Steps:
        for number, arrival in enumerate(arrival_ns):
            yield env.timeout(arrival - env.now)
            env.process(request(number))

    env.process(source())
    env.run()
    return start_ns, end_ns
