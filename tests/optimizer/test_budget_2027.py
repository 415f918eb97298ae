"""The budget that ships answers the question of its header: on real demand, real prices and measured models."""

from __future__ import annotations

import csv
import re
from functools import cache
from pathlib import Path

import pytest

from optimizer.budget.budget import Budget
from optimizer.budget.budget_file import load_budget
from optimizer.budget.chain import budget
from optimizer.budget.offers import offers_of
from optimizer.budget.purchases import newsvendor
from optimizer.budget.render import render
from optimizer.budget.report import FIGURES, report
from optimizer.budget.write import PURCHASE_COLUMNS, write_budget
from tests.optimizer.budget_questions import question, steps

SCENARIO = Path(__file__).resolve().parents[2] / "scenarios" / "budget_2027.yaml"


@cache
def shipped() -> Budget:
    """The whole chain, everything simulated anew."""
    return budget(load_budget(SCENARIO))


@pytest.mark.slow
def test_the_shipped_budget_answers_its_question() -> None:
    """The short siblings are the two tests below, and the laws of every budget."""
    found = shipped()
    total = found.total.effective
    assert 120_000 < total.mean < 128_000
    assert 107_000 < total.p10 < 115_000
    assert 134_000 < total.p90 < 144_000
    assert {"cud_3y"} == {line.plan for line in found.purchases}
    assert 37 <= sum(line.units for line in found.purchases) <= 41
    assert 0.42 < found.saved_usd / found.without_usd.mean < 0.46
    assert 0.82 < min(line.utilisation for line in found.purchases) < 0.88
    for one in found.what_ifs:
        assert one.saved_usd > 0
        assert one.saved_over_terms_usd is None or one.saved_over_terms_usd > 0
    assert found.simulated >= 30
    assert found.rounding_share < 0.03


def test_the_shipped_budget_is_of_real_prices_and_names_the_rates_that_are_missing() -> None:
    """Google's prices of 2026-07-30 in us-central1: g2-standard-4 on demand, and promised for one and three years."""
    asked = load_budget(SCENARIO)
    found = offers_of(asked)
    assert [0.445304, 0.318075] == [offer.usd_per_hour for offer in found.market.offers]
    assert [0.706832, 5.0688] == found.market.on_demand_usd.tolist()
    assert 2 == len(found.missing)
    assert (8_760, "2026-11-30") == (asked.hours, f"{asked.history['answers'].end:%Y-%m-%d}")


def test_the_header_says_what_is_made_up() -> None:
    header = re.match(r"(#.*\n)+", SCENARIO.read_text(encoding="utf-8"))
    assert header
    for word in ("?", "Answer: ", "Real", "Made up", "Not in it"):
        assert word in header[0]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Budget:
    cut = {"name": "cut", "first": "2027-02-01", "share": 0.33}
    asked = question(tmp_path_factory.mktemp("budget"), price_cuts=[cut], cost_of_capital=0.08)
    return budget(asked, forecaster=steps, buyer=newsvendor)


def test_every_file_of_a_budget_is_written_and_agrees_with_it(small: Budget, tmp_path: Path) -> None:
    write_budget(small, tmp_path)
    names = {f"{name}{ending}" for name in FIGURES for ending in (".svg", ".png")}
    assert names | {"budget.csv", "budget.json", "forecast.csv", "purchases.csv", "report.md"} == {
        path.name for path in tmp_path.iterdir()
    }
    with (tmp_path / "purchases.csv").open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert PURCHASE_COLUMNS == tuple(rows[0])
    assert [f"{line.units:g}" for line in small.purchases] == [row["units"] for row in rows]
    with (tmp_path / "forecast.csv").open(encoding="utf-8") as stream:
        hours = list(csv.DictReader(stream))
    assert 2 * 59 * 24 == len(hours)
    assert all(float(row["p10"]) <= float(row["p50"]) <= float(row["p90"]) for row in hours)
    with (tmp_path / "budget.csv").open(encoding="utf-8") as stream:
        billed = sum(float(row["BilledCost"]) for row in csv.DictReader(stream))
    assert billed == pytest.approx(small.total.billed.mean, abs=0.01)


def test_the_page_says_the_answer_first_and_every_part(small: Budget) -> None:
    page = report(small)
    headings = re.findall(r"^#+ (.*)$", page, flags=re.MULTILINE)
    assert headings[1:] == [
        "What to buy", "Month by month", "Who pays", "What could go wrong", "Other ways to buy", "What this rests on",
    ]  # fmt: skip
    assert page.index("**Answer.**") < page.index("## What to buy")
    assert "In dollars of the first hour" in page
    assert "](budget_fan.svg)" in page
    assert ".svg" not in report(small, figures=False)


def test_the_text_fits_a_terminal(small: Budget) -> None:
    text = render(small)
    assert "What to buy" in text
    assert max(len(line) for line in text.splitlines()) <= 80
