"""Does the sentence name what sets the latency? Each case has one thing that does."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from simulator.description import FleetDescription, WorkloadDescription
from simulator.log import REJECTED, RunLog
from simulator.tally import Makeup, Share
from tests.simulator.synthetic_logs import MS, S, batch_log, describe, report_of, request_log, single_server_log


def sentence(log: RunLog, slo_ms: dict[str, float] | None = None, horizon_s: int = 10, **fleet: Any) -> str:
    """The bottleneck of one workload on one fleet."""
    described = FleetDescription("gpu", 1, **{"capacity_items_per_s": 1_000.0, **fleet})
    return report_of([log], describe(slo_ms=slo_ms, fleets=(described,)), 0, horizon_s * S).bottleneck


def steady(queue_ns: Any, service_ns: Any, *, reply_ns: int = 0, front_ns: int = 0, work_ns: int = MS) -> RunLog:
    """A thousand requests evenly through 10 s, in batches of two."""
    requests = request_log(np.arange(1_000) * 10 * MS, queue_ns, service_ns, reply_ns=reply_ns, front_ns=front_ns)
    return RunLog(requests, batch_log(np.arange(500) * 20 * MS, work_ns, items=2))


def test_queueing_at_high_load_is_named() -> None:
    """The reader is not told that more instances would help."""
    log = single_server_log(np.random.default_rng(1), 54_000, load=0.91)
    found = sentence(log, horizon_s=59)

    assert found.startswith("gpu is 9")
    assert "% busy; the p99 is queueing, not service (" in found


def test_service_is_named_when_there_is_no_queue() -> None:
    """The reader buys instances that cannot shorten the p99."""
    assert "gpu is 5% busy; the p99 is service, not queueing (24 of 25 ms)." == sentence(
        steady(0, 24 * MS, reply_ns=MS)
    )


def test_queue_and_service_of_the_same_size_are_both_named() -> None:
    """Half of a latency is blamed for all of it."""
    assert "gpu is 5% busy; the p99 is service and queueing alike (22 and 20 of 42 ms)." == sentence(
        steady(20 * MS, 22 * MS)
    )


def test_time_after_the_execution_is_named() -> None:
    """A slow network is taken for a slow accelerator."""
    found = sentence(steady(0, 2 * MS, reply_ns=9 * MS))
    assert "gpu is 5% busy; the p99 is the reply and other time outside the accelerator (9 of 11 ms)." == found


def test_waiting_for_a_batch_to_fill_is_told_from_waiting_for_the_accelerator() -> None:
    """A max_queue_delay that nobody needs is taken for a want of instances."""
    log = steady(np.resize([0, 1, 2, 5], 1_000) * MS, 2 * MS, reply_ns=MS)

    assert "gpu is 5% busy; the p99 is waiting to fill a batch (5.0 of 8.0 ms), for max_queue_delay 5 ms." == sentence(
        log, batching="dynamic", max_batch_size=8, max_queue_delay_ms=5.0
    )
    assert "gpu is 5% busy; the p99 is waiting to fill a batch of 8 (5.0 of 8.0 ms)." == sentence(
        log, batching="static", max_batch_size=8
    )
    assert "the p99 is queueing in bursts, not service (5.0 of 8.0 ms): on average there is room." in sentence(
        log, batching="dynamic", max_batch_size=8, max_queue_delay_ms=1.0
    )


def test_a_front_end_is_named_when_requests_wait_before_the_queue() -> None:
    """Waiting for a Python server's front end is taken for waiting for the accelerator."""
    found = sentence(steady(20 * MS, 2 * MS, front_ns=19 * MS))
    assert "gpu is 5% busy; the p99 is the way to the queue, through the front end (20 of 22 ms)." == found


def test_a_fleet_kept_busy_by_small_batches_has_room() -> None:
    """A utilisation of 100 % is read as a fleet at its end, when batches would grow with the load."""
    found = sentence(steady(0, 20 * MS, work_ns=20 * MS), capacity_items_per_s=400.0, max_batch_size=8)
    assert found.startswith("gpu is 100% busy, but at 25% of its capacity (batches average 2.0 of at most 8); ")


