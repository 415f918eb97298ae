"""Recorded traffic is read to the exact nanosecond, and what is wrong with a file is said line by line."""

from __future__ import annotations

import gzip
import json
import os
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from simulator import mooncake, recorded, text_rows
from simulator.arrival_spec import TraceArrivals
from simulator.clock import NS_PER_S
from simulator.traces import Trace, read_trace

SHARED = Path(__file__).resolve().parents[2] / "../shared"

AZURE = "TIMESTAMP,ContextTokens,GeneratedTokens\n"


def shared(name: str) -> Path:
    path = SHARED / name
    if not path.exists():
        pytest.skip(f"../shared/{name} is absent")
    return path


def written(tmp_path: Path, text: str | bytes, name: str = "trace.csv") -> Path:
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize(
    ("name", "requests", "cv", "first", "tokens"),
    [
        ("code", 8819, 13.2, "2023-11-16T18:17:03.979960000", (4808, 10)),
        ("conv", 19366, 1.09, "2023-11-16T18:15:46.680590000", (374, 44)),
    ],
)
def test_the_azure_traces_are_read_whole(
    name: str, requests: int, cv: float, first: str, tokens: tuple[int, int]
) -> None:
    """The figures published with the files: rows and CV of the inter-arrival times, beside the data."""
    trace = read_trace(shared(f"data/azure_llm_2023_{name}.csv.gz"))
    gaps = np.diff(trace.arrival_ns)
    assert requests == len(trace)
    assert "azure_llm" == trace.format
    assert cv == pytest.approx(gaps.std() / gaps.mean(), rel=0.005)
    assert f"time 0 is its first timestamp, {first} UTC" in trace.notes[0]
    assert trace.prompt_tokens is not None
    assert trace.output_tokens is not None
    assert tokens == (trace.prompt_tokens[0], trace.output_tokens[0])


def test_every_digit_of_the_azure_traces_is_kept() -> None:
    """Rows were once read with two fractional digits by another tool, which made bursts of them."""
    path = shared("data/azure_llm_2023_conv.csv.gz")
    rows = gzip.decompress(path.read_bytes()).decode().splitlines()[1:]
    stamps = [row.split(",")[0] for row in rows]
    seconds = [Decimal(stamp[11:13]) * 3600 + Decimal(stamp[14:16]) * 60 + Decimal(stamp[17:]) for stamp in stamps]
    assert [int((second - seconds[0]) * NS_PER_S) for second in seconds] == read_trace(path).arrival_ns.tolist()


def test_the_sample_files_are_read() -> None:
    azure = read_trace(shared("samples/in/azure_llm_trace.csv"))
    assert [0, 4_314_579_000, 4_541_877_000] == azure.arrival_ns.tolist()
    mooncake = read_trace(shared("samples/in/mooncake_trace.jsonl"))
    assert [0, 1_053_000_000] == mooncake.arrival_ns.tolist()
    assert "mooncake timestamps read as milliseconds" in mooncake.notes[0]


def test_azure_timestamps_may_carry_a_zone_or_no_fraction(tmp_path: Path) -> None:
    """The 2024 release writes +00:00, and leaves out a fraction of zero."""
    rows = "2024-05-10 00:00:00.009930+00:00,1,2\r\n2024-05-10 00:00:01+00:00,3,4\r\n"
    trace = read_trace(written(tmp_path, AZURE + rows))
    assert [0, 990_070_000] == trace.arrival_ns.tolist()


@pytest.mark.parametrize(
    ("text", "options", "arrivals_ms", "said"),
    [
        ("arrival_s\n0.5\n1.5\n", {}, [500, 1500], "column arrival_s, read as seconds (no time_unit given)"),
        ("arrival_ms\n0.5\n1\n", {}, [0.5, 1], "column arrival_ms, read as milliseconds (no time_unit given)"),
        ("id,arrival_s\na,1\nb,2\n", {}, [1000, 2000], "column arrival_s"),
        ("id,when\na,1\nb,2\n", {"column": "when", "time_unit": "ms"}, [1, 2], "column when, read as milliseconds"),
        ("id,sent_us\na,1000\n", {"column": "sent_us"}, [1], "read as microseconds (no time_unit given)"),
        ("arrival_s\n7\n", {"time_unit": "ms"}, [7], "read as milliseconds"),
        ("0.25\n0.5\n", {}, [250, 500], "a file without a header, read as seconds"),
        ("1000\n", {"time_unit": "us", "format": "column"}, [1], "without a header, read as microseconds"),
        ("\ufeff\n# measured on a Monday\n\n arrival_s \n1\n\n2\n\n", {}, [1000, 2000], "2 requests over 1.0 s"),
        ('"id","arrival_s"\n"a, b","1"\n', {}, [1000], "1 request over 0.0 s"),
        ("arrival_s\r1\r2\r", {}, [1000, 2000], "arrival_s"),
        ("arrival_s\n2\n4\n", {"speed": 4.0}, [500, 1000], "arrival_s"),
        ('{"timestamp": 3}\n\n{"timestamp": 4}\n', {}, [3, 4], "timestamps read as milliseconds (no time_unit given)"),
        ('{"timestamp": 0.0}\n{"timestamp": 1}\n', {}, [0, 1000], "seconds (some have a fraction; no time_unit given)"),
        ('{"timestamp": 2.5}\n', {"time_unit": "ms"}, [2.5], "mooncake timestamps read as milliseconds"),
        (AZURE + "2023-11-16 18:17:03.5,1,2\n2023-11-16T18:17:04Z,1,2\n", {}, [0, 500], "in the azure_llm layout"),
        (AZURE + "2023-11-16 18:17:03.5,10,2\n", {"column": "ContextTokens"}, [10_000], "column ContextTokens"),
    ],
)  # fmt: skip
def test_each_layout_is_told_by_what_the_file_holds(
    tmp_path: Path, text: str, options: dict[str, str], arrivals_ms: list[float], said: str
) -> None:
    """And what was found, or assumed, is said: a wrong unit is a thousand times the load."""
    trace = read_trace(written(tmp_path, text), **options)  # type: ignore[arg-type]
    assert [round(ms * 1_000_000) for ms in arrivals_ms] == trace.arrival_ns.tolist()
    assert said in trace.notes[0]
    assert not trace.arrival_ns.flags.writeable


