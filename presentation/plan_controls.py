"""What a planner edits: candidates, limits, objectives and traffic of a plan file, each as changes as of ``--set``.

Only what was edited is changed, so that the command line that the app shows asks exactly what was asked here. What is
wrong is found by the door of plan files, with its own words.
"""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from presentation.controls import duration_text, scaled_load
from simulator.clock import ms_from_ns

if TYPE_CHECKING:
    from optimizer.plan_file import Question

USED: Final = "use"
NAME: Final = "candidate"
MACHINE: Final = "instance type"
PRICE: Final = "USD/hour"
MOST: Final = "most instances"
PROFILE: Final = "profile"
BATCHES: Final = "batch sizes"
WAITS: Final = "queue delays"
AT_ONCE: Final = "model instances"
STATED: Final = "stated requests/s"

COLUMNS: Final = (USED, NAME, MACHINE, PRICE, MOST, PROFILE, BATCHES, WAITS, AT_ONCE, STATED)
"""Of the table of candidates."""

_KEYS: Final = {
    MACHINE: "instance_type",
    PRICE: "usd_per_hour",
    MOST: "max_instances",
    PROFILE: "profile",
    BATCHES: "batching.max_batch_size",
    WAITS: "batching.max_queue_delay",
    AT_ONCE: "model_instances",
    STATED: "capacity_rps",
}
"""Key of a candidate by column."""

QUOTA: Final = "quota"
TOGETHER: Final = "candidates"

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Asked:
    """Where the controls of one workload stand."""

    load_percent: int
    """Of the file's own traffic."""
    slo_ms: Mapping[str, float]
    """Targets by objective, ``p99`` and so on."""


@dataclass(frozen=True)
class Limits:
    """Where the controls of the plan's limits stand."""

    max_usd_per_hour: float | None
    survive: str
    time_limit_s: float


def asked_of(question: Question) -> dict[str, Asked]:
    """Where do the controls of each workload stand for the file as it is?"""
    return {
        name: Asked(100, {key: ms_from_ns(ns) for key, ns in workload.slo.targets_ns.items()})
        for name, workload in question.workloads.items()
    }


def limits_of(question: Question) -> Limits:
    """Where do the controls of the limits stand for the file as it is?"""
    spec = question.file.plan
    return Limits(spec.max_usd_per_hour, spec.survive, ms_from_ns(spec.time_limit_ns) / 1000)


def asked_changes(question: Question, moved: Mapping[str, Asked]) -> tuple[str, ...]:
    """Which ``path.to.key=value`` texts say what was moved of the workloads?"""
    said = []
    for name, own in asked_of(question).items():
        now = moved[name]
        if now.load_percent != own.load_percent:
            key, value = scaled_load(question.workloads[name].arrivals, now.load_percent / 100)
            said.append(f"workloads.{name}.arrivals.{key}={value}")
        said += [
            f"workloads.{name}.slo.{key}={duration_text(ms)}" for key, ms in now.slo_ms.items() if ms != own.slo_ms[key]
        ]
    return tuple(said)


def limit_changes(question: Question, moved: Limits) -> tuple[str, ...]:
    """The same of the limits."""
    own = limits_of(question)
    said = []
    if moved.max_usd_per_hour != own.max_usd_per_hour:
        said.append(f"plan.max_usd_per_hour={_yaml(moved.max_usd_per_hour)}")
    if moved.survive != own.survive:
        said.append(f"plan.survive={moved.survive}")
    if moved.time_limit_s != own.time_limit_s:
        said.append(f"plan.time_limit={moved.time_limit_s:.10g}s")
    return tuple(said)


