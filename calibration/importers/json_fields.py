"""A tool's JSON, read by name: numbers where numbers belong, and for whatever is wrong its line.

The standard library reads the text, however large it is; only when something is wrong with it is it read again with
the place of every value (:mod:`calibration.json_text`), for which it must not be larger than LARGEST_WITH_PLACES.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from calibration.importers.json_content import LARGEST_BYTES
from calibration.json_text import parse_json
from calibration.problems import InputError, Problem
from calibration.source import printable
from calibration.tree import Tree, join, shown

LARGEST_WITH_PLACES: Final = 8 << 20
"""Characters up to which problems are told with their lines: a few seconds."""

MOST_PROBLEMS: Final = 20
"""Problems told of one document; a file with a record a request may break a rule a million times."""

SHOWN_CHARACTERS: Final = 2_000
"""Longest value that is kept as a note."""

_BLANK: Final = re.compile(r"\s*")


@dataclass
class Document:
    """One JSON value of a file, and what is wrong with it. Most files hold one; some tools append."""

    file: str
    """Path as the user named it."""
    content: Any
    text: str = field(repr=False)
    line: int = 1
    """Line of the file on which its text begins."""
    problems: list[Problem] = field(default_factory=list)
    """Without lines, which :meth:`located` adds."""
    lines: Mapping[str, int] = field(default_factory=dict)
    """Line of each path, where the content was not read from JSON."""

    @property
    def root(self) -> Fields:
        """The document's keys; none, and a problem, where it is no mapping."""
        if isinstance(self.content, dict):
            return Fields(self, self.content, "")
        self.problem("", "must be a mapping of keys to values", shown(self.content), "Name the tool's own file.")
        return Fields(self, {}, "")

    def problem(self, path: str, rule: str, value: str | None = None, remedy: str = "") -> None:
        """Remember what is wrong at a dotted path."""
        problem = Problem(self.file, None, None, path, rule, value, remedy)
        if len(self.problems) < MOST_PROBLEMS and problem not in self.problems:
            self.problems.append(problem)

    def place(self, path: str = "") -> str:
        """``file:line`` of the document, and the path in it, for messages."""
        return f"{self.file}:{self.line}" + (f" {path}" if path else "")

    def located(self) -> list[Problem]:
        """The problems with their lines, as far as the text is short enough to find them."""
        if self.lines:
            return [self._at_line(problem) for problem in self.problems]
        if not self.problems or len(self.text) > LARGEST_WITH_PLACES:
            return self.problems
        try:
            tree = parse_json(self.text, self.file)
        except InputError:
            return self.problems
        return [self._at(problem, tree) for problem in self.problems]

    def _at(self, problem: Problem, tree: Tree) -> Problem:
        place = tree.values.get(_nearest(problem.path, tree.values))
        if place is None:
            return problem
        return replace(problem, line=place.line + self.line - 1, column=place.column)

    def _at_line(self, problem: Problem) -> Problem:
        return replace(problem, line=self.lines.get(_nearest(problem.path, self.lines)))


def _nearest(path: str, known: Container[str]) -> str:
    """The path itself, or the nearest above it that is known."""
    while path and path not in known:
        path = path.rpartition(".")[0]
    return path


