"""The engines under test, behind the few calls that the benchmarks need; nothing else here imports them."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from benchmarks.measure import Lap, lap
from benchmarks.spec import Work
from simulator import compiled
from simulator.compiling import compile_model
from simulator.run import Engine, run_logs, warm_up
from simulator.run import run as run_model
from simulator.scenario import load_scenario
from simulator.study import simulate

if TYPE_CHECKING:
    from simulator.log import RunLog
    from simulator.model import Model
    from simulator.outcome import Report
    from simulator.scenario import Scenario


@dataclass(frozen=True)
class Prepared:
    """Work that is read, checked and compiled: what is left is to run it."""

    scenario: Scenario
    model: Model


def load(work: Work) -> Scenario:
    """Read the work's YAML text through the door that users come through."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "scenario.yaml"
        path.write_text(work.scenario(), encoding="utf-8")
        return load_scenario(str(path))


def prepare(work: Work) -> Prepared:
    """Read and compile the work, and make sure that the engine is compiled too."""
    scenario = load(work)
    model = compile_model(scenario)
    warm_up(model)
    return Prepared(scenario, model)


def run(prepared: Prepared) -> RunLog:
    """The log of one run of the compiled engine, in one piece."""
    return run_model(prepared.model)


def whole_lap(prepared: Prepared, engine: Engine = "compiled") -> Lap:
    """Time a run from the model to its logs: drawing, simulating, laying out the columns."""
    return lap(lambda: sum(len(log.requests) for log in run_logs(prepared.model, engine)))


def engine_lap(prepared: Prepared) -> Lap:
    """Time what the compiled loop itself takes in a run, as the C++ loop is timed: draws and columns are there."""
    loop = _Clocked(compiled.advance)
    with patch.object(compiled, "advance", loop):
        requests = sum(len(log.requests) for log in run_logs(prepared.model))
    return Lap(requests, loop.wall_s, loop.cpu_s)


def study(scenario: Scenario, replications: int, processes: int) -> Report:
    """What ``simulate --replications R --jobs N`` reports."""
    return simulate(scenario, replications=replications, engine="compiled", jobs=processes)


class _Clocked:
    """The compiled loop with a clock around each call."""

    def __init__(self, loop: Any) -> None:
        self._loop = loop
        self.wall_s = 0.0
        self.cpu_s = 0.0

    def __call__(self, *tables: Any) -> Any:
        wall_s, cpu_s = time.perf_counter(), time.process_time()
        status = self._loop(*tables)
        self.cpu_s += time.process_time() - cpu_s
        self.wall_s += time.perf_counter() - wall_s
        return status

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loop, name)
