"""Which limits does a plan touch? Read off its whole numbers and shares; nothing is solved."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np

from calibration.page import per_cent
from optimizer.plan import Binding
from optimizer.problem import PlanProblem
from optimizer.solution import Solution, load, usd_of_hours
from optimizer.wording import instances, setting, usd, when

NEAR: Final = 0.01
"""Share of a budget within which it counts as used up: instances come whole."""

LEAST_IDLE: Final = 0.001
"""Share of the cost from which on capacity that nobody needs is worth a word."""


def binding(problem: PlanProblem, solution: Solution) -> tuple[Binding, ...]:
    """Which limits hold the plan, and when? In the order of the rules of the program."""
    rules = (_limits, _quotas, _budget, _accuracy, _memory, _losses, _stays, _whole_instances)
    return tuple(found for rule in rules for found in rule(problem, solution))


def _limits(problem: PlanProblem, solution: Solution) -> Iterator[Binding]:
    grouped = {j for quota in problem.quotas for j in quota.options}
    for j, option in enumerate(problem.options):
        most = option.max_instances
        if not most or j in grouped:
            continue
        hours = np.flatnonzero(solution.running[j] >= most).tolist()
        if hours:
            words = f"all {instances(most)} of {setting(option.name)} that are allowed run {when(problem.hours, hours)}"
            yield Binding("max_instances", option.name, float(most), None, words)


def _quotas(problem: PlanProblem, solution: Solution) -> Iterator[Binding]:
    for quota in problem.quotas:
        held = solution.running[sorted(set(quota.options))].sum(axis=0)
        hours = np.flatnonzero((held >= quota.max_instances) & (held > 0)).tolist()
        if hours:
            kind = "max_instances" if quota.name.startswith("max_instances") else "quota"
            words = f"{quota.name}: all {instances(quota.max_instances)} run {when(problem.hours, hours)}"
            yield Binding(kind, quota.name, float(quota.max_instances), None, words)


def _budget(problem: PlanProblem, solution: Solution) -> Iterator[Binding]:
    most = problem.max_usd_per_hour
    if most is None:
        return
    spent = usd_of_hours(problem, solution.running, solution.share)
    hours = np.flatnonzero(spent >= most * (1 - NEAR)).tolist()
    if hours:
        words = f"the budget of {usd(most)} an hour is spent {when(problem.hours, hours)}"
        yield Binding("budget", "", most, None, words)


def _accuracy(problem: PlanProblem, solution: Solution) -> Iterator[Binding]:
    stated = np.nan_to_num(np.array([option.accuracy for option in problem.options]))
    reached = np.einsum("jb,bjt->bt", stated, solution.share)
    for b, floor in enumerate(problem.floors):
        asked = problem.demand_rps[b] > 0
        just = np.flatnonzero(asked & (reached[b] <= floor + 1e-6)).tolist()
        # A floor that every answer meets exactly holds nothing back; one that a mixture meets does.
        hours = [t for t in just if np.unique(stated[solution.share[b, :, t] > 0, b]).size > 1]
        if hours:
            name = problem.workloads[b]
            words = f"answers to {name} are just as accurate as asked ({floor:g}) {when(problem.hours, hours)}"
            yield Binding("accuracy", name, float(floor), None, words)


def _memory(problem: PlanProblem, solution: Solution) -> Iterator[Binding]:
    for j, option in enumerate(problem.options):
        able = (option.curve.rps_per_instance > 0).any(axis=1)
        if option.memory_gib[able].sum() <= option.device_memory_gib:
            continue
        hours = []
        for t in np.flatnonzero(solution.running[j]).tolist():
            hosted = solution.share[:, j, t] > 0
            free = option.device_memory_gib - option.memory_gib[hosted].sum()
            wanted = able & ~hosted & (problem.demand_rps[:, t] > 0)
            if wanted.any() and option.memory_gib[wanted].min() > free:
                hours.append(t)
        if hours:
            size = float(option.device_memory_gib)
            words = (
                f"no further model fits into the {size:g} GiB of {setting(option.name)} {when(problem.hours, hours)}"
            )
            yield Binding("memory", option.name, size, None, words)


def _losses(problem: PlanProblem, solution: Solution) -> Iterator[Binding]:
    for j, option in enumerate(problem.options):
        if not solution.running[j].any() or (option.spare == 0 and option.zones == 1):
            continue
        peak = int(solution.running[j].argmax())
        most, lost = int(solution.running[j, peak]), int(solution.running[j, peak] - solution.survivors[j, peak])
        what = "with one zone" if option.zones > 1 else "at any time"
        words = f"{lost} of {instances(most)} of {setting(option.name)} may be lost {what} ({problem.hours[peak]})"
        yield Binding("survive", option.name, float(lost), None, words)


def _stays(problem: PlanProblem, solution: Solution) -> Iterator[Binding]:
    for j, option in enumerate(problem.options):
        if option.min_up_hours < 2:
            continue
        needed = np.array([option.running(int(count)) for count in solution.survivors[j]])
        hours = np.flatnonzero(solution.running[j] > needed).tolist()
        if hours:
            stay = float(option.min_up_hours)
            words = (
                f"{setting(option.name)} runs more than it needs {when(problem.hours, hours)}: it stays {stay:g} hours"
            )
            yield Binding("min_up", option.name, stay, None, words)


def used_of_last(problem: PlanProblem, solution: Solution, j: int, t: int) -> float:
    """What share of a fleet's last instance is needed, the others being full? 1: all of it.

    Parameters
    ----------
    problem
        What is asked.
    solution
        The plan; the fleet has at least one instance that no loss takes.
    j
        The option.
    t
        The hour.
    """
    count = int(solution.survivors[j, t])
    carried = load(problem.options[j], problem.demand_rps[:, t], solution.share[:, j, t], count)
    return max(0.0, carried - (count - 1))


def _whole_instances(problem: PlanProblem, solution: Solution) -> Iterator[Binding]:
    """What is spent on capacity that no request needs, over the month, and where it is most at once."""
    idle: dict[tuple[int, int], float] = {}
    for j, t in np.argwhere(solution.survivors > 0).tolist():
        used = min(1.0, used_of_last(problem, solution, j, t))
        idle[j, t] = (1 - used) * float(problem.options[j].usd_per_hour[t])
    spent = sum(usd_h * float(problem.weight_h[t]) for (_, t), usd_h in idle.items())
    if spent <= LEAST_IDLE * solution.usd_per_month:
        return
    j, t = max(idle, key=lambda place: idle[place])
    used = min(1.0, used_of_last(problem, solution, j, t))
    words = (
        f"instances come whole: {usd(spent)} a month ({per_cent(spent / solution.usd_per_month)}) is for spare room; "
        f"of the last {setting(problem.options[j].name)}, {per_cent(used)} is needed {when(problem.hours, [t])}"
    )
    yield Binding("whole_instances", problem.options[j].name, used, None, words)
