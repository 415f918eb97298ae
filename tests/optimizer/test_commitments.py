"""Recommendations: the textbook's where the textbook holds, no dearer than its rivals, and judged on the past."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from calibration.problems import InputError
from optimizer.commitments.backtest import HINDSIGHT, RECOMMENDED, backtest, paid_share
from optimizer.commitments.offers import Market, Offer, market_by_prices, market_by_ratio
from optimizer.commitments.program import RiskMeasure
from optimizer.commitments.recommend import PLAIN, Preferences, Recommendation, recommend
from optimizer.commitments.rules import LOOKBACK_DAYS, NONE, best_units, lookback_name, units_by_rule
from optimizer.commitments.stress import what_ifs
from optimizer.commitments.use import use_of
from optimizer.commitments.waiting import value_of_waiting
from optimizer.forecast.futures import DemandScenarios, futures_of
from optimizer.history import load_history, one_pool
from simulator.prices import shipped_catalogue

Floats = npt.NDArray[np.float64]
START = datetime(2024, 1, 1, tzinfo=UTC)
SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "data"
SHAVEDICE = SHARED / "shavedice_region3_hourly.csv.gz"
YEAR = 8_760


def drawn(hours: int = 2_000, futures: int = 5, pools: int = 1, *, seed: int = 1, level: float = 20) -> DemandScenarios:
    """Whole instances, Poisson around a level."""
    demand = np.random.default_rng(seed).poisson(level, size=(futures, hours, pools)).astype(np.float64)
    return DemandScenarios(START, tuple("abcdef"[:pools]), demand, np.full(futures, 1 / futures))


@pytest.mark.parametrize("ratio", [0.45, 0.6, 0.7])
def test_one_pool_and_one_price_give_the_newsvendors_quantile(ratio: float) -> None:
    """F^-1(1 - r): Arrow, Harris and Marschak 1951; here over all hours of all futures together."""
    scenarios = drawn()
    found = recommend(scenarios, market_by_ratio(("a",), ratio, 2_000), gap=0.0)
    assert [best_units(scenarios.demand.ravel(), ratio)] == [bought.units for bought in found.bought]
    (bought,) = found.bought
    assert bought.margin.next_used_share <= bought.margin.break_even_share <= bought.margin.last_used_share


def test_no_rule_is_cheaper_in_the_scenarios_that_were_planned_for() -> None:
    scenarios = drawn(pools=3)
    history = np.random.default_rng(2).poisson(25, size=(3_000, 3)).astype(np.float64)
    found = recommend(scenarios, market_by_ratio(scenarios.pools, 0.6, 2_000), history)
    assert found.share_of_on_demand <= min(found.share_by_rule.values()) + 1e-9
    assert 1.0 == pytest.approx(found.share_by_rule[NONE])


def test_what_a_recommendation_costs_is_what_its_units_cost() -> None:
    scenarios = drawn(pools=2)
    market = market_by_ratio(scenarios.pools, 0.6, 2_000)
    found = recommend(scenarios, market)
    paid = [paid_share(one, found.units_of_pools, np.full(2, 0.6), np.ones(2)) for one in scenarios.demand]
    wanted = scenarios.demand.sum(axis=(1, 2))
    assert float(paid @ wanted / wanted.sum()) == pytest.approx(found.share_of_on_demand)


def test_fear_of_shrinking_demand_commits_less_and_fear_of_high_cost_more() -> None:
    """The two point in opposite directions (Rockafellar and Uryasev's CVaR on regret, and on cost)."""
    levels = np.array([5.0, 10.0, 20.0, 40.0])
    demand = np.repeat(levels, 100).reshape(4, 100, 1)
    scenarios = DemandScenarios(START, ("a",), demand, np.array([0.25] * 4))
    market = market_by_ratio(("a",), 0.6, 100)

    def units(risk: RiskMeasure) -> float:
        return float(recommend(scenarios, market, None, Preferences(risk=risk)).units_of_pools.sum())

    mean, cost = units(RiskMeasure()), units(RiskMeasure("cvar_cost", 1.0, 0.7))
    assert mean < cost
    shrinking = replace(scenarios, probability=np.array([0.3, 0.0, 0.0, 0.7]))
    held, braced = (
        float(recommend(shrinking, market, None, Preferences(risk=risk)).units_of_pools.sum())
        for risk in (RiskMeasure(), RiskMeasure("cvar_regret", 1.0, 0.5))
    )
    assert braced < held


def test_a_ladder_follows_growth_and_never_costs_more() -> None:
    hours = 8 * 168
    demand = np.linspace(10, 50, hours)[np.newaxis, :, np.newaxis] * np.ones((3, 1, 1))
    scenarios = DemandScenarios(START, ("a",), np.rint(demand), np.full(3, 1 / 3))
    market = market_by_ratio(("a",), 0.5, hours)
    once = recommend(scenarios, market)
    ladder = recommend(scenarios, market, None, Preferences(ladder_h=168))
    assert ladder.solution.expected_usd < once.solution.expected_usd
    assert sorted({bought.start_h for bought in ladder.bought})[1] > 0
    assert [START] == [once.begins(bought) for bought in once.bought]


def test_no_term_is_promised_for_what_its_first_days_bring() -> None:
    """Demand that rises tenfold in the last week: a whole term bought for that week would lie idle unseen."""
    demand = np.full((2, 1_008, 1), 10.0)
    demand[:, -168:] = 100.0
    scenarios = DemandScenarios(START, ("a",), demand, np.array([0.5, 0.5]))
    found = recommend(scenarios, market_by_ratio(("a",), 0.7, 1_008), None, Preferences(ladder_h=168))
    assert 504 >= max(bought.start_h for bought in found.bought)
    assert 10.0 == sum(bought.units for bought in found.bought)


def test_a_promise_shorter_than_the_horizon_is_renewed() -> None:
    demand = np.full((2, 400, 1), 10.0)
    scenarios = DemandScenarios(START, ("a",), demand, np.array([0.5, 0.5]))
    found = recommend(scenarios, market_by_ratio(("a",), 0.5, 100))
    assert [(0, 10.0), (100, 10.0), (200, 10.0), (300, 10.0)] == [(b.start_h, b.units) for b in found.bought]
    assert 0.5 == pytest.approx(found.share_of_on_demand)


def test_upfront_money_costs_its_capital_and_keeps_to_its_limit() -> None:
    scenarios = drawn(hours=YEAR, futures=2)
    offers = (
        Offer("paid early", "instances", "a", YEAR, 0.60, upfront_usd=0.60 * YEAR),
        Offer("paid monthly", "instances", "a", YEAR, 0.62),
    )
    market = Market(("a",), np.ones(1), offers, in_dollars=True)

    def plans(**preferences: float) -> set[str]:
        return {bought.offer.plan for bought in recommend(scenarios, market, None, Preferences(**preferences)).bought}

    assert {"paid early"} == plans()
    assert {"paid monthly"} == plans(cost_of_capital=0.2)
    assert {"paid monthly"} == plans(max_upfront_usd=100.0)


def test_dollars_an_hour_are_promised_where_only_they_are_sold() -> None:
    offer = Offer("savings_plan_compute_1y_no_upfront", "spend", "*", 2_000, 1.0, rates={"a": 0.7, "b": 1.4})
    scenarios = drawn(pools=2)
    market = Market(("a", "b"), np.array([1.0, 2.0]), (offer,), in_dollars=True)
    found = recommend(scenarios, market, scenarios.demand[0])
    (bought,) = found.bought
    assert 0.7 * 15 + 1.4 * 15 < bought.units < 0.7 * 25 + 1.4 * 25
    use = use_of(found)
    assert 0.8 < use.utilisation[0] <= 1.0
    assert 0.7 < use.covered_share < 1.0


def test_prices_come_from_price_lists_and_what_is_missing_is_named() -> None:
    market = market_by_prices(("g2-standard-4",), [shipped_catalogue()], plans=("cud_1y", "cud_3y"))
    assert [("cud_3y", 26_280), ("cud_1y", YEAR)] == [
        (offer.plan, offer.term_h) for offer in market.of("g2-standard-4")
    ]
    with pytest.raises(InputError) as refused:
        market_by_prices(("g6.xlarge",), [shipped_catalogue()], plans=("reserved_1y_no_upfront",))
    assert "must list a rate of some promise" in str(refused.value)
    assert "reserved_1y_no_upfront rate of g6.xlarge" in str(refused.value)


@pytest.mark.parametrize("ratio", [0.0, 1.0, 1.2, -0.5, float("nan")])
def test_a_ratio_that_saves_nothing_is_refused(ratio: float) -> None:
    with pytest.raises(InputError, match="above 0 and below 1"):
        market_by_ratio(("a",), ratio, YEAR)


def test_a_lookback_is_the_quantile_of_its_days() -> None:
    history = np.r_[np.full(5_000, 50.0), np.full(60 * 24, 10.0), np.full(7 * 24, 4.0)][:, np.newaxis]
    units = units_by_rule(history, np.array([0.6]), YEAR)
    assert [4.0, 10.0, 10.0] == [units[lookback_name(days)][0] for days in LOOKBACK_DAYS]
    assert 50.0 == units["newsvendor"][0]
    assert 0.0 == units_by_rule(history, np.array([np.nan]), YEAR)["newsvendor"][0]


def test_hindsight_is_never_beaten_on_the_past() -> None:
    rng = np.random.default_rng(3)
    walk = np.exp(np.cumsum(rng.normal(scale=0.01, size=3 * 1_000)))
    past = backtest(one_pool(np.rint(50 * walk), START), market_by_ratio(("demand",), 0.6, 1_000), futures=20)
    assert 2 == len(past.periods)
    for period in past.periods:
        assert all(period.share[HINDSIGHT] <= share + 1e-12 for share in period.share.values())
        assert 1.0 == period.share[NONE]


def test_a_backtest_knows_nothing_of_what_came_after() -> None:
    """The same past with another future gives the same units."""
    past = np.rint(50 + 10 * np.sin(np.arange(2_000) / 24))
    market = market_by_ratio(("demand",), 0.6, 1_000)
    one, other = (
        backtest(one_pool(np.r_[past, np.full(1_000, level)], START), market, futures=20, periods=1).periods[0]
        for level in (5.0, 500.0)
    )
    for rule in set(one.units) - {HINDSIGHT}:
        assert one.units[rule].tolist() == other.units[rule].tolist(), rule


def test_a_short_history_is_cut_and_that_is_said() -> None:
    found = backtest(one_pool(np.full(9 * 168, 5.0), START), market_by_ratio(("demand",), 0.6, YEAR), futures=20)
    assert [3 * 168] == [period.hours for period in found.periods]
    assert "shorter than two terms" in found.note
    too_short = backtest(one_pool(np.full(100, 5.0), START), market_by_ratio(("demand",), 0.6, YEAR))
    assert () == too_short.periods
    assert too_short.beats_lookback is None
    assert "too short" in too_short.note


def recommended() -> Recommendation:
    scenarios = drawn(hours=5_000, futures=9, pools=2)
    return recommend(scenarios, market_by_ratio(scenarios.pools, 0.6, 5_000))


def test_price_cuts_and_moves_take_from_what_promises_save() -> None:
    foreseen, small, large, move = what_ifs(recommended())
    assert foreseen.saved_usd > small.saved_usd > large.saved_usd
    assert move.saved_share < foreseen.saved_share
    assert "33%" in small.name
    assert "44%" in large.name


def test_waiting_pays_where_the_first_month_tells_and_not_where_nothing_is_to_be_learnt() -> None:
    hours = 10 * 730
    sure = DemandScenarios(START, ("a",), np.full((6, hours, 1), 10.0), np.full(6, 1 / 6))
    market = market_by_ratio(("a",), 0.6, hours)
    same = value_of_waiting(recommend(sure, market))
    assert same is not None
    assert -0.4 * 10 * 730 == pytest.approx(same.value_usd, rel=1e-6)
    told = sure.demand * np.array([1, 1, 5, 5, 9, 9])[:, np.newaxis, np.newaxis]
    found = value_of_waiting(recommend(replace(sure, demand=told), market))
    assert found is not None
    assert found.value_usd > same.value_usd * 5


def test_coverage_and_use_of_a_steady_demand_are_whole() -> None:
    scenarios = DemandScenarios(START, ("a", "b"), np.full((2, 300, 2), [[[4.0, 0.0]]]), np.array([0.5, 0.5]))
    use = use_of(recommend(scenarios, market_by_ratio(("a", "b"), 0.6, 300)))
    assert (1.0, (1.0,)) == (use.coverage[0], use.utilisation)
    assert np.isnan(use.coverage[1])


@pytest.mark.parametrize("pooled", [False, True], ids=["by type", "pooled"])
@pytest.mark.parametrize("ratio", [0.70, 0.60, 0.45])
def test_real_demand_is_paid_for_between_the_best_lookback_rule_and_hindsight(ratio: float, pooled: bool) -> None:
    """Three years of virtual machines (Shaved Ice, doi:10.5281/zenodo.15015992, region 3): types come and go.

    Committed after the first year and after the second, each time paid for the year that followed. Looking back a whole
    year loses money where workloads have moved.
    """
    if not SHAVEDICE.exists():
        pytest.skip(f"../shared/data/{SHAVEDICE.name} is absent")
    history = load_history(SHAVEDICE)
    history = history.pooled() if pooled else history
    found = backtest(history, market_by_ratio(history.pools, ratio, YEAR))
    assert ["2022-02-01", "2023-02-01"] == [f"{period.start:%Y-%m-%d}" for period in found.periods]
    for period in found.periods:
        share = period.share
        best = min(share[lookback_name(days)] for days in LOOKBACK_DAYS)
        assert share[HINDSIGHT] <= share[RECOMMENDED] <= best
    assert found.beats_lookback


def test_the_answer_does_not_hang_on_the_seed() -> None:
    """Scenarios are drawn: other draws may move the recommendation by a few per cent, not more."""
    known = one_pool(np.rint(100 + 40 * np.sin(np.arange(YEAR) * 2 * np.pi / 24)), START)
    market = market_by_ratio(("demand",), 0.6, YEAR)
    units = [recommend(futures_of(known, YEAR, seed=seed), market, None, PLAIN).units_of_pools[0] for seed in range(3)]
    assert max(units) / min(units) < 1.08
