"""A search runs in a process of its own: it answers, refuses, and can be stopped."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path

import pytest

from presentation.door import given_shipped, workspace
from presentation.library import shipped
from presentation.plan_process import Job
from presentation.plan_run import Effort, Progress, Search, effort, key_of
from tests.presentation.sample_plans import BY_HOUR, given, plan_of, question_of

PATIENCE_S = 120


def test_a_search_finds_the_plan_of_the_library() -> None:
    search = Search(Job(given(BY_HOUR)))
    assert search.wait(PATIENCE_S)
    assert ("found", "") == (search.state, search.words)
    assert search.plan is not None
    assert plan_of(BY_HOUR) == replace(search.plan, timing_s=plan_of(BY_HOUR).timing_s, rounds=plan_of(BY_HOUR).rounds)
    assert "looking for the cheapest plan" in search.progress.stages


def test_a_search_for_a_frontier_begins_at_the_plan() -> None:
    text = BY_HOUR.replace("usd_per_hour: 1,", "usd_per_hour: 1, accuracy: 0.8,").replace(
        "usd_per_hour: 3,", "usd_per_hour: 3, accuracy: 0.9,"
    )
    search = Search(Job(given(text), (), plan_of(text)))
    assert search.wait(PATIENCE_S)
    assert ["accuracy"] == [frontier.kind for frontier in search.frontiers]
    assert plan_of(text).usd_per_month == min(point.usd_per_month or 1e9 for point in search.frontiers[0].points)


def test_a_file_that_is_wrong_is_refused_with_the_messages_of_the_command_line() -> None:
    search = Search(Job(given(), ("plan.candidates.big.max_instances=many",)))
    assert search.wait(PATIENCE_S)
    assert "refused" == search.state
    assert "plan.candidates.0.max_instances: must be a whole number" in str(search.problems[0])


def test_a_search_can_be_stopped_at_any_moment(tmp_path: Path) -> None:
    search = Search(Job(given_shipped(shipped("plan")["plan_mix"]), cache=tmp_path))
    until = time.monotonic() + PATIENCE_S
    while not search.progress.stages and time.monotonic() < until:
        time.sleep(0.05)
    assert "running" == search.state
    search.stop()
    assert search.wait(PATIENCE_S)
    assert ("stopped", None) == (search.state, search.plan)
    search.stop()  # does nothing any more
    with pytest.raises(ProcessLookupError):
        os.kill(search._process.pid, 0)


def test_a_process_that_dies_is_told() -> None:
    search = Search(Job(given_shipped(shipped("plan")["plan_mix"])))
    search._process.kill()
    assert search.wait(PATIENCE_S)
    assert "failed" == search.state
    assert search.words.startswith("the search ended with code -9")


def test_progress_says_which_plan_of_a_frontier_it_is() -> None:
    assert "starting, 0 s" == Progress().words
    stages = ("planning for 3", "simulating the plan", "planning for 2", "simulating the plan ...")
    assert "planning for 2 (2): simulating the plan: 50%, 61 s" == Progress(stages, 0.5, 61.2).words


def test_a_question_is_known_by_what_it_says_and_not_by_how_it_came_about() -> None:
    with workspace(given(BY_HOUR)) as space, workspace(given(BY_HOUR + "# again\n")) as again:
        assert key_of(space, ()) == key_of(space, ["plan.candidates.big.max_instances=8"]) == key_of(again, ())
        assert key_of(space, ()) != key_of(space, ["plan.candidates.big.max_instances=7"])
        other = replace(space.given, files={"day.csv": b"start,requests\n"})
        with workspace(other) as changed:
            assert key_of(space, ()) != key_of(changed, ())


def test_the_effort_counts_capacities_that_are_not_known(tmp_path: Path) -> None:
    assert Effort(0, 0, 4) == effort(question_of(BY_HOUR), tmp_path)
    with workspace(given_shipped(shipped("plan")["plan_mix"])) as space:
        from optimizer.plan_file import load_plan

        assert Effort(0, 6, 24) == effort(space.opened_by(load_plan), tmp_path)
    assert "all capacities are known from before; the fleets are still to be simulated" == Effort(2, 0, 1).words
