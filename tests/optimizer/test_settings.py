"""What is searched, and that the fleet simulated for a setting is the one that the file describes."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from calibration.problems import InputError
from optimizer.settings import REQUESTS, Setting, expand
from simulator import crosscheck
from simulator.arrivals import open_stream
from simulator.clock import NS_PER_S, s_from_ns
from simulator.compiling import compile_model
from simulator.scenario import Scenario
from tests.optimizer.questions import CONTRACT, TOY, asked, limited, plan, question

DYNAMIC: dict[str, Any] = {"policy": "dynamic", "max_batch_size": [4, 16], "max_queue_delay": ["0ms", "5ms"]}

TWO_PROFILES = {"toy": {"batch": [1, 16], "latency_ms": [10, 40]}, "big": {"batch": [1, 16], "latency_ms": [50, 200]}}


def settings_of(content: dict[str, Any], folder: str | Path = ".") -> tuple[Setting, ...]:
    return expand(question(content, folder))


def one(content: dict[str, Any] | None = None, folder: str | Path = ".") -> Setting:
    (found,) = settings_of(plan() if content is None else content, folder)
    return found


def refused_by_the_door(scenario: Scenario) -> list[str]:
    """Rules between parts that the scenario's own door would find broken."""
    parts = crosscheck.Parts(
        horizon_ns=scenario.horizon_ns,
        horizon_given=True,
        warmup_ns=scenario.warmup_ns,
        allow_extrapolation=scenario.allow_extrapolation,
        profiles=scenario.profiles,
        fleets=scenario.fleets,
        workloads=scenario.workloads,
        profile_names=tuple(scenario.profiles),
        fleet_names=tuple(scenario.fleets),
        fleet_of={name: workload.fleet for name, workload in scenario.workloads.items()},
        profile_of={name: fleet.profile for name, fleet in scenario.fleets.items()},
    )
    return [flaw.rule for flaw in crosscheck.flaws_between(parts)]


def test_every_setting_has_a_name_that_says_what_it_is() -> None:
    names = [setting.name for setting in settings_of(plan(batching=DYNAMIC, model_instances=[1, 2]))]
    assert [
        "l4: batch 4, no wait, 1 model instance",
        "l4: batch 4, no wait, 2 model instances",
        "l4: batch 4, wait 5 ms, 1 model instance",
        "l4: batch 4, wait 5 ms, 2 model instances",
        "l4: batch 16, no wait, 1 model instance",
        "l4: batch 16, no wait, 2 model instances",
        "l4: batch 16, wait 5 ms, 1 model instance",
        "l4: batch 16, wait 5 ms, 2 model instances",
    ] == names


def test_the_contracts_example_has_two_stated_and_four_simulated_settings(tmp_path: Path) -> None:
    from optimizer.plan_file import load_plan

    (tmp_path / "plan.yaml").write_text(CONTRACT + TOY)
    found = expand(load_plan(tmp_path / "plan.yaml"))
    assert ["a10g", "a100"] == [setting.name for setting in found if not setting.simulated]
    assert [0.8048] * 4 == [setting.usd_per_hour for setting in found if setting.simulated]
    assert all(("short", "long") == setting.workloads for setting in found)


def test_workloads_with_different_profiles_get_fleets_of_their_own() -> None:
    content = plan(profile=None, profiles={"w": "toy", "v": "big", "u": "toy"}) | {"profiles": TWO_PROFILES}
    found = settings_of(asked(asked(content, "v"), "u"))
    assert [("l4: no batching, profile toy", ("w", "u")), ("l4: no batching, profile big", ("v",))] == [
        (setting.name, setting.workloads) for setting in found
    ]


def test_names_are_unique_whatever_candidates_are_called() -> None:
    content = plan(batching={"policy": "static", "max_batch_size": 4})
    stated = {"name": "l4: static batch 4", "usd_per_hour": 1.0, "capacity_rps": {"w": 3}}
    content = limited(content, candidates=[*content["plan"]["candidates"], stated])
    names = [setting.name for setting in settings_of(content)]
    assert ["l4: static batch 4", "l4: static batch 4 (again)"] == names


def test_the_scenario_is_the_fleet_that_the_file_describes() -> None:
    content = plan(
        batching={"policy": "dynamic", "max_batch_size": 8, "max_queue_delay": "2ms", "rule": "torchserve"},
        model_instances=2,
        slowdown=[1, 1.4],
        router="power_of_two",
    )
    setting = one(asked(content, items_per_request={"1": 0.5, "4": 0.5}, timeout="1s"))
    scenario = setting.scenario(3, {"w": 50.0}, seed=11)
    fleet, workload = scenario.fleets["l4"], scenario.workloads["w"]
    assert (3, 2, (1, 1.4), "power_of_two", 0.8) == (
        fleet.instances,
        fleet.model_instances,
        fleet.slowdown,
        fleet.router,
        fleet.usd_per_hour,
    )
    assert ("torchserve", 8, 2_000_000) == (
        fleet.batching.rule,
        fleet.batching.max_batch_size,
        fleet.batching.max_queue_delay_ns,
    )
    assert ({1: 0.5, 4: 0.5}, 1_000_000_000, 11) == (workload.item_shares, workload.timeout_ns, scenario.seed)
    assert workload.slo is not None
    assert {"p99": 100_000_000} == workload.slo.targets_ns
    assert [] == refused_by_the_door(scenario)


