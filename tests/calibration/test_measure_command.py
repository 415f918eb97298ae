"""``calibrate measure`` from end to end, with models in plain Python: what a person types, and what comes of it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from calibration.commands.measuring import measure
from calibration.profile_file import read_profile, read_profile_file
from calibration.store import partial_path, read_kept
from calibration.variants import variants_of
from tests.calibration.fake_service import Request, answer, fake_service
from tests.calibration.one_command import run
from tests.command_line import Ran

MODELS = '''
"""Models that do what their names say."""
import time
import numpy as np

def inputs(batch):
    return np.zeros((batch, 4), np.float32)

def steady(ms: int = 2):
    """2 ms, and 1 ms for each item."""
    def run(x):
        time.sleep((ms + len(x)) / 1e3)
        return np.ones((len(x), 3))
    return run, inputs

def fragile():
    """NaN at a batch of 2, no memory from 4 on."""
    def run(x):
        time.sleep(0.002)
        if len(x) >= 4:
            raise MemoryError
        out = np.ones((len(x), 3))
        if len(x) == 2:
            out[1, 1] = np.nan
        return out
    return run, inputs

def broken():
    def run(x):
        raise ValueError("weights of another model")
    return run, inputs
'''

FAST = ("--runtime", "python", "--quick", "--min-time", "60ms", "--max-warm-up", "300ms", "--no-cold-start")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of its own, with the models in it."""
    (tmp_path / "models_of_a_test.py").write_text(MODELS)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def measured(*words: object, model: str = "steady") -> Ran:
    return run(measure, "--model", f"models_of_a_test:{model}", *FAST, *words)


# --- A profile --------------------------------------------------------------------------------------------------


def test_a_measured_profile_can_be_named_in_a_scenario(here: Path) -> None:
    ran = measured("--batch", "4,1,2", "-o", "a.json", "--name", "sleeper", "--no-host")
    assert 0 == ran.code, ran.err
    assert "wrote a.json\n" in ran.err
    assert ["batch", "1", "2", "4"] == [line.split()[0] for line in ran.out.splitlines()[1:5]]
    profile = read_profile(here / "a.json")
    assert ("sleeper", (1, 2, 4)) == (profile.name, profile.batch)
    for batch, ms in zip(profile.batch, profile.latency_ms, strict=True):
        assert 2 + batch <= ms
    told = profile.provenance
    assert ("models_of_a_test:steady", "fp32", "python") == (told["model"], told["precision"], told["runtime"])
    assert {"date", "cpu", "versions", "method", "command", "device", "variant"} <= set(told)
    assert "host" not in told
    assert not partial_path("a.json").exists(), "nothing is left to go on with"


def test_raw_quantiles_and_parts_are_kept(here: Path) -> None:
    assert 0 == measured("--batch", "1", "-o", "a.json").code
    file = read_profile_file(here / "a.json")
    assert file.measurements is not None
    columns: dict[str, Any] = dict(file.measurements)
    samples = columns["samples_ms"][0]
    assert sorted(samples) == list(samples)
    assert len(samples) >= 6
    assert columns["p50_ms"][0] is not None
    assert "compute_ms" in (file.measurements.model_extra or {})
    assert "outputs" in file.notes, "by which variants are compared without running them again"


def test_json_is_one_object() -> None:
    ran = measured("--batch", "1", "-o", "a.json", "--json", "--quiet")
    assert "" == ran.err
    found = ran.json()
    assert (1, []) == (found["schema_version"], found["problems"])
    assert ("a.json", [1]) == (found["profiles"][0]["file"], found["profiles"][0]["measured"]["batch"])


