"""From what was counted to what is reported: rates, percentiles, intervals, verdicts and money.

The path of a run's numbers: the logs (:mod:`simulator.log`) are folded into a :class:`Tally` per replication
(:mod:`simulator.tally` says what is counted and how), and :func:`summarise` turns the tallies into one
:class:`~simulator.outcome.Report`. How loaded the fleets are is worked out in :mod:`simulator.loads`, what sets the
latency in :mod:`simulator.bottleneck`, and what to beware of in :mod:`simulator.cautions`.

Beyond what :mod:`simulator.tally` defines, with R runs and a window of T seconds:

offered, throughput, items      requests offered, requests answered, items answered, each / (R T)
attainment                      good / offered: answered within the largest target
goodput                         good / (R T)
an SLO on a percentile          met if that percentile of all requests offered in the window, with those lost as
                                infinitely late, is at most the target; not met if the queue grows for ever
money                           usd_per_month = 730 usd_per_hour; per thousand requests = usd_per_hour /
                                (3.6 x throughput of all workloads)
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from simulator.bottleneck import bottleneck
from simulator.cautions import cautions
from simulator.clock import ms_from_ns, ns_from_ms, s_from_ns
from simulator.description import Description, FleetCost, FleetDescription, WorkloadDescription
from simulator.distribution import Distribution
from simulator.intervals import interval_95
from simulator.loads import FleetLoad, fleet_loads
from simulator.log import OUTCOMES
from simulator.outcome import (
    PERCENTILES,
    CostReport,
    FleetReport,
    Latencies,
    Report,
    SloReport,
    WorkloadReport,
)
from simulator.tally import FleetTally, Tally, Window, WorkloadTally

__all__ = [
    "Description",
    "FleetCost",
    "FleetDescription",
    "Tally",
    "Window",
    "WorkloadDescription",
    "summarise",
    "window_of",
]

HOURS_PER_MONTH: Final = 730


def window_of(description: Description, warmup_ns: int, horizon_ns: int) -> Window:
    """The part of a run to measure, with each workload's threshold from its objectives."""
    thresholds = (workload.threshold_ms for workload in description.workloads)
    return Window(
        warmup_ns,
        horizon_ns,
        tuple(None if threshold is None else ns_from_ms(threshold) for threshold in thresholds),
        len(description.fleets),
    )


def summarise(tallies: Sequence[Tally], description: Description) -> Report:
    """What do these runs say? One tally a replication, all of the same window; they are left as they are.

    Raises
    ------
    ValueError
        If there is no tally, or they are of different windows or of other workloads and fleets than described.
    """
    pooled = _pool(tallies, description)
    runs = len(tallies)
    loads = fleet_loads(description, pooled, runs)
    workloads = tuple(
        _workload_report(
            workload,
            description.fleets[workload.fleet].name,
            pooled.workloads[index],
            [tally.workloads[index] for tally in tallies],
            s_from_ns(pooled.window.length_ns) * runs,
            loads[workload.fleet].unstable,
        )
        for index, workload in enumerate(description.workloads)
    )
    costs = tuple(_cost_of(fleet, workloads, runs) for fleet in description.fleets)
    return Report(
        scenario=description.scenario,
        seed=description.seed,
        engine=description.engine,
        replications=runs,
        horizon_s=s_from_ns(pooled.window.horizon_ns),
        warmup_s=s_from_ns(pooled.window.warmup_ns),
        workloads=workloads,
        fleets=tuple(map(_fleet_report, description.fleets, costs, pooled.fleets, loads)),
        cost=_cost_report(description, costs, sum(workload.throughput_rps for workload in workloads)),
        timing_s=dict(description.timing_s),
        cautions=cautions(description, pooled, loads, runs),
        bottleneck=bottleneck(description, pooled, loads, workloads),
        assumptions=dict(description.assumptions),
    )


def latencies_ms(durations: Distribution) -> Latencies | None:
    """Mean, percentiles and worst of a distribution in ns, as ms; None of an empty one."""
    if durations.count == 0:
        return None
    percentiles = {name: ms_from_ns(durations.quantile(p)) for name, p in PERCENTILES.items()}
    return Latencies(mean=ms_from_ns(durations.mean), max=ms_from_ns(durations.max), **percentiles)


def _pool(tallies: Sequence[Tally], description: Description) -> Tally:
    """All replications as one tally."""
    if not tallies:
        raise ValueError("a report needs at least one tally, got none.")
    first = tallies[0]
    described = (len(description.workloads), len(description.fleets))
    if described != (first.window.n_workloads, first.window.n_fleets):
        raise ValueError(
            f"the description must name the tally's {first.window.n_workloads} workloads and "
            f"{first.window.n_fleets} fleets, got {described[0]} and {described[1]}."
        )
    if len(tallies) == 1:
        return first
    pooled = Tally.of(first.window, exact=first.exact)
    for tally in tallies:
        pooled.merge(tally)
    return pooled


