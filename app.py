"""The web app: ``streamlit run app.py``. Which pages there are; what they show is in :mod:`views`."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import streamlit as st

import views

PAGES: Final = (
    ("what_if.py", "What if", ":material/tune:"),
    ("compare.py", "Compare", ":material/compare_arrows:"),
    ("optimise.py", "Optimise", ":material/savings:"),
    ("budget.py", "Budget", ":material/request_quote:"),
    ("calibration.py", "Calibration", ":material/speed:"),
)
"""File in :mod:`views`, title and icon of each page, in the order of the menu; the first is the one that opens."""


STYLE: Final = """<style>
.stMainBlockContainer {padding: 3.75rem 2rem 1rem}
[data-testid="stMetricValue"] {font-size: clamp(1.2rem, 2vw, 2rem)}
</style>"""
"""Less empty ground around the page, and figures that give way on narrow screens: the answer fits on one."""


def main() -> None:
    """Lay out the menu and run the page that is chosen."""
    folder = Path(views.__file__).parent
    st.set_page_config(page_title="Headroom", page_icon=str(folder / "icon.svg"), layout="wide")
    st.logo(str(folder / "headroom.svg"), size="large")
    st.html(STYLE)
    pages = [
        st.Page(folder / file, title=title, icon=sign, default=index == 0)
        for index, (file, title, sign) in enumerate(PAGES)
    ]
    st.navigation(pages, position="top").run()


if __name__ == "__main__":
    main()
