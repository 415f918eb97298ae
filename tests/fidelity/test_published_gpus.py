"""Dynamic batching on real GPUs, predicted from what a lone client saw of the same model on the same GPU.

Eight published curves: closed loops of 1 to 256 clients, two model instances on one GPU. What was reached, as medians
of the absolute errors over all 224 loads, against an interpolated curve with one batch on the GPU at a time:

    ==================== ========== ====== ======
                         throughput    p50    p99
    ==================== ========== ====== ======
    here                    12 %      12 %   14 %
    interpolated curve      33 %      24 %   36 %
    ==================== ========== ====== ======

Throughput by Little's law (clients / mean latency) is 9 % off: perf_analyzer counted only requests that began and ended
in its window, so that it printed up to 28 % too little where latencies are long (``littles_law_ratio`` in the file).
The gates leave a third of room, since a closed loop without noise is sensitive to every detail.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from calibration import occupancy
from simulator.validate import Validation, validate
from simulator.validation_cases import Server, cases_of
from simulator.validation_files import Measured
from simulator.validation_scenario import Setting
from tests.fidelity.published_gpus import (
    DYNAMIC,
    PLAIN_SERVER,
    STATIC,
    TITAN,
    Curve,
    curves,
    fitted,
    plain,
    titan,
)

FIGURES = ("throughput", "p50", "p99")
GATES = {"throughput": 0.16, "p50": 0.15, "p99": 0.18}
"""Most that the median over all loads may be off."""
REQUESTS = 6_000

needs_tables = pytest.mark.skipif(
    not (STATIC.exists() and DYNAMIC.exists()), reason="../shared/data, the published tables, is absent"
)


def compared(curve: Curve, profile: Path, server: Server | None = None) -> Validation:
    """Every load of a curve, measured and simulated."""
    setting = Setting(profile=profile, server=server or Server(), requests=REQUESTS, allow_extrapolation=True)
    return validate(curve.dynamic, setting)


def errors(results: Mapping[str, Validation]) -> dict[str, np.ndarray]:
    """Errors over all curves, by figure, and of the throughput by Little's law."""
    rows = [row for result in results.values() for row in result.rows]
    found = {name: np.array([row.error(name) for row in rows], dtype=float) for name in FIGURES}
    return found | {"little": np.array([1 / (1 + (row.error("mean") or 0.0)) - 1 for row in rows])}


def medians(results: Mapping[str, Validation]) -> dict[str, float]:
    """Medians of the absolute errors."""
    return {name: float(np.median(np.abs(values))) for name, values in errors(results).items()}


def line(name: str, found: Mapping[str, float], plain_: Mapping[str, float]) -> str:
    """One line of the table."""
    ours = "  ".join(f"{found[figure]:6.1%}" for figure in (*FIGURES, "little"))
    theirs = "  ".join(f"{plain_[figure]:6.1%}" for figure in FIGURES)
    return f"{name:52s} {ours}   {theirs}"


HEADER = f"{'median absolute error of ...':52s} {'thrpt':>6s}  {'p50':>6s}  {'p99':>6s}  {'Little':>6s}   a plain curve"


@needs_tables
def test_published_closed_loops_are_predicted_from_lone_requests(tmp_path: Path, error_table: list[str]) -> None:
    """Beyond the gates, two model instances on one GPU are planned wrongly by a margin that costs money."""
    ours, theirs = {}, {}
    for curve in curves():
        assert all(row.concurrency == 1 for row in curve.static.rows)
        ours[curve.name] = compared(curve, fitted(curve.static, tmp_path))
        theirs[curve.name] = compared(curve, plain(curve.static, tmp_path), PLAIN_SERVER)
    error_table.append(HEADER)
    for name, result in ours.items():
        error_table.append(line(name, medians({name: result}), medians({name: theirs[name]})))
    found, baseline = medians(ours), medians(theirs)
    error_table.append(line("all loads", found, baseline))
    for name, most in GATES.items():
        assert found[name] <= most
        assert found[name] <= 0.6 * baseline[name]
    assert found["little"] <= 0.13


@needs_tables
def test_no_curve_is_far_off_in_throughput(tmp_path: Path) -> None:
    """A good median could hide a curve that is off by a factor."""
    for curve in curves():
        little = errors({curve.name: compared(curve, fitted(curve.static, tmp_path))})["little"]
        assert abs(float(np.median(little))) <= 0.30, curve.name


@pytest.mark.slow
@needs_tables
def test_the_copies_of_an_input_are_predicted_from_the_other_curves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one number that a published curve decides must come out of the others alike."""
    used = occupancy.COPIES
    results: dict[float, dict[str, Validation]] = {}
    for copies in (5.0, 6.0, 7.0, 8.0, 9.0):
        monkeypatch.setattr(occupancy, "COPIES", copies)
        results[copies] = {
            curve.name: compared(curve, fitted(curve.static, tmp_path)) for curve in curves() if "gpunet" in curve.name
        }
    names = list(results[7.0])
    left_out = {}
    for name in names:
        rest = {
            copies: sum(medians({other: found[other] for other in names if other != name}).values())
            for copies, found in results.items()
        }
        best = min(rest, key=lambda copies: rest[copies])
        assert abs(best - used) <= 1
        left_out[name] = results[best][name]
    found = medians(left_out)
    assert found["throughput"] <= 0.15
    assert found["p50"] <= 0.20
    assert found["p99"] <= 0.18


@pytest.mark.skipif(not TITAN.exists(), reason="../shared/data/triton_titanrtx_vgg19.csv is absent")
def test_model_instances_share_a_gpu_as_one_would_from_one_instance_alone(
    tmp_path: Path, error_table: list[str]
) -> None:
    """1 to 5 model instances of VGG-19 on a TITAN RTX answer 216 to 226 requests a second: the default slow-down."""
    profile = fitted(titan(1), tmp_path)
    cases = [case for instances in range(2, 6) for case in cases_of(titan(instances))[0]]
    loaded = tuple(case for case in cases if (case.concurrency or 0) >= 2)
    result = validate(Measured(loaded, ()), Setting(profile=profile, requests=REQUESTS))
    found = result.summaries()
    words = "  ".join(f"{name} {found[name].median:.1%}" for name in ("throughput", "mean", "p99"))
    error_table.append(f"2 to 5 model instances from one, TITAN RTX, median absolute errors: {words}")
    assert found["throughput"].median <= 0.04
    assert found["mean"].median <= 0.07
    assert found["p99"].median <= 0.12
