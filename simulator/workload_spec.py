"""What is asked of the fleets: streams of requests, and how soon they want an answer."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from typing import Annotated, Any

from pydantic import BeforeValidator, Discriminator, Field, Tag

from calibration.profile import LARGEST_BATCH
from calibration.schema import Entry, Flaw, Positive, Whole
from calibration.units import PositiveDurationNs, refusal
from simulator.arrival_spec import Arrivals
from simulator.fleet_spec import Text


def _item_count(key: object) -> object:
    """A key of the mapping: text in YAML and JSON alike, a whole number in Python."""
    if isinstance(key, str) and not (key.isascii() and key.isdigit() and len(key) < 10):
        raise refusal("must be a whole number of items", "Write items: share, for instance {1: 0.7, 8: 0.3}.")
    return int(key) if isinstance(key, str) else key


ItemCount = Annotated[Whole, Field(ge=1, le=LARGEST_BATCH)]
ItemShares = Annotated[
    dict[Annotated[ItemCount, BeforeValidator(_item_count, json_schema_input_type=int)], Positive], Field(min_length=1)
]
Items = Annotated[
    Annotated[ItemCount, Tag("<number>")] | Annotated[ItemShares, Tag("<mapping>")],
    Discriminator(lambda value: "<mapping>" if isinstance(value, dict) else "<number>"),
]


class Slo(Entry):
    """Latency objectives: each must be met by the requests of the workload."""

    mean_ns: PositiveDurationNs | None = Field(default=None, alias="mean")
    """The mean latency may not be longer."""
    p50_ns: PositiveDurationNs | None = Field(default=None, alias="p50")
    """Half of the requests must be answered within it."""
    p90_ns: PositiveDurationNs | None = Field(default=None, alias="p90")
    """90 % of the requests must be answered within it."""
    p95_ns: PositiveDurationNs | None = Field(default=None, alias="p95")
    """95 % of the requests must be answered within it."""
    p99_ns: PositiveDurationNs | None = Field(default=None, alias="p99")
    """99 % of the requests must be answered within it."""
    p999_ns: PositiveDurationNs | None = Field(default=None, alias="p999")
    """99.9 % of the requests must be answered within it."""

    @property
    def targets_ns(self) -> dict[str, int]:
        """Objectives that are stated, in ns, by ``mean``, ``p50`` ... ``p999``.

        >>> Slo.model_validate({"p99": "100ms"}).targets_ns
        {'p99': 100000000}
        """
        return {key.removesuffix("_ns"): value for key, value in self if value is not None}

    def flaws(self) -> Iterator[Flaw]:
        """No objective, or a higher percentile that is to be faster than a lower one."""
        if not self.targets_ns:
            yield Flaw((), "names no objective", None, "Add one, for instance p99: 100ms, or leave slo out.")
        percentiles = [(key, ns) for key, ns in self.targets_ns.items() if key != "mean"]
        for (low, low_ns), (high, high_ns) in combinations(percentiles, 2):
            if high_ns < low_ns:
                rule = f"must be at least the objective for {low}, since a higher percentile is never faster"
                yield Flaw((high,), rule, remedy=f"Leave out {low}, or swap the two.")
                return


class Workload(Entry):
    """A stream of requests to one fleet."""

    fleet: Text
    """Name of the fleet that serves it."""
    arrivals: Arrivals
    """When requests come; ``process`` says how, and the other keys depend on it."""
    items_per_request: Items = 1
    """Items that a request carries (they travel in one batch): a number, or shares by number, as in
    ``{1: 0.7, 8: 0.3}``."""
    timeout_ns: PositiveDurationNs | None = Field(default=None, alias="timeout")
    """A request that no model instance has taken this long after its arrival is given up. Default: never."""
    slo: Slo | None = None
    """Latency objectives."""

    @property
    def item_shares(self) -> dict[int, float]:
        """How large are requests? Share of the requests by number of items, in ascending order; shares add up to 1."""
        given: Any = self.items_per_request
        weights = given if isinstance(given, dict) else {given: 1.0}
        total = sum(weights.values())
        return {items: weights[items] / total for items in sorted(weights)}
