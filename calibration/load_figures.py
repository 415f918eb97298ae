"""What one load of a served model showed: latencies, throughput, parts, and whether the figures can be trusted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from calibration.observation import Observation
from calibration.stability import MEANINGFUL, raw_quantiles, shaky, statistics_ms
from calibration.token_stream import token_times
from calibration.triton_statistics import EXECUTIONS

if TYPE_CHECKING:
    from calibration.bodies import Service
    from calibration.endpoint_settings import EndpointSettings, Load
    from calibration.load_generator import Exchange, Run
    from calibration.token_stream import TokenTimes
    from calibration.triton_statistics import ModelStatistics

LIMITED: Final = "generator_limited"
"""Note of a row: this program, not the server, was the limit."""

BUSY: Final = 0.85
"""Share of a processor from which on this program is the limit."""

LATE_MS: Final = 1.0
LATE_SHARE: Final = 0.1
"""A generator later than both, at its 99th percentile, distorts what it measures."""

_BEHIND: Final = 0.05
"""Answers that take this share of an open loop's duration longer than it: the server did not keep up."""

_RECONNECTING: Final = 0.05
"""Share of requests that needed a connection of their own."""

_WHOLE: Final = 0.5
"""Share of answers that came at once: the server does not stream, or something before it gathers what it streams."""

_MOST_COMPLAINTS: Final = 5


@dataclass(frozen=True)
class Figures:
    """The row of one load, and sentences about what could mislead."""

    row: Observation | None
    """None when not one request was answered."""
    warnings: tuple[str, ...] = ()
    unreachable: bool = False
    """Whether the server did not react at all."""


def figures_of(
    load: Load, run: Run, settings: EndpointSettings, service: Service, counted: ModelStatistics | None
) -> Figures:
    """What did this load show?

    Parameters
    ----------
    load, run
        What was to be sent, and what happened.
    settings, service
        What is known of the server.
    counted
        What the server counted meanwhile.
    """
    complaints = [service.complaint(each.answer) for each in run.exchanges]
    good = [each for each, complaint in zip(run.exchanges, complaints, strict=True) if not complaint]
    failures = Counter(complaint for complaint in complaints if complaint)
    warnings = [f"{load}: {words}" for words in _warnings(load, run, good, failures)]
    if not good:
        return Figures(None, tuple(warnings), unreachable=all(not each.answer.status for each in run.exchanges))
    latencies = [each.latency_ms for each in good]
    statistics = statistics_ms(latencies)
    late = _lateness_ms(run) if load.rate_rps is not None else {}
    limited = _limited(run, late, statistics["p50"])
    if limited:
        warnings.append(f"{load}: {limited}")
    if run.opened > _RECONNECTING * len(good) and run.opened > settings.warm_up:
        words = "the server closes connections: latencies include opening new ones"
        warnings.append(f"{load}: {words} ({run.opened} for {len(good)} requests)")
    timed = [(each, times) for each in good if (times := token_times(each.answer))] if service.streams else []
    whole = sum(times.whole for _, times in timed)
    if timed and all(times.prompt_tokens is None for _, times in timed):
        words = "the server does not count tokens: those of prompts are the words sent, those of answers the pieces"
        warnings.append(f"{words} in which they came")
    if whole > _WHOLE * len(good):
        words = f"{whole} of {len(good)} answers came whole, not token by token: TTFT is their latency"
        warnings.append(f"{load}: {words}")
    notes: dict[str, Any] = {
        "items_per_request": load.batch,
        "generator_cpu_share": round(run.cpu_share, 3),
        **{f"late_{name}_ms": round(value, 3) for name, value in late.items()},
        **({LIMITED: True} if limited else {}),
        **({"max_queue_delay_ms": settings.max_queue_delay_ms} if settings.max_queue_delay_ms is not None else {}),
        **({"arrivals": settings.arrivals} if load.rate_rps is not None else {}),
        **({"failures": dict(failures.most_common(_MOST_COMPLAINTS))} if failures else {}),
        **_counted_notes(counted),
    }
    formed = None if counted is None else counted.mean_batch
    merges = formed is not None and settings.max_batch_size is not None
    row = Observation(
        batch=float(formed if merges and formed is not None else load.batch),
        merged=merges and load.concurrency != 1,
        concurrency=load.concurrency,
        rate_rps=load.rate_rps,
        model_instances=settings.model_instances or 1,
        max_batch_size=settings.max_batch_size,
        requests=len(good),
        failed=len(run.exchanges) - len(good),
        throughput_rps=throughput_rps(load, run, good),
        latency_ms=statistics,
        parts_ms={} if counted is None else counted.parts_ms(statistics["mean"]),
        samples_ms=raw_quantiles(latencies),
        notes=notes,
        **(_token_figures(timed, settings) if timed else {}),
    )
    return Figures(row, tuple(warnings))


