"""Scenarios side by side: the figures, the differences, and the reasons."""

from __future__ import annotations

import pytest

from tests.app.pages import moved, opened


def words(app: object) -> str:
    """Everything that the page says in words."""
    return "\n".join(markdown.value for markdown in app.markdown)  # type: ignore[attr-defined]


def test_the_page_opens_on_three_variants_of_the_peak() -> None:
    app = opened("compare")
    assert ["peak", "peak", "peak"] == [box.value for box in app.selectbox]
    (table,) = app.table
    assert ["figure", "A: peak", "B: peak", "C: peak"] == list(table.value.columns)
    text = words(app)
    assert "`fleets.gpu.instances`: `4` → `3`" in text
    assert "B: peak costs $0.526 an hour less than A: peak (−25%): $384 a month." in text


@pytest.mark.parametrize("count", [2, 4])
def test_two_to_four_stand_side_by_side(count: int) -> None:
    app = opened("compare")
    app.segmented_control(key="columns").set_value(count).run()
    assert not app.exception
    assert count == len(app.selectbox)
    assert count + 1 == len(app.table[0].value.columns)


def test_a_change_reaches_its_column() -> None:
    app = moved(opened("compare"), "text_area", "b_set", "fleets.gpu.instances=8")
    rows = app.table[0].value.set_index("figure")
    assert "8 × g4dn.xlarge" == rows.loc["gpu: instances", "B: peak"]
    assert "4 × g4dn.xlarge" == rows.loc["gpu: instances", "A: peak"]


def test_different_scenarios_are_compared_as_far_as_they_go() -> None:
    app = moved(opened("compare"), "selectbox", "b", "burst")
    app.text_area(key="b_set").set_value("").run()
    assert not app.exception
    assert "–" == app.table[0].value.set_index("figure").loc["forecast: SLO", "B: burst"]


def test_the_same_twice_says_so() -> None:
    app = moved(opened("compare"), "text_area", "b_set", "")
    assert "The two scenarios say the same." in words(app)


def test_a_wrong_change_is_refused_in_its_column() -> None:
    app = moved(opened("compare"), "text_area", "b_set", "fleets.gpu.instances=0")
    assert "fleets.gpu.instances: must be at least 1" in app.error[0].value
    assert ["figure", "A: peak", "C: peak"] == list(app.table[0].value.columns)


def test_one_alone_is_no_comparison() -> None:
    app = opened("compare")
    app.segmented_control(key="columns").set_value(2).run()
    moved(app, "selectbox", "b", "Paste …")
    assert any("Choose two scenarios or more" in info.value for info in app.info)


def test_the_comparison_can_be_taken_away() -> None:
    labels = [button.label for button in opened("compare").download_button]
    assert ["Table (CSV)", "Reports (JSON)", "Comparison (Markdown)", "Chart (HTML)"] == labels
