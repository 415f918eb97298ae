"""How every command of the project begins and ends: exit codes, how errors become messages, how results are written.

Results go to stdout, messages and progress to stderr. Only this module turns an exception into words on a screen.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING, Final, NoReturn

import typer

if TYPE_CHECKING:
    from collections.abc import Callable

DONE: Final = 0
BUG: Final = 1
BAD_INPUT: Final = 2
INFEASIBLE: Final = 3
CHECK_FAILED: Final = 4
INTERRUPTED: Final = 128 + signal.SIGINT
NOBODY_READS: Final = 128 + signal.SIGPIPE
"""What the shell reports of any program whose reader went away (``simulate ... | head -1``)."""

DEBUG: Final = "HEADROOM_DEBUG"
"""Set it to see the traceback of a bug."""


def run_command(app: Callable[..., object], name: str, *, out_of_memory: str) -> None:
    """Run a command line and exit; the one place where an exception becomes a message.

    Parameters
    ----------
    app
        The typer application.
    name
        The command's name, for usage and messages.
    out_of_memory
        What the user can do when memory runs out, one sentence.
    """
    signal.signal(signal.SIGTERM, _terminated)
    for stream in (sys.stdout, sys.stderr):
        # A scenario may be named in letters that this terminal does not have: better a question mark than no report.
        getattr(stream, "reconfigure", lambda **_: None)(errors="replace")
    from calibration.problems import InputError

    try:
        app(prog_name=name)
    except InputError as error:
        print(error, file=sys.stderr)
        sys.exit(BAD_INPUT)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(INTERRUPTED)
    except MemoryError:
        print(f"{name}: not enough memory. {out_of_memory}", file=sys.stderr)
        sys.exit(BAD_INPUT)
    except Exception as error:
        if os.environ.get(DEBUG):
            raise
        print(
            f"{name}: a bug of ours: {type(error).__name__}: {error}\n"
            f"Please report it with the command and its input. {DEBUG}=1 shows where it happened.",
            file=sys.stderr,
        )
        sys.exit(BUG)


def _terminated(signum: int, frame: object) -> NoReturn:  # noqa: ARG001
    """Leave through the ``finally`` clauses, so that no half-written file stays behind."""
    sys.exit(128 + signum)


def version() -> str:
    """Which version of the package is installed?"""
    from importlib.metadata import PackageNotFoundError
    from importlib.metadata import version as installed

    try:
        return f"headroom-sim {installed('headroom-sim')}"
    except PackageNotFoundError:
        return "headroom-sim, from a folder that is not installed"


def print_version(wanted: bool) -> None:
    """Answer ``--version`` before anything else is looked at."""
    if wanted:
        print_result(version() + "\n")
        raise typer.Exit


def key_and_value(text: str, option: str, form: str) -> tuple[str, str]:
    """Split ``key=value``."""
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        refuse(option, f"must be {form}", repr(text), "Write the key, an equals sign and the value, without spaces.")
    return key.strip(), value


def refuse(option: str, rule: str, value: str | None, remedy: str) -> NoReturn:
    """Say that the command line itself cannot be used."""
    from calibration.problems import InputError, Problem

    raise InputError([Problem("<command line>", None, None, option, rule, value, remedy)])


def print_result(text: str) -> None:
    """Write a result to stdout."""
    print_with(lambda: sys.stdout.write(text))


def print_with(write: Callable[[], object]) -> None:
    """Write to stdout whatever ``write`` writes; leave quietly when nobody reads it any more."""
    try:
        write()
        sys.stdout.flush()
    except BrokenPipeError:
        # Python flushes stdout once more on its way out, and would complain there.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(NOBODY_READS) from None
