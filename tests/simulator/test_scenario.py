"""A scenario that loads is sound, keeps its order and its places, and is a value."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from calibration.problems import InputError
from simulator.scenario import Scenario, json_schema, load_scenario, scenario_from

CONTRACT = """\
schema: 1
name: closed-loop-check
seed: 7
horizon: 60s                 # simulated time over which requests arrive
warmup: 10s                  # left out of latency statistics; still billed
profiles:
  bert-a100: bert.a100.json            # a profile file, relative to this YAML, or inline:
  toy:
    batch:      [1, 8, 16]             # items in the batch, increasing
    latency_ms: [10, 24, 40]           # mean time the accelerator needs for that batch; between points: interpolated
    latency_cv: 0.02                   # optional: noise, lognormal around that mean
    overheads:                         # optional; each a number, or a list as long as batch
      frontend_ms: 0                   # serial per-request work before the queue: one request at a time
      enqueue_ms: 0.2                  # request sent -> queued (in parallel)
      dispatch_ms: 0.2                 # batch released -> execution starts (the model instance is taken)
      release_ms: 0.2                  # execution ends -> the model instance is free
      reply_ms: 0.4                    # execution ends -> the client has the answer (in parallel)
fleets:
  gpu:
    profile: toy                       # several models on one fleet: models: {name: profile, ...}
    instance_type: g6.xlarge           # looked up in the price catalogue, or
    usd_per_hour: 0.80                 # a price of the user's own, which wins
    instances: 4
    model_instances: 1                 # executions at once on one accelerator (Triton: instance_group.count)
    slowdown: [1, 2]                   # optional: k executions at once each take slowdown[k-1] times as long
    batching: {policy: dynamic, rule: triton, max_batch_size: 16, max_queue_delay: 5ms, preferred_batch_sizes: [8, 16]}
    router: least_outstanding          # round_robin | least_outstanding | power_of_two | random | ...
    purchase: on_demand
workloads:
  search:
    fleet: gpu
    arrivals: {process: poisson, rate: 900}          # requests per second
    items_per_request: 1
    slo: {p99: 100ms}
"""
"""The example of the contract, comments and all."""

BERT = {"schema": 1, "provenance": {"source": "t"}, "measurements": {"batch": [1, 2], "latency_ms": [3, 4]}}


@pytest.fixture
def contract(tmp_path: Path) -> Path:
    path = tmp_path / "contract.yaml"
    path.write_text(CONTRACT)
    (tmp_path / "bert.a100.json").write_text(json.dumps(BERT))
    return path


def minimal(**fleet: Any) -> dict[str, Any]:
    """A small scenario as values, with the fleet's keys changed."""
    return {
        "schema": 1,
        "name": "small",
        "horizon": "10s",
        "profiles": {"toy": {"batch": [1, 8], "latency_ms": [10, 24]}},
        "fleets": {"gpu": {"profile": "toy", "usd_per_hour": 1.0, "instances": 1} | fleet},
        "workloads": {"w": {"fleet": "gpu", "arrivals": {"process": "poisson", "rate": 5}}},
    }


def with_arrivals(**arrivals: Any) -> Scenario:
    """The small scenario with other arrivals."""
    content = minimal()
    content["workloads"]["w"]["arrivals"] = arrivals
    return scenario_from(content)


def test_the_contracts_example_loads_as_written(contract: Path) -> None:
    scenario = load_scenario(contract)
    fleet, workload = scenario.fleets["gpu"], scenario.workloads["search"]
    assert (7, 60_000_000_000, 10_000_000_000) == (scenario.seed, scenario.horizon_ns, scenario.warmup_ns)
    assert ["bert-a100", "toy"] == list(scenario.profiles)
    assert (3.0, 4.0) == scenario.profiles["bert-a100"].latency_ms
    assert (4, 0.8, "g6.xlarge") == (fleet.instances, fleet.usd_per_hour, fleet.instance_type)
    assert ("dynamic", "triton", 16) == (fleet.batching.policy, fleet.batching.rule, fleet.batching.max_batch_size)
    assert (5_000_000, (8, 16)) == (fleet.batching.max_queue_delay_ns, fleet.batching.preferred_batch_sizes)
    assert 900 == getattr(workload.arrivals, "rate", None)
    assert workload.slo is not None
    assert {"p99": 100_000_000} == workload.slo.targets_ns
    assert () == scenario.warnings
    assert contract == scenario.path


def test_the_contracts_file_is_the_one_tested_here() -> None:
    """The copy of the example in this file would otherwise drift from what other programs rely on."""
    shared = Path(__file__).resolve().parents[2] / "../shared/contract.md"
    if not shared.exists():
        pytest.skip("../shared/contract.md is absent")
    example = shared.read_text().split("```yaml\n")[1].split("```")[0]

    def without_comments(text: str) -> list[str]:
        lines = (line.split(" #")[0].rstrip() for line in text.splitlines())
        return [line for line in lines if line and not line.lstrip().startswith("#")]

    assert without_comments(example) == without_comments(CONTRACT)


