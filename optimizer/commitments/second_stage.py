"""What does each scenario cost once commitments are given, and what would a unit more of each purchase save?

The hours are settled in :mod:`optimizer.commitments.hours`; here purchases become instances and dollars by period, a
*period* being the hours in which the same purchases are active, and savings by period become savings by purchase.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

import numpy as np

from optimizer.commitments.hours import Held, Hours, Scratch, Sums, settle_hours
from optimizer.commitments.program import CommitmentProblem, Flags, Floats, Ints

SIDE_BY_SIDE: Final = 200_000
"""Type-hours from which on scenarios are settled by several threads: below, starting them takes longer."""


@dataclass(frozen=True)
class Settled:
    """Scenarios under given commitments. Shapes: S scenarios asked for, P purchases."""

    on_demand_usd: Floats
    """(S,) cost on demand of what no commitment covers, in the providers' order."""
    constant_of_parts_usd: Floats
    """(S, C) a_sc of the bound below, by part of the problem (:attr:`SecondStage.part`)."""
    saved_usd: Floats
    """(S, P) g_sp: what a unit more saves. On the types of part c at least a_sc - sum_{p of c} g_sp x_p is spent on
    demand, whatever x is, and just that at these units where the providers' order is the best use."""

    @property
    def constant_usd(self) -> Floats:
        """(S,) a_s, all parts together."""
        return np.asarray(self.constant_of_parts_usd.sum(axis=1))


class SecondStage:
    """A problem laid out for settling it again and again under other commitments."""

    def __init__(self, problem: CommitmentProblem) -> None:
        """Find the periods, and the spend commitments that are one because rates and width are the same."""
        self.problem = problem
        purchases = problem.purchases
        active = np.array([p.active for p in purchases], dtype=np.bool_).reshape(len(purchases), len(problem.weight_h))
        self.period, first = _periods(active)
        self.active = active[:, first].astype(np.float64)
        """(P, M) whether a purchase is active in a period."""
        spend: dict[tuple[bool, bytes], int] = {}
        rows = []
        self.column = np.zeros(len(purchases), dtype=np.int64)
        """(P,) type of a purchase of instances, or J + number of its spend commitment."""
        for p, purchase in enumerate(purchases):
            self.column[p] = purchase.instance_type
            if purchase.rates is not None and purchase.kind == "spend":
                rates = np.where(purchase.covers, purchase.rates, 0.0)
                key = purchase.wide, rates.tobytes()
                if key not in spend:
                    spend[key] = len(spend)
                    rows.append(rates)
                self.column[p] = len(problem.types) + spend[key]
        self.rates = np.array(rows, dtype=np.float64).reshape(len(rows), len(problem.types))
        self.width: Ints = np.array([wide for wide, _ in spend], dtype=np.int64)
        self.part = _parts(self.rates > 0)
        """(J,) number of the part of each type: types that no spend commitment covers together have nothing to do
        with each other once commitments are given."""
        first_covered = np.argmax(self.rates > 0, axis=1) if len(rows) else np.zeros(0, dtype=np.int64)
        self.part_of_purchase: Ints = self.part[np.append(np.arange(len(problem.types)), first_covered)[self.column]]
        """(P,)"""
        self._members = np.zeros((len(purchases), len(problem.types) + len(rows)))
        self._members[np.arange(len(purchases)), self.column] = 1.0

    def settle(self, units: Floats, scenarios: Sequence[int] | None = None) -> Settled:
        """What do scenarios cost beside the commitments, and what would more of them save?

        Parameters
        ----------
        units : (P,)
            Of each purchase.
        scenarios
            Which to settle; all if none are named.

        Returns
        -------
        Settled
            In the order asked for.
        """
        which = range(len(self.problem.demand)) if scenarios is None else scenarios
        held = np.einsum("pm,pc->mc", self.active * units[:, None], self._members)
        n_types = len(self.problem.types)
        reserved, dollars = np.ascontiguousarray(held[:, :n_types]), np.ascontiguousarray(held[:, n_types:])
        spent = np.zeros(len(which))
        constant = np.zeros((len(which), int(self.part.max()) + 1))
        saved = np.zeros((len(which), len(units)))

        def one(place: int) -> None:
            sums = self._one(which[place], reserved, dollars)
            spent[place] = sums.usd[0]
            constant[place] = np.bincount(self.part, sums.constant)
            values = np.concatenate([sums.by_type, sums.by_spend], axis=1)
            saved[place] = (self.active * values.T[self.column]).sum(axis=1)

        threads = os.cpu_count() or 1
        if len(which) > 1 and threads > 1 and self.problem.demand[0].size * len(which) > SIDE_BY_SIDE:
            with ThreadPoolExecutor(threads) as pool:
                list(pool.map(one, range(len(which))))
        else:
            for place in range(len(which)):
                one(place)
        return Settled(spent, constant, saved)

    def _one(self, s: int, reserved: Floats, dollars: Floats) -> Sums:
        problem = self.problem
        prices = problem.prices_of_hours
        price = prices[s if len(prices) > 1 else 0]
        n_spend, n_types = self.rates.shape
        price = np.ascontiguousarray(np.broadcast_to(price, (len(price), n_types)))
        price.flags.writeable = False  # to the compiler, arrays that may be written to are another type
        sums = Sums(np.zeros(1), np.zeros(n_types), np.zeros_like(reserved), np.zeros_like(dollars))
        pairs = np.zeros((2, n_spend * n_types), dtype=np.int64)
        room = Scratch(
            pairs, np.zeros((n_spend, n_types)), np.zeros((n_spend, n_types)), np.zeros((4, n_spend + n_types))
        )
        hours = Hours(problem.demand[s], problem.weight_h, self.period, price)
        settle_hours(hours, Held(reserved, dollars, self.rates, self.width), sums, room)
        return sums


def _parts(together: Flags) -> Ints:
    """(J,) parts of types, numbered by their first: those that any row of (F, J) has together are in one.

    >>> _parts(np.array([[False, True, False, True], [False, False, True, True]]))
    array([0, 1, 1, 1])
    """
    part = np.arange(together.shape[1])
    for row in together:
        if row.any():
            joined = part[row]
            part[np.isin(part, joined)] = joined.min()
    return np.asarray(np.unique(part, return_inverse=True)[1], dtype=np.int64)


def _periods(active: Flags) -> tuple[Ints, Ints]:
    """Number of the period of each hour, periods in order of their first hour, and those first hours.

    >>> _periods(np.array([[True, True, False, True]]))
    (array([0, 0, 1, 0]), array([0, 2]))
    """
    hours = active.shape[1]
    if not len(active):
        return np.zeros(hours, dtype=np.int64), np.zeros(1, dtype=np.int64)
    packed = np.ascontiguousarray(np.packbits(active, axis=0).T)
    keys = packed.view(np.dtype((np.void, packed.shape[1]))).ravel()
    _, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
    rank = np.argsort(np.argsort(first))
    return rank[inverse].astype(np.int64), np.sort(first).astype(np.int64)
