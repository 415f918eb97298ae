"""Profiles on a page: those that are shipped, those that are imported, and their points as rows."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from calibration.catalogue import shipped
from calibration.compare import Comparison
from calibration.imported import profile_of
from calibration.importers import FORMATS, ImportOptions, import_files
from calibration.importers.recognise import recognised
from calibration.listing import Listed, listed
from calibration.observation_table import rows_of
from calibration.points import points_of, profile_in
from calibration.problems import InputError, Problem
from calibration.profile_file import ProfileFile, read_profile_file
from presentation.door import check_uploads, safe_name
from presentation.numbers import count, ms
from simulator.wording import percent

_METHODS: Final = {"points": "measured", "isotonic_pchip": "isotonic", "linear_roofline": "roofline"}
"""How a curve was fitted, in a word."""


@dataclass(frozen=True)
class Imported:
    """What came of an upload."""

    file: ProfileFile
    warnings: tuple[str, ...]
    format: str
    """The tool whose file it was; blank for a profile."""


def catalogue() -> tuple[Listed, ...]:
    """The shipped profiles, by model and device."""
    return listed(shipped())[0]


def imported(files: Mapping[str, bytes], format: str | None = None, options: ImportOptions | None = None) -> Imported:
    """Which profile do these uploaded files give: one of ours, or another tool's measurements, fitted?

    Parameters
    ----------
    files
        Contents by file name.
    format
        Name of the tool; None to tell it from the file.
    options
        What the files do not say.

    Raises
    ------
    InputError
        With everything that is wrong with them; places name the files without a folder.
    """
    check_uploads(files)
    with tempfile.TemporaryDirectory(prefix="headroom-") as folder:
        paths = []
        for name, content in files.items():
            paths.append(Path(folder) / safe_name(name))
            paths[-1].write_bytes(content)
        try:
            return _imported(paths, format, options)
        except InputError as error:
            raise InputError(_told(problem, folder) for problem in error.problems) from None


def _imported(paths: list[Path], format: str | None, options: ImportOptions | None) -> Imported:
    found = format or recognised(paths[0])
    if found is None and _is_profile(paths[0]):
        file = read_profile_file(paths[0])
        return Imported(file, (), "")
    if found is None:
        rule = "is not recognised as a profile or as a file of a tool"
        remedy = f"Name the tool: {', '.join(FORMATS)}."
        raise InputError([Problem(str(paths[0]), None, None, "", rule, None, remedy)])
    read = import_files(found, paths, options or ImportOptions())
    profile, read = profile_of(read, name=paths[0].stem)
    fitted = () if profile.service_model is None else profile.service_model.warnings
    return Imported(profile, tuple(dict.fromkeys((*read.warnings, *fitted))), found)


def _is_profile(path: Path) -> bool:
    """Whether it holds a part of a profile: if so, its own errors are the ones to tell."""
    try:
        content = json.loads(path.read_bytes())
    except ValueError:
        return False
    return isinstance(content, dict) and bool({"measurements", "service_model", "llm"} & content.keys())


def _told(problem: Problem, folder: str) -> Problem:
    """The same problem, without the temporary folder."""
    plain = {key: getattr(problem, key) for key in ("file", "rule", "value", "remedy")}
    return replace(problem, **{key: text and text.replace(f"{folder}/", "") for key, text in plain.items()})


def import_options(*, device: str = "", model: str = "", batches: str = "") -> ImportOptions:
    """What the files do not say, as it was typed; ``batches`` are whole numbers with commas or blanks between them.

    Raises
    ------
    InputError
        A batch is no whole number.

    >>> import_options(device="T4", batches="1, 8").batches
    (1, 8)
    """
    words = batches.replace(",", " ").split()
    wrong = [word for word in words if not (word.isascii() and word.isdigit() and len(word) < 10)]
    if wrong:
        remedy = "Write the items of a request of each file, such as 1, 8, 16."
        raise InputError([Problem("items in a request", None, None, "", "must be whole numbers", wrong[0], remedy)])
    return ImportOptions(
        device=device.strip() or None, model=model.strip() or None, batches=tuple(int(word) for word in words)
    )


def headline(file: ProfileFile) -> list[tuple[str, str, str]]:
    """The figures to see first: label, value, and a word below each; none without a batch curve."""
    if not file.has_curve:
        return []
    points, model = points_of(file), file.service_model
    first, best = points[0], max(points, key=lambda point: point.items_per_s)
    low, high = profile_in(file).range
    residuals = [abs(point.residual) for point in points if point.residual is not None]
    fitted = model is not None and model.batch is not None
    method = (model and model.method) or "points"
    return [
        (f"Batch of {first.batch}", ms(first.fitted_ms), f"{count(first.items_per_s)} items/s"),
        ("Most items a second", count(best.items_per_s), f"at batch {best.batch}, {ms(best.fitted_ms)}"),
        ("Batch sizes", f"{low} to {high}", f"{len(points)} measured"),
        ("Curve", _METHODS.get(method, method),
         f"at most {percent(max(residuals))} off a point" if fitted and residuals else "straight lines between them"),
    ]  # fmt: skip


def point_rows(file: ProfileFile) -> list[dict[str, Any]]:
    """The points of a batch curve as rows; columns that nothing is known of are left out."""
    rows = [
        {
            "batch (items)": point.batch,
            "measured (ms)": point.measured_ms,
            "curve (ms)": point.fitted_ms,
            "95% from (ms)": point.interval_ms and point.interval_ms[0],
            "95% to (ms)": point.interval_ms and point.interval_ms[1],
            "residual (%)": None if point.residual is None else 100 * point.residual,
            "p99 (ms)": point.p99_ms,
            "items/s": point.items_per_s,
            "power (W)": point.power_w,
        }
        for point in points_of(file)
    ]
    told = [key for key in rows[0] if any(row[key] is not None for row in rows)] if rows else []
    return [{key: row[key] for key in told} for row in rows]


def load_rows(file: ProfileFile) -> list[dict[str, Any]]:
    """What clients of a server saw, as rows."""
    rows = [
        {
            "concurrency": row.concurrency,
            "items": row.batch,
            "requests/s": row.throughput_rps,
            "p50 (ms)": row.latency_ms.get("p50"),
            "p99 (ms)": row.latency_ms.get("p99"),
        }
        for row in (rows_of(file.loads) if file.loads else ())
    ]
    told = [key for key in rows[0] if any(row[key] is not None for row in rows)] if rows else []
    return [{key: row[key] for key in told} for row in rows]


def speed_rows(comparison: Comparison) -> list[dict[str, Any]]:
    """Two profiles at each batch size, as rows."""
    words = {True: "yes", False: "no", None: "unknown"}
    return [
        {
            "batch (items)": row.batch,
            "A (ms)": row.a.measured_ms or row.a.fitted_ms,
            "B (ms)": row.b.measured_ms or row.b.fitted_ms,
            "B over A": row.speed_up,
            "95% from": row.interval and row.interval[0],
            "95% to": row.interval and row.interval[1],
            "beyond noise": words[row.beyond_noise],
        }
        for row in comparison.rows
    ]


def profile_json(file: ProfileFile) -> str:
    """The profile as its file holds it, which a scenario can name."""
    content = file.model_dump(mode="json", by_alias=True, exclude_none=True)
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"
