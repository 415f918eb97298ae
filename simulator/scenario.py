"""A scenario: the YAML door. Everything that a file can get wrong is found here, together, with line and column.

:func:`load_scenario` is the way in; a :class:`Scenario` that exists is sound, and later stages need not look again.
Where to read next: what serves (:mod:`simulator.fleet_spec`), what is asked (:mod:`simulator.workload_spec`,
:mod:`simulator.arrival_spec`), the rules between the two (:mod:`simulator.crosscheck`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar

from pydantic import AfterValidator, Field, GetJsonSchemaHandler, PrivateAttr, ValidationError
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError

from calibration.catalogue import profile_path, shipped
from calibration.problems import InputError, Problem
from calibration.profile import Profile
from calibration.profile_file import merged, profile_from
from calibration.schema import Entry, Flag, FormatVersion, Whole, flaw_problem, problems_of
from calibration.source import COMMAND_LINE, Source, did_you_mean, file_problem, printable, read_source
from calibration.tree import LARGEST_INT, shown
from calibration.units import DurationNs, PositiveDurationNs, duration_ns, positive_duration_ns, refusal
from simulator.arrival_spec import BesidePath
from simulator.crosscheck import Parts, batch_range, flaws_between
from simulator.fleet_spec import Batching, Fleet
from simulator.overrides import with_overrides
from simulator.workload_spec import Slo, Workload

__all__ = ["Batching", "Fleet", "Scenario", "Slo", "Workload", "json_schema", "load_scenario", "scenario_from"]

EntryKind = TypeVar("EntryKind", bound=Entry)


def _sound_name(name: str) -> str:
    if not name.strip() or name != name.strip() or not name.isprintable():
        raise refusal("must be a name without blanks at its ends and without control characters", "Remove them.")
    return name


Name = Annotated[str, Field(min_length=1, max_length=100), AfterValidator(_sound_name)]


class _PathOrInline:
    """A profile in YAML is the path of a file, or the profile itself."""

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        path = {"type": "string", "description": "Path of a profile file, relative to the scenario's folder."}
        return {"anyOf": [path, handler(core)]}


class Scenario(Entry):
    """One question to the simulator: fleets, the traffic they get, and for how long."""

    schema_version: FormatVersion = Field(alias="schema")
    """Version of this format: 1."""
    name: Name
    """What the scenario is called in reports."""
    seed: Annotated[Whole, Field(ge=0, le=LARGEST_INT)] = 0
    """Seed of all randomness: the same seed gives the same run."""
    horizon_ns: PositiveDurationNs | None = Field(default=None, alias="horizon")
    """Simulated time over which requests arrive; may be left out when every workload replays a trace or a rate
    series, and is then as long as those."""
    warmup_ns: DurationNs = Field(default=0, alias="warmup")
    """Beginning of the run that is left out of the latency statistics; it is still billed."""
    profiles: dict[Name, Annotated[Profile, _PathOrInline()]] = Field(default={})
    """Served models by name: a profile file, a shipped profile's name, or the batch curve itself."""
    fleets: dict[Name, Fleet] = Field(min_length=1)
    """What serves, by name."""
    workloads: dict[Name, Workload] = Field(min_length=1)
    """What is asked, by name."""
    prices: BesidePath | None = None
    """CSV of the user's own prices, asked before the catalogue that comes with the program."""
    allow_extrapolation: Flag = False
    """Whether batch sizes that no profile measured may be used."""

    _source: Source = PrivateAttr(default=Source("<scenario>"))
    _path: Path | None = PrivateAttr(default=None)
    _warnings: tuple[Problem, ...] = PrivateAttr(default=())

    def __eq__(self, other: object) -> bool:
        # Where a scenario was written down is no part of what it says.
        return isinstance(other, Scenario) and self.__dict__ == other.__dict__

    def __hash__(self) -> int:
        return hash(self.model_dump_json())

    @property
    def path(self) -> Path | None:
        """The file it was read from; None when it was made from values."""
        return self._path

    @property
    def warnings(self) -> tuple[Problem, ...]:
        """What a reader should be told although nothing depends on it."""
        return self._warnings

    def problem(self, path: str, rule: str, value: str | None = None, remedy: str = "") -> Problem:
        """Give a problem that a later stage found, with line and column of the value at this dotted path."""
        return self._source.problem(path, rule, value, remedy)

    def workloads_of(self, fleet: str) -> dict[str, Workload]:
        """Workloads that a fleet serves, by name."""
        return {name: workload for name, workload in self.workloads.items() if workload.fleet == fleet}

    def batch_range(self, fleet: str) -> tuple[int, int]:
        """Smallest and largest batch, in items, that can occur on a fleet."""
        return batch_range(self.fleets[fleet], self.workloads_of(fleet))

    def slowdown(self, fleet: str) -> tuple[float, ...]:
        """How many times as long do 1, 2, ... executions at once each take on this fleet? One entry a model instance.

        The fleet's own, else its profile's, else k for k at once: they share one accelerator.
        """
        spec = self.fleets[fleet]
        given = spec.slowdown or self.profiles[spec.profile].slowdown
        shared = tuple(float(k) for k in range(1, spec.model_instances + 1))
        return (given or shared)[: spec.model_instances]

    def with_overrides(self, overrides: Mapping[str, str] | Sequence[str]) -> Scenario:
        """The same scenario with some values changed, as by ``--set``; files are read again.

        Raises
        ------
        InputError
            With everything that is wrong with the result.
        """
        return _scenario(self._source, self._path, overrides)

    def canonical_json(self) -> str:
        """Everything a run depends on, as one text: a key under which its results may be kept.

        Files that the run reads (traces, rate series, prices) enter by their contents.
        """
        files = [getattr(workload.arrivals, "file", None) for workload in self.workloads.values()]
        digests = {str(file): _digest(file) for file in [*files, self.prices] if file is not None}
        content = self.model_dump(mode="json", by_alias=True)
        return json.dumps({"scenario": content, "files": digests}, separators=(",", ":"), ensure_ascii=False)


