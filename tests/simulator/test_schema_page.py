"""docs/scenario.md is what the door accepts, key by key."""

from __future__ import annotations

from pathlib import Path

from simulator.scenario import json_schema
from simulator.schema_page import PLACES, schema_page
from tests.command_line import simulate

PAGE = Path(__file__).resolve().parents[2] / "docs" / "scenario.md"


def test_the_page_is_what_the_schema_says() -> None:
    """Mend it with: simulate schema --markdown > docs/scenario.md."""
    assert schema_page(json_schema()) == PAGE.read_text(encoding="utf-8")
    assert simulate("schema", "--markdown").out == PAGE.read_text(encoding="utf-8")


def test_no_part_of_the_schema_is_missing_from_the_page() -> None:
    """A key that the page leaves out does not exist for whoever reads it."""
    schema = json_schema()
    assert {name for name in schema["$defs"] if not name.endswith("Arrivals")} == set(PLACES)
    page = schema_page(schema)
    for part in [schema, *schema["$defs"].values()]:
        for key, value in part["properties"].items():
            row = next(line for line in page.splitlines() if line.startswith(f"| `{key}` | "))
            assert row.split(" | ")[1].strip(), f"{key} has no kind"
            assert value.get("description"), f"{key} has no description"


def test_defaults_bounds_and_choices_are_shown() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert "| `instances` | whole number >= 1, <= 100,000 | required | " in page
    assert "| `max_queue_delay` | duration | `0` | " in page
    assert "| `policy` | `none`, `static`, `dynamic` | `none` | " in page
    assert "| `allow_extrapolation` | `true`, `false` | `false` | " in page
