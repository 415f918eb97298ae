"""What could be promised for each pool, and at which price? From one price ratio, or from price lists."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from calibration.problems import InputError
from simulator.capital_cost import levelised_usd_per_hour
from simulator.commitment import Commitment, Reservation, SpendCommitment
from simulator.plan_rates import PlanRates, Rate, rates_of
from simulator.price_cells import option_problem
from simulator.prices import PriceCatalogue, PriceError
from simulator.purchase_plan import PLAN_BY_PRICE_TYPE, PurchasePlan

Floats = npt.NDArray[np.float64]

ANY: str = "*"
"""The pool of an offer that covers several."""

OF_INSTANCES: Final = frozenset({"reserved", "committed_use"})
"""Kinds of plans that promise instances; the others promise dollars."""


@dataclass(frozen=True)
class Offer:
    """One kind of promise on fixed terms."""

    plan: str
    """Its name: a price list's (``cud_1y``), or ``committed`` where only a ratio is known."""
    kind: Literal["instances", "spend"]
    """What a unit is: an instance of the pool, or a dollar an hour."""
    pool: str
    """The pool that it covers; ``*`` for one of dollars."""
    term_h: int
    usd_per_hour: float
    """Effective price of a unit for every hour of the term; of a dollar an hour 1."""
    upfront_usd: float = 0.0
    """Part of the term's price that is paid at once, for each unit."""
    rates: Mapping[str, float] = field(default_factory=dict)
    """Of a promise of dollars: discounted price of an instance hour, by pool that it covers."""
    wide: bool = True
    """Of a promise of dollars: whether it covers any family."""
    source: str = ""
    """Where the price was read."""

    def cost_usd_per_hour(self, cost_of_capital: float) -> float:
        """Price of a unit with what paying upfront costs: the upfront part as an annuity at this rate a year.

        >>> round(Offer("all", "instances", "a", 8760, 0.60, upfront_usd=5256.0).cost_usd_per_hour(0.08), 4)
        0.648
        """
        recurring = self.usd_per_hour - self.upfront_usd / self.term_h
        return levelised_usd_per_hour(self.upfront_usd, recurring, self.term_h, cost_of_capital)

    def commitment(self, name: str, units: float, start_h: int) -> Commitment:
        """So many units of it, from one hour on, as the ledger knows them.

        >>> Offer("cud_1y", "instances", "a", 8760, 0.60).commitment("mine", 3, 0).usd_per_hour
        0.6
        """
        if self.kind == "instances":
            return Reservation(name, self.pool, units, self.usd_per_hour, start_h, self.term_h, self.upfront_usd)
        # Sums of payments may be a hair above the whole.
        upfront = min(1.0, self.upfront_usd / (self.usd_per_hour * self.term_h))
        return SpendCommitment(name, units, dict(self.rates), start_h, self.term_h, upfront, wide=self.wide)


@dataclass(frozen=True)
class Market:
    """Prices on demand, and every promise that can be had."""

    pools: tuple[str, ...]
    on_demand_usd: Floats
    """(P,) price of an instance hour on demand; 1 where only ratios are known."""
    offers: tuple[Offer, ...]
    in_dollars: bool
    """Whether prices are dollars; otherwise shares of the price on demand."""
    missing: tuple[str, ...] = ()
    """Rates that no price list has, a sentence each."""
    notes: tuple[str, ...] = ()
    """What a reader should know about the prices."""

    def of(self, pool: str) -> tuple[Offer, ...]:
        """Promises of instances of one pool, the cheapest first."""
        found = [offer for offer in self.offers if offer.kind == "instances" and offer.pool == pool]
        return tuple(sorted(found, key=lambda offer: (offer.usd_per_hour, offer.term_h)))

    def at(self, ratio: float) -> Market:
        """The same market with every price on demand multiplied: promises keep their price."""
        return Market(self.pools, self.on_demand_usd * ratio, self.offers, self.in_dollars, self.missing, self.notes)


def market_by_ratio(pools: Sequence[str], ratio: float, term_h: int) -> Market:
    """Every pool can be promised for a term at this share of its price on demand.

    Raises
    ------
    InputError
        The ratio is not between 0 and 1.

    Examples
    --------
    >>> market_by_ratio(["a"], 0.7, 8760).offers[0].usd_per_hour
    0.7
    """
    if not (math.isfinite(ratio) and 0 < ratio < 1):
        remedy = "A promise that costs as much as on demand is never worth making: give a share such as 0.70."
        raise InputError([option_problem("--price-ratio", "must be above 0 and below 1", f"{ratio:g}", remedy)])
    offers = tuple(Offer("committed", "instances", pool, term_h, ratio, source="--price-ratio") for pool in pools)
    return Market(tuple(pools), np.ones(len(pools)), offers, in_dollars=False)


