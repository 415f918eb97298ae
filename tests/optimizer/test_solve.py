"""The plan that is found is the cheapest there is, and says truly how sure that is."""

from __future__ import annotations

import math
import time
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from scipy.optimize import Bounds, LinearConstraint, milp

from optimizer import highs, workers
from optimizer import solve as solving
from optimizer.build import build
from optimizer.highs import Verdict
from optimizer.problem import PlanProblem, Quota
from optimizer.shadow_price import shadow_prices
from optimizer.solution import NoPlanInTimeError, broken_rules, usd_per_month
from optimizer.solve import solve
from tests.optimizer.plan_problems import least_usd, option, problems, question


def is_cheapest(problem: PlanProblem) -> None:
    """Hold a plan to the cheapest of all plans, found by trying them."""
    least = least_usd(problem)
    found = solve(problem, gap=0.0)
    assert (least == math.inf) == (found.status == "infeasible")
    if least == math.inf:
        assert found.unserved.any()
        assert (found.usd_per_month, found.lower_bound_usd_per_month) == (math.inf, math.inf)
        return
    assert least == pytest.approx(found.usd_per_month, rel=1e-6, abs=1e-6)
    assert "optimal" == found.status
    assert found.lower_bound_usd_per_month <= found.usd_per_month
    assert [] == broken_rules(problem, found.running, found.survivors, found.share)
    assert found.usd_per_month == usd_per_month(problem, found.running, found.share)


@settings(max_examples=40)
@given(problems())
def test_the_plan_is_the_cheapest_of_all(problem: PlanProblem) -> None:
    """A program that forgets a rule, or has one too many, finds another optimum than trying all counts does."""
    is_cheapest(problem)


@settings(max_examples=20)
@given(problems(starts=True))
def test_the_plan_over_hours_is_the_cheapest_of_all(problem: PlanProblem) -> None:
    """Starts and minimum up-times link hours: a plan that is best in each of them need not be."""
    is_cheapest(problem)


def long_plan(hours: int = 24) -> PlanProblem:
    """A day whose instances cost something to start, so that its hours are one question."""
    rates = [[6, 7, 8], [3, 3.5, 4]]
    day = np.round(40 + 30 * np.sin(np.arange(hours) * 2 * np.pi / hours))
    options = (
        option("small", 1.0, rates, counts=(1, 2, 4), hours=hours, start_usd=0.4),
        option("large", 2.9, 3 * np.array(rates), counts=(1, 2, 4), hours=hours, start_usd=1.0, min_up_hours=3),
    )
    return question([day, day[::-1]], *options, cyclic=True)


def test_a_long_plan_is_found_hour_by_hour_and_as_a_whole_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    """Multipliers, the joining of hours, and the bound of their sum: all must lead to the plan of the whole."""
    asked = long_plan(6)
    monkeypatch.setattr(solving, "LONG", 1_000)
    whole = solve(asked, gap=1e-3, time_limit_s=30)
    monkeypatch.setattr(solving, "LONG", 0)
    apart = solve(asked, gap=1e-3, time_limit_s=30)
    assert "optimal" == whole.status == apart.status
    assert whole.usd_per_month == pytest.approx(apart.usd_per_month, rel=2e-3)
    assert apart.lower_bound_usd_per_month <= whole.usd_per_month * (1 + 1e-9)


def one_after_the_other(function: Any, asked: Any, deadline: float) -> list[Any]:
    """Stands in for the processes, whose start takes longer than such small questions."""
    return [function(*each, deadline - time.monotonic()) for each in asked]


# Questions of the kind that planners of mixes of GPUs publish: requests of several lengths, a rate that each GPU
# carries of each within its SLO, prices by the hour. The rates here are made up, in the usual proportions; what they
# must show does not hang on them: continuous routing is never dearer than whole slices on one GPU each.
GPU_USD = {"L4": 0.70, "A10G": 1.01, "A100": 3.67, "H100": 7.516}
GPU_RPS = {"L4": [3, 1.2, 0.25, 0.5], "A10G": [5, 2, 0.5, 0.8], "A100": [12, 8, 4, 3], "H100": [20, 17, 9, 8]}
MIX = np.array([0.4, 0.3, 0.1, 0.2])


