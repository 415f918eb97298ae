"""What does a tighter objective cost, and what does accuracy? The cheapest plan for each of a ladder of them.

Every point is a plan of its own: capacities simulated for its objectives, solved, and proven. A plan that holds a
tighter objective holds a looser one too, so that no point is dearer than its stricter neighbour; and where there is no
plan for an objective, there is none for a stricter one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from calibration.console import Unwatched, Watch
from optimizer.variations import with_floor, with_scaled_objectives

if TYPE_CHECKING:
    from optimizer.plan import Plan
    from optimizer.plan_file import Question

FACTORS: Final = (0.5, 0.7, 0.85, 1.0, 1.25, 1.5, 2.0, 3.0)
"""Multiples of the stated objectives."""

FLOORS: Final = 5
"""Floors of accuracy between the least and the most that the candidates reach, the stated one aside."""


@dataclass(frozen=True)
class ParetoPoint:
    """The cheapest plan for one objective."""

    value: float
    """Multiple of the stated objectives, or floor of accuracy."""
    stated: bool
    """Whether this is what the plan file asks for."""
    usd_per_month: float | None
    """None: there is no plan."""
    status: str
    met: bool | None
    """Whether simulation confirmed it; None where every capacity is stated."""
    instances: dict[str, int]
    """Most instances in an hour, by candidate."""
    from_value: float | None
    """A stricter value whose plan this is, since it is cheaper than what was found here; None for a plan of its own."""
    why: str
    """Why there is no plan."""


@dataclass(frozen=True)
class Frontier:
    """Costs along one kind of objective."""

    kind: Literal["latency", "accuracy"]
    workload: str
    """Whose floor of accuracy is varied; empty for latencies, which are varied together."""
    targets_ms: dict[str, dict[str, float]]
    """The stated objectives by workload, ``{"chat": {"p99": 200.0}}``; of latencies only."""
    points: tuple[ParetoPoint, ...]
    """Strictest first."""


def pareto(
    question: Question,
    stated: Plan,
    plan_of: Callable[[Question], Plan],
    *,
    factors: Sequence[float] = FACTORS,
    watch: Watch | None = None,
) -> tuple[Frontier, ...]:
    """What does the cheapest plan cost for stricter and for looser objectives?

    Parameters
    ----------
    question, stated
        The plan file, and its plan.
    plan_of
        The cheapest plan, proven, of a question.
    factors
        Multiples of all latency objectives to plan for; 1 is the plan that is there.
    watch
        Is told what is planned.

    Returns
    -------
    tuple of Frontier
        Latencies, where a candidate has a profile: stated capacities know no other objective. Then each workload whose
        candidates state accuracies that differ.
    """
    watch = watch or Unwatched()
    found = []
    if any(candidate.capacity_rps is None for candidate in question.candidates):
        targets = {
            name: {key: ns / 1e6 for key, ns in workload.slo.targets_ns.items()}
            for name, workload in question.workloads.items()
            if workload.slo.targets_ns
        }
        ladder = sorted({*factors, 1.0})
        points = _points(ladder, 1.0, stated, lambda factor: plan_of(with_scaled_objectives(question, factor)), watch)
        found.append(Frontier("latency", "", targets, points))
    for name, floors, own in _floors(question):
        plan = _for_floor(question, name, plan_of)
        found.append(Frontier("accuracy", name, {}, _points(floors, own, stated, plan, watch)))
    return tuple(found)


def _for_floor(question: Question, workload: str, plan_of: Callable[[Question], Plan]) -> Callable[[float], Plan]:
    return lambda floor: plan_of(with_floor(question, workload, floor))


def _floors(question: Question) -> Iterator[tuple[str, list[float], float]]:
    """Workloads whose accuracy can be had for money: floors, strictest first, and the one that holds now."""
    for name, workload in question.workloads.items():
        reached = {candidate.accuracy_of(name) for candidate in question.candidates if candidate.serves(name)}
        known = sorted(value for value in reached if value is not None)
        if len(known) < 2:
            continue
        own = known[0] if workload.min_accuracy is None else workload.min_accuracy
        ladder = {round(float(floor), 6) for floor in np.linspace(known[0], known[-1], FLOORS)}
        yield name, sorted({*ladder, own}, reverse=True), own


def _points(
    values: Sequence[float], own: float, stated: Plan, plan_of: Callable[[float], Plan], watch: Watch
) -> tuple[ParetoPoint, ...]:
    """Plans for values that are given strictest first; looked for from the loosest on, until there is none."""
    points: list[ParetoPoint] = []
    for value in reversed(values):
        if points and points[-1].usd_per_month is None and not (value == own and stated.feasible):
            last = points[-1]
            points.append(replace(last, value=value, stated=value == own))
            continue
        watch.stage(f"planning for {value:g}")
        points.append(_point(value, value == own, stated if value == own else plan_of(value)))
    cheapest: ParetoPoint | None = None
    kept = []
    for point in reversed(points):
        if cheapest is not None and (point.usd_per_month is None or _dearer(point, cheapest)):
            source = cheapest.from_value if cheapest.from_value is not None else cheapest.value
            point = replace(cheapest, value=point.value, stated=point.stated, from_value=source)
        if point.usd_per_month is not None:
            cheapest = point
        kept.append(point)
    return tuple(kept)


def _dearer(point: ParetoPoint, than: ParetoPoint) -> bool:
    assert than.usd_per_month is not None, "only plans are compared"
    return point.usd_per_month is not None and point.usd_per_month > than.usd_per_month


def _point(value: float, stated: bool, plan: Plan) -> ParetoPoint:
    held: dict[str, np.ndarray[Any, Any]] = {}
    for fleet in plan.fleets:
        row = np.array(fleet.instances_by_hour)
        held[fleet.candidate] = held[fleet.candidate] + row if fleet.candidate in held else row
    return ParetoPoint(
        value=value,
        stated=stated,
        usd_per_month=plan.usd_per_month if plan.feasible else None,
        status=plan.status,
        met=plan.met,
        instances={name: int(row.max()) for name, row in held.items()},
        from_value=None,
        why="" if plan.feasible else "; ".join(limit.words for limit in plan.binding[:2]),
    )
