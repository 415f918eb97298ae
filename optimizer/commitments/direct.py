"""The two-stage program with every hour written out: one function a constraint, its equation in the docstring.

The readable specification of what :mod:`optimizer.commitments.solve` makes small, fit for a few hundred hours.

Sets: purchases p, scenarios s, hours t, types j; A_pt is 1 where purchase p is active in hour t.

Variables: ``x_p`` >= 0, units of a purchase, in whole multiples of what it is sold in; ``h_pstj`` >= 0, instances of
type j that spend commitment p covers; ``y_stj`` >= 0, instances on demand; ``eta`` and ``u_s`` >= 0, the value at risk
and by how much a scenario exceeds it.

Commitments are put to their best use. The providers' order does just that wherever spend commitments agree about which
type saves most, and cannot do better.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pulp

from optimizer.commitments.program import CommitmentProblem, Floats, Purchase
from optimizer.linear import Terms, times, total

Row = tuple[str, Any]
"""A constraint's name, and the constraint."""


@dataclass
class DirectProgram:
    """A problem as the solver sees it, with the columns by what they mean."""

    problem: CommitmentProblem
    hindsight_usd: Floats
    """(S,) subtracted for the regret."""
    model: Any
    units: list[Any] = field(default_factory=list)
    """x_p, in units of the purchase: the column counts multiples of what it is sold in."""
    covered: dict[tuple[int, int, int, int], Any] = field(default_factory=dict)
    """h_pstj by purchase, scenario, hour and type."""
    on_demand: dict[tuple[int, int, int], Any] = field(default_factory=dict)
    """y_stj by scenario, hour and type."""
    at_risk: Any = None
    """eta"""
    excess: list[Any] = field(default_factory=list)
    """u_s"""

    def bought(self, p: int, factor: float) -> Terms:
        """So many times the units of a purchase."""
        return [(self.units[p], factor * _step(self.problem.purchases[p]))]

    def cost(self, s: int) -> Terms:
        """Q_s = sum_p k_p x_p + sum_tj H_t o_stj y_stj, k_p being the price of a unit over all hours."""
        problem = self.problem
        prices = np.broadcast_to(problem.prices_of_hours, problem.demand.shape)
        terms: Terms = []
        for p, usd in enumerate(problem.usd_of_a_unit):
            terms += self.bought(p, usd)
        for (scenario, t, j), column in self.on_demand.items():
            if scenario == s:
                terms.append((column, problem.weight_h[t] * prices[s, t, j]))
        return terms


def build(problem: CommitmentProblem, *, relaxed: bool = False, hindsight_usd: Floats | None = None) -> DirectProgram:
    """Which program has the best commitments as its optimum?

    Parameters
    ----------
    problem
        What is asked.
    relaxed
        Whether any part of a unit may be bought.
    hindsight_usd : (S,)
        What each scenario would cost, had one bought for it alone; needed where regret counts.

    Raises
    ------
    ValueError
        Regret counts, and is not known.
    """
    if problem.risk.matters and problem.risk.kind == "cvar_regret" and hindsight_usd is None:
        raise ValueError("regret is counted from what hindsight would cost: give hindsight_usd")
    regret = problem.risk.kind == "cvar_regret" and hindsight_usd is not None
    known = hindsight_usd if regret and hindsight_usd is not None else np.zeros(len(problem.demand))
    program = DirectProgram(problem, known, pulp.LpProblem("commitments", pulp.LpMinimize))
    add = program.model.add_variable
    for p, purchase in enumerate(problem.purchases):
        whole = "Integer" if purchase.unit > 0 and not relaxed else "Continuous"
        most = None if np.isinf(purchase.max_units) else purchase.max_units / _step(purchase)
        program.units.append(add(f"x_{p}", purchase.min_units / _step(purchase), most, whole))
    for s, t, j in np.argwhere(problem.demand > 0).tolist():
        program.on_demand[s, t, j] = add(f"y_{s}_{t}_{j}", 0, None)
        for p, purchase in enumerate(problem.purchases):
            if purchase.kind == "spend" and purchase.active[t] and purchase.covers[j]:
                program.covered[p, s, t, j] = add(f"h_{p}_{s}_{t}_{j}", 0, None)
    if problem.risk.matters:
        program.at_risk = add("eta", None, None)
        program.excess = [add(f"u_{s}", 0, None) for s in range(len(problem.demand))]
    program.model.setObjective(mean_and_risk(program))
    for rule in RULES:
        for name, row in rule(program):
            program.model.addConstraint(row, name)
    return program


