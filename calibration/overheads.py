"""Which parts of a request's life lie outside the execution, and which of them hold up others?

A client sees one number. The simulator needs five: a serial front end, what happens before the queue and after the
execution (in parallel), and what holds the model instance before and after an execution. They are told apart by

1. the parts that the server reports (perf_analyzer): enqueue = send + network / 2 + queue, dispatch = input,
   release = output, reply = output + network / 2 + receive. The answer leaves after the output was copied back, so the
   output is in both: it holds the model instance, and the client waits for it;
2. an idle client against the execution alone: what is left over, half before and half after unless the server's log
   tells when executions start;
3. a saturated run of separate requests: between two full batches lie gap = batch / throughput - s(batch). It grows
   with the batch (the server gathers and scatters one request after the other), so one request that carries a whole
   batch does not show it. Half is dispatch, half is release; gap(1) = min(pre, gap), straight in between;
4. the throughput of a model that takes no time: the front end takes 1000 / throughput a request.

At every idle point enqueue + dispatch + s + reply is the measured latency.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from calibration.idle import ANSWER, IdlePoint, idle_points
from calibration.observation import Observation, Observations

DeviceMs = Callable[[float], float]
"""Batch size to mean time of an execution in ms."""

FULL: Final = 0.9
"""Mean batch over max_batch_size from which on a run counts as one of full batches."""

_FRONT_END_BOUND: Final = 0.95


@dataclass(frozen=True, kw_only=True)
class FittedOverheads:
    """Parts of a request's life outside the execution, in ms, at some batch sizes; straight lines between them."""

    batch: tuple[int, ...]
    """Batch sizes, increasing."""
    frontend_ms: float = 0.0
    """Serial work for each request."""
    enqueue_ms: tuple[float, ...]
    """From sending to being queued, beside the front end."""
    dispatch_ms: tuple[float, ...]
    """From a batch being taken to the start of its execution."""
    release_ms: tuple[float, ...]
    """From the end of an execution until the model instance is free."""
    reply_ms: tuple[float, ...]
    """From the end of an execution to the answer."""
    basis: str
    """What the split rests on, in a sentence."""
    warnings: tuple[str, ...] = ()
    """What could mislead."""

    def columns(self, batch: Sequence[int]) -> dict[str, tuple[float, ...]]:
        """The keys of a profile's ``overheads`` at these batch sizes; one number where it is the same everywhere."""
        import numpy as np

        columns: dict[str, tuple[float, ...]] = {"frontend_ms": (self.frontend_ms,)}
        for key in ("enqueue_ms", "dispatch_ms", "release_ms", "reply_ms"):
            along = np.interp(batch, self.batch, getattr(self, key)).round(6).tolist()
            columns[key] = (along[0],) if len(set(along)) == 1 else tuple(along)
        return {key: values for key, values in columns.items() if values != (0.0,)}


@dataclass(frozen=True)
class _Split:
    """One lone request, in ms: in parallel before, holding the model instance before and after, in parallel after."""

    before: float
    dispatch: float
    release: float
    after: float
    how: str = ""


@dataclass(frozen=True, kw_only=True)
class Saturated:
    """Executions that followed one another without the server ever waiting for requests."""

    batch: float
    """Mean items in an execution."""
    cycle_ms: float
    """Mean time from one execution to the next of the same model instance."""
    requests: int | None = None
    """Requests behind it."""
    answer_ms: float | None = None
    """Mean time from the end of an execution to the answer, where the server logs it."""


def fit_overheads(
    rows: Sequence[Observation],
    device_ms: DeviceMs,
    *,
    in_process: Sequence[Observation] = (),
    null_model: Observations | None = None,
) -> FittedOverheads | None:
    """Which overheads explain what lone requests and saturated runs took, given the execution times?

    Parameters
    ----------
    rows
        What clients of the server saw, idle and loaded.
    device_ms
        Mean time of an execution by batch size.
    in_process
        Executions measured where they ran, for their parts before and after; used where no client was idle.
    null_model
        The same server with a model that takes no time.

    Returns
    -------
    FittedOverheads or None
        None where nothing tells of any overhead.
    """
    frontend, warnings = (0.0, []) if null_model is None else frontend_ms(null_model)
    points = idle_points([row for row in rows if is_idle(row)])
    gaps = {run.batch: run for run in saturated_runs(rows)}
    if not points and not gaps:
        return _from_parts_alone(in_process, frontend, tuple(warnings))
    measured = _gap_curve(gaps, device_ms, warnings, frontend)
    splits: dict[int, _Split] = {}
    for size in sorted({point.batch for point in points}):
        alike = [_split(point, device_ms(point.batch), measured, warnings) for point in points if point.batch == size]
        splits[size] = _mean_split(alike)
    return _assembled(splits, measured, gaps, frontend, warnings)


