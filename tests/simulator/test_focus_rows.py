"""Rows of a bill: FOCUS 1.2's rules, and that a file sums to its ledger."""

from __future__ import annotations

import csv
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from simulator.capacity_guarantee import CapacityGuarantee
from simulator.commitment import Reservation, SpendCommitment
from simulator.focus_rows import COLUMNS, Labels, Row, focus_rows, write_focus_csv
from simulator.ledger import Ledger, Rates, Usage, settle

SAMPLES = Path(__file__).resolve().parents[2].parent / "shared" / "samples"


def settled() -> Ledger:
    """A month and a day of everything: teams, spot, requests, commitments with each payment, kept capacity."""
    rng = np.random.default_rng(5)
    usage = Usage(
        datetime(2026, 12, 1, tzinfo=UTC),
        ("g6.xlarge", "g6.xlarge", "g5.xlarge", "api"),
        rng.poisson((6, 2, 3, 900), (32 * 24, 4)).astype(float),
        regions=("us-east-1",) * 4,
        tags=({"team": "ranker"}, {"team": "search"}, {}, {"team": "search"}),
        kinds=("on_demand", "on_demand", "spot", "serverless"),
    )
    rates = Rates(
        np.array([0.8048, 0.8048, 1.006, 0.002]), spot_usd_per_hour=np.array([1, 1, 0.44, 1]), spot_overhead=0.05
    )
    return settle(
        usage,
        rates,
        [
            Reservation("ri", "g6.xlarge", 3, 0.5, -100, 8_760, 2_190.0, "us-east-1"),
            SpendCommitment("sp", 1.5, {"g6.xlarge": 0.6}, 50, 8_760, 0.5),
        ],
        [
            CapacityGuarantee("block", "g6.xlarge", 1, 100, 48, "us-east-1", usd_per_hour=1.2),
            CapacityGuarantee("odcr", "g6.xlarge", 9, 0, 48, "us-east-1"),
        ],
    )


def total(rows: list[Row], column: str) -> float:
    return sum(float(row[column] or 0.0) for row in rows)


@pytest.mark.parametrize("period", ["month", "hour"])
def test_costs_can_be_summed_over_all_rows(period: str) -> None:
    """Otherwise a purchase and the usage that it pays for are both counted."""
    ledger = settled()
    rows = list(focus_rows(ledger, period=period))  # type: ignore[arg-type]
    assert total(rows, "EffectiveCost") == pytest.approx(float(ledger.total.effective_usd[0]))
    assert total(rows, "BilledCost") == pytest.approx(float(ledger.total.billed_usd[0]))
    used = [row for row in rows if row["ChargeCategory"] == "Usage" and row["ConsumedUnit"]]
    idle = [row for row in rows if row["ChargeDescription"] == "reserved capacity that stood idle"]
    assert total(used + idle, "ListCost") == pytest.approx(float(ledger.total.list_usd[0]))
    assert total(used + idle, "ContractedCost") == pytest.approx(float(ledger.total.contracted_usd[0]))


@pytest.mark.parametrize("period", ["month", "hour"])
def test_rows_keep_the_rules_of_the_specification(period: str) -> None:
    """specification/columns/*.md, release 1.2: what must be null, zero, or the product of other columns."""
    for row in focus_rows(settled(), period=period):  # type: ignore[arg-type]
        assert tuple(row) == COLUMNS
        is_purchase = row["ChargeCategory"] == "Purchase"
        assert row["ChargeCategory"] in {"Usage", "Purchase"}
        assert row["ChargeFrequency"] in ({"One-Time", "Recurring"} if is_purchase else {"Usage-Based"})
        assert row["PricingCategory"] in {"Standard", "Dynamic", "Committed", "Other"}
        assert row["BillingCurrency"] == "USD"
        if is_purchase:
            assert row["EffectiveCost"] == 0.0
            assert row["ListCost"] == row["ContractedCost"] == row["BilledCost"] != 0.0
            assert row["CommitmentDiscountStatus"] is None
        if row["CommitmentDiscountStatus"] is not None:
            assert row["PricingCategory"] == "Committed"
            assert row["BilledCost"] == 0.0
            assert row["CommitmentDiscountId"] is not None
        if row["CommitmentDiscountStatus"] == "Unused":
            assert row["ConsumedQuantity"] is None
            assert row["ResourceId"] == row["CommitmentDiscountId"]
        assert (row["CommitmentDiscountId"] is None) == (row["CommitmentDiscountQuantity"] is None)
        if row["CommitmentDiscountCategory"] == "Spend":
            assert row["CommitmentDiscountUnit"] == "USD"
        for price, cost in (("ListUnitPrice", "ListCost"), ("ContractedUnitPrice", "ContractedCost")):
            assert float(row[price]) * float(row["PricingQuantity"]) == pytest.approx(float(row[cost]))  # type: ignore[arg-type]
        assert str(row["ChargePeriodStart"]) < str(row["ChargePeriodEnd"])
        assert str(row["BillingPeriodStart"]) <= str(row["ChargePeriodStart"]) < str(row["BillingPeriodEnd"])


