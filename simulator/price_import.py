"""Bring prices from elsewhere into a price list: ``simulate import-prices FORMAT FILE -o prices.csv``.

Every importer reads a file into :class:`~simulator.price_list.PriceImport`; :func:`import_prices` writes what came
out. A new format is one function and one line in :data:`IMPORTERS`.

Someone else's catalogue has rows that must not be billed: they are refused by name and the rest is imported. A file
of the user's own is theirs to mend: one bad row and nothing is written.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from calibration.csv_sheet import read_sheet
from calibration.problems import InputError, Problem
from simulator.aws_price_list import import_aws_price_list
from simulator.aws_savings_plans import import_aws_savings_plan
from simulator.price_cells import option_problem, price_of_cells, write_catalogue
from simulator.price_checks import oddities
from simulator.price_list import COLUMNS, MORE_COLUMNS, REQUIRED, Price, PriceImport
from simulator.price_terms import EXCHANGE, foreign_currency
from simulator.price_types import unplanned_note
from simulator.prices import contradictions
from simulator.skypilot import import_skypilot


@dataclass(frozen=True)
class ImportOptions:
    """What the file itself does not say."""

    provider: str | None = None
    """The cloud the prices are of."""
    region: str | None = None
    """The region they hold in; none means all."""
    price_type: str | None = None
    """on_demand, spot, ..."""
    as_of: str | None = None
    """The day they held, for instance 2026-01-19."""
    source: str | None = None
    """Where they were read; the default names the file."""
    columns: Mapping[str, str] = field(default_factory=dict)
    """For a CSV of the user's own: its column for each column of a price list that it names differently."""
    price_lists: Sequence[str | Path] = ()
    """For savings plans: AWS's EC2 price lists, which say the instance type behind each stock-keeping unit."""
    zones: bool = False
    """For SkyPilot: whether spot prices are kept for each zone."""


def import_prices(format: str, path: str | Path, out: str | Path, options: ImportOptions | None = None) -> PriceImport:
    """Import a price file and write it as a price list that a scenario's ``prices:`` can name.

    Parameters
    ----------
    format
        One of :data:`IMPORTERS`.
    path
        The file to read.
    out
        The price list to write: whole, or not at all.
    options
        What the file does not say; ``skypilot`` needs ``provider`` and ``as_of``.

    Raises
    ------
    InputError
        Nothing was written: the format is unknown, the file cannot be used, or ``out`` cannot be written.
    """
    if format not in IMPORTERS:
        remedy = f"Choose one of {', '.join(IMPORTERS)}."
        raise InputError([option_problem("FORMAT", "must be a format that can be imported", format, remedy)])
    target = Path(out)
    if target.exists() and Path(path).exists() and os.path.samefile(path, target):
        rule = "must be another file than the one that is read"
        raise InputError([option_problem("--output", rule, str(out), "Name a new file.")])
    imported = IMPORTERS[format](path, options or ImportOptions())
    write_catalogue(imported.rows, target)
    return imported


def import_own_csv(
    path: str | Path, columns: Mapping[str, str] | None = None, constants: Mapping[str, str] | None = None
) -> PriceImport:
    """Read a CSV of the user's own, whatever its columns are called.

    Parameters
    ----------
    path
        The file: a header, then one price a row.
    columns
        The file's column by column of a price list, as in ``{"usd_per_hour": "Price (USD)"}``; a column that is
        already called so need not be named.
    constants
        Text by column of a price list, used where the file has no such column or leaves the cell blank, as in
        ``{"provider": "aws", "as_of": "2026-01-19"}``. ``price_type`` is on_demand and ``source`` the file's name
        unless said otherwise.

    Raises
    ------
    InputError
        With every bad row, as :func:`simulator.prices.load_catalogue` would; or a column that does not exist.
    """
    sheet = read_sheet(path)
    named = dict(columns or {})
    fixed = {"price_type": "on_demand", "source": Path(path).name, **(constants or {})}
    problems = [_unknown_column(name) for name in [*named, *fixed] if name not in (*COLUMNS, *MORE_COLUMNS)]
    problems += [
        Problem(
            sheet.file, 1, 1, "", f"must have the column {theirs!r} for {ours}", ", ".join(sheet.columns),
            "Name a column of its first row.",
        )
        for ours, theirs in named.items()
        if theirs not in sheet.columns
    ]  # fmt: skip
    header = {name: named.get(name, name) for name in (*COLUMNS, *MORE_COLUMNS)}
    problems += [
        Problem(sheet.file, 1, 1, theirs, "must hold US dollars, its name says " + currency, None, EXCHANGE)
        for ours, theirs in named.items()
        if ours in ("usd_per_hour", "upfront_usd") and (currency := foreign_currency(theirs))
    ]
    unfilled = [
        name for name in REQUIRED if header[name] not in sheet.columns and not fixed.get(name) and name not in named
    ]
    if unfilled:
        wanted = ", ".join(unfilled)
        remedy = "Say which of its columns they are, or one value for all rows (--provider, --as-of, ...)."
        problems.append(Problem(sheet.file, 1, 1, "", f"must say {wanted}", ", ".join(sheet.columns), remedy))
    if problems:
        raise InputError(problems)
    prices: list[Price] = []
    for row in sheet.rows:
        cells = {name: row.cells.get(theirs, "").strip() or fixed.get(name, "") for name, theirs in header.items()}
        price, faults = price_of_cells(cells)
        problems += [sheet.problem(row, header[fault.column], *fault[1:]) for fault in faults]
        if price is not None:
            prices.append(replace(price, file=sheet.file, line=row.line))
    problems += contradictions(prices)
    if not sheet.rows:
        problems.append(Problem(sheet.file, None, None, "", "must hold a price", None, "Add a row for each price."))
    if problems:
        raise InputError(sorted(problems, key=lambda problem: problem.line or 0))
    unplanned = unplanned_note(price.price_type for price in prices)
    notes = (*([unplanned] if unplanned else []), *oddities(prices))
    return PriceImport(sheet.file, tuple(prices), len(sheet.rows), notes=notes)


