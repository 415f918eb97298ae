"""Executions are told from the requests around them as far as anything tells, and no further."""

from __future__ import annotations

from typing import Any

import pytest

from calibration.executions import Executions, executions_in
from calibration.observation import Observation
from calibration.problems import InputError
from calibration.profile import LARGEST_BATCH
from calibration.saturation import saturated_runs


def served(mean_ms: float, **more: Any) -> Observation:
    """A lone request to a server, unless said otherwise."""
    return Observation(**{"concurrency": 1, "latency_ms": {"mean": mean_ms}} | more)


def found(*server: Observation, device: tuple[Observation, ...] = ()) -> Executions:
    """Executions in these rows."""
    return executions_in(device, server, saturated_runs(server))


def times(executions: Executions) -> dict[int, float]:
    """Mean time by batch size."""
    return {point.batch: pytest.approx(point.mean_ms) for point in executions.points}


def test_executions_timed_on_the_device_win_over_requests() -> None:
    device = Observation(batch=4, latency_ms={"mean": 7.0, "std": 0.1}, requests=50, samples_ms=(6.9, 7.1))
    executions = found(served(9.0, batch=4), device=(device,))
    assert executions.timed
    assert {4: 7.0} == times(executions)
    assert ((6.9, 7.1), 50) == (executions.points[0].samples_ms, executions.points[0].executions)
    assert [9.0] == [point.latency_ms for point in executions.lone]


def test_copies_belong_to_the_execution_that_a_server_reports() -> None:
    """TorchScript returns early and waits in the copy of the output: only the sum is the time on the device."""
    parts = {"queue": 0.1, "input": 0.1, "compute": 4.5, "output": 28.4, "network": 0.7}
    executions = found(served(33.8, batch=128, parts_ms=parts))
    assert {128: 33.0} == times(executions)
    assert () == executions.warnings


def test_a_latency_alone_counts_in_full_and_it_is_said() -> None:
    executions = found(served(9.0), served(16.0, batch=8))
    assert {1: 9.0, 8: 16.0} == times(executions)
    (warning,) = executions.warnings
    assert "its whole latency counts as time on the device" in warning


def test_a_saturated_run_tells_the_execution_from_what_is_parallel() -> None:
    """Answers every 8 ms where a lone one takes 10: 2 ms are spent beside the execution, at other sizes too."""
    busy = served(64.0, concurrency=8, throughput_rps=125.0)
    executions = found(served(10.0), served(18.0, batch=8), busy)
    assert {1: 8.0, 8: 16.0} == times(executions)
    assert () == executions.warnings


def test_a_server_that_answers_several_at_once_is_not_taken_for_a_fast_one() -> None:
    busy = served(16.0, concurrency=8, throughput_rps=500.0)
    executions = found(served(10.0), busy)
    assert {1: 10.0} == times(executions)
    assert any("merges them or serves several at once" in warning for warning in executions.warnings)


def test_an_execution_that_a_framework_hides_is_found_by_its_throughput() -> None:
    """Triton on a TITAN RTX: VGG-19 'computes' for 1.1 ms of 5.3, but never answers more than 216 a second."""
    parts = {"queue": 0.02, "compute": 1.14}
    busy = served(36.7, concurrency=8, throughput_rps=216.0, parts_ms={"queue": 31.2, "compute": 1.15})
    executions = found(served(5.34, parts_ms=parts), busy)
    assert {1: 1000 / 216} == times(executions)
    (warning,) = executions.warnings
    assert (
        "the server counts 1.14 ms for an execution of batch 1, but at saturation one follows another every 4.63 ms"
        in (warning)
    )
    assert 5.34 == pytest.approx(sum(executions.lone[0].parts_ms.values()))


def test_requests_to_fewer_model_instances_are_preferred() -> None:
    """Several model instances take turns, and a framework that returns early then shows other parts of its wait."""
    assert {1: 5.0} == times(found(served(5.0, parts_ms={"compute": 5.0}), served(6.2, model_instances=2)))


def test_the_least_load_stands_for_an_idle_server_with_a_word_of_warning() -> None:
    executions = found(served(40.0, concurrency=16), served(20.0, concurrency=8))
    assert {1: 20.0} == times(executions)
    assert (
        "the least load measured was 8 outstanding requests: service time cannot be told from waiting."
        " Measure with one request at a time"
    ) in executions.warnings


def test_copies_count_once_where_the_time_of_the_execution_is_not_told() -> None:
    """The whole latency stands for the execution, copies included."""
    assert {1: 5.0} == times(found(served(5.0, parts_ms={"queue": 0.1, "input": 0.04, "output": 0.03})))


def test_an_open_loop_at_low_utilisation_is_as_good_as_an_idle_server() -> None:
    """Ten a second of 20 ms: a fifth of a request outstanding; fifty a second are one."""
    quiet = served(20.0, concurrency=None, rate_rps=10.0, parts_ms={"queue": 0.5, "compute": 18.0})
    assert () == found(quiet).warnings
    assert {1: 18.0} == times(found(quiet))
    busy = served(20.0, concurrency=None, rate_rps=50.0, parts_ms={"queue": 0.5, "compute": 18.0})
    assert "50 requests per second" in found(busy).warnings[0]


def test_percentiles_under_load_tell_nothing_of_the_device() -> None:
    loaded = served(20.0, concurrency=8, latency_ms={"mean": 20.0, "p50": 19.0, "p99": 60.0}, parts_ms={"compute": 9.0})
    (point,) = found(loaded).scatter
    assert {"mean"} == set(point.statistics_ms)


def test_what_lies_outside_the_execution_is_no_part_of_its_scatter() -> None:
    """A lone request of 10 ms, 4 of them outside: 11 ms at p99 are 7 over 6, not 11 over 10."""
    latency = {"mean": 10.0, "p50": 10.0, "p99": 11.0}
    (point,) = found(served(10.0, latency_ms=latency, parts_ms={"network": 4.0, "compute": 6.0})).scatter
    assert {"mean": 6.0, "p50": 6.0, "p99": 7.0} == pytest.approx(dict(point.statistics_ms))


def test_nothing_to_fit_is_said_plainly() -> None:
    with pytest.raises(InputError, match="must hold the latency of at least one execution, or of one request"):
        found(Observation(throughput_rps=100.0))


@pytest.mark.parametrize("row", [{"batch": 2.5}, {"batch": LARGEST_BATCH + 1}, {"latency_ms": {"mean": 0.0}}])
def test_what_no_curve_can_hold_is_no_point_of_it(row: dict[str, Any]) -> None:
    """Mean batches of a server, an offline run as one batch, times that were rounded to nothing."""
    odd = Observation(**{"batch": 4, "latency_ms": {"mean": 5.0}} | row)
    assert {1: 9.0} == times(found(device=(odd, Observation(latency_ms={"mean": 9.0}))))
    assert {1: 9.0} == times(found(served(9.0), odd))


def test_scatter_of_means_is_named() -> None:
    short = Observation(batch=2, latency_ms={"mean": 0.001}, notes={"percentiles_of": "means of 100 executions"})
    (warning,) = found(device=(short,)).warnings
    assert "executions of batch 2 are too short for the clock" in warning
