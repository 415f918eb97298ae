"""What is said on stderr while a run lasts: progress for a person, lines for a log file, nothing when quiet."""

from __future__ import annotations

import io

import pytest

from calibration.console import Messages, Unwatched


class Terminal(io.StringIO):
    """A stderr that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def watched(messages: Messages) -> None:
    with messages.progress() as watch:
        watch.stage("compiling the engine, once")
        for share in (0.1, 0.5, 1.0):
            watch.done(share)


def test_a_log_file_gets_the_stages_and_no_bar(capsys: pytest.CaptureFixture[str]) -> None:
    """A bar in a log file is thousands of lines of noise."""
    watched(Messages())
    assert ("", "compiling the engine, once\n") == capsys.readouterr()


def test_quiet_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    messages = Messages(quiet=True)
    watched(messages)
    messages.say("wrote results")
    assert ("", "") == capsys.readouterr()


def test_a_terminal_gets_a_bar_that_vanishes(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    watched(Messages())
    shown = terminal.getvalue()
    assert "compiling the engine, once" in shown
    assert "100%" in shown
    assert shown.rstrip().endswith("\x1b[2K"), "the last thing done is to clear the line"


def test_nobody_watching_is_told_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    unwatched = Unwatched()
    unwatched.stage("compiling")
    unwatched.done(0.5)
    assert ("", "") == capsys.readouterr()