def load_scenario(path: str | Path, overrides: Mapping[str, str] | Sequence[str] = ()) -> Scenario:
    """Which scenario does this YAML file hold?

    Parameters
    ----------
    path
        The file.
    overrides
        ``path.to.key=value`` texts of ``--set``, or values by path; applied in order, values read as YAML.

    Raises
    ------
    InputError
        With everything that is wrong with the file, the files it names, and the overrides.
    """
    return _scenario(read_source(path), Path(path), overrides)


def scenario_from(content: Mapping[str, Any], *, folder: str | Path = ".", file: str = "<scenario>") -> Scenario:
    """Which scenario do these values describe? They are what the YAML would hold: durations as text, text keys.

    Raises
    ------
    InputError
        With everything that is wrong with them; places name ``file``.
    """
    return _scenario(Source(file, dict(content)), None, (), folder=Path(folder))


def json_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of a scenario file, for editors and ``simulate schema``."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Scenario.model_json_schema()}


_LATER: Final[Mapping[str, str]] = {
    **dict.fromkeys(("prompt_tokens", "output_tokens"), "belongs to LLM serving, which this version does not simulate"),
    "continuous": "is iteration-level batching of LLM serving, which this version does not simulate",
    "models": "puts several models on one fleet, which this version does not simulate; name one under profile",
    "plan": "belongs to a plan file, which is solved, not simulated",
    **dict.fromkeys(
        ("reserved", "spot", "savings_plan", "committed_use", "serverless"),
        "is a purchase that this version does not bill, only on_demand",
    ),
}


def _later(word: str) -> str | None:
    """Sentence for a key or a value that is known but not supported."""
    if word.startswith(("ttft_", "tpot_", "itl_")):
        return "is an objective of LLM serving, which this version does not simulate"
    return _LATER.get(word)


