"""One command of ``calibrate``, run inside the test's own process."""

from __future__ import annotations

from collections.abc import Callable

import typer

from calibration.command_line import run_command
from tests.command_line import Ran, ran_in_process


def run(command: Callable[..., object], *args: object) -> Ran:
    """Run one command with these arguments, as its command line would."""
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(command)
    return ran_in_process(lambda: run_command(app, "calibrate", out_of_memory="Measure less."), "calibrate", *args)
