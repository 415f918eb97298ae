"""Colours and manners that all charts share.

The colours are those of Okabe and Ito (Color Universal Design, 2008), which people with any colour vision can tell
apart and which keep a contrast of 3 to 1 on white and on the dark background. Dashes and marks differ, too. The accent
is the theme's, in .streamlit/config.toml.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from calibration.figures import OKABE_ITO

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

ACCENT: Final = OKABE_ITO["blue"]
LIMIT: Final = OKABE_ITO["vermilion"]
GOOD: Final = OKABE_ITO["green"]
QUIET: Final = "#8A8A8A"
"""For what is only there to compare with."""

SERIES: Final = (OKABE_ITO["blue"], "#E69F00", OKABE_ITO["green"], "#CC79A7")
"""Side by side: blue, orange, green, purple."""

DASHES: Final = ("solid", "dash", "dot", "dashdot")

MARKS: Final = ("circle", "square", "diamond", "cross")

HEIGHT_PX: Final = 250


def shade(colour: str, opacity: float) -> str:
    """A colour to see through.

    >>> shade("#0072B2", 0.2)
    'rgba(0,114,178,0.2)'
    """
    red, green, blue = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
    return f"rgba({red},{green},{blue},{opacity:g})"


def laid_out(figure: Figure, title: str, x: str, y: str, *, height: int = HEIGHT_PX) -> Figure:
    """A chart with its title, and units on both axes; legends above the plot, small margins."""
    figure.update_layout(
        title={"text": title, "font": {"size": 15}, "x": 0, "xanchor": "left", "y": 0.98, "yanchor": "top"},
        height=height,
        margin={"l": 8, "r": 12, "t": 58, "b": 8},
        legend={"orientation": "h", "x": 0, "y": 1.0, "yanchor": "bottom", "font": {"size": 11}},
        hovermode="x unified",
        bargap=0.05,
    )
    figure.update_xaxes(title={"text": x, "standoff": 4}, automargin=True)
    figure.update_yaxes(title={"text": y, "standoff": 12}, automargin=True)
    return figure
