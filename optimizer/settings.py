"""What is searched: every candidate with every setting that its file lists, and the fleet to simulate for each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import product
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from calibration.profile import Profile
from optimizer.plan_spec import Candidate, PlanWorkload
from simulator.arrival_spec import PoissonArrivals
from simulator.clock import NS_PER_MS, NS_PER_S
from simulator.crosscheck import batch_range
from simulator.describe import span_words
from simulator.expected_rates import mean_rate_rps
from simulator.fleet_spec import Batching, Fleet
from simulator.outcome import PERCENTILES
from simulator.scenario import Scenario
from simulator.workload_spec import Slo, Workload

if TYPE_CHECKING:
    from optimizer.plan_file import Question

Int64s = npt.NDArray[np.int64]

REQUESTS: Final = 20_000
"""Requests of the rarest workload in one simulation, about: 200 of them lie beyond the p99."""

MOST_TIMES_REQUESTS: Final = 20
"""A simulation has at most so many times the requests asked for, over all workloads."""

CYCLES: Final = 200
"""Longest executions that fit one after the other into a simulation, at least: what a queue needs to show itself."""

WARM_CYCLES: Final = 20
"""Longest executions in the part that is left out, at least."""

BURSTS: Final = 30
"""Rounds of the states of an MMPP in a simulation, at least."""


@dataclass(frozen=True)
class Setting:
    """A candidate with everything that is searched fixed: what instances of one fleet are."""

    name: str
    """Unique, for instance ``l4: batch 16, wait 5 ms, 2 model instances``."""
    candidate: Candidate
    """What it belongs to."""
    batching: Batching
    """How requests are put together; ``max_batch_size`` counts as left out where the file leaves it out."""
    model_instances: int
    """Executions at once on one accelerator."""
    profile: str | None
    """Name of the profile; None where the capacity is stated."""
    workloads: tuple[str, ...]
    """What it can serve, in the order of the file."""
    usd_per_hour: float
    """Price of one instance."""
    model: Profile | None = field(repr=False, compare=False)
    """The profile itself."""
    asked: Mapping[str, PlanWorkload] = field(repr=False, compare=False)
    """The workloads that it can serve."""
    traces: Mapping[str, Int64s] = field(repr=False, compare=False)
    """Arrival times in ns of those that replay a trace."""
    allow_extrapolation: bool = field(default=False, repr=False, compare=False)

    def __hash__(self) -> int:
        return hash(self.name)

    @property
    def simulated(self) -> bool:
        """Whether its capacity is found by simulation, not stated."""
        return self.profile is not None

    def scenario(
        self,
        instances: int,
        rates_rps: Mapping[str, float],
        *,
        seed: int = 0,
        requests: int = REQUESTS,
    ) -> Scenario:
        """Which simulation shows what so many instances do at these rates?

        Parameters
        ----------
        instances
            Of one fleet, at least 1.
        rates_rps
            Requests per second of each workload; those that are absent or 0 are left out.
        seed
            Of all randomness.
        requests
            About how many requests of the rarest workload arrive. Fewer, where it is more than 20 times as rare as
            all together, or a trace has fewer; more, where queues or bursts need longer to show themselves.

        Notes
        -----
        Arrival processes keep their shape and get the rate: ``gamma`` its cv, ``mmpp`` the ratio of its rates and its
        durations, ``trace`` its order, played faster or slower. A ``rate_series`` becomes Poisson, as it is inside
        an hour. Objectives are the workload's less what the candidate's distance adds.

        Raises
        ------
        ValueError
            The capacity is stated; a workload cannot be served; there is no rate above 0.
        """
        if self.model is None or self.profile is None:
            raise ValueError(f"{self.name}: the capacity is stated, there is nothing to simulate")
        served = {name: rate for name, rate in rates_rps.items() if rate > 0}
        if not served or not served.keys() <= self.asked.keys():
            raise ValueError(f"{self.name}: rates above 0 of {', '.join(self.workloads)} are needed, got {rates_rps}")
        horizon_ns, warmup_ns = self._times_ns(served, requests)
        fleet = self.candidate.name
        workloads = {name: self._workload(name, fleet, rate_rps, horizon_ns) for name, rate_rps in served.items()}
        return Scenario.model_construct(
            schema_version=1,
            name=fleet,
            seed=seed,
            horizon_ns=horizon_ns,
            warmup_ns=warmup_ns,
            profiles={self.profile: self.model},
            fleets={fleet: self._fleet(instances, workloads)},
            workloads=workloads,
            allow_extrapolation=self.allow_extrapolation,
        )

    def slo(self, workload: str) -> Slo:
        """What the fleet itself must hold: the workload's objectives less what the candidate's distance adds."""
        added_ns = self.candidate.added_latency_ns_of(workload)
        objectives = self.asked[workload].slo
        left = {f"{key}_ns": max(ns - added_ns, 1) for key, ns in objectives.targets_ns.items()}
        return objectives if added_ns == 0 else objectives.model_copy(update=left)

    def least_latency_ms(self, workload: str, objective: str = "p99") -> float:
        """How soon can an answer come at best, in ms: alone on the instance, with everything that adds to it?

        Parameters
        ----------
        workload
            Its requests may differ in their items: the objective says which of them counts.
        objective
            ``mean``, ``p50`` ... ``p999``.

        Notes
        -----
        ``frontend + enqueue + dispatch + service + reply`` of a batch that holds one request (of the smallest batch
        there can be, where a static policy waits for it to fill), without scatter, and what the candidate's distance
        adds. Where the capacity is stated only that is known.
        """
        added_ms = self.candidate.added_latency_ns_of(workload) / NS_PER_MS
        if self.model is None:
            return added_ms
        shares = self.asked[workload].item_shares
        smallest = batch_range(self._fleet(1, {}), {workload: self.asked[workload].workload("")})[0]
        static = self.batching.policy == "static"
        batches = np.array([max(items, smallest) if static else items for items in shares])
        alone_ms = self.model.mean_latency_ms(batches, allow_extrapolation=True)
        for part in ("frontend_ms", "enqueue_ms", "dispatch_ms", "reply_ms"):
            alone_ms = alone_ms + self.model.overhead_ms(part, batches)
        weights = np.array(list(shares.values()))
        if objective == "mean":
            return float(alone_ms @ weights) + added_ms
        order = np.argsort(alone_ms)
        reached = np.cumsum(weights[order]) >= PERCENTILES[objective] - 1e-12
        return float(alone_ms[order][int(np.argmax(reached))]) + added_ms

    def _fleet(self, instances: int, workloads: Mapping[str, Workload]) -> Fleet:
        candidate = self.candidate
        batching = self.batching
        if "max_batch_size" not in batching.model_fields_set:
            largest = max((max(workload.item_shares) for workload in workloads.values()), default=1)
            batching = batching.model_copy(update={"max_batch_size": largest})
        return Fleet.model_construct(
            profile=self.profile,
            instance_type=candidate.instance_type,
            provider=candidate.provider,
            region=candidate.region,
            usd_per_hour=self.usd_per_hour,
            instances=instances,
            model_instances=self.model_instances,
            slowdown=candidate.slowdown,
            batching=batching,
            router=candidate.router,
        )

    def _workload(self, name: str, fleet: str, rate_rps: float, horizon_ns: int) -> Workload:
        asked = self.asked[name]
        arrivals: Any = asked.arrivals
        if arrivals.process == "trace":
            arrivals = arrivals.model_copy(update={"speed": arrivals.speed * self._speed(name, rate_rps, horizon_ns)})
        elif arrivals.process == "mmpp":
            by = rate_rps / _mean_rate(arrivals)
            arrivals = arrivals.model_copy(update={"rates": tuple(rate * by for rate in arrivals.rates)})
        elif arrivals.process == "rate_series":
            arrivals = PoissonArrivals.model_construct(process="poisson", rate=rate_rps)
        else:
            arrivals = arrivals.model_copy(update={"rate": rate_rps})
        slo = self.slo(name)
        update = {"arrivals": arrivals, "slo": slo if slo.targets_ns else None}
        return asked.workload(fleet).model_copy(update=update)

    def _times_ns(self, rates_rps: Mapping[str, float], requests: int) -> tuple[int, int]:
        """Horizon and warm-up: long enough for the requests, the queue and the bursts; no longer than can be paid."""
        wanted_s = requests / min(rates_rps.values())
        cycle_s = self._cycle_s(rates_rps)
        longest_s = MOST_TIMES_REQUESTS * requests / sum(rates_rps.values())
        wanted_s = max(wanted_s, CYCLES * cycle_s)
        for name in rates_rps:
            arrivals = self.asked[name].arrivals
            if arrivals.process == "gamma":
                # The number of requests in a long time varies cv^2 times as much as of a Poisson process.
                wanted_s = max(wanted_s, requests * arrivals.cv**2 / rates_rps[name])
            elif arrivals.process == "mmpp":
                wanted_s = max(wanted_s, BURSTS * sum(arrivals.mean_durations_ns) / NS_PER_S)
        horizon_s = min(wanted_s, longest_s)
        for name, times in self.traces.items():
            if name in rates_rps:
                horizon_s = min(horizon_s, len(times) / rates_rps[name])
        horizon_ns = max(round(horizon_s * NS_PER_S), 2)
        warm_ns = max(horizon_ns // 10, min(round(WARM_CYCLES * cycle_s * NS_PER_S), horizon_ns // 2))
        return horizon_ns, warm_ns

    def _cycle_s(self, workloads: Mapping[str, object]) -> float:
        """Longest time between two executions of a model instance that always has work."""
        assert self.model is not None, "only simulated settings have times"
        served = {name: self.asked[name].workload("") for name in workloads}
        fleet = self._fleet(1, served)
        largest = np.array([batch_range(fleet, served)[1]])
        own = self.candidate.slowdown or self.model.slowdown or tuple(range(1, self.model_instances + 1))
        cycle_ms = self.model.mean_latency_ms(largest, allow_extrapolation=True) * own[self.model_instances - 1]
        for part in ("dispatch_ms", "release_ms"):
            cycle_ms = cycle_ms + self.model.overhead_ms(part, largest)
        return (float(cycle_ms[0]) + self.batching.max_queue_delay_ns / NS_PER_MS) / 1_000

    def _speed(self, workload: str, rate_rps: float, horizon_ns: int) -> float:
        """How many times as fast must a trace be played so that it brings this rate until the horizon?"""
        times = self.traces[workload]
        needed = min(max(round(rate_rps * horizon_ns / NS_PER_S), 1), len(times))
        return float((int(times[needed - 1]) + 1) / horizon_ns)


def expand(question: Question) -> tuple[Setting, ...]:
    """Which settings are searched? One for each candidate, batching, number of model instances and profile.

    >>> from optimizer.plan_file import question_from
    >>> question = question_from({
    ...     "schema": 1, "name": "small", "profiles": {"toy": {"batch": [1, 16], "latency_ms": [10, 40]}},
    ...     "workloads": {"w": {"arrivals": {"process": "poisson", "rate": 5}, "slo": {"p99": "100ms"}}},
    ...     "plan": {"candidates": [{"name": "l4", "usd_per_hour": 0.8, "profile": "toy", "batching": {
    ...         "policy": "dynamic", "max_batch_size": [4, 16], "max_queue_delay": "5ms"}}]}})
    >>> [setting.name for setting in expand(question)]
    ['l4: batch 4, wait 5 ms', 'l4: batch 16, wait 5 ms']
    """
    found: list[Setting] = []
    names: set[str] = set()
    for candidate in question.candidates:
        for setting in _of_candidate(question, candidate):
            unique = setting.name
            while unique in names:
                unique += " (again)"
            names.add(unique)
            found.append(setting if unique == setting.name else replace(setting, name=unique))
    return tuple(found)


def _of_candidate(question: Question, candidate: Candidate) -> Iterator[Setting]:
    usd_per_hour = question.prices[candidate.name].usd_per_hour
    served = {name: workload for name, workload in question.workloads.items() if candidate.serves(name)}
    by_profile: dict[str | None, dict[str, PlanWorkload]] = {}
    for name, workload in served.items():
        by_profile.setdefault(candidate.profile_of(name), {})[name] = workload
    batchings = tuple(candidate.batching.settings())
    counts = tuple(dict.fromkeys(candidate.model_instances))
    for batching, count, (profile, asked) in product(batchings, counts, by_profile.items()):
        words = [] if profile is None else _batching_words(batching, candidate)
        if count > 1 or len(counts) > 1:
            words.append(f"{count} model instance{'s' * (count > 1)}")
        if len(by_profile) > 1:
            words.append(f"profile {profile}")
        yield Setting(
            name=f"{candidate.name}: {', '.join(words)}" if words else candidate.name,
            candidate=candidate,
            batching=batching,
            model_instances=count,
            profile=profile,
            workloads=tuple(asked),
            usd_per_hour=usd_per_hour,
            model=None if profile is None else question.profiles[profile],
            asked=asked,
            traces={name: _arrival_ns(question, name) for name in asked if asked[name].arrivals.process == "trace"},
            allow_extrapolation=question.file.allow_extrapolation,
        )


def _batching_words(batching: Batching, candidate: Candidate) -> list[str]:
    """What distinguishes this setting from the candidate's others, and what a reader wants to know anyway."""
    if batching.policy == "none":
        return ["no batching"]
    if batching.policy == "static":
        return [f"static batch {batching.max_batch_size}"]
    words = [f"batch {batching.max_batch_size}"]
    if batching.max_queue_delay_ns:
        words.append(f"wait {span_words(batching.max_queue_delay_ns)}")
    elif len(set(candidate.batching.max_queue_delay_ns)) > 1:
        words.append("no wait")
    return words


def _arrival_ns(question: Question, workload: str) -> Int64s:
    content: Any = question.traffic[workload]
    times: Int64s = content.arrival_ns
    return times


def _mean_rate(arrivals: Any) -> float:
    rate = mean_rate_rps(arrivals, NS_PER_S)
    assert rate, "an arrival process has a rate above 0"
    return rate
