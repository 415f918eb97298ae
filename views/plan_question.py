"""The question of a plan as controls: candidates and limits as tables, objectives, traffic and money in the sidebar."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import streamlit as st

from optimizer.plan_file import Question
from optimizer.plan_spec import Candidate, PlanSpec, QuotaSpec
from presentation.controls import instance_types, lines_of, shipped_profiles, tooltip
from presentation.plan_controls import (
    AT_ONCE,
    BATCHES,
    MACHINE,
    MOST,
    NAME,
    PRICE,
    PROFILE,
    QUOTA,
    STATED,
    TOGETHER,
    USED,
    WAITS,
    Asked,
    Limits,
    asked_changes,
    asked_of,
    candidate_changes,
    candidate_rows,
    limit_changes,
    limits_of,
    quota_changes,
    quota_rows,
)
from simulator.wording import percentile
from simulator.workload_spec import Slo

LOSSES: Final = {"nothing": "nothing", "instance": "one instance of each fleet", "zone": "one zone"}

_LINK: Final[Any] = "query-params"
_OF_WORKLOADS: Final = ("load_", "slo_")
_KEYS: Final = ("candidates", "quotas", "most_usd", "survive", "time_limit", "plan_set")


def reset() -> None:
    """Another plan file begins at its own values, and a search for the one before it ends."""
    for key in list(st.session_state):
        if key in _KEYS or str(key).startswith(_OF_WORKLOADS):
            st.session_state.pop(key, None)
    search = st.session_state.pop("_search", None)
    if search is not None:
        search.stop()


def changes_in_sidebar(question: Question) -> tuple[str, ...]:
    """What was moved of objectives, traffic and limits, as ``--set`` would say it."""
    with st.sidebar:
        asked = {name: _workload(name, own, question) for name, own in asked_of(question).items()}
        with st.expander("Limits of the plan"):
            limits = _limits(limits_of(question))
        with st.expander("Any other key"):
            text = st.text_area("One path.to.key=value a line, as --set", key="plan_set", bind=_LINK, height=90,
                                placeholder="plan.gap=0.01", max_chars=2000)  # fmt: skip
    return (*asked_changes(question, asked), *limit_changes(question, limits), *lines_of(text or ""))


def _workload(name: str, own: Asked, question: Question) -> Asked:
    with st.expander(name, expanded=len(question.workloads) <= 2):
        targets = {
            key: st.number_input(f"SLO: {percentile(key)}, ms", min_value=0.001, value=ms, step=5.0, format="%g",
                                 key=f"slo_{name}_{key}", bind=_LINK, help=tooltip(Slo, f"{key}_ns"))
            for key, ms in own.slo_ms.items()
        }  # fmt: skip
        load = st.slider("Load, % of the file's", 10, 300, 100, 5, key=f"load_{name}", bind=_LINK,
                         help="Multiplies the rate, or the scale of the series.")  # fmt: skip
    return Asked(load, targets)


def _limits(own: Limits) -> Limits:
    most = st.number_input("Most USD in any hour", min_value=0.0, value=own.max_usd_per_hour, step=1.0, format="%g",
                           key="most_usd", bind=_LINK, placeholder="no limit",
                           help=tooltip(PlanSpec, "max_usd_per_hour"))  # fmt: skip
    survive = st.selectbox("May be lost while every SLO holds", list(LOSSES), list(LOSSES).index(own.survive),
                           key="survive", bind=_LINK, format_func=lambda key: LOSSES[key],
                           help=tooltip(PlanSpec, "survive"))  # fmt: skip
    limit_s = st.number_input("Longest time for the solver, s", min_value=1.0, value=own.time_limit_s, step=10.0,
                              format="%g", key="time_limit", bind=_LINK,
                              help=tooltip(PlanSpec, "time_limit_ns"))  # fmt: skip
    return Limits(most, survive, limit_s)


def editor(values: Mapping[str, Any]) -> tuple[str, ...]:
    """Candidates and limits over several of them, to edit; what was edited, as ``--set`` would say it."""
    st.caption("Untick a candidate to leave it out, change a cell, or add a row: a name, what it costs, and a profile. "
               "Lists, as in 4, 16, are searched.")  # fmt: skip
    rows = candidate_rows(values)
    edited = st.data_editor(rows, num_rows="dynamic", hide_index=True, key="candidates", column_config=_columns(rows),
                            placeholder="", alt="The candidates of the plan file")  # fmt: skip
    limits = quota_rows(values)
    with st.expander("Limits over several candidates", expanded=bool(limits)):
        columns = {
            QUOTA: st.column_config.TextColumn(help="A name of your own.", max_chars=60),
            TOGETHER: st.column_config.TextColumn(help=tooltip(QuotaSpec, "candidates"), max_chars=400),
            MOST: st.column_config.NumberColumn(help=tooltip(QuotaSpec, "max_instances"), min_value=0, step=1),
        }
        quotas = st.data_editor(limits or [{QUOTA: None, TOGETHER: None, MOST: None}], num_rows="dynamic",
                                hide_index=True, key="quotas", column_config=columns,
                                placeholder="", alt="Limits over several candidates")  # fmt: skip
    return (*candidate_changes(values, edited), *quota_changes(values, quotas))


def _columns(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """How each column is edited, and what it means."""
    config = st.column_config
    profiles = list(dict.fromkeys([*(row[PROFILE] for row in rows if row[PROFILE]), *shipped_profiles()]))
    types = list(dict.fromkeys([*(row[MACHINE] for row in rows if row[MACHINE]), *instance_types()]))
    return {
        USED: config.CheckboxColumn(help="Whether the search may use it.", default=True, width="small"),
        NAME: config.TextColumn(help=tooltip(Candidate, "name"), max_chars=60),
        MACHINE: config.SelectboxColumn(help=tooltip(Candidate, "instance_type"), options=types),
        PRICE: config.NumberColumn(help=tooltip(Candidate, "usd_per_hour"), min_value=0, format="$%.4g"),
        MOST: config.NumberColumn(help=tooltip(Candidate, "max_instances"), min_value=0, step=1),
        PROFILE: config.SelectboxColumn(help=tooltip(Candidate, "profile"), options=profiles),
        BATCHES: config.TextColumn(help="`max_batch_size`, one or several to try.", max_chars=100),
        WAITS: config.TextColumn(help="`max_queue_delay`, one or several to try: 0ms, 5ms.", max_chars=100),
        AT_ONCE: config.TextColumn(help=tooltip(Candidate, "model_instances"), max_chars=100),
        STATED: config.TextColumn(help=tooltip(Candidate, "capacity_rps"), max_chars=300),
    }