@dataclass(frozen=True)
class Fields:
    """The keys of one mapping of a document."""

    document: Document
    content: Mapping[str, Any]
    path: str

    def __contains__(self, key: str) -> bool:
        """Whether there is such a key, with something in it."""
        return self.content.get(key) is not None

    def number(self, key: str, *, at_least: float = 0.0, required: bool = False) -> float | None:
        """The finite number under this key; None where there is none, or NaN, which tools write for it."""
        value = self.content.get(key)
        if value is None or (isinstance(value, float) and math.isnan(value)):
            if required:
                self.problem(key, "is required", None, "The tool writes it: was the file cut or edited?")
            return None
        if isinstance(value, bool) or not isinstance(value, int | float) or math.isinf(value):
            self.problem(key, "must be a number", shown(value), "Import the file as the tool wrote it.")
            return None
        if value < at_least:
            self.problem(key, f"must be at least {at_least:g}", shown(value), "Import the file as the tool wrote it.")
            return None
        return float(value)

    def count(self, key: str) -> int | None:
        """The whole number under this key."""
        number = self.number(key)
        return None if number is None else round(number)

    def numbers(self, key: str) -> list[float]:
        """The finite numbers of the list under this key; empty where there is none."""
        values = self.content.get(key)
        if values is None:
            return []
        if not isinstance(values, list):
            self.problem(key, "must be a list of numbers", shown(values), "Import the file as the tool wrote it.")
            return []
        bad = [index for index, value in enumerate(values) if isinstance(value, bool | str | list | dict)]
        for index in bad:
            self.problem(join(key, index), "must be a number", shown(values[index]), "")
        return [float(value) for value in values if value is not None and math.isfinite(value)] if not bad else []

    def text(self, key: str) -> str | None:
        """The text under this key; None where there is none, or something else."""
        value = self.content.get(key)
        return value if isinstance(value, str) and value else None

    def fields(self, key: str) -> Fields:
        """The mapping under this key; one without keys where there is none."""
        value = self.content.get(key)
        if value is not None and not isinstance(value, dict):
            self.problem(key, "must be a mapping of keys to values", shown(value), "")
        return Fields(self.document, value if isinstance(value, dict) else {}, join(self.path, key))

    def each(self, key: str) -> Iterator[Fields]:
        """The mappings in the list under this key."""
        value = self.content.get(key)
        if value is not None and not isinstance(value, list):
            self.problem(key, "must be a list", shown(value), "")
        for index, entry in enumerate(value if isinstance(value, list) else ()):
            path = join(join(self.path, key), index)
            if isinstance(entry, dict):
                yield Fields(self.document, entry, path)
            else:
                self.document.problem(path, "must be a mapping of keys to values", shown(entry))

    def statistics(self, names: Mapping[str, str], factor: float) -> dict[str, float]:
        """Times by the names of :data:`calibration.observation.STATISTICS`, in ms.

        Parameters
        ----------
        names
            The source's key of each statistic.
        factor
            Milliseconds in the source's unit.
        """
        found = {name: self.number(key) for name, key in names.items()}
        return {name: tidied(value * factor) for name, value in found.items() if value is not None}

    def rest(self, known: Sequence[str]) -> dict[str, Any]:
        """What stands under other keys, for the notes; lists and texts too long to read left out."""
        others = {key: value for key, value in self.content.items() if key not in known and value is not None}
        return {key: value for key, value in others.items() if len(str(value)) <= SHOWN_CHARACTERS}

    def problem(self, key: str, rule: str, value: str | None = None, remedy: str = "") -> None:
        """Remember what is wrong with the value under this key."""
        self.document.problem(join(self.path, key) if key else self.path, rule, value, remedy)


def read_documents(path: Path) -> list[Document]:
    """Which JSON values does this file hold: one, several behind each other, or one a line?

    Raises
    ------
    InputError
        It cannot be read, is empty, too large, no text, or no JSON.
    """
    file = printable(path)
    text = _text(path, file)
    decoder = json.JSONDecoder()
    documents: list[Document] = []
    position, line = 0, 1
    while position < len(text):
        blank = _BLANK.match(text, position)
        start = blank.end() if blank is not None else position
        line += text.count("\n", position, start)
        if start == len(text):
            break
        try:
            content, end = decoder.raw_decode(text, start)
        except json.JSONDecodeError as error:
            rule = f"is not valid JSON: {error.msg[0].lower()}{error.msg[1:]}"
            remedy = "A file cut short must be written again."
            raise InputError([Problem(file, error.lineno, error.colno, "", rule, None, remedy)]) from None
        except RecursionError:
            raise InputError([Problem(file, line, None, "", "is nested too deeply", None, "Check it.")]) from None
        documents.append(Document(file, content, text[start:end], line))
        line += text.count("\n", start, end)
        position = end
    if not documents:
        rule, remedy = "is empty", "The tool may have stopped before it wrote: run it again."
        raise InputError([Problem(file, None, None, "", rule, None, remedy)])
    return documents


def read_document(path: Path) -> Document:
    """The one JSON value of this file.

    Raises
    ------
    InputError
        As :func:`read_documents`, or when the file holds several.
    """
    first, *more = read_documents(path)
    if more:
        rule, remedy = "must be one JSON value, another begins here", "Keep each run in a file of its own."
        raise InputError([Problem(first.file, more[0].line, None, "", rule, None, remedy)])
    return first


def _text(path: Path, file: str) -> str:
    try:
        if path.stat().st_size > LARGEST_BYTES:
            rule = f"must not be larger than {LARGEST_BYTES >> 30} GiB"
            raise InputError([Problem(file, None, None, "", rule, None, "Export the summary alone.")])
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        rule = f"must be UTF-8 text, byte {error.start} is not"
        raise InputError([Problem(file, None, None, "", rule, None, "Name the tool's own file.")]) from None
    except OSError as error:
        rule = f"cannot be read: {(error.strerror or str(error)).lower()}"
        raise InputError([Problem(file, None, None, "", rule, None, "Check it.")]) from None


def tidied(value: float) -> float:
    """The value without the digits that a change of units makes up.

    >>> tidied(1.1 * 1000 * 3), tidied(0.0104671234 * 1000)
    (3300.0, 10.4671234)
    """
    return float(f"{value:.12g}")
