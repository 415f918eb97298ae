"""The budget page: what is known before, controls that reach the question, the answer, wrong input in place."""

from __future__ import annotations

import time
from typing import Any

import pytest

pytest.importorskip("streamlit")

from streamlit.testing.v1 import AppTest

from tests.app.pages import figures, moved, opened
from tests.presentation.sample_budgets import upload
from tests.presentation.test_budget_study import table

PATIENCE_S = 120


def command(app: AppTest) -> str:
    """The command line that the page shows."""
    return next(str(code.value) for code in app.code if str(code.value).startswith("optimize "))


def answered(app: AppTest, button: str, label: str) -> AppTest:
    """The app once the work that a button begins has given this card."""
    app.button(key=button).click().run()
    return awaited(app, label)


def awaited(app: AppTest, label: str) -> AppTest:
    """The app once it shows this card."""
    until = time.monotonic() + PATIENCE_S
    while label not in figures(app):
        assert not app.exception
        assert not app.error, [error.value for error in app.error]
        assert time.monotonic() < until, [markdown.value for markdown in app.markdown][:3]
        time.sleep(0.3)
        app.run()
    return app


def with_files(app: AppTest, **changes: Any) -> AppTest:
    """The app with a small budget uploaded."""
    moved(app, "selectbox", "budget", "Upload …")
    files = [(name, content, "text/plain") for name, content in upload(**changes).items()]
    app.file_uploader(key="budget_files").set_value(files).run()
    assert not app.exception
    return app


def test_the_page_opens_on_what_is_known_without_any_work() -> None:
    app = opened("budget")
    assert "#### budget-2027" == next(text.value for text in app.markdown if text.value.startswith("####"))
    assert any("Work it out" in info.value for info in app.info)
    assert any("pays from 45% use" in str(found.value) for found in app.table)
    assert "optimize scenarios/budget_2027.yaml" == command(app)
    assert not app.error


@pytest.mark.parametrize(
    ("kind", "key", "value", "said"),
    [
        ("slider", "horizon", 9, "--set budget.horizon=9mo"),
        ("multiselect", "plans", ["cud_3y"], "--set 'budget.purchases=[cud_3y]'"),
        ("slider", "weight", 0.5, "--set budget.risk.weight=0.5"),
        ("selectbox", "growth", "+30%", "budget.growth="),
        ("slider", "cut", 50, '"share": 0.5'),
        ("select_slider", "futures", 20, "--set budget.paths=20"),
        ("text_area", "budget_set", "budget.cost_of_capital=0.1", "--set budget.cost_of_capital=0.1"),
    ],
)
def test_every_control_reaches_the_question(kind: str, key: str, value: Any, said: str) -> None:
    app = moved(opened("budget"), kind, key, value)
    assert not app.error
    assert said in command(app)


def test_what_is_bad_can_be_high_cost() -> None:
    app = moved(opened("budget"), "segmented_control", "measure", "cost")
    assert "--set budget.risk.measure=cost" in command(app)


def test_a_wrong_key_is_refused_in_place_and_the_page_stays() -> None:
    app = moved(opened("budget"), "text_area", "budget_set", "budget.pahts=20")
    assert "Did you mean 'paths'?" in app.error[0].value
    assert "optimize scenarios/budget_2027.yaml" == command(app)
    moved(app, "text_area", "budget_set", "budget.paths=20")
    assert not app.error


def test_a_wrong_file_is_told_as_the_command_line_would() -> None:
    app = with_files(opened("budget"), start="2030-01-01")
    assert "must end within a year before the budget starts" in app.error[0].value
    assert "headroom-" not in app.error[0].value
    assert any("cannot be worked out yet" in text.value for text in app.markdown)


def test_a_budget_that_names_a_file_elsewhere_is_refused() -> None:
    outside = {"file": "/etc/passwd"}
    app = with_files(opened("budget"), history={"chat": outside, "tags": outside})
    assert "must be a file beside the scenario" in app.error[0].value


def test_an_uploaded_budget_is_worked_out_changed_and_taken_away() -> None:
    app = answered(with_files(opened("budget")), "work_out", "Expected cost")
    first = figures(app)
    assert first["Expected cost"].startswith("$")
    labels = [button.label for button in app.download_button]
    for label in ("Everything (ZIP)", "Budget file as edited (YAML)", "What to buy (CSV)", "Demand forecast (CSV)"):
        assert label in labels
    heads = [text.value for text in app.markdown]
    assert any("in eight of ten futures" in head for head in heads)
    assert any("**What to promise**" in head for head in heads)

    moved(app, "selectbox", "growth", "+200%")
    assert any("The question has changed" in text.value for text in app.markdown)
    assert first == figures(app)
    app.button(key="work_out").click().run()
    until = time.monotonic() + PATIENCE_S
    while figures(app)["Expected cost"] == first["Expected cost"]:
        assert time.monotonic() < until
        time.sleep(0.3)
        app.run()
    assert next(metric.delta for metric in app.metric if metric.label == "Expected cost").startswith("+$")


def test_the_shipped_demand_alone_is_studied_at_once() -> None:
    app = moved(opened("budget"), "segmented_control", "way", "Demand alone")
    awaited(app, "On this past")
    assert figures(app)["Expected cost"].endswith("%")
    assert command(app).startswith("optimize commitments vm-demand.csv --price-ratio 0.7 --term 1y")
    moved(app, "slider", "ratio", 50)
    awaited(app, "On this past")
    assert "--price-ratio 0.5" in command(app)


def test_a_demand_of_ones_own_is_studied_and_a_wrong_one_told() -> None:
    app = moved(opened("budget"), "segmented_control", "way", "Demand alone")
    moved(app, "selectbox", "demand", "Upload …")
    assert any("Drop a table" in info.value for info in app.info)
    wrong = b"timestamp,demand\n2026-01-01T00:00:00Z,-1\n"
    app.file_uploader(key="demand_file").set_value([("mine.csv", wrong, "text/csv")]).run()
    assert "mine.csv:2" in app.error[0].value
    app.file_uploader(key="demand_file").set_value([("mine.csv", table(), "text/csv")]).run()
    assert not app.error
    answered(app, "study_run", "Expected cost")
    assert "What to buy (CSV)" in [button.label for button in app.download_button]
