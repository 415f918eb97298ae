"""The cheapest plan, with a bound on how much cheaper any other could be: split, solve the parts, put together."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np

from optimizer import hourwise
from optimizer.answer import Answer, answer, only
from optimizer.decompose import Part, decompose
from optimizer.problem import PlanProblem
from optimizer.prune import undominated
from optimizer.solution import NoPlanInTimeError, Solution, broken_rules, usd_per_month
from optimizer.workers import SMALL, Result, answer_all, better, side_by_side, size, within

__all__ = ["NoPlanInTimeError", "Solution", "solve"]

LONG: Final = 60
"""Segments of fleets beyond which a plan over hours is first planned hour by hour."""

PRICED: Final = 60_000
"""Segments of fleets beyond which the linear program of all hours would take too long to price their links."""


def solve(problem: PlanProblem, *, gap: float = 1e-3, time_limit_s: float = 60.0) -> Solution:
    """Which instances in which hour, and which requests to which of them, cost least?

    Parameters
    ----------
    problem
        What can serve what, at which price.
    gap
        How much cheaper another plan may still be, as a share of the cost.
    time_limit_s
        Wall time after which the best plan so far is returned.

    Returns
    -------
    Solution
        The same for the same problem, unless the time limit was reached.

    Raises
    ------
    NoPlanInTimeError
        Time was up before there was a plan, or the proof that there is none.

    Notes
    -----
    Parts that have nothing to do with each other (:mod:`optimizer.decompose`) are solved apart, equal ones once, and
    side by side where that takes less time. Long plans whose hours are linked by starts are planned hour by hour at
    prices that account for the links (:mod:`optimizer.hourwise`), and then as a whole with the time that is left.
    """
    begun = time.monotonic()
    deadline = begun + time_limit_s
    places: dict[object, list[Part]] = {}
    kept = undominated(problem)
    for part in decompose(only(problem, kept)):
        places.setdefault(part.key, []).append(replace(part, options=kept[part.options]))
    questions = [parts[0].problem for parts in places.values()]
    answers = _answers(questions, gap, deadline)
    solution = _together(problem, list(places.values()), answers, gap)
    return _with_log(solution, places.values(), time.monotonic() - begun)


def _answers(questions: Sequence[PlanProblem], gap: float, deadline: float) -> list[Answer]:
    long = [i for i, question in enumerate(questions) if len(question.hours) > 1 and size(question) > LONG]
    short = [i for i in range(len(questions)) if i not in long]
    answers: list[Answer | None] = [None] * len(questions)
    for i, found in zip(short, answer_all([questions[i] for i in short], gap, deadline), strict=True):
        answers[i] = found
    for place, i in enumerate(long):
        share = time.monotonic() + (deadline - time.monotonic()) / (len(long) - place)
        answers[i] = _over_hours(questions[i], gap, share)
    lacking = [question for question, found in zip(questions, answers, strict=True) if found is None]
    late = [found for found in answers if found is not None and found.fleets is None and not found.infeasible]
    if lacking or late:
        raise NoPlanInTimeError("no plan was found in time: allow more, or ask for less at once")
    return [found for found in answers if found is not None]


def _over_hours(question: PlanProblem, gap: float, deadline: float) -> Answer | None:
    """A plan whose hours are linked: hour by hour, and as a whole with the time that is left."""
    prices = None
    if size(question) <= PRICED:
        prices = _alone(hourwise.monthly_prices, question, (), _part_of(deadline, 0.4))
    hours = answer_all(hourwise.hours_of(question, prices), gap / 2, _part_of(deadline, 0.6))
    found = None
    if all(each is not None for each in hours):
        found = hourwise.joined(question, [each for each in hours if each is not None])
    if within(found, gap):
        return found
    return better(found, _alone(answer, question, (gap,), deadline))


def _part_of(deadline: float, share: float) -> float:
    now = time.monotonic()
    return now + share * (deadline - now)


def _alone(
    function: Callable[..., Result], question: PlanProblem, rest: tuple[Any, ...], until: float
) -> Result | None:
    """A function of one question, here if it is small, else in a process that is ended when the time is up."""
    if size(question) <= SMALL:
        return function(question, *rest, max(until - time.monotonic(), 0.0))
    (found,) = side_by_side(function, [(question, *rest)], until)
    return found


def _together(problem: PlanProblem, places: list[list[Part]], answers: list[Answer], gap: float) -> Solution:
    running = np.zeros((len(problem.options), len(problem.hours)), dtype=np.int64)
    survivors = np.zeros_like(running)
    share = np.zeros((len(problem.workloads), *running.shape))
    unserved = np.zeros_like(problem.demand_rps)
    bound = 0.0
    for parts, found in zip(places, answers, strict=True):
        for part in parts:
            unserved[np.ix_(part.workloads, part.hours)] += found.unserved
            bound += found.bound * part.weight_h
            if found.fleets is not None:
                running[np.ix_(part.options, part.hours)] += found.fleets.running
                survivors[np.ix_(part.options, part.hours)] += found.fleets.survivors
                share[np.ix_(part.workloads, part.options, part.hours)] += found.fleets.share
    build_s, solve_s = sum(found.build_s for found in answers), sum(found.solve_s for found in answers)
    if any(found.infeasible for found in answers):
        none, infinite = np.zeros_like(running), float("inf")
        return Solution("infeasible", infinite, infinite, none, none, 0 * share, unserved, build_s, solve_s)
    broken = broken_rules(problem, running, survivors, share)
    if broken:
        raise ArithmeticError("; ".join(broken))
    usd = usd_per_month(problem, running, share)
    bound = min(bound, usd)
    within_gap = usd - bound <= gap * usd + 1e-9
    return Solution(
        "optimal" if within_gap else "feasible", usd, bound, running, survivors, share, unserved, build_s, solve_s
    )


def _with_log(solution: Solution, places: Iterable[list[Part]], wall_s: float) -> Solution:
    counts = [len(parts) for parts in places]
    said = [
        f"{sum(counts)} independent {'part' if sum(counts) == 1 else 'parts'}, {len(counts)} of them different",
        f"{wall_s:.1f} s, of processor time {solution.build_s:.1f} s to state and {solution.solve_s:.1f} s to solve",
    ]
    if solution.status == "feasible":
        said.append(f"time was up: another plan could be up to {solution.gap:.2%} cheaper")
    return replace(solution, log=tuple(said))
