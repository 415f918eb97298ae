"""Work that goes on beside the page: how far it is, what it gave, and how to stop it.

It runs in a thread of the app. Stopping is heard of at once by the page, and by the work where it next says how far it
is; what it gives after that is nobody's.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Final, Generic, Literal, TypeVar

from calibration.console import Watch
from calibration.problems import InputError, Problem

Given = TypeVar("Given")
State = Literal["running", "found", "refused", "stopped", "failed"]

STARTING: Final = "starting"


class _StoppedError(Exception):
    """Nobody wants the answer any more."""


class Work(Generic[Given]):
    """One piece of work, begun when it is made."""

    def __init__(self, task: Callable[[Watch], Given], steps: int = 1) -> None:
        """Begin.

        Parameters
        ----------
        task
            What is to be done; it is given a watch to tell how far it is.
        steps
            Stages it usually has, for the length of a bar.
        """
        self.state: State = "running"
        self.value: Given | None = None
        self.problems: tuple[Problem, ...] = ()
        self.words = ""
        self._task = task
        self._steps = steps
        self._stages: list[str] = []
        self._share = 0.0
        self._begun = time.monotonic()
        self._ended = threading.Event()
        threading.Thread(target=self._run, daemon=True).start()

    @property
    def share(self) -> float:
        """How much of it is done, from 0 to 1; a guess from the stages that it usually has."""
        begun = max(len(self._stages) - 1, 0)
        return min(1.0, (begun + self._share) / max(self._steps, len(self._stages), 1))

    @property
    def said(self) -> str:
        """What is done now, and for how long it has been going on."""
        stage = self._stages[-1].rstrip(" .") if self._stages else STARTING
        return f"{stage} … {time.monotonic() - self._begun:.0f} s"

    def stop(self) -> None:
        """Give up on it."""
        if self.state == "running":
            self.state = "stopped"

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until it has ended; whether it has."""
        return self._ended.wait(seconds)

    def stage(self, words: str) -> None:
        """Hear from the work that this begins."""
        self._go_on()
        self._stages.append(words)
        self._share = 0.0

    def done(self, share: float) -> None:
        """Hear from the work how much of this stage is done."""
        self._go_on()
        self._share = min(1.0, max(0.0, share))

    def _go_on(self) -> None:
        if self.state == "stopped":
            raise _StoppedError

    def _run(self) -> None:
        try:
            value = self._task(self)
            if self.state == "running":
                self.value, self.state = value, "found"
        except _StoppedError:
            pass
        except InputError as error:
            if self.state == "running":
                self.problems, self.state = tuple(error.problems), "refused"
        except Exception as error:
            if self.state == "running":
                self.words, self.state = f"{type(error).__name__}: {error}", "failed"
            logging.getLogger(__name__).exception("work beside the page failed")
        finally:
            self._ended.set()
