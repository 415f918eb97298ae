"""A shorter run that asks the same question: what a slider needs to be answered at once.

The measured window of a scenario is played in a shorter time at the same rates. Independent arrivals keep their rate
and simply come for a shorter time; a rate series is replayed with every interval shortened by the same factor, so that
each rate keeps its share of the window. A tenth of the window goes before it as a warm-up. That leaves out what lasts
longer than the shortened intervals (a backlog that one hour hands to the next), so a whole run stays the last word.

A recorded trace is never cut: its order is what it is for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from presentation.numbers import count
from simulator.arrival_spec import MmppArrivals, RateSeriesArrivals
from simulator.clock import s_from_ns
from simulator.compiling import compile_model
from simulator.recorded import read_series
from simulator.scenario import Scenario
from simulator.wording import span

REQUESTS: Final = 100_000
"""Requests of an answer for each workload, in all replications together."""

REPLICATIONS: Final = 5
"""Runs of an answer: enough for an interval."""

_WARMUP_PARTS: Final = 10
"""The warm-up is one part of the window in so many."""
_FINEST: Final = 1_000
"""Most pieces of a rate series."""
_COARSE: Final = 200
"""Pieces of a window that is not made of whole intervals."""
_CYCLES: Final = 20
"""Rounds of a modulated process that a run should see."""


@dataclass(frozen=True)
class Excerpt:
    """A scenario to run, and what it is of the one that was asked for."""

    scenario: Scenario
    replications: int
    whole: bool
    """Whether it is the scenario itself."""
    note: str
    """A sentence for the reader."""


def excerpt(scenario: Scenario, *, requests: int = REQUESTS, replications: int = REPLICATIONS) -> Excerpt:
    """Which shorter run asks the same question with about this many requests?

    Raises
    ------
    InputError
        With every problem of the files that it replays.
    """
    model = compile_model(scenario)
    window_ns = model.horizon_ns - scenario.warmup_ns
    fixed = any(workload.arrivals.process == "trace" for workload in scenario.workloads.values())
    expected = _expected_in_window(scenario, model.expected_requests, model.horizon_ns)
    factor = max(1.0, expected / (requests * len(scenario.workloads) / replications))
    longest = max((_cycle_ns(workload.arrivals) for workload in scenario.workloads.values()), default=0)
    factor = min(factor, max(1.0, window_ns / (_CYCLES * longest))) if longest else factor
    if fixed or factor <= 1.0 + 1 / _WARMUP_PARTS:
        note = f"{replications} replications of the whole run of {span(s_from_ns(model.horizon_ns))}"
        return Excerpt(scenario, replications, True, note)
    pieces = _pieces(scenario, model.horizon_ns)
    step_ns = max(1, int(window_ns / factor / (_WARMUP_PARTS * pieces)))
    short_ns = step_ns * _WARMUP_PARTS * pieces
    warmup_ns = step_ns * pieces
    workloads = {
        name: workload.model_copy(
            update={"arrivals": _shortened(workload.arrivals, scenario, model.horizon_ns, pieces, step_ns)}
        )
        for name, workload in scenario.workloads.items()
    }
    changes = {"horizon_ns": warmup_ns + short_ns, "warmup_ns": warmup_ns, "workloads": workloads}
    note = (
        f"{count(expected * short_ns / window_ns * replications)} requests in {replications} replications: the "
        f"{span(s_from_ns(window_ns))} that are measured, played in {span(s_from_ns(short_ns))} at the same rates"
    )
    return Excerpt(scenario.model_copy(update=changes), replications, False, note)


def _expected_in_window(scenario: Scenario, expected: float, horizon_ns: int) -> float:
    """Requests that arrive after the warm-up."""
    share = 1 - scenario.warmup_ns / horizon_ns
    series = [w.arrivals for w in scenario.workloads.values() if isinstance(w.arrivals, RateSeriesArrivals)]
    of_series = sum(_cumulative(one, np.array([float(horizon_ns)]))[0] for one in series)
    after = sum(float(np.diff(_cumulative(one, _ends(scenario, horizon_ns, 1)))[0]) for one in series)
    return float(max(0.0, expected - of_series) * share + after)


def _ends(scenario: Scenario, horizon_ns: int, pieces: int) -> npt.NDArray[np.float64]:
    """Where the pieces of the window begin and end, in ns; (pieces + 1,)."""
    return np.linspace(scenario.warmup_ns, horizon_ns, pieces + 1)


def _cumulative(series: RateSeriesArrivals, times_ns: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Requests that the series has brought by these times."""
    read = read_series(series)
    total = np.concatenate([[0.0], np.cumsum(read.requests)])
    rounds, rest = np.divmod(times_ns, read.length_ns) if series.repeat else (np.zeros_like(times_ns), times_ns)
    inside = np.interp(rest, np.arange(len(total)) * float(read.interval_ns), total)
    return np.asarray(rounds * total[-1] + inside, dtype=np.float64)


def _pieces(scenario: Scenario, horizon_ns: int) -> int:
    """Equal parts of the window in which no rate changes, or as many as come near it."""
    window_ns = horizon_ns - scenario.warmup_ns
    pieces = 1
    for workload in scenario.workloads.values():
        if isinstance(workload.arrivals, RateSeriesArrivals):
            step_ns = read_series(workload.arrivals).interval_ns
            aligned = window_ns % step_ns == 0 and scenario.warmup_ns % step_ns == 0
            wanted = window_ns // step_ns if aligned else _COARSE
            pieces = wanted if pieces in (1, wanted) else int(np.lcm(pieces, wanted))
    return pieces if pieces <= _FINEST else _COARSE


def _shortened(arrivals: Any, scenario: Scenario, horizon_ns: int, pieces: int, step_ns: int) -> Any:
    """The requests of each step: the warm-up at the first rate, then the window, in steps of a tenth of a piece."""
    if not isinstance(arrivals, RateSeriesArrivals):
        return arrivals
    ends = _ends(scenario, horizon_ns, pieces)
    piece_ns = (horizon_ns - scenario.warmup_ns) / pieces
    per_step = np.diff(_cumulative(arrivals, ends)) * (step_ns / piece_ns)
    first = per_step[0] if per_step[0] > 0 else per_step.mean()
    steps = np.concatenate([np.full(pieces, first), np.repeat(per_step, _WARMUP_PARTS)])
    return RateSeriesArrivals.model_validate(
        {"process": "rate_series", "requests": tuple(steps.tolist()), "interval": f"{step_ns}ns"}
    )


def _cycle_ns(arrivals: Any) -> int:
    """One round through the states of a modulated process; 0 for the others."""
    return sum(arrivals.mean_durations_ns) if isinstance(arrivals, MmppArrivals) else 0
