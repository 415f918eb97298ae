"""What do the options of ``optimize commitments`` ask for? Values, or everything that is wrong with them at once."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, TypeVar

import numpy as np

from calibration.command_line import key_and_value
from calibration.problems import InputError, Problem
from optimizer.commitments.offers import Market, market_by_prices, market_by_ratio
from optimizer.commitments.program import RiskMeasure
from optimizer.commitments.recommend import Preferences
from optimizer.forecast.futures import LEAST_FUTURES
from optimizer.forecast.levels import DAY_H, LEAST_DAYS
from optimizer.history import History, load_history
from optimizer.span_text import hours_of, in_words
from simulator.price_cells import option_problem

if TYPE_CHECKING:
    from optimizer.budget.tags_file import Tags

Risk = Literal["mean", "regret", "cost"]
T = TypeVar("T")

LONGEST_AHEAD_H: Final = 2 * 8_760
"""Purchases begin at most so long after the history: nothing says what is wanted then."""

MOST_STEPS: Final = 53
"""A ladder has at most so many dates in the longest term: more make the program large and the answer no better."""

LARGEST_QUESTION: Final = 500_000_000
"""Instances wanted, over pools, hours and the fewest scenarios: 4 GB."""

FEW: Final = 10
"""Fractions of demand matter where so few instances are wanted."""

_RISKS: Final[dict[Risk, Literal["none", "cvar_regret", "cvar_cost"]]] = {
    "mean": "none",
    "regret": "cvar_regret",
    "cost": "cvar_cost",
}
_KEYWORD: Final = re.compile(r"\((timezone|step|pool)=([^)]*)\)")
_OPTIONS: Final = {"timezone": "--timezone ", "step": "--step ", "pool": "--column pool="}


@dataclass(frozen=True)
class Asked:
    """The options, as they were written."""

    demand: str
    price_ratios: Sequence[float] = ()
    terms: Sequence[str] = ()
    on_demand_usd: float | None = None
    prices: Path | None = None
    plans: Sequence[str] = ()
    provider: str | None = None
    region: str | None = None
    pooled: bool = False
    columns: Sequence[str] = ()
    where: Sequence[str] = ()
    timezone: str | None = None
    step: str | None = None
    absent: Literal["auto", "zero", "gap"] = "auto"
    within_hour: Literal["mean", "max"] = "mean"
    tags: Path | None = None
    start: str | None = None
    ladder: str | None = None
    parts: bool | None = None
    risk: Risk = "mean"
    risk_weight: float | None = None
    risk_level: float | None = None
    cost_of_capital: float = 0.0
    max_upfront: float | None = None
    max_share: float | None = None
    time_limit: str = "60s"


@dataclass(frozen=True)
class Question:
    """What the options ask for."""

    history: History
    market: Market
    preferences: Preferences
    delay_h: int
    """Hours from the end of the history to the first purchase."""
    time_limit_s: float
    tags: Tags | None


class _Flaws:
    """Collects what is wrong, so that all of it is told together."""

    def __init__(self) -> None:
        self.found: list[Problem] = []

    def ask(self, question: Callable[[], T]) -> T | None:
        """Give the answer, or None and remember why there is none."""
        try:
            return question()
        except InputError as error:
            self.found += [problem for problem in error.problems if problem not in self.found]
            return None

    def add(self, option: str, rule: str, value: str | None, remedy: str) -> None:
        self.found.append(option_problem(option, rule, value, remedy))


def question_of(asked: Asked) -> Question:
    """Which question do these options ask?

    Raises
    ------
    InputError
        With everything that is wrong with the options and with the files that they name.
    """
    flaws = _Flaws()
    limit_s = flaws.ask(lambda: _seconds(asked.time_limit))
    preferences = flaws.ask(lambda: _preferences(asked))
    history = flaws.ask(lambda: _history(asked))
    market = flaws.ask(lambda: _market(asked, ("*",) if history is None else history.pools, known=history is not None))
    delay_h = flaws.ask(lambda: _delay_h(asked, history))
    tags = None
    if asked.tags is not None:
        tags = flaws.ask(lambda: _tags(asked, history))
    if market is not None and preferences is not None:
        _contradictions(asked, market, preferences, flaws)
    if market is not None and history is not None:
        _too_large(asked, market, history, delay_h or 0, flaws)
    if flaws.found:
        raise InputError(flaws.found)
    # What is None here was refused above.
    assert history is not None
    assert market is not None
    assert preferences is not None
    assert delay_h is not None
    assert limit_s is not None
    if asked.parts is None and counts_parts(market, history):
        preferences = replace(preferences, whole_units=False)
        note = (
            f"demand is in parts of an instance and at most {float(history.demand.max()):.3g}: parts of one may be "
            "promised (--whole: none)"
        )
        market = replace(market, notes=(*market.notes, note))
    return Question(history, market, preferences, delay_h, limit_s, tags)


def counts_parts(market: Market, history: History) -> bool:
    """Is demand counted in parts of an instance, so that whole ones are too coarse to promise?

    Only where nothing but price ratios is known: what a price list sells is whole.
    """
    demand = history.demand
    return not market.in_dollars and float(demand.max()) < FEW and bool((demand != np.rint(demand)).mean() > 0.5)


def _seconds(text: str) -> float:
    from pydantic_core import PydanticCustomError

    from calibration.units import positive_duration_ns

    try:
        return positive_duration_ns(text) / 1e9
    except PydanticCustomError as error:
        remedy = "Write a number and a unit, as in 60s."
        raise InputError([option_problem("--time-limit", error.message(), text, remedy)]) from None


def _history(asked: Asked) -> History:
    named = dict(key_and_value(text, "--column", "NAME=THEIRS, as in demand=NORM_USAGE") for text in asked.columns)
    only = dict(key_and_value(text, "--where", "COLUMN=TEXT, as in REGION_NUM=3") for text in asked.where)
    strange = sorted(set(named) - {"timestamp", "pool", "demand"})
    if strange:
        remedy = "Write --column demand=NORM_USAGE."
        raise InputError([option_problem("--column", "must name timestamp, pool or demand", strange[0], remedy)])
    try:
        history = load_history(
            asked.demand,
            columns=named or None,
            where=only or None,
            timezone=asked.timezone,
            step=asked.step,
            absent=asked.absent,
            within_hour=asked.within_hour,
        )
    except InputError as error:
        raise InputError(replace(problem, remedy=in_options(problem.remedy)) for problem in error.problems) from None
    if history.hours < LEAST_DAYS * DAY_H:
        rule, remedy = "must hold four days of demand at least", "A month or more tells a level from an accident."
        raise InputError([Problem(asked.demand, None, None, "", rule, f"{history.hours} hours", remedy)])
    return history.pooled() if asked.pooled else history


def in_options(remedy: str) -> str:
    """A remedy that names a keyword of :func:`optimizer.history.load_history` in the words of the command line.

    >>> in_options("Give its zone (timezone=Europe/Berlin).")
    'Give its zone (--timezone Europe/Berlin).'
    """
    return _KEYWORD.sub(lambda found: f"({_OPTIONS[found[1]]}{found[2]})", remedy)


def _market(asked: Asked, pools: Sequence[str], *, known: bool) -> Market | None:
    """The prices; None where the pools are not known, and nothing is wrong so far."""
    if asked.price_ratios:
        return _market_by_ratios(asked, pools)
    if asked.on_demand_usd is not None:
        remedy = "Give --price-ratio too, or put the price into the list of --prices."
        raise InputError([option_problem("--on-demand-usd", "needs --price-ratio", f"{asked.on_demand_usd:g}", remedy)])
    if asked.terms:
        remedy = "Plans of price lists have terms of their own: choose with --plan."
        raise InputError([option_problem("--term", "needs --price-ratio", asked.terms[0], remedy)])
    from simulator.prices import load_catalogue, shipped_catalogue

    own = () if asked.prices is None else (load_catalogue(asked.prices),)
    if not known:
        return None
    if asked.pooled:
        remedy = "Pools of different prices are not interchangeable: give --price-ratio, or leave --pooled out."
        raise InputError([option_problem("--pooled", "needs --price-ratio", None, remedy)])
    lists = (*own, shipped_catalogue())
    return market_by_prices(pools, lists, provider=asked.provider, region=asked.region, plans=asked.plans)


def _market_by_ratios(asked: Asked, pools: Sequence[str]) -> Market:
    given = {"--prices": asked.prices, "--plan": asked.plans, "--provider": asked.provider, "--region": asked.region}
    problems = [
        option_problem(option, "contradicts --price-ratio", None, "Give a ratio or a price list, not both.")
        for option, value in given.items()
        if value
    ]
    ratios, terms = asked.price_ratios, asked.terms or ("1y",)
    if len(ratios) != len(terms):
        value = f"{len(ratios)} of one and {len(terms)} of the other"
        remedy = "Give a --term for each --price-ratio, in the same order."
        problems.append(option_problem("--price-ratio", "must come as often as --term", value, remedy))
    flaws = _Flaws()
    hours = [flaws.ask(lambda text=text: hours_of(text, "--term")) for text in terms]  # type: ignore[misc]
    markets = [
        flaws.ask(lambda ratio=ratio, term=term: market_by_ratio(pools, ratio, term or 8_760))  # type: ignore[misc]
        for ratio, term in zip(ratios, hours, strict=False)
    ]
    if len(set(terms)) < len(terms):
        problems.append(option_problem("--term", "must differ from one another", ", ".join(terms), "Leave one out."))
    price = asked.on_demand_usd
    if price is not None and not 0 < price < float("inf"):
        remedy = "Write what an instance costs on demand, in USD an hour."
        problems.append(option_problem("--on-demand-usd", "must be greater than 0", f"{price:g}", remedy))
    if problems or flaws.found:
        raise InputError([*problems, *flaws.found])
    several = len(terms) > 1
    usd = 1.0 if price is None else price
    offers = [
        replace(
            offer,
            plan=f"{offer.plan}_{text.replace(' ', '')}" if several else offer.plan,
            usd_per_hour=offer.usd_per_hour * usd,
        )
        for market, text in zip(markets, terms, strict=True)
        if market is not None
        for offer in market.offers
    ]
    first = next(market for market in markets if market is not None)
    notes = []
    if price is not None:
        notes.append(f"an instance of every pool costs ${price:g} an hour on demand (--on-demand-usd)")
    elif len(pools) > 1:
        notes.append(
            "only price ratios are known: an instance of one pool counts as much as one of another, whatever it costs"
        )
    return Market(tuple(pools), first.on_demand_usd * usd, tuple(offers), price is not None, notes=tuple(notes))


def _delay_h(asked: Asked, history: History | None) -> int | None:
    if asked.start is None:
        return 0
    begin = date_of(asked.start)
    if history is None:
        return None
    hours = (begin - history.end) // timedelta(hours=1)
    if 0 <= hours <= LONGEST_AHEAD_H:
        return hours
    rule = "must be on or after the end of the history" if hours < 0 else "must be within two years of the history"
    remedy = f"The history ends {history.end:%Y-%m-%d}, and nothing is bought before."
    raise InputError([option_problem("--start", rule, asked.start, remedy)])


def date_of(text: str) -> datetime:
    """Which hour does a date of an option begin with?

    Raises
    ------
    InputError
        It is no date.

    Examples
    --------
    >>> date_of("2027-04-01").isoformat()
    '2027-04-01T00:00:00+00:00'
    """
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        remedy = "Write it as 2027-04-01."
        raise InputError([option_problem("--start", "must be a date", text, remedy)]) from None
    moment = found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    return moment.replace(minute=0, second=0, microsecond=0)


def _tags(asked: Asked, history: History | None) -> Tags | None:
    from optimizer.budget.tags_file import load_tags

    if asked.pooled:
        remedy = "Leave one of the two out: a pool that was merged belongs to nobody."
        raise InputError([option_problem("--tags", "contradicts --pooled", str(asked.tags), remedy)])
    assert asked.tags is not None, "asked only where it is given"
    return load_tags(asked.tags, None if history is None else history.pools)


def _preferences(asked: Asked) -> Preferences:
    flaws = _Flaws()
    for option, value in (("--risk-weight", asked.risk_weight), ("--risk-level", asked.risk_level)):
        if value is not None and asked.risk == "mean":
            flaws.add(option, "needs --risk regret or --risk cost", f"{value:g}", "Say which risk is weighed.")
    ladder_h = flaws.ask(lambda: None if asked.ladder is None else hours_of(asked.ladder, "--ladder"))
    if flaws.found:
        raise InputError(flaws.found)
    kind = _RISKS[asked.risk]
    weight = 0.5 if asked.risk_weight is None else asked.risk_weight
    level = 0.9 if asked.risk_level is None else asked.risk_level
    return Preferences(
        risk=RiskMeasure() if kind == "none" else RiskMeasure(kind, weight, level),
        cost_of_capital=asked.cost_of_capital,
        max_upfront_usd=asked.max_upfront,
        max_committed_share=asked.max_share,
        ladder_h=ladder_h,
        whole_units=not asked.parts,
    )


def _contradictions(asked: Asked, market: Market, preferences: Preferences, flaws: _Flaws) -> None:
    """Limits that leave nothing to choose from."""
    if asked.max_share == 0:
        remedy = "Nothing can be promised then: give a share above 0, or ask no question."
        flaws.add("--max-share", "must be greater than 0", "0", remedy)
    if preferences.max_upfront_usd is not None:
        least = min(offer.upfront_usd for offer in market.offers)
        if least > preferences.max_upfront_usd:
            remedy = "Raise it, or allow a plan that is paid by the month (--plan)."
            rule = f"must be at least what the plan with the least upfront asks for one unit, {least:,.2f} USD"
            flaws.add("--max-upfront", rule, f"{preferences.max_upfront_usd:g}", remedy)
    longest = max(offer.term_h for offer in market.offers)
    if preferences.ladder_h is not None and preferences.ladder_h >= longest:
        remedy = "Purchases begin within the longest term: give a shorter span, as in 3mo."
        flaws.add("--ladder", "must be shorter than the longest term", asked.ladder, remedy)
    elif preferences.ladder_h is not None and preferences.ladder_h * MOST_STEPS < longest:
        rule = f"must have at most {MOST_STEPS} dates in the longest term, {in_words(longest)}"
        flaws.add("--ladder", rule, asked.ladder, f"Give {-(-longest // MOST_STEPS)}h or more.")


def _too_large(asked: Asked, market: Market, history: History, delay_h: int, flaws: _Flaws) -> None:
    """So many pools that the fewest scenarios do not fit in memory."""
    hours = delay_h + max(offer.term_h for offer in market.offers)
    most = LARGEST_QUESTION // (LEAST_FUTURES * hours)
    if len(history.pools) > most:
        rule = f"must have at most {most:,} pools for {in_words(hours)}"
        remedy = "Read a part of them (--where), or take them together (--pooled)."
        flaws.found.append(Problem(asked.demand, None, None, "pool", rule, f"{len(history.pools):,}", remedy))
