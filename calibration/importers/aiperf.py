"""AIPerf and its older sibling genai-perf: load tests of LLM servers.

One reader for both JSON summaries (genai-perf's metrics lack ``count`` and ``sum``), AIPerf's CSV, its JSONL of single
requests and the aggregate of a sweep. Their ``inter_token_latency`` is (latency - TTFT) / (output tokens - 1) of each
request, which is the time per output token here. Shapes: ai-dynamo/aiperf, src/aiperf/common/models/export_models.py;
triton-inference-server/perf_analyzer, genai-perf/genai_perf/export_data/json_exporter.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, Final

from calibration.importers.aiperf_load import load_of
from calibration.importers.aiperf_metrics import (
    COUNT,
    MEMORY,
    POWER,
    RATE,
    SHARE,
    TOKENS,
    Units,
    mean_of,
    other_metrics,
    statistic_of,
    times_ms,
)
from calibration.importers.aiperf_tables import SAMPLES, from_csv, from_records, from_sweep, is_csv, is_record, is_sweep
from calibration.importers.json_fields import Document, Fields
from calibration.importers.llm_load import documents_of, joined, one_of
from calibration.importers.options import ImportOptions
from calibration.observation import Observation, Observations

_NOTED: Final = ("benchmark_id", "schema_version", "start_time", "end_time", "error_summary", "goodput")


def read(files: Sequence[Path], options: ImportOptions) -> Observations:
    """What did AIPerf or genai-perf measure? A row for each run, and for each combination of a sweep.

    Raises
    ------
    InputError
        With all problems of all files: a metric without a unit or in one that is not known, a run that was cancelled
        or cut short (unless ``allow_incomplete``).
    """
    documents = list(_summaries(files))
    rows: list[Observation] = []
    warnings: list[str] = []
    for document in documents:
        run = document.root
        if not _looks_right(run):
            continue
        warnings += _about_completeness(run, options)
        rows.append(_row(run))
    roots = [document.root for document in documents]
    version = one_of(run.text("aiperf_version") for run in roots)
    older = any("perf_analyzer" in run.fields("input_config") for run in roots)
    seeds = {run.fields("run_info").content.get("random_seed") for run in roots} - {None}
    found = {
        "model": one_of(_model(run) for run in roots),
        "device": one_of(_device(run) for run in roots),
        "date": one_of((run.text("start_time") or "")[:10] for run in roots),
        "seed": seeds.pop() if len(seeds) == 1 else None,
    }
    tool = "genai-perf" if older else " ".join(filter(None, ["AIPerf", version]))
    answered = [row for row in rows if row.requests != 0]
    return joined(answered, documents, options, tool=tool, found=found, warnings=warnings)


def _summaries(files: Sequence[Path]) -> Iterator[Document]:
    """Each file as one or several documents in the shape of the JSON summary."""
    tables = [file for file in files if is_csv(file)]
    yield from (from_csv(file) for file in tables)
    documents = documents_of([file for file in files if file not in tables])
    for are_records, group in groupby(documents, key=lambda document: (document.file, is_record(document))):
        if are_records[1]:
            yield from_records(list(group))
        else:
            for document in group:
                yield from from_sweep(document) if is_sweep(document) else [document]


def _looks_right(run: Fields) -> bool:
    if any(key in run for key in ("request_latency", "request_throughput", "time_to_first_token", "request_count")):
        return True
    if not run.document.problems:
        remedy = "Name profile_export_aiperf.json, or another file that the tool wrote of a whole run."
        run.problem("", "is no summary of AIPerf or genai-perf: it has no request_latency", None, remedy)
    return False


def _about_completeness(run: Fields, options: ImportOptions) -> list[str]:
    """Problems, or warnings where they are allowed, of a run that was cancelled or cut short."""
    broken = [key for key, bad in (("was_cancelled", True), ("is_complete", False)) if run.content.get(key) is bad]
    if not broken:
        return []
    reason = run.text("incomplete_reason")
    what = "was cancelled" if broken[0] == "was_cancelled" else "is incomplete"
    because = f" ({reason})" if reason else ""
    if options.allow_incomplete:
        return [f"{run.document.place()}: the run {what}{because}; its figures are of what was measured until then"]
    remedy = "Measure again, or take what was measured with --allow-incomplete."
    run.problem(broken[0], f"must not be of a run that {what}{because}", str(run.content[broken[0]]).lower(), remedy)
    return []


def _row(run: Fields) -> Observation:
    load = load_of(run)
    requests, failed = mean_of(run, "request_count", COUNT), mean_of(run, "error_request_count", COUNT)
    power_w, memory_bytes, utilisation = _telemetry(run)
    samples = run.fields("request_latency").content.get(SAMPLES, ())
    return Observation(
        concurrency=load.concurrency,
        rate_rps=load.rate_rps,
        requests=round(requests) if requests is not None else None,
        failed=round(failed or 0),
        throughput_rps=mean_of(run, "request_throughput", RATE),
        latency_ms=times_ms(run, "request_latency"),
        samples_ms=tuple(samples),
        prompt_tokens=mean_of(run, "input_sequence_length", TOKENS),
        output_tokens=mean_of(run, "output_sequence_length", TOKENS),
        ttft_ms=times_ms(run, "time_to_first_token"),
        tpot_ms=times_ms(run, "inter_token_latency"),
        memory_bytes=memory_bytes,
        utilisation=utilisation,
        power_w=power_w,
        notes=_notes(run, load.bound),
        place=run.document.place(),
    )


def _notes(run: Fields, bound: float | None) -> dict[str, Any]:
    kept: dict[str, Any] = {key: run.content[key] for key in _NOTED if run.content.get(key)}
    metrics = other_metrics(run)
    info = run.fields("run_info").rest(())
    return {
        **kept,
        **({"max_concurrency": bound} if bound is not None else {}),
        **({"run_info": info} if info else {}),
        **({"metrics": metrics} if metrics else {}),
    }


def _model(run: Fields) -> str | None:
    config = run.fields("input_config")
    names = config.content.get("model_names") or config.fields("endpoint").content.get("model_names")
    if names is None and isinstance(config.content.get("models"), dict):
        names = [item.get("name") for item in config.content["models"].get("items", ()) if isinstance(item, dict)]
    return one_of(str(name) for name in names) if isinstance(names, list) else config.text("model")


def _gpus(run: Fields) -> Iterator[Fields]:
    """AIPerf's GPUs, each with its metrics."""
    endpoints = run.fields("telemetry_data").fields("endpoints")
    for endpoint in endpoints.content:
        gpus = endpoints.fields(endpoint).fields("gpus")
        yield from (gpus.fields(gpu) for gpu in gpus.content)


