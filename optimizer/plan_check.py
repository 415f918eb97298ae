"""Rules between the entries of a plan file: names that must exist, sizes that must fit, limits that contradict.

Each check is a function from the entries that are sound by themselves to flaws, by their path in the file. Entries
that are broken are simply absent, so that a file's other errors are still found. What only an optimum can tell (that
all candidates together carry too little) is no error of the file: the plan is then infeasible.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from calibration.profile import Profile
from calibration.schema import Flaw
from calibration.source import did_you_mean
from optimizer.plan_spec import NO_PRICE, Candidate, PlanSpec, PlanWorkload, QuotaSpec
from simulator.crosscheck import batch_range, file_flaws
from simulator.fleet_spec import Fleet

MOST_SETTINGS: Final = 20_000
"""Settings of all candidates together: each is a fleet to simulate, many times over."""

Place = tuple[str | int, ...]


@dataclass(frozen=True)
class PlanParts:
    """What of a plan file is sound by itself, and the names that it mentions."""

    profiles: Mapping[str, Profile]
    workloads: Mapping[str, PlanWorkload]
    candidates: Mapping[int, Candidate]
    """By position in the file."""
    quotas: Mapping[str, QuotaSpec]
    profile_names: tuple[str, ...] | None
    """All that the file has, the broken ones too; None when the whole section is broken."""
    workload_names: tuple[str, ...] | None
    candidate_names: tuple[str, ...] | None
    """None when some candidate has none."""
    written: tuple[Mapping[str, object], ...]
    """All candidates as they stand in the file, the broken ones too; one that is no mapping is empty."""
    plan: PlanSpec | None
    """None when any of it is broken."""
    allow_extrapolation: bool
    prices: Path | None

    @property
    def all_candidates(self) -> bool:
        """Whether every candidate is sound: only then can it be said what none of them does."""
        return len(self.candidates) == len(self.written)

    def serving(self, workload: str) -> dict[int, Candidate]:
        """Candidates that serve a workload, by position."""
        return {index: candidate for index, candidate in self.candidates.items() if candidate.serves(workload)}


def flaws_between(parts: PlanParts) -> Iterator[Flaw]:
    """Which rules between its entries does the plan file break?"""
    for check in CHECKS:
        yield from check(parts)


def _of(index: int, *keys: str | int) -> Place:
    return ("plan", "candidates", index, *keys)


def _there_are(name: str, known: tuple[str, ...]) -> str:
    listed = ", ".join(known[:12]) + (", ..." if len(known) > 12 else "")
    return f"{did_you_mean(name, known)} There are: {listed or 'none'}.".lstrip()


def _candidate_names(parts: PlanParts) -> Iterator[Flaw]:
    first: dict[str, int] = {}
    for index, candidate in parts.candidates.items():
        if first.setdefault(candidate.name, index) != index:
            rule = f"is the name of candidate {first[candidate.name]} (from 0), too"
            yield Flaw(_of(index, "name"), rule, remedy="Give each candidate a name of its own.")
    if parts.candidate_names is None:
        return
    for quota, spec in parts.quotas.items():
        for position, name in enumerate(spec.candidates):
            if name not in parts.candidate_names:
                path = ("plan", "quotas", quota, "candidates", position)
                rule = "names a candidate that is not there"
                yield Flaw(path, rule, remedy=_there_are(name, parts.candidate_names))


def _prices(parts: PlanParts) -> Iterator[Flaw]:
    for index, written in enumerate(parts.written):
        if written and written.get("usd_per_hour") is None and written.get("instance_type") is None:
            yield NO_PRICE._replace(path=_of(index, *NO_PRICE.path))


def _workload_names(parts: PlanParts) -> Iterator[Flaw]:
    known = parts.workload_names
    if known is None:
        return
    for index, written in enumerate(parts.written):
        for key in ("profiles", "capacity_rps", "accuracy", "model_memory", "added_latency"):
            section = written.get(key)
            for name in section if isinstance(section, dict) else ():
                if name not in known:
                    rule = "is a workload that is not there"
                    yield Flaw(_of(index, key, name), rule, None, _there_are(name, known))


def _profile_names(parts: PlanParts) -> Iterator[Flaw]:
    known = parts.profile_names
    if known is None:
        return
    for index, written in enumerate(parts.written):
        section = written.get("profiles")
        named: dict[Place, object] = {("profile",): written.get("profile")}
        named |= {("profiles", key): name for key, name in section.items()} if isinstance(section, dict) else {}
        for path, name in named.items():
            if isinstance(name, str) and name and name not in known:
                remedy = _there_are(name, known)
                if not known:
                    remedy = "Add a section profiles that says where it is kept, or holds its batch and latency_ms."
                yield Flaw((*_of(index), *path), "names a profile that is not there", remedy=remedy)


def _somebody_serves(parts: PlanParts) -> Iterator[Flaw]:
    if not parts.all_candidates:
        return
    for name in parts.workloads:
        if not parts.serving(name):
            remedy = f"Add {name} to the profiles (or to capacity_rps) of a candidate, or leave the workload out."
            yield Flaw(("workloads", name), "is served by no candidate", None, remedy)
    for index, candidate in parts.candidates.items():
        if candidate.max_instances and parts.workload_names and not any(map(candidate.serves, parts.workload_names)):
            yield Flaw(_of(index), "serves none of the workloads", None, "Name one of them, or remove the candidate.")


def _most(parts: PlanParts, index: int) -> tuple[float, str]:
    """Most instances that a candidate may ever have, and what says so."""
    candidate = parts.candidates[index]
    limits = {"max_instances": math.inf if candidate.max_instances is None else candidate.max_instances}
    limits |= {
        f"quota '{name}'": quota.max_instances
        for name, quota in parts.quotas.items()
        if candidate.name in quota.candidates
    }
    tightest = min(limits, key=limits.__getitem__)
    return limits[tightest], f"{tightest} of {candidate.name} is {limits[tightest]:g}"


def _limits_leave_room(parts: PlanParts) -> Iterator[Flaw]:
    if not parts.all_candidates or parts.plan is None:
        return
    least = 2 if parts.plan.survive == "instance" else 1
    for name in parts.workloads:
        limits = [_most(parts, index) for index in parts.serving(name)]
        if limits and all(most < least for most, _ in limits):
            why = ", ".join(dict.fromkeys(words for _, words in limits[:6]))
            rule = f"may have no instance: {why}"
            if least > 1 and any(most for most, _ in limits):
                rule = f"cannot survive the loss of an instance, for which a fleet needs 2: {why}"
            yield Flaw(("workloads", name), rule, None, "Raise one of these limits.")
    spend = parts.plan.max_usd_per_hour
    prices = [candidate.usd_per_hour for candidate in parts.candidates.values()]
    known = [price for price in prices if price is not None]
    if spend is not None and len(known) == len(prices) and least * min(known) > spend:
        one = "one instance" if least == 1 else f"{least} instances (survive: instance)"
        rule = f"does not pay for {one} of the cheapest candidate, at {min(known):g} an hour each"
        yield Flaw(("plan", "max_usd_per_hour"), rule, remedy="Raise it, or leave it out.")


def _loss_of_a_zone(parts: PlanParts) -> Iterator[Flaw]:
    if parts.plan is None:
        return
    if parts.plan.survive != "zone":
        for index, candidate in parts.candidates.items():
            if candidate.zones > 1:
                remedy = "Add survive: zone to the plan, or remove it."
                yield Flaw(_of(index, "zones"), "has no effect without survive: zone", remedy=remedy)
        return
    for index, candidate in parts.candidates.items():
        if "zones" not in candidate.model_fields_set:
            remedy = "Say over how many zones its instances are spread; 1 if no loss of a zone touches them."
            yield Flaw(_of(index, "zones"), "is required with survive: zone", None, remedy)
    if all(candidate.zones == 1 for candidate in parts.candidates.values()):
        remedy = "Spread a candidate over zones (zones: 3), or leave survive out."
        yield Flaw(("plan", "survive"), "has no effect, since every candidate has zones: 1", remedy=remedy)


def _accuracy(parts: PlanParts) -> Iterator[Flaw]:
    for name, workload in parts.workloads.items():
        floor = workload.min_accuracy
        if floor is None:
            continue
        stated: list[float] = []
        for index, candidate in parts.serving(name).items():
            accuracy = candidate.accuracy_of(name)
            if accuracy is None:
                rule = f"is required, since workload '{name}' has a min_accuracy"
                yield Flaw(_of(index, "accuracy"), rule, None, "Give the accuracy of its answers, from 0 to 1.")
            else:
                stated.append(accuracy)
        if parts.all_candidates and len(stated) == len(parts.serving(name)) and stated and max(stated) < floor:
            path = ("workloads", name, "min_accuracy")
            rule = f"is above the accuracy of every candidate that serves it, at most {max(stated):g}"
            yield Flaw(path, rule, remedy="Lower it, or add a more accurate candidate.")


def _memory(parts: PlanParts) -> Iterator[Flaw]:
    for index, candidate in parts.candidates.items():
        memory = candidate.memory_bytes
        if not memory or candidate.model_memory_bytes is None:
            continue
        for name in parts.workloads:
            if candidate.serves(name) and candidate.model_bytes_of(name) > memory:
                each = isinstance(candidate.model_memory_bytes, dict)
                path = _of(index, "model_memory", name) if each else _of(index, "model_memory")
                remedy = "Give the accelerator's memory, or do not serve the workload here."
                yield Flaw(path, "is more than the memory of the accelerator", remedy=remedy)
                if not each:
                    break


def _objectives(parts: PlanParts) -> Iterator[Flaw]:
    """Capacities within an SLO need an SLO, and answers need time that the way leaves them."""
    for name, workload in parts.workloads.items():
        simulated = [c.name for c in parts.serving(name).values() if c.capacity_rps is None]
        if not workload.slo.targets_ns and simulated:
            rule = f"is required, since what {simulated[0]} carries within it is found by simulation"
            yield Flaw(("workloads", name, "slo"), rule, None, "Add it, for instance slo: {p99: 100ms}.")


def _answer_sizes(parts: PlanParts) -> Iterator[Flaw]:
    for candidate in parts.candidates.values():
        if not candidate.egress_usd_per_gb:
            continue
        for name, workload in parts.workloads.items():
            if workload.answer_bytes is None and candidate.serves(name):
                rule = f"is required, since candidate '{candidate.name}' has a price of egress"
                path = ("workloads", name, "answer_size")
                yield Flaw(path, rule, None, "Say how large an answer is: answer_size: 20KiB.")


def _slowdowns(parts: PlanParts) -> Iterator[Flaw]:
    for index, candidate in parts.candidates.items():
        most = max(candidate.model_instances)
        if candidate.slowdown is not None:
            if len(candidate.slowdown) < most:
                rule = f"must have an entry for each of up to {most} model_instances"
                entries = f"{len(candidate.slowdown)} entries"
                yield Flaw(_of(index, "slowdown"), rule, entries, "Add entries, or lower model_instances.")
            continue
        for profile in _profiles_of(parts, candidate):
            measured = parts.profiles[profile].slowdown
            if measured is not None and len(measured) < most:
                covers = f"as many executions at once as profile '{profile}' covers"
                rule = f"must be at most {len(measured)}, {covers}"
                remedy = f"Lower it, or give the candidate a slowdown with {most} entries."
                yield Flaw(_of(index, "model_instances"), rule, remedy=remedy)


def _profiles_of(parts: PlanParts, candidate: Candidate) -> list[str]:
    """Sound profiles that a candidate uses for workloads of the file."""
    used = [candidate.profile_of(name) for name in parts.workloads]
    return [name for name in dict.fromkeys(used) if name is not None and name in parts.profiles]


def _batches(parts: PlanParts) -> Iterator[Flaw]:
    """Requests that fit into no batch, and batches that nobody measured."""
    for index, candidate in parts.candidates.items():
        for profile in _profiles_of(parts, candidate):
            served = {name: w for name, w in parts.workloads.items() if candidate.profile_of(name) == profile}
            yield from dict.fromkeys(_of_profile(parts, index, candidate, profile, served))


def _of_profile(
    parts: PlanParts, index: int, candidate: Candidate, profile: str, served: Mapping[str, PlanWorkload]
) -> Iterator[Flaw]:
    low, high = parts.profiles[profile].range
    largest_request = max(max(workload.item_shares) for workload in served.values())
    workloads = {name: workload.workload("") for name, workload in served.items()}
    for batching in candidate.batching.settings():
        bounded = "max_batch_size" in batching.model_fields_set
        path = _of(index, "batching", "max_batch_size")
        if bounded and largest_request > batching.max_batch_size:
            rule = f"must be at least {largest_request}, the items of the largest request"
            remedy = "A request's items travel in one batch: leave the smaller sizes out."
            yield Flaw(path, rule, str(batching.max_batch_size), remedy)
            continue
        fleet = Fleet.model_construct(profile=profile, instances=1, batching=batching)
        smallest, largest = batch_range(fleet, workloads)
        if parts.allow_extrapolation:
            continue
        says = f"profile '{profile}' covers batches of {low} to {high}"
        more = "Measure more batch sizes, or set allow_extrapolation: true"
        if largest > high:
            remedy = f"{more}, or go no further than {high}." if bounded else f"{more}, or send fewer items."
            where = path if bounded else _of(index, "profile" if candidate.profile else "profiles")
            yield Flaw(where, f"is beyond what was measured with batches of {largest}: {says}", None, remedy)
        if smallest < low:
            where = _of(index, "profile" if candidate.profile else "profiles")
            yield Flaw(where, f"can get batches of {smallest}, which were not measured: {says}", None, f"{more}.")


def _amounts(parts: PlanParts) -> Iterator[Flaw]:
    total = 0
    for candidate in parts.candidates.values():
        batchings = len(set(candidate.batching.max_batch_size or (0,))) * len(
            set(candidate.batching.max_queue_delay_ns)
        )
        total += batchings * len(set(candidate.model_instances)) * max(len(_profiles_of(parts, candidate)), 1)
    if total > MOST_SETTINGS:
        rule = f"must have at most {MOST_SETTINGS:,} settings together"
        yield Flaw(("plan", "candidates"), rule, f"{total:,}", "Search shorter lists.")


CHECKS: Final[tuple[Callable[[PlanParts], Iterator[Flaw]], ...]] = (
    _candidate_names,
    _prices,
    _workload_names,
    _profile_names,
    _somebody_serves,
    _limits_leave_room,
    _loss_of_a_zone,
    _accuracy,
    _memory,
    _objectives,
    _answer_sizes,
    _slowdowns,
    _batches,
    file_flaws,
    _amounts,
)
"""Every rule between entries."""