def _step(purchase: Purchase) -> float:
    return purchase.unit or 1.0


def mean_and_risk(program: DirectProgram) -> Any:
    """(1 - w) sum_s pi_s Q_s + w (eta + 1 / (1 - level) sum_s pi_s u_s); without a risk, w = 0."""
    problem = program.problem
    weight = problem.risk.weight if problem.risk.matters else 0.0
    means = [times(program.cost(s), (1 - weight) * chance) for s, chance in enumerate(problem.probability)]
    if not problem.risk.matters:
        return total(*means)
    beyond = weight / (1 - problem.risk.level)
    tail = [(column, beyond * chance) for column, chance in zip(program.excess, problem.probability, strict=True)]
    return total(*means, [(program.at_risk, weight)], tail)


def every_instance_is_paid_for(program: DirectProgram) -> Iterator[Row]:
    """Reserved, covered or on demand: sum_{p of type j} A_pt x_p + sum_p h_pstj + y_stj >= d_stj for every s, t, j."""
    problem = program.problem
    for (s, t, j), column in program.on_demand.items():
        terms: Terms = [(column, 1.0)]
        for p, purchase in enumerate(problem.purchases):
            if purchase.kind == "instances" and purchase.instance_type == j and purchase.active[t]:
                terms += program.bought(p, 1.0)
            elif (p, s, t, j) in program.covered:
                terms.append((program.covered[p, s, t, j], 1.0))
        yield f"paid_{s}_{t}_{j}", total(terms) >= float(problem.demand[s, t, j])


def no_commitment_pays_for_more_than_it_is(program: DirectProgram) -> Iterator[Row]:
    """Dollars of an hour at discounted rates: sum_j r_pj h_pstj <= A_pt x_p for spend commitments p, every s, t."""
    spent: dict[tuple[int, int, int], Terms] = {}
    for (p, s, t, j), column in program.covered.items():
        rates = program.problem.purchases[p].rates
        assert rates is not None
        spent.setdefault((p, s, t), []).append((column, float(rates[j])))
    for (p, s, t), terms in spent.items():
        yield f"spent_{p}_{s}_{t}", total(terms, program.bought(p, -1.0)) <= 0


def limits_over_all_purchases_hold(program: DirectProgram) -> Iterator[Row]:
    """Paid upfront, and committed over all hours: sum_p c_p x_p <= C."""
    for name, usd, limit in program.problem.limits:
        terms: Terms = []
        for p, each in enumerate(usd):
            terms += program.bought(p, each)
        if terms:
            yield name.replace(" ", "_"), total(terms) <= limit


def what_exceeds_the_value_at_risk_is_counted(program: DirectProgram) -> Iterator[Row]:
    """CVaR as Rockafellar and Uryasev write it: u_s >= Q_s - h_s - eta, h_s the cost with hindsight or 0."""
    for s, column in enumerate(program.excess):
        bad = times(program.cost(s), -1.0)
        yield f"tail_{s}", total([(column, 1.0), (program.at_risk, 1.0)], bad) >= -float(program.hindsight_usd[s])


RULES = (
    every_instance_is_paid_for,
    no_commitment_pays_for_more_than_it_is,
    limits_over_all_purchases_hold,
    what_exceeds_the_value_at_risk_is_counted,
)
"""Every constraint."""
