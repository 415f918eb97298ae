"""Prices from the SkyPilot catalogue: one cloud's ``vms.csv`` as rows of a price list.

The file has a row for each machine and zone, with ``Price`` (on demand) and ``SpotPrice`` in USD per hour. What one
has to know to read it (catalogue schema v5 to v9):

* The order of the columns differs from cloud to cloud, and ``SpotPrice`` or ``AvailabilityZone`` may be missing.
* A blank price means "not offered": nothing is imported, and it is counted. 0 and 700.0 mean the same without
  saying so; they are refused by name.
* On Google Cloud the price of a machine with accelerators is **split over two rows**: ``a2-highgpu-1g`` is the host
  alone, and its A100 stands in a row without an instance type (skypilot-catalog issue 31). The two are added up
  here; a host whose accelerator has no price in that zone is refused, since it would look five times too cheap.
  A TPU slice has no host row: its row becomes an instance type named after it (``tpu-v6e-8``).
* Some spot prices are placeholders: equal to the on-demand price, or exactly a tenth of it. They are imported,
  and noted.
* The file says neither which cloud nor which day it is of: both are asked of the user.

Unless zones are asked for, a price is of a region. Where the zones of a region differ, the median zone's price is
taken (of an even number the dearer one in the middle), never the cheapest: placeholders and stale prices gather at
that end. The row's source says how many zones there were and how far apart.
"""

from __future__ import annotations

import ast
import re
import statistics
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final, NamedTuple

from calibration.csv_sheet import Row, Sheet, missing_columns, read_sheet
from calibration.problems import InputError, Problem
from simulator.price_cells import count_of, option_problem, usd_per_hour_of
from simulator.price_checks import odd_line, suspicion
from simulator.price_list import Fault, Price, PriceImport, parse_as_of

NEEDED: Final = ("InstanceType", "Region", "Price")
"""Columns without which a file is no SkyPilot catalogue."""

GCP_ACCELERATORS: Final = {
    "a2-highgpu": "A100",
    "a2-megagpu": "A100",
    "a2-ultragpu": "A100-80GB",
    "a3-highgpu": "H100",
    "a3-megagpu": "H100-MEGA",
    "a3-ultragpu": "H200",
    "a4-highgpu": "B200",
}
"""Accelerator, in SkyPilot's spelling, of each Google machine family whose names end in their number (``-8g``)."""

GCP_L4_COUNTS: Final = {4: 1, 8: 1, 12: 1, 16: 1, 32: 1, 24: 2, 48: 4, 96: 8}
"""L4s in a ``g2-standard-N`` by its vCPUs, from Google's table of accelerator-optimised machines."""

_GCP_HOST = re.compile(r"(?:a\d+x?|g[2-9])-[a-z]")
_GCP_COUNTED = re.compile(r"(a\d+-[a-z]+)-(\d+)g")


class _Offer(NamedTuple):
    """One price of one machine in one zone."""

    instance_type: str
    region: str
    accelerator: str
    accelerator_count: float | None
    price_type: str
    usd_per_hour: float
    zone: str


def import_skypilot(
    path: str | Path, provider: str, as_of: str, *, source: str | None = None, zones: bool = False
) -> PriceImport:
    """Read the prices of one cloud from its SkyPilot ``vms.csv``.

    Parameters
    ----------
    path
        The file, for instance ``catalogs/v8/aws/vms.csv`` of skypilot-org/skypilot-catalog.
    provider
        The cloud it is of, for instance ``aws``.
    as_of
        The day it was fetched, for instance ``2026-01-19``.
    source
        Said of every price; the default names the file.
    zones
        Whether a spot price is kept for each zone rather than for each region. On-demand prices are of regions.

    Raises
    ------
    InputError
        The file is not such a catalogue, ``provider`` is blank, ``as_of`` is no date, or no price is left.
    """
    sheet = read_sheet(path)
    problems = missing_columns(sheet, NEEDED, "a SkyPilot catalogue (vms.csv)")
    if not provider.strip():
        problems.append(
            option_problem("--provider", "must name the cloud the file is of", provider, "Write for instance aws.")
        )
    if parse_as_of(as_of) is None:
        problems.append(
            option_problem("--as-of", "must be an ISO date", as_of, "Write the day the file is of, as 2026-01-19.")
        )
    if problems:
        raise InputError(problems)
    reading = _Reading(sheet)
    for row in sheet.rows:
        reading.take(row)
    refused = reading.refusals()
    said = (source or "").strip() or f"SkyPilot catalogue {Path(path).name}"
    prices = _by_place(reading.offers, provider.strip(), as_of.strip(), said, zones=zones)
    if not prices:
        nothing = Problem(sheet.file, None, None, "", "must hold a price that can be billed", None, "Check the file.")
        raise InputError([nothing, *refused])
    return PriceImport(sheet.file, prices, len(sheet.rows), dict(reading.skipped), refused, reading.notes())


