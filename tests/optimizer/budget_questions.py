"""Small budgets for tests: a made-up history, stated capacities, and futures that need no forecasting model."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from optimizer.budget.budget_file import BudgetQuestion, budget_from
from optimizer.budget.demand_history import DemandHistory

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Futures:
    """What a forecast gives, made up."""

    paths: Floats
    model: str = "made up"
    notes: tuple[str, ...] = ()
    forecastable: bool = True
    reasons: tuple[str, ...] = ()


def steps(
    histories: Mapping[str, DemandHistory], until: dt.datetime, holidays: Sequence[dt.date], seed: int, paths: int
) -> Mapping[str, Futures]:
    """The last week again and again, times a random walk from week to week: longer futures go on where shorter end."""
    del holidays
    found = {}
    for place, (name, history) in enumerate(histories.items()):
        hours = (until - history.end) // dt.timedelta(hours=1)
        weeks = -(-hours // 168)
        rng = np.random.default_rng((seed, place))
        walk = 0.002 + 0.03 * rng.standard_normal((weeks, paths)).T
        level = np.exp(walk.cumsum(axis=1))
        found[name] = Futures(history.rps[-168:][np.arange(hours) % 168] * level[:, np.arange(hours) // 168])
    return found


def write_demand(folder: Path, weeks: int = 20) -> None:
    """``means.csv`` with weekly means of the columns a and b, and ``shape.csv``; they end with 2026-11-29."""
    first = dt.date(2026, 11, 30) - dt.timedelta(days=7 * weeks)
    rows = [f"{first + dt.timedelta(days=7 * week)},{100 + week},{30 + week % 5}" for week in range(weeks)]
    (folder / "means.csv").write_text("day,a,b\n" + "\n".join(rows) + "\n", encoding="utf-8")
    hours = [(day, hour) for day in range(7) for hour in range(24)]
    shape = [f"{day},{hour},{1.5 if 8 <= hour < 20 else 0.5},1" for day, hour in hours]
    (folder / "shape.csv").write_text("weekday,hour,a,b\n" + "\n".join(shape) + "\n", encoding="utf-8")


def content(**changes: Any) -> dict[str, Any]:
    """A budget of two workloads on L4s at 10 requests a second each, over two months, with changes of ``budget``."""
    history = {"means": "means.csv", "week_shape": "shape.csv"}
    budget = {
        "start": "2027-01-01",
        "horizon": "2mo",
        "history": {"chat": {**history, "column": "a"}, "tags": {**history, "column": "b"}},
        "purchases": ["cud_1y", "cud_3y"],
        "tags": {"chat": {"team": "search", "model": "large"}, "tags": {"team": "shop", "model": "small"}},
        "paths": 12,
    }
    return {
        "schema": 1,
        "name": "small",
        "workloads": {"chat": {"slo": {"p99": "100ms"}}, "tags": {"slo": {"p99": "100ms"}}},
        "plan": {
            "candidates": [
                {"name": "l4", "instance_type": "g2-standard-4", "capacity_rps": {"chat": 10, "tags": 10}},
            ]
        },
        "budget": {key: value for key, value in {**budget, **changes}.items() if value is not None},
    }


def question(folder: Path, **changes: Any) -> BudgetQuestion:
    """The same, read."""
    write_demand(folder)
    return budget_from(content(**changes), folder=folder, file="budget.yaml")
