"""Triton's dynamic batcher: batches are formed ahead of the model instances, by a thread that wakes lazily.

Facts, from the source of Triton's core (``dynamic_batch_scheduler.cc``, ``instance_queue.cc``, ``rate_limiter.cc``,
release 2.51) and checked against traces of the real server:

1. The batcher thread *looks* at the queue when it is woken: it examines the requests that are not in a formed batch,
   oldest first, and forms a batch when a preferred size is reached, when no further request fits, or when the
   oldest of them has waited ``max_queue_delay`` - **even while every model instance is busy**.
2. Formed batches wait, first in first out, in a second queue of at most ``2 x model_instances``; while that is full
   nothing is formed and nothing grows. With a bounded queue or a request timeout there is no forming ahead: a batch is
   formed only when a model instance is idle.
3. The newest formed batch may grow until it is full or taken. But an arrival wakes the batcher only if that batch is
   closed or taken, or as many items are queued as the batcher last hoped for (:func:`next_preferred`). So under load
   the first arrival after a batch was formed joins it, and later ones wait for a whole fill; after a batch that was
   formed because its delay ran out, the first one waits for a whole fill too.
4. A model instance that takes a formed batch also swallows the batches behind it whose oldest request has waited
   longer than ``max_queue_delay``, as long as they fit; one that does not fit can no longer grow.
5. When nothing wakes it the batcher looks again after POLL_NS.

With ``max_queue_delay`` 0 and no preferred sizes all of this is the textbook rule, request by request.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
from numba.extending import register_jitable

POLL_NS: Final = 500_000_000
"""The batcher's longest sleep while requests are queued."""

FRESH: Final = 0
"""The batcher holds no batch that requests could still join."""
OPEN: Final = 1
"""The newest formed batch waits for a model instance and may grow."""
STALE: Final = 2
"""The newest batch was taken, merged or frozen; the next look starts a fresh one."""

NOTHING: Final = 0
"""Verdict of a look: no request moves (the open batch is closed, look again)."""
FORM: Final = 1
"""Verdict of a look: move requests into the batch."""
SLEEP: Final = 2
"""Verdict of a look: wait for more requests or for the delay."""


KEEP: Final = -1
"""No new hope: the batcher keeps the number of queued items it last hoped for."""


class Glance(NamedTuple):
    """What the batcher has counted so far, walking along the queue."""

    pending_items: int
    """Items of the requests examined that would join."""
    pending: int
    """How many requests that is."""
    best_items: int
    """Items at the last preferred size passed, 0 if none."""
    best: int
    """How many requests that is."""
    overflow: bool
    """The next request would exceed the largest preferred size: the batch will be closed."""
    full: bool
    """The next request does not fit into max_batch_size: stop walking."""


@register_jitable
def is_preferred(items: int, preferred: npt.NDArray[np.int64]) -> bool:
    """Whether ``items`` is one of the preferred batch sizes (increasing)."""
    for size in preferred:  # noqa: SIM110 - a generator expression does not compile
        if size == items:
            return True
    return False


@register_jitable
def examine(glance: Glance, batch_items: int, items: int, max_batch: int, preferred: npt.NDArray[np.int64]) -> Glance:
    """Walk one request further along the queue.

    ``batch_items`` are in the open batch already (0 when fresh), ``items`` belong to the request examined.
    """
    pending_items, pending, best_items, best, overflow, full = glance
    total = batch_items + pending_items + items
    if batch_items + pending > 0:
        if total > preferred[-1] and best_items == 0:
            best_items = pending_items
            best = pending
            overflow = True
        if total > max_batch:
            return Glance(pending_items, pending, best_items, best, overflow, True)
    pending_items += items
    pending += 1
    if is_preferred(total, preferred):
        best_items = pending_items
        best = pending
    return Glance(pending_items, pending, best_items, best, overflow, full)


@register_jitable
def next_preferred(batch_items: int, pending_items: int, preferred: npt.NDArray[np.int64]) -> int:
    """How many queued items the batcher hopes for before an arrival is worth waking it."""
    for size in preferred:
        if size > batch_items + pending_items:
            return int(size) - batch_items
    return int(preferred[0]) - batch_items


@register_jitable
def verdict(
    glance: Glance,
    batch_items: int,
    waited_ns: int,
    delay_ns: int,
    preferred: npt.NDArray[np.int64],
) -> tuple[int, int, bool, int]:
    """What the batcher does after its walk.

    ``waited_ns`` is how long the oldest request that is in no batch has been queued.

    Returns
    -------
    action, requests, closes, hoped
        NOTHING, FORM or SLEEP; how many requests move into the batch; whether the batch can grow no further; the
        number of queued items worth waking for, or KEEP.
    """
    overdue = delay_ns != 0 and waited_ns >= delay_ns
    if glance.best_items != 0 and not overdue:
        return FORM, glance.best, glance.overflow or delay_ns == 0, KEEP
    if glance.pending == 0:
        return NOTHING, 0, glance.overflow, KEEP
    if glance.full or batch_items + glance.pending_items >= preferred[-1]:
        return FORM, glance.pending, True, KEEP
    if overdue or delay_ns == 0:
        return FORM, glance.pending, glance.overflow, KEEP
    hoped = next_preferred(batch_items, glance.pending_items, preferred)
    if batch_items != 0 and not glance.overflow and not is_preferred(batch_items, preferred):
        return FORM, glance.pending, False, hoped
    return SLEEP, 0, glance.overflow, hoped


@register_jitable
def wakes(state: int, queued_items: int, hoped_items: int) -> bool:
    """Whether an arrival wakes the batcher; ``queued_items`` are in no batch, the new request included."""
    return state == STALE or queued_items >= hoped_items


@register_jitable
def hope_left(state: int, hoped_items: int) -> int:
    """What the batcher hopes for once the queue is empty: nothing, unless a batch waits to be filled.

    Without a batch the queue was emptied by timeouts, and the next request must find the batcher awake.
    """
    return 0 if state == FRESH else hoped_items


@register_jitable
def end_wakes(forms_ahead: bool, blocked: bool, queued: int) -> bool:
    """Whether a model instance that becomes idle and finds no formed batch wakes the batcher.

    It does if the batcher waits for it. Where nothing is formed ahead it also does for requests that came while every
    model instance was busy. (Release 2.51 sleeps on there, for up to POLL_NS beside an idle model instance; later
    releases do not, and neither should a plan rest on it.)
    """
    return blocked or (not forms_ahead and queued > 0)


@register_jitable
def may_form(forms_ahead: bool, formed: int, idle: int, model_instances: int) -> bool:
    """Whether there is room for one more formed batch."""
    if forms_ahead:
        return formed < 2 * model_instances
    return idle > 0


@register_jitable
def merge_due(oldest_ns: int, now_ns: int, delay_ns: int) -> bool:
    """Whether the next formed batch has waited so long that the instance tries to swallow it too."""
    return delay_ns > 0 and now_ns - oldest_ns > delay_ns


@register_jitable
def next_poll_ns(looked_ns: int, now_ns: int) -> int:
    """The batcher's next look of its own accord after ``now_ns``, if it last looked at ``looked_ns``."""
    return looked_ns + ((now_ns - looked_ns) // POLL_NS + 1) * POLL_NS
