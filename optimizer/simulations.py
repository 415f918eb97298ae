"""The fleets of a plan as cases to simulate, hour by hour, and what simulation showed of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from calibration.console import Unwatched, Watch
from optimizer.check import FleetCheck, FleetLoadCase, check
from optimizer.problem import PlanProblem
from optimizer.solution import Solution, load
from optimizer.spread import spread

if TYPE_CHECKING:
    from optimizer.plan_file import Question

BUSIEST: Final = 2
"""How many times as many replications the fullest hour of each fleet gets."""


STREAM: Final = 7_919
"""Makes of a plan's seed one for its proof. Searches use another one, which is fixed."""


Place = tuple[int, int]
"""An option and an hour."""


@dataclass(frozen=True)
class Shown:
    """What simulation showed of one fleet in one hour."""

    whole: FleetCheck
    """With everything that runs."""
    after_loss: FleetCheck | None = None
    """With the worst loss taken away; None where the plan need survive none."""

    @property
    def met(self) -> bool:
        """Whether it holds."""
        return self.whole.met and (self.after_loss is None or self.after_loss.met)


@dataclass
class Simulations:
    """Fleets that were simulated, each once however many plans have it."""

    question: Question
    jobs: int | None = None
    cluster: str | None = None
    watch: Watch = field(default_factory=Unwatched)
    known: dict[object, FleetCheck] = field(default_factory=dict)

    def seed(self, number: int) -> int:
        """Seed of a round: another one each, so that no plan is chosen because luck was with it."""
        return int(np.random.SeedSequence((self.question.file.seed, STREAM, number)).generate_state(1)[0])

    def of(self, cases: Sequence[tuple[FleetLoadCase, int]], number: int) -> dict[object, FleetCheck]:
        """What each case shows, by its key; with at least so many replications each. New ones are simulated."""
        wanted = {case.key: (case, runs) for case, runs in sorted(cases, key=lambda one: one[1])}
        new = {
            key: one for key, one in wanted.items() if key not in self.known or self.known[key].replications < one[1]
        }
        pieces = [(check, (case, self.seed(number), runs)) for case, runs in new.values()]
        for done, (key, found) in enumerate(
            zip(new, spread(pieces, jobs=self.jobs, cluster=self.cluster), strict=True), start=1
        ):
            self.known[key] = found
            self.watch.done(done / len(new))
        return {key: self.known[key] for key in wanted}


def simulated(
    simulations: Simulations, problem: PlanProblem, solution: Solution, number: int = 0
) -> dict[Place, Shown]:
    """What does simulation show of every fleet of this solution, hour by hour? Fleets of stated capacity are absent."""
    cases: dict[Place, tuple[FleetLoadCase, FleetLoadCase | None]] = {}
    for j, t in np.argwhere(solution.running > 0).tolist():
        found = cases_of(problem, solution, j, t)
        if found is not None:
            cases[j, t] = found
    runs = simulations.question.file.plan.replications
    hours: dict[int, list[int]] = {}
    for j, t in cases:
        hours.setdefault(j, []).append(t)
    fullest = {(j, max(its, key=lambda t: fullness(problem, solution, j, t))) for j, its in hours.items()}
    wanted = [
        (case, runs * (BUSIEST if place in fullest else 1))
        for place, both in cases.items()
        for case in both
        if case is not None
    ]
    checks = simulations.of(wanted, number)
    return {
        place: Shown(checks[whole.key], None if lossy is None else checks[lossy.key])
        for place, (whole, lossy) in cases.items()
    }


def cases_of(
    problem: PlanProblem, solution: Solution, j: int, t: int
) -> tuple[FleetLoadCase, FleetLoadCase | None] | None:
    """A fleet as it runs, and after the worst loss; None where there is nothing to simulate."""
    option = problem.options[j]
    rates = problem.demand_rps[:, t] * solution.share[:, j, t]
    served = {problem.workloads[b]: float(rates[b]) for b in np.flatnonzero(rates)}
    if not served or not option.detail.simulated:
        return None
    whole = {name: float(problem.demand_rps[problem.workloads.index(name), t]) for name in served}
    running = int(solution.running[j, t])
    left = option.survivors(running)
    case = FleetLoadCase(option.detail, running, served, whole)
    return case, replace(case, instances=left) if left < running else None


def fullness(problem: PlanProblem, solution: Solution, j: int, t: int) -> float:
    """Instances' worth of requests that a fleet gets, as a share of what is left of it after a loss."""
    n = int(solution.survivors[j, t])
    return load(problem.options[j], problem.demand_rps[:, t], solution.share[:, j, t], n) / max(n, 1)
