"""One fleet of a plan in one hour, simulated with seeds that no search has seen: does it hold every objective?

What a fleet gets of a workload is a part of its requests, each sent there or elsewhere by a coin of its own. That is
what the engines are given:

poisson, rate_series    the part of a Poisson process is one, at the part's rate: nothing to do
mmpp                    the part of one has the same states for the same times, each at the part's rate: nothing to do
gamma, deterministic,   the whole stream is drawn, or replayed, at the rate of the whole workload, and each request of
trace                   it kept with the probability of the part. The gaps of a part are nearer to exponential than
                        those of the whole (cv^2 becomes 1 + p (cv^2 - 1)), for better or worse

An objective counts as met when the upper end of its 95 % *prediction* interval is within the target: what one more run
like these stays below in 39 of 40 cases. It is wider than the confidence interval of the value itself, which is within
the target, too. A fleet at the upper end of the latter would miss in every second run that somebody makes to check.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from simulator.clock import NS_PER_MS, ms_from_ns
from simulator.compiling import compile_model
from simulator.describe import FleetPrice, describe
from simulator.intervals import interval_95
from simulator.metrics import summarise, window_of
from simulator.outcome import PERCENTILES
from simulator.replicate import Measure, count
from simulator.study import EXACT_UP_TO
from simulator.tally import Tally

if TYPE_CHECKING:
    from optimizer.settings import Setting
    from simulator.model import Model
    from simulator.tally import WorkloadTally

Int64s = npt.NDArray[np.int64]

MOST_LOAD: Final = 0.97
"""Items offered as a share of what the accelerators can do with their best batches; a fleet beyond it is full, however
loose its objectives."""

MOST_TIMES_REPLICATIONS: Final = 4
"""Where the values are within their targets and the intervals are not, so many times the replications decide."""

COINS: Final = 2
"""Purpose of the draws that send a request here or elsewhere; 0 and 1 are those of its arrival process."""

RENEWED: Final = ("gamma", "deterministic", "trace")
"""Arrival processes of which a part is no process of the same kind."""


@dataclass(frozen=True)
class FleetLoadCase:
    """What is to be simulated: a fleet, and what it gets."""

    setting: Setting
    instances: int
    rates_rps: Mapping[str, float]
    """Requests per second that it gets, by workload; above 0."""
    whole_rps: Mapping[str, float]
    """Requests per second of all of the workload, of which it gets a part."""

    @property
    def key(self) -> tuple[object, ...]:
        """Equal for cases that differ in nothing that a simulation could show."""
        rates = tuple((name, f"{rate:.9g}", f"{self.part(name):.9g}") for name, rate in sorted(self.rates_rps.items()))
        return self.setting.name, self.instances, rates

    def part(self, workload: str) -> float:
        """Share of the workload's requests that come here, where the rest of them matters; else 1."""
        share = self.rates_rps[workload] / self.whole_rps[workload]
        return share if self.setting.asked[workload].arrivals.process in RENEWED and share < 1 - 1e-9 else 1.0

    def scaled(self, by: float) -> FleetLoadCase:
        """The same fleet with that many times the requests, as where the rest is sent elsewhere."""
        return replace(self, rates_rps={name: rate * by for name, rate in self.rates_rps.items()})


@dataclass(frozen=True)
class WorkloadCheck:
    """What one workload saw of a fleet. Times as the client sees them, the candidate's distance included."""

    targets_ms: Mapping[str, float]
    """By ``p99_ms`` and so on."""
    values_ms: Mapping[str, float]
    """Over the requests of all runs, those without an answer as infinitely late; infinite while a queue only grows."""
    ci95: Mapping[str, tuple[float, float]]
    one_run_ms: Mapping[str, float]
    """Upper ends of the 95 % prediction intervals."""
    attainment: float
    requests: int
    """Measured."""

    @property
    def nearest(self) -> str:
        """The objective that is nearest to its target, or farthest beyond it."""
        return max(self.targets_ms, key=lambda name: self.one_run_ms[name] / self.targets_ms[name])

    @property
    def excess(self) -> float:
        """Logarithm of the upper end over its target, where that is worst."""
        return math.log(max(self.one_run_ms[self.nearest] / self.targets_ms[self.nearest], 1e-9))

    @property
    def met(self) -> bool:
        """Whether every objective is met for certain."""
        return all(self.one_run_ms[name] <= target for name, target in self.targets_ms.items())

    @property
    def met_as_seen(self) -> bool:
        """Whether every objective is met as far as the pooled runs show."""
        return all(self.values_ms[name] <= target for name, target in self.targets_ms.items())


@dataclass(frozen=True)
class FleetCheck:
    """What the simulations of one case showed."""

    workloads: Mapping[str, WorkloadCheck]
    """Of which requests came."""
    offered_load: float
    """Items offered a second over what the accelerators can do with their best batches."""
    busy: float
    """Share of the time in which the accelerators work; near 1 long before a fleet that batches is full."""
    replications: int

    @property
    def full(self) -> bool:
        """Whether it is loaded beyond what any fleet should be."""
        return self.offered_load > MOST_LOAD * (1 + 1e-9)

    @property
    def met(self) -> bool:
        """Whether it holds, for certain."""
        return not self.full and all(one.met for one in self.workloads.values())

    @property
    def undecided(self) -> bool:
        """Whether more runs could still show that it holds."""
        return not self.full and not self.met and all(one.met_as_seen for one in self.workloads.values())

    @property
    def excess(self) -> float:
        """Logarithm of the worst upper end over its target: it holds up to 0. Infinite without a steady state."""
        found = max((one.excess for one in self.workloads.values()), default=-math.inf)
        return max(found, math.log(self.offered_load / MOST_LOAD)) if self.full else found


