"""A study of commitments as text for people: what to promise, what it saves, whether it would have worked before.

Everything shown is read from a :class:`~optimizer.commitments.study.Study`. At most 80 columns, so that it fits a mail.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import IO, Final

from calibration.page import Heading, count, paragraph, per_cent, print_page, table
from optimizer.commitments.backtest import HINDSIGHT, RECOMMENDED
from optimizer.commitments.recommend import Bought
from optimizer.commitments.rules import LOOKBACK_DAYS, NEWSVENDOR, NONE, lookback_name
from optimizer.commitments.study import Study, term_text
from optimizer.wording import usd

WIDTH: Final = 80
"""Columns of the report."""

MOST_PURCHASES: Final = 24
"""Rows of the purchase list that are printed; all are in the JSON and in the files."""

_RULES: Final = {
    RECOMMENDED: "this recommendation",
    **{lookback_name(days): f"lookback over {days} days" for days in LOOKBACK_DAYS},
    NEWSVENDOR: "the last term's best",
    NONE: "all on demand",
    HINDSIGHT: "with hindsight",
}
"""Rules by what a reader knows them as."""


def print_study(study: Study, *, file: IO[str]) -> None:
    """Write the report: headings in colour on a terminal (unless NO_COLOR is set), plain elsewhere."""
    print_page(study_lines(study), file)


def study_lines(study: Study) -> list[str]:
    """Lines of the report; those that are a :class:`~calibration.page.Heading` head a part."""
    parts = [
        _verdict(study),
        _bullets(study.warnings, "! "),
        _purchases(study),
        _rules(study),
        _past(study),
        _otherwise(study),
        _assumed(study),
    ]
    lines: list[str] = []
    for part in filter(None, parts):
        lines += ["", *part] if lines else part
    return lines


def _verdict(study: Study) -> list[str]:
    recommendation = study.recommendation
    solution = recommendation.solution
    if solution.status == "infeasible":
        return [Heading("No commitments keep to these limits"), *_bullets(solution.log, "- ")]
    share = recommendation.share_of_on_demand
    if not recommendation.bought:
        title = "Promise nothing: everything on demand is expected to be cheapest"
    else:
        title = f"Expected to cost {share:.1%} of buying everything on demand"
        if recommendation.market.in_dollars:
            title = f"Expected to cost {usd(solution.expected_usd)}, {share:.1%} of on demand"
    years = recommendation.problem.demand.shape[1] / 8_760
    proven = f"within {max(solution.gap, 5e-5):.2%}" if solution.status == "optimal" else "not proven"
    words = (
        f"Over {years:.3g} year{'s' * (years != 1)} from {recommendation.start:%Y-%m-%d}, in "
        f"{len(solution.scenario_usd)} demand scenarios; the best {proven}. "
        f"Promises cover {per_cent(study.use.covered_share)} of what is wanted."
    )
    return [Heading(title), *paragraph(words + _risk(study), width=WIDTH)]


def _risk(study: Study) -> str:
    risk = study.preferences.risk
    if not risk.matters:
        return ""
    worst = per_cent(1 - risk.level)
    if risk.kind == "cvar_cost":
        return (
            f" Weighed at {per_cent(risk.weight)}: the mean cost of the dearest {worst} of the scenarios, which are "
            "those with much demand, so it buys more."
        )
    return (
        f" Weighed at {per_cent(risk.weight)}: the mean regret in the worst {worst} of the scenarios, which holds back "
        "where demand may shrink."
    )


def _purchases(study: Study) -> list[str]:
    """What to buy, the dearest first."""
    recommendation = study.recommendation
    if not recommendation.bought:
        return []
    upfront = any(bought.upfront_usd > 0 for bought in recommendation.bought)
    head = ("Promise", "plan", "units", "from", "term", "pays from", "last unit", "used")
    rows: list[tuple[str, ...]] = [head + (("upfront",) if upfront else ())]
    order = sorted(
        zip(recommendation.bought, study.use.utilisation, strict=True),
        key=lambda pair: (-pair[0].units * pair[0].offer.usd_per_hour, pair[0].start_h),
    )
    for bought, used in order[:MOST_PURCHASES]:
        row = (
            "any" if bought.offer.pool == "*" and bought.offer.kind == "spend" else bought.offer.pool,
            bought.offer.plan,
            _units(bought),
            f"{recommendation.begins(bought):%Y-%m-%d}",
            term_text(bought.offer.term_h),
            per_cent(bought.margin.break_even_share),
            per_cent(bought.margin.last_used_share),
            per_cent(used),
        )
        rows.append(row + ((usd(bought.upfront_usd),) if upfront else ()))
    lines = table(rows, "llrllrrr" + "r" * upfront)
    if len(order) > MOST_PURCHASES:
        lines.append(f"and {len(order) - MOST_PURCHASES} more (--json or --output has all)")
    lines += paragraph(
        "pays from: the share of hours in which a unit must be used to pay off; last unit: the share in which the last "
        "one bought is; used: the mean over all of them.",
        width=WIDTH,
    )
    return lines


def _units(bought: Bought) -> str:
    return count(bought.units) if bought.offer.kind == "instances" else f"{usd(bought.units)}/h"


def _rules(study: Study) -> list[str]:
    """The same scenarios, bought by other rules."""
    recommendation = study.recommendation
    shares = recommendation.share_by_rule
    if not shares:
        return []
    everything = float(sum(recommendation.units_of_pools))
    rows = [("The same scenarios by other rules", "units", "cost")]
    rows.append((_RULES[RECOMMENDED], count(round(everything, 2)), f"{recommendation.share_of_on_demand:.1%}"))
    for name, share in shares.items():
        rows.append((_RULES[name], count(round(float(recommendation.rules[name].sum()), 2)), f"{share:.1%}"))
    return table(rows, "lrr")


def _past(study: Study) -> list[str]:
    """What each rule would have cost on the user's own history."""
    past = study.backtest
    if not past.periods:
        return paragraph(f"Not tested on the history: {past.note}.", width=WIDTH)
    head = ("On your own history, paid from", *(f"{period.start:%Y-%m-%d}" for period in past.periods))
    names = past.periods[0].share
    rows = [head, *((_RULES[name], *(f"{period.share[name]:.1%}" for period in past.periods)) for name in names)]
    weeks = past.periods[0].hours / 168
    words = (
        f"Committed on what was known on that day, at today's prices, and paid for {weeks:.0f} weeks: cost as a share "
        "of buying everything on demand."
    )
    return [*table(rows, "l" + "r" * len(past.periods)), *paragraph(words, width=WIDTH), *_sentence(past.note)]


