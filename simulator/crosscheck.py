"""Rules between the parts of a scenario: names that must exist, sizes that must fit, amounts that can be simulated.

Each check is a function from the parts that are sound by themselves to flaws, by their path in the scenario. Parts
that are broken are simply absent, so that a file's other errors are still found.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

from calibration.profile import Profile
from calibration.schema import Flaw
from calibration.source import did_you_mean, file_problem, nearest, printable
from calibration.units import NS_BY_UNIT
from simulator.arrival_spec import (
    ClosedLoopArrivals,
    MmppArrivals,
    RateSeriesArrivals,
    TraceArrivals,
)
from simulator.fleet_spec import MOST_INSTANCES, Fleet
from simulator.purchase_check import Ahead, purchase_flaws
from simulator.workload_spec import Workload

MOST_REQUESTS: Final = 1e11
"""Requests of one run: hours of computing."""

MOST_EXECUTIONS: Final = 1_000_000
"""Model instances of one fleet, over all of its instances."""

MOST_CHANGES: Final = 1e10
"""Changes of state of one MMPP in a run."""


@dataclass(frozen=True)
class Parts:
    """What of a scenario is sound by itself, and the names that its file mentions."""

    horizon_ns: int | None
    """None when it is left out, or broken."""
    horizon_given: bool
    warmup_ns: int
    allow_extrapolation: bool
    profiles: Mapping[str, Profile]
    fleets: Mapping[str, Fleet]
    workloads: Mapping[str, Workload]
    profile_names: tuple[str, ...] | None
    """All that the file has, the broken ones too; None when the whole section is broken."""
    fleet_names: tuple[str, ...] | None
    fleet_of: Mapping[str, str] | None
    """Fleet that each workload names, of the broken workloads too; None when some workload cannot name one."""
    profile_of: Mapping[str, str]
    """Profile that each fleet names, of the broken fleets too, as far as it names one."""
    prices: Path | None = None
    ahead: Ahead = field(default_factory=Ahead)
    """Commitments, discounts and capacity."""

    def on(self, fleet: str) -> dict[str, Workload]:
        """Workloads of a fleet."""
        return {name: workload for name, workload in self.workloads.items() if workload.fleet == fleet}


def flaws_between(parts: Parts) -> Iterator[Flaw]:
    """Which rules between its parts does the scenario break?"""
    for check in CHECKS:
        yield from check(parts)


def _names(parts: Parts) -> Iterator[Flaw]:
    mistaken = set()
    for name, fleet in (parts.fleet_of or {}).items():
        if parts.fleet_names is not None and fleet not in parts.fleet_names:
            mistaken.add(nearest(fleet, parts.fleet_names))
            path = ("workloads", name, "fleet")
            yield Flaw(path, "names a fleet that is not there", remedy=_there_are(fleet, parts.fleet_names))
    for name, profile in parts.profile_of.items():
        if parts.profile_names is not None and profile not in parts.profile_names:
            remedy = _there_are(profile, parts.profile_names)
            yield Flaw(("fleets", name, "profile"), "names a profile that is not there", remedy=remedy)
    used = set(parts.fleet_of.values()) | mistaken if parts.fleet_of is not None else set(parts.fleet_names or ())
    for name in parts.fleet_names or ():
        if name not in used:
            remedy = "Send a workload to it (fleet: " + name + "), or remove it: it would be billed and never used."
            yield Flaw(("fleets", name), "is a fleet that no workload uses", None, remedy)


def _there_are(name: str, known: tuple[str, ...]) -> str:
    listed = ", ".join(known[:12]) + (", ..." if len(known) > 12 else "")
    return f"{did_you_mean(name, known)} There are: {listed or 'none'}.".lstrip()


def _times(parts: Parts) -> Iterator[Flaw]:
    if not parts.horizon_given:
        endless = [name for name, workload in parts.workloads.items() if not _ends_by_itself(workload)]
        if endless:
            rule = "is required unless every workload replays a trace or a rate series that does not repeat"
            remedy = f"Add it, for instance horizon: 60s (workload '{endless[0]}' sends for ever)."
            yield Flaw(("horizon",), rule, None, remedy)
    elif parts.horizon_ns is not None and parts.warmup_ns >= parts.horizon_ns:
        remedy = "Lengthen horizon or shorten warmup: nothing would be measured."
        yield Flaw(("warmup",), "must be shorter than horizon", remedy=remedy)


def _ends_by_itself(workload: Workload) -> bool:
    arrivals = workload.arrivals
    return isinstance(arrivals, TraceArrivals) or (isinstance(arrivals, RateSeriesArrivals) and not arrivals.repeat)


class NamesFiles(Protocol):
    """What of a scenario or a plan may name files."""

    @property
    def workloads(self) -> Mapping[str, Any]:
        """What has ``arrivals``, by name."""

    @property
    def prices(self) -> Path | None:
        """The user's own price list."""


