"""Which parts of a request's life lie outside the execution, and which of them hold up others?

A client sees one number. The simulator needs five: a serial front end, what happens before the queue and after the
execution (in parallel), and what holds the model instance before and after an execution. They are told apart by

1. the parts that the server reports (perf_analyzer): enqueue = send + network / 2 + queue, dispatch = input,
   release = output, reply = output + network / 2 + receive. The answer leaves after the output was copied back, so the
   output is in both: it holds the model instance, and the client waits for it;
2. an idle client against the execution alone: what is left over, half before (pre) and half after (post) the execution
   unless the server's log tells when it starts;
3. a saturated run: between two executions of one model instance lies gap = cycle - s(batch), half of it dispatch and
   half release. It grows with the batch (the server gathers and scatters one request after the other), so a request
   that carries a whole batch shows less of it than separate ones. gap(1) = min(pre, gap) where it was not measured,
   straight in between;
4. the throughput of a model that takes no time: the front end takes 1000 / throughput a request.

At every idle point frontend + enqueue + dispatch + s + reply is the measured latency.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from calibration.idle import IdlePoint
from calibration.observation import Observation, Observations
from calibration.saturation import DeviceMs, Saturated

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]

SERIES: Final = ("enqueue_ms", "dispatch_ms", "release_ms", "reply_ms")
"""Overheads that may differ from batch size to batch size."""

TOLERATED: Final = 0.02
"""Share of a latency by which it may fall short of its own parts before something is said."""

_FRONT_END_BOUND: Final = 0.95
_GROWING: Final = 0.8


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
    basis: str = ""
    """What the split rests on, in a sentence."""
    warnings: tuple[str, ...] = ()
    """What could mislead."""

    def columns(self, batch: Sequence[int]) -> dict[str, tuple[float, ...]]:
        """The keys of a profile's ``overheads`` at these batch sizes; one number where it is the same everywhere.

        >>> none = (0.0, 0.0)
        >>> one = FittedOverheads(
        ...     batch=(1, 3), enqueue_ms=(1.0, 1.0), dispatch_ms=(0.0, 2.0), release_ms=none, reply_ms=none
        ... )
        >>> one.columns([1, 2, 3])
        {'enqueue_ms': (1.0,), 'dispatch_ms': (0.0, 1.0, 2.0)}
        """
        columns: dict[str, tuple[float, ...]] = {"frontend_ms": (round(self.frontend_ms, 6),)}
        for key in SERIES:
            along = np.interp(batch, self.batch, getattr(self, key)).round(6).tolist()
            columns[key] = (along[0],) if len(set(along)) == 1 else tuple(along)
        return {key: values for key, values in columns.items() if values != (0.0,)}

    def held_ms(self, batch: float) -> float:
        """How long an execution of this size holds its model instance but not the device."""
        dispatch, release = (np.interp(batch, self.batch, curve) for curve in (self.dispatch_ms, self.release_ms))
        return float(dispatch + release)


def fit_overheads(
    lone: Sequence[IdlePoint],
    saturated: Sequence[Saturated],
    device_ms: DeviceMs,
    *,
    valid_range: tuple[int, int],
    in_process: Sequence[Observation] = (),
    null_model: Observations | None = None,
) -> FittedOverheads | None:
    """Which overheads explain what lone requests and saturated runs took, given the execution times?

    Parameters
    ----------
    lone
        What lone requests went through (:func:`calibration.idle.idle_points`).
    saturated
        Executions that followed one another (:func:`calibration.saturation.saturated_runs`).
    device_ms
        Mean time of an execution by batch size.
    valid_range
        Batch sizes for which ``device_ms`` holds.
    in_process
        Executions measured where they ran, for their parts before and after.
    null_model
        The same server with a model that takes no time.

    Returns
    -------
    FittedOverheads or None
        None where nothing tells of any overhead.
    """
    frontend, warnings = (0.0, []) if null_model is None else frontend_ms(null_model)
    gaps = _Gaps(saturated, device_ms, valid_range, frontend, warnings)
    copies = {int(row.batch): row.parts_ms for row in in_process if set(row.parts_ms) - {"compute"}}
    sides = _sides(lone, copies, device_ms, warnings)
    if not sides and not gaps.found and not frontend:
        return None
    sizes = sorted({*sides, *gaps.found}) or [valid_range[0]]
    known = [size for size in sizes if size in sides]
    column = {
        name: np.interp(sizes, known, [getattr(sides[size], name) for size in known]) if known else np.zeros(len(sizes))
        for name in ("before", "copy_in", "copy_out", "after")
    }
    held = gaps.held(sizes, column["copy_in"] + column["copy_out"], column["before"])
    dispatch, release = _hold(column["copy_in"], column["copy_out"], held)
    reply = gaps.answers(sizes, column["after"] + column["copy_out"])
    outside = {point.batch: point.latency_ms - device_ms(point.batch) for point in lone}
    enqueue = np.maximum(column["before"] - np.maximum(dispatch - column["copy_in"], 0.0), 0.0)
    for index, size in enumerate(sizes):
        if size in outside:
            reply[index] = min(reply[index], max(outside[size] - dispatch[index], 0.0))
            enqueue[index] = max(outside[size] - dispatch[index] - reply[index], 0.0)
    rests_on = [*dict.fromkeys(side.basis for side in sides.values()), *gaps.basis()]
    if frontend:
        rests_on.append("the rate of a model that takes no time")
    return FittedOverheads(
        batch=tuple(sizes),
        frontend_ms=frontend,
        enqueue_ms=tuple(np.maximum(enqueue - frontend, 0.0).tolist()),
        dispatch_ms=tuple(dispatch.tolist()),
        release_ms=tuple(release.tolist()),
        reply_ms=tuple(reply.tolist()),
        basis="; ".join(rests_on),
        warnings=tuple(dict.fromkeys(warnings)),
    )


def frontend_ms(null_model: Observations) -> tuple[float, list[str]]:
    """How long does the serial front end take for one request, given a model that takes no time? And what is doubtful.

    >>> rows = (Observation(concurrency=1, throughput_rps=900.0), Observation(concurrency=64, throughput_rps=1250.0))
    >>> frontend_ms(Observations(rows=rows, scope="server"))
    (0.8, [])
    """
    loaded = [row for row in null_model.rows if row.throughput_rps and not row.idle]
    if not loaded:
        return 0.0, ["the model that takes no time was never saturated: the serial front end is not known"]
    rate = {row.concurrency or row.rate_rps or 0.0: row.throughput_rps or 0.0 for row in loaded}
    best, (last, *others) = max(rate.values()), sorted(rate, reverse=True)
    warnings = []
    if others and rate[last] == best and rate[others[0]] < _GROWING * best:
        warnings.append(
            "the rate of the model that takes no time still grew with the last load: the front end may be faster"
        )
    return 1000.0 / best, warnings


@dataclass(frozen=True)
class _Sides:
    """What lies before and after an execution, in ms, beside what a saturated run tells."""

    before: float
    copy_in: float
    copy_out: float
    after: float
    basis: str

    def scaled(self, scale: float) -> _Sides:
        """Every part so many times as long."""
        return _Sides(self.before * scale, self.copy_in * scale, self.copy_out * scale, self.after * scale, self.basis)


def _mean_of(alike: Sequence[_Sides]) -> _Sides:
    """The mean of repeats."""
    n = len(alike)
    return _Sides(
        sum(one.before for one in alike) / n,
        sum(one.copy_in for one in alike) / n,
        sum(one.copy_out for one in alike) / n,
        sum(one.after for one in alike) / n,
        alike[0].basis,
    )


def _sides(
    lone: Sequence[IdlePoint],
    copies: Mapping[int, Mapping[str, float]],
    device_ms: DeviceMs,
    warnings: list[str],
) -> dict[int, _Sides]:
    """Before and after an execution, by batch size: from lone requests, and copies that were timed in process."""
    found: dict[int, list[_Sides]] = {}
    for point in lone:
        found.setdefault(point.batch, []).append(_lone_sides(point, device_ms(point.batch), warnings))
    sides = {size: _mean_of(alike) for size, alike in found.items()}
    if not sides:
        return {size: _in_process(parts) for size, parts in copies.items()}
    parallel = [(size, sides[size].before, sides[size].after) for size in sorted(sides)]
    at, before, after = zip(*parallel, strict=True)
    for size, parts in copies.items():
        if size not in sides:
            own = _in_process(parts)
            sides[size] = _Sides(
                float(np.interp(size, at, before)),
                own.copy_in,
                own.copy_out,
                float(np.interp(size, at, after)),
                own.basis,
            )
    return sides


def _in_process(parts: Mapping[str, float]) -> _Sides:
    """By parts measured around the execution: host work is in parallel with other executions, copies are not."""
    return _Sides(
        parts.get("preprocess", 0.0),
        parts.get("input", 0.0),
        parts.get("output", 0.0),
        parts.get("postprocess", 0.0),
        "host work (overlaps with other executions) and copies (do not), timed around the execution",
    )


def _lone_sides(point: IdlePoint, device: float, warnings: list[str]) -> _Sides:
    """Where a lone request spent its time outside the execution."""
    outside = point.latency_ms - device
    if outside < -TOLERATED * point.latency_ms:
        warnings.append(
            f"a lone request of batch {point.batch} took {point.latency_ms:.4g} ms, less than its execution alone"
            f" ({device:.4g} ms): both cannot hold for one device"
        )
    outside = max(outside, 0.0)
    parts = point.parts_ms
    if "compute" in parts:
        beyond = max(parts["compute"] - device, 0.0) / 2
        network = parts.get("network", 0.0) / 2
        sides = _Sides(
            parts.get("preprocess", 0.0) + parts.get("send", 0.0) + network + parts.get("queue", 0.0),
            parts.get("input", 0.0) + beyond,
            parts.get("output", 0.0) + beyond,
            network + parts.get("receive", 0.0) + parts.get("postprocess", 0.0),
            _INFERRED if point.inferred else "the parts that the server reports of lone requests",
        )
        return _fitted_into(sides, outside)
    if point.start_ms is not None:
        before = min(point.start_ms, outside)
        return _Sides(before, 0.0, 0.0, outside - before, "lone requests, and when the server's log starts executions")
    basis = "lone requests, half of what is left over before and half after the execution"
    return _Sides(outside / 2, 0.0, 0.0, outside / 2, basis)


_INFERRED: Final = "lone requests against the time between executions at saturation, half of the rest on either side"


def _fitted_into(sides: _Sides, outside: float) -> _Sides:
    """The same sides, adding up to what is outside: what is missing is shared by the parallel parts."""
    known = sides.before + sides.copy_in + sides.copy_out + sides.after
    if known <= outside:
        extra = (outside - known) / 2
        return _Sides(sides.before + extra, sides.copy_in, sides.copy_out, sides.after + extra, sides.basis)
    return sides.scaled(outside / known)


def _hold(copy_in: Floats, copy_out: Floats, held: Floats) -> tuple[Floats, Floats]:
    """Dispatch and release that add up to the time for which a model instance is held.

    What the copies do not explain is shared alike; where less is held than the copies take, these overlap with
    executions.
    """
    copies = copy_in + copy_out
    scale = np.minimum(held / np.where(copies > 0, copies, 1.0), 1.0)
    extra = np.maximum(held - copies, 0.0) / 2
    return copy_in * scale + extra, copy_out * scale + extra


class _Gaps:
    """What saturated runs tell of the time between two executions."""

    def __init__(
        self,
        runs: Sequence[Saturated],
        device_ms: DeviceMs,
        valid_range: tuple[int, int],
        frontend: float,
        warnings: list[str],
    ) -> None:
        self.found: dict[int, float] = {}
        """Gap by batch size."""
        self._answers: dict[int, float] = {}
        self._separate: set[int] = set()
        for run in runs:
            size = round(run.batch)
            gap = _gap_of(run, device_ms, valid_range, frontend, warnings)
            if gap is None:
                continue
            # A batch of separate requests shows the whole gap, one request only the constant part of it.
            if run.separate or size not in self.found:
                self.found[size] = gap
            if run.separate:
                self._separate.add(size)
            if run.answer_ms is not None:
                self._answers[size] = run.answer_ms

    def held(self, sizes: Sequence[int], copies: Floats, before: Floats) -> Floats:
        """For how long each size holds its model instance beside the execution."""
        if not self.found:
            return copies
        if not self._separate:
            extra = {size: max(gap - float(np.interp(size, sizes, copies)), 0.0) for size, gap in self.found.items()}
            known = sorted(extra)
            return copies + np.interp(sizes, known, [extra[size] for size in known])
        smallest, largest = float(copies[0]), self.found[max(self._separate)]
        anchors = {sizes[0]: smallest if smallest > 0 else min(float(before[0]), largest)}
        anchors |= {size: gap for size, gap in self.found.items() if size in self._separate or size == 1}
        known = sorted(anchors)
        return np.asarray(np.interp(sizes, known, [anchors[size] for size in known]), dtype=np.float64)

    def answers(self, sizes: Sequence[int], idle: Floats) -> Floats:
        """How long replies take: what the server logged at saturation, from the idle ones on straight to there."""
        if not self._answers:
            return idle
        anchors = {sizes[0]: float(idle[0]), **self._answers}
        known = sorted(anchors)
        return np.asarray(np.interp(sizes, known, [anchors[size] for size in known]), dtype=np.float64)

    def basis(self) -> list[str]:
        """What they tell, in words."""
        if not self.found:
            return []
        separate = "full batches of separate requests" if self._separate else "requests that waited"
        sizes = ", ".join(f"{gap:.3g} ms at batch {size}" for size, gap in sorted(self.found.items()))
        return [f"the gap between executions at saturation, {separate}: {sizes}"]


def _gap_of(
    run: Saturated, device_ms: DeviceMs, valid_range: tuple[int, int], frontend: float, warnings: list[str]
) -> float | None:
    """Time between two executions of this run; None where it tells none, with a word of warning why."""
    size = f"{run.batch:.4g}"
    if not valid_range[0] <= run.batch <= valid_range[1]:
        warnings.append(
            f"a saturated run formed batches of {size}, outside the batch sizes whose execution was timed"
            f" ({valid_range[0]} to {valid_range[1]}): it tells no gap between executions"
        )
        return None
    if frontend * run.requests_each >= _FRONT_END_BOUND * run.cycle_ms:
        warnings.append(
            f"the saturated run at batch {size} was held up by the serial front end, not by the device:"
            " it tells no gap between executions"
        )
        return None
    device = device_ms(run.batch)
    gap = run.cycle_ms - device
    if gap < 0 and not run.separate:
        return None
    if gap < -TOLERATED * device:
        warnings.append(
            f"saturated batches of {size} followed one another every {run.cycle_ms:.4g} ms, faster than their execution"
            f" of {device:.4g} ms: the gap between executions counts as 0"
        )
    if run.separate and gap > device:
        warnings.append(
            f"at saturation a full batch of {size} would take {run.cycle_ms:.4g} ms, of which its execution only"
            f" {device:.4g} ms: the server did not fill its batches, or something else held it up; no gap is taken"
        )
        return None
    return max(gap, 0.0)
