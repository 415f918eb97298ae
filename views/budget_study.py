"""Demand alone: a table of instances, hour by hour, and what of it to promise at a price ratio or a price list."""

from __future__ import annotations

from functools import partial
from typing import Any, Final

import streamlit as st

from calibration.problems import InputError
from optimizer.commands.commitment_options import Question
from presentation import budget_charts as charts
from presentation import budget_study as look
from presentation.budget_downloads import packed
from presentation.budget_study import Files, Options, StudyAnswer, asked_of, key_of, shipped_demand, studied
from presentation.door import LARGEST_UPLOAD_MIB
from presentation.downloads import figures_html
from simulator.purchase_plan import PLAN_BY_PRICE_TYPE
from views import budget_work as works
from views.problems import show
from views.take_away import Download, menu

SHIPPED: Final = "Shipped: machines of a cloud's region"
UPLOAD: Final = "Upload …"

RATIO: Final = "a price ratio"
LIST: Final = "a price list"

WORK: Final = "budget_study"

TABS: Final = ("What to promise", "Risks", "Report")

AT_ONCE_S: Final = 8.0
"""How long the page waits for the study of the shipped demand, which takes some seconds and begins by itself."""

_LINK: Final[Any] = "query-params"
_BESIDE: Final = {"mean": "nothing"}
_LADDERS: Final = ("", "1mo", "3mo", "6mo")


def study_page() -> None:
    """Lay out the page."""
    with st.sidebar:
        demand = _demand()
        options, prices, tags = _options()
    if demand is None:
        st.markdown("#### How much to promise")
        st.info("Drop a table of the instances that ran on the left: what to promise of them, what that saves, and "
                "how it would have gone on your own past.", icon=":material/arrow_back:")  # fmt: skip
        st.code("timestamp,pool,demand\n2026-01-01T00:00:00Z,g2-standard-4,31\n2026-01-01T01:00:00Z,g2-standard-4,28\n",
                language=None)  # fmt: skip
        return
    files = Files(demand, prices, tags)
    try:
        question = _question(files, options)
    except InputError as error:
        st.markdown("#### This demand cannot be studied yet")
        show(error)
        return
    _page(files, options, question, automatic=demand == _shipped())


def _demand() -> tuple[str, bytes] | None:
    """The table of demand: the one that is shipped, or one's own."""
    where = st.selectbox("Demand, instances by hour", (SHIPPED, UPLOAD), key="demand", bind=_LINK,
                         help="CSV with timestamp (UTC), pool and demand; names that mean the same do.")  # fmt: skip
    if where == SHIPPED:
        st.caption("Real: two kinds of virtual machines over three years, as weekly means times the shape of a week.")
        return _shipped()
    file = st.file_uploader("A table of demand", type="csv", key="demand_file", max_upload_size=LARGEST_UPLOAD_MIB)
    return None if file is None else (file.name, file.getvalue())


@st.cache_data(max_entries=1, show_spinner=False)
def _shipped() -> tuple[str, bytes]:
    return shipped_demand()


