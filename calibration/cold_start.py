"""How long from nothing to a model at full speed? Stage by stage, each time in a fresh process.

``python -m calibration.cold_start TASK`` is that process: it prints one JSON object of seconds. The stages follow one
another: the interpreter starts, the framework is imported, the model is loaded, the first inference runs (inputs and
whatever compiles lazily included), and the warm-up lasts until the times have settled. Files are in the page cache
from the second time on: the first of the runs is the coldest, and all are kept.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from calibration.backends.protocol import Session, Variant

if TYPE_CHECKING:
    from calibration.console import Watch

STAGES: Final = ("process_start_s", "import_s", "load_s", "first_inference_s", "warm_up_s")
"""In the order in which they happen; ``total_s`` is their sum."""

FRAMEWORK: Final[Mapping[str, str]] = {
    "torch": "torch",
    "torch-compile": "torch",
    "torchscript": "torch",
    "onnxruntime": "onnxruntime",
    "jax": "jax",
}
"""What is imported to execute a runtime."""

_REPOSITORY: Final = Path(__file__).resolve().parents[1]


class ColdStartError(Exception):
    """A cold start could not be measured; the message says why."""


def measure_cold_start(
    variant: Variant,
    batch: int,
    *,
    repeats: int = 3,
    max_warm_up_s: float = 10.0,
    patience_s: float = 600.0,
    watch: Watch | None = None,
    program: Sequence[str] = (sys.executable, "-m", "calibration.cold_start"),
) -> dict[str, Any]:
    """How long does each stage from nothing to a steady state take?

    Parameters
    ----------
    variant
        The model, and how it is run.
    batch
        Items of its inferences.
    repeats
        Processes started, one after another.
    max_warm_up_s
        The warm-up ends when it is steady, or after this time.
    patience_s
        A process that takes longer is stopped.
    watch
        Is told which start it is.
    program
        What to run; the task is its last argument.

    Returns
    -------
    dict
        The median of each of STAGES and of ``total_s``; ``batch``; ``runs``, every stage of every start, in order.

    Raises
    ------
    ColdStartError
        When a start fails.
    """
    runs = []
    for number in range(repeats):
        if watch is not None:
            watch.stage(f"cold start {number + 1} of {repeats}")
        runs.append(_one_start(variant, batch, max_warm_up_s, patience_s, program))
    return summary(runs, batch)


def summary(runs: Sequence[Mapping[str, float]], batch: int) -> dict[str, Any]:
    """Medians of the stages, and all the runs.

    >>> run = {"process_start_s": 0.1, "import_s": 2.0, "load_s": 1.0, "first_inference_s": 0.5, "warm_up_s": 0.4}
    >>> round(summary([run], 1)["total_s"], 3)
    4.0
    """
    totals = [sum(run[stage] for stage in STAGES) for run in runs]
    columns = {stage: [round(run[stage], 6) for run in runs] for stage in STAGES}
    columns["total_s"] = [round(total, 6) for total in totals]
    found: dict[str, Any] = {name: _median(values) for name, values in columns.items()}
    found["batch"] = batch
    found["runs"] = columns
    if not all(run.get("steady", True) for run in runs):
        found["note"] = "the warm-up ended before the times were steady"
    return found


def stages(
    variant: Variant,
    batch: int,
    open_session: Callable[[Variant], Session],
    *,
    began_s: float,
    max_warm_up_s: float,
    clock: Callable[[], float] = time.monotonic,
    load_framework: Callable[[str], object] = importlib.import_module,
) -> dict[str, Any]:
    """How long does each stage take in this process?

    Parameters
    ----------
    began_s
        When the process was asked for, on ``clock``.
    """
    from calibration.repeats import Beat, warm_up

    started_s = clock()
    framework = FRAMEWORK.get(variant.runtime)
    if framework is not None:
        load_framework(framework)
    imported_s = clock()
    session = open_session(variant)
    try:
        loaded_s = clock()
        execution = session.prepare(batch)
        prepared_s = clock()
        warmed = warm_up(execution.run, clock, max_warm_up_s, Beat(clock, lambda: None))
    finally:
        session.close()
    return {
        "process_start_s": started_s - began_s,
        "import_s": imported_s - started_s if framework is not None else 0.0,
        "load_s": loaded_s - imported_s,
        "first_inference_s": prepared_s - loaded_s + warmed.first_s,
        "warm_up_s": warmed.seconds - warmed.first_s,
        "steady": warmed.steady,
    }


def _one_start(
    variant: Variant, batch: int, max_warm_up_s: float, patience_s: float, program: Sequence[str]
) -> dict[str, Any]:
    path = os.pathsep.join(filter(None, (str(_REPOSITORY), os.environ.get("PYTHONPATH"))))
    task = {"variant": asdict(variant), "batch": batch, "max_warm_up_s": max_warm_up_s, "began_s": time.monotonic()}
    try:
        ended = subprocess.run(
            [*program, json.dumps(task)],
            capture_output=True,
            text=True,
            timeout=patience_s,
            check=False,
            env={**os.environ, "PYTHONPATH": path},
        )
    except subprocess.TimeoutExpired:
        raise ColdStartError(f"took longer than {patience_s:g} s") from None
    try:
        said = json.loads(ended.stdout)
    except ValueError:
        said = None
    if not isinstance(said, dict):
        raise ColdStartError(f"the process ended without an answer (exit code {ended.returncode})")
    if "error" in said:
        raise ColdStartError(said["error"])
    return said


def _median(values: Sequence[float]) -> float:
    ordered = sorted(values)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


def main() -> None:
    """Go through the stages once, and print their seconds as JSON; errors too, in words."""
    answer = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # a model may print
    task = json.loads(sys.argv[1])
    try:
        from calibration.backends import open_session

        said = stages(
            Variant(**task["variant"]),
            task["batch"],
            open_session,
            began_s=task["began_s"],
            max_warm_up_s=task["max_warm_up_s"],
        )
    except Exception as error:
        said = {"error": " ".join(str(error).split()) or type(error).__name__}
    with answer:
        json.dump(said, answer)


if __name__ == "__main__":
    main()
