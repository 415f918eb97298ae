"""The result of a validation as a page for people, and as an object for programs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

from calibration.origin import subject
from calibration.page import Heading, paragraph, per_cent, significant, table
from simulator.outcome import SCHEMA_VERSION
from simulator.validate import Compared, Summary, Validation
from simulator.validation_cases import JUDGED, KEYS, Case
from simulator.validation_scenario import Setting

_TITLES: Final[Mapping[str, str]] = {
    "throughput": "requests/s",
    "batch": "mean batch",
    **{name: f"{name} ms" for name in ("mean", "p50", "p90", "p95", "p99")},
}

_COLUMNS: Final = ("measured", "simulated", "error")
_MOST_LISTED: Final = 10
_MOST_SERVERS: Final = 3


def validation_lines(validation: Validation, within: Mapping[str, float] | None = None) -> list[str]:
    """Lay out what was measured and simulated, load by load, and what the errors amount to.

    Parameters
    ----------
    validation
        The result.
    within
        Errors that are allowed, by figure: whether they hold is said at the end.
    """
    return [
        *_about(validation),
        "",
        *_load_lines(validation),
        "",
        *_summary_lines(validation),
        *_gate_lines(validation, within or {}),
        *_left_out_lines(validation),
    ]


def _about(validation: Validation) -> list[str]:
    file, setting = validation.profile, validation.setting
    lines: list[str] = [Heading(f"{file.name}: {subject(file)}")]
    servers = list(dict.fromkeys(_server_words(row.case, setting) for row in validation.rows))
    for words in servers[:_MOST_SERVERS]:
        lines += paragraph(words)
    if len(servers) > _MOST_SERVERS:
        lines.append(f"and {len(servers) - _MOST_SERVERS} other settings")
    for warning in validation.warnings:
        lines += paragraph(warning, mark="! ")
    return lines


def _server_words(case: Case, setting: Setting) -> str:
    """How the server forms batches, in words."""
    if setting.base is not None:
        return f"Served as {setting.base.path or setting.base.name} says."
    server = setting.server.over(case.server)
    count = _instances(case, setting)
    instances = "one model instance" if count == 1 else f"{count} model instances on one accelerator"
    if server.max_batch_size is None:
        return f"Served one request at a time, since no largest batch is known (--max-batch-size), by {instances}."
    told = [f"batches of up to {server.max_batch_size}"]
    if server.preferred_batch_sizes:
        told.append(f"preferably {' or '.join(map(str, server.preferred_batch_sizes))}")
    told.append(f"delay {server.max_queue_delay_ms or 0:g} ms")
    return f"Served by the rule of {server.rule or 'triton'} ({', '.join(told)}), by {instances}."


def _instances(case: Case, setting: Setting) -> int:
    """Model instances of the server."""
    return setting.server.over(case.server).model_instances or 1


def _load_lines(validation: Validation) -> list[str]:
    """A line a load; the figure stands over its three columns."""
    names = _shown(validation)
    judged = set(map(id, validation.judged))
    several = len({_instances(row.case, validation.setting) for row in validation.rows}) > 1
    rows: list[list[str]] = [["load", "utilisation", *(column for _ in names for column in _COLUMNS)]]
    for row in validation.rows:
        mark = "" if id(row) in judged else "* "
        load = f"{row.case.load}, {_instances(row.case, validation.setting)} inst." if several else row.case.load
        rows.append([load, mark + ("overloaded" if row.unstable else f"{row.utilisation:.2f}")])
        for name in names:
            measured, simulated, error = (
                row.case.measured.get(KEYS[name]),
                row.simulated.get(KEYS[name]),
                row.error(name),
            )
            rows[-1] += ["" if value is None else significant(value) for value in (measured, simulated)]
            rows[-1].append("" if error is None else per_cent(error, signed=True))
    lines = table(rows, "lr" + "rrr" * len(names))
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    over = " " * (widths[0] + widths[1] + 2)
    for index, name in enumerate(names):
        over += f"  {_TITLES[name]:^{sum(widths[2 + 3 * index : 5 + 3 * index]) + 4}}"
    return [Heading(over.rstrip()), *lines]


def _shown(validation: Validation) -> list[str]:
    """Figures with columns: throughput, p50 and p99, the mean batch; the mean latency where a row has no median."""
    measured = [set(row.case.measured) for row in validation.rows]
    medians = all(KEYS["p50"] in keys for keys in measured)
    wanted = ["throughput", *([] if medians else ["mean"]), "p50", "p99", "batch"]
    return [name for name in wanted if any(KEYS[name] in keys for keys in measured)]


def _summary_lines(validation: Validation) -> list[str]:
    """A line a figure: the median of the absolute errors, the median error, the worst, and the noise floor."""
    if not validation.summaries():
        return ["No load is judged: each is busier than --up-to-utilisation allows, or overloaded."]
    rows = [["error over all loads" if len(validation.judged) == len(validation.rows) else "error over loads judged"]]
    rows[0] += ["median, unsigned", "median", "worst", "", "repeats"]
    for name, one in validation.summaries().items():
        error = one.worst.error(name) or 0.0
        cells = [per_cent(one.median), per_cent(one.bias, signed=True), per_cent(error, signed=True)]
        noise = "" if one.noise is None else f"+-{per_cent(one.noise)}"
        rows.append([_TITLES[name].removesuffix(" ms"), *cells, f"at {one.worst.case.load}", noise])
    if not any(row[-1] for row in rows[1:]):
        rows = [row[:-1] for row in rows]
    lines = table(rows, "lrrrll"[: len(rows[0])])
    left = len(validation.rows) - len(validation.judged)
    if left:
        busier = "" if math.isinf(validation.up_to) else f"busier than {validation.up_to:g} or "
        lines.append(f"* not judged: {left} of {len(validation.rows)} loads, {busier}overloaded")
    return lines


def _gate_lines(validation: Validation, within: Mapping[str, float]) -> list[str]:
    if not within:
        return []
    asked = ", ".join(f"{name} within {100 * most:g}%" for name, most in within.items())
    if validation.holds(within):
        return ["", f"Holds: {asked}."]
    told = [f"  {name} was measured at no load that is judged" for name in validation.unjudged(within)]
    told += [
        f"  {name} {per_cent(error, signed=True)} at {row.case.load}" for name, row, error in validation.missed(within)
    ]
    return ["", f"Does not hold: {asked}.", *_first(told)]


def _left_out_lines(validation: Validation) -> list[str]:
    told = [f"  {one.place or one.load}: {one.reason}" for one in validation.left_out]
    return ["", f"Left out, since they cannot be simulated: {len(told)}", *_first(told)] if told else []


def _first(lines: Sequence[str]) -> list[str]:
    """The first of many lines."""
    more = len(lines) - _MOST_LISTED
    return [*lines[:_MOST_LISTED], *([f"  and {more} more"] if more > 0 else [])]


def validation_object(validation: Validation, within: Mapping[str, float] | None = None) -> dict[str, Any]:
    """Give the result as plain dicts, lists, strings and numbers; errors are shares: 0.05 is 5 %."""
    missed = validation.missed(within or {})
    judged = set(map(id, validation.judged))
    return {
        "schema_version": SCHEMA_VERSION,
        "profile": validation.profile.name,
        "up_to_utilisation": validation.up_to if math.isfinite(validation.up_to) else None,
        "loads": [{**_load_object(row), "judged": id(row) in judged} for row in validation.rows],
        "errors": {name: _error_object(name, one) for name, one in validation.summaries().items()},
        "within": dict(within or {}),
        "holds": validation.holds(within) if within else None,
        "unjudged": validation.unjudged(within or {}),
        "missed": [{"figure": name, "load": row.case.load, "error": error} for name, row, error in missed],
        "left_out": [{"load": one.load, "place": one.place, "reason": one.reason} for one in validation.left_out],
        "warnings": list(validation.warnings),
    }


def _load_object(row: Compared) -> dict[str, Any]:
    case = row.case
    return {
        "load": case.load,
        "place": case.place,
        "concurrency": case.concurrency,
        "rate_rps": case.rate_rps,
        "replayed": case.sent_s is not None,
        "items_per_request": case.items,
        "utilisation": row.utilisation,
        "overloaded": row.unstable,
        "measured": dict(case.measured),
        "simulated": dict(row.simulated),
        "error": {name: error for name in JUDGED if (error := row.error(name)) is not None},
        "littles_law": case.littles_law,
    }


def _error_object(name: str, one: Summary) -> dict[str, Any]:
    return {
        "loads": one.loads,
        "median_absolute": one.median,
        "median": one.bias,
        "worst": one.worst.error(name),
        "worst_load": one.worst.case.load,
        "noise": one.noise,
    }
