"""A figure of a forecast: what was, what will be, and how sure that is, a panel a pool.

matplotlib is imported when a figure is asked for. Colours are those of Okabe and Ito; the past is a line, the future
a dashed line within bands.
"""

from __future__ import annotations

import textwrap
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from calibration.figures import OKABE_ITO
from optimizer.forecast.joint import Forecast
from optimizer.forecast.page import UNITS
from optimizer.forecast.scale import Floats
from optimizer.forecast.season import DAY, WEEK
from optimizer.forecast.series import ENDED
from optimizer.history import History

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Times = NDArray[np.datetime64]

_MOST_PANELS: Final = 8
_HOURLY: Final = 3 * WEEK
"""Horizons up to this are drawn by the hour, longer ones by the day ..."""
_DAILY: Final = 13 * WEEK
"""... and those beyond this by the week."""
_PANEL_HEIGHT: Final = 2.3


def forecast_figure(history: History, forecast: Forecast) -> Figure:
    """How does what is foretold go on from what was? The largest pools, a panel each.

    Parameters
    ----------
    history
        That was forecast.
    forecast
        Of it.
    """
    from matplotlib.figure import Figure

    expected = forecast.mean.mean(axis=0)
    order = np.argsort(-(expected + history.demand[-4 * WEEK :].mean(axis=0)), kind="stable")
    living = [int(place) for place in order if forecast.series[place].model != ENDED]
    shown = (living or [int(place) for place in order])[:_MOST_PANELS]
    figure = Figure(figsize=(7.2, 1.0 + _PANEL_HEIGHT * len(shown)), layout="constrained")
    panels = figure.subplots(len(shown), 1, squeeze=False, sharex=True)[:, 0]
    for axes, place in zip(panels, shown, strict=True):
        axes.grid(visible=True, which="major", color="#dddddd", linewidth=0.7)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
        _draw(axes, history, forecast, place)
        axes.set_ylabel(textwrap.shorten(forecast.pools[place], 24, placeholder="..."))
    panels[0].legend(frameon=False, loc="upper left", fontsize=8, ncols=4)
    panels[-1].tick_params(axis="x", labelrotation=20)
    figure.suptitle(f"Demand ({UNITS.get(history.unit, history.unit)}), past and foretold", fontsize=11)
    left_out = len(forecast.pools) - len(shown)
    words = {1: "hourly", DAY: "means of days; bands hold the hours of a day on average"}.get(
        _each(forecast), "means of weeks; bands hold the hours of a week on average"
    )
    words += f"; {left_out} pools are not drawn" if left_out else ""
    figure.supxlabel(words, fontsize=7.5, color="#555555", x=0.01, ha="left")
    return figure


def _draw(axes: Axes, history: History, forecast: Forecast, place: int) -> None:
    one = forecast.series[place]
    each = _each(forecast)
    past_h = min(history.hours, max(2 * forecast.steps, 2 * WEEK)) // each * each
    past = history.demand[-past_h:, place]
    seen, was = _averaged(forecast.start - timedelta(hours=past_h), past, each)
    axes.plot(seen, was, color=OKABE_ITO["black"], linewidth=0.8, label="past")
    bands = ((0.1, 0.9, 0.2, "P10 to P90"), (0.25, 0.75, 0.35, "P25 to P75"))
    for low, high, alpha, label in bands:
        times, bottom = _averaged(forecast.start, one.quantile(low), each)
        top = _averaged(forecast.start, one.quantile(high), each)[1]
        axes.fill_between(times, bottom, top, color=OKABE_ITO["blue"], alpha=alpha, linewidth=0, label=label)
    times, middle = _averaged(forecast.start, one.p50, each)
    style = "--" if one.forecastable else ":"
    axes.plot(times, middle, style, color=OKABE_ITO["vermilion"], linewidth=1.2, label="P50")
    highest = max(float(was.max()), 1.5 * float(middle.max()))
    axes.set_ylim(0, 1.15 * highest or 1.0)
    axes.yaxis.set_major_formatter("{x:,g}")
    if not one.forecastable:
        axes.set_title("cannot be forecast better than by its past", fontsize=8, loc="right", color="#555555")


def _each(forecast: Forecast) -> int:
    """Hours that are drawn as one."""
    if forecast.steps <= _HOURLY:
        return 1
    return DAY if forecast.steps <= _DAILY else WEEK


def _averaged(start: datetime, values: Floats, each: int) -> tuple[Times, Floats]:
    """Means of so many hours each, and their first hours; a rest shorter than that is left out."""
    count = max(len(values) // each, 1)
    means = np.array([part.mean() for part in np.array_split(values[: count * each], count)])
    first = np.datetime64(start.replace(tzinfo=None), "s")
    return first + np.arange(count) * np.timedelta64(3600 * each, "s"), means
