"""guidellm: seconds beside ms, percentiles whose names mislead, and only requests that succeeded."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from calibration.importers import ImportOptions, import_files
from calibration.observation import Observations
from calibration.problems import InputError

SAMPLE = Path(__file__).resolve().parents[3].parent / "shared/samples/in/guidellm_benchmarks.json"


def spread(mean: float, **percentiles: float) -> dict[str, Any]:
    return {"successful": {"mean": mean, "median": mean, "percentiles": percentiles}, "errored": {"mean": 0.1}}


def benchmark(strategy: dict[str, Any], **metrics: Any) -> dict[str, Any]:
    measured = {
        "request_totals": {"successful": 480, "errored": 5, "incomplete": 3, "total": 488},
        "requests_per_second": spread(7.9),
        "request_concurrency": spread(13.8),
        "request_latency": spread(1.75, p001=1.0, p01=1.2, p50=1.74, p99=2.51, p999=2.9),
        "time_to_first_token_ms": spread(92.0, p99=240.0),
        "inter_token_latency_ms": spread(13.0),
        "time_per_output_token_ms": spread(13.7),
        "prompt_token_count": spread(512.0),
        "output_token_count": spread(128.0),
    }
    return {"type_": "generative_benchmark", "config": {"strategy": strategy}, "metrics": measured | metrics}


def imported(tmp_path: Path, *benchmarks: Any, **fields: Any) -> Observations:
    path = tmp_path / "benchmarks.json"
    report = {"metadata": {"version": 2, "guidellm_version": "0.8.1"}, "config": {"model": "m"}}
    path.write_text(json.dumps(report | {"benchmarks": list(benchmarks)} | fields))
    return import_files("guidellm", [path], ImportOptions())


RATE = {"type_": "constant", "rate": 8.0}


def test_request_latency_is_in_seconds_and_the_others_in_ms(tmp_path: Path) -> None:
    (row,) = imported(tmp_path, benchmark(RATE)).rows
    assert (1750, 92, 13) == (row.latency_ms["mean"], row.ttft_ms["mean"], row.tpot_ms["mean"])
    assert (480, 7.9, 512, 128) == (row.requests, row.throughput_rps, row.prompt_tokens, row.output_tokens)


def test_p01_is_the_first_percentile_and_p999_the_99_9th(tmp_path: Path) -> None:
    """p001 (the 0.1th) taken for the first, or p01 for the tenth, would pass unnoticed."""
    (row,) = imported(tmp_path, benchmark(RATE)).rows
    assert {"mean": 1750, "p50": 1740, "p1": 1200, "p99": 2510, "p999": 2900} == row.latency_ms


def test_time_per_output_token_leaves_the_first_token_out(tmp_path: Path) -> None:
    """Its own metric of that name divides the whole latency by all tokens."""
    (row,) = imported(tmp_path, benchmark(RATE)).rows
    assert (13.0, 13.7) == (row.tpot_ms["mean"], row.notes["latency_per_output_token_ms"]["mean"])


def test_requests_that_did_not_succeed_are_counted_and_mentioned(tmp_path: Path) -> None:
    measured = imported(tmp_path, benchmark(RATE))
    assert 8 == measured.rows[0].failed
    assert (5, 3) == (measured.rows[0].notes["errored"], measured.rows[0].notes["incomplete"])
    assert any("8 of 488 requests failed or were cut off" in warning for warning in measured.warnings)


@pytest.mark.parametrize(
    ("strategy", "load"),
    [
        ({"type_": "synchronous"}, (1, None)),
        ({"type_": "concurrent", "streams": 16}, (16, None)),
        ({"type_": "throughput"}, (None, math.inf)),
        ({"type_": "throughput", "max_concurrency": 64}, (64, None)),
        ({"type_": "constant", "rate": 8.0}, (None, 8.0)),
        ({"type_": "poisson", "rate": 2.5}, (None, 2.5)),
        ({"type_": "another"}, (13.8, None)),
    ],
)
def test_every_strategy_is_a_load(tmp_path: Path, strategy: dict[str, Any], load: tuple[float, float]) -> None:
    (row,) = imported(tmp_path, benchmark(strategy)).rows
    assert load == (row.concurrency, row.rate_rps)


def test_a_sweep_is_a_row_for_each_benchmark(tmp_path: Path) -> None:
    rows = imported(tmp_path, benchmark({"type_": "synchronous"}), benchmark(RATE)).rows
    assert [(1, None), (None, 8)] == [(row.concurrency, row.rate_rps) for row in rows]
    assert ["benchmarks.0", "benchmarks.1"] == [row.place.rpartition(" ")[2] for row in rows]


def test_metrics_that_are_not_known_are_named(tmp_path: Path) -> None:
    measured = imported(tmp_path, benchmark(RATE, kv_cache_hits=0.5))
    assert 0.5 == measured.rows[0].notes["kv_cache_hits"]
    assert any("metrics that are not known are kept as notes: kv_cache_hits" in each for each in measured.warnings)


def test_what_guidellm_warned_of_is_passed_on(tmp_path: Path) -> None:
    told = benchmark(RATE) | {"warnings": [{"message": "saturated"}, "too short"]}
    assert {"guidellm warned: saturated", "guidellm warned: too short"} <= set(imported(tmp_path, told).warnings)


def test_answers_that_were_not_streamed_have_no_first_token(tmp_path: Path) -> None:
    assert {} == imported(tmp_path, benchmark(RATE, time_to_first_token_ms=spread(0.0, p99=0.0))).rows[0].ttft_ms


def test_where_it_comes_from_is_told(tmp_path: Path) -> None:
    assert {"model": "m", "tool": "guidellm 0.8.1"} == imported(tmp_path, benchmark(RATE)).provenance


def test_a_benchmark_without_success_is_left_out(tmp_path: Path) -> None:
    none = benchmark(RATE, request_totals={"successful": 0, "errored": 9, "incomplete": 0, "total": 9})
    measured = imported(tmp_path, benchmark(RATE), none)
    assert 1 == len(measured.rows)
    assert any("no request succeeded in this benchmark" in warning for warning in measured.warnings)


def test_what_cannot_be_read_is_refused_with_its_place(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        imported(tmp_path, benchmark(RATE | {"rate": "fast"}, request_latency=[1, 2]))
    said = str(caught.value)
    assert "benchmarks.json:1:" in said
    assert "benchmarks.0.config.strategy.rate: must be a number, got 'fast'" in said
    assert "benchmarks.0.metrics.request_latency: must be a mapping of keys to values, got [1, 2]" in said


def test_another_file_is_refused_helpfully(tmp_path: Path) -> None:
    path = tmp_path / "other.json"
    path.write_text('{"a": 1}')
    with pytest.raises(InputError, match="benchmarks: is required: this is no report of guidellm"):
        import_files("guidellm", [path])


def test_the_sample_is_read() -> None:
    if not SAMPLE.exists():
        pytest.skip("../shared/samples is absent")
    (row,) = import_files("guidellm", [SAMPLE]).rows
    assert (8.0, 480, 3, 1750.0, 240.0) == (
        row.rate_rps, row.requests, row.failed, row.latency_ms["mean"], row.ttft_ms["p99"]
    )  # fmt: skip
