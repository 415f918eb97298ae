"""The pydantic side of the door: the base class of everything a user writes, and its errors in plain words.

Every value of a scenario or a profile is an :class:`Entry`: unknown keys refused, frozen, documented field by field.
What a type cannot say (two lists of equal length, a weight for each instance) an entry says in :meth:`Entry.flaws`,
so that it holds for values built in Python too. :func:`problems_of` turns what pydantic reports into Problems with
line and column, without the names of union members in their paths, with the nearest known key or value as a remedy.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Annotated, Any, Final, Literal, NamedTuple, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails, PydanticCustomError

from calibration.problems import Problem
from calibration.source import Source, did_you_mean
from calibration.tree import join, shown
from calibration.units import refusal

Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
"""A finite number; text that looks like one is refused."""
NotNegative = Annotated[float, Field(strict=True, allow_inf_nan=False, ge=0)]
Positive = Annotated[float, Field(strict=True, allow_inf_nan=False, gt=0)]
Whole = Annotated[int, Field(strict=True)]
Flag = Annotated[bool, Field(strict=True)]


def _first_version(value: object) -> object:
    if type(value) is not int or value != 1:
        raise refusal("must be 1", "Write 1: no other version of the format exists.")
    return value


FormatVersion = Annotated[Literal[1], BeforeValidator(_first_version)]
"""Version of a file format; true and 1.0, which equal 1, are refused."""

AS_WRITTEN: Final = "\0as written"
"""As a flaw's value: show what the file holds at that path."""


class Flaw(NamedTuple):
    """A broken rule inside an entry, by its path from there."""

    path: tuple[str | int, ...]
    """Keys as the user writes them."""
    rule: str
    """As in Problem."""
    value: str | None = AS_WRITTEN
    """Formatted value; AS_WRITTEN to show what the file holds, None to show nothing."""
    remedy: str = ""
    """As in Problem."""


