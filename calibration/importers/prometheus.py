"""Prometheus: what ``query_range`` answered about Triton's or vLLM's own metrics, and about the GPUs beside them.

Each metric is asked for by itself, all with the same start, end and step, and all answers are named together. What
clients met on the way to the server is not in these figures.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final, NamedTuple

from calibration.importers import prometheus_triton as triton
from calibration.importers import prometheus_vllm as vllm
from calibration.importers.options import ImportOptions, option_problem
from calibration.importers.prometheus_gpus import METRICS as GPU_METRICS
from calibration.importers.prometheus_gpus import devices_of
from calibration.importers.prometheus_series import Answers, Series, read_answers
from calibration.importers.prometheus_windows import Server, agree
from calibration.observation import Observation, Observations
from calibration.problems import InputError, Problem
from calibration.source import did_you_mean


class _Reader(NamedTuple):
    server: str
    label: tuple[str, ...]
    """Labels that name the model."""
    prefix: str
    needed: tuple[str, ...]
    servers: Callable[[Sequence[Series]], list[Server]]
    observations: Callable[[Sequence[Server], Sequence[Series], ImportOptions], tuple[list[Observation], list[str]]]


TRITON: Final = _Reader("Triton", ("model",), "", triton.NEEDED, triton.servers_in, triton.observations)
VLLM: Final = _Reader("vLLM", ("model_name", "model"), "vllm:", vllm.NEEDED, vllm.servers_in, vllm.observations)


def read(files: Sequence[Path], options: ImportOptions) -> Observations:
    """What did a server tell Prometheus of itself?

    Parameters
    ----------
    files
        Answers of ``query_range``, as JSON: one a metric, or a long range in pieces.
    options
        ``model`` chooses one, where there are several.

    Raises
    ------
    InputError
        With all problems of all files; or a metric is missing without which the others say nothing.
    """
    answers = read_answers(files)
    reader = _reader(answers)
    servers, model = _chosen(reader, answers, options)
    rows, warnings = reader.observations(servers, answers.series, options)
    if not rows:
        rule = "must hold two times between which requests were served"
        remedy = "Ask for a range with traffic, all metrics with the same start, end and step."
        raise InputError([Problem(answers.series[0].file, None, None, "", rule, None, remedy)])
    devices = devices_of(answers.series)
    return Observations(
        rows=tuple(rows),
        scope="server",
        provenance=replace(options, model=model).provenance(
            tool="Prometheus",
            server=reader.server,
            device=devices[0] if len(devices) == 1 else None,
            method="the server's own metrics: network and client are not in its times",
        ),
        warnings=(*answers.warnings, *warnings, *_about(servers), *_unused(servers, reader, answers)),
    )


def _reader(answers: Answers) -> _Reader:
    of_triton = any(one.name.startswith("nv_inference") for one in answers.series)
    of_vllm = any(vllm.is_vllm(one) for one in answers.series)
    if of_triton != of_vllm:
        return TRITON if of_triton else VLLM
    names = ", ".join(sorted({one.name for one in answers.series})[:6])
    rule = "must hold the metrics of Triton (nv_inference_...) or of vLLM (vllm:...)"
    rule = "must hold the metrics of one server, Triton or vLLM" if of_triton else rule
    remedy = "Import them apart." if of_triton else "Query the metrics of the server."
    raise InputError([Problem(answers.series[0].file, None, None, "", rule, names, remedy)])


def _chosen(reader: _Reader, answers: Answers, options: ImportOptions) -> tuple[list[Server], str | None]:
    """Servers of the model that is wanted, with all the metrics that are needed, and the model's name."""
    servers = reader.servers(answers.series)
    models = list(dict.fromkeys(filter(None, (_model(server, reader) for server in servers))))
    wanted = options.model
    if wanted in models:
        servers = [server for server in servers if _model(server, reader) == wanted]
    elif len(models) > 1:
        if wanted is None:
            rule = f"must say which of the {len(models)} models is meant"
            raise InputError([option_problem("--model", rule, None, f"Choose one of {', '.join(models)}.")])
        remedy = " ".join(filter(None, [did_you_mean(wanted, models), f"Choose one of {', '.join(models)}."]))
        raise InputError([option_problem("--model", "must be a model of the files", repr(wanted), remedy)])
    whole = [server for server in servers if all(server.has(name) for name in reader.needed)]
    if not whole:
        found = {name for server in servers for name in server.series}
        missing = [f"{reader.prefix}{name}" for name in reader.needed if name not in found]
        names = sorted({one.name for one in answers.series})
        rule = f"must hold {', '.join(missing)}" if missing else "must hold all its metrics with the same labels"
        remedy = "Query each of them with the same start, end and step, and name all the files."
        value = ", ".join(names[:6]) + (", ..." if len(names) > 6 else "")
        raise InputError([Problem(answers.series[0].file, None, None, "", rule, value, remedy)])
    _adopt(whole, [server for server in servers if server not in whole])
    return whole, wanted or (models[0] if models else None)


def _model(server: Server, reader: _Reader) -> str | None:
    return next((server.labels[label] for label in reader.label if label in server.labels), None)


def _adopt(whole: Sequence[Server], parts: Sequence[Server]) -> None:
    """Give a server the metrics that carry a label more or less than its others, if they can be no other's."""
    for part in parts:
        fitting = [server for server in whole if agree(server.labels, part.labels)]
        if len(fitting) == 1:
            for name, series in part.series.items():
                fitting[0].series.setdefault(name, series)


def _about(servers: Sequence[Server]) -> list[str]:
    warnings = []
    if len(servers) > 1:
        warnings.append(f"{len(servers)} servers (or model versions, or GPUs): each has rows of its own")
    resets = sum(server.resets for server in servers)
    if resets:
        left = "1 interval" if resets == 1 else f"{resets} intervals"
        warnings.append(f"{left} left out, in which a server began anew")
    partial = sorted({name for server in servers for name in server.partial})
    if partial:
        words = "ask for it with the same start, end and step as the others"
        warnings.append(f"left out, since not sampled at all times: {', '.join(partial)}; {words}")
    return warnings


def _unused(servers: Sequence[Server], reader: _Reader, answers: Answers) -> list[str]:
    """What must be said of metrics that nobody used."""
    used = {one.name for server in servers for part in server.series.values() for one in part}
    known = {one.name for server in reader.servers(answers.series) for part in server.series.values() for one in part}
    others = {one.name for one in answers.series} - set(GPU_METRICS)
    unknown = sorted(name for name in others - known if not name.endswith("_created"))
    warnings = [f"metrics that are not known, not used: {', '.join(unknown)}"] if unknown else []
    left = sorted(known - used)
    if left:
        warnings.append(f"left out, since their labels fit no server or several: {', '.join(left)}")
    return warnings
