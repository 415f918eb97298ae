"""Which commitment covers which instance in an hour? The one place that knows the providers' order.

An hour is billed by itself: what a commitment does not find work for in it is lost. The order is that of AWS ("How
Savings Plans apply to your AWS usage", Savings Plans user guide), and other providers' commitments are taken in it too:

1. reservations, those of one zone (which guarantee capacity as well) before those of a region;
2. savings plans for one instance family, all of them together;
3. savings plans for any compute, and spend-based committed use, all of them together.

Within a step, every pair of a commitment and a usage that it may cover is ranked by its saving share
``1 - discounted / on demand``, highest first; of equal ones, the lowest discounted price is first; then the commitment
that began first. A pair takes what is left of both: a commitment that runs out covers a part of an instance hour.

The ledger (:mod:`simulator.ledger`) turns the answer into dollars. Nothing here knows of upfront payments or months.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from simulator.commitment import Commitment, Reservation

Floats = npt.NDArray[np.float64]
Int64s = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Coverage:
    """What each commitment covered in each of T hours, for J columns of usage and K commitments.

    In every hour ``used + unused = committed``, and ``covered.sum(axis=0) + on_demand = wanted``.
    """

    covered: Floats
    """(K, T, J): instance hours of a column that a commitment paid for; (0, T, J) where it was not itemised."""
    used: Floats
    """(T, K): in the commitment's own unit, instances of a reservation and dollars of a spend commitment."""
    unused: Floats
    """(T, K): paid for, and without work; same units."""
    on_demand: Floats
    """(T, J): instance hours that no commitment covers."""

    @property
    def committed(self) -> Floats:
        """(T, K): what is paid for in each hour of a term, used or not; 0 outside it."""
        return self.used + self.unused


def cover(
    wanted: npt.ArrayLike,
    commitments: Sequence[Commitment],
    on_demand_usd: npt.ArrayLike,
    instance_types: Sequence[str],
    *,
    regions: Sequence[str] | None = None,
    spare: Sequence[bool] | None = None,
    hour: npt.ArrayLike | None = None,
    itemise: bool = True,
) -> Coverage:
    """Which commitment covers which usage in each hour?

    Parameters
    ----------
    wanted : (T, J)
        Instance hours wanted, by row (an hour) and column (a type, maybe of one team).
    commitments
        In any order; their ``start_h`` and ``term_h`` count in the units of ``hour``.
    on_demand_usd : (J,), (1, J) or (T, J)
        What an instance hour costs without a commitment: the price that savings are measured against.
    instance_types : (J,)
        Type of each column; several columns may share one, and then share what covers it in proportion to what
        they want.
    regions : (J,), optional
        Region of each column. Without it, regions play no part.
    spare : (J,), optional
        Columns of capacity that is reserved and stands idle: within a step of the order, usage comes before it.
    hour : (T,) int, optional
        Hour of each row, 0, 1, 2, ... unless given: scenarios can be stacked as rows.
    itemise
        False leaves ``covered`` empty, which saves K x T x J numbers.

    Raises
    ------
    ValueError
        Shapes differ, or a quantity or price is negative or not finite.

    Notes
    -----
    For one plan this is the optimum of the linear program ``min sum_j o_j (w_j - h_j)`` with ``sum_j r_j h_j <= C`` and
    ``0 <= h_j <= w_j``: a fractional knapsack, whose order ``(o - r) / r`` is that of ``1 - r / o``. Each pair costs
    a few passes over the hours.

    Examples
    --------
    Three instances, one reserved; 0.70 dollars an hour buy one more at 0.70:

    >>> from simulator.commitment import SpendCommitment
    >>> reserved = Reservation("ri", "a", units=1, usd_per_hour=0.60, start_h=0, term_h=8760)
    >>> plan = SpendCommitment("sp", usd_per_hour=0.70, rates={"a": 0.70}, start_h=0, term_h=8760)
    >>> coverage = cover([[3.0]], [plan, reserved], [1.0], ["a"])
    >>> coverage.covered[:, 0, 0], coverage.on_demand[0, 0]
    (array([1., 1.]), np.float64(1.0))
    """
    quantity, price = _checked(wanted, on_demand_usd, instance_types, regions)
    rows = quantity.shape[0]
    at = np.arange(rows) if hour is None else np.asarray(hour, dtype=np.int64)
    if at.shape != (rows,):
        raise ValueError(f"hour must have one entry for each of {rows} rows of wanted, got shape {at.shape}")
    places = ("",) * len(instance_types) if regions is None else tuple(regions)
    idle = (False,) * len(instance_types) if spare is None else tuple(spare)
    lots = _lots(instance_types, places, idle, price)
    left = _summed(quantity, lots)
    budget = _committed(commitments, at)
    committed = budget.copy()
    covered = np.zeros((len(commitments) if itemise else 0, len(lots.first), rows))
    pairs = _pairs(
        commitments,
        lots,
        places if regions is not None else None,
        instance_types,
        idle,
        [bool(row.any()) for row in budget],
    )
    for order, hours in _orders(pairs, commitments, price[:, lots.first], rows):
        for pair in order:
            _take(pairs[pair], left, budget, covered, hours)
    return _spread(quantity, lots, Coverage(covered, committed.T - budget.T, budget.T, left))


