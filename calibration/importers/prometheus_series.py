"""Answers of Prometheus's ``query_range``, as series of numbers; those of several files are joined.

Shape: https://prometheus.io/docs/prometheus/latest/querying/api/. Values are texts, among them ``NaN`` and ``+Inf``,
which are left out: a sample that is missing is not 0.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from calibration.importers.json_content import read_json
from calibration.problems import InputError, Problem
from calibration.source import printable
from calibration.tree import shown

MOST_POINTS: Final = 11_000
"""Points that Prometheus gives of a series in one answer."""

MOST_PROBLEMS: Final = 20

PLAIN_QUERY: Final = "Query the metric itself, such as query=nv_inference_count: no rate(), no sum()."


@dataclass(frozen=True)
class Series:
    """One time series."""

    name: str
    """The metric."""
    labels: Mapping[str, str]
    """Its labels, without the name."""
    samples: Mapping[float, float]
    """Value by time in s, ascending; finite."""
    file: str
    """The (first) file it stands in."""


@dataclass(frozen=True)
class Answers:
    """What all files hold."""

    series: tuple[Series, ...]
    warnings: tuple[str, ...] = ()


def read_answers(files: Sequence[Path]) -> Answers:
    """Which series do these files hold? A range that was asked for in pieces is put together.

    Raises
    ------
    InputError
        With all problems of all files: an answer that is an error, another kind of result, values that are none.
    """
    problems: list[Problem] = []
    warnings: list[str] = []
    joined: dict[tuple[str, frozenset[tuple[str, str]]], Series] = {}
    for file in files:
        try:
            for series in _series(file, problems, warnings):
                key = (series.name, frozenset(series.labels.items()))
                before = joined.get(key)
                samples = dict(sorted({**(before.samples if before else {}), **series.samples}.items()))
                joined[key] = Series(series.name, series.labels, samples, (before or series).file)
        except InputError as error:
            problems += error.problems
    if problems:
        raise InputError(problems[:MOST_PROBLEMS])
    return Answers(tuple(joined.values()), tuple(dict.fromkeys(warnings)))


def _series(path: Path, problems: list[Problem], warnings: list[str]) -> Iterator[Series]:
    file = printable(path)
    content = read_json(path)
    result = _matrix(content, file)
    said = [text for key in ("warnings", "infos") for text in _texts(content.get(key))]
    warnings += [f"{file}: Prometheus said: {text}" for text in said]
    for index, entry in enumerate(result):
        at = f"data.result.{index}"
        metric = entry.get("metric") if isinstance(entry, dict) else None
        if not isinstance(metric, dict):
            problems.append(_problem(file, at, "must have a metric and values", shown(entry), PLAIN_QUERY))
            continue
        labels = {str(key): str(value) for key, value in metric.items()}
        name = labels.pop("__name__", "")
        if not name:
            rule = "must have a metric with a name: what rate() or sum() made has lost it"
            problems.append(_problem(file, f"{at}.metric", rule, shown(metric), PLAIN_QUERY))
            continue
        if "histograms" in entry:
            rule = f"must have values: native histograms of {name} cannot be read"
            problems.append(_problem(file, at, rule, None, "Query the classic buckets, sum and count."))
            continue
        values = entry.get("values")
        samples = _samples(file, f"{at}.values", values, problems)
        if isinstance(values, list) and len(values) >= MOST_POINTS:
            words = "no answer holds more: the range may have been cut. Ask for it in pieces, and name all files"
            warnings.append(f"{file}: {name} has {len(values):,} points: {words}")
        yield Series(name, labels, samples, file)


def _matrix(content: Any, file: str) -> list[Any]:
    """The list of series of an answer.

    Raises
    ------
    InputError
        The answer is an error, or holds something else.
    """
    if not isinstance(content, dict) or not ("status" in content or "data" in content):
        rule = "must be an answer of Prometheus, with its status and data"
        raise InputError([_problem(file, "", rule, shown(content), "Save what /api/v1/query_range answers.")])
    if content.get("status", "success") != "success":
        words = ": ".join(str(content[key]) for key in ("errorType", "error") if content.get(key))
        rule = "must be a successful answer"
        value = words or shown(content.get("status"))
        raise InputError([_problem(file, "status", rule, value, "Mend the query, and save its answer again.")])
    data = content.get("data")
    kind = data.get("resultType") if isinstance(data, dict) else None
    if not isinstance(data, dict) or kind != "matrix":
        rule = "must be matrix, the result of query_range"
        remedy = "Use /api/v1/query_range with start, end and step, not /api/v1/query."
        raise InputError([_problem(file, "data.resultType", rule, shown(kind), remedy)])
    result = data.get("result")
    if not isinstance(result, list) or not result:
        rule, remedy = "must hold a series", "No such metric was scraped in that range: check its name and labels."
        raise InputError([_problem(file, "data.result", rule, shown(result), remedy)])
    return result


def _samples(file: str, path: str, values: Any, problems: list[Problem]) -> dict[float, float]:
    samples: dict[float, float] = {}
    if not isinstance(values, list):
        problems.append(_problem(file, path, "must be a list of times and values", shown(values), PLAIN_QUERY))
        return samples
    for index, pair in enumerate(values):
        try:
            time, text = pair
            at, value = float(time), float(text)
        except (TypeError, ValueError):
            rule, remedy = 'must be a time and a value, such as [1763770000, "0.5"]', "Save the answer again."
            problems.append(_problem(file, f"{path}.{index}", rule, shown(pair), remedy))
            continue
        if math.isfinite(value) and math.isfinite(at):
            samples[at] = value
    return dict(sorted(samples.items()))


def _texts(value: Any) -> list[str]:
    return [str(text) for text in value] if isinstance(value, list) else []


def _problem(file: str, path: str, rule: str, value: str | None, remedy: str) -> Problem:
    return Problem(file, None, None, path, rule, value, remedy)
