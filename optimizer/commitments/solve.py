"""How much to commit, with a bound on how much better anything else could be.

The L-shaped method with one cut a scenario (:mod:`optimizer.commitments.search`). The bound is that of the best use of
commitments; the cost is that of the providers' order. Where the two differ, as they may when several spend commitments
disagree about which type saves most, the gap contains the difference.
"""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np

from optimizer.commitments.cutting_planes import Aim, Master, most_useful_units
from optimizer.commitments.newsvendor import newsvendor_units
from optimizer.commitments.program import CommitmentProblem, Floats
from optimizer.commitments.search import Search, broken_limits
from optimizer.commitments.second_stage import SecondStage
from optimizer.commitments.solution import CommitmentSolution, Margin, relative_gap

__all__ = ["CommitmentSolution", "hindsight", "solve"]


def solve(
    problem: CommitmentProblem,
    *,
    gap: float = 1e-3,
    time_limit_s: float = 60.0,
    hindsight_usd: Floats | None = None,
) -> CommitmentSolution:
    """How many units of which purchase make the expected cost, or its mix with the risk, smallest?

    Parameters
    ----------
    problem
        Demand in scenarios, prices, what could be bought, the risk and the limits.
    gap
        How much better other commitments may still be, as a share.
    time_limit_s
        Wall time after which the best so far is returned, as ``feasible``.
    hindsight_usd : (S,)
        Of :func:`hindsight`, where it is known already. Worked out where regret counts; elsewhere left out unless
        given.

    Returns
    -------
    CommitmentSolution
        The same for the same problem, unless the time limit was reached.
    """
    begun = time.monotonic()
    deadline = begun + time_limit_s
    broken = broken_limits(problem, problem.min_units)
    if broken:
        return _infeasible(problem, broken, time.monotonic() - begun)
    stage, most = SecondStage(problem), most_useful_units(problem)
    log = []
    if hindsight_usd is None and problem.risk.matters and problem.risk.kind == "cvar_regret":
        laid_out_s = time.monotonic() - begun
        hindsight_usd, done = _hindsight(stage, most, gap / 10, begun + time_limit_s / 2)
        log.append(f"{time.monotonic() - begun - laid_out_s:.1f} s for what each scenario would cost with hindsight")
        if not done:
            log.append("time was up before hindsight was exact: regrets are overstated")
    else:
        laid_out_s = time.monotonic() - begun
    stating = time.monotonic()
    everything = tuple(range(len(problem.demand)))
    master = Master(stage, Aim(everything, problem.probability, problem.risk, hindsight_usd), most)
    build_s = laid_out_s + time.monotonic() - stating
    search = _begun(stage, master, deadline)
    search.in_parts(gap / 2)
    in_parts = search.rounds
    search.in_whole_units(gap)
    status = "optimal" if search.within(gap) else "feasible"
    log.append(f"{in_parts} rounds in parts of units, {search.rounds - in_parts} in whole ones, {master.cuts} cuts")
    log += _why_not(search, gap)
    solution = CommitmentSolution(
        "optimal" if status == "optimal" else "feasible",
        search.best,
        search.best_usd,
        min(search.bound_usd, search.best_usd),
        *_costs(problem, stage, search.best),
        hindsight_usd,
        _margins(problem, stage, search.best),
        build_s,
        0.0,
        master.cuts,
        tuple(log),
    )
    return replace(solution, solve_s=time.monotonic() - begun - build_s)


def hindsight(problem: CommitmentProblem, *, gap: float = 1e-4, time_limit_s: float = 60.0) -> Floats:
    """(S,) what would each scenario cost, had one bought for it alone? In parts of units, within the same limits.

    A lower bound within ``gap``, so that no regret comes out below 0; lower where the time limit was reached.
    """
    stage = SecondStage(problem)
    return _hindsight(stage, most_useful_units(problem), gap, time.monotonic() + time_limit_s)[0]