def check(case: FleetLoadCase, seed: int, replications: int, *, most_replications: int | None = None) -> FleetCheck:
    """Does this fleet hold every objective with what it gets?

    Parameters
    ----------
    case
        Fleet and requests.
    seed
        One that no search has seen.
    replications
        Runs, at least 2.
    most_replications
        As many more are made where they could still show that it holds; default: ``MOST_TIMES_REPLICATIONS`` times.
    """
    most = MOST_TIMES_REPLICATIONS * replications if most_replications is None else most_replications
    scenario = _scenario(case, seed)
    prices = {name: FleetPrice(case.setting.usd_per_hour, "") for name in scenario.fleets}
    model = _thinned(compile_model(scenario), case)
    exact = model.expected_requests * most <= EXACT_UP_TO
    describing = describe(scenario, model, prices, engine="compiled", replications=replications, exact=exact)
    measure = Measure(window_of(describing, scenario.warmup_ns, model.horizon_ns), "compiled", exact)
    load = _offered_load(case, describing.fleets[0].capacity_items_per_s)
    tallies: list[Tally] = []
    while True:
        wanted = replications if not tallies else min(2 * len(tallies), most)
        tallies += [count(replace(model, replication=r), measure).tally for r in range(len(tallies), wanted)]
        fleet = summarise(tallies, describing).fleets[0]
        pooled = Tally.of(measure.window, exact)
        for tally in tallies:
            pooled.merge(tally)
        found = {
            name: _judged(case.setting, name, whole, [one.workloads[w] for one in tallies], fleet.unstable)
            for w, (name, whole) in enumerate(zip(scenario.workloads, pooled.workloads, strict=True))
            if whole.offered
        }
        verdict = FleetCheck(found, load, fleet.utilisation, len(tallies))
        if not verdict.undecided or len(tallies) >= most:
            return verdict


def _scenario(case: FleetLoadCase, seed: int) -> Any:
    """The setting's scenario; workloads of which a part comes enter whole, and long enough for the part."""
    least = min(case.part(name) for name in case.rates_rps)
    rates = {name: rate / case.part(name) for name, rate in case.rates_rps.items()}
    if least == 1:
        return case.setting.scenario(case.instances, rates, seed=seed)
    from optimizer.settings import REQUESTS

    return case.setting.scenario(case.instances, rates, seed=seed, requests=math.ceil(REQUESTS / least))


def _thinned(model: Model, case: FleetLoadCase) -> Model:
    """The model with streams of which each request comes with the probability of its part."""
    workloads = []
    for name, workload in zip(case.rates_rps, model.workloads, strict=True):
        part, whole = case.part(name), workload.arrivals
        if part < 1 and whole is not None:
            workload = replace(workload, arrivals=partial(Part.of, whole, part))
        workloads.append(workload)
    return replace(model, workloads=tuple(workloads))


class Part:
    """A part of a stream of arrivals: each one is kept by a coin of its own."""

    @classmethod
    def of(cls, whole: Any, share: float, seeds: np.random.SeedSequence) -> Part:
        """Open the stream, and the coins beside it."""
        return cls(whole(seeds), share, seeds)

    def __init__(self, whole: Any, share: float, seeds: np.random.SeedSequence) -> None:
        child = np.random.SeedSequence(seeds.entropy, spawn_key=(*seeds.spawn_key, COINS))
        self._whole, self._share = whole, share
        self._coins = np.random.Generator(np.random.PCG64DXSM(child))

    def take(self, until_ns: int) -> Int64s:
        """Which of the next requests before ``until_ns`` come here?"""
        times: Int64s = self._whole.take(until_ns)
        return times[self._coins.random(len(times)) < self._share]


def _offered_load(case: FleetLoadCase, capacity_items_per_s: float) -> float:
    """Of what is offered on average, so that chance decides nothing."""
    items = sum(
        rate * sum(size * share for size, share in case.setting.asked[name].item_shares.items())
        for name, rate in case.rates_rps.items()
    )
    return items / (case.instances * capacity_items_per_s)


def _judged(
    setting: Setting, workload: str, pooled: WorkloadTally, each: Sequence[WorkloadTally], unstable: bool
) -> WorkloadCheck:
    added_ms = setting.candidate.added_latency_ns_of(workload) / NS_PER_MS
    targets = {f"{name}_ms": ms_from_ns(ns) for name, ns in setting.asked[workload].slo.targets_ns.items()}
    values, intervals, one_run = {}, {}, {}
    for key in targets:
        name = key.removesuffix("_ms")
        value = math.inf if unstable else _value_ms(name, pooled)
        singles = [_value_ms(name, one) for one in each if one.offered]
        low, high = (value, math.inf)
        if math.isfinite(value) and len(singles) > 1 and all(map(math.isfinite, singles)):
            low, high = interval_95(value, singles)
        values[key] = value + added_ms
        intervals[key] = (max(low, 0.0) + added_ms, high + added_ms)
        one_run[key] = value + (high - value) * math.sqrt(len(singles) + 1) + added_ms if high < math.inf else math.inf
    return WorkloadCheck(targets, values, intervals, one_run, pooled.good / pooled.offered, pooled.offered)


def _value_ms(name: str, tally: WorkloadTally) -> float:
    """Mean or percentile of all requests, those without an answer as infinitely late."""
    if not tally.latency.count or (name == "mean" and tally.lost):
        return math.inf
    latency = tally.latency
    return ms_from_ns(latency.mean if name == "mean" else latency.quantile(PERCENTILES[name], late=tally.lost))
