"""What a budget file gets wrong is told at once, with its place and how to mend it."""

from __future__ import annotations

import datetime as dt
import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from calibration.problems import InputError
from optimizer.budget.budget_file import budget_from, is_budget, load_budget
from optimizer.budget.budget_spec import HistorySpec
from optimizer.budget.demand_history import read_history
from optimizer.budget.offers import offers_of
from tests.optimizer.budget_questions import content, question, write_demand

ROOT = Path(__file__).resolve().parents[2]
DEMAND = ROOT / "scenarios" / "demand"


def problems(folder: Path, written: dict[str, Any]) -> list[str]:
    """What is said of these values."""
    with pytest.raises(InputError) as error:
        budget_from(written, folder=folder, file="budget.yaml")
    return [str(problem) for problem in error.value.problems]


def test_all_of_a_files_errors_are_told_at_once(tmp_path: Path) -> None:
    write_demand(tmp_path)
    written = content(
        start="soon", horizon="5 weeks", purchases=["cud_2y"], paths=3,
        limits={"max_upfront_usd": -1}, risk={"measure": "luck"}, tags={"chat": {"team": 3}},
    )  # fmt: skip
    written["plan"]["candidates"][0]["start_usd"] = 1.0
    said = "\n".join(problems(tmp_path, written))
    for path in (
        "budget.start", "budget.horizon", "budget.purchases.0", "budget.paths", "budget.limits.max_upfront_usd",
        "budget.risk.measure", "budget.tags.chat.team", "plan.candidates.0.start_usd",
    ):  # fmt: skip
        assert f"{path}: " in said, path
    assert "There are: reserved_1y_no_upfront" in said


def test_places_of_a_file_carry_line_and_column(tmp_path: Path) -> None:
    write_demand(tmp_path)
    text = (ROOT / "scenarios" / "budget_2027.yaml").read_text(encoding="utf-8")
    file = tmp_path / "budget.yaml"
    file.write_text(text.replace("horizon: 12mo", "horizon: 12"), encoding="utf-8")
    with pytest.raises(InputError) as error:
        load_budget(file)
    line = next(n for n, row in enumerate(text.splitlines(), start=1) if "horizon:" in row)
    said = [str(problem) for problem in error.value.problems]
    assert any(f"budget.yaml:{line}:12: budget.horizon: must be a number of months" in one for one in said)
    assert any("demand/vm-demand-weekly.csv" in one and "does not exist" in one for one in said)


def test_names_must_exist_and_every_workload_needs_a_history(tmp_path: Path) -> None:
    write_demand(tmp_path)
    history = content()["budget"]["history"]["chat"]
    said = "\n".join(problems(tmp_path, content(history={"chatt": history}, growth={"nobody": {"yearly": 0.1}})))
    assert "budget.history.chatt: names no workload, got 'chatt'. Did you mean 'chat'?" in said
    assert "must name the past demand of the workload 'tags'" in said
    assert "budget.growth.nobody: names no workload" in said


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"limits": {"max_committed_share": 0.0}}, "contradicts purchases: nothing may be promised"),
        (
            {"limits": {"max_upfront_usd": 0.0}, "purchases": ["reserved_1y_all_upfront"]},
            "contradicts purchases: every plan that may be used is paid upfront",
        ),
        ({"limits": {"max_upfront_usd": 5.0}, "purchases": []}, "has no effect without purchases"),
        (
            {
                "demand_scenarios": [
                    {"name": name, "first": "2027-01-02", "factor": 2.0, "probability": 0.6} for name in "ab"
                ]
            },
            "must have probabilities that add up to at most 1, got 1.2",
        ),
        ({"price_cuts": [{"name": "x", "first": "2028-01-02", "share": 0.2}]}, "must be within the budget"),
        ({"start": "2026-11-01"}, "must end before the budget starts"),
        ({"start": "2028-11-01"}, "must end within a year before the budget starts"),
        (
            {"events": [{"name": "x", "workload": "chat", "first": "2027-01-02", "last": "2027-01-01", "factor": 2.0}]},
            "must not be before first",
        ),
    ],
)
def test_what_contradicts_is_refused(tmp_path: Path, changes: dict[str, Any], rule: str) -> None:
    write_demand(tmp_path)
    assert any(rule in one for one in problems(tmp_path, content(**changes)))


def test_a_history_that_is_too_short_is_refused(tmp_path: Path) -> None:
    write_demand(tmp_path, weeks=7)
    said = problems(tmp_path, content())
    assert 2 == len([one for one in said if "must be at least 8 weeks long" in one and "1,176 hours" in one])


def test_files_of_demand_are_checked_cell_by_cell(tmp_path: Path) -> None:
    write_demand(tmp_path)
    means, shape = tmp_path / "means.csv", tmp_path / "shape.csv"
    rows = means.read_text(encoding="utf-8").splitlines()
    rows[3] = rows[3].split(",")[0] + ",-5,31"
    rows[5] = "2026-13-01,1,31"
    del rows[8]
    means.write_text("\n".join(rows) + "\n", encoding="utf-8")
    cells = shape.read_text(encoding="utf-8").splitlines()
    shape.write_text("\n".join([*cells[:-1], cells[1]]) + "\n", encoding="utf-8")
    said = "\n".join(problems(tmp_path, content()))
    assert "means.csv:4:12: a: must be a number that is 0 or greater, got -5." in said
    assert "means.csv:6:1: day: must be a day" in said
    assert "means.csv:9:1: day: must be 7 days after" in said
    assert "hour: is there twice" in said
    assert "must hold all 168 hours of a week, 1 are missing" in said


