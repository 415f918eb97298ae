"""A budget as text for a terminal: the answer, what to buy, the months, who pays, what could go wrong.

At most 80 columns. The page for a finance team, with everything, is :mod:`optimizer.budget.report`.
"""

from __future__ import annotations

from typing import IO

from calibration.page import Heading, paragraph, per_cent, print_page, significant, table
from optimizer.budget.budget import Budget
from optimizer.budget.report import answer
from optimizer.fleet_table import WIDTH
from optimizer.wording import usd, usd_per_hour


def render(budget: Budget) -> str:
    """Give the budget as plain text."""
    return "".join(f"{line}\n" for line in budget_lines(budget))


def print_budget(budget: Budget, *, file: IO[str]) -> None:
    """Write the budget to ``file``: headings in colour on a terminal (unless NO_COLOR is set), plain elsewhere."""
    print_page(budget_lines(budget), file)


def budget_lines(budget: Budget) -> list[str]:
    """Lines of the text; those that are a :class:`~calibration.page.Heading` head a part."""
    parts = [_verdict(budget), _purchases(budget), _months(budget), _who_pays(budget), _risks(budget), _rules(budget)]
    parts.append(_assumptions(budget))
    lines: list[str] = []
    for part in filter(None, parts):
        lines += ["", *part] if lines else part
    return lines


def _verdict(budget: Budget) -> list[str]:
    total = budget.total.effective
    lines: list[str] = [
        Heading(f"{budget.name}: {usd(total.mean)} ({usd(total.p10)} to {usd(total.p90)} in 8 of 10 futures)")
    ]
    lines += paragraph(" ".join(answer(budget)), width=WIDTH)
    for warning in budget.warnings:
        lines += paragraph(warning, mark="! ", width=WIDTH)
    return lines


def _purchases(budget: Budget) -> list[str]:
    if not budget.purchases:
        return []
    rows = [("What to buy", "units", "from", "USD/h", "pays from", "used", "saves")]
    rows += [
        (
            line.name,
            f"{line.units:.4g}",
            f"{line.start}",
            usd_per_hour(line.usd_per_hour),
            per_cent(line.break_even),
            per_cent(line.utilisation),
            usd(line.saved_usd),
        )
        for line in budget.purchases
    ]
    return _headed(table(rows, "lrlrrrr"))


def _months(budget: Budget) -> list[str]:
    rows: list[tuple[str, ...]] = [("Months", "P10", "P50", "P90", "mean", "billed", "on demand", "unused")]
    rows += [
        (
            month.name,
            *map(usd, (*month.effective[1:], month.effective.mean, month.billed.mean, month.on_demand_usd)),
            usd(month.unused_usd),
        )
        for month in (*budget.months, budget.total)
    ]
    return _headed(table(rows, "lrrrrrrr"))


def _who_pays(budget: Budget) -> list[str]:
    rows = [("Who pays", "", "mean", "P10", "P90", "on demand")]
    for tag, shares in budget.shares.items():
        rows += [
            (tag if place == 0 else "", one.value, usd(one.effective.mean), usd(one.effective.p10),
             usd(one.effective.p90), usd(one.on_demand_usd))
            for place, one in enumerate(shares)
        ]  # fmt: skip
    return _headed(table(rows, "llrrrr"))


def _risks(budget: Budget) -> list[str]:
    if not budget.what_ifs:
        return []
    rows = [("What could go wrong", "with", "without", "promises save", "over terms")]
    rows += [
        (one.name, usd(one.with_usd), usd(one.without_usd), usd(one.saved_usd),
         "-" if one.saved_over_terms_usd is None else usd(one.saved_over_terms_usd))
        for one in budget.what_ifs
    ]  # fmt: skip
    return _headed(table(rows, "lrrrr"))


def _rules(budget: Budget) -> list[str]:
    if len(budget.rules) < 3:
        return []
    none = budget.rules["none"]
    rows = [("Other ways to buy", "mean", "of all on demand")]
    rows += [
        ("this list" if name == "chosen" else name, usd(amount), per_cent(amount / none) if none > 0 else "-")
        for name, amount in sorted(budget.rules.items(), key=lambda item: item[1])
    ]
    return _headed(table(rows, "lrr"))


def _assumptions(budget: Budget) -> list[str]:
    lines: list[str] = [Heading("What this rests on")]
    for name, past in budget.history.items():
        words = (
            f"{name}: {significant(past['last_year_mean_rps'])} requests/s in the last year, "
            f"{significant(past['budget_mean_rps'])} in the budget, by {past['model']}"
        )
        lines += paragraph(words, mark="- ", width=WIDTH)
    for line in budget.assumptions:
        lines += paragraph(line, mark="- ", width=WIDTH)
    if budget.rounding_share > 0:
        words = f"planning on a grid of demands makes this at most {per_cent(budget.rounding_share)} too dear"
        lines += paragraph(words, mark="- ", width=WIDTH)
    return lines


def _headed(lines: list[str]) -> list[str]:
    return [Heading(lines[0]), *lines[1:]]
