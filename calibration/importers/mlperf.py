"""MLPerf LoadGen: ``mlperf_log_summary.txt`` of the scenarios SingleStream, MultiStream, Server and Offline.

Labels are matched wherever they stand: of the rates a server was sent and answered, either may head the log. Times
are ns. What each scenario tells: one sample after another, or one query of several samples after another, gives the
time of an execution; Server gives latencies at a Poisson load; Offline, where all samples are there at once, gives
the throughput alone, since its latencies are times in the queue. Shape: mlcommons/inference, loadgen/results.cc.

Rates and latencies are those of the whole system that was submitted, however many accelerators it has.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

from calibration.importers.columns import as_number, number_or_text
from calibration.importers.options import ImportOptions, option_problem
from calibration.importers.quantiles import percentile_name
from calibration.observation import Observation, Observations
from calibration.problems import InputError, Problem
from calibration.source import printable

NS_PER_MS: Final = 1e6
MS_PER_S: Final = 1000.0

LARGEST_BYTES: Final = 1 << 22
"""Larger files are none of LoadGen's summaries, which have some 60 lines."""

SAMPLES_OF_A_QUERY: Final = 8
"""Samples of a MultiStream query since MLPerf Inference 2.0, where the log does not tell."""

SCENARIOS: Final = ("SingleStream", "MultiStream", "Server", "Offline")

_QUERY: Final = "samples per query"
_LINE: Final = re.compile(r"\s*([^:]*[^:\s])\s*:\s*(.*\S)\s*")
_KINDS: Final = {
    "latency": "latency_ms",
    "first token latency": "ttft_ms",
    "time to output token": "tpot_ms",
    "time per output token": "tpot_ms",
}
_STATISTICS: Final = {"min": "min", "max": "max", "mean": "mean"}
_TIME: Final = re.compile(
    r"(?:(min|max|mean)|(\d+(?:\.\d+)?)(?:th)? percentile) "
    rf"({'|'.join(_KINDS)}) \(ns\)"
)
_NOTES: Final = ("sut name", "mode", "result is", "tokens per second", "qps w/o loadgen overhead")


class _Value(NamedTuple):
    text: str
    line: int


@dataclass
class _Log:
    """The labels of one summary, in lower case, and what is wrong with their values."""

    file: str
    results: dict[str, _Value] = field(default_factory=dict)
    """By label; of a label that comes twice, the first."""
    parameters: dict[str, Any] = field(default_factory=dict)
    """What the test was asked for."""
    problems: list[Problem] = field(default_factory=list)

    def text(self, label: str) -> str | None:
        found = self.results.get(label)
        return None if found is None else found.text

    def number(self, label: str, *, above: float = 0.0) -> float | None:
        """A value as a number; a number that is not above the bound is a problem, and None."""
        found = self.results.get(label)
        if found is None:
            return None
        value = as_number(found.text)
        if value is None or value <= above:
            rule = "must be a number" if value is None else f"must be greater than {above:g}"
            self.problem(label, rule, found.text, "Take the log of a run that finished.")
            return None
        return value

    def problem(self, label: str, rule: str, value: str | None, remedy: str) -> None:
        line = self.results[label].line if label in self.results else None
        self.problems.append(Problem(self.file, line, None, label, rule, value, remedy))


