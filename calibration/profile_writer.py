"""A profile file is written whole or not at all, readable by people: a column of numbers stands on one line."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

from calibration.observation import Observations, Scope
from calibration.observation_table import rows_of
from calibration.profile_file import ProfileFile

WIDTH = 118
"""Values that fit into this many characters stay on one line."""


def write_profile(file: ProfileFile, path: str | Path) -> None:
    """Write the file; a file of that name is replaced at once, or kept when the writing fails.

    Raises
    ------
    OSError
        When the folder cannot be written to.
    """
    target = Path(path)
    descriptor, unfinished = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=".unfinished")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(profile_text(file))
        os.chmod(unfinished, 0o666 & ~_umask())
        os.replace(unfinished, target)
    except BaseException:
        os.unlink(unfinished)
        raise


def profile_text(file: ProfileFile) -> str:
    """How does the file read? JSON, with empty parts left out."""
    content = file.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_defaults=True)
    return _block({"schema": 1, **content}, 0) + "\n"


def observations_in(file: ProfileFile) -> list[Observations]:
    """What was measured, as it was before it was written: the executions on the device, and what clients saw.

    A curve that was found inside requests is no measurement of its own: the requests are, and a fit finds it again.
    """
    found = []
    tables: tuple[tuple[Scope, Any], ...] = (
        ("device", None if file.follows_from_loads else file.measurements),
        ("device", file.steps),
        ("server", file.loads),
    )
    for scope, table in tables:
        if table is not None:
            columns = table if isinstance(table, dict) else table.model_dump(exclude_none=True)
            found.append(Observations(rows=rows_of(columns), scope=scope, provenance=file.provenance, notes=file.notes))
    return found


def _block(value: Any, depth: int) -> str:
    """JSON in which what fits on a line is on one, and lists of lists have a line each."""
    line = json.dumps(value, ensure_ascii=False, allow_nan=False)
    indent = "  " * depth
    flat = not isinstance(value, dict | list) or not value
    if flat or (depth > 0 and len(line) + len(indent) <= WIDTH and not _holds_mappings(value)):
        return line
    if isinstance(value, dict):
        entries = [
            f"{indent}  {json.dumps(str(key), ensure_ascii=False)}: {_block(one, depth + 1)}"
            for key, one in value.items()
        ]
        return "{\n" + ",\n".join(entries) + f"\n{indent}}}"
    if not any(isinstance(one, dict | list) for one in value):
        return line
    return "[\n" + ",\n".join(f"{indent}  {_block(one, depth + 1)}" for one in value) + f"\n{indent}]"


def _holds_mappings(value: Any) -> bool:
    entries = value.values() if isinstance(value, dict) else value
    return any(isinstance(one, dict) for one in entries)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
