"""Bending a clock: requests drawn at a rate of one a second, moved to the times of any piecewise constant rate.

The *operational* clock runs through one second for every request expected. Its times are whole ticks of 2^-32 of
such a second; a tick's nanosecond depends on nothing but the stretch of constant rate it falls into, so neither
the windows in which arrivals are asked for nor the horizon can change it. Times follow by inversion of the
cumulative rate (Çinlar 1975, Introduction to Stochastic Processes, chapter 4).

Why not a cumulative sum of float gaps: it would depend on where the windows are cut, and after 1e8 gaps its last
digits are noise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from simulator.clock import NS_PER_HOUR, NS_PER_S

Int64s = npt.NDArray[np.int64]
Float64s = npt.NDArray[np.float64]

BLOCK: Final = 1 << 14
"""Gaps drawn at once; how many windows they are handed out in changes nothing."""

TICKS_PER_S: Final = 1 << 32
"""Operational ticks in an operational second, that is in one expected request of a Poisson process."""

STRETCHES: Final = 1 << 10
"""Stretches of constant rate that are laid out at once."""

LONGEST_STRETCH_NS: Final = 24 * NS_PER_HOUR
"""Longer stretches are cut: within a day a float64 still tells 0.03 ns apart."""

LARGEST_STRETCH_S: Final = 1 << 18
"""Operational seconds; larger stretches are cut, so that the ticks of a layout (2^60 at most) fit an int64."""


class Stretches(NamedTuple):
    """Successive stretches of time with a constant rate each. All of shape (n,)."""

    start_ns: Int64s
    length_ns: Int64s
    rate_rps: Float64s


def _cut(stretches: Iterator[Stretches], horizon_ns: int) -> Iterator[Stretches]:
    """Cut stretches to a size that can be computed with exactly, up to the horizon, a layout at a time.

    Where a stretch is cut depends on its rate and not on the horizon: a longer run starts like a shorter one.
    """
    for start_ns, length_ns, rate_rps in stretches:
        in_ns = LARGEST_STRETCH_S * NS_PER_S / np.maximum(rate_rps, 1e-6)
        step_ns = np.minimum(in_ns, LONGEST_STRETCH_NS).astype(np.int64)
        if len(start_ns) <= STRETCHES and (length_ns <= step_ns).all():
            if start_ns[0] >= horizon_ns:
                return
            yield Stretches(start_ns, length_ns, rate_rps)
            continue
        until = np.cumsum(-(-length_ns // step_ns))
        for first in range(0, int(until[-1]), STRETCHES):
            part = np.arange(first, min(first + STRETCHES, int(until[-1])))
            row = np.searchsorted(until, part, side="right")
            nth = part - np.where(row > 0, until[row - 1], 0)
            begin_ns = start_ns[row] + nth * step_ns[row]
            if begin_ns[0] >= horizon_ns:
                return
            left_ns = start_ns[row] + length_ns[row] - begin_ns
            yield Stretches(begin_ns, np.minimum(step_ns[row], left_ns), rate_rps[row])


def operational_ticks(
    draw: Callable[[int], Float64s], first_gap_s: float | None = None
) -> Iterator[tuple[int, Int64s]]:
    """When do requests come by the operational clock, without end?

    Parameters
    ----------
    draw
        Gives so many gaps in operational seconds, one per expected request; the array is written into.
    first_gap_s
        The first gap, where it is not drawn like the others.

    Yields
    ------
    before : int
        Ticks before the block.
    ticks : (BLOCK,) int64
        Ticks of each request since then, never falling.
    """
    before = 0
    while True:
        gap_s = draw(BLOCK)
        if first_gap_s is not None:
            gap_s[0] = first_gap_s
            first_gap_s = None
        gap_s *= TICKS_PER_S
        ticks = gap_s.astype(np.int64)
        np.cumsum(ticks, out=ticks)
        yield before, ticks
        before += int(ticks[-1])


def bend(blocks: Iterator[tuple[int, Int64s]], stretches: Iterator[Stretches], horizon_ns: int) -> Iterator[Int64s]:
    """When do those requests come by the clock of the run, if the rate is that of the stretches?

    A stretch of rate r and length L takes W = r*L operational seconds. The request at tick u, in the stretch that
    starts at tick U, comes at start + floor((u - U) * L / W), which is before the next stretch starts.

    Parameters
    ----------
    blocks
        As from :func:`operational_ticks`.
    stretches
        Successive blocks of stretches, without holes, from time 0.
    horizon_ns
        Nothing is computed for stretches that start there or later.

    Yields
    ------
    (n,) int64
        Arrival times in ns, never falling; n is at least 1.
    """
    before, ticks = next(blocks)
    done = 0
    origin = 0
    remainder = 0.0
    for start_ns, length_ns, rate_rps in _cut(stretches, horizon_ns):
        edge, remainder = _edges(rate_rps * length_ns * (TICKS_PER_S / NS_PER_S), remainder)
        ns_per_tick = length_ns / np.maximum(np.diff(edge), 1)
        here = 0
        while True:
            # Those of the block's requests that fall into stretches here, here + 1, ..., beyond - 1.
            offset = before - origin
            beyond = min(int(np.searchsorted(edge, ticks[-1] + offset, side="right")), len(length_ns))
            upto = np.searchsorted(ticks, edge[here : beyond + 1] - offset)
            upto[0] = done
            end = int(upto[-1])
            if end > done:
                alone = beyond == here + 1
                stretch = here if alone else np.repeat(np.arange(here, beyond), np.diff(upto))
                since = ticks[done:end] + (offset - edge[stretch])
                times = (since * ns_per_tick[stretch]).astype(np.int64)
                times += start_ns[stretch]
                yield times
            done = end
            if done < len(ticks):
                break
            here = beyond - 1
            before, ticks = next(blocks)
            done = 0
        origin += int(edge[-1])


def _edges(width_ticks: Float64s, remainder: float) -> tuple[Int64s, float]:
    """Ticks at which each stretch starts, and the last ends; what is left of a tick is carried on.

    Whole ticks are summed as integers: a float sum of 2^60 ticks would be off by hundreds.
    """
    whole = np.floor(width_ticks)
    parts = np.cumsum(width_ticks - whole) + remainder
    edge = np.zeros(len(width_ticks) + 1, dtype=np.int64)
    np.cumsum(whole.astype(np.int64), out=edge[1:])
    edge[1:] += np.floor(parts).astype(np.int64)
    return edge, float(parts[-1] % 1.0)
