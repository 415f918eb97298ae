"""When does a free model instance take a batch? One rule per family of servers.

All rules see a first-in first-out queue and a model instance that is free; they differ in *when the timer of
max_queue_delay starts*:

============  ==============================================================================================
rule          the timer starts when
============  ==============================================================================================
NONE          (no timer: one request at a time, at once)
STATIC        (no timer: exactly max_batch_size items, however long that takes)
TEXTBOOK      the oldest waiting request was queued
COLLECT       the worker turns to the queue: it takes a first request, then waits (TorchServe, mosec)
WINDOW        fixed windows run on from the instant the worker went back to collecting (LitServe)
CARRY         as COLLECT, but leftovers start the next timer at once, during the execution (Ray Serve)
TRITON        see :mod:`simulator.policies.triton`: batches are formed ahead of the instances
============  ==============================================================================================

A batch that is full goes at once under every rule. What each server does was read from its source and checked
against traces of the real server; tests/fidelity replays them.
"""

from __future__ import annotations

from typing import Final

from numba.extending import register_jitable

NONE: Final = 0
STATIC: Final = 1
TEXTBOOK: Final = 2
COLLECT: Final = 3
WINDOW: Final = 4
CARRY: Final = 5
TRITON: Final = 6
RULES: Final = ("none", "static", "textbook", "collect", "window", "carry", "triton")
"""Names of the rule codes, by code."""

WAIT_FOR_MORE: Final = 1 << 62
"""A launch time that never comes by itself: only another request can complete the batch."""

UNSET: Final = -1
"""No timer was carried over from the last launch."""


@register_jitable
def launch_ns(
    rule: int,
    waiting_items: int,
    max_batch: int,
    delay_ns: int,
    oldest_ns: int,
    ready_ns: int,
    carried_ns: int,
) -> int:
    """When a free model instance takes a batch if nobody else arrives; a time in the past means now.

    Parameters
    ----------
    rule
        Code of the batching rule.
    waiting_items
        Items waiting, at least 1.
    max_batch, delay_ns
        ``max_batch_size`` and ``max_queue_delay``.
    oldest_ns
        When the oldest waiting request was queued.
    ready_ns
        When the worker that collects now turned to the queue: it became free, or its predecessor left with a batch.
    carried_ns
        When the last batch was launched if it left requests behind, else UNSET.
    """
    if rule == NONE or waiting_items >= max_batch:
        return 0
    if rule == STATIC:
        return WAIT_FOR_MORE
    if rule == TEXTBOOK:
        return oldest_ns + delay_ns
    first_taken_ns = max(oldest_ns, ready_ns)
    if rule == WINDOW:
        if delay_ns == 0:
            return first_taken_ns
        return first_taken_ns + delay_ns - (first_taken_ns - ready_ns) % delay_ns
    if rule == CARRY and carried_ns != UNSET:
        first_taken_ns = carried_ns
    return first_taken_ns + delay_ns


@register_jitable
def joins(batch_items: int, request_items: int, max_batch: int) -> bool:
    """Whether a request still fits into the batch being taken: its items travel together, and the first always goes.

    >>> joins(0, 20, 16), joins(12, 4, 16), joins(13, 4, 16)
    (True, True, False)
    """
    return batch_items == 0 or batch_items + request_items <= max_batch
