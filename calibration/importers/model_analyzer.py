"""Triton model_analyzer: ``metrics-model-inference.csv``, and ``metrics-model-gpu.csv`` where it was kept.

Times are ms, memory MB (decimal), utilisation per cent. Which columns there are is the user's choice
(``inference_output_fields``), so they are found by the headers of triton-inference-server/model_analyzer,
model_analyzer/record/types/*.py and result/result_table_manager.py; releases of 2022 and before put ``GPU`` before
what ``Max``, ``Average`` stand before today, and wrote ``2/GPU`` for ``2:GPU``. A row is one configuration of the
server at one load: several configurations of a model are one measurement, since each row knows its model instances
and its largest batch.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from calibration.csv_sheet import Row
from calibration.importers.columns import Table, read_table, unknown_columns
from calibration.importers.loads import about_load
from calibration.importers.options import ImportOptions, option_problem
from calibration.importers.quantiles import percentile_name
from calibration.observation import Observation, Observations
from calibration.problems import InputError, Problem
from calibration.source import did_you_mean

MB: Final = 1e6
"""Bytes in a megabyte as model_analyzer counts: it divides what DCGM tells in bytes by a million."""

MODEL, CONFIG, BATCH = "Model", "Model Config Path", "Batch"
CONCURRENCY, RATE, UUID = "Concurrency", "Request Rate", "GPU UUID"
THROUGHPUT: Final = "Throughput (infer/sec)"
INSTANCES, MAX_BATCH, SATISFIED = "Instance Group", "Max Batch Size", "Satisfies Constraints"
DYNAMIC: Final = ("Preferred Batch Sizes", "Preferred Batch Size", "Dynamic Batching", "Dynamic Batcher Sizes")
"""Columns of releases of 2021 and before, which had no ``Max Batch Size``."""

PART_OF: Final[Mapping[str, str]] = {
    "Server Queue time (ms)": "queue",
    "Server Compute Input time (ms)": "input",
    "Server Compute Infer time (ms)": "compute",
    "Server Compute Output time (ms)": "output",
}
TIMES: Final[Mapping[str, str]] = {
    "Latency (ms)": "latency_ms",
    "Time To First Token (ms)": "ttft_ms",
    "Inter Token Latency (ms)": "itl_ms",
}
MEMORY: Final = ("Max GPU Memory Usage (MB)", "GPU Memory Usage (MB)")
UTILISATION: Final = ("Average GPU Utilization (%)", "GPU Utilization (%)")
POWER: Final = ("Average GPU Power Usage (W)", "GPU Power Usage (W)")
NOTES: Final = (
    *("Client Send/Recv (ms)", "Response Wait Time (ms)", "Output Token Throughput (infer/sec)"),
    *("RAM Usage (MB)", "Max RAM Usage (MB)", "RAM Available (MB)", "Max RAM Available (MB)"),
    *("GPU Memory Available (MB)", "Max GPU Memory Available (MB)"),
)
PARAMETER: Final = "backend_parameter/"
"""Beginning of a column that holds a parameter of the backend."""

MS_PER_S: Final = 1000.0

_KNOWN: Final = (
    *(MODEL, CONFIG, BATCH, CONCURRENCY, RATE, INSTANCES, MAX_BATCH, SATISFIED, UUID, THROUGHPUT),
    *(*DYNAMIC, *PART_OF, *NOTES, *MEMORY, *UTILISATION, *POWER),
)
_CHOOSE: Final = "Name them in inference_output_fields (model_name, batch_size, concurrency, perf_throughput ...)."
_STATISTICS: Final = {"avg": "mean", "min": "min", "max": "max"}
_FIELDS: Final = {kind.lower(): field for kind, field in TIMES.items()}
_TIME: Final = re.compile(rf"(p\d+(?:\.\d+)?|Avg|Min|Max) ({'|'.join(map(re.escape, TIMES))})", re.IGNORECASE)
_INSTANCE: Final = re.compile(r"(\d+)\s*[:/]\s*(GPU|CPU|MODEL|AUTO)", re.IGNORECASE)


def read(files: Sequence[Path], options: ImportOptions) -> Observations:
    """What did model_analyzer measure of one model?

    Parameters
    ----------
    files
        An inference CSV and, if wanted, the GPU CSV of the same run, in any order.
    options
        ``model`` chooses a model, or one of its configurations, where the file holds several.

    Raises
    ------
    InputError
        With all problems of the files; or there are several models and none was chosen.
    """
    table, gpu = _tables([read_table(file, "model_analyzer") for file in files])
    table.require([MODEL, BATCH, (CONCURRENCY, RATE), THROUGHPUT], "model_analyzer", _CHOOSE)
    chosen, model = _chosen(table, options)
    _refuse_composed(table, chosen)
    times = {column: (match[1], match[2]) for column in table.columns if (match := _TIME.fullmatch(column))}
    unknown = tuple(column for column in table.others([*_KNOWN, *times]) if not column.startswith(PARAMETER))
    parameters = [column for column in table.columns if column.startswith(PARAMETER)]
    rows = [_observation(table, row, times, (*NOTES, *parameters, *unknown), options) for row in chosen]
    table.stop_at_problems()
    warnings = _about_means(rows)
    if gpu is not None:
        rows, said = _with_gpus(table, chosen, rows, gpu)
        warnings += said
        unknown += tuple(column for column in gpu.others(_KNOWN) if column not in unknown)
    return Observations(
        rows=tuple(sorted((_with_mean(row) for row in rows), key=_by_setting)),
        scope="server",
        provenance=replace(options, model=model).provenance(tool="model_analyzer", server="Triton"),
        warnings=(*warnings, *about_load(rows), *unknown_columns(unknown)),
    )


def _tables(tables: Sequence[Table]) -> tuple[Table, Table | None]:
    """The inference table, and the GPU table if there is one."""
    gpu = [table for table in tables if table.has(UUID)]
    inference = [table for table in tables if not table.has(UUID)]
    if len(inference) != 1 or len(gpu) > 1:
        rule = "must be one metrics-model-inference.csv, and at most one metrics-model-gpu.csv beside it"
        value = ", ".join(table.sheet.file for table in tables)
        raise InputError([Problem(tables[0].sheet.file, None, None, "", rule, value, "Import one run at a time.")])
    return inference[0], gpu[0] if gpu else None


def _chosen(table: Table, options: ImportOptions) -> tuple[list[Row], str | None]:
    """Rows of the one model (or the one configuration) that is wanted, and the model's name."""
    models = list(dict.fromkeys(table.text(row, MODEL) or "" for row in table.rows))
    configs = list(dict.fromkeys(filter(None, (table.text(row, CONFIG) for row in table.rows))))
    wanted = options.model
    if wanted in models:
        return [row for row in table.rows if table.text(row, MODEL) == wanted], wanted
    if wanted in configs:
        rows = [row for row in table.rows if table.text(row, CONFIG) == wanted]
        return rows, table.text(rows[0], MODEL)
    if len(models) == 1:
        return list(table.rows), wanted or models[0] or None
    remedy = f"Choose one of {', '.join(models)}."
    if wanted is None:
        rule = f"must say which of the {len(models)} models of {table.sheet.file} is meant"
        raise InputError([option_problem("--model", rule, None, remedy)])
    remedy = " ".join(filter(None, [did_you_mean(wanted, [*models, *configs]), remedy]))
    raise InputError([option_problem("--model", "must be a model of the file", repr(wanted), remedy)])


