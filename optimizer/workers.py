"""Parts answered one after the other here, or side by side in processes that are ended when the time is up."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import Any, Final, TypeVar

import numpy as np

from optimizer.answer import Answer, answer, borrowed, bounded, in_no_time
from optimizer.problem import PlanProblem

HERE_S: Final = 1.5
"""Seconds of work after which processes are started for the rest: starting them takes about as long."""

SMALL: Final = 1_500
"""Segments of fleets up to which a part is answered in this process: there HiGHS stops close to its time limit."""

GRACE_S: Final = 8.0
"""Seconds that a process may take beyond its limit before it is ended: for a plan by rounding, and for its answer."""

GOLDEN: Final = 0.618033988749895
"""Multiples of it, less their whole part, are spread evenly however many there are."""

Result = TypeVar("Result")


def size(problem: PlanProblem) -> int:
    """Whole numbers in the program of a question, roughly: segments over all options and hours."""
    return sum(len(problem.segments(j, t)) for j in range(len(problem.options)) for t in range(len(problem.hours)))


def answer_all(problems: Sequence[PlanProblem], gap: float, deadline: float) -> list[Answer | None]:
    """Answer questions that have nothing to do with each other.

    The first few are answered here. Should the rest take longer than the time that is left, by what those took, each is
    given a bound first. An answer gets twice its fair share of the time at most, so that a hard one delays the others
    little; those that are not within the gap then are taken up again, the furthest from it first. Hours without a plan
    when the time is up borrow that of the hour whose demand is nearest.
    """
    answers: list[Answer | None] = [None] * len(problems)
    begun, waiting = time.monotonic(), list(range(len(problems)))
    while waiting and time.monotonic() - begun < HERE_S and size(problems[waiting[0]]) <= SMALL:
        i = waiting.pop(0)
        answers[i] = answer(problems[i], gap, _fair_s(deadline, len(waiting) + 1, 1))
    done = len(problems) - len(waiting)
    each_s = (time.monotonic() - begun) / done if done else 0.0
    hurried = each_s * len(waiting) > processes(len(waiting)) * (deadline - time.monotonic())
    for function in (bounded, answer, answer) if hurried else (answer, answer):
        waiting = sorted((i for i in range(len(problems)) if not within(answers[i], gap)), key=_order(answers))
        if not waiting or time.monotonic() > deadline - 1:
            break
        asked = [(problems[i], gap) for i in waiting]
        for i, found in zip(waiting, side_by_side(function, asked, deadline), strict=True):
            answers[i] = better(answers[i], found)
    known = tuple(answers)
    return [_at_last(problems, known, i, gap, deadline) for i in range(len(problems))]


def _at_last(
    problems: Sequence[PlanProblem], answers: Sequence[Answer | None], i: int, gap: float, deadline: float
) -> Answer | None:
    """What can still be said of a question that has no plan when the time is up: a plan that takes no search."""
    found = answers[i]
    if found is None and time.monotonic() < deadline + GRACE_S / 2:
        found = bounded(problems[i], gap, 1.0)
    if found is not None and (found.fleets is not None or found.infeasible):
        return found
    plan = _plan_nearby(problems, answers, i)
    if plan is not None:
        found = better(found, borrowed(problems[i], plan))
    return found if found is not None and found.fleets is not None else better(found, in_no_time(problems[i]))


def _plan_nearby(problems: Sequence[PlanProblem], answers: Sequence[Answer | None], i: int) -> Mapping[str, int] | None:
    """Survivors by option in the planned hour whose demand for the same workloads is nearest."""
    near: tuple[float, Mapping[str, int]] | None = None
    for problem, found in zip(problems, answers, strict=True):
        if found is None or found.fleets is None or problem.workloads != problems[i].workloads:
            continue
        if len(problem.hours) == len(problems[i].hours) == 1:
            away = float(np.abs(problem.demand_rps - problems[i].demand_rps).sum())
            if near is None or away < near[0]:
                counts = found.fleets.survivors[:, 0].tolist()
                near = away, {option.name: n for option, n in zip(problem.options, counts, strict=True) if n}
    return None if near is None else near[1]


def _order(answers: Sequence[Answer | None]) -> Callable[[int], tuple[float, float]]:
    """Furthest from its bound first; of those without a plan, hours from everywhere, for others to borrow from."""

    def place(i: int) -> tuple[float, float]:
        found = answers[i]
        lacking = found is None or found.fleets is None
        return (-float("inf") if lacking or found is None else found.bound - found.usd), i * GOLDEN % 1

    return place


def within(found: Answer | None, gap: float) -> bool:
    """Whether an answer needs no more work."""
    if found is None or found.fleets is None:
        return found is not None and found.infeasible
    return found.usd - found.bound <= gap * found.usd + 1e-12


def better(one: Answer | None, other: Answer | None) -> Answer | None:
    """The better plan of two answers to one question, with the better bound."""
    if one is None or other is None:
        return one or other
    best = one if one.usd <= other.usd else other
    return Answer(
        best.fleets,
        best.usd,
        min(max(one.bound, other.bound), best.usd) if best.fleets is not None else max(one.bound, other.bound),
        best.unserved,
        one.build_s + other.build_s,
        one.solve_s + other.solve_s,
    )


def _fair_s(deadline: float, left: int, beside: int) -> float:
    remaining = max(deadline - time.monotonic(), 0.0)
    return min(remaining, max(1.0, 2 * remaining * beside / max(left, 1)))


def processes(calls: int) -> int:
    """How many processes to run for so many calls."""
    from joblib import cpu_count

    return max(1, min(int(cpu_count()), calls))


def side_by_side(
    function: Callable[..., Result], asked: Sequence[tuple[Any, ...]], deadline: float
) -> list[Result | None]:
    """Call a function with each of the arguments and a limit in seconds, in processes of their own.

    A solver may overrun its limit by far; a process that does is ended, and its answer is None.

    Parameters
    ----------
    function
        A function of a module, whose last argument is its limit in seconds.
    asked
        Its other arguments, one tuple a call.
    deadline
        When the last limit ends, on the monotonic clock; each is at most twice a fair share of the time that is left.
    """
    from joblib.executor import get_memmapping_executor

    results: list[Result | None] = [None] * len(asked)
    if not asked:
        return results
    beside = processes(len(asked))
    # That of joblib itself: simulations take it too, and cannot use one that loky made for somebody else.
    pool = get_memmapping_executor(beside)
    waiting = list(range(len(asked)))
    running: dict[Future[Result], int] = {}
    try:
        while running or (waiting and time.monotonic() < deadline):
            while waiting and len(running) < beside and time.monotonic() < deadline:
                i = waiting.pop(0)
                limit_s = _fair_s(deadline, len(waiting) + 1, beside)
                running[pool.submit(function, *asked[i], limit_s)] = i
            patience_s = max(deadline + GRACE_S - time.monotonic(), 0.0)
            done, _ = wait(running, timeout=patience_s, return_when=FIRST_COMPLETED)
            if not done:
                break
            for future in done:
                results[running.pop(future)] = future.result()
    finally:
        if running:
            pool.shutdown(wait=False, kill_workers=True)
    return results
