"""A plan file is read whole or refused with everything that is wrong with it, at its line and column."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from calibration import catalogue
from calibration.problems import InputError
from optimizer.plan_file import Question, json_schema, load_plan
from tests.optimizer.questions import CONTRACT, TOY, asked, plan, problems_in, question


def written(tmp_path: Path, text: str, name: str = "plan.yaml") -> Path:
    path = tmp_path / name
    path.write_text(text)
    return path


@pytest.fixture
def contract(tmp_path: Path) -> Path:
    return written(tmp_path, CONTRACT + TOY)


def test_the_contracts_example_loads_as_written(contract: Path) -> None:
    found = load_plan(contract)
    assert ["short", "long"] == list(found.workloads)
    assert ["a10g", "a100", "l4"] == [candidate.name for candidate in found.candidates]
    assert {"short": 40, "long": 20} == found.candidates[1].capacity_rps
    assert [8, None] == [candidate.max_instances for candidate in found.candidates[1:]]
    batching = found.candidates[2].batching
    assert ((4, 16), (0, 5_000_000)) == (batching.max_batch_size, batching.max_queue_delay_ns)
    assert {"a10g": 1.01, "a100": 3.67, "l4": 0.8048} == {name: one.usd_per_hour for name, one in found.prices.items()}
    assert {"p99": 200_000_000} == found.workloads["short"].slo.targets_ns
    assert () == found.warnings
    assert contract == found.path


def test_the_contracts_file_is_the_one_tested_here() -> None:
    """The copy of the example would otherwise drift from what other programs rely on."""
    shared = Path(__file__).resolve().parents[2] / "../shared/contract.md"
    if not shared.exists():
        pytest.skip("../shared/contract.md is absent")
    assert CONTRACT in shared.read_text()


def test_the_example_loads_as_it_is_written(tmp_path: Path) -> None:
    """It names a toy profile without a section for it, and must run when it is copied."""
    assert (1, 8, 16) == load_plan(written(tmp_path, CONTRACT)).profiles["toy"].batch


def test_a_profile_that_is_nowhere_is_told_where_it_would_be(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        load_plan(written(tmp_path, CONTRACT.replace("toy", "own")))
    assert ["plan.candidates.2.profiles.short", "plan.candidates.2.profiles.long"] == [
        problem.path for problem in caught.value.problems
    ]
    assert (10, 64) == (caught.value.problems[0].line, caught.value.problems[0].column)
    assert "Add a section profiles" in caught.value.problems[0].remedy


def test_json_says_the_same_as_yaml(tmp_path: Path, contract: Path) -> None:
    import json

    content = load_plan(contract).source.content
    assert load_plan(contract).file == load_plan(written(tmp_path, json.dumps(content), "plan.json")).file


def test_a_question_travels_between_processes(contract: Path) -> None:
    found = load_plan(contract)
    travelled: Question = pickle.loads(pickle.dumps(found))
    assert found == travelled
    assert found.problem("plan.candidates.1.max_instances", "x") == travelled.problem(
        "plan.candidates.1.max_instances", "x"
    )


def test_a_profile_is_a_file_a_shipped_name_or_written_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same three ways as in a scenario."""
    shipped = tmp_path / "shipped"
    shipped.mkdir()
    monkeypatch.setattr(catalogue, "FOLDER", shipped)
    (tmp_path / "own.json").write_text(
        '{"schema": 1, "provenance": {}, "measurements": {"batch": [1, 2], "latency_ms": [3, 4]}}'
    )
    content = plan(profile="own")
    content["profiles"]["own"] = "own.json"
    assert (3.0, 4.0) == question(content, tmp_path).profiles["own"].latency_ms
    (tmp_path / "own.json").rename(shipped / "bert.json")
    assert (3.0, 4.0) == question(plan(profile="bert"), tmp_path).profiles["bert"].latency_ms


def test_a_missing_profile_file_is_named_where_it_is_used(tmp_path: Path) -> None:
    content = plan()
    content["profiles"]["toy"] = "absent.json"
    (problem,) = problems_in(content, tmp_path)
    assert ("profiles.toy", "names a file that does not exist") == (problem.path, problem.rule)
    content["profiles"] |= {"toy": {"batch": [1], "latency_ms": [5]}, "other": "absent.json"}
    (warning,) = question(content, tmp_path).warnings
    assert "profiles.other" == warning.path


def test_settings_change_values_before_they_are_judged(contract: Path) -> None:
    found = load_plan(contract, ["plan.candidates.l4.usd_per_hour=0.5", "plan.candidates.0.capacity_rps.short=6"])
    assert 0.5 == found.prices["l4"].usd_per_hour
    assert {"short": 6, "long": 2} == found.candidates[0].capacity_rps
    with pytest.raises(InputError) as caught:
        load_plan(contract, ["plan.candidates.l4.usd_per_hour=-1", "plan.candidates.l5.usd_per_hour=1"])
    lines = [str(problem) for problem in caught.value.problems]
    assert any("must be greater than 0, got -1 (from --set plan.candidates.l4.usd_per_hour=-1)" in one for one in lines)
    assert any("names entry 'l5' of the list plan.candidates" in one and "a10g, a100, l4" in one for one in lines)


def test_the_users_own_price_list_is_asked_first(tmp_path: Path) -> None:
    (tmp_path / "own.csv").write_text(
        "provider,region,instance_type,price_type,usd_per_hour,as_of,source\n"
        "aws,us-east-1,g6.xlarge,on_demand,0.5,2026-01-01,contract\n"
    )
    content = plan(usd_per_hour=None, instance_type="g6.xlarge")
    assert 0.8048 == question(content, tmp_path).prices["l4"].usd_per_hour
    assert 0.5 == question(content | {"prices": "own.csv"}, tmp_path).prices["l4"].usd_per_hour
    (problem,) = problems_in(content | {"prices": "absent.csv"}, tmp_path)
    assert "prices" == problem.path


