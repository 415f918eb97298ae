"""Runs that the pages share: cached by everything they depend on, and the engine compiled with a word about it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import streamlit as st

from presentation.engine import is_ready, make_ready
from presentation.look import Look, look
from presentation.sweep import Sweep, sweep
from simulator.study import simulate

if TYPE_CHECKING:
    from collections.abc import Callable

    from presentation.door import Workspace
    from simulator.outcome import Report
    from simulator.scenario import Scenario


def prepare(scenario: Scenario) -> None:
    """Compile the engine if that was never done, and say so meanwhile."""
    if not is_ready(scenario):
        with st.spinner("Compiling the engine, once (about 20 s) …"):
            make_ready(scenario)


def looked(space: Workspace, scenario: Scenario) -> Look:
    """One look at a scenario."""
    return _look(space.key(scenario), scenario)


@st.cache_data(max_entries=200, show_spinner=False)
def _look(key: str, _scenario: Scenario) -> Look:
    del key  # what the answer is kept under
    return look(_scenario)


def swept(space: Workspace, scenario: Scenario, workload: str, report: Report) -> Sweep:
    """The load curve of a workload, with a bar while it is simulated."""
    kept = _sweeps()
    key = (space.key(scenario), workload)
    found = kept.get(key)
    if found is None:
        bar = st.progress(0.0, "simulating one load after another")
        found = sweep(scenario, workload, report, done=lambda share: _moved(bar, share))
        bar.empty()
        _keep(kept, key, found, most=200)
    return found


@st.cache_resource(show_spinner=False)
def _sweeps() -> dict[tuple[str, str], Sweep]:
    """Load curves that were simulated, for all visitors; a bar cannot be drawn inside a cache of Streamlit's own."""
    return {}


def _moved(bar: Any, share: float) -> None:
    bar.progress(share, "simulating one load after another")


def whole(space: Workspace, scenario: Scenario, told: Callable[[float], Any]) -> Report:
    """The report of the whole run, as ``simulate`` gives it; ``told`` hears how far it is, and may stop it."""
    kept = whole_reports()
    key = space.key(scenario)
    if key not in kept:
        _keep(kept, key, simulate(scenario, watch=_Told(told)), most=20)
    return kept[key]


def whole_reports() -> dict[str, Report]:
    """Reports of whole runs that this visitor has asked for, by key."""
    kept: dict[str, Report] = st.session_state.setdefault("_whole", {})
    return kept


class _Told:
    """Passes the progress on."""

    def __init__(self, told: Callable[[float], Any]) -> None:
        self._told = told

    def stage(self, words: str) -> None:
        """The page has said it."""

    def done(self, share: float) -> None:
        """Pass the share on."""
        self._told(min(1.0, max(0.0, share)))


def _keep(kept: dict[Any, Any], key: Any, value: Any, most: int) -> None:
    """Remember one more, and forget the oldest."""
    kept[key] = value
    while len(kept) > most:
        kept.pop(next(iter(kept)), None)
