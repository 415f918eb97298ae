"""Budget: what the months to come cost and how sure that is, what to promise for it, what moves it, and who pays."""

from __future__ import annotations

from functools import partial
from typing import Any, Final, NamedTuple

import streamlit as st

from calibration.problems import InputError
from optimizer.budget.budget import Budget
from optimizer.budget.budget_file import BudgetQuestion, load_budget
from optimizer.budget.budget_spec import BudgetSpec, RiskSpec
from presentation import budget_answer as look
from presentation import budget_charts as charts
from presentation.budget_controls import (
    FUTURES,
    GROWTHS,
    Controls,
    changes,
    command,
    controls_of,
    middle,
    offer_rows,
    plans_on_offer,
)
from presentation.budget_downloads import budget_files, packed
from presentation.budget_run import SENSITIVITY_STAGES, STAGES, Answer, Forecasts, answered, moved
from presentation.controls import lines_of, tooltip
from presentation.door import Given, Workspace, edited_yaml, workspace
from presentation.downloads import figures_html
from presentation.library import shipped
from presentation.plan_run import key_of
from views import budget_work as works
from views.budget_study import study_page
from views.problems import show
from views.scenario_choice import chosen
from views.take_away import Download, menu

FILE: Final = "Budget file"
DEMAND: Final = "Demand alone"

WORK: Final = "budget_run"
MOVES: Final = "budget_moves"

TABS: Final = ("Budget", "Demand and fleet", "Purchases and risks", "Report")

KEYS: Final = ("horizon", "plans", "measure", "weight", "growth", "cut", "futures", "budget_set")
"""Names of the controls, in the session and in the URL."""

_LINK: Final[Any] = "query-params"


class Asking(NamedTuple):
    """One question, as it is asked now."""

    space: Workspace
    overrides: tuple[str, ...]
    question: BudgetQuestion
    key: str


def main() -> None:
    """Lay out the page."""
    with st.sidebar:
        way = st.segmented_control("Begin with", (FILE, DEMAND), default=FILE, key="way", bind=_LINK, required=True,
                                   help="A budget file names workloads, machines and past requests; a demand alone is "
                                   "a table of the instances that ran, hour by hour.")  # fmt: skip
    if way == DEMAND:
        study_page()
        return
    with st.sidebar:
        given = chosen("budget", label="Budget file", bind=True, changed=_reset, kind="budget")
    if given is None:
        st.markdown("#### Budget")
        st.info("Choose a budget file on the left, or bring your own with the histories it names: what its months "
                "cost, what to promise, and how sure that is.", icon=":material/arrow_back:")  # fmt: skip
        st.table([{"budget file": one.name, "asks": one.question} for one in shipped("budget").values()])
        return
    with workspace(given) as space:
        try:
            own = space.opened_by(load_budget)
        except InputError as error:
            st.markdown("#### This budget file cannot be worked out yet")
            show(error)
            return
        top = st.container()
        overrides, question = _controls(own), own
        try:
            question = space.opened_by(load_budget, overrides)
        except InputError as error:
            with top:
                show(error, "Not applied, what is below is the file as it was")
            overrides = ()
        _page(Asking(space, overrides, question, key_of(space, overrides)))


def _reset() -> None:
    """Another file begins at its own values."""
    for key in KEYS:
        st.session_state.pop(key, None)


def _controls(question: BudgetQuestion) -> tuple[str, ...]:
    """What was moved, as ``--set`` would say it."""
    own = controls_of(question)
    with st.sidebar:
        months = st.slider("Horizon, months", 1, max(24, own.months), own.months, key="horizon", bind=_LINK,
                           help=tooltip(BudgetSpec, "horizon"))  # fmt: skip
        try:
            offered = plans_on_offer(question)
        except InputError:
            offered = dict.fromkeys(own.plans, "")
        plans = st.multiselect("May be bought", list(offered), list(own.plans), key="plans", bind=_LINK,
                               format_func=lambda name: offered[name] or name,
                               help=tooltip(BudgetSpec, "purchases"))  # fmt: skip
        weight = st.slider("Weight of bad outcomes", 0.0, 1.0, own.weight, 0.05, key="weight", bind=_LINK,
                           help=tooltip(RiskSpec, "weight"))  # fmt: skip
        measure = st.segmented_control("Bad is", ("regret", "cost"), default=own.measure, key="measure", bind=_LINK,
                                       required=True, disabled=weight == 0,
                                       help=tooltip(RiskSpec, "measure"))  # fmt: skip
        growths = list(dict.fromkeys([*GROWTHS, own.growth]))
        growth = st.selectbox("Growth a year", growths, growths.index(own.growth), key="growth", bind=_LINK,
                              help="Of every workload. " + tooltip(BudgetSpec, "growth"))  # fmt: skip
        begins = question.spec.price_cuts[0].first if question.spec.price_cuts else middle(question.spec, months)
        cut = st.slider(f"What if: price cut on {begins}, %", 0, 80, own.cut_percent, key="cut", bind=_LINK,
                        help="On-demand prices fall by so much, and promised ones stay.")  # fmt: skip
        futures = st.select_slider("Futures", sorted({*FUTURES, own.futures}), own.futures, key="futures", bind=_LINK,
                                   help=tooltip(BudgetSpec, "paths"))  # fmt: skip
        with st.expander("Any other key"):
            text = st.text_area("One path.to.key=value a line, as --set", key="budget_set", bind=_LINK, height=90,
                                placeholder="budget.cost_of_capital=0.1", max_chars=2000)  # fmt: skip
        now = Controls(months, tuple(plans), str(measure), weight, growth, cut, futures)
        overrides = (*changes(question, now), *lines_of(text or ""))
        st.button("Back to the file as it is", on_click=_reset, disabled=not overrides, width="stretch")
    return overrides