def _options() -> tuple[Options, tuple[str, bytes] | None, tuple[str, bytes] | None]:
    """What the controls ask; a price list and tags, where there are any."""
    by = st.segmented_control("Prices are", (RATIO, LIST), default=RATIO, key="prices_by", bind=_LINK, required=True)
    prices, provider, region = None, "", ""
    plans: tuple[str, ...] = ()
    ratio: float | None = None
    term, on_demand = "1y", 0.0
    if by == RATIO:
        ratio = st.slider("Promised costs, % of on demand", 10, 95, 70, 1, key="ratio", bind=_LINK,
                          help="A promised instance is paid for in every hour, used or not.") / 100  # fmt: skip
        term = st.segmented_control("Term", ("1y", "3y"), default="1y", key="term", bind=_LINK, required=True) or "1y"
        on_demand = st.number_input("On demand, USD/h; 0: not known", 0.0, 1000.0, 0.0, key="on_demand", bind=_LINK,
                                    help="With it amounts are dollars.")  # fmt: skip
    else:
        file = st.file_uploader("Price list (CSV); the shipped one is asked, too", type="csv", key="price_file",
                                max_upload_size=LARGEST_UPLOAD_MIB)  # fmt: skip
        prices = None if file is None else (file.name, file.getvalue())
        promises = [name for name, plan in PLAN_BY_PRICE_TYPE.items() if plan.promises]
        plans = tuple(st.multiselect("Plans; none: all that are listed", promises, key="study_plans", bind=_LINK))
        left, right = st.columns(2)
        provider = left.text_input("Provider", key="provider", bind=_LINK, max_chars=40)
        region = right.text_input("Region", key="region", bind=_LINK, max_chars=60)
    risk = st.segmented_control("Beside the mean", ("mean", "regret", "cost"), default="mean", key="study_risk",
                                bind=_LINK, required=True, format_func=lambda name: _BESIDE.get(name, name),
                                help="regret holds back where demand may shrink; cost buys more.")  # fmt: skip
    weight = 0.5
    if risk != "mean":
        weight = st.slider("Its weight", 0.0, 1.0, 0.5, 0.05, key="study_weight", bind=_LINK)
    pooled = st.toggle("Pools are interchangeable", key="pooled", bind=_LINK, help="As --pooled.")
    with st.expander("More"):
        ladder = st.selectbox("Purchases may also begin every", _LADDERS, key="ladder", bind=_LINK,
                              format_func=lambda text: text or "now only")  # fmt: skip
        futures = st.select_slider("Futures", (20, 50, 100, 200), 100, key="study_futures", bind=_LINK)
        zone = st.text_input("Zone of stamps that name none", key="zone", bind=_LINK, placeholder="UTC", max_chars=60)
        file = st.file_uploader("Who pays: CSV pool,team,model", type="csv", key="tags_file",
                                max_upload_size=LARGEST_UPLOAD_MIB)  # fmt: skip
        tags = None if file is None else (file.name, file.getvalue())
    asked = Options(ratio, term, on_demand or None, plans, provider, region, pooled, zone, ladder, str(risk), weight,
                    futures)  # fmt: skip
    return asked, prices, tags


@st.cache_data(max_entries=16, show_spinner="reading the demand …")
def _question(files: Files, options: Options) -> Question:
    return asked_of(files, options)


def _page(files: Files, options: Options, question: Question, *, automatic: bool) -> None:
    key = key_of(files, options)
    answer: StudyAnswer | None = works.collected(WORK, key)
    if answer is None and automatic:
        with st.spinner("Working it out …"):
            answer = works.awaited(WORK, key, partial(studied, files, options), look.STAGES, AT_ONCE_S)
    if answer is None:
        _unanswered(files, options, question, key)
        return
    st.markdown(f"#### {look.verdict(answer)}")
    cells = look.cards(answer)
    for column, card in zip(st.columns(len(cells)), cells, strict=True):
        with column.container(border=True, height="stretch"):
            st.metric(card.label, card.value, help=card.help)
            st.caption(card.below)
    for text in answer.study.warnings:
        st.warning(f"{text[:1].upper()}{text[1:]}.", icon=":material/warning:")
    figures: dict[str, Any] = {}
    tabs = st.tabs(TABS)
    with tabs[0]:
        _promise(question, answer, figures)
    with tabs[1]:
        _risks(answer)
    with tabs[2]:
        st.code(look.study_text(answer), language=None)
    with st.container(horizontal=True, vertical_alignment="center"):
        _take_away(files, options, answer, figures)


