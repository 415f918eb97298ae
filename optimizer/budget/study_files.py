"""The files of a recommendation: purchases.csv, budget.csv (FOCUS), commitments.json, report.md and its figures."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Final

from calibration.figures import save_figure
from optimizer.budget.of_study import Year, year_json, year_of
from optimizer.budget.study_figures import commitment_figure, months_figure
from optimizer.budget.study_report import FIGURES, study_report
from optimizer.budget.tags_file import Tags
from optimizer.commitments.study import Study, study_json, term_text
from simulator.focus_rows import write_focus_csv

PURCHASE_COLUMNS: Final = (
    "name", "pool", "plan", "unit", "units", "start", "end", "term", "usd_per_unit_hour", "on_demand_usd_per_hour",
    "upfront_usd", "term_usd", "break_even_utilisation", "last_unit_utilisation", "expected_utilisation",
    "expected_savings_usd_first_year", "source",
)  # fmt: skip
"""Columns of purchases.csv. Amounts of money are of all units, but for the two prices of an hour; they are blank where
only price ratios are known."""


def write_study(study: Study, folder: Path, tags: Tags | None = None) -> Year:
    """Write every file into a folder that exists; the budget that was settled for them.

    Raises
    ------
    InputError
        A figure cannot be written.
    """
    year = year_of(study, tags)
    document = study_json(study) | {"budget": year_json(year)}
    text = json.dumps(document, indent=2, allow_nan=False) + "\n"
    (folder / "commitments.json").write_text(text, encoding="utf-8")
    write_focus_csv(folder / "budget.csv", year.focus)
    _write_purchases(study, year, folder / "purchases.csv")
    figures = dict(zip(FIGURES, (commitment_figure(study), months_figure(year)), strict=True))
    for name, figure in figures.items():
        for ending in (".svg", ".png"):
            save_figure(figure, folder / f"{name}{ending}")
    (folder / "report.md").write_text(study_report(study, year), encoding="utf-8")
    return year


def _write_purchases(study: Study, year: Year, path: Path) -> None:
    def usd(amount: float, form: str = ".2f") -> str:
        return f"{amount:{form}}" if year.in_dollars else ""

    with path.open("w", newline="", encoding="utf-8") as stream:
        rows = csv.writer(stream, lineterminator="\n")
        rows.writerow(PURCHASE_COLUMNS)
        for line, bought in zip(year.purchases, study.recommendation.bought, strict=True):
            rows.writerow(
                (
                    line.name, line.pool, line.plan, line.unit, f"{line.units:.10g}", line.start, line.end,
                    term_text(bought.offer.term_h), usd(line.usd_per_hour, ".6g"),
                    usd(line.on_demand_usd_per_hour, ".6g"), usd(line.upfront_usd), usd(line.term_usd),
                    f"{bought.margin.break_even_share:.4f}", f"{bought.margin.last_used_share:.4f}",
                    f"{line.utilisation:.4f}", usd(line.saved_usd), line.source,
                )
            )  # fmt: skip
