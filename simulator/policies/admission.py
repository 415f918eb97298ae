"""May this request join the queue?"""

from __future__ import annotations

from numba.extending import register_jitable


@register_jitable
def admits(waiting: int, max_queue: int) -> bool:
    """Whether an instance with ``waiting`` queued requests takes one more; it holds at most ``max_queue``.

    >>> admits(3, 4), admits(4, 4)
    (True, False)
    """
    return waiting < max_queue