def is_idle(row: Observation) -> bool:
    """Whether nothing waited: one request at a time, not merged with others."""
    return row.idle and not row.merged and row.mean_ms is not None and float(row.batch).is_integer()


def frontend_ms(null_model: Observations) -> tuple[float, list[str]]:
    """How long does the serial front end take for one request, given a model that takes no time?

    >>> rows = (Observation(concurrency=1, throughput_rps=900.0), Observation(concurrency=64, throughput_rps=1250.0))
    >>> frontend_ms(Observations(rows=rows, scope="server"))
    (0.8, [])
    """
    loaded = [row for row in null_model.rows if row.throughput_rps and not (row.rate_rps is None and row.idle)]
    rates = [row.throughput_rps for row in loaded if row.throughput_rps]
    if not rates:
        return 0.0, ["the model that takes no time was never saturated: the serial front end is not known"]
    best = max(rates)
    latest = max(loaded, key=lambda row: row.concurrency or row.rate_rps or 0.0)
    warnings = []
    if (latest.throughput_rps or 0.0) >= best and len(rates) > 1 and sorted(rates)[-2] < 0.8 * best:
        warnings.append(
            "the rate of the model that takes no time still grew with the last load: the front end may be faster"
        )
    return 1000.0 / best, warnings


def saturated_runs(rows: Sequence[Observation]) -> list[Saturated]:
    """In which rows did one model instance run full batches of separate requests back to back?

    A closed loop of at least two full batches (one in execution, one waiting), or an open loop that fell behind.
    """
    runs = []
    for row in rows:
        size = row.max_batch_size
        if size is None or row.model_instances != 1 or not row.throughput_rps or (row.batch != 1 and not row.merged):
            continue
        behind = row.rate_rps is not None and row.throughput_rps < 0.95 * row.rate_rps
        if not behind and (row.concurrency or 0.0) < 2 * size:
            continue
        batch = row.batch if row.merged else float(size)
        if batch < FULL * size:
            continue
        answer = row.notes.get(ANSWER)
        runs.append(
            Saturated(
                batch=batch,
                cycle_ms=1000.0 * batch / row.throughput_rps,
                requests=row.requests,
                answer_ms=float(answer) if isinstance(answer, int | float) else None,
            )
        )
    return runs


def _gap_curve(
    gaps: Mapping[float, Saturated], device_ms: DeviceMs, warnings: list[str], frontend: float
) -> dict[float, float]:
    """Time between two executions, by mean batch."""
    measured: dict[float, float] = {}
    for batch, run in sorted(gaps.items()):
        gap = run.cycle_ms - device_ms(batch)
        if gap < 0:
            warnings.append(
                f"saturated batches of {batch:.4g} followed one another every {run.cycle_ms:.4g} ms, faster than the"
                f" {device_ms(batch):.4g} ms an execution takes: the gap between executions counts as 0"
            )
        if frontend * batch >= _FRONT_END_BOUND * run.cycle_ms:
            warnings.append(
                f"the saturated run at batch {batch:.4g} was held up by the serial front end, not by the device:"
                " it tells no gap between executions"
            )
            continue
        measured[batch] = max(gap, 0.0)
    return measured


def _split(point: IdlePoint, device: float, gaps: Mapping[float, float], warnings: list[str]) -> _Split:
    """Where a lone request spent its time outside the execution."""
    outside = point.latency_ms - device
    if outside < 0:
        if -outside > 0.02 * point.latency_ms:
            warnings.append(
                f"a lone request of batch {point.batch} took {point.latency_ms:.4g} ms, less than its execution alone"
                f" ({device:.4g} ms): both cannot hold for the same device"
            )
        return _Split(0.0, 0.0, 0.0, 0.0, "nothing is left over beside the execution")
    if "compute" in point.parts_ms:
        return _fitted_into(_from_parts(point.parts_ms, device), outside)
    before = outside / 2 if point.start_ms is None else min(point.start_ms, outside)
    how = "half before and half after the execution" if point.start_ms is None else "as the server logs it"
    gap = min(before, max(gaps.values(), default=0.0))
    return _Split(before - gap / 2, gap / 2, gap / 2, outside - before, how)


def _from_parts(parts: Mapping[str, float], device: float) -> _Split:
    """By the server's own parts; what it counts as compute beyond the execution holds the model instance."""
    idle_compute = max(parts["compute"] - device, 0.0) / 2
    network = parts.get("network", 0.0) / 2
    release = parts.get("output", 0.0) + idle_compute
    return _Split(
        before=parts.get("preprocess", 0.0) + parts.get("send", 0.0) + network + parts.get("queue", 0.0),
        dispatch=parts.get("input", 0.0) + idle_compute,
        release=release,
        after=release + network + parts.get("receive", 0.0) + parts.get("postprocess", 0.0),
        how="the parts that the server reports",
    )


