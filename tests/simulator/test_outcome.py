"""Does the JSON object say what the report does, in what JSON has?"""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from simulator.outcome import CostReport, FleetReport, Report, SloReport, WorkloadReport, report_to_json

WORKLOAD = WorkloadReport(
    name="search",
    fleet="gpu",
    offered_rps=900.0,
    throughput_rps=899.0,
    goodput_rps=None,
    items_per_s=899.0,
    latency_ms=None,
    queue_ms=None,
    service_ms=None,
    ci95=None,
    slo=None,
    outcomes={"arrived": 1, "completed": 0, "rejected": 1, "timed_out": 0, "in_flight": 0},
    measured=0,
)
FLEET = FleetReport("gpu", None, 4.0, 0.9, 0.9, None, {16: 3}, None, None, "no price")
REPORT = Report("peak", 1, "compiled", 1, 60.0, 10.0, (WORKLOAD,), (FLEET,), CostReport(None, None, None), {})


def slo(met: bool | None) -> SloReport:
    """An objective with that verdict."""
    return SloReport({"p99_ms": 5.0}, {"p99_ms": 4.0}, met, 1.0, {"p99_ms": 1.0})


def test_numbers_that_json_does_not_have_become_null_and_numpys_become_plain() -> None:
    """The output is no JSON, or cannot be written at all."""
    odd = replace(
        REPORT,
        workloads=(replace(WORKLOAD, offered_rps=math.nan, ci95={"p99_ms": (1.0, math.inf)}),),
        fleets=(replace(FLEET, utilisation=np.float64(0.5), batch_size_histogram={16: np.int64(3)}),),  # type: ignore[dict-item]
    )
    numbers = report_to_json(odd)
    json.dumps(numbers, allow_nan=False)

    assert numbers["workloads"]["search"]["offered_rps"] is None
    assert [1.0, None] == numbers["workloads"]["search"]["ci95"]["p99_ms"]
    assert {"16": 3} == numbers["fleets"]["gpu"]["batch_size_histogram"]


def test_unknown_parts_keep_their_keys() -> None:
    """A program that reads a p99 breaks when nothing completed, or a cost when there is no price."""
    numbers = report_to_json(REPORT)

    assert numbers["workloads"]["search"]["latency_ms"]["p99"] is None
    assert numbers["workloads"]["search"]["slo"] is None
    assert "ci95" not in numbers["workloads"]["search"]
    assert {"usd_per_hour": None, "usd_per_month": None, "usd_per_1k_requests": None} == numbers["cost"]


@pytest.mark.parametrize(
    ("verdicts", "overall"),
    [
        ([], None),
        ([None], None),
        ([True], True),
        ([True, None], None),
        ([True, False], False),
        ([False, None], False),
    ],
)
def test_all_objectives_are_met_when_each_is(verdicts: list[bool | None], overall: bool | None) -> None:
    """One missed objective hides behind others, or one that cannot be judged counts as met."""
    workloads = tuple(replace(WORKLOAD, slo=slo(met)) for met in verdicts)
    assert overall is replace(REPORT, workloads=(*workloads, WORKLOAD)).slo_met