def read(files: Sequence[Path], options: ImportOptions) -> Observations:
    """What did LoadGen measure?

    Parameters
    ----------
    files
        Summaries; several are runs of one model on one system.
    options
        ``batches``, one for each file: the batch at which an Offline run executed, which makes its throughput a time
        of an execution. ``allow_incomplete`` takes runs whose result is INVALID.

    Raises
    ------
    InputError
        With all problems of all files.
    """
    batches = options.batch_for_each(len(files))
    problems: list[Problem] = []
    logs = []
    for file in files:
        try:
            logs.append(_read_log(file))
        except InputError as error:
            problems += error.problems
    if problems:
        raise InputError(problems)
    warnings: list[str] = []
    rows = []
    for index, log in enumerate(logs):
        rows.append(_row(log, batches[index] if batches else None, options, warnings))
        problems += log.problems
    executions = [row.rate_rps is None for row in rows]
    if batches and not all(executions) and not problems:
        rule, remedy = "must not be given with Server", "Import Server runs apart, then join: calibrate fit A B -o C."
        problems.append(option_problem("--batch", rule, str(batches[0]), remedy))
    if problems:
        raise InputError(problems)
    if not all(executions) or batches:
        warnings.append("rates are those of the whole system: of all its accelerators together")
    return Observations(
        rows=tuple(rows),
        scope="device" if all(executions) else "server",
        provenance=options.provenance(tool="MLPerf LoadGen", **_found(logs)),
        warnings=tuple(dict.fromkeys(warnings)),
    )


def _found(logs: Sequence[_Log]) -> dict[str, Any]:
    systems = list(dict.fromkeys(name for log in logs if (name := log.text("sut name"))))
    return {"system": ", ".join(systems)} if systems else {}


def _read_log(path: Path) -> _Log:
    """Read the labels of one summary.

    Raises
    ------
    InputError
        It is none.
    """
    log = _Log(printable(path))
    with open(path, "rb") as stream:
        raw = stream.read(LARGEST_BYTES + 1)
    parameters = samples = False
    lines = raw.decode("utf-8-sig", "replace").splitlines() if len(raw) <= LARGEST_BYTES else []
    for number, line in enumerate(lines, start=1):
        parameters = parameters or line.strip() == "Test Parameters Used"
        # Until MLPerf 1.1 MultiStream told the latencies of queries, then with the same labels those of samples.
        samples = samples or line.strip() == "Per-sample latency:"
        match = _LINE.fullmatch(line)
        if match is None or (samples and not parameters):
            continue
        label = re.sub(r"\s+", " ", match[1]).lower().lstrip("* ")
        if parameters:
            log.parameters.setdefault(label, number_or_text(match[2]))
        else:
            log.results.setdefault(label, _Value(match[2], number))
    if "scenario" not in log.results or "result is" not in log.results:
        remedy = "Name mlperf_log_summary.txt, not the detail log."
        rule = "must be a summary of LoadGen, with its 'Scenario' and 'Result is'"
        raise InputError([Problem(log.file, None, None, "", rule, "nothing" if not raw else None, remedy)])
    return log


def _row(log: _Log, batch: int | None, options: ImportOptions, warnings: list[str]) -> Observation:
    scenario = re.sub(r"\s", "", log.text("scenario") or "")
    if scenario not in SCENARIOS:
        log.problem("scenario", f"must be one of {', '.join(SCENARIOS)}", scenario, "Take another log.")
        return Observation()
    _check_result(log, options, warnings)
    times: dict[str, dict[str, float]] = {name: {} for name in _KINDS.values()}
    for label, kind, name in _times(log):
        value = log.number(label)
        if value is not None:
            times[kind].setdefault(name, value / NS_PER_MS)
    notes = {label: value.text for label, value in log.results.items() if label in _NOTES} | {
        label: value for label, value in log.parameters.items() if value != ""
    }
    common: dict[str, Any] = {
        "model_instances": options.model_instances or 1,
        "prompt_tokens": options.prompt_tokens,
        "notes": notes,
        "place": f"{log.file}:{log.results['scenario'].line}",
    }
    if scenario == "Offline":
        return _offline(log, batch, common, warnings)
    if not times["latency_ms"]:
        log.problem("scenario", f"must be followed by latencies in a {scenario} log", None, "Take the whole log.")
    common |= times
    if scenario == "Server":
        return _server(log, options, common)
    # Until MLPerf 1.1 a query came at every tick of a clock, and the log says so by its samples per query.
    mean_ms = None if _QUERY in log.results else times["latency_ms"].get("mean")
    return Observation(
        batch=float(_samples_of_a_query(log, scenario, batch, warnings)),
        concurrency=1.0,
        throughput_rps=log.number("qps w/ loadgen overhead") or (MS_PER_S / mean_ms if mean_ms else None),
        output_tokens=options.output_tokens,
        **common,
    )


