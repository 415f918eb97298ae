"""Figures of profiles as files: the measured points, the fitted curve, its interval, and two profiles side by side.

matplotlib is imported when a figure is asked for, and used without pyplot: no state that outlives a figure. Colours
are those of Okabe and Ito (Color Universal Design, 2008), which people with any colour vision can tell apart; marks
and line styles differ, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from calibration.origin import source, subject
from calibration.points import Point, execution_ms, interval_at, points_of, profile_in
from calibration.problems import InputError, Problem
from calibration.profile_file import ProfileFile
from calibration.text_plot import ticks

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from calibration.compare import Comparison

OKABE_ITO: Final = {
    "blue": "#0072B2",
    "vermilion": "#D55E00",
    "green": "#009E73",
    "grey": "#999999",
    "black": "#000000",
}

FORMATS: Final = (".svg", ".png", ".pdf")

_DOTS_PER_INCH: Final = 150
_MOST_TICKS: Final = 12
_WIDE: Final = 3
"""Speed-ups that lie further apart than this factor are drawn on a logarithmic axis."""
_MARGIN: Final = 1.25
"""Axes reach this factor beyond the first and the last point."""


def check_figure_path(path: Path) -> None:
    """Can a figure be written there?

    Raises
    ------
    InputError
        When the name ends in none of FORMATS, or the folder does not exist: said before anything is measured.
    """
    rule = remedy = ""
    if path.suffix.lower() not in FORMATS:
        rule, remedy = f"must end in {', '.join(FORMATS)}", "SVG and PDF stay sharp at any size; PNG is for slides."
    elif not path.parent.is_dir():
        rule, remedy = "must be in a folder that exists", f"Make {path.parent} first."
    if rule:
        raise InputError([Problem("<command line>", None, None, "--figure", rule, str(path), remedy)])


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure; the same figure gives the same bytes on the same matplotlib.

    Raises
    ------
    InputError
        As :func:`check_figure_path`, or when the file cannot be written.
    """
    check_figure_path(path)
    import matplotlib

    dated = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}
    try:
        with matplotlib.rc_context({"svg.hashsalt": "headroom", "svg.fonttype": "none"}):
            figure.savefig(path, dpi=_DOTS_PER_INCH, metadata=dated.get(path.suffix.lower(), {}))
    except OSError as error:
        rule = f"cannot be written: {(error.strerror or str(error)).lower()}"
        raise InputError([Problem("<command line>", None, None, "--figure", rule, str(path), "")]) from None


def curve_figure(file: ProfileFile) -> Figure:
    """How long does a batch take, how sure are we, and where does the profile end? Below, what that serves.

    Of step times of an LLM, which have no batch curve: what an output token and a prompt take.
    """
    if not file.has_curve and file.llm:
        from calibration.llm_figure import draw_steps

        figure, panels = _two_panels(heights=(1, 1), shared=False)
        draw_steps(panels, file.llm)
        _titled(figure, [file])
        return figure
    _check_curves(file)
    figure, (above, below) = _two_panels(heights=(3, 2))
    drawn = _curve(above, file, "blue", "o", "-")
    profile, points = profile_in(file), points_of(file)
    tails = [(point.batch, point.p99_ms) for point in points if point.p99_ms is not None]
    if tails:
        above.plot(*zip(*tails, strict=True), "_", color=OKABE_ITO["vermilion"], markersize=9, label="p99, measured")
    above.set_ylabel("time of a batch (ms)")
    above.legend(frameon=False, loc="upper left")
    rates = [1000 * batch / ms for batch, ms in zip(drawn, _times(file, drawn), strict=True)]
    below.plot(drawn, rates, color=OKABE_ITO["blue"])
    band = _band(file)
    if band:
        sizes, low, high = band
        fewest, most = ([1000 * b / ms for b, ms in zip(sizes, side, strict=True)] for side in (high, low))
        below.fill_between(sizes, fewest, most, color=OKABE_ITO["blue"], alpha=0.2, linewidth=0)
    below.plot(
        [point.batch for point in points],
        [1000 * point.batch / (point.measured_ms or point.fitted_ms) for point in points],
        "o",
        color=OKABE_ITO["blue"],
        markersize=5,
    )
    below.set_ylabel("items/s, one batch\nafter another")
    below.set_ylim(0, 1.15 * below.dataLim.ymax)
    below.yaxis.set_major_formatter("{x:,g}")
    _batch_axis((above, below), sorted({point.batch for point in points} | {profile.batch[0], profile.batch[-1]}))
    _log_ticks(above)
    for axes in (above, below):
        _shade_beyond(axes, profile.range)
    _titled(figure, [file])
    return figure


