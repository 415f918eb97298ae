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
from typing import Annotated, Any

from pydantic import Field, PrivateAttr, ValidationError
from pydantic_core import PydanticCustomError

from calibration.problems import InputError, Problem
from calibration.profile import Profile
from calibration.profile_file import merged
from calibration.schema import Entry, Flag, FormatVersion, Whole, flaw_problem, problems_of
from calibration.source import Source, read_source
from calibration.tree import LARGEST_INT
from calibration.units import DurationNs, PositiveDurationNs, duration_ns, positive_duration_ns
from simulator.arrival_spec import BesidePath
from simulator.commitment_spec import Discount, Guarantee, Promise
from simulator.crosscheck import Parts, batch_range, flaws_between
from simulator.fleet_spec import Batching, Fleet
from simulator.overrides import with_overrides
from simulator.purchase_check import Ahead
from simulator.sections import Name, ProfileEntry, entries_of, in_order, later, named, sound_entries, written_profiles
from simulator.workload_spec import Slo, Workload

__all__ = ["Batching", "Fleet", "Scenario", "Slo", "Workload", "json_schema", "load_scenario", "scenario_from"]


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
    profiles: dict[Name, ProfileEntry] = Field(default={})
    """Served models by name: a profile file, a shipped profile's name, or the batch curve itself."""
    fleets: dict[Name, Fleet] = Field(min_length=1)
    """What serves, by name."""
    workloads: dict[Name, Workload] = Field(min_length=1)
    """What is asked, by name."""
    prices: BesidePath | None = None
    """CSV of the user's own prices, asked before the catalogue that comes with the program."""
    commitments: dict[Name, Promise] = Field(default={})
    """What was promised to a provider for a term, by name: it lowers the price of what runs on demand, and is paid for
    used or not."""
    discounts: dict[Name, Discount] = Field(default={})
    """Prices below list that were negotiated, by name."""
    capacity: dict[Name, Guarantee] = Field(default={})
    """Machines that the provider keeps free, by name; a commitment keeps none."""
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
    used = [entries_of(fleet).get("profile") for fleet in entries_of(source.content.get("fleets")).values()]
    written, in_files, warnings = written_profiles(source, context["folder"], used)
    given = source.content
    profiles = named(sound_entries(Profile, written, context))
    fleets = sound_entries(Fleet, given.get("fleets"), context)
    workloads = sound_entries(Workload, given.get("workloads"), context)
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
        ahead=_ahead(given, context),
    )
    problems += [flaw_problem(source, flaw.path, flaw) for flaw in flaws_between(parts)]
    problems = in_order([*merged(source, problems), *in_files], source.file)
    if problems or scenario is None:
        raise InputError(problems)
    fleets = {name: _sized(fleet, scenario.batch_range(name)[1]) for name, fleet in scenario.fleets.items()}
    scenario = scenario.model_copy(update={"fleets": fleets})
    scenario._source, scenario._path, scenario._warnings = source, path, tuple(warnings)
    return scenario


def _ahead(given: Mapping[str, Any], context: Mapping[str, Any]) -> Ahead:
    """What is bought ahead, as far as it is sound by itself."""
    capacity = sound_entries(Guarantee, given.get("capacity"), context)
    return Ahead(
        commitments=sound_entries(Promise, given.get("commitments"), context),
        discounts=sound_entries(Discount, given.get("discounts"), context),
        capacity=capacity,
        capacity_whole=len(capacity) == len(entries_of(given.get("capacity"))),
    )


def _later(word: str) -> str | None:
    """Sentence for a key or a value that is known but belongs elsewhere, or is not supported."""
    if word in ("reserved", "savings_plan", "committed_use", "spend_commitment"):
        return "is promised for a term, whatever runs, so it stands in the section commitments and not at a fleet"
    if word in ("on_demand", "spot", "serverless", "capacity_block"):
        return "promises nothing for a term, so it stands at a fleet, as its purchase"
    return later(word)


def _names(section: object) -> tuple[str, ...] | None:
    """Names in a section, or None when it is none."""
    return tuple(section) if isinstance(section, dict) else None


def _with(names: tuple[str, ...] | None, more: Iterable[str]) -> tuple[str, ...] | None:
    """The names, and those that came from elsewhere."""
    return None if names is None else tuple(dict.fromkeys((*names, *more)))


def _profile_of(section: object) -> dict[str, str]:
    """Profile that each fleet names, as far as it names one."""
    fleets = entries_of(section).items()
    named = {
        name: fleet.profile if isinstance(fleet, Fleet) else entries_of(fleet).get("profile") for name, fleet in fleets
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


def _sized(fleet: Fleet, largest: int) -> Fleet:
    """The fleet, with the largest request for max_batch_size where that is left out."""
    if "max_batch_size" in fleet.batching.model_fields_set:
        return fleet
    return fleet.model_copy(update={"batching": fleet.batching.model_copy(update={"max_batch_size": largest})})
