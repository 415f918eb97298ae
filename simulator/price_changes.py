"""How often and how far do prices move, and what does a promise lose when the on-demand price is cut?

A commitment fixes a price for years; what it is compared with does not stand still. On a weekly record of Google's
list (7 machines in 3 regions, 2022 to 2026) an on-demand price moved once in 3.5 years, 12 rises of up to 34 % and 9
cuts of up to 12 %, committed prices with it, and a spot price five times a year, mostly by 5 % and once by -54 %. AWS
cut two generations of GPUs by a third and more at once (:data:`KNOWN_CUTS`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from math import prod
from typing import Final, NamedTuple

from simulator.price_checks import suspicion
from simulator.price_history import Listing, PriceHistory

SMALLEST_MOVE: Final = 1e-3
"""Smaller steps are rounding: lists change the number of decimals."""

IMPLAUSIBLE_FACTOR: Final = 4.0
"""A step up or down by more than this is taken for an error of the list: it is named and counts as no change. On
Google's list of October 2022 a committed price fell to a quarter for twelve days and rose to seven times that after."""

HOURS_PER_MONTH: Final = 730
"""Hours of a month in a price."""


class Move(NamedTuple):
    """A change of a price."""

    day: dt.date
    """First day on which the new price was seen."""
    share: float
    """Change as a share of the price before: -0.44 for a cut by 44 percent."""


class KnownCut(NamedTuple):
    """A cut of an on-demand price that happened."""

    instance_type: str
    before_usd_per_hour: float
    after_usd_per_hour: float
    source: str

    @property
    def share(self) -> float:
        """The cut as a share of the price before.

        >>> [f"{cut.instance_type} -{cut.share:.0%}" for cut in KNOWN_CUTS]
        ['p5.48xlarge -44%', 'p4d.24xlarge -33%']
        """
        return 1.0 - self.after_usd_per_hour / self.before_usd_per_hour


KNOWN_CUTS: Final = (
    KnownCut(
        "p5.48xlarge",
        98.32,
        55.04,
        "AWS us-east-1 on demand before its reductions of June 2025, and on 2026-01-19 in "
        "aws/karpenter-provider-aws@031e72b:pkg/providers/pricing/zz_generated.pricing_aws.go",
    ),
    KnownCut(
        "p4d.24xlarge",
        32.77,
        21.9576,
        "AWS us-east-1 on demand before its reductions of June 2025, and on 2026-01-19 in "
        "aws/karpenter-provider-aws@031e72b:pkg/providers/pricing/zz_generated.pricing_aws.go",
    ),
)
"""Cuts to try a commitment against: they are what the worst case looks like, not how often it comes."""


@dataclass(frozen=True)
class PriceMoves:
    """How one price moved over the time that a history covers."""

    listing: Listing
    """The machine, the region, the price type."""
    first_day: dt.date
    last_day: dt.date
    first_usd_per_hour: float
    last_usd_per_hour: float
    low_usd_per_hour: float
    high_usd_per_hour: float
    snapshots: int
    """Days on which the price was seen."""
    moves: tuple[Move, ...]
    """Every change that is no rounding and no error of the list."""
    left_out: tuple[str, ...] = ()
    """What was taken for an error of the list, in words."""

    @property
    def years(self) -> float:
        """Time from the first day to the last."""
        return (self.last_day - self.first_day).days / 365.25

    @property
    def cuts(self) -> tuple[Move, ...]:
        """Moves downwards."""
        return tuple(move for move in self.moves if move.share < 0)

    @property
    def moves_per_year(self) -> float | None:
        """How often it moved, up or down; None for a history of less than a quarter."""
        return len(self.moves) / self.years if self.years >= 0.25 else None

    @property
    def change_per_year(self) -> float | None:
        """Mean yearly change of all moves, compounded, as a share; None for a history of less than a quarter."""
        if self.years < 0.25:
            return None
        return float(prod(1.0 + move.share for move in self.moves) ** (1.0 / self.years) - 1.0)

    @property
    def deepest_cut(self) -> float:
        """Largest single cut as a positive share; 0 where there was none."""
        return max((-move.share for move in self.cuts), default=0.0)

    def describe(self) -> str:
        """One line for a report."""
        place = self.listing.zone or self.listing.region
        name = f"{self.listing.instance_type} {self.listing.price_type}" + (f" in {place}" if place else "")
        span = f"{self.first_day} to {self.last_day}"
        if not self.moves:
            return f"{name}: {self.last_usd_per_hour:g} USD/h without a change, {span}"
        count = f"{len(self.moves)} change{'s' * (len(self.moves) > 1)}, {len(self.cuts)} of them cuts"
        cut = f" (deepest -{self.deepest_cut:.0%})" if self.cuts else ""
        yearly = "" if self.change_per_year is None else f", {self.change_per_year:+.1%} a year"
        return f"{name}: {self.low_usd_per_hour:g} to {self.high_usd_per_hour:g} USD/h, {count}{cut}{yearly}, {span}"


