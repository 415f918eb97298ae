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
    better = np.array([_replaced_by(problem, g) for g in range(len(problem.options))])
    np.fill_diagonal(better, False)
    first = np.tri(len(better), k=-1, dtype=bool).T
    return np.flatnonzero(~(better & (first | ~better.T)).any(axis=0))


def _replaced_by(problem: PlanProblem, g: int) -> Flags:
    """(J,) which options does option g replace, doing everything that they do at no more?"""
    good, options = problem.options[g], problem.options
    able = (good.curve.rps_per_instance > 0).any(axis=1)
    falls = (np.diff(good.curve.rps_per_instance, axis=1) < 0).any()
    if good.max_instances is not None or falls or good.memory_gib[able].sum() > good.device_memory_gib:
        return np.zeros(len(options), dtype=bool)
    asks = ~np.isnan(problem.floors)
    replaced: Flags = (
        (good.usd_per_hour <= np.array([d.usd_per_hour for d in options])).all(axis=1)
        & (good.usd_per_request <= np.array([d.usd_per_request for d in options])).all(axis=1)
        & (good.start_usd <= np.array([d.start_usd for d in options]))
        & (max(good.min_up_hours, 1) <= np.array([max(d.min_up_hours, 1) for d in options]))
        & (good.spare <= np.array([d.spare for d in options]))
        & np.array([good.zones == 1 or good.zones >= d.zones > 1 for d in options])
        & (np.nan_to_num(good.accuracy) >= np.nan_to_num([d.accuracy for d in options]))[:, asks].all(axis=1)
    )
    for quota in problem.quotas:
        if g in quota.options:
            replaced &= np.isin(np.arange(len(options)), quota.options)
    for d in np.flatnonzero(replaced).tolist():
        counts = np.union1d(good.curve.instances, options[d].curve.instances)
        replaced[d] = (_rates(problem, g, counts) >= _rates(problem, d, counts)).all()
    return replaced


def _rates(problem: PlanProblem, option: int, counts: Ints) -> Floats:
    curve = problem.options[option].curve
    at_counts: Floats = curve.rps_per_instance[:, np.searchsorted(curve.instances, counts, side="right") - 1]
    return at_counts
