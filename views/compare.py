"""Compare: two to four scenarios side by side, and why they differ."""

from __future__ import annotations

import json
from contextlib import ExitStack
from typing import Any, Final, NamedTuple

import streamlit as st

from calibration.problems import InputError
from calibration.tree import shown as written
from presentation.answer import changed_keys, comparison_rows, explained
from presentation.charts import compared_chart
from presentation.controls import lines_of
from presentation.door import Workspace, workspace
from presentation.downloads import comparison_markdown, figures_html, rows_csv
from simulator.outcome import Report, report_to_json
from views import runs
from views.problems import show
from views.scenario_choice import chosen
from views.take_away import Download, menu

LETTERS: Final = "ABCD"

_FIRST_CHANGES: Final = (
    "",
    "fleets.gpu.instances=3",
    "fleets.gpu.batching.max_batch_size=128",
    "fleets.gpu.instances=6",
)
"""What the page begins with: the peak, one instance less, smaller batches, two instances more."""

_LINK: Final[Any] = "query-params"


class Compared(NamedTuple):
    """One of the scenarios."""

    name: str
    values: dict[str, Any]
    report: Report


def main() -> None:
    """Lay out the page."""
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown("#### Side by side")
        count = st.segmented_control("How many", (2, 3, 4), default=3, key="columns", bind=_LINK, required=True,
                                     label_visibility="collapsed")  # fmt: skip
    with ExitStack() as stack:
        found = [
            one
            for index, column in enumerate(st.columns(int(count or 2)))
            if (one := _slot(index, column, stack)) is not None
        ]
    if len(found) < 2:
        st.info("Choose two scenarios or more: their answers are laid side by side here.", icon=":material/info:")
        return
    reports = {one.name: one.report for one in found}
    rows = comparison_rows(reports)
    table, chart = st.columns((3, 2))
    with table:
        st.table(rows)
    figure = compared_chart(reports)
    with chart:
        st.plotly_chart(figure, key="compared", alt="; ".join(f"{row['figure']}: {row}" for row in rows[:3]))
    sentences = {one.name: _why(found[0], one) for one in found[1:]}
    for name, lines in sentences.items():
        st.markdown(f"**{name} against {found[0].name}**\n\n" + "\n".join(f"- {line}" for line in lines))
    menu(
        [
            Download("Table (CSV)", "comparison.csv", "text/csv", lambda: rows_csv(rows)),
            Download("Reports (JSON)", "comparison.json", "application/json",
                     lambda: json.dumps({name: report_to_json(report) for name, report in reports.items()}, indent=2)),
            Download("Comparison (Markdown)", "comparison.md", "text/markdown",
                     lambda: comparison_markdown(rows, sentences)),
            Download("Chart (HTML)", "comparison.html", "text/html", lambda: figures_html("Comparison", {"": figure})),
        ],
        "compare",
    )  # fmt: skip


def _slot(index: int, column: Any, stack: ExitStack) -> Compared | None:
    """One scenario to compare: which, and what is changed in it."""
    letter = LETTERS[index]
    with column.container(border=True):
        given = chosen(letter.lower(), label=letter, bind=True, question=False)
        text = st.text_area("Changes, one path.to.key=value a line", _FIRST_CHANGES[index], height=68,
                            key=f"{letter.lower()}_set", bind=_LINK, max_chars=2000)  # fmt: skip
        if given is None:
            return None
        space: Workspace = stack.enter_context(workspace(given))
        overrides = lines_of(text or "")
        try:
            scenario = space.scenario(overrides)
            runs.prepare(scenario)
            report = runs.looked(space, scenario).report
            return Compared(f"{letter}: {scenario.name}", space.values(overrides), report)
        except InputError as error:
            show(error)
            return None


def _why(first: Compared, other: Compared) -> list[str]:
    """What is different in the two scenarios, and in what they do."""
    keys = [
        f"`{path}`: {_value(before)} → {_value(now)}"
        for path, before, now in changed_keys(first.values, other.values)
        if path != "name"
    ]
    most = 8
    more = [f"… and {len(keys) - most} more keys"] if len(keys) > most else []
    changed = [", ".join([*keys[:most], *more])] if keys else ["The two scenarios say the same."]
    return [*changed, *explained(first.report, other.report, (first.name, other.name))]


def _value(value: Any) -> str:
    return "not there" if value is None else f"`{written(value)}`"


if __name__ == "__main__":
    main()
