"""``calibrate import``: a file of another tool becomes a profile that a scenario can name, or a plain refusal."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from calibration.commands.importing import FORMAT_HELP, import_measurements
from calibration.importers import FORMATS
from calibration.problems import InputError, Problem
from calibration.profile_file import read_profile
from tests.calibration.one_command import run
from tests.command_line import Ran

HEADER = (
    "Concurrency,Inferences/Second,Client Send,Network+Server Send/Recv,Server Queue,Server Compute Input,"
    "Server Compute Infer,Server Compute Output,Client Recv,p50 latency,p90 latency,p95 latency,p99 latency,Avg latency"
)
SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "data"


def idle(tmp_path: Path, batch: int, compute_us: int, name: str = "") -> Path:
    """Made up: one request at a time, 400 us beside the execution."""
    mean = compute_us + 400
    path = tmp_path / (name or f"b{batch}.csv")
    cells = [1, f"{batch * 1e6 / mean:.3f}", 10, 300, 20, 40, compute_us - 60, 20, 70, *[mean] * 5]
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"{HEADER}\n{','.join(map(str, cells))}\n")
    return path


def imported(*args: object) -> Ran:
    return run(import_measurements, *args)


def test_files_and_their_batches_become_a_profile(tmp_path: Path) -> None:
    out = tmp_path / "profile.json"
    files = [
        argument for batch in (1, 8, 16) for argument in ("--batch", batch, idle(tmp_path, batch, 1000 * batch + 4000))
    ]
    ran = imported("perf-analyzer", *files, "--gpu", "T4", "--model", "bert", "-o", out)
    assert (0, True) == (ran.code, ran.err.endswith(f"wrote {out}\n"))
    assert "bert, Triton on T4: 3 rows of perf_analyzer" in ran.out
    assert re.search(r"curve +batch 1 to 16, 3 measured: [\d.]+ ms to [\d.]+ ms", ran.out)
    profile = read_profile(out)
    assert ((1, 8, 16), (1, 16)) == (tuple(b for b in profile.batch if b in (1, 8, 16)), profile.range)
    assert {"model": "bert", "device": "T4", "server": "Triton", "tool": "perf_analyzer"} == profile.provenance
    beside = sum(
        getattr(profile.overheads, name)[0] for name in ("frontend_ms", "enqueue_ms", "dispatch_ms", "reply_ms")
    )
    assert 5.4 == pytest.approx(profile.latency_ms[0] + beside, rel=0.02), "a lone request takes as long as it did"


def test_a_folder_says_the_same_as_its_files(tmp_path: Path) -> None:
    folder = tmp_path / "runs"
    for batch in (1, 8):
        idle(folder, batch, 1000 * batch + 4000)
    ran = imported("perf-analyzer", folder, "-o", tmp_path / "a.json", "--quiet")
    assert (0, "") == (ran.code, ran.err)
    listed = imported(
        "perf-analyzer", "--batch", "1,8", folder / "b1.csv", folder / "b8.csv", "-o", tmp_path / "b.json"
    )
    assert 0 == listed.code
    first, second = (json.loads((tmp_path / name).read_text()) for name in ("a.json", "b.json"))
    assert first["service_model"] == second["service_model"]


def test_json_is_one_object(tmp_path: Path) -> None:
    ran = imported("perf-analyzer", idle(tmp_path, 1, 5000, "perf.csv"), "-o", tmp_path / "p.json", "--json")
    content = ran.json()
    assert (1, "server", 1, str(tmp_path / "p.json")) == tuple(
        content[key] for key in ("schema_version", "scope", "rows", "output")
    )
    assert any("taken to be 1" in warning for warning in content["warnings"])
    assert content["service_model"]["batch"] == [1]
    assert "! the file does not say how many items a request has" in ran.err


OFFLINE = "Scenario : Offline\nMode : PerformanceOnly\nSamples per second: 1600\nResult is : VALID\n"
"""Made up, in the shape of MLPerf's summary."""


def test_what_cannot_be_fitted_is_kept_to_be_joined(tmp_path: Path) -> None:
    """A throughput alone, or one load of an LLM, is still a measurement; a scenario that names it is refused."""
    log, out = tmp_path / "mlperf_log_summary.txt", tmp_path / "p.json"
    log.write_text(OFFLINE)
    ran = imported("mlperf", log, "--gpu", "H100", "-o", out)
    assert (0, True) == (ran.code, "! kept, but not fitted: measurements must hold the latency" in ran.err)
    assert "not fitted" in ran.out
    content = json.loads(out.read_text())
    assert ({"batch": [1], "rate_rps": ["inf"], "throughput_rps": [1600]}, "H100") == (
        {key: content["loads"][key] for key in ("batch", "rate_rps", "throughput_rps")},
        content["provenance"]["device"],
    )
    with pytest.raises(InputError, match="holds loads of a server and no batch curve"):
        read_profile(out)


