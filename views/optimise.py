"""Optimise: candidates, limits and objectives; the cheapest fleets that hold them, and why these."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import streamlit as st

from calibration.problems import InputError
from optimizer.cache import default_folder
from optimizer.pareto import Frontier
from optimizer.plan import Plan
from optimizer.plan_file import Question, load_plan
from optimizer.render import plan_text
from presentation import plan_charts as charts
from presentation import plan_look as look
from presentation.door import Workspace, edited_yaml, workspace
from presentation.downloads import figures_html, rows_csv
from presentation.library import shipped
from presentation.plan_controls import command, filled_rows
from presentation.plan_downloads import plan_document, plan_markdown
from presentation.plan_process import Job
from presentation.plan_run import Search, effort, key_of
from views.plan_question import changes_in_sidebar, editor, reset
from views.problems import show
from views.scenario_choice import chosen
from views.take_away import Download, menu

FIRST: Final = "plan_stated"
"""The plan that the page opens with: it takes some seconds, and begins by itself."""

AT_ONCE_S: Final = 6.0
"""How long the page waits for an answer before it shows how far the search is."""

EVERY_S: Final = 0.7

TABS: Final = ("Fleets and cost", "Why this plan", "Proof", "Candidates and limits", "Report")

_LINK: Final[Any] = "query-params"


class Asking(NamedTuple):
    """One question, as it is asked now."""

    space: Workspace
    overrides: tuple[str, ...]
    question: Question
    key: str


def main() -> None:
    """Lay out the page."""
    with st.sidebar:
        plans = list(shipped("plan"))
        first = plans.index(FIRST) if FIRST in plans else 0
        given = chosen("plan", label="Plan file", bind=True, changed=reset, kind="plan", index=first)
    if given is None:
        st.markdown("#### Optimise")
        st.info("Choose a plan file on the left, or bring your own: what is asked, what could serve it, and what the "
                "plan must keep to.", icon=":material/arrow_back:")  # fmt: skip
        st.table([{"plan file": one.name, "asks": one.question} for one in shipped("plan").values()])
        return
    with workspace(given) as space:
        try:
            own = space.opened_by(load_plan)
        except InputError as error:
            st.markdown("#### This plan file cannot be searched yet")
            show(error)
            return
        button = st.sidebar.container()
        top = st.container()
        tabs = st.tabs(TABS, key="part", bind=_LINK, on_change="rerun")
        with tabs[3]:
            edits = editor(space.values())
        overrides = (*changes_in_sidebar(own), *edits)
        question = own
        try:
            question = space.opened_by(load_plan, overrides)
        except InputError as error:
            with top:
                show(error, "Not applied, the plan below is that of the file as it was")
            overrides = ()
        asking = Asking(space, overrides, question, key_of(space, overrides))
        _page(asking, button, top, tabs, automatic=given.name == f"{FIRST}.yaml" and not overrides)


def _page(asking: Asking, button: Any, top: Any, tabs: Sequence[Any], *, automatic: bool) -> None:
    plan = _plans().get(asking.key)
    search: Search | None = st.session_state.get("_search")
    with button:
        pressed = _run_button(asking, plan, search)
    if pressed:
        _begin(asking)
        st.rerun()  # the button knows that it was pressed then
    if automatic and plan is None and search is None:
        _begin(asking)
        search = st.session_state["_search"]
    if search is not None:
        search = _collected(search, AT_ONCE_S if automatic and plan is None else 0.0, top)
        if search is None:
            st.rerun()  # what stands on the left knows of the plan then
    running = search is not None and search.state == "running"
    with top:
        if running:
            _watch()
        elif search is not None and st.session_state["_search_key"] == asking.key:
            _ended(search)
        if plan is None:
            before = _last_shown(asking)
            if before is None:
                _empty(asking, running)
                with tabs[0]:
                    _asked(asking)
                return
            if not running:
                st.info("The question has changed. Below is the plan from before; **Find the cheapest plan**, on the "
                        "left, answers the new one.", icon=":material/history:")  # fmt: skip
            asking, plan = before, _plans()[before.key]
        else:
            st.session_state["_shown"] = (asking.space.given.name, asking.overrides, asking.key)
        _verdict(plan, _plans().get(key_of(asking.space, ())))
    frontiers = _frontiers().get(asking.key, ())
    figures = _fleets(tabs[0], asking, plan, frontiers, running=running)
    with tabs[1]:
        _why(plan)
    with tabs[2]:
        _proof(plan)
    with tabs[4]:
        st.code(plan_text(plan, frontiers), language=None)
    _take_away(asking, plan, frontiers, figures)


def _run_button(asking: Asking, plan: Plan | None, search: Search | None) -> bool:
    """The button that begins a search, and how much there is to do."""
    running = search is not None and search.state == "running"
    wanted = st.button("Find the cheapest plan", type="primary", key="find", width="stretch",
                       disabled=running or plan is not None, icon=":material/search:")  # fmt: skip
    if plan is None and not running:
        words = effort(asking.question, default_folder()).words
        st.caption(f"{words[:1].upper()}{words[1:]}.")
    return wanted


def _begin(asking: Asking, stated: Plan | None = None) -> None:
    before: Search | None = st.session_state.get("_search")
    if before is not None:
        before.stop()
    job = Job(asking.space.given, asking.overrides, stated, default_folder())
    st.session_state["_search"] = Search(job)
    st.session_state["_search_key"] = asking.key


def _collected(search: Search, wait_s: float, top: Any) -> Search | None:
    """Keep what a search has found; None when it is answered."""
    if wait_s and search.state == "running":
        with top, st.spinner("Searching the cheapest plan …"):
            search.wait(wait_s)
    if search.state != "found" or search.plan is None:
        return search
    key = st.session_state["_search_key"]
    if search.job.stated is None:
        _keep(_plans(), key, search.plan)
    else:
        _keep(_frontiers(), key, tuple(search.frontiers))
    st.session_state["_search"] = None
    return None


@st.fragment(run_every=EVERY_S)
def _watch() -> None:
    """How far the search is, and the button that stops it."""
    search: Search | None = st.session_state.get("_search")
    if search is None or search.state != "running":
        st.rerun()
    progress = search.progress
    words, button = st.columns((5, 1), vertical_alignment="center")
    words.progress(min(1.0, max(0.0, progress.share)), progress.words)
    button.button("Stop", key="stop", icon=":material/stop:", on_click=search.stop, width="stretch",
                  help="What was simulated is kept: the next search goes on from there.")  # fmt: skip


def _ended(search: Search) -> None:
    """Why a search has no answer."""
    if search.state == "stopped":
        st.info("Stopped. What was simulated is kept: the next search goes on from there.", icon=":material/stop:")
    elif search.state == "refused":
        show(InputError(search.problems))
    elif search.state == "failed":
        st.error(search.words, icon=":material/error:")


def _empty(asking: Asking, running: bool) -> None:
    """What to do, and what will be there; while a search runs, what it is about."""
    st.markdown(f"#### {asking.question.file.name}: {'searching the cheapest plan' if running else 'no plan yet'}")
    if not running:
        st.info("Press **Find the cheapest plan** on the left. With capacities to simulate the first search takes a "
                "minute or two; it can be stopped, and then goes on.", icon=":material/arrow_back:")  # fmt: skip


def _asked(asking: Asking) -> None:
    """The question in two tables."""
    left, right = st.columns((2, 3))
    with left:
        st.markdown("**What is asked**")
        st.table(look.asked_rows(asking.question))
    with right:
        st.markdown("**What could serve it**")
        st.table(_safe(filled_rows(asking.space.values(asking.overrides))))


def _last_shown(asking: Asking) -> Asking | None:
    """The question of this file whose plan was shown last."""
    name, overrides, key = st.session_state.get("_shown", ("", (), ""))
    if name != asking.space.given.name or key not in _plans():
        return None
    return asking._replace(overrides=overrides, key=key)


def _verdict(plan: Plan, before: Plan | None) -> None:
    found = look.verdict(plan)
    st.markdown(f"#### :{found.colour}-badge[{found.badge}] {_plain(found.sentence)}")
    if not plan.feasible:
        st.error(_bullets(look.relax_words(plan)), icon=":material/block:")
        st.table(_safe(look.relax_rows(plan)))
        return
    change, dearer = look.month_change(plan, before)
    cells = look.cards(plan)
    for column, (place, card) in zip(st.columns(len(cells)), enumerate(cells), strict=True):
        with column.container(border=True, height="stretch"):
            st.metric(card.label, card.value, (change or None) if place == 0 else None, help=card.help,
                      delta_color="red" if dearer else "green", delta_arrow="up" if dearer else "down")  # fmt: skip
            st.caption(card.below)
    own, _ = look.warnings(plan)
    for text in own:
        st.warning(_plain(text), icon=":material/warning:")


def _fleets(tab: Any, asking: Asking, plan: Plan, frontiers: Sequence[Frontier], *, running: bool) -> dict[str, Any]:
    """The fleets hour by hour, and what stricter objectives cost."""
    figures: dict[str, Any] = {}
    with tab:
        if not plan.feasible:
            _asked(asking)
            return figures
        left, right = st.columns(2)
        with left:
            figures["Fleets"] = charts.fleets_chart(plan)
            st.plotly_chart(figures["Fleets"], key="fleets", alt=charts.fleets_alt(plan))
        with right:
            for place, frontier in enumerate(frontiers):
                figure = charts.frontier_chart(frontier)
                figures[f"Cost against {frontier.kind} {frontier.workload}".strip()] = figure
                st.plotly_chart(figure, key=f"frontier_{place}", alt=charts.frontier_alt(frontier))
            if not frontiers:
                _ask_frontier(asking, plan, running=running)
        columns = {"by hour": st.column_config.BarChartColumn("by hour", y_min=0) if len(plan.hours) > 1 else None,
                   "USD/month": st.column_config.NumberColumn(format="$%,.0f")}  # fmt: skip
        st.dataframe(look.fleet_rows(plan), hide_index=True, column_config=columns, alt="The fleets")
        for frontier in frontiers:
            with st.expander(f"Cost against {frontier.kind}, as a table"):
                st.table(_safe(look.frontier_rows(frontier)))
        if len(plan.hours) > 1:
            with st.expander("Every hour, as a table"):
                st.dataframe(look.hour_rows(plan), hide_index=True, alt="What runs and what is asked in each hour")
    return figures


def _ask_frontier(asking: Asking, plan: Plan, *, running: bool) -> None:
    """Plans for other objectives are searched when somebody asks for them."""
    with st.container(border=True, height=charts.PLAN_HEIGHT_PX, vertical_alignment="center"):
        st.markdown("**What would stricter or looser objectives cost?**")
        st.caption(look.frontier_words(plan))
        if st.button("Draw cost against p99", key="frontier", icon=":material/show_chart:",
                     disabled=running or _plans().get(asking.key) is not plan):  # fmt: skip
            _begin(asking, plan)
            st.rerun()


def _why(plan: Plan) -> None:
    """What else was possible, what binds, what more would cost."""
    if not plan.feasible:
        st.markdown(_bullets(look.relax_words(plan)))
        return
    left, right = st.columns(2)
    with left:
        st.markdown("**One type alone**")
        st.table(_safe(look.single_rows(plan)))
        st.markdown("**Other plans that cost nearly as little**")
        others = look.alternative_rows(plan)
        if others:
            st.table(_safe(others))
        else:
            st.caption("None within 2% of the cost spends it differently.")
    with right:
        for head, sentences in look.reasons(plan).items():
            st.markdown(f"**{head}**\n\n{_bullets(sentences)}")


def _proof(plan: Plan) -> None:
    """What simulation showed, and what it made of the solver's plans."""
    rows = look.verified_rows(plan)
    if rows:
        st.markdown("**Simulated: the worst fleet in the worst hour**")
        st.table(rows)
    else:
        st.caption("Nothing was simulated: every capacity is stated in the file.")
    if plan.rounds:
        st.markdown("**Rounds: solve, simulate, tighten what missed**")
        st.table(_safe(look.round_rows(plan)))
    left, right = st.columns(2)
    with left:
        st.markdown("**What the numbers rest on**")
        st.markdown(_bullets([f"{name}: {text}" for name, text in plan.assumptions.items()]))
    with right:
        _, profiles = look.warnings(plan)
        if profiles:
            st.markdown(f"**What profiles warn of**\n\n{_bullets(profiles)}")


