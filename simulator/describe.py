"""What a report needs of a scenario beside the logs: names, objectives, capacities, money and assumptions.

The door's types end here and the measuring side's begin: nothing in :mod:`simulator.metrics` knows of YAML.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from calibration.problems import InputError, Problem
from simulator.billing import PLANS, always_on, bill_fleet
from simulator.clock import NS_PER_S, ms_from_ns, s_from_ns
from simulator.description import Description, FleetCost, FleetDescription, WorkloadDescription
from simulator.distribution import RELATIVE_ERROR
from simulator.model import FleetModel, Model, effective_rule
from simulator.policies import batching
from simulator.price_list import Price
from simulator.prices import PriceCatalogue, PriceError, find_price, load_catalogue, shipped_catalogue

if TYPE_CHECKING:
    from simulator.purchases import Bill
    from simulator.scenario import Fleet, Scenario, Workload

VARYING = ("trace", "rate_series", "mmpp")
"""Arrival processes whose rate changes by design."""


class FleetPrice(NamedTuple):
    """What an hour of one instance of a fleet costs, and who says so."""

    usd_per_hour: float
    note: str
    listed: Price | None = None
    """The row of the price list; None for the user's own price."""


def catalogues_of(scenario: Scenario) -> tuple[PriceCatalogue, ...]:
    """Price lists that a scenario is billed by, in the order in which they are asked.

    Raises
    ------
    InputError
        The user's own cannot be used.
    """
    own = () if scenario.prices is None else (load_catalogue(scenario.prices),)
    return (*own, shipped_catalogue())


def fleet_prices(scenario: Scenario, catalogues: Sequence[PriceCatalogue] | None = None) -> dict[str, FleetPrice]:
    """What does an hour of one instance of each fleet cost that is bought by the hour, on demand or spot?

    Raises
    ------
    InputError
        With every price that is missing or ambiguous, at its place in the scenario; or the user's price list
        cannot be used.
    """
    lists = catalogues_of(scenario) if catalogues is None else catalogues
    prices: dict[str, FleetPrice] = {}
    problems: list[Problem] = []
    for name, fleet in scenario.fleets.items():
        if fleet.purchase.plan not in PLANS:
            continue
        try:
            prices[name] = price_of(fleet, lists, fleet.purchase.plan)
        except PriceError as error:
            problems.append(scenario.problem(f"fleets.{name}.{error.key}", error.rule, error.value, error.remedy))
    if problems:
        raise InputError(problems)
    return prices


class Priced(Protocol):
    """What a file says of a kind of instance that bears on its price: a fleet, a candidate of a plan."""

    @property
    def instance_type(self) -> str | None:
        """The provider's name of the machine."""

    @property
    def usd_per_hour(self) -> float | None:
        """The user's own price."""

    @property
    def provider(self) -> str | None:
        """Narrows the look-up."""

    @property
    def region(self) -> str | None:
        """Narrows the look-up."""


def price_of(kind: Priced, catalogues: Sequence[PriceCatalogue], price_type: str = "on_demand") -> FleetPrice:
    """What does an hour of this kind of instance cost: by its own price, else by the first catalogue that has it?

    Raises
    ------
    PriceError
        There is no such price, or several.
    """
    if kind.usd_per_hour is not None:
        plan = "" if price_type == "on_demand" else f" for {price_type.replace('_', ' ')}"
        return FleetPrice(kind.usd_per_hour, f"{kind.usd_per_hour:g} USD/h an instance, the user's own price{plan}")
    assert kind.instance_type is not None, "the door lets nothing without a price in"
    return listed_price(find_price(catalogues, kind.instance_type, kind.provider, kind.region, price_type))


def listed_price(price: Price) -> FleetPrice:
    """The price of a list, with its date, its source, and its age where it is old."""
    age = price.age_note(dt.datetime.now(dt.UTC).date())
    words = (f"{price.instance_type} at {price.describe()}", price.note, age)
    return FleetPrice(price.usd_per_hour, "; ".join(part for part in words if part), price)


def describe(
    scenario: Scenario,
    model: Model,
    prices: Mapping[str, FleetPrice],
    *,
    engine: str,
    replications: int,
    exact: bool,
    bill: Bill | None = None,
) -> Description:
    """Everything of a report on this scenario that is not in the logs; timings are added when they are known.

    Without a ``bill`` of its purchases, every fleet costs its price.
    """
    fleets = list(scenario.fleets)
    return Description(
        scenario=scenario.name,
        seed=scenario.seed,
        engine=engine,
        workloads=tuple(
            _workload(name, workload, fleets.index(workload.fleet)) for name, workload in scenario.workloads.items()
        ),
        fleets=tuple(
            _fleet(
                scenario,
                name,
                model,
                index,
                _cost(fleet, prices[name], model.horizon_ns) if bill is None else bill.fleets[name],
            )
            for index, (name, fleet) in enumerate(scenario.fleets.items())
        ),
        purchases=None if bill is None else bill.report,
        assumptions=_assumptions(scenario, model, engine, replications, exact),
    )


