"""A recommendation as one page for a finance team, in Markdown: the answer first, then purchases, test, months, risks.

Where only price ratios are known, amounts count instance hours at the on-demand price, and the page says so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from calibration.page import per_cent, significant
from optimizer.budget.budget import Period
from optimizer.budget.of_study import UNIT, Year
from optimizer.budget.report import table
from optimizer.commitments.backtest import HINDSIGHT, RECOMMENDED
from optimizer.commitments.page import (
    RULES,
    layer_rows,
    other_terms,
    risk_words,
    shown_notes,
    untested,
    waiting_words,
    why_nothing,
)
from optimizer.commitments.study import Study
from optimizer.span_text import in_words
from optimizer.wording import usd, usd_per_hour

FIGURES: Final = {
    "commitments": "Past demand, what may come, and how much of it the purchases cover at most",
    "months": "What each month costs with the purchases, and all on demand",
}
"""Files of figures, without their ending, and what they show."""

MOST_ROWS: Final = 12
"""Purchases that the page lists; the file has all."""


def study_report(study: Study, year: Year) -> str:
    """Lay the recommendation and the budget of its first year out as a page."""
    amount = usd if year.in_dollars else _hours
    bought = bool(study.recommendation.bought)
    parts = [
        _answer(study, year, amount),
        _purchases(study, year, amount),
        _figure("commitments"),
        _past(study),
        _months(year, amount),
        _figure("months"),
        _who_pays(year, amount),
        _layers(study) if bought else [],
        _otherwise(study, amount) if bought else [],
        _rules(study),
        _rests_on(study, year),
    ]
    return "\n\n".join("\n".join(part) for part in parts if part) + "\n"


def _hours(amount: float) -> str:
    """Instance hours: whole ones from a thousand on."""
    return f"{amount:,.0f}" if abs(amount) >= 1_000 else significant(amount)


def _answer(study: Study, year: Year, amount: Callable[[float], str]) -> list[str]:
    recommendation = study.recommendation
    history = study.history
    total = year.total.effective
    pools = f"{len(history.pools)} pools" if len(history.pools) > 1 else "one pool"
    lines = [
        f"# What to commit to from {year.start:%Y-%m-%d}",
        "",
        f"How much capacity should be bought ahead, for how long, given the hourly demand of {pools} from "
        f"{history.start:%Y-%m-%d} to {history.end:%Y-%m-%d} (`{history.source.rpartition('/')[2]}`)?",
        "",
    ]
    if recommendation.solution.status == "infeasible":
        return [*lines, "**Answer.** No commitments keep to these limits.", *recommendation.solution.log]
    said = [_what(study)]
    unit = "" if year.in_dollars else " instance hours"
    words = (
        f"From {year.start:%Y-%m-%d} to {year.end:%Y-%m-%d} that is expected to cost {amount(total.mean)}{unit}, where "
        f"everything on demand would cost {amount(year.without_usd.mean)}; in eight of ten futures it is between "
        f"{amount(total.p10)} and {amount(total.p90)}."
    )
    said.append(words)
    said.append(
        f"Over the whole {in_words(recommendation.problem.demand.shape[1])} it is "
        f"{recommendation.share_of_on_demand:.1%} of the on-demand cost."
    )
    if study.backtest.periods:
        said.append(_tested(study))
    lines.append(f"**Answer.** {' '.join(said)}{risk_words(study)}")
    if not year.in_dollars:
        lines += [
            "",
            f"> Amounts are {UNIT}: no price in dollars was given. With `--on-demand-usd` or `--prices` they are "
            "dollars.",
        ]
    for warning in study.warnings:
        lines += ["", f"> Note: {warning[0].upper()}{warning[1:]}."]
    return lines


def _what(study: Study) -> str:
    bought = study.recommendation.bought
    if not bought:
        return f"Buy nothing ahead: {why_nothing(study)}."
    count = sum(one.units for one in bought if one.offer.kind == "instances" and one.start_h == 0)
    spend = sum(one.units for one in bought if one.offer.kind == "spend" and one.start_h == 0)
    parts = [f"{count:,.10g} instances"] if count else []
    parts += [f"{usd_per_hour(spend)} an hour of spend"] if spend else []
    later = sum(one.start_h > 0 for one in bought)
    said = f"Commit to {' and '.join(parts) or 'nothing'} from {study.recommendation.start:%Y-%m-%d} on"
    if later:
        said += f", and plan {later} later purchase{'s' * (later > 1)} (decide on those again when they are due)"
    return said + "."


def _tested(study: Study) -> str:
    past = study.backtest
    mean, best = past.mean, str(past.best_lookback)
    many = f"the last {len(past.periods)} periods" if len(past.periods) > 1 else "the last period"
    return (
        f"On your own history, bought on what was known then, the same rule would have cost {mean[RECOMMENDED]:.1%} of "
        f"on demand over {many}; the {RULES[best]} {mean[best]:.1%}, perfect foresight {mean[HINDSIGHT]:.1%}."
    )


def _purchases(study: Study, year: Year, amount: Callable[[float], str]) -> list[str]:
    pairs = sorted(
        zip(year.purchases, study.recommendation.bought, strict=True),
        key=lambda pair: (pair[0].start, -pair[0].term_usd),
    )
    if not pairs:
        return []
    rows = [
        (
            line.pool,
            line.plan,
            f"{line.units:,.2f}" if line.unit == "USD/h" else f"{line.units:g}",
            f"{line.start}",
            f"{line.end}",
            usd_per_hour(line.usd_per_hour) if year.in_dollars else f"{line.usd_per_hour:.2f}",
            amount(line.upfront_usd) if line.upfront_usd else "-",
            amount(line.term_usd),
            per_cent(bought.margin.break_even_share),
            per_cent(line.utilisation),
            per_cent(bought.margin.last_used_share),
        )
        for line, bought in pairs[:MOST_ROWS]
    ]
    head = (
        "of", "plan", "units", "from", "until", "per unit and hour", "upfront", "whole term", "pays from use of",
        "expected use", "use of the last unit",
    )  # fmt: skip
    lines = ["## What to buy", "", *table(head, rows, "lllllrrrrrr"), ""]
    if len(pairs) > MOST_ROWS:
        lines += [f"{len(pairs) - MOST_ROWS} more are in `purchases.csv`.", ""]
    lines.append(
        "A commitment is paid for in every hour of its term, used or not. It pays off where it is used in more of its "
        "hours than *pays from use of*: its price over the price on demand. It is a price, not capacity: it keeps no "
        "machine free."
    )
    return lines


def _past(study: Study) -> list[str]:
    past = study.backtest
    head_line = "## Would it have worked before?"
    if not past.periods:
        return [head_line, "", f"Not tested: {past.note}."]
    several = len(past.periods) > 1
    rows = [
        (
            f"**{RULES[name]}**" if name == RECOMMENDED else RULES[name],
            *(f"{period.share[name]:.1%}" for period in past.periods),
            *((f"{past.mean[name]:.1%}",) if several else ()),
        )
        for name in past.periods[0].share
    ]
    head = ("bought by", *(f"paid from {period.start:%Y-%m-%d}" for period in past.periods), *(("mean",) * several))
    lines = [
        head_line,
        "",
        *table(head, rows, "l" + "r" * (len(head) - 1)),
        "",
        f"Cost of {in_words(past.periods[0].hours)} as a share of everything on demand, at today's prices, bought on "
        "the day named with only what was known then. A lookback over 7, 30 or 60 days is what providers' own "
        "recommenders compute. 100% is no commitment at all; above it, commitments lost money." + untested(study),
    ]
    return [*lines, "", f"{past.note[0].upper()}{past.note[1:]}."] if past.note else lines


def _months(year: Year, amount: Callable[[float], str]) -> list[str]:
    head = ("month", "P10", "P50", "P90", "mean", "billed", "on demand", "used", "not used", "all on demand", "use")
    rows = [_month(month, amount) for month in (*year.months, year.total)]
    return [
        "## Month by month",
        "",
        *table(head, rows, "lrrrrrrrrrr"),
        "",
        "P10, P50 and P90 are effective cost: one future in ten is below P10, half are below P50, one in ten is above "
        "P90. Means add up over the months; P10, P50 and P90 of the total are those of whole futures and do not. "
        "*billed*: what the provider asks for in that month, upfront payments when they are due. *on demand*, *used* "
        "and *not used* (commitments) add up to the mean. *all on demand*: the same demand with no commitment. *use*: "
        "share of the commitments that is used. `budget.csv` has these amounts as rows in FOCUS columns.",
    ]


def _month(month: Period, amount: Callable[[float], str]) -> tuple[str, ...]:
    amounts = (
        *month.effective[1:], month.effective.mean, month.billed.mean, month.on_demand_usd, month.used_usd,
        month.unused_usd, month.without_usd,
    )  # fmt: skip
    return (month.name, *map(amount, amounts), "-" if month.utilisation is None else per_cent(month.utilisation))


def _who_pays(year: Year, amount: Callable[[float], str]) -> list[str]:
    if not year.shares:
        return []
    lines = ["## Who pays"]
    for tag, owners in year.shares.items():
        rows = [
            (one.value, *map(amount, (one.effective.mean, one.effective.p10, one.effective.p90, one.on_demand_usd)),
             amount(one.list_usd))
            for one in owners
        ]  # fmt: skip
        lines += ["", *table((tag, "mean", "P10", "P90", "of it on demand", "at list prices"), rows, "lrrrrr")]
    return [
        *lines,
        "",
        "Means of each table add up to the total. Owners share a commitment in proportion to what they want in the "
        "hour; what is not used belongs to no one until you share it out.",
    ]


def _layers(study: Study) -> list[str]:
    rows = layer_rows(study)[: MOST_ROWS + 1]
    return [
        "## How each layer is used",
        "",
        *table(rows[0], rows[1:], "ll" + "r" * (len(rows[0]) - 2)),
        "",
        "Share of hours in which each quarter of the units is used, from the one that is used first (below four units, "
        "each unit); *one more*: what a further unit would be. A layer that is used in more hours than *pays from* "
        "earns its price.",
    ]


def _otherwise(study: Study, amount: Callable[[float], str]) -> list[str]:
    rows = [
        (one.name, one.words, amount(one.saved_usd), per_cent(one.saved_share, signed=True)) for one in study.what_ifs
    ]
    return [
        "## If it comes otherwise",
        "",
        *table(("what if", "that is", "the commitments save", "of all on demand"), rows, "llrr"),
        "",
        f"Over the whole term, as a mean over the futures. A negative saving is a loss. {waiting_words(study)}".strip(),
    ]


def _rules(study: Study) -> list[str]:
    recommendation = study.recommendation
    shares = recommendation.share_by_rule
    if not shares:
        return []
    rows = [(f"**{RULES[RECOMMENDED]}**", f"{recommendation.share_of_on_demand:.1%}")]
    rows += [(RULES[name], f"{share:.1%}") for name, share in shares.items()]
    return [
        "## Other rules, in the same futures",
        "",
        *table(("bought by", "of all on demand"), rows, "lr"),
        "",
        "The recommendation was made for these very futures, so it is no surprise that it does well here: the test on "
        "your own history above is the fair one." + other_terms(study),
    ]


def _rests_on(study: Study, year: Year) -> list[str]:
    solution = study.recommendation.solution
    proof = f"no other purchases are more than {max(solution.gap, 5e-5):.2%} better in these futures"
    if solution.status != "optimal":
        proof = f"not proven to be the best: the gap is {solution.gap:.2%}"
    lines: Sequence[str] = [
        f"{year.futures} futures of the demand, seed {study.seed}; {proof}",
        *shown_notes(study, most=10),
    ]
    if year.present_value is not None:
        rate = study.preferences.cost_of_capital
        value = usd(year.present_value) if year.in_dollars else _hours(year.present_value)
        lines = [
            *lines,
            f"at a cost of capital of {per_cent(rate)} a year, what is billed is worth {value} at the start",
        ]
    return ["## What this rests on", "", *(f"- {line[0].upper()}{line[1:].rstrip('.')}." for line in lines)]


def _figure(name: str) -> list[str]:
    return [f"![{FIGURES[name]}]({name}.svg)"]
