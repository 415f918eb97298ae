"""What is measured of commitments: a year in 168 typical hours a week, twenty futures, ten types on four plans."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from benchmarks.measure import Lap, Timing, is_busy, load_average
from benchmarks.spec import BenchSpec, DisagreementError, Effort, Figure, Outcome
from optimizer.commitments.program import CommitmentProblem, Floats, Purchase, RiskMeasure
from optimizer.commitments.search import broken_limits
from optimizer.commitments.solve import solve
from simulator.purchase_plan import HOURS_PER_YEAR

GAP: Final = 1e-3
LIMIT_S: Final = 60.0
WEEK_H: Final = 168

RATIOS: Final = {"reserved, partial upfront": 0.63, "reserved": 0.66, "one family": 0.72, "any compute": 0.81}
"""Price of a committed hour as a share of on-demand, about those of AWS's m6a.xlarge for a year (October 2026: 0.63
with partial upfront and 0.66 without for a reserved instance, 0.81 for the compute savings plan)."""

FAMILY: Final = 5
"""Types of one family, which a narrow savings plan covers."""


@dataclass(frozen=True)
class Commitments:
    """Ten instance types on four plans over twenty futures of so many weeks.

    Each future has growth of its own by type, a random walk from week to week, days, week-ends and noise. Discounts
    differ from type to type, one savings plan covers all of them and one each family, and what may be paid upfront is
    limited, so that nothing can be bought without regard to the rest. Everything is drawn once, from one seed.
    """

    weeks: int
    types: int = 10
    futures: int = 20
    seed: int = 0

    def problem(self, risk: RiskMeasure, *, dates: int = 1) -> CommitmentProblem:
        """The question for the solver.

        Parameters
        ----------
        risk
            What is made small.
        dates
            From how many dates on, evenly spread, each plan may be bought.
        """
        rng = np.random.default_rng(self.seed)
        price = np.exp(rng.uniform(np.log(0.5), np.log(60), self.types))
        demand = self._demand(rng)
        discount = {plan: ratio * rng.uniform(0.93, 1.07, self.types) for plan, ratio in RATIOS.items()}
        hours = demand.shape[1]
        purchases = tuple(
            purchase
            for k in range(dates)
            for purchase in self._purchases(price, discount, np.arange(hours) >= k * hours // dates, k)
        )
        names = tuple(f"type {j}" for j in range(self.types))
        weight, chance = np.full(hours, HOURS_PER_YEAR / hours), np.full(self.futures, 1 / self.futures)
        problem = CommitmentProblem(names, price, demand, weight, chance, purchases, risk)
        return replace(problem, max_upfront_usd=0.03 * float(chance @ problem.on_demand_only_usd))

    def scenario(self) -> str:
        """Demand of the first future as the CSV file that ``optimize commitments`` reads."""
        demand = self.problem(RiskMeasure()).demand[0]
        hours = np.datetime64("2027-01-04T00", "h") + np.arange(len(demand))
        lines = [
            f"{hour}:00:00Z,type {j},{wanted:g}"
            for hour, row in zip(hours, demand, strict=True)
            for j, wanted in enumerate(row)
        ]
        return "\n".join(["timestamp,pool,demand", *lines]) + "\n"

    def _demand(self, rng: np.random.Generator) -> Floats:
        """(S, T, J) whole instances."""
        hour = np.arange(self.weeks * WEEK_H)
        level = np.exp(rng.normal(np.log(20), 1, self.types))
        day = 1 + 0.5 * np.sin(2 * np.pi * (hour % 24 - 9) / 24)[:, None] * rng.uniform(0.3, 1, self.types)
        base = level * day * np.where(hour // 24 % 7 >= 5, 0.7, 1.0)[:, None]
        demand = np.empty((self.futures, len(hour), self.types))
        for s in range(self.futures):
            growth = rng.normal(0.2, 0.4, self.types) * hour[:, None] / len(hour)
            walk = np.cumsum(rng.normal(0, 0.05, (self.weeks, self.types)), axis=0).repeat(WEEK_H, axis=0)
            demand[s] = np.round(base * np.exp(growth + walk + rng.normal(0, 0.1, base.shape)))
        return demand

    def _purchases(
        self, price: Floats, discount: dict[str, Floats], active: np.ndarray[tuple[int], np.dtype[np.bool_]], k: int
    ) -> list[Purchase]:
        """Every plan from one date on."""
        found = []
        for plan in ("reserved, partial upfront", "reserved"):
            for j, usd in enumerate(price * discount[plan]):
                upfront = usd * HOURS_PER_YEAR / 2 if "upfront" in plan else 0.0
                name = f"{plan}, type {j}, date {k}"
                found.append(Purchase(name, "instances", usd, active, instance_type=j, upfront_usd=upfront))
        family = np.arange(self.types) // FAMILY
        for member in range(family[-1] + 1):
            rates = np.where(family == member, price * discount["one family"], np.nan)
            found.append(self._spend(f"family {member}, date {k}", rates, active, wide=False))
        found.append(self._spend(f"any compute, date {k}", price * discount["any compute"], active, wide=True))
        return found

    def _spend(
        self, name: str, rates: Floats, active: np.ndarray[tuple[int], np.dtype[np.bool_]], *, wide: bool
    ) -> Purchase:
        return Purchase(name, "spend", 1.0, active, rates=rates, wide=wide, unit=0.0)


QUESTIONS: Final = {
    "mean": (RiskMeasure(), 1),
    "tail of the cost": (RiskMeasure("cvar_cost", 0.5, 0.9), 1),
    "tail of the regret": (RiskMeasure("cvar_regret", 0.5, 0.9), 1),
    "mean, twelve dates": (RiskMeasure(), 12),
}
"""Risk and number of dates: regret needs the best commitments of every future alone, and a ladder has many columns."""


def measure_commitments(spec: BenchSpec, effort: Effort) -> Outcome:
    """Build and solve each question once a round, to a gap of 0.1 %, with a time limit of 60 s."""
    work = spec.build(effort.sizes[-1])
    assert isinstance(work, Commitments)
    load = load_average()
    solve(replace(work, weeks=1, futures=1).problem(RiskMeasure()))  # loads what is compiled
    timings, figures, notes = [], [], []
    for name, (risk, dates) in QUESTIONS.items():
        problem = work.problem(risk, dates=dates)
        laps, build_s, solve_s = [], [], []
        for _ in range(effort.rounds):
            begun, cpu_s = time.perf_counter(), time.process_time()
            found = solve(replace(problem), gap=GAP, time_limit_s=LIMIT_S)
            wall_s = time.perf_counter() - begun
            laps.append(Lap(problem.demand.shape[1], wall_s, max(time.process_time() - cpu_s, 1e-9)))
            build_s.append(found.build_s)
            solve_s.append(found.solve_s)
            if found.status == "infeasible" or broken_limits(problem, found.units):
                raise DisagreementError(f"{name}: the commitments break a limit")
        timings.append(Timing(name, tuple(laps)))
        figures += [
            Figure(f"{name}: build", min(build_s), "s"),
            Figure(f"{name}: solve", min(solve_s), "s"),
            Figure(f"{name}: wall time", min(lap.wall_s for lap in laps), "s"),
            Figure(f"{name}: gap", 100 * found.gap, "%"),
        ]
        notes.append(f"{name}: {found.status}, {len(problem.purchases)} purchases; {'; '.join(found.log)}.")
    s, t, j = problem.demand.shape
    notes.insert(0, f"{t} hours, {s} futures, {j} types, {len(RATIOS)} plans; the time limit is {LIMIT_S:g} s.")
    if is_busy(load):
        notes.append(f"The machine is busy (load average {load:.2f} before the start): wall times say little.")
    return Outcome(tuple(timings), tuple(figures), tuple(notes))