def test_a_gzip_is_told_by_its_bytes_and_not_its_name(tmp_path: Path) -> None:
    packed = written(tmp_path, gzip.compress(b"arrival_s\n1\n"), "trace.csv")
    plain = written(tmp_path, "arrival_s\n1\n", "trace.csv.gz")
    assert [NS_PER_S] == read_trace(packed).arrival_ns.tolist() == read_trace(plain).arrival_ns.tolist()


def test_a_speed_is_said(tmp_path: Path) -> None:
    trace = read_trace(written(tmp_path, "arrival_s\n3\n"), speed=1.5)
    assert [2 * NS_PER_S] == trace.arrival_ns.tolist()
    assert "replayed 1.5 times as fast" == trace.notes[1]


def test_a_trace_is_read_once_until_its_file_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A search plays it at a hundred speeds; a file that was written anew is another trace."""
    path = written(tmp_path, "arrival_s\n3\n")
    os.utime(path, ns=(0, 10**18))
    reads: list[Path] = []

    def counted(file: Path, **layout: Any) -> Trace:
        reads.append(file)
        return read_trace(file, **layout)

    monkeypatch.setattr(recorded, "read_trace", counted)

    def seconds(speed: float) -> float:
        spec = TraceArrivals.model_validate({"process": "trace", "file": path, "speed": speed})
        return float(recorded.read_trace_ns(spec)[0]) / NS_PER_S

    assert [3.0, 1.5, 1.0] == [seconds(speed) for speed in (1, 2, 3)]
    assert 1 == len(reads)
    path.write_text("arrival_s\n6\n")
    assert [6.0, 3.0] == [seconds(1), seconds(2)]
    assert 3 == len(reads), "a file that was changed just now is read again each time"


def test_blocks_of_rows_are_joined_without_a_seam(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of millions of rows is read in blocks."""
    texts = [f"{number}.{number:03d}" for number in range(100)]
    whole = read_trace(written(tmp_path, "arrival_s\n" + "\n".join(texts)))
    monkeypatch.setattr(text_rows, "BLOCK_ROWS", 7)
    path = written(tmp_path, "arrival_s\n" + "\n".join(texts))
    assert whole.arrival_ns.tolist() == read_trace(path).arrival_ns.tolist()


@pytest.mark.parametrize(
    "options",
    [{"format": "parquet"}, {"time_unit": "h"}, {"speed": 0.0}, {"speed": float("inf")}, {"speed": float("nan")}],
)
def test_an_option_that_means_nothing_is_refused(tmp_path: Path, options: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(options))} must be"):
        read_trace(written(tmp_path, "arrival_s\n1\n"), **options)  # type: ignore[arg-type]


def test_lines_of_json_are_joined_without_a_seam(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are kept as text until the whole file has told its unit."""
    monkeypatch.setattr(mooncake, "BLOCK_ROWS", 7)
    for rows in (13, 14):
        path = written(tmp_path, "\n".join(f'{{"timestamp": {number}.5}}' for number in range(rows)))
        assert [number * NS_PER_S + NS_PER_S // 2 for number in range(rows)] == read_trace(path).arrival_ns.tolist()


def test_token_counts_come_with_the_arrivals_where_every_row_has_them(tmp_path: Path) -> None:
    """A column with holes would give one request's tokens to another."""

    def tokens(rows: list[dict[str, int]]) -> Trace:
        return read_trace(written(tmp_path, "\n".join(map(json.dumps, rows))))

    full = {"timestamp": 1, "input_length": 6955, "output_length": 52}
    trace = tokens([full, full])
    assert trace.prompt_tokens is not None
    assert [6955, 6955] == trace.prompt_tokens.tolist()
    assert trace.output_tokens is not None
    assert [52, 52] == trace.output_tokens.tolist()
    trace = tokens([full, {"timestamp": 2, "input_length": 7}])
    assert trace.output_tokens is None
    assert trace.prompt_tokens is not None
