"""The layouts that the compiled engine works on: which field of which table holds what.

Tables are arrays of records of int64 fields, one record a thing, so that what is used together lies in a cache line
or two and a field is a constant offset. Each record is described here once, as a named tuple; its dtype has the same
fields in the same order. Outside the engine only :mod:`simulator.columns` and :mod:`simulator.model` touch them.

Why not one heap of events: an instance has at most one next event that matters, so the engine keeps one time an
instance and looks for the smallest (linear up to SCAN instances, a tree of minima above). That is two to four times
faster than a heap and never holds a cancelled timer.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from simulator.log import Int32s, Int64s

Float64s = npt.NDArray[np.float64]
Records = Any
"""An array of records: ``records[i].field``."""

NIL: Final = -1
"""No row: the end of a linked list."""

# Request ``batch`` column: the number of its execution, or one of these.
WAITING: Final = -1
REFUSED: Final = -2
EXPIRED: Final = -3

SCAN: Final = 32
"""Up to this many instances a linear scan finds the next event faster than a tree of minima."""


def record_type(record: type[NamedTuple]) -> np.dtype[np.void]:
    """Dtype with an int64 field for each field of the named tuple."""
    return np.dtype([(name, np.int64) for name in record._fields], align=True)


def records(shape: int | tuple[int, ...], dtype: np.dtype[np.void]) -> Any:
    """Zeroed records whose fields read as attributes, in compiled code as in Python."""
    return np.zeros(shape, dtype=dtype).view(np.recarray)


class InstanceRecord(NamedTuple):
    """A record of ``State.instances``, one an instance (an accelerator)."""

    fleet: int
    head: int
    """First request of the queue, formed batches first; NIL when empty."""
    tail: int
    loose: int
    """First request of the queue that is in no formed batch."""
    waiting: int
    """Requests queued that are in no formed batch."""
    waiting_items: int
    idle: int
    """Free model instances."""
    running: int
    """Executions on the accelerator now."""
    ready_ns: int
    """When the worker that collects now turned to the queue."""
    carried_ns: int
    """Timer carried over from a launch that left requests behind, or UNSET."""
    timer_ns: int
    """When the batcher acts of its own accord; NEVER when it does not."""
    frontend_ns: int
    """When the serial front end is free again."""
    coming: int
    """First request on its way into the queue (front end, enqueue), by time; NIL if none."""
    coming_tail: int
    formed: int
    """Formed batches (Triton)."""
    formed_head: int
    """Row of the oldest formed batch in the instance's ring."""
    batcher: int
    """State of Triton's batcher: FRESH, OPEN or STALE."""
    open_items: int
    """Items in the batch that may still grow; 0 unless OPEN."""
    hoped: int
    """Queued items for which an arrival wakes the batcher."""
    looked_ns: int
    """When the batcher last looked."""
    blocked: int
    """1 while the batcher waits for room among the formed batches."""


INSTANCE: Final = record_type(InstanceRecord)


class SlotRecord(NamedTuple):
    """A record of ``State.slots``, one a model instance."""

    phase: int
    at_ns: int
    """When the phase ends; NEVER when idle."""
    work_ns: int
    """Solo work left of the execution, as of SINCE_NS."""
    since_ns: int
    batch: int
    """Number of the execution."""
    head: int
    """First request of the batch."""


SLOT: Final = record_type(SlotRecord)


IDLE: Final = 0
DISPATCHING: Final = 1
EXECUTING: Final = 2
RELEASING: Final = 3


class BatchRecord(NamedTuple):
    """A record of ``State.batches``, one an execution."""

    instance: int
    slot: int
    items: int
    requests: int
    taken_ns: int
    start_ns: int
    end_ns: int
    free_ns: int
    work_ns: int


BATCH: Final = record_type(BatchRecord)


class FormedRecord(NamedTuple):
    """A record of ``State.formed[instance, ring place]``, a batch that Triton formed ahead."""

    requests: int
    items: int
    oldest_ns: int


FORMED: Final = record_type(FormedRecord)


class SourceRecord(NamedTuple):
    """A record of ``State.sources``, one a workload."""

    next_ns: int
    """Its next arrival; NEVER when it has none left in this stretch."""
    position: int
    """Draws consumed, counted within the stretch's columns."""
    clients: int
    """Clients of a closed loop that are about to send (size of its heap)."""
    deadline: int
    """Oldest request that may still time out; NIL if none."""
    deadline_tail: int


SOURCE: Final = record_type(SourceRecord)


class CountRecord(NamedTuple):
    """The only record of ``State.counts``."""

    requests: int
    """Rows used in the request columns of this stretch."""
    batches: int
    """Rows used in the batch table of this stretch."""
    first_batch: int
    """Number of the execution in row 0 of the batch table."""
    picks: int
    """Requests routed since the start of the run."""


COUNT: Final = record_type(CountRecord)


