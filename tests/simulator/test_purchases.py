"""What provider and user owe one another: commitments, discounts, guarantees and spot in the bill of a scenario."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calibration.problems import InputError
from simulator.bought import bought
from simulator.clock import NS_PER_HOUR, NS_PER_S
from simulator.outcome import CostReport, report_to_json
from simulator.purchase_report import PurchaseReport
from simulator.purchases import Bill, bill
from simulator.render import report_text
from simulator.scenario import Scenario, load_scenario, scenario_from
from simulator.study import simulate

ON_DEMAND = 0.706832
"""g2-standard-4 in us-central1 on 2026-07-30, the shipped catalogue."""


def scenario(fleets: dict[str, Any] | None = None, **more: Any) -> Scenario:
    """Four instances at 1 USD an hour, unless told otherwise; each fleet gets a little traffic."""
    given = fleets or {"gpu": {}}
    return scenario_from(
        {
            "schema": 1,
            "name": "bought",
            "horizon": "600s",
            "profiles": {"toy": {"batch": [1, 8], "latency_ms": [10, 24]}},
            "fleets": {name: one(**fleet) for name, fleet in given.items()},
            "workloads": {
                f"to {name}": {"fleet": name, "arrivals": {"process": "poisson", "rate": 20}} for name in given
            },
            **more,
        }
    )


def one(**keys: Any) -> dict[str, Any]:
    """A fleet of four machines of type a at 1 USD an hour; a key that is None is left out."""
    fleet = {"profile": "toy", "instance_type": "a", "usd_per_hour": 1.0, "instances": 4, **keys}
    return {key: value for key, value in fleet.items() if value is not None}


def reserved(units: float, usd_per_hour: float, **keys: Any) -> dict[str, Any]:
    """Machines of type a, reserved for a year at a rate of one's own."""
    return {
        "plan": "reserved", "term": "1y", "instance_type": "a", "units": units, "usd_per_hour": usd_per_hour, **keys
    }  # fmt: skip


def billed(asked: Scenario, horizon_ns: int = 600 * NS_PER_S) -> Bill:
    """The bill of a scenario, without running it."""
    return bill(asked, bought(asked), horizon_ns)


def report(asked: Scenario) -> PurchaseReport:
    """What its purchases come to."""
    found = billed(asked).report
    assert found is not None
    return found


def problems(asked: Scenario) -> list[str]:
    """What is wrong with its prices."""
    with pytest.raises(InputError) as caught:
        bought(asked)
    return [f"{problem.path}: {problem.rule}. {problem.remedy}" for problem in caught.value.problems]


def flaws(**more: Any) -> dict[str, str]:
    """Path and rule of everything that the door refuses."""
    with pytest.raises(InputError) as caught:
        scenario(**more)
    return {problem.path: problem.rule for problem in caught.value.problems}


units = st.floats(0.1, 12).map(lambda number: round(number, 2))
rates = st.floats(0.05, 0.95).map(lambda number: round(number, 3))


@settings(deadline=None, max_examples=60)
@given(units, rates, st.integers(1, 9))
def test_effective_cost_is_what_is_left_on_demand_and_all_that_is_committed(k: float, r: float, n: int) -> None:
    """A commitment is paid for used or not: on demand x (1 - covered share) + committed."""
    found = report(scenario({"gpu": {"instances": n}}, commitments={"base": reserved(k, r)}))
    left = max(0.0, n - k)
    assert left + k * r == pytest.approx(found.effective_usd_per_hour, rel=1e-12)
    assert n == pytest.approx(found.contracted_usd_per_hour)
    line = found.commitments["base"]
    assert min(1.0, n / k) == pytest.approx(line.utilisation)
    assert r == pytest.approx(line.break_even_utilisation)
    assert n - (left + k * r) == pytest.approx(line.saved_usd_per_hour)
    assert min(1.0, k / n) == pytest.approx(found.coverage)


