"""``vllm bench serve``: ms and seconds beside each other, a rate that may be the word inf, keys that may be absent."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from calibration.importers import ImportOptions, import_files
from calibration.observation import Observations
from calibration.problems import InputError

SAMPLE = Path(__file__).resolve().parents[3].parent / "shared/samples/in/vllm_bench_serve.json"

RUN: dict[str, Any] = {
    "date": "20261122-000000", "endpoint_type": "openai", "model_id": "m", "num_prompts": 100, "request_rate": "inf",
    "burstiness": 1.0, "max_concurrency": 16, "duration": 40.0, "completed": 100, "failed": 0,
    "total_input_tokens": 51200, "total_output_tokens": 12800, "request_throughput": 2.5,
    "mean_ttft_ms": 92.0, "median_ttft_ms": 81.0, "std_ttft_ms": 40.0, "p99_ttft_ms": 240.0,
    "mean_tpot_ms": 49.6, "median_tpot_ms": 49.0, "p99_tpot_ms": 60.0, "mean_itl_ms": 13.0, "p99.9_itl_ms": 34.0,
}  # fmt: skip


def imported(tmp_path: Path, *runs: dict[str, Any], **options: Any) -> Observations:
    path = tmp_path / "result.json"
    path.write_text("\n".join(json.dumps(run) for run in runs))
    return import_files("vllm-bench", [path], ImportOptions(**options))


def test_a_closed_loop_has_its_concurrency_and_no_rate(tmp_path: Path) -> None:
    (row,) = imported(tmp_path, RUN).rows
    assert (16, None, 100, 2.5) == (row.concurrency, row.rate_rps, row.requests, row.throughput_rps)
    assert (512, 128) == (row.prompt_tokens, row.output_tokens)
    assert {"mean": 92, "p50": 81, "std": 40, "p99": 240} == row.ttft_ms
    assert {"mean": 49.6, "p50": 49, "p99": 60} == row.tpot_ms
    assert {"mean": 13, "p999": 34} == row.itl_ms


def test_end_to_end_latency_that_was_not_asked_for_is_absent_and_not_zero(tmp_path: Path) -> None:
    assert {} == imported(tmp_path, RUN).rows[0].latency_ms


def test_at_a_rate_the_concurrency_is_but_a_bound(tmp_path: Path) -> None:
    """Taken for a closed loop, the run would be thought to have 64 requests outstanding all the time."""
    (row,) = imported(tmp_path, RUN | {"request_rate": 8.0, "max_concurrency": 64}).rows
    assert (None, 8.0, 64) == (row.concurrency, row.rate_rps, row.notes["max_concurrency"])


def test_all_at_once_without_a_bound_is_an_infinite_rate(tmp_path: Path) -> None:
    (row,) = imported(tmp_path, RUN | {"max_concurrency": None}).rows
    assert (None, math.inf) == (row.concurrency, row.rate_rps)


def test_lists_are_in_seconds_and_failed_requests_in_none_of_them(tmp_path: Path) -> None:
    detail = {
        "latencies": [1.5, 2.5, 0.0], "ttfts": [0.08, 0.12, 0.0], "itls": [[0.01], [0.02], []],
        "errors": ["", "", "refused"], "completed": 2, "failed": 1, "num_prompts": 3,
    }  # fmt: skip
    bare = {key: value for key, value in RUN.items() if "ttft" not in key}
    measured = imported(tmp_path, bare | detail)
    (row,) = measured.rows
    assert (1500, 2500) == row.samples_ms
    assert (2000, 100, 1) == (row.latency_ms["mean"], row.ttft_ms["mean"], row.failed)
    assert any("1 of 3 requests failed" in warning for warning in measured.warnings)


def test_latencies_follow_from_first_tokens_and_gaps_where_they_are_not_listed(tmp_path: Path) -> None:
    (row,) = imported(tmp_path, RUN | {"ttfts": [0.1, 0.2], "itls": [[0.01, 0.02], [0.03]], "completed": 2}).rows
    assert (130, 230) == pytest.approx(row.samples_ms)


def test_appended_results_are_a_row_each(tmp_path: Path) -> None:
    runs = [RUN | {"max_concurrency": c} for c in (1, 4, 16)]
    assert [1, 4, 16] == [row.concurrency for row in imported(tmp_path, *runs).rows]
    path = tmp_path / "joined.json"
    path.write_text("".join(json.dumps(run, indent=1) for run in runs))
    assert [1, 4, 16] == [row.concurrency for row in import_files("vllm", [path]).rows]


def test_an_older_result_without_failed_counts_what_is_missing(tmp_path: Path) -> None:
    old = {key: value for key, value in RUN.items() if key != "failed"}
    assert 10 == imported(tmp_path, old | {"completed": 90}).rows[0].failed


def test_keys_that_are_not_known_are_kept_and_named(tmp_path: Path) -> None:
    """``--metadata`` adds keys of the user's own."""
    measured = imported(tmp_path, RUN | {"gpu": "H100", "p95_ttft_ms": 100.0})
    assert "H100" == measured.rows[0].notes["gpu"]
    assert ("keys that are not known are kept as notes: gpu",) == measured.warnings
    assert 100 == measured.rows[0].ttft_ms["p95"]


