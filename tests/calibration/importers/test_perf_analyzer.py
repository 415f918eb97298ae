"""perf_analyzer: microseconds and items become ms and requests, by name, and what could mislead is said."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibration.importers import ImportOptions, import_files
from calibration.observation import Observations
from calibration.problems import InputError

SAMPLES = Path(__file__).resolve().parents[3].parent / "shared" / "samples" / "in"

HEADER = (
    "Concurrency,Inferences/Second,Client Send,Network+Server Send/Recv,Server Queue,Server Compute Input,"
    "Server Compute Infer,Server Compute Output,Client Recv,p50 latency,p90 latency,p95 latency,p99 latency"
)
IDLE = "1,200,10,200,30,40,4600,20,100,4990,5100,5200,5400"
"""Made up, and consistent: the parts add up to 5000 us, and 200/s x 5 ms = 1."""


def sample(name: str) -> Path:
    if not (SAMPLES / name).exists():
        pytest.skip(f"../shared/samples/in/{name} is absent")
    return SAMPLES / name


def written(tmp_path: Path, *lines: str, name: str = "perf.csv") -> Path:
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def imported(*files: Path, **options: object) -> Observations:
    return import_files("perf-analyzer", files, ImportOptions(**options))  # type: ignore[arg-type]


def refusal(*files: Path, **options: object) -> str:
    with pytest.raises(InputError) as error:
        imported(*files, **options)
    return str(error.value)


# --- CSV --------------------------------------------------------------------------------------------------------


def test_microseconds_become_ms_and_gpu_cells_numbers() -> None:
    found = imported(sample("perf_analyzer_verbose.csv"), batches=(1,), device="A100", model="resnet50")
    first, second = found.rows
    assert (1.0, 8.0) == (first.concurrency, second.concurrency)
    assert {"mean": 5.017, "p50": 5.01, "p90": 5.12, "p95": 5.2, "p99": 5.4} == first.latency_ms
    parts = {"send": 0.011, "network": 0.31, "queue": 0.022, "input": 0.041, "compute": 4.6, "output": 0.03}
    assert parts | {"receive": 0.003} == first.parts_ms
    assert (0.41, 112.3, 5368709120.0) == (first.utilisation, first.power_w, first.memory_bytes)
    assert 5003 == first.notes["response wait"]
    assert first.place.endswith("perf_analyzer_verbose.csv:2")
    expected = {"model": "resnet50", "device": "A100", "server": "Triton", "tool": "perf_analyzer"}
    assert (expected, "server", ()) == (found.provenance, found.scope, found.warnings)


def test_a_request_rate_is_an_open_loop_and_a_missing_mean_the_sum_of_its_parts() -> None:
    found = imported(sample("perf_analyzer_request_rate.csv"), batches=(1,))
    (row,) = found.rows
    assert (100.0, None, 99.8) == (row.rate_rps, row.concurrency, row.throughput_rps)
    assert pytest.approx(11 + 300 + 20 + 40 + 4600 + 30 + 3, abs=1e-9) == row.latency_ms["mean"] * 1000
    assert any("sum of its parts" in warning for warning in found.warnings)


def test_inferences_are_items_and_throughput_counts_requests(tmp_path: Path) -> None:
    """Read as requests, a batch of 8 would be eight times as fast as it is."""
    path = written(tmp_path, HEADER, IDLE.replace("1,200", "1,1600"))
    (row,) = imported(path, batches=(8,)).rows
    assert (8.0, 200.0) == (row.batch, row.throughput_rps)


def test_rows_stand_in_order_of_load_not_of_throughput(tmp_path: Path) -> None:
    saturated = IDLE.replace("1,200", "8,199").replace("30,40", "35226,40")
    later = IDLE.replace("1,200", "2,201").replace("30,40", "4980,40")
    assert [1.0, 2.0, 8.0] == [
        row.concurrency for row in imported(written(tmp_path, HEADER, IDLE, saturated, later)).rows
    ]


def test_throughput_that_contradicts_the_latency_is_told(tmp_path: Path) -> None:
    """The usual cause is a client batch that was not named: then the throughput is several times too high."""
    path = written(tmp_path, HEADER, IDLE.replace("1,200", "1,1600"))
    assert any(
        "Little's law fails at concurrency 1" in warning and "8 times" in warning for warning in imported(path).warnings
    )
    assert not any("Little" in warning for warning in imported(path, batches=(8,)).warnings)


def test_rates_that_were_not_kept_up_with_are_told(tmp_path: Path) -> None:
    path = written(tmp_path, HEADER.replace("Concurrency", "Request Rate"), IDLE.replace("1,200", "300,200"))
    assert any("fewer requests were answered than sent at 300" in warning for warning in imported(path).warnings)


def test_a_batch_that_nobody_told_is_one_and_said(tmp_path: Path) -> None:
    found = imported(written(tmp_path, HEADER, IDLE))
    assert 1.0 == found.rows[0].batch
    assert any("taken to be 1" in warning and "--batch" in warning for warning in found.warnings)


def test_each_file_has_its_batch(tmp_path: Path) -> None:
    one = written(tmp_path, HEADER, IDLE, name="one.csv")
    eight = written(tmp_path, HEADER, IDLE.replace("1,200", "1,1600"), name="eight.csv")
    found = imported(eight, one, batches=(8, 1))
    assert [(1.0, "one.csv"), (8.0, "eight.csv")] == [(row.batch, Path(row.place).name[:-2]) for row in found.rows]
    assert ["the file has no column 'Avg latency': the mean latency is the sum of its parts"] == list(found.warnings)


def test_a_batch_for_each_file_or_for_none(tmp_path: Path) -> None:
    path = written(tmp_path, HEADER, IDLE)
    message = refusal(path, batches=(1, 8))
    assert "--batch: must be given once for each file (1 file), got --batch 1 --batch 8" in message
    assert "must be given once for each file (2 files)" in refusal(path, path, batches=(8,))


def test_a_folder_names_the_batches(tmp_path: Path) -> None:
    for batch in (1, 16, 2):
        written(tmp_path, HEADER, IDLE.replace("1,200", f"1,{200 * batch}"), name=f"b{batch}.csv")
    written(tmp_path, HEADER, IDLE.replace("1,200", "1,800"), name="resnet50_b4.csv")
    written(tmp_path, "a,b", "1,2", name="other.csv")
    found = imported(tmp_path)
    assert [1.0, 2.0, 4.0, 16.0] == [row.batch for row in found.rows]
    assert [200.0] * 4 == [row.throughput_rps for row in found.rows]
    assert any("left out" in warning and "other.csv" in warning for warning in found.warnings)
    assert "must not be given for a folder" in refusal(tmp_path, batches=(1,))


def test_a_folder_that_names_no_batch_is_refused(tmp_path: Path) -> None:
    written(tmp_path, HEADER, IDLE, name="eight.csv")
    assert "must hold files that name the batch, such as b8.csv, got eight.csv" in refusal(tmp_path)
    written(tmp_path, HEADER, IDLE, name="zero/b0.csv")
    assert "must name a batch of at least 1" in refusal(tmp_path / "zero")


def test_files_that_name_their_batch_need_no_option(tmp_path: Path) -> None:
    paths = [written(tmp_path, HEADER, IDLE.replace("1,200", f"1,{200 * n}"), name=f"m.b{n}.csv") for n in (1, 8)]
    found = imported(*paths)
    assert [1.0, 8.0] == [row.batch for row in found.rows]
    assert any("taken from the file's name" in warning for warning in found.warnings)


def test_capped_network_time_is_left_out(tmp_path: Path) -> None:
    """perf_analyzer writes 0 where its two clocks disagree; a wire that takes no time would be a lie."""
    found = imported(written(tmp_path, HEADER, IDLE.replace("10,200", "10,0")))
    assert "network" not in found.rows[0].parts_ms
    assert "mean" not in found.rows[0].latency_ms
    assert any("is 0 in 1 of 1 rows and left out there" in warning for warning in found.warnings)


def test_a_server_without_statistics_has_its_median(tmp_path: Path) -> None:
    path = written(tmp_path, "Concurrency,Inferences/Second,Client Send,Client Recv,p50 latency", "1,200,10,3,5000")
    found = imported(path, server="TorchServe")
    assert ({"p50": 5.0}, 5.0) == (found.rows[0].latency_ms, found.rows[0].mean_ms)
    assert any("its median stands for the mean" in warning for warning in found.warnings)
    assert "TorchServe" == found.provenance["server"]


def test_one_column_of_compute_is_read_too(tmp_path: Path) -> None:
    """As perf_client wrote until 2020; the row stands in NVIDIA's documentation of that time."""
    path = written(
        tmp_path,
        "Concurrency,Inferences/Second,Client Send,Network+Server Send/Recv,Server Queue,Server Compute,Client Recv,"
        "p50 latency,p90 latency,p95 latency,p99 latency",
        "1,160.8,68,1291,38,4801,7,6212,6289,6328,7407",
    )
    (row,) = imported(path).rows
    assert 4.801 == row.parts_ms["compute"]
    assert pytest.approx(6.205) == row.latency_ms["mean"]


