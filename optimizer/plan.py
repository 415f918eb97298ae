"""What ``optimize`` answers: the fleets to run, what they cost, how they were proven, and why it is these.

A :class:`Plan` is complete when it exists and is never changed. Nothing here computes; :func:`plan_json` only gives
the values the names that other programs rely on.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from numbers import Integral
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

if TYPE_CHECKING:
    from optimizer.explanation import Explanation

SCHEMA_VERSION: Final = 1
"""Version of the JSON object; it changes when a key changes its meaning."""

Status = Literal["optimal", "feasible", "infeasible"]


@dataclass(frozen=True)
class Binding:
    """A limit that leaves no plan, and how far it would have to give way."""

    limit: str
    """Kind of limit: ``slo``, ``accuracy``, ``max_instances``, ``quota``, ``budget``, ``memory``, ``survive``,
    ``capacity`` ..."""
    where: str
    """What it is a limit of: a workload, a candidate, a quota, an hour."""
    value: float | None
    """The limit as it stands, in the unit of the words; None where it is no number."""
    needed: float | None
    """The nearest value with which there is a plan; None where no value of this limit is enough."""
    words: str
    """The same as a sentence without a full stop."""


@dataclass(frozen=True)
class PlannedFleet:
    """Identical instances that serve together. Hours are those of the plan."""

    name: str
    """The candidate with its setting, for instance ``l4: batch 16, wait 5 ms``."""
    candidate: str
    instance_type: str | None
    instances: int
    """Instances in the busiest hour."""
    instances_by_hour: tuple[int, ...]
    """(T,) instances that run."""
    purchase: Mapping[str, int]
    """How many of the instances of the busiest hour are bought how."""
    batching: Mapping[str, Any] | None
    """Batch settings as a scenario writes them; None where the capacity is stated."""
    model_instances: int | None
    """Executions at once on one accelerator; None where the capacity is stated."""
    share: Mapping[str, float]
    """Share of each workload's requests, over the whole month, that it serves."""
    share_by_hour: Mapping[str, tuple[float, ...]]
    """(T,) the same hour by hour, of workloads that it serves at all."""
    usd_per_hour: float
    """Mean over the hours of the month, with fees and starts."""
    load: float
    """Requests as a share of what the fleet may be given, in its fullest hour: at 1 the next request needs another
    instance (or, where one may be lost, what is left of the fleet is full)."""
    utilisation: float | None
    """Items offered a second over what the accelerators can do with their best batches, in the hour in which that is
    highest: at 1 the queue grows for ever, and no plan is beyond 0.97. None where the capacity is stated."""
    busy: float | None
    """Share of the time in which the accelerators work, simulated, where that is highest. A server that batches is busy
    nearly always long before it is full: small batches come first. None where the capacity is stated."""


@dataclass(frozen=True)
class Verified:
    """What simulation showed of one workload: the worst fleet in the worst hour. Every fleet holds every objective."""

    targets_ms: Mapping[str, float]
    """Objectives, by ``p99_ms`` and so on."""
    values_ms: Mapping[str, float]
    """The value of each where it is nearest to its target; infinite where requests are lost or a queue only grows."""
    ci95: Mapping[str, tuple[float, float]]
    """95 % interval of that value."""
    one_run_ms: Mapping[str, float]
    """What one more run stays below in 39 of 40 cases: upper end of the 95 % prediction interval."""
    met: bool
    """Whether the upper ends are within every target, in every hour, on every fleet, after every loss to survive."""
    attainment: float
    """Share of requests answered within the largest target, where it is least."""
    fleet: str
    """Where the objective nearest to its target was seen ..."""
    hour: str
    """... and when."""
    hours: int
    """Hours whose fleets were simulated."""
    replications: int
    """Runs behind each value, at least."""
    requests: int
    """Requests measured, in all simulations together."""
    after_loss_ms: Mapping[str, float] = field(default_factory=dict)
    """The values with the worst loss that the plan must survive taken away; empty where it need survive none."""
    stated_share: float = 0.0
    """Share of its requests that goes where the capacity is stated, and that no simulation covers."""


@dataclass(frozen=True)
class Miss:
    """A fleet of a plan that did not hold when it was simulated."""

    fleet: str
    hour: str
    hours: int
    """Hours in which it missed alike; this is the worst."""
    instances: int
    after_loss: bool
    """Whether the instances that the plan must be able to lose were taken away."""
    workload: str
    objective: str
    """``p99_ms`` and so on; ``load`` for a fleet that is loaded beyond what it can do."""
    target: float
    value: float
    """Upper end of the 95 % prediction interval, in the objective's unit; infinite where a queue only grows."""
    capacity_factor: float
    """What this setting's capacity was multiplied with in consequence, at this count of instances."""