def _take_away(asking: Asking, plan: Plan, frontiers: Sequence[Frontier], figures: dict[str, Any]) -> None:
    given = asking.space.given
    asked = command(f"scenarios/{given.name}" if given.home else given.name, asking.overrides)
    stem = given.name.rsplit(".", 1)[0]
    with st.container(horizontal=True, vertical_alignment="center"):
        menu(
            [
                Download("Plan file as edited (YAML)", f"{stem}.yaml", "application/yaml",
                         lambda: edited_yaml(given, asking.overrides)),
                Download("Plan (JSON)", f"{stem}.json", "application/json", lambda: plan_document(plan, frontiers)),
                Download("Hour by hour (CSV)", "hours.csv", "text/csv", lambda: rows_csv(look.hour_rows(plan))),
                Download("Report (Markdown)", f"{stem}.md", "text/markdown",
                         lambda: plan_markdown(plan, frontiers, command=asked)),
                *([Download("Charts (HTML)", f"{stem}.html", "text/html", lambda: figures_html(stem, figures))]
                  if figures else []),
            ],
            "optimise",
        )  # fmt: skip
        st.code(asked, language="bash", wrap_lines=True)


def _bullets(sentences: Sequence[str]) -> str:
    if len(sentences) == 1:
        return _plain(sentences[0])
    return "\n".join(f"- {_plain(text)}" for text in sentences)


def _plain(text: str) -> str:
    """A text for Markdown: what stands between two amounts of money is no formula."""
    return text.replace("$", "\\$")


def _safe(rows: Sequence[dict[str, str]]) -> list[dict[str, str]]:
    return [{key: _plain(text) for key, text in row.items()} for row in rows]


@st.cache_resource(show_spinner=False)
def _plans() -> dict[str, Plan]:
    """Plans that were found, for all visitors."""
    return {}


@st.cache_resource(show_spinner=False)
def _frontiers() -> dict[str, tuple[Frontier, ...]]:
    """Frontiers that were found, by the question they belong to."""
    return {}


def _keep(kept: dict[str, Any], key: str, value: Any, most: int = 100) -> None:
    """Remember one more, and forget the oldest."""
    kept[key] = value
    while len(kept) > most:
        kept.pop(next(iter(kept)), None)


if __name__ == "__main__":
    main()
