"""What is drawn of a run is what its report says."""

from __future__ import annotations

import numpy as np
import pytest

from presentation.answer import answer_of
from presentation.look import MOMENTS, _most_waiting
from presentation.sweep import LoadPoint, Sweep
from tests.presentation.sample_looks import OVERLOADED, look_at, sweep_of


def test_the_distribution_holds_every_request() -> None:
    found = look_at("hello").distributions["search"]
    assert pytest.approx(1.0) == found.shares.sum() + found.beyond
    assert found.beyond <= 0.0011


def test_the_distribution_agrees_with_the_percentiles() -> None:
    """Half of the requests lie left of the median, within what one replication may differ from five."""
    seen = look_at("hello")
    found, told = seen.distributions["search"], seen.report.workloads[0].latency_ms
    assert told is not None
    left = found.shares[found.edges_ms[1:] <= told.p50].sum()
    assert pytest.approx(0.5, abs=0.04) == left


def test_the_longest_queue_is_counted_by_hand() -> None:
    """Two wait from 10 to 15; the first leaves at 15, the second at 25."""
    ends = np.linspace(0, MOMENTS, MOMENTS + 1)
    waiting = _most_waiting(np.array([5, 10]), np.array([15, 25]), ends)
    assert [0, 1, 1, 2, 2, 2, 1, 1, 0] == [int(waiting[at]) for at in (4, 5, 9, 10, 12, 14, 15, 24, 26)]


def test_the_queue_of_an_overloaded_fleet_grows() -> None:
    waiting = look_at("hello", OVERLOADED).courses["gpu"].waiting
    assert waiting[MOMENTS // 4] < waiting[MOMENTS // 2] < waiting[-1]


def test_batches_over_time_are_those_of_the_report() -> None:
    seen = look_at("hello")
    mean = seen.report.fleets[0].batch_size_mean
    assert mean is not None
    assert pytest.approx(mean, rel=0.1) == np.nanmean(seen.courses["gpu"].batch_items)


def test_an_answer_has_an_interval_that_holds_it() -> None:
    found = answer_of(look_at("hello").report, "search")
    assert found.interval_ms is not None
    assert found.value_ms is not None
    assert found.interval_ms[0] <= found.value_ms <= found.interval_ms[1]


def test_latency_rises_with_the_load_until_the_queue_grows() -> None:
    found = sweep_of("hello", "search")
    values = [point.value_ms for point in found.points]
    steady = [value for value in values if value is not None]
    assert sorted(steady) == steady
    assert [None] == values[len(steady) :]


def test_the_scenario_stands_on_its_own_curve() -> None:
    """The point at the scenario's load is the scenario: the curve's p99 is within the interval of the answer's."""
    now, found = sweep_of("hello", "search").now, answer_of(look_at("hello").report, "search")
    assert now is not None
    assert now.value_ms is not None
    assert found.value_ms is not None
    assert pytest.approx(found.value_ms, rel=0.06) == now.value_ms
    assert pytest.approx(350, rel=0.03) == now.load


def test_the_largest_load_lies_where_the_curve_meets_the_objective() -> None:
    found = sweep_of("hello", "search")
    most = found.largest_load
    assert most is not None
    assert found.target_ms == 80.0
    below = [point for point in found.points if point.load <= most]
    above = [point for point in found.points if point.load > most]
    assert all(point.value_ms is not None and point.value_ms <= 80 for point in below)
    assert all(point.value_ms is None or point.value_ms > 80 for point in above)


def curve(*points: tuple[float, float, float | None], target_ms: float | None = 100.0) -> Sweep:
    """A load curve by hand: load, mean, p99."""
    rows = tuple(LoadPoint(load / 10, load, load, mean, value) for load, mean, value in points)
    return Sweep("all", "p99", "requests/s", rows, target_ms)


def test_the_largest_load_is_read_on_the_logarithm() -> None:
    """From 10 ms at 10/s to 1,000 ms at 20/s, 100 ms lie half way."""
    assert pytest.approx(15.0) == curve((10, 5, 10.0), (20, 50, 1000.0)).largest_load


@pytest.mark.parametrize("points", [((10.0, 5.0, 10.0),), ((10.0, 5.0, 200.0),)])
def test_no_largest_load_is_made_up(points: tuple[tuple[float, float, float], ...]) -> None:
    """Where every load holds, or none does, the curve does not tell where it stops."""
    assert curve(*points).largest_load is None
    assert curve((10, 5, 10.0), (20, 50, 1000.0), target_ms=None).largest_load is None


def test_the_knee_is_where_a_request_costs_least_latency() -> None:
    """Kleinrock's power, load over mean: 10/5, 20/8 and 30/40."""
    knee = curve((10, 5, 9.0), (20, 8, 20.0), (30, 40, 300.0)).knee
    assert knee is not None
    assert 20 == knee.load


def test_clients_who_wait_are_swept_by_their_number() -> None:
    found = sweep_of("closed_loop", "8 clients")
    assert "clients" == found.unit
    assert [1, 2, 4, 6, 8, 12, 16, 24, 32] == [point.load for point in found.points]
