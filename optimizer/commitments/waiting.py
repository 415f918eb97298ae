"""Is it worth to wait a month before promising anything? What is learnt by then, against what a month on demand costs.

The scenarios are told apart by the demand of the month that passes: whoever waits knows in which third of them they
are, and buys for those. It is an estimate from above of what is learnt from demand, and knows of no news about prices.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from optimizer.commitments.program import CommitmentProblem, Purchase
from optimizer.commitments.recommend import Recommendation
from optimizer.commitments.solve import solve
from simulator.price_changes import HOURS_PER_MONTH

GROUPS: Final = 3
"""Kinds of months that are told apart: low, middling, high."""

TIME_LIMIT_S: Final = 15.0


@dataclass(frozen=True)
class Waiting:
    """Buying now, and buying in a month."""

    now_usd: float
    """Expected cost of promising now."""
    later_usd: float
    """Expected cost of a month on demand, then promising what that month makes best."""

    @property
    def value_usd(self) -> float:
        """What waiting saves; negative where it costs."""
        return self.now_usd - self.later_usd


def value_of_waiting(recommendation: Recommendation) -> Waiting | None:
    """What does it save to wait a month? None where the scenarios are no longer than two months."""
    problem = recommendation.problem
    if problem.demand.shape[1] <= 2 * HOURS_PER_MONTH or recommendation.solution.status == "infeasible":
        return None
    later_usd = 0.0
    for members in _groups(problem):
        weight = problem.probability[members].sum()
        if weight > 0:
            solution = solve(_later(problem, members), gap=1e-3, time_limit_s=TIME_LIMIT_S)
            later_usd += float(weight) * solution.expected_usd
    return Waiting(recommendation.solution.expected_usd, later_usd)


def _groups(problem: CommitmentProblem) -> list[np.ndarray]:
    """Scenarios by what the month costs on demand, in three parts of the same size."""
    prices = np.broadcast_to(problem.prices_of_hours, problem.demand.shape)[:, :HOURS_PER_MONTH]
    month = (problem.demand[:, :HOURS_PER_MONTH] * prices).sum(axis=(1, 2))
    return [part for part in np.array_split(np.argsort(month, kind="stable"), GROUPS) if len(part)]


def _later(problem: CommitmentProblem, members: np.ndarray) -> CommitmentProblem:
    """The problem of some scenarios with every purchase a month later."""
    prices = problem.prices_of_hours
    return replace(
        problem,
        demand=problem.demand[members],
        on_demand_usd=prices[members] if len(prices) > 1 else prices,
        probability=problem.probability[members] / problem.probability[members].sum(),
        purchases=tuple(_delayed(purchase) for purchase in problem.purchases),
    )


def _delayed(purchase: Purchase) -> Purchase:
    active = np.zeros_like(purchase.active)
    active[HOURS_PER_MONTH:] = purchase.active[:-HOURS_PER_MONTH]
    return replace(purchase, active=active)
