"""What ``simulate validate --against`` reads: other tools' measurements, profiles, and two layouts of our own.

==================  ====================================================================================================
file                told by
==================  ====================================================================================================
a tool's file       ``--format``, or what is in it; everything that ``calibrate import`` reads
a profile file      ``.json`` with ``schema``: its ``loads``, what clients of the server saw
a table of loads    CSV with a column ``concurrency`` or ``rate_rps``: one row a load (columns below)
single requests     CSV with the columns ``scheduled_s`` and ``latency_ms``: the arrivals are replayed
==================  ====================================================================================================

A table of loads has the columns of :mod:`calibration.observation_table`: ``concurrency`` or ``rate_rps``, ``batch``
(items of a request), ``throughput_rps``, ``mean_ms`` (or ``latency_ms``), ``p50_ms``, ``p99_ms`` ..., and of the
server ``model_instances``, ``max_batch_size``, ``max_queue_delay_ms``, ``preferred_batch_sizes`` (``4;8``), ``rule``.
Others are ignored. Single requests may have ``items``, and ``rate_rps`` or ``concurrency`` to tell several loads of
one file apart; with ``concurrency`` the clients are simulated instead of the arrivals replayed. Those with a
``status`` other than 2xx were sent, but their latency counts for nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from calibration.csv_sheet import Row, Sheet, read_sheet
from calibration.importers import ImportOptions, format_named, import_files
from calibration.importers.recognise import recognised
from calibration.observation import Observations
from calibration.observation_table import rows_of
from calibration.problems import InputError, Problem
from calibration.profile_file import read_profile_file
from calibration.profile_writer import observations_in
from calibration.source import did_you_mean, file_problem, printable
from simulator.validation_cases import Case, LeftOut, cases_of

SINGLE: Final = ("scheduled_s", "latency_ms")
LOADS: Final = ("concurrency", "rate_rps")

_TEXTS: Final = frozenset({"rule", "preferred_batch_sizes", "arrivals"})
_WHOLE: Final = frozenset({"model_instances", "max_batch_size", "requests", "failed"})


@dataclass(frozen=True)
class Measured:
    """Everything that was measured."""

    cases: tuple[Case, ...]
    left_out: tuple[LeftOut, ...]
    warnings: tuple[str, ...] = ()


def read_measured(
    files: Sequence[Path], *, format: str | None = None, options: ImportOptions | None = None
) -> Measured:
    """At which loads was the server measured?

    Parameters
    ----------
    files
        Files, or folders of the tools that write one.
    format
        Name of the tool for ``calibrate import``; None to tell from the files.
    options
        What a tool's files do not say.

    Raises
    ------
    InputError
        With everything that is wrong with them.
    """
    options = options or ImportOptions()
    cases: list[Case] = []
    left_out: list[LeftOut] = []
    warnings: list[str] = []
    problems: list[Problem] = []
    for kind, own in _by_kind(files, format).items():
        try:
            found = [*_read(kind, own, options)]
        except InputError as error:
            problems += error.problems
            continue
        for one in found:
            cases += one.cases
            left_out += one.left_out
            warnings += one.warnings
    if problems:
        raise InputError(list(dict.fromkeys(problems)))
    return Measured(tuple(cases), tuple(left_out), tuple(dict.fromkeys(warnings)))


def _by_kind(files: Sequence[Path], format: str | None) -> dict[str, list[Path]]:
    """Files by the format they are in, files of one tool together: they are one measurement."""
    if format is not None:
        return {format_named(format).name: list(files)}
    kinds: dict[str, list[Path]] = {}
    problems = []
    for file in files:
        problem = None if file.is_dir() else file_problem(file)
        if problem is not None:
            rule, remedy = problem
            problems.append(Problem(printable(file), None, None, "", rule, None, remedy))
            continue
        kinds.setdefault(_kind_of(file), []).append(file)
    if problems:
        raise InputError(problems)
    return kinds


def _kind_of(file: Path) -> str:
    if file.is_dir():
        return "perf-analyzer"
    found = recognised(file)
    if found is not None:
        return found
    return "profile" if file.suffix.lower() in (".json", ".yaml", ".yml") else "table"


def _read(kind: str, files: Sequence[Path], options: ImportOptions) -> list[Measured]:
    if kind == "profile":
        return [one for file in files for one in _of_profile(file)]
    if kind == "table":
        return [_of_table(file, options) for file in files]
    return [_of_rows(import_files(kind, files, options))]


def _of_rows(observations: Observations) -> Measured:
    cases, left_out = cases_of(observations)
    return Measured(tuple(cases), tuple(left_out), observations.warnings)


def _of_profile(file: Path) -> list[Measured]:
    served = [one for one in observations_in(read_profile_file(file)) if one.scope == "server"]
    if not served:
        rule = "must hold loads: what clients of a server saw"
        remedy = "Name a profile of served requests, or the files of the tool that measured them."
        raise InputError([Problem(printable(file), None, None, "loads", rule, None, remedy)])
    return [_of_rows(one) for one in served]


def _of_table(file: Path, options: ImportOptions) -> Measured:
    sheet = read_sheet(file)
    if set(SINGLE) <= set(sheet.columns):
        return Measured(tuple(_single_requests(sheet)), ())
    if not set(LOADS) & set(sheet.columns):
        rule = f"must have a column {LOADS[0]} or {LOADS[1]}, or the columns {SINGLE[0]} and {SINGLE[1]}"
        near = did_you_mean("concurrency", sheet.columns)
        remedy = " ".join(filter(None, [near, "Files of other tools are named with --format."]))
        raise InputError([Problem(sheet.file, 1, 1, "", rule, ", ".join(sheet.columns)[:120], remedy)])
    problems: list[Problem] = []
    rows = [_numbers(sheet, row, problems) for row in sheet.rows]
    if problems:
        raise InputError(problems)
    names = dict.fromkeys(name for row in rows for name in row)
    columns = {name: [row.get(name) for row in rows] for name in names}
    if "mean_ms" in columns:
        columns["latency_ms"] = columns.pop("mean_ms")
    columns["place"] = [f"{sheet.file}:{row.line}" for row in sheet.rows]
    return _of_rows(Observations(rows=rows_of(columns), scope="server", provenance=options.provenance(tool="")))


def _numbers(sheet: Sheet, row: Row, problems: list[Problem]) -> dict[str, Any]:
    """The row's cells that hold something; numbers where the column holds numbers."""
    found: dict[str, Any] = {}
    for column, cell in row.cells.items():
        name, text = column.strip(), cell.strip()
        if not text or not name:
            continue
        if name in _TEXTS or not (name in (*LOADS, "batch", *_WHOLE) or name.endswith(("_ms", "_rps"))):
            found[name] = text
            continue
        value = _number(text)
        least = 1 if name in _WHOLE or name in ("batch", "concurrency") else 0
        if value is None or value < least or (name in _WHOLE and not value.is_integer()):
            kind = "a whole number" if name in _WHOLE else "a number"
            rule = f"must be {kind} of at least {least}"
            problems.append(sheet.problem(row, column, rule, repr(text), "Mend the cell, or delete the row."))
            continue
        found[name] = int(value) if name in _WHOLE else value
    return found


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return None if value != value else value


