"""The command ``calibrate``: measure a model, read what other tools measured, fit it, look at it.

Results go to stdout, messages and progress to stderr. Exit codes: 0 done, 2 bad input or usage, 4 a gate failed,
130 interrupted, 1 only for a bug of ours. Each command is a module of :mod:`calibration.commands`.
"""

from __future__ import annotations

from typing import Annotated

import typer

from calibration.command_line import print_result, print_version, run_command, version
from calibration.commands.comparing import compare
from calibration.commands.fitting import fit
from calibration.commands.importing import import_measurements
from calibration.commands.listing import list_profiles
from calibration.commands.measuring import measure
from calibration.commands.showing import show

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode="rich")


@app.callback()
def _about(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", is_eager=True, callback=print_version)
    ] = False,
) -> None:
    """How long does a model take on a device, for each batch size, and how sure are we of it?"""


app.command("measure")(measure)
app.command("import")(import_measurements)
app.command("fit")(fit)
app.command("show")(show)
app.command("compare")(compare)
app.command("list")(list_profiles)


@app.command("version")
def show_version() -> None:
    """Print the version."""
    print_result(version() + "\n")


def main() -> None:
    """Run the command line and exit."""
    run_command(app, "calibrate", out_of_memory="Measure smaller batches, or a smaller model.")
