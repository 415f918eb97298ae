"""One rate, simulated: does a fleet of a setting hold every objective of a workload there?

Every rate gets the same replications of the same seed. Arrival processes keep their pattern and only run faster, and
items, coins and scatter are the same draws: common random numbers, so that from one rate to the next the answer
changes with the rate and hardly with luck.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from simulator.clock import NEVER, NS_PER_S, ms_from_ns, s_from_ns
from simulator.compiling import compile_model
from simulator.describe import capacity_items_per_s
from simulator.distribution import Sample
from simulator.intervals import interval_95
from simulator.loads import GROWN, STILL_GROWING
from simulator.log import COMPLETED, RequestLog
from simulator.outcome import PERCENTILES
from simulator.run import run
from simulator.tally import TENTHS, FleetTally, Window

if TYPE_CHECKING:
    from optimizer.settings import Setting
    from simulator.model import Model
    from simulator.scenario import Scenario

Int64s = npt.NDArray[np.int64]

SEED: Final = 4_242_001
"""Of every simulation of a search, whatever the plan's own seed is: plans are proven with other seeds."""

OVERLOAD: Final = 4.0
"""How many times its nominal capacity an instance is offered to see what it answers when its queue never runs dry."""

FULL_BATCHES: Final = 150
"""Rounds of full batches in that run; the middle half of them is measured."""

STEADY: Final = ("poisson", "deterministic", "gamma")
"""Arrival processes whose runs need be no longer than their effort says, which knows their coefficient of variation."""

FEWEST: Final = 3_000
"""Requests of the shortest run."""


@dataclass(frozen=True)
class Effort:
    """How much is simulated at each rate."""

    requests: int
    """Of one replication, about, the warm-up included."""
    warmup: float
    """Share of them that only fill the queues."""
    replications: int

    @property
    def measured(self) -> int:
        """Requests that count, about."""
        return round(self.requests * (1 - self.warmup) * self.replications)


@dataclass(frozen=True)
class Trial:
    """What came out at one rate."""

    rate_rps: float
    values_ms: Mapping[str, float]
    """Each objective's value, requests without an answer counting as infinitely late."""
    upper_ms: Mapping[str, float]
    """Upper end of its 95 % interval over replications; the value itself where there is only one."""
    targets_ms: Mapping[str, float]
    alone_ms: Mapping[str, float]
    """Each objective's value if nobody had waited longer than the luckiest request did; empty where there is more than
    one replication, since nobody asks."""
    utilisation: float
    requests: int
    """Requests measured."""
    growing: bool
    """Whether queues grew through the run, so that its latencies measure only how long it was."""

    @property
    def excess(self) -> float:
        """Logarithm of the worst upper end over its target: every objective is met for certain where it is <= 0."""
        return self._excess(self.upper_ms)

    @property
    def centre(self) -> float:
        """The same of the values themselves: met as far as one can see."""
        return self._excess(self.values_ms)

    @property
    def binding(self) -> str:
        """The objective nearest to its target."""
        return max(self.targets_ms, key=lambda name: self.upper_ms[name] / self.targets_ms[name])

    def _excess(self, values_ms: Mapping[str, float]) -> float:
        if self.growing:
            return math.inf
        worst = max(values_ms[name] / target for name, target in self.targets_ms.items())
        return math.log(max(worst, 1e-9))


