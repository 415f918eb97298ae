"""The clients of closed loops: who sends next? A binary heap by (time, client), one stretch of the arrays each."""

from __future__ import annotations

from simulator.kernels import inlined, kernel
from simulator.log import Int32s, Int64s


@inlined
def sooner(client_ns: Int64s, client: Int32s, a: int, b: int) -> bool:
    """Whether place a is before place b: earlier, or at the same time with the lower client number."""
    return client_ns[a] < client_ns[b] or (client_ns[a] == client_ns[b] and client[a] < client[b])


@inlined
def swap(client_ns: Int64s, client: Int32s, a: int, b: int) -> None:
    """Exchange two places of the heap."""
    client_ns[a], client_ns[b] = client_ns[b], client_ns[a]
    client[a], client[b] = client[b], client[a]


@kernel
def push(client_ns: Int64s, client: Int32s, first: int, size: int, at_ns: int, who: int) -> None:
    """Add a client to the heap of ``size`` places from ``first``; the caller counts."""
    place = size
    client_ns[first + place] = at_ns
    client[first + place] = who
    while place > 0:
        parent = (place - 1) // 2
        if not sooner(client_ns, client, first + place, first + parent):
            return
        swap(client_ns, client, first + place, first + parent)
        place = parent


@kernel
def pop(client_ns: Int64s, client: Int32s, first: int, size: int) -> None:
    """Remove the foremost of ``size`` clients; the caller counts."""
    last = size - 1
    swap(client_ns, client, first, first + last)
    place = 0
    while True:
        child = 2 * place + 1
        if child >= last:
            return
        if child + 1 < last and sooner(client_ns, client, first + child + 1, first + child):
            child += 1
        if not sooner(client_ns, client, first + child, first + place):
            return
        swap(client_ns, client, first + place, first + child)
        place = child
