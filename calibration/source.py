"""A file becomes plain values that still know their line and column; whatever is wrong becomes Problems.

:func:`read_source` is the only place where the project opens a YAML or JSON file that a user names. What stops the
reading (absent, a directory, a syntax error) is raised as an InputError; what does not (a duplicate key, a NaN) stays
in ``Source.problems``, so that whoever validates the values can report it together with everything else.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from itertools import islice
from pathlib import Path
from typing import Any, Final

from calibration.json_text import parse_json
from calibration.problems import InputError, Problem
from calibration.tree import Place, Tree
from calibration.yaml_text import parse_yaml

COMMAND_LINE: Final = "<command line>"
"""The place of a value that came from an option."""

LARGEST_YAML_BYTES: Final = 1 << 20
"""ruamel.yaml reads about 100 KB a second: more than a megabyte belongs in CSV."""

LARGEST_JSON_BYTES: Final = 8 << 20

_UNPRINTABLE: Final = re.compile(r"[^\x20-\x7e\u00a0-\U0010ffff]")


@dataclass(frozen=True)
class Source:
    """The values of one file, and where each of them stands."""

    file: str
    """Path as the user named it."""
    content: dict[str, Any] = field(default_factory=dict)
    """Plain values: dicts with text keys, lists, text, numbers, booleans, None."""
    keys: Mapping[str, Place] = field(default_factory=dict)
    """Where each key stands, by dotted path."""
    values: Mapping[str, Place] = field(default_factory=dict)
    """Where each value starts, by dotted path."""
    problems: tuple[Problem, ...] = ()
    """What is wrong with the text although it can be read: duplicate keys, numbers that are not finite ..."""
    lost: frozenset[str] = frozenset()
    """Paths of values that could not be read and stand as null, which ``problems`` explains."""
    options: Mapping[str, str] = field(default_factory=dict)
    """Dotted paths that the command line set, with the option's text."""

    def problem(
        self, path: str, rule: str, value: str | None = None, remedy: str = "", *, at_key: bool = False
    ) -> Problem:
        """Give the problem at a dotted path, with the line and column of its value.

        A path that is not in the file takes the place of the nearest one above it. A value that starts on the line
        after its key is pointed at by its key, and so is everything with ``at_key``.
        """
        for above in _upwards(path):
            if above in self.options:
                given = f"(from --set {self.options[above]})"
                if value is None:
                    rule = f"{rule} {given}"
                else:
                    value = f"{value} {given}"
                return Problem(COMMAND_LINE, None, None, path, rule, value, remedy)
            place = self._place(above, at_key=at_key or above != path)
            if place is not None:
                return Problem(self.file, place.line, place.column, path, rule, value, remedy)
        line, column = self.values.get("") or (None, None)
        return Problem(self.file, line, column, path, rule, value, remedy)

    def at(self, path: Iterable[str | int]) -> Any:
        """The value at a path, or None where there is none."""
        value: Any = self.content
        for part in path:
            if isinstance(value, dict) and str(part) in value:
                value = value[str(part)]
            elif isinstance(value, list) and isinstance(part, int) and 0 <= part < len(value):
                value = value[part]
            else:
                return None
        return value

    def with_content(self, content: dict[str, Any], options: Mapping[str, str]) -> Source:
        """The same file with other values, of which the command line set those at the paths in ``options``."""
        return replace(self, content=content, options={**self.options, **options})

    def _place(self, path: str, *, at_key: bool) -> Place | None:
        if path not in self.values:
            return self.keys.get(path)
        key = self.keys.get(path)
        if key is None:
            return self.values[path]
        starts_on_next_line = self.values[path].line > key.line
        return key if at_key or starts_on_next_line else self.values[path]


