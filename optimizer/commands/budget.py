"""A budget file, run whole: forecast, fleets, purchases, months, as ``optimize FILE`` asks for."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from calibration.command_line import print_result, print_with

if TYPE_CHECKING:
    import typer


def was_given(ctx: typer.Context, name: str) -> bool:
    """Was this option written on the command line, rather than left at its default?"""
    source = ctx.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def asks_for_a_budget(file: str) -> bool:
    """Is this a budget file? A look at its keys; a file that cannot be read is none.

    What is wrong with it is told by whoever reads it next.
    """
    from calibration.problems import InputError
    from calibration.source import read_source
    from optimizer.budget.budget_file import is_budget

    try:
        return is_budget(read_source(file).content)
    except InputError:
        return False


def run_budget(
    file: str,
    settings: Sequence[str] = (),
    *,
    as_json: bool,
    output: Path | None,
    quiet: bool,
    jobs: int | None = None,
    cluster: str | None = None,
    cache: Path | None = None,
    keep_capacities: bool = True,
) -> None:
    """Run the chain and print what it gives.

    Raises
    ------
    InputError
        With everything that is wrong with the file.
    """
    from contextlib import ExitStack

    from calibration.console import Messages
    from optimizer.budget.budget_file import load_budget

    messages = Messages(quiet=quiet)
    question = load_budget(file, settings)
    # Imported after the file was found sound: bad input is told before the solver and the engine are loaded.
    from optimizer.budget.chain import budget
    from optimizer.cache import default_folder
    from simulator.output import OutputFolder

    folder = cache or default_folder() if keep_capacities else None
    with ExitStack() as stack:
        place = stack.enter_context(OutputFolder(output)) if output is not None else None
        with messages.progress("budgeting") as watch:
            found = budget(question, jobs=jobs, cluster=cluster, cache=folder, watch=watch)
        if place is not None:
            from optimizer.budget.write import write_budget

            write_budget(found, place)
    if output is not None:
        messages.say(f"wrote {output}")
    if as_json:
        import json

        from optimizer.budget.budget import budget_json

        print_result(json.dumps(budget_json(found), indent=2, allow_nan=False) + "\n")
    else:
        from optimizer.budget.render import print_budget

        print_with(lambda: print_budget(found, file=sys.stdout))
