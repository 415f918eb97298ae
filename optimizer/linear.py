"""Sums of columns, in words that PuLP 3.3 and 4 both know."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pulp

Terms = list[tuple[Any, float]]
"""Columns, each with its factor."""


def total(*parts: Iterable[tuple[Any, float]]) -> Any:
    """The sum of all terms; a column that is among them several times gets the sum of its factors.

    PuLP 3.3 makes an expression of a list of terms, keeping the last of a column's factors; PuLP 4 makes none.
    """
    expression = pulp.lpSum([])
    for part in parts:
        for column, factor in part:
            if factor:
                expression.addterm(column, float(factor))
    return expression


def times(terms: Terms, by: float) -> Terms:
    """The terms with every factor multiplied."""
    return [(column, factor * by) for column, factor in terms]
