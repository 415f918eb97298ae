"""The whole answer to "how much should we commit?": the purchases, what they rest on, and whether to believe them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from typing import Any, Final

import numpy as np

from optimizer.commitments.backtest import HINDSIGHT, RECOMMENDED, Backtest, backtest
from optimizer.commitments.offers import Market
from optimizer.commitments.recommend import GAP, PLAIN, TIME_LIMIT_S, Bought, Preferences, Recommendation, recommend
from optimizer.commitments.rules import lookback_words
from optimizer.commitments.stress import WhatIf, what_ifs
from optimizer.commitments.use import Use, use_of
from optimizer.commitments.waiting import Waiting, value_of_waiting
from optimizer.forecast.futures import FUTURES, DemandScenarios, futures_of
from optimizer.history import History
from optimizer.span_text import counted, in_words
from simulator.purchase_plan import HOURS_PER_YEAR

SCHEMA_VERSION: Final = 1
"""Version of the JSON object; it changes when a key changes its meaning."""


@dataclass(frozen=True)
class Study:
    """Everything that ``optimize commitments`` says."""

    history: History
    recommendation: Recommendation
    backtest: Backtest
    use: Use
    what_ifs: tuple[WhatIf, ...]
    waiting: Waiting | None
    preferences: Preferences
    seed: int
    delay_h: int
    """Hours from the end of the history to the first purchase."""
    warnings: tuple[str, ...]
    """What could mislead, one sentence each, without a full stop."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What the answer rests on, one sentence each, rates that no list has left out."""
        recommendation = self.recommendation
        notes = (*self.history.notes, *recommendation.market.notes, *recommendation.notes)
        hours = recommendation.problem.demand.shape[1]
        if any(bought.start_h + bought.offer.term_h > hours for bought in recommendation.bought):
            end = recommendation.start + timedelta(hours=hours)
            notes += (f"purchases that reach beyond {end:%Y-%m-%d} are judged by their hours until then alone",)
        if not self.delay_h:
            return notes
        day = f"{recommendation.start:%Y-%m-%d}"
        return (*notes, f"what is wanted before {day} is bought as it is now, and in no figure here")


def study(
    history: History,
    market: Market,
    preferences: Preferences = PLAIN,
    *,
    delay_h: int = 0,
    futures: int = FUTURES,
    seed: int = 0,
    gap: float = GAP,
    time_limit_s: float = TIME_LIMIT_S,
    tested: bool = True,
    say: Callable[[str], None] = lambda _: None,
) -> Study:
    """How much to commit after this history, at these prices?

    Parameters
    ----------
    history
        What was wanted; its last hour is now.
    market
        What can be promised for its pools.
    preferences
        Risk, limits, dates.
    delay_h
        Hours from the end of the history to the first purchase; what they cost is in no figure.
    futures, seed
        Of the demand scenarios.
    gap, time_limit_s
        Of the solver.
    tested
        Whether to test the rule on the history.
    say
        Told what is being done.

    Raises
    ------
    ValueError
        The history has fewer than four days.
    """
    horizon = max(offer.term_h for offer in market.offers)
    say(f"drawing {counted(futures, 'future')} of {counted(horizon, 'hour')}")
    scenarios = _later(futures_of(history, delay_h + horizon, futures=futures, seed=seed), delay_h)
    say("solving for the commitments")
    recommendation = recommend(scenarios, market, history.demand, preferences, gap=gap, time_limit_s=time_limit_s)
    if tested:
        say("testing on the history")
    past = (
        backtest(history, market, preferences, futures=futures, seed=seed) if tested else Backtest((), "not asked for")
    )
    say("working out what could go wrong")
    return Study(
        history=history,
        recommendation=recommendation,
        backtest=past,
        use=use_of(recommendation),
        what_ifs=what_ifs(recommendation),
        waiting=value_of_waiting(recommendation),
        preferences=preferences,
        seed=seed,
        delay_h=delay_h,
        warnings=tuple(_warnings(history, recommendation, past, futures, delay_h)),
    )


def _later(scenarios: DemandScenarios, hours: int) -> DemandScenarios:
    """The same scenarios without their first hours."""
    if not hours:
        return scenarios
    return replace(scenarios, start=scenarios.start + timedelta(hours=hours), demand=scenarios.demand[:, hours:].copy())


