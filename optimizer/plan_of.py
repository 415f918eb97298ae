"""From a proven solution to the plan that is shown: arrays become fleets with names, checks become verdicts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from optimizer.check import WorkloadCheck
from optimizer.plan import Plan, PlannedFleet, Verified
from optimizer.problem import Option, PlanProblem
from optimizer.prove import Proven
from optimizer.simulations import Place, fullness
from optimizer.solution import Solution, usd_of_hours, usd_per_month
from simulator.describe import span_words

if TYPE_CHECKING:
    from optimizer.plan_file import Question
    from optimizer.settings import Setting
    from simulator.fleet_spec import Batching


def plan_of(question: Question, proven: Proven) -> Plan:
    """Which plan does this solution amount to? Of a solution that does not hold, none.

    Without ``binding`` and explanation, which others find.
    """
    problem, solution = proven.problem, proven.solution
    there = solution.status != "infeasible" and proven.met is not False
    hourly = 1 / problem.month_h
    return Plan(
        name=question.file.name,
        status=solution.status if there else "infeasible",
        usd_per_hour=solution.usd_per_month * hourly if there else None,
        usd_per_month=solution.usd_per_month if there else None,
        lower_bound_usd_per_hour=solution.lower_bound_usd_per_month * hourly if there else None,
        gap=solution.gap if there else None,
        workloads=problem.workloads,
        hours=problem.hours,
        weight_h=tuple(problem.weight_h.tolist()),
        demand_rps={name: tuple(row) for name, row in zip(problem.workloads, problem.demand_rps.tolist(), strict=True)},
        usd_by_hour=tuple(usd_of_hours(problem, solution.running, solution.share).tolist()) if there else (),
        fleets=tuple(_fleets(problem, solution, proven)) if there else (),
        verified=_verified(proven) if there else None,
        rounds=proven.rounds,
    )


def batching_json(batching: Batching) -> dict[str, Any]:
    """Batch settings as a scenario writes them."""
    shown: dict[str, Any] = {"policy": batching.policy}
    if batching.policy == "dynamic":
        shown["rule"] = batching.rule
    if "max_batch_size" in batching.model_fields_set:
        shown["max_batch_size"] = batching.max_batch_size
    if batching.policy == "dynamic":
        shown["max_queue_delay"] = span_words(batching.max_queue_delay_ns).replace(" ", "")
    if batching.preferred_batch_sizes:
        shown["preferred_batch_sizes"] = list(batching.preferred_batch_sizes)
    return shown


def _fleets(problem: PlanProblem, solution: Solution, proven: Proven) -> Iterator[PlannedFleet]:
    requests = (problem.demand_rps * problem.weight_h).sum(axis=1)
    for j, option in enumerate(problem.options):
        running = solution.running[j]
        if not running.any():
            continue
        setting: Setting = option.detail
        shares = solution.share[:, j]
        monthly = (shares * problem.demand_rps * problem.weight_h).sum(axis=1)
        month = {b: float(monthly[b] / requests[b]) if requests[b] else 0.0 for b in range(len(requests))}
        busiest = int(running.max())
        seen = [shown.whole for (option_j, _), shown in proven.shown.items() if option_j == j]
        yield PlannedFleet(
            name=option.name,
            candidate=option.candidate,
            instance_type=setting.candidate.instance_type,
            instances=busiest,
            instances_by_hour=tuple(running.tolist()),
            purchase={setting.candidate.purchase: busiest},
            batching=batching_json(setting.batching) if setting.simulated else None,
            model_instances=setting.model_instances if setting.simulated else None,
            share={name: month[b] for b, name in enumerate(problem.workloads)},
            share_by_hour={
                name: tuple(shares[b].tolist()) for b, name in enumerate(problem.workloads) if shares[b].any()
            },
            usd_per_hour=_usd_per_hour(problem, solution, j),
            load=max((fullness(problem, solution, j, t) for t in np.flatnonzero(running).tolist()), default=0.0),
            utilisation=max((one.offered_load for one in seen), default=None),
            busy=max((one.busy for one in seen), default=None),
        )


def _usd_per_hour(problem: PlanProblem, solution: Solution, j: int) -> float:
    """What one option's fleet costs on average; over all options the cost of the plan."""
    running, share = np.zeros_like(solution.running), np.zeros_like(solution.share)
    running[j], share[:, j] = solution.running[j], solution.share[:, j]
    return usd_per_month(problem, running, share) / problem.month_h


def _verified(proven: Proven) -> dict[str, Verified | None] | None:
    """By workload; None when nothing was simulated."""
    if not proven.shown:
        return None
    problem = proven.problem
    return {name: _of_workload(proven, b, name) for b, name in enumerate(problem.workloads)}


def _of_workload(proven: Proven, b: int, name: str) -> Verified | None:
    """The worst that simulation showed of a workload; None where nothing of it was simulated."""
    problem, shown = proven.problem, proven.shown
    whole: dict[Place, WorkloadCheck] = {}
    lossy: dict[Place, WorkloadCheck] = {}
    for place, found in shown.items():
        if name in found.whole.workloads:
            whole[place] = found.whole.workloads[name]
        if found.after_loss is not None and name in found.after_loss.workloads:
            lossy[place] = found.after_loss.workloads[name]
    if not whole:
        return None
    everywhere = [*whole.values(), *lossy.values()]
    worst = max(whole, key=lambda place: whole[place].excess)
    targets = whole[worst].targets_ms
    values, intervals, one_run = {}, {}, {}
    for key in targets:
        nearest = max(whole.values(), key=lambda one: one.one_run_ms[key])
        values[key], intervals[key] = nearest.values_ms[key], nearest.ci95[key]
        one_run[key] = nearest.one_run_ms[key]
    return Verified(
        targets_ms=targets,
        values_ms=values,
        ci95=intervals,
        one_run_ms=one_run,
        met=all(one.met for one in everywhere) and not any(shown[place].whole.full for place in whole),
        attainment=min(one.attainment for one in everywhere),
        fleet=problem.options[worst[0]].name,
        hour=problem.hours[worst[1]],
        hours=len({t for _, t in whole}),
        replications=min(shown[place].whole.replications for place in whole),
        requests=sum(one.requests for one in everywhere),
        after_loss_ms={key: max(one.values_ms[key] for one in lossy.values()) for key in targets} if lossy else {},
        stated_share=_stated_share(problem, proven.solution, b),
    )


def _stated_share(problem: PlanProblem, solution: Solution, b: int) -> float:
    """Share of a workload's requests, over the month, that goes where the capacity is stated."""
    requests: Mapping[bool, float] = {
        simulated: float(sum(_requests(problem, solution, b, j) for j in _with(problem, simulated)))
        for simulated in (True, False)
    }
    return requests[False] / max(sum(requests.values()), 1e-300)


def _with(problem: PlanProblem, simulated: bool) -> list[int]:
    options: tuple[Option, ...] = problem.options
    return [j for j, option in enumerate(options) if option.detail.simulated == simulated]


def _requests(problem: PlanProblem, solution: Solution, b: int, j: int) -> float:
    return float(solution.share[b, j] * problem.demand_rps[b] @ problem.weight_h)
