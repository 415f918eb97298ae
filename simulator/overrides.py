"""``--set path.to.key=value``: the command line changes values of a scenario before they are validated.

A value is read as YAML, so ``5``, ``5ms``, ``[1, 2]`` and ``{p99: 100ms}`` mean what they mean in the file. A key may
be added where the schema has it; a profile, fleet, workload or commitment is added by setting the whole of it. An
entry of a list is named by its position, from 0, or by its ``name`` where it has one. Errors in a value that came from
here name the command line and the option.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any, Final

from calibration.problems import InputError, Problem
from calibration.source import COMMAND_LINE, Source, did_you_mean
from calibration.tree import join, shortened, shown
from calibration.yaml_text import parse_yaml

_NAMED: Final = ("profiles", "fleets", "workloads", "commitments", "discounts", "capacity")
"""Sections whose keys are names of the user's own."""


def with_overrides(source: Source, overrides: Mapping[str, str] | Sequence[str]) -> tuple[Source, list[Problem]]:
    """Which values hold after the options are applied, in order, and which options cannot be applied?

    Parameters
    ----------
    source
        The file.
    overrides
        Texts ``path.to.key=value``, or values by path.
    """
    pairs = list(overrides.items()) if isinstance(overrides, Mapping) else [_pair(text) for text in overrides]
    content = copy.deepcopy(source.content)
    options: dict[str, str] = {}
    problems: list[Problem] = []
    for path, text in pairs:
        option = shortened(f"{path}={text}" if text is not None else path)
        try:
            holder, key, changed = _placed(content, path, text)
            holder[key] = _value(str(text))
        except _CannotSetError as error:
            problems.append(Problem(COMMAND_LINE, None, None, path, error.rule, f"--set {option}", error.remedy))
            continue
        options.update(dict.fromkeys(changed, option))
    return source.with_content(content, options), problems


class _CannotSetError(Exception):
    """An option that cannot be applied: the rule it breaks, and the remedy."""

    def __init__(self, rule: str, remedy: str) -> None:
        super().__init__(rule)
        self.rule = rule
        self.remedy = remedy


def _pair(text: str) -> tuple[str, str | None]:
    path, equals, value = text.partition("=")
    return path.strip(), value if equals else None


def _placed(content: dict[str, Any], path: str, text: str | None) -> tuple[Any, Any, list[str]]:
    """Where to put the value: holder, key, and the dotted paths that come into being or change with it."""
    if text is None or not path:
        raise _CannotSetError("must have the form path.to.key=value", "For instance: --set fleets.gpu.instances=5.")
    if not all(path.split(".")):
        raise _CannotSetError("must be keys joined by single dots", "For instance: --set fleets.gpu.instances=5.")
    return _holder(content, path)


def _value(text: str) -> Any:
    try:
        tree = parse_yaml(text, COMMAND_LINE)
    except InputError as error:
        tree_problems = list(error.problems)
    else:
        tree_problems = tree.problems
    if tree_problems:
        raise _CannotSetError(tree_problems[0].rule, tree_problems[0].remedy)
    return tree.content


def _holder(content: dict[str, Any], path: str) -> tuple[Any, Any, list[str]]:
    """Walk to the container of the last key, through keys that may hold dots themselves; add mappings on the way."""
    holder: Any = content
    rest = path.split(".")
    walked: list[str] = []
    changed: list[str] = []
    while True:
        key, rest = _next_key(holder, rest)
        if isinstance(holder, list):
            key = _index(holder, key, ".".join(walked))
        dotted = ".".join([*walked, str(key)])
        if not rest:
            return holder, key, [*changed, dotted]
        if isinstance(holder, dict) and holder.get(key) is None:
            if len(walked) == 1 and walked[0] in _NAMED:
                section = walked[0]
                remedy = f"{did_you_mean(key, holder)} There are: {', '.join(holder) or 'none'}.".lstrip()
                raise _CannotSetError(f"names '{key}', which is not in {section}", remedy)
            holder[key] = {}
            changed.append(dotted)
        below = holder[key]
        if not isinstance(below, dict | list):
            hint = (
                "It is kept in a file of its own: change it there." if walked == ["profiles"] else "Set it as a whole."
            )
            raise _CannotSetError(f"goes into '{dotted}', which holds {shown(below)} and no keys", hint)
        holder, walked = below, [*walked, str(key)]


def _next_key(holder: Any, rest: list[str]) -> tuple[Any, list[str]]:
    """The longest run of parts that is a key here, since names such as g6.xlarge hold dots; else the first part."""
    known = holder if isinstance(holder, dict) else _positions(holder)
    for n in range(len(rest), 0, -1):
        if ".".join(rest[:n]) in known:
            return ".".join(rest[:n]), rest[n:]
    return rest[0], rest[1:]


def _positions(holder: list[Any]) -> dict[str, int]:
    """Where in a list each entry stands that has a name; of several with one name the first."""
    named: dict[str, int] = {}
    for index, entry in enumerate(holder):
        if isinstance(entry, dict) and isinstance(entry.get("name"), str):
            named.setdefault(entry["name"], index)
    return named


def _index(holder: list[Any], key: str, dotted: str) -> int:
    """Position in a list, from 0, of an entry that is given by it or by its name."""
    named = _positions(holder)
    if key in named:
        return named[key]
    if key.isascii() and key.isdigit() and len(key) < 10 and int(key) < len(holder):
        return int(key)
    last = len(holder) - 1
    remedy = f"Positions go from 0 to {last}." if holder else "Set the list as a whole."
    if named:
        remedy = f"{did_you_mean(key, named)} There are: {', '.join(named)}. {remedy}".lstrip()
    raise _CannotSetError(f"names entry '{key}' of the list {join(dotted, '')[:-1]}", remedy)
