"""Sections of a file whose keys are names of the user's own, and the profiles that they name.

What a scenario and a plan file have in common: an entry is judged by itself, so that a broken one does not hide what
is wrong with the others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar

from pydantic import AfterValidator, Field, GetJsonSchemaHandler, ValidationError
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from calibration.catalogue import known, profile_path
from calibration.problems import InputError, Problem
from calibration.profile import Profile
from calibration.profile_file import profile_from
from calibration.schema import Entry
from calibration.source import COMMAND_LINE, Source, did_you_mean, file_problem, printable, read_source
from calibration.tree import shown
from calibration.units import refusal

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


ProfileEntry = Annotated[Profile, _PathOrInline()]
"""A profile, or the path of one."""


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


def later(word: str) -> str | None:
    """Sentence for a key or a value that is known but not supported."""
    if word.startswith(("ttft_", "tpot_", "itl_")):
        return "is an objective of LLM serving, which this version does not simulate"
    return _LATER.get(word)


def written_profiles(
    source: Source, folder: Path, used: Sequence[object]
) -> tuple[dict[str, Any], list[Problem], list[Problem]]:
    """Profiles by name (broken inline ones as they were written), problems in their files, and warnings.

    Parameters
    ----------
    source
        The file, whose section ``profiles`` is read.
    folder
        Where relative paths start.
    used
        What stands where the name of a profile belongs. A file that is absent stops the run only if its profile is
        used: nothing depends on the others. Shipped profiles are found by their names.
    """
    section = source.content.get("profiles")
    profiles: dict[str, Any] = {}
    problems: list[Problem] = []
    warnings: list[Problem] = []
    for name, entry in entries_of(section).items():
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
                    near = did_you_mean(entry, known())
                    remedy = f"{remedy} {near or 'calibrate list shows the profiles that are shipped.'}"
                at_fault.append(source.problem(dotted, f"names a file that {rule}", f"'{printable(entry)}'", remedy))
        elif isinstance(entry, dict | Profile):
            profiles[name] = entry
        else:
            rule, remedy = "must be the path of a profile file, or a profile", "Give batch and latency_ms, or a path."
            problems.append(source.problem(dotted, rule, shown(entry), remedy))
    sound = isinstance(section, dict) or "profiles" not in source.content
    for name in dict.fromkeys(name for name in used if sound and isinstance(name, str)):
        if name not in entries_of(section) and name in known():
            profile, found = _from_file(known()[name])
            problems += found
            profiles |= {} if profile is None else {name: profile}
    return profiles, problems, warnings


def _from_file(file: Path) -> tuple[Profile | None, list[Problem]]:
    try:
        return profile_from(read_source(file), name=file.stem)
    except InputError as error:
        return None, list(error.problems)


def sound_entries(kind: type[EntryKind], section: object, context: Mapping[str, Any]) -> dict[str, EntryKind]:
    """Entries of a section that are sound by themselves."""
    sound: dict[str, EntryKind] = {}
    for name, written in entries_of(section).items():
        try:
            sound[name] = kind.model_validate(written, context=dict(context))
        except ValidationError:
            continue  # reported with the scenario as a whole
    return sound


def entries_of(section: object) -> dict[str, Any]:
    """What a section holds by name; nothing when it is no mapping."""
    return section if isinstance(section, dict) else {}


def named(profiles: dict[str, Profile]) -> dict[str, Profile]:
    """The profiles, with their key for a name where they have none of their own."""
    return {key: profile.model_copy(update={"name": profile.name or key}) for key, profile in profiles.items()}


def in_order(problems: list[Problem], file: str) -> list[Problem]:
    """The scenario's own problems from top to bottom, then those of the files it names, then the command line's."""

    def rank(problem: Problem) -> tuple[int, int, int]:
        group = 0 if problem.file == file else 2 if problem.file == COMMAND_LINE else 1
        return group, (problem.line or 0) * (group == 0), (problem.column or 0) * (group == 0)

    return sorted(dict.fromkeys(problems), key=rank)