def test_a_profile_that_nothing_uses_may_be_absent_and_a_warning_says_so(contract: Path) -> None:
    """No figure depends on it; but whoever wants to use it should not be surprised."""
    (contract.parent / "bert.a100.json").unlink()
    scenario = load_scenario(contract)
    assert ["toy"] == list(scenario.profiles)
    (warning,) = scenario.warnings
    assert (7, "profiles.bert-a100") == (warning.line, warning.path)
    with pytest.raises(InputError, match=r"names a file that does not exist, got 'bert\.a100\.json'"):
        load_scenario(contract, ["fleets.gpu.profile=bert-a100"])


def test_a_scenario_is_a_value(contract: Path) -> None:
    """It is a cache key, and it travels to worker processes."""
    one, other = load_scenario(contract), load_scenario(contract)
    assert one == other
    assert hash(one) == hash(other)
    travelled = pickle.loads(pickle.dumps(one))
    assert one == travelled
    assert one.canonical_json() == travelled.canonical_json()
    assert one.problem("seed", "x") == travelled.problem("seed", "x")
    assert one != load_scenario(contract, ["seed=8"])
    with pytest.raises(Exception, match="frozen"):
        one.seed = 8


def test_where_a_scenario_stands_is_no_part_of_what_it_says(contract: Path) -> None:
    moved = contract.with_name("moved.yaml")
    moved.write_text("# a comment\n" + CONTRACT)
    assert load_scenario(contract) == load_scenario(moved)
    assert load_scenario(contract).canonical_json() == load_scenario(moved).canonical_json()


def test_the_canonical_text_changes_with_the_contents_of_a_trace(tmp_path: Path) -> None:
    """A cached result of another trace under the same name would be shown as this one's."""
    content = minimal()
    content["workloads"]["w"]["arrivals"] = {"process": "trace", "file": "t.csv"}
    texts = []
    for rows in ("arrival_s\n0.1\n", "arrival_s\n0.2\n"):
        (tmp_path / "t.csv").write_text(rows)
        texts.append(scenario_from(content, folder=tmp_path).canonical_json())
    assert texts[0] != texts[1]


def test_names_keep_the_order_of_the_file() -> None:
    """Instances and streams are numbered in that order."""
    content = minimal()
    content["fleets"] = dict.fromkeys("zam", content["fleets"]["gpu"])
    content["workloads"] = {name: {**content["workloads"]["w"], "fleet": name} for name in "mza"}
    scenario = scenario_from(content)
    assert ["z", "a", "m"] == list(scenario.fleets)
    assert ["m", "z", "a"] == list(scenario.workloads)
    assert ["z"] == list(scenario.workloads_of("z"))


def test_later_stages_report_against_the_line_of_the_yaml(contract: Path) -> None:
    scenario = load_scenario(contract)
    problem = scenario.problem("fleets.gpu.instance_type", "is not in the catalogue", "'g6.xlarge'", "Look it up.")
    place = f"{contract}:21:20: fleets.gpu.instance_type: "
    assert place + "is not in the catalogue, got 'g6.xlarge'. Look it up." == str(problem)
    assert 1 == scenario.problem("prices", "is required").line
    assert 19 == scenario.problem("fleets.gpu.region", "is required").line, "what is absent is placed at its fleet"


def test_without_batching_a_fleet_serves_one_request_at_a_time() -> None:
    fleet = scenario_from(minimal()).fleets["gpu"]
    assert ("none", 1) == (fleet.batching.policy, fleet.batching.max_batch_size)


def test_without_batching_the_largest_batch_is_the_largest_request() -> None:
    content = minimal()
    content["workloads"]["w"]["items_per_request"] = {"2": 1, "4": 3}
    scenario = scenario_from(content)
    assert 4 == scenario.fleets["gpu"].batching.max_batch_size
    assert {2: 0.25, 4: 0.75} == scenario.workloads["w"].item_shares
    assert (2, 4) == scenario.batch_range("gpu")


