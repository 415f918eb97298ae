"""The master program: commitments now, and cutting planes in place of what each scenario will cost on demand.

    min  sum_p k_p x_p + (1 - w) sum_sc pi_s theta_sc + w (eta + 1 / (1 - level) sum_s pi_s u_s)
    s.t. theta_sc >= a_sc - sum_{p of c} g_sp x_p      for every cut of scenario s, part c
         u_s >= sum_c theta_sc - h_s - eta,  u_s >= 0   h_s: wait-and-see cost for the regret, 0 for the cost
         sum_p c_p x_p <= C                             for every limit over all purchases
         l_p <= x_p <= m_p

k_p is what a unit costs over all hours; being the same in every scenario it leaves the CVaR. Types that no spend
commitment covers together are in different parts. The cuts are those of the L-shaped method (R. M. Van Slyke and
R. Wets, SIAM J. Appl. Math. 17 (1969)), one for each scenario and round (J. R. Birge and F. V. Louveaux, Eur. J. Oper.
Res. 34 (1988)); where that would be too many, scenarios that only the mean counts share one, or parts do. The program's
optimum is a lower bound at all times.

The solver counts whole units in units, everything else in shares of the most that could be of use, and dollars in
shares of what everything on demand costs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from optimizer.commitments.program import CommitmentProblem, Floats, Ints, RiskMeasure
from optimizer.commitments.second_stage import SecondStage, Settled

TOLERANCE: Final = 1e-9
"""How far a row may be broken, in shares of what everything on demand costs."""

MOST_CUTS: Final = 200
"""Cuts of a round beyond which some are added up: fewer rounds are needed with more of them, but each takes longer."""

MOST_IN_PARTS: Final = 1_000
"""The same where each scenario's tail counts and each cut has few purchases: rows of three numbers take little time.
"""

MEAN: Final = RiskMeasure()
"""No risk beside the mean."""


@dataclass(frozen=True)
class Aim:
    """What is made small over which scenarios: all of them with the problem's risk, or one alone for hindsight."""

    scenarios: tuple[int, ...]
    probability: Floats
    """Of those scenarios."""
    risk: RiskMeasure = MEAN
    hindsight_usd: Floats | None = None
    """Wait-and-see cost of those scenarios, for the regret."""

    def usd(self, committed_usd: float, beside_usd: Floats) -> float:
        """What is made small, at commitments that cost so much and leave so much to be paid beside them."""
        return self.risk.of(committed_usd + beside_usd, self.probability, self.hindsight_usd)


@dataclass(frozen=True)
class Proposal:
    """What the master program thinks best."""

    units: Floats
    """(P,)"""
    bound_usd: float
    """No commitments make the aim smaller."""
    finished: bool
    """Whether the solver came to its end: without it the units are a guess."""


def most_useful_units(problem: CommitmentProblem) -> Floats:
    """(P,) of each purchase, more than which would idle in every hour of every scenario; at least what must be bought.

    Whole units are rounded up.
    """
    peak = problem.demand.max(axis=0)
    most = np.zeros(len(problem.purchases))
    for p, purchase in enumerate(problem.purchases):
        if purchase.active.any():
            if purchase.rates is not None and purchase.kind == "spend":
                useful = float((peak[purchase.active] @ np.where(purchase.covers, purchase.rates, 0.0)).max())
            else:
                useful = float(peak[purchase.active, purchase.instance_type].max())
            most[p] = np.ceil(useful / purchase.unit - 1e-9) * purchase.unit if purchase.unit > 0 else useful
        limit = purchase.max_units
        if purchase.unit > 0 and np.isfinite(limit):
            limit = np.floor(limit / purchase.unit + 1e-9) * purchase.unit
        most[p] = max(min(most[p], limit), problem.min_units[p])
    return most


