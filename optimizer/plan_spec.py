"""What a planner writes: workloads with objectives, candidates to serve them, limits. Types of a plan file."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from calibration.profile import LARGEST_BATCH, slowdown_flaws
from calibration.schema import Entry, Flaw, NotNegative, Number, Positive, Whole
from calibration.units import DurationNs, PositiveDurationNs
from simulator.arrival_spec import Arrivals
from simulator.fleet_spec import MOST_INSTANCES, MOST_MODEL_INSTANCES, Batching, Text, _real_price
from simulator.workload_spec import Items, Slo


def _listed(value: object) -> object:
    """One setting stands for a list of one."""
    return value if isinstance(value, list | tuple) else [value]


Share = Annotated[float, Field(strict=True, allow_inf_nan=False, ge=0, le=1)]
Sizes = Annotated[
    tuple[Annotated[Whole, Field(ge=1, le=LARGEST_BATCH)], ...], BeforeValidator(_listed), Field(min_length=1)
]
Delays = Annotated[tuple[DurationNs, ...], BeforeValidator(_listed), Field(min_length=1)]
Counts = Annotated[
    tuple[Annotated[Whole, Field(ge=1, le=MOST_MODEL_INSTANCES)], ...], BeforeValidator(_listed), Field(min_length=1)
]


class PlanWorkload(Entry):
    """A stream of requests that must be served, wherever it is cheapest."""

    arrivals: Arrivals
    """When requests come, as in a scenario. A rate series is planned hour by hour; other processes as one hour that
    repeats."""
    items_per_request: Items = 1
    """Items that a request carries, as in a scenario."""
    timeout_ns: PositiveDurationNs | None = Field(default=None, alias="timeout")
    """A request that no model instance has taken this long after its arrival is given up. Default: never."""
    slo: Slo
    """Latency objectives that the plan must hold."""
    min_accuracy: Share | None = None
    """Least mean accuracy of the answers, from 0 to 1, over all candidates that serve it."""


class BatchingSearch(Entry):
    """Batch settings of a candidate; every combination of what is given as a list is tried."""

    policy: Literal["none", "static", "dynamic"] = "none"
    """As in a scenario."""
    rule: Literal["triton", "torchserve", "mosec", "litserve", "ray_serve", "textbook"] = "triton"
    """As in a scenario."""
    max_batch_size: Sizes | None = None
    """The most items in a batch, or several to try."""
    max_queue_delay_ns: Delays = Field(default=(0,), alias="max_queue_delay")
    """How long a dynamic batcher waits for more requests, or several such times to try."""
    preferred_batch_sizes: tuple[Annotated[Whole, Field(ge=1)], ...] = ()
    """As in a scenario."""

    def settings(self) -> Iterator[Batching]:
        """Every combination, once."""
        given: dict[str, Any] = {"policy": self.policy}
        if self.policy == "dynamic":
            given["rule"] = self.rule
            if self.preferred_batch_sizes:
                given["preferred_batch_sizes"] = self.preferred_batch_sizes
        delays = dict.fromkeys(self.max_queue_delay_ns) if self.policy == "dynamic" else (0,)
        for size, delay in product(dict.fromkeys(self.max_batch_size or (None,)), delays):
            setting = given | ({} if size is None else {"max_batch_size": size})
            yield Batching.model_validate(setting | ({"max_queue_delay": f"{delay}ns"} if delay else {}))


class Candidate(Entry):
    """A kind of instance that could serve some of the workloads, with everything that may be varied about it."""

    name: Text
    """Unique among the candidates."""
    instance_type: Text | None = None
    """The machine, looked up in the price catalogue; or give ``usd_per_hour``."""
    provider: Text | None = None
    """Narrows the look-up of the price."""
    region: Text | None = None
    """Narrows the look-up of the price."""
    usd_per_hour: Annotated[Positive, Field(le=100_000), AfterValidator(_real_price)] | None = None
    """Price of one instance, which wins over the catalogue's."""
    profile: Text | None = None
    """Profile of the model on this kind of instance, for every workload; found by simulation what it carries."""
    profiles: dict[Text, Text] | None = Field(default=None, min_length=1)
    """Profile by workload. Workloads that are absent cannot be served here. Workloads with different profiles get
    fleets of their own."""
    capacity_rps: dict[Text, Positive] | None = Field(default=None, min_length=1)
    """Requests per second that one instance carries of each workload within its SLO, measured elsewhere, instead of
    profiles. The load shares of one instance add up to at most 1."""
    batching: BatchingSearch = BatchingSearch()
    """How requests are put together into one execution; lists are searched."""
    model_instances: Counts = (1,)
    """Executions at once on one accelerator, or several such numbers to try."""
    slowdown: tuple[Number, ...] | None = None
    """As in a scenario; by default the profile's."""
    router: Literal["round_robin", "random", "least_outstanding", "power_of_two", "least_expected_work"] = (
        "least_outstanding"
    )
    """Which instance of the fleet gets a request."""
    max_instances: Annotated[Whole, Field(ge=0, le=MOST_INSTANCES)] | None = None
    """Most instances of this candidate in any hour, all its settings together."""
    accuracy: Share | dict[Text, Share] | None = None
    """Accuracy of its answers, from 0 to 1: one number, or one a workload."""
    model_memory_gib: dict[Text, Positive] | None = None
    """Memory that the model of each workload takes, in GiB, where several share an instance."""
    memory_gib: Positive | None = None
    """Memory of the accelerator, in GiB: the models that share an instance must fit."""
    added_latency_ns: DurationNs = Field(default=0, alias="added_latency")
    """What every answer takes longer because of where the candidate stands; off every SLO."""
    usd_per_request: NotNegative = 0.0
    """What a request costs beside the instance, for instance the egress of its answer."""
    zones: Annotated[Whole, Field(ge=1, le=100)] = 1
    """Zones that its instances are spread over; see ``survive``."""
    start_usd: NotNegative = 0.0
    """What starting an instance costs."""
    min_up_ns: DurationNs = Field(default=0, alias="min_up")
    """How long an instance that was started stays, rounded up to whole hours."""

    def flaws(self) -> Iterator[Flaw]:
        """No price, no way to tell what it carries, or two."""
        if self.instance_type is None and self.usd_per_hour is None:
            remedy = "Give the price that you pay, or instance_type, which is looked up in the price catalogue."
            yield Flaw(("usd_per_hour",), "is required, or instance_type", None, remedy)
        given = [key for key in ("profile", "profiles", "capacity_rps") if getattr(self, key) is not None]
        if len(given) != 1:
            remedy = "profile: one for all workloads; profiles: one a workload; capacity_rps: measured elsewhere."
            rule = "is required, or profiles, or capacity_rps" if not given else f"contradicts {given[0]}"
            yield Flaw((given[-1] if given else "profile",), rule, None, remedy)
        yield from slowdown_flaws(self.slowdown)
        if self.capacity_rps is not None:
            for key in sorted(self.model_fields_set & {"batching", "model_instances", "slowdown", "router"}):
                yield Flaw((key,), "has no effect beside capacity_rps", remedy="Remove it, or name a profile.")
        if self.min_up_ns and not self.start_usd and self.zones < 0:
            yield Flaw(("min_up",), "has no effect", remedy="Remove it.")


