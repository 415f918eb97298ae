"""What a miss changes: less capacity for the setting at that count, and fleets of their own for what does not mix.

Capacities are found for each workload alone. Where several share a fleet, the problem takes the load to be the sum of
their shares of capacity. That is a guess, and a wrong one where their objectives differ much: a workload that may wait
keeps the fleet busier than the other, who may not, can bear. Simulation then tells by how much, and the shared fleet's
capacity is taken down; beside it the workloads get fleets of their own, at the capacities that were found for them.
(As long as nothing was tightened, these need not exist: one fleet carries whatever two of its kind do, or more.)
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from optimizer.problem import LOAD_TOLERANCE, CapacityCurve, Floats, Option, PlanProblem, Quota
from optimizer.solution import Solution, broken_rules, fewest_running, usd_per_month

MIXES_WELL: Final = 0.97
"""Workloads that together still carry this share of what the sum says keep sharing: fleets of their own would gain less
than that, and lose what they gain by pooling."""


@dataclass(frozen=True)
class Tightening:
    """A fleet that missed, and what it would have carried."""

    option: int
    survivors: int
    """Instances that carry the load."""
    workloads: tuple[int, ...]
    """That it got."""
    load: float
    """Instances' worth of requests that it got, by its curve."""
    passing: float
    """Share of these requests with which it holds; 0 for none."""
    blamed: int
    """The workload that missed."""

    @property
    def factor(self) -> float:
        """What the capacity of an instance is to be multiplied with; below 1 even where the fleet was not full."""
        return self.passing * self.load / self.survivors


def tightened(problem: PlanProblem, found: Iterable[Tightening], *, everywhere: bool = False) -> PlanProblem:
    """The same problem with less capacity where fleets missed.

    Parameters
    ----------
    problem
        What was solved.
    found
        The misses.
    everywhere
        Whether a miss counts for all counts of instances: where several rounds were not enough.
    """
    options = list(problem.options)
    for one in found:
        option = options[one.option]
        curve = _lowered(option.curve, one, everywhere)
        options[one.option] = replace(option, curve=curve)
    return replace(problem, options=tuple(options))


def _lowered(curve: CapacityCurve, one: Tightening, everywhere: bool) -> CapacityCurve:
    """Less at the column that missed, and no more at smaller counts: an instance of a larger fleet carries no less."""
    rates = curve.rps_per_instance.copy()
    rows, column = list(one.workloads), curve.segment(one.survivors)
    if everywhere:
        rates[rows] *= one.factor
    else:
        rates[rows, column] *= one.factor
        rates[rows, :column] = np.minimum(rates[rows, :column], rates[rows, column][:, None])
    return CapacityCurve(curve.instances, rates)


def separated(problem: PlanProblem, found: Iterable[Tightening]) -> tuple[PlanProblem, tuple[str, ...]]:
    """The same problem in which workloads that missed together may have fleets of their own; and whose they are.

    Each workload of the fleet may have one, and all but the one that missed may share one. Only where they mix badly
    (``MIXES_WELL``). To be called before the capacities are lowered: what is copied is what was found for each alone.
    """
    options, quotas = list(problem.options), list(problem.quotas)
    known = {_kind(option) for option in options}
    names: list[str] = []
    for one in found:
        origin = options[one.option]
        groups = [(b,) for b in one.workloads] + [tuple(b for b in one.workloads if b != one.blamed)]
        copies = []
        for group in groups if len(one.workloads) > 1 and one.factor < MIXES_WELL else ():
            copy = _only(problem, origin, group)
            if _kind(copy) not in known and copy.curve.rps_per_instance.any():
                known.add(_kind(copy))
                copies.append(len(options))
                options.append(copy)
        if copies:
            names.append(origin.name)
            quotas = _shared_limits(quotas, origin, one.option, copies)
    return replace(problem, options=tuple(options), quotas=tuple(quotas)), tuple(dict.fromkeys(names))


def _kind(option: Option) -> tuple[object, ...]:
    """Equal for options that are the same setting for the same workloads."""
    return id(option.detail), (option.curve.rps_per_instance > 0).any(axis=1).tobytes()


def _only(problem: PlanProblem, option: Option, workloads: tuple[int, ...]) -> Option:
    rates: Floats = np.zeros_like(option.curve.rps_per_instance)
    rows = list(workloads)
    rates[rows] = option.curve.rps_per_instance[rows]
    names = " and ".join(problem.workloads[b] for b in workloads)
    curve = CapacityCurve(option.curve.instances, rates)
    return replace(option, name=f"{option.name} ({names} alone)", curve=curve)


def _shared_limits(quotas: list[Quota], origin: Option, place: int, copies: list[int]) -> list[Quota]:
    """Limits of the origin hold for it and its copies together."""
    wider = [replace(quota, options=(*quota.options, *copies)) if place in quota.options else quota for quota in quotas]
    if origin.max_instances is not None:
        wider.append(Quota(f"max_instances of {origin.candidate}", (place, *copies), origin.max_instances))
    return wider


def gathered(problem: PlanProblem, solution: Solution) -> Solution:
    """The same plan without two fleets of one setting that serve the same: one fleet carries what both do, or more.

    Fleets of their own and the shared one cost the same: the solver may split a workload among them as it likes.
    """
    running, survivors, share = solution.running.copy(), solution.survivors.copy(), solution.share.copy()
    for t in range(len(problem.hours)):
        for j in np.flatnonzero(running[:, t]).tolist():
            other = _host(problem, share[:, :, t], j)
            if other is not None:
                survivors[other, t] += survivors[j, t]
                share[:, other, t] += share[:, j, t]
                survivors[j, t], share[:, j, t] = 0, 0.0
    moved = (survivors != solution.survivors).any(axis=0)
    running[:, moved] = fewest_running(problem, survivors)[:, moved]
    usd = usd_per_month(problem, running, share)
    if (
        not moved.any()
        or usd > solution.usd_per_month * (1 + LOAD_TOLERANCE)
        or broken_rules(problem, running, survivors, share)
    ):
        return solution
    bound = min(solution.lower_bound_usd_per_month, usd)
    return replace(
        solution,
        running=running,
        survivors=survivors,
        share=share,
        usd_per_month=usd,
        lower_bound_usd_per_month=bound,
    )


def _host(problem: PlanProblem, share: Floats, j: int) -> int | None:
    """Another fleet of the same setting in this hour that is made for no more than what this one serves, and that."""
    served = share[:, j] > 0
    for other in np.flatnonzero(share.any(axis=0)).tolist():
        option, its = problem.options[other], problem.options[j]
        able = option.curve.rps_per_instance.any(axis=1)
        wider = its.curve.rps_per_instance.any(axis=1).sum() > able.sum()
        if (
            other != j
            and wider
            and option.detail is its.detail
            and option.detail is not None
            and (able >= served).all()
        ):
            return int(other)
    return None
