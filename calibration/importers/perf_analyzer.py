"""Triton's perf_analyzer: its CSV (``-f``), its JSON (``--profile-export-file``), or a folder with a file a batch size.

The CSV is in whole microseconds, its rows sorted by throughput; ``Inferences/Second`` counts items, not requests. The
JSON (:mod:`calibration.importers.perf_analyzer_json`) holds every request, and tells more.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, NamedTuple

from calibration.importers.columns import unknown_columns
from calibration.importers.loads import about_load
from calibration.importers.options import ImportOptions, option_problem
from calibration.importers.perf_analyzer_csv import read_one as read_csv
from calibration.importers.perf_analyzer_json import read_one as read_json
from calibration.observation import Observation, Observations
from calibration.problems import InputError, Problem
from calibration.source import printable

TOOL: Final = "perf_analyzer"

_BATCH_IN_NAME: Final = re.compile(r"(?:^|[._-])b(\d+)\.(?:csv|json)$", re.IGNORECASE)


class _Input(NamedTuple):
    path: Path
    batch: int


def read(files: Sequence[Path], options: ImportOptions) -> Observations:
    """What did perf_analyzer measure?

    Parameters
    ----------
    files
        CSV or JSON files, told apart by what they hold; or folders with files named ``b<N>.csv`` or ``..._b<N>.csv``.
    options
        ``batches``: one for each file. Without any, a request is one item, which a warning says.

    Raises
    ------
    InputError
        With all problems of all files.
    """
    inputs, warnings = _inputs(files, options)
    rows: list[Observation] = []
    unknown: list[str] = []
    problems: list[Problem] = []
    found: dict[str, Any] = {}
    for one in inputs:
        try:
            part = (read_json if _is_json(one.path) else read_csv)(one.path, one.batch, options)
        except InputError as error:
            problems += error.problems
            continue
        rows += part.rows
        unknown += part.unknown
        warnings += part.warnings
        found.update(part.found)
    if problems:
        raise InputError(problems)
    return Observations(
        rows=tuple(replace(row, **_setting(options)) for row in sorted(rows, key=_by_load)),
        scope="server",
        provenance=options.provenance(**{"tool": TOOL, **found}),
        warnings=(*dict.fromkeys(warnings), *about_load(rows), *unknown_columns(unknown)),
    )


def _setting(options: ImportOptions) -> dict[str, Any]:
    said = {
        "model_instances": options.model_instances,
        "max_batch_size": options.max_batch_size,
        "prompt_tokens": options.prompt_tokens,
        "output_tokens": options.output_tokens,
    }
    return {name: value for name, value in said.items() if value is not None}


def _by_load(row: Observation) -> tuple[float, bool, float]:
    open_loop = row.rate_rps is not None
    return row.batch, open_loop, (row.rate_rps if open_loop else row.concurrency) or 0.0


def _is_json(path: Path) -> bool:
    with open(path, "rb") as stream:
        return stream.read(4096).lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{")


def _inputs(files: Sequence[Path], options: ImportOptions) -> tuple[list[_Input], list[str]]:
    """Each file with its batch, and what must be said about that."""
    folders = [file for file in files if file.is_dir()]
    if folders and options.batches:
        rule, remedy = "must not be given for a folder", "Its files name the batch: b8.csv."
        raise InputError([option_problem("--batch", rule, str(options.batches[0]), remedy)])
    if folders:
        return _of_folders(files)
    batches = options.batch_for_each(len(files))
    if batches:
        return [_Input(file, batch) for file, batch in zip(files, batches, strict=True)], []
    return _by_name(files)


def _by_name(files: Sequence[Path]) -> tuple[list[_Input], list[str]]:
    named = [_BATCH_IN_NAME.search(file.name) for file in files]
    if all(named):
        inputs = [_Input(file, int(match[1])) for file, match in zip(files, named, strict=True) if match]
        return _checked(inputs), ["the batch is taken from the file's name; --batch N says otherwise"]
    words = "it is taken to be 1; --batch N says otherwise"
    return [_Input(file, 1) for file in files], [f"the file does not say how many items a request has: {words}"]


def _of_folders(files: Sequence[Path]) -> tuple[list[_Input], list[str]]:
    inputs: list[_Input] = []
    left: list[str] = []
    problems: list[Problem] = []
    for file in files:
        inside = sorted(file.iterdir()) if file.is_dir() else [file]
        named = [(path, match) for path in inside if (match := _BATCH_IN_NAME.search(path.name))]
        inputs += [_Input(path, int(match[1])) for path, match in named]
        tables = [path for path in inside if path.suffix.lower() in {".csv", ".json"}]
        left += [printable(path) for path in tables if path not in {path for path, _ in named}]
        if not named:
            rule = "must hold files that name the batch, such as b8.csv"
            value = ", ".join(printable(path.name) for path in tables[:4]) or "none of them"
            problems.append(
                Problem(printable(file), None, None, "", rule, value, "Name each file after its batch, or use --batch.")
            )
    if problems:
        raise InputError(problems)
    warnings = [f"files that do not name a batch (b<N>.csv) are left out: {', '.join(left)}"] if left else []
    return _checked(inputs), warnings


def _checked(inputs: list[_Input]) -> list[_Input]:
    problems = [
        Problem(printable(one.path), None, None, "", "must name a batch of at least 1", one.path.name, "Rename it.")
        for one in inputs
        if one.batch < 1
    ]
    if problems:
        raise InputError(problems)
    return sorted(inputs, key=lambda one: one.batch)
