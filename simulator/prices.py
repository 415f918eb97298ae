"""What does an instance cost? Price catalogues, and looking a price up in them.

A catalogue is a price list (``price_cells.py`` says what a row must hold) that was read and found sound as a whole.
:func:`shipped_catalogue` is the one that comes with the package: real list prices, each with its date and source.
A user's own catalogue is asked first (:func:`find_price` takes them in order), so negotiated prices win.

A price that is missing or ambiguous stops the run and says what is there; it is never 0 and never a guess.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Final

from calibration.csv_sheet import missing_columns, read_sheet
from calibration.problems import InputError, Problem
from simulator.price_cells import price_of_cells
from simulator.price_list import COLUMNS, MORE_COLUMNS, REQUIRED, Price
from simulator.price_types import normal_price_type, unplanned_note

__all__ = [
    "Price",
    "PriceCatalogue",
    "PriceError",
    "catalogue_of",
    "contradictions",
    "find_price",
    "load_catalogue",
    "same_name",
    "shipped_catalogue",
]

SHIPPED: Final = Path(__file__).with_name("catalogue.csv")
"""The catalogue that comes with the package."""

_PLACES_SHOWN = 6


class PriceError(LookupError):
    """No price can be told. Says everything but the place, which only the caller knows.

    The caller that holds the scenario turns it into a problem at the right line::

        except PriceError as error:
            problem = scenario.problem(f"fleets.gpu.{error.key}", error.rule, error.value, error.remedy)
    """

    def __init__(self, key: str, rule: str, value: str | None, remedy: str) -> None:
        self.key = key
        """The fleet's key that is meant: ``instance_type``, ``region`` or ``provider``."""
        self.rule = rule
        """The rule broken, as a sentence without a full stop."""
        self.value = value
        """The value found."""
        self.remedy = remedy
        """How to mend it."""
        got = "" if value is None else f", got {value}"
        super().__init__(f"{key}: {rule}{got}. {remedy}")

    def __reduce__(self) -> tuple[type[PriceError], tuple[str, str, str | None, str]]:
        """Survive the trip between processes."""
        return type(self), (self.key, self.rule, self.value, self.remedy)


@dataclass(frozen=True)
class PriceCatalogue:
    """A price list that was read and found sound."""

    name: str
    """Path as the user named it."""
    prices: tuple[Price, ...]
    """Its rows, in the order of the file."""
    notes: tuple[str, ...] = ()
    """What the reader should be told: columns that were ignored, rows that were repeated, types of no plan."""

    @cached_property
    def by_type(self) -> dict[str, tuple[Price, ...]]:
        """Rows by instance type, in the order of the file."""
        rows: dict[str, list[Price]] = {}
        for price in self.prices:
            rows.setdefault(price.instance_type, []).append(price)
        return {name: tuple(prices) for name, prices in rows.items()}


def load_catalogue(path: str | Path) -> PriceCatalogue:
    """Read a price list: may every price in it be billed.

    Raises
    ------
    InputError
        With every bad row of the file: a price that is missing, 0, negative, not finite, not a number or a
        stand-in for "not offered"; a blank provider, instance type, price type, date or source; a date that is
        not ISO; two prices for the same thing on the same date.
    """
    sheet = read_sheet(path)
    problems = missing_columns(sheet, REQUIRED, "a price list")
    if problems:
        raise InputError(problems)
    prices: list[Price] = []
    for row in sheet.rows:
        price, faults = price_of_cells(row.cells)
        problems += [sheet.problem(row, *fault) for fault in faults]
        if price is not None:
            prices.append(replace(price, file=sheet.file, line=row.line))
    if not sheet.rows:
        problems.append(Problem(sheet.file, None, None, "", "must hold a price", None, "Add a row for each price."))
    problems += contradictions(prices)
    if problems:
        raise InputError(sorted(problems, key=lambda problem: problem.line or 0))
    return catalogue_of(
        prices, str(path), ignored=[name for name in sheet.columns if name not in (*COLUMNS, *MORE_COLUMNS)]
    )


def catalogue_of(prices: Iterable[Price], name: str, *, ignored: Sequence[str] = ()) -> PriceCatalogue:
    """Prices as a catalogue; repeated rows are kept once, and the notes say so."""
    kept: dict[tuple[str, ...], Price] = {}
    repeated = 0
    for price in prices:
        repeated += _key(price) in kept
        kept.setdefault(_key(price), price)
    notes = []
    if ignored:
        notes.append(f"{name}: columns ignored: {', '.join(column or '(no name)' for column in ignored)}")
    if repeated:
        notes.append(f"{name}: {repeated} repeated row{'s' * (repeated > 1)} ignored")
    unplanned = unplanned_note(price.price_type for price in kept.values())
    if unplanned:
        notes.append(f"{name}: {unplanned}")
    return PriceCatalogue(name, tuple(kept.values()), tuple(notes))


