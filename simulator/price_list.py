"""A price of a price list: what it says, how old it is, and what an import of many of them brought.

A price list is a CSV with a header; the columns of :data:`COLUMNS` and :data:`MORE_COLUMNS` are read, in any order,
others are ignored. What a row must hold is decided in ``price_cells.py``, looking a price up is ``prices.py``, the
rates of a purchase plan are ``plan_rates.py``, and other people's files are brought into this form by
``price_import.py``.
"""

from __future__ import annotations

import datetime as dt
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from calibration.problems import Problem

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

MORE_COLUMNS: Final = ("upfront_usd", "term_h", "zone", "interruption_rate", "unit", "currency")
"""Columns that a price list may have besides; written only where a row fills them, ``currency`` never."""

REQUIRED: Final = ("provider", "instance_type", "price_type", "usd_per_hour", "as_of", "source")
"""Columns that every row must fill. Clouds without regions leave ``region`` blank."""

UNITS: Final = ("hour", "1k_requests")
"""What a price is for: an hour of an instance, or 1,000 requests to an endpoint that somebody else runs."""

STALE_MONTHS: Final = 6
"""A price older than this is said to be old."""

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
    """US dollars for one instance hour (or one ``unit``); greater than 0. Of a price that is paid upfront in part or
    whole, the effective price: what is paid each hour, and what was paid upfront spread over the term."""
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
    """on_demand, spot, cud_1y, ...: a name of :data:`simulator.purchase_plan.PLANS`, or of no plan."""
    as_of: str
    """When the price held: an ISO day, month or year, or a quarter such as 2024-Q4; a remark may follow in brackets."""
    source: str
    """Where the price was read."""
    upfront_usd: float | None = None
    """Part of the term's price that is paid at once, for each instance; None where the list does not say."""
    term_h: int | None = None
    """Hours for which it is bought, where the plan leaves that open: the length of a capacity block."""
    zone: str = ""
    """Zone within the region; blank for the whole region."""
    interruption_rate: float | None = None
    """Reclaims to be expected for each hour that a spot instance runs: 0.002 is one in 500 instance hours."""
    unit: str = "hour"
    """One of :data:`UNITS`. A look-up answers with an hour's price unless another unit is asked for."""
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
        place = " ".join(part for part in (self.provider, self.zone or self.region) if part)
        per = "h" if self.unit == "hour" else self.unit.replace("_", " ")
        kind = self.price_type.replace("_", " ")
        return f"{self.usd_per_hour:g} USD/{per} {kind} ({place}, {self.as_of}, {self.source})"


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
