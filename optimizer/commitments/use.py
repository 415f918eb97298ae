"""How well will it be used? Coverage and utilisation of what is promised, by the ledger's own order of applying it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from optimizer.commitments.recommend import Bought, Recommendation
from simulator.commitment import Commitment, Reservation, SpendCommitment
from simulator.dispatch import cover

Floats = npt.NDArray[np.float64]

MOST_ROWS: Final = 200_000
"""Hours of scenarios that are looked at; of more scenarios as many as fit, evenly picked."""


@dataclass(frozen=True)
class Use:
    """What becomes of the promises, over all scenarios."""

    coverage: Floats
    """(P,) share of each pool's demand that promises cover; NaN where nothing is wanted."""
    utilisation: tuple[float, ...]
    """Share of each promise that is used, in the order bought."""
    covered_share: float
    """Share of all demand, at prices on demand, that promises cover."""


def commitment(bought: Bought, number: int) -> Commitment:
    """Give a recommended purchase as the ledger knows it."""
    offer = bought.offer
    name = f"{offer.pool} {offer.plan} {number + 1}"
    if offer.kind == "instances":
        return Reservation(
            name=name,
            instance_type=offer.pool,
            units=bought.units,
            usd_per_hour=offer.usd_per_hour,
            start_h=bought.start_h,
            term_h=offer.term_h,
            upfront_usd=offer.upfront_usd,
        )
    return SpendCommitment(
        name=name,
        usd_per_hour=bought.units,
        rates=dict(offer.rates),
        start_h=bought.start_h,
        term_h=offer.term_h,
        upfront_share=offer.upfront_usd / offer.term_h,
        wide=offer.wide,
    )


def use_of(recommendation: Recommendation) -> Use:
    """How much of the demand is covered, and how much of what is promised is used?"""
    problem, market = recommendation.problem, recommendation.market
    scenarios, hours, pools = problem.demand.shape
    picked = np.unique(np.linspace(0, scenarios - 1, max(1, min(scenarios, MOST_ROWS // hours))).astype(np.int64))
    rows = problem.demand[picked].reshape(-1, pools)
    commitments = [commitment(bought, number) for number, bought in enumerate(recommendation.bought)]
    found = cover(
        rows,
        commitments,
        market.on_demand_usd,
        market.pools,
        hour=np.tile(np.arange(hours), len(picked)),
        itemise=False,
    )
    wanted = rows.sum(axis=0)
    covered = wanted - found.on_demand.sum(axis=0)
    share = np.divide(covered, wanted, out=np.full(pools, np.nan), where=wanted > 0)
    committed = found.committed.sum(axis=0)
    used = np.divide(found.used.sum(axis=0), committed, out=np.ones(len(commitments)), where=committed > 0)
    everything = float(wanted @ market.on_demand_usd)
    return Use(share, tuple(used.tolist()), float(covered @ market.on_demand_usd) / everything if everything else 0.0)
