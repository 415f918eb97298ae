"""HiGHS through PuLP, and what HiGHS itself says about the result.

After a time limit PuLP calls a program optimal, however far the incumbent is from the optimum. Status, bound and values
are therefore read from the solver's own object.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Final, Literal

import pulp

FEASIBILITY: Final = 1e-9
"""How far a row may be broken, and a whole number be from whole: what is left to mend afterwards is rounding."""

QUICKER: Final = {
    "mip_allow_restart": False,
    "mip_heuristic_run_rins": False,
    "mip_heuristic_run_root_reduced_cost": False,
    "mip_heuristic_run_feasibility_jump": False,
}
"""Few whole numbers matter in these programs, and good plans are found early: on hours of 60 candidates, switching off
what searches for others halved the time at the same optimum."""


@dataclass(frozen=True)
class Verdict:
    """How a program was left by the solver."""

    status: Literal["solved", "stopped", "infeasible"]
    """``stopped``: by its time limit or for another reason, with a plan or without."""
    objective: float
    """Of the plan that was found; infinite for none."""
    bound: float
    """No plan has a lower objective."""
    seconds: float
    """Processor time."""


def solver(*, gap: float, limit_s: float) -> Any:
    """HiGHS with everything fixed that could make two runs differ."""
    return pulp.HiGHS(
        msg=False,
        timeLimit=limit_s,
        gapRel=gap,
        gapAbs=1e-9,
        threads=1,
        random_seed=0,
        primal_feasibility_tolerance=FEASIBILITY,
        mip_feasibility_tolerance=FEASIBILITY,
        **QUICKER,
    )


def run(model: Any, *, gap: float = 0.0, limit_s: float = 60.0, whole: bool = True) -> Verdict:
    """Solve a program in this process; its columns then hold the values of the best plan found.

    Parameters
    ----------
    model
        A PuLP problem.
    gap
        Stop when the plan is within this share of the best possible.
    limit_s
        Stop after so many seconds of wall time; HiGHS looks at its clock now and then only.
    whole
        Whether some columns are whole numbers: a linear program has no bound apart from its optimum.
    """
    import highspy

    begun = time.process_time()
    model.solve(solver(gap=gap, limit_s=max(limit_s, 0.01)))
    seconds = time.process_time() - begun
    states, native = highspy.HighsModelStatus, model.solverModel
    state, found = native.getModelStatus(), native.getInfo()
    if state in {states.kInfeasible, states.kUnboundedOrInfeasible}:  # costs are not negative: never unbounded
        return Verdict("infeasible", float("inf"), float("inf"), seconds)
    feasible = found.primal_solution_status == highspy.SolutionStatus.kSolutionStatusFeasible
    objective = float(found.objective_function_value) if feasible else float("inf")
    if state == states.kOptimal:
        return Verdict("solved", objective, float(found.mip_dual_bound) if whole else objective, seconds)
    return Verdict("stopped", objective, max(0.0, float(found.mip_dual_bound)) if whole else 0.0, seconds)
