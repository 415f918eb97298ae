"""What a run amounts to: the values that the command line prints, the JSON object and the web app read.

A :class:`Report` is computed once, by :func:`simulator.metrics.summarise`, and is never changed afterwards.
Nothing here computes; :func:`report_to_json` only gives the values the names that other programs rely on.

With R replications counts (outcomes, batch sizes, ``measured``) are sums over all of them, percentiles are those
of all their requests pooled, and rates, utilisation and money are averages, so that they mean the same for any R.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from numbers import Integral
from typing import Any, Final

from simulator.purchase_report import PurchaseReport

SCHEMA_VERSION: Final = 1
"""Version of the JSON object; it changes when a key changes its meaning."""

PERCENTILES: Final[Mapping[str, float]] = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99, "p999": 0.999}
"""The percentiles of every report, by the name they have in it."""


@dataclass(frozen=True)
class Latencies:
    """How long something took for the requests that count: mean, percentiles and the worst, in ms."""

    mean: float
    p50: float
    p90: float
    p95: float
    p99: float
    p999: float
    max: float


@dataclass(frozen=True)
class SloReport:
    """Whether a workload's objectives are met, and by how much. Keys are ``p99_ms``, ``mean_ms`` and so on."""

    targets: Mapping[str, float]
    """Objectives in ms."""
    values: Mapping[str, float | None]
    """The value each target is compared with, in ms: over every request that arrived in the window, with those
    rejected, timed out or still in flight counted as infinitely late. None stands for infinity; so it does when the
    queue grows for as long as the run lasts, where a measured value would say only how long that was."""
    met: bool | None
    """Whether every target is met; None when no request arrived in the window."""
    attainment: float | None
    """Share of the requests that were answered within the largest target; None when none arrived."""
    margin_ms: Mapping[str, float | None]
    """Target minus value: negative when missed, None when the value is infinite."""


@dataclass(frozen=True)
class WorkloadReport:
    """What the clients of one workload saw."""

    name: str
    fleet: str
    """Name of the fleet that serves it."""
    offered_rps: float
    """Requests that arrived in the window, per second."""
    throughput_rps: float
    """Requests answered in the window, per second."""
    goodput_rps: float | None
    """Requests that arrived in the window and were answered within the largest target, per second; None without SLO."""
    items_per_s: float
    """Items answered in the window, per second."""
    latency_ms: Latencies | None
    """From sending to reply; None when nothing completed."""
    queue_ms: Latencies | None
    """From sending to the start of its execution."""
    service_ms: Latencies | None
    """Execution of its batch."""
    ci95: Mapping[str, tuple[float, float]] | None
    """95 % intervals of the latency, by ``mean_ms``, ``p99_ms`` ...; None with a single replication, empty when one of
    them completed nothing."""
    slo: SloReport | None
    """None when the workload states no objective."""
    outcomes: Mapping[str, int]
    """``arrived`` = ``completed`` + ``rejected`` + ``timed_out`` + ``in_flight``, over the whole run
    (the warm-up included)."""
    measured: int
    """Number of requests behind the percentiles: completed, and arrived after the warm-up."""


@dataclass(frozen=True)
class FleetReport:
    """What one fleet did, and what it cost."""

    name: str
    instance_type: str | None
    instances_mean: float
    utilisation: float
    """Work done in the window over the work the accelerators could have done: at 1 they can do no more."""
    offered_load: float
    """Items offered a second over the fleet's capacity with its best batch; at 1 or above the queue grows for ever."""
    batch_size_mean: float | None
    """Items per execution; None when nothing was executed after the warm-up."""
    batch_size_histogram: Mapping[int, int]
    """Executions by their number of items, in ascending order."""
    cost_usd: float | None
    """Bill for one run; None when the fleet has no price (never 0 for an unknown price)."""
    cost_usd_per_hour: float | None
    price_note: str
    """Where the price comes from, and of which date."""
    unstable: bool = False
    """Whether its queue grows for as long as the run lasts, so that latencies only say how long that was."""


@dataclass(frozen=True)
class CostReport:
    """What all fleets together cost; None where a fleet has no price or nothing was answered."""

    usd_per_hour: float | None
    usd_per_month: float | None
    """730 hours."""
    usd_per_1k_requests: float | None
    """Per thousand requests answered, of all workloads."""
    purchases: PurchaseReport | None = None
    """What commitments, discounts and guaranteed capacity come to; the rates above are then effective ones, with
    commitments that go unused. None where everything is bought on demand."""