def market_by_prices(
    pools: Sequence[str],
    catalogues: Sequence[PriceCatalogue],
    *,
    provider: str | None = None,
    region: str | None = None,
    plans: Sequence[str] = (),
) -> Market:
    """What can be promised for pools that are instance types, by price lists?

    Parameters
    ----------
    pools
        Names of instance types.
    catalogues
        Price lists, the user's own first.
    provider, region
        Narrow the search.
    plans
        Price types that may be bought, for instance ``cud_1y``; none named: every promise that is listed.

    Raises
    ------
    InputError
        A plan without a name; pools without a price on demand; no promise at all. All of them together.
    """
    problems = []
    wanted: list[PurchasePlan] = []
    for name in plans:
        plan = PLAN_BY_PRICE_TYPE.get(name)
        if plan is None or not plan.promises:
            known = ", ".join(key for key, each in PLAN_BY_PRICE_TYPE.items() if each.promises)
            problems.append(
                option_problem("--plan", "must be a plan that promises something", name, f"Known: {known}.")
            )
        else:
            wanted.append(plan)
    found: list[PlanRates] = []
    for pool in pools:
        asked = None if not plans else (PurchasePlan("on_demand"), *wanted)
        try:
            rates = rates_of(catalogues, pool, provider, region, asked)
        except PriceError as error:
            problems.append(option_problem("--prices", f"{pool}: {error.rule}", error.value, error.remedy))
            continue
        if rates.on_demand_usd_per_hour is None:
            rule = f"must have the price of {pool} on demand"
            problems.append(option_problem("--prices", rule, None, "Add a row of price type on_demand."))
        found.append(rates)
    if problems:
        raise InputError(problems)
    offers = promises_at((rates.instance_type, rate) for rates in found for rate in rates.promises)
    missing = [lacking.describe() for rates in found for lacking in rates.missing if lacking.plan.promises]
    if not offers:
        rule = "must list a rate of some promise for one of the pools"
        lacking_one = next(iter(missing), "")
        remedy = f"Import your provider's rates, or give --price-ratio. {lacking_one[:1].upper()}{lacking_one[1:]}"
        raise InputError([option_problem("--prices", rule, f"none for {', '.join(pools[:5])}", remedy.rstrip())])
    return Market(
        tuple(pools),
        np.array([rates.on_demand_usd_per_hour for rates in found], dtype=np.float64),
        offers,
        in_dollars=True,
        missing=tuple(missing),
        notes=tuple(dict.fromkeys(note for rates in found for note in rates.notes)),
    )


def promises_at(rates: Iterable[tuple[str, Rate]]) -> tuple[Offer, ...]:
    """What do rates of pools offer? Promises of instances one by one, then those of dollars.

    One offer of dollars is one plan of one provider with the rates of all pools that it covers: of a narrow plan those
    of one family in one region.
    """
    found = list(rates)
    reserved = [_reserved(pool, rate) for pool, rate in found if rate.plan.kind in OF_INSTANCES]
    return (*reserved, *_of_dollars([pair for pair in found if pair[1].plan.kind not in OF_INSTANCES]))


def _reserved(pool: str, rate: Rate) -> Offer:
    return Offer(
        plan=rate.plan.price_type,
        kind="instances",
        pool=pool,
        term_h=rate.plan.term_h,
        usd_per_hour=rate.usd_per_hour,
        upfront_usd=rate.upfront_usd,
        source=rate.price.describe(),
    )


def _of_dollars(found: Sequence[tuple[str, Rate]]) -> Iterator[Offer]:
    groups: dict[tuple[PurchasePlan, str, str, str], dict[str, Rate]] = {}
    for pool, rate in found:
        price = rate.price
        narrow = rate.plan.scope == "ec2_instance"
        family, region = (price.instance_type.split(".")[0], price.region) if narrow else ("", "")
        groups.setdefault((rate.plan, price.provider, family, region), {})[pool] = rate
    names = Counter(f"{plan.price_type} {family}" for plan, _, family, _ in groups)
    for (plan, provider, family, region), rates in groups.items():
        # Where the name is not enough, the place tells two apart.
        apart = f"{provider} {region}" if names[f"{plan.price_type} {family}"] > 1 else ""
        yield Offer(
            plan=" ".join(filter(None, (plan.price_type, family, apart.strip()))),
            kind="spend",
            pool=ANY,
            term_h=plan.term_h,
            usd_per_hour=1.0,
            upfront_usd=plan.term_h * max(rate.upfront_share for rate in rates.values()),
            rates={pool: rate.usd_per_hour for pool, rate in rates.items()},
            wide=not family,
            source=next(iter(rates.values())).price.describe(),
        )
