"""The arrays that are solved say what the file says."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from optimizer.demand import demand
from optimizer.problem import CapacityCurve, PlanProblem
from optimizer.problem_of import problem_of, stated_curve
from optimizer.settings import expand
from tests.optimizer.questions import asked, limited, plan, question

SMALL: dict[str, Any] = {"name": "small", "usd_per_hour": 1.0, "capacity_rps": {"w": 5, "v": 2}}
LARGE: dict[str, Any] = {"name": "large", "usd_per_hour": 4.0, "capacity_rps": {"w": 40}, "max_instances": 8}
SEARCHED: dict[str, Any] = {
    "name": "l4",
    "usd_per_hour": 0.8,
    "profile": "toy",
    "max_instances": 6,
    "batching": {"policy": "dynamic", "max_batch_size": [4, 16]},
}


def problem(*candidates: dict[str, Any], content: dict[str, Any] | None = None, **keys: Any) -> PlanProblem:
    """The problem of two workloads and these candidates; what is simulated carries 10 and 11 a second an instance."""
    base = asked(plan() if content is None else content, "v")
    found = question(limited(base, candidates=list(candidates), **keys))
    settings = expand(found)
    simulated = CapacityCurve(np.array([1, 4]), np.array([[10.0, 11.0], [10.0, 11.0]]))
    curves = [simulated if setting.simulated else None for setting in settings]
    return problem_of(found, settings, curves, demand(found))


def test_every_setting_is_an_option_that_remembers_it() -> None:
    found = problem(SMALL, SEARCHED)
    assert ["small", "l4: batch 4", "l4: batch 16"] == [option.name for option in found.options]
    assert [option.name for option in found.options] == [option.detail.name for option in found.options]
    assert ["small", "l4", "l4"] == [option.candidate for option in found.options]
    assert [[1.0], [0.8], [0.8]] == [option.usd_per_hour.tolist() for option in found.options]
    assert (("w", "v"), ("all day",)) == (found.workloads, found.hours)
    assert [[100.0], [10.0]] == found.demand_rps.tolist()


def test_a_stated_capacity_is_the_same_for_every_instance_and_0_where_nothing_is_said() -> None:
    found = problem(SMALL, LARGE)
    assert [[[5.0], [2.0]], [[40.0], [0.0]]] == [option.curve.rps_per_instance.tolist() for option in found.options]
    assert [[1], [1]] == [option.curve.instances.tolist() for option in found.options]


def test_a_simulated_capacity_is_never_taken_as_stated() -> None:
    found = question(plan())
    with pytest.raises(ValueError, match="states no capacity"):
        stated_curve(found, expand(found)[0])


def test_a_limit_on_a_candidate_holds_for_all_its_settings_together() -> None:
    """Each setting up to the limit would be twice the limit."""
    found = problem(SMALL, LARGE, SEARCHED)
    assert [None, 8, 6, 6] == [option.max_instances for option in found.options]
    (quota,) = found.quotas
    assert ("max_instances of l4", (2, 3), 6) == (quota.name, quota.options, quota.max_instances)


def test_a_quota_holds_for_its_candidates_together() -> None:
    quotas = {"eu": {"candidates": ["small", "l4"], "max_instances": 3}}
    found = problem(SMALL, LARGE, SEARCHED, quotas=quotas)
    assert [3, 8, 3, 3] == [option.max_instances for option in found.options]
    assert [("max_instances of l4", (2, 3), 6), ("quota eu", (0, 2, 3), 3)] == [
        (quota.name, quota.options, quota.max_instances) for quota in found.quotas
    ]
    lone = problem(SMALL, LARGE, quotas={"eu": {"candidates": ["large"], "max_instances": 3}})
    assert ((), 3) == (lone.quotas, lone.options[1].max_instances)


def test_accuracy_is_not_a_number_where_it_is_not_stated() -> None:
    found = problem(
        SMALL | {"accuracy": {"w": 0.9}}, LARGE | {"accuracy": 0.8}, content=asked(plan(), min_accuracy=0.8)
    )
    assert [0.8] == found.floors[:1].tolist()
    assert np.isnan(found.floors[1])
    assert [0.9] == found.options[0].accuracy[:1].tolist()
    assert np.isnan(found.options[0].accuracy[1])
    assert [0.8, 0.8] == found.options[1].accuracy.tolist()
    assert (0,) == problem(SMALL).min_accuracy.shape


def test_what_a_request_costs_beside_the_instance_depends_on_its_answer() -> None:
    content = asked(plan(), answer_size="2MB")
    content = asked(content, "v", answer_size="0")
    found = problem(SMALL | {"usd_per_request": 1e-6, "egress_usd_per_gb": 0.1}, content=content)
    assert [1e-6 + 2e-4, 1e-6] == pytest.approx(found.options[0].usd_per_request.tolist())


def test_memory_is_in_gib_and_without_bound_where_it_is_not_stated() -> None:
    bound = SMALL | {"memory": "24GiB", "model_memory": {"w": "6GiB"}}
    found = problem(bound, LARGE)
    assert ([6.0, 0.0], 24.0) == (found.options[0].memory_gib.tolist(), found.options[0].device_memory_gib)
    assert ([0.0, 0.0], np.inf) == (found.options[1].memory_gib.tolist(), found.options[1].device_memory_gib)


def test_what_may_be_lost_is_a_spare_instance_or_a_zone() -> None:
    def lost(**keys: Any) -> tuple[int, int]:
        (option,) = problem(SMALL | ({"zones": 3} if keys.get("survive") == "zone" else {}), **keys).options
        return option.spare, option.zones

    assert [(0, 1), (1, 1), (0, 3)] == [lost(), lost(survive="instance"), lost(survive="zone")]


def test_starting_and_staying_are_kept_in_whole_hours() -> None:
    (option,) = problem(SMALL | {"start_usd": 0.25, "min_up": "90min"}).options
    assert (0.25, 2) == (option.start_usd, option.min_up_hours)


def test_a_day_that_repeats_is_a_ring_and_prices_hold_for_each_hour() -> None:
    series = {"process": "rate_series", "requests": [36_000.0] * 24, "interval": "1h", "repeat": True}
    found = problem(SMALL, content=asked(plan(), arrivals=series))
    assert found.cyclic
    assert (24, 24, (2, 24)) == (len(found.hours), len(found.options[0].usd_per_hour), found.demand_rps.shape)
    assert 730.0 == pytest.approx(found.month_h)


def test_limits_on_spending_reach_the_problem() -> None:
    assert 7.5 == problem(SMALL, max_usd_per_hour=7.5).max_usd_per_hour


def test_settings_without_curves_are_a_mistake_of_ours() -> None:
    found = question(plan())
    with pytest.raises(ValueError, match="shorter"):
        problem_of(found, expand(found), [], demand(found))
