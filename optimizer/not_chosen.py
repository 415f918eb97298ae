"""Why is a candidate in no hour of the plan, and below which price would it be?"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from optimizer.answer import only
from optimizer.build import SECONDS_PER_HOUR
from optimizer.explanation import NotChosen
from optimizer.problem import Floats, Ints, PlanProblem
from optimizer.single_type import candidates
from optimizer.solution import NoPlanInTimeError, Solution
from optimizer.solve import solve
from optimizer.wording import usd, usd_per_hour

FINE: Final = 0.01
"""Share of the price to which an entry price is found."""

FEW_HOURS: Final = 2
"""Hours in which a price is looked for: those in which the candidate comes nearest to being worth its price."""

ENTRY_GAP: Final = 1e-4
STEP_S: Final = 10.0
"""Longest time for one price."""


def not_chosen(
    problem: PlanProblem,
    solution: Solution,
    usd_per_rps_h: Floats | None = None,
    *,
    refusals: Mapping[str, Sequence[str]] | None = None,
    deadline: float = float("inf"),
) -> tuple[NotChosen, ...]:
    """What keeps each candidate that runs in no hour out of the plan? In the order of the problem.

    Parameters
    ----------
    problem
        What is asked.
    solution
        The plan.
    usd_per_rps_h : (B, T), optional
        What one more request per second costs: says in which hours a candidate comes nearest.
    refusals
        By candidate, why it cannot serve some workload within its SLO: sentences without a full stop.
    deadline
        Of ``time.monotonic()``; afterwards no entry price is looked for.
    """
    per_1k = dearness(problem)
    chosen = {problem.options[j].candidate for j in np.flatnonzero(solution.running.any(axis=1))}
    found = []
    for name, options in candidates(problem).items():
        if name not in chosen:
            told = tuple((refusals or {}).get(name, ()))
            found.append(_why(problem, solution, name, options, per_1k, usd_per_rps_h, told, deadline))
    return tuple(found)


def dearness(problem: PlanProblem) -> Floats:
    """(J, B) dollars an hour of a thousand requests per second within the SLO, fees included; infinite where none.

    Of whole fleets as large as demand could fill, at the mean price of the month: 1000 c_j / max_i k_bji + 3.6e6 e_bj.
    """
    prices = np.full((len(problem.options), len(problem.workloads)), np.inf)
    for j, option in enumerate(problem.options):
        useful = {i for t in range(len(problem.hours)) for i, _, _ in problem.segments(j, t)}
        if not useful:
            continue
        best = option.curve.rps_per_instance[:, sorted(useful)].max(axis=1)
        month_h = problem.month_h
        price = option.usd_per_hour @ problem.weight_h / month_h if month_h else option.usd_per_hour.mean()
        fees = 1000 * SECONDS_PER_HOUR * option.usd_per_request
        prices[j] = np.divide(1000 * price, best, out=np.full(len(best), np.inf), where=best > 0) + fees
    return prices


def _why(
    problem: PlanProblem,
    solution: Solution,
    name: str,
    options: Ints,
    per_1k: Floats,
    usd_per_rps_h: Floats | None,
    refusals: tuple[str, ...],
    deadline: float,
) -> NotChosen:
    price = float(min(problem.options[j].usd_per_hour.min() for j in options))
    mine = per_1k[options].min(axis=0)
    asked = np.array((problem.demand_rps > 0).any(axis=1), ndmin=1)
    costs = {problem.workloads[b]: float(mine[b]) for b in np.flatnonzero(asked & np.isfinite(mine))}
    if all(problem.options[j].max_instances == 0 for j in options):
        return NotChosen(name, "not_allowed", price, None, costs, f"{name}: no instance of it is allowed")
    if not costs:
        if refusals:
            return NotChosen(name, "cannot_meet_slo", price, None, {}, f"{name}: {'; '.join(refusals[:2])}")
        return NotChosen(name, "serves_nothing", price, None, {}, f"{name}: it serves nothing that is asked for")
    entry = _entry_price(problem, options, usd_per_rps_h, deadline)
    rivals = np.flatnonzero(solution.running.any(axis=1))
    best = per_1k[rivals].min(axis=0)
    nearest = min((b for b in range(len(mine)) if np.isfinite(mine[b]) and asked[b]), key=lambda b: mine[b] / best[b])
    rival = problem.options[rivals[per_1k[rivals, nearest].argmin()]].candidate
    workload = problem.workloads[nearest]
    words = f"{name}: 1,000 requests/s of {workload} cost {usd(mine[nearest])} an hour, {usd(best[nearest])} on {rival}"
    dominated = bool((mine >= best - 1e-12).all())
    if not dominated:
        words += ", but whole instances of it fit the demand less well"
    if entry is not None:
        words += f"; it would enter below {usd_per_hour(entry)} an hour (now {usd_per_hour(price)})"
    return NotChosen(name, "dominated" if dominated else "dearer", price, entry, costs, words)


def _entry_price(problem: PlanProblem, options: Ints, usd_per_rps_h: Floats | None, deadline: float) -> float | None:
    """Price of an hour below which the cheapest plan has an instance of these options in some hour; by bisection.

    Looked for in the few hours in which they come nearest: elsewhere the price may be a little higher, so that what is
    found is a price at which it does enter. None: at no price, or time was up.
    """
    if any(option.keeps_instances for option in problem.options):
        hours: list[int] = list(range(len(problem.hours)))
    else:
        hours = _nearest_hours(problem, options, usd_per_rps_h)
    part = at_hours(problem, hours)
    now = float(min(problem.options[j].usd_per_hour.min() for j in options))
    low, high = 0.0, 1.0
    try:
        if not _enters(part, options, FINE, deadline):
            return None
        while high - low > FINE * high:
            middle = (low + high) / 2
            if _enters(part, options, middle, deadline):
                low = middle
            else:
                high = middle
            if high < 2 * FINE:
                break
    except NoPlanInTimeError:
        return None
    return low * now if low > 0 else None


def _enters(problem: PlanProblem, options: Ints, factor: float, deadline: float) -> bool:
    left_s = deadline - time.monotonic()
    if left_s <= 0:
        raise NoPlanInTimeError("time is up")
    cheaper = list(problem.options)
    for j in options:
        cheaper[j] = replace(cheaper[j], usd_per_hour=cheaper[j].usd_per_hour * factor)
    found = solve(replace(problem, options=tuple(cheaper)), gap=ENTRY_GAP, time_limit_s=min(left_s, STEP_S))
    return bool(found.running[options].any())


def _nearest_hours(problem: PlanProblem, options: Ints, usd_per_rps_h: Floats | None) -> list[int]:
    """Hours in which an instance is worth most by the shadow prices of what it could take over; and the busiest one."""
    busiest = int(problem.demand_rps.sum(axis=0).argmax())
    if usd_per_rps_h is None:
        return sorted({busiest, int(problem.demand_rps.sum(axis=0).argmin())})
    worth = np.zeros(len(problem.hours))
    prices = np.nan_to_num(usd_per_rps_h)
    for j in options:
        option = problem.options[j]
        best = option.curve.rps_per_instance.max(axis=1)
        gains = prices - SECONDS_PER_HOUR * option.usd_per_request[:, None]
        for t in range(len(problem.hours)):
            price = max(float(option.usd_per_hour[t]), 1e-12)
            worth[t] = max(worth[t], _earned(gains[:, t], best, problem.demand_rps[:, t]) / price)
    return sorted({busiest, *np.argsort(-worth, kind="stable")[:FEW_HOURS].tolist()})


def _earned(gains: Floats, best_rps: Floats, demand_rps: Floats) -> float:
    """What one instance saves an hour when it takes over the dearest requests that there are, until it is full."""
    left, earned = 1.0, 0.0
    for b in np.argsort(-gains * best_rps, kind="stable"):
        if best_rps[b] > 0 and gains[b] > 0:
            part = min(left, float(demand_rps[b] / best_rps[b]))
            earned += part * float(gains[b] * best_rps[b])
            left -= part
    return earned


def at_hours(problem: PlanProblem, hours: Sequence[int]) -> PlanProblem:
    """The same question about some of its hours.

    Raises
    ------
    ValueError
        Instances stay from hour to hour, and hours are left out.
    """
    kept = list(hours)
    if len(kept) == len(problem.hours):
        return problem
    if any(option.keeps_instances for option in problem.options):
        raise ValueError("hours that depend on those before them cannot be taken out")
    options = tuple(replace(option, usd_per_hour=option.usd_per_hour[kept]) for option in problem.options)
    return replace(
        only(problem, np.arange(len(problem.options))),
        options=options,
        hours=tuple(problem.hours[t] for t in kept),
        weight_h=problem.weight_h[kept],
        demand_rps=problem.demand_rps[:, kept],
    )
