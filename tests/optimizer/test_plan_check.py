"""Entries of a plan file that are sound by themselves and do not go together."""

from __future__ import annotations

from typing import Any

import pytest

from calibration.problems import Problem
from optimizer import plan_check
from tests.optimizer.questions import asked, limited, plan, problems_in, question

STATED: dict[str, Any] = {"name": "s", "usd_per_hour": 2.0, "capacity_rps": {"w": 50}}


def only(content: dict[str, Any]) -> Problem:
    """The one problem of a plan."""
    (problem,) = problems_in(content)
    return problem


def with_candidates(*candidates: dict[str, Any], **keys: Any) -> dict[str, Any]:
    return limited(plan(), candidates=list(candidates), **keys)


def test_candidates_have_names_of_their_own() -> None:
    problem = only(with_candidates(STATED, STATED))
    assert ("plan.candidates.1.name", "is the name of candidate 0 (from 0), too") == (problem.path, problem.rule)


@pytest.mark.parametrize("key", ["accuracy", "model_memory", "added_latency"])
def test_a_workload_that_is_not_there_is_named_with_the_nearest(key: str) -> None:
    value = {"accuracy": 0.5, "model_memory": "1GiB", "added_latency": "1ms"}[key]
    content = plan(**{key: {"w": value, "ww": value}, **({"memory": "8GiB"} if key == "model_memory" else {})})
    problem = only(content)
    assert f"plan.candidates.0.{key}.ww" == problem.path
    assert "Did you mean 'w'? There are: w." == problem.remedy


def test_a_quota_names_candidates_that_are_there() -> None:
    problem = only(limited(plan(), quotas={"eu": {"candidates": ["l5"], "max_instances": 3}}))
    assert "plan.quotas.eu.candidates.0" == problem.path
    assert "There are: l4." == problem.remedy


def test_a_workload_that_nobody_serves_is_named() -> None:
    problem = only(asked(with_candidates(STATED), "v"))
    assert ("workloads.v", "is served by no candidate") == (problem.path, problem.rule)
    assert "Add v to the profiles" in problem.remedy


def test_a_workload_that_somebody_else_serves_may_be_absent_from_a_candidate() -> None:
    other = STATED | {"name": "t", "capacity_rps": {"v": 3}}
    assert 2 == len(question(asked(with_candidates(STATED, other), "v")).candidates)


def test_limits_that_leave_no_instance_contradict() -> None:
    none = STATED | {"max_instances": 0}
    assert "may have no instance: max_instances of s is 0" == only(with_candidates(none)).rule
    problem = only(with_candidates(STATED, quotas={"eu": {"candidates": ["s"], "max_instances": 0}}))
    assert ("workloads.w", "may have no instance: quota 'eu' of s is 0") == (problem.path, problem.rule)
    assert question(with_candidates(none, STATED | {"name": "t"})), "another candidate may have some"


def test_surviving_the_loss_of_an_instance_needs_two() -> None:
    problem = only(with_candidates(STATED | {"max_instances": 1}, survive="instance"))
    assert problem.rule.startswith("cannot survive the loss of an instance, for which a fleet needs 2")
    assert question(with_candidates(STATED | {"max_instances": 2}, survive="instance"))


def test_a_budget_below_the_cheapest_instance_contradicts() -> None:
    problem = only(with_candidates(STATED, max_usd_per_hour=1.5))
    assert "plan.max_usd_per_hour" == problem.path
    assert "does not pay for one instance of the cheapest candidate, at 2 an hour each" == problem.rule
    assert question(with_candidates(STATED, max_usd_per_hour=2.0))


def test_surviving_the_loss_of_a_zone_asks_how_many_there_are() -> None:
    """A candidate in a single zone would otherwise be lost whole, without a word."""
    assert "is required with survive: zone" == problems_in(with_candidates(STATED, survive="zone"))[0].rule
    problem = only(with_candidates(STATED | {"zones": 1}, survive="zone"))
    assert ("plan.survive", "has no effect, since every candidate has zones: 1") == (problem.path, problem.rule)
    assert "has no effect without survive: zone" == only(with_candidates(STATED | {"zones": 3})).rule
    assert question(with_candidates(STATED | {"zones": 3}, survive="zone"))


