"""A profile for people: where it comes from, its curve point by point, and how far to trust it.

Nothing is computed here beyond rounding: the figures are those of :mod:`calibration.points` and of the file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from calibration.llm_page import llm_lines
from calibration.observation import Observation
from calibration.observation_table import rows_of
from calibration.origin import pairs, source, subject
from calibration.page import Heading, bar, count, in_bytes, paragraph, per_cent, significant, table
from calibration.points import Point, execution_ms, points_of, profile_in
from calibration.profile import OVERHEADS, Profile
from calibration.profile_file import INSIDE_REQUESTS, WHOLE_LATENCY, ProfileFile
from calibration.text_plot import text_plot

MOST_ROWS: Final = 24
"""Rows of a table shown to people; the file and ``--json`` hold all of them."""

_METHODS: Final = {
    "points": "the measured points themselves",
    "isotonic_pchip": "isotonic regression, then PCHIP",
    "linear_roofline": "flat while memory-bound, then a straight line (roofline)",
}


def profile_text(file: ProfileFile, *, unicode: bool = True) -> str:
    """How does a profile read? The lines of :func:`profile_lines` as one text."""
    return "".join(f"{line}\n" for line in profile_lines(file, unicode=unicode))


def profile_lines(file: ProfileFile, *, unicode: bool = True) -> list[str]:
    """What does a person want to know of a profile, in that order?

    Parameters
    ----------
    file
        The profile.
    unicode
        Whether blocks and braille can be written; otherwise the plot is of dots and letters.
    """
    lines = [*origin(file)]
    for warning in warnings_of(file):
        lines += paragraph(warning, mark="! ")
    if file.has_curve:
        lines += _batch_lines(file, unicode)
    elif not file.llm:
        lines += ["", *paragraph("Too little was measured for a batch curve: calibrate fit joins it with more.")]
    if file.cold_start:
        single = {key: value for key, value in file.cold_start.items() if not isinstance(value, list | dict)}
        lines += ["", Heading("Cold start"), *pairs(single)]
    if file.llm:
        lines += ["", *llm_lines(file.llm)]
    if file.loads:
        lines += ["", *_loads(rows_of(file.loads))]
    return lines


def warnings_of(file: ProfileFile) -> tuple[str, ...]:
    """What should whoever uses this profile know? Of its batch curve and of its step times."""
    of_curve = () if file.service_model is None else file.service_model.warnings
    of_steps = (file.llm or {}).get("warnings", ())
    return tuple(dict.fromkeys((*of_curve, *map(str, of_steps))))


def _batch_lines(file: ProfileFile, unicode: bool) -> Iterator[str]:
    """The batch curve as a table and as a plot, and what else a run uses."""
    profile, points = profile_in(file), points_of(file)
    yield ""
    yield from _curve(file, profile, points, unicode)
    marks = [(point.batch, point.measured_ms or point.fitted_ms) for point in points]
    drawing = text_plot(marks, _curve_of(file, profile), unicode=unicode)
    if drawing:
        yield ""
        yield Heading("ms for a batch of so many items (both axes logarithmic)")
        yield from drawing
    yield ""
    yield Heading("What a run uses")
    yield from _model(file, profile)
    taken = _taken(points)
    if taken:
        yield ""
        yield Heading("What the device took, from the smallest to the largest batch")
        yield from pairs(taken)


def _taken(points: Sequence[Point]) -> dict[str, str]:
    """Memory, power and energy, where they were measured."""
    columns: tuple[tuple[str, list[float | None], Callable[[float], str]], ...] = (
        ("memory", [point.memory_bytes for point in points], in_bytes),
        ("power, W", [point.power_w for point in points], significant),
        ("energy, J an item", [point.joules_per_item for point in points], significant),
    )
    found = {}
    for name, column, written in columns:
        told = [written(value) for value in column if value is not None]
        if told:
            found[name] = _span((told[0], told[-1]))
    return found


def origin(file: ProfileFile) -> list[str]:
    """What was measured, and who says so: a paragraph each."""
    heading = paragraph(f"{file.name or 'profile'}: {subject(file)}")
    return [*map(Heading, heading), *paragraph(source(file), mark="  ")]


def _curve_of(file: ProfileFile, profile: Profile) -> Callable[[float], float]:
    import numpy as np

    return lambda batch: float(execution_ms(file, profile, np.array(batch)))


def _curve(file: ProfileFile, profile: Profile, points: Sequence[Point], unicode: bool) -> Iterator[str]:
    """The table of the curve; columns that nothing is known of are left out."""
    best = max(point.items_per_s for point in points)
    fitted = file.service_model is not None and file.service_model.batch is not None
    heads = ("95% interval ms", "measured ms", "residual", "p99 ms", "items/s", "of best", "")
    rows = [("batch", "fitted ms" if fitted else "mean ms", *heads)]
    for point in points:
        low, high = map(significant, point.interval_ms or (0.0, 0.0))
        rows.append(
            (
                f"{point.batch}",
                significant(point.fitted_ms),
                f"{low} to {high}" if point.interval_ms else "",
                "" if point.measured_ms is None or not fitted else significant(point.measured_ms),
                "" if point.residual is None or not fitted else per_cent(point.residual, signed=True),
                "" if point.p99_ms is None else significant(point.p99_ms),
                significant(point.items_per_s),
                per_cent(point.items_per_s / best),
                bar(point.items_per_s / best, unicode=unicode),
            )
        )
    told = [index for index in range(len(rows[0])) if any(row[index] for row in rows[1:])]
    if len(points) < 2:
        told = [index for index in told if index < 7]
    shown = [tuple(row[index] for index in told) for row in rows[: MOST_ROWS + 1]]
    yield from table(shown, "".join("rrrrrrrrl"[index] for index in told))
    if len(points) > MOST_ROWS:
        yield f"... and {len(points) - MOST_ROWS} more batch sizes, up to {profile.batch[-1]}"
    if len(points) == 1:
        yield "A single batch size: how the time grows with the batch is not known."


def _model(file: ProfileFile, profile: Profile) -> Iterator[str]:
    """Curve, range, noise, overheads and slow-down, one line each."""
    model = file.service_model
    low, high = profile.range
    rows = [("curve", _METHODS.get((model and model.method) or "points", "")), ("range", f"batch {low} to {high}")]
    basis = "" if model is None else model.basis.get("curve", "").split(";")[0]
    if basis.startswith(INSIDE_REQUESTS):
        rows.append(("found from", basis))
    if model is not None and model.cross_validation:
        errors = (f"{name} {per_cent(error)}" for name, error in model.cross_validation.items())
        rows.append(("error at points left out", ", ".join(errors)))
    rows.append(("noise", _noise(profile)))
    rows.append(("overheads, ms", _overheads(profile)))
    rows.append(("slow-down", _slowdown(profile)))
    width = max(len(name) for name, _ in rows)
    for name, words in rows:
        yield from paragraph(words, mark=f"  {name:<{width}}  ")


def _noise(profile: Profile) -> str:
    if profile.noise_kind == "none":
        return "none: every execution takes the mean"
    import numpy as np

    scatter = profile.latency_cv_at(np.array(profile.batch)).tolist()
    kind = {"lognormal": "lognormal", "empirical": "resampled from the measured times"}[profile.noise_kind]
    return f"{kind}, coefficient of variation {_span([per_cent(cv) for cv in (min(scatter), max(scatter))])}"


def _overheads(profile: Profile) -> str:
    told = {name.removesuffix("_ms"): getattr(profile.overheads, name) for name in OVERHEADS}
    parts = [
        f"{name} {_span([significant(curve[0]), significant(curve[-1])])}" for name, curve in told.items() if any(curve)
    ]
    if WHOLE_LATENCY in profile.warnings and not parts:
        return "none known: whatever they are, the curve holds them"
    return ", ".join(parts) or "none known: the profile is of the execution alone"


def _slowdown(profile: Profile) -> str:
    if profile.slowdown is None or len(profile.slowdown) < 2:
        return "not measured: k executions at once are taken to be k times as slow"
    return ", ".join(
        f"{count} at once {factor:.2f} times as slow ({per_cent(count / factor - 1, signed=True)} throughput)"
        for count, factor in enumerate(profile.slowdown[1:], start=2)
    )


def _span(ends: Sequence[str]) -> str:
    return ends[0] if ends[0] == ends[-1] else f"{ends[0]} to {ends[-1]}"


_LOAD_COLUMNS: Final[tuple[tuple[str, Callable[[Observation], float | None], Callable[[float], str]], ...]] = (
    ("concurrency", lambda row: row.concurrency, count),
    ("requests/s sent", lambda row: row.rate_rps, significant),
    ("items", lambda row: row.batch, count),
    ("model instances", lambda row: row.model_instances if row.model_instances > 1 else None, count),
    ("requests/s", lambda row: row.throughput_rps, significant),
    ("mean ms", lambda row: row.latency_ms.get("mean"), significant),
    ("p50 ms", lambda row: row.latency_ms.get("p50"), significant),
    ("p99 ms", lambda row: row.latency_ms.get("p99"), significant),
    ("TTFT p50 ms", lambda row: row.ttft_ms.get("p50"), significant),
    ("TTFT p99 ms", lambda row: row.ttft_ms.get("p99"), significant),
    ("TPOT p50 ms", lambda row: row.tpot_ms.get("p50"), significant),
    ("failed", lambda row: row.failed or None, count),
)
"""What clients saw: a heading, the figure of a row or None, and how it is written."""


def _loads(rows: Sequence[Observation]) -> Iterator[str]:
    """The table of what clients of a server saw; columns that nothing is known of are left out."""
    yield Heading("What clients of the server saw")
    told = [column for column in _LOAD_COLUMNS if any(column[1](row) is not None for row in rows)]
    cells = [tuple(heading for heading, _, _ in told)]
    for row in rows[:MOST_ROWS]:
        figures = ((figure(row), written) for _, figure, written in told)
        cells.append(tuple("" if value is None else written(value) for value, written in figures))
    yield from ("  " + line for line in table(cells, "r" * len(told)))
    if len(rows) > MOST_ROWS:
        yield f"  ... and {len(rows) - MOST_ROWS} more"


def profile_object(file: ProfileFile) -> dict[str, Any]:
    """The figures of :func:`profile_lines` as one JSON-able object; what is not known is null."""
    content = file.model_dump(mode="json", by_alias=True, exclude_none=True)
    return {
        "schema_version": 1,
        "name": file.name,
        "provenance": content.get("provenance", {}),
        "points": [_point_object(point) for point in points_of(file)],
        **(_model_object(file) if file.has_curve else {}),
        "warnings": list(warnings_of(file)),
        "cold_start": content.get("cold_start"),
        "llm": content.get("llm"),
        "loads": content.get("loads"),
    }


def _point_object(point: Point) -> dict[str, Any]:
    interval = None if point.interval_ms is None else list(point.interval_ms)
    derived = {"residual": point.residual, "items_per_s": point.items_per_s, "joules_per_item": point.joules_per_item}
    return {**vars(point), "interval_ms": interval, **derived}


def _model_object(file: ProfileFile) -> dict[str, Any]:
    import numpy as np

    profile, model = profile_in(file), file.service_model
    scatter = profile.latency_cv_at(np.array(profile.batch)).tolist()
    return {
        "valid_range": list(profile.range),
        "method": (model and model.method) or "points",
        "cross_validation": model and model.cross_validation,
        "noise": {"kind": profile.noise_kind, "latency_cv": scatter},
        "overheads": profile.overheads.model_dump(mode="json"),
        "slowdown": None if profile.slowdown is None else list(profile.slowdown),
    }
