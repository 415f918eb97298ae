"""The files of ``--output DIR``: written whole or not at all.

Everything is written into a hidden folder inside DIR and moved into place, file by file, once all of it is
complete; an error or Ctrl-C before that leaves DIR as it was. The tables are those of :mod:`simulator.log`; their
columns are described there and nowhere else, and every Parquet column carries its description with it.
"""

from __future__ import annotations

import ast
import inspect
import json
import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from calibration.problems import InputError, Problem
from simulator.log import NOWHERE, OUTCOMES, BatchLog, RequestLog, RunLog
from simulator.outcome import Report, report_to_json
from simulator.render import report_text

TABLES: Final = {"requests.parquet": RequestLog, "batches.parquet": BatchLog}
"""Files of tables, by the type whose fields are their columns."""

_NAMED: Final = ("workload", "fleet", "outcome")
"""Columns written as names instead of indices."""
_MAY_BE_NULL: Final = ("queued_ns", "start_ns", "end_ns", "left_ns", "batch")
"""Columns in which NOWHERE is written as null."""


class OutputFolder:
    """A folder whose files appear all together when the ``with`` block ends well, and not at all otherwise.

    Raises
    ------
    InputError
        On entering, if the folder cannot be made or written to: before any simulation, not after it.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._made: list[Path] = []

    def __enter__(self) -> Path:
        """Make the folder and give the staging folder to write into."""
        try:
            missing = [p for p in (self.directory, *self.directory.parents) if not p.exists()]
            self.directory.mkdir(parents=True, exist_ok=True)
            self._made = missing
            self._staging = Path(tempfile.mkdtemp(prefix=".unfinished-", dir=self.directory))
        except OSError as error:
            raise self._refusal(error) from error
        return self._staging

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Move the files into place, or remove every trace of them."""
        if kind is None:
            try:
                for file in sorted(self._staging.iterdir()):
                    os.replace(file, self.directory / file.name)
            except OSError as problem:
                shutil.rmtree(self._staging, ignore_errors=True)
                raise self._refusal(problem) from problem
        shutil.rmtree(self._staging, ignore_errors=True)
        if kind is not None:
            for folder in self._made:
                # Somebody else may have put a file there meanwhile; it stays.
                if not any(folder.iterdir()):
                    folder.rmdir()

    def _refusal(self, error: OSError) -> InputError:
        """Say that the folder cannot be used, and why."""
        rule = f"cannot be made or written to ({(error.strerror or str(error)).lower()})"
        remedy = "Name a folder that can be written to; it is made if it does not exist."
        return InputError([Problem("<command line>", None, None, "--output", rule, str(self.directory), remedy)])


class LogWriter:
    """Writes the stretches of a run into ``requests.parquet`` and ``batches.parquet`` as they come.

    Parameters
    ----------
    folder : Path
        Where the files are written, normally what :class:`OutputFolder` gives.
    workloads, fleets : sequences of str
        Names, in the scenario's order.
    """

    def __init__(self, folder: Path, *, workloads: Sequence[str], fleets: Sequence[str]) -> None:
        self._names = {"workload": list(workloads), "fleet": list(fleets), "outcome": list(OUTCOMES)}
        self._writers = {
            name: pq.ParquetWriter(folder / name, table_schema(table), compression="zstd")
            for name, table in TABLES.items()
        }

    def __enter__(self) -> LogWriter:
        """Nothing to do: the files are open already."""
        return self

    def write(self, log: RunLog) -> None:
        """Append one stretch."""
        for name, rows in (("requests.parquet", log.requests), ("batches.parquet", log.batches)):
            schema = table_schema(type(rows))
            columns = [self._column(field.name, getattr(rows, field.name)) for field in fields(rows)]
            self._writers[name].write_table(pa.Table.from_arrays(columns, schema=schema))

    def __exit__(self, *_: object) -> None:
        """Close both files."""
        for writer in self._writers.values():
            writer.close()

    def _column(self, name: str, values: npt.NDArray[np.generic]) -> Any:
        """Arrow column of a log's column: names for indices, null for NOWHERE."""
        if name in _NAMED:
            codes = pa.array(values.astype(np.int32))
            return pa.DictionaryArray.from_arrays(codes, pa.array(self._names[name], pa.string()))
        return pa.array(values, mask=values == NOWHERE) if name in _MAY_BE_NULL else pa.array(values)


def write_report(folder: Path, report: Report) -> None:
    """Write ``report.json`` (what ``--json`` prints) and ``report.txt`` (what is printed without it)."""
    (folder / "report.json").write_text(json_text(report), encoding="utf-8")
    (folder / "report.txt").write_text(report_text(report), encoding="utf-8")


def json_text(report: Report) -> str:
    """Give the report as the text of one JSON object, ending with a newline."""
    return json.dumps(report_to_json(report), indent=2, allow_nan=False) + "\n"


def table_schema(table: type[RequestLog] | type[BatchLog]) -> Any:
    """Arrow schema of a log's table; the metadata of each field holds its ``description``."""
    kinds = {"Int64s": pa.int64(), "Int32s": pa.int32(), "Int8s": pa.int8()}
    names = pa.dictionary(pa.int32(), pa.string())
    return pa.schema(
        [
            pa.field(
                field.name,
                names if field.name in _NAMED else kinds[str(field.type)],
                nullable=field.name in _MAY_BE_NULL,
                metadata={"description": column_descriptions(table)[field.name]},
            )
            for field in fields(table)
        ]
    )


def column_descriptions(table: type[RequestLog] | type[BatchLog]) -> dict[str, str]:
    """Read what each column of a table means from the string under its field, worded for the files.

    >>> column_descriptions(BatchLog)["items"]
    'Items executed together.'
    """
    body = ast.parse(inspect.getsource(table)).body[0]
    assert isinstance(body, ast.ClassDef)
    descriptions: dict[str, str] = {}
    for field, text in zip(body.body, body.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant):
            assert isinstance(field.target, ast.Name)
            # In the files an index is a name, a code is a word and what never happened is null.
            words = " ".join(str(text.value.value).split())
            words = words.replace("NOWHERE", "null")
            if field.target.id in _NAMED:
                words = words.replace("Index of the ", "Name of the ").replace(" in the scenario's order", "")
            for outcome in OUTCOMES:
                words = words.replace(outcome.upper(), outcome)
            descriptions[field.target.id] = words
    return descriptions
