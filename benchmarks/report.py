"""Print outcomes as text for people and as one JSON object for programs."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from benchmarks.measure import Timing
from benchmarks.spec import BenchSpec, Figure, Outcome, verdict

SCHEMA_VERSION: Final = 1


def quantity(value: float) -> str:
    """A number with three significant figures, as one reads it.

    >>> quantity(1234.5), quantity(12.345), quantity(0.01234)
    ('1,234', '12.3', '0.0123')
    """
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:#.3g}"


def machine_as_text(machine: Mapping[str, str]) -> str:
    """The machine note, two lines."""
    versions = ", ".join(f"{name} {machine[name]}" for name in ("python", "numpy", "numba", "simpy", "ciw", "joblib"))
    busy = " (busy: other programs are running, see the wall times)" if machine["busy"] == "yes" else ""
    return (
        f"{machine['processor']}, {machine['cores']} cores, {machine['system']}, "
        f"load average {machine['load_average']}{busy}\n"
        f"{versions}, compiler {machine['compiler']}\n"
    )


def _timing_as_text(timing: Timing, width: int) -> str:
    return (
        f"  {timing.contender:<{width}}  {quantity(timing.cpu_ns):>10}  {quantity(timing.wall_ns):>10}"
        f"  {timing.units:>13,}  {len(timing.laps):>6}"
    )


def _figure_as_text(figure: Figure, spec: BenchSpec, width: int) -> str:
    value = "-" if figure.value is None else f"{quantity(figure.value)} {figure.unit}"
    judged = [
        f"target {target.sense} {target.bound:g} {figure.unit}: {verdict(target, figure)}"
        for target in spec.targets
        if target.figure == figure.name
    ]
    return f"  {figure.name:<{width}}  {value:>12}  {'; '.join(judged)}".rstrip()


def outcome_as_text(spec: BenchSpec, outcome: Outcome) -> str:
    """One benchmark: the contenders' times, then the figures with their targets, then the notes."""
    lines = [f"{spec.name}: {spec.question}"]
    if outcome.timings:
        width = max(len(timing.contender) for timing in outcome.timings)
        lines.append(f"  {'':<{width}}  {'CPU ns':>10}  {'wall ns':>10}  {'of this many':>13}  {'rounds':>6}")
        lines += [_timing_as_text(timing, width) for timing in outcome.timings]
    if outcome.figures:
        width = max(len(figure.name) for figure in outcome.figures)
        lines += [_figure_as_text(figure, spec, width) for figure in outcome.figures]
    lines += [f"  {note}" for note in outcome.notes]
    return "\n".join(lines) + "\n"


def outcome_to_json(spec: BenchSpec, outcome: Outcome) -> dict[str, Any]:
    """One benchmark as plain values, every lap included."""
    return {
        "question": spec.question,
        "timings": {
            timing.contender: {
                "cpu_ns": timing.cpu_ns,
                "wall_ns": timing.wall_ns,
                "laps": [asdict(lap) for lap in timing.laps],
            }
            for timing in outcome.timings
        },
        "figures": {figure.name: {"value": figure.value, "unit": figure.unit} for figure in outcome.figures},
        "targets": [
            {**asdict(target), "verdict": verdict(target, outcome.by_name.get(target.figure))}
            for target in spec.targets
        ],
        "notes": list(outcome.notes),
    }


def write_json(path: Path, machine: Mapping[str, str], outcomes: Mapping[str, dict[str, Any]]) -> None:
    """Write everything as one JSON object, whole or not at all."""
    document = {"schema_version": SCHEMA_VERSION, "machine": dict(machine), "benchmarks": dict(outcomes)}
    handle, partial = tempfile.mkstemp(dir=path.parent, prefix=path.name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(json.dumps(document, indent=2) + "\n")
        os.replace(partial, path)
    except BaseException:
        Path(partial).unlink(missing_ok=True)
        raise
