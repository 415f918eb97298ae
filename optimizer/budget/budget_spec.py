"""What a planner writes under ``budget``: histories, the time to budget, what may be bought, what could go wrong."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator
from typing import Annotated, Any, Final, Literal, NamedTuple

from pydantic import AfterValidator, BeforeValidator, Field

from calibration.schema import Entry, Flaw, Number, Positive, Whole
from calibration.tree import shown
from calibration.units import NS_BY_UNIT, DurationNs, refusal
from optimizer.plan_spec import Share
from simulator.arrival_spec import BesidePath
from simulator.fleet_spec import Text
from simulator.purchase_plan import PLAN_BY_PRICE_TYPE
from simulator.sections import Name

MOST_MONTHS: Final = 60
"""Longest horizon of a budget."""

MOST_PATHS: Final = 2_000
"""Most futures of the demand that are drawn."""

_MONTHS: Final = re.compile(r"(\d{1,3})\s*(?:mo|months?)|(\d{1,2})\s*(?:y|years?)")

UsdLimit = Annotated[float, Field(strict=True, allow_inf_nan=False, ge=0)]


class Months(NamedTuple):
    """Whole calendar months."""

    months: int
    """At least 1."""

    def after(self, day: dt.date) -> dt.date:
        """The same day so many months later; the last of a shorter month.

        >>> Months(12).after(dt.date(2027, 1, 1)).isoformat(), Months(1).after(dt.date(2027, 1, 31)).isoformat()
        ('2028-01-01', '2027-02-28')
        """
        months = day.year * 12 + day.month - 1 + self.months
        following = dt.date((months + 1) // 12, (months + 1) % 12 + 1, 1)
        last = (following - dt.timedelta(days=1)).day
        return dt.date(months // 12, months % 12 + 1, min(day.day, last))


def months_of(value: object) -> Months:
    """How many months does this text mean?

    >>> months_of("12mo"), months_of("1y")
    (Months(months=12), Months(months=12))
    """
    if isinstance(value, Months):
        return value
    found = _MONTHS.fullmatch(value.strip()) if isinstance(value, str) else None
    if found is None:
        raise refusal("must be a number of months or years, for instance 12mo", "Units are mo and y.")
    count = int(found[1]) if found[1] else 12 * int(found[2])
    if not 1 <= count <= MOST_MONTHS:
        raise refusal(f"must be from 1 to {MOST_MONTHS} months", "Budgets of several years are made year by year.")
    return Months(count)


def day_of(value: object) -> dt.date:
    """Which day does this text mean? YAML may have read it already."""
    if isinstance(value, dt.datetime):
        raise refusal("must be a day without a time, for instance 2027-01-01", "Leave the time out.")
    if isinstance(value, dt.date):
        return value
    try:
        return dt.date.fromisoformat(str(value).strip())
    except ValueError:
        raise refusal("must be a day, for instance 2027-01-01", "Write year, month and day, in this order.") from None


def _plan_name(value: object) -> str:
    plan = PLAN_BY_PRICE_TYPE.get(value) if isinstance(value, str) else None
    if plan is None or not plan.promises:
        known = ", ".join(name for name, one in PLAN_BY_PRICE_TYPE.items() if one.promises)
        raise refusal("must be a purchase plan that is a promise", f"There are: {known}.")
    return plan.price_type


def _whole_hours(shift: int) -> int:
    if shift % NS_BY_UNIT["h"]:
        raise refusal("must be whole hours", "Weeks keep the day of the week: 728d is 104 weeks.")
    return shift


Day = Annotated[dt.date, BeforeValidator(day_of, json_schema_input_type=str)]
Span = Annotated[Months, BeforeValidator(months_of, json_schema_input_type=str)]
PlanName = Annotated[str, BeforeValidator(_plan_name)]
Factor = Annotated[float, Field(strict=True, allow_inf_nan=False, gt=0, le=1_000)]


class HistorySpec(Entry):
    """Where a workload's past demand stands: an hourly table, or means of days or weeks with the shape of a week."""

    file: BesidePath | None = None
    """Hourly CSV with the columns timestamp (UTC), pool and demand."""
    pool: Text | None = None
    """Which pool of ``file``; may be left out where there is one."""
    means: BesidePath | None = None
    """CSV with the column ``day`` and a column of means: of every day, or of every week by its first day."""
    week_shape: BesidePath | None = None
    """CSV with ``weekday`` (0 is Monday), ``hour`` and a column of factors whose mean is 1."""
    column: Text | None = None
    """The column of ``means`` and ``week_shape``; default: the only one there is."""
    scale: Positive = 1.0
    """Requests per second for 1 of the file: every value is multiplied by it."""
    shift_ns: Annotated[DurationNs, AfterValidator(_whole_hours)] = Field(default=0, alias="shift")
    """How much later than in the file the demand is taken to have been, as in ``1036d``: whole weeks keep weekdays."""

    def flaws(self) -> Iterator[Flaw]:
        """No history, or two."""
        remedy = "Give file, or means and week_shape."
        if self.file is None and self.means is None:
            yield Flaw(("file",), "is required, or means", None, remedy)
        if self.file is not None:
            for key in ("means", "week_shape", "column"):
                if getattr(self, key) is not None:
                    yield Flaw((key,), "contradicts file", remedy=remedy)
        elif self.pool is not None:
            yield Flaw(("pool",), "has no effect without file", remedy="Use column.")
        if self.means is not None and self.week_shape is None:
            yield Flaw(("week_shape",), "is required beside means", None, "Say how a week runs: 168 factors.")
        if self.means is None and self.file is None and self.week_shape is not None:
            yield Flaw(("means",), "is required beside week_shape", None, "Say what each day or week brought.")