class FleetRecord(NamedTuple):
    """A record of ``Tables.fleets``, one a fleet."""

    first: int
    """Its first instance."""
    instances: int
    model_instances: int
    rule: int
    """Code in :mod:`simulator.policies.batching`."""
    max_batch: int
    delay_ns: int
    max_queue: int
    router: int
    """Code in :mod:`simulator.policies.routing`."""
    schedule: int
    """Where its turn order begins in ``Tables.schedule``."""
    turns: int
    """Length of its turn order."""
    item_work_ns: int
    """Work that the router expects of one item."""
    keys: int
    """Where its router keys begin in ``State.keys``."""
    forms_ahead: int
    """1 if Triton's batcher may form batches while all model instances are busy."""
    noisy: int
    half: int
    """Its instances rounded up to a power of two: leaves of its tree of router keys."""


FLEET: Final = record_type(FleetRecord)


class PartRows(NamedTuple):
    """Rows of ``Tables.parts[fleet]``: the parts of a request's life, in ns by items."""

    SERVICE: int = 0
    """Execution alone on the accelerator, by items of the batch."""
    FRONTEND: int = 1
    """Serial work before the queue, by items of the request."""
    ENQUEUE: int = 2
    """Sent to queued, in parallel, by items of the request."""
    DISPATCH: int = 3
    """Batch taken to execution started, by items of the batch."""
    RELEASE: int = 4
    """Execution ended to model instance free, by items of the batch."""
    REPLY: int = 5
    """Execution ended to answer received, in parallel, by items of the batch."""
    N_ROWS: int = 6


PART: Final = PartRows()


class WorkloadRecord(NamedTuple):
    """A record of ``Tables.workloads``, one a workload."""

    fleet: int
    items: int
    """Items of every request; 0 if they are drawn."""
    coin: int
    """1 if its router draws coins."""
    closed: int
    """1 if its requests come from a closed loop of clients."""
    timeout_ns: int
    """How long after its arrival a request that no model instance took is given up; NEVER if not."""
    first_client: int
    """Where its clients begin in the heaps."""


WORKLOAD: Final = record_type(WorkloadRecord)


class Tables(NamedTuple):
    """Everything that stays the same during a run, in integers."""

    fleets: Records
    """(fleets, FLEET records)"""
    parts: Int64s
    """(fleets, PART.N_ROWS, largest batch + 1) in ns; column 0 is not used"""
    slow_ppm: Int64s
    """(fleets, model instances + 1) slow-down of each of k overlapping executions, by k"""
    preferred: Int64s
    """(fleets, sizes) preferred batch sizes, increasing, the last one repeated to fill the row"""
    schedule: Int64s
    """Turn orders of the fleets with a SCHEDULE router, one after the other"""
    noise: Float64s
    """(rows, NOISE_LEVELS + 1) factors around 1"""
    noise_row: Int64s
    """(fleets, largest batch + 1) which row of ``noise`` a batch uses"""
    workloads: Records
    """(workloads, WORKLOAD records)"""
    extras: bool | None
    """None if the model is plain: open workloads of one item a request without timeouts, one model instance, no
    overheads before the reply, no noise, no bound, no rule that forms ahead. The compiler then leaves out the rest."""
    horizon_ns: int
    """Nobody sends a request at or after this time."""


class Requests(NamedTuple):
    """Columns of the requests in this stretch, by row; those a run does not need have length 0."""

    workload: Int32s
    instance: Int32s
    items: Int32s
    arrival_ns: Int64s
    queued_ns: Int64s
    batch: Int64s
    """Number of its execution, or WAITING, REFUSED, EXPIRED; WAITING in rows that are not used yet."""
    following: Int32s
    """Next request of the queue, of the batch, or of those coming; NIL in rows that are not used yet."""
    following_deadline: Int32s
    """Next request of the same workload that may time out."""
    client: Int32s
    """Closed loop: which client sent it."""
    think_ns: Int64s
    """Closed loop: how long that client thinks after the reply."""
    noise: Float64s
    """Position in the noise table, used if the request is its batch's oldest."""


class State(NamedTuple):
    """Everything that changes during a run; all of it survives between two stretches of a streamed run."""

    counts: Records
    instances: Records
    """(instances, INSTANCE records)"""
    slots: Records
    """(instances, model instances, SLOT records)"""
    formed: Records
    """(instances, ring rows, FORMED records); ring rows = 2 x model instances + 1"""
    events: Int64s
    """Tree of minima over the instances' next event times; leaves from index len / 2."""
    keys: Int64s
    """The fleets' router keys, a tree of minima each, one after the other."""
    sources: Records
    """(workloads, SOURCE records)"""
    client_ns: Int64s
    """Heaps of the closed loops' clients, one workload after the other: when each sends."""
    client: Int32s
    """Which client that is."""
    requests: Requests
    batches: Records
    """(rows, BATCH records)"""


class Draws(NamedTuple):
    """What chance decides, drawn before the stretch; columns of all workloads one after the other."""

    first: Int64s
    """(workloads + 1,) where each workload's columns begin."""
    arrival_ns: Int64s
    """Open workloads: arrival times, ascending. Closed loops: think times."""
    items: Int32s
    coin: Int64s
    noise: Float64s
