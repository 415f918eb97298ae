"""Running a model: in one piece or in stretches, compiled or as plain Python, the rows are the same."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from pydantic import TypeAdapter

from simulator import columns, compiled, kernels
from simulator.arrival_spec import Arrivals
from simulator.log import RunLog
from simulator.model import FleetModel, Model, WorkloadModel
from simulator.policies import batching, routing
from simulator.run import STRETCH, Timing, run, run_logs, warm_up
from simulator.state import BATCH, State, records
from tests.models import (
    COMPILED,
    MS,
    Drawn,
    S,
    Thinking,
    agreed,
    arriving,
    assert_same,
    by_items,
    joined,
    looping,
    model_of,
)
from tests.strategies import models

ROOT = Path(__file__).resolve().parents[2]
SERVER = FleetModel(by_items(2, 3, 4, 5), rule=batching.TEXTBOOK, max_batch=4, instances=2)


def traffic(requests: int, process: dict[str, Any] | None = None, fleet: FleetModel = SERVER, **rest: Any) -> Model:
    """About so many requests in 10 s, Poisson or by another process."""
    spec: Any = TypeAdapter(Arrivals).validate_python(process or {"process": "poisson", "rate": requests / 10})
    return model_of(fleet, WorkloadModel(0, Drawn(spec, 10 * S), **rest), 10 * S, expected_requests=float(requests))


def test_an_engine_nobody_knows_is_refused() -> None:
    """A misspelt engine that fell back to another would answer with somebody else's numbers."""
    with pytest.raises(ValueError, match=r"""^engine must be "compiled" or "reference", got 'reverence'$"""):
        run(model_of(SERVER, arriving(1)), "reverence")  # type: ignore[arg-type]


@pytest.mark.parametrize("stretch", [0, -1])
def test_a_stretch_without_requests_is_refused(stretch: int) -> None:
    """Cut into stretches of nothing a run would never end."""
    with pytest.raises(ValueError, match=f"stretch must be at least 1 request, got {stretch}"):
        list(run_logs(model_of(SERVER, arriving(1)), stretch=stretch))


def test_a_run_without_requests_leaves_an_empty_log() -> None:
    """A quiet hour is a result, not an error."""
    log = agreed(model_of(SERVER, (arriving(), arriving())))
    assert (0, 0) == (len(log.requests), len(log.batches))


def test_long_runs_are_streamed_of_their_own_accord() -> None:
    """A run that outgrows memory must not wait to be asked."""
    model = traffic(3000 if COMPILED else 300)
    assert 1 == len(list(run_logs(model)))
    with mock.patch("simulator.run.STRETCH", 50):
        logs = list(run_logs(model))
    assert len(logs) > 5
    assert_same(run(model), joined(logs))
    assert model.expected_requests < STRETCH


BURST = {"process": "rate_series", "requests": [10, 0, 2000, 10], "interval": "2.5s"}
"""Nearly all requests come in one of the four intervals."""


def stretched(model: Model, stretch: int) -> list[RunLog]:
    """The logs of a streamed run, whose rows are those of the whole."""
    logs = list(run_logs(model, stretch=stretch))
    assert_same(run(model), joined(logs))
    return logs


def test_a_burst_does_not_make_a_stretch_longer() -> None:
    """Memory that grows with the traffic's peak is not bounded."""
    model = traffic(2020, BURST) if COMPILED else traffic(102, {**BURST, "scale": 0.05})
    stretch = 100 if COMPILED else 10
    logs = stretched(model, stretch)
    assert max(len(log.requests) for log in logs) <= 2 * stretch


def test_rows_are_handed_out_once_and_only_when_they_are_final() -> None:
    """A request handed out before its answer would be counted as in flight, or twice."""
    model = traffic(2000 if COMPILED else 200, timeout_ns=20 * MS)
    logs = stretched(model, 30)
    for log in logs[:-1]:
        assert (log.requests.outcome != 3).all()
        assert (log.batches.free_ns >= 0).all()
    numbers = np.concatenate([log.requests.batch[log.requests.batch >= 0] for log in logs])
    assert np.unique(numbers).tolist() == list(range(sum(len(log.batches) for log in logs)))


@pytest.mark.parametrize("clients", [1, 7])
@pytest.mark.parametrize("timeout_ms", [3, 1000])
def test_a_closed_loop_outlasts_its_first_draws(clients: int, timeout_ms: int) -> None:
    """Draws are made ahead by the thousand, and nobody knows how many a closed loop will need.

    Beside an open workload, on two instances of which one serves one at a time; streamed, too.
    """
    fleet = FleetModel(by_items(2, 2.5), rule=batching.COLLECT, max_batch=2, delay_ns=MS)
    loop = looping(clients, 1, timeout_ns=timeout_ms * MS, items=(1, 2), item_weights=(1.0, 1.0))
    model = model_of(fleet, (loop, arriving(*range(0, 9000, 50))), 9 * S if COMPILED else S, expected_requests=100.0)
    log = agreed(model)
    assert len(log.requests) > (2_000 if COMPILED else 200)
    assert_same(log, joined(list(run_logs(model, stretch=64))))


def test_thinking_by_chance_outlasts_its_first_draws_too() -> None:
    """Think times are drawn in two goes, and must be the ones of one go."""
    loop = WorkloadModel(0, clients=4, think=Thinking(2 * MS, "exponential"))
    log = agreed(model_of(SERVER, loop, 5 * S if COMPILED else S))
    assert len(log.requests) > (3_000 if COMPILED else 300)


