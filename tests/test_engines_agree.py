"""Two engines, one answer: the compiled loop and the SimPy reference agree on every column of every row.

Whatever a scenario can ask for is drawn at random by hypothesis, with times on ticks from 1 ns to 5 ms: the coarser,
the more happens at once. Every log drawn is also held to the laws that no run may break (:mod:`tests.laws`). Under
JIT off the same tests run the same loop as plain Python.
"""

from __future__ import annotations

from dataclasses import replace
from unittest import mock

import pytest
from hypothesis import given, note, settings
from hypothesis import strategies as st

from simulator.model import Model
from simulator.run import run, run_logs
from tests.laws import check_laws
from tests.models import agreed, assert_same, joined
from tests.strategies import models

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


@pytest.mark.slow
@settings(max_examples=5000)
@given(models() | models(triton=True), st.integers(1, 60))
def test_the_engines_agree_on_thousands_of_models(model: Model, stretch: int) -> None:
    """The same laws as above, over an hour's worth of models."""
    log = agreed(model)
    check_laws(model, log)
    assert_same(log, joined(list(run_logs(model, stretch=stretch))))
