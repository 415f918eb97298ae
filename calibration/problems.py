"""What is wrong with an input, said so that a person can mend it.

Every reader of a file (scenario, profile, trace, price list) collects :class:`Problem` values and raises
one :class:`InputError` with all of them. Only the command line prints; a library user reads ``error.problems``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """One broken rule: where it is, which rule, the value found, and how to mend it."""

    file: str
    """Path as the user named it; ``<command line>`` for an option such as ``--set``."""
    line: int | None
    """1-based line, or None where the file as a whole is meant."""
    column: int | None
    """1-based column, or None."""
    path: str
    """Dotted path of the key, for instance ``fleets.gpu.batching.max_batch_size``; empty for the whole file."""
    rule: str
    """The rule as a sentence without a full stop, for instance ``must be greater than 0``."""
    value: str | None = None
    """The value found, already formatted and shortened; None where there is none to show."""
    remedy: str = ""
    """How to mend it, one sentence with its full stop."""

    def __str__(self) -> str:
        """``file:line:col: path: rule, got value. How to mend it.``"""
        place = ":".join(str(part) for part in (self.file, self.line, self.column) if part is not None)
        got = "" if self.value is None else f", got {self.value}"
        path = f"{self.path}: " if self.path else ""
        remedy = f" {self.remedy}" if self.remedy else ""
        return f"{place}: {path}{self.rule}{got}.{remedy}"


class InputError(ValueError):
    """An input cannot be used. Carries every problem found, in the order of the file."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems: tuple[Problem, ...] = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))

    def __reduce__(self) -> tuple[type[InputError], tuple[tuple[Problem, ...]]]:
        """Survive the trip between processes: rebuild from the problems, not from the text."""
        return type(self), (self.problems,)