def _single_requests(sheet: Sheet) -> list[Case]:
    """A case for each load in a file of single requests."""
    problems: list[Problem] = []
    loads: dict[tuple[float, float, float], list[tuple[float, float]]] = {}
    for row in sheet.rows:
        cells = {name: _cell(sheet, row, name, problems) for name in (*SINGLE, "items", *LOADS, "status")}
        due, latency = cells["scheduled_s"], cells["latency_ms"]
        if due is None or latency is None:
            continue
        answered = cells["status"] is None or 200 <= cells["status"] < 300
        key = (cells["rate_rps"] or 0.0, cells["concurrency"] or 0.0, cells["items"] or 1.0)
        loads.setdefault(key, []).append((due, latency if answered and latency > 0 else np.nan))
    if problems:
        raise InputError(problems)
    return [_of_requests(sheet, key, requests) for key, requests in loads.items()]


def _cell(sheet: Sheet, row: Row, name: str, problems: list[Problem]) -> float | None:
    text = row.cells.get(name, "").strip()
    value = _number(text)
    needed = name in SINGLE
    if (value is None and (text or needed)) or (value is not None and not 0 <= value < float("inf")):
        problems.append(sheet.problem(row, name, "must be a number of at least 0", repr(text), "Mend the cell."))
        return None
    return value


def _of_requests(sheet: Sheet, key: tuple[float, float, float], requests: Sequence[tuple[float, float]]) -> Case:
    rate, clients, items = key
    due_s, latency_ms = np.array(sorted(requests)).T
    answered = latency_ms[~np.isnan(latency_ms)]
    measured: Mapping[str, float] = {}
    if len(answered):
        quantiles = np.percentile(answered, (50, 90, 95, 99))
        names = ("p50_ms", "p90_ms", "p95_ms", "p99_ms")
        measured = {"mean_ms": float(answered.mean()), **dict(zip(names, quantiles.tolist(), strict=True))}
    span_s = max(float(due_s[-1] - due_s[0]), 1e-9)
    words = f"{clients:g} clients" if clients else f"{rate or (len(due_s) - 1) / span_s:.4g}/s replayed"
    return Case(
        load=words if items == 1 else f"{words} x {items:g}",
        place=sheet.file,
        items=int(items),
        concurrency=int(clients) or None,
        sent_s=None if clients else due_s - due_s[0],
        measured=measured,
    )
