"""How long does a server really wait for a fuller batch? Not always as long as it is told to.

Servers count their delay in ticks, and begin to count late: mosec waits up to 1 ms longer than configured. A lone
request holds the whole delay, so that what is taken off it decides how much of its latency counts as overhead.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from calibration.idle import DELAY
from calibration.observation import Observations

NOTICED: Final = 0.05
"""Share of the configured delay by which the measured one must differ to be told apart from noise."""


def measured_delay_ms(null_model: Observations, max_batch_size: int) -> float | None:
    """How long does a lone request wait for others, in ms? None where the rows do not tell.

    Parameters
    ----------
    null_model
        Rows of a model that takes no time, one request at a time, and ``max_batch_size`` at a time.
    max_batch_size
        Requests with which a batch is full and goes at once.

    Notes
    -----
    A lone request waits the whole delay, a full batch none: delay = L(1) - (L(n) - (n - 1) f / 2), where the last term
    is what the first requests of a batch wait for the others of it to come through the serial front end, with f =
    1 / (the highest rate measured).

    Examples
    --------
    >>> from calibration.observation import Observation
    >>> alone = Observation(concurrency=1, latency_ms={"p50": 6.8}, throughput_rps=147.0)
    >>> full = Observation(concurrency=8, latency_ms={"p50": 1.3}, throughput_rps=10000.0)
    >>> round(measured_delay_ms(Observations(rows=(alone, full), scope="server"), 8), 2)
    5.85
    """
    alone = _median_ms(null_model, 1)
    full = _median_ms(null_model, max_batch_size)
    rate = max((row.throughput_rps or 0.0 for row in null_model.rows), default=0.0)
    if alone is None or full is None or rate <= 0 or max_batch_size < 2:
        return None
    gathering = (max_batch_size - 1) * 1000.0 / rate / 2
    return max(alone - max(full - gathering, 0.0), 0.0)


def with_measured_delay(served: Observations, null_model: Observations) -> Observations:
    """The rows of clients with the delay that the server was measured to wait, and a word about it where it differs.

    The configured delay is kept as the note ``configured_delay_ms``.
    """
    size = max((row.max_batch_size or 0 for row in served.rows), default=0)
    delay = measured_delay_ms(null_model, size)
    configured = next((row.notes[DELAY] for row in served.rows if row.notes.get(DELAY)), None)
    if delay is None or not configured or abs(delay - configured) < NOTICED * configured:
        return served
    delay = round(delay, 3)
    rows = tuple(
        replace(row, notes={**row.notes, DELAY: delay, "configured_delay_ms": row.notes[DELAY]})
        if DELAY in row.notes
        else row
        for row in served.rows
    )
    words = (
        f"the server waits {delay:.3g} ms for a fuller batch, not the {configured:g} ms it is told to:"
        f" a scenario matches it with max_queue_delay: {delay:.3g}ms"
    )
    return replace(served, rows=rows, warnings=(*served.warnings, words))


def _median_ms(measured: Observations, concurrency: int) -> float | None:
    return next((row.latency_ms.get("p50") for row in measured.rows if row.concurrency == concurrency), None)
