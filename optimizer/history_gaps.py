"""Hours that a history lacks: how many, where, and what stands for them.

An hour that is not known takes the demand of the same hour a week before; it is marked, so that a score need not count
it and a reader can see it. A history of which too much is missing is refused.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from optimizer.history_hours import Hours
from optimizer.history_table import RowProblems

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

Fill = Literal["week", "line", "refuse"]
"""What stands for a missing hour: the same hour of another week, a straight line between its neighbours, or nothing."""

_WAYS: Final = {"week": "filled from the same hour of the week before", "line": "filled by straight lines"}
_NEAREST_FIRST: Final = (-168, 168, -24, 24)
_TOLD: Final = 3


class Filled(NamedTuple):
    """A history without holes."""

    demand: Floats
    """(T, P)"""
    filled: Bools
    """(T, P) which values are guesses."""
    notes: list[str]


def fill_gaps(hours: Hours, pools: tuple[str, ...], fill: Fill, most_missing: float, problems: RowProblems) -> Filled:
    """What stands for the hours that are missing?

    Parameters
    ----------
    hours
        Demand with holes.
    pools
        Names of the pools.
    fill
        How to fill them.
    most_missing
        Share of the hours in the lives of the pools, beyond which nothing is filled.
    problems
        Receives a refusal.

    Raises
    ------
    InputError
        More than ``most_missing`` is missing, or anything with ``fill="refuse"``.
    """
    missing = hours.missing
    if not missing.any():
        return Filled(hours.demand, missing, [])
    lived = int((hours.last_h - hours.first_h + 1).sum())
    share = int(missing.sum()) / lived
    found = _found(hours, pools)
    if fill == "refuse" or share > most_missing:
        rule = "must have every hour" if fill == "refuse" else f"must have at least {1 - most_missing:.0%} of its hours"
        remedy = "Complete the rows, or keep the time since the last long gap."
        raise problems.failure(None, rule, f"{1 - share:.1%}: {found}", remedy)
    demand = hours.demand.copy()
    for pool in range(len(pools)):
        life = slice(int(hours.first_h[pool]), int(hours.last_h[pool]) + 1)
        demand[life, pool] = _without_holes(demand[life, pool], missing[life, pool], fill)
    return Filled(demand, missing, [f"{found}: {_WAYS[fill]}"])


def _without_holes(values: Floats, missing: Bools, fill: Fill) -> Floats:
    """One life with its holes filled.

    >>> _without_holes(np.array([1.0, 0.0, 3.0]), np.array([False, True, False]), "week")
    array([1., 2., 3.])
    """
    known = ~missing
    if not known.any():
        return values
    hour = np.arange(len(values))
    line = np.interp(hour, hour[known], values[known])
    if fill == "line":
        return np.where(missing, line, values)
    filled = values.copy()
    for at in np.flatnonzero(missing):
        filled[at] = line[at]
        for offset in _NEAREST_FIRST:
            other = at + offset
            # Earlier holes are filled by now, so that a gap of weeks repeats the last week that is known.
            if 0 <= other < len(values) and (offset == -168 or known[other]):
                filled[at] = filled[other]
                break
    return filled


def _found(hours: Hours, pools: tuple[str, ...]) -> str:
    """How much is missing, and where, in words."""
    everywhere = hours.missing.any(axis=1)
    edges = np.flatnonzero(np.diff(np.concatenate(([False], everywhere, [False])).astype(np.int8))).reshape(-1, 2)
    longest = sorted(edges.tolist(), key=lambda edge: edge[0] - edge[1])[:_TOLD]
    count = int(everywhere.sum())
    of = ""
    concerned = [pools[at] for at in np.flatnonzero(hours.missing.any(axis=0))]
    if len(concerned) < len(pools):
        of = f" of {', '.join(concerned[:5])}" + (" and others" if len(concerned) > 5 else "")
    places = ", ".join(f"{end - begin} h from {_time(hours.start_h + begin)}" for begin, end in sorted(longest))
    what = "1 hour" if count == 1 else f"{count} hours"
    where = places if len(edges) <= _TOLD else f"in {len(edges)} places, the longest {places}"
    return f"{what}{of} missing ({where})"


def _time(hour: int) -> str:
    return f"{datetime(1970, 1, 1, tzinfo=UTC) + timedelta(hours=hour):%Y-%m-%d %H:%M}"