@pytest.mark.parametrize(
    ("candidate", "path", "rule"),
    [
        ({"usd_per_hour": -1}, "usd_per_hour", "must be greater than 0"),
        ({"usd_per_hour": 0}, "usd_per_hour", "must be greater than 0"),
        ({"usd_per_hour": None}, "usd_per_hour", "is required, or instance_type"),
        ({"usd_per_hour": None, "max_instances": -1}, "usd_per_hour", "is required, or instance_type"),
        ({"usd_per_hour": 700.0}, "usd_per_hour", "stands for 'not offered' in price catalogues and is no price"),
        ({"usd_per_hour": None, "instance_type": "g6.xlargge"}, "instance_type", "must be in a price catalogue"),
        (
            {"usd_per_hour": None, "instance_type": "g6.xlargge", "zones": 0},
            "instance_type",
            "must be in a price catalogue",
        ),
        ({"start_usd": -1}, "start_usd", "must be at least 0"),
        ({"usd_per_request": -1}, "usd_per_request", "must be at least 0"),
    ],
)
def test_a_price_that_is_missing_or_negative_is_named(candidate: dict[str, object], path: str, rule: str) -> None:
    """Taken for 0, the candidate without a price would win every plan."""
    found = {problem.path: problem.rule for problem in problems_in(plan(**candidate))}
    assert found[f"plan.candidates.0.{path}"].startswith(rule)


def test_every_problem_is_told_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    text = CONTRACT + TOY
    text = text.replace("usd_per_hour: 1.01", "usd_per_hour: -1.01").replace("{short: 40, long: 20}", "{shrt: 40}")
    text = text.replace("short: toy", "short: tyo").replace("rate: 10", "rate: ten")
    with pytest.raises(InputError) as caught:
        load_plan(written(tmp_path, text))
    assert [
        (5, "workloads.long.arrivals.rate"),
        (8, "plan.candidates.0.usd_per_hour"),
        (9, "plan.candidates.1.capacity_rps.shrt"),
        (10, "plan.candidates.2.profiles.short"),
    ] == [(problem.line, problem.path) for problem in caught.value.problems]
    assert "Did you mean 'short'?" in caught.value.problems[2].remedy
    assert "Did you mean 'toy'?" in caught.value.problems[3].remedy


@pytest.mark.parametrize(
    "content",
    [
        {"plan": None},
        {"plan": []},
        {"plan": {"candidates": {}}},
        {"plan": {"candidates": [3, None, "x"]}},
        {"plan": {"candidates": [{"name": 3, "profiles": [1], "capacity_rps": 2}], "quotas": 3}},
        {"workloads": [1]},
        {"workloads": {"w": 3}},
        {"profiles": 3},
        {"profiles": {"toy": 3}},
        {"prices": 3},
        {"fleets": 3},
    ],
)
def test_whatever_stands_in_a_file_is_answered_with_problems(content: dict[str, object]) -> None:
    """A traceback for bad input is a bug."""
    assert problems_in(plan() | content)


def test_a_scenario_becomes_a_plan_by_adding_a_plan() -> None:
    """What only a simulation reads is kept, and said to be unread."""
    content = plan() | {
        "horizon": "60s",
        "warmup": "10s",
        "fleets": {"gpu": {"profile": "toy", "usd_per_hour": 1.0, "instances": 2}},
    }
    found = question(asked(content, fleet="gpu"))
    assert ["fleets", "warmup", "horizon"] == [warning.path for warning in found.warnings]


def test_closed_loops_are_refused_in_plain_words() -> None:
    """Their rate follows from what serves them: there is nothing to carry."""
    (problem,) = problems_in(asked(plan(), arrivals={"process": "closed_loop", "concurrency": 4}))
    assert "workloads.w.arrivals.process" == problem.path
    assert "has no rate of its own" in problem.rule


def test_a_series_that_cannot_be_read_is_told_with_its_lines(tmp_path: Path) -> None:
    (tmp_path / "day.csv").write_text("requests\n3\n-4\n")
    arrivals = {"process": "rate_series", "file": "day.csv", "interval": "1h"}
    (problem,) = problems_in(asked(plan(), arrivals=arrivals), tmp_path)
    assert (3, "must not be negative") == (problem.line, problem.rule)
    (problem,) = problems_in(asked(plan(), arrivals=arrivals | {"file": "night.csv"}), tmp_path)
    assert "workloads.w.arrivals.file" == problem.path


def test_the_schema_documents_every_key() -> None:
    schema = json_schema()
    assert {"schema", "name", "workloads", "plan", "profiles", "prices"} <= set(schema["properties"])
    candidate = schema["$defs"]["Candidate"]["properties"]
    assert {"capacity_rps", "profiles", "batching", "max_instances", "zones", "min_up", "added_latency"} <= set(
        candidate
    )
    assert all(value.get("description") for value in candidate.values())
    sizes = schema["$defs"]["BatchingSearch"]["properties"]["max_batch_size"]
    assert {"integer", "array", "null"} <= {one.get("type") for one in _options(sizes)}


def _options(value: dict[str, object]) -> list[dict[str, object]]:
    inside = value.get("anyOf")
    return [found for one in inside for found in _options(one)] if isinstance(inside, list) else [value]
