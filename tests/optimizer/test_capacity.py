"""Capacity curves: what is stated is taken, what is found obeys the laws of queues, and nothing is found twice."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import optimizer.probe
import optimizer.search
from calibration.problems import InputError
from optimizer.capacity import capacities, capacity_curves, curve_of
from optimizer.evidence import Capacity, Evidence, Point
from optimizer.plan_file import question_from
from optimizer.settings import expand
from tests.optimizer.questions import asked, limited, plan

DYNAMIC = {"policy": "dynamic", "max_batch_size": 16}


def capacity(content: dict[str, Any], **options: Any) -> Capacity:
    """What the only setting of a plan carries."""
    question = question_from(content)
    (found,) = capacities(question, expand(question), **({"jobs": 1} | options))
    return found


def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by one with every run of the engine."""
    runs: list[int] = []
    engine = optimizer.probe.run  # type: ignore[attr-defined]

    def run(model: Any) -> Any:
        runs.append(model.fleets[0].instances)
        return engine(model)

    monkeypatch.setattr(optimizer.probe, "run", run)
    return runs


def point(instances: int, each: float) -> Point:
    """A point of which only the rate matters."""
    return Point(instances, instances * each, 0.5, 0.5, {}, {}, "p99", 1, 1)


def test_a_stated_capacity_is_taken_as_it_is_and_nothing_is_simulated(monkeypatch: pytest.MonkeyPatch) -> None:
    runs = counted(monkeypatch)
    content = asked(plan(profile=None, capacity_rps={"w": 7.5, "other": 2}), "other")
    found = capacity(content)
    assert [[7.5], [2.0]] == found.curve.rps_per_instance.tolist()
    assert ([1], {}, []) == (found.curve.instances.tolist(), found.evidence, runs)


def test_what_each_instance_carries_never_falls_as_the_fleet_grows() -> None:
    """Pooling: the same load on more instances waits less."""
    content = asked(plan(), arrivals={"process": "poisson", "rate": 500}, slo={"p99": "30ms"})
    curve = capacity(content).curve
    assert len(curve.instances) >= 4
    assert (np.diff(curve.rps_per_instance[0]) > 0).all()
    assert curve.rps_per_instance[0, -1] > 1.5 * curve.rps_per_instance[0, 0]
    assert curve.rps_per_instance[0, -1] <= 97.0  # one at a time, 10 ms each, never beyond 97 %


def test_a_looser_objective_is_never_met_at_a_lower_rate() -> None:
    rates = [
        capacity(asked(plan(batching=DYNAMIC), slo={"p99": f"{target}ms"})).curve.rps_per_instance[0, 0]
        for target in (40, 60, 100, 200)
    ]
    assert rates == sorted(rates)
    assert rates[0] < 0.8 * rates[-1]


def test_every_objective_counts_and_the_tightest_binds() -> None:
    loose = capacity(asked(plan(), slo={"p99": "80ms"}))
    both = capacity(asked(plan(), slo={"p99": "80ms", "mean": "13ms"}))
    (point_of_both, *_) = both.evidence["w"].points
    assert "mean" == point_of_both.binding
    assert both.curve.rps_per_instance[0, 0] < loose.curve.rps_per_instance[0, 0]


def test_no_fleet_is_planned_at_its_ceiling_however_loose_the_objective() -> None:
    found = capacity(asked(plan(), slo={"p99": "1h"}))
    (only, *_) = found.evidence["w"].points
    assert ("capacity", 0.97) == (only.binding, only.load)
    assert 97.0 == pytest.approx(found.curve.rps_per_instance[0, 0])


def test_items_that_do_not_fill_a_batch_lower_the_ceiling() -> None:
    """Requests of 5 items in batches of at most 8: the curves promise 8 at once, but only one request fits."""
    content = asked(plan(batching={"policy": "dynamic", "max_batch_size": 8}), items_per_request=5)
    (found,) = capacity(content).evidence.values()
    assert 1_000 / 18 == pytest.approx(found.ceiling_rps, rel=1e-6)  # 10 + 4/7 x 14 = 18 ms for 5 items


def test_what_a_candidate_adds_is_taken_off_its_objectives() -> None:
    near = capacity(asked(plan(), slo={"p99": "60ms"}))
    far = capacity(asked(plan(added_latency="20ms"), slo={"p99": "80ms"}))
    assert near.curve.rps_per_instance.tolist() == far.curve.rps_per_instance.tolist()


