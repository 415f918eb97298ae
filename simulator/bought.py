"""What does everything that a scenario buys cost an hour? Prices of fleets, rates of commitments, blocks of capacity.

Every price is the user's own or a row of a price list; one that neither states stops the run and is named, with the
price type under which a price list would have it. What the purchases come to is :mod:`simulator.purchases`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from calibration.problems import InputError, Problem
from simulator.capacity_guarantee import CapacityGuarantee
from simulator.clock import NS_PER_HOUR
from simulator.commitment import Commitment, Reservation, SpendCommitment
from simulator.describe import FleetPrice, catalogues_of, fleet_prices, listed_price, price_of
from simulator.plan_rates import PARTIAL_SHARE, Rate, rates_of
from simulator.prices import PriceCatalogue, PriceError, find_price

if TYPE_CHECKING:
    from simulator.commitment_spec import Guarantee, Promise
    from simulator.scenario import Fleet, Scenario

BEFORE: Final = -1
"""Commitments began before the simulated hour: what was paid upfront was paid then."""

OPEN_TERM_H: Final = 8_760
"""A guarantee without a term is kept for longer than a run."""


class Restarts(NamedTuple):
    """What interruptions cost a spot fleet."""

    interruption_rate: float
    """For each instance and hour."""
    restart_h: float


@dataclass(frozen=True)
class Bought:
    """What a scenario buys, at which prices; every value in USD an hour unless it says otherwise."""

    prices: Mapping[str, FleetPrice]
    """An hour of one instance, by fleet; a serverless fleet has none."""
    per_1k: Mapping[str, FleetPrice]
    """1,000 requests, by serverless fleet."""
    restarts: Mapping[str, Restarts]
    """By spot fleet; one that is absent says nothing of interruptions."""
    beside_spot: Mapping[str, float]
    """On-demand price of the machine of a spot fleet, by fleet, where a price list has it."""
    commitments: tuple[Commitment, ...]
    """In the order of the file."""
    rates: Mapping[str, tuple[FleetPrice, ...]]
    """Rates by commitment, each with its origin."""
    rate_notes: Mapping[str, tuple[str, ...]]
    """What a reader must know of rates that were looked up, by commitment."""
    guarantees: tuple[CapacityGuarantee, ...]
    """In the order of the file."""
    guarantee_prices: Mapping[str, FleetPrice]
    """What an idle machine costs, by guarantee."""


def bought(scenario: Scenario) -> Bought:
    """Look every price up that the scenario's purchases need.

    Raises
    ------
    InputError
        With everything that is missing or ambiguous, at its place in the scenario; or the user's price list cannot be
        used.
    """
    return _Search(scenario, catalogues_of(scenario)).everything()


class _Search:
    """The look-ups of one scenario, and what was wrong with them."""

    def __init__(self, scenario: Scenario, catalogues: Sequence[PriceCatalogue]) -> None:
        self._scenario = scenario
        self._catalogues = catalogues
        self._problems: list[Problem] = []
        self._rates: dict[str, tuple[FleetPrice, ...]] = {}
        self._notes: dict[str, tuple[str, ...]] = {}

    def everything(self) -> Bought:
        """All prices; raises what is missing, all together."""
        scenario = self._scenario
        prices: dict[str, FleetPrice] = {}
        try:
            prices |= fleet_prices(scenario, self._catalogues)
        except InputError as error:
            self._problems += error.problems
        held = {name: self._guarantee_price(name, one, prices) for name, one in scenario.capacity.items()}
        prices |= self._in_blocks(held)
        per_1k = {name: self._per_1k(name, fleet) for name, fleet in self._fleets("serverless")}
        restarts = {name: self._restarts(name, fleet, prices.get(name)) for name, fleet in self._fleets("spot")}
        commitments = [self._commitment(name, promise, prices) for name, promise in scenario.commitments.items()]
        if self._problems:
            raise InputError(self._problems)
        known = {name: price for name, price in held.items() if price is not None}
        return Bought(
            prices=prices,
            per_1k={name: price for name, price in per_1k.items() if price is not None},
            restarts={name: one for name, one in restarts.items() if one is not None},
            beside_spot=self._beside_spot(),
            commitments=tuple(one for one in commitments if one is not None),
            rates=self._rates,
            rate_notes=self._notes,
            guarantees=tuple(_guarantee(name, scenario.capacity[name], price) for name, price in known.items()),
            guarantee_prices=known,
        )

    def _fleets(self, plan: str) -> Iterator[tuple[str, Fleet]]:
        return ((name, fleet) for name, fleet in self._scenario.fleets.items() if fleet.purchase.plan == plan)

    def _refuse(self, path: str, rule: str, value: str | None, remedy: str) -> None:
        self._problems.append(self._scenario.problem(path, rule, value, remedy))

    def _guarantee_price(self, name: str, guarantee: Guarantee, prices: Mapping[str, FleetPrice]) -> FleetPrice | None:
        price_type = "capacity_block" if guarantee.kind == "block" else "on_demand"
        for fleet in runs_in(self._scenario, guarantee) if guarantee.kind == "reservation" else ():
            # The provider has one price for what runs and for what stands idle; the fleet's, if it is missing, is told.
            return prices.get(fleet)
        try:
            return price_of(guarantee, self._catalogues, price_type)
        except PriceError as error:
            remedy = error.remedy
            if error.key == "instance_type":
                own = "Write usd_per_hour: beside it, or add" if guarantee.kind == "block" else "Add"
                remedy = f"{own} it to your price list (prices:) as price type {price_type}."
            self._refuse(f"capacity.{name}.{error.key}", error.rule, error.value, remedy)
            return None

    def _in_blocks(self, held: Mapping[str, FleetPrice | None]) -> dict[str, FleetPrice]:
        """What fleets in capacity blocks cost: the price of the blocks of their machine."""
        prices: dict[str, FleetPrice] = {}
        for name, fleet in self._fleets("capacity_block"):
            for block, guarantee in self._scenario.capacity.items():
                price = held[block]
                if guarantee.kind == "block" and guarantee.instance_type == fleet.instance_type and price is not None:
                    prices.setdefault(name, FleetPrice(price.usd_per_hour, f"in block {block}: {price.note}"))
        return prices

    def _per_1k(self, name: str, fleet: Fleet) -> FleetPrice | None:
        own = fleet.purchase.usd_per_1k_requests
        if own is not None:
            return FleetPrice(own, f"{own:g} USD for 1,000 requests, the user's own price")
        assert fleet.instance_type is not None, "the door lets nothing without a price in"
        try:
            found = find_price(
                self._catalogues, fleet.instance_type, fleet.provider, fleet.region, "serverless", unit="1k_requests"
            )
        except PriceError as error:
            remedy = "Write purchase: {plan: serverless, usd_per_1k_requests: ...} with the price that you pay."
            self._refuse(f"fleets.{name}.{error.key}", error.rule, error.value, remedy)
            return None
        return listed_price(found)

    def _restarts(self, name: str, fleet: Fleet, price: FleetPrice | None) -> Restarts | None:
        purchase = fleet.purchase
        if purchase.restart_ns is None:
            return None
        rate = purchase.interruption_rate
        if rate is None and price is not None and price.listed is not None:
            rate = price.listed.interruption_rate
        if rate is None:
            rule = "is required beside restart, since no price list says how often this instance is taken back"
            remedy = "Give interruptions for each instance hour; a share s reclaimed in a month is -ln(1-s)/730."
            if price is not None:
                self._refuse(f"fleets.{name}.purchase.interruption_rate", rule, None, remedy)
            return None
        return Restarts(rate, purchase.restart_ns / NS_PER_HOUR)

    def _beside_spot(self) -> dict[str, float]:
        """On-demand prices of spot fleets' machines, as far as lists agree on one; only a comparison needs them."""
        found: dict[str, float] = {}
        for name, fleet in self._fleets("spot"):
            if fleet.instance_type is not None:
                try:
                    price = find_price(self._catalogues, fleet.instance_type, fleet.provider, fleet.region)
                except PriceError:
                    continue
                found[name] = price.usd_per_hour
        return found

    def _commitment(self, name: str, promise: Promise, prices: Mapping[str, FleetPrice]) -> Commitment | None:
        return self._reservation(name, promise) if promise.of_instances else self._spend(name, promise, prices)

    def _reservation(self, name: str, promise: Promise) -> Reservation | None:
        assert promise.instance_type is not None
        assert promise.units is not None
        term_h = promise.terms.term_h
        if promise.usd_per_hour is not None:
            usd, note = promise.usd_per_hour, f"{promise.usd_per_hour:g} USD/h a unit, the user's own price"
            upfront = usd * term_h if promise.payment == "all_upfront" else promise.upfront_usd or 0.0
            self._rates[name] = (FleetPrice(usd, note),)
        else:
            path, own = f"commitments.{name}.instance_type", "write usd_per_hour: with the rate that you were offered"
            rate = self._rate(path, name, promise, promise.instance_type, own)
            if rate is None:
                return None
            usd, upfront = rate.usd_per_hour, rate.upfront_usd
            self._rates[name] = (listed_price(rate.price),)
        region = place(promise.region)
        return Reservation(name, promise.instance_type, promise.units, usd, BEFORE, term_h, upfront, region)

    def _spend(self, name: str, promise: Promise, prices: Mapping[str, FleetPrice]) -> SpendCommitment | None:
        assert promise.spend_usd_per_hour is not None
        rates: dict[str, FleetPrice] = {}
        if promise.rates is not None:
            for kind, usd in promise.rates.items():
                rates[kind] = FleetPrice(usd, f"{kind} at {usd:g} USD/h, the user's own price")
        else:
            covered = covered_types(self._scenario, promise, prices)
            for kind in covered:
                own = f"write rates: {{{kind}: ...}} with the rate of everything that it covers"
                rate = self._rate(f"commitments.{name}.rates", name, promise, kind, own)
                if rate is not None:
                    rates[kind] = listed_price(rate.price)
            if len(rates) < len(covered):
                return None
        self._rates[name] = tuple(rates.values())
        shares = {"no_upfront": 0.0, "partial_upfront": PARTIAL_SHARE, "all_upfront": 1.0}
        return SpendCommitment(
            name,
            promise.spend_usd_per_hour,
            {kind: rate.usd_per_hour for kind, rate in rates.items()},
            BEFORE,
            promise.terms.term_h,
            shares[promise.payment],
            place(promise.region),
            wide=promise.scope != "ec2_instance",
        )

    def _rate(self, path: str, name: str, promise: Promise, instance_type: str, own: str) -> Rate | None:
        """The rate of a plan from the price lists; what is missing is named, with how to get it and where it goes."""
        provider, region = promise.provider, promise.region
        for fleet in self._scenario.fleets.values():
            if fleet.instance_type == instance_type:
                provider, region = provider or fleet.provider, region or fleet.region
        try:
            rate = rates_of(self._catalogues, instance_type, provider, region).of(promise.terms)
        except PriceError as error:
            key = path.rpartition(".")[0] if error.key in ("provider", "region") else path
            where = f"{key}.{error.key}" if key != path else path
            self._refuse(where, error.rule, error.value, f"{error.remedy} Or {own}.")
            return None
        notes = rates_of(self._catalogues, instance_type, provider, region, [promise.terms]).notes
        self._notes[name] = (*self._notes.get(name, ()), *notes)
        return rate


