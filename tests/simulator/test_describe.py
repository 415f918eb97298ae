"""What a report knows of a scenario: capacities, money and assumptions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from calibration.problems import InputError
from simulator.clock import NS_PER_MS
from simulator.compiling import compile_model
from simulator.describe import capacity_items_per_s, describe, fleet_prices
from simulator.description import Description
from simulator.model import FleetModel
from simulator.policies import batching
from simulator.scenario import load_scenario, scenario_from

ONE_ITEM = [((1,), (1.0,))]


def fleet(**changes: object) -> FleetModel:
    """Executions of 10 ms for one item and 1 ms for each further one, dispatch 0.5 ms, release 0.5 ms, up to 8."""
    ms = np.array([0, *(10 + b for b in range(8))]) * NS_PER_MS
    half = np.full(9, NS_PER_MS // 2)
    given: dict[str, object] = {
        "service_ns": ms, "dispatch_ns": half, "release_ns": half, "rule": batching.TRITON, "max_batch": 8
    }  # fmt: skip
    return FleetModel(**{**given, **changes})  # type: ignore[arg-type]


def test_capacity_is_that_of_the_best_batch_with_dispatch_and_release() -> None:
    """Leaving out the gap between executions overstates capacity by 8 to 10 % on real servers."""
    assert 8 / 0.018 == pytest.approx(capacity_items_per_s(fleet(), ONE_ITEM))


def test_without_batching_the_capacity_is_that_of_single_requests() -> None:
    assert 1 / 0.011 == pytest.approx(capacity_items_per_s(fleet(rule=batching.NONE, max_batch=1), ONE_ITEM))
    mixed = [((1, 4), (3.0, 1.0))]
    expected = (0.75 * 1 + 0.25 * 4) / (0.75 * 0.011 + 0.25 * 0.014)
    assert expected == pytest.approx(capacity_items_per_s(fleet(rule=batching.NONE, max_batch=1), mixed))


def test_batches_are_made_of_whole_requests() -> None:
    """With requests of 3 items a batch of up to 8 holds 6, and the fleet does less than its curve promises."""
    assert 6 / 0.016 == pytest.approx(capacity_items_per_s(fleet(), [((3,), (1.0,))]))
    assert 8 / 0.018 == pytest.approx(capacity_items_per_s(fleet(), [((3, 5), (1.0, 1.0))]))


def test_model_instances_share_the_accelerator_and_hide_the_gap() -> None:
    two = fleet(model_instances=2)
    assert 2 * 8 / (0.001 + 2 * 0.017) == pytest.approx(capacity_items_per_s(two, ONE_ITEM))
    independent = fleet(model_instances=2, slow_ppm=(1_000_000, 1_000_000))
    assert 2 * 8 / 0.018 == pytest.approx(capacity_items_per_s(independent, ONE_ITEM))


def test_a_serial_front_end_is_a_ceiling() -> None:
    """A Python server that parses 100 requests a second does not serve 400, whatever the accelerator can do."""
    slow = fleet(frontend_ns=np.full(9, 10 * NS_PER_MS))
    assert 100 == pytest.approx(capacity_items_per_s(slow, ONE_ITEM))
    assert 300 == pytest.approx(capacity_items_per_s(slow, [((3,), (1.0,))]))


def test_static_batches_have_the_capacity_of_full_ones() -> None:
    falling = fleet(rule=batching.STATIC, service_ns=np.array([0, 1, 1, 1, 1, 1, 1, 1, 100]) * NS_PER_MS)
    assert 8 / 0.101 == pytest.approx(capacity_items_per_s(falling, ONE_ITEM))


YAML = """\
schema: 1
name: priced
horizon: 2h
profiles:
  toy: {batch: [1], latency_ms: [5], provenance: {source: a table}}
fleets:
  a: {profile: toy, instance_type: g6.xlarge, instances: 3, max_queue: 10}
  b: {profile: toy, usd_per_hour: 0.5, instances: 1}
