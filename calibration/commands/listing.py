"""``calibrate list``: which profiles there are."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from calibration.command_line import BAD_INPUT, print_result, print_with


def list_profiles(
    folder: Annotated[
        Path | None,
        typer.Argument(metavar="[FOLDER]", help="List the profiles in this folder instead.", show_default=False),
    ] = None,
    model: Annotated[
        str | None, typer.Option(metavar="WORDS", help="Only models with these words.", show_default=False)
    ] = None,
    device: Annotated[
        str | None, typer.Option(metavar="WORDS", help="Only devices with these words.", show_default=False)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")] = False,
) -> None:
    """List the profiles that are shipped: model, device, precision, runtime, range, date, source.

    Scenarios name them as they stand in the first column.
    """
    from calibration.listing import chosen, folder_profiles, listed, listing_lines, listing_object
    from calibration.page import print_page

    files, where = folder_profiles(folder)
    entries, broken = listed(files)
    for message in broken:
        print(message, file=sys.stderr)
    found = chosen(entries, model=model, device=device)
    if as_json:
        print_result(json.dumps(listing_object(found, broken), indent=2, ensure_ascii=False) + "\n")
    elif found:
        lines = listing_lines(found)
        print_with(lambda: print_page(lines, sys.stdout))
    elif entries:
        print(f"None of the {len(entries)} profiles {where} is of that model and device.", file=sys.stderr)
    elif not broken:
        print(
            f"There is no profile {where}. Measure one (calibrate measure --model bert-base --device cpu -o "
            "bert.json), or read one in (calibrate import --help).",
            file=sys.stderr,
        )
    if broken:
        raise typer.Exit(BAD_INPUT)