def test_an_objective_below_the_service_time_is_refused_with_the_least_that_is_possible() -> None:
    found = capacity(asked(plan(added_latency="4ms"), slo={"p99": "12ms"}))
    (refusal,) = found.refusals
    assert "p99 of w cannot be 12 ms: service alone takes 14 ms" == refusal.sentence
    assert [[0.0]] == found.curve.rps_per_instance.tolist()


def test_a_batch_that_nobody_fills_at_night_is_refused() -> None:
    """A static batch would hold its objective at noon only, and the fleet gets any rate up to its capacity."""
    (refusal,) = capacity(plan(batching={"policy": "static", "max_batch_size": 8})).refusals
    assert ("waiting", "w") == (refusal.cause, refusal.workload)


def test_waiting_for_company_longer_than_the_objective_is_refused() -> None:
    batching = DYNAMIC | {"max_queue_delay": "100ms"}
    (refusal,) = capacity(asked(plan(batching=batching), slo={"p99": "90ms"})).refusals
    assert "waiting" == refusal.cause
    assert 110.0 == pytest.approx(refusal.least_ms, rel=0.05)


def test_latencies_that_are_longest_in_between_set_the_capacity() -> None:
    """With a wait of 20 ms for a batch of 16, a medium load waits for company and then runs in a large batch."""
    batching = DYNAMIC | {"max_queue_delay": "20ms"}
    content = asked(plan(batching=batching), slo={"p99": "45ms"})
    question = question_from(content)
    (setting,) = expand(question)
    (found,) = capacities(question, [setting], jobs=1)
    top = found.curve.rps_per_instance[0, 0]
    for share in (0.2, 0.4, 0.6, 0.8, 0.95):
        effort = optimizer.probe.Effort(20_000, 0.1, 1)
        assert optimizer.probe.try_rate(setting, "w", 1, share * top, effort).centre <= 0.02


def test_fleets_larger_than_demand_needs_are_not_simulated() -> None:
    small = capacity(asked(plan(), arrivals={"process": "poisson", "rate": 100}))
    assert 2 == max(point.instances for point in small.evidence["w"].points)


def test_a_workload_that_is_not_served_has_no_capacity() -> None:
    content = asked(plan(profile=None, profiles={"w": "toy"}), "other")
    second = {"name": "second", "usd_per_hour": 1.0, "capacity_rps": {"other": 3}}
    question = question_from(limited(content, candidates=[*content["plan"]["candidates"], second]))
    simulated, stated = capacity_curves(question, expand(question), jobs=1)
    assert simulated.rps_per_instance[0, 0] > 0
    assert not simulated.rps_per_instance[1].any()
    assert [[0.0], [3.0]] == stated.rps_per_instance.tolist()


@pytest.mark.parametrize(
    "arrivals",
    [
        {"process": "gamma", "rate": 20, "cv": 2},
        {"process": "mmpp", "rates": [4, 40], "mean_durations": ["3s", "1s"]},
        {"process": "deterministic", "rate": 20},
        {"process": "rate_series", "requests": [3_600, 72_000], "interval": "1h", "repeat": True},
    ],
    ids=lambda arrivals: str(arrivals["process"]),
)
def test_every_arrival_process_has_a_capacity(arrivals: dict[str, Any]) -> None:
    rate = capacity(asked(plan(), arrivals=arrivals, slo={"p99": "150ms"})).curve.rps_per_instance[0, 0]
    assert 0 < rate <= 97.0


def test_bursts_cost_capacity() -> None:
    steady, poisson, bursty = (
        capacity(asked(plan(), arrivals={"process": "gamma", "rate": 20, "cv": cv})).curve.rps_per_instance[0, 0]
        for cv in (0.5, 1, 2)
    )
    assert steady > poisson > bursty


def test_two_processes_find_what_one_finds() -> None:
    content = plan(batching={"policy": "dynamic", "max_batch_size": [2, 4, 8]})
    question = question_from(content)
    settings = expand(question)
    alone, both = (capacities(question, settings, jobs=jobs) for jobs in (1, 2))
    assert [one.evidence for one in alone] == [one.evidence for one in both]


@pytest.mark.filterwarnings("default")  # what distributed warns of on its way up and down is not ours
def test_a_dask_cluster_finds_what_one_process_finds(tmp_path: Path) -> None:
    distributed = pytest.importorskip("distributed")
    question = question_from(plan(batching={"policy": "dynamic", "max_batch_size": [2, 4]}))
    options: dict[str, Any] = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None}
    with distributed.LocalCluster(**options) as cluster:
        address = cluster.scheduler_address
        found = capacities(question, expand(question), cluster=address, cache=tmp_path)
    assert [one.evidence for one in capacities(question, expand(question), jobs=1)] == [one.evidence for one in found]
    assert 2 == len(list(tmp_path.glob("*.json")))


