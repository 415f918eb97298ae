"""What an unfinished sweep has measured, on disk as soon as it is measured: the same command goes on from there.

A store is a file of JSON lines. The first says what is being measured (its identity); every other line is one thing
kept: a round of executions, a point that failed. A line counts when it is complete, so that whatever stops the
process (Ctrl-C, a crash, a power cut) costs at most the line that was being written.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final

from calibration.problems import InputError, Problem
from calibration.source import printable

VERSION: Final = 1

SUFFIX: Final = ".partial.jsonl"
"""Added to the name of the profile that is being measured."""


def partial_path(output: str | Path) -> Path:
    """Where is the unfinished sweep of this profile kept?

    >>> str(partial_path("profiles/bert.json"))
    'profiles/bert.json.partial.jsonl'
    """
    path = Path(output)
    return path.with_name(path.name + SUFFIX)


class Store:
    """What has been measured so far, by kind, in the order in which it was measured."""

    def __init__(
        self, name: str, identity: Mapping[str, Any], records: list[dict[str, Any]], stream: IO[bytes] | None
    ) -> None:
        self.name: Final = name
        """Its file, for messages."""
        self.identity: Final = dict(identity)
        """What is measured, on what, how: plain values. What was measured of anything else is not mixed in."""
        self._records = records
        self._stream = stream

    def keep(self, kind: str, **values: Any) -> None:
        """Add one line, and return when it is on the disk.

        Raises
        ------
        InputError
            When the file cannot be written to (the disk is full).
        """
        record = {"kind": kind, **_plain(values)}
        if self._stream is not None:
            _write_line(self._stream, record)
        self._records.append(record)

    def kept(self, kind: str) -> list[dict[str, Any]]:
        """Everything of this kind, as it was given to :meth:`keep` (JSON has no tuples: they come back as lists)."""
        return [record for record in self._records if record["kind"] == kind]


def in_memory(identity: Mapping[str, Any] | None = None) -> Store:
    """A store that no file is behind: for measuring from Python, where nothing is to be resumed."""
    return Store("<memory>", _plain(identity or {}), [], None)


@contextmanager
def opened(path: str | Path, identity: Mapping[str, Any], *, fresh: bool = False) -> Iterator[Store]:
    """Open the store at ``path``, with what it keeps already; begin one where there is none.

    Parameters
    ----------
    path
        Its file, which nobody else may be writing at the same time.
    identity
        What is being measured. A store of anything else is refused.
    fresh
        Forget what was measured before.

    Raises
    ------
    InputError
        When it is another sweep's, when it is no store at all, or when it cannot be written.
    """
    mode = "w+b" if fresh else "a+b"
    try:
        stream = open(path, mode)  # noqa: SIM115 - closed below, whatever happens in between
    except OSError as error:
        raise _unusable(path, error) from None
    with stream:
        _take(stream, path)
        stream.seek(0)
        records = _complete_lines(stream, path)
        wanted = _plain(identity)
        head = {"kind": "sweep", "version": VERSION, "identity": wanted}
        if len(records) == 1 and records[0]["kind"] == "sweep" and records[0] != head:
            stream.truncate(0)  # begun and never measured: nothing of it can be mixed in
            records = []
        if records:
            _check_identity(records.pop(0), wanted, path)
        else:
            _write_line(stream, head)
        yield Store(printable(path), wanted, records, stream)


def read_kept(path: str | Path) -> Store | None:
    """What does the store at ``path`` keep? For reading only; None when there is none, or nothing in it."""
    try:
        with open(path, "rb") as stream:
            records = _complete_lines(stream, path, mend=False)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _unusable(path, error) from None
    if not records:
        return None
    head = records.pop(0)
    _check_version(head, path)
    return Store(printable(path), head["identity"], records, None)


def _take(stream: IO[bytes], path: str | Path) -> None:
    """Two sweeps that write into one file would mix their rounds."""
    try:
        import fcntl
    except ImportError:  # not on this system: nothing to lock with
        return
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        remedy = "Wait until it has finished, or write to another file (-o)."
        raise InputError([_problem(path, "is being written by another sweep", None, remedy)]) from None


def _complete_lines(stream: IO[bytes], path: str | Path, *, mend: bool = True) -> list[dict[str, Any]]:
    """All lines; a last one that was cut off is taken away, so that the next one begins a line."""
    raw = stream.read()
    complete, newline, _torn = raw.rpartition(b"\n")
    if mend and len(complete + newline) < len(raw):
        stream.truncate(len(complete + newline))
    records = []
    for number, line in enumerate(complete.split(b"\n") if complete else [], start=1):
        try:
            record = json.loads(line)
        except ValueError:
            record = None
        if not isinstance(record, dict) or not isinstance(record.get("kind"), str):
            rule, remedy = "is no line of an unfinished sweep", "Move the file away, or begin anew with --fresh."
            raise InputError([Problem(printable(path), number, None, "", rule, None, remedy)])
        records.append(record)
    return records


def _check_version(head: Mapping[str, Any], path: str | Path) -> None:
    if head["kind"] != "sweep" or not isinstance(head.get("identity"), dict):
        remedy = "Move the file away, or begin anew with --fresh."
        raise InputError([_problem(path, "is not an unfinished sweep", None, remedy)])
    if head.get("version") != VERSION:
        remedy = "Finish it with the version that began it, or begin anew with --fresh."
        raise InputError([_problem(path, "was begun by another version of calibrate", None, remedy)])


def _check_identity(head: Mapping[str, Any], wanted: Mapping[str, Any], path: str | Path) -> None:
    _check_version(head, path)
    before = head["identity"]
    differing = [key for key in {**before, **wanted} if before.get(key) != wanted.get(key)]
    remedy = "Go on with the settings it began with, write to another file (-o), or begin anew with --fresh."
    problems = [
        Problem(
            printable(path), None, None, key,
            f"was begun with {_shown(before.get(key))}", f"now {_shown(wanted.get(key))}", remedy,
        )
        for key in differing
    ]  # fmt: skip
    if problems:
        raise InputError(problems)


def _write_line(stream: IO[bytes], record: Mapping[str, Any]) -> None:
    line = json.dumps(record, allow_nan=False).encode() + b"\n"
    try:
        stream.write(line)
        stream.flush()
        os.fsync(stream.fileno())
    except OSError as error:
        raise _unusable(stream.name, error) from None


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values as they come back from the file, so that what was just measured and what was read are equal."""
    plain: dict[str, Any] = json.loads(json.dumps(dict(values), allow_nan=False))
    return plain


def _shown(value: Any) -> str:
    return "nothing" if value is None else json.dumps(value, ensure_ascii=False)


def _unusable(path: str | Path, error: OSError) -> InputError:
    reason = (error.strerror or str(error)).lower()
    remedy = "Make room or give yourself the right to write there; the same command goes on with what is kept."
    return InputError([_problem(path, f"cannot be written: {reason}", None, remedy)])


def _problem(path: str | Path, rule: str, value: str | None, remedy: str) -> Problem:
    return Problem(printable(path), None, None, "", rule, value, remedy)
