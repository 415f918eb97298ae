"""The library's one obvious verb for planning: :func:`optimize` a question, get a plan that was simulated.

>>> from optimizer.plan_file import load_plan
>>> plan = optimize(load_plan("scenarios/plan_mix.yaml"))  # doctest: +SKIP
>>> plan.status, plan.met  # doctest: +SKIP
('optimal', True)
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from calibration.console import Unwatched, Watch
from calibration.problems import InputError
from optimizer import prove as proof
from optimizer.capacity import capacities, capacity_curves
from optimizer.demand import Demand, demand
from optimizer.explain import explain as explained
from optimizer.infeasible import what_to_relax
from optimizer.plan import Binding, Plan
from optimizer.plan_of import plan_of
from optimizer.problem import PlanProblem
from optimizer.problem_of import problem_of
from optimizer.prove import Proven, levelled
from optimizer.settings import expand
from optimizer.shadow_price import shadow_prices
from optimizer.simulations import Simulations, simulated
from optimizer.solution import NoPlanInTimeError, Solution
from optimizer.solve import solve
from optimizer.variations import looser_problem, tightest_objectives
from simulator.clock import s_from_ns
from simulator.wording import percent

if TYPE_CHECKING:
    from optimizer.evidence import Capacity
    from optimizer.explanation import Explanation
    from optimizer.plan_file import Question


def optimize(
    question: Question,
    *,
    jobs: int | None = None,
    cluster: str | None = None,
    cache: Path | None = None,
    watch: Watch | None = None,
    prove: bool = True,
    explain: bool = True,
    alternatives: bool = True,
) -> Plan:
    """Which fleets hold every objective at the least cost, and why these?

    Parameters
    ----------
    question
        As :func:`optimizer.plan_file.load_plan` gives it.
    jobs, cluster
        Where simulations run: processes of this machine, or the Dask scheduler at that address. The numbers are the
        same to the last bit.
    cache
        Folder where capacities are kept, and where an interrupted search goes on; None keeps none.
    watch
        Is told how far the work is.
    prove
        Whether the plan is simulated, and mended where it misses. A plan that was not says so.
    explain
        Whether it is asked what else would be possible, by solving again.
    alternatives
        Whether that includes other plans that cost nearly as little.

    Raises
    ------
    InputError
        The time limit passed before any plan was found; or no cluster answers at that address.
    """
    watch = watch or Unwatched()
    timing: dict[str, float] = {}
    settings, asked = expand(question), demand(question)
    unknown = sum(one.simulated for one in settings)
    if unknown:
        watch.stage(f"finding what {_number(unknown, 'setting')} can carry")
    with _timed(timing, "capacity"):
        found = capacities(question, settings, jobs=jobs, cluster=cluster, cache=cache, watch=watch)
    problem = problem_of(question, settings, [one.curve for one in found], asked)
    watch.stage("looking for the cheapest plan")
    with _timed(timing, "solve"):
        solution = _solved(question, problem)
    simulations = Simulations(question, jobs, cluster, watch)
    proven = Proven(problem, solution)
    if prove:
        if unknown:
            watch.stage("simulating the plan")
        with _timed(timing, "prove"):
            proven = proof.prove(question, problem, solution, simulations=simulations)
    plan = plan_of(question, proven)
    curves = partial(capacity_curves, jobs=jobs, cluster=cluster, cache=cache)
    with _timed(timing, "explain"):
        if not plan.feasible:
            plan = replace(plan, binding=_why_not(question, proven, found))
        elif explain:
            simulated_too = simulations if prove else None
            why = _why(question, proven, found, simulated_too, curves, near_optimal=alternatives, watch=watch)
            plan = replace(plan, explanation=why)
    return replace(
        plan,
        capacity=tuple(_capacity(found)),
        warnings=tuple(_warnings(question, proven, prove)),
        assumptions=_assumptions(question, asked, proven),
        timing_s=timing,
    )


@contextmanager
def _timed(timing: dict[str, float], name: str) -> Iterator[None]:
    """Add the wall time of what is inside."""
    begun = time.perf_counter()
    yield
    timing[name] = time.perf_counter() - begun


def _solved(question: Question, problem: PlanProblem) -> Solution:
    spec = question.file.plan
    limit_s = s_from_ns(spec.time_limit_ns)
    try:
        return solve(problem, gap=spec.gap, time_limit_s=limit_s)
    except NoPlanInTimeError as error:
        remedy = "Allow more time, or search fewer settings."
        rule = "passed before any plan was found, or was proven to be impossible"
        raise InputError([question.problem("plan.time_limit", rule, f"{limit_s:g} s", remedy)]) from error


def _why_not(question: Question, proven: Proven, found: Sequence[Capacity]) -> tuple[Binding, ...]:
    """What leaves no plan."""
    if proven.met is False:
        where, hour = next((j, t) for (j, t), shown in proven.shown.items() if not shown.met)
        problem = proven.problem
        rounds = len(proven.rounds)
        words = (
            f"{problem.options[where].name} missed an objective at {problem.hours[hour]} in each of {rounds} rounds of "
            "simulating, tightening and solving again, and its limits leave no room for more instances"
        )
        return (Binding("proof", problem.options[where].name, float(rounds), None, words),)
    refusals = [(one.setting.name, refusal) for one in found for refusal in one.refusals]
    return what_to_relax(question, proven.problem, proven.solution, refusals)


def _why(
    question: Question,
    proven: Proven,
    found: Sequence[Capacity],
    simulations: Simulations | None,
    curves: Any,
    *,
    near_optimal: bool,
    watch: Watch,
) -> Explanation:
    """Why it is this plan. With ``simulations`` what else is shown is simulated, too."""
    problem, solution = proven.problem, proven.solution
    used = {option.detail.name for option, row in zip(problem.options, solution.running, strict=True) if row.any()}
    refusals: dict[str, list[str]] = {}
    for one in found:
        sentences = refusals.setdefault(one.setting.candidate.name, [])
        sentences += [refusal.sentence for refusal in one.refusals if refusal.sentence not in sentences]

    def mended(other: PlanProblem, its: Solution) -> tuple[Solution, bool | None]:
        again = proof.prove(question, other, its, simulations=simulations, most_rounds=0)
        return again.solution, again.met

    def tried(other: PlanProblem, its: Solution) -> tuple[Solution, frozenset[int] | None]:
        assert simulations is not None, "asked only where plans are simulated"
        its = levelled(other, its)
        shown = simulated(simulations, other, its, len(proven.rounds))
        return its, frozenset(t for (_, t), one in shown.items() if not one.met) if shown else None

    return explained(
        problem,
        solution,
        usd_per_rps_h=shadow_prices(problem, solution),
        objectives=tightest_objectives(question, found, sorted(used)),
        looser=looser_problem(question, problem, found, curves),
        mend=None if simulations is None else mended,
        simulate=None if simulations is None else tried,
        refusals=refusals,
        near_optimal=near_optimal,
        watch=watch,
        gap=question.file.plan.gap,
        time_limit_s=s_from_ns(question.file.plan.time_limit_ns),
    )


def _capacity(found: Sequence[Capacity]) -> Iterator[Mapping[str, Any]]:
    """What was found out about each setting, by workload."""
    for one in found:
        setting = one.setting
        about = {"setting": setting.name, "candidate": setting.candidate.name}
        for workload, rps in (setting.candidate.capacity_rps or {}).items():
            yield {**about, "workload": workload, "stated_rps": rps}
        for workload, evidence in one.evidence.items():
            why = None if evidence.refusal is None else evidence.refusal.sentence
            seen = {"ceiling_rps": evidence.ceiling_rps, "points": evidence.points, "refusal": why}
            yield {**about, "workload": workload, **seen}


def _warnings(question: Question, proven: Proven, proved: bool) -> Iterator[str]:
    yield from map(str, question.warnings)
    used = {option.detail.profile: option.detail for option in proven.problem.options if option.detail.simulated}
    for name, setting in used.items():
        yield from (f"profile {name}: {warning}" for warning in setting.model.warnings)
    if not proved and used:
        yield "this plan was not simulated: its objectives hold by capacity curves only"
    missed = sum(bool(one.misses) for one in proven.rounds)
    if proven.solution.status == "infeasible" and missed:
        yield (
            f"{_number(missed, 'plan')} missed an objective when simulated; with the capacities that this left there "
            "is no plan"
        )
    if proven.solution.status == "feasible" and proven.met is not False:
        gap = percent(proven.solution.gap)
        yield f"the plan may be up to {gap} dearer than the cheapest one: time was up before more was known"


def _assumptions(question: Question, asked: Demand, proven: Proven) -> dict[str, str]:
    """What the numbers rest on."""
    lines = {f"price {name}": price.note for name, price in question.prices.items()}
    if asked.notes:
        lines["traffic"] = "; ".join(asked.notes)
    runs = question.file.plan.replications
    if proven.shown:
        lines["proof"] = (
            f"every fleet of every hour simulated at least {runs} times, twice as often in its fullest hour, with "
            "seeds that the search has not seen; an objective is met when one more such run would hold it in 39 of 40 "
            "cases"
        )
    lines["seed"] = str(question.file.seed)
    return lines


def _number(count: int, what: str) -> str:
    return f"{count:,} {what}{'s' * (count != 1)}"
