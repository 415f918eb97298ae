"""One CSV file of perf_analyzer (``-f``): a row for each concurrency or request rate, in whole microseconds.

Columns: triton-inference-server/perf_analyzer, src/report_writer.cc. Servers other than Triton have no ``Server ...``
columns; perf_client of 2020 and before had one column ``Server Compute`` for what are three today.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from calibration.csv_sheet import Row
from calibration.importers.columns import NOTHING, Table, as_number, read_table
from calibration.importers.options import ImportOptions
from calibration.importers.part import Part
from calibration.importers.quantiles import percentile_name
from calibration.observation import Observation
from calibration.problems import InputError, Problem
from calibration.source import printable

US_PER_MS: Final = 1000.0

CONCURRENCY: Final = "Concurrency"
RATE: Final = "Request Rate"
THROUGHPUT: Final = "Inferences/Second"
MEAN: Final = "Avg latency"
NETWORK: Final = "Network+Server Send/Recv"

PART_OF: Final[Mapping[str, str]] = {
    "Client Send": "send",
    NETWORK: "network",
    "Server Queue": "queue",
    "Server Compute Input": "input",
    "Server Compute Infer": "compute",
    "Server Compute": "compute",
    "Server Compute Output": "output",
    "Client Recv": "receive",
}
"""Column to part of a request's life."""

_CACHE: Final = ("Server Cache Hit", "Server Cache Miss")
"""Parts of the latency that are neither queue nor compute; kept as notes."""

_UTILISATION, _POWER, _MEMORY = "Avg GPU Utilization", "Avg GPU Power Usage", "Max GPU Memory Usage"
_NOTES: Final = (*_CACHE, "Response Throughput", "request/response", "response wait", "Total GPU Memory")
_KNOWN: Final = (CONCURRENCY, RATE, THROUGHPUT, MEAN, *PART_OF, *_NOTES, _UTILISATION, _POWER, _MEMORY)
_PERCENTILE: Final = re.compile(r"p(\d+(?:\.\d+)?) latency", re.IGNORECASE)


def read_one(path: Path, batch: int, options: ImportOptions) -> Part:
    """What does one CSV file hold?

    Parameters
    ----------
    path
        The file.
    batch
        Items in each of its requests.
    options
        ``allow_incomplete`` leaves out rows in which no request was answered.

    Raises
    ------
    InputError
        With all problems of the file.
    """
    _refuse_member_of_ensemble(path)
    table = read_table(path, "perf_analyzer")
    table.require([(CONCURRENCY, RATE), THROUGHPUT], "perf_analyzer -f")
    percentiles = {column: match[1] for column in table.columns if (match := _PERCENTILE.fullmatch(column))}
    unknown = table.others([*_KNOWN, *percentiles])
    unnamed = [column for column, percent in percentiles.items() if percentile_name(percent) is None]
    rows: list[Observation] = []
    for row in table.rows:
        throughput = table.needed(row, THROUGHPUT)
        if throughput == 0:
            if not options.allow_incomplete:
                remedy = "Measure longer (--measurement-interval), or leave such rows out with --allow-incomplete."
                table.problem(row, THROUGHPUT, "must be greater than 0", "0: no request was answered", remedy)
            continue
        rows.append(_observation(table, row, batch, throughput, percentiles, (*_NOTES, *unknown, *unnamed)))
    table.stop_at_problems()
    if not rows:
        rule, remedy = "must hold a row in which requests were answered", "Measure longer."
        raise InputError([Problem(table.sheet.file, None, None, "", rule, None, remedy)])
    warnings = [*_about_means(table, rows), *_about_network(table), *_about_gpus(table)]
    found = {"server": "Triton"} if table.has("Server Queue") else {}
    return Part(rows=tuple(rows), warnings=tuple(warnings), unknown=unknown, found=found)


