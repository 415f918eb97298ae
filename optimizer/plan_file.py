"""A plan file: the YAML door of ``optimize``. What a file can get wrong is found here, together, with line and column.

:func:`load_plan` is the way in. A :class:`Question` that exists is sound: its profiles and traffic are read, its prices
known. Where to read next: what may be written (:mod:`optimizer.plan_spec`), the rules between entries
(:mod:`optimizer.plan_check`), what is searched (:mod:`optimizer.settings`), when how much is asked
(:mod:`optimizer.demand`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, ValidationError

from calibration.problems import InputError, Problem
from calibration.profile import Profile
from calibration.profile_file import merged
from calibration.schema import Entry, Flag, FormatVersion, Whole, flaw_problem, problems_of
from calibration.source import Source, read_source
from calibration.tree import LARGEST_INT
from calibration.units import DurationNs, PositiveDurationNs
from optimizer.plan_check import PlanParts, flaws_between
from optimizer.plan_spec import Candidate, PlanSpec, PlanWorkload, QuotaSpec
from simulator.arrival_spec import BesidePath
from simulator.fleet_spec import Fleet
from simulator.overrides import with_overrides
from simulator.sections import Name, ProfileEntry, entries_of, in_order, later, named, sound_entries, written_profiles

if TYPE_CHECKING:
    from simulator.arrival_column import Trace
    from simulator.describe import FleetPrice
    from simulator.rate_series import RateSeries


class PlanFile(Entry):
    """A planning question: what is asked, what could serve it, and what the plan must keep to."""

    schema_version: FormatVersion = Field(alias="schema")
    """Version of this format: 1."""
    name: Name
    """What the plan is called in reports."""
    seed: Annotated[Whole, Field(ge=0, le=LARGEST_INT)] = 0
    """Seed of all randomness: the same seed gives the same plan."""
    horizon_ns: PositiveDurationNs | None = Field(default=None, alias="horizon")
    """How much of the rate series is planned; default: all. Simulations are as long as their percentiles need."""
    warmup_ns: DurationNs = Field(default=0, alias="warmup")
    """Of a scenario. A plan does not read it: simulations leave out as much of their beginning as they need to."""
    profiles: dict[Name, ProfileEntry] = Field(default={})
    """Served models by name: a profile file, a shipped profile's name, or the batch curve itself."""
    prices: BesidePath | None = None
    """CSV of the user's own prices, asked before the catalogue that comes with the program."""
    allow_extrapolation: Flag = False
    """Whether batch sizes that no profile measured may be used."""
    fleets: dict[Name, Fleet] = Field(default={})
    """Of a scenario. A plan does not read them: which fleets run is what it decides."""
    workloads: dict[Name, PlanWorkload] = Field(min_length=1)
    """What is asked, by name."""
    plan: PlanSpec
    """What could serve, and what the plan must keep to."""


@dataclass(frozen=True)
class Question:
    """A plan file with everything that it names: profiles, prices, traffic."""

    file: PlanFile
    """What was written."""
    profiles: Mapping[str, Profile]
    """Profiles by name, shipped ones that candidates name included."""
    prices: Mapping[str, FleetPrice]
    """What an hour of an instance costs, and who says so, by candidate."""
    traffic: Mapping[str, RateSeries | Trace]
    """What the files of rate series and traces hold, by workload."""
    path: Path | None = None
    """The file it was read from; None when it was made from values."""
    warnings: tuple[Problem, ...] = ()
    """What a reader should be told although nothing depends on it."""
    source: Source = field(default=Source("<plan>"), repr=False, compare=False)
    """Where each value stands."""

    @property
    def workloads(self) -> dict[str, PlanWorkload]:
        """What is asked, by name."""
        return self.file.workloads

    @property
    def candidates(self) -> tuple[Candidate, ...]:
        """What could serve, in the order of the file."""
        return self.file.plan.candidates

    def problem(self, path: str, rule: str, value: str | None = None, remedy: str = "") -> Problem:
        """Give a problem that a later stage found, with line and column of the value at this dotted path."""
        return self.source.problem(path, rule, value, remedy)


def load_plan(path: str | Path, settings: Mapping[str, str] | Sequence[str] = ()) -> Question:
    """Which planning question does this YAML or JSON file hold?

    Parameters
    ----------
    path
        The file.
    settings
        ``path.to.key=value`` texts of ``--set``, or values by path; applied in order, values read as YAML.

    Raises
    ------
    InputError
        With everything that is wrong with the file, the files it names, its prices, and the settings.
    """
    return question_in(read_source(path), Path(path), settings, Path(path).parent)


def question_from(content: Mapping[str, Any], *, folder: str | Path = ".", file: str = "<plan>") -> Question:
    """Which planning question do these values describe? They are what the YAML would hold.

    Raises
    ------
    InputError
        With everything that is wrong with them; places name ``file``.
    """
    return question_in(Source(file, dict(content)), None, (), Path(folder))


def json_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of a plan file, for editors and ``optimize schema``."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **PlanFile.model_json_schema()}


