"""How loaded is each fleet, and does its queue have a steady state?

utilisation     work done in the window / (window x instances x model instances / slowdown): what the accelerators
                did, out of what they can do with all model instances busy
offered load    items offered a second / (instances x capacity of one), capacity with the best batch size. It may be
                far below the utilisation: at light load a batching server is kept busy by small batches
open load       the part of it from clients who do not wait for replies. A closed loop slows down with its fleet, it
                can saturate it but not overload it, and so it does not count here
relaxation      the time in which a queue forgets its past: 2 g (1 + cv^2) rho / (C (1 - rho)^2), with rho the open
                load, C the fleet's capacity in items/s, g items a request, cv that of the inter-arrival times, and
                the service's taken as 1. It is the relaxation time 2 sigma^2 / drift^2 of the Brownian motion that a
                busy queue resembles, and for M/M/1 the reciprocal of the spectral gap mu (1 - sqrt(rho))^2 near
                rho = 1. W. Whitt (1989), "Planning queueing simulations", Management Science 35(11), 1341-1366
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from simulator.clock import s_from_ns
from simulator.description import Description, FleetDescription
from simulator.tally import TENTHS, FleetTally, Tally, Window, WorkloadTally

GROWN: Final = 3.0
"""How many times as long the queue delay in the last tenth is as in the first, when it grows through the run; growing
evenly from nothing it would be 19."""

STILL_GROWING: Final = 1.4
"""The same against the middle of the run: growing evenly it would be 1.9, settled 1."""


@dataclass(frozen=True)
class FleetLoad:
    """How loaded one fleet is, over all runs."""

    utilisation: float
    offered: float
    open: float
    busiest: float
    """Open load of the tenth of the window in which most items arrive."""
    turned_away: float
    """Share of the requests of open workloads that arrived in the window and were never answered."""
    relaxation_s: float
    """Infinite at an open load of 1 or more."""
    varying: bool
    """Whether the rate of an open workload changes by design."""
    growing: bool
    """Whether a queue measurably grew through the run, whatever the load says: something else than the accelerators
    may be too slow."""
    before_queue: bool
    """Whether more than half of the waiting is done before the queue: in the serial front end, or on the way."""

    @property
    def bounded(self) -> bool:
        """Whether requests turned away, by a full queue or a timeout, keep an overloaded fleet's queue finite."""
        return self.turned_away >= 0.5 * (1 - 1 / self.open) if self.open >= 1 else True

    @property
    def unstable(self) -> bool:
        """Whether the queue grows for as long as the run lasts, so that latencies measure only how long that was."""
        return self.growing or (self.open >= 1 and not self.bounded)


def fleet_loads(description: Description, tally: Tally, runs: int) -> tuple[FleetLoad, ...]:
    """How loaded each fleet is, in the order of the description; ``tally`` is merged from that many runs."""
    return tuple(
        _fleet_load(fleet, tally.fleets[index], _served(index, description, tally), tally.window, runs)
        for index, fleet in enumerate(description.fleets)
    )


@dataclass(frozen=True)
class _Served:
    """What one workload asks of its fleet."""

    tally: WorkloadTally
    closed_loop: bool
    varying: bool
    arrival_cv: float


def _served(fleet: int, description: Description, tally: Tally) -> list[_Served]:
    return [
        _Served(counted, workload.closed_loop, workload.varying, workload.arrival_cv)
        for workload, counted in zip(description.workloads, tally.workloads, strict=True)
        if workload.fleet == fleet
    ]


def _fleet_load(
    fleet: FleetDescription, counted: FleetTally, served: Sequence[_Served], window: Window, runs: int
) -> FleetLoad:
    opened = [one for one in served if not one.closed_loop]
    arrived = sum(one.tally.offered for one in opened)
    items = sum(one.tally.offered_items for one in opened)
    rate = fleet.instances * fleet.capacity_items_per_s
    most_items = rate * s_from_ns(window.length_ns) * runs
    most_work_ns = window.length_ns * runs * fleet.instances * fleet.model_instances / fleet.slowdown
    rho = items / most_items
    items_by_tenth = np.sum([np.zeros(TENTHS), *(_items_by_tenth(one.tally) for one in opened)], axis=0)
    scv = sum(one.arrival_cv**2 * one.tally.offered for one in opened) / max(1, arrived)
    waited_ns = sum(one.tally.queue.total for one in served)
    return FleetLoad(
        utilisation=counted.work_ns / most_work_ns,
        offered=sum(one.tally.offered_items for one in served) / most_items,
        open=rho,
        busiest=TENTHS * float(np.max(items_by_tenth)) / most_items,
        turned_away=sum(one.tally.lost for one in opened) / arrived if arrived else 0.0,
        relaxation_s=relaxation_s(rho, rate, items / arrived, scv) if arrived else 0.0,
        varying=any(one.varying for one in opened),
        growing=any(_queue_grows(one.tally, one.varying) for one in opened),
        before_queue=sum(one.tally.before_queue_ns for one in served) > waited_ns / 2,
    )


def _items_by_tenth(counted: WorkloadTally) -> npt.NDArray[np.float64]:
    """Items that arrived in each tenth of the window; (10,). Requests are counted by tenth, their items on average."""
    return counted.tenth_offered.astype(np.float64) * (counted.offered_items / max(1, counted.offered))


def relaxation_s(
    rho: float, capacity_items_per_s: float, items_per_request: float = 1.0, arrival_scv: float = 1.0
) -> float:
    """How long until a queue has forgotten its past, in seconds; infinite at a load of 1 or more.

    ``arrival_scv`` is the squared coefficient of variation of the inter-arrival times.

    >>> round(relaxation_s(0.9, 1_000.0), 3), relaxation_s(1.2, 1_000.0)
    (0.36, inf)
    """
    if rho >= 1:
        return math.inf
    return 2 * items_per_request * (1 + arrival_scv) * rho / (capacity_items_per_s * (1 - rho) ** 2)


def _queue_grows(counted: WorkloadTally, varying: bool) -> bool:
    """Whether one workload's queue grew through the run by more than chance and its own traffic explain.

    All three must hold: more requests are left at the end than 4 standard deviations of a Poisson count; the queue
    delay of the last tenth of the arrivals' time is far above that of the first; and above that of the middle, where
    a queue that started empty has long settled. Traffic that varies by design and ends in a peak proves nothing.
    """
    left_over = counted.offered - counted.lost - counted.answered
    if left_over <= 4 * math.sqrt(counted.offered) or counted.tenth_measured.min() == 0:
        return False
    if varying and counted.tenth_offered[-2:].mean() > 1.1 * counted.tenth_offered.mean():
        return False
    delay = counted.tenth_queue_ns / counted.tenth_measured
    middle = np.mean(delay[4:6])
    return bool(delay[-1] >= GROWN * delay[0] and delay[-1] >= STILL_GROWING * middle)
