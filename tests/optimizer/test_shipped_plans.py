"""Every plan file that ships answers its header's question, and its plan holds under seeds that nobody has seen."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.command_line import Ran, optimize
from tests.optimizer.unseen import share_of_runs_met

SCENARIOS = Path(__file__).resolve().parents[2] / "scenarios"
TESTED = ("plan_mix", "plan_stated")


def content(name: str) -> dict[str, Any]:
    """The plan file as it is written."""
    written: dict[str, Any] = YAML(typ="safe", pure=True).load(SCENARIOS / f"{name}.yaml")
    return written


@cache
def ran(name: str, *words: str) -> Ran:
    """The command, run once for all tests, with everything simulated anew."""
    return optimize(SCENARIOS / f"{name}.yaml", "--no-cache", "--quiet", *words)


@cache
def plan_of(name: str, *words: str) -> Any:
    """The JSON of a plan."""
    done = ran(name, "--json", *words)
    assert (0, "") == (done.code, done.err)
    return done.json()


def most_instances(plan: Any) -> dict[str, int]:
    """Most instances in any hour, by candidate."""
    by_hour: dict[str, list[int]] = {}
    for fleet in plan["fleets"]:
        before = by_hour.get(fleet["candidate"], [0] * len(plan["hours"]))
        by_hour[fleet["candidate"]] = [a + b for a, b in zip(before, fleet["instances_by_hour"], strict=True)]
    return {name: max(counts) for name, counts in by_hour.items()}


def saved(plan: Any) -> float:
    """By what share the plan is cheaper than the best single type."""
    return 1 - float(plan["cost"]["usd_per_month"]) / float(plan["best_single_type"]["usd_per_month"])


FIRST_HOURS = ("--set", "horizon=3h", "--no-alternatives")


def test_the_evening_of_the_mix_is_cheaper_than_one_type_alone_and_holds() -> None:
    """The first three hours of what the slow test below plans in full: A100 and T4 together."""
    plan = plan_of("plan_mix", *FIRST_HOURS)
    assert "optimal" == plan["status"]
    assert {"a100", "t4"} == set(most_instances(plan))
    assert 0.2 < saved(plan) < 0.45
    assert "a100" == plan["best_single_type"]["candidate"]
    assert all(one["met"] for one in plan["verified"].values())
    shares = share_of_runs_met(plan, content("plan_mix"), runs=20, folder=SCENARIOS)
    assert {"answers", "reader"} == {workload for _, _, workload in shares}
    assert min(shares.values()) >= 0.95, shares


def test_the_mix_is_explained() -> None:
    """What else there was, and why not: T4s cannot read eight passages in time, whatever they cost."""
    plan = plan_of("plan_mix", *FIRST_HOURS)
    alone = {single["candidate"]: single for single in plan["single_types"]}
    assert {"t4", "v100", "a100"} == set(alone)
    assert alone["t4"]["usd_per_month"] is None
    assert "service alone takes" in alone["t4"]["words"]
    assert alone["a100"]["usd_per_month"] < alone["v100"]["usd_per_month"]
    assert alone["a100"]["proven"] is True
    (rejected,) = plan["not_chosen"]
    assert "v100" == rejected["candidate"]
    assert rejected["entry_usd_per_hour"] < rejected["usd_per_hour"]
    assert {"answers", "reader"} == {price["workload"] for price in plan["shadow_prices"]["slo"]}
    assert {"answers", "reader"} == {price["workload"] for price in plan["shadow_prices"]["requests"]}


@pytest.mark.slow
def test_the_mix_of_the_whole_day_answers_its_header() -> None:
    """The short sibling is the evening, above."""
    plan = plan_of("plan_mix")
    assert "optimal" == plan["status"]
    assert 5.0 < plan["cost"]["usd_per_hour"] < 5.4
    assert 0.15 < saved(plan) < 0.22
    assert ("a100", True) == (plan["best_single_type"]["candidate"], plan["best_single_type"]["proven"])
    most = most_instances(plan)
    assert (1, 1) == (most["v100"], most["a100"])
    assert 9 <= most["t4"] <= 13
    assert plan["rounds"][0]["misses"], "the header says that the first plan does not hold"
    assert not plan["rounds"][-1]["misses"]
    shares = share_of_runs_met(plan, content("plan_mix"), runs=20, folder=SCENARIOS)
    assert 24 == len({hour for hour, _, _ in shares})
    for workload in ("answers", "reader"):
        mine = [share for (_, _, name), share in shares.items() if name == workload]
        assert sum(mine) / len(mine) >= 0.95
        assert min(mine) >= 0.9, "no hour may be far off where the day is not"


def test_stated_and_measured_candidates_are_planned_together() -> None:
    plan = plan_of("plan_stated")
    assert "optimal" == plan["status"]
    assert {"a100": 1, "l4": 2} == most_instances(plan)
    assert 3.67 + 2 * 0.8048 == pytest.approx(plan["cost"]["usd_per_hour"])
    assert 2 * 3.67 * 730 == pytest.approx(plan["best_single_type"]["usd_per_month"])
    (large,) = (fleet for fleet in plan["fleets"] if fleet["candidate"] == "a100")
    assert 1.0 == pytest.approx(large["share"]["long"])
    assert 0.4 < large["share"]["short"] < 0.6
    assert plan["verified"]["long"] is None
    assert plan["verified"]["short"]["met"] is True
    shares = share_of_runs_met(plan, content("plan_stated"), runs=40, folder=SCENARIOS)
    assert min(shares.values()) >= 0.95, shares


def test_the_report_says_first_what_it_costs_and_that_it_holds() -> None:
    lines = ran("plan_stated").out.splitlines()
    assert lines[0].startswith("stated: $3,854 a month ($5.28 an hour")
    assert any(line.startswith("Simulated") and "every objective is met" in line for line in lines[:4])


def test_every_plan_file_is_tested() -> None:
    """One that nobody runs is the first thing a newcomer finds broken."""
    assert sorted(TESTED) == sorted(path.stem for path in SCENARIOS.glob("plan_*.y*ml"))


@pytest.mark.parametrize("name", TESTED)
def test_a_plan_file_says_what_is_made_up(name: str) -> None:
    header = (SCENARIOS / f"{name}.yaml").read_text(encoding="utf-8").split("schema:")[0].replace("\n# ", " ")
    assert "made up" in header.lower()
    assert "Answer: " in header


def test_the_profiles_of_the_mix_are_those_that_ship_and_their_origin_is_told() -> None:
    sources = (SCENARIOS / "SOURCES.md").read_text(encoding="utf-8")
    for name in content("plan_mix")["profiles"].values():
        assert f"`{name}`" in sources
    assert "130 ms" in sources