def file_flaws(parts: NamesFiles) -> Iterator[Flaw]:
    """Which files that traffic or prices are to be read from cannot be opened?"""
    named: list[tuple[tuple[str, ...], Path]] = []
    for name, workload in parts.workloads.items():
        arrivals = workload.arrivals
        if isinstance(arrivals, TraceArrivals | RateSeriesArrivals) and arrivals.file is not None:
            named.append((("workloads", name, "arrivals", "file"), arrivals.file))
    if parts.prices is not None:
        named.append((("prices",), parts.prices))
    for path, file in named:
        found = file_problem(file)
        if found is not None:
            yield Flaw(path, f"names a file that {found[0]}", f"'{printable(file)}'", found[1])


def _model_instances(parts: Parts) -> Iterator[Flaw]:
    for name, fleet in parts.fleets.items():
        k = fleet.model_instances
        profile = parts.profiles.get(fleet.profile)
        measured = profile.slowdown if profile is not None else None
        if fleet.slowdown is not None and len(fleet.slowdown) < k:
            rule = f"must have an entry for each of the {k} model_instances"
            remedy = "Add entries, or lower model_instances."
            yield Flaw(("fleets", name, "slowdown"), rule, f"{len(fleet.slowdown)} entries", remedy)
        elif fleet.slowdown is None and measured is not None and len(measured) < k:
            rule = f"must be at most {len(measured)}, as many executions at once as profile '{fleet.profile}' covers"
            remedy = f"Lower it, or give the fleet a slowdown with {k} entries."
            yield Flaw(("fleets", name, "model_instances"), rule, remedy=remedy)
        if fleet.instances * k > MOST_EXECUTIONS:
            rule = (
                f"would allow {fleet.instances * k:,} executions at once, at most {MOST_EXECUTIONS:,} can be simulated"
            )
            yield Flaw(("fleets", name, "model_instances"), rule, remedy="Lower it, or instances.")
    total = sum(fleet.instances for fleet in parts.fleets.values())
    if len(parts.fleets) > 1 and total > MOST_INSTANCES:
        rule = f"must have at most {MOST_INSTANCES:,} instances together"
        yield Flaw(("fleets",), rule, f"{total:,}", "Lower instances.")


def _batches(parts: Parts) -> Iterator[Flaw]:
    for name, fleet in parts.fleets.items():
        batching, workloads = fleet.batching, parts.on(name)
        bounded = "max_batch_size" in batching.model_fields_set
        fits = True
        for workload_name, workload in workloads.items():
            largest = max(workload.item_shares)
            if bounded and largest > batching.max_batch_size:
                fits = False
                rule = f"must be at most max_batch_size ({batching.max_batch_size}) of fleet '{name}'"
                remedy = "A request's items travel in one batch: raise max_batch_size, or send fewer items."
                yield Flaw(("workloads", workload_name, "items_per_request"), rule, remedy=remedy)
        if fits and workloads:
            yield from _never_full(name, fleet, workloads)
            yield from _range(parts, name, fleet, workloads)


def _never_full(name: str, fleet: Fleet, workloads: Mapping[str, Workload]) -> Iterator[Flaw]:
    """A static batch that waits for requests which cannot come."""
    size = fleet.batching.max_batch_size
    if fleet.batching.policy != "static":
        return
    path = ("fleets", name, "batching", "max_batch_size")
    largest = max(max(workload.item_shares) for workload in workloads.values())
    if fleet.max_queue is not None and fleet.max_queue * largest < size:
        rule = f"is more than max_queue ({fleet.max_queue}) lets wait, so no batch would ever be full"
        yield Flaw(path, rule, remedy="Raise max_queue, or lower max_batch_size.")
    loops = [w.arrivals.concurrency for w in workloads.values() if isinstance(w.arrivals, ClosedLoopArrivals)]
    if len(loops) == len(workloads) and sum(loops) * largest < size:
        rule = f"is more than the {sum(loops)} clients of its closed loops can send, so no batch would ever be full"
        yield Flaw(path, rule, remedy="Raise concurrency, or lower max_batch_size.")


def batch_range(fleet: Fleet, workloads: Mapping[str, Workload]) -> tuple[int, int]:
    """Smallest and largest batch, in items, that these workloads can make up on this fleet.

    Parameters
    ----------
    fleet
        The fleet.
    workloads
        All of its workloads, by name; at least one.
    """
    sizes = sorted({items for workload in workloads.values() for items in workload.item_shares})
    most = fleet.batching.max_batch_size
    if fleet.batching.policy == "none":
        return sizes[0], sizes[-1]
    largest = most // sizes[0] * sizes[0] if len(sizes) == 1 else most
    if fleet.batching.policy == "static":
        return max(sizes[0], min(largest, most - sizes[-1] + 1)), largest
    return sizes[0], largest


