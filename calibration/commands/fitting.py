"""``calibrate fit``: join measurements of one device and fit them anew."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from calibration.command_line import print_result


def fit(
    files: Annotated[
        list[str], typer.Argument(metavar="PROFILE...", help="Profile files, or names of profiles that are shipped.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="The profile to write.")],
    null_model: Annotated[
        str | None,
        typer.Option(
            metavar="PROFILE",
            help="Measurements of a model that takes no time on the same server: they tell its serial front end.",
            show_default=False,
        ),
    ] = None,
    name: Annotated[str, typer.Option(help="Name of the result; default: that of the first.", show_default=False)] = "",
    seed: Annotated[int, typer.Option(min=0, help="Seed of the bootstrap.")] = 0,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No messages on stderr.")] = False,
) -> None:
    """Join what was measured of one model on one device, executions and served requests alike, and fit it anew."""
    from calibration.catalogue import profile_path
    from calibration.console import Messages
    from calibration.fit import fit_profile
    from calibration.profile_file import read_profile_file
    from calibration.profile_writer import observations_in, write_profile
    from calibration.show import profile_text

    read = [read_profile_file(profile_path(file, Path())) for file in files]
    null = None if null_model is None else read_profile_file(profile_path(null_model, Path()))
    measured = [one for file in read for one in observations_in(file)]
    null_rows = None if null is None else observations_in(null)[-1]
    fitted = fit_profile(measured, name=name or read[0].name, null_model=null_rows, seed=seed)
    write_profile(fitted, output)
    messages = Messages(quiet=quiet)
    messages.say(f"wrote {output}")
    print_result(profile_text(fitted))
