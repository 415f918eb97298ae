"""A long plan whose hours are linked by starts alone, planned hour by hour at prices that account for the links.

Lagrangian relaxation. Give the rows u_t >= a_t - a_t-1 multipliers mu_t >= 0 and the rows of the minimum up-time
multipliers nu_t >= 0. What is left falls apart into hours, in which an instance of option j costs

    H_t c_jt + mu_jt - mu_j,t+1 - nu_jt

a month, as long as no start earns anything: W kappa_j - mu_jt + (sum of nu_jt' over the hours in which a start of hour
t must stay) >= 0. The hours' least costs add up to a lower bound for any such multipliers, and for those of the linear
program's optimum to one that is no weaker than the linear program's own. The hours' plans together are a plan, once
:func:`optimizer.rounding.kept_running` has decided what is cheaper kept running than started again.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from optimizer import highs
from optimizer.answer import Answer, Fleets
from optimizer.build import build
from optimizer.problem import Floats, PlanProblem
from optimizer.rounding import kept_running
from optimizer.solution import broken_rules, fewest_running, usd_per_month


def monthly_prices(problem: PlanProblem, limit_s: float) -> Floats | None:
    """(J, T) what an instance costs in an hour, times the month's hours, once the links between hours are priced.

    From the linear program's dual values; None where it was not solved in time.
    """
    program = build(problem, relaxed=True, tight=True)
    if highs.run(program.model, limit_s=limit_s, whole=False).status != "solved":
        return None
    shape = (len(problem.options), len(problem.hours))
    links = {"start": np.zeros(shape), "stay": np.zeros(shape)}
    for constraint in program.model.constraints():
        rule, *place = constraint.name.split("_")
        if rule in links:
            links[rule][int(place[0]), int(place[1])] = abs(constraint.pi)
    return _priced(problem, links["start"], links["stay"])


def _priced(problem: PlanProblem, mu: Floats, nu: Floats) -> Floats | None:
    """Prices for multipliers, which are first taken down to where no start earns anything."""
    hours = len(problem.hours)
    repeats = problem.month_h / hours
    for j, option in enumerate(problem.options):
        for t in range(hours):
            ahead = [t + on for on in range(min(option.min_up_hours, hours)) if t + on < hours or problem.cyclic]
            stays = sum(nu[j, hour % hours] for hour in ahead) if option.min_up_hours > 1 else 0.0
            mu[j, t] = min(mu[j, t], repeats * option.start_usd + stays)
    following = np.roll(mu, -1, axis=1)
    if not problem.cyclic:
        following[:, -1] = 0.0
    usual = np.array([option.usd_per_hour for option in problem.options]) * problem.weight_h
    prices: Floats = usual + mu - following - nu
    return prices if (prices >= 0).all() else None


def hours_of(problem: PlanProblem, prices: Floats | None) -> list[PlanProblem]:
    """A question for each hour, at these monthly prices; None: at the usual ones."""
    if prices is None:
        prices = np.array([option.usd_per_hour for option in problem.options]) * problem.weight_h
    return [
        PlanProblem(
            workloads=problem.workloads,
            options=tuple(
                replace(
                    option,
                    usd_per_hour=prices[j, t : t + 1],
                    usd_per_request=option.usd_per_request * problem.weight_h[t],
                    start_usd=0.0,
                    min_up_hours=0,
                )
                for j, option in enumerate(problem.options)
            ),
            hours=problem.hours[t : t + 1],
            weight_h=np.ones(1),
            demand_rps=problem.demand_rps[:, t : t + 1],
            quotas=problem.quotas,
            min_accuracy=problem.min_accuracy,
        )
        for t in range(len(problem.hours))
    ]


def joined(problem: PlanProblem, answers: list[Answer]) -> Answer:
    """The hours' answers as one: their plans with what is kept running, and the sum of their bounds."""
    bound = sum(found.bound for found in answers)
    unserved = np.concatenate([found.unserved for found in answers], axis=1)
    build_s, solve_s = sum(found.build_s for found in answers), sum(found.solve_s for found in answers)
    nothing = Answer(None, float("inf"), bound, unserved, build_s, solve_s)
    if any(found.fleets is None for found in answers):
        return nothing
    hours = [found.fleets for found in answers if found.fleets is not None]
    survivors = np.concatenate([fleets.survivors for fleets in hours], axis=1)
    share = np.concatenate([fleets.share for fleets in hours], axis=2)
    running = kept_running(problem, fewest_running(problem, survivors))
    if broken_rules(problem, running, survivors, share):
        return nothing
    usd = usd_per_month(problem, running, share)
    return replace(nothing, fleets=Fleets(running, survivors, share), usd=usd, bound=min(bound, usd))
