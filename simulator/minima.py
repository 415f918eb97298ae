"""Find the smallest of many changing numbers: a tree of minima, scanned while it is small.

A tree over n leaves occupies ``2 * width(n)`` places from its offset: leaf j at ``offset + width + j``, the minimum
of a pair at half its index. Up to SCAN leaves only the leaves are kept and scanned, which is faster.
"""

from __future__ import annotations

from simulator.kernels import inlined, natural
from simulator.log import Int64s
from simulator.state import SCAN


def width(leaves: int) -> int:
    """Leaves rounded up to a power of two, at least 1.

    >>> width(1), width(5), width(8)
    (1, 8, 8)
    """
    return 1 << max(leaves - 1, 0).bit_length()


@inlined
def smallest(tree: Int64s, offset: int, half: int, leaves: int) -> int:
    """Index of the smallest leaf, the first among equals."""
    if leaves <= SCAN:
        # Without branches: which leaf is smallest is what a processor cannot predict.
        base = offset + half
        best = 0
        value = tree[natural(base)]
        for leaf in range(1, leaves):
            other = tree[natural(base + leaf)]
            less = other < value
            value = other if less else value
            best = leaf if less else best
        return best
    node = 1
    while node < half:
        node = 2 * node
        if tree[natural(offset + node + 1)] < tree[natural(offset + node)]:
            node += 1
    return node - half


@inlined
def put(tree: Int64s, offset: int, half: int, leaves: int, leaf: int, value: int) -> None:
    """Set a leaf and mend the minima above it."""
    node = half + leaf
    tree[natural(offset + node)] = value
    if leaves <= SCAN:
        return
    while node > 1:
        node >>= 1
        below = offset + 2 * node
        least = min(tree[natural(below)], tree[natural(below + 1)])
        if tree[natural(offset + node)] == least:
            return
        tree[natural(offset + node)] = least