@pytest.mark.parametrize(
    ("batching", "items", "expected"),
    [
        ({"policy": "dynamic", "max_batch_size": 8}, 1, (1, 8)),
        ({"policy": "dynamic", "max_batch_size": 8}, 3, (3, 6)),
        ({"policy": "dynamic", "max_batch_size": 8}, {"1": 1, "3": 1}, (1, 8)),
        ({"policy": "static", "max_batch_size": 8}, 1, (8, 8)),
        ({"policy": "static", "max_batch_size": 8}, 3, (6, 6)),
        ({"policy": "static", "max_batch_size": 8}, {"1": 1, "3": 1}, (6, 8)),
        ({"policy": "none"}, 3, (3, 3)),
    ],
)
def test_the_range_of_batches_follows_from_policy_and_items(
    batching: dict[str, Any], items: object, expected: tuple[int, int]
) -> None:
    """The profile must cover it: too narrow and a run extrapolates unseen, too wide and a good scenario is refused."""
    content = minimal(batching=batching)
    content["workloads"]["w"]["items_per_request"] = items
    assert expected == scenario_from(content).batch_range("gpu")


@pytest.mark.parametrize(
    ("fleet", "profile", "expected"),
    [
        ({"model_instances": 3}, {}, (1.0, 2.0, 3.0)),
        ({"model_instances": 2}, {"slowdown": [1, 1.5, 1.9]}, (1.0, 1.5)),
        ({"model_instances": 2, "slowdown": [1, 1]}, {"slowdown": [1, 1.5]}, (1.0, 1.0)),
        ({}, {}, (1.0,)),
    ],
)
def test_the_slowdown_is_the_fleets_else_the_profiles_else_sharing(
    fleet: dict[str, Any], profile: dict[str, Any], expected: tuple[float, ...]
) -> None:
    content = minimal(**fleet)
    content["profiles"]["toy"] |= profile
    assert expected == scenario_from(content).slowdown("gpu")


@pytest.mark.parametrize(
    "arrivals",
    [
        {"process": "poisson", "rate": 0.5},
        {"process": "deterministic", "rate": 3},
        {"process": "gamma", "rate": 3, "cv": 2.5},
        {"process": "mmpp", "rates": [0, 50], "mean_durations": ["1s", "100ms"]},
        {"process": "closed_loop", "concurrency": 4},
        {"process": "closed_loop", "concurrency": 4, "think_time": "5ms", "think_time_distribution": "exponential"},
        {"process": "rate_series", "requests": [3, 0, 5], "interval": "1s", "repeat": True, "scale": 0.5},
    ],
)
def test_every_arrival_process_loads(arrivals: dict[str, Any]) -> None:
    assert arrivals["process"] == with_arrivals(**arrivals).workloads["w"].arrivals.process


def test_arrivals_carry_times_in_nanoseconds() -> None:
    mmpp = with_arrivals(process="mmpp", rates=[0, 50], mean_durations=["1s", "100ms"]).workloads["w"].arrivals
    assert (1_000_000_000, 100_000_000) == getattr(mmpp, "mean_durations_ns", None)


