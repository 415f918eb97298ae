"""What if: a scenario, its answer, and what changes when load, fleet, batching, price or objective change."""

from __future__ import annotations

import streamlit as st

from calibration.problems import InputError
from presentation import charts
from presentation.answer import answer_of, headroom, latency_change, money_change, verdict
from presentation.controls import command
from presentation.door import Workspace, edited_yaml, workspace
from presentation.downloads import figures_html, report_csv, report_json, report_markdown
from presentation.library import shipped
from presentation.look import Look
from presentation.numbers import between, ms, usd
from simulator.outcome import Report
from simulator.render import report_text
from simulator.scenario import Scenario
from simulator.wording import percent
from views import runs
from views.controls import changes_in_sidebar, reset
from views.problems import show, shown
from views.scenario_choice import chosen
from views.take_away import Download, menu


def main() -> None:
    """Lay out the page."""
    with st.sidebar:
        given = chosen("scenario", bind=True, changed=reset)
    if given is None:
        st.markdown("#### What if")
        st.info("Choose a scenario on the left, or bring your own: its answer appears here at once.",
                icon=":material/arrow_back:")  # fmt: skip
        st.table([{"scenario": one.name, "asks": one.question} for one in shipped().values()])
        return
    with workspace(given) as space:
        try:
            own = space.scenario()
        except InputError as error:
            st.markdown("#### This scenario cannot be run yet")
            show(error)
            return
        workload, overrides = changes_in_sidebar(own)
        changed = own
        try:
            changed = space.scenario(overrides)
        except InputError as error:
            show(error, "Not applied, the answer below is that of the scenario as it was")
            overrides = ()
        with shown():
            _page(space, own, changed, workload, overrides)


def _page(space: Workspace, own: Scenario, changed: Scenario, workload: str, overrides: tuple[str, ...]) -> None:
    runs.prepare(changed)
    before, now = runs.looked(space, own), runs.looked(space, changed)
    figures = _answer(now, before.report, workload)
    _warnings(changed, now.report, workload)
    left, right = st.columns(2)
    with right:
        fleet = changed.workloads[workload].fleet
        distribution = charts.distribution_chart(now.distributions.get(workload), now.report, workload)
        figures["Latency distribution"] = distribution
        st.plotly_chart(distribution, key="distribution", alt=charts.distribution_alt(now.report, workload))
    with left:
        slot = st.empty()
    left, right = st.columns(2)
    with left:
        course = charts.course_chart(now.courses[fleet], fleet)
        figures["Queue and batches"] = course
        st.plotly_chart(course, key="course", alt=charts.course_alt(now.courses[fleet], fleet))
    with right:
        busy = charts.utilisation_chart(now.report)
        figures["Utilisation"] = busy
        st.plotly_chart(busy, key="utilisation", alt=charts.utilisation_alt(now.report))
    with slot.container():
        found = runs.swept(space, changed, workload, now.report)
        load = charts.load_chart(found)
        figures = {"Load": load, **figures}
        st.plotly_chart(load, key="load_curve", alt=charts.load_alt(found))
    st.caption(f"{now.note}. {now.report.bottleneck}")
    asked = command(f"scenarios/{space.given.name}" if space.given.home else space.given.name, overrides)
    stem = space.given.name.rsplit(".", 1)[0]
    with st.container(horizontal=True, vertical_alignment="center"):
        menu(
            [
                Download("Scenario as changed (YAML)", f"{stem}.yaml", "application/yaml",
                         lambda: edited_yaml(space.given, overrides)),
                Download("Report (Markdown)", f"{stem}.md", "text/markdown",
                         lambda: report_markdown(now.report, note=now.note, command=asked)),
                Download("Report (JSON)", f"{stem}.json", "application/json", lambda: report_json(now.report)),
                Download("Figures of the report (CSV)", f"{stem}.csv", "text/csv", lambda: report_csv(now.report)),
                Download("Charts (HTML)", f"{stem}.html", "text/html", lambda: figures_html(stem, figures)),
            ],
            "what_if",
        )  # fmt: skip
        st.code(asked, language="bash", wrap_lines=True)
    _whole(space, changed, asked)


