"""AIPerf and genai-perf: units are read and never guessed, runs that were cut short stop, every shape gives one row."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from calibration.importers import ImportOptions, import_files
from calibration.importers.aiperf_load import Load, load_in
from calibration.observation import Observations
from calibration.problems import InputError

SAMPLES = Path(__file__).resolve().parents[3].parent / "shared/samples/in"

RUN: dict[str, Any] = {
    "aiperf_version": "0.13.0",
    "request_throughput": {"unit": "requests/sec", "avg": 4.0},
    "request_latency": {"unit": "ms", "avg": 8000.0, "p50": 7900.0, "p99": 9900.0, "std": 500.0, "count": 400},
    "request_count": {"unit": "requests", "avg": 400.0},
    "time_to_first_token": {"unit": "ms", "avg": 180.0, "p99": 480.0},
    "inter_token_latency": {"unit": "ms", "avg": 14.2, "p99": 21.5},
    "input_sequence_length": {"unit": "tokens", "avg": 512.0},
    "output_sequence_length": {"unit": "tokens", "avg": 128.0},
    "input_config": {"loadgen": {"concurrency": 32, "warmup_request_count": 10}, "endpoint": {"model_names": ["m"]}},
    "was_cancelled": False,
    "is_complete": True,
    "start_time": "2026-11-22T00:00:00",
}


def imported(tmp_path: Path, content: Any, name: str = "profile.json", **options: Any) -> Observations:
    path = tmp_path / name
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return import_files("aiperf", [path], ImportOptions(**options))


def refusal(tmp_path: Path, content: Any, name: str = "profile.json") -> str:
    with pytest.raises(InputError) as caught:
        imported(tmp_path, content, name)
    return str(caught.value)


def test_a_run_is_a_row(tmp_path: Path) -> None:
    measured = imported(tmp_path, RUN)
    (row,) = measured.rows
    assert (32, None, 400, 0, 4.0) == (row.concurrency, row.rate_rps, row.requests, row.failed, row.throughput_rps)
    assert {"mean": 8000, "p50": 7900, "p99": 9900, "std": 500} == row.latency_ms
    assert (512, 128) == (row.prompt_tokens, row.output_tokens)
    assert ("server", ()) == (measured.scope, measured.warnings)
    assert {"date": "2026-11-22", "model": "m", "tool": "AIPerf 0.13.0"} == measured.provenance


def test_their_inter_token_latency_is_the_time_per_output_token(tmp_path: Path) -> None:
    """It is averaged over each request; the gaps between single tokens are another metric."""
    (row,) = imported(tmp_path, RUN).rows
    assert ({"mean": 14.2, "p99": 21.5}, {}) == (row.tpot_ms, row.itl_ms)


@pytest.mark.parametrize(("unit", "factor"), [("ns", 1e6), ("us", 1e3), ("ms", 1.0), ("sec", 1e-3), ("s", 1e-3)])
def test_the_unit_that_is_said_is_the_unit_that_is_read(tmp_path: Path, unit: str, factor: float) -> None:
    (row,) = imported(tmp_path, RUN | {"time_to_first_token": {"unit": unit, "avg": 180.0 * factor}}).rows
    assert 180 == pytest.approx(row.ttft_ms["mean"])


def test_a_unit_that_is_missing_or_not_known_is_refused(tmp_path: Path) -> None:
    """Nanoseconds read as ms would be wrong by a million, and nothing would say so."""
    broken = {"request_latency": {"avg": 2.0}, "time_to_first_token": {"unit": "fortnights", "avg": 1.0}}
    said = refusal(tmp_path, RUN | broken | {"input_sequence_length": {"unit": "characters", "avg": 9}})
    assert "request_latency: must say its unit. Known here: ns, nanoseconds, us," in said
    assert "time_to_first_token.unit: must be one of ns," in said
    assert "input_sequence_length.unit: must be one of tokens, token, got 'characters'" in said
    assert "profile.json:1:" in said


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (
            {"is_complete": False, "incomplete_reason": "2 workers died"},
            "that is incomplete (2 workers died), got false",
        ),
        ({"was_cancelled": True}, "must not be of a run that was cancelled, got true"),
    ],
)
def test_a_run_that_was_cut_short_stops_unless_allowed(tmp_path: Path, broken: dict[str, Any], said: str) -> None:
    assert said in refusal(tmp_path, RUN | broken)
    measured = imported(tmp_path, RUN | broken, allow_incomplete=True)
    assert 1 == len(measured.rows)
    assert any("its figures are of what was measured until then" in warning for warning in measured.warnings)


def test_requests_that_failed_are_counted_and_mentioned(tmp_path: Path) -> None:
    measured = imported(tmp_path, RUN | {"error_request_count": {"unit": "requests", "avg": 100.0}})
    assert 100 == measured.rows[0].failed
    assert any("100 of 500 requests failed" in warning for warning in measured.warnings)


def test_power_and_memory_are_of_all_gpus_together_and_utilisation_their_mean(tmp_path: Path) -> None:
    def gpu(power: float, used_gb: float, busy: float) -> dict[str, Any]:
        metrics = {
            "gpu_power_usage": {"unit": "W", "avg": power},
            "gpu_memory_used": {"unit": "GB", "avg": used_gb - 1, "max": used_gb},
            "gpu_utilization": {"unit": "%", "avg": busy},
        }
        return {"gpu_index": 0, "gpu_name": "NVIDIA H100", "metrics": metrics}

    telemetry = {"endpoints": {"localhost:9400": {"gpus": {"a": gpu(400, 70, 90), "b": gpu(300, 60, 70)}}}}
    measured = imported(tmp_path, RUN | {"telemetry_data": telemetry})
    (row,) = measured.rows
    assert (700, 130e9, 0.8) == (row.power_w, row.memory_bytes, pytest.approx(row.utilisation))
    assert "2 x NVIDIA H100" == measured.provenance["device"]


def test_genai_perf_keeps_its_telemetry_by_metric_with_one_unit(tmp_path: Path) -> None:
    older = {
        key: value for key, value in RUN.items() if key not in ("aiperf_version", "is_complete", "was_cancelled")
    } | {
        "input_config": {"model_names": ["m"], "perf_analyzer": {"stimulus": {"request_rate": 8}}},
        "telemetry_stats": {
            "gpu_power_usage": {"unit": "W", "gpu0": {"avg": 402.0}, "gpu1": {"avg": 398.0}},
            "gpu_memory_used": {"unit": "GB", "gpu0": {"avg": 70.0, "max": 71.0}},
        },
    }
    measured = imported(tmp_path, older)
    (row,) = measured.rows
    assert (800, 71e9, None, 8) == (row.power_w, row.memory_bytes, row.utilisation, row.rate_rps)
    assert ("genai-perf", "m") == (measured.provenance["tool"], measured.provenance["model"])


@pytest.mark.parametrize(
    ("told", "load"),
    [
        ({"loadgen": {"concurrency": 8}}, Load(8)),
        ({"loadgen": {"request_rate": 2.5, "concurrency": 8}}, Load(None, 2.5, 8)),
        ({"phases": [{"name": "warmup", "concurrency": 1}, {"name": "profiling", "concurrency": 8}]}, Load(8)),
        ({"phases": {"profiling": {"type": "poisson", "rate": 2.5}}}, Load(None, 2.5)),
        ({"loadgen": {"concurrency": None, "sampling": {"rate": 0.5}}}, Load()),
        ({}, Load()),
    ],
)
def test_the_load_is_found_where_the_version_keeps_it(told: dict[str, Any], load: Load) -> None:
    assert load == load_in(told)


def test_the_load_of_a_sweep_is_its_variation_and_else_the_command_line(tmp_path: Path) -> None:
    info = {"variation_values": {"phases.profiling.concurrency": 4}, "cli_command": "aiperf profile --concurrency 9"}
    assert 4 == imported(tmp_path, RUN | {"run_info": info}).rows[0].concurrency
    bare = RUN | {"run_info": {"cli_command": "aiperf profile --request-rate 2.5"}, "input_config": {}}
    assert 2.5 == imported(tmp_path, bare).rows[0].rate_rps


def test_a_load_that_is_not_told_is_said_to_be_missing(tmp_path: Path) -> None:
    measured = imported(tmp_path, RUN | {"input_config": {}})
    assert any("how many requests were outstanding" in warning for warning in measured.warnings)


def test_other_metrics_are_kept_as_notes(tmp_path: Path) -> None:
    more = {"inter_chunk_latency": {"unit": "ms", "avg": 13.0, "p99": 40.0, "max": 90.0}}
    (row,) = imported(tmp_path, RUN | more).rows
    assert {"unit": "ms", "avg": 13.0, "p99": 40.0} == row.notes["metrics"]["inter_chunk_latency"]


# --- the other files --------------------------------------------------------------------------------------------------

CSV = """Metric,avg,min,max,p50,p99,std
Request Latency (ms),2110.00,850.00,4800.00,2050.00,4100.00,610.00
Time to First Token (ms),180.00,70.00,700.00,160.00,480.00,80.00
Inter Token Latency (ms),14.20,,,14.00,21.50,
Input Sequence Length (tokens),512.00,512,512,512,512,0
Output Sequence Length (tokens),136.30,1,256,128,256,9

