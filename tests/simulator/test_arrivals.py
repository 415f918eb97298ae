"""Arrival processes have the laws of their names, and the same arrivals however they are asked for."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from fractions import Fraction
from math import exp, floor, sqrt
from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_args

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel
from scipy import stats

from calibration.problems import InputError, Problem
from simulator import arrival_spec
from simulator.arrivals import (
    ARRIVALS,
    ThinkTimes,
    end_of_traffic_ns,
    mean_rate_rps,
    open_stream,
    peak_rate_rps,
)
from simulator.clock import LATEST_NS, NS_PER_S
from simulator.operational_time import BLOCK, STRETCHES, TICKS_PER_S, Stretches, bend, operational_ticks

Int64s = npt.NDArray[np.int64]

S = NS_PER_S
RECORDED_NS = np.array([0, 5, 5, 1 * S, 1 * S + 1, 3 * S, 20 * S], dtype=np.int64)


def poisson(rate: float = 900.0) -> Any:
    return SimpleNamespace(process="poisson", rate=rate)


def deterministic(rate: float = 900.0) -> Any:
    return SimpleNamespace(process="deterministic", rate=rate)


def gamma(rate: float = 900.0, cv: float = 3.0) -> Any:
    return SimpleNamespace(process="gamma", rate=rate, cv=cv)


def mmpp(rates: tuple[float, ...] = (100.0, 3000.0), mean_durations_s: tuple[float, ...] = (0.3, 0.1)) -> Any:
    durations = tuple(int(seconds * S) for seconds in mean_durations_s)
    return SimpleNamespace(process="mmpp", rates=rates, mean_durations_ns=durations)


def series(requests: tuple[float, ...], interval_s: float = 1.0, *, scale: float = 1.0, repeat: bool = False) -> Any:
    return SimpleNamespace(
        process="rate_series",
        file=None,
        column=None,
        requests=requests,
        interval_ns=int(interval_s * S),
        scale=scale,
        repeat=repeat,
    )


def recorded(file: Path | None = None) -> Any:
    return SimpleNamespace(process="trace", file=file, format="auto", column=None, time_unit=None, speed=1.0)


def closed_loop(think_time_ns: int = 0, distribution: str = "constant") -> Any:
    return SimpleNamespace(
        process="closed_loop", concurrency=4, think_time_ns=think_time_ns, think_time_distribution=distribution
    )


def drawn(spec: Any, horizon_ns: int, seed: int = 1) -> Int64s:
    stream = open_stream(spec, np.random.SeedSequence(seed), horizon_ns, trace=RECORDED_NS)
    return stream.take(horizon_ns)


ONE_OF_EACH = {
    "poisson": poisson(),
    "deterministic": deterministic(),
    "gamma": gamma(),
    "mmpp": mmpp(),
    "rate_series": series((100.0, 0.0, 2000.0, 7.0), 0.5, repeat=True),
    "trace": recorded(),
}
PROCESSES = sorted(ARRIVALS)


def test_every_process_is_tried_here() -> None:
    assert sorted(ONE_OF_EACH) == PROCESSES


@pytest.mark.parametrize("spec", [*ONE_OF_EACH.values(), closed_loop()], ids=lambda spec: spec.process)
def test_the_keys_are_those_of_the_scenario(spec: Any) -> None:
    """Streams take whatever has the right attributes; a scenario's arrivals must have them under the same names."""
    (in_scenario,) = (
        kind
        for kind in vars(arrival_spec).values()
        if isinstance(kind, type)
        and issubclass(kind, BaseModel)
        and "process" in kind.model_fields
        and spec.process in get_args(kind.model_fields["process"].annotation)
    )
    assert set(vars(spec)) == set(in_scenario.model_fields)


