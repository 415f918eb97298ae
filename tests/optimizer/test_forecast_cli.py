"""``forecast DEMAND.csv``: what it prints, what it writes, and how it refuses."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from optimizer.forecast import cli
from optimizer.forecast.asked import horizon_h
from tests.command_line import Ran, ran_in_process

ROOT = Path(__file__).resolve().parents[2]


def forecast(*args: object) -> Ran:
    """Run ``forecast`` with these arguments."""
    return ran_in_process(cli.main, "forecast", *args)


@pytest.fixture(scope="module")
def demand(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five weeks of two pools from 2024-01-01."""
    path = tmp_path_factory.mktemp("demand") / "demand.csv"
    rng = np.random.default_rng(3)
    rows = ["timestamp,pool,demand"]
    for hour in range(5 * 168):
        stamp = f"{datetime(2024, 1, 1, tzinfo=UTC) + timedelta(hours=hour):%Y-%m-%dT%H:%M:%SZ}"
        for pool, level in (("A", 50), ("B", 5)):
            value = level * (1 + 0.3 * np.sin(hour * np.pi / 12)) * rng.lognormal(0, 0.1)
            rows.append(f"{stamp},{pool},{value:.3f}")
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path


def test_json_has_an_hour_and_pool_a_row_and_the_backtest(demand: Path) -> None:
    ran = forecast(demand, "--horizon", "48h", "--json", "--level", "95", "--quiet")
    assert (0, "") == (ran.code, ran.err)
    found = ran.json()
    assert 1 == found["schema_version"]
    assert 96 == len(found["forecast"])
    first = found["forecast"][0]
    assert ["timestamp", "pool", "mean", "p10", "p50", "p90", "p95"] == list(first)
    assert ("2024-02-05T00:00:00Z", "A") == (first["timestamp"], first["pool"])
    assert first["p10"] < first["p50"] < first["p90"] < first["p95"]
    assert 0.6 <= found["backtest"]["coverage_80"] <= 0.95
    assert found["backtest"]["mase"] < found["backtest"]["mase_naive"]
    assert {"A", "B"} == set(found["pools"])
    assert {"A", "B", "all pools"} == set(found["months"])


def test_text_tells_months_and_the_scores_beside_seasonal_naive(demand: Path) -> None:
    ran = forecast(demand, "--horizon", "2w", "--pool", "A")
    assert 0 == ran.code
    assert "| 2024-02 |" in ran.out
    assert "than that of seasonal naive (MASE" in " ".join(ran.out.split())
    assert "nine in ten futures stay below P90, one in ten below P10" in " ".join(ran.out.split())
    assert "forecasting A" in ran.err


@pytest.mark.parametrize("hours", [1, 5, 23])
def test_a_few_hours_ahead_are_foretold_as_months_are(hours: int, demand: Path, tmp_path: Path) -> None:
    """As text and for programs, with its files and its figure, and both pools in one future."""
    folder, drawn = tmp_path / "out", tmp_path / "f.svg"
    ran = forecast(demand, "--horizon", f"{hours}h", "--json", "--output", folder, "--figure", drawn, "-q")
    assert (0, "") == (ran.code, ran.err)
    assert 2 * hours == len(ran.json()["forecast"])
    assert all(row["p10"] < row["p50"] < row["p90"] for row in ran.json()["forecast"])
    assert f"# Demand, {hours} hour{'s' * (hours > 1)} from 2024-02-05" in (folder / "forecast.md").read_text("utf-8")
    assert drawn.stat().st_size > 5_000
    assert f"up to {hours} h ahead" in " ".join(forecast(demand, "--horizon", f"{hours}h", "-q").out.split())


def test_pooled_takes_all_pools_as_one(demand: Path) -> None:
    found = forecast(demand, "--horizon", "24h", "--pooled", "--json", "-q").json()
    assert {"*"} == {row["pool"] for row in found["forecast"]}


