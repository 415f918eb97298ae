"""What does it cost? Instance intervals times a price, in dollars.

An interval is one launch of one instance, from the moment it is billed to the moment it is not, in integer ns. A
purchase plan is a function of interval lengths and a price (:data:`PLANS`); everything else here is an average or
a ratio of what it returns.

Defaults of on-demand billing: by the second, at least 60 s a launch. That is Amazon EC2 for Linux ("billed on one
second increments, with a minimum of 60 seconds", announcement of 2 October 2017) and Google Compute Engine ("charged
a minimum of 1 minute", then "in 1 second increments", its pricing page). Azure bills virtual machines by the second;
of its minimum only forum answers were found (1 minute, 5 since June 2025): pass ``minimum_ns`` where it matters.
It matters to fleets that come and go; for one that stays up it is a rounding.

Dollars are floats and are not rounded to cents: a plan compares fleets, and a cent an hour is 7.30 a month. Billed
time is counted in whole steps as integers, so the only rounding is that of a float product (the tests hold it
against fractions). Money is never 0 by accident: a price that is 0, negative or not finite raises.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from simulator.clock import NS_PER_HOUR, NS_PER_S

Int64s = npt.NDArray[np.int64]

HOURS_PER_MONTH: Final = 730
"""A month in this project: 365 days of 24 hours, over 12."""

MINIMUM_NS: Final = 60 * NS_PER_S
"""Shortest time billed for one launch."""

GRANULARITY_NS: Final = NS_PER_S
"""Billed time is rounded up to a multiple of this."""


@dataclass(frozen=True)
class Intervals:
    """When instances were billed: one entry a launch. Both columns have shape (n,)."""

    start_ns: Int64s
    """The instance is billed from here."""
    end_ns: Int64s
    """It is not billed from here on."""

    def __post_init__(self) -> None:
        if self.start_ns.shape != self.end_ns.shape or self.start_ns.ndim != 1:
            raise ValueError(f"start_ns and end_ns must be columns of one length, got {self.start_ns.shape} "
                             f"and {self.end_ns.shape}")  # fmt: skip
        backwards = np.flatnonzero(self.end_ns < self.start_ns)
        if len(backwards):
            row = int(backwards[0])
            raise ValueError(f"interval {row} must not end before it starts, got {self.start_ns[row]} ns to "
                             f"{self.end_ns[row]} ns")  # fmt: skip

    @property
    def length_ns(self) -> Int64s:
        """How long each was billed."""
        return self.end_ns - self.start_ns


@dataclass(frozen=True)
class FleetBill:
    """What one fleet costs."""

    usd: float
    """The bill for its intervals."""
    usd_per_hour: float
    """Rate: price times the mean number of instances in the horizon. Unlike ``usd`` it knows no minimum, so that a
    run of ten seconds still tells what an hour would cost."""
    billed_hours: float
    """Instance hours as billed on demand, rounded up launch by launch."""
    instances_mean: float
    """Instances on average over the horizon."""
    note: str = ""
    """What the reader should be told: that the minimum was billed."""


@dataclass(frozen=True)
class Cost:
    """What all fleets cost together."""

    usd_per_hour: float
    usd_per_month: float
    usd_per_1k_requests: float | None
    """None when no request completed."""


def always_on(instances: int, horizon_ns: int) -> Intervals:
    """Intervals of a fleet that keeps the same instances over the whole horizon.

    >>> always_on(3, 3_600 * NS_PER_S).length_ns.sum() / NS_PER_HOUR
    np.float64(3.0)
    """
    if instances < 0 or horizon_ns < 0:
        raise ValueError(f"instances and horizon_ns must be 0 or greater, got {instances} and {horizon_ns}")
    return Intervals(np.zeros(instances, dtype=np.int64), np.full(instances, horizon_ns, dtype=np.int64))


def billed_ns(length_ns: Int64s, *, minimum_ns: int = MINIMUM_NS, granularity_ns: int = GRANULARITY_NS) -> Int64s:
    """How much time is billed for each launch.

    Parameters
    ----------
    length_ns : (n,) int64
        Time each instance was up.
    minimum_ns, granularity_ns
        Shortest time billed a launch, and the step to which time is rounded up.

    Returns
    -------
    (n,) int64
        ``max(minimum, ceil(length / granularity) * granularity)``.

    Examples
    --------
    >>> billed_ns(np.array([0, 60 * NS_PER_S, 60 * NS_PER_S + 1])) // NS_PER_S
    array([60, 60, 61])
    """
    if granularity_ns < 1 or minimum_ns < 0:
        raise ValueError(f"granularity_ns must be at least 1 and minimum_ns 0, got {granularity_ns} and {minimum_ns}")
    length = np.asarray(length_ns, dtype=np.int64)
    if len(length) and int(length.min()) < 0:
        raise ValueError(f"length_ns must be 0 or greater, got {int(length.min())}")
    return np.maximum(minimum_ns, -(-length // granularity_ns) * granularity_ns)


def on_demand_usd(
    length_ns: Int64s,
    usd_per_hour: float,
    *,
    minimum_ns: int = MINIMUM_NS,
    granularity_ns: int = GRANULARITY_NS,
) -> float:
    """What launches cost on demand: each second at the hourly price, a minimum for each launch.

    Notes
    -----
    ``usd = usd_per_hour * sum(billed_ns(length_ns)) / 3600 s``.

    Raises
    ------
    ValueError
        The price is 0, negative or not finite.

    Examples
    --------
    Two instances at 0.80 USD/h, one up for 90 minutes, one for ten seconds and billed for a minute:

    >>> round(on_demand_usd(np.array([5_400, 10]) * NS_PER_S, 0.80), 6)
    1.213333
    """
    billed = billed_ns(length_ns, minimum_ns=minimum_ns, granularity_ns=granularity_ns)
    return check_usd_per_hour(usd_per_hour) * _hours(billed)


def spot_usd_per_hour(usd_per_hour: float, interruption_rate: float, restart_h: float) -> float:
    """What does an hour cost in which a spot instance serves, restarts included?

    Parameters
    ----------
    usd_per_hour
        Spot price.
    interruption_rate
        How often the instance is taken back, for each hour that it serves.
    restart_h
        How long its replacement is billed before it serves.

    Notes
    -----
    ``usd_per_hour (1 + interruption_rate restart_h)``: each hour of service brings that many restarts, billed without
    serving. Providers that waive an interrupted part of an hour are not credited for it.

    Examples
    --------
    One interruption in 20 hours, six minutes to boot and load the weights:

    >>> round(spot_usd_per_hour(0.40, 0.05, 0.1), 6)
    0.402
    """
    for name, value in (("interruption_rate", interruption_rate), ("restart_h", restart_h)):
        if not (math.isfinite(value) and value >= 0):
            raise ValueError(f"{name} must be a finite number, 0 or greater, got {value!r}")
    return check_usd_per_hour(usd_per_hour) * (1 + interruption_rate * restart_h)


BillingRule = Callable[[Int64s, float], float]
"""Bill in USD of launches of these lengths (ns) at this price (USD per hour)."""

PLANS: Final[dict[str, BillingRule]] = {"on_demand": on_demand_usd, "spot": on_demand_usd}
"""How launches are billed, by the name of a plan that a fleet's ``purchase:`` may name. What is promised for a term,
kept free or paid by the request is no matter of launches: :mod:`simulator.purchases` bills it."""


def bill_fleet(
    intervals: Intervals,
    horizon_ns: int,
    usd_per_hour: float,
    plan: str = "on_demand",
) -> FleetBill:
    """Bill a fleet for its intervals, and say what an hour of it costs.

    Parameters
    ----------
    intervals
        Its launches; what lies outside the horizon is billed but does not count towards the rate.
    horizon_ns
        The time over which ``usd_per_hour`` averages, from 0; the warm-up is part of it.
    usd_per_hour
        Price of one instance.
    plan
        One of :data:`PLANS`.

    Raises
    ------
    ValueError
        The price is 0, negative or not finite, the horizon is empty, or the plan is unknown.

    Examples
    --------
    >>> bill_fleet(always_on(4, 600 * NS_PER_S), 600 * NS_PER_S, 0.80).usd_per_hour
    3.2
    """
    if plan not in PLANS:
        raise ValueError(f"plan must be one of {', '.join(PLANS)}, got {plan!r}")
    if horizon_ns <= 0:
        raise ValueError(f"horizon_ns must be greater than 0, got {horizon_ns}")
    price = check_usd_per_hour(usd_per_hour)
    usd = PLANS[plan](intervals.length_ns, price)
    inside = np.minimum(intervals.end_ns, horizon_ns) - np.maximum(intervals.start_ns, 0)
    instances_mean = float(np.maximum(inside, 0).sum(dtype=np.float64)) / horizon_ns
    short = int(np.count_nonzero(intervals.length_ns < MINIMUM_NS))
    return FleetBill(
        usd=usd,
        usd_per_hour=price * instances_mean,
        billed_hours=_hours(billed_ns(intervals.length_ns)),
        instances_mean=instances_mean,
        note=f"{short} of {len(intervals.length_ns)} launches billed the minimum of {MINIMUM_NS // NS_PER_S} s"
        if short
        else "",
    )


def total_cost(bills: Sequence[FleetBill], completions_per_hour: float) -> Cost:
    """What all fleets cost together: an hour, a month, a thousand requests.

    >>> bill = bill_fleet(always_on(4, NS_PER_HOUR), NS_PER_HOUR, 0.80)
    >>> total_cost([bill, bill], completions_per_hour=64_000)
    Cost(usd_per_hour=6.4, usd_per_month=4672.0, usd_per_1k_requests=0.1)
    """
    rate = math.fsum(bill.usd_per_hour for bill in bills)
    return Cost(rate, usd_per_month(rate), usd_per_1k_requests(rate, completions_per_hour))


def usd_per_month(usd_per_hour: float) -> float:
    """What does a month at this rate cost? 730 hours.

    >>> usd_per_month(0.8048)
    587.504
    """
    return usd_per_hour * HOURS_PER_MONTH


def usd_per_1k_requests(usd_per_hour: float, completions_per_hour: float) -> float | None:
    """What do a thousand completed requests cost? None when nothing completes, since no number says that.

    >>> usd_per_1k_requests(3.2, 3_240_000)
    0.0009876543209876543
    """
    if completions_per_hour <= 0 or not math.isfinite(completions_per_hour):
        return None
    return 1_000 * usd_per_hour / completions_per_hour


def check_usd_per_hour(usd_per_hour: float, name: str = "usd_per_hour") -> float:
    """Is this a price that may be billed? The price, else a ValueError that names it.

    >>> check_usd_per_hour(0.0, "usd_per_hour of g6.xlarge")
    Traceback (most recent call last):
    ValueError: usd_per_hour of g6.xlarge must be a finite number greater than 0, got 0.0
    """
    if not (math.isfinite(usd_per_hour) and usd_per_hour > 0):
        raise ValueError(f"{name} must be a finite number greater than 0, got {usd_per_hour!r}")
    return float(usd_per_hour)


def _hours(billed: Int64s) -> float:
    """Instance hours in billed time, correctly rounded; int64 would overflow at 2.6 million instance hours."""
    return math.fsum(billed.astype(np.float64)) / NS_PER_HOUR