def test_the_cold_start_is_measured_apart(here: Path) -> None:
    words = [word for word in FAST if word != "--no-cold-start"]
    ran = run(measure, "--model", "models_of_a_test:steady", *words, "--batch", "1", "-o", "a.json")
    assert 0 == ran.code, ran.err
    assert "\ncold start " in ran.out
    cold_start = read_profile_file(here / "a.json").cold_start
    assert cold_start is not None
    assert cold_start["total_s"] == pytest.approx(
        sum(cold_start[stage] for stage in ("process_start_s", "import_s", "load_s", "first_inference_s", "warm_up_s")),
        abs=1e-5,
    )


def test_several_variants_get_a_profile_each(here: Path) -> None:
    """The runtime python knows one precision: the other is refused, and costs the first nothing."""
    ran = measured("--batch", "1", "--precision", "fp32,int8", "-o", "out/{precision}.json")
    assert 2 == ran.code
    assert ["fp32.json", "fp32.json.partial.jsonl"] == sorted(path.name for path in (here / "out").iterdir())
    assert "models_of_a_test:steady, python, int8: " in ran.err
    assert "wrote out/fp32.json" in ran.err


# --- What goes wrong --------------------------------------------------------------------------------------------


def test_what_was_measured_before_a_failure_is_written(here: Path) -> None:
    ran = measured("--batch", "1,2,4,8", "-o", "a.json", model="fragile")
    assert 2 == ran.code
    assert (1,) == read_profile(here / "a.json").batch
    assert "--batch 2: the model gives NaN for 1 of 2 items" in ran.err
    assert "--batch 4: " in ran.err
    assert "not enough memory" in ran.err
    assert "batch 8 was not tried. Smaller batch sizes are in the profile" in ran.err
    assert "Traceback" not in ran.err
    kept = read_kept("a.json.partial.jsonl")
    assert kept is not None
    assert {1} == {record["batch"] for record in kept.kept("round")}


def test_a_model_that_always_fails_leaves_nothing(here: Path) -> None:
    ran = measured("--batch", "1,2", "-o", "a.json", model="broken")
    assert 2 == ran.code
    assert "ValueError: weights of another model" in ran.err
    assert "" == ran.out
    assert ["models_of_a_test.py"] == [path.name for path in here.iterdir() if path.is_file()]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "--model: is needed"),
        (("--model", "bart-base"), "Did you mean 'bert-base'?"),
        (("--model", "bert-base", "--device", "gpu"), "--device: must be cpu, cuda or tpu, got 'gpu'"),
        (("--model", "bert-base", "--precision", "fp32,fp23"), "--precision: is not one of fp32, fp16, bf16, int8"),
        (("--model", "bert-base", "--runtime", "pytorch"), "Did you mean 'torch'?"),
        (("--model", "bert-base", "--batch", "1,2,2"), "--batch: must name each once, got 2 twice"),
        (("--model", "bert-base", "--batch", "1,0,x"), "--batch: must be whole numbers from 1 to"),
        (("--model", "bert-base", "--min-time", "5"), "--min-time: needs a unit"),
        (("--model", "bert-base", "--max-warm-up", "0"), "--max-warm-up: must be longer than 0"),
        (("--model", "bert-base", "--size", "layers"), "--size: must be NAME=N, got 'layers'"),
        (("--model", "bert-base", "--size", "layers=two"), "--size layers: must be a whole number, got 'two'"),
        (("--model", "bert-base", "--size", "a=1", "--size", "a=2"), "--size: must name each once"),
        (("--model", "bert-base", "-o", "a.yaml"), "--output: must be a .json file, or a folder"),
        (("--model", "bert-base", "-o", "{modle}.json"), "{precision} and no other braces"),
        (("--model", "bert-base", "-o", "a.json/b.json"), "needs a folder that cannot be made"),
        (("--model", "bert-base", "--precision", "fp32,int8", "-o", "a.json"), "pattern such as 'a-{precision}.json'"),
        (("--model", "bert-base", "--rate", "5"), "--rate: means nothing without --url"),
        (("--model", "bert-base", "--max-requests", "5"), "--max-requests: means nothing without --url"),
        (("--url", "http://h", "--precision", "int8"), "--precision: means nothing with --url"),
        (("--url", "http://h", "--quick"), "--quick: means nothing with --url"),
        (("--url", "localhost:80", "--model", "m", "--body", "openai-chat"), "--url: must be an address"),
        (("--url", "http://h", "--header", "secret"), "--header: must be 'NAME: VALUE'"),
        (("--url", "http://h", "--rate", "5,x"), "--rate: must be numbers and commas, got '5,x'"),
    ],
)
def test_a_command_line_that_cannot_be_used_is_told_before_anything_runs(
    here: Path, words: tuple[str, ...], said: str
) -> None:
    (here / "a.json").write_text("{}") if "a.json/b.json" in words else None
    before = sorted(here.rglob("*"))
    ran = run(measure, *words)
    assert 2 == ran.code
    assert said in ran.err
    assert "secret" not in ran.err
    assert "" == ran.out
    assert before == sorted(here.rglob("*"))


