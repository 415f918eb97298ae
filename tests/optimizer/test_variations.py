"""A question with one thing changed differs in that one thing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from optimizer.demand import demand
from optimizer.evidence import Capacity, Evidence, Point
from optimizer.plan_file import Question
from optimizer.problem import CapacityCurve
from optimizer.problem_of import problem_of
from optimizer.settings import Setting, expand
from optimizer.variations import (
    looser_problem,
    tightest_objectives,
    with_floor,
    with_objective,
    with_scaled_objectives,
)
from tests.optimizer.questions import asked, plan, question

BASE = question(asked(asked(plan()), "v", slo={"p95": "30ms", "p99": "40ms", "p999": "60ms"}))


def test_scaling_multiplies_every_objective_and_nothing_else() -> None:
    changed = with_scaled_objectives(BASE, 1.5)
    assert {"p99": 150_000_000} == changed.workloads["w"].slo.targets_ns
    assert {"p95": 45_000_000, "p99": 60_000_000, "p999": 90_000_000} == changed.workloads["v"].slo.targets_ns
    assert BASE.workloads["w"].arrivals == changed.workloads["w"].arrivals
    assert 100_000_000 == BASE.workloads["w"].slo.targets_ns["p99"]


def test_a_higher_percentile_is_never_faster_than_a_lower_one() -> None:
    changed = with_objective(BASE, "v", "p99", 70.0)
    assert {"p95": 30_000_000, "p99": 70_000_000, "p999": 70_000_000} == changed.workloads["v"].slo.targets_ns
    assert BASE.workloads["w"] == changed.workloads["w"]


def test_a_floor_is_of_one_workload() -> None:
    changed = with_floor(BASE, "w", 0.9)
    assert (0.9, None) == (changed.workloads["w"].min_accuracy, changed.workloads["v"].min_accuracy)


def capacity(setting: Setting, rates: list[list[float]], binding: str = "p99") -> Capacity:
    points = (Point(1, 10.0, 0.9, 0.9, {}, {}, binding, 100, 1),)
    evidence = {name: Evidence(name, 20.0, points) for name in setting.workloads}
    return Capacity(setting, CapacityCurve(np.array([1, 4]), np.array(rates)), evidence)


def test_what_a_proof_took_off_a_capacity_stays_off() -> None:
    """The plan was proven with 8 of 10 requests per second; an objective with which there are 12 leaves 9.6."""
    (setting,) = expand(BASE)
    found = [capacity(setting, [[10.0, 20.0], [5.0, 5.0]])]
    proven = CapacityCurve(np.array([1]), np.array([[8.0], [4.0]]))
    problem = problem_of(BASE, [setting], [proven], demand(BASE))

    def curves(changed: Question, settings: Sequence[Setting]) -> list[CapacityCurve]:
        assert [("w",)] == [one.workloads for one in settings]
        assert 110_000_000 == changed.workloads["w"].slo.targets_ns["p99"]
        return [CapacityCurve(np.array([1, 2]), np.array([[12.0, 9.0], [0.0, 0.0]]))]

    (option,) = looser_problem(BASE, problem, found, curves)("w", "p99", 10.0).options
    assert [1, 2, 4] == option.curve.instances.tolist()
    assert [9.6, 8.0, 8.0] == pytest.approx(option.curve.rps_per_instance[0].tolist())  # never less than before
    assert [4.0, 4.0, 4.0] == option.curve.rps_per_instance[1].tolist()


def test_the_objective_that_decides_is_the_one_whose_worth_is_asked() -> None:
    (setting,) = expand(BASE)
    found = [capacity(setting, [[10.0, 20.0], [5.0, 5.0]])]
    assert {"w": ("p99", 100.0), "v": ("p99", 40.0)} == tightest_objectives(BASE, found, [setting.name])
    assert {} == tightest_objectives(BASE, found, [])
    full = [capacity(setting, [[10.0, 20.0], [5.0, 5.0]], "capacity")]
    assert {} == tightest_objectives(BASE, full, [setting.name])
