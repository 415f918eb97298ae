"""What would the provider bill for these fleets, with what was promised to it? One hour, settled by the ledger.

A run has the same instances in every hour, so one hour says what all of them cost, and a run of minutes bills its share
of it. The hour goes through the ledger that budgets and recommendations go through too (:mod:`simulator.ledger`): it
decides what covers what. Here its amounts are given back to the fleets that caused them:

effective cost = fleets (covered hours at committed rates, the rest as contracted; spot with its restarts)
               + what commitments and blocks are paid for without being used
               + reserved capacity that stands idle
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from simulator.billing import HOURS_PER_MONTH, always_on, bill_fleet, spot_usd_per_hour
from simulator.bought import Bought, in_block, place, runs_in
from simulator.commitment import Commitment, Reservation
from simulator.description import FleetCost
from simulator.discount_tiers import DiscountTiers
from simulator.ledger import Ledger, Rates, Usage, settle, unit_usd, upfront_usd
from simulator.ledger_input import UsageKind
from simulator.purchase_cautions import purchase_cautions
from simulator.purchase_report import CommitmentLine, GuaranteeLine, PurchaseReport

if TYPE_CHECKING:
    from simulator.describe import FleetPrice
    from simulator.scenario import Fleet, Scenario

Floats = npt.NDArray[np.float64]

MONTH: Final = datetime(2026, 1, 1, tzinfo=UTC)
"""Any month of at least 730 hours: discounts by monthly spend are of one like it."""


class _Column(NamedTuple):
    """A column of the ledger's usage: a fleet, or a machine that is only reserved."""

    fleet: str
    """Blank for one that no fleet runs."""
    instance_type: str
    region: str
    provider: str
    kind: UsageKind
    instances: float
    list_usd: float
    spot_usd: float
    overhead: float


@dataclass(frozen=True)
class Bill:
    """What every fleet costs, and what the purchases come to."""

    fleets: Mapping[str, FleetCost]
    report: PurchaseReport | None
    """None where everything is bought on demand at its price, so that there is nothing to add."""


def bill(scenario: Scenario, purchases: Bought, horizon_ns: int) -> Bill:
    """What do the fleets of this scenario cost, as they are bought?"""
    plain = all(fleet.purchase.plan == "on_demand" for fleet in scenario.fleets.values())
    if plain and not (scenario.commitments or scenario.discounts or scenario.capacity):
        named = scenario.fleets.items()
        return Bill({name: _listed_cost(fleet, purchases.prices[name], horizon_ns) for name, fleet in named}, None)
    columns = _columns(scenario, purchases)
    ledger = settled(scenario, columns, purchases)
    effective = _effective_by_column(ledger)
    costs: dict[str, FleetCost] = {}
    for column, usd in zip(columns, effective, strict=False):
        if column.fleet:
            costs[column.fleet] = _fleet_cost(scenario, purchases, column, float(usd), horizon_ns)
    for name, price in purchases.per_1k.items():
        costs[name] = FleetCost(0.0, 0.0, price.note, price.usd_per_hour)
    return Bill(costs, _report(scenario, purchases, ledger, effective))


def settled(scenario: Scenario, columns: list[_Column], purchases: Bought) -> Ledger:
    """The ledger of one hour; of a month of such hours, where a discount goes by the month's spend."""
    tiers = [discount for discount in scenario.discounts.values() if discount.tiers is not None]
    hours = HOURS_PER_MONTH if tiers else 1
    usage = Usage(
        MONTH,
        tuple(column.instance_type for column in columns),
        np.tile([column.instances for column in columns], (hours, 1)),
        tuple(column.region for column in columns),
        tuple({"fleet": column.fleet} for column in columns),
        tuple(column.kind for column in columns),
    )
    steps = [tuple((step.from_usd_per_month, step.share) for step in one.tiers or ()) for one in tiers]
    rates = Rates(
        list_usd_per_hour=np.array([column.list_usd for column in columns]),
        contracted_usd_per_hour=np.array([column.list_usd * (1 - _discount(scenario, column)) for column in columns]),
        spot_usd_per_hour=np.array([column.spot_usd for column in columns]),
        spot_overhead=np.array([column.overhead for column in columns]),
        tiers=DiscountTiers(steps[0], tiers[0].whole) if tiers else None,
    )
    return settle(usage, rates, purchases.commitments, purchases.guarantees)