class Lots(NamedTuple):
    """Columns that no provider could tell apart: one type, one region, one price."""

    lot: Int64s
    """(J,): lot of each column."""
    first: Int64s
    """(G,): first column of each lot."""


class Pair(NamedTuple):
    """A commitment and a lot that it may cover."""

    commitment: int
    lot: int
    step: tuple[int, bool]
    """Place in the providers' order; of one place, usage before what stands idle."""
    draw: float
    """What an instance hour takes from the commitment, in its unit: 1, or dollars."""
    usd_per_hour: float
    """Discounted price of an instance hour."""


def saving_share(discounted_usd: float, on_demand_usd: float) -> float:
    """What share of the on-demand price does a discounted one save? Negative where it is dearer.

    >>> saving_share(0.70, 1.00)
    0.3
    """
    return round(1 - discounted_usd / on_demand_usd, 12)


def _checked(
    wanted: npt.ArrayLike, on_demand_usd: npt.ArrayLike, instance_types: Sequence[str], regions: Sequence[str] | None
) -> tuple[Floats, Floats]:
    quantity = np.asarray(wanted, dtype=np.float64)
    columns = len(instance_types)
    if quantity.ndim != 2 or quantity.shape[1] != columns:
        raise ValueError(f"wanted must have shape (hours, {columns}), got {quantity.shape}")
    price = np.atleast_2d(np.asarray(on_demand_usd, dtype=np.float64))
    if price.shape not in {(1, columns), quantity.shape}:
        raise ValueError(f"on_demand_usd must have shape ({columns},) or {quantity.shape}, got {price.shape}")
    if regions is not None and len(regions) != columns:
        raise ValueError(f"regions must have {columns} entries, got {len(regions)}")
    if quantity.size and not (quantity.min() >= 0 and math.isfinite(quantity.max())):
        raise ValueError("wanted must be finite and 0 or greater")
    if price.size and not (price.min() > 0 and math.isfinite(price.max())):
        raise ValueError("on_demand_usd must be finite and greater than 0")
    return quantity, price


def _lots(instance_types: Sequence[str], places: Sequence[str], idle: Sequence[bool], price: Floats) -> Lots:
    lot_of: dict[tuple[str, str, bool, bytes], int] = {}
    lot: list[int] = []
    first: list[int] = []
    for column, labels in enumerate(zip(instance_types, places, idle, strict=True)):
        key = (*labels, price[:, column].tobytes())
        if key not in lot_of:
            lot_of[key] = len(first)
            first.append(column)
        lot.append(lot_of[key])
    return Lots(np.array(lot, dtype=np.int64), np.array(first, dtype=np.int64))


def _summed(quantity: Floats, lots: Lots) -> Floats:
    """(G, T): what each lot wants, a row a lot."""
    if len(lots.first) == len(lots.lot):
        return quantity.T.copy()
    total = np.zeros((len(lots.first), quantity.shape[0]))
    for column, lot in enumerate(lots.lot):
        total[lot] += quantity[:, column]
    return total


