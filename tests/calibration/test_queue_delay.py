"""The delay that a server really waits is what a lone request waits more than one of a full batch."""

from __future__ import annotations

from typing import Any

import pytest

from calibration.observation import Observation, Observations
from calibration.queue_delay import measured_delay_ms, with_measured_delay


def null_model(alone_ms: float | None, full_ms: float | None, rate: float = 10_000.0) -> Observations:
    given = {1: alone_ms, 8: full_ms}
    rows = [Observation(concurrency=c, latency_ms={"p50": ms}) for c, ms in given.items() if ms is not None]
    return Observations(rows=(*rows, Observation(concurrency=32, throughput_rps=rate)), scope="server")


def served(delay_ms: float | None) -> Observations:
    notes: dict[str, Any] = {} if delay_ms is None else {"max_queue_delay_ms": delay_ms}
    row = Observation(concurrency=1, latency_ms={"mean": 14.0}, max_batch_size=8, notes=notes)
    return Observations(rows=(row,), scope="server")


def test_the_delay_is_the_difference_less_what_a_batch_takes_to_gather() -> None:
    """Eight requests at 10,000 a second come in within 0.7 ms; on average each waits half of that for the last."""
    assert 7.0 - (1.5 - 0.35) == pytest.approx(measured_delay_ms(null_model(7.0, 1.5), 8))


@pytest.mark.parametrize(("alone", "full", "size"), [(None, 1.0, 8), (7.0, None, 8), (7.0, 1.0, 1)])
def test_without_both_rows_nothing_is_known(alone: float | None, full: float | None, size: int) -> None:
    assert measured_delay_ms(null_model(alone, full), size) is None


def test_a_server_that_waits_longer_than_it_is_told_is_found_out() -> None:
    found = with_measured_delay(served(5.0), null_model(7.0, 1.5))
    assert {"max_queue_delay_ms": 5.85, "configured_delay_ms": 5.0} == found.rows[0].notes
    assert "waits 5.85 ms for a fuller batch, not the 5 ms it is told to" in found.warnings[0]
    assert "max_queue_delay: 5.85ms" in found.warnings[0]


@pytest.mark.parametrize("delay", [None, 0.0, 5.9])
def test_nothing_changes_where_nothing_differs(delay: float | None) -> None:
    """A server that is not told to wait, or waits as long as it is told."""
    assert served(delay) == with_measured_delay(served(delay), null_model(7.0, 1.5))
