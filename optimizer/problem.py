"""The planning question as arrays: what can serve what, how much of it, in which hour, at which price.

Nothing here knows YAML, profiles or the solver. An *option* is a candidate with everything that is searched fixed: one
instance type, one profile, one batch setting. Instances of an option in an hour are one fleet.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

import numpy as np
import numpy.typing as npt

LOAD_TOLERANCE: Final = 1e-9
"""Share of itself by which a load may exceed the instances that carry it: rounding of sums, nothing else."""

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

HOURS_PER_MONTH: Final = 730.0


def fewest_that_carry(load: float) -> int:
    """How many instances carry so many instances' worth of load?

    >>> fewest_that_carry(3.0000000001), fewest_that_carry(3.1)
    (3, 4)
    """
    return math.ceil(load / (1 + LOAD_TOLERANCE))


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
        return float(self.rps_per_instance[workload, self.segment(instances)] * instances)

    def segment(self, instances: int) -> int:
        """Index of the column that holds for so many instances, at least one."""
        return int(np.searchsorted(self.instances, instances, side="right")) - 1

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

    @property
    def keeps_instances(self) -> bool:
        """Whether an hour's instances depend on those of the hours before it."""
        return self.start_usd > 0 or self.min_up_hours > 1

    def survivors(self, running: int) -> int:
        """How many of so many running instances are left after the worst loss that the plan must bear?

        Of 8 instances in three zones one zone holds 3:

        >>> one, curve = np.ones(1), CapacityCurve(np.array([1]), np.ones((1, 1)))
        >>> Option("a", "a", curve, one, one, one, one, zones=3).survivors(8)
        5
        """
        left = running if self.zones == 1 else running - -(-running // self.zones)
        return max(0, left - self.spare)

    def running(self, survivors: int) -> int:
        """How many instances must run so that this many are left after the worst loss?

        The inverse of :meth:`survivors`: with Z zones ceil(Z n / (Z - 1)), n the survivors and spares together.
        """
        if survivors == 0:
            return 0
        needed = survivors + self.spare
        return needed if self.zones == 1 else -(-needed * self.zones // (self.zones - 1))


def _enough(curve: CapacityCurve, demand_rps: Floats) -> Ints:
    """(T,) the fewest instances that carry alone everything of the demand (B, T) that they can serve."""
    served = np.asarray((curve.rps_per_instance > 0).any(axis=1))
    wanted = served[:, None] & (demand_rps > 0)
    ends = [*(int(start) - 1 for start in curve.instances[1:]), np.iinfo(np.int64).max]
    enough: Ints = np.zeros(demand_rps.shape[1], dtype=np.int64)
    settled = np.logical_not(wanted.any(axis=0))
    for low, high, rates in zip(curve.instances, ends, curve.rps_per_instance.T, strict=True):
        able = rates > 0
        loads = (1 / rates[able]) @ demand_rps[able]
        count = np.maximum(low, np.ceil(loads / (1 + LOAD_TOLERANCE)).astype(np.int64))
        enough = np.where(settled, enough, np.maximum(enough, np.minimum(count, high)))
        carries = ~settled & (able[:, None] >= wanted).all(axis=0) & (count <= high)
        enough = np.where(carries, count, enough)
        settled |= carries
    return enough


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
        if not np.isfinite(self.weight_h).all() or (self.weight_h < 0).any():
            raise ValueError("weights must be finite and not negative")
        for quota in self.quotas:
            if not all(0 <= j < len(self.options) for j in quota.options):
                raise ValueError(f"{quota.name}: there are {len(self.options)} options")
        for option in self.options:
            self._check(option)

    def _check(self, option: Option) -> None:
        b, t = len(self.workloads), len(self.hours)
        shapes = (option.usd_per_hour.shape, option.usd_per_request.shape, option.accuracy.shape)
        if shapes != ((t,), (b,), (b,)) or option.memory_gib.shape != (b,):
            raise ValueError(f"{option.name}: arrays of the wrong shape")
        if option.curve.rps_per_instance.shape[0] != b:
            raise ValueError(f"{option.name}: a capacity for each of {b} workloads is needed")
        for prices in (option.usd_per_hour, option.usd_per_request, np.array([option.start_usd])):
            if not np.isfinite(prices).all() or (prices < 0).any():
                raise ValueError(f"{option.name}: prices must be finite and not negative")
        if option.zones < 1 or option.spare < 0 or option.min_up_hours < 0 or (option.max_instances or 0) < 0:
            raise ValueError(f"{option.name}: counts must not be negative, zones at least 1")

    @property
    def floors(self) -> Floats:
        """(B,) accuracy floors, NaN for none."""
        return self.min_accuracy if len(self.min_accuracy) else np.full(len(self.workloads), np.nan)

    @property
    def month_h(self) -> float:
        """Hours that all periods stand for together."""
        return float(self.weight_h.sum())

    @cached_property
    def most_survivors(self) -> Ints:
        """(J, T) how many instances of an option, spares aside, could ever be of use in an hour?

        The fewest that carry alone everything that the option can serve at all: prices are not negative and fees do not
        depend on the count, so one more is never worth it. Fewer where the option's limit allows fewer.
        """
        most = np.zeros((len(self.options), len(self.hours)), dtype=np.int64)
        for j, option in enumerate(self.options):
            enough = _enough(option.curve, self.demand_rps)
            limit = option.max_instances
            most[j] = enough if limit is None else np.minimum(enough, option.survivors(limit))
        return most

    def segments(self, option: int, hour: int) -> list[tuple[int, int, int]]:
        """Segments of an option's curve that could be of use in an hour: index, counts of survivors from and to."""
        most = int(self.most_survivors[option, hour])
        starts = [int(count) for count in self.options[option].curve.instances]
        ends = [*(start - 1 for start in starts[1:]), most]
        return [
            (i, low, min(high, most)) for i, (low, high) in enumerate(zip(starts, ends, strict=True)) if low <= most
        ]