class _Reading:
    """The offers found so far, and what was found wrong or odd on the way."""

    def __init__(self, sheet: Sheet) -> None:
        self.sheet = sheet
        self.offers: list[_Offer] = []
        self.skipped: Counter[str] = Counter()
        self._refused: dict[tuple[str, str], list[Problem]] = {}
        self._odd: dict[str, list[str]] = {}
        self._attached = _accelerator_rows(sheet)

    def take(self, row: Row) -> None:
        """Add what one row offers."""
        cells = row.cells
        instance_type = cells["InstanceType"].strip()
        accelerator, count = _accelerator(cells)
        if not instance_type:
            if not accelerator.lower().startswith("tpu"):
                self.skipped["an accelerator alone: its price is part of the machines that have it"] += 1
                return
            instance_type = accelerator
        needed = None if accelerator else _gcp_accelerator(instance_type)
        if needed is not None:
            accelerator, count = needed
        accelerators = count_of(count, instance_type)
        if isinstance(accelerators, Fault):
            self._refuse(row, "AcceleratorCount", accelerators)
            return
        usd: dict[str, float] = {}
        for column, price_type in (("Price", "on_demand"), ("SpotPrice", "spot")):
            price = self._price(row, column, instance_type, needed)
            if price is not None:
                usd[price_type] = price
                region = cells["Region"].strip()
                zone = cells.get("AvailabilityZone", "").strip()
                self.offers.append(_Offer(instance_type, region, accelerator, accelerators, price_type, price, zone))
        if len(usd) == 2:
            kind = suspicion("spot", usd["spot"], usd["on_demand"])
            if kind:
                self._odd.setdefault(kind, []).append(f"{instance_type} in {_zone(row)}")

    def refusals(self) -> tuple[Problem, ...]:
        """One problem for each instance type and rule, at its first row."""
        firsts = []
        for first, *others in self._refused.values():
            also = f" (and in {_rows(len(others), 'more ')})" if others else ""
            firsts.append(replace(first, rule=first.rule + also))
        return tuple(firsts)

    def notes(self) -> tuple[str, ...]:
        """One line for each kind of oddity."""
        return tuple(odd_line(kind, where) for kind, where in self._odd.items())

    def _price(self, row: Row, column: str, instance_type: str, needed: tuple[str, str] | None) -> float | None:
        """The whole price in USD per hour, or None where nothing is offered or the price is refused."""
        text = row.cells.get(column, "").strip()
        if not text:
            if column in row.cells:
                self.skipped[f"no {column}: not offered"] += 1
            return None
        usd = usd_per_hour_of(text, instance_type)
        if isinstance(usd, Fault):
            self._refuse(row, column, usd)
            return None
        if needed is None:
            return usd
        accelerator, count = needed
        added = self._attached.get((accelerator, count, _zone(row), column), "").strip()
        attached = usd_per_hour_of(added, f"{instance_type}'s {count or 'unknown number of'} {accelerator}")
        if isinstance(attached, Fault):
            rule = f"the price of {instance_type} must include its accelerators: it is of the host alone"
            remedy = f"The file has no usable {column} for {count} {accelerator} in that zone; add the price by hand."
            self._refuse(row, column, Fault(column, rule, text, remedy))
            return None
        return round(usd + attached, 6)

    def _refuse(self, row: Row, column: str, fault: Fault) -> None:
        problem = self.sheet.problem(row, column, fault.rule, fault.value, fault.remedy)
        self._refused.setdefault((column, fault.rule), []).append(problem)


