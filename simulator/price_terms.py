"""The cells of a price list that say when a price is paid, for how long, in which zone, per what, in which currency.

All of them may be blank. What they say must fit the plan that the price type names: a price that is paid month by
month has nothing upfront, a spot price no term, and what is paid upfront is within the price of the term.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Final, NamedTuple

from calibration.csv_sheet import shown
from simulator.price_list import UNITS, Fault
from simulator.purchase_plan import HOURS_PER_YEAR, PLAN_BY_PRICE_TYPE

TOLERANCE: Final = 1e-3
"""Lists round hourly rates to four decimals and upfront fees to dollars."""

CURRENCIES: Final = (
    "AUD", "BRL", "CAD", "CHF", "CNY", "CZK", "DKK", "EUR", "GBP", "HKD", "INR", "JPY", "KRW", "MXN", "NOK", "NZD",
    "PLN", "RMB", "SEK", "SGD", "TWD", "ZAR",
)  # fmt: skip
"""Currencies, other than US dollars, that a cell or a column's name is searched for."""

_SIGNS: Final = {"€": "EUR", "£": "GBP", "¥": "JPY or CNY", "₹": "INR", "₩": "KRW"}
_DECIMAL = re.compile(r"\d+\.?\d*|\.\d+", re.ASCII)


class Terms(NamedTuple):
    """What the optional cells of a row say."""

    upfront_usd: float | None
    term_h: int | None
    zone: str
    interruption_rate: float | None
    unit: str


def terms_of(
    cell: Mapping[str, str], name: str, price_type: str, usd_per_hour: float | None
) -> tuple[Terms, list[Fault]]:
    """What do the optional cells of a row say, and what is wrong with them?

    Parameters
    ----------
    cell
        Text by column name; an absent column counts as blank.
    name
        The instance type, for messages.
    price_type
        As normalised.
    usd_per_hour
        The price, or None where it is no price.
    """
    faults: list[Fault] = []
    term = _number(cell, "term_h", name, faults, highest=10 * HOURS_PER_YEAR)
    rate = _number(cell, "interruption_rate", name, faults, highest=1.0)
    upfront = _number(cell, "upfront_usd", name, faults, highest=math.inf)
    unit = cell.get("unit", "").strip().lower() or "hour"
    if unit not in UNITS:
        rule = f"the unit of {name} must be one of {', '.join(UNITS)}"
        faults.append(Fault("unit", rule, shown(unit), "Leave it blank for a price per hour."))
    term_h = _whole_term(term, name, price_type, cell.get("term_h", ""), faults)
    if rate is not None and price_type in PLAN_BY_PRICE_TYPE and price_type != "spot":
        rule = f"{name} must have an interruption_rate on its spot price only"
        faults.append(Fault("interruption_rate", rule, f"{price_type}: {rate:g}", "Move it to the spot row."))
    if upfront is not None and usd_per_hour is not None:
        faults += _upfront_faults(upfront, usd_per_hour, term_h, name, price_type)
    if unit == "1k_requests" and price_type in PLAN_BY_PRICE_TYPE and price_type != "serverless":
        rule = f"{name} must have a price of type serverless to be paid by the request"
        faults.append(Fault("unit", rule, price_type, "Write serverless as its price_type, or hour as its unit."))
    return Terms(upfront, term_h, cell.get("zone", "").strip(), rate, unit), faults


def currency_fault(text: str, name: str) -> Fault | None:
    """Is this currency anything but US dollars?

    >>> currency_fault("USD", "p5.48xlarge") is None
    True
    >>> currency_fault("EUR", "p5.48xlarge").rule
    'the price of p5.48xlarge must be in US dollars'
    """
    if text.strip().upper() in ("", "USD", "US$", "$", "US DOLLAR", "US DOLLARS"):
        return None
    rule = f"the price of {name} must be in US dollars"
    return Fault("currency", rule, shown(text.strip()), EXCHANGE)


EXCHANGE: Final = "Convert it at the rate that you are billed at, and say so in source."
"""How to mend a price in another currency."""


