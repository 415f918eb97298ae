"""Which service model do these measurements give? The one door from what was measured to what a run uses.

Executions timed on the device give the batch curve; where there are none, lone requests to a server do, with what lies
outside the execution taken off as far as anything tells. Lone requests and saturated runs give the overheads, several
model instances the slow-down. What loaded clients saw is kept, and fitted to nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from calibration.curve import BatchCurve, CurvePoint, fit_curve
from calibration.idle import IdlePoint, idle_points
from calibration.observation import Observation, Observations
from calibration.observation_table import columns_of
from calibration.overheads import FittedOverheads, fit_overheads, is_idle
from calibration.problems import InputError, Problem
from calibration.profile_file import ProfileFile
from calibration.scatter import Scatter, ScatterPoint, fit_scatter
from calibration.slowdown import Slowdown, fit_slowdown

MUST_AGREE: Final = ("device", "cpu", "model", "precision")
"""Keys of a provenance that must not differ between measurements that are joined."""


def fit_profile(
    measured: Sequence[Observations], *, name: str = "", null_model: Observations | None = None, seed: int = 0
) -> ProfileFile:
    """Which profile do these measurements give?

    Parameters
    ----------
    measured
        Of one model on one device: executions, served requests, or both.
    name
        Label of the profile.
    null_model
        The same server with a model that takes no time; tells its serial front end.
    seed
        Of the bootstrap.

    Raises
    ------
    InputError
        When they are of different hardware, models or precisions, or hold nothing to fit.

    Examples
    --------
    >>> rows = tuple(Observation(batch=b, latency_ms={"mean": ms}) for b, ms in ((1, 10.0), (8, 24.0), (16, 40.0)))
    >>> file = fit_profile([Observations(rows=rows, scope="device")])
    >>> file.service_model.method, file.service_model.latency_ms
    ('points', (10.0, 24.0, 40.0))
    """
    provenance = joined_provenance(measured)
    content: dict[str, Any] = {"schema": 1, "name": name, "provenance": provenance, **_kept(measured)}
    of_llm = [one for one in measured if is_of_llm(one)]
    others = [one for one in measured if not is_of_llm(one)]
    server = [row for one in measured if one.scope == "server" for row in one.rows]
    if server:
        content["loads"] = columns_of(server)
    if of_llm:
        from calibration.llm_fit import fit_steps

        content["llm"] = fit_steps(of_llm, seed=seed).model_dump(mode="json", exclude_none=True)
    if others or not of_llm:
        content |= _batch_model(others, null_model, seed)
    return ProfileFile.model_validate(content)


def is_of_llm(observations: Observations) -> bool:
    """Whether these are of an LLM: requests with a first token, or steps of prefill and decode."""
    return observations.of_llm or any("phase" in row.notes for row in observations.rows)


def joined_provenance(measured: Sequence[Observations]) -> dict[str, Any]:
    """Where do the joined figures come from? The first that tells a key wins; several are all kept in ``joined``.

    Raises
    ------
    InputError
        When they differ in what must agree.
    """
    problems = []
    told: dict[str, Any] = {}
    for one in measured:
        for key, value in one.provenance.items():
            if key in MUST_AGREE and key in told and _folded(told[key]) != _folded(value):
                rule = f"must be the same in all that is joined: {told[key]!r} in one"
                remedy = "Fit them apart: a curve of two devices, models or precisions describes neither."
                problems.append(Problem("measurements", None, None, f"provenance.{key}", rule, repr(value), remedy))
            told.setdefault(key, value)
    if problems:
        raise InputError(dict.fromkeys(problems))
    different = [dict(one.provenance) for one in measured if one.provenance]
    distinct = [one for index, one in enumerate(different) if one not in different[:index]]
    if len(distinct) > 1:
        told["joined"] = distinct
    return told


def _folded(value: Any) -> str:
    return " ".join(str(value).casefold().split())


def _kept(measured: Sequence[Observations]) -> dict[str, Any]:
    """Notes of the runs as a whole, and the cold start, which has a place of its own."""
    notes: dict[str, Any] = {}
    for one in measured:
        notes |= one.notes
    cold_start = notes.pop("cold_start", None)
    return {"notes": notes} | ({"cold_start": cold_start} if cold_start else {})


@dataclass(frozen=True)
class _Executions:
    """What is known of executions: the curve's points, their scatter, and the rows they come from."""

    points: list[CurvePoint]
    scatter: list[ScatterPoint]
    rows: list[Observation]
    basis: str
    warnings: list[str]


