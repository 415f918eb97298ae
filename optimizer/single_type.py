"""The best plan with one kind of instance, which is what people buy: is the mix worth its trouble?"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from calibration.page import per_cent, significant
from optimizer.answer import only
from optimizer.explanation import Mend, SingleType
from optimizer.problem import Ints, PlanProblem
from optimizer.solution import NoPlanInTimeError, Solution
from optimizer.solve import solve
from optimizer.wording import instances, usd, when

MULTIPLE: Final = 3.0
"""From so many times the cost on it is told as a multiple, not as a percentage more."""


@dataclass(frozen=True)
class Restricted:
    """A plan that may use some of the options only, in the rows of the whole problem."""

    options: Ints
    """Indices of those that were allowed."""
    solution: Solution
    """Its rows are those of the whole problem."""


def candidates(problem: PlanProblem) -> dict[str, Ints]:
    """Indices of each candidate's options, in the order of the problem."""
    names = dict.fromkeys(option.candidate for option in problem.options)
    return {
        name: np.array([j for j, option in enumerate(problem.options) if option.candidate == name]) for name in names
    }


def share_more(usd_per_month: float, than: float) -> float:
    """By what share of another cost is this one dearer?

    >>> share_more(110.0, 100.0).__round__(6), share_more(0.0, 0.0), share_more(1.0, 0.0)
    (0.1, 0.0, inf)
    """
    if than == 0:
        return 0.0 if usd_per_month == 0 else float("inf")
    return usd_per_month / than - 1


def restricted(problem: PlanProblem, options: Ints, *, gap: float, time_limit_s: float) -> Restricted:
    """What is the cheapest plan with these options alone?

    Raises
    ------
    NoPlanInTimeError
        Time was up before any plan was found.
    """
    part = solve(only(problem, options), gap=gap, time_limit_s=time_limit_s)
    running, survivors = np.zeros((2, len(problem.options), len(problem.hours)), dtype=np.int64)
    share = np.zeros((len(problem.workloads), *running.shape))
    running[options], survivors[options], share[:, options] = part.running, part.survivors, part.share
    whole = Solution(
        part.status,
        part.usd_per_month,
        part.lower_bound_usd_per_month,
        running,
        survivors,
        share,
        part.unserved,
        part.build_s,
        part.solve_s,
    )
    return Restricted(options, whole)


def single_types(
    problem: PlanProblem,
    solution: Solution,
    *,
    refusals: Mapping[str, Sequence[str]] | None = None,
    gap: float = 1e-3,
    deadline: float = float("inf"),
    mend: Mend | None = None,
) -> tuple[tuple[SingleType, ...], dict[str, Solution]]:
    """What does each candidate cost alone? Cheapest first, those that cannot serve everything last.

    Parameters
    ----------
    problem
        What is asked.
    solution
        The plan.
    refusals
        By candidate, why it cannot serve some workload within its SLO: sentences without a full stop.
    gap
        To the least cost.
    deadline
        Of ``time.monotonic()``.
    mend
        Simulates a plan; asked for the cheapest only, and for the next when that was mended and is no longer it.

    Returns
    -------
    The plans as they are told, and the solutions by candidate.
    """
    found: list[SingleType] = []
    solutions: dict[str, Solution] = {}
    for name, options in candidates(problem).items():
        left_s = deadline - time.monotonic()
        if left_s <= 0:
            found.append(_untold(name, "not examined: time was up"))
            continue
        try:
            alone = restricted(problem, options, gap=gap, time_limit_s=min(left_s, 60.0)).solution
        except NoPlanInTimeError:
            found.append(_untold(name, "no plan was found in time"))
            continue
        if alone.status == "infeasible":
            found.append(_untold(name, _why(problem, options, alone, (refusals or {}).get(name, ()))))
            continue
        solutions[name] = alone
        found.append(_told(name, alone, solution))
    found.sort(key=_cost)
    for _ in found if mend is not None else ():
        best = found[0]
        if best.candidate not in solutions or best.proven is not None or time.monotonic() > deadline:
            break
        assert mend is not None
        solutions[best.candidate], holds = mend(problem, solutions[best.candidate])
        if holds is None:
            break
        found[0] = replace(_told(best.candidate, solutions[best.candidate], solution), proven=holds)
        found.sort(key=_cost)
    return tuple(found), solutions


def _cost(single: SingleType) -> float:
    return float("inf") if single.usd_per_month is None else single.usd_per_month


def _told(name: str, alone: Solution, solution: Solution) -> SingleType:
    most = int(alone.running.sum(axis=0).max())
    dearer = share_more(alone.usd_per_month, solution.usd_per_month)
    if abs(dearer) < 1e-9:
        more = "as the plan"
    else:
        more = (
            per_cent(dearer, signed=True) if dearer < MULTIPLE - 1 else f"{significant(1 + dearer, 2)} times the plan"
        )
    words = f"{name} alone: {usd(alone.usd_per_month)} a month ({more}), up to {instances(most)}"
    return SingleType(name, alone.usd_per_month, most, dearer, "", words)


def _untold(name: str, why: str) -> SingleType:
    return SingleType(name, None, None, None, why, f"{name} alone: {why}")


def _why(problem: PlanProblem, options: Ints, alone: Solution, refusals: Sequence[str]) -> str:
    """What keeps these options from serving everything; the first reason that holds, most particular first."""
    able = np.array([(problem.options[j].curve.rps_per_instance > 0).any(axis=1) for j in options]).any(axis=0)
    asked = np.array((problem.demand_rps > 0).any(axis=1), ndmin=1)
    for b in np.flatnonzero(asked & ~able).tolist():
        workload = problem.workloads[b]
        told = [sentence for sentence in refusals if workload in sentence.split()]
        return told[0] if told else f"it does not serve {workload}"
    stated = np.nan_to_num(np.array([problem.options[j].accuracy for j in options]))
    for b, floor in enumerate(problem.floors):
        if asked[b] and floor > stated[:, b].max() + 1e-9:
            best = stated[:, b].max()
            return f"{problem.workloads[b]} asks for accuracy {floor:g}, it reaches {best:g}"
    short = alone.unserved * problem.demand_rps
    if short.any():
        worst = int(short.sum(axis=0).argmax())
        left = 1 - short[:, worst].sum() / problem.demand_rps[:, worst].sum()
        return f"its limits let it carry {per_cent(left)} of the requests {when(problem.hours, [worst])}"
    return "no plan keeps to all limits"
