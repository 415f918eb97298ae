"""Measure a variant in a process of its own, so that a crash, a hang or the system's killer costs one batch size.

The process loads the model, measures, and keeps every round in the store on disk. Its parent listens for signs of
life, ends it when there are none, notes in the store which batch size it died of, and lets a new process measure what
is left. A fresh process also means that no variant inherits another's memory, threads or compiled code.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from calibration.backends.protocol import OutOfMemoryError, Session, UnavailableError, Variant
from calibration.measure import Settings, keep_failure, missing, one_line, sweep
from calibration.measured_rows import observations_of
from calibration.meter import Meter, NoMeter, cpu_meter
from calibration.nvml import NvmlUnavailableError, open_nvml
from calibration.problems import InputError
from calibration.store import Store, opened, read_kept

if TYPE_CHECKING:
    from calibration.console import Watch
    from calibration.observation import Observations

PATIENCE_S: Final = 600.0
"""Without a sign of life for so long, a process hangs: loading a model or compiling it can take minutes."""

_START_S: Final = 60.0
"""To start the process itself."""

_GRACE_S: Final = 5.0
"""To give the device back."""

OpenSession = Callable[[Variant], Session]


def load_backend(variant: Variant) -> Session:
    """Load a model by its framework (:func:`calibration.backends.open_session`)."""
    from calibration.backends import open_session

    return open_session(variant)


@dataclass(frozen=True, kw_only=True)
class Task:
    """What one process measures."""

    variant: Variant
    """The model, and how it is run."""
    batches: tuple[int, ...]
    """Batch sizes."""
    settings: Settings
    """How long and how often."""
    partial: Path
    """File of the store."""
    identity: Mapping[str, Any] = field(default_factory=dict)
    """Identity of the store."""
    cores: int = 1
    """Cores this process may use."""
    patience_s: float = PATIENCE_S
    """Seconds without a sign of life after which it hangs."""
    operators: Path | None = None
    """Where to write where the time of an execution goes, by operator; the Chrome trace lies beside it."""
    open_session: OpenSession = load_backend
    """How the model is loaded."""


class RefusedError(Exception):
    """The variant cannot be measured at all; the message says why, and what would mend it."""


def measure_variant(task: Task, watch: Watch) -> Observations:
    """Measure a variant in a process of its own, or in several when they die.

    Parameters
    ----------
    task
        What to measure. What its store keeps already is not measured again; when nothing is missing, the model is not
        even loaded.
    watch
        Is told what the process says.

    Raises
    ------
    RefusedError
        When nothing of it can be measured here: no such device, a model that does not load.
    InputError
        When the model or the store is not what it should be.
    """
    left = task
    while True:
        before = read_kept(task.partial)
        if before is not None and _is_complete(before, left):
            break
        tried = _tried(before)
        end = _listen(left, watch)
        if end is None:
            break
        culprit = _last_tried(task.partial, tried)
        if culprit is None:
            raise RefusedError(f"{end.words} while the model was being loaded")
        with opened(task.partial, task.identity) as store:
            if not missing(store, left.batches, left.settings):
                break  # it died of what comes after the measuring
            larger = [batch for batch in left.batches if batch > culprit]
            keep_failure(store, culprit, end.reason, end.words, larger)
        watch.stage(f"batch {culprit}: {end.words}")
        left = replace(left, batches=tuple(batch for batch in left.batches if batch < culprit), operators=None)
    kept = read_kept(task.partial)
    if kept is None:
        raise RefusedError("nothing was measured")
    return observations_of(kept, sorted(set(task.batches)), task.settings.repeats)


@dataclass(frozen=True)
class _Death:
    """How a process ended that did not say why."""

    reason: str
    words: str


def _listen(task: Task, watch: Watch) -> _Death | None:
    """Run one process to its end; None when it did what it should."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(task, theirs), name="calibrate")
    process.start()
    theirs.close()
    grace_s, patience_s = 0.0, max(task.patience_s, _START_S)
    try:
        while True:
            if not ours.poll(patience_s):
                return _Death("hung", _hang(patience_s))
            patience_s = task.patience_s
            try:
                word, *rest = ours.recv()
            except EOFError:
                process.join(_GRACE_S)
                return _death(process.exitcode)
            if word == "stage":
                watch.stage(rest[0])
            elif word == "done":
                watch.done(rest[0])
            else:
                grace_s = _GRACE_S
                _raise_last_word(word, rest)
                return None
    finally:
        ours.close()
        _end(process, grace_s)


def _raise_last_word(word: str, rest: list[Any]) -> None:
    """What the process could not do is raised here, as it was there."""
    if word == "refused":
        raise RefusedError(rest[0])
    if word == "input":
        raise InputError(rest[0])
    if word == "bug":
        sys.stderr.write(rest[1] if os.environ.get("HEADROOM_DEBUG") else "")
        raise RuntimeError(rest[0])


def _hang(patience_s: float) -> str:
    return f"gave no sign of life for {patience_s:g} s and was stopped (--time-limit gives it longer)"