def _committed(commitments: Sequence[Commitment], at: Int64s) -> Floats:
    """(K, T): what each commitment offers in each hour, in its unit."""
    offered = np.zeros((len(commitments), len(at)))
    for row, commitment in enumerate(commitments):
        amount = commitment.units if isinstance(commitment, Reservation) else commitment.usd_per_hour
        active = (at >= commitment.start_h) & (at < commitment.start_h + commitment.term_h)
        offered[row] = np.where(active, amount, 0.0)
    return offered


def _pairs(
    commitments: Sequence[Commitment],
    lots: Lots,
    places: Sequence[str] | None,
    instance_types: Sequence[str],
    idle: Sequence[bool],
    active: Sequence[bool],
) -> list[Pair]:
    pairs = []
    for number, commitment in enumerate(commitments):
        for lot, column in enumerate(lots.first if active[number] else ()):
            if places is not None and commitment.region not in {"", places[column]}:
                continue
            instance_type = instance_types[column]
            if isinstance(commitment, Reservation):
                if commitment.instance_type == instance_type:
                    step = 0 if commitment.guarantees_capacity else 1
                    pairs.append(Pair(number, lot, (step, idle[column]), 1.0, commitment.usd_per_hour))
            elif instance_type in commitment.rates:
                rate = commitment.rates[instance_type]
                pairs.append(Pair(number, lot, (3 if commitment.wide else 2, idle[column]), rate, rate))
    return pairs


def _orders(
    pairs: Sequence[Pair], commitments: Sequence[Commitment], price: Floats, rows: int
) -> list[tuple[tuple[int, ...], slice | Int64s]]:
    """Orders of the pairs, each with the hours in which it holds; more than one only where prices change."""
    if price.shape[0] == 1:
        return [(_order(pairs, commitments, price[0]), slice(None))]
    changes = np.concatenate(([0], 1 + np.flatnonzero((price[1:] != price[:-1]).any(axis=1))))
    distinct, which = np.unique(price[changes], axis=0, return_inverse=True)
    members: dict[tuple[int, ...], list[int]] = {}
    for number, row in enumerate(distinct):
        members.setdefault(_order(pairs, commitments, row), []).append(number)
    if len(members) == 1:
        return [(next(iter(members)), slice(None))]
    which = np.repeat(which.reshape(-1), np.diff(np.append(changes, rows)))
    return [(order, np.flatnonzero(np.isin(which, numbers))) for order, numbers in members.items()]


def _order(pairs: Sequence[Pair], commitments: Sequence[Commitment], price: Floats) -> tuple[int, ...]:
    def rank(number: int) -> tuple[float, ...]:
        pair = pairs[number]
        share = saving_share(pair.usd_per_hour, float(price[pair.lot]))
        return (*pair.step, -share, pair.usd_per_hour, commitments[pair.commitment].start_h, pair.commitment, pair.lot)

    return tuple(sorted(range(len(pairs)), key=rank))


def _take(pair: Pair, left: Floats, budget: Floats, covered: Floats, hours: slice | Int64s) -> None:
    """Cover what both sides still have. Written so that what is used up is exactly 0, not a rounding error."""
    number, lot, _, draw, _ = pair
    offered, asked = budget[number, hours], left[lot, hours]
    needed = asked * draw
    enough = needed <= offered
    taken = np.where(enough, asked, np.minimum(offered / draw, asked))
    budget[number, hours] = np.where(enough, offered - needed, 0.0)
    left[lot, hours] = asked - taken
    if len(covered):
        covered[number, lot, hours] += taken


def _spread(quantity: Floats, lots: Lots, coverage: Coverage) -> Coverage:
    """Columns from lots: each has its share of the lot, in proportion to what it wants."""
    covered, left = coverage.covered, coverage.on_demand
    if len(lots.first) < len(lots.lot):
        total = _summed(quantity, lots)[lots.lot]
        share = np.divide(quantity.T, total, out=np.zeros_like(total), where=total > 0)
        left = left[lots.lot] * share
        covered = covered[:, lots.lot] * share
    return Coverage(covered.transpose(0, 2, 1), coverage.used, coverage.unused, left.T)
