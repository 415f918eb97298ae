"""Is each number of the report what its definition says, however the run was cut, merged or counted?"""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.distribution import BLOCK, RELATIVE_ERROR
from simulator.log import COMPLETED, IN_FLIGHT, REJECTED, TIMED_OUT, RunLog
from simulator.metrics import (
    Description,
    FleetCost,
    FleetDescription,
    Tally,
    Window,
    WorkloadDescription,
    summarise,
    window_of,
)
from simulator.outcome import PERCENTILES, Report, report_to_json
from simulator.theory import mm1_mean_sojourn, mm1_sojourn_quantile
from tests.simulator.synthetic_logs import (
    MS,
    S,
    batch_log,
    describe,
    measured,
    report_of,
    request_log,
    single_server_log,
    stretches,
)

LATENCY_KEYS = ["mean", "p50", "p90", "p95", "p99", "p999", "max"]


def numbers_of(report: Report) -> dict[str, Any]:
    """The report as JSON gives it, read back: what another program sees."""
    numbers: dict[str, Any] = json.loads(json.dumps(report_to_json(report), allow_nan=False))
    return numbers


@st.composite
def random_runs(draw: st.DrawFn) -> tuple[RunLog, Description, Window]:
    """Any log of two workloads and two fleets, with every outcome, ties, and times on both ends of the window."""
    n, m = draw(st.integers(0, 60)), draw(st.integers(0, 30))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    tick = draw(st.sampled_from([1, 7 * MS, 100 * MS]))
    lost = draw(st.sampled_from([0.0, 0.3, 1.0]))
    requests = request_log(
        np.sort(random.integers(0, S // tick + 2, n)) * tick,
        random.integers(0, 3, n) * random.integers(1, 9, n) * 50 * MS,
        random.integers(0, 300, n) * MS,
        reply_ns=random.integers(0, 3, n) * MS,
        front_ns=random.integers(0, 3, n) * MS,
        workload=random.integers(0, 2, n),
        items=random.integers(1, 5, n),
        outcome=np.where(random.random(n) < lost, random.integers(1, 4, n), COMPLETED),
    )
    batches = batch_log(
        np.sort(random.integers(0, 1_300, m)) * MS,
        random.integers(0, 400, m) * MS,
        items=random.integers(1, 9, m),
        fleet=random.integers(0, 2, m),
        stretch=draw(st.integers(1, 3)),
    )
    description = describe(
        workloads=(WorkloadDescription("a", 0, {"p50": 20.0, "p99": 120.0}), WorkloadDescription("b", 1)),
        fleets=(FleetDescription("f", 2, 40.0), FleetDescription("g", 1, 90.0, model_instances=2, slowdown=2.0)),
    )
    return RunLog(requests, batches), description, window_of(description, draw(st.sampled_from([0, 300 * MS])), S)


@given(run=random_runs())
def test_every_count_is_its_definition_taken_row_by_row(run: tuple[RunLog, Description, Window]) -> None:
    """A vectorised shortcut counts a request or an execution that the definition does not, or misses one."""
    log, _, window = run
    tally = Tally.of(window, exact=True)
    tally.add(log)

    rows = list(zip(*(column.tolist() for column in vars(log.requests).values()), strict=True))
    for index, counted in enumerate(tally.workloads):
        mine = [dict(zip(vars(log.requests), row, strict=True)) for row in rows if row[0] == index]
        arrived = [row for row in mine if window.warmup_ns <= row["arrival_ns"] < window.horizon_ns]
        completed = [row for row in arrived if row["outcome"] == COMPLETED]
        answered = [
            row
            for row in mine
            if row["outcome"] == COMPLETED and window.warmup_ns <= row["left_ns"] < window.horizon_ns
        ]
        threshold = window.threshold_ns[index]
        assert [sum(row["outcome"] == code for row in mine) for code in range(4)] == counted.outcomes.tolist()
        assert (len(arrived), sum(row["items"] for row in arrived)) == (counted.offered, counted.offered_items)
        assert (len(answered), sum(row["items"] for row in answered)) == (counted.answered, counted.answered_items)
        assert len(arrived) - len(completed) == counted.lost
        good = [row for row in completed if threshold and row["left_ns"] - row["arrival_ns"] <= threshold]
        assert len(good) == counted.good
        for distribution, (first, last) in (
            (counted.latency, ("arrival_ns", "left_ns")),
            (counted.queue, ("arrival_ns", "start_ns")),
            (counted.service, ("start_ns", "end_ns")),
        ):
            assert len(completed) == distribution.count
            assert sum(row[last] - row[first] for row in completed) == distribution.total
        assert sum(row["queued_ns"] - row["arrival_ns"] for row in completed) == counted.before_queue_ns
        assert (counted.offered, counted.latency.count, counted.queue.total) == (
            counted.tenth_offered.sum(),
            counted.tenth_measured.sum(),
            counted.tenth_queue_ns.sum(),
        )

    for index, fleet in enumerate(tally.fleets):
        b = log.batches
        mine_too = np.flatnonzero(b.fleet == index)
        columns = (column[mine_too].tolist() for column in (b.start_ns, b.end_ns, b.work_ns, b.items))
        executions = list(zip(*columns, strict=True))
        sizes = [items for start, _, _, items in executions if start >= window.warmup_ns]
        assert {size: sizes.count(size) for size in sizes} == {
            int(size): int(fleet.batch_sizes[size]) for size in np.flatnonzero(fleet.batch_sizes)
        }
        work = sum(
            work * max(0, min(end, window.horizon_ns) - max(start, window.warmup_ns)) / (end - start)
            for start, end, work, _ in executions
            if end > start
        )
        assert work == pytest.approx(fleet.work_ns, abs=len(executions))


@given(run=random_runs(), cuts=st.lists(st.integers(0, 60), max_size=3), exact=st.booleans())
def test_a_streamed_run_reports_the_same_as_a_whole_one(
    run: tuple[RunLog, Description, Window], cuts: list[int], exact: bool
) -> None:
    """A number depends on where a run was cut into stretches, or on whether their tallies were merged."""
    log, description, window = run
    whole, folded, merged = (Tally.of(window, exact=exact) for _ in range(3))
    whole.add(log)
    pieces = stretches(
        log, [min(cut, len(log.requests)) for cut in cuts], [min(cut // 2, len(log.batches)) for cut in cuts]
    )
    for piece in pieces:
        folded.add(piece)
        alone = Tally.of(window, exact=exact)
        alone.add(piece)
        merged.merge(alone)

    expected = summarise([whole], description)
    assert expected == summarise([folded], description)
    assert expected == summarise([merged], description)


@given(run=random_runs())
def test_no_report_holds_a_number_that_json_cannot_say(run: tuple[RunLog, Description, Window]) -> None:
    """NaN or Infinity, or a numpy number, reaches the JSON object."""
    log, description, window = run
    tally = Tally.of(window, exact=False)
    tally.add(log)
    for runs in (1, 2):
        report = summarise([tally] * runs, description)
        numbers = numbers_of(report)
        assert list(numbers["workloads"]["a"]["latency_ms"]) == LATENCY_KEYS
        assert all(workload.outcomes["arrived"] == sum(workload.outcomes.values()) / 2 for workload in report.workloads)


def test_bounded_histograms_report_what_exact_samples_do_within_the_bound() -> None:
    """A streamed run's percentiles err by more than stated, or one of its counts errs at all."""
    log = single_server_log(np.random.default_rng(1), 3 * BLOCK, load=0.8, reply_ns=MS)
    description = describe(slo_ms={"p99": 25.0})
    horizon_ns = int(log.requests.arrival_ns[-1]) + 1
    exact, bounded = (
        report_of([log], description, horizon_ns // 10, horizon_ns, exact=kind).workloads[0] for kind in (True, False)
    )

    for name in ("latency_ms", "queue_ms", "service_ms"):
        for key in PERCENTILES:
            expected = getattr(getattr(exact, name), key)
            assert pytest.approx(expected, rel=RELATIVE_ERROR) == getattr(getattr(bounded, name), key)
        assert getattr(exact, name).mean == getattr(bounded, name).mean
        assert getattr(exact, name).max == getattr(bounded, name).max
    assert exact.slo is not None
    assert bounded.slo is not None
    assert (exact.goodput_rps, exact.slo.attainment) == (bounded.goodput_rps, bounded.slo.attainment)


def test_latencies_of_mm1_are_those_of_theory() -> None:
    """The whole path from log to report misplaces a unit, a rank or the warm-up."""
    logs = [single_server_log(np.random.default_rng(seed), 300_000, load=0.7) for seed in range(5)]
    report = report_of(logs, describe(), 10 * S, 420 * S)
    search, gpu = report.workloads[0], report.fleets[0]

    assert search.latency_ms is not None
    assert pytest.approx(mm1_mean_sojourn(0.7, 1.0), rel=0.02) == search.latency_ms.mean
    for name, p in PERCENTILES.items():
        expected = mm1_sojourn_quantile(p, 0.7, 1.0)
        assert pytest.approx(expected, rel=0.06) == getattr(search.latency_ms, name)
        assert search.ci95 is not None
        low, high = search.ci95[f"{name}_ms"]
        assert low <= getattr(search.latency_ms, name) <= high
    assert pytest.approx(700.0, rel=0.01) == search.offered_rps
    assert pytest.approx(700.0, rel=0.01) == search.throughput_rps
    assert pytest.approx(0.7, rel=0.01) == gpu.utilisation
    assert pytest.approx(0.7, rel=0.01) == gpu.offered_load


def test_littles_law_holds_between_reported_numbers() -> None:
    """Throughput, latency and the number in the system contradict one another."""
    log = single_server_log(np.random.default_rng(3), 200_000, load=0.6)
    horizon_ns = int(log.requests.arrival_ns[-1])
    search = report_of([log], describe(), 0, horizon_ns).workloads[0]
    changes = np.concatenate((log.requests.arrival_ns, log.requests.left_ns))
    order = np.argsort(changes, kind="stable")
    in_system = np.cumsum(np.repeat([1, -1], len(log.requests))[order])
    mean_in_system = float(in_system[:-1] @ np.diff(changes[order])) / (changes.max() - changes.min())

    assert search.latency_ms is not None
    assert pytest.approx(mean_in_system, rel=0.001) == search.throughput_rps * search.latency_ms.mean / 1_000


def test_report_of_four_requests_worked_by_hand() -> None:
    """A definition (window, rate, latency, utilisation, batch mean, money) is not applied as written."""
    requests = request_log(
        [1 * S, 4 * S, 6 * S, 9 * S], [0, 10 * MS, 30 * MS, 20 * MS], 40 * MS, reply_ns=2 * S, items=[1, 2, 3, 1]
    )
    batches = batch_log([1 * S, 4 * S, 9_980 * MS], 40 * MS, items=[1, 5, 1], stretch=2)
    numbers = numbers_of(report_of([RunLog(requests, batches)], describe(slo_ms={"p50": 2_070.0}), 2 * S, 10 * S))
    search, gpu = numbers["workloads"]["search"], numbers["fleets"]["gpu"]

    assert (3 / 8, 3 / 8, 6 / 8) == (search["offered_rps"], search["throughput_rps"], search["items_per_s"])
    assert (2_060.0, 2_060.0, 2_070.0) == tuple(search["latency_ms"][key] for key in ("mean", "p50", "max"))
    assert (20.0, 20.0, 30.0) == tuple(search["queue_ms"][key] for key in ("mean", "p50", "max"))
    assert (40.0, 40.0) == (search["service_ms"]["mean"], search["service_ms"]["p999"])
    assert {"arrived": 4, "completed": 4, "rejected": 0, "timed_out": 0, "in_flight": 0} == search["outcomes"]
    assert 3 == search["measured"]
    assert (3 / 8, 1.0, True) == (search["goodput_rps"], search["slo"]["attainment"], search["slo"]["met"])
    assert ({"p50_ms": 2_070.0}, {"p50_ms": 2_060.0}, {"p50_ms": 10.0}) == tuple(
        search["slo"][key] for key in ("targets", "values", "margin_ms")
    )
    # One execution whole, and of the last the quarter that lies before the horizon.
    assert pytest.approx((40 + 10) / 8_000) == gpu["utilisation"]
    assert (3.0, {"1": 1, "5": 1}) == (gpu["batch_size_mean"], gpu["batch_size_histogram"])
    assert (0.02, 0.8) == (gpu["cost_usd"], gpu["cost_usd_per_hour"])
    assert {"usd_per_hour": 0.8, "usd_per_month": 584.0} == {
        key: numbers["cost"][key] for key in ("usd_per_hour", "usd_per_month")
    }
    assert pytest.approx(0.8 / (3 / 8 * 3.6)) == numbers["cost"]["usd_per_1k_requests"]


def test_the_json_object_has_the_keys_that_other_programs_rely_on() -> None:
    """A program that reads the JSON object finds a key missing or renamed."""
    log = single_server_log(np.random.default_rng(3), 2_000, load=0.5)
    numbers = numbers_of(report_of([log], describe(slo_ms={"p99": 25.0})))

    head: dict[str, Any] = {"schema_version": 1, "scenario": "hand-made", "seed": 7, "engine": "compiled"}
    head |= {"replications": 1, "horizon_s": 10.0, "warmup_s": 0.0}
    assert head == {key: numbers[key] for key in head}
    assert {"workloads", "fleets", "cost", "timing_s"} <= set(numbers)
    assert {"cautions", "bottleneck", "assumptions", "slo_met"} <= set(numbers)
    workload = numbers["workloads"]["search"]
    assert {"offered_rps", "throughput_rps", "goodput_rps", "items_per_s", "queue_ms", "service_ms"} <= set(workload)
    assert "ci95" not in workload
    assert {"targets", "met", "attainment"} <= set(workload["slo"])
    assert ["arrived", "completed", "rejected", "timed_out", "in_flight"] == list(workload["outcomes"])
    fleet = {"instance_type", "instances_mean", "utilisation", "batch_size_mean", "batch_size_histogram"}
    assert fleet | {"cost_usd", "cost_usd_per_hour"} <= set(numbers["fleets"]["gpu"])
    assert ["usd_per_hour", "usd_per_month", "usd_per_1k_requests"] == list(numbers["cost"])


@pytest.mark.parametrize("outcome", [REJECTED, TIMED_OUT, IN_FLIGHT])
def test_lost_requests_count_as_infinitely_late_in_the_slo_and_stay_out_of_the_latencies(outcome: int) -> None:
    """A fleet meets its p99 by turning away the requests that would have missed it."""
    outcomes = np.where(np.arange(1_000) % 50 == 0, outcome, COMPLETED)
    log = RunLog(request_log(np.arange(1_000) * 10 * MS, 0, 20 * MS, outcome=outcomes), batch_log())
    report = report_of([log], describe(slo_ms={"p95": 50.0, "p99": 50.0, "mean": 50.0}))
    search = report.workloads[0]

    assert search.latency_ms is not None
    assert search.slo is not None
    assert 20.0 == search.latency_ms.p99
    assert {"p95_ms": 20.0, "p99_ms": None, "mean_ms": None} == search.slo.values
    assert {"p95_ms": 30.0, "p99_ms": None, "mean_ms": None} == search.slo.margin_ms
    assert (False, 0.98) == (search.slo.met, search.slo.attainment)
    assert 98.0 == search.goodput_rps
    assert report.slo_met is False


def test_an_slo_is_met_at_its_target_and_missed_above() -> None:
    """The comparison is strict, or looks at the wrong side."""
    log = RunLog(request_log(np.arange(100) * 10 * MS, 0, 20 * MS), batch_log())

    for target, met in ((20.0, True), (19.999, False)):
        assert met == report_of([log], describe(slo_ms={"p99": target})).slo_met


def test_nothing_completed_is_reported_as_nothing_not_as_zero() -> None:
    """A fleet that answered nobody shows a latency of 0 ms, or breaks the report."""
    log = RunLog(request_log([5 * S], outcome=REJECTED), batch_log())
    numbers = numbers_of(report_of([log], describe(slo_ms={"p99": 25.0})))
    search = numbers["workloads"]["search"]

    assert dict.fromkeys(LATENCY_KEYS) == search["latency_ms"]
    assert (0.0, 0, {"p99_ms": None}) == (search["throughput_rps"], search["measured"], search["slo"]["values"])
    assert search["slo"]["met"] is False
    assert (None, {}) == tuple(numbers["fleets"]["gpu"][key] for key in ("batch_size_mean", "batch_size_histogram"))
    assert numbers["cost"]["usd_per_1k_requests"] is None


def test_an_slo_without_requests_is_neither_met_nor_missed() -> None:
    """No traffic counts as success, or as failure."""
    log = RunLog(request_log([1 * S], 0, MS), batch_log())
    report = report_of([log], describe(slo_ms={"p99": 25.0}), warmup_ns=2 * S)

    assert report.slo_met is None
    assert report.workloads[0].slo is not None
    assert (None, None) == (report.workloads[0].slo.met, report.workloads[0].slo.attainment)


def test_a_workload_without_slo_has_no_goodput_and_no_verdict() -> None:
    """An objective is invented."""
    report = report_of([RunLog(request_log([1 * S], 0, MS), batch_log())], describe())

    assert (None, None, None) == (report.workloads[0].goodput_rps, report.workloads[0].slo, report.slo_met)


def test_replications_pool_requests_and_average_rates() -> None:
    """With more replications rates grow, or the percentiles are means of percentiles."""
    quick = RunLog(request_log(np.arange(90) * 100 * MS, 0, 10 * MS), batch_log([0], 100 * MS, items=2))
    slow = RunLog(request_log(np.arange(10) * 100 * MS, 0, 1_000 * MS), batch_log([0], 300 * MS, items=4))
    report = report_of([quick, slow], describe())
    search, gpu = report.workloads[0], report.fleets[0]

    assert search.latency_ms is not None
    assert search.ci95 is not None
    assert (2, 100, 5.0, 100) == (report.replications, search.measured, search.offered_rps, search.outcomes["arrived"])
    assert (10.0, 109.0) == (search.latency_ms.p50, search.latency_ms.mean)
    assert search.ci95["mean_ms"][0] == 0.0
    assert (0.02, 3.0, {2: 1, 4: 1}) == (gpu.utilisation, gpu.batch_size_mean, gpu.batch_size_histogram)


def test_intervals_are_there_for_every_percentile_and_only_with_replications() -> None:
    """A percentile has no interval, a single run has one, or one reaches below 0."""
    logs = [single_server_log(np.random.default_rng(seed), 2_000, load=0.9) for seed in range(3)]

    assert report_of(logs[:1], describe()).workloads[0].ci95 is None
    intervals = report_of(logs, describe()).workloads[0].ci95
    assert intervals is not None
    assert ["mean_ms", *(f"{name}_ms" for name in PERCENTILES)] == list(intervals)
    assert all(0.0 <= low <= high < math.inf for low, high in intervals.values())
    empty = RunLog(request_log([]), batch_log())
    assert {} == report_of([*logs, empty], describe()).workloads[0].ci95


def test_summarising_leaves_the_tallies_as_they_were() -> None:
    """A second report of the same tallies differs from the first."""
    description = describe()
    tallies = [
        measured(single_server_log(np.random.default_rng(seed), 500, load=0.5), description, 0, 10 * S)
        for seed in range(2)
    ]

    assert summarise(tallies, description) == summarise(tallies, description)
    assert 500 == tallies[0].workloads[0].offered


def test_workloads_and_fleets_are_told_apart() -> None:
    """One workload's requests, or one fleet's executions, are counted for another."""
    n = 3 * BLOCK
    which = np.arange(n) % 3
    log = RunLog(
        request_log(np.arange(n) * 1_000, 0, (which + 1) * MS, workload=which, fleet=which // 2),
        batch_log(np.arange(n) * 1_000, 10, items=which + 1, fleet=which // 2),
    )
    description = describe(
        workloads=tuple(WorkloadDescription(name, fleet) for name, fleet in (("a", 0), ("b", 0), ("c", 1))),
        fleets=(FleetDescription("f", 1, 1e9), FleetDescription("g", 1, 1e9)),
    )
    report = report_of([log], description)

    assert [1.0, 2.0, 3.0] == [workload.latency_ms.p99 for workload in report.workloads if workload.latency_ms]
    assert ["f", "f", "g"] == [workload.fleet for workload in report.workloads]
    assert [{1: n // 3, 2: n // 3}, {3: n // 3}] == [fleet.batch_size_histogram for fleet in report.fleets]


def test_shared_accelerators_are_fully_used_when_all_model_instances_overlap() -> None:
    """Model instances that slow one another down count as more than one accelerator, or as less."""
    fleet = FleetDescription("gpu", 1, 50.0, model_instances=2, slowdown=2.0)
    # Two model instances, each busy for the whole window with executions that take twice their work.
    log = RunLog(request_log([]), batch_log(np.repeat(np.arange(100) * 100, 2) * MS, 50 * MS, stretch=2))

    assert 1.0 == report_of([log], describe(fleets=(fleet,))).fleets[0].utilisation


def test_a_fleet_without_price_leaves_the_sum_unknown() -> None:
    """A part of the bill is shown as the bill, or an unknown price as 0."""
    fleets = (FleetDescription("gpu", 1, 10.0, cost=FleetCost(1.0, 2.0)), FleetDescription("cpu", 1, 10.0))
    log = RunLog(request_log([1 * S], 0, MS), batch_log())
    report = report_of([log], describe(fleets=fleets))

    assert (None, None, None) == (
        report.cost.usd_per_hour,
        report.cost.usd_per_month,
        report.cost.usd_per_1k_requests,
    )
    assert [2.0, None] == [fleet.cost_usd_per_hour for fleet in report.fleets]


def test_tallies_that_do_not_belong_together_are_refused() -> None:
    """Runs of different lengths, or of another scenario, are averaged."""
    description = describe()
    one, other = (measured(RunLog(request_log([]), batch_log()), description, 0, end) for end in (S, 2 * S))

    with pytest.raises(ValueError, match="tallies must be of the same window"):
        summarise([one, other], description)
    with pytest.raises(ValueError, match="at least one tally"):
        summarise([], description)
    with pytest.raises(ValueError, match="must name the tally's 1 workloads and 1 fleets, got 1 and 2"):
        summarise([one], describe(fleets=description.fleets * 2))
    with pytest.raises(ValueError, match="before the horizon, got 5 of 5"):
        Window(5, 5, (None,), 1)
