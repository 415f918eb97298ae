"""Prometheus on Triton: increases of counters, by request and by execution, and GPUs in two units."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from calibration.importers import ImportOptions, import_files
from calibration.observation import Observations
from calibration.problems import InputError
from tests.calibration.importers.prometheus_answers import STEP, answer, counter, gauge, series

RATES = {
    "nv_inference_request_success": 100.0,
    "nv_inference_request_failure": 1.0,
    "nv_inference_count": 100.0,
    "nv_inference_exec_count": 25.0,
    "nv_inference_request_duration_us": 100 * 12_000.0,
    "nv_inference_queue_duration_us": 100 * 3_000.0,
    "nv_inference_compute_input_duration_us": 100 * 100.0,
    "nv_inference_compute_infer_duration_us": 100 * 8_000.0,
    "nv_inference_compute_output_duration_us": 100 * 200.0,
}
"""Per second, made up: 100 requests of one item, four to a batch, each 12 ms in the server and 8 of them computed."""

LABELS = {"model": "bert", "version": "1", "instance": "10.0.0.1:8002"}


def triton(scale: float = 1.0, start: float = 0.0, count: int = 5, **labels: str) -> list[dict[str, Any]]:
    named = {**LABELS, **labels}
    return [counter(name, scale * rate, count, start, **named) for name, rate in RATES.items()]


def imported(*files: Path, **options: Any) -> Observations:
    return import_files("prometheus", files, ImportOptions(**options))


def refusal(*files: Path, **options: Any) -> str:
    with pytest.raises(InputError) as error:
        imported(*files, **options)
    return str(error.value)


def test_counters_become_rates_and_means(tmp_path: Path) -> None:
    found = imported(answer(tmp_path, *triton()), max_batch_size=8)
    assert 4 == len(found.rows)
    row = found.rows[0]
    assert (100.0, 101.0, 1500, 15) == (row.throughput_rps, row.rate_rps, row.requests, row.failed)
    assert (4.0, True, 8, False) == (row.batch, row.merged, row.max_batch_size, row.idle)
    assert {"mean": 12.0} == row.latency_ms
    assert pytest.approx(1.2) == row.concurrency
    assert ("server", "bert", "Triton") == (found.scope, found.provenance["model"], found.provenance["server"])


def test_compute_time_is_divided_by_requests_since_each_adds_its_execution(tmp_path: Path) -> None:
    """Divided by executions it would be four times as long: infer_stats.cc adds it once for each request."""
    (row, *_) = imported(answer(tmp_path, *triton())).rows
    assert {"queue": 3.0, "input": 0.1, "compute": 8.0, "output": 0.2} == {
        name: pytest.approx(value) for name, value in row.parts_ms.items()
    }


def test_one_file_a_metric_is_the_same_as_all_in_one(tmp_path: Path) -> None:
    together = imported(answer(tmp_path, *triton()))
    apart = imported(*(answer(tmp_path, one, name=f"{index}.json") for index, one in enumerate(triton())))
    assert [row.parts_ms for row in together.rows] == [row.parts_ms for row in apart.rows]


def test_a_range_in_pieces_is_put_together(tmp_path: Path) -> None:
    whole = triton(count=6)
    pieces = [
        answer(tmp_path, *({**one, "values": one["values"][part]} for one in whole), name=f"{index}.json")
        for index, part in enumerate((slice(0, 3), slice(3, 6)))
    ]
    assert 5 == len(imported(*pieces).rows)


def test_requests_of_several_items_that_travel_alone_are_not_merged(tmp_path: Path) -> None:
    result = triton()
    result[2] = counter("nv_inference_count", 800, **LABELS)
    result[3] = counter("nv_inference_exec_count", 100, **LABELS)
    (row, *_) = imported(answer(tmp_path, *result)).rows
    assert (8.0, False, 8.0) == (row.batch, row.merged, row.notes["items_per_request"])


def test_answers_from_the_cache_took_no_execution(tmp_path: Path) -> None:
    hits = counter("nv_cache_num_hits_per_model", 50, **LABELS)
    (row, *_) = imported(answer(tmp_path, *triton(), hits)).rows
    assert (pytest.approx(16.0), pytest.approx(3.0)) == (row.parts_ms["compute"], row.parts_ms["queue"])


def test_a_server_that_began_anew_loses_that_interval(tmp_path: Path) -> None:
    result = triton(start=1e9, count=3)
    for one, fresh in zip(result, triton(count=3), strict=True):
        times = [[time + 3 * STEP, text] for time, text in fresh["values"]]
        one["values"] += times
    found = imported(answer(tmp_path, *result))
    assert [100.0] * 4 == [row.throughput_rps for row in found.rows]
    assert "1 interval left out, in which a server began anew" in found.warnings


def test_nan_and_idle_times_are_left_out(tmp_path: Path) -> None:
    result = triton()
    result[0]["values"][2][1] = "NaN"
    found = imported(answer(tmp_path, *result))
    assert [1500, 1500, 3000] == sorted(row.requests or 0 for row in found.rows)
    still = [series(name, [0, *[rate * STEP] * 4], **LABELS) for name, rate in RATES.items()]
    assert 1 == len(imported(answer(tmp_path, *still)).rows)


def test_many_intervals_are_joined_to_windows_of_like_load(tmp_path: Path) -> None:
    """Made up: the rate grows with every step, and the time of a request with the rate."""
    count = 400
    labels = LABELS
    load = [sum(range(1, index + 1)) for index in range(count)]
    busy = [sum(rate * rate for rate in range(1, index + 1)) for index in range(count)]
    names = [name for name in RATES if not name.endswith("_us")]
    result = [series(name, load, **labels) for name in names]
    result += [series(name, busy, **labels) for name in RATES if name.endswith("_us")]
    found = imported(answer(tmp_path, *result))
    assert 32 == len(found.rows)
    assert sum(range(1, count)) == sum(row.requests or 0 for row in found.rows)
    rates = [row.throughput_rps or 0.0 for row in found.rows]
    means = [row.latency_ms["mean"] for row in found.rows]
    assert (sorted(rates), sorted(means)) == (rates, means)


def test_summaries_are_percentiles(tmp_path: Path) -> None:
    """Off by default in Triton; in us."""
    summary = [
        gauge("nv_inference_request_summary_us", us, quantile=quantile, **LABELS)
        for quantile, us in (("0.5", 11_000), ("0.99", 20_000), ("0.999", 25_000))
    ]
    found = imported(answer(tmp_path, *triton(), *summary))
    expected = {"mean": 12.0, "p50": 11.0, "p99": 20.0, "p999": 25.0}
    assert expected == found.rows[0].latency_ms
    assert not any("no percentiles" in warning for warning in found.warnings)
    assert any("no percentiles" in warning for warning in imported(answer(tmp_path, *triton())).warnings)


def test_utilisation_of_triton_is_a_share_and_of_dcgm_per_cent(tmp_path: Path) -> None:
    own = [
        gauge("nv_gpu_utilization", 0.5, gpu_uuid="GPU-1", instance="10.0.0.1:8002"),
        gauge("nv_gpu_power_usage", 200.0, gpu_uuid="GPU-1", instance="10.0.0.1:8002"),
        gauge("nv_gpu_memory_used_bytes", 4e9, gpu_uuid="GPU-1", instance="10.0.0.1:8002"),
        counter("nv_energy_consumption", 200.0, gpu_uuid="GPU-1", instance="10.0.0.1:8002"),
    ]
    dcgm_labels = {"UUID": "GPU-1", "gpu": "0", "modelName": "NVIDIA L4", "instance": "10.0.0.1:9400"}
    dcgm = [
        gauge("DCGM_FI_DEV_GPU_UTIL", 50, **dcgm_labels),
        gauge("DCGM_FI_DEV_POWER_USAGE", 200, **dcgm_labels),
        gauge("DCGM_FI_DEV_FB_USED", 4e9 / 2**20, **dcgm_labels),
        counter("DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION", 200_000, **dcgm_labels),
    ]
    expected = (0.5, 200.0, pytest.approx(4e9), pytest.approx(2.0))
    for gpus in (own, dcgm):
        found = imported(answer(tmp_path, *triton(), *gpus))
        row = found.rows[0]
        assert expected == (row.utilisation, row.power_w, row.memory_bytes, row.energy_j)
        assert not any("not known" in warning for warning in found.warnings)
    assert "NVIDIA L4" == found.provenance["device"]


def test_of_several_gpus_the_one_that_served_is_named_or_none(tmp_path: Path) -> None:
    gpus = [gauge("DCGM_FI_DEV_GPU_UTIL", 10 * n, UUID=f"GPU-{n}") for n in (1, 2)]
    found = imported(answer(tmp_path, *triton(), *gpus))
    assert found.rows[0].utilisation is None
    assert any("DCGM_FI_DEV_GPU_UTIL left out" in warning for warning in found.warnings)
    assert 0.2 == imported(answer(tmp_path, *triton(gpu_uuid="GPU-2"), *gpus)).rows[0].utilisation


def test_each_server_has_rows_of_its_own(tmp_path: Path) -> None:
    """Two servers at half the load are not one at the whole load."""
    result = [*triton(), *triton(scale=0.5, instance="10.0.0.2:8002")]
    found = imported(answer(tmp_path, *result))
    assert [50.0] * 4 + [100.0] * 4 == sorted(row.throughput_rps or 0 for row in found.rows)
    assert any(warning.startswith("2 servers") for warning in found.warnings)


def test_several_models_are_never_mixed(tmp_path: Path) -> None:
    path = answer(tmp_path, *triton(), *triton(scale=2.0, model="resnet"))
    assert "--model: must say which of the 2 models is meant. Choose one of bert, resnet." in refusal(path)
    assert "Did you mean 'resnet'?" in refusal(path, model="resnt")
    assert {200.0} == {row.throughput_rps for row in imported(path, model="resnet").rows}


def test_what_is_missing_is_named_with_what_there_is(tmp_path: Path) -> None:
    message = refusal(answer(tmp_path, *triton()[:1]))
    missing = "nv_inference_count, nv_inference_exec_count, nv_inference_compute_infer_duration_us"
    assert f"must hold {missing}, got nv_inference_request_success." in message
    assert "same start, end and step" in message


def test_metrics_that_are_not_known_are_named(tmp_path: Path) -> None:
    other = gauge("nv_inference_pending_request_count", 3, **LABELS)
    found = imported(answer(tmp_path, *triton(), other))
    assert "metrics that are not known, not used: nv_inference_pending_request_count" in found.warnings


def test_counters_of_another_step_are_left_out_and_told(tmp_path: Path) -> None:
    result = triton()
    for index, pair in enumerate(result[5]["values"]):
        pair[0] += 7 + index
    found = imported(answer(tmp_path, *result))
    assert "queue" not in found.rows[0].parts_ms
    assert any("not sampled at all times: nv_inference_queue_duration_us" in warning for warning in found.warnings)


def test_a_range_without_traffic_is_refused(tmp_path: Path) -> None:
    assert "between which requests were served" in refusal(answer(tmp_path, *triton(scale=0.0)))
    assert "between which requests were served" in refusal(answer(tmp_path, *triton(count=1)))
