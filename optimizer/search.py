"""The capacity of one setting for one workload, by simulation: for 1, 2, 4, ... instances, the highest rate that holds.

How a rate is found, for each count of instances:

1. Located with one short replication a rate, the percentile itself held against the target.
2. Found with REPLICATIONS replications a rate. A rate counts as met when the **upper end of the 95 % interval** of
   every objective is within its target. That is conservative: the answer lies below the true capacity by what the
   interval leaves open, some per cent of the room that is left to saturation.
3. Where that costs more than UNSURE of the rate, once more with longer runs, as far as MOST_REQUESTS.
4. SAFETY is taken off.

How long runs are: 400 requests beyond the highest percentile asked for; RELAXATIONS times the relaxation time of the
queue (:mod:`simulator.loads`), which grows like 1 / (1 - load)^2; and many rounds of full batches.

However loose the objectives, a fleet is never loaded beyond MOST_LOAD of what it answers when its queues never run
empty. A queue nearer to saturation remembers for longer than any run that one would wait for.

The objectives must hold at the lightest load too, since the rate that a fleet gets is anything from nothing to its
capacity. So a static batch, which at night nobody fills, is refused.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Final

from optimizer.bisection import MOST_TRIES, Found, highest
from optimizer.evidence import LIMIT, Cause, Evidence, Point, Refusal
from optimizer.probe import Effort, Limits, Trial, limits_of, try_rate
from simulator.clock import ms_from_ns
from simulator.outcome import PERCENTILES

if TYPE_CHECKING:
    from optimizer.settings import Setting

MOST_LOAD: Final = 0.97
"""Share of what a fleet can answer at most that it is ever planned to get."""

LIGHTEST: Final = 0.001
"""The same for the lightest load, at which every objective must hold too."""

MOST_INSTANCES: Final = 64
"""Beyond it pooling adds next to nothing."""

SETTLED: Final = 0.01
"""Where doubling the instances adds no more than this to what each carries, larger fleets are not simulated."""

TOLERANCE: Final = 0.005
"""The rate found is at most about this share below the highest that passes."""

ROUGH: Final = 0.03
"""The same while it is located."""

REPLICATIONS: Final = 8
"""Their percentiles give the interval, with Student's t of 7 degrees of freedom (2.36)."""

BEYOND: Final = 400
"""Requests that lie beyond the highest percentile asked for, at least."""

RELAXATIONS: Final = 300
"""Relaxation times in all measured runs of a rate together, at least."""

ROUNDS: Final = 100
"""Rounds of full batches on all instances in them, at least."""

MOST_REQUESTS: Final = 800_000
"""Requests simulated at one rate, at most."""

UNSURE: Final = 0.015
"""Share of the rate that the interval may cost before runs get longer."""

BARELY: Final = 0.1
"""Below this load the interval may cost as much as it may here: nobody buys a fleet that can be used so little."""

LEAST_GROWTH: Final = 2.0
"""How many times as long they get, at least."""

MOST_GROWTH: Final = 16.0
"""The same at most, in one go."""

SAFETY: Final = 0.005
"""Share by which the rate given stays below the one that passed: an interval from eight runs is itself uncertain.
Measured over 15 points of very different settings, replications with unseen seeds met the objective in 93 % at the
very rate that passed, and in 99.7 % at 1 % less."""

FINE: Final = 0.3
"""Excess nearer to 0 than this share of half its interval is as good as 0."""

FINEST: Final = 0.003
"""The same as a share of the target: 0.3 % of a latency is nothing."""

SHORT: Final = 6_000
"""Requests of the one replication that locates a rate, at least."""

SHORT_RELAXATIONS: Final = 20
"""Relaxation times in it, at least, at the load where the search begins."""

IN_BETWEEN: Final = (0.25, 0.5, 0.75)
"""Shares of the load found at which the objectives are looked at too; for larger fleets only at the middle one."""

WARM_RELAXATIONS: Final = 2.5
"""Relaxation times that a replication runs before it counts, at least."""

WARM_ROUNDS: Final = 5
"""Rounds of full batches in them, at least."""

MEAN_AS: Final = 0.9
"""A mean needs runs as long as this percentile does."""