def try_rate(setting: Setting, workload: str, instances: int, rate_rps: float, effort: Effort) -> Trial:
    """What does a fleet of so many instances do to this workload at this rate?"""
    scenario = _scenario(setting, workload, instances, rate_rps, effort)
    model = compile_model(scenario)
    slo = scenario.workloads[workload].slo
    assert slo is not None, "the door lets no workload without objectives in"
    targets_ms = {name: ms_from_ns(ns) for name, ns in slo.targets_ns.items()}
    warmup_ns = max(scenario.warmup_ns, round(effort.warmup * model.horizon_ns))
    window = Window(min(warmup_ns, model.horizon_ns - 1), model.horizon_ns, (None,), 1)
    runs = [_run(replace(model, replication=number), window) for number in range(effort.replications)]
    pooled = _Run.pooled(runs)
    values_ms = {name: ms_from_ns(pooled.judged_ns(name)) for name in targets_ms}
    upper_ms = dict(values_ms)
    if len(runs) > 1:
        for name in targets_ms:
            upper_ms[name] = _upper_ms(values_ms[name], [ms_from_ns(one.judged_ns(name)) for one in runs])
    fleet = model.fleets[0]
    slowdown = fleet.slowdowns[-1] / fleet.slowdowns[0]
    most_work_ns = window.length_ns * len(runs) * instances * fleet.model_instances / slowdown
    return Trial(
        rate_rps=rate_rps,
        values_ms=values_ms,
        upper_ms=upper_ms,
        targets_ms=targets_ms,
        alone_ms={name: ms_from_ns(_judged_ns(name, pooled.alone, 0)) for name in targets_ms if len(runs) == 1},
        utilisation=pooled.work_ns / most_work_ns,
        requests=pooled.latency.count + pooled.lost,
        growing=any(one.growing for one in runs),
    )


def _scenario(setting: Setting, workload: str, instances: int, rate_rps: float, effort: Effort) -> Scenario:
    """The setting's own scenario; where traffic is alike at all times, for no longer than the effort wants."""
    scenario = setting.scenario(instances, {workload: rate_rps}, seed=SEED, requests=effort.requests)
    if scenario.workloads[workload].arrivals.process not in STEADY:
        return scenario
    horizon_ns = max(round(effort.requests / rate_rps * NS_PER_S), 2)
    return scenario.model_copy(update={"horizon_ns": horizon_ns, "warmup_ns": 0})


def _upper_ms(pooled: float, each: Sequence[float]) -> float:
    if not (math.isfinite(pooled) and all(map(math.isfinite, each))):
        return math.inf
    return interval_95(pooled, each)[1]


@dataclass
class _Run:
    """What one replication, or several, left behind."""

    latency: Sample
    alone: Sample
    lost: int
    work_ns: int
    growing: bool

    @classmethod
    def pooled(cls, runs: Sequence[_Run]) -> _Run:
        """All replications as one."""
        if len(runs) == 1:
            return runs[0]
        latency = Sample()
        for one in runs:
            latency.merge(one.latency)
        return cls(latency, Sample(), sum(one.lost for one in runs), sum(one.work_ns for one in runs), False)

    def judged_ns(self, objective: str) -> float:
        """Mean or percentile of all requests."""
        return _judged_ns(objective, self.latency, self.lost)


def _judged_ns(objective: str, latency: Sample, lost: int) -> float:
    """Mean or percentile of latencies and of lost requests, which are infinitely late; infinite of nothing."""
    if latency.count == 0 or (objective == "mean" and lost):
        return math.inf
    return latency.mean if objective == "mean" else latency.quantile(PERCENTILES[objective], lost)


def _run(model: Model, window: Window) -> _Run:
    log = run(model)
    requests, batches = log.requests, log.batches
    work = FleetTally(window)
    if len(batches):
        work.add(batches.items, batches.start_ns, batches.end_ns, batches.work_ns)
    first = int(np.searchsorted(requests.arrival_ns, window.warmup_ns))
    answered = requests.outcome[first:] == COMPLETED
    kept: Any = slice(None) if answered.all() else answered
    latency_ns = (requests.left_ns[first:] - requests.arrival_ns[first:])[kept]
    waited_ns = (requests.start_ns[first:] - requests.arrival_ns[first:])[kept]
    latency, alone = Sample(), Sample()
    latency.add(latency_ns)
    if len(waited_ns):
        alone.add(latency_ns - (waited_ns - waited_ns.min()))
    lost = len(answered) - latency.count
    return _Run(latency, alone, lost, work.work_ns, _grows(requests, first, window, answered))


