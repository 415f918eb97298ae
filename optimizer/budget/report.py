"""A budget as one page for a finance team, in Markdown: the answer first, then what to buy, the months, the risks.

Everything shown is read from a :class:`~optimizer.budget.budget.Budget`. Words are those of a reader who pays bills:
instances, months, dollars; what a futures' decile is is said where it is first used.
"""

from __future__ import annotations

from collections.abc import Sequence

from calibration.page import per_cent, significant
from optimizer.budget.budget import Budget, Period, PurchaseLine
from optimizer.wording import usd, usd_per_hour

FIGURES = {
    "budget_fan": "What each month costs: the middle of all futures, and the range of eight in ten",
    "coverage": "What of it is promised and used, promised and not used, and bought on demand",
    "demand_forecast": "Past demand, and what may come",
}
"""Files of figures, without their ending, and what they show."""


def report(budget: Budget, *, figures: bool = True) -> str:
    """Lay the budget out as a page.

    Parameters
    ----------
    budget
        What to show.
    figures
        Whether the figures lie beside the page.
    """
    parts = [
        _answer(budget),
        _purchases(budget),
        *([_figure("budget_fan")] if figures else []),
        _months(budget),
        *([_figure("coverage")] if figures and budget.purchases else []),
        _who_pays(budget),
        _risks(budget),
        _rules(budget),
        *([_figure("demand_forecast")] if figures else []),
        _assumptions(budget),
    ]
    return "\n\n".join("\n".join(part) for part in parts if part) + "\n"


def answer(budget: Budget) -> list[str]:
    """Say what it costs, how sure that is, and what promises save: two or three sentences."""
    total = budget.total
    span = f"{budget.months[0].name} to {budget.months[-1].name}"
    said = [
        f"From {span} the fleets cost {usd(total.effective.mean)} on average. In eight of ten futures it is "
        f"between {usd(total.effective.p10)} and {usd(total.effective.p90)}."
    ]
    if not budget.purchases:
        said.append("Nothing is promised: everything is bought on demand.")
        return said
    saved, without = budget.saved_usd, budget.without_usd.mean
    verb = "less than" if saved >= 0 else "MORE than"
    units = ", ".join(_bought(line) for line in budget.purchases)
    said.append(
        f"Promise {units}: that is {usd(abs(saved))} ({per_cent(abs(saved) / without)}) {verb} buying everything on "
        f"demand ({usd(without)})."
    )
    upfront = sum(line.upfront_usd for line in budget.purchases)
    if upfront > 0:
        said.append(f"{usd(upfront)} of it is paid at once.")
    if budget.simulated:
        said.append(
            f"{budget.simulated} fleets, from the smallest to the peak's, were simulated: they hold every objective."
        )
    return said


def _bought(line: PurchaseLine) -> str:
    if line.unit == "USD/h":
        return f"{usd_per_hour(line.units)} an hour on {line.plan} from {line.start}"
    return f"{line.units:g} x {line.pool} on {line.plan} from {line.start}"


def _answer(budget: Budget) -> list[str]:
    last = budget.months[-1].name
    question = (
        f"What do these workloads cost from {budget.months[0].name} to {last}, what should be promised to the provider "
        "for it, and how sure is that?"
    )
    lines = [f"# {budget.name}: budget {budget.start:%Y-%m-%d} to {budget.end:%Y-%m-%d}", "", question, ""]
    lines += [f"**Answer.** {' '.join(answer(budget))}"]
    for warning in budget.warnings:
        lines += ["", f"> Note: {warning}"]
    return lines


def _purchases(budget: Budget) -> list[str]:
    if not budget.purchases:
        return []
    rows = [
        (
            line.plan,
            line.pool,
            f"{line.units:,.2f}" if line.unit == "USD/h" else f"{line.units:g}",
            f"{line.start}",
            f"{line.end}",
            usd_per_hour(line.usd_per_hour),
            usd(line.upfront_usd),
            usd(line.term_usd),
            per_cent(line.break_even),
            per_cent(line.utilisation),
            usd(line.saved_usd),
        )
        for line in budget.purchases
    ]
    head = (
        "plan", "of", "units", "from", "until", "per unit and hour", "upfront", "whole term",
        "pays from use of", "expected use", "saves in this budget",
    )  # fmt: skip
    return [
        "## What to buy",
        "",
        *table(head, rows, "lllllrrrrrr"),
        "",
        "A promise is paid for in every hour of its term, used or not. It pays off when it is used in more than the "
        "share of hours under *pays from use of*: its price over the price on demand. A promise is a price, not "
        "capacity: it keeps no machine free.",
    ]


def _months(budget: Budget) -> list[str]:
    head = (
        "month",
        "P10",
        "P50",
        "P90",
        "mean",
        "billed",
        "on demand",
        "used",
        "not used",
        "list price",
        "covered",
        "use",
    )
    rows = [_month(month) for month in (*budget.months, budget.total)]
    return [
        "## Month by month",
        "",
        *table(head, rows, "lrrrrrrrrrrr"),
        "",
        "P10, P50 and P90 are effective cost: one future in ten is below P10, half are below P50, one in ten is above "
        "P90. The means add up over the months; P10, P50 and P90 of all months are those of whole futures and do not. "
        "*billed* is the mean of what the provider asks for in that month, *on demand*, *used* and *not used* are the "
        "parts of the mean effective cost, *list price* is the same use at list prices on demand, *covered* the share "
        "of it that promises cover, *use* the share of promises that is used.",
    ]


