"""The answer: what to buy, what every month costs and how sure that is, who pays, and what could go wrong.

A :class:`Budget` is complete when it exists. Amounts are in US dollars. Nothing here computes; :func:`budget_json` only
gives the values the names that other programs rely on.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from optimizer.budget.demand_paths import DemandPaths
    from optimizer.budget.hourly_fleets import HourlyFleets
    from simulator.commitment import Commitment
    from simulator.focus_rows import Row

SCHEMA_VERSION: Final = 1
"""Version of the JSON object; it changes when a key changes its meaning."""

NOBODY: Final = "(unused commitment)"
"""Whose money what was promised and not used is."""


class Spread(NamedTuple):
    """An amount over all futures. Means of months add up to that of the year; the other three do not."""

    mean: float
    p10: float
    """One future in ten costs less."""
    p50: float
    p90: float
    """One future in ten costs more."""


@dataclass(frozen=True)
class Period:
    """A month, or all of them."""

    name: str
    """``2027-01``, or ``total``."""
    billed: Spread
    """What the provider asks for: upfront payments when they are due."""
    effective: Spread
    """What it costs: promises spread over the hours of their term."""
    list_usd: float
    """Mean: the same usage at list prices on demand."""
    on_demand_usd: float
    """Mean: what no promise covered."""
    used_usd: float
    """Mean: what was promised and used."""
    unused_usd: float
    """Mean: what was promised and not used."""
    covered_list_usd: float
    """Mean: what the promises' use would have cost at list prices."""
    without_usd: float
    """Mean: what it would cost with no promise at all."""

    @property
    def savings_usd(self) -> float:
        """Mean: how much less than at list prices."""
        return self.list_usd - self.effective.mean

    @property
    def coverage(self) -> float:
        """Share of the usage, at list prices, that promises cover."""
        return self.covered_list_usd / self.list_usd if self.list_usd > 0 else 0.0

    @property
    def utilisation(self) -> float | None:
        """Share of what was promised that was used; None where nothing was promised."""
        promised = self.used_usd + self.unused_usd
        return self.used_usd / promised if promised > 0 else None


@dataclass(frozen=True)
class Share:
    """What one team, model or workload pays: one value of a tag."""

    value: str
    effective: Spread
    """Of the whole budget."""
    months_usd: tuple[float, ...]
    """(M,) mean effective cost by month."""
    list_usd: float
    on_demand_usd: float


@dataclass(frozen=True)
class PurchaseLine:
    """A promise to make."""

    name: str
    pool: str
    """Instance type; several of a promise of dollars."""
    provider: str
    region: str
    plan: str
    """By its name in price lists: ``cud_3y``."""
    unit: str
    """``instances``, or ``USD/h`` at discounted rates."""
    units: float
    start: dt.date
    end: dt.date
    """First day after the term."""
    usd_per_hour: float
    """Effective price of one unit."""
    on_demand_usd_per_hour: float
    """What a unit buys, on demand; of a dollar the most that it buys."""
    upfront_usd: float
    """For all units, at once."""
    term_usd: float
    """What is promised in all."""
    utilisation: float
    """Share of its hours in the budget that are expected to be used."""
    saved_usd: float
    """Mean, in the budget: less than the same usage on demand, net of what is not used."""
    source: str

    @property
    def break_even(self) -> float:
        """Share of its hours that must be used so that it pays: its price over that on demand."""
        return self.usd_per_hour / self.on_demand_usd_per_hour


@dataclass(frozen=True)
class WhatIf:
    """The same promises in another course of events, beside no promises at all."""

    name: str
    kind: str
    """``forecast``, ``price_cut``, ``demand``, or ``futures`` for the worst of those that were drawn."""
    words: str
    with_usd: float
    """Mean effective cost of the whole budget with the promises."""
    without_usd: float
    """The same without any."""
    unused_usd: float
    saved_over_terms_usd: float | None
    """What the promises save over all hours that demand is forecast for, also after the budget; None if not known."""

    @property
    def saved_usd(self) -> float:
        """What the promises save in the budget; negative where they lose."""
        return self.without_usd - self.with_usd


