"""The same question with one thing changed: other objectives, another floor of accuracy."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from optimizer.evidence import LIMIT, Capacity
from optimizer.problem import CapacityCurve, Option, PlanProblem
from optimizer.settings import expand
from simulator.clock import NS_PER_MS, ms_from_ns

if TYPE_CHECKING:
    from optimizer.plan_file import Question
    from optimizer.plan_spec import PlanWorkload
    from optimizer.settings import Setting

Curves = Callable[["Question", Sequence["Setting"]], Sequence[CapacityCurve]]
"""Finds capacity curves by simulation: :func:`optimizer.capacity.capacity_curves` with its folder and processes."""


def with_scaled_objectives(question: Question, factor: float) -> Question:
    """The question with every objective of every workload multiplied."""
    workloads = {}
    for name, workload in question.workloads.items():
        changed = {f"{key}_ns": max(1, round(ns * factor)) for key, ns in workload.slo.targets_ns.items()}
        workloads[name] = workload.model_copy(update={"slo": workload.slo.model_copy(update=changed)})
    return _with_workloads(question, workloads)


def with_objective(question: Question, workload: str, objective: str, target_ms: float) -> Question:
    """The question with one objective (``p99``) of one workload changed.

    Percentiles above it are moved along where they would be faster than it.
    """
    asked = question.workloads[workload]
    order = ("p50", "p90", "p95", "p99", "p999")
    target_ns = round(target_ms * NS_PER_MS)
    changed = {f"{objective}_ns": target_ns}
    if objective in order:
        higher = order[order.index(objective) + 1 :]
        changed |= {
            f"{key}_ns": max(asked.slo.targets_ns[key], target_ns) for key in higher if key in asked.slo.targets_ns
        }
    slo = asked.slo.model_copy(update=changed)
    return _with_workloads(question, {workload: asked.model_copy(update={"slo": slo})})


def with_floor(question: Question, workload: str, floor: float) -> Question:
    """The question with another least accuracy of the answers to a workload."""
    asked = question.workloads[workload].model_copy(update={"min_accuracy": floor})
    return _with_workloads(question, {workload: asked})


def _with_workloads(question: Question, changed: Mapping[str, PlanWorkload]) -> Question:
    workloads = {name: changed.get(name, workload) for name, workload in question.workloads.items()}
    return replace(question, file=question.file.model_copy(update={"workloads": workloads}))


def tightest_objectives(
    question: Question, found: Sequence[Capacity], used: Sequence[str]
) -> dict[str, tuple[str, float]]:
    """Which objective of each workload decides what the plan's fleets carry, and what is its target in ms?

    Parameters
    ----------
    question
        The plan file.
    found
        What is known about each setting.
    used
        Names of the settings in the plan.

    Returns
    -------
    dict
        Without workloads whose capacities are stated, or end where the accelerators are full before any objective.
    """
    tightest = {}
    for name, workload in question.workloads.items():
        votes = Counter(
            point.binding
            for capacity in found
            if capacity.setting.name in used and name in capacity.evidence
            for point in capacity.evidence[name].points
            if point.binding != LIMIT
        )
        known = [(count, key) for key, count in votes.items() if key in workload.slo.targets_ns]
        if known:
            objective = max(known)[1]
            tightest[name] = objective, ms_from_ns(workload.slo.targets_ns[objective])
    return tightest


def looser_problem(
    question: Question, problem: PlanProblem, found: Sequence[Capacity], curves: Curves
) -> Callable[[str, str, float], PlanProblem]:
    """How does the problem look when an objective is later by some ms?

    Parameters
    ----------
    question, problem
        What was asked, with the capacities that the plan was proven with.
    found
        What is known about each setting, before proofs took capacities down.
    curves
        Simulates.

    Returns
    -------
    Callable
        Of a workload, an objective (``p99``) and the ms by which it is later. What proofs took off a capacity stays
        off: the looser curve is the old one, times what the simulation of the looser objective adds.
    """
    before = {capacity.setting.name: capacity.curve for capacity in found}

    def looser(workload: str, objective: str, more_ms: float) -> PlanProblem:
        target_ms = ms_from_ns(question.workloads[workload].slo.targets_ns[objective]) + more_ms
        changed = with_objective(question, workload, objective, target_ms)
        settings = [
            replace(setting, workloads=(workload,))
            for setting in expand(changed)
            if setting.simulated and workload in setting.workloads
        ]
        after = dict(zip((one.name for one in settings), curves(changed, settings), strict=True))
        row = problem.workloads.index(workload)
        options = []
        for option in problem.options:
            name = option.detail.name if option.detail is not None else option.name
            served = bool(option.curve.rps_per_instance[row].any()) or not _narrowed(option)
            known = name in after and name in before and served
            options.append(_with_gain(option, row, before[name], after[name]) if known else option)
        return replace(problem, options=tuple(options))

    return looser


def _narrowed(option: Option) -> bool:
    """Whether the option is a fleet of its own for some workloads of a setting, made because together they missed."""
    return option.detail is not None and option.name != option.detail.name


def _with_gain(option: Option, row: int, before: CapacityCurve, after: CapacityCurve) -> Option:
    """The option with one row times what the looser objective adds, at every count; never less than it had."""
    counts = np.unique(np.concatenate([option.curve.instances, before.instances, after.instances]))
    rates = option.curve.rps_per_instance[:, [option.curve.segment(int(count)) for count in counts]].copy()
    old = before.rps_per_instance[row, [before.segment(int(count)) for count in counts]]
    new = after.rps_per_instance[row, [after.segment(int(count)) for count in counts]]
    gain = np.divide(new, old, out=np.ones_like(new), where=old > 0)
    rates[row] = np.where(old > 0, rates[row] * np.maximum(gain, 1.0), new)
    return replace(option, curve=CapacityCurve(counts, rates))
