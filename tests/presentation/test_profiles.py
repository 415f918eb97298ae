"""An imported file becomes the profile that the command line would write, or the same refusal."""

from __future__ import annotations

import json
import tempfile
from typing import Any

import pytest

from calibration.catalogue import shipped
from calibration.problems import InputError
from calibration.profile_file import read_profile_file
from presentation.profiles import catalogue, headline, import_options, imported, load_rows, point_rows, profile_json

REPORT = """\
Concurrency,Inferences/Second,Client Send,Network+Server Send/Recv,Server Queue,Server Compute Input,\
Server Compute Infer,Server Compute Output,Client Recv,p50 latency,p90 latency,p95 latency,p99 latency
1,{rate},10,200,20,15,{infer},5,3,{total},{total},{total},{total}
"""


def report(infer_us: int) -> bytes:
    """What perf_analyzer writes of one client, as in its documentation; times in microseconds."""
    total = infer_us + 253
    return REPORT.format(rate=round(1e6 / total, 2), infer=infer_us, total=total).encode()


def test_a_tool_is_recognised_and_its_figures_are_fitted() -> None:
    files = {"b1.csv": report(5_000), "b4.csv": report(8_000), "b8.csv": report(13_000)}
    found = imported(files, options=import_options(device="T4", model="toy", batches="1, 4, 8"))
    assert "perf-analyzer" == found.format
    rows = point_rows(found.file)
    assert [1, 4, 8] == [row["batch (items)"] for row in rows]
    assert all(row["curve (ms)"] > 5 for row in rows)


def test_a_profile_of_our_own_comes_back_as_it_was() -> None:
    path = shipped()["bert-large-triton-fp16-t4"]
    found = imported({path.name: path.read_bytes()})
    assert read_profile_file(path) == found.file
    assert read_profile_file(path).model_dump(mode="json", by_alias=True, exclude_none=True) == json.loads(
        profile_json(found.file)
    )


@pytest.mark.parametrize(
    ("files", "format", "words"),
    [
        ({"x.csv": b"nothing,known\n1,2\n"}, None, "x.csv: is not recognised as a profile"),
        ({"x.json": b'{"schema": 1, "measurements": {}}'}, None, "x.json:1:15: measurements.batch: is required"),
        ({"x.csv": b"nothing,known\n1,2\n"}, "perf-analyzer", "x.csv"),
        ({"../x.csv": b"a"}, "no-such-tool", "must be a format that can be imported"),
        ({"x.csv": b"0" * ((5 << 20) + 1)}, None, "must not be larger than 5 MiB"),
    ],
)
def test_what_is_no_measurement_is_refused_without_a_folder_in_the_message(
    files: dict[str, bytes], format: str | None, words: str
) -> None:
    with pytest.raises(InputError) as caught:
        imported(files, format)
    assert words in str(caught.value)
    assert tempfile.gettempdir() not in str(caught.value)


def test_a_batch_that_is_no_number_is_refused() -> None:
    with pytest.raises(InputError, match="must be whole numbers, got many"):
        import_options(batches="1, many")


def test_every_shipped_profile_has_its_page() -> None:
    """Each has points, or loads, or is told apart as one of step times."""
    for entry in catalogue():
        file = read_profile_file(shipped()[entry.name])
        rows: list[dict[str, Any]] = point_rows(file)
        assert rows or load_rows(file) or file.llm
        assert file.has_curve == bool(headline(file))


def test_the_headline_is_that_of_the_points() -> None:
    file = read_profile_file(shipped()["bert-large-triton-fp16-t4"])
    assert [("Batch of 1", "13.8 ms", "72.2 items/s"), ("Most items a second", "73.3", "at batch 16, 218 ms")] == (
        headline(file)[:2]
    )
