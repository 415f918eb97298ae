"""The layouts that the compiled engine works on: which column of which table holds what.

Tables are int64 matrices, one row a thing, so that a row is a cache line or two. Rows and columns are named here and
nowhere else (as named tuples of column numbers: numba folds them into the code). Python never sees these tables except through :mod:`simulator.run`.

Why not one heap of events: an instance has at most one next event that matters, so the engine keeps one time an
instance and looks for the smallest (linear up to SCAN instances, a tree of minima above). That is two to four times
faster than a heap and never holds a cancelled timer.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from simulator.log import Int32s, Int64s

Float64s = npt.NDArray[np.float64]

NIL: Final = -1
"""No row: the end of a linked list."""

# Request ``batch`` column: the number of its execution, or one of these.
WAITING: Final = -1
REFUSED: Final = -2
EXPIRED: Final = -3

SCAN: Final = 32
"""Up to this many instances a linear scan finds the next event faster than a tree of minima."""


class InstanceColumns(NamedTuple):
    """Columns of ``State.instances``, one row an instance (an accelerator)."""

    FLEET: int = 0
    HEAD: int = 1
    """First request of the queue, formed batches first; NIL when empty."""
    TAIL: int = 2
    LOOSE: int = 3
    """First request of the queue that is in no formed batch."""
    WAITING: int = 4
    """Requests queued that are in no formed batch."""
    WAITING_ITEMS: int = 5
    IDLE: int = 6
    """Free model instances."""
    RUNNING: int = 7
    """Executions on the accelerator now."""
    READY_NS: int = 8
    """When the worker that collects now turned to the queue."""
    CARRIED_NS: int = 9
    """Timer carried over from a launch that left requests behind, or UNSET."""
    TIMER_NS: int = 10
    """When the batcher acts of its own accord; NEVER when it does not."""
    FRONTEND_NS: int = 11
    """When the serial front end is free again."""
    COMING: int = 12
    """First request on its way into the queue (front end, enqueue), by time; NIL if none."""
    COMING_TAIL: int = 13
    FORMED: int = 14
    """Formed batches (Triton)."""
    FORMED_HEAD: int = 15
    """Row of the oldest formed batch in the instance's ring."""
    BATCHER: int = 16
    """State of Triton's batcher: FRESH, OPEN or STALE."""
    OPEN_ITEMS: int = 17
    """Items in the batch that may still grow; 0 unless OPEN."""
    HOPED: int = 18
    """Queued items for which an arrival wakes the batcher."""
    LOOKED_NS: int = 19
    """When the batcher last looked."""
    BLOCKED: int = 20
    """1 while the batcher waits for room among the formed batches."""
    N_COLUMNS: int = 24


INSTANCE: Final = InstanceColumns()


class SlotColumns(NamedTuple):
    """Columns of ``State.slots``, one row a model instance."""

    PHASE: int = 0
    AT_NS: int = 1
    """When the phase ends; NEVER when idle."""
    WORK_NS: int = 2
    """Solo work left of the execution, as of SINCE_NS."""
    SINCE_NS: int = 3
    BATCH: int = 4
    """Number of the execution."""
    HEAD: int = 5
    """First request of the batch."""
    N_COLUMNS: int = 8


SLOT: Final = SlotColumns()


IDLE: Final = 0
DISPATCHING: Final = 1
EXECUTING: Final = 2
RELEASING: Final = 3


class BatchColumns(NamedTuple):
    """Columns of ``State.batches``, one row an execution."""

    INSTANCE: int = 0
    SLOT: int = 1
    ITEMS: int = 2
    REQUESTS: int = 3
    TAKEN_NS: int = 4
    START_NS: int = 5
    END_NS: int = 6
    FREE_NS: int = 7
    WORK_NS: int = 8
    N_COLUMNS: int = 9


BATCH: Final = BatchColumns()


class FormedColumns(NamedTuple):
    """Columns of ``State.formed[instance, ring row]``, a batch that Triton formed ahead."""

    REQUESTS: int = 0
    ITEMS: int = 1
    OLDEST_NS: int = 2
    N_COLUMNS: int = 3


FORMED: Final = FormedColumns()


