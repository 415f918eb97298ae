"""What a budget hangs on: one input at a time, the promises stay; and the usual week of its fleets."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from calibration.problems import InputError, Problem
from optimizer.budget import sensitivity
from optimizer.budget.budget import Budget
from optimizer.budget.budget_file import BudgetQuestion
from optimizer.budget.chain import budget
from optimizer.budget.fleet_of_demand import fleet_tables
from optimizer.budget.purchases import newsvendor
from optimizer.budget.sensitivity import CHANGES, Sensitivity, sensitivities, with_slo
from optimizer.budget.typical_week import typical_week
from optimizer.plan_file import Question
from tests.optimizer.budget_questions import question, steps


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> BudgetQuestion:
    return question(tmp_path_factory.mktemp("sensitivity"))


@pytest.fixture(scope="module")
def small(asked: BudgetQuestion) -> Budget:
    return budget(asked, forecaster=steps, buyer=newsvendor)


@pytest.fixture(scope="module")
def found(asked: BudgetQuestion, small: Budget) -> dict[str, Sensitivity]:
    return {one.name: one for one in sensitivities(asked, small)}


def test_what_moves_the_budget_most_comes_first(found: dict[str, Sensitivity]) -> None:
    reaches = [one.reach_usd for one in found.values()]
    assert reaches == sorted(reaches, reverse=True)


def test_more_demand_dearer_prices_and_less_efficiency_cost_more(found: dict[str, Sensitivity], small: Budget) -> None:
    mean = small.total.effective.mean
    for name in ("demand", "on-demand price"):
        low, high = found[name].low.usd, found[name].high.usd
        assert low is not None
        assert high is not None
        assert low < mean < high, name
    worse, better = found["efficiency"].low.usd, found["efficiency"].high.usd
    assert worse is not None
    assert better is not None
    assert better < mean < worse


def test_only_what_is_bought_on_demand_follows_its_price(found: dict[str, Sensitivity], small: Budget) -> None:
    """With all futures settled, a fifth more is a fifth of the on-demand part, to the cent."""
    high = found["on-demand price"].high.usd
    assert high is not None
    assert high - small.total.effective.mean == pytest.approx(0.2 * small.total.on_demand_usd)


def test_without_promises_the_whole_bill_follows_the_price(tmp_path: Path) -> None:
    plain = question(tmp_path, purchases=None)
    bare = budget(plain, forecaster=steps)
    found = {one.name: one for one in sensitivities(plain, bare)}
    assert found["on-demand price"].low.usd == pytest.approx(0.8 * bare.total.effective.mean)


def test_stated_capacities_do_not_hang_on_the_slo(found: dict[str, Sensitivity], small: Budget) -> None:
    assert 0 == small.simulated
    assert {"demand", "on-demand price", "efficiency"} == set(found)


def test_an_objective_that_no_fleet_holds_is_said_and_costs_nothing_known(
    asked: BudgetQuestion, small: Budget, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned = fleet_tables

    def refused(plan: Question, *given: object, **options: object) -> object:
        if plan.workloads["chat"].slo == with_slo(asked.plan, CHANGES["SLO"][0]).workloads["chat"].slo:
            raise InputError([Problem("f", None, None, "plan", "leaves no fleet for some demand", None, "Relax.")])
        return planned(plan, *given, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(sensitivity, "fleet_tables", refused)
    found = {one.name: one for one in sensitivities(asked, replace(small, simulated=1))}
    assert found["SLO"].low.usd is None
    assert "leaves no fleet for some demand" == found["SLO"].low.reason
    assert found["SLO"].high.usd == pytest.approx(small.total.effective.mean)
    assert 0 == found["SLO"].reach_usd


def test_objectives_are_moved_by_their_share(asked: BudgetQuestion) -> None:
    moved = with_slo(asked.plan, 0.8).workloads["chat"].slo
    assert moved is not None
    assert {"p99": 80_000_000} == moved.targets_ns
    own = asked.plan.workloads["chat"].slo
    assert own is not None
    assert {"p99": 100_000_000} == own.targets_ns


def test_a_budget_without_its_fleets_is_refused(asked: BudgetQuestion, small: Budget) -> None:
    bare = replace(small, hourly=None)
    with pytest.raises(ValueError, match="must hold its fleets"):
        sensitivities(asked, bare)
    with pytest.raises(ValueError, match="must hold its fleets"):
        typical_week(bare)


def test_a_usual_week_runs_what_the_fleets_of_the_budget_do(small: Budget) -> None:
    week = typical_week(small)
    assert (("chat", "g2-standard-4"), ("tags", "g2-standard-4")) == week.columns
    assert (168, 2) == week.mean.shape
    assert (week.p10 <= week.p90).all()
    assert small.hourly is not None
    assert small.demand is not None
    every = np.stack(list(small.hourly.every(small.demand))).sum(axis=2)
    first = small.demand.start.weekday() * 24  # hour of the week in which the budget begins
    assert every[:, ::168].mean() == pytest.approx(week.total[first])


def test_a_usual_week_is_busy_when_the_history_was(small: Budget) -> None:
    """The shape of a, by day three times as much as by night, has no season in b."""
    chat = typical_week(small).mean[:, 0].reshape(7, 24)
    assert (chat[:, 8:20] > 2 * chat[:, [0, 1, 22, 23]].max()).all()


def test_what_is_promised_is_counted_in_instances(small: Budget) -> None:
    assert sum(line.units for line in small.purchases) == pytest.approx(typical_week(small).promised)


def test_a_what_if_may_ask_more_than_any_future_does(tmp_path: Path) -> None:
    twice = {"name": "twice", "workload": "chat", "first": "2027-01-01", "factor": 2.0}
    all_of_it = {"name": "all of it", "first": "2027-02-01", "factor": 1.5}
    more = budget(
        question(tmp_path, demand_scenarios=[twice, all_of_it]), forecaster=steps, buyer=newsvendor
    )  # fmt: skip
    by_name = {one.name: one for one in more.what_ifs}
    for name in ("twice", "all of it"):
        assert by_name[name].without_usd > by_name["nothing of it"].without_usd