def test_a_device_that_is_not_there_is_told_in_words(here: Path) -> None:
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    ran = run(measure, "--model", "bert-base", "--device", "cuda", "--batch", "1", "-o", "a.json")
    assert 2 == ran.code
    assert "bert-base on cuda: " in ran.err
    assert ["models_of_a_test.py"] == [path.name for path in here.iterdir() if path.is_file()]


# --- Going on ---------------------------------------------------------------------------------------------------

COMMAND = "import sys; from calibration.cli import main; main()"


def test_ctrl_c_keeps_what_was_measured_and_the_same_command_goes_on() -> None:
    words = [
        *("measure", "--model", "models_of_a_test:steady", "--runtime", "python", "--batch", "1,2"),
        *("--min-time", "1500ms", "--repeats", "5", "--no-cold-start", "-o", "a.json"),
    ]
    root = Path(__file__).resolve().parents[2]
    started = subprocess.Popen(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(root)!r}); {COMMAND}", *words],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            kept = read_kept("a.json.partial.jsonl")
            if kept is not None and len(kept.kept("round")) >= 3:
                break
            time.sleep(0.02)
        started.send_signal(signal.SIGINT)
        _, said = started.communicate(timeout=60)
    finally:
        started.kill()
        started.wait()
    assert 130 == started.returncode, said
    assert "what was measured is kept in a.json.partial.jsonl: the same command goes on from there" in said
    assert not Path("a.json").exists()
    kept = read_kept("a.json.partial.jsonl")
    assert kept is not None
    before = kept.kept("round")
    assert 3 <= len(before) < 10

    other = run(measure, *words[1:], "--seed", "8")
    assert 2 == other.code
    assert "a.json.partial.jsonl: seed: was begun with 0, got now 8" in other.err
    assert len(before) == len(read_kept("a.json.partial.jsonl").kept("round"))  # type: ignore[union-attr]

    fewer = run(measure, *["1" if word == "1,2" else word for word in words[1:]])
    assert 2 == fewer.code
    assert "--batch: leaves out what the unfinished sweep in a.json.partial.jsonl has measured: 2" in fewer.err

    again = run(measure, *words[1:])
    assert 0 == again.code, again.err
    assert f"going on with a.json.partial.jsonl: {len(before)} of 10 rounds are measured" in again.err
    assert (1, 2) == read_profile("a.json").batch
    assert not partial_path("a.json").exists()


def test_a_finished_variant_is_not_measured_again_after_another_failed() -> None:
    words = ("--batch", "1", "--precision", "fp32,int8", "-o", "out/")
    assert 2 == measured(*words).code
    ran = measured(*words)
    assert "3 of 3 rounds are measured (--fresh forgets them)" in ran.err
    assert "python fp32: batch 1: warming up" not in ran.err
    fresh = measured(*words, "--fresh")
    assert "python fp32: batch 1: warming up" in fresh.err