@settings(deadline=None, max_examples=40)
@given(units, rates, st.floats(0.01, 20), st.sampled_from([None, "compute", "ec2_instance"]), st.booleans())
def test_fleets_idle_capacity_and_unused_commitments_add_up_to_the_effective_cost(
    k: float, r: float, spend: float, scope: str | None, kept: bool
) -> None:
    """A part of the bill that belongs to nobody would be missing from every team's budget."""
    dollars: dict[str, Any] = {"term": "1y", "spend_usd_per_hour": spend, "rates": {"a": 0.7, "b.x": 1.3}}
    dollars |= {"plan": "spend_commitment"} if scope is None else {"plan": "savings_plan", "scope": scope}
    asked = scenario(
        {"one": {}, "two": {"instance_type": "b.x", "usd_per_hour": 2.0}, "three": {"purchase": "spot"}},
        commitments={"base": reserved(k, r), "plan": dollars},
        discounts={"agreed": {"share": 0.1}},
        capacity={"kept": {"kind": "reservation", "instance_type": "a", "units": 6}} if kept else {},
    )
    found = billed(asked)
    assert found.report is not None
    parts = [fleet.usd_per_hour for fleet in found.fleets.values()]
    parts += [line.unused_usd_per_hour for line in found.report.commitments.values()]
    parts += [line.idle_usd_per_hour for line in found.report.capacity.values()]
    assert math.fsum(parts) == pytest.approx(found.report.effective_usd_per_hour, rel=1e-12)
    for line in found.report.commitments.values():
        assert line.used_usd_per_hour + line.unused_usd_per_hour == pytest.approx(line.usd_per_hour)


def test_a_fleet_that_is_fully_covered_costs_the_committed_rate() -> None:
    found = billed(scenario(commitments={"base": reserved(4, 0.6)}))
    assert 4 * 0.6 == pytest.approx(found.fleets["gpu"].usd_per_hour)
    assert found.fleets["gpu"].note.endswith("0.6 USD/h an instance with commitments and discounts")


def test_a_run_of_minutes_bills_its_share_of_the_term() -> None:
    """A year would be billed for a run of ten minutes, or nothing would."""
    found = billed(scenario(commitments={"base": reserved(4, 0.6)}), 600 * NS_PER_S)
    assert 4 * 0.6 / 6 == pytest.approx(found.fleets["gpu"].usd)
    hour = billed(scenario(commitments={"base": reserved(4, 0.6)}), NS_PER_HOUR)
    assert 4 * 0.6 == pytest.approx(hour.fleets["gpu"].usd)


def test_a_commitment_that_no_fleet_uses_is_paid_all_the_same() -> None:
    found = report(scenario(commitments={"old": {**reserved(2, 0.6), "instance_type": "z"}}))
    assert 4 + 2 * 0.6 == pytest.approx(found.effective_usd_per_hour)
    line = found.commitments["old"]
    assert (0.0, 1.2, None) == (line.used_usd_per_hour, line.unused_usd_per_hour, line.break_even_utilisation)
    assert "covers no fleet of this scenario" in dict(found.cautions)["commitment_loses"]


def test_reservations_come_before_narrow_and_narrow_before_wide_savings_plans() -> None:
    """The order of the providers: the ledger's, not one of this module's own."""
    plan = {"plan": "savings_plan", "term": "1y", "spend_usd_per_hour": 0.7, "rates": {"a": 0.7}}
    commitments = {
        "wide": {**plan, "scope": "compute"},
        "narrow": {**plan, "scope": "ec2_instance"},
        "base": reserved(1, 0.6),
    }
    for n, used in ((1, [0, 0, 1]), (2, [0, 1, 1]), (3, [1, 1, 1])):
        found = report(scenario({"gpu": {"instances": n}}, commitments=commitments))
        assert used == [pytest.approx(line.utilisation) for line in found.commitments.values()]


AWS_FLEETS = {
    "r5.4xlarge": (4, 1.00, 0.70, "us-east-1"),
    "Fargate vCPU": (400, 0.04, 0.03, "us-west-1"),
    "Fargate GB": (1_600, 0.004, 0.003, "us-west-1"),
    "m5.24xlarge": (1, 10.00, 8.20, "us-east-1"),
}
"""Instances, on-demand and compute savings plan rate: the hour of AWS's page without Lambda, which costs $22.70 there
(AWS, "Understanding how Savings Plans apply to your AWS usage", Savings Plans user guide, sp-applying.html)."""


