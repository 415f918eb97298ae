"""Which purchase plans can an instance type be bought on, at what rates, and which rates are not known?

A plan whose rate is not listed is named as missing, with how to get it; it is never estimated from another plan, type,
region or date. All rates of an answer are of one provider and one region: a commitment is compared with the on-demand
price that it replaces. The discount is not capacity: no plan here keeps machines free but a capacity block.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from simulator.price_checks import suspicion
from simulator.price_list import Price
from simulator.prices import PriceCatalogue, PriceError, find_price, same_name
from simulator.purchase_plan import PLANS, PurchasePlan

SPREAD_DAYS: Final = 92
"""Prices whose dates are further apart than a quarter are said to be of different dates."""

PARTIAL_SHARE: Final = 0.5
"""Share of the term's price that a partial upfront payment is taken to be where the list states no amount: AWS asks
at least half of it for a savings plan and about half for a reservation. Nothing but the day of payment rests on it."""

_SOLD: Final = {
    "aws": ("on_demand", "spot", "reserved", "savings_plan"),
    "gcp": ("on_demand", "spot", "committed_use", "spend_commitment"),
    "azure": ("on_demand", "spot", "reserved", "savings_plan"),
}
"""Kinds of plan that a provider sells for its machines in general; capacity blocks and serverless are for some."""

_HOW: Final = {
    ("aws", "reserved"): "Fetch AWS's EC2 price list of the region: simulate import-prices aws-price-list",
    ("aws", "savings_plan"): "Fetch AWS's savings-plan price list of the region: simulate import-prices "
    "aws-savings-plan --price-list",
    ("aws", "on_demand"): "Fetch AWS's EC2 price list of the region: simulate import-prices aws-price-list",
    ("aws", "spot"): "Take it from aws ec2 describe-spot-price-history, or simulate import-prices skypilot",
    ("aws", "capacity_block"): "Take it from aws ec2 describe-capacity-block-offerings",
    ("gcp", "on_demand"): "Take it from Google's billing catalogue",
    ("gcp", "spot"): "Take it from Google's spot price page, or simulate import-prices skypilot",
    ("gcp", "committed_use"): "Take it from Google's billing catalogue; not every machine type has one",
    ("gcp", "spend_commitment"): "Take your discount from Google's flexible committed-use page; most GPUs have none",
    ("azure", "reserved"): "Take it from Azure's retail price API (priceType Reservation), divided by the term's hours",
    ("azure", "savings_plan"): "Take it from Azure's retail price API (savingsPlan)",
}


@dataclass(frozen=True)
class Rate:
    """What an instance costs on a plan."""

    plan: PurchasePlan
    """The terms."""
    usd_per_hour: float
    """Effective price of an instance hour, upfront part included; above 0."""
    upfront_usd: float
    """Part of the term's price that is paid at once, for each instance; 0 where the plan promises nothing."""
    price: Price
    """The row it was read from, with its date, source and place."""
    on_demand_usd_per_hour: float | None = None
    """On-demand price of the same machine in the same place, where it is known."""

    @property
    def ratio(self) -> float | None:
        """Share of the on-demand price, which is the utilisation above which the plan pays off; None if unknown.

        >>> from simulator.prices import shipped_catalogue
        >>> rates = rates_of([shipped_catalogue()], "g2-standard-4")
        >>> round(rates.of(PurchasePlan("committed_use", years=3)).ratio, 3)
        0.45
        """
        return None if self.on_demand_usd_per_hour is None else self.usd_per_hour / self.on_demand_usd_per_hour

    @property
    def upfront_share(self) -> float:
        """Share of the term's price that is paid at once: 0, about 0.5, or 1."""
        return self.upfront_usd / (self.usd_per_hour * self.plan.term_h) if self.plan.promises else 0.0


@dataclass(frozen=True)
class MissingRate:
    """A rate that no price list has."""

    plan: PurchasePlan
    """The terms."""
    instance_type: str
    provider: str
    """Blank where it is not known who rents the type out."""
    region: str
    """Blank where it is not known which region is meant."""
    how: str
    """How to get it: a sentence without a full stop."""

    def describe(self) -> str:
        """One sentence for a report.

        >>> MissingRate(PurchasePlan("spot"), "p5.48xlarge", "aws", "us-east-1", "Take it from your bill").describe()
        'the spot rate of p5.48xlarge in aws us-east-1 is in no price list: take it from your bill.'
        """
        place = f" in {f'{self.provider} {self.region}'.strip()}" if self.provider or self.region else ""
        how = f"{self.how[0].lower()}{self.how[1:]}"
        return f"the {self.plan.price_type} rate of {self.instance_type}{place} is in no price list: {how}."


