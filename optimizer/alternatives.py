"""Plans that cost nearly as little as the cheapest and look different.

Modelling to generate alternatives (Brill, Chang and Hopkins, 1982): hold the cost to (1 + epsilon) c*, and make the
spending on each candidate in turn as small, and as large, as possible. What an hour may look like is taken from a pool
of plans: the plan, one without each candidate, each candidate alone. Hours that do not depend on one another are
combined freely, by a linear program with one row for the cost; where it cuts an hour, the plan's own hour is kept.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pulp

from calibration.page import per_cent
from optimizer import highs
from optimizer.explanation import Alternative, Simulate
from optimizer.linear import total
from optimizer.problem import Floats, PlanProblem
from optimizer.single_type import candidates, restricted, share_more
from optimizer.solution import NoPlanInTimeError, Solution, broken_rules, usd_of_hours, usd_per_month
from optimizer.wording import usd

MOST: Final = 3
"""Alternatives shown."""

EPSILON: Final = 0.02
"""They cost at most this share more."""

MOST_PROOFS: Final = 6
"""Plans that are simulated to find them."""

LEAST_DIFFERENT: Final = 0.05
"""Share of the spending that must go elsewhere for a plan to be another one."""

SOLVE_S: Final = 30.0
"""Longest time for one plan of the pool."""


@dataclass(frozen=True)
class _Found:
    """A plan, and what it spends by candidate and hour."""

    solution: Solution
    spent: Floats
    """(C, T) dollars a month."""


def alternatives(
    problem: PlanProblem,
    solution: Solution,
    pool: Sequence[Solution] = (),
    *,
    epsilon: float = EPSILON,
    gap: float = 1e-3,
    deadline: float = float("inf"),
    simulate: Simulate | None = None,
) -> tuple[tuple[Alternative, ...], tuple[str, ...]]:
    """Which plans within ``epsilon`` of the cost differ most from the plan and from one another?

    Parameters
    ----------
    problem, solution
        What is asked, and the plan.
    pool
        Further plans of the same problem, for their hours.
    epsilon
        Share by which an alternative may be dearer.
    gap
        Of the solver, for the plans without one candidate.
    deadline
        Of ``time.monotonic()``.
    simulate
        Simulates a plan. Hours in which it misses become the plan's own, which hold; where hours depend on one another,
        it is not shown.

    Returns
    -------
    At most three, and what was not looked into.
    """
    names = candidates(problem)
    everything = np.arange(len(problem.options))
    missed: list[str] = []
    plans = [solution, *(one for one in pool if one.status != "infeasible")]
    used = [name for name, options in names.items() if solution.running[options].any()]
    for name in used if len(names) > 1 else ():
        left_s = deadline - time.monotonic()
        others = np.setdiff1d(everything, names[name])
        try:
            if left_s <= 0:
                raise NoPlanInTimeError
            without = restricted(problem, others, gap=gap, time_limit_s=min(left_s, SOLVE_S)).solution
        except NoPlanInTimeError:
            missed.append(f"plans without {name}")
            continue
        if without.status != "infeasible":
            plans.append(without)
    most_usd = solution.usd_per_month * (1 + epsilon)
    base = _Found(solution, _spent(problem, solution))
    near = [_Found(one, _spent(problem, one)) for one in plans[1:] if one.usd_per_month <= most_usd]
    near += [_Found(one, _spent(problem, one)) for one in _combined(problem, plans, most_usd)]
    chosen = tuple(_told(problem, base, near, most_usd, deadline, simulate))
    if not chosen and time.monotonic() > deadline:
        missed.append("other plans that cost nearly as little")
    return chosen, tuple(missed)


def _spent(problem: PlanProblem, solution: Solution) -> Floats:
    """(C, T) dollars a month that each hour's instances of each candidate cost."""
    prices = np.array([option.usd_per_hour for option in problem.options]) * problem.weight_h
    by_option = prices * solution.running
    spent: Floats = np.array([by_option[options].sum(axis=0) for options in candidates(problem).values()])
    return spent


def _combined(problem: PlanProblem, plans: Sequence[Solution], most_usd: float) -> Iterator[Solution]:
    """For each candidate the plan that spends least on it and the one that spends most, hours taken from the pool."""
    if len(plans) < 2 or any(option.keeps_instances for option in problem.options):
        return
    usd_by_hour = np.array([problem.weight_h * usd_of_hours(problem, one.running, one.share) for one in plans])
    spent = np.array([_spent(problem, one) for one in plans])
    for c in range(spent.shape[1]):
        for sign in (1.0, -1.0):
            if np.ptp(spent[:, c].sum(axis=1)) > 0:
                yield _mixed(problem, plans, _choice(sign * spent[:, c], usd_by_hour, most_usd))