def gpus(rate_rps: float) -> PlanProblem:
    """The mix of request lengths at a total rate."""
    options = [option(name, GPU_USD[name], GPU_RPS[name]) for name in GPU_USD]
    return question((MIX * rate_rps).reshape(-1, 1), *options)


def least_of_slices(rate_rps: float, slices: int = 8) -> float:
    """Cost of the best plan that serves each of several equal slices of each length on one kind of GPU, as a whole."""
    usd, rates = np.array(list(GPU_USD.values())), np.array(list(GPU_RPS.values()), dtype=float)
    kinds, lengths = rates.shape
    n = lengths * slices * kinds
    one_kind = np.zeros((lengths * slices, n + kinds))
    carried = np.zeros((kinds, n + kinds))
    for piece in range(lengths * slices):
        columns = slice(piece * kinds, (piece + 1) * kinds)
        one_kind[piece, columns] = 1
        length = piece // slices
        carried[np.arange(kinds), np.arange(piece * kinds, (piece + 1) * kinds)] = (
            MIX[length] * rate_rps / slices / rates[:, length]
        )
    carried[:, n:] = -np.eye(kinds)
    found = milp(
        np.concatenate([np.zeros(n), usd]),
        constraints=[LinearConstraint(one_kind, 1, 1), LinearConstraint(carried, -np.inf, 0)],
        integrality=np.ones(n + kinds),
        bounds=Bounds(0, np.concatenate([np.ones(n), np.full(kinds, np.inf)])),
        options={"mip_rel_gap": 0.005, "time_limit": 10.0},
    )
    return float(found.fun)


def fractional(rate_rps: float) -> float:
    """Least cost with whole instances and continuous shares, written apart from the program and solved by SciPy."""
    usd, rates = np.array(list(GPU_USD.values())), np.array(list(GPU_RPS.values()), dtype=float)
    kinds, lengths = rates.shape
    served = np.hstack([np.kron(np.eye(lengths), np.ones(kinds)), np.zeros((lengths, kinds))])
    carried = np.hstack([np.hstack([np.diag(MIX[b] * rate_rps / rates[:, b]) for b in range(lengths)]), -np.eye(kinds)])
    found = milp(
        np.concatenate([np.zeros(kinds * lengths), usd]),
        constraints=[LinearConstraint(served, 1, 1), LinearConstraint(carried, -np.inf, 0)],
        integrality=np.concatenate([np.zeros(kinds * lengths), np.ones(kinds)]),
        bounds=Bounds(0, np.inf),
        options={"mip_rel_gap": 0.0},
    )
    return float(found.fun)


@pytest.mark.parametrize("rate_rps", [1, 2, 4, 8, 16, 32, 64, 128])
def test_published_kinds_of_questions_cost_no_more_than_their_optimum(rate_rps: float) -> None:
    """From 1 to 128 requests per second: the fractional optimum itself, no dearer than whole slices, all carried."""
    asked = gpus(rate_rps)
    found = solve(asked, gap=1e-6)
    assert "optimal" == found.status
    assert fractional(rate_rps) == pytest.approx(found.usd_per_month, rel=1e-5)
    assert found.usd_per_month <= least_of_slices(rate_rps) * (1 + 1e-9)
    assert [] == broken_rules(asked, found.running, found.survivors, found.share)


@pytest.mark.parametrize("rate_rps", [1, 2, 4])
def test_they_cost_what_trying_all_counts_finds(rate_rps: float) -> None:
    """The same questions where all counts can be tried."""
    assert least_usd(gpus(rate_rps)) == pytest.approx(solve(gpus(rate_rps), gap=0.0).usd_per_month)


def test_a_mix_worked_by_hand() -> None:
    """One a100 is exactly full with 20 of 40 and 10 of 20: 3.67. Nine a10g cost 9.09; three in its place, nothing."""
    found = solve(question([[20], [10]], option("a10g", 1.01, [5, 2]), option("a100", 3.67, [40, 20])))
    assert ("optimal", [[0], [1]], 3.67) == (found.status, found.running.tolist(), found.usd_per_month)


def test_a_remainder_goes_to_the_cheaper_kind_by_hand() -> None:
    """A rate of 44 fills one a100 with 40 for 3.67, and 4 are left for one a10g: 4.68, against 7.34 and 9.09."""
    found = solve(question([[44]], option("a10g", 1.01, [5]), option("a100", 3.67, [40])))
    assert [[1], [1]] == found.running.tolist()
    assert 4.68 == pytest.approx(found.usd_per_month)


