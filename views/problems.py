"""Bad input on a page: the messages of the command line, in place, and the page goes on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import streamlit as st

from calibration.problems import InputError


def show(error: InputError, where: str = "") -> None:
    """Show every problem as the command line words it."""
    many = len(error.problems) > 1
    head = f"{where + ': ' if where else ''}{len(error.problems)} problems" if many else where
    lines = "\n".join(str(problem) for problem in error.problems)
    st.error(f"{head}\n\n```text\n{lines}\n```" if head else f"```text\n{lines}\n```", icon=":material/error:")


@contextmanager
def shown(where: str = "") -> Iterator[None]:
    """Show what is wrong with the input of the block, and leave the block."""
    try:
        yield
    except InputError as error:
        show(error, where)
