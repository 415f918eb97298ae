"""From a scenario to a model: names become numbers, durations nanoseconds, curves tables, files their contents."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from calibration.problems import InputError, Problem
from simulator.arrivals import ArrivalStream, ThinkTimes, mean_rate_rps, open_stream
from simulator.clock import NEVER, NS_PER_MS, s_from_ns
from simulator.log import Int64s
from simulator.model import UNBOUNDED, FleetModel, Model, WorkloadModel, item_work_ns
from simulator.noise import noise_of
from simulator.policies import batching, routing, service
from simulator.recorded import read_recorded_trace, read_series

if TYPE_CHECKING:
    from simulator.rate_series import RateSeries
    from simulator.scenario import Scenario, Workload

RULES: Final = {
    "triton": batching.TRITON,
    "torchserve": batching.COLLECT,
    "mosec": batching.COLLECT,
    "litserve": batching.WINDOW,
    "ray_serve": batching.CARRY,
    "textbook": batching.TEXTBOOK,
}
"""Code of the rule that each server follows."""

ROUTERS: Final = {
    "round_robin": routing.SCHEDULE,
    "weighted": routing.SCHEDULE,
    "random": routing.RANDOM,
    "least_outstanding": routing.LEAST,
    "power_of_two": routing.TWO,
    "least_expected_work": routing.WORK,
}
"""Code of each router."""

PARTS: Final = ("frontend", "enqueue", "dispatch", "release", "reply")
"""The parts of a request's life beside its execution."""


def compile_model(scenario: Scenario, *, replication: int = 0) -> Model:
    """What the engines run for this scenario, in the given replication.

    Raises
    ------
    InputError
        With every problem of the trace and rate files that the workloads name.
    """
    traffic, notes, problems = _traffic(scenario)
    if problems:
        raise InputError(problems)
    horizon_ns, ends = _horizon(scenario, traffic)
    notes += ends
    if scenario.warmup_ns >= horizon_ns:
        rule = f"must be shorter than the traffic, which ends after {s_from_ns(horizon_ns):.4g} s"
        value = f"{s_from_ns(scenario.warmup_ns):g} s"
        raise InputError([scenario.problem("warmup", rule, value, "Shorten it: nothing would be measured.")])
    workloads = []
    expected = 0.0
    for name, workload in scenario.workloads.items():
        try:
            workloads.append(_workload_model(scenario, name, traffic.get(name), horizon_ns))
        except InputError as error:
            problems += error.problems
            continue
        expected += _expected(scenario, workload, traffic.get(name), horizon_ns)
    if problems:
        raise InputError(dict.fromkeys(problems))
    return Model(
        fleets=tuple(fleet_model(scenario, name) for name in scenario.fleets),
        workloads=tuple(workloads),
        horizon_ns=horizon_ns,
        seed=scenario.seed,
        replication=replication,
        expected_requests=expected,
        notes=notes,
    )


def _traffic(scenario: Scenario) -> tuple[dict[str, Int64s | RateSeries], tuple[str, ...], list[Problem]]:
    """Contents of the files that workloads replay, by workload, what was assumed, and everything that is wrong."""
    found: dict[str, Int64s | RateSeries] = {}
    notes: list[str] = []
    problems: list[Problem] = []
    for name, workload in scenario.workloads.items():
        try:
            if workload.arrivals.process == "trace":
                trace = read_recorded_trace(workload.arrivals)
                found[name] = trace.arrival_ns
                notes += trace.notes
            elif workload.arrivals.process == "rate_series":
                found[name] = series = read_series(workload.arrivals)
                notes += series.notes
        except InputError as error:
            problems += error.problems
    return found, tuple(dict.fromkeys(notes)), list(dict.fromkeys(problems))


def _horizon(scenario: Scenario, traffic: Mapping[str, Int64s | RateSeries]) -> tuple[int, tuple[str, ...]]:
    """Time over which requests arrive: the scenario's, or the end of the traffic if that comes first; and notes.

    Without this a trace of 13 s in a scenario of an hour would show a 277th of its throughput.
    """
    ends = {name: _end_ns(content) for name, content in traffic.items()}
    if scenario.horizon_ns is None:
        return max(ends.values()), ()
    early = {name: end for name, end in ends.items() if end < scenario.horizon_ns and _replays(scenario, name)}
    said = tuple(
        f"the trace of {name} ends after {s_from_ns(end):.4g} s, before the horizon" for name, end in early.items()
    )
    if len(early) < len(scenario.workloads):
        return scenario.horizon_ns, said
    return max(early.values()), tuple(f"{note}: measured up to there" for note in said)