def read_source(path: str | Path) -> Source:
    """Which values does this YAML or JSON file hold, and where do they stand?

    A file whose name ends in ``.json`` is read as JSON, any other as YAML 1.2.

    Raises
    ------
    InputError
        When there is no such file, when it cannot be read, or when its text cannot be read to the end.
    """
    file = printable(path)
    is_json = Path(path).suffix.lower() == ".json"
    most = LARGEST_JSON_BYTES if is_json else LARGEST_YAML_BYTES
    try:
        with open(path, "rb") as stream:
            raw = stream.read(most + 1)
    except (OSError, ValueError) as error:
        rule, remedy = _unopened(Path(path), error)
        raise InputError([Problem(file, None, None, "", rule, None, remedy)]) from None
    if len(raw) > most:
        remedy = "Keep big tables in CSV files that it names."
        raise InputError([Problem(file, None, None, "", f"must not be larger than {most >> 20} MiB", None, remedy)])
    return parse_source(_decoded(raw, file), file, is_json=is_json)


def parse_source(text: str, file: str, *, is_json: bool = False) -> Source:
    """Which keys and values does this text hold? As :func:`read_source`, for a text at hand."""
    tree = Tree(file)
    if text.strip():
        tree = parse_json(text, file) if is_json else parse_yaml(text, file)
    if tree.content is None and not tree.problems:
        raise tree.stop(None, "", "is empty", None, "Write at least its required keys.")
    if not isinstance(tree.content, dict):
        place = tree.values.get("", Place(1, 1))
        raise tree.stop(
            place, "", "must be a mapping of keys to values", None, "Begin with a line such as 'schema: 1'."
        )
    return _source(tree)


def _source(tree: Tree) -> Source:
    return Source(tree.file, tree.content, tree.keys, tree.values, tuple(tree.problems), frozenset(tree.lost))


def file_problem(path: str | Path) -> tuple[str, str] | None:
    """Why can this file not be read? A rule and a remedy, or None when it can be opened.

    An absent file is answered with near names in its folder. Nothing is read; pipes and devices are not even opened.
    """
    try:
        mode = os.stat(path).st_mode
        if stat.S_ISREG(mode) or stat.S_ISDIR(mode):
            open(path, "rb").close()
    except (OSError, ValueError) as error:
        return _unopened(Path(path), error)
    return None


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Which of the known names was probably meant?

    >>> nearest("instancess", ["instances", "profile"])
    'instances'
    """
    by_lower = {candidate.lower(): candidate for candidate in known}
    close = get_close_matches(name.lower()[:200], by_lower, n=1, cutoff=0.6)
    return by_lower[close[0]] if close else None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """``Did you mean 'instances'?``, or nothing when no known name is near."""
    near = nearest(name, known)
    return f"Did you mean '{near}'?" if near is not None else ""


def printable(path: str | Path) -> str:
    """The path as a message can show it: on one line, and encodable whatever bytes it holds."""
    text = str(path).encode("utf-8", "replace").decode()
    return _UNPRINTABLE.sub("?", text)


def _unopened(path: Path, error: OSError | ValueError) -> tuple[str, str]:
    """Rule and remedy for what the operating system answered."""
    if isinstance(error, FileNotFoundError):
        return "does not exist", _near_files(path)
    if isinstance(error, NotADirectoryError):
        return "does not exist", "A part of its path is a file, not a folder."
    if isinstance(error, IsADirectoryError):
        return "is a directory, not a file", "Name a file in it."
    if isinstance(error, PermissionError):
        return "cannot be read: permission denied", "Give yourself the right to read it (chmod u+r)."
    reason = getattr(error, "strerror", None) or str(error)
    return f"cannot be read: {reason.lower()}", "Check its path."


def _near_files(path: Path) -> str:
    folder = path.parent
    if not folder.is_dir():
        return f"There is no folder '{printable(folder)}' either."
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in islice(entries, 10_000)]
    except OSError:
        return ""
    near = nearest(path.name, names)
    return f"Did you mean '{printable(near)}'?" if near is not None else "Check the path."


def _decoded(raw: bytes, file: str) -> str:
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = raw[: error.start]
        line = before.count(b"\n") + 1
        column = error.start - (before.rfind(b"\n") + 1) + 1
        rule, value = "must be UTF-8 text", f"byte 0x{raw[error.start]:02X}"
        raise InputError([Problem(file, line, column, "", rule, value, "Save the file as UTF-8.")]) from None


def _upwards(path: str) -> Iterable[str]:
    """The path itself, then every path above it."""
    while path:
        yield path
        path = path.rpartition(".")[0]