def test_time_lost_between_batches_is_seen() -> None:
    """A fleet at its capacity looks as if it had a fifth to spare."""
    found = sentence(steady(0, 20 * MS, work_ns=16 * MS), capacity_items_per_s=104.0)
    assert found.startswith("gpu is 80% busy, at 96% of its capacity (the rest passes between batches); ")


def test_overload_is_the_bottleneck_whatever_the_latency_consists_of() -> None:
    """The percentiles of a growing queue are explained as if they meant something."""
    log = single_server_log(np.random.default_rng(1), 12_600, load=1.2)

    found = sentence(log)
    assert found.startswith("gpu is overloaded: it is offered 1.2")
    assert found.endswith(" times what it can do, and the queue grows for as long as the run lasts.")
    hidden = sentence(log, capacity_items_per_s=9_000.0)
    assert hidden.endswith("% busy: something between its executions is too slow.")


def test_the_percentile_spoken_of_is_that_of_the_objective_nearest_to_being_missed() -> None:
    """The sentence explains a percentile nobody asked for."""
    log = steady(np.where(np.arange(1_000) % 100 == 0, 500, 1) * MS, 20 * MS)

    assert "; the p50 is service, not queueing (20 of 21 ms)." in sentence(log, {"p50": 22.0, "p999": 5_000.0})
    assert "; the p99.9 is queueing" in sentence(log, {"p50": 2_000.0, "p999": 530.0})
    assert "; the mean is service" in sentence(log, {"mean": 30.0})


def test_the_workload_spoken_of_is_the_one_nearest_to_missing_its_slo() -> None:
    """The sentence is about a workload that has nothing to fear."""
    n = 1_000
    which = np.arange(n) % 3
    log = RunLog(
        request_log(np.arange(n) * 10 * MS, 0, np.array([20, 10, 90])[which] * MS, workload=which, fleet=which // 2),
        batch_log(),
    )
    description = describe(
        workloads=(
            WorkloadDescription("relaxed", 0, {"p99": 400.0}),
            WorkloadDescription("tight", 0, {"p99": 11.0}),
            WorkloadDescription("batch", 1),
        ),
        fleets=(FleetDescription("gpu", 1, 1_000.0), FleetDescription("cpu", 1, 1_000.0)),
    )

    assert "gpu is 0% busy; the p99 of tight is service, not queueing (10 of 10 ms)." == (
        report_of([log], description).bottleneck
    )


def test_a_fleet_that_answers_nobody_is_said_to() -> None:
    """A sentence about a latency that does not exist."""
    log = RunLog(request_log([5 * S], outcome=REJECTED), batch_log())
    assert "gpu answered no request of search that arrived after the warm-up." == sentence(log)


def test_makeup_is_that_of_the_requests_near_the_latency_asked_for() -> None:
    """The tail is explained by what typical requests spend their time on."""
    makeup = Makeup()
    makeup.add(np.full(990, 10 * MS), np.full(990, MS), np.full(990, 8 * MS))
    makeup.add(np.full(10, 100 * MS), np.full(10, 90 * MS), np.full(10, 10 * MS))

    assert pytest.approx(Share(0.1, 0.8, 0.1)) == makeup.around(10 * MS)
    assert pytest.approx(Share(0.9, 0.1, 0.0)) == makeup.around(90 * MS)
    assert Share(0.0, 0.0, 0.0) == Makeup().around(5 * MS)


def test_bursts_are_named_where_the_traffic_varies_by_design() -> None:
    """A fleet that has room on average looks too small at all times."""
    log = steady(60 * MS, 2 * MS, work_ns=14 * MS)
    fleet = (FleetDescription("gpu", 1, 1_000.0),)
    report = report_of([log], describe(fleets=fleet, workloads=(WorkloadDescription("search", 0, varying=True),)))

    assert "gpu is 70% busy; the p99 is queueing in bursts, not service (60 of 62 ms): on average there is room." == (
        report.bottleneck
    )
    assert "gpu is 70% busy; the p99 is queueing, not service (60 of 62 ms)." == sentence(log)
