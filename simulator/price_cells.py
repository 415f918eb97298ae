"""What a row of a price list must hold, and how one is written.

It is decided here, once, for the catalogue and for every importer: a price that is missing, 0, negative, in another
currency or a stand-in for "not offered" is a :class:`Fault`, never a number that reaches a bill.
"""

from __future__ import annotations

import csv
import math
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from calibration.csv_sheet import file_problem, shown
from calibration.problems import InputError, Problem
from simulator.price_list import COLUMNS, MORE_COLUMNS, REQUIRED, Fault, Price, parse_as_of
from simulator.price_terms import EXCHANGE, currency_fault, foreign_currency, terms_of
from simulator.price_types import normal_price_type, remark_on

SENTINELS_USD: Final = (700.0, 999.0, 9999.0, 99999.0, 999999.0)
"""Numbers that price lists write where they have no price. SkyPilot's catalogue writes 700.0 for TPU slices
that a zone does not offer; rows of nines are the habit elsewhere."""

LIMIT_USD_PER_HOUR: Final = 1e6
"""No instance costs this much an hour; a whole TPU v5p pod is listed at 26,000."""

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)


def usd_per_hour_of(text: str, instance_type: str) -> float | Fault:
    """Is this cell a price that can be billed? The number, or what is wrong with it, naming the instance type.

    >>> usd_per_hour_of("0.8048", "g6.xlarge")
    0.8048
    >>> usd_per_hour_of("7.0e2", "tpu-v6e-1").rule
    'the price of tpu-v6e-1 must be a real one: 700 stands for "not offered" in price lists'
    """
    name = instance_type or "this row"
    text = text.strip()

    def fault(rule: str, remedy: str) -> Fault:
        return Fault("usd_per_hour", rule, shown(text) if text else None, remedy)

    if not text:
        return fault(
            f"{name} has no price", "Write its price in USD per hour, or delete the row if it is not offered there."
        )
    if text.lower().lstrip("+-") in ("nan", "inf", "infinity"):
        return fault(f"the price of {name} must be a finite number", "Write its price in USD per hour.")
    currency = foreign_currency(text)
    if currency is not None:
        return fault(f"the price of {name} must be in US dollars, not {currency}", EXCHANGE)
    if not _NUMBER.fullmatch(text):
        return fault(
            f"the price of {name} must be a number",
            "Write it in USD per hour with a decimal point, without a currency sign or thousands separators.",
        )
    usd = float(text)
    if usd <= 0.0:
        return fault(
            f"the price of {name} must be greater than 0",
            "Nothing is free: write its price in USD per hour, or delete the row if it is not offered there.",
        )
    if usd in SENTINELS_USD:
        return fault(
            f'the price of {name} must be a real one: {usd:g} stands for "not offered" in price lists',
            "Write its price in USD per hour, or delete the row.",
        )
    if not usd < LIMIT_USD_PER_HOUR:
        return fault(
            f"the price of {name} must be below {LIMIT_USD_PER_HOUR:,.0f} USD per hour",
            "Write its price in USD per hour.",
        )
    return usd