@pytest.mark.parametrize(
    ("spend", "others", "used"),
    [
        (
            18.20,
            {"ri": reserved(2, 0.60, region="us-east-1") | {"instance_type": "r5.4xlarge"}},
            {"plan": 18.20, "ri": 1.20},
        ),
        (
            16.80,
            {
                "r5": {
                    "plan": "savings_plan", "scope": "ec2_instance", "term": "1y", "payment": "partial_upfront",
                    "spend_usd_per_hour": 3.00, "rates": {"r5.4xlarge": 0.60}, "region": "us-east-1",
                }
            },
            {"plan": 16.80, "r5": 2.40},
        ),
    ],
)  # fmt: skip
def test_a_scenario_is_billed_as_the_providers_own_page_bills_it(
    spend: float, others: dict[str, Any], used: dict[str, float]
) -> None:
    """Scenarios 4 and 5 of the page: $32.70 are charged on demand, $22.70 of them for Lambda."""
    fleets = {
        name: {"instance_type": name, "instances": n, "usd_per_hour": usd, "region": region}
        for name, (n, usd, _, region) in AWS_FLEETS.items()
    }
    rates = {name: rate for name, (_, _, rate, _) in AWS_FLEETS.items()}
    plan = {"plan": "savings_plan", "scope": "compute", "term": "1y", "spend_usd_per_hour": spend, "rates": rates}
    found = report(scenario(fleets, commitments={"plan": plan, **others}))
    assert 10.00 == round(found.on_demand_usd_per_hour, 2)
    assert used == {name: round(line.used_usd_per_hour, 2) for name, line in found.commitments.items()}


def test_a_savings_plan_covers_its_family_and_the_types_of_its_rates() -> None:
    fleets = {"l4": {"instance_type": "g6.xlarge"}, "cpu": {"instance_type": "c7i.xlarge"}}
    plan = {"plan": "savings_plan", "term": "1y", "spend_usd_per_hour": 9, "scope": "compute"}
    found = report(scenario(fleets, commitments={"plan": {**plan, "rates": {"g6.xlarge": 0.5}}}))
    assert 4 * 0.5 == pytest.approx(found.commitments["plan"].used_usd_per_hour)
    narrow = {**plan, "scope": "ec2_instance", "instance_family": "g6"}
    said = problems(scenario(fleets, commitments={"plan": narrow}))
    assert len(said) == 1
    assert "g6.xlarge" in said[0]


def test_spot_and_blocks_are_covered_by_no_commitment() -> None:
    block = {"purchase": "capacity_block", "usd_per_hour": None}
    asked = scenario(
        {"spot": {"purchase": "spot", "usd_per_hour": 0.4}, "block": block},
        commitments={"base": reserved(8, 0.3)},
        capacity={"event": {"kind": "block", "instance_type": "a", "units": 5, "usd_per_hour": 1.5}},
    )
    found = billed(asked)
    assert found.report is not None
    assert 0.0 == found.report.commitments["base"].utilisation
    assert (1.6, 6.0) == pytest.approx((found.fleets["spot"].usd_per_hour, found.fleets["block"].usd_per_hour))
    kept = found.report.capacity["event"]
    assert (4.0, 1.5) == pytest.approx((kept.in_use, kept.idle_usd_per_hour))


def test_spot_costs_its_price_and_its_restarts() -> None:
    """Half an interruption an hour, each with six minutes that serve nobody: 5% on top."""
    purchase = {"plan": "spot", "interruption_rate": 0.5, "restart": "6min"}
    found = billed(scenario({"gpu": {"usd_per_hour": 0.4, "purchase": purchase}}))
    assert 4 * 0.4 * 1.05 == pytest.approx(found.fleets["gpu"].usd_per_hour)
    assert found.report is not None
    said = dict(found.report.cautions)["spot_interruptions"]
    assert "no interruption is simulated" in said
    assert "About 2 interruptions an hour" in said
    assert "the other 3 carry the load for 6 min: 20% of the time" in said