def contradictions(prices: Iterable[Price]) -> list[Problem]:
    """Which rows give another price than an earlier row for the same thing on the same date? A problem for each.

    The rows must carry ``file`` and ``line``.
    """
    first: dict[tuple[str, ...], Price] = {}
    problems = []
    for price in prices:
        earlier = first.setdefault(_key(price), price)
        if (earlier.usd_per_hour, earlier.upfront_usd) != (price.usd_per_hour, price.upfront_usd):
            rule = (
                f"the {_spoken(price.price_type)} price of {price.instance_type} in {_place(price)} on {price.as_of} "
                f"must be stated once, line {earlier.line} says {_amount(earlier)}"
            )
            remedy = "Delete one of the two rows, or date them."
            problems.append(Problem(price.file, price.line, 1, "usd_per_hour", rule, _amount(price), remedy))
    return problems


@lru_cache(maxsize=1)
def shipped_catalogue() -> PriceCatalogue:
    """Read the catalogue that comes with the package, once."""
    return replace(load_catalogue(SHIPPED), name="the shipped catalogue")


def find_price(
    catalogues: Sequence[PriceCatalogue],
    instance_type: str,
    provider: str | None = None,
    region: str | None = None,
    price_type: str = "on_demand",
    *,
    zone: str | None = None,
    unit: str = "hour",
) -> Price:
    """Look up what an hour of an instance costs.

    Parameters
    ----------
    catalogues
        Asked in order; the first that has the instance type on these terms answers, even where a later one has a
        newer price: the user's own goes first.
    instance_type
        The provider's name of the machine, spelled as in the catalogue.
    provider, region
        Narrow the search; None means any. A row without a region holds in every region that has no row of its own.
    price_type
        on_demand, spot, ...
    zone
        The zone within the region; its own price, else the region's. Without it, the region's own price, else that of
        its median zone (of an even number the dearer one in the middle), never the cheapest.
    unit
        What the price is for; ``1k_requests`` for endpoints that are paid by the request.

    Returns
    -------
    Price
        The newest of several dates; ``note`` says so. Where regions agree on the price, any of them.

    Raises
    ------
    PriceError
        No such price (the message names near types, or where the type is listed), or several different ones (the
        message lists them and asks for a region).

    Examples
    --------
    >>> find_price([shipped_catalogue()], "g6.xlarge").usd_per_hour
    0.8048
    """
    wanted = normal_price_type(price_type)
    for catalogue in catalogues:
        rows = [
            price
            for price in catalogue.by_type.get(instance_type, ())
            if price.price_type == wanted
            and price.unit == unit
            and (provider is None or same_name(price.provider, provider))
        ]
        if region is not None:
            rows = [price for price in rows if same_name(price.region, region)] or [
                price for price in rows if not price.region
            ]
        if zone is not None:
            rows = [price for price in rows if same_name(price.zone, zone)] or [
                price for price in rows if not price.zone
            ]
        if rows:
            return _choose(rows, wanted)
    raise _missing(catalogues, instance_type, provider, region, wanted, unit)


def _choose(rows: Sequence[Price], price_type: str) -> Price:
    """The one price among rows of the same instance type and price type."""
    newest: dict[tuple[str, str, str], Price] = {}
    dates: dict[tuple[str, str, str], int] = {}
    for price in rows:
        place = (price.provider.lower(), price.region.lower(), price.zone.lower())
        dates[place] = dates.get(place, 0) + 1
        if place not in newest or _freshness(price) > _freshness(newest[place]):
            newest[place] = price
    regional = _by_region(newest)
    if len({price.usd_per_hour for price in regional}) > 1:
        raise _ambiguous(regional, price_type)
    best = max(regional, key=_freshness)
    notes = [best.note] if best.note else []
    seen = dates[best.provider.lower(), best.region.lower(), best.zone.lower()]
    if seen > 1:
        notes.append(f"the newest of {seen} dates")
    if len(regional) > 1:
        notes.append(f"the same in {len(regional)} places: {_places(regional)}")
    return replace(best, note="; ".join(notes))


