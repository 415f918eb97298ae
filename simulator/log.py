"""The record tables of a run: one row a request, one row an execution.

Every number in a report is computed from these tables; nothing is counted on the side. This file is the only
place where their columns are described. Times are int64 nanoseconds since the start of the run.

A streamed run hands out several logs one after another; each holds whole rows, every request and every
execution appears in exactly one of them.
"""

from __future__ import annotations

from dataclasses import Field, dataclass, fields
from typing import Any, Final

import numpy as np
import numpy.typing as npt

Int64s = npt.NDArray[np.int64]
Int32s = npt.NDArray[np.int32]
Int8s = npt.NDArray[np.int8]

COMPLETED: Final = 0
REJECTED: Final = 1
TIMED_OUT: Final = 2
IN_FLIGHT: Final = 3
OUTCOMES: Final = ("completed", "rejected", "timed_out", "in_flight")
"""Names of the outcome codes, by code."""

NOWHERE: Final = -1
"""In a column of times or rows: it never happened."""


@dataclass(frozen=True)
class RequestLog:
    """One row a request, in the order in which requests arrived. All columns have shape (n,)."""

    workload: Int32s
    """Index of the workload in the scenario's order."""
    fleet: Int32s
    """Index of the fleet that received it."""
    instance: Int32s
    """Index of the instance it was routed to; instances are numbered through all fleets."""
    items: Int32s
    """Items it carries; they travel in one batch."""
    arrival_ns: Int64s
    """The client sends it."""
    queued_ns: Int64s
    """It is in the instance's queue (after the serial front end and the enqueue delay); NOWHERE if it never was."""
    start_ns: Int64s
    """The execution of its batch starts on the accelerator; NOWHERE if it never did."""
    end_ns: Int64s
    """The execution of its batch ends; NOWHERE if it never did."""
    left_ns: Int64s
    """It leaves: the client has the reply, the refusal, or gives up; NOWHERE while in flight."""
    batch_items: Int32s
    """Items in its batch, 0 if it was never in one."""
    batch: Int64s
    """Number of its execution, counted through the run; NOWHERE if none."""
    outcome: Int8s
    """COMPLETED, REJECTED, TIMED_OUT or IN_FLIGHT."""

    def __len__(self) -> int:
        """Number of requests."""
        return len(self.arrival_ns)


@dataclass(frozen=True)
class BatchLog:
    """One row an execution, in the order in which model instances took them. All columns have shape (m,)."""

    fleet: Int32s
    """Index of the fleet."""
    instance: Int32s
    """Index of the instance (accelerator), numbered through all fleets."""
    model_instance: Int32s
    """Which of the instance's model instances ran it, from 0."""
    items: Int32s
    """Items executed together."""
    requests: Int32s
    """Requests executed together."""
    taken_ns: Int64s
    """The model instance takes the batch: dispatch begins."""
    start_ns: Int64s
    """Execution starts on the accelerator."""
    end_ns: Int64s
    """Execution ends."""
    free_ns: Int64s
    """The model instance is free again (release is over)."""
    work_ns: Int64s
    """Time the execution would have taken alone on the accelerator; end - start is longer when others overlapped."""

    def __len__(self) -> int:
        """Number of executions."""
        return len(self.items)


@dataclass(frozen=True)
class RunLog:
    """What one run, or one stretch of a streamed run, left behind."""

    requests: RequestLog
    batches: BatchLog

    def same_as(self, other: RunLog) -> bool:
        """Whether every column of every row is equal, bit for bit."""
        return not self.differences(other)

    def differences(self, other: RunLog) -> list[str]:
        """Names of the columns that differ from ``other``, as ``requests.start_ns``; empty when equal."""
        return [
            f"{table}.{field.name}"
            for table in ("requests", "batches")
            for field in fields(getattr(self, table))
            if not np.array_equal(getattr(getattr(self, table), field.name), getattr(getattr(other, table), field.name))
        ]


def column_type(column: Field[Any]) -> type[np.signedinteger[Any]]:
    """NumPy type that a column of these tables is declared to have."""
    types: dict[str, type[np.signedinteger[Any]]] = {"Int64s": np.int64, "Int32s": np.int32, "Int8s": np.int8}
    return types[str(column.type)]


def freeze(*arrays: npt.NDArray[np.generic]) -> None:
    """Make the arrays read-only, so that nothing downstream writes into a log."""
    for array in arrays:
        array.setflags(write=False)
