"""What calibrating a recorded server showed, as observations: executions, lone requests, a saturated closed loop."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from calibration.observation import Observation, Observations

SERVERS = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "servers"


def calibration_of(name: str, *, logged: bool) -> list[Observations]:
    """What calibrating a recorded server showed: executions, lone requests, a saturated closed loop of 32."""
    path = SERVERS / f"{name}.json"
    if not path.exists():
        pytest.skip("../shared/data/servers, the recorded runs, is absent")
    content = json.loads(path.read_text(encoding="utf-8"))["calibration"]
    executions = tuple(
        Observation(batch=int(size), requests=one["n"], latency_ms={key: one[key] for key in ("mean", "p50", "p99")})
        for size, one in content["exec_ms_by_batch_closed_loop"].items()
        if int(size) <= 8
    )
    alone, saturated = content["idle_single_request"], content["saturated"]
    start = {"execution_start_ms": alone["sched_to_exec_ms"]["mean"]} if logged else {}
    requests = (
        Observation(concurrency=1, latency_ms=alone["latency_ms"], notes={"max_queue_delay_ms": 5.0, **start}),
        Observation(
            batch=saturated["batch_mean"],
            merged=True,
            max_batch_size=8,
            concurrency=32,
            throughput_rps=saturated["throughput_rps"],
            latency_ms=saturated["latency_ms"],
        ),
    )
    return [
        Observations(rows=executions, scope="device"),
        Observations(rows=requests, scope="server", provenance={"server": name.split("_")[0]}),
    ]


def overhead_block(name: str) -> dict[str, float]:
    """The overheads that were found for this server from a log of every execution."""
    block: dict[str, float] = json.loads((SERVERS / f"{name}.json").read_text())["calibration"]["overhead_ms"]
    return block
