"""What does reserved capacity cost while nothing runs in it? Columns of usage for on-demand capacity reservations.

A reservation of on-demand capacity costs what its instances cost, running or not ("you're charged ... whether you run
instances in the reserved capacity or not", Amazon EC2 user guide, Capacity Reservation pricing and billing). What runs
in it is already in the usage; here is the rest. Discounts reach it once they have covered everything that runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from simulator.capacity_guarantee import CapacityGuarantee
from simulator.ledger_input import Rates, Usage, UsageKind

Floats = npt.NDArray[np.float64]


def with_capacity_columns(usage: Usage, rates: Rates, kept: Sequence[CapacityGuarantee]) -> tuple[Usage, Rates]:
    """Usage and prices with an empty column for each reservation, priced like the instances that it keeps.

    Raises
    ------
    ValueError
        A reservation keeps a type that the usage has no on-demand column (and so no price) for, or does not say in
        which of several regions.
    """
    sources = [_running(usage, guarantee)[0] for guarantee in kept]
    idle: UsageKind = "capacity"
    wider = replace(
        usage,
        instance_types=usage.instance_types + tuple(guarantee.instance_type for guarantee in kept),
        instances=np.hstack([usage.instances, np.zeros((usage.hours, len(kept)))]),
        regions=usage.regions + tuple(usage.regions[source] for source in sources),
        tags=usage.tags + ({},) * len(kept),
        kinds=usage.kinds + (idle,) * len(kept),
    )
    columns = [*range(len(usage.instance_types)), *sources]
    overhead = np.broadcast_to(np.asarray(rates.spot_overhead, dtype=np.float64), (len(usage.instance_types),))
    return wider, replace(
        rates,
        list_usd_per_hour=rates.listed()[:, columns],
        contracted_usd_per_hour=rates.contracted()[:, columns],
        spot_usd_per_hour=rates.spot(len(usage.instance_types))[:, columns],
        spot_overhead=overhead[columns],
    )


def idle_instances(usage: Usage, kept: Sequence[CapacityGuarantee], running: Floats) -> Floats:
    """How many instances of each reservation stand idle in each hour?

    Parameters
    ----------
    usage
        Its columns say what each of ``running`` is.
    kept
        Those of one type and region are filled in the order given.
    running : (T, J)
        Instances on demand, without those in capacity blocks.

    Returns
    -------
    (T, n)
        A column for each reservation.
    """
    hour = np.arange(usage.hours)
    unclaimed: dict[tuple[int, ...], Floats] = {}
    idle = np.zeros((usage.hours, len(kept)))
    for number, guarantee in enumerate(kept):
        columns = tuple(_running(usage, guarantee))
        free = unclaimed.setdefault(columns, running[:, columns].sum(axis=1))
        active = (hour >= guarantee.start_h) & (hour < guarantee.start_h + guarantee.term_h)
        held = np.where(active, guarantee.units, 0.0)
        used = np.minimum(held, free)
        unclaimed[columns] = free - used
        idle[:, number] = held - used
    return idle


def _running(usage: Usage, guarantee: CapacityGuarantee) -> list[int]:
    columns = [
        column
        for column, (instance_type, region, kind) in enumerate(
            zip(usage.instance_types, usage.regions, usage.kinds, strict=True)
        )
        if kind == "on_demand" and instance_type == guarantee.instance_type and guarantee.region in {"", region}
    ]
    regions = sorted({usage.regions[column] for column in columns})
    if not columns:
        place = f" in {guarantee.region}" if guarantee.region else ""
        raise ValueError(
            f"{guarantee.name}: no on-demand price of {guarantee.instance_type}{place}. Give it a column of usage, of "
            "0 instances if nothing runs."
        )
    if len(regions) > 1:
        raise ValueError(f"{guarantee.name}: region must be one of {', '.join(regions)}, got none")
    return columns
