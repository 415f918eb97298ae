"""optimum-benchmark: seconds, MB and kWh, and a batch size that stands in another file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from calibration.importers import ImportOptions, import_files
from calibration.observation import Observations
from calibration.problems import InputError

SAMPLE = Path(__file__).resolve().parents[3].parent / "shared/samples/in/optimum_benchmark_report.json"


def timed(*seconds: float, unit: str = "s") -> dict[str, Any]:
    mean = sum(seconds) / len(seconds)
    statistics = {
        "mean": mean,
        "p50": mean,
        "p90": max(seconds),
        "p95": max(seconds),
        "p99": max(seconds),
        "stdev": 0.0,
    }
    return {"unit": unit, "values": list(seconds), "count": len(seconds), "total": sum(seconds), **statistics}


def energy(kwh: float) -> dict[str, Any]:
    return {"unit": "kWh", "cpu": kwh / 10, "ram": 0.0, "gpu": kwh, "total": 1.1 * kwh}


MEMORY = {"unit": "MB", "max_ram": 2000.0, "max_global_vram": 6900.0, "max_reserved": 6000.0}
GENERATION: dict[str, Any] = {
    "load_model": {"latency": timed(3.2)},
    "first_generate": {"latency": timed(1.5)},
    "generate": {"latency": timed(1.02)},
    "prefill": {"latency": timed(0.03, 0.05), "memory": MEMORY, "energy": energy(1e-6)},
    "decode": {"latency": timed(0.99), "energy": energy(99e-6)},
    "per_token": {"latency": timed(0.009, 0.5)},
}
FORWARD = {"load_model": {"latency": timed(3.2)}, "forward": {"latency": timed(0.010, 0.012), "memory": MEMORY}}
CONFIG: dict[str, Any] = {
    "name": "run",
    "backend": {"name": "pytorch", "model": "gpt2", "device": "cuda", "torch_dtype": "float16"},
    "scenario": {
        "name": "inference",
        "input_shapes": {"batch_size": 4, "sequence_length": 512},
        "generate_kwargs": {"max_new_tokens": 100},
    },
    "environment": {"gpu": ["NVIDIA A100"], "cpu": "AMD EPYC", "optimum_benchmark_version": "0.6.0"},
}


def written(folder: Path, content: Any, name: str = "benchmark_report.json") -> Path:
    folder.mkdir(exist_ok=True, parents=True)
    path = folder / name
    path.write_text(json.dumps(content))
    return path


def imported(*files: Path, **options: Any) -> Observations:
    return import_files("optimum-benchmark", files, ImportOptions(**options))


def test_a_configuration_beside_the_report_tells_the_batch_size(tmp_path: Path) -> None:
    written(tmp_path, CONFIG, "benchmark_config.json")
    (row,) = imported(written(tmp_path, FORWARD)).rows
    assert (4, {"mean": 11, "p50": 11, "p90": 12, "p95": 12, "p99": 12, "std": 0}) == (row.batch, row.latency_ms)
    assert (2, (10, 12), 6.9e9) == (row.requests, row.samples_ms, row.memory_bytes)
    assert 1000 / 11 == pytest.approx(row.throughput_rps)


def test_a_configuration_among_the_files_does_too(tmp_path: Path) -> None:
    config = written(tmp_path / "elsewhere", CONFIG, "config.json")
    assert 4 == imported(written(tmp_path, FORWARD), config).rows[0].batch


def test_one_file_may_hold_both(tmp_path: Path) -> None:
    both = written(tmp_path, {"config": CONFIG, "report": FORWARD}, "benchmark.json")
    assert 4 == imported(both).rows[0].batch


def test_a_batch_that_was_said_wins(tmp_path: Path) -> None:
    written(tmp_path, CONFIG, "benchmark_config.json")
    assert 16 == imported(written(tmp_path, FORWARD), batches=(16,)).rows[0].batch


def test_several_reports_are_several_batch_sizes(tmp_path: Path) -> None:
    files = []
    for batch in (1, 8):
        folder = tmp_path / str(batch)
        shapes = {"input_shapes": {"batch_size": batch, "sequence_length": 512}}
        written(folder, CONFIG | {"scenario": CONFIG["scenario"] | shapes}, "benchmark_config.json")
        files.append(written(folder, FORWARD))
    assert [1, 8] == [row.batch for row in imported(*files).rows]
    assert [2, 4] == [row.batch for row in imported(*files, batches=(2, 4)).rows]


def test_a_batch_size_that_nothing_tells_stops(tmp_path: Path) -> None:
    """Taken for 1, every model would look as slow as its batch is large."""
    with pytest.raises(InputError) as caught:
        imported(written(tmp_path, FORWARD))
    assert "does not say the batch size, which its configuration holds. Name benchmark_config.json" in str(caught.value)


def test_prefill_and_decode_are_steps_of_an_llm(tmp_path: Path) -> None:
    """100 tokens: the first is the prefill's, 99 share the 0.99 s of decode. generate is both again, and left out."""
    written(tmp_path, CONFIG, "benchmark_config.json")
    prefill, decode = imported(written(tmp_path, GENERATION)).rows
    assert ("prefill", 4, 512, None, 40) == (
        prefill.notes["phase"], prefill.batch, prefill.prompt_tokens, prefill.output_tokens, prefill.latency_ms["mean"]
    )  # fmt: skip
    assert ("decode", 4, 512, 100, 10) == (
        decode.notes["phase"], decode.batch, decode.prompt_tokens, decode.output_tokens, decode.latency_ms["mean"]
    )  # fmt: skip
    assert (3.6, 3.6) == (pytest.approx(prefill.energy_j), pytest.approx(decode.energy_j))


