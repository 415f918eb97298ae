"""AIPerf's other files, in the shape of its JSON summary: the CSV, the JSONL of requests, the aggregate of a sweep."""

from __future__ import annotations

import csv
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from calibration.importers.aiperf_metrics import METRICS, STATISTICS, TIME
from calibration.importers.json_fields import Document, Fields
from calibration.importers.quantiles import raw_quantiles, statistics_of
from calibration.problems import InputError, Problem
from calibration.source import printable
from calibration.tree import shown

NS_PER_MS: Final = 1e6

SAMPLES: Final = "samples_ms"
"""Key of a request latency's single values, which no tool writes."""

_NAME: Final = re.compile(r"^(?P<name>.*?)(?: \((?P<unit>[^()]*)\))?$")
_STATISTIC: Final = re.compile(rf"^(?P<tag>.+)_(?P<statistic>{'|'.join(STATISTICS.values())})$")


def is_csv(path: Path) -> bool:
    """Whether this is AIPerf's CSV; not where it cannot be read, which reading it as JSON will tell."""
    try:
        with open(path, encoding="utf-8-sig", errors="replace") as lines:
            return lines.readline().lstrip().lower().startswith("metric,")
    except OSError:
        return False


def from_csv(path: Path) -> Document:
    """The summary in a CSV: a table of statistics, a blank line, a table of single values, perhaps one of GPUs.

    Raises
    ------
    InputError
        With every cell that is no number.
    """
    file = printable(path)
    metrics: dict[str, dict[str, Any]] = {}
    lines: dict[str, int] = {}
    problems: list[Problem] = []
    header: list[str] = []
    with open(path, encoding="utf-8-sig", newline="", errors="replace") as stream:
        reader = csv.reader(stream)
        for record in reader:
            cells = [cell.strip() for cell in record]
            if cells[:1] == ["Metric"] or cells[:1] == ["Endpoint"]:
                header = cells
            elif any(cells) and header[:1] == ["Metric"]:
                tag, unit = _tag_and_unit(cells[0])
                lines[tag] = reader.line_num
                values, wrong = _numbers(header[1:], cells[1:])
                metrics[tag] = {"unit": unit, **values}
                rule, remedy = "must be a number", "Import the file as AIPerf wrote it."
                problems += [
                    Problem(file, reader.line_num, None, name, rule, repr(cell), remedy) for name, cell in wrong
                ]
    if problems:
        raise InputError(problems)
    return Document(file, metrics, "", lines=lines)


def _tag_and_unit(name: str) -> tuple[str, str | None]:
    """``Request Latency (ms)`` as its tag and its unit; a count has none.

    >>> _tag_and_unit("Time to First Token (ms)"), _tag_and_unit("Request Count")
    (('time_to_first_token', 'ms'), ('request_count', None))
    """
    match = _NAME.match(name)
    words = match["name"] if match is not None else name
    return words.strip().lower().replace(" ", "_"), match["unit"] if match is not None else None


def _numbers(names: Sequence[str], cells: Sequence[str]) -> tuple[dict[str, float], list[tuple[str, str]]]:
    """Numbers by their statistic, and the cells that are none."""
    values: dict[str, float] = {}
    wrong: list[tuple[str, str]] = []
    for name, cell in zip(names, cells, strict=False):
        try:
            if cell:
                values["avg" if name == "Value" else name] = float(cell)
        except ValueError:
            wrong.append((name, cell))
    return values, wrong


def is_record(document: Document) -> bool:
    """Whether this is a line of AIPerf's JSONL: one request."""
    return isinstance(document.content, dict) and {"metadata", "metrics"} <= document.content.keys()


def from_records(records: Sequence[Document]) -> Document:
    """The summary of the requests of one JSONL file, warm-up left out.

    The load is the mean number of requests outstanding: the sum of their times over the span they fill.
    """
    values: dict[str, list[float]] = defaultdict(list)
    units: dict[str, str] = {}
    whole = Document(records[0].file, {}, "")
    spans: list[tuple[float, float]] = []
    failed = 0
    for record in records:
        metadata = record.root.fields("metadata")
        if metadata.text("benchmark_phase") == "warmup":
            continue
        if "error" in record.root or metadata.content.get("was_cancelled"):
            failed += 1
            continue
        for tag, value, unit in _values(record.root.fields("metrics")):
            if units.setdefault(tag, unit) != unit:
                record.problem(f"metrics.{tag}.unit", f"must be {units[tag]} as in the lines before", repr(unit), "")
            values[tag].append(value)
        start, end = metadata.number("request_start_ns"), metadata.number("request_end_ns")
        spans += [(start / NS_PER_MS, end / NS_PER_MS)] if start is not None and end is not None else []
        whole.problems += record.located()
    content: dict[str, Any] = {tag: _metric(values[tag], units[tag]) for tag in values}
    latencies = [value * TIME.get(units["request_latency"], 1.0) for value in values.get("request_latency", ())]
    if latencies:
        content["request_latency"][SAMPLES] = raw_quantiles(latencies)
    content["error_request_count"] = {"unit": "requests", "avg": failed}
    content["request_count"] = {"unit": "requests", "avg": len(latencies) or len(spans)}
    span_ms = max((end for _, end in spans), default=0.0) - min((start for start, _ in spans), default=0.0)
    if span_ms > 0:
        content["request_throughput"] = {"unit": "requests/sec", "avg": 1000 * len(spans) / span_ms}
        outstanding = sum(end - start for start, end in spans) / span_ms
        content["input_config"] = {"loadgen": {"concurrency": outstanding}}
    return Document(whole.file, content, "", line=records[0].line, problems=whole.problems)


def _values(metrics: Fields) -> Iterator[tuple[str, float, str]]:
    for tag in METRICS:
        metric = metrics.fields(tag)
        value = metric.number("value")
        if value is not None:
            yield tag, value, str(metric.content.get("unit"))


def _metric(values: Sequence[float], unit: str) -> dict[str, Any]:
    found = statistics_of(values)
    return {"unit": unit, **{key: found[name] for name, key in STATISTICS.items() if name in found}}


def is_sweep(document: Document) -> bool:
    """Whether this is the aggregate of a sweep."""
    return isinstance(document.content, dict) and "per_combination_metrics" in document.content


def from_sweep(document: Document) -> Iterator[Document]:
    """A summary for each combination of a sweep's parameters; ``request_latency_avg`` is a statistic of a metric."""
    for index, combination in enumerate(document.root.each("per_combination_metrics")):
        content: dict[str, Any] = {}
        for name, cell in combination.fields("metrics").content.items():
            match = _STATISTIC.match(name)
            if match is None or not isinstance(cell, dict):
                continue
            metric = content.setdefault(match["tag"], {"unit": cell.get("unit")})
            if metric["unit"] != cell.get("unit"):
                combination.problem(
                    "metrics", f"must give all of {match['tag']} in one unit", shown(cell.get("unit")), ""
                )
            metric[match["statistic"]] = cell.get("mean")
        content["run_info"] = {"variation_values": combination.content.get("parameters")}
        content["input_config"] = document.content.get("metadata")
        yield Document(document.file, content, "", document.line, document.problems if index == 0 else [])
