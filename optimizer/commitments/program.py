"""The question of what to commit, as arrays: demand in scenarios, prices, what can be bought, and the risk to bear.

A two-stage stochastic program. First, before demand is known, units x_p of each *purchase* are chosen: a purchase is
one thing to promise (instances of a type, or dollars an hour) on one plan from one date, so purchases of several dates
side by side are a ladder. Then demand comes, every hour of it is covered by what is active, and the rest is bought on
demand. Nothing here knows price files, calendars or the solver.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Purchase:
    """One thing that could be promised from one date on: so many units, each paid for every active hour."""

    name: str
    """Unique, for instance ``g5.xlarge reserved_1y_no_upfront from 2027-04``."""
    kind: Literal["instances", "spend"]
    """What a unit is: an instance of one type, or a dollar an hour at discounted rates."""
    usd_per_h: float
    """Effective price of a unit: of an instance hour; of a dollar an hour it is 1, or more with a cost of capital."""
    active: Flags
    """(T,) hours of the problem in which it is paid and covers demand."""
    instance_type: int = -1
    """Index of the type that a purchase of instances covers."""
    rates: Floats | None = None
    """(J,) discounted price of an instance hour of each type, NaN for types that a spend commitment does not cover."""
    wide: bool = True
    """Whether a spend commitment covers any family: narrow ones are applied before."""
    unit: float = 1.0
    """Units are bought in multiples of this; 0 where any part may be bought."""
    min_units: float = 0.0
    """Least to buy; equal to ``max_units`` for what was bought before."""
    max_units: float = np.inf
    """Most to buy."""
    upfront_usd: float = 0.0
    """Part of the price that is paid at the start, for each unit; counts against the budget for it."""
    detail: Any = None
    """What it stands for, for whoever made it."""

    def __post_init__(self) -> None:
        """Refuse what cannot be bought."""
        faults = list(self._faults())
        if faults:
            raise ValueError("; ".join(f"{self.name}: {fault}" for fault in faults))

    def _faults(self) -> Iterator[str]:
        if not (np.isfinite(self.usd_per_h) and self.usd_per_h > 0):
            yield f"usd_per_h must be a finite number greater than 0, got {self.usd_per_h}"
        if not (np.isfinite(self.unit) and self.unit >= 0):
            yield f"unit must be 0 or greater, got {self.unit}"
        if not (np.isfinite(self.upfront_usd) and self.upfront_usd >= 0):
            yield f"upfront_usd must be 0 or greater, got {self.upfront_usd}"
        if not 0 <= self.min_units <= self.max_units:
            yield f"units must be from 0 on, the least at most the most, got {self.min_units} to {self.max_units}"
        elif self.unit > 0 and _whole_up(self.min_units, self.unit) > self.max_units * (1 + 1e-12):
            yield f"no multiple of {self.unit:g} lies within {self.min_units:g} and {self.max_units:g}"
        if self.kind == "spend":
            if self.rates is None or not (np.isfinite(self.rates).any() and (self.rates[self.covers] > 0).all()):
                yield "a spend commitment needs rates greater than 0, of one type at least"
        elif self.instance_type < 0:
            yield "a purchase of instances names their type"

    @property
    def covers(self) -> Flags:
        """(J,) types that a spend commitment covers."""
        return np.isfinite(self.rates if self.rates is not None else np.zeros(0))


def _whole_up(units: float, unit: float) -> float:
    return float(np.ceil(units / unit - 1e-9) * unit)


@dataclass(frozen=True)
class RiskMeasure:
    """What is made small: a mean, or a mean and how bad it gets in the worst scenarios.

    (1 - weight) E[Q] + weight CVaR_level[Z], with Z = Q, the cost (``cvar_cost``), or Z = Q - Q^wait-and-see, the
    regret (``cvar_regret``: what was paid beyond what it would have cost to buy for this very scenario). The two point
    in opposite directions: costs are highest where demand is, so CVaR of cost buys more; regret is also high where
    demand shrinks and what was bought lies idle.

    References
    ----------
    R. T. Rockafellar and S. Uryasev, "Optimization of conditional value-at-risk", Journal of Risk 2 (2000), eq. 9.
    """

    kind: Literal["none", "cvar_regret", "cvar_cost"] = "none"
    weight: float = 0.0
    """Share of the risk term, from 0 to 1."""
    level: float = 0.9
    """Share of the scenarios, by probability, that are not among the worst; below 1."""

    def __post_init__(self) -> None:
        """Refuse what is no risk measure."""
        if not 0 <= self.weight <= 1 or not 0 <= self.level < 1:
            raise ValueError(
                f"weight must be within 0 and 1 and level at least 0 and below 1, got {self.weight}, {self.level}"
            )

    @property
    def matters(self) -> bool:
        """Whether more than the mean counts."""
        return self.kind != "none" and self.weight > 0

    def of(self, usd: Floats, probability: Floats, hindsight_usd: Floats | None = None) -> float:
        """What is made small, for costs that are known by scenario?

        Parameters
        ----------
        usd : (S,)
            Cost of each scenario.
        probability : (S,)
            Of each scenario.
        hindsight_usd : (S,)
            Wait-and-see cost, subtracted for the regret.

        Examples
        --------
        The mean is 2.5, the mean of the worst quarter 4:

        >>> RiskMeasure("cvar_cost", 0.5, 0.75).of(np.array([1.0, 2.0, 3.0, 4.0]), np.full(4, 0.25))
        3.25
        """
        mean = float(probability @ usd)
        if not self.matters:
            return mean
        bad = usd - hindsight_usd if self.kind == "cvar_regret" and hindsight_usd is not None else usd
        worst = np.argsort(-bad, kind="stable")
        reached = np.minimum(np.cumsum(probability[worst]), 1 - self.level)
        tail = float(np.diff(reached, prepend=0.0) @ bad[worst]) / (1 - self.level)
        return (1 - self.weight) * mean + self.weight * tail


@dataclass(frozen=True)
class CommitmentProblem:
    """Everything that the best commitments depend on. Shapes: S scenarios, T hours, J types, P purchases.

    An hour may stand for many (a typical week repeated): ``weight_h`` says for how many.
    """

    types: tuple[str, ...]
    """J names of instance types, or of pools."""
    on_demand_usd: Floats
    """Price of an instance hour on demand: (J,), (T, J) or (S, T, J), or anything that NumPy stretches to the last,
    as (S, 1, J)."""
    demand: Floats
    """(S, T, J) instances wanted."""
    weight_h: Floats
    """(T,) hours that each hour stands for."""
    probability: Floats
    """(S,) of the scenarios; they add up to 1."""
    purchases: tuple[Purchase, ...]
    """P things that could be bought."""
    risk: RiskMeasure = RiskMeasure()
    """What is made small."""
    max_upfront_usd: float | None = None
    """Most that may be paid at once, over all purchases."""
    max_committed_share: float | None = None
    """Most that may be promised over all hours, as a share of the expected cost of buying everything on demand."""

    def __post_init__(self) -> None:
        """Refuse arrays that do not belong together; keep them where nobody writes to them."""
        faults = list(self._faults())
        if faults:
            raise ValueError("; ".join(faults))
        for name in ("on_demand_usd", "demand", "weight_h", "probability"):
            kept = np.ascontiguousarray(getattr(self, name), dtype=np.float64).view()
            kept.flags.writeable = False
            object.__setattr__(self, name, kept)

    def _faults(self) -> Iterator[str]:
        if self.demand.ndim != 3 or self.demand.shape[2] != len(self.types) or not self.demand.size:
            yield f"demand must be scenarios x hours x {len(self.types)} types, got {self.demand.shape}"
            return
        s, t, j = self.demand.shape
        if self.weight_h.shape != (t,) or self.probability.shape != (s,):
            yield f"weights must be ({t},), probabilities ({s},), got {self.weight_h.shape}, {self.probability.shape}"
        elif not (np.isfinite(self.probability).all() and (self.probability >= 0).all()):
            yield "probabilities must be finite and not negative"
        elif abs(self.probability.sum() - 1) > 1e-9:
            yield f"probabilities must add up to 1, got {self.probability.sum()}"
        if not np.isfinite(self.weight_h).all() or (self.weight_h < 0).any() or not self.weight_h.any():
            yield "weights must be finite and not negative, one of them greater than 0"
        if not np.isfinite(self.demand).all() or (self.demand < 0).any():
            yield "demand must be finite and not negative"
        shape = self.on_demand_usd.shape
        if len(shape) not in {1, 2, 3} or any(n not in {1, m} for n, m in zip(shape[::-1], (j, t, s), strict=False)):
            yield f"prices on demand must stretch to {(s, t, j)}, got {shape}"
        elif not np.isfinite(self.on_demand_usd).all() or (self.on_demand_usd <= 0).any():
            yield "prices on demand must be finite and greater than 0: a price that is missing is not free"
        if len({purchase.name for purchase in self.purchases}) < len(self.purchases):
            yield "purchases need names of their own"
        for purchase in self.purchases:
            if purchase.active.shape != (t,):
                yield f"{purchase.name}: active must be ({t},), got {purchase.active.shape}"
            if purchase.kind == "instances" and purchase.instance_type >= j:
                yield f"{purchase.name}: there are {j} types, got {purchase.instance_type}"
            if purchase.rates is not None and purchase.rates.shape != (j,):
                yield f"{purchase.name}: rates must be ({j},), got {purchase.rates.shape}"
        for name in ("max_upfront_usd", "max_committed_share"):
            limit = getattr(self, name)
            if limit is not None and not limit >= 0:
                yield f"{name} must be 0 or greater, got {limit}"

    @cached_property
    def on_demand_only_usd(self) -> Floats:
        """(S,) what each scenario costs without any commitment."""
        spent = np.zeros(len(self.demand))
        prices = self.prices_of_hours
        for s, wanted in enumerate(self.demand):
            spent[s] = self.weight_h @ (wanted * prices[s if len(prices) > 1 else 0]).sum(axis=1)
        return spent

    @property
    def prices_of_hours(self) -> Floats:
        """(S, T, J), (S, 1, J), (1, T, J) or (1, 1, J): prices on demand with all three axes."""
        return self.on_demand_usd.reshape((1,) * (3 - self.on_demand_usd.ndim) + self.on_demand_usd.shape)

    @cached_property
    def usd_of_a_unit(self) -> Floats:
        """(P,) what a unit of each purchase costs over all hours, used or not."""
        return np.array([p.usd_per_h * float(self.weight_h @ p.active) for p in self.purchases], dtype=np.float64)

    @cached_property
    def limits(self) -> tuple[tuple[str, Floats, float], ...]:
        """Name, (P,) dollars of a unit, and most dollars together, of each limit over all purchases."""
        found = []
        if self.max_upfront_usd is not None:
            upfront = np.array([p.upfront_usd for p in self.purchases], dtype=np.float64)
            found.append(("paid upfront", upfront, self.max_upfront_usd))
        if self.max_committed_share is not None:
            most = self.max_committed_share * float(self.probability @ self.on_demand_only_usd)
            found.append(("committed", self.usd_of_a_unit, most))
        return tuple(found)

    @cached_property
    def min_units(self) -> Floats:
        """(P,) least that must be bought, in whole multiples of the units."""
        return np.array(
            [_whole_up(p.min_units, p.unit) if p.unit > 0 else p.min_units for p in self.purchases], dtype=np.float64
        )
