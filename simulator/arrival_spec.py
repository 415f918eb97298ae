"""When do requests come? The arrival processes a scenario may name, and what each must say.

One entry a process, told apart by ``process``. Drawing the times is :mod:`simulator.arrivals`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import BeforeValidator, Field, ValidationInfo

from calibration.schema import Entry, Flag, Flaw, NotNegative, Positive, Whole
from calibration.units import DurationNs, PositiveDurationNs, refusal

MOST_CLIENTS: Final = 10_000_000
"""Clients of one closed loop."""

HIGHEST_RATE_RPS: Final = 1e9
"""One request a nanosecond, the clock's step."""


def _beside_the_scenario(value: object, info: ValidationInfo) -> object:
    """A relative path starts at the scenario's folder."""
    if not isinstance(value, str | Path):
        raise refusal("must be the path of a file", "Write the path as text.")
    if not str(value).strip():
        raise refusal("must not be empty", "Name a file.")
    folder = (info.context or {}).get("folder")
    return Path(value) if folder is None else Path(folder) / value


BesidePath = Annotated[Path, BeforeValidator(_beside_the_scenario, json_schema_input_type=str)]
"""Path of a file, relative to the scenario's folder."""

Rate = Annotated[float, Field(strict=True, allow_inf_nan=False, gt=0, le=HIGHEST_RATE_RPS)]
"""Requests per second."""


class PoissonArrivals(Entry):
    """Requests come independently of one another at a constant rate: many users who know nothing of each other."""

    process: Literal["poisson"]
    """``poisson``: exponential inter-arrival times."""
    rate: Rate
    """Requests per second, on average."""


class DeterministicArrivals(Entry):
    """Requests come at equal distances."""

    process: Literal["deterministic"]
    """``deterministic``: constant inter-arrival times."""
    rate: Rate
    """Requests per second."""


class GammaArrivals(Entry):
    """Requests come at gamma-distributed distances: burstier (cv > 1) or steadier (cv < 1) than Poisson."""

    process: Literal["gamma"]
    """``gamma``: gamma-distributed inter-arrival times."""
    rate: Rate
    """Requests per second, on average."""
    cv: Annotated[Positive, Field(ge=0.001, le=100)]
    """Coefficient of variation of the inter-arrival time; 1 is Poisson, 3 comes in bursts."""


class MmppArrivals(Entry):
    """A Markov-modulated Poisson process: Poisson at a rate that changes with a state, for instance calm and burst."""

    process: Literal["mmpp"]
    """``mmpp``: the states are visited in turn, each for an exponential time."""
    rates: tuple[Annotated[NotNegative, Field(le=HIGHEST_RATE_RPS)], ...]
    """Requests per second in each state; two states or more."""
    mean_durations_ns: tuple[PositiveDurationNs, ...] = Field(alias="mean_durations")
    """Mean time spent in each state, as in ``[30s, 2s]``."""

    def flaws(self) -> Iterator[Flaw]:
        """Lists that do not belong together, and traffic that never comes."""
        n = len(self.rates)
        if n < 2:
            remedy = "Give a rate for each state, or use process: poisson."
            yield Flaw(("rates",), "must have at least two entries", remedy=remedy)
        if len(self.mean_durations_ns) != n:
            yield Flaw(("mean_durations",), f"must be as long as rates ({n})", remedy="Give a duration for each state.")
        if n and max(self.rates) == 0:
            yield Flaw(("rates",), "must have an entry greater than 0", remedy="Some state must send requests.")


class ClosedLoopArrivals(Entry):
    """A fixed number of clients, each with one request at a time: perf_analyzer's concurrency."""

    process: Literal["closed_loop"]
    """``closed_loop``: a client sends again after its reply."""
    concurrency: Annotated[Whole, Field(ge=1, le=MOST_CLIENTS)]
    """Clients."""
    think_time_ns: DurationNs = Field(default=0, alias="think_time")
    """Time between a reply and the client's next request."""
    think_time_distribution: Literal["constant", "exponential"] = "constant"
    """``constant``: always exactly ``think_time``; ``exponential``: that on average."""


class TraceArrivals(Entry):
    """Requests come when they came: a recorded trace is replayed."""

    process: Literal["trace"]
    """``trace``: arrival times are read from a file."""
    file: BesidePath
    """CSV or JSONL, plain or gzipped, relative to the scenario's folder."""
    format: Literal["auto", "azure_llm", "mooncake", "column"] = "auto"
    """Layout: Azure's LLM trace (CSV), Mooncake's (JSONL), or a CSV with a column of times."""
    column: Annotated[str, Field(min_length=1)] | None = None
    """Name of the column of times, for ``format: column``; ``arrival_s`` where left out."""
    time_unit: Literal["s", "ms", "us", "ns"] | None = None
    """Unit of the times, where the column's name does not say it."""
    speed: Annotated[Positive, Field(ge=1e-6, le=1e6)] = 1.0
    """Replays that many times faster."""

    def flaws(self) -> Iterator[Flaw]:
        """Keys that the layout has no use for."""
        if self.format in ("azure_llm", "mooncake") and self.column is not None:
            yield Flaw(
                ("column",), f"has no effect with format {self.format}", remedy="Remove it, or use format: column."
            )
        if self.format == "azure_llm" and self.time_unit is not None:
            yield Flaw(
                ("time_unit",), "has no effect with format azure_llm, whose times are dates", remedy="Remove it."
            )


class RateSeriesArrivals(Entry):
    """Requests come at a rate that is given interval by interval: the shape of a day."""

    process: Literal["rate_series"]
    """``rate_series``: Poisson inside each interval."""
    file: BesidePath | None = None
    """CSV of requests per interval, plain or gzipped, relative to the scenario's folder; or ``requests``."""
    column: Annotated[str, Field(min_length=1)] | None = None
    """Name of the column of counts in ``file``; ``requests``, or the only one, where left out."""
    requests: tuple[Annotated[NotNegative, Field(le=1e15)], ...] | None = Field(default=None, max_length=100_000)
    """Expected requests in each interval, given here instead of in a file."""
    interval_ns: PositiveDurationNs | None = Field(default=None, alias="interval")
    """Length of an interval; a file with dates says it itself."""
    scale: Annotated[Positive, Field(le=1e12)] = 1.0
    """Every count is multiplied by it."""
    repeat: Flag = False
    """Whether the series starts again when it ends; otherwise nobody comes after its end."""

    def flaws(self) -> Iterator[Flaw]:
        """Two series or none, and keys that belong to the other kind."""
        if (self.file is None) == (self.requests is None):
            rule = "needs a file or requests" if self.file is None else "must have either a file or requests, not both"
            yield Flaw((), rule, None, "Name a CSV file, or list the requests of each interval.")
        if self.requests is not None:
            if not any(self.requests):
                yield Flaw(
                    ("requests",), "must have an entry greater than 0", remedy="Some interval must bring requests."
                )
            if self.interval_ns is None:
                yield Flaw(
                    ("interval",), "is required beside requests", None, "Say how long an interval is: interval: 1h."
                )
            if self.column is not None:
                yield Flaw(("column",), "has no effect without a file", remedy="Remove it.")


Arrivals = Annotated[
    PoissonArrivals
    | DeterministicArrivals
    | GammaArrivals
    | MmppArrivals
    | ClosedLoopArrivals
    | TraceArrivals
    | RateSeriesArrivals,
    Field(discriminator="process"),
]
"""Any of the arrival processes."""
