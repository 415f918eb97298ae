"""How does a ledger read beside the bill? Rows in the columns of FOCUS 1.2, the FinOps cost and usage specification.

Three rules of the specification keep sums right, and are tested:

* ``EffectiveCost`` of a ``Purchase`` row is 0: the money is in the usage rows that it pays for.
* ``BilledCost`` of a row that a commitment covers is 0: the money is in the ``Purchase`` row.
* What a commitment found no work for is a row of its own, ``CommitmentDiscountStatus`` ``Unused``.

So both columns can be summed over all rows. ``ListCost`` and ``ContractedCost`` of ``Purchase`` and ``Unused`` rows are
the dollars themselves, as in the specification's scenarios: for what usage would have cost, sum the other rows. A
forecast's own columns begin with ``x_``.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from simulator.commitment import Commitment, Reservation, SpendCommitment
from simulator.ledger import Ledger
from simulator.ledger_lines import CHARGES, Lines, Period, itemise, period_bounds, promises

Cell = str | float | None
Row = dict[str, Cell]

COLUMNS: Final = (
    "BillingPeriodStart",
    "BillingPeriodEnd",
    "ChargePeriodStart",
    "ChargePeriodEnd",
    "ChargeCategory",
    "ChargeFrequency",
    "ChargeDescription",
    "PricingCategory",
    "PricingQuantity",
    "PricingUnit",
    "ListUnitPrice",
    "ContractedUnitPrice",
    "ConsumedQuantity",
    "ConsumedUnit",
    "CommitmentDiscountId",
    "CommitmentDiscountName",
    "CommitmentDiscountCategory",
    "CommitmentDiscountType",
    "CommitmentDiscountQuantity",
    "CommitmentDiscountUnit",
    "CommitmentDiscountStatus",
    "CapacityReservationId",
    "CapacityReservationStatus",
    "ProviderName",
    "ServiceCategory",
    "ServiceName",
    "RegionId",
    "ResourceId",
    "ResourceType",
    "SkuId",
    "ListCost",
    "ContractedCost",
    "EffectiveCost",
    "BilledCost",
    "BillingCurrency",
    "Tags",
    "x_Scenario",
    "x_Quantile",
)
"""Columns of every row, in this order; a label's own ``x_`` columns follow."""

DECIMALS: Final = 6
"""Decimals that a written amount may have: rows of an hour are parts of a cent."""


@dataclass(frozen=True)
class Labels:
    """What a ledger does not know of its own rows."""

    provider: str = ""
    """ProviderName: "Amazon Web Services"."""
    service: str = ""
    """ServiceName: "Amazon Elastic Compute Cloud"."""
    scenario: str = ""
    """x_Scenario: which future this is."""
    quantile: float | None = None
    """x_Quantile: share of futures that cost at most this; None for a bill that happened."""
    own: Mapping[str, str] = field(default_factory=dict)
    """Further columns, whose names begin with ``x_``."""

    def __post_init__(self) -> None:
        """Refuse own columns that could be taken for the specification's."""
        for name in self.own:
            if not name.startswith("x_") or name in COLUMNS:
                raise ValueError(f"an own column must have a new name that begins with x_, got {name!r}")


def focus_rows(ledger: Ledger, *, period: Period = "month", labels: Labels | None = None) -> Iterator[Row]:
    """What are the rows of this bill?

    Parameters
    ----------
    ledger
        Settled hours.
    period
        A row for each charge of a month, or of an hour (many rows).
    labels
        What the rows are called.

    Yields
    ------
    dict
        Values by :data:`COLUMNS`; None where the specification has null.

    Examples
    --------
    >>> import numpy as np
    >>> from datetime import UTC
    >>> from simulator.ledger import Rates, Usage, settle
    >>> plan = SpendCommitment("sp", usd_per_hour=1.0, rates={"a": 0.75}, start_h=0, term_h=8760)
    >>> usage = Usage(datetime(2026, 1, 1, tzinfo=UTC), ("a",), np.array([[1.0]]))
    >>> for row in focus_rows(settle(usage, Rates(np.array([1.0])), [plan]), period="hour"):
    ...     row["ChargeCategory"], row["CommitmentDiscountStatus"], row["EffectiveCost"], row["BilledCost"]
    ('Usage', 'Used', 0.75, 0.0)
    ('Usage', 'Unused', 0.25, 0.0)
    ('Purchase', None, 0.0, 1.0)
    """
    labels = labels or Labels()
    lines = itemise(ledger, period)
    bounds = period_bounds(ledger, period)
    sold = promises(ledger)
    for line in range(len(lines)):
        row: Row = dict.fromkeys(COLUMNS)
        charge = CHARGES[lines.charge[line]]
        start, end = bounds[lines.period[line]]
        column, promise = int(lines.column[line]), int(lines.promise[line])
        if charge == "upfront":
            start = ledger.usage.start + timedelta(hours=sold[promise].start_h)
            end = start + timedelta(hours=sold[promise].term_h)
        row |= _when(start, end) | _charged(lines, line, charge)
        row |= {
            "BillingCurrency": ledger.rates.currency,
            "ProviderName": labels.provider or None,
            "ServiceCategory": "Compute",
            "ServiceName": labels.service or None,
            "x_Scenario": labels.scenario or None,
            "x_Quantile": labels.quantile,
        }
        if column >= 0:
            row |= _used_by(ledger, column)
            row["ConsumedQuantity"] = row["PricingQuantity"] if row["ConsumedUnit"] else None
        if promise >= 0:
            row |= _paid_by(sold[promise], charge, float(lines.committed[line]), promise >= len(ledger.commitments))
        yield row | dict(labels.own)


