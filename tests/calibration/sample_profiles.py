"""Profile files to look at: figures made up so that every number on the page can be worked out by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from calibration.profile_file import ProfileFile

PROVENANCE: dict[str, Any] = {
    "model": "bert-base",
    "precision": "fp32",
    "runtime": "torch",
    "device": "Pocket calculator",
    "driver": "5.1",
    "source": "measured with calibrate",
    "date": "2026-11-22",
    "versions": {"torch": "2.13.0"},
    "variant": {"model": "bert-base", "runtime": "torch", "device": "cpu", "precision": "fp32", "seed": 0},
}

FITTED: dict[str, Any] = {
    "schema": 1,
    "name": "fitted",
    "provenance": PROVENANCE,
    "measurements": {
        "batch": [1, 4, 16],
        "latency_ms": [10.0, 25.0, 80.0],
        "p99_ms": [12.0, 28.0, 90.0],
        "memory_bytes": [2**30, 2**30, 2**31],
        "energy_j": [1.0, 2.0, 4.0],
    },
    "service_model": {
        "method": "isotonic_pchip",
        "batch": [1, 2, 4, 8, 16],
        "latency_ms": [10.0, 15.0, 26.0, 44.0, 80.0],
        "ci95_ms": [[9, 11], [14, 16], [25, 27], [42, 46], [76, 84]],
        "cross_validation": {"isotonic_pchip": 0.021, "linear_roofline": 0.043},
        "latency_cv": [0.04, 0.03, 0.03, 0.02, 0.02],
        "overheads": {"enqueue_ms": 0.2, "dispatch_ms": [0.1, 0.1, 0.2, 0.2, 0.5]},
        "slowdown": [1, 1.9, 2.75],
        "valid_range": [1, 16],
        "warnings": ["Batch 16 was measured unstable."],
    },
}
"""A fit with everything that a fit can say: at batch 4 the curve lies 1 ms above the measured 25."""


def profile(content: dict[str, Any] | None = None, **changes: Any) -> ProfileFile:
    """A profile file from its content; FITTED, with some keys changed."""
    return ProfileFile.model_validate({**(FITTED if content is None else content), **changes})


def measured(name: str, latency_ms: list[float], **columns: Any) -> ProfileFile:
    """A profile file of measurements alone, at batch sizes 1, 2, 4 ..."""
    table = {"batch": [2**index for index in range(len(latency_ms))], "latency_ms": latency_ms, **columns}
    return profile({"schema": 1, "name": name, "provenance": PROVENANCE, "measurements": table})


def written(file: ProfileFile, folder: Path) -> Path:
    """The file on disk, under its name."""
    path = folder / f"{file.name}.json"
    path.write_text(json.dumps(file.model_dump(mode="json", by_alias=True, exclude_none=True)), encoding="utf-8")
    return path
