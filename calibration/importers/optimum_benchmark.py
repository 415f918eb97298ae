"""optimum-benchmark: the report of a run, with its configuration for the sizes that the report does not tell.

``benchmark_report.json`` holds what was measured, ``benchmark_config.json`` under which batch size and lengths,
``benchmark.json`` both. Times are in s, memory in MB (10^6 bytes), energy in kWh. ``decode`` is the time of all tokens
of an answer but the first, here divided by their number; ``per_token`` is used only where that number is not known,
since some versions count the pause before a next answer as a token. Shapes: optimum_benchmark 0.6.0,
benchmark/report.py, trackers/*.py, scenarios/inference/scenario.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from calibration.importers.json_fields import Document, Fields, read_document, tidied
from calibration.importers.llm_load import one_of, with_said
from calibration.importers.options import ImportOptions
from calibration.importers.quantiles import raw_quantiles
from calibration.observation import Observation, Observations
from calibration.problems import InputError, Problem

TOOL: Final = "optimum-benchmark"

MS_PER_S: Final = 1000.0
BYTES_PER_MB: Final = 1e6
J_PER_KWH: Final = 3.6e6

PHASES: Final = ("prefill", "decode", "generate", "forward", "call")
"""Targets that become rows; loading and first runs are notes."""

_TARGETS: Final = (
    *PHASES,
    *("load_model", "load", "first_generate", "first_call", "first_forward", "per_token", "per_step", "train"),
)
_STATISTICS: Final = {"mean": "mean", "p50": "p50", "p90": "p90", "p95": "p95", "p99": "p99", "std": "stdev"}
_CONFIGS: Final = ("benchmark_config.json", "benchmark.json")
_MEMORY: Final = ("max_global_vram", "max_process_vram", "max_reserved", "max_allocated", "max_ram")
"""Memory of the device, from the widest measure on; a CPU's is the RAM."""


@dataclass(frozen=True)
class _Run:
    """A report, and what is known of its configuration."""

    report: Fields
    config: Fields | None
    batch: float | None
    """As the configuration or the person who imports it says; None where neither does."""

    def shape(self, key: str) -> float | None:
        """A size of the inputs."""
        return None if self.config is None else self.config.fields("scenario").fields("input_shapes").number(key)

    @property
    def new_tokens(self) -> float | None:
        """Tokens of an answer."""
        if self.config is None:
            return None
        return self.config.fields("scenario").fields("generate_kwargs").number("max_new_tokens", at_least=1)


def read(files: Sequence[Path], options: ImportOptions) -> Observations:
    """What did optimum-benchmark measure? A row for each phase of each run.

    Parameters
    ----------
    files
        Reports; configurations may stand among them, or beside a report in its folder.
    options
        ``batches``: one for each report, where no configuration is at hand.

    Raises
    ------
    InputError
        With all problems of all files: a batch size that nothing tells, a unit that is not the tool's.
    """
    documents, problems = _documents(files)
    runs = list(_runs(documents, options)) if not problems else []
    rows = [with_said(row, options) for run in runs for row in _rows(run, options)]
    problems += [problem for document in documents for problem in document.located()]
    if not rows and not problems:
        rule, remedy = "holds no latency", "Let the scenario measure it: scenario.latency=true."
        problems.append(Problem(documents[0].file, None, None, "", rule, None, remedy))
    if problems:
        raise InputError(dict.fromkeys(problems))
    configs = [run.config for run in runs if run.config is not None]
    startup = _startup(runs[0]) if len(runs) == 1 else {}
    return Observations(
        rows=tuple(rows),
        scope="device",
        provenance=options.provenance(tool=_tool(configs), **_provenance(configs)),
        notes={"startup": startup} if startup else {},
        warnings=tuple(_warnings(runs)),
    )


def _documents(files: Sequence[Path]) -> tuple[list[Document], list[Problem]]:
    documents: list[Document] = []
    problems: list[Problem] = []
    for file in files:
        try:
            documents.append(read_document(file))
        except InputError as error:
            problems += error.problems
    return documents, problems


def _runs(documents: Sequence[Document], options: ImportOptions) -> Iterator[_Run]:
    """Every report with its configuration: in the same file, in the same folder among the files, or beside it."""
    reports: list[tuple[Document, Fields, Fields | None]] = []
    configs: dict[Path, Fields] = {}
    for document in documents:
        root = document.root
        if "report" in root:
            reports.append((document, root.fields("report"), root.fields("config") if "config" in root else None))
        elif "scenario" in root:
            configs[Path(document.file).parent] = root
        elif any(target in root for target in _TARGETS):
            reports.append((document, root, None))
        elif not document.problems:
            document.problem("", "is neither a report nor a configuration of optimum-benchmark", None, _NAME_ONE)
    if not reports and not any(document.problems for document in documents):
        documents[0].problem("", "is a configuration without a report", None, _NAME_ONE)
    batches = options.batch_for_each(len(reports)) if reports else ()
    for index, (document, report, config) in enumerate(reports):
        folder = Path(document.file).parent
        config = config or configs.get(folder) or (next(iter(configs.values())) if len(configs) == 1 else None)
        config = config or _beside(document)
        run = _Run(report, config, batches[index] if batches else None)
        batch = run.batch or run.shape("batch_size")
        if batch is None:
            remedy = f"Name {' or '.join(_CONFIGS)} beside it, or give --batch N."
            document.problem("", "does not say the batch size, which its configuration holds", None, remedy)
        yield _Run(report, config, batch)