@pytest.mark.parametrize("process", PROCESSES)
def test_arrivals_never_fall_and_end_before_the_horizon(process: str) -> None:
    """An engine given times out of order, or past the horizon, would simulate another scenario."""
    times = drawn(ONE_OF_EACH[process], 10 * S)
    assert np.dtype(np.int64) == times.dtype
    assert len(times) > 5
    assert (np.diff(times) >= 0).all()
    assert times[0] >= 0
    assert times[-1] < 10 * S


@pytest.mark.parametrize("process", PROCESSES)
@given(cuts=st.lists(st.integers(0, 4 * S), max_size=12).map(sorted), seed=st.integers(0, 2**64))
def test_arrivals_do_not_depend_on_how_the_windows_are_cut(process: str, cuts: list[int], seed: int) -> None:
    """If they did, a streamed run and a whole run of the same scenario would differ."""
    stream = open_stream(ONE_OF_EACH[process], np.random.SeedSequence(seed), 3 * S, trace=RECORDED_NS)
    windows = [stream.take(until) for until in (*cuts, 5 * S)]
    assert drawn(ONE_OF_EACH[process], 3 * S, seed).tolist() == np.concatenate(windows).tolist()
    for start, end, window in zip([0, *cuts], [*cuts, 3 * S], windows, strict=True):
        assert ((window >= start) & (window < end)).all()


@pytest.mark.parametrize("process", PROCESSES)
def test_a_longer_horizon_only_adds_requests(process: str) -> None:
    """Otherwise lengthening a run would change the part that had already been seen."""
    short, long = (drawn(ONE_OF_EACH[process], horizon_ns) for horizon_ns in (2 * S, 40 * S))
    assert short.tolist() == long[: len(short)].tolist()
    assert long[len(short)] >= 2 * S


@pytest.mark.parametrize("process", PROCESSES)
def test_the_same_seeds_give_the_same_stream_however_often_it_is_opened(process: str) -> None:
    """SeedSequence.spawn counts its children: a stream that used it would differ when opened again."""
    seeds = np.random.SeedSequence(5)
    first, second = (open_stream(ONE_OF_EACH[process], seeds, 4 * S, trace=RECORDED_NS).take(4 * S) for _ in range(2))
    assert first.tolist() == second.tolist()


@pytest.mark.parametrize("process", ["poisson", "gamma", "mmpp", "rate_series"])
def test_other_seeds_give_other_arrivals(process: str) -> None:
    """Replications that share their arrivals would have no spread."""
    first, second = (
        open_stream(ONE_OF_EACH[process], seeds, 4 * S).take(4 * S) for seeds in np.random.SeedSequence(5).spawn(2)
    )
    assert not np.isin(first, second).any()


