"""How can an instance be bought? Purchase plans, and the names that price lists give them.

A plan says what is promised (nothing, instances of a type, or dollars an hour), for how long, and when it is paid. What
it costs is a row of a price list (:mod:`simulator.price_list`); what was bought is a commitment
(:mod:`simulator.commitment`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

HOURS_PER_YEAR: Final = 8_760
"""Hours of a committed year: 365 days, whatever the calendar says. AWS states effective rates so, and a three-year
term has 26,280."""

Kind = Literal[
    "on_demand", "spot", "reserved", "savings_plan", "committed_use", "spend_commitment", "capacity_block", "serverless"
]
Payment = Literal["no_upfront", "partial_upfront", "all_upfront"]

PAYMENTS: Final[tuple[Payment, ...]] = ("no_upfront", "partial_upfront", "all_upfront")
SCOPES: Final = ("ec2_instance", "compute")
"""Of a savings plan, the narrower first: one instance family in one region, or any."""


@dataclass(frozen=True)
class PurchasePlan:
    """Terms on which instances are bought."""

    kind: Kind
    """``reserved`` and ``committed_use`` promise instances of a type, ``savings_plan`` and ``spend_commitment`` dollars
    an hour; ``capacity_block`` guarantees machines for a stated time; the others promise nothing."""
    scope: Literal["", "ec2_instance", "compute"] = ""
    """What a savings plan covers."""
    years: int = 0
    """Term; 0 where nothing is promised."""
    payment: Payment = "no_upfront"
    """When a promise is paid: month by month, about half at once, or all at once."""

    @property
    def term_h(self) -> int:
        """Hours of the term.

        >>> PurchasePlan("reserved", years=3).term_h
        26280
        """
        return self.years * HOURS_PER_YEAR

    @property
    def promises(self) -> bool:
        """Whether it is paid for used or not."""
        return self.years > 0

    @property
    def price_type(self) -> str:
        """Its name in a price list.

        >>> PurchasePlan("savings_plan", "compute", 1).price_type
        'savings_plan_compute_1y_no_upfront'
        >>> PurchasePlan("committed_use", years=3).price_type, PurchasePlan("spot").price_type
        ('cud_3y', 'spot')
        """
        if self.kind in {"committed_use", "spend_commitment"}:
            return f"{'cud' if self.kind == 'committed_use' else 'spend_cud'}_{self.years}y"
        if not self.promises:
            return self.kind
        return "_".join([self.kind, *([self.scope] if self.scope else []), f"{self.years}y", self.payment])


PLANS: Final[tuple[PurchasePlan, ...]] = (
    PurchasePlan("on_demand"),
    PurchasePlan("spot"),
    PurchasePlan("capacity_block"),
    PurchasePlan("serverless"),
    *(PurchasePlan("reserved", "", years, payment) for years in (1, 3) for payment in PAYMENTS),
    *(
        PurchasePlan("savings_plan", scope, years, payment)
        for scope in ("ec2_instance", "compute")
        for years in (1, 3)
        for payment in PAYMENTS
    ),
    *(PurchasePlan("committed_use", years=years) for years in (1, 3)),
    *(PurchasePlan("spend_commitment", years=years) for years in (1, 3)),
)
"""Every plan that a price list may name."""

PLAN_BY_PRICE_TYPE: Final = {plan.price_type: plan for plan in PLANS}
"""Plans by their names in price lists."""