def _page(asking: Asking) -> None:
    answer: Answer | None = works.collected(WORK, asking.key)
    if answer is None:
        answer = _unanswered(asking)
        if answer is None:
            return
    else:
        st.session_state["_budget_shown"] = (asking.space.given.name, asking.overrides, asking.key)
    name, overrides, key = st.session_state["_budget_shown"]
    before: Answer | None = works.known(key_of(asking.space, ())) if overrides else None
    budget = answer.budget
    _head(budget, None if before is None else before.budget)
    tabs = st.tabs(TABS)
    figures: dict[str, Any] = {}
    with tabs[0]:
        slot = _months(answer, figures)
    with tabs[1]:
        _demand(answer, figures)
    with tabs[2]:
        _purchases(budget, figures)
    with tabs[3]:
        st.markdown(look.page_markdown(budget))
    with st.container(horizontal=True, vertical_alignment="center"):
        _take_away(asking, name, overrides, budget, figures)
    with slot:
        _moves(answer, f"moves {key}", figures)


def _unanswered(asking: Asking) -> Answer | None:
    """The question before there is an answer: what it rests on, the button, how far the work is.

    Gives the answer to the question that was shown before it was changed.
    """
    busy = works.running(WORK)
    name, _, key = st.session_state.get("_budget_shown", ("", (), ""))
    last: Answer | None = works.known(key) if name == asking.space.given.name else None
    head = "The question has changed" if last else asking.question.name
    words = "What is below is the answer from before." if last else "Nothing is worked out yet."
    left, right = st.columns((4, 1), vertical_alignment="center")
    left.markdown(f"#### {head}" if not busy else "#### Working it out …")
    if right.button("Work it out", type="primary", key="work_out", icon=":material/play_arrow:", width="stretch",
                    disabled=works.running(WORK, asking.key)):  # fmt: skip
        given, overrides = asking.space.given, asking.overrides
        task = partial(_answered, given, overrides, _forecasts())
        works.begin(WORK, asking.key, task, STAGES)
        works.give_up(MOVES)
        st.rerun()
    works.watched(WORK, asking.key, "Stopped. The forecast is kept, if it was made.")
    if not busy:
        st.info(f"{words} **Work it out** forecasts the demand, finds and simulates the fleets, chooses what to "
                f"promise and bills {asking.question.spec.paths} futures hour by hour: about half a minute.",
                icon=":material/info:")  # fmt: skip
    if last is None:
        _before(asking.question)
        st.code(_asked(asking.space.given, asking.overrides), language="bash", wrap_lines=True)
    return last


def _answered(given: Given, overrides: tuple[str, ...], forecaster: Forecasts, watch: Any) -> Answer:
    return answered(given, overrides, watch, forecaster)


@st.cache_resource(show_spinner=False)
def _forecasts() -> Forecasts:
    return Forecasts()


def _before(question: BudgetQuestion) -> None:
    """What is known without any work: past demand, and what can be bought."""
    columns = st.columns(max(len(question.history), 1) if len(question.history) < 4 else 3)
    for place, (name, past) in enumerate(question.history.items()):
        with columns[place % len(columns)]:
            st.plotly_chart(charts.forecast_chart(name, past, question.start, None), key=f"past_{name}",
                            alt=charts.forecast_alt(name, past, None))  # fmt: skip
    st.markdown("**What can be bought**")
    try:
        st.table(offer_rows(question))
    except InputError as error:
        show(error)


def _head(budget: Budget, before: Budget | None) -> None:
    st.markdown(f"#### {look.verdict(budget)}")
    cells = look.cards(budget, before)
    for column, card in zip(st.columns(len(cells)), cells, strict=True):
        with column.container(border=True, height="stretch"):
            st.metric(card.label, card.value, card.change or None, help=card.help,
                      delta_color="red" if card.dearer else "green",
                      delta_arrow="up" if card.dearer else "down")  # fmt: skip
            st.caption(card.below)
    if budget.warnings:
        many = len(budget.warnings)
        with st.expander(f"{many} thing{'s' * (many > 1)} to know before signing"):
            st.markdown("\n".join(f"- {text}" for text in budget.warnings))