def _refuse_composed(table: Table, rows: Iterable[Row]) -> None:
    """Refuse rows of several models together, whose cells are lists: one profile is of one model."""
    columns = (MODEL, BATCH, CONCURRENCY, RATE, INSTANCES, MAX_BATCH, THROUGHPUT)
    for row in rows:
        listed = [column for column in columns if _is_list(table.text(row, column))]
        if listed:
            rule = "must be one value: this row is of several models that ran together (an ensemble, or a group)"
            remedy = "Profile each member on its own, or the whole with perf_analyzer as one model."
            table.problem(row, listed[0], rule, table.text(row, listed[0]), remedy)
    table.stop_at_problems()


def _is_list(cell: str | None) -> bool:
    return cell is not None and ("," in cell or "[" in cell)


def _observation(
    table: Table, row: Row, times: Mapping[str, tuple[str, str]], notes: Sequence[str], options: ImportOptions
) -> Observation:
    batch = table.needed(row, BATCH, above=0)
    throughput = table.needed(row, THROUGHPUT, above=0)
    load = CONCURRENCY if table.has(CONCURRENCY) and table.text(row, CONCURRENCY) is not None else RATE
    asked = table.needed(row, load if table.has(load) else CONCURRENCY, above=0)
    found: dict[str, dict[str, float]] = {field: {} for field in TIMES.values()}
    unnamed = []
    for column, (statistic, kind) in times.items():
        name = _STATISTICS.get(statistic.lower()) or percentile_name(statistic)
        if name is None:
            unnamed.append(column)
        elif (value := table.number(row, column, above=0)) is not None:
            found[_FIELDS[kind.lower()]][name] = value
    largest = table.number(row, MAX_BATCH)
    return Observation(
        batch=batch or 1.0,
        concurrency=asked if load == CONCURRENCY else None,
        rate_rps=asked if load == RATE else None,
        model_instances=options.model_instances or _instances(table, row),
        max_batch_size=options.max_batch_size or (int(largest) if largest else None),
        throughput_rps=throughput / batch if throughput and batch else None,
        latency_ms=found["latency_ms"],
        ttft_ms=found["ttft_ms"],
        itl_ms=found["itl_ms"],
        parts_ms={part: ms for column, part in PART_OF.items() if (ms := table.number(row, column)) is not None},
        prompt_tokens=options.prompt_tokens,
        output_tokens=options.output_tokens,
        notes=table.notes(row, [CONFIG, SATISFIED, *DYNAMIC, *notes, *unnamed]),
        place=table.place(row),
    )