def candidate_rows(values: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The candidates of a plan file as a table, lists as text.

    Parameters
    ----------
    values
        What the file says, as plain values.
    """
    listed = _section(values).get("candidates")
    return [_row(one) for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []


def filled_rows(values: Mapping[str, Any]) -> list[dict[str, str]]:
    """The same to read: columns that say something, empty cells as dashes."""
    rows = candidate_rows(values)
    kept = [column for column in COLUMNS[1:] if any(row[column] is not None for row in rows)]
    return [{column: "–" if row[column] is None else _written(row[column]) for column in kept} for row in rows]


def _row(candidate: Mapping[str, Any]) -> dict[str, Any]:
    row: dict[str, Any] = {USED: True, NAME: candidate.get("name")}
    for column, key in _KEYS.items():
        value: Any = candidate
        for part in key.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
        # A price is a fraction, or a table of whole dollars would take no cents.
        numeric = isinstance(value, int | float) and column in (PRICE, MOST)
        row[column] = float(value) if numeric and column == PRICE else value if numeric else _text(value)
    by_workload = candidate.get("profiles")
    if row[PROFILE] is None and by_workload:
        row[PROFILE] = _text(by_workload)
    return row


def quota_rows(values: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Limits over several candidates, as a table."""
    quotas = _section(values).get("quotas")
    return [
        {QUOTA: name, TOGETHER: _text(quota.get("candidates")), MOST: quota.get("max_instances")}
        for name, quota in (quotas if isinstance(quotas, dict) else {}).items()
        if isinstance(quota, dict)
    ]


def candidate_changes(values: Mapping[str, Any], rows: Sequence[Row]) -> tuple[str, ...]:
    """Which ``path.to.key=value`` texts say how the table of candidates was edited?

    Cells that were changed are changed one by one; where a candidate came, went or got another name the whole list is.
    """
    before = candidate_rows(values)
    now = [row for row in rows if row.get(USED) is not False and any(_cell(row, column) for column in COLUMNS[1:])]
    if [row[NAME] for row in before] == [_cell(row, NAME) for row in now]:
        return tuple(
            f"plan.candidates.{old[NAME]}.{key}={_yaml(value)}"
            for old, new in zip(before, now, strict=True)
            for key, value in _edits(old, new)
        )
    own = {one.get("name"): one for one in _section(values).get("candidates", []) if isinstance(one, dict)}
    known = {row[NAME]: row for row in before}
    nothing: dict[str, Any] = _row({})
    listed = []
    for row in now:
        name = _cell(row, NAME)
        candidate = json.loads(json.dumps(own.get(name, {"name": name}), default=str))
        for key, value in _edits(known.get(name, nothing), row):
            _place(candidate, key, value)
        listed.append(candidate)
    return (f"plan.candidates={_yaml(listed)}",)


def quota_changes(values: Mapping[str, Any], rows: Sequence[Row]) -> tuple[str, ...]:
    """The same of the limits over several candidates; the section is changed as a whole."""
    before = {row[QUOTA]: (row[TOGETHER], row[MOST]) for row in quota_rows(values)}
    filled = [row for row in rows if any(_cell(row, column) is not None for column in (QUOTA, TOGETHER, MOST))]
    now = {_cell(row, QUOTA) or "": (_cell(row, TOGETHER), _cell(row, MOST)) for row in filled}
    if now == before:
        return ()
    quotas = {name: {"candidates": _list(together), "max_instances": most} for name, (together, most) in now.items()}
    return (f"plan.quotas={_yaml(quotas)}",)


def command(file: str, overrides: Sequence[str]) -> str:
    """The command line that asks the same.

    >>> command("scenarios/plan_mix.yaml", ["plan.survive=instance"])
    'optimize scenarios/plan_mix.yaml --set plan.survive=instance'
    """
    return " ".join(["optimize", shlex.quote(file), *(f"--set {shlex.quote(one)}" for one in overrides)])


def _edits(old: Row, new: Row) -> Iterator[tuple[str, Any]]:
    """Key within the candidate, and its new value, of every cell that was changed."""
    for column, key in _KEYS.items():
        before, now = _cell(old, column), _cell(new, column)
        if before == now:
            continue
        if column in (BATCHES, WAITS) and not _cell(old, BATCHES) and not _cell(old, WAITS):
            yield "batching.policy", "dynamic"
        if column == PROFILE:
            yield from _profile_edits(before, now)
        elif column in (BATCHES, WAITS, AT_ONCE) and now is not None:
            listed = _list(now)
            yield key, listed[0] if len(listed) == 1 else listed
        elif column == STATED and now is not None:
            yield key, _by_workload(str(now))
        else:
            yield key, now


def _profile_edits(before: str | None, now: str | None) -> Iterator[tuple[str, Any]]:
    """One profile for all workloads, or one a workload; the other key goes."""
    each_before, each_now = ":" in (before or ""), ":" in (now or "")
    if before is not None and each_before != each_now:
        yield "profiles" if each_before else "profile", None
    if now is not None or not each_before:
        yield "profiles" if each_now else "profile", _by_workload(now) if each_now and now else now


def _by_workload(text: str) -> Any:
    """``short: 5, long: 2`` as a mapping; what is none stays what it is, for the door to refuse."""
    return _read(f"{{{text.strip('{}')}}}" if ":" in text else text)


def _written(value: Any) -> str:
    return f"{value:.10g}" if isinstance(value, float) else str(value)


def _cell(row: Row, column: str) -> Any:
    """What stands in a cell; None for nothing, however the table says it."""
    value = row.get(column)
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, str):
        return value.strip() or None
    number = float(value)
    return int(number) if number.is_integer() else number


def _place(candidate: dict[str, Any], key: str, value: Any) -> None:
    """Put a value where its dotted key says; nothing takes the key away."""
    *path, last = key.split(".")
    for part in path:
        candidate = candidate.setdefault(part, {})
    if value is None:
        candidate.pop(last, None)
    else:
        candidate[last] = value


def _section(values: Mapping[str, Any]) -> Mapping[str, Any]:
    plan = values.get("plan")
    return plan if isinstance(plan, dict) else {}


def _text(value: Any) -> str | None:
    """A value of the file as a cell shows it.

    >>> _text([4, 16]), _text("5ms"), _text({"short": 5}), _text(None)
    ('4, 16', '5ms', 'short: 5', None)
    """
    if value is None:
        return None
    if isinstance(value, list | tuple):
        return ", ".join(str(one) for one in value)
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {one}" for key, one in value.items())
    return str(value)


def _list(text: Any) -> list[Any]:
    """What a cell lists.

    >>> _list("4, 16"), _list("0ms, 5ms"), _list(None)
    ([4, 16], ['0ms', '5ms'], [])
    """
    return [] if text is None else [_read(part.strip()) for part in str(text).strip("[]").split(",") if part.strip()]


def _read(text: str) -> Any:
    """A value as YAML reads it; what it cannot read stays text, for the door to refuse."""
    from calibration.problems import InputError
    from calibration.yaml_text import parse_yaml

    try:
        return parse_yaml(text, "<table>").content
    except InputError:
        return text


def _yaml(value: Any) -> str:
    """A value as ``--set`` takes it: JSON, which YAML reads; plain words without quotes.

    >>> _yaml([4, 16]), _yaml("5ms"), _yaml(None), _yaml(2.5)
    ('[4, 16]', '5ms', 'null', '2.5')
    """
    if isinstance(value, str) and value and all(sign.isalnum() or sign in "._-" for sign in value):
        return value
    return f"{value:.10g}" if isinstance(value, float) else json.dumps(value, ensure_ascii=False)