class QuotaSpec(Entry):
    """At most so many instances of several candidates together."""

    candidates: tuple[Text, ...] = Field(min_length=1)
    """Their names."""
    max_instances: Annotated[Whole, Field(ge=0, le=MOST_INSTANCES)]
    """Most instances in any hour."""


class PlanSpec(Entry):
    """The candidates, and what the plan must keep to."""

    candidates: tuple[Candidate, ...] = Field(min_length=1)
    """What could serve."""
    quotas: dict[Text, QuotaSpec] = Field(default={})
    """Limits over several candidates, by a name of your own."""
    max_usd_per_hour: Positive | None = None
    """Most that may be spent in any hour."""
    survive: Literal["nothing", "instance", "zone"] = "nothing"
    """What may be lost while every SLO still holds: one instance of each fleet, or one zone of a candidate with
    ``zones`` of at least 2."""
    replications: Annotated[Whole, Field(ge=2, le=1_000)] = 5
    """Simulations that prove a plan, with seeds that the search has not seen."""
    gap: Annotated[float, Field(strict=True, ge=0, le=0.2)] = 0.001
    """Stop when the plan is within this share of the least possible cost."""
    time_limit_ns: PositiveDurationNs = Field(default=60_000_000_000, alias="time_limit")
    """Longest time for the solver."""
