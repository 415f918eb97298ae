"""Calibration: what was measured, the curve that a run uses, how sure it is; another tool's file; two variants."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import streamlit as st

from calibration.catalogue import shipped
from calibration.compare import Comparison, compare
from calibration.comparison_page import comparison_lines, verdict
from calibration.importers import FORMATS, ImportOptions
from calibration.origin import source, subject
from calibration.problems import InputError
from calibration.profile_file import ProfileFile, read_profile_file
from calibration.show import profile_text, warnings_of
from presentation.door import LARGEST_UPLOAD_MIB
from presentation.downloads import figures_html, rows_csv
from presentation.profile_charts import curve_alt, curve_chart, speed_up_chart, throughput_chart
from presentation.profiles import (
    Imported,
    headline,
    import_options,
    imported,
    load_rows,
    point_rows,
    profile_json,
    speed_rows,
)
from views.problems import show
from views.take_away import Download, menu

OWN: Final = "Import a file …"
NOTHING: Final = "nothing"

_LINK: Final[Any] = "query-params"
_RECOGNISED: Final = "recognise it"


def main() -> None:
    """Lay out the page."""
    with st.sidebar:
        names = [*shipped(), OWN]
        first = st.selectbox("Profile", names, names.index("bert-large-triton-fp16-t4"), key="profile_a", bind=_LINK,
                             help="One that is shipped, or what your own tool measured.")  # fmt: skip
        file = _import() if first == OWN else _read(first)
        second = st.selectbox("Compare with", [NOTHING, *shipped()], key="profile_b", bind=_LINK,
                              help="Two variants side by side: speed-up with its interval.")  # fmt: skip
    if file is None:
        st.markdown("#### Import what another tool measured")
        st.info(
            "Drop its file on the left: its points, the fitted curve and the interval appear here. "
            f"Known: {'; '.join(one.about for one in FORMATS.values())}; and profiles of our own (JSON).",
            icon=":material/arrow_back:",
        )
        return
    if second == NOTHING:
        _profile(file)
    else:
        _pair(file, _read(second))


@st.cache_data(max_entries=64, show_spinner=False)
def _read(name: str) -> ProfileFile:
    return read_profile_file(shipped()[name])


def _import() -> ProfileFile | None:
    """Files of another tool, what they do not say, and the profile that they give."""
    files = st.file_uploader("Its files: one measurement of one model on one device", accept_multiple_files=True,
                             key="measured", max_upload_size=LARGEST_UPLOAD_MIB)  # fmt: skip
    with st.expander("What the files do not say"):
        tool = st.selectbox("Tool", [_RECOGNISED, *FORMATS], key="tool")
        device = st.text_input("Device", key="device", placeholder="A100-80GB", max_chars=100)
        model = st.text_input("Model", key="model", placeholder="bert-large", max_chars=100)
        batches = st.text_input("Items in a request, one number a file", key="batches", placeholder="1, 8, 16",
                                max_chars=200)  # fmt: skip
    if not files:
        return None
    try:
        options = import_options(device=device, model=model, batches=batches)
        found = _fitted({one.name: one.getvalue() for one in files}, None if tool == _RECOGNISED else tool, options)
    except InputError as error:
        show(error)
        return None
    if found.format:
        st.success(f"Read as {found.format} and fitted.", icon=":material/check:")
    _warn(tuple(one for one in found.warnings if one not in warnings_of(found.file)))
    return found.file


@st.cache_data(max_entries=16, show_spinner="reading and fitting …")
def _fitted(files: dict[str, bytes], tool: str | None, options: ImportOptions) -> Imported:
    return imported(files, tool, options)


def _profile(file: ProfileFile) -> None:
    """One profile."""
    st.markdown(f"#### {subject(file)}")
    st.caption(f"Source: {source(file)}")
    figures: dict[str, Any] = {}
    rows = point_rows(file)
    cells = headline(file)
    if cells:
        for column, (label, value, below) in zip(st.columns(len(cells)), cells, strict=True):
            with column.container(border=True, height="stretch"):
                st.metric(label, value)
                st.caption(below)
    if file.has_curve:
        left, right = st.columns((3, 2))
        figures = {"Time of a batch": curve_chart(file), "Throughput": throughput_chart(file)}
        left.plotly_chart(figures["Time of a batch"], key="curve", alt=curve_alt(file))
        right.plotly_chart(figures["Throughput"], key="throughput", alt=curve_alt(file))
    else:
        st.info("This profile has no batch curve: it holds step times of an LLM, or what clients of a server saw.")
    _warn(warnings_of(file))
    points, text = st.tabs(["Points", "As calibrate show prints it"])
    with points:
        shown = rows or load_rows(file)
        st.dataframe(shown, hide_index=True, column_config=_digits(shown), alt="The measured points of the profile")
    with text:
        st.code(profile_text(file), language=None)
    name = file.name or "profile"
    menu(
        [
            Download("Profile (JSON)", f"{name}.json", "application/json", lambda: profile_json(file)),
            Download("Points (CSV)", f"{name}.csv", "text/csv", lambda: rows_csv(rows or load_rows(file))),
            Download("Page (text)", f"{name}.txt", "text/plain", lambda: profile_text(file)),
            *([Download("Charts (HTML)", f"{name}.html", "text/html", lambda: figures_html(name, figures))]
              if figures else []),
        ],
        "profile",
    )  # fmt: skip


def _warn(texts: Sequence[str]) -> None:
    """What the reader should know, in one place."""
    if texts:
        st.warning("\n".join(f"- {text}" for text in texts) if len(texts) > 1 else texts[0], icon=":material/warning:")


def _digits(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Four digits in every column of numbers."""
    names = [name for name in (rows[0] if rows else ()) if any(isinstance(row[name], float) for row in rows)]
    return {name: st.column_config.NumberColumn(format="%.4g") for name in names}


def _pair(a: ProfileFile, b: ProfileFile) -> None:
    """Two profiles side by side."""
    found: Comparison = compare(a, b)
    st.markdown(f"#### {verdict(found) if found.rows else 'There is no speed-up to tell'}")
    st.caption(f"A: {a.name}, {subject(a)} · B: {b.name}, {subject(b)}")
    _warn(found.cautions)
    figures: dict[str, Any] = {}
    if found.rows:
        left, right = st.columns(2)
        figures = {"Time of a batch": curve_chart(a, b), "Speed-up": speed_up_chart(found)}
        left.plotly_chart(figures["Time of a batch"], key="curves", alt=f"{curve_alt(a)} {curve_alt(b)}")
        right.plotly_chart(figures["Speed-up"], key="speed_up", alt=verdict(found))
    rows = speed_rows(found)
    table, text = st.tabs(["By batch size", "As calibrate compare prints it"])
    with table:
        st.dataframe(rows, hide_index=True, column_config=_digits(rows), alt="Both profiles at each batch size")
    with text:
        st.code("\n".join(comparison_lines(found)), language=None)
    menu(
        [
            Download("Table (CSV)", "variants.csv", "text/csv", lambda: rows_csv(rows)),
            Download("Page (text)", "variants.txt", "text/plain", lambda: "\n".join([*comparison_lines(found), ""])),
            *([Download("Charts (HTML)", "variants.html", "text/html", lambda: figures_html("Two variants", figures))]
              if figures else []),
        ],
        "pair",
    )  # fmt: skip


if __name__ == "__main__":
    main()
