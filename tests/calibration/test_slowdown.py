"""Executions that share a device slow one another down as much as the throughput of several model instances says."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibration.observation import Observation
from calibration.slowdown import fit_slowdown, turnover

TITAN = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "triton_titanrtx_vgg19.csv"


def loop(
    instances: int, throughput_rps: float, *, concurrency: float = 64, batch: float = 1, merged: bool = False
) -> Observation:
    """A closed loop."""
    return Observation(
        batch=batch,
        merged=merged,
        max_batch_size=int(batch) if merged else None,
        model_instances=instances,
        concurrency=concurrency,
        throughput_rps=throughput_rps,
    )


# --- the turnover of a device ---------------------------------------------------------------------------------------


@given(st.integers(1, 5), st.floats(0.1, 100))
def test_executions_that_share_a_device_evenly_gain_nothing(count: int, alone_ms: float) -> None:
    shared = [float(k) for k in range(1, count + 1)]
    assert 1 / alone_ms == pytest.approx(turnover(alone_ms, 0.0, shared))


@given(st.integers(1, 5), st.floats(0.1, 10), st.floats(0, 10))
def test_executions_that_do_not_disturb_one_another_add_up(count: int, alone_ms: float, held_ms: float) -> None:
    assert count / (alone_ms + held_ms) == pytest.approx(turnover(alone_ms, held_ms, [1.0] * count), rel=0.02)


def test_a_second_model_instance_hides_the_time_between_executions() -> None:
    """While one is between executions the other has the device to itself: 5 ms of work, never a pause."""
    assert 1 / 6 == pytest.approx(turnover(5.0, 1.0, [1.0]))
    assert 1 / 5 == pytest.approx(turnover(5.0, 1.0, [1.0, 2.0]), rel=0.01)


# --- the fit --------------------------------------------------------------------------------------------------------


def test_without_time_between_executions_the_slow_down_is_k_over_the_gain() -> None:
    found = fit_slowdown([loop(1, 100.0), loop(2, 125.0), loop(3, 150.0)])
    assert found is not None
    assert (1.0, 1.6, 2.0) == found.factors


@given(st.floats(1.05, 2.0), st.floats(0.0, 0.8), st.floats(0.0, 1.0))
def test_the_slow_down_behind_a_throughput_is_found_again(two: float, held_ms: float, more: float) -> None:
    """Also where executions hold their model instance longer than the device, so that k / gain would overstate it."""
    true = [1.0, two, two + more]
    rows = [loop(k, 1000 * turnover(4.0, held_ms, true[:k])) for k in (1, 2, 3)]
    found = fit_slowdown(rows, held_ms=lambda _batch: held_ms)
    assert found is not None
    rates = [turnover(4.0, held_ms, found.factors[:k]) for k in (1, 2, 3)]
    assert rates == pytest.approx([turnover(4.0, held_ms, true[:k]) for k in (1, 2, 3)], rel=0.02)


def test_the_factors_start_with_one_and_never_fall() -> None:
    found = fit_slowdown([loop(1, 100.0), loop(2, 125.0), loop(3, 260.0)])
    assert found is not None
    assert (1.0, 1.6, 1.6) == found.factors


def test_one_number_of_model_instances_tells_nothing() -> None:
    assert fit_slowdown([loop(1, 100.0), loop(1, 101.0, concurrency=128)]) is None
    assert fit_slowdown([loop(2, 100.0)]) is None


def test_only_loads_that_keep_every_model_instance_busy_count() -> None:
    """Two requests outstanding leave two model instances waiting for their clients."""
    found = fit_slowdown([loop(1, 100.0), loop(2, 125.0), loop(2, 60.0, concurrency=2), loop(1, 60.0, concurrency=2)])
    assert found is not None
    assert (1.0, 1.6) == found.factors
    assert fit_slowdown([loop(1, 100.0, concurrency=8), loop(2, 100.0, concurrency=3)]) is None


def test_batches_that_a_server_merges_are_compared_by_the_execution() -> None:
    found = fit_slowdown([loop(1, 800.0, batch=8, merged=True), loop(2, 1000.0, batch=8, merged=True)])
    assert found is not None
    assert (1.0, 1.6) == found.factors


def test_a_slow_down_that_depends_on_the_batch_is_named() -> None:
    rows = [loop(1, 100.0), loop(2, 160.0), loop(1, 20.0, batch=16), loop(2, 20.0, batch=16)]
    found = fit_slowdown(rows)
    assert found is not None
    assert (1.0, 1.625) == found.factors
    (warning,) = found.warnings
    assert "1.25-fold at batch 1 and 2.00-fold at batch 16" in warning


def test_a_count_between_that_was_not_measured_goes_on_as_before_and_is_named() -> None:
    found = fit_slowdown([loop(1, 100.0), loop(2, 125.0), loop(4, 160.0)])
    assert found is not None
    assert (1.0, 1.6, 2.2, 2.5) == found.factors
    assert ("3 executions at once were not measured: their slow-down goes on as before",) == found.warnings


def test_intervals_hold_the_factor_and_come_from_the_spread_of_the_loads() -> None:
    gains = (1.20, 1.25, 1.30)
    rows = [loop(1, 100.0, concurrency=c) for c in (8, 16, 32)]
    rows += [loop(2, 100.0 * gain, concurrency=c) for c, gain in zip((8, 16, 32), gains, strict=True)]
    found = fit_slowdown(rows, seed=1)
    assert found is not None
    assert (1.0, 1.0) == found.ci95[0]
    assert pytest.approx((2 / 1.3, 2 / 1.2), abs=1e-3) == found.ci95[1]
    assert found == fit_slowdown(rows, seed=1)


# --- a real device --------------------------------------------------------------------------------------------------


def titan_rows() -> list[Observation]:
    """Triton on a TITAN RTX, VGG-19, 1 to 5 model instances (model_analyzer's own experiments, Apache-2.0)."""
    if not TITAN.exists():
        pytest.skip("../shared/data/triton_titanrtx_vgg19.csv is absent")
    with TITAN.open(encoding="utf-8") as stream:
        return [
            loop(int(row["inst"]), float(row["thr"]), concurrency=float(row["conc"])) for row in csv.DictReader(stream)
        ]


@pytest.mark.parametrize("left_out", [2, 3, 4])
def test_the_throughput_of_a_real_gpu_is_predicted_from_other_numbers_of_model_instances(left_out: int) -> None:
    """Slow-downs from the other counts, those in between on a straight line: within 2.5 %."""
    rows = titan_rows()
    found = fit_slowdown([row for row in rows if row.model_instances != left_out])
    assert found is not None
    between = np.interp(
        left_out,
        [left_out - 1, left_out + 1],
        [found.factors[left_out - 2], found.factors[left_out]],
    )
    errors = []
    for load in sorted({row.concurrency for row in rows if row.concurrency and row.concurrency >= 2 * left_out}):
        alike = [row for row in rows if row.concurrency == load and row.throughput_rps]
        one = np.median([row.throughput_rps for row in alike if row.model_instances == 1])
        several = [row.throughput_rps for row in alike if row.model_instances == left_out]
        if several:
            errors.append(float(one * left_out / between / np.median(several) - 1))
    assert len(errors) >= 5
    assert float(np.median(np.abs(errors))) < 0.025


def test_a_real_gpu_is_shared_almost_evenly() -> None:
    """Five model instances turn over 6 % more than one: each execution takes 4.7 times as long."""
    found = fit_slowdown(titan_rows())
    assert found is not None
    assert pytest.approx((1.0, 1.93, 2.89, 3.80, 4.73), abs=0.02) == found.factors
    assert () == found.warnings