def price_moves(history: PriceHistory) -> tuple[PriceMoves, ...]:
    """How did each price of a history move?

    Committed prices that are not below the on-demand price of the same day stand for none and are left out, and so
    are steps by more than :data:`IMPLAUSIBLE_FACTOR`; ``left_out`` says so.
    """
    result = []
    for listing, series in history.series.items():
        beside = dict(history.series.get(Listing(listing.instance_type, listing.region, "on_demand"), ()))
        kept, left_out = _plausible(listing, series, beside)
        if kept:
            moves, jumps = _steps(kept)
            usd = [price for _, price in kept]
            result.append(
                PriceMoves(
                    listing, kept[0][0], kept[-1][0], usd[0], usd[-1], min(usd), max(usd), len(kept), moves,
                    (*left_out, *jumps),
                )
            )  # fmt: skip
    return tuple(result)


class CutRate(NamedTuple):
    """How often on-demand prices are cut, from what was seen."""

    cuts: int
    """Cuts of an on-demand price that were seen."""
    price_years: float
    """Years of each price, added up."""
    deepest: float
    """Largest of them as a positive share; 0 where there was none."""
    per_year: float
    """Cuts a year of one price."""
    per_year_upper: float
    """Upper end of the 95 % interval, one-sided: what no cut in few years does not rule out."""


def cut_rate(moves: Iterable[PriceMoves], price_type: str = "on_demand") -> CutRate:
    """How often is a price of this type cut, and how often might it be?

    Notes
    -----
    The upper end is the exact one of a Poisson count, chi2(0.95; 2 (cuts + 1)) / 2 over the years. Prices of one
    family and of one provider move together, so the years hold less than they seem to, and the true end lies higher.

    Raises
    ------
    ValueError
        No price of that type was seen over any time.
    """
    from scipy.stats import chi2

    chosen = [move for move in moves if move.listing.price_type == price_type]
    years = sum(move.years for move in chosen)
    if years <= 0:
        raise ValueError(f"price_type must be one whose price was seen on two days at least, got {price_type}")
    cuts = sum(len(move.cuts) for move in chosen)
    upper = float(chi2.ppf(0.95, 2 * (cuts + 1))) / 2 / years
    return CutRate(cuts, years, max(move.deepest_cut for move in chosen), cuts / years, upper)


class CutOutcome(NamedTuple):
    """What becomes of one committed instance when the on-demand price is cut within its term."""

    paid_usd: float
    """Price of the whole term."""
    saved_without_cut_usd: float
    """Saving against on demand over the term, had the price stayed; negative where it was too little used."""
    saved_usd: float
    """Saving against on demand over the term, with the cut; negative: the commitment lost money."""
    lost_usd: float
    """What the cut took from the saving."""
    overpaid_usd: float
    """What the hours after the cut cost more than they would on demand at the new price; 0 where they do not."""
    break_even_cut: float | None
    """Cut, as a share, that would have used the whole saving up; None where no cut could, as when it comes after the
    term or nothing was saved to begin with."""


