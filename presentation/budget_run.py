"""What the budget page works out: the chain of a budget file, its sensitivities, and a study of a demand alone.

Each opens the files that it is given in a folder of its own, since it may run longer than the page that asked. A
forecast is kept by all that it depends on: another risk, limit or price needs no new one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from calibration.console import Watch
from optimizer.budget.budget import Budget
from optimizer.budget.budget_file import BudgetQuestion, load_budget
from optimizer.budget.demand_history import DemandHistory
from presentation.door import Given, workspace

if TYPE_CHECKING:
    import datetime as dt

    from optimizer.budget.demand_paths import Drawn
    from optimizer.budget.sensitivity import Sensitivity
    from optimizer.budget.typical_week import TypicalWeek

MOST_FORECASTS: Final = 4
"""Forecasts that are kept: a hundred futures of three years are some tens of MB."""

STAGES: Final = 6
"""Of the chain."""

SENSITIVITY_STAGES: Final = 12


@dataclass(frozen=True)
class Answer:
    """A budget, and what of it is shown."""

    question: BudgetQuestion
    budget: Budget
    week: TypicalWeek


class Forecasts:
    """A forecaster that draws the same futures only once."""

    def __init__(self) -> None:
        """Begin with none."""
        self._kept: dict[str, Mapping[str, Drawn]] = {}

    def __call__(
        self,
        histories: Mapping[str, DemandHistory],
        until: dt.datetime,
        holidays: Sequence[dt.date],
        seed: int,
        paths: int,
    ) -> Mapping[str, Drawn]:
        """Futures of histories, as :func:`optimizer.budget.demand_paths.forecast_paths` draws them."""
        from optimizer.budget.demand_paths import forecast_paths

        digest = hashlib.sha256(repr((until, tuple(holidays), seed, paths)).encode())
        for name, history in histories.items():
            digest.update(f"{name} {history.start.isoformat()} ".encode() + history.rps.tobytes())
        key = digest.hexdigest()
        if key not in self._kept:
            self._kept[key] = forecast_paths(histories, until, holidays, seed, paths)
            while len(self._kept) > MOST_FORECASTS:
                self._kept.pop(next(iter(self._kept)), None)
        return self._kept[key]


def answered(given: Given, overrides: Sequence[str], watch: Watch, forecaster: Any = None, **options: Any) -> Answer:
    """The budget of a file, whole: forecast, fleets, purchases, every future's bill.

    Raises
    ------
    InputError
        With everything that is wrong with the file, or with what it asks.
    """
    from optimizer.budget.chain import budget
    from optimizer.budget.typical_week import typical_week
    from optimizer.cache import default_folder

    with workspace(given) as space:
        question = space.opened_by(load_budget, overrides)
        found = budget(question, jobs=1, cache=default_folder(), watch=watch, forecaster=forecaster, **options)
    return Answer(question, found, typical_week(found))


def moved(answer: Answer, watch: Watch) -> tuple[Sensitivity, ...]:
    """On what the budget hangs most."""
    from optimizer.budget.sensitivity import sensitivities
    from optimizer.cache import default_folder

    return sensitivities(answer.question, answer.budget, jobs=1, cache=default_folder(), watch=watch)
