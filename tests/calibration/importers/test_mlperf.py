"""MLPerf: labels are found in either order, ns become ms, and an invalid run is no measurement."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from calibration.importers import ImportOptions, import_files
from calibration.observation import Observations
from calibration.problems import InputError

SAMPLES = Path(__file__).resolve().parents[3].parent / "shared" / "samples" / "in"

# Made up, in the shape of loadgen/results.cc.
SINGLE_STREAM = """\
================================================
MLPerf Results Summary
================================================
SUT name : PySUT
Scenario : SingleStream
Mode     : PerformanceOnly
90th percentile latency (ns) : 5200000
Result is : VALID
  Min duration satisfied : Yes
Early Stopping Result:
 * Early stopping 90th percentile estimate: 5387449

================================================
Additional Stats
================================================
QPS w/ loadgen overhead         : 198.00
QPS w/o loadgen overhead        : 200.00

Min latency (ns)                : 4800000
Max latency (ns)                : 9000000
Mean latency (ns)               : 5000000
50.00 percentile latency (ns)   : 4900000
90.00 percentile latency (ns)   : 5200000
99.90 percentile latency (ns)   : 8000000

================================================
Test Parameters Used
================================================
samples_per_query : 1
target_qps : 1000
"""
MULTI_STREAM = (
    SINGLE_STREAM.replace("SingleStream", "MultiStream")
    .replace("QPS w/ loadgen overhead         : 198.00\n", "")
    .replace("QPS w/o loadgen overhead        : 200.00\n", "Per-query latency:  \n")
    .replace("samples_per_query : 1", "samples_per_query : 8")
)
OFFLINE = """\
MLPerf Results Summary
SUT name : PySUT
Scenario : Offline
Mode     : PerformanceOnly
Samples per second: 1600
Tokens per second: 160000
Result is : VALID
Mean latency (ns)               : 442524059715
Test Parameters Used
samples_per_query : 24576
"""
TOKENS = """\
MLPerf Results Summary
Scenario : Server
Mode     : PerformanceOnly
Completed samples per second    : 10.0
Result is : VALID
Scheduled samples per second : 10.5
Mean latency (ns)               : 9000000000
Completed tokens per second                 : 2000.0
Mean First Token latency (ns)               : 400000000
99.00 percentile first token latency (ns)   : 1500000000
Mean Time to Output Token (ns)              : 40000000
99.00 percentile time to output token (ns)  : 90000000
"""


def written(tmp_path: Path, text: str, name: str = "mlperf_log_summary.txt") -> Path:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def imported(*files: Path, **options: Any) -> Observations:
    return import_files("mlperf", files, ImportOptions(**options))


def refusal(*files: Path, **options: Any) -> str:
    with pytest.raises(InputError) as error:
        imported(*files, **options)
    return str(error.value)


@pytest.mark.parametrize("name", ["mlperf_log_summary_server.txt", "mlperf_log_summary_server_older.txt"])
def test_either_rate_may_head_the_log(name: str) -> None:
    if not (SAMPLES / name).exists():
        pytest.skip(f"../shared/samples/in/{name} is absent")
    found = imported(SAMPLES / name, device="8x T4", model="resnet50")
    (row,) = found.rows
    assert (9098.18, 9098.11, None, False) == (row.rate_rps, row.throughput_rps, row.concurrency, row.idle)
    expected = {
        "min": 2.360583,
        "mean": 6.012345,
        "p50": 5.423423,
        "p97": 10.512345,
        "p99": 12.734512,
        "p999": 15.612345,
    }
    assert expected == {name: row.latency_ms[name] for name in expected}
    assert ("server", 9100) == (found.scope, row.notes["target_qps"])
    assert {"model": "resnet50", "device": "8x T4", "tool": "MLPerf LoadGen", "system": "PySUT"} == found.provenance


def test_one_sample_after_another_is_the_time_of_an_execution(tmp_path: Path) -> None:
    found = imported(written(tmp_path, SINGLE_STREAM))
    (row,) = found.rows
    assert ("device", 1.0, 1.0, 198.0, 5.0) == (
        found.scope,
        row.batch,
        row.concurrency,
        row.throughput_rps,
        row.latency_ms["mean"],
    )
    assert () == found.warnings


def test_a_multistream_query_is_a_batch(tmp_path: Path) -> None:
    (row,) = imported(written(tmp_path, MULTI_STREAM)).rows
    assert (8.0, 200.0) == (row.batch, row.throughput_rps)
    silent = written(tmp_path, MULTI_STREAM.replace("samples_per_query : 8\n", ""))
    found = imported(silent)
    assert 8.0 == found.rows[0].batch
    assert any("taken to be 8" in warning for warning in found.warnings)
    assert 4.0 == imported(silent, batches=(4,)).rows[0].batch


def test_queries_at_the_ticks_of_a_clock_tell_no_throughput(tmp_path: Path) -> None:
    """MLPerf 0.5 to 1.1: the next query waits for the tick, however early the last was answered."""
    text = MULTI_STREAM.replace("Mode  ", "Samples per query : 32\nMode  ")
    (row,) = imported(written(tmp_path, text)).rows
    assert (32.0, None) == (row.batch, row.throughput_rps)


def test_latencies_of_samples_are_not_those_of_queries(tmp_path: Path) -> None:
    """MLPerf 0.5 to 1.1 told both under the same labels, the minimum, maximum and mean of the samples alone."""
    text = MULTI_STREAM.replace(
        "Per-query latency:  \n", "50.00 percentile latency (ns)   : 7000000\n\nPer-sample latency:\n"
    )
    (row,) = imported(written(tmp_path, text)).rows
    assert ({"p50": 7.0, "p90": 5.2}, 7.0) == (row.latency_ms, row.mean_ms)


def test_offline_is_a_load_unless_its_batch_is_told(tmp_path: Path) -> None:
    path = written(tmp_path, OFFLINE)
    load = imported(path)
    assert ("server", math.inf, 1600.0, {}, 100.0) == (
        load.scope,
        load.rows[0].rate_rps,
        load.rows[0].throughput_rps,
        load.rows[0].latency_ms,
        load.rows[0].output_tokens,
    )
    assert any("--batch N" in warning for warning in load.warnings)
    point = imported(path, batches=(32,))
    assert ("device", 32.0, 50.0, {"mean": 20.0}) == (
        point.scope,
        point.rows[0].batch,
        point.rows[0].throughput_rps,
        point.rows[0].latency_ms,
    )


def test_executions_of_several_scenarios_make_one_curve(tmp_path: Path) -> None:
    texts = {"ss.txt": SINGLE_STREAM, "ms.txt": MULTI_STREAM, "off.txt": OFFLINE}
    paths = [written(tmp_path, text, name) for name, text in texts.items()]
    found = imported(*paths, batches=(1, 8, 32))
    assert ("device", [1.0, 8.0, 32.0]) == (found.scope, [row.batch for row in found.rows])
    server = written(tmp_path, TOKENS, "server.txt")
    assert "--batch: must not be given with Server" in refusal(*paths, server, batches=(1, 8, 32, 1))
    assert "server" == imported(paths[0], server).scope


@pytest.mark.parametrize("words", ["Time to Output Token", "Time per Output Token"])
def test_token_times_are_read(tmp_path: Path, words: str) -> None:
    text = TOKENS.replace("Time to Output Token", words)
    found = imported(written(tmp_path, text), prompt_tokens=512.0)
    (row,) = found.rows
    assert ({"mean": 400.0, "p99": 1500.0}, {"mean": 40.0, "p99": 90.0}) == (row.ttft_ms, row.tpot_ms)
    assert (10.5, 10.0, 200.0, 512.0, True) == (
        row.rate_rps,
        row.throughput_rps,
        row.output_tokens,
        row.prompt_tokens,
        found.of_llm,
    )


def test_an_invalid_run_stops_unless_it_is_wanted(tmp_path: Path) -> None:
    text = SINGLE_STREAM.replace("VALID\n  Min duration satisfied : Yes", "INVALID\n  Min duration satisfied : NO")
    path = written(tmp_path, text)
    assert f"{path}:8: result is: must be VALID, got INVALID (min duration satisfied: no)." in refusal(path)
    assert any("the result is INVALID" in warning for warning in imported(path, allow_incomplete=True).warnings)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "must be a summary of LoadGen, with its 'Scenario' and 'Result is', got nothing"),
        ("hello : world\n", "must be a summary of LoadGen"),
        (SINGLE_STREAM.replace("PerformanceOnly", "AccuracyOnly"), "mode: must be PerformanceOnly, got AccuracyOnly"),
        (SINGLE_STREAM.replace("SingleStream", "Offlin"), "must be one of SingleStream, MultiStream, Server, Offline"),
        (SINGLE_STREAM.replace(": 5000000", ": soon"), "mean latency (ns): must be a number, got soon"),
        (SINGLE_STREAM.replace(": 5000000", ": 0"), "mean latency (ns): must be greater than 0, got 0"),
        (OFFLINE.replace("Samples per second: 1600\n", ""), "must be followed by samples per second"),
        ("Scenario : Server\nResult is : VALID\n", "must be followed by latencies in a Server log"),
    ],
)
def test_what_is_no_result_is_refused(tmp_path: Path, text: str, said: str) -> None:
    assert said in refusal(written(tmp_path, text))


def test_a_batch_that_contradicts_the_log_is_refused(tmp_path: Path) -> None:
    assert "has 8 samples in a query, got --batch 4" in refusal(written(tmp_path, MULTI_STREAM), batches=(4,))
