"""From a plan file's question to arrays: settings with their curves become options, limits become quotas."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from optimizer.problem import CapacityCurve, Option, PlanProblem, Quota

if TYPE_CHECKING:
    from optimizer.demand import Demand
    from optimizer.plan_file import Question
    from optimizer.settings import Setting

GIB = 1 << 30
NS_PER_HOUR = 3_600 * 10**9


def problem_of(
    question: Question, settings: Sequence[Setting], curves: Sequence[CapacityCurve | None], demand: Demand
) -> PlanProblem:
    """Which arrays state this question?

    Parameters
    ----------
    question
        The plan file.
    settings
        What is searched, as :func:`optimizer.settings.expand` gives it.
    curves
        What instances of each setting carry, a row for each workload of the file; None where the capacity is stated.
    demand
        What is asked when.

    Returns
    -------
    PlanProblem
        One option a setting, in their order; ``Option.detail`` is the setting.

    Raises
    ------
    ValueError
        Settings and curves are not of the same number.
    """
    options = tuple(
        _option(question, setting, curve if curve is not None else stated_curve(question, setting), len(demand.hours))
        for setting, curve in zip(settings, curves, strict=True)
    )
    floors = [workload.min_accuracy for workload in question.workloads.values()]
    return PlanProblem(
        workloads=tuple(question.workloads),
        options=options,
        hours=demand.hours,
        weight_h=demand.weight_h,
        demand_rps=demand.demand_rps,
        quotas=tuple(_quotas(question, options)),
        min_accuracy=_numbers(floors) if any(floor is not None for floor in floors) else np.zeros(0),
        max_usd_per_hour=question.file.plan.max_usd_per_hour,
        cyclic=demand.cyclic,
    )


def stated_curve(question: Question, setting: Setting) -> CapacityCurve:
    """What does the file say that instances carry? The same each, however many there are; 0 where it says nothing.

    Raises
    ------
    ValueError
        The capacity of this setting is found by simulation.
    """
    stated = setting.candidate.capacity_rps
    if stated is None:
        raise ValueError(f"{setting.name}: the file states no capacity")
    return CapacityCurve(np.array([1]), np.array([[stated.get(name, 0.0)] for name in question.workloads]))


def _option(question: Question, setting: Setting, curve: CapacityCurve, hours: int) -> Option:
    candidate, survive = setting.candidate, question.file.plan.survive
    fees = [candidate.usd_per_request_of(workload) for workload in question.workloads.values()]
    return Option(
        name=setting.name,
        candidate=candidate.name,
        curve=curve,
        usd_per_hour=np.full(hours, setting.usd_per_hour),
        usd_per_request=np.array(fees),
        accuracy=_numbers([candidate.accuracy_of(name) for name in question.workloads]),
        memory_gib=np.array([candidate.model_bytes_of(name) / GIB for name in question.workloads]),
        device_memory_gib=math.inf if candidate.memory_bytes is None else candidate.memory_bytes / GIB,
        max_instances=_most(question, setting),
        spare=1 if survive == "instance" else 0,
        zones=candidate.zones if survive == "zone" else 1,
        start_usd=candidate.start_usd,
        min_up_hours=math.ceil(candidate.min_up_ns / NS_PER_HOUR),
        detail=setting,
    )


def _most(question: Question, setting: Setting) -> int | None:
    """The tightest limit that one setting alone must keep to."""
    limits = [
        quota.max_instances
        for quota in question.file.plan.quotas.values()
        if setting.candidate.name in quota.candidates
    ]
    limits += [] if setting.candidate.max_instances is None else [setting.candidate.max_instances]
    return min(limits, default=None)


def _quotas(question: Question, options: Sequence[Option]) -> Iterator[Quota]:
    """Limits of the file over several options; those of one alone are its ``max_instances``."""
    limits: list[tuple[str, tuple[str, ...], int]] = [
        (f"max_instances of {candidate.name}", (candidate.name,), candidate.max_instances)
        for candidate in question.candidates
        if candidate.max_instances is not None
    ]
    limits += [
        (f"quota {name}", spec.candidates, spec.max_instances) for name, spec in question.file.plan.quotas.items()
    ]
    for name, candidates, most in limits:
        members = tuple(j for j, option in enumerate(options) if option.candidate in candidates)
        if len(members) > 1:
            yield Quota(name, members, most)


def _numbers(values: Sequence[float | None]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Numbers, NaN for None."""
    return np.array([math.nan if value is None else value for value in values])
