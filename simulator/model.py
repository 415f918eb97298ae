"""A model is what the engines run: fleets, workloads and seeds in integers, with nothing left to decide or to draw.

Everything here is a frozen value. :func:`simulator.compiling.compile_model` makes a model from a scenario; tests and
library users may build one directly. Both engines are deterministic functions of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from simulator.clock import NEVER
from simulator.log import Int64s
from simulator.minima import width
from simulator.policies import batching, routing, service
from simulator.state import FLEET, PART, WORKLOAD, Float64s, Tables, records

if TYPE_CHECKING:
    from simulator.draws import ArrivalTimes, ThinkDraws

UNBOUNDED: Final = 1 << 60
"""``max_queue`` of a queue that never refuses."""


@dataclass(frozen=True)
class Noise:
    """How single executions scatter around the mean of their batch size.

    The quantile function of the factor, one row a batch size that has its own, each of mean 1. A position between 0
    and NOISE_LEVELS, drawn once a request, picks the factor; :mod:`simulator.noise` builds these tables.
    """

    factors: Float64s
    """(rows, NOISE_LEVELS + 1), non-decreasing along a row."""
    row: Int64s
    """(largest batch + 1,) which row each batch size uses."""
    draw: Callable[[np.random.Generator, int], Float64s]
    """Draws positions: (generator, how many) -> (n,) float64 in [0, NOISE_LEVELS)."""


@dataclass(frozen=True)
class FleetModel:
    """Identical instances behind one router. Arrays are indexed by items, place 0 unused."""

    service_ns: Int64s
    """Mean execution time alone on the accelerator, by items of the batch."""
    instances: int = 1
    model_instances: int = 1
    slow_ppm: tuple[int, ...] = ()
    """Slow-down of each of k overlapping executions, k = 1, 2, ...; default k x 1,000,000: they share one device."""
    rule: int = batching.NONE
    max_batch: int = 1
    delay_ns: int = 0
    preferred: tuple[int, ...] = ()
    max_queue: int = UNBOUNDED
    router: int = routing.LEAST
    weights: tuple[int, ...] = ()
    """Weights of a SCHEDULE router; default: all 1 (round robin)."""
    frontend_ns: Int64s | None = None
    enqueue_ns: Int64s | None = None
    dispatch_ns: Int64s | None = None
    release_ns: Int64s | None = None
    reply_ns: Int64s | None = None
    noise: Noise | None = None

    @property
    def slowdowns(self) -> tuple[int, ...]:
        """Slow-down in parts per million of 1, 2, ..., model_instances overlapping executions."""
        return self.slow_ppm or tuple(service.PPM * k for k in range(1, self.model_instances + 1))

    @property
    def largest(self) -> int:
        """Largest batch, in items, that can occur."""
        return len(self.service_ns) - 1

    def part(self, name: str) -> Int64s:
        """One part of a request's life in ns by items, zeros where the model has none."""
        values = getattr(self, name)
        return np.zeros(self.largest + 1, dtype=np.int64) if values is None else values


@dataclass(frozen=True)
class WorkloadModel:
    """One stream of requests to one fleet."""

    fleet: int
    arrivals: Callable[[np.random.SeedSequence], ArrivalTimes] | None = None
    """Open workload: opens its stream of arrival times; None for a closed loop."""
    clients: int = 0
    """Closed loop: how many clients, each with one request at a time."""
    think: Callable[[np.random.SeedSequence], ThinkDraws] | None = None
    """Closed loop: opens its stream of think times."""
    items: tuple[int, ...] = (1,)
    """Item counts that requests carry ..."""
    item_weights: tuple[float, ...] = (1.0,)
    """... and how often each occurs."""
    timeout_ns: int = NEVER
    """Given up if no model instance took it this long after its arrival."""


