"""Where there is no plan, the limit that leaves none is named, with the nearest value that would do."""

from __future__ import annotations

from typing import Any

import pytest

from optimizer.evidence import Refusal
from optimizer.infeasible import what_to_relax
from optimizer.plan import Binding
from optimizer.relax import limits_of, relaxed
from optimizer.solution import NoPlanInTimeError
from optimizer.solve import solve
from tests.optimizer.proofs import l4s, poisson, prepared, stated_problem, two
from tests.optimizer.questions import asked, limited, plan, question

DAY = {"process": "rate_series", "requests": [3_600 * rate for rate in (200, 420, 300)], "interval": "1h"}


def stated(rate: float = 420.0, **keys: Any) -> dict[str, Any]:
    """One candidate that carries 37.5 requests per second an instance."""
    own = {"name": "a100", "profile": None, "capacity_rps": {"w": 37.5}} | keys
    return asked(plan(**own), arrivals=poisson(rate))


def why_not(content: dict[str, Any]) -> tuple[Binding, ...]:
    found = question(content)
    problem = stated_problem(found, {})
    solution = solve(problem)
    assert "infeasible" == solution.status
    return what_to_relax(found, problem, solution)


def test_a_limit_on_instances_is_named_with_the_count_that_would_do() -> None:
    (only,) = why_not(stated(max_instances=8))
    assert ("max_instances", "a100", 8.0, 12.0) == (only.limit, only.where, only.value, only.needed)
    expected = "at most 8 of a100 carry 300 of the 420 requests/s of w asked all day; 12 would do"
    assert expected == only.words


def test_the_hour_that_is_short_is_named() -> None:
    (only,) = why_not(asked(stated(max_instances=8), arrivals=DAY))
    assert 12.0 == only.needed
    assert "300 of the 420 requests/s of w asked at 01:00" in only.words


def test_a_quota_is_named_by_its_name() -> None:
    content = limited(stated(), quotas={"reserved": {"candidates": ["a100"], "max_instances": 8}})
    (only,) = why_not(content)
    assert ("quota", "reserved", 8.0, 12.0) == (only.limit, only.where, only.value, only.needed)
    assert "a100 (quota reserved)" in only.words


def test_each_limit_that_could_give_way_alone_is_named() -> None:
    content = stated(max_instances=8)
    other = {"name": "t4", "usd_per_hour": 0.5, "capacity_rps": {"w": 10}, "max_instances": 2}
    found = why_not(limited(content, candidates=[*content["plan"]["candidates"], other]))
    assert {("a100", 11.0), ("t4", 12.0)} == {(one.where, one.needed) for one in found}
    assert all(", with whatever else may run, carry 320 of the 420" in one.words for one in found)


def test_limits_that_must_give_way_together_are_all_named() -> None:
    found = why_not(limited(stated(max_instances=8), max_usd_per_hour=7.0))
    assert ["max_instances", "budget"] == [one.limit for one in found]
    assert [12.0, pytest.approx(9.6)] == [one.needed for one in found]
    assert all(one.words.endswith("other limits must give way with it") for one in found)


def test_a_budget_is_named_with_what_a_plan_costs() -> None:
    (only,) = why_not(limited(stated(), max_usd_per_hour=7.0))
    assert ("budget", 7.0, 9.6) == (only.limit, only.value, only.needed)
    assert "$7.00 an hour pays for 300 of the 420 requests/s of w asked all day; $9.60 would do" == only.words


def test_a_loss_that_cannot_be_borne_is_named() -> None:
    found = why_not(limited(stated(max_instances=12), survive="instance"))
    assert {("max_instances", 13.0), ("survive", None)} == {(one.limit, one.needed) for one in found}
    assert any("after the loss of an instance" in one.words for one in found)


