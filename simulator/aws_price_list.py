"""Prices from AWS's own EC2 price list (the JSON file): on demand and every kind of reservation, as a price list.

The file lists a machine dozens of times, once for each operating system, tenancy and licence, and again for hours
that a capacity reservation stands unused. Only Linux on shared hardware without software, in use, is what a fleet of
inference servers pays for; without that filter a machine has several prices, some of them 0.

A reservation has up to two price dimensions: ``Hrs``, paid each hour, and ``Quantity``, the fee at the start. A price
list holds the effective price, hourly + fee / hours of the term, and the fee beside it. Convertible reservations may
be exchanged for another type and cost more; they get price types of their own (``reserved_convertible_1y_...``).

Source: AWS Billing, "Reading the service price list file for an AWS service" (terms.Reserved, termAttributes).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

from calibration.problems import InputError, Problem
from simulator.json_entries import entries, read_text
from simulator.price_cells import SENTINELS_USD, option_problem
from simulator.price_checks import oddities
from simulator.price_list import Fault, Price, PriceImport, parse_as_of
from simulator.price_terms import EXCHANGE
from simulator.purchase_plan import HOURS_PER_YEAR

WANTED: Final = {
    "operatingSystem": ("Linux",),
    "tenancy": ("Shared",),
    "preInstalledSw": ("NA",),
    "capacitystatus": ("Used",),
    "operation": ("", "RunInstances"),
    "marketoption": ("", "OnDemand"),
}
"""Attributes of the machines that are imported; a blank means that the file may leave the attribute out."""

FAMILIES: Final = ("Compute Instance", "Compute Instance (bare metal)")
"""Product families of machines that can be rented."""

TERMS: Final = {"1yr": 1, "3yr": 3}
PAYMENTS: Final = {
    "No Upfront": "no_upfront",
    "Partial Upfront": "partial_upfront",
    "All Upfront": "all_upfront",
}
"""Payment options in AWS's words, and in those of a price list."""

_PUBLISHED = re.compile(r"(\d{4}-\d\d-\d\d)(?:T.*)?", re.ASCII)


class Machine(NamedTuple):
    """A stock-keeping unit that is a machine worth importing."""

    instance_type: str
    region: str
    accelerators: float | None
    """GPUs in it; None where the file does not say, as for accelerators that are no GPUs."""


@dataclass
class Findings:
    """What an import has found so far: prices, what was left out, what was refused."""

    file: str
    as_of: str
    source: str
    prices: dict[tuple[str, str, str], Price] = field(default_factory=dict)
    skipped: Counter[str] = field(default_factory=Counter)
    refused: dict[tuple[str, str], Problem] = field(default_factory=dict)
    disputed: set[tuple[str, str, str]] = field(default_factory=set)
    read: int = 0

    def refuse(self, path: str, rule: str, value: str | None, remedy: str) -> None:
        """Remember a price that must not be billed, once for each rule; the rule names the machine."""
        column = path.split(".")[0]
        self.refused.setdefault((column, rule), Problem(self.file, None, None, path, rule, value, remedy))

    def add(self, machine: Machine, price_type: str, usd_per_hour: float, upfront_usd: float | None, path: str) -> None:
        """Remember a price; where another is stated for the same thing, neither counts."""
        price = Price(
            usd_per_hour=usd_per_hour,
            provider="aws",
            region=machine.region,
            instance_type=machine.instance_type,
            accelerator="GPU" if machine.accelerators else "",
            accelerator_count=machine.accelerators,
            price_type=price_type,
            as_of=self.as_of,
            source=self.source,
            upfront_usd=upfront_usd,
        )
        earlier = self.prices.setdefault(key_of(price), price)
        if earlier != price:
            self.disputed.add(key_of(price))
            rule = f"the {price_type} price of {machine.instance_type} in {machine.region} must be stated once"
            value = f"{earlier.usd_per_hour:g} and {usd_per_hour:g}"
            self.refuse(path, rule, value, "Say in a price list of your own which one holds.")

    def result(self) -> PriceImport:
        """Everything found, as an import; prices that are stated twice are left out.

        Raises
        ------
        InputError
            No price is left.
        """
        rows = tuple(price for key, price in self.prices.items() if key not in self.disputed)
        refused = tuple(self.refused.values())
        if not rows:
            rule = "must hold a price of a Linux machine on shared hardware that can be billed"
            raise InputError([Problem(self.file, None, None, "", rule, None, "Check the file."), *refused])
        return PriceImport(self.file, rows, self.read, dict(self.skipped), refused, oddities(rows))


