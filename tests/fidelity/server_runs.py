"""Recorded runs of real servers, and the scenario that replays each from its calibration block alone.

A run file holds a server's settings, a calibration block measured apart from the run, the arrival trace and every
latency. The calibration gives the execution times by batch size and four overheads, split as follows (g is the gap
between the end of one execution and the start of the next at a full batch of n):

    enqueue        pre / 2
    dispatch(b)    gap(b) / 2, gap(1) = min(pre, g), rising linearly to gap(n) = g
    release(b)     gap(b) / 2
    reply(b)       post1 at b = 1, rising linearly to postmb at b = n

LitServe is calibrated differently. It parses and replies in one process, so the replies of one batch leave one after
the other and hold up the requests that come in meanwhile; and its ``pre``, measured back to back, is where the idle
test happens to meet the polling window, not an overhead:

    frontend       (postmb - post1) / (n - 1)
    enqueue        post1 / 2
    dispatch       0.25 ms
    release(b)     max(gap - 0.25, 0.1) b / n
    reply(b)       post1 + (postmb - post1) (b - 1) / (n - 1) / 2, the mean over the batch
"""

from __future__ import annotations

import base64
import gzip
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from simulator.scenario import Scenario, scenario_from


@dataclass(frozen=True)
class ServerRun:
    """One recorded run."""

    name: str
    server: str
    content: dict[str, Any]

    @property
    def clean(self) -> bool:
        """Whether the machine disturbed neither the server nor the load generator."""
        return bool(self.content["noise"]["clean"])

    @property
    def closed(self) -> bool:
        """Whether clients waited for their answers."""
        return self.content["mode"] == "closed"

    @property
    def utilisation(self) -> float | None:
        """Offered load over the measured capacity; None for a closed loop."""
        rho = self.content["capacity"]["rho_vs_measured"]
        return None if rho is None else float(rho)

    @property
    def sent_s(self) -> npt.NDArray[np.float64]:
        """When requests were due, in seconds from the first, ascending."""
        sent = _unpack(self.content["trace"]["sched_us"]) / 1e6
        return np.sort(sent - sent.min())

    @property
    def latency_ms(self) -> npt.NDArray[np.float64]:
        """Every latency, from the instant the request was due."""
        return _unpack(self.content["trace"]["latency_us"]) / 1e3


def read_run(path: Path) -> ServerRun:
    """One run file."""
    content = json.loads(path.read_text(encoding="utf-8"))
    return ServerRun(path.stem, content["server"], content)


def _unpack(text: str) -> npt.NDArray[np.float64]:
    packed = gzip.decompress(base64.b64decode(text))
    return np.frombuffer(packed, dtype="<i4").astype(np.float64)


def profile_of(run: ServerRun) -> dict[str, Any]:
    """The profile that the calibration block gives."""
    calibration = run.content["calibration"]
    largest = int(run.content["settings"]["max_batch"])
    measured = {int(b): row["mean"] for b, row in calibration["exec_ms_by_batch_closed_loop"].items()}
    batch = sorted(b for b in measured if b <= largest)
    overhead = calibration["overhead_ms"]
    gap_first = min(overhead["pre"], overhead["gap"])
    share = [(b - 1) / (largest - 1) if largest > 1 else 1.0 for b in batch]
    gap = [gap_first + (overhead["gap"] - gap_first) * s for s in share]
    reply_rise = overhead["postmb"] - overhead["post1"]
    overheads: dict[str, Any] = {
        "enqueue_ms": overhead["pre"] / 2,
        "dispatch_ms": [g / 2 for g in gap],
        "release_ms": [g / 2 for g in gap],
        "reply_ms": [overhead["post1"] + reply_rise * s for s in share],
    }
    if run.server == "litserve":
        overheads = {
            "frontend_ms": reply_rise / max(largest - 1, 1),
            "enqueue_ms": overhead["post1"] / 2,
            "dispatch_ms": 0.25,
            "release_ms": [max(overhead["gap"] - 0.25, 0.1) * b / largest for b in batch],
            "reply_ms": [overhead["post1"] + reply_rise * s / 2 for s in share],
        }
    return {"batch": batch, "latency_ms": [measured[b] for b in batch], "overheads": overheads}


def scenario_of(run: ServerRun, folder: Path, *, rule: str | None = None) -> Scenario:
    """The scenario that replays this run; the trace is written into ``folder``."""
    settings = run.content["settings"]
    if run.closed:
        arrivals: dict[str, Any] = {
            "process": "closed_loop",
            "concurrency": int(run.content["arrival"]["concurrency"]),
        }
        horizon = f"{run.content['measured']['duration_s']:.3f}s"
    else:
        trace = folder / f"{run.name}.csv"
        trace.write_text("arrival_s\n" + "\n".join(f"{t:.6f}" for t in run.sent_s) + "\n", encoding="utf-8")
        arrivals = {"process": "trace", "file": trace.name, "format": "column"}
        horizon = f"{run.sent_s[-1] + 1e-6:.6f}s"
    batching: dict[str, Any] = {
        "policy": "dynamic",
        "rule": rule or run.server,
        "max_batch_size": int(settings["max_batch"]),
        "max_queue_delay": f"{int(settings['max_queue_delay_us'])}us",
    }
    preferred = str(settings.get("preferred") or "")
    if preferred and batching["rule"] == "triton":
        batching["preferred_batch_sizes"] = [int(size) for size in preferred.replace(",", " ").split()]
    instances = int(settings["instances"])
    return scenario_from(
        {
            "schema": 1,
            "name": run.name,
            "horizon": horizon,
            "profiles": {"measured": profile_of(run)},
            "fleets": {
                "server": {
                    "profile": "measured",
                    "usd_per_hour": 1.0,
                    "instances": 1,
                    "model_instances": instances,
                    "slowdown": [1.0] * instances,
                    "batching": batching,
                }
            },
            "workloads": {"clients": {"fleet": "server", "arrivals": arrivals}},
        },
        folder=folder,
    )