def _unanswered(files: Files, options: Options, question: Question, key: str) -> None:
    """What is asked, the button, how far the work is."""
    busy = works.running(WORK, key)
    history = question.history
    left, right = st.columns((4, 1), vertical_alignment="center")
    left.markdown("#### Working it out …" if busy else f"#### How much of {files.demand[0]} to promise")
    if right.button("Work it out", type="primary", key="study_run", icon=":material/play_arrow:", width="stretch",
                    disabled=busy):  # fmt: skip
        works.begin(WORK, key, partial(studied, files, options), look.STAGES)
        st.rerun()
    works.watched(WORK, key, "Stopped.")
    if not busy:
        st.info(f"{len(history.pools)} pools, {history.start:%Y-%m-%d} to {history.end:%Y-%m-%d}. **Work it out** "
                "draws futures, solves for the promises, and tests the rule on this past: half a minute, or more where "
                "there are many pools.", icon=":material/info:")  # fmt: skip
    st.plotly_chart(look.demand_chart(question, None), key="study_past", alt=look.demand_alt(question, None))
    if history.notes:
        with st.expander("How the table was read"):
            st.markdown("\n".join(f"- {note}" for note in history.notes))


def _promise(question: Question, answer: StudyAnswer, figures: dict[str, Any]) -> None:
    """Demand and promises, how the rules compare, the first year's bill."""
    year, dollars = answer.year, answer.year.in_dollars
    left, right = st.columns(2)
    with left:
        figures["Demand"] = look.demand_chart(question, answer)
        st.plotly_chart(figures["Demand"], key="study_demand", alt=look.demand_alt(question, answer))
    with right:
        shares = look.rule_shares(answer)
        title = "On the past: cost by rule" if answer.study.backtest.periods else "In the futures: cost by rule"
        figures["Rules"] = charts.rules_chart(shares, title, look.CHOSEN)
        st.plotly_chart(figures["Rules"], key="study_rules", alt=charts.rules_alt(shares))
    left, right = st.columns(2)
    with left:
        figures["Months"] = charts.fan_chart(year.months, promised=bool(year.purchases), dollars=dollars)
        st.plotly_chart(figures["Months"], key="study_fan", alt=charts.fan_alt(year.months, dollars=dollars))
    with right:
        figures["Coverage"] = charts.coverage_chart(year.months, year.total, dollars=dollars)
        st.plotly_chart(figures["Coverage"], key="study_coverage",
                        alt=charts.coverage_alt(year.months, dollars=dollars))  # fmt: skip
    st.caption(look.unit_words(answer))
    rows = look.purchase_rows(answer)
    if rows:
        st.dataframe(rows, hide_index=True, alt=look.verdict(answer))


def _risks(answer: StudyAnswer) -> None:
    """What could go wrong, and who pays."""
    rows = look.what_if_rows(answer)
    if rows:
        st.markdown("**What could go wrong**")
        st.table(rows)
    owners = look.share_rows(answer)
    if owners:
        st.markdown("**Who pays**")
        st.table(owners)
    else:
        st.caption("Who pays is shown with a table of tags: More, on the left.")


def _take_away(files: Files, options: Options, answer: StudyAnswer, figures: dict[str, Any]) -> None:
    def file(wanted: str) -> str:
        return answer.files[wanted].decode()

    menu(
        [
            Download("Everything (ZIP)", "commitments.zip", "application/zip", lambda: packed(answer.files)),
            Download("What to buy (CSV)", "purchases.csv", "text/csv", lambda: file("purchases.csv")),
            Download("Bill by month, FOCUS columns (CSV)", "budget.csv", "text/csv", lambda: file("budget.csv")),
            Download("Study (JSON)", "commitments.json", "application/json", lambda: look.study_document(answer)),
            Download("Report (Markdown)", "report.md", "text/markdown", lambda: file("report.md")),
            Download("Charts (HTML)", "commitments.html", "text/html", lambda: figures_html("Commitments", figures)),
        ],
        "study",
    )  # fmt: skip
    st.code(look.command(files, options), language="bash", wrap_lines=True)
