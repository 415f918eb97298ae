"""A model whose every execution takes the time that a test says, on a clock that only it moves."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from calibration.console import Unwatched
from calibration.meter import Reading

Times = Callable[[int, int], float]
"""Batch size, and how many executions of it there were before, to the time of this one in ms."""


class Clock:
    """Stands still unless it is moved."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def steady(batch: int, _before: int) -> float:
    """5 ms and 2 ms for each item, to the last digit."""
    return 5.0 + 2.0 * batch


def scattered(share: float, seed: int = 1) -> Times:
    """The same with a normal scatter of this share."""
    draws = random.Random(seed)
    return lambda batch, before: steady(batch, before) * max(1 + share * draws.gauss(0, 1), 0.1)


class FakeSession:
    """Counts what it is asked for."""

    def __init__(
        self,
        clock: Clock,
        times: Times = steady,
        *,
        parts: Mapping[str, float] | None = None,
        fails: Mapping[int, Exception] | None = None,
        outputs: Callable[[int], npt.NDArray[np.float64]] = lambda batch: np.ones((batch, 2)),
        prepare_s: float = 0.0,
        provenance: Mapping[str, Any] | None = None,
    ) -> None:
        self.clock = clock
        self.times = times
        self.parts = dict(parts or {})
        self.fails = dict(fails or {})
        self.outputs_of = outputs
        self.prepare_s = prepare_s
        self.told = {"device": "Pocket calculator", "versions": {"abacus": "1.0"}, **(provenance or {})}
        self.prepared: list[int] = []
        self.runs: Counter[int] = Counter()
        self.closed = False

    def prepare(self, batch: int) -> FakeExecution:
        self.prepared.append(batch)
        self.clock.now_s += self.prepare_s
        if batch in self.fails:
            raise self.fails[batch]
        return FakeExecution(self, batch)

    def provenance(self) -> Mapping[str, Any]:
        return self.told

    def memory_bytes(self) -> float | None:
        return 1e6 * self.prepared[-1]

    def close(self) -> None:
        self.closed = True


class FakeExecution:
    """One batch."""

    def __init__(self, session: FakeSession, batch: int) -> None:
        self.session = session
        self.batch = batch

    def run(self) -> None:
        session = self.session
        session.clock.now_s += session.times(self.batch, session.runs[self.batch]) / 1e3
        session.runs[self.batch] += 1

    def run_parts(self) -> Mapping[str, float]:
        return {**self.session.parts, "compute": self.session.times(self.batch, 0)}

    def outputs(self) -> npt.NDArray[np.float64]:
        return self.session.outputs_of(self.batch)


class Witness(Unwatched):
    """Remembers what it is told; can do something in the middle of a sweep."""

    def __init__(self, at_share: Callable[[float], None] = lambda _share: None) -> None:
        self.stages: list[str] = []
        self.shares: list[float] = []
        self.at_share = at_share

    def stage(self, words: str) -> None:
        self.stages.append(words)

    def done(self, share: float) -> None:
        self.shares.append(share)
        self.at_share(share)


class FakeMeter:
    """Gives the same reading for every window, of the length that the clock says."""

    def __init__(self, clock: Clock, told: Mapping[str, Any] | None = None, **reading: Any) -> None:
        self.clock = clock
        self.told = dict(told or {})
        self.reading = reading
        self.power_w: float | None = self.reading.pop("power_w", None)
        self.began_s = 0.0
        self.closed = False

    def start(self) -> None:
        self.began_s = self.clock()

    def stop(self) -> Reading:
        seconds = self.clock() - self.began_s
        energy_j = None if self.power_w is None else self.power_w * seconds
        return Reading(seconds=seconds, energy_j=energy_j, samples=10, **self.reading)

    def describe(self) -> Mapping[str, Any]:
        return self.told

    def close(self) -> None:
        self.closed = True
