"""One JSON file of perf_analyzer (``--profile-export-file``): every request, with the time of each of its responses.

Times are ns since the epoch. Shape: triton-inference-server/perf_analyzer, src/profile_data_exporter.cc; the first of
``window_boundaries`` is the beginning of the first measurement window, each further one the end of a window. Requests
count by their last response, as perf_analyzer counts them, and of several windows the last three, as it reports them:
the windows before are those in which throughput and latency had not settled.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, NamedTuple

from calibration.importers.json_content import read_json
from calibration.importers.options import ImportOptions
from calibration.importers.part import Part
from calibration.importers.quantiles import raw_quantiles, statistics_of
from calibration.observation import Observation
from calibration.problems import InputError, Problem
from calibration.source import printable
from calibration.tree import shown

NS_PER_MS: Final = 1e6
NS_PER_S: Final = 1e9

STABLE_WINDOWS: Final = 3
"""Windows over which perf_analyzer asks for stable figures, and reports."""

ENOUGH: Final = 100
"""Requests from which a 99th percentile can be told."""

MOST_PROBLEMS: Final = 20
"""Problems named of one file; it may hold a million requests."""

_SERVERS: Final = {
    "triton": "Triton",
    "triton_c_api": "Triton (in process)",
    "torchserve": "TorchServe",
    "tfserving": "TensorFlow Serving",
}
_LAST_WORDS: Final = {"", "data: [DONE]", "[DONE]"}
"""Texts of a response that carries no token."""


class _Request(NamedTuple):
    start_ns: int
    responses_ns: tuple[int, ...]
    tokens_ns: tuple[int, ...]
    """Responses that carry a token, if there is more than one response."""


class _Reading:
    """A file being read, and what is wrong with it."""

    def __init__(self, path: Path) -> None:
        self.file = printable(path)
        self.problems: list[Problem] = []

    def problem(self, path: str, rule: str, value: object, remedy: str) -> None:
        if len(self.problems) < MOST_PROBLEMS:
            got = None if value is None else shown(value)
            self.problems.append(Problem(self.file, None, None, path, rule, got, remedy))


def read_one(path: Path, batch: int, options: ImportOptions) -> Part:
    """What does one JSON file hold? A row for each experiment, with raw quantiles of its latencies.

    Parameters
    ----------
    path
        The file.
    batch
        Items in each of its requests.
    options
        ``allow_incomplete`` leaves out loads at which no request was answered in a window.

    Raises
    ------
    InputError
        With all problems of the file.
    """
    content = read_json(path)
    reading = _Reading(path)
    experiments = content.get("experiments") if isinstance(content, dict) else None
    if not isinstance(experiments, list) or not experiments:
        rule, remedy = "must be a list of at least one experiment", "Name a file of perf_analyzer's own making."
        reading.problem("experiments", rule, experiments, remedy)
        raise InputError(reading.problems)
    rows: list[Observation] = []
    said: dict[str, list[str]] = {}
    for index, experiment in enumerate(experiments):
        row = _row(reading, experiment, f"experiments.{index}", batch, options, said)
        if row is not None:
            rows.append(row)
    if not rows and not reading.problems:
        reading.problem("experiments", "must hold a request that was answered", None, "Measure again, longer.")
    if reading.problems:
        raise InputError(reading.problems)
    kind, version = content.get("service_kind"), content.get("version")
    found = {"server": _SERVERS.get(str(kind), kind)} if kind else {}
    found |= {"tool": f"perf_analyzer {version}"} if version else {}
    return Part(
        rows=tuple(rows), warnings=tuple(f"{', '.join(names)}: {words}" for words, names in said.items()), found=found
    )


def _row(
    reading: _Reading, experiment: Any, path: str, batch: int, options: ImportOptions, said: dict[str, list[str]]
) -> Observation | None:
    """One experiment; ``said`` collects the loads at which something must be said."""
    if not isinstance(experiment, dict):
        reading.problem(path, "must be a mapping", experiment, "Name a file of perf_analyzer's own making.")
        return None
    load = _load(reading, experiment.get("experiment"), f"{path}.experiment")
    requests, unanswered = _requests(reading, experiment.get("requests"), f"{path}.requests")
    if load is None or reading.problems:
        return None
    name = f"{'concurrency' if 'concurrency' in load else 'request rate'} {next(iter(load.values())):g}"
    window = _window(reading, experiment.get("window_boundaries"), requests, path)
    if window is None:
        said.setdefault("no window boundaries: all requests count, those of the warm-up too", []).append(name)
        window = (min(one.start_ns for one in requests), max(one.responses_ns[-1] for one in requests))
    inside = [one for one in requests if window[0] <= one.responses_ns[-1] <= window[1]]
    if not inside and options.allow_incomplete and not reading.problems:
        said.setdefault("no request was answered in a measurement window: left out", []).append(name)
        return None
    if not inside:
        rule = (
            f"must hold a request that was answered in a measurement window: of {len(requests) + unanswered} none was"
        )
        reading.problem(f"{path}.requests", rule, None, "Measure longer, or leave it out with --allow-incomplete.")
        return None
    tokens = _token_times(inside)
    latencies = [(one.responses_ns[-1] - one.start_ns) / NS_PER_MS for one in inside]
    responses = sum(len(one.tokens_ns) for one in inside) / len(inside) if tokens else None
    if tokens:
        said.setdefault("several responses to a request: each is taken for one token", []).append(name)
    if len(inside) < ENOUGH:
        said.setdefault(f"fewer than {ENOUGH} requests: too few to tell a 99th percentile", []).append(name)
    return Observation(
        batch=float(batch),
        concurrency=load.get("concurrency"),
        rate_rps=load.get("rate_rps"),
        requests=len(inside),
        failed=unanswered,
        throughput_rps=len(inside) / ((window[1] - window[0]) / NS_PER_S),
        latency_ms=statistics_of(latencies),
        samples_ms=raw_quantiles(latencies),
        output_tokens=responses,
        ttft_ms=tokens.get("ttft_ms", {}),
        tpot_ms=tokens.get("tpot_ms", {}),
        itl_ms=tokens.get("itl_ms", {}),
        place=f"{reading.file}: {path}",
    )


def _load(reading: _Reading, experiment: Any, path: str) -> dict[str, float] | None:
    mode, value = (experiment.get("mode"), experiment.get("value")) if isinstance(experiment, dict) else (None, None)
    names = {"concurrency": "concurrency", "request_rate": "rate_rps"}
    if not isinstance(mode, str) or mode not in names:
        reading.problem(f"{path}.mode", "must be concurrency or request_rate", mode, "Measure with one of the two.")
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
        remedy = "perf_analyzer writes 0 for a schedule of the user's own: measure at a fixed load."
        reading.problem(f"{path}.value", "must be a number greater than 0", value, remedy)
        return None
    return {names[mode]: float(value)}


def _requests(reading: _Reading, requests: Any, path: str) -> tuple[list[_Request], int]:
    """Requests that were answered, and how many were not."""
    if not isinstance(requests, list):
        reading.problem(path, "must be a list of requests", requests, "Name a file of perf_analyzer's own making.")
        return [], 0
    answered, unanswered = [], 0
    for index, request in enumerate(requests):
        fields = request if isinstance(request, dict) else {}
        start, responses = fields.get("timestamp"), fields.get("response_timestamps")
        if not isinstance(responses, list) or not _are_times([start, *responses]):
            rule = "must have a timestamp and response_timestamps in ns"
            reading.problem(f"{path}.{index}", rule, None, "Delete the request, or measure again.")
        elif not responses:
            unanswered += 1
        elif any(after < before for before, after in pairwise([start, *responses])):
            rule = "must have times that do not fall: sent first, then each response"
            reading.problem(f"{path}.{index}", rule, [start, *responses], "Measure again: the clock was set back.")
        else:
            answered.append(_Request(int(start or 0), tuple(responses), _tokens(fields, responses)))
    return answered, unanswered


def _are_times(values: Sequence[Any]) -> bool:
    return all(isinstance(value, int) and not isinstance(value, bool) and value >= 0 for value in values)


def _tokens(request: Mapping[str, Any], responses: Sequence[int]) -> tuple[int, ...]:
    """Times of the responses that carry a token: the last of a stream often says only that it is the last."""
    outputs = request.get("response_outputs")
    if not isinstance(outputs, list) or len(outputs) != len(responses):
        return tuple(responses)
    return tuple(
        time
        for time, output in zip(responses, outputs, strict=True)
        if not (isinstance(output, dict) and output and all(_says_nothing(text) for text in output.values()))
    )


def _says_nothing(output: Any) -> bool:
    return isinstance(output, str) and output.strip() in _LAST_WORDS


def _window(reading: _Reading, boundaries: Any, requests: Sequence[_Request], path: str) -> tuple[int, int] | None:
    """Beginning and end of what was measured, in ns; None where the file does not tell, or there is no request."""
    if not boundaries or not requests:
        return (0, 1) if not requests else None
    times = boundaries if isinstance(boundaries, list) and _are_times(boundaries) else []
    if len(times) < 2 or any(after <= before for before, after in pairwise(times)):
        rule = "must be at least two increasing times in ns"
        reading.problem(f"{path}.window_boundaries", rule, boundaries, "Measure again.")
        return (0, 1)
    return times[max(0, len(times) - 1 - STABLE_WINDOWS)], times[-1]


def _token_times(requests: Sequence[_Request]) -> dict[str, dict[str, float]]:
    """Statistics of the token times, where most requests had several responses."""
    several = [one for one in requests if len(one.tokens_ns) > 1]
    if 2 * len(several) <= len(requests):
        return {}
    first = [(one.tokens_ns[0] - one.start_ns) / NS_PER_MS for one in requests if one.tokens_ns]
    gaps = [(after - before) / NS_PER_MS for one in several for before, after in pairwise(one.tokens_ns)]
    each = [(one.tokens_ns[-1] - one.tokens_ns[0]) / NS_PER_MS / (len(one.tokens_ns) - 1) for one in several]
    return {"ttft_ms": statistics_of(first), "itl_ms": statistics_of(gaps), "tpot_ms": statistics_of(each)}
