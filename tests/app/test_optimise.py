"""Every control of the plan reaches the search; what is wrong is refused in its place and the page goes on."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.app.pages import ROOT, TIMEOUT_S, AppTest, figures, moved, opened
from tests.presentation.sample_plans import IMPOSSIBLE, STATED

PATIENCE_S = 180

LIMITED = STATED.replace("max_instances: 8", "max_instances: 1")


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Capacities are kept for these tests alone."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "capacities"))


def at(plan: str) -> Any:
    """The page alone, with this plan file chosen; nothing raised."""
    app = AppTest.from_file(str(ROOT / "views" / "optimise.py"), default_timeout=TIMEOUT_S)
    app.session_state["plan"] = plan
    app.run()
    assert not app.exception
    return app


def pasted(text: str = STATED) -> Any:
    """The page with a plan file of one's own."""
    return moved(at("Paste …"), "text_area", "plan_text", text)


def searched(app: Any) -> Any:
    """The page with its plan: after the button was pressed, unless somebody has asked the same before."""
    button = app.button(key="find")
    return app if button.disabled else ended(button.click().run())


def ended(app: Any) -> Any:
    """The page once nothing is searched any more."""
    until = time.monotonic() + PATIENCE_S
    while any(button.key == "stop" for button in app.button):
        assert time.monotonic() < until, "the search did not end"
        time.sleep(0.2)
        app.run()
    assert not app.exception
    return app


def command(app: Any) -> str:
    """The command line that the page shows."""
    return next(str(code.value) for code in app.code if str(code.value).startswith("optimize "))


def words(app: Any) -> str:
    """Everything that the page says in words."""
    return "\n".join(markdown.value for markdown in app.markdown)


@pytest.fixture(scope="module")
def solved() -> Any:
    """A small plan that is up against a limit, searched once."""
    return searched(pasted(LIMITED))


def test_a_plan_file_is_not_searched_before_somebody_asks() -> None:
    app = pasted(STATED.replace("name: small", "name: fresh"))
    assert "fresh: no plan yet" in words(app)
    assert any("Find the cheapest plan" in info.value for info in app.info)
    asked, served = app.table[:2]
    assert ["p99 200 ms"] == list(asked.value["SLO"])
    assert ["big", "little", "dear"] == list(served.value["candidate"])
    assert "Every capacity is stated: nothing to simulate." in [caption.value for caption in app.caption]


def test_the_answer_is_that_of_the_library(solved: Any) -> None:
    assert r"\$3,650 a month: 1 × big and 2 × little" in words(solved)
    assert {"Cost/month": "$3,650", "Cost/hour": "$5.00", "Mix saves": "$730"}.items() <= figures(solved).items()
    assert "optimize pasted.yaml" == command(solved)
    assert solved.button(key="find").disabled


def test_every_part_of_the_explanation_is_there(solved: Any) -> None:
    text = words(solved)
    for head in ("One type alone", "Other plans that cost nearly as little", "What binds", "What more would cost",
                 "Why not the others", "What the numbers rest on", "Rounds: solve, simulate, tighten"):  # fmt: skip
        assert head in text


def test_everything_can_be_taken_away(solved: Any) -> None:
    labels = ["Plan file as edited (YAML)", "Plan (JSON)", "Hour by hour (CSV)", "Report (Markdown)", "Charts (HTML)"]
    assert labels == [button.label for button in solved.download_button]


@pytest.mark.parametrize(
    ("kind", "key", "value", "change"),
    [
        ("number_input", "slo_chat_p99", 150.0, "workloads.chat.slo.p99=150ms"),
        ("slider", "load_chat", 150, "workloads.chat.arrivals.rate=45"),
        ("number_input", "most_usd", 12.0, "plan.max_usd_per_hour=12"),
        ("selectbox", "survive", "instance", "plan.survive=instance"),
        ("number_input", "time_limit", 30.0, "plan.time_limit=30s"),
        ("text_area", "plan_set", "plan.gap=0.01", "plan.gap=0.01"),
    ],
)
def test_every_control_reaches_the_search(kind: str, key: str, value: Any, change: str) -> None:
    app = searched(moved(pasted(), kind, key, value))
    assert f"optimize pasted.yaml --set {change}" == command(app)


def edited(app: Any, table: str, **edits: Any) -> Any:
    """The page after a table was edited."""
    app.session_state[table] = {"edited_rows": {}, "added_rows": [], "deleted_rows": [], **edits}
    app.run()
    assert not app.exception
    return app


