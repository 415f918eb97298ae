"""The files of ``--output``: whole or not at all, and every column says what it is."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from calibration.problems import InputError
from simulator.log import COMPLETED, NOWHERE, REJECTED, BatchLog, RequestLog, RunLog
from simulator.outcome import CostReport, Report
from simulator.output import LogWriter, OutputFolder, column_descriptions, json_text, write_report

ROOT = Path(__file__).resolve().parents[2]


def a_log() -> RunLog:
    """Two requests: one answered alone in its batch, one refused."""
    i64, i32, i8 = np.int64, np.int32, np.int8
    requests = RequestLog(
        workload=np.array([0, 1], i32),
        fleet=np.array([0, 0], i32),
        instance=np.array([0, 0], i32),
        items=np.array([1, 2], i32),
        arrival_ns=np.array([0, 5], i64),
        queued_ns=np.array([1, NOWHERE], i64),
        start_ns=np.array([2, NOWHERE], i64),
        end_ns=np.array([12, NOWHERE], i64),
        left_ns=np.array([13, 5], i64),
        batch_items=np.array([1, 0], i32),
        batch=np.array([0, NOWHERE], i64),
        outcome=np.array([COMPLETED, REJECTED], i8),
    )
    columns = {"fleet": 0, "instance": 0, "model_instance": 0, "items": 1, "requests": 1}
    times = {"taken_ns": 1, "start_ns": 2, "end_ns": 12, "free_ns": 13, "work_ns": 10}
    batches = BatchLog(
        **{name: np.array([value], i32) for name, value in columns.items()},
        **{name: np.array([value], i64) for name, value in times.items()},
    )
    return RunLog(requests, batches)


def a_report() -> Report:
    return Report("größe", 7, "compiled", 1, 60.0, 0.0, (), (), CostReport(None, None, None), {"run": 0.1})


def test_the_tables_hold_the_log_with_names_for_codes_and_null_for_never(tmp_path: Path) -> None:
    """A reader of the file would have to know our integers, and take -1 for a time."""
    with OutputFolder(tmp_path) as folder, LogWriter(folder, workloads=("a", "b"), fleets=("gpu",)) as writer:
        writer.write(a_log())
        writer.write(a_log())
    rows = pq.read_table(tmp_path / "requests.parquet").to_pylist()
    assert 4 == len(rows)
    assert {"workload": "a", "fleet": "gpu", "outcome": "completed", "left_ns": 13}.items() <= rows[0].items()
    assert {"workload": "b", "outcome": "rejected", "start_ns": None, "batch": None}.items() <= rows[1].items()
    assert 2 == pq.read_metadata(tmp_path / "batches.parquet").num_rows


@pytest.mark.parametrize(("name", "table"), [("requests.parquet", RequestLog), ("batches.parquet", BatchLog)])
def test_every_column_carries_its_description(tmp_path: Path, name: str, table: type[RequestLog | BatchLog]) -> None:
    with LogWriter(tmp_path, workloads=(), fleets=()):
        pass
    schema = pq.read_schema(tmp_path / name)
    assert [field.name for field in fields(table)] == schema.names
    for column in schema:
        description = column.metadata[b"description"].decode()
        assert description.endswith(".")
        assert "NOWHERE" not in description


def test_the_page_about_output_describes_every_column() -> None:
    """docs/output.md is what a reader of the files has; a column missing there is a riddle."""
    page = (ROOT / "docs" / "output.md").read_text(encoding="utf-8")
    for table in (RequestLog, BatchLog):
        for column, description in column_descriptions(table).items():
            assert f"| `{column}` | {description} |" in page


def test_an_error_leaves_an_older_result_untouched_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "report.json").write_text("older", encoding="utf-8")
    with pytest.raises(RuntimeError, match="in the middle"), OutputFolder(tmp_path) as folder:
        write_report(folder, a_report())
        raise RuntimeError("in the middle")
    assert ["report.json"] == [path.name for path in tmp_path.iterdir()]
    assert "older" == (tmp_path / "report.json").read_text(encoding="utf-8")


def test_ctrl_c_leaves_no_folder_behind(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), OutputFolder(tmp_path / "new" / "folder") as folder:
        write_report(folder, a_report())
        raise KeyboardInterrupt
    assert [] == list(tmp_path.iterdir())


def test_a_result_replaces_an_older_one_and_leaves_other_files_alone(tmp_path: Path) -> None:
    for name in ("report.json", "mine.txt"):
        (tmp_path / name).write_text("older", encoding="utf-8")
    with OutputFolder(tmp_path) as folder:
        write_report(folder, a_report())
    assert ["mine.txt", "report.json", "report.txt"] == sorted(path.name for path in tmp_path.iterdir())
    assert 7 == json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))["seed"]
    assert "older" == (tmp_path / "mine.txt").read_text(encoding="utf-8")


def test_a_folder_that_cannot_be_written_is_refused_before_the_run(tmp_path: Path) -> None:
    """An hour of simulation would end with a permission error."""
    (tmp_path / "file").write_text("", encoding="utf-8")
    for directory in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(InputError, match=r"<command line>: --output: cannot be made or written to"):
            OutputFolder(directory).__enter__()


def test_a_place_taken_by_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "report.json").mkdir()
    with pytest.raises(InputError, match="--output"), OutputFolder(tmp_path) as folder:
        write_report(folder, a_report())
    assert ["report.json"] == [path.name for path in tmp_path.iterdir()]


def test_json_is_ascii_and_one_object() -> None:
    """A pipe that is not UTF-8 would break the object in the middle of a name."""
    text = json_text(a_report())
    assert text.isascii()
    assert "größe" == json.loads(text)["scenario"]
