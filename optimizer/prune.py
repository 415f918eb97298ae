"""Options that no cheapest plan needs, because another one does everything that they do."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from optimizer.problem import Floats, Ints, PlanProblem

Flags = npt.NDArray[np.bool_]


def undominated(problem: PlanProblem) -> Ints:
    """Which options are enough for a cheapest plan? Indices, increasing.

    Option d is left out where another option g (of equals the first)

    * costs no more in any hour, a request and a start, and need not stay longer;
    * carries no less of any workload at any count, and no less an instance at higher counts than at lower ones;
    * is no less accurate, where a workload asks for accuracy;
    * needs no more spares and no more instances for the loss of a zone;
    * has no limit of its own, is in no quota that d is not in, and holds all its models at once.

    Proof that nothing is lost. Take any plan and move what d serves to g, with g's survivors n_g + n_d. An instance of
    g then carries at least what one of g, and what one of d, carried before, as the curve of g rises with the count
    and is nowhere below d's: the load is at most n_g + n_d. The instances that run, a_g + a_d, are enough to survive
    the loss, since spares and zones ask of n_g + n_d together no more than of each apart. Quotas and limits hold: the
    sum over any quota that has g is what it was, or less. Starts are at most u_g + u_d, and those satisfy the minimum
    up-time of g. Accuracy does not fall, the cost of no hour rises. So the plan without d is allowed and no dearer. The
    relation is transitive, and among equals the first is kept, so all that are left out can be left out together.
    """
    if not problem.options:
        return np.zeros(0, dtype=np.int64)
    rates = _rates(problem)
    prices = np.array([option.usd_per_hour for option in problem.options])
    better = np.array([_replaced_by(problem, g, rates, prices) for g in range(len(problem.options))])
    np.fill_diagonal(better, False)
    first = np.tri(len(better), k=-1, dtype=bool).T
    return np.flatnonzero(~(better & (first | ~better.T)).any(axis=0))


def _rates(problem: PlanProblem) -> Floats:
    """(J, B, N) what one instance carries, at every count at which any curve changes."""
    counts = np.unique(np.concatenate([option.curve.instances for option in problem.options]))
    columns = [np.searchsorted(option.curve.instances, counts, side="right") - 1 for option in problem.options]
    return np.array([o.curve.rps_per_instance[:, at] for o, at in zip(problem.options, columns, strict=True)])


def _replaced_by(problem: PlanProblem, g: int, rates: Floats, prices: Floats) -> Flags:
    """(J,) which options does option g replace, doing everything that they do at no more?"""
    good, options = problem.options[g], problem.options
    able = (rates[g] > 0).any(axis=1)
    falls = (np.diff(rates[g], axis=1) < 0).any()
    if good.max_instances is not None or falls or good.memory_gib[able].sum() > good.device_memory_gib:
        return np.zeros(len(options), dtype=bool)
    replaced: Flags = (rates[g] >= rates).all(axis=(1, 2)) & (prices[g] <= prices).all(axis=1)
    for quota in problem.quotas:
        if g in quota.options:
            replaced &= np.isin(np.arange(len(options)), quota.options)
    asks = ~np.isnan(problem.floors)
    for d in np.flatnonzero(replaced).tolist():
        other = options[d]
        replaced[d] = (
            (good.usd_per_request <= other.usd_per_request).all()
            and good.start_usd <= other.start_usd
            and max(good.min_up_hours, 1) <= max(other.min_up_hours, 1)
            and good.spare <= other.spare
            and (good.zones == 1 or good.zones >= other.zones > 1)
            and (np.nan_to_num(good.accuracy[asks]) >= np.nan_to_num(other.accuracy[asks])).all()
        )
    return replaced
