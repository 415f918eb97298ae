"""How well will it be used? Coverage and utilisation of what is promised, by the ledger's own order of applying it.

The units of a promise are not used alike: the first ones nearly always, the last ones now and then. So each promise is
cut into layers, and each layer is held against the break-even: the share of hours from which on it pays.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
import numpy.typing as npt

from optimizer.commitments.recommend import Bought, Recommendation
from simulator.commitment import Commitment
from simulator.dispatch import cover

Floats = npt.NDArray[np.float64]

MOST_ROWS: Final = 200_000
"""Hours of scenarios that are looked at; of more scenarios as many as fit, evenly picked."""

LAYERS: Final = 4
"""Layers that a promise is cut into, from the one that is used first to the one that is used last."""


@dataclass(frozen=True)
class Layer:
    """A part of a promise: its units from one to another, of which those below are used first."""

    above_units: float
    """Units of the promise below this layer."""
    to_units: float
    """Units up to its upper edge."""
    used_share: float
    """Share of its hours in which it is used, as a mean over its units and all scenarios."""
    break_even_share: float
    """Share of its hours in which it must be used to pay off."""

    @property
    def pays(self) -> bool:
        """Whether it is used enough."""
        return self.used_share >= self.break_even_share


@dataclass(frozen=True)
class Use:
    """What becomes of the promises, over all scenarios."""

    coverage: Floats
    """(P,) share of each pool's demand that promises cover; NaN where nothing is wanted."""
    utilisation: tuple[float, ...]
    """Share of each promise that is used, in the order bought."""
    covered_share: float
    """Share of all demand, at prices on demand, that promises cover."""
    layers: tuple[tuple[Layer, ...], ...] = ()
    """Layers of each promise, the one used first first, in the order bought."""


def commitment(bought: Bought, number: int) -> Commitment:
    """Give a recommended purchase as the ledger knows it."""
    offer = bought.offer
    return offer.commitment(f"{offer.pool} {offer.plan} {number + 1}", bought.units, bought.start_h)


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
    return Use(
        coverage=share,
        utilisation=tuple(used.tolist()),
        covered_share=float(covered @ market.on_demand_usd) / everything if everything else 0.0,
        layers=tuple(
            _layers(bought, found.used[found.committed[:, number] > 0, number])
            for number, bought in enumerate(recommendation.bought)
        ),
    )


def _layers(bought: Bought, used: Floats) -> tuple[Layer, ...]:
    """Cut a promise into layers, given the units (n,) of it that are used in each hour of its term."""
    cuts = edges(bought.units, whole=bought.offer.kind == "instances")
    return tuple(
        Layer(
            low,
            high,
            float(np.clip(used - low, 0, high - low).mean()) / (high - low) if len(used) else 0.0,
            bought.margin.break_even_share,
        )
        for low, high in pairwise(cuts)
    )


def edges(units: float, *, whole: bool) -> list[float]:
    """Where does one layer end and the next begin? Of whole units no layer is a part of one.

    >>> edges(10.0, whole=True), edges(2.0, whole=True), edges(1.0, whole=False)
    ([0.0, 2.0, 5.0, 8.0, 10.0], [0.0, 1.0, 2.0], [0.0, 0.25, 0.5, 0.75, 1.0])
    """
    cuts = [units * part / LAYERS for part in range(LAYERS + 1)]
    if not whole or units != round(units):
        return cuts
    return sorted({float(round(cut)) for cut in cuts})
