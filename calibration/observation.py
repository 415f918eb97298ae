"""What was measured, in one vocabulary, whatever measured it: a row for each setting and what was seen there.

Our own measuring and every importer give :class:`Observations`; the fit reads nothing else. Times are in ms, rates in
requests (not items) per second, memory in bytes, power in watts, utilisation as a share from 0 to 1. What a source
does not tell is None or absent from its mapping, never 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

PARTS: Final = (
    "preprocess",
    "send",
    "network",
    "queue",
    "input",
    "compute",
    "output",
    "receive",
    "postprocess",
)
"""The parts of a request's life, in order.

``preprocess`` and ``postprocess``: on the host, before and after. ``send``, ``network`` (both ways), ``receive``: the
client and the wire. ``queue``: waiting in the server. ``input`` and ``output``: copies to and from the device (Triton's
compute input and output). ``compute``: the execution itself.
"""

STATISTICS: Final = (
    *("mean", "min", "p1", "p5", "p10", "p25", "p50"),
    *("p75", "p90", "p95", "p97", "p99", "p999", "max", "std"),
)
"""Names of statistics in every mapping of this module."""

PROVENANCE: Final = (
    *("source", "citation", "url", "repository", "path", "commit", "licence", "date"),
    *("model", "device", "precision", "runtime", "server", "tool", "method", "changes"),
    *("host", "cpu", "driver", "versions", "seed"),
)
"""Keys of a provenance: where figures come from, of what, on what, with what, when. Others may stand beside them."""

Statistics = Mapping[str, float]
"""Some of STATISTICS to a time in ms, for instance ``{"mean": 5.1, "p50": 5.0, "p99": 5.6}``."""

Scope = Literal["device", "server"]


@dataclass(frozen=True, kw_only=True)
class Observation:
    """One setting, and what was seen there."""

    # The setting.
    batch: float = 1.0
    """Items that travel together: of one execution on a device, of one request to a server. A mean where ``merged``."""
    merged: bool = False
    """Whether ``batch`` is the mean size of the batches that a server formed of separate requests."""
    concurrency: float | None = None
    """Requests outstanding at any time (closed loop); a mean where the source gives one."""
    rate_rps: float | None = None
    """Requests sent per second, whatever the server does (open loop); infinity when all were sent at once."""
    model_instances: int = 1
    """Executions that may run at once on the device."""
    max_batch_size: int | None = None
    """Most items that the server puts in one batch; None when it forms none, or the source does not say."""

    # What was seen.
    requests: int | None = None
    """Requests (or executions) that the figures rest on."""
    failed: int = 0
    """Requests that ended in an error; they are in no other figure."""
    throughput_rps: float | None = None
    """Requests answered per second."""
    latency_ms: Statistics = field(default_factory=dict)
    """Scope ``device``: time of one execution, copies included. Scope ``server``: time from sending to the answer."""
    parts_ms: Mapping[str, float] = field(default_factory=dict)
    """Mean time of some of PARTS."""
    samples_ms: tuple[float, ...] = ()
    """Single latencies, or their raw quantiles at equal steps, ascending."""

    # Requests to an LLM.
    prompt_tokens: float | None = None
    """Tokens of a prompt, on average."""
    output_tokens: float | None = None
    """Tokens of an answer, on average."""
    ttft_ms: Statistics = field(default_factory=dict)
    """Time to the first token."""
    tpot_ms: Statistics = field(default_factory=dict)
    """Time per output token after the first, averaged over each request."""
    itl_ms: Statistics = field(default_factory=dict)
    """Time between two tokens of one request."""

    # Resources.
    memory_bytes: float | None = None
    """Most memory of the device that was in use."""
    utilisation: float | None = None
    """Share of the time in which the device was busy."""
    power_w: float | None = None
    """Mean power drawn by the device."""
    energy_j: float | None = None
    """Energy of the device for one request (scope ``device``: one execution)."""

    notes: Mapping[str, Any] = field(default_factory=dict)
    """What else the source tells, by its own names: kept, not used."""
    place: str = ""
    """Where it stands, as ``file:line``, for messages."""

    @property
    def mean_ms(self) -> float | None:
        """Mean latency; the median where the source gives no mean."""
        return self.latency_ms.get("mean", self.latency_ms.get("p50"))

    @property
    def idle(self) -> bool:
        """Whether at most one request was outstanding, so that nothing waited."""
        return self.rate_rps is None and (self.concurrency is None or self.concurrency <= 1)


@dataclass(frozen=True, kw_only=True)
class Observations:
    """What one tool measured of one model on one device."""

    rows: tuple[Observation, ...]
    """In the order of the source."""
    scope: Scope
    """``device``: executions timed where they ran. ``server``: requests timed by a client."""
    provenance: Mapping[str, Any] = field(default_factory=dict)
    """The keys of PROVENANCE, as far as the source tells them."""
    notes: Mapping[str, Any] = field(default_factory=dict)
    """What the source tells of the run as a whole: kept, not used."""
    warnings: tuple[str, ...] = ()
    """Sentences about what could mislead, for instance a column that was not known."""

    @property
    def of_llm(self) -> bool:
        """Whether these are requests with a first token and tokens after it."""
        return any(row.ttft_ms or row.tpot_ms or row.itl_ms for row in self.rows)
