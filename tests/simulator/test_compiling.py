"""From a scenario to a model: every name becomes its number, every duration its nanoseconds, every curve its table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from calibration.problems import InputError
from simulator.clock import NEVER
from simulator.compiling import PARTS, ROUTERS, RULES, compile_model
from simulator.fleet_spec import Batching, Fleet
from simulator.model import UNBOUNDED, Model
from simulator.policies import batching, routing
from simulator.policies.service import PPM
from simulator.run import run
from simulator.scenario import scenario_from
from tests.models import MS, S

TOY = {
    "batch": [1, 4],
    "latency_ms": [10, 16],
    "overheads": {
        "frontend_ms": 0.1,
        "enqueue_ms": [0.2, 0.5],
        "dispatch_ms": 0.3,
        "release_ms": 0.4,
        "reply_ms": 0.0000014,
    },
}
POISSON = {"process": "poisson", "rate": 100}


def compiled(
    fleet: dict[str, Any] | None = None,
    workload: dict[str, Any] | None = None,
    profile: dict[str, Any] | None = None,
    **keys: Any,
) -> Model:
    """The model of a small scenario, with some of its keys changed."""
    batches = {"batching": {"policy": "dynamic", "max_batch_size": 4}}
    content = {
        "schema": 1,
        "name": "small",
        "horizon": "10s",
        "profiles": {"toy": TOY | (profile or {})},
        "fleets": {"gpu": {"profile": "toy", "usd_per_hour": 1.0, "instances": 2} | batches | (fleet or {})},
        "workloads": {"w": {"fleet": "gpu", "arrivals": POISSON} | (workload or {})},
        **keys,
    }
    return compile_model(scenario_from(content))


def test_curves_become_tables_of_nanoseconds() -> None:
    """Latency and overheads by items, straight lines between the measured points, rounded to the nearest ns."""
    (fleet,) = compiled().fleets
    assert [10 * MS, 12 * MS, 14 * MS, 16 * MS] == fleet.service_ns[1:].tolist()
    assert [0, 100_000, 100_000, 100_000, 100_000] == fleet.part("frontend_ns").tolist()
    assert [0, 200_000, 300_000, 400_000, 500_000] == fleet.part("enqueue_ns").tolist()
    assert [0, 300_000, 300_000, 300_000, 300_000] == fleet.part("dispatch_ns").tolist()
    assert [0, 400_000, 400_000, 400_000, 400_000] == fleet.part("release_ns").tolist()
    assert [0, 1, 1, 1, 1] == fleet.part("reply_ns").tolist()
    assert set(PARTS) == {key.removesuffix("_ms") for key in TOY["overheads"]}  # type: ignore[union-attr]


def test_an_execution_takes_a_nanosecond_at_least() -> None:
    """An execution that ended as it starts would stop the clock."""
    steep = {"batch": [4, 5], "latency_ms": [1, 90], "overheads": {}}
    (fleet,) = compiled(profile=steep, allow_extrapolation=True).fleets
    assert fleet.service_ns[1:].min() >= 1
    (fleet,) = compiled(profile={"latency_ms": [0.000001, 1]}).fleets
    assert 1 == fleet.service_ns[1]


@pytest.mark.parametrize(("rule", "code"), RULES.items())
def test_every_rule_has_its_code(rule: str, code: int) -> None:
    """A rule that is taken for another server's is 20 to 40 % off."""
    (fleet,) = compiled({"batching": {"policy": "dynamic", "rule": rule, "max_batch_size": 4}}).fleets
    assert code == fleet.rule


def test_every_rule_that_the_scenario_knows_is_one_the_engine_knows() -> None:
    """A rule on one list alone is a crash or is unreachable; dynamic batching follows Triton unless told otherwise."""
    assert set(RULES) == set(Batching.model_fields["rule"].annotation.__args__)  # type: ignore[union-attr]
    assert batching.TRITON == compiled().fleets[0].rule
    assert set(range(len(batching.RULES))) == {*RULES.values(), batching.NONE, batching.STATIC}


