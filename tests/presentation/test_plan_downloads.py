"""What is taken away is what the command line writes."""

from __future__ import annotations

import json
from pathlib import Path

from typer.testing import CliRunner

from optimizer.cli import app
from presentation.downloads import rows_csv
from presentation.plan_downloads import plan_document, plan_markdown
from presentation.plan_look import hour_rows
from tests.presentation.sample_plans import BY_HOUR, DAY, IMPOSSIBLE, plan_of, simulated
from tests.presentation.test_plan_look import FRONTIER

MEASURED = ("timing_s", "rounds")


def test_json_and_hours_are_those_of_the_command_line(tmp_path: Path) -> None:
    (tmp_path / "small.yaml").write_text(BY_HOUR)
    (tmp_path / "day.csv").write_text(DAY)
    out = tmp_path / "out"
    done = CliRunner().invoke(app, ["run", str(tmp_path / "small.yaml"), "--no-cache", "--output", str(out), "-q"])
    assert 0 == done.exit_code, done.output
    plan = plan_of(BY_HOUR)
    assert (out / "hours.csv").read_text().splitlines() == rows_csv(hour_rows(plan)).splitlines()
    ours, theirs = json.loads(plan_document(plan)), json.loads((out / "plan.json").read_text())
    for key in MEASURED:  # seconds on the clock
        del ours[key], theirs[key]
    assert theirs == ours


def test_the_frontier_is_in_the_json() -> None:
    document = json.loads(plan_document(plan_of(), [FRONTIER]))
    assert [None, 3650.0, 2190.0] == [point["usd_per_month"] for point in document["pareto"][0]["points"]]


def test_the_report_has_every_part() -> None:
    text = plan_markdown(simulated(), [FRONTIER], command="optimize small.yaml")
    assert text.startswith("# small\n\n**$3,650 a month: 1 × big and 2 × little** (every SLO held in simulation)\n")
    parts = ("Fleets", "Simulated", "One type alone", "What more would cost", "Why not the others")
    for head in (*parts, "Cost against latency", "Rounds of proof", "The whole report"):
        assert f"\n## {head}\n" in text
    assert text.endswith("The same by the command line: `optimize small.yaml`\n")


def test_the_report_of_no_plan_says_what_would_have_to_give_way() -> None:
    text = plan_markdown(plan_of(IMPOSSIBLE))
    assert "## What would have to give way" in text
    assert "## Fleets" not in text
