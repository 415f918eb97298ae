"""Published measurements of Triton on real GPUs: the batch curve of a lone client, and closed loops with batching.

NVIDIA prints both beside each other (NVIDIA/DeepLearningExamples at 729963d, */triton/**/README.md; Apache-2.0 and
BSD-3). A profile is fitted to the former alone and asked for the latter.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from calibration.fit import fit_profile
from calibration.observation import Observation, Observations
from calibration.profile_writer import write_profile
from simulator.validation_cases import Server, cases_of, sizes_in
from simulator.validation_files import Measured

DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data"
STATIC = DATA / "triton_static_batch.csv"
DYNAMIC = DATA / "triton_dynamic_dev.csv"
TITAN = DATA / "triton_titanrtx_vgg19.csv"

PARTS = {
    "client_send_ms": "send",
    "network_server_sendrecv_ms": "network",
    "server_queue_ms": "queue",
    "server_compute_input_ms": "input",
    "server_compute_infer_ms": "compute",
    "server_compute_output_ms": "output",
    "client_recv_ms": "receive",
}
STATISTICS = {"avg_ms": "mean", "p50_ms": "p50", "p90_ms": "p90", "p95_ms": "p95", "p99_ms": "p99"}


@dataclass(frozen=True)
class Curve:
    """One model on one GPU."""

    name: str
    static: Observations
    """One request at a time, of various batch sizes."""
    dynamic: Measured
    """Closed loops of requests that Triton batches."""


def curves() -> list[Curve]:
    """All curves of which both tables are here, in the order of the dynamic ones."""
    static: dict[str, list[dict[str, str]]] = {}
    for row in _rows(STATIC):
        static.setdefault(row["curve_id"], []).append(row)
    dynamic: dict[str, list[dict[str, str]]] = {}
    for row in _rows(DYNAMIC):
        dynamic.setdefault(row["curve_id"], []).append(row)
    return [_curve(static[key], rows) for key, rows in dynamic.items()]


def _curve(static: list[dict[str, str]], dynamic: list[dict[str, str]]) -> Curve:
    first = dynamic[0]
    words = (first["model"], first["variant"], first["gpu"], first["precision"], first["backend"])
    provenance = {"model": first["model"], "device": first["gpu"], "precision": first["precision"], "server": "Triton"}
    lone = Observations(rows=tuple(map(_observation, static)), scope="server", provenance=provenance)
    cases, left_out = cases_of(
        Observations(
            rows=tuple(map(_observation, dynamic)), scope="server", notes=_batching(first), provenance=provenance
        )
    )
    return Curve(" ".join(filter(None, words)), lone, Measured(tuple(cases), tuple(left_out)))


def _observation(row: Mapping[str, str]) -> Observation:
    batch = int(row["client_batch"])
    return Observation(
        batch=float(batch),
        concurrency=float(row["concurrency"]),
        model_instances=int(row["instances"]),
        max_batch_size=int(row["max_batch"]) if "preferred_batch" in row else None,
        throughput_rps=float(row["throughput_inf_per_s"]) / batch,
        latency_ms={name: float(row[column]) for column, name in STATISTICS.items() if row[column]},
        parts_ms={name: float(row[column]) for column, name in PARTS.items() if row[column]},
    )


def _batching(row: Mapping[str, str]) -> dict[str, object]:
    return {
        "max_queue_delay_ms": float(row["max_queue_delay_us"] or 0) / 1000,
        "preferred_batch_sizes": sizes_in(row["preferred_batch"]),
    }


def fitted(observations: Observations, folder: Path) -> Path:
    """The profile that these rows give, as a file."""
    path = folder / "fitted.json"
    write_profile(fit_profile([observations]), path)
    return path


def plain(observations: Observations, folder: Path) -> Path:
    """Latencies of lone requests taken for executions: a plain interpolated curve, and nothing else."""
    rows = tuple(Observation(batch=row.batch, latency_ms={"mean": row.mean_ms or 0.0}) for row in observations.rows)
    path = folder / "plain.json"
    write_profile(fit_profile([Observations(rows=rows, scope="device")]), path)
    return path


PLAIN_SERVER = Server(rule="textbook", model_instances=1)
"""One batch at a time on the GPU, formed by the textbook."""


def titan(instances: int) -> Observations:
    """VGG-19 on a TITAN RTX, so many model instances, no dynamic batching: medians over equal configurations."""
    from statistics import median

    alike: dict[int, list[dict[str, str]]] = {}
    for row in _rows(TITAN):
        if int(row["inst"]) == instances and int(row["conc"]) <= 32:
            alike.setdefault(int(row["conc"]), []).append(row)

    def middle(rows: list[dict[str, str]], column: str) -> float:
        return median(float(row[column]) for row in rows)

    observed = (
        Observation(
            concurrency=float(clients),
            model_instances=instances,
            max_batch_size=1,
            throughput_rps=middle(rows, "thr"),
            latency_ms={"mean": middle(rows, "avg"), "p99": middle(rows, "p99")},
            parts_ms={"queue": middle(rows, "q"), "compute": middle(rows, "infer")},
        )
        for clients, rows in sorted(alike.items())
    )
    provenance = {"model": "vgg19", "device": "NVIDIA TITAN RTX", "server": "Triton"}
    return Observations(rows=tuple(observed), scope="server", provenance=provenance)


def _rows(path: Path) -> list[dict[str, str]]:
    with open(path, encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))
