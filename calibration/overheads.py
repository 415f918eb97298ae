"""Which parts of a request's life lie outside the execution, and which of them hold up others?

A client sees one number. The simulator needs five: a serial front end, what happens before the queue and after the
execution (in parallel), and what holds the model instance before and after an execution. They are told apart by

1. the parts that the server reports (perf_analyzer): enqueue = send + network / 2 + queue, reply = network / 2 +
   receive. Input, compute and output are the execution (:mod:`calibration.executions` says why);
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
_NOTHING_LEFT: Final = 1e-9


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
    sides = _sides(lone, in_process, device_ms, warnings)
    if not sides and not gaps.found and not frontend:
        return None
    sizes = sorted({*sides, *gaps.found}) or [valid_range[0]]
    held = gaps.held(sizes, sides)
    reply, enqueue = _summed(sizes, lone, device_ms, held / 2, sides, gaps)
    rests_on = [*dict.fromkeys(side.basis for side in sides.values()), *gaps.basis()]
    if frontend:
        rests_on.append("the rate of a model that takes no time")
    return FittedOverheads(
        batch=tuple(sizes),
        frontend_ms=frontend,
        enqueue_ms=tuple(np.maximum(enqueue - frontend, 0.0).tolist()),
        dispatch_ms=tuple((held / 2).tolist()),
        release_ms=tuple((held / 2).tolist()),
        reply_ms=tuple(reply.tolist()),
        basis="; ".join(rests_on),
        warnings=tuple(dict.fromkeys(warnings)),
    )


def _summed(
    sizes: Sequence[int],
    lone: Sequence[IdlePoint],
    device_ms: DeviceMs,
    dispatch: Floats,
    sides: Mapping[int, _Sides],
    gaps: _Gaps,
) -> tuple[Floats, Floats]:
    """Reply and enqueue with which the parts of each lone request add up to its latency.

    Enqueue takes what dispatch and reply leave; it is a matter of the request, so that sizes at which no lone request
    was measured lie on straight lines between those at which one was.
    """
    if not sides:
        return np.zeros(len(sizes)), np.zeros(len(sizes))
    after = [side.after + side.around / 2 for side in sides.values()]
    reply = gaps.answers(sizes, np.asarray(np.interp(sizes, list(sides), after), dtype=np.float64))
    enqueue = {size: side.before for size, side in sides.items()}
    for size in {point.batch for point in lone}:
        alike = [point.latency_ms for point in lone if point.batch == size]
        index = sizes.index(size)
        left = max(sum(alike) / len(alike) - device_ms(size) - float(dispatch[index]), 0.0)
        reply[index] = min(float(reply[index]), left)
        enqueue[size] = left - float(reply[index])
    return reply, np.asarray(np.interp(sizes, list(enqueue), list(enqueue.values())), dtype=np.float64)


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
    """What lies around an execution, in ms, beside what a saturated run tells."""

    before: float
    """In parallel, before."""
    around: float
    """What the server counts as execution beyond the time on the device; holds the model instance."""
    after: float
    """In parallel, after."""
    basis: str

    @property
    def pre(self) -> float:
        """Between sending and the start of the execution."""
        return self.before + self.around / 2


def _mean_of(alike: Sequence[_Sides]) -> _Sides:
    """The mean of repeats."""
    n = len(alike)
    before, around, after = (sum(getattr(one, name) for one in alike) / n for name in ("before", "around", "after"))
    return _Sides(before, around, after, alike[0].basis)


def _sides(
    lone: Sequence[IdlePoint], in_process: Sequence[Observation], device_ms: DeviceMs, warnings: list[str]
) -> dict[int, _Sides]:
    """Before and after an execution, by batch size: from lone requests; else from host work timed in process."""
    found: dict[int, list[_Sides]] = {}
    for point in lone:
        found.setdefault(point.batch, []).append(_lone_sides(point, device_ms(point.batch), warnings))
    if not found:
        for row in in_process:
            if {"preprocess", "postprocess"} & set(row.parts_ms) and float(row.batch).is_integer():
                before, after = (row.parts_ms.get(name, 0.0) for name in ("preprocess", "postprocess"))
                found.setdefault(int(row.batch), []).append(_Sides(before, 0.0, after, _IN_PROCESS))
    return {size: _mean_of(found[size]) for size in sorted(found)}


_IN_PROCESS: Final = "work on the host, timed around the execution; it is taken to overlap with other executions"
_REPORTED: Final = "the parts that the server reports of lone requests"
_UNKNOWN: Final = "nothing: what lies outside the execution of lone requests is not known, and counts as none"
_INFERRED: Final = "lone requests against the time between executions at saturation, half of the rest on either side"
_LOGGED: Final = "lone requests, and when the server's log starts executions"
_HALVED: Final = "lone requests, half of what is left over before and half after the execution"


def _lone_sides(point: IdlePoint, device: float, warnings: list[str]) -> _Sides:
    """Where a lone request spent its time outside the execution."""
    outside = point.latency_ms - device
    if outside < -TOLERATED * point.latency_ms:
        warnings.append(
            f"a lone request of batch {point.batch} took {point.latency_ms:.4g} ms, less than its execution alone"
            f" ({device:.4g} ms): both cannot hold for one device"
        )
    outside = max(outside, 0.0)
    if point.execution_ms is None:
        before = outside / 2 if point.start_ms is None else min(point.start_ms, outside)
        return _Sides(before, 0.0, outside - before, _HALVED if point.start_ms is None else _LOGGED)
    parts = point.parts_ms
    network = parts.get("network", 0.0) / 2
    before = parts.get("preprocess", 0.0) + parts.get("send", 0.0) + network + parts.get("queue", 0.0)
    after = network + parts.get("receive", 0.0) + parts.get("postprocess", 0.0)
    around = min(max(point.execution_ms - device, 0.0), outside)
    rest = outside - around
    share = before / (before + after) if before + after > 0 else 0.5
    basis = _REPORTED
    if point.inferred:
        basis = _INFERRED if point.execution_ms < (1 - _NOTHING_LEFT) * point.latency_ms else _UNKNOWN
    return _Sides(rest * share, around, rest * (1 - share), basis)


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

    def held(self, sizes: Sequence[int], sides: Mapping[int, _Sides]) -> Floats:
        """For how long each size holds its model instance beside the execution."""
        served = {size: one.around for size, one in sides.items()} or {sizes[0]: 0.0}
        around = np.interp(sizes, list(served), list(served.values()))
        if not self.found:
            return np.asarray(around, dtype=np.float64)
        anchors = dict(self.found)
        if self._separate and sizes[0] not in anchors:
            largest = self.found[max(self._separate)]
            pre = sides[sizes[0]].pre if sizes[0] in sides else largest
            anchors[sizes[0]] = float(around[0]) or min(pre, largest)
        if self._separate:
            anchors = {size: gap for size, gap in anchors.items() if size in self._separate or size == sizes[0]}
        known = sorted(anchors)
        gap = np.interp(sizes, known, [anchors[size] for size in known])
        return np.asarray(np.maximum(gap, around if not self._separate else 0.0), dtype=np.float64)

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
