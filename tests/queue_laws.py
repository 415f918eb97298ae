"""The laws of one instance's queue: who is served next, and that nobody waits without a reason.

The queue is walked through once more, event by event in the declared order, with nothing but the log and the rule's own
words: a batch must leave the moment its rule says, with whom its rule says. Triton's batcher is judged from outside,
by what its users may rely on, since what it has formed is in no log.
"""

from __future__ import annotations

from collections import defaultdict, deque
from typing import Final

import numpy as np
import numpy.typing as npt

from simulator.log import COMPLETED, REJECTED, TIMED_OUT, RunLog
from simulator.model import Model, effective_rule, preferred_sizes
from simulator.policies import batching

FREED: Final = 0
TIMER: Final = 1
APPROACHED: Final = 2
WITHDRAWN: Final = 3
ARRIVED: Final = 4
"""What may happen at one instant, in the declared order."""

Happening = list[tuple[int, int]]
"""(what, row of the execution or of the request) of one instant."""


def check_queue(model: Model, f: int, log: RunLog, instance: int, reached_ns: npt.NDArray[np.int64]) -> None:
    """Assert the laws of the queue of one instance of fleet ``f`` on the whole log of a run."""
    kind = TritonQueue if effective_rule(model.fleets[f]) == batching.TRITON else Queue
    queue = kind(model, f, log, instance, reached_ns)
    due_ns = batching.WAIT_FOR_MORE
    for now_ns, happening in sorted(_instants(log, instance, reached_ns).items()):
        assert now_ns <= due_ns, f"instance {instance} should have launched at {due_ns}"
        queue.live_through(now_ns, happening)
        due_ns = queue.due_ns()
        assert now_ns < due_ns, f"instance {instance} should have launched at {now_ns}"
    assert due_ns >= batching.WAIT_FOR_MORE, f"instance {instance} left requests waiting for nothing"


def _instants(log: RunLog, instance: int, reached_ns: npt.NDArray[np.int64]) -> dict[int, Happening]:
    """What happens at an instant, by the instant, in the declared order."""
    requests, batches = log.requests, log.batches
    instants: dict[int, Happening] = defaultdict(lambda: [(TIMER, 0)])
    for b in np.flatnonzero(batches.instance == instance).tolist():
        instants[int(batches.free_ns[b])].append((FREED, b))
        instants.setdefault(int(batches.taken_ns[b]), [(TIMER, 0)])
    for row in np.flatnonzero(requests.instance == instance).tolist():
        if requests.queued_ns[row] >= 0 or requests.outcome[row] == REJECTED:
            at_ns = int(reached_ns[row])
            instants[at_ns].append((ARRIVED if at_ns == requests.arrival_ns[row] else APPROACHED, row))
            if requests.outcome[row] == TIMED_OUT:
                instants[int(requests.left_ns[row])].append((WITHDRAWN, row))
    for happening in instants.values():
        happening.sort()
    return instants


