"""Looks at small scenarios, each simulated once for all tests."""

from __future__ import annotations

from functools import cache

from presentation.door import given_shipped, workspace
from presentation.library import shipped
from presentation.look import Look, look
from presentation.sweep import Sweep, sweep
from simulator.scenario import Scenario


@cache
def scenario_of(name: str, *overrides: str) -> Scenario:
    """A shipped scenario with some values changed."""
    with workspace(given_shipped(shipped()[name])) as space:
        return space.scenario(overrides)


@cache
def look_at(name: str, *overrides: str) -> Look:
    """One look at it."""
    return look(scenario_of(name, *overrides))


@cache
def sweep_of(name: str, workload: str, *overrides: str) -> Sweep:
    """Its load curve."""
    scenario = scenario_of(name, *overrides)
    return sweep(scenario, workload, look_at(name, *overrides).report)


OVERLOADED = "workloads.search.arrivals.rate=900"
"""Of hello.yaml: twice what its GPU can do."""
