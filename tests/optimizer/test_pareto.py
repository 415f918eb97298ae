"""Cost against objectives never falls when they get stricter, and every point is a plan."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from optimizer.pareto import FACTORS, pareto
from optimizer.plan import Binding, Plan, PlannedFleet
from optimizer.plan_file import Question
from tests.optimizer.questions import asked, plan, question


def priced(usd: float | None) -> Plan:
    """A plan of one hour with this cost, or none."""
    if usd is None:
        why = (Binding("slo", "w", 50.0, 60.0, "no candidate meets it"),)
        return Plan(
            "p", "infeasible", None, None, None, None, ("w",), ("all day",), (730.0,), {"w": (1.0,)}, binding=why
        )
    fleet = PlannedFleet(
        "l4", "l4", None, 2, (2,), {"on_demand": 2}, None, None, {"w": 1.0}, {"w": (1.0,)}, usd, 0.5, None, None
    )
    cost = 730 * usd
    return Plan("p", "optimal", usd, cost, usd, 0.0, ("w",), ("all day",), (730.0,), {"w": (1.0,)}, fleets=(fleet,))


def by_target(costs: Mapping[float, float | None]) -> tuple[Callable[[Question], Plan], list[float]]:
    """A planner that knows what each target in ms costs, and the targets that it was asked for."""
    targets: list[float] = []

    def plan_of(changed: Question) -> Plan:
        target_ms = changed.workloads["w"].slo.targets_ns["p99"] / 1e6
        targets.append(target_ms)
        return priced(costs[target_ms])

    return plan_of, targets


def test_a_plan_for_a_stricter_objective_serves_a_looser_one() -> None:
    """Chance of a simulation must not show that waiting longer costs more."""
    plan_of, _ = by_target({50.0: 5.0, 200.0: 4.0})
    (found,) = pareto(question(plan()), priced(3.0), plan_of, factors=(0.5, 1.0, 2.0))
    assert [(0.5, 5.0 * 730, None), (1.0, 3.0 * 730, None), (2.0, 3.0 * 730, 1.0)] == [
        (point.value, point.usd_per_month, point.from_value) for point in found.points
    ]
    assert [False, True, False] == [point.stated for point in found.points]
    assert {"w": {"p99": 100.0}} == found.targets_ms
    assert {"l4": 2} == found.points[0].instances


def test_nothing_stricter_is_planned_once_there_is_no_plan() -> None:
    plan_of, targets = by_target({200.0: 2.0, 70.0: None})
    (found,) = pareto(question(plan()), priced(3.0), plan_of, factors=(0.5, 0.7, 2.0))
    assert [200.0, 70.0] == targets
    assert [None, None, 2190.0, 1460.0] == [point.usd_per_month for point in found.points]
    assert "no candidate meets it" == found.points[0].why


def test_the_plan_that_there_is_serves_looser_objectives_whatever_their_search_found() -> None:
    plan_of, targets = by_target({200.0: None, 50.0: 4.0})
    (found,) = pareto(question(plan()), priced(3.0), plan_of, factors=(0.5, 2.0))
    assert [200.0, 50.0] == targets
    assert [4.0 * 730, 3.0 * 730, 3.0 * 730] == [point.usd_per_month for point in found.points]


def test_the_stated_objectives_are_not_planned_again() -> None:
    plan_of, targets = by_target({round(100 * factor, 6): 1.0 for factor in FACTORS})
    pareto(question(plan()), priced(3.0), plan_of)
    assert 100.0 not in targets
    assert len(FACTORS) - 1 == len(targets)


def two_accuracies(**workload: Any) -> Question:
    content = asked(plan(profile=None, capacity_rps={"w": 40.0}, accuracy=0.7), slo=None, **workload)
    exact = {"name": "big", "usd_per_hour": 3.0, "capacity_rps": {"w": 40.0}, "accuracy": 0.9}
    content["plan"]["candidates"].append(exact)
    return question(content)


@pytest.mark.parametrize(("keys", "own"), [({}, 0.7), ({"min_accuracy": 0.8}, 0.8), ({"min_accuracy": 0.77}, 0.77)])
def test_accuracy_costs_more_the_more_is_asked(keys: dict[str, Any], own: float) -> None:
    floors: list[float | None] = []

    def plan_of(changed: Question) -> Plan:
        floor = changed.workloads["w"].min_accuracy
        floors.append(floor)
        return priced(10 * (floor or 0))

    (found,) = pareto(two_accuracies(**keys), priced(10 * own), plan_of)
    assert ("accuracy", "w") == (found.kind, found.workload)
    assert [0.9, 0.7] == [found.points[0].value, found.points[-1].value]
    assert [own] == [point.value for point in found.points if point.stated]
    costs = [point.usd_per_month or 0.0 for point in found.points]
    assert sorted(costs, reverse=True) == costs
    assert own not in floors


def test_stated_capacities_know_no_other_objective() -> None:
    """They were measured within one SLO; what they are within another nobody has said."""
    content = asked(plan(profile=None, capacity_rps={"w": 40.0}), slo=None)
    assert () == pareto(question(content), priced(1.0), by_target({})[0])
