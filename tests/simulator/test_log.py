"""Logs are compared column by column, bit for bit, and a difference is named."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest

from simulator.log import OUTCOMES, BatchLog, RequestLog, RunLog, freeze
from simulator.model import FleetModel
from simulator.run import run
from tests.models import arriving, by_items, model_of

LOG = run(model_of(FleetModel(by_items(10)), arriving(1, 2, 50)))


@pytest.mark.parametrize(("table", "kind"), [("requests", RequestLog), ("batches", BatchLog)])
def test_a_difference_in_any_column_is_named(table: str, kind: type) -> None:
    """Two engines that differ in a column nobody compares are said to agree."""
    rows = getattr(LOG, table)
    for column in fields(kind):
        changed = getattr(rows, column.name).copy()
        changed[1] += 1
        other = replace(LOG, **{table: replace(rows, **{column.name: changed})})
        assert [f"{table}.{column.name}"] == LOG.differences(other)
        assert not LOG.same_as(other)


def test_equal_logs_are_the_same() -> None:
    """Copies compare equal; it is the values that count."""
    copied = RequestLog(**{name: values.copy() for name, values in vars(LOG.requests).items()})
    assert LOG.same_as(RunLog(copied, LOG.batches))
    assert [] == LOG.differences(LOG)


def test_a_log_that_is_shorter_differs_in_every_column() -> None:
    """A missing last row must not pass because those before it are equal."""
    shorter = RequestLog(**{name: values[:-1] for name, values in vars(LOG.requests).items()})
    assert [f"requests.{column.name}" for column in fields(RequestLog)] == LOG.differences(RunLog(shorter, LOG.batches))


def test_a_log_is_read_only() -> None:
    """A report that wrote into the log would change the next report."""
    with pytest.raises(ValueError, match="read-only"):
        LOG.requests.left_ns[0] = 5
    column = np.arange(3)
    freeze(column)
    assert not column.flags.writeable


def test_outcomes_have_their_names() -> None:
    """The codes of the log are those of the contract, in its order."""
    assert ("completed", "rejected", "timed_out", "in_flight") == OUTCOMES