class SourceColumns(NamedTuple):
    """Columns of ``State.sources``, one row a workload."""

    NEXT_NS: int = 0
    """Its next arrival; NEVER when it has none left in this stretch."""
    POSITION: int = 1
    """Draws consumed, counted within the stretch's columns."""
    CLIENTS: int = 2
    """Clients of a closed loop that are about to send (size of its heap)."""
    DEADLINE: int = 3
    """Oldest request that may still time out; NIL if none."""
    DEADLINE_TAIL: int = 4
    N_COLUMNS: int = 8


SOURCE: Final = SourceColumns()


class CountPlaces(NamedTuple):
    """Places of ``State.counts``."""

    REQUESTS: int = 0
    """Rows used in the request columns of this stretch."""
    BATCHES: int = 1
    """Rows used in the batch table of this stretch."""
    FIRST_BATCH: int = 2
    """Number of the execution in row 0 of the batch table."""
    PICKS: int = 3
    """Requests routed since the start of the run."""
    N_PLACES: int = 4


COUNT: Final = CountPlaces()


class FleetColumns(NamedTuple):
    """Columns of ``Tables.fleets``, one row a fleet."""

    FIRST: int = 0
    """Its first instance."""
    INSTANCES: int = 1
    MODEL_INSTANCES: int = 2
    RULE: int = 3
    """Code in :mod:`simulator.policies.batching`."""
    MAX_BATCH: int = 4
    DELAY_NS: int = 5
    MAX_QUEUE: int = 6
    ROUTER: int = 7
    """Code in :mod:`simulator.policies.routing`."""
    SCHEDULE: int = 8
    """Where its turn order begins in ``Tables.schedule``."""
    TURNS: int = 9
    """Length of its turn order."""
    ITEM_WORK_NS: int = 10
    """Work that the router expects of one item."""
    KEYS: int = 11
    """Where its router keys begin in ``State.keys``."""
    FORMS_AHEAD: int = 12
    """1 if Triton's batcher may form batches while all model instances are busy."""
    NOISY: int = 13
    N_COLUMNS: int = 16


FLEET: Final = FleetColumns()


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


class WorkloadColumns(NamedTuple):
    """Columns of ``Tables.workloads``, one row a workload."""

    FLEET: int = 0
    ITEMS: int = 1
    """Items of every request; 0 if they are drawn."""
    COIN: int = 2
    """1 if its router draws coins."""
    CLOSED: int = 3
    """1 if its requests come from a closed loop of clients."""
    TIMEOUT_NS: int = 4
    """How long after its arrival a request that no model instance took is given up; NEVER if not."""
    FIRST_CLIENT: int = 5
    """Where its clients begin in the heaps."""
    N_COLUMNS: int = 8


WORKLOAD: Final = WorkloadColumns()


class Tables(NamedTuple):
    """Everything that stays the same during a run, in integers."""

    fleets: Int64s
    """(fleets, FLEET.N_COLUMNS)"""
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
    workloads: Int64s
    """(workloads, WORKLOAD.N_COLUMNS)"""
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
    """Number of its execution, or WAITING, REFUSED, EXPIRED."""
    following: Int32s
    """Next request of the queue, of the batch, or of those coming."""
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

    counts: Int64s
    instances: Int64s
    """(instances, INSTANCE.N_COLUMNS)"""
    slots: Int64s
    """(instances, model instances, SLOT.N_COLUMNS)"""
    formed: Int64s
    """(instances, ring rows, FORMED.N_COLUMNS); ring rows = 2 x model instances + 1"""
    events: Int64s
    """Tree of minima over the instances' next event times; leaves from index len / 2."""
    keys: Int64s
    """The fleets' router keys, a tree of minima each, one after the other."""
    sources: Int64s
    """(workloads, SOURCE.N_COLUMNS)"""
    client_ns: Int64s
    """Heaps of the closed loops' clients, one workload after the other: when each sends."""
    client: Int32s
    """Which client that is."""
    requests: Requests
    batches: Int64s
    """(rows, BATCH.N_COLUMNS)"""


class Draws(NamedTuple):
    """What chance decides, drawn before the stretch; columns of all workloads one after the other."""

    first: Int64s
    """(workloads + 1,) where each workload's columns begin."""
    arrival_ns: Int64s
    """Open workloads: arrival times, ascending. Closed loops: think times."""
    items: Int32s
    coin: Int64s
    noise: Float64s
