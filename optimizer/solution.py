"""What the solver found: instances and shares by option and hour, what they cost, and how much less any plan could."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from optimizer.build import SECONDS_PER_HOUR
from optimizer.problem import LOAD_TOLERANCE, Floats, Ints, Option, PlanProblem, fewest_that_carry

SHARE_TOLERANCE = 1e-9
"""How far the shares of a workload may add up to something else than 1."""


class NoPlanInTimeError(RuntimeError):
    """The solver found no plan before its time was up, and no proof that there is none."""


@dataclass(frozen=True)
class Solution:
    """The cheapest plan that was found, or why there is none. Shapes: B workloads, J options, T hours."""

    status: Literal["optimal", "feasible", "infeasible"]
    """``optimal``: within the gap that was asked for; ``feasible``: time was up before that; ``infeasible``: proven."""
    usd_per_month: float
    """Cost of the plan; infinite where there is none."""
    lower_bound_usd_per_month: float
    """No plan costs less; infinite where there is none."""
    running: Ints
    """(J, T) instances that run."""
    survivors: Ints
    """(J, T) instances that are left after the worst loss that the plan must bear; they carry the load."""
    share: Floats
    """(B, J, T) share of each workload's requests that an option serves; 1 over the options where there is demand."""
    unserved: Floats
    """(B, T) share of each workload's requests that must be left out so that a plan exists at all, their sum over
    all hours the least possible; 0 unless the problem is infeasible."""
    build_s: float
    """Processor time of stating the programs to the solver."""
    solve_s: float
    """Processor time of solving them; over several processes more than the wall time."""
    log: tuple[str, ...] = ()
    """What was done, a sentence each."""

    @property
    def gap(self) -> float:
        """How much cheaper could a plan still be, as a share of this plan's cost?"""
        if self.usd_per_month == self.lower_bound_usd_per_month:
            return 0.0
        return (self.usd_per_month - self.lower_bound_usd_per_month) / self.usd_per_month


def load(option: Option, demand_rps: Floats, share: Floats, survivors: int) -> float:
    """How many instances' worth of work does a fleet get in an hour, where so many instances share it?

    Parameters
    ----------
    option
        What the instances are.
    demand_rps : (B,)
        Requests per second of each workload.
    share : (B,)
        Share of them that comes here.
    survivors
        Instances among which the work is divided: what each carries grows with them.

    Returns
    -------
    float
        At most ``survivors`` where the SLOs hold; infinite where something comes that the fleet cannot serve.
    """
    served = np.flatnonzero(share * demand_rps)
    if not len(served):
        return 0.0
    if survivors < 1:
        return float("inf")
    rates = option.curve.rps_per_instance[served, option.curve.segment(survivors)]
    return float((demand_rps[served] * share[served] / rates).sum()) if (rates > 0).all() else float("inf")


def fewest_survivors(option: Option, demand_rps: Floats, share: Floats, most: int) -> int:
    """With how few instances, at most so many, does a fleet carry its share? ``most`` where no fewer do."""
    if not (share * demand_rps).any():
        return 0
    starts = [int(start) for start in option.curve.instances]
    for low, high in zip(starts, [*(start - 1 for start in starts[1:]), most], strict=True):
        found = load(option, demand_rps, share, low)
        if low > most or found == float("inf"):
            continue
        count = max(low, fewest_that_carry(found))
        if count <= min(high, most):
            return count
    return most


def fewest_running(problem: PlanProblem, survivors: Ints) -> Ints:
    """(J, T) instances that must run so that these survive the worst loss."""
    rows = [
        [option.running(int(count)) for count in row] for option, row in zip(problem.options, survivors, strict=True)
    ]
    return np.array(rows, dtype=np.int64).reshape(survivors.shape)


def started(problem: PlanProblem, running: Ints) -> Ints:
    """(J, T) instances that are started in each hour."""
    before = np.roll(running, 1, axis=1)
    if not problem.cyclic:
        before[:, 0] = 0
    fresh: Ints = np.maximum(running - before, 0)
    return fresh


