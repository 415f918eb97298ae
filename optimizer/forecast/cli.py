"""The command ``forecast``: read past demand, say what comes, how sure that is, and how good that was on the past.

Results go to stdout, messages to stderr. Exit codes: 0 done, 2 bad input or usage, 4 a series cannot be forecast and
``--check`` was given, 130 interrupted, 1 only for a bug of ours. Nothing heavy is imported before the command starts.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from calibration.command_line import (
    CHECK_FAILED,
    key_and_value,
    print_result,
    print_version,
    refuse,
    run_command,
)

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode="rich")

_WIDTH = 80
"""Columns of the text on a terminal."""
_UNITS = ("instances", "requests_per_s", "requests")


@app.command()
def forecast(
    file: Annotated[
        str,
        typer.Argument(metavar="DEMAND.csv", help="Past demand: timestamp, pool, demand.", show_default=False),
    ],
    horizon: Annotated[str, typer.Option(metavar="TIME", help="How far ahead: 168h, 30d, 4w, 12mo or 1y.")] = "12mo",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")] = False,
    level: Annotated[
        list[str] | None,
        typer.Option(metavar="PERCENT", help="A quantile beside P10, P50, P90. Repeatable.", show_default=False),
    ] = None,
    holidays: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Holidays, past and coming: CSV date,name.", show_default=False)
    ] = None,
    holiday: Annotated[
        list[str] | None,
        typer.Option(metavar="DATE[=NAME]", help="A holiday, past or coming. Repeatable.", show_default=False),
    ] = None,
    events: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Launches and the like: CSV start,end,name,factor.", show_default=False),
    ] = None,
    event: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=START/END[*FACTOR]",
            help="An event; without a factor it is measured on past ones of its name. Repeatable.",
            show_default=False,
        ),
    ] = None,
    pooled: Annotated[bool, typer.Option("--pooled", help="Take all pools as one, *.")] = False,
    pool: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Only this pool. Repeatable.", show_default=False),
    ] = None,
    column: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=NAME", help="Column of timestamp, pool or demand, where named otherwise.", show_default=False
        ),
    ] = None,
    where: Annotated[
        list[str] | None,
        typer.Option(metavar="COLUMN=TEXT", help="Read only rows with this text there.", show_default=False),
    ] = None,
    unit: Annotated[str, typer.Option(metavar="|".join(_UNITS), help="What the numbers count.")] = "instances",
    timezone: Annotated[
        str | None,
        typer.Option(metavar="ZONE", help="Clock of stamps without a zone, as in Europe/Berlin.", show_default=False),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the sample paths.")] = 0,
    paths: Annotated[int, typer.Option(min=10, max=10_000, help="Sample paths.")] = 200,
    figure: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Draw it: .svg, .png or .pdf.", show_default=False)
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Write forecast.json, forecast.csv, forecast.md and its figure there.",
            show_default=False,
        ),
    ] = None,
    check: Annotated[bool, typer.Option("--check", help="Exit 4 when a pool cannot be forecast.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No messages on stderr.")] = False,
    _version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", is_eager=True, callback=print_version)
    ] = False,
) -> None:
    """What will demand be, hour by hour, how sure is that, and how good was the same forecast on the past?"""
    from contextlib import ExitStack

    from calibration.console import Messages
    from calibration.figures import check_figure_path
    from optimizer.forecast import asked

    if unit not in _UNITS:
        refuse("--unit", f"must be one of {', '.join(_UNITS)}", repr(unit), "Name one of them.")
    if figure is not None:
        check_figure_path(figure)
    also = asked.levels(level or [])
    columns = dict(key_and_value(text, "--column", "KEY=NAME") for text in column or [])
    strange = sorted(set(columns) - {"timestamp", "pool", "demand"})
    if strange:
        refuse("--column", "must name timestamp, pool or demand", strange[0], "Write --column demand=NORM_USAGE.")
    rows = dict(key_and_value(text, "--where", "COLUMN=TEXT") for text in where or [])
    launches = asked.events(event or [])
    messages = Messages(quiet=quiet)
    from optimizer.calendar_days import holidays_from, read_events, read_holidays
    from optimizer.history import load_history

    days = [*(read_holidays(holidays) if holidays is not None else ()), *holidays_from(holiday or [])]
    launches = (*(read_events(events) if events is not None else ()), *launches)
    history = load_history(file, columns=columns, where=rows, unit=unit, timezone=timezone)  # type: ignore[arg-type]
    unknown = [name for name in pool or [] if name not in history.pools]
    if unknown:
        refuse("--pool", f"must be one of {', '.join(history.pools)}", repr(unknown[0]), "Name a pool of the file.")
    history = history.select(pool) if pool else history
    history = history.pooled() if pooled else history
    hours = asked.horizon_h(horizon, history.end)
    # Imported after the file was found sound: bad input is told before numbers are computed.
    from optimizer.forecast.document import document, json_text, write_csv
    from optimizer.forecast.joint import forecast as foretell
    from optimizer.forecast.months import monthly
    from optimizer.forecast.page import page
    from simulator.output import OutputFolder

    with ExitStack() as stack:
        place = stack.enter_context(OutputFolder(output)) if output is not None else None
        with messages.progress("forecasting") as watch:
            said = foretell(
                history, hours, holidays=days, events=launches, seed=seed, paths=paths,
                watch=lambda name: watch.stage(f"forecasting {name}"),
            )  # fmt: skip
            months = monthly(said)
        content = json_text(document(said, months, levels=also, unit=history.unit)) if as_json or place else ""
        if figure is not None or place is not None:
            from calibration.figures import save_figure
            from optimizer.forecast.figure import forecast_figure

            drawn = forecast_figure(history, said)
            for target in (figure, place and place / "forecast.svg"):
                if target is not None:
                    save_figure(drawn, target)
        if place is not None:
            (place / "forecast.json").write_text(content, encoding="utf-8")
            text = page(said, months, unit=history.unit, figure="forecast.svg")
            (place / "forecast.md").write_text(text, encoding="utf-8")
            with (place / "forecast.csv").open("w", newline="", encoding="utf-8") as stream:
                write_csv(said, stream, also)
    for written in (figure, output):
        if written is not None:
            messages.say(f"wrote {written}")
    print_result(content if as_json else page(said, months, unit=history.unit, width=_WIDTH))
    if check and not all(one.forecastable for one in said.series):
        raise typer.Exit(CHECK_FAILED)


def main() -> None:
    """Run the command line and exit."""
    run_command(app, "forecast", out_of_memory="Ask for fewer --paths, a shorter --horizon, or one --pool at a time.")
