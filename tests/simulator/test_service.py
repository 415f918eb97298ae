"""Work and time of an execution, to the nanosecond: against exact fractions."""

from __future__ import annotations

from fractions import Fraction
from math import ceil, floor

import numba
from hypothesis import given
from hypothesis import strategies as st

from simulator.policies.service import PPM, duration, work_left

DAYS_100_NS = 100 * 86_400 * 10**9

works = st.integers(0, 10**6) | st.integers(0, DAYS_100_NS)
slowdowns = st.integers(PPM, 8 * PPM)


@given(works, slowdowns)
def test_duration_is_rounded_up(work_ns: int, slow_ppm: int) -> None:
    """An execution that ended before its work was done would be faster than the accelerator."""
    assert ceil(Fraction(work_ns * slow_ppm, PPM)) == duration(work_ns, slow_ppm)


@given(works, works, slowdowns)
def test_work_done_is_rounded_down(work_ns: int, elapsed_ns: int, slow_ppm: int) -> None:
    """Nor may a change of speed on the way give away work."""
    assert max(work_ns - floor(Fraction(elapsed_ns * PPM, slow_ppm)), 0) == work_left(work_ns, elapsed_ns, slow_ppm)


@given(works, slowdowns)
def test_after_its_duration_nothing_is_left(work_ns: int, slow_ppm: int) -> None:
    """The engine ends an execution when its duration is over, without looking."""
    assert 0 == work_left(work_ns, duration(work_ns, slow_ppm), slow_ppm)
    if work_ns > 0:
        assert work_left(work_ns, duration(work_ns, slow_ppm) - 1, slow_ppm) > 0


def test_the_largest_amounts_do_not_overflow() -> None:
    """In 64 bits work x slow-down overflows after an hour; the compiled form must be as exact as the fractions."""
    compiled_duration, compiled_left = numba.njit(duration), numba.njit(work_left)
    for work_ns in (3_600 * 10**9, DAYS_100_NS):
        for slow_ppm in (PPM, 7 * PPM + 1, 1_000 * PPM):
            assert ceil(Fraction(work_ns * slow_ppm, PPM)) == compiled_duration(work_ns, slow_ppm)
            left_ns = work_ns - floor(Fraction(work_ns * PPM, slow_ppm))
            assert left_ns == compiled_left(work_ns, work_ns, slow_ppm)
