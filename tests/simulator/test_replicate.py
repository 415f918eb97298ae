"""Replications: independent of one another, and the same numbers on one core, on several, and on a cluster."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import joblib
import numpy as np
import pytest

import simulator.replicate
from calibration.problems import InputError
from simulator.compiling import compile_model
from simulator.describe import describe, fleet_prices
from simulator.distribution import Sample
from simulator.log import RunLog
from simulator.metrics import window_of
from simulator.outcome import Report, report_to_json
from simulator.replicate import Counted, Measure, ReplicationError, replicate
from simulator.run import run
from simulator.scenario import Scenario, scenario_from
from simulator.study import simulate

CONTENT = {
    "schema": 1,
    "name": "small",
    "seed": 11,
    "horizon": "6s",
    "warmup": "1s",
    "profiles": {"toy": {"batch": [1, 8], "latency_ms": [5, 12], "latency_cv": 0.1}},
    "fleets": {
        "gpu": {
            "profile": "toy",
            "usd_per_hour": 1.0,
            "instances": 2,
            "router": "power_of_two",
            "batching": {"policy": "dynamic", "max_batch_size": 8, "max_queue_delay": "2ms"},
        }
    },
    "workloads": {
        "open": {"fleet": "gpu", "arrivals": {"process": "gamma", "rate": 300, "cv": 2}, "slo": {"p99": "100ms"}},
        "other": {"fleet": "gpu", "arrivals": {"process": "poisson", "rate": 50}, "items_per_request": {1: 3, 4: 1}},
    },
}


@pytest.fixture(scope="module")
def scenario() -> Scenario:
    """A small scenario that draws everything there is to draw."""
    return scenario_from(CONTENT)


def measure_of(scenario: Scenario) -> Measure:
    """How simulate would count it."""
    model = compile_model(scenario)
    description = describe(scenario, model, fleet_prices(scenario), engine="compiled", replications=1, exact=True)
    return Measure(window_of(description, scenario.warmup_ns, model.horizon_ns))


def numbers(report: Report) -> dict[str, Any]:
    """Everything of a report but how long it took."""
    return report_to_json(replace(report, timing_s={}))


def latencies(counted: Iterator[Counted]) -> list[list[int]]:
    """Latencies of the first workload, sorted, for each replication."""
    samples = [one.tally.workloads[0].latency for one in counted]
    assert all(isinstance(sample, Sample) for sample in samples)
    return [np.sort(sample.values()).tolist() for sample in samples if isinstance(sample, Sample)]


def test_two_processes_give_the_numbers_of_one(scenario: Scenario) -> None:
    """A result that depends on the number of cores cannot be compared with anybody else's."""
    alone = simulate(scenario, replications=4, jobs=1)
    assert numbers(alone) == numbers(simulate(scenario, replications=4, jobs=2))
    assert 4 == alone.replications


@pytest.mark.filterwarnings("default")  # what distributed warns of on its way up and down is not ours
def test_a_dask_cluster_gives_the_numbers_of_one_process(scenario: Scenario) -> None:
    from distributed import LocalCluster

    options: dict[str, Any] = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None}
    with LocalCluster(**options) as cluster:  # type: ignore[no-untyped-call]
        report = simulate(scenario, replications=4, cluster=cluster.scheduler_address)
    assert numbers(simulate(scenario, replications=4, jobs=1)) == numbers(report)


def test_a_replication_is_the_same_wherever_it_runs_and_however_many_there_are(scenario: Scenario) -> None:
    """Else a run that looks odd could not be run again alone."""
    measure = measure_of(scenario)
    all_of_them = latencies(replicate(scenario, range(5), measure, jobs=1))
    assert all_of_them[3:4] == latencies(replicate(scenario, range(3, 4), measure, jobs=1))
    assert all_of_them[1:3] == latencies(replicate(scenario, range(1, 3), measure, jobs=2))


def test_replications_differ(scenario: Scenario) -> None:
    one, other = latencies(replicate(scenario, range(2), measure_of(scenario), jobs=1))
    assert one != other


def test_the_kept_log_is_that_of_the_single_run(scenario: Scenario) -> None:
    kept: list[RunLog] = []
    simulate(scenario, replications=3, jobs=1, keep=kept.append)
    (log,) = kept
    assert log.same_as(run(compile_model(scenario)))


def test_intervals_come_with_replications_and_hold_the_pooled_value(scenario: Scenario) -> None:
    single, several = simulate(scenario), simulate(scenario, replications=5, jobs=1)
    assert single.workloads[0].ci95 is None
    assert "ci95" not in report_to_json(single)["workloads"]["open"]
    intervals, latency = several.workloads[0].ci95, several.workloads[0].latency_ms
    assert intervals is not None
    assert latency is not None
    for name, (low, high) in intervals.items():
        assert low < getattr(latency, name.removesuffix("_ms")) < high


def test_short_work_starts_no_processes(scenario: Scenario, monkeypatch: pytest.MonkeyPatch) -> None:
    """Starting two processes takes about a second: longer than what they would do."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a process was started")

    monkeypatch.setattr(joblib, "Parallel", refuse)
    assert 3 == len(list(replicate(scenario, range(3), measure_of(scenario), expected_s=0.5)))
    with pytest.raises(AssertionError, match="a process was started"):
        list(replicate(scenario, range(3), measure_of(scenario), jobs=2))


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_failure_names_its_replication(scenario: Scenario, jobs: int) -> None:
    """An error in one of a hundred replications must say which, or it cannot be looked at."""
    broken = replace(measure_of(scenario), window=None)  # type: ignore[arg-type]
    with pytest.raises(ReplicationError, match=r"^replication [78] of seed 11: AttributeError: ") as failure:
        list(replicate(scenario, range(7, 9), broken, jobs=jobs))
    assert failure.value.replication in (7, 8)  # side by side either may be the first


def test_a_failure_survives_the_trip_between_processes() -> None:
    failure = pickle.loads(pickle.dumps(ReplicationError(7, 11, "ValueError: no")))
    assert (7, 11, "ValueError: no") == (failure.replication, failure.seed, failure.cause)


def test_a_worker_that_dies_is_told_with_the_replication_waited_for(
    scenario: Scenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dies(**_: object) -> Any:
        def results(_: object) -> Iterator[Counted]:
            raise MemoryError("killed")
            yield

        return results

    monkeypatch.setattr(joblib, "Parallel", dies)
    with pytest.raises(ReplicationError, match=r"^replication 1 of seed 11: MemoryError: killed$"):
        list(replicate(scenario, range(1, 3), measure_of(scenario), jobs=2))


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:1", "nonsense://x"])
@pytest.mark.filterwarnings("default")
def test_a_cluster_that_does_not_answer_is_told_by_its_option(
    scenario: Scenario, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(simulator.replicate, "CLUSTER_TIMEOUT", "1s")
    with pytest.raises(InputError, match=r"<command line>: --cluster: must be the address of a Dask scheduler"):
        simulate(scenario, replications=2, cluster=address)