@dataclass(frozen=True)
class Asked:
    """One workload on one setting, as far as demand could need it."""

    setting: Setting
    workload: str
    peak_rps: float
    """The most that could ever be asked of it."""


def search(asked: Asked, known: Evidence | None = None, keep: Callable[[Evidence], None] | None = None) -> Evidence:
    """What do 1, 2, 4, ... instances carry, until demand, MOST_INSTANCES or SETTLED ends it?

    Parameters
    ----------
    asked
        The question.
    known
        What was found before: it is not simulated again.
    keep
        Gets everything that is known, whenever a point is added to it.
    """
    if known is not None and complete(known, asked.peak_rps):
        return known
    setting, workload = asked.setting, asked.workload
    limits = limits_of(setting, workload)
    found = known or Evidence(workload, limits.ceiling_rps, (), refused(setting, workload, limits))
    if found.refusal is not None and keep is not None:
        keep(found)
    while not complete(found, asked.peak_rps):
        point = find(setting, workload, 2 ** len(found.points), limits, found.points)
        found = replace(found, points=(*found.points, point))
        if keep is not None:
            keep(found)
    return found


def complete(found: Evidence, peak_rps: float) -> bool:
    """Whether more instances than were simulated are of no interest: demand, pooling or an objective ends it."""
    points = found.points
    if found.refusal is not None:
        return True
    if not points:
        return False
    last = points[-1]
    if (
        2 * last.instances > MOST_INSTANCES
        or last.rate_rps >= peak_rps
        or last.load >= MOST_LOAD * (1 - TOLERANCE) * (1 - SAFETY)
    ):
        return True
    return len(points) > 1 and last.rps_per_instance <= (1 + SETTLED) * points[-2].rps_per_instance


def refused(setting: Setting, workload: str, limits: Limits) -> Refusal | None:
    """Which objective is out of reach even at the lightest load; None if all can be met."""
    rate_rps = LIGHTEST * limits.ceiling_rps
    trial = try_rate(setting, workload, 1, rate_rps, Effort(SHORT, 0.1, 1))
    if trial.centre <= 0:
        return None
    name = trial.binding
    added_ms = ms_from_ns(setting.candidate.added_latency_ns_of(workload))
    alone_ms, target_ms = trial.alone_ms[name], trial.targets_ms[name]
    cause: Cause = "service" if alone_ms > target_ms else "waiting"
    least_ms = alone_ms if cause == "service" else trial.values_ms[name]
    asked_ms = ms_from_ns(setting.asked[workload].slo.targets_ns[name])
    return Refusal(workload, name, asked_ms, least_ms + added_ms, cause)


def find(setting: Setting, workload: str, instances: int, limits: Limits, before: Sequence[Point] = ()) -> Point:
    """What is the highest rate that so many instances carry? ``before``: what smaller fleets carry, to begin there."""
    guess = _guess(before)
    tries = _Tries(setting, workload, instances, limits, guess)
    limit, located = _locate(tries, guess)
    effort = effort_for(located.load, instances, limits, tuple(tries.last.targets_ms))
    guess = located.load
    while True:
        found = tries.highest(effort, guess, limit, located.slope)
        if found.load == 0:
            return tries.nothing(instances)
        trial = tries.at(found.load, effort)
        costs = (trial.excess - trial.centre) / found.slope * (1 - found.load) / max(found.load, BARELY)
        if costs <= UNSURE or effort.requests * effort.replications >= MOST_REQUESTS:
            break
        effort, guess = _longer(effort, costs), found.load * (1 + costs / 3)
    at_limit = found.load >= limit
    kept = 1.0 if at_limit else 1 - SAFETY
    return Point(
        instances=instances,
        rate_rps=kept * trial.rate_rps,
        load=kept * found.load,
        utilisation=trial.utilisation,
        values_ms=dict(trial.values_ms),
        upper_ms=dict(trial.upper_ms),
        binding=LIMIT if at_limit else trial.binding,
        requests=trial.requests,
        probes=tries.made,
    )


def _guess(before: Sequence[Point]) -> float:
    """About where the next point lies: a fleet twice as large gains half of what the last doubling gained."""
    if not before:
        return 0.6
    gain = before[-1].load - before[-2].load if len(before) > 1 else (1 - before[-1].load) / 4
    return min(before[-1].load + max(gain, 0.0) / 2, MOST_LOAD)


