"""What a planner writes: workloads with objectives, candidates to serve them, limits. Types of a plan file."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Annotated, Any, Final, Literal, TypeVar

from pydantic import BeforeValidator, Discriminator, Field, Tag

from calibration.profile import LARGEST_BATCH, slowdown_flaws
from calibration.schema import Entry, Flaw, NotNegative, Number, Positive, Whole
from calibration.units import NS_BY_UNIT, DurationNs, MemoryBytes, PositiveDurationNs
from simulator.arrival_spec import Arrivals
from simulator.fleet_spec import MOST_INSTANCES, MOST_MODEL_INSTANCES, Batching, Text, UsdPerHour
from simulator.sections import Name
from simulator.workload_spec import Items, Slo, Workload

BYTES_PER_GB: Final = 1e9
"""Networks are billed by the decimal gigabyte."""

NO_PRICE: Final = Flaw(
    ("usd_per_hour",),
    "is required, or instance_type",
    None,
    "Give the price that you pay, or instance_type, which is looked up in the price catalogue.",
)
"""Of a candidate: nothing costs nothing because its price is missing."""

Value = TypeVar("Value")


def _listed(value: object) -> object:
    """One setting stands for a list of one."""
    return value if isinstance(value, list | tuple) else [value]


def _one_or_by_workload(value: object) -> str:
    return "<mapping>" if isinstance(value, dict) else "<number>"


Share = Annotated[float, Field(strict=True, allow_inf_nan=False, ge=0, le=1)]
Size = Annotated[Whole, Field(ge=1, le=LARGEST_BATCH)]
Count = Annotated[Whole, Field(ge=1, le=MOST_MODEL_INSTANCES)]
Sizes = Annotated[
    tuple[Size, ...],
    BeforeValidator(_listed, json_schema_input_type=Size | tuple[Size, ...]),
    Field(min_length=1),
]
Delays = Annotated[
    tuple[DurationNs, ...],
    BeforeValidator(_listed, json_schema_input_type=DurationNs | tuple[DurationNs, ...]),
    Field(min_length=1),
]
Counts = Annotated[
    tuple[Count, ...],
    BeforeValidator(_listed, json_schema_input_type=Count | tuple[Count, ...]),
    Field(min_length=1),
]
Shares = Annotated[
    Annotated[Share, Tag("<number>")] | Annotated[dict[Text, Share], Tag("<mapping>")],
    Discriminator(_one_or_by_workload),
]
Memories = Annotated[
    Annotated[MemoryBytes, Tag("<number>")] | Annotated[dict[Text, MemoryBytes], Tag("<mapping>")],
    Discriminator(_one_or_by_workload),
]
Latencies = Annotated[
    Annotated[DurationNs, Tag("<number>")] | Annotated[dict[Text, DurationNs], Tag("<mapping>")],
    Discriminator(_one_or_by_workload),
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
    slo: Slo = Field(default_factory=Slo.model_construct)
    """Latency objectives that the plan must hold; may be left out only where every candidate states its capacity."""
    min_accuracy: Share | None = None
    """Least mean accuracy of the answers, from 0 to 1, over all candidates that serve it."""
    answer_bytes: MemoryBytes | None = Field(default=None, alias="answer_size")
    """Size of an answer, for candidates with ``egress_usd_per_gb``; ``20KiB``."""
    fleet: Text | None = None
    """Fleet that serves it in a scenario. A plan does not read it."""

    def flaws(self) -> Iterator[Flaw]:
        """Traffic that has no rate of its own."""
        if self.arrivals.process == "closed_loop":
            rule = "has no rate of its own, so there is nothing to plan for: its clients wait for whatever is there"
            yield Flaw(("arrivals", "process"), rule, remedy="Use poisson with the rate that you must carry.")

    @property
    def item_shares(self) -> dict[int, float]:
        """How large are requests? Share of the requests by number of items, as of a scenario's workload."""
        return self.workload("").item_shares

    def workload(self, fleet: str) -> Workload:
        """The same as a workload of a scenario, served by this fleet."""
        return Workload.model_construct(
            fleet=fleet,
            arrivals=self.arrivals,
            items_per_request=self.items_per_request,
            timeout_ns=self.timeout_ns,
            slo=self.slo if self.slo.targets_ns else None,
        )


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
    preferred_batch_sizes: tuple[Size, ...] = ()
    """As in a scenario; of each ``max_batch_size`` those that it allows."""

    def flaws(self) -> Iterator[Flaw]:
        """What a scenario's batching would not take, of any combination."""
        sizes = self.max_batch_size or (None,)
        if self.policy == "none" and len(set(sizes)) > 1:
            remedy = "Leave it out, or use policy: dynamic."
            yield Flaw(("max_batch_size",), "has several entries and no effect with policy none", remedy=remedy)
        given: dict[str, Any] = {key: getattr(self, key) for key in self.model_fields_set}
        given |= {} if self.max_batch_size is None else {"max_batch_size": max(self.max_batch_size)}
        given |= {"max_queue_delay_ns": max(self.max_queue_delay_ns)} if "max_queue_delay_ns" in given else {}
        yield from Batching.model_construct(**given).flaws()

    def settings(self) -> Iterator[Batching]:
        """Every combination, once. ``max_batch_size`` counts as left out where it is."""
        given: dict[str, Any] = {key: getattr(self, key) for key in ("policy", "rule") if key in self.model_fields_set}
        delays = dict.fromkeys(self.max_queue_delay_ns)
        for size, delay in product(dict.fromkeys(self.max_batch_size or (None,)), delays):
            one = given | ({} if size is None else {"max_batch_size": size})
            one |= {"max_queue_delay_ns": delay} if delay else {}
            preferred = tuple(smaller for smaller in self.preferred_batch_sizes if smaller <= (size or 0))
            one |= {"preferred_batch_sizes": preferred} if preferred else {}
            yield Batching.model_construct(**one)


