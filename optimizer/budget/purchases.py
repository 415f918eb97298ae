"""What to buy for futures of the instances, and the form that every rule of buying has.

The budget asks :mod:`optimizer.commitments`, and shows beside it what the textbook's quantile over the same futures and
the clouds' own lookback over the past would have bought (:func:`newsvendor`, :func:`by_lookback`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import numpy as np
import numpy.typing as npt

from optimizer.budget.budget_spec import LimitsSpec, RiskSpec
from optimizer.commitments.offers import Market, Offer
from optimizer.commitments.rules import units_by_rule
from simulator.commitment import Commitment
from simulator.purchase_plan import HOURS_PER_YEAR

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Needs:
    """What a rule of buying knows. The pools are those of the market."""

    start: datetime
    """First hour, UTC."""
    instances: Floats
    """(S, H, P) instances wanted in S futures of the same likelihood; H reaches to the end of the longest term."""
    past: Floats
    """(T, P) instances that the past demand would have needed, up to the end of the shortest history."""
    market: Market
    """Prices on demand, and what may be promised."""
    limits: LimitsSpec
    risk: RiskSpec
    cost_of_capital: float = 0.0
    """A year: upfront payments cost it."""
    ladder_h: int | None = None
    """Promises may begin every so many hours; None: only in the first."""


@dataclass(frozen=True)
class Bought:
    """A promise that is to be made."""

    name: str
    """Unique among those that are made together."""
    offer: Offer
    units: float
    """Instances, or dollars an hour."""
    start_h: int = 0
    """Hour of the budget in which it begins."""

    @property
    def upfront_usd(self) -> float:
        """What is paid at once."""
        return self.offer.upfront_usd * self.units

    @property
    def usd_per_hour(self) -> float:
        """What it costs in every hour of its term."""
        return self.offer.usd_per_hour * self.units

    @property
    def commitment(self) -> Commitment:
        """The same for the ledger."""
        return self.offer.commitment(self.name, self.units, self.start_h)


Buyer = Callable[[Needs], tuple[Bought, ...]]
"""From what is known to what is bought, in the order in which it is to be listed."""


def named(bought: Sequence[tuple[Offer, float, int]]) -> tuple[Bought, ...]:
    """Give promises names of their own: type and plan, and the number of the step where there are several.

    >>> offer = Offer("cud_1y", "instances", "l4", 8760, 0.4)
    >>> [one.name for one in named([(offer, 2.0, 0), (offer, 1.0, 744)])]
    ['l4 cud_1y', 'l4 cud_1y (2)']
    """
    found: list[Bought] = []
    for offer, units, start_h in bought:
        name = offer.plan if offer.kind == "spend" else f"{offer.pool} {offer.plan}"
        times = sum(one.offer == offer for one in found)
        found.append(Bought(f"{name} ({times + 1})" if times else name, offer, units, start_h))
    return tuple(found)


def newsvendor(needs: Needs) -> tuple[Bought, ...]:
    """Which promises of instances pay, one by one, if only the mean counts?

    The n-th instance of a type is worth a promise when it is needed in more than r of the hours of the term, with r the
    promised price over that on demand; of several plans the one that saves most an hour is taken. Where a limit binds,
    what saves most for each dollar promised goes first.

    Notes
    -----
    Saving of layer n on plan k, in dollars an hour: ``o P(D >= n) - e_k``, over the hours of the term.
    """
    layers: list[tuple[float, int, Offer]] = []
    for place, pool in enumerate(needs.market.pools):
        offers = needs.market.of(pool)
        wanted = needs.instances[:, :, place]
        most = int(wanted.max()) if offers else 0
        best = np.full(most, -np.inf)
        chosen = np.zeros(most, dtype=np.int64)
        for number, offer in enumerate(offers):
            known = wanted[:, : offer.term_h]
            reached = np.bincount(np.floor(known.ravel() + 1e-9).astype(np.int64), minlength=most + 1)
            share = reached[::-1].cumsum()[::-1][1 : most + 1] / known.size
            saving = float(needs.market.on_demand_usd[place]) * share - offer.cost_usd_per_hour(needs.cost_of_capital)
            chosen = np.where(saving > best, number, chosen)
            best = np.maximum(saving, best)
        layers += [(float(gain), n, offers[chosen[n]]) for n, gain in enumerate(best) if gain > 1e-12]
    part = needs.limits.max_committed_share
    everything = float(needs.instances.mean(axis=0).sum(axis=0) @ needs.market.on_demand_usd)
    return _within(layers, needs.limits, None if part is None else part * everything)


def by_lookback(needs: Needs) -> Mapping[str, tuple[Bought, ...]]:
    """What would rules that look back over 7, 30 and 60 days buy, each type on its cheapest plan?"""
    cheapest = {pool: needs.market.of(pool)[:1] for pool in needs.market.pools}
    ratios = np.array(
        [
            cheapest[pool][0].usd_per_hour / price if cheapest[pool] else np.nan
            for pool, price in zip(needs.market.pools, needs.market.on_demand_usd, strict=True)
        ]
    )
    found = units_by_rule(needs.past, ratios, min(HOURS_PER_YEAR, len(needs.past)))
    return {
        name: named(
            [
                (cheapest[pool][0], float(count), 0)
                for pool, count in zip(needs.market.pools, units, strict=True)
                if count > 0
            ]
        )
        for name, units in found.items()
        if name.startswith("lookback")
    }


def _within(layers: list[tuple[float, int, Offer]], limits: LimitsSpec, most_usd: float | None) -> tuple[Bought, ...]:
    """Layers as promises, the best first as long as the limits have room."""
    room = np.inf if most_usd is None else most_usd
    most_upfront = np.inf if limits.max_upfront_usd is None else limits.max_upfront_usd
    units: dict[tuple[str, str], tuple[Offer, int]] = {}
    for _, _, offer in sorted(layers, key=lambda layer: (-layer[0] / layer[2].usd_per_hour, layer[1])):
        promised = offer.usd_per_hour * offer.term_h
        if promised <= room + 1e-6 and offer.upfront_usd <= most_upfront + 1e-6:
            room -= promised
            most_upfront -= offer.upfront_usd
            key = (offer.pool, offer.plan)
            units[key] = (offer, units.get(key, (offer, 0))[1] + 1)
    return named([(offer, float(count), 0) for offer, count in units.values()])


def default_buyer(needs: Needs) -> tuple[Bought, ...]:
    """Buy what :func:`optimizer.commitments.recommend.recommend` recommends, as far as it begins within the futures."""
    from optimizer.commitments.program import RiskMeasure
    from optimizer.commitments.recommend import Preferences, recommend
    from optimizer.forecast.futures import DemandScenarios

    risk, count = needs.risk, len(needs.instances)
    kind: Literal["none", "cvar_regret", "cvar_cost"] = "cvar_regret" if risk.measure == "regret" else "cvar_cost"
    found = recommend(
        DemandScenarios(needs.start, needs.market.pools, needs.instances, np.full(count, 1 / count)),
        needs.market,
        preferences=Preferences(
            risk=RiskMeasure(kind if risk.weight > 0 else "none", risk.weight, risk.level),
            cost_of_capital=needs.cost_of_capital,
            max_upfront_usd=needs.limits.max_upfront_usd,
            max_committed_share=needs.limits.max_committed_share,
            ladder_h=needs.ladder_h,
        ),
    )
    return named([(one.offer, one.units, one.start_h) for one in found.bought])