def _locate(tries: _Tries, guess: float) -> tuple[float, Found]:
    """About where the highest rate lies, and up to which load one may look for it.

    Latencies need not grow with the load: where batches wait to fill, they are longest at some load in between. What
    holds beyond such a load is of no use, since the fleet passes through it twice a day.
    """
    limit = MOST_LOAD
    shares = IN_BETWEEN if tries.instances == 1 else IN_BETWEEN[1:2]
    while True:
        located = tries.highest(None, guess, limit, 1.0)
        missed = [share for share in shares if tries.at(share * located.load, None).centre > 0]
        if located.load <= LIGHTEST or not missed:
            return limit, located
        limit = guess = missed[0] * located.load


def effort_for(load: float, instances: int, limits: Limits, objectives: Sequence[str]) -> Effort:
    """How much must be simulated for an answer near this load?"""
    highest_p = max(PERCENTILES.get(name, MEAN_AS) for name in objectives)
    relaxation = _relaxation(load, limits)
    full = limits.round_requests * instances
    measured = max(BEYOND / (1 - highest_p), RELAXATIONS * relaxation, ROUNDS * full) / REPLICATIONS
    warmup = max(WARM_RELAXATIONS * relaxation, WARM_ROUNDS * full)
    requests = min(measured + warmup, MOST_REQUESTS / REPLICATIONS)
    return Effort(math.ceil(requests), min(warmup / requests, 0.5), REPLICATIONS)


def _relaxation(load: float, limits: Limits) -> float:
    """Requests that arrive while the queue forgets its past."""
    load = min(load, MOST_LOAD)
    return 2 * (1 + limits.arrival_scv) * load**2 / (1 - load) ** 2


def _longer(effort: Effort, costs: float) -> Effort:
    """As much as brings down what the interval costs to what it may: it shrinks with the square root of the run."""
    by = min(max((costs / UNSURE) ** 2, LEAST_GROWTH), MOST_GROWTH)
    requests = min(round(by * effort.requests), MOST_REQUESTS // effort.replications)
    return replace(effort, requests=requests, warmup=effort.warmup * effort.requests / requests)


class _Tries:
    """Rates of one fleet that were simulated."""

    def __init__(self, setting: Setting, workload: str, instances: int, limits: Limits, guess: float) -> None:
        self._try = partial(try_rate, setting, workload, instances)
        rounds = 2 * WARM_ROUNDS * limits.round_requests * instances
        short = max(SHORT, SHORT_RELAXATIONS * _relaxation(guess, limits), rounds)
        self._short = Effort(round(min(short, MOST_REQUESTS / REPLICATIONS)), 0.2, 1)
        self._fleet_rps = limits.ceiling_rps * instances
        self._made: dict[tuple[float, Effort], Trial] = {}
        self.instances = instances
        self.made = 0
        """Rates that were simulated."""

    @property
    def last(self) -> Trial:
        """The last one."""
        return next(reversed(self._made.values()))

    def at(self, load: float, effort: Effort | None) -> Trial:
        """What happens at this load; None for a short look."""
        key = (load, effort or self._short)
        if key not in self._made:
            self._made[key] = self._try(load * self._fleet_rps, key[1])
            self.made += 1
        return self._made[key]

    def highest(self, effort: Effort | None, guess: float, limit: float, slope: float) -> Found:
        """The highest load at which every objective is met: as far as one can see in a short look, else for certain."""

        def excess(load: float) -> tuple[float, float]:
            trial = self.at(load, effort)
            if effort is None:
                return trial.centre, ROUGH
            return trial.excess, max(FINE * (trial.excess - trial.centre), FINEST)

        tolerance, most = (ROUGH, 10) if effort is None else (TOLERANCE, MOST_TRIES)
        return highest(excess, guess, limit=limit, lowest=LIGHTEST, slope=slope, tolerance=tolerance, most_tries=most)

    def nothing(self, instances: int) -> Point:
        """What is left to say where no rate passed."""
        last = self.last
        values = dict(last.values_ms), dict(last.upper_ms)
        return Point(instances, 0.0, 0.0, 0.0, *values, last.binding, last.requests, self.made)
