"""The controls of the budget page: where they stand for a file, and what ``--set`` would say of them."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from optimizer.budget.budget_file import BudgetQuestion
from optimizer.budget.budget_spec import BudgetSpec, Months
from optimizer.budget.offers import offers_of
from presentation.numbers import usd
from presentation.purchases import plan_words
from simulator.plan_rates import rates_of
from simulator.prices import PriceError, load_catalogue, shipped_catalogue
from simulator.purchase_plan import PLAN_BY_PRICE_TYPE
from simulator.wording import percent

AS_FORECAST: Final = "as forecast"

GROWTHS: Final = (AS_FORECAST, *(f"{share:+d}%" for share in (-50, -30, -20, -10, 0, 10, 20, 30, 50, 100, 200)))
"""Growth a year that can be stated for all workloads."""

FUTURES: Final = (10, 20, 50, 100, 200, 500)

CUT: Final = "price cut"
"""Name of a price cut that a file does not have."""


@dataclass(frozen=True)
class Controls:
    """Where the controls stand."""

    months: int
    plans: tuple[str, ...]
    measure: str
    weight: float
    growth: str
    cut_percent: int
    futures: int


def controls_of(question: BudgetQuestion) -> Controls:
    """The file's own values."""
    spec = question.spec
    cut = round(100 * spec.price_cuts[0].share) if spec.price_cuts else 0
    yearly = {spec.growth[name].yearly for name in spec.growth}
    same = len(yearly) == 1 and set(spec.growth) == set(question.workloads)
    growth = growth_text(yearly.pop()) if same else AS_FORECAST
    return Controls(spec.horizon.months, spec.purchases, spec.risk.measure, spec.risk.weight, growth, cut, spec.paths)


def growth_text(yearly: float) -> str:
    """A growth as the control has it.

    >>> growth_text(0.3), growth_text(-0.1), growth_text(0.0)
    ('+30%', '-10%', '+0%')
    """
    return f"{round(100 * yearly):+d}%"


def changes(question: BudgetQuestion, now: Controls) -> tuple[str, ...]:
    """What was moved, as ``--set`` would say it.

    What-ifs that begin after the end of a shorter budget are left out with it.
    """
    own, spec = controls_of(question), question.spec
    said: list[str] = []
    if now.months != own.months:
        said.append(f"budget.horizon={now.months}mo")
    if now.plans != own.plans:
        said.append(f"budget.purchases=[{', '.join(now.plans)}]")
    if now.measure != own.measure:
        said.append(f"budget.risk.measure={now.measure}")
    if now.weight != own.weight:
        said.append(f"budget.risk.weight={now.weight:g}")
    if now.growth != own.growth:
        stated = {} if now.growth == AS_FORECAST else {"yearly": int(now.growth.rstrip("%")) / 100}
        said.append(f"budget.growth={_flow(dict.fromkeys(question.workloads, stated) if stated else {})}")
    end = Months(now.months).after(spec.start)
    cuts = _cuts(spec, now, end)
    if cuts is not None:
        said.append(f"budget.price_cuts={_flow(cuts)}")
    courses = [one for one in spec.demand_scenarios if one.first < end]
    if len(courses) < len(spec.demand_scenarios):
        said.append(f"budget.demand_scenarios={_flow([_written(one) for one in courses])}")
    if now.futures != own.futures:
        said.append(f"budget.paths={now.futures}")
    return tuple(said)


def _cuts(spec: BudgetSpec, now: Controls, end: dt.date) -> list[dict[str, Any]] | None:
    """The price cuts with the first one's share as the control says; None where nothing changes."""
    own = [_written(one) for one in spec.price_cuts]
    cuts = [dict(one) for one in own]
    if cuts and cuts[0]["share"] * 100 != now.cut_percent and round(cuts[0]["share"] * 100) != now.cut_percent:
        cuts[0]["share"] = now.cut_percent / 100
    elif not cuts and now.cut_percent:
        cuts = [{"name": CUT, "first": middle(spec, now.months).isoformat(), "share": now.cut_percent / 100}]
    cuts = [one for one in cuts if one["share"] > 0 and one["first"] < end.isoformat()]
    return None if cuts == own else cuts


def middle(spec: BudgetSpec, months: int) -> dt.date:
    """First day of the second half of a budget, when a price cut begins that the file does not have."""
    return Months(months // 2).after(spec.start) if months > 1 else spec.start


def _written(entry: Any) -> dict[str, Any]:
    """An entry as a file writes it, without what it leaves at the default."""
    return dict(entry.model_dump(mode="json", by_alias=True, exclude_defaults=True))


def _flow(value: Any) -> str:
    """A value as YAML on one line."""
    return json.dumps(value)


def plans_on_offer(question: BudgetQuestion) -> dict[str, str]:
    """Purchase plans that a type of the candidates has a rate for, by name, in words; the file's own first."""
    own = question.plan.file.prices
    catalogues = (*(() if own is None else (load_catalogue(own),)), shipped_catalogue())
    plans = [plan for plan in PLAN_BY_PRICE_TYPE.values() if plan.promises]
    known: dict[str, None] = dict.fromkeys(question.spec.purchases)
    for one in offers_of(question).types:
        try:
            rates = rates_of(catalogues, one.listed, one.provider or None, one.region or None, plans)
        except PriceError:
            continue
        known |= {rate.plan.price_type: None for rate in rates.known if rate.usd_per_hour < one.usd_per_hour}
    return {name: plan_words(PLAN_BY_PRICE_TYPE[name], None) for name in known}


def offer_rows(question: BudgetQuestion) -> list[dict[str, str]]:
    """What each machine costs on demand and promised, and from which use on a promise pays."""
    offers = offers_of(question)
    rows = []
    for one in offers.types:
        row = {"machine": one.name, "on demand": f"{usd(one.usd_per_hour)}/h"}
        for plan in question.spec.purchases:
            found = next((offer for offer in offers.market.of(one.name) if offer.plan == plan), None)
            row[plan_words(PLAN_BY_PRICE_TYPE[plan], None)] = (
                "no rate"
                if found is None
                else f"{usd(found.usd_per_hour)}/h, pays from {percent(found.usd_per_hour / one.usd_per_hour)} use"
            )
        rows.append(row)
    return rows


def command(name: str, overrides: Sequence[str]) -> str:
    """The same by the command line.

    >>> command("budget.yaml", ["budget.horizon=6mo"])
    'optimize budget.yaml --set budget.horizon=6mo'
    """
    from shlex import quote

    return " ".join(["optimize", quote(name), *(f"--set {quote(one)}" for one in overrides)])