def _device(run: Fields) -> str | None:
    names = [gpu.text("gpu_name") or "GPU" for gpu in _gpus(run)]
    counted = [f"{names.count(name)} x {name}" if names.count(name) > 1 else name for name in dict.fromkeys(names)]
    return ", ".join(counted) or None


def _telemetry(run: Fields) -> tuple[float | None, float | None, float | None]:
    """Mean power and most memory of all GPUs together, and their mean utilisation."""
    power: list[float | None] = []
    memory: list[float | None] = []
    busy: list[float | None] = []
    for gpu in _gpus(run):
        metrics = gpu.fields("metrics")
        power.append(mean_of(metrics, "gpu_power_usage", POWER))
        memory.append(statistic_of(metrics, "gpu_memory_used", "max", MEMORY))
        busy.append(mean_of(metrics, "gpu_utilization", SHARE))
    for values, tag, statistic, units in (
        (power, "gpu_power_usage", "avg", POWER),
        (memory, "gpu_memory_used", "max", MEMORY),
        (busy, "gpu_utilization", "avg", SHARE),
    ):
        values += _of_each_gpu(run.fields("telemetry_stats").fields(tag), statistic, units)
    shares = [value for value in busy if value is not None]
    return _sum(power), _sum(memory), sum(shares) / len(shares) if shares else None


def _of_each_gpu(metric: Fields, statistic: str, units: Units) -> Iterator[float | None]:
    """genai-perf's telemetry: one unit, and the statistics of each GPU beside it."""
    for name, told in metric.content.items():
        if isinstance(told, dict):
            with_unit = {name: {"unit": metric.content.get("unit"), **told}}
            yield statistic_of(Fields(metric.document, with_unit, metric.path), name, statistic, units)


def _sum(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None
