"""Does the simulator say what was measured? A profile against a server, load by load.

Every load that was measured is simulated with the profile behind the server's own batching rule, and the two are laid
side by side. Nothing is fitted here: what is compared must not be what the profile was made from, or the errors say
only how well the fit fits.

Where to read next: what can be read (:mod:`simulator.validation_files`), how a load becomes a scenario
(:mod:`simulator.validation_scenario`), how the result looks (:mod:`simulator.validation_page`).
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Final

from calibration.console import Unwatched
from calibration.problems import InputError, Problem
from calibration.profile_file import ProfileFile, read_profile, read_profile_file
from calibration.source import COMMAND_LINE
from simulator.study import simulate
from simulator.validation_cases import JUDGED, KEYS, Case, LeftOut
from simulator.validation_files import Measured
from simulator.validation_scenario import Setting, scenario_of

if TYPE_CHECKING:
    from calibration.console import Watch
    from simulator.outcome import Report

WINDOW: Final = 0.02
"""Distance of throughput x mean latency from the number of clients from which on a tool missed requests."""


@dataclass(frozen=True)
class Compared:
    """One load, measured and simulated."""

    case: Case
    simulated: Mapping[str, float]
    """By the keys of ``case.measured``, and others."""
    utilisation: float
    """Share of the time in which the simulated accelerator worked."""
    unstable: bool
    """Whether the simulated queue grows for as long as the run lasts."""

    def error(self, name: str) -> float | None:
        """Simulated over measured, less 1, of one of JUDGED; None where either is not known."""
        key = KEYS[name]
        measured, simulated = self.case.measured.get(key), self.simulated.get(key)
        return None if not measured or simulated is None else simulated / measured - 1


@dataclass(frozen=True)
class Summary:
    """Errors of one figure over all loads that are judged."""

    loads: int
    median: float
    """Median of the absolute errors."""
    bias: float
    """Median of the signed errors."""
    worst: Compared
    """The load with the largest absolute error."""
    noise: float | None
    """Half the spread of repeats of one load over their mean (median over loads): no model can do better; None
    without repeats."""


@dataclass(frozen=True)
class Validation:
    """Everything that ``simulate validate`` says."""

    profile: ProfileFile
    rows: tuple[Compared, ...]
    left_out: tuple[LeftOut, ...]
    setting: Setting
    """The server that was simulated."""
    up_to: float = math.inf
    """Loads that keep the simulated accelerator busier are shown, but not judged."""
    warnings: tuple[str, ...] = ()

    @property
    def judged(self) -> tuple[Compared, ...]:
        """The rows that count."""
        return tuple(row for row in self.rows if row.utilisation <= self.up_to and not row.unstable)

    def summaries(self) -> dict[str, Summary]:
        """What the errors amount to, for each of JUDGED that was measured anywhere."""
        found = {name: _summary(name, self.judged) for name in JUDGED}
        return {name: summary for name, summary in found.items() if summary is not None}

    def missed(self, within: Mapping[str, float]) -> list[tuple[str, Compared, float]]:
        """Which figures of which judged loads are farther off than allowed? Name, load and error, worst first."""
        found = [
            (name, row, error)
            for name, most in within.items()
            for row in self.judged
            if (error := row.error(name)) is not None and abs(error) > most
        ]
        return sorted(found, key=lambda miss: -abs(miss[2]))

    def unjudged(self, within: Mapping[str, float]) -> list[str]:
        """Which of these figures cannot be judged, since no judged load was measured for them?"""
        known = self.summaries()
        return [name for name in within if name not in known]

    def holds(self, within: Mapping[str, float]) -> bool:
        """Whether every figure could be judged, and is nowhere farther off than allowed."""
        return not self.unjudged(within) and not self.missed(within)


def validate(
    measured: Measured, setting: Setting, *, up_to: float = math.inf, watch: Watch | None = None
) -> Validation:
    """How far is the simulator from what was measured, load by load?

    Parameters
    ----------
    measured
        The loads, and what was seen there.
    setting
        The profile and the server.
    up_to
        Utilisation of the simulated accelerator up to which a load is judged.
    watch
        Is told how far the work is.

    Raises
    ------
    InputError
        When the profile cannot be used, no load can be simulated, or profile and server do not fit together.
    """
    watch = watch if watch is not None else Unwatched()
    profile = read_profile(setting.profile)
    low, high = profile.range
    fitting: list[Case] = []
    left_out = list(measured.left_out)
    for case in measured.cases:
        reason = None
        if case.items > high and not setting.allow_extrapolation:
            reason = f"requests of {case.items} items: the profile covers batches of {low} to {high}"
        elif not case.measured:
            reason = "no request was answered"
        if reason is None:
            fitting.append(case)
        else:
            left_out.append(LeftOut(case.load, case.place, reason))
    if not fitting:
        raise InputError([_nothing(left_out)])
    _check_batches(fitting, setting, high)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for index, case in enumerate(fitting):
            rows.append(_compared(case, setting, Path(folder), _Stages(watch)))
            watch.done((index + 1) / len(fitting))
    return Validation(
        profile=read_profile_file(setting.profile),
        rows=tuple(rows),
        left_out=tuple(left_out),
        setting=setting,
        up_to=up_to,
        warnings=(*measured.warnings, *_warnings(rows)),
    )


def _check_batches(cases: Sequence[Case], setting: Setting, largest: int) -> None:
    """Stop where the server forms batches that the profile does not cover."""
    sizes = [] if setting.base is not None else [setting.server.over(case.server).max_batch_size or 0 for case in cases]
    if setting.allow_extrapolation or max(sizes, default=0) <= largest:
        return
    rule = f"must be at most {largest}, the largest batch that the profile covers"
    remedy = "Measure larger batches, or add --allow-extrapolation."
    raise InputError([Problem(COMMAND_LINE, None, None, "--max-batch-size", rule, str(max(sizes)), remedy)])


def _compared(case: Case, setting: Setting, folder: Path, watch: Watch) -> Compared:
    """Simulate one load."""
    report = simulate(scenario_of(case, setting, folder), watch=watch)
    (fleet,) = report.fleets
    simulated = _simulated(report, replayed=case.sent_s is not None)
    return Compared(case, simulated, fleet.utilisation, fleet.unstable)


def _simulated(report: Report, *, replayed: bool) -> dict[str, float]:
    (workload,) = report.workloads
    (fleet,) = report.fleets
    latency = workload.latency_ms
    found: dict[str, float | None] = {
        "throughput_rps": None if replayed else workload.throughput_rps,
        "batch_mean": fleet.batch_size_mean,
    }
    if latency is not None:
        found |= {f"{name}_ms": getattr(latency, name) for name in ("mean", "p50", "p90", "p95", "p99")}
    return {name: value for name, value in found.items() if value is not None}


def _summary(name: str, rows: Sequence[Compared]) -> Summary | None:
    known = [(error, row) for row in rows if (error := row.error(name)) is not None]
    if not known:
        return None
    _, worst = max(known, key=lambda one: abs(one[0]))
    errors = [error for error, _ in known]
    noise = _noise([row.case for _, row in known], KEYS[name])
    return Summary(len(known), median(map(abs, errors)), median(errors), worst, noise)


def _noise(cases: Sequence[Case], key: str) -> float | None:
    """Half of what repeats of one load lie apart, over their mean: the median over the loads that were repeated."""
    alike: dict[object, list[float]] = {}
    for case in cases:
        if case.sent_s is None:
            load = (case.items, case.concurrency, case.rate_rps, case.server)
            alike.setdefault(load, []).append(case.measured[key])
    spreads = [
        (max(values) - min(values)) / (sum(values) / len(values)) / 2 for values in alike.values() if len(values) > 1
    ]
    return median(spreads) if spreads else None


def _warnings(rows: Sequence[Compared]) -> list[str]:
    """What the reader of the table should know of the measurement."""
    off = [(row.case.load, law) for row in rows if (law := row.case.littles_law) is not None and law < 1 - WINDOW]
    if not off:
        return []
    load, least = min(off, key=lambda one: one[1])
    return [
        f"at {len(off)} of {len(rows)} loads the measured throughput is less than clients / mean latency (by up to"
        f" {1 - least:.0%}, {load}): the tool counted only requests that began and ended in its window, so that the"
        " throughput there is too low, not the simulated one too high"
    ]


def _nothing(left_out: Sequence[LeftOut]) -> Problem:
    reasons = list(dict.fromkeys(one.reason for one in left_out))
    told = "; ".join(reasons[:3]) if reasons else "there is no row"
    rule = "must hold a load that can be simulated"
    return Problem(COMMAND_LINE, None, None, "--against", rule, told, "Name measurements of a server under load.")


class _Stages:
    """Passes on what begins, not how far a single run is."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch

    def stage(self, words: str) -> None:
        """Pass it on."""
        self._watch.stage(words)

    def done(self, share: float) -> None:
        """Keep it back: the loads are what counts."""