def _columns(scenario: Scenario, purchases: Bought) -> list[_Column]:
    """Every fleet that is paid by the hour, and every reserved machine that no fleet runs."""
    columns = []
    for name, price in purchases.prices.items():
        fleet = scenario.fleets[name]
        plan = fleet.purchase.plan
        kind = fleet.instance_type or f"instances of {name}"
        listed = purchases.beside_spot.get(name, price.usd_per_hour) if plan == "spot" else price.usd_per_hour
        restarts = purchases.restarts.get(name)
        columns.append(
            _Column(
                fleet=name,
                instance_type=in_block(kind) if plan == "capacity_block" else kind,
                region=place(fleet.region),
                provider=place(fleet.provider or (price.listed.provider if price.listed is not None else None)),
                kind="spot" if plan == "spot" else "on_demand",
                instances=float(fleet.instances),
                list_usd=listed,
                spot_usd=price.usd_per_hour if plan == "spot" else math.nan,
                overhead=restarts.interruption_rate * restarts.restart_h if restarts is not None else 0.0,
            )
        )
    for name, guarantee in scenario.capacity.items():
        if guarantee.kind == "reservation" and not runs_in(scenario, guarantee):
            usd = purchases.guarantee_prices[name].usd_per_hour
            kind, region = guarantee.instance_type, place(guarantee.region)
            columns.append(_Column("", kind, region, place(guarantee.provider), "on_demand", 0.0, usd, math.nan, 0.0))
    return columns


def _discount(scenario: Scenario, column: _Column) -> float:
    """Share of the list price that negotiated shares take off together."""
    if column.kind != "on_demand" or column.instance_type.endswith(in_block("")):
        return 0.0
    left = 1.0
    for discount in scenario.discounts.values():
        asked = (discount.instance_type or "", place(discount.provider), place(discount.region))
        here = (column.instance_type, column.provider, column.region)
        if discount.share is not None and all(a in ("", b) for a, b in zip(asked, here, strict=True)):
            left *= 1 - discount.share
    return 1 - left


def _effective_by_column(ledger: Ledger) -> Floats:
    """(J,): what each column costs in the first hour: covered at committed rates, the rest as contracted."""
    contracted = ledger.contracted_price[0]
    usd: Floats = (ledger.on_demand[0] + ledger.spot_hours[0]) * contracted
    for promises, coverage in ((ledger.blocks, ledger.block_coverage), (ledger.commitments, ledger.coverage)):
        for number, promise in enumerate(promises):
            usd = usd + coverage.covered[number, 0] * _unit_rates(promise, ledger.usage.instance_types)
    return usd


def _unit_rates(promise: Commitment, instance_types: tuple[str, ...]) -> Floats:
    """(J,): what an instance hour of each column costs under a commitment; 0 where it covers none."""
    if isinstance(promise, Reservation):
        return np.full(len(instance_types), promise.usd_per_hour)
    return np.array([promise.rates.get(kind, 0.0) for kind in instance_types])


def _fleet_cost(
    scenario: Scenario, purchases: Bought, column: _Column, usd_per_hour: float, horizon_ns: int
) -> FleetCost:
    """Rate and bill of one fleet. The bill is in proportion to that of its launches at the price that it names."""
    fleet, price = scenario.fleets[column.fleet], purchases.prices[column.fleet]
    base = _listed_cost(fleet, price, horizon_ns)
    notes = [base.note, *_spot_note(purchases, column, price.usd_per_hour)]
    if math.isclose(base.usd_per_hour, usd_per_hour, rel_tol=1e-12):
        return replace(base, note="; ".join(notes))
    if fleet.purchase.plan == "on_demand":
        notes.append(f"{usd_per_hour / fleet.instances:.6g} USD/h an instance with commitments and discounts")
    return FleetCost(base.usd * usd_per_hour / base.usd_per_hour, usd_per_hour, "; ".join(notes))


def _listed_cost(fleet: Fleet, price: FleetPrice, horizon_ns: int) -> FleetCost:
    """What a fleet costs at the price of its instances, with nothing off."""
    launches = bill_fleet(always_on(fleet.instances, horizon_ns), horizon_ns, price.usd_per_hour)
    note = "; ".join(part for part in (price.note, launches.note) if part)
    return FleetCost(launches.usd, launches.usd_per_hour, note)


