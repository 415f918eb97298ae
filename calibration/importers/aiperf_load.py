"""Under which load did AIPerf or genai-perf measure? It stands in different places from version to version.

In order: the values of a sweep (``run_info.variation_values``), the configuration (``input_config``: genai-perf's
``perf_analyzer.stimulus``, AIPerf's ``loadgen`` or ``phases``), the command line. At a request rate, a concurrency is
but a bound on what is outstanding (AIPerf's docs, request-rate-concurrency), and no load of its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from calibration.importers.json_fields import Fields

_OPTION: Final = re.compile(r"--(concurrency|request-rate)[ =]+([0-9.]+)")


class Load(NamedTuple):
    """Requests outstanding (closed loop) or sent per second (open loop); neither where it is not told."""

    concurrency: float | None = None
    rate_rps: float | None = None
    bound: float | None = None
    """Most requests outstanding at a rate."""


def load_of(run: Fields) -> Load:
    """Which load does this run state?"""
    info = run.fields("run_info")
    command = info.text("cli_command") or run.fields("input_config").text("cli_command") or ""
    written = {name.replace("-", "_"): float(value) for name, value in _OPTION.findall(command)}
    for told in (info.fields("variation_values").content, run.fields("input_config").content, written):
        load = load_in(told)
        if load != Load():
            return load
    return Load()


def load_in(told: Mapping[str, Any]) -> Load:
    """Which load do these values state?

    >>> load_in({"perf_analyzer": {"stimulus": {"concurrency": 32}}})
    Load(concurrency=32.0, rate_rps=None, bound=None)
    >>> load_in({"phases.profiling.request_rate": 8, "phases.profiling.concurrency": 64})
    Load(concurrency=None, rate_rps=8.0, bound=64.0)
    """
    found: dict[str, float] = {}
    for path, value in _leaves(told, ""):
        key = path.rpartition(".")[2]
        is_load = key in ("concurrency", "request_rate") or (key == "rate" and "phases" in path)
        if is_load and "warmup" not in path:
            found.setdefault("concurrency" if key == "concurrency" else "rate", value)
    if "rate" in found:
        return Load(rate_rps=found["rate"], bound=found.get("concurrency"))
    return Load(concurrency=found.get("concurrency"))


def _leaves(told: Any, path: str) -> Iterator[tuple[str, float]]:
    """Positive numbers with their dotted paths; a phase of a list goes by its name."""
    if isinstance(told, Mapping):
        for key, value in told.items():
            yield from _leaves(value, f"{path}.{key}")
    elif isinstance(told, list):
        for value in told:
            name = value.get("name", "") if isinstance(value, Mapping) else ""
            yield from _leaves(value, f"{path}.{name}")
    elif isinstance(told, int | float) and not isinstance(told, bool) and told > 0:
        yield path, float(told)
