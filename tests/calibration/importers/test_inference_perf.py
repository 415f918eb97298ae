"""inference-perf: everything in seconds, a median that is a percentile, a file a stage."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from calibration.importers import ImportOptions, import_files
from calibration.observation import Observations
from calibration.problems import InputError

SAMPLE = Path(__file__).resolve().parents[3].parent / "shared/samples/in/inference_perf_stage_0_lifecycle_metrics.json"

STAGE: dict[str, Any] = {
    "benchmark_time_seconds": 60.2,
    "load_summary": {"count": 480, "schedule_delay": {"mean": 0.002}, "requested_rate": 8.0, "achieved_rate": 7.95},
    "successes": {
        "count": 478,
        "latency": {
            "request_latency": {"mean": 1.75, "min": 1.2, "median": 1.74, "p90": 2.1, "p99.9": 2.9, "max": 2.95},
            "time_to_first_token": {"mean": 0.092, "p99": 0.24},
            "time_per_output_token": {"mean": 0.013},
            "normalized_time_per_output_token": {"mean": 0.0137},
            "inter_token_latency": {"mean": 0.0131, "p99": 0.034},
        },
        "throughput": {"input_tokens_per_sec": 4096.0, "output_tokens_per_sec": 1024.0, "requests_per_sec": 8.0},
    },
    "failures": {"count": 2},
}


def imported(tmp_path: Path, *stages: dict[str, Any], **options: Any) -> Observations:
    paths = []
    for index, stage in enumerate(stages):
        path = tmp_path / f"stage_{index}_lifecycle_metrics.json"
        path.write_text(json.dumps(stage))
        paths.append(path)
    return import_files("inference-perf", paths[::-1], ImportOptions(**options))


def test_seconds_become_ms(tmp_path: Path) -> None:
    (row,) = imported(tmp_path, STAGE).rows
    expected = {"mean": 1750, "min": 1200, "max": 2950, "p50": 1740, "p90": 2100, "p999": 2900}
    assert expected == row.latency_ms
    assert (92, 13, 34) == (row.ttft_ms["mean"], row.tpot_ms["mean"], row.itl_ms["p99"])
    assert 13.7 == row.notes["latency_per_output_token_ms"]["mean"]
    assert 2 == row.notes["schedule_delay_ms"]["mean"]


def test_a_stage_has_its_rate_and_its_counts(tmp_path: Path) -> None:
    measured = imported(tmp_path, STAGE)
    (row,) = measured.rows
    assert (8.0, None, 478, 2, 8.0) == (row.rate_rps, row.concurrency, row.requests, row.failed, row.throughput_rps)
    assert any("2 of 480 requests failed" in warning for warning in measured.warnings)


def test_lengths_are_the_told_ones_or_what_the_rates_say(tmp_path: Path) -> None:
    told = {"prompt_tokens": {"mean": 500.0}, "output_tokens": {"total": 5.0}, "output_len": {"mean": 120.0}}
    assert (512, 128) == lengths(imported(tmp_path, STAGE))
    assert (500, 120) == lengths(imported(tmp_path, STAGE | {"successes": STAGE["successes"] | told}))
    assert (500, 128) == lengths(imported(tmp_path, STAGE, prompt_tokens=500))


def lengths(measured: Observations) -> tuple[float | None, float | None]:
    return measured.rows[0].prompt_tokens, measured.rows[0].output_tokens


def test_stages_come_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    faster = STAGE | {"load_summary": {"requested_rate": 16.0}}
    rows = imported(tmp_path, STAGE, faster).rows
    assert [(0, 8.0), (1, 16.0)] == [(row.notes["stage"], row.rate_rps) for row in rows]


def test_a_rate_of_nothing_is_no_rate(tmp_path: Path) -> None:
    closed = STAGE | {"load_summary": {"requested_rate": 0.0, "concurrency": 16}}
    (row,) = imported(tmp_path, closed).rows
    assert (None, 16) == (row.rate_rps, row.concurrency)


def test_a_stage_without_success_is_left_out(tmp_path: Path) -> None:
    none = STAGE | {"successes": {"count": 0}}
    measured = imported(tmp_path, STAGE, none)
    assert 1 == len(measured.rows)
    assert any("no request succeeded in this stage" in warning for warning in measured.warnings)


def test_another_file_and_wrong_values_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="successes: is required: this is no stage of inference-perf"):
        imported(tmp_path, {"a": 1})
    broken = STAGE | {"failures": {"count": "two"}, "load_summary": {"requested_rate": -1}}
    with pytest.raises(InputError) as caught:
        imported(tmp_path, broken)
    assert {"failures.count", "load_summary.requested_rate"} == {problem.path for problem in caught.value.problems}
    assert [1, 1] == [problem.line for problem in caught.value.problems]


def test_the_sample_is_read() -> None:
    if not SAMPLE.exists():
        pytest.skip("../shared/samples is absent")
    (row,) = import_files("inference-perf", [SAMPLE]).rows
    assert (8.0, 480, 1750.0, 240.0) == (row.rate_rps, row.requests, row.latency_ms["mean"], row.ttft_ms["p99"])