@dataclass(frozen=True)
class Model:
    """What an engine runs."""

    fleets: tuple[FleetModel, ...]
    workloads: tuple[WorkloadModel, ...]
    horizon_ns: int
    """Requests arrive before this; then the run drains."""
    seed: int = 0
    replication: int = 0
    expected_requests: float = 0.0
    """About how many requests will arrive; sizes the first columns, nothing depends on it."""
    notes: tuple[str, ...] = field(default=())
    """What was assumed on the way from the scenario, for the report."""

    def seeds(self, workload: int) -> list[np.random.SeedSequence]:
        """Independent streams of one workload: arrivals, items, coins, noise, thinking.

        They depend on the seed, the replication and the workload alone, so runs that differ in anything else use
        common random numbers.
        """
        return np.random.SeedSequence(self.seed, spawn_key=(self.replication, workload)).spawn(5)

    def tables(self) -> Tables:
        """The same in the integer tables that the compiled engine works on."""
        fleets = self.fleets
        largest = max(fleet.largest for fleet in fleets)
        slots = max(fleet.model_instances for fleet in fleets)
        sizes = max(max(len(fleet.preferred), 1) for fleet in fleets)
        rows = records(len(fleets), FLEET)
        parts = np.zeros((len(fleets), PART.N_ROWS, largest + 1), dtype=np.int64)
        slow = np.full((len(fleets), slots + 1), service.PPM, dtype=np.int64)
        preferred = np.zeros((len(fleets), sizes), dtype=np.int64)
        turns: list[int] = []
        factors: list[Float64s] = []
        noise_row = np.zeros((len(fleets), largest + 1), dtype=np.int64)
        first = keys = noise_rows = 0
        for f, fleet in enumerate(fleets):
            order = turn_order(fleet.weights or (1,) * fleet.instances) if fleet.router == routing.SCHEDULE else []
            row = rows[f]
            row.first = first
            row.instances = fleet.instances
            row.model_instances = fleet.model_instances
            row.rule = effective_rule(fleet)
            row.max_batch = fleet.max_batch
            row.delay_ns = fleet.delay_ns
            row.max_queue = fleet.max_queue
            row.router = fleet.router
            row.schedule = len(turns)
            row.turns = len(order)
            row.item_work_ns = item_work_ns(fleet)
            row.keys = keys
            row.forms_ahead = forms_ahead(self, f)
            row.half = width(fleet.instances)
            row.noisy = fleet.noise is not None
            parts[f, PART.SERVICE, : fleet.largest + 1] = fleet.service_ns
            for place, name in (
                (PART.FRONTEND, "frontend_ns"),
                (PART.ENQUEUE, "enqueue_ns"),
                (PART.DISPATCH, "dispatch_ns"),
                (PART.RELEASE, "release_ns"),
                (PART.REPLY, "reply_ns"),
            ):
                parts[f, place, : fleet.largest + 1] = fleet.part(name)
            slow[f, 1 : fleet.model_instances + 1] = fleet.slowdowns[: fleet.model_instances]
            own = preferred_sizes(fleet)
            preferred[f] = own + (own[-1],) * (sizes - len(own))
            if fleet.noise is not None:
                factors.append(fleet.noise.factors)
                noise_row[f, : fleet.largest + 1] = fleet.noise.row[: fleet.largest + 1] + noise_rows
                noise_rows += len(fleet.noise.factors)
            turns.extend(order)
            first += fleet.instances
            keys += 2 * width(fleet.instances)
        return Tables(
            fleets=rows,
            parts=parts,
            slow_ppm=slow,
            preferred=preferred,
            schedule=np.array(turns, dtype=np.int64),
            noise=np.concatenate(factors) if factors else np.ones((0, service.NOISE_LEVELS + 1)),
            noise_row=noise_row,
            workloads=self._workload_rows(),
            extras=None if self.plain else True,
            horizon_ns=self.horizon_ns,
        )

    @property
    def plain(self) -> bool:
        """Whether nothing occurs that ``Tables.extras`` names."""
        before_reply = ("frontend_ns", "enqueue_ns", "dispatch_ns", "release_ns")
        return all(
            fleet.model_instances == 1
            and fleet.noise is None
            and fleet.max_queue == UNBOUNDED
            and effective_rule(fleet) != batching.TRITON
            and not needs_coin(fleet)
            and not any(fleet.part(name)[1:].any() for name in before_reply)
            for fleet in self.fleets
        ) and all(
            not workload.clients and workload.items == (1,) and workload.timeout_ns == NEVER
            for workload in self.workloads
        )

    def _workload_rows(self) -> Any:
        rows = records(len(self.workloads), WORKLOAD)
        clients = 0
        for row, workload in zip(rows, self.workloads, strict=True):
            row.fleet = workload.fleet
            row.items = workload.items[0] if len(workload.items) == 1 else 0
            row.coin = needs_coin(self.fleets[workload.fleet])
            row.closed = workload.clients > 0
            row.timeout_ns = workload.timeout_ns
            row.first_client = clients
            clients += workload.clients
        return rows


def needs_coin(fleet: FleetModel) -> bool:
    """Whether this fleet's router decides by chance."""
    return fleet.instances > 1 and fleet.router in (routing.RANDOM, routing.TWO)


def preferred_sizes(fleet: FleetModel) -> tuple[int, ...]:
    """Triton's preferred batch sizes: those given, else only max_batch_size."""
    return fleet.preferred or (fleet.max_batch,)


def effective_rule(fleet: FleetModel) -> int:
    """The rule the engine runs: Triton's without delay and preferred sizes *is* the textbook rule, which is faster.

    tests/simulator/test_triton_rule.py shows that they agree request by request.
    """
    plain = fleet.delay_ns == 0 and preferred_sizes(fleet) == (fleet.max_batch,)
    return batching.TEXTBOOK if fleet.rule == batching.TRITON and plain else fleet.rule


def forms_ahead(model: Model, fleet: int) -> bool:
    """Whether Triton's batcher forms batches while all model instances are busy: not with a bound or a timeout."""
    bounded = model.fleets[fleet].max_queue != UNBOUNDED
    return not bounded and all(w.timeout_ns == NEVER for w in model.workloads if w.fleet == fleet)


def item_work_ns(fleet: FleetModel) -> int:
    """Work the least-expected-work router books for one item: its share of a full batch on the whole instance.

    ``service(max_batch) x slowdown(S) / (S x max_batch)`` with S model instances, at least 1 ns.
    """
    slots = fleet.model_instances
    full = int(fleet.service_ns[min(fleet.max_batch, fleet.largest)])
    slow = fleet.slowdowns[slots - 1]
    return max(service.duration(full, slow) // (slots * min(fleet.max_batch, fleet.largest)), 1)


def turn_order(weights: tuple[int, ...]) -> list[int]:
    """One round of smooth weighted round robin: each instance as often as its weight says, evenly spread.

    Every turn each instance gains its weight in credit; the richest (the first among equals) is chosen and pays the
    sum of all weights. With equal weights this is round robin. (The algorithm nginx uses for weighted upstreams.)

    >>> turn_order((1, 1, 1))
    [0, 1, 2]
    >>> turn_order((5, 1, 1))
    [0, 0, 1, 0, 2, 0, 0]
    """
    if len(set(weights)) == 1:
        return list(range(len(weights)))
    total = sum(weights)
    credit = np.zeros(len(weights), dtype=np.int64)
    order = []
    for _ in range(total):
        credit += weights
        chosen = int(np.argmax(credit))
        credit[chosen] -= total
        order.append(chosen)
    return order


def frozen_table(values: Any) -> Int64s:
    """An int64 array that nobody can write into."""
    table = np.array(values, dtype=np.int64)
    table.setflags(write=False)
    return table
