"""A plan reads as JSON with the names that other programs rely on, and nothing in it that JSON cannot say."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from optimizer.plan import Binding, Miss, Plan, Round, Verified, plan_json
from optimizer.plan_of import batching_json, plan_of
from optimizer.prove import Proven, prove
from optimizer.settings import expand
from optimizer.solve import solve
from tests.optimizer.proofs import L4_100MS, l4s, poisson, prepared, two
from tests.optimizer.questions import asked, limited, plan, question

DAY = {"process": "rate_series", "requests": [3_600 * rate for rate in (300, 1000, 600)], "interval": "1h"}


def made(content: dict[str, object], **rates: object) -> tuple[Plan, Proven]:
    asked_for, problem = prepared(content, **rates)  # type: ignore[arg-type]
    proven = prove(asked_for, problem, solve(problem))
    return plan_of(asked_for, proven), proven


@pytest.fixture(scope="module")
def day() -> tuple[Plan, Proven]:
    content = asked(two(l4s(), max_instances=1), arrivals=DAY)
    return made(asked(content, "v", arrivals=poisson(100.0)), l4=[L4_100MS] * 2, big=[(700.0, 720.0, 740.0)] * 2)


def test_the_fleets_cost_what_the_plan_costs(day: tuple[Plan, Proven]) -> None:
    found, _ = day
    assert found.usd_per_hour == pytest.approx(sum(fleet.usd_per_hour for fleet in found.fleets))
    assert found.usd_per_month == pytest.approx(730 * (found.usd_per_hour or 0))
    assert found.usd_per_month == pytest.approx(np.dot(found.weight_h, found.usd_by_hour))


def test_the_fleets_serve_all_of_every_workload(day: tuple[Plan, Proven]) -> None:
    found, _ = day
    for name in found.workloads:
        assert pytest.approx(1) == sum(fleet.share[name] for fleet in found.fleets)
        for hour in range(len(found.hours)):
            assert pytest.approx(1) == sum(fleet.share_by_hour.get(name, (0, 0, 0))[hour] for fleet in found.fleets)


def test_instances_are_those_of_the_busiest_hour(day: tuple[Plan, Proven]) -> None:
    for fleet in day[0].fleets:
        assert max(fleet.instances_by_hour) == fleet.instances == sum(fleet.purchase.values())


def test_no_fleet_is_full(day: tuple[Plan, Proven]) -> None:
    for fleet in day[0].fleets:
        assert fleet.load <= 1
        assert fleet.utilisation is not None
        assert fleet.utilisation <= 0.97


def test_what_is_shown_as_verified_is_the_worst_that_was_seen(day: tuple[Plan, Proven]) -> None:
    found, proven = day
    verified = (found.verified or {})["w"]
    assert verified is not None
    seen = [shown.whole.workloads["w"].values_ms["p99_ms"] for shown in proven.shown.values()]
    assert max(seen) == verified.values_ms["p99_ms"] <= verified.one_run_ms["p99_ms"] <= 100.0
    assert 3 == verified.hours
    assert found.met is True


def test_the_object_has_the_contracts_keys_first(day: tuple[Plan, Proven]) -> None:
    document = plan_json(day[0])
    keys = ["schema_version", "plan", "status", "cost", "lower_bound_usd_per_hour"]
    assert keys == list(document)[:5]
    assert {"fleets", "verified", "binding", "shadow_prices", "alternatives"} <= document.keys()
    fleet = document["fleets"][0]
    assert {"candidate", "instance_type", "instances", "purchase", "batching", "share", "usd_per_hour"} <= fleet.keys()
    assert {"on_demand": fleet["instances"]} == fleet["purchase"]
    assert {"p99_ms", "met"} <= document["verified"]["w"].keys()
    assert document == json.loads(json.dumps(document, allow_nan=False))


def test_stated_capacities_are_verified_by_nobody() -> None:
    found, _ = made(asked(plan(profile=None, capacity_rps={"w": 40}), arrivals=poisson(100.0)))
    document = plan_json(found)
    assert document["verified"] is None
    assert ("optimal", 3, None) == (found.status, found.fleets[0].instances, found.fleets[0].batching)
    assert pytest.approx(100 / 120) == found.fleets[0].load
    assert found.fleets[0].utilisation is None


def test_a_workload_is_verified_as_far_as_its_fleets_are_simulated() -> None:
    content = l4s(340.0, max_instances=1)
    stated = {"name": "stated", "usd_per_hour": 9.0, "capacity_rps": {"w": 40, "v": 40}}
    content = limited(asked(content, "v", arrivals=poisson(80.0)), candidates=[*content["plan"]["candidates"], stated])
    content["plan"]["candidates"][0] |= {"profile": None, "profiles": {"w": "toy"}}
    found, _ = made({**content}, l4=[L4_100MS, (0.0, 0.0, 0.0)])
    assert found.verified is not None
    assert found.verified["v"] is None
    assert found.verified["w"] is not None
    assert 0.0 == found.verified["w"].stated_share


def test_a_plan_that_did_not_hold_is_none() -> None:
    asked_for, problem = prepared(l4s(max_instances=3), l4=[(600.0, 600.0, 600.0)])
    found = plan_of(asked_for, prove(asked_for, problem, solve(problem), time_limit_s=0.0))
    assert ("infeasible", None, ()) == (found.status, found.usd_per_hour, found.fleets)
    assert not found.feasible


def test_batch_settings_read_as_a_scenario_writes_them() -> None:
    candidate = {
        "policy": "dynamic",
        "max_batch_size": [4, 16],
        "max_queue_delay": "5ms",
        "preferred_batch_sizes": [4, 8],
    }
    written = [batching_json(one.batching) for one in expand(question(plan(batching=candidate)))]
    expected = {"policy": "dynamic", "rule": "triton", "max_queue_delay": "5ms"}
    assert expected | {"max_batch_size": 4, "preferred_batch_sizes": [4]} == written[0]
    assert expected | {"max_batch_size": 16, "preferred_batch_sizes": [4, 8]} == written[1]
    assert {"policy": "none"} == batching_json(expand(question(plan()))[0].batching)


def test_infinite_values_are_null() -> None:
    nothing = Plan("p", "infeasible", None, None, None, None, ("w",), ("all day",), (730.0,), {"w": (1.0,)})
    miss = Miss("l4", "all day", 1, 2, False, "w", "p99_ms", 100.0, math.inf, 0.5)
    seen = Verified({"p99_ms": 1.0}, {"p99_ms": math.inf}, {}, {}, False, 0.0, "l4", "all day", 1, 5, 10)
    full = replace(
        nothing,
        rounds=(Round(1.0, 1.0, "optimal", 1, (miss,)),),
        verified={"w": seen},
        binding=(Binding("slo", "w", 20.0, None, "why"),),
        capacity=({"points": np.array([1, 2]), "seen": np.bool_(True), "count": np.int64(3)},),
    )
    document = plan_json(full)
    assert document["rounds"][0]["misses"][0]["value"] is None
    assert document["verified"]["w"]["p99_ms"] is None
    assert {"points": [1, 2], "seen": True, "count": 3} == document["capacity"][0]
    json.dumps(document, allow_nan=False)