@pytest.mark.gpu
def test_a_gpu_tells_copies_power_and_clocks_as_well(here: Path) -> None:
    pytest.importorskip("torch")
    words = ("--model", "bert-base", "--device", "cuda", "--batch", "1,8", "--precision", "fp16", "--no-cold-start")
    ran = run(measure, *words, "-o", "a.json")
    assert 0 == ran.code, ran.err
    file = read_profile_file(here / "a.json")
    assert file.measurements is not None
    columns = dict(file.measurements) | (file.measurements.model_extra or {})
    one, eight = columns["latency_ms"]
    assert one < eight < 8 * one
    for name in ("input_ms", "compute_ms", "output_ms", "power_w", "energy_j", "memory_bytes", "utilisation"):
        assert all(value > 0 for value in columns[name]), name
    assert all(note["sm_clock_mhz"][0] > 0 for note in columns["notes"])
    assert file.provenance["driver"]


# --- Names of files ---------------------------------------------------------------------------------------------


def test_a_name_cannot_leave_its_folder() -> None:
    from calibration.variants import outputs_of

    both = variants_of("../../shop.models:ranker", "cuda:1", ["torch"], ["fp16"])
    assert (Path("out/shop.models-ranker.cuda-1.torch.fp16.json"),) == outputs_of("out/", both)
    exported = variants_of("/models/ranker.onnx", "cpu", ["onnxruntime"], ["fp32"])
    assert (Path("ranker.cpu.onnxruntime.fp32.json"),) == outputs_of(None, exported)


def test_a_folder_that_is_there_needs_no_slash(here: Path) -> None:
    from calibration.variants import outputs_of

    (here / "profiles").mkdir()
    one = variants_of("bert-base", "cpu", ["torch"], ["fp32"])
    assert (Path("profiles/bert-base.cpu.torch.fp32.json"),) == outputs_of("profiles", one)
    assert (Path("other/bert-base.cpu.torch.fp32.json"),) == outputs_of("other/", one)


# --- A served model ---------------------------------------------------------------------------------------------


async def well(request: Request) -> bytes:  # noqa: ARG001
    return answer({"fine": True})


def test_a_served_model_is_measured_as_it_stands(here: Path) -> None:
    (here / "body.json").write_text('{"count": {batch}}')
    with fake_service(well) as service:
        ran = run(
            measure, "--url", service.url, "--body-file", "body.json", "--concurrency", "1,4", "--duration", "200ms",
            "--warm-up", "2", "--header", "Authorization: Bearer 12345", "--max-batch-size", "4", "--no-host",
            "-o", "s.json",
        )  # fmt: skip
    assert 0 == ran.code, ran.err
    assert "1 at a time" in ran.out
    file = read_profile_file(here / "s.json")
    assert file.loads is not None
    assert [1, 4] == file.loads["concurrency"]
    assert "12345" not in (here / "s.json").read_text(), "headers hold secrets"
    assert "host" not in file.provenance
    assert not partial_path("s.json").exists()


def test_a_service_that_does_not_answer_is_told(here: Path) -> None:
    (here / "body.json").write_text("{}")
    ran = run(measure, "--url", "http://127.0.0.1:9/x", "--body-file", "body.json", "--timeout", "1s", "-o", "s.json")
    assert 2 == ran.code
    assert "must answer at least one request" in ran.err
    assert not (here / "s.json").exists()


def test_help_says_what_the_defaults_are() -> None:
    ran = run(measure, "--help")
    assert 0 == ran.code
    for words in ("--profile-ops", "--null-url", "module:function", "--min-time"):
        assert words in ran.out


def test_a_plan_is_plain_json(here: Path) -> None:
    """A store is read by people when something went wrong: one thing a line."""
    measured("--batch", "1,2,4", "-o", "a.json", model="fragile")
    lines = (here / "a.json.partial.jsonl").read_text().splitlines()
    kinds = [json.loads(line)["kind"] for line in lines]
    assert "sweep" == kinds[0]
    assert {"session", "trying", "round", "failed"} <= set(kinds)
