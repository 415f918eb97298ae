"""One verb from a plan file to a plan that was simulated: search, solver, proof and explanation together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from calibration.problems import InputError
from optimizer import study
from optimizer.plan import plan_json
from optimizer.plan_file import load_plan
from optimizer.solution import NoPlanInTimeError
from optimizer.study import optimize
from tests.optimizer.proofs import l4s, poisson, two
from tests.optimizer.questions import CONTRACT, TOY, asked, limited, plan, question


def stated(rate: float, **keys: Any) -> dict[str, Any]:
    return asked(plan(profile=None, capacity_rps={"w": 40}, **keys), arrivals=poisson(rate))


class Heard:
    """What a watch was told."""

    def __init__(self) -> None:
        self.stages: list[str] = []

    def stage(self, words: str) -> None:
        self.stages.append(words)

    def done(self, share: float) -> None:
        assert 0 <= share <= 1


def test_the_contracts_example_is_planned_proven_and_explained(tmp_path: Path) -> None:
    file = tmp_path / "plan.yaml"
    file.write_text(CONTRACT + TOY)
    document = plan_json(optimize(load_plan(file), cache=tmp_path))
    assert ("optimal", 0.8048) == (document["status"], round(document["cost"]["usd_per_hour"], 6))
    assert document["lower_bound_usd_per_hour"] <= document["cost"]["usd_per_hour"]
    assert [("l4", "g6.xlarge", 1)] == [
        (f["candidate"], f["instance_type"], f["instances"]) for f in document["fleets"]
    ]
    assert {"short": 1.0, "long": 1.0} == document["fleets"][0]["share"]
    assert document["verified"]["short"]["met"] is document["verified"]["long"]["met"] is True
    assert document["verified"]["short"]["p99_ms"] < 200
    assert "l4" == document["best_single_type"]["candidate"]


def test_two_candidates_with_profiles_are_searched_planned_and_proven(tmp_path: Path) -> None:
    content = limited(two(l4s(1000.0), max_instances=1), replications=2)
    found = optimize(question(content), cache=tmp_path, explain=False)
    assert found.met is True
    assert found.usd_per_hour is not None
    assert found.usd_per_hour <= 2.4 + 1e-9  # three l4
    assert found.rounds[-1].misses == ()
    assert {"capacity", "solve", "prove", "explain"} == set(found.timing_s)
    assert {"l4", "big"} == {one["candidate"] for one in found.capacity}


def test_stated_capacities_are_planned_without_a_simulation() -> None:
    found = optimize(question(stated(100.0)))
    assert (None, None) == (found.verified, found.met)
    assert [3] == [fleet.instances for fleet in found.fleets]
    assert found.explanation is not None


def test_an_objective_below_the_service_time_leaves_no_plan_and_says_why(tmp_path: Path) -> None:
    found = optimize(question(asked(l4s(100.0), slo={"p99": "8ms"})), cache=tmp_path)
    assert "infeasible" == found.status
    (why,) = found.binding
    assert (
        "no candidate meets p99 <= 8 ms for w: service alone takes 10 ms at batch 1 (least on l4: batch 16)"
        == why.words
    )
    assert (8.0, 10.0) == (why.value, why.needed)
    assert plan_json(found)["binding"][0]["needed"] == why.needed


def test_the_nearest_objective_that_is_named_can_be_had(tmp_path: Path) -> None:
    found = optimize(question(asked(l4s(1.0), slo={"p99": "8ms"})), cache=tmp_path)
    needed = found.binding[0].needed
    assert needed is not None
    looser = asked(l4s(1.0), slo={"p99": f"{needed + 0.1:g}ms"})
    assert optimize(question(looser), cache=tmp_path, explain=False).feasible


def test_too_few_instances_leave_no_plan_and_say_how_many_would_do() -> None:
    found = optimize(question(stated(100.0, max_instances=2)))
    assert [("max_instances", 3.0)] == [(one.limit, one.needed) for one in found.binding]
    assert found.explanation is None


def test_a_plan_that_was_not_simulated_says_so(tmp_path: Path) -> None:
    found = optimize(question(l4s(100.0)), cache=tmp_path, prove=False, explain=False)
    assert found.verified is None
    assert any("not simulated" in words for words in found.warnings)


def test_no_plan_in_time_is_told_at_the_time_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    def late(*_: object, **__: object) -> None:
        raise NoPlanInTimeError

    monkeypatch.setattr(study, "solve", late)
    with pytest.raises(InputError, match=r"plan.time_limit: passed before any plan was found"):
        optimize(question(stated(100.0)))


def test_an_interrupted_search_keeps_what_was_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    asked_for = question(l4s(100.0))
    with monkeypatch.context() as patched:
        patched.setattr(study, "solve", interrupted)
        with pytest.raises(KeyboardInterrupt):
            optimize(asked_for, cache=tmp_path)
    kept = {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*.json")}
    assert kept
    assert optimize(asked_for, cache=tmp_path, explain=False).met is True
    assert kept == {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*.json")}


def test_a_watch_hears_of_every_stage(tmp_path: Path) -> None:
    heard = Heard()
    optimize(question(l4s(100.0)), cache=tmp_path, watch=heard, explain=False)
    stages = ["finding what 1 setting can carry", "looking for the cheapest plan", "simulating the plan"]
    assert stages == [words for words in heard.stages if "compiling" not in words]