class Queue:
    """One instance's queue while the log is walked through."""

    def __init__(self, model: Model, f: int, log: RunLog, instance: int, reached_ns: npt.NDArray[np.int64]) -> None:
        self.fleet = fleet = model.fleets[f]
        self.rule = effective_rule(fleet)
        self.items: list[int] = log.requests.items.tolist()
        self.outcome: list[int] = log.requests.outcome.tolist()
        self.reached_ns: list[int] = reached_ns.tolist()
        self.waiting: deque[int] = deque()
        self.coming: deque[int] = deque()
        """Who joins later in this instant."""
        self.idle = fleet.model_instances
        self.ready_ns = 0
        self.carried_ns = batching.UNSET
        members: dict[int, list[int]] = {b: [] for b in np.flatnonzero(log.batches.instance == instance).tolist()}
        ours = np.flatnonzero((log.requests.instance == instance) & (log.requests.outcome == COMPLETED)).tolist()
        for row in sorted(ours, key=lambda row: (self.reached_ns[row], row)):
            members[int(log.requests.batch[row])].append(row)
        self.to_take = deque((int(log.batches.taken_ns[b]), members[b]) for b in members)
        """(when, oldest first whom) of the executions ahead, from the log."""

    def live_through(self, now_ns: int, happening: Happening) -> None:
        """Let everything of one instant happen."""
        self.coming.extend(row for what, row in happening if self._joins(what, row))
        present = len(self.waiting)
        for what, row in happening:
            if what == FREED:
                self.ready_ns = now_ns if self.idle == 0 else self.ready_ns
                self.idle += 1
            elif what == WITHDRAWN:
                self.waiting.remove(row)
                self.carried_ns = self.carried_ns if self.waiting else batching.UNSET
            elif self._joins(what, row):
                self.waiting.append(self.coming.popleft())
                present += 1
            elif what != TIMER:
                assert present >= self.fleet.max_queue, f"request {row} was refused though there was room"
            self.launch(now_ns)
        assert not self.to_take or self.to_take[0][0] > now_ns, f"requests {self.to_take[0][1]} were not next"
        assert len(self.waiting) <= self.fleet.max_queue

    def _joins(self, what: int, row: int) -> bool:
        return what in (APPROACHED, ARRIVED) and self.outcome[row] != REJECTED

    def launch(self, now_ns: int) -> None:
        """Take what must be taken now, which must be what the log says."""
        while self.due_ns() <= now_ns:
            size, members = 0, []
            most = 1 if self.rule == batching.NONE else self.fleet.max_batch
            while self.waiting and len(members) < most:
                row = self.waiting[0]
                if members and size + self.items[row] > self.fleet.max_batch:
                    break
                size += self.items[row]
                members.append(self.waiting.popleft())
            taken = self.to_take.popleft() if self.to_take else None
            assert (now_ns, members) == taken, f"requests {members} should have been taken at {now_ns}, not {taken}"
            self.idle -= 1
            self.ready_ns = now_ns
            self.carried_ns = now_ns if self.waiting else batching.UNSET

    def due_ns(self) -> int:
        """When a batch must be taken if nothing happens before."""
        if not self.waiting or self.idle == 0:
            return batching.WAIT_FOR_MORE
        return batching.launch_ns(
            self.rule,
            self.waiting_items,
            self.fleet.max_batch,
            self.fleet.delay_ns,
            self.reached_ns[self.waiting[0]],
            self.ready_ns,
            self.carried_ns,
        )

    @property
    def waiting_items(self) -> int:
        """Items in the queue."""
        return sum(self.items[row] for row in self.waiting)


class TritonQueue(Queue):
    """The queue of an instance whose batcher forms batches that no log tells of."""

    def launch(self, now_ns: int) -> None:
        """Take what the log says as early in this instant as can be: the oldest, for a reason."""
        while self.idle > 0 and self.to_take and self.to_take[0][0] == now_ns:
            members = self.to_take[0][1]
            if members != [*self.waiting][: len(members)]:
                return
            self.to_take.popleft()
            for _ in members:
                self.waiting.popleft()
            self.idle -= 1
            size = sum(self.items[row] for row in members)
            behind = [*self.waiting, *self.coming][:1]
            sizes = preferred_sizes(self.fleet)
            overdue = now_ns - self.reached_ns[members[0]] >= self.fleet.delay_ns
            closed = size + sum(self.items[row] for row in behind) > sizes[-1]
            assert size in sizes or overdue or closed, f"a batch of {size} was formed without a reason"

    def due_ns(self) -> int:
        """When a batch must be taken at the latest if nothing happens before.

        The batcher waits for as long as the delay and for fewer than the smallest preferred size (unless requests of
        several items step over it), and an idle model instance wakes it.
        """
        if not self.waiting or self.idle == 0:
            return batching.WAIT_FOR_MORE
        assert self.waiting_items < preferred_sizes(self.fleet)[0] or self.waiting_items > len(self.waiting)
        return self.reached_ns[self.waiting[0]] + self.fleet.delay_ns
