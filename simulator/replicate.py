"""Independent replications of one scenario: on one core, on all of them, or on a cluster, with the same numbers.

Replication r of seed s draws from ``SeedSequence(s, spawn_key=(r, ...))``, so it is the same wherever it runs and
however many there are; replication 0 is the single run. A process gets the scenario, compiles its own model, and
returns only counts and distributions; they are merged in the order of the replications.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from calibration.console import Unwatched, Watch
from calibration.problems import InputError, Problem
from simulator.compiling import compile_model
from simulator.log import RunLog
from simulator.model import Model
from simulator.run import Engine, Timing, run_logs, warm_up
from simulator.tally import Tally, Window

if TYPE_CHECKING:
    from simulator.scenario import Scenario

SHORT_S: Final = 3.0
"""Replications that one core finishes in this time are not worth starting processes for (about 1 s each)."""

CLUSTER_TIMEOUT: Final = "10s"


class ReplicationError(RuntimeError):
    """One replication ended with an error that is not the user's; says which, so that it can be run alone."""

    def __init__(self, replication: int, seed: int, cause: str) -> None:
        self.replication = replication
        self.seed = seed
        self.cause = cause
        super().__init__(f"replication {replication} of seed {seed}: {cause}")

    def __reduce__(self) -> tuple[type[ReplicationError], tuple[int, int, str]]:
        """Survive the trip between processes."""
        return type(self), (self.replication, self.seed, self.cause)


@dataclass(frozen=True)
class Counted:
    """What one replication left behind."""

    tally: Tally
    timing: Timing
    measure_s: float
    """Wall seconds spent counting."""


@dataclass(frozen=True)
class Measure:
    """How a replication is run and counted; the same for all of them."""

    window: Window
    engine: Engine = "compiled"
    exact: bool = True
    """Keep every duration; else count them in histograms of bounded size."""


def count(
    model: Model,
    measure: Measure,
    *,
    keep: Callable[[RunLog], None] | None = None,
    watch: Watch | None = None,
    timing: Timing | None = None,
) -> Counted:
    """Run one model and count what happened; ``keep`` gets every stretch of its log."""
    timing = timing if timing is not None else Timing()
    watch = watch if watch is not None else Unwatched()
    if measure.engine == "compiled":
        warm_up(model, timing)
    tally = Tally.of(measure.window, measure.exact)
    measure_s = 0.0
    for log in run_logs(model, measure.engine, timing=timing):
        start = time.perf_counter()
        tally.add(log)
        if keep is not None:
            keep(log)
        measure_s += time.perf_counter() - start
        if len(log.requests):
            watch.done(float(log.requests.arrival_ns[-1]) / model.horizon_ns)
    return Counted(tally, timing, measure_s)


def replicate(
    scenario: Scenario,
    replications: range,
    measure: Measure,
    *,
    jobs: int | None = None,
    cluster: str | None = None,
    expected_s: float = float("inf"),
) -> Iterator[Counted]:
    """Run these replications and hand out what they counted, in their order, each as soon as it is there.

    Parameters
    ----------
    scenario
        Travels to the processes as it is; files it names (traces) must be there for all of them.
    replications
        Their numbers.
    measure
        As for :func:`count`.
    jobs
        Processes; None takes one a core, or none at all when the work is short.
    cluster
        Address of a Dask scheduler, as ``tcp://host:port``; it decides about processes.
    expected_s
        How long they would take on one core.

    Raises
    ------
    InputError
        The scenario cannot be run, or no cluster answers at that address.
    ReplicationError
        A replication ended with any other error.
    """
    if cluster is not None:
        yield from _on_cluster(scenario, replications, measure, cluster)
        return
    processes = jobs if jobs is not None else 1 if expected_s < SHORT_S else len(os.sched_getaffinity(0))
    processes = min(processes, len(replications))
    if processes <= 1:
        for replication in replications:
            yield _replication(scenario, replication, measure)
        return
    from joblib import Parallel, delayed

    work = (delayed(_replication)(scenario, replication, measure) for replication in replications)
    results = Parallel(n_jobs=processes, backend="loky", return_as="generator", batch_size=1)(work)
    yield from _in_order(iter(results), replications, scenario.seed)


def _replication(scenario: Scenario, replication: int, measure: Measure) -> Counted:
    """Run one replication in whatever process this is."""
    try:
        return count(compile_model(scenario, replication=replication), measure)
    except InputError:
        raise
    except Exception as error:
        raise ReplicationError(replication, scenario.seed, f"{type(error).__name__}: {error}") from error


def connect(address: str) -> Any:
    """A client of the Dask scheduler at this address, which closes at the end of a ``with``.

    Raises
    ------
    InputError
        No cluster answers there, or what it takes to ask is not installed.
    """
    try:
        from distributed import Client
    except ImportError:
        remedy = 'Install the extra: pip install "headroom-sim[cluster]".'
        raise InputError([_problem("needs dask.distributed, which is not installed", address, remedy)]) from None
    try:
        return Client(  # type: ignore[no-untyped-call]
            address, timeout=CLUSTER_TIMEOUT, set_as_default=False
        )
    except (OSError, TimeoutError, ValueError) as error:
        remedy = "Give the address that the Dask scheduler prints, as tcp://host:port."
        raise InputError([_problem("must be the address of a Dask scheduler that answers", address, remedy)]) from error


def _on_cluster(scenario: Scenario, replications: range, measure: Measure, address: str) -> Iterator[Counted]:
    """The same on the workers of a Dask cluster."""
    with connect(address) as client:
        # impure: the same replication asked for twice is computed twice, never taken from an older version of the code.
        futures = [
            client.submit(_replication, scenario, replication, measure, pure=False) for replication in replications
        ]
        yield from _in_order((future.result() for future in futures), replications, scenario.seed)


def _in_order(results: Iterator[Counted], replications: range, seed: int) -> Iterator[Counted]:
    """Hand results on; an error that says nothing of a replication is that of the one waited for."""
    for replication in replications:
        try:
            counted = next(results)
        except (InputError, ReplicationError):
            raise
        except Exception as error:
            raise ReplicationError(replication, seed, f"{type(error).__name__}: {error}") from error
        yield counted


def _problem(rule: str, value: str, remedy: str) -> Problem:
    return Problem("<command line>", None, None, "--cluster", rule, value, remedy)
