"""Taking times: warm-ups end, budgets are kept, and loops span enough steps of the clock."""

from __future__ import annotations

import gc
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibration.repeats import (
    READINGS,
    Beat,
    Budget,
    loops_needed,
    no_collector,
    sampled_ms,
    timer_resolution_s,
    warm_up,
)
from tests.calibration.fake_session import Clock


def model(clock: Clock, seconds: Callable[[int], float]) -> Callable[[], None]:
    """Executions that take so long, by how many there were before."""
    count = 0

    def run() -> None:
        nonlocal count
        clock.now_s += seconds(count)
        count += 1

    return run


def silent(clock: Clock) -> Beat:
    return Beat(clock, lambda: None)


def test_a_steady_model_is_warm_after_two_windows() -> None:
    clock = Clock()
    found = warm_up(model(clock, lambda _n: 0.05), clock, 10.0, silent(clock))
    assert (True, 7) == (found.steady, found.executions)
    assert pytest.approx(0.05) == found.execution_s


def test_a_model_that_gets_faster_is_waited_for() -> None:
    clock = Clock()
    found = warm_up(model(clock, lambda n: 0.01 * (1 + 10 * 0.9**n)), clock, 60.0, silent(clock))
    assert found.steady
    assert pytest.approx(0.01, rel=0.15) == found.execution_s


@given(st.floats(0.001, 100.0), st.floats(0.001, 100.0))
def test_a_warm_up_ends(first_s: float, each_s: float) -> None:
    """At most the first execution, the time allowed, and the execution under way."""
    clock = Clock()
    begin_s = clock()
    run = model(clock, lambda n: first_s if n == 0 else each_s * (1 + 0.5 * (n % 2)))
    found = warm_up(run, clock, 2.0, silent(clock))
    assert clock() - begin_s <= (first_s + 2.0 + 1.5 * each_s) * (1 + 1e-9)
    assert pytest.approx(first_s) == found.first_s


def test_compiling_does_not_eat_the_warm_up() -> None:
    clock = Clock()
    found = warm_up(model(clock, lambda n: 300.0 if n == 0 else 0.05), clock, 2.0, silent(clock))
    assert found.steady
    assert pytest.approx(0.05) == found.execution_s


@given(st.floats(1e-7, 10.0), st.floats(1e-9, 1e-2))
def test_a_timed_value_spans_enough_steps_of_the_clock(execution_s: float, resolution_s: float) -> None:
    loops = loops_needed(execution_s, resolution_s)
    assert loops >= 1
    assert loops * execution_s >= READINGS * resolution_s * (1 - 1e-6)
    assert loops == 1 or (loops - 1) * execution_s < READINGS * resolution_s * (1 + 1e-6)


def test_a_clock_that_stands_still_has_the_finest_step() -> None:
    assert 1e-9 == timer_resolution_s(lambda: 5.0)


@given(st.floats(1e-4, 30.0), st.integers(1, 5), st.floats(0.01, 2.0), st.integers(1, 50))
def test_a_budget_is_kept(execution_s: float, loops: int, time_s: float, executions: int) -> None:
    clock = Clock()
    begin_s = clock()
    budget = Budget(time_s=time_s, executions=executions, longest_s=12 * time_s)
    samples = sampled_ms(model(clock, lambda _n: execution_s), loops, clock, budget, silent(clock))
    took_s, made = clock() - begin_s, len(samples) * loops
    assert made >= budget.fewest
    assert took_s >= min(time_s, budget.longest_s) * (1 - 1e-6)
    assert made >= executions or took_s >= budget.longest_s * (1 - 1e-6)
    assert took_s <= max(budget.longest_s, time_s) + (loops + budget.fewest) * execution_s * (1 + 1e-6)
    assert [pytest.approx(execution_s * 1e3)] * len(samples) == samples


def test_signs_of_life_are_given_between_executions_and_not_too_many() -> None:
    clock = Clock()
    beats: list[float] = []
    beat = Beat(clock, lambda: beats.append(clock()))
    sampled_ms(model(clock, lambda _n: 0.01), 1, clock, Budget(time_s=10.0, executions=1, longest_s=10.0), beat)
    assert 15 <= len(beats) <= 20


def test_the_collector_is_as_it_was_whatever_happens_inside() -> None:
    with pytest.raises(KeyError), no_collector():
        assert not gc.isenabled()
        raise KeyError
    assert gc.isenabled()
    gc.disable()
    try:
        with no_collector():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
