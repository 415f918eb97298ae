"""Which profiles are there? One line each: what was measured on what, for which batch sizes, by whom and when."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from calibration.catalogue import shipped
from calibration.origin import said
from calibration.page import paragraph, table
from calibration.points import profile_in
from calibration.problems import InputError, Problem
from calibration.profile_file import ProfileFile, read_profile_file
from calibration.source import printable, read_source

WIDTH: Final = 120
"""Columns of a line."""

_UNKNOWN: Final = "-"

_SOURCES: Final = ("repository", "source", "citation", "url", "tool")
"""Where a source is looked for: the shortest that leads there first; the whole provenance is for ``calibrate show``."""


@dataclass(frozen=True, kw_only=True)
class Listed:
    """One profile, in words."""

    name: str
    """As a scenario names it."""
    model: str
    device: str
    precision: str
    runtime: str
    """What runs the model: a framework, a server, or both."""
    batches: str
    """Range of batch sizes that it may be used for, as ``1-64``."""
    date: str
    """When it was measured, or published."""
    source: str
    path: str


def listed(files: Mapping[str, Path]) -> tuple[tuple[Listed, ...], tuple[str, ...]]:
    """What is in these profile files, by model, device, precision and runtime? And what is wrong with the others?

    Parameters
    ----------
    files
        Profile files by name.

    Returns
    -------
    tuple
        The profiles that can be read, sorted; and a message for each file that cannot.
    """
    found, broken = [], []
    for name, path in files.items():
        try:
            found.append(_entry(name, path))
        except InputError as error:
            more = f" ({len(error.problems) - 1} more)" if len(error.problems) > 1 else ""
            broken.append(f"{error.problems[0]}{more}")
    return tuple(sorted(found, key=_order)), tuple(broken)


def _order(entry: Listed) -> tuple[object, ...]:
    return tuple(_natural(getattr(entry, key)) for key in ("model", "device", "precision", "runtime", "name"))


def _natural(text: str) -> list[tuple[bool, int, str]]:
    """Numbers inside a name in their own order: A10 before A100."""
    parts = re.findall(r"\d+|\D+", text.lower())
    return [(part.isdecimal(), int(part) if part.isdecimal() else 0, part) for part in parts]


def _entry(name: str, path: Path) -> Listed:
    file = read_profile_file(path)
    told = file.provenance
    runtimes = dict.fromkeys(said(told[key]) for key in ("runtime", "server") if told.get(key))
    return Listed(
        name=name,
        model=said(told.get("model") or _UNKNOWN),
        device=said(told.get("device") or _UNKNOWN),
        precision=said(told.get("precision") or _UNKNOWN),
        runtime=", ".join(runtimes) or _UNKNOWN,
        batches=_range(file),
        date=_date(said(told.get("date") or _UNKNOWN)),
        source=next((said(told[key]) for key in _SOURCES if told.get(key)), _UNKNOWN),
        path=str(path),
    )


def _date(text: str) -> str:
    """The date in it, as exactly as it is told.

    >>> _date("published 2022-02"), _date("2026-11-22"), _date("last spring")
    ('2022-02', '2026-11-22', 'last spring')
    """
    found = re.search(r"\b(?:19|20)\d\d(?:-\d\d){0,2}\b", text)
    return found.group() if found else text


def _range(file: ProfileFile) -> str:
    """Batch sizes that it may be used for; of step times of an LLM the most sequences that run at once."""
    if file.has_curve:
        low, high = profile_in(file).range
        return f"{low}" if low == high else f"{low}-{high}"
    if file.llm is None:
        return "loads only"
    ranges = file.llm.get("valid_range")
    running = ranges.get("running") if isinstance(ranges, Mapping) else None
    return f"{running[-1]:g} seqs" if running else "LLM"


def chosen(entries: Iterable[Listed], *, model: str | None, device: str | None) -> tuple[Listed, ...]:
    """Which of them have these words in their model and device, whatever the case?"""
    wanted = {"model": model, "device": device}
    return tuple(
        entry
        for entry in entries
        if all(words is None or words.lower() in getattr(entry, key).lower() for key, words in wanted.items())
    )


_COLUMNS: Final = {
    "name": "profile",
    "model": "model",
    "device": "device",
    "precision": "precision",
    "runtime": "runtime",
    "batches": "batch",
    "date": "date",
}
"""What is told of a profile on its line, and the heading over it."""

_GIVE_WAY: Final = (("runtime", 16), ("model", 18), ("device", 18), ("runtime", 10), ("model", 10), ("device", 10))
"""Columns that are cut where a line would be too long, in this order, and what they keep. Names are never cut."""

_VENDOR: Final = re.compile(r"\b(?:NVIDIA|Intel\(R\)|AMD) ")


def listing_lines(entries: Sequence[Listed]) -> list[str]:
    """One line a profile, within WIDTH columns as far as names allow; sources by number, below."""
    sources = list(dict.fromkeys(entry.source for entry in entries))
    columns = {key: [head, *(getattr(entry, key) for entry in entries)] for key, head in _COLUMNS.items()}
    columns["device"] = [_VENDOR.sub("", cell) for cell in columns["device"]]
    columns["source"] = ["source", *(f"[{1 + sources.index(entry.source)}]" for entry in entries)]
    for key, fewest in _GIVE_WAY:
        widths = {one: max(map(len, cells)) for one, cells in columns.items()}
        too_long = sum(widths.values()) + 2 * (len(widths) - 1) - WIDTH
        if too_long > 0:
            columns[key] = [_cut(cell, max(widths[key] - too_long, fewest)) for cell in columns[key]]
    lines = table([*zip(*columns.values(), strict=True)], "l" * len(columns))
    lines.append("")
    for number, words in enumerate(sources, start=1):
        lines += paragraph(words, mark=f"[{number}] ", width=WIDTH)
    return lines


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 2].rstrip() + ".."


def listing_object(entries: Sequence[Listed], broken: Sequence[str]) -> dict[str, Any]:
    """The profiles as one JSON-able object, nothing cut; files that cannot be read with the reason."""
    return {"schema_version": 1, "profiles": [asdict(entry) for entry in entries], "broken": list(broken)}


def folder_profiles(folder: Path | None) -> tuple[dict[str, Path], str]:
    """Which files are to be listed, by name; and where that is, for a sentence. Without a folder: those shipped.

    In a folder a file is taken for a profile when it holds one or names a part of one: other JSON is passed over.

    Raises
    ------
    InputError
        When it is no folder, or cannot be read.
    """
    if folder is None:
        return shipped(), "in the package"
    try:
        paths = sorted(folder.glob("*.json")) if folder.is_dir() else None
    except OSError as error:
        raise InputError(
            [_folder_problem(folder, f"cannot be read: {(error.strerror or str(error)).lower()}")]
        ) from None
    if paths is None:
        rule = "is not a folder" if folder.exists() else "does not exist"
        raise InputError([_folder_problem(folder, rule)])
    return {path.stem: path for path in paths if _is_meant(path)}, f"in {folder}"


def _is_meant(path: Path) -> bool:
    """Whether a JSON file is a profile, or was meant to be one: reports and traces lie beside them."""
    try:
        content = read_source(path).content
    except InputError:
        return True
    return bool({"measurements", "service_model", "llm", "provenance"} & content.keys())


def _folder_problem(folder: Path, rule: str) -> Problem:
    remedy = "Name a folder with profiles; calibrate show looks at a single file."
    return Problem(printable(folder), None, None, "", rule, None, remedy)