def test_spot_without_an_interruption_rate_says_that_its_cost_holds_none() -> None:
    found = report(scenario({"gpu": {"purchase": "spot"}}))
    assert "its cost holds no restart either" in dict(found.cautions)["spot_interruptions"]


def test_the_spot_price_is_looked_up_or_named() -> None:
    listed = scenario({"gpu": {"instance_type": "p3.2xlarge", "usd_per_hour": None, "purchase": "spot"}})
    said = problems(listed)
    assert len(said) == 1
    assert said[0].startswith("fleets.gpu.instance_type: p3.2xlarge must have a price of type spot")


def test_a_fleet_paid_by_the_request_costs_what_it_answers() -> None:
    asked = scenario({"api": {"purchase": {"plan": "serverless", "usd_per_1k_requests": 2.0}, "usd_per_hour": None}})
    found = simulate(asked)
    (fleet,), (workload,) = found.fleets, found.workloads
    assert workload.outcomes["completed"] * 0.002 == pytest.approx(fleet.cost_usd)
    assert 3600 * workload.throughput_rps * 0.002 == pytest.approx(fleet.cost_usd_per_hour)
    assert 2.0 == pytest.approx(found.cost.usd_per_1k_requests)
    assert found.cost.purchases is not None
    assert found.cost.usd_per_hour == pytest.approx(found.cost.purchases.billed_usd_per_hour)
    assert "serverless" in [caution.code for caution in found.cautions]


def test_discounts_come_one_after_the_other_and_leave_commitments_as_stated() -> None:
    agreed = {"agreed": {"share": 0.1}, "l4": {"share": 0.2, "instance_type": "a"}}
    found = report(scenario(discounts=agreed))
    assert (4.0, 4 * 0.9 * 0.8) == pytest.approx((found.list_usd_per_hour, found.contracted_usd_per_hour))
    assert found.contracted_usd_per_hour == pytest.approx(found.effective_usd_per_hour)
    committed = report(scenario(discounts=agreed, commitments={"base": reserved(4, 0.6)}))
    assert 4 * 0.6 == pytest.approx(committed.effective_usd_per_hour)
    assert 0.6 / 0.72 == pytest.approx(committed.commitments["base"].break_even_utilisation)


@pytest.mark.parametrize(("whole", "usd"), [(False, 1000 + 1920 * 0.9), (True, 2920 * 0.9)])
def test_tiers_go_by_what_a_month_of_730_hours_costs_on_demand(whole: bool, usd: float) -> None:
    tiers = [{"from_usd_per_month": 1000, "share": 0.1}, {"from_usd_per_month": 5000, "share": 0.2}]
    found = report(scenario(discounts={"volume": {"tiers": tiers, "whole": whole}}))
    assert usd == pytest.approx(730 * found.effective_usd_per_hour)


def test_a_discount_that_is_off_nothing_says_so() -> None:
    found = report(scenario(discounts={"h100": {"share": 0.1, "instance_type": "p5.48xlarge"}}))
    assert "discount h100 is off nothing" in dict(found.cautions)["discount_unused"]


def test_what_was_paid_upfront_is_effective_and_not_billed() -> None:
    """All upfront: the hour bears its part of the term, and the invoice of the hour does not."""
    found = report(scenario(commitments={"base": reserved(4, 0.6, payment="all_upfront")}))
    assert (2.4, 0.0) == pytest.approx((found.effective_usd_per_hour, found.billed_usd_per_hour))
    assert 4 * 0.6 * 8760 == pytest.approx(found.upfront_usd)
    half = reserved(4, 0.6, payment="partial_upfront", upfront_usd=0.3 * 8760)
    assert 1.2 == pytest.approx(report(scenario(commitments={"base": half})).billed_usd_per_hour)


