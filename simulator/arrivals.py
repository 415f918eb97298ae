"""Arrival processes: when does each request of a workload come?

Every process but ``closed_loop`` (whose requests follow from the answers, so the engine makes them) is a stream
of int64 nanoseconds, drawn ahead of the run and handed out in windows. Whoever adds a process writes a function
``(spec, setting) -> blocks of ascending times`` and one line in ``ARRIVALS``.

One idea carries the random processes: gaps are drawn at a rate of one request per *operational* second, and the
operational clock is bent to the rate wanted (:mod:`simulator.operational_time`), constant for poisson and gamma,
piecewise constant for mmpp and rate_series. So the same seed gives the same pattern at every rate, only faster:
common random numbers when a rate is changed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import count
from typing import Any, Final, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from calibration.problems import InputError, Problem
from simulator.clock import LATEST_NS, NS_PER_S, s_from_ns
from simulator.expected_rates import end_of_traffic_ns, mean_rate_rps, peak_rate_rps
from simulator.operational_time import BLOCK, STRETCHES, Stretches, bend, operational_ticks
from simulator.rate_series import RateSeries
from simulator.recorded import read_series, read_trace_ns

__all__ = [
    "ARRIVALS",
    "ArrivalSpec",
    "ArrivalStream",
    "Setting",
    "ThinkTimes",
    "end_of_traffic_ns",
    "mean_rate_rps",
    "open_stream",
    "peak_rate_rps",
    "read_series",
    "read_trace_ns",
]

Int64s = npt.NDArray[np.int64]
Float64s = npt.NDArray[np.float64]
Blocks = Iterator[Int64s]

HIGHEST_RATE_RPS: Final = 1e12
"""A thousand requests a nanosecond: beyond it the clock has no time for them."""


class ArrivalSpec(Protocol):
    """What the scenario says of a workload's arrivals; each process reads keys of its own beside this one."""

    @property
    def process(self) -> str:
        """Name of the process, a key of ARRIVALS or ``closed_loop``."""


class Setting(NamedTuple):
    """What a process may use beside its own keys."""

    seeds: np.random.SeedSequence
    horizon_ns: int
    trace: Int64s | None
    series: RateSeries | None
    problem_at: Callable[[str, str, str | None, str], Problem]
    """``(key, rule, value, remedy)``: a problem at a key of the arrivals."""

    def generator(self, purpose: int) -> np.random.Generator:
        """Random numbers for one purpose; the same ones whenever the stream is opened again."""
        parent = self.seeds
        child = np.random.SeedSequence(parent.entropy, spawn_key=(*parent.spawn_key, purpose))
        return np.random.Generator(np.random.PCG64DXSM(child))


GAPS: Final = 0
"""Purpose of the draws that make gaps between requests."""
STATES: Final = 1
"""Purpose of the draws that decide where a process stands: sojourns of a state, the age of the first gap."""


class ArrivalStream:
    """The arrivals of one workload, in order, each handed out once."""

    def __init__(self, blocks: Blocks, horizon_ns: int) -> None:
        self._blocks = blocks
        self._horizon_ns = horizon_ns
        self._pending: Int64s = np.empty(0, dtype=np.int64)

    def take(self, until_ns: int) -> Int64s:
        """Which requests come next, before ``until_ns`` and the horizon?

        Parameters
        ----------
        until_ns
            End of the window, itself outside.

        Returns
        -------
        (n,) int64
            Arrival times in ns, never falling. However the windows are cut, together they are the same times.
        """
        limit = min(until_ns, self._horizon_ns)
        taken: list[Int64s] = []
        while True:
            n = int(np.searchsorted(self._pending, limit))
            taken.append(self._pending[:n])
            self._pending = self._pending[n:]
            if len(self._pending):
                break
            block = next(self._blocks, None)
            if block is None:
                break
            self._pending = block
        return taken[0] if len(taken) == 1 else np.concatenate(taken)