def test_accuracy_that_too_few_instances_have_is_named_with_what_can_be_had() -> None:
    content = stated(accuracy=0.8, name="small")
    exact = {"name": "exact", "usd_per_hour": 2.0, "capacity_rps": {"w": 21}, "accuracy": 0.96, "max_instances": 10}
    content = limited(asked(content, min_accuracy=0.9), candidates=[*content["plan"]["candidates"], exact])
    found = {one.limit: one for one in why_not(content)}
    assert {"max_instances", "accuracy"} == set(found)
    # Ten exact ones answer half of the requests: 0.5 x 0.96 + 0.5 x 0.8.
    assert 0.88 == pytest.approx(found["accuracy"].needed, abs=0.0011)
    # 0.9 takes 0.625 of the requests: 262.5 / 21 = 12.5 instances.
    assert 13.0 == found["max_instances"].needed


def test_an_objective_below_the_service_time_is_told_with_what_the_service_takes() -> None:
    found, problem = prepared(two(l4s()), l4=[(0.0, 0.0, 0.0)], big=[(0.0, 0.0, 0.0)])
    refusals = [
        ("l4: batch 16", Refusal("w", "p99", 20.0, 48.1, "service")),
        ("big: batch 16", Refusal("w", "p99", 20.0, 24.01, "service")),
    ]
    (only,) = what_to_relax(found, problem, solve(problem), refusals)
    assert ("slo", "w", 20.0, 24.1) == (only.limit, only.where, only.value, only.needed)
    words = "no candidate meets p99 <= 20 ms for w: service alone takes 24 ms at batch 1 (least on big: batch 16)"
    assert words == only.words


def test_times_that_look_alike_are_told_apart() -> None:
    found, problem = prepared(l4s(), l4=[(0.0, 0.0, 0.0)])
    (only,) = what_to_relax(found, problem, solve(problem), [("l4", Refusal("w", "p99", 20.0, 20.3, "service"))])
    assert "p99 <= 20 ms" in only.words
    assert "takes 20.3 ms" in only.words


def test_waiting_that_no_load_spares_is_told_as_such() -> None:
    found, problem = prepared(l4s(), l4=[(0.0, 0.0, 0.0)])
    (only,) = what_to_relax(found, problem, solve(problem), [("l4", Refusal("w", "p99", 20.0, 50.0, "waiting"))])
    assert "requests wait for a batch or for one another" in only.words


def test_accuracy_that_no_candidate_has_within_the_objectives_is_told_with_the_best() -> None:
    content = asked(two(l4s(accuracy=0.91), accuracy=0.97), min_accuracy=0.95)
    found, problem = prepared(content, l4=[(350.0, 370.0, 380.0)], big=[(0.0, 0.0, 0.0)])
    (only,) = what_to_relax(found, problem, solve(problem))
    assert ("accuracy", "w", 0.95, 0.91) == (only.limit, only.where, only.value, only.needed)
    words = "no candidate that meets the objectives of w is accurate enough: the best has 0.91 (l4), asked 0.95"
    assert words == only.words


def test_what_is_needed_is_enough_and_less_is_not() -> None:
    found = question(limited(asked(stated(max_instances=8), arrivals=DAY), max_usd_per_hour=100.0))
    problem = stated_problem(found, {})
    (only,) = what_to_relax(found, problem, solve(problem))
    limits = limits_of(found, problem)
    limit = next(one for one in limits if one.kind == "max_instances")
    assert only.needed is not None
    assert "optimal" == solve(relaxed(problem, [(limit, only.needed)], limits)).status
    assert "infeasible" == solve(relaxed(problem, [(limit, only.needed - 1)], limits)).status


def test_when_no_time_is_left_it_is_still_said_how_much_is_carried() -> None:
    def late(*_: object, **__: object) -> Any:
        raise NoPlanInTimeError

    found = question(stated(max_instances=8))
    problem = stated_problem(found, {})
    (only,) = what_to_relax(found, problem, solve(problem), solver=late)
    assert "the candidates carry 300 of the 420 requests/s of w asked all day" == only.words


def test_memory_that_keeps_models_apart_is_named() -> None:
    content = asked(plan(profile=None, capacity_rps={"w": 10, "v": 10}), arrivals=poisson(10.0))
    content = asked(content, "v", arrivals=poisson(5.0))
    keys = {"memory": "10GiB", "model_memory": "8GiB", "max_instances": 2}
    candidate = content["plan"]["candidates"][0] | keys
    assert "memory" in {one.limit for one in why_not(limited(content, candidates=[candidate]))}
