"""The parts of a request's life add up to its latency, and those that hold others up come from runs that show it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibration.fit import fit_profile
from calibration.idle import IdlePoint, adding_up, idle_points
from calibration.observation import Observation, Observations
from calibration.overheads import FittedOverheads, fit_overheads, frontend_ms
from calibration.saturation import Saturated, saturated_runs
from tests.calibration.server_calibration import calibration_of, overhead_block


def straight(batch: float) -> float:
    """An execution of 8 + b ms."""
    return 8.0 + batch


def fitted(lone: list[IdlePoint], saturated: list[Saturated] | None = None, **more: Any) -> FittedOverheads:
    """Overheads beside executions of 8 + b ms for 1 to 8 items."""
    found = fit_overheads(lone, saturated or [], straight, valid_range=(1, 8), **more)
    assert found is not None
    return found


def full_batches(cycle_ms: float, batch: float = 8.0, **more: Any) -> Saturated:
    """Full batches of separate requests, one after the other."""
    return Saturated(batch=batch, cycle_ms=cycle_ms, separate=True, requests_each=batch, **more)


def total(found: FittedOverheads, batch: int) -> float:
    """Latency of a lone request of this size."""
    at = found.batch.index(batch)
    parts = found.enqueue_ms[at] + found.dispatch_ms[at] + found.reply_ms[at]
    return found.frontend_ms + parts + straight(batch)


# --- parts that are rounded -----------------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 40), min_size=1, max_size=6), st.floats(0.3, 20))
def test_parts_are_made_to_add_up_to_the_latency_beside_them(tenths: list[int], total_ms: float) -> None:
    names = ("compute", "send", "network", "queue", "input", "output")
    parts = {name: value / 10 for name, value in zip(names, tenths, strict=False)}
    found = adding_up(parts, total_ms, 0.1)
    assert total_ms == pytest.approx(sum(found.values()))
    assert min(found.values()) >= 0


def test_parts_move_within_their_rounding_when_that_explains_the_difference() -> None:
    parts = {"network": 0.1, "input": 0.1, "compute": 0.5}
    found = adding_up(parts, 0.6, 0.1)
    assert all(abs(found[name] - value) <= 0.05 + 1e-12 for name, value in parts.items())


def test_what_rounding_cannot_explain_is_the_network() -> None:
    assert {"compute": 5.0, "network": 1.0} == adding_up({"compute": 5.0}, 6.0, 0.001)
    assert {"compute": 5.0, "network": 0.5} == pytest.approx(adding_up({"compute": 5.0, "network": 1.0}, 5.5, 0.0))


def test_throughput_tells_a_rounded_latency_more_exactly() -> None:
    """Published as 0.6 ms and 1,561 requests a second one after the other, which is 0.6406 ms."""
    row = Observation(
        concurrency=1, throughput_rps=1561.0, latency_ms={"mean": 0.6}, parts_ms={"network": 0.1, "compute": 0.5}
    )
    (point,) = idle_points([row])
    assert 1000 / 1561 == pytest.approx(point.latency_ms)
    wrong = Observation(concurrency=1, throughput_rps=900.0, latency_ms={"mean": 0.6}, parts_ms={"compute": 0.5})
    assert 0.6 == pytest.approx(idle_points([wrong])[0].latency_ms)


def test_the_delay_that_a_lone_request_waits_for_others_is_no_overhead() -> None:
    row = Observation(
        latency_ms={"mean": 15.0, "p99": 15.5},
        parts_ms={"queue": 5.2, "compute": 9.0},
        notes={"max_queue_delay_ms": 5.0, "execution_start_ms": 5.6},
    )
    (point,) = idle_points([row])
    assert 10.0 == pytest.approx(point.latency_ms)
    assert 10.5 == pytest.approx(point.statistics_ms["p99"])
    assert 0.2 == pytest.approx(point.parts_ms["queue"])
    assert 0.6 == pytest.approx(point.start_ms)
    assert 12.5 == pytest.approx(idle_points([row], waited=0.5)[0].latency_ms)


def test_a_delay_longer_than_the_latency_was_not_waited() -> None:
    row = Observation(latency_ms={"mean": 4.0}, notes={"max_queue_delay_ms": 5.0})
    assert 4.0 == idle_points([row])[0].latency_ms


def test_an_execution_that_was_rounded_to_nothing_is_not_known() -> None:
    (point,) = idle_points([Observation(latency_ms={"mean": 0.2}, parts_ms={"network": 0.1, "compute": 0.0})])
    assert point.execution_ms is None


# --- idle requests --------------------------------------------------------------------------------------------------


def test_the_servers_own_parts_say_what_lies_before_and_after() -> None:
    parts = {"send": 0.1, "network": 0.4, "queue": 0.05, "input": 0.2, "compute": 8.8, "receive": 0.15}
    found = fitted([IdlePoint(batch=1, latency_ms=sum(parts.values()), parts_ms=parts)])
    assert 0.1 + 0.2 + 0.05 == pytest.approx(found.enqueue_ms[0])
    assert 0.2 + 0.15 == pytest.approx(found.reply_ms[0])
    assert (0.0, 0.0) == (found.dispatch_ms[0], found.release_ms[0])


def test_what_a_server_counts_beyond_the_time_on_the_device_holds_its_model_instance() -> None:
    """Triton's Python backend counts 9.54 ms where the model itself says 9.06: its own work around the execution."""
    found = fitted([IdlePoint(batch=1, latency_ms=10.5, parts_ms={"network": 1.0, "compute": 9.5})])
    assert (0.25, 0.25) == pytest.approx((found.dispatch_ms[0], found.release_ms[0]))
    assert 10.5 == pytest.approx(total(found, 1))


