"""Which prices look like none? A spot price that copies the on-demand price, a promise that saves nothing.

Such prices can be billed, so they are imported and looked up; whoever plans with them is told.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from simulator.price_list import Price
from simulator.purchase_plan import PLAN_BY_PRICE_TYPE, PurchasePlan

NAMED: Final = 3
"""Prices that are named of each kind of oddity."""


def suspicion(price_type: str, usd_per_hour: float, on_demand_usd_per_hour: float) -> str | None:
    """What is odd about a price beside the on-demand price of the same machine? None where nothing is.

    A spot price equal to the on-demand price, or exactly a tenth of it, stands in lists where a market has none (seen
    in AWS ca-central-1 and eu-south-2). A promise that costs as much as no promise is a mistake of the list, or a
    price of another region or date.

    >>> suspicion("spot", 0.0616, 0.616)
    'spot price exactly 10 % of the on-demand price'
    >>> suspicion("cud_1y", 0.71, 0.706832)
    'committed price not below the on-demand price'
    >>> suspicion("cud_1y", 0.445304, 0.706832) is None
    True
    """
    plan = PLAN_BY_PRICE_TYPE.get(price_type)
    if plan is not None and plan.promises:
        return "committed price not below the on-demand price" if usd_per_hour >= on_demand_usd_per_hour else None
    if price_type != "spot":
        return None
    if usd_per_hour == on_demand_usd_per_hour:
        return "spot price equal to the on-demand price"
    if usd_per_hour > on_demand_usd_per_hour:
        return "spot price above the on-demand price"
    # Lists round to 4 decimals.
    if abs(usd_per_hour - 0.1 * on_demand_usd_per_hour) <= min(5e-5, 1e-3 * usd_per_hour):
        return "spot price exactly 10 % of the on-demand price"
    return None


def oddities(prices: Iterable[Price]) -> tuple[str, ...]:
    """One line for each kind of oddity among the prices of a list: beside on demand, and three years beside one."""
    machines: dict[tuple[str, str, str], list[Price]] = {}
    for price in prices:
        if price.unit == "hour":
            key = (price.provider.lower(), price.region.lower(), price.instance_type)
            machines.setdefault(key, []).append(price)
    odd: dict[str, list[str]] = {}
    for rows in machines.values():
        for kind, price in _of_one_machine(rows):
            place = f" in {price.zone or price.region}" if price.zone or price.region else ""
            odd.setdefault(kind, []).append(f"{price.instance_type}{place}")
    return tuple(odd_line(kind, where) for kind, where in odd.items())


def odd_line(kind: str, where: Sequence[str]) -> str:
    """The sentence that names the first few prices of a kind of oddity.

    >>> odd_line("spot price equal to the on-demand price", ["g5.xlarge in cac1-az1"])
    'spot price equal to the on-demand price in 1 row (g5.xlarge in cac1-az1): check it before planning with it'
    """
    rows = f"{len(where)} row{'s' * (len(where) != 1)}"
    more = ", ..." if len(where) > NAMED else ""
    return f"{kind} in {rows} ({', '.join(where[:NAMED])}{more}): check it before planning with it"


def _of_one_machine(rows: Sequence[Price]) -> list[tuple[str, Price]]:
    """Kind and price of what is odd among the prices of one machine in one region, each judged at its own date."""
    found = []
    for price in rows:
        listed = [other for other in rows if other.price_type == "on_demand" and other.as_of == price.as_of] or [
            other for other in rows if other.price_type == "on_demand"
        ]
        kind = suspicion(price.price_type, price.usd_per_hour, listed[-1].usd_per_hour) if listed else None
        if kind:
            found.append((kind, price))
    known = {(price.price_type, price.as_of): price for price in rows}
    for (price_type, as_of), price in known.items():
        plan = PLAN_BY_PRICE_TYPE.get(price_type)
        if plan is not None and plan.years == 3:
            shorter = known.get((PurchasePlan(plan.kind, plan.scope, 1, plan.payment).price_type, as_of))
            if shorter is not None and price.usd_per_hour > shorter.usd_per_hour:
                found.append(("three-year price above the one-year price", price))
    return found
