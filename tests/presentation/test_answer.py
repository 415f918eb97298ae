"""Differences carry their sign and their reason; what cannot be compared is said, not made up."""

from __future__ import annotations

import json
import math

import pytest

from presentation.answer import answer_of, changed_keys, comparison_rows, explained, headroom, verdict
from presentation.charts import utilisation_chart
from presentation.downloads import figures_html, report_csv, report_json, report_markdown, rows_csv
from simulator.outcome import report_to_json
from tests.presentation.sample_looks import OVERLOADED, look_at

TWO = "fleets.gpu.instances=2"


def test_a_second_instance_costs_twice_and_answers_sooner() -> None:
    before, now = look_at("hello").report, look_at("hello", TWO).report
    lines = explained(before, now)
    assert "B costs $0.805 an hour more than A (+100%): $588 a month." == lines[0]
    assert lines[1].startswith("B: search's p99 is ")
    assert "gpu is " in " ".join(lines)
    old, new = answer_of(before, "search"), answer_of(now, "search")
    assert old.value_ms is not None
    assert new.value_ms is not None
    assert new.value_ms < old.value_ms


def test_the_same_twice_has_no_difference() -> None:
    report = look_at("hello").report
    assert ["B costs the same as A."] == explained(report, report)


def test_a_queue_that_grows_has_no_latency() -> None:
    report = look_at("hello", OVERLOADED).report
    found = answer_of(report, "search")
    assert (math.inf, None, False) == (found.value_ms, found.interval_ms, found.met)
    assert "none" == headroom(found)
    assert "the queue grows" in verdict(report, "search")


def test_a_flipped_verdict_is_said() -> None:
    lines = explained(look_at("hello").report, look_at("hello", OVERLOADED).report)
    assert any("the SLO is missed where it was met" in line for line in lines)


def test_the_objective_with_least_room_is_the_answer() -> None:
    """A p50 that is missed matters more than a p99 that is met."""
    found = answer_of(look_at("hello", "workloads.search.slo.p50=10ms").report, "search")
    assert ("p50", False) == (found.percentile, found.met)


def test_without_objective_nothing_is_judged() -> None:
    found = answer_of(look_at("hello", "workloads.search.slo=null").report, "search")
    assert ("p99", None, None) == (found.percentile, found.target_ms, found.met)
    assert "–" == headroom(found)


def test_side_by_side_shows_differences_from_the_first() -> None:
    rows = comparison_rows({"A": look_at("hello").report, "B": look_at("hello", TWO).report})
    cost = next(row for row in rows if row["figure"] == "cost of an hour")
    assert {"figure": "cost of an hour", "A": "$0.805", "B": "$1.61 · +$0.805 (+100%)"} == cost


def test_scenarios_with_nothing_in_common_are_laid_side_by_side() -> None:
    rows = comparison_rows({"A": look_at("hello").report, "B": look_at("trace").report})
    assert "–" == next(row for row in rows if row["figure"] == "search: SLO")["B"]


@pytest.mark.parametrize(
    ("before", "now", "expected"),
    [
        ({"a": 1}, {"a": 1}, []),
        ({"a": {"b": 1}}, {"a": {"b": 2}}, [("a.b", 1, 2)]),
        ({"a": {"b": 1}}, {}, [("a", {"b": 1}, None)]),
        ({}, {"x": [1]}, [("x", None, [1])]),
    ],
)
def test_changed_keys_are_those_that_differ(before: object, now: object, expected: list[object]) -> None:
    assert expected == list(changed_keys(before, now))


def test_the_downloads_say_what_the_report_says() -> None:
    report = look_at("hello").report
    assert report_to_json(report) == json.loads(report_json(report))
    table = dict(line.rsplit(",", 1) for line in report_csv(report).splitlines()[1:] if '"' not in line)
    assert repr(report.cost.usd_per_hour) == table["cost,,usd_per_hour"]
    page = report_markdown(report, note="short", command="simulate hello.yaml")
    assert verdict(report, "search") in page
    assert "`simulate hello.yaml`" in page


def test_the_page_of_figures_needs_no_network() -> None:
    page = figures_html("a <title>", {"Utilisation": utilisation_chart(look_at("hello").report)})
    assert "a &lt;title&gt;" in page
    assert "<script src" not in page


def test_a_table_without_rows_is_empty() -> None:
    assert "" == rows_csv([])