class LimitsSpec(Entry):
    """What may be promised at most."""

    max_upfront_usd: UsdLimit | None = None
    """Most that may be paid at once, over all purchases."""
    max_committed_share: Share | None = None
    """Most that may be promised, over all hours until the last term ends, as a share of what everything would cost on
    demand."""


class RiskSpec(Entry):
    """Which bad outcomes weigh more than the mean does."""

    measure: Literal["regret", "cost"] = "regret"
    """``regret``: money lost against what one would have bought knowing the future, the fear of those who expect
    demand to shrink; ``cost``: high bills, the fear of those who expect it to grow. They point in opposite ways."""
    weight: Share = 0.0
    """Weight of the bad outcomes, 0 for none; the mean has the rest."""
    level: Annotated[float, Field(strict=True, allow_inf_nan=False, ge=0, lt=1)] = 0.9
    """Which outcomes are bad: 0.9 for the worst tenth."""


class EventSpec(Entry):
    """A time in which a workload asks more, or less: a launch, a campaign, a shutdown."""

    name: Name
    """Of the event."""
    workload: Text
    """Whose requests."""
    first: Day
    """First day."""
    last: Day | None = None
    """Last day; default: it stays so."""
    factor: Factor
    """What its requests are multiplied with."""

    def flaws(self) -> Iterator[Flaw]:
        """It ends before it begins."""
        if self.last is not None and self.last < self.first:
            yield Flaw(("last",), f"must not be before first ({self.first})", remedy="Exchange the two.")


class PriceCutSpec(Entry):
    """What if the provider lowers on-demand prices, and the promised ones stay?"""

    name: Name
    """Of the what-if."""
    first: Day
    """First day of the new prices."""
    share: Annotated[Positive, Field(lt=1)]
    """By how much they fall: 0.33 for a third."""
    instance_types: tuple[Text, ...] = ()
    """Which ones; default: all."""


class DemandScenarioSpec(Entry):
    """What if demand takes another course than its past suggests?"""

    name: Name
    """Of the scenario."""
    workload: Text | None = None
    """Whose requests; default: all."""
    first: Day
    """First day."""
    factor: Factor
    """What requests are multiplied with from then on: 0.5 for a workload that half moves away."""
    probability: Share = 0.0
    """Share of the futures in which it comes true. With 0 it is a what-if only: shown, but not planned for."""


