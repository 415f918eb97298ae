"""Which executions do measurements tell of? Those timed on the device; else those inside the requests of a server.

What lies outside the execution is taken off a lone request as far as anything tells:

1. by the server's own times (perf_analyzer's compute input, infer and output), unless a saturated run contradicts
   them: a framework that only queues work on the device returns before the work is done, and then executions follow
   one another much more slowly than those times say;
2. else by the time between executions at saturation, where each request is an execution: the rest of the latency of a
   lone request is then spent in parallel;
3. else not at all: the whole latency counts as time on the device, and a warning says so.

Why the copies belong to the execution
--------------------------------------
One might think that the copies hold the model instance but not the device, so that a second model instance computes
meanwhile. Published measurements of two model instances on one GPU say otherwise: GPUNet on an A100 copies in for
4.0 ms and computes for 11.6 ms at batch 32; two model instances together reach 2,057 items a second and one alone
2,016, where copies that overlap would give 2,750 (NVIDIA/DeepLearningExamples, gpunet-125ms-D, FP16). Nor do servers
part them reliably: TorchScript returns early, and its compute falls from 8.1 to 4.5 ms from batch 64 to 128 while
what counts as output, waiting for the device, grows from 9.9 to 28.4 ms (TFT on a T4). Only their sum is the time for
which the device is taken.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from calibration.curve import CurvePoint
from calibration.idle import IdlePoint, idle_points, is_idle
from calibration.observation import Observation
from calibration.page import count
from calibration.problems import InputError, Problem
from calibration.profile import LARGEST_BATCH, LONGEST_MS, SHORTEST_MS
from calibration.profile_file import INSIDE_REQUESTS, WHOLE_LATENCY
from calibration.saturation import Saturated
from calibration.scatter import ScatterPoint

HIDDEN: Final = 1.15
"""Time between executions over the server's own time for one, from which on work on the device is hidden."""

PARALLEL: Final = 0.5
"""Time between executions over the latency of a lone request, below which requests must have been served together."""

QUIET: Final = 0.3
"""Mean requests outstanding in an open loop below which waiting is rare."""

ROUNDS: Final = "round_medians_ms"
"""Note of a row: medians of rounds of measurement that took turns with other batch sizes."""


OF_MEANS: Final = "percentiles_of"
"""Note of a row: its samples are means of several executions."""


@dataclass(frozen=True, kw_only=True)
class Executions:
    """What is known of single executions."""

    points: tuple[CurvePoint, ...]
    """Mean times, one a row."""
    scatter: tuple[ScatterPoint, ...]
    """Single times, one a row."""
    rows: tuple[Observation, ...]
    """The rows they come from."""
    lone: tuple[IdlePoint, ...]
    """Lone requests to a server."""
    timed: bool
    """Whether they were timed on the device."""
    basis: str
    """Which executions these are, in words."""
    warnings: tuple[str, ...] = ()
    """What could mislead."""


def executions_in(
    device: Sequence[Observation],
    server: Sequence[Observation],
    saturated: Sequence[Saturated],
    *,
    waited: float = 1.0,
) -> Executions:
    """Which executions do these rows tell of?

    Parameters
    ----------
    device
        Executions timed where they ran.
    server
        Requests timed by clients.
    saturated
        Those of them that show how executions followed one another.
    waited
        Share of the server's delay that a lone request waits.

    Raises
    ------
    InputError
        When nothing holds a latency.
    """
    idle = [row for row in server if is_idle(row) and _is_point(row)]
    fewest = min((row.model_instances for row in idle), default=1)
    idle = [row for row in idle if row.model_instances == fewest]
    fewest = min((row.model_instances for row in device), default=1)
    alone = [row for row in device if _is_point(row) and row.model_instances == fewest]
    if alone:
        return Executions(
            points=tuple(map(_device_point, alone)),
            scatter=tuple(map(_device_scatter, alone)),
            rows=tuple(alone),
            lone=tuple(idle_points(idle, waited=waited)),
            timed=True,
            basis="executions timed on the device",
            warnings=tuple(_of_means(alone)),
        )
    warnings: list[str] = []
    if not idle:
        idle = _least_loaded(server, warnings)
    lone = _with_executions(idle_points(idle, waited=waited), saturated, warnings)
    return Executions(
        points=tuple(
            CurvePoint(
                batch=point.batch,
                mean_ms=max(point.execution_ms or point.latency_ms, SHORTEST_MS),
                executions=point.requests,
            )
            for point in lone
        ),
        scatter=tuple(map(_lone_scatter, lone)),
        rows=tuple(idle),
        lone=tuple(lone),
        timed=False,
        basis=INSIDE_REQUESTS,
        warnings=tuple(warnings),
    )


