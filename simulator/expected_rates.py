"""How much traffic is expected, before any of it is drawn: for sizes, and for warnings of overload."""

from __future__ import annotations

from typing import Any

import numpy as np

from simulator.clock import NS_PER_S, s_from_ns
from simulator.rate_series import RateSeries
from simulator.recorded import read_series, read_trace_ns
from simulator.time_text import Int64s


def mean_rate_rps(
    spec: Any, horizon_ns: int, trace: Int64s | None = None, series: RateSeries | None = None
) -> float | None:
    """How many requests per second are expected, over the whole run?

    Parameters
    ----------
    spec, trace, series
        As for :func:`simulator.arrivals.open_stream`.
    horizon_ns
        Length of the run, greater than 0.

    Returns
    -------
    float or None
        None for a closed loop, which sends as fast as it is answered.

    Notes
    -----
    The stationary rate of an MMPP is the mean of its rates, weighted by the mean durations of its states.
    """
    if spec.process == "closed_loop":
        return None
    if spec.process == "mmpp":
        return float(np.average(spec.rates, weights=spec.mean_durations_ns))
    if spec.process == "trace":
        times = read_trace_ns(spec) if trace is None else trace
        return int(np.searchsorted(times, horizon_ns)) / s_from_ns(horizon_ns)
    if spec.process == "rate_series":
        return _expected_requests(series or read_series(spec), horizon_ns, spec.repeat) / s_from_ns(horizon_ns)
    return float(spec.rate)


def peak_rate_rps(
    spec: Any, horizon_ns: int, trace: Int64s | None = None, series: RateSeries | None = None
) -> float | None:
    """How many requests per second are expected at the busiest time of the run?

    That is the busiest state of an MMPP, the busiest interval of a rate series, the busiest whole second of a
    trace. Parameters and None as for :func:`mean_rate_rps`.
    """
    if spec.process == "mmpp":
        return float(max(spec.rates))
    if spec.process == "trace":
        times = read_trace_ns(spec) if trace is None else trace
        second = times[: np.searchsorted(times, horizon_ns)] // NS_PER_S
        return float(np.unique(second, return_counts=True)[1].max(initial=0))
    if spec.process == "rate_series":
        found = series or read_series(spec)
        begun = -(-horizon_ns // found.interval_ns)
        return float(found.requests[:begun].max()) / s_from_ns(found.interval_ns)
    return mean_rate_rps(spec, horizon_ns)


def end_of_traffic_ns(spec: Any, trace: Int64s | None = None, series: RateSeries | None = None) -> int | None:
    """When is the recorded traffic over: the horizon that leaves nothing of it out?

    Returns
    -------
    int or None
        The nanosecond after a trace's last request, the end of a rate series (of its first round, if it repeats);
        None for a process that goes on for ever.
    """
    if spec.process == "trace":
        times = read_trace_ns(spec) if trace is None else trace
        return int(times[-1]) + 1
    if spec.process == "rate_series":
        return (series or read_series(spec)).length_ns
    return None


def _expected_requests(series: RateSeries, until_ns: int, repeat: bool) -> float:
    """Expected requests of a rate series before ``until_ns``."""
    rounds, left_ns = divmod(until_ns, series.length_ns)
    if rounds and not repeat:
        rounds, left_ns = 1, 0
    whole, part_ns = divmod(left_ns, series.interval_ns)
    rest = float(series.requests[:whole].sum())
    if part_ns:
        rest += float(series.requests[whole]) * part_ns / series.interval_ns
    return rounds * float(series.requests.sum()) + rest
