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

LONG_FUTURES: Final = 24
"""Futures that are settled to the end of all terms: a mean is shown, no quantile."""


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
    """Settle the hours of the budget in every future, and all hours that are known of in some of them."""
    hours, many = question.hours, demand.count
    mine = settle_paths(_cut(fleets, demand, range(many), hours), _first(columns, hours), commitments)
    bare = settle_paths(_cut(fleets, demand, range(many), hours), _first(columns, hours))
    saved = float((bare.total_usd - mine.total_usd).mean())
    if demand.hours > hours:
        some = np.unique(np.linspace(0, many - 1, min(many, LONG_FUTURES)).astype(int)).tolist()
        long = settle_paths(_cut(fleets, demand, some, demand.hours), columns, commitments)
        without = settle_paths(_cut(fleets, demand, some, demand.hours), columns)
        saved = float((without.total_usd - long.total_usd).mean())
    return WhatIf(
        name,
        kind,
        words,
        with_usd=float(mine.total_usd.mean()),
        without_usd=float(bare.total_usd.mean()),
        unused_usd=float(mine.effective_usd[:, :, 2].sum(axis=(1, 2)).mean()),
        saved_over_terms_usd=saved,
    )


def _cut(fleets: Fleets, demand: DemandPaths, paths: Sequence[int], hours: int) -> Iterator[Floats]:
    within = demand if hours == demand.hours else demand.first(hours)
    return (fleets.of(within, path) for path in paths)


def _first(columns: Columns, hours: int) -> Columns:
    """The same columns in the first hours."""
    prices = columns.usd_per_hour
    return Columns(columns.start, columns.instance_types, columns.tags, prices[:hours] if prices.ndim == 2 else prices)


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
