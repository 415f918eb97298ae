"""Who asks for the instances of a pool? A file of tags: CSV with the column ``pool`` and a column for each tag.

``pool,team,model`` is the usual header. A pool that several teams share has a row for each, with their parts in a
column ``share``, which add up to 1.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from calibration.csv_sheet import Row, Sheet, missing_columns, read_sheet, shown
from calibration.problems import InputError, Problem
from calibration.source import did_you_mean

POOL: Final = "pool"
SHARE: Final = "share"

ROUNDING: Final = 1e-6
"""Parts of a pool may miss 1 by so much."""


@dataclass(frozen=True)
class Part:
    """What one owner has of a pool."""

    tags: Mapping[str, str]
    share: float
    """Of the pool's instances, in every hour."""


@dataclass(frozen=True)
class Tags:
    """Owners of pools."""

    keys: tuple[str, ...]
    """Names of the tags, in the order of the file."""
    parts: Mapping[str, tuple[Part, ...]]
    """By pool; a pool that is not there has no tags."""

    def of(self, pool: str) -> tuple[Part, ...]:
        """Owners of a pool: at least one, without tags where the file is silent."""
        return self.parts.get(pool, (Part({}, 1.0),))


NO_TAGS: Final = Tags((), {})


def load_tags(path: str | Path, pools: Sequence[str] | None = None) -> Tags:
    """Who owns which pool, by this file?

    Parameters
    ----------
    path
        The CSV file.
    pools
        Pools that there are; None where nobody knows.

    Raises
    ------
    InputError
        With everything that is wrong with it: no such file, no column ``pool``, no tag, a pool that is not in the
        demand, shares that are no numbers or do not add up to 1.
    """
    sheet = read_sheet(path)
    problems = missing_columns(sheet, [POOL], "tags")
    keys = tuple(name for name in sheet.columns if name not in {POOL, SHARE} and name.strip())
    if not problems and not keys:
        rule, remedy = "must have a column for a tag", "Write pool,team,model in its first line."
        problems.append(Problem(sheet.file, 1, None, "", rule, ", ".join(sheet.columns), remedy))
    if problems:
        raise InputError(problems)
    parts: dict[str, list[Part]] = {}
    lines: dict[str, Row] = {}
    for row in sheet.rows:
        pool = row.cells[POOL].strip()
        problems += _strange_pool(sheet, row, pool, pools)
        share = _share(sheet, row, problems)
        tags = {key: row.cells[key].strip() for key in keys if row.cells[key].strip()}
        parts.setdefault(pool, []).append(Part(tags, share))
        lines.setdefault(pool, row)
    for pool, owners in parts.items():
        problems += _not_whole(sheet, lines[pool], pool, [owner.share for owner in owners])
    if problems:
        raise InputError(sorted(problems, key=lambda problem: problem.line or 0))
    return Tags(keys, {pool: tuple(owners) for pool, owners in parts.items()})


def _strange_pool(sheet: Sheet, row: Row, pool: str, pools: Sequence[str] | None) -> Iterator[Problem]:
    if pools is not None and pool not in pools:
        remedy = did_you_mean(pool, pools) or f"Pools of the demand: {', '.join(pools[:8])}."
        yield sheet.problem(row, POOL, "must be a pool of the demand", shown(pool) or None, remedy)


def _share(sheet: Sheet, row: Row, problems: list[Problem]) -> float:
    text = row.cells.get(SHARE, "").strip()
    try:
        share = float(text) if text else 1.0
    except ValueError:
        share = math.nan
    if not 0 < share <= 1:
        problems.append(
            sheet.problem(row, SHARE, "must be a number above 0 and at most 1", shown(text), "Write 0.4 for 40%.")
        )
        return math.nan
    return share


def _not_whole(sheet: Sheet, row: Row, pool: str, shares: Sequence[float]) -> Iterator[Problem]:
    total = sum(shares)
    if math.isnan(total) or abs(total - 1) <= ROUNDING:
        return
    rule = f"the shares of {pool} must add up to 1"
    remedy = "Give each owner its part of the pool in the column share, or delete rows that are there twice."
    yield sheet.problem(row, SHARE if SHARE in sheet.columns else POOL, rule, f"{total:g}", remedy)
