"""The page of a plan file's keys says what the schema says, for each of its parts."""

from __future__ import annotations

from optimizer.plan_file import json_schema
from optimizer.plan_page import PLACES, plan_page


def test_every_part_of_a_plan_file_has_its_table() -> None:
    """A part without a place would be missing from the page without a word."""
    scenario_only = {"Fleet", "Batching", "Purchase"}
    arrivals = {name for name in json_schema()["$defs"] if name.endswith("Arrivals")}
    assert set(PLACES) == set(json_schema()["$defs"]) - arrivals - scenario_only
    for place in PLACES.values():
        assert f"\n## `{place}`\n" in plan_page()


def test_units_and_lists_are_said_in_words() -> None:
    page = plan_page()
    assert "| `memory` | memory |  |" in page
    assert "| `time_limit` | duration | `60s` |" in page
    assert "| `max_queue_delay` | duration or list: duration |" in page
    assert "| `added_latency` | duration or mapping: duration | `0` |" in page