def test_output_holds_the_forecast_for_programs_and_for_people(demand: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    ran = forecast(demand, "--horizon", "3d", "--output", folder, "--figure", tmp_path / "f.png", "-q")
    assert 0 == ran.code
    assert ["forecast.csv", "forecast.json", "forecast.md", "forecast.svg"] == sorted(
        one.name for one in folder.iterdir()
    )
    with (folder / "forecast.csv").open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert 144 == len(rows) == len(json.loads((folder / "forecast.json").read_text(encoding="utf-8"))["forecast"])
    report = (folder / "forecast.md").read_text(encoding="utf-8")
    assert "![Demand, past and foretold](forecast.svg)" in report
    # The terminal gets the same words in lines that fit it; in the file a paragraph is one line.
    assert max(map(len, ran.out.splitlines())) <= 80 < max(map(len, report.splitlines()))
    assert ran.out.split() == report.replace("![Demand, past and foretold](forecast.svg)", "").split()
    assert (tmp_path / "f.png").stat().st_size > 5_000


def test_holidays_and_events_are_taken(demand: Path, tmp_path: Path) -> None:
    days = tmp_path / "days.csv"
    days.write_text("date,name\n2024-01-10,h\n2024-02-06,h\n", encoding="utf-8")
    options = ("--horizon", "72h", "--pool", "A", "--json", "-q")
    plain = forecast(demand, *options).json()["forecast"]
    event = "launch=2024-02-05/2024-02-05*2"
    changed = forecast(demand, *options, "--holidays", days, "--event", event).json()["forecast"]
    ratio = [one["p50"] / other["p50"] for one, other in zip(changed, plain, strict=True)]
    assert np.allclose(ratio[:24], 2.0, rtol=0.05)
    assert np.allclose(ratio[48:], 1.0, rtol=0.05)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--horizon", "12 parsecs"], "--horizon: must be a time ahead"),
        (["--horizon", "20y"], "--horizon: must be from 1 hour to 10 years"),
        (["--level", "0"], "--level: must be from 0.5 to 99.5 %"),
        (["--event", "launch"], "--event: must be an event"),
        (["--event", "launch=2024-02-07/2024-02-05"], "--event: must begin and end at times"),
        (["--event", "launch=2024-02-07/2024-02-08*x"], "--event: must have a factor"),
        (["--pool", "Z"], "--pool: must be one of A, B"),
        (["--column", "size=x"], "--column: must name timestamp, pool or demand"),
        (["--unit", "bananas"], "--unit: must be one of"),
        (["--holiday", "soon"], "--holiday: must be a date"),
        (["--figure", "x.doc"], "--figure: must end in"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_its_remedy(demand: Path, options: list[str], words: str) -> None:
    ran = forecast(demand, *options)
    assert 2 == ran.code
    assert words in ran.err
    assert "" == ran.out


def test_bad_rows_are_named_with_their_line(tmp_path: Path) -> None:
    path = tmp_path / "bad.csv"
    path.write_text("timestamp,pool,demand\n2024-01-01T00:00:00Z,A,-4\n2024-01-01T01:00:00Z,A,3\n", encoding="utf-8")
    ran = forecast(path)
    assert 2 == ran.code
    assert f"{path}:2:" in ran.err


def test_check_exits_4_where_a_pool_cannot_be_forecast(tmp_path: Path) -> None:
    path = tmp_path / "short.csv"
    rows = [f"2024-01-01T{hour:02d}:00:00Z,A,{hour + 1}" for hour in range(24)]
    path.write_text("\n".join(["timestamp,pool,demand", *rows]) + "\n", encoding="utf-8")
    ran = forecast(path, "--horizon", "24h", "--check", "-q")
    assert 4 == ran.code
    assert "Cannot be forecast" in ran.out


def test_months_and_years_are_the_calendars() -> None:
    end = datetime(2024, 1, 31, 5, tzinfo=UTC)
    assert [29 * 24, 366 * 24, 168] == [horizon_h(text, end) for text in ("1mo", "12mo", "1w")]


def test_help_loads_nothing_heavy() -> None:
    """``--help`` must answer before a person wonders."""
    heavy = "numpy scipy pandas statsmodels matplotlib pyarrow numba"
    loaded = f"' '.join(n for n in '{heavy}'.split() if n in sys.modules)"
    code = f"import sys, optimizer.forecast.cli; sys.exit({loaded} or None)"
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (0, "") == (ran.returncode, ran.stderr)
