"""Formats by name, and the refusals that come before a reader is asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from calibration.importers import FORMATS, Format, ImportOptions, format_named, import_files
from calibration.importers.recognise import recognised
from calibration.problems import InputError

SAMPLES = Path(__file__).resolve().parents[3].parent / "shared" / "samples" / "in"

SAMPLE_FORMATS = {
    "perf_analyzer": "perf-analyzer",
    "model_analyzer": "model-analyzer",
    "aiperf": "aiperf",
    "genai_perf": "aiperf",
    "vllm_bench": "vllm-bench",
    "guidellm": "guidellm",
    "optimum_benchmark": "optimum-benchmark",
    "inference_perf": "inference-perf",
    "locust": "locust",
    "mlperf": "mlperf",
    "prometheus": "prometheus",
}


def refusal(format: str, *files: Path, **options: Any) -> str:
    with pytest.raises(InputError) as error:
        import_files(format, files, ImportOptions(**options))
    return str(error.value)


def test_every_sample_is_recognised_as_what_it_is() -> None:
    if not SAMPLES.exists():
        pytest.skip("../shared/samples/in is absent")
    for path in sorted(SAMPLES.iterdir()):
        expected = next((format for start, format in SAMPLE_FORMATS.items() if path.name.startswith(start)), None)
        assert expected == recognised(path), path.name


@pytest.mark.parametrize("format", FORMATS.values(), ids=FORMATS.keys())
def test_a_format_is_found_by_each_of_its_names(format: Format) -> None:
    for name in (format.name, *format.aliases):
        assert format is format_named(name) is format_named(name.replace("-", "_").upper())


def test_an_unknown_format_is_answered_with_the_near_and_the_known() -> None:
    message = refusal("vllm-bensch", Path("x"))
    assert "FORMAT: must be a format that can be imported, got 'vllm-bensch'. Did you mean 'vllm-bench'?" in message
    assert all(name in message for name in FORMATS)


def test_another_tools_file_is_refused_with_the_command_that_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "benchmarks.json"
    path.write_text('{"metadata": {"guidellm_version": "0.8.1"}}')
    message = refusal("vllm-bench", path)
    assert f"{path}: does not look like a file of vllm-bench: it looks like guidellm: benchmarks.json." in message
    assert f"Use: calibrate import guidellm {path}." in message


@pytest.mark.parametrize("format", FORMATS)
def test_what_is_no_file_is_refused(format: str, tmp_path: Path) -> None:
    assert "does not exist" in refusal(format, tmp_path / "absent.csv")
    (tmp_path / "perf.csv").write_text("x")
    assert "Did you mean 'perf.csv'?" in refusal(format, tmp_path / "pref.csv")
    assert "FILE: must be given" in refusal(format)
    if not FORMATS[format].folders:
        assert "is a directory, not a file. Name a file:" in refusal(format, tmp_path)


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n\x1a\n\x00\xff\xfe", b"{", b"hello, world\n1, 2\n"])
def test_what_is_no_measurement_is_refused_without_a_traceback(format: str, content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    path.write_bytes(content)
    assert str(path) in refusal(format, path)


def test_options_that_a_format_cannot_use_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "metrics.json"
    path.write_text("{}")
    assert "--batch: must not be given for guidellm. Only perf-analyzer," in refusal("guidellm", path, batches=(1,))
    assert "--endpoint: must not be given for mlperf. Only locust" in refusal("mlperf", path, endpoint="/")


def test_all_problems_of_the_command_line_come_together(tmp_path: Path) -> None:
    message = refusal(
        "mlperf", tmp_path / "a", batches=(0,), model_instances=0, prompt_tokens=float("nan"), endpoint="x"
    )
    assert 5 == len(message.splitlines())
    assert "--batch: must be at least 1, got 0" in message
    assert "--model-instances: must be at least 1, got 0" in message
    assert "--prompt-tokens: must be at least 1, got nan" in message


def test_what_was_said_wins_over_what_the_file_tells() -> None:
    options = ImportOptions(device="T4", date="2026-01-19", url="https://example.org")
    found = options.provenance(tool="x", device="GPU 0", model="m", date=None, system="s")
    assert {
        "url": "https://example.org",
        "date": "2026-01-19",
        "model": "m",
        "device": "T4",
        "tool": "x",
        "system": "s",
    } == found
    assert ["url", "date", "model", "device", "tool", "system"] == list(found)
