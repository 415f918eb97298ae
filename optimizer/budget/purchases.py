"""What to buy for futures of the instances, and the signature that every rule of buying has.

:func:`newsvendor` is the textbook's rule, layer by layer. The budget asks :mod:`optimizer.commitments` and shows this
one beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt

from optimizer.budget.budget_spec import LimitsSpec, RiskSpec
from optimizer.budget.offers import Offer, Offers
from simulator.commitment import Commitment

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Needs:
    """What a rule of buying knows."""

    pools: tuple[str, ...]
    """P instance types."""
    start: datetime
    """First hour, UTC."""
    instances: Floats
    """(S, H, P) instances wanted in S futures of the same likelihood; H reaches as far as demand is known."""
    on_demand_usd: Floats
    """(P,) price of an instance hour on demand."""
    offers: Offers
    """What may be promised."""
    limits: LimitsSpec
    risk: RiskSpec
    cost_of_capital: float = 0.0
    """A year: upfront payments cost it."""


@dataclass(frozen=True)
class Bought:
    """A promise that is to be made."""

    offer: Offer
    units: float
    start_h: int
    """Hour of the budget in which it begins."""
    commitment: Commitment

    @property
    def upfront_usd(self) -> float:
        """What is paid at once."""
        return self.offer.upfront_usd * self.units

    @property
    def usd_per_hour(self) -> float:
        """What it costs in every hour of its term."""
        return self.offer.usd_per_hour * self.units


Buyer = Callable[[Needs], tuple[Bought, ...]]
"""From what is known to what is bought, in the order in which it is to be listed."""


def bought(offer: Offer, units: float, start_h: int, taken: Sequence[str] = ()) -> Bought:
    """Give a promise a name of its own."""
    name = f"{offer.pool} {offer.plan.price_type}"
    while name in taken:
        name += "+"
    return Bought(offer, units, start_h, offer.reservation(name, units, start_h))


def newsvendor(needs: Needs) -> tuple[Bought, ...]:
    """Which promises pay, instance by instance, if only the mean counts?

    The n-th instance of a type is worth a promise when it is needed in more than r of the hours of the term, with r the
    promised price over that on demand; of several plans the one that saves most an hour is taken. Where a limit binds,
    what saves most for each dollar that the limit counts goes first.

    Notes
    -----
    Saving of layer n on plan k, in dollars an hour: ``o P(D >= n) - e_k``, over the hours of the term that are known.
    """
    layers: list[tuple[float, int, Offer]] = []
    for place, pool in enumerate(needs.pools):
        offers = needs.offers.of(pool)
        if not offers:
            continue
        price = float(needs.on_demand_usd[place])
        wanted = needs.instances[:, :, place]
        most = int(wanted.max()) if wanted.size else 0
        best = np.full(most, -np.inf)
        chosen = np.zeros(most, dtype=np.int64)
        for number, offer in enumerate(offers):
            known = wanted[:, : offer.plan.term_h]
            reached = np.bincount(np.floor(known.ravel() + 1e-9).astype(np.int64), minlength=most + 1)
            share = reached[::-1].cumsum()[::-1][1 : most + 1] / known.size
            interest = needs.cost_of_capital * offer.upfront_usd / 2 / offer.plan.term_h * offer.plan.years
            saving = price * share - offer.usd_per_hour - interest
            chosen = np.where(saving > best, number, chosen)
            best = np.maximum(saving, best)
        layers += [(float(gain), n, offers[chosen[n]]) for n, gain in enumerate(best) if gain > 1e-12]
    return _within(layers, needs.limits)


def _within(layers: list[tuple[float, int, Offer]], limits: LimitsSpec) -> tuple[Bought, ...]:
    """Layers as promises, the best first as long as the limits have room."""
    most_usd = np.inf if limits.max_commitment_usd_per_hour is None else limits.max_commitment_usd_per_hour
    most_upfront = np.inf if limits.max_upfront_usd is None else limits.max_upfront_usd
    units: dict[tuple[str, str], tuple[Offer, int]] = {}
    for _, _, offer in sorted(layers, key=lambda layer: (-layer[0] / layer[2].usd_per_hour, layer[1])):
        if offer.usd_per_hour <= most_usd + 1e-9 and offer.upfront_usd <= most_upfront + 1e-9:
            most_usd -= offer.usd_per_hour
            most_upfront -= offer.upfront_usd
            key = (offer.pool, offer.plan.price_type)
            units[key] = (offer, units.get(key, (offer, 0))[1] + 1)
    return tuple(bought(offer, float(count), 0) for offer, count in units.values())


def default_buyer(needs: Needs) -> tuple[Bought, ...]:
    """Buy what :mod:`optimizer.commitments` recommends."""
    return newsvendor(needs)
