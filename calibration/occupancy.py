"""What does a lone request occupy: the accelerator, only its model instance, or neither?

A lone request tells how long each of its parts takes, not whom it holds up. With several model instances on one
accelerator, and with requests that come one by one, that decides the throughput. Three rules, each a physical argument
with the measurements behind it. A measurement wins over them: several model instances tell how they slow one another
down, separate requests at saturation tell the gap between executions.

**Launches.** The most efficient batch takes g = min t(b) / b for an item. What another batch takes beyond g b does not
grow with its work: launches, latencies, units left idle. Two executions beside one another overlap there, at best
entirely and at worst not at all; half is taken. It holds the model instance, not the accelerator. (FastPitch on a V100,
two executions of one item at once: each takes 1.33 times as long in FP16, where eight items take only 1.4 times as long
as one, and 1.9 times in FP32, where they take 3.5 times as long. Any share from 0.35 to 0.65 does as well.)

**Shared memory.** Where the copy to the device grows with the batch and the network part does not, the client put its
inputs into shared memory. Separate requests bring theirs over the wire, and processors then copy every byte from one
buffer to the next (serialise, send, receive, parse, gather), each time more slowly than the bus: in all COPIES times
the copy to the device. (ResNet-50 was published over the wire: 0.36 ms for one more image of 602 kB on an A100, where
the bus takes 0.05 ms and the execution less than 0.1 ms. Of four curves of GPUNet any three, on an A100 and a V100,
ask for 7 and predict the fourth with it.)

**One after the other.** However many answers leave at once, the next requests do not arrive in one instant: a server
takes them in one after the other. Without that, the clients of a closed loop would march in step for ever. Triton on
two slow processors took in 12,500 a second; RECEIVE_MS is four times as fast.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import mean, median
from typing import Any, Final

from calibration.executions import Executions
from calibration.idle import IdlePoint
from calibration.overheads import FittedOverheads
from calibration.scatter import ScatterPoint

OVERLAPS: Final = 0.5
"""Share of what does not grow with the batch that leaves the accelerator to others: halfway between none and all."""

COPIES: Final = 7.0
"""Time that an input over the wire takes on processors, over that of its copy from shared memory to the device."""

MATTERS: Final = 0.05
"""Share of the latency of the largest batch from which on the copy of its input is looked at."""

RECEIVE_MS: Final = 0.02
"""Least time in which a server takes in one request, in ms: 50,000 a second."""


def on_accelerator(provenance: Mapping[str, Any]) -> bool:
    """Whether the rules of this module hold: what was measured ran beside a host, not on it, as far as anything tells.

    >>> on_accelerator({"device": "NVIDIA T4"}), on_accelerator({"device": "CPU"}), on_accelerator({"server": "Triton"})
    (True, False, True)
    """
    device = str(provenance.get("device") or "").casefold()
    if device:
        return not any(word in device for word in ("cpu", "xeon", "epyc", "ryzen", "core(tm)", "graviton"))
    return "cpu" not in provenance and str(provenance.get("server") or "").casefold() == "triton"


def launch_ms(times_ms: Mapping[int, float]) -> dict[int, float]:
    """How much of each execution holds its model instance, but leaves the accelerator to other model instances?

    Parameters
    ----------
    times_ms
        Mean time of an execution by batch size.

    Returns
    -------
    dict of int to float
        OVERLAPS (t(b) - g b) by batch size, where g = min t(b) / b.

    Examples
    --------
    >>> launch_ms({1: 5.0, 8: 8.0})
    {1: 2.0, 8: 0.0}
    """
    least = min((ms / batch for batch, ms in times_ms.items()), default=0.0)
    return {batch: OVERLAPS * max(ms - least * batch, 0.0) for batch, ms in times_ms.items()}


def occupying(executions: Executions, *, launches: bool = True) -> Executions:
    """For how long do executions occupy the accelerator, given those that lone requests tell of? Without launches.

    Parameters
    ----------
    executions
        Such as were timed on the device are returned as they are.
    launches
        Whether launches are set apart; not where runs of several model instances tell how these overlap.
    """
    if executions.timed or not launches:
        return executions
    times: dict[int, list[float]] = {}
    for point in executions.points:
        times.setdefault(point.batch, []).append(point.mean_ms)
    means = {batch: mean(alike) for batch, alike in times.items()}
    apart = launch_ms(means)
    left = {batch: 1 - apart[batch] / ms for batch, ms in means.items()}
    basis = executions.basis
    if any(ms > 0 for ms in apart.values()):
        basis += ", less half of what does not grow with the batch (launches: they hold the model instance alone)"
    return replace(
        executions,
        basis=basis,
        points=tuple(replace(point, mean_ms=point.mean_ms * left[point.batch]) for point in executions.points),
        scatter=tuple(_shortened(point, apart[point.batch]) for point in executions.scatter),
    )


def _shortened(point: ScatterPoint, ms: float) -> ScatterPoint:
    """The same spread of executions that are shorter by a constant; nothing where it would reach below 0."""
    times = {name: value if name == "std" else value - ms for name, value in point.statistics_ms.items()}
    samples = tuple(value - ms for value in point.samples_ms)
    if min((*samples, *times.values()), default=1.0) <= 0:
        return replace(point, samples_ms=(), statistics_ms={})
    return replace(point, samples_ms=samples, statistics_ms=times)


def wire_ms(lone: Sequence[IdlePoint]) -> float:
    """How much longer does an item hold the model instance that comes over the wire, and not in shared memory, in ms?

    Parameters
    ----------
    lone
        Lone requests of several batch sizes, with the server's own parts.

    Returns
    -------
    float
        (COPIES - 1) times the time that one more item adds to the copy to the device (the median over the batch
        sizes); 0 where the inputs came over the wire, where they are too small to matter, or where nothing tells.

    Examples
    --------
    >>> parts = {"network": 0.2, "input": 0.1, "compute": 0.6}, {"network": 0.2, "input": 3.3, "compute": 5.0}
    >>> points = [IdlePoint(batch=b, latency_ms=sum(p.values()), parts_ms=p) for b, p in zip((1, 64), parts)]
    >>> round(wire_ms(points), 3)
    0.305
    """
    told = sorted((p for p in lone if {"network", "input"} <= set(p.parts_ms)), key=lambda point: point.batch)
    if len({point.batch for point in told}) < 2:
        return 0.0
    smallest, largest = told[0], told[-1]
    copied, sent = (_growth(smallest, largest, part) for part in ("input", "network"))
    if largest.parts_ms["input"] < MATTERS * largest.latency_ms or sent > copied / 2:
        return 0.0
    growths = [_growth(smallest, point, "input") for point in told if point.batch > smallest.batch]
    return (COPIES - 1) * max(median(growths), 0.0)


def _growth(smaller: IdlePoint, larger: IdlePoint, part: str) -> float:
    """Time that one more item adds to a part, in ms."""
    return (larger.parts_ms[part] - smaller.parts_ms[part]) / (larger.batch - smaller.batch)


def with_separate_requests(overheads: FittedOverheads, wire_ms: float) -> FittedOverheads:
    """Which overheads do separate requests have, where these were found from lone ones?

    Parameters
    ----------
    overheads
        As :func:`calibration.overheads.fit_overheads` gives them.
    wire_ms
        What :func:`wire_ms` says of the lone requests; 0 where separate requests were measured at saturation.

    Examples
    --------
    >>> none = (0.0, 0.0)
    >>> lone = FittedOverheads(batch=(1, 8), enqueue_ms=(0.1, 0.1), dispatch_ms=none, release_ms=none, reply_ms=none)
    >>> separate = with_separate_requests(lone, 0.25)
    >>> separate.frontend_ms, separate.enqueue_ms, separate.dispatch_ms
    (0.02, (0.08, 0.08), (0.25, 2.0))
    """
    received = max(RECEIVE_MS - overheads.frontend_ms, 0.0)
    warnings = overheads.warnings
    if wire_ms > 0:
        warnings = (
            *warnings,
            "the inputs lay in shared memory (their copy to the device grows with the batch, the network part does"
            " not): separate requests bring theirs over the wire, which is taken to hold the model instance"
            f" {wire_ms:.2g} ms longer for each item ({COPIES:g} times the copy). Measure separate requests at"
            " saturation to know it",
        )
    return replace(
        overheads,
        frontend_ms=overheads.frontend_ms + received,
        enqueue_ms=tuple(round(max(ms - received, 0.0), 9) for ms in overheads.enqueue_ms),
        dispatch_ms=tuple(ms + wire_ms * size for size, ms in zip(overheads.batch, overheads.dispatch_ms, strict=True)),
        warnings=warnings,
    )
