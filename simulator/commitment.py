"""What was promised to a provider: instances of a type, or dollars an hour. The two kinds of commitment as values.

Both are paid for every hour of their term, used or not. Which of them covers which hour of which instance is the
ledger's (:mod:`simulator.ledger`). A commitment is a price, not capacity: whether the machines are there is said
apart (:attr:`Reservation.guarantees_capacity`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Reservation:
    """Instances of one type, promised for a term: a reserved instance, or a resource-based committed use."""

    name: str
    """Unique among the commitments of a ledger."""
    instance_type: str
    units: float
    """Instances; providers sell whole ones, a shared plan may own a part."""
    usd_per_hour: float
    """Effective price of a unit, above 0: what is paid monthly, and what was paid upfront spread over the term."""
    start_h: int
    """First hour, counted from the first hour of the ledger; negative where it was bought before."""
    term_h: int
    """Hours for which it is paid."""
    upfront_usd: float = 0.0
    """Part of the price paid at the start, for each unit; at most usd_per_hour x term_h."""
    region: str = ""
    """Where it applies; blank where region plays no part."""
    guarantees_capacity: bool = False
    """Whether the machines are kept free as well (a zonal reservation)."""

    def __post_init__(self) -> None:
        """Refuse what cannot be billed."""
        _sound(self.name, self.units, self.usd_per_hour, self.term_h)
        if not 0 <= self.upfront_usd <= self.usd_per_hour * self.term_h * (1 + 1e-9):
            raise ValueError(f"{self.name}: upfront_usd must be within the price of the term, got {self.upfront_usd}")

    @property
    def recurring_usd_per_hour(self) -> float:
        """What a unit costs each hour beside what was paid upfront.

        >>> Reservation("a", "g5.xlarge", 1, 0.6, 0, 8760, upfront_usd=2628.0).recurring_usd_per_hour
        0.3
        """
        return self.usd_per_hour - self.upfront_usd / self.term_h


@dataclass(frozen=True)
class SpendCommitment:
    """Dollars an hour, promised for a term: a savings plan, or a spend-based committed use."""

    name: str
    """Unique among the commitments of a ledger."""
    usd_per_hour: float
    """The commitment, at the discounted rates."""
    rates: Mapping[str, float]
    """Discounted price of an instance hour by instance type; types that it does not cover are absent."""
    start_h: int
    """First hour, counted from the first hour of the ledger; negative where it was bought before."""
    term_h: int
    """Hours for which it is paid."""
    upfront_share: float = 0.0
    """Share of the term's commitment that is paid at the start: 0, about 0.5, or 1."""
    region: str = ""
    """Where it applies; blank for everywhere."""
    wide: bool = True
    """Whether it covers any family (compute); False for one family in one region, which is applied before."""

    def __post_init__(self) -> None:
        """Refuse what cannot be billed."""
        _sound(self.name, 1.0, self.usd_per_hour, self.term_h)
        if not 0 <= self.upfront_share <= 1:
            raise ValueError(f"{self.name}: upfront_share must be within 0 and 1, got {self.upfront_share}")
        for instance_type, rate in self.rates.items():
            if not (math.isfinite(rate) and rate > 0):
                raise ValueError(f"{self.name}: the rate of {instance_type} must be greater than 0, got {rate}")


Commitment = Reservation | SpendCommitment
"""Anything that is paid for used or not."""


def _sound(name: str, units: float, usd_per_hour: float, term_h: int) -> None:
    if not (math.isfinite(units) and units >= 0):
        raise ValueError(f"{name}: units must be 0 or greater, got {units}")
    if not (math.isfinite(usd_per_hour) and usd_per_hour > 0):
        raise ValueError(f"{name}: usd_per_hour must be a finite number greater than 0, got {usd_per_hour}")
    if term_h < 1:
        raise ValueError(f"{name}: term_h must be at least 1, got {term_h}")