def _batch_model(measured: Sequence[Observations], null_model: Observations | None, seed: int) -> dict[str, Any]:
    """Measurements and service model of everything that is not an LLM."""
    device = [row for one in measured if one.scope == "device" for row in one.rows if row.mean_ms is not None]
    server = [row for one in measured if one.scope == "server" for row in one.rows]
    executions = _executions(device, server)
    curve = fit_curve(executions.points, seed=seed)
    overheads = fit_overheads(server, curve.at, in_process=device, null_model=null_model)
    held = 0.0
    if overheads is not None:
        held = overheads.dispatch_ms[0] + overheads.release_ms[0]
    slowdown = fit_slowdown(server, held_ms=held, seed=seed)
    scatter = fit_scatter(executions.scatter)
    told = [warning for one in measured for warning in one.warnings]
    warnings = [*executions.warnings, *curve.warnings, *scatter.warnings]
    warnings += [*(overheads.warnings if overheads else ()), *(slowdown.warnings if slowdown else ()), *told]
    model = _service_model(curve, overheads, slowdown, scatter) | {"warnings": list(dict.fromkeys(warnings))}
    return {"measurements": columns_of(executions.rows), "service_model": model}


def _service_model(
    curve: BatchCurve, overheads: FittedOverheads | None, slowdown: Slowdown | None, scatter: Scatter
) -> dict[str, Any]:
    model: dict[str, Any] = {
        "method": curve.method,
        "batch": curve.batch,
        "latency_ms": tuple(round(ms, 6) for ms in curve.latency_ms),
        "valid_range": curve.valid_range,
        "residuals": {str(batch): round(share, 6) for batch, share in curve.residuals.items()},
        "noise": {"kind": scatter.kind},
    }
    if curve.ci95_ms is not None:
        model["ci95_ms"] = tuple((round(low, 6), round(high, 6)) for low, high in curve.ci95_ms)
    if curve.cross_validation is not None:
        model["cross_validation"] = dict(curve.cross_validation)
    if scatter.kind == "lognormal":
        model["latency_cv"] = scatter.cv_at(curve.batch)
    if scatter.kind == "empirical":
        model["samples_ms"] = scatter.samples_at(curve.batch, curve.latency_ms)
    if overheads is not None:
        model["overheads"] = overheads.columns(curve.batch)
    if slowdown is not None:
        model["slowdown"] = slowdown.factors
    return model


def _executions(device: Sequence[Observation], server: Sequence[Observation]) -> _Executions:
    """Executions timed on the device; else those that lone requests tell of.

    Raises
    ------
    InputError
        When nothing holds a latency.
    """
    alone = [row for row in device if row.model_instances == 1 and float(row.batch).is_integer()]
    if alone:
        points = [_device_point(row) for row in alone]
        scatter = [_device_scatter(row) for row in alone]
        return _Executions(points, scatter, _joined_rows(alone, points), "executions timed on the device", [])
    idle = [row for row in server if is_idle(row)]
    warnings: list[str] = []
    if not idle:
        idle, warnings = _least_loaded(server)
    lone = idle_points(idle)
    points, scatter = [], []
    for point in lone:
        compute = point.parts_ms.get("compute", point.latency_ms)
        outside = point.latency_ms - compute
        points.append(CurvePoint(batch=point.batch, mean_ms=compute, executions=point.requests))
        scatter.append(_idle_scatter(point, outside))
    if any("compute" not in point.parts_ms for point in lone):
        warnings.append(
            "nothing tells the execution from the rest of a request: its whole latency counts as time on the device"
        )
    return _Executions(points, scatter, _joined_rows(idle, points), "lone requests to a server", warnings)


