"""What could go wrong? The same promises in other courses of events, each beside no promises at all.

A promise is a bet. It loses where on-demand prices are cut (what was promised stays as dear), where demand goes away
(what was promised is not used), and in the futures in which demand is low. Each is settled by the same ledger, over the
budget and, since terms may last longer, over all hours that demand is forecast for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np
import numpy.typing as npt

from optimizer.budget.budget import WhatIf
from optimizer.budget.demand_paths import DemandPaths, factor_from, scenario_factors
from optimizer.budget.monthly import Columns, Settled, settle_paths
from simulator.commitment import Commitment
from simulator.wording import percent

if TYPE_CHECKING:
    from optimizer.budget.budget_file import BudgetQuestion

Floats = npt.NDArray[np.float64]

MOST_FUTURES: Final = 24
"""Futures that a what-if is settled in: its mean is shown, no quantile."""


class Fleets(Protocol):
    """From demand to instances, as the chain has it."""

    def described(self) -> Columns:
        """What the columns are."""

    def of(self, demand: DemandPaths, path: int) -> Floats:
        """(H, J) instances of one future."""


def what_ifs(
    question: BudgetQuestion,
    fleets: Fleets,
    demand: DemandPaths,
    commitments: Sequence[Commitment],
    settled: Settled,
    without: Settled,
) -> tuple[WhatIf, ...]:
    """What do the promises save, or lose, in each course of events that the file names, and in the emptiest futures?"""
    if not commitments:
        return ()
    return (
        _as_forecast(question, fleets, demand, commitments),
        *_price_cuts(question, fleets, demand, commitments),
        *_demands(question, fleets, demand, commitments),
        *_low_futures(settled, without),
    )


def _as_forecast(
    question: BudgetQuestion, fleets: Fleets, demand: DemandPaths, commitments: Sequence[Commitment]
) -> WhatIf:
    words = "demand and prices are as foreseen"
    return _what_if(question, "nothing of it", "forecast", words, fleets, demand, fleets.described(), commitments)


def _price_cuts(
    question: BudgetQuestion, fleets: Fleets, demand: DemandPaths, commitments: Sequence[Commitment]
) -> Iterator[WhatIf]:
    described = fleets.described()
    for cut in question.spec.price_cuts:
        after = factor_from(demand.start, demand.hours, cut.first, 1 - cut.share)[:, None]
        touched = np.array([not cut.instance_types or name in cut.instance_types for name in described.instance_types])
        prices = described.usd_per_hour * np.where(touched[None, :], after, 1.0)
        cheaper = Columns(described.start, described.instance_types, described.tags, prices)
        of = ", ".join(cut.instance_types) if cut.instance_types else "all types"
        words = f"on-demand prices of {of} fall by {percent(cut.share)} on {cut.first}; promised prices stay"
        yield _what_if(question, cut.name, "price_cut", words, fleets, demand, cheaper, commitments)


def _demands(
    question: BudgetQuestion, fleets: Fleets, demand: DemandPaths, commitments: Sequence[Commitment]
) -> Iterator[WhatIf]:
    for scenario in question.spec.demand_scenarios:
        factors = scenario_factors(scenario, question.workloads, demand.start, demand.hours)
        plain = [path for path, name in enumerate(demand.scenario) if name != scenario.name]
        changed = {name: paths[plain] for name, paths in demand.rps.items()}
        course = DemandPaths(
            demand.start, changed, tuple(demand.scenario[path] for path in plain), demand.models
        ).multiplied(factors)
        whose = scenario.workload or "all workloads"
        words = f"demand for {whose} is multiplied by {scenario.factor:g} from {scenario.first} on"
        if scenario.probability > 0:
            words += f"; planned for in {percent(scenario.probability)} of the futures"
        yield _what_if(question, scenario.name, "demand", words, fleets, course, fleets.described(), commitments)


def _what_if(
    question: BudgetQuestion,
    name: str,
    kind: str,
    words: str,
    fleets: Fleets,
    demand: DemandPaths,
    columns: Columns,
    commitments: Sequence[Commitment],
) -> WhatIf:
    """Settle all hours that are known of, and sum up those of the budget, and all."""
    paths = np.unique(np.linspace(0, demand.count - 1, min(demand.count, MOST_FUTURES)).astype(int)).tolist()
    instances = [fleets.of(demand, path) for path in paths]
    bought = settle_paths(iter(instances), columns, commitments)
    bare = settle_paths(iter(instances), columns)
    within = np.array([month < f"{question.end:%Y-%m-%d}" for month in bought.months])
    mine, nobodys = (one.effective_usd.sum(axis=(2, 3)).mean(axis=0) for one in (bought, bare))
    unused = bought.effective_usd[:, :, 2].sum(axis=2).mean(axis=0)
    return WhatIf(
        name,
        kind,
        words,
        with_usd=float(mine[within].sum()),
        without_usd=float(nobodys[within].sum()),
        unused_usd=float(unused[within].sum()),
        saved_over_terms_usd=float((nobodys - mine).sum()),
    )


def _low_futures(settled: Settled, without: Settled) -> Iterator[WhatIf]:
    """The tenth of the futures in which the promises do worst."""
    saved = without.total_usd - settled.total_usd
    worst = np.argsort(saved, kind="stable")[: max(1, len(saved) // 10)]
    yield WhatIf(
        name="the worst tenth of the futures",
        kind="futures",
        words="the tenth of the futures that were drawn in which the promises do worst",
        with_usd=float(settled.total_usd[worst].mean()),
        without_usd=float(without.total_usd[worst].mean()),
        unused_usd=float(settled.effective_usd[worst][:, :, 2].sum(axis=(1, 2)).mean()),
        saved_over_terms_usd=None,
    )
