"""A budget in a few figures, sentences and tables for a page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from optimizer.budget.budget import Budget, Period, PurchaseLine
from optimizer.budget.report import report
from presentation.answer import money_change
from presentation.budget_charts import month_text
from presentation.numbers import count, signed_usd, usd
from simulator.render import significant
from simulator.wording import listed, percent

RULES: Final = {
    "none": "nothing promised",
    "chosen": "this purchase list",
    "newsvendor": "cheapest on average",
    "lookback_7d": "last 7 days",
    "lookback_30d": "last 30 days",
    "lookback_60d": "last 60 days",
}
"""Rules of buying by what a reader knows them as."""

CHOSEN: Final = RULES["chosen"]


class Card(NamedTuple):
    """One figure."""

    label: str
    value: str
    below: str
    help: str
    change: str = ""
    """Against the file as it is written."""
    dearer: bool | None = None


def span_words(budget: Budget) -> str:
    """Which time it is, in words."""
    first, last = month_text(budget.months[0].name), month_text(budget.months[-1].name)
    months = len(budget.months)
    return f"{first} to {last}, {months} months" if months > 1 else first


def verdict(budget: Budget) -> str:
    """The answer in one sentence."""
    total = budget.total.effective
    said = f"{budget.name}: {usd(total.mean)}, in eight of ten futures {usd(total.p10)} to {usd(total.p90)}"
    if not budget.purchases:
        return f"{said}; promise nothing"
    return f"{said}; promise {listed([units_text(line) for line in budget.purchases[:2]])}" + (
        f" and {len(budget.purchases) - 2} more" if len(budget.purchases) > 2 else ""
    )


def units_text(line: PurchaseLine) -> str:
    """What is promised."""
    units = f"{usd(line.units)}/h" if line.unit == "USD/h" else f"{count(line.units)} × {line.pool}"
    return f"{units} on {line.plan}"


def cards(budget: Budget, before: Budget | None) -> list[Card]:
    """The figures to see first; differences from the budget of the file as it is written, where it is known."""
    total, was = budget.total, None if before is None else before.total
    change, dearer = money_change(total.effective.mean, None if was is None else was.effective.mean)
    reach, wider = money_change(_reach(total), None if was is None else _reach(was))
    saved, without = budget.saved_usd, budget.without_usd.mean
    share = saved / without if without > 0 else 0.0
    used = "nothing is promised" if total.utilisation is None else f"{percent(total.utilisation)} of promises used"
    upfront = sum(line.upfront_usd for line in budget.purchases)
    return [
        Card("Expected cost", usd(total.effective.mean), span_words(budget),
             "Mean of all futures: effective cost, promises spread over the hours of their terms.", change, dearer),
        Card("8 of 10 futures", f"{short_usd(total.effective.p10)}–{short_usd(total.effective.p90)}",
             f"{budget.paths} were billed hour by hour",
             "One future in ten is cheaper than the first, one in ten dearer than the second.", reach, wider),
        Card("Saved", signed_usd(saved).removeprefix("+") if saved else "$0",
             f"{percent(abs(share))} {'less' if saved >= 0 else 'more'} than all on demand",
             "Mean against the same fleets all on demand; below zero the promises lose."),
        Card("Not used", usd(total.unused_usd), f"{percent(total.coverage)} covered, {used}" + (
             f"; {usd(upfront)} upfront" if upfront else ""),
             "What is promised, paid for and not used: its own line in the bill, and nobody's until it is shared out. "
             "Covered is the share of the usage, at list prices, that promises cover."),
    ]  # fmt: skip


def _reach(total: Period) -> float:
    return total.effective.p90 - total.effective.p10


def short_usd(amount: float) -> str:
    """Dollars to three digits.

    >>> short_usd(138_072.4), short_usd(1_210_000.0), short_usd(954.2)
    ('$138k', '$1.21M', '$954')
    """
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(amount) >= size:
            return f"${significant(amount / (1e3 if letter == 'k' else size))}{letter}"
    return usd(amount)


def month_rows(budget: Budget) -> list[dict[str, Any]]:
    """Every month and the whole, as rows of numbers."""
    return [
        {
            "month": month.name,
            "P10": month.effective.p10,
            "P50": month.effective.p50,
            "P90": month.effective.p90,
            "mean": month.effective.mean,
            "billed": month.billed.mean,
            "on demand": month.on_demand_usd,
            "promised, used": month.used_usd,
            "promised, not used": month.unused_usd,
            "all on demand": month.without_usd,
            "covered (%)": 100 * month.coverage,
            "used (%)": None if month.utilisation is None else 100 * month.utilisation,
        }
        for month in (*budget.months, budget.total)
    ]


def purchase_rows(budget: Budget) -> list[dict[str, str]]:
    """What to buy, a row each."""
    return [
        {
            "promise": units_text(line),
            "from": f"{line.start}",
            "until": f"{line.end}",
            "a unit": f"{usd(line.usd_per_hour)}/h, on demand {usd(line.on_demand_usd_per_hour)}/h",
            "upfront": usd(line.upfront_usd),
            "whole term": usd(line.term_usd),
            "pays from": f"{percent(line.break_even)} use",
            "expected": f"{percent(line.utilisation)} use",
            "saves in this budget": signed_usd(line.saved_usd).removeprefix("+"),
        }
        for line in budget.purchases
    ]


def what_if_rows(budget: Budget) -> list[dict[str, str]]:
    """The same promises in other courses of events, a row each."""
    return [
        {
            "what if": one.name,
            "that is": one.words,
            "with these promises": usd(one.with_usd),
            "with none": usd(one.without_usd),
            "they save": signed_usd(one.saved_usd).removeprefix("+"),
            "not used": usd(one.unused_usd),
            "they save until terms end": (
                "–" if one.saved_over_terms_usd is None else signed_usd(one.saved_over_terms_usd).removeprefix("+")
            ),
        }
        for one in budget.what_ifs
    ]


def rule_shares(budget: Budget) -> Mapping[str, float]:
    """Mean cost under each rule of buying, as a share of all on demand, by what a reader knows the rule as."""
    none = budget.rules.get("none", 0.0)
    return {RULES.get(name, name): amount / none for name, amount in budget.rules.items()} if none > 0 else {}


def history_rows(budget: Budget) -> list[dict[str, str]]:
    """What the forecast rests on, a row each workload."""
    return [
        {
            "workload": name,
            "history": f"{past['first']} to {past['last']}",
            "requests/s, last year": significant(past["last_year_mean_rps"]),
            "requests/s, budget": significant(past["budget_mean_rps"]),
            "forecast by": str(past["model"]),
            "instances": ", ".join(f"{key} {significant(amount)}" for key, amount in budget.fleets[name].items()),
        }
        for name, past in budget.history.items()
    ]


def page_markdown(budget: Budget) -> str:
    r"""The page for a finance team, with headings below the page's own, and dollars that no one takes for a formula."""
    text = report(budget, figures=False).replace("$", r"\$")
    return "\n".join(f"###{line}" if line.startswith("#") else line for line in text.split("\n"))