@pytest.mark.parametrize(("policy", "code"), [("none", batching.NONE), ("static", batching.STATIC)])
def test_policies_without_a_rule(policy: str, code: int) -> None:
    """``none`` and ``static`` are rules of their own to the engine."""
    (fleet,) = compiled({"batching": {"policy": policy, "max_batch_size": 4}}).fleets
    assert code == fleet.rule


@pytest.mark.parametrize(("router", "code"), ROUTERS.items())
def test_every_router_has_its_code(router: str, code: int) -> None:
    """Weights go with the weighted router alone."""
    weights = {"router_weights": [3, 1]} if router == "weighted" else {}
    (fleet,) = compiled({"router": router, **weights}).fleets
    assert (code, tuple(weights.get("router_weights", ()))) == (fleet.router, fleet.weights)
    assert set(ROUTERS) == set(Fleet.model_fields["router"].annotation.__args__)  # type: ignore[union-attr]


def test_what_a_fleet_says_arrives_in_the_model() -> None:
    """A key that is read and dropped is worse than one that is refused."""
    settings = {"max_batch_size": 4, "max_queue_delay": "5ms", "preferred_batch_sizes": [2, 4]}
    keys: dict[str, Any] = {"model_instances": 3, "slowdown": [1, 1.5, 1.75], "max_queue": 7}
    (fleet,) = compiled({**keys, "batching": {"policy": "dynamic", **settings}}).fleets
    assert (2, 3, 7) == (fleet.instances, fleet.model_instances, fleet.max_queue)
    assert (PPM, 1_500_000, 1_750_000) == fleet.slowdowns
    assert (4, 5 * MS, (2, 4)) == (fleet.max_batch, fleet.delay_ns, fleet.preferred)


def test_what_a_fleet_does_not_say() -> None:
    """No bound, one model instance, the least outstanding router; the slow-down of the profile, else k."""
    (fleet,) = compiled().fleets
    assert (UNBOUNDED, 1, routing.LEAST) == (fleet.max_queue, fleet.model_instances, fleet.router)
    assert (PPM, 2 * PPM) == compiled({"model_instances": 2}).fleets[0].slowdowns
    measured = compiled({"model_instances": 2}, profile={"slowdown": [1, 1.25, 1.5]}).fleets[0]
    assert (PPM, 1_250_000) == measured.slowdowns[:2]


def test_without_batching_a_request_may_be_larger_than_a_batch() -> None:
    """Policy none serves requests whole: the tables must reach as far as they do."""
    model = compiled({"batching": {"policy": "none"}}, {"items_per_request": {1: 0.5, 3: 0.5}})
    assert 3 == model.fleets[0].largest
    assert {1, 3} == set(run(model).batches.items.tolist())


def test_what_a_workload_says_arrives_in_the_model() -> None:
    """Items with their weights, the timeout, and the fleet by its number."""
    idle = {
        "profile": "toy",
        "usd_per_hour": 1.0,
        "instances": 1,
        "batching": {"policy": "static", "max_batch_size": 4},
    }
    content = {"gpu": idle, "cpu": idle}
    mix = {"fleet": "cpu", "arrivals": POISSON, "items_per_request": {1: 3, 4: 1}, "timeout": "50ms"}
    model = compiled(fleets=content, workloads={"a": mix, "b": {"fleet": "gpu", "arrivals": POISSON}})
    first, second = model.workloads
    assert (1, (1, 4), (3.0, 1.0), 50 * MS) == (first.fleet, first.items, first.item_weights, first.timeout_ns)
    assert (0, (1,), NEVER) == (second.fleet, second.items, second.timeout_ns)


def test_a_closed_loop_has_clients_that_think() -> None:
    """The engine makes its arrivals; the model says how many clients there are and how long they think."""
    arrivals = {"process": "closed_loop", "concurrency": 5, "think_time": "20ms"}
    (loop,) = compiled(workload={"arrivals": arrivals}).workloads
    assert (5, None) == (loop.clients, loop.arrivals)
    assert loop.think is not None
    assert [20 * MS] * 3 == loop.think(np.random.SeedSequence(1)).take(3).tolist()