def open_stream(
    spec: ArrivalSpec,
    seeds: np.random.SeedSequence,
    horizon_ns: int,
    *,
    trace: Int64s | None = None,
    series: RateSeries | None = None,
    problem_at: Callable[[str, str, str | None, str], Problem] | None = None,
) -> ArrivalStream:
    """When do the requests of this workload come, in a run of this seed?

    Parameters
    ----------
    spec
        The scenario's arrivals.
    seeds
        Seeds of this workload's arrivals; the same seeds give the same stream.
    horizon_ns
        No request comes at or after it. A longer horizon only adds requests.
    trace : (n,) int64, optional
        Times of a ``trace`` already read; else its file is read now.
    series : optional
        Intervals of a ``rate_series`` already read; else they are read now.
    problem_at
        ``(key, rule, value, remedy) -> Problem`` at a key of the arrivals, to name the place in the scenario.

    Raises
    ------
    InputError
        A file cannot be used, a rate series ends before the horizon, all rates are 0, or a rate is absurd.
    ValueError
        The process has no stream (``closed_loop``) or is unknown.
    """
    if spec.process not in ARRIVALS:
        raise ValueError(f"process must be one of {', '.join(ARRIVALS)} to have a stream, got {spec.process!r}.")
    setting = Setting(seeds, horizon_ns, trace, series, problem_at or _problem_somewhere)
    return ArrivalStream(ARRIVALS[spec.process](spec, setting), horizon_ns)


def _problem_somewhere(key: str, rule: str, value: str | None, remedy: str) -> Problem:
    return Problem("<scenario>", None, None, f"arrivals.{key}", rule, value, remedy)


def poisson(spec: Any, setting: Setting) -> Blocks:
    """Independent requests at a constant ``rate``."""
    _check_rates([spec.rate], "rate", setting)
    gaps = setting.generator(GAPS)
    return bend(operational_ticks(gaps.standard_exponential), _constant(spec.rate), setting.horizon_ns)


def deterministic(spec: Any, setting: Setting) -> Blocks:
    """One request every 1/``rate`` seconds, the first after 1/``rate`` (nothing has been sent at time 0).

    The i-th comes at the nanosecond nearest to i/rate, of the rate as it is written: rounding never adds up.
    """
    _check_rates([spec.rate], "rate", setting)
    return _evenly(NS_PER_S / Fraction(str(spec.rate))) if spec.rate else iter(())


def _evenly(gap_ns: Fraction) -> Blocks:
    whole_ns, rest_ns = divmod(gap_ns, 1)
    for first in count(1, BLOCK):
        start_ns = first * gap_ns
        fit = min(BLOCK, math.floor((LATEST_NS - start_ns) / gap_ns) + 1)
        if fit <= 0:
            return
        step = np.arange(fit, dtype=np.int64)
        fraction_ns = float(start_ns % 1) + step * float(rest_ns)
        yield math.floor(start_ns) + step * whole_ns + np.floor(fraction_ns + 0.5).astype(np.int64)


def gamma(spec: Any, setting: Setting) -> Blocks:
    """Renewal process whose gaps are gamma with mean 1/``rate`` and coefficient of variation ``cv``.

    It is under way at time 0, as if it had always been: the first gap is what is left of one that covers time 0
    (a uniform part of a gap drawn with a weight of its length), so that ``rate`` holds from the first second.
    See Cox 1962, Renewal Theory, on the equilibrium renewal process.
    """
    if spec.cv == 0:
        return deterministic(spec, setting)
    _check_rates([spec.rate], "rate", setting)
    variance = spec.cv**2
    shape = 1.0 / variance
    # Gaps of mean 1 in operational time, but of mean 1/variance where that is less: few gaps are then huge.
    scale = min(variance, 1.0)
    gaps = setting.generator(GAPS)
    states = setting.generator(STATES)
    first = states.random() * states.standard_gamma(shape + 1.0) * scale

    def draw(n: int) -> Float64s:
        drawn = gaps.standard_gamma(shape, n)
        drawn *= scale
        return drawn

    return bend(operational_ticks(draw, first), _constant(spec.rate * scale / variance), setting.horizon_ns)


def mmpp(spec: Any, setting: Setting) -> Blocks:
    """Poisson at ``rates[s]`` while in state s; states follow one another in a ring, for exponential times.

    The state at time 0 is drawn by the share of time that each takes, so that the process is stationary.
    See Fischer and Meier-Hellstern 1993, The Markov-modulated Poisson process (MMPP) cookbook.
    """
    _check_rates(spec.rates, "rates", setting)
    gaps = setting.generator(GAPS)
    return bend(operational_ticks(gaps.standard_exponential), _sojourns(spec, setting), setting.horizon_ns)


