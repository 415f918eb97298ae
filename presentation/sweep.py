"""How far does a fleet carry: the p99 at one load after another, the load that the SLO allows, and the knee.

The knee is the load at which throughput over latency is largest (L. Kleinrock (1979), "Power and deterministic rules of
thumb for probabilistic problems in computer communications", ICC): before it more load costs little latency, beyond it
little throughput is won. The largest load within the SLO is read between the last simulated load that holds and the
first that does not, straight on the logarithm of the p99.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from presentation.controls import slo_key, with_load
from presentation.excerpt import excerpt
from simulator.outcome import Report, WorkloadReport
from simulator.scenario import Scenario
from simulator.study import simulate

REQUESTS: Final = 30_000
"""Requests at each load."""

LOADS: Final = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.68, 0.75, 0.81, 0.86, 0.9, 0.94, 0.98, 1.03)
"""Loads to look at, as shares of what the fleet can do."""

_CLIENTS: Final = (0.125, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 4.0)
"""The same for clients who wait for their replies: multiples of the scenario's."""


@dataclass(frozen=True)
class LoadPoint:
    """One load."""

    factor: float
    """Multiple of the scenario's load."""
    load: float
    """Requests a second offered; clients in a closed loop."""
    throughput_rps: float
    mean_ms: float | None
    value_ms: float | None
    """The percentile of the objective, or the p99: None where the queue grows, or too many requests are lost."""


@dataclass(frozen=True)
class Sweep:
    """A load curve."""

    workload: str
    percentile: str
    """Which percentile ``value_ms`` is."""
    unit: str
    """Of ``load``: requests/s or clients."""
    points: tuple[LoadPoint, ...]
    target_ms: float | None

    @property
    def now(self) -> LoadPoint | None:
        """Where the scenario stands."""
        return next((point for point in self.points if point.factor == 1.0), None)

    @property
    def knee(self) -> LoadPoint | None:
        """The load with the largest throughput for its latency; None where no queue is steady."""
        steady = [point for point in self.points if point.mean_ms and point.value_ms is not None]
        return max(steady, key=lambda point: point.throughput_rps / (point.mean_ms or math.inf), default=None)

    @property
    def largest_load(self) -> float | None:
        """The largest load within the SLO; None without an SLO, or where every load or no load holds it."""
        if self.target_ms is None:
            return None
        for held, missed in pairwise(self.points):
            if not _holds(held, self.target_ms) or _holds(missed, self.target_ms):
                continue
            if missed.value_ms is None or held.value_ms is None:
                return held.load
            low, high, target = math.log(held.value_ms), math.log(missed.value_ms), math.log(self.target_ms)
            return held.load + (missed.load - held.load) * (target - low) / (high - low)
        return None


def sweep(
    scenario: Scenario,
    workload: str,
    report: Report,
    *,
    done: Callable[[float], None] = lambda _: None,
    loads: Sequence[float] = LOADS,
) -> Sweep:
    """The load curve of one workload; the others stay as they are.

    Parameters
    ----------
    scenario, workload
        What is asked.
    report
        Of the same scenario: it says how loaded the fleet is now.
    done
        Is told which share of the loads was simulated.
    loads
        Shares of what the fleet can do.
    """
    asked = scenario.workloads[workload]
    key = slo_key(asked) or "p99"
    closed = asked.arrivals.process == "closed_loop"
    factors = list(_CLIENTS if closed else _factors(report, asked.fleet, loads))
    points: dict[float, LoadPoint] = {}
    for index, factor in enumerate(factors):
        point = _point(with_load(scenario, workload, factor), workload, factor, key, closed)
        # Different shares of a client are the same client; the scenario itself is kept.
        if factor == 1.0 or point.load not in points:
            points[point.load] = point
        done((index + 1) / len(factors))
    target_ms = None if asked.slo is None else asked.slo.targets_ns.get(key)
    return Sweep(
        workload=workload,
        percentile=key,
        unit="clients" if closed else "requests/s",
        points=tuple(points[load] for load in sorted(points)),
        target_ms=None if target_ms is None else target_ms / 1e6,
    )


def _factors(report: Report, fleet: str, loads: Sequence[float]) -> Iterator[float]:
    """Multiples of the present load that bring the fleet to these loads."""
    now = next(one.offered_load for one in report.fleets if one.name == fleet)
    yield from sorted({*(load / now for load in loads), 1.0} if now > 0 else set(loads))


def _point(scenario: Scenario, workload: str, factor: float, key: str, closed: bool) -> LoadPoint:
    short = excerpt(scenario, requests=REQUESTS, replications=1)
    report = simulate(short.scenario, jobs=1)
    found = next(one for one in report.workloads if one.name == workload)
    grows = any(fleet.unstable for fleet in report.fleets if fleet.name == found.fleet)
    arrivals = scenario.workloads[workload].arrivals
    return LoadPoint(
        factor=factor,
        load=float(arrivals.concurrency) if closed else found.offered_rps,  # type: ignore[union-attr]
        throughput_rps=found.throughput_rps,
        mean_ms=None if grows or found.latency_ms is None else found.latency_ms.mean,
        value_ms=None if grows else _value(found, key),
    )


def _value(found: WorkloadReport, key: str) -> float | None:
    """The percentile as the objective judges it, lost requests and all."""
    if found.slo is not None and f"{key}_ms" in found.slo.values:
        return found.slo.values[f"{key}_ms"]
    return None if found.latency_ms is None else getattr(found.latency_ms, key)


def _holds(point: LoadPoint, target_ms: float) -> bool:
    return point.value_ms is not None and point.value_ms <= target_ms
