"""The chain from past demand to a budget: forecast, fleets, purchases, the ledger of every future, what-ifs.

:func:`budget` is the one verb. Its stages are functions of values, each in a module of its own: futures of the demand
(:mod:`optimizer.budget.demand_paths`), fleets (:mod:`optimizer.budget.fleet_of_demand`), prices
(:mod:`optimizer.budget.offers`), purchases (:mod:`optimizer.budget.purchases`), bills (:mod:`optimizer.budget.monthly`)
and what-ifs (:mod:`optimizer.budget.what_ifs`).
"""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from calibration.console import Unwatched, Watch
from optimizer.budget.budget import Budget, PurchaseLine
from optimizer.budget.budget_file import BudgetQuestion
from optimizer.budget.demand_paths import DemandPaths, Forecaster, demand_paths
from optimizer.budget.fleet_of_demand import FleetTable, fleet_tables
from optimizer.budget.focus import FocusMean
from optimizer.budget.hourly_fleets import HourlyFleets
from optimizer.budget.monthly import Settled, periods, settle_paths, shares, spread
from optimizer.budget.offers import Offers, offers_of
from optimizer.budget.purchases import Bought, Buyer, Needs, by_lookback, default_buyer, newsvendor
from optimizer.budget.what_ifs import what_ifs
from simulator.purchase_plan import HOURS_PER_YEAR, PLAN_BY_PRICE_TYPE

Floats = npt.NDArray[np.float64]

AHEAD_OF_PAST: Final = 1.0
"""Demand is forecast at most so many times as far ahead as its history is long; further, its last year repeats."""


def budget(
    question: BudgetQuestion,
    *,
    jobs: int | None = None,
    cluster: str | None = None,
    cache: Path | None = None,
    watch: Watch | None = None,
    forecaster: Forecaster | None = None,
    buyer: Buyer | None = None,
) -> Budget:
    """What to buy, what every month then costs, and how sure is that?

    Parameters
    ----------
    question
        As :func:`optimizer.budget.budget_file.load_budget` gives it.
    jobs, cluster
        Where simulations run, as of :func:`optimizer.study.optimize`.
    cache
        Folder where capacities are kept; None keeps none.
    watch
        Is told how far the work is.
    forecaster, buyer
        Other ways to draw futures and to choose purchases; default: the project's own.

    Raises
    ------
    InputError
        A missing price, a demand that no fleet carries, a history that cannot be forecast.
    """
    watch, timing = watch or Unwatched(), dict[str, float]()
    offers = offers_of(question)
    watch.stage("forecasting demand")
    with _timed(timing, "forecast"):
        ahead, known_h = _hours_ahead(question)
        demand = demand_paths(question, known_h, forecaster=forecaster)
    with _timed(timing, "fleets"):
        tables = fleet_tables(
            question.plan, _asked(question, demand), jobs=jobs, cluster=cluster, cache=cache, watch=watch
        )
    fleets = HourlyFleets(question, tables, offers)
    within = demand.first(question.hours)
    watch.stage("choosing purchases")
    with _timed(timing, "purchases"):
        chosen, by_rule = _bought(question, fleets, demand, ahead, buyer or default_buyer)
    watch.stage("settling every future")
    with _timed(timing, "ledger"):
        described, capital = fleets.described(), question.spec.cost_of_capital
        focus = FocusMean()
        commitments = [one.commitment for one in chosen]
        settled = settle_paths(fleets.every(within), described, commitments, cost_of_capital=capital, watch=focus.add)
        without = settle_paths(fleets.every(within), described)
        rules = {"none": float(without.total_usd.mean()), "chosen": float(settled.total_usd.mean())}
        for name, other in by_rule.items():
            promises = [one.commitment for one in other]
            rules[name] = float(settle_paths(fleets.every(within), described, promises).total_usd.mean())
    with _timed(timing, "what_ifs"):
        unusual = what_ifs(question, fleets, demand, commitments, settled, without)
    months, total = periods(settled, without)
    tags = dict.fromkeys(key for workload in question.workloads for key in question.tags(workload))
    return Budget(
        name=question.name,
        start=question.start,
        end=question.end,
        paths=demand.count,
        months=months,
        total=total,
        without_usd=spread(without.total_usd),
        purchases=tuple(_lines(question, offers, chosen, settled)),
        shares={tag: shares(settled, tag) for tag in tags},
        what_ifs=unusual,
        rules=rules,
        fleets=_fleet_sizes(fleets, within),
        history={name: _past(question, demand, name) for name in question.workloads},
        rounding_share=_rounding(tables, within),
        simulated=tables[0].simulated,
        warnings=tuple(_warnings(question, offers, tables, demand, chosen)),
        assumptions=tuple(_assumptions(question, offers, demand, known_h, ahead)),
        present_value_usd=float(settled.present_usd.mean()) if capital > 0 else None,
        timing_s=timing,
        demand=within,
        focus=focus.rows(),
        past=question.history,
        hourly=fleets,
        promised=tuple(commitments),
    )


