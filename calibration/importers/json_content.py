"""A tool's JSON file as plain values, whatever its size, with the refusals a person can act on.

Exports with a record for each request are larger than what :func:`calibration.source.read_source` is made for (it
keeps the place of every value), so these are read by the standard library, and problems name paths without lines.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from calibration.problems import InputError, Problem
from calibration.source import printable

LARGEST_BYTES: Final = 2 << 30


def read_json(path: Path) -> Any:
    """Which values does this JSON file hold? NaN and Infinity are values here: tools write them.

    Raises
    ------
    InputError
        It is empty, too large, no text, or no JSON.
    """
    file = printable(path)
    try:
        if path.stat().st_size > LARGEST_BYTES:
            remedy = "Export fewer requests, or the summary alone."
            raise _refusal(file, f"must not be larger than {LARGEST_BYTES >> 30} GiB", remedy)
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _refusal(file, f"must be UTF-8 text, byte {error.start} is not", "Name the JSON file itself.") from None
    except OSError as error:
        raise _refusal(file, f"cannot be read: {(error.strerror or str(error)).lower()}", "Check it.") from None
    if not text.strip():
        raise _refusal(file, "is empty", "The tool may have stopped before it wrote: run it again.")
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        rule = f"is not valid JSON: {error.msg[0].lower()}{error.msg[1:]}"
        remedy = "A file cut short must be written again."
        raise InputError([Problem(file, error.lineno, error.colno, "", rule, None, remedy)]) from None
    except RecursionError:
        raise _refusal(file, "is nested too deeply", "Name the tool's own file.") from None


def _refusal(file: str, rule: str, remedy: str) -> InputError:
    return InputError([Problem(file, None, None, "", rule, None, remedy)])