def _by_region(newest: Mapping[tuple[str, str, str], Price]) -> tuple[Price, ...]:
    """One price a region: its own, else that of its median zone."""
    groups: dict[tuple[str, str], list[Price]] = {}
    for (provider, region, _), price in newest.items():
        groups.setdefault((provider, region), []).append(price)
    chosen = []
    for group in groups.values():
        ranked = sorted(
            [price for price in group if not price.zone] or group, key=lambda price: (price.usd_per_hour, price.zone)
        )
        price = ranked[len(ranked) // 2]
        if len(ranked) > 1:
            spread = f"{ranked[0].usd_per_hour:g} to {ranked[-1].usd_per_hour:g}"
            price = replace(price, note=f"zone {price.zone}, the median of {len(ranked)}, {spread}")
        chosen.append(price)
    return tuple(chosen)


def _ambiguous(rows: Sequence[Price], price_type: str) -> PriceError:
    """The error that lists prices and asks which one is meant."""
    name = rows[0].instance_type
    providers = {price.provider.lower() for price in rows}
    regions = {price.region.lower() for price in rows}
    shown = sorted(rows, key=lambda price: (price.provider, price.region))
    listed = ", ".join(f"{_place(price)} {price.usd_per_hour:g}" for price in shown[:_PLACES_SHOWN])
    if len(shown) > _PLACES_SHOWN:
        listed += f" and {len(shown) - _PLACES_SHOWN} more"
    keys = [key for key, names in (("provider", providers), ("region", regions)) if len(names) > 1]
    key = keys[-1] if keys else "region"
    asked = " and ".join(f"{key}:" for key in keys)
    return PriceError(
        key,
        f"{name} must have one {_spoken(price_type)} price, the catalogue lists several in USD per hour: {listed}",
        None,
        f"Choose one with {asked} beside instance_type:, or write usd_per_hour:.",
    )


def _missing(
    catalogues: Sequence[PriceCatalogue],
    instance_type: str,
    provider: str | None,
    region: str | None,
    price_type: str,
    unit: str,
) -> PriceError:
    """The error that says what is missing and what there is instead."""
    listed = [price for catalogue in catalogues for price in catalogue.by_type.get(instance_type, ())]
    where = " ".join(part for part in (provider, region) if part)
    own = "add it to your price list (prices:) or write usd_per_hour: beside instance_type:"
    if not listed:
        names = {name.lower(): name for catalogue in catalogues for name in catalogue.by_type}
        near = [names[match] for match in difflib.get_close_matches(instance_type.lower(), names, n=3, cutoff=0.6)]
        remedy = f"Did you mean {' or '.join(near)}? Else {own}." if near else f"{own[0].upper()}{own[1:]}."
        searched = " and ".join(catalogue.name for catalogue in catalogues) or "no catalogue"
        return PriceError("instance_type", f"must be in a price catalogue ({searched})", instance_type, remedy)
    if not any(price.price_type == price_type for price in listed):
        types = ", ".join(sorted({_spoken(price.price_type) for price in listed}))
        rule = f"{instance_type} must have a price of type {_spoken(price_type)}, the catalogue lists {types}"
        return PriceError("instance_type", rule, None, f"{own[0].upper()}{own[1:]}.")
    if not any(price.price_type == price_type and price.unit == unit for price in listed):
        rule = f"{instance_type} must have a price of type {_spoken(price_type)} per {unit.replace('_', ' ')}"
        units = ", ".join(sorted({price.unit for price in listed if price.price_type == price_type}))
        return PriceError("instance_type", rule, f"prices per {units}", f"{own[0].upper()}{own[1:]}.")
    right_type = [price for price in listed if price.price_type == price_type]
    key = "provider" if provider and not any(same_name(price.provider, provider) for price in right_type) else "region"
    rule = f"{instance_type} must have a listed {_spoken(price_type)} price in {where}"
    return PriceError(key, rule, None, f"It is listed in {_places(right_type)}. Choose one of these, or {own}.")


def _key(price: Price) -> tuple[str, ...]:
    """What a price is of: two rows with the same key speak of the same thing."""
    place = (price.provider.lower(), price.region.lower(), price.zone.lower())
    return (*place, price.instance_type, price.price_type, price.unit, str(price.term_h or ""), price.as_of)


def _freshness(price: Price) -> tuple[str, int]:
    """Order of dates: the later the greater; of two that begin on the same day the more exact one."""
    return price.as_of_day.isoformat(), len(price.as_of.split(" ")[0])


def same_name(one: str, other: str) -> bool:
    """Whether two names of a provider or region are the same; clouds spell both in either case."""
    return one.strip().lower() == other.strip().lower()


def _amount(price: Price) -> str:
    """A price in an error, with what of it is paid upfront."""
    upfront = "" if price.upfront_usd is None else f" with {price.upfront_usd:g} upfront"
    return f"{price.usd_per_hour:g}{upfront}"


def _place(price: Price) -> str:
    """Provider and region, or zone, in words."""
    return f"{price.provider} {price.zone or price.region}".strip()


def _places(prices: Iterable[Price]) -> str:
    """Where prices hold, each place once, the first few."""
    names = sorted({_place(price) for price in prices})
    more = f" and {len(names) - _PLACES_SHOWN} more" if len(names) > _PLACES_SHOWN else ""
    return ", ".join(names[:_PLACES_SHOWN]) + more


def _spoken(price_type: str) -> str:
    """A price type in a sentence."""
    return price_type.replace("_", "-")
