"""Whatever a planner gets wrong is told with place, rule and remedy, all of it at once, never as a traceback."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from calibration.problems import InputError, Problem
from calibration.source import parse_source
from simulator.scenario import load_scenario, scenario_from

GOOD = """\
schema: 1
name: good
horizon: 60s
warmup: 10s
profiles:
  toy:
    batch: [1, 8, 16]
    latency_ms: [10, 24, 40]
fleets:
  gpu:
    profile: toy
    usd_per_hour: 0.80
    instances: 4
    batching: {policy: dynamic, max_batch_size: 16, max_queue_delay: 5ms}
workloads:
  search:
    fleet: gpu
    arrivals: {process: poisson, rate: 900}
    slo: {p99: 100ms}
"""


def problems(tmp_path: Path, text: str, *overrides: str) -> list[Problem]:
    """Everything that is said of a scenario with this text."""
    path = tmp_path / "s.yaml"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        load_scenario(path, overrides)
    found = list(caught.value.problems)
    for problem in found:
        assert problem.rule
        assert not problem.rule.endswith(".")
        assert problem.remedy.endswith((".", "?")), problem
        assert "\n" not in str(problem)
        assert "Input should" not in problem.rule, "pydantic's own words"
    return found


def told(tmp_path: Path, text: str, *overrides: str) -> str:
    """The only thing that is said of it, without the folder."""
    (problem,) = problems(tmp_path, text, *overrides)
    return str(problem).replace(f"{tmp_path}/", "")


def changed(old: str, new: str) -> str:
    """The good scenario with one piece of its text changed."""
    assert 1 == GOOD.count(old), old
    return GOOD.replace(old, new)


FLEET = "usd_per_hour: 0.80"
BATCHING = "{policy: dynamic, max_batch_size: 16, max_queue_delay: 5ms}"
ARRIVALS = "{process: poisson, rate: 900}"
SLO = "slo: {p99: 100ms}"


def test_the_scenario_that_these_tests_spoil_is_good(tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text(GOOD)
    load_scenario(tmp_path / "s.yaml")


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        # an unknown key, with the near name
        (
            "instances: 4",
            "instances: 4\n    max_queu: 3",
            "s.yaml:14:5: fleets.gpu.max_queu: is not a known key. Did you mean 'max_queue'? Keys here are: profile, "
            "instance_type, provider, region, usd_per_hour, instances, model_instances, slowdown, batching, router, "
            "router_weights, max_queue, purchase.",
        ),
        (
            ARRIVALS,
            "{process: poisson, rate: 900, cv: 2}",
            "s.yaml:18:45: workloads.search.arrivals.cv: is not a known key. Keys here are: process, rate.",
        ),
        # a missing unit
        (
            "horizon: 60s",
            "horizon: 60",
            "s.yaml:3:10: horizon: needs a unit, for instance 5ms, got 60. Units are ns, us, ms, s, min, h and d.",
        ),
        (
            SLO,
            "slo: {p99: 100}",
            "s.yaml:19:16: workloads.search.slo.p99: needs a unit, for instance 5ms, got 100. "
            "Units are ns, us, ms, s, min, h and d.",
        ),
        # a negative rate
        (
            "rate: 900",
            "rate: -3",
            "s.yaml:18:40: workloads.search.arrivals.rate: must be greater than 0, got -3. "
            "Give a larger number: requests per second, on average.",
        ),
        # a duplicate key
        (
            "instances: 4",
            "instances: 4\n    instances: 5",
            "s.yaml:14:5: fleets.gpu.instances: is a duplicate key, first given on line 13. Remove one of the two.",
        ),
        # a wrong type
        (
            "instances: 4",
            "instances: '4'",
            "s.yaml:13:16: fleets.gpu.instances: must be a whole number, got '4'. Write it without quotes: instances.",
        ),
        (
            "instances: 4",
            "instances: 4.0",
            "s.yaml:13:16: fleets.gpu.instances: must be a whole number, got 4. Write 4: instances.",
        ),
        (
            "latency_ms: [10, 24, 40]",
            "latency_ms: 10",
            "s.yaml:8:17: profiles.toy.latency_ms: must be a list, got 10. "
            "Write it in brackets, as [1, 2]: mean time in ms that the accelerator needs for that batch.",
        ),
        (
            SLO,
            "slo: 100ms",
            "s.yaml:19:10: workloads.search.slo: must be a mapping of keys to values, got '100ms'. "
            "Write key: value below it: latency objectives.",
        ),
        # a batch curve that is not increasing
        (
            "[10, 24, 40]",
            "[10, 24, 20]",
            "s.yaml:8:26: profiles.toy.latency_ms.2: is not increasing: 24 ms at batch 8, but 20 ms at batch 16. "
            "A larger batch cannot be faster: check the order of the columns, or measure these points again.",
        ),
        (
            "[1, 8, 16]",
            "[1, 16, 8]",
            "s.yaml:7:20: profiles.toy.batch.2: must be more than the entry before (16), got 8. "
            "Sort the points by batch size, each once.",
        ),
        # a fleet that no workload uses, a workload without a fleet
        (
            "workloads:",
            "  spare: {profile: toy, usd_per_hour: 1, instances: 1}\nworkloads:",
            "s.yaml:15:10: fleets.spare: is a fleet that no workload uses. "
            "Send a workload to it (fleet: spare), or remove it: it would be billed and never used.",
        ),
        (
            "fleet: gpu",
            "fleet: gpuu",
            "s.yaml:17:12: workloads.search.fleet: names a fleet that is not there, got 'gpuu'. "
            "Did you mean 'gpu'? There are: gpu.",
        ),
        (
            "profile: toy",
            "profile: tyo",
            "s.yaml:11:14: fleets.gpu.profile: names a profile that is not there, got 'tyo'. "
            "Did you mean 'toy'? There are: toy.",
        ),
        # NaN
        (
            "rate: 900",
            "rate: .nan",
            "s.yaml:18:40: workloads.search.arrivals.rate: must be a finite number, got .nan. "
            "Leave the key out where a value is unknown.",
        ),
        (
            "rate: 900",
            "rate: nan",
            "s.yaml:18:40: workloads.search.arrivals.rate: must be a number, got 'nan'. "
            "Write it without quotes: requests per second, on average.",
        ),
        # absurd sizes
        (
            "rate: 900",
            "rate: 1e15",
            "s.yaml:18:40: workloads.search.arrivals.rate: must be at most 1,000,000,000, got 1e+15. "
            "Give a smaller number: requests per second, on average.",
        ),
        (
            "instances: 4",
            "instances: 1000000",
            "s.yaml:13:16: fleets.gpu.instances: must be at most 100,000, got 1000000. "
            "Give a smaller number: instances.",
        ),
        (
            "horizon: 60s",
            "horizon: 20000d",
            "s.yaml:3:10: horizon: must not be more than ten years (3650d), got '20000d'. Give less.",
        ),
        # choices
        (
            "policy: dynamic",
            "policy: dynamc",
            "s.yaml:14:24: fleets.gpu.batching.policy: must be one of none, static, dynamic, got 'dynamc'. "
            "Did you mean 'dynamic'?",
        ),
        (
            "process: poisson",
            "process: poison",
            "s.yaml:18:25: workloads.search.arrivals.process: must be one of closed_loop, deterministic, gamma, mmpp, "
            "poisson, rate_series, trace, got 'poison'. Did you mean 'poisson'?",
        ),
        (
            "{process: poisson, rate: 900}",
            "{rate: 900}",
            "s.yaml:18:5: workloads.search.arrivals.process: is required. "
            "Choose one of closed_loop, deterministic, gamma, mmpp, poisson, rate_series, trace.",
        ),
        (
            "schema: 1",
            "schema: 2",
            "s.yaml:1:9: schema: must be 1, got 2. Write 1: no other version of the format exists.",
        ),
        # prices
        (
            FLEET,
            "usd_per_hour: 0",
            "s.yaml:12:19: fleets.gpu.usd_per_hour: must be greater than 0, got 0. "
            "Give a larger number: price of one instance, which wins over the catalogue's.",
        ),
        (
            FLEET,
            "usd_per_hour: 700.0",
            "s.yaml:12:19: fleets.gpu.usd_per_hour: stands for 'not offered' in price catalogues and is no price, "
            "got 700. Give the price that you pay.",
        ),
        (
            FLEET,
            "region: x",
            "s.yaml:10:3: fleets.gpu.usd_per_hour: is required, or instance_type. "
            "Give the price that you pay, or instance_type, which is looked up in the price catalogue.",
        ),
        # what comes later is refused by name
        (
            "policy: dynamic",
            "policy: continuous",
            "s.yaml:14:24: fleets.gpu.batching.policy: is iteration-level batching of LLM serving, which this version "
            "does not simulate, got 'continuous'. Write one of none, static, dynamic.",
        ),
        (
            SLO,
            "slo: {p99: 100ms, ttft_p99: 1s}",
            "s.yaml:19:23: workloads.search.slo.ttft_p99: is an objective of LLM serving, which this version does not "
            "simulate. Leave it out.",
        ),
        (
            SLO,
            "prompt_tokens: 512",
            "s.yaml:19:5: workloads.search.prompt_tokens: belongs to LLM serving, which this version does not "
            "simulate. Leave it out.",
        ),
        (
            FLEET,
            "usd_per_hour: 1\n    purchase: reserved",
            "s.yaml:13:15: fleets.gpu.purchase: is promised for a term, whatever runs, so it stands in the section "
            "commitments and not at a fleet, got 'reserved'. Write one of on_demand, spot, serverless, capacity_block.",
        ),
        (
            FLEET,
            "usd_per_hour: 1\n    models: {a: toy}",
            "s.yaml:13:5: fleets.gpu.models: puts several models on one fleet, which this version does not simulate; "
            "name one under profile. Leave it out.",
        ),
    ],
)
def test_a_mistake_is_told_with_place_rule_and_remedy(old: str, new: str, expected: str, tmp_path: Path) -> None:
    assert expected == told(tmp_path, changed(old, new))


def loaded(tmp_path: Path, **changes: Any) -> list[tuple[str, str]]:
    """Path and rule of what is said of the good scenario with values changed, by ``section__name__key``."""
    content = parse_source(GOOD, "g").content
    for where, value in changes.items():
        *above, key = where.split("__")
        holder = content
        for part in above:
            holder = holder.setdefault(part, {})
        if value is None:
            holder.pop(key, None)
        else:
            holder[key] = value
    path = tmp_path / "s.json"
    path.write_text(json.dumps(content))
    with pytest.raises(InputError) as caught:
        load_scenario(path)
    assert all(problem.remedy and problem.line for problem in caught.value.problems)
    return [(problem.path, problem.rule) for problem in caught.value.problems]


W, F, B, A = "workloads__search__", "fleets__gpu__", "fleets__gpu__batching__", "workloads__search__arrivals"


@pytest.mark.parametrize(
    ("changes", "path", "rule"),
    [
        ({"warmup": "60s"}, "warmup", "must be shorter than horizon"),
        ({"horizon": None}, "horizon", "is required unless every workload replays a trace or a rate series that does"),
        ({"horizon": "0s", "warmup": 0}, "horizon", "must be longer than 0"),
        ({"seed": -1}, "seed", "must be at least 0"),
        ({"name": " x"}, "name", "must be a name without blanks at its ends"),
        # batching
        ({B + "max_batch_size": None}, "fleets.gpu.batching.max_batch_size", "is required with policy dynamic"),
        ({B + "policy": "static"}, "fleets.gpu.batching.max_queue_delay", "has no effect with policy static"),
        (
            {F + "batching": {"policy": "none", "rule": "textbook"}},
            "fleets.gpu.batching.rule",
            "has no effect with policy none",
        ),
        (
            {B + "rule": "mosec", B + "preferred_batch_sizes": [4]},
            "fleets.gpu.batching.preferred_batch_sizes",
            "has an effect only with policy dynamic and rule triton",
        ),
        (
            {B + "preferred_batch_sizes": [8, 4]},
            "fleets.gpu.batching.preferred_batch_sizes.1",
            "must be more than the entry before (8)",
        ),
        (
            {B + "preferred_batch_sizes": [8, 32]},
            "fleets.gpu.batching.preferred_batch_sizes.1",
            "must be at most max_batch_size (16)",
        ),
        ({W + "items_per_request": 17}, "workloads.search.items_per_request", "must be at most max_batch_size (16)"),
        (
            {B + "max_batch_size": 32},
            "fleets.gpu.batching.max_batch_size",
            "is beyond what was measured: profile 'toy' covers batches of 1 to 16",
        ),
        (
            {"profiles__toy": {"batch": [4, 16], "latency_ms": [1, 2]}},
            "fleets.gpu.profile",
            "can get batches of 1, which were not measured: profile 'toy' covers batches of 4 to 16",
        ),
        (
            {F + "batching": {"policy": "none"}, W + "items_per_request": {"1": 1, "20": 1}},
            "workloads.search.items_per_request",
            "is beyond what was measured",
        ),
        # model instances and slow-down
        (
            {F + "model_instances": 3, F + "slowdown": [1, 2]},
            "fleets.gpu.slowdown",
            "must have an entry for each of the 3 model_instances",
        ),
        (
            {F + "model_instances": 3, "profiles__toy__slowdown": [1, 1.5]},
            "fleets.gpu.model_instances",
            "must be at most 2, as many executions at once as profile 'toy' covers",
        ),
        (
            {F + "model_instances": 1000, F + "instances": 10_000},
            "fleets.gpu.model_instances",
            "would allow 10,000,000 executions at once, at most 1,000,000 can be simulated",
        ),
        ({F + "slowdown": [1, 0.9]}, "fleets.gpu.slowdown.1", "must be at least the entry before (1)"),
        ({F + "slowdown": [2, 3]}, "fleets.gpu.slowdown", "must start with 1"),
        # routers
        ({F + "router": "weighted"}, "fleets.gpu.router_weights", "is required with router weighted"),
        (
            {F + "router": "weighted", F + "router_weights": [1, 2]},
            "fleets.gpu.router_weights",
            "must have one entry for each of the 4 instances",
        ),
        (
            {F + "router_weights": [1, 1, 1, 1]},
            "fleets.gpu.router_weights",
            "has no effect with router least_outstanding",
        ),
        (
            {F + "router": "weighted", F + "router_weights": [1, 1, 1, 10**6]},
            "fleets.gpu.router_weights",
            "must add up to at most 100,000",
        ),
        # queues and timeouts
        ({F + "max_queue": 0}, "fleets.gpu.max_queue", "must be at least 1"),
        ({W + "timeout": "0ms"}, "workloads.search.timeout", "must be longer than 0"),
        (
            {A: {"process": "closed_loop", "concurrency": 4}, F + "max_queue": 2},
            "workloads.search.arrivals.think_time",
            "must be longer than 0, since fleet 'gpu' has a max_queue",
        ),
        (
            {
                A: {"process": "closed_loop", "concurrency": 4},
                F + "batching": {"policy": "static", "max_batch_size": 8},
            },
            "fleets.gpu.batching.max_batch_size",
            "is more than the 4 clients of its closed loops can send, so no batch would ever be full",
        ),
        (
            {F + "max_queue": 4, F + "batching": {"policy": "static", "max_batch_size": 8}},
            "fleets.gpu.batching.max_batch_size",
            "is more than max_queue (4) lets wait, so no batch would ever be full",
        ),
        # objectives
        ({W + "slo": {}}, "workloads.search.slo", "names no objective"),
        ({W + "slo": {"p50": "2s", "p99": "1s"}}, "workloads.search.slo.p99", "must be at least the objective for p50"),
        # items
        ({W + "items_per_request": 0}, "workloads.search.items_per_request", "must be at least 1"),
        ({W + "items_per_request": {"1": 0}}, "workloads.search.items_per_request.1", "must be greater than 0"),
        (
            {W + "items_per_request": {"x": 1}},
            "workloads.search.items_per_request.x",
            "must be a whole number of items",
        ),
        ({W + "items_per_request": {}}, "workloads.search.items_per_request", "must have at least 1 entry"),
        # arrivals
        ({A: {"process": "gamma", "rate": 1, "cv": 0}}, "workloads.search.arrivals.cv", "must be"),
        ({A: {"process": "gamma", "rate": 1}}, "workloads.search.arrivals.cv", "is required"),
        (
            {A: {"process": "mmpp", "rates": [1], "mean_durations": ["1s"]}},
            "workloads.search.arrivals.rates",
            "must have at least two entries",
        ),
        (
            {A: {"process": "mmpp", "rates": [1, 2], "mean_durations": ["1s"]}},
            "workloads.search.arrivals.mean_durations",
            "must be as long as rates (2)",
        ),
        (
            {A: {"process": "mmpp", "rates": [0, 0], "mean_durations": ["1s", "1s"]}},
            "workloads.search.arrivals.rates",
            "must have an entry greater than 0",
        ),
        (
            {A: {"process": "mmpp", "rates": [1, 2], "mean_durations": ["1ns", "1ns"]}},
            "workloads.search.arrivals.mean_durations",
            "would change its state about 6e+10 times, at most 1e+10 can be simulated",
        ),
        (
            {A: {"process": "closed_loop", "concurrency": 0}},
            "workloads.search.arrivals.concurrency",
            "must be at least 1",
        ),
        ({A: {"process": "trace"}}, "workloads.search.arrivals.file", "is required"),
        ({A: {"process": "trace", "file": 3}}, "workloads.search.arrivals.file", "must be the path of a file"),
        ({A: {"process": "trace", "file": ""}}, "workloads.search.arrivals.file", "must not be empty"),
        (
            {A: {"process": "trace", "file": "no.csv"}},
            "workloads.search.arrivals.file",
            "names a file that does not exist",
        ),
        ({A: {"process": "trace", "file": "."}}, "workloads.search.arrivals.file", "names a file that is a directory"),
        (
            {A: {"process": "trace", "file": "s.json", "format": "mooncake", "column": "t"}},
            "workloads.search.arrivals.column",
            "has no effect with format mooncake",
        ),
        ({A: {"process": "rate_series"}}, "workloads.search.arrivals", "needs a file or requests"),
        (
            {A: {"process": "rate_series", "file": "s.json", "requests": [1], "interval": "1s"}},
            "workloads.search.arrivals",
            "must have either a file or requests, not both",
        ),
        (
            {A: {"process": "rate_series", "requests": [1]}},
            "workloads.search.arrivals.interval",
            "is required beside requests",
        ),
        (
            {A: {"process": "rate_series", "requests": [0, 0], "interval": "1s"}},
            "workloads.search.arrivals.requests",
            "must have an entry greater than 0",
        ),
        (
            {A: {"process": "rate_series", "requests": [1], "interval": "1s", "repeat": True}, "horizon": None},
            "horizon",
            "is required unless every workload",
        ),
        # amounts
        (
            {A + "__rate": 1e8, "horizon": "1d"},
            "workloads.search.arrivals.rate",
            "would send about 8.6e+12 requests, at most 1e+11 can be simulated",
        ),
        (
            {A: {"process": "mmpp", "rates": [0, 1e9], "mean_durations": ["1s", "1s"]}, "horizon": "1h"},
            "workloads.search.arrivals.rates",
            "would send about 1.8e+12 requests",
        ),
        (
            {A: {"process": "rate_series", "requests": [1e15], "interval": "1s"}},
            "workloads.search.arrivals.requests",
            "would send about 1e+15 requests",
        ),
        (
            {A: {"process": "closed_loop", "concurrency": 10**7}, "horizon": "3650d", F + "instances": 10**5},
            "workloads.search.arrivals.concurrency",
            "would send about 5e+16 requests",
        ),
        # files
        ({"prices": "prices.csv"}, "prices", "names a file that does not exist"),
        ({"profiles__toy": "toy.json"}, "profiles.toy", "names a file that does not exist"),
        ({"profiles__toy": 3}, "profiles.toy", "must be the path of a profile file, or a profile"),
        ({"profiles__toy": "."}, "profiles.toy", "names a file that is a directory"),
    ],
)
def test_what_cannot_work_together_is_refused(changes: dict[str, Any], path: str, rule: str, tmp_path: Path) -> None:
    found = loaded(tmp_path, **changes)
    assert [path] == [at for at, _ in found]
    assert found[0][1].startswith(rule), found


def test_a_profile_beyond_its_range_says_how_to_extend_it(tmp_path: Path) -> None:
    text = changed("max_batch_size: 16", "max_batch_size: 32")
    remedy = "Measure more batch sizes, or set allow_extrapolation: true, or lower max_batch_size to 16."
    assert remedy == problems(tmp_path, text)[0].remedy
    (tmp_path / "s.yaml").write_text(text + "allow_extrapolation: true\n")
    load_scenario(tmp_path / "s.yaml")


def test_several_workloads_may_not_be_absurd_together() -> None:
    content = parse_source(GOOD, "g").content
    content["workloads"]["search"]["arrivals"]["rate"] = 1e9
    content["workloads"]["more"] = copy.deepcopy(content["workloads"]["search"])
    with pytest.raises(InputError, match=r"would send about 1\.2e\+11 requests together"):
        scenario_from(content)


EVERYTHING_WRONG = """\
schema: 1
nmae: x
name: everything
horizon: 60
profiles:
  toy: {batch: [1, 8, 16], latency_ms: [10, 24, 20]}
  file: broken.json
