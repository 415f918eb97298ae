"""Would it have paid? Commit at a date that is past, on what was known then, and pay what came after."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

import numpy as np
import numpy.typing as npt

from optimizer.commitments.offers import Market
from optimizer.commitments.program import CommitmentProblem
from optimizer.commitments.recommend import GAP, MEAN, PLAIN, Preferences, ratios, recommend
from optimizer.commitments.rules import LOOKBACK_DAYS, best_units, lookback_name, units_by_rule
from optimizer.commitments.second_stage import SecondStage
from optimizer.commitments.solve import solve
from optimizer.forecast.futures import FUTURES, futures_of
from optimizer.forecast.levels import DAY_H, LEAST_DAYS
from optimizer.history import History
from optimizer.span_text import in_words

Floats = npt.NDArray[np.float64]

RECOMMENDED: Final = "recommended"
HINDSIGHT: Final = "hindsight"

MOST_PERIODS: Final = 3
"""Of the past, the latest first: what is longer ago says less."""

SHORT_SHARE: Final = 3
"""A history shorter than two terms is cut: its last third is paid, committed on what was before."""

TIME_LIMIT_S: Final = 20.0
"""For the program of each period."""


@dataclass(frozen=True)
class Period:
    """One stretch of the past, paid."""

    start: datetime
    """When it was committed."""
    hours: int
    """Hours paid."""
    known_h: int
    """Hours of history known then."""
    units: Mapping[str, Floats]
    """(P,) instances committed, by rule."""
    share: Mapping[str, float]
    """Cost as a share of everything on demand, by rule."""


@dataclass(frozen=True)
class Backtest:
    """What every rule would have cost."""

    periods: tuple[Period, ...]
    """Oldest first; none where the history is too short."""
    note: str = ""
    """Why there is none, or what it cannot show; without a full stop."""

    @property
    def mean(self) -> dict[str, float]:
        """Mean share over the periods, by rule; empty where there is no period."""
        if not self.periods:
            return {}
        names = self.periods[0].share
        return {name: float(np.mean([period.share[name] for period in self.periods])) for name in names}

    @property
    def best_lookback(self) -> str | None:
        """The lookback rule that was cheapest over all periods together."""
        mean = self.mean
        return min((lookback_name(days) for days in LOOKBACK_DAYS), key=mean.__getitem__) if mean else None

    @property
    def beats_lookback(self) -> bool | None:
        """Whether the recommendation would have cost no more than the best lookback rule; None if nobody knows."""
        best = self.best_lookback
        return None if best is None else self.mean[RECOMMENDED] <= self.mean[best] + 1e-12


def backtest(
    history: History,
    market: Market,
    preferences: Preferences = PLAIN,
    *,
    futures: int = FUTURES,
    seed: int = 0,
    periods: int = MOST_PERIODS,
) -> Backtest:
    """What would each rule have cost, committed on one period and paid in the next?

    Parameters
    ----------
    history
        What was wanted.
    market
        What can be promised today; the same prices are taken for the past.
    preferences
        Risk and limits. Purchases begin at once: a ladder is not tested.
    futures, seed
        Of the scenarios that the recommendation rests on.
    periods
        At most so many, the latest.

    Notes
    -----
    Shares are those of promises of the shortest term, in the H hours of the period: ``(sum r u H + sum max(0, d - u)) /
    sum d``, with prices on demand as weights. Hindsight commits the best units for the period itself, at its beginning.
    Promises of dollars are applied hour by hour in the providers' order; the other rules know promises of instances
    alone, at the lowest price that any promise has.
    """
    term = min(offer.term_h for offer in market.offers)
    paid, starts, note = _cuts(history.hours, term, periods)
    plain = Preferences(preferences.risk, preferences.cost_of_capital, whole_units=preferences.whole_units)
    offers = tuple(offer for offer in market.offers if offer.term_h == term)
    shortest = Market(market.pools, market.on_demand_usd, offers, market.in_dollars)
    found = [_period(history, start, paid, shortest, plain, futures, seed) for start in starts]
    return Backtest(tuple(found), note)


def _cuts(hours: int, term: int, periods: int) -> tuple[int, Sequence[int], str]:
    """How many hours to pay, from which hours on, and what to say about it."""
    least = LEAST_DAYS * DAY_H
    paid = term if hours >= 2 * term else hours // SHORT_SHARE
    if hours - paid < least or paid < min(DAY_H, term):
        return 0, [], f"the history of {hours / DAY_H:.0f} days is too short to test anything on"
    if paid == term:
        count = min(periods, (hours - least) // term)
        return term, [hours - term * back for back in range(count, 0, -1)], ""
    note = (
        f"the history is shorter than two terms: committed on its first {in_words(hours - paid)} and paid for "
        f"{in_words(paid)}, which says little about {in_words(term)}"
    )
    return paid, [hours - paid], note


def _period(
    history: History, start: int, paid: int, market: Market, preferences: Preferences, futures: int, seed: int
) -> Period:
    known, came = history.between(0, start), history.demand[start : start + paid]
    ratio = ratios(market)
    scenarios = futures_of(known, paid, futures=futures, seed=seed)
    recommendation = recommend(scenarios, market, None, preferences, time_limit_s=TIME_LIMIT_S)
    past = replace(recommendation.problem, demand=came[np.newaxis], probability=np.ones(1), risk=MEAN)
    best = [0.0 if np.isnan(r) else best_units(wanted, r) for wanted, r in zip(came.T, ratio, strict=True)]
    units = {
        RECOMMENDED: recommendation.units_of_pools,
        **units_by_rule(known.demand, ratio, paid),
        HINDSIGHT: np.array(best),
    }
    share = {name: paid_share(came, each, ratio, market.on_demand_usd) for name, each in units.items()}
    share[RECOMMENDED] = _settled_share(past, market, recommendation.solution.units)
    if any(offer.kind == "spend" for offer in market.offers):
        known_all = solve(past, gap=GAP, time_limit_s=TIME_LIMIT_S).units
        share[HINDSIGHT] = min(share[HINDSIGHT], _settled_share(past, market, known_all))
    return Period(known.end, paid, start, units, share)


def _settled_share(past: CommitmentProblem, market: Market, units: Floats) -> float:
    """What did the hours of one scenario cost with these purchases, in the order of the offers? As a share."""
    everything = float(past.on_demand_only_usd[0])
    if not everything:
        return 1.0
    promised = float(np.array([offer.usd_per_hour for offer in market.offers]) @ units) * len(past.weight_h)
    return (promised + float(SecondStage(past).settle(units).on_demand_usd[0])) / everything


def paid_share(came: Floats, units: Floats, ratio: Floats, on_demand_usd: Floats) -> float:
    """What did these hours (T, P) cost with so many units (P,) promised, as a share of everything on demand?

    >>> one = np.ones(1)
    >>> round(paid_share(np.array([[1.0], [3.0]]), 2 * one, 0.7 * one, one), 3)
    0.95
    """
    wanted = float((came * on_demand_usd).sum())
    promised = float((np.nan_to_num(ratio) * on_demand_usd) @ units) * len(came)
    return (promised + float((np.maximum(came - units, 0.0) * on_demand_usd).sum())) / wanted if wanted else 1.0
