"""A study of commitments as text for people: what to promise, what it saves, whether it would have worked before.

Everything shown is read from a :class:`~optimizer.commitments.study.Study`. At most 80 columns, so that it fits a mail.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import IO, Final

from calibration.page import Heading, count, paragraph, per_cent, print_page, table
from optimizer.commitments.backtest import HINDSIGHT, RECOMMENDED
from optimizer.commitments.recommend import Bought, Recommendation
from optimizer.commitments.rules import LOOKBACK_DAYS, NEWSVENDOR, NONE, lookback_name, lookback_words
from optimizer.commitments.study import Study, term_text
from optimizer.commitments.use import LAYERS
from optimizer.span_text import counted, in_words
from optimizer.wording import usd

WIDTH: Final = 80
"""Columns of the report."""

MOST_PURCHASES: Final = 24
"""Rows of the purchase list that are printed; all are in the JSON and in the files."""

MOST_NOTES: Final = 6
"""Missing rates that are named one by one."""

RULES: Final = {
    RECOMMENDED: "this recommendation",
    **{name: lookback_words(name) for name in map(lookback_name, LOOKBACK_DAYS)},
    NEWSVENDOR: "best for the past term",
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
        _past(study),
        _layers(study),
        _rules(study),
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
        title = f"Promise nothing: {why_nothing(study)}"
    else:
        title = f"Expected to cost {share:.1%} of buying everything on demand"
        if recommendation.market.in_dollars:
            title = f"Expected to cost {usd(solution.expected_usd)}, {share:.1%} of on demand"
    proven = "not proven to be the best"
    if solution.status == "optimal":
        proven = f"proven to be within {max(solution.gap, 5e-5):.2%} of the best"
    words = (
        f"Over {in_words(recommendation.problem.demand.shape[1])} from {recommendation.start:%Y-%m-%d}, as a mean over "
        f"{counted(len(solution.scenario_usd), 'demand scenario')}; {proven}. "
        f"Promises cover {per_cent(study.use.covered_share)} of what is wanted."
    )
    return [Heading(title), *paragraph(words + risk_words(study), width=WIDTH)]


def why_nothing(study: Study) -> str:
    """Why is nothing promised? The rest of a sentence."""
    asked = study.preferences
    if not any(margin.next_used_share > margin.break_even_share for margin in study.recommendation.solution.margins):
        return "everything on demand is expected to be cheapest"
    if asked.max_upfront_usd is not None or asked.max_committed_share is not None:
        return "the limits leave no room for a unit that would pay"
    if asked.risk.matters:
        return "the risk counts for more than what a unit would save"
    return "a part of an instance would pay, a whole one does not"


def risk_words(study: Study) -> str:
    """What was weighed beside the mean cost: a sentence after a space, or nothing."""
    risk = study.preferences.risk
    if not risk.matters:
        return ""
    worst = per_cent(1 - risk.level)
    if risk.kind == "cvar_cost":
        return (
            f" Beside the mean, the dearest {worst} of the scenarios count {per_cent(risk.weight)}: those with much "
            "demand, so this buys more."
        )
    return (
        f" Beside the mean, the {worst} of the scenarios with the greatest regret count {per_cent(risk.weight)}, which "
        "holds back where demand may shrink."
    )


def _purchases(study: Study) -> list[str]:
    """What to buy, the dearest first."""
    recommendation = study.recommendation
    if not recommendation.bought:
        return []
    upfront = any(bought.upfront_usd > 0 for bought in recommendation.bought)
    # A price list's plan names its term already: cud_3y.
    named = all(term_text(bought.offer.term_h) in bought.offer.plan for bought in recommendation.bought)
    term = () if named else ("term",)
    head = ("Promise", "plan", "units", "from", *term, "pays from", "used", "upfront" if upfront else "last unit")
    rows: list[tuple[str, ...]] = [head]
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
            *(() if named else (term_text(bought.offer.term_h),)),
            per_cent(bought.margin.break_even_share),
            per_cent(used),
            usd(bought.upfront_usd) if upfront else per_cent(bought.margin.last_used_share),
        )
        rows.append(row)
    lines = table(rows, "llrl" + "l" * len(term) + "rrr", width=WIDTH)
    if len(order) > MOST_PURCHASES:
        lines.append(f"and {len(order) - MOST_PURCHASES} more (--json or --output has all)")
    lines += paragraph(
        "pays from: the share of hours in which a unit must be used to pay off; used: the share in which the units "
        "are, as a mean" + ("." if upfront else "; last unit: the share in which the last one bought is."),
        width=WIDTH,
    )
    return lines


def _layers(study: Study) -> list[str]:
    """How each quarter of a promise is used, beside the share from which on it pays."""
    rows = layer_rows(study)
    if len(rows) == 1:
        return []
    lines = table(rows[: MOST_PURCHASES + 1], "ll" + "r" * (len(rows[0]) - 2), width=WIDTH)
    words = (
        "The share of hours in which each quarter of the units is used, from the one that is used first (below four "
        "units, each unit); one more: what a unit beyond them would be used."
    )
    return [*lines, *paragraph(words, width=WIDTH)]


def layer_rows(study: Study) -> list[tuple[str, ...]]:
    """Table of the layers of every promise, with its head, the dearest first."""
    quarters = ("1st", "2nd", "3rd", "4th")[:LAYERS]
    rows: list[tuple[str, ...]] = [("Layers of", "from", "pays from", *quarters, "one more")]
    order = sorted(
        zip(study.recommendation.bought, study.use.layers, strict=True),
        key=lambda pair: (-pair[0].units * pair[0].offer.usd_per_hour, pair[0].start_h),
    )
    for bought, layers in order:
        shares = [per_cent(layer.used_share) for layer in layers]
        rows.append(
            (
                bought.offer.plan if bought.offer.kind == "spend" else bought.offer.pool,
                f"{study.recommendation.begins(bought):%Y-%m-%d}",
                per_cent(bought.margin.break_even_share),
                *shares,
                *("",) * (LAYERS - len(shares)),
                per_cent(bought.margin.next_used_share),
            )
        )
    return rows


def _units(bought: Bought) -> str:
    return count(bought.units) if bought.offer.kind == "instances" else f"{usd(bought.units)}/h"


def _rules(study: Study) -> list[str]:
    """The same scenarios, bought by other rules."""
    recommendation = study.recommendation
    shares = recommendation.share_by_rule
    if not shares:
        return []
    rows = [("The same scenarios by other rules", "units", "cost")]
    rows.append((RULES[RECOMMENDED], _units_now(recommendation), f"{recommendation.share_of_on_demand:.1%}"))
    for name, share in shares.items():
        rows.append((RULES[name], count(round(float(recommendation.rules[name].sum()), 2)), f"{share:.1%}"))
    return [*table(rows, "lrr", width=WIDTH), *paragraph(other_terms(study), width=WIDTH)]


def _units_now(recommendation: Recommendation) -> str:
    """Instances that are promised from now on, and the dollars an hour beside them."""
    instances = round(float(sum(recommendation.units_of_pools)), 2)
    spend = sum(one.units for one in recommendation.bought if one.start_h == 0 and one.offer.kind == "spend")
    parts = [count(instances)] if instances or not spend else []
    return " + ".join([*parts, f"{usd(spend)}/h"] if spend else parts)


def other_terms(study: Study) -> str:
    """That rules of thumb know one term, after a space; nothing where there is only one."""
    if len({offer.term_h for offer in study.recommendation.market.offers}) < 2:
        return ""
    shortest = min(offer.term_h for offer in study.recommendation.market.offers)
    return f" The other rules buy the plans of {in_words(shortest)} alone, at the price of these."


def _past(study: Study) -> list[str]:
    """What each rule would have cost on the user's own history."""
    past = study.backtest
    if not past.periods:
        return paragraph(f"Not tested on the history: {past.note}.", width=WIDTH)
    head = ("On your own history, paid from", *(f"{period.start:%Y-%m-%d}" for period in past.periods))
    names = past.periods[0].share
    rows = [head, *((RULES[name], *(f"{period.share[name]:.1%}" for period in past.periods)) for name in names)]
    words = (
        f"Committed on what was known on that day, at today's prices, and paid for {in_words(past.periods[0].hours)}: "
        "cost as a share of buying everything on demand."
    )
    lines = [*table(rows, "l" + "r" * len(past.periods)), *paragraph(words + untested(study), width=WIDTH)]
    return [*lines, *_sentence(past.note)]


