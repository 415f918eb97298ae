"""Compiled: every hour of one scenario under given commitments, what it costs beside them, and what a unit would save.

Commitments apply as providers apply them: reservations, then narrow spend commitments, then wide ones, and within
one width the highest saving 1 - rate / on-demand first (:mod:`simulator.dispatch` is the ledger's form of the rule).

What a unit more is worth comes from the linear program of the hour, with N_j instances reserved and C_f dollars of
spend commitment f: min sum_j o_j y_j, y_j + sum_f h_fj >= d_j - N_j, sum_j s_fj h_fj <= C_f. Its dual,

    max sum_j (d_j - N_j) lambda_j - sum_f C_f nu_f,   0 <= lambda_j <= o_j, lambda_j <= s_fj nu_f, nu_f >= 0,

bounds the hour's cost from below for *any* nu >= 0, at any commitments. The order's own marginal use gives the nu that
is exact where the order is optimal (one spend commitment, or several that agree on which type saves most); where it is
not, nu is improved one commitment at a time: with the others fixed the best nu_f is the density of a knapsack's
critical item.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from optimizer.commitments.program import Floats, Ints
from simulator import kernels

TIGHT: Final = 1e-12
"""Share of an hour's cost that rounding may put between the order's cost and its bound."""

EQUAL: Final = 1e-12
"""Savings that are this close are the same: the lower rate goes first."""

SWEEPS: Final = 3
"""How often each nu is improved in turn where the order is not the best use."""


class Hours(NamedTuple):
    """One scenario. Shapes: T hours, J types."""

    demand: Floats
    """(T, J) instances wanted."""
    weight_h: Floats
    """(T,) hours that each stands for."""
    period: Ints
    """(T,) number of the period: the hours in which the same purchases are active."""
    price: Floats
    """(T, J) on demand, or (1, J) for all hours alike."""


class Held(NamedTuple):
    """What is committed in M periods, F spend commitments among it."""

    reserved: Floats
    """(M, J) instances."""
    dollars: Floats
    """(M, F) an hour."""
    rates: Floats
    """(F, J) discounted prices, 0 where a type is not covered."""
    width: Ints
    """(F,) 0 for narrow, 1 for wide."""


class Sums(NamedTuple):
    """What is added up over the hours."""

    usd: Floats
    """(1,) cost on demand."""
    constant: Floats
    """(J,) sum over all hours of w_t d_j lambda_j, what the bound has beside the commitments."""
    by_type: Floats
    """(M, J) sum of w_t lambda_j: what an instance reserved in a period saves."""
    by_spend: Floats
    """(M, F) sum of w_t nu_f: what a dollar an hour saves."""


class Scratch(NamedTuple):
    """Room to work in, whatever it holds."""

    pairs: Ints
    """(2, F J) commitments and types in the order in which they apply."""
    place: Floats
    """(F, J) where in that order."""
    after: Floats
    """(F, J) what of a type is left once a commitment had its turn."""
    row: Floats
    """(4, max(F, J))"""


@kernels.entry
def settle_hours(hours: Hours, held: Held, sums: Sums, scratch: Scratch) -> None:
    """Add up, over the hours of one scenario, the cost beside the commitments and its linear bound."""
    demand, weight_h, price = hours.demand, hours.weight_h, hours.price
    rates, place, after = held.rates, scratch.place, scratch.after
    pairs = scratch.pairs
    n_types, n_spend, fixed = demand.shape[1], rates.shape[0], price.shape[0] == 1
    rest, worth, nu, left = scratch.row[0], scratch.row[1], scratch.row[2], scratch.row[3]
    n_pairs = 0
    for t in range(demand.shape[0]):
        m, w, row = hours.period[t], weight_h[t], 0 if fixed else t
        if n_spend > 0 and (t == 0 or not fixed):
            n_pairs = _ordered(price[row], rates, held.width, pairs, place)
        busy = False
        for j in range(n_types):
            rest[j] = max(demand[t, j] - held.reserved[m, j], 0.0)
            busy = busy or rest[j] > 0.0
        if not busy:
            continue
        for f in range(n_spend):
            left[f] = held.dollars[m, f]
            nu[f] = 0.0
        for i in range(n_pairs):
            f, j = pairs[0, i], pairs[1, i]
            if rest[j] > 0.0 and left[f] > 0.0:
                needed = rest[j] * rates[f, j]
                if needed <= left[f]:
                    left[f] -= needed
                    rest[j] = 0.0
                else:
                    rest[j] -= left[f] / rates[f, j]
                    left[f] = 0.0
            after[f, j] = rest[j]
        spent = 0.0
        for j in range(n_types):
            spent += price[row, j] * rest[j]
        for i in range(n_pairs - 1, -1, -1):
            f, j = pairs[0, i], pairs[1, i]
            if left[f] == 0.0 and after[f, j] > 0.0:
                value = price[row, j]
                for g in range(n_spend):
                    if rates[g, j] > 0.0 and place[g, j] > place[f, j]:
                        value = min(value, rates[g, j] * nu[g])
                nu[f] = max(nu[f], value / rates[f, j])
        bound = _bound(demand[t], held.reserved[m], held.dollars[m], price[row], rates, nu, worth)
        for _ in range(SWEEPS if n_spend > 1 else 0):
            if spent - bound <= TIGHT * spent:
                break
            for f in range(n_spend):
                nu[f] = _critical(demand[t], held.reserved[m], held.dollars[m, f], price[row], rates, nu, f, left)
            better = _bound(demand[t], held.reserved[m], held.dollars[m], price[row], rates, nu, worth)
            if better <= bound + TIGHT * spent:
                break
            bound = better
        sums.usd[0] += w * spent
        for j in range(n_types):
            if worth[j] > 0.0:
                sums.constant[j] += w * demand[t, j] * worth[j]
                sums.by_type[m, j] += w * worth[j]
        for f in range(n_spend):
            sums.by_spend[m, f] += w * nu[f]


@kernels.kernel
def _ordered(price: Floats, rates: Floats, width: Ints, pairs: Ints, place: Floats) -> int:
    """Sort commitments and types into ``pairs`` by width, saving, then rate, with ``place`` its inverse; how many."""
    n = 0
    for f in range(rates.shape[0]):
        for j in range(rates.shape[1]):
            if rates[f, j] > 0.0:
                at, paid = n, rates[f, j] / price[j]
                while at > 0:
                    g, i = pairs[0, at - 1], pairs[1, at - 1]
                    other = rates[g, i] / price[i]
                    if width[g] < width[f]:
                        break
                    if width[g] == width[f] and abs(other - paid) <= EQUAL and rates[g, i] <= rates[f, j]:
                        break
                    if width[g] == width[f] and other < paid - EQUAL:
                        break
                    pairs[0, at], pairs[1, at] = g, i
                    at -= 1
                pairs[0, at], pairs[1, at] = f, j
                n += 1
    for at in range(n):
        place[pairs[0, at], pairs[1, at]] = at
    return n


@kernels.kernel
def _bound(
    demand: Floats, reserved: Floats, dollars: Floats, price: Floats, rates: Floats, nu: Floats, worth: Floats
) -> float:
    """The dual's value at nu; writes lambda into ``worth``, 0 where reservations cover all."""
    value = 0.0
    for f in range(rates.shape[0]):
        value -= dollars[f] * nu[f]
    for j in range(demand.shape[0]):
        worth[j] = 0.0
        if demand[j] > reserved[j]:
            worth[j] = price[j]
            for f in range(rates.shape[0]):
                if rates[f, j] > 0.0:
                    worth[j] = min(worth[j], rates[f, j] * nu[f])
            value += (demand[j] - reserved[j]) * worth[j]
    return value


@kernels.kernel
def _critical(
    demand: Floats, reserved: Floats, room: float, price: Floats, rates: Floats, nu: Floats, f: int, done: Floats
) -> float:
    """The best nu_f while the others stay: value for a dollar of the item at which the commitment is used up."""
    n_types = demand.shape[0]
    for j in range(n_types):
        done[j] = 0.0
    while True:
        best, density = -1, 0.0
        for j in range(n_types):
            if done[j] == 0.0 and rates[f, j] > 0.0 and demand[j] > reserved[j]:
                value = price[j]
                for g in range(rates.shape[0]):
                    if g != f and rates[g, j] > 0.0:
                        value = min(value, rates[g, j] * nu[g])
                if value / rates[f, j] > density:
                    best, density = j, value / rates[f, j]
        if best < 0:
            return 0.0
        room -= (demand[best] - reserved[best]) * rates[f, best]
        if room < 0.0:
            return density
        done[best] = 1.0
