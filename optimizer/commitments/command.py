"""``optimize commitments``: how much to promise, of what, and when, for a demand like this one's."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from calibration.command_line import INFEASIBLE, key_and_value, print_result, print_with, refuse

if TYPE_CHECKING:
    from optimizer.commitments.offers import Market
    from optimizer.commitments.recommend import Preferences
    from optimizer.history import History

PRICES = "Prices and promises"
DEMAND = "Reading the demand"
RISK = "Risk and limits"


def commitments(
    demand: Annotated[
        str,
        typer.Argument(
            metavar="DEMAND",
            help="CSV of demand by hour: timestamp,pool,demand; or a budget file (YAML), which is run whole.",
            show_default=False,
        ),
    ],
    price_ratio: Annotated[
        float | None,
        typer.Option(
            metavar="R",
            help="A promised instance costs this share of on demand, used or not, as in 0.70.",
            rich_help_panel=PRICES,
            show_default=False,
        ),
    ] = None,
    term: Annotated[
        str,
        typer.Option(metavar="SPAN", help="How long it is promised for, with --price-ratio.", rich_help_panel=PRICES),
    ] = "1y",
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
    ladder: Annotated[
        str | None,
        typer.Option(
            metavar="SPAN",
            help="Purchases may also begin later, every so often, as in 3mo.",
            rich_help_panel=RISK,
            show_default=False,
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
        float, typer.Option(min=0, max=1, metavar="W", help="How much it counts, from 0 to 1.", rich_help_panel=RISK)
    ] = 0.5,
    risk_level: Annotated[
        float,
        typer.Option(
            min=0, max=0.99, metavar="A", help="The worst 1 - A of the scenarios are meant.", rich_help_panel=RISK
        ),
    ] = 0.9,
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
            help="Write purchases.csv, budget.csv (FOCUS columns), report.md and its figures there.",
            show_default=False,
        ),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No messages and no progress on stderr.")] = False,
) -> None:
    """How much to commit, of what, and when, ahead of a purchase of reserved instances."""
    from calibration.console import Messages

    messages = Messages(quiet=quiet)
    if demand.lower().endswith((".yaml", ".yml")):
        refuse("DEMAND", "is a budget file, which optimize runs whole", demand, f"Run optimize {demand}.")
    history = _history(demand, columns or [], where or [], timezone, pooled)
    market = _market(history, price_ratio, term, prices, plans or [], provider, region)
    from optimizer.commitments.study import study, study_json

    found = study(
        history,
        market,
        _preferences(risk, risk_weight, risk_level, cost_of_capital, max_upfront, max_share, ladder),
        futures=scenarios,
        seed=seed,
        gap=gap,
        time_limit_s=_seconds(time_limit),
        tested=backtest,
        say=messages.say,
    )
    if output is not None:
        from optimizer.commitments.files import write_study

        write_study(found, output)
        messages.say(f"wrote {output}")
    if as_json:
        import json

        print_result(json.dumps(study_json(found), indent=2, allow_nan=False) + "\n")
    else:
        from optimizer.commitments.page import print_study

        print_with(lambda: print_study(found, file=sys.stdout))
    if found.recommendation.solution.status == "infeasible":
        raise typer.Exit(INFEASIBLE)


def _seconds(text: str) -> float:
    from pydantic_core import PydanticCustomError

    from calibration.units import positive_duration_ns

    try:
        return positive_duration_ns(text) / 1e9
    except PydanticCustomError as error:
        refuse("--time-limit", error.message(), text, "Write a number and a unit, as in 60s.")


def _history(path: str, columns: list[str], where: list[str], timezone: str | None, pooled: bool) -> History:
    from calibration.problems import InputError
    from optimizer.commitments.levels import DAY_H, LEAST_BLOCKS
    from optimizer.history import load_history
    from simulator.price_cells import option_problem

    named = dict(key_and_value(text, "--column", "NAME=THEIRS, as in demand=NORM_USAGE") for text in columns)
    only = dict(key_and_value(text, "--where", "COLUMN=TEXT, as in REGION_NUM=3") for text in where)
    history = load_history(path, columns=named or None, where=only or None, timezone=timezone)
    if history.hours < LEAST_BLOCKS * DAY_H:
        rule, remedy = "must hold four days of demand at least", "A month or more tells a level from an accident."
        raise InputError([option_problem(path, rule, f"{history.hours} hours", remedy)])
    return history.pooled() if pooled else history


def _market(
    history: History,
    price_ratio: float | None,
    term: str,
    prices: Path | None,
    plans: list[str],
    provider: str | None,
    region: str | None,
) -> Market:
    from optimizer.commitments.offers import market_by_prices, market_by_ratio
    from optimizer.span_text import hours_of

    if price_ratio is not None:
        if prices is not None or plans or provider or region:
            refuse("--price-ratio", "must not be given with a price list", f"{price_ratio:g}", "Give one of the two.")
        return market_by_ratio(history.pools, price_ratio, hours_of(term, "--term"))
    from simulator.prices import load_catalogue, shipped_catalogue

    own = () if prices is None else (load_catalogue(prices),)
    return market_by_prices(history.pools, (*own, shipped_catalogue()), provider=provider, region=region, plans=plans)


def _preferences(
    risk: str,
    weight: float,
    level: float,
    cost_of_capital: float,
    max_upfront: float | None,
    max_share: float | None,
    ladder: str | None,
) -> Preferences:
    from optimizer.commitments.program import RiskMeasure
    from optimizer.commitments.recommend import Preferences
    from optimizer.span_text import hours_of

    kinds: dict[str, Literal["none", "cvar_regret", "cvar_cost"]] = {
        "mean": "none",
        "regret": "cvar_regret",
        "cost": "cvar_cost",
    }
    kind = kinds[risk]
    return Preferences(
        risk=RiskMeasure() if kind == "none" else RiskMeasure(kind, weight, level),
        cost_of_capital=cost_of_capital,
        max_upfront_usd=max_upfront,
        max_committed_share=max_share,
        ladder_h=None if ladder is None else hours_of(ladder, "--ladder"),
    )
