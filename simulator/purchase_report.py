"""What purchases come to, as values that a report shows: four costs, a line for each commitment and guarantee.

Nothing here computes beyond sums of its own columns; :mod:`simulator.purchases` fills these values from the ledger.
All amounts are for one hour of the simulated fleets, since a run of minutes bills its share of a term.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace


@dataclass(frozen=True)
class CommitmentLine:
    """What one commitment is worth to the fleets of a scenario."""

    plan: str
    """Its name in price lists: ``cud_1y``."""
    instance_type: str | None
    """The machine promised; None where dollars are."""
    units: float | None
    """Instances promised; None where dollars are."""
    usd_per_hour: float
    """What it costs an hour, used or not, with upfront payments spread over the term."""
    used_usd_per_hour: float
    """Part of that which covers instances."""
    unused_usd_per_hour: float
    """Part of that which is paid for nothing."""
    utilisation: float
    """Used over the whole."""
    replaced_usd_per_hour: float
    """What the hours that it covers would cost without it."""
    break_even_utilisation: float | None
    """Utilisation from which it is cheaper than doing without: its rate over the price that it replaces; None where it
    covers nothing that has a price."""
    upfront_usd: float
    """Paid at the start of the term, for all its units."""
    rate_note: str = ""
    """Where its rate comes from, and of which date."""

    @property
    def saved_usd_per_hour(self) -> float:
        """How much an hour costs less with it than without; negative where it costs more."""
        return self.replaced_usd_per_hour - self.usd_per_hour


@dataclass(frozen=True)
class GuaranteeLine:
    """What guaranteed machines are used for, and what the idle ones cost."""

    kind: str
    """``reservation`` or ``block``."""
    instance_type: str
    units: float
    """Machines that are kept."""
    in_use: float
    """Those that a fleet runs in."""
    idle_usd_per_hour: float
    """What the others cost, at committed rates where commitments reach them."""
    rate_note: str = ""
    """Where its price comes from, and of which date."""


@dataclass(frozen=True)
class PurchaseReport:
    """What an hour of all fleets costs, looked at in four ways, and what was promised."""

    list_usd_per_hour: float
    """At public prices: on demand, spot, by the request."""
    contracted_usd_per_hour: float
    """The same less negotiated discounts."""
    effective_usd_per_hour: float
    """What the hour bears: commitments used and unused with upfront payments spread over their terms, and the rest as
    contracted."""
    billed_usd_per_hour: float
    """What an invoice for such an hour adds up to: the same without what was paid upfront."""
    on_demand_usd_per_hour: float
    """Part of the effective cost that is left on demand."""
    coverage: float | None
    """Share of what could be covered (at contracted prices) that commitments cover; None where nothing could be."""
    utilisation: float | None
    """Share of what is committed that is used, in dollars; None without commitments."""
    upfront_usd: float
    """Paid at the start of terms, for all commitments."""
    commitments: Mapping[str, CommitmentLine] = field(default_factory=dict)
    capacity: Mapping[str, GuaranteeLine] = field(default_factory=dict)
    cautions: tuple[tuple[str, str], ...] = ()
    """Code and sentence of what a reader should know."""

    def with_requests(self, usd_per_hour: float) -> PurchaseReport:
        """The same with what is paid by the request, which only a run can tell."""
        return replace(
            self,
            list_usd_per_hour=self.list_usd_per_hour + usd_per_hour,
            contracted_usd_per_hour=self.contracted_usd_per_hour + usd_per_hour,
            effective_usd_per_hour=self.effective_usd_per_hour + usd_per_hour,
            billed_usd_per_hour=self.billed_usd_per_hour + usd_per_hour,
        )