def test_files_are_found_beside_the_scenario(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A scenario must mean the same from whatever folder it is started."""
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "t.csv").write_text("arrival_s\n0.1\n")
    text = CONTRACT.replace("{process: poisson, rate: 900}", "{process: trace, file: t.csv}").replace(
        "horizon: 60s", ""
    )
    (tmp_path / "there" / "s.yaml").write_text(text.replace("  bert-a100: bert.a100.json", "  b: ../nowhere.json"))
    monkeypatch.chdir(tmp_path)
    scenario = load_scenario("there/s.yaml")
    assert Path("there/t.csv") == getattr(scenario.workloads["search"].arrivals, "file", None)
    assert scenario.horizon_ns is None


def test_a_scenario_may_be_json(tmp_path: Path) -> None:
    path = tmp_path / "s.json"
    path.write_text(json.dumps(minimal()))
    assert scenario_from(minimal()) == load_scenario(path)


def test_anchors_share_what_fleets_have_in_common(tmp_path: Path) -> None:
    text = CONTRACT.replace("  gpu:\n", "  gpu: &gpu\n").replace(
        "workloads:\n", "  more: {<<: *gpu, instances: 2}\nworkloads:\n"
    )
    text += "  other: {fleet: more, arrivals: {process: poisson, rate: 1}}\n"
    (tmp_path / "s.yaml").write_text(text)
    scenario = load_scenario(tmp_path / "s.yaml")
    assert (4, 2) == (scenario.fleets["gpu"].instances, scenario.fleets["more"].instances)
    assert scenario.fleets["gpu"].batching == scenario.fleets["more"].batching


@pytest.mark.parametrize(
    ("override", "read"),
    [
        ("fleets.gpu.instances=9", lambda s: s.fleets["gpu"].instances == 9),
        ("warmup=5s", lambda s: s.warmup_ns == 5_000_000_000),
        ("workloads.search.slo.p50=20ms", lambda s: s.workloads["search"].slo.targets_ns["p50"] == 20_000_000),
        (
            "fleets.gpu.batching.preferred_batch_sizes=[4]",
            lambda s: s.fleets["gpu"].batching.preferred_batch_sizes == (4,),
        ),
        ("profiles.toy.latency_ms.1=25", lambda s: s.profiles["toy"].latency_ms == (10.0, 25.0, 40.0)),
        ("workloads.search.slo=", lambda s: s.workloads["search"].slo is None),
        ("name=a=b", lambda s: s.name == "a=b"),
        ("profiles.new.v2={batch: [1], latency_ms: [3]}", None),
        ("workloads.more={fleet: gpu, arrivals: {process: poisson, rate: 1}}", lambda s: len(s.workloads) == 2),
        (" seed =3", lambda s: s.seed == 3),
    ],
)
def test_an_override_means_what_it_would_mean_in_the_file(override: str, read: Any, contract: Path) -> None:
    if read is None:
        with pytest.raises(InputError, match="which is not in profiles"):
            load_scenario(contract, [override])
    else:
        assert read(load_scenario(contract, [override]))


def test_the_last_override_of_a_key_wins(contract: Path) -> None:
    assert 3 == load_scenario(contract, ["seed=2", "seed=3"]).seed
    assert 4 == load_scenario(contract, {"seed": "4"}).seed


def test_a_name_with_dots_can_be_overridden(tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text(CONTRACT.replace("gpu", "g6.xlarge"))
    assert 7 == load_scenario(tmp_path / "s.yaml", ["fleets.g6.xlarge.instances=7"]).fleets["g6.xlarge"].instances


def test_a_loaded_scenario_can_be_varied(contract: Path) -> None:
    """What a sweep does: the file, with other values."""
    scenario = load_scenario(contract, ["seed=2"]).with_overrides(["fleets.gpu.instances=9"])
    assert (2, 9) == (scenario.seed, scenario.fleets["gpu"].instances)
    assert scenario == load_scenario(contract, ["seed=2", "fleets.gpu.instances=9"])
    with pytest.raises(InputError, match=r"<command line>: fleets\.gpu\.instances: must be at least 1, got 0"):
        scenario.with_overrides(["fleets.gpu.instances=0"])


def undescribed(schema: dict[str, Any]) -> list[str]:
    """Properties of the schema that have no description, by their path."""
    silent = []
    for name, part in {"": schema, **schema.get("$defs", {})}.items():
        silent += [f"{name}.{key}" for key, value in part["properties"].items() if not value.get("description")]
    return silent


def test_the_json_schema_describes_every_key_by_its_yaml_name() -> None:
    schema = json_schema()
    assert [] == undescribed(schema)
    assert {"schema", "name", "horizon", "warmup", "fleets"} <= set(schema["properties"])
    assert "max_queue_delay" in schema["$defs"]["Batching"]["properties"]
    everything = json.dumps(schema)
    assert "_ns" not in everything
    assert json.loads(everything) == schema


def test_durations_are_strings_in_the_json_schema() -> None:
    slo = json_schema()["$defs"]["Slo"]["properties"]
    assert all(value["anyOf"][0]["type"] == "string" for value in slo.values())


def test_a_profile_is_a_path_or_a_mapping_in_the_json_schema() -> None:
    entry = json_schema()["properties"]["profiles"]["additionalProperties"]
    assert ["string", None] == [option.get("type") for option in entry["anyOf"]]


def test_loading_a_scenario_imports_no_engine() -> None:
    """A mistake in a scenario must be told at once, not after Numba has loaded."""
    heavy = {"numpy", "scipy", "pandas", "numba", "pyarrow", "simpy"}
    program = f"import sys, simulator.scenario; print(*sorted({heavy!r} & set(sys.modules)))"
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run([sys.executable, "-c", program], cwd=root, capture_output=True, text=True, check=True)
    assert "" == done.stdout.strip()


def test_a_fleet_may_name_a_shipped_profile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever plans with published figures need not write a path into the installed package."""
    from calibration import catalogue

    (tmp_path / "toy-t4.json").write_text('{"schema": 1, "measurements": {"batch": [1, 8], "latency_ms": [3, 9]}}')
    monkeypatch.setattr(catalogue, "FOLDER", tmp_path)
    workloads = {"w": {"fleet": "g", "arrivals": {"process": "poisson", "rate": 1}}}
    fleet = {"profile": "toy-t4", "usd_per_hour": 1.0, "instances": 1}
    direct = scenario_from({"schema": 1, "name": "s", "horizon": "1s", "fleets": {"g": fleet}, "workloads": workloads})
    section = {"bert": "toy-t4"}
    by_name = scenario_from(
        {
            "schema": 1,
            "name": "s",
            "horizon": "1s",
            "profiles": section,
            "fleets": {"g": {**fleet, "profile": "bert"}},
            "workloads": workloads,
        }
    )
    assert (1, 8) == direct.profiles["toy-t4"].batch == by_name.profiles["bert"].batch
