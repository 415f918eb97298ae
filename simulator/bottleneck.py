"""One sentence that says what sets the latency, and how busy the fleet is.

It speaks of the workload nearest to missing its SLO (or past it), or else the slowest, and of the percentile that
its objective asks for. What the requests at that percentile spent their time on comes from
:class:`simulator.tally.Makeup`: percentiles of the parts would not add up to the percentile of the whole.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np

from simulator.clock import ns_from_ms
from simulator.description import Description, FleetDescription
from simulator.loads import FleetLoad
from simulator.outcome import WorkloadReport
from simulator.tally import FleetTally, Share, Tally, WorkloadTally
from simulator.wording import milliseconds, percentile

MOSTLY: Final = 0.6
"""Share of a latency from which it is said to be that one thing."""

IDLE: Final = 0.6
"""Utilisation below which waiting is not put down to a want of capacity."""

ROOM_FOR_BURSTS: Final = 0.8
"""The same where the traffic varies by design, so that an average says less."""


def bottleneck(
    description: Description, tally: Tally, loads: Sequence[FleetLoad], reports: Sequence[WorkloadReport]
) -> str:
    """What sets the latency that matters most, in one sentence with its full stop; empty without workloads."""
    if not reports:
        return ""
    serving = [workload.fleet for workload in description.workloads]
    worst = max(range(len(reports)), key=lambda index: _urgency(reports[index], loads[serving[index]]))
    report, counted = reports[worst], tally.workloads[worst]
    served_by = serving[worst]
    fleet, load, executed = description.fleets[served_by], loads[served_by], tally.fleets[served_by]
    whose = f" of {report.name}" if len(reports) > 1 else ""
    if report.latency_ms is None:
        return f"{fleet.name} answered no request of {report.name} that arrived after the warm-up."
    if load.unstable:
        return _overloaded(fleet, load, executed, whose)
    name = _asked(report)
    latency_ms = getattr(report.latency_ms, name)
    parts = counted.makeup.around(ns_from_ms(latency_ms))
    return (
        f"{_busy(fleet, load, executed)}; the {percentile(name)}{whose} is "
        f"{_cause(parts, latency_ms, fleet, load, counted)}."
    )


def _urgency(report: WorkloadReport, load: FleetLoad) -> tuple[bool, float, float]:
    """What makes one workload matter more than another: overload, then its SLO, then its latency."""
    unanswered = math.inf if report.offered_rps else -1.0
    slowest = unanswered if report.latency_ms is None else report.latency_ms.p99
    return load.unstable, max(_pressures(report).values(), default=0.0), slowest


def _pressures(report: WorkloadReport) -> dict[str, float]:
    """Value over target of each objective, by ``p99`` and the like: above 1 it is missed."""
    if report.slo is None or report.slo.met is None:
        return {}
    return {
        key.removesuffix("_ms"): math.inf if (value := report.slo.values[key]) is None else value / target
        for key, target in report.slo.targets.items()
    }


def _asked(report: WorkloadReport) -> str:
    """The percentile to speak of: that of the objective nearest to being missed, or the p99."""
    pressures = _pressures(report)
    return max(pressures, key=lambda name: pressures[name]) if pressures else "p99"


def _overloaded(fleet: FleetDescription, load: FleetLoad, executed: FleetTally, whose: str) -> str:
    """Why a queue grows for as long as the run lasts."""
    if load.open < 1:
        slow = "its front end" if load.before_queue else "something between its executions"
        return f"the queue{whose} grows though {_busy(fleet, load, executed)}: {slow} is too slow."
    front = " before its front end" if load.before_queue else ""
    return (
        f"{fleet.name} is overloaded: it is offered {load.open:.2f} times what it can do, and the queue{whose}{front} "
        "grows for as long as the run lasts."
    )


def _busy(fleet: FleetDescription, load: FleetLoad, counted: FleetTally) -> str:
    """How busy a fleet is, and why that may not be how loaded it is."""
    busy = f"{fleet.name} is {load.utilisation:.0%} busy"
    if load.open >= 1:
        return f"{busy} and offered {load.open:.2f} times what it can do"
    if load.offered >= 0.8 and load.offered > load.utilisation + 0.08:
        return f"{busy}, at {load.offered:.0%} of its capacity (the rest passes between batches)"
    if load.utilisation >= 0.8 and load.offered < 0.75 * load.utilisation and fleet.max_batch_size > 1:
        sizes = counted.batch_sizes
        mean = float(sizes @ np.arange(len(sizes))) / max(1, int(sizes.sum()))
        return (
            f"{busy}, but at {load.offered:.0%} of its capacity (batches average {mean:.1f} of at most "
            f"{fleet.max_batch_size})"
        )
    return busy


def _cause(parts: Share, latency_ms: float, fleet: FleetDescription, load: FleetLoad, counted: WorkloadTally) -> str:
    """What a latency consists of, mostly or in its two largest parts."""
    names = ("queueing", "service", "the reply and other time outside the accelerator")
    first, second = sorted(range(3), key=lambda part: parts[part], reverse=True)[:2]
    share = milliseconds(parts[first] * latency_ms, latency_ms)
    if parts[first] < MOSTLY:
        least = milliseconds(parts[second] * latency_ms, latency_ms)
        return f"{names[first]} and {names[second]} alike ({share.split(' of ')[0]} and {least})"
    if first == 1:
        return f"service, not queueing ({share})"
    if first == 2:
        return f"{names[2]} ({share})"
    if counted.before_queue_ns > counted.queue.total / 2:
        return f"the way to the queue, through the front end ({share})"
    if load.utilisation < IDLE:
        if fleet.batching == "static":
            return f"waiting to fill a batch of {fleet.max_batch_size} ({share})"
        if fleet.batching == "dynamic" and parts.queue * latency_ms <= 1.3 * fleet.max_queue_delay_ms:
            return f"waiting to fill a batch ({share}), for max_queue_delay {milliseconds(fleet.max_queue_delay_ms)}"
    if load.utilisation < (ROOM_FOR_BURSTS if load.varying else IDLE):
        return f"queueing in bursts, not service ({share}): on average there is room"
    return f"queueing, not service ({share})"
