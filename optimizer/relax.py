"""The limits of a planning question, each as something that can be changed and solved again."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from optimizer.problem import PlanProblem, Quota
from optimizer.solution import Solution, usd_of_hours

if TYPE_CHECKING:
    from optimizer.plan_file import Question

Kind = Literal["max_instances", "quota", "budget", "accuracy", "survive", "memory"]


@dataclass(frozen=True)
class Limit:
    """A limit of the plan file."""

    kind: Kind
    where: str
    """Candidate, quota, workload, or what may be lost; ``plan`` for the budget."""
    value: float | None
    """As it stands; None where it is no number."""
    candidates: tuple[str, ...] = ()
    """Whose instances it limits."""

    @property
    def free(self) -> float | None:
        """A value that limits nothing."""
        return 0.0 if self.kind == "accuracy" else None if self.value is None else math.inf

    @property
    def whole(self) -> bool:
        """Whether it counts instances."""
        return self.kind in {"max_instances", "quota"}

    @property
    def words(self) -> str:
        """What may run under it: ``at most 8 of a100``."""
        name = self.where if self.kind == "max_instances" else f"{' and '.join(self.candidates)} (quota {self.where})"
        return f"at most {self.value:g} of {name}"

    def exceeded(self, by: float) -> bool:
        """Whether so much does not keep to it."""
        assert self.value is not None, "only numbers are exceeded"
        return by < self.value * (1 - 1e-9) if self.kind == "accuracy" else by > self.value * (1 + 1e-9)

    def rounded(self, value: float) -> float:
        """To three digits, towards what is easier to keep.

        >>> Limit("budget", "plan", 5.0).rounded(7.2013), Limit("accuracy", "w", 0.95).rounded(0.9177)
        (7.21, 0.917)
        """
        if value <= 0:
            return 0.0
        step = 10.0 ** (math.floor(math.log10(value)) - 2)
        steps = math.floor(value / step + 1e-9) if self.kind == "accuracy" else math.ceil(value / step - 1e-9)
        return float(f"{steps * step:.3g}")


def limits_of(question: Question, problem: PlanProblem) -> tuple[Limit, ...]:
    """Which limits does the file set? Those that a planner would raise first come first."""
    spec = question.file.plan
    found = [Limit("quota", name, float(quota.max_instances), quota.candidates) for name, quota in spec.quotas.items()]
    found += [
        Limit("max_instances", candidate.name, float(candidate.max_instances), (candidate.name,))
        for candidate in question.candidates
        if candidate.max_instances is not None
    ]
    if spec.max_usd_per_hour is not None:
        found.append(Limit("budget", "plan", spec.max_usd_per_hour))
    for b, floor in enumerate(problem.floors.tolist()):
        if not math.isnan(floor):
            found.append(Limit("accuracy", problem.workloads[b], floor))
    if spec.survive != "nothing":
        found.append(Limit("survive", "an instance" if spec.survive == "instance" else "a zone", None))
    if any(option.memory_gib.sum() > option.device_memory_gib for option in problem.options):
        found.append(Limit("memory", "accelerator", None))
    return tuple(found)


def relaxed(
    problem: PlanProblem, changes: Sequence[tuple[Limit, float | None]], limits: Sequence[Limit]
) -> PlanProblem:
    """The same problem with some of its limits changed; None takes a limit without a number away.

    Parameters
    ----------
    problem
        Which may have fleets that the file does not know: limits go by candidate.
    changes
        Limits and their new values.
    limits
        All of them, as :func:`limits_of` gives them.
    """
    values = {limit: limit.value for limit in limits} | dict(changes)
    for limit, value in changes:
        if limit.kind == "budget":
            problem = replace(problem, max_usd_per_hour=None if value is None or math.isinf(value) else value)
        elif limit.kind == "accuracy":
            floors = problem.floors.copy()
            floors[problem.workloads.index(limit.where)] = value if value else np.nan
            problem = replace(problem, min_accuracy=floors)
        elif limit.kind == "survive":
            problem = replace(problem, options=tuple(replace(o, spare=0, zones=1) for o in problem.options))
        elif limit.kind == "memory":
            problem = replace(problem, options=tuple(replace(o, device_memory_gib=math.inf) for o in problem.options))
    if any(limit.whole for limit, _ in changes):
        counts = {limit: value for limit, value in values.items() if limit.whole and value is not None}
        problem = _counted(problem, counts)
    return problem


def _counted(problem: PlanProblem, counts: dict[Limit, float]) -> PlanProblem:
    """The problem with exactly these limits on counts."""
    kept = {limit: int(value) for limit, value in counts.items() if math.isfinite(value)}
    options = tuple(
        replace(
            option,
            max_instances=min(
                (most for limit, most in kept.items() if option.candidate in limit.candidates), default=None
            ),
        )
        for option in problem.options
    )
    quotas = tuple(Quota(limit.where, members(limit, problem), most) for limit, most in kept.items())
    return replace(problem, options=options, quotas=tuple(quota for quota in quotas if len(quota.options) > 1))


def members(limit: Limit, problem: PlanProblem) -> tuple[int, ...]:
    """Options that a limit on instances is about."""
    return tuple(j for j, option in enumerate(problem.options) if option.candidate in limit.candidates)


def used(limit: Limit, problem: PlanProblem, solution: Solution) -> float | None:
    """What does a solution need of a limit, in the hour that needs most? None where it is no number."""
    if limit.whole:
        return float(solution.running[list(members(limit, problem))].sum(axis=0).max(initial=0))
    if limit.kind == "budget":
        return float(usd_of_hours(problem, solution.running, solution.share).max())
    if limit.kind == "accuracy":
        b = problem.workloads.index(limit.where)
        accuracy = np.nan_to_num(np.array([option.accuracy[b] for option in problem.options]))
        asked = problem.demand_rps[b] > 0
        return float((accuracy @ solution.share[b])[asked].min(initial=1.0))
    return None


def of_hours(problem: PlanProblem, hours: Sequence[int]) -> PlanProblem:
    """Some hours of a problem whose hours know nothing of one another."""
    kept = list(hours)
    options = tuple(replace(option, usd_per_hour=option.usd_per_hour[kept]) for option in problem.options)
    return replace(
        problem,
        options=options,
        hours=tuple(problem.hours[t] for t in kept),
        weight_h=problem.weight_h[kept],
        demand_rps=problem.demand_rps[:, kept],
        cyclic=False,
    )
