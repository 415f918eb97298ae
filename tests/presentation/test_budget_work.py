"""Work beside the page: how far it is, what it gives, and that it can be stopped."""

from __future__ import annotations

import threading

import pytest

from calibration.console import Watch
from calibration.problems import InputError, Problem
from presentation.budget_work import STARTING, Work

PATIENCE_S = 20


def test_it_gives_what_the_task_gives_and_says_how_far_it_is() -> None:
    def task(watch: Watch) -> int:
        watch.stage("first")
        watch.done(1.0)
        watch.stage("second ...")
        watch.done(0.5)
        return 7

    work = Work(task, steps=3)
    assert work.wait(PATIENCE_S)
    assert ("found", 7) == (work.state, work.value)
    assert work.share == pytest.approx(0.5)
    assert work.said.startswith("second …")


def test_bad_input_is_told_as_the_command_line_would() -> None:
    problem = Problem("demand.csv", 3, None, "demand", "must not be negative", "-1", "Mend it.")

    def task(_: Watch) -> int:
        raise InputError([problem])

    work = Work(task)
    assert work.wait(PATIENCE_S)
    assert ("refused", (problem,)) == (work.state, work.problems)


def test_what_is_stopped_ends_where_it_next_says_how_far_it_is() -> None:
    begun, go_on, went_on = threading.Event(), threading.Event(), threading.Event()

    def task(watch: Watch) -> int:
        begun.set()
        go_on.wait(PATIENCE_S)
        watch.stage("more")
        went_on.set()
        return 1

    work = Work(task)
    assert begun.wait(PATIENCE_S)
    assert work.said.startswith(STARTING)
    work.stop()
    assert "stopped" == work.state
    go_on.set()
    assert work.wait(PATIENCE_S)
    assert not went_on.is_set()
    assert work.value is None
    work.stop()
    assert "stopped" == work.state


def test_a_bug_is_said_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    def task(_: Watch) -> int:
        raise RuntimeError("no such thing")

    work = Work(task)
    assert work.wait(PATIENCE_S)
    assert ("failed", "RuntimeError: no such thing") == (work.state, work.words)
    assert "Traceback" in caplog.text