def _death(exit_code: int | None) -> _Death:
    """What an exit code means; a negative one is a signal."""
    if exit_code == -signal.SIGKILL:
        return _Death("out of memory", "the process was killed (SIGKILL), most likely because memory ran out")
    if exit_code is not None and exit_code < 0:
        with contextlib.suppress(ValueError):
            return _Death("died", f"the process crashed ({signal.Signals(-exit_code).name})")
    return _Death("died", f"the process ended by itself (exit code {exit_code})")


def _end(process: Any, grace_s: float) -> None:
    """Leave no process behind: a model that hangs in its framework does not listen to a polite signal."""
    process.join(grace_s)
    for stop in (process.terminate, process.kill):
        if process.is_alive():
            stop()
            process.join(_GRACE_S)


def _is_complete(store: Store, task: Task) -> bool:
    """Whether nothing is left to do; what belongs to a sweep besides its rounds included."""
    return not missing(store, task.batches, task.settings) and (task.operators is None or bool(store.kept("operators")))


def _tried(store: Store | None) -> int:
    return 0 if store is None else len(store.kept("trying"))


def _last_tried(partial: Path, before: int) -> int | None:
    """Which batch size was being measured when the process died? None when it had not come to any."""
    kept = read_kept(partial)
    if kept is None or len(kept.kept("trying")) <= before:
        return None
    return int(kept.kept("trying")[-1]["batch"])


# --- In the process -----------------------------------------------------------------------------------------------


class _Telling:
    """A watch whose words go through a pipe; each is a sign of life."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe

    def stage(self, words: str) -> None:
        self._say("stage", words)

    def done(self, share: float) -> None:
        self._say("done", share)

    def _say(self, *words: Any) -> None:
        try:
            self._pipe.send(words)
        except OSError:  # nobody listens any more: what was measured is on disk
            sys.exit(1)


def _work(task: Task, pipe: Connection) -> None:
    """Measure, and say how it ended."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent gets it too, and ends this process
    os.dup2(2, 1)  # a model may print; results are the parent's
    try:
        _measure(task, _Telling(pipe))
    except UnavailableError as error:
        pipe.send(("refused", str(error)))
    except (OutOfMemoryError, MemoryError) as error:
        pipe.send(("refused", str(error) or "there is not enough memory for the model"))
    except InputError as error:
        pipe.send(("input", error.problems))
    except _LoadingError as error:
        pipe.send(("refused", f"the model cannot be loaded: {one_line(error.__cause__ or error)}"))
    except Exception as error:
        pipe.send(("bug", one_line(error), traceback.format_exc()))
    else:
        pipe.send(("end",))
    finally:
        pipe.close()


class _LoadingError(Exception):
    """Something in a model or its framework failed before anything was measured."""


def _measure(task: Task, watch: Watch) -> None:
    with opened(task.partial, task.identity) as store:
        watch.stage(f"loading {task.variant.model}")
        session = _loaded(task)
        try:
            meter = open_meter(task.variant.device, session.provenance(), task.cores)
            try:
                if missing(store, task.batches, task.settings):
                    sweep(session, task.batches, task.settings, watch, store, meter=meter)
            finally:
                meter.close()
            measured = {record["batch"] for record in store.kept("round")}
            if measured:
                _keep_outputs(session, store)
                _profile_operators(task, session, sorted(measured), watch, store)
        finally:
            session.close()


def _loaded(task: Task) -> Session:
    try:
        return task.open_session(task.variant)
    except (UnavailableError, OutOfMemoryError, MemoryError, InputError):
        raise
    except Exception as error:
        raise _LoadingError(str(error)) from error


def _keep_outputs(session: Session, store: Store) -> None:
    """A sample of the outputs, by which variants are compared later; a model that cannot give it is measured anyway."""
    if store.kept("outputs"):
        return
    from calibration.outputs import output_sample

    try:
        sample = output_sample(session)
    except Exception as error:
        store.keep("outputs", left_out=one_line(error))
    else:
        store.keep("outputs", sample=sample)


def _profile_operators(task: Task, session: Session, batches: list[int], watch: Watch, store: Store) -> None:
    if task.operators is None or store.kept("operators"):
        return
    import json

    from calibration.ops import profile_ops
    from calibration.ops_page import ops_lines

    trace = task.operators.with_suffix(".trace.json")
    try:
        report = profile_ops(session, batches, task.variant, trace=trace, watch=watch)
    except (UnavailableError, OutOfMemoryError) as error:
        store.keep("operators", left_out=str(error))
        watch.stage(f"operators were not profiled: {error}")
        return
    task.operators.write_text(json.dumps(report.as_object(), indent=1), encoding="utf-8")
    where = f"in {task.operators}; as a Chrome trace in {trace}"
    store.keep("operators", lines=["", *map(str, ops_lines(report)), where])


def open_meter(device: str, provenance: Mapping[str, Any], cores: int) -> Meter:
    """What watches this device? One that sees nothing, and says why, where nothing can."""
    if device.startswith("cuda"):
        try:
            return open_nvml(device, name=provenance.get("device"), uuid=provenance.get("device_uuid"))
        except NvmlUnavailableError as error:
            return NoMeter({"nvml_unavailable": str(error)})
    return cpu_meter(cores) if device == "cpu" else NoMeter()
