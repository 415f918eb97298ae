"""A short run stands for the whole one: the same rates, the same question."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from presentation.door import given_shipped, workspace
from presentation.excerpt import REQUESTS, excerpt
from presentation.library import shipped
from simulator.scenario import Scenario, scenario_from
from simulator.study import simulate

FLEET = {"profile": "toy", "usd_per_hour": 1.0, "instances": 4}


def scenario(arrivals: dict[str, object], **keys: object) -> Scenario:
    """Four instances of a made-up model."""
    return scenario_from(
        {
            "schema": 1,
            "name": "excerpt",
            "profiles": {"toy": {"batch": [1, 8], "latency_ms": [1, 2]}},
            "fleets": {"gpu": FLEET},
            "workloads": {"all": {"fleet": "gpu", "arrivals": arrivals}},
            **keys,
        }
    )


@pytest.fixture(params=sorted(shipped()))
def whole(request: pytest.FixtureRequest) -> Iterator[Scenario]:
    with ExitStack() as stack:
        yield stack.enter_context(workspace(given_shipped(shipped()[request.param]))).scenario()


def test_every_shipped_scenario_offers_what_it_offers_in_full(whole: Scenario) -> None:
    """The rate of a workload in the short run is that of the measured window of the whole run."""
    if whole.name == "peak":  # known from its source: 1,712,300 requests in the hour, a quarter of them twice halved
        expected = {"forecast": 476.0}
    elif whole.name == "burst":
        expected = {"steady": 300.0, "bursts": 300.0}
    else:
        expected = {}
    short = excerpt(whole)
    report = simulate(short.scenario, replications=short.replications, jobs=1)
    found = {one.name: one.offered_rps for one in report.workloads}
    for name, rate in expected.items():
        assert pytest.approx(rate, rel=0.08) == found[name]
    arrived = sum(one.outcomes["arrived"] for one in report.workloads)
    assert arrived <= 8 * REQUESTS * len(whole.workloads)


def test_a_constant_rate_comes_for_a_shorter_time() -> None:
    short = excerpt(scenario({"process": "poisson", "rate": 1000}, horizon="1h", warmup="1min"))
    assert not short.whole
    length_s = (short.scenario.horizon_ns or 0) / 1e9
    assert pytest.approx(1.1 * REQUESTS / short.replications / 1000, rel=0.01) == length_s
    assert pytest.approx(length_s / 11, rel=1e-6) == short.scenario.warmup_ns / 1e9


def test_a_series_keeps_each_rate_and_its_share() -> None:
    """Two hours at 100 and 300 a second: the short run has both, for as long as each other."""
    arrivals = {"process": "rate_series", "requests": [360_000, 1_080_000], "interval": "1h"}
    short = excerpt(scenario(arrivals, horizon="2h"))
    series = short.scenario.workloads["all"].arrivals
    assert "rate_series" == series.process
    assert series.requests is not None
    assert series.interval_ns is not None
    rates = [round(one / (series.interval_ns / 1e9), 6) for one in series.requests]
    warmup, window = rates[: len(rates) // 11], rates[len(rates) // 11 :]
    assert [100.0] * len(warmup) == warmup
    assert [100.0] * 10 + [300.0] * 10 == window


def test_only_the_measured_hour_of_a_day_is_played() -> None:
    arrivals = {"process": "rate_series", "requests": [3_600_000, 1_800_000], "interval": "1h"}
    short = excerpt(scenario(arrivals, horizon="2h", warmup="1h"))
    series = short.scenario.workloads["all"].arrivals
    assert "rate_series" == series.process
    assert {500.0} == {round(one / ((series.interval_ns or 1) / 1e9), 6) for one in series.requests or ()}


def test_a_window_that_cuts_intervals_keeps_its_total() -> None:
    arrivals = {"process": "rate_series", "requests": [3_600_000, 1_800_000], "interval": "1h"}
    short = excerpt(scenario(arrivals, horizon="100min", warmup="30min"))
    series = short.scenario.workloads["all"].arrivals
    assert "rate_series" == series.process
    window = (series.requests or ())[len(series.requests or ()) // 11 :]
    seconds = len(window) * (series.interval_ns or 1) / 1e9
    # Thirty minutes at 1,000 a second and forty at 500.
    assert pytest.approx((30 * 1000 + 40 * 500) / 70) == sum(window) / seconds


def test_bursts_are_seen_many_times() -> None:
    arrivals = {"process": "mmpp", "rates": [1000, 9000], "mean_durations": ["8s", "2s"]}
    short = excerpt(scenario(arrivals, horizon="2h"))
    assert 20 * 10 <= (short.scenario.horizon_ns or 0) / 1e9 <= 20 * 10 * 1.11


def test_what_is_short_already_is_played_whole() -> None:
    own = scenario({"process": "poisson", "rate": 10}, horizon="60s")
    short = excerpt(own)
    assert short.whole
    assert own == short.scenario


def test_a_trace_is_never_cut() -> None:
    with workspace(given_shipped(shipped()["trace"])) as space:
        own = space.scenario()
        assert excerpt(own, requests=10).scenario is own


def test_the_bill_of_an_hour_is_that_of_the_whole_run() -> None:
    """A shorter run must not make a commitment cheaper or dearer."""
    with workspace(given_shipped(shipped()["reserved"])) as space:
        own = space.scenario()
        short = excerpt(own)
        assert not short.whole
        report, whole = simulate(short.scenario, jobs=1), simulate(own, jobs=1)
    assert whole.cost.usd_per_hour == report.cost.usd_per_hour
    assert [fleet.cost_usd_per_hour for fleet in whole.fleets] == [fleet.cost_usd_per_hour for fleet in report.fleets]
