"""Triton's own metrics, scraped by Prometheus: what served requests met, in batches that the server formed.

Durations are counters in us to which each *request* adds the time of the execution it was part of, so that they are
divided by requests, not by executions (triton-inference-server/core, src/infer_stats.cc,
``UpdateSuccessWithDuration``); a request answered from the response cache adds nothing. ``nv_inference_count`` counts
items, ``nv_inference_exec_count`` executions: their ratio is the mean batch. The default metrics tell means alone;
percentiles are there with ``--metrics-config summary_latencies=true``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from calibration.importers.options import ImportOptions
from calibration.importers.prometheus_gpus import ENERGY, GAUGES, MEMORY, POWER, UTILISATION, attach_gpus
from calibration.importers.prometheus_series import Series
from calibration.importers.prometheus_windows import Server, Window, servers_of
from calibration.importers.quantiles import percentile_name
from calibration.observation import Observation

US_PER_MS: Final = 1000.0
US_PER_S: Final = 1e6

SUCCESS, COUNT, EXECUTIONS = "nv_inference_request_success", "nv_inference_count", "nv_inference_exec_count"
FAILURE, REQUEST = "nv_inference_request_failure", "nv_inference_request_duration_us"
QUEUE: Final = "nv_inference_queue_duration_us"
HITS: Final = "nv_cache_num_hits_per_model"
SUMMARY: Final = "nv_inference_request_summary_us"

EXECUTED: Final[Mapping[str, str]] = {
    "nv_inference_compute_input_duration_us": "input",
    "nv_inference_compute_infer_duration_us": "compute",
    "nv_inference_compute_output_duration_us": "output",
}
"""Durations of requests that were executed, by part."""

NEEDED: Final = (SUCCESS, COUNT, EXECUTIONS, "nv_inference_compute_infer_duration_us")
OTHERS: Final = (FAILURE, REQUEST, QUEUE, HITS, ENERGY, *EXECUTED)
KNOWN: Final = frozenset({*NEEDED, *OTHERS, SUMMARY, f"{SUMMARY}_sum", f"{SUMMARY}_count"})

WEIGHTED: Final = (
    "Triton's compute times are means over requests, its batch a mean over executions: where batches differ, "
    "the time is that of a somewhat larger batch"
)


def name_of(series: Series) -> str | None:
    """The name under which a series is kept; None when it is none of Triton's, or none that is used.

    >>> name_of(Series("nv_inference_count_total", {"model": "m"}, {}, ""))
    'nv_inference_count'
    """
    name = series.name.removesuffix("_total")
    if name not in KNOWN:
        return None
    return f"{name}:{series.labels['quantile']}" if "quantile" in series.labels else name


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
        quantiles = [name for name in server.series if name.startswith(f"{SUMMARY}:")]
        windows = server.windows(SUCCESS, NEEDED, OTHERS, (*GAUGES, *quantiles))
        rows += [_row(server, window, options) for window in windows]
    if any(row.merged for row in rows):
        warnings.append(WEIGHTED)
    if not any("p99" in row.latency_ms for row in rows):
        words = "they are in the metrics with --metrics-config summary_latencies=true"
        warnings.append(f"no percentiles, means alone: {words}")
    return rows, warnings


def _row(server: Server, window: Window, options: ImportOptions) -> Observation:
    increase = window.increase
    success, items, executions = increase[SUCCESS], increase[COUNT], increase[EXECUTIONS]
    failed = increase.get(FAILURE, 0.0)
    executed = success - increase.get(HITS, 0.0)
    parts = {}
    if QUEUE in increase:
        parts["queue"] = increase[QUEUE] / success / US_PER_MS
    if executed > 0:
        parts |= {part: increase[name] / executed / US_PER_MS for name, part in EXECUTED.items() if name in increase}
    merged = 0 < executions < executed
    together = executions if merged else executed
    energy = increase.get(ENERGY)
    return Observation(
        batch=items / together if together > 0 else 1.0,
        merged=merged,
        concurrency=increase[REQUEST] / US_PER_S / window.seconds if REQUEST in increase else None,
        rate_rps=(success + failed) / window.seconds,
        model_instances=options.model_instances or 1,
        max_batch_size=options.max_batch_size,
        requests=round(success),
        failed=round(failed),
        throughput_rps=success / window.seconds,
        latency_ms=dict(_latency(window, success)),
        parts_ms=parts,
        utilisation=window.mean.get(UTILISATION),
        power_w=window.mean.get(POWER),
        memory_bytes=window.mean.get(MEMORY),
        energy_j=None if energy is None else energy / success,
        notes=_notes(server, window, items / executed if executed > 0 else None),
        place=server.file,
    )


def _latency(window: Window, success: float) -> Iterator[tuple[str, float]]:
    if REQUEST in window.increase:
        yield "mean", window.increase[REQUEST] / success / US_PER_MS
    for name, value in window.mean.items():
        share = name.removeprefix(f"{SUMMARY}:")
        statistic = percentile_name(str(round(100 * float(share), 6))) if share != name else None
        if statistic is not None:
            yield statistic, value / US_PER_MS


def _notes(server: Server, window: Window, items: float | None) -> dict[str, Any]:
    notes: dict[str, Any] = {"labels": dict(server.labels), "seconds": window.seconds}
    if items is not None and items > 1:
        notes["items_per_request"] = items
    return notes
