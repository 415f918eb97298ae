"""Public worked examples, to the cent.

Sources
-------
AWS, "Understanding how Savings Plans apply to your AWS usage", Savings Plans user guide,
https://docs.aws.amazon.com/savingsplans/latest/userguide/sp-applying.html: the rates and the five scenarios, and the
page's older example with c5 instances and Fargate.

FOCUS, FinOps Open Cost and Usage Specification, github.com/FinOps-Open-Cost-and-Usage-Spec/FOCUS_Spec,
specification/data/commitment_discount_scenarios/: commitment_discount_{purchase,usage}_scenario_*.csv of releases 1.1
and 1.2, and the scenarios of the working draft (specification/appendix/commitment_discounts/), whose month is February
2026 (672 hours).
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal

import numpy as np
import pytest

from simulator.commitment import Commitment, Reservation, SpendCommitment
from simulator.focus_rows import Row, focus_rows
from simulator.ledger import Ledger, Rates, Usage, settle

YEAR_H = 8_760


def cents(usd: float | str | None) -> Decimal:
    """An amount as a bill prints it."""
    assert isinstance(usd, float | np.floating)
    return Decimal(repr(round(float(usd), 9))).quantize(Decimal("0.01"), ROUND_HALF_UP)


def summed(rows: list[Row], column: str, **where: str | None) -> Decimal:
    chosen = [row for row in rows if all(row[name] == value for name, value in where.items())]
    return cents(float(sum(float(row[column] or 0.0) for row in chosen)))


# AWS: one hour of usage; on-demand, compute and EC2-instance savings plan rates.
AWS_USAGE = {
    "r5.4xlarge Linux": (4.0, 1.00, 0.70, 0.60, "us-east-1"),
    "Fargate vCPU": (400.0, 0.04, 0.03, None, "us-west-1"),
    "Fargate GB": (1_600.0, 0.004, 0.003, None, "us-west-1"),
    "m5.24xlarge Windows": (1.0, 10.00, 8.20, 7.80, "us-east-1"),
    "Lambda GB-s": (1_000_000 * 0.5 * 3, 0.000015, 0.00001275, None, "us-east-2"),
    "Lambda 1M requests": (1.0, 0.20, 0.20, None, "us-east-2"),
}
AWS_COMPUTE = {name: row[2] for name, row in AWS_USAGE.items()}


def aws_hour(*commitments: Commitment) -> Ledger:
    usage = Usage(
        datetime(2026, 1, 1, tzinfo=UTC),
        tuple(AWS_USAGE),
        np.array([[row[0] for row in AWS_USAGE.values()]]),
        regions=tuple(row[4] for row in AWS_USAGE.values()),
        kinds=tuple("serverless" if name[:6] in {"Fargat", "Lambda"} else "on_demand" for name in AWS_USAGE),
    )
    return settle(usage, Rates(np.array([row[1] for row in AWS_USAGE.values()])), commitments)


def compute_plan(usd_per_hour: float) -> SpendCommitment:
    """One year, partial upfront."""
    return SpendCommitment("compute", usd_per_hour, AWS_COMPUTE, 0, YEAR_H, upfront_share=0.5)


def on_demand_cents(ledger: Ledger, *names: str) -> Decimal:
    columns = [ledger.usage.instance_types.index(name) for name in names or AWS_USAGE]
    return cents(float((ledger.on_demand * ledger.contracted_price)[:, columns].sum()))


def test_aws_scenario_1_a_plan_that_covers_everything() -> None:
    """$47.13 of the $50.00 are used; without the plan the hour costs $59.10."""
    ledger = aws_hour(compute_plan(50.00))
    assert cents(ledger.coverage.used[0, 0]) == Decimal("47.13")
    assert not ledger.on_demand.any()
    assert on_demand_cents(aws_hour()) == Decimal("59.10")
    assert cents(ledger.total.list_usd[0]) == Decimal("59.10")
    assert cents(ledger.total.effective_usd[0]) == Decimal("50.00")


def test_aws_scenario_2_a_plan_that_covers_part_of_the_best() -> None:
    """$2.00 cover about 2.9 r5.4xlarge; $1.14 of them and $56.24 in all are charged on demand."""
    ledger = aws_hour(compute_plan(2.00))
    assert round(float(ledger.coverage.covered[0, 0, 0]), 1) == 2.9
    assert on_demand_cents(ledger, "r5.4xlarge Linux") == Decimal("1.14")
    assert on_demand_cents(ledger, *list(AWS_USAGE)[1:]) == Decimal("55.10")
    assert on_demand_cents(ledger) == Decimal("56.24")


def test_aws_scenario_3_across_products_by_saving_then_by_rate() -> None:
    """$19.60 cover r5.4xlarge and Fargate; m5.24xlarge and Lambda cost $32.70 on demand."""
    ledger = aws_hour(compute_plan(19.60))
    assert on_demand_cents(ledger) == Decimal("32.70")
    assert on_demand_cents(ledger, "r5.4xlarge Linux", "Fargate vCPU", "Fargate GB") == Decimal("0.00")
    assert cents(ledger.coverage.unused[0, 0]) == Decimal("0.00")
    short = aws_hour(compute_plan(7.60))
    assert on_demand_cents(short, "Fargate GB") == Decimal("0.00"), "memory before vCPU: it has the lower rate"
    assert on_demand_cents(short, "Fargate vCPU") == Decimal("16.00")


def test_aws_scenario_4_reservations_before_plans() -> None:
    """Two reserved r5.4xlarge, then $18.20 cover the other two and Fargate; $32.70 are charged on demand."""
    reserved = Reservation("ri", "r5.4xlarge Linux", 2, 0.60, 0, YEAR_H, region="us-east-1")
    ledger = aws_hour(compute_plan(18.20), reserved)
    assert ledger.coverage.used[0].tolist() == [pytest.approx(18.20), 2.0]
    assert cents(ledger.coverage.unused[0, 0]) == Decimal("0.00")
    assert on_demand_cents(ledger) == Decimal("32.70")


def test_aws_scenario_5_the_narrow_plan_before_the_wide_one() -> None:
    """Of $3.00 for the r5 family $2.40 are used; $16.80 of compute cover Fargate; $32.70 are charged on demand."""
    family = SpendCommitment("r5", 3.00, {"r5.4xlarge Linux": 0.60}, 0, YEAR_H, 0.5, "us-east-1", wide=False)
    ledger = aws_hour(compute_plan(16.80), family)
    assert cents(ledger.coverage.used[0, 1]) == Decimal("2.40")
    assert cents(ledger.coverage.unused[0, 1]) == Decimal("0.60")
    assert cents(ledger.coverage.unused[0, 0]) == Decimal("0.00")
    assert on_demand_cents(ledger) == Decimal("32.70")


def test_aws_older_example_a_plan_that_is_used_up_exactly() -> None:
    """c5.9xlarge $4.00 to $2.00, c5.24xlarge $10.00 to $8.00, 10 vCPU at $1.00 and 5 GB at $1.00: $25.00 in all."""
    rates = {"c5.9xlarge": 2.00, "c5.24xlarge": 8.00, "vCPU": 1.00, "GB": 1.00}
    usage = Usage(datetime(2020, 1, 1, tzinfo=UTC), tuple(rates), np.array([[1.0, 1.0, 10.0, 5.0]]))
    ledger = settle(usage, Rates(np.array([4.0, 10.0, 1.5, 2.0])), [SpendCommitment("sp", 25.0, rates, 0, YEAR_H)])
    assert cents(ledger.total.billed_usd[0]) == Decimal("25.00")
    assert ledger.coverage.unused[0, 0] == 0.0


def focus_hours(
    commitment: Commitment,
    start: datetime,
    instances: list[float],
    list_usd: float,
    beside: tuple[float, float] = (0, 1),
) -> list[Row]:
    """Rows by hour of one resource that would cost ``list_usd`` on demand; and, of another, hours and their price."""
    wanted = np.column_stack([instances, np.full(len(instances), beside[0])])
    usage = Usage(start, ("vm", "other"), wanted)
    return list(focus_rows(settle(usage, Rates(np.array([list_usd, beside[1]])), [commitment]), period="hour"))


JANUARY = datetime(2023, 1, 1, tzinfo=UTC)
FEBRUARY = datetime(2026, 2, 1, tzinfo=UTC)


def dollar_an_hour(upfront_share: float = 1.0, rate: float = 1.0) -> SpendCommitment:
    """FOCUS 1.2: $8,760 for 2023, a dollar an hour."""
    return SpendCommitment("cd", 1.0, {"vm": rate}, 0, YEAR_H, upfront_share)


@pytest.mark.parametrize(
    ("instances", "rate", "beside", "expected"),
    [
        (1.0, 1.00, (0.0, 1.0), [("Committed", "Used", "0.00", "1.00", "1.00", "1.00")]),
        (0.0, 1.00, (0.0, 1.0), [("Committed", "Unused", "0.00", "1.00", None, "1.00")]),
        (
            1.0,
            0.75,
            (0.0, 1.0),
            [
                ("Committed", "Used", "0.00", "0.75", "1.00", "0.75"),
                ("Committed", "Unused", "0.00", "0.25", None, "0.25"),
            ],
        ),
        (
            1.0,
            1.00,
            (1.0, 0.50),
            [("Standard", None, "0.50", "0.50", "1.00", None), ("Committed", "Used", "0.00", "1.00", "1.00", "1.00")],
        ),
    ],
    ids=["used", "unused", "partly used", "more than committed"],
)
def test_focus_usage_scenarios(
    instances: float, rate: float, beside: tuple[float, float], expected: list[tuple[str | None, ...]]
) -> None:
    """FOCUS 1.2 usage scenarios 1 to 4: status, billed, effective, consumed and commitment quantity of each row."""
    rows = focus_hours(dollar_an_hour(rate=rate), JANUARY, [instances], 1.50, beside)
    rows = [row for row in rows if row["ChargeCategory"] == "Usage"]
    columns = ("BilledCost", "EffectiveCost", "ConsumedQuantity", "CommitmentDiscountQuantity")

    def shown(value: float | str | None) -> str | None:
        return None if value is None else str(cents(value))

    assert expected == [
        (
            row["PricingCategory"],
            row["CommitmentDiscountStatus"],
            *(shown(row[name]) for name in columns),
        )
        for row in rows
    ]


@pytest.mark.parametrize(
    ("upfront_share", "expected"),
    [
        (1.0, [("One-Time", "8760.00")]),
        (0.0, [("Recurring", "1.00")] * 3),
        (0.5, [("Recurring", "0.50")] * 3 + [("One-Time", "4380.00")]),
    ],
    ids=["all upfront", "no upfront", "partial upfront"],
)
def test_focus_purchase_scenarios(upfront_share: float, expected: list[tuple[str, str]]) -> None:
    """FOCUS 1.2 purchase scenarios 1 to 3: what is billed when, effective cost 0, quantities equal to the dollars."""
    rows = focus_hours(dollar_an_hour(upfront_share), JANUARY, [1.0] * 3, 1.50)
    purchases = [row for row in rows if row["ChargeCategory"] == "Purchase"]
    assert expected == [(row["ChargeFrequency"], str(cents(row["BilledCost"]))) for row in purchases]
    for row in purchases:
        assert row["EffectiveCost"] == 0.0
        assert row["PricingCategory"] == "Standard"
        assert cents(row["CommitmentDiscountQuantity"]) == cents(row["BilledCost"])
        if row["ChargeFrequency"] == "One-Time":
            assert (row["ChargePeriodStart"], row["ChargePeriodEnd"]) == (
                "2023-01-01T00:00:00Z",
                "2024-01-01T00:00:00Z",
            )


@pytest.mark.parametrize(
    ("usd_per_hour", "list_usd", "hours_used", "extra_hours", "purchase", "used", "unused", "standard"),
    [
        (52.40, 78.60, 18, 0, "459024.00", "943.20", "314.40", "0.00"),
        (79.11, 118.67, 12, 0, "693003.60", "949.32", "949.32", "0.00"),
        (40.30, 60.45, 0, 0, "353028.00", "0.00", "967.20", "0.00"),
        (24.20, 36.30, 24, 12, "211992.00", "580.80", "0.00", "435.60"),
    ],
    ids=["75% used", "50% used", "not used", "overage"],
)
def test_focus_draft_all_upfront_spend(
    usd_per_hour: float,
    list_usd: float,
    hours_used: int,
    extra_hours: int,
    purchase: str,
    used: str,
    unused: str,
    standard: str,
) -> None:
    """Row summaries of (aws_savings_plan | aura_web_flexible_spend_plan)_all_upfront_{75pct,50pct,0pct,overage}."""
    instances = np.zeros(24)
    instances[:hours_used] = 1.0
    instances[:extra_hours] += 1.0
    plan = SpendCommitment("sp", usd_per_hour, {"vm": usd_per_hour}, 0, YEAR_H, upfront_share=1.0)
    rows = focus_hours(plan, FEBRUARY, instances.tolist(), list_usd)
    assert summed(rows, "BilledCost", ChargeCategory="Purchase") == Decimal(purchase)
    assert summed(rows, "EffectiveCost", CommitmentDiscountStatus="Used") == Decimal(used)
    assert summed(rows, "EffectiveCost", CommitmentDiscountStatus="Unused") == Decimal(unused)
    assert summed(rows, "BilledCost", ChargeCategory="Usage") == Decimal(standard)
    assert summed(rows, "EffectiveCost") == sum(map(Decimal, (used, unused, standard)), Decimal(0))
    assert summed(rows, "ListCost", CommitmentDiscountStatus="Used") == cents(hours_used * list_usd)
    assert summed(rows, "ListCost", CommitmentDiscountStatus="Unused") == Decimal(unused)
    assert {cents(row["CommitmentDiscountQuantity"]) for row in rows if row["CommitmentDiscountStatus"]} == {
        cents(usd_per_hour)
    }


def february(commitment: Commitment, list_usd: float) -> tuple[list[Row], list[Row]]:
    """Rows of February 2026 by month, and by hour, with one resource that runs throughout."""
    usage = Usage(FEBRUARY, ("vm",), np.ones((672, 1)))
    ledger = settle(usage, Rates(np.array([list_usd])), [commitment])
    return list(focus_rows(ledger)), list(focus_rows(ledger, period="hour"))


def hours_of_a_day(rows: list[Row], **where: str) -> list[Row]:
    return [
        row
        for row in rows
        if str(row["ChargePeriodStart"]).startswith("2026-02-01")
        and all(row[name] == value for name, value in where.items())
    ]


@pytest.mark.parametrize(
    ("commitment", "list_usd", "one_time", "recurring", "day"),
    [
        (SpendCommitment("sp", 51.14, {"vm": 51.14}, 0, YEAR_H, 0.5), 76.71, "223993.20", "17183.04", "1227.36"),
        (Reservation("ri", "vm", 1, 50.23, 0, YEAR_H, 50.23 * YEAR_H / 2), 75.35, "220007.40", "16877.28", "1205.52"),
        (Reservation("cud", "vm", 1, 29.45, 0, YEAR_H), 44.18, "0.00", "19790.40", "706.80"),
        (SpendCommitment("flex", 63.13, {"vm": 63.13}, 0, YEAR_H), 94.70, "0.00", "42423.36", "1515.12"),
    ],
    ids=["savings plan, partial", "reservation, partial", "resource-based, none", "spend-based, none"],
)
def test_focus_draft_payments(commitment: Commitment, list_usd: float, one_time: str, recurring: str, day: str) -> None:
    """Purchases of the month and the first day's usage, of four scenarios that are used in full.

    aws_savings_plan_partial_upfront_100pct, aura_web_resource_reservation_partial_upfront_100pct,
    gcp_resource_cud_no_upfront_100pct, latticescale_dynamic_compute_commitment_no_upfront_100pct.
    """
    monthly, hourly = february(commitment, list_usd)
    assert summed(monthly, "BilledCost", ChargeFrequency="One-Time") == Decimal(one_time)
    assert summed(monthly, "BilledCost", ChargeFrequency="Recurring") == Decimal(recurring)
    assert summed(hourly, "BilledCost", ChargeFrequency="Recurring") == Decimal(recurring)
    used = hours_of_a_day(hourly, CommitmentDiscountStatus="Used")
    assert len(used) == 24
    assert summed(used, "EffectiveCost") == Decimal(day)
    assert summed(used, "BilledCost") == Decimal("0.00")
    assert {cents(row["ListCost"]) for row in used} == {cents(list_usd)}


def test_the_two_hours_of_the_documentation() -> None:
    """docs/ledger.md, "Two hours, worked": every amount of its table."""
    usage = Usage(
        datetime(2027, 1, 1, tzinfo=UTC),
        ("g6.xlarge", "g5.xlarge"),
        np.array([[5.0, 3.0], [1.0, 0.0]]),
        regions=("us-east-1",) * 2,
    )
    promises = [
        SpendCommitment("compute plan", 1.00, {"g6.xlarge": 0.60, "g5.xlarge": 0.80}, 0, YEAR_H),
        SpendCommitment("g6 plan", 1.12, {"g6.xlarge": 0.56}, 0, YEAR_H, region="us-east-1", wide=False),
        Reservation("ri", "g6.xlarge", 2, 0.50, 0, YEAR_H, 2_190.0, "us-east-1"),
    ]
    ledger = settle(usage, Rates(np.array([0.80, 1.00])), promises)
    table = [[str(cents(usd)) for usd in column] for column in ledger.hourly.columns()]
    assert [table[0], table[2], table[3]] == [["7.00", "0.80"], ["5.62", "3.12"], ["4385.12", "2.62"]]
    rows = list(focus_rows(ledger, period="hour"))
    lines = {
        (row["ChargePeriodStart"], row["CommitmentDiscountId"], row["SkuId"]): (
            str(cents(row["PricingQuantity"])),
            str(cents(row["EffectiveCost"])),
        )
        for row in rows
        if row["ChargeCategory"] == "Usage" and row["CommitmentDiscountStatus"] != "Unused"
    }
    first, second = "2027-01-01T00:00:00Z", "2027-01-01T01:00:00Z"
    assert lines == {
        (first, "ri", "g6.xlarge"): ("2.00", "1.00"),
        (first, "g6 plan", "g6.xlarge"): ("2.00", "1.12"),
        (first, "compute plan", "g6.xlarge"): ("1.00", "0.60"),
        (first, "compute plan", "g5.xlarge"): ("0.50", "0.40"),
        (first, None, "g5.xlarge"): ("2.50", "2.50"),
        (second, "ri", "g6.xlarge"): ("1.00", "0.50"),
    }
    unused = {
        row["CommitmentDiscountId"]: str(cents(row["EffectiveCost"]))
        for row in rows
        if row["CommitmentDiscountStatus"] == "Unused"
    }
    assert unused == {"ri": "0.50", "g6 plan": "1.12", "compute plan": "1.00"}
