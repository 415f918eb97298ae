"""Observations as the columns of a profile file, and back again: one column a quantity, one entry a row.

Columns are named with their units: ``latency_ms`` is the mean, ``p99_ms`` a percentile, ``compute_ms`` a part,
``ttft_p99_ms`` a percentile of the time to the first token. A row that lacks a quantity has null there; a quantity
that every row lacks has no column. An infinite rate is the word ``inf``, since JSON knows no such number.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields
from typing import Any, Final

from calibration.observation import PARTS, STATISTICS, Observation

_PLAIN: Final = tuple(
    field.name
    for field in fields(Observation)
    if field.name not in {"latency_ms", "parts_ms", "samples_ms", "notes"} and not field.name.endswith("_ms")
)
"""Fields that are columns of their own."""

_DEFAULTS: Final = {field.name: field.default for field in fields(Observation) if field.default is not MISSING}

_TOKEN_TIMES: Final = ("ttft", "tpot", "itl")

Columns = Mapping[str, Sequence[Any]]


def _statistic_column(statistic: str) -> str:
    return "latency_ms" if statistic == "mean" else f"{statistic}_ms"


def columns_of(rows: Sequence[Observation]) -> dict[str, list[Any]]:
    """Which columns hold these rows? ``batch`` always, others where a row has something to say.

    >>> columns_of([Observation(latency_ms={"mean": 5.0}), Observation(batch=4, latency_ms={"mean": 7.5, "p99": 9})])
    {'batch': [1, 4], 'latency_ms': [5, 7.5], 'p99_ms': [None, 9]}
    """
    columns: dict[str, list[Any]] = {}
    for name in _PLAIN:
        values = [_writable(getattr(row, name)) for row in rows]
        if name == "batch" or any(value != _DEFAULTS[name] for value in values):
            columns[name] = values
    for statistic in STATISTICS:
        _add(columns, _statistic_column(statistic), [_writable(row.latency_ms.get(statistic)) for row in rows])
    for part in PARTS:
        _add(columns, f"{part}_ms", [row.parts_ms.get(part) for row in rows])
    for kind in _TOKEN_TIMES:
        for statistic in STATISTICS:
            _add(columns, f"{kind}_{statistic}_ms", [getattr(row, f"{kind}_ms").get(statistic) for row in rows])
    _add(columns, "samples_ms", [list(row.samples_ms) or None for row in rows])
    _add(columns, "notes", [dict(row.notes) or None for row in rows])
    return columns


def rows_of(columns: Columns) -> tuple[Observation, ...]:
    """Which rows do these columns hold? The inverse of :func:`columns_of`; columns it does not know become notes.

    Raises
    ------
    ValueError
        When the columns are of unequal length.

    >>> rows_of({"batch": [2], "latency_ms": [5.0], "colour": ["red"]})[0].notes
    {'colour': 'red'}
    """
    lengths = {name: len(values) for name, values in columns.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"columns of unequal length: {lengths}")
    return tuple(_row({name: values[index] for name, values in columns.items()}) for index in range(_length(lengths)))


def _length(lengths: Mapping[str, int]) -> int:
    return next(iter(lengths.values()), 0)


def _row(cells: dict[str, Any]) -> Observation:
    given = {name: value for name, value in cells.items() if value is not None}
    values: dict[str, Any] = {name: given.pop(name) for name in _PLAIN if name in given}
    for name in ("batch", "rate_rps"):
        if name in values:
            values[name] = float(values[name])
    values["latency_ms"] = _taken(given, {_statistic_column(statistic): statistic for statistic in STATISTICS})
    values["parts_ms"] = _taken(given, {f"{part}_ms": part for part in PARTS})
    for kind in _TOKEN_TIMES:
        named = {f"{kind}_{statistic}_ms": statistic for statistic in STATISTICS}
        values[f"{kind}_ms"] = _taken(given, named)
    values["samples_ms"] = tuple(given.pop("samples_ms", ()))
    notes = given.pop("notes", {})
    values["notes"] = {**(notes if isinstance(notes, Mapping) else {"notes": notes}), **given}
    return Observation(**values)


def _taken(given: dict[str, Any], names: Mapping[str, str]) -> dict[str, float]:
    return {ours: given.pop(column) for column, ours in names.items() if column in given}


def _add(columns: dict[str, list[Any]], name: str, values: list[Any]) -> None:
    if any(value is not None for value in values):
        columns[name] = values


def _writable(value: Any) -> Any:
    if isinstance(value, float):
        if math.isinf(value):
            return "inf"
        return int(value) if value.is_integer() and abs(value) < 2**53 else value
    return value
