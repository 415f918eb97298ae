"""Prices from AWS's price list of savings plans (the JSON file), beside the EC2 price list that explains it.

A savings plan's file names machines by stock-keeping unit only, and lists the rate of every operating system, tenancy
and licence; which of them is a Linux machine, of what type, stands in the EC2 price list of the same region. What
comes out holds both: a plan's rate says little without the on-demand price of the same day.

The rate that the file gives is the effective one, whatever is paid upfront: an hourly commitment of one dollar buys
1 / rate instances, and all, at least half or none of the term's commitment is paid at once.

Source: AWS Billing, "Reading the service price list file for a Savings Plan"; AWS Savings Plans user guide, payment
options.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from calibration.problems import InputError, Problem
from simulator.aws_price_list import (
    PAYMENTS,
    TERMS,
    Findings,
    Machine,
    dollars,
    import_aws_price_list,
    key_of,
    machines_of,
    provenance,
)
from simulator.json_entries import entries, read_text
from simulator.price_cells import option_problem
from simulator.price_checks import oddities
from simulator.price_list import Fault, Price, PriceImport
from simulator.purchase_plan import HOURS_PER_YEAR

SCOPES: Final = {"ComputeSavingsPlans": "compute", "EC2InstanceSavingsPlans": "ec2_instance"}
"""Product families of the plans that cover EC2 instances, and what a price list calls them."""


def import_aws_savings_plan(
    path: str | Path, price_lists: Sequence[str | Path], *, as_of: str | None = None, source: str | None = None
) -> PriceImport:
    """Read the rates of savings plans, with the on-demand and reserved prices of the machines they cover.

    Parameters
    ----------
    path
        The JSON file of ``AWSComputeSavingsPlan`` for one region.
    price_lists
        EC2 price lists of the regions that it names, to tell the instance types.
    as_of, source
        As for :func:`simulator.aws_price_list.import_aws_price_list`; the default is what each file says.

    Raises
    ------
    InputError
        A file is no such list, no price list is given, or no rate is left.
    """
    if not price_lists:
        rule = "must be given: the file names machines by stock-keeping unit only"
        remedy = "Name AWS's EC2 price list of the same region."
        raise InputError([option_problem("--price-list", rule, None, remedy)])
    text, file = read_text(path), str(path)
    day, said = provenance(text, file, "AWS savings-plan price list", as_of, source)
    machines: dict[str, Machine] = {}
    listed: dict[tuple[str, str, str], Price] = {}
    notes: list[str] = []
    for name in price_lists:
        machines |= machines_of(read_text(name), str(name))[0]
        prices = import_aws_price_list(name, as_of=as_of, source=source)
        listed |= {key_of(price): price for price in prices.rows}
        notes += [f"{name}: refused: {problem}" for problem in prices.refused]
    found = Findings(file, day, said)
    plans = _plans(text, file)
    for _, term in entries(text, file, {"terms": 3}):
        if isinstance(term, dict):
            _take(found, plans, term, machines)
    if not found.prices:
        raise InputError([_nothing(text, file, machines), *found.refused.values()])
    result = found.result()
    rows = (*listed.values(), *result.rows)
    return replace(result, rows=rows, notes=(*_checked(rows), *notes))


def _checked(rows: Sequence[Price]) -> tuple[str, ...]:
    """What is odd among the rates now that the on-demand prices stand beside them, and whether the days agree."""
    days = sorted({price.as_of for price in rows})
    note = f"the files are of different days: {', '.join(days)}; ratios to on demand mix them"
    return (*oddities(rows), *([note] if len(days) > 1 else []))


def _plans(text: str, file: str) -> dict[str, Mapping[str, Any]]:
    """Products of a savings plan's file by stock-keeping unit.

    Raises
    ------
    InputError
        It lists no savings plan.
    """
    products = [product for _, product in entries(text, file, {"products": 2}) if isinstance(product, dict)]
    plans: dict[str, Mapping[str, Any]] = {str(product.get("sku")): product for product in products}
    if not any(str(product.get("productFamily", "")).endswith("SavingsPlans") for product in products):
        rule = "must be a price list of savings plans: products with a family such as ComputeSavingsPlans"
        raise InputError(
            [Problem(file, None, None, "products", rule, None, "Name AWSComputeSavingsPlan's index.json.")]
        )
    return plans


def _take(
    found: Findings, plans: Mapping[str, Mapping[str, Any]], term: Mapping[str, Any], machines: Mapping[str, Machine]
) -> None:
    """Add the rates of one plan: one scope, one term, one payment option."""
    sku = str(term.get("sku"))
    product = plans.get(sku, {})
    family = str(product.get("productFamily", ""))
    rates = term.get("rates")
    rates = rates if isinstance(rates, list) else []
    found.read += len(rates)
    if family.endswith("SavingsPlans") and family not in SCOPES:
        found.skipped[f"rates of {family}: they cover no EC2 instance"] += len(rates)
        return
    said = product.get("attributes")
    said = said if isinstance(said, dict) else {}
    years, payment = TERMS.get(str(said.get("purchaseTerm"))), PAYMENTS.get(str(said.get("purchaseOption")))
    lease = term.get("leaseContractLength")
    length = (lease.get("duration"), str(lease.get("unit"))) if isinstance(lease, dict) else (None, "")
    if family not in SCOPES or years is None or payment is None or length not in ((years, "year"), (years, "years")):
        rule = f"the plan {sku} must have a family, a payment option and one term of 1 or 3 years"
        value = f"{family or 'no product'}, {said.get('purchaseOption')}, {said.get('purchaseTerm')}, {length[0]} year"
        found.refuse(f"terms.savingsPlan.{sku}", rule, value, "Fetch the file again; its rates are left out.")
        return
    price_type = f"savings_plan_{SCOPES[family]}_{years}y_{payment}"
    machine_family = str(said.get("instanceType") or said.get("instanceFamily") or "")
    for rate in rates:
        if isinstance(rate, dict):
            _take_rate(found, rate, price_type, years, payment, machine_family, machines)


def _take_rate(
    found: Findings,
    rate: Mapping[str, Any],
    price_type: str,
    years: int,
    payment: str,
    family: str,
    machines: Mapping[str, Machine],
) -> None:
    """Add the rate of one stock-keeping unit, if it is a machine of the price lists."""
    if rate.get("discountedServiceCode", "AmazonEC2") != "AmazonEC2":
        found.skipped["rates of services other than EC2"] += 1
        return
    machine = machines.get(str(rate.get("discountedSku")))
    if machine is None:
        found.skipped["rates of units that no price list given holds as Linux, shared and in use"] += 1
        return
    path = f"terms.savingsPlan.{rate.get('rateCode', '')}"
    whose = f"the {price_type} price of {machine.instance_type} in {machine.region}"
    amount = rate.get("discountedRate")
    amount = amount if isinstance(amount, dict) else {}
    usd = dollars({str(amount.get("currency")): amount.get("price")}, whose)
    if rate.get("unit") != "Hrs":
        usd = Fault("", f"{whose} must be per hour (Hrs)", str(rate.get("unit")), "Check the file.")
    elif usd == 0.0:
        usd = Fault("", f"{whose} must be greater than 0", "0", "Add the rate by hand if it is offered.")
    elif family and machine.instance_type.split(".")[0] != family:
        usd = Fault("", f"{whose} must be of the plan's family {family}", machine.instance_type, "Check the file.")
    if isinstance(usd, Fault):
        found.refuse(path, *usd[1:])
        return
    upfront = {"no_upfront": 0.0, "all_upfront": usd * years * HOURS_PER_YEAR}.get(payment)
    found.add(machine, price_type, usd, upfront, path)


def _nothing(text: str, file: str, machines: Mapping[str, Machine]) -> Problem:
    """The problem of a file none of whose rates could be told the machine of."""
    region = next((value for _, value in entries(text, file, {"regionCode": 1})), None)
    regions = ", ".join(sorted({machine.region for machine in machines.values()})) or "none"
    rule = f"must hold the rate of a machine of the price lists given, which are of {regions}"
    remedy = "Name the EC2 price list of the same region and the same publication."
    return Problem(file, None, None, "regionCode", rule, str(region) if region else None, remedy)
