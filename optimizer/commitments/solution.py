"""What to commit, what it then costs in each scenario, and how much less anything else could cost."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Literal

from optimizer.commitments.program import CommitmentProblem, Floats

LEAST_SHARE: Final = 0.01
"""Share of the expected cost below which a regret counts as so much: one of 0 has no shares."""


def relative_gap(objective_usd: float, lower_bound_usd: float, expected_usd: float) -> float:
    """How much smaller could an objective be, as a share of it, or of a hundredth of the cost where that is more?

    >>> relative_gap(200.0, 199.0, 200.0), relative_gap(0.02, 0.01, 100.0)
    (0.005, 0.01)
    """
    if objective_usd <= lower_bound_usd:
        return 0.0
    if math.isinf(objective_usd):
        return math.inf
    return (objective_usd - lower_bound_usd) / max(abs(objective_usd), LEAST_SHARE * expected_usd)


@dataclass(frozen=True)
class Margin:
    """Is one unit of a purchase worth its price? In words: used in so many of its hours, it pays from so many on.

    Shares are of what the unit would save if it were used in every hour of its term: its on-demand price, and of a
    dollar an hour the on-demand price of what it covers best. Without spend commitments in its place, that is the
    share of hours in which the unit is used.
    """

    name: str
    """Of the purchase."""
    break_even_share: float
    """Its price: it pays where the unit is used in more of its hours than this."""
    last_used_share: float
    """What the last unit bought saves; at least the break-even where the units are the best."""
    next_used_share: float
    """What a unit more would save; at most the break-even where the units are the best."""
    usd_per_unit: float
    """What a unit more would change in the expected cost, over all hours: positive where it costs more than it saves.
    """


@dataclass(frozen=True)
class CommitmentSolution:
    """The best commitments that were found, or why there are none. Shapes: P purchases, S scenarios."""

    status: Literal["optimal", "feasible", "infeasible"]
    """``optimal``: within the gap that was asked for; ``feasible``: not so, and the log says why; ``infeasible``:
    what must be bought breaks a limit."""
    units: Floats
    """(P,) of each purchase; 0 where there is no solution."""
    objective_usd: float
    """What was made small: the mean cost, or with a share of the risk. Infinite where there is no solution."""
    lower_bound_usd: float
    """No commitments make that smaller. For whole units it is a bound on whole units too."""
    expected_usd: float
    """Mean cost over the scenarios, commitments and the rest on demand."""
    scenario_usd: Floats
    """(S,) cost of each scenario."""
    hindsight_usd: Floats | None
    """(S,) a lower bound on what each scenario would cost if one had bought for it alone, in parts of units; None
    where nobody asked."""
    margins: tuple[Margin, ...]
    """A purchase each, at these units; where there is no solution, at what must be bought."""
    build_s: float
    """Wall time of laying out the problem and stating the master program."""
    solve_s: float
    """Wall time of everything after."""
    cuts: int
    """Cutting planes that the master program knows in the end."""
    log: tuple[str, ...] = ()
    """What was done, and what is infeasible, a sentence each."""

    @property
    def gap(self) -> float:
        """How much smaller could the objective still be, as a share (:func:`relative_gap`)?"""
        return relative_gap(self.objective_usd, self.lower_bound_usd, self.expected_usd)

    @property
    def regret_usd(self) -> Floats | None:
        """(S,) what each scenario costs beyond what it would have cost with hindsight; None where nobody asked."""
        return None if self.hindsight_usd is None else self.scenario_usd - self.hindsight_usd


def units_by_purchase(problem: CommitmentProblem, solution: CommitmentSolution) -> dict[str, float]:
    """How many units of what is bought at all, by name?"""
    return {p.name: float(x) for p, x in zip(problem.purchases, solution.units, strict=True) if x > 0}