class Candidate(Entry):
    """A kind of instance that could serve some of the workloads, with everything that may be varied about it."""

    name: Name
    """Unique among the candidates."""
    instance_type: Text | None = None
    """The machine, looked up in the price catalogue; or give ``usd_per_hour``."""
    provider: Text | None = None
    """Narrows the look-up of the price."""
    region: Text | None = None
    """Narrows the look-up of the price."""
    usd_per_hour: UsdPerHour | None = None
    """Price of one instance, which wins over the catalogue's."""
    purchase: Literal["on_demand"] = "on_demand"
    """How the instances are bought."""
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
    accuracy: Shares | None = None
    """Accuracy of its answers, from 0 to 1: one number, or one a workload."""
    model_memory_bytes: Memories | None = Field(default=None, alias="model_memory")
    """Memory that the model of a workload takes, one for all or one a workload, where several share an instance;
    ``6GiB``."""
    memory_bytes: MemoryBytes | None = Field(default=None, alias="memory")
    """Memory of the accelerator: the models that share an instance must fit; ``24GiB``."""
    added_latency_ns: Latencies = Field(default=0, alias="added_latency")
    """What every answer takes longer because of where the candidate stands, one time or one a workload; off every
    SLO."""
    usd_per_request: NotNegative = 0.0
    """What a request costs beside the instance, for instance a fee."""
    egress_usd_per_gb: NotNegative = 0.0
    """What answers cost on the network, by their ``answer_size``; a gigabyte is 10^9 bytes."""
    zones: Annotated[Whole, Field(ge=1, le=100)] = 1
    """Zones that its instances are spread over evenly, one of which may be lost with ``survive: zone``; 1 for
    instances that no loss of a zone touches."""
    start_usd: NotNegative = 0.0
    """What starting an instance costs."""
    min_up_ns: DurationNs = Field(default=0, alias="min_up")
    """How long an instance that was started stays, rounded up to whole hours."""

    def serves(self, workload: str) -> bool:
        """Whether it has a profile or a stated capacity for this workload."""
        return self.profile is not None or workload in (self.profiles or self.capacity_rps or {})

    def profile_of(self, workload: str) -> str | None:
        """Profile that a workload has here; None where its capacity is stated, or where it cannot be served."""
        return self.profile if self.profile is not None else (self.profiles or {}).get(workload)

    def accuracy_of(self, workload: str) -> float | None:
        """Accuracy of its answers to a workload; None where it is not stated."""
        return _of(self.accuracy, workload)

    def model_bytes_of(self, workload: str) -> int:
        """Memory that a workload's model takes on an instance; 0 where it is not stated."""
        return _of(self.model_memory_bytes, workload) or 0

    def added_latency_ns_of(self, workload: str) -> int:
        """What a workload's answers take longer because of where the candidate stands."""
        return _of(self.added_latency_ns, workload) or 0

    def usd_per_request_of(self, workload: PlanWorkload) -> float:
        """What a request of this workload costs beside the instance: a fee, and its answer's way through the net."""
        return self.usd_per_request + self.egress_usd_per_gb * (workload.answer_bytes or 0) / BYTES_PER_GB

    def flaws(self) -> Iterator[Flaw]:
        """No price, no way to tell what it carries, or two."""
        if self.instance_type is None and self.usd_per_hour is None:
            yield NO_PRICE
        given = [key for key in ("profile", "profiles", "capacity_rps") if getattr(self, key) is not None]
        remedy = "profile: one for all workloads; profiles: one a workload; capacity_rps: measured elsewhere."
        if not given:
            yield Flaw(("profile",), "is required, or profiles, or capacity_rps", None, remedy)
        for other in given[1:]:
            yield Flaw((other,), f"contradicts {given[0]}", None, f"Keep one of them. {remedy}")
        yield from slowdown_flaws(self.slowdown)
        if given == ["capacity_rps"]:
            for key in sorted(self.model_fields_set & {"batching", "model_instances", "slowdown", "router"}):
                yield Flaw((key,), "has no effect beside capacity_rps", remedy="Remove it, or name a profile.")
        if self.memory_bytes is not None and self.model_memory_bytes is None:
            yield Flaw(("memory",), "has no effect without model_memory", remedy="Say what the models take.")
        if self.model_memory_bytes is not None and not self.memory_bytes:
            yield Flaw(("memory",), "is required beside model_memory", None, "Say what the accelerator has: 24GiB.")


def _of(value: Value | dict[str, Value] | None, workload: str) -> Value | None:
    """What holds for a workload, of one for all or one a workload."""
    return value.get(workload) if isinstance(value, dict) else value


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
    gap: Annotated[float, Field(strict=True, allow_inf_nan=False, ge=0, le=0.2)] = 0.001
    """Stop when the plan is within this share of the least possible cost."""
    time_limit_ns: PositiveDurationNs = Field(
        default=60 * NS_BY_UNIT["s"], alias="time_limit", json_schema_extra={"default": "60s"}
    )
    """Longest time for the solver."""
