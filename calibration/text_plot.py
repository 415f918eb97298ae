"""A curve and its points in a few lines of text, both axes logarithmic; of braille where that can be written."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Final

_BRAILLE: Final = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
"""Bits of the dots of a braille cell, by row and column (Unicode Standard, block U+2800)."""

_STEPS: Final = (1, 2, 5)
"""Ticks of a logarithmic axis within a decade."""


def text_plot(
    points: Sequence[tuple[float, float]],
    curve: Callable[[float], float],
    *,
    width: int = 60,
    height: int = 12,
    unicode: bool = True,
) -> list[str]:
    """Draw points over a curve, both axes logarithmic.

    Parameters
    ----------
    points
        x and y of each, above 0.
    curve
        y at any x between the first and the last point.
    width, height
        Columns and lines of the area inside the axes.
    unicode
        Whether braille and a round mark can be written; otherwise ``.`` and ``o``.

    Returns
    -------
    list of str
        Lines from the top, with ticks at the left and below; no line when there are fewer than two points.
    """
    xs = sorted({x for x, _ in points})
    if len(xs) < 2:
        return []
    across, down = (2, 4) if unicode else (1, 1)
    columns = width * across
    left, right = math.log(xs[0]), math.log(xs[-1])
    drawn = [curve(math.exp(left + (right - left) * column / (columns - 1))) for column in range(columns)]
    ys = [*drawn, *(y for _, y in points)]
    bottom, top = math.log(min(ys)), math.log(max(ys))
    top = max(top, bottom + 1e-9)

    def cell(log_value: float, low: float, high: float, count: int) -> int:
        return round((log_value - low) / (high - low) * (count - 1))

    rows = [[0] * width for _ in range(height)]
    line = [height * down - 1 - cell(math.log(y), bottom, top, height * down) for y in drawn]
    for column, here in enumerate(line):
        before = line[max(column - 1, 0)]
        for row in range(min(before + 1, here), here + 1) if before < here else range(here, max(before, here + 1)):
            rows[row // down][column // across] |= _BRAILLE[row % down][column % across] if unicode else 1
    text = [[(chr(0x2800 + dots) if unicode else ".") if dots else " " for dots in row] for row in rows]
    for x, y in points:
        row = height - 1 - cell(math.log(y), bottom, top, height)
        text[row][cell(math.log(x), left, right, width)] = "●" if unicode else "o"
    side = {height - 1 - cell(math.log(y), bottom, top, height): f"{y:g}" for y in ticks(min(ys), max(ys))}
    margin = max(map(len, side.values()), default=1)
    upright, corner, level = ("│", "└", "─") if unicode else ("|", "+", "-")
    lines = [f"{side.get(number, ''):>{margin}} {upright}{''.join(row)}".rstrip() for number, row in enumerate(text)]
    under = _labels([(cell(math.log(x), left, right, width), f"{x:g}") for x in xs], width)
    return [*lines, f"{'':>{margin}} {corner}{level * width}", f"{'':>{margin}}  {under}".rstrip()]


def ticks(low: float, high: float) -> list[float]:
    """Which round numbers lie between two values? Of each decade 1, 2 and 5, or only 1 where that is enough.

    >>> ticks(3, 120), ticks(0.02, 900), ticks(6, 8)
    ([5.0, 10.0, 20.0, 50.0, 100.0], [0.1, 1.0, 10.0, 100.0], [6.0, 8.0])
    """
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    steps = _STEPS if len(decades) < 5 else (1,)
    inside = [float(f"{step}e{decade}") for decade in decades for step in steps]
    inside = [tick for tick in inside if low <= tick <= high]
    return inside if len(inside) > 1 else [float(f"{value:.2g}") for value in (low, high)]


def _labels(placed: Sequence[tuple[int, str]], width: int) -> str:
    """Words centred under their columns; the first and the last always, others where there is room."""
    spans = [(min(max(column - len(word) // 2, 0), width - 1), word) for column, word in placed]
    last = (min(spans[-1][0], width - len(spans[-1][1]) + 2), spans[-1][1])
    chosen = [spans[0]]
    for start, word in spans[1:-1]:
        if start >= _end(chosen[-1]) + 2 and start + len(word) + 2 <= last[0]:
            chosen.append((start, word))
    chosen.append(last)
    text = chosen[0][0] * " " + chosen[0][1]
    for before, (start, word) in pairwise(chosen):
        text += " " * max(start - _end(before), 1) + word
    return text


def _end(span: tuple[int, str]) -> int:
    return span[0] + len(span[1])
