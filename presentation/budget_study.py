"""A demand of instances alone: how much of it to promise, and how that would have gone. The door, and what is shown."""

from __future__ import annotations

import csv
import io
import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from calibration.console import Watch
from calibration.page import per_cent
from calibration.problems import InputError, Problem
from optimizer.budget.of_study import UNIT, Year, year_of
from optimizer.commands.commitment_options import Asked, Question, question_of
from optimizer.commitments.backtest import HINDSIGHT, RECOMMENDED
from optimizer.commitments.page import RULES, study_lines
from optimizer.commitments.study import Study, study_json, term_text
from presentation.budget_answer import Card
from presentation.budget_charts import WEEKS_BACK, days_of, month_text, weekly
from presentation.door import check_uploads, safe_name
from presentation.library import scenario_folder
from presentation.numbers import count, signed_usd, usd
from presentation.palette import ACCENT, LIMIT, QUIET, laid_out, shade
from simulator.render import significant
from simulator.wording import percent

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

SHIPPED: Final = "demand/vm-demand-weekly.csv"
SHIPPED_SHAPE: Final = "demand/vm-demand-week-shape.csv"
COLUMNS: Final = ("a_and_b", "others")

STAGES: Final = 5

_WEEK_H: Final = 168


@dataclass(frozen=True)
class Options:
    """What the page's controls ask, in the words of ``optimize commitments``."""

    price_ratio: float | None = 0.7
    term: str = "1y"
    on_demand_usd: float | None = None
    plans: tuple[str, ...] = ()
    provider: str = ""
    region: str = ""
    pooled: bool = False
    timezone: str = ""
    ladder: str = ""
    risk: str = "mean"
    risk_weight: float = 0.5
    futures: int = 100


@dataclass(frozen=True)
class Files:
    """What was uploaded: name and content of each."""

    demand: tuple[str, bytes]
    prices: tuple[str, bytes] | None = None
    tags: tuple[str, bytes] | None = None


@dataclass(frozen=True)
class StudyAnswer:
    """A study, and its first year as a bill."""

    study: Study
    year: Year
    files: Mapping[str, bytes] = field(repr=False)
    """Those of ``optimize commitments --output``."""


def shipped_demand() -> tuple[str, bytes]:
    """Virtual machines in a region of a cloud over three years, real: weekly means times the shape of a week."""
    from optimizer.budget.budget_spec import HistorySpec
    from optimizer.budget.demand_history import read_history

    folder = scenario_folder()
    assert folder is not None, "a page that offers it has looked"
    out = io.StringIO()
    rows = csv.writer(out, lineterminator="\n")
    rows.writerow(("timestamp", "pool", "demand"))
    for column in COLUMNS:
        entry = {"means": SHIPPED, "week_shape": SHIPPED_SHAPE, "column": column}
        history = read_history(HistorySpec.model_validate(entry, context={"folder": folder}))
        stamps = np.datetime64(history.start.replace(tzinfo=None), "h") + np.arange(len(history.rps))
        rows.writerows(
            (f"{stamp}:00:00Z", column, f"{value:.4g}")
            for stamp, value in zip(stamps, history.rps.tolist(), strict=True)
        )
    return "vm-demand.csv", out.getvalue().encode()


def asked_of(files: Files, options: Options) -> Question:
    """What is asked: the history, the prices, the preferences.

    Raises
    ------
    InputError
        With everything that is wrong with the files and the options, in the words of the command line.
    """
    check_uploads(dict(one for one in (files.demand, files.prices, files.tags) if one is not None))
    with tempfile.TemporaryDirectory(prefix="headroom-") as name:
        folder = Path(name)

        def place(given: tuple[str, bytes] | None) -> Path | None:
            if given is None:
                return None
            path = folder / safe_name(given[0])
            path.write_bytes(given[1])
            return path

        ratio = options.price_ratio
        asked = Asked(
            demand=str(place(files.demand)),
            price_ratios=() if ratio is None else (ratio,),
            terms=() if ratio is None else (options.term,),
            on_demand_usd=options.on_demand_usd if ratio is not None else None,
            prices=place(files.prices) if ratio is None else None,
            plans=options.plans if ratio is None else (),
            provider=(options.provider.strip() or None) if ratio is None else None,
            region=(options.region.strip() or None) if ratio is None else None,
            pooled=options.pooled,
            timezone=options.timezone.strip() or None,
            tags=place(files.tags),
            ladder=options.ladder or None,
            risk=options.risk,  # type: ignore[arg-type]
            risk_weight=options.risk_weight if options.risk != "mean" else None,
        )
        try:
            return question_of(asked)
        except InputError as error:
            raise InputError(_told(problem, f"{folder}/") for problem in error.problems) from None


def _told(problem: Problem, folder: str) -> Problem:
    """The same problem, without the folder on the server."""
    plain = {key: getattr(problem, key) for key in ("file", "rule", "value", "remedy")}
    return replace(problem, **{key: text and text.replace(folder, "") for key, text in plain.items()})