fleets:
  gpu:
    profile: toy
    usd_per_hour: 0.8
    instances: -1
    instances: 3
    router: randm
  spare: {profile: toyy, usd_per_hour: .nan, instances: 1}
workloads:
  search:
    fleet: gpuu
    arrivals: {process: poisson, rate: -3}
  other:
    arrivals: {process: gamma, rate: 3}
    items_per_request: [1]
"""


def test_all_errors_of_a_file_and_of_the_files_it_names_are_told_together(tmp_path: Path) -> None:
    """Mending one mistake to be shown the next is how an afternoon goes by."""
    (tmp_path / "broken.json").write_text('{"schema": 1,\n "measurements": {"batch": [2, 1], "latency_ms": [1, 2]}}')
    found = problems(tmp_path, EVERYTHING_WRONG, "workloads.other.timeout=5", "name.x=1")
    assert [
        ("s.yaml", 2, "nmae"),
        ("s.yaml", 4, "horizon"),
        ("s.yaml", 6, "profiles.toy.latency_ms.2"),
        ("s.yaml", 12, "fleets.gpu.instances"),
        ("s.yaml", 13, "fleets.gpu.instances"),
        ("s.yaml", 14, "fleets.gpu.router"),
        ("s.yaml", 15, "fleets.spare"),
        ("s.yaml", 15, "fleets.spare.profile"),
        ("s.yaml", 15, "fleets.spare.usd_per_hour"),
        ("s.yaml", 18, "workloads.search.fleet"),
        ("s.yaml", 19, "workloads.search.arrivals.rate"),
        ("s.yaml", 20, "workloads.other.fleet"),
        ("s.yaml", 21, "workloads.other.arrivals.cv"),
        ("s.yaml", 22, "workloads.other.items_per_request"),
        ("broken.json", 2, "measurements.batch.1"),
        ("<command line>", None, "name.x"),
        ("<command line>", None, "workloads.other.timeout"),
    ] == [(Path(problem.file).name, problem.line, problem.path) for problem in found]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("schema", True),
        ("schema", 1.0),
        ("schema", "1"),
        ("horizon", True),
        ("name", 3),
        ("allow_extrapolation", "yes"),
        ("profiles", []),
        ("profiles", None),
        ("fleets", None),
        ("workloads", [1]),
        ("prices", 3),
        ("prices", ""),
    ],
)
def test_one_wrong_type_is_one_problem(key: str, value: object) -> None:
    """What only follows from it would send the reader to the wrong line."""
    with pytest.raises(InputError) as caught:
        scenario_from(parse_source(GOOD, "g").content | {key: value})
    assert [key] == [problem.path for problem in caught.value.problems]


@pytest.mark.parametrize("section", ["fleets", "workloads"])
def test_a_scenario_without_fleets_or_workloads_says_nothing_about_nothing(section: str) -> None:
    content = parse_source(GOOD, "g").content | {section: {}}
    with pytest.raises(InputError, match=rf"{section}: must have at least 1 entry, got an empty mapping"):
        scenario_from(content)


def test_an_error_in_an_override_names_the_option(tmp_path: Path) -> None:
    expected = (
        "<command line>: fleets.gpu.instances: must be at least 1, got 0 (from --set fleets.gpu.instances=0). "
        "Give a larger number: instances."
    )
    assert expected == told(tmp_path, GOOD, "fleets.gpu.instances=0")


@pytest.mark.parametrize(
    ("override", "rule", "remedy"),
    [
        ("seed", "must have the form path.to.key=value", "For instance"),
        ("=3", "must have the form path.to.key=value", "For instance"),
        ("fleets..gpu=3", "must be keys joined by single dots", "For instance"),
        ("fleets.gpuu.instances=3", "names 'gpuu', which is not in fleets", "Did you mean 'gpu'?"),
        (
            "fleets.gpu.instancess=3",
            "is not a known key (from --set fleets.gpu.instancess=3)",
            "Did you mean 'instances'?",
        ),
        ("seed.x=3", "goes into 'seed', which holds", "Set it as a whole."),
        ("profiles.toy.batch.9=3", "names entry '9' of the list profiles.toy.batch", "Positions go from 0 to 2."),
        ("name='x", "is not valid YAML", "quotes"),
        ("name=.nan", "must be a finite number", ""),
        ("horizon=", "is required unless", ""),
        ("fleets.gpu.batching={policy: static}", "is required with policy static", "Add it"),
    ],
)
def test_an_override_that_cannot_be_applied_says_why(override: str, rule: str, remedy: str, tmp_path: Path) -> None:
    text = GOOD.replace("name: good", "name: good\nseed: 1")
    (problem,) = problems(tmp_path, text, override)
    assert rule in problem.rule
    assert remedy in problem.remedy


def test_an_unreadable_profile_is_told_at_the_line_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "toy.a100.json").write_text("{}")
    text = GOOD.replace("  toy:\n    batch: [1, 8, 16]\n    latency_ms: [10, 24, 40]", "  toy: toy.a10.json")
    expected = "s.yaml:6:8: profiles.toy: names a file that does not exist, got 'toy.a10.json'. "
    assert expected + "Did you mean 'toy.a100.json'?" == told(tmp_path, text)


@pytest.mark.parametrize(
    ("content", "rule"),
    [
        (b"{", "is not valid JSON"),
        (b"", "is empty"),
        (b"\xff\xfe", "must be UTF-8 text"),
        (b"[1]", "must be a mapping of keys to values"),
        (b'{"schema": 1}', "needs a batch curve"),
    ],
)
def test_a_malformed_profile_file_is_told_at_its_own_line(content: bytes, rule: str, tmp_path: Path) -> None:
    (tmp_path / "toy.json").write_bytes(content)
    text = GOOD.replace("  toy:\n    batch: [1, 8, 16]\n    latency_ms: [10, 24, 40]", "  toy: toy.json")
    (problem,) = problems(tmp_path, text)
    assert str(tmp_path / "toy.json") == problem.file
    assert problem.rule.startswith(rule)


def test_a_bomb_a_directory_and_an_absent_file_are_refused(tmp_path: Path) -> None:
    bomb = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "\n".join(
        f"{chr(98 + n)}: &{chr(98 + n)} [{', '.join(['*' + chr(97 + n)] * 9)}]" for n in range(9)
    )
    assert problems(tmp_path, bomb)[0].rule.startswith("holds more than 100,000 values")
    with pytest.raises(InputError, match="is a directory, not a file"):
        load_scenario(tmp_path)
    with pytest.raises(InputError, match=r"does not exist\. Did you mean 's\.yaml'"):
        load_scenario(tmp_path / "ss.yaml")


GOOD_CONTENT = parse_source(GOOD, "g").content

garbage = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(max_size=6)
    | st.sampled_from(["5ms", "gpu", "toy", "poisson", "trace", "dynamic", ".", "s.yaml", "0", "-1s", "1e30h"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["process", "rate", "batch", "fleet", "p99", "", "1", "x.y", "[key]"]), inner)
    ),
    max_leaves=8,
)


def paths(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a tree of values."""
    below = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [at, *(path for key, inner in below for path in paths(inner, (*at, key)))]


