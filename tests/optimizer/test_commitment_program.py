"""The best commitments: those of the program with every hour written out, of the textbook, and within every limit."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from optimizer.commitments import direct
from optimizer.commitments.direct import RULES, build
from optimizer.commitments.newsvendor import critical_quantile, newsvendor_units
from optimizer.commitments.program import CommitmentProblem, Purchase, RiskMeasure
from optimizer.commitments.solution import units_by_purchase
from optimizer.commitments.solve import hindsight, solve
from tests.optimizer.commitment_problems import answered_directly, drawn, pool, reserved, spend
from tests.optimizer.test_build import GOLDEN, text_of

RISKS = {
    "mean": RiskMeasure(),
    "cost": RiskMeasure("cvar_cost", 0.6, 0.5),
    "only the worst": RiskMeasure("cvar_cost", 1.0, 0.7),
    "regret": RiskMeasure("cvar_regret", 0.6, 0.5),
}
EXACT = 1e-8


@pytest.mark.parametrize("falling_prices", [False, True])
@pytest.mark.parametrize("risk", RISKS.values(), ids=RISKS)
@pytest.mark.parametrize("seed", range(3))
def test_cutting_planes_find_the_optimum_of_every_hour_written_out(
    seed: int, risk: RiskMeasure, falling_prices: bool
) -> None:
    """A ladder of reservations, narrow and wide commitments, weights: the two programs must mean the same."""
    problem = drawn(seed, risk=risk, falling_prices=falling_prices)
    known = hindsight(problem, gap=EXACT)
    optimum, _ = answered_directly(problem, hindsight_usd=known)
    found = solve(problem, gap=EXACT, hindsight_usd=known)
    assert "optimal" == found.status
    assert optimum == pytest.approx(found.objective_usd, rel=1e-7)
    assert found.lower_bound_usd <= optimum * (1 + 1e-9)
    assert float(problem.probability @ found.scenario_usd) == found.expected_usd


@pytest.mark.parametrize("risk", RISKS.values(), ids=RISKS)
@pytest.mark.parametrize("seed", range(2))
def test_whole_units_are_those_of_the_integer_program(seed: int, risk: RiskMeasure) -> None:
    """Rounding what is best in parts is not best in whole units where fleets are small."""
    problem = drawn(seed, unit=1.0, risk=risk)
    known = hindsight(problem, gap=EXACT)
    optimum, _ = answered_directly(problem, hindsight_usd=known)
    in_parts, _ = answered_directly(problem, relaxed=True, hindsight_usd=known)
    found = solve(problem, gap=1e-6, hindsight_usd=known)
    assert "optimal" == found.status
    assert optimum == pytest.approx(found.objective_usd, rel=2e-6)
    assert in_parts < optimum
    sold_whole = [u for u, purchase in zip(found.units, problem.purchases, strict=True) if purchase.unit > 0]
    assert [round(u) for u in sold_whole] == sold_whole


@pytest.mark.parametrize("seed", range(8))
def test_disagreeing_commitments_are_bracketed_by_the_bound_and_the_bill(seed: int) -> None:
    """The linear program puts commitments to their best use, the provider does not: the optimum lies between."""
    problem = drawn(seed, agree=False)
    best_use, _ = answered_directly(problem)
    found = solve(problem, gap=1e-6)
    assert found.lower_bound_usd <= best_use * (1 + 1e-7) <= found.objective_usd * (1 + 2e-7)
    assert found.gap < 0.02
    assert ("optimal" == found.status) == (found.gap <= 1e-6)


@pytest.mark.parametrize("ratio", [0.70, 0.60, 0.45])
@pytest.mark.parametrize("unit", [0.0, 1.0])
def test_one_pool_commits_up_to_the_newsvendor_quantile(ratio: float, unit: float) -> None:
    """c* = F^-1(1 - r): the smallest level above which demand reaches in less than r of the hours."""
    rng = np.random.default_rng(5)
    demand, weight = rng.poisson(30, (4, 200)).astype(float), rng.uniform(0.5, 2, 200)
    probability = np.array([0.1, 0.2, 0.3, 0.4])
    purchase = reserved(200, ratio * 3.0, unit=unit)
    problem = pool(demand.tolist(), purchase, on_demand_usd=3.0, weight_h=weight, probability=probability)
    mass = (probability[:, None] * weight).ravel() / weight.sum()
    levels = np.sort(np.unique(demand))
    quantile = next(level for level in levels if mass[demand.ravel() > level].sum() <= ratio)
    found = solve(problem, gap=1e-9)
    assert quantile == pytest.approx(found.units[0], rel=1e-9)
    assert quantile == newsvendor_units(problem)[0]


def test_pools_without_a_shared_commitment_have_nothing_to_do_with_each_other() -> None:
    """Each commits what it would alone."""
    rng = np.random.default_rng(8)
    demand = rng.poisson([8, 20, 40], (2, 120, 3)).astype(float)
    price = np.array([1.0, 2.0, 4.0])
    active = np.ones(120, dtype=bool)
    purchases = tuple(Purchase(f"{j}", "instances", 0.6 * price[j], active, instance_type=j) for j in range(3))
    weight, chance = np.ones(120), np.full(2, 0.5)
    together = solve(CommitmentProblem(tuple("abc"), price, demand, weight, chance, purchases), gap=1e-9)
    for j in range(3):
        found = solve(pool(demand[:, :, j].tolist(), reserved(120, 0.6 * price[j]), on_demand_usd=price[j]), gap=1e-9)
        assert found.units[0] == together.units[j]


def test_purchases_of_two_dates_stack() -> None:
    """A ladder, worked out by hand. Half the hours are busy, and a purchase for those alone breaks even at 30 %.

    Both together reach the busy hours' quantile, 84. A unit for the whole year costs 60 and spares one for the busy
    half, 15: it must be used in 45 quiet hours, whose levels are 0 to 49, so four of them are worth it.
    """
    demand = [[float(level) for level in range(100)]]
    always, half = np.ones(100, dtype=bool), np.arange(100) >= 50
    problem = pool(
        demand, reserved(100, 0.6, name="whole year", active=always), reserved(100, 0.3, name="busy half", active=half)
    )
    found = solve(problem, gap=1e-9)
    assert {"whole year": 4.0, "busy half": 80.0} == units_by_purchase(problem, found)


def growing_or_shrinking() -> CommitmentProblem:
    """Demand doubles, stays, or shrinks to a third: what is bought is right for one of the three."""
    rng = np.random.default_rng(2)
    base = rng.poisson(30, 150)
    return pool([(base * by).tolist() for by in (2.0, 1.0, 1 / 3)], reserved(150, 0.6, unit=0.0))


def test_fear_of_high_costs_buys_more_and_fear_of_regret_less_where_demand_may_shrink() -> None:
    """The two point in opposite directions: costs are worst where demand is high, regret here where it goes."""
    problem = growing_or_shrinking()
    plain = solve(problem, gap=1e-6).units[0]
    afraid_of_cost = solve(replace(problem, risk=RiskMeasure("cvar_cost", 0.9, 0.6)), gap=1e-6).units[0]
    only_shrinking = replace(problem, demand=problem.demand[1:], probability=np.array([0.8, 0.2]))
    before = solve(only_shrinking, gap=1e-6).units[0]
    afraid_of_regret = solve(replace(only_shrinking, risk=RiskMeasure("cvar_regret", 0.9, 0.8)), gap=1e-6).units[0]
    assert afraid_of_cost > plain
    assert afraid_of_regret < before


def test_the_worst_regret_falls_as_its_weight_grows() -> None:
    """More weight on regret cannot make the worst regret larger, nor the mean cost smaller."""
    problem = growing_or_shrinking()
    known = hindsight(problem, gap=1e-9)
    worst, means = [], []
    for weight in (0.0, 0.5, 1.0):
        asked = replace(problem, risk=RiskMeasure("cvar_regret", weight, 0.7))
        found = solve(asked, gap=1e-7, hindsight_usd=known)
        assert found.regret_usd is not None
        assert (found.regret_usd >= -1e-9).all()
        worst.append(found.regret_usd.max())
        means.append(found.expected_usd)
    assert sorted(worst, reverse=True) == worst
    assert sorted(means) == means
    assert worst[-1] < worst[0]


def test_a_future_that_is_certain_has_no_regret() -> None:
    """The worst regret of one scenario is 0, of which nothing can be a share: the search must end all the same."""
    asked = pool([[3, 5, 8, 2, 9, 7]], reserved(6, 0.6, unit=0.0), risk=RiskMeasure("cvar_regret", 1.0, 0.5))
    found = solve(asked)
    assert "optimal" == found.status
    assert found.regret_usd == pytest.approx([0.0], abs=1e-5 * found.expected_usd)


def test_the_same_scenario_many_times_is_one_scenario() -> None:
    """Probability is what counts, not how often a future is written down."""
    once = pool([[3, 5, 8, 2, 9, 7]], reserved(6, 0.6), spend([0.8], 6))
    often = pool([[3, 5, 8, 2, 9, 7]] * 7, reserved(6, 0.6), spend([0.8], 6))
    one, many = solve(once, gap=1e-9), solve(often, gap=1e-9)
    assert one.units == pytest.approx(many.units, rel=1e-9)
    assert one.objective_usd == pytest.approx(many.objective_usd, rel=1e-9)


def test_hours_that_stand_for_many_count_as_many() -> None:
    """A typical week with weights is the year that it stands for."""
    week, times = [3.0, 9.0, 5.0, 1.0], [3, 1, 2, 2]
    year = np.repeat(week, times).tolist()
    short = solve(pool([week], reserved(4, 0.5), weight_h=np.array(times, dtype=float)), gap=1e-9)
    long = solve(pool([year], reserved(8, 0.5)), gap=1e-9)
    assert (long.units[0], long.expected_usd) == (short.units[0], pytest.approx(short.expected_usd))


@pytest.mark.parametrize("unit", [0.0, 1.0])
@pytest.mark.parametrize("limit", ["max_upfront_usd", "max_committed_share"])
def test_limits_over_all_purchases_hold_and_cost(limit: str, unit: float) -> None:
    """What may be paid at once, or promised, is half of what it would be: the direct program knows it as well."""
    free = drawn(5, unit=unit)
    without = solve(free, gap=1e-6)
    (_, usd, _) = drawn(5, unit=unit, **{limit: 1.0}).limits[0]
    most = 0.5 * float(usd @ without.units)
    if limit == "max_committed_share":
        most /= float(free.probability @ free.on_demand_only_usd)
    problem = drawn(5, unit=unit, **{limit: most})
    found = solve(problem, gap=1e-6)
    optimum, _ = answered_directly(problem)
    assert optimum == pytest.approx(found.objective_usd, rel=2e-6)
    assert found.expected_usd > without.expected_usd * (1 + 1e-4)
    ((_, usd, dollars),) = problem.limits
    assert 0 < usd @ found.units <= dollars * (1 + 1e-6) < usd @ without.units


def test_what_was_bought_before_stays_and_is_counted() -> None:
    """A purchase with its least equal to its most is not asked about again; others are bought beside it."""
    demand = [[6.0, 7.0, 8.0, 9.0]]
    held = reserved(4, 0.9, name="held", min_units=5, max_units=5)
    problem = pool(demand, held, reserved(4, 0.5))
    assert {"held": 5.0, "reserved": 2.0} == units_by_purchase(problem, solve(problem, gap=1e-9))


def test_limits_on_one_purchase_hold() -> None:
    """Neither fewer than must be bought, even where they lose money, nor more than may be."""
    few = pool([[6.0, 7.0]], reserved(2, 0.5, max_units=3.5))
    many = pool([[6.0, 7.0]], reserved(2, 0.5, min_units=10.2))
    assert (3.0, 11.0) == (solve(few).units[0], solve(many).units[0])


def test_contradictory_limits_are_infeasible_and_say_which() -> None:
    """A limit below what must be bought is no reason to buy less without a word."""
    held = reserved(2, 0.5, min_units=4, upfront_usd=100.0)
    found = solve(pool([[6.0, 7.0]], held, max_upfront_usd=300.0))
    assert ("infeasible", np.inf) == (found.status, found.objective_usd)
    reason = (
        "what must be bought breaks a limit: 400.00 USD would be paid upfront, 100.00 more than the limit of 300.00"
    )
    assert (reason,) == found.log
    assert ["reserved"] == [margin.name for margin in found.margins]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"usd_per_h": -0.5}, "usd_per_h must be a finite number greater than 0, got -0.5"),
        ({"usd_per_h": 0.0}, "greater than 0, got 0.0"),
        ({"min_units": 3.0, "max_units": 2.0}, "the least at most the most, got 3.0 to 2.0"),
        ({"min_units": 2.2, "max_units": 2.8}, "no multiple of 1 lies within 2.2 and 2.8"),
        ({"upfront_usd": -1.0}, "upfront_usd must be 0 or greater"),
        ({"instance_type": -1}, "names their type"),
        ({"unit": -1.0}, "unit must be 0 or greater"),
    ],
)
def test_a_purchase_that_cannot_be_is_refused(given: dict[str, float], said: str) -> None:
    """What is wrong is said with its value."""
    with pytest.raises(ValueError, match=said.replace(".", r"\.")):
        reserved(2, **({"usd_per_h": 0.5} | given))


def test_every_fault_of_a_question_is_said_at_once() -> None:
    """A price that is missing is not free, and demand that is missing is not none."""
    demand = np.array([[[1.0], [np.nan]]])
    with pytest.raises(
        ValueError, match=r"demand must be finite.*prices on demand.*a price that is missing is not free"
    ):
        CommitmentProblem(("a",), np.zeros(1), demand, np.ones(2), np.ones(1), ())
    with pytest.raises(ValueError, match="names of their own"):
        pool([[1.0]], reserved(1, 0.5), reserved(1, 0.6))
    with pytest.raises(ValueError, match="probabilities must add up to 1"):
        pool([[1.0]], reserved(1, 0.5), probability=np.array([0.5]))
    with pytest.raises(ValueError, match="a spend commitment needs rates"):
        spend([np.nan], 1)


def test_out_of_time_is_not_optimal() -> None:
    """The best so far and how far it may be from the best, not a claim that it is."""
    problem = drawn(1, unit=1.0)
    found = solve(problem, gap=1e-9, time_limit_s=0.0)
    assert "feasible" == found.status
    assert 0 <= found.lower_bound_usd < found.objective_usd <= problem.probability @ problem.on_demand_only_usd
    assert any(line.startswith("time was up: other commitments could be up to") for line in found.log)


def test_nothing_to_buy_or_nothing_wanted_is_an_answer() -> None:
    """No purchase on offer, and no demand at all: everything on demand, and nothing."""
    none = solve(pool([[3.0, 4.0]]))
    assert ("optimal", 7.0, 7.0) == (none.status, none.expected_usd, none.lower_bound_usd)
    idle = solve(pool([[0.0, 0.0]], reserved(2, 0.5), spend([0.7], 2)))
    assert ("optimal", 0.0, [0.0, 0.0]) == (idle.status, idle.expected_usd, idle.units.tolist())


def test_two_runs_give_the_same_answer() -> None:
    """A recommendation that depends on the run is none."""
    problem = drawn(2, unit=1.0, risk=RISKS["regret"])
    one, other = solve(problem), solve(problem)
    assert np.array_equal(one.units, other.units)
    assert (one.objective_usd, one.lower_bound_usd, one.cuts) == (
        other.objective_usd,
        other.lower_bound_usd,
        other.cuts,
    )


def test_the_margin_is_the_share_of_hours_in_which_a_unit_is_used() -> None:
    """F5: worth committing while P(D > x) >= r, so the last unit is used at least so often and the next is not."""
    demand = [[float(level) for level in range(1, 101)]]
    (margin,) = solve(pool(demand, reserved(100, 0.645)), gap=1e-9).margins
    assert (0.645, 0.65, 0.64) == pytest.approx(
        (margin.break_even_share, margin.last_used_share, margin.next_used_share)
    )
    assert 0.5 == pytest.approx(margin.usd_per_unit)


def test_a_spend_commitment_breaks_even_at_its_best_rate() -> None:
    """A dollar at 0.8 of on-demand covers 1.25 dollars of it: it pays from 80 % use on."""
    demand = [[float(level) for level in range(1, 101)]]
    (margin,) = solve(pool(demand, spend([0.8], 100)), gap=1e-9).margins
    assert 0.8 == pytest.approx(margin.break_even_share)
    assert margin.next_used_share <= 0.8 + 1e-9 <= margin.last_used_share + 2e-9


def test_the_quantile_of_nothing_worth_committing_is_none() -> None:
    """Where even the first unit idles too often, the answer is 0, not the least demand seen."""
    assert 0.0 == critical_quantile(np.array([0.0, 0.0, 5.0]), np.ones(3), 1.5)


def plain_pool() -> CommitmentProblem:
    """Two instances or one, then three: sold whole, at most four."""
    return pool([[2, 3], [1, 3]], reserved(2, 0.6, max_units=4.0), weight_h=np.array([10.0, 20.0]))


def ladder_of_spend() -> CommitmentProblem:
    """A narrow commitment now, a wide one from the second hour on, and a share of the cost that may be promised."""
    later = np.array([False, True])
    purchases = spend([0.7, np.nan], 2, name="narrow", wide=False), spend([0.8, 1.5], 2, name="wide", active=later)
    demand = np.array([[[2.0, 1.0], [4.0, 0.0]]])
    return CommitmentProblem(
        ("a", "b"), np.array([1.0, 2.0]), demand, np.ones(2), np.ones(1), purchases, max_committed_share=0.5
    )


def tail_of_regret() -> CommitmentProblem:
    """Half the weight on the worst of two scenarios, counted from what hindsight would cost, and upfront limited."""
    risk = RiskMeasure("cvar_regret", 0.5, 0.5)
    return pool([[2], [5]], reserved(1, 0.5, upfront_usd=0.2, unit=0.0), risk=risk, max_upfront_usd=0.9)


QUESTIONS = plain_pool, ladder_of_spend, tail_of_regret


def asked(ask: Callable[[], CommitmentProblem]) -> direct.DirectProgram:
    """The program of a question, hindsight being 1.00 and 2.50 dollars."""
    return build(ask(), hindsight_usd=np.array([1.0, 2.5])[: len(ask().demand)])


@pytest.mark.parametrize("ask", QUESTIONS, ids=lambda ask: ask.__name__)
def test_the_program_is_the_one_that_was_read(ask: Callable[[], CommitmentProblem], tmp_path: Path) -> None:
    """A changed program should be seen as a change, and read. An absent golden file is written, and read then."""
    path = GOLDEN / f"commitments_{ask.__name__}.lp"
    found = text_of(asked(ask), tmp_path)
    header = [f"\\* {line.strip()} *\\" for line in (inspect.getdoc(ask) or "").splitlines()]
    if not path.exists():
        path.write_text("\n".join([*header, *found]) + "\n", encoding="utf-8")
        pytest.fail(f"{path.name} was absent and has been written: read it")
    assert path.read_text(encoding="utf-8").splitlines()[len(header) :] == found


def test_every_rule_states_its_equation_and_has_a_row() -> None:
    """A rule that no golden question brings out could change unseen."""
    assert [] == [rule.__name__ for rule in RULES if "=" not in (inspect.getdoc(rule) or "")]
    programs = [asked(ask) for ask in QUESTIONS]
    assert [] == [rule.__name__ for rule in RULES if not any(list(rule(program)) for program in programs)]
