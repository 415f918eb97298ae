"""A search for a plan that runs beside the app: how far it is, what it found, and how to stop it.

What was simulated stays in the cache of capacities, so that a search that was stopped goes on where it was.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from calibration.problems import Problem
from presentation.door import Workspace
from presentation.plan_process import Job

if TYPE_CHECKING:
    from optimizer.pareto import Frontier
    from optimizer.plan import Plan
    from optimizer.plan_file import Question

State = Literal["running", "found", "refused", "stopped", "failed"]

PATIENCE_S: Final = 5.0
"""How long a search that is to stop may take for it, before it is ended."""


_OF_FRONTIER: Final = "planning for "


@dataclass(frozen=True)
class Progress:
    """How far a search is."""

    stages: tuple[str, ...] = ()
    """What was begun, in order; the last one is under way."""
    share: float = 0.0
    """Of the last stage."""
    seconds: float = 0.0
    """Since the search began."""

    @property
    def words(self) -> str:
        """What is done now.

        >>> Progress(("finding what 3 settings can carry",), 0.5, 12.3).words
        'finding what 3 settings can carry: 50%, 12 s'
        """
        stage = self.stages[-1].rstrip(" .") if self.stages else "starting"
        planned = [words for words in self.stages[:-1] if words.startswith(_OF_FRONTIER)]
        if planned and not stage.startswith(_OF_FRONTIER):
            stage = f"{planned[-1]} ({len(planned)}): {stage}"
        share = f": {self.share:.0%}" if 0 < self.share < 1 else ""
        return f"{stage}{share}, {self.seconds:.0f} s"


@dataclass
class Search:
    """A search that was begun."""

    job: Job
    state: State = "running"
    plan: Plan | None = None
    frontiers: Sequence[Frontier] = ()
    problems: tuple[Problem, ...] = ()
    words: str = ""
    """What went wrong, of one that failed."""
    _stages: list[str] = field(default_factory=list)
    _share: float = 0.0
    _begun: float = field(default_factory=time.monotonic)
    _ended: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        root = str(Path(__file__).resolve().parents[1])
        path = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH", ""))))
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - closed by the thread
        self._process = subprocess.Popen(
            [sys.executable, "-m", "presentation.plan_process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            env={**os.environ, "PYTHONPATH": path},
            start_new_session=True,
        )
        threading.Thread(target=self._listen, daemon=True).start()

    @property
    def progress(self) -> Progress:
        """How far it is."""
        return Progress(tuple(self._stages), self._share, time.monotonic() - self._begun)

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until it has ended; whether it has."""
        return self._ended.wait(seconds)

    def stop(self) -> None:
        """End it, as Ctrl-C would; what was simulated is kept."""
        if self.state != "running":
            return
        self.state = "stopped"
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGINT)
        if not self._ended.wait(PATIENCE_S):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def _listen(self) -> None:
        process = self._process
        assert process.stdin is not None, "a pipe"
        assert process.stdout is not None, "a pipe"
        try:
            with contextlib.suppress(BrokenPipeError):
                process.stdin.write(pickle.dumps(self.job))
                process.stdin.flush()
            # The process is ours, and so are its frames.
            with contextlib.suppress(EOFError, pickle.UnpicklingError):
                while True:
                    self._take(pickle.load(process.stdout))
        finally:
            with contextlib.suppress(BrokenPipeError):
                process.stdin.close()
            process.stdout.close()
            code = process.wait()
            if self.state == "running":
                self.state, self.words = "failed", self._last_words(code)
            self._said.close()
            self._ended.set()

    def _take(self, frame: tuple[Any, ...]) -> None:
        kind, *content = frame
        if kind == "stage":
            self._stages.append(content[0])
            self._share = 0.0
        elif kind == "done":
            self._share = content[0]
        elif self.state == "running" and kind == "plan":
            self.plan, self.frontiers = content
            self.state = "found"
        elif self.state == "running":
            (self.problems,) = content
            self.state = "refused"

    def _last_words(self, code: int) -> str:
        """What a process that ended without an answer said last."""
        self._said.seek(0)
        lines = self._said.read().decode(errors="replace").strip().splitlines()
        return f"the search ended with code {code}" + (f": {lines[-1]}" if lines else "")


def key_of(space: Workspace, overrides: Sequence[str]) -> str:
    """What a question is told from others by: its values and its files, however they came about."""
    digest = hashlib.sha256(str(space.given.home).encode())
    digest.update(json.dumps(space.values(overrides), sort_keys=True, default=str).encode())
    for name in sorted(space.given.files):
        digest.update(name.encode() + space.given.files[name])
    return digest.hexdigest()


@dataclass(frozen=True)
class Effort:
    """How much there is to do before a plan is there."""

    known: int
    """Capacities that an earlier search has found."""
    unknown: int
    hours: int

    @property
    def words(self) -> str:
        """The same for people.

        >>> Effort(3, 1, 24).words
        '1 of 4 capacities is still to be simulated, then the fleets of 24 hours'
        >>> Effort(0, 0, 1).words
        'every capacity is stated: nothing to simulate'
        """
        fleets = f"the fleets of {self.hours} hours" if self.hours > 1 else "the fleets"
        total = self.known + self.unknown
        if not total:
            return "every capacity is stated: nothing to simulate"
        if not self.unknown:
            return f"all capacities are known from before; {fleets} are still to be simulated"
        verb = "is" if self.unknown == 1 else "are"
        return f"{self.unknown} of {total} capacities {verb} still to be simulated, then {fleets}"


def effort(question: Question, cache: Path | None) -> Effort:
    """How much is there to do for this question?"""
    from optimizer.cache import CapacityCache, key_of
    from optimizer.demand import demand
    from optimizer.search import Asked, complete
    from optimizer.settings import expand

    asked = demand(question)
    peaks = dict(zip(question.workloads, asked.demand_rps.max(axis=1).tolist(), strict=True))
    kept = None if cache is None else CapacityCache(cache)
    known = unknown = 0
    for setting in expand(question):
        for name in setting.workloads if setting.profile is not None else ():
            if peaks[name] > 0:
                found = None if kept is None else kept.get(key_of(setting, name), name)
                done = found is not None and complete(found, Asked(setting, name, peaks[name]).peak_rps)
                known, unknown = known + done, unknown + (not done)
    return Effort(known, unknown, asked.demand_rps.shape[1])