@dataclass(frozen=True)
class PlanRates:
    """Every rate of an instance type that price lists have, and those they lack."""

    instance_type: str
    known: tuple[Rate, ...]
    """In the order of the plans that were asked for."""
    missing: tuple[MissingRate, ...]
    notes: tuple[str, ...] = ()
    """What a reader must know before planning with these rates: a promise that saves nothing, old prices, dates and
    lists that are mixed, payments that are assumed."""

    @cached_property
    def by_plan(self) -> dict[PurchasePlan, Rate]:
        """Known rates by their plans."""
        return {rate.plan: rate for rate in self.known}

    @property
    def on_demand_usd_per_hour(self) -> float | None:
        """Price of an hour on demand, where it is known."""
        rate = self.by_plan.get(PurchasePlan("on_demand"))
        return None if rate is None else rate.usd_per_hour

    @property
    def promises(self) -> tuple[Rate, ...]:
        """Known rates of plans that are paid for used or not, the cheapest first."""
        return tuple(sorted((rate for rate in self.known if rate.plan.promises), key=lambda rate: rate.usd_per_hour))

    def of(self, plan: PurchasePlan) -> Rate:
        """Look the rate of a plan up.

        Raises
        ------
        PriceError
            It is missing; the message says how to get it.
        """
        if plan in self.by_plan:
            return self.by_plan[plan]
        how = next((missing.how for missing in self.missing if missing.plan == plan), _how("", plan))
        listed = ", ".join(rate.plan.price_type for rate in self.known) or "nothing"
        rule = f"{self.instance_type} must have a {plan.price_type} rate, the price lists have {listed}"
        raise PriceError("instance_type", rule, None, f"{how}, and add it to your price list (prices:).")


def rates_of(
    catalogues: Sequence[PriceCatalogue],
    instance_type: str,
    provider: str | None = None,
    region: str | None = None,
    plans: Sequence[PurchasePlan] | None = None,
    *,
    today: dt.date | None = None,
) -> PlanRates:
    """On which plans can this instance type be bought, and at what rates?

    Parameters
    ----------
    catalogues
        Asked in order for each rate, as :func:`simulator.prices.find_price` does.
    instance_type
        The provider's name of the machine.
    provider, region
        Narrow the search. Where they are not given, the place of the on-demand price is taken for all plans.
    plans
        Plans to look for, each of them known or missing in the answer; None for every plan that the provider sells
        for instance types in general, and any other that is listed.
    today
        Day on which prices older than half a year are noted; None for no note.

    Raises
    ------
    PriceError
        No price list knows the type in that place, or the place must be told: a price differs between regions.

    Examples
    --------
    >>> from simulator.prices import shipped_catalogue
    >>> rates = rates_of([shipped_catalogue()], "g6.xlarge")
    >>> [rate.plan.price_type for rate in rates.known], len(rates.missing)
    (['on_demand'], 19)
    """
    place = _place(catalogues, instance_type, provider, region)
    wanted = PLANS if plans is None else tuple(plans)
    on_demand = _listed(catalogues, instance_type, place, PurchasePlan("on_demand"))
    beside = None if on_demand is None else on_demand.usd_per_hour
    known, missing = [], []
    for plan in wanted:
        price = _listed(catalogues, instance_type, place, plan)
        if price is not None:
            upfront = _upfront_usd(price, plan)
            known.append(Rate(plan, price.usd_per_hour, upfront, price, beside))
        elif plans is not None or _sells(place[0] or "", plan):
            missing.append(MissingRate(plan, instance_type, place[0] or "", place[1] or "", _how(place[0] or "", plan)))
    names = {catalogue.prices[0].file: catalogue.name for catalogue in catalogues if catalogue.prices}
    notes = _notes(instance_type, known, on_demand, names, today)
    return PlanRates(instance_type, tuple(known), tuple(missing), notes)


def _place(
    catalogues: Sequence[PriceCatalogue], instance_type: str, provider: str | None, region: str | None
) -> tuple[str | None, str | None]:
    """Provider and region that all rates are looked up in: those asked for, else those of the on-demand price."""
    rows = [
        price
        for catalogue in catalogues
        for price in catalogue.by_type.get(instance_type, ())
        if price.unit == "hour"
        and (provider is None or same_name(price.provider, provider))
        and (region is None or not price.region or same_name(price.region, region))
    ]
    if not any(price.price_type == "on_demand" for price in rows) and rows:
        providers = {price.provider.lower(): price.provider for price in rows}
        regions = {price.region.lower(): price.region for price in rows if price.region}
        if len(providers) > 1 or len(regions) > 1:
            key = "provider" if len(providers) > 1 else "region"
            names = ", ".join(sorted(providers.values() if len(providers) > 1 else regions.values()))
            rule = f"{instance_type} must be looked up in one {key}, it is listed in {names} without an on-demand price"
            raise PriceError(key, rule, None, f"Choose one with {key}: beside instance_type:.")
        return next(iter(providers.values())), region or next(iter(regions.values()), None)
    found = find_price(catalogues, instance_type, provider, region)
    return found.provider, region or found.region or None