def test_a_client_alone_is_split_in_halves_and_a_log_says_better() -> None:
    halves = fitted([IdlePoint(batch=1, latency_ms=10.0)])
    assert (0.5, 0.5) == pytest.approx((halves.enqueue_ms[0], halves.reply_ms[0]))
    assert "half of what is left over" in halves.basis
    logged = fitted([IdlePoint(batch=1, latency_ms=10.0, start_ms=0.8)])
    assert (0.8, 0.2) == pytest.approx((logged.enqueue_ms[0], logged.reply_ms[0]))
    assert "log" in logged.basis


def test_a_request_faster_than_its_own_execution_is_named() -> None:
    (warning,) = fitted([IdlePoint(batch=1, latency_ms=8.0)]).warnings
    assert "a lone request of batch 1 took 8 ms, less than its execution alone (9 ms)" in warning
    assert () == fitted([IdlePoint(batch=1, latency_ms=8.9)]).warnings


def test_host_work_timed_in_process_counts_for_want_of_lone_requests() -> None:
    rows = [Observation(batch=b, parts_ms={"preprocess": 1.0 * b, "compute": 9.0, "postprocess": 0.5}) for b in (1, 4)]
    found = fitted([], in_process=rows)
    assert ((1.0, 4.0), (0.5, 0.5)) == (found.enqueue_ms, found.reply_ms)
    assert "taken to overlap" in found.basis
    served = fitted([IdlePoint(batch=1, latency_ms=10.0)], in_process=rows)
    assert 0.5 == pytest.approx(served.enqueue_ms[0])


def test_nothing_known_is_no_overhead_at_all() -> None:
    assert fit_overheads([], [], straight, valid_range=(1, 8)) is None
    assert fit_overheads([], [], straight, valid_range=(1, 8), in_process=[Observation(batch=1)]) is None


# --- saturated runs -------------------------------------------------------------------------------------------------


def test_the_gap_between_full_batches_grows_from_what_a_lone_request_shows() -> None:
    """At 8 items a cycle of 17.2 ms leaves 1.2; a lone request spends 0.4 before its execution, so gap(1) = 0.4."""
    found = fitted([IdlePoint(batch=1, latency_ms=10.0, start_ms=0.4)], [full_batches(17.2)])
    assert (1, 8) == found.batch
    assert (0.2, 0.6) == pytest.approx(found.dispatch_ms)
    assert found.dispatch_ms == pytest.approx(found.release_ms)
    assert 1.2 == pytest.approx(found.held_ms(8))
    assert 0.8 == pytest.approx(found.held_ms(4.5))
    assert 10.0 == pytest.approx(total(found, 1))


