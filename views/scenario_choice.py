"""Choosing a scenario, a plan file or a budget file: one that is shipped, files of one's own, or a text."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

import streamlit as st

from calibration.problems import InputError
from presentation.door import LARGEST_UPLOAD_MIB, Given, given_shipped, given_text, given_upload
from presentation.library import Kind, shipped
from views.problems import show

UPLOAD: Final = "Upload …"
PASTE: Final = "Paste …"

_TYPES: Final = ("yaml", "yml", "json", "csv", "jsonl")


class _Words(NamedTuple):
    """What a kind of file is called, what it names, and how one begins."""

    file: str
    names: str
    begin: str


_WORDS: Final[dict[Kind, _Words]] = {
    "scenario": _Words("scenario", "profiles (JSON) and traces (CSV)", "schema: 1\nname: mine\nhorizon: 60s\n..."),
    "plan": _Words("plan file", "profiles (JSON), series and price lists (CSV)",
                   "schema: 1\nname: mine\nplan:\n  candidates:\n  ..."),
    "budget": _Words("budget file", "histories of demand (CSV), profiles (JSON) and price lists (CSV)",
                     "schema: 1\nname: mine\nbudget:\n  start: 2027-01-01\n  ..."),
}  # fmt: skip


def names(kind: Kind = "scenario") -> list[str]:
    """Shipped files of a kind, and the ways to bring one's own."""
    return [*shipped(kind), UPLOAD, PASTE]


def chosen(
    key: str,
    *,
    label: str = "Scenario",
    bind: bool = False,
    changed: Callable[[], None] | None = None,
    index: int = 0,
    kind: Kind = "scenario",
    question: bool = True,
) -> Given | None:
    """The file that the reader chooses here; None while there is none yet, and the page says what to do.

    Parameters
    ----------
    key
        Names the widgets.
    label
        Over the list.
    bind
        Whether the choice is carried in the URL.
    changed
        Is called when another file was chosen.
    index
        Which name is chosen at first.
    kind
        Of which kind files are offered.
    question
        Whether the question of a shipped one is shown below.
    """
    options = names(kind)
    help = "One that is shipped, or your own: a YAML file with the files it names, or its text."
    name = st.selectbox(label, options, index=min(index, len(options) - 1), key=key, help=help,
                        on_change=changed or "rerun", bind="query-params" if bind else None)  # fmt: skip
    try:
        if name == UPLOAD:
            return _uploaded(key, _WORDS[kind])
        if name == PASTE:
            return _pasted(key, _WORDS[kind])
        if question:
            st.caption(shipped(kind)[name].question)
        return given_shipped(shipped(kind)[name])
    except InputError as error:
        show(error)
        return None


def _uploaded(key: str, words: _Words) -> Given | None:
    files = st.file_uploader(
        f"A {words.file}, with the files it names", type=_TYPES, accept_multiple_files=True, key=f"{key}_files",
        max_upload_size=LARGEST_UPLOAD_MIB,
    )  # fmt: skip
    if not files:
        st.info(f"Drop a {words.file} (YAML) here, together with its {words.names}.")
        return None
    return given_upload({file.name: file.getvalue() for file in files})


def _pasted(key: str, words: _Words) -> Given | None:
    text = st.text_area(f"The {words.file}'s YAML", key=f"{key}_text", height=220, max_chars=200_000,
                        placeholder=words.begin)  # fmt: skip
    if not text.strip():
        st.info(f"Paste the YAML of a {words.file}. It can name shipped profiles; other files come with an upload.")
        return None
    return given_text(text)
