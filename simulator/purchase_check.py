"""Rules between what is bought and what runs: blocks that hold their fleets, regions that must be told, one bill.

As in :mod:`simulator.crosscheck`: from the parts that are sound by themselves to flaws, by their path in the scenario.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from calibration.schema import Flaw
from simulator.commitment_spec import Discount, Guarantee, Promise
from simulator.fleet_spec import Fleet


@dataclass(frozen=True)
class Ahead:
    """What a scenario buys ahead, as far as it is sound by itself."""

    commitments: Mapping[str, Promise] = field(default_factory=dict)
    discounts: Mapping[str, Discount] = field(default_factory=dict)
    capacity: Mapping[str, Guarantee] = field(default_factory=dict)
    capacity_whole: bool = True
    """Whether this is all the capacity that the file has."""


def purchase_flaws(fleets: Mapping[str, Fleet], ahead: Ahead) -> Iterator[Flaw]:
    """Which rules between its purchases and its fleets does a scenario break?"""
    yield from _blocks(fleets, ahead)
    yield from _places(fleets, ahead)
    yield from _names(ahead)
    yield from _tiers(ahead)


def _blocks(fleets: Mapping[str, Fleet], ahead: Ahead) -> Iterator[Flaw]:
    """Fleets that are to run in capacity blocks, and blocks that do not hold them."""
    in_blocks: dict[str, list[str]] = {}
    for name, fleet in fleets.items():
        if fleet.purchase.plan == "capacity_block" and fleet.instance_type is not None:
            in_blocks.setdefault(fleet.instance_type, []).append(name)
    for instance_type, names in in_blocks.items() if ahead.capacity_whole else ():
        blocks = [one for one in ahead.capacity.values() if (one.kind, one.instance_type) == ("block", instance_type)]
        held, wanted = sum(block.units for block in blocks), sum(fleets[name].instances for name in names)
        if wanted > held:
            rule = f"must be held by blocks of {instance_type} under capacity, which hold {held:g} machines"
            remedy = "Lower instances, or raise units of a block." if blocks else "Add a block under capacity."
            listed = f"{wanted} instances" + (f" of fleets {', '.join(names)}" if len(names) > 1 else "")
            yield Flaw(("fleets", names[0], "instances"), rule, listed, remedy)


def _places(fleets: Mapping[str, Fleet], ahead: Ahead) -> Iterator[Flaw]:
    """What holds in one region asks where the fleets run that it may be for."""
    unplaced = {
        name: fleet for name, fleet in fleets.items() if fleet.purchase.plan == "on_demand" and fleet.region is None
    }
    for name, fleet in unplaced.items():
        for who in _regional(fleet.instance_type, ahead):
            yield Flaw(
                ("fleets", name, "region"),
                f"is required, since {who} in one region only",
                None,
                f"Say where {name} runs, as region: us-east-1.",
            )
            break
    for name, kept in ahead.capacity.items():
        if kept.kind == "reservation" and kept.region is None:
            why = _why_it_must_say_where(kept, fleets, ahead)
            if why:
                yield Flaw(("capacity", name, "region"), f"is required, since {why}", None, "Say where it is kept.")


def _why_it_must_say_where(kept: Guarantee, fleets: Mapping[str, Fleet], ahead: Ahead) -> str:
    """Why does reserved capacity have to name its region? Blank where nothing depends on it."""
    machine = kept.instance_type
    regions = {
        (fleet.region or "").strip().lower()
        for fleet in fleets.values()
        if (fleet.purchase.plan, fleet.instance_type) == ("on_demand", machine)
    }
    if len(regions) > 1:
        return f"fleets of {machine} run in several regions"
    if any(one.region and (one.kind, one.instance_type) == ("reservation", machine) for one in ahead.capacity.values()):
        return f"other {machine} is kept in one region only"
    regional = next(_regional(machine, Ahead(commitments=ahead.commitments)), "") if not regions else ""
    return f"{regional} in one region only" if regional else ""


def _regional(instance_type: str | None, ahead: Ahead) -> Iterator[str]:
    """What applies in one region, and may apply to instances of this type."""
    for name, promise in ahead.commitments.items():
        covers = (
            promise.instance_type == instance_type
            if promise.of_instances
            else instance_type in (promise.rates or {instance_type})
        )
        if promise.region is not None and instance_type is not None and covers:
            yield f"commitment {name} applies"
    for name, discount in ahead.discounts.items():
        if discount.region is not None and discount.instance_type in (None, instance_type):
            yield f"discount {name} applies"
    for name, kept in ahead.capacity.items():
        if kept.region is not None and (kept.kind, kept.instance_type) == ("reservation", instance_type):
            yield f"capacity {name} is kept"


def _names(ahead: Ahead) -> Iterator[Flaw]:
    for name in ahead.capacity:
        if name in ahead.commitments:
            rule = "has the name of a commitment, and a bill has a line for each"
            yield Flaw(("capacity", name), rule, None, "Give one of the two another name.")


def _tiers(ahead: Ahead) -> Iterator[Flaw]:
    for name in [name for name, discount in ahead.discounts.items() if discount.tiers is not None][1:]:
        rule = "is a second discount by what a month costs, and there can be one"
        yield Flaw(("discounts", name, "tiers"), rule, None, "Join the steps in one discount, or give a share.")
