"""The laws of a run (:mod:`tests.laws`) notice when one is broken: a law that no log can break guards nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from simulator.log import OUTCOMES, REJECTED, TIMED_OUT, BatchLog, RequestLog, RunLog
from simulator.model import FleetModel, Model
from simulator.policies import batching
from tests.laws import check_laws
from tests.models import MS, agreed, arriving, by_items, looping, model_of

Int64s = npt.NDArray[np.int64]


def ordinary_model() -> Model:
    """Two instances that batch, with something of everything a law speaks of."""
    fleet = FleetModel(
        by_items(10, 12, 14, 16),
        instances=2,
        model_instances=2,
        rule=batching.TEXTBOOK,
        max_batch=4,
        delay_ns=3 * MS,
        max_queue=3,
        frontend_ns=by_items(0.1, 0.1, 0.1, 0.1),
        enqueue_ns=by_items(0.2, 0.2, 0.2, 0.2),
        dispatch_ns=by_items(0.3, 0.3, 0.3, 0.3),
        release_ns=by_items(0.4, 0.4, 0.4, 0.4),
        reply_ns=by_items(0.5, 0.5, 0.5, 0.5),
    )
    times = tuple(np.repeat(np.arange(0.0, 60.0, 1.5), 2).tolist())
    return model_of(fleet, (arriving(*times, timeout_ns=12 * MS), looping(4, 5)), horizon_ns=60 * MS)


def tampered(log: RunLog, table: str, column: str, change: Callable[[Int64s], None]) -> RunLog:
    """The log with one column changed in place."""
    changed: RequestLog | BatchLog = getattr(log, table)
    values = getattr(changed, column).copy()
    change(values)
    values.setflags(write=False)
    return replace(log, **{table: replace(changed, **{column: values})})


BROKEN: dict[str, tuple[str, str, int | str, int]] = {
    # the table, the column, the row (or the first with an outcome), and what is added there
    "a reply that came early": ("requests", "left_ns", "completed", -1),
    "a reply that came late": ("requests", "left_ns", "completed", 1),
    "a refusal before the request got there": ("requests", "left_ns", "rejected", -1),
    "a client that gave up early": ("requests", "left_ns", "timed_out", -1),
    "a lost refusal": ("requests", "outcome", "rejected", TIMED_OUT - REJECTED),
    "an outcome nobody knows": ("requests", "outcome", "rejected", 7),
    "a request that never came": ("requests", "arrival_ns", 3, 1),
    "a queue reached too early": ("requests", "queued_ns", "completed", -1),
    "another instance than the router's": ("requests", "instance", 0, 1),
    "a request of another fleet": ("requests", "fleet", 0, 1),
    "a request that grew": ("requests", "items", 0, 1),
    "a batch that holds one more": ("batches", "requests", 0, 1),
    "a batch of more items": ("batches", "items", 0, 1),
    "an execution on a busy model instance": ("batches", "model_instance", 1, 1),
    "an execution that skipped its dispatch": ("batches", "taken_ns", 2, 1),
    "work that took no time": ("batches", "work_ns", 0, 1),
    "a model instance that stayed busy": ("batches", "free_ns", 0, 1),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_law_is_noticed(what: str) -> None:
    """A law that no log can break guards nothing."""
    model = ordinary_model()
    log = agreed(model)
    table, column, where, more = BROKEN[what]
    row = where if isinstance(where, int) else log.requests.outcome.tolist().index(OUTCOMES.index(where))

    def change(values: Int64s) -> None:
        values[row] += more

    with pytest.raises(AssertionError):
        check_laws(model, tampered(log, table, column, change))


def test_a_batch_that_waited_too_long_is_noticed() -> None:
    """Work conservation: everything consistent, only that a free model instance let a request wait 1 ns more."""
    fleet = FleetModel(by_items(10), rule=batching.TEXTBOOK)
    model = model_of(fleet, arriving(0, 30))
    log = agreed(model)
    for table, columns in (("requests", ("start_ns", "end_ns", "left_ns")), ("batches", BatchLog.__annotations__)):
        for column in (name for name in columns if name.endswith("_ns") and name != "work_ns"):

            def later(values: Int64s) -> None:
                values[1] += 1

            log = tampered(log, table, column, later)
    with pytest.raises(AssertionError, match=r"requests \[1\] should have been taken at 30000000, not"):
        check_laws(model, log)
