"""The plan that is found is the cheapest there is, and says truly how sure that is."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings

from optimizer.problem import PlanProblem
from optimizer.solution import broken_rules, usd_per_month
from optimizer.solve import solve
from tests.optimizer.plan_problems import least_usd, problems


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


@settings(max_examples=60)
@given(problems())
def test_the_plan_is_the_cheapest_of_all(problem: PlanProblem) -> None:
    """A program that forgets a rule, or has one too many, finds another optimum than trying all counts does."""
    is_cheapest(problem)


@settings(max_examples=25)
@given(problems(starts=True))
def test_the_plan_over_hours_is_the_cheapest_of_all(problem: PlanProblem) -> None:
    """Starts and minimum up-times link hours: a plan that is best in each of them need not be."""
    is_cheapest(problem)
