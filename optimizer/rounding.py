"""A plan without a search: the linear program's instances rounded up one by one, and kept running where that pays."""

from __future__ import annotations

import time
from typing import Final

import numpy as np
import pulp

from optimizer import highs
from optimizer.build import SECONDS_PER_HOUR, FleetColumns, Program, build
from optimizer.linear import total
from optimizer.problem import LOAD_TOLERANCE, Floats, Ints, PlanProblem
from optimizer.solution import fewest_survivors, load

WHOLE: Final = 1e-6
"""As near as this to a whole number counts as whole."""

NEARLY: Final = 0.9
"""Fractions from here on are rounded up along with the largest one."""


def rounded_up(problem: PlanProblem, limit_s: float) -> tuple[Program | None, float]:
    """Which plan follows from the linear program alone, and which cost can no plan be below?

    The linear program is solved; the fleet with the largest fraction of an instance (and all with nearly a whole one)
    gets the next whole number as its least count, on the segment where that count lies; and again, until all counts are
    whole. The first optimum is a lower bound of the cost.

    Returns
    -------
    tuple of Program or None, and float
        The program whose columns hold the plan; None where rounding ran into a limit, or out of time.
    """
    deadline = time.monotonic() + limit_s
    program = build(problem, relaxed=True, tight=True)
    verdict = highs.run(program.model, limit_s=limit_s, whole=False)
    bound = verdict.objective if verdict.status == "solved" else verdict.bound
    while verdict.status == "solved" and time.monotonic() < deadline:
        fractions = {place: _fraction(columns) for place, columns in program.fleets.items()}
        largest = max(fractions.values(), default=0.0)
        if largest <= WHOLE:
            return program, bound
        for place, fraction in fractions.items():
            if fraction >= min(largest, NEARLY):
                _round_up(program.fleets[place])
        verdict = highs.run(program.model, limit_s=deadline - time.monotonic(), whole=False)
    return None, bound


def _count(columns: FleetColumns) -> float:
    return float(sum(segment.survivors.value() for segment in columns.segments))


def _fraction(columns: FleetColumns) -> float:
    count = _count(columns)
    return 0.0 if abs(count - round(count)) <= WHOLE else count - np.floor(count)


def _round_up(columns: FleetColumns) -> None:
    count = int(np.ceil(_count(columns)))
    for segment in columns.segments:
        here = segment.low <= count <= segment.high
        segment.survivors.bounds(count if here else 0, segment.high if here else 0)
        if segment.chosen is not None:
            segment.chosen.bounds(int(here), int(here))


def one_option_each(problem: PlanProblem) -> tuple[Ints, Floats]:
    """Survivors and shares of a plan that takes no solver: every workload as a whole goes where it is cheapest alone.

    Workloads with the same choice share their fleet. It may break a limit that links options, and is to be checked.
    """
    survivors = np.zeros((len(problem.options), len(problem.hours)), dtype=np.int64)
    share = np.zeros((len(problem.workloads), *survivors.shape))
    for b, t in np.argwhere(problem.demand_rps > 0).tolist():
        alone = [_usd_alone(problem, j, b, t) for j in range(len(problem.options))]
        share[b, int(np.argmin(alone)), t] = 1.0
    for j, t in np.argwhere(share.any(axis=0)).tolist():
        option, most = problem.options[j], int(problem.most_survivors[j, t])
        survivors[j, t] = fewest_survivors(option, problem.demand_rps[:, t], share[:, j, t], most)
    return survivors, share


def _usd_alone(problem: PlanProblem, j: int, b: int, t: int) -> float:
    """What an hour costs that serves one workload with one option; infinite where that cannot be."""
    option, most = problem.options[j], int(problem.most_survivors[j, t])
    alone = np.zeros(len(problem.workloads))
    alone[b] = 1.0
    count = fewest_survivors(option, problem.demand_rps[:, t], alone, most)
    carried = load(option, problem.demand_rps[:, t], alone, count)
    if carried > count * (1 + LOAD_TOLERANCE) or np.nan_to_num(option.accuracy[b]) < problem.floors[b]:
        return float("inf")
    fee = SECONDS_PER_HOUR * option.usd_per_request[b] * problem.demand_rps[b, t]
    return float(option.usd_per_hour[t] * option.running(count) + fee)


def kept_running(problem: PlanProblem, needed: Ints) -> Ints:
    """How many instances of each option run when, so that those needed do and prices and starts together cost least?

    Options without starts and minimum up-time run what is needed. For each other, with the prices c_t and weights H_t
    of the hours: min sum_t H_t c_t a_t + W kappa u_t, a_t >= needed_t, u_t >= a_t - a_t-1, and what was started stays.
    """
    running = needed.copy()
    for j, option in enumerate(problem.options):
        if option.keeps_instances and needed[j].any():
            running[j] = _kept_running(problem, j, needed[j])
    return running


def _kept_running(problem: PlanProblem, j: int, needed: Ints) -> Ints:
    option, hours = problem.options[j], range(len(problem.hours))
    model = pulp.LpProblem("running", pulp.LpMinimize)
    running = [model.add_variable(f"a_{t}", int(needed[t]), None, "Integer") for t in hours]
    fresh = [model.add_variable(f"u_{t}", 0, None) for t in hours]
    start_usd = problem.month_h / len(hours) * option.start_usd
    prices = [(running[t], problem.weight_h[t] * option.usd_per_hour[t]) for t in hours]
    model.setObjective(total(prices, [(column, start_usd) for column in fresh]))
    for t in hours:
        before = [(running[t - 1], 1.0)] if t or problem.cyclic else []
        model.addConstraint(total([(fresh[t], 1.0), (running[t], -1.0)], before) >= 0, f"start_{t}")
        if option.min_up_hours > 1:
            lately = [t - back for back in range(min(option.min_up_hours, len(hours))) if t >= back or problem.cyclic]
            started = [(fresh[hour], 1.0) for hour in lately]
            model.addConstraint(total(started, [(running[t], -1.0)]) <= 0, f"stay_{t}")
    if highs.run(model).objective == float("inf"):
        return needed
    return np.array([round(column.value()) for column in running], dtype=np.int64)
