"""Charts of profiles: points, curve and interval, throughput, and two variants side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from calibration.compare import Comparison
from calibration.points import execution_ms, interval_at, points_of, profile_in
from calibration.profile_file import ProfileFile
from calibration.text_plot import ticks
from presentation.palette import ACCENT, DASHES, LIMIT, QUIET, laid_out, shade

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

HEIGHT_PX: Final = 340

_DRAWN: Final = 160
_NEAREST: Final = 0.05
_WIDE: Final = 8
"""Batch sizes that lie further apart than this factor get a logarithmic axis."""


def curve_chart(*files: ProfileFile) -> Figure:
    """Time of a batch by its size: measured points, fitted curve, 95 % interval; one colour a profile."""
    import plotly.graph_objects as go

    figure = go.Figure()
    for index, file in enumerate(files):
        colour, dash = (ACCENT, DASHES[0]) if index == 0 else (LIMIT, DASHES[1])
        label = "" if len(files) == 1 else f"{'AB'[index]} "
        profile, points = profile_in(file), points_of(file)
        sizes = _sizes(profile.batch)
        _band(figure, file, sizes, colour, label)
        figure.add_scatter(x=sizes, y=execution_ms(file, profile, sizes), mode="lines", name=f"{label}curve",
                           line={"color": colour, "width": 2.5, "dash": dash},
                           hovertemplate="%{y:.4s} ms")  # fmt: skip
        seen = [point for point in points if point.measured_ms is not None]
        figure.add_scatter(x=[point.batch for point in seen], y=[point.measured_ms for point in seen], mode="markers",
                           name=f"{label}measured", hovertemplate="%{y:.4s} ms",
                           marker={"color": colour, "size": 9, "symbol": "circle" if index == 0 else "square",
                                   "line": {"color": "white", "width": 1}})  # fmt: skip
    laid_out(figure, "Time of a batch", "batch (items)", "time (ms)", height=HEIGHT_PX)
    return _by_size(figure, files, y_log=True)


def throughput_chart(*files: ProfileFile) -> Figure:
    """Items a second by batch size, one batch after another."""
    import plotly.graph_objects as go

    figure = go.Figure()
    for index, file in enumerate(files):
        points = points_of(file)
        figure.add_scatter(x=[point.batch for point in points], y=[point.items_per_s for point in points],
                           mode="lines+markers", name=file.name if len(files) > 1 else "items/s",
                           line={"color": ACCENT if index == 0 else LIMIT, "dash": DASHES[index]},
                           hovertemplate="%{y:,.4s} items/s")  # fmt: skip
    laid_out(figure, "Throughput, one batch after another", "batch (items)", "items/s", height=HEIGHT_PX)
    figure.update_yaxes(rangemode="tozero")
    return _by_size(figure, files, y_log=False)


def speed_up_chart(comparison: Comparison) -> Figure:
    """How many times as fast is B as A, with the interval; at 1 they are equal."""
    import plotly.graph_objects as go

    rows = comparison.rows
    figure = go.Figure()
    figure.add_hline(1, line={"color": QUIET, "width": 1.5})
    figure.add_scatter(
        x=[row.batch for row in rows], y=[row.speed_up for row in rows], mode="markers", name="speed-up of B",
        marker={"size": 10, "color": [ACCENT if row.beyond_noise else QUIET for row in rows],
                "symbol": ["diamond" if row.beyond_noise else "x" for row in rows]},
        error_y={"type": "data", "symmetric": False,
                 "array": [row.interval[1] - row.speed_up if row.interval else 0 for row in rows],
                 "arrayminus": [row.speed_up - row.interval[0] if row.interval else 0 for row in rows]},
        hovertemplate="%{y:.3s} times as fast",
    )  # fmt: skip
    laid_out(figure, "Speed-up of B over A (diamond: beyond noise)", "batch (items)", "time of A / time of B",
             height=HEIGHT_PX)  # fmt: skip
    figure.update_yaxes(rangemode="tozero")
    return _by_size(figure, (comparison.a, comparison.b), y_log=False)


def curve_alt(file: ProfileFile) -> str:
    """The curve in words."""
    points = points_of(file)
    ends = (points[0], points[-1])
    times = " to ".join(f"{point.fitted_ms:.3g} ms for {point.batch}" for point in ends)
    return f"Time of a batch of {file.name}: {times} items; {len(points)} batch sizes."


def _sizes(batch: tuple[int, ...]) -> npt.NDArray[np.float64]:
    return np.unique(np.concatenate([np.geomspace(batch[0], batch[-1], _DRAWN), np.array(batch, dtype=np.float64)]))


def _band(figure: Figure, file: ProfileFile, sizes: npt.NDArray[np.float64], colour: str, label: str) -> None:
    profile = profile_in(file)
    inside = [size for size in sizes.tolist() if profile.batch[0] <= size <= profile.batch[-1]]
    ends = [interval_at(file, profile, size) for size in inside]
    if not ends or None in ends:
        return
    low, high = ([side[index] for side in ends if side is not None] for index in (0, 1))
    figure.add_scatter(x=[*inside, *reversed(inside)], y=[*high, *reversed(low)], fill="toself", mode="lines",
                       fillcolor=shade(colour, 0.2), line={"width": 0}, name=f"{label}95% interval",
                       hoverinfo="skip")  # fmt: skip


def _by_size(figure: Figure, files: Sequence[ProfileFile], *, y_log: bool) -> Figure:
    """Batch sizes that were measured as marks of the axis; logarithmic where they lie far apart."""
    sizes = sorted({point.batch for file in files for point in points_of(file)})
    times = [point.fitted_ms for file in files for point in points_of(file)]
    log = sizes[-1] > _WIDE * sizes[0]
    marks: list[int] = []
    for size in sizes:
        # Two labels nearer than this would overlap.
        far = not marks or (size > marks[-1] * (sizes[-1] / sizes[0]) ** _NEAREST if log else True)
        marks += [size] if far else []
    figure.update_xaxes(tickvals=marks, ticktext=[f"{mark:,}" for mark in marks], minor={"ticks": ""})
    if log:
        figure.update_xaxes(type="log")
    if log and y_log:
        marks_ms = ticks(min(times) / 1.2, max(times) * 1.2)
        figure.update_yaxes(type="log", tickvals=marks_ms, ticktext=[f"{mark:,g}" for mark in marks_ms])
    return figure
