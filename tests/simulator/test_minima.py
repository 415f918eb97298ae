"""The tree of minima finds what a plain search finds, and the heap of clients gives them in order."""

from __future__ import annotations

import heapq

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator import clients, minima
from simulator.clock import NEVER
from simulator.state import SCAN


@pytest.mark.parametrize("leaves", [1, 2, 31, SCAN, SCAN + 1, 63, 64, 65, 200])
def test_the_first_of_the_smallest_is_found_whatever_changes(leaves: int) -> None:
    """A wrong instance acts next otherwise; below and above the size from which the tree is used, with many ties."""
    generator = np.random.default_rng(leaves)
    offset, half = 7, minima.width(leaves)
    tree = np.full(offset + 2 * half + 3, NEVER, dtype=np.int64)
    plain = np.full(leaves, NEVER, dtype=np.int64)
    for _ in range(300):
        leaf, value = int(generator.integers(leaves)), int(generator.choice([NEVER, 0, 1, 2, 3]))
        plain[leaf] = value
        minima.put(tree, offset, half, leaves, leaf, value)
        assert int(np.argmin(plain)) == minima.smallest(tree, offset, half, leaves)
    assert (tree[:offset] == NEVER).all()
    assert (tree[offset + half + leaves :] == NEVER).all(), "a neighbour's tree was written into"


@given(st.lists(st.none() | st.tuples(st.integers(0, 3), st.integers(0, 9)), max_size=60))
def test_clients_send_in_order_of_time_and_number(steps: list[tuple[int, int] | None]) -> None:
    """Clients of a closed loop that swapped places would swap their draws; None lets the next one send."""
    first, size = 2, 0
    at_ns, who = np.zeros(64, dtype=np.int64), np.zeros(64, dtype=np.int32)
    expected: list[tuple[int, int]] = []
    for step in steps:
        if step is None and expected:
            assert heapq.heappop(expected) == (at_ns[first], who[first])
            clients.pop(at_ns, who, first, size)
            size -= 1
        elif step is not None:
            heapq.heappush(expected, step)
            clients.push(at_ns, who, first, size, *step)
            size += 1
    while expected:
        assert heapq.heappop(expected) == (at_ns[first], who[first])
        clients.pop(at_ns, who, first, size)
        size -= 1
    assert (at_ns[:first] == 0).all(), "another workload's clients were touched"
