"""``optimize commitments`` from the outside: the contract's keys, the files of ``--output``, exit codes."""

from __future__ import annotations

import csv
import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from optimizer.budget.of_study import NO_CURRENCY
from tests.command_line import optimize
from tests.optimizer.demand_files import LEVELS, WEEKS, demand_file, demand_rows, price_file

QUICK = ("--term", "4w", "--scenarios", "12", "--quiet")
END = "2026-03-16T00:00:00Z"
"""Hour after the ten weeks of the demand."""


@pytest.fixture(scope="module")
def demand(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return demand_file(tmp_path_factory.mktemp("demand"))


@pytest.fixture(scope="module")
def answer(demand: Path) -> Any:
    ran = optimize("commitments", demand, "--price-ratio", "0.7", "--json", *QUICK)
    assert (0, "") == (ran.code, ran.err)
    return ran.json()


@pytest.fixture(scope="module")
def written(demand: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("out")
    tags = folder / "tags.csv"
    tags.write_text("pool,team,model,share\ng2-standard-4,search,bert,0.75\ng2-standard-4,chat,llm,0.25\n")
    ran = optimize(
        "commitments", demand, "--price-ratio", "0.7", "--on-demand-usd", "2", "--tags", tags, "--output", folder / "o",
        *QUICK,
    )  # fmt: skip
    assert (0, "") == (ran.code, ran.err)
    return folder / "o"


def test_json_has_the_keys_of_the_contract(answer: Any) -> None:
    assert (1, "optimal") == (answer["schema_version"], answer["status"])
    assert set(LEVELS) == {one["pool"] for one in answer["commitments"]}
    for one in answer["commitments"]:
        assert (END, "672h") == (one["start"], one["term"])
        assert 0 < one["units"] == round(one["units"])
        assert 0.7 == pytest.approx(one["break_even_utilisation"])
    assert 0.7 < answer["expected_cost_share_of_on_demand"] < 1.0
    assert 1.0 == pytest.approx(answer["rules"]["none"])
    assert {"lookback_7d", "lookback_30d", "lookback_60d", "newsvendor"} <= answer["rules"].keys()
    assert answer["expected_cost_share_of_on_demand"] <= min(answer["rules"].values()) + 1e-3


def test_the_backtest_is_beside_hindsight_and_says_whether_the_lookback_was_beaten(answer: Any) -> None:
    past = answer["backtest"]
    assert past["periods"]
    for period in past["periods"]:
        shares = period["cost_share_of_on_demand"]
        assert shares["hindsight"] <= min(shares.values()) + 1e-9
    assert past["beats_lookback"] is (past["mean"]["recommended"] <= past["mean"][past["best_lookback"]])
    said = any("would not have beaten the lookback" in warning for warning in answer["warnings"])
    assert said is not past["beats_lookback"]


def test_layers_are_whole_used_less_and_less_and_stand_beside_the_break_even(answer: Any) -> None:
    for one in answer["commitments"]:
        layers = [layer for layer in answer["layers"] if layer["pool"] == one["pool"]]
        assert (0.0, one["units"]) == (layers[0]["above_units"], layers[-1]["to_units"])
        assert [layer["to_units"] for layer in layers[:-1]] == [layer["above_units"] for layer in layers[1:]]
        used = [layer["used_share"] for layer in layers]
        assert sorted(used, reverse=True) == used
        assert used[-1] >= one["break_even_utilisation"] == layers[-1]["break_even_share"]
        width = [layer["to_units"] - layer["above_units"] for layer in layers]
        mean = sum(u * w for u, w in zip(used, width, strict=True)) / one["units"]
        assert mean == pytest.approx(one["expected_utilisation"])


def test_pools_that_are_interchangeable_get_one_commitment(demand: Path) -> None:
    ran = optimize("commitments", demand, "--price-ratio", "0.6", "--pooled", "--json", "--no-backtest", *QUICK)
    (one,) = ran.json()["commitments"]
    assert ("*", END) == (one["pool"], one["start"])


def test_purchases_may_be_dated_later(demand: Path) -> None:
    ran = optimize(
        "commitments", demand, "--price-ratio", "0.6", "--start", "2026-05-01", "--json", "--no-backtest", *QUICK
    )
    assert {"2026-05-01T00:00:00Z"} == {one["start"] for one in ran.json()["commitments"]}
    assert any("before 2026-05-01" in note for note in ran.json()["notes"])


def test_what_a_later_purchase_is_judged_by_is_said(tmp_path: Path) -> None:
    """A ladder's last promises end after the last hour that is foreseen."""
    rows = [
        (at, pool, str(200 + number))
        for number, (at, pool, _) in enumerate(demand_rows(hours=WEEKS * 168, levels={"a": 1.0}))
    ]
    found = optimize(
        "commitments", demand_file(tmp_path, rows), "--price-ratio", "0.5", "--ladder", "1w", "--no-backtest", "--json",
        *QUICK,
    ).json()  # fmt: skip
    assert any(one["start"] > END for one in found["commitments"])
    assert any("reach beyond 2026-04-13 are judged by their hours until then" in note for note in found["notes"])


def test_two_terms_have_a_ratio_each(demand: Path) -> None:
    ran = optimize(
        "commitments", demand, "--price-ratio", "0.7", "--term", "4w", "--price-ratio", "0.5", "--term", "8w",
        "--json", "--no-backtest", "--scenarios", "12", "--quiet",
    )  # fmt: skip
    assert {"1344h"} == {one["term"] for one in ran.json()["commitments"]}
    assert {"committed_8w"} == {one["plan"] for one in ran.json()["commitments"]}


def test_the_same_seed_gives_the_same_answer(demand: Path, answer: Any) -> None:
    again = optimize("commitments", demand, "--price-ratio", "0.7", "--json", *QUICK).json()
    again.pop("timing_s")
    assert {key: value for key, value in answer.items() if key != "timing_s"} == again


def test_the_text_fits_a_mail_and_tells_the_cost_first(demand: Path) -> None:
    ran = optimize("commitments", demand, "--price-ratio", "0.7", *QUICK)
    lines = ran.out.splitlines()
    assert lines[0].startswith("Expected to cost ")
    assert max(map(len, lines)) <= 80
    for part in ("Promise ", "On your own history", "Layers of", "The same scenarios by other rules", "Assumed"):
        assert any(line.startswith(part) for line in lines), part


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_the_budget_is_in_focus_columns_and_adds_up_to_the_page(written: Path) -> None:
    rows = rows_of(written / "budget.csv")
    assert {"ChargeCategory", "EffectiveCost", "BilledCost", "CommitmentDiscountStatus", "Tags"} <= rows[0].keys()
    assert {"USD"} == {row["BillingCurrency"] for row in rows}
    budget = json.loads((written / "commitments.json").read_text())["budget"]
    for column, key in (("EffectiveCost", "effective"), ("BilledCost", "billed")):
        total = math.fsum(float(row[column]) for row in rows)
        assert total == pytest.approx(budget["total"][key]["mean"], rel=1e-6)
        months = math.fsum(month[key]["mean"] for month in budget["months"])
        assert months == pytest.approx(budget["total"][key]["mean"])
    own = {name for name in rows[0] if name.startswith("x_")}
    assert {"x_EffectiveCostP10", "x_EffectiveCostP90", "x_AmountUnit"} <= own


def test_the_budget_and_the_recommendation_agree(written: Path) -> None:
    """The ledger, hour by hour, and the program that chose the purchases come to the same cost."""
    found = json.loads((written / "commitments.json").read_text())
    assert found["expected_usd"] == pytest.approx(found["budget"]["total"]["effective"]["mean"], rel=1e-6)
    assert found["on_demand_only_usd"] == pytest.approx(found["budget"]["without_commitments"]["mean"], rel=1e-6)


def test_teams_share_a_pool_by_their_parts_and_add_up(written: Path) -> None:
    budget = json.loads((written / "commitments.json").read_text())["budget"]
    for tag, names in (("team", {"search", "chat", "(untagged)"}), ("model", {"bert", "llm", "(untagged)"})):
        shares = {one["value"]: one["effective"]["mean"] for one in budget["shares"][tag]}
        assert names <= shares.keys()
        assert math.fsum(shares.values()) == pytest.approx(budget["total"]["effective"]["mean"])
        first, second = (shares[name] for name in sorted(names - {"(untagged)"}, key=lambda name: -shares[name]))
        assert first == pytest.approx(3 * second)


def test_the_page_and_its_figures_are_written(written: Path) -> None:
    page = (written / "report.md").read_text()
    assert page.startswith("# What to commit to from 2026-03-16")
    for part in (
        "**Answer.**", "## What to buy", "## Would it have worked before?", "## Month by month", "## Who pays",
        "## How each layer is used", "## If it comes otherwise", "## Other rules", "## What this rests on",
    ):  # fmt: skip
        assert part in page, part
    for name in ("commitments.svg", "months.svg"):
        assert f"({name})" in page
        assert (written / name).stat().st_size > 1_000
    purchases = rows_of(written / "purchases.csv")
    assert set(LEVELS) == {row["pool"] for row in purchases}
    assert {"1.4"} == {row["usd_per_unit_hour"] for row in purchases}
    assert {"2026-03-16"} == {row["start"] for row in purchases}


def test_without_dollars_no_amount_pretends_to_be_dollars(demand: Path, tmp_path: Path) -> None:
    ran = optimize("commitments", demand, "--price-ratio", "0.7", "--no-backtest", "--output", tmp_path / "o", *QUICK)
    assert 0 == ran.code
    assert {NO_CURRENCY} == {row["BillingCurrency"] for row in rows_of(tmp_path / "o" / "budget.csv")}
    page = (tmp_path / "o" / "report.md").read_text()
    assert "$" not in page
    assert "Amounts are instance hours at the on-demand price" in page
    assert {""} == {row["usd_per_unit_hour"] for row in rows_of(tmp_path / "o" / "purchases.csv")}


def test_prices_come_from_a_list_and_upfront_is_billed_at_once(demand: Path, tmp_path: Path) -> None:
    prices = price_file(
        tmp_path,
        *(f"{pool},{plan}" for pool in LEVELS for plan in ("on_demand,1.00,", "reserved_1y_all_upfront,0.60,5256")),
    )
    ran = optimize(
        "commitments", demand, "--prices", prices, "--provider", "own", "--scenarios", "8", "--no-backtest", "--quiet",
        "--output", tmp_path / "o", "--json",
    )  # fmt: skip
    assert (0, "") == (ran.code, ran.err)
    found = json.loads((tmp_path / "o" / "commitments.json").read_text())
    upfront = sum(one["upfront_usd"] for one in found["commitments"])
    first = found["budget"]["months"][0]
    assert upfront > 0
    assert first["billed"]["mean"] - first["on_demand"] == pytest.approx(upfront)
    assert found["in_dollars"] is True


def test_a_solver_that_ran_out_of_time_is_never_called_optimal(demand: Path) -> None:
    ran = optimize(
        "commitments", demand, "--price-ratio", "0.7", "--time-limit", "1ms", "--gap", "0", "--no-backtest", "--json",
        *QUICK,
    )  # fmt: skip
    found = ran.json()
    assert (0, "feasible") == (ran.code, found["status"])
    assert any("not proven to be the best" in warning for warning in found["warnings"])
    text = optimize(
        "commitments", demand, "--price-ratio", "0.7", "--time-limit", "1ms", "--gap", "0", "--no-backtest", *QUICK
    ).out
    assert "not proven to be the best" in text
    assert "proven to be within" not in text


def test_a_history_that_the_lookback_would_have_won_is_told(demand: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from optimizer.commitments import study
    from optimizer.commitments.backtest import RECOMMENDED, Backtest, Period, backtest

    def worse(*words: Any, **options: Any) -> Backtest:
        (period,) = backtest(*words, **options).periods
        spoilt = {**period.share, RECOMMENDED: 1.25}
        return Backtest((Period(period.start, period.hours, period.known_h, period.units, spoilt),))

    monkeypatch.setattr(study, "backtest", lambda *words, **options: worse(*words, periods=1, **options))
    ran = optimize("commitments", demand, "--price-ratio", "0.7", *QUICK)
    assert "! on your own history this recommendation would not have beaten the lookback rule: it" in " ".join(
        ran.out.split()
    )


def test_a_budget_file_is_run_whole_by_both_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from optimizer.commands import budget as commands

    asked: list[tuple[str, list[str]]] = []
    monkeypatch.setattr(commands, "run_budget", lambda file, settings, **_: asked.append((file, list(settings))))
    file = tmp_path / "b.yaml"
    file.write_text("schema: 1\nbudget: {start: 2027-01-01}\n")
    assert 0 == optimize("commitments", file, "--seed", "3").code
    assert 0 == optimize(file, "--gap", "0.01").code
    assert [(str(file), ["seed=3"]), (str(file), ["plan.gap=0.01"])] == asked


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["commitments", "FILE", "--price-ratio", "0.7", "--pooled"], ["--price-ratio", "--pooled"]),
        (["run", "FILE", "--pareto"], ["--pareto"]),
        (["FILE", "--no-alternatives"], ["--alternatives"]),
    ],
)
def test_options_that_say_nothing_of_a_budget_file_are_refused(
    tmp_path: Path, words: list[str], said: list[str]
) -> None:
    file = tmp_path / "b.yaml"
    file.write_text("schema: 1\nbudget: {start: 2027-01-01}\n")
    ran = optimize(*(str(file) if word == "FILE" else word for word in words))
    assert 2 == ran.code
    for option in said:
        assert option in ran.err


def test_help_tells_the_options_that_matter() -> None:
    ran = optimize("commitments", "--help")
    assert 0 == ran.code
    for option in ("--price-ratio", "--prices", "--ladder", "--risk", "--output", "--tags", "--step"):
        assert option in ran.out


def test_an_interrupted_run_exits_with_130_and_leaves_no_files(demand: Path, tmp_path: Path) -> None:
    command = [
        sys.executable, "-c", "from optimizer.cli import main; main()", "commitments", str(demand),
        "--price-ratio", "0.7", "--term", "1y", "--scenarios", "400", "--output", str(tmp_path / "o"),
    ]  # fmt: skip
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ) as run:
        assert run.stderr is not None
        run.stderr.readline()  # it has begun: "drawing ..."
        time.sleep(0.2)
        run.send_signal(signal.SIGINT)
        _, said = run.communicate(timeout=60)
    assert 130 == run.returncode
    assert "Traceback" not in said
    assert not (tmp_path / "o").exists() or not list((tmp_path / "o").iterdir())
