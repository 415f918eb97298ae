"""A real server, calibrated and then driven: how far is the simulator from what its clients saw, and how sure is that?

``calibrate measure``, then ``simulate validate``, as a user would. What the simulator gets is what the former measures:
the curve of the execution (the model by itself, or Triton's own statistics), lone requests, saturation, and a model
that takes no time. Of the runs it is compared with it gets the times at which requests were due.

How noisy the machine was is measured beside it:

- *waiting*: the share of the time in which something of the server, or of the load generator, was ready to run and had
  to wait for a processor (:mod:`tests.fidelity.live.machine`);
- *others*: the share of the machine that other programs used;
- *repeats*: where a run is made twice with the same arrivals, the two differ;
- *drift*: the capacity is measured again at the end; the simulator is run with executions that much faster and slower.

The share spent waiting, half the difference of the repeats and half of what the drift moves make up the noise, which is
added to the gates, and printed. What others do to a model that computes cannot be added up: a machine that they use is
not judged by such a model.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from calibration.endpoint import measure_endpoint, measure_server
from calibration.fit import fit_profile
from calibration.observation import Observations
from calibration.profile_file import ProfileFile, read_profile_file
from calibration.profile_writer import observations_in, profile_text, write_profile
from simulator.validate import validate
from simulator.validation_cases import Case, Server
from simulator.validation_files import Measured, read_measured
from simulator.validation_scenario import Setting
from tests.fidelity.live.machine import Disturbance, watched
from tests.fidelity.live.servers import HERE, LiveServer

Floats = npt.NDArray[np.float64]

QUIET = 0.02
"""Share of the time spent waiting for a processor, and of the machine used by others, up to which it was quiet."""

HOPELESS = 0.10
"""And from which on nothing that was measured on it says anything: waiting; of others if the model computes."""


@dataclass(frozen=True)
class Pace:
    """How long to measure what."""

    device_s: float
    """Each batch size of the model by itself."""
    batches: tuple[int, ...]
    closed_s: float
    """Each closed loop."""
    open_s: float
    """Each open loop."""
    repeats: int
    """Of each open loop."""


@dataclass(frozen=True)
class Calibrated:
    """What calibrate found."""

    server: LiveServer
    file: ProfileFile
    capacity_rps: float
    delay_ms: float
    """How long the server waits for a fuller batch, as measured where that differs from what it is told."""
    disturbance: Disturbance

    def lines(self) -> list[str]:
        """Say what was found in a few lines."""
        model = self.file.service_model
        assert model is not None
        assert model.batch is not None
        assert model.latency_ms is not None
        assert model.overheads is not None
        curve = ", ".join(f"{ms:.4g} ({n})" for n, ms in zip(model.batch, model.latency_ms, strict=True))
        parts = (
            f"{name.removesuffix('_ms')} {' to '.join(f'{ms:.3g}' for ms in sorted({values[0], values[-1]}))}"
            for name, values in model.overheads
        )
        return [
            f"{self.server.name}, {self.server.model}: {self.capacity_rps:.4g} requests/s at saturation",
            f"waits {self.delay_ms:.4g} ms for a fuller batch; ms by batch size: {curve}",
            f"ms outside it: {', '.join(parts)}",
        ]


@dataclass(frozen=True)
class Driven:
    """One open loop at the server."""

    case: Case
    disturbance: Disturbance
    late_ms: float
    """How late the generator sent, at its 99th percentile."""


@dataclass(frozen=True)
class Verdict:
    """One load: what was measured, how far the simulator is from it, and what it may be."""

    load: float
    requests: int
    measured_ms: tuple[float, float]
    """p50 and p99, means over the repeats."""
    error: tuple[float, float]
    noise: tuple[float, float]
    disturbance: Disturbance
    late_ms: float

    def hopeless(self, server: LiveServer) -> bool:
        """Whether the machine was too busy with other things to judge."""
        others = 0.0 if server.model == "timed" else self.disturbance.others
        return max(self.disturbance.waiting, others) > HOPELESS

    @property
    def gates(self) -> tuple[float, float]:
        """What the errors may be: fidelity's gates, widened by the noise that was measured."""
        p50, p99 = (0.05, 0.10) if self.load <= 0.8 else (0.10, 0.15)
        return p50 + self.noise[0], p99 + self.noise[1]

    @property
    def held(self) -> bool:
        """Whether both errors are inside their gates."""
        return all(abs(error) <= gate for error, gate in zip(self.error, self.gates, strict=True))

    def line(self, server: LiveServer) -> str:
        """One line of the table."""
        cells = "  ".join(
            f"{ms:7.2f} {error:+6.1%} (gate {gate:4.1%}, noise {noise:4.1%})"
            for ms, error, gate, noise in zip(self.measured_ms, self.error, self.gates, self.noise, strict=True)
        )
        state = "quiet" if max(self.disturbance.waiting, self.disturbance.others) <= QUIET else "noisy"
        what = f"{server.name:8s} {server.model:8s} {self.load:4.2f} {self.requests:6d}"
        return f"{what}  {cells}  {self.disturbance}  {self.late_ms:7.2f}  {state}"