def _by_place(offers: Iterable[_Offer], provider: str, as_of: str, source: str, *, zones: bool) -> tuple[Price, ...]:
    """One price a region, the median of its zones; of spot prices one a zone where that is asked for."""
    groups: dict[tuple[str, str, str, str], list[_Offer]] = {}
    for offer in offers:
        zone = offer.zone if zones and offer.price_type == "spot" else ""
        groups.setdefault((offer.instance_type, offer.region.lower(), zone, offer.price_type), []).append(offer)
    prices = []
    for (_, _, zone, _), group in groups.items():
        usd = [offer.usd_per_hour for offer in group]
        spread = f"; median of {len(usd)} zones, {min(usd):g} to {max(usd):g}" if min(usd) < max(usd) else ""
        first = group[0]
        prices.append(
            Price(
                usd_per_hour=statistics.median_high(usd),
                provider=provider,
                region=first.region,
                instance_type=first.instance_type,
                accelerator=first.accelerator,
                accelerator_count=first.accelerator_count,
                price_type=first.price_type,
                as_of=as_of,
                source=source + spread,
                zone=zone,
            )
        )
    return tuple(prices)


def _accelerator(cells: Mapping[str, str]) -> tuple[str, str]:
    """Accelerator and how many, from their columns, else from ``GpuInfo``; blank and 0 for a machine without one."""
    name = cells.get("AcceleratorName", "").strip()
    count = cells.get("AcceleratorCount", "").strip()
    if not name:
        name, count = _gpu_info(cells.get("GpuInfo", "").strip())
    return name, count if name else "0"


def _gpu_info(text: str) -> tuple[str, str]:
    """Name and number of the GPUs in a ``GpuInfo`` cell, a Python dict written as text; blanks if it is none.

    >>> _gpu_info("{'Gpus': [{'Name': 'A10G', 'Count': 4.0}], 'TotalGpuMemoryInMiB': 24576}")
    ('A10G', '4')
    """
    if not text.startswith("{") or len(text) > 10_000:
        return "", ""
    try:
        gpus = ast.literal_eval(text)["Gpus"]
        return str(gpus[0]["Name"]), f"{sum(float(gpu['Count']) for gpu in gpus):g}"
    except (ValueError, SyntaxError, KeyError, IndexError, TypeError, MemoryError, RecursionError):
        return "", ""


def _gcp_accelerator(instance_type: str) -> tuple[str, str] | None:
    """Accelerator and number that a Google host must be rented with, or None for any other machine.

    >>> _gcp_accelerator("a2-highgpu-1g"), _gcp_accelerator("g2-standard-48"), _gcp_accelerator("n2-standard-4")
    (('A100', '1'), ('L4', '4'), None)
    """
    counted = _GCP_COUNTED.fullmatch(instance_type)
    if counted and counted[1] in GCP_ACCELERATORS:
        return GCP_ACCELERATORS[counted[1]], counted[2]
    vcpus = instance_type.removeprefix("g2-standard-")
    if vcpus != instance_type and vcpus.isdecimal() and int(vcpus) in GCP_L4_COUNTS:
        return "L4", str(GCP_L4_COUNTS[int(vcpus)])
    return ("accelerators", "") if _GCP_HOST.match(instance_type) else None


def _accelerator_rows(sheet: Sheet) -> dict[tuple[str, str, str, str], str]:
    """Price text of the rows without an instance type, by accelerator, count, zone and price column."""
    found: dict[tuple[str, str, str, str], str] = {}
    for row in sheet.rows:
        if not row.cells["InstanceType"].strip():
            accelerator, count = _accelerator(row.cells)
            for column in ("Price", "SpotPrice"):
                found[accelerator, _whole(count), _zone(row), column] = row.cells.get(column, "")
    return found


def _rows(count: int, which: str = "") -> str:
    """A number of rows in words."""
    return f"{count} {which}row{'s' * (count != 1)}"


def _whole(count: str) -> str:
    """A count without its trailing ``.0``."""
    return count.strip().removesuffix(".0")


def _zone(row: Row) -> str:
    """The zone of a row, or its region where the cloud has no zones."""
    return row.cells.get("AvailabilityZone", "").strip() or row.cells["Region"].strip()
