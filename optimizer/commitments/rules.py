"""What would others commit? Rules of thumb that a recommendation is held against.

- ``lookback_7d``, ``lookback_30d``, ``lookback_60d``: the quantile F^-1(1 - r) of the last days, r the promised price
  over that on demand. It makes the last days cheapest, which is what the clouds' own recommenders compute: they look
  back over 7, 30 or 60 days and know no forecast.
- ``newsvendor``: the same quantile over the last year (over the term, where the history is that long).
- ``none``: everything on demand.

References
----------
K. J. Arrow, T. Harris and J. Marschak, "Optimal inventory policy", Econometrica 19 (1951), for the quantile.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from optimizer.commitments.newsvendor import critical_quantile

Floats = npt.NDArray[np.float64]

LOOKBACK_DAYS: Final = (7, 30, 60)
"""Days over which the clouds' recommenders look back."""

NEWSVENDOR: Final = "newsvendor"
NONE: Final = "none"


def lookback_name(days: int) -> str:
    """Name of a lookback rule.

    >>> lookback_name(60)
    'lookback_60d'
    """
    return f"lookback_{days}d"


def lookback_words(name: str) -> str:
    """A lookback rule as a reader knows it.

    >>> lookback_words("lookback_60d")
    'lookback over 60 days'
    """
    return f"lookback over {name.removeprefix('lookback_').removesuffix('d')} days"


def best_units(demand: Floats, ratio: float) -> float:
    """How many units make these hours cheapest, at this price ratio? F^-1(1 - ratio).

    Parameters
    ----------
    demand : (T,)
        Instances wanted.
    ratio
        Price of a promised instance over that on demand.

    Examples
    --------
    >>> best_units(np.arange(1.0, 11.0), 0.7)
    3.0
    """
    return critical_quantile(demand, np.ones(len(demand)), ratio * len(demand))


def units_by_rule(history: Floats, ratios: Floats, term_h: int) -> dict[str, Floats]:
    """How many units does each rule commit?

    Parameters
    ----------
    history : (T, P)
        What was wanted, up to now.
    ratios : (P,)
        Price ratio of each pool; NaN where nothing can be promised, and nothing is.
    term_h
        Hours of the term, over which the newsvendor looks back.

    Returns
    -------
    dict
        (P,) units by rule, in the order of the table.
    """
    spans = {lookback_name(days): days * 24 for days in LOOKBACK_DAYS} | {NEWSVENDOR: term_h}
    units = {name: _units(history[-span:], ratios) for name, span in spans.items()}
    return units | {NONE: np.zeros(len(ratios))}


def _units(demand: Floats, ratios: Floats) -> Floats:
    return np.array(
        [0.0 if np.isnan(ratio) else best_units(column, ratio) for column, ratio in zip(demand.T, ratios, strict=True)]
    )
