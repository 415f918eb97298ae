"""vLLM's own metrics, scraped by Prometheus: what requests to an LLM met, in windows of time.

Times are histograms in s. A mean is exact, from the histogram's sum and count; a percentile is known no better than
the bucket it lies in. Names changed over time: ``time_per_output_token_seconds`` became
``inter_token_latency_seconds``, ``gpu_cache_usage_perc`` became ``kv_cache_usage_perc`` (vllm-project/vllm,
docs/design/metrics.md and vllm/v1/metrics/loggers.py); where ``vllm:`` may not stand in a name, it is ``vllm_``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from calibration.importers.options import ImportOptions
from calibration.importers.prometheus_gpus import ENERGY, GAUGES, MEMORY, POWER, UTILISATION, attach_gpus
from calibration.importers.prometheus_series import Series
from calibration.importers.prometheus_windows import Server, Window, servers_of
from calibration.importers.quantiles import histogram_quantile
from calibration.observation import Observation

MS_PER_S: Final = 1000.0

END_TO_END: Final = "e2e_request_latency_seconds"
FIELDS: Final[Mapping[str, str]] = {
    END_TO_END: "latency_ms",
    "time_to_first_token_seconds": "ttft_ms",
    "inter_token_latency_seconds": "itl_ms",
    "request_time_per_output_token_seconds": "tpot_ms",
}
"""Histogram to what it tells."""

PARTS: Final[Mapping[str, str]] = {"request_queue_time_seconds": "queue", "request_inference_time_seconds": "compute"}
NOTED: Final = ("request_prefill_time_seconds", "request_decode_time_seconds")
HISTOGRAMS: Final = (*FIELDS, *PARTS, *NOTED)

RENAMED: Final[Mapping[str, str]] = {
    "time_per_output_token_seconds": "inter_token_latency_seconds",
    "gpu_cache_usage_perc": "kv_cache_usage_perc",
    "gpu_prefix_cache_queries": "prefix_cache_queries",
    "gpu_prefix_cache_hits": "prefix_cache_hits",
}
RUNNING, WAITING, CACHE = "num_requests_running", "num_requests_waiting", "kv_cache_usage_perc"
PROMPT, GENERATED = "prompt_tokens", "generation_tokens"
COUNTERS: Final = (PROMPT, GENERATED, "num_preemptions", "prefix_cache_queries", "prefix_cache_hits", "request_success")

COUNT: Final = f"{END_TO_END}_count"
NEEDED: Final = (COUNT, f"{END_TO_END}_sum")
SHARES: Final[Mapping[str, float]] = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99}

_PREFIX: Final = re.compile(r"(?:kserve_)?vllm[:_]")
_PLAIN: Final = frozenset({RUNNING, WAITING, CACHE, *COUNTERS})
_OF_HISTOGRAM: Final = re.compile(rf"({'|'.join(HISTOGRAMS)})_(bucket|sum|count)")


def name_of(series: Series) -> str | None:
    """The name under which a series is kept; None when it is none of vLLM's, or none that is used.

    >>> name_of(Series("vllm:time_per_output_token_seconds_bucket", {"le": "0.05"}, {}, ""))
    'inter_token_latency_seconds_bucket:0.05'
    """
    match = _PREFIX.match(series.name)
    if match is None:
        return None
    name = series.name[match.end() :].removesuffix("_total")
    for old, new in RENAMED.items():
        if name == old or name.startswith(f"{old}_"):
            name = new + name[len(old) :]
    found = _OF_HISTOGRAM.fullmatch(name)
    if found is None:
        return name if name in _PLAIN else None
    return f"{name}:{series.labels['le']}" if found[2] == "bucket" and "le" in series.labels else name


def is_vllm(series: Series) -> bool:
    """Whether this is a metric of vLLM, known or not."""
    return _PREFIX.match(series.name) is not None


def servers_in(series: Sequence[Series]) -> list[Server]:
    """Which models on which servers do these series tell of?"""
    return servers_of((name, one) for one in series if (name := name_of(one)) is not None)


def observations(
    servers: Sequence[Server], series: Sequence[Series], options: ImportOptions
) -> tuple[list[Observation], list[str]]:
    """A row for each window of each server, and what must be said of them."""
    warnings = attach_gpus(servers, series)
    rows = []
    for server in servers:
        histograms = [name for name in server.series if _OF_HISTOGRAM.match(name)]
        windows = server.windows(COUNT, NEEDED, (*COUNTERS, ENERGY, *histograms), (RUNNING, WAITING, CACHE, *GAUGES))
        rows += [_row(server, window, options) for window in windows]
    widths = [width for row in rows for width in row.notes.get("p99_bucket_share", {}).values()]
    if widths:
        words = f"a 99th percentile may be off by up to {max(widths):.0%} of itself, the width of its bucket"
        warnings.append(f"percentiles are read from histograms: {words}")
    beyond = sorted({field for row in rows for field in row.notes.get("beyond_the_buckets", ())})
    if beyond:
        warnings.append(f"some 99th percentiles lie beyond the last bucket and are not known: {', '.join(beyond)}")
    return rows, warnings


def _row(server: Server, window: Window, options: ImportOptions) -> Observation:
    increase = window.increase
    requests = increase[COUNT]
    times: dict[str, dict[str, float]] = {}
    widths: dict[str, float] = {}
    beyond: list[str] = []
    for name, field in FIELDS.items():
        times[field] = _statistics(window, name, widths, beyond)
    parts = {part: mean for name, part in PARTS.items() if (mean := _mean_ms(window, name)) is not None}
    notes: dict[str, Any] = {"labels": dict(server.labels), "seconds": window.seconds}
    notes |= {name: window.mean[name] for name in (RUNNING, WAITING, CACHE) if name in window.mean}
    notes |= {f"{name}_ms": mean for name in NOTED if (mean := _mean_ms(window, name)) is not None}
    notes |= {name: increase[name] for name in COUNTERS[2:5] if name in increase}
    notes |= {"p99_bucket_share": widths} if widths else {}
    notes |= {"beyond_the_buckets": beyond} if beyond else {}
    energy = increase.get(ENERGY)
    return Observation(
        concurrency=_outstanding(window),
        rate_rps=requests / window.seconds,
        model_instances=options.model_instances or 1,
        max_batch_size=options.max_batch_size,
        requests=round(requests),
        throughput_rps=requests / window.seconds,
        latency_ms=times["latency_ms"],
        ttft_ms=times["ttft_ms"],
        tpot_ms=times["tpot_ms"],
        itl_ms=times["itl_ms"],
        parts_ms=parts,
        prompt_tokens=options.prompt_tokens or _per_request(window, PROMPT),
        output_tokens=options.output_tokens or _per_request(window, GENERATED),
        utilisation=window.mean.get(UTILISATION),
        power_w=window.mean.get(POWER),
        memory_bytes=window.mean.get(MEMORY),
        energy_j=None if energy is None else energy / requests,
        notes=notes,
        place=server.file,
    )


def _outstanding(window: Window) -> float:
    """Mean number of requests in the server: as it counted them, else by Little's law."""
    if RUNNING in window.mean:
        return window.mean[RUNNING] + window.mean.get(WAITING, 0.0)
    return window.increase[f"{END_TO_END}_sum"] / window.seconds


def _per_request(window: Window, name: str) -> float | None:
    return window.increase[name] / window.increase[COUNT] if window.increase.get(name) else None


def _mean_ms(window: Window, name: str) -> float | None:
    total, count = window.increase.get(f"{name}_sum"), window.increase.get(f"{name}_count")
    return None if total is None or not count else MS_PER_S * total / count


def _statistics(window: Window, name: str, widths: dict[str, float], beyond: list[str]) -> dict[str, float]:
    mean = _mean_ms(window, name)
    found = {} if mean is None else {"mean": mean}
    prefix = f"{name}_bucket:"
    buckets = sorted(
        (float(key.removeprefix(prefix)), value) for key, value in window.increase.items() if key.startswith(prefix)
    )
    if not buckets:
        return found
    bounds, counts = [bound for bound, _ in buckets], [count for _, count in buckets]
    for statistic, share in SHARES.items():
        value = histogram_quantile(bounds, counts, share)
        if value is not None and value[0] > 0:
            found[statistic] = MS_PER_S * value[0]
            if statistic == "p99":
                widths[name] = value[1] / value[0]
        elif statistic == "p99" and counts[-1] > 0:
            beyond.append(name)
    return found