_CELL = f"{'ms':>7s} {'error':>6s} {'':24s}"
HEADER = (
    f"{'server':8s} {'model':8s} {'load':>4s} {'n':>6s}  {'p50 ' + _CELL[4:]}  {'p99 ' + _CELL[4:]}"
    "  waiting  others  late ms"
)


def calibrated(server: LiveServer, folder: Path, pace: Pace) -> Calibrated:
    """Measure the server as a user would, and fit."""
    loads = tuple(sorted({1, *pace.batches, 4 * server.max_batch_size}))
    settings = replace(server.settings, concurrencies=loads, duration_s=pace.closed_s)
    with watched() as disturbance:
        served = measure_server(settings)
        executions = served.executions or _by_itself(server.model, folder, pace)
    file = fit_profile([executions, served.clients], name=server.name, null_model=served.null_model)
    write_profile(file, folder / "profile.json")
    (delay_ms,) = {row.notes["max_queue_delay_ms"] for row in served.clients.rows}
    return Calibrated(server, file, _saturated_rps(served.clients), delay_ms, disturbance)


def _by_itself(model: str, folder: Path, pace: Pace) -> Observations:
    """The model measured where nothing else runs, by the command line."""
    path = folder / "executions.json"
    options = [
        "--model",
        f"served_models:{model}",
        "--runtime",
        "python",
        "--batch",
        ",".join(map(str, pace.batches)),
        "--min-time",
        f"{pace.device_s}s",
    ]
    options += ["--repeats", "3", "--max-warm-up", "1s", "--no-cold-start", "--no-host", "--quiet", "-o", str(path)]
    command = [sys.executable, "-c", "from calibration.cli import main; main()", "measure"]
    paths = os.pathsep.join([str(HERE.parents[2]), str(HERE)])
    threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    done = subprocess.run(
        [*command, *options],
        cwd=folder,
        env={**os.environ, **threads, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return observations_in(read_profile_file(path))[0]


def _saturated_rps(served: Observations) -> float:
    return max(row.throughput_rps or 0.0 for row in served.rows if row.concurrency)


def compared(found: Calibrated, loads: Sequence[float], folder: Path, pace: Pace) -> list[Verdict]:
    """Drive the server at these shares of its capacity, and replay each run."""
    runs = {
        load: [_driven(found, load, folder / f"{load}-{repeat}.csv", pace) for repeat in range(pace.repeats)]
        for load in loads
    }
    most = 4 * found.server.max_batch_size
    settings = replace(found.server.settings, concurrencies=(most,), duration_s=pace.closed_s)
    again_rps = _saturated_rps(measure_endpoint(settings))
    drift = abs(again_rps / found.capacity_rps - 1) / 2
    return [_verdict(found, load, alike, drift, folder) for load, alike in runs.items()]


def _driven(found: Calibrated, load: float, kept: Path, pace: Pace) -> Driven:
    rate = round(load * found.capacity_rps, 1)
    settings = replace(found.server.settings, rates_rps=(rate,), duration_s=pace.open_s, keep_requests=kept)
    with watched() as disturbance:
        (row,) = measure_endpoint(settings).rows
    assert row.failed == 0, row.notes["failures"]
    (case,) = read_measured([kept]).cases
    return Driven(case, disturbance, row.notes["late_p99_ms"])


def _verdict(found: Calibrated, load: float, runs: Sequence[Driven], drift: float, folder: Path) -> Verdict:
    measured = np.array([_percentiles(run.case.measured) for run in runs])
    mean = measured.mean(axis=0)
    repeats = (measured.max(axis=0) - measured.min(axis=0)) / 2 / mean
    case = runs[0].case
    simulated, faster, slower = (_replayed(found, case, scale, folder) for scale in (1.0, 1 - drift, 1 + drift))
    moved = np.abs(slower - faster) / 2 / simulated
    p50, p99 = (simulated / mean - 1).tolist()
    worst = Disturbance(
        max(run.disturbance.waiting for run in runs), max(run.disturbance.others for run in (found, *runs))
    )
    noise50, noise99 = (worst.waiting + repeats + moved).tolist()
    late = max(run.late_ms for run in runs)
    assert case.sent_s is not None
    return Verdict(load, len(case.sent_s), (mean[0], mean[1]), (p50, p99), (noise50, noise99), worst, late)


def _replayed(found: Calibrated, case: Case, scale: float, folder: Path) -> Floats:
    """p50 and p99 of the simulator at the same arrivals, with executions so many times as long."""
    content: dict[str, Any] = json.loads(profile_text(found.file))
    model = content["service_model"]
    for key in ("latency_ms", "samples_ms"):
        if key in model:
            model[key] = _scaled(model[key], scale)
    profile = folder / "replayed.json"
    profile.write_text(json.dumps(content), encoding="utf-8")
    server = Server(
        rule=found.server.name, max_batch_size=found.server.max_batch_size, max_queue_delay_ms=found.delay_ms
    )
    validation = validate(Measured((case,), ()), Setting(profile=profile, server=server))
    return _percentiles(validation.rows[0].simulated)


def _percentiles(told: Mapping[str, float]) -> Floats:
    return np.array([told["p50_ms"], told["p99_ms"]])


def _scaled(values: Any, scale: float) -> Any:
    return [_scaled(value, scale) for value in values] if isinstance(values, list) else values * scale
