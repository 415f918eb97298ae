"""Whatever is wrong with demand, prices or options is told before anything is solved: place, rule, value, remedy."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from tests.command_line import Ran, optimize
from tests.optimizer.demand_files import LEVELS, Row, demand_file, demand_rows, price_file

RATIO = ("--price-ratio", "0.7", "--term", "4w")
QUICK = ("--scenarios", "8", "--no-backtest", "--quiet")


def refused(*words: object) -> str:
    ran = optimize("commitments", *words)
    assert (2, "") == (ran.code, ran.out), ran.err
    assert "Traceback" not in ran.err
    assert "a bug of ours" not in ran.err
    return ran.err


def answered(*words: object) -> Ran:
    ran = optimize("commitments", *words, *QUICK)
    assert 0 == ran.code, ran.err
    return ran


@pytest.fixture
def demand(tmp_path: Path) -> Path:
    return demand_file(tmp_path)


# The history


def test_every_bad_cell_is_named_with_its_line(tmp_path: Path) -> None:
    rows = demand_rows()
    rows[5] = (*rows[5][:2], "-3")
    rows[9] = (*rows[9][:2], "many")
    said = refused(demand_file(tmp_path, rows), *RATIO)
    assert "demand.csv:7: demand: must not be negative, got '-3'." in said
    assert "demand.csv:11: demand: must be a number, got 'many'." in said


def test_rows_that_contradict_each_other_are_named(tmp_path: Path) -> None:
    rows = demand_rows()
    rows.insert(20, (*rows[4][:2], "999"))
    assert "must stand once for a pool" in refused(demand_file(tmp_path, rows), *RATIO)


def test_a_gap_is_filled_and_said(tmp_path: Path) -> None:
    rows = demand_rows(levels={"a": 500.0})
    out = answered(demand_file(tmp_path, [*rows[:300], *rows[306:]]), *RATIO).out
    assert "6 hours" in out
    assert "missing" in out


def test_a_gap_may_be_no_demand_when_the_user_says_so(tmp_path: Path) -> None:
    rows = demand_rows(levels={"a": 500.0})
    out = answered(demand_file(tmp_path, [*rows[:300], *rows[306:]]), *RATIO, "--absent", "zero").out
    assert "6 hours without any row are demand 0" in out


def test_a_history_that_mostly_lacks_is_refused(tmp_path: Path) -> None:
    rows = demand_rows(levels={"a": 500.0})
    assert "missing" in refused(demand_file(tmp_path, [*rows[:200], *rows[1_400:]]), *RATIO, "--absent", "gap")


def test_stamps_without_a_zone_are_taken_as_utc_and_said(tmp_path: Path) -> None:
    out = answered(demand_file(tmp_path, demand_rows(form="%Y-%m-%d %H:%M")), *RATIO).out
    assert "timestamps name no time zone: taken as UTC" in out


def local_time(change: dt.datetime, before_h: int, after_h: int) -> list[Row]:
    """Forty days around a change of the clock, in stamps without a zone."""
    first = change - dt.timedelta(days=20)
    moments = [first + dt.timedelta(hours=hour) for hour in range(40 * 24)]
    shifted = [at + dt.timedelta(hours=before_h if at < change else after_h) for at in moments]
    return [(f"{at:%Y-%m-%d %H:%M}", "a", str(400 + number % 7)) for number, at in enumerate(shifted)]


def test_an_hour_that_stands_twice_is_noticed_and_the_remedy_is_an_option(tmp_path: Path) -> None:
    """Autumn in Berlin: 2026-10-25, 01:00 UTC."""
    file = demand_file(tmp_path, local_time(dt.datetime(2026, 10, 25, 1, tzinfo=dt.UTC), 2, 1))
    said = refused(file, *RATIO)
    assert "(--timezone Europe/" in said
    assert "timezone=" not in said
    answered(file, *RATIO, "--timezone", "Europe/Berlin")


def test_an_hour_that_never_was_is_noticed(tmp_path: Path) -> None:
    """Spring in Berlin: 2026-03-29, 01:00 UTC."""
    file = demand_file(tmp_path, local_time(dt.datetime(2026, 3, 29, 1, tzinfo=dt.UTC), 1, 2))
    assert "missing" in answered(file, *RATIO).out
    assert "missing" not in answered(file, *RATIO, "--timezone", "Europe/Berlin").out


def test_a_zone_that_is_none_is_refused(demand: Path) -> None:
    assert "--timezone" in refused(demand, *RATIO, "--timezone", "Europe/Berln")


def test_a_history_too_short_is_refused_and_one_too_short_for_its_season_is_told(tmp_path: Path) -> None:
    assert "must hold four days of demand at least, got 60 hours" in refused(
        demand_file(tmp_path, demand_rows(hours=60)), *RATIO
    )
    out = answered(demand_file(tmp_path, demand_rows(hours=30 * 24)), *RATIO).out
    assert "4 weeks of history cannot show a year" in " ".join(out.split())


def test_a_test_on_a_history_too_short_for_it_is_left_out_and_said(tmp_path: Path) -> None:
    ran = optimize("commitments", demand_file(tmp_path, demand_rows(hours=100)), *RATIO, "--scenarios", "8", "--quiet")
    assert 0 == ran.code
    assert "Not tested on the history: the history of" in ran.out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--column", "demand=nothing"], "must be in the column nothing"),
        (["--column", "team=x"], "must name timestamp, pool or demand"),
        (["--column", "demand"], "--column"),
        (["--where", "REGION=3"], "REGION"),
        (["--step", "7"], "--step"),
        (["--absent", "maybe"], "--absent"),
    ],
)
def test_options_of_reading_that_do_not_fit_are_refused(demand: Path, words: list[str], said: str) -> None:
    assert said in refused(demand, *RATIO, *words)


def test_an_empty_file_is_told_what_it_should_hold(tmp_path: Path) -> None:
    empty = tmp_path / "empty.csv"
    empty.write_text("")
    assert "must not be empty. It must hold a header and a row of demand." in refused(empty, *RATIO)


def test_more_pools_than_fit_in_memory_are_refused_and_fit_when_pooled(tmp_path: Path) -> None:
    rows = demand_rows(hours=100, levels={f"p{number}": 3.0 for number in range(400)})
    file = demand_file(tmp_path, rows)
    said = refused(file, "--price-ratio", "0.7", "--term", "10y")
    assert "must have at most 285 pools for 10 years, got 400" in said
    assert "--pooled" in said


def test_small_demand_in_parts_is_promised_in_parts_unless_whole_instances_are_asked_for(tmp_path: Path) -> None:
    rows = [(at, pool, f"{int(wanted) / 64:.4f}") for at, pool, wanted in demand_rows(levels={"a": 20.0})]
    file = demand_file(tmp_path, rows)
    found = answered(file, *RATIO, "--json").json()
    assert 0 < found["commitments"][0]["units"] < 1
    assert any("parts of one may be promised" in note for note in found["notes"])
    whole = answered(file, *RATIO, "--whole").out
    assert whole.startswith("Promise nothing: a part of an instance would pay, a whole one does not")
    assert "lookback over 7 days" in whole


def test_limits_that_leave_no_room_are_blamed_not_the_prices(demand: Path) -> None:
    out = answered(demand, *RATIO, "--max-share", "0.0001").out
    assert out.startswith("Promise nothing: the limits leave no room for a unit that would pay")


def test_a_file_that_is_not_there_is_bad_input(tmp_path: Path) -> None:
    assert "nothing.csv" in refused(tmp_path / "nothing.csv", *RATIO)


# Prices


def test_sentinels_negative_prices_and_other_currencies_are_all_named(demand: Path, tmp_path: Path) -> None:
    prices = price_file(
        tmp_path,
        "g2-standard-4,on_demand,-1,",
        "g2-standard-4,cud_1y,0,",
        "a2-highgpu-1g,on_demand,700.0,",
        "a2-highgpu-1g,cud_1y,EUR 2,",
    )
    said = refused(demand, "--prices", prices)
    assert 4 == said.count("prices.csv:")
    assert "must be greater than 0, got -1" in said
    assert "must be greater than 0, got 0" in said
    assert 'stands for "not offered"' in said
    assert "must be in US dollars, not EUR" in said


def test_a_spot_price_equal_to_on_demand_is_told(demand: Path, tmp_path: Path) -> None:
    rows = [
        f"{pool},{plan}" for pool in LEVELS for plan in ("on_demand,1.0,", "spot,1.0,", "reserved_1y_no_upfront,0.6,")
    ]
    out = answered(demand, "--prices", price_file(tmp_path, *rows), "--provider", "own").out
    assert "spot price equal to the on-demand price" in " ".join(out.split())


def test_a_promise_dearer_than_on_demand_is_told_and_never_bought(demand: Path, tmp_path: Path) -> None:
    prices = price_file(
        tmp_path,
        "g2-standard-4,on_demand,1.0,",
        "g2-standard-4,cud_1y,1.2,",
        "a2-highgpu-1g,on_demand,3.0,",
        "a2-highgpu-1g,cud_1y,1.8,",
    )
    out = answered(demand, "--prices", prices, "--provider", "own").out
    assert "committed price not below the on-demand price" in " ".join(out.split())
    assert not any(line.startswith("g2-standard-4  cud_1y") for line in out.splitlines())


def test_long_names_of_plans_stay_within_eighty_columns(demand: Path, tmp_path: Path) -> None:
    rows = [
        f"{pool},{plan}"
        for pool in LEVELS
        for plan in (
            "on_demand,1.0,",
            "reserved_3y_partial_upfront,0.5,6570",
            "savings_plan_compute_3y_no_upfront,0.45,0",
        )
    ]
    prices = price_file(tmp_path, *rows)
    for plan in ("reserved_3y_partial_upfront", "savings_plan_compute_3y_no_upfront"):
        lines = answered(demand, "--prices", prices, "--provider", "own", "--plan", plan).out.splitlines()
        assert 80 >= max(map(len, lines))
        assert any(line.endswith("upfront") and plan.endswith(line.strip()) for line in lines)


def test_missing_rates_are_named_and_never_guessed(demand: Path, tmp_path: Path) -> None:
    only = price_file(tmp_path, "g2-standard-4,on_demand,1.0,", "g2-standard-4,reserved_1y_no_upfront,0.6,")
    said = refused(demand, "--prices", only, "--provider", "own")
    assert "a2-highgpu-1g" in said
    both = price_file(
        tmp_path,
        "g2-standard-4,on_demand,1.0,",
        "g2-standard-4,reserved_1y_no_upfront,0.6,",
        "a2-highgpu-1g,on_demand,3.0,",
    )
    ran = answered(demand, "--prices", both, "--provider", "own", "--plan", "reserved_1y_no_upfront", "--json")
    assert {"g2-standard-4"} == {one["pool"] for one in ran.json()["commitments"]}
    assert any("a2-highgpu-1g" in missing for missing in ran.json()["missing_rates"])


def test_pools_that_no_list_knows_are_all_named(tmp_path: Path) -> None:
    file = demand_file(tmp_path, demand_rows(levels={"mine": 5.0, "yours": 3.0}))
    said = refused(file)
    assert "mine" in said
    assert "yours" in said


# Options that contradict each other, and several problems at once


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--price-ratio", "1.2"], "must be above 0 and below 1"),
        (["--price-ratio", "nan"], "must be above 0 and below 1"),
        (["--price-ratio", "0.7", "--term", "1 fortnight"], "--term"),
        (["--price-ratio", "0.7", "--price-ratio", "0.5"], "must come as often as --term"),
        (["--price-ratio", "0.7", "--plan", "cud_1y"], "--plan: contradicts --price-ratio"),
        (["--price-ratio", "0.7", "--on-demand-usd", "-2"], "--on-demand-usd"),
        (["--term", "3y"], "--term: needs --price-ratio"),
        (["--on-demand-usd", "3"], "--on-demand-usd: needs --price-ratio"),
        (["--plan", "cud_7y"], "--plan"),
        (["--pooled"], "--pooled: needs --price-ratio"),
        ([*RATIO, "--max-share", "0"], "--max-share: must be greater than 0"),
        ([*RATIO, "--max-share", "2"], "--max-share"),
        ([*RATIO, "--max-upfront", "-1"], "--max-upfront"),
        ([*RATIO, "--ladder", "1y"], "--ladder: must be shorter than the longest term"),
        (["--price-ratio", "0.7", "--ladder", "1h"], "--ladder: must have at most 53 dates in the longest term"),
        ([*RATIO, "--start", "2020-01-01"], "--start: must be on or after the end of the history"),
        ([*RATIO, "--start", "2036-01-01"], "--start: must be within two years"),
        ([*RATIO, "--start", "soon"], "--start: must be a date"),
        ([*RATIO, "--risk-weight", "0.3"], "--risk-weight: needs --risk"),
        ([*RATIO, "--risk", "fear"], "--risk"),
        ([*RATIO, "--time-limit", "5"], "--time-limit: needs a unit"),
        ([*RATIO, "--scenarios", "0"], "--scenarios"),
        ([*RATIO, "--gap", "-1"], "--gap"),
        ([*RATIO, "--tags", "nowhere.csv"], "--tags: needs --output"),
    ],
)
def test_options_that_cannot_be_meant_are_refused(demand: Path, words: list[str], said: str) -> None:
    assert said in refused(demand, *words)


def test_no_upfront_money_and_only_upfront_plans_contradict_each_other(demand: Path, tmp_path: Path) -> None:
    rows = [f"{pool},{plan}" for pool in LEVELS for plan in ("on_demand,1.0,", "reserved_1y_all_upfront,0.6,5256")]
    prices = price_file(tmp_path, *rows)
    said = refused(demand, "--prices", prices, "--provider", "own", "--max-upfront", "0")
    assert "--max-upfront: must be at least" in said
    assert "5,256.00 USD, got 0" in said


def test_everything_that_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    rows = demand_rows()
    rows[5] = (*rows[5][:2], "-3")
    words = ("--price-ratio", "1.7", "--term", "3", "--ladder", "x", "--time-limit", "5", "--risk-weight", "0.4")
    said = refused(demand_file(tmp_path, rows), *words)
    for place in ("demand.csv:7:", "--price-ratio", "--term", "--ladder", "--time-limit", "--risk-weight"):
        assert place in said, place


def test_tags_of_strange_pools_and_shares_that_are_not_whole_are_named(demand: Path, tmp_path: Path) -> None:
    tags = tmp_path / "tags.csv"
    tags.write_text("pool,team,share\ng2-standard-4,a,0.5\ng2-standard-5,b,1\na2-highgpu-1g,c,x\n")
    said = refused(demand, *RATIO, "--tags", tags, "--output", tmp_path / "o")
    assert "tags.csv:2:" in said
    assert "the shares of g2-standard-4 must add up to 1, got 0.5" in said
    assert "Did you mean 'g2-standard-4'?" in said
    assert "tags.csv:4:" in said
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize("text", ["", "team,model\nx,y\n", "pool\ng2-standard-4\n"])
def test_files_that_are_no_tags_are_refused(demand: Path, tmp_path: Path, text: str) -> None:
    tags = tmp_path / "tags.csv"
    tags.write_text(text)
    assert "tags.csv" in refused(demand, *RATIO, "--tags", tags, "--output", tmp_path / "o")
