"""Small plan files as values, for tests to change one thing of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from calibration.problems import InputError, Problem
from optimizer.plan_file import Question, question_from

CONTRACT = """\
schema: 1
name: mixed
workloads:
  short: {arrivals: {process: poisson, rate: 20}, slo: {p99: 200ms}}
  long:  {arrivals: {process: poisson, rate: 10}, slo: {p99: 400ms}}
plan:
  candidates:
    - {name: a10g, usd_per_hour: 1.01, capacity_rps: {short: 5, long: 2}}
    - {name: a100, usd_per_hour: 3.67, capacity_rps: {short: 40, long: 20}, max_instances: 8}
    - {name: l4,   instance_type: g6.xlarge, profiles: {short: toy, long: toy},
       batching: {policy: dynamic, max_batch_size: [4, 16], max_queue_delay: [0ms, 5ms]}}     # lists are searched
"""
"""The example of the contract, comments and all."""

TOY = "profiles:\n  toy: {batch: [1, 8, 16], latency_ms: [10, 24, 40]}\n"
"""The profile that the example names."""


def plan(**candidate: Any) -> dict[str, Any]:
    """One workload, and one candidate with a profile and its keys changed; a key that is None is left out."""
    own = {"name": "l4", "usd_per_hour": 0.8, "profile": "toy"} | candidate
    return {
        "schema": 1,
        "name": "small",
        "profiles": {"toy": {"batch": [1, 8, 16], "latency_ms": [10, 24, 40]}},
        "workloads": {"w": {"arrivals": {"process": "poisson", "rate": 100}, "slo": {"p99": "100ms"}}},
        "plan": {"candidates": [{key: value for key, value in own.items() if value is not None}]},
    }


def asked(content: dict[str, Any], workload: str = "w", **keys: Any) -> dict[str, Any]:
    """The same with a workload's keys changed, or one more workload; a key that is None is left out."""
    before = content["workloads"].get(workload, {"arrivals": {"process": "poisson", "rate": 10}, "slo": {"p99": "1s"}})
    kept = {key: value for key, value in (before | keys).items() if value is not None}
    return content | {"workloads": content["workloads"] | {workload: kept}}


def limited(content: dict[str, Any], **keys: Any) -> dict[str, Any]:
    """The same with keys of ``plan`` changed."""
    return content | {"plan": content["plan"] | keys}


def problems_in(content: dict[str, Any], folder: str | Path = ".") -> tuple[Problem, ...]:
    """Everything that is wrong with a plan, at least one problem."""
    try:
        question_from(content, folder=folder)
    except InputError as error:
        return error.problems
    raise AssertionError("nothing is wrong with it")


def question(content: dict[str, Any] | None = None, folder: str | Path = ".") -> Question:
    """The question that these values describe."""
    return question_from(plan() if content is None else content, folder=folder)
