"""inference-perf's ``stage_<n>_lifecycle_metrics.json``: one stage of load a file, everything in seconds.

The 50th percentile's key is ``median``, the others are ``p90``, ``p99.9``. ``time_per_output_token`` leaves the first
token out; ``normalized_time_per_output_token`` is the whole latency over all tokens, and is a note. Keys:
inference_perf 0.7.0, reportgen/base.py.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from calibration.importers.json_fields import Fields
from calibration.importers.llm_load import documents_of, joined
from calibration.importers.options import ImportOptions
from calibration.importers.quantiles import percentile_name
from calibration.observation import Observation, Observations

TOOL: Final = "inference-perf"

MS_PER_S: Final = 1000.0

_STAGE: Final = re.compile(r"stage_(\d+)")


def read(files: Sequence[Path], options: ImportOptions) -> Observations:
    """What did inference-perf measure? A row for each stage, in the order of their numbers.

    Raises
    ------
    InputError
        With all problems of all files.
    """
    documents = sorted(documents_of(files), key=lambda document: _stage(document.file))
    rows: list[Observation] = []
    warnings: list[str] = []
    for document in documents:
        stage = document.root
        if "successes" not in stage:
            if not document.problems:
                remedy = "Name a stage_<n>_lifecycle_metrics.json."
                document.problem("successes", "is required: this is no stage of inference-perf", None, remedy)
            continue
        row = _row(stage)
        if row.requests == 0:
            warnings.append(f"{document.place()}: no request succeeded in this stage, which is left out")
        else:
            rows.append(row)
    return joined(rows, documents, options, tool=TOOL, found={}, warnings=warnings)


def _stage(file: str) -> int:
    numbers = _STAGE.findall(Path(file).name)
    return int(numbers[-1]) if numbers else 0


def _row(stage: Fields) -> Observation:
    successes, load = stage.fields("successes"), stage.fields("load_summary")
    latency, throughput = successes.fields("latency"), successes.fields("throughput")
    requests = successes.count("count")
    asked = load.number("requested_rate")
    rate = asked if asked else None  # 0: a closed loop, or a trace
    concurrency = load.number("concurrency", at_least=1) or stage.fields("config").number("concurrency", at_least=1)
    return Observation(
        concurrency=concurrency if rate is None else None,
        rate_rps=rate,
        requests=requests,
        failed=stage.fields("failures").count("count") or 0,
        throughput_rps=throughput.number("requests_per_sec"),
        latency_ms=_times(latency, "request_latency"),
        prompt_tokens=_each(successes, ("prompt_tokens", "prompt_len"), "input_tokens_per_sec"),
        output_tokens=_each(successes, ("output_len", "output_tokens"), "output_tokens_per_sec"),
        ttft_ms=_times(latency, "time_to_first_token"),
        tpot_ms=_times(latency, "time_per_output_token"),
        itl_ms=_times(latency, "inter_token_latency"),
        notes=_notes(stage),
        place=stage.document.place(),
    )


def _times(latency: Fields, key: str) -> dict[str, float]:
    """A summary of times in ms."""
    summary = latency.fields(key)
    names = {name: name for name in ("mean", "min", "max")}
    names |= {name: given for given in summary.content if (name := percentile_name(given)) is not None}
    names |= {"p50": "median"} if "median" in summary else {}
    return summary.statistics(names, MS_PER_S)


def _each(successes: Fields, summaries: Sequence[str], rate: str) -> float | None:
    """Tokens of each request on average: as told, or as the rates of tokens and requests have it."""
    for key in summaries:
        mean = successes.fields(key).number("mean") if isinstance(successes.content.get(key), dict) else None
        if mean is not None:
            return mean
    throughput = successes.fields("throughput")
    tokens, requests = throughput.number(rate), throughput.number("requests_per_sec")
    return tokens / requests if tokens is not None and requests else None


def _notes(stage: Fields) -> dict[str, Any]:
    load = stage.fields("load_summary")
    whole = _times(stage.fields("successes").fields("latency"), "normalized_time_per_output_token")
    told = {
        "stage": _stage(stage.document.file),
        "achieved_rate_rps": load.number("achieved_rate"),
        "schedule_delay_ms": _times(load, "schedule_delay"),
        "benchmark_time_s": stage.number("benchmark_time_seconds"),
        "latency_per_output_token_ms": whole,
        "retries": stage.content.get("retries"),
        **stage.rest(("benchmark_time_seconds", "load_summary", "successes", "failures", "retries")),
    }
    return {key: value for key, value in told.items() if value not in (None, {})}
