"""perf_analyzer's JSON: every request counts by its last response, inside the windows that were reported."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from calibration.importers import ImportOptions, import_files
from calibration.observation import Observations
from calibration.problems import InputError

SAMPLE = Path(__file__).resolve().parents[3].parent / "shared/samples/in/perf_analyzer_profile_export.json"

MS = 1_000_000
START = 1_763_770_000_000_000_000


def request(start_ms: float, *responses_ms: float, outputs: list[Any] | None = None) -> dict[str, Any]:
    at = [START + round(time * MS) for time in (start_ms, *responses_ms)]
    return {
        "timestamp": at[0],
        "request_inputs": {},
        "response_timestamps": at[1:],
        "response_outputs": outputs if outputs is not None else [{"OUT": [1]}] * len(responses_ms),
    }


def experiment(requests: list[Any], windows_ms: list[float] | None, **load: Any) -> dict[str, Any]:
    windows = [] if windows_ms is None else [START + round(time * MS) for time in windows_ms]
    return {
        "experiment": load or {"mode": "concurrency", "value": 1},
        "requests": requests,
        "window_boundaries": windows,
    }


def back_to_back(count: int, each_ms: float = 10.0) -> list[dict[str, Any]]:
    """Made up: one request after another, each of the same length."""
    return [request(index * each_ms, (index + 1) * each_ms) for index in range(count)]


def written(tmp_path: Path, *experiments: Any, **fields: Any) -> Path:
    path = tmp_path / "profile.json"
    path.write_text(json.dumps({"experiments": list(experiments), "service_kind": "triton", **fields}))
    return path


def imported(path: Path, **options: Any) -> Observations:
    return import_files("perf-analyzer", [path], ImportOptions(**{"batches": (1,), **options}))


def refusal(path: Path, **options: Any) -> str:
    with pytest.raises(InputError) as error:
        imported(path, **options)
    return str(error.value)


def test_ns_since_the_epoch_become_latencies() -> None:
    if not SAMPLE.exists():
        pytest.skip("../shared/samples/in/perf_analyzer_profile_export.json is absent")
    found = imported(SAMPLE)
    (row,) = found.rows
    assert (8.0, 2, 0.4, (8.69, 9.1)) == (row.concurrency, row.requests, row.throughput_rps, row.samples_ms)
    assert pytest.approx(8.895) == row.latency_ms["mean"]
    assert {"server": "Triton", "tool": "perf_analyzer"} == found.provenance
    assert "concurrency 8: fewer than 100 requests: too few to tell a 99th percentile" in found.warnings


def test_requests_back_to_back_are_steady(tmp_path: Path) -> None:
    found = imported(written(tmp_path, experiment(back_to_back(200), [0, 2000])), batches=(4,))
    (row,) = found.rows
    assert (200, 100.0, 4.0) == (row.requests, row.throughput_rps, row.batch)
    assert {"mean": 10.0, "p50": 10.0, "p99": 10.0, "std": 0.0} == {
        name: row.latency_ms[name] for name in ("mean", "p50", "p99", "std")
    }
    assert () == found.warnings


def test_only_the_last_three_windows_count(tmp_path: Path) -> None:
    """The windows before are those in which the figures had not settled."""
    warming = [request(index * 50, (index + 1) * 50) for index in range(40)]
    steady = [request(2000 + index * 10, 2000 + (index + 1) * 10) for index in range(600)]
    windows = [0.0, 2000.0 + 5, 4000.0 + 5, 6000.0 + 5, 8000.0 + 5]
    (row,) = imported(written(tmp_path, experiment([*warming, *steady], windows))).rows
    assert (600, 100.0, 10.0) == (row.requests, row.throughput_rps, row.latency_ms["max"])


def test_requests_answered_outside_the_window_do_not_count(tmp_path: Path) -> None:
    (row,) = imported(written(tmp_path, experiment(back_to_back(300), [1000 - 5, 2000 - 5]))).rows
    assert (100, 100.0) == (row.requests, row.throughput_rps)


def test_without_windows_all_count_and_it_is_said(tmp_path: Path) -> None:
    found = imported(written(tmp_path, experiment(back_to_back(100), None)))
    assert 100.0 == found.rows[0].throughput_rps
    assert any("no window boundaries" in warning for warning in found.warnings)


def test_unanswered_requests_have_failed(tmp_path: Path) -> None:
    path = written(tmp_path, experiment([*back_to_back(100), request(5)], [0, 1000]))
    assert (100, 1) == (imported(path).rows[0].requests, imported(path).rows[0].failed)


def test_several_responses_are_tokens(tmp_path: Path) -> None:
    """First after 30 ms, then 10 and 20 ms apart; the closing word of a stream is no token."""
    text = {"response": "data: {}\n\n"}
    outputs = [text, text, text, {"response": "data: [DONE]\n\n"}]
    requests = [
        request(index * 60, *(index * 60 + at for at in (30, 40, 60, 60)), outputs=outputs) for index in range(100)
    ]
    found = imported(written(tmp_path, experiment(requests, [0, 6000]), service_kind="openai"), prompt_tokens=128.0)
    (row,) = found.rows
    assert (30.0, 15.0, 15.0, 3.0, 128.0) == (
        row.ttft_ms["mean"],
        row.tpot_ms["mean"],
        row.itl_ms["mean"],
        row.output_tokens,
        row.prompt_tokens,
    )
    assert ({"min": 10.0, "max": 20.0}) == {name: row.itl_ms[name] for name in ("min", "max")}
    assert found.of_llm
    assert "openai" == found.provenance["server"]


def test_each_load_is_a_row_and_warnings_name_them_together(tmp_path: Path) -> None:
    few = [experiment(back_to_back(5), [0, 50], mode="request_rate", value=rate) for rate in (100, 50)]
    found = imported(written(tmp_path, *few))
    assert [50.0, 100.0] == [row.rate_rps for row in found.rows]
    assert any(w.startswith("request rate 100, request rate 50: fewer than 100 requests") for w in found.warnings)


def test_many_latencies_are_kept_as_quantiles(tmp_path: Path) -> None:
    (row,) = imported(written(tmp_path, experiment(back_to_back(3000), [0, 30000]))).rows
    assert (1000, True) == (len(row.samples_ms), list(row.samples_ms) == sorted(row.samples_ms))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "is not valid JSON"),
        ("{}", "experiments: must be a list of at least one experiment"),
        ('{"experiments": []}', "must be a list of at least one experiment"),
        ('{"experiments": [1]}', "experiments.0: must be a mapping, got 1"),
        (
            '{"experiments": [{"experiment": {"mode": "custom", "value": 0}, "requests": []}]}',
            "concurrency or request_rate",
        ),
        (
            '{"experiments": [{"experiment": {"mode": "request_rate", "value": 0}, "requests": []}]}',
            "schedule of the user",
        ),
        ('{"experiments": [{"experiment": {"mode": "concurrency", "value": 1}}]}', "must be a list of requests"),
        ('{"experiments": [{"experiment": {"mode": "concurrency", "value": 1}, "requests": []}]}', "of 0 none was"),
    ],
)
def test_what_is_no_export_of_perf_analyzer_is_refused(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "profile.json"
    path.write_text(text)
    assert said in refusal(path)


def test_all_bad_requests_are_named_but_not_a_million(tmp_path: Path) -> None:
    requests = [{"timestamp": "now"}, request(5, 1), *back_to_back(2), *[{}] * 100]
    lines = refusal(written(tmp_path, experiment(requests, [0, 50]))).splitlines()
    assert 20 == len(lines)
    assert "experiments.0.requests.0: must have a timestamp and response_timestamps in ns" in lines[0]
    assert "experiments.0.requests.1: must have times that do not fall" in lines[1]


def test_windows_that_fall_are_refused(tmp_path: Path) -> None:
    path = written(tmp_path, experiment(back_to_back(10), [100, 50]))
    assert "window_boundaries: must be at least two increasing times in ns" in refusal(path)


def test_a_load_without_answers_stops_unless_it_may_be_left_out(tmp_path: Path) -> None:
    path = written(tmp_path, experiment(back_to_back(10), [0, 100]), experiment([request(5)], [0, 100]))
    assert "must hold a request that was answered in a measurement window: of 1 none was" in refusal(path)
    assert 1 == len(imported(path, allow_incomplete=True).rows)
