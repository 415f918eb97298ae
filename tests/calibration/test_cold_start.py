"""A cold start: every stage is told apart, in a fresh process each time."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from calibration.backends.protocol import Variant
from calibration.cold_start import STAGES, ColdStartError, measure_cold_start, stages, summary
from tests.calibration.fake_session import Clock, FakeSession, Witness, steady


def test_the_stages_follow_one_another_and_add_up() -> None:
    clock = Clock()
    loaded: list[str] = []

    def framework(name: str) -> None:
        loaded.append(name)
        clock.now_s += 2.0

    def open_session(_variant: Variant) -> FakeSession:
        clock.now_s += 3.0
        return FakeSession(clock, lambda batch, n: 400.0 if n == 0 else steady(batch, n), prepare_s=0.25)

    began_s = clock()
    clock.now_s += 0.5
    found = stages(
        Variant(model="bert-base"), 1, open_session,
        began_s=began_s, max_warm_up_s=10.0, clock=clock, load_framework=framework,
    )  # fmt: skip
    steady_flag = found.pop("steady")
    assert steady_flag
    assert STAGES == tuple(found)
    assert pytest.approx([0.5, 2.0, 3.0, 0.65]) == list(found.values())[:4]
    assert 0.2 <= found["warm_up_s"] < 0.3
    assert clock() - began_s == pytest.approx(sum(found.values()))
    assert ["torch"] == loaded


def test_a_runtime_without_a_framework_imports_none() -> None:
    clock = Clock()
    found = stages(
        Variant(model="a:b", runtime="python"), 1, lambda _variant: FakeSession(clock),
        began_s=clock(), max_warm_up_s=1.0, clock=clock, load_framework=lambda name: pytest.fail(name),
    )  # fmt: skip
    assert 0.0 == found["import_s"]


def test_medians_are_told_and_every_run_is_kept() -> None:
    runs = [dict.fromkeys(STAGES, value) | {"steady": value != 9.0} for value in (3.0, 1.0, 9.0)]
    found = summary(runs, 4)
    assert (3.0, 15.0, 4) == (found["load_s"], found["total_s"], found["batch"])
    assert [3.0, 1.0, 9.0] == found["runs"]["load_s"]
    assert "before the times were steady" in found["note"]
    assert "note" not in summary(runs[:2], 4)


MODEL = """
import time
print("a model that talks")
def sleeper():
    print("and talks")
    return lambda x: time.sleep(0.002) or x, lambda batch: __import__("numpy").zeros((batch, 4), "float32")
"""


def test_a_real_process_is_started_each_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cold_model_of_a_test.py").write_text(MODEL)
    monkeypatch.chdir(tmp_path)
    witness = Witness()
    variant = Variant(model="cold_model_of_a_test:sleeper", runtime="python")
    found = measure_cold_start(variant, 1, repeats=2, max_warm_up_s=1.0, watch=witness)
    assert ["cold start 1 of 2", "cold start 2 of 2"] == witness.stages
    assert all(2 == len(times) for times in found["runs"].values())
    assert 0.0 < found["process_start_s"] < 60.0
    assert found["first_inference_s"] >= 0.002


def test_a_failed_start_says_why() -> None:
    with pytest.raises(ColdStartError, match="--model"):
        measure_cold_start(Variant(model="no_such_module:thing", runtime="python"), 1, repeats=1)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("import os; os._exit(9)", r"ended without an answer \(exit code 9\)"),
        ("print('[1]')", "ended without an answer"),
        ("import time; time.sleep(60)", "took longer than 1 s"),
    ],
)
def test_a_start_that_dies_or_hangs_is_told(code: str, words: str) -> None:
    with pytest.raises(ColdStartError, match=words):
        measure_cold_start(
            Variant(model="x"),
            1,
            repeats=1,
            patience_s=1.0 if "sleep" in code else 60.0,
            program=(sys.executable, "-c", code),
        )
