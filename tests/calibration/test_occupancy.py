"""What lone requests do not show: launches that overlap, inputs over the wire, requests one after the other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibration.executions import Executions
from calibration.fit import fit_profile
from calibration.idle import IdlePoint
from calibration.observation import Observation, Observations
from calibration.occupancy import COPIES, OVERLAPS, RECEIVE_MS, launch_ms, occupying, on_accelerator, wire_ms
from calibration.profile_file import ProfileFile

GPU: Mapping[str, Any] = {"device": "NVIDIA T4", "server": "Triton"}


def lone(batch: int, compute: float, input_: float = 0.0, network: float = 0.4, **more: Any) -> Observation:
    """A lone request as perf_analyzer reports it."""
    parts = {"network": network, "input": input_, "compute": compute}
    return Observation(
        batch=float(batch), concurrency=1, latency_ms={"mean": sum(parts.values())}, parts_ms=parts, **more
    )


def fitted(*rows: Observation, provenance: Mapping[str, Any] = GPU) -> ProfileFile:
    """The profile of these rows."""
    return fit_profile([Observations(rows=rows, scope="server", provenance=provenance)])


def model(file: ProfileFile) -> tuple[list[float], list[float], list[float]]:
    """Time on the accelerator, time held beside it, and in parallel, at each point."""
    service = file.service_model
    assert service is not None
    assert service.latency_ms is not None
    assert service.overheads is not None
    n = len(service.latency_ms)

    def along(*names: str) -> list[float]:
        curves = [getattr(service.overheads, name) for name in names]
        return [sum(curve[i] if len(curve) == n else curve[0] for curve in curves) for i in range(n)]

    held = along("dispatch_ms", "release_ms")
    return list(service.latency_ms), held, along("frontend_ms", "enqueue_ms", "dispatch_ms", "reply_ms")


def test_half_of_what_does_not_grow_with_the_batch_leaves_the_accelerator_to_others() -> None:
    """8 items cost 8 ms, so 1 item 1 ms: of its 5 ms 4 do not grow, and 2 of them overlap."""
    device, held, _ = model(fitted(lone(1, 5.0), lone(8, 8.0)))
    assert (device[0], device[-1]) == (pytest.approx(3.0), pytest.approx(8.0))
    assert (held[0], held[-1]) == (pytest.approx(2.0), pytest.approx(0.0))


def test_a_lone_request_still_takes_as_long_as_it_was_measured() -> None:
    """What is taken off the accelerator is put elsewhere, not lost."""
    device, _, around = model(fitted(lone(1, 5.0), lone(4, 6.5), lone(8, 8.0)))
    assert device[0] + around[0] == pytest.approx(5.4)
    assert device[-1] + around[-1] == pytest.approx(8.4)


@given(st.dictionaries(st.integers(1, 512), st.floats(0.01, 1000), min_size=1, max_size=8))
def test_a_launch_is_never_longer_than_its_share_of_the_execution(times: dict[int, float]) -> None:
    """An accelerator that works for less than no time would be faster than light."""
    apart = launch_ms(times)
    assert set(apart) == set(times)
    assert all(0 <= apart[batch] <= OVERLAPS * ms for batch, ms in times.items())
    best = min(times, key=lambda batch: times[batch] / batch)
    assert apart[best] == pytest.approx(0.0, abs=1e-9)


def test_executions_timed_on_the_device_stay_as_they_are() -> None:
    """Whoever timed them knows when the device was taken."""
    timed = Executions(points=(), scatter=(), rows=(), lone=(), timed=True, basis="timed")
    assert occupying(timed) is timed
    rows = tuple(Observation(batch=b, latency_ms={"mean": ms}) for b, ms in ((1.0, 5.0), (8.0, 8.0)))
    file = fit_profile([Observations(rows=rows, scope="device", provenance=GPU)])
    assert file.service_model is not None
    assert file.service_model.latency_ms == (5.0, 8.0)


def test_runs_of_several_model_instances_tell_better_than_the_rule() -> None:
    """Where the slow-down was measured, it holds for whole executions."""
    rows = [lone(1, 5.0), lone(8, 8.0), replace(lone(1, 5.0), concurrency=8, model_instances=2, throughput_rps=250.0)]
    device, _, _ = model(fitted(*rows))
    assert device[0] == pytest.approx(5.0)


def test_nothing_is_assumed_of_a_processor() -> None:
    """There the host is the device: launches do not run beside it."""
    device, held, _ = model(fitted(lone(1, 5.0), lone(8, 8.0), provenance={"device": "Intel Xeon", "server": "Triton"}))
    assert (device[0], held[0]) == (pytest.approx(5.0), pytest.approx(0.0))
    assert on_accelerator({"device": "AMD EPYC 7742"}) is False
    assert on_accelerator({}) is False


def test_inputs_in_shared_memory_are_copied_more_often_over_the_wire() -> None:
    """The copy grows by 0.1 ms an item and the network by nothing: a client that did not send them."""
    shared = fitted(lone(1, 1.0, 0.1), lone(8, 4.0, 0.8), lone(16, 8.0, 1.6))
    sent = fitted(lone(1, 1.0, 0.1, 0.4), lone(8, 4.0, 0.8, 1.8), lone(16, 8.0, 1.6, 3.4))
    extra = [one - other for one, other in zip(model(shared)[1], model(sent)[1], strict=True)]
    assert extra[0] == pytest.approx((COPIES - 1) * 0.1, abs=1e-6)
    assert extra[-1] == pytest.approx((COPIES - 1) * 1.6, abs=1e-6)
    assert shared.service_model is not None
    assert any("shared memory" in warning for warning in shared.service_model.warnings)


def point(batch: int, input_: float, network: float = 0.2, compute: float = 10.0) -> IdlePoint:
    """A lone request."""
    parts = {"network": network, "input": input_, "compute": compute}
    return IdlePoint(batch=batch, latency_ms=sum(parts.values()), parts_ms=parts)


@pytest.mark.parametrize(
    ("points", "why"),
    [
        ([], "nothing was measured"),
        ([point(8, 2.0)], "one batch size shows no growth"),
        ([point(1, 0.1), point(8, 0.3)], "a copy of 3 % of the latency does not matter"),
        ([point(1, 0.1), point(8, 2.0, network=3.0)], "the inputs came over the wire"),
        ([point(1, 2.0), point(8, 2.0)], "the copy does not grow"),
        ([IdlePoint(batch=b, latency_ms=float(b)) for b in (1, 8)], "no parts are told"),
    ],
)
def test_no_wire_is_assumed_where_nothing_speaks_for_shared_memory(points: list[IdlePoint], why: str) -> None:
    """A wrong guess would halve the capacity of a server that is measured as it is used."""
    assert wire_ms(points) == 0.0, why


def test_the_median_growth_counts_so_that_one_slow_batch_does_not() -> None:
    """The largest batch of a published table is often slower than the rest by a page of memory."""
    points = [point(1, 0.1), *(point(batch, 0.1 * batch, compute=1.0) for batch in (2, 4, 8)), point(16, 9.6)]
    assert wire_ms(points) == pytest.approx((COPIES - 1) * 0.1)


def test_separate_requests_at_saturation_tell_the_gap_themselves() -> None:
    """They came over the wire as they were measured: nothing is added."""
    rows = [lone(1, 1.0, 0.1), lone(8, 4.0, 0.8), lone(16, 8.0, 1.6)]
    busy = Observation(batch=1.0, concurrency=64, max_batch_size=16, throughput_rps=1000.0, latency_ms={"mean": 64.0})
    file = fitted(*rows, busy)
    device, held, _ = model(file)
    assert device[-1] + held[-1] == pytest.approx(16.0, rel=0.02)
    assert file.service_model is not None
    assert not any("shared memory" in warning for warning in file.service_model.warnings)


def test_requests_are_taken_in_one_after_the_other() -> None:
    """Else the clients of a closed loop come back in one instant, in one batch, for ever."""
    file = fitted(lone(1, 5.0), lone(8, 8.0))
    assert file.service_model is not None
    assert file.service_model.overheads is not None
    assert file.service_model.overheads.frontend_ms == (RECEIVE_MS,)
