"""What the command line says on stderr while it works: messages, and progress on a terminal.

Results never come this way. ``rich`` is loaded only when a bar is drawn.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol


class Watch(Protocol):
    """Somebody who wants to know how far a run is."""

    def stage(self, words: str) -> None:
        """Take notice that this begins, for instance ``compiling the engine, once (about 10 s)``."""

    def done(self, share: float) -> None:
        """Take notice that this share of all the work is done, from 0 to 1; may fall back, never below 0."""


class Unwatched:
    """Nobody looks: the default of the library."""

    def stage(self, words: str) -> None:
        """Say nothing."""

    def done(self, share: float) -> None:
        """Say nothing."""


@dataclass(frozen=True)
class Messages:
    """Messages on stderr, or silence."""

    quiet: bool = False

    def say(self, words: str) -> None:
        """Print one line on stderr, unless quiet."""
        if not self.quiet:
            print(words, file=sys.stderr, flush=True)

    @contextmanager
    def progress(self, doing: str = "simulating") -> Iterator[Watch]:
        """Show how far the work inside is: a bar on a terminal, only the stages elsewhere, nothing when quiet."""
        if self.quiet:
            yield Unwatched()
        elif not sys.stderr.isatty():
            yield _Lines(self)
        else:
            with _bar(doing) as bar:
                yield bar


@dataclass(frozen=True)
class _Lines:
    """A stage is a line; shares are not shown, so that a log file is not filled with them."""

    messages: Messages

    def stage(self, words: str) -> None:
        self.messages.say(words)

    def done(self, share: float) -> None:
        pass


@contextmanager
def _bar(doing: str) -> Iterator[Watch]:
    """Draw a bar that vanishes when the work is done."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(doing, total=1.0)

        class Bar:
            def stage(self, words: str) -> None:
                console.print(words, highlight=False, markup=False)

            def done(self, share: float) -> None:
                progress.update(task, completed=share)

        yield Bar()
