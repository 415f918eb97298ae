"""Which instances run in each hour of a future: the fleet tables applied to its demand."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from optimizer.budget.demand_paths import DemandPaths
from optimizer.budget.fleet_of_demand import FleetTable
from optimizer.budget.monthly import Columns
from optimizer.budget.offers import Offers

if TYPE_CHECKING:
    from optimizer.budget.budget_file import BudgetQuestion

Floats = npt.NDArray[np.float64]


class HourlyFleets:
    """Instances by type of every future and hour: the fleet tables applied to the demand."""

    def __init__(self, question: BudgetQuestion, tables: tuple[FleetTable, ...], offers: Offers) -> None:
        self.question, self.tables, self.offers = question, tables, offers
        places = [offers.type_of(candidate) for candidate in tables[0].candidates]
        self.to_type = np.zeros((len(places), len(offers.types)))
        self.to_type[np.arange(len(places)), places] = 1.0
        used = [(table.instances @ self.to_type).any(axis=0) for table in tables]
        self.columns = [(w, j) for w, any_of in enumerate(used) for j in np.flatnonzero(any_of).tolist()]

    def described(self) -> Columns:
        """What the columns are."""
        types = self.offers.types
        return Columns(
            start=self.question.start,
            instance_types=tuple(types[j].name for _, j in self.columns),
            tags=tuple(self.question.tags(self.tables[w].workload) for w, _ in self.columns),
            usd_per_hour=np.array([types[j].usd_per_hour for _, j in self.columns]),
        )

    def of(self, demand: DemandPaths, path: int) -> Floats:
        """(H, J) instances of one future, a column each type of each workload."""
        by_workload = [table.fleet(demand.rps[table.workload][path]) @ self.to_type for table in self.tables]
        return np.stack([by_workload[w][:, j] for w, j in self.columns], axis=1).astype(np.float64)

    def every(self, demand: DemandPaths) -> Iterator[Floats]:
        """The same for each future."""
        return (self.of(demand, path) for path in range(demand.count))

    def past(self) -> Floats:
        """(T, P) instances that the hours which all histories share would have needed."""
        histories = self.question.history
        start = max(history.start for history in histories.values())
        end = min(history.end for history in histories.values())
        hours = max((end - start) // dt.timedelta(hours=1), 0)
        found = np.zeros((hours, len(self.offers.types)))
        for table in self.tables:
            history = histories[table.workload]
            first = (start - history.start) // dt.timedelta(hours=1)
            found += table.fleet(history.rps[first : first + hours]) @ self.to_type
        return found

    def pooled(self, demand: DemandPaths) -> Floats:
        """(S, H, P) instances by type, whoever asks for them."""
        found = np.zeros((demand.count, demand.hours, len(self.offers.types)))
        for path in range(demand.count):
            for place, column in enumerate(self.of(demand, path).T):
                found[path, :, self.columns[place][1]] += column
        return found
