"""Files of demand for tests of the command: a level with a daily swing, Poisson around it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from pathlib import Path

import numpy as np

START = dt.datetime(2026, 1, 5, tzinfo=dt.UTC)
WEEKS = 10
LEVELS = {"g2-standard-4": 20.0, "a2-highgpu-1g": 8.0}

Row = tuple[str, str, str]


def demand_rows(
    hours: int = WEEKS * 168, levels: Mapping[str, float] = LEVELS, form: str = "%Y-%m-%dT%H:%M:%SZ"
) -> list[Row]:
    """timestamp, pool, demand: hour by hour."""
    rng = np.random.default_rng(5)
    found = []
    for hour in range(hours):
        at = (START + dt.timedelta(hours=hour)).strftime(form)
        for pool, level in levels.items():
            mean = level * (1 + 0.3 * np.sin(2 * np.pi * hour / 24))
            found.append((at, pool, str(rng.poisson(mean))))
    return found


def demand_file(folder: Path, rows: list[Row] | None = None, name: str = "demand.csv") -> Path:
    """Write rows under the contract's header."""
    path = folder / name
    lines = ["timestamp,pool,demand", *(",".join(row) for row in (demand_rows() if rows is None else rows))]
    path.write_text("\n".join(lines) + "\n")
    return path


PRICE_HEADER = (
    "provider,region,instance_type,accelerator,accelerator_count,price_type,usd_per_hour,upfront_usd,as_of,source"
)


def price_file(folder: Path, *rows: str) -> Path:
    """A price list: ``instance_type,price_type,usd_per_hour,upfront_usd`` of a provider of its own."""
    path = folder / "prices.csv"
    lines = [PRICE_HEADER]
    for row in rows:
        kind, plan, usd, upfront = row.split(",")
        lines.append(f"own,here,{kind},GPU,1,{plan},{usd},{upfront},2026-01-05,agreement")
    path.write_text("\n".join(lines) + "\n")
    return path