def _months(answer: Answer, figures: dict[str, Any]) -> Any:
    """The months, what promises cover, who pays; gives the place for what moves the budget."""
    budget = answer.budget
    left, right = st.columns(2)
    with left:
        figures["Months"] = charts.fan_chart(budget.months, promised=bool(budget.purchases))
        st.plotly_chart(figures["Months"], key="fan", alt=charts.fan_alt(budget.months))
    with right:
        figures["Coverage"] = charts.coverage_chart(budget.months, budget.total)
        st.plotly_chart(figures["Coverage"], key="coverage", alt=charts.coverage_alt(budget.months))
    left, right = st.columns(2)
    slot = left.container()
    with right:
        figures["Who pays"] = charts.shares_chart(budget)
        st.plotly_chart(figures["Who pays"], key="shares", alt=charts.shares_alt(budget))
    return slot


def _moves(answer: Answer, key: str, figures: dict[str, Any]) -> None:
    """What moves the budget: worked out beside the page, once the budget stands."""
    found = works.collected(MOVES, key)
    if found is None:
        under = st.session_state.get(MOVES)
        if under is None or under[0] != key:
            works.begin(MOVES, key, partial(moved, answer), SENSITIVITY_STAGES)
        st.markdown("**What moves it most**")
        st.caption("Demand and on-demand prices 20% lower and higher, instances that carry 10% less and more, "
                   "objectives 20% tighter and 25% looser: fleets are planned and simulated anew.")  # fmt: skip
        works.watched(MOVES, key, "Stopped.")
        if not works.running(MOVES, key) and st.button("Work it out", key="move_again"):
            works.give_up(MOVES)
            st.rerun()
        return
    figures["What moves it"] = charts.tornado_chart(found)
    st.plotly_chart(figures["What moves it"], key="tornado", alt=charts.tornado_alt(found))


def _demand(answer: Answer, figures: dict[str, Any]) -> None:
    """Demand, forecast, and the machines of a usual week."""
    budget, question = answer.budget, answer.question
    left, right = st.columns(2)
    with left:
        for name, past in question.history.items():
            ahead = None if budget.demand is None else budget.demand.rps[name]
            figures[f"Demand of {name}"] = charts.forecast_chart(name, past, budget.start, ahead)
            st.plotly_chart(figures[f"Demand of {name}"], key=f"demand_{name}",
                            alt=charts.forecast_alt(name, past, ahead))  # fmt: skip
    with right:
        figures["A usual week"] = charts.week_chart(answer.week)
        st.plotly_chart(figures["A usual week"], key="week", alt=charts.week_alt(answer.week))
        for row in look.history_rows(budget):
            st.markdown(f"**{row['workload']}**: " + "; ".join(f"{key} {text}" for key, text in row.items()
                                                              if key != "workload"))  # fmt: skip


def _purchases(budget: Budget, figures: dict[str, Any]) -> None:
    """What to promise, what other rules would, and what could go wrong."""
    rows = look.purchase_rows(budget)
    if rows:
        st.markdown("**What to promise**")
        st.table(rows)
    else:
        st.caption("Nothing is promised: everything is bought on demand.")
    risks = look.what_if_rows(budget)
    if risks:
        st.markdown("**What could go wrong**")
        st.table(risks)
    left, right = st.columns(2)
    shares = look.rule_shares(budget)
    with left:
        if len(shares) > 2:
            figures["Rules"] = charts.rules_chart(shares, "Other rules of buying", look.CHOSEN)
            st.plotly_chart(figures["Rules"], key="rules", alt=charts.rules_alt(shares))
    with right:
        st.markdown("**Month by month, USD**")
        months = look.month_rows(budget)
        form = {name: st.column_config.NumberColumn(format="%,.0f") for name in months[0] if name != "month"}
        st.dataframe(months, hide_index=True, column_config=form, height=260, alt=charts.fan_alt(budget.months))


def _asked(given: Given, overrides: tuple[str, ...]) -> str:
    """The same by the command line."""
    return command(f"scenarios/{given.name}" if given.home else given.name, overrides)


def _take_away(asking: Asking, name: str, overrides: tuple[str, ...], budget: Budget, figures: dict[str, Any]) -> None:
    given = asking.space.given
    asked = _asked(given, overrides)
    stem = name.rsplit(".", 1)[0]

    def file(wanted: str) -> str:
        return budget_files(budget)[wanted].decode()

    menu(
        [
            Download("Everything (ZIP)", f"{stem}.zip", "application/zip", lambda: packed(budget_files(budget))),
            Download("Budget file as edited (YAML)", f"{stem}.yaml", "application/yaml",
                     lambda: edited_yaml(given, overrides)),
            Download("What to buy (CSV)", "purchases.csv", "text/csv", lambda: file("purchases.csv")),
            Download("Bill by month, FOCUS columns (CSV)", "budget.csv", "text/csv", lambda: file("budget.csv")),
            Download("Demand forecast (CSV)", "forecast.csv", "text/csv", lambda: file("forecast.csv")),
            Download("Budget (JSON)", "budget.json", "application/json", lambda: file("budget.json")),
            Download("Report (Markdown)", "report.md", "text/markdown", lambda: file("report.md")),
            Download("Charts (HTML)", f"{stem}.html", "text/html", lambda: figures_html(stem, figures)),
        ],
        "budget",
    )  # fmt: skip
    st.code(asked, language="bash", wrap_lines=True)


if __name__ == "__main__":
    main()