@contextmanager
def _timed(timing: dict[str, float], name: str) -> Iterator[None]:
    begun = time.perf_counter()
    yield
    timing[name] = time.perf_counter() - begun


def _hours_ahead(question: BudgetQuestion) -> tuple[int, int]:
    """Hours from the start of the budget that matter, and how many of them are forecast."""
    longest = max((PLAN_BY_PRICE_TYPE[name].term_h for name in question.spec.purchases), default=0)
    ahead = max(question.hours, longest)
    reach = min(
        int(AHEAD_OF_PAST * len(history.rps)) - (question.start - history.end) // dt.timedelta(hours=1)
        for history in question.history.values()
    )
    return ahead, max(question.hours, min(ahead, reach))


def _asked(question: BudgetQuestion, demand: DemandPaths) -> dict[str, Floats]:
    """Every demand of all futures and the past, by workload, and the greatest of the what-ifs that ask more."""
    past = question.history
    asked = {name: np.concatenate([paths.ravel(), past[name].rps]) for name, paths in demand.rps.items()}
    for scenario in question.spec.demand_scenarios:
        if scenario.factor > 1:
            for name in asked if scenario.workload is None else (scenario.workload,):
                asked[name] = np.append(asked[name], scenario.factor * demand.rps[name].max())
    return asked


def _bought(
    question: BudgetQuestion, fleets: HourlyFleets, demand: DemandPaths, ahead: int, buyer: Buyer
) -> tuple[tuple[Bought, ...], Mapping[str, tuple[Bought, ...]]]:
    """What is bought, and what other rules would buy."""
    if not fleets.offers.market.offers:
        return (), {}
    spec = question.spec
    pooled = fleets.pooled(demand)
    missing = ahead - pooled.shape[1]
    if missing > 0:
        year = pooled[:, -min(HOURS_PER_YEAR, pooled.shape[1]) :]
        pooled = np.concatenate([pooled, np.take(year, np.arange(missing) % year.shape[1], axis=1)], axis=1)
    needs = Needs(
        start=question.start,
        instances=pooled,
        past=fleets.past(),
        market=fleets.offers.market,
        limits=spec.limits,
        risk=spec.risk,
        cost_of_capital=spec.cost_of_capital,
        ladder_h=None if spec.ladder is None else spec.ladder.months * HOURS_PER_YEAR // 12,
    )
    chosen = tuple(one for one in buyer(needs) if one.start_h < question.hours)
    return chosen, {"newsvendor": newsvendor(needs), **by_lookback(needs)}


def _lines(
    question: BudgetQuestion, offers: Offers, chosen: tuple[Bought, ...], settled: Settled
) -> Iterator[PurchaseLine]:
    by_name = {one.name: one for one in offers.types}
    for place, one in enumerate(chosen):
        covered = (one.offer.pool,) if one.offer.kind == "instances" else tuple(one.offer.rates)
        kinds = [by_name[pool] for pool in covered]
        start = (question.start + dt.timedelta(hours=one.start_h)).date()
        saved = settled.covered_usd[:, place] - settled.promised_usd[:, place]
        in_dollars = one.offer.kind == "spend"
        ratio = min(one.offer.rates[kind.name] / kind.usd_per_hour for kind in kinds) if in_dollars else 0.0
        yield PurchaseLine(
            name=one.name,
            pool=", ".join(covered),
            provider=kinds[0].provider,
            region="" if in_dollars and one.offer.wide else kinds[0].region,
            plan=one.offer.plan,
            unit="USD/h" if in_dollars else "instances",
            units=one.units,
            start=start,
            end=start + dt.timedelta(hours=one.offer.term_h),
            usd_per_hour=one.offer.usd_per_hour,
            on_demand_usd_per_hour=1 / ratio if in_dollars else kinds[0].usd_per_hour,
            upfront_usd=one.upfront_usd,
            term_usd=one.usd_per_hour * one.offer.term_h,
            utilisation=float(settled.used_share[:, place].mean()),
            saved_usd=float(saved.mean()),
            source=one.offer.source,
        )


