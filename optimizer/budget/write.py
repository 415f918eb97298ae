"""The files of a budget: purchases.csv, budget.csv (FOCUS), forecast.csv, budget.json, report.md and its figures."""

from __future__ import annotations

import csv
import datetime as dt
import json
from pathlib import Path
from typing import Final

import numpy as np

from calibration.figures import save_figure
from optimizer.budget.budget import Budget, budget_json
from optimizer.budget.figures import coverage_figure, demand_figure, fan_figure
from optimizer.budget.report import report
from simulator.focus_rows import write_focus_csv

PURCHASE_COLUMNS: Final = (
    "name", "provider", "region", "pool", "plan", "unit", "units", "start", "end", "usd_per_unit_hour",
    "on_demand_usd_per_hour", "upfront_usd", "term_usd", "break_even_utilisation", "expected_utilisation",
    "expected_savings_usd", "source",
)  # fmt: skip
"""Columns of purchases.csv. Amounts of money are of all units, but for ``usd_per_unit_hour``."""

LEVELS: Final = (0.1, 0.5, 0.9)


def write_budget(budget: Budget, folder: Path) -> None:
    """Write every file into a folder that exists.

    Raises
    ------
    InputError
        A file cannot be written.
    """
    text = json.dumps(budget_json(budget), indent=2, allow_nan=False) + "\n"
    (folder / "budget.json").write_text(text, encoding="utf-8")
    (folder / "report.md").write_text(report(budget), encoding="utf-8")
    write_focus_csv(folder / "budget.csv", budget.focus)
    _write_purchases(budget, folder / "purchases.csv")
    _write_forecast(budget, folder / "forecast.csv")
    figures = {"budget_fan": fan_figure(budget), "demand_forecast": demand_figure(budget)}
    if budget.purchases:
        figures["coverage"] = coverage_figure(budget)
    for name, figure in figures.items():
        for ending in (".svg", ".png"):
            save_figure(figure, folder / f"{name}{ending}")


def _write_purchases(budget: Budget, path: Path) -> None:
    with path.open("w", newline="", encoding="utf-8") as stream:
        rows = csv.writer(stream, lineterminator="\n")
        rows.writerow(PURCHASE_COLUMNS)
        for line in budget.purchases:
            rows.writerow(
                (
                    line.name, line.provider, line.region, line.pool, line.plan, line.unit, f"{line.units:g}",
                    line.start.isoformat(), line.end.isoformat(), f"{line.usd_per_hour:g}",
                    f"{line.on_demand_usd_per_hour:g}", f"{line.upfront_usd:.2f}", f"{line.term_usd:.2f}",
                    f"{line.break_even:.4f}", f"{line.utilisation:.4f}", f"{line.saved_usd:.2f}", line.source,
                )
            )  # fmt: skip


def _write_forecast(budget: Budget, path: Path) -> None:
    """Demand by workload and hour of the budget: mean and deciles of the futures, in requests per second."""
    assert budget.demand is not None, "made with the budget"
    demand = budget.demand
    with path.open("w", newline="", encoding="utf-8") as stream:
        rows = csv.writer(stream, lineterminator="\n")
        rows.writerow(("timestamp", "pool", "mean", "p10", "p50", "p90"))
        for name, paths in demand.rps.items():
            columns = np.vstack([paths.mean(axis=0), np.quantile(paths, LEVELS, axis=0)]).T
            for hour, values in enumerate(columns.tolist()):
                at = demand.start + dt.timedelta(hours=hour)
                rows.writerow((f"{at:%Y-%m-%dT%H:%M:%SZ}", name, *(f"{value:.6g}" for value in values)))
