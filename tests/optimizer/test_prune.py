"""Options that another one makes superfluous are left out, and the cost of the cheapest plan stays what it was."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

from optimizer.answer import only
from optimizer.problem import PlanProblem, Quota
from optimizer.prune import undominated
from tests.optimizer.plan_problems import least_usd, option, problems, question


@settings(max_examples=40)
@given(problems())
def test_no_cheapest_plan_needs_what_was_left_out(problem: PlanProblem) -> None:
    """Left out by a false proof, an option would be missed by whoever could have had a cheaper plan.

    A twin of the first option is added that is a little better in one respect, so that something is left out.
    """
    first = replace(problem.options[0], name="twin", max_instances=None, spare=0, zones=1)
    twins = replace(problem, options=(*problem.options, first), min_accuracy=np.zeros(0))
    kept = undominated(twins)
    assert least_usd(twins) == pytest.approx(least_usd(only(twins, kept)), rel=1e-6)


@settings(max_examples=15)
@given(problems(starts=True))
def test_nor_over_hours(problem: PlanProblem) -> None:
    """The same, where starts and minimum up-times link the hours."""
    cheaper = replace(problem.options[0], name="twin", max_instances=None, usd_per_hour=problem.options[0].usd_per_hour)
    twins = replace(problem, options=(problem.options[0], cheaper), quotas=())
    assert least_usd(twins) == pytest.approx(least_usd(only(twins, undominated(twins))), rel=1e-6)


BETTER: dict[str, Any] = {"usd_per_hour": 1.0, "rps": [[6, 8]], "counts": (1, 4)}


@pytest.mark.parametrize(
    ("difference", "left_out"),
    [
        ({}, True),
        ({"usd_per_hour": 0.9}, False),
        ({"rps": [[6, 9]]}, False),
        ({"rps": [[7, 7]]}, False),
        ({"rps": [[5, 8]], "counts": (1, 3)}, False),
        ({"rps": [[5, 8]], "counts": (1, 5)}, True),
        ({"spare": 1}, True),
        ({"zones": 3}, True),
        ({"max_instances": 3}, True),
        ({"start_usd": 0.5}, True),
        ({"usd_per_request": [0.1]}, True),
        ({"accuracy": [0.9]}, False),
    ],
)
def test_an_option_is_left_out_if_it_is_better_in_nothing(difference: dict[str, Any], left_out: bool) -> None:
    """Both ways: what is better in one respect must stay, and what is worse in one and better in none must go."""
    given_options = option("good", **BETTER), option("other", **(BETTER | difference))
    asked = question([[30]], *given_options, min_accuracy=np.array([0.5]))
    assert left_out == (1 not in undominated(asked))


@pytest.mark.parametrize(
    "limit",
    [
        {"max_instances": 3},
        {"rps": [[6, 5]]},
        {"memory_gib": [30.0], "device_memory_gib": 24.0},
    ],
    ids=["has a limit", "carries less in company", "cannot hold its models"],
)
def test_an_option_that_cannot_take_all_replaces_none(limit: dict[str, Any]) -> None:
    """What it cannot take over must be left to the other."""
    asked = question([[30]], option("good", **(BETTER | limit)), option("other", 1.1, [5]))
    assert [0, 1] == undominated(asked).tolist()


def test_an_option_in_a_quota_replaces_only_others_in_it() -> None:
    """Moved into the quota, the load of an option outside could exceed it."""
    options = option("good", **BETTER), option("inside", 1.1, [5]), option("outside", 1.1, [5])
    asked = question([[30]], *options, quotas=(Quota("q", (0, 1), 3),))
    assert [0, 2] == undominated(asked).tolist()


def test_of_equal_options_the_first_is_kept() -> None:
    """Were all kept, the solver would try their counts in every order; were none, nobody would serve."""
    assert [0] == undominated(question([[30]], *(option(name, **BETTER) for name in "abc"))).tolist()