def key_of(price: Price) -> tuple[str, str, str]:
    """What a price of AWS is of: two prices with the same key speak of the same thing."""
    return price.region, price.instance_type, price.price_type


def import_aws_price_list(path: str | Path, *, as_of: str | None = None, source: str | None = None) -> PriceImport:
    """Read the on-demand and reserved prices of AWS's EC2 price list.

    Parameters
    ----------
    path
        The JSON file, of one region or of all.
    as_of
        The day it held; the default is the file's own publication date.
    source
        Said of every price; the default names the file and its version.

    Raises
    ------
    InputError
        The file is no such list, ``as_of`` is no date, or no price is left.
    """
    text = read_text(path)
    file = str(path)
    machines, skipped = machines_of(text, file)
    found = Findings(file, "", "", skipped=skipped)
    found.as_of, found.source = provenance(text, file, "AWS EC2 price list", as_of, source)
    for (_, market, sku), offers in entries(text, file, {"terms": 3}):
        if sku in machines and market in ("OnDemand", "Reserved"):
            for offer in offers.values() if isinstance(offers, dict) else ():
                found.read += 1
                _take(found, machines[sku], market, offer if isinstance(offer, dict) else {})
    return found.result()


def machines_of(text: str, file: str) -> tuple[dict[str, Machine], Counter[str]]:
    """Which stock-keeping units of a price list are machines worth importing? And what was left out, counted.

    Raises
    ------
    InputError
        It is no EC2 price list.
    """
    machines: dict[str, Machine] = {}
    skipped: Counter[str] = Counter()
    products = 0
    for (_, sku), product in entries(text, file, {"products": 2}):
        if not isinstance(product, dict) or product.get("productFamily") not in FAMILIES:
            continue
        products += 1
        attributes = product.get("attributes")
        said = {name: str(value) for name, value in attributes.items()} if isinstance(attributes, dict) else {}
        if not (said.get("instanceType") and said.get("regionCode")):
            skipped["products that do not say their instance type and region"] += 1
        elif all(said.get(name, "") in values for name, values in WANTED.items()):
            gpus = said.get("gpu", "")
            machines[sku] = Machine(said["instanceType"], said["regionCode"], float(gpus) if gpus.isdecimal() else None)
        else:
            skipped["products that are not Linux, shared, without software and in use"] += 1
    if not products:
        rule = "must be an EC2 price list: products with the family Compute Instance"
        raise InputError([Problem(file, None, None, "products", rule, None, "Name AmazonEC2's index.json.")])
    return machines, skipped


def provenance(text: str, file: str, kind: str, as_of: str | None, source: str | None) -> tuple[str, str]:
    """Day and source of every price of an AWS file, from its head unless they are given.

    Raises
    ------
    InputError
        Neither the file nor the user says the day.
    """
    head: dict[str, object] = {}
    for path, value in entries(text, file, {"publicationDate": 1, "version": 1}):
        head[path[0]] = value
        if len(head) == 2:
            break
    published = _PUBLISHED.fullmatch(str(head.get("publicationDate", "")))
    day = (as_of or "").strip() or (published[1] if published else "")
    if parse_as_of(day) is None:
        raise InputError(
            [option_problem("--as-of", "must be an ISO date", day, "Write the day the file is of, as 2026-01-19.")]
        )
    version = head.get("version")
    said = (source or "").strip() or f"{kind} {Path(file).name}" + (f", version {version}" if version else "")
    return day, said


