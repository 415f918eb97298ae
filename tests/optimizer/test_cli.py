"""``optimize`` from the outside: results on stdout, reasons in exit codes, nothing else."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.command_line import optimize

PLAN = """\
schema: 1
name: stated
workloads:
  short: {arrivals: {process: poisson, rate: 20}, slo: {p99: 200ms}}
  long:  {arrivals: {process: poisson, rate: 10}, slo: {p99: 400ms}}
plan:
  candidates:
    - {name: a10g, usd_per_hour: 1.01, capacity_rps: {short: 5, long: 2}, accuracy: 0.8}
    - {name: a100, usd_per_hour: 3.67, capacity_rps: {short: 40, long: 20}, max_instances: 8, accuracy: 0.7}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "plan.yaml"
    path.write_text(PLAN)
    return path


def test_json_has_the_keys_of_the_contract(file: Path) -> None:
    ran = optimize(file, "--json", "--no-cache", "--quiet")
    assert (0, "") == (ran.code, ran.err)
    found = ran.json()
    assert (1, "optimal") == (found["schema_version"], found["status"])
    assert 3.67 == pytest.approx(found["cost"]["usd_per_hour"])
    assert 3.67 * 730 == pytest.approx(found["cost"]["usd_per_month"])
    assert found["lower_bound_usd_per_hour"] <= 3.67 + 1e-9
    (fleet,) = found["fleets"]
    assert ("a100", 1, {"on_demand": 1}) == (fleet["candidate"], fleet["instances"], fleet["purchase"])
    assert {"short": 1.0, "long": 1.0} == fleet["share"]
    assert {"binding", "shadow_prices", "alternatives", "verified"} <= found.keys()
    assert "pareto" not in found


def test_the_report_is_text_and_messages_are_not_in_it(file: Path) -> None:
    ran = optimize(file, "--no-cache")
    assert 0 == ran.code
    assert ran.out.startswith("stated: $2,679 a month")
    assert "looking for the cheapest plan" in ran.err
    assert "looking for" not in ran.out


def test_without_a_plan_the_exit_code_is_3_and_json_is_printed_all_the_same(file: Path) -> None:
    ran = optimize(file, "--json", "--quiet", "--no-cache", "--set", "plan.max_usd_per_hour=2")
    assert 3 == ran.code
    found = ran.json()
    assert ("infeasible", []) == (found["status"], found["fleets"])
    assert found["binding"]
    assert None is found["cost"]["usd_per_month"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--set", "plan.gap=-1"], "plan.gap"),
        (["--time-limit", "5"], "plan.time_limit"),
        (["--figure", "costs.svg"], "--pareto"),
        (["--pareto", "--figure", "costs.txt"], ".svg"),
        (["--cache", "there", "--no-cache"], "--no-cache"),
        (["--gap", "0.5"], "gap"),
        (["--set", "workloads.short.slo.p98=1s"], "p98"),
    ],
)
def test_what_cannot_be_used_exits_with_2_and_says_what(file: Path, given: list[str], said: str) -> None:
    ran = optimize(file, *given)
    assert (2, "") == (ran.code, ran.out)
    assert said in ran.err
    assert "Traceback" not in ran.err


def test_a_file_that_is_not_there_is_bad_input(tmp_path: Path) -> None:
    ran = optimize(tmp_path / "nothing.yaml")
    assert 2 == ran.code
    assert "nothing.yaml" in ran.err


def test_options_change_the_file(file: Path) -> None:
    found = optimize(file, "--json", "-q", "--no-cache", "--seed", 7, "--gap", 0.05, "--time-limit", "9s").json()
    assert "7" == found["assumptions"]["seed"]
    assert [] == optimize(file, "--json", "-q", "--no-cache", "--no-alternatives").json()["alternatives"]


def test_pareto_plans_for_floors_of_accuracy_and_draws_them(file: Path, tmp_path: Path) -> None:
    figure = tmp_path / "costs.svg"
    ran = optimize(file, "--pareto", "--figure", figure, "--json", "-q", "--no-cache")
    assert 0 == ran.code
    found = ran.json()["pareto"]
    assert [("accuracy", "short"), ("accuracy", "long")] == [(one["kind"], one["workload"]) for one in found]
    costs = [point["usd_per_month"] for point in found[0]["points"]]
    assert sorted(costs, reverse=True) == costs
    assert "least mean accuracy of the answers to short" in figure.read_text(encoding="utf-8")


def test_output_keeps_plan_report_and_hours(file: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    ran = optimize(file, "--output", folder, "--no-cache")
    assert {"plan.json", "report.txt", "hours.csv"} == {path.name for path in folder.iterdir()}
    assert ran.out == (folder / "report.txt").read_text(encoding="utf-8")
    assert "optimal" == json.loads((folder / "plan.json").read_text())["status"]
    head, row = (folder / "hours.csv").read_text().splitlines()
    assert "hour,weight_h,usd_per_hour,short rps,long rps,a100 instances" == head
    assert "all day,730.0,3.67,20.0,10.0,1" == row


def test_the_schema_documents_every_key() -> None:
    ran = optimize("schema")
    assert "plan" in json.loads(ran.out)["properties"]
    assert "plan.candidates[]" in optimize("schema", "--markdown").out


def test_help_loads_nothing_heavy() -> None:
    """Answering --help must not wait for numpy, the solver or the engine."""
    code = (
        "import sys; from optimizer.cli import app\n"
        "heavy = {'numpy', 'pulp', 'highspy', 'scipy', 'numba', 'pydantic', 'matplotlib', 'pyarrow'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "[]" == ran.stdout.strip()


def test_the_group_has_room_for_further_commands() -> None:
    assert 0 == optimize("--help").code
    assert 2 == optimize("shcema").code
