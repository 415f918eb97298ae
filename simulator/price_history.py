"""What did instances cost on many days? A history of prices, read from a table with dates.

Two layouts are read: a price list that states a price for several dates (``as_of``), and a table with a row for each
day and machine and a column for each price type, such as ``date,region,machine_type,on_demand_hour,spot_hour``. What
the prices did is told by ``price_changes.py``.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from calibration.csv_sheet import Row, Sheet, missing_columns, read_sheet, shown
from calibration.problems import InputError, Problem
from simulator.price_cells import price_of_cells, usd_per_hour_of
from simulator.price_list import REQUIRED, Fault, parse_as_of
from simulator.price_types import normal_price_type
from simulator.purchase_plan import PLAN_BY_PRICE_TYPE

_DAY: Final = ("date", "day", "as_of")
_TYPE: Final = ("instance_type", "machine_type")
_PRICE_COLUMN = re.compile(r"(?P<type>.+?)_(?:usd_per_hour|usd_per_h|hourly|hour)", re.IGNORECASE)


class Listing(NamedTuple):
    """What a series of prices is of."""

    instance_type: str
    region: str
    price_type: str
    zone: str = ""


@dataclass(frozen=True)
class PriceHistory:
    """Prices of machines on many days."""

    file: str
    """The file, as the user named it."""
    series: Mapping[Listing, tuple[tuple[dt.date, float], ...]]
    """Days and US dollars per hour of each listing, in the order of time; days without a price are absent."""

    @property
    def instance_types(self) -> tuple[str, ...]:
        """Machines that it speaks of, in alphabetical order."""
        return tuple(sorted({listing.instance_type for listing in self.series}))


def load_price_history(path: str | Path) -> PriceHistory:
    """Read a table of dated prices.

    Parameters
    ----------
    path
        A price list (:data:`simulator.price_list.COLUMNS`), or a CSV with ``date`` (or ``day``, ``as_of``),
        ``machine_type`` (or ``instance_type``), ``region`` if prices are of several, and columns that are called like
        a purchase plan: ``on_demand_hour``, ``spot_hour``, ``cud_1y_hour``, ``reserved_1y_no_upfront_hour``, ...

    Raises
    ------
    InputError
        With every cell that is no price or no date, and every day for which two prices are stated.
    """
    sheet = read_sheet(path)
    wide = {
        name: normal_price_type(match["type"])
        for name in sheet.columns
        if (match := _PRICE_COLUMN.fullmatch(name)) and normal_price_type(match["type"]) in PLAN_BY_PRICE_TYPE
    }
    problems: list[Problem] = []
    found: dict[Listing, dict[dt.date, float]] = {}
    if not wide:
        problems = missing_columns(sheet, REQUIRED, "a price list with dates, or write columns such as on_demand_hour")
        if problems:
            raise InputError(problems)
    day_column = next((name for name in _DAY if name in sheet.columns), "")
    type_column = next((name for name in _TYPE if name in sheet.columns), "")
    if not (day_column and type_column):
        raise InputError(missing_columns(sheet, ("date", "instance_type"), "a price history"))
    for row in sheet.rows:
        if wide:
            _take_day(sheet, row, (day_column, type_column), wide, found, problems)
        else:
            _take_price(sheet, row, found, problems)
    if not found and not problems:
        problems = [Problem(sheet.file, None, None, "", "must hold a price", None, "Add a row for each day.")]
    if problems:
        raise InputError(problems)
    return PriceHistory(sheet.file, {listing: tuple(sorted(days.items())) for listing, days in sorted(found.items())})


def _take_day(
    sheet: Sheet,
    row: Row,
    columns: tuple[str, str],
    wide: Mapping[str, str],
    found: dict[Listing, dict[dt.date, float]],
    problems: list[Problem],
) -> None:
    """Add the prices of one machine on one day."""
    day_column, type_column = columns
    name = row.cells[type_column].strip()
    day = parse_as_of(row.cells[day_column])
    if day is None:
        value = shown(row.cells[day_column])
        problems.append(sheet.problem(row, day_column, "must be an ISO date", value, "Write it as 2026-01-19."))
    if not name:
        problems.append(sheet.problem(row, type_column, "must name the machine", None, "Write its instance type."))
    if day is None or not name:
        return
    for column, price_type in wide.items():
        if not row.cells[column].strip():
            continue
        usd = usd_per_hour_of(row.cells[column], name)
        if isinstance(usd, Fault):
            problems.append(sheet.problem(row, column, usd.rule, usd.value, usd.remedy))
        else:
            zone = row.cells.get("zone", "").strip()
            listing = Listing(name, row.cells.get("region", "").strip(), price_type, zone)
            _add(sheet, row, column, listing, day, usd, found, problems)


def _take_price(sheet: Sheet, row: Row, found: dict[Listing, dict[dt.date, float]], problems: list[Problem]) -> None:
    """Add the price of one row of a price list."""
    price, faults = price_of_cells(row.cells)
    problems += [sheet.problem(row, *fault) for fault in faults]
    if price is not None and price.unit == "hour":
        listing = Listing(price.instance_type, price.region, price.price_type, price.zone)
        _add(sheet, row, "usd_per_hour", listing, price.as_of_day, price.usd_per_hour, found, problems)


def _add(
    sheet: Sheet,
    row: Row,
    column: str,
    listing: Listing,
    day: dt.date,
    usd: float,
    found: dict[Listing, dict[dt.date, float]],
    problems: list[Problem],
) -> None:
    """Add a price; another one for the same day is a problem."""
    earlier = found.setdefault(listing, {}).setdefault(day, usd)
    if earlier != usd:
        rule = (
            f"the {listing.price_type} price of {listing.instance_type} on {day} must be stated once, also {earlier:g}"
        )
        problems.append(sheet.problem(row, column, rule, f"{usd:g}", "Delete one of the two rows."))