def test_the_gap_of_a_lone_request_is_at_most_that_of_a_full_batch() -> None:
    """Where mosec waits 1.5 ms before a lone execution and 1.1 between full batches, the rest holds nobody up."""
    found = fitted([IdlePoint(batch=1, latency_ms=11.0, start_ms=1.5)], [full_batches(17.1)])
    assert (0.55, 0.55) == pytest.approx(found.dispatch_ms)
    assert 1.5 - 0.55 == pytest.approx(found.enqueue_ms[0])
    assert 11.0 == pytest.approx(total(found, 1))


def test_a_gap_that_was_measured_for_one_item_is_used() -> None:
    one = Saturated(batch=1, cycle_ms=9.3, separate=False, requests_each=1)
    found = fitted([IdlePoint(batch=1, latency_ms=10.0, start_ms=0.8)], [full_batches(17.2), one])
    assert (0.3, 1.2) == pytest.approx((found.held_ms(1), found.held_ms(8)))


def test_a_reply_grows_to_what_the_server_logs_at_saturation() -> None:
    found = fitted([IdlePoint(batch=1, latency_ms=10.0, start_ms=0.4)], [full_batches(17.2, answer_ms=1.4)])
    assert (0.6, 1.4) == pytest.approx(found.reply_ms)


@given(
    st.floats(9.0, 15.0),
    st.one_of(st.none(), st.floats(0, 6)),
    st.floats(15.0, 25.0),
    st.floats(0, 0.1),
)
def test_the_parts_of_a_lone_request_add_up_to_its_latency(
    latency_ms: float, start_ms: float | None, cycle_ms: float, front_ms: float
) -> None:
    """Whatever the saturated run says; a front end slower than all that is left over cannot be fitted in."""
    null = Observations(rows=(Observation(concurrency=64, throughput_rps=1000 / (front_ms + 1e-3)),), scope="server")
    lone = [IdlePoint(batch=1, latency_ms=latency_ms, start_ms=start_ms)]
    found = fitted(lone, [full_batches(cycle_ms)], null_model=null)
    assert latency_ms <= total(found, 1) + 1e-9
    if found.enqueue_ms[0] > 0:
        assert latency_ms == pytest.approx(total(found, 1))
    assert min(*found.enqueue_ms, *found.dispatch_ms, *found.release_ms, *found.reply_ms) >= 0


@pytest.mark.parametrize(
    ("run", "words"),
    [
        (full_batches(15.0), "faster than their execution of 16 ms"),
        (full_batches(50.0), "the server did not fill its batches, or something else held it up"),
        (full_batches(40.0, batch=16.0), "outside the batch sizes whose execution was timed (1 to 8)"),
    ],
)
def test_a_saturated_run_that_tells_no_gap_is_named(run: Saturated, words: str) -> None:
    found = fitted([IdlePoint(batch=1, latency_ms=10.0)], [run])
    assert any(words in warning for warning in found.warnings)
    assert 0.0 == found.held_ms(8)


def test_a_run_that_the_front_end_held_up_tells_no_gap() -> None:
    """2.2 ms a request are 17.6 ms for eight: the device waits for the front end."""
    null = Observations(rows=(Observation(concurrency=64, throughput_rps=1000 / 2.2),), scope="server")
    found = fitted([IdlePoint(batch=1, latency_ms=14.0)], [full_batches(17.7)], null_model=null)
    assert any("held up by the serial front end" in warning for warning in found.warnings)
    assert 2.2 == pytest.approx(found.frontend_ms)
    assert 14.0 == pytest.approx(total(found, 1))


def test_the_front_end_is_the_rate_of_a_model_that_takes_no_time() -> None:
    def null(**rates: float) -> Observations:
        loads = {"idle": 1.0, "some": 8.0, "many": 64.0}
        rows = tuple(Observation(concurrency=loads[name], throughput_rps=rate) for name, rate in rates.items())
        return Observations(rows=rows, scope="server")

    assert (0.08, []) == frontend_ms(null(idle=900.0, some=12_400.0, many=12_500.0))
    assert "still grew" in frontend_ms(null(idle=900.0, some=5_000.0, many=12_500.0))[1][0]
    assert "never saturated" in frontend_ms(null(idle=900.0))[1][0]


# --- which runs are saturated ---------------------------------------------------------------------------------------


def load(**more: Any) -> Observation:
    """A closed loop of 32 requests against a server that merges up to 8."""
    return Observation(**{"concurrency": 32, "max_batch_size": 8, "throughput_rps": 400.0} | more)


