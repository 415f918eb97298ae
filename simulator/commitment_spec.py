"""What was bought ahead, as a user writes it: commitments, discounts, and capacity that is guaranteed.

A commitment is a price: instances of a type, or dollars an hour, promised for a term and paid for used or not. A
guarantee is capacity: machines that are kept free. Neither implies the other, and so they stand in sections of their
own. What they come to is worked out in :mod:`simulator.purchases`; which commitment covers which instance is the
ledger's (:mod:`simulator.ledger`).
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Annotated, Final, Literal

from pydantic import Field

from calibration.schema import Entry, Flag, Flaw, NotNegative, Positive
from simulator.fleet_spec import MOST_INSTANCES, Text, UsdPerHour
from simulator.purchase_plan import PurchasePlan

Units = Annotated[Positive, Field(le=MOST_INSTANCES)]
Spend = Annotated[Positive, Field(le=100_000_000)]
Share = Annotated[float, Field(strict=True, allow_inf_nan=False, gt=0, lt=1)]

INSTANCES: Final = ("reserved", "committed_use")
"""Plans that promise instances of a type; the others promise dollars an hour."""

_OF_INSTANCES: Final = ("instance_type", "units", "usd_per_hour", "upfront_usd")
_OF_DOLLARS: Final = ("spend_usd_per_hour", "scope", "instance_family", "rates")


class Promise(Entry):
    """A commitment: paid for every hour of its term, used or not. It lowers the price of what runs on demand."""

    plan: Literal["reserved", "savings_plan", "committed_use", "spend_commitment"]
    """What is promised. ``reserved`` and ``committed_use``: instances of a type. ``savings_plan`` and
    ``spend_commitment``: dollars an hour."""
    term: Literal["1y", "3y"]
    """For how long. A run bills its share of the term: every hour the hourly rate."""
    payment: Literal["no_upfront", "partial_upfront", "all_upfront"] = "no_upfront"
    """When it is paid: month by month, about half at once, or all at once."""
    instance_type: Text | None = None
    """The machine that is promised. Only this very type is covered, not other sizes of its family."""
    units: Units | None = None
    """Instances promised; a part of one where a commitment is shared with others."""
    usd_per_hour: UsdPerHour | None = None
    """Price of an hour of one unit, which wins over the price list's: what is paid monthly, and what was paid at
    once spread over the term."""
    upfront_usd: NotNegative | None = None
    """Part of that price that was paid at once, for each unit."""
    spend_usd_per_hour: Spend | None = None
    """Dollars an hour promised, at the discounted rates."""
    scope: Literal["ec2_instance", "compute"] | None = None
    """What a savings plan covers: one family of instances, or any."""
    instance_family: Text | None = None
    """The family that an ``ec2_instance`` savings plan covers: ``g6`` covers ``g6.xlarge``."""
    rates: dict[Text, UsdPerHour] | None = Field(default=None, min_length=1)
    """Discounted price of an instance hour by instance type, which wins over the price list's; types that are absent
    are then not covered. Default: the price list's rate of every type that runs on demand."""
    provider: Text | None = None
    """Narrows the look-up of the rate, and what dollars cover: ``aws``, ``gcp`` ..."""
    region: Text | None = None
    """Where it applies: ``us-east-1`` ... Default: wherever a fleet of the scenario runs."""

    @property
    def terms(self) -> PurchasePlan:
        """The plan in the words of price lists.

        >>> Promise(plan="committed_use", term="3y", instance_type="g2-standard-4", units=2).terms.price_type
        'cud_3y'
        """
        return PurchasePlan(self.plan, self.scope or "", int(self.term[0]), self.payment)

    @property
    def of_instances(self) -> bool:
        """Whether instances are promised, not dollars."""
        return self.plan in INSTANCES

    def flaws(self) -> Iterator[Flaw]:
        """Keys of the other kind of promise, what is missing of this one, and payments that contradict."""
        given = self.model_fields_set
        for key in _OF_DOLLARS if self.of_instances else _OF_INSTANCES:
            if key in given and getattr(self, key) is not None:
                promises = "instances" if self.of_instances else "dollars an hour"
                yield Flaw(
                    (key,), f"has no effect with plan {self.plan}, which promises {promises}", remedy="Remove it."
                )
        yield from self._instance_flaws() if self.of_instances else self._dollar_flaws()
        if self.payment != "no_upfront" and self.plan in ("committed_use", "spend_commitment"):
            rule = f"must be no_upfront with plan {self.plan}: it is billed month by month"
            yield Flaw(("payment",), rule, remedy="Remove it.")

    def _instance_flaws(self) -> Iterator[Flaw]:
        if self.instance_type is None:
            remedy = "Name the machine that was promised, as g6.xlarge."
            yield Flaw(("instance_type",), f"is required with plan {self.plan}", None, remedy)
        if self.units is None:
            yield Flaw(("units",), f"is required with plan {self.plan}", None, "Add it: instances promised.")
        if self.upfront_usd is None:
            if self.payment == "partial_upfront" and self.usd_per_hour is not None:
                rule = "is required beside usd_per_hour with payment partial_upfront"
                yield Flaw(("upfront_usd",), rule, None, "Say how much of the price of a unit was paid at once.")
        elif self.payment != "partial_upfront":
            remedy = "Remove it, or use payment: partial_upfront."
            yield Flaw(("upfront_usd",), f"has no effect with payment {self.payment}", remedy=remedy)
        elif self.usd_per_hour is None:
            remedy = "Add usd_per_hour: it holds what was paid at once spread over the term, and what is paid monthly."
            yield Flaw(("usd_per_hour",), "is required beside upfront_usd", None, remedy)
        elif self.upfront_usd > self.usd_per_hour * self.terms.term_h:
            most = self.usd_per_hour * self.terms.term_h
            rule = f"must be at most the price of the whole term, {self.terms.term_h:,} h x usd_per_hour = {most:,.2f}"
            yield Flaw(
                ("upfront_usd",), rule, remedy="Raise usd_per_hour: it is the effective price, upfront included."
            )

    def _dollar_flaws(self) -> Iterator[Flaw]:
        if self.spend_usd_per_hour is None:
            remedy = "Add it: the dollars an hour that were promised."
            yield Flaw(("spend_usd_per_hour",), f"is required with plan {self.plan}", None, remedy)
        if self.plan == "savings_plan" and self.scope is None:
            remedy = "Choose one of ec2_instance, compute: their rates differ."
            yield Flaw(("scope",), "is required with plan savings_plan", None, remedy)
        if self.plan != "savings_plan" and self.scope is not None:
            yield Flaw(("scope",), f"has no effect with plan {self.plan}", remedy="Remove it.")
        family = self.instance_family is not None
        if self.scope == "ec2_instance" and not family and self.rates is None:
            remedy = "Name the family, as g6, or give rates: which types it covers, and at which price."
            yield Flaw(("instance_family",), "is required with scope ec2_instance", None, remedy)
        if family and self.scope != "ec2_instance":
            remedy = "Remove it, or use scope: ec2_instance."
            yield Flaw(("instance_family",), "has an effect only with scope ec2_instance", remedy=remedy)
        if family and self.rates is not None:
            yield Flaw(
                ("instance_family",), "has no effect beside rates, which name the types covered", remedy="Remove it."
            )


