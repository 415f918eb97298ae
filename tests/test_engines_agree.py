"""Two engines, one answer: the compiled loop and the SimPy reference agree on every column of every row.

Whatever a scenario can ask for is drawn at random by hypothesis, with times on ticks from 1 ns to 5 ms: the coarser,
the more happens at once. Every log drawn is also held to the laws that no run may break (:mod:`tests.laws`). Under
JIT off the same tests run the same loop as plain Python.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, note, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from simulator.arrival_spec import Arrivals
from simulator.compiling import compile_model
from simulator.model import FleetModel, Model, WorkloadModel
from simulator.noise import lognormal
from simulator.policies import batching
from simulator.policies.service import PPM
from simulator.run import run, run_logs
from simulator.scenario import load_scenario
from tests.models import COMPILED, MS, Drawn, S, Thinking, agreed, assert_same, by_items, joined
from tests.strategies import ROUTERS, models

SCENARIOS = Path(__file__).resolve().parents[1] / "scenarios"

FEW = settings().max_examples
"""What the profile of this run asks for."""


@settings(max_examples=3 * FEW)
@given(models())
def test_the_engines_agree_on_any_model(model: Model) -> None:
    """A disagreement means that the numbers users get are not those of the executable specification."""
    agreed(model)


@settings(max_examples=FEW)
@given(models(triton=True))
def test_the_engines_agree_on_triton(model: Model) -> None:
    """Triton's batcher has the most states, so it gets more models of its own."""
    agreed(model)


@settings(max_examples=FEW)
@given(models(plain=True))
def test_a_plain_model_is_the_same_in_both_compiled_forms(model: Model) -> None:
    """A plain model runs in a loop with most of the engine left out, which must not change its log."""
    assert model.plain
    log = agreed(model)
    with mock.patch.object(Model, "plain", new=False):
        assert_same(log, run(model))


@settings(max_examples=FEW)
@given(models(), st.integers(1, 60))
def test_a_run_streamed_in_stretches_has_the_same_rows(model: Model, stretch: int) -> None:
    """Runs longer than memory are cut into stretches, and where they are cut must not be seen."""
    whole = run(model)
    logs = list(run_logs(replace(model, expected_requests=float(len(whole.requests))), stretch=stretch))
    note(f"{len(logs)} stretches of {[len(log.requests) for log in logs]} requests")
    assert_same(whole, joined(logs))


@settings(max_examples=FEW // 2)
@given(models())
def test_the_same_model_gives_the_same_log(model: Model) -> None:
    """A run that cannot be repeated cannot be compared with anything."""
    assert_same(run(model), run(model))


def busy_model(rule: int, **rest: Any) -> Model:
    """Bursts of a thousand requests and more, with deadlines, scatter and clients in a loop, on four accelerators."""
    horizon_ns = 10 * S if COMPILED else S
    bursts: Any = TypeAdapter(Arrivals).validate_python(
        {"process": "mmpp", "rates": [50, 600], "mean_durations": ["1s", "400ms"]}
    )
    fleet = FleetModel(
        by_items(10, 13, 16, 19, 22, 25, 28, 31),
        instances=4,
        model_instances=2,
        rule=rule,
        max_batch=8,
        delay_ns=6 * MS,
        preferred=(4, 8) if rule == batching.TRITON else (),
        noise=lognormal(np.linspace(0.4, 0.1, 8)),
        frontend_ns=by_items(*[0.3] * 8),
        enqueue_ns=by_items(*[0.2] * 8),
        dispatch_ns=by_items(*np.linspace(0.2, 0.5, 8)),
        release_ns=by_items(*np.linspace(0.2, 0.5, 8)),
        reply_ns=by_items(*np.linspace(0.4, 1.1, 8)),
    )
    open_stream = WorkloadModel(0, Drawn(bursts, horizon_ns), items=(1, 3), item_weights=(4.0, 1.0))
    impatient = replace(open_stream, items=(2,), item_weights=(1.0,), timeout_ns=300 * MS)
    loop = WorkloadModel(0, clients=20, think=Thinking(100 * MS, "exponential"))
    streams = (open_stream, loop) if rest.pop("patient", False) else (open_stream, impatient, loop)
    return Model((replace(fleet, **rest),), streams, horizon_ns, seed=3, expected_requests=4_000)


@pytest.mark.parametrize("rule", range(len(batching.RULES)), ids=batching.RULES)
def test_the_engines_agree_through_long_bursts(rule: int) -> None:
    """Random models are small; here queues of hundreds build up and drain under every rule, streamed too."""
    model = busy_model(rule)
    log = agreed(model)
    assert_same(log, joined(list(run_logs(model, stretch=500))))
    assert len(log.requests) > (1_000 if COMPILED else 100)


CHANGES: dict[str, dict[str, Any]] = {
    "nobody gives up": {"rule": batching.TRITON, "patient": True},
    "bounded queues": {"rule": batching.TEXTBOOK, "max_queue": 20},
    "three on one accelerator": {"rule": batching.COLLECT, "model_instances": 3},
    "independent model instances": {"rule": batching.TRITON, "slow_ppm": (PPM, PPM), "patient": True},
    "a hundred accelerators": {"rule": batching.NONE, "instances": 100, "model_instances": 1},
    **{f"router {router}": {"rule": batching.TEXTBOOK, "router": router, "instances": 40} for router in ROUTERS},
}


@pytest.mark.parametrize("change", CHANGES)
def test_the_engines_agree_on_the_same_traffic_to_other_fleets(change: str) -> None:
    """One feature after the other, at a size that random models do not have."""
    agreed(busy_model(**CHANGES[change]))


@pytest.mark.parametrize("name", ["hello", "closed_loop", "burst", "trace", "peak"])
def test_the_engines_agree_on_the_scenarios_shipped(name: str) -> None:
    """What users run first, for as long as the reference takes a second."""
    scenario = load_scenario(SCENARIOS / f"{name}.yaml", {"horizon": "4s", "warmup": "0s"})
    log = agreed(compile_model(scenario))
    assert len(log.requests) > 0


@pytest.mark.slow
@settings(max_examples=5000)
@given(models() | models(triton=True), st.integers(1, 60))
def test_the_engines_agree_on_thousands_of_models(model: Model, stretch: int) -> None:
    """The same as above, for minutes instead of seconds."""
    log = agreed(model)
    assert_same(log, joined(list(run_logs(model, stretch=stretch))))