Metric,Value
Request Count,2000.00
Request Throughput (requests/sec),12.40


Endpoint,GPU_Index,GPU_Name,GPU_UUID,Metric,avg
localhost,0,H100,GPU-1,GPU Power Usage (W),400.00
"""


def test_a_csv_is_read_table_by_table(tmp_path: Path) -> None:
    (row,) = imported(tmp_path, CSV, "profile.csv").rows
    assert (2000, 12.4, 2110, 4100) == (
        row.requests, row.throughput_rps, row.latency_ms["mean"], row.latency_ms["p99"]
    )  # fmt: skip
    assert ({"mean": 14.2, "p50": 14, "p99": 21.5}, 512, 136.3) == (row.tpot_ms, row.prompt_tokens, row.output_tokens)


def test_a_csv_that_cannot_be_read_says_in_which_line(tmp_path: Path) -> None:
    assert "profile.csv:2: avg: must be a number, got 'x'" in refusal(
        tmp_path, CSV.replace("2110.00", "x"), "profile.csv"
    )
    unitless = CSV.replace("Time to First Token (ms)", "Time to First Token")
    assert "profile.csv:3: time_to_first_token: must say its unit" in refusal(tmp_path, unitless, "profile.csv")


def record(start_ms: float, latency_ms: float, **fields: Any) -> dict[str, Any]:
    start_ns = 1_763_770_000_000_000_000 + round(start_ms * 1e6)
    metadata = {"request_start_ns": start_ns, "request_end_ns": start_ns + round(latency_ms * 1e6)}
    metrics = {
        "request_latency": {"value": latency_ms, "unit": "ms"},
        "time_to_first_token": {"value": 50.0, "unit": "ms"},
        "output_sequence_length": {"value": 11, "unit": "tokens"},
    }
    return {"metadata": metadata | fields.pop("metadata", {}), "metrics": metrics, "error": None, **fields}


def lines(*records: dict[str, Any]) -> str:
    return "\n".join(json.dumps(one) for one in records)


def test_single_requests_give_their_percentiles_and_their_mean_load(tmp_path: Path) -> None:
    """Two requests at a time, each 100 ms long, for a second: 20 requests a second and 2 outstanding."""
    records = [record(start, 100.0) for start in range(0, 1000, 100) for _ in range(2)]
    (row,) = imported(tmp_path, lines(*records), "profile.jsonl").rows
    assert (20, 20, 2) == (row.requests, pytest.approx(row.throughput_rps), pytest.approx(row.concurrency))
    assert ((100.0,) * 20, 50, 11) == (row.samples_ms, row.ttft_ms["mean"], row.output_tokens)


def test_requests_of_the_warm_up_and_failed_ones_are_in_no_figure(tmp_path: Path) -> None:
    records = [
        record(0, 9000.0, metadata={"benchmark_phase": "warmup"}),
        record(0, 100.0),
        record(100, 100.0, error={"code": 500}),
        record(100, 100.0, metadata={"was_cancelled": True}),
    ]
    (row,) = imported(tmp_path, lines(*records), "profile.jsonl").rows
    assert (1, 2, 100) == (row.requests, row.failed, row.latency_ms["max"])


def test_a_unit_that_changes_from_line_to_line_is_refused(tmp_path: Path) -> None:
    other = record(100, 100.0)
    other["metrics"]["request_latency"]["unit"] = "ns"
    said = refusal(tmp_path, lines(record(0, 100.0), other), "profile.jsonl")
    assert "metrics.request_latency.unit: must be ms as in the lines before, got 'ns'" in said


def test_a_sweep_gives_a_row_for_each_combination(tmp_path: Path) -> None:
    def combination(concurrency: int) -> dict[str, Any]:
        metrics = {
            "request_latency_avg": {"mean": 100.0 * concurrency, "unit": "ms", "std": 1.0},
            "request_latency_p99": {"mean": 150.0 * concurrency, "unit": "ms"},
            "request_throughput_avg": {"mean": 10.0, "unit": "requests/sec"},
        }
        return {"parameters": {"concurrency": concurrency}, "metrics": metrics}

    sweep = {"metadata": {"sweep_id": "s"}, "per_combination_metrics": [combination(1), combination(4)]}
    rows = imported(tmp_path, sweep, prompt_tokens=512, output_tokens=128).rows
    assert [(1, 100, 150), (4, 400, 600)] == [
        (row.concurrency, row.latency_ms["mean"], row.latency_ms["p99"]) for row in rows
    ]
    assert [512, 512] == [row.prompt_tokens for row in rows]


def test_another_file_is_refused_helpfully(tmp_path: Path) -> None:
    assert "is no summary of AIPerf or genai-perf: it has no request_latency" in refusal(tmp_path, {"a": 1})
    assert "is not valid JSON" in refusal(tmp_path, "a,b\n1,2\n", "other.csv")


@pytest.mark.parametrize(
    ("name", "requests", "mean_ms", "ttft_ms"),
    [
        ("aiperf_profile_export_aiperf.json", 2000, 2110.0, 180.0),
        ("genai_perf_profile_export_genai_perf.json", None, 2110.0, 180.0),
        ("aiperf_profile_export_aiperf.csv", 2000, 2110.0, 180.0),
        ("aiperf_profile_export.jsonl", 1, 2110.0, 180.0),
    ],
)
def test_the_samples_are_read(name: str, requests: int | None, mean_ms: float, ttft_ms: float) -> None:
    if not (SAMPLES / name).exists():
        pytest.skip("../shared/samples is absent")
    (row,) = import_files("aiperf", [SAMPLES / name]).rows
    assert (requests, mean_ms, ttft_ms) == (row.requests, row.latency_ms["mean"], row.ttft_ms["mean"])
