"""What may be written of a candidate, and what follows from it."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from optimizer.plan_spec import BatchingSearch, Candidate, PlanWorkload
from tests.optimizer.questions import asked, plan, problems_in


def candidate(**keys: Any) -> Candidate:
    return Candidate.model_validate({"name": "c", "usd_per_hour": 1.0, "profile": "toy"} | keys)


def batching(**keys: Any) -> BatchingSearch:
    return BatchingSearch.model_validate(keys)


def test_every_combination_of_the_lists_is_tried_once() -> None:
    search = batching(policy="dynamic", max_batch_size=[4, 16, 4], max_queue_delay=["0ms", "5ms"])
    found = [(one.max_batch_size, one.max_queue_delay_ns) for one in search.settings()]
    assert [(4, 0), (4, 5_000_000), (16, 0), (16, 5_000_000)] == found


def test_one_value_stands_for_a_list_of_one() -> None:
    assert batching(policy="dynamic", max_batch_size=[4]) == batching(policy="dynamic", max_batch_size=4)
    assert (2,) == candidate(model_instances=2).model_instances


def test_preferred_sizes_are_kept_as_far_as_each_batch_size_allows() -> None:
    """A list that suits one size must not spoil the search of the others."""
    search = batching(policy="dynamic", max_batch_size=[4, 16], preferred_batch_sizes=[2, 8])
    assert [(2,), (2, 8)] == [one.preferred_batch_sizes for one in search.settings()]


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({"policy": "dynamic"}, "max_batch_size: is required with policy dynamic"),
        ({"policy": "static", "max_batch_size": 4, "max_queue_delay": ["0ms", "5ms"]}, "has no effect with policy"),
        ({"max_batch_size": [4, 8]}, "has several entries and no effect with policy none"),
        ({"policy": "dynamic", "max_batch_size": [4, 8], "preferred_batch_sizes": [16]}, "must be at most max_batch_"),
        ({"policy": "dynamic", "max_batch_size": []}, "at least 1"),
        ({"policy": "dynamic", "max_batch_size": 0}, "greater than or equal to 1"),
    ],
)
def test_settings_without_effect_are_refused(keys: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        batching(**keys)


@pytest.mark.parametrize(
    ("keys", "path", "rule"),
    [
        ({"profile": None}, "profile", "is required, or profiles, or capacity_rps"),
        ({"capacity_rps": {"w": 3}}, "capacity_rps", "contradicts profile"),
        ({"profiles": {"w": "toy"}}, "profiles", "contradicts profile"),
        ({"profile": None, "capacity_rps": {"w": 3}, "router": "random"}, "router", "has no effect beside"),
        ({"profile": None, "capacity_rps": {}}, "capacity_rps", "must have at least 1 entry"),
        ({"profile": None, "capacity_rps": {"w": 0}}, "capacity_rps.w", "must be greater than 0"),
        ({"memory": "24GiB"}, "memory", "has no effect without model_memory"),
        ({"model_memory": "2GiB"}, "memory", "is required beside model_memory"),
        ({"memory": 24}, "memory", "needs a unit"),
        ({"slowdown": [2]}, "slowdown", "must start with 1"),
        ({"accuracy": 1.5}, "accuracy", "must be at most 1"),
        ({"accuracy": {"w": -1}}, "accuracy.w", "must be at least 0"),
        ({"max_instances": 2.5}, "max_instances", "must be a whole number"),
        ({"added_latency": 20}, "added_latency", "needs a unit"),
        ({"colour": "red"}, "colour", "is not a known key"),
        ({"purchase": "spot"}, "purchase", "is a purchase that this version does not bill, only on_demand"),
    ],
)
def test_what_contradicts_or_has_no_effect_is_named(keys: dict[str, Any], path: str, rule: str) -> None:
    found = {problem.path: problem.rule for problem in problems_in(plan(**keys))}
    assert found[f"plan.candidates.0.{path}"].startswith(rule)


def test_a_candidate_serves_what_it_has_a_profile_or_a_capacity_for() -> None:
    stated = candidate(profile=None, capacity_rps={"short": 3})
    each = candidate(profile=None, profiles={"short": "toy"})
    for one in (stated, each):
        assert (True, False) == (one.serves("short"), one.serves("long"))
    assert candidate().serves("anything")
    assert ("toy", "toy", None, None) == (
        candidate().profile_of("short"),
        each.profile_of("short"),
        each.profile_of("long"),
        stated.profile_of("short"),
    )


def test_what_is_given_once_holds_for_every_workload() -> None:
    def found(one: Candidate, workload: str) -> tuple[float | None, int, int]:
        return one.accuracy_of(workload), one.model_bytes_of(workload), one.added_latency_ns_of(workload)

    values = {"accuracy": 0.9, "model_memory": "2GiB", "added_latency": "20ms"}
    each = candidate(memory="8GiB", **{key: {"w": value} for key, value in values.items()})
    assert (0.9, 2 << 30, 20_000_000) == found(candidate(memory="8GiB", **values), "w") == found(each, "w")
    assert (None, 0, 0) == found(each, "v")


def test_egress_is_billed_by_the_size_of_the_answers() -> None:
    """A million answers of 1 MB at $0.09 a GB are $90, beside the fee of a dollar."""
    content = asked(plan(), answer_size="1MB")["workloads"]["w"]
    one = candidate(usd_per_request=1e-6, egress_usd_per_gb=0.09)
    assert 91.0 == pytest.approx(1e6 * one.usd_per_request_of(PlanWorkload.model_validate(content)))


def test_an_objective_that_names_nothing_is_refused() -> None:
    (problem,) = problems_in(asked(plan(), slo={}))
    assert ("workloads.w.slo", "names no objective") == (problem.path, problem.rule)
    (problem,) = problems_in(asked(plan(), slo={"ttft_p99": "1s"}))
    assert "is an objective of LLM serving" in problem.rule
