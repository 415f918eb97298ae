"""A forecast as JSON and CSV, for other programs."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import timedelta
from typing import Any, Final, TextIO

from optimizer.forecast.asked import level_name
from optimizer.forecast.backtest import Scores
from optimizer.forecast.joint import Forecast
from optimizer.forecast.months import Month

LEVELS: Final = (0.1, 0.5, 0.9)
"""Quantiles that every document has."""

_DIGITS: Final = 6


def document(
    forecast: Forecast, months: dict[str, tuple[Month, ...]], *, levels: Sequence[float] = (), unit: str = "instances"
) -> dict[str, Any]:
    """Lay a forecast out as one JSON object (docs/forecast.md)."""
    pools = {
        pool: {
            "model": one.model,
            "forecastable": one.forecastable,
            "reasons": list(one.reasons),
            "notes": list(one.notes),
            "season_h": one.seasons.period_h,
            "backtest": _scores(one.scores),
            "months": [_plain(asdict(month)) for month in months[pool]],
        }
        for pool, one in zip(forecast.pools, forecast.series, strict=True)
    }
    others = {pool: [_plain(asdict(month)) for month in found] for pool, found in months.items() if pool not in pools}
    columns, rows = table(forecast, levels)
    return {
        "schema_version": 1,
        "unit": unit,
        "start": f"{forecast.start:%Y-%m-%dT%H:%M:%SZ}",
        "horizon_h": forecast.steps,
        "backtest": _scores(forecast.scores),
        "forecastable": all(one.forecastable for one in forecast.series),
        "pools": pools,
        "months": {**others, **{pool: found["months"] for pool, found in pools.items()}},
        "notes": list(forecast.notes),
        "forecast": [dict(zip(columns, row, strict=True)) for row in rows],
    }


def json_text(content: dict[str, Any]) -> str:
    """Write the object with one line for each hour: a year of hours stays readable and small."""
    rows = ",\n".join("    " + json.dumps(row, allow_nan=False) for row in content["forecast"])
    head = json.dumps({**content, "forecast": None}, indent=2, allow_nan=False)
    return head.replace('"forecast": null', f'"forecast": [\n{rows}\n  ]') + "\n"


def write_csv(forecast: Forecast, stream: TextIO, levels: Sequence[float] = ()) -> None:
    """Write an hour and pool a row: ``timestamp,pool,mean,p10,p50,p90`` and the levels asked for."""
    columns, rows = table(forecast, levels)
    writer = csv.writer(stream)
    writer.writerow(columns)
    writer.writerows(rows)


def table(forecast: Forecast, levels: Sequence[float]) -> tuple[list[str], Iterator[tuple[object, ...]]]:
    """Name the columns, and give the rows: pool by pool, hour by hour."""
    wanted = (*LEVELS, *(level for level in levels if level not in LEVELS))
    columns = ["timestamp", "pool", "mean", *map(level_name, wanted)]
    stamps = [f"{forecast.start + timedelta(hours=hour):%Y-%m-%dT%H:%M:%SZ}" for hour in range(forecast.steps)]

    def rows() -> Iterator[tuple[object, ...]]:
        for pool, one in zip(forecast.pools, forecast.series, strict=True):
            numbers = [one.mean, *(one.quantile(level) for level in wanted)]
            lists = [[round(value, _DIGITS) for value in column.tolist()] for column in numbers]
            for stamp, *values in zip(stamps, *lists, strict=True):
                yield stamp, pool, *values

    return columns, rows()


def _scores(scores: Scores) -> dict[str, Any]:
    return _plain(asdict(scores))


def _plain(found: dict[str, Any]) -> dict[str, Any]:
    """Numbers rounded, and None for what is not known: JSON has no NaN."""
    return {key: _number(value) if isinstance(value, float) else value for key, value in found.items()}


def _number(value: float) -> float | None:
    return round(value, _DIGITS) if math.isfinite(value) else None