def _range(parts: Parts, name: str, fleet: Fleet, workloads: Mapping[str, Workload]) -> Iterator[Flaw]:
    profile = parts.profiles.get(fleet.profile)
    if profile is None or parts.allow_extrapolation:
        return
    smallest, largest = batch_range(fleet, workloads)
    low, high = profile.range
    says = f"profile '{fleet.profile}' covers batches of {low} to {high}"
    more = "Measure more batch sizes, or set allow_extrapolation: true"
    if largest > high:
        if fleet.batching.policy == "none":
            by_size = max(workloads, key=lambda workload: max(workloads[workload].item_shares))
            path: tuple[str, ...] = ("workloads", by_size, "items_per_request")
            remedy = f"{more}, or send fewer items."
        else:
            path = ("fleets", name, "batching", "max_batch_size")
            remedy = f"{more}, or lower max_batch_size to {high}."
        yield Flaw(path, f"is beyond what was measured: {says}", remedy=remedy)
    if smallest < low:
        rule = f"can get batches of {smallest}, which were not measured: {says}"
        yield Flaw(("fleets", name, "profile"), rule, None, f"{more}.")


def _closed_loops(parts: Parts) -> Iterator[Flaw]:
    for name, workload in parts.workloads.items():
        arrivals, fleet = workload.arrivals, parts.fleets.get(workload.fleet)
        restless = isinstance(arrivals, ClosedLoopArrivals) and arrivals.think_time_ns == 0
        if restless and fleet is not None and fleet.max_queue is not None:
            rule = f"must be longer than 0, since fleet '{workload.fleet}' has a max_queue"
            remedy = "A refused client would send again at the same instant for ever: give a think_time, as 1ms."
            yield Flaw(("workloads", name, "arrivals", "think_time"), rule, "0", remedy)


def _amounts(parts: Parts) -> Iterator[Flaw]:
    total = 0.0
    for name, workload in parts.workloads.items():
        requests, key = _expected_requests(parts, workload)
        path = ("workloads", name, "arrivals", key)
        total += requests
        if requests > MOST_REQUESTS:
            rule = f"would send about {requests:.2g} requests, at most {MOST_REQUESTS:.0e} can be simulated"
            yield Flaw(path, rule, remedy="Lower it, or shorten horizon.")
        arrivals = workload.arrivals
        if isinstance(arrivals, MmppArrivals) and parts.horizon_ns is not None:
            changes = parts.horizon_ns * len(arrivals.rates) / sum(arrivals.mean_durations_ns)
            if changes > MOST_CHANGES:
                rule = f"would change its state about {changes:.2g} times, at most {MOST_CHANGES:.0e} can be simulated"
                yield Flaw((*path[:-1], "mean_durations"), rule, remedy="Lengthen them, or shorten horizon.")
    if len(parts.workloads) > 1 and total > MOST_REQUESTS >= total / len(parts.workloads):
        rule = f"would send about {total:.2g} requests together, at most {MOST_REQUESTS:.0e} can be simulated"
        yield Flaw(("workloads",), rule, None, "Lower their rates, or shorten horizon.")


def _expected_requests(parts: Parts, workload: Workload) -> tuple[float, str]:
    """About how many requests the workload sends (0 where only its file can tell), and the key that decides it."""
    arrivals = workload.arrivals
    horizon_s = (parts.horizon_ns or 0) / NS_BY_UNIT["s"]
    if isinstance(arrivals, TraceArrivals):
        return 0.0, "file"
    if isinstance(arrivals, MmppArrivals):
        weighted = zip(arrivals.rates, arrivals.mean_durations_ns, strict=True)
        mean_rate = sum(rate * ns for rate, ns in weighted) / sum(arrivals.mean_durations_ns)
        return mean_rate * horizon_s, "rates"
    if isinstance(arrivals, RateSeriesArrivals):
        if arrivals.requests is None or arrivals.interval_ns is None:
            return 0.0, "scale"
        once = sum(arrivals.requests) * arrivals.scale
        rounds = (parts.horizon_ns or 0) / (arrivals.interval_ns * len(arrivals.requests)) if arrivals.repeat else 1
        return once * max(rounds, 1), "requests"
    if isinstance(arrivals, ClosedLoopArrivals):
        fleet = parts.fleets.get(workload.fleet)
        profile = parts.profiles.get(fleet.profile) if fleet is not None else None
        if fleet is None or profile is None:
            return 0.0, "concurrency"
        fastest_s = profile.latency_ms[0] / profile.batch[0] / 1_000
        cycle_s = arrivals.think_time_ns / NS_BY_UNIT["s"] + fastest_s
        at_once = fleet.instances * fleet.model_instances * fleet.batching.max_batch_size
        by_fleet = horizon_s * at_once / fastest_s if fleet.max_queue is None else float("inf")
        return min(arrivals.concurrency * horizon_s / cycle_s, by_fleet), "concurrency"
    return arrivals.rate * horizon_s, "rate"


def _purchases(parts: Parts) -> Iterator[Flaw]:
    yield from purchase_flaws(parts.fleets, parts.ahead)


CHECKS: Final[tuple[Callable[[Parts], Iterator[Flaw]], ...]] = (
    _names,
    _times,
    file_flaws,
    _model_instances,
    _purchases,
    _batches,
    _closed_loops,
    _amounts,
)
"""Every rule between parts."""