def _month(month: Period) -> tuple[str, ...]:
    amounts = (
        *month.effective[1:], month.effective.mean, month.billed.mean, month.on_demand_usd, month.used_usd,
        month.unused_usd, month.list_usd,
    )  # fmt: skip
    share = per_cent(month.utilisation) if month.utilisation is not None else "-"
    return (month.name, *map(usd, amounts), per_cent(month.coverage), share)


def _who_pays(budget: Budget) -> list[str]:
    lines = ["## Who pays"]
    for tag, shares in budget.shares.items():
        if tag == "workload" and len(budget.shares) > 1 and len(shares) <= 1:
            continue
        rows = [
            (one.value, usd(one.effective.mean), usd(one.effective.p10), usd(one.effective.p90), usd(one.list_usd),
             usd(one.on_demand_usd))
            for one in shares
        ]  # fmt: skip
        lines += ["", *table((tag, "mean", "P10", "P90", "at list prices", "on demand"), rows, "lrrrrr")]
    lines += ["", "Means add up to the mean of the whole budget. What was promised and not used belongs to no one "
              "until you share it out."]  # fmt: skip
    return lines


def _risks(budget: Budget) -> list[str]:
    if not budget.what_ifs:
        return []
    rows = [
        (
            one.name,
            one.words,
            usd(one.with_usd),
            usd(one.without_usd),
            usd(one.saved_usd),
            usd(one.unused_usd),
            "-" if one.saved_over_terms_usd is None else usd(one.saved_over_terms_usd),
        )
        for one in budget.what_ifs
    ]
    head = (
        "what if", "that is", "with these promises", "with none", "they save", "promised, not used",
        "they save until all terms end",
    )  # fmt: skip
    return [
        "## What could go wrong",
        "",
        *table(head, rows, "llrrrrr"),
        "",
        "Mean effective cost of the whole budget, and last what is saved beyond it, too, as far as demand is forecast. "
        "A negative saving is a loss: then it would have been better to promise nothing.",
    ]


def _rules(budget: Budget) -> list[str]:
    if len(budget.rules) < 3:
        return []
    none = budget.rules["none"]
    words = {
        "none": "no promise at all",
        "chosen": "**this purchase list**",
        "newsvendor": "the quantile of the same futures that is cheapest on average",
        "lookback_7d": "the provider's own way: the last 7 days",
        "lookback_30d": "the provider's own way: the last 30 days",
        "lookback_60d": "the provider's own way: the last 60 days",
    }
    rows = [
        (words.get(name, name), usd(amount), per_cent(amount / none) if none > 0 else "-")
        for name, amount in sorted(budget.rules.items(), key=lambda item: item[1])
    ]
    head = ("bought by", "mean cost of this budget", "of all on demand")
    better = [name for name, amount in budget.rules.items() if amount < budget.rules["chosen"] * (1 - 1e-9)]
    lines = ["## Other ways to buy", "", *table(head, rows, "lrr")]
    if better:
        lines += [
            "",
            "A way that is cheaper in these months may be dearer over whole terms, or at the risk that was asked for: "
            "the list is chosen for both.",
        ]
    return lines


def _assumptions(budget: Budget) -> list[str]:
    rows = [
        (
            name,
            f"{past['first']} to {past['last']}",
            significant(past["last_year_mean_rps"]),
            significant(past["budget_mean_rps"]),
            past["model"],
            ", ".join(f"{key} {significant(count)}" for key, count in budget.fleets[name].items()),
        )
        for name, past in budget.history.items()
    ]
    head = ("workload", "history", "requests/s, last year", "requests/s, budget", "forecast by", "instances")
    lines = ["## What this rests on", "", *table(head, rows, "llrrll"), ""]
    lines += [f"- {line[0].upper()}{line[1:]}." for line in budget.assumptions]
    if budget.rounding_share > 0:
        lines.append(f"- Planning on a grid of demands makes this at most {per_cent(budget.rounding_share)} too dear.")
    if budget.present_value_usd is not None:
        lines.append(f"- In dollars of the first hour, what is billed is worth {usd(budget.present_value_usd)}.")
    return lines


def _figure(name: str) -> list[str]:
    return [f"![{FIGURES[name]}]({name}.svg)"]


def table(head: Sequence[str], rows: Sequence[Sequence[str]], align: str) -> list[str]:
    """Lay rows out as a table of Markdown: ``align`` has an ``l`` or an ``r`` for each column.

    >>> table(("a", "b"), [("x", "1")], "lr")
    ['| a | b |', '| --- | ---: |', '| x | 1 |']
    """
    rules = ["---:" if side == "r" else "---" for side in align]
    cells = [head, rules, *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return [f"| {' | '.join(row)} |" for row in cells]