LONE = Observation(concurrency=1, throughput_rps=100.0, latency_ms={"mean": 10.0})


@pytest.mark.parametrize(
    "row",
    [
        load(concurrency=15),
        load(throughput_rps=None),
        load(model_instances=2),
        load(batch=4.0, merged=True),
        load(notes={"generator_limited": True}),
        load(concurrency=None, rate_rps=405.0),
    ],
)
def test_runs_in_which_the_server_may_have_waited_do_not_count(row: Observation) -> None:
    assert [] == saturated_runs([LONE, row])


def test_full_batches_of_separate_requests_count() -> None:
    for row in (load(), load(batch=7.9, merged=True), load(concurrency=None, rate_rps=500.0)):
        (run,) = saturated_runs([LONE, row])
        assert run.separate
        assert (row.batch if row.merged else 8.0) == run.batch
        assert 1000 * run.batch / 400 == pytest.approx(run.cycle_ms)


def test_requests_of_several_items_fill_a_batch_with_fewer() -> None:
    """Two requests of four items each: 100 requests a second are 50 batches of eight."""
    row = load(batch=8.0, merged=True, throughput_rps=100.0, notes={"items_per_request": 4})
    (run,) = saturated_runs([row])
    assert (2.0, 20.0) == (run.requests_each, run.cycle_ms)


def test_a_server_that_merges_nothing_is_not_taken_to_fill_its_batches() -> None:
    """A limit for batches is configured more often than batching: 105 answers a second are lone requests in a row."""
    (run,) = saturated_runs([LONE, load(throughput_rps=105.0)])
    assert (1.0, False) == (run.batch, run.separate)
    assert 1000 / 105 == pytest.approx(run.cycle_ms)


def test_of_several_loads_the_fastest_shows_the_cycle() -> None:
    (run,) = saturated_runs([LONE, load(), load(concurrency=64, throughput_rps=420.0)])
    assert 8000 / 420 == pytest.approx(run.cycle_ms)


# --- real servers ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["triton_mb8d5i1_cl16", "mosec_mb8d5i1_cl16"])
def test_the_gap_of_a_real_server_comes_out_as_the_log_of_its_executions_has_it(name: str) -> None:
    """Triton: 1.200 ms against 1.204 in the log; mosec 1.133 against 1.127. From throughput alone, within 1 %."""
    measured, block = calibration_of(name, logged=True), overhead_block(name)
    model = fit_profile(measured).service_model
    assert model is not None
    assert model.overheads is not None
    assert block["gap"] == pytest.approx(model.overheads.dispatch_ms[-1] + model.overheads.release_ms[-1], rel=0.01)
    before = model.overheads.enqueue_ms[0] + model.overheads.dispatch_ms[0]
    assert block["pre"] == pytest.approx(before, rel=0.03)
    assert block["post1"] == pytest.approx(model.overheads.reply_ms[0], rel=0.03)


def test_without_a_log_the_gap_is_the_same_and_only_the_halves_are_a_guess() -> None:
    measured, block = calibration_of("triton_mb8d5i1_cl16", logged=False), overhead_block("triton_mb8d5i1_cl16")
    model = fit_profile(measured).service_model
    assert model is not None
    assert model.overheads is not None
    assert block["gap"] == pytest.approx(model.overheads.dispatch_ms[-1] + model.overheads.release_ms[-1], rel=0.01)
    whole = model.overheads.enqueue_ms[0] + model.overheads.dispatch_ms[0] + model.overheads.reply_ms[0]
    assert block["pre"] + block["post1"] == pytest.approx(whole, rel=0.02)


def test_half_a_polling_window_is_taken_off_a_lone_request_to_litserve() -> None:
    """Its 5 ms window has run for half its time on average; pre and post were 2.05 and 1.68 ms in its log."""
    measured, block = calibration_of("litserve_mb8d5i1_po50", logged=True), overhead_block("litserve_mb8d5i1_po50")
    model = fit_profile(measured).service_model
    assert model is not None
    assert model.overheads is not None
    assert block["post1"] == pytest.approx(model.overheads.reply_ms[0], rel=0.03)
    assert block["gap"] == pytest.approx(model.overheads.dispatch_ms[-1] + model.overheads.release_ms[-1], rel=0.05)
