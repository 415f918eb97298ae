"""A forecast for people: what each month asks for, how good the model was on the past, and what was found."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from calibration.page import paragraph
from optimizer.forecast.backtest import Scores
from optimizer.forecast.joint import Forecast, PoolForecast
from optimizer.forecast.models import REFERENCE
from optimizer.forecast.months import ALL_POOLS, Month
from optimizer.forecast.season import DAY, WEEK

UNITS: Final = {"instances": "instances", "requests_per_s": "requests/s"}
HEADINGS: Final = ("month", "mean", "P10", "P50", "P90", "peak", "peak P90")
_MOST_ROWS: Final = 36
_BULLET: Final = "- "


def page(
    forecast: Forecast, months: dict[str, tuple[Month, ...]], *, unit: str, figure: str = "", width: int | None = None
) -> str:
    """Lay the forecast out as Markdown, for a report and for the terminal.

    Parameters
    ----------
    forecast
        Of all pools.
    months
        :func:`optimizer.forecast.months.monthly` of it.
    unit
        What demand counts.
    figure
        File name of a figure to show; empty for none.
    width
        Columns within which prose is broken, for the terminal; None leaves a paragraph in one line. Tables keep theirs.
    """
    lines = [
        f"# Demand, {forecast.steps:,} hour{'s' * (forecast.steps > 1)} from {forecast.start:%Y-%m-%d %H:%M} UTC",
        "",
        f"Mean demand of each month ({UNITS.get(unit, unit)}): nine in ten futures stay below P90, one "
        "in ten below P10. Peak is the month's highest hour: half of the futures stay within it, and nine in ten "
        "within peak P90.",
        "",
    ]
    lines += [f"![Demand, past and foretold]({figure})", ""] if figure else []
    if ALL_POOLS in months:
        lines += ["## All pools", "", *_table(months[ALL_POOLS]), ""]
    for pool, one in zip(forecast.pools, forecast.series, strict=True):
        lines += [f"## {pool}", "", *_pool(one), "", *_table(months[pool]), ""]
    own = {f"{pool}: {note}" for pool, one in _each(forecast) for note in (*one.reasons, *one.notes)}
    own |= {note for _, one in _each(forecast) for note in (*one.reasons, *one.notes)}
    general = [note for note in forecast.notes if note not in own]
    if general:
        lines += ["## The history", "", *(f"{_BULLET}{_sentence(note)}" for note in general), ""]
    return "\n".join(lines if width is None else [piece for line in lines for piece in _broken(line, width)])


def _broken(line: str, width: int) -> list[str]:
    """Break a line of prose; a table's, a heading's and an empty one stay as they are."""
    if not line or line[0] in "|#!":
        return [line]
    mark = _BULLET if line.startswith(_BULLET) else ""
    return paragraph(line.removeprefix(mark), mark=mark, width=width)


def scores_in_words(model: str, scores: Scores) -> str:
    """How good was it on the past, beside seasonal naive?

    >>> scores_in_words("MSTL + ETS", Scores(12, 168, 0.8, 1.0, 0.3, 0.79, 0.1))
    'MSTL + ETS: error 20 % less than that of seasonal naive (MASE 0.80 beside 1.00), and P10 to P90 held 79 % of the \
hours, at 12 past origins up to 1 week ahead; on average 10 % off.'
    """
    if not scores.origins:
        return f"{model}: not tested on the past."
    better = 1 - scores.mase / scores.mase_naive if scores.mase_naive > 0 else 0.0
    if abs(better) < 0.005:
        beside = "error as that of seasonal naive"
    else:
        beside = f"error {abs(better):.0%} {'less' if better > 0 else 'more'} than that of seasonal naive"
    text = (
        f"{model}: {beside} (MASE {scores.mase:.2f} beside {scores.mase_naive:.2f}), and P10 to P90 held "
        f"{scores.coverage_80:.0%} of the hours, at {scores.origins} past origins up to {_ahead(scores.steps)} ahead; "
        f"on average {scores.relative_error:.0%} off."
    )
    return text.replace("%", " %")


def _ahead(hours: int) -> str:
    for size, name in ((WEEK, "week"), (DAY, "day")):
        if hours >= size:
            count = round(hours / size)
            return f"{count} {name}{'s' * (count != 1)}"
    return f"{hours} h"


def _pool(one: PoolForecast) -> Iterator[str]:
    yield scores_in_words(one.model, one.scores)
    if one.reasons:
        yield ""
        yield "**Cannot be forecast better than by its past:**"
        yield from (f"{_BULLET}{_sentence(reason)}" for reason in one.reasons)
    notes = [note for note in one.notes if REFERENCE.capitalize() not in note or not one.reasons]
    if notes:
        yield ""
        yield from (f"{_BULLET}{_sentence(note)}" for note in notes)


def _table(months: Sequence[Month]) -> Iterator[str]:
    """Rows of a Markdown table, its columns aligned so that a terminal shows them well, too."""
    cells: list[tuple[str, ...]] = [HEADINGS]
    for month in months[:_MOST_ROWS]:
        numbers = (month.mean, month.p10, month.p50, month.p90, month.peak, month.peak_p90)
        cells.append((month.month, *map(_number, numbers)))
    widths = [max(len(row[column]) for row in cells) for column in range(len(HEADINGS))]
    for place, row in enumerate(cells):
        texts = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        yield f"| {' | '.join(texts)} |"
        if place == 0:
            rules = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
            yield f"| {' | '.join(rules)} |"


def _number(value: float) -> str:
    """Three figures, or all before the point.

    >>> _number(12345.6), _number(12.345), _number(0.0)
    ('12,346', '12.3', '0')
    """
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def _sentence(note: str) -> str:
    return f"{note[0].upper()}{note[1:].removesuffix('.')}."


def _each(forecast: Forecast) -> Iterator[tuple[str, PoolForecast]]:
    yield from zip(forecast.pools, forecast.series, strict=True)
