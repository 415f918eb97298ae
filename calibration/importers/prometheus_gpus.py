"""What Prometheus tells of the GPUs: by Triton itself, or by NVIDIA's DCGM exporter beside it.

Triton's utilisation is a share from 0 to 1, DCGM's is in per cent; DCGM's memory is in MiB, its energy in mJ. Names:
triton-inference-server/server, docs/user_guide/metrics.md; NVIDIA/dcgm-exporter, etc/default-counters.csv.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final, NamedTuple

from calibration.importers.prometheus_series import Series
from calibration.importers.prometheus_windows import Server, agree

UTILISATION, POWER, MEMORY, ENERGY = "gpu_utilisation", "gpu_power_w", "gpu_memory_bytes", "gpu_energy_j"
"""Names under which the metrics are kept, whoever told them: a share, watts, bytes, joules."""

GAUGES: Final = (UTILISATION, POWER, MEMORY)


class _Unit(NamedTuple):
    name: str
    scale: float
    """Our unit in terms of theirs."""


METRICS: Final = {
    "nv_gpu_utilization": _Unit(UTILISATION, 1.0),
    "nv_gpu_power_usage": _Unit(POWER, 1.0),
    "nv_gpu_memory_used_bytes": _Unit(MEMORY, 1.0),
    "nv_energy_consumption": _Unit(ENERGY, 1.0),
    "DCGM_FI_DEV_GPU_UTIL": _Unit(UTILISATION, 0.01),
    "DCGM_FI_DEV_POWER_USAGE": _Unit(POWER, 1.0),
    "DCGM_FI_DEV_FB_USED": _Unit(MEMORY, 2.0**20),
    "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION": _Unit(ENERGY, 0.001),
}

_UUID: Final = ("gpu_uuid", "UUID", "uuid")
_DEVICE: Final = ("modelName", "gpu_name")


def attach_gpus(servers: Sequence[Server], series: Sequence[Series]) -> list[str]:
    """Give each server the metrics of its GPU, and say where that cannot be told.

    A GPU is a server's if their labels name the same one, or if there is no other: of Triton's own, at the same
    address; of DCGM's, which has an address of its own, anywhere.
    """
    metrics = [one for one in series if one.name in METRICS]
    left: set[str] = set()
    for server in servers:
        for name in dict.fromkeys(one.name for one in metrics):
            mine = _of_server(server, [one for one in metrics if one.name == name])
            unit = METRICS[name]
            if len(mine) == 1:
                samples = {time: value * unit.scale for time, value in mine[0].samples.items()}
                server.series.setdefault(unit.name, [replace(mine[0], name=unit.name, samples=samples)])
            elif mine:
                left.add(name)
    if not left:
        return []
    return [f"{', '.join(sorted(left))} left out: of several GPUs, the one that served cannot be told"]


def devices_of(series: Sequence[Series]) -> list[str]:
    """Names of the GPUs, where the exporter tells them."""
    named = (one.labels.get(label) for one in series if one.name in METRICS for label in _DEVICE)
    return list(dict.fromkeys(filter(None, named)))


def _of_server(server: Server, metrics: Sequence[Series]) -> list[Series]:
    own = _uuid(server.labels)
    if own is not None:
        return [one for one in metrics if _uuid(one.labels) == own]
    if all(one.name.startswith("nv_") for one in metrics):
        return [one for one in metrics if agree(server.labels, one.labels)]
    return list(metrics)


def _uuid(labels: Mapping[str, str]) -> str | None:
    return next((labels[name] for name in _UUID if name in labels), None)