def test_per_token_stands_in_where_the_number_of_tokens_is_not_known(tmp_path: Path) -> None:
    rows = imported(written(tmp_path, GENERATION), batches=(4,), prompt_tokens=512).rows
    assert 254.5 == rows[1].latency_ms["mean"]
    bare = {key: value for key, value in GENERATION.items() if key != "per_token"}
    with pytest.raises(InputError, match="decode: does not say how many tokens it is the time of"):
        imported(written(tmp_path, bare), batches=(4,))
    assert 10 == imported(written(tmp_path, bare), batches=(4,), output_tokens=100).rows[1].latency_ms["mean"]


def test_generate_alone_is_a_whole_answer(tmp_path: Path) -> None:
    written(tmp_path, CONFIG, "benchmark_config.json")
    (row,) = imported(written(tmp_path, {"generate": {"latency": timed(1.02)}})).rows
    assert ("generate", 1020, 100) == (row.notes["phase"], row.latency_ms["mean"], row.output_tokens)


def test_where_it_comes_from_is_told(tmp_path: Path) -> None:
    written(tmp_path, CONFIG, "benchmark_config.json")
    measured = imported(written(tmp_path, FORWARD))
    assert {
        "model": "gpt2", "device": "NVIDIA A100", "precision": "float16", "runtime": "pytorch",
        "tool": "optimum-benchmark 0.6.0",
    } == measured.provenance  # fmt: skip
    assert ("device", {"startup": {"load_s": 3.2}}, ()) == (measured.scope, measured.notes, measured.warnings)


def test_a_cpu_is_told_by_its_name_and_its_ram(tmp_path: Path) -> None:
    written(tmp_path, CONFIG | {"backend": CONFIG["backend"] | {"device": "cpu"}}, "benchmark_config.json")
    report = {"forward": {"latency": timed(0.01), "memory": {"unit": "MB", "max_ram": 2000.0, "max_global_vram": None}}}
    measured = imported(written(tmp_path, report))
    assert ("AMD EPYC", 2e9) == (measured.provenance["device"], measured.rows[0].memory_bytes)


@pytest.mark.parametrize(
    ("report", "said"),
    [
        ({"forward": {"latency": timed(0.01, unit="ms")}}, "forward.latency.unit: must be s, got 'ms'"),
        ({"forward": {"latency": timed(0.01), "memory": {"max_ram": 1}}}, "memory.unit: must be MB, got nothing"),
        ({"forward": {"latency": timed(0.01), "energy": {"unit": "J"}}}, "forward.energy.unit: must be kWh, got 'J'"),
        ({"forward": {"latency": {"unit": "s"}}}, "forward.latency.mean: is required"),
        ({"forward": {"latency": None}}, "holds no latency"),
        ({"a": 1}, "is neither a report nor a configuration of optimum-benchmark"),
        (CONFIG, "is a configuration without a report"),
    ],
)
def test_what_could_be_misread_is_refused(tmp_path: Path, report: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError) as caught:
        imported(
            written(tmp_path, report, "it.json"), **({} if report is CONFIG or "a" in report else {"batches": (1,)})
        )
    assert said in str(caught.value)


def test_what_is_not_told_is_mentioned(tmp_path: Path) -> None:
    measured = imported(written(tmp_path, GENERATION), batches=(4,))
    assert any("no configuration was at hand" in warning for warning in measured.warnings)
    assert any("the lengths of prompts are not told" in warning for warning in measured.warnings)


def test_the_sample_is_read() -> None:
    if not SAMPLE.exists():
        pytest.skip("../shared/samples is absent")
    (row,) = imported(SAMPLE, batches=(8,)).rows
    assert (8, 10.467, 36.0) == (row.batch, row.latency_ms["mean"], pytest.approx(row.energy_j))