def one_execution_at_a_time(model: Model, state: State, rows: int) -> State:
    """Room for more requests as asked for, and for a single execution more."""
    state = columns_with_room(model, state, rows)
    executed = int(state.counts[0].batches)
    batches = records(executed + state.slots.shape[1] + 1, BATCH)
    batches[:executed] = state.batches[:executed]
    return state._replace(batches=batches)


columns_with_room = columns.with_room


@settings(max_examples=settings().max_examples // 2)
@given(models())
def test_the_engine_never_writes_past_its_tables(model: Model) -> None:
    """Compiled code does not notice: it would write into whatever lies behind.

    With room for one execution more the engine must stop before nearly every event; without the compiler, where NumPy
    checks, one that does not stop fails here.
    """
    whole = run(model)
    with mock.patch("simulator.columns.with_room", one_execution_at_a_time):
        assert_same(whole, run(model))
        assert_same(whole, joined(list(run_logs(model, stretch=7))))


def test_deadlines_of_one_instant_may_each_start_a_batch() -> None:
    """Four instances, each with a request of one item before one of three, which is a preferred size by itself.

    When the small ones give up at 7, all four start at once, and no event of an instance comes between.
    """
    fleet = FleetModel(
        by_items(2, 2, 2, 2, 2, 2),
        instances=4,
        rule=batching.TRITON,
        max_batch=6,
        preferred=(3, 6),
        delay_ns=100 * MS,
        router=routing.SCHEDULE,
    )
    small = arriving(0, 0, 0, 0, timeout_ns=7 * MS)
    model = model_of(fleet, (small, arriving(1, 1, 1, 1, items=(3,))))
    log = agreed(model)
    assert [7 * MS] * 4 == log.batches.taken_ns.tolist()
    with mock.patch("simulator.columns.with_room", one_execution_at_a_time):
        assert_same(log, run(model))


def test_deadlines_of_one_instant_come_by_workload() -> None:
    """Two requests wait, and both give up at 7. Without the small one the three items are a preferred size.

    So they are served at 7 if the small one is of the workload before theirs; else they give up first.
    """
    fleet = FleetModel(by_items(*[2] * 6), rule=batching.TRITON, max_batch=6, preferred=(3, 6), delay_ns=100 * MS)
    small, large = arriving(0, timeout_ns=7 * MS), arriving(1, items=(3,), timeout_ns=6 * MS)
    assert [2, 0] == agreed(model_of(fleet, (small, large))).requests.outcome.tolist()
    assert [2, 2] == agreed(model_of(fleet, (large, small))).requests.outcome.tolist()


def test_timing_says_where_the_time_went() -> None:
    """A report that hides drawing behind running would praise the engine for half the work."""
    timing = Timing()
    logs = list(run_logs(traffic(500), stretch=100, timing=timing))
    assert timing.run > 0
    assert timing.draw > 0
    assert len(logs) - 1 == timing.stretches


def test_warming_up_runs_nothing_and_is_remembered() -> None:
    """Announcing a compilation that is not due, or not announcing one that is, both look like a fault."""
    model = traffic(50)
    timing = Timing()
    warm_up(model, timing)
    assert timing.compile > 0
    assert compiled.is_warm(model.plain)
    assert_same(run(model), run(model))


IN_ANOTHER_PROCESS = """\
import numpy as np
from simulator import compiled
from simulator.model import FleetModel, Model, WorkloadModel
from simulator.run import run

class Times:
    def __init__(self, seeds): self.left = np.arange(0, 50_000_000, 700_000)
    def take(self, until_ns):
        taken, self.left = self.left[self.left < until_ns], self.left[self.left >= until_ns]
        return taken

fleet = FleetModel(np.array([0, 2_000_000, 3_000_000]), instances=3, model_instances=2, rule=6, max_batch=2, delay_ns=9)
log = run(Model((fleet,), (WorkloadModel(0, Times, timeout_ns=4_000_000),), 10**9))
if __name__ == "__main__":
    import hashlib
    stats = getattr(compiled.advance, "stats", None)
    print(sum(stats.cache_misses.values()) if stats else 0)
    print(hashlib.sha256(log.requests.left_ns.tobytes()).hexdigest())
"""


def in_another_process(**environment: str) -> list[str]:
    """How often the loop was compiled anew, and a digest of what it answered."""
    done = subprocess.run(
        [sys.executable, "-c", IN_ANOTHER_PROCESS],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert 0 == done.returncode, done.stderr
    return done.stdout.split()


def answered_here() -> str:
    """The same run in this process."""
    scope: dict[str, Any] = {"__name__": "here"}
    exec(IN_ANOTHER_PROCESS, scope)
    return hashlib.sha256(scope["log"].requests.left_ns.tobytes()).hexdigest()


@pytest.mark.skipif(not COMPILED, reason="there is no compiler at work")
def test_the_next_process_does_not_compile_again() -> None:
    """Fifteen seconds at every start would be too many; what makes numba's cache miss is easily done unawares."""
    expected = answered_here()
    assert ["0", expected] == in_another_process(NUMBA_CACHE_DIR=str(kernels.folder().parent))


def test_without_the_compiler_the_same_loop_answers_the_same() -> None:
    """Coverage and negative indices are looked for in plain Python: it must be the same engine."""
    assert ["0", answered_here()] == in_another_process(NUMBA_DISABLE_JIT="1")
