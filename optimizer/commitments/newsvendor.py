"""The classical answer for one pool and one price: commit up to the quantile above which demand is too rare."""

from __future__ import annotations

import numpy as np

from optimizer.commitments.program import CommitmentProblem, Floats


def critical_quantile(level: Floats, weight: Floats, idle_usd: float) -> float:
    """Up to which level of demand is it worth to commit?

    Parameters
    ----------
    level : (n,)
        Demand that is reached.
    weight : (n,)
        Dollars that a unit saves while it is: hours times the price on demand (times the probability).
    idle_usd
        Price of a unit over all those hours, used or not.

    Returns
    -------
    float
        The smallest of the levels above which a unit more no longer saves its price; 0 where none does.

    Notes
    -----
    A unit at level x saves sum of weights with demand > x. With one price o on demand and r o for a committed hour
    that is P(D > x) < r, hence the newsvendor quantile x = F^-1(1 - r).

    Examples
    --------
    Ten hours with demand 1 to 10; at 70 % of on-demand a unit must be used in seven of them:

    >>> critical_quantile(np.arange(1.0, 11.0), np.ones(10), 7.0)
    3.0
    """
    order = np.argsort(level, kind="stable")
    above = np.append(np.cumsum(weight[order][::-1])[::-1], 0.0)
    enough = above > idle_usd * (1 + 1e-12)
    if not enough[0]:
        return 0.0
    return float(level[order][int(np.flatnonzero(enough)[-1])])


def newsvendor_units(problem: CommitmentProblem) -> Floats:
    """(P,) the quantile of each type for its cheapest purchase of instances, the least of everything else.

    The best there is where the mean counts, nothing but those purchases is offered and no limit binds: the pools then
    have nothing to do with each other. Elsewhere a good place to begin.
    """
    units = problem.min_units.copy()
    prices = problem.prices_of_hours
    for j in range(len(problem.types)):
        offers = [p for p, purchase in enumerate(problem.purchases) if _offers(problem, p, j)]
        if not offers:
            continue
        best = min(offers, key=lambda p: (problem.purchases[p].usd_per_h, p))
        purchase = problem.purchases[best]
        hours = purchase.active
        demand = problem.demand[:, hours, j]
        price = np.broadcast_to(prices[:, :, j], problem.demand.shape[:2])[:, hours]
        weight = problem.probability[:, None] * problem.weight_h[hours] * price
        level = critical_quantile(demand.ravel(), weight.ravel(), float(problem.usd_of_a_unit[best]))
        most = purchase.max_units
        if purchase.unit > 0:
            level, most = (np.floor(each / purchase.unit + 1e-9) * purchase.unit for each in (level, most))
        units[best] = max(units[best], min(level, most))
    return units


def _offers(problem: CommitmentProblem, p: int, j: int) -> bool:
    purchase = problem.purchases[p]
    return purchase.kind == "instances" and purchase.instance_type == j and problem.usd_of_a_unit[p] > 0
