"""What the reference engine keeps of requests, executions, instances and fleets while it runs."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Protocol

import simpy

from simulator.clock import NEVER
from simulator.log import IN_FLIGHT, NOWHERE
from simulator.model import FleetModel
from simulator.policies import batching


@dataclass(eq=False)
class Request:
    """One request and what became of it: a row of the request log in the making."""

    row: int
    workload: int
    items: int
    noise: float
    arrival_ns: int
    instance: Instance
    queued_ns: int = NOWHERE
    batch: Batch | None = None
    left_ns: int = NOWHERE
    outcome: int = IN_FLIGHT
    answered: simpy.Event | None = None
    """Closed loop: its client waits for this."""

    @property
    def waiting(self) -> bool:
        """Whether no model instance has taken it and it has not left."""
        return self.batch is None and self.outcome == IN_FLIGHT


@dataclass(eq=False)
class Batch:
    """One execution: a row of the batch log in the making."""

    number: int
    instance: Instance
    slot: int
    requests: list[Request]
    items: int
    work_ns: int
    taken_ns: int
    start_ns: int = NOWHERE
    end_ns: int = NOWHERE
    free_ns: int = NOWHERE
    left_ns: int = 0
    """Solo work left, as of ``since_ns``."""
    since_ns: int = 0
    process: simpy.Process | None = None


class Batcher(Protocol):
    """A thread that forms batches ahead of the model instances."""

    def request_queued(self) -> None:
        """A request joined the queue."""

    def model_instance_freed(self) -> None:
        """A model instance has nothing to do."""

    def look(self) -> None:
        """Look at the queue now."""


@dataclass(eq=False)
class Instance:
    """One billed accelerator with its queue, its batcher and its model instances."""

    index: int
    fleet: Fleet
    queue: deque[Request] = field(default_factory=deque)
    """Requests that wait and are in no formed batch."""
    idle: list[int] = field(default_factory=list)
    """Free model instances, ascending."""
    running: list[Batch] = field(default_factory=list)
    ready_ns: int = 0
    """When the worker that collects now turned to the queue."""
    carried_ns: int = batching.UNSET
    timer_ns: int = NEVER
    frontend_free_ns: int = 0
    batcher: Batcher | None = None
    """Triton's batcher thread; None where free model instances take batches themselves."""

    @property
    def waiting_items(self) -> int:
        """Items waiting in the queue."""
        return sum(request.items for request in self.queue)


@dataclass(eq=False)
class Fleet:
    """Identical instances behind a router."""

    model: FleetModel
    rule: int
    forms_ahead: bool
    item_work_ns: int
    preferred: tuple[int, ...]
    turns: list[int]
    instances: list[Instance] = field(default_factory=list)
    keys: list[int] = field(default_factory=list)
    turn: int = 0
