"""A budget on its page: figures, tables and charts say what the budget says, in units a reader knows."""

from __future__ import annotations

import re

import numpy as np
import pytest

from optimizer.budget.budget import NOBODY
from optimizer.budget.sensitivity import Sensitivity, Variant
from presentation import budget_answer as look
from presentation import budget_charts as charts
from presentation.budget_downloads import budget_files, packed
from tests.presentation.sample_budgets import small

TORNADO = (
    Sensitivity("demand", "requests in every hour", Variant(0.8, 80.0), Variant(1.2, 130.0), 100.0),
    Sensitivity("SLO", "every objective", Variant(0.8, None, "has no fleet"), Variant(1.25, 100.0), 100.0),
)


def test_the_verdict_is_the_mean_the_deciles_and_the_promise() -> None:
    said = look.verdict(small().budget)
    total = small().budget.total.effective
    assert f"${total.mean:,.0f}" in said
    assert f"in eight of ten futures ${total.p10:,.0f} to ${total.p90:,.0f}" in said
    assert "× g2-standard-4 on cud_3y" in said
    assert look.verdict(small(bare=True).budget).endswith("promise nothing")


def test_cards_add_up() -> None:
    cards = {card.label: card for card in look.cards(small().budget, None)}
    assert ["Expected cost", "8 of 10 futures", "Saved", "Not used"] == list(cards)
    assert "Jan 27 to Feb 27, 2 months" == cards["Expected cost"].below
    assert not cards["Expected cost"].change
    assert cards["Saved"].below.endswith("less than all on demand")
    none = {card.label: card for card in look.cards(small(bare=True).budget, None)}
    assert ("$0.00", "0% covered, nothing is promised") == (none["Not used"].value, none["Not used"].below)


def test_a_change_is_held_against_the_file_as_it_is() -> None:
    (first, *_) = look.cards(small(bare=True).budget, small().budget)
    assert first.change.startswith("+$")
    assert first.dearer


def test_tables_have_a_row_for_each_month_promise_and_course() -> None:
    budget = small().budget
    months = look.month_rows(budget)
    assert ["2027-01", "2027-02", "total"] == [row["month"] for row in months]
    assert sum(row["mean"] for row in months[:2]) == pytest.approx(months[2]["mean"])
    assert len(budget.purchases) == len(look.purchase_rows(budget))
    assert "45% use" == look.purchase_rows(budget)[0]["pays from"]
    assert "cut" in [row["what if"] for row in look.what_if_rows(budget)]
    assert {"chat", "tags"} == {row["workload"] for row in look.history_rows(budget)}
    assert look.rule_shares(budget)["nothing promised"] == 1.0
    assert look.rule_shares(budget)[look.CHOSEN] < 1.0


def test_dollars_of_the_page_are_no_formula() -> None:
    page = look.page_markdown(small().budget)
    assert "## What to buy" in page
    assert not re.search(r"(?<!\\)\$", page)


def test_the_fan_holds_its_middle() -> None:
    figure = charts.fan_chart(small().budget.months, promised=True)
    low, high, middle, without = (np.array(trace.y, dtype=float) for trace in figure.data)
    assert (low <= middle).all()
    assert (middle <= high).all()
    assert (without > 0).all()
    assert ["Jan 27", "Feb 27"] == list(figure.data[2].x)
    assert 3 == len(charts.fan_chart(small(bare=True).budget.months, promised=False).data)


def test_what_is_not_used_stands_apart_below_zero() -> None:
    budget = small().budget
    figure = charts.coverage_chart(budget.months, budget.total)
    parts = {trace.name: np.array(trace.y, dtype=float) for trace in figure.data}
    assert (parts["not used"] < 0).all()
    above = parts["used"] + parts["on demand"] - parts["not used"]
    assert above == pytest.approx([month.effective.mean for month in budget.months])
    assert "Promises cover" in figure.layout.title.text
    bare = small(bare=True).budget
    assert ["on demand"] == [trace.name for trace in charts.coverage_chart(bare.months, bare.total).data]


def test_a_forecast_has_its_past_and_two_bands() -> None:
    answer = small()
    past = answer.question.history["chat"]
    assert answer.budget.demand is not None
    figure = charts.forecast_chart("chat", past, answer.budget.start, answer.budget.demand.rps["chat"])
    assert ["past", "8 of 10 futures", "half of them", "middle"] == [t.name for t in figure.data if t.name]
    alone = charts.forecast_chart("chat", past, answer.budget.start, None)
    assert "chat: past demand" == alone.layout.title.text
    assert past.start.date() == alone.data[0].x[0]


def test_a_usual_week_stacks_what_runs_and_marks_what_is_promised() -> None:
    week = small().week
    figure = charts.week_chart(week)
    stacked = [np.array(trace.y, dtype=float) for trace in figure.data if trace.stackgroup]
    assert np.sum(stacked, axis=0) == pytest.approx(week.total)
    assert any(str(trace.name).startswith("promised: ") for trace in figure.data)
    assert not any(str(trace.name).startswith("promised") for trace in charts.week_chart(small(bare=True).week).data)


def test_the_tornado_begins_at_the_mean_and_says_what_has_no_fleet() -> None:
    low, high = charts.tornado_chart(TORNADO).data
    assert (-20.0, 0.0) == low.x
    assert (30.0, 0.0) == high.x
    assert (100.0, 100.0) == low.base
    assert ("−20%: −$20.00", "−20%: no fleet holds it; +25%: no change") == low.text
    assert ("+20%: +$30.00", "") == high.text
    assert "no fleet holds it" in charts.tornado_alt(TORNADO)


def test_who_pays_adds_up_and_names_what_is_nobodys() -> None:
    budget = small().budget
    for trace in charts.shares_chart(budget).data:
        assert sum(trace.x) == pytest.approx(budget.total.effective.mean)
    assert NOBODY.strip("()") in charts.shares_chart(budget).data[0].y[1]
    assert ["team", "model"] == [trace.name for trace in charts.shares_chart(budget).data]


def test_every_chart_is_said_in_words() -> None:
    budget = small().budget
    assert "Jan 27 $" in charts.fan_alt(budget.months)
    assert "covered" in charts.coverage_alt(budget.months)
    assert "team search: $" in charts.shares_alt(budget)
    assert "In a usual week" in charts.week_alt(small().week)
    assert "chat: " in charts.forecast_alt("chat", small().question.history["chat"], None)
    assert "nothing promised 100.0%" in charts.rules_alt(look.rule_shares(budget))


def test_the_files_are_those_of_the_command_line() -> None:
    files = budget_files(small().budget)
    assert {"budget.csv", "budget.json", "forecast.csv", "purchases.csv", "report.md"} < set(files)
    assert files["budget_fan.png"].startswith(b"\x89PNG")
    assert packed(files).startswith(b"PK")