def _fitted_into(split: _Split, outside: float) -> _Split:
    """The same split, with what is missing or too much shared by the parallel parts, so that it adds up."""
    known = split.before + split.dispatch + split.after
    if known <= outside:
        extra = (outside - known) / 2
        return _Split(split.before + extra, split.dispatch, split.release, split.after + extra, split.how)
    scale = outside / known
    return _Split(split.before * scale, split.dispatch * scale, split.release * scale, split.after * scale, split.how)


def _mean_split(splits: Sequence[_Split]) -> _Split:
    n = len(splits)
    return _Split(
        sum(split.before for split in splits) / n,
        sum(split.dispatch for split in splits) / n,
        sum(split.release for split in splits) / n,
        sum(split.after for split in splits) / n,
        splits[0].how,
    )


def _assembled(
    splits: Mapping[int, _Split],
    measured: Mapping[float, float],
    runs: Mapping[float, Saturated],
    frontend: float,
    warnings: list[str],
) -> FittedOverheads:
    """Idle points and gaps on one axis."""
    import numpy as np

    sizes = sorted({*splits, *(round(batch) for batch in measured)})
    idle = list(splits)
    empty = [0.0] * len(sizes)

    def along(values: Sequence[float]) -> list[float]:
        return [float(value) for value in np.interp(sizes, idle, values)] if idle else empty

    before = along([split.before for split in splits.values()])
    dispatch = along([split.dispatch for split in splits.values()])
    release = along([split.release for split in splits.values()])
    after = along([split.after for split in splits.values()])
    basis = [f"idle requests, {next(iter(splits.values())).how}"] if splits else []
    if measured:
        largest = max(measured)
        basis.append(f"the gap between full batches of {largest:.4g} at saturation")
        dispatch, release = _with_gaps(sizes, dispatch, release, measured)
        after = _with_answers(sizes, after, runs)
        if not splits:
            warnings.append("no lone request was measured: what lies outside the model instance counts as 0")
    before = [max(value - frontend, 0.0) for value in before]
    if frontend:
        basis.append("the rate of a model that takes no time")
    return FittedOverheads(
        batch=tuple(sizes),
        frontend_ms=round(frontend, 6),
        enqueue_ms=tuple(before),
        dispatch_ms=tuple(dispatch),
        release_ms=tuple(release),
        reply_ms=tuple(after),
        basis="; ".join(basis),
        warnings=tuple(dict.fromkeys(warnings)),
    )


def _with_gaps(
    sizes: Sequence[int], dispatch: Sequence[float], release: Sequence[float], measured: Mapping[float, float]
) -> tuple[list[float], list[float]]:
    """Dispatch and release that add up to the gap where one was measured; from the smallest size to there straight."""
    import numpy as np

    anchors = {float(sizes[0]): dispatch[0] + release[0], **measured}
    batch = sorted(anchors)
    gap = np.interp(sizes, batch, [anchors[size] for size in batch])
    held = np.array(dispatch) + np.array(release)
    share = np.where(held > 0, np.array(dispatch) / np.where(held > 0, held, 1.0), 0.5)
    return (gap * share).tolist(), (gap * (1 - share)).tolist()


def _with_answers(sizes: Sequence[int], after: Sequence[float], runs: Mapping[float, Saturated]) -> list[float]:
    """Replies that grow to what the server logged at saturation; as they were idle where it logs nothing."""
    import numpy as np

    told = {batch: run.answer_ms for batch, run in runs.items() if run.answer_ms is not None}
    if not told:
        return list(after)
    anchors = {float(sizes[0]): after[0], **told}
    batch = sorted(anchors)
    return [float(value) for value in np.interp(sizes, batch, [anchors[size] for size in batch])]


def _from_parts_alone(
    rows: Sequence[Observation], frontend: float, warnings: tuple[str, ...]
) -> FittedOverheads | None:
    """Parts measured in process: work on the host is in parallel, copies hold the model instance."""
    by_batch = {int(row.batch): row.parts_ms for row in rows if len(row.parts_ms) > ("compute" in row.parts_ms)}
    if not by_batch and not frontend:
        return None
    sizes = sorted(by_batch) or [1]
    splits = [_from_parts({"compute": 0.0, **by_batch.get(size, {})}, 0.0) for size in sizes]
    return FittedOverheads(
        batch=tuple(sizes),
        frontend_ms=round(frontend, 6),
        enqueue_ms=tuple(max(by_batch.get(size, {}).get("preprocess", 0.0) - frontend, 0.0) for size in sizes),
        dispatch_ms=tuple(by_batch.get(size, {}).get("input", 0.0) for size in sizes),
        release_ms=tuple(by_batch.get(size, {}).get("output", 0.0) for size in sizes),
        reply_ms=tuple(
            split.release + by_batch.get(size, {}).get("postprocess", 0.0)
            for size, split in zip(sizes, splits, strict=True)
        ),
        basis="copies and host work measured in process: host work overlaps with other requests' executions,"
        " copies do not overlap with executions of the same model instance",
        warnings=warnings,
    )
