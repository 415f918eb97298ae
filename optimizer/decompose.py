"""A planning question split into parts that know nothing of each other, and their answers put together again.

Exact: the cheapest plan of the whole is the cheapest plans of the parts side by side, because no constraint and no term
of the cost has columns of two parts.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace

import numpy as np

from optimizer.problem import Ints, Option, PlanProblem, Quota


@dataclass(frozen=True)
class Part:
    """A planning question of its own, and where its rows stand in the whole."""

    problem: PlanProblem
    workloads: Ints
    """(B',) indices in the whole."""
    options: Ints
    """(J',) indices in the whole."""
    hours: Ints
    """(T',) indices in the whole."""
    weight_h: float
    """Hours of a month that the part's cost is to be multiplied with."""

    @property
    def key(self) -> tuple[object, ...]:
        """Equal for parts that have the same answer, whatever their rows are called."""
        problem = self.problem
        options = tuple(
            (
                tuple(_bits(array) for array in _arrays_of(option)),
                *(option.device_memory_gib, option.max_instances, option.spare, option.zones),
                *(option.start_usd, option.min_up_hours),
            )
            for option in problem.options
        )
        return (
            options,
            _bits(problem.demand_rps),
            _bits(problem.weight_h),
            _bits(problem.floors),
            tuple((quota.options, quota.max_instances) for quota in problem.quotas),
            problem.max_usd_per_hour,
            problem.cyclic,
        )


def _arrays_of(option: Option) -> tuple[np.ndarray, ...]:
    curve = option.curve
    return (
        *(curve.instances, curve.rps_per_instance),
        *(option.usd_per_hour, option.usd_per_request, option.accuracy, option.memory_gib),
    )


def _bits(array: np.ndarray) -> tuple[tuple[int, ...], bytes]:
    return array.shape, np.ascontiguousarray(array).tobytes()


class _Groups:
    """Sets that are merged when two of their members belong together (union-find)."""

    def __init__(self, size: int) -> None:
        self.parent = list(range(size))

    def root(self, member: int) -> int:
        while self.parent[member] != member:
            self.parent[member] = self.parent[self.parent[member]]
            member = self.parent[member]
        return member

    def join(self, one: int, other: int) -> None:
        first, second = sorted((self.root(one), self.root(other)))
        self.parent[second] = first


def decompose(problem: PlanProblem) -> list[Part]:
    """Which parts can be planned apart? Each workload with demand is in exactly one of them in an hour.

    An option in an hour belongs with the workloads that it can serve then; with the same option in the next hour where
    starts cost or instances must stay; with the options of a quota that it could exceed; and with all options of the
    hour where there is a budget. What an hour's cost is multiplied with is taken out of parts of one hour, so that
    hours that differ in their weight alone are the same question.
    """
    b, j, t = len(problem.workloads), len(problem.options), len(problem.hours)
    most = problem.most_survivors
    groups = _Groups((b + j) * t)
    _join_what_belongs_together(problem, most, groups)
    members: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for row in range(b + j):
        for hour in range(t):
            asked = row < b and problem.demand_rps[row, hour] > 0
            able = row >= b and (
                most[row - b, hour] > 0 or (problem.options[row - b].keeps_instances and most[row - b].any())
            )
            if asked or able:
                members[groups.root(row * t + hour)].append((row, hour))
    return [_part(problem, found) for found in members.values() if any(row < b for row, _ in found)]


def _join_what_belongs_together(problem: PlanProblem, most: Ints, groups: _Groups) -> None:
    b, t = len(problem.workloads), len(problem.hours)
    for j, option in enumerate(problem.options):
        able = (option.curve.rps_per_instance > 0).any(axis=1)
        for hour in range(t):
            if most[j, hour]:
                for workload in np.flatnonzero(able & (problem.demand_rps[:, hour] > 0)):
                    groups.join((b + j) * t + hour, int(workload) * t + hour)
        if option.keeps_instances and most[j].any():
            for hour in range(1, t):
                groups.join((b + j) * t, (b + j) * t + hour)
    for hour in range(t):
        for options in _limited_together(problem, most, hour):
            for j in options[1:]:
                groups.join((b + options[0]) * t + hour, (b + j) * t + hour)


def _limited_together(problem: PlanProblem, most: Ints, hour: int) -> list[list[int]]:
    """Options that a quota or a budget links in an hour. A quota that cannot be exceeded links nothing."""
    linked = []
    for quota in problem.quotas:
        held = [j for j in sorted(set(quota.options)) if most[j, hour] or problem.options[j].keeps_instances]
        if quota.max_instances < _most_running(problem, most, held, hour):
            linked.append(held)
    if problem.max_usd_per_hour is not None:
        linked.append([j for j in range(len(problem.options)) if most[j, hour] or problem.options[j].keeps_instances])
    return [options for options in linked if options]


def _most_running(problem: PlanProblem, most: Ints, options: list[int], hour: int) -> float:
    if any(problem.options[j].keeps_instances for j in options):
        return float("inf")  # what stays from an earlier hour is not bounded by what this hour needs
    return float(sum(problem.options[j].running(int(most[j, hour])) for j in options))


def _part(problem: PlanProblem, members: list[tuple[int, int]]) -> Part:
    b = len(problem.workloads)
    workloads = np.array(sorted({row for row, _ in members if row < b}))
    options = np.array(sorted({row - b for row, _ in members if row >= b}), dtype=np.int64)
    hours = np.array(sorted({hour for _, hour in members}))
    demand = np.zeros_like(problem.demand_rps)
    for row, hour in members:
        if row < b:
            demand[row, hour] = problem.demand_rps[row, hour]
    place = {int(j): i for i, j in enumerate(options)}
    quotas = [(quota, tuple(place[j] for j in sorted(set(quota.options)) if j in place)) for quota in problem.quotas]
    single = len(hours) == 1
    part = PlanProblem(
        workloads=tuple(problem.workloads[row] for row in workloads),
        options=tuple(_narrowed(problem.options[j], workloads, hours) for j in options),
        hours=tuple(problem.hours[hour] for hour in hours),
        weight_h=np.ones(1) if single else problem.weight_h[hours],
        demand_rps=demand[np.ix_(workloads, hours)],
        quotas=tuple(Quota(quota.name, held, quota.max_instances) for quota, held in quotas if held),
        min_accuracy=problem.floors[workloads],
        max_usd_per_hour=problem.max_usd_per_hour,
        cyclic=problem.cyclic,
    )
    return Part(part, workloads, options, hours, float(problem.weight_h[hours[0]]) if single else 1.0)


def _narrowed(option: Option, workloads: Ints, hours: Ints) -> Option:
    curve = option.curve
    return replace(
        option,
        curve=replace(curve, rps_per_instance=curve.rps_per_instance[workloads]),
        usd_per_hour=option.usd_per_hour[hours],
        usd_per_request=option.usd_per_request[workloads],
        accuracy=option.accuracy[workloads],
        memory_gib=option.memory_gib[workloads],
        detail=None,
    )
