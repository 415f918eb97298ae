"""Plain values that still know where they stood: what both readers (YAML, JSON) make of a text.

A tree is dicts, lists, text, numbers, booleans and None. Keys are always text, as JSON has them, so that a dotted
path such as ``fleets.gpu.instances`` names a value in either format.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from calibration.problems import InputError, Problem

DEEPEST: Final = 64
"""Levels of nesting; a scenario needs about six."""

MOST_VALUES: Final = 1_000_000
"""Values a file may hold, aliases counted as often as they are used."""

LARGEST_INT: Final = 2**63 - 1
"""Whole numbers beyond this do not fit the engine's integers."""


class Place(NamedTuple):
    """A position in a text, both parts counted from 1."""

    line: int
    column: int


@dataclass
class Tree:
    """The values of one text, and where each stood; the readers fill it."""

    file: str
    """Path as the user named it."""
    content: Any = None
    keys: dict[str, Place] = field(default_factory=dict)
    """Where each key stands, by dotted path."""
    values: dict[str, Place] = field(default_factory=dict)
    """Where each value starts, by dotted path."""
    problems: list[Problem] = field(default_factory=list)
    """What is wrong although the text can be read, in the order in which it was met."""
    lost: set[str] = field(default_factory=set)
    """Paths of values that could not be read; null stands there, and whatever is said of that follows from it."""

    def note(self, place: Place | None, path: str, rule: str, value: str | None = None, remedy: str = "") -> None:
        """Remember a broken rule and go on reading."""
        line, column = place or (None, None)
        self.problems.append(Problem(self.file, line, column, path, rule, value, remedy))

    def lose(self, place: Place, path: str, rule: str, value: str | None = None, remedy: str = "") -> None:
        """Remember a value that cannot be read, and go on reading."""
        self.note(place, path, rule, value, remedy)
        self.lost.add(path)

    def stop(self, place: Place | None, path: str, rule: str, value: str | None = None, remedy: str = "") -> InputError:
        """Give the error to raise where the rest of the text cannot be read, with everything noted so far."""
        self.note(place, path, rule, value, remedy)
        return InputError(self.problems)

    def number(self, text: str, place: Place, path: str) -> int | float | None:
        """Value of a decimal number; None, with the problem noted, when it is too large for anything."""
        whole = text.lstrip("+-").isdigit()
        if whole and len(text) <= 20 and abs(int(text)) <= LARGEST_INT:
            return int(text)
        if whole or not math.isfinite(float(text)):
            self.lose(place, path, "is too large a number", shown(text), "Whole numbers go up to 9.2e18.")
            return None
        return float(text)

    def sound_text(self, text: str, place: Place, path: str) -> bool:
        """Whether the text is made of whole characters, so that it can be printed; notes the problem if not."""
        try:
            text.encode()
        except UnicodeEncodeError:
            self.lose(place, path, "holds half of a character (a lone surrogate)", None, "Write the character itself.")
            return False
        return True


def join(path: str, key: str | int) -> str:
    """Dotted path of a child.

    >>> join("fleets", "gpu"), join("", "name")
    ('fleets.gpu', 'name')
    """
    return f"{path}.{key}" if path else str(key)


def shown(value: object) -> str:
    """A value as an error message shows it: on one line, short, as YAML would write it.

    >>> shown("poison"), shown(True), shown(None), shown({"a": 1}), shown(1e15)
    ("'poison'", 'true', 'null', 'a mapping', '1e+15')
    """
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, dict):
        return "a mapping" if value else "an empty mapping"
    if isinstance(value, list | tuple):
        inside = ", ".join(shown(item) for item in value[:9])
        return shortened(f"[{inside}{', ...' if len(value) > 9 else ''}]")
    if isinstance(value, float) and float(f"{value:g}") == value:
        return f"{value:g}"
    return shortened(repr(value) if isinstance(value, str) else str(value))


def shortened(text: str, most: int = 60) -> str:
    """The text itself, or its beginning and its end when it is long."""
    return text if len(text) <= most else f"{text[: most - 13]} ... {text[-8:]}"