@dataclass(frozen=True)
class Budget:
    """What a time to come costs, with what is bought for it."""

    name: str
    start: dt.datetime
    end: dt.datetime
    paths: int
    """Futures behind the spreads."""
    months: tuple[Period, ...]
    total: Period
    without_usd: Spread
    """Effective cost of all hours with no promise at all."""
    purchases: tuple[PurchaseLine, ...]
    shares: Mapping[str, tuple[Share, ...]]
    """By tag (team, model, workload): who pays. Each adds up to the total."""
    what_ifs: tuple[WhatIf, ...]
    rules: Mapping[str, float]
    """Mean effective cost under other rules of buying, by name; ``none`` and ``chosen`` are among them."""
    fleets: Mapping[str, Mapping[str, float]]
    """By workload: mean and most instances by instance type, over all futures."""
    history: Mapping[str, Mapping[str, Any]]
    """By workload: first and last day, level, model of the forecast."""
    rounding_share: float
    """At most so much of the cost is due to planning on a grid of demands."""
    simulated: int
    """Fleets, of every size and at the peak, that were simulated and held; 0 where capacities are stated."""
    warnings: tuple[str, ...] = ()
    assumptions: tuple[str, ...] = ()
    present_value_usd: float | None = None
    """Mean of what is billed, in dollars of the first hour; None without a cost of capital."""
    timing_s: Mapping[str, float] = field(default_factory=dict)
    demand: DemandPaths | None = field(default=None, repr=False, compare=False)
    """The futures, for figures and forecast.csv."""
    focus: tuple[Row, ...] = field(default=(), repr=False, compare=False)
    """Mean of the futures' bills, as rows in FOCUS columns."""
    past: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)
    """Histories by workload, for figures."""
    hourly: HourlyFleets | None = field(default=None, repr=False, compare=False)
    """Which instances carry which demand, for what else is asked of this budget."""
    promised: tuple[Commitment, ...] = field(default=(), repr=False, compare=False)
    """The purchases as the ledger knows them."""

    @property
    def saved_usd(self) -> float:
        """How much less than with no promise, on average?"""
        return self.without_usd.mean - self.total.effective.mean


def budget_json(budget: Budget) -> dict[str, Any]:
    """The budget as the JSON object that ``--json`` prints."""
    return {
        "schema_version": SCHEMA_VERSION,
        "name": budget.name,
        "start": budget.start.isoformat().replace("+00:00", "Z"),
        "end": budget.end.isoformat().replace("+00:00", "Z"),
        "paths": budget.paths,
        "total": _period(budget.total),
        "months": [_period(month) for month in budget.months],
        "without_commitments": budget.without_usd._asdict(),
        "saved_usd": budget.saved_usd,
        "commitments": [
            {
                "pool": line.pool,
                "units": line.units,
                "start": f"{line.start}T00:00:00Z",
                "term": f"{round((line.end - line.start).days / 365)}y",
                **{key: value for key, value in _plain(asdict(line)).items() if key not in {"pool", "units", "start"}},
                "break_even": line.break_even,
            }
            for line in budget.purchases
        ],
        "shares": {
            tag: [{**asdict(share), "effective": share.effective._asdict()} for share in shares]
            for tag, shares in budget.shares.items()
        },
        "what_ifs": [{**asdict(one), "saved_usd": one.saved_usd} for one in budget.what_ifs],
        "rules": dict(budget.rules),
        "fleets": {name: dict(fleet) for name, fleet in budget.fleets.items()},
        "history": {name: _plain(dict(past)) for name, past in budget.history.items()},
        "rounding_share": budget.rounding_share,
        "fleets_simulated": budget.simulated,
        "present_value_usd": budget.present_value_usd,
        "warnings": list(budget.warnings),
        "assumptions": list(budget.assumptions),
        "timing_s": dict(budget.timing_s),
    }


def _period(period: Period) -> dict[str, Any]:
    return {
        "period": period.name,
        "billed_usd": period.billed._asdict(),
        "effective_usd": period.effective._asdict(),
        "list_usd": period.list_usd,
        "savings_usd": period.savings_usd,
        "on_demand_usd": period.on_demand_usd,
        "used_commitment_usd": period.used_usd,
        "unused_commitment_usd": period.unused_usd,
        "without_commitments_usd": period.without_usd,
        "coverage": period.coverage,
        "utilisation": period.utilisation,
    }


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    """Days as text."""
    return {key: value.isoformat() if isinstance(value, dt.date) else value for key, value in values.items()}
