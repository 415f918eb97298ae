"""``calibrate compare``: two profiles side by side."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from calibration.command_line import print_result, print_with, refuse

if TYPE_CHECKING:
    from calibration.compare import Comparison
    from calibration.console import Messages


def compare(
    first: Annotated[str, typer.Argument(metavar="A", help="A profile file, or the name of one that is shipped.")],
    second: Annotated[str, typer.Argument(metavar="B", help="The one to compare with it.")],
    sample: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Inputs to compare outputs on, .npy or .npz.", show_default=False),
    ] = None,
    items: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Inputs to generate and compare outputs on.", show_default=False),
    ] = None,
    rerun: Annotated[
        bool, typer.Option("--rerun", help="Run both models again, also code and files of your own.")
    ] = False,
    no_outputs: Annotated[bool, typer.Option("--no-outputs", help="Compare the figures only: run nothing.")] = False,
    figure: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Draw both curves and the speed-up, .svg, .png or .pdf.", show_default=False),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No messages and no progress on stderr.")] = False,
) -> None:
    """Compare two variants: speed-up with its interval, memory, energy, and how far their outputs differ.

    Outputs are compared as they were kept with the profiles; without those, or with --sample, --items or --rerun, both
    models are run here.
    """
    from calibration.catalogue import profile_path
    from calibration.compare import compare as compare_profiles
    from calibration.compare import comparison_object
    from calibration.comparison_page import comparison_lines
    from calibration.console import Messages
    from calibration.page import print_page
    from calibration.profile_file import read_profile_file

    if no_outputs and (sample is not None or items is not None or rerun):
        refuse("--no-outputs", "must not be given with --sample, --items or --rerun", None, "Leave one out.")
    if figure is not None:
        from calibration.figures import check_figure_path

        check_figure_path(figure)
    messages = Messages(quiet=quiet)
    a, b = (read_profile_file(profile_path(one, Path())) for one in (first, second))
    comparison = compare_profiles(a, b)
    if not no_outputs:
        comparison = _compared(comparison, messages, sample=sample, items=items, rerun=rerun)
    if figure is not None:
        from calibration.figures import comparison_figure, save_figure

        save_figure(comparison_figure(comparison), figure)
        messages.say(f"wrote {figure}")
    if as_json:
        print_result(json.dumps(comparison_object(comparison), indent=2, ensure_ascii=False) + "\n")
    else:
        lines = comparison_lines(comparison)
        print_with(lambda: print_page(lines, sys.stdout))


def _compared(
    comparison: Comparison, messages: Messages, *, sample: Path | None, items: int | None, rerun: bool
) -> Comparison:
    """The comparison with its outputs, or with the reason why there are none."""
    from dataclasses import replace

    from calibration.backends.protocol import UnavailableError
    from calibration.compare import compared_outputs

    with messages.progress() as watch:
        try:
            found = compared_outputs(comparison.a, comparison.b, sample=sample, items=items, rerun=rerun, watch=watch)
        except UnavailableError as error:
            return replace(comparison, outputs_note=f"not compared: {error}")
    return replace(comparison, outputs=found)
