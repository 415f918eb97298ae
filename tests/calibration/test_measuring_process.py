"""A process of its own: whatever a model does to it, what was measured is kept, and nothing is left running."""

from __future__ import annotations

import importlib
import multiprocessing
from pathlib import Path
from typing import Any

import pytest

from calibration.backends.protocol import Variant
from calibration.measure import Settings
from calibration.measuring_process import RefusedError, Task, measure_variant
from calibration.observation import Observations
from calibration.problems import InputError
from calibration.store import opened, read_kept
from tests.calibration.fake_session import Witness

SETTINGS = Settings(repeats=2, min_time_s=0.02, min_executions=4, max_warm_up_s=0.3)

BACKEND = '''
"""A model that takes 2 ms, and does what its name says at a batch of 4."""
import os, signal, sys, time
import numpy as np
from calibration.backends.protocol import OutOfMemoryError, UnavailableError
from calibration.problems import InputError, Problem

loaded = []

class Session:
    def __init__(self, variant):
        self.variant = variant
    def prepare(self, batch):
        print("a model that talks")
        return Execution(self.variant.model, batch)
    def provenance(self):
        return {"device": "clock", "process": os.getpid()}
    def memory_bytes(self):
        return None
    def close(self):
        if self.variant.model == "crashes at the end":
            os._exit(7)

class Execution:
    def __init__(self, does, batch):
        if batch >= 4:
            if does == "is killed": os.kill(os.getpid(), signal.SIGKILL)
            if does == "crashes": os.kill(os.getpid(), signal.SIGSEGV)
            if does == "exits": os._exit(3)
            if does == "hangs":
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
                time.sleep(3600)
            if does == "runs out": raise OutOfMemoryError("no room for %d" % batch)
        self.batch = batch
    def run(self):
        time.sleep(0.002)
    def run_parts(self):
        return {"compute": 2.0}
    def outputs(self):
        return np.ones((self.batch, 3))

def open_session(variant):
    does = variant.model
    if does == "is not there": raise UnavailableError("There is no CUDA device here.")
    if does == "is misspelt": raise InputError([Problem("<command line>", None, None, "--model", "is not known", does)])
    if does == "does not load": raise ValueError("bad weights\\nsecond line")
    if does == "kills the loader": os.kill(os.getpid(), signal.SIGKILL)
    return Session(variant)
'''


@pytest.fixture
def backend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module above, importable here and in the processes started from here."""
    (tmp_path / "fake_backend_of_a_test.py").write_text(BACKEND)
    monkeypatch.syspath_prepend(tmp_path)
    yield importlib.import_module("fake_backend_of_a_test")
    monkeypatch.delitem(importlib.sys.modules, "fake_backend_of_a_test")  # type: ignore[attr-defined]


def task(backend: Any, tmp_path: Path, does: str, *batches: int, patience_s: float = 60.0) -> Task:
    return Task(
        variant=Variant(model=does),
        batches=batches,
        settings=SETTINGS,
        partial=tmp_path / "a.partial.jsonl",
        patience_s=patience_s,
        open_session=backend.open_session,
    )


def failures(found: Observations) -> dict[int, tuple[str, list[int]]]:
    return {one["batch"]: (one["reason"], one["not_tried"]) for one in found.notes.get("failures", ())}


def test_a_model_is_measured_in_another_process(
    backend: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    witness = Witness()
    found = measure_variant(task(backend, tmp_path, "works", 1, 2), witness)
    assert [1, 2] == [row.batch for row in found.rows]
    assert all((row.mean_ms or 0.0) >= 2.0 for row in found.rows)
    assert multiprocessing.current_process().pid != found.provenance["process"]
    assert ["loading works", "batch 1: warming up", "batch 2: warming up"] == witness.stages
    assert 1.0 == witness.shares[-1]
    out, err = capfd.readouterr()
    assert ("", True) == (out, "a model that talks" in err), "what a model prints is no result"
    kept = read_kept(tmp_path / "a.partial.jsonl")
    assert kept is not None
    assert "sample" in kept.kept("outputs")[0], "by which variants are compared"


def test_a_finished_sweep_starts_no_process(backend: Any, tmp_path: Path) -> None:
    first = measure_variant(task(backend, tmp_path, "works", 1), Witness())
    witness = Witness()
    assert first == measure_variant(task(backend, tmp_path, "works", 1), witness)
    assert [] == witness.stages


@pytest.mark.parametrize(
    ("does", "reason", "words"),
    [
        ("is killed", "out of memory", "killed (SIGKILL), most likely because memory ran out"),
        ("crashes", "died", "crashed (SIGSEGV)"),
        ("exits", "died", "ended by itself (exit code 3)"),
        ("runs out", "out of memory", "no room for 4"),
    ],
)
def test_a_death_costs_that_batch_size_and_larger_ones(
    backend: Any, tmp_path: Path, does: str, reason: str, words: str
) -> None:
    found = measure_variant(task(backend, tmp_path, does, 1, 2, 4, 8), Witness())
    assert [1, 2] == [row.batch for row in found.rows]
    assert all(2 == row.notes["rounds"] for row in found.rows), "all of their rounds, also those due after the death"
    assert {4: (reason, [8])} == failures(found)
    assert words in found.warnings[0]


def test_a_hang_is_ended_even_when_it_does_not_listen(
    backend: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("calibration.measuring_process._GRACE_S", 0.5)
    found = measure_variant(task(backend, tmp_path, "hangs", 1, 4, patience_s=3.0), Witness())
    assert [1] == [row.batch for row in found.rows]
    assert {4: ("hung", [])} == failures(found)
    assert "gave no sign of life for 3 s and was stopped (--time-limit gives it longer)" in found.warnings[0]
    assert [] == multiprocessing.active_children()


def test_a_crash_after_the_measuring_loses_nothing(backend: Any, tmp_path: Path) -> None:
    found = measure_variant(task(backend, tmp_path, "crashes at the end", 1, 2), Witness())
    assert [1, 2] == [row.batch for row in found.rows]
    assert {} == failures(found)


@pytest.mark.parametrize(
    ("does", "words"),
    [
        ("is not there", "There is no CUDA device here."),
        ("does not load", "the model cannot be loaded: ValueError: bad weights"),
        ("kills the loader", "killed .* while the model was being loaded"),
    ],
)
def test_what_cannot_be_loaded_is_refused_in_words(backend: Any, tmp_path: Path, does: str, words: str) -> None:
    with pytest.raises(RefusedError, match=words):
        measure_variant(task(backend, tmp_path, does, 1), Witness())


def test_problems_of_the_input_come_through(backend: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--model: is not known, got is misspelt"):
        measure_variant(task(backend, tmp_path, "is misspelt", 1), Witness())


def test_an_interruption_leaves_no_process_and_keeps_what_was_measured(backend: Any, tmp_path: Path) -> None:
    def stop(share: float) -> None:
        if share >= 0.5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        measure_variant(task(backend, tmp_path, "works", 1, 2), Witness(stop))
    assert [] == multiprocessing.active_children()
    with opened(tmp_path / "a.partial.jsonl", {}) as store:
        assert 2 <= len(store.kept("round"))