def dollars(amounts: object, what: str) -> float | Fault:
    """The US dollars of a ``pricePerUnit``, or what is wrong with it; ``what`` names the machine.

    >>> dollars({"USD": "1.0060000000"}, "the price of g5.xlarge")
    1.006
    >>> dollars({"CNY": "5.1"}, "the price of g5.xlarge").rule
    'the price of g5.xlarge must be in US dollars'
    """
    said = amounts if isinstance(amounts, dict) else {}
    if "USD" not in said:
        return Fault("", f"{what} must be in US dollars", ", ".join(map(str, said)) or None, EXCHANGE)
    text = str(said["USD"])
    try:
        usd = float(text) if re.fullmatch(r"[\d.]+", text, re.ASCII) else -1.0
    except ValueError:
        usd = -1.0
    if usd < 0:
        return Fault("", f"{what} must be a number, 0 or greater", text[:60], "Check the file.")
    if usd in SENTINELS_USD:
        return Fault("", f'{what} must be a real one: {usd:g} stands for "not offered"', text, "Leave it out.")
    return usd


def _take(found: Findings, machine: Machine, market: str, offer: Mapping[str, Any]) -> None:
    """Add what one offer costs, or remember why it cannot be billed."""
    price_type = "on_demand" if market == "OnDemand" else _reserved_type(offer.get("termAttributes"))
    if price_type is None:
        found.skipped["reservations of a kind that is sold no longer"] += 1
        return
    path = f"terms.{market}.{offer.get('sku', '')}.{offer.get('offerTermCode', '')}"
    whose = f"the {price_type} price of {machine.instance_type} in {machine.region}"
    parts: dict[str, float] = {}
    for unit, amounts in _dimensions(offer):
        usd = dollars(amounts, whose)
        if isinstance(usd, Fault):
            found.refuse(path, *usd[1:])
            return
        if unit in parts:
            found.refuse(path, f"{whose} must have one amount per {unit}", None, "Say in your own CSV which holds.")
            return
        parts[unit] = usd
    years = 3 if "_3y_" in price_type else 1
    hourly, upfront = parts.get("Hrs", 0.0), parts.get("Quantity", 0.0)
    rule = _missing_part(price_type, hourly, upfront, parts)
    if rule:
        value = ", ".join(f"{amount:g} per {unit}" for unit, amount in parts.items()) or None
        found.refuse(path, f"{whose} {rule}", value, "Add the price by hand if it is offered there.")
        return
    if market == "OnDemand":
        found.add(machine, price_type, hourly, None, path)
    else:
        found.add(machine, price_type, hourly + upfront / (years * HOURS_PER_YEAR), upfront, path)


def _dimensions(offer: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    """Unit and amounts of each price dimension of an offer."""
    dimensions = offer.get("priceDimensions")
    for dimension in dimensions.values() if isinstance(dimensions, dict) else ():
        if isinstance(dimension, dict):
            yield str(dimension.get("unit", "")), dimension.get("pricePerUnit")


def _missing_part(price_type: str, hourly: float, upfront: float, parts: Mapping[str, float]) -> str:
    """What the payment option promises and the dimensions lack; blank where they fit."""
    others = set(parts) - {"Hrs", "Quantity"}
    if others:
        return f"must be per hour, with a fee at the start at most: {', '.join(sorted(others))} cannot be read"
    if price_type == "on_demand" or price_type.endswith("no_upfront"):
        return "must be greater than 0 per hour, with nothing upfront" if hourly == 0 or upfront > 0 else ""
    if price_type.endswith("partial_upfront"):
        return "must have a fee at the start and a price per hour" if hourly == 0 or upfront == 0 else ""
    return "must have a fee at the start and nothing per hour" if upfront == 0 or hourly > 0 else ""


def _reserved_type(attributes: object) -> str | None:
    """Price type of a reservation, or None where its attributes are none of today's.

    >>> _reserved_type({"LeaseContractLength": "3yr", "OfferingClass": "convertible", "PurchaseOption": "All Upfront"})
    'reserved_convertible_3y_all_upfront'
    """
    said = attributes if isinstance(attributes, dict) else {}
    years, payment = TERMS.get(str(said.get("LeaseContractLength"))), PAYMENTS.get(str(said.get("PurchaseOption")))
    offering = said.get("OfferingClass", "standard")
    if years is None or payment is None or offering not in ("standard", "convertible"):
        return None
    convertible = "convertible_" if offering == "convertible" else ""
    return f"reserved_{convertible}{years}y_{payment}"