def _spot_note(purchases: Bought, column: _Column, price: float) -> list[str]:
    restarts = purchases.restarts.get(column.fleet)
    if restarts is None:
        return []
    each = spot_usd_per_hour(price, restarts.interruption_rate, restarts.restart_h)
    return [
        f"{each:.6g} USD/h an instance with {restarts.interruption_rate:g} restarts an hour of "
        f"{60 * restarts.restart_h:g} min"
    ]


def _report(scenario: Scenario, purchases: Bought, ledger: Ledger, effective: Floats) -> PurchaseReport:
    hour = [float(column[0]) for column in ledger.hourly.columns()]
    on_demand = float(ledger.on_demand[0] @ ledger.contracted_price[0])
    commitments = {
        promise.name: _commitment_line(scenario, purchases, ledger, number)
        for number, promise in enumerate(ledger.commitments)
    }
    capacity = _guarantee_lines(purchases, ledger, effective)
    report = PurchaseReport(
        list_usd_per_hour=hour[0],
        contracted_usd_per_hour=hour[1],
        effective_usd_per_hour=hour[2],
        billed_usd_per_hour=hour[3],
        on_demand_usd_per_hour=on_demand,
        coverage=ledger.coverage_share if commitments else None,
        utilisation=ledger.utilisation,
        upfront_usd=math.fsum(upfront_usd(promise) for promise in ledger.commitments),
        commitments=commitments,
        capacity=capacity,
    )
    return replace(report, cautions=tuple(purchase_cautions(scenario, purchases, report)))


def _commitment_line(scenario: Scenario, purchases: Bought, ledger: Ledger, number: int) -> CommitmentLine:
    promise, spec = ledger.commitments[number], scenario.commitments[ledger.commitments[number].name]
    contracted = ledger.contracted_price[0]
    unit = unit_usd(promise)
    used, unused = (float(amount[0, number]) * unit for amount in (ledger.coverage.used, ledger.coverage.unused))
    replaced = float(ledger.coverage.covered[number, 0] @ contracted)
    rates = _unit_rates(promise, ledger.usage.instance_types)
    ratios = [
        rates[j] / contracted[j]
        for j, kind in enumerate(ledger.usage.instance_types)
        if rates[j] > 0 and ledger.usage.kinds[j] != "spot" and spec.instance_type in (None, kind)
    ]
    notes = [rate.note for rate in purchases.rates[promise.name]]
    return CommitmentLine(
        plan=spec.terms.price_type,
        instance_type=spec.instance_type,
        units=spec.units,
        usd_per_hour=used + unused,
        used_usd_per_hour=used,
        unused_usd_per_hour=unused,
        utilisation=used / (used + unused),
        replaced_usd_per_hour=replaced,
        break_even_utilisation=used / replaced if replaced else min(ratios, default=None),
        upfront_usd=upfront_usd(promise),
        rate_note="; ".join(notes),
    )


def _guarantee_lines(purchases: Bought, ledger: Ledger, effective: Floats) -> dict[str, GuaranteeLine]:
    """Blocks are columns of their own coverage; idle reserved machines are the last columns of the usage."""
    kept = [one for one in purchases.guarantees if one.usd_per_hour is None]
    first_idle = len(ledger.usage.instance_types) - len(kept)
    lines: dict[str, GuaranteeLine] = {}
    for guarantee in purchases.guarantees:
        note = purchases.guarantee_prices[guarantee.name].note
        if guarantee.usd_per_hour is None:
            column = first_idle + kept.index(guarantee)
            idle, usd, kind = float(ledger.usage.instances[0, column]), float(effective[column]), "reservation"
        else:
            number = [block.name for block in ledger.blocks].index(guarantee.name)
            idle, kind = float(ledger.block_coverage.unused[0, number]), "block"
            usd = idle * guarantee.usd_per_hour
        machine = guarantee.instance_type.removesuffix(in_block(""))
        lines[guarantee.name] = GuaranteeLine(kind, machine, guarantee.units, guarantee.units - idle, usd, note)
    return lines