def _workload_report(
    workload: WorkloadDescription,
    fleet: str,
    pooled: WorkloadTally,
    each: Sequence[WorkloadTally],
    measured_s: float,
    unstable: bool,
) -> WorkloadReport:
    outcomes = dict(zip(OUTCOMES, pooled.outcomes.tolist(), strict=True))
    return WorkloadReport(
        name=workload.name,
        fleet=fleet,
        offered_rps=pooled.offered / measured_s,
        throughput_rps=pooled.answered / measured_s,
        goodput_rps=pooled.good / measured_s if workload.slo_ms else None,
        items_per_s=pooled.answered_items / measured_s,
        latency_ms=latencies_ms(pooled.latency),
        queue_ms=latencies_ms(pooled.queue),
        service_ms=latencies_ms(pooled.service),
        ci95=_intervals(pooled.latency, [one.latency for one in each]) if len(each) > 1 else None,
        slo=_slo_report(workload.slo_ms, pooled, unstable) if workload.slo_ms else None,
        outcomes={"arrived": sum(outcomes.values()), **outcomes},
        measured=pooled.latency.count,
    )


def _intervals(pooled: Distribution, each: Sequence[Distribution]) -> dict[str, tuple[float, float]]:
    """95 % interval of the mean and of each percentile, in ms; none when a replication holds nothing."""
    if any(one.count == 0 for one in each):
        return {}
    intervals = {"mean_ms": interval_95(pooled.mean, [one.mean for one in each])}
    for name, p in PERCENTILES.items():
        intervals[f"{name}_ms"] = interval_95(pooled.quantile(p), [one.quantile(p) for one in each])
    return {name: (ms_from_ns(max(0.0, low)), ms_from_ns(high)) for name, (low, high) in intervals.items()}


def _slo_report(slo_ms: Mapping[str, float], pooled: WorkloadTally, unstable: bool) -> SloReport:
    """Hold every request that arrived in the window to the objectives."""
    targets = {f"{name}_ms": float(target) for name, target in slo_ms.items()}
    if pooled.offered == 0:
        nothing: dict[str, float | None] = dict.fromkeys(targets)
        return SloReport(targets=targets, values=nothing, met=None, attainment=None, margin_ms=nothing)
    values = {
        f"{name}_ms": math.inf if unstable else ms_from_ns(_judged_ns(name, pooled.latency, pooled.lost))
        for name in slo_ms
    }
    return SloReport(
        targets=targets,
        values={key: _finite(value) for key, value in values.items()},
        met=all(values[key] <= target for key, target in targets.items()),
        attainment=pooled.good / pooled.offered,
        margin_ms={key: _finite(target - values[key]) for key, target in targets.items()},
    )


def _judged_ns(name: str, latency: Distribution, lost: int) -> float:
    """Mean or percentile of all requests, the lost ones infinitely late."""
    if name == "mean":
        return math.inf if lost else latency.mean
    return latency.quantile(PERCENTILES[name], late=lost)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _cost_of(fleet: FleetDescription, workloads: Sequence[WorkloadReport], runs: int) -> FleetCost | None:
    """What a fleet costs; of one that is paid by the request, by what it answered."""
    if fleet.cost is None or fleet.cost.usd_per_1k_requests is None:
        return fleet.cost
    served = [workload for workload in workloads if workload.fleet == fleet.name]
    usd_per_request = fleet.cost.usd_per_1k_requests / 1_000
    answered = sum(workload.outcomes["completed"] for workload in served)
    return replace(
        fleet.cost,
        usd=usd_per_request * answered / runs,
        usd_per_hour=3_600 * usd_per_request * math.fsum(workload.throughput_rps for workload in served),
    )


def _fleet_report(fleet: FleetDescription, cost: FleetCost | None, counted: FleetTally, load: FleetLoad) -> FleetReport:
    sizes = counted.batch_sizes
    executions = int(sizes.sum())
    return FleetReport(
        name=fleet.name,
        instance_type=fleet.instance_type,
        instances_mean=float(fleet.instances),
        utilisation=load.utilisation,
        offered_load=load.offered,
        batch_size_mean=float(sizes @ np.arange(len(sizes))) / executions if executions else None,
        batch_size_histogram={int(size): int(sizes[size]) for size in np.flatnonzero(sizes)},
        cost_usd=None if cost is None else cost.usd,
        cost_usd_per_hour=None if cost is None else cost.usd_per_hour,
        price_note="no price" if cost is None else cost.note,
        unstable=load.unstable,
    )


def _cost_report(description: Description, costs: Sequence[FleetCost | None], throughput_rps: float) -> CostReport:
    """Add up the fleets; unknown as soon as one of them is, since a part of a bill is not a bill.

    With purchases it is their effective cost, which holds what is paid for and not used too.
    """
    known = [cost for cost in costs if cost is not None]
    if len(known) < len(costs):
        return CostReport(usd_per_hour=None, usd_per_month=None, usd_per_1k_requests=None)
    purchases = description.purchases
    if purchases is not None:
        by_request = (cost.usd_per_hour for cost in known if cost.usd_per_1k_requests is not None)
        purchases = purchases.with_requests(math.fsum(by_request))
    usd_per_hour = (
        math.fsum(cost.usd_per_hour for cost in known) if purchases is None else purchases.effective_usd_per_hour
    )
    per_1k = usd_per_hour / (3.6 * throughput_rps) if throughput_rps else None
    return CostReport(usd_per_hour, HOURS_PER_MONTH * usd_per_hour, per_1k, purchases)
