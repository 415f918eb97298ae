"""What is billed, and what did it cost? Usage, prices and commitments, hour by hour, as four amounts apart.

* **list**: what was used, at published on-demand prices.
* **contracted**: the same at the user's own on-demand prices, and spot at its price.
* **effective**: what it cost: every commitment spread over the hours of its term, used or not. For budgets of teams.
* **billed**: what the provider asks for in that hour: upfront payments in the hour in which a term begins. For cash.

Over a whole term, effective and billed are the same money. In any other stretch of hours they differ by what has been
paid ahead (:meth:`Ledger.prepaid_usd`).

Which commitment covers what is :mod:`simulator.dispatch`'s; lines by month, team and commitment are
:mod:`simulator.ledger_lines`'s; a bill's columns are :mod:`simulator.focus_rows`'s. docs/ledger.md works an hour
through.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from simulator.capacity_guarantee import CapacityGuarantee
from simulator.capital_cost import present_value_usd
from simulator.commitment import Commitment, Reservation, SpendCommitment
from simulator.dispatch import Coverage, cover
from simulator.idle_capacity import idle_instances, with_capacity_columns
from simulator.ledger_input import Rates, Usage, UsageKind, check_rates

__all__ = ["Ledger", "Rates", "Totals", "Usage", "recurring_share", "settle", "unit_usd", "upfront_usd"]

Floats = npt.NDArray[np.float64]
Int64s = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Totals:
    """Four amounts in USD, by hour or month: columns of one length."""

    list_usd: Floats
    contracted_usd: Floats
    effective_usd: Floats
    billed_usd: Floats

    def summed(self) -> Totals:
        """All of it: columns of length 1."""
        return Totals(*(column.sum(keepdims=True) for column in self.columns()))

    def columns(self) -> tuple[Floats, Floats, Floats, Floats]:
        """The four columns, in the order of the fields."""
        return self.list_usd, self.contracted_usd, self.effective_usd, self.billed_usd


@dataclass(frozen=True)
class Ledger:
    """Settled hours. Columns J are those of the usage, and after them one for each on-demand capacity reservation."""

    usage: Usage
    """As given, with a column of kind ``capacity`` for each on-demand capacity reservation: what stood idle."""
    rates: Rates
    """Prices of these columns."""
    commitments: tuple[Commitment, ...]
    """(K,): as given."""
    blocks: tuple[Reservation, ...]
    """(B,): capacity blocks, as reservations that are paid all upfront."""
    reserved_capacity: tuple[CapacityGuarantee, ...]
    """On-demand capacity reservations, in the order of the last columns."""
    coverage: Coverage
    """What each commitment covered."""
    block_coverage: Coverage
    """What each capacity block covered, before any commitment."""
    spot_hours: Floats
    """(T, J): instance hours billed at the spot price, with those that interruptions added."""
    months: npt.NDArray[np.datetime64]
    """(M,): calendar months, UTC."""
    month: Int64s
    """(T,): which of them each hour is in."""
    tier_factor: Floats
    """(T,): share of the contracted price that is charged on demand in that month; 1 without tiers."""

    @property
    def on_demand(self) -> Floats:
        """(T, J): units charged at the on-demand price."""
        return self.coverage.on_demand

    @cached_property
    def contracted_price(self) -> Floats:
        """(1, J) or (T, J): what a unit costs on demand, tiers included, and on spot where it is spot."""
        price = self.rates.contracted()
        if self.rates.tiers is not None:
            price = price * self.tier_factor[:, None]
        spot = _is(self.usage, "spot")
        return np.where(spot, self.rates.spot(len(spot)), price) if spot.any() else price

    @cached_property
    def quantity(self) -> Floats:
        """(T, J): units that were used or kept: covered by blocks or commitments, on demand, and on spot."""
        wanted = self.usage.instances
        return np.where(self.spot_hours > 0, self.spot_hours, wanted) if self.spot_hours.any() else wanted

    @cached_property
    def hourly(self) -> Totals:
        """The four amounts of each hour, columns (T,)."""
        contracted = _weighted(self.quantity, self.contracted_price)
        bought = _weighted(self.on_demand + self.spot_hours, self.contracted_price)
        effective, billed = bought.copy(), bought.copy()
        for commitments, coverage in ((self.blocks, self.block_coverage), (self.commitments, self.coverage)):
            committed = coverage.committed
            for number, commitment in enumerate(commitments):
                spread = committed[:, number] * unit_usd(commitment)
                effective += spread
                billed += spread * recurring_share(commitment)
                if 0 <= commitment.start_h < self.usage.hours:
                    billed[commitment.start_h] += upfront_usd(commitment)
        return Totals(_weighted(self.quantity, self.rates.listed()), contracted, effective, billed)

    @cached_property
    def monthly(self) -> Totals:
        """The four amounts of each month of :attr:`months`, columns (M,)."""
        starts = np.searchsorted(self.month, np.arange(len(self.months)))
        return Totals(*(np.add.reduceat(column, starts) for column in self.hourly.columns()))

    @property
    def total(self) -> Totals:
        """The four amounts of all hours, columns of length 1."""
        return self.hourly.summed()

    @property
    def coverage_share(self) -> float:
        """What share of what commitments could cover did they cover, by its on-demand cost? 0 where nothing was used.

        Spot, and what runs in capacity blocks, is not counted.
        """
        covered = self.coverage.covered.sum(axis=0) if self.commitments else np.zeros_like(self.on_demand)
        covered_usd = float(_weighted(covered, self.contracted_price).sum())
        rest_usd = float(_weighted(self.on_demand, self.contracted_price).sum())
        return covered_usd / (covered_usd + rest_usd) if covered_usd > 0 else 0.0

    @property
    def utilisation(self) -> float | None:
        """What share of what was committed was used, in dollars? None where nothing was committed."""
        unit = np.array([unit_usd(commitment) for commitment in self.commitments])
        committed = float((self.coverage.committed.sum(axis=0) * unit).sum())
        used = float((self.coverage.used.sum(axis=0) * unit).sum())
        return min(1.0, used / committed) if committed > 0 else None

    def prepaid_usd(self, hour: int) -> float:
        """How much has been paid upfront, before this hour, for hours from it on?

        Over any stretch of hours, ``billed - effective`` is what this grows by.
        """
        return sum(
            upfront_usd(promise) * max(0.0, 1 - (hour - promise.start_h) / promise.term_h)
            for promise in (*self.blocks, *self.commitments)
            if promise.start_h < hour
        )

    def present_value_usd(self, annual_rate: float) -> float:
        """What is the bill worth in the first hour, at this cost of capital a year (0.08 for 8%)?"""
        return present_value_usd(self.hourly.billed_usd, annual_rate)


def settle(
    usage: Usage,
    rates: Rates,
    commitments: Sequence[Commitment] = (),
    guarantees: Sequence[CapacityGuarantee] = (),
) -> Ledger:
    """What is billed for this usage at these prices, with these commitments?

    Parameters
    ----------
    usage
        Instances by hour.
    rates
        Prices of its columns. Savings are measured against the contracted ones.
    commitments
        What was promised; those bought before the first hour have a negative ``start_h``.
    guarantees
        Capacity that is kept. Blocks are used before any commitment.

    Raises
    ------
    ValueError
        A price is missing or not above 0 (all of them are named), two commitments share a name, or a regional
        commitment meets usage of unknown region.

    Examples
    --------
    Two hours of two instances at 1.00, one of them reserved, half of it upfront. The term goes on after these hours:

    >>> from datetime import UTC, datetime
    >>> usage = Usage(datetime(2026, 1, 1, tzinfo=UTC), ("a",), np.array([[2.0], [0.0]]))
    >>> reserved = Reservation("ri", "a", 1, usd_per_hour=0.60, start_h=0, term_h=10, upfront_usd=3.0)
    >>> ledger = settle(usage, Rates(np.array([1.0])), [reserved])
    >>> ledger.hourly.effective_usd, ledger.hourly.billed_usd
    (array([1.6, 0.6]), array([4.3, 0.3]))
    >>> round(ledger.prepaid_usd(2), 6)
    2.4
    """
    check_rates(usage, rates)
    _check_promises(usage, commitments, guarantees)
    blocks = tuple(guarantee.as_prepaid() for guarantee in guarantees if guarantee.usd_per_hour is not None)
    kept = [guarantee for guarantee in guarantees if guarantee.usd_per_hour is None]
    if kept:
        usage, rates = with_capacity_columns(usage, rates, kept)
    price = rates.contracted()
    spot, running = _is(usage, "spot"), _is(usage, "on_demand")
    in_blocks = cover(usage.instances * running, blocks, price, usage.instance_types, regions=usage.regions)
    rest = np.where(running, in_blocks.on_demand, usage.instances * ~spot)
    if kept:
        rest[:, -len(kept) :] = idle_instances(usage, kept, rest)
        usage = replace(usage, instances=np.hstack([usage.instances[:, : -len(kept)], rest[:, -len(kept) :]]))
    spare = tuple(_is(usage, "capacity"))
    coverage = cover(rest, commitments, price, usage.instance_types, regions=usage.regions, spare=spare)
    months, month = usage.month_of_hour()
    return Ledger(
        usage=usage,
        rates=rates,
        commitments=tuple(commitments),
        blocks=blocks,
        reserved_capacity=tuple(kept),
        coverage=coverage,
        block_coverage=in_blocks,
        spot_hours=usage.instances * spot * (1 + np.asarray(rates.spot_overhead, dtype=np.float64)),
        months=months,
        month=month,
        tier_factor=_tier_factor(rates, _weighted(coverage.on_demand, price), month),
    )


def unit_usd(commitment: Commitment) -> float:
    """What does a unit of this commitment cost in an hour, in effect? A dollar, of one that is stated in dollars.

    >>> unit_usd(Reservation("ri", "a", 4, usd_per_hour=0.60, start_h=0, term_h=8760))
    0.6
    """
    return commitment.usd_per_hour if isinstance(commitment, Reservation) else 1.0


def upfront_usd(commitment: Commitment) -> float:
    """How much of this commitment is paid when its term begins, for all its units?

    >>> upfront_usd(Reservation("ri", "a", 4, usd_per_hour=0.60, start_h=0, term_h=8760, upfront_usd=2_000.0))
    8000.0
    """
    if isinstance(commitment, Reservation):
        return commitment.upfront_usd * commitment.units
    return commitment.usd_per_hour * commitment.term_h * commitment.upfront_share


def recurring_share(commitment: Commitment) -> float:
    """What share of this commitment's price is paid hour by hour?

    >>> recurring_share(Reservation("ri", "a", 4, usd_per_hour=0.60, start_h=0, term_h=10_000, upfront_usd=3_000.0))
    0.5
    """
    if isinstance(commitment, Reservation):
        return max(0.0, commitment.recurring_usd_per_hour / commitment.usd_per_hour)
    return 1 - commitment.upfront_share


def _is(usage: Usage, kind: UsageKind) -> npt.NDArray[np.bool_]:
    return np.array([each == kind for each in usage.kinds], dtype=np.bool_)


def _weighted(quantity: Floats, price: Floats) -> Floats:
    """(T,): quantities times prices, summed over columns."""
    total: Floats = quantity @ price[0] if len(price) == 1 else np.einsum("tj,tj->t", quantity, price)
    return total


def _tier_factor(rates: Rates, on_demand_usd: Floats, month: Int64s) -> Floats:
    """(T,): share that is charged of each hour's on-demand spend, by the spend of its month."""
    if rates.tiers is None:
        return np.ones(len(month))
    spend = np.bincount(month, weights=on_demand_usd)
    return np.array([rates.tiers.factor(float(usd)) for usd in spend])[month]


def _check_promises(usage: Usage, commitments: Sequence[Commitment], guarantees: Sequence[CapacityGuarantee]) -> None:
    promises = (*commitments, *guarantees)
    twice = [name for name, times in Counter(promise.name for promise in promises).items() if times > 1]
    problems = [f"{name}: every commitment and guarantee must have a name of its own" for name in twice]
    for promise in promises:
        types = set(promise.rates) if isinstance(promise, SpendCommitment) else {promise.instance_type}
        for instance_type, region, kind in zip(usage.instance_types, usage.regions, usage.kinds, strict=True):
            if promise.region and not region and kind != "spot" and instance_type in types:
                problems.append(
                    f"{promise.name}: is for {promise.region}, and the usage of {instance_type} names no region"
                )
    if problems:
        raise ValueError("; ".join(dict.fromkeys(problems)))