def test_accuracy_is_stated_where_it_is_asked_for() -> None:
    content = asked(with_candidates(STATED, STATED | {"name": "t", "accuracy": 0.8}), min_accuracy=0.7)
    problem = only(content)
    assert ("plan.candidates.0.accuracy", "is required, since workload 'w' has a min_accuracy") == (
        problem.path,
        problem.rule,
    )


def test_no_mean_is_above_the_most_accurate() -> None:
    candidates = (STATED | {"accuracy": 0.7}, STATED | {"name": "t", "accuracy": {"w": 0.8}})
    problem = only(asked(with_candidates(*candidates), min_accuracy=0.9))
    assert ("workloads.w.min_accuracy", "0.9") == (problem.path, problem.value)
    assert "is above the accuracy of every candidate that serves it, at most 0.8" == problem.rule
    assert question(asked(with_candidates(*candidates), min_accuracy=0.8))


def test_a_model_fits_into_its_accelerator() -> None:
    problem = only(with_candidates(STATED | {"memory": "8GiB", "model_memory": {"w": "9GiB"}}))
    assert "plan.candidates.0.model_memory.w" == problem.path


def test_what_is_simulated_needs_an_objective_and_what_is_stated_does_not() -> None:
    """A capacity without objective would be the edge of collapse."""
    problem = only(asked(plan(), slo=None))
    assert ("workloads.w.slo", "is required") == (problem.path, problem.rule[:11])
    assert {} == question(asked(with_candidates(STATED), slo=None)).workloads["w"].slo.targets_ns


def test_egress_needs_the_size_of_answers() -> None:
    assert "workloads.w.answer_size" == only(with_candidates(STATED | {"egress_usd_per_gb": 0.09})).path


def test_more_model_instances_than_were_measured_are_refused() -> None:
    content = plan(model_instances=[1, 3])
    content["profiles"]["toy"]["slowdown"] = [1, 1.5]
    problem = only(content)
    assert "plan.candidates.0.model_instances" == problem.path
    assert "must be at most 2, as many executions at once as profile 'toy' covers" == problem.rule
    assert "plan.candidates.0.slowdown" == only(plan(model_instances=[1, 3], slowdown=[1, 2])).path


def test_a_batch_beyond_what_was_measured_is_refused_unless_allowed() -> None:
    search = {"policy": "dynamic", "max_batch_size": [8, 32]}
    problem = only(plan(batching=search))
    assert "plan.candidates.0.batching.max_batch_size" == problem.path
    assert "with batches of 32: profile 'toy' covers batches of 1 to 16" in problem.rule
    assert question(plan(batching=search) | {"allow_extrapolation": True})


def test_a_request_fits_into_every_batch_that_is_tried() -> None:
    content = asked(plan(batching={"policy": "dynamic", "max_batch_size": [2, 16]}), items_per_request=3)
    problem = only(content)
    assert ("must be at least 3, the items of the largest request", "2") == (problem.rule, problem.value)


def test_a_search_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan_check, "MOST_SETTINGS", 3)
    problem = only(plan(model_instances=[1, 2, 3, 4]))
    assert ("plan.candidates", "4") == (problem.path, problem.value)


def test_a_broken_candidate_hides_nothing_of_the_others() -> None:
    """Nothing is said of what no candidate does while one of them cannot be read."""
    content = asked(with_candidates(STATED, {"name": "t", "usd_per_hour": -1, "capacity_rps": {"v": 3}}), "v")
    assert "plan.candidates.1.usd_per_hour" == only(content).path


def test_an_objective_below_the_service_time_is_no_error_of_the_file() -> None:
    """Whether anything meets it is what the plan answers, with the figure."""
    assert question(asked(plan(), slo={"p99": "1ms"}))
