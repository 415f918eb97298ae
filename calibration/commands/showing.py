"""``calibrate show``: look at one profile."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from calibration.command_line import print_result, print_with


def show(
    profile: Annotated[
        str, typer.Argument(metavar="PROFILE", help="A profile file, or the name of one that is shipped.")
    ],
    figure: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Draw the curve with its points into a .svg, .png or .pdf.", show_default=False
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No messages on stderr.")] = False,
) -> None:
    """Show a profile: where it comes from, its curve with points and intervals, and how far to trust it."""
    from calibration.catalogue import profile_path
    from calibration.console import Messages
    from calibration.page import print_page, says_unicode
    from calibration.profile_file import read_profile_file
    from calibration.show import profile_lines, profile_object

    if figure is not None:
        from calibration.figures import check_figure_path, curve_figure, save_figure

        check_figure_path(figure)
    file = read_profile_file(profile_path(profile, Path()))
    if figure is not None:
        save_figure(curve_figure(file), figure)
        Messages(quiet=quiet).say(f"wrote {figure}")
    if as_json:
        print_result(json.dumps(profile_object(file), indent=2, ensure_ascii=False) + "\n")
    else:
        lines = profile_lines(file, unicode=says_unicode(sys.stdout))
        print_with(lambda: print_page(lines, sys.stdout))
