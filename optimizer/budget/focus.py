"""The budget as a bill: rows in FOCUS columns that are the mean of all futures' bills.

Each future is a bill of its own (:mod:`simulator.focus_rows`). Rows that speak of the same charge (month, type, team,
promise, used or not) are averaged; a future without that charge counts as 0. So every column sums to the table's means,
and the planned rows can be laid beside the provider's own export, row by row. Deciles are in own columns.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from simulator.focus_rows import Row, focus_rows
from simulator.ledger import Ledger

QUANTITIES: Final = (
    "PricingQuantity",
    "ConsumedQuantity",
    "CommitmentDiscountQuantity",
    "ListCost",
    "ContractedCost",
    "EffectiveCost",
    "BilledCost",
)
"""Columns that are averaged."""

_UNIT_PRICES: Final = {"ListUnitPrice": "ListCost", "ContractedUnitPrice": "ContractedCost"}
_DECILES: Final = (("P10", 0.1), ("P50", 0.5), ("P90", 0.9))


class FocusMean:
    """Collects the rows of one ledger after the other."""

    def __init__(self) -> None:
        self.futures = 0
        self._first: dict[tuple[object, ...], Row] = {}
        self._amounts: dict[tuple[object, ...], dict[int, list[float]]] = {}

    def add(self, ledger: Ledger) -> None:
        """Take in one future."""
        for row in focus_rows(ledger):
            key = tuple(value for name, value in row.items() if name not in QUANTITIES and name not in _UNIT_PRICES)
            self._first.setdefault(key, row)
            found = self._amounts.setdefault(key, {})
            amounts = [_number(row[name]) for name in QUANTITIES]
            earlier = found.get(self.futures)
            found[self.futures] = amounts if earlier is None else [a + b for a, b in zip(earlier, amounts, strict=True)]
        self.futures += 1

    def rows(self) -> tuple[Row, ...]:
        """Give the mean rows, in the order of their time; deciles of the costs in ``x_`` columns."""
        found: list[Row] = []
        for key, first in self._first.items():
            amounts = np.zeros((self.futures, len(QUANTITIES)))
            for future, values in self._amounts[key].items():
                amounts[future] = values
            mean = dict(zip(QUANTITIES, amounts.mean(axis=0).tolist(), strict=True))
            row: Row = dict(first)
            row |= {name: mean[name] for name in QUANTITIES if first[name] is not None}
            for name, cost in _UNIT_PRICES.items():
                quantity = mean["PricingQuantity"]
                row[name] = mean[cost] / quantity if first[name] is not None and quantity > 0 else None
            row["x_Scenario"] = f"mean of {self.futures} futures"
            for name in ("EffectiveCost", "BilledCost"):
                deciles = np.quantile(amounts[:, QUANTITIES.index(name)], [share for _, share in _DECILES])
                row |= {f"x_{name}{label}": float(one) for (label, _), one in zip(_DECILES, deciles, strict=True)}
            found.append(row)
        return tuple(sorted(found, key=_order))


def _number(cell: str | float | None) -> float:
    return float(cell) if isinstance(cell, int | float) else 0.0


def _order(row: Row) -> tuple[str, ...]:
    names = ("BillingPeriodStart", "ChargeCategory", "SkuId", "CommitmentDiscountName", "Tags")
    return tuple(str(row[name] or "") for name in names)
