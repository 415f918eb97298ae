"""How many instances run in each hour of a usual week of a budget, and how many of them are promised?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from optimizer.budget.budget import Budget
from simulator.commitment import Reservation

Floats = npt.NDArray[np.float64]

HOURS: Final = 168
"""Of a week."""


@dataclass(frozen=True)
class TypicalWeek:
    """Instances by hour of the week; hour 0 is Monday, 00:00 UTC. J columns: a type each, of one workload."""

    columns: tuple[tuple[str, str], ...]
    """(J,) workload and instance type."""
    mean: Floats
    """(168, J) instances, over all weeks of the budget and all futures."""
    p10: Floats
    """(168,) of all columns together: fewer run in one future's week in ten."""
    p90: Floats
    """(168,) of all columns together: more run in one future's week in ten."""
    promised: float
    """Instances that promises of instances cover, as a mean over the hours of the budget."""

    @property
    def total(self) -> Floats:
        """(168,) mean of all columns together."""
        found: Floats = self.mean.sum(axis=1)
        return found


def typical_week(budget: Budget) -> TypicalWeek:
    """What does a usual week of this budget run, hour by hour?

    Raises
    ------
    ValueError
        The budget was not made by :func:`optimizer.budget.chain.budget`.
    """
    fleets, demand = budget.hourly, budget.demand
    if fleets is None or demand is None:
        raise ValueError("the budget must hold its fleets and its futures")
    place = (np.arange(demand.hours) + demand.start.weekday() * 24 + demand.start.hour) % HOURS
    times = np.bincount(place, minlength=HOURS)
    # Weeks begin where the budget does; the last one may be cut short, and is left out of the deciles then.
    weeks = demand.hours // HOURS
    sums = np.zeros((HOURS, len(fleets.columns)))
    totals: list[Floats] = []
    for instances in fleets.every(demand):
        for column, values in enumerate(instances.T):
            sums[:, column] += np.bincount(place, weights=values, minlength=HOURS)
        totals.append(instances.sum(axis=1)[: weeks * HOURS].reshape(weeks, HOURS))
    mean = sums / np.maximum(times, 1)[:, None] / demand.count
    deciles = np.quantile(np.concatenate(totals), (0.1, 0.9), axis=0) if weeks else np.stack([mean.sum(axis=1)] * 2)
    if weeks:
        deciles = np.roll(deciles, int(place[0]), axis=1)
    types = fleets.offers.types
    return TypicalWeek(
        columns=tuple((fleets.tables[w].workload, types[j].name) for w, j in fleets.columns),
        mean=mean,
        p10=deciles[0],
        p90=deciles[1],
        promised=_promised(budget, demand.hours),
    )


def _promised(budget: Budget, hours: int) -> float:
    """Instances promised, as a mean over these hours; a promise of dollars is of no count of instances."""
    covered = 0.0
    for one in budget.promised:
        if isinstance(one, Reservation):
            covered += one.units * max(0, min(one.start_h + one.term_h, hours) - max(one.start_h, 0))
    return covered / hours
