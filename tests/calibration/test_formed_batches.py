"""Batches that a server formed: a curve where nothing better is known, at whole sizes, and said to be of means."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibration.fit import fit_profile
from calibration.formed_batches import formed_batches
from calibration.observation import Observation, Observations


def told(*points: tuple[float, float], merged: bool = True) -> Observations:
    """Windows of a server: mean batch, and ms of its execution."""
    rows = tuple(
        Observation(batch=batch, merged=merged, rate_rps=100.0, latency_ms={"mean": 2 * ms}, parts_ms={"compute": ms})
        for batch, ms in points
    )
    return Observations(rows=rows, scope="server", provenance={"device": "T4"})


@given(st.lists(st.floats(1, 32), min_size=2, max_size=8, unique=True), st.floats(0.1, 50), st.floats(0.01, 5))
def test_a_straight_line_is_met_at_every_whole_size(sizes: list[float], fixed: float, each: float) -> None:
    """Made up: where time grows evenly with the batch, means of windows lie on the curve itself."""
    formed = formed_batches(told(*((size, fixed + each * size) for size in sizes)))
    assert formed is not None
    inside = [row for row in formed.rows if min(sizes) <= row.batch <= max(sizes)]
    for row in inside:
        assert pytest.approx(fixed + each * row.batch) == row.latency_ms["mean"]
    assert all(row.batch.is_integer() for row in formed.rows)


def test_copies_count_as_part_of_the_execution() -> None:
    row = Observation(batch=4, merged=True, parts_ms={"input": 0.5, "compute": 8.0, "output": 0.25, "queue": 3.0})
    formed = formed_batches(Observations(rows=(row,), scope="server"))
    assert formed is not None
    assert {"mean": 8.75} == formed.rows[0].latency_ms


def test_a_mean_between_two_sizes_is_taken_for_the_nearer() -> None:
    formed = formed_batches(told((2.2, 9.0), (2.4, 9.5)))
    assert formed is not None
    assert [(2.0, 9.0)] == [(row.batch, row.latency_ms["mean"]) for row in formed.rows]
    assert ("the batch curve is of batches that the server formed, of 2.2 to 2.4 items on average",) == formed.warnings


def test_a_request_served_alone_tells_more() -> None:
    alone = told((1, 5.0), merged=False).rows
    assert formed_batches(Observations(rows=(*told((4, 9.0)).rows, *alone), scope="server")) is None
    assert formed_batches(told((4, 9.0), merged=False)) is None
    assert formed_batches(Observations(rows=(), scope="server")) is None


def test_without_the_time_of_an_execution_there_is_nothing_to_tell() -> None:
    row = Observation(batch=4, merged=True, latency_ms={"mean": 12.0}, parts_ms={"queue": 3.0})
    assert formed_batches(Observations(rows=(row,), scope="server")) is None


def test_the_fit_takes_them_for_the_curve_and_keeps_the_loads() -> None:
    served = told((2, 12.0), (4, 16.0), (8, 24.0))
    formed = formed_batches(served)
    assert formed is not None
    file = fit_profile([served, formed])
    assert file.measurements is not None
    assert file.loads is not None
    assert (2, 3, 4, 5, 6, 7, 8) == file.measurements.batch
    assert [2.0, 4.0, 8.0] == [float(batch) for batch in file.loads["batch"]]