def _observation(
    table: Table,
    row: Row,
    batch: int,
    throughput: float | None,
    percentiles: Mapping[str, str],
    notes: Sequence[str],
) -> Observation:
    latency = {
        name: value / US_PER_MS
        for column, percent in percentiles.items()
        if (name := percentile_name(percent)) is not None and (value := table.number(row, column, above=0)) is not None
    }
    parts = {
        part: value / US_PER_MS for column, part in PART_OF.items() if (value := table.number(row, column)) is not None
    }
    if parts.get("network") == 0:
        del parts["network"]
    mean = table.number(row, MEAN, above=0)
    mean_ms = _sum_of_parts(table, row, parts) if mean is None else mean / US_PER_MS
    gpus = {column: _gpus(table, row, column) for column in (_UTILISATION, _POWER, _MEMORY)}
    load = CONCURRENCY if table.has(CONCURRENCY) else RATE
    asked = table.needed(row, load, above=0)
    return Observation(
        batch=float(batch),
        concurrency=asked if load == CONCURRENCY else None,
        rate_rps=asked if load == RATE else None,
        throughput_rps=None if throughput is None else throughput / batch,
        latency_ms=latency if mean_ms is None else {"mean": mean_ms, **latency},
        parts_ms=parts,
        utilisation=_mean(gpus[_UTILISATION]),
        power_w=_mean(gpus[_POWER]),
        memory_bytes=max(gpus[_MEMORY].values(), default=None),
        notes=table.notes(row, notes) | {name: values for name, values in gpus.items() if len(values) > 1},
        place=table.place(row),
    )


def _sum_of_parts(table: Table, row: Row, parts: Mapping[str, float]) -> float | None:
    """Mean latency where the file leaves it out: perf_analyzer's parts add up to it, but for rounding down."""
    if not {"send", "network", "queue", "compute", "receive"} <= set(parts):
        return None
    cached = [table.number(row, column) or 0.0 for column in _CACHE]
    return sum(parts.values()) + sum(cached) / US_PER_MS


def _gpus(table: Table, row: Row, column: str) -> dict[str, float]:
    """Values by GPU of a cell such as ``GPU-1:0.41;GPU-2:0.43;``."""
    found: dict[str, float] = {}
    for entry in filter(None, (table.text(row, column) or "").split(";")):
        name, colon, text = entry.rpartition(":")
        if colon and text.strip().lower() in NOTHING:
            continue
        value = as_number(text)
        if not colon or value is None or value < 0:
            rule, remedy = "must be GPU:value; for each GPU", "Mend the cell, or delete the column."
            table.problem(row, column, rule, entry, remedy)
        else:
            found[name.strip()] = value
    return found


def _mean(values: Mapping[str, float]) -> float | None:
    return sum(values.values()) / len(values) if values else None


def _about_means(table: Table, rows: Sequence[Observation]) -> list[str]:
    without = [row for row in rows if "mean" not in row.latency_ms]
    told = table.has(MEAN)
    if not told and not without:
        return [f"the file has no column '{MEAN}': the mean latency is the sum of its parts"]
    if without and not told:
        return ["the file has no mean latency and not all parts of it: its median stands for the mean"]
    return [f"no mean latency in {len(without)} of {len(rows)} rows"] if without else []


def _about_network(table: Table) -> list[str]:
    zeros = [row for row in table.rows if table.text(row, NETWORK) == "0"]
    if not zeros:
        return []
    words = "perf_analyzer writes 0 where the server's times exceed the client's, in too short a measurement"
    return [f"'{NETWORK}' is 0 in {len(zeros)} of {len(table.rows)} rows and left out there: {words}"]


def _about_gpus(table: Table) -> list[str]:
    most = max((len(_gpus(table, row, _UTILISATION)) for row in table.rows), default=0)
    if most < 2:
        return []
    return [f"{most} GPUs: utilisation and power are means over them, the memory is that of the fullest"]


def _refuse_member_of_ensemble(path: Path) -> None:
    """Refuse the file that perf_analyzer writes for a member of an ensemble, whose header runs into its first row."""
    with open(path, encoding="utf-8", errors="replace") as stream:
        header = stream.readline()
    if re.search(r"Client Recv\d", header):
        rule = "is perf_analyzer's file of one member of an ensemble, which holds no latencies that a client saw"
        raise InputError(
            [Problem(printable(path), 1, None, "", rule, None, "Name the file of the ensemble, the argument of -f.")]
        )