def comparison_figure(comparison: Comparison) -> Figure:
    """Two curves with their intervals, and the speed-up below with its own."""
    _check_curves(comparison.a, comparison.b)
    figure, (above, below) = _two_panels(heights=(3, 2))
    _curve(above, comparison.a, "blue", "o", "-", label=f"A: {comparison.a.name}")
    _curve(above, comparison.b, "vermilion", "s", "--", label=f"B: {comparison.b.name}")
    above.set_ylabel("time of a batch (ms)")
    above.legend(frameon=False, loc="upper left")
    rows = comparison.rows
    below.axhline(1, color=OKABE_ITO["grey"], linewidth=1)
    for clear, mark, label in ((True, "D", "beyond noise"), (False, "x", "within noise, or interval unknown")):
        chosen = [row for row in rows if (row.beyond_noise is True) == clear]
        if chosen:
            ratios = [row.speed_up for row in chosen]
            ends = [row.interval or (row.speed_up, row.speed_up) for row in chosen]
            reach = [[max(r - low, 0) for r, (low, _) in zip(ratios, ends, strict=True)],
                     [max(high - r, 0) for r, (_, high) in zip(ratios, ends, strict=True)]]  # fmt: skip
            style: dict[str, Any] = {"capsize": 3, "color": OKABE_ITO["black" if clear else "grey"], "label": label}
            below.errorbar([row.batch for row in chosen], ratios, yerr=reach, fmt=mark, markersize=5, **style)
    below.set_ylabel("speed-up of B over A\n(time of A / time of B)")
    if rows:
        ends = [end for row in rows for end in (*(row.interval or ()), row.speed_up)]
        if max(ends) > _WIDE * min(ends):
            _log_ticks(below)
        below.legend(loc="best", fancybox=False, edgecolor="#cccccc")
    batches = {point.batch for file in (comparison.a, comparison.b) for point in points_of(file)}
    _batch_axis((above, below), sorted(batches))
    _log_ticks(above)
    _titled(figure, [comparison.a, comparison.b])
    return figure


def _check_curves(*files: ProfileFile) -> None:
    """Refuse to draw what is not there."""
    for file in files:
        if not file.has_curve:
            rule, remedy = "needs a batch curve to draw", "Leave it out: this profile has none."
            raise InputError([Problem("<command line>", None, None, "--figure", rule, file.name, remedy)])


def _two_panels(heights: tuple[int, int], *, shared: bool = True) -> tuple[Figure, tuple[Axes, Axes]]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.2, 6.4), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=shared, height_ratios=heights)
    for axes in (above, below):
        axes.grid(visible=True, which="major", color="#dddddd", linewidth=0.7)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
    return figure, (above, below)


def _curve(axes: Axes, file: ProfileFile, colour: str, mark: str, line: str, *, label: str = "") -> list[float]:
    """Draw the curve, its 95 % interval and the measured points; return the batch sizes it was drawn at."""
    profile, points = profile_in(file), points_of(file)
    batches = _dense(profile.batch)
    axes.plot(
        batches,
        _times(file, batches),
        line,
        color=OKABE_ITO[colour],
        linewidth=1.6,
        label=label or "curve of the profile",
    )
    band = _band(file)
    own = not label
    if band:
        shade: dict[str, Any] = {"color": OKABE_ITO[colour], "alpha": 0.2, "linewidth": 0}
        axes.fill_between(*band, label="95% interval" if own else None, **shade)
    seen = [(point.batch, point.measured_ms) for point in points if point.measured_ms is not None]
    if seen:
        style: dict[str, Any] = {"color": OKABE_ITO[colour], "markersize": 5, "zorder": 3}
        axes.plot(*zip(*seen, strict=True), mark, label="mean, measured" if own else None, **style)
        if not band:
            _whiskers(axes, points, OKABE_ITO[colour])
    return batches


