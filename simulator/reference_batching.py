"""The reference engine's batchers: the common one, and Triton's, which forms batches ahead of the model instances."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from simulator.clock import NEVER
from simulator.policies import batching, triton

if TYPE_CHECKING:
    from simulator.reference import Reference
    from simulator.reference_state import Instance, Request


def launch(run: Reference, instance: Instance) -> None:
    """Free model instances take batches from the queue (all rules but Triton's), or the timer is set."""
    fleet = instance.fleet.model
    timer_ns = NEVER
    while instance.idle and instance.queue:
        at_ns = batching.launch_ns(
            instance.fleet.rule,
            instance.waiting_items,
            fleet.max_batch,
            fleet.delay_ns,
            instance.queue[0].queued_ns,
            instance.ready_ns,
            instance.carried_ns,
        )
        if at_ns > run.now:
            if at_ns < batching.WAIT_FOR_MORE:
                timer_ns = at_ns
            break
        batch = [instance.queue.popleft()]
        items = batch[0].items
        most = 1 if instance.fleet.rule == batching.NONE else fleet.max_batch
        while instance.queue and len(batch) < most and batching.joins(items, instance.queue[0].items, fleet.max_batch):
            items += instance.queue[0].items
            batch.append(instance.queue.popleft())
        run.take(instance, batch)
        instance.carried_ns = run.now if instance.queue else batching.UNSET
        instance.ready_ns = run.now
    run.set_timer(instance, timer_ns)


@dataclass(eq=False)
class Formed:
    """A batch that Triton's batcher formed and no model instance has taken."""

    requests: list[Request] = field(default_factory=list)
    items: int = 0
    oldest_ns: int = 0


class TritonBatcher:
    """One instance's batcher thread; :mod:`simulator.policies.triton` says what it does and why."""

    def __init__(self, run: Reference, instance: Instance) -> None:
        self._run = run
        self._instance = instance
        self._formed: list[Formed] = []
        self._state = triton.FRESH
        self._open_items = 0
        self._hoped = 0
        self._looked_ns = 0
        self._blocked = False
        self._preferred = np.array(instance.fleet.preferred, dtype=np.int64)

    def _may_form(self) -> bool:
        fleet = self._instance.fleet
        idle = len(self._instance.idle)
        return triton.may_form(fleet.forms_ahead, len(self._formed), idle, fleet.model.model_instances)

    def request_queued(self) -> None:
        """A request joined the queue: wake the batcher if it is worth it."""
        instance = self._instance
        if self._may_form() and triton.wakes(self._state, instance.waiting_items, self._hoped):
            self.look()
        elif instance.timer_ns == NEVER and not self._blocked:
            self._run.set_timer(instance, triton.next_poll_ns(self._looked_ns, self._run.now))

    def model_instance_freed(self) -> None:
        """A model instance takes the oldest formed batch; that wakes the batcher, as does an end of its blocking."""
        if self._formed:
            self._take()
            self.look()
        elif triton.end_wakes(self._instance.fleet.forms_ahead, self._blocked, len(self._instance.queue)):
            self.look()

    def look(self) -> None:
        """Form batches until there is nothing more to do, then sleep."""
        run, instance, fleet = self._run, self._instance, self._instance.fleet.model
        self._looked_ns = run.now
        self._blocked = False
        timer_ns = NEVER
        while True:
            if self._state == triton.STALE:
                self._state, self._open_items, self._hoped = triton.FRESH, 0, 0
            if not instance.queue:
                self._hoped = triton.hope_left(self._state, self._hoped)
                break
            if not self._may_form():
                self._blocked = True
                break
            glance = triton.Glance(0, 0, 0, 0, False, False)
            for request in instance.queue:
                glance = triton.examine(glance, self._open_items, request.items, fleet.max_batch, self._preferred)
                if glance.full:
                    break
            oldest_ns = instance.queue[0].queued_ns
            action, moving, closes, hoped = triton.verdict(
                glance, self._open_items, run.now - oldest_ns, fleet.delay_ns, self._preferred
            )
            if hoped != triton.KEEP:
                self._hoped = hoped
            if action == triton.SLEEP:
                timer_ns = oldest_ns + fleet.delay_ns
                break
            if action == triton.FORM:
                self._form(moving)
                if instance.idle:
                    self._take()
            if closes:
                self._state = triton.STALE
        run.set_timer(instance, timer_ns)

    def _form(self, moving: int) -> None:
        """Move the oldest requests into the open batch, or into a new one."""
        queue = self._instance.queue
        if self._state == triton.FRESH:
            self._formed.append(Formed(oldest_ns=queue[0].queued_ns))
            self._state = triton.OPEN
        batch = self._formed[-1]
        for _ in range(moving):
            request = queue.popleft()
            batch.requests.append(request)
            batch.items += request.items
            self._open_items += request.items

    def _take(self) -> None:
        """A free model instance takes the oldest formed batch and swallows those that have waited too long."""
        fleet = self._instance.fleet.model
        batch = self._pop()
        while self._formed and triton.merge_due(self._formed[0].oldest_ns, self._run.now, fleet.delay_ns):
            if len(self._formed) == 1:
                self._state = triton.STALE
            if not batching.joins(batch.items, self._formed[0].items, fleet.max_batch):
                break
            swallowed = self._pop()
            batch.requests += swallowed.requests
            batch.items += swallowed.items
        self._run.take(self._instance, batch.requests)

    def _pop(self) -> Formed:
        if len(self._formed) == 1:
            self._state = triton.STALE
        return self._formed.pop(0)
