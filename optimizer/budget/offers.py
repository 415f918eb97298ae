"""What can be bought of every instance type, at which price, and which rates are missing?

A rate that no price list has is named, never guessed: the type is then bought on demand, or on the plans that have one.
A plan of which no type has a rate stops the budget: whoever named it meant to use it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from calibration.problems import InputError, Problem
from optimizer.commitments.offers import Market, promises_at
from simulator.plan_rates import Rate, rates_of
from simulator.prices import PriceCatalogue, PriceError, find_price, load_catalogue, shipped_catalogue
from simulator.purchase_plan import PLAN_BY_PRICE_TYPE

if TYPE_CHECKING:
    from optimizer.budget.budget_file import BudgetQuestion
    from optimizer.plan_spec import Candidate


@dataclass(frozen=True)
class InstanceType:
    """A kind of machine that candidates of the plan are, with one price on demand."""

    name: str
    """The provider's name of it, with what tells two of that name apart; a candidate's own name where it has none."""
    listed: str
    """The provider's name of it alone, as price lists have it."""
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
    """P kinds of machines: the pools of the market."""
    market: Market
    """What an hour costs on demand, and what may be promised."""
    missing: tuple[str, ...] = ()
    """Rates that no price list has, a sentence each."""

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
    plans = [PLAN_BY_PRICE_TYPE[name] for name in question.spec.purchases]
    found: list[tuple[InstanceType, Rate]] = []
    missing: list[str] = []
    notes: list[str] = []
    problems: list[Problem] = []
    for one in types if plans else ():
        try:
            rates = rates_of(catalogues, one.listed, one.provider or None, one.region or None, plans)
        except PriceError as error:
            if error.key in {"provider", "region"}:
                problems.append(question.problem("budget.purchases", error.rule, error.value, error.remedy))
            missing.append(f"{one.name} is in no price list: nothing can be promised of it")
            continue
        missing += [rate.describe() for rate in rates.missing]
        notes += [note for note in rates.notes if "on-demand" not in note]
        for rate in rates.known:
            if rate.usd_per_hour < one.usd_per_hour:
                found.append((one, rate))
                continue
            place = f"budget.purchases.{plans.index(rate.plan)}"
            rule = f"costs {rate.usd_per_hour:g} USD/h of {one.name}, and on demand it is {one.usd_per_hour:g}"
            remedy = "Mend the price list, or leave the plan out: a promise earns a discount."
            problems.append(question.problem(place, rule, rate.plan.price_type, remedy))
    for number, plan in enumerate(plans):
        if not problems and not any(rate.plan == plan for _, rate in found):
            rule = f"must have a rate for one of the candidates' types ({', '.join(one.name for one in types)})"
            remedy = "Add the rate to your price list (prices:), or leave it out: a missing rate is never guessed."
            problems.append(question.problem(f"budget.purchases.{number}", rule, plan.price_type, remedy))
    if problems:
        raise InputError(problems)
    market = Market(
        pools=tuple(one.name for one in types),
        on_demand_usd=np.array([one.usd_per_hour for one in types]),
        offers=promises_at((one.name, rate) for one, rate in found),
        in_dollars=True,
        missing=tuple(missing),
        notes=tuple(dict.fromkeys(notes)),
    )
    return Offers(types, market, tuple(missing))


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
        of_it = tuple(candidate.name for candidate in members)
        found_types.append(InstanceType(unique, name, of_it, price, note, provider, region))
    return found_types
