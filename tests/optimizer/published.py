"""Problems in the form in which planners of GPU mixes publish theirs, and their optimum by other means than ours.

The form is that of Mélange (T. Griggs, X. Liu, J. Yu, D. Kim, W.-L. Chiang, A. Cheung and I. Stoica, "Mélange: Cost
Efficient Large Language Model Serving by Exploiting GPU Heterogeneity", arXiv:2404.14527, 2024): classes of requests by
size, for each kind of GPU the rate of each class that one instance carries within the SLO, a price an hour, a total
rate of 1 to 128 requests per second, a distribution over the classes. All figures here are **made up**: the prices near
those of price lists, the capacities by :func:`capacity_rps`, so that they behave like the published ones. What carries
a small request best is not what carries a large one best, and a tight objective shuts small GPUs out of large requests.

Its program assigns slices of a class's rate, each to one kind of GPU:

    min sum_j c_j n_j   with   sum_j x_ij = 1,   sum_i x_ij lambda_i / (S T_ij) <= n_j,   x_ij in {0, 1},   n_j whole,

S slices a class. Letting shares be fractions gives the least cost that any number of slices can reach.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from scipy.optimize import Bounds, LinearConstraint, linprog, milp
from scipy.sparse import coo_array

Floats = npt.NDArray[np.float64]

USD_PER_HOUR: Final[Mapping[str, float]] = {"l4": 0.70, "a10g": 1.01, "a100": 3.67, "h100": 7.52}
"""Made up, near the prices of lists."""

SIZES: Final = (25, 100, 250, 500, 1000, 2000)
"""Tokens of a request, one class each."""

FIXED_S: Final[Mapping[str, float]] = {"l4": 0.020, "a10g": 0.012, "a100": 0.006, "h100": 0.004}
"""Made up: seconds of an instance that any request takes."""

TOKENS_PER_S: Final[Mapping[str, float]] = {"l4": 1_700.0, "a10g": 2_600.0, "a100": 14_000.0, "h100": 27_000.0}
"""Made up: tokens that an instance produces a second within a loose objective."""

TIGHT: Final[Mapping[str, float]] = {"l4": 0.25, "a10g": 0.45, "a100": 0.85, "h100": 0.95}
"""Made up: share of it that is left within a tight objective."""

LARGEST_WHEN_TIGHT: Final[Mapping[str, int]] = {"l4": 250, "a10g": 500, "a100": 2000, "h100": 2000}
"""Made up: largest request that the objective can be met for at all."""

MIXES: Final[Mapping[str, tuple[float, ...]]] = {
    "chat": (0.42, 0.27, 0.16, 0.10, 0.04, 0.01),
    "documents": (0.02, 0.05, 0.10, 0.18, 0.30, 0.35),
    "both": (0.22, 0.16, 0.13, 0.14, 0.17, 0.18),
}
"""Made up: share of the requests by size; many small ones, many large ones, and half of each."""

RATES_RPS: Final = (1, 2, 4, 8, 16, 32, 64, 128)


def capacity_rps(gpu: str, size: int, *, tight: bool) -> float:
    """How many requests of a size does one instance carry a second? 0: the objective cannot be met.

    >>> capacity_rps("l4", 100, tight=False), capacity_rps("l4", 1000, tight=True)
    (12.69, 0.0)
    """
    if tight and size > LARGEST_WHEN_TIGHT[gpu]:
        return 0.0
    share = TIGHT[gpu] if tight else 1.0
    return round(share / (FIXED_S[gpu] + size / TOKENS_PER_S[gpu]), 2)


@dataclass(frozen=True)
class Published:
    """One problem: B classes of requests, J kinds of GPU."""

    demand_rps: tuple[float, ...]
    """(B,)"""
    capacity_rps: tuple[tuple[float, ...], ...]
    """(J, B)"""
    usd_per_hour: tuple[float, ...]
    """(J,)"""
    names: tuple[str, ...]

    def as_plan(self) -> dict[str, Any]:
        """The same as a plan file with stated capacities."""
        classes = [f"class {b}" for b in range(len(self.demand_rps))]
        asked = {name: rate for name, rate in zip(classes, self.demand_rps, strict=True) if rate > 0}
        candidates = []
        for name, price, row in zip(self.names, self.usd_per_hour, self.capacity_rps, strict=True):
            carried = {one: rate for one, rate in zip(classes, row, strict=True) if one in asked and rate > 0}
            if carried:
                candidates.append({"name": name, "usd_per_hour": price, "capacity_rps": carried})
        return {
            "schema": 1,
            "name": "published",
            "workloads": {name: {"arrivals": {"process": "poisson", "rate": rate}} for name, rate in asked.items()},
            "plan": {"candidates": candidates, "gap": 0.0},
        }


def problem(mix: str, rate_rps: float, *, tight: bool, gpus: tuple[str, ...] = tuple(USD_PER_HOUR)) -> Published:
    """The problem with this distribution of sizes at this total rate."""
    return Published(
        tuple(round(rate_rps * share, 6) for share in MIXES[mix]),
        tuple(tuple(capacity_rps(gpu, size, tight=tight) for size in SIZES) for gpu in gpus),
        tuple(USD_PER_HOUR[gpu] for gpu in gpus),
        gpus,
    )


def least_usd_per_hour(asked: Published, slices: int | None = None) -> float:
    """What is the least cost of whole instances, with S slices a class or, by default, with shares that are fractions?

    Written as a matrix for SciPy's solver, from the equations above and nothing of ours.
    """
    gpus, classes = len(asked.usd_per_hour), len(asked.demand_rps)
    pieces = slices or 1
    cells = [(j, b) for j, b in product(range(gpus), range(classes)) if asked.capacity_rps[j][b] > 0]
    columns = gpus + len(cells)
    entries: list[tuple[int, int, float]] = [(j, j, -1.0) for j in range(gpus)]
    for column, (j, b) in enumerate(cells, start=gpus):
        entries.append((j, column, asked.demand_rps[b] / (pieces * asked.capacity_rps[j][b])))
        entries.append((gpus + b, column, 1.0))
    rows, places, values = (np.array(part) for part in zip(*entries, strict=True))
    matrix = coo_array((values, (rows, places)), shape=(gpus + classes, columns)).tocsr()
    low = np.array([-np.inf] * gpus + [float(pieces)] * classes)
    high = np.array([0.0] * gpus + [float(pieces)] * classes)
    whole = np.array([1] * gpus + [0 if slices is None else 1] * len(cells))
    most = np.array([np.inf] * gpus + [float(pieces)] * len(cells))
    cost = np.array([*asked.usd_per_hour, *[0.0] * len(cells)])
    found = milp(
        cost,
        constraints=LinearConstraint(matrix, low, high),
        integrality=whole,
        bounds=Bounds(0, most),
        options={"mip_rel_gap": 0.0},
    )
    return float(found.fun) if found.success else float("inf")


def least_by_search(asked: Published, most: int) -> float:
    """The least cost by trying every number of instances up to ``most`` of each kind: slow, and beyond doubt."""
    counts = sorted(
        product(range(most + 1), repeat=len(asked.usd_per_hour)),
        key=lambda count: float(np.dot(count, asked.usd_per_hour)),
    )
    for count in counts:
        if _carried(asked, count):
            return float(np.dot(count, asked.usd_per_hour))
    return float("inf")


def _carried(asked: Published, count: tuple[int, ...]) -> bool:
    """Whether so many instances carry everything, the requests being spread as suits best."""
    cells = [
        (j, b)
        for j, b in product(range(len(count)), range(len(asked.demand_rps)))
        if count[j] and asked.capacity_rps[j][b] > 0
    ]
    if not cells:
        return False
    load = np.zeros((len(count), len(cells)))
    served = np.zeros((len(asked.demand_rps), len(cells)))
    for column, (j, b) in enumerate(cells):
        load[j, column] = asked.demand_rps[b] / asked.capacity_rps[j][b]
        served[b, column] = 1.0
    found = linprog(np.zeros(len(cells)), load, np.array(count) * (1 + 1e-9), served, np.ones(len(served)))
    return bool(found.status == 0)