def _digest(file: Path) -> str | None:
    """SHA-256 of a file's contents; None when it cannot be read now."""
    try:
        with open(file, "rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError:
        return None


def _scenario(
    source: Source, path: Path | None, overrides: Mapping[str, str] | Sequence[str], *, folder: Path | None = None
) -> Scenario:
    source, problems = with_overrides(source, overrides)
    context = {"folder": folder or (path.parent if path is not None else Path())}
    written, in_files, warnings = _profiles(source, context["folder"])
    given = source.content
    profiles = _named(_sound(Profile, written, context))
    fleets = _sound(Fleet, given.get("fleets"), context)
    workloads = _sound(Workload, given.get("workloads"), context)
    draft = dict(given)
    for key, sound in (("profiles", {**written, **profiles}), ("fleets", fleets), ("workloads", workloads)):
        if key == "profiles" and (sound or isinstance(given.get(key), dict)):
            draft[key] = sound
        elif isinstance(given.get(key), dict):
            draft[key] = {**given[key], **sound}
    scenario: Scenario | None = None
    try:
        scenario = Scenario.model_validate(draft, context=context)
    except ValidationError as error:
        problems += problems_of(error, source, Scenario, later=_later)
    parts = Parts(
        horizon_ns=_read_or_none(positive_duration_ns, given.get("horizon")),
        horizon_given=given.get("horizon") is not None,
        warmup_ns=_read_or_none(duration_ns, given.get("warmup")) or 0,
        allow_extrapolation=given.get("allow_extrapolation", False) is not False,
        profiles=profiles,
        fleets=fleets,
        workloads=workloads,
        profile_names=_with(_names(given.get("profiles", {})), written),
        fleet_names=_names(given.get("fleets", {})),
        fleet_of=_fleet_of(given.get("workloads", {})),
        profile_of=_profile_of(given.get("fleets", {})),
        prices=_prices(given.get("prices"), context["folder"]),
    )
    problems += [flaw_problem(source, flaw.path, flaw) for flaw in flaws_between(parts)]
    problems = _in_order([*merged(source, problems), *in_files], source.file)
    if problems or scenario is None:
        raise InputError(problems)
    fleets = {name: _sized(fleet, scenario.batch_range(name)[1]) for name, fleet in scenario.fleets.items()}
    scenario = scenario.model_copy(update={"fleets": fleets})
    scenario._source, scenario._path, scenario._warnings = source, path, tuple(warnings)
    return scenario


def _profiles(source: Source, folder: Path) -> tuple[dict[str, Any], list[Problem], list[Problem]]:
    """Profiles by name (broken inline ones as they were written), problems in their files, and warnings.

    A file that is absent stops the run only if a fleet uses the profile: nothing depends on the others.
    """
    section, fleets = source.content.get("profiles"), source.content.get("fleets")
    used = [_entries(fleet).get("profile") for fleet in _entries(fleets).values()]
    profiles: dict[str, Any] = {}
    problems: list[Problem] = []
    warnings: list[Problem] = []
    for name, entry in _entries(section).items():
        dotted = f"profiles.{name}"
        if isinstance(entry, str) and entry.strip():
            file = profile_path(entry, folder)
            unreadable = file_problem(file)
            if unreadable is None:
                profile, found = _from_file(file)
                problems += found
                if profile is not None:
                    profiles[name] = profile
            else:
                at_fault = problems if name in used or file.exists() else warnings
                rule, remedy = unreadable
                if "Did you mean" not in remedy:
                    near = did_you_mean(entry, shipped())
                    remedy = f"{remedy} {near or 'calibrate list shows the profiles that are shipped.'}"
                at_fault.append(source.problem(dotted, f"names a file that {rule}", f"'{printable(entry)}'", remedy))
        elif isinstance(entry, dict | Profile):
            profiles[name] = entry
        else:
            rule, remedy = "must be the path of a profile file, or a profile", "Give batch and latency_ms, or a path."
            problems.append(source.problem(dotted, rule, shown(entry), remedy))
    for name in dict.fromkeys(name for name in used if isinstance(name, str)):
        if name not in _entries(section) and name in shipped():
            profile, found = _from_file(shipped()[name])
            problems += found
            profiles |= {} if profile is None else {name: profile}
    return profiles, problems, warnings


def _from_file(file: Path) -> tuple[Profile | None, list[Problem]]:
    try:
        return profile_from(read_source(file), name=file.stem)
    except InputError as error:
        return None, list(error.problems)


def _sound(kind: type[EntryKind], section: object, context: Mapping[str, Any]) -> dict[str, EntryKind]:
    """Entries of a section that are sound by themselves."""
    sound: dict[str, EntryKind] = {}
    for name, written in _entries(section).items():
        try:
            sound[name] = kind.model_validate(written, context=dict(context))
        except ValidationError:
            continue  # reported with the scenario as a whole
    return sound


def _entries(section: object) -> dict[str, Any]:
    return section if isinstance(section, dict) else {}


def _names(section: object) -> tuple[str, ...] | None:
    """Names in a section, or None when it is none."""
    return tuple(section) if isinstance(section, dict) else None


def _with(names: tuple[str, ...] | None, more: Iterable[str]) -> tuple[str, ...] | None:
    """The names, and those that came from elsewhere."""
    return None if names is None else tuple(dict.fromkeys((*names, *more)))


def _profile_of(section: object) -> dict[str, str]:
    """Profile that each fleet names, as far as it names one."""
    fleets = _entries(section).items()
    named = {
        name: fleet.profile if isinstance(fleet, Fleet) else _entries(fleet).get("profile") for name, fleet in fleets
    }
    return {name: profile for name, profile in named.items() if isinstance(profile, str)}


def _fleet_of(section: object) -> dict[str, str] | None:
    """Fleet that each workload names, as far as it names one; None when a workload is no mapping that could."""
    if not isinstance(section, dict) or not all(isinstance(entry, dict | Workload) for entry in section.values()):
        return None
    named = {
        name: entry.fleet if isinstance(entry, Workload) else entry.get("fleet") for name, entry in section.items()
    }
    return {name: fleet for name, fleet in named.items() if isinstance(fleet, str)}


def _prices(written: object, folder: Path) -> Path | None:
    return folder / written if isinstance(written, str) and written.strip() else None


def _read_or_none(read: Callable[[object], int], value: object) -> int | None:
    """The value as it will be used; None when it is absent or broken, which is reported elsewhere."""
    try:
        return None if value is None else read(value)
    except PydanticCustomError:
        return None


def _named(profiles: dict[str, Profile]) -> dict[str, Profile]:
    """The profiles, with their key for a name where they have none of their own."""
    return {key: profile.model_copy(update={"name": profile.name or key}) for key, profile in profiles.items()}


def _sized(fleet: Fleet, largest: int) -> Fleet:
    """The fleet, with the largest request for max_batch_size where that is left out."""
    if "max_batch_size" in fleet.batching.model_fields_set:
        return fleet
    return fleet.model_copy(update={"batching": fleet.batching.model_copy(update={"max_batch_size": largest})})


def _in_order(problems: list[Problem], file: str) -> list[Problem]:
    """The scenario's own problems from top to bottom, then those of the files it names, then the command line's."""

    def rank(problem: Problem) -> tuple[int, int, int]:
        group = 0 if problem.file == file else 2 if problem.file == COMMAND_LINE else 1
        return group, (problem.line or 0) * (group == 0), (problem.column or 0) * (group == 0)

    return sorted(dict.fromkeys(problems), key=rank)