def test_idle_reserved_capacity_is_billed_on_demand_and_covered_by_commitments() -> None:
    """An on-demand capacity reservation is no discount: machines that stand idle cost what they cost running."""
    kept = {"kept": {"kind": "reservation", "instance_type": "a", "units": 6}}
    alone = report(scenario(capacity=kept))
    assert 6.0 == pytest.approx(alone.effective_usd_per_hour)
    assert (4.0, 2.0) == pytest.approx((alone.capacity["kept"].in_use, alone.capacity["kept"].idle_usd_per_hour))
    covered = report(scenario(capacity=kept, commitments={"base": reserved(6, 0.6)}))
    assert 3.6 == pytest.approx(covered.effective_usd_per_hour)
    assert 1.0 == pytest.approx(covered.commitments["base"].utilisation)


def test_reserved_capacity_that_no_fleet_runs_in_takes_the_listed_price() -> None:
    kept = {"kept": {"kind": "reservation", "instance_type": "g6.xlarge", "units": 2}}
    found = report(scenario(capacity=kept))
    assert 4 + 2 * 0.8048 == pytest.approx(found.effective_usd_per_hour)
    unknown = {"kept": {"kind": "reservation", "instance_type": "b", "units": 2}}
    (said,) = problems(scenario(capacity=unknown))
    assert said.startswith("capacity.kept.instance_type: must be in a price catalogue")


@pytest.mark.parametrize(
    ("units", "rate", "code", "words"),
    [
        (40, 0.08, "commitment_unused", "used to 10% at this load"),
        (16, 0.6, "commitment_loses", "used to 25% at this load, where it pays from 60% on: $7.20 of $9.60 an hour"),
        (4, 1.2, "commitment_above_on_demand", "1.20 times what it replaces"),
    ],
)
def test_a_commitment_that_is_idle_or_dear_is_told(units: float, rate: float, code: str, words: str) -> None:
    found = report(scenario(commitments={"base": reserved(units, rate)}))
    assert words in dict(found.cautions)[code]


def test_a_commitment_that_pays_is_not_complained_of() -> None:
    assert () == report(scenario(commitments={"base": reserved(4, 0.6)})).cautions


def test_a_rate_of_another_date_than_the_on_demand_price_is_told(tmp_path: Path) -> None:
    """A saving against an old price may be a price cut that was missed."""
    (tmp_path / "mine.csv").write_text(
        "provider,region,instance_type,price_type,usd_per_hour,as_of,source\n"
        "x,here,a,on_demand,1.0,2026-01-01,quotation\n"
        "x,here,a,reserved_1y_no_upfront,0.6,2025-01-01,quotation\n"
    )
    rate = {"plan": "reserved", "term": "1y", "instance_type": "a", "units": 4}
    asked = scenario({"gpu": {"usd_per_hour": None}}, prices=str(tmp_path / "mine.csv"), commitments={"base": rate})
    found = report(asked)
    assert 2.4 == pytest.approx(found.effective_usd_per_hour)
    assert "2025-01-01" in dict(found.cautions)["commitment_rate"]


def test_a_rate_that_no_price_list_has_stops_and_is_named_with_how_to_supply_it() -> None:
    """GPU reservation rates of AWS are in no list that ships: a guess would look like a price."""
    fleet = {"gpu": {"instance_type": "g6.xlarge", "usd_per_hour": None, "region": "us-east-1"}}
    promise = {"plan": "reserved", "term": "3y", "payment": "all_upfront", "instance_type": "g6.xlarge", "units": 2}
    dollars = {"plan": "savings_plan", "term": "1y", "scope": "compute", "spend_usd_per_hour": 1}
    said = problems(scenario(fleet, commitments={"base": promise, "plan": dollars}))
    assert ["commitments.base.instance_type", "commitments.plan.rates"] == [line.split(":")[0] for line in said]
    assert "reserved_3y_all_upfront" in said[0]
    assert "write usd_per_hour:" in said[0]
    assert "savings_plan_compute_1y_no_upfront" in said[1]
    assert "write rates: {g6.xlarge: ...}" in said[1]
    assert all("prices:" in line for line in said)


