"""What serves: a fleet of identical instances, how it batches, and what it is billed at.

Rules between a fleet and the rest of the scenario (its profile, its workloads) are in :mod:`simulator.crosscheck`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from calibration.profile import LARGEST_BATCH, slowdown_flaws
from calibration.schema import Entry, Flaw, NotNegative, Number, Positive, Whole
from calibration.units import DurationNs, refusal

MOST_INSTANCES: Final = 100_000
MOST_MODEL_INSTANCES: Final = 1_024
MOST_TURNS: Final = 100_000
"""Sum of a fleet's router weights: the length of one round."""

PRICE_STANDING_FOR_NONE: Final = 700.0
"""Catalogues give this where a shape is not offered."""


def _real_price(usd_per_hour: float) -> float:
    if usd_per_hour == PRICE_STANDING_FOR_NONE:
        raise refusal("stands for 'not offered' in price catalogues and is no price", "Give the price that you pay.")
    return usd_per_hour


UsdPerHour = Annotated[Positive, Field(le=100_000), AfterValidator(_real_price)]
"""Price of an hour of one instance: greater than 0, and no stand-in for a price that there is not."""

Text = Annotated[str, Field(min_length=1, max_length=200)]


class Batching(Entry):
    """How requests that wait are put together into one execution."""

    policy: Literal["none", "static", "dynamic"] = "none"
    """``none``: one request at a time. ``static``: waits for exactly ``max_batch_size`` items. ``dynamic``: the
    server's own rule."""
    rule: Literal["triton", "torchserve", "mosec", "litserve", "ray_serve", "textbook"] = "triton"
    """Whose rule a dynamic batcher follows; they differ in when the timer of ``max_queue_delay`` starts."""
    max_batch_size: Annotated[Whole, Field(ge=1, le=LARGEST_BATCH)] = 1
    """The most items in a batch; with ``policy: none`` it may be left out and is the largest request."""
    max_queue_delay_ns: DurationNs = Field(default=0, alias="max_queue_delay")
    """How long a dynamic batcher waits for more requests; 0 never waits."""
    preferred_batch_sizes: tuple[Annotated[Whole, Field(ge=1)], ...] = ()
    """Sizes at which Triton forms a batch at once, increasing; default: only ``max_batch_size``."""

    def flaws(self) -> Iterator[Flaw]:
        """Keys without effect under the policy, and sizes that cannot occur."""
        given = self.model_fields_set
        if self.policy != "none" and "max_batch_size" not in given:
            rule = f"is required with policy {self.policy}"
            yield Flaw(("max_batch_size",), rule, None, "Add it: the most items in a batch.")
        if self.policy != "dynamic":
            remedy = "Remove it, or use policy: dynamic."
            if "rule" in given:
                yield Flaw(("rule",), f"has no effect with policy {self.policy}", remedy=remedy)
            if self.max_queue_delay_ns > 0:
                yield Flaw(("max_queue_delay",), f"has no effect with policy {self.policy}", remedy=remedy)
        if self.preferred_batch_sizes and (self.policy, self.rule) != ("dynamic", "triton"):
            rule = "has an effect only with policy dynamic and rule triton"
            yield Flaw(("preferred_batch_sizes",), rule, remedy="Remove it.")
        before = 0
        for index, size in enumerate(self.preferred_batch_sizes):
            if size <= before:
                rule, remedy = f"must be more than the entry before ({before})", "Sort the sizes, each once."
                yield Flaw(("preferred_batch_sizes", index), rule, remedy=remedy)
            if size > self.max_batch_size and "max_batch_size" in given:
                rule = f"must be at most max_batch_size ({self.max_batch_size})"
                yield Flaw(("preferred_batch_sizes", index), rule, remedy="Remove it, or raise max_batch_size.")
            before = size


class Purchase(Entry):
    """How the instances of a fleet are bought: the name of a plan, or the plan with what it asks for."""

    plan: Literal["on_demand", "spot", "serverless", "capacity_block"]
    """``on_demand``: by the second; commitments lower its price. ``spot``: at the spot price, until the provider takes
    the instance back. ``serverless``: by the request. ``capacity_block``: in a block of ``capacity``."""
    interruption_rate: Annotated[NotNegative, Field(le=3600)] | None = None
    """How often the provider takes a spot instance back, for each hour that it runs: 0.002 is one in 500 hours. It
    enters the cost; the simulated latency holds no interruption. Default: the price list's, where it says."""
    restart_ns: DurationNs | None = Field(default=None, alias="restart")
    """How long a replacement of a spot instance is billed before it serves: boot, image, weights."""
    usd_per_1k_requests: Annotated[Positive, Field(le=1_000_000)] | None = None
    """Price of a thousand answered requests of a serverless fleet, which wins over the price list's."""

    def flaws(self) -> Iterator[Flaw]:
        """Keys of another plan, and an interruption without what it costs."""
        for key, plan in (("interruption_rate", "spot"), ("restart", "spot"), ("usd_per_1k_requests", "serverless")):
            given = getattr(self, "restart_ns" if key == "restart" else key) is not None
            if given and self.plan != plan:
                yield Flaw((key,), f"has no effect with plan {self.plan}", remedy=f"Remove it, or use plan: {plan}.")
        if self.plan == "spot" and self.interruption_rate is not None and self.restart_ns is None:
            remedy = "Both enter the cost: how often an interruption comes, and how long its restart is billed."
            yield Flaw(("restart",), "is required beside interruption_rate", None, remedy)


