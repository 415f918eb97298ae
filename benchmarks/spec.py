"""The values of a benchmark: what is asked (BenchSpec), what is hoped for (Target), what came out (Outcome)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal, Protocol

from benchmarks.measure import Timing

NAME: Final = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
"""Names of specs, as one types them."""


class DisagreementError(AssertionError):
    """Two contenders that must answer the same did not: their times mean nothing."""


class Work(Protocol):
    """Something to simulate, at a given size."""

    def scenario(self) -> str:
        """The YAML text that ``simulate`` runs."""
        ...


@dataclass(frozen=True)
class Effort:
    """How much to do."""

    sizes: tuple[int, ...]
    """Values along the spec's axis, smallest first."""
    rounds: int
    """How often each contender has its turn; the median counts."""
    peer_requests: int
    """Requests for contenders that are hundreds of times slower than the compiled engine."""


@dataclass(frozen=True)
class Target:
    """A bound that a figure should hold."""

    figure: str
    """Name of the figure it judges."""
    sense: Literal["at least", "at most"]
    bound: float

    def reached_by(self, value: float) -> bool:
        """Whether a figure of this value holds the bound.

        >>> Target("speed-up", "at least", 1.7).reached_by(1.65)
        False
        """
        return value >= self.bound if self.sense == "at least" else value <= self.bound


@dataclass(frozen=True)
class Figure:
    """A number that a benchmark is about."""

    name: str
    value: float | None
    """None when it could not be measured here; a note of the outcome says why."""
    unit: str
    """``x`` for a ratio."""


@dataclass(frozen=True)
class Outcome:
    """What one spec measured."""

    timings: tuple[Timing, ...]
    figures: tuple[Figure, ...]
    notes: tuple[str, ...] = ()
    """What was checked, what was left out and why; one sentence each."""

    @property
    def by_name(self) -> Mapping[str, Figure]:
        """The figures by name."""
        return {figure.name: figure for figure in self.figures}


@dataclass(frozen=True)
class BenchSpec:
    """One benchmark: a question, the work it takes along an axis, and the bounds to reach."""

    name: str
    question: str
    axis: Literal["requests", "instances", "replications", "settings", "hours", "weeks"]
    """What the sizes count."""
    build: Callable[[int], Work]
    """The work of a given size."""
    measure: Callable[[BenchSpec, Effort], Outcome]
    full: Effort
    quick: Effort
    targets: tuple[Target, ...] = ()

    def __post_init__(self) -> None:
        """Refuse a spec that could not be asked for, or that measures nothing."""
        if not NAME.fullmatch(self.name):
            raise ValueError(f"the name of a spec must be lower-case words joined by hyphens, got {self.name!r}")
        for effort in (self.full, self.quick):
            if not effort.sizes or effort.sizes != tuple(sorted(set(effort.sizes))) or effort.sizes[0] < 1:
                raise ValueError(f"{self.name}: sizes must be positive and increasing, got {effort.sizes}")
            if effort.rounds < 1 or effort.peer_requests < 1:
                raise ValueError(f"{self.name}: rounds and peer_requests must be at least 1, got {effort}")


def verdict(target: Target, figure: Figure | None) -> str:
    """Is the target reached: ``reached``, ``missed`` or ``not measured``?"""
    if figure is None or figure.value is None:
        return "not measured"
    return "reached" if target.reached_by(figure.value) else "missed"
