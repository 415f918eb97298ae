"""The command ``simulate``: read a scenario, run it, say whether it holds.

Results go to stdout, messages and progress to stderr (progress only on a terminal). Exit codes: 0 done, 2 bad input
or usage, 4 an SLO is missed under ``--check``, 130 interrupted, 1 only for a bug of ours. Nothing heavy is imported
before a command needs it, so that ``simulate --help`` answers at once.
"""

from __future__ import annotations

import difflib
import os
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from typer.core import TyperGroup

from calibration.command_line import (
    CHECK_FAILED,
    key_and_value,
    print_result,
    print_version,
    print_with,
    refuse,
    run_command,
    version,
)


class RunByDefault(TyperGroup):
    """``simulate peak.yaml`` means ``simulate run peak.yaml``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put ``run`` in front of what is no command and no option of the group itself."""
        own = {option for parameter in self.get_params(ctx) for option in parameter.opts}
        if args and args[0] not in own and not self._is_a_command(args[0]):
            args = ["run", *args]
        return super().parse_args(ctx, args)

    def _is_a_command(self, word: str) -> bool:
        """Whether ``word`` is a command, or a misspelt one that no file could be."""
        if word in self.commands:
            return True
        names_a_file = word.startswith("-") or os.sep in word or "." in word or os.path.exists(word)
        return not names_a_file and bool(difflib.get_close_matches(word, self.commands))


app = typer.Typer(
    cls=RunByDefault,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    epilog="simulate FILE is short for simulate run FILE. See simulate run --help for its options.",
)


@app.callback()
def _about(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", is_eager=True, callback=print_version)
    ] = False,
) -> None:
    """Does this inference fleet hold its latency SLO at this load, and what does it cost?"""


@app.command()
def run(
    scenario: Annotated[str, typer.Argument(metavar="FILE", help="The scenario, a YAML file.", show_default=False)],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")] = False,
    seed: Annotated[
        int | None, typer.Option(min=0, help="Seed of all randomness, instead of the scenario's.", show_default=False)
    ] = None,
    replications: Annotated[
        int, typer.Option(min=1, metavar="R", help="Independent runs; from 2 on, with 95% confidence intervals.")
    ] = 1,
    engine: Annotated[
        Literal["auto", "compiled", "reference"],
        typer.Option(help="compiled is fast; reference is SimPy, to check it against; auto is compiled."),
    ] = "auto",
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="PATH=VALUE",
            help="Change a key of the scenario, as in --set fleets.gpu.instances=5. Repeatable.",
            show_default=False,
        ),
    ] = None,
    check: Annotated[bool, typer.Option("--check", help="Exit with 4 when an SLO is missed.")] = False,
    output: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Write requests.parquet, batches.parquet, report.json and report.txt there.",
            show_default=False,
        ),
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Processes for replications; default: one a core.", show_default=False),
    ] = None,
    cluster: Annotated[
        str | None,
        typer.Option(metavar="tcp://HOST:PORT", help="Run the replications on this Dask cluster.", show_default=False),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No messages and no progress on stderr.")] = False,
) -> None:
    """Run a scenario and report: SLOs, latency, utilisation, cost."""
    from contextlib import ExitStack

    from calibration.console import Messages
    from simulator.scenario import load_scenario

    messages = Messages(quiet=quiet)
    changes = [*(settings or []), *([] if seed is None else [f"seed={seed}"])]
    loaded = load_scenario(scenario, changes)
    for warning in loaded.warnings:
        messages.say(f"warning: {warning}")
    if check and all(workload.slo is None for workload in loaded.workloads.values()):
        refuse("--check", "needs an SLO to check, and no workload of the scenario states one", None, "Add slo: {...}.")
    # Imported after the scenario was found sound: bad input is told before the engine is loaded.
    from simulator.output import LogWriter, OutputFolder, json_text, write_report
    from simulator.render import print_report
    from simulator.study import simulate

    with ExitStack() as stack:
        folder = stack.enter_context(OutputFolder(output)) if output is not None else None
        with messages.progress() as watch:
            keep = None
            if folder is not None:
                names = {"workloads": tuple(loaded.workloads), "fleets": tuple(loaded.fleets)}
                keep = stack.enter_context(LogWriter(folder, **names)).write
            report = simulate(
                loaded,
                replications=replications,
                engine=engine,
                jobs=jobs,
                cluster=cluster,
                keep=keep,
                watch=watch,
            )
        if folder is not None:
            write_report(folder, report)
    if output is not None:
        messages.say(f"wrote {output}")
    if as_json:
        print_result(json_text(report))
    else:
        print_with(lambda: print_report(report, file=sys.stdout))
    if check and report.slo_met is not True:
        raise typer.Exit(CHECK_FAILED)


