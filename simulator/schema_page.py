"""The JSON Schema of a scenario as a page for people: ``simulate schema --markdown``, which is docs/scenario.md.

Nothing is said here that the schema does not say; a key's text is the docstring under its field.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

Schema = Mapping[str, Any]

PLACES: Final[Mapping[str, str]] = {
    "Profile": "profiles.NAME",
    "Overheads": "profiles.NAME.overheads",
    "Noise": "profiles.NAME.noise",
    "Fleet": "fleets.NAME",
    "Batching": "fleets.NAME.batching",
    "Purchase": "fleets.NAME.purchase",
    "Workload": "workloads.NAME",
    "Slo": "workloads.NAME.slo",
    "Promise": "commitments.NAME",
    "Discount": "discounts.NAME",
    "Tier": "discounts.NAME.tiers",
    "Guarantee": "capacity.NAME",
}
"""Where each part of the schema stands in the file, in the order of the page; arrival processes come after them."""

_INTRODUCTION: Final = """\
# The keys of a scenario

Written by `simulate schema --markdown` from the schema that scenarios are checked against; `simulate schema` prints
the JSON Schema itself, for editors. A duration is a number with its unit: `5ms`, `1.5s`, `250us`, `2min`, `1h`, `1d`.
Unknown keys are refused, and so is whatever the simulator would have to guess. What the parts do: [model.md](model.md).
"""


def schema_page(schema: Schema, places: Mapping[str, str] = PLACES, introduction: str = _INTRODUCTION) -> str:
    """Lay the schema of a file out as Markdown tables, one for each part; by default those of a scenario.

    Parameters
    ----------
    schema
        JSON Schema of the file.
    places
        Where each part of the schema stands in the file, in the order of the page.
    introduction
        What stands above the tables.
    """
    parts: Mapping[str, Schema] = schema["$defs"]
    arrivals = [name for name in parts if name.endswith("Arrivals")]
    sections = [_section("The file", schema)]
    sections += [_section(f"`{place}`", parts[name]) for name, place in places.items()]
    sections += [
        _section(f"`workloads.NAME.arrivals`, `process: {parts[name]['properties']['process']['const']}`", parts[name])
        for name in arrivals
    ]
    return "\n".join([introduction, *sections])


def _section(title: str, part: Schema) -> str:
    """One part: what it is, then a row for each key."""
    rows = [
        f"| `{key}` | {_kind(value)} | {_default(key, value, part)} | {_words(value)} |"
        for key, value in part["properties"].items()
    ]
    head = f"## {title}\n\n{_words(part)}\n\n| key | value | default | meaning |\n|---|---|---|---|\n"
    return head + "\n".join(rows) + "\n"


def _words(value: Schema) -> str:
    """The description, in one line and with Markdown's own code marks."""
    return " ".join(value.get("description", "").replace("``", "`").replace("|", "\\|").split())


def _default(key: str, value: Schema, part: Schema) -> str:
    """What holds where the key is left out."""
    if key in part.get("required", ()):
        return "required"
    default = value.get("default")
    if default in (None, "") or isinstance(default, dict | list | tuple):
        return ""
    return f"`{str(default).lower() if isinstance(default, bool) else default}`"


def _kind(value: Schema) -> str:
    """What may be written: a type, a choice, a bound."""
    kinds = dict.fromkeys(_kinds(value))
    # A quantity may be written without a unit only where it is 0: that needs no word of its own.
    if "duration" in kinds or "memory" in kinds:
        kinds.pop("`0`", None)
    return " or ".join(kinds)


def _kinds(value: Schema) -> Iterator[str]:
    options = value.get("anyOf") or value.get("oneOf")
    if options:
        for option in options:
            yield from _kinds(option)
    elif "$ref" in value:
        yield "see below" if not value["$ref"].endswith("Arrivals") else "see below, by `process`"
    elif "const" in value:
        yield f"`{value['const']}`"
    elif "enum" in value:
        yield ", ".join(f"`{choice}`" for choice in value["enum"])
    elif value.get("type") == "array":
        if "prefixItems" in value:
            yield f"list of {len(value['prefixItems'])}: {_kind(value['prefixItems'][0])}"
        else:
            yield f"list: {_kind(value['items'])}" if value.get("items") else "list"
    elif value.get("type") == "object":
        inside = value.get("additionalProperties")
        yield f"mapping: {_kind(inside)}" if isinstance(inside, Mapping) else "mapping"
    elif value.get("type") == "string":
        pattern = value.get("pattern", "")
        yield "duration" if "ms|s|min" in pattern else "memory" if "]iB" in pattern else "text"
    elif value.get("type") in ("number", "integer"):
        yield ("number" if value["type"] == "number" else "whole number") + _bounds(value)
    elif value.get("type") == "boolean":
        yield "`true`, `false`"


def _bounds(value: Schema) -> str:
    """Bounds that a user may run into."""
    low, above, high = value.get("minimum"), value.get("exclusiveMinimum"), value.get("maximum")
    parts = []
    if above is not None:
        parts.append(f"> {above:g}")
    if low is not None:
        parts.append(f">= {low:g}")
    if high is not None and high < 1 << 62:
        parts.append(f"<= {high:,}".removesuffix(".0"))
    return f" {', '.join(parts)}" if parts else ""
