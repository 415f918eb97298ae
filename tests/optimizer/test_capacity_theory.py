"""Capacities against closed forms, and against simulations with seeds that the search has not seen."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from optimizer.capacity import capacities
from optimizer.evidence import Point
from optimizer.plan_file import question_from
from optimizer.settings import Setting, expand
from simulator.clock import ns_from_ms
from simulator.compiling import compile_model
from simulator.run import run
from simulator.theory import md1_wait_quantile
from tests.optimizer.questions import asked, plan

SAMPLES = 1_000
UNSEEN = 97


def exponential(mean_ms: float) -> dict[str, Any]:
    """A profile of exponential executions: its quantiles at the middle of equal shares, of the mean asked for."""
    quantile = -np.log1p(-(np.arange(SAMPLES) + 0.5) / SAMPLES)
    return {"batch": [1], "latency_ms": [mean_ms], "samples_ms": [(quantile / quantile.mean() * mean_ms).tolist()]}


def carried(content: dict[str, Any]) -> tuple[Setting, Point]:
    """The only setting of a plan, and what one instance of it carries."""
    question = question_from(content)
    (setting,) = expand(question)
    (found,) = capacities(question, [setting], jobs=1)
    return setting, found.evidence["w"].points[0]


def mm1(target_ms: float, objective: str = "p99") -> dict[str, Any]:
    """M/M/1 with 100 executions a second."""
    content = asked(plan(), arrivals={"process": "poisson", "rate": 10}, slo={objective: f"{target_ms}ms"})
    return content | {"profiles": {"toy": exponential(10.0)}}


@pytest.mark.parametrize("target_ms", [100.0, 200.0, 400.0])
def test_an_exponential_server_carries_what_the_closed_form_says(target_ms: float) -> None:
    """M/M/1: the p99 of the sojourn is ln(100) / (mu - lambda), so lambda = mu - ln(100) / target."""
    exact_rps = 100.0 - math.log(100) / (target_ms / 1e3)
    _, point = carried(mm1(target_ms))
    assert 0.95 * exact_rps <= point.rate_rps <= 1.01 * exact_rps


def test_a_mean_is_met_up_to_what_the_closed_form_says() -> None:
    """M/M/1: the mean sojourn is 1 / (mu - lambda)."""
    _, point = carried(mm1(50.0, "mean"))
    assert 0.96 * 80.0 <= point.rate_rps <= 1.01 * 80.0


@pytest.mark.parametrize("target_ms", [40.0, 80.0])
def test_a_constant_server_carries_what_the_closed_form_says(target_ms: float) -> None:
    """M/D/1: the p99 of the wait and one execution of 10 ms."""
    content = asked(plan(), arrivals={"process": "poisson", "rate": 10}, slo={"p99": f"{target_ms}ms"})
    _, point = carried(content)

    def p99_ms(rate_rps: float) -> float:
        return 10.0 + 1e3 * md1_wait_quantile(0.99, rate_rps, 0.010)

    assert p99_ms(point.rate_rps) <= 1.01 * target_ms
    assert p99_ms(1.05 * point.rate_rps) >= target_ms


@pytest.mark.parametrize(
    "content",
    [
        mm1(200.0),
        asked(plan(batching={"policy": "dynamic", "max_batch_size": 16, "max_queue_delay": "5ms"})),
    ],
    ids=["exponential", "batching"],
)
def test_just_below_the_capacity_unseen_seeds_meet_the_objective(content: dict[str, Any]) -> None:
    """In 95 % of replications, each as long as all that the search measured at that rate."""
    setting, point = carried(content)
    rates = {"w": 0.99 * point.rate_rps}
    scenario = setting.scenario(1, rates, seed=UNSEEN, requests=point.requests)
    model = compile_model(scenario)
    slo = scenario.workloads["w"].slo
    assert slo is not None
    met = 0
    replications = 20
    for number in range(replications):
        requests = run(replace(model, replication=number)).requests
        first = int(np.searchsorted(requests.arrival_ns, scenario.warmup_ns))
        latency_ns = (requests.left_ns - requests.arrival_ns)[first:]
        met += bool(np.quantile(latency_ns, 0.99) <= slo.targets_ns["p99"])
    assert met >= 0.95 * replications
    assert slo.targets_ns["p99"] >= ns_from_ms(point.upper_ms["p99"])
