"""A profile kept in a file of its own, with what was measured apart from what the simulator uses.

The file is JSON (YAML with the same keys is read too)::

    {"schema": 1,
     "provenance": {"source": "...", "device": "T4", "date": "2022-03-01", "url": "..."},
     "measurements": {"batch": [1, 8], "latency_ms": [3.1, 9.8], "p50_ms": [...], "throughput_rps": [...]},
     "service_model": {"latency_cv": 0.02, "overheads": {...}, "slowdown": [1, 2], "valid_range": [1, 8]}}

``service_model`` is what a run uses. Its batch curve is the measured one unless it states its own (a fit). Measured
percentiles and samples describe the scatter only if ``service_model.noise`` asks for it, or if there is no
``service_model`` at all: what a client measured under load is no property of the accelerator.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, ConfigDict, Field, ValidationError

from calibration.problems import InputError, Problem
from calibration.profile import LARGEST_BATCH, Curve, Ms, Noise, Overheads, Profile
from calibration.schema import Entry, Flaw, FormatVersion, Number, Whole, flaw_problem, problems_of
from calibration.source import Source, read_source

INSIDE_REQUESTS: Final = "executions inside lone requests to a server"
"""What ``service_model.basis.curve`` begins with where no execution was timed: the curve follows from ``loads``."""

WHOLE_LATENCY: Final = (
    "nothing tells the execution from the rest of a request: its whole latency counts as time on the device"
)
"""Warning of a fit of such requests, where the curve holds whatever else they spend their time on."""

_SCATTER: Final = ("p50_ms", "p99_ms", "samples_ms")

Method = Literal["points", "isotonic_pchip", "linear_roofline"]
"""How a batch curve is fitted (:mod:`calibration.curve`)."""


def _plain_range(value: object) -> object:
    """``{"batch": [1, 8]}`` and ``[1, 8]`` say the same."""
    return value["batch"] if isinstance(value, dict) and list(value) == ["batch"] else value


class Measurements(Entry):
    """What was measured, a column each, one entry a point; columns beyond these are kept as notes."""

    model_config = ConfigDict(extra="allow")

    batch: tuple[Annotated[Whole, Field(ge=1, le=LARGEST_BATCH)], ...] = Field(min_length=1)
    """Items in the batch."""
    latency_ms: tuple[Ms, ...] = Field(min_length=1)
    """Mean time in ms that the accelerator needed for that batch."""
    p50_ms: tuple[Ms | None, ...] | None = None
    """Median at each point, in ms; null where it is not known."""
    p90_ms: tuple[Ms | None, ...] | None = None
    """90th percentile at each point, in ms; null where it is not known."""
    p95_ms: tuple[Ms | None, ...] | None = None
    """95th percentile at each point, in ms; null where it is not known."""
    p99_ms: tuple[Ms | None, ...] | None = None
    """99th percentile at each point, in ms; null where it is not known."""
    samples_ms: tuple[tuple[Ms, ...] | None, ...] | None = None
    """Single execution times at each point, in ms; null where they are not known."""

    def flaws(self) -> Iterator[Flaw]:
        """Columns that are not as long as ``batch``."""
        for key, column in {**self.__dict__, **(self.model_extra or {})}.items():
            if isinstance(column, list | tuple) and len(column) != len(self.batch):
                rule = f"must be as long as batch ({len(self.batch)})"
                yield Flaw((key,), rule, f"{len(column)} entries", "Give one value for each batch size.")


class ServiceModel(Entry):
    """What a run uses; what it leaves out is taken from the measurements."""

    kind: Literal["interpolated"] = "interpolated"
    """How the points become a curve: by straight lines."""
    method: Method | None = None
    """How the points were fitted to the measurements; ``points``: they are the measurements."""
    ci95_ms: tuple[tuple[Ms, Ms], ...] | None = None
    """95 % interval of ``latency_ms`` at each point, from the bootstrap."""
    cross_validation: dict[str, Number] | None = None
    """Relative error (root mean square) at points held out, by method: why ``method`` was chosen."""
    basis: dict[str, str] = Field(default={})
    """What ``curve``, ``noise``, ``overheads`` and ``slowdown`` rest on, a sentence each."""
    batch: tuple[Annotated[Whole, Field(ge=1, le=LARGEST_BATCH)], ...] | None = Field(default=None, min_length=1)
    """Items in the batch, increasing; together with ``latency_ms``."""
    latency_ms: tuple[Ms, ...] | None = Field(default=None, min_length=1)
    """Mean time in ms that the accelerator needs for that batch."""
    latency_cv: Curve | None = None
    """Coefficient of variation of the execution time, one number or one a point."""
    p50_ms: tuple[Ms, ...] | None = None
    """Median of the execution time at each point, in ms."""
    p99_ms: tuple[Ms, ...] | None = None
    """99th percentile of the execution time at each point, in ms."""
    samples_ms: tuple[tuple[Ms, ...], ...] | None = None
    """Execution times to resample at each point, in ms."""
    noise: Noise | None = None
    """Which scatter to use."""
    overheads: Overheads | None = None
    """Parts of a request's life outside the execution."""
    slowdown: tuple[Number, ...] | None = None
    """How many times as long each of k executions takes when k share the accelerator."""
    valid_range: Annotated[tuple[Whole, Whole], BeforeValidator(_plain_range)] | None = None
    """Smallest and largest batch the model may be used for."""
    residuals: Any = None
    """What the fit left over at each measured point, as a share of it; kept as a note."""
    warnings: tuple[str, ...] = ()
    """What a reader of its numbers should know: few points, points that contradict each other ..."""

    def flaws(self) -> Iterator[Flaw]:
        """Half a curve."""
        if (self.batch is None) != (self.latency_ms is None):
            given, other = ("batch", "latency_ms") if self.latency_ms is None else ("latency_ms", "batch")
            yield Flaw((given,), f"means nothing without {other}", None, f"Add {other}, or leave both out.")
        if self.ci95_ms is not None and len(self.ci95_ms) != len(self.batch or ()):
            rule = f"must be as long as batch ({len(self.batch or ())})"
            yield Flaw(("ci95_ms",), rule, f"{len(self.ci95_ms)} entries", "Give one interval for each batch size.")