def _plan_or_mapping(value: object) -> object:
    """A plan may be written by its name alone."""
    return {"plan": value} if isinstance(value, str) else value


class Fleet(Entry):
    """Identical instances behind one router."""

    profile: Text
    """Name of the profile of the served model on this kind of instance, of this file or shipped."""
    instance_type: Text | None = None
    """The machine, looked up in the price catalogue; or give ``usd_per_hour``."""
    provider: Text | None = None
    """Narrows the look-up of the price: ``aws``, ``gcp`` ..."""
    region: Text | None = None
    """Narrows the look-up of the price: ``us-east-1`` ..."""
    usd_per_hour: UsdPerHour | None = None
    """Price of one instance, which wins over the catalogue's."""
    instances: Annotated[Whole, Field(ge=1, le=MOST_INSTANCES)]
    """Instances (billed machines, one accelerator each)."""
    model_instances: Annotated[Whole, Field(ge=1, le=MOST_MODEL_INSTANCES)] = 1
    """Executions at once on one accelerator (Triton: ``instance_group.count``); they share it."""
    slowdown: tuple[Number, ...] | None = None
    """k executions at once each take ``slowdown[k-1]`` times as long; default: the profile's, else k. ``[1, 1]``
    means that they do not disturb one another."""
    batching: Batching = Batching()
    """How requests are put together into one execution."""
    router: Literal["round_robin", "random", "least_outstanding", "power_of_two", "weighted", "least_expected_work"] = (
        "least_outstanding"
    )
    """Which instance gets a request. ``least_outstanding``: the one with the fewest requests not yet answered.
    ``power_of_two``: the better of two at random. ``weighted``: in turn, by ``router_weights``.
    ``least_expected_work``: the one that will have worked off its queue first."""
    router_weights: tuple[Annotated[Whole, Field(ge=1)], ...] | None = None
    """Share of each instance under the weighted router, one whole number an instance."""
    max_queue: Annotated[Whole, Field(ge=1, le=10**9)] | None = None
    """Requests that may wait at one instance; one that finds the queue full is rejected. Default: no bound."""
    purchase: Annotated[
        Purchase,
        BeforeValidator(
            _plan_or_mapping,
            json_schema_input_type=Literal["on_demand", "spot", "serverless", "capacity_block"] | Purchase,
        ),
    ] = Field(default=Purchase(plan="on_demand"), json_schema_extra={"default": "on_demand"})
    """How the instances are bought. Commitments stand in a section of their own."""

    def flaws(self) -> Iterator[Flaw]:
        """A price that is missing, weights without router, a slow-down that speeds up."""
        yield from self._price_flaws()
        yield from slowdown_flaws(self.slowdown)
        yield from self._weight_flaws()

    def _price_flaws(self) -> Iterator[Flaw]:
        plan = self.purchase.plan
        if plan in ("serverless", "capacity_block"):
            if self.usd_per_hour is not None:
                remedy = (
                    "Remove it."
                    if plan == "serverless"
                    else "Remove it; the price stands at the block, under capacity."
                )
                yield Flaw(("usd_per_hour",), f"has no effect with purchase {plan}", remedy=remedy)
            if plan == "capacity_block" and self.instance_type is None:
                rule, remedy = "is required with purchase capacity_block", "Name the machines of the block."
                yield Flaw(("instance_type",), rule, None, remedy)
            if plan == "serverless" and self.instance_type is None and self.purchase.usd_per_1k_requests is None:
                rule = "is required with plan serverless, or instance_type"
                remedy = "Give the price that you pay, or instance_type, under which a price list has the endpoint."
                yield Flaw(("purchase", "usd_per_1k_requests"), rule, None, remedy)
        elif self.instance_type is None and self.usd_per_hour is None:
            remedy = "Give the price that you pay, or instance_type, which is looked up in the price catalogue."
            yield Flaw(("usd_per_hour",), "is required, or instance_type", None, remedy)

    def _weight_flaws(self) -> Iterator[Flaw]:
        weights = self.router_weights
        path = ("router_weights",)
        if weights is None:
            if self.router == "weighted":
                yield Flaw(path, "is required with router weighted", None, "Give one whole number for each instance.")
        elif self.router != "weighted":
            yield Flaw(path, f"has no effect with router {self.router}", remedy="Remove it, or use router: weighted.")
        elif len(weights) != self.instances:
            rule = f"must have one entry for each of the {self.instances} instances"
            yield Flaw(path, rule, f"{len(weights)} entries", "Add or remove entries, or change instances.")
        elif sum(weights) > MOST_TURNS:
            rule, remedy = f"must add up to at most {MOST_TURNS:,}", "Use smaller numbers in the same proportions."
            yield Flaw(path, rule, str(sum(weights)), remedy)