def price_of_cells(cells: Mapping[str, str]) -> tuple[Price | None, list[Fault]]:
    """Which price does a row state? The price, or None and everything that is wrong with the row.

    Parameters
    ----------
    cells
        Text by column name of :data:`COLUMNS` and :data:`MORE_COLUMNS`; an absent column counts as blank.
    """
    cell = {column: cells.get(column, "").strip() for column in (*COLUMNS, *MORE_COLUMNS)}
    name = cell["instance_type"]
    whose = name or "this row"
    faults = [
        Fault(column, f"{whose} has no {column}", None, _BLANK_REMEDY[column])
        for column in REQUIRED
        if column != "usd_per_hour" and not cell[column]
    ]
    usd = usd_per_hour_of(cell["usd_per_hour"], name)
    if isinstance(usd, Fault):
        faults.append(usd)
    foreign = currency_fault(cell["currency"], whose)
    if foreign is not None:
        faults.append(foreign)
    if cell["as_of"] and parse_as_of(cell["as_of"]) is None:
        rule = f"as_of of {whose} must be an ISO date"
        faults.append(Fault("as_of", rule, shown(cell["as_of"]), "Write it as 2026-01-19, 2026-01 or 2026."))
    count = count_of(cell["accelerator_count"], whose)
    if isinstance(count, Fault):
        faults.append(count)
    price_type = normal_price_type(cell["price_type"])
    terms, wrong = terms_of(cell, whose, price_type, None if isinstance(usd, Fault) else usd)
    faults += wrong
    if faults or isinstance(usd, Fault) or isinstance(count, Fault):
        order = {column: position for position, column in enumerate((*COLUMNS, *MORE_COLUMNS))}
        return None, sorted(faults, key=lambda fault: order[fault.column])
    return (
        Price(
            usd_per_hour=usd,
            provider=cell["provider"],
            region=cell["region"],
            instance_type=name,
            accelerator=cell["accelerator"],
            accelerator_count=count,
            price_type=price_type,
            as_of=cell["as_of"],
            source="; ".join(part for part in (cell["source"], remark_on(cell["price_type"])) if part),
            **terms._asdict(),
        ),
        [],
    )


_BLANK_REMEDY: Final = {
    "provider": "Write who rents it out, for instance aws.",
    "instance_type": "Write the provider's name of the machine, for instance g6.xlarge.",
    "price_type": "Write on_demand, spot or the plan the price belongs to.",
    "as_of": "Write the day on which the price held, for instance 2026-01-19.",
    "source": "Write where the price was read: a page, a file, a quotation.",
}


def count_of(text: str, whose: str) -> float | Fault | None:
    """How many accelerators does this cell state? The number, None for a blank cell, or what is wrong."""
    if not text:
        return None
    count = float(text) if _NUMBER.fullmatch(text) else -1.0
    if 0.0 <= count < math.inf:
        return count
    rule = f"accelerator_count of {whose} must be a number, 0 or greater"
    return Fault("accelerator_count", rule, shown(text), "Write how many accelerators one instance has.")


def write_catalogue(rows: Sequence[Price], path: str | Path) -> None:
    """Write prices as a price list: the whole file or, on any failure, none of it.

    The rows are written to a file beside ``path`` that then takes its place; an older file of that name stays
    untouched until the new one is complete.

    Raises
    ------
    InputError
        ``path`` is a directory or a device, or cannot be written.
    """
    target = Path(path)
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    if target.exists() and not target.is_file():
        raise InputError([file_problem(str(path), "must be a file that can be written", "Name a file to write.")])
    try:
        try:
            with part.open("x", encoding="utf-8", newline="") as stream:
                writer = csv.writer(stream, lineterminator="\n")
                columns = (*COLUMNS, *(name for name in MORE_COLUMNS if any(_said(price, name) for price in rows)))
                writer.writerow(columns)
                writer.writerows([_said(price, name) for name in columns] for price in rows)
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)
    except UnicodeEncodeError as error:
        rule = f"must be written in characters of Unicode, {error.object[error.start]!r} is none"
        raise InputError([file_problem(str(path), rule, "Check the options that name a source or provider.")]) from None
    except OSError as error:
        rule = f"must be a file that can be written ({error.strerror})"
        raise InputError([file_problem(str(path), rule, "Name a file in a folder that exists.")]) from None


def _said(price: Price, column: str) -> str:
    """The cell of a written row; numbers that read back to the same float."""
    if column == "currency" or (column == "unit" and price.unit == "hour"):
        return ""
    value = getattr(price, column)
    if column in ("usd_per_hour", "upfront_usd", "interruption_rate") and value is not None:
        return repr(float(value))
    if column == "accelerator_count" and value is not None:
        return f"{value:.15g}"
    return "" if value is None else str(value)


def option_problem(name: str, rule: str, value: str | None, remedy: str) -> Problem:
    """Problem of an option of the command line rather than of a file."""
    return Problem("<command line>", None, None, name, rule, value or None, remedy)