def _fleet_sizes(fleets: HourlyFleets, demand: DemandPaths) -> dict[str, dict[str, float]]:
    """Mean and most instances of each type, by workload, over all futures."""
    sizes: dict[str, dict[str, float]] = {table.workload: {} for table in fleets.tables}
    means = np.zeros((demand.count, len(fleets.columns)))
    most = np.zeros(len(fleets.columns))
    for path, instances in enumerate(fleets.every(demand)):
        means[path] = instances.mean(axis=0)
        most = np.maximum(most, instances.max(axis=0))
    for place, (w, j) in enumerate(fleets.columns):
        name = fleets.offers.types[j].name
        if most[place] > 0:
            sizes[fleets.tables[w].workload][f"{name} mean"] = float(means[:, place].mean())
            sizes[fleets.tables[w].workload][f"{name} most"] = float(most[place])
    return sizes


def _rounding(tables: tuple[FleetTable, ...], demand: DemandPaths) -> float:
    """Share of the cost, at the fleets' own prices, that planning on a grid adds at most."""
    spent = lost = 0.0
    for table in tables:
        rps = demand.rps[table.workload]
        usd = float(np.append(table.usd_per_hour, 0.0)[table.level_of(rps)].sum())
        spent += usd
        lost += usd * table.rounding_share(rps)
    return lost / spent if spent > 0 else 0.0


def _past(question: BudgetQuestion, demand: DemandPaths, name: str) -> dict[str, Any]:
    history = question.history[name]
    year = history.rps[-HOURS_PER_YEAR:]
    ahead = demand.rps[name][:, : question.hours]
    return {
        "first": history.start.date(),
        "last": (history.end - dt.timedelta(hours=1)).date(),
        "hours": len(history.rps),
        "last_year_mean_rps": float(year.mean()),
        "budget_mean_rps": float(ahead.mean()),
        "model": demand.models[name],
    }


def _warnings(
    question: BudgetQuestion,
    offers: Offers,
    tables: tuple[FleetTable, ...],
    demand: DemandPaths,
    chosen: tuple[Bought, ...],
) -> Iterator[str]:
    yield from map(str, question.plan.warnings)
    yield from offers.missing
    for name in demand.unforecastable:
        yield f"{name}: no model forecasts its past better than repeating the last season: trust the spread"
    if tables[0].simulated == 0:
        yield "capacities are stated in the file, so no fleet was simulated"
    limits = {name: quota.max_instances for name, quota in question.plan.file.plan.quotas.items()}
    limits |= {one.name: one.max_instances for one in question.plan.candidates if one.max_instances is not None}
    if limits and len(tables) > 1:
        yield (
            "limits on instances hold for each workload alone in a budget; together workloads may run more: "
            f"{', '.join(limits)}"
        )
    outlast = [one.name for one in chosen if one.start_h + one.offer.term_h > question.hours]
    if outlast:
        yield f"paid for beyond the budget's last day, on a forecast that is vaguer there: {', '.join(outlast)}"


def _assumptions(
    question: BudgetQuestion, offers: Offers, demand: DemandPaths, known_h: int, ahead: int
) -> Iterator[str]:
    for one in offers.types:
        yield f"on demand: {one.note}"
    for offer in offers.market.offers:
        yield f"{offer.plan} of {offer.pool}: {offer.source}"
    yield from offers.market.notes
    yield from demand.notes
    if ahead > known_h:
        yield f"beyond {known_h / HOURS_PER_YEAR:.1f} years no demand is forecast: each future's last year repeats"
    yield "every workload has fleets of its own, sized every hour to the demand of that hour; no hour is planned within"
    yield "promises are applied as providers apply them: reservations, then narrow and wide spend commitments"
    yield f"seed {question.plan.file.seed}, {demand.count} futures"