class Master:
    """The master program in HiGHS, kept between rounds so that each begins where the last ended."""

    def __init__(self, stage: SecondStage, aim: Aim, most: Floats) -> None:
        """State the program without any cut."""
        import highspy

        native: Any = highspy
        problem = stage.problem
        self.aim, self.cuts = aim, 0
        self._asks_whole = False
        self._dollars = float(aim.probability @ problem.on_demand_only_usd[list(aim.scenarios)]) or 1.0
        steps = np.array([p.unit for p in problem.purchases], dtype=np.float64)
        self._step = np.where(steps > 0, steps, np.where(most > 0, most, 1.0))
        self._whole = np.flatnonzero(steps > 0).astype(np.int32)
        self._infinite = highspy.kHighsInf
        self._solver = _quiet(native.Highs())
        self._integer = highspy.HighsVarType.kInteger
        self._states = highspy.HighsModelStatus
        lower, upper = problem.min_units / self._step, most / self._step
        self._columns(problem.usd_of_a_unit * self._step / self._dollars, lower, upper)
        weight = aim.risk.weight if aim.risk.matters else 0.0
        self._blocks, self._parts = _together(stage, len(aim.scenarios), tail=weight > 0)
        chance = np.array([aim.probability[block].sum() for block in self._blocks])
        self._thetas = len(steps) + np.arange(len(chance) * len(self._parts)).reshape(len(chance), -1)
        self._columns(np.repeat((1 - weight) * chance, len(self._parts)), 0.0, self._infinite)
        if weight > 0:
            self._tail(weight)
        for _, usd, limit in problem.limits:
            scale = limit or 1.0
            self._row(-self._infinite, limit / scale, np.arange(len(steps)), usd * self._step / scale)

    def _tail(self, weight: float) -> None:
        """CVaR as a linear program: columns eta and u_s, rows u_s + eta - sum_c theta_sc >= -h_s."""
        aim, eta = self.aim, int(self._thetas.max()) + 1
        self._columns(np.array([weight]), -self._infinite, self._infinite)
        self._columns(weight * aim.probability / (1 - aim.risk.level), 0.0, self._infinite)
        for place, thetas in enumerate(self._thetas):
            known = 0.0
            if aim.risk.kind == "cvar_regret" and aim.hindsight_usd is not None:
                known = aim.hindsight_usd[place] / self._dollars
            columns = np.array([eta, eta + 1 + place, *thetas])
            self._row(-known, self._infinite, columns, np.append([1.0, 1.0], -np.ones(len(thetas))))

    def _columns(self, cost: Floats, lower: Floats | float, upper: Floats | float) -> None:
        for value, low, high in np.broadcast(cost, lower, upper):
            self._solver.addCol(float(value), float(low), float(high), 0, np.zeros(0, np.int32), np.zeros(0))

    def _row(self, lower: float, upper: float, columns: Any, values: Floats) -> None:
        self._solver.addRow(float(lower), float(upper), len(columns), columns.astype(np.int32), values)

    def add(self, settled: Settled) -> None:
        """Cut off what the scenarios just settled show to be too low."""
        scale = self._step / self._dollars
        for block, thetas in zip(self._blocks, self._thetas, strict=True):
            chance = self.aim.probability[block]
            share = chance / chance.sum() if chance.any() else np.full(len(block), 1 / len(block))
            slope, constants = share @ settled.saved_usd[block] * scale, share @ settled.constant_of_parts_usd[block]
            for theta, (parts, purchases) in zip(thetas, self._parts, strict=True):
                columns, values = np.append(purchases, theta), np.append(slope[purchases], 1.0)
                self._row(constants[parts].sum() / self._dollars, self._infinite, columns, values)
                self.cuts += 1

    def whole(self) -> None:
        """From here on, ask for whole units of what is sold in whole units."""
        self._asks_whole = bool(len(self._whole))
        for column in self._whole:
            self._solver.changeColIntegrality(int(column), self._integer)

    def propose(self, *, limit_s: float, gap: float = 0.0) -> Proposal:
        """The commitments that look best so far, and what any must cost.

        Parameters
        ----------
        limit_s
            Wall time after which to stop.
        gap
            For whole units, how far from the best the proposal may be, as a share.
        """
        solver = self._solver
        solver.setOptionValue("time_limit", solver.getRunTime() + max(limit_s, 0.01))  # of all runs together
        solver.setOptionValue("mip_rel_gap", gap)
        solver.run()
        found, state = solver.getInfo(), solver.getModelStatus()
        finished = state == self._states.kOptimal
        share = found.mip_dual_bound if self._asks_whole else found.objective_function_value if finished else -np.inf
        values = np.array(solver.getSolution().col_value[: len(self._step)])
        if not len(values) or not np.isfinite(values).all():
            values, finished = np.zeros(len(self._step)), False
        bound = share * self._dollars
        return Proposal(np.maximum(values, 0.0) * self._step, float(bound), bool(finished))


def _together(stage: SecondStage, scenarios: int, *, tail: bool) -> tuple[list[Ints], list[tuple[Ints, Ints]]]:
    """Which scenarios share a cut, and which parts, each with its purchases.

    Scenarios whose tail counts are never added up; where there are too many cuts for them, parts are.
    """
    parts = int(stage.part.max()) + 1
    apart = parts * scenarios <= MOST_IN_PARTS if tail else True
    shares = [np.array([c]) for c in range(parts)] if apart else [np.arange(parts)]
    blocks = scenarios if tail else min(scenarios, max(1, MOST_CUTS // len(shares)))
    return (
        [np.asarray(block, dtype=np.int64) for block in np.array_split(np.arange(scenarios), blocks)],
        [(share, np.flatnonzero(np.isin(stage.part_of_purchase, share))) for share in shares],
    )


def _quiet(solver: Any) -> Any:
    """HiGHS with everything fixed that could make two runs differ."""
    for name, value in {
        "output_flag": False,
        "threads": 1,
        "random_seed": 0,
        "primal_feasibility_tolerance": TOLERANCE,
        "dual_feasibility_tolerance": TOLERANCE,
        "mip_feasibility_tolerance": TOLERANCE,
        "mip_abs_gap": 0.0,
        "small_matrix_value": 1e-12,
    }.items():
        solver.setOptionValue(name, value)
    return solver