@pytest.mark.parametrize(
    "spec", [poisson(450.0), poisson(1 / 3), gamma(450.0), gamma(450.0, 0.2), deterministic(450.0)]
)
def test_at_twice_the_rate_the_same_pattern_comes_twice_as_fast(spec: Any) -> None:
    """Common random numbers: a change of the rate must not be drowned by another draw of the pattern."""
    faster = SimpleNamespace(**{**vars(spec), "rate": 2 * spec.rate})
    horizon_ns = round(200_000 / spec.rate) * S
    slow, fast = drawn(spec, horizon_ns), drawn(faster, horizon_ns // 2)
    assert len(slow) > 100_000
    assert abs(len(slow) - len(fast)) <= 1
    n = min(len(slow), len(fast))
    assert np.abs(slow[:n] - 2 * fast[:n]).max() <= 2


@pytest.mark.parametrize(
    "spec",
    [
        series((450.0,) * 200),
        series((450.0 / 8,) * 1600, 1 / 8),
        series((900.0,), 2.0, repeat=True),
        mmpp((450.0, 450.0, 450.0), (0.5, 0.001, 2.0)),
    ],
    ids=["seconds", "eighths", "repeated", "mmpp"],
)
def test_piecewise_constant_rates_that_are_all_alike_are_poisson(spec: Any) -> None:
    """If a border between intervals moved any request, rates would be wrong around every border."""
    plain, pieced = drawn(poisson(450.0), 199 * S), drawn(spec, 199 * S)
    assert len(plain) == len(pieced)
    assert np.abs(plain - pieced).max() <= 2


def z_score(count: float, mean: float, variance: float) -> float:
    return (count - mean) / sqrt(variance)


def test_poisson_gaps_are_independent_exponentials() -> None:
    """Otherwise every closed form for M/G/c would be missed."""
    gaps = np.diff(drawn(poisson(2000.0), 100 * S))
    assert abs(z_score(len(gaps), 200_000, 200_000)) < 4
    assert stats.kstest(gaps / S * 2000.0, "expon").pvalue > 1e-4
    assert abs(stats.pearsonr(gaps[:-1], gaps[1:]).statistic) * sqrt(len(gaps)) < 4


@given(rate=st.one_of(st.floats(1e-3, 1e9), st.integers(1, 10**9)), first=st.integers(0, 3 * BLOCK))
def test_a_deterministic_request_comes_at_the_nanosecond_nearest_to_its_exact_time(rate: float, first: int) -> None:
    """Gaps that are each rounded add up: after a million requests the rate would be off."""
    gap_ns = S / Fraction(str(rate))
    horizon_ns = min(LATEST_NS, floor((first + 20) * gap_ns) + 1)
    times = drawn(deterministic(rate), horizon_ns)
    assert len(times) >= first + 19 or horizon_ns == LATEST_NS
    for number, time in enumerate(times[first:].tolist(), first + 1):
        assert abs(time - number * gap_ns) <= Fraction(1, 2) + Fraction(1, 10**4)


def test_the_first_deterministic_request_comes_after_one_gap() -> None:
    """At time 0 nothing has been sent yet: n requests come in n gaps, and none too many."""
    assert [1 * S, 2 * S, 3 * S] == drawn(deterministic(1.0), 3 * S + 1).tolist()
    assert [1 * S, 2 * S] == drawn(deterministic(1), 3 * S).tolist()
    assert [111_111_111, 222_222_222, 333_333_333] == drawn(deterministic(9), 333_333_334).tolist()


@pytest.mark.parametrize("cv", [0.05, 0.5, 1.0, 3.0, 13.2])
def test_gamma_gaps_have_their_mean_and_cv(cv: float) -> None:
    """The burstiness of the scenario would not be the one it states."""
    gaps = np.diff(drawn(gamma(1000.0, cv), 400 * S)) / S
    assert abs(z_score(len(gaps), 400_000, cv**2 * 400_000)) < 4
    # Standard error of the sample variance over its mean: sqrt((kurtosis + 2) / n), kurtosis 6 cv^2.
    assert float(np.var(gaps) * 1000.0**2) == pytest.approx(cv**2, rel=4 * sqrt((6 * cv**2 + 2) / len(gaps)))
    # Short gaps of a bursty process are fewer ns than one, so that only those above a microsecond have a density.
    law = stats.gamma(1 / cv**2, scale=cv**2 / 1000.0)
    assert (
        abs(z_score((gaps > 1e-6).sum(), law.sf(1e-6) * len(gaps), max(law.sf(1e-6) * law.cdf(1e-6) * len(gaps), 1)))
        < 4
    )
    longer = gaps[gaps > 1e-6][::10]
    assert stats.kstest(longer, lambda gap: (law.cdf(gap) - law.cdf(1e-6)) / law.sf(1e-6)).pvalue > 1e-4


@pytest.mark.parametrize("cv", [0.3, 1.0, 3.0])
def test_a_gamma_process_is_under_way_at_time_zero(cv: float) -> None:
    """A process that starts with a whole gap is too slow at first if cv < 1, and too fast if cv > 1."""
    first_s = np.array([drawn(gamma(10.0, cv), 1000 * S, seed)[0] for seed in range(800)]) / S
    # Equilibrium renewal process: the first arrival has mean (1 + cv^2) / (2 rate) and second moment E[X^3] / (3 E[X]).
    mean = (1 + cv**2) / (2 * 10.0)
    second = (1 + cv**2) * (1 + 2 * cv**2) / (3 * 10.0**2)
    assert abs(z_score(first_s.mean(), mean, (second - mean**2) / len(first_s))) < 4


def test_a_gamma_process_without_spread_is_deterministic() -> None:
    assert drawn(deterministic(7.0), 9 * S).tolist() == drawn(gamma(7.0, 0), 9 * S).tolist()


def index_of_dispersion(rates: tuple[float, float], durations_s: tuple[float, float], t: float) -> float:
    """Var N(t) / E N(t) of a stationary two-state MMPP: Fischer and Meier-Hellstern 1993, section 2.1."""
    (l1, l2), (r1, r2) = rates, (1 / durations_s[0], 1 / durations_s[1])
    factor = 2 * (l1 - l2) ** 2 * r1 * r2 / ((r1 + r2) ** 2 * (l1 * r2 + l2 * r1))
    return 1 + factor * (1 - (1 - exp(-(r1 + r2) * t)) / ((r1 + r2) * t))


@pytest.mark.parametrize("window_s", [0.02, 0.2, 2.0])
@pytest.mark.parametrize("rates", [(20.0, 200.0), (0.0, 100.0)])
def test_counts_of_an_mmpp_scatter_by_the_closed_form(rates: tuple[float, float], window_s: float) -> None:
    """The mean rate alone says nothing of bursts: too short or too long ones would go unseen."""
    durations_s = (0.3, 0.1)
    n = 20_000
    times = drawn(mmpp(rates, durations_s), round(n * window_s * S))
    counts = np.bincount(times // round(window_s * S), minlength=n)
    mean = (rates[0] * 0.3 + rates[1] * 0.1) / 0.4 * window_s
    dispersion = index_of_dispersion(rates, durations_s, window_s)
    long_run = index_of_dispersion(rates, durations_s, 1e6)
    assert abs(z_score(counts.sum(), mean * n, long_run * mean * n)) < 4
    assert counts.var() / counts.mean() == pytest.approx(dispersion, rel=0.08)


def test_an_mmpp_visits_its_states_in_a_ring() -> None:
    """With three states their order matters; the long-run dispersion is that of the ring, not of its reverse.

    Dispersion in the limit: 1 + 2 pi R D R 1 / (pi R 1), D the deviation matrix (1 pi - Q)^-1 - 1 pi of the states.
    The sequence of rates is told directly: after the silent state comes the slow one, never the fast one.
    """
    rates, durations_s = (0.0, 40.0, 400.0), (0.2, 0.5, 0.1)
    out = np.diag(1 / np.array(durations_s))
    q = np.roll(out, 1, axis=1) - out
    share = np.array(durations_s) / sum(durations_s)
    ones = np.ones(3)
    deviation = np.linalg.inv(np.outer(ones, share) - q) - np.outer(ones, share)
    r = np.diag(rates)
    limit = 1 + 2 * share @ r @ deviation @ r @ ones / (share @ r @ ones)
    n, window_s = 4000, 20.0
    times = drawn(mmpp(rates, durations_s), round(n * window_s * S))
    counts = np.bincount(times // round(window_s * S), minlength=n)
    assert counts.mean() == pytest.approx(share @ r @ ones * window_s, rel=0.02)
    assert counts.var() / counts.mean() == pytest.approx(limit, rel=0.1)


def test_an_mmpp_is_stationary_from_the_first_moment() -> None:
    """If it always started in its first state, short runs would see too few bursts or too many."""
    counts = np.array([len(drawn(mmpp((10.0, 1000.0), (0.3, 0.1)), S // 20, seed)) for seed in range(1500)])
    mean = (10.0 * 0.3 + 1000.0 * 0.1) / 0.4 * 0.05
    variance = index_of_dispersion((10.0, 1000.0), (0.3, 0.1), 0.05) * mean
    assert abs(z_score(counts.mean(), mean, variance / len(counts))) < 4


def test_counts_of_a_rate_series_are_poisson_in_each_interval() -> None:
    """A day whose busy hour is not as busy as said sizes the fleet wrongly."""
    requests = tuple(float(50 + 40 * (hour % 24)) for hour in range(500))
    times = drawn(series(requests, 0.25), 125 * S)
    counts = np.bincount(times // (S // 4), minlength=500)
    chi_square = float(((counts - requests) ** 2 / np.array(requests)).sum())
    assert 1e-4 < stats.chi2(500).cdf(chi_square) < 1 - 1e-4
    within = (times % (S // 4)) / (S // 4)
    assert stats.kstest(within, "uniform").pvalue > 1e-4


def test_an_interval_of_rate_zero_stays_empty() -> None:
    """The night, when nobody comes, must not cost the morning its requests."""
    silent = 3 * STRETCHES
    times = drawn(series((5000.0, *(0.0,) * silent, 5000.0), 1.0), (silent + 2) * S)
    counts = np.bincount(times // S, minlength=silent + 2)
    assert counts[1:-1].sum() == 0
    assert abs(z_score(counts[0], 5000, 5000)) < 4
    assert abs(z_score(counts[-1], 5000, 5000)) < 4


def test_scale_multiplies_a_rate_series() -> None:
    times, double = (drawn(series((300.0, 100.0), scale=scale), 2 * S) for scale in (1.0, 2.0))
    assert drawn(series((600.0, 200.0)), 2 * S).tolist() == double.tolist()
    assert len(times) < len(double)


def test_a_repeated_rate_series_goes_on_after_its_end() -> None:
    """A day repeated for a week brings seven mornings."""
    times = drawn(series((0.0, 1000.0), repeat=True), 7 * S)
    counts = np.bincount(times // S, minlength=7)
    assert [0, 0, 0, 0] == counts[::2].tolist()
    assert all(abs(z_score(count, 1000, 1000)) < 4 for count in counts[1::2])


def problem_of(spec: Any, horizon_ns: int) -> str:
    def problem_at(key: str, rule: str, value: str | None, remedy: str) -> Problem:
        return Problem("peak.yaml", 7, 3, f"workloads.web.arrivals.{key}", rule, value, remedy)

    with pytest.raises(InputError) as caught:
        open_stream(spec, np.random.SeedSequence(1), horizon_ns, problem_at=problem_at)
    return str(caught.value)


def test_a_rate_series_that_ends_before_the_horizon_is_refused() -> None:
    """Silence after its end would be taken for a fleet that copes."""
    assert problem_of(series((5.0, 6.0)), 3 * S) == (
        "peak.yaml:7:3: workloads.web.arrivals.requests: must last until the horizon (3s), got 2s. "
        "Shorten the horizon to 2s, or set repeat: true."
    )


def test_rates_that_bring_no_request_or_overrun_the_clock_are_refused() -> None:
    """All-zero rates would be searched for an arrival for ever; absurd ones overflow the clock."""
    assert "arrivals.rates: must not all be 0" in problem_of(mmpp((0.0, 0.0)), S)
    assert "arrivals.requests: must not all be 0" in problem_of(series((0.0, 0.0)), S)
    assert "arrivals.rate: must be at most 1e+12 requests per second, got 1e+15" in problem_of(poisson(1e15), S)


def test_a_problem_without_a_scenario_still_names_the_key() -> None:
    with pytest.raises(InputError, match=r"<scenario>: arrivals\.requests: must last"):
        open_stream(series((5.0,)), np.random.SeedSequence(1), 3 * S)


@pytest.mark.parametrize("process", ["closed_loop", "poison"])
def test_a_process_without_a_stream_is_refused(process: str) -> None:
    with pytest.raises(ValueError, match=f"must be one of poisson, .*got '{process}'"):
        open_stream(SimpleNamespace(process=process), np.random.SeedSequence(1), S)


@given(
    pieces=st.lists(st.tuples(st.integers(1, 10**12), st.floats(0, 1e9)), min_size=1, max_size=40),
    gaps_s=st.lists(st.floats(0, 1e4), min_size=1, max_size=30),
    cut=st.integers(1, 40),
)
def test_bent_time_inverts_the_cumulative_rate_to_the_nanosecond(
    pieces: list[tuple[int, float]], gaps_s: list[float], cut: int
) -> None:
    """Checked against exact rational arithmetic, whatever the rates, the lengths and the size of the layouts."""

    def stretches() -> Iterator[Stretches]:
        start = 0
        for first in range(0, len(pieces), cut):
            lengths = [length for length, _ in pieces[first : first + cut]]
            starts = start + np.cumsum([0, *lengths[:-1]])
            rates = np.array([rate for _, rate in pieces[first : first + cut]])
            yield Stretches(starts, np.array(lengths), rates)
            start += sum(lengths)

    def draw(n: int) -> npt.NDArray[np.float64]:
        return np.resize(np.array(gaps_s), n)

    horizon_ns = sum(length for length, _ in pieces)
    blocks = bend(operational_ticks(draw), stretches(), horizon_ns)
    found = next(blocks, np.empty(0, dtype=np.int64))[:60].tolist()
    tick = 0
    exact: list[Fraction] = []
    for gap_s in draw(len(found)).tolist():
        tick += int(gap_s * TICKS_PER_S)
        exact.append(inverse(pieces, Fraction(tick, TICKS_PER_S)))
    for time, at in zip(found, exact, strict=True):
        # The edges of a layout are whole ticks: near one, that is as much as a tick of the lower rate beside it.
        rate = min((rate for _, rate in pieces if rate > 0), default=1.0)
        assert abs(time - at) <= 1 + Fraction(2 * len(pieces) * S) / Fraction(rate) / TICKS_PER_S


def inverse(pieces: list[tuple[int, float]], requests: Fraction) -> Fraction:
    """Time in ns at which so many requests are expected, exactly."""
    start = Fraction(0)
    for length, rate in pieces:
        width = Fraction(rate) * length / S
        if requests < width:
            return start + requests / width * length
        requests -= width
        start += length
    return start


def test_a_run_as_long_as_the_clock_and_one_as_dense_both_hold() -> None:
    """Sums that leave the range of int64 would wrap around and go back in time."""
    slow = drawn(poisson(1e-6), LATEST_NS)
    assert abs(z_score(len(slow), LATEST_NS / S * 1e-6, LATEST_NS / S * 1e-6)) < 4
    assert (np.diff(slow) > 0).all()
    dense = drawn(poisson(1e12), 1000)
    assert abs(z_score(len(dense), 1e6, 1e6)) < 4
    assert (np.diff(dense) >= 0).all()
    bursty = drawn(gamma(1e3, 100.0), 1000 * S)
    assert (np.diff(bursty) >= 0).all()
    ages = drawn(mmpp((1e-7, 1e-6), (1e9, 3e8)), LATEST_NS)
    assert (np.diff(ages) > 0).all()


def test_streaming_keeps_a_block_in_memory_and_not_the_run() -> None:
    """1e8 arrivals must pass in bounded memory."""
    stream = open_stream(poisson(1e6), np.random.SeedSequence(1), 3 * S)
    stream.take(S // 1000)
    tracemalloc.start()
    try:
        requests = sum(len(stream.take(until)) for until in range(S // 1000, 3 * S + 1, S // 1000))
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert requests > 2_900_000
    assert peak_bytes < 32 * BLOCK * 8


def test_a_trace_is_replayed_as_it_is(tmp_path: Path) -> None:
    """Handed over or read from its file, the same; what comes at or after the horizon is left out."""
    file = tmp_path / "trace.csv"
    file.write_text("arrival_s\n0\n0.5\n0.5\n2\n", encoding="utf-8")
    stream = open_stream(recorded(file), np.random.SeedSequence(1), 2 * S)
    assert [[0], [S // 2, S // 2], []] == [stream.take(until).tolist() for until in (1, S, 9 * S)]
    assert [0, 5, 5] == drawn(recorded(), S).tolist()


def test_a_rate_series_is_read_from_its_file(tmp_path: Path) -> None:
    file = tmp_path / "day.csv"
    file.write_text("start_s,requests\n0,300\n1,100\n", encoding="utf-8")
    spec = series((300.0, 100.0))
    from_file = SimpleNamespace(**{**vars(spec), "file": file, "requests": None, "interval_ns": None})
    assert drawn(spec, 2 * S).tolist() == drawn(from_file, 2 * S).tolist()
    assert "arrivals.file: must last until the horizon" in problem_of(from_file, 3 * S)


@given(sizes=st.lists(st.integers(0, 2000), max_size=8))
def test_think_times_do_not_depend_on_how_many_are_taken_at_once(sizes: list[int]) -> None:
    spec = closed_loop(3 * S, "exponential")
    parts, whole = (ThinkTimes(spec, np.random.SeedSequence(3)) for _ in range(2))
    taken = [parts.take(size).tolist() for size in sizes]
    assert whole.take(sum(sizes)).tolist() == [time for part in taken for time in part]


def test_think_times_are_constant_or_exponential_as_asked() -> None:
    """A closed loop's throughput is clients over (latency + think time)."""
    assert [5, 5, 5] == ThinkTimes(closed_loop(5), np.random.SeedSequence(1)).take(3).tolist()
    drawn_ns = ThinkTimes(closed_loop(2 * S, "exponential"), np.random.SeedSequence(1)).take(20_000)
    assert np.dtype(np.int64) == drawn_ns.dtype
    assert stats.kstest(drawn_ns / (2 * S), "expon").pvalue > 1e-4
    assert [0, 0] == ThinkTimes(closed_loop(0, "exponential"), np.random.SeedSequence(1)).take(2).tolist()


@pytest.mark.parametrize(
    ("spec", "mean", "peak"),
    [
        (poisson(900.0), 900.0, 900.0),
        (deterministic(9), 9.0, 9.0),
        (gamma(50.0, 3.0), 50.0, 50.0),
        (mmpp((10.0, 90.0), (0.3, 0.1)), 30.0, 90.0),
        (series((10.0, 40.0, 0.0, 70.0, 900.0), 2.0), (10 + 40 + 0 + 35) / 7, 35.0),
        (series((10.0, 50.0, 30.0), 1.0, repeat=True), (2 * 90 + 10) / 7, 50.0),
        (recorded(), 6 / 7, 3.0),
        (closed_loop(), None, None),
    ],
    ids=lambda value: getattr(value, "process", None),
)
def test_expected_rates_are_those_of_the_run(spec: Any, mean: float | None, peak: float | None) -> None:
    """A warning of overload, or its absence, rests on them."""
    assert mean_rate_rps(spec, 7 * S, RECORDED_NS) == (mean if mean is None else pytest.approx(mean, rel=1e-12))
    assert peak_rate_rps(spec, 7 * S, RECORDED_NS) == peak


def test_a_rate_series_that_is_over_brings_no_more() -> None:
    assert mean_rate_rps(series((10.0, 20.0)), 5 * S) == pytest.approx(6.0)


def test_recorded_traffic_says_when_it_ends() -> None:
    """The horizon that a scenario may leave out: nothing of the traffic is lost, and no silence is added."""
    assert end_of_traffic_ns(recorded(), RECORDED_NS) == 20 * S + 1
    assert end_of_traffic_ns(series((1.0, 2.0), 60.0)) == 120 * S
    assert end_of_traffic_ns(poisson()) is None
    assert RECORDED_NS.tolist() == drawn(recorded(), 20 * S + 1).tolist()
