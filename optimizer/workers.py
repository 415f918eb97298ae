"""Parts answered one after the other here, or side by side in processes that are ended when the time is up."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import Any, Final, TypeVar

from optimizer.answer import Answer, answer, in_no_time
from optimizer.problem import PlanProblem

HERE_S: Final = 1.5
"""Seconds of work after which processes are started for the rest: starting them takes about as long."""

SMALL: Final = 1_500
"""Segments of fleets up to which a part is answered in this process: there HiGHS stops close to its time limit."""

GRACE_S: Final = 8.0
"""Seconds that a process may take beyond its limit before it is ended: for a plan by rounding, and for its answer."""

Result = TypeVar("Result")


def size(problem: PlanProblem) -> int:
    """Whole numbers in the program of a question, roughly: segments over all options and hours."""
    return sum(len(problem.segments(j, t)) for j in range(len(problem.options)) for t in range(len(problem.hours)))


def answer_all(problems: Sequence[PlanProblem], gap: float, deadline: float) -> list[Answer | None]:
    """Answer questions that have nothing to do with each other.

    Each may take twice its fair share of the time that is left, so that a hard one delays the others little; those that
    were stopped before they were within the gap are taken up again with the time that the others left.
    """
    answers: list[Answer | None] = [None] * len(problems)
    begun, waiting = time.monotonic(), list(range(len(problems)))
    while waiting and time.monotonic() - begun < HERE_S and size(problems[waiting[0]]) <= SMALL:
        i = waiting.pop(0)
        answers[i] = answer(problems[i], gap, _fair_s(deadline, len(waiting) + 1, 1))
    for fair in (True, False):
        asked = [(problems[i], gap) for i in waiting]
        for i, found in zip(waiting, side_by_side(answer, asked, deadline, fair=fair), strict=True):
            answers[i] = better(answers[i], found)
        waiting = [i for i, found in enumerate(answers) if not within(found, gap)]
        if time.monotonic() > deadline - 1 or not waiting:
            break
    for i, found in enumerate(answers):
        if found is None or (found.fleets is None and not found.infeasible):
            answers[i] = better(found, in_no_time(problems[i]))
    return answers


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


def _fair_s(deadline: float, left: int, processes: int) -> float:
    remaining = max(deadline - time.monotonic(), 0.0)
    return min(remaining, max(1.0, 2 * remaining * processes / max(left, 1)))


def side_by_side(
    function: Callable[..., Result], asked: Sequence[tuple[Any, ...]], deadline: float, *, fair: bool = True
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
        When the last limit ends, on the monotonic clock.
    fair
        Whether a call gets twice its share of the time that is left, or all of it.
    """
    from joblib import cpu_count
    from joblib.executor import get_memmapping_executor

    results: list[Result | None] = [None] * len(asked)
    if not asked:
        return results
    processes = min(cpu_count(), len(asked))
    # That of joblib itself: simulations take it too, and cannot use one that loky made for somebody else.
    pool = get_memmapping_executor(processes)
    waiting = list(range(len(asked)))
    running: dict[Future[Result], int] = {}
    try:
        while waiting or running:
            while waiting and len(running) < processes:
                i = waiting.pop(0)
                left = len(waiting) + 1 if fair else 1
                limit_s = _fair_s(deadline, left, processes)
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