def usd_of_hours(problem: PlanProblem, running: Ints, share: Floats) -> Floats:
    """(T,) dollars that each hour costs once: instances, fees and starts."""
    prices = np.array([option.usd_per_hour for option in problem.options]).reshape(running.shape)
    fees = np.array([option.usd_per_request for option in problem.options]).reshape(len(problem.options), -1)
    starts = np.array([option.start_usd for option in problem.options])
    requests = SECONDS_PER_HOUR * np.einsum("jb,bt,bjt->t", fees, problem.demand_rps, share)
    spent: Floats = (prices * running).sum(axis=0) + requests + starts @ started(problem, running)
    return spent


def usd_per_month(problem: PlanProblem, running: Ints, share: Floats) -> float:
    """What a plan costs a month; the sum of :func:`optimizer.build.monthly_cost`."""
    starts = np.array([option.start_usd for option in problem.options]) @ started(problem, running)
    hours = usd_of_hours(problem, running, share) - starts
    return float(problem.weight_h @ hours + problem.month_h / len(problem.hours) * starts.sum())


def broken_rules(problem: PlanProblem, running: Ints, survivors: Ints, share: Floats) -> list[str]:
    """Which rules does a plan break, computed from its whole numbers and shares alone? Empty: it is a plan.

    Written apart from the program that the solver sees: what the solver holds within its tolerances is held here to the
    rounding of a sum.
    """
    broken = []
    asked = problem.demand_rps > 0
    if (np.abs(share.sum(axis=1) - 1)[asked] > SHARE_TOLERANCE).any() or (share < 0).any():
        broken.append("shares do not add up to 1")
    for j, option in enumerate(problem.options):
        for t in range(len(problem.hours)):
            n = int(survivors[j, t])
            carried = load(option, problem.demand_rps[:, t], share[:, j, t], n)
            if carried > n * (1 + LOAD_TOLERANCE):
                broken.append(f"{option.name} carries {carried:.9g} with {n} in hour {t}")
            hosted = (share[:, j, t] > 0) & asked[:, t]
            if option.memory_gib[hosted].sum() > option.device_memory_gib:
                broken.append(f"{option.name} holds more models than fit in hour {t}")
            if option.running(n) > running[j, t]:
                broken.append(f"{option.name} runs too few in hour {t} to lose what it may lose")
        if option.max_instances is not None and (running[j] > option.max_instances).any():
            broken.append(f"{option.name} runs more than its limit")
        broken += _left_too_early(problem, j, running)
    broken += [
        f"quota {quota.name} is exceeded"
        for quota in problem.quotas
        if (running[sorted(set(quota.options))].sum(axis=0) > quota.max_instances).any()
    ]
    accuracy = np.nan_to_num(np.array([option.accuracy for option in problem.options])).reshape(
        len(problem.options), -1
    )
    reached = np.einsum("jb,bjt->bt", accuracy, share)
    floors = np.nan_to_num(problem.floors)[:, None]
    if ((reached < floors * (1 - LOAD_TOLERANCE)) & asked).any():
        broken.append("answers are not accurate enough")
    budget = problem.max_usd_per_hour
    if budget is not None and (usd_of_hours(problem, running, share) > budget * (1 + LOAD_TOLERANCE)).any():
        broken.append("an hour costs too much")
    return broken


def _left_too_early(problem: PlanProblem, j: int, running: Ints) -> list[str]:
    option, hours = problem.options[j], len(problem.hours)
    if option.min_up_hours < 2:
        return []
    begun = started(problem, running)[j]
    for t in range(hours):
        lately = [t - back for back in range(min(option.min_up_hours, hours)) if t >= back or problem.cyclic]
        if begun[np.array(lately) % hours].sum() > running[j, t]:
            return [f"{option.name} stops before its minimum up-time is over"]
    return []
