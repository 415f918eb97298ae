"""A control that is moved changes one key, as ``--set`` would; one that is not changes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from presentation.controls import (
    OWN_PRICE,
    batch_sizes,
    changes,
    controls_of,
    hardware_mismatch,
    instance_types,
    shipped_profiles,
    tooltip,
    with_load,
)
from presentation.door import Workspace, given_shipped, workspace
from presentation.library import shipped
from presentation.purchases import ways_to_buy
from simulator.bought import bought
from simulator.fleet_spec import Fleet
from simulator.purchases import bill
from simulator.scenario import Scenario, scenario_from


@pytest.fixture
def peak() -> Iterator[Workspace]:
    with workspace(given_shipped(shipped()["peak"])) as space:
        yield space


def test_controls_that_were_not_moved_change_nothing(peak: Workspace) -> None:
    own = peak.scenario()
    assert () == changes(own, "forecast", controls_of(own, "forecast"))


@pytest.mark.parametrize(
    ("moved", "expected"),
    [
        ({"load_percent": 120}, ("workloads.forecast.arrivals.scale=0.3",)),
        ({"instances": 5}, ("fleets.gpu.instances=5",)),
        ({"max_batch_size": 128}, ("fleets.gpu.batching.max_batch_size=128",)),
        ({"max_queue_delay_ms": 0.5}, ("fleets.gpu.batching.max_queue_delay=500us",)),
        ({"model_instances": 1}, ("fleets.gpu.model_instances=1",)),
        ({"profile": "tft-electricity-triton-fp16-a30"}, ("fleets.gpu.profile=tft-electricity-triton-fp16-a30",)),
        ({"instance_type": "g6.xlarge"}, ("fleets.gpu.instance_type=g6.xlarge",)),
        ({"slo_ms": 80.0}, ("workloads.forecast.slo.p99=80ms",)),
    ],
)
def test_each_control_reaches_the_scenario(peak: Workspace, moved: dict[str, Any], expected: tuple[str, ...]) -> None:
    own = peak.scenario()
    controls = replace(controls_of(own, "forecast"), **moved)
    said = changes(own, "forecast", controls)
    assert expected == said
    assert replace(controls, load_percent=100) == controls_of(peak.scenario(said), "forecast")


def test_an_own_price_gives_way_to_a_machine() -> None:
    own = small({"process": "poisson", "rate": 10})
    controls = controls_of(own, "all")
    assert OWN_PRICE == controls.instance_type
    said = changes(own, "all", replace(controls, instance_type="g6.xlarge"))
    assert ("fleets.gpu.instance_type=g6.xlarge", "fleets.gpu.usd_per_hour=null") == said
    assert own.with_overrides(said).fleets["gpu"].usd_per_hour is None


@pytest.mark.parametrize(
    ("arrivals", "key", "before", "after"),
    [
        ({"process": "poisson", "rate": 10}, "rate", 10, 15.0),
        ({"process": "gamma", "rate": 10, "cv": 2}, "rate", 10, 15.0),
        ({"process": "deterministic", "rate": 10}, "rate", 10, 15.0),
        ({"process": "mmpp", "rates": [10, 20], "mean_durations": ["1s", "1s"]}, "rates", (10, 20), (15.0, 30.0)),
        ({"process": "closed_loop", "concurrency": 4}, "concurrency", 4, 6),
        ({"process": "rate_series", "requests": [9], "interval": "1s"}, "scale", 1, 1.5),
    ],
)
def test_load_scales_whatever_sends_it(arrivals: dict[str, Any], key: str, before: Any, after: Any) -> None:
    own = small(arrivals)
    assert before == getattr(own.workloads["all"].arrivals, key)
    said = changes(own, "all", replace(controls_of(own, "all"), load_percent=150))
    assert after == getattr(own.with_overrides(said).workloads["all"].arrivals, key)
    assert after == getattr(with_load(own, "all", 1.5).workloads["all"].arrivals, key)


def test_batch_sizes_on_offer_are_those_that_can_run(peak: Workspace) -> None:
    """Requests of 128 items, and a profile of up to 1,024."""
    assert (128, 256, 512, 1024) == batch_sizes(peak.scenario(), "gpu")


def test_a_price_of_other_hardware_is_told(peak: Workspace) -> None:
    assert "" == hardware_mismatch(peak.scenario(), "gpu")
    other = hardware_mismatch(peak.scenario(("fleets.gpu.instance_type=g6.xlarge",)), "gpu")
    assert other.startswith("gpu is priced as g6.xlarge (L4) and timed on ")


def test_what_is_on_offer_can_be_used() -> None:
    assert "g6.xlarge · L4 · $0.805/h aws" == instance_types()["g6.xlarge"]
    assert "tft-electricity-triton-fp16-t4" in shipped_profiles()
    assert "llama2-70b-fp16-h100x8" not in shipped_profiles()


def test_a_tooltip_is_the_text_of_the_schema() -> None:
    assert "Instances (billed machines, one accelerator each)." == tooltip(Fleet, "instances")


def small(arrivals: dict[str, Any]) -> Scenario:
    """One instance with a price of its own."""
    return scenario_from(
        {
            "schema": 1,
            "name": "small",
            "horizon": "10s",
            "profiles": {"toy": {"batch": [1, 8], "latency_ms": [1, 2]}},
            "fleets": {"gpu": {"profile": "toy", "usd_per_hour": 1.0, "instances": 1}},
            "workloads": {"all": {"fleet": "gpu", "arrivals": arrivals}},
        }
    )


@pytest.mark.parametrize("way", ["spot", "cud_1y", "cud_3y"])
def test_a_way_to_buy_reaches_the_bill(way: str) -> None:
    """Google's prices for g2-standard-4 of 2026-07-30, an hour of each of four."""
    with workspace(given_shipped(shipped()["reserved"])) as space:
        own = space.scenario(("commitments={}",))
        assert {"on_demand", "spot", "cud_1y", "cud_3y"} <= set(ways_to_buy(own, "online", "g2-standard-4"))
        said = changes(own, "questions", replace(controls_of(own, "questions"), purchase=way))
        changed = own.with_overrides(said)
    usd_per_hour = {"spot": 0.397336, "cud_1y": 0.445304, "cud_3y": 0.318075}[way]
    billed = bill(changed, bought(changed), 3_600 * 10**9)
    assert pytest.approx(4 * usd_per_hour, rel=1e-6) == billed.fleets["online"].usd_per_hour


def test_every_kind_of_promise_can_be_made() -> None:
    """The price list has reserved instances and savings plans for m6a.xlarge, among others."""
    own = small({"process": "poisson", "rate": 10}).with_overrides(
        {"fleets.gpu.usd_per_hour": "null", "fleets.gpu.instance_type": "m6a.xlarge"}
    )
    ways = [way for way in ways_to_buy(own, "gpu", "m6a.xlarge") if way != "on_demand"]
    assert {"reserved_1y_no_upfront", "savings_plan_compute_1y_no_upfront"} <= set(ways)
    for way in ways:
        said = changes(own, "all", replace(controls_of(own, "all"), purchase=way))
        changed = own.with_overrides(said)
        assert bill(changed, bought(changed), 3_600 * 10**9).fleets["gpu"].usd_per_hour > 0
