"""Locust: what happened between two rows of the totals, not what the running percentiles seem to say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from calibration.importers import ImportOptions, import_files
from calibration.observation import Observations
from calibration.problems import InputError

SAMPLES = Path(__file__).resolve().parents[3].parent / "shared" / "samples" / "in"
STATS = (
    "Type,Name,Request Count,Failure Count,Median Response Time,Average Response Time,Min Response Time,"
    "Max Response Time,Average Content Size,Requests/s,Failures/s,50%,99%,100%"
)
HISTORY = (
    "Timestamp,User Count,Type,Name,Requests/s,Failures/s,50%,99%,Total Request Count,Total Failure Count,"
    "Total Median Response Time,Total Average Response Time"
)


def sample(name: str) -> Path:
    if not (SAMPLES / name).exists():
        pytest.skip(f"../shared/samples/in/{name} is absent")
    return SAMPLES / name


def written(tmp_path: Path, *lines: str, name: str = "run_stats.csv") -> Path:
    path = tmp_path / name
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def second(
    time: int, users: int, count: int, mean: float, failed: int = 0, p50: str = "N/A", name: str = "Aggregated"
) -> str:
    return f"{time},{users},,{name},0.0,0.0,{p50},{p50},{count},{failed},0,{mean}"


def imported(*files: Path, **options: Any) -> Observations:
    return import_files("locust", files, ImportOptions(**options))


def refusal(*files: Path, **options: Any) -> str:
    with pytest.raises(InputError) as error:
        imported(*files, **options)
    return str(error.value)


def test_a_run_is_its_aggregated_row() -> None:
    found = imported(sample("locust_stats.csv"), batches=(1,), device="L4")
    (row,) = found.rows
    assert (11997, 3) == (row.requests, row.failed)
    assert pytest.approx(200.05) == row.throughput_rps
    expected = {"mean": 44.1, "min": 18.0, "p50": 41.0, "p90": 68.0, "p99": 160.0, "p999": 310.0, "max": 410.0}
    assert expected == {name: row.latency_ms[name] for name in expected}
    assert {"66%": 46, "80%": 54, "98%": 120, "99.99%": 400, "Average Content Size": 812} == row.notes
    assert ({"device": "L4", "tool": "Locust"}, ()) == (found.provenance, found.warnings)


def test_requests_outstanding_follow_from_littles_law() -> None:
    """The users of Locust think between two requests: their number is no concurrency."""
    (row,) = imported(sample("locust_stats.csv")).rows
    assert pytest.approx(200.1 * 0.0441) == row.concurrency
    assert (200.1, False) == (row.rate_rps, row.idle)


def test_the_history_of_one_stretch_has_its_percentiles() -> None:
    (row,) = imported(sample("locust_stats_history.csv"), batches=(1,)).rows
    assert (182, 182.0, 43.0, 40.0, 130.0) == (
        row.requests,
        row.throughput_rps,
        row.latency_ms["mean"],
        row.latency_ms["p50"],
        row.latency_ms["p99"],
    )
    assert 10.0 == row.notes["User Count"]


def test_each_number_of_users_is_a_row_from_the_difference_of_the_totals(tmp_path: Path) -> None:
    """Made up: 100/s at 10 ms with 1 user, then 300/s at 20 ms with 8; the running mean at the end is 17.5 ms."""
    lines = [second(0, 1, 0, 0.0), *(second(t, 1, 100 * t, 10.0) for t in range(1, 21))]
    lines += [second(20 + t, 8, 2000 + 300 * t, (20_000 + 6000 * t) / (2000 + 300 * t)) for t in range(1, 21)]
    found = imported(written(tmp_path, HISTORY, *lines, name="run_stats_history.csv"), batches=(2,))
    alone, busy = found.rows
    assert (100.0, 1.0, None, True) == (alone.throughput_rps, alone.concurrency, alone.rate_rps, alone.idle)
    assert (300.0, pytest.approx(6.0), 300.0, 2.0) == (busy.throughput_rps, busy.concurrency, busy.rate_rps, busy.batch)
    assert ([10.0, pytest.approx(20.0)], ["mean"]) == (
        [row.latency_ms["mean"] for row in found.rows],
        list(busy.latency_ms),
    )
    assert any("no percentiles" in warning and "--csv-full-history" in warning for warning in found.warnings)


def test_a_full_history_has_percentiles_of_the_last_seconds(tmp_path: Path) -> None:
    lines = []
    for t in range(31):
        p50 = "N/A" if t == 0 else "90" if t < 10 else "10"
        lines += [second(t, 4, 100 * t, 10.0, p50=p50, name="/infer"), second(t, 4, 100 * t, 10.0, p50=p50)]
    (row,) = imported(written(tmp_path, HISTORY, *lines), batches=(1,)).rows
    assert 10.0 == row.latency_ms["p50"]


def test_users_that_are_still_starting_are_left_out(tmp_path: Path) -> None:
    lines = [second(t, 1 + t, 50 * t, 10.0) for t in range(5)] + [
        second(5 + t, 8, 250 + 100 * t, 10.0) for t in range(30)
    ]
    found = imported(written(tmp_path, HISTORY, *lines), batches=(1,))
    assert [8.0] == [row.notes["User Count"] for row in found.rows]
    assert any("stretches of less than 10 s" in warning for warning in found.warnings)


def test_statistics_that_were_reset_begin_anew(tmp_path: Path) -> None:
    lines = [second(t, 4, 100 * t, 30.0) for t in range(15)] + [second(15 + t, 4, 100 * t, 10.0) for t in range(20)]
    found = imported(written(tmp_path, HISTORY, *lines), batches=(1,))
    assert [30.0, 10.0] == [pytest.approx(row.latency_ms["mean"]) for row in found.rows]


def test_an_endpoint_is_chosen_by_name(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        STATS,
        "GET,/health,10,0,1,1.0,1,2,5,1.0,0.0,1,2,2",
        "POST,/infer,100,0,20,20.0,10,90,5,10.0,0.0,20,80,90",
        "GET,/infer,5,0,3,3.0,1,9,5,0.5,0.0,3,8,9",
        ",Aggregated,115,0,18,17.7,1,90,5,11.5,0.0,18,80,90",
    )
    assert any("requests to 3 endpoints together" in warning for warning in imported(path).warnings)
    assert 20.0 == imported(path, endpoint="POST /infer").rows[0].latency_ms["mean"]
    assert 1.0 == imported(path, endpoint="/health").rows[0].latency_ms["mean"]
    assert "must be one endpoint: give its type, too, got '/infer'" in refusal(path, endpoint="/infer")
    assert "Did you mean 'GET /health'?" in refusal(path, endpoint="/helth")


def test_failures_that_count_are_told(tmp_path: Path) -> None:
    path = written(tmp_path, STATS, ",Aggregated,100,20,18,17.7,1,90,5,10,2,18,80,90")
    found = imported(path)
    assert (80, 20, 8.0) == (found.rows[0].requests, found.rows[0].failed, found.rows[0].throughput_rps)
    assert any("20 of 100 requests failed" in warning for warning in found.warnings)


def test_a_run_without_answers_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, STATS, ",Aggregated,7,7,N/A,5.0,1,9,0,1,1,N/A,N/A,N/A")
    assert "holds no request that was answered" in refusal(path)


def test_a_run_is_not_read_twice(tmp_path: Path) -> None:
    stats = written(tmp_path, STATS, ",Aggregated,100,0,18,17.7,1,90,5,10,0,18,80,90")
    history = written(tmp_path, HISTORY, second(0, 1, 0, 0.0), name="run_stats_history.csv")
    assert "its history beside its statistics" in refusal(stats, history)


def test_each_file_has_its_batch(tmp_path: Path) -> None:
    line = ",Aggregated,100,0,18,17.7,1,90,5,10,0,18,80,90"
    paths = [written(tmp_path, STATS, line, name=f"{name}_stats.csv") for name in ("a", "b")]
    assert [1.0, 8.0] == [row.batch for row in imported(*paths, batches=(1, 8)).rows]
    assert "must be given once for each file (2 files)" in refusal(*paths, batches=(8,))


def test_bad_cells_and_missing_columns_are_named(tmp_path: Path) -> None:
    path = written(tmp_path, STATS, ",Aggregated,many,0,18,fast,1,90,5,10,0,18,80,90")
    lines = refusal(path).splitlines()
    assert ["Request Count: must be a number, got many.", "Average Response Time: must be a number, got fast."] == [
        line.split(": ", 1)[1].removesuffix(" Mend the cell, or delete the row.") for line in lines
    ]
    assert "must have the columns" in refusal(written(tmp_path, "Method,Name,Error,Occurrences", "GET,/,boom,3"))
