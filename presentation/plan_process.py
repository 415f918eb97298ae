"""The process in which a plan is searched, apart from the app, so that it can be ended at any moment.

A pickled :class:`Job` comes on stdin, pickled frames go out on stdout: ``("stage", words)``, ``("done", share)``, then
``("plan", plan, frontiers)`` or ``("refused", problems)``. When stdin ends, whoever asked has gone or has enough: the
search ends as by Ctrl-C, and what was simulated is kept.
"""

from __future__ import annotations

import os
import pickle
import signal
import sys
import threading
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

from calibration.problems import InputError
from presentation.door import Given, workspace

if TYPE_CHECKING:
    from optimizer.plan import Plan

INTERRUPTED: Final = 130


@dataclass(frozen=True)
class Job:
    """What is to be searched."""

    given: Given
    overrides: tuple[str, ...] = ()
    stated: Plan | None = None
    """The plan of this question: asks for its frontier instead."""
    cache: Path | None = None
    """Folder of capacities; None keeps none."""


@dataclass(frozen=True)
class _Frames:
    """A watch that writes down what it is told."""

    out: IO[bytes]

    def send(self, *frame: Any) -> None:
        """Write one frame."""
        pickle.dump(frame, self.out)
        self.out.flush()

    def stage(self, words: str) -> None:
        """Pass it on."""
        self.send("stage", words)

    def done(self, share: float) -> None:
        """Pass it on."""
        self.send("done", float(share))


def main() -> None:
    """Answer one job and exit."""
    frames = _Frames(os.fdopen(os.dup(1), "wb"))
    os.dup2(2, 1)  # nothing that a library prints may come between the frames
    job: Job = pickle.load(sys.stdin.buffer)  # from the app that started this process
    threading.Thread(target=_ends_with_stdin, daemon=True).start()
    try:
        answer(job, frames)
    except InputError as error:
        frames.send("refused", error.problems)
    except KeyboardInterrupt:
        os._exit(INTERRUPTED)  # without waiting for the workers, which were interrupted, too


def answer(job: Job, frames: _Frames) -> None:
    """Search what is asked."""
    from optimizer.pareto import pareto
    from optimizer.plan_file import load_plan
    from optimizer.study import optimize

    with workspace(job.given) as space:
        question = space.opened_by(load_plan, job.overrides)
        search = partial(optimize, cache=job.cache, watch=frames)
        if job.stated is None:
            frames.send("plan", search(question), ())
        else:
            frontiers = pareto(question, job.stated, partial(search, explain=False), watch=frames)
            frames.send("plan", job.stated, frontiers)


def _ends_with_stdin() -> None:
    os.read(0, 1)
    os.killpg(os.getpgrp(), signal.SIGINT)


if __name__ == "__main__":
    # Frames name the classes of this module, which is another one where it is run.
    from presentation import plan_process

    plan_process.main()
