"""What should a reader know before trusting a bill with commitments, discounts or spot instances in it?

Each question is one function that gives a code and a sentence, or nothing. None of them changes a number.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from simulator.bought import Bought, place
from simulator.purchase_report import CommitmentLine, PurchaseReport
from simulator.wording import percent

if TYPE_CHECKING:
    from simulator.scenario import Fleet, Scenario

MOSTLY: Final = 0.5
"""Utilisation below which a commitment is said to be mostly unused."""


def purchase_cautions(scenario: Scenario, purchases: Bought, report: PurchaseReport) -> Iterator[tuple[str, str]]:
    """Everything the reader should know about the purchases, the dearest first: codes and sentences."""
    for name, line in report.commitments.items():
        yield from _commitment(name, line)
    for name, notes in purchases.rate_notes.items():
        for note in notes:
            yield "commitment_rate", f"commitment {name}: {note}."
    for name, fleet in scenario.fleets.items():
        if fleet.purchase.plan == "spot":
            yield from _spot(name, fleet, purchases)
        if fleet.purchase.plan == "serverless":
            yield (
                "serverless",
                f"{name} is paid by the request: its latency is that of {fleet.instances} simulated "
                f"instance{'s' * (fleet.instances > 1)} that are always up, without the cold starts and queues of the "
                "provider.",
            )
    yield from _idle_discounts(scenario, purchases)


def _commitment(name: str, line: CommitmentLine) -> Iterator[tuple[str, str]]:
    """Is a commitment dearer than doing without it, and is that for its rate or for its use?"""
    pays = line.break_even_utilisation
    used = f"commitment {name} is used to {percent(line.utilisation)} at this load"
    unused = f"{_usd(line.unused_usd_per_hour)} of {_usd(line.usd_per_hour)} an hour are paid for nothing"
    if pays is not None and pays >= 1:
        yield (
            "commitment_above_on_demand",
            f"the rate of commitment {name} is {pays:.2f} times what it replaces: it costs more than on demand however "
            "much it is used.",
        )
    elif line.saved_usd_per_hour < 0:
        why = f"it pays from {percent(pays)} on" if pays is not None else "it covers no fleet of this scenario"
        yield (
            "commitment_loses",
            f"{used}, where {why}: {unused}, and together they cost {_usd(-line.saved_usd_per_hour)} an hour more "
            "than buying on demand.",
        )
    elif line.utilisation < MOSTLY:
        yield "commitment_unused", f"{used}: {unused}."


def _spot(name: str, fleet: Fleet, purchases: Bought) -> Iterator[tuple[str, str]]:
    """What does the simulated run of a spot fleet leave out?"""
    restarts = purchases.restarts.get(name)
    told = (
        f"{name} runs on spot instances: no interruption is simulated, so the latencies are those of hours without one"
    )
    if restarts is None:
        yield (
            "spot_interruptions",
            f"{told}, and its cost holds no restart either. Say how often instances are taken back and how long a "
            "replacement is billed before it serves: purchase: {plan: spot, interruption_rate: 0.01, restart: 5min}.",
        )
    else:
        hourly = restarts.interruption_rate * fleet.instances
        missing = hourly * restarts.restart_h
        others = fleet.instances - 1
        left = {0: "nothing serves", 1: "the other one carries the load"}.get(
            others, f"the other {others} carry the load"
        )
        yield (
            "spot_interruptions",
            f"{told}. About {hourly:.3g} interruptions an hour are to be expected in it, each with the requests of an "
            f"instance lost, and {left} for {60 * restarts.restart_h:g} min: {percent(min(1.0, missing))} of the time.",
        )
    beside, price = purchases.beside_spot.get(name), purchases.prices[name].usd_per_hour
    if beside is not None and price >= beside:
        yield (
            "spot_not_cheaper",
            f"the spot price of {name} ({price:g} USD/h) is not below the on-demand price ({beside:g} USD/h): price "
            "lists repeat the on-demand price where they have no spot price.",
        )


def _idle_discounts(scenario: Scenario, purchases: Bought) -> Iterator[tuple[str, str]]:
    """Which discounts are off nothing?"""
    for name, discount in scenario.discounts.items():
        reached = False
        for fleet_name, fleet in scenario.fleets.items():
            listed_row = purchases.prices[fleet_name].listed if fleet_name in purchases.prices else None
            provider = fleet.provider or (listed_row.provider if listed_row is not None else None)
            reached |= (
                fleet.purchase.plan == "on_demand"
                and discount.instance_type in (None, fleet.instance_type)
                and place(discount.provider) in ("", place(provider))
                and place(discount.region) in ("", place(fleet.region))
            )
        if not reached:
            yield "discount_unused", f"discount {name} is off nothing: no fleet on demand is of its kind."


def _usd(amount: float) -> str:
    return f"${amount:,.2f}" if amount >= 0.1 else f"${amount:.3g}"
