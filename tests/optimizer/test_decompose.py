"""Parts that know nothing of each other: each workload in one, and their costs add up to that of the whole."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings

from optimizer.decompose import decompose
from optimizer.problem import PlanProblem, Quota
from tests.optimizer.plan_problems import least_usd, option, problems, question


@settings(max_examples=30)
@given(problems())
def test_the_parts_cost_what_the_whole_costs(problem: PlanProblem) -> None:
    """A rule that links two parts would be forgotten between them."""
    parts = decompose(problem)
    asked = np.zeros_like(problem.demand_rps)
    for part in parts:
        asked[np.ix_(part.workloads, part.hours)] += part.problem.demand_rps
    assert (problem.demand_rps == asked).all()
    apart = sum(least_usd(part.problem) * part.weight_h for part in parts)
    assert least_usd(problem) == pytest.approx(apart, rel=1e-6)


def shapes(problem: PlanProblem) -> list[tuple[list[int], list[int], list[int]]]:
    """Workloads, options and hours of each part."""
    return [(p.workloads.tolist(), p.options.tolist(), p.hours.tolist()) for p in decompose(problem)]


def test_hours_and_workloads_without_a_common_option_are_apart() -> None:
    """Two models, each on instances of its own, over two hours: four questions."""
    options = option("a", 1, [5, 0], hours=2), option("b", 1, [0, 5], hours=2)
    expected = [([0], [0], [0]), ([0], [0], [1]), ([1], [1], [0]), ([1], [1], [1])]
    assert expected == shapes(question([[9, 9], [9, 9]], *options))


def test_an_option_that_serves_two_workloads_links_them() -> None:
    """They share its instances."""
    options = option("a", 1, [5, 0]), option("b", 1, [5, 5])
    assert [([0, 1], [0, 1], [0])] == shapes(question([[9], [9]], *options))


def test_only_a_quota_that_could_be_exceeded_links() -> None:
    """Two instances of each are enough for all: a quota of 4 holds by itself, one of 3 does not."""
    options = option("a", 1, [5, 0]), option("b", 1, [0, 5])
    demand = [[9], [9]]
    assert 2 == len(shapes(question(demand, *options, quotas=(Quota("q", (0, 1), 4),))))
    assert 1 == len(shapes(question(demand, *options, quotas=(Quota("q", (0, 1), 3),))))


def test_a_budget_links_all_of_an_hour() -> None:
    """What one workload costs is not left for another."""
    options = option("a", 1, [5, 0], hours=2), option("b", 1, [0, 5], hours=2)
    assert 2 == len(shapes(question([[9, 9], [9, 9]], *options, max_usd_per_hour=5.0)))


@pytest.mark.parametrize("rule", [{"start_usd": 1.0}, {"min_up_hours": 2}])
def test_starts_link_the_hours_of_their_option_alone(rule: dict[str, float]) -> None:
    """Whether an instance is started depends on the hour before; another model's instances do not care."""
    options = option("a", 1, [5, 0], hours=2, **rule), option("b", 1, [0, 5], hours=2)
    expected = [([0], [0], [0, 1]), ([1], [1], [0]), ([1], [1], [1])]
    assert expected == shapes(question([[9, 9], [9, 9]], *options))


def test_hours_that_differ_in_name_and_weight_alone_are_one_question() -> None:
    """A month of equal nights is planned once."""
    nights = question([[9, 9, 8]], option("a", 1, [5], hours=3), weight_h=np.array([200.0, 100.0, 430.0]))
    first, second, third = decompose(nights)
    assert first.key == second.key != third.key
    assert [200.0, 100.0, 430.0] == [first.weight_h, second.weight_h, third.weight_h]
