"""One column of arrival times as it is read, block by block: every cell readable, the rows in order.

What the layouts of :mod:`simulator.traces` and :mod:`simulator.mooncake` share.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np

from simulator.clock import NS_PER_S, s_from_ns
from simulator.text_rows import FileProblems
from simulator.time_text import READ, Cells, Int64s, ns_from_decimals, ns_from_timestamps

UNIT_NAMES: Final = {"s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}
DATES: Final = "dates"
"""The unit of a column of timestamps, which are not times from the start of the run."""

LATEST_FIRST_NS: Final = 1_000_000_000 * NS_PER_S
"""No run starts 31 years before its first request: later first arrivals are dates, counted from 1970."""


@dataclass(frozen=True)
class Trace:
    """The arrivals of a recorded trace, in order. Arrays are read-only."""

    arrival_ns: Int64s
    """Arrival times from the start of the run, never falling; shape (n,)."""
    format: str
    """The layout that was read: ``azure_llm``, ``mooncake`` or ``column``."""
    notes: tuple[str, ...]
    """What was found and what was assumed, one sentence each."""
    prompt_tokens: Int64s | None = None
    """Tokens of each request's prompt where the trace has them; shape (n,)."""
    output_tokens: Int64s | None = None
    """Tokens of each answer where the trace has them; shape (n,)."""

    def __len__(self) -> int:
        """Number of requests."""
        return len(self.arrival_ns)


@dataclass
class ArrivalColumn:
    """Collects the blocks of one column of times."""

    key: str
    """Column or JSON key that they are read from; empty where it has no name."""
    unit: str
    """``s``, ``ms``, ``us``, ``ns`` or DATES."""
    problems: FileProblems
    """Receives what is wrong."""
    blocks: list[Int64s] = field(default_factory=list)
    """Times so far, in ns."""
    last: tuple[int, str] | None = None
    """The latest readable time so far, in ns, and its text."""

    def add(self, lines: Int64s, cells: Cells) -> None:
        """Read one block of cells; ``lines`` are their line numbers."""
        if self.unit == DATES:
            ns, verdicts = ns_from_timestamps(cells)
            remedy = "Correct or delete the row."
        else:
            ns, verdicts = ns_from_decimals(cells, self.unit)
            remedy = f"Times are {UNIT_NAMES[self.unit]} from the start of the run."
        self.problems.add_cells(self.key, lines, cells, verdicts, remedy)
        read = verdicts == READ
        if not read.all():
            lines, cells, ns = lines[read], cells[read], ns[read]
        if not len(ns):
            return
        before, before_text = self.last or (int(ns[0]), "")
        for row in np.flatnonzero(np.diff(ns, prepend=before) < 0):
            previous = cells[row - 1].decode("ascii") if row else before_text
            rule = f"must not be earlier than the row before ({previous})"
            sort = f"Sort the file by {self.key}, earliest first" if self.key else "Sort the file, earliest first"
            self.problems.add(int(lines[row]), self.key, rule, cells[row].decode("ascii"), f"{sort}, or correct it.")
        self.blocks.append(ns)
        self.last = (int(ns[-1]), cells[-1].decode("ascii"))

    def whole(self) -> Int64s:
        """All times together, in ns.

        Raises
        ------
        InputError
            Something was wrong with the file, or it held no request.
        """
        self.problems.raise_if_any()
        if not self.blocks:
            raise self.problems.failure(None, "must hold at least one request", None, "It has a header and no rows.")
        ns = np.concatenate(self.blocks)
        if self.unit != DATES and ns[0] > LATEST_FIRST_NS:
            first = f"{s_from_ns(int(ns[0])):.0f} s for the first"
            remedy = "Subtract the first time from all of them, or give the right time_unit."
            raise self.problems.failure(None, "must count times from the start of the run", first, remedy)
        return ns


def extent(ns: Int64s) -> str:
    """How much traffic is this, in words?

    >>> extent(np.array([0, 2_500_000_000]))
    '2 requests over 2.5 s'
    """
    requests = "request" if len(ns) == 1 else "requests"
    return f"{len(ns)} {requests} over {s_from_ns(int(ns[-1] - ns[0])):.1f} s"