def _instances(table: Table, row: Row) -> int:
    """Model instances of a cell such as ``2:GPU``; 1, Triton's default, where the column was not asked for."""
    cell = table.text(row, INSTANCES)
    match = _INSTANCE.fullmatch(cell) if cell else None
    if cell and (match is None or int(match[1]) < 1):
        table.problem(row, INSTANCES, "must be such as 2:GPU", cell, "Mend the cell, or give --model-instances.")
    return int(match[1]) if match else 1


def _about_means(rows: Sequence[Observation]) -> list[str]:
    without = [row for row in rows if "mean" not in row.latency_ms]
    closed = [row for row in without if row.concurrency is not None]
    warnings = []
    if closed:
        words = "it is concurrency / throughput, by Little's law"
        warnings.append(f"{len(closed)} of {len(rows)} rows have no 'Avg Latency (ms)': {words}")
    bare = [row for row in without if row.concurrency is None and "p50" not in row.latency_ms]
    if bare:
        words = "add perf_latency_avg to inference_output_fields and report again"
        warnings.append(f"{len(bare)} of {len(rows)} rows have neither a mean nor a median latency: {words}")
    return warnings


def _with_mean(row: Observation) -> Observation:
    """The row with the mean latency that Little's law gives a closed loop, where it has none."""
    if "mean" in row.latency_ms or row.concurrency is None or not row.throughput_rps:
        return row
    return replace(row, latency_ms={"mean": MS_PER_S * row.concurrency / row.throughput_rps, **row.latency_ms})


def _with_gpus(
    table: Table, chosen: Sequence[Row], rows: Sequence[Observation], gpu: Table
) -> tuple[list[Observation], list[str]]:
    """Rows with what the GPU table says of the same setting."""
    keys = [column for column in (MODEL, CONFIG, BATCH, CONCURRENCY, RATE) if table.has(column) and gpu.has(column)]
    by_setting: dict[tuple[str | None, ...], dict[str, Observation]] = {}
    for row in gpu.rows:
        setting = tuple(gpu.text(row, column) for column in keys)
        percent = _first(gpu, row, UTILISATION)
        megabytes = _first(gpu, row, MEMORY)
        by_setting.setdefault(setting, {})[gpu.text(row, UUID) or ""] = Observation(
            utilisation=None if percent is None else percent / 100,
            memory_bytes=None if megabytes is None else megabytes * MB,
            power_w=_first(gpu, row, POWER),
        )
    gpu.stop_at_problems()
    found = []
    missing = 0
    for row, observation in zip(chosen, rows, strict=True):
        devices = by_setting.get(tuple(table.text(row, column) for column in keys), {})
        missing += not devices
        found.append(_joined(observation, list(devices.values())))
    most = max(map(len, by_setting.values()), default=0)
    warnings = [f"{missing} of {len(rows)} rows have no match in {gpu.sheet.file}"] if missing else []
    if most > 1:
        words = "the rows are of all together; utilisation and power are means, the memory is that of the fullest"
        warnings.append(f"{most} GPUs: {words}")
    return found, warnings


def _joined(row: Observation, devices: Sequence[Observation]) -> Observation:
    utilisation = [one.utilisation for one in devices if one.utilisation is not None]
    power = [one.power_w for one in devices if one.power_w is not None]
    memory = [one.memory_bytes for one in devices if one.memory_bytes is not None]
    return replace(
        row,
        utilisation=sum(utilisation) / len(utilisation) if utilisation else None,
        power_w=sum(power) / len(power) if power else None,
        memory_bytes=max(memory, default=None),
    )


def _first(table: Table, row: Row, columns: Iterable[str]) -> float | None:
    return next((value for column in columns if (value := table.number(row, column)) is not None), None)


def _by_setting(row: Observation) -> tuple[float, ...]:
    return row.model_instances, row.max_batch_size or 0, row.batch, row.concurrency or row.rate_rps or 0.0