def outcome_of_cut(
    usd_per_hour: float,
    on_demand_usd_per_hour: float,
    term_h: int,
    *,
    cut: float,
    month: float,
    utilisation: float = 1.0,
) -> CutOutcome:
    """What does a commitment of one instance lose when the on-demand price is cut in a month of its term?

    Parameters
    ----------
    usd_per_hour
        Effective committed price, above 0.
    on_demand_usd_per_hour
        On-demand price on the day of purchase, above 0.
    term_h
        Hours of the term.
    cut
        Share by which the on-demand price falls, from 0 up to but not 1.
    month
        Months (of 730 hours) after the purchase at which it falls, 0 or greater.
    utilisation
        Share of the hours in which the instance is wanted, within 0 and 1.

    Raises
    ------
    ValueError
        A value is outside of what is said above.

    Notes
    -----
    With b hours before the cut and a hours after it, saving = u o (b + (1 - x) a) - r (b + a).

    Examples
    --------
    The p5.48xlarge at 98.32 USD/h, a three-year promise at 45 % of it, and the cut by 44 % after 18 months:

    >>> outcome = outcome_of_cut(0.45 * 98.32, 98.32, 26_280, cut=0.44, month=18)
    >>> round(outcome.saved_without_cut_usd), round(outcome.saved_usd), round(outcome.overpaid_usd)
    (1421117, 852670, 0)
    """
    for name, value in (("usd_per_hour", usd_per_hour), ("on_demand_usd_per_hour", on_demand_usd_per_hour)):
        if not value > 0:
            raise ValueError(f"{name} must be greater than 0, got {value}")
    for name, value, sound in (
        ("cut", cut, 0 <= cut < 1),
        ("month", month, month >= 0),
        ("term_h", term_h, term_h >= 1),
        ("utilisation", utilisation, 0 <= utilisation <= 1),
    ):
        if not sound:
            raise ValueError(f"{name} is outside its range, got {value}")
    before_h = min(month * HOURS_PER_MONTH, float(term_h))
    after_h = term_h - before_h
    worth = utilisation * on_demand_usd_per_hour
    paid = usd_per_hour * term_h
    saved_without = worth * term_h - paid
    lost = worth * cut * after_h
    overpaid = max(0.0, (usd_per_hour - worth * (1.0 - cut)) * after_h)
    even = saved_without / (worth * after_h) if worth * after_h > 0 and saved_without >= 0 else None
    return CutOutcome(
        paid, saved_without, saved_without - lost, lost, overpaid, even if even is not None and even < 1 else None
    )


def _plausible(
    listing: Listing, series: Iterable[tuple[dt.date, float]], beside: dict[dt.date, float]
) -> tuple[list[tuple[dt.date, float]], list[str]]:
    """Prices that may be real, and what was left out beside the on-demand price of the same day."""
    kept, odd = [], []
    for day, usd in series:
        if listing.price_type != "on_demand" and day in beside and suspicion(listing.price_type, usd, beside[day]):
            odd.append((day, suspicion(listing.price_type, usd, beside[day])))
        else:
            kept.append((day, usd))
    left_out = [f"{len(odd)} days from {odd[0][0]} on: {odd[0][1]}"] if odd else []
    return kept, left_out


def _steps(series: list[tuple[dt.date, float]]) -> tuple[tuple[Move, ...], tuple[str, ...]]:
    """Changes from one day to the next, and the steps that are too large to be one."""
    moves, jumps = [], []
    for (_, before), (day, after) in pairwise(series):
        share = after / before - 1.0
        if not 1 / IMPLAUSIBLE_FACTOR <= after / before <= IMPLAUSIBLE_FACTOR:
            jumps.append(f"{day}: {before:g} to {after:g} USD/h is no plausible step")
        elif abs(share) > SMALLEST_MOVE:
            moves.append(Move(day, share))
    return tuple(moves), tuple(jumps)