def test_open_streams_start_anew_for_every_run() -> None:
    """A model is run by two engines and in many replications: each opens the stream from its beginning."""
    (workload,) = compiled().workloads
    assert workload.arrivals is not None
    once, again = (workload.arrivals(np.random.SeedSequence(3)).take(NEVER) for _ in range(2))
    assert once.tolist() == again.tolist()
    assert (once < 10 * S).all()


@pytest.mark.parametrize(
    ("arrivals", "expected"),
    [
        (POISSON, 1000.0),
        ({"process": "deterministic", "rate": 50}, 500.0),
        ({"process": "mmpp", "rates": [10, 100], "mean_durations": ["4s", "1s"]}, 280.0),
        ({"process": "rate_series", "requests": [3, 5], "interval": "5s"}, 8.0),
    ],
)
def test_about_as_many_requests_are_expected_as_will_come(arrivals: dict[str, Any], expected: float) -> None:
    """Room is made for them, and long runs are streamed, by this number."""
    assert expected == pytest.approx(compiled(workload={"arrivals": arrivals}).expected_requests)


def test_a_closed_loop_is_expected_to_be_as_fast_as_its_fleet_or_its_clients() -> None:
    """3 clients of 10 ms and 20 ms thinking send 100 a second; 1,000 wait for the fleet, which does 2 x 4 in 16 ms."""
    loop = {"process": "closed_loop", "concurrency": 3, "think_time": "20ms"}
    few = compiled(workload={"arrivals": loop}).expected_requests
    many = compiled(workload={"arrivals": {**loop, "concurrency": 1000}}).expected_requests
    assert (1000.0, 5000.0) == (pytest.approx(few), pytest.approx(many))


def test_a_trace_without_a_horizon_runs_to_its_last_arrival(tmp_path: Path) -> None:
    """The last request of the trace must be among those served."""
    (tmp_path / "seen.csv").write_text("arrival_s\n0.5\n1.25\n7\n")
    arrivals = {"process": "trace", "file": str(tmp_path / "seen.csv")}
    model = compiled(workload={"arrivals": arrivals}, horizon=None)
    assert 7 * S + 1 == model.horizon_ns
    assert [500 * MS, 1250 * MS, 7 * S] == run(model).requests.arrival_ns.tolist()
    assert 3 == model.expected_requests


def test_everything_wrong_with_the_files_is_told_at_once(tmp_path: Path) -> None:
    """One error a run makes as many runs as errors."""
    broken = tmp_path / "broken.csv"
    broken.write_text("arrival_s\n2\n1\n")
    worse = tmp_path / "worse.csv"
    worse.write_text("arrival_s\nsoon\n")
    workloads = {
        name: {"fleet": "gpu", "arrivals": {"process": "trace", "file": str(file)}}
        for name, file in (("a", broken), ("b", worse))
    }
    with pytest.raises(InputError) as failure:
        compiled(workloads=workloads)
    assert {"broken.csv", "worse.csv"} == {Path(problem.file).name for problem in failure.value.problems}


def test_the_seed_and_the_replication_arrive_in_the_model() -> None:
    """Replications of one seed that were all alike would have intervals of width 0."""
    scenario = scenario_from(
        {
            "schema": 1,
            "name": "small",
            "seed": 9,
            "horizon": "1s",
            "profiles": {"toy": TOY},
            "fleets": {"gpu": {"profile": "toy", "usd_per_hour": 1.0, "instances": 2}},
            "workloads": {"w": {"fleet": "gpu", "arrivals": POISSON}},
        }
    )
    models = [compile_model(scenario, replication=k) for k in (0, 3)]
    assert [(9, 0), (9, 3)] == [(model.seed, model.replication) for model in models]
    assert run(models[0]).differences(run(models[1]))
