"""Write down what the reference engine's requests and batches went through, as the tables of a log."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

import numpy as np

from simulator.log import NOWHERE, BatchLog, RequestLog, RunLog, column_type, freeze

if TYPE_CHECKING:
    from simulator.reference import Reference
    from simulator.reference_state import Batch, Request


def run_log(run: Reference) -> RunLog:
    """The log of a run that is over."""
    place = {id(fleet): f for f, fleet in enumerate(run.fleets)}
    return RunLog(
        _table(RequestLog, [_request_row(request, place) for request in run.requests]),
        _table(BatchLog, [_batch_row(batch, place) for batch in run.batches]),
    )


def _request_row(request: Request, place: dict[int, int]) -> dict[str, int]:
    batch = request.batch
    return {
        "workload": request.workload,
        "fleet": place[id(request.instance.fleet)],
        "instance": request.instance.index,
        "items": request.items,
        "arrival_ns": request.arrival_ns,
        "queued_ns": request.queued_ns,
        "start_ns": batch.start_ns if batch else NOWHERE,
        "end_ns": batch.end_ns if batch else NOWHERE,
        "left_ns": request.left_ns,
        "batch_items": batch.items if batch else 0,
        "batch": batch.number if batch else NOWHERE,
        "outcome": request.outcome,
    }


def _batch_row(batch: Batch, place: dict[int, int]) -> dict[str, int]:
    return {
        "fleet": place[id(batch.instance.fleet)],
        "instance": batch.instance.index,
        "model_instance": batch.slot,
        "items": batch.items,
        "requests": len(batch.requests),
        "taken_ns": batch.taken_ns,
        "start_ns": batch.start_ns,
        "end_ns": batch.end_ns,
        "free_ns": batch.free_ns,
        "work_ns": batch.work_ns,
    }


def _table(kind: type[Any], rows: list[dict[str, int]]) -> Any:
    """Columns of the types that the log declares."""
    columns = {
        column.name: np.array([row[column.name] for row in rows], dtype=column_type(column)) for column in fields(kind)
    }
    freeze(*columns.values())
    return kind(**columns)