def capacity_items_per_s(fleet: FleetModel, requests: Sequence[tuple[Sequence[int], Sequence[float]]]) -> float:
    """How many items a second can one instance of this fleet execute at most?

    Parameters
    ----------
    fleet
        Its curves and its batching.
    requests
        For each workload that it serves, the item counts of its requests and their weights.

    Notes
    -----
    With S model instances, the largest over the batch sizes b that the policy lets happen of
    ``S b / (dispatch(b) + service(b) slowdown[S] + release(b))``; and no more than its serial front end lets in,
    ``E[items] / E[frontend]``. Every batch size is made of whole requests: with requests of 16 items and
    ``max_batch_size`` 100 the largest batch is 96.
    """
    slots = fleet.model_instances
    slow = fleet.slowdowns[slots - 1] / fleet.slowdowns[0]
    cycle_ns = fleet.part("dispatch_ns") + fleet.service_ns * slow + fleet.part("release_ns")
    best = 0.0
    for sizes, weights in requests:
        shares = np.asarray(weights, dtype=np.float64) / np.sum(weights)
        items = np.asarray(sizes, dtype=np.int64)
        if effective_rule(fleet) == batching.NONE:
            rate = slots * float(shares @ items) / float(shares @ cycle_ns[items])
        else:
            reachable = _batch_sizes(items, fleet)
            rate = float((slots * reachable / cycle_ns[reachable]).max())
        frontend_ns = float(shares @ fleet.part("frontend_ns")[items])
        best = max(best, min(rate, float(shares @ items) / frontend_ns) if frontend_ns else rate)
    return best * NS_PER_S


