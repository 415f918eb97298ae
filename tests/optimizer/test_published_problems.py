"""Problems of the form that other planners publish cost no more than their exact optimum, and the load is carried.

The optimum is found by other means than ours: by hand, by trying every plan, by SciPy from the published equations.
How long they take is in ``python -m benchmarks``; nothing here depends on a clock.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from optimizer.demand import demand
from optimizer.plan_file import question_from
from optimizer.problem import PlanProblem
from optimizer.problem_of import problem_of
from optimizer.settings import expand
from optimizer.solution import Solution, broken_rules
from optimizer.solve import solve
from tests.optimizer.published import (
    MIXES,
    RATES_RPS,
    Published,
    capacity_rps,
    least_by_search,
    least_usd_per_hour,
    problem,
)


def planned(content: dict[str, Any]) -> tuple[PlanProblem, Solution]:
    """The arrays of a plan file whose capacities are stated, and the plan."""
    question = question_from(content)
    settings = expand(question)
    asked = problem_of(question, settings, [None] * len(settings), demand(question))
    return asked, solve(asked, gap=question.file.plan.gap)


def usd_per_hour(asked: PlanProblem, found: Solution) -> float:
    return found.usd_per_month / asked.month_h


def instances(asked: PlanProblem, found: Solution) -> dict[str, int]:
    """By candidate, those that run at all."""
    return {option.candidate: int(row[0]) for option, row in zip(asked.options, found.running, strict=True) if row[0]}


def assert_carried(asked: PlanProblem, found: Solution) -> None:
    """Everything is served, and no fleet gets more than it carries, computed from the plan's own numbers."""
    share = found.share[:, :, 0]
    assert np.ones(len(asked.workloads)) == pytest.approx(share.sum(axis=1), abs=1e-9)
    rates = np.array([option.curve.rps_per_instance[:, 0] for option in asked.options]).T
    asked_here = asked.demand_rps * share
    load = np.divide(asked_here, rates, out=np.where(asked_here > 0, np.inf, 0.0), where=rates > 0).sum(axis=0)
    assert (load <= found.running[:, 0] * (1 + 1e-9)).all()
    assert [] == broken_rules(asked, found.running, found.survivors, found.share)


def written(**capacities: tuple[float, dict[str, float]]) -> Any:
    """A plan file's candidates: price, and capacity by workload."""
    return [{"name": name, "usd_per_hour": usd, "capacity_rps": carried} for name, (usd, carried) in capacities.items()]


def traffic(**rates: float) -> dict[str, Any]:
    return {name: {"arrivals": {"process": "poisson", "rate": rate}} for name, rate in rates.items()}


def test_one_large_instance_filled_to_the_brim_is_found() -> None:
    """By hand: 20/40 + 10/20 = 1 instance of the A100, $3.67. The A10G would need 20/5 + 10/2 = 9, $9.09."""
    asked, found = planned(
        {
            "schema": 1,
            "name": "by hand",
            "workloads": traffic(short=20, long=10),
            "plan": {
                "candidates": written(a10g=(1.01, {"short": 5, "long": 2}), a100=(3.67, {"short": 40, "long": 20}))
            },
        }
    )
    assert "optimal" == found.status
    assert {"a100": 1} == instances(asked, found)
    assert 3.67 == pytest.approx(usd_per_hour(asked, found))


def test_what_overflows_a_large_instance_goes_to_a_small_one() -> None:
    """By hand: one A100 carries half of the short and all of the long requests, ten short ones a second are left.

    Two A10G carry just these: 3.67 + 2 x 1.01 = $5.69. Two A100 cost $7.34; 30/5 + 10/2 = 11 A10G $11.11. With one
    A10G the A100 would get 25/40 + 10/20 > 1. With more A10G, or with none of the A100, it is dearer.
    """
    asked, found = planned(
        {
            "schema": 1,
            "name": "by hand",
            "workloads": traffic(short=30, long=10),
            "plan": {
                "candidates": written(a10g=(1.01, {"short": 5, "long": 2}), a100=(3.67, {"short": 40, "long": 20}))
            },
        }
    )
    assert {"a10g": 2, "a100": 1} == instances(asked, found)
    assert 5.69 == pytest.approx(usd_per_hour(asked, found))
    assert_carried(asked, found)


