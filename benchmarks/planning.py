"""What is measured of planning: a week of ten models over sixty candidates, stated and solved."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from benchmarks.measure import Lap, Timing, is_busy, load_average
from benchmarks.processes import two_cores_give
from benchmarks.spec import BenchSpec, DisagreementError, Effort, Figure, Outcome
from optimizer.problem import CapacityCurve, Floats, Option, PlanProblem
from optimizer.solution import broken_rules
from optimizer.solve import solve

GAP: Final = 1e-3
LIMIT_S: Final = 60.0

POOLED: Final = {1: 0.55, 2: 0.68, 4: 0.78, 8: 0.86, 16: 0.91, 32: 0.94}
"""Share of its saturation that an instance carries within a p99, by the size of its fleet: more, the more it shares."""


@dataclass(frozen=True)
class Planning:
    """Ten models over sixty candidates: larger ones are cheaper a request, and each suits some models better.

    Everything is drawn once, from one seed, and frozen: changing it makes figures of before and after incomparable.
    """

    hours: int
    models: int = 10
    candidates: int = 60
    seed: int = 0

    def problem(self, *, pooled: bool, apart: bool) -> PlanProblem:
        """The question for the solver.

        Parameters
        ----------
        pooled
            Whether an instance carries more in company, as fleets that were simulated do, or what was stated for it.
        apart
            Whether each model has fleets of its own, as models with profiles of their own do.
        """
        demand, saturation, usd = self._drawn()
        counts = np.array(list(POOLED) if pooled else [1])
        shares = np.array(list(POOLED.values()) if pooled else [1.0])
        options = []
        for j in range(self.candidates):
            rates = saturation[j][:, None] * shares
            fleets = [rates * (np.arange(self.models) == b)[:, None] for b in range(self.models)] if apart else [rates]
            options += [self._option(j, n, CapacityCurve(counts, own), usd[j]) for n, own in enumerate(fleets)]
        hours = tuple(f"hour {t}" for t in range(self.hours))
        names = tuple(f"model {b}" for b in range(self.models))
        return PlanProblem(names, tuple(options), hours, np.full(self.hours, 730 / self.hours), demand)

    def scenario(self) -> str:
        """The plan file of the first hour, with stated capacities, that ``optimize`` runs."""
        demand, saturation, usd = self._drawn()
        workloads = [
            f"  model-{b}: {{arrivals: {{process: poisson, rate: {demand[b, 0]:.6g}}}, slo: {{p99: 200ms}}}}"
            for b in range(self.models)
        ]
        candidates = []
        for j in range(self.candidates):
            rates = ", ".join(f"model-{b}: {saturation[j, b]:.6g}" for b in range(self.models))
            candidates.append(f"    - {{name: c{j}, usd_per_hour: {usd[j]:.6g}, capacity_rps: {{{rates}}}}}")
        lines = [
            f"# Benchmark: {self.models} models over {self.candidates} candidates, one hour of {self.hours}.",
            *("schema: 1", f"name: planning-{self.hours}", "workloads:", *workloads),
            *("plan:", "  candidates:", *candidates),
        ]
        return "\n".join(lines) + "\n"

    def _drawn(self) -> tuple[Floats, Floats, Floats]:
        """Demand (B, T), requests per second of a saturated instance (J, B), and dollars an hour (J,)."""
        rng = np.random.default_rng(self.seed)
        model_rps = np.exp(rng.normal(np.log(40), 0.8, self.models))
        speed = np.exp(rng.uniform(0, np.log(20), self.candidates))
        usd = 0.5 * speed**0.85 * np.exp(rng.normal(0, 0.15, self.candidates))
        suits = np.exp(rng.normal(0, 0.25, (self.candidates, self.models)))
        level = np.exp(rng.normal(np.log(800), 1, self.models))
        swing = rng.uniform(0.5, 1, (self.models, 1))
        noise = np.exp(rng.normal(0, 0.05, (self.models, self.hours)))
        day = 1 + 0.6 * np.sin(2 * np.pi * (np.arange(self.hours) - 9) / 24) * swing
        return level[:, None] * day * noise, model_rps * speed[:, None] * suits, usd

    def _option(self, j: int, fleet: int, curve: CapacityCurve, usd: float) -> Option:
        nothing = np.zeros(self.models)
        name = f"c{j} fleet {fleet}"
        return Option(name, f"c{j}", curve, np.full(self.hours, usd), nothing, np.full(self.models, np.nan), nothing)


QUESTIONS: Final = {
    "stated capacities": {"pooled": False, "apart": False},
    "a fleet for each model": {"pooled": True, "apart": True},
    "pooled fleets for all models": {"pooled": True, "apart": False},
}
"""Two that people have, and the hardest that can be asked: every model on every fleet, and fleets that pool."""


def measure_plan(spec: BenchSpec, effort: Effort) -> Outcome:
    """Build and solve each question once a round, to a gap of 0.1 %, with a time limit of 60 s."""
    work = spec.build(effort.sizes[-1])
    assert isinstance(work, Planning)
    load, possible = load_average(), two_cores_give()
    timings, figures = [], []
    notes = [
        f"{work.models} models, {work.candidates} candidates, {work.hours} hours; the time limit is {LIMIT_S:g} s.",
        f"Two processes of pure arithmetic finish {possible:.2f} times as soon as one after the other here and now.",
    ]
    for name, question in QUESTIONS.items():
        problem = work.problem(**question)
        laps = []
        for _ in range(effort.rounds):
            begun = time.perf_counter()
            found = solve(replace(problem), gap=GAP, time_limit_s=LIMIT_S)
            wall_s = time.perf_counter() - begun
            laps.append(Lap(work.hours, wall_s, found.build_s + found.solve_s))
            if found.status == "infeasible" or broken_rules(problem, found.running, found.survivors, found.share):
                raise DisagreementError(f"{name}: the plan breaks its own rules")
        timings.append(Timing(name, tuple(laps)))
        figures.append(Figure(f"{name}: wall time", min(lap.wall_s for lap in laps), "s"))
        figures.append(Figure(f"{name}: gap", 100 * found.gap, "%"))
        notes.append(f"{name}: {found.status}; {'; '.join(found.log)}.")
    if is_busy(load):
        notes.append(f"The machine is busy (load average {load:.2f} before the start): wall times say little.")
    return Outcome(tuple(timings), tuple(figures), tuple(notes))