def test_burstiness_is_kept(tmp_path: Path) -> None:
    assert 0.5 == imported(tmp_path, RUN | {"burstiness": 0.5}).rows[0].notes["burstiness"]


def test_where_it_comes_from_is_told(tmp_path: Path) -> None:
    told = imported(tmp_path, RUN, device="H100").provenance
    assert {"date": "2026-11-22", "model": "m", "device": "H100", "tool": "vllm bench serve"} == told


def test_what_was_said_wins(tmp_path: Path) -> None:
    (row,) = imported(tmp_path, RUN, prompt_tokens=500, model_instances=2).rows
    assert (500, 128, 2) == (row.prompt_tokens, row.output_tokens, row.model_instances)


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        ({"request_rate": "fast"}, "result.json:1:109: request_rate: must be a number, got 'fast'"),
        ({"mean_ttft_ms": "92"}, "mean_ttft_ms: must be a number, got '92'"),
        ({"completed": -1}, "completed: must be at least 0, got -1"),
        ({"ttfts": ["x"]}, "ttfts.0: must be a number, got 'x'"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_place(tmp_path: Path, broken: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError) as caught:
        imported(tmp_path, RUN | broken)
    assert said in str(caught.value)


def test_all_problems_of_all_files_are_told_at_once(tmp_path: Path) -> None:
    for name, run in (("a.json", RUN | {"duration": "x"}), ("b.json", RUN | {"completed": "y", "request_rate": "z"})):
        (tmp_path / name).write_text(json.dumps(run))
    with pytest.raises(InputError) as caught:
        import_files("vllm", [tmp_path / "a.json", tmp_path / "b.json"])
    assert ["duration", "completed", "request_rate"] == [problem.path for problem in caught.value.problems]


def test_a_run_without_an_answer_is_left_out_and_a_file_of_such_runs_refused(tmp_path: Path) -> None:
    measured = imported(tmp_path, RUN, RUN | {"completed": 0})
    assert 1 == len(measured.rows)
    assert any("no request was answered in this run" in warning for warning in measured.warnings)
    with pytest.raises(InputError, match="holds no requests that were answered"):
        imported(tmp_path, RUN | {"completed": 0})


def test_another_tools_file_is_refused_helpfully(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is no result of vllm bench serve"):
        imported(tmp_path, {"hello": 1})
    with pytest.raises(InputError, match="must be a mapping of keys to values"):
        imported(tmp_path, [1])  # type: ignore[arg-type]


def test_the_sample_is_read() -> None:
    if not SAMPLE.exists():
        pytest.skip("../shared/samples is absent")
    (row,) = import_files("vllm-bench", [SAMPLE]).rows
    assert (8.0, 7.91, 1755.0, 240.0) == (row.rate_rps, row.throughput_rps, row.latency_ms["mean"], row.ttft_ms["p99"])
    assert (512.0, 128.0, (1740.0,)) == (row.prompt_tokens, row.output_tokens, row.samples_ms)
