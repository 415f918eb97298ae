"""What is edited becomes what ``--set`` would say, and nothing else is said."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from calibration.problems import InputError
from optimizer.plan_file import load_plan
from presentation.door import edited_yaml, given_shipped, workspace
from presentation.library import shipped
from presentation.plan_controls import (
    AT_ONCE,
    BATCHES,
    MACHINE,
    MOST,
    NAME,
    PRICE,
    PROFILE,
    QUOTA,
    STATED,
    TOGETHER,
    USED,
    WAITS,
    Asked,
    asked_changes,
    asked_of,
    candidate_changes,
    candidate_rows,
    filled_rows,
    limit_changes,
    limits_of,
    quota_changes,
    quota_rows,
)
from tests.presentation.sample_plans import given, question_of


def values_of(name: str = "plan_stated") -> dict[str, Any]:
    """What a shipped plan file says."""
    with workspace(given_shipped(shipped("plan")[name])) as space:
        return space.values()


def edited(row: int, column: str, value: Any) -> tuple[str, ...]:
    """What it says that one cell was changed."""
    rows = candidate_rows(values_of())
    rows[row][column] = value
    return candidate_changes(values_of(), rows)


@pytest.mark.parametrize("name", ["plan_stated", "plan_mix"])
def test_what_was_not_edited_is_not_said(name: str) -> None:
    values = values_of(name)
    assert () == candidate_changes(values, candidate_rows(values))
    assert () == quota_changes(values, quota_rows(values))


@pytest.mark.parametrize(
    ("row", "column", "value", "said"),
    [
        (0, PRICE, 0.79, ("plan.candidates.a10g.usd_per_hour=0.79",)),
        (1, MOST, 3.0, ("plan.candidates.a100.max_instances=3",)),
        (1, MOST, float("nan"), ("plan.candidates.a100.max_instances=null",)),
        (2, MACHINE, "g6.2xlarge", ("plan.candidates.l4.instance_type=g6.2xlarge",)),
        (2, BATCHES, "4, 16, 32", ("plan.candidates.l4.batching.max_batch_size=[4, 16, 32]",)),
        (2, BATCHES, "16", ("plan.candidates.l4.batching.max_batch_size=16",)),
        (2, WAITS, "2ms", ("plan.candidates.l4.batching.max_queue_delay=2ms",)),
        (2, AT_ONCE, "1, 2", ("plan.candidates.l4.model_instances=[1, 2]",)),
        (0, STATED, "short: 6", ('plan.candidates.a10g.capacity_rps={"short": 6}',)),
        (2, PROFILE, "bert-large-triton-fp16-t4",
         ("plan.candidates.l4.profiles=null", "plan.candidates.l4.profile=bert-large-triton-fp16-t4")),
        (2, PROFILE, "short: toy, long: toy", ('plan.candidates.l4.profiles={"short": "toy", "long": "toy"}',)),
    ],
)  # fmt: skip
def test_an_edited_cell_is_said_by_its_path(row: int, column: str, value: Any, said: tuple[str, ...]) -> None:
    assert said == edited(row, column, value)


def test_batch_sizes_for_who_had_none_are_batched() -> None:
    said = edited(0, BATCHES, "8")
    assert ("plan.candidates.a10g.batching.policy=dynamic", "plan.candidates.a10g.batching.max_batch_size=8") == said


def test_a_candidate_that_is_unticked_leaves_the_file_and_the_others_stay_as_written() -> None:
    values = values_of()
    rows = candidate_rows(values)
    rows[0][USED] = False
    (said,) = candidate_changes(values, rows)
    given_file = given_shipped(shipped("plan")["plan_stated"])
    with workspace(given_file) as space:
        question = space.opened_by(load_plan, [said])
        own = space.opened_by(load_plan)
    assert ["a100", "l4"] == [one.name for one in question.candidates]
    assert own.candidates[1:] == question.candidates
    assert "a10g" not in edited_yaml(given_file, [said]).partition("plan:")[2]


def test_a_row_that_is_added_is_a_candidate() -> None:
    values = values_of()
    new = {NAME: "t4", MACHINE: "g4dn.xlarge", PROFILE: "bert-large-triton-fp16-t4", BATCHES: "8", USED: None}
    (said,) = candidate_changes(values, [*candidate_rows(values), new])
    with workspace(given_shipped(shipped("plan")["plan_stated"])) as space:
        question = space.opened_by(load_plan, [said])
    assert ("t4", "g4dn.xlarge") == (question.candidates[-1].name, question.candidates[-1].instance_type)


def test_a_row_without_a_name_is_refused_by_the_door() -> None:
    values = values_of()
    (said,) = candidate_changes(values, [*candidate_rows(values), {PRICE: 2.0}])
    with (
        workspace(given_shipped(shipped("plan")["plan_stated"])) as space,
        pytest.raises(InputError, match=r"plan\.candidates\.3"),
    ):
        space.opened_by(load_plan, [said])


def test_limits_over_several_candidates_are_said_as_a_whole() -> None:
    rows = [{QUOTA: "gpus", TOGETHER: "a100, l4", MOST: 4.0}, {QUOTA: None, TOGETHER: None, MOST: None}]
    said = quota_changes(values_of(), rows)
    assert ('plan.quotas={"gpus": {"candidates": ["a100", "l4"], "max_instances": 4}}',) == said
    with workspace(given_shipped(shipped("plan")["plan_stated"])) as space:
        space.opened_by(load_plan, said)
        assert [{QUOTA: "gpus", TOGETHER: "a100, l4", MOST: 4}] == quota_rows(space.values(said))


def test_objectives_and_traffic_are_said_where_they_moved() -> None:
    question = question_of()
    own = asked_of(question)
    assert {"chat": Asked(100, {"p99": 200.0})} == own
    assert () == asked_changes(question, own)
    moved = {"chat": Asked(150, {"p99": 150.0})}
    said = ("workloads.chat.arrivals.rate=45", "workloads.chat.slo.p99=150ms")
    assert said == asked_changes(question, moved)
    assert moved["chat"].slo_ms == asked_of(question_of(given().text, *said))["chat"].slo_ms


def test_limits_of_the_plan_are_said_where_they_moved() -> None:
    question = question_of()
    own = limits_of(question)
    assert () == limit_changes(question, own)
    moved = replace(own, max_usd_per_hour=7.5, survive="instance", time_limit_s=30.0)
    said = ("plan.max_usd_per_hour=7.5", "plan.survive=instance", "plan.time_limit=30s")
    assert said == limit_changes(question, moved)
    assert moved == limits_of(question_of(given().text, *said))


def test_to_read_only_columns_that_say_something_are_shown() -> None:
    assert [NAME, PRICE, MOST, STATED] == list(filled_rows({"plan": question_values()})[0])


def question_values() -> dict[str, Any]:
    """The plan section of the small plan."""
    with workspace(given()) as space:
        section: dict[str, Any] = space.values()["plan"]
        return section


def test_a_file_without_a_plan_has_no_rows() -> None:
    assert [] == candidate_rows({"plan": None})
    assert [] == quota_rows({})