def foreign_currency(text: str) -> str | None:
    """Which currency other than US dollars does this text name, if any?

    >>> foreign_currency("Price (EUR/h)"), foreign_currency("12.50 €"), foreign_currency("Price USD")
    ('EUR', 'EUR', None)
    """
    for sign, currency in _SIGNS.items():
        if sign in text:
            return currency
    found = re.search(rf"(?<![A-Z])({'|'.join(CURRENCIES)})(?![A-Z])", text.upper())
    return found[1] if found else None


def _number(cell: Mapping[str, str], column: str, name: str, faults: list[Fault], highest: float) -> float | None:
    """The number of an optional cell, or None where it is blank or wrong."""
    text = cell.get(column, "").strip()
    if not text:
        return None
    value = float(text) if _DECIMAL.fullmatch(text) else math.nan
    if 0.0 <= value <= highest and math.isfinite(value):
        return value
    reach = "0 or greater" if math.isinf(highest) else f"within 0 and {highest:g}"
    faults.append(Fault(column, f"{column} of {name} must be a number, {reach}", shown(text), _REMEDY[column]))
    return None


_REMEDY: Final = {
    "upfront_usd": "Write what is paid at once for one instance, in USD, or leave it blank.",
    "term_h": "Write the hours for which it is bought, 24 for a day; leave it blank for plans of 1 and 3 years.",
    "interruption_rate": "Write reclaims per instance hour; a share s that is reclaimed in a month is -ln(1-s)/730.",
}


def _whole_term(term: float | None, name: str, price_type: str, text: str, faults: list[Fault]) -> int | None:
    """Hours of the term, as the plan or else the cell states them."""
    plan = PLAN_BY_PRICE_TYPE.get(price_type)
    stated = plan.term_h if plan else 0
    if term is None:
        return None
    if term < 1 or term != int(term) or (stated and term != stated) or price_type in ("on_demand", "spot"):
        fits = f"the {stated:,} hours of {price_type}" if stated else "a whole number of hours of a plan with a term"
        remedy = "Leave it blank: the plan says it."
        faults.append(Fault("term_h", f"term_h of {name} must be {fits}", shown(text.strip()), remedy))
        return None
    return int(term)


def _upfront_faults(
    upfront_usd: float, usd_per_hour: float, term_h: int | None, name: str, price_type: str
) -> list[Fault]:
    """What does the upfront part contradict: the plan, or the price of the whole term?"""
    plan = PLAN_BY_PRICE_TYPE.get(price_type)
    term = plan.term_h if plan and plan.promises else term_h
    spoken = price_type.replace("_", "-")
    total = usd_per_hour * term if term else math.inf
    rule, remedy = "", ""
    if plan and not plan.promises and plan.kind != "capacity_block":
        if upfront_usd > 0:
            rule = f"{name} must have nothing paid upfront on its {spoken} price"
            remedy = "Delete it, or name the plan that it belongs to."
    elif upfront_usd > total * (1 + TOLERANCE):
        rule = f"upfront_usd of {name} must be within the {total:,.2f} USD that the term costs"
        remedy = f"usd_per_hour is the effective price: what is paid each hour plus upfront_usd / {term:,} h."
    elif plan and plan.promises and plan.payment == "no_upfront" and upfront_usd > 0:
        rule = f"{name} must have nothing paid upfront on its {spoken} price"
        remedy = "Delete it, or name the plan that it belongs to."
    elif plan and plan.payment == "all_upfront" and upfront_usd < total * (1 - TOLERANCE):
        rule = f"upfront_usd of {name} must be the {total:,.2f} USD that the term costs: all is paid upfront"
        remedy = f"usd_per_hour is upfront_usd / {term:,} h."
    elif plan and plan.payment == "partial_upfront" and not 0 < upfront_usd < total * (1 - TOLERANCE):
        rule = f"upfront_usd of {name} must be a part of the {total:,.2f} USD that the term costs"
        remedy = "Write what is paid at once, or name the plan that it belongs to."
    return [Fault("upfront_usd", rule, f"{upfront_usd:g}", remedy)] if rule else []
