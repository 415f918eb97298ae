"""One row of a price list: what it must hold, and how it is written.

A price list is a CSV with a header; the columns of :data:`COLUMNS` are read, in any order, others are ignored.
What a row must hold is decided here, once, for the catalogue and for every importer: a price that is missing,
0, negative or a stand-in for "not offered" is a :class:`Fault`, never a number that reaches a bill. Looking a
price up is ``prices.py``; bringing other people's files into this form is ``price_import.py``.
"""

from __future__ import annotations

import csv
import datetime as dt
import math
import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

from calibration.csv_sheet import file_problem, shown
from calibration.problems import InputError, Problem

COLUMNS: Final = (
    "provider",
    "region",
    "instance_type",
    "accelerator",
    "accelerator_count",
    "price_type",
    "usd_per_hour",
    "as_of",
    "source",
)
"""Columns of a price list, in the order in which one is written."""

REQUIRED: Final = ("provider", "instance_type", "price_type", "usd_per_hour", "as_of", "source")
"""Columns that every row must fill. Clouds without regions leave ``region`` blank."""

SENTINELS_USD: Final = (700.0, 999.0, 9999.0, 99999.0, 999999.0)
"""Numbers that price lists write where they have no price. SkyPilot's catalogue writes 700.0 for TPU slices
that a zone does not offer; rows of nines are the habit elsewhere."""

LIMIT_USD_PER_HOUR: Final = 1e6
"""No instance costs this much an hour; a whole TPU v5p pod is listed at 26,000."""

STALE_MONTHS: Final = 6
"""A price older than this is said to be old."""

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)
_AS_OF = re.compile(r"(\d{4})(?:-(\d\d)(?:-(\d\d))?|-Q([1-4]))?(?:\s*\([^()]*\))?", re.ASCII)


class Fault(NamedTuple):
    """What is wrong with one cell; the reader adds the place and makes a ``Problem`` of it."""

    column: str
    """The column meant."""
    rule: str
    """The rule broken, as a sentence without a full stop; names the instance type where there is one."""
    value: str | None
    """The text found, or None where nothing is there."""
    remedy: str
    """How to mend it."""


@dataclass(frozen=True)
class Price:
    """What an hour of one instance costs, where, when, and who says so."""

    usd_per_hour: float
    """US dollars for one instance hour; greater than 0."""
    provider: str
    """Who rents it out: aws, gcp, azure, ..."""
    region: str
    """The provider's region; blank where the price holds in all of them."""
    instance_type: str
    """The provider's name of the machine."""
    accelerator: str
    """Accelerator in it; blank for a machine without one."""
    accelerator_count: float | None
    """How many of them, a fraction for a shared one; None where the list does not say."""
    price_type: str
    """on_demand, spot, cud_1y, ..."""
    as_of: str
    """When the price held: an ISO day, month or year, or a quarter such as 2024-Q4; a remark may follow in brackets."""
    source: str
    """Where the price was read."""
    file: str = field(default="", compare=False)
    """Price list it comes from, as the user named it."""
    line: int = field(default=0, compare=False)
    """Line of that list, from 1; 0 where there is none."""
    note: str = field(default="", compare=False)
    """Why this row was chosen among several, for the report; blank where there was no choice."""

    @property
    def as_of_day(self) -> dt.date:
        """First day of the period that ``as_of`` names: the oldest that the price can be."""
        day = parse_as_of(self.as_of)
        if day is None:
            raise ValueError(f"as_of of {self.instance_type} must be an ISO date, got {self.as_of!r}")
        return day

    def age_note(self, today: dt.date, *, stale_months: int = STALE_MONTHS) -> str | None:
        """Is the price too old to trust? A sentence part, or None up to ``stale_months`` of age.

        >>> price = Price(0.8048, "aws", "us-east-1", "g6.xlarge", "L4", 1, "on_demand", "2026-01-19", "list")
        >>> price.age_note(dt.date(2026, 11, 22))
        'price is 10 months old (2026-01-19)'
        >>> price.age_note(dt.date(2026, 7, 19)) is None
        True
        """
        day = self.as_of_day
        months = (today.year - day.year) * 12 + today.month - day.month - (today.day < day.day)
        if months < stale_months or (months == stale_months and today.day == day.day):
            return None
        verb = "is" if re.match(r"\d{4}-\d\d-\d\d", self.as_of) else "may be"
        return f"price {verb} {months} months old ({self.as_of})"

    def describe(self) -> str:
        """One line for a report: the price, where it holds, its date and source.

        >>> Price(2.5, "gcp", "", "tpu-v6e-1", "TPU v6e", 1, "spot", "2026-07", "a list").describe()
        '2.5 USD/h spot (gcp, 2026-07, a list)'
        """
        place = " ".join(part for part in (self.provider, self.region) if part)
        return f"{self.usd_per_hour:g} USD/h {self.price_type.replace('_', ' ')} ({place}, {self.as_of}, {self.source})"