workloads:
  one: {fleet: a, arrivals: {process: gamma, rate: 20, cv: 2}, slo: {p99: 100ms, p50: 20ms}, timeout: 1s}
  two: {fleet: b, arrivals: {process: closed_loop, concurrency: 4}, items_per_request: 1}
"""


def described(tmp_path: Path, yaml: str = YAML) -> Description:
    path = tmp_path / "scenario.yaml"
    path.write_text(yaml, encoding="utf-8")
    scenario = load_scenario(path)
    model = compile_model(scenario)
    return describe(scenario, model, fleet_prices(scenario), engine="compiled", replications=1, exact=True)


def test_fleets_are_billed_for_all_instances_over_the_whole_horizon(tmp_path: Path) -> None:
    a, b = described(tmp_path).fleets
    assert a.cost is not None
    assert b.cost is not None
    assert 3 * 0.8048 == pytest.approx(a.cost.usd_per_hour)
    assert 2 * 3 * 0.8048 == pytest.approx(a.cost.usd)
    assert 2 * 0.5 == pytest.approx(b.cost.usd)


def test_a_price_is_shown_with_its_place_date_and_source(tmp_path: Path) -> None:
    """A price without a date is believed for years."""
    a, b = (fleet.cost.note for fleet in described(tmp_path).fleets if fleet.cost is not None)
    assert a.startswith("g6.xlarge at 0.8048 USD/h on demand (aws us-east-1, 2026-01-19, aws/karpenter")
    assert "the user's own price" in b


def test_every_missing_price_is_told_at_its_line(tmp_path: Path) -> None:
    path = tmp_path / "scenario.yaml"
    path.write_text(
        YAML.replace("g6.xlarge", "g6.xlage").replace("usd_per_hour: 0.5", "instance_type: nothing.9xlarge"),
        encoding="utf-8",
    )
    with pytest.raises(InputError) as refused:
        fleet_prices(load_scenario(path))
    assert [(7, "fleets.a.instance_type"), (8, "fleets.b.instance_type")] == [
        (problem.line, problem.path) for problem in refused.value.problems
    ]
    assert "g6.xlarge" in refused.value.problems[0].remedy


def test_objectives_and_kinds_of_traffic_are_handed_on(tmp_path: Path) -> None:
    one, two = described(tmp_path).workloads
    assert {"p50": 20.0, "p99": 100.0} == dict(one.slo_ms)
    assert (False, True) == (one.closed_loop, two.closed_loop)
    assert (0, 1) == (one.fleet, two.fleet)


def test_assumptions_name_what_the_numbers_rest_on(tmp_path: Path) -> None:
    lines = described(tmp_path).assumptions
    assert ["profile toy", "fleet a", "fleet b", "traffic one", "traffic two", "horizon", "seed", "engine"] == list(
        lines
    )
    assert "a table; batch 1 to 1, no scatter" == lines["profile toy"]
    assert "one request at a time; at most 10 queued; router least_outstanding" == lines["fleet a"]
    assert "gamma; rate 20; cv 2; timeout 1 s" == lines["traffic one"]
    assert "2 h, no warm-up" == lines["horizon"]


def test_fleets_alike_share_a_line() -> None:
    content = {
        "schema": 1,
        "name": "alike",
        "horizon": "1s",
        "profiles": {"toy": {"batch": [1], "latency_ms": [5]}},
        "fleets": {name: {"profile": "toy", "usd_per_hour": 1.0, "instances": 1} for name in ("a", "b")},
        "workloads": {name: {"fleet": name, "arrivals": {"process": "poisson", "rate": 1.0}} for name in ("a", "b")},
    }
    scenario = scenario_from(content)
    lines = describe(
        scenario, compile_model(scenario), fleet_prices(scenario), engine="compiled", replications=1, exact=True
    ).assumptions
    assert "one request at a time" == lines["fleets a, b"]