def test_purchases_add_up_to_what_was_acquired() -> None:
    """FOCUS 1.2, CommitmentDiscountQuantity: the sum over purchases of a term is all the units acquired."""
    plan = SpendCommitment("sp", 2.0, {"a": 0.5}, 0, 24, upfront_share=0.5)
    usage = Usage(datetime(2026, 1, 1, tzinfo=UTC), ("a",), np.ones((24, 1)))
    rows = list(focus_rows(settle(usage, Rates(np.ones(1)), [plan])))
    purchases = [row for row in rows if row["ChargeCategory"] == "Purchase"]
    assert total(purchases, "CommitmentDiscountQuantity") == pytest.approx(48.0)
    assert total([row for row in rows if row["CommitmentDiscountStatus"]], "CommitmentDiscountQuantity") == 48.0


def test_guaranteed_capacity_is_no_commitment_discount() -> None:
    """Otherwise a reader takes what keeps machines free for what makes them cheaper."""
    rows = [row for row in focus_rows(settled()) if row["CapacityReservationId"]]
    assert {row["CapacityReservationId"] for row in rows} == {"block", "odcr"}
    blocks = [row for row in rows if row["CapacityReservationId"] == "block"]
    assert all(row["CommitmentDiscountId"] is None for row in blocks)
    assert {row["PricingCategory"] for row in blocks} == {"Standard", "Other"}
    assert {row["CapacityReservationStatus"] for row in rows if row["CapacityReservationId"] == "odcr"} == {"Unused"}


def test_a_file_sums_to_the_ledger(tmp_path: Path) -> None:
    """Otherwise the budget that is loaded next to the bill is another budget."""
    ledger = settled()
    labels = Labels("AWS", "Amazon Elastic Compute Cloud", "peak", 0.5, {"x_Team": "all"})
    path = tmp_path / "budget.csv"
    count = write_focus_csv(path, focus_rows(ledger, labels=labels))
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert count == len(rows)
    assert list(rows[0]) == [*COLUMNS, "x_Team"]
    assert {(row["x_Scenario"], row["x_Quantile"], row["x_Team"]) for row in rows} == {("peak", "0.50", "all")}
    for column, usd in (("EffectiveCost", ledger.total.effective_usd), ("BilledCost", ledger.total.billed_usd)):
        assert float(sum(Decimal(row[column]) for row in rows)) == pytest.approx(float(usd[0]), abs=0.005)
    assert any(row["Tags"] == '{"team": "ranker"}' for row in rows)


def test_months_of_a_part_end_where_the_ledger_ends() -> None:
    """Otherwise a day of January would look like the whole month."""
    rows = [row for row in focus_rows(settled()) if row["ChargeFrequency"] != "One-Time"]
    assert {(row["ChargePeriodStart"], row["ChargePeriodEnd"]) for row in rows} == {
        ("2026-12-01T00:00:00Z", "2027-01-01T00:00:00Z"),
        ("2027-01-01T00:00:00Z", "2027-01-02T00:00:00Z"),
    }
    assert {row["BillingPeriodEnd"] for row in rows} == {"2027-01-01T00:00:00Z", "2027-02-01T00:00:00Z"}


def test_columns_are_those_that_other_files_have() -> None:
    """Otherwise a forecast cannot be loaded beside a bill."""
    own, bill = SAMPLES / "out" / "budget_forecast_focus_like.csv", SAMPLES / "in" / "focus_1_2_cost.csv"
    if not (own.exists() and bill.exists()):
        pytest.skip(f"{SAMPLES} is absent")
    header = [set(path.read_text(encoding="utf-8").splitlines()[0].split(",")) for path in (own, bill)]
    assert header[0] <= set(COLUMNS)
    assert {name for name in COLUMNS if not name.startswith("x_")} - header[1] <= {
        "CapacityReservationId",
        "CapacityReservationStatus",
    }


def test_own_columns_begin_with_x() -> None:
    """FOCUS: custom columns have the prefix; otherwise a later release could mean something else by the name."""
    for name in ("Team", "x_Scenario"):
        with pytest.raises(ValueError, match="begins with x_"):
            Labels(own={name: "a"})


def test_nothing_is_not_written(tmp_path: Path) -> None:
    """Otherwise an empty file is taken for a budget of 0."""
    with pytest.raises(ValueError, match="at least one row"):
        write_focus_csv(tmp_path / "a.csv", [])
    with pytest.raises(ValueError, match="same columns"):
        write_focus_csv(tmp_path / "a.csv", [{"a": 1.0}, {"b": 1.0}])
    assert not (tmp_path / "a.csv").exists()