def untested(study: Study) -> str:
    """What of the question the test on the past leaves out, after a space; nothing where it leaves nothing out."""
    asked, terms = study.preferences, {offer.term_h for offer in study.recommendation.market.offers}
    left_out = [
        *(["longer terms"] if len(terms) > 1 else []),
        *(["later purchases"] if asked.ladder_h is not None or study.delay_h else []),
        *(["limits"] if asked.max_upfront_usd is not None or asked.max_committed_share is not None else []),
    ]
    return f" Not in this test: {', '.join(left_out)}." if left_out else ""


def _otherwise(study: Study) -> list[str]:
    """Other courses of events, and a month's patience."""
    if not study.recommendation.bought:
        return []
    dollars = study.recommendation.market.in_dollars
    rows = [("What the promises save, as a share of all on demand", "", "")]
    for one in study.what_ifs:
        saved = usd(one.saved_usd) if dollars else ""
        rows.append((one.name, saved, per_cent(one.saved_share, signed=True)))
    lines = table(rows, "lrr", width=WIDTH)
    for one in study.what_ifs[1:]:
        lines += paragraph(f"{one.name}: {one.words}.", width=WIDTH)
    return [*lines, *paragraph(waiting_words(study), width=WIDTH)]


def waiting_words(study: Study) -> str:
    """What a month's patience is worth, as a sentence; nothing where nobody knows."""
    waiting = study.waiting
    if waiting is None or waiting.now_usd <= 0:
        return ""
    share = waiting.value_usd / waiting.now_usd
    verb = "saves" if share > 0 else "costs"
    amount = f" ({usd(abs(waiting.value_usd))})" if study.recommendation.market.in_dollars else ""
    return (
        f"Waiting a month before promising anything {verb} {per_cent(abs(share))} of the expected cost{amount}: a "
        "month on demand, for what its demand tells about the rest."
    )


def _assumed(study: Study) -> list[str]:
    notes = shown_notes(study)
    return [Heading("Assumed"), *_bullets(notes, "- ")] if notes else []


def shown_notes(study: Study, *, most: int = MOST_NOTES) -> list[str]:
    """What the answer rests on, a sentence each: all notes, and the first few of the rates that no list has."""
    market = study.recommendation.market
    missing = list(market.missing)
    if len(missing) > most:
        missing = [*missing[:most], f"{len(missing) - most} more rates are in no price list (--json names them)"]
    return [*study.notes, *missing]


def _sentence(text: str) -> list[str]:
    return paragraph(f"{text[0].upper()}{text[1:]}.", width=WIDTH) if text else []


def _bullets(texts: Sequence[str], mark: str) -> list[str]:
    return [line for text in texts for line in paragraph(text.rstrip(".") + ".", mark=mark, width=WIDTH)]
