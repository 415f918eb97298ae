"""Who and what was the money for? A settled ledger as lines, and its totals by tag and by commitment.

A line is one charge of one period: usage that was bought on demand (or on spot), usage that a commitment covered, what
a commitment had no work for, and what was paid for a commitment. Used and unused commitment are lines of their own.
Amounts add up to the ledger's: nothing is in two lines.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from simulator.commitment import Commitment, Reservation
from simulator.dispatch import Coverage
from simulator.ledger import Ledger, Totals, recurring_share, unit_usd, upfront_usd

Floats = npt.NDArray[np.float64]
Int64s = npt.NDArray[np.int64]

Period = Literal["month", "hour"]

CHARGES: Final = ("on_demand", "used", "unused", "recurring", "upfront")
"""Kinds of line: bought at its own price; covered by a commitment; paid for without work; and the two payments."""

UNALLOCATED: Final = ""
"""Tag value of what belongs to nobody: usage without the tag, unused commitment, idle capacity, and payments."""


@dataclass(frozen=True)
class Lines:
    """Columns of one length, a line each. Lines in which nothing happened are left out."""

    period: Int64s
    """Which month of the ledger, or which hour."""
    charge: Int64s
    """Place in :data:`CHARGES`."""
    column: Int64s
    """Column of the usage; -1 where there is none."""
    promise: Int64s
    """Commitment; K and above a capacity block; -1 where there is none."""
    quantity: Floats
    """Units that were used, in instance hours or whatever the column counts; 0 where nothing was."""
    committed: Floats
    """Units of the promise: used, unused, or paid for."""
    list_usd: Floats
    contracted_usd: Floats
    effective_usd: Floats
    billed_usd: Floats

    def __len__(self) -> int:
        """How many lines there are."""
        return len(self.period)


@dataclass(frozen=True)
class CommitmentTotals:
    """What became of one commitment, or capacity block, within the hours of the ledger."""

    name: str
    committed: float
    """Instance hours of a reservation, dollars of a spend commitment."""
    used: float
    unused: float
    effective_usd: float
    """What it cost, used and unused."""
    billed_usd: float
    covered_usd: float
    """What the usage that it covered would have cost without it."""

    @property
    def utilisation(self) -> float | None:
        """What share of it was used? None where none of its term is in these hours."""
        return min(1.0, self.used / self.committed) if self.committed > 0 else None

    @property
    def saved_usd(self) -> float:
        """How much less was paid than without it? Negative where it did not pay for itself."""
        return self.covered_usd - self.effective_usd


def itemise(ledger: Ledger, period: Period = "month") -> Lines:
    """What are the charges of each month, or of each hour?

    >>> from datetime import UTC
    >>> from simulator.ledger import Rates, Usage, settle
    >>> reserved = Reservation("ri", "a", 1, usd_per_hour=0.60, start_h=0, term_h=8760)
    >>> usage = Usage(datetime(2026, 1, 1, tzinfo=UTC), ("a",), np.array([[2.0], [0.0]]))
    >>> lines = itemise(settle(usage, Rates(np.array([1.0])), [reserved]))
    >>> [(CHARGES[charge], effective) for charge, effective in zip(lines.charge, lines.effective_usd.tolist())]
    [('on_demand', 1.0), ('used', 0.6), ('unused', 0.6), ('recurring', 0.0)]
    """
    starts = _starts(ledger, period)
    bought = ledger.on_demand + ledger.spot_hours
    usd = bought * ledger.contracted_price
    listed = ledger.rates.listed()
    nothing = np.zeros_like(bought)
    parts = [_folded(starts, "on_demand", -1, (bought, nothing, bought * listed, usd, usd, usd))]
    for promise, commitment, coverage, number in _each(ledger):
        covered, rate = coverage.covered[number], _rate(ledger, commitment)
        drawn = covered if isinstance(commitment, Reservation) else covered * rate
        amounts = (covered, drawn, covered * listed, covered * ledger.contracted_price, covered * rate, nothing)
        parts.append(_folded(starts, "used", promise, amounts))
        none = np.zeros((ledger.usage.hours, 1))
        unused = coverage.unused[:, number, None]
        parts.append(
            _folded(starts, "unused", promise, (none, unused, none, none, unused * unit_usd(commitment), none))
        )
        recurring = coverage.committed[:, number, None] * recurring_share(commitment)
        billed = recurring * unit_usd(commitment)
        parts.append(_folded(starts, "recurring", promise, (none, recurring, none, none, none, billed)))
        if 0 <= commitment.start_h < ledger.usage.hours and upfront_usd(commitment) > 0:
            billed = none.copy()
            billed[commitment.start_h] = upfront_usd(commitment)
            parts.append(
                _folded(starts, "upfront", promise, (none, billed / unit_usd(commitment), none, none, none, billed))
            )
    return Lines(*(np.concatenate([getattr(part, each.name) for part in parts]) for each in fields(Lines)))


def promises(ledger: Ledger) -> tuple[Commitment, ...]:
    """What do the numbers in :attr:`Lines.promise` stand for? Commitments, then capacity blocks."""
    return (*ledger.commitments, *ledger.blocks)


def period_bounds(ledger: Ledger, period: Period) -> list[tuple[datetime, datetime]]:
    """From when to when is each period? UTC, the end not included; the ledger's own first and last month may be parts.

    >>> from datetime import UTC
    >>> from simulator.ledger import Rates, Usage, settle
    >>> usage = Usage(datetime(2026, 1, 31, 23, tzinfo=UTC), ("a",), np.ones((2, 1)))
    >>> [str(end) for _, end in period_bounds(settle(usage, Rates(np.array([1.0]))), "month")]
    ['2026-02-01 00:00:00+00:00', '2026-02-01 01:00:00+00:00']
    """
    starts = [*_starts(ledger, period).tolist(), ledger.usage.hours]
    at = [ledger.usage.start + timedelta(hours=hour) for hour in starts]
    return list(pairwise(at))


def by_tag(ledger: Ledger, tag: str) -> dict[str, Totals]:
    """What did each team, model or other value of a tag cost, month by month?

    Returns
    -------
    dict
        Totals (M,) by value, in alphabetical order. Effective cost is what belongs to a team: used commitment is its
        own at the commitment's rate. :data:`UNALLOCATED` has the rest, unused commitment and every payment for one.

    Examples
    --------
    >>> from datetime import UTC
    >>> from simulator.ledger import Rates, Usage, settle
    >>> usage = Usage(datetime(2026, 1, 1, tzinfo=UTC), ("a", "a"), np.array([[1.0, 3.0]]), tags=({"team": "x"}, {}))
    >>> by_team = by_tag(settle(usage, Rates(np.ones(2))), "team")
    >>> {team: totals.effective_usd.tolist() for team, totals in by_team.items()}
    {'': [3.0], 'x': [1.0]}
    """
    lines = itemise(ledger)
    value_of = [*(labels.get(tag, UNALLOCATED) for labels in ledger.usage.tags), UNALLOCATED]
    values = np.array(value_of, dtype=object)[lines.column]
    months = len(ledger.months)

    def summed(usd: Floats, own: npt.NDArray[np.bool_]) -> Floats:
        return np.bincount(lines.period[own], weights=usd[own], minlength=months).astype(np.float64)

    amounts = (lines.list_usd, lines.contracted_usd, lines.effective_usd, lines.billed_usd)
    return {value: Totals(*(summed(usd, values == value) for usd in amounts)) for value in sorted(set(value_of))}


def by_commitment(ledger: Ledger) -> tuple[CommitmentTotals, ...]:
    """What became of each commitment and capacity block? In the order of :func:`promises`.

    >>> from datetime import UTC
    >>> from simulator.ledger import Rates, Usage, settle
    >>> reserved = Reservation("ri", "a", 1, usd_per_hour=0.60, start_h=0, term_h=8760)
    >>> usage = Usage(datetime(2026, 1, 1, tzinfo=UTC), ("a",), np.array([[2.0], [0.0]]))
    >>> [totals] = by_commitment(settle(usage, Rates(np.array([1.0])), [reserved]))
    >>> totals.utilisation, round(totals.saved_usd, 6)
    (0.5, -0.2)
    """
    found = []
    for _, commitment, coverage, number in _each(ledger):
        used, unused = float(coverage.used[:, number].sum()), float(coverage.unused[:, number].sum())
        effective = (used + unused) * unit_usd(commitment)
        upfront = upfront_usd(commitment) if 0 <= commitment.start_h < ledger.usage.hours else 0.0
        covered_usd = float((coverage.covered[number] * ledger.contracted_price).sum())
        found.append(
            CommitmentTotals(
                commitment.name, used + unused, used, unused, effective,
                effective * recurring_share(commitment) + upfront, covered_usd,
            )
        )  # fmt: skip
    return tuple(found)


def _each(ledger: Ledger) -> Iterator[tuple[int, Commitment, Coverage, int]]:
    """Number of each promise, the promise, and where its coverage is."""
    for number, commitment in enumerate(ledger.commitments):
        yield number, commitment, ledger.coverage, number
    for number, block in enumerate(ledger.blocks):
        yield len(ledger.commitments) + number, block, ledger.block_coverage, number


def _rate(ledger: Ledger, commitment: Commitment) -> Floats:
    """(J,): effective price of a unit of each column where the commitment covers it; 0 where it cannot."""
    if isinstance(commitment, Reservation):
        return np.full(len(ledger.usage.instance_types), commitment.usd_per_hour)
    return np.array([commitment.rates.get(instance_type, 0.0) for instance_type in ledger.usage.instance_types])


def _starts(ledger: Ledger, period: Period) -> Int64s:
    """First hour of each period."""
    if period == "hour":
        return np.arange(ledger.usage.hours)
    return np.searchsorted(ledger.month, np.arange(len(ledger.months))).astype(np.int64)


def _folded(starts: Int64s, charge: str, promise: int, amounts: tuple[Floats, ...]) -> Lines:
    """Lines from hourly amounts (T, n), one a period and column in which any of them is not 0."""
    by_period = [np.add.reduceat(amount, starts, axis=0) for amount in amounts]
    period, column = np.nonzero(np.logical_or.reduce([amount != 0 for amount in by_period]))
    same = np.ones_like(period)
    named = column if charge in {"on_demand", "used"} else np.full_like(column, -1)
    values = (amount[period, column] for amount in by_period)
    return Lines(period, same * CHARGES.index(charge), named, same * promise, *values)
