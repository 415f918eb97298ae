"""Which tool wrote this file? Told from names that no other tool's file has, in its first bytes.

Only for a helpful refusal: no importer depends on it, and a file that is not recognised is simply tried.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

_LOOK_AT: Final = 1 << 16

_SIGNS: Final = tuple(
    (format, re.compile(pattern, re.MULTILINE))
    for format, pattern in (
        ("mlperf", r"^MLPerf Results Summary|^Scenario : (SingleStream|MultiStream|Server|Offline)"),
        ("locust", r"^\s*\"?Type\"?,\"?Name\"?,\"?Request Count|^\s*\"?Timestamp\"?,\"?User Count\"?,"),
        ("perf-analyzer", r"^\s*(Concurrency|Request Rate),Inferences/Second,"),
        ("model-analyzer", r"^\s*Model,(?=.*(Model Config Path|Throughput \(infer/sec\)|GPU UUID))"),
        ("aiperf", r"^\s*Metric,avg,min,max,"),
        ("perf-analyzer", r"\"experiments\"\s*:\s*\[\s*\{\s*\"experiment\"\s*:"),
        ("prometheus", r"\"resultType\"\s*:\s*\"(matrix|vector|scalar|string)\""),
        ("guidellm", r"\"guidellm_version\"|\"type_\"\s*:\s*\"generative_benchmark\""),
        ("vllm-bench", r"\"endpoint_type\"\s*:(?=[\s\S]*\"num_prompts\"\s*:)|\"mean_ttft_ms\"\s*:"),
        ("aiperf", r"\"(aiperf_version|telemetry_stats|per_combination_metrics)\"\s*:|\"credit_issued_ns\"\s*:"),
        ("inference-perf", r"\"benchmark_time_seconds\"\s*:|\"load_summary\"\s*:(?=[\s\S]*\"successes\"\s*:)"),
        ("optimum-benchmark",
         r"\"(load_model|load)\"\s*:\s*\{\s*\"(memory|latency)\"\s*:|\"scenario\"\s*:(?=[\s\S]*\"input_shapes\"\s*:)"),
    )
)  # fmt: skip


def recognised(path: Path) -> str | None:
    """Name of the format that this file is in, or None when nothing gives it away (or it is not text)."""
    try:
        with open(path, "rb") as stream:
            text = stream.read(_LOOK_AT).decode("utf-8-sig", "ignore")
    except OSError:
        return None
    return next((format for format, sign in _SIGNS if sign.search(text)), None)