def question_in(
    source: Source, path: Path | None, settings: Mapping[str, str] | Sequence[str], folder: Path
) -> Question:
    """Which planning question do the values of this source describe? For files that hold more than a plan.

    Raises
    ------
    InputError
        As :func:`load_plan`.
    """
    source, problems = with_overrides(source, settings)
    context = {"folder": folder}
    written, in_files, warnings = written_profiles(source, folder, _profiles_named(source))
    profiles = named(sound_entries(Profile, written, context))
    draft = dict(source.content)
    if written or isinstance(draft.get("profiles"), dict):
        draft["profiles"] = {**written, **profiles}
    file: PlanFile | None = None
    try:
        file = PlanFile.model_validate(draft, context=context)
    except ValidationError as error:
        problems += problems_of(error, source, PlanFile, later=_later)
    parts = _parts(source, profiles, written, folder)
    problems += [flaw_problem(source, flaw.path, flaw) for flaw in flaws_between(parts)]
    prices, found = _prices(source, parts)
    problems += found
    traffic, unread = _traffic(parts)
    problems = in_order([*merged(source, problems), *in_files, *unread], source.file)
    if problems or file is None:
        raise InputError(problems)
    question = Question(file, file.profiles, prices, traffic, path, (*warnings, *_not_read(source, file)), source)
    from optimizer.demand import demand

    demand(question)  # workloads that do not fit together are told before anything is simulated
    return question


def _later(word: str) -> str | None:
    """Sentence for a key or a value that is known but not supported."""
    return None if word == "plan" else later(word)


def _listed(section: object) -> list[Any]:
    return section if isinstance(section, list) else []


def _profiles_named(source: Source) -> list[object]:
    """What stands where candidates, and fleets that are not read, name profiles."""
    candidates = _listed(entries_of(source.content.get("plan")).get("candidates"))
    found: list[object] = [entries_of(candidate).get("profile") for candidate in candidates]
    for candidate in candidates:
        found += entries_of(entries_of(candidate).get("profiles")).values()
    return found


def _parts(source: Source, profiles: dict[str, Profile], written: dict[str, Any], folder: Path) -> PlanParts:
    """What of the file is sound by itself."""
    context = {"folder": folder}
    given = source.content
    section = entries_of(given.get("plan"))
    listed = _listed(section.get("candidates"))
    candidates = sound_entries(Candidate, {str(index): one for index, one in enumerate(listed)}, context)
    names = [name for one in listed if isinstance(name := entries_of(one).get("name"), str)]
    plan = sound_entries(PlanSpec, {"plan": section}, context).get("plan")
    declared, asked, prices = given.get("profiles", {}), given.get("workloads"), given.get("prices")
    return PlanParts(
        profiles=profiles,
        workloads=sound_entries(PlanWorkload, asked, context),
        candidates={int(index): candidate for index, candidate in candidates.items()},
        quotas=sound_entries(QuotaSpec, section.get("quotas"), context),
        profile_names=tuple(dict.fromkeys((*declared, *written))) if isinstance(declared, dict) else None,
        workload_names=tuple(asked) if isinstance(asked, dict) else None,
        candidate_names=tuple(names) if len(names) == len(listed) else None,
        written=tuple(entries_of(one) for one in listed),
        plan=plan,
        allow_extrapolation=given.get("allow_extrapolation", False) is not False,
        prices=folder / prices if isinstance(prices, str) and prices.strip() else None,
    )


def _prices(source: Source, parts: PlanParts) -> tuple[dict[str, FleetPrice], list[Problem]]:
    """What an instance of each candidate costs, and every price that is missing or ambiguous."""
    from simulator.describe import price_of
    from simulator.prices import PriceError, load_catalogue, shipped_catalogue

    try:
        own = () if parts.prices is None or not parts.prices.exists() else (load_catalogue(parts.prices),)
    except InputError as error:
        return {}, list(error.problems)
    prices: dict[str, FleetPrice] = {}
    problems: list[Problem] = []
    for index, written in enumerate(parts.written):
        candidate = parts.candidates.get(index) or _of_catalogue(written)
        if candidate is None:
            continue
        try:
            prices[candidate.name] = price_of(candidate, (*own, shipped_catalogue()))
        except PriceError as error:
            place = f"plan.candidates.{index}.{error.key}"
            problems.append(source.problem(place, error.rule, error.value, error.remedy))
    return prices, problems


def _of_catalogue(written: Mapping[str, object]) -> Candidate | None:
    """A broken candidate, as far as the catalogue is asked for its price; None where it is not."""
    if "usd_per_hour" in written or not isinstance(written.get("instance_type"), str):
        return None
    keys = ("instance_type", "provider", "region")
    given: dict[str, Any] = {key: written[key] for key in keys if isinstance(written.get(key), str)}
    return Candidate.model_construct(name="", **given)


def _traffic(parts: PlanParts) -> tuple[dict[str, RateSeries | Trace], list[Problem]]:
    """What the files hold that workloads replay, and what is wrong with them; an absent one is told elsewhere."""
    from simulator.recorded import read_recorded_trace, read_series

    found: dict[str, RateSeries | Trace] = {}
    problems: list[Problem] = []
    for name, workload in parts.workloads.items():
        arrivals = workload.arrivals
        file = getattr(arrivals, "file", None)
        if arrivals.process not in ("trace", "rate_series") or (file is not None and not file.is_file()):
            continue
        try:
            found[name] = read_recorded_trace(arrivals) if arrivals.process == "trace" else read_series(arrivals)
        except InputError as error:
            problems += error.problems
    return found, problems


def _not_read(source: Source, file: PlanFile) -> list[Problem]:
    """Keys of a scenario that mean nothing to a plan, where they were written."""
    series = any(workload.arrivals.process == "rate_series" for workload in file.workloads.values())
    said = {
        "fleets": "is not read: which fleets run is what the plan decides",
        "warmup": "is not read: simulations of a plan leave out as much of their beginning as they need to",
    }
    if not series:
        said["horizon"] = "is not read: simulations of a plan are as long as their percentiles need"
    written = {key.removesuffix("_ns") for key in file.model_fields_set}
    return [source.problem(key, rule) for key, rule in said.items() if key in written]
