"""Who keeps the machines free? Guarantees of capacity, apart from commitments, which are prices.

A discount is not capacity: a savings plan lowers the bill of an instance that may not be had, and a capacity
reservation keeps an instance at its full price. Both can be held for the same machine.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from simulator.commitment import Reservation


@dataclass(frozen=True)
class CapacityGuarantee:
    """Instances of one type that are kept free, and charged for whether they run or not.

    With a price of its own it is a capacity block: paid in full when it starts, outside every discount. Without one
    it is an on-demand capacity reservation: what stands idle costs what the instance costs on demand, and commitments
    cover it once they have covered everything that runs.
    """

    name: str
    """Unique among the guarantees of a ledger."""
    instance_type: str
    units: float
    """Instances that are kept."""
    start_h: int
    """First hour, counted from the first hour of the ledger; negative where it began before."""
    term_h: int
    """Hours for which it is kept."""
    region: str = ""
    """Where; blank where region plays no part."""
    usd_per_hour: float | None = None
    """Price of a unit of a capacity block; None for a reservation of on-demand capacity."""

    def __post_init__(self) -> None:
        """Refuse what cannot be billed."""
        if not (math.isfinite(self.units) and self.units >= 0):
            raise ValueError(f"{self.name}: units must be 0 or greater, got {self.units}")
        if self.usd_per_hour is not None and not (math.isfinite(self.usd_per_hour) and self.usd_per_hour > 0):
            raise ValueError(
                f"{self.name}: usd_per_hour must be a finite number greater than 0, got {self.usd_per_hour}"
            )
        if self.term_h < 1:
            raise ValueError(f"{self.name}: term_h must be at least 1, got {self.term_h}")

    def as_prepaid(self) -> Reservation:
        """Which instances has a capacity block paid for? As a reservation that is paid all upfront.

        >>> CapacityGuarantee("block", "p5e.48xlarge", 2, 0, 24, usd_per_hour=40.0).as_prepaid().upfront_usd
        960.0
        """
        if self.usd_per_hour is None:
            raise ValueError(f"{self.name} has no price of its own: it costs what its instances cost on demand")
        upfront = self.usd_per_hour * self.term_h
        return Reservation(
            self.name, self.instance_type, self.units, self.usd_per_hour, self.start_h, self.term_h, upfront,
            self.region, guarantees_capacity=True,
        )  # fmt: skip