def _replays(scenario: Scenario, workload: str) -> bool:
    return scenario.workloads[workload].arrivals.process == "trace"


def _end_ns(content: Int64s | RateSeries) -> int:
    """Just after the last arrival of a trace, or the end of a rate series."""
    if isinstance(content, np.ndarray):
        return int(content[-1]) + 1 if len(content) else 1
    return content.length_ns


def fleet_model(scenario: Scenario, name: str) -> FleetModel:
    """One fleet of a scenario in the engines' terms."""
    fleet = scenario.fleets[name]
    profile = scenario.profiles[fleet.profile]
    # Requests may be smaller than a batch can be, and with policy none they may be larger.
    largest = max(scenario.batch_range(name)[1], fleet.batching.max_batch_size)
    batches = np.arange(1, largest + 1)
    parts: dict[str, Any] = {f"{part}_ns": _by_items(profile.overhead_ms(f"{part}_ms", batches)) for part in PARTS}
    mean_ms = profile.mean_latency_ms(batches, allow_extrapolation=True)
    slowdown = scenario.slowdown(name)
    return FleetModel(
        service_ns=np.maximum(_by_items(mean_ms), 1),
        instances=fleet.instances,
        model_instances=fleet.model_instances,
        slow_ppm=tuple(round(factor * service.PPM) for factor in slowdown),
        rule=_rule(fleet.batching.policy, fleet.batching.rule),
        max_batch=fleet.batching.max_batch_size,
        delay_ns=fleet.batching.max_queue_delay_ns,
        preferred=fleet.batching.preferred_batch_sizes,
        max_queue=UNBOUNDED if fleet.max_queue is None else fleet.max_queue,
        router=ROUTERS[fleet.router],
        weights=fleet.router_weights or (),
        noise=noise_of(profile, largest),
        **parts,
    )


def _rule(policy: str, rule: str) -> int:
    if policy == "none":
        return batching.NONE
    return batching.STATIC if policy == "static" else RULES[rule]


def _by_items(milliseconds: np.ndarray[Any, np.dtype[np.float64]]) -> Int64s:
    """Nanoseconds by items; place 0 is not used."""
    return np.concatenate(([0], np.rint(milliseconds * NS_PER_MS))).astype(np.int64)


def _workload_model(
    scenario: Scenario, name: str, content: Int64s | RateSeries | None, horizon_ns: int
) -> WorkloadModel:
    workload = scenario.workloads[name]
    arrivals = workload.arrivals
    items = workload.items_per_request
    mix = {items: 1.0} if isinstance(items, int) else dict(items)
    common: dict[str, Any] = {
        "fleet": list(scenario.fleets).index(workload.fleet),
        "items": tuple(mix),
        "item_weights": tuple(mix.values()),
        "timeout_ns": NEVER if workload.timeout_ns is None else workload.timeout_ns,
    }
    if arrivals.process == "closed_loop":
        return WorkloadModel(clients=arrivals.concurrency, think=partial(ThinkTimes, arrivals), **common)

    def problem_at(key: str, rule: str, value: str | None, remedy: str) -> Problem:
        return scenario.problem(f"workloads.{name}.arrivals.{key}", rule, value, remedy)

    def stream(seeds: np.random.SeedSequence) -> ArrivalStream:
        trace, series = (content, None) if isinstance(content, np.ndarray) else (None, content)
        return open_stream(arrivals, seeds, horizon_ns, trace=trace, series=series, problem_at=problem_at)

    stream(np.random.SeedSequence(0))  # a series that ends too early is told before anything runs
    return WorkloadModel(arrivals=stream, **common)


def _expected(scenario: Scenario, workload: Workload, content: Int64s | RateSeries | None, horizon_ns: int) -> float:
    """About how many requests a workload will send."""
    if isinstance(content, np.ndarray):
        return float(np.searchsorted(content, horizon_ns))
    if workload.arrivals.process != "closed_loop":
        return (mean_rate_rps(workload.arrivals, horizon_ns, series=content) or 0.0) * s_from_ns(horizon_ns)
    # A closed loop is never faster than its fleet at full batches, nor than its clients.
    fleet = fleet_model(scenario, workload.fleet)
    per_instance_rps = 1e9 / item_work_ns(fleet)
    cycle_ns = int(fleet.service_ns[1]) + workload.arrivals.think_time_ns
    clients_rps = workload.arrivals.concurrency * 1e9 / cycle_ns
    return min(per_instance_rps * fleet.instances, clients_rps) * s_from_ns(horizon_ns)
