"""Every recorded run of a real server is replayed, calibrated from its calibration block alone.

The runs (Triton 2.51, mosec 0.9.8, LitServe 0.2.19 on two processor cores, models that sleep 8 + b ms, at most 8
requests a batch, 5 ms delay) were measured for this project; each file holds the settings, the calibration and every
latency. The gates, for clean runs:

    utilisation up to 0.8     p50 within 5 %, p99 within 10 %
    0.8 to 0.95               p50 within 10 %, p99 within 15 %
    always                    mean batch within 5 %, throughput within 1 %
    closed loop               p50 within 5 %

The textbook rule with the same overheads misses the first two on Triton by a factor of two to nine, which
``test_the_textbook_rule_is_far_off_a_real_triton`` keeps on record.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from simulator.compiling import compile_model
from simulator.run import run as simulate
from tests.fidelity.server_runs import ServerRun, read_run, scenario_of

RUNS = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "servers"
FILES = sorted(RUNS.glob("*.json"))

needs_runs = pytest.mark.skipif(not FILES, reason="../shared/data/servers, the recorded runs, is absent")


@dataclass(frozen=True)
class Errors:
    """Relative errors of a replay, simulated over measured - 1."""

    p50: float
    p99: float
    batch: float
    throughput: float

    def line(self, run: ServerRun) -> str:
        """One line of the table."""
        rho = f"{run.utilisation:.2f}" if run.utilisation is not None else "loop"
        share = "  ".join(f"{value:+7.1%}" for value in (self.p50, self.p99, self.batch))
        state = "" if run.clean else "  disturbed"
        p50 = f"{np.percentile(run.latency_ms, 50):6.1f} ms"
        return f"{run.name:32s} {rho:>5s}  {p50}  {share}  {self.throughput:+7.2%}{state}"


HEADER = f"{'run':32s} {'load':>5s}  {'p50':>6s}     {'p50':>7s}  {'p99':>7s}  {'batch':>7s}  {'thrpt':>7s}   error"


def replay(run: ServerRun, folder: Path, *, rule: str | None = None) -> Errors:
    """Simulate a recorded run and compare."""
    log = simulate(compile_model(scenario_of(run, folder, rule=rule)))
    latency_ms = (log.requests.left_ns - log.requests.arrival_ns) / 1e6
    measured = run.content["measured"]
    p50, p99 = (np.percentile(latency_ms, p) / np.percentile(run.latency_ms, p) - 1 for p in (50, 99))
    throughput = len(latency_ms) / (log.requests.left_ns.max() / 1e9)
    return Errors(
        p50=float(p50),
        p99=float(p99),
        batch=float(log.batches.items.mean() / measured["batch_mean"] - 1),
        throughput=float(throughput / measured["throughput_rps"] - 1),
    )


@needs_runs
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_real_server_is_matched(path: Path, tmp_path: Path, error_table: list[str]) -> None:
    """Outside the gates the simulator would size fleets for a server that does not exist."""
    run = read_run(path)
    errors = replay(run, tmp_path)
    if not error_table:
        error_table.append(HEADER)
    error_table.append(errors.line(run))
    if not run.clean:
        return
    if run.closed:
        assert abs(errors.p50) <= 0.05
        return
    assert run.utilisation is not None
    light = run.utilisation <= 0.8
    assert abs(errors.p50) <= (0.05 if light else 0.10)
    assert abs(errors.p99) <= (0.10 if light else 0.15)
    assert abs(errors.batch) <= 0.05
    assert abs(errors.throughput) <= 0.01


@needs_runs
def test_the_textbook_rule_is_far_off_a_real_triton(tmp_path: Path) -> None:
    """If the textbook rule did as well, the servers' own rules would be needless."""
    run = read_run(RUNS / "triton_mb8d5i1_po85_s11_repB.json")
    own, textbook = replay(run, tmp_path), replay(run, tmp_path, rule="textbook")
    assert abs(textbook.p50) > 0.30
    assert abs(own.p50) < abs(textbook.p50) / 3