def _choice(spent: Floats, usd_by_hour: Floats, most_usd: float) -> list[int]:
    """Which plan of the pool each hour takes: min sum s_pt x_pt, sum c_pt x_pt <= C, sum_p x_pt = 1."""
    plans, hours = spent.shape
    model = pulp.LpProblem("alternatives", pulp.LpMinimize)
    taken = [[model.add_variable(f"x_{p}_{t}", 0, 1) for t in range(hours)] for p in range(plans)]
    cells = [(taken[p][t], p, t) for p in range(plans) for t in range(hours)]
    model.setObjective(total([(column, spent[p, t]) for column, p, t in cells]))
    model.addConstraint(total([(column, usd_by_hour[p, t]) for column, p, t in cells]) <= most_usd, "cost")
    for t in range(hours):
        model.addConstraint(total([(taken[p][t], 1.0) for p in range(plans)]) == 1, f"hour_{t}")
    if highs.run(model, whole=False).status != "solved":
        return [0] * hours
    return [next((p for p in range(plans) if taken[p][t].value() > 1 - 1e-6), 0) for t in range(hours)]


def _mixed(problem: PlanProblem, plans: Sequence[Solution], choice: Sequence[int]) -> Solution:
    running = np.stack([plans[p].running[:, t] for t, p in enumerate(choice)], axis=1)
    survivors = np.stack([plans[p].survivors[:, t] for t, p in enumerate(choice)], axis=1)
    share = np.stack([plans[p].share[:, :, t] for t, p in enumerate(choice)], axis=2)
    cost = usd_per_month(problem, running, share)
    bound = plans[0].lower_bound_usd_per_month
    unserved = np.zeros_like(problem.demand_rps)
    return Solution("feasible", cost, min(bound, cost), running, survivors, share, unserved, 0.0, 0.0)


def _told(
    problem: PlanProblem,
    base: _Found,
    near: Sequence[_Found],
    most_usd: float,
    deadline: float,
    simulate: Simulate | None,
) -> Iterator[Alternative]:
    """The most different first, then whatever is farthest from all that are shown; those that do not hold, not."""
    shown = [base]
    left = list(near)
    for _ in range(MOST_PROOFS):
        apart = [min(_difference(one, other) for other in shown) for one in left]
        if not left or len(shown) > MOST or max(apart) < LEAST_DIFFERENT:
            return
        found = left.pop(int(np.argmax(apart)))
        own: Solution | None = found.solution
        proven = None
        if simulate is not None:
            if time.monotonic() > deadline:
                return
            own, proven = _holding(problem, base.solution, found.solution, simulate)
        if own is None or broken_rules(problem, own.running, own.survivors, own.share) or own.usd_per_month > most_usd:
            continue
        found = _Found(own, _spent(problem, own))
        if min(_difference(found, other) for other in shown) < LEAST_DIFFERENT:
            continue
        shown.append(found)
        yield _alternative(problem, base, found, proven)


def _holding(
    problem: PlanProblem, base: Solution, other: Solution, simulate: Simulate
) -> tuple[Solution | None, bool | None]:
    """The plan with the base's hours where it missed; None where they cannot be exchanged."""
    other, missed = simulate(problem, other)
    if missed is None:
        return other, None
    if missed and any(option.keeps_instances for option in problem.options):
        return None, False
    return _mixed(problem, [base, other], [0 if t in missed else 1 for t in range(len(problem.hours))]), True


def _difference(one: _Found, other: _Found) -> float:
    """Share of the spending that goes to something else in the same hour, from 0 to 1."""
    most = max(float(one.spent.sum()), float(other.spent.sum()))
    return float(np.abs(one.spent - other.spent).sum() / (2 * most)) if most else 0.0


def _alternative(problem: PlanProblem, base: _Found, found: _Found, proven: bool | None) -> Alternative:
    own = found.solution
    held = {name: own.running[options].sum(axis=0) for name, options in candidates(problem).items()}
    counts = {name: (int(row.min()), int(row.max())) for name, row in held.items() if row.any()}
    dearer = share_more(own.usd_per_month, base.solution.usd_per_month)
    words = _difference_words(list(held), base, found)
    told = "" if proven else ", not simulated"
    cost = f"{usd(own.usd_per_month)} a month ({per_cent(dearer, signed=True)}{told})"
    return Alternative(words, own.usd_per_month, dearer, counts, _difference(base, found), proven, f"{words}: {cost}")


def _difference_words(names: Sequence[str], base: _Found, found: _Found) -> str:
    """What is different in the spending of a month, the largest changes first."""
    before, after = base.spent.sum(axis=1), found.spent.sum(axis=1)
    change = dict(zip(names, after - before, strict=True))
    gone = [name for name, old, new in zip(names, before, after, strict=True) if old > 0 and new == 0]
    up = [name for name in sorted(change, key=lambda name: -change[name]) if change[name] > 0]
    down = [name for name in sorted(change, key=lambda name: change[name]) if change[name] < 0 and name not in gone]
    parts = [f"without {_and(gone)}"] if gone else []
    parts += [f"less {down[0]} (-{usd(-change[down[0]])})"] if down else []
    parts += [f"more {up[0]} (+{usd(change[up[0]])})"] if up else []
    return ", ".join(parts) if parts else "the same instances at other hours"


def _and(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