def test_the_same_problem_has_the_same_plan() -> None:
    """A plan that changes from run to run cannot be discussed."""
    first, second = solve(gpus(37.0)), solve(gpus(37.0))
    assert first.running.tolist() == second.running.tolist()
    assert first.share.tolist() == second.share.tolist()


def test_of_options_that_are_alike_the_first_is_used() -> None:
    """Instances of twins are the same instances twice."""
    found = solve(question([[30]], *(option(name, 1.0, [6]) for name in "abc")))
    assert [[5], [0], [0]] == found.running.tolist()


def test_equal_hours_are_solved_once() -> None:
    """A month of equal hours costs one solution."""
    month = question([[30] * 200], option("a", 1.0, [6], hours=200))
    assert "200 independent parts, 1 of them different" == solve(month).log[0]


def test_an_hour_counts_as_often_as_it_comes() -> None:
    """730 hours of 5 instances at 1 dollar."""
    assert 3650.0 == solve(question([[30]], option("a", 1.0, [6]), weight_h=np.array([730.0]))).usd_per_month


def test_no_demand_costs_nothing() -> None:
    """Nothing to serve is a plan of nothing, not an error."""
    found = solve(question([[0, 0]], option("a", 1.0, [6], hours=2)))
    assert ("optimal", 0.0, 0.0) == (found.status, found.usd_per_month, found.gap)


@pytest.mark.parametrize(
    ("problem", "unserved"),
    [
        (question([[30]], option("a", 1.0, [6], max_instances=4)), [[0.2]]),
        (question([[30]], option("a", 1.0, [6]), quotas=(Quota("q", (0,), 4),)), [[0.2]]),
        (question([[30], [6]], option("a", 1.0, [6, 0])), [[0.0], [1.0]]),
        (question([[6, 12]], option("a", 1.0, [6], hours=2), max_usd_per_hour=1.5), [[0.0, 0.5]]),
        (question([[30]], option("a", 1.0, [6], accuracy=[0.7]), min_accuracy=np.array([0.8])), [[1.0]]),
        (question([[30]]), [[1.0]]),
    ],
    ids=["limit", "quota", "nobody serves it", "budget", "accuracy", "no options"],
)
def test_infeasible_says_how_much_cannot_be_served(problem: PlanProblem, unserved: list[list[float]]) -> None:
    """Who is told only that there is no plan does not know what to ask for instead."""
    found = solve(problem)
    assert "infeasible" == found.status
    assert unserved == found.unserved.round(9).tolist()
    assert not found.running.any()


def test_a_time_limit_makes_a_plan_feasible_and_never_optimal(monkeypatch: pytest.MonkeyPatch) -> None:
    """A solver that is stopped without a plan: one by rounding is shown, with the bound of the linear program."""
    genuine = highs.run

    def stopped(model: Any, **rest: Any) -> Verdict:
        return Verdict("stopped", math.inf, 0.0, 0.0) if rest.get("whole", True) else genuine(model, **rest)

    monkeypatch.setattr(highs, "run", stopped)
    monkeypatch.setattr(workers, "side_by_side", one_after_the_other)
    found = solve(gpus(37.0), gap=0.0)
    assert "feasible" == found.status
    assert 0 < found.lower_bound_usd_per_month <= fractional(37.0) <= found.usd_per_month
    assert found.gap == pytest.approx(1 - found.lower_bound_usd_per_month / found.usd_per_month)
    assert any("time was up" in line for line in found.log)