@dataclass(frozen=True)
class PriceImport:
    """What came out of reading someone else's price file."""

    file: str
    """The file, as the user named it."""
    rows: tuple[Price, ...]
    """The prices, one for each provider, region, instance type and price type."""
    read: int
    """Rows in the file."""
    skipped: Mapping[str, int] = field(default_factory=dict)
    """Prices that were left out because there is nothing to import, counted by reason."""
    refused: tuple[Problem, ...] = ()
    """Prices that must not be billed; one problem for each instance type and rule, naming it."""
    notes: tuple[str, ...] = ()
    """What looks odd but was imported."""

    def describe(self) -> str:
        """The outcome in a few lines: counts, then what was refused, then what looks odd."""
        types = Counter(price.price_type for price in self.rows)
        kinds = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in sorted(types.items()))
        left_out = "".join(f"\nskipped: {count} ({reason})" for reason, count in self.skipped.items())
        refused = "".join(f"\nrefused: {problem}" for problem in self.refused)
        notes = "".join(f"\nnote: {note}" for note in self.notes)
        return f"{self.file}: {len(self.rows)} prices ({kinds}) imported from {self.read} rows" + (
            left_out + refused + notes
        )


def parse_as_of(text: str) -> dt.date | None:
    """First day of the period that a date names, or None when it is no date.

    >>> parse_as_of("2026-01-19"), parse_as_of("2024-Q4"), parse_as_of("2026 (day unverified)")
    (datetime.date(2026, 1, 19), datetime.date(2024, 10, 1), datetime.date(2026, 1, 1))
    >>> parse_as_of("19/01/2026") is None
    True
    """
    match = _AS_OF.fullmatch(text.strip())
    if match is None:
        return None
    year, month, day, quarter = match.groups()
    try:
        return dt.date(int(year), 3 * int(quarter) - 2 if quarter else int(month or 1), int(day or 1))
    except ValueError:
        return None


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
        Text by column name of :data:`COLUMNS`; an absent column counts as blank.
    """
    cell = {column: cells.get(column, "").strip() for column in COLUMNS}
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
    if cell["as_of"] and parse_as_of(cell["as_of"]) is None:
        rule = f"as_of of {whose} must be an ISO date"
        faults.append(Fault("as_of", rule, shown(cell["as_of"]), "Write it as 2026-01-19, 2026-01 or 2026."))
    count = count_of(cell["accelerator_count"], whose)
    if isinstance(count, Fault):
        faults.append(count)
    if faults or isinstance(usd, Fault) or isinstance(count, Fault):
        order = {column: position for position, column in enumerate(COLUMNS)}
        return None, sorted(faults, key=lambda fault: order[fault.column])
    return (
        Price(
            usd_per_hour=usd,
            provider=cell["provider"],
            region=cell["region"],
            instance_type=name,
            accelerator=cell["accelerator"],
            accelerator_count=count,
            price_type=normal_price_type(cell["price_type"]),
            as_of=cell["as_of"],
            source=cell["source"],
        ),
        [],
    )


def normal_price_type(text: str) -> str:
    """One spelling for a price type.

    >>> normal_price_type("On-Demand")
    'on_demand'
    """
    return re.sub(r"[\s-]+", "_", text.strip().lower()).replace("ondemand", "on_demand")


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
                writer.writerow(COLUMNS)
                writer.writerows(_cells_of(price) for price in rows)
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)
    except UnicodeEncodeError as error:
        rule = f"must be written in characters of Unicode, {error.object[error.start]!r} is none"
        raise InputError([file_problem(str(path), rule, "Check the options that name a source or provider.")]) from None
    except OSError as error:
        rule = f"must be a file that can be written ({error.strerror})"
        raise InputError([file_problem(str(path), rule, "Name a file in a folder that exists.")]) from None


def _cells_of(price: Price) -> list[str]:
    """The cells of a written row, in the order of :data:`COLUMNS`; numbers that read back to the same float."""
    count = "" if price.accelerator_count is None else f"{price.accelerator_count:.15g}"
    named = {"usd_per_hour": repr(float(price.usd_per_hour)), "accelerator_count": count}
    return [named.get(column) or str(getattr(price, column) or "") for column in COLUMNS]


def option_problem(name: str, rule: str, value: str | None, remedy: str) -> Problem:
    """Problem of an option of the command line rather than of a file."""
    return Problem("<command line>", None, None, name, rule, value or None, remedy)
