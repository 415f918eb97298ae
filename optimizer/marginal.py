"""What does a little more cost? One more request per second, one more instance of a limit, a looser objective."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from optimizer.explanation import LimitPrice, RequestPrice, SloPrice
from optimizer.problem import Floats, Option, PlanProblem, Quota
from optimizer.solution import NoPlanInTimeError, Solution
from optimizer.solve import solve
from optimizer.wording import instances, usd, usd_per_hour
from simulator.wording import percentile

LOOSER_MS: Final = 10.0
"""How much later answers may come when the worth of an objective is asked, where that is a change that shows."""

LEAST_CHANGE: Final = 0.02
MOST_CHANGE: Final = 0.25
"""Shares of a target between which 10 ms are such a change; elsewhere it is a tenth of the target."""

CHEAP: Final = 0.005
"""Dollars an hour below which a thousand requests per second are priced instead of one."""

UNSURE: Final = 0.002
"""Share of the cost below which a saving says nothing: neither gaps nor simulated curves are finer."""


def request_prices(problem: PlanProblem, usd_per_rps_h: Floats) -> tuple[RequestPrice, ...]:
    """What does one more request per second of each workload cost, over the day and at its dearest?

    Parameters
    ----------
    problem
        What is asked.
    usd_per_rps_h : (B, T)
        Dollars an hour of one more request per second; NaN where none is asked, or where it is not known.
    """
    found = []
    for b, name in enumerate(problem.workloads):
        asked = (problem.demand_rps[b] > 0) & np.isfinite(usd_per_rps_h[b])
        if not asked.any():
            continue
        prices = usd_per_rps_h[b, asked]
        weights = problem.weight_h[asked]
        mean = float(prices @ weights / weights.sum()) if weights.sum() else float(prices.mean())
        place = int(np.flatnonzero(asked)[prices.argmax()])
        peak, hour = float(prices.max()), problem.hours[place]
        found.append(
            RequestPrice(
                name,
                tuple(usd_per_rps_h[b].tolist()),
                mean,
                hour,
                peak,
                _request_words(name, mean, hour if len(problem.hours) > 1 else "", peak),
            )
        )
    return tuple(found)


def _request_words(name: str, mean: float, hour: str, peak: float) -> str:
    many = 1 if peak >= CHEAP else 1000
    one = f"one more request per second of {name} costs" if many == 1 else f"1,000 more requests/s of {name} cost"
    highest, usual = usd_per_hour(many * peak), usd_per_hour(many * mean)
    if not hour:
        return f"{one} {highest} an hour"
    if peak <= mean * 1.005:
        return f"{one} {usual} an hour at any time"
    return f"{one} {highest} an hour at {hour}, {usual} over all hours"


def limit_prices(
    problem: PlanProblem, solution: Solution, *, gap: float = 1e-3, deadline: float = float("inf")
) -> tuple[tuple[LimitPrice, ...], tuple[str, ...]]:
    """What would one more instance of each limit that binds save, and what does it cost to survive a loss?

    Returns
    -------
    The prices, and what was not looked into.
    """
    found: list[LimitPrice] = []
    missed: list[str] = []
    for name, most, words, relaxed in _relaxations(problem, solution):
        left_s = deadline - time.monotonic()
        try:
            if left_s <= 0:
                raise NoPlanInTimeError
            # Nothing is tighter: the plan itself still holds, so that no saving is below 0.
            saved = max(0.0, solution.usd_per_month - solve(relaxed, gap=gap, time_limit_s=left_s).usd_per_month)
        except NoPlanInTimeError:
            missed.append(f"what {name} costs")
            continue
        if saved <= UNSURE * solution.usd_per_month:
            found.append(LimitPrice(name, most, 0.0, f"{words} nothing that shows"))
        else:
            found.append(LimitPrice(name, most, saved, f"{words} {usd(saved)} a month"))
    return tuple(found), tuple(missed)


def _relaxations(problem: PlanProblem, solution: Solution) -> Iterator[tuple[str, int, str, PlanProblem]]:
    """Name, limit, beginning of the sentence, and the problem with one limit relaxed."""
    for q, quota in enumerate(problem.quotas):
        if (solution.running[sorted(set(quota.options))].sum(axis=0) >= quota.max_instances).any():
            words = f"one more than {instances(quota.max_instances)} ({quota.name}) saves"
            yield quota.name, quota.max_instances, words, _with_larger_quota(problem, q)
    grouped = {j for quota in problem.quotas for j in quota.options}
    for j, option in enumerate(problem.options):
        most = option.max_instances
        if most is not None and j not in grouped and (solution.running[j] >= most).any() and _can_serve(option):
            larger = replace(option, max_instances=most + 1)
            words = f"one more than {instances(most, option.name)} saves"
            yield option.name, most, words, _with_option(problem, j, larger)
    if any(option.spare or option.zones > 1 for option in problem.options):
        careless = tuple(replace(option, spare=0, zones=1) for option in problem.options)
        lost = "a zone" if any(option.zones > 1 for option in problem.options) else "an instance"
        words = f"not having to survive the loss of {lost} saves"
        yield f"surviving the loss of {lost}", 0, words, replace(problem, options=careless)


def _can_serve(option: Option) -> bool:
    return bool((option.curve.rps_per_instance > 0).any())


def _with_option(problem: PlanProblem, j: int, option: Option) -> PlanProblem:
    return replace(problem, options=(*problem.options[:j], option, *problem.options[j + 1 :]))


def _with_larger_quota(problem: PlanProblem, q: int) -> PlanProblem:
    """One more instance in a quota, and in the limits of its options that only repeat it."""
    quota = problem.quotas[q]
    quotas = (*problem.quotas[:q], replace(quota, max_instances=quota.max_instances + 1), *problem.quotas[q + 1 :])
    options = list(problem.options)
    for j in set(quota.options):
        option = options[j]
        if option.max_instances == quota.max_instances:
            options[j] = replace(option, max_instances=min(_limits_of(option, j, quotas)))
    return replace(problem, quotas=quotas, options=tuple(options))


def _limits_of(option: Option, j: int, quotas: Sequence[Quota]) -> list[int]:
    own = getattr(getattr(option.detail, "candidate", None), "max_instances", None)
    return [quota.max_instances for quota in quotas if j in quota.options] + ([] if own is None else [own])


def looser_ms(target_ms: float) -> float:
    """How much later may answers come, so that the change shows and is still a small one?

    >>> looser_ms(100.0), looser_ms(2000.0), looser_ms(20.0), looser_ms(1.5)
    (10.0, 200.0, 2.0, 0.15)
    """
    if LEAST_CHANGE <= LOOSER_MS / target_ms <= MOST_CHANGE:
        return LOOSER_MS
    return float(f"{target_ms / 10:.1g}") if target_ms >= 10 else float(f"{target_ms / 10:.2g}")


def slo_price(
    solution: Solution,
    workload: str,
    objective: str,
    target_ms: float,
    looser: Callable[[str, str, float], PlanProblem],
    *,
    gap: float = 1e-3,
    time_limit_s: float = 60.0,
) -> SloPrice:
    """What would it save if answers to a workload might come a little later?

    Parameters
    ----------
    solution
        The plan.
    workload, objective, target_ms
        The objective as it is: ``p99`` of ``chat``, 200 ms.
    looser
        The problem in which this objective of this workload is later by so many ms: its curves found by simulation.
    gap, time_limit_s
        Of the solver.

    Raises
    ------
    NoPlanInTimeError
        Time was up before the problem was solved.
    """
    more_ms = looser_ms(target_ms)
    again = solve(looser(workload, objective, more_ms), gap=gap, time_limit_s=time_limit_s)
    saved = max(0.0, solution.usd_per_month - again.usd_per_month)
    name = f"{percentile(objective)} of {workload}"
    if saved <= UNSURE * solution.usd_per_month:
        saved, words = 0.0, f"{more_ms:g} ms more for the {name} ({target_ms:g} ms) saves nothing that shows"
    else:
        words = f"{more_ms:g} ms more for the {name} ({target_ms:g} ms) saves {usd(saved)} a month"
    return SloPrice(workload, objective, target_ms, more_ms, saved, words)