def test_a_solver_that_finds_nothing_leaves_a_plan_that_needs_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even the linear program was solved: every workload goes where it is cheapest, and the bound is 0."""
    monkeypatch.setattr(highs, "run", lambda *_, **__: Verdict("stopped", math.inf, 0.0, 0.0))
    monkeypatch.setattr(workers, "side_by_side", one_after_the_other)
    found = solve(gpus(37.0))
    assert ("feasible", 0.0, 1.0) == (found.status, found.lower_bound_usd_per_month, found.gap)
    assert [] == broken_rules(gpus(37.0), found.running, found.survivors, found.share)


def test_no_plan_in_time_is_neither_a_plan_nor_a_proof_that_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """Infeasible must mean that it was proven."""
    monkeypatch.setattr(highs, "run", lambda *_, **__: Verdict("stopped", math.inf, 0.0, 0.0))
    monkeypatch.setattr(workers, "side_by_side", one_after_the_other)
    both = question([[30]], option("a", 1.0, [6], max_instances=3), option("b", 1.0, [6], max_instances=3))
    with pytest.raises(NoPlanInTimeError, match="no plan was found in time"):
        solve(both)


def test_what_pulp_calls_optimal_after_a_time_limit_is_not() -> None:
    """The trap that the solver's own status is read for: PuLP says Optimal when HiGHS was stopped."""
    rng = np.random.default_rng(1)
    options = [
        option(
            f"o{j}", float(rng.uniform(1, 9)), [[k, 1.1 * k, 1.2 * k] for k in rng.uniform(2, 30, 8)], counts=(1, 3, 9)
        )
        for j in range(40)
    ]
    program = build(question(rng.uniform(100, 900, (8, 1)), *options))
    verdict = highs.run(program.model, gap=0.0, limit_s=0.05)
    assert "stopped" == verdict.status
    assert verdict.bound < verdict.objective


def test_a_process_that_overruns_its_limit_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """HiGHS looks at its clock when it likes: the limit is held from outside."""
    monkeypatch.setattr(workers, "GRACE_S", 0.5)
    begun = time.monotonic()
    found = workers.side_by_side(lambda _: time.sleep(300), [(), ()], begun + 3.0)
    assert [None, None] == found
    assert time.monotonic() - begun < 60


def test_parts_side_by_side_are_the_parts_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a part is solved must not change its plan."""
    rates = [5.0, 11.0, 17.0, 23.0]
    hours = [replace(gpus(rate), hours=("all day",)) for rate in rates]
    here = workers.answer_all(hours, 1e-6, time.monotonic() + 60)
    monkeypatch.setattr(workers, "SMALL", 0)
    there = workers.answer_all(hours, 1e-6, time.monotonic() + 60)
    for one, other in zip(here, there, strict=True):
        assert one is not None
        assert other is not None
        assert one.usd == other.usd
        assert one.fleets is not None
        assert other.fleets is not None
        assert one.fleets.running.tolist() == other.fleets.running.tolist()


def test_a_load_at_the_edge_of_tolerance_is_not_let_through() -> None:
    """4 instances carry 20 requests per second at 5 each, and not 20.00001: the fifth is bought."""
    assert [[4]] == solve(question([[20.0]], option("a", 1.0, [5]))).running.tolist()
    assert [[5]] == solve(question([[20.00001]], option("a", 1.0, [5]))).running.tolist()
    assert [[4]] == solve(question([[20.0 * (1 + 1e-12)]], option("a", 1.0, [5]))).running.tolist()


def test_a_shadow_price_is_what_many_more_requests_cost_each() -> None:
    """At 1.01 for 5 requests per second, one more costs 0.202 an hour, whatever the hour's weight in the month."""
    asked = question([[20, 7]], option("a10g", 1.01, [5], hours=2), weight_h=np.array([700.0, 30.0]))
    assert [[0.202, 0.202]] == shadow_prices(asked, solve(asked)).round(6).tolist()


def test_a_shadow_price_is_the_slope_of_the_cost() -> None:
    """A finite difference over a step that is many instances long finds the same."""
    before, after = gpus(1000.0), gpus(1000.0)
    demand = after.demand_rps.copy()
    demand[0] += 200
    found = solve(before, gap=1e-6)
    slope = (solve(replace(after, demand_rps=demand), gap=1e-6).usd_per_month - found.usd_per_month) / 200
    assert slope == pytest.approx(float(shadow_prices(before, found)[0, 0]), rel=0.05)


def test_requests_that_a_plan_has_room_for_by_rule_cost_nothing_more() -> None:
    """Where nobody asks, and where there is no plan, there is no price to show."""
    nothing = question([[0]], option("a", 1.0, [6]))
    assert np.isnan(shadow_prices(nothing, solve(nothing))).all()
    never = question([[30]], option("a", 1.0, [6], max_instances=4))
    assert np.isnan(shadow_prices(never, solve(never))).all()
