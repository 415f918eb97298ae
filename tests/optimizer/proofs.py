"""Problems with curves of the tests' own, so that proofs can be put to the test without a search."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from optimizer.check import FleetLoadCase, check
from optimizer.demand import demand
from optimizer.plan_file import Question
from optimizer.problem import CapacityCurve, PlanProblem
from optimizer.problem_of import problem_of
from optimizer.prove import Proven
from optimizer.settings import expand
from optimizer.simulations import cases_of
from tests.optimizer.questions import asked, limited, plan, question

COUNTS = (1, 2, 4)
L4_100MS = (350.0, 370.0, 380.0)
"""What an l4 of :func:`l4s` carries within 100 ms, as a search finds it."""

UNSEEN = 987_654_321
"""A seed that nothing else uses."""


def l4s(rate: float = 1500.0, **keys: Any) -> dict[str, Any]:
    """A plan file: one workload, one candidate that batches."""
    return asked(plan(batching={"policy": "dynamic", "max_batch_size": 16}, **keys), arrivals=poisson(rate))


def poisson(rate: float) -> dict[str, Any]:
    """Arrivals."""
    return {"process": "poisson", "rate": rate}


def two(content: dict[str, Any], **keys: Any) -> dict[str, Any]:
    """The same with a second candidate, twice as fast."""
    fast = {"name": "big", "usd_per_hour": 1.7, "profile": "fast"} | keys
    fast |= {"batching": {"policy": "dynamic", "max_batch_size": 16}}
    profiles = content["profiles"] | {"fast": {"batch": [1, 8, 16], "latency_ms": [5, 12, 20]}}
    return limited(content | {"profiles": profiles}, candidates=[*content["plan"]["candidates"], fast])


def stated_problem(asked_for: Question, rates: Mapping[str, Sequence[Sequence[float]]]) -> PlanProblem:
    """The problem of a question, its settings' curves given by candidate."""
    settings = expand(asked_for)
    curves = [
        CapacityCurve(np.array(COUNTS), np.array(rates[setting.candidate.name])) if setting.simulated else None
        for setting in settings
    ]
    return problem_of(asked_for, settings, curves, demand(asked_for))


def prepared(content: dict[str, Any], **rates: Sequence[Sequence[float]]) -> tuple[Question, PlanProblem]:
    """A question, and its problem with these curves."""
    found = question(content)
    return found, stated_problem(found, rates or {"l4": [L4_100MS]})


def shares_of_runs_that_hold(proven: Proven, runs: int = 40) -> list[float]:
    """Of each fleet in each hour, the share of single runs with an unseen seed in which every objective is met."""
    problem, solution = proven.problem, proven.solution
    fleets = (cases_of(problem, solution, j, t) for j, t in np.argwhere(solution.running > 0).tolist())
    return [_share(case, runs) for both in fleets for case in both or () if case is not None]


def _share(case: FleetLoadCase, runs: int) -> float:
    met = [check(case, UNSEEN + run, 1, most_replications=1) for run in range(runs)]
    held = [all(one.met_as_seen for one in found.workloads.values()) for found in met]
    return sum(held) / runs