class GrowthSpec(Entry):
    """A growth that the planner knows better than the history does."""

    yearly: Number = Field(gt=-1, le=10)
    """Growth over a year from the level at the end of the history: 0.3 for 30 %."""


class BudgetSpec(Entry):
    """The time to budget, what may be bought, and what is known of the demand."""

    start: Day
    """First day of the budget."""
    horizon: Span = Months(12)
    """How long it is, in whole months: ``12mo``."""
    history: dict[Text, HistorySpec] = Field(min_length=1)
    """Past demand by workload."""
    purchases: tuple[PlanName, ...] = ()
    """Purchase plans that may be used, by their names in price lists, as in ``[cud_1y, cud_3y]``; what no promise
    covers is bought on demand."""
    ladder: Span | None = None
    """Promises may begin every so many months, as in ``3mo``; default: in the first hour, and when one has ended."""
    limits: LimitsSpec = LimitsSpec()
    """What may be promised at most."""
    risk: RiskSpec = RiskSpec()
    """Which bad outcomes weigh more."""
    tags: dict[Text, dict[Name, Text]] = Field(default={})
    """By workload: who pays, as in ``{team: search, model: bert-large}``."""
    holidays: tuple[Day, ...] = ()
    """Days that are unlike their weekday, in the history and in the budget."""
    events: tuple[EventSpec, ...] = ()
    """What is known to come."""
    growth: dict[Text, GrowthSpec] = Field(default={})
    """By workload: growth that replaces the one of the forecast."""
    cost_of_capital: Annotated[float, Field(strict=True, allow_inf_nan=False, ge=0, le=1)] = 0.0
    """What money costs a year, 0.08 for 8 %: later payments count less."""
    price_cuts: tuple[PriceCutSpec, ...] = ()
    """What-ifs on prices."""
    demand_scenarios: tuple[DemandScenarioSpec, ...] = ()
    """What-ifs on demand, or possible futures with a probability."""
    paths: Annotated[Whole, Field(ge=10, le=MOST_PATHS)] = 100
    """Futures of the demand that are drawn."""

    def flaws(self) -> Iterator[Flaw]:
        """Limits under which nothing can be bought, and probabilities that are too many."""
        yield from self._limit_flaws()
        total = sum(scenario.probability for scenario in self.demand_scenarios)
        if total > 1 + 1e-9:
            rule = "must have probabilities that add up to at most 1"
            yield Flaw(("demand_scenarios",), rule, f"{total:g}", "What is left is the forecast's own course.")
        names = {key: [one.name for one in getattr(self, key)] for key in ("events", "price_cuts", "demand_scenarios")}
        for key, listed in names.items():
            for index, name in enumerate(listed):
                if name in listed[:index]:
                    yield Flaw((key, index, "name"), "is used twice", remedy="Give each a name of its own.")

    def _limit_flaws(self) -> Iterator[Flaw]:
        limits, plans = self.limits, [PLAN_BY_PRICE_TYPE[name] for name in self.purchases]
        if not plans:
            for key in sorted(limits.model_fields_set):
                rule = "has no effect without purchases"
                yield Flaw(("limits", key), rule, remedy="Name purchase plans, or leave it out.")
            return
        if limits.max_committed_share == 0:
            rule = "contradicts purchases: nothing may be promised"
            yield Flaw(("limits", "max_committed_share"), rule, remedy="Raise it, or leave purchases out.")
        if limits.max_upfront_usd == 0 and all(plan.payment != "no_upfront" for plan in plans):
            rule = "contradicts purchases: every plan that may be used is paid upfront"
            yield Flaw(("limits", "max_upfront_usd"), rule, remedy="Raise it, or allow a plan without upfront payment.")
        repeated = [name for index, name in enumerate(self.purchases) if name in self.purchases[:index]]
        if repeated:
            yield Flaw(("purchases",), "names a plan twice", shown(repeated[0]), "Name each once.")


def budget_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of the section ``budget``, for editors."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **BudgetSpec.model_json_schema()}
