"""Plans without a search, and bounds without one: allowed, never below the cheapest, never above it."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings

from optimizer import hourwise
from optimizer.answer import answer, borrowed, bounded, in_no_time, mended, values
from optimizer.problem import PlanProblem
from optimizer.rounding import kept_running, one_option_each, rounded_up
from optimizer.routing import level
from optimizer.solution import broken_rules, usd_per_month
from tests.optimizer.plan_problems import HOURLY_FEE, least_usd, option, problems, question

ROUNDING = 1e-6


@settings(max_examples=25)
@given(problems())
def test_rounding_up_brackets_the_least_cost(problem: PlanProblem) -> None:
    """A bound above the least cost would call a dear plan optimal."""
    least = least_usd(problem)
    program, bound = rounded_up(problem, 10.0)
    if least < math.inf:
        assert bound <= least * (1 + ROUNDING) + ROUNDING
    if program is not None:
        fleets = mended(problem, *values(program))
        if fleets is not None:
            assert least <= usd_per_month(problem, fleets.running, fleets.share) + ROUNDING


@settings(max_examples=15)
@given(problems(starts=True))
def test_planning_hour_by_hour_brackets_the_least_cost(problem: PlanProblem) -> None:
    """The multipliers of the links must never lift the bound above what a plan costs."""
    least = least_usd(problem)
    for prices in (hourwise.monthly_prices(problem, 10.0), None):
        hours = hourwise.hours_of(problem, prices)
        found = hourwise.joined(problem, [answer(hour, 0.0, 10.0) for hour in hours])
        if least < math.inf:
            assert found.bound <= least * (1 + ROUNDING) + ROUNDING
        if found.fleets is not None:
            assert least <= found.usd + ROUNDING
            assert [] == broken_rules(problem, found.fleets.running, found.fleets.survivors, found.fleets.share)


@settings(max_examples=25)
@given(problems())
def test_a_bound_alone_is_not_above_the_least_cost(problem: PlanProblem) -> None:
    """The rows that make it strong must be implied by the others."""
    found = bounded(problem, 0.0, 10.0)
    assert found.bound <= least_usd(problem) * (1 + ROUNDING) + ROUNDING


def test_a_borrowed_plan_grows_to_what_its_hour_asks() -> None:
    """Three instances carry 18; the hour asks for 40, so there are seven."""
    small, large = option("a", 1.0, [6]), option("b", 5.0, [40])
    found = borrowed(question([[40]], small, large), {"a": 3})
    assert found.fleets is not None
    assert [[7], [0]] == found.fleets.running.tolist()
    assert (7.0, 0.0) == (found.usd, found.bound)


def test_a_plan_of_options_that_cannot_serve_is_not_borrowed() -> None:
    """An hour with another workload has no use for it."""
    asked = question([[40], [40]], option("a", 1.0, [6, 0]), option("b", 5.0, [0, 40]))
    assert borrowed(asked, {"a": 7}).fleets is None


@settings(max_examples=25)
@given(problems())
def test_a_plan_in_no_time_is_a_plan_or_none(problem: PlanProblem) -> None:
    """What is shown when the time is up must hold all the same."""
    found = in_no_time(problem)
    assert 0.0 == found.bound
    if found.fleets is not None:
        assert [] == broken_rules(problem, found.fleets.running, found.fleets.survivors, found.fleets.share)
        assert least_usd(problem) <= found.usd + ROUNDING


def test_each_workload_goes_where_it_is_cheapest_alone() -> None:
    """Fees count: 20 requests per second at 0.02 dollars an hour each outweigh a price lower by 0.3."""
    fees = {"usd_per_request": [0.02 / HOURLY_FEE]}
    survivors, share = one_option_each(question([[20]], option("far", 0.7, [20], **fees), option("near", 1.0, [20])))
    assert [[0], [1]] == survivors.tolist()
    assert [[[0.0], [1.0]]] == share.tolist()


def test_an_instance_is_kept_where_starting_it_again_costs_more() -> None:
    """An hour's pause at 0.8 dollars is cheaper than a start at 1, and dearer than one at 0.5."""
    needed = np.array([[2, 1, 2]])
    for start_usd, expected in ((1.0, [2, 2, 2]), (0.5, [2, 1, 2])):
        asked = question([[20, 10, 20]], option("a", 0.8, [10], hours=3, start_usd=start_usd))
        assert expected == kept_running(asked, needed)[0].tolist()


def test_an_instance_stays_for_its_minimum_up_time() -> None:
    """Started for one hour, it runs for two."""
    asked = question([[0, 10, 0]], option("a", [0.9, 0.8, 0.8], [10], hours=3, min_up_hours=2))
    assert [0, 1, 1] == kept_running(asked, np.array([[0, 1, 0]]))[0].tolist()


def test_levelled_shares_load_the_fleets_alike() -> None:
    """Two fleets of 3 and 1 instances, 20 requests per second at 10 an instance: both are half busy."""
    asked = question([[20]], option("a", 1, [10]), option("b", 1, [10]))
    share = level(asked, np.array([[3], [1]]), np.array([[[0.5], [0.5]]]))
    assert share is not None
    assert [0.75, 0.25] == pytest.approx(share[0, :, 0].tolist())