def _least_loaded(server: Sequence[Observation]) -> tuple[list[Observation], list[str]]:
    """Rows to take for idle ones where none is: the least load of each batch size, with a word of warning."""
    usable = [row for row in server if row.mean_ms is not None and float(row.batch).is_integer() and not row.merged]
    if not usable:
        raise InputError([_nothing_to_fit()])
    least: dict[float, Observation] = {}
    for row in sorted(usable, key=lambda row: (row.concurrency or 0.0, row.rate_rps or 0.0)):
        least.setdefault(row.batch, row)
    rows = [least[size] for size in sorted(least)]
    loads = sorted({_load(row) for row in rows})
    warning = (
        f"the least load measured was {' and '.join(loads[:3])}: service time cannot be told from waiting;"
        " measure with one request at a time"
    )
    return rows, [warning]


def _load(row: Observation) -> str:
    if row.rate_rps is not None:
        return f"{row.rate_rps:g} requests per second"
    return f"{row.concurrency:g} outstanding requests"


def _nothing_to_fit() -> Problem:
    rule = "must hold the latency of at least one execution, or of one request"
    return Problem("measurements", None, None, "", rule, None, "Measure with one request at a time.")


def _device_ms(row: Observation) -> float:
    """Time on the device: without the copies where the latency holds them."""
    mean = row.mean_ms or 0.0
    compute = row.parts_ms.get("compute")
    copies = row.parts_ms.get("input", 0.0) + row.parts_ms.get("output", 0.0)
    if compute is None or not copies:
        return mean
    return compute if abs(mean - compute - copies) < abs(mean - compute) else mean


def _device_point(row: Observation) -> CurvePoint:
    mean, device = row.mean_ms or 0.0, _device_ms(row)
    scale = device / mean
    std = row.latency_ms.get("std")
    return CurvePoint(
        batch=int(row.batch),
        mean_ms=device,
        executions=row.requests,
        std_ms=std,
        samples_ms=tuple(sample * scale for sample in row.samples_ms),
    )


def _device_scatter(row: Observation) -> ScatterPoint:
    return ScatterPoint(batch=int(row.batch), samples_ms=row.samples_ms, statistics_ms=row.latency_ms)


def _idle_scatter(point: IdlePoint, outside: float) -> ScatterPoint:
    """Scatter of a lone request, put down to its execution."""
    inside = {
        name: value if name == "std" else value - outside
        for name, value in {**point.statistics_ms, "mean": point.latency_ms}.items()
    }
    samples = tuple(sample - outside for sample in point.samples_ms)
    usable = all(value > 0 for value in (*samples, *(inside[name] for name in inside if name != "std")))
    if not usable:
        return ScatterPoint(batch=point.batch)
    return ScatterPoint(batch=point.batch, samples_ms=samples, statistics_ms=inside)


def _joined_rows(rows: Sequence[Observation], points: Sequence[CurvePoint]) -> list[Observation]:
    """The table of the curve: one row a batch size; repeats are averaged and named in its notes."""
    from dataclasses import replace

    table = []
    for size in sorted({point.batch for point in points}):
        own = [(row, point) for row, point in zip(rows, points, strict=True) if point.batch == size]
        first = own[0][0]
        means = [point.mean_ms for _, point in own]
        device = first.mean_ms == means[0]
        statistics: Mapping[str, float] = first.latency_ms if device and len(own) == 1 else {}
        requests = [row.requests for row, _ in own if row.requests is not None]
        notes = dict(first.notes) | ({"repeat_means_ms": means} if len(own) > 1 else {})
        table.append(
            replace(
                first,
                batch=size,
                latency_ms={**statistics, "mean": sum(means) / len(means)},
                samples_ms=tuple(sample for row, _ in own for sample in row.samples_ms) if device else (),
                requests=sum(requests) if requests else None,
                notes=notes,
                place="",
            )
        )
    return table