@st.composite
def spoilt(draw: st.DrawFn) -> dict[str, Any]:
    """The good scenario with one to three values replaced, removed or moved."""
    content: Any = copy.deepcopy(GOOD_CONTENT)
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from([path for path in paths(content) if path]))
        holder = content
        for part in path[:-1]:
            holder = holder[part]
        if draw(st.booleans()):
            holder[path[-1]] = draw(garbage)
        elif isinstance(holder, dict):
            value = holder.pop(path[-1])
            if draw(st.booleans()):
                holder[draw(st.text(max_size=4))] = value
    assert isinstance(content, dict)
    return content


def loads_or_says_why(path: Path, *overrides: str) -> None:
    """Either the scenario loads, or there are problems that can be printed; anything else raised fails the test."""
    found: tuple[Problem, ...] = ()
    try:
        load_scenario(path, overrides)
    except InputError as error:
        found = error.problems or (Problem("", None, None, "", ""),)
    assert all(problem.rule and problem.file and str(problem).encode() for problem in found)


quick = settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None)


@quick
@given(content=spoilt())
def test_no_spoilt_scenario_raises_anything_but_problems(content: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "s.json"
    path.write_text(json.dumps(content))
    loads_or_says_why(path)
    yaml = tmp_path / "s.yaml"
    with open(yaml, "w", encoding="utf-8", errors="replace") as stream:
        YAML(typ="safe", pure=True).dump(content, stream)
    loads_or_says_why(yaml)


@quick
@given(cut=st.integers(0, len(GOOD)), junk=st.text(alphabet="ab:-?!&*[]{},|>#%@`'\" \n\t\\0<~.=é", max_size=10))
def test_no_garbled_text_raises_anything_but_problems(cut: int, junk: str, tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    path.write_text(GOOD[:cut] + junk + GOOD[cut:], encoding="utf-8")
    loads_or_says_why(path)


@quick
@given(
    path=st.sampled_from([".".join(map(str, path)) for path in paths(GOOD_CONTENT) if path]) | st.text(max_size=12),
    value=st.text(alphabet="ab:-?!&*[]{},|>#'\" \n0159.ems~=", max_size=10),
)
def test_no_override_raises_anything_but_problems(path: str, value: str, tmp_path: Path) -> None:
    file = tmp_path / "s.yaml"
    file.write_text(GOOD)
    loads_or_says_why(file, f"{path}={value}")