def _band(file: ProfileFile) -> tuple[Sequence[float], Sequence[float], Sequence[float]] | None:
    """Batch sizes with the ends of the fit's 95 % interval; None where it has none."""
    profile = profile_in(file)
    sure = [(batch, *ends) for batch in profile.batch if (ends := interval_at(file, profile, batch)) is not None]
    if not sure:
        return None
    sizes, low, high = zip(*sure, strict=True)
    return sizes, low, high


def _whiskers(axes: Axes, points: Sequence[Point], colour: str) -> None:
    """Intervals of the measured means, where the fit gives no band."""
    told = [(p.batch, p.measured_ms, *p.interval_ms) for p in points if p.interval_ms and p.measured_ms is not None]
    if told:
        x, y, low, high = zip(*told, strict=True)
        reach = [[m - lo for m, lo in zip(y, low, strict=True)], [hi - m for m, hi in zip(y, high, strict=True)]]
        axes.errorbar(x, y, yerr=reach, fmt="none", ecolor=colour, capsize=3, linewidth=1)


def _times(file: ProfileFile, batches: Sequence[float]) -> list[float]:
    import numpy as np

    times: list[float] = execution_ms(file, profile_in(file), np.array(batches)).tolist()
    return times


def _dense(batches: Sequence[int]) -> list[float]:
    """Batch sizes to draw at: straight lines are bent on logarithmic axes."""
    import numpy as np

    return sorted({*np.geomspace(batches[0], batches[-1], 200).tolist(), *map(float, batches)})


def _batch_axis(panels: Sequence[Axes], batches: Sequence[int]) -> None:
    """A logarithmic axis with the measured batch sizes as its ticks, as many as there is room for."""
    first, last = batches[0], batches[-1]
    panels[0].set_xscale("log")
    panels[0].set_xlim(first / _MARGIN, last * _MARGIN)
    kept: list[int] = []
    for batch in batches:
        # Two labels nearer than this on the axis would overlap.
        if not kept or batch >= kept[-1] * (last / first) ** (0.6 / _MOST_TICKS):
            kept.append(batch)
    panels[-1].set_xticks(kept, [f"{batch:,}" for batch in kept], minor=False)
    panels[-1].set_xticks([], minor=True)
    panels[-1].set_xlabel("batch (items)")


def _log_ticks(axes: Axes) -> None:
    axes.set_yscale("log")
    low, high = axes.get_ylim()
    marks = ticks(low, high)
    axes.set_yticks(marks, [f"{mark:,g}" for mark in marks], minor=False)
    axes.set_yticks([], minor=True)
    axes.set_ylim(low, high)


def _shade_beyond(axes: Axes, valid: tuple[int, int]) -> None:
    """Grey where a run refuses to use the profile."""
    left, right = axes.get_xlim()
    for begin, end in ((left, valid[0]), (valid[1], right)):
        if begin < end:
            axes.axvspan(begin, end, color="#f0f0f0", linewidth=0, zorder=0)
    axes.set_xlim(left, right)


def _titled(figure: Figure, files: Sequence[ProfileFile]) -> None:
    """What was measured above, where it comes from below."""
    import textwrap

    titles = [textwrap.shorten(f"{file.name}: {subject(file)}", 90, placeholder="...") for file in files]
    if len(files) == 2:
        titles = [f"{letter}: {title}" for letter, title in zip("AB", titles, strict=True)]
    figure.suptitle("\n".join(titles), fontsize=11)
    sources = list(dict.fromkeys(textwrap.shorten(source(file), 120, placeholder="...") for file in files))
    if len(sources) == 2:
        sources = [f"{letter}: {words}" for letter, words in zip("AB", sources, strict=True)]
    limit = ""
    if len(files) == 1 and files[0].has_curve:
        low, high = profile_in(files[0]).range
        limit = f"grey: outside batch {low} to {high}, where the profile is not used"
    figure.supxlabel("\n".join(filter(None, [*sources, limit])), fontsize=7.5, color="#555555", x=0.01, ha="left")