def _check_result(log: _Log, options: ImportOptions, warnings: list[str]) -> None:
    mode = log.text("mode")
    if mode is not None and "accuracy" in mode.lower():
        log.problem("mode", "must be PerformanceOnly", mode, "Take the log of a performance run.")
    result = log.results["result is"]
    if result.text.upper() == "VALID":
        return
    failed = [label for label, value in log.results.items() if "satisfied" in label and value.text.upper() == "NO"]
    reasons = f" ({', '.join(f'{label}: no' for label in failed)})" if failed else ""
    if options.allow_incomplete:
        warnings.append(f"{log.file}: the result is {result.text}{reasons}")
    else:
        remedy = "Take a valid run, or say --allow-incomplete."
        log.problem("result is", "must be VALID", f"{result.text}{reasons}", remedy)


def _times(log: _Log) -> Iterator[tuple[str, str, str]]:
    """Labels of latencies, with the field and the statistic that each of them gives."""
    for label in log.results:
        # SingleStream heads its log with "90th first token percentile latency": the words in another order.
        plain = label.replace("first token percentile latency", "percentile first token latency")
        match = _TIME.fullmatch(plain)
        if match is None:
            continue
        statistic = _STATISTICS[match[1]] if match[1] else percentile_name(match[2])
        if statistic is not None:
            yield label, _KINDS[match[3]], statistic


def _samples_of_a_query(log: _Log, scenario: str, batch: int | None, warnings: list[str]) -> int:
    told = log.number(_QUERY) or log.parameters.get("samples_per_query")
    if scenario == "SingleStream":
        samples = 1
    elif isinstance(told, int | float) and told >= 1:
        samples = int(told)
    else:
        samples = batch or SAMPLES_OF_A_QUERY
        if batch is None:
            warnings.append(f"{log.file}: the log does not say how many samples a query has: taken to be {samples}")
    if batch is not None and batch != samples:
        rule, remedy = f"has {samples} samples in a query", "Leave --batch out, or mend it."
        log.problem("scenario", rule, f"--batch {batch}", remedy)
    return samples


def _server(log: _Log, options: ImportOptions, common: Mapping[str, Any]) -> Observation:
    sent = log.number("scheduled samples per second")
    answered = log.number("completed samples per second")
    tokens = log.number("completed tokens per second")
    if sent is None and answered is None:
        rule = "must be followed by scheduled or completed samples per second in a Server log"
        log.problem("scenario", rule, None, "Take the whole log.")
    target = log.parameters.get("target_qps")
    return Observation(
        rate_rps=sent or (float(target) if isinstance(target, int | float) else answered),
        throughput_rps=answered,
        max_batch_size=options.max_batch_size,
        output_tokens=options.output_tokens or (tokens / answered if tokens and answered else None),
        **common,
    )


def _offline(log: _Log, batch: int | None, common: Mapping[str, Any], warnings: list[str]) -> Observation:
    """An Offline run: at a batch that is told, the time between two executions; else a load that saturates."""
    rate = log.number("samples per second")
    tokens = log.number("tokens per second") or log.number("tokens per second (inferred)")
    if rate is None:
        rule = "must be followed by samples per second in an Offline log"
        log.problem("scenario", rule, None, "Take the whole log.")
        return Observation()
    output_tokens = tokens / rate if tokens else None
    if batch is None:
        warnings.append(f"{log.file}: Offline tells a throughput alone; --batch N makes it the time of an execution")
        return Observation(rate_rps=math.inf, throughput_rps=rate, output_tokens=output_tokens, **common)
    words = "the time of an execution is batch / throughput: what overlaps with it is not seen"
    warnings.append(f"{log.file}: {words}")
    return Observation(
        batch=float(batch),
        throughput_rps=rate / batch,
        latency_ms={"mean": MS_PER_S * batch / rate},
        output_tokens=output_tokens,
        **common,
    )
