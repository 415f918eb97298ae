"""Cutting planes until what is best so far is close to the bound: first in parts of units, then in whole ones.

A round asks the master program for its favourite, settles the scenarios half way between that and the best so far
(the in-out rule of W. Ben-Ameur and J. Neto, Networks 49 (2007): favourites jump from corner to corner, and cuts half
way cut deeper), and adds what that shows. The hours are so many that costs are nearly smooth, so ten to thirty rounds
do whatever the number of hours.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from optimizer.commitments.cutting_planes import Aim, Master
from optimizer.commitments.program import CommitmentProblem, Floats
from optimizer.commitments.second_stage import SecondStage, Settled
from optimizer.commitments.solution import relative_gap

HALF_WAY: Final = 0.5
"""Where between the best so far (0) and the master program's favourite (1) the scenarios are settled."""

MOST_ROUNDS: Final = 2_000
"""Rounds after which something other than time is the limit."""


@dataclass
class Search:
    """The best commitments so far, the bound so far, and the master program that knows every cut so far."""

    stage: SecondStage
    master: Master
    deadline: float
    """Reading of ``time.monotonic`` at which to stop."""
    best: Floats = field(default_factory=lambda: np.zeros(0))
    """(P,) units; empty before anything was settled."""
    best_usd: float = np.inf
    """The aim there, with commitments applied in the providers' order."""
    expected_usd: float = np.inf
    """Mean cost there."""
    linear_usd: float = np.inf
    """The least that the aim would be anywhere settled, were commitments put to their best use."""
    bound_usd: float = 0.0
    """No commitments make the aim smaller: no cost and no regret is below 0."""
    rounds: int = 0

    @property
    def aim(self) -> Aim:
        """What is made small."""
        return self.master.aim

    def late(self) -> bool:
        """Whether time is up."""
        return time.monotonic() >= self.deadline

    def within(self, gap: float) -> bool:
        """Whether the best is as close to the bound as was asked for."""
        return relative_gap(self.best_usd, self.bound_usd, self.expected_usd) <= gap

    def held_up_by_order(self, gap: float) -> bool:
        """Whether only the providers' order stands between the best and the bound: the cuts know no better."""
        return relative_gap(self.linear_usd, self.bound_usd, self.expected_usd) <= gap / 4

    def look(self, units: Floats) -> None:
        """Settle the scenarios at some units; they become the best if they are."""
        settled = self.stage.settle(units, self.aim.scenarios)
        self.master.add(settled)
        self.rounds += 1
        committed = float(self.stage.problem.usd_of_a_unit @ units)
        usd = self.aim.usd(committed, settled.on_demand_usd)
        self.linear_usd = min(self.linear_usd, self.aim.usd(committed, _linear(settled, units)))
        if usd < self.best_usd:
            self.best, self.best_usd = units, usd
            self.expected_usd = float(self.aim.probability @ (committed + settled.on_demand_usd))

    def in_parts(self, gap: float) -> None:
        """Narrow the gap, buying any part of a unit."""
        step, last = HALF_WAY, -np.inf
        while self.rounds < MOST_ROUNDS and not self.late():
            favourite = self.master.propose(limit_s=self.deadline - time.monotonic())
            self.bound_usd = max(self.bound_usd, favourite.bound_usd)
            if not favourite.finished or self.within(gap) or self.held_up_by_order(gap):
                return
            stuck = favourite.bound_usd <= last + 1e-15 * abs(last)
            step, last = 1.0 if stuck else HALF_WAY, favourite.bound_usd
            self.look(self.best + step * (favourite.units - self.best))

    def in_whole_units(self, gap: float) -> None:
        """Narrow the gap, buying whole units: round what was found in parts, then let the master program choose."""
        problem = self.stage.problem
        if all(purchase.unit == 0 for purchase in problem.purchases):
            return
        begun = self.best
        self.best_usd = self.linear_usd = np.inf
        tried = set()
        for units in rounded(problem, begun):
            tried.add(units.tobytes())
            self.look(units)
        self.master.whole()
        while self.rounds < MOST_ROUNDS and not self.late() and not self.within(gap):
            left = self.deadline - time.monotonic()
            favourite = self.master.propose(limit_s=left, gap=min(gap / 4, 1e-4))
            self.bound_usd = max(self.bound_usd, favourite.bound_usd)
            units = whole(problem, favourite.units)
            if self.within(gap) or units.tobytes() in tried or not favourite.finished:
                return
            tried.add(units.tobytes())
            self.look(units)


def whole(problem: CommitmentProblem, units: Floats) -> Floats:
    """(P,) the nearest whole units of what is sold in whole units."""
    steps = np.array([p.unit for p in problem.purchases], dtype=np.float64)
    steps_or_1 = np.where(steps > 0, steps, 1.0)
    return np.where(steps > 0, np.round(units / steps_or_1) * steps, units)


def rounded(problem: CommitmentProblem, units: Floats) -> list[Floats]:
    """Whole units near some units that keep to the limits: the nearest where they do, and the next below."""
    steps = np.array([p.unit for p in problem.purchases], dtype=np.float64)
    steps_or_1 = np.where(steps > 0, steps, 1.0)
    below = np.where(steps > 0, np.floor(units / steps_or_1 + 1e-9) * steps, units)
    below = np.maximum(below, problem.min_units)
    most = np.array([p.max_units for p in problem.purchases], dtype=np.float64)
    near = whole(problem, units)
    near = np.maximum(np.where(near > most * (1 + 1e-12), below, near), problem.min_units)
    return [near, below] if not broken_limits(problem, near) else [below]


def broken_limits(problem: CommitmentProblem, units: Floats) -> list[str]:
    """Limits over all purchases that some units break, a sentence each."""
    return [
        f"{float(usd @ units):,.2f} USD would be {name}, {float(usd @ units) - limit:,.2f} more than the limit of "
        f"{limit:,.2f}"
        for name, usd, limit in problem.limits
        if float(usd @ units) > limit * (1 + 1e-9) + 1e-9
    ]


def _linear(settled: Settled, units: Floats) -> Floats:
    """(S,) what the hours would cost on demand with commitments put to their best use: at least the bound there."""
    return np.asarray(settled.constant_usd - settled.saved_usd @ units, dtype=np.float64)