class ProfileFile(Entry):
    """A profile file as a whole."""

    schema_version: FormatVersion = Field(alias="schema")
    """Version of this format: 1."""
    name: str = ""
    """A label; the file's name where it is left out."""
    provenance: dict[str, Any] = Field(default={})
    """Where the figures come from: ``source``, ``device``, ``date``, ``url``, ``commit``; or one ``citation``."""
    measurements: Measurements | None = None
    """What was measured."""
    loads: dict[str, list[Any]] | None = None
    """What clients of a server saw at stated loads, a column each (:mod:`calibration.observation_table`)."""
    steps: dict[str, list[Any]] | None = None
    """Steps of an LLM that were timed on the device, a column each: what ``llm`` was fitted to."""
    cold_start: dict[str, Any] | None = None
    """Seconds from nothing to a steady state, by stage, as they were measured."""
    llm: dict[str, Any] | None = None
    """Step times of an LLM (:mod:`calibration.llm_steps`)."""
    service_model: ServiceModel | None = None
    """What a run uses."""
    notes: dict[str, Any] = Field(default={})
    """What else the source told: kept, not used."""

    def flaws(self) -> Iterator[Flaw]:
        """Nothing that was measured, and no curve."""
        if not self.has_curve and self.llm is None and not self.loads:
            rule, remedy = "needs a batch curve", "Add measurements: batch and latency_ms."
            yield Flaw(("measurements",), rule, None, remedy)

    @property
    def has_curve(self) -> bool:
        """Whether it says how long a batch takes, which is what a fleet is simulated with."""
        return self.measurements is not None or (
            self.service_model is not None and self.service_model.batch is not None
        )

    @property
    def follows_from_loads(self) -> bool:
        """Whether the rows of ``measurements`` were found inside the requests of ``loads``, and not timed."""
        model = self.service_model
        return bool(self.loads) and model is not None and model.basis.get("curve", "").startswith(INSIDE_REQUESTS)


def read_profile(path: str | Path) -> Profile:
    """Which profile does this file hold?

    Raises
    ------
    InputError
        With everything that is wrong with the file.
    """
    source = read_source(path)
    profile, problems = profile_from(source, name=Path(path).stem)
    if profile is None or problems:
        raise InputError(problems)
    return profile