def throughput_rps(load: Load, run: Run, good: Sequence[Exchange]) -> float:
    """How many requests were answered per second?

    Notes
    -----
    Open loop: answers over the time from the start until the last of them. Closed loop: the slope of the line through
    (time, answers so far) over the middle 80 % of the answers, so that neither its beginning, nor its end, nor the
    batches in which answers come bias it.
    """
    import numpy as np

    ends_s = np.sort(np.array([each.answer.end_ns - run.start_ns for each in good])) / 1e9
    low, high = len(ends_s) // 10, len(ends_s) - len(ends_s) // 10
    if load.concurrency is None or high - low < 10 or ends_s[high - 1] <= ends_s[low]:
        return float(len(ends_s) / max(ends_s[-1], 1e-9))
    slope: float = np.polyfit(ends_s[low:high], np.arange(low, high), 1)[0]
    return float(slope)


def _lateness_ms(run: Run) -> dict[str, float]:
    """How late requests were sent: the generator's own part of every latency."""
    import numpy as np

    late = np.array([(each.sent_ns - each.due_ns) / 1e6 for each in run.exchanges if each.sent_ns])
    if not len(late):
        return {}
    return {"p50": float(np.percentile(late, 50)), "p99": float(np.percentile(late, 99)), "max": float(late.max())}


def _limited(run: Run, late_ms: Mapping[str, float], p50_ms: float) -> str:
    """Why this program and not the server was the limit; nothing where it was not."""
    advice = "use a faster or a quieter machine for it, or lower the load"
    if run.cpu_share > BUSY:
        return f"this program used {run.cpu_share:.0%} of a processor and was the limit, not the server: {advice}"
    late = late_ms.get("p99", 0.0)
    if late > max(LATE_MS, LATE_SHARE * p50_ms):
        return f"requests were sent up to {late:.3g} ms late (p99) by this program, which counts as latency: {advice}"
    return ""


def _warnings(load: Load, run: Run, good: Sequence[Exchange], failures: Mapping[str, int]) -> list[str]:
    said = []
    if failures:
        first = next(iter(failures))
        stopped = f"; {run.stopped}" if run.stopped else ""
        said.append(f"{sum(failures.values())} of {len(run.exchanges)} requests failed ({first}){stopped}")
    if not good:
        return said
    few = shaky(len(good))
    if few:
        needed = MEANINGFUL[few[0]]
        said.append(f"{', '.join(few)} of {len(good)} requests is little more than the slowest: {needed} show it")
    if load.rate_rps is not None and _falls_behind(run, good):
        words = f"the server answered only {throughput_rps(load, run, good):.4g} requests/s"
        said.append(f"{words} of those sent: latency grows with the duration")
    return said


def _falls_behind(run: Run, good: Sequence[Exchange]) -> bool:
    """Whether answers were still coming long after the last request of an open loop: a queue had built up."""
    tenth = sorted(each.latency_ms for each in good[: max(len(good) // 10, 1)])
    drain_ms = (max(each.answer.end_ns for each in good) - run.stop_ns) / 1e6
    return drain_ms > max(_BEHIND * (run.stop_ns - run.start_ns) / 1e6, 3 * tenth[len(tenth) // 2])


def _counted_notes(counted: ModelStatistics | None) -> dict[str, Any]:
    """What the server's statistics tell of the executions behind a row."""
    if counted is None or not counted.executions:
        return {}
    executions = counted.executions_note()
    found: dict[str, Any] = {"mean_batch": counted.mean_batch}
    return {**found, EXECUTIONS: executions} if executions else found


def _token_figures(timed: Sequence[tuple[Exchange, TokenTimes]], settings: EndpointSettings) -> dict[str, Any]:
    """Times of tokens over all requests; ITL over every gap between two tokens.

    A server that does not count tokens is taken to have read as many as words were sent.
    """
    prompts = [times.prompt_tokens for _, times in timed if times.prompt_tokens is not None]
    tpot = [times.tpot_ms for _, times in timed if times.tpot_ms is not None]
    gaps = [gap for _, times in timed for gap in times.itl_ms]
    return {
        "prompt_tokens": sum(prompts) / len(prompts) if prompts else float(settings.prompt_tokens),
        "output_tokens": sum(times.output_tokens for _, times in timed) / len(timed),
        "ttft_ms": statistics_ms([times.ttft_ms(each.due_ns) for each, times in timed]),
        "tpot_ms": statistics_ms(tpot) if tpot else {},
        "itl_ms": statistics_ms(gaps) if gaps else {},
    }
