"""Why is there no plan, and what would have to give way, by how much?

First what no limit could mend: a workload whose objectives no candidate meets at any rate, or no candidate that is
accurate enough. Otherwise limits are in the way (:mod:`optimizer.relax`): each is taken away by itself, and where that
makes a plan possible, the nearest value that does is searched for by solving again.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from optimizer.plan import Binding
from optimizer.problem import PlanProblem
from optimizer.relax import Limit, limits_of, of_hours, relaxed, used
from optimizer.solution import NoPlanInTimeError, Solution
from optimizer.solve import solve
from optimizer.wording import usd_per_hour, when
from simulator.wording import listed, milliseconds, percentile

if TYPE_CHECKING:
    from optimizer.evidence import Refusal
    from optimizer.plan_file import Question

TIME_LIMIT_S: Final = 30.0
"""For all searches together."""

ONE_SOLVE_S: Final = 5.0

GAP: Final = 0.02
"""Whether there is a plan matters here, hardly what it costs."""

UNSERVED: Final = 1e-6
"""Share of a workload's requests that counts as some."""

STEPS: Final = 12
"""Halvings on the way to a value that is no whole number."""

Solver = Callable[..., Solution]


def what_to_relax(
    question: Question,
    problem: PlanProblem,
    solution: Solution,
    refusals: Sequence[tuple[str, Refusal]] = (),
    *,
    solver: Solver = solve,
    time_limit_s: float = TIME_LIMIT_S,
) -> tuple[Binding, ...]:
    """What keeps this problem from having a plan? The limits that bind, with the nearest values that would do.

    Parameters
    ----------
    question
        The plan file.
    problem, solution
        What was solved, and that there is no plan.
    refusals
        Settings that cannot serve a workload at any rate, by name, and why.
    solver
        As :func:`optimizer.solve.solve`.
    time_limit_s
        For solving again, all searches together.
    """
    hopeless = (*_objectives(question, problem, refusals), *_accuracies(problem))
    if hopeless:
        return hopeless
    search = _Search(question, problem, solution, solver, time.monotonic() + time_limit_s)
    alone = tuple(search.each_alone())
    if alone:
        return alone
    return tuple(search.all_together()) or (search.nothing(),)


def _objectives(question: Question, problem: PlanProblem, refusals: Sequence[tuple[str, Refusal]]) -> Iterator[Binding]:
    """Workloads that nothing can serve."""
    for b, name in enumerate(problem.workloads):
        if not problem.demand_rps[b].any() or any(o.curve.rps_per_instance[b].any() for o in problem.options):
            continue
        why = [(setting, one) for setting, one in refusals if one.workload == name]
        if not why:
            words = f"no fleet holds the objectives of {name} when it is simulated, however little it gets"
            yield Binding("slo", name, None, None, words)
            continue
        setting, least = min(why, key=lambda one: one[1].least_ms / one[1].target_ms)
        asked, takes = _two_times(least.target_ms, least.least_ms)
        begin = f"no candidate meets {percentile(least.objective)} <= {asked} for {name}"
        if least.cause == "service":
            words = f"{begin}: service alone takes {takes}{_at_batch(question, setting, name)} (least on {setting})"
        else:
            words = (
                f"{begin}: requests wait for a batch or for one another, at the lightest load for {takes} "
                f"(least on {setting})"
            )
        yield Binding("slo", name, least.target_ms, _rounded_up(least.least_ms), words)


def _at_batch(question: Question, setting: str, workload: str) -> str:
    """Of how many items the smallest batch is, where that is one number."""
    from optimizer.settings import expand

    found = next((one for one in expand(question) if one.name == setting), None)
    items = tuple(question.workloads[workload].item_shares)
    if found is None or len(items) > 1:
        return ""
    static = found.batching.policy == "static" and "max_batch_size" in found.batching.model_fields_set
    return f" at batch {found.batching.max_batch_size if static else items[0]}"


def _two_times(target_ms: float, least_ms: float) -> tuple[str, str]:
    """Both in words, to as many digits as it takes to tell them apart."""
    asked, takes = milliseconds(target_ms), milliseconds(least_ms)
    return (asked, takes) if asked != takes else (f"{target_ms:.6g} ms", f"{least_ms:.6g} ms")


def _rounded_up(value: float) -> float:
    """To three digits, upwards: a limit that one would write.

    >>> _rounded_up(24.0312), _rounded_up(118.2), _rounded_up(24.0)
    (24.1, 119.0, 24.0)
    """
    step = 10.0 ** (math.floor(math.log10(value)) - 2)
    return float(f"{math.ceil(value / step - 1e-9) * step:.3g}")