def _grows(requests: RequestLog, first: int, window: Window, answered: Any) -> bool:
    """Whether the queue grew through the run, by the rule of :mod:`simulator.loads`."""
    late = requests.left_ns[first:] >= window.horizon_ns
    left_over = int(np.count_nonzero(late & answered))
    if left_over <= 4 * math.sqrt(len(answered)):
        return False
    waited_ns = (requests.start_ns[first:] - requests.arrival_ns[first:])[answered]
    tenths = [float(part.mean()) for part in np.array_split(waited_ns, TENTHS) if len(part)]
    if len(tenths) < TENTHS:
        return False
    middle = (tenths[4] + tenths[5]) / 2
    return tenths[-1] >= GROWN * tenths[0] and tenths[-1] >= STILL_GROWING * middle


@dataclass(frozen=True)
class Limits:
    """What does not depend on the rate."""

    ceiling_rps: float
    """Requests per second that one instance answers when its queue never runs empty."""
    round_requests: float
    """Requests that one instance executes at once when all its model instances run full batches."""
    arrival_scv: float
    """Squared coefficient of variation of the inter-arrival times, as far as the process states it; else 1."""
    plain: bool
    """Which form of the compiled engine its models need."""


def limits_of(setting: Setting, workload: str) -> Limits:
    """What can one instance do at most, and how long does it remember?

    The ceiling comes from a simulation without scatter and timeouts, flooded with four times what the curves promise,
    the middle half of the executions measured; at most what the curves promise. It knows what closed forms do not:
    items that do not fill a batch, a serial front end, executions that wait for one another.
    """
    scenario = setting.scenario(1, {workload: 1.0}, seed=SEED, requests=1)
    model = compile_model(scenario)
    fleet, asked = model.fleets[0], model.workloads[0]
    items = float(np.average(asked.items, weights=asked.item_weights))
    nominal_rps = capacity_items_per_s(fleet, [(asked.items, asked.item_weights)]) / items
    full = max(fleet.model_instances * fleet.max_batch / items, 1.0)
    flood = partial(_Flood, OVERLOAD * nominal_rps, max(FEWEST, round(FULL_BATCHES * full)))
    flooded = replace(
        model,
        fleets=(replace(fleet, noise=None),),
        workloads=(replace(asked, arrivals=flood, timeout_ns=NEVER),),
        horizon_ns=flood().end_ns,
    )
    batches = run(flooded).batches
    order = np.argsort(batches.end_ns, kind="stable")
    ends_ns, done = batches.end_ns[order], np.cumsum(batches.requests[order])
    first, last = len(order) // 4, 3 * len(order) // 4
    most_rps = nominal_rps
    if last > first and ends_ns[last] > ends_ns[first]:
        most_rps = min(most_rps, float(done[last] - done[first]) / s_from_ns(int(ends_ns[last] - ends_ns[first])))
    return Limits(most_rps, full, _arrival_scv(scenario.workloads[workload].arrivals), model.plain)


class _Flood:
    """Requests at equal distances, far more than can be answered: nothing is drawn."""

    def __init__(self, rate_rps: float, requests: int, seeds: Any = None) -> None:
        del seeds
        self._times_ns = (np.arange(requests, dtype=np.float64) * (NS_PER_S / rate_rps)).astype(np.int64)

    @property
    def end_ns(self) -> int:
        """Just after the last one that is left."""
        return int(self._times_ns[-1]) + 1

    def take(self, until_ns: int) -> Int64s:
        """Those before ``until_ns``, once."""
        n = int(np.searchsorted(self._times_ns, until_ns))
        taken, self._times_ns = self._times_ns[:n], self._times_ns[n:]
        return taken


def _arrival_scv(arrivals: Any) -> float:
    if arrivals.process == "deterministic":
        return 0.0
    return float(arrivals.cv**2) if arrivals.process == "gamma" else 1.0
