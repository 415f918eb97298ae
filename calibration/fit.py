"""Which service model do these measurements give? The one door from what was measured to what a run uses.

Executions timed on the device give the batch curve; where there are none, lone requests to a server do
(:mod:`calibration.executions`). Lone requests and saturated runs give the overheads, several model instances the
slow-down. What loaded clients saw beyond that is kept, and fitted to nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from calibration.curve import BatchCurve, CurvePoint, fit_curve
from calibration.decoder import halves_joined
from calibration.executions import ROUNDS, Executions, executions_in
from calibration.observation import Observation, Observations
from calibration.observation_table import columns_of
from calibration.occupancy import occupying, on_accelerator, wire_ms, with_separate_requests
from calibration.overheads import FittedOverheads, fit_overheads
from calibration.problems import InputError, Problem
from calibration.profile_file import ProfileFile
from calibration.saturation import saturated_runs
from calibration.scatter import Scatter, fit_scatter
from calibration.slowdown import Slowdown, fit_slowdown

MUST_AGREE: Final = ("device", "cpu", "model", "precision")
"""Keys of a provenance that must not differ between measurements that are joined."""

LAUNCHES: Final = "launch_ms"
"""Column of the measurements: the part of an execution that leaves the accelerator to others
(:mod:`calibration.occupancy`). ``latency_ms`` is the execution as it was measured, the fitted curve is without it."""

JOINED: Final = "joined"
"""Key of a provenance: those of all measurements that were joined, where there were several."""

_INTERVALS: Final = {
    "repeats": "intervals from repeats",
    "samples": "intervals from single executions (the spread from run to run is not in them)",
    "residuals": "intervals from the distance of the points from two straight parts",
    "nothing": "no intervals",
}


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
    measured = halves_joined(measured)
    content: dict[str, Any] = {"schema": 1, "name": name, "provenance": joined_provenance(measured), **_kept(measured)}
    server = [row for one in measured if one.scope == "server" for row in one.rows]
    if server:
        content["loads"] = columns_of(server)
    steps = [one for one in measured if is_of_llm(one)]
    batches = [one for one in measured if not is_of_llm(one)]
    told = [warning for one in measured for warning in one.warnings]
    if steps:
        from calibration.llm_fit import fit_steps

        content["llm"] = fit_steps(steps, seed=seed).model_dump(mode="json", exclude_none=True)
        timed = [row for one in steps if one.scope == "device" for row in one.rows]
        if timed:
            content["steps"] = columns_of(timed)
    if batches or not steps:
        content |= _batch_model(batches, null_model, seed, told)
    elif told:
        content["service_model"] = {"warnings": list(dict.fromkeys(told))}
    return ProfileFile.model_validate(content)


def is_of_llm(observations: Observations) -> bool:
    """Whether these are of an LLM: requests with a first token, or steps of prefill and decode."""
    return observations.of_llm or any("phase" in row.notes for row in observations.rows)


def joined_provenance(measured: Sequence[Observations]) -> dict[str, Any]:
    """Where do the joined figures come from? The first that tells a key wins; where they differ, all are kept.

    Raises
    ------
    InputError
        When they differ in what must agree.

    >>> row = Observation(latency_ms={"mean": 5.0})
    >>> one = Observations(rows=(row,), scope="device", provenance={"device": "T4"})
    >>> joined_provenance([one, Observations(rows=(row,), scope="server", provenance={"server": "Triton"})])["server"]
    'Triton'
    """
    told: dict[str, Any] = {}
    for one in measured:
        told |= {key: value for key, value in one.provenance.items() if key not in told}
    problems = list(dict.fromkeys(_disagreements(measured, told)))
    if problems:
        raise InputError(problems)
    sources: list[Mapping[str, Any]] = []
    for one in measured:
        sources += one.provenance.get(JOINED) or ([one.provenance] if one.provenance else [])
    distinct = [dict(source) for index, source in enumerate(sources) if source not in sources[:index]]
    return told | ({JOINED: distinct} if len(distinct) > 1 else {})


def _disagreements(measured: Sequence[Observations], told: Mapping[str, Any]) -> Iterator[Problem]:
    for one in measured:
        for key in MUST_AGREE:
            value = one.provenance.get(key, told.get(key))
            if _folded(value) != _folded(told.get(key)):
                rule = f"must be the same in everything that is joined, and is {told[key]!r} elsewhere"
                remedy = f"Fit them apart: figures of two {_PLURAL[key]} describe neither."
                yield Problem("<measurements>", None, None, f"provenance.{key}", rule, repr(value), remedy)


_PLURAL: Final = {"device": "devices", "cpu": "processors", "model": "models", "precision": "precisions"}


def _folded(value: Any) -> str:
    return " ".join(str(value).casefold().split())


def _kept(measured: Sequence[Observations]) -> dict[str, Any]:
    """Notes of the runs as a whole, and the cold start, which has a place of its own."""
    notes: dict[str, Any] = {}
    for one in measured:
        notes |= one.notes
    cold_start = notes.pop("cold_start", None)
    return {"notes": notes} | ({"cold_start": cold_start} if cold_start else {})


def _batch_model(
    measured: Sequence[Observations], null_model: Observations | None, seed: int, told: Sequence[str]
) -> dict[str, Any]:
    """Measurements and service model of everything that is not an LLM."""
    device = [row for one in measured if one.scope == "device" for row in one.rows]
    server = [row for one in measured if one.scope == "server" for row in one.rows]
    saturated = saturated_runs(server)
    told_of = executions_in(device, server, saturated, waited=_waited(measured))
    beside = all(on_accelerator(one.provenance) for one in measured)
    alike = len({row.model_instances for row in server}) == 1
    executions = occupying(told_of, launches=alike) if beside else told_of
    curve = fit_curve(executions.points, seed=seed)
    overheads = fit_overheads(
        executions.lone,
        saturated,
        curve.at,
        valid_range=curve.valid_range,
        in_process=device,
        null_model=null_model,
    )
    if beside and overheads is not None and told_of.lone:
        apart = any(run.separate for run in saturated)
        overheads = with_separate_requests(overheads, 0.0 if apart else wire_ms(told_of.lone))
    held = (lambda _batch: 0.0) if overheads is None else overheads.held_ms
    slowdown = fit_slowdown(server, held_ms=held, seed=seed)
    scatter = fit_scatter(executions.scatter)
    parts = (executions, curve, scatter, overheads, slowdown)
    warnings = [*told, *(warning for part in parts if part is not None for warning in part.warnings)]
    model = _service_model(executions, curve, overheads, slowdown, scatter)
    table: dict[str, Any] = columns_of(_curve_rows(told_of))
    launches = _launches_ms(told_of, executions)
    if any(launches):
        table[LAUNCHES] = launches
    return {"measurements": table, "service_model": {**model, "warnings": list(dict.fromkeys(warnings))}}


def _launches_ms(told_of: Executions, executions: Executions) -> list[float]:
    """What of each measured execution the accelerator is not taken for, by batch size in ascending order."""

    def means(these: Executions) -> dict[int, float]:
        times: dict[int, list[float]] = {}
        for point in these.points:
            times.setdefault(point.batch, []).append(point.mean_ms)
        return {size: sum(found) / len(found) for size, found in sorted(times.items())}

    taken = means(executions)
    return [round(ms - taken.get(size, ms), 6) for size, ms in means(told_of).items()]


def _waited(measured: Sequence[Observations]) -> float:
    """Share of its batching delay that a lone request waits: LitServe polls in fixed windows, others wait in full."""
    return 0.5 if any("litserve" in str(one.provenance.get("server", "")).casefold() for one in measured) else 1.0


def _service_model(
    executions: Executions,
    curve: BatchCurve,
    overheads: FittedOverheads | None,
    slowdown: Slowdown | None,
    scatter: Scatter,
) -> dict[str, Any]:
    """The keys of ``service_model``, those that nothing is known of left out."""
    model: dict[str, Any] = {
        "method": curve.method,
        "batch": curve.batch,
        "latency_ms": tuple(round(ms, 6) for ms in curve.latency_ms),
        "valid_range": curve.valid_range,
        "residuals": {str(batch): round(share, 6) for batch, share in curve.residuals.items()},
        "noise": {"kind": scatter.kind},
        "basis": {"curve": f"{executions.basis}; {_INTERVALS[curve.interval_from]}", "noise": scatter.basis},
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
        model["basis"]["overheads"] = overheads.basis
    if slowdown is not None:
        model["slowdown"] = slowdown.factors
        model["basis"]["slowdown"] = slowdown.basis
    return model


def _curve_rows(executions: Executions) -> list[Observation]:
    """The table of the curve: one row a batch size, of the device alone; repeats are averaged, and named in a note."""
    groups: dict[int, list[tuple[Observation, CurvePoint]]] = {}
    for row, point in zip(executions.rows, executions.points, strict=True):
        groups.setdefault(point.batch, []).append((row, point))
    return [_curve_row(groups[size], timed=executions.timed) for size in sorted(groups)]


def _curve_row(own: Sequence[tuple[Observation, CurvePoint]], *, timed: bool) -> Observation:
    first, point = own[0]
    means = [point.mean_ms for _, point in own]
    alone = timed and len(own) == 1
    counts = [row.requests for row, _ in own if row.requests is not None]
    repeats = {ROUNDS: means} if len(own) > 1 else {}
    parts = {name: ms for name, ms in first.parts_ms.items() if name in _ON_DEVICE and len(own) == 1}
    return replace(
        first,
        batch=point.batch,
        merged=False,
        concurrency=None,
        rate_rps=None,
        throughput_rps=first.throughput_rps if alone else None,
        max_batch_size=None,
        requests=sum(counts) if counts else None,
        latency_ms={**(first.latency_ms if alone else {}), "mean": sum(means) / len(means)},
        parts_ms=parts,
        samples_ms=tuple(sorted(sample for _, point in own for sample in point.samples_ms)),
        notes={**first.notes, **repeats},
        place="",
    )


_ON_DEVICE: Final = ("preprocess", "input", "compute", "output", "postprocess")
"""Parts that are told of an execution; the others are those of a client."""
