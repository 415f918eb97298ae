"""Everything that is seen can be taken away: one menu of downloads a page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import streamlit as st


class Download(NamedTuple):
    """One file."""

    label: str
    name: str
    mime: str
    content: Callable[[], str | bytes]
    """Written when it is asked for."""


def menu(files: Sequence[Download], key: str) -> None:
    """A menu of files."""
    with st.popover("Download", icon=":material/download:"):
        for file in files:
            st.download_button(file.label, file.content, file.name, file.mime, key=f"{key}_{file.name}",
                               on_click="ignore", width="stretch")  # fmt: skip