def _accuracies(problem: PlanProblem) -> Iterator[Binding]:
    """Workloads whose floor is above the best answer that a candidate can give within the objectives."""
    for b, floor in enumerate(problem.floors.tolist()):
        able = [option for option in problem.options if option.curve.rps_per_instance[b].any()]
        if math.isnan(floor) or not problem.demand_rps[b].any():
            continue
        best = max(able, key=lambda option: float(np.nan_to_num(option.accuracy[b])))
        reached = float(np.nan_to_num(best.accuracy[b]))
        if reached < floor:
            words = (
                f"no candidate that meets the objectives of {problem.workloads[b]} is accurate enough: the best has "
                f"{reached:g} ({best.candidate}), asked {floor:g}"
            )
            yield Binding("accuracy", problem.workloads[b], floor, reached, words)


class _Search:
    """Limits taken away one at a time, in the hours that have no plan."""

    def __init__(
        self, question: Question, problem: PlanProblem, solution: Solution, solver: Solver, deadline: float
    ) -> None:
        short = solution.unserved > UNSERVED
        hours = np.flatnonzero(short.any(axis=0)).tolist()
        coupled = any(option.keeps_instances for option in problem.options) or not hours
        self._problem = problem if coupled else of_hours(problem, hours)
        self._limits = limits_of(question, self._problem)
        self._candidates = len(question.candidates)
        self._solver, self._deadline = solver, deadline
        lost = (problem.demand_rps * np.where(short, solution.unserved, 0.0)).sum(axis=0)
        self._hour = int(np.argmax(lost)) if len(lost) else 0
        rows = np.flatnonzero(short[:, self._hour])
        asked = problem.demand_rps[rows, self._hour]
        self._names = [problem.workloads[b] for b in rows]
        self._asked = float(asked.sum())
        self._carried = float((asked * (1 - solution.unserved[rows, self._hour])).sum())
        self._when = when(problem.hours, [self._hour])

    def each_alone(self) -> Iterator[Binding]:
        """Limits of which a single one giving way is enough, with the nearest value."""
        for limit in self._limits:
            found = self._solve([(limit, limit.free)])
            if found is None:
                continue
            needed = self._nearest(limit, found)
            yield Binding(limit.kind, limit.where, limit.value, needed, self._words(limit, needed))

    def all_together(self) -> Iterator[Binding]:
        """Limits that must give way together; what a plan without any would use of each."""
        found = self._solve([(limit, limit.free) for limit in self._limits])
        if found is None:
            return
        for limit in self._limits:
            needed = used(limit, self._problem, found)
            if needed is None or limit.value is None or limit.exceeded(needed):
                others = "; other limits must give way with it"
                yield Binding(limit.kind, limit.where, limit.value, needed, self._words(limit, needed) + others)

    def nothing(self) -> Binding:
        """What is left to say where no limit was found to be in the way."""
        return Binding("capacity", self._when, self._asked, self._carried, f"the candidates carry {self._part()}")

    def _solve(self, changes: Sequence[tuple[Limit, float | None]]) -> Solution | None:
        """A plan with these limits changed, or None: there is none, or none was found in time."""
        left_s = min(ONE_SOLVE_S, self._deadline - time.monotonic())
        if left_s <= 0:
            return None
        try:
            found = self._solver(relaxed(self._problem, changes, self._limits), gap=GAP, time_limit_s=left_s)
        except NoPlanInTimeError:
            return None
        return None if found.status == "infeasible" else found

    def _nearest(self, limit: Limit, found: Solution) -> float | None:
        """The nearest value of a limit with which there is a plan; ``found`` is a plan without the limit."""
        enough = used(limit, self._problem, found)
        if enough is None or limit.value is None:
            return None
        short, steps = limit.value, 0
        while steps < STEPS or limit.whole:
            middle = (short + enough) / 2
            middle = float(math.floor(middle)) if limit.whole else middle
            if middle <= short and limit.whole:
                break
            between = self._solve([(limit, middle)])
            steps += 1
            if between is None:
                short = middle
            else:
                enough = middle
        return enough if limit.whole else limit.rounded(enough)

    def _part(self) -> str:
        names = f" of {listed(self._names)}" if self._names else ""
        return f"{self._carried:.4g} of the {self._asked:.4g} requests/s{names} asked {self._when}"

    def _words(self, limit: Limit, needed: float | None) -> str:
        nearest = "" if needed is None else f"; {_shown(limit, needed)} would do"
        if limit.kind == "budget":
            assert limit.value is not None, "a budget is a number"
            return f"{usd_per_hour(limit.value)} an hour pays for {self._part()}{nearest}"
        if limit.kind == "accuracy":
            return f"answers to {limit.where} of accuracy {limit.value:g} can be had for {self._part()}{nearest}"
        if limit.kind == "survive":
            return f"after the loss of {limit.where} what is left carries {self._part()}; without that there is a plan"
        if limit.kind == "memory":
            return f"with the models that fit into memory together the candidates carry {self._part()}"
        others = "" if len(limit.candidates) == self._candidates else ", with whatever else may run,"
        return f"{limit.words}{others} carry {self._part()}{nearest}"


def _shown(limit: Limit, value: float) -> str:
    return usd_per_hour(value) if limit.kind == "budget" else f"{value:g}"