@app.command("import-prices")
def import_prices(
    layout: Annotated[str, typer.Argument(metavar="FORMAT", help="skypilot (a cloud's vms.csv), or csv (your own).")],
    file: Annotated[str, typer.Argument(metavar="FILE", help="The file to read.")],
    output: Annotated[str, typer.Option("--output", "-o", metavar="PRICES.csv", help="The price list to write.")],
    provider: Annotated[str | None, typer.Option(help="Cloud of all its prices.", show_default=False)] = None,
    region: Annotated[str | None, typer.Option(help="Region of all its prices.", show_default=False)] = None,
    price_type: Annotated[str | None, typer.Option(help="on_demand, spot, ...", show_default=False)] = None,
    as_of: Annotated[str | None, typer.Option(help="Day they held, as in 2026-01-19.", show_default=False)] = None,
    source: Annotated[str | None, typer.Option(help="Where they were read.", show_default=False)] = None,
    columns: Annotated[
        list[str] | None,
        typer.Option(
            "--column",
            metavar="OURS=THEIRS",
            help="A column that your file names differently, as in --column usd_per_hour=Price. Repeatable.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Turn somebody's price file into a price list that a scenario names with prices:."""
    from simulator.price_import import ImportOptions
    from simulator.price_import import import_prices as convert

    named = dict(key_and_value(text, "--column", "OURS=THEIRS") for text in columns or [])
    options = ImportOptions(provider, region, price_type, as_of, source, named)
    imported = convert(layout, file, output, options)
    print(f"{imported.describe()}\nwrote {output}", file=sys.stderr)


@app.command()
def prices(
    instance_type: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only this instance type.", show_default=False)
    ] = None,
    provider: Annotated[str | None, typer.Option(metavar="NAME", help="Only this cloud.", show_default=False)] = None,
    region: Annotated[str | None, typer.Option(metavar="NAME", help="Only this region.", show_default=False)] = None,
    price_list: Annotated[
        str | None,
        typer.Option("--prices", metavar="FILE", help="A price list of your own instead.", show_default=False),
    ] = None,
) -> None:
    """List the prices that a scenario's instance_type is looked up in, with dates and sources."""
    from simulator.price_table import price_table
    from simulator.prices import load_catalogue, shipped_catalogue

    catalogue = shipped_catalogue() if price_list is None else load_catalogue(price_list)
    wanted = {"instance_type": instance_type, "provider": provider, "region": region}
    rows = [
        price
        for price in catalogue.prices
        if all(text is None or getattr(price, name).lower() == text.lower() for name, text in wanted.items())
    ]
    if not rows:
        asked = next(name for name, text in wanted.items() if text is not None)
        known = sorted({getattr(price, asked) for price in catalogue.prices} - {""})
        near = difflib.get_close_matches(str(wanted[asked]), known, n=3)
        hint = f"Did you mean {' or '.join(near)}?" if near else "simulate prices lists all of them."
        said = ", ".join(f"{name} {text}" for name, text in wanted.items() if text is not None)
        refuse("", f"{catalogue.name} must hold a price for what is asked", said, hint)
    print_result(price_table(rows) + "\n")


@app.command()
def schema(
    markdown: Annotated[bool, typer.Option("--markdown", help="Print a page for people instead.")] = False,
) -> None:
    """Print the JSON Schema of a scenario, for editors: it documents every key."""
    import json

    from simulator.scenario import json_schema
    from simulator.schema_page import schema_page

    print_result(schema_page(json_schema()) if markdown else json.dumps(json_schema(), indent=2) + "\n")


@app.command("version")
def show_version() -> None:
    """Print the version."""
    print_result(version() + "\n")


def main() -> None:
    """Run the command line and exit."""
    run_command(app, "simulate", out_of_memory="Shorten the horizon or lower the rates.")
