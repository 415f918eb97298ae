"""The command ``optimize``: read a plan file, find the cheapest fleets that hold every objective, say why.

A plan file with the section ``budget`` is run as a budget (:mod:`optimizer.commands.budget`).

Results go to stdout, messages and progress to stderr. Exit codes: 0 done, 2 bad input or usage, 3 no feasible plan
(the report says why), 130 interrupted (what was simulated is kept, and the next run goes on from there), 1 only for a
bug of ours. Nothing heavy is imported before a command needs it.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from calibration.command_line import (
    INFEASIBLE,
    print_result,
    print_version,
    print_with,
    refuse,
    run_command,
    version,
)
from optimizer.commands.budget import asks_for_a_budget, was_given
from optimizer.commands.commitments import commitments
from simulator.cli import RunByDefault

if TYPE_CHECKING:
    from collections.abc import Sequence

    from optimizer.pareto import Frontier
    from optimizer.plan import Plan

app = typer.Typer(
    cls=RunByDefault,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    epilog="optimize FILE is short for optimize run FILE. See optimize run --help for its options.",
)


@app.callback()
def _about(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", is_eager=True, callback=print_version)
    ] = False,
) -> None:
    """Which instances, hour by hour, hold every latency SLO at the least cost, and why these?"""


@app.command()
def run(
    ctx: typer.Context,
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="The plan file or budget file, YAML.", show_default=False)
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")] = False,
    seed: Annotated[
        int | None, typer.Option(min=0, help="Seed of all randomness, instead of the file's.", show_default=False)
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="PATH=VALUE",
            help="Change a key of the file, as in --set workloads.chat.slo.p99=300ms. Repeatable.",
            show_default=False,
        ),
    ] = None,
    pareto: Annotated[
        bool, typer.Option("--pareto", help="Plan for stricter and looser objectives too: cost against p99.")
    ] = False,
    figure: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Draw cost against objectives: .svg, .png or .pdf; with --pareto.", show_default=False
        ),
    ] = None,
    alternatives: Annotated[
        bool, typer.Option("--alternatives/--no-alternatives", help="Look for other plans that cost nearly as little.")
    ] = True,
    time_limit: Annotated[
        str | None,
        typer.Option(metavar="DURATION", help="Longest time for the solver, as in 30s.", show_default=False),
    ] = None,
    gap: Annotated[
        float | None,
        typer.Option(min=0, max=0.2, help="Stop within this share of the least cost, as in 0.001.", show_default=False),
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Processes for simulations; default: one a core.", show_default=False),
    ] = None,
    cluster: Annotated[
        str | None,
        typer.Option(metavar="tcp://HOST:PORT", help="Run the simulations on this Dask cluster.", show_default=False),
    ] = None,
    cache: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Keep capacities there; default: your cache folder.", show_default=False),
    ] = None,
    no_cache: Annotated[bool, typer.Option("--no-cache", help="Simulate every capacity anew, and keep none.")] = False,
    output: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Write plan.json, report.txt and hours.csv there; of a budget, report.md and its tables.",
            show_default=False,
        ),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No messages and no progress on stderr.")] = False,
) -> None:
    """Find the cheapest fleets that hold every objective, simulate them, and explain them; or run a budget file."""
    from contextlib import ExitStack
    from functools import partial

    from calibration.console import Messages
    from optimizer.commands.budget import run_budget
    from optimizer.plan_file import load_plan

    if figure is not None:
        from calibration.figures import check_figure_path

        check_figure_path(figure)
        if not pareto:
            refuse("--figure", "needs --pareto, whose costs it draws", str(figure), "Add --pareto.")
    if cache is not None and no_cache:
        refuse("--cache", "contradicts --no-cache", str(cache), "Leave one of the two out.")
    changes = [*(settings or [])]
    given = {"seed": seed, "plan.time_limit": time_limit, "plan.gap": gap}
    changes += [f"{key}={value}" for key, value in given.items() if value is not None]
    if asks_for_a_budget(file):
        _refuse_plan_options(ctx)
        run_budget(
            file, changes, as_json=as_json, output=output, quiet=quiet, jobs=jobs, cluster=cluster, cache=cache,
            keep_capacities=not no_cache,
        )  # fmt: skip
        return
    messages = Messages(quiet=quiet)
    question = load_plan(file, changes)
    # Imported after the file was found sound: bad input is told before the solver and the engine are loaded.
    from optimizer.cache import default_folder
    from optimizer.pareto import pareto as frontiers_of
    from optimizer.study import optimize
    from simulator.output import OutputFolder

    folder = None if no_cache else cache or default_folder()
    with ExitStack() as stack:
        place = stack.enter_context(OutputFolder(output)) if output is not None else None
        with messages.progress("planning") as watch:
            plan_of = partial(optimize, jobs=jobs, cluster=cluster, cache=folder, watch=watch)
            plan = plan_of(question, alternatives=alternatives)
            frontiers: Sequence[Frontier] = ()
            if pareto:
                frontiers = frontiers_of(question, plan, partial(plan_of, explain=False), watch=watch)
        if figure is not None and frontiers:
            from calibration.figures import save_figure
            from optimizer.figures import pareto_figure

            save_figure(pareto_figure(plan.name, frontiers), figure)
            messages.say(f"wrote {figure}")
        if place is not None:
            _write(place, plan, frontiers)
    if output is not None:
        messages.say(f"wrote {output}")
    if as_json:
        print_result(_json_text(plan, frontiers))
    else:
        from optimizer.render import print_plan

        print_with(lambda: print_plan(plan, frontiers, file=sys.stdout))
    if not plan.feasible:
        raise typer.Exit(INFEASIBLE)


def _refuse_plan_options(ctx: typer.Context) -> None:
    """Options that say nothing of a budget."""
    from calibration.problems import InputError, Problem

    rule, remedy = "is for plans, not for a budget file", "Leave it out."
    given = [
        Problem("<command line>", None, None, option, rule, None, remedy)
        for name, option in (("pareto", "--pareto"), ("figure", "--figure"), ("alternatives", "--alternatives"))
        if was_given(ctx, name)
    ]
    if given:
        raise InputError(given)


def _json_text(plan: Plan, frontiers: Sequence[Frontier]) -> str:
    """The plan as one JSON object, with its frontiers under ``pareto`` where they were asked for."""
    import json
    from dataclasses import asdict

    from optimizer.plan import plan_json

    document = plan_json(plan)
    if frontiers:
        document["pareto"] = [asdict(frontier) for frontier in frontiers]
    return json.dumps(document, indent=2, allow_nan=False) + "\n"


def _write(folder: Path, plan: Plan, frontiers: Sequence[Frontier]) -> None:
    """plan.json, report.txt, and hours.csv: what runs and what is asked in each hour."""
    import csv

    from optimizer.render import plan_text

    (folder / "plan.json").write_text(_json_text(plan, frontiers), encoding="utf-8")
    (folder / "report.txt").write_text(plan_text(plan, frontiers), encoding="utf-8")
    if not plan.feasible:
        return
    columns = {"hour": plan.hours, "weight_h": plan.weight_h, "usd_per_hour": plan.usd_by_hour}
    columns |= {f"{name} rps": plan.demand_rps[name] for name in plan.workloads}
    columns |= {f"{fleet.name} instances": fleet.instances_by_hour for fleet in plan.fleets}
    with (folder / "hours.csv").open("w", newline="", encoding="utf-8") as stream:
        rows = csv.writer(stream)
        rows.writerow(columns)
        rows.writerows(zip(*columns.values(), strict=True))


app.command()(commitments)


@app.command()
def schema(
    markdown: Annotated[bool, typer.Option("--markdown", help="Print a page for people instead.")] = False,
) -> None:
    """Print the JSON Schema of a plan file, for editors: it documents every key."""
    if markdown:
        from optimizer.plan_page import plan_page

        print_result(plan_page())
        return
    import json

    from optimizer.plan_file import json_schema

    print_result(json.dumps(json_schema(), indent=2) + "\n")


@app.command("version")
def show_version() -> None:
    """Print the version."""
    print_result(version() + "\n")


def main() -> None:
    """Run the command line and exit."""
    run_command(app, "optimize", out_of_memory="Search fewer settings, or plan fewer hours at once.")
