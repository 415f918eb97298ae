"""What a report needs to know beside the logs: names, objectives, capacities and money.

The logs hold only indices and times. Whoever runs a scenario fills these values once and hands them to
:func:`simulator.metrics.summarise`; they know nothing of YAML, profiles or price lists.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from simulator.purchase_report import PurchaseReport


@dataclass(frozen=True)
class FleetCost:
    """What a fleet costs."""

    usd: float
    """Bill for one run."""
    usd_per_hour: float
    """Rate at which it is billed while it runs."""
    note: str = ""
    """Where the price comes from, and of which date."""
    usd_per_1k_requests: float | None = None
    """Of a fleet that is paid by the request: the price of 1,000 answered ones, and the rates above are 0."""


@dataclass(frozen=True)
class WorkloadDescription:
    """One workload, in the scenario's order."""

    name: str
    fleet: int
    """Index of the fleet that serves it."""
    slo_ms: Mapping[str, float] = field(default_factory=dict)
    """Objectives in ms, by ``mean``, ``p50``, ``p90``, ``p95``, ``p99`` or ``p999``."""
    closed_loop: bool = False
    """Whether its clients wait for a reply before they send again, so that it can never overload the fleet."""
    varying: bool = False
    """Whether its rate changes by design (a trace, a rate series, MMPP), so that a part of the run is no sample
    of the whole."""

    arrival_cv: float = 1.0
    """Coefficient of variation of its inter-arrival times: 1 for Poisson, 0 for evenly spaced requests."""

    @property
    def threshold_ms(self) -> float | None:
        """The latency within which a single request counts as good: the largest target; None without one."""
        return max(self.slo_ms.values(), default=None)


@dataclass(frozen=True)
class FleetDescription:
    """One fleet, in the scenario's order."""

    name: str
    instances: float
    """Instances, on average over the run."""
    capacity_items_per_s: float
    """The most items a second one instance can execute, with its best batch size and all its model instances."""
    instance_type: str | None = None
    model_instances: int = 1
    slowdown: float = 1.0
    """How many times as long an execution takes when all model instances are busy."""
    max_batch_size: int = 1
    batching: str = "none"
    """Batching policy: ``none``, ``static``, ``dynamic``."""
    max_queue_delay_ms: float = 0.0
    cost: FleetCost | None = None
    """None when it has no price."""
    profile_warnings: tuple[str, ...] = ()
    """Sentences about how far its profile can be trusted."""
    extrapolated: str = ""
    """A sentence when batches may be larger or smaller than those that were measured."""


@dataclass(frozen=True)
class Description:
    """Everything of a report that is not in the logs."""

    scenario: str
    seed: int
    engine: str
    workloads: tuple[WorkloadDescription, ...]
    fleets: tuple[FleetDescription, ...]
    timing_s: Mapping[str, float] = field(default_factory=dict)
    """Wall time of the stages ``compile``, ``draw``, ``run`` and ``measure``, in seconds."""
    assumptions: Mapping[str, str] = field(default_factory=dict)
    """What the numbers rest on, in the order to show it."""
    purchases: PurchaseReport | None = None
    """What commitments, discounts and guaranteed capacity come to; None where everything is bought on demand."""
