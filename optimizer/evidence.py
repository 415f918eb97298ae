"""What was found out about a setting by simulating it: its capacity, and what the capacity rests on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

from simulator.wording import milliseconds, percentile

if TYPE_CHECKING:
    from optimizer.problem import CapacityCurve
    from optimizer.settings import Setting

LIMIT: Final = "capacity"
"""What binds where no objective does: the load may come no nearer to the ceiling."""

Cause = Literal["service", "waiting"]


@dataclass(frozen=True)
class Refusal:
    """Why a setting can serve a workload at no rate: one objective is out of reach even for a lone request."""

    workload: str
    objective: str
    """``mean``, ``p50`` ... ``p999``."""
    target_ms: float
    """What the plan file asks for."""
    least_ms: float
    """The least that this setting can do: the objective's value at the lightest load, with what the distance adds."""
    cause: Cause
    """``service``: answering takes that long. ``waiting``: requests wait for a batch that nobody fills, or for one
    another where they come in bursts."""

    @property
    def sentence(self) -> str:
        """The same in words, without a full stop.

        >>> Refusal("chat", "p99", 20.0, 24.0, "service").sentence
        'p99 of chat cannot be 20 ms: service alone takes 24 ms'
        """
        asked = f"{percentile(self.objective)} of {self.workload} cannot be {milliseconds(self.target_ms)}"
        least = milliseconds(self.least_ms)
        if self.cause == "service":
            return f"{asked}: service alone takes {least}"
        return f"{asked}: at the lightest load it is {least}, since requests wait for a batch or for one another"


@dataclass(frozen=True)
class Point:
    """The highest rate that so many instances of one fleet carry within every objective, and what shows it."""

    instances: int
    rate_rps: float
    """Of all instances together; 0 when the workload is refused."""
    load: float
    """That rate as a share of what the fleet answers when its queues never run empty; below 1."""
    utilisation: float
    """Work done at the rate that was simulated, as a share of what the accelerators can do."""
    values_ms: Mapping[str, float]
    """Each objective's value at a rate that is half a per cent higher, without what the candidate's distance adds."""
    upper_ms: Mapping[str, float]
    """The upper end of its 95 % interval, which is what may not lie above the target."""
    binding: str
    """The objective that is nearest to its target, or ``capacity``."""
    requests: int
    """Requests measured at that rate."""
    probes: int
    """Rates that were simulated to find it."""

    @property
    def rps_per_instance(self) -> float:
        """What each instance carries."""
        return self.rate_rps / self.instances


@dataclass(frozen=True)
class Evidence:
    """What is known of one workload on one setting."""

    workload: str
    ceiling_rps: float
    """Requests per second that one instance answers when its queue never runs empty."""
    points: tuple[Point, ...] = ()
    """For 1, 2, 4, ... instances, as far as they were worth a look."""
    refusal: Refusal | None = None


@dataclass(frozen=True)
class Capacity:
    """What a setting carries, and how that is known."""

    setting: Setting
    curve: CapacityCurve
    """One row a workload of the plan, in its order."""
    evidence: Mapping[str, Evidence] = field(default_factory=dict)
    """By workload; empty where the capacity is stated."""

    @property
    def refusals(self) -> tuple[Refusal, ...]:
        """Why it cannot serve some workloads that it has a profile for."""
        return tuple(found.refusal for found in self.evidence.values() if found.refusal is not None)
