"""Execute again and again and take the time: warm up until steady, then sample, without fooling oneself.

Nothing here knows a framework: what is timed is a function, and the clock is an argument. The order is that of pyperf:
warm up until the times have settled, calibrate how many executions one reading of the clock must span, then sample.
"""

from __future__ import annotations

import gc
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

Clock = Callable[[], float]
"""Seconds since some moment, such as :func:`time.perf_counter`."""

READINGS: Final = 1_000
"""One timed value spans at least so many steps of the clock, so that a step is at most 0.1 % of it."""

STEADY: Final = 0.02
"""Two windows are alike when their medians differ by no more than this share."""

WINDOW_S: Final = 0.1
"""A window of the warm-up lasts at least so long,"""
WINDOW_EXECUTIONS: Final = 3
"""and holds at least so many executions."""

BEAT_S: Final = 0.5
"""Between two signs of life while executions follow one another."""

_FINEST_S: Final = 1e-9
_SHORTEST_S: Final = 1e-7


@dataclass(frozen=True)
class WarmUp:
    """How the first executions went."""

    first_s: float
    """The very first execution: it may compile, allocate, load libraries."""
    executions: int
    """All of them."""
    seconds: float
    """And how long they took together."""
    steady: bool
    """Whether the last two windows were alike within STEADY."""
    execution_s: float
    """Median of the last window."""


@dataclass(frozen=True)
class Budget:
    """How long to sample."""

    time_s: float
    """At least so long,"""
    executions: int
    """and at least so many executions,"""
    longest_s: float
    """but no longer than this,"""
    fewest: int = 2
    """although so many are always made."""

    def is_spent(self, seconds: float, executions: int) -> bool:
        """Whether to stop after so many seconds and executions.

        >>> Budget(time_s=1, executions=20, longest_s=6).is_spent(1.5, 12)
        False
        """
        if executions < self.fewest:
            return False
        return seconds >= self.longest_s or (seconds >= self.time_s and executions >= self.executions)


class Beat:
    """Says now and then that executions go on, so that a hang can be told from a long run."""

    def __init__(self, clock: Clock, beat: Callable[[], None]) -> None:
        self._clock = clock
        self._beat = beat
        self._last_s = clock()

    def at(self, now_s: float) -> None:
        """Say it when the last time was more than BEAT_S ago."""
        if now_s - self._last_s >= BEAT_S:
            self._beat()
            self._last_s = self._clock()


def timer_resolution_s(clock: Clock) -> float:
    """What is the smallest step that this clock shows, in seconds? 1 ns when it shows none.

    >>> ticks = iter(range(10_000))
    >>> timer_resolution_s(lambda: next(ticks) // 3 * 0.5)
    0.5
    """
    smallest = math.inf
    for _ in range(200):
        before = clock()
        for _ in range(20):
            after = clock()
            if after > before:
                smallest = min(smallest, after - before)
                break
    return smallest if math.isfinite(smallest) else _FINEST_S


def loops_needed(execution_s: float, resolution_s: float) -> int:
    """How many executions must one reading of the clock span, so that its steps do not show?

    >>> loops_needed(0.005, 1e-7), loops_needed(20e-6, 1e-7)
    (1, 5)
    """
    span_s = READINGS * resolution_s
    return 1 if execution_s >= span_s else math.ceil(span_s / max(execution_s, _SHORTEST_S) - 1e-9)


def warm_up(run: Callable[[], None], clock: Clock, longest_s: float, beat: Beat) -> WarmUp:
    """Execute until the times have settled: two windows in a row whose medians differ by less than STEADY.

    The first execution stands apart: it may compile for minutes. When ``longest_s`` has passed after it, the execution
    under way is the last.
    """
    began_s = clock()
    run()
    ready_s = clock()
    first_s = ready_s - began_s
    beat.at(ready_s)
    executions, before, typical_s = 1, None, first_s
    while clock() - ready_s < longest_s:
        window = _window(run, clock, beat, until_s=ready_s + longest_s)
        executions += len(window)
        typical_s = _median(window)
        if before is not None and abs(typical_s - before) <= STEADY * before:
            return WarmUp(first_s, executions, clock() - began_s, steady=True, execution_s=typical_s)
        before = typical_s
    return WarmUp(first_s, executions, clock() - began_s, steady=False, execution_s=typical_s)


def sampled_ms(run: Callable[[], None], loops: int, clock: Clock, budget: Budget, beat: Beat) -> list[float]:
    """Time executions until the budget is spent.

    Returns
    -------
    list of float
        Time of one execution in ms, in the order measured: of single executions when ``loops`` is 1, else means of
        ``loops`` executions.
    """
    samples: list[float] = []
    began_s = clock()
    executions = 0
    each = range(loops)
    while True:
        start_s = clock()
        for _ in each:
            run()
        end_s = clock()
        samples.append((end_s - start_s) * 1e3 / loops)
        executions += loops
        if budget.is_spent(end_s - began_s, executions):
            return samples
        beat.at(end_s)


@contextmanager
def no_collector() -> Iterator[None]:
    """Python's garbage collector rests inside: its pauses are not the model's."""
    was_on = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _window(run: Callable[[], None], clock: Clock, beat: Beat, until_s: float) -> list[float]:
    times: list[float] = []
    began_s = clock()
    while True:
        start_s = clock()
        run()
        end_s = clock()
        times.append(end_s - start_s)
        beat.at(end_s)
        if end_s >= until_s or (end_s - began_s >= WINDOW_S and len(times) >= WINDOW_EXECUTIONS):
            return times


def _median(values: list[float]) -> float:
    ordered = sorted(values)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2