class Tier(Entry):
    """A step of a discount that grows with what is spent."""

    from_usd_per_month: NotNegative
    """What is bought on demand in a month (730 hours) from which the step holds, before this discount."""
    share: Annotated[float, Field(strict=True, allow_inf_nan=False, ge=0, lt=1)]
    """Part of the price that is taken off: 0.08 for 8 %."""


class Discount(Entry):
    """A price below list that was negotiated, off everything that is bought on demand.

    Several that apply to one fleet come one after the other, each off what the one before left; a fleet's own
    ``usd_per_hour`` counts as its list price. Rates of commitments are taken as stated, and spot prices too.
    """

    share: Share | None = None
    """Part of the price that is taken off: 0.08 for 8 %."""
    tiers: tuple[Tier, ...] | None = Field(default=None, min_length=1)
    """Instead of ``share``, steps by what is bought on demand in a month, commitments not counted; each holds for the
    dollars within it."""
    whole: Flag = False
    """Whether the highest step that is reached holds for every dollar instead."""
    instance_type: Text | None = None
    """Applies to this machine only."""
    provider: Text | None = None
    """Applies to this provider's fleets only, as far as a fleet or its price says whose it is."""
    region: Text | None = None
    """Applies in this region only."""

    def flaws(self) -> Iterator[Flaw]:
        """Neither share nor tiers, or both; steps out of order."""
        if self.share is None and self.tiers is None:
            yield Flaw(("share",), "is required, or tiers", None, "Give the part of the price that is taken off.")
        if self.share is not None and self.tiers is not None:
            yield Flaw(("tiers",), "contradicts share", None, "Remove one of the two.")
        if self.whole and self.tiers is None:
            yield Flaw(("whole",), "has no effect without tiers", remedy="Remove it.")
        for key in ("instance_type", "provider", "region"):
            if self.tiers is not None and getattr(self, key) is not None:
                rule = "has no effect with tiers, which go by everything that is bought on demand"
                yield Flaw((key,), rule, remedy="Remove it, or give a share.")
        for index, (low, high) in enumerate(pairwise(self.tiers or ()), start=1):
            if high.from_usd_per_month <= low.from_usd_per_month:
                rule = f"must be more than the step before ({low.from_usd_per_month:g})"
                yield Flaw(("tiers", index, "from_usd_per_month"), rule, remedy="Sort the steps, each once.")


class Guarantee(Entry):
    """Capacity that the provider keeps free, which no commitment does."""

    kind: Literal["reservation", "block"]
    """``reservation``: an on-demand capacity reservation, billed on demand whether an instance runs in it or not, so
    that commitments cover its idle part too. ``block``: machines for a stated time, paid at once at their own price,
    for fleets with ``purchase: capacity_block``; commitments do not touch it."""
    instance_type: Text
    """The machine."""
    units: Units
    """Machines that are kept."""
    usd_per_hour: UsdPerHour | None = None
    """Price of an hour of one machine of a block, which wins over the price list's."""
    provider: Text | None = None
    """Narrows the look-up of the price."""
    region: Text | None = None
    """Where it is, and narrows the look-up of the price."""

    def flaws(self) -> Iterator[Flaw]:
        """A price where there is none."""
        if self.kind == "reservation" and self.usd_per_hour is not None:
            rule = "has no effect with kind reservation, which is billed at the on-demand price of its machines"
            yield Flaw(("usd_per_hour",), rule, remedy="Remove it.")