def _listed(
    catalogues: Sequence[PriceCatalogue], instance_type: str, place: tuple[str | None, str | None], plan: PurchasePlan
) -> Price | None:
    """The price of a plan in a place, or None where none is listed; several that differ are an error."""
    provider, region = place
    there = any(
        price.price_type == plan.price_type
        and price.unit == "hour"
        and (provider is None or same_name(price.provider, provider))
        and (region is None or not price.region or same_name(price.region, region))
        for catalogue in catalogues
        for price in catalogue.by_type.get(instance_type, ())
    )
    return find_price(catalogues, instance_type, provider, region, plan.price_type) if there else None


def _sells(provider: str, plan: PurchasePlan) -> bool:
    """Whether a provider sells a plan for its instance types in general; one that is not known may sell any."""
    kinds = _SOLD.get(provider.lower())
    if kinds is None:
        return plan.kind in {"on_demand", "spot", "reserved"}
    if plan.kind not in kinds:
        return False
    if provider.lower() == "azure":  # paid monthly or at once, for the same price; its savings plan covers any machine
        return plan.payment != "partial_upfront" and plan.scope != "ec2_instance"
    return True


def _how(provider: str, plan: PurchasePlan) -> str:
    """How to get a rate: a sentence without a full stop."""
    known = _HOW.get((provider.lower(), plan.kind))
    return known or f"Write it as a row with price_type {plan.price_type} in your own price list"


def _upfront_usd(price: Price, plan: PurchasePlan) -> float:
    """What of a rate is paid at once: as listed, else as the payment option says."""
    if not plan.promises:
        return 0.0
    if price.upfront_usd is not None:
        return min(price.upfront_usd, price.usd_per_hour * plan.term_h)
    share = {"no_upfront": 0.0, "partial_upfront": PARTIAL_SHARE, "all_upfront": 1.0}[plan.payment]
    return share * price.usd_per_hour * plan.term_h


def _notes(
    instance_type: str,
    known: Sequence[Rate],
    on_demand: Price | None,
    names: Mapping[str, str],
    today: dt.date | None,
) -> tuple[str, ...]:
    """What a reader must know before planning with these rates."""
    notes = []
    for rate in known:
        name = rate.plan.price_type
        kind = suspicion(name, rate.usd_per_hour, on_demand.usd_per_hour) if on_demand else None
        if kind and on_demand:
            prices = f"{rate.usd_per_hour:g} beside {on_demand.usd_per_hour:g} USD/h"
            notes.append(f"{instance_type}: {kind} ({name}, {prices}): check it before planning with it")
        if rate.plan.payment == "partial_upfront" and rate.price.upfront_usd is None:
            notes.append(
                f"{instance_type}: {name} states no upfront_usd; {PARTIAL_SHARE:.0%} of the term's price is taken to "
                "be paid at the start"
            )
        age = rate.price.age_note(today) if today else None
        if age:
            notes.append(f"{instance_type}: the {name} {age}")
    if on_demand is None and known:
        notes.append(f"{instance_type}: no on-demand price is listed, so no saving can be told")
    elif on_demand is not None:
        notes += _mixtures(instance_type, [rate.price for rate in known if rate.plan.promises], on_demand, names)
    return tuple(notes)


def _mixtures(instance_type: str, promised: Sequence[Price], on_demand: Price, names: Mapping[str, str]) -> list[str]:
    """Whether promises are compared with an on-demand price of another date or another list."""
    notes = []
    apart = [price for price in promised if abs((price.as_of_day - on_demand.as_of_day).days) > SPREAD_DAYS]
    if apart:
        dates = ", ".join(f"{price.price_type} {price.as_of}" for price in apart)
        notes.append(
            f"{instance_type}: rates of different dates are compared: on_demand {on_demand.as_of}, {dates}; prices "
            "may have moved between them"
        )
    others = sorted({names.get(price.file, price.file) for price in promised if price.file != on_demand.file})
    if others and on_demand.file:
        own = names.get(on_demand.file, on_demand.file)
        notes.append(
            f"{instance_type}: the on-demand price is of {own}, committed rates are of {', '.join(others)}; a price "
            "agreed with the provider may change those too"
        )
    return notes
