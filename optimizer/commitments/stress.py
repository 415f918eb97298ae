"""What if it comes otherwise? The same promises where prices on demand are cut, or where the workload moves away."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from optimizer.commitments.program import CommitmentProblem
from optimizer.commitments.recommend import Recommendation
from optimizer.commitments.second_stage import SecondStage
from simulator.price_changes import HOURS_PER_MONTH, KNOWN_CUTS

Floats = npt.NDArray[np.float64]

CUT_MONTH: Final = 6
"""Month at whose beginning on-demand prices are cut: half a year after the purchase."""

MOVE_H: Final = 26 * 168
"""Hours in which a workload moves to another type, evenly: half a year."""


@dataclass(frozen=True)
class WhatIf:
    """One other course of events, and what the promises save in it."""

    name: str
    words: str
    """What happens, as a sentence without a full stop."""
    on_demand_usd: float
    """Expected cost of everything on demand, in this course."""
    committed_usd: float
    """Expected cost with the promises, in this course."""

    @property
    def saved_usd(self) -> float:
        """What the promises save; negative where they lose."""
        return self.on_demand_usd - self.committed_usd

    @property
    def saved_share(self) -> float:
        """The same as a share of the cost on demand."""
        return self.saved_usd / self.on_demand_usd if self.on_demand_usd else 0.0


def what_ifs(recommendation: Recommendation) -> tuple[WhatIf, ...]:
    """What do the promises save as foreseen, after price cuts as there have been, and where a workload leaves?"""
    return tuple(_courses(recommendation))


def _courses(recommendation: Recommendation) -> Iterator[WhatIf]:
    problem, units = recommendation.problem, recommendation.solution.units
    yield _settled("as foreseen", "demand and prices as in the scenarios", problem, units)
    yield from _cuts(problem, units)
    yield from _move(recommendation)


def _cuts(problem: CommitmentProblem, units: Floats) -> Iterator[WhatIf]:
    """On-demand prices fall as those of two generations of accelerators did."""
    month = min(CUT_MONTH * HOURS_PER_MONTH, problem.demand.shape[1] // 2)
    when = f"after {month / HOURS_PER_MONTH:.2g} months"
    for cut in sorted(KNOWN_CUTS, key=lambda known: known.share):
        after = np.where(np.arange(problem.demand.shape[1]) < month, 1.0, 1 - cut.share)
        changed = replace(problem, on_demand_usd=problem.prices_of_hours * after[np.newaxis, :, np.newaxis])
        words = f"on-demand prices are cut by {cut.share:.0%} {when}, as {cut.instance_type}'s were"
        yield _settled(f"price cut of {cut.share:.0%}", words, changed, units)


def _move(recommendation: Recommendation) -> Iterator[WhatIf]:
    """The pool with the dearest promises moves to a type without any."""
    pools = recommendation.market.pools
    spent = np.zeros(len(pools))
    for bought in recommendation.bought:
        if bought.offer.pool in pools:
            spent[pools.index(bought.offer.pool)] += bought.units * bought.offer.usd_per_hour
    if not spent.any():
        return
    moving = int(np.argmax(spent))
    problem = recommendation.problem
    left = 1 - np.minimum(1.0, np.arange(problem.demand.shape[1]) / min(MOVE_H, problem.demand.shape[1]))
    demand = problem.demand.copy()
    demand[:, :, moving] *= left[np.newaxis, :]
    words = (
        f"the workload of {pools[moving]} moves to a type without promises within {MOVE_H // 168} weeks, and costs "
        "there on demand what it cost here"
    )
    after = _settled("", "", replace(problem, demand=demand), recommendation.solution.units)
    gone_usd = float(problem.probability @ problem.on_demand_only_usd) - after.on_demand_usd
    name = f"{pools[moving]} moves away" if len(pools) > 1 else "the workload moves away"
    yield WhatIf(name, words, after.on_demand_usd + gone_usd, after.committed_usd + gone_usd)


def _settled(name: str, words: str, problem: CommitmentProblem, units: Floats) -> WhatIf:
    committed = float(problem.usd_of_a_unit @ units)
    rest = float(problem.probability @ SecondStage(problem).settle(units).on_demand_usd)
    return WhatIf(name, words, float(problem.probability @ problem.on_demand_only_usd), committed + rest)