class Entry(BaseModel):
    """Base of everything a user writes in YAML or JSON."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, validate_default=False)

    def flaws(self) -> Iterator[Flaw]:
        """Which rules between its keys does this entry break?"""
        return iter(())

    @model_validator(mode="after")
    def _holds_its_rules(self) -> Self:
        flaws = tuple(self.flaws())
        if flaws:
            text = "; ".join(": ".join((".".join(map(str, flaw.path)), flaw.rule)) for flaw in flaws)
            raise PydanticCustomError("flaws", "{text}", {"text": text, "flaws": flaws})
        return self


def problems_of(
    error: ValidationError,
    source: Source,
    model: type[Entry],
    *,
    under: tuple[str | int, ...] = (),
    later: Callable[[str], str | None] = lambda _: None,
) -> list[Problem]:
    """What did pydantic find, as Problems against the file?

    Parameters
    ----------
    error
        What validating a part of the file raised.
    source
        The file.
    model
        The entry that was validated.
    under
        Path of that part in the file.
    later
        Gives the sentence for a key that is known but cannot be used yet, or None.
    """
    problems: list[Problem] = []
    for detail in error.errors(include_url=False):
        path = _written_path(source, under, detail["loc"])
        if detail["type"] == "flaws":
            flaws: tuple[Flaw, ...] = detail["ctx"]["flaws"]
            problems += [flaw_problem(source, (*path, *flaw.path), flaw) for flaw in flaws]
        else:
            problems.append(_problem(detail, source, path, model, later))
    return problems


def flaw_problem(source: Source, path: tuple[str | int, ...], flaw: Flaw) -> Problem:
    """Give the flaw as a problem at this path of the file."""
    written = source.at(path)
    value = flaw.value if flaw.value != AS_WRITTEN else None if written is None else shown(written)
    return source.problem(_dotted(path), flaw.rule, value, flaw.remedy)


def _dotted(path: tuple[str | int, ...]) -> str:
    dotted = ""
    for part in path:
        dotted = join(dotted, part)
    return dotted


def _written_path(source: Source, under: tuple[str | int, ...], loc: tuple[str | int, ...]) -> tuple[str | int, ...]:
    """Path as the user would say it: pydantic's without ``[key]`` and without the names of union members.

    Those are the word that tells the members apart (an arrival process), or a name in angle brackets.
    """
    path = under
    for index, part in enumerate(loc):
        here = source.at(path)
        is_last = index == len(loc) - 1
        if isinstance(here, dict):
            is_member = str(part).startswith(("[", "<")) or here.get("process") == part
            if str(part) in here or (is_last and not is_member):
                path = (*path, part)
        elif isinstance(here, list) and isinstance(part, int):
            path = (*path, part)
    return path


def _problem(
    detail: ErrorDetails,
    source: Source,
    path: tuple[str | int, ...],
    model: type[Entry],
    later: Callable[[str], str | None],
) -> Problem:
    kind, given = detail["type"], detail["input"]
    ctx: Mapping[str, Any] = detail.get("ctx", {})
    if kind == "extra_forbidden":
        return _unknown_key(source, path, model, detail["loc"], later)
    described = _described(model, detail["loc"])
    if kind == "missing":
        return source.problem(_dotted(path), "is required", None, f"Add it: {described}." if described else "Add it.")
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        path = (*path, str(ctx["discriminator"]).strip("'"))
        known = _members(model, detail["loc"])
        given = source.at(path)
        if given is None:
            return source.problem(_dotted(path), "is required", None, f"Choose one of {', '.join(known)}.")
        return _not_one_of(source, path, given, known, later)
    if kind == "literal_error":
        known = re.findall(r"'([^']*)'", ctx["expected"]) or [str(ctx["expected"])]
        return _not_one_of(source, path, given, known, later)
    worded, remedy = _worded(kind, given, ctx, described)
    return source.problem(_dotted(path), worded or str(detail["msg"]), shown(given), remedy)


def _not_one_of(
    source: Source,
    path: tuple[str | int, ...],
    given: object,
    known: list[str],
    later: Callable[[str], str | None],
) -> Problem:
    sentence = later(given) if isinstance(given, str) else None
    one_of = f"one of {', '.join(known)}" if len(known) > 1 else known[0]
    if sentence is not None:
        return source.problem(_dotted(path), sentence, shown(given), f"Write {one_of}.")
    near = did_you_mean(given, known) if isinstance(given, str) else ""
    remedy = near or ("Choose one of these." if len(known) > 1 else f"Write {one_of}.")
    return source.problem(_dotted(path), f"must be {one_of}", shown(given), remedy)


def _unknown_key(
    source: Source,
    path: tuple[str | int, ...],
    model: type[Entry],
    loc: tuple[str | int, ...],
    later: Callable[[str], str | None],
) -> Problem:
    key = str(path[-1])
    sentence = later(key)
    if sentence is not None:
        return source.problem(_dotted(path), sentence, None, "Leave it out.", at_key=True)
    known = list(_schema_at(model, loc[:-1]).get("properties", ()))
    remedy = f"{did_you_mean(key, known)} Keys here are: {', '.join(known)}.".lstrip() if known else "Leave it out."
    return source.problem(_dotted(path), "is not a known key", None, remedy, at_key=True)


_TYPES: Final[Mapping[str, tuple[str, str]]] = {
    "int_type": ("must be a whole number", "Write it as digits"),
    "int_from_float": ("must be a whole number", "Write it as digits"),
    "int_parsing": ("must be a whole number", "Write it as digits"),
    "float_type": ("must be a number", "Write it as digits"),
    "finite_number": ("must be a finite number", "Write it as digits"),
    "bool_type": ("must be true or false", "Write true or false"),
    "string_type": ("must be text", "Put quotes around it"),
    "tuple_type": ("must be a list", "Write it in brackets, as [1, 2]"),
    "list_type": ("must be a list", "Write it in brackets, as [1, 2]"),
    "dict_type": ("must be a mapping of keys to values", "Write key: value below it"),
    "model_type": ("must be a mapping of keys to values", "Write key: value below it"),
    "model_attributes_type": ("must be a mapping of keys to values", "Write key: value below it"),
    "string_too_short": ("must not be empty", "Write at least one character"),
}

_BOUNDS: Final[Mapping[str, tuple[str, str, str]]] = {
    "greater_than": ("must be greater than", "gt", "Give a larger number"),
    "greater_than_equal": ("must be at least", "ge", "Give a larger number"),
    "less_than": ("must be less than", "lt", "Give a smaller number"),
    "less_than_equal": ("must be at most", "le", "Give a smaller number"),
}


def _worded(kind: str, given: object, ctx: Mapping[str, Any], described: str) -> tuple[str | None, str]:
    """Rule and remedy for the other kinds of error; no rule for a kind that is not expected here."""
    if kind == "refused":
        return ctx["rule"], ctx["remedy"]
    meant = f": {described}." if described else "."
    if kind in _BOUNDS:
        words, bound, remedy = _BOUNDS[kind]
        return f"{words} {_grouped(ctx[bound])}", remedy + meant
    if kind in ("too_short", "too_long"):
        words, bound, remedy = (
            ("at least", "min_length", "Add to it") if kind == "too_short" else ("at most", "max_length", "Shorten it")
        )
        return f"must have {words} {_grouped(ctx[bound])} {'entry' if ctx[bound] == 1 else 'entries'}", remedy + meant
    if kind == "string_too_long":
        return f"must be at most {ctx['max_length']} characters long", f"Shorten it{meant}"
    rule, remedy = _TYPES.get(kind, (None, "Mend it"))
    if kind in ("int_type", "float_type") and isinstance(given, str) and _looks_numeric(given):
        remedy = "Write it without quotes"
    if kind == "int_type" and isinstance(given, float) and given.is_integer():
        remedy = f"Write {int(given)}"
    return rule, remedy + meant


def _looks_numeric(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _grouped(number: float) -> str:
    """A bound as people read it: 100,000 rather than 100000.

    >>> _grouped(100000), _grouped(0), _grouped(0.5)
    ('100,000', '0', '0.5')
    """
    return f"{int(number):,}" if float(number).is_integer() else f"{number:g}"


@cache
def _json_schema(model: type[Entry]) -> dict[str, Any]:
    return model.model_json_schema()


def _schema_at(model: type[Entry], loc: tuple[str | int, ...]) -> dict[str, Any]:
    """The JSON Schema at a place pydantic reported, whose path may hold names of union members."""
    whole = _json_schema(model)
    node = _resolved(whole, whole)
    for part in loc:
        if isinstance(part, int) and "items" in node:
            node = node["items"]
        elif part in node.get("properties", ()):
            node = node["properties"][part]
        elif part in node.get("discriminator", {}).get("mapping", ()):
            node = {"$ref": node["discriminator"]["mapping"][part]}
        elif isinstance(node.get("additionalProperties"), dict):
            node = node["additionalProperties"]
        node = _resolved(node, whole)
    return node


def _resolved(node: dict[str, Any], whole: dict[str, Any]) -> dict[str, Any]:
    """Follow references, and step over the null of an optional value; siblings of a reference win."""
    while "$ref" in node or "anyOf" in node:
        if "$ref" in node:
            target = whole["$defs"][node["$ref"].rsplit("/", 1)[-1]]
            node = {**target, **{key: value for key, value in node.items() if key != "$ref"}}
        else:
            options = [option for option in node["anyOf"] if option.get("type") != "null"]
            named = [option for option in options if "$ref" in option]
            rest = {key: value for key, value in node.items() if key != "anyOf"}
            node = {**(named or options)[0], **rest}
    return node


def _described(model: type[Entry], loc: tuple[str | int, ...]) -> str:
    """What a field is, from its description: up to the first stop of any kind.

    >>> class Car(Entry):
    ...     wheels: int = Field(description="Wheels on the ground: without the spare one.")
    >>> _described(Car, ("wheels",))
    'wheels on the ground'
    """
    text = " ".join(str(_schema_at(model, loc).get("description", "")).split()).replace("``", "")
    clause = re.split(r"\.(?:\s|$)|[:;(]", text, maxsplit=1)[0].strip()
    return clause if clause[1:2].isupper() else clause[:1].lower() + clause[1:]


def _members(model: type[Entry], loc: tuple[str | int, ...]) -> list[str]:
    """Names of the members of a discriminated union."""
    return list(_schema_at(model, loc).get("discriminator", {}).get("mapping", ()))
