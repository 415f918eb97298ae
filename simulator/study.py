"""The library's one obvious verb: :func:`simulate` a scenario, get a report.

>>> from simulator.scenario import load_scenario
>>> report = simulate(load_scenario("scenarios/hello.yaml"))  # doctest: +SKIP
>>> report.slo_met  # doctest: +SKIP
True
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Final, Literal

from calibration.console import Unwatched, Watch
from calibration.problems import InputError, Problem
from simulator.bought import bought
from simulator.compiled import is_warm
from simulator.compiling import compile_model
from simulator.describe import describe
from simulator.log import RunLog
from simulator.metrics import summarise, window_of
from simulator.outcome import Report
from simulator.purchases import bill
from simulator.replicate import Counted, Measure, count, replicate
from simulator.run import Engine, Timing

if TYPE_CHECKING:
    from simulator.scenario import Scenario

EXACT_UP_TO: Final = 4_000_000
"""Up to this many requests every duration is kept; beyond it they are counted in histograms of bounded error."""


def simulate(
    scenario: Scenario,
    *,
    replications: int = 1,
    engine: Engine | Literal["auto"] = "auto",
    jobs: int | None = None,
    cluster: str | None = None,
    keep: Callable[[RunLog], None] | None = None,
    watch: Watch | None = None,
) -> Report:
    """Does this fleet hold its SLOs at this load, and what does it cost?

    Parameters
    ----------
    scenario
        As :func:`simulator.scenario.load_scenario` gives it.
    replications
        Independent runs; from 2 on the report has 95 % confidence intervals.
    engine
        ``auto`` is ``compiled``; ``reference`` is the same in SimPy, some thousand times slower.
    jobs, cluster
        Where replications run: processes of this machine, or the Dask scheduler at that address. The numbers are
        the same to the last bit.
    keep
        Gets every stretch of the log of replication 0, in order.
    watch
        Is told how far the work is.

    Raises
    ------
    InputError
        With everything that is wrong with the scenario, its traces and its prices.
    simulator.replicate.ReplicationError
        A replication ended with an error of ours.
    """
    if replications < 1:
        raise ValueError(f"replications must be at least 1, got {replications}")
    chosen: Engine = "compiled" if engine == "auto" else engine
    watch = watch if watch is not None else Unwatched()
    timing = Timing()
    start = time.perf_counter()
    problems: list[Problem] = []
    try:
        purchases = bought(scenario)
    except InputError as error:
        problems += error.problems
    try:
        model = compile_model(scenario)
    except InputError as error:
        problems += error.problems
    if problems:
        raise InputError(problems)
    timing.compile = time.perf_counter() - start
    exact = model.expected_requests * replications <= EXACT_UP_TO
    billed = bill(scenario, purchases, model.horizon_ns)
    description = describe(
        scenario, model, purchases.prices, engine=chosen, replications=replications, exact=exact, bill=billed
    )
    measure = Measure(window_of(description, scenario.warmup_ns, model.horizon_ns), chosen, exact)
    if chosen == "compiled" and not is_warm(model.plain):
        watch.stage("compiling the engine, once (about 20 s) ...")
    # The first here: it compiles the engine for all, tells how long one takes, and its log can be kept.
    start = time.perf_counter()
    counted = [count(model, measure, keep=keep, watch=_Part(watch, replications), timing=timing)]
    one_s = time.perf_counter() - start - timing.compile
    rest = range(1, replications)
    if rest:
        expected_s = one_s * len(rest)
        for one in replicate(scenario, rest, measure, jobs=jobs, cluster=cluster, expected_s=expected_s):
            counted.append(one)
            watch.done(len(counted) / replications)
    start = time.perf_counter()
    report = summarise([one.tally for one in counted], description)
    return replace(report, timing_s=_timing_s(counted, time.perf_counter() - start))


def _timing_s(counted: list[Counted], summarise_s: float) -> dict[str, float]:
    """Wall seconds by stage, of all replications together."""
    return {
        "compile": sum(one.timing.compile for one in counted),
        "draw": sum(one.timing.draw for one in counted),
        "run": sum(one.timing.run for one in counted),
        "measure": sum(one.measure_s for one in counted) + summarise_s,
    }


class _Part:
    """Tells how far all of the work is while one of ``n`` equal parts is done."""

    def __init__(self, watch: Watch, n: int) -> None:
        self._watch = watch
        self._n = n

    def stage(self, words: str) -> None:
        """Pass it on."""
        self._watch.stage(words)

    def done(self, share: float) -> None:
        """Pass on the share of the whole."""
        self._watch.done(share / self._n)
