"""What does a month cost under a negotiated agreement? Discounts that grow with what is spent."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class DiscountTiers:
    """Discounts by monthly spend: each tier is the spend from which it holds, and its discount.

    As a rule a tier's discount is for the dollars within it. ``whole`` gives the discount of the highest tier reached
    to every dollar of the month, which makes a month just over a limit cheaper than one just under it; agreements of
    both forms exist.
    """

    tiers: tuple[tuple[float, float], ...]
    """(monthly spend in USD from which it holds, discount in [0, 1)), by increasing spend."""
    whole: bool = False
    """Whether the highest tier reached holds for the whole month."""

    def __post_init__(self) -> None:
        """Refuse tiers out of order, and discounts outside [0, 1)."""
        starts = [start for start, _ in self.tiers]
        if any(not (math.isfinite(start) and start >= 0) for start in starts) or starts != sorted(set(starts)):
            raise ValueError(f"tiers must begin at increasing amounts, 0 or greater, got {starts}")
        for start, discount in self.tiers:
            if not 0 <= discount < 1:
                raise ValueError(f"the discount from {start} USD must be at least 0 and below 1, got {discount}")

    def charged_usd(self, spend_usd: float) -> float:
        """What is charged for this much spend in a month?

        5% from 10,000 and 10% from 50,000: of 60,000, the first 10,000 are charged in full, 40,000 less 5%, and
        10,000 less 10%.

        >>> DiscountTiers(((10_000, 0.05), (50_000, 0.10))).charged_usd(60_000)
        57000.0
        >>> DiscountTiers(((10_000, 0.05), (50_000, 0.10)), whole=True).charged_usd(60_000)
        54000.0
        """
        if not (math.isfinite(spend_usd) and spend_usd >= 0):
            raise ValueError(f"spend_usd must be 0 or greater, got {spend_usd}")
        if self.whole:
            reached = [discount for start, discount in self.tiers if spend_usd >= start]
            return float(spend_usd) * (1 - (reached[-1] if reached else 0.0))
        ends = [start for start, _ in self.tiers[1:]] + [math.inf]
        saved = (
            max(0.0, min(spend_usd, end) - start) * discount
            for (start, discount), end in zip(self.tiers, ends, strict=True)
        )
        return float(spend_usd) - math.fsum(saved)

    def factor(self, spend_usd: float) -> float:
        """What share of this much spend is charged? 1 where nothing is spent.

        >>> DiscountTiers(((0, 0.10),)).factor(500.0)
        0.9
        """
        return self.charged_usd(spend_usd) / spend_usd if spend_usd > 0 else 1.0
