"""What the reader of a report should know before trusting its numbers: overload, short runs, lost requests.

Each question is one function that gives the sentences for it, or none. The rules of thumb are stated where they are
applied; none of them changes a number.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from simulator.clock import s_from_ns
from simulator.description import Description, FleetDescription, WorkloadDescription
from simulator.loads import FleetLoad
from simulator.log import OUTCOMES
from simulator.outcome import PERCENTILES, Caution
from simulator.tally import Tally, Window, WorkloadTally
from simulator.wording import listed, percent, percentile, span

ENOUGH_BEYOND: Final = 100
"""Requests that should lie beyond a percentile: with k of them its rank is uncertain by about 1 / sqrt(k)."""

BUSY: Final = 0.8
"""Load from which the time that a queue takes to forget its past is worth a thought."""

LONG_ENOUGH: Final = 300
"""Relaxation times that a run's window should hold. Measured at load 0.95 with 20 replications, intervals of nominally
95 % covered the true p99 in 76 % of the experiments at 60 relaxation times, and in 92 to 98 % at 300."""

WARM_ENOUGH: Final = 2
"""Relaxation times after which a fleet has all but forgotten that it started empty."""

_LOST_WORDS: Final = {
    "rejected": "rejected by a full queue",
    "timed_out": "timed out before {its} execution",
    "in_flight": "never answered: {it} still waited when nothing more could happen, for a batch that never filled",
}


def cautions(description: Description, tally: Tally, loads: Sequence[FleetLoad], runs: int) -> tuple[Caution, ...]:
    """Everything the reader should know, the gravest first; ``tally`` is merged from that many runs."""
    fleets = list(zip(description.fleets, loads, strict=True))
    workloads = list(zip(description.workloads, tally.workloads, strict=True))
    found: list[Caution] = []
    for index, (fleet, load) in enumerate(fleets):
        has_slo = any(workload.slo_ms for workload in description.workloads if workload.fleet == index)
        found += _overload(fleet, load, has_slo)
    for workload, counted in workloads:
        found += _lost(workload, counted)
    for index, (fleet, load) in enumerate(fleets):
        clients = [counted for workload, counted in workloads if workload.fleet == index and not workload.closed_loop]
        found += _short_for_its_load(fleet, load, clients, tally.window, runs)
    for workload, counted in workloads:
        if not loads[workload.fleet].unstable:
            found += _too_few(workload, counted, tally.window)
    found += _doubtful_profiles(description.fleets)
    if description.purchases is not None:
        found += [Caution(code, text) for code, text in description.purchases.cautions]
    found += _no_intervals(runs)
    return tuple(found)


def _doubtful_profiles(fleets: Sequence[FleetDescription]) -> Iterator[Caution]:
    """How far can the profiles be trusted that the run stands on?"""
    for sentence in dict.fromkeys(fleet.extrapolated for fleet in fleets if fleet.extrapolated):
        yield Caution("extrapolated", sentence)
    for sentence in dict.fromkeys(warning for fleet in fleets for warning in fleet.profile_warnings):
        yield Caution("profile", sentence)


def _overload(fleet: FleetDescription, load: FleetLoad, has_slo: bool) -> Iterator[Caution]:
    """Is more asked than the fleet can do, or does a queue grow for another reason?"""
    asked = f"{fleet.name} is offered {load.open:.2f} times what it can do"
    if load.unstable:
        if load.open >= 1:
            why = f"{asked}, so its queue grows"
        else:
            why = f"the queue of {fleet.name} still grew when the run ended, at {load.open:.0%} of its capacity"
        if load.before_queue:
            why += ": its front end lets requests through more slowly than they come"
        verdict = ", and the SLO counts as not met" if has_slo else ""
        yield Caution(
            "unstable",
            f"{why}. The latencies measure only how long the run lasted (a longer one gives longer ones){verdict}.",
        )
    elif load.open >= 1:
        yield Caution(
            "overload",
            f"{asked}: {percent(load.turned_away)} of the requests are turned away. The percentiles are those of "
            "the requests that were answered.",
        )
    elif load.varying and load.busiest >= 1:
        yield Caution(
            "peak_overload",
            f"in the busiest tenth of the run {fleet.name} is offered {load.busiest:.2f} times what it can do, on "
            f"average {load.open:.2f} times: the queue of that time sets the percentiles.",
        )


def _lost(workload: WorkloadDescription, counted: WorkloadTally) -> Iterator[Caution]:
    """Which requests were never answered, and so are in no percentile?"""
    arrived = int(counted.outcomes.sum())
    for code, words in _LOST_WORDS.items():
        lost = int(counted.outcomes[OUTCOMES.index(code)])
        if lost:
            one = lost == 1
            what = words.format(its="its" if one else "their", it="it" if one else "they")
            yield Caution(
                code,
                f"{lost:,} of {arrived:,} requests of {workload.name} ({percent(lost / arrived)}) "
                f"{'was' if one else 'were'} {what}. The latencies leave {'it' if one else 'them'} out; an SLO counts "
                f"{'it' if one else 'them'} as infinitely late.",
            )


def _short_for_its_load(
    fleet: FleetDescription, load: FleetLoad, clients: Sequence[WorkloadTally], window: Window, runs: int
) -> Iterator[Caution]:
    """Has the queue had time to show what it can do, and to forget that it started empty?

    The nearer the load is to capacity the longer a queue remembers: a short run then sees only a few of its long
    spells, or none, and its percentiles are too low as a rule. More replications do not mend that. Traffic that
    varies by design is left out: it has no steady state to be far from.
    """
    if load.unstable or load.varying or not BUSY <= load.open < 1 or not clients:
        return
    length_s, warmup_s = s_from_ns(window.length_ns), s_from_ns(window.warmup_ns)
    if length_s >= LONG_ENOUGH * load.relaxation_s:
        return
    enough_s = LONG_ENOUGH * load.relaxation_s
    requests = sum(counted.offered for counted in clients) / runs * (enough_s / length_s)
    yield Caution(
        "short_run",
        f"at {load.open:.0%} of {fleet.name}'s capacity this run is short: its queue remembers for about "
        f"{span(load.relaxation_s)}, and percentiles settle only after some {LONG_ENOUGH} times that, "
        f"a horizon of {span(warmup_s + enough_s)} ({_rounded(requests)} requests). Until then they tend to be too "
        "low, which more replications do not mend.",
    )
    if warmup_s < WARM_ENOUGH * load.relaxation_s:
        left_out = f"only {span(warmup_s)}" if warmup_s else "nothing"
        yield Caution(
            "short_warmup",
            f"the run starts with {fleet.name} empty and leaves out {left_out}: "
            f"at this load give it a warm-up of {span(WARM_ENOUGH * load.relaxation_s)}.",
        )


def _too_few(workload: WorkloadDescription, counted: WorkloadTally, window: Window) -> Iterator[Caution]:
    """Do enough requests lie beyond each percentile for it to mean anything?"""
    measured = counted.latency.count
    if measured == 0:
        yield Caution(
            "nothing_measured",
            f"no request of {workload.name} that arrived after the warm-up was answered: there are no latencies.",
        )
        return
    # Rounded: 1 - 0.99 is a little more than 0.01.
    beyond = {name: round(measured * (1 - p), 6) for name, p in PERCENTILES.items()}
    short = [name for name, requests in beyond.items() if requests < ENOUGH_BEYOND]
    if not short:
        return
    length_s, warmup_s = s_from_ns(window.length_ns), s_from_ns(window.warmup_ns)
    needed_s = {name: warmup_s + length_s * ENOUGH_BEYOND / beyond[name] for name in short}
    asked = [name for name in short if name in workload.slo_ms] or short[-1:]
    remedy = listed([f"{span(needed_s[name])} for the {percentile(name)}" for name in asked])
    yield Caution(
        "too_few_requests",
        f"too few requests of {workload.name} lie beyond "
        f"{listed([f'the {percentile(name)} ({_count(beyond[name])})' for name in short])}, where {ENOUGH_BEYOND} are "
        f"needed: a horizon of {span(needed_s[short[0]]) if len(short) == 1 else remedy} gives them, and so do more "
        "replications.",
    )


def _no_intervals(runs: int) -> Iterator[Caution]:
    """Can the reader see how far the numbers may be off?"""
    if runs == 1:
        yield Caution(
            "one_run",
            "a single run: how far another seed would move these numbers is unknown. --replications 10 gives 95% "
            "intervals.",
        )


def _count(requests: float) -> str:
    """A number of requests that may be less than one."""
    return f"{requests:,.0f}" if requests >= 1 else "less than 1"


def _rounded(requests: float) -> str:
    """A number of requests to two digits."""
    digits = 10 ** max(0, len(str(int(requests))) - 2)
    return f"{round(requests / digits) * digits:,}"
