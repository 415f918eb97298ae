"""How far a number of a report may be from the truth: 95 % intervals from independent replications.

Within one run latencies depend on one another (a long queue is long for many requests), so the order-statistic
interval for independent samples is far too narrow: measured on dynamic batching at load 0.80 it covered the true p99
in 25 % of the runs instead of 95. Replications are independent. Of R of them,

    estimate   q    the percentile of the requests of all replications pooled
    spread     s^2 = sum over r of (q_r - q)^2 / (R - 1),   q_r the percentile of replication r alone
    interval   q -+ t(R - 1, 0.975) s / sqrt(R)

This is sectioning, with replications as the sections: S. Asmussen and P. W. Glynn (2007), Stochastic Simulation,
section III.5a; M. K. Nakayama (2014), "Confidence intervals for quantiles using sectioning when applying
variance-reduction techniques", ACM TOMACS 24(4), 19. The mean of the q_r is not the centre: a percentile of a short
run is biased (at high load, low), and averaging R of them keeps the bias while the interval shrinks around it.
For the same reason the spread is taken around q: where the q_r are biased the interval widens.

No interval mends runs that are too short for their load; :mod:`simulator.cautions` says when they are.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

_T_975: Final = (
    *(12.706205, 4.302653, 3.182446, 2.776445, 2.570582, 2.446912, 2.364624, 2.306004, 2.262157, 2.228139),
    *(2.200985, 2.178813, 2.160369, 2.144787, 2.131450, 2.119905, 2.109816, 2.100922, 2.093024, 2.085963),
)
"""0.975-quantile of Student's t for 1 to 20 degrees of freedom: Abramowitz and Stegun (1964), table 26.10, with the
digits that the table rounds off."""

_Z_975: Final = 1.959963984540054
"""0.975-quantile of the normal distribution."""


def student_t_975(degrees: int) -> float:
    """0.975-quantile of Student's t distribution, to 5 decimals.

    Raises
    ------
    ValueError
        If ``degrees`` is below 1.

    Notes
    -----
    Tabulated up to 20 degrees of freedom; beyond, the expansion around the normal quantile z in powers of 1/degrees,
    Abramowitz and Stegun (1964), 26.7.5.

    >>> student_t_975(4), round(student_t_975(29), 4)
    (2.776445, 2.0452)
    """
    if degrees < 1:
        raise ValueError(f"degrees of freedom must be >= 1, got {degrees}.")
    if degrees <= len(_T_975):
        return _T_975[degrees - 1]
    z, n = _Z_975, degrees
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92_160,
    )
    return z + (terms[0] + (terms[1] + (terms[2] + terms[3] / n) / n) / n) / n


def interval_95(pooled: float, replicates: Sequence[float]) -> tuple[float, float]:
    """Between which values does the true one lie, in 95 of 100 experiments like this?

    Parameters
    ----------
    pooled
        The estimate from all replications together: the centre. A percentile, or a mean.
    replicates
        The same estimate from each replication alone, R >= 2 of them.

    Returns
    -------
    tuple of float
        Lower and upper end. The lower end may be below 0; a duration's caller cuts it off there.

    Raises
    ------
    ValueError
        If there are fewer than two replicates.

    >>> low, high = interval_95(10.0, [9.0, 10.5, 10.5])
    >>> round(low, 3), round(high, 3)
    (7.849, 12.151)
    """
    if len(replicates) < 2:
        raise ValueError(f"an interval needs at least 2 replications, got {len(replicates)}.")
    variance = math.fsum((replicate - pooled) ** 2 for replicate in replicates) / (len(replicates) - 1)
    half = student_t_975(len(replicates) - 1) * math.sqrt(variance / len(replicates))
    return pooled - half, pooled + half