def test_price_lists_say_how_often_spot_is_taken_back_and_what_a_request_costs(tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text(
        "provider,region,instance_type,price_type,usd_per_hour,as_of,source,unit,interruption_rate\n"
        "x,here,a,spot,0.5,2026-01-01,quotation,,0.2\n"
        "x,,chat,serverless,0.25,2026-01-01,quotation,1k_requests,\n"
    )
    fleets = {
        "spot": {"usd_per_hour": None, "purchase": {"plan": "spot", "restart": "15min"}},
        "api": {"usd_per_hour": None, "instance_type": "chat", "purchase": "serverless"},
    }
    found = billed(scenario(fleets, prices=str(tmp_path / "mine.csv")))
    assert 4 * 0.5 * 1.05 == pytest.approx(found.fleets["spot"].usd_per_hour)
    assert 0.25 == found.fleets["api"].usd_per_1k_requests
    (said,) = problems(scenario({"gpu": {"purchase": {"plan": "spot", "restart": "5min"}}}))
    assert said.startswith("fleets.gpu.purchase.interruption_rate: is required beside restart")


def test_the_rates_that_ship_are_used_by_their_plan() -> None:
    """Google's, of the same list and day as the on-demand price."""
    found = report(load_scenario(RESERVED))
    assert 3 * 0.318075 + ON_DEMAND + 2 * 0.397336 * (1 + 0.05 / 12) == pytest.approx(found.effective_usd_per_hour)
    year = report(load_scenario(RESERVED, ["commitments.base.term=1y"]))
    assert 0.445304 / ON_DEMAND == pytest.approx(year.commitments["base"].break_even_utilisation)


regions = st.sampled_from([None, "us-east-1", "US-East-1", "us-central1"])
types = st.sampled_from(["g6.xlarge", "g5.xlarge", "g2-standard-4"])


@settings(deadline=None, max_examples=150)
@given(
    st.lists(
        st.tuples(types, regions, st.sampled_from(["on_demand", "spot"]), st.integers(1, 5)), min_size=1, max_size=3
    ),
    st.lists(st.tuples(types, regions, units, st.sampled_from(["reserved", "dollars", "family"])), max_size=3),
    st.lists(st.tuples(types, regions, units), max_size=3),
)
def test_whatever_the_door_lets_in_can_be_billed(
    fleets: list[tuple[str, str | None, str, int]],
    promises: list[tuple[str, str | None, float, str]],
    kept: list[tuple[str, str | None, float]],
) -> None:
    """A rule that only the ledger knows would reach the user as a traceback."""
    commitments: dict[str, Any] = {}
    for number, (kind, region, amount, plan) in enumerate(promises):
        where = {} if region is None else {"region": region}
        if plan == "reserved":
            commitments[f"p{number}"] = {**reserved(amount, 0.6), "instance_type": kind, **where}
        else:
            scope = "compute" if plan == "dollars" else "ec2_instance"
            dollars = {"plan": "savings_plan", "term": "3y", "scope": scope, "spend_usd_per_hour": amount}
            commitments[f"p{number}"] = {**dollars, "rates": {kind: 0.7}, **where}
    capacity = {
        f"k{number}": {"kind": "reservation", "instance_type": kind, "units": amount}
        | ({} if region is None else {"region": region})
        for number, (kind, region, amount) in enumerate(kept)
    }
    running = {
        f"f{number}": {"instance_type": kind, "region": region, "purchase": plan, "instances": n}
        for number, (kind, region, plan, n) in enumerate(fleets)
    }
    try:
        found = billed(scenario(running, commitments=commitments, capacity=capacity))
    except InputError:
        return
    parts = [fleet.usd_per_hour for fleet in found.fleets.values()]
    if found.report is not None:
        parts += [line.unused_usd_per_hour for line in found.report.commitments.values()]
        parts += [line.idle_usd_per_hour for line in found.report.capacity.values()]
        assert math.fsum(parts) == pytest.approx(found.report.effective_usd_per_hour, rel=1e-9)


@pytest.mark.parametrize(
    ("keys", "path", "rule"),
    [
        ({"units": None}, "units", "is required with plan reserved"),
        ({"instance_type": None}, "instance_type", "is required with plan reserved"),
        ({"spend_usd_per_hour": 3}, "spend_usd_per_hour", "has no effect with plan reserved"),
        ({"scope": "compute"}, "scope", "has no effect with plan reserved"),
        ({"payment": "partial_upfront"}, "upfront_usd", "is required beside usd_per_hour"),
        ({"upfront_usd": 10}, "upfront_usd", "has no effect with payment no_upfront"),
        ({"payment": "partial_upfront", "upfront_usd": 1e6}, "upfront_usd", "must be at most the price of the whole"),
        ({"usd_per_hour": 0}, "usd_per_hour", "must be greater than 0"),
        ({"usd_per_hour": -0.5}, "usd_per_hour", "must be greater than 0"),
        ({"usd_per_hour": 700.0}, "usd_per_hour", "stands for 'not offered'"),
        ({"units": 0}, "units", "must be greater than 0"),
        ({"term": "2y"}, "term", "must be one of 1y, 3y"),
        ({"plan": "spot"}, "plan", "promises nothing for a term, so it stands at a fleet"),
        ({"plan": "reserve"}, "plan", "must be one of reserved, savings_plan, committed_use, spend_commitment"),
        ({"plan": "committed_use", "payment": "all_upfront"}, "payment", "must be no_upfront"),
        ({"plan": "savings_plan"}, "spend_usd_per_hour", "is required with plan savings_plan"),
        ({"plan": "savings_plan"}, "scope", "is required with plan savings_plan"),
        ({"plan": "savings_plan"}, "units", "has no effect with plan savings_plan"),
        ({"plan": "savings_plan", "scope": "ec2_instance"}, "instance_family", "is required with scope ec2_instance"),
        ({"colour": "red"}, "colour", "is not a known key"),
    ],
)
def test_what_a_commitment_contradicts_is_named(keys: dict[str, Any], path: str, rule: str) -> None:
    promise = {key: value for key, value in {**reserved(2, 0.5), **keys}.items() if value is not None}
    assert flaws(commitments={"base": promise})[f"commitments.base.{path}"].startswith(rule)


@pytest.mark.parametrize(
    ("more", "path", "rule"),
    [
        ({"discounts": {"d": {}}}, "discounts.d.share", "is required, or tiers"),
        ({"discounts": {"d": {"share": 8}}}, "discounts.d.share", "must be less than 1"),
        (
            {"discounts": {"d": {"tiers": [{"from_usd_per_month": 5, "share": 0.1}] * 2}}},
            "discounts.d.tiers.1.from_usd_per_month",
            "must be more than the step before (5)",
        ),
        (
            {"discounts": {name: {"tiers": [{"from_usd_per_month": 0, "share": 0.1}]} for name in "de"}},
            "discounts.e.tiers",
            "is a second discount",
        ),
        (
            {"fleets": {"gpu": {"purchase": "capacity_block", "usd_per_hour": None}}},
            "fleets.gpu.instances",
            "must be held by blocks of a under capacity, which hold 0 machines",
        ),
        (
            {"commitments": {"base": reserved(1, 0.5, region="us-east-1")}},
            "fleets.gpu.region",
            "is required, since commitment base applies in one region only",
        ),
        (
            {
                "commitments": {"base": reserved(1, 0.5)},
                "capacity": {"base": {"kind": "reservation", "instance_type": "a", "units": 1}},
            },
            "capacity.base",
            "has the name of a commitment",
        ),
        (
            {"capacity": {"k": {"kind": "reservation", "instance_type": "a", "units": 1, "usd_per_hour": 3}}},
            "capacity.k.usd_per_hour",
            "has no effect with kind reservation",
        ),
        ({"fleets": {"gpu": {"purchase": "reserved"}}}, "fleets.gpu.purchase", "is promised for a term"),
        (
            {"fleets": {"gpu": {"purchase": {"plan": "serverless"}}}},
            "fleets.gpu.usd_per_hour",
            "has no effect with purchase serverless",
        ),
        (
            {"fleets": {"gpu": {"purchase": {"plan": "spot", "interruption_rate": 0.1}}}},
            "fleets.gpu.purchase.restart",
            "is required beside interruption_rate",
        ),
        (
            {"fleets": {"gpu": {"purchase": {"plan": "on_demand", "restart": "5min"}}}},
            "fleets.gpu.purchase.restart",
            "has no effect with plan on_demand",
        ),
    ],
)
def test_what_contradicts_between_purchases_and_fleets_is_named(more: dict[str, Any], path: str, rule: str) -> None:
    assert flaws(**more)[path].startswith(rule)


def test_regions_are_told_apart_where_everybody_says_where_they_are() -> None:
    fleets = {"east": {"region": "us-east-1"}, "west": {"region": "us-west-2"}}
    found = billed(scenario(fleets, commitments={"base": reserved(8, 0.5, region="US-East-1")}))
    assert [2.0, 4.0] == [pytest.approx(fleet.usd_per_hour) for fleet in found.fleets.values()]


def test_all_mistakes_are_told_at_once() -> None:
    found = flaws(
        commitments={"a": reserved(0, 0.5), "b": {**reserved(1, 0.5), "term": "9y"}}, discounts={"d": {"share": 2}}
    )
    assert {"commitments.a.units", "commitments.b.term", "discounts.d.share"} == set(found)


RESERVED = Path(__file__).resolve().parents[2] / "scenarios" / "reserved.yaml"


def test_a_commitment_is_changed_from_the_command_line() -> None:
    asked = load_scenario(RESERVED, ["commitments.base.units=1"])
    assert 1.0 == report(asked).commitments["base"].units
    with pytest.raises(InputError, match="names 'bse', which is not in commitments"):
        load_scenario(RESERVED, ["commitments.bse.units=1"])


def test_the_report_shows_the_four_costs_and_a_line_for_each_purchase() -> None:
    asked = scenario(
        commitments={"base": reserved(2, 0.6, payment="all_upfront")},
        discounts={"agreed": {"share": 0.05}},
        capacity={"kept": {"kind": "reservation", "instance_type": "a", "units": 5}},
    )
    found = simulate(asked)
    text = " ".join(report_text(found, width=100).split())
    for words in (
        "list $5.00 an hour",
        "contracted $4.75 an hour",
        "effective $4.05 an hour",
        "billed $2.85 an hour",
        "base (reserved_1y_all_upfront, 2 x a): $1.20 an hour, used $1.20, unused $0.00 (100% used, pays from 63%)",
        "saves $0.700; $10,512 was paid upfront",
        "kept (capacity reservation, 5 x a): 4 in use, 1 idle for $0.950 an hour",
    ):
        assert words in text
    cost = json.loads(json.dumps(report_to_json(found)))["cost"]
    assert ["usd_per_hour", "usd_per_month", "usd_per_1k_requests"] == list(cost)[:3]
    assert cost["effective_usd_per_hour"] == cost["usd_per_hour"]
    assert {"base"} == set(cost["commitments"])
    assert 0.7 == pytest.approx(cost["commitments"]["base"]["saved_usd_per_hour"])
    assert {"kept"} == set(cost["capacity"])


def test_nothing_is_added_where_everything_is_bought_on_demand() -> None:
    """Other programs read the object: what they know stays as it was."""
    found = simulate(scenario())
    assert CostReport(found.cost.usd_per_hour, found.cost.usd_per_month, found.cost.usd_per_1k_requests) == found.cost
    assert {"usd_per_hour", "usd_per_month", "usd_per_1k_requests"} == set(report_to_json(found)["cost"])


def test_without_a_guarantee_the_report_says_that_a_discount_is_no_capacity() -> None:
    text = report_text(simulate(scenario(commitments={"base": reserved(4, 0.6)})), width=100)
    assert "no machine is guaranteed: commitments are prices, not capacity" in text
