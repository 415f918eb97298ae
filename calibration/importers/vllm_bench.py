"""``vllm bench serve --save-result``: a load test of an LLM server, one JSON object a run.

Keys that end in ``_ms`` are in ms; the lists of ``--save-detailed`` are in seconds. ``request_rate`` is a number or the
word ``inf``: all requests at once, held back by ``max_concurrency`` where it is set, which makes a closed loop. A
percentile has a key only for the metrics that were asked for (``--percentile-metrics``; end-to-end latency, ``e2el``,
is not among them by default). Files written with ``--append-result`` hold several objects, behind each other or one a
line. Keys: vllm-project/vllm, vllm/benchmarks/serve.py.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from calibration.importers.json_fields import Fields, tidied
from calibration.importers.llm_load import about_unknown, documents_of, joined, one_of
from calibration.importers.options import ImportOptions
from calibration.importers.quantiles import percentile_name, raw_quantiles, statistics_of
from calibration.observation import Observation, Observations

TOOL: Final = "vllm bench serve"

MS_PER_S: Final = 1000.0

_METRICS: Final = ("ttft", "tpot", "itl", "e2el", "client_queue_time", "e2el_including_client_queue")
_KNOWN: Final = (
    *("date", "endpoint_type", "backend", "label", "model_id", "tokenizer_id", "num_prompts", "request_rate"),
    *("burstiness", "max_concurrency", "duration", "completed", "failed", "total_input_tokens", "total_output_tokens"),
    *("request_throughput", "request_goodput", "output_throughput", "total_token_throughput"),
    *("max_output_tokens_per_s", "max_concurrent_requests", "rtfx", "input_lens", "output_lens", "ttfts", "itls"),
    *("latencies", "start_times", "queue_times", "generated_texts", "errors"),
)
_NOTED: Final = (
    *("burstiness", "label", "max_concurrent_requests", "request_goodput", "output_throughput"),
    *("total_token_throughput", "max_output_tokens_per_s", "rtfx", "num_prompts", "duration", "endpoint_type"),
    *("backend", "max_concurrency"),
)


def read(files: Sequence[Path], options: ImportOptions) -> Observations:
    """What did ``vllm bench serve`` measure? A row for each run.

    Raises
    ------
    InputError
        With all problems of all files.
    """
    documents = documents_of(files)
    rows, unknown, warnings = [], set[str](), list[str]()
    for document in documents:
        run = document.root
        if not _looks_right(run):
            continue
        row = _row(run)
        if row.requests == 0:
            warnings.append(f"{document.place()}: no request was answered in this run, which is left out")
        else:
            rows.append(row)
        unknown |= {key for key in run.content if key not in _KNOWN and not _of_metric(key)}
    found = {
        "model": one_of(document.root.text("model_id") for document in documents),
        "date": one_of(_day(document.root.text("date")) for document in documents),
    }
    warnings += about_unknown("keys", unknown)
    return joined(rows, documents, options, tool=TOOL, found=found, warnings=warnings)


def _looks_right(run: Fields) -> bool:
    if "completed" in run or "duration" in run or "mean_ttft_ms" in run:
        return True
    if not run.document.problems:
        remedy = "Name the JSON that vllm bench serve --save-result wrote."
        run.problem("", "is no result of vllm bench serve: it has neither completed nor mean_ttft_ms", None, remedy)
    return False


def _row(run: Fields) -> Observation:
    completed, duration_s = run.count("completed"), run.number("duration")
    concurrency, rate_rps = _load(run)
    latencies_ms, ttfts_ms = _latencies_ms(run), _answered_ms(run, run.numbers("ttfts"))
    throughput = run.number("request_throughput")
    if throughput is None and completed and duration_s:
        throughput = completed / duration_s
    return Observation(
        concurrency=concurrency,
        rate_rps=rate_rps,
        requests=completed,
        failed=_failed(run, completed),
        throughput_rps=throughput,
        latency_ms=_statistics(run, "e2el") or statistics_of(latencies_ms),
        samples_ms=raw_quantiles(latencies_ms),
        prompt_tokens=_each(run, "total_input_tokens", "input_lens", completed),
        output_tokens=_each(run, "total_output_tokens", "output_lens", completed),
        ttft_ms=_statistics(run, "ttft") or statistics_of(ttfts_ms),
        tpot_ms=_statistics(run, "tpot"),
        itl_ms=_statistics(run, "itl"),
        notes=_notes(run),
        place=run.document.place(),
    )


def _load(run: Fields) -> tuple[float | None, float | None]:
    """Requests outstanding (closed loop), or requests sent per second; at a rate, max_concurrency is but a bound."""
    most, rate = run.number("max_concurrency", at_least=1), run.content.get("request_rate")
    if isinstance(rate, str) and rate.strip().lower() in ("inf", "infinity"):
        rate = math.inf
    if rate is None or rate == math.inf:
        return most, math.inf if most is None and rate is not None else None
    return None, run.number("request_rate")


def _failed(run: Fields, completed: int | None) -> int:
    failed = run.count("failed")
    if failed is None:  # older versions: what is missing of the prompts
        asked = run.count("num_prompts")
        failed = max(asked - completed, 0) if asked is not None and completed is not None else 0
    return failed


def _each(run: Fields, total: str, lengths: str, completed: int | None) -> float | None:
    """Tokens of each request, on average."""
    whole = run.number(total)
    if whole is not None and completed:
        return whole / completed
    listed = [length for length in run.numbers(lengths) if length > 0]
    return sum(listed) / len(listed) if listed else None


def _statistics(run: Fields, metric: str) -> dict[str, float]:
    names = {"mean": f"mean_{metric}_ms", "p50": f"median_{metric}_ms", "std": f"std_{metric}_ms"}
    for key in run.content:
        prefix, _, rest = key.partition("_")
        name = percentile_name(prefix) if prefix[:1] == "p" and rest == f"{metric}_ms" else None
        if name is not None:
            names[name] = key
    found = run.statistics(names, 1.0)
    return found if any(value > 0 for value in found.values()) else {}  # 0 everywhere: nothing was streamed


def _latencies_ms(run: Fields) -> list[float]:
    """End-to-end latency of each request: as listed, or its first token and the gaps after it, as older versions do."""
    listed = run.numbers("latencies")
    gaps = run.content.get("itls")
    if not listed and isinstance(gaps, list) and all(isinstance(each, list) for each in gaps):
        first = run.numbers("ttfts")
        whole = zip(first, gaps, strict=True) if len(first) == len(gaps) else ()
        listed = [start + math.fsum(each) for start, each in whole]
    return _answered_ms(run, listed)


def _answered_ms(run: Fields, seconds: Sequence[float]) -> list[float]:
    """A list of seconds, one a request, in ms, without the requests that failed."""
    errors = run.content.get("errors")
    if isinstance(errors, list) and len(errors) == len(seconds):
        seconds = [value for value, error in zip(seconds, errors, strict=True) if not error]
    return [tidied(value * MS_PER_S) for value in seconds if value > 0]


def _of_metric(key: str) -> bool:
    prefix, _, rest = key.partition("_")
    is_statistic = prefix in ("mean", "median", "std") or (prefix[:1] == "p" and prefix[1:].replace(".", "").isdigit())
    return is_statistic and rest.removesuffix("_ms") in _METRICS


def _notes(run: Fields) -> dict[str, Any]:
    queue_ms = _statistics(run, "client_queue_time")
    others = {key: value for key, value in run.rest(_KNOWN).items() if not _of_metric(key)}
    kept = {key: run.content[key] for key in _NOTED if run.content.get(key) is not None}
    return {**kept, **others, **({"client_queue_ms": queue_ms} if queue_ms else {})}


def _day(text: str | None) -> str | None:
    """``20261122-000000`` as 2026-11-22.

    >>> _day("20261122-000000"), _day("2026-11-22 10:00")
    ('2026-11-22', '2026-11-22')
    """
    if text is None:
        return None
    digits = text[:8]
    return f"{digits[:4]}-{digits[4:6]}-{digits[6:]}" if digits.isdigit() else text[:10]
