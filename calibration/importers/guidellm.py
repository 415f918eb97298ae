"""guidellm's JSON: one benchmark a load, a distribution a metric, of the requests that succeeded.

``request_latency`` is in seconds, keys that end in ``_ms`` are in ms. ``p001`` is the 0.1th percentile, ``p01`` the
1st, ``p999`` the 99.9th. ``inter_token_latency_ms`` leaves the first token out and is the time per output token here;
``time_per_output_token_ms`` divides the whole latency by all tokens, and is a note. Keys: guidellm 0.8.1,
benchmark/schemas/metrics.py, schemas/base/statistics.py, schemas/request_stats.py.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from calibration.importers.json_fields import Fields
from calibration.importers.llm_load import about_unknown, documents_of, joined, one_of
from calibration.importers.options import ImportOptions
from calibration.observation import Observation, Observations

MS_PER_S: Final = 1000.0

STATISTICS: Final = {"mean": "mean", "p50": "median", "min": "min", "max": "max", "std": "std_dev"}
"""Keys of a distribution by the names of :data:`calibration.observation.STATISTICS`."""

PERCENTILES: Final = {
    **{"p1": "p01", "p5": "p05", "p10": "p10", "p25": "p25", "p50": "p50"},
    **{"p75": "p75", "p90": "p90", "p95": "p95", "p99": "p99", "p999": "p999"},
}
"""Keys of its percentiles; the 0.1th (``p001``) has no name here and is left out."""

_KNOWN: Final = (
    *("request_totals", "requests_per_second", "request_concurrency", "request_latency", "time_to_first_token_ms"),
    *("time_per_output_token_ms", "inter_token_latency_ms", "output_tokens_per_second", "prompt_token_count"),
    *("output_token_count", "slo_attainment", "slo_determined_requests", "request_goodput", "tokens_per_second"),
    *("prompt_tokens_per_second", "total_token_count", "request_streaming_iterations_count", "text", "image"),
    *("iter_tokens_per_iteration", "output_tokens_wo_first_per_iteration", "output_tokens_per_iteration"),
    *("video", "audio", "request_type", "streaming_iterations_count", "output_tokens_without_first_per_second"),
)
_OPEN: Final = ("constant", "poisson")


def read(files: Sequence[Path], options: ImportOptions) -> Observations:
    """What did guidellm measure? A row for each benchmark of each report.

    Raises
    ------
    InputError
        With all problems of all files.
    """
    documents = documents_of(files)
    rows: list[Observation] = []
    unknown: set[str] = set()
    warnings: list[str] = []
    for document in documents:
        report = document.root
        if "benchmarks" not in report:
            if not document.problems:
                remedy = "Name the JSON that guidellm wrote (--output kind=json or --output-path)."
                document.problem("benchmarks", "is required: this is no report of guidellm", None, remedy)
            continue
        for benchmark in report.each("benchmarks"):
            row = _row(benchmark)
            if row.requests == 0:
                warnings.append(f"{row.place}: no request succeeded in this benchmark, which is left out")
            else:
                rows.append(row)
            unknown |= {key for key in benchmark.fields("metrics").content if key not in _KNOWN}
            warnings += _own_warnings(benchmark)
    roots = [document.root for document in documents]
    version = one_of(root.fields("metadata").text("guidellm_version") for root in roots)
    found = {"model": one_of(_model(root) for root in roots)}
    warnings += about_unknown("metrics", unknown)
    tool = " ".join(filter(None, ["guidellm", version]))
    return joined(rows, documents, options, tool=tool, found=found, warnings=warnings)


def _row(benchmark: Fields) -> Observation:
    metrics = benchmark.fields("metrics")
    totals = metrics.fields("request_totals")
    errored, incomplete = totals.count("errored") or 0, totals.count("incomplete") or 0
    concurrency, rate_rps = _load(benchmark)
    return Observation(
        concurrency=concurrency,
        rate_rps=rate_rps,
        requests=totals.count("successful"),
        failed=errored + incomplete,
        throughput_rps=_mean(metrics, "requests_per_second"),
        latency_ms=_times(metrics, "request_latency", MS_PER_S),
        prompt_tokens=_mean(metrics, "prompt_token_count"),
        output_tokens=_mean(metrics, "output_token_count"),
        ttft_ms=_times(metrics, "time_to_first_token_ms", 1.0),
        tpot_ms=_times(metrics, "inter_token_latency_ms", 1.0),
        notes=_notes(benchmark, errored, incomplete),
        place=benchmark.document.place(benchmark.path),
    )


def _load(benchmark: Fields) -> tuple[float | None, float | None]:
    """Requests outstanding, or sent per second, as the strategy has it.

    ``synchronous`` sends one after another, ``concurrent`` keeps its ``streams`` busy, ``throughput`` sends all at
    once or as many as ``max_concurrency`` allows, ``constant`` and ``poisson`` send at a ``rate``.
    """
    strategy = benchmark.fields("config").fields("strategy")
    kind = strategy.text("type_") or strategy.text("kind") or ""
    if kind == "synchronous":
        return 1.0, None
    if kind == "concurrent":
        streams = strategy.number("streams", at_least=1)
        return (streams if streams is not None else strategy.number("max_concurrency", at_least=1)), None
    if kind == "throughput":
        most = strategy.number("max_concurrency", at_least=1)
        return most, None if most is not None else math.inf
    rate = strategy.number("rate")
    if kind in _OPEN or rate is not None:
        return None, rate
    return _mean(benchmark.fields("metrics"), "request_concurrency"), None


def _times(metrics: Fields, key: str, factor: float) -> dict[str, float]:
    """A distribution of times in ms."""
    succeeded = metrics.fields(key).fields("successful")
    found = succeeded.statistics(STATISTICS, factor) | succeeded.fields("percentiles").statistics(PERCENTILES, factor)
    return found if any(value > 0 for value in found.values()) else {}  # 0 everywhere: nothing was streamed


def _mean(metrics: Fields, key: str) -> float | None:
    return metrics.fields(key).fields("successful").number("mean")


def _notes(benchmark: Fields, errored: int, incomplete: int) -> dict[str, Any]:
    metrics = benchmark.fields("metrics")
    strategy = benchmark.fields("config").fields("strategy").rest(())
    whole = _times(metrics, "time_per_output_token_ms", 1.0)
    others = {key: value for key, value in metrics.rest(_KNOWN).items() if not isinstance(value, dict)}
    told = {
        "strategy": strategy,
        "errored": errored,
        "incomplete": incomplete,
        "concurrency_mean": _mean(metrics, "request_concurrency"),
        "latency_per_output_token_ms": whole,
        "slo_attainment": metrics.number("slo_attainment"),
        **others,
    }
    return {key: value for key, value in told.items() if value}


def _own_warnings(benchmark: Fields) -> list[str]:
    """What guidellm itself warned of."""
    told = benchmark.content.get("warnings")
    said = [one.get("message") if isinstance(one, dict) else one for one in told] if isinstance(told, list) else []
    return [f"guidellm warned: {one}" for one in said if isinstance(one, str)]


def _model(report: Fields) -> str | None:
    config = report.fields("config")
    return (
        config.text("model") or config.fields("backend").text("model") or config.fields("backend_kwargs").text("model")
    )
