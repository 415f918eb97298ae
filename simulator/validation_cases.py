"""Loads at which a server was measured, as cases that can be simulated: what was asked of it, and what was seen.

A case is an open loop at a rate, a closed loop of so many clients, or a list of arrivals to replay. Where the rows
come from is :mod:`simulator.validation_files`; how a case becomes a scenario, :mod:`simulator.validation_scenario`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, Final, Literal

from calibration.observation import Observation, Observations

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]

RULES: Final = ("triton", "torchserve", "mosec", "litserve", "ray_serve", "textbook")
"""Batching rules of servers."""

JUDGED: Final = ("throughput", "mean", "p50", "p90", "p95", "p99", "batch")
"""Names of what can be compared, as ``--within`` knows them."""

KEYS: Final[Mapping[str, str]] = {
    "throughput": "throughput_rps",
    "batch": "batch_mean",
    **{name: f"{name}_ms" for name in ("mean", "p50", "p90", "p95", "p99")},
}
"""Key of each of JUDGED in what was measured and simulated."""

Process = Literal["poisson", "deterministic"]


@dataclass(frozen=True, kw_only=True)
class Server:
    """How the server that was measured forms batches; None where nobody says."""

    rule: str | None = None
    """One of RULES."""
    max_batch_size: int | None = None
    """Most items in a batch."""
    max_queue_delay_ms: float | None = None
    """How long it waits for more requests."""
    preferred_batch_sizes: tuple[int, ...] | None = None
    """Sizes at which Triton forms a batch at once."""
    model_instances: int | None = None
    """Executions at once on one accelerator."""

    def over(self, other: Server) -> Server:
        """What it says itself, and the other where it says nothing.

        >>> both = Server(rule="mosec").over(Server(rule="triton", max_batch_size=8))
        >>> both.rule, both.max_batch_size
        ('mosec', 8)
        """
        own = {each.name: getattr(self, each.name) for each in fields(self)}
        return replace(other, **{name: value for name, value in own.items() if value is not None})


@dataclass(frozen=True, kw_only=True)
class Case:
    """One load, and what was measured there."""

    load: str
    """The load in words, for instance ``8 clients``."""
    place: str = ""
    """Where it stands, as ``file:line``."""
    items: int = 1
    """Items that a request carries."""
    concurrency: int | None = None
    """Clients with one request each (closed loop)."""
    rate_rps: float | None = None
    """Requests sent per second (open loop)."""
    process: Process | None = None
    """How these arrive; None where nobody says."""
    sent_s: Floats | None = None
    """When requests were due, ascending, in seconds from the first: they are replayed."""
    measured: Mapping[str, float] = field(default_factory=dict)
    """By the keys that KEYS names; only what was measured."""
    server: Server = field(default_factory=Server)

    @property
    def littles_law(self) -> float | None:
        """Throughput x mean latency / clients of a closed loop: 1, unless the tool did not count every request."""
        throughput, mean_ms = self.measured.get("throughput_rps"), self.measured.get("mean_ms")
        if self.concurrency is None or throughput is None or mean_ms is None:
            return None
        return throughput * mean_ms / 1000.0 / self.concurrency


@dataclass(frozen=True)
class LeftOut:
    """A row that cannot be simulated, and why."""

    load: str
    place: str
    reason: str


def cases_of(observations: Observations) -> tuple[list[Case], list[LeftOut]]:
    """Which of these rows are loads that can be simulated, and which are not?

    >>> rows = (Observation(concurrency=4, latency_ms={"p50": 9.0}), Observation(latency_ms={"mean": 5.0}))
    >>> cases, left_out = cases_of(Observations(rows=rows, scope="server"))
    >>> cases[0].load, left_out[0].reason
    ('4 clients', 'no concurrency and no rate is told')
    """
    cases: list[Case] = []
    left_out: list[LeftOut] = []
    told = _server_of(observations)
    for row in observations.rows:
        reason = _unfit(row, observations)
        if reason is not None:
            left_out.append(LeftOut(_load(row), row.place, reason))
            continue
        clients = row.concurrency
        cases.append(
            Case(
                load=_load(row),
                place=row.place,
                items=_items(row),
                concurrency=round(clients) if clients is not None and row.rate_rps is None else None,
                rate_rps=row.rate_rps,
                process=_process(row, observations),
                measured=_measured(row),
                server=_server_of_row(row).over(told),
            )
        )
    return cases, left_out


def _unfit(row: Observation, observations: Observations) -> str | None:
    """Why the row cannot be simulated; None when it can."""
    items = row.notes.get("items_per_request", 1.0 if row.merged else row.batch)
    if row.ttft_ms or row.tpot_ms or row.itl_ms or row.prompt_tokens is not None:
        return "requests to an LLM, which this version does not simulate"
    if observations.scope == "device":
        return "executions timed on the device, not requests to a server"
    if row.rate_rps is None and row.concurrency is None:
        return "no concurrency and no rate is told"
    if row.rate_rps is not None and math.isinf(row.rate_rps):
        return "all requests were sent at once"
    if row.rate_rps is None and row.concurrency is not None and abs(row.concurrency - round(row.concurrency)) > 1e-6:
        return f"{row.concurrency:g} requests outstanding on average are no closed loop of so many clients"
    if not float(items).is_integer():
        return f"{items:g} items a request on average: only a whole number can be simulated"
    if not _measured(row):
        return "no latency and no throughput was measured"
    return None


def _items(row: Observation) -> int:
    return int(row.notes.get("items_per_request", 1 if row.merged else row.batch))


def _load(row: Observation) -> str:
    if row.rate_rps is not None:
        load = f"{row.rate_rps:g}/s"
    elif row.concurrency is not None:
        load = "1 client" if row.concurrency == 1 else f"{row.concurrency:g} clients"
    else:
        load = "?"
    items = row.notes.get("items_per_request", 1 if row.merged else row.batch)
    return load if items == 1 else f"{load} x {items:g}"


def _measured(row: Observation) -> dict[str, float]:
    """What can be compared."""
    found: dict[str, float | None] = {
        "throughput_rps": row.throughput_rps,
        **{f"{name}_ms": row.latency_ms.get(name) for name in ("mean", "p50", "p90", "p95", "p99")},
        "batch_mean": row.batch if row.merged else row.notes.get("batch_mean"),
    }
    return {name: float(value) for name, value in found.items() if value}


def _process(row: Observation, observations: Observations) -> Process | None:
    told = str(row.notes.get("arrivals") or observations.provenance.get("arrivals") or "").casefold()
    if told in ("constant", "deterministic", "uniform"):
        return "deterministic"
    return "poisson" if told in ("poisson", "exponential") else None


def _server_of_row(row: Observation) -> Server:
    return replace(_server_in(row.notes), max_batch_size=row.max_batch_size, model_instances=row.model_instances)


def _server_of(observations: Observations) -> Server:
    """What the notes and the provenance say of the server."""
    named = str(observations.provenance.get("server") or "").casefold().replace(" ", "_")
    rule = next((rule for rule in RULES if rule in named), None)
    return _server_in(observations.notes).over(_server_in(observations.provenance)).over(Server(rule=rule))


def _server_in(notes: Mapping[str, Any]) -> Server:
    delay, preferred, rule = (notes.get(key) for key in ("max_queue_delay_ms", "preferred_batch_sizes", "rule"))
    return Server(
        rule=rule if rule in RULES else None,
        max_queue_delay_ms=float(delay) if isinstance(delay, int | float) else None,
        preferred_batch_sizes=sizes_in(preferred),
    )


def sizes_in(written: Any) -> tuple[int, ...] | None:
    """Batch sizes in a list, or in a text such as ``4;8``; None where it holds none.

    >>> sizes_in("8; 4"), sizes_in([16]), sizes_in(""), sizes_in(None)
    ((4, 8), (16,), None, None)
    """
    if isinstance(written, str):
        written = written.replace(";", " ").replace(",", " ").split()
    if isinstance(written, int | float):
        written = [written]
    if not isinstance(written, Sequence) or not written:
        return None
    if not all(str(size).strip().isdigit() and int(size) > 0 for size in written):
        return None
    return tuple(sorted({int(size) for size in written}))
