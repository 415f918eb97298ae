"""Controls of the budget page: each says what --set would, and what it says is a sound budget file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from optimizer.budget.budget_file import BudgetQuestion, load_budget
from presentation.budget_controls import (
    AS_FORECAST,
    changes,
    command,
    controls_of,
    middle,
    offer_rows,
    plans_on_offer,
)
from presentation.library import shipped


def path() -> Path:
    return shipped("budget")["budget_2027"].path


@pytest.fixture(scope="module")
def question() -> BudgetQuestion:
    return load_budget(path())


def test_controls_begin_where_the_file_stands(question: BudgetQuestion) -> None:
    own = controls_of(question)
    assert (12, ("cud_1y", "cud_3y"), "regret", 0.3, AS_FORECAST, 33, 100) == tuple(vars(own).values())
    assert () == changes(question, own)


@pytest.mark.parametrize(
    ("moved", "reads"),
    [
        ({"months": 9}, lambda spec: spec.horizon.months == 9),
        ({"months": 3}, lambda spec: spec.price_cuts == () and spec.demand_scenarios == ()),
        ({"months": 5}, lambda spec: [one.name for one in spec.demand_scenarios] == ["everything halves"]),
        ({"plans": ("cud_3y",)}, lambda spec: spec.purchases == ("cud_3y",)),
        ({"plans": ()}, lambda spec: spec.purchases == ()),
        ({"measure": "cost"}, lambda spec: spec.risk.measure == "cost"),
        ({"weight": 0.55}, lambda spec: spec.risk.weight == 0.55),
        ({"growth": "-20%"}, lambda spec: {one.yearly for one in spec.growth.values()} == {-0.2}),
        ({"cut_percent": 50}, lambda spec: spec.price_cuts[0].share == 0.5),
        ({"cut_percent": 0}, lambda spec: spec.price_cuts == ()),
        ({"futures": 20}, lambda spec: spec.paths == 20),
    ],
)
def test_every_control_reaches_the_question(question: BudgetQuestion, moved: dict[str, Any], reads: Any) -> None:
    said = changes(question, replace(controls_of(question), **moved))
    assert reads(load_budget(path(), said).spec)


def test_a_growth_that_is_stated_can_be_taken_back(question: BudgetQuestion) -> None:
    stated = load_budget(path(), changes(question, replace(controls_of(question), growth="+30%")))
    own = controls_of(stated)
    assert "+30%" == own.growth
    assert ("budget.growth={}",) == changes(stated, replace(own, growth=AS_FORECAST))


def test_a_file_without_a_price_cut_gets_one_in_the_middle(question: BudgetQuestion) -> None:
    bare = load_budget(path(), ["budget.price_cuts=[]"])
    said = changes(bare, replace(controls_of(bare), cut_percent=44))
    (cut,) = load_budget(path(), ["budget.price_cuts=[]", *said]).spec.price_cuts
    assert (0.44, "2027-07-01") == (cut.share, str(cut.first))
    assert "2027-01-01" == str(middle(question.spec, 1))


def test_only_plans_that_have_a_rate_are_offered(question: BudgetQuestion) -> None:
    offered = {"cud_1y": "committed use, 1 year", "cud_3y": "committed use, 3 years"}
    assert offered == plans_on_offer(question)


def test_what_can_be_bought_says_from_which_use_it_pays(question: BudgetQuestion) -> None:
    first, second = offer_rows(question)
    assert "$0.318/h, pays from 45% use" == first["committed use, 3 years"]
    assert "no rate" == second["committed use, 3 years"]


def test_the_command_line_can_be_pasted() -> None:
    assert "optimize 'my budget.yaml' --set 'budget.growth={}'" == command("my budget.yaml", ["budget.growth={}"])
