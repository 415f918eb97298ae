"""What can be taken away: tables as CSV, reports as JSON and Markdown, figures as one page of HTML."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from presentation.answer import answer_of, verdict
from presentation.numbers import ms, usd
from simulator.outcome import Report, report_to_json
from simulator.render import report_text
from simulator.wording import percent

if TYPE_CHECKING:
    from plotly.graph_objects import Figure


def report_json(report: Report) -> str:
    """The object that ``simulate --json`` prints."""
    return json.dumps(report_to_json(report), indent=2, allow_nan=False) + "\n"


def report_csv(report: Report) -> str:
    """Every number of the report, a row each: part, name, figure, value; what is not known is blank."""
    document = report_to_json(report)
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["part", "name", "figure", "value"])
    for part in ("workloads", "fleets"):
        for name, values in document[part].items():
            writer.writerows([part, name, key, "" if value is None else value] for key, value in _flat(values))
    for key, value in _flat(document["cost"]):
        writer.writerow(["cost", "", key, "" if value is None else value])
    return out.getvalue()


def rows_csv(rows: Sequence[Mapping[str, Any]]) -> str:
    """A table as CSV; the columns are the keys of its first row."""
    out = io.StringIO()
    if rows:
        writer = csv.DictWriter(out, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return out.getvalue()


def report_markdown(report: Report, *, note: str = "", command: str = "") -> str:
    """The report for a wiki or a pull request: the verdicts, the bill, a table of latencies, what to beware of."""
    lines = [f"# {report.scenario}", ""]
    lines += [f"- {verdict(report, one.name)}" for one in report.workloads]
    cost = report.cost
    lines += [f"- {usd(cost.usd_per_hour)} an hour, {usd(cost.usd_per_month)} a month (730 h), "
              f"{usd(cost.usd_per_1k_requests)} per 1,000 requests", ""]  # fmt: skip
    lines.append("| workload | mean | p50 | p95 | p99 | 95% interval of the p99 | within the SLO |")
    lines.append("|---|---|---|---|---|---|---|")
    for one in report.workloads:
        told = one.latency_ms
        figures = ["–"] * 4 if told is None else [ms(value) for value in (told.mean, told.p50, told.p95, told.p99)]
        interval = (one.ci95 or {}).get("p99_ms")
        held = answer_of(report, one.name).attainment
        between = "–" if interval is None else f"{ms(interval[0])} to {ms(interval[1])}"
        cells = [one.name, *figures, between, "–" if held is None else percent(held)]
        lines.append(f"| {' | '.join(cells)} |")
    if report.bottleneck:
        lines += ["", report.bottleneck]
    lines += ["", *(f"> {caution.text}" for caution in report.cautions)]
    lines += ["", "## The whole report", "", "```text", report_text(report).rstrip("\n"), "```"]
    lines += ["", note] if note else []
    lines += ["", f"The same by the command line: `{command}`"] if command else []
    return "\n".join(lines) + "\n"


def comparison_markdown(rows: Sequence[Mapping[str, str]], sentences: Mapping[str, Sequence[str]]) -> str:
    """A comparison as a Markdown table, and the reasons below it.

    >>> print(comparison_markdown([{"figure": "p99", "A": "40 ms"}], {"B": ["It is slower."]}), end="")
    | figure | A |
    |---|---|
    | p99 | 40 ms |
    <BLANKLINE>
    ## B
    <BLANKLINE>
    - It is slower.
    """
    heads = list(rows[0])
    lines = [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
    lines += [f"| {' | '.join(row.values())} |" for row in rows]
    for name, told in sentences.items():
        lines += ["", f"## {name}", "", *(f"- {line}" for line in told)]
    return "\n".join(lines) + "\n"


def figures_html(title: str, figures: Mapping[str, Figure]) -> str:
    """All figures as one page that needs no network: plotly's code is in it."""
    from html import escape

    parts = [
        f"<section><h2>{escape(name)}</h2>"
        f"{figure.to_html(full_html=False, include_plotlyjs=index == 0, config={'displaylogo': False})}</section>"
        for index, (name, figure) in enumerate(figures.items())
    ]
    style = "body{font-family:sans-serif;max-width:1000px;margin:2em auto;padding:0 1em}"
    head = f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(title)}</title><style>{style}</style>'
    return f"{head}<h1>{escape(title)}</h1>{''.join(parts)}</html>\n"


def _flat(values: Mapping[str, Any], path: str = "") -> list[tuple[str, Any]]:
    """Nested values by dotted key.

    >>> _flat({"slo": {"met": True}, "ci": [1, 2]})
    [('slo.met', True), ('ci.0', 1), ('ci.1', 2)]
    """
    found: list[tuple[str, Any]] = []
    for key, value in values.items():
        dotted = f"{path}.{key}" if path else str(key)
        if isinstance(value, Mapping):
            found += _flat(value, dotted)
        elif isinstance(value, list):
            found += _flat(dict(enumerate(value)), dotted)  # type: ignore[arg-type]
        else:
            found.append((dotted, value))
    return found
