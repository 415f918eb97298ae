"""Does the report say what would mislead about it, and nothing else?"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import pytest

from simulator.description import Description, FleetDescription, WorkloadDescription
from simulator.log import COMPLETED, IN_FLIGHT, REJECTED, TIMED_OUT, RunLog
from tests.simulator.synthetic_logs import MS, S, batch_log, describe, report_of, request_log, single_server_log


def texts(logs: Sequence[RunLog], description: Description, warmup_s: int = 0, horizon_s: int = 10) -> dict[str, str]:
    """Text of each caution, by its code."""
    report = report_of(logs, description, warmup_s * S, horizon_s * S)
    found = {caution.code: caution.text for caution in report.cautions}
    assert len(report.cautions) == len(found)
    return found


def evenly(n: int, outcome: int = COMPLETED, every: int = 1) -> RunLog:
    """Requests evenly through 10 s, of which every so-many-th has another outcome; each takes 1 ms."""
    arrival = np.arange(n) * (10 * S // n)
    codes = np.where(np.arange(n) % every == 0, outcome, COMPLETED)
    return RunLog(request_log(arrival, 0, MS, outcome=codes), batch_log(arrival, MS))


def test_a_long_run_at_moderate_load_with_replications_needs_no_caution() -> None:
    """The report cries wolf."""
    logs = [single_server_log(np.random.default_rng(seed), 130_000, load=0.6) for seed in range(2)]
    assert {} == texts(logs, describe(slo_ms={"p99": 25.0}), 10, 210)


def test_a_single_run_says_that_it_knows_no_error() -> None:
    """Numbers of one seed look certain."""
    log = single_server_log(np.random.default_rng(1), 130_000, load=0.6)
    assert ["one_run"] == list(texts([log], describe(), 10, 210))


def test_an_unstable_run_says_so_and_misses_its_slo_whatever_it_measured() -> None:
    """A p99 that only measures the horizon passes as a p99, and may even meet the SLO."""
    log = single_server_log(np.random.default_rng(1), 12_600, load=1.2)
    description = describe(slo_ms={"p99": 1e9})
    found = texts([log], description)
    report = report_of([log], description)

    assert ["unstable", "one_run"] == list(found)
    assert "gpu is offered 1.2" in found["unstable"]
    assert found["unstable"].endswith("and the SLO counts as not met.")
    slo = report.workloads[0].slo
    assert slo is not None
    assert (False, {"p99_ms": None}, {"p99_ms": None}) == (slo.met, slo.values, slo.margin_ms)
    assert report.workloads[0].latency_ms is not None
    assert "SLO" not in texts([log], describe())["unstable"]


def test_a_slow_front_end_is_named_as_what_makes_the_queue_grow() -> None:
    """The reader is told to buy accelerators when the server in front of them is too slow."""
    arrival = np.arange(20_000) * MS // 2
    front = np.arange(20_000) * (MS // 4)
    log = RunLog(request_log(arrival, front + MS, MS // 8, front_ns=front), batch_log(arrival + front, MS // 8))
    found = texts([log], describe(capacity=8_000.0))["unstable"]

    assert "still grew when the run ended, at 25% of its capacity: its front end lets requests through" in found


def test_an_overloaded_fleet_that_turns_requests_away_is_told_from_one_whose_queue_grows() -> None:
    """Latencies of a bounded queue, which mean what they say, are dismissed."""
    found = texts([evenly(14_000, REJECTED, every=3)], describe())

    assert "unstable" not in found
    assert "gpu is offered 1.40 times what it can do: 33% of the requests are turned away." in found["overload"]


def test_a_peak_above_capacity_is_pointed_out() -> None:
    """An average load below 1 hides that the fleet is overloaded in the busiest hours."""
    arrival = np.sort(np.concatenate((np.arange(5_000) * 2 * MS, 4 * S + np.arange(900) * MS)))
    log = RunLog(request_log(arrival, 0, MS), batch_log())
    client = WorkloadDescription("search", 0, varying=True)
    found = texts([log], describe(workloads=(client,)))["peak_overload"]

    assert "in the busiest tenth of the run gpu is offered 1.40 times what it can do, on average 0.59 times" in found


@pytest.mark.parametrize(
    ("outcome", "code", "words"),
    [
        (REJECTED, "rejected", "rejected by a full queue"),
        (TIMED_OUT, "timed_out", "timed out before their execution"),
        (IN_FLIGHT, "in_flight", "for a batch that never filled"),
    ],
)
def test_lost_requests_are_named_with_their_number_and_share(outcome: int, code: str, words: str) -> None:
    """Requests vanish from the latencies without a word."""
    found = texts([evenly(5_000, outcome, every=100)], describe())[code]

    assert found.startswith("50 of 5,000 requests of search (1%) were ")
    assert words in found
    assert found.endswith("The latencies leave them out; an SLO counts them as infinitely late.")
    one = texts([evenly(5_000, outcome, every=5_000)], describe())[code]
    assert one.startswith("1 of 5,000 requests of search (0.02%) was ")


@pytest.mark.parametrize(("n", "short"), [(100_000, []), (99_000, ["p99.9"]), (9_900, ["p99", "p99.9"])])
def test_percentiles_with_fewer_than_a_hundred_requests_beyond_them_are_named(n: int, short: list[str]) -> None:
    """A p99.9 of ten thousand requests, that is of ten, goes by without a word."""
    found = texts([evenly(n)], describe(capacity=1e6)).get("too_few_requests", "")

    assert short == re.findall(r"the (p[\d.]+) \(", found)


def test_the_horizon_asked_for_would_be_enough() -> None:
    """Whoever follows the advice is given the same advice again."""
    found = texts([evenly(5_000)], describe(slo_ms={"p99": 5.0}, capacity=1e6))["too_few_requests"]

    assert (
        "too few requests of search lie beyond the p99 (50) and the p99.9 (5), where 100 are needed: "
        "a horizon of 20s for the p99 gives them, and so do more replications." == found
    )
    longer = RunLog(request_log(np.arange(10_000) * 2 * MS, 0, MS), batch_log())
    again = texts([longer], describe(slo_ms={"p99": 5.0}, capacity=1e6), 0, 20)["too_few_requests"]
    assert "the p99 (" not in again


def test_a_run_that_is_short_for_its_load_says_how_long_it_should_be() -> None:
    """At high load a short run's percentiles are too low, with an interval around them that looks fine."""
    logs = [single_server_log(np.random.default_rng(seed), 57_000, load=0.95) for seed in range(10)]
    found = texts(logs, describe(), 0, 60)

    assert ["short_run", "short_warmup"] == list(found)
    assert "at 95% of gpu's capacity this run is short" in found["short_run"]
    assert "leaves out nothing: at this load give it a warm-up of " in found["short_warmup"]
    assert {"short_run"} == set(texts(logs, describe(), 6, 60))


