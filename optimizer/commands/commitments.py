"""``optimize commitments``: how much to promise, of what, and when, for a demand like this one's."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from calibration.command_line import INFEASIBLE, print_result, print_with, refuse
from optimizer.commands.budget import was_given

if TYPE_CHECKING:
    from optimizer.commands.commitment_options import Asked
    from optimizer.commitments.study import Study

PRICES = "Prices and promises"
DEMAND = "Reading the demand"
RISK = "Risk and limits"

_OF_A_BUDGET_FILE = {"demand", "as_json", "output", "quiet", "seed"}
"""Options that a budget file takes too; the others are written in the file."""


def commitments(
    ctx: typer.Context,
    demand: Annotated[
        str,
        typer.Argument(
            metavar="DEMAND",
            help="CSV of demand by hour: timestamp,pool,demand; or a budget file (YAML), which is run whole.",
            show_default=False,
        ),
    ],
    price_ratio: Annotated[
        list[float] | None,
        typer.Option(
            metavar="R",
            help="A promised instance costs this share of on demand, used or not, as in 0.70. Repeatable, with --term.",
            rich_help_panel=PRICES,
            show_default=False,
        ),
    ] = None,
    term: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SPAN",
            help="How long it is promised for, with --price-ratio: 1y, 3y, 26w. Repeatable.",
            rich_help_panel=PRICES,
            show_default="1y",
        ),
    ] = None,
    on_demand_usd: Annotated[
        float | None,
        typer.Option(
            metavar="USD",
            help="What an instance costs an hour on demand, with --price-ratio: amounts are in dollars then.",
            rich_help_panel=PRICES,
            show_default=False,
        ),
    ] = None,
    prices: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Price list: pools are its instance types. Asked before the prices that are shipped.",
            rich_help_panel=PRICES,
            show_default=False,
        ),
    ] = None,
    plans: Annotated[
        list[str] | None,
        typer.Option(
            "--plan",
            metavar="NAME",
            help="A plan that may be bought, as in cud_1y. Repeatable; default: all that are listed.",
            rich_help_panel=PRICES,
            show_default=False,
        ),
    ] = None,
    provider: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Narrows the look-up.", rich_help_panel=PRICES, show_default=False),
    ] = None,
    region: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Narrows the look-up.", rich_help_panel=PRICES, show_default=False),
    ] = None,
    pooled: Annotated[
        bool, typer.Option("--pooled", help="Take all pools as interchangeable.", rich_help_panel=DEMAND)
    ] = False,
    columns: Annotated[
        list[str] | None,
        typer.Option(
            "--column",
            metavar="NAME=THEIRS",
            help="Name of a column of the file, as in --column demand=NORM_USAGE. Repeatable.",
            rich_help_panel=DEMAND,
            show_default=False,
        ),
    ] = None,
    where: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COLUMN=TEXT",
            help="Read only rows with this text in this column. Repeatable.",
            rich_help_panel=DEMAND,
            show_default=False,
        ),
    ] = None,
    timezone: Annotated[
        str | None,
        typer.Option(metavar="ZONE", help="Zone of stamps that name none.", rich_help_panel=DEMAND, show_default="UTC"),
    ] = None,
    step: Annotated[
        str | None,
        typer.Option(
            metavar="SPAN",
            help="Spacing of the rows, as in 5min.",
            rich_help_panel=DEMAND,
            show_default="the most common one",
        ),
    ] = None,
    within_hour: Annotated[
        Literal["mean", "max"],
        typer.Option(help="What stands for an hour that has several rows.", rich_help_panel=DEMAND),
    ] = "mean",
    absent: Annotated[
        Literal["auto", "zero", "gap"],
        typer.Option(
            help="What a time without any row means: told by those around it, nothing wanted, or rows that are "
            "missing.",
            rich_help_panel=DEMAND,
        ),
    ] = "auto",
    tags: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="CSV pool,team,model (any tags; share where a pool is shared): who pays, with --output.",
            rich_help_panel=DEMAND,
            show_default=False,
        ),
    ] = None,
    start: Annotated[
        str | None,
        typer.Option(
            metavar="DATE",
            help="First day of the purchases, as in 2027-04-01.",
            rich_help_panel=RISK,
            show_default="the end of the history",
        ),
    ] = None,
    ladder: Annotated[
        str | None,
        typer.Option(
            metavar="SPAN",
            help="Purchases may also begin later, every so often, as in 3mo.",
            rich_help_panel=RISK,
            show_default=False,
        ),
    ] = None,
    parts: Annotated[
        bool | None,
        typer.Option(
            "--parts/--whole",
            help="Whether parts of an instance may be promised: where pools count normalised units.",
            rich_help_panel=RISK,
            show_default="only of small demand in parts, with --price-ratio",
        ),
    ] = None,
    risk: Annotated[
        Literal["mean", "regret", "cost"],
        typer.Option(
            help="What counts beside the mean cost: the worst regrets (holds back where demand may shrink), or the "
            "worst costs (buys more).",
            rich_help_panel=RISK,
        ),
    ] = "mean",
    risk_weight: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            metavar="W",
            help="How much it counts, from 0 to 1.",
            rich_help_panel=RISK,
            show_default="0.5",
        ),
    ] = None,
    risk_level: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=0.99,
            metavar="A",
            help="The worst 1 - A of the scenarios are meant.",
            rich_help_panel=RISK,
            show_default="0.9",
        ),
    ] = None,
    cost_of_capital: Annotated[
        float,
        typer.Option(min=0, max=1, metavar="RATE", help="A year, as in 0.08: upfront costs it.", rich_help_panel=RISK),
    ] = 0.0,
    max_upfront: Annotated[
        float | None,
        typer.Option(min=0, metavar="USD", help="Most to pay upfront.", rich_help_panel=RISK, show_default=False),
    ] = None,
    max_share: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            metavar="SHARE",
            help="Most to promise, as a share of what everything would cost on demand.",
            rich_help_panel=RISK,
            show_default=False,
        ),
    ] = None,
    scenarios: Annotated[int, typer.Option(min=1, max=5_000, metavar="N", help="Demand scenarios to draw.")] = 100,
    seed: Annotated[int, typer.Option(min=0, help="Seed of all randomness.")] = 0,
    backtest: Annotated[
        bool, typer.Option("--backtest/--no-backtest", help="Test the rule on the history beside other rules.")
    ] = True,
    gap: Annotated[float, typer.Option(min=0, max=0.2, help="Stop within this share of the least cost.")] = 0.001,
    time_limit: Annotated[str, typer.Option(metavar="DURATION", help="Longest time for the solver.")] = "60s",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")] = False,
    output: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Write purchases.csv, budget.csv (FOCUS columns), report.md, its figures and commitments.json there.",
            show_default=False,
        ),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No messages and no progress on stderr.")] = False,
) -> None:
    """How much to commit, of what, and when, ahead of a purchase of reserved instances."""
    if demand.lower().endswith((".yaml", ".yml")):
        _run_budget(ctx, demand, seed=seed, as_json=as_json, output=output, quiet=quiet)
        return
    # Imported when the command runs, so that --help is quick.
    from optimizer.commands.commitment_options import Asked

    asked = Asked(
        demand=demand,
        price_ratios=price_ratio or (),
        terms=term or (),
        on_demand_usd=on_demand_usd,
        prices=prices,
        plans=plans or (),
        provider=provider,
        region=region,
        pooled=pooled,
        columns=columns or (),
        where=where or (),
        timezone=timezone,
        step=step,
        absent=absent,
        within_hour=within_hour,
        tags=tags,
        start=start,
        ladder=ladder,
        parts=parts,
        risk=risk,
        risk_weight=risk_weight,
        risk_level=risk_level,
        cost_of_capital=cost_of_capital,
        max_upfront=max_upfront,
        max_share=max_share,
        time_limit=time_limit,
    )
    found = _answer(asked, scenarios, seed, gap, backtest, output, quiet)
    if as_json:
        import json

        from optimizer.commitments.study import study_json

        print_result(json.dumps(study_json(found), indent=2, allow_nan=False) + "\n")
    else:
        from optimizer.commitments.page import print_study

        print_with(lambda: print_study(found, file=sys.stdout))
    if found.recommendation.solution.status == "infeasible":
        raise typer.Exit(INFEASIBLE)


def _answer(asked: Asked, futures: int, seed: int, gap: float, tested: bool, output: Path | None, quiet: bool) -> Study:
    """Read, study, and write the files that were asked for."""
    from contextlib import ExitStack

    from calibration.console import Messages
    from optimizer.commands.commitment_options import question_of

    messages = Messages(quiet=quiet)
    if asked.tags is not None and output is None:
        refuse("--tags", "needs --output", str(asked.tags), "Who pays is written to the files: add --output DIR.")
    question = question_of(asked)
    # Imported after the input was found sound: bad input is told before the solver is loaded.
    from optimizer.commitments.study import study
    from simulator.output import OutputFolder

    with ExitStack() as stack:
        place = stack.enter_context(OutputFolder(output)) if output is not None else None
        with messages.progress("committing") as watch:
            found = study(
                question.history,
                question.market,
                question.preferences,
                delay_h=question.delay_h,
                futures=futures,
                seed=seed,
                gap=gap,
                time_limit_s=question.time_limit_s,
                tested=tested,
                say=watch.stage,
            )
            if place is not None:
                from optimizer.budget.study_files import write_study

                watch.stage("settling every future for the budget")
                write_study(found, place, question.tags)
    if output is not None:
        messages.say(f"wrote {output}")
    return found


def _run_budget(ctx: typer.Context, file: str, *, seed: int, as_json: bool, output: Path | None, quiet: bool) -> None:
    """Run a budget file whole, as ``optimize FILE`` does."""
    from optimizer.commands.budget import run_budget

    given = [
        parameter
        for parameter in ctx.command.params
        if parameter.name not in _OF_A_BUDGET_FILE and was_given(ctx, str(parameter.name))
    ]
    if given:
        from calibration.problems import InputError, Problem

        remedy = f"Write it in the file (see docs/budget.md), or run optimize {file} --set PATH=VALUE."
        raise InputError(
            Problem("<command line>", None, None, each.opts[0], "does not apply to a budget file", None, remedy)
            for each in given
        )
    run_budget(
        file,
        [f"seed={seed}"] if was_given(ctx, "seed") else [],
        as_json=as_json,
        output=output,
        quiet=quiet,
    )