def _answer(now: Look, before: Report, workload: str) -> dict[str, object]:
    """The verdict and the five figures, each with its difference from the scenario as it is written."""
    found, was = answer_of(now.report, workload), answer_of(before, workload)
    colour, badge = {True: ("green", "SLO met"), False: ("red", "SLO missed"), None: ("gray", "no SLO")}[found.met]
    if not found.decided:
        colour, badge = "orange", "not decided"
    st.markdown(f"#### :{colour}-badge[{badge}] {verdict(now.report, workload)}")
    late, later = latency_change(found.value_ms, was.value_ms)
    columns = st.columns(5)
    interval = "" if found.interval_ms is None else between(*found.interval_ms)
    room, room_before = headroom(found), headroom(was)
    cells = [
        (found.percentile, ms(found.value_ms), late, later, f"95% interval {interval}" if interval else "no interval",
         "The latency that the objective asks for, and how far another seed may move it."),
        ("Headroom", room.partition(" (")[0], "" if room == room_before else f"was {room_before}", later,
         "no objective" if found.attainment is None else f"{percent(found.attainment)} answered in time",
         "Target less the latency; below zero it is missed."),
        ("Cost/hour", usd(found.usd_per_hour), *money_change(found.usd_per_hour, was.usd_per_hour),
         "all fleets", "What all instances are billed at."),
        ("Cost/month", usd(found.usd_per_month), *money_change(found.usd_per_month, was.usd_per_month),
         "730 hours", "The same for 730 hours."),
        ("Cost/1,000", usd(found.usd_per_1k_requests),
         *money_change(found.usd_per_1k_requests, was.usd_per_1k_requests), "requests at this load",
         "The bill over the requests that were answered in the measured time."),
    ]  # fmt: skip
    for column, (label, value, change, worse, below, help) in zip(columns, cells, strict=True):
        with column.container(border=True, height="stretch"):
            # Said outright: a true minus sign is no minus to the widget.
            st.metric(label, value, change or None, delta_color="red" if worse else "green", help=help,
                      delta_arrow="off" if change.startswith("was") else "up" if worse else "down")  # fmt: skip
            st.caption(below)
    return {}


def _warnings(changed: Scenario, report: Report, workload: str) -> None:
    """What the reader should know first: in the way of a wrong decision, or one line down."""
    from presentation.controls import hardware_mismatch

    mismatch = hardware_mismatch(changed, changed.workloads[workload].fleet)
    if mismatch:
        st.warning(mismatch, icon=":material/warning:")
    told = [caution.text for caution in report.cautions]
    if told:
        with st.expander(f"{len(told)} thing{'s' * (len(told) > 1)} to know before trusting these numbers"):
            for text in told:
                st.markdown(f"- {text}")


def _whole(space: Workspace, changed: Scenario, asked: str) -> None:
    """The whole run, as the command line does it: the last word, when it is asked for."""
    with st.expander("The whole run, as the command line simulates it"):
        key = space.key(changed)
        if key not in runs.whole_reports():
            st.caption("The answer above is of a shorter run at the same rates. This one may take some seconds.")
            if not st.button("Run it", key="run_whole", type="primary"):
                return
            bar = st.progress(0.0, "simulating …")
            st.button("Stop", key="stop_whole")
            report = runs.whole(space, changed, lambda share: bar.progress(share, f"simulating … {share:.0%}"))
            bar.empty()
        else:
            report = runs.whole_reports()[key]
        st.code(report_text(report, width=100), language=None)
        menu([Download("Whole report (JSON)", "whole.json", "application/json", lambda: report_json(report)),
              Download("Whole report (Markdown)", "whole.md", "text/markdown",
                       lambda: report_markdown(report, command=asked))], "whole")  # fmt: skip


if __name__ == "__main__":
    main()
