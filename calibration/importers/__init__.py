"""Everyone else's measurements: one module a tool, each turning the tool's files into Observations.

A reader is ``read(files, options) -> Observations`` in the module that :data:`FORMATS` names; a new tool is one such
module and one entry here. Readers take fields by name, never by position; convert units once, where they read them;
keep what they do not know in ``notes`` and say so in one warning; and stop, with every problem of the file, where a
figure could be misread.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import Final

from calibration.importers.options import ImportOptions, given, option_of, option_problem
from calibration.importers.recognise import recognised
from calibration.observation import Observations
from calibration.problems import InputError, Problem
from calibration.source import did_you_mean, file_problem, printable

__all__ = ["FORMATS", "Format", "ImportOptions", "format_named", "import_files"]


@dataclass(frozen=True)
class Format:
    """A tool whose files can be imported."""

    name: str
    """As ``calibrate import`` knows it."""
    about: str
    """Which files of the tool, in one line."""
    module: str
    """The module of :mod:`calibration.importers` with its ``read``."""
    aliases: tuple[str, ...] = ()
    """Other names for it."""
    special: tuple[str, ...] = ()
    """Fields of ImportOptions that only some formats take, and this one does."""
    folders: bool = False
    """Whether a folder may stand for the files in it."""


_ALL: Final = (
    Format(
        "perf-analyzer", "Triton perf_analyzer: CSV (-f) or JSON (--profile-export-file), or a folder of b<N>.csv",
        "perf_analyzer", special=("batches",), folders=True,
    ),
    Format(
        "model-analyzer", "Triton model_analyzer: metrics-model-inference.csv, and metrics-model-gpu.csv beside it",
        "model_analyzer",
    ),
    Format("aiperf", "AIPerf and genai-perf: JSON, CSV, JSONL or a sweep", "aiperf", aliases=("genai-perf",)),
    Format("vllm-bench", "vllm bench serve: the JSON of --save-result", "vllm_bench", aliases=("vllm",)),
    Format("guidellm", "guidellm: benchmarks.json", "guidellm"),
    Format(
        "optimum-benchmark", "optimum-benchmark: benchmark_report.json or benchmark.json", "optimum_benchmark",
        special=("batches",),
    ),
    Format("inference-perf", "inference-perf: stage_<n>_lifecycle_metrics.json", "inference_perf"),
    Format("locust", "Locust: <prefix>_stats.csv or <prefix>_stats_history.csv", "locust",
           special=("batches", "endpoint")),
    Format("mlperf", "MLPerf LoadGen: mlperf_log_summary.txt", "mlperf", special=("batches",)),
    Format("prometheus", "Prometheus: the JSON of query_range on Triton or vLLM metrics", "prometheus"),
)  # fmt: skip

FORMATS: Final[Mapping[str, Format]] = MappingProxyType({format.name: format for format in _ALL})
"""Formats that can be imported, by name."""

_BY_NAME: Final = {name: format for format in _ALL for name in (format.name, *format.aliases)}
_SPECIAL: Final = sorted({name for format in _ALL for name in format.special})


def import_files(format: str, files: Sequence[Path], options: ImportOptions | None = None) -> Observations:
    """What did this tool measure?

    Parameters
    ----------
    format
        A name or an alias of :data:`FORMATS`.
    files
        The tool's files; several are one measurement (a file for each batch size, a file for each load).
    options
        What the files do not say.

    Raises
    ------
    InputError
        With everything that is wrong: the format is unknown, an option does not fit it, a file cannot be read, is
        another tool's, or holds what cannot be used.
    """
    options = options or ImportOptions()
    chosen = format_named(format)
    problems = list(options.problems())
    problems += [
        option_problem(
            option_of(name), f"must not be given for {chosen.name}", None,
            f"Only {', '.join(each.name for each in _ALL if name in each.special)} can use it.",
        )
        for name in _SPECIAL
        if name in given(options) and name not in chosen.special
    ]  # fmt: skip
    if not files:
        problems.append(option_problem("FILE", "must be given", None, f"Name a file: {chosen.about}."))
    problems += [problem for file in files for problem in _refusals(file, chosen)]
    if problems:
        raise InputError(problems)
    found: Observations = import_module(f"calibration.importers.{chosen.module}").read(files, options)
    return found


def format_named(name: str) -> Format:
    """The format of this name or alias, whether its words are joined by dashes or underscores.

    Raises
    ------
    InputError
        There is none.

    >>> format_named("genai_perf").name
    'aiperf'
    """
    plain = name.strip().lower().replace("_", "-").replace(" ", "-")
    if plain in _BY_NAME:
        return _BY_NAME[plain]
    remedy = " ".join(filter(None, [did_you_mean(plain, _BY_NAME), f"Choose one of {', '.join(FORMATS)}."]))
    raise InputError([option_problem("FORMAT", "must be a format that can be imported", repr(name), remedy)])


def _refusals(file: Path, format: Format) -> list[Problem]:
    """Why this format's reader should not even be asked: nothing there to read, or another tool's file."""
    shown = printable(file)
    if file.is_dir():
        if format.folders and os.access(file, os.R_OK | os.X_OK):
            return []
        rule = "cannot be read: permission denied" if format.folders else "is a directory, not a file"
        return [Problem(shown, None, None, "", rule, None, f"Name a file: {format.about}.")]
    unreadable = file_problem(file)
    if unreadable is not None:
        return [Problem(shown, None, None, "", unreadable[0], None, unreadable[1])]
    if not file.is_file():
        return [Problem(shown, None, None, "", "must be a regular file", None, "Save it as a file first.")]
    other = recognised(file)
    if other is not None and other != format.name:
        rule = f"does not look like a file of {format.name}: it looks like {FORMATS[other].about}"
        return [Problem(shown, None, None, "", rule, None, f"Use: calibrate import {other} {shown}.")]
    return []
