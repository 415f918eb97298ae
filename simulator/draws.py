"""What chance decides, drawn ahead of the engine, one stream a purpose.

Each workload draws from five generators of its own (arrivals, items, coins, noise, thinking), so that changing the
router or the batching of a fleet leaves every other draw as it was: runs are compared under common random numbers.
A stretch of a streamed run gets exactly the draws that the same requests get in one piece.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

from simulator.log import Int32s, Int64s
from simulator.model import Model, needs_coin
from simulator.policies.routing import COIN_BITS
from simulator.state import Draws, Float64s


class ArrivalTimes(Protocol):
    """An open stream of arrival times."""

    def take(self, until_ns: int) -> Int64s:
        """The next arrival times before ``until_ns``, ascending, each handed out once."""
        ...


class ThinkDraws(Protocol):
    """A stream of think times."""

    def take(self, n: int) -> Int64s:
        """The next ``n`` think times in ns."""
        ...


class WorkloadDraws:
    """The draws of one workload; each request consumes one of each column it needs."""

    def __init__(self, model: Model, workload: int) -> None:
        spec = model.workloads[workload]
        fleet = model.fleets[spec.fleet]
        arrivals, items, coins, noise, thinking = model.seeds(workload)
        self._arrivals = spec.arrivals(arrivals) if spec.arrivals is not None else None
        self._think = spec.think(thinking) if spec.think is not None else None
        self._item_sizes = np.array(spec.items, dtype=np.int32)
        weights = np.cumsum(np.array(spec.item_weights, dtype=np.float64))
        self._item_shares = weights / weights[-1]
        self._items = np.random.Generator(np.random.PCG64DXSM(items)) if len(spec.items) > 1 else None
        self._coins = np.random.Generator(np.random.PCG64DXSM(coins)) if needs_coin(fleet) else None
        self._noise = fleet.noise
        self._positions = np.random.Generator(np.random.PCG64DXSM(noise)) if fleet.noise is not None else None

    @property
    def closed(self) -> bool:
        """Whether the engine makes this workload's arrivals, as its clients get their answers."""
        return self._arrivals is None

    def until(self, until_ns: int) -> tuple[Int64s, Int32s, Int64s, Float64s]:
        """Open workload: arrival times before ``until_ns`` with their items, coins and noise positions."""
        if self._arrivals is None:
            return self.more(0)
        times = self._arrivals.take(until_ns)
        return times, *self._columns(len(times))

    def more(self, n: int) -> tuple[Int64s, Int32s, Int64s, Float64s]:
        """Closed loop: ``n`` think times with the requests' items, coins and noise positions."""
        times = np.zeros(n, dtype=np.int64) if self._think is None else self._think.take(n)
        return times, *self._columns(n)

    def _columns(self, n: int) -> tuple[Int32s, Int64s, Float64s]:
        none: npt.NDArray[np.int64] = np.zeros(n, dtype=np.int64)
        items = none.astype(np.int32)
        if self._items is not None:
            items = self._item_sizes[np.searchsorted(self._item_shares, self._items.random(n), side="right")]
        coins = none if self._coins is None else self._coins.integers(0, 1 << 2 * COIN_BITS, size=n, dtype=np.int64)
        noise = np.zeros(0)
        if self._noise is not None and self._positions is not None:
            noise = self._noise.draw(self._positions, n)
        return items, coins, noise


def side_by_side(columns: list[tuple[Int64s, Int32s, Int64s, Float64s]], noisy: bool) -> Draws:
    """The columns of all workloads one after the other, as the compiled engine wants them."""
    counts = [len(times) for times, *_ in columns]
    first = np.zeros(len(counts) + 1, dtype=np.int64)
    first[1:] = np.cumsum(counts)
    one = len(columns) == 1
    noise = [own if len(own) == n else np.zeros(n) for (_, _, _, own), n in zip(columns, counts, strict=True)]
    return Draws(
        first=first,
        arrival_ns=columns[0][0] if one else np.concatenate([times for times, *_ in columns]),
        items=columns[0][1] if one else np.concatenate([items for _, items, _, _ in columns]),
        coin=columns[0][2] if one else np.concatenate([coins for _, _, coins, _ in columns]),
        noise=(noise[0] if one else np.concatenate(noise)) if noisy else np.zeros(0),
    )
