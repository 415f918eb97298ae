"""Keys of kept capacities: everything that decides a capacity is in them, and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from optimizer.cache import CapacityCache, default_folder, key_of
from optimizer.evidence import Evidence, Point, Refusal
from optimizer.plan_file import question_from
from optimizer.settings import Setting, expand
from tests.optimizer.questions import asked, plan

EVIDENCE = Evidence("w", 100.0, (Point(1, 70.1, 0.7, 0.7, {"p99": 9.9}, {"p99": 10.0}, "p99", 1000, 5),))


def setting(content: dict[str, Any]) -> Setting:
    """The only setting of a plan."""
    (only,) = expand(question_from(content))
    return only


BASE = plan(batching={"policy": "dynamic", "max_batch_size": 8})

SLOWER = {"batch": [1, 8, 16], "latency_ms": [10, 24, 40.001]}


@pytest.mark.parametrize(
    "other",
    [
        plan(batching={"policy": "dynamic", "max_batch_size": 8, "max_queue_delay": "1ms"}),
        plan(batching={"policy": "dynamic", "max_batch_size": 7}),
        plan(batching={"policy": "dynamic", "rule": "textbook", "max_batch_size": 8}),
        plan(batching={"policy": "dynamic", "max_batch_size": 8}, model_instances=2),
        plan(batching={"policy": "dynamic", "max_batch_size": 8}, router="random"),
        plan(batching={"policy": "dynamic", "max_batch_size": 8}, added_latency="1ms"),
        BASE | {"profiles": {"toy": SLOWER}},
        asked(BASE, slo={"p99": "99ms"}),
        asked(BASE, slo={"p99": "100ms", "mean": "50ms"}),
        asked(BASE, timeout="1s"),
        asked(BASE, items_per_request=2),
        asked(BASE, arrivals={"process": "gamma", "rate": 100, "cv": 2}),
        asked(BASE, arrivals={"process": "deterministic", "rate": 100}),
    ],
)
def test_whatever_decides_a_capacity_changes_its_key(other: dict[str, Any]) -> None:
    assert key_of(setting(BASE), "w") != key_of(setting(other), "w")


@pytest.mark.parametrize(
    "other",
    [
        plan(batching={"policy": "dynamic", "max_batch_size": 8}, usd_per_hour=9.0, name="other"),
        BASE | {"name": "another plan", "seed": 99},
        asked(BASE, arrivals={"process": "poisson", "rate": 7}),
        asked(BASE, "second"),
    ],
)
def test_names_prices_seeds_and_rates_do_not(other: dict[str, Any]) -> None:
    assert key_of(setting(BASE), "w") == key_of(setting(other), "w")


def test_a_shape_of_bursts_is_in_the_key_and_its_rate_is_not() -> None:
    def mmpp(*rates: float) -> str:
        arrivals = {"process": "mmpp", "rates": list(rates), "mean_durations": ["3s", "1s"]}
        return key_of(setting(asked(BASE, arrivals=arrivals)), "w")

    assert mmpp(10, 100) == mmpp(20, 200)
    assert mmpp(10, 100) != mmpp(10, 200)


def test_what_is_kept_comes_back_to_the_last_bit(tmp_path: Path) -> None:
    cache = CapacityCache(tmp_path / "deep" / "folder")
    refused = Evidence("w", 1 / 3, (), Refusal("w", "p99", 1.0, 2.0, "service"))
    for key, evidence in (("a", EVIDENCE), ("b", refused)):
        cache.keep(key, evidence)
        assert evidence == cache.get(key, "w")


def test_a_capacity_is_told_of_the_workload_that_asks(tmp_path: Path) -> None:
    """Two workloads that ask the same share one entry, and a refusal must not speak of the other one."""
    cache = CapacityCache(tmp_path)
    cache.keep("a", Evidence("w", 1.0, (), Refusal("w", "p99", 1.0, 2.0, "service")))
    found = cache.get("a", "other")
    assert found is not None
    assert found.refusal is not None
    assert ("other", "other") == (found.workload, found.refusal.workload)


def test_an_entry_under_the_wrong_key_is_none(tmp_path: Path) -> None:
    cache = CapacityCache(tmp_path)
    cache.keep("a", EVIDENCE)
    (tmp_path / "a.json").rename(tmp_path / "b.json")
    assert cache.get("b", "w") is None


def test_a_folder_that_cannot_be_written_to_keeps_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    cache = CapacityCache(tmp_path / "file" / "below")
    cache.keep("a", EVIDENCE)
    assert cache.get("a", "w") is None


def test_nothing_is_left_beside_the_entries(tmp_path: Path) -> None:
    CapacityCache(tmp_path).keep("a", EVIDENCE)
    assert ["a.json"] == [path.name for path in tmp_path.iterdir()]


def test_the_folder_is_the_users_cache_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert tmp_path / "headroom" / "capacities" == default_folder()
