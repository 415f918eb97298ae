"""Why a plan is what it is, as values: what limits it, what more would cost, what else was possible.

Every value has the numbers, for programs, and ``words``, the same for people, without a full stop.
:mod:`optimizer.explain` makes them; limits that bind are :class:`optimizer.plan.Binding`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from optimizer.plan import Binding
    from optimizer.problem import PlanProblem
    from optimizer.solution import Solution

Mend = Callable[["PlanProblem", "Solution"], tuple["Solution", bool | None]]
"""Simulates a plan and adds instances where it misses: the plan then, and whether it holds; None where there is nothing
to simulate."""

Simulate = Callable[["PlanProblem", "Solution"], tuple["Solution", frozenset[int] | None]]
"""Simulates a plan: the plan as it was simulated, and the hours in which it misses; None where there is nothing to
simulate."""


@dataclass(frozen=True)
class RequestPrice:
    """What one more request per second of a workload costs, as long as the plan may grow with it."""

    workload: str
    usd_per_hour: tuple[float, ...]
    """By hour of the plan; NaN where none is asked."""
    mean_usd_per_hour: float
    """Over the month."""
    peak_hour: str
    """The hour in which it is dearest."""
    peak_usd_per_hour: float
    words: str


@dataclass(frozen=True)
class SloPrice:
    """What a looser objective of a workload saves: the problem solved again with curves found for it."""

    workload: str
    objective: str
    target_ms: float
    looser_ms: float
    """How much later answers may come."""
    saves_usd_per_month: float
    words: str


@dataclass(frozen=True)
class LimitPrice:
    """What one more instance of a limit that binds saves: the problem solved again."""

    name: str
    max_instances: int
    """The limit as it is."""
    saves_usd_per_month: float
    words: str


@dataclass(frozen=True)
class SingleType:
    """The cheapest plan with one candidate alone, all its settings allowed; or why there is none."""

    candidate: str
    usd_per_month: float | None
    """None: it cannot serve alone, or no plan was found in time."""
    most_instances: int | None
    """In its busiest hour."""
    dearer: float | None
    """By what share of the plan's cost; negative is possible within the gap only."""
    why: str
    """Why it cannot; empty when it can."""
    words: str
    proven: bool | None = None
    """Whether simulation confirmed it, instances added where it missed; None: not simulated."""


@dataclass(frozen=True)
class Alternative:
    """A plan that costs nearly as little and looks different."""

    difference: str
    """What is different about it, ``without a10g``."""
    usd_per_month: float
    dearer: float
    """By what share of the plan's cost."""
    instances: dict[str, tuple[int, int]]
    """Fewest and most instances over the hours, by candidate; those without any are absent."""
    differs: float
    """Share of its instance hours' cost that is spent on other candidates than in the plan, 0 to 1."""
    proven: bool | None
    """Whether simulation confirmed it; None: not simulated."""
    words: str


@dataclass(frozen=True)
class NotChosen:
    """Why a candidate is in no hour of the plan."""

    candidate: str
    reason: Literal["cannot_meet_slo", "serves_nothing", "not_allowed", "dominated", "dearer"]
    usd_per_hour: float
    """Its price now."""
    entry_usd_per_hour: float | None
    """The price below which it would be in the cheapest plan; None where no price helps, or none was sought."""
    usd_per_1k_rps: dict[str, float]
    """Dollars an hour of a thousand requests per second within the SLO, by workload, at its best setting and count."""
    words: str


@dataclass(frozen=True)
class Explanation:
    """Everything that is said about a plan beside the plan itself."""

    binding: tuple[Binding, ...] = ()
    request_prices: tuple[RequestPrice, ...] = ()
    slo_prices: tuple[SloPrice, ...] = ()
    limit_prices: tuple[LimitPrice, ...] = ()
    single_types: tuple[SingleType, ...] = ()
    """Cheapest first, those that cannot last."""
    alternatives: tuple[Alternative, ...] = ()
    not_chosen: tuple[NotChosen, ...] = ()
    left_out: tuple[str, ...] = ()
    """What was not looked into, a sentence each: time was up, or nobody asked."""

    @property
    def best_single_type(self) -> SingleType | None:
        """The cheapest candidate that can serve everything alone; None when none can."""
        return next((single for single in self.single_types if single.usd_per_month is not None), None)

    def as_json(self) -> dict[str, Any]:
        """The keys that it has in the JSON of a plan, with values for :func:`optimizer.plan.plan_json` to write."""
        return {
            "binding": self.binding,
            "shadow_prices": {"requests": self.request_prices, "slo": self.slo_prices, "limits": self.limit_prices},
            "best_single_type": self.best_single_type,
            "single_types": self.single_types,
            "alternatives": self.alternatives,
            "not_chosen": self.not_chosen,
            "not_examined": self.left_out,
        }