def test_a_class_is_split_where_whole_slices_would_cost_more() -> None:
    """By hand: 12 requests a second, 10 on a machine of $2 and 2 on one of $0.50, cost $2.50.

    Undivided they need two large ones, $4, or six small ones, $3.
    """
    one = Published((12.0,), ((10.0,), (2.0,)), (2.0, 0.5), ("large", "small"))
    asked, found = planned(one.as_plan())
    assert {"large": 1, "small": 1} == instances(asked, found)
    assert 2.5 == pytest.approx(usd_per_hour(asked, found))
    assert 3.0 == pytest.approx(least_usd_per_hour(one, slices=1))
    assert 2.5 == pytest.approx(least_usd_per_hour(one, slices=6))


def test_what_cannot_meet_its_objective_is_never_chosen_for_it() -> None:
    """Under the tight objective only A100 and H100 carry requests of 1000 tokens at all."""
    asked, found = planned(problem("documents", 16, tight=True).as_plan())
    small = [j for j, option in enumerate(asked.options) if option.candidate in {"l4", "a10g"}]
    large = [b for b, name in enumerate(asked.workloads) if name in {"class 4", "class 5"}]
    assert 0.0 == capacity_rps("a10g", 1000, tight=True)
    assert not found.share[np.ix_(large, small)].any()
    assert_carried(asked, found)


@pytest.mark.parametrize("tight", [False, True], ids=["loose", "tight"])
@pytest.mark.parametrize("mix", MIXES)
@pytest.mark.parametrize("rate_rps", RATES_RPS)
def test_a_published_problem_costs_its_exact_fractional_optimum(mix: str, rate_rps: int, tight: bool) -> None:
    """And no more than the plan with slices, which is what its authors' program can reach."""
    one = problem(mix, rate_rps, tight=tight)
    asked, found = planned(one.as_plan())
    cost = usd_per_hour(asked, found)
    assert "optimal" == found.status
    assert least_usd_per_hour(one) == pytest.approx(cost, rel=1e-9)
    assert cost <= least_usd_per_hour(one, slices=4) * (1 + 1e-9)
    assert_carried(asked, found)


@pytest.mark.parametrize("mix", MIXES)
@pytest.mark.parametrize("rate_rps", [1, 4, 16])
def test_no_plan_at_all_is_cheaper(mix: str, rate_rps: int) -> None:
    """Every number of instances up to five of each of three kinds, the cheapest first."""
    one = problem(mix, rate_rps, tight=False, gpus=("a10g", "a100", "h100"))
    asked, found = planned(one.as_plan())
    assert least_by_search(one, most=5) == pytest.approx(usd_per_hour(asked, found), rel=1e-9)


@pytest.mark.parametrize("mix", MIXES)
def test_a_mix_is_never_dearer_than_one_kind_alone(mix: str) -> None:
    for rate_rps in RATES_RPS:
        one = problem(mix, rate_rps, tight=True)
        asked, found = planned(one.as_plan())
        for j, name in enumerate(one.names):
            alone = Published(one.demand_rps, (one.capacity_rps[j],), (one.usd_per_hour[j],), (name,))
            assert usd_per_hour(asked, found) <= least_usd_per_hour(alone) * (1 + 1e-9)


def test_the_cost_rises_with_the_rate() -> None:
    costs = []
    for rate_rps in RATES_RPS:
        asked, found = planned(problem("both", rate_rps, tight=True).as_plan())
        costs.append(usd_per_hour(asked, found))
    assert sorted(costs) == costs


def test_the_two_ways_to_the_optimum_agree_without_us() -> None:
    """Were SciPy's program wrong, the comparison above would be worth nothing."""
    for mix in MIXES:
        one = problem(mix, 8, tight=False, gpus=("a10g", "a100", "h100"))
        assert least_by_search(one, most=4) == pytest.approx(least_usd_per_hour(one))