def runs_in(scenario: Scenario, guarantee: Guarantee) -> list[str]:
    """Fleets whose instances take the place that a capacity reservation keeps: on demand, of its type and region."""
    return [
        name
        for name, fleet in scenario.fleets.items()
        if (fleet.purchase.plan, fleet.instance_type) == ("on_demand", guarantee.instance_type)
        and (guarantee.region is None or place(guarantee.region) == place(fleet.region))
    ]


def covered_types(scenario: Scenario, promise: Promise, prices: Mapping[str, FleetPrice]) -> list[str]:
    """Types that run on demand and that dollars promised so may cover: of its provider, region and family."""
    types: dict[str, None] = {}
    for name, fleet in scenario.fleets.items():
        if fleet.purchase.plan != "on_demand" or fleet.instance_type is None:
            continue
        listed = prices[name].listed if name in prices else None
        provider = fleet.provider or (listed.provider if listed is not None else None)
        if promise.provider is not None and provider is not None and place(promise.provider) != place(provider):
            continue
        if promise.region is not None and place(promise.region) != place(fleet.region):
            continue
        if promise.instance_family is not None and fleet.instance_type.split(".")[0] != promise.instance_family:
            continue
        types[fleet.instance_type] = None
    return list(types)


def place(region: str | None) -> str:
    """One spelling of a region or provider, blank where none is given.

    >>> place("US-East-1 "), place(None)
    ('us-east-1', '')
    """
    return (region or "").strip().lower()


def in_block(instance_type: str) -> str:
    """Name of a machine in a capacity block, in the ledger: no reservation or savings plan may cover it."""
    return f"{instance_type} in a capacity block"


def _guarantee(name: str, guarantee: Guarantee, price: FleetPrice) -> CapacityGuarantee:
    """As the ledger wants it. A block is for the fleets that name it, wherever they are."""
    if guarantee.kind == "block":
        kind = in_block(guarantee.instance_type)
        return CapacityGuarantee(name, kind, guarantee.units, BEFORE, OPEN_TERM_H, "", price.usd_per_hour)
    region = place(guarantee.region)
    return CapacityGuarantee(name, guarantee.instance_type, guarantee.units, BEFORE, OPEN_TERM_H, region)