def read_profile_file(path: str | Path) -> ProfileFile:
    """What does this profile file hold, measurements and fit apart?

    Raises
    ------
    InputError
        With everything that is wrong with the file.
    """
    source = read_source(path)
    name = Path(path).stem
    try:
        file = ProfileFile.model_validate(source.content)
    except ValidationError as error:
        raise InputError(merged(source, problems_of(error, source, ProfileFile))) from None
    problems = profile_from(source, name=name)[1] if file.has_curve else source.problems
    if problems:
        raise InputError(problems)
    return file if file.name else file.model_copy(update={"name": name})


def profile_from(source: Source, *, name: str) -> tuple[Profile | None, list[Problem]]:
    """Which profile do these values describe, and what is wrong with them? The profile is None when it is unusable."""
    try:
        file = ProfileFile.model_validate(source.content)
    except ValidationError as error:
        return None, merged(source, problems_of(error, source, ProfileFile))
    if not file.has_curve:
        path, words = ("llm", "step times of an LLM") if file.llm is not None else ("loads", "loads of a server")
        rule = f"holds {words} and no batch curve, so that no fleet can be simulated with it"
        return None, [*source.problems, source.problem(path, rule, None, "Measure the model in batches, too.")]
    chosen, section = _chosen(file)
    try:
        profile = Profile.model_validate({"name": file.name or name, "provenance": file.provenance, **chosen})
    except ValidationError as error:
        found = [
            flaw_problem(source, (section.get(str(flaw.path[0]), "service_model"), *flaw.path), flaw)
            for detail in error.errors(include_url=False)
            for flaw in detail["ctx"]["flaws"]
        ]
        return None, merged(source, found)
    return profile, list(source.problems)


def merged(source: Source, found: list[Problem]) -> list[Problem]:
    """Problems of the text and those found in its values, in the order of the file.

    What follows from a value that could not be read in the first place is left out.
    """
    both = [*source.problems, *(problem for problem in found if problem.path not in source.lost)]
    return sorted(dict.fromkeys(both), key=lambda problem: (problem.line or 0, problem.column or 0))


def _chosen(file: ProfileFile) -> tuple[dict[str, Any], dict[str, str]]:
    """Keys of the profile to build, and the section of the file that each came from."""
    model, measured = file.service_model, file.measurements
    chosen: dict[str, Any] = {}
    section: dict[str, str] = {}
    notes: dict[str, Any] = {}
    if model is not None:
        keys = ("batch", "latency_ms", "latency_cv", *_SCATTER, "noise", "overheads", "slowdown", "valid_range")
        chosen = {key: getattr(model, key) for key in keys if getattr(model, key) is not None}
        chosen["warnings"] = model.warnings
        notes = {} if model.residuals is None else {"residuals": model.residuals}
    if measured is not None:
        own_curve = chosen.get("batch", measured.batch) != measured.batch
        curve = () if "batch" in chosen else ("batch", "latency_ms")
        scatter = () if own_curve else _wanted_scatter(model, measured)
        for key in (*curve, *scatter):
            if getattr(measured, key) is not None:
                chosen[key], section[key] = getattr(measured, key), "measurements"
        notes |= {key: value for key, value in measured if key not in section and value is not None}
    return {**chosen, "notes": notes}, section


def _wanted_scatter(model: ServiceModel | None, measured: Measurements) -> tuple[str, ...]:
    """Columns of the measurements that describe the scatter of this model."""
    percentiles = ("p50_ms", "p99_ms")
    if model is None:
        if _complete(measured.samples_ms):
            return ("samples_ms",)
        return percentiles if _complete(measured.p50_ms) and _complete(measured.p99_ms) else ()
    if model.noise is None or model.noise.kind == "none":
        return ()
    if model.noise.kind == "empirical":
        return () if model.samples_ms is not None else ("samples_ms",)
    return () if model.latency_cv is not None or model.p50_ms is not None else percentiles


def _complete(column: tuple[object, ...] | None) -> bool:
    """Whether a column has an entry for every point."""
    return column is not None and None not in column