def test_columns_beyond_the_known_are_kept_and_named_once(tmp_path: Path) -> None:
    header = HEADER + ",p66 latency,Server Cache Hit,Response Throughput,Colour"
    found = imported(written(tmp_path, header, IDLE + ",5000,12,201.5,red"))
    notes = {"Server Cache Hit": 12, "Response Throughput": 201.5, "Colour": "red", "p66 latency": 5000}
    assert notes == found.rows[0].notes
    assert ["columns that are not known, kept as notes, not used: 'Colour'"] == [
        warning for warning in found.warnings if "not known" in warning
    ]


def test_several_gpus_are_told_apart(tmp_path: Path) -> None:
    header = HEADER + ",Avg latency,Avg GPU Utilization,Avg GPU Power Usage,Max GPU Memory Usage"
    found = imported(written(tmp_path, header, IDLE + ",5000,A:0.2;B:0.4;,A:100;B:50;,A:1e9;B:3e9;"))
    (row,) = found.rows
    assert (pytest.approx(0.3), 75.0, 3e9) == (row.utilisation, row.power_w, row.memory_bytes)
    assert {"A": 0.2, "B": 0.4} == row.notes["Avg GPU Utilization"]
    assert any(warning.startswith("2 GPUs:") for warning in found.warnings)


