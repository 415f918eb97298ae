"""How much to commit, of what, and when? Scenarios and offers as a stochastic program, and its answer in units."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import numpy as np
import numpy.typing as npt

from optimizer.commitments.offers import Market, Offer
from optimizer.commitments.program import CommitmentProblem, Purchase, RiskMeasure
from optimizer.commitments.rules import units_by_rule
from optimizer.commitments.solution import CommitmentSolution, Margin
from optimizer.commitments.solve import solve
from optimizer.forecast.futures import DemandScenarios

Floats = npt.NDArray[np.float64]

GAP: Final = 1e-3
"""How much better other commitments may still be, as a share of the cost, unless told otherwise."""

TIME_LIMIT_S: Final = 60.0


MEAN: Final = RiskMeasure()


@dataclass(frozen=True)
class Preferences:
    """What the buyer wants beside a low cost."""

    risk: RiskMeasure = MEAN
    """What is made small: the mean cost, or with it what the worst scenarios cost or leave to regret."""
    cost_of_capital: float = 0.0
    """A year: money paid upfront costs it."""
    max_upfront_usd: float | None = None
    """Most that may be paid at once, over all purchases."""
    max_committed_share: float | None = None
    """Most that may be promised, as a share of what everything would cost on demand."""
    ladder_h: int | None = None
    """Purchases may begin every so many hours; None: only now."""
    whole_units: bool = True
    """Whether instances are promised whole."""


PLAIN: Final = Preferences()
"""The mean cost, promises from now on, no limits."""


@dataclass(frozen=True)
class Bought:
    """A promise to make."""

    offer: Offer
    units: float
    """Instances, or dollars an hour."""
    start_h: int
    """Hours from now on until it begins."""
    margin: Margin
    """What its last unit is worth."""

    @property
    def upfront_usd(self) -> float:
        """What is paid when it begins."""
        return self.units * self.offer.upfront_usd


@dataclass(frozen=True)
class Recommendation:
    """What to promise, and what is to be expected of it."""

    start: datetime
    """Now: the hour after the history."""
    market: Market
    bought: tuple[Bought, ...]
    """In the order of pools and dates; nothing where on demand is cheapest."""
    solution: CommitmentSolution
    problem: CommitmentProblem
    rules: Mapping[str, Floats]
    """(P,) units that each rule of thumb would commit now, by rule."""
    notes: tuple[str, ...] = ()

    @property
    def on_demand_only_usd(self) -> float:
        """What all of it is expected to cost on demand."""
        return float(self.problem.probability @ self.problem.on_demand_only_usd)

    @property
    def share_of_on_demand(self) -> float:
        """Expected cost over that of buying everything on demand; 1 where nothing is wanted."""
        everything = self.on_demand_only_usd
        return self.solution.expected_usd / everything if everything else 1.0

    @property
    def share_by_rule(self) -> dict[str, float]:
        """The same of each rule of thumb, in the same scenarios."""
        return {name: expected_share(self.problem, self.market, units) for name, units in self.rules.items()}

    @property
    def units_of_pools(self) -> Floats:
        """(P,) instances promised of each pool from now on, promises of dollars left out."""
        units = np.zeros(len(self.market.pools))
        for bought in self.bought:
            if bought.start_h == 0 and bought.offer.kind == "instances":
                units[self.market.pools.index(bought.offer.pool)] += bought.units
        return units

    def begins(self, purchase: Bought) -> datetime:
        """When a purchase begins."""
        return self.start + timedelta(hours=purchase.start_h)


def recommend(
    scenarios: DemandScenarios,
    market: Market,
    history: Floats | None = None,
    preferences: Preferences = PLAIN,
    *,
    gap: float = GAP,
    time_limit_s: float = TIME_LIMIT_S,
) -> Recommendation:
    """What should be promised for this demand at these prices?

    Parameters
    ----------
    scenarios
        What may be wanted; purchases are judged by the hours that they cover of it, so they should reach as far as the
        longest term.
    market
        What can be promised, for the pools of the scenarios.
    history : (T, P), optional
        What was wanted up to now: with it the rules of thumb are worked out beside.
    preferences
        Risk, limits, dates.
    gap, time_limit_s
        Of the solver.

    Raises
    ------
    ValueError
        The pools differ.
    """
    if scenarios.pools != market.pools:
        raise ValueError(f"the market must be of the pools {scenarios.pools}, got {market.pools}")
    starts = _starts(market, scenarios.hours, preferences.ladder_h)
    choices = [(offer, start_h) for offer in market.offers for start_h in starts[offer.term_h]]
    problem = CommitmentProblem(
        types=scenarios.pools,
        on_demand_usd=market.on_demand_usd,
        demand=scenarios.demand,
        weight_h=np.ones(scenarios.hours),
        probability=scenarios.probability,
        purchases=tuple(_purchase(offer, start_h, scenarios, preferences) for offer, start_h in choices),
        risk=preferences.risk,
        max_upfront_usd=preferences.max_upfront_usd,
        max_committed_share=preferences.max_committed_share,
    )
    solution = solve(problem, gap=gap, time_limit_s=time_limit_s)
    bought = [
        Bought(offer, float(units), start_h, margin)
        for (offer, start_h), units, margin in zip(choices, solution.units, solution.margins, strict=True)
        if units > 0
    ]
    rules = {} if history is None else units_by_rule(history, ratios(market), _shortest_term(market))
    return Recommendation(scenarios.start, market, tuple(bought), solution, problem, rules, scenarios.notes)


def ratios(market: Market) -> Floats:
    """(P,) lowest price of a promised instance over that on demand, of the shortest term; NaN where there is none."""
    term = _shortest_term(market)
    found = []
    for pool, price in zip(market.pools, market.on_demand_usd, strict=True):
        offers = [offer.usd_per_hour for offer in market.of(pool) if offer.term_h == term]
        offers += [offer.rates[pool] for offer in market.offers if offer.term_h == term and pool in offer.rates]
        found.append(min(offers) / price if offers else np.nan)
    return np.array(found)


def expected_share(problem: CommitmentProblem, market: Market, units: Floats) -> float:
    """What would it cost to commit so many instances (P,) of each pool now, as a share of everything on demand?"""
    price = np.nan_to_num(ratios(market)) * market.on_demand_usd
    uncovered = np.maximum(problem.demand - units, 0.0)
    hours = problem.weight_h
    on_demand = np.einsum("s,t,stj,j->", problem.probability, hours, uncovered, market.on_demand_usd, optimize=True)
    everything = float(problem.probability @ problem.on_demand_only_usd)
    return (float(on_demand) + float(hours.sum() * (price @ units))) / everything if everything else 1.0


def _shortest_term(market: Market) -> int:
    return min(offer.term_h for offer in market.offers)


def _starts(market: Market, hours: int, ladder_h: int | None) -> dict[int, Sequence[int]]:
    """From which hours on may each term begin? Now, at the steps of the ladder, and when one just bought has ended.

    Half of a term at least must be foreseen: a promise of a year is not made for what its first days are to bring.
    """
    found: dict[int, Sequence[int]] = {}
    for term in {offer.term_h for offer in market.offers}:
        steps = range(0, hours, ladder_h) if ladder_h else range(0, 1)
        begins = sorted({*steps, *range(0, hours, term)})
        found[term] = [start for start in begins if start == 0 or start + term // 2 <= hours]
    return found


def _purchase(offer: Offer, start_h: int, scenarios: DemandScenarios, preferences: Preferences) -> Purchase:
    active = np.zeros(scenarios.hours, dtype=np.bool_)
    active[start_h : start_h + offer.term_h] = True
    pools = scenarios.pools
    spend = offer.kind == "spend"
    return Purchase(
        name=f"{offer.pool} {offer.plan} from hour {start_h}",
        kind=offer.kind,
        usd_per_h=offer.cost_usd_per_hour(preferences.cost_of_capital),
        active=active,
        instance_type=-1 if spend else pools.index(offer.pool),
        rates=np.array([offer.rates.get(pool, np.nan) for pool in pools]) if spend else None,
        wide=offer.wide,
        unit=1.0 if preferences.whole_units and not spend else 0.0,
        upfront_usd=offer.upfront_usd,
    )