def test_traffic_that_varies_by_design_is_not_asked_to_settle() -> None:
    """A replayed day is told that it should have been a month."""
    client = WorkloadDescription("search", 0, varying=True)
    logs = [single_server_log(np.random.default_rng(seed), 57_000, load=0.95) for seed in range(10)]

    assert "short_run" not in texts(logs, describe(workloads=(client,)), 0, 60)


def test_nothing_measured_is_said() -> None:
    """An empty table of latencies is left to explain itself."""
    found = texts([evenly(10, REJECTED)], describe())

    assert "no request of search that arrived after the warm-up was answered" in found["nothing_measured"]


def test_each_fleet_and_workload_is_judged_by_itself() -> None:
    """One overloaded fleet spoils the verdict on another, or is hidden by it."""
    arrival = np.arange(20_000) * MS // 2
    fleet = (np.arange(20_000) % 4 == 0).astype(int)
    log = RunLog(request_log(arrival, 0, MS, workload=fleet, fleet=fleet), batch_log())
    description = describe(
        workloads=(WorkloadDescription("a", 0, {"p99": 9.0}), WorkloadDescription("b", 1, {"p99": 9.0})),
        fleets=(FleetDescription("busy", 1, 1_000.0), FleetDescription("idle", 1, 10_000.0)),
    )
    report = report_of([log], description)

    assert [True, False] == [fleet.unstable for fleet in report.fleets]
    assert [False, True] == [workload.slo.met for workload in report.workloads if workload.slo]
    assert [caution.text.split()[0] for caution in report.cautions if caution.code == "unstable"] == ["busy"]


def test_a_profile_that_is_to_be_doubted_is_doubted_in_every_report() -> None:
    """A fit from two points looks like any other once it is in a report."""
    doubted = FleetDescription(
        "gpu", 1, 1_000.0, profile_warnings=("profile toy: fitted from 2 points",), extrapolated="profile toy was ..."
    )
    log = single_server_log(np.random.default_rng(1), 130_000, load=0.6)
    found = texts([log], describe(fleets=(doubted,)), 10, 210)
    assert ("profile toy was ...", "profile toy: fitted from 2 points") == (found["extrapolated"], found["profile"])