def studied(files: Files, options: Options, watch: Watch) -> StudyAnswer:
    """How much to commit, and how would that have gone?"""
    from optimizer.budget.study_files import write_study
    from optimizer.commitments.study import study
    from presentation.budget_downloads import written

    question = asked_of(files, options)
    found = study(
        question.history,
        question.market,
        question.preferences,
        delay_h=question.delay_h,
        futures=options.futures,
        time_limit_s=question.time_limit_s,
        say=watch.stage,
    )
    watch.stage("settling every future")
    year = year_of(found, question.tags)
    return StudyAnswer(found, year, written(lambda folder: write_study(found, folder, question.tags)))


def verdict(answer: StudyAnswer) -> str:
    """The answer in one sentence."""
    recommendation = answer.study.recommendation
    if recommendation.solution.status == "infeasible":
        return "No commitments keep to these limits"
    if not recommendation.bought:
        return "Promise nothing: everything on demand is expected to be cheapest"
    many = len(recommendation.bought)
    units = sum(one.units for one in recommendation.bought if one.offer.kind == "instances")
    what = f"{count(round(units, 2))} instances" if units else f"{many} spend commitments"
    return f"Promise {what}: {recommendation.share_of_on_demand:.1%} of the cost of all on demand is expected"


def cards(answer: StudyAnswer) -> list[Card]:
    """The figures to see first."""
    study, year = answer.study, answer.year
    share = study.recommendation.share_of_on_demand
    past = study.backtest
    cells = [
        Card("Expected cost", f"{share:.1%}", "of all on demand",
             "Mean over all demand scenarios, until the longest term ends."),
        Card("Covered", percent(study.use.covered_share), "of what is wanted",
             "Share of the demand, at prices on demand, that promises cover."),
        Card("Used", "–" if year.total.utilisation is None else percent(year.total.utilisation),
             f"of what is promised, in {'a year' if year.hours >= 8_760 else f'{year.hours} hours'}",
             "What is not used is paid for all the same."),
    ]  # fmt: skip
    if past.periods:
        mean = past.mean
        best = past.best_lookback
        below = f"best lookback {mean[str(best)]:.1%}" if best else past.note
        below = f"{below}, hindsight {mean[HINDSIGHT]:.1%}"
        help = "Committed on what was known then, paid with what came: share of all on demand."
        cells.append(Card("On this past", f"{mean[RECOMMENDED]:.1%}", below, help))
    if study.waiting is not None and study.waiting.now_usd > 0:
        worth = study.waiting.value_usd / study.waiting.now_usd
        cells.append(Card("Waiting a month", ("saves " if worth > 0 else "costs ") + per_cent(abs(worth)),
                          "of the expected cost",
                          "A month on demand, for what its demand tells about the rest."))  # fmt: skip
    return cells


def demand_chart(question: Question, answer: StudyAnswer | None) -> Figure:
    """What was wanted, what may be wanted, and how much of it is promised at most, week by week?"""
    import plotly.graph_objects as go

    market, history = question.market, question.history
    figure = go.Figure()
    past = weekly((history.demand[-WEEKS_BACK * _WEEK_H :] @ market.on_demand_usd)[None])[0]
    figure.add_scatter(x=days_of(history.start, history.hours, len(past)), y=past, mode="lines", name="past",
                       line={"color": QUIET, "width": 1.6}, hovertemplate="%{y:,.4s}")  # fmt: skip
    if answer is not None:
        from optimizer.budget.study_figures import committed

        recommendation = answer.study.recommendation
        hours = min(recommendation.problem.demand.shape[1], WEEKS_BACK * _WEEK_H)
        ahead = weekly(recommendation.problem.demand[:, :hours] @ market.on_demand_usd)
        days = days_of(recommendation.start, hours, ahead.shape[1])
        low, middle, high = np.quantile(ahead, (0.1, 0.5, 0.9), axis=0)
        figure.add_scatter(x=days, y=low, mode="lines", line={"width": 0}, showlegend=False, hoverinfo="skip")
        figure.add_scatter(x=days, y=high, mode="lines", line={"width": 0}, name="8 of 10 futures", fill="tonexty",
                           fillcolor=shade(ACCENT, 0.2), hoverinfo="skip")  # fmt: skip
        figure.add_scatter(x=days, y=middle, mode="lines", name="middle", hovertemplate="%{y:,.4s}",
                           line={"color": ACCENT, "width": 2, "dash": "dash"})  # fmt: skip
        figure.add_scatter(x=days, y=weekly(committed(answer.study, hours)[None])[0], mode="lines", name="promised",
                           line={"color": LIMIT, "width": 2, "shape": "hv"}, hovertemplate="%{y:,.4s}")  # fmt: skip
    unit = "USD an hour, on demand" if market.in_dollars else "instances, mean of a week"
    laid_out(figure, "Demand, and what is promised" if answer else "Past demand", "week", unit)
    figure.update_yaxes(rangemode="tozero", tickformat="$~s" if market.in_dollars else "~s")
    return figure