def _hindsight(stage: SecondStage, most: Floats, gap: float, deadline: float) -> tuple[Floats, bool]:
    problem = stage.problem

    def alone(s: int) -> tuple[float, bool]:
        search = _begun(stage, Master(stage, Aim((s,), np.ones(1)), most), deadline)
        search.in_parts(gap)
        return min(search.bound_usd, search.best_usd), search.within(gap) or search.held_up_by_order(gap)

    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        found = list(pool.map(alone, range(len(problem.demand))))
    return np.array([usd for usd, _ in found]), all(done for _, done in found)


def _begun(stage: SecondStage, master: Master, deadline: float) -> Search:
    """A search that knows what it costs to buy nothing beyond what must be, and the newsvendor's units."""
    problem, aim = stage.problem, master.aim
    search = Search(stage, master, deadline)
    search.look(problem.min_units)
    alone = len(aim.scenarios) < len(problem.demand)
    units = newsvendor_units(_only(problem, aim) if alone else problem)
    if units.any() and not broken_limits(problem, units):
        search.look(units)
    return search


def _only(problem: CommitmentProblem, aim: Aim) -> CommitmentProblem:
    which, prices = list(aim.scenarios), problem.prices_of_hours
    return replace(
        problem,
        demand=problem.demand[which],
        on_demand_usd=prices[which] if len(prices) > 1 else prices,
        probability=aim.probability,
    )


def _costs(problem: CommitmentProblem, stage: SecondStage, units: Floats) -> tuple[float, Floats]:
    """Expected cost, and the cost of each scenario."""
    usd = float(problem.usd_of_a_unit @ units) + stage.settle(units).on_demand_usd
    return float(problem.probability @ usd), usd


def _margins(problem: CommitmentProblem, stage: SecondStage, units: Floats) -> tuple[Margin, ...]:
    """What the last unit saves and what the next would, side by side with the price.

    Both are slopes a hair below and above the units: at the units themselves they may jump.
    """
    last, more = (
        problem.probability @ stage.settle(units * by).saved_usd if units.any() or by > 1 else np.zeros(len(units))
        for by in (1 - 1e-9, 1 + 1e-9)
    )
    price = problem.usd_of_a_unit
    full = _fully_used_usd(problem)
    shares = [np.divide(usd, full, out=np.zeros_like(full), where=full > 0) for usd in (price, last, more)]
    return tuple(
        Margin(p.name, float(shares[0][i]), float(shares[1][i]), float(shares[2][i]), float(price[i] - more[i]))
        for i, p in enumerate(problem.purchases)
    )


def _fully_used_usd(problem: CommitmentProblem) -> Floats:
    """(P,) expected price on demand of what a unit covers if it is used in every hour, where it is used best."""
    prices = problem.prices_of_hours
    chance = problem.probability if len(prices) > 1 else np.ones(1)
    found = np.zeros(len(problem.purchases))
    for i, p in enumerate(problem.purchases):
        if p.rates is not None and p.kind == "spend":
            best = (prices[:, :, p.covers] / p.rates[p.covers]).max(axis=2)
        else:
            best = prices[:, :, p.instance_type]
        found[i] = chance @ np.broadcast_to(best, (len(prices), len(p.active))) @ (problem.weight_h * p.active)
    return found


def _why_not(search: Search, gap: float) -> list[str]:
    """Why the gap that was asked for was not reached."""
    if search.within(gap):
        return []
    share = relative_gap(search.best_usd, search.bound_usd, search.expected_usd)
    if search.late():
        return [f"time was up: other commitments could be up to {share:.2%} better"]
    return [
        f"the providers' order of applying commitments costs up to {share:.2%} more than their best use, which the "
        "bound assumes"
    ]


def _infeasible(problem: CommitmentProblem, broken: list[str], seconds: float) -> CommitmentSolution:
    none, stage = np.zeros(len(problem.purchases)), SecondStage(problem)
    reasons = tuple(f"what must be bought breaks a limit: {fault}" for fault in broken)
    infinite = float("inf")
    nothing = np.full(len(problem.demand), infinite)
    margins = _margins(problem, stage, problem.min_units)
    return CommitmentSolution(
        "infeasible", none, infinite, infinite, infinite, nothing, None, margins, 0.0, seconds, 0, reasons
    )