def rate_series(spec: Any, setting: Setting) -> Blocks:
    """Poisson at a constant rate inside each interval, as many as the series expects there."""
    series = setting.series or read_series(spec)
    _check_rates((series.requests / series.interval_ns * NS_PER_S).tolist(), "requests", setting)
    if series.length_ns < setting.horizon_ns and not spec.repeat:
        lasts, needed = (f"{s_from_ns(ns):g}s" for ns in (series.length_ns, setting.horizon_ns))
        key = "file" if getattr(spec, "file", None) is not None else "requests"
        remedy = f"Shorten the horizon to {lasts}, or set repeat: true."
        raise InputError([setting.problem_at(key, f"must last until the horizon ({needed})", lasts, remedy)])
    gaps = setting.generator(GAPS)
    return bend(operational_ticks(gaps.standard_exponential), _intervals(series, spec.repeat), setting.horizon_ns)


def trace(spec: Any, setting: Setting) -> Blocks:
    """Replay recorded times."""
    return iter([read_trace_ns(spec) if setting.trace is None else setting.trace])


ARRIVALS: Final[dict[str, Callable[[Any, Setting], Blocks]]] = {
    "poisson": poisson,
    "deterministic": deterministic,
    "gamma": gamma,
    "mmpp": mmpp,
    "rate_series": rate_series,
    "trace": trace,
}
"""The processes that have a stream, by the name that ``process:`` gives them."""


class ThinkTimes:
    """How long a closed loop's clients think between an answer and their next request."""

    def __init__(self, spec: Any, seeds: np.random.SeedSequence) -> None:
        self._mean_ns: int = spec.think_time_ns
        self._exponential: bool = spec.think_time_distribution == "exponential"
        self._draws = np.random.Generator(np.random.PCG64DXSM(seeds))

    def take(self, n: int) -> Int64s:
        """Give the next ``n`` think times in ns; how many are taken at once changes nothing."""
        if not self._exponential:
            return np.full(n, self._mean_ns, dtype=np.int64)
        return np.rint(self._draws.standard_exponential(n) * self._mean_ns).astype(np.int64)


def _constant(rate_rps: float) -> Iterator[Stretches]:
    yield Stretches(np.array([0]), np.array([LATEST_NS]), np.array([rate_rps], dtype=np.float64))


def _intervals(series: RateSeries, repeat: bool) -> Iterator[Stretches]:
    """Lay out the intervals of a rate series, again and again if it repeats."""
    rate_rps = series.requests / series.interval_ns * NS_PER_S
    in_time = LATEST_NS // series.interval_ns
    last = in_time if repeat else min(in_time, len(rate_rps))
    for first in range(0, last, STRETCHES):
        nth = np.arange(first, min(first + STRETCHES, last), dtype=np.int64)
        yield Stretches(nth * series.interval_ns, np.full(len(nth), series.interval_ns), rate_rps[nth % len(rate_rps)])


def _sojourns(spec: Any, setting: Setting) -> Iterator[Stretches]:
    """Draw which state rules when, for an MMPP."""
    draws = setting.generator(STATES)
    rate_rps = np.array(spec.rates, dtype=np.float64)
    mean_ns = np.array(spec.mean_durations_ns, dtype=np.float64)
    share = np.cumsum(mean_ns) / mean_ns.sum()
    state = min(int(np.searchsorted(share, draws.random(), side="right")), len(share) - 1)
    now_ns = 0
    while now_ns < LATEST_NS:
        states = (state + np.arange(STRETCHES)) % len(rate_rps)
        until_ns = np.cumsum(np.rint(draws.standard_exponential(STRETCHES) * mean_ns[states]))
        ends_ns = now_ns + np.minimum(until_ns, LATEST_NS - now_ns).astype(np.int64)
        starts_ns = np.concatenate(([now_ns], ends_ns[:-1]))
        yield Stretches(starts_ns, ends_ns - starts_ns, rate_rps[states])
        now_ns = int(ends_ns[-1])
        state = (state + STRETCHES) % len(rate_rps)


def _check_rates(rates_rps: list[float], key: str, setting: Setting) -> None:
    """Refuse rates that the clock cannot hold, and those that never bring a request."""
    highest = max(rates_rps)
    if highest > HIGHEST_RATE_RPS:
        rule = f"must be at most {HIGHEST_RATE_RPS:g} requests per second"
        raise InputError([setting.problem_at(key, rule, f"{highest:g}", "Check the unit of the rate.")])
    if len(rates_rps) > 1 and highest <= 0:
        raise InputError([setting.problem_at(key, "must not all be 0", None, "Give some state or interval requests.")])
