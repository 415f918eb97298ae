"""A problem refuses arrays that do not belong together, and knows how many instances could ever be of use."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimizer.problem import CapacityCurve, PlanProblem, Quota, fewest_that_carry
from tests.optimizer.plan_problems import option, problems, question


@pytest.mark.parametrize(
    ("counts", "rates", "complaint"),
    [
        ([1, 2], [[3.0]], "one column for each count"),
        ([2, 3], [[3.0, 4.0]], "increase from 1"),
        ([1, 1], [[3.0, 4.0]], "increase from 1"),
        ([1], [[-3.0]], "not negative"),
        ([1], [[np.inf]], "finite"),
    ],
)
def test_a_curve_that_is_none_is_refused(counts: list[int], rates: list[list[float]], complaint: str) -> None:
    """A capacity out of a wrong column is a fleet of the wrong size."""
    with pytest.raises(ValueError, match=complaint):
        CapacityCurve(np.array(counts), np.array(rates))


def asked() -> PlanProblem:
    """One workload, one option."""
    return question([[20]], option("l4", 0.8, [6]))


@pytest.mark.parametrize(
    ("broken", "complaint"),
    [
        (lambda p: replace(p, demand_rps=np.array([[-1.0]])), "demand must be finite"),
        (lambda p: replace(p, demand_rps=np.ones((2, 1))), "demand must be"),
        (lambda p: replace(p, weight_h=np.array([-1.0])), "weights"),
        (lambda p: replace(p, quotas=(Quota("q", (1,), 3),)), "q: there are 1 options"),
        (lambda p: replace(p, options=p.options * 2), "names of their own"),
        (lambda p: replace(p, options=(option("l4", -0.8, [6]),)), "l4: prices"),
        (lambda p: replace(p, options=(option("l4", np.nan, [6]),)), "l4: prices"),
        (lambda p: replace(p, options=(option("l4", 0.8, [6], start_usd=-1.0),)), "l4: prices"),
        (lambda p: replace(p, options=(option("l4", 0.8, [6, 6]),)), "l4: arrays"),
        (lambda p: replace(p, options=(option("l4", 0.8, [6], zones=0),)), "l4: counts"),
        (lambda p: replace(p, min_accuracy=np.ones(2)), "accuracy floors"),
    ],
)
def test_arrays_that_do_not_belong_together_are_refused(
    broken: Callable[[PlanProblem], PlanProblem], complaint: str
) -> None:
    """NumPy would broadcast a wrong shape into a wrong plan."""
    with pytest.raises(ValueError, match=complaint):
        broken(asked())


@given(st.integers(0, 60), st.integers(0, 3), st.integers(1, 5))
def test_as_many_run_as_must_survive(survivors: int, spare: int, zones: int) -> None:
    """One fewer would not be enough, were the largest zone and the spares lost; so many are."""
    chosen = option("l4", 0.8, [6], spare=spare, zones=zones)
    running = chosen.running(survivors)
    assert chosen.survivors(running) >= survivors
    assert survivors == 0 or chosen.survivors(running - 1) < survivors


def test_a_load_that_is_whole_but_for_rounding_needs_no_instance_more() -> None:
    """0.1 + 0.2 instances' worth of load, ten times over, is 3 instances' worth."""
    assert 3 == fewest_that_carry(10 * (0.1 + 0.2))
    assert 4 == fewest_that_carry(3.000001)


def test_no_more_instances_are_of_use_than_carry_everything_alone() -> None:
    """30 requests per second: 5 instances at 6 each, or 4 once four of them carry 8 each."""
    assert 5 == question([[30]], option("a", 1, [6])).most_survivors[0, 0]
    assert 4 == question([[30]], option("a", 1, [[6, 8]], counts=(1, 4))).most_survivors[0, 0]
    assert 2 == question([[30]], option("a", 1, [6], max_instances=3, zones=2, spare=0)).most_survivors[0, 0] + 1
    assert 0 == question([[30]], option("a", 1, [0])).most_survivors[0, 0]
    assert 0 == question([[0]], option("a", 1, [6])).most_survivors[0, 0]


@given(problems())
def test_segments_cover_each_count_once(problem: PlanProblem) -> None:
    """A count on two segments, or on none, has two capacities or none."""
    for j, chosen in enumerate(problem.options):
        for t in range(len(problem.hours)):
            found = [(i, count) for i, low, high in problem.segments(j, t) for count in range(low, high + 1)]
            assert [(chosen.curve.segment(count), count) for _, count in found] == found
            assert list(range(1, int(problem.most_survivors[j, t]) + 1)) == [count for _, count in found]