def _skypilot(path: str | Path, options: ImportOptions) -> PriceImport:
    """SkyPilot's ``vms.csv``, with the options it takes; the others would be ignored without a word."""
    _refuse_others("skypilot", options, ("region", "price_type", "columns", "price_lists"))
    return import_skypilot(
        path, options.provider or "", options.as_of or "", source=options.source, zones=options.zones
    )


def _aws_price_list(path: str | Path, options: ImportOptions) -> PriceImport:
    """AWS's EC2 price list, with the options it takes."""
    _refuse_others(
        "aws-price-list", _of_aws(options), ("provider", "region", "price_type", "columns", "price_lists", "zones")
    )
    return import_aws_price_list(path, as_of=options.as_of, source=options.source)


def _aws_savings_plan(path: str | Path, options: ImportOptions) -> PriceImport:
    """AWS's price list of a savings plan, with the options it takes."""
    _refuse_others("aws-savings-plan", _of_aws(options), ("provider", "region", "price_type", "columns", "zones"))
    return import_aws_savings_plan(path, options.price_lists, as_of=options.as_of, source=options.source)


_OPTION: Final = {"columns": "--column", "price_lists": "--price-list", "price_type": "--price-type"}


def _of_aws(options: ImportOptions) -> ImportOptions:
    """The options without the provider, where it says what the format says."""
    return replace(options, provider=None) if (options.provider or "").lower() == "aws" else options


def _refuse_others(format: str, options: ImportOptions, others: Sequence[str]) -> None:
    """Refuse options that this format has no use for."""
    problems = []
    for name in others:
        given = getattr(options, name)
        if given:
            text = given if isinstance(given, str) else "" if given is True else ", ".join(map(str, given))
            rule = f"must not be given for {format}"
            problems.append(option_problem(_OPTION.get(name, f"--{name}"), rule, text, "Leave it out."))
    if problems:
        raise InputError(problems)


def _own_csv(path: str | Path, options: ImportOptions) -> PriceImport:
    """A CSV of the user's own, with the options it takes."""
    _refuse_others("csv", options, ("price_lists", "zones"))
    said = {name: getattr(options, name) for name in ("provider", "region", "price_type", "as_of", "source")}
    return import_own_csv(path, options.columns, {name: text for name, text in said.items() if text})


def _unknown_column(name: str) -> Problem:
    """Problem of a column name that a price list does not have."""
    known = (*COLUMNS, *MORE_COLUMNS)
    near = difflib.get_close_matches(name, known, n=1)
    remedy = f"Did you mean {near[0]}?" if near else f"Choose from {', '.join(known)}."
    return option_problem("--column", "must name a column of a price list", name, remedy)


IMPORTERS: Final[dict[str, Callable[[str | Path, ImportOptions], PriceImport]]] = {
    "aws-price-list": _aws_price_list,
    "aws-savings-plan": _aws_savings_plan,
    "skypilot": _skypilot,
    "csv": _own_csv,
}
"""Formats that can be imported, by the name the command line knows them by."""