def _with_executions(lone: Sequence[IdlePoint], saturated: Sequence[Saturated], warnings: list[str]) -> list[IdlePoint]:
    """Lone requests with a time of the execution among their parts."""
    cycle = {round(run.batch): run.cycle_ms for run in saturated if not run.separate}
    hidden: dict[int, tuple[float, float]] = {}
    found, together, whole = [], False, False
    parallel = [point.latency_ms - cycle[point.batch] for point in lone if point.batch in cycle]
    outside = sum(parallel) / len(parallel) if parallel else 0.0
    for point in lone:
        between = cycle.get(point.batch)
        if "compute" in point.parts_ms:
            found.append(_unhidden(point, between, hidden))
            continue
        if parallel and 0 < outside < min(PARALLEL * one.latency_ms for one in lone):
            compute = point.latency_ms - outside
        else:
            together = together or bool(parallel and outside > 0)
            whole, compute = True, point.latency_ms
        # What was inferred holds the copies: told beside it they would count twice.
        others = {name: ms for name, ms in point.parts_ms.items() if name not in ("input", "output")}
        found.append(replace(point, parts_ms={**others, "compute": compute}, inferred=True))
    if hidden:
        worst = max(hidden, key=lambda size: hidden[size][1] / hidden[size][0])
        said, between_ms = hidden[worst]
        warnings.append(
            f"the server counts {said:.4g} ms for an execution of batch {worst}, but at saturation one follows another"
            f" every {between_ms:.4g} ms: the framework returns before the device is done, and the difference counts as"
            " time on the device"
        )
    if whole:
        warnings.append(WHOLE_LATENCY)
    if together:
        warnings.append(
            "at saturation requests were answered more than twice as fast as one after the other: the server merges"
            " them or serves several at once (state its largest batch and its model instances)"
        )
    return found


def _unhidden(point: IdlePoint, between: float | None, hidden: dict[int, tuple[float, float]]) -> IdlePoint:
    """The point with the time of its execution as a saturated run tells it, where that is much longer."""
    parts = dict(point.parts_ms)
    counted = point.execution_ms or 0.0
    if between is None or between <= HIDDEN * counted:
        return point
    missing = min(between, point.latency_ms) - counted
    hidden[point.batch] = counted, between
    for name in ("network", "queue", "send", "receive", "preprocess", "postprocess"):
        taken = min(parts.get(name, 0.0), missing)
        parts[name] = parts.get(name, 0.0) - taken
        parts["compute"] += taken
        missing -= taken
    return replace(point, parts_ms={name: value for name, value in parts.items() if value or name in point.parts_ms})


def _least_loaded(server: Sequence[Observation], warnings: list[str]) -> list[Observation]:
    """Rows to take for idle ones where none is: the least load of each batch size, with a word of warning."""
    usable = [row for row in server if _is_point(row) and not row.merged]
    if not usable:
        rule = "must hold the latency of at least one execution, or of one request"
        problem = Problem("measurements", None, None, "", rule, None, "Measure with one request at a time.")
        raise InputError([problem])
    least: dict[float, Observation] = {}
    for row in sorted(usable, key=_outstanding):
        least.setdefault(row.batch, row)
    rows = [least[size] for size in sorted(least)]
    busy = [row for row in rows if _outstanding(row) > QUIET]
    if busy:
        loads = ", ".join(dict.fromkeys(map(_load, busy)))
        warnings.append(
            f"the least load measured was {loads}: service time cannot be told from waiting."
            " Measure with one request at a time"
        )
    return rows


def _is_point(row: Observation) -> bool:
    """Whether a batch curve can hold this row: a whole batch size and a time, both within what a profile can state."""
    whole = float(row.batch).is_integer() and 1 <= row.batch <= LARGEST_BATCH
    return whole and row.mean_ms is not None and SHORTEST_MS <= row.mean_ms <= LONGEST_MS


def _of_means(rows: Sequence[Observation]) -> list[str]:
    """What must be said of points whose samples are means of several executions."""
    sizes = [f"{row.batch:g}" for row in rows if row.notes.get(OF_MEANS)]
    if not sizes:
        return []
    return [
        f"executions of batch {', '.join(sizes)} are too short for the clock: their scatter is that of means of several"
    ]


def _outstanding(row: Observation) -> float:
    """Mean number of requests in the server or on their way; Little's law for an open loop."""
    if row.concurrency is not None:
        return row.concurrency
    return (row.rate_rps or 0.0) * (row.mean_ms or 0.0) / 1000.0


def _load(row: Observation) -> str:
    if row.concurrency is None:
        return f"{count(row.rate_rps or 0.0)} requests per second"
    return f"{count(row.concurrency)} outstanding request{'' if row.concurrency == 1 else 's'}"


def _device_point(row: Observation) -> CurvePoint:
    rounds = row.notes.get(ROUNDS)
    return CurvePoint(
        batch=int(row.batch),
        mean_ms=row.mean_ms or 0.0,
        executions=row.requests,
        std_ms=row.latency_ms.get("std"),
        samples_ms=row.samples_ms,
        repeats_ms=tuple(map(float, rounds)) if isinstance(rounds, list | tuple) else (),
        doubted=ROUNDS in row.notes,
    )


def _device_scatter(row: Observation) -> ScatterPoint:
    return ScatterPoint(
        batch=int(row.batch), executions=row.requests, samples_ms=row.samples_ms, statistics_ms=row.latency_ms
    )


def _lone_scatter(point: IdlePoint) -> ScatterPoint:
    """Scatter of a lone request, put down to its execution: what lies outside is taken off as a constant."""
    outside = point.latency_ms - (point.execution_ms or point.latency_ms)
    inside = {"mean": point.latency_ms, **point.statistics_ms}
    inside = {name: value if name == "std" else value - outside for name, value in inside.items()}
    samples = tuple(sample - outside for sample in point.samples_ms)
    if min((*samples, *inside.values())) <= 0:
        return ScatterPoint(batch=point.batch)
    return ScatterPoint(batch=point.batch, executions=point.requests, samples_ms=samples, statistics_ms=inside)
