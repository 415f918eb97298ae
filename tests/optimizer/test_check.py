"""A fleet gets a part of a stream, and is judged by what one more run would show."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest

from optimizer.check import FleetLoadCase, Part, check
from optimizer.settings import Setting, expand
from simulator.arrivals import open_stream
from simulator.clock import NS_PER_S
from tests.optimizer.questions import asked, plan, question

TOY = {"policy": "dynamic", "max_batch_size": 16}


def setting(**arrivals: Any) -> Setting:
    content = plan(batching=TOY)
    content = asked(content, arrivals=arrivals) if arrivals else content
    return expand(question(content))[0]


def case(rps: float, whole_rps: float | None = None, /, **arrivals: Any) -> FleetLoadCase:
    return FleetLoadCase(setting(**arrivals), 1, {"w": rps}, {"w": rps if whole_rps is None else whole_rps})


class Gamma:
    process = "gamma"

    def __init__(self, rate: float, cv: float) -> None:
        self.rate, self.cv = rate, cv


def gaps_of_a_part(cv: float, share: float) -> np.ndarray:
    seeds = np.random.SeedSequence(5)
    whole = partial(open_stream, Gamma(1000.0, cv), horizon_ns=400 * NS_PER_S)
    times = Part.of(whole, share, seeds).take(400 * NS_PER_S)
    return np.diff(times) / NS_PER_S


@pytest.mark.parametrize("cv", [0.3, 3.0])
def test_a_part_of_a_renewal_process_is_nearer_to_poisson_by_the_share_of_the_part(cv: float) -> None:
    # Thinning a renewal process: cv^2 becomes 1 + p (cv^2 - 1); Cox 1962, Renewal Theory, section 8.3.
    gaps = gaps_of_a_part(cv, 0.2)
    assert pytest.approx(200.0, rel=0.03) == 1 / gaps.mean()
    assert pytest.approx(1 + 0.2 * (cv**2 - 1), rel=0.06) == gaps.var() / gaps.mean() ** 2


def test_a_part_is_the_same_however_it_is_taken() -> None:
    whole = partial(open_stream, Gamma(1000.0, 2.0), horizon_ns=10 * NS_PER_S)
    at_once = Part.of(whole, 0.3, np.random.SeedSequence(1)).take(10 * NS_PER_S)
    pieces = Part.of(whole, 0.3, np.random.SeedSequence(1))
    taken = [pieces.take(second * NS_PER_S) for second in range(1, 11)]
    assert np.array_equal(at_once, np.concatenate(taken))


def test_only_processes_whose_part_is_another_process_are_thinned() -> None:
    assert 1.0 == case(50, 100, process="poisson", rate=100).part("w")
    assert 1.0 == case(50, 100, process="mmpp", rates=[50, 400], mean_durations=["10s", "1s"]).part("w")
    assert 0.5 == case(50, 100, process="gamma", rate=100, cv=3).part("w")
    assert 0.5 == case(50, 100, process="deterministic", rate=100).part("w")
    assert 1.0 == case(100, process="gamma", rate=100, cv=3).part("w")


def test_half_of_even_arrivals_is_worse_than_even_arrivals_at_half_the_rate() -> None:
    part = check(case(90, 180, process="deterministic", rate=180), 1, 3).workloads["w"]
    alone = check(case(90, process="deterministic", rate=90), 1, 3).workloads["w"]
    assert part.values_ms["p99_ms"] > alone.values_ms["p99_ms"]
    assert pytest.approx(1, rel=0.1) == part.requests / alone.requests


def test_a_fleet_well_below_its_capacity_holds_and_one_beyond_it_does_not() -> None:
    assert check(case(200), 1, 5).met
    over = check(case(420), 1, 5)
    assert not over.met
    assert over.full
    assert float("inf") == over.workloads["w"].values_ms["p99_ms"]


def test_a_fleet_nearly_full_misses_however_loose_its_objective() -> None:
    loose = expand(question(asked(plan(batching=TOY), slo={"p99": "1h"})))[0]
    found = check(FleetLoadCase(loose, 4, {"w": 4 * 392.0}, {"w": 4 * 392.0}), 1, 2)
    assert 0.98 == pytest.approx(found.offered_load)
    assert found.full
    assert not found.met


def test_one_more_run_is_expected_above_the_confidence_interval() -> None:
    found = check(case(330), 3, 5).workloads["w"]
    low, high = found.ci95["p99_ms"]
    assert low < found.values_ms["p99_ms"] < high < found.one_run_ms["p99_ms"]


def test_the_distance_of_a_candidate_is_part_of_what_clients_see() -> None:
    near = check(case(100), 1, 2).workloads["w"]
    far_away = expand(question(plan(batching=TOY, added_latency="30ms")))[0]
    far = check(FleetLoadCase(far_away, 1, {"w": 100.0}, {"w": 100.0}), 1, 2).workloads["w"]
    assert pytest.approx(near.values_ms["p99_ms"] + 30) == far.values_ms["p99_ms"]
    assert near.targets_ms == far.targets_ms


def test_cases_are_alike_whatever_whole_they_are_part_of_unless_that_matters() -> None:
    assert case(50, 100).key == case(50, 200).key
    gamma = partial(case, process="gamma", rate=100, cv=3)
    assert gamma(50, 100).key != gamma(50, 200).key
    one = case(50)
    assert one.key != replace(one, instances=2).key
