"""Is a fleet's load worked out as defined, and is a queue without a steady state recognised as one?"""

from __future__ import annotations

import math

import numpy as np
import pytest

from simulator.description import FleetDescription, WorkloadDescription
from simulator.loads import FleetLoad, fleet_loads, relaxation_s
from simulator.log import COMPLETED, REJECTED, RunLog
from tests.simulator.synthetic_logs import MS, S, batch_log, describe, measured, request_log, single_server_log

LOAD_SEEDS = range(6)


def load_of(
    log: RunLog, *, capacity: float = 1_000.0, warmup_s: int = 0, horizon_s: int = 10, **client: bool
) -> FleetLoad:
    """Load of one fleet that serves one workload."""
    workload = WorkloadDescription("search", 0, **client)  # type: ignore[arg-type]
    description = describe(workloads=(workload,), capacity=capacity)
    return fleet_loads(description, measured(log, description, warmup_s * S, horizon_s * S), runs=1)[0]


@pytest.mark.parametrize("seed", LOAD_SEEDS)
@pytest.mark.parametrize("load", [0.3, 0.7, 0.9, 0.95])
def test_a_stable_queue_is_never_called_unstable(load: float, seed: int) -> None:
    """A fleet that holds its load is reported as overloaded, and its SLO as missed, by chance."""
    log = single_server_log(np.random.default_rng(seed), int(load * 60_000), load)
    assert not load_of(log, horizon_s=60).unstable
    assert not load_of(log, horizon_s=60, warmup_s=6).unstable


@pytest.mark.parametrize("seed", LOAD_SEEDS)
@pytest.mark.parametrize("load", [1.03, 1.1, 2.0])
def test_an_overloaded_queue_is_always_called_unstable(load: float, seed: int) -> None:
    """A p99 that only measures the horizon is printed as if it meant something."""
    log = single_server_log(np.random.default_rng(seed), int(load * 60_000), load)
    overloaded = load_of(log, horizon_s=58)

    assert overloaded.unstable
    assert overloaded.open >= 1


@pytest.mark.parametrize("seed", LOAD_SEEDS)
def test_a_queue_that_grows_below_the_stated_capacity_is_noticed(seed: int) -> None:
    """Something other than the accelerators is too slow, and the report trusts the load instead of the queue."""
    log = single_server_log(np.random.default_rng(seed), 66_000, load=1.1)
    load = load_of(log, horizon_s=58, capacity=4_000.0)

    assert load.open < 0.3
    assert load.growing
    assert load.unstable


def test_clients_in_a_closed_loop_cannot_overload_a_fleet() -> None:
    """perf_analyzer's concurrency sweep is called unstable at saturation."""
    log = single_server_log(np.random.default_rng(1), 12_000, load=1.2)
    load = load_of(log, closed_loop=True)

    assert load.offered > 1
    assert (0.0, False) == (load.open, load.unstable)


def test_requests_turned_away_bound_the_queue_of_an_overloaded_fleet() -> None:
    """A full queue that rejects the excess is mistaken for one that grows."""
    n = 14_000
    outcome = np.where(np.arange(n) % 3 == 0, REJECTED, COMPLETED)
    arrival = np.arange(n) * (10 * S // n)
    load = load_of(RunLog(request_log(arrival, 20 * MS, MS, outcome=outcome), batch_log(arrival, MS // 2)))

    assert load.open == pytest.approx(1.4)
    assert load.turned_away == pytest.approx(1 / 3, abs=1e-3)
    assert load.bounded
    assert not load.unstable


def test_a_day_that_ends_in_its_peak_is_not_mistaken_for_a_queue_without_end() -> None:
    """Traffic that rises by design is called unstable because the run ends before it falls."""
    arrival = np.sort((10 * S * np.sqrt(np.random.default_rng(3).random(8_000))).astype(np.int64))
    work = np.full(len(arrival), MS)
    walk = np.concatenate(([0], np.cumsum(work[:-1] - np.diff(arrival))))
    queue = walk - np.minimum.accumulate(walk)
    log = RunLog(request_log(arrival, queue, work), batch_log(arrival + queue, work))

    assert load_of(log, varying=False).growing
    rising = load_of(log, varying=True)
    assert not rising.unstable
    assert rising.open == pytest.approx(0.8)
    assert rising.busiest == pytest.approx(1.52, rel=0.05)


def test_offered_load_counts_items_over_the_capacity_of_all_instances() -> None:
    """Requests are counted where items are meant, or one instance where the fleet is."""
    log = RunLog(request_log(np.arange(100) * 100 * MS, 0, MS, items=4), batch_log())
    description = describe(fleets=(FleetDescription("gpu", 5, 16.0),))
    load = fleet_loads(description, measured(log, description, 0, 10 * S), runs=1)[0]

    assert pytest.approx(100 * 4 / (10 * 5 * 16.0)) == load.offered == load.open == load.busiest


def test_load_of_merged_runs_is_their_average() -> None:
    """Load grows with the number of replications."""
    log = single_server_log(np.random.default_rng(1), 5_000, load=0.5)
    description = describe()
    alone, merged = measured(log, description, 0, 10 * S), measured(log, description, 0, 10 * S)
    merged.merge(alone)

    assert fleet_loads(description, alone, runs=1)[0] == pytest.approx(fleet_loads(description, merged, runs=2)[0])


def test_relaxation_of_mm1_is_the_reciprocal_of_its_spectral_gap_near_saturation() -> None:
    """The time a queue needs to forget its past is off by a factor. (Morse 1955: mu (1 - sqrt(rho))^2.)"""
    rho, mu = 0.98, 50.0
    assert pytest.approx(1 / (mu * (1 - math.sqrt(rho)) ** 2), rel=0.02) == relaxation_s(rho, mu)
    assert relaxation_s(rho, mu, arrival_scv=0.0) == relaxation_s(rho, mu) / 2
    assert relaxation_s(rho, mu, items_per_request=3.0) == 3 * relaxation_s(rho, mu)


def test_a_fleet_without_requests_has_no_load() -> None:
    """An idle fleet divides by zero."""
    load = load_of(RunLog(request_log([]), batch_log()))

    assert (0.0, 0.0, 0.0, False) == (load.utilisation, load.offered, load.relaxation_s, load.unstable)
