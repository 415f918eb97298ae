"""Work beside the page, for the views that take long: begun by a button, watched, stopped, its answer kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import streamlit as st

from calibration.console import Watch
from calibration.problems import InputError
from presentation.budget_work import Work
from views.problems import show

EVERY_S: Final = 0.7

MOST_KEPT: Final = 8
"""Answers that are kept for all visitors; each holds its futures."""


@st.cache_resource(show_spinner=False)
def _kept() -> dict[str, Any]:
    return {}


def known(key: str) -> Any | None:
    """The answer to a question, if anybody has asked it."""
    return _kept().get(key)


def begin(name: str, key: str, task: Callable[[Watch], Any], steps: int) -> None:
    """Begin work under a name; what this visitor had under it is given up."""
    give_up(name)
    st.session_state[name] = (key, Work(task, steps))


def give_up(name: str) -> None:
    """Stop the work under a name."""
    under = st.session_state.pop(name, None)
    if under is not None:
        under[1].stop()


def running(name: str, key: str | None = None) -> bool:
    """Whether there is work under this name, and for this question if one is named."""
    under = st.session_state.get(name)
    return under is not None and under[1].state == "running" and key in (None, under[0])


def collected(name: str, key: str) -> Any | None:
    """The answer to a question, known before or just found; None while there is none."""
    under = st.session_state.get(name)
    if under is not None and under[1].state == "found":
        kept = _kept()
        kept[under[0]] = under[1].value
        while len(kept) > 2 * MOST_KEPT:
            kept.pop(next(iter(kept)), None)
        st.session_state.pop(name)
    return known(key)


def awaited(name: str, key: str, task: Callable[[Watch], Any], steps: int, seconds: float) -> Any | None:
    """Begin work that was not begun for this question, and wait so long for its answer; None if it takes longer."""
    under = st.session_state.get(name)
    if under is None or under[0] != key:
        begin(name, key, task, steps)
        st.session_state[name][1].wait(seconds)
    return collected(name, key)


def watched(name: str, key: str, stopped: str) -> None:
    """How far the work is, with a button that stops it; or why it has no answer.

    Parameters
    ----------
    name, key
        Which work, for which question.
    stopped
        What to say when it was stopped.
    """
    under = st.session_state.get(name)
    if under is None:
        return
    if under[1].state == "running":
        _watch(name)
    elif under[0] != key:
        return
    elif under[1].state == "stopped":
        st.info(stopped, icon=":material/stop:")
    elif under[1].state == "refused":
        show(InputError(under[1].problems))
    elif under[1].state == "failed":
        st.error(under[1].words, icon=":material/error:")


@st.fragment(run_every=EVERY_S)
def _watch(name: str) -> None:
    under = st.session_state.get(name)
    if not running(name):
        st.rerun()
    assert under is not None, "a rerun ends this one"
    work: Work[Any] = under[1]
    words, button = st.columns((5, 1), vertical_alignment="center")
    words.progress(work.share, f"{work.said[:1].upper()}{work.said[1:]}")
    button.button("Stop", key=f"stop_{name}", icon=":material/stop:", on_click=work.stop, width="stretch")
