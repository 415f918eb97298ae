"""The report of a plan answers first what was asked first, in 80 columns."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import pytest

from calibration.page import Heading
from optimizer.explanation import Alternative, Explanation, NotChosen, RequestPrice, SingleType
from optimizer.pareto import Frontier, ParetoPoint
from optimizer.plan import Binding, Miss, Plan, PlannedFleet, Round, Verified
from optimizer.render import plan_lines, plan_text, print_plan

HOURS = tuple(f"{hour:02}:00" for hour in range(24))


def fleet(name: str, counts: tuple[int, ...], usd: float) -> PlannedFleet:
    share = {"chat": 0.5, "search": 0.0}
    by_hour = {"chat": (0.5,) * len(counts)}
    held = {"on_demand": max(counts)}
    candidate = name.split(":")[0]
    return PlannedFleet(name, candidate, None, max(counts), counts, held, {}, 1, share, by_hour, usd, 0.93, 0.7, 0.99)


L4 = fleet("l4: batch 16, wait 5 ms, profile a-very-long-name-of-a-profile", tuple([1] * 12 + [9] * 12), 4.0)
L4_SMALL = fleet("l4: batch 4, profile a-very-long-name-of-a-profile", tuple([0] * 12 + [1] * 12), 1.0)
A10G = fleet("a10g", tuple([2] * 24), 2.0)

PROOF = Verified(
    targets_ms={"p99_ms": 200.0},
    values_ms={"p99_ms": 182.0},
    ci95={"p99_ms": (175.0, 189.0)},
    one_run_ms={"p99_ms": 195.0},
    met=True,
    attainment=0.995,
    fleet=L4.name,
    hour="13:00",
    hours=24,
    replications=5,
    requests=10_000,
    after_loss_ms={"p99_ms": 199.0},
)

MISS = Miss(
    fleet=L4.name,
    hour="13:00",
    hours=2,
    instances=9,
    after_loss=False,
    workload="chat",
    objective="p99_ms",
    target=200.0,
    value=220.0,
    capacity_factor=0.97,
)

PLAN = Plan(
    name="a day",
    status="optimal",
    usd_per_hour=7.0,
    usd_per_month=5110.0,
    lower_bound_usd_per_hour=6.99,
    gap=0.0008,
    workloads=("chat", "search"),
    hours=HOURS,
    weight_h=(730 / 24,) * 24,
    demand_rps={"chat": tuple(float(hour) for hour in range(24)), "search": (1234.5,) * 24},
    usd_by_hour=tuple([3.0] * 12 + [11.0] * 12),
    fleets=(A10G, L4, L4_SMALL),
    verified={"chat": PROOF, "search": None},
    rounds=(
        Round(6.9, 6.8, "optimal", 12, (MISS,)),
        Round(7.0, 6.99, "optimal", 3),
    ),
    explanation=Explanation(
        binding=(Binding("quota", "gpus", 9.0, None, "quota gpus: all 9 instances run at 12:00-23:00"),),
        request_prices=(RequestPrice("chat", (0.1,) * 24, 0.1, "13:00", 0.2, "one more costs $0.20"),),
        single_types=(
            SingleType("l4", 6000.0, 12, 0.174, "", "l4 alone: $6,000 a month (+17%), up to 12 instances"),
            SingleType("t4", None, None, None, "too slow", "t4 alone: too slow"),
        ),
        alternatives=(Alternative("less l4", 5200.0, 0.0176, {"l4": (1, 8)}, 0.1, True, "less l4: $5,200 a month"),),
        not_chosen=(NotChosen("t4", "cannot_meet_slo", 0.5, None, {}, "t4: service alone takes 240 ms"),),
        left_out=("what the p99 of chat costs",),
    ),
    warnings=("prices are old", "profile toy: only batches 1 and 8 were measured", "profile toy: no intervals"),
    assumptions={
        "price l4": "g6.xlarge at 0.8 USD/h on demand (aws, 2026-01-19)",
        "price a10g": "g5.xlarge at 1 USD/h on demand (aws, 2026-01-19)",
        "seed": "0",
    },
)

INFEASIBLE = replace(
    PLAN,
    status="infeasible",
    usd_per_hour=None,
    usd_per_month=None,
    lower_bound_usd_per_hour=None,
    gap=None,
    fleets=(),
    usd_by_hour=(),
    verified=None,
    explanation=None,
    rounds=(),
    binding=(Binding("slo", "chat", 20.0, 24.0, "no candidate meets p99 <= 20 ms: service alone takes 24 ms"),),
)


def headings(plan: Plan, *frontiers: Frontier) -> list[str]:
    return [line.strip().split("  ")[0] for line in plan_lines(plan, frontiers) if isinstance(line, Heading)]


def test_the_verdict_comes_first_and_reasons_after_the_proof() -> None:
    assert [
        "a day: $5,110 a month ($7.00 an hour on average)",
        "Fleets",
        "Simulated",
        "One type alone",
        "What more would cost",
        "What binds",
        "Other plans that cost nearly as little",
        "Not chosen",
        "Rounds: solve, simulate, tighten what missed",
        "Assumptions",
        "What profiles warn of",
    ] == headings(PLAN)


@pytest.mark.parametrize("plan", [PLAN, INFEASIBLE, replace(PLAN, explanation=None)], ids=["plan", "none", "bare"])
@pytest.mark.parametrize("unicode", [True, False])
def test_no_line_is_longer_than_80_columns(plan: Plan, unicode: bool) -> None:
    lines = plan_text(plan, unicode=unicode).splitlines()
    assert [] == [line for line in lines if len(line) > 80]
    assert [] == [line for line in lines if line != line.rstrip()]


def test_instances_stand_hour_by_hour_above_what_is_asked() -> None:
    lines = plan_lines(PLAN)
    (whole,) = (line for line in lines if line.startswith("l4 "))
    (asked,) = (line for line in lines if line.startswith("chat, requests/s"))
    assert whole.index("▁" * 12 + "█" * 12) == asked.index("·")
    assert "1-10" in whole  # both settings together
    assert "  chat: batch 16, wait ~" in "\n".join(lines)
    said = " ".join("\n".join(lines).split())
    assert "dearest hour 12:00: 10 l4, 2 a10g ($11.00); cheapest hour 00:00: 1 l4, 2 a10g ($3.00)" in said


def test_the_proof_has_value_interval_next_run_and_target() -> None:
    (line,) = (line for line in plan_lines(PLAN) if line.startswith("✓"))
    assert ["✓", "chat", "p99", "182", "175-189", "195", "200", "13:00"] == line.split()
    text = plan_text(PLAN)
    assert "chat, after the worst loss: p99 199 ms" in text
    assert "search: the capacities of its fleets are stated, nothing was simulated" in text


def test_the_mix_stands_beside_the_best_single_type() -> None:
    text = plan_text(PLAN)
    assert "the mix saves $890.00 a month (15%) over the best single type, l4" in text
    assert "t4 alone: too slow" in text


def test_a_plan_that_is_not_met_or_not_optimal_says_so_at_once() -> None:
    missed = replace(
        PLAN, verified={"chat": replace(PROOF, met=False, one_run_ms={"p99_ms": 220.0})}, status="feasible", gap=0.031
    )
    text = plan_text(missed)
    assert "SIMULATED, AND NOT EVERY OBJECTIVE IS MET." in text.splitlines()[1]
    assert "a plan may be up to 3.1% cheaper" in " ".join(text.splitlines()[1:3])
    assert "✗ chat" in text


def test_without_a_plan_the_limit_to_relax_is_all_there_is() -> None:
    lines = plan_lines(INFEASIBLE)
    assert "a day: no plan meets what is asked" == lines[0]
    assert "  - no candidate meets p99 <= 20 ms: service alone takes 24 ms" in lines
    assert "Fleets" not in headings(INFEASIBLE)


def test_prices_of_one_source_and_warnings_of_one_profile_are_told_once() -> None:
    text = " ".join(plan_text(PLAN).split())
    assert "prices: l4 g6.xlarge at 0.8 USD/h, a10g g5.xlarge at 1 USD/h on demand (aws, 2026-01-19)" in text
    assert "! toy: only batches 1 and 8 were measured; no intervals" in text
    assert 1 == text.count("! prices are old")


def test_an_hour_that_repeats_has_no_bars() -> None:
    one: dict[str, Any] = {"hours": ("all day",), "weight_h": (730.0,), "usd_by_hour": (2.0,)}
    asked = {"chat": (20.0,), "search": (3.0,)}
    plan = replace(PLAN, **one, demand_rps=asked, fleets=(fleet("a10g", (2,), 2.0),))
    text = plan_text(plan)
    assert "█" not in text
    assert "chat, requests/s  20.0" in text.replace("    ", "  ").replace("   ", "  ")


def test_costs_against_objectives_are_a_table() -> None:
    points = (
        ParetoPoint(0.5, False, None, "infeasible", None, {}, None, "service alone takes 240 ms"),
        ParetoPoint(1.0, True, 2000.0, "optimal", True, {"l4": 3, "a10g": 1}, None, ""),
        ParetoPoint(2.0, False, 1500.0, "optimal", False, {"l4": 2}, None, ""),
    )
    frontier = Frontier("latency", "", {"chat": {"p99": 200.0}}, points)
    text = plan_text(PLAN, [frontier])
    assert "Cost against latency objectives" in text
    assert "-25%" in text
    assert "3 l4, 1 a10g" in text
    assert "2 l4 (does not hold in simulation)" in text
    assert "no plan: service alone takes 240 ms" in text


def test_a_terminal_without_these_letters_gets_others() -> None:
    class Latin(io.StringIO):
        encoding = "latin-1"

    stream = Latin()
    print_plan(PLAN, file=stream)
    stream.getvalue().encode("latin-1")
    assert "ok chat" in stream.getvalue()
