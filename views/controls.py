"""The controls of the what-if, in the sidebar: each starts at the scenario's own value and is carried in the URL."""

from __future__ import annotations

from typing import Any, Final

import streamlit as st

from presentation.controls import (
    OWN_PRICE,
    Controls,
    batch_sizes,
    changes,
    controls_of,
    instance_types,
    lines_of,
    shipped_profiles,
    slo_key,
    tooltip,
)
from presentation.purchases import ways_to_buy
from simulator.fleet_spec import Batching, Fleet
from simulator.scenario import Scenario
from simulator.wording import percentile
from simulator.workload_spec import Slo

KEYS: Final = (
    *("workload", "load", "instances", "batch", "delay", "slo"),
    *("at_once", "type", "profile", "purchase", "set"),
)
"""Names of the controls, in the session and in the URL."""

_LINK: Final[Any] = "query-params"


def reset() -> None:
    """Another scenario begins at its own values."""
    for key in KEYS:
        st.session_state.pop(key, None)


def changes_in_sidebar(scenario: Scenario) -> tuple[str, tuple[str, ...]]:
    """Which workload is looked at, and what was changed, as ``--set`` would say it."""
    with st.sidebar:
        workload = next(iter(scenario.workloads))
        if len(scenario.workloads) > 1:
            workload = st.selectbox("Workload", list(scenario.workloads), key="workload", bind=_LINK, on_change=_turned)
        moved = _controls(scenario, workload)
        with st.expander("Any other key"):
            text = st.text_area("One path.to.key=value a line, as --set", key="set", bind=_LINK, height=90,
                                placeholder="fleets.gpu.router=power_of_two", max_chars=2000)  # fmt: skip
        overrides = (*changes(scenario, workload, moved), *lines_of(text or ""))
        st.button("Back to the scenario as it is", on_click=reset, disabled=not overrides, width="stretch")
    return workload, overrides


def _turned() -> None:
    """The controls of another workload begin at its own values."""
    for key in KEYS[1:-1]:
        st.session_state.pop(key, None)


def _controls(scenario: Scenario, workload: str) -> Controls:
    own = controls_of(scenario, workload)
    asked = scenario.workloads[workload]
    fleet = scenario.fleets[asked.fleet]
    load = st.slider("Load, % of the scenario's", 10, 300, 100, 5, key="load", bind=_LINK,
                     help="Multiplies the rate, the trace's speed or the number of clients.")  # fmt: skip
    instances = st.slider("Instances", 1, max(16, 3 * own.instances), own.instances, key="instances", bind=_LINK,
                          help=tooltip(Fleet, "instances"))  # fmt: skip
    batches = fleet.batching.policy != "none"
    sizes = batch_sizes(scenario, asked.fleet)
    batch, delay = own.max_batch_size, own.max_queue_delay_ms
    if batches:
        batch = st.select_slider("Largest batch, items", sizes, own.max_batch_size, key="batch", bind=_LINK,
                                 help=tooltip(Batching, "max_batch_size"))  # fmt: skip
    if fleet.batching.policy == "dynamic":
        most = max(20.0, 4 * own.max_queue_delay_ms)
        delay = st.slider("Queue delay, ms", 0.0, most, own.max_queue_delay_ms, 0.5, key="delay", bind=_LINK,
                          format="%g", help=tooltip(Batching, "max_queue_delay_ns"))  # fmt: skip
    slo = own.slo_ms
    name = slo_key(asked)
    if own.slo_ms is not None and name is not None:
        slo = st.slider(f"SLO: {percentile(name)}, ms", 1.0, 4 * own.slo_ms, own.slo_ms, 1.0, key="slo", bind=_LINK,
                        format="%g", help=tooltip(Slo, f"{name}_ns"))  # fmt: skip
    with st.expander("Hardware and price"):
        at_once = st.slider("Model instances", 1, max(4, own.model_instances), own.model_instances, key="at_once",
                            bind=_LINK, help=tooltip(Fleet, "model_instances"))  # fmt: skip
        profiles = list(dict.fromkeys([*scenario.profiles, *shipped_profiles()]))
        profile = st.selectbox("Profile", profiles, profiles.index(own.profile), key="profile", bind=_LINK,
                               help=tooltip(Fleet, "profile"))  # fmt: skip
        types = list(dict.fromkeys([own.instance_type, *instance_types()]))
        kind = st.selectbox("Instance type", types, types.index(own.instance_type), key="type", bind=_LINK,
                            format_func=_kind, help=tooltip(Fleet, "instance_type"))  # fmt: skip
        ways = ways_to_buy(scenario, asked.fleet, kind)
        bought = st.selectbox("Purchase", list(ways), 0, key="purchase", bind=_LINK, format_func=lambda way: ways[way],
                              disabled=len(ways) == 1, help=tooltip(Fleet, "purchase"))  # fmt: skip
    return Controls(load, instances, batch, delay, at_once, profile, kind, bought, slo)


def _kind(name: str) -> str:
    return "the scenario's own price" if name == OWN_PRICE else instance_types().get(name, name)


__all__ = ["KEYS", "changes_in_sidebar", "reset"]