def _warnings(
    history: History, recommendation: Recommendation, past: Backtest, futures: int, delay_h: int
) -> list[str]:
    found = []
    solution = recommendation.solution
    if past.beats_lookback is False:
        mine, name = past.mean[RECOMMENDED], str(past.best_lookback)
        theirs = past.mean[name]
        # As many digits as it takes to tell the two apart: the same number twice would puzzle.
        digits = next((some for some in (1, 2, 3) if f"{mine:.{some}%}" != f"{theirs:.{some}%}"), 4)
        found.append(
            "on your own history this recommendation would not have beaten the lookback rule: it cost "
            f"{mine:.{digits}%} of on demand, the {lookback_words(name)} {theirs:.{digits}%}"
        )
    if solution.status == "feasible":
        found.append(f"not proven to be the best: {'; '.join(solution.log[-1:])} (--time-limit, --gap)")
    drawn, hours, _ = recommendation.problem.demand.shape
    if drawn < futures:
        found.append(f"only {drawn} futures were drawn: more would not fit in memory for {hours + delay_h:,} hours")
    if history.hours < HOURS_PER_YEAR:
        found.append(
            f"{in_words(history.hours)} of history cannot show a year: growth and seasons beyond it are guesses, and "
            f"these promises are for {in_words(hours)}"
        )
    elif hours > history.hours:
        found.append(
            f"the promises reach {in_words(hours)} ahead, on {in_words(history.hours)} of history: what is wanted in "
            "the later years is a guess"
        )
    return found


def study_json(study: Study) -> dict[str, Any]:
    """Give the answer under the names that other programs rely on."""
    recommendation = study.recommendation
    return {
        "schema_version": SCHEMA_VERSION,
        "status": recommendation.solution.status,
        "commitments": [
            _bought(recommendation, bought, used)
            for bought, used in zip(recommendation.bought, study.use.utilisation, strict=True)
        ],
        "layers": [
            {"pool": bought.offer.pool, "plan": bought.offer.plan, **_when(recommendation, bought), **asdict(layer)}
            for bought, layers in zip(recommendation.bought, study.use.layers, strict=True)
            for layer in layers
        ],
        "expected_cost_share_of_on_demand": recommendation.share_of_on_demand,
        "rules": recommendation.share_by_rule,
        "rule_units": {
            name: dict(zip(recommendation.market.pools, units.tolist(), strict=True))
            for name, units in recommendation.rules.items()
        },
        "gap": recommendation.solution.gap,
        "lower_bound_usd": recommendation.solution.lower_bound_usd,
        "expected_usd": recommendation.solution.expected_usd,
        "on_demand_only_usd": recommendation.on_demand_only_usd,
        "in_dollars": recommendation.market.in_dollars,
        "risk": {
            "measure": study.preferences.risk.kind,
            "weight": study.preferences.risk.weight,
            "level": study.preferences.risk.level,
        },
        "coverage": {
            "all": study.use.covered_share,
            "by_pool": {
                pool: None if np.isnan(share) else float(share)
                for pool, share in zip(recommendation.market.pools, study.use.coverage, strict=True)
            },
        },
        "backtest": _backtest(study.backtest),
        "what_ifs": [
            {"name": one.name, "words": one.words, "saved_usd": one.saved_usd, "saved_share": one.saved_share}
            for one in study.what_ifs
        ],
        "waiting_a_month": None
        if study.waiting is None
        else {"saves_usd": study.waiting.value_usd, "later_usd": study.waiting.later_usd},
        "missing_rates": list(recommendation.market.missing),
        "warnings": list(study.warnings),
        "notes": list(study.notes),
        "scenarios": {
            "count": len(recommendation.problem.probability),
            "hours": recommendation.problem.demand.shape[1],
        },
        "seed": study.seed,
        "timing_s": {"build": recommendation.solution.build_s, "solve": recommendation.solution.solve_s},
    }


def _bought(recommendation: Recommendation, bought: Bought, used: float) -> dict[str, Any]:
    offer = bought.offer
    return {
        "pool": offer.pool,
        "units": bought.units,
        **_when(recommendation, bought),
        "plan": offer.plan,
        "unit": "instance" if offer.kind == "instances" else "usd_per_hour",
        "usd_per_hour": offer.usd_per_hour,
        "upfront_usd": bought.upfront_usd,
        "break_even_utilisation": bought.margin.break_even_share,
        "last_unit_utilisation": bought.margin.last_used_share,
        "expected_utilisation": used,
        "source": offer.source,
    }


def _when(recommendation: Recommendation, bought: Bought) -> dict[str, str]:
    return {
        "start": f"{recommendation.begins(bought):%Y-%m-%dT%H:%M:%SZ}",
        "term": term_text(bought.offer.term_h),
    }


def _backtest(past: Backtest) -> dict[str, Any]:
    return {
        "periods": [
            {
                "start": f"{period.start:%Y-%m-%dT%H:%M:%SZ}",
                "hours": period.hours,
                "history_hours": period.known_h,
                "cost_share_of_on_demand": dict(period.share),
            }
            for period in past.periods
        ],
        "mean": past.mean,
        "best_lookback": past.best_lookback,
        "beats_lookback": past.beats_lookback,
        "hindsight": past.mean.get(HINDSIGHT),
        "note": past.note,
    }


def term_text(term_h: int) -> str:
    """A term as the command line writes it.

    >>> term_text(8760), term_text(26280), term_text(720)
    ('1y', '3y', '720h')
    """
    years, rest = divmod(term_h, HOURS_PER_YEAR)
    return f"{years}y" if years and not rest else f"{term_h}h"
