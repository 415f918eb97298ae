"""What can be bought of every instance type, at which price, and which rates are missing?

A rate that no price list has is named, never guessed: the type is then bought on demand, or on the plans that have one.
A plan of which no type has a rate stops the budget: whoever named it meant to use it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from calibration.problems import InputError, Problem
from simulator.commitment import Reservation
from simulator.price_list import Price
from simulator.prices import PriceCatalogue, PriceError, find_price, load_catalogue, shipped_catalogue
from simulator.purchase_plan import PLAN_BY_PRICE_TYPE, PurchasePlan

if TYPE_CHECKING:
    from optimizer.budget.budget_file import BudgetQuestion
    from optimizer.plan_spec import Candidate


@dataclass(frozen=True)
class Offer:
    """An instance type on a plan."""

    pool: str
    """The instance type, as :attr:`InstanceType.name`."""
    plan: PurchasePlan
    usd_per_hour: float
    """Effective price of an instance for every hour of the term, used or not."""
    upfront_usd: float
    """Part of the term's price that is paid at once."""
    source: str
    """Where the price is from: place, date, list."""

    def reservation(self, name: str, units: float, start_h: int) -> Reservation:
        """Promise so many units from an hour on."""
        return Reservation(
            name=name,
            instance_type=self.pool,
            units=units,
            usd_per_hour=self.usd_per_hour,
            start_h=start_h,
            term_h=self.plan.term_h,
            upfront_usd=self.upfront_usd,
        )


@dataclass(frozen=True)
class InstanceType:
    """A kind of machine that candidates of the plan are, with one price on demand."""

    name: str
    """The provider's name of it, with what tells two of that name apart; a candidate's own name where it has none."""
    candidates: tuple[str, ...]
    """Those that are of this type."""
    usd_per_hour: float
    """Price on demand."""
    note: str
    """Where that price is from."""
    provider: str
    region: str


@dataclass(frozen=True)
class Offers:
    """Everything that can be bought, and what is missing."""

    types: tuple[InstanceType, ...]
    """J kinds of machines."""
    offers: tuple[Offer, ...]
    """What may be promised of them."""
    missing: tuple[str, ...]
    """Rates that no price list has, a sentence each."""

    def of(self, pool: str) -> tuple[Offer, ...]:
        """What may be promised of one type."""
        return tuple(offer for offer in self.offers if offer.pool == pool)

    def type_of(self, candidate: str) -> int:
        """Index of the type that a candidate is of."""
        return next(place for place, one in enumerate(self.types) if candidate in one.candidates)


def offers_of(question: BudgetQuestion) -> Offers:
    """What can be bought for this budget?

    Raises
    ------
    InputError
        A plan that no type has a rate of, a rate that is dearer than on demand, or several different ones.
    """
    own = question.plan.file.prices
    catalogues = (*(() if own is None else (load_catalogue(own),)), shipped_catalogue())
    types = tuple(_types(question, catalogues))
    offers: list[Offer] = []
    missing: list[str] = []
    problems: list[Problem] = []
    for number, name in enumerate(question.spec.purchases):
        plan, place = PLAN_BY_PRICE_TYPE[name], f"budget.purchases.{number}"
        found: list[Offer] = []
        lacking: list[str] = []
        for one in types:
            try:
                price = find_price(catalogues, one.name.split(" ")[0], one.provider or None, one.region or None, name)
            except PriceError as error:
                if "several" in error.rule:
                    problems.append(question.problem(place, error.rule, error.value, error.remedy))
                lacking.append(one.name)
                continue
            if price.usd_per_hour >= one.usd_per_hour:
                rule = f"costs {price.usd_per_hour:g} USD/h of {one.name}, on demand it is {one.usd_per_hour:g}"
                problems.append(question.problem(place, rule, name, "Mend the price list: a promise earns a discount."))
            else:
                found.append(_offer(one, plan, price))
        offers += found
        missing += [f"{pool} has no {name} rate in any price list: none is bought of it" for pool in lacking]
        if not found and not problems:
            rule = f"must have a rate for one of the candidates' types ({', '.join(lacking)})"
            remedy = (
                "Add the rate to your price list (prices:), or leave the plan out: a missing rate is never guessed."
            )
            problems.append(question.problem(place, rule, name, remedy))
    if problems:
        raise InputError(problems)
    return Offers(types, tuple(offers), tuple(missing))


def _offer(one: InstanceType, plan: PurchasePlan, price: Price) -> Offer:
    upfront = price.upfront_usd or 0.0
    if price.upfront_usd is None and plan.payment == "all_upfront":
        upfront = price.usd_per_hour * plan.term_h
    elif price.upfront_usd is None and plan.payment == "partial_upfront":
        upfront = price.usd_per_hour * plan.term_h / 2
    return Offer(one.name, plan, price.usd_per_hour, upfront, price.describe())


def _types(question: BudgetQuestion, catalogues: tuple[PriceCatalogue, ...]) -> list[InstanceType]:
    """Machines of the candidates; those of one type, place and price are one."""
    groups: dict[tuple[str, str, str, float], list[Candidate]] = {}
    for candidate in question.plan.candidates:
        price = question.plan.prices[candidate.name].usd_per_hour
        name = candidate.instance_type or candidate.name
        provider, region = candidate.provider or "", candidate.region or ""
        if candidate.instance_type is not None and candidate.usd_per_hour is None:
            found = find_price(catalogues, name, candidate.provider, candidate.region)
            provider, region = provider or found.provider, region or found.region
        groups.setdefault((name, provider, region, price), []).append(candidate)
    found_types: list[InstanceType] = []
    names: Mapping[str, int] = {
        name: sum(key[0] == name for key in groups) for name in dict.fromkeys(key[0] for key in groups)
    }
    for (name, provider, region, price), members in groups.items():
        unique = name if names[name] == 1 else f"{name} ({members[0].name})"
        note = question.plan.prices[members[0].name].note
        listed = tuple(candidate.name for candidate in members)
        found_types.append(InstanceType(unique, listed, price, note, provider, region))
    return found_types