def test_blank_gpu_cells_are_unknown_not_zero(tmp_path: Path) -> None:
    header = HEADER + ",Avg GPU Utilization,Avg GPU Power Usage,Max GPU Memory Usage"
    for cells in (",,,", ",A:nan;,A:;,A:N/A;"):
        (row,) = imported(written(tmp_path, header, IDLE + cells)).rows
        assert (None, None, None) == (row.utilisation, row.power_w, row.memory_bytes)
    path = written(tmp_path, header, IDLE + ",0.4,A:x;,A:1;")
    assert ["must be GPU:value; for each GPU, got 0.4", "must be GPU:value; for each GPU, got A:x"] == [
        line.split(": ", 2)[2].split(". Mend")[0] for line in refusal(path).splitlines()
    ]


def test_all_bad_cells_are_named_at_once_with_their_lines(tmp_path: Path) -> None:
    path = written(
        tmp_path, HEADER, IDLE.replace("4600", "fast"), IDLE.replace("5400", "-1"), IDLE.replace("1,200", ",200")
    )
    lines = refusal(path).splitlines()
    assert 3 == len(lines)
    assert f"{path}:2:20: Server Compute Infer: must be a number, got fast." in lines[0]
    assert f"{path}:3:" in lines[1]
    assert "p99 latency: must be greater than 0, got -1." in lines[1]
    assert "Concurrency: must not be blank." in lines[2]


def test_a_load_without_answers_stops_unless_it_may_be_left_out(tmp_path: Path) -> None:
    path = written(tmp_path, HEADER, IDLE, IDLE.replace("1,200", "2,0"))
    assert "no request was answered" in refusal(path)
    assert [1.0] == [row.concurrency for row in imported(path, allow_incomplete=True).rows]
    nothing = written(tmp_path, HEADER, IDLE.replace("1,200", "2,0"))
    assert "must hold a row in which requests were answered" in refusal(nothing, allow_incomplete=True)


def test_the_file_of_a_member_of_an_ensemble_is_refused(tmp_path: Path) -> None:
    """Its header runs into its first row, and it has no latency that a client saw."""
    path = written(tmp_path, HEADER.split(",p50")[0] + "1,200,0,30,30,40,4600,20,0")
    assert "one member of an ensemble" in refusal(path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"", "must not be empty"),
        (b"\x89PNG\xff\xfe\x00", "must be UTF-8 text"),
        (HEADER.encode(), "holds no row of perf_analyzer"),
        (b"a,b\n1,2\n", "must have the columns Concurrency or Request Rate, Inferences/Second, got a, b"),
        (f"{HEADER}\n1,2\n".encode(), "must have 13 cells like the header, got 2"),
        (HEADER.replace("Inferences/Second", "Inferences/s").encode() + b"\n" + IDLE.encode(), "Did you mean"),
    ],
)
def test_what_is_no_table_of_perf_analyzer_is_refused(tmp_path: Path, text: bytes, said: str) -> None:
    path = tmp_path / "perf.csv"
    path.write_bytes(text)
    assert said in refusal(path)


def test_problems_of_several_files_come_together(tmp_path: Path) -> None:
    bad = [written(tmp_path, HEADER, IDLE.replace("4600", word), name=f"{word}.csv") for word in ("fast", "slow")]
    assert ["fast", "slow"] == [line.split("got ")[1].split(".")[0] for line in refusal(*bad).splitlines()]


whole_us = st.integers(1, 10**7)


@given(st.lists(st.tuples(whole_us, whole_us, whole_us, whole_us), min_size=1, max_size=5), st.integers(1, 128))
def test_what_was_written_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[int, ...]], batch: int
) -> None:
    """Made-up figures: a row for each concurrency, with send, network, queue and compute."""
    lines = [
        f"{load},{batch * 1e6 * load / (send + wire + queue + work):.6f},{send},{wire},{queue},0,{work},0,0,{work},,,"
        for load, (send, wire, queue, work) in enumerate(rows, start=1)
    ]
    path = written(tmp_path_factory.mktemp("written"), HEADER, *lines)
    found = imported(path, batches=(batch,))
    assert not any("Little" in warning for warning in found.warnings)
    for load, (row, us) in enumerate(zip(found.rows, rows, strict=True), start=1):
        names = ("send", "network", "queue", "compute")
        assert (float(load), batch) == (row.concurrency, row.batch)
        assert dict(zip(names, (value / 1000 for value in us), strict=True)) == {
            name: row.parts_ms[name] for name in names
        }
        assert pytest.approx(sum(us) / 1000) == row.latency_ms["mean"]