def _batch_sizes(items: np.ndarray[Any, np.dtype[np.int64]], fleet: FleetModel) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Batch sizes that requests of these item counts can add up to, as far as the policy lets them."""
    largest = fleet.largest
    reachable = np.zeros(largest + 1, dtype=bool)
    reachable[0] = True
    for size in range(1, largest + 1):
        fitting = items[items <= size]
        reachable[size] = bool(reachable[size - fitting].any())
    sizes = np.flatnonzero(reachable[1:]) + 1
    inside = sizes[(sizes <= fleet.max_batch) & (sizes >= items.min())]
    if fleet.rule == batching.STATIC and len(inside):
        inside = inside[-1:]
    # A request larger than max_batch_size travels alone.
    return inside if len(inside) else items[items <= largest]


def _cost(fleet: Fleet, price: FleetPrice, horizon_ns: int) -> FleetCost:
    bill = bill_fleet(always_on(fleet.instances, horizon_ns), horizon_ns, price.usd_per_hour, fleet.purchase.plan)
    return FleetCost(bill.usd, bill.usd_per_hour, "; ".join(part for part in (price.note, bill.note) if part))


def _workload(name: str, workload: Workload, fleet: int) -> WorkloadDescription:
    slo_ms = {} if workload.slo is None else {key: ms_from_ns(ns) for key, ns in workload.slo.targets_ns.items()}
    process = workload.arrivals.process
    return WorkloadDescription(name, fleet, slo_ms, process == "closed_loop", process in VARYING)


def _fleet(scenario: Scenario, name: str, model: Model, index: int, cost: FleetCost) -> FleetDescription:
    fleet, profile = scenario.fleets[name], scenario.profiles[scenario.fleets[name].profile]
    compiled = model.fleets[index]
    requests = [(workload.items, workload.item_weights) for workload in model.workloads if workload.fleet == index]
    return FleetDescription(
        name=name,
        instances=float(fleet.instances),
        capacity_items_per_s=capacity_items_per_s(compiled, requests),
        instance_type=fleet.instance_type,
        model_instances=compiled.model_instances,
        slowdown=compiled.slowdowns[compiled.model_instances - 1] / compiled.slowdowns[0],
        max_batch_size=compiled.max_batch,
        batching=fleet.batching.policy,
        max_queue_delay_ms=ms_from_ns(compiled.delay_ns),
        cost=cost,
        profile_warnings=tuple(f"profile {fleet.profile}: {warning}" for warning in profile.warnings),
        extrapolated=_extrapolated(fleet.profile, profile.range, scenario.batch_range(name)),
    )


def _extrapolated(profile: str, measured: tuple[int, int], used: tuple[int, int]) -> str:
    """What a reader must know when batches leave the measured range; nothing when they stay inside.

    >>> _extrapolated("bert", (1, 16), (1, 64))
    'profile bert was measured for batches of 1 to 16 items and is used for 1 to 64: what lies outside is extrapolated.'
    """
    if measured[0] <= used[0] and used[1] <= measured[1]:
        return ""
    return (
        f"profile {profile} was measured for batches of {measured[0]} to {measured[1]} items and is used for "
        f"{used[0]} to {used[1]}: what lies outside is extrapolated."
    )


def _assumptions(scenario: Scenario, model: Model, engine: str, replications: int, exact: bool) -> dict[str, str]:
    """What the numbers rest on, in the order to show it."""
    lines: dict[str, str] = {}
    for name, profile in scenario.profiles.items():
        low, high = profile.range
        scatter = "no scatter" if profile.noise_kind == "none" else f"{profile.noise_kind} scatter"
        lines[f"profile {name}"] = f"{profile.citation}; batch {low} to {high}, {scatter}"
    by_policy: dict[str, list[str]] = {}
    for name, fleet in scenario.fleets.items():
        by_policy.setdefault(_policy_words(fleet), []).append(name)
    for policy, names in by_policy.items():
        lines[f"fleet{'s' * (len(names) > 1)} {', '.join(names)}"] = policy
    for name, workload in scenario.workloads.items():
        lines[f"traffic {name}"] = _traffic_words(workload)
    if model.notes:
        lines["files read"] = "; ".join(dict.fromkeys(model.notes))
    horizon, warmup = span_words(model.horizon_ns), span_words(scenario.warmup_ns)
    lines["horizon"] = f"{horizon}, no warm-up" if scenario.warmup_ns == 0 else f"{horizon}, of which {warmup} warm-up"
    lines["seed"] = f"{scenario.seed}, {replications} replication{'s' * (replications > 1)}"
    lines["engine"] = f"{engine}; percentiles " + ("exact" if exact else f"within {100 * RELATIVE_ERROR:.2g}%")
    return lines


def _policy_words(fleet: Fleet) -> str:
    """Batching, sharing and routing of a fleet in one line."""
    policy = fleet.batching
    if policy.policy == "none":
        words = "one request at a time"
    elif policy.policy == "static":
        words = f"static batches of {policy.max_batch_size}"
    else:
        delay = span_words(policy.max_queue_delay_ns) if policy.max_queue_delay_ns else "no delay"
        words = f"dynamic batches up to {policy.max_batch_size}, {delay}, {policy.rule} rule"
    if fleet.model_instances > 1:
        words += f"; {fleet.model_instances} model instances share the accelerator"
    if fleet.max_queue is not None:
        words += f"; at most {fleet.max_queue:,} queued"
    return words + (f"; router {fleet.router}" if fleet.instances > 1 else "")


def _traffic_words(workload: Workload) -> str:
    """Arrival process of a workload in one line, as the user wrote it."""
    arrivals = workload.arrivals
    parts = [arrivals.process.replace("_", " ")]
    for key in type(arrivals).model_fields:
        value = getattr(arrivals, key)
        if key == "process" or value is None or value == type(arrivals).model_fields[key].default:
            continue
        name = key.removesuffix("_ns").replace("_", " ")
        if key == "file":
            parts.append(value.name)
        elif key.endswith("_ns"):
            times = value if isinstance(value, tuple) else (value,)
            parts.append(f"{name} {', '.join(map(span_words, times))}")
        elif isinstance(value, tuple):
            shown = ", ".join(f"{one:g}" for one in value[:4])
            parts.append(f"{name} {shown}" + (f" ... ({len(value)} values)" if len(value) > 4 else ""))
        else:
            parts.append(f"{name} {value:g}" if isinstance(value, float) else f"{name} {value}")
    if workload.items_per_request != 1:
        shares = ", ".join(f"{items} ({share:.0%})" for items, share in workload.item_shares.items())
        parts.append(f"items {shares}" if len(workload.item_shares) > 1 else f"items {workload.items_per_request}")
    if workload.timeout_ns is not None:
        parts.append(f"timeout {span_words(workload.timeout_ns)}")
    return "; ".join(parts)


def span_words(ns: int) -> str:
    """A length of time as one would write it in a scenario.

    >>> [span_words(ns) for ns in (0, 5_000_000, 90 * NS_PER_S, 86_400 * NS_PER_S)]
    ['0 s', '5 ms', '90 s', '24 h']
    >>> span_words(1_200 * NS_PER_S), span_words(1_201 * NS_PER_S), span_words(1_500), span_words(7)
    ('20 min', '1201 s', '1.5 us', '7 ns')
    """
    seconds = s_from_ns(ns)
    for unit, size in (("h", 3_600.0), ("min", 60.0)):
        if seconds >= 2 * size and seconds % (size / 2) == 0:
            return f"{seconds / size:g} {unit}"
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:g} {unit}"
    return "0 s" if ns == 0 else f"{ns} ns"
