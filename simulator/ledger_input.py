"""What was used, and at what prices? The two values that a ledger is settled from, beside what was promised."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from simulator.discount_tiers import DiscountTiers

Floats = npt.NDArray[np.float64]

UsageKind = Literal["on_demand", "spot", "serverless", "capacity"]
"""How a column is bought where no commitment covers it; ``capacity`` is reserved capacity that stands idle."""

USAGE_KINDS: Final[tuple[UsageKind, ...]] = ("on_demand", "spot", "serverless", "capacity")


@dataclass(frozen=True)
class Usage:
    """Instances by hour: a row an hour, a column a type (of one region, of one team, bought in one way)."""

    start: datetime
    """First hour, in UTC and on the hour."""
    instance_types: tuple[str, ...]
    """(J,); several columns may share a type."""
    instances: Floats
    """(T, J): instances in each hour; parts of an hour are parts of an instance. Of a serverless column, what its price
    is for: requests, thousands of tokens, GB-seconds."""
    regions: tuple[str, ...] = ()
    """(J,); empty where regions play no part."""
    tags: tuple[Mapping[str, str], ...] = ()
    """(J,): labels such as team and model; empty for none."""
    kinds: tuple[UsageKind, ...] = ()
    """(J,); empty for on demand. A commitment covers any kind but spot, if its rates name the type."""

    def __post_init__(self) -> None:
        """Refuse what cannot be settled, and fill in what was left out."""
        if self.start.utcoffset() != timedelta(0) or self.start != self.start.replace(
            minute=0, second=0, microsecond=0
        ):
            raise ValueError(f"start must be an hour in UTC, got {self.start.isoformat()}")
        object.__setattr__(self, "start", self.start.astimezone(UTC))
        instances = np.array(self.instances, dtype=np.float64)
        columns = len(self.instance_types)
        if instances.ndim != 2 or instances.shape[1] != columns:
            raise ValueError(f"instances must have shape (hours, {columns}), got {instances.shape}")
        if not len(instances):
            raise ValueError("instances must have at least one hour")
        if instances.size and not (instances.min() >= 0 and math.isfinite(instances.max())):
            raise ValueError("instances must be finite and 0 or greater")
        instances.setflags(write=False)
        object.__setattr__(self, "instances", instances)
        for name, default in (("regions", ""), ("tags", {}), ("kinds", "on_demand")):
            given: tuple[object, ...] = tuple(getattr(self, name)) or (default,) * columns
            if len(given) != columns:
                raise ValueError(f"{name} must have an entry for each of {columns} columns, got {len(given)}")
            object.__setattr__(self, name, given)
        for kind in self.kinds:
            if kind not in USAGE_KINDS:
                raise ValueError(f"kinds must be among {', '.join(USAGE_KINDS)}, got {kind!r}")

    @property
    def hours(self) -> int:
        """Hours that are billed."""
        return int(self.instances.shape[0])

    def month_of_hour(self) -> tuple[npt.NDArray[np.datetime64], npt.NDArray[np.int64]]:
        """Which calendar month (UTC) is each hour in? The months (M,), and for each hour its place among them (T,).

        >>> usage = Usage(datetime(2026, 1, 31, 22, tzinfo=UTC), ("a",), np.ones((3, 1)))
        >>> months, place = usage.month_of_hour()
        >>> [str(month) for month in months], place.tolist()
        (['2026-01', '2026-02'], [0, 0, 1])
        """
        start = np.datetime64(self.start.replace(tzinfo=None), "h")
        month = (start + np.arange(self.hours)).astype("datetime64[M]")
        first = month[:1].astype(np.int64)
        place = month.astype(np.int64) - (first[0] if len(first) else 0)
        return np.unique(month), place


@dataclass(frozen=True)
class Rates:
    """Prices of the columns of a usage. Every price is above 0: one that is missing is named, never 0."""

    list_usd_per_hour: Floats
    """(J,) or (T, J): published on-demand price of a unit of each column."""
    contracted_usd_per_hour: Floats | None = None
    """(J,) or (T, J): price under the user's agreement; the list price where there is none."""
    spot_usd_per_hour: Floats | None = None
    """(J,) or (T, J): price of the spot columns; entries of other columns are not read and may be NaN."""
    spot_overhead: Floats | float = 0.0
    """() or (J,): instance hours that interruptions add to a spot column, as a share of those wanted: work that is done
    twice, and machines that start anew. An input, since it depends on the workload."""
    tiers: DiscountTiers | None = None
    """Discount on what is bought on demand in a month, after ``contracted_usd_per_hour``. Rates of commitments are
    taken as stated, and spot has no discount."""
    currency: str = field(default="USD", init=False)

    def contracted(self) -> Floats:
        """(1, J) or (T, J): price of a unit on demand, before tiers.

        >>> Rates(np.array([1.0, 2.0])).contracted()
        array([[1., 2.]])
        """
        given = self.list_usd_per_hour if self.contracted_usd_per_hour is None else self.contracted_usd_per_hour
        return np.atleast_2d(np.asarray(given, dtype=np.float64))

    def listed(self) -> Floats:
        """(1, J) or (T, J): published price of a unit.

        >>> Rates(np.array([1.0, 2.0])).listed().shape
        (1, 2)
        """
        return np.atleast_2d(np.asarray(self.list_usd_per_hour, dtype=np.float64))

    def spot(self, columns: int) -> Floats:
        """(1, J) or (T, J): price of a unit on spot; NaN where there is none."""
        if self.spot_usd_per_hour is None:
            return np.full((1, columns), np.nan)
        return np.atleast_2d(np.asarray(self.spot_usd_per_hour, dtype=np.float64))


def check_rates(usage: Usage, rates: Rates) -> None:
    """Does every column have the prices that it needs?

    Raises
    ------
    ValueError
        A price has the wrong shape, or is missing, 0, negative or not finite: all of them, each by name.
    """
    columns = len(usage.instance_types)
    allowed = {(1, columns), (usage.hours, columns)}
    spot_columns = [column for column, kind in enumerate(usage.kinds) if kind == "spot"]
    problems = []
    for name, price, needed in (
        ("list_usd_per_hour", rates.listed(), range(columns)),
        ("contracted_usd_per_hour", rates.contracted(), range(columns)),
        ("spot_usd_per_hour", rates.spot(columns), spot_columns),
    ):
        if price.shape not in allowed:
            problems.append(f"{name} must have shape ({columns},) or ({usage.hours}, {columns}), got {price.shape}")
            continue
        for column in needed:
            worst = float(price[:, column].min())
            if not (worst > 0 and math.isfinite(price[:, column].max())):
                place = f" in {usage.regions[column]}" if usage.regions[column] else ""
                problems.append(f"{name} of {usage.instance_types[column]}{place} must be above 0, got {worst}")
    overhead = np.broadcast_to(np.asarray(rates.spot_overhead, dtype=np.float64), (columns,))
    if not (np.isfinite(overhead).all() and (overhead >= 0).all()):
        problems.append(f"spot_overhead must be finite and 0 or greater, got {rates.spot_overhead}")
    if problems:
        raise ValueError("; ".join(dict.fromkeys(problems)))
