"""Models written by hand, and runs of both engines on them: what the tests of the engines are made of.

Times are written in ticks or milliseconds as the test likes; the models hold nanoseconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from simulator.arrival_spec import ClosedLoopArrivals
from simulator.arrivals import ArrivalSpec, ArrivalStream, ThinkTimes, open_stream
from simulator.clock import NEVER
from simulator.log import RunLog
from simulator.model import FleetModel, Model, Noise, WorkloadModel
from simulator.run import run
from tests.laws import check_laws

COMPILED = not numba.config.DISABLE_JIT
"""Whether the engine runs compiled; as plain Python a request costs a thousand times as much, and runs are shorter."""

MS = 1_000_000
S = 1_000 * MS

Int64s = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Given:
    """Requests at given times, whatever the seed."""

    times_ns: tuple[int, ...]

    def __call__(self, seeds: np.random.SeedSequence) -> ArrivalStream:  # noqa: ARG002 - nothing is left to chance
        """Open the stream."""
        return ArrivalStream(iter([np.array(self.times_ns, dtype=np.int64)]), NEVER)


@dataclass(frozen=True)
class Drawn:
    """Requests of one of the processes a scenario may name."""

    spec: ArrivalSpec
    horizon_ns: int
    recorded_ns: tuple[int, ...] = ()
    """Times of a trace, instead of its file."""

    def __call__(self, seeds: np.random.SeedSequence) -> ArrivalStream:
        """Open the stream."""
        trace = np.array(self.recorded_ns, dtype=np.int64) if self.spec.process == "trace" else None
        return open_stream(self.spec, seeds, self.horizon_ns, trace=trace)


@dataclass(frozen=True)
class Thinking:
    """Think times of a closed loop: constant, or exponential with that mean."""

    mean_ns: int
    distribution: str = "constant"

    def __call__(self, seeds: np.random.SeedSequence) -> ThinkTimes:
        """Open the stream."""
        return ThinkTimes(self.spec(1), seeds)

    def spec(self, concurrency: int) -> ClosedLoopArrivals:
        """What the scenario would say of this loop."""
        return ClosedLoopArrivals.model_validate(
            {
                "process": "closed_loop",
                "concurrency": concurrency,
                "think_time": f"{self.mean_ns}ns",
                "think_time_distribution": self.distribution,
            }
        )


def by_items(*values: float, unit_ns: int = MS) -> Int64s:
    """A table in ns by items, from the values of 1, 2, ... items in milliseconds (or another unit)."""
    return np.rint(np.array([0, *values]) * unit_ns).astype(np.int64)


def arriving(*times_ms: float, fleet: int = 0, **rest: Any) -> WorkloadModel:
    """A workload whose requests come at these times in milliseconds."""
    return WorkloadModel(fleet, Given(tuple(round(time * MS) for time in times_ms)), **rest)


def looping(clients: int, think_ms: float = 0, *, fleet: int = 0, **rest: Any) -> WorkloadModel:
    """A closed loop whose clients think for a constant time in milliseconds."""
    return WorkloadModel(fleet, clients=clients, think=Thinking(round(think_ms * MS)), **rest)


def model_of(
    fleets: FleetModel | Sequence[FleetModel],
    workloads: WorkloadModel | Sequence[WorkloadModel],
    horizon_ns: int = S,
    **rest: Any,
) -> Model:
    """A model of one fleet or several, one workload or several."""
    several = (fleets,) if isinstance(fleets, FleetModel) else tuple(fleets)
    streams = (workloads,) if isinstance(workloads, WorkloadModel) else tuple(workloads)
    return Model(several, streams, horizon_ns, **rest)


def table_noise(factors: Sequence[npt.NDArray[np.float64]], rows: Sequence[int]) -> Noise:
    """Scatter from whole quantile functions, with ``rows[items]`` the one of each batch size."""
    return Noise(np.array(factors), np.array(rows, dtype=np.int64), uniform_positions)


def uniform_positions(generator: np.random.Generator, n: int) -> npt.NDArray[np.float64]:
    """Positions anywhere between the levels of a table, all equally likely."""
    return generator.random(n) * 1024


def agreed(model: Model) -> RunLog:
    """The log of a model on which both engines agree, with every law checked."""
    log = run(model)
    assert_same(log, run(model, "reference"))
    check_laws(model, log)
    return log


def assert_same(log: RunLog, other: RunLog) -> None:
    """Every column of every row is equal; a failure shows the first row of each column that is not."""
    assert [] == [_first_difference(column, log, other) for column in log.differences(other)]


def _first_difference(column: str, log: RunLog, other: RunLog) -> str:
    table, name = column.split(".")
    one, two = (getattr(getattr(side, table), name) for side in (log, other))
    if len(one) != len(two):
        return f"{column}: {len(one)} rows against {len(two)}"
    row = int(np.flatnonzero(one != two)[0])
    return f"{column}[{row}]: {one[row]} against {two[row]}"


def joined(logs: Sequence[RunLog]) -> RunLog:
    """The stretches of a streamed run, one after the other, as one log."""
    tables: list[Any] = []
    for table in ("requests", "batches"):
        stretches = [getattr(log, table) for log in logs]
        kind = type(stretches[0])
        columns = {
            column.name: np.concatenate([getattr(stretch, column.name) for stretch in stretches])
            for column in fields(kind)
        }
        tables.append(kind(**columns))
    return RunLog(*tables)


def executions_ms(log: RunLog) -> list[tuple[float, float, int]]:
    """(taken, end, requests) of every execution, in milliseconds."""
    batches = log.batches
    return [
        (taken / MS, end / MS, requests)
        for taken, end, requests in zip(
            batches.taken_ns.tolist(), batches.end_ns.tolist(), batches.requests.tolist(), strict=True
        )
    ]


def left_ms(log: RunLog) -> list[float]:
    """When each request left, in milliseconds."""
    return [time / MS for time in log.requests.left_ns.tolist()]