@pytest.mark.filterwarnings("default")
def test_a_cluster_that_does_not_answer_is_named() -> None:
    pytest.importorskip("distributed")
    with pytest.raises(InputError, match="--cluster"):
        capacity(plan(), cluster="not an address")


class Shares:
    """A watch that notes how far the work is."""

    def __init__(self) -> None:
        self.seen: list[float] = []

    def stage(self, words: str) -> None:
        """Nobody reads it."""
        del words

    def done(self, share: float) -> None:
        """Note the share."""
        self.seen.append(share)


def test_progress_reaches_the_end() -> None:
    question = question_from(plan(batching={"policy": "dynamic", "max_batch_size": [2, 4]}))
    shares = Shares()
    capacities(question, expand(question), jobs=1, watch=shares)
    assert [0.5, 1.0] == shares.seen


def test_what_is_kept_is_free_and_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = capacity(plan(), cache=tmp_path)
    runs = counted(monkeypatch)
    again = capacity(plan(), cache=tmp_path)
    assert first.evidence == again.evidence
    assert [] == runs


def test_an_interrupted_search_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C costs at most the count of instances that was being simulated."""
    content = asked(plan(), arrivals={"process": "poisson", "rate": 180}, slo={"p99": "30ms"})
    whole = capacity(content)
    find = optimizer.search.find

    def interrupted(setting: Any, workload: str, instances: int, *rest: Any) -> Point:
        if instances == 4:
            raise KeyboardInterrupt
        return find(setting, workload, instances, *rest)

    monkeypatch.setattr(optimizer.search, "find", interrupted)
    with pytest.raises(KeyboardInterrupt):
        capacity(content, cache=tmp_path)
    monkeypatch.setattr(optimizer.search, "find", find)
    runs = counted(monkeypatch)
    resumed = capacity(content, cache=tmp_path)
    assert whole.evidence == resumed.evidence
    assert 2 not in runs


def test_more_demand_goes_on_from_the_smaller_fleets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    capacity(asked(plan(), slo={"p99": "30ms"}, arrivals={"process": "poisson", "rate": 30}), cache=tmp_path)
    runs = counted(monkeypatch)
    more = asked(plan(), slo={"p99": "30ms"}, arrivals={"process": "poisson", "rate": 100})
    assert capacity(more).evidence == capacity(more, cache=tmp_path).evidence
    assert runs


def test_a_refusal_is_kept_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = asked(plan(), slo={"p99": "5ms"})
    refusals = capacity(content, cache=tmp_path).refusals
    runs = counted(monkeypatch)
    assert refusals == capacity(content, cache=tmp_path).refusals
    assert [] == runs


@pytest.mark.parametrize("damage", ["", "{", '{"version": 1}', "[]"], ids=["empty", "cut", "partial", "other"])
def test_a_damaged_file_is_as_good_as_none_and_is_written_anew(tmp_path: Path, damage: str) -> None:
    whole = capacity(plan(), cache=tmp_path)
    (file,) = tmp_path.glob("*.json")
    content = file.read_text()
    file.write_text(damage)
    assert whole.evidence == capacity(plan(), cache=tmp_path).evidence
    assert json.loads(content) == json.loads(file.read_text())


def test_a_curve_never_lies_above_what_was_found_for_a_larger_fleet() -> None:
    """A row holds for the counts up to the next, so that a fall, by chance or not, must count before it."""
    points = tuple(point(count, each) for count, each in ((1, 5.0), (2, 9.0), (4, 8.0), (8, 8.5)))
    curve = curve_of(("w",), {"w": Evidence("w", 10.0, points)})
    assert ([1, 2, 8], [[5.0, 8.0, 8.5]]) == (curve.instances.tolist(), curve.rps_per_instance.tolist())


def test_workloads_whose_curves_end_early_keep_their_last_point() -> None:
    few = Evidence("few", 10.0, (point(1, 4.0), point(2, 5.0)))
    many = Evidence("many", 10.0, tuple(point(count, float(each)) for count, each in ((1, 1), (2, 2), (4, 3))))
    curve = curve_of(("few", "none", "many"), {"few": few, "many": many})
    assert [[4.0, 5.0, 5.0], [0.0, 0.0, 0.0], [1.0, 2.0, 3.0]] == curve.rps_per_instance.tolist()


def test_the_curves_are_those_of_the_capacities() -> None:
    question = question_from(plan())
    (curve,) = capacity_curves(question, expand(question), jobs=1)
    assert capacity(plan()).curve.rps_per_instance.tolist() == curve.rps_per_instance.tolist()