@pytest.mark.parametrize("batching", [{}, {"policy": "static", "max_batch_size": 4}, {**DYNAMIC, "max_batch_size": 6}])
def test_a_scenario_made_without_the_door_would_pass_it(batching: dict[str, Any]) -> None:
    content = asked(asked(plan(batching=batching), items_per_request=2), "v", items_per_request=4)
    for setting in settings_of(content):
        scenario = setting.scenario(2, {"w": 20.0, "v": 5.0})
        assert [] == refused_by_the_door(scenario)
        assert scenario == pickle.loads(pickle.dumps(scenario))
        assert scenario.canonical_json()
        assert compile_model(scenario).fleets[0].max_batch == max(4, scenario.fleets["l4"].batching.max_batch_size)


def test_without_batching_a_batch_is_the_largest_request() -> None:
    scenario = one(asked(plan(), items_per_request=4)).scenario(1, {"w": 1.0})
    assert 4 == scenario.fleets["l4"].batching.max_batch_size


ARRIVALS: dict[str, dict[str, Any]] = {
    "poisson": {"process": "poisson", "rate": 100},
    "deterministic": {"process": "deterministic", "rate": 100},
    "gamma": {"process": "gamma", "rate": 100, "cv": 2},
    "mmpp": {"process": "mmpp", "rates": [50, 300], "mean_durations": ["4s", "1s"]},
    "rate_series": {"process": "rate_series", "requests": [360_000, 36_000], "interval": "1h"},
    "trace": {"process": "trace", "file": "t.csv"},
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A trace of 3,000 requests in pairs, 10 of them a second."""
    times = np.repeat(np.arange(1, 1_501) / 5, 2)
    (tmp_path / "t.csv").write_text("arrival_s\n" + "".join(f"{time:.3f}\n" for time in times))
    return tmp_path


@pytest.mark.parametrize("process", ARRIVALS)
@pytest.mark.parametrize("rate_rps", [0.37, 40.0, 5_000.0])
def test_every_process_brings_the_rate_that_is_asked_for(process: str, rate_rps: float, folder: Path) -> None:
    setting = one(asked(plan(), arrivals=ARRIVALS[process]), folder)
    scenario = setting.scenario(1, {"w": rate_rps}, requests=4_000)
    assert scenario.horizon_ns is not None
    arrivals: Any = scenario.workloads["w"].arrivals
    counts = []
    for seed in range(5):
        stream = open_stream(arrivals, np.random.SeedSequence(seed), scenario.horizon_ns)
        counts.append(len(stream.take(scenario.horizon_ns)))
    slack = {"poisson": 0.03, "rate_series": 0.03, "gamma": 0.06, "mmpp": 0.25}.get(process, 0.001)
    assert rate_rps == pytest.approx(np.mean(counts) / s_from_ns(scenario.horizon_ns), rel=slack)


def test_processes_keep_their_shape() -> None:
    def scaled(process: str, rate_rps: float) -> Any:
        return one(asked(plan(), arrivals=ARRIVALS[process])).scenario(1, {"w": rate_rps}).workloads["w"].arrivals

    assert ("gamma", 10.0, 2) == (scaled("gamma", 10.0).process, scaled("gamma", 10.0).rate, scaled("gamma", 10.0).cv)
    mmpp = scaled("mmpp", 10.0)
    assert ((5.0, 30.0), (4 * NS_PER_S, NS_PER_S)) == (pytest.approx(mmpp.rates), mmpp.mean_durations_ns)
    assert "poisson" == scaled("rate_series", 10.0).process


def test_a_trace_is_played_faster_and_in_the_same_order(folder: Path) -> None:
    setting = one(asked(plan(), arrivals=ARRIVALS["trace"]), folder)
    scenario = setting.scenario(1, {"w": 20.0}, requests=1_000_000)
    assert scenario.horizon_ns is not None
    assert 3_000 / 20 == pytest.approx(s_from_ns(scenario.horizon_ns))
    model = compile_model(scenario)
    opened = model.workloads[0].arrivals
    assert opened is not None
    times = np.asarray(open_stream(scenario.workloads["w"].arrivals, np.random.SeedSequence(0), 1 << 60).take(1 << 60))
    assert 3_000 == len(times)
    assert 0.1 == pytest.approx(s_from_ns(int(times[2] - times[0])), rel=1e-3)
    assert times[0] == times[1], "pairs stay pairs"


def test_the_rarest_workload_gets_the_requests_asked_for() -> None:
    setting = one(asked(plan(), "v"))
    scenario = setting.scenario(1, {"w": 30.0, "v": 10.0}, requests=2_000)
    assert 200.0 == pytest.approx(s_from_ns(scenario.horizon_ns or 0))
    assert 20.0 == pytest.approx(s_from_ns(scenario.warmup_ns))


def test_a_workload_a_thousand_times_as_rare_does_not_make_the_simulation_endless() -> None:
    setting = one(asked(plan(), "v"))
    scenario = setting.scenario(1, {"w": 10_000.0, "v": 0.1})
    assert 20 * REQUESTS >= 10_000.0 * s_from_ns(scenario.horizon_ns or 0)


def test_a_simulation_is_long_enough_for_its_queue() -> None:
    """At a high rate some thousand requests are over before the queue has seen a full execution twice."""
    setting = one(plan(batching={"policy": "dynamic", "max_batch_size": 16}))
    scenario = setting.scenario(50, {"w": 10_000.0}, requests=20_000)
    assert 200 * 0.040 == pytest.approx(s_from_ns(scenario.horizon_ns or 0))
    assert 20 * 0.040 == pytest.approx(s_from_ns(scenario.warmup_ns), rel=0.01)


def test_workloads_without_traffic_are_left_out() -> None:
    setting = one(asked(plan(), "v"))
    assert ["w"] == list(setting.scenario(1, {"w": 30.0, "v": 0.0}).workloads)
    assert ["v"] == list(setting.scenario(1, {"v": 3.0}).workloads)
    for rates in ({}, {"w": 0.0}, {"x": 3.0}):
        with pytest.raises(ValueError, match="rates above 0"):
            setting.scenario(1, rates)


def test_distance_is_taken_off_every_objective() -> None:
    content = asked(plan(added_latency={"w": "30ms"}), slo={"p50": "60ms", "p99": "100ms"})
    setting = one(content)
    slo = setting.scenario(1, {"w": 10.0}).workloads["w"].slo
    assert slo is not None
    assert {"p50": 30_000_000, "p99": 70_000_000} == slo.targets_ns
    assert 40.0 == setting.least_latency_ms("w")


def test_an_objective_within_the_distance_cannot_be_met_and_is_no_error() -> None:
    slo = one(plan(added_latency="1s")).scenario(1, {"w": 10.0}).workloads["w"].slo
    assert slo is not None
    assert {"p99": 1} == slo.targets_ns


def test_the_least_latency_is_that_of_a_lone_request_with_all_its_parts() -> None:
    content = plan()
    overheads = {"frontend_ms": 1, "enqueue_ms": 2, "dispatch_ms": 4, "release_ms": 100, "reply_ms": 8}
    content["profiles"]["toy"]["overheads"] = overheads
    assert 25.0 == one(content).least_latency_ms("w")
    large = asked(content, items_per_request={"1": 0.98, "8": 0.02})
    assert (25.0, 39.0) == (one(large).least_latency_ms("w", "p90"), one(large).least_latency_ms("w", "p99"))
    assert 25.0 + 0.02 * 14 == pytest.approx(one(large).least_latency_ms("w", "mean"))


def test_a_static_batch_is_never_faster_than_full() -> None:
    setting = one(plan(batching={"policy": "static", "max_batch_size": 16}))
    assert 40.0 == setting.least_latency_ms("w")


def test_no_simulation_is_ever_faster_than_the_least_latency() -> None:
    """The figure is given as a reason why nothing can be met: it must be a bound."""
    from simulator.study import simulate

    setting = one(plan(batching={"policy": "dynamic", "max_batch_size": 16}))
    report = simulate(setting.scenario(1, {"w": 1.0}, requests=300), jobs=1)
    latency = report.workloads[0].latency_ms
    assert latency is not None
    assert latency.p50 == pytest.approx(setting.least_latency_ms("w", "p50"))


def test_a_stated_capacity_has_nothing_to_simulate() -> None:
    setting = one(plan(profile=None, capacity_rps={"w": 3}, added_latency="3ms"))
    assert not setting.simulated
    assert 3.0 == setting.least_latency_ms("w")
    with pytest.raises(ValueError, match="is stated"):
        setting.scenario(1, {"w": 1.0})


def test_a_setting_travels_between_processes(folder: Path) -> None:
    setting = one(asked(plan(), arrivals=ARRIVALS["trace"]), folder)
    travelled: Setting = pickle.loads(pickle.dumps(setting))
    assert setting == travelled
    assert hash(setting) == hash(travelled)
    assert setting.scenario(2, {"w": 3.0}) == travelled.scenario(2, {"w": 3.0})


def test_the_file_of_a_trace_that_vanished_is_told_as_bad_input(folder: Path) -> None:
    setting = one(asked(plan(), arrivals=ARRIVALS["trace"]), folder)
    (folder / "t.csv").unlink()
    with pytest.raises(InputError, match="must be a file that exists"):
        compile_model(setting.scenario(1, {"w": 3.0}))
