"""Every request of a measurement in a CSV file of its own: when it was due, how long it took, how it ended.

``simulate validate`` replays the times and compares request by request; a profile keeps only what a fit needs.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from calibration.endpoint_settings import option_problem
from calibration.problems import InputError
from calibration.source import printable

if TYPE_CHECKING:
    from calibration.endpoint_settings import Load
    from calibration.load_generator import Exchange

COLUMNS: Final = ("rate_rps", "concurrency", "items", "scheduled_s", "latency_ms", "status")
"""Of the load the first three, one of them blank; then of the request: when it was due, in seconds from the start of
its load, the time from then until its last byte, and the HTTP status, 0 where there was no whole answer."""


def add_requests(path: Path, load: Load, start_ns: int, exchanges: Iterable[Exchange]) -> None:
    """Add the requests of one load to the file; begin it where there is none.

    Raises
    ------
    InputError
        When it cannot be written, or begins otherwise.
    """
    fixed = ("" if load.rate_rps is None else repr(load.rate_rps), "" if load.concurrency is None else load.concurrency)
    try:
        with open(path, "a+", encoding="utf-8", newline="") as stream:
            stream.seek(0)
            head = stream.readline()
            if head and head.strip() != ",".join(COLUMNS):
                remedy = "Name a new file."
                raise InputError([option_problem("--keep-requests", "holds something else", printable(path), remedy)])
            stream.seek(0, os.SEEK_END)
            writer = csv.writer(stream, lineterminator="\n")
            if not head:
                writer.writerow(COLUMNS)
            writer.writerows(
                (
                    *fixed,
                    load.batch,
                    f"{(each.due_ns - start_ns) / 1e9:.6f}",
                    f"{each.latency_ms:.4f}",
                    each.answer.status,
                )
                for each in exchanges
            )
    except OSError as error:
        rule = f"cannot be written: {(error.strerror or str(error)).lower()}"
        raise InputError([option_problem("--keep-requests", rule, printable(path), "Name another file.")]) from None