@pytest.mark.parametrize(
    ("edits", "change"),
    [
        ({"edited_rows": {1: {"USD/hour": 0.5}}}, "plan.candidates.little.usd_per_hour=0.5"),
        ({"edited_rows": {0: {"most instances": 1}}}, "plan.candidates.big.max_instances=1"),
        (
            {"edited_rows": {1: {"stated requests/s": "chat: 6"}}},
            """'plan.candidates.little.capacity_rps={"chat": 6}'""",
        ),
    ],
)
def test_an_edited_candidate_reaches_the_search(edits: Any, change: str) -> None:
    assert f"optimize pasted.yaml --set {change}" == command(searched(edited(pasted(), "candidates", **edits)))


@pytest.mark.parametrize(
    ("column", "value"),
    [("USD/hour", 0.4), ("most instances", 3), ("queue delays", "0ms, 5ms"), ("model instances", "2")],
)
def test_a_cell_of_an_empty_column_can_be_filled(column: str, value: Any) -> None:
    app = edited(at("plan_mix"), "candidates", edited_rows={0: {column: value}})
    assert str(value) == app.table[1].value.iloc[0][column]


def test_candidates_can_leave_and_come() -> None:
    row = {"use": True, "candidate": "new", "USD/hour": 1.0, "stated requests/s": "chat: 30"}
    app = edited(pasted(), "candidates", edited_rows={2: {"use": False}}, added_rows=[row])
    assert r"\$730 a month: 1 × new" in words(searched(app))


def test_a_row_that_lacks_something_is_refused_in_place() -> None:
    app = edited(pasted(), "candidates", added_rows=[{"use": True, "candidate": "new"}])
    assert "plan.candidates.3.usd_per_hour: is required" in app.error[0].value


def test_a_limit_over_several_candidates_reaches_the_search() -> None:
    row = {"quota": "all", "candidates": "big, little", "most instances": 2}
    app = searched(edited(pasted(), "quotas", added_rows=[row]))
    assert r"\$4,380 a month: 2 × big" in words(app)


def test_a_changed_question_shows_the_plan_from_before_until_it_is_answered() -> None:
    app = searched(pasted())
    moved(app, "slider", "load_chat", 200)
    assert any("The question has changed" in info.value for info in app.info)
    assert "$3,650" == figures(app)["Cost/month"]
    assert "optimize pasted.yaml" == command(app)
    searched(app)
    assert "$6,570" == figures(app)["Cost/month"]
    assert "+$2,920" == next(metric.delta for metric in app.metric if metric.label == "Cost/month")


def test_a_value_that_is_wrong_is_refused_in_place() -> None:
    app = moved(searched(pasted()), "text_area", "plan_set", "plan.candidates.big.max_instances=many")
    assert "plan.candidates.0.max_instances: must be a whole number" in app.error[0].value
    assert "$3,650" == figures(app)["Cost/month"]


def test_a_file_that_is_wrong_is_refused_in_place() -> None:
    app = pasted(STATED.replace("usd_per_hour: 3", "usd_per_hour: cheap"))
    assert "plan.candidates.0.usd_per_hour" in app.error[0].value
    assert "This plan file cannot be searched yet" in words(app)


def test_bringing_a_file_is_asked_for_in_the_words_of_a_plan() -> None:
    """A reader who is asked for a scenario brings the wrong file."""
    for choice, asked in (("Upload …", "Drop a plan file (YAML) here"), ("Paste …", "Paste the YAML of a plan file.")):
        app = at(choice)
        assert any(asked in info.value for info in app.info)


def test_no_plan_says_what_has_to_give_way() -> None:
    app = searched(pasted(IMPOSSIBLE))
    assert "no fleet meets what is asked" in words(app)
    assert r"\$5.00 would do" in app.error[0].value
    assert "5.00" == app.table[0].value.iloc[0]["nearest that works"]


def test_a_search_shows_how_far_it_is_and_can_be_stopped() -> None:
    app = at("plan_mix")
    app.button(key="find").click().run()
    assert app.button(key="find").disabled
    app.button(key="stop").click().run()
    assert not app.exception
    assert any(info.value.startswith("Stopped.") for info in app.info)
    assert not app.button(key="find").disabled


@pytest.mark.slow
def test_the_page_opens_on_a_plan_that_it_searches_by_itself_and_draws_its_frontier() -> None:
    app = ended(opened("optimise"))
    assert "$3,854" == figures(app)["Cost/month"]
    assert "Draw cost against p99" == app.button(key="frontier").label
    ended(app.button(key="frontier").click().run())
    assert any("Cost against latency" in expander.label for expander in app.expander)