def write_focus_csv(path: Path, rows: Iterable[Row]) -> int:
    """Write rows of one or more ledgers to a CSV file; how many there were.

    Raises
    ------
    ValueError
        Rows have different columns, or there are none (nothing is written).
    """
    found = list(rows)
    if not found:
        raise ValueError(f"{path}: there must be at least one row to write")
    header = tuple(found[0])
    if any(tuple(row) != header for row in found):
        raise ValueError(f"{path}: all rows must have the same columns")
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows([_text(row[name]) for name in header] for row in found)
    return len(found)


def _text(cell: Cell) -> str:
    """A cell as text: at least the cents of an amount, at most :data:`DECIMALS`, never in powers of ten.

    >>> _text(1234.5), _text(0.000125), _text(None)
    ('1234.50', '0.000125', '')
    """
    if cell is None or isinstance(cell, str):
        return cell or ""
    whole, _, part = f"{cell + 0.0:.{DECIMALS}f}".partition(".")
    return f"{whole}.{part.rstrip('0').ljust(2, '0')}"


def _when(start: datetime, end: datetime) -> Row:
    month = start.replace(day=1, hour=0)
    following = (month + timedelta(days=32)).replace(day=1)
    return {
        "BillingPeriodStart": _stamp(month),
        "BillingPeriodEnd": _stamp(following),
        "ChargePeriodStart": _stamp(start),
        "ChargePeriodEnd": _stamp(end),
    }


def _stamp(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def _charged(lines: Lines, line: int, charge: str) -> Row:
    """What kind of charge it is, its amounts, and the units that they are for."""
    paid = charge in {"upfront", "recurring"}
    effective, billed = float(lines.effective_usd[line]), float(lines.billed_usd[line])
    listed, contracted = float(lines.list_usd[line]), float(lines.contracted_usd[line])
    if paid:
        listed = contracted = billed
    elif charge == "unused":
        listed = contracted = effective
    quantity = float(lines.quantity[line] if charge in {"on_demand", "used"} else lines.committed[line])
    row: Row = {
        "ChargeCategory": "Purchase" if paid else "Usage",
        "ChargeFrequency": {"upfront": "One-Time", "recurring": "Recurring"}.get(charge, "Usage-Based"),
        "PricingCategory": "Committed" if charge in {"used", "unused"} else "Standard",
        "PricingQuantity": quantity,
        "PricingUnit": "Hours",
        "ListUnitPrice": listed / quantity,
        "ContractedUnitPrice": contracted / quantity,
        "ListCost": listed,
        "ContractedCost": contracted,
        "EffectiveCost": effective,
        "BilledCost": billed,
    }
    return row


def _used_by(ledger: Ledger, column: int) -> Row:
    """What used it: type, place and labels of a column."""
    usage = ledger.usage
    kind, tags = usage.kinds[column], usage.tags[column]
    row: Row = {
        "ConsumedUnit": "Hours",
        "RegionId": usage.regions[column] or None,
        "SkuId": usage.instance_types[column],
        "Tags": json.dumps(dict(tags), sort_keys=True) if tags else None,
    }
    if kind == "spot":
        row |= {"ChargeDescription": "spot", "PricingCategory": "Dynamic"}
    elif kind == "serverless":
        row |= {"ChargeDescription": "by use", "PricingUnit": "Units", "ConsumedUnit": "Units"}
    elif kind == "capacity":
        first = len(usage.instance_types) - len(ledger.reserved_capacity)
        row |= {
            "ChargeDescription": "reserved capacity that stood idle",
            "CapacityReservationId": ledger.reserved_capacity[column - first].name if column >= first else None,
            "CapacityReservationStatus": "Unused",
            "ConsumedUnit": None,
        }
    return row


def _paid_by(promise: Commitment, charge: str, committed: float, is_block: bool) -> Row:
    """Which commitment, or capacity block, the row belongs to, and how."""
    status = {"used": "Used", "unused": "Unused"}.get(charge)
    of_spend = isinstance(promise, SpendCommitment)
    row: Row = {}
    if charge != "used":
        row |= {
            "ResourceId": promise.name,
            "ResourceType": "Capacity block" if is_block else "Commitment",
            "RegionId": promise.region or None,
            "SkuId": promise.instance_type if isinstance(promise, Reservation) else None,
            "PricingUnit": "USD" if of_spend else "Hours",
        }
    if is_block:
        row |= {"CapacityReservationId": promise.name, "CapacityReservationStatus": status}
        return row | {"PricingCategory": "Other"} if status else row
    return row | {
        "CommitmentDiscountId": promise.name,
        "CommitmentDiscountName": promise.name,
        "CommitmentDiscountCategory": "Spend" if of_spend else "Usage",
        "CommitmentDiscountType": "Spend commitment" if of_spend else "Reservation",
        "CommitmentDiscountQuantity": committed,
        "CommitmentDiscountUnit": "USD" if of_spend else "Hours",
        "CommitmentDiscountStatus": status,
    }
