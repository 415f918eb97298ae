"""Prometheus on vLLM: exact means, percentiles no better than their buckets, and names of all its releases."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from calibration.importers import ImportOptions, import_files
from calibration.observation import Observations
from tests.calibration.importers.prometheus_answers import answer, counter, gauge

LABELS = {"model_name": "llama", "engine": "0", "instance": "10.0.0.1:8000"}


def histogram(name: str, mean: float, shares: dict[str, float], **labels: str) -> list[dict[str, Any]]:
    """Made up: 10 requests a second, of which these shares lie at or below each bound."""
    named = {**LABELS, **labels}
    return [
        counter(f"{name}_sum", 10 * mean, **named),
        counter(f"{name}_count", 10, **named),
        *(counter(f"{name}_bucket", 10 * share, le=le, **named) for le, share in shares.items()),
    ]


def vllm(prefix: str = "vllm:", itl: str = "inter_token_latency_seconds") -> list[dict[str, Any]]:
    return [
        *histogram(f"{prefix}e2e_request_latency_seconds", 1.8, {"1.0": 0.1, "2.0": 0.6, "5.0": 1.0, "+Inf": 1.0}),
        *histogram(f"{prefix}time_to_first_token_seconds", 0.09, {"0.1": 0.9, "0.25": 0.98, "+Inf": 1.0}),
        *histogram(f"{prefix}{itl}", 0.013, {"0.01": 0.2, "0.025": 1.0, "+Inf": 1.0}),
        counter(f"{prefix}prompt_tokens_total", 5120, **LABELS),
        counter(f"{prefix}generation_tokens_total", 1280, **LABELS),
        gauge(f"{prefix}num_requests_running", 16, **LABELS),
        gauge(f"{prefix}num_requests_waiting", 2, **LABELS),
    ]


def imported(*files: Path, **options: Any) -> Observations:
    return import_files("prometheus", files, ImportOptions(**options))


def test_histograms_become_means_and_percentiles(tmp_path: Path) -> None:
    found = imported(answer(tmp_path, *vllm()), device="H100")
    assert 4 == len(found.rows)
    row = found.rows[0]
    assert (10.0, 10.0, 18.0, 512.0, 128.0) == (
        row.throughput_rps,
        row.rate_rps,
        row.concurrency,
        row.prompt_tokens,
        row.output_tokens,
    )
    # A straight line inside the bucket: half of the requests lie 0.4/0.5 of the way from 1 to 2 s.
    expected = {"mean": 1800.0, "p50": 1800.0, "p90": 4250.0, "p95": 4625.0, "p99": 4925.0}
    assert expected == {name: pytest.approx(value) for name, value in row.latency_ms.items()}
    assert (pytest.approx(13.0), pytest.approx(24.8125)) == (row.itl_ms["mean"], row.itl_ms["p99"])
    assert {"model": "llama", "device": "H100", "server": "vLLM", "tool": "Prometheus"} == {
        key: found.provenance[key] for key in ("model", "device", "server", "tool")
    }


def test_a_percentile_beyond_the_buckets_is_not_known(tmp_path: Path) -> None:
    """Prometheus would give the last bound; that is a bound, not a percentile."""
    found = imported(answer(tmp_path, *vllm()))
    assert "p99" not in found.rows[0].ttft_ms
    assert pytest.approx(100 + 150 * 0.05 / 0.08) == found.rows[0].ttft_ms["p95"]
    assert any("beyond the last bucket" in warning and "time_to_first_token" in warning for warning in found.warnings)


def test_the_width_of_the_buckets_is_told(tmp_path: Path) -> None:
    found = imported(answer(tmp_path, *vllm()))
    assert pytest.approx(3 / 4.925) == found.rows[0].notes["p99_bucket_share"]["e2e_request_latency_seconds"]
    assert any("may be off by up to 61%" in warning for warning in found.warnings)


@pytest.mark.parametrize(
    ("prefix", "itl"),
    [
        ("vllm:", "time_per_output_token_seconds"),
        ("vllm_", "inter_token_latency_seconds"),
        ("kserve_vllm:", "inter_token_latency_seconds"),
    ],
)
def test_names_of_all_releases_are_read(tmp_path: Path, prefix: str, itl: str) -> None:
    expected = imported(answer(tmp_path, *vllm()))
    found = imported(answer(tmp_path, *vllm(prefix, itl)))
    assert [row.itl_ms for row in expected.rows] == [row.itl_ms for row in found.rows]
    assert expected.warnings == found.warnings


def test_what_the_source_tells_besides_is_kept(tmp_path: Path) -> None:
    more = [
        *histogram("vllm:request_queue_time_seconds", 0.05, {}),
        *histogram("vllm:request_prefill_time_seconds", 0.06, {}),
        *histogram("vllm:request_time_per_output_token_seconds", 0.0135, {}),
        gauge("vllm:gpu_cache_usage_perc", 0.4, **LABELS),
        *(counter("vllm:request_success_total", 5, finished_reason=r, **LABELS) for r in ("stop", "length")),
    ]
    row = imported(answer(tmp_path, *vllm(), *more)).rows[0]
    assert (pytest.approx(50.0), pytest.approx(13.5)) == (row.parts_ms["queue"], row.tpot_ms["mean"])
    assert (0.4, pytest.approx(60.0)) == (
        row.notes["kv_cache_usage_perc"],
        row.notes["request_prefill_time_seconds_ms"],
    )


def test_without_gauges_the_requests_outstanding_follow_from_littles_law(tmp_path: Path) -> None:
    (row, *_) = imported(answer(tmp_path, *vllm()[:7])).rows
    assert pytest.approx(18.0) == row.concurrency
    assert (None, None) == (row.prompt_tokens, row.output_tokens)


def test_metrics_with_a_label_more_or_less_are_the_servers_if_there_is_no_other(tmp_path: Path) -> None:
    """Releases differ in which metrics carry the engine's number."""
    result = vllm()
    del result[-1]["metric"]["engine"]
    assert 18.0 == imported(answer(tmp_path, *result)).rows[0].concurrency
    second = [{**one, "metric": {**one["metric"], "engine": "1"}} for one in vllm()[:-2]]
    found = imported(answer(tmp_path, *result, *second))
    assert any("fit no server or several: vllm:num_requests_waiting" in warning for warning in found.warnings)
