"""Which instance of the fleet receives this request?

================== ======== ===================================================================================
router             code     sends to
================== ======== ===================================================================================
round_robin        SCHEDULE each instance in turn
weighted           SCHEDULE each instance in proportion to its weight, spread evenly (smooth weighted round robin)
random             RANDOM   any instance, equally likely
least_outstanding  LEAST    the instance with the fewest requests sent and not yet executed; among equals the one
                            chosen longest ago, as HAProxy's leastconn does
power_of_two       TWO      the less loaded of two drawn at random (Mitzenmacher 2001)
least_work         WORK     the instance expected to be done first: the router books each request's expected work
                            on its instance's account and picks the account that runs out first
================== ======== ===================================================================================

LEAST and WORK are "smallest key first": this module defines the keys, the engines only search for the minimum.
"""

from __future__ import annotations

from typing import Final

from numba.extending import register_jitable

SCHEDULE: Final = 0
RANDOM: Final = 1
LEAST: Final = 2
TWO: Final = 3
WORK: Final = 4

PICK_BITS: Final = 40
"""Low bits of a LEAST key: the number of the request that chose the instance last, enough for 1e12 requests."""

COIN_BITS: Final = 31
"""A coin holds two draws of this many bits."""


@register_jitable
def outstanding_key(outstanding: int, last_pick: int) -> int:
    """Key of an instance under LEAST: fewer outstanding first, then the one chosen longest ago."""
    return (outstanding << PICK_BITS) | last_pick


@register_jitable
def outstanding_of(key: int) -> int:
    """Outstanding requests in a LEAST key.

    >>> outstanding_of(outstanding_key(7, 123))
    7
    """
    return key >> PICK_BITS


@register_jitable
def picked(key: int, pick: int) -> int:
    """LEAST key of an instance that receives request number ``pick``: one more outstanding, chosen just now."""
    return outstanding_key(outstanding_of(key) + 1, pick)


@register_jitable
def finished(key: int, requests: int) -> int:
    """LEAST key of an instance after ``requests`` of its requests left."""
    return key - (requests << PICK_BITS)


@register_jitable
def booked(key_ns: int, now_ns: int, items: int, item_work_ns: int) -> int:
    """WORK key after booking a request: the account's end, from now at the earliest, plus the expected work."""
    return max(key_ns, now_ns) + items * item_work_ns


@register_jitable
def drawn(coin: int, instances: int) -> int:
    """The instance that a coin names, 0 <= result < instances; the bias is below instances / 2^31."""
    return (coin & ((1 << COIN_BITS) - 1)) % instances


@register_jitable
def drawn_other(coin: int, instances: int) -> int:
    """A second, different instance from the coin's other half; the same one only if there is no other."""
    if instances == 1:
        return 0
    first = drawn(coin, instances)
    return (first + 1 + (coin >> COIN_BITS) % (instances - 1)) % instances


@register_jitable
def less_loaded(first: int, outstanding_first: int, second: int, outstanding_second: int) -> int:
    """The less loaded of two; the first drawn among equals."""
    return second if outstanding_second < outstanding_first else first
