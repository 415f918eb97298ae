"""What was just measured, as a page for people: a line for each batch size, the cold start, and every doubt."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from calibration.observation import PARTS, Observation, Observations
from calibration.origin import subject
from calibration.page import Heading, in_bytes, paragraph, per_cent, significant, table
from calibration.profile_file import ProfileFile

_STAGES: Final = {
    "process_start_s": "process",
    "import_s": "import",
    "load_s": "load",
    "first_inference_s": "first inference",
    "warm_up_s": "warm-up",
}

Cell = Callable[[Observation], str | None]


def measured_lines(observations: Observations, file: ProfileFile) -> list[str]:
    """How fast was it, and how far is that to be trusted?

    Parameters
    ----------
    observations
        What was measured.
    file
        The profile that was made of it.
    """
    lines: list[str] = [*map(Heading, paragraph(subject(file)))]
    lines += _table(observations.rows, _EXECUTIONS)
    if any(_shaky(row) for row in observations.rows):
        lines += paragraph("~ of too few executions to have any beyond it")
    if file.cold_start is not None:
        lines += paragraph(cold_start_line(file.cold_start))
    return [*lines, *_warning_lines(observations, file)]


def served_lines(observations: Observations, file: ProfileFile) -> list[str]:
    """How fast were the answers of a served model, and how far is that to be trusted?"""
    lines: list[str] = [*map(Heading, paragraph(subject(file)))]
    lines += _table(observations.rows, _ANSWERS)
    return [*lines, *_warning_lines(observations, file)]


def _warning_lines(observations: Observations, file: ProfileFile) -> list[str]:
    warnings = list(observations.warnings)
    if file.service_model is not None:
        warnings += file.service_model.warnings
    return [line for warning in dict.fromkeys(warnings) for line in paragraph(warning, mark="! ")]


def cold_start_line(cold_start: Mapping[str, Any]) -> str:
    """How long does it take from nothing to full speed? In one line.

    >>> times = {"process_start_s": 0.1, "import_s": 2.0, "load_s": 1.0, "first_inference_s": 0.5, "warm_up_s": 0.4}
    >>> cold_start_line({**times, "total_s": 4.0, "batch": 1, "runs": {"total_s": [4.0]}})
    'cold start 4.00 s: process 0.100, import 2.00, load 1.00, first inference 0.500, warm-up 0.400'
    """
    parts = ", ".join(f"{words} {significant(cold_start[stage])}" for stage, words in _STAGES.items())
    starts = len(cold_start["runs"]["total_s"])
    median = f" (medians of {starts} starts)" if starts > 1 else ""
    return f"cold start {significant(cold_start['total_s'])} s: {parts}{median}"


def _statistic(name: str, of: str = "latency_ms") -> Cell:
    def cell(row: Observation) -> str | None:
        value = getattr(row, of).get(name)
        return None if value is None else significant(value)

    return cell


def _part(part: str) -> Cell:
    return lambda row: significant(row.parts_ms[part]) if part in row.parts_ms else None


def _shaky(row: Observation) -> bool:
    return "p99" in row.notes.get("too_few_executions_for", ())


def _load(row: Observation) -> str:
    if row.rate_rps is not None:
        return f"{row.rate_rps:g}/s"
    return "" if row.concurrency is None else f"{row.concurrency:g} at a time"


_EXECUTIONS: Final[Mapping[str, Cell]] = {
    "batch": lambda row: f"{row.batch:g}",
    "median ms": _statistic("p50"),
    "IQR": lambda row: per_cent((row.latency_ms["p75"] - row.latency_ms["p25"]) / row.latency_ms["p50"]),
    "p90": _statistic("p90"),
    "p99": lambda row: ("~" if _shaky(row) else "") + significant(row.latency_ms["p99"]),
    "items/s": lambda row: significant(1000 * row.batch / row.latency_ms["mean"]),
    **{part: _part(part) for part in PARTS},
    "memory": lambda row: None if row.memory_bytes is None else in_bytes(row.memory_bytes),
    "busy": lambda row: None if row.utilisation is None else per_cent(row.utilisation),
    "W": lambda row: None if row.power_w is None else significant(row.power_w),
    "J/item": lambda row: None if row.energy_j is None else significant(row.energy_j / row.batch),
    "": lambda row: "unstable" if row.notes.get("unstable") else None,
}
"""Columns for executions on a device."""

_ANSWERS: Final[Mapping[str, Cell]] = {
    "load": _load,
    "items": lambda row: f"{row.batch:.3g}",
    "answers/s": lambda row: None if row.throughput_rps is None else significant(row.throughput_rps),
    "p50 ms": _statistic("p50"),
    "p90": _statistic("p90"),
    "p99": _statistic("p99"),
    "TTFT p50": _statistic("p50", "ttft_ms"),
    "TTFT p99": _statistic("p99", "ttft_ms"),
    "TPOT p50": _statistic("p50", "tpot_ms"),
    "ITL p99": _statistic("p99", "itl_ms"),
    **{part: _part(part) for part in PARTS},
    "failed": lambda row: str(row.failed) if row.failed else None,
}
"""Columns for answers of a server."""


def _table(rows: Sequence[Observation], columns: Mapping[str, Cell]) -> list[str]:
    """One line a row; what no row tells has no column."""
    cells = {head: [cell(row) for row in rows] for head, cell in columns.items()}
    told = {head: column for head, column in cells.items() if any(one is not None for one in column)}
    lines = [tuple(told), *zip(*([one or "" for one in column] for column in told.values()), strict=True)]
    return table(lines, "".join("r" if head else "l" for head in told))
