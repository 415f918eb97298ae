"""How long does an execution take, alone and beside others on the same accelerator?

Work is measured in nanoseconds of an execution that runs alone. When k executions overlap, each advances at
``1 / slowdown[k]`` of that speed; slowdowns are integers in parts per million, so that both engines compute the same
nanosecond. Rounding is towards later: an execution never ends before its work is done.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
from numba.extending import register_jitable

PPM: Final = 1_000_000
"""Slow-down of an execution that runs alone, in parts per million."""

NOISE_LEVELS: Final = 1024
"""Levels of a noise table: its rows hold NOISE_LEVELS + 1 factors, between which positions interpolate."""


@register_jitable
def work_left(work_ns: int, elapsed_ns: int, slow_ppm: int) -> int:
    """Solo work that remains after running for ``elapsed_ns`` at a slow-down, never below 0.

    The product is split so that it cannot overflow 64 bits.

    >>> work_left(1_000, 600, 2_000_000)
    700
    """
    done = elapsed_ns // slow_ppm * PPM + elapsed_ns % slow_ppm * PPM // slow_ppm
    return max(work_ns - done, 0)


@register_jitable
def duration(work_ns: int, slow_ppm: int) -> int:
    """Wall time that ``work_ns`` of solo work takes at a slow-down, rounded up.

    >>> duration(700, 2_000_000), duration(1, 1_500_000)
    (1400, 2)
    """
    return work_ns // PPM * slow_ppm + (work_ns % PPM * slow_ppm + PPM - 1) // PPM


@register_jitable
def noisy(mean_ns: int, factors: npt.NDArray[np.float64], position: float) -> int:
    """Service time of one execution: its mean times the factor at ``position`` of a noise row, at least 1 ns.

    Parameters
    ----------
    mean_ns
        Mean service time of the batch.
    factors : (NOISE_LEVELS + 1,) float64
        Factors around mean 1, non-decreasing: the quantile function of the noise on a grid.
    position
        Where on the grid, 0 <= position < NOISE_LEVELS; drawn ahead, once a request. A batch uses its oldest's.
    """
    level = int(position)
    low = factors[level]
    factor = low + (factors[level + 1] - low) * (position - level)
    return max(int(mean_ns * factor + 0.5), 1)