@dataclass(frozen=True)
class Round:
    """One turn of solving, simulating and tightening."""

    usd_per_hour: float
    lower_bound_usd_per_hour: float
    status: str
    """What the solver said of it."""
    simulated: int
    """Fleets that were simulated anew."""
    misses: tuple[Miss, ...] = ()
    """Empty: the plan held."""
    separated: tuple[str, ...] = ()
    """Settings whose workloads may have fleets of their own from here on, since together they missed."""
    solve_s: float = 0.0
    simulate_s: float = 0.0


@dataclass(frozen=True)
class Plan:
    """The cheapest fleets that hold every objective, or why there are none."""

    name: str
    status: Status
    """``optimal``: within the gap that was asked for; ``feasible``: the solver's time was up before that."""
    usd_per_hour: float | None
    """Mean over the hours of the month; None without a plan."""
    usd_per_month: float | None
    """730 hours."""
    lower_bound_usd_per_hour: float | None
    """No plan costs less, the capacities being what they are after the last round."""
    gap: float | None
    """How much cheaper a plan could still be, as a share of this one's cost."""
    workloads: tuple[str, ...]
    hours: tuple[str, ...]
    """Names of the T hours."""
    weight_h: tuple[float, ...]
    """(T,) hours of the month that each stands for."""
    demand_rps: Mapping[str, tuple[float, ...]]
    """(T,) requests per second that were planned for, by workload."""
    usd_by_hour: tuple[float, ...] = ()
    """(T,) what each hour costs."""
    fleets: tuple[PlannedFleet, ...] = ()
    verified: Mapping[str, Verified | None] | None = None
    """By workload; None for one whose fleets' capacities are all stated. None when nothing was simulated."""
    rounds: tuple[Round, ...] = ()
    binding: tuple[Binding, ...] = ()
    """Of an infeasible plan: what must be relaxed."""
    explanation: Explanation | None = None
    """Why it is this plan; None where it was not asked for, or where there is none."""
    warnings: tuple[str, ...] = ()
    assumptions: Mapping[str, str] = field(default_factory=dict)
    """What the numbers rest on, in the order to show it."""
    capacity: tuple[Any, ...] = ()
    """What was found out about each setting by simulating it."""
    timing_s: Mapping[str, float] = field(default_factory=dict)
    """Wall time by stage."""

    @property
    def feasible(self) -> bool:
        """Whether there is a plan."""
        return self.status != "infeasible"

    @property
    def met(self) -> bool | None:
        """Whether every simulated objective is met; None where nothing was simulated."""
        found = [one.met for one in (self.verified or {}).values() if one is not None]
        return all(found) if found else None


def plan_json(plan: Plan) -> dict[str, Any]:
    """Give the plan as the object that ``optimize --json`` prints: plain dicts, lists, strings and finite numbers.

    An unknown or infinite value is null (None), never NaN or Infinity, which JSON does not have.

    >>> nothing = Plan("small", "infeasible", None, None, None, None, ("w",), ("all day",), (730.0,), {"w": (5.0,)})
    >>> document = plan_json(nothing)
    >>> document["schema_version"], document["status"], document["cost"], document["verified"]
    (1, 'infeasible', {'usd_per_hour': None, 'usd_per_month': None}, None)
    """
    document: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "plan": plan.name,
        "status": plan.status,
        "cost": {"usd_per_hour": plan.usd_per_hour, "usd_per_month": plan.usd_per_month},
        "lower_bound_usd_per_hour": plan.lower_bound_usd_per_hour,
        "gap": plan.gap,
        "fleets": plan.fleets,
        "verified": None
        if plan.verified is None
        else {name: None if one is None else _verified(one) for name, one in plan.verified.items()},
        "binding": plan.binding,
        "shadow_prices": {},
        "alternatives": [],
    }
    if plan.explanation is not None:
        document |= plan.explanation.as_json()
    shown_elsewhere = {"name", "usd_per_hour", "usd_per_month", "workloads", "explanation"}
    for column in fields(plan):
        if column.name not in document and column.name not in shown_elsewhere:
            document[column.name] = getattr(plan, column.name)
    plain: dict[str, Any] = _plain(document)
    return plain


def _verified(found: Verified) -> dict[str, Any]:
    """One workload's object: the values themselves first, by ``p99_ms`` and so on."""
    rest = {column.name: getattr(found, column.name) for column in fields(found)}
    return {**rest.pop("values_ms"), "met": rest.pop("met"), **rest}


def _plain(value: Any) -> Any:
    """Only what JSON can say: dicts with string keys, lists, and None for a number that is not finite."""
    if is_dataclass(value) and not isinstance(value, type):
        return {column.name: _plain(getattr(value, column.name)) for column in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, str | bool) or value is None:
        return value
    if isinstance(value, np.bool_):
        return bool(value)
    if isinstance(value, Integral):
        return int(value)
    number = float(value)
    return number if math.isfinite(number) else None
