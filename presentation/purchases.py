"""Ways to buy the instances of a fleet, as far as the price list has a price: at the fleet, or as a commitment."""

from __future__ import annotations

from typing import Final

from presentation.numbers import usd
from simulator.prices import Price, PriceError, find_price, shipped_catalogue
from simulator.purchase_plan import PLAN_BY_PRICE_TYPE, PurchasePlan
from simulator.scenario import Scenario

COMMITMENT: Final = "what-if"
"""Name of the commitment that the control adds to the scenario."""


def ways_to_buy(scenario: Scenario, fleet: str, instance_type: str) -> dict[str, str]:
    """How can this machine be bought? By its name in a price list, with what to say of each.

    The fleet's own way is always among them, and the first is what the fleet does.
    """
    spec = scenario.fleets[fleet]
    own = spec.purchase.plan
    found: dict[str, str] = {own: plan_words(PLAN_BY_PRICE_TYPE[own], None)}
    for row in shipped_catalogue().by_type.get(instance_type, ()):
        plan = PLAN_BY_PRICE_TYPE.get(row.price_type)
        price = None if plan is None else _price(row, spec.provider, spec.region)
        if plan is not None and price is not None and plan.kind not in ("serverless", "capacity_block"):
            found[row.price_type] = plan_words(plan, price.usd_per_hour)
    return found


def bought_as(scenario: Scenario, fleet: str, instance_type: str, instances: int, way: str) -> list[str]:
    """What ``--set`` would say to buy all instances of the fleet so."""
    plan = PLAN_BY_PRICE_TYPE[way]
    if not plan.promises:
        return [f"fleets.{fleet}.purchase={way}"]
    terms = {"plan": plan.kind, "term": f"{plan.years}y"}
    if plan.payment != "no_upfront":
        terms["payment"] = plan.payment
    if plan.kind in ("reserved", "committed_use"):
        terms |= {"instance_type": instance_type, "units": str(instances)}
    else:
        spec = scenario.fleets[fleet]
        price = find_price([shipped_catalogue()], instance_type, spec.provider, spec.region, way)
        terms |= {"spend_usd_per_hour": f"{price.usd_per_hour * instances:.6g}"}
        terms |= {"scope": plan.scope} if plan.scope else {}
        terms |= {"instance_family": instance_type.partition(".")[0]} if plan.scope == "ec2_instance" else {}
    said = [f"commitments.{COMMITMENT}={{{', '.join(f'{key}: {value}' for key, value in terms.items())}}}"]
    # A commitment lowers the price of what runs on demand, and of nothing else.
    own = scenario.fleets[fleet].purchase.plan
    return said if own == "on_demand" else [f"fleets.{fleet}.purchase=on_demand", *said]


def _price(row: Price, provider: str | None, region: str | None) -> Price | None:
    try:
        return find_price([shipped_catalogue()], row.instance_type, provider, region, row.price_type)
    except PriceError:
        return None


def plan_words(plan: PurchasePlan, usd_per_hour: float | None) -> str:
    """A way to buy in words.

    >>> plan_words(PLAN_BY_PRICE_TYPE["cud_1y"], 0.445304), plan_words(PLAN_BY_PRICE_TYPE["on_demand"], None)
    ('committed use, 1 year · $0.445/h', 'on demand')
    >>> plan_words(PLAN_BY_PRICE_TYPE["savings_plan_compute_3y_all_upfront"], None)
    'savings plan (compute), 3 years, all upfront'
    """
    words = plan.kind.replace("_", " ") + (f" ({plan.scope.replace('_', ' ')})" if plan.scope else "")
    if plan.promises:
        words += f", {plan.years} year{'s' * (plan.years > 1)}"
        words += f", {plan.payment.replace('_', ' ')}" if plan.payment != "no_upfront" else ""
    return words + (f" · {usd(usd_per_hour)}/h" if usd_per_hour is not None else "")
