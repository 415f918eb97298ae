"""Searching the highest load that holds: what is returned has been tried, is near the crossing, and costs few tries."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimizer.bisection import highest


def queue(crossing: float, slope: float = 1.0, floor: float = -3.0) -> tuple[list[float], object]:
    """Loads asked, and the excess of a queue whose latency meets its target up to ``crossing``."""
    asked: list[float] = []

    def excess(load: float) -> tuple[float, float]:
        asked.append(load)
        return max(slope * math.log((1 - crossing) / (1 - load)), floor), 0.0

    return asked, excess


@given(st.floats(0.01, 0.96), st.floats(0.02, 0.96), st.floats(0.2, 5.0))
def test_what_is_found_holds_and_is_near_the_crossing(crossing: float, guess: float, slope: float) -> None:
    asked, excess = queue(crossing, slope)
    found = highest(excess, guess, limit=0.97)  # type: ignore[arg-type]
    assert found.load in asked
    assert found.excess <= 0
    assert found.load <= crossing
    assert found.load >= crossing * (1 - 0.0075) or found.excess >= -0.005


@pytest.mark.parametrize("guess", [0.3, 0.6, 0.9])
def test_a_queue_that_grows_like_the_simplest_one_is_found_in_few_tries(guess: float) -> None:
    _, excess = queue(0.8)
    assert highest(excess, guess, limit=0.97).tries <= 4  # type: ignore[arg-type]


@given(st.floats(0.01, 0.96), st.floats(0.02, 0.96))
def test_a_cliff_is_found_by_halving(cliff: float, guess: float) -> None:
    """Beyond it there is no steady state, and no line to follow."""
    found = highest(lambda load: (-2.0 if load <= cliff else math.inf, 0.0), guess, limit=0.97, most_tries=60)
    assert cliff * (1 - 0.0075) <= found.load <= cliff


def test_what_holds_everywhere_ends_at_the_limit() -> None:
    found = highest(lambda _: (-1.0, 0.0), 0.5, limit=0.97)
    assert 0.97 == found.load


def test_what_holds_nowhere_is_zero_without_asking_below_the_lowest() -> None:
    asked: list[float] = []

    def excess(load: float) -> tuple[float, float]:
        asked.append(load)
        return 1.0, 0.0

    found = highest(excess, 0.5, limit=0.97, lowest=0.01)
    assert (0.0, -math.inf, len(asked)) == (found.load, found.excess, found.tries)
    assert 0.01 == min(asked)


def test_nothing_is_asked_twice_as_finely_as_it_is_known() -> None:
    """An excess within its grain of 0 ends the search: the next try would be about luck."""
    found = highest(lambda _: (-0.01, 0.02), 0.5, limit=0.97)
    assert (0.5, 1) == (found.load, found.tries)


def test_tries_are_bounded_and_what_held_is_returned() -> None:
    found = highest(
        lambda load: (-1.0 if load < 0.123456 else 1e-9, 0.0), 0.9, limit=0.97, tolerance=1e-9, most_tries=7
    )
    assert 7 == found.tries
    assert found.load < 0.123456
