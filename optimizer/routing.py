"""Which requests go where, the instances being given: a linear program of one hour."""

from __future__ import annotations

import numpy as np
import pulp

from optimizer import highs
from optimizer.linear import total
from optimizer.problem import Floats, Ints, PlanProblem


def level(problem: PlanProblem, survivors: Ints, share: Floats) -> Floats | None:
    """Shares for given instances that load the busiest fleet as little as possible: min x, load_j <= x n_j.

    Models stay on the instances that hold them; accuracy floors hold. The solver's shares may overload a fleet by its
    tolerance, these do so only where the instances are truly too few.

    Parameters
    ----------
    problem
        What is asked.
    survivors : (J, T)
        Instances.
    share : (B, J, T)
        Shares so far: a workload stays on the options that have some of it.

    Returns
    -------
    (B, J, T) or None
        None where there are no such shares.
    """
    routed = np.zeros_like(share)
    for t in range(len(problem.hours)):
        found = _level(problem, t, survivors[:, t], share[:, :, t])
        if found is None:
            return None
        routed[:, :, t] = found
    return routed


def _level(problem: PlanProblem, t: int, survivors: Ints, share: Floats) -> Floats | None:
    model = pulp.LpProblem("routing", pulp.LpMinimize)
    busiest = model.add_variable("x", 0, None)
    columns = {(b, j): model.add_variable(f"z_{b}_{j}", 0, 1) for b, j in np.argwhere(share > 0).tolist()}
    model.setObjective(total([(busiest, 1.0)]))
    for b in np.flatnonzero(problem.demand_rps[:, t] > 0).tolist():
        mine = [(column, 1.0) for (row, _), column in columns.items() if row == b]
        if not mine:
            return None
        model.addConstraint(total(mine) == 1, f"serve_{b}")
        if not np.isnan(problem.floors[b]):
            margins = [
                (column, float(np.nan_to_num(problem.options[j].accuracy[b]) - problem.floors[b]))
                for (row, j), column in columns.items()
                if row == b
            ]
            model.addConstraint(total(margins) >= 0, f"accuracy_{b}")
    for j, option in enumerate(problem.options):
        rates = option.curve.rps_per_instance[:, option.curve.segment(max(int(survivors[j]), 1))]
        mine = [(b, column) for (b, fleet), column in columns.items() if fleet == j]
        if any(rates[b] <= 0 for b, _ in mine):
            return None
        load = [(column, float(problem.demand_rps[b, t] / rates[b])) for b, column in mine]
        if load:
            limit = (busiest, -float(survivors[j]))
            model.addConstraint(total(load, [limit]) <= 0, f"load_{j}")
    if highs.run(model, whole=False).status != "solved":
        return None
    routed = np.zeros_like(share)
    for (b, j), column in columns.items():
        routed[b, j] = max(column.value(), 0.0)
    summed = routed.sum(axis=1, keepdims=True)
    shares: Floats = np.divide(routed, summed, out=np.zeros_like(routed), where=summed > 0)
    return shares