@dataclass(frozen=True)
class Caution:
    """Something the reader should know before trusting a number of the report."""

    code: str
    """Short name for programs, for instance ``unstable`` or ``too_few_requests``."""
    text: str
    """The same for people: whole sentences."""


@dataclass(frozen=True)
class Report:
    """Everything a run of a scenario says."""

    scenario: str
    seed: int
    engine: str
    replications: int
    horizon_s: float
    warmup_s: float
    workloads: tuple[WorkloadReport, ...]
    fleets: tuple[FleetReport, ...]
    cost: CostReport
    timing_s: Mapping[str, float]
    """Wall time of the stages ``compile``, ``draw``, ``run`` and ``measure``, in seconds."""
    cautions: tuple[Caution, ...] = ()
    bottleneck: str = ""
    """One sentence: what sets the latency, and how busy the fleet is."""
    assumptions: Mapping[str, str] = field(default_factory=dict)
    """What the numbers rest on (profile and its source, seed, horizon, warm-up, prices), in the order to show it."""

    @property
    def slo_met(self) -> bool | None:
        """Whether every objective of every workload is met; None when there is none, or one cannot be judged."""
        verdicts = [workload.slo.met for workload in self.workloads if workload.slo is not None]
        if any(verdict is False for verdict in verdicts):
            return False
        return None if not verdicts or None in verdicts else True


def report_to_json(report: Report) -> dict[str, Any]:
    """Give the report as the object that ``simulate --json`` prints: plain dicts, lists, strings and finite numbers.

    An unknown or infinite value is null (None), never NaN or Infinity, which JSON does not have. ``ci95`` is there
    only with two replications or more.

    >>> cost = CostReport(usd_per_hour=3.2, usd_per_month=2336.0, usd_per_1k_requests=None)
    >>> report = Report("hello", 7, "compiled", 1, 60.0, 10.0, (), (), cost, {"run": 0.01})
    >>> report_to_json(report)["cost"]
    {'usd_per_hour': 3.2, 'usd_per_month': 2336.0, 'usd_per_1k_requests': None}
    """
    document = {
        "schema_version": SCHEMA_VERSION,
        "scenario": report.scenario,
        "seed": report.seed,
        "engine": report.engine,
        "replications": report.replications,
        "horizon_s": report.horizon_s,
        "warmup_s": report.warmup_s,
        "workloads": {workload.name: _workload_to_json(workload) for workload in report.workloads},
        "fleets": {fleet.name: _columns(fleet, leave_out=("name",)) for fleet in report.fleets},
        "cost": _cost_to_json(report.cost),
        "slo_met": report.slo_met,
        "bottleneck": report.bottleneck,
        "cautions": [_columns(caution) for caution in report.cautions],
        "assumptions": report.assumptions,
        "timing_s": report.timing_s,
    }
    plain: dict[str, Any] = _plain(document)
    return plain


def _workload_to_json(workload: WorkloadReport) -> dict[str, Any]:
    """Give one workload's object; a distribution of nothing keeps its keys, with null values."""
    nothing = {column.name: None for column in fields(Latencies)}
    document = _columns(workload, leave_out=("name", "ci95") if workload.ci95 is None else ("name",))
    for name in ("latency_ms", "queue_ms", "service_ms"):
        latencies: Latencies | None = getattr(workload, name)
        document[name] = nothing if latencies is None else _columns(latencies)
    document["slo"] = None if workload.slo is None else _columns(workload.slo)
    return document


def _cost_to_json(cost: CostReport) -> dict[str, Any]:
    """Give the money's object; what purchases come to stands beside the three rates, if there is any."""
    document = _columns(cost, leave_out=("purchases",))
    if cost.purchases is None:
        return document
    document |= _columns(cost.purchases, leave_out=("commitments", "capacity", "cautions"))
    document["commitments"] = {
        name: {**_columns(line), "saved_usd_per_hour": line.saved_usd_per_hour}
        for name, line in cost.purchases.commitments.items()
    }
    document["capacity"] = {name: _columns(line) for name, line in cost.purchases.capacity.items()}
    return document


def _columns(value: Any, leave_out: tuple[str, ...] = ()) -> dict[str, Any]:
    """Fields of a dataclass by name, not descending into them."""
    return {column.name: getattr(value, column.name) for column in fields(value) if column.name not in leave_out}


def _plain(value: Any) -> Any:
    """Only what JSON can say: dicts with string keys, lists, and None for a number that is not finite."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, (str, bool)) or value is None:
        return value
    if isinstance(value, Integral):
        return int(value)
    number = float(value)
    return number if math.isfinite(number) else None
