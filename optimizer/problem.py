"""The planning question as arrays: what can serve what, how much of it, in which hour, at which price.

Nothing here knows YAML, profiles or the solver. An *option* is a candidate with everything that is searched fixed: one
instance type, one profile, one batch setting. Instances of an option in an hour are one fleet.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

HOURS_PER_MONTH: Final = 730.0


@dataclass(frozen=True)
class CapacityCurve:
    """How many requests per second do n instances carry within every SLO? A fleet pools, so the curve bends upwards.

    Between counts that were measured every instance carries what each did at the last measured count: pooling only
    adds to that, so the plan errs on the safe side.
    """

    instances: Ints
    """(I,) counts from which on a row holds, increasing from 1."""
    rps_per_instance: Floats
    """(B, I) requests per second that one instance carries of each workload alone; 0 where it cannot serve it."""

    def __post_init__(self) -> None:
        """Refuse a curve that is none."""
        if self.rps_per_instance.shape[1:] != self.instances.shape or not len(self.instances):
            raise ValueError("a capacity curve needs one column for each count of instances")
        if self.instances[0] != 1 or (np.diff(self.instances) <= 0).any():
            raise ValueError("counts of instances must increase from 1")
        if not np.isfinite(self.rps_per_instance).all() or (self.rps_per_instance < 0).any():
            raise ValueError("capacities must be finite and not negative")

    def rps(self, workload: int, instances: int) -> float:
        """Requests per second of one workload alone that so many instances carry.

        >>> curve = CapacityCurve(np.array([1, 4]), np.array([[10.0, 12.0]]))
        >>> curve.rps(0, 3), curve.rps(0, 5)
        (30.0, 60.0)
        """
        if instances < 1:
            return 0.0
        row = int(np.searchsorted(self.instances, instances, side="right")) - 1
        return float(self.rps_per_instance[workload, row] * instances)

    def scaled(self, by: float) -> CapacityCurve:
        """The same curve with every capacity multiplied."""
        return CapacityCurve(self.instances, self.rps_per_instance * by)


@dataclass(frozen=True)
class Option:
    """One way to serve: a candidate with one setting of everything that is searched."""

    name: str
    """Unique, for instance ``l4 batch 16, 5 ms``."""
    candidate: str
    """The candidate of the plan file that it belongs to."""
    curve: CapacityCurve
    """What its instances carry."""
    usd_per_hour: Floats
    """(T,) price of one instance."""
    usd_per_request: Floats
    """(B,) what a request costs beside the instance: egress, a per-request fee."""
    accuracy: Floats
    """(B,) accuracy with which it answers each workload; NaN where it is not stated."""
    memory_gib: Floats
    """(B,) memory that each workload's model takes on an instance."""
    device_memory_gib: float = np.inf
    """Memory of an instance's accelerator."""
    max_instances: int | None = None
    """Most instances in any hour."""
    spare: int = 0
    """Instances that may be lost at once while the SLO still holds (N-1)."""
    zones: int = 1
    """Zones over which its instances are spread, one of which may be lost; 1 when none may."""
    start_usd: float = 0.0
    """What starting an instance costs."""
    min_up_hours: int = 0
    """Hours for which an instance that was started stays."""
    detail: Any = None
    """What it stands for, for whoever made it."""


@dataclass(frozen=True)
class Quota:
    """At most so many instances of several options together."""

    name: str
    options: tuple[int, ...]
    """Indices of options."""
    max_instances: int


@dataclass(frozen=True)
class PlanProblem:
    """Everything that the cheapest plan depends on. Shapes: B workloads, J options, T hours."""

    workloads: tuple[str, ...]
    """B names."""
    options: tuple[Option, ...]
    """J ways to serve."""
    hours: tuple[str, ...]
    """T names of periods in which demand and prices are constant, in order."""
    weight_h: Floats
    """(T,) hours of a month that each period stands for."""
    demand_rps: Floats
    """(B, T) requests per second that must be served."""
    quotas: tuple[Quota, ...] = ()
    """Limits over several options."""
    min_accuracy: Floats = field(default_factory=lambda: np.zeros(0))
    """(B,) mean accuracy that each workload asks for; NaN where it asks for none. Empty: none asks."""
    max_usd_per_hour: float | None = None
    """Most that may be spent in any hour."""
    cyclic: bool = False
    """Whether the first hour follows the last, as in a day that repeats: matters to starting and stopping."""

    def __post_init__(self) -> None:
        """Refuse arrays that do not belong together."""
        b, t = len(self.workloads), len(self.hours)
        if self.demand_rps.shape != (b, t) or self.weight_h.shape != (t,):
            raise ValueError(f"demand must be {(b, t)} and weights {(t,)}")
        if not np.isfinite(self.demand_rps).all() or (self.demand_rps < 0).any():
            raise ValueError("demand must be finite and not negative")
        if self.min_accuracy.shape not in {(0,), (b,)}:
            raise ValueError(f"accuracy floors must be {(b,)}")
        if len({option.name for option in self.options}) < len(self.options):
            raise ValueError("options need names of their own")
        for option in self.options:
            shapes = (option.usd_per_hour.shape, option.usd_per_request.shape, option.accuracy.shape)
            if shapes != ((t,), (b,), (b,)) or option.memory_gib.shape != (b,):
                raise ValueError(f"{option.name}: arrays of the wrong shape")
            if option.curve.rps_per_instance.shape[0] != b:
                raise ValueError(f"{option.name}: a capacity for each of {b} workloads is needed")
            if not np.isfinite(option.usd_per_hour).all() or (option.usd_per_hour < 0).any():
                raise ValueError(f"{option.name}: prices must be finite and not negative")

    @property
    def floors(self) -> Floats:
        """(B,) accuracy floors, NaN for none."""
        return self.min_accuracy if len(self.min_accuracy) else np.full(len(self.workloads), np.nan)

    @property
    def month_h(self) -> float:
        """Hours that all periods stand for together."""
        return float(self.weight_h.sum())

    def most_instances(self, option: int, hour: int) -> int:
        """How many instances of an option could ever be of use in an hour? Enough to serve all of it alone."""
        chosen = self.options[option]
        rates = chosen.curve.rps_per_instance[:, 0]
        able = rates > 0
        load = float((self.demand_rps[able, hour] / rates[able]).sum()) if able.any() else 0.0
        enough = int(np.ceil(load - 1e-9))
        return enough if chosen.max_instances is None else min(enough, chosen.max_instances)