_NAME_ONE: Final = "Name benchmark_report.json or benchmark.json."


def _beside(document: Document) -> Fields | None:
    """The configuration in the folder of a report, where there is one that can be read."""
    for name in _CONFIGS:
        path = Path(document.file).parent / name
        if path.name != Path(document.file).name and path.is_file():
            try:
                root = read_document(path).root
            except InputError:
                continue
            return root.fields("config") if "config" in root else root
    return None


def _rows(run: _Run, options: ImportOptions) -> Iterator[Observation]:
    apart = "decode" in run.report and "prefill" in run.report
    tokens = options.output_tokens or run.new_tokens
    for phase in PHASES:
        measured = run.report.fields(phase)
        if "latency" not in measured or (phase == "generate" and apart):
            continue  # an answer is its prefill and its decode
        steps = 1.0
        if phase == "decode":
            if tokens is not None and tokens > 1:
                steps = tokens - 1
            elif "latency" in run.report.fields("per_token"):
                measured = run.report.fields("per_token")
            else:
                remedy = "Name its configuration (scenario.generate_kwargs.max_new_tokens), or give --output-tokens."
                measured.problem("", "does not say how many tokens it is the time of", None, remedy)
                continue
        yield _row(run, phase, measured, steps, tokens)


def _row(run: _Run, phase: str, measured: Fields, steps: float, tokens: float | None) -> Observation:
    of_llm = phase in ("prefill", "decode", "generate")
    latency = measured.fields("latency")
    in_ms = MS_PER_S / steps if _has_unit(latency, "s") else 0.0
    values = [tidied(value * in_ms) for value in latency.numbers("values")]
    mean_ms = latency.number("mean", required=True)
    energy_j = _energy_j(measured)
    return Observation(
        batch=run.batch or 1.0,
        requests=latency.count("count"),
        throughput_rps=1000 / (mean_ms * in_ms) if mean_ms and in_ms else None,
        latency_ms=latency.statistics(_STATISTICS, in_ms),
        samples_ms=raw_quantiles(values),
        prompt_tokens=run.shape("sequence_length") if of_llm else None,
        output_tokens=tokens if of_llm and phase != "prefill" else None,
        memory_bytes=_memory_bytes(measured),
        energy_j=energy_j / steps if energy_j is not None else None,
        notes=_notes(run, phase, steps),
        place=run.report.document.place(measured.path),
    )


def _has_unit(fields: Fields, unit: str) -> bool:
    told = fields.content.get("unit")
    if told != unit:
        rule, value = f"must be {unit}", "nothing" if told is None else repr(told)
        fields.problem("unit", rule, value, "A figure in another unit is not guessed at.")
    return bool(told == unit)


def _memory_bytes(measured: Fields) -> float | None:
    memory = measured.fields("memory")
    if not memory.content or not _has_unit(memory, "MB"):
        return None
    found = (memory.number(key) for key in _MEMORY)
    return next((value * BYTES_PER_MB for value in found if value), None)


def _energy_j(measured: Fields) -> float | None:
    """Energy of the GPU for one execution; of everything where there is none."""
    energy = measured.fields("energy")
    if not energy.content or not _has_unit(energy, "kWh"):
        return None
    kwh = energy.number("gpu") or energy.number("total")
    return kwh * J_PER_KWH if kwh else None


def _notes(run: _Run, phase: str, steps: float) -> dict[str, Any]:
    notes: dict[str, Any] = {"target": phase} if phase in ("forward", "call") else {"phase": phase}
    if steps > 1:
        notes["steps"] = steps
    shapes = run.config.fields("scenario").fields("input_shapes").content if run.config is not None else {}
    others = {key: value for key, value in shapes.items() if key not in ("batch_size", "sequence_length")}
    return notes | ({"input_shapes": others} if others and phase in ("forward", "call") else {})


def _startup(run: _Run) -> dict[str, float]:
    """Seconds to load the model, and of the first execution."""
    found: dict[str, float] = {}
    for name, targets in (("load_s", ("load_model", "load")), ("first_inference_s", _TARGETS[7:10])):
        for target in targets:
            seconds = run.report.fields(target).fields("latency").number("mean")
            if seconds is not None:
                found.setdefault(name, seconds)
    return found


def _tool(configs: Sequence[Fields]) -> str:
    version = one_of(config.fields("environment").text("optimum_benchmark_version") for config in configs)
    return " ".join(filter(None, [TOOL, version]))


def _provenance(configs: Sequence[Fields]) -> Mapping[str, Any]:
    """What the configurations tell of the model, the device and the framework."""
    found: dict[str, Any] = {
        key: one_of(config.fields("backend").text(name) for config in configs)
        for key, name in (("model", "model"), ("precision", "torch_dtype"), ("runtime", "name"))
    }
    devices = []
    for config in configs:
        environment, device = config.fields("environment"), config.fields("backend").text("device")
        gpus = environment.content.get("gpu")
        on_gpu = device in ("cuda", "gpu") and isinstance(gpus, list) and bool(gpus)
        devices.append(str(gpus[0]) if on_gpu and isinstance(gpus, list) else environment.text("cpu") or device)
    return {**found, "device": one_of(devices)}


def _warnings(runs: Sequence[_Run]) -> Iterator[str]:
    if any(run.config is None for run in runs):
        yield "no configuration was at hand: the lengths of inputs, the device and the precision are not told"
    if any("prefill" in run.report and run.shape("sequence_length") is None for run in runs):
        yield "the lengths of prompts are not told: give --prompt-tokens"