def _otherwise(study: Study) -> list[str]:
    """Other courses of events, and a month's patience."""
    if not study.recommendation.bought:
        return []
    dollars = study.recommendation.market.in_dollars
    rows = [("What the promises save, as a share of all on demand", "", "")]
    for one in study.what_ifs:
        saved = usd(one.saved_usd) if dollars else ""
        rows.append((one.name, saved, per_cent(one.saved_share, signed=True)))
    lines = table(rows, "lrr")
    for one in study.what_ifs[1:]:
        lines += paragraph(f"{one.name}: {one.words}.", width=WIDTH)
    waiting = study.waiting
    if waiting is not None and waiting.now_usd > 0:
        share = waiting.value_usd / waiting.now_usd
        verb = "saves" if share > 0 else "costs"
        lines += paragraph(
            f"Waiting a month before promising anything {verb} {per_cent(abs(share))} of the expected cost"
            + (f" ({usd(abs(waiting.value_usd))})." if dollars else "."),
            width=WIDTH,
        )
    return lines


def _assumed(study: Study) -> list[str]:
    recommendation = study.recommendation
    notes = [*study.history.notes, *recommendation.market.notes, *recommendation.notes, *recommendation.market.missing]
    return [Heading("Assumed"), *_bullets(notes, "- ")] if notes else []


def _sentence(text: str) -> list[str]:
    return paragraph(f"{text[0].upper()}{text[1:]}.", width=WIDTH) if text else []


def _bullets(texts: Sequence[str], mark: str) -> list[str]:
    return [line for text in texts for line in paragraph(text.rstrip(".") + ".", mark=mark, width=WIDTH)]