def test_executions_that_cannot_be_fitted_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise InputError([Problem("measurements", None, None, "", "contradict each other")])

    monkeypatch.setattr("calibration.imported.fit_profile", refuse)
    log = tmp_path / "mlperf_log_summary.txt"
    log.write_text(OFFLINE)
    ran = imported("mlperf", log, "--batch", 8, "-o", tmp_path / "p.json")
    assert (2, "measurements: contradict each other.\n") == (ran.code, ran.err)
    assert not (tmp_path / "p.json").exists()


def test_everything_that_was_said_is_kept(tmp_path: Path) -> None:
    said = {
        "precision": "fp16",
        "runtime": "TensorRT",
        "source": "a table",
        "url": "https://example.org",
        "licence": "MIT",
    }
    said |= {"date": "2026-01-19", "server": "Triton 24.05"}
    options = [text for key, value in said.items() for text in (f"--{key}", value)]
    out = tmp_path / "p.json"
    assert 0 == imported("perf-analyzer", idle(tmp_path, 1, 5000), *options, "--name", "mine", "-o", out).code
    content = json.loads(out.read_text())
    assert said == {key: content["provenance"][key] for key in said}
    assert "mine" == content["name"]


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("perf-analyser", "FILE", "-o", "OUT"), "Did you mean 'perf-analyzer'?"),
        (("perf-analyzer", "FILE", "--batch", "two", "-o", "OUT"), "--batch: must be a whole number, got 'two'."),
        (("perf-analyzer", "FILE", "--batch", "0", "-o", "OUT"), "--batch: must be at least 1, got 0."),
        (("perf-analyzer", "FILE", "--date", "soon", "-o", "OUT"), "--date: must be a day, got 'soon'."),
        (("perf-analyzer", "FILE", "-o", "FILE"), "--output: must be another file than those that are read"),
        (("perf-analyzer", "FILE", "-o", "FOLDER"), "--output: must be a file, not a directory"),
        (("perf-analyzer", "FILE", "-o", "FOLDER/none/p.json"), "--output: must be in a folder that exists"),
        (("locust", "FILE", "-o", "OUT"), "Use: calibrate import perf-analyzer"),
    ],
)
def test_what_cannot_be_done_is_said_and_nothing_written(tmp_path: Path, args: tuple[str, ...], said: str) -> None:
    file, out = idle(tmp_path, 1, 5000), tmp_path / "out.json"
    places = {"FILE": file, "OUT": out, "FOLDER": tmp_path}
    before = file.read_text()
    ran = imported(*(re.sub("FILE|OUT|FOLDER", lambda match: str(places[match[0]]), arg) for arg in args))
    assert (2, "", True) == (ran.code, ran.out, said in ran.err)
    assert (False, before) == (out.exists(), file.read_text())
    assert "Traceback" not in ran.err


def test_the_help_names_every_format() -> None:
    assert [] == [name for name in FORMATS if name not in FORMAT_HELP]
    assert [] == [
        alias
        for format in FORMATS.values()
        for alias in format.aliases
        if alias == "genai-perf" and alias not in FORMAT_HELP
    ]


def test_a_published_table_written_as_perf_analyzer_would_comes_back(tmp_path: Path) -> None:
    """NVIDIA's BERT on a T4 (triton_static_batch.csv): what was published is what the profile measured."""
    import csv

    table = SHARED / "triton_static_batch.csv"
    if not table.exists():
        pytest.skip("../shared/data/triton_static_batch.csv is absent")
    with open(table, encoding="utf-8", newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if row["curve_id"] == "c008"]
    parts = ("client_send", "network_server_sendrecv", "server_queue", "server_compute_input", "server_compute_infer")
    keys = [
        f"{name}_ms" for name in (*parts, "server_compute_output", "client_recv", "p50", "p90", "p95", "p99", "avg")
    ]
    folder = tmp_path / "runs"
    folder.mkdir()
    for row in rows:
        cells = ["1", row["throughput_inf_per_s"], *(str(round(1000 * float(row[key]))) for key in keys)]
        (folder / f"b{row['client_batch']}.csv").write_text(f"{HEADER}\n{','.join(cells)}\n")
    out = tmp_path / "p.json"
    assert 0 == imported("perf-analyzer", folder, "--gpu", rows[0]["gpu"], "-o", out).code
    loads = json.loads(out.read_text())["loads"]
    assert [int(row["client_batch"]) for row in rows] == loads["batch"]
    assert [float(row["avg_ms"]) for row in rows] == loads["latency_ms"]
    assert [float(row["server_compute_infer_ms"]) for row in rows] == loads["compute_ms"]