def test_rates_that_are_missing_are_named_and_never_guessed(tmp_path: Path) -> None:
    write_demand(tmp_path)
    written = content()
    written["plan"]["candidates"].append(
        {"name": "a100", "instance_type": "a2-ultragpu-1g", "capacity_rps": {"chat": 40}}
    )
    found = offers_of(budget_from(written, folder=tmp_path))
    assert {"g2-standard-4"} == {offer.pool for offer in found.market.offers}
    assert ["cud_1y", "cud_3y"] == [
        plan for plan in ("cud_1y", "cud_3y") if any(f"{plan} rate of a2-ultragpu-1g" in one for one in found.missing)
    ]
    with pytest.raises(InputError, match="must have a rate for one of the candidates' types"):
        offers_of(question(tmp_path, purchases=["savings_plan_compute_1y_no_upfront"]))


def test_a_promise_that_is_dearer_than_on_demand_is_refused(tmp_path: Path) -> None:
    """A stand-in for "not offered" would otherwise look like a plan."""
    write_demand(tmp_path)
    written = content()
    written["plan"]["candidates"][0]["usd_per_hour"] = 0.4
    with pytest.raises(InputError, match=r"costs 0\.445304 USD/h of g2-standard-4, and on demand it is 0\.4"):
        offers_of(budget_from(written, folder=tmp_path))


def test_a_budget_file_is_told_by_its_section() -> None:
    assert is_budget(content())
    assert not is_budget({"plan": {}})


def test_means_of_weeks_and_days_are_kept_by_the_hours(tmp_path: Path) -> None:
    write_demand(tmp_path)
    spec = {"means": tmp_path / "means.csv", "week_shape": tmp_path / "shape.csv", "column": "a"}
    weekly = read_history(HistorySpec.model_validate({**spec, "scale": 2.0, "shift": "7d"}))
    assert dt.datetime(2026, 12, 7, tzinfo=dt.UTC) == weekly.end
    assert [2.0 * (100 + week) for week in range(20)] == pytest.approx(weekly.rps.reshape(20, 168).mean(axis=1))
    days = "\n".join(f"2026-11-{day:02},{day}" for day in range(2, 30))
    (tmp_path / "days.csv").write_text(f"day,a\n{days}\n", encoding="utf-8")
    daily = read_history(HistorySpec.model_validate({**spec, "means": tmp_path / "days.csv"}))
    assert [float(day) for day in range(2, 30)] == pytest.approx(daily.rps.reshape(28, 24).mean(axis=1))
    assert 3.0 == pytest.approx(daily.rps[12] / daily.rps[0])


def test_an_hourly_table_may_be_the_history(tmp_path: Path) -> None:
    hours = 9 * 168
    start = dt.datetime(2026, 9, 28)
    rows = [f"{start + dt.timedelta(hours=h):%Y-%m-%dT%H:%M:%SZ},p,{h % 24 + 1}" for h in range(hours)]
    (tmp_path / "hours.csv").write_text("timestamp,pool,demand\n" + "\n".join(rows) + "\n", encoding="utf-8")
    history = read_history(HistorySpec.model_validate({"file": tmp_path / "hours.csv"}))
    assert [float(h % 24 + 1) for h in range(hours)] == history.rps.tolist()
    with pytest.raises(InputError, match="holds the pools p"):
        read_history(HistorySpec.model_validate({"file": tmp_path / "hours.csv", "pool": "q"}))


def test_the_shipped_demand_is_that_of_the_source() -> None:
    """Means of days and the shape of a week, taken from the hours of the dataset anew."""
    source = ROOT.parent / "shared" / "data" / "shavedice_region3_hourly.csv.gz"
    if not source.exists():
        pytest.skip("../shared/data/shavedice_region3_hourly.csv.gz is absent")
    hours = 156 * 168
    wanted = np.zeros((hours, 2))
    first = dt.datetime(2021, 2, 1)
    with gzip.open(source, "rt", encoding="utf-8") as stream:
        next(stream)
        for row in stream:
            at, _, kind, count = row.split(",")
            hour = (dt.datetime.fromisoformat(at) - first) // dt.timedelta(hours=1)
            if hour < hours:
                wanted[hour, 0 if kind in "AB" else 1] += float(count)
    for column, name in enumerate(("a_and_b", "others")):
        spec = {"means": DEMAND / "vm-demand-weekly.csv", "week_shape": DEMAND / "vm-demand-week-shape.csv"}
        shipped = read_history(HistorySpec.model_validate({**spec, "column": name}))
        assert dt.datetime(2021, 2, 1, tzinfo=dt.UTC) == shipped.start
        weeks = wanted[:, column].reshape(-1, 168).mean(axis=1)
        assert weeks == pytest.approx(shipped.rps.reshape(-1, 168).mean(axis=1), abs=0.06)
        error = np.abs(shipped.rps - wanted[:, column]).mean() / wanted[:, column].mean()
        assert (0.05 if column == 0 else 0.12) < error < (0.065 if column == 0 else 0.15)