def demand_alt(question: Question, answer: StudyAnswer | None) -> str:
    """The same in words."""
    history = question.history
    said = (
        f"{len(history.pools)} pools from {history.start:%Y-%m-%d} to {history.end:%Y-%m-%d}, "
        f"{significant(float(history.total.mean()))} instances on average"
    )
    return f"{said}." if answer is None else f"{said}. {verdict(answer)}."


def rule_shares(answer: StudyAnswer) -> dict[str, float]:
    """What each rule would have cost on the past, as a share of all on demand; the scenarios' where it is too short."""
    past = answer.study.backtest
    if past.periods:
        return {RULES.get(name, name): share for name, share in past.mean.items()}
    recommendation = answer.study.recommendation
    own = {RULES[RECOMMENDED]: recommendation.share_of_on_demand}
    return own | {RULES.get(name, name): share for name, share in recommendation.share_by_rule.items()}


CHOSEN: Final = RULES[RECOMMENDED]


def purchase_rows(answer: StudyAnswer) -> list[dict[str, str]]:
    """What to promise, a row each, the dearest first."""
    dollars = answer.year.in_dollars
    pairs = zip(answer.year.purchases, answer.study.recommendation.bought, strict=True)
    rows = []
    for line, bought in sorted(pairs, key=lambda pair: -pair[0].term_usd):
        row = {
            "pool": line.pool,
            "plan": line.plan,
            "units": f"{usd(line.units)}/h" if line.unit == "USD/h" else count(round(line.units, 2)),
            "from": f"{line.start}",
            "term": term_text(bought.offer.term_h),
            "pays from": f"{percent(bought.margin.break_even_share)} use",
            "last unit": f"{percent(bought.margin.last_used_share)} use",
            "expected": f"{percent(line.utilisation)} use",
        }
        if dollars:
            row |= {"upfront": usd(line.upfront_usd), "whole term": usd(line.term_usd)}
        rows.append(row)
    return rows


def what_if_rows(answer: StudyAnswer) -> list[dict[str, str]]:
    """The same promises in other courses of events, a row each."""
    dollars = answer.year.in_dollars
    return [
        {
            "what if": one.name,
            "that is": one.words,
            "they save": f"{per_cent(one.saved_share, signed=True)} of all on demand",
            **({"in dollars": signed_usd(one.saved_usd).removeprefix("+")} if dollars else {}),
        }
        for one in answer.study.what_ifs
    ]


def share_rows(answer: StudyAnswer) -> list[dict[str, str]]:
    """Who pays, by every tag, a row each; nothing without tags."""
    dollars = answer.year.in_dollars

    def amount(value: float) -> str:
        return usd(value) if dollars else significant(value)

    return [
        {
            "tag": tag,
            "who": one.value,
            "mean": amount(one.effective.mean),
            "P10": amount(one.effective.p10),
            "P90": amount(one.effective.p90),
        }
        for tag, shares in answer.year.shares.items()
        for one in shares
    ]


def study_text(answer: StudyAnswer) -> str:
    """As ``optimize commitments`` prints it."""
    return "\n".join(map(str, study_lines(answer.study))) + "\n"


def study_document(answer: StudyAnswer) -> str:
    """The object that ``optimize commitments --json`` prints."""
    return json.dumps(study_json(answer.study), indent=2, allow_nan=False) + "\n"


def unit_words(answer: StudyAnswer) -> str:
    """What amounts count, where they are no dollars."""
    first, last = answer.year.months[0].name, answer.year.months[-1].name
    span = f"{month_text(first)} to {month_text(last)}"
    return span if answer.year.in_dollars else f"{span}; amounts are {UNIT}"


def key_of(files: Files, options: Options) -> str:
    """What a study is told from others by."""
    import hashlib

    digest = hashlib.sha256(repr(options).encode())
    for one in (files.demand, files.prices, files.tags):
        if one is not None:
            digest.update(one[0].encode() + one[1])
    return f"study {digest.hexdigest()}"


def command(files: Files, options: Options) -> str:
    """The same by the command line."""
    from shlex import quote

    words: list[str] = ["optimize", "commitments", quote(files.demand[0])]
    if options.price_ratio is not None:
        words += [f"--price-ratio {options.price_ratio:g}", f"--term {options.term}"]
        words += [] if options.on_demand_usd is None else [f"--on-demand-usd {options.on_demand_usd:g}"]
    else:
        words += [] if files.prices is None else [f"--prices {quote(files.prices[0])}"]
        words += [f"--plan {plan}" for plan in options.plans]
        words += [f"--{key} {quote(text)}" for key, text in _places(options) if text]
    words += ["--pooled"] if options.pooled else []
    words += [f"--timezone {quote(options.timezone.strip())}"] if options.timezone.strip() else []
    words += [f"--tags {quote(files.tags[0])} --output DIR"] if files.tags is not None else []
    words += [f"--ladder {options.ladder}"] if options.ladder else []
    words += [f"--risk {options.risk} --risk-weight {options.risk_weight:g}"] if options.risk != "mean" else []
    words += [f"--scenarios {options.futures}"] if options.futures != 100 else []
    return " ".join(words)


def _places(options: Options) -> Sequence[tuple[str, str]]:
    return (("provider", options.provider.strip()), ("region", options.region.strip()))
