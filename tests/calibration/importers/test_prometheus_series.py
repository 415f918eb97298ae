"""Answers of query_range: what cannot be read is refused with the query that would help."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from calibration.importers import ImportOptions, import_files
from calibration.importers.prometheus_series import MOST_POINTS, read_answers
from calibration.problems import InputError
from tests.calibration.importers.prometheus_answers import answer, series

SAMPLE = Path(__file__).resolve().parents[3].parent / "shared/samples/in/prometheus_query_range.json"


def refusal(path: Path) -> str:
    with pytest.raises(InputError) as error:
        import_files("prometheus", [path], ImportOptions())
    return str(error.value)


def written(tmp_path: Path, content: Any) -> Path:
    path = tmp_path / "answer.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_texts_are_numbers_and_nan_is_no_sample() -> None:
    if not SAMPLE.exists():
        pytest.skip("../shared/samples/in/prometheus_query_range.json is absent")
    (found,) = read_answers([SAMPLE]).series
    assert ("vllm:num_requests_waiting", {1763770000.0: 0.0, 1763770015.0: 3.0}) == (found.name, found.samples)
    assert {"model_name": "m", "engine": "0", "instance": "10.0.0.1:8000"} == found.labels


def test_a_gauge_alone_is_no_measurement() -> None:
    """The sample holds the length of a queue and no time: what else to query is said."""
    if not SAMPLE.exists():
        pytest.skip("../shared/samples/in/prometheus_query_range.json is absent")
    message = refusal(SAMPLE)
    assert "must hold vllm:e2e_request_latency_seconds_count, vllm:e2e_request_latency_seconds_sum" in message
    assert "got vllm:num_requests_waiting" in message


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "is empty"),
        ("[1]", "must be an answer of Prometheus"),
        (
            {"status": "error", "errorType": "bad_data", "error": "exceeded maximum resolution of 11,000 points"},
            "exceeded",
        ),
        ({"status": "success", "data": {"resultType": "vector", "result": []}}, "not /api/v1/query."),
        ({"status": "success", "data": {"resultType": "matrix", "result": []}}, "must hold a series"),
        (
            {"status": "success", "data": {"resultType": "matrix", "result": [{"metric": {}, "values": []}]}},
            "no rate()",
        ),
        (
            {"data": {"resultType": "matrix", "result": [{"metric": {"__name__": "a"}, "histograms": []}]}},
            "native histograms of a cannot be read",
        ),
        (
            {"data": {"resultType": "matrix", "result": [{"metric": {"__name__": "a"}, "values": [[0, "x"], 3]}]}},
            "data.result.0.values.0: must be a time and a value",
        ),
        (
            {"data": {"resultType": "matrix", "result": [{"metric": {"__name__": "up"}, "values": [[0, "1"]]}]}},
            "must hold the metrics of Triton (nv_inference_...) or of vLLM (vllm:...), got up",
        ),
    ],
)
def test_what_is_no_answer_is_refused(tmp_path: Path, content: Any, said: str) -> None:
    assert said in refusal(written(tmp_path, content))


def test_all_bad_values_are_named_but_not_all_of_a_million(tmp_path: Path) -> None:
    assert 20 == len(refusal(answer(tmp_path, series("vllm:num_requests_running", ["x"] * 50))).splitlines())


def test_an_answer_as_long_as_prometheus_gives_may_have_been_cut(tmp_path: Path) -> None:
    path = answer(tmp_path, series("up", range(MOST_POINTS)), warnings=["results truncated"], infos=["metric might be"])
    warnings = read_answers([path]).warnings
    assert any("11,000 points" in warning and "pieces" in warning for warning in warnings)
    assert any("Prometheus said: results truncated" in warning for warning in warnings)
    assert any("Prometheus said: metric might be" in warning for warning in warnings)


def test_two_servers_software_is_not_mixed(tmp_path: Path) -> None:
    both = [series("vllm:num_requests_running", [1, 2]), series("nv_inference_count", [1, 2])]
    assert "must hold the metrics of one server, Triton or vLLM" in refusal(answer(tmp_path, *both))
