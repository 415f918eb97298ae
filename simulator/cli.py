"""The command ``simulate``: read a scenario, run it, say whether it holds.

Results go to stdout, messages and progress to stderr (progress only on a terminal). Exit codes: 0 done, 2 bad input
or usage, 4 an SLO is missed under ``--check``, 130 interrupted, 1 only for a bug of ours. Nothing heavy is imported
before a command needs it, so that ``simulate --help`` answers at once.
"""

from __future__ import annotations

import difflib
import json
import os
import sys
from dataclasses import replace
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


_SERVER = "The server that was measured (default: what the files say)"
_JUDGING = "How close it has to be"


def _option(words: str, metavar: str | None = None, *names: str, panel: str | None = None, **more: Any) -> Any:
    """An option without a default to show, under a heading of its own."""
    return typer.Option(*names, metavar=metavar, help=words, rich_help_panel=panel, show_default=False, **more)


@app.command()
def validate(
    profile: Annotated[
        str, typer.Argument(metavar="PROFILE", help="A profile file, or the name of one that is shipped.")
    ],
    against: Annotated[
        list[Path],
        typer.Option(
            metavar="FILE",
            help="What was measured: a tool's file, a profile with loads, a CSV of loads or of requests. Repeatable.",
            show_default=False,
        ),
    ],
    layout: Annotated[
        str | None, _option("The tool that wrote it, where the file does not tell.", "FORMAT", "--format")
    ] = None,
    batches: Annotated[
        list[int] | None, _option("Items in a request, for each file of a tool.", "N", "--batch")
    ] = None,
    rule: Annotated[str | None, _option("Batching rule: triton, mosec, ...", "RULE", panel=_SERVER)] = None,
    max_batch_size: Annotated[int | None, _option("Most items in a batch.", "N", panel=_SERVER, min=1)] = None,
    max_queue_delay: Annotated[
        str | None, _option("How long it waits for more requests, as in 5ms.", "TIME", panel=_SERVER)
    ] = None,
    preferred_batch_sizes: Annotated[
        str | None, _option("Sizes at which Triton forms a batch at once.", "4,8", panel=_SERVER)
    ] = None,
    model_instances: Annotated[
        int | None, _option("Executions at once on one accelerator.", "N", panel=_SERVER, min=1)
    ] = None,
    scenario: Annotated[
        str | None, _option("Or: the scenario whose one fleet was measured.", "FILE.yaml", panel=_SERVER)
    ] = None,
    arrivals: Annotated[
        Literal["poisson", "deterministic"], _option("How requests arrive at a rate.", panel=_SERVER)
    ] = "poisson",
    requests: Annotated[int, typer.Option(min=100, metavar="N", help="Requests simulated at each load.")] = 20_000,
    seed: Annotated[int, typer.Option(min=0, help="Seed of all randomness.")] = 0,
    allow_extrapolation: Annotated[
        bool, typer.Option("--allow-extrapolation", help="Use batch sizes that the profile did not measure.")
    ] = False,
    up_to_utilisation: Annotated[
        float, _option("Judge only loads up to this simulated utilisation.", "U", panel=_JUDGING, min=0)
    ] = float("inf"),
    within: Annotated[
        str | None, _option("Errors allowed at every load judged.", "p50=5%,p99=10%", panel=_JUDGING)
    ] = None,
    check: Annotated[
        bool, _option("Exit with 4 when --within does not hold.", None, "--check", panel=_JUDGING)
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No messages and no progress on stderr.")] = False,
) -> None:
    """Compare simulated with measured latency and throughput, load by load, and print the errors."""
    from calibration.console import Messages
    from simulator import validation_options as options

    allowed = options.within(within, check=check)
    asked = options.Asked(
        profile=profile,
        against=tuple(against),
        format=layout,
        batches=tuple(batches or ()),
        rule=rule,
        max_batch_size=max_batch_size,
        max_queue_delay=max_queue_delay,
        preferred_batch_sizes=preferred_batch_sizes,
        model_instances=model_instances,
        scenario=scenario,
    )
    measured, setting = options.read(asked)
    setting = replace(setting, process=arrivals, requests=requests, seed=seed, allow_extrapolation=allow_extrapolation)
    # Imported after the input was found sound: bad input is told before the engine is loaded.
    from simulator.validate import validate as compare

    with Messages(quiet=quiet).progress() as watch:
        result = compare(measured, setting, up_to=up_to_utilisation, watch=watch)
    if as_json:
        from simulator.validation_page import validation_object

        print_result(json.dumps(validation_object(result, allowed), indent=2, allow_nan=False) + "\n")
    else:
        from calibration.page import print_page
        from simulator.validation_page import validation_lines

        print_with(lambda: print_page(validation_lines(result, allowed), sys.stdout))
    if check and not result.holds(allowed):
        raise typer.Exit(CHECK_FAILED)


@app.command("import-prices")
def import_prices(
    layout: Annotated[
        str,
        typer.Argument(
            metavar="FORMAT",
            help="aws-price-list (EC2), aws-savings-plan, skypilot (a cloud's vms.csv), or csv (your own).",
        ),
    ],
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
    price_lists: Annotated[
        list[str] | None,
        typer.Option(
            "--price-list",
            metavar="EC2.json",
            help="For aws-savings-plan: AWS's EC2 price list of the same region. Repeatable.",
            show_default=False,
        ),
    ] = None,
    zones: Annotated[bool, typer.Option("--zones", help="For skypilot: keep the spot price of each zone.")] = False,
) -> None:
    """Turn somebody's price file into a price list that a scenario names with prices:."""
    from simulator.price_import import ImportOptions
    from simulator.price_import import import_prices as convert

    named = dict(key_and_value(text, "--column", "OURS=THEIRS") for text in columns or [])
    options = ImportOptions(provider, region, price_type, as_of, source, named, tuple(price_lists or ()), zones)
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
