"""One command of ``calibrate``, run inside the test's own process."""

from __future__ import annotations

import io
import signal
import sys
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout

import typer

from calibration.command_line import run_command
from tests.command_line import Ran


def run(command: Callable[..., object], *args: object) -> Ran:
    """Run one command with these arguments, as its command line would."""
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(command)
    out, err = io.StringIO(), io.StringIO()
    before, handler = sys.argv, signal.getsignal(signal.SIGTERM)
    sys.argv = ["calibrate", *map(str, args)]
    code: object = 0
    try:
        with redirect_stdout(out), redirect_stderr(err):
            run_command(app, "calibrate", out_of_memory="Measure less.")
    except SystemExit as end:
        code = end.code
    finally:
        sys.argv = before
        signal.signal(signal.SIGTERM, handler)
    return Ran(code if isinstance(code, int) else 0 if code is None else 1, out.getvalue(), err.getvalue())
