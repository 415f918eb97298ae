"""A plan in a sentence, figures and tables: the numbers are those of the plan."""

from __future__ import annotations

from dataclasses import replace

import pytest

from optimizer.pareto import Frontier, ParetoPoint
from presentation import plan_look as look
from tests.presentation.sample_plans import BY_HOUR, IMPOSSIBLE, plan_of, question_of, simulated

FRONTIER = Frontier(
    "latency", "", {"chat": {"p99": 200.0}},
    (
        ParetoPoint(0.5, False, None, "infeasible", None, {}, None, "no candidate meets it"),
        ParetoPoint(1.0, True, 3650.0, "optimal", True, {"big": 1, "little": 2}, None, ""),
        ParetoPoint(2.0, False, 2190.0, "optimal", True, {"big": 1}, None, ""),
    ),
)  # fmt: skip


def test_the_verdict_says_what_it_costs_and_what_runs() -> None:
    found = look.verdict(plan_of())
    assert "$3,650 a month: 1 × big and 2 × little" == found.sentence
    assert ("gray", "capacities stated, not simulated") == (found.colour, found.badge)


@pytest.mark.parametrize(("met", "colour"), [(True, "green"), (False, "red")])
def test_a_verdict_is_green_only_where_simulation_confirms_it(met: bool, colour: str) -> None:
    assert colour == look.verdict(simulated(met)).colour


def test_what_is_stated_is_not_called_simulated() -> None:
    plan = simulated()
    part = replace(plan, verified={**(plan.verified or {}), "other": None})
    assert "simulated where not stated" in look.verdict(part).badge


def test_the_cards_are_those_of_the_plan() -> None:
    cards = {card.label: card for card in look.cards(simulated())}
    assert "$3,650" == cards["Cost/month"].value
    assert "$5.00" == cards["Cost/hour"].value
    assert ("$730", "a month, 17% of big alone") == (cards["Mix saves"].value, cards["Mix saves"].below)
    assert ("180 ms", "p99 of chat, SLO 200 ms") == (cards["Tightest SLO"].value, cards["Tightest SLO"].below)
    assert ("proven", "no other plan is cheaper") == (cards["Cheapest?"].value, cards["Cheapest?"].below)


def test_a_plan_that_ran_out_of_time_is_not_called_proven() -> None:
    cards = {card.label: card for card in look.cards(replace(plan_of(), status="feasible", gap=0.03))}
    assert ("within 3%", "time was up: a plan may be up to 3% cheaper") == cards["Cheapest?"][1:3]


def test_one_type_alone_saves_nothing() -> None:
    plan = plan_of(BY_HOUR.replace("max_instances: 8", "max_instances: 0"))
    assert "one type alone is cheapest" == look.cards(plan)[2].below


def test_the_fleets_add_up_to_the_cost() -> None:
    plan = plan_of(BY_HOUR)
    rows = look.fleet_rows(plan)
    assert plan.usd_per_month == pytest.approx(sum(row["USD/month"] for row in rows), abs=0.02)
    assert {"big": [0, 1, 1, 2], "little": [2, 0, 2, 0]} == look.instances_by_candidate(plan)
    assert "0–2 × big and 0–2 × little" == look.bought(plan)


def test_hours_are_those_of_the_command_line() -> None:
    plan = plan_of(BY_HOUR)
    rows = look.hour_rows(plan)
    assert list(plan.hours) == [row["hour"] for row in rows]
    assert [10.0, 20.0, 30.0, 40.0] == [row["chat rps"] for row in rows]
    assert ["hour", "weight_h", "usd_per_hour", "chat rps"] == list(rows[0])[:4]


def test_what_was_simulated_is_told_with_its_interval() -> None:
    (row,) = look.verified_rows(simulated())
    assert ("180 ms", "175–185 ms", "190 ms", "200 ms") == (
        row["seen"], row["95% interval"], row["39 of 40 runs below"], row["SLO"],
    )  # fmt: skip
    assert "not simulated" == look.verified_rows(replace(plan_of(), verified={"chat": None}))[0]["seen"]


def test_rounds_tell_the_worst_miss() -> None:
    first, last = look.round_rows(simulated())
    assert "2 instances of little: batch 8 at all day: p99 of chat 240 ms, SLO 200 ms" == first["worst"]
    assert ("1", "0", "all hold") == (first["missed"], last["missed"], last["worst"])


def test_each_type_alone_stands_beside_the_plan() -> None:
    rows = {row["fleet"]: row for row in look.single_rows(plan_of())}
    assert ["this plan", "big alone", "little alone", "dear alone"] == list(rows)
    assert ("$4,380", "+20%") == (rows["little alone"]["a month"], rows["little alone"]["against the plan"])


def test_reasons_are_sentences_under_their_heading() -> None:
    found = look.reasons(plan_of())
    assert found["Why not the others"][0].startswith("**dear**: 1,000 requests/s of chat cost")
    assert all(sentence.endswith(".") for lines in found.values() for sentence in lines)
    assert {} == look.reasons(plan_of(IMPOSSIBLE))


def test_what_leaves_no_plan_is_told_with_the_nearest_value() -> None:
    plan = plan_of(IMPOSSIBLE)
    assert "no plan" == look.verdict(plan).badge
    assert [{"limit": "budget", "of": "plan", "as it stands": "2.00", "nearest that works": "5.00"}] == look.relax_rows(
        plan
    )
    assert "$5.00 would do" in look.relax_words(plan)[0]
    assert [] == look.cards(plan)


def test_a_change_of_cost_has_its_sign() -> None:
    plan = plan_of()
    assert ("+$365", True) == look.month_change(replace(plan, usd_per_month=4015.0), plan)
    assert ("−$365", False) == look.month_change(replace(plan, usd_per_month=3285.0), plan)
    assert ("", False) == look.month_change(plan, plan) == look.month_change(plan, None)


def test_warnings_of_profiles_come_last() -> None:
    assert (["stale"], ["profile toy: is a guess"]) == look.warnings(simulated())


def test_the_frontier_is_told_in_milliseconds_where_there_is_one_objective() -> None:
    strict, stated, loose = look.frontier_rows(FRONTIER)
    assert ["100 ms", "200 ms", "400 ms"] == [row["p99 of chat"] for row in (strict, stated, loose)]
    assert ("no plan", "no candidate meets it") == (strict["a month"], strict["instances at most"])
    assert ("this plan", "−$1,460") == (stated["against the plan"], loose["against the plan"])
    several = replace(FRONTIER, targets_ms={"chat": {"p99": 200.0, "p50": 90.0}})
    assert "× 0.5" == look.frontier_rows(several)[0]["objectives"]
    accuracy = replace(FRONTIER, kind="accuracy", workload="chat", targets_ms={})
    assert "0.5" == look.frontier_rows(accuracy)[0]["least accuracy of chat"]


def test_how_long_a_frontier_takes_is_said_before() -> None:
    assert "about a minute, or less" in look.frontier_words(plan_of())
    assert "about 7 minutes" in look.frontier_words(replace(plan_of(), timing_s={"prove": 60.0, "explain": 900.0}))


def test_what_is_asked_is_told_without_a_plan() -> None:
    row = {"workload": "chat", "hours": "4", "requests/s": "10.0–40.0", "SLO": "p99 200 ms"}
    assert [row] == look.asked_rows(question_of(BY_HOUR))
