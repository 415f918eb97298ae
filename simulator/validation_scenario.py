"""A case as a scenario: the profile behind the server that was measured, under the load that it was measured at."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from calibration.problems import InputError
from simulator.scenario import Scenario, scenario_from
from simulator.validation_cases import Case, Server

WARMUP: Final = 0.1
"""Share of a run that is left out of its statistics; nothing of a replay is."""

_WORKLOAD: Final = "clients"
_FLEET: Final = "server"
_PROFILE: Final = "validated"


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What all cases have in common."""

    profile: Path
    """The profile file that is validated."""
    server: Server = field(default_factory=Server)
    """What the user says of the server; it wins over what a file says."""
    base: Scenario | None = None
    """The scenario whose fleet is measured against, instead of ``server``."""
    process: str | None = None
    """How requests arrive at a rate, where a file does not say: ``poisson`` or ``deterministic``."""
    requests: int = 20_000
    """Requests in each run, about."""
    seed: int = 0
    allow_extrapolation: bool = False
    """Whether batch sizes that the profile did not measure may be used."""


def scenario_of(case: Case, setting: Setting, folder: Path) -> Scenario:
    """Which scenario puts this load on the server?

    Parameters
    ----------
    case
        The load.
    setting
        The server and the profile behind it.
    folder
        Where the arrivals to replay are written.

    Raises
    ------
    InputError
        When the two do not fit together: a batch that the profile did not measure, for instance.
    """
    horizon_ms = _horizon_ms(case, setting.requests)
    warmup_ms = 0.0 if case.sent_s is not None else WARMUP * horizon_ms
    times = {"horizon": _duration(horizon_ms), "warmup": _duration(warmup_ms)}
    arrivals = _arrivals(case, setting, folder)
    if setting.base is not None:
        return _from_base(setting.base, case, setting, {**times, "arrivals": arrivals})
    server = setting.server.over(case.server)
    content = {
        "schema": 1,
        "name": f"validate {setting.profile.stem}: {case.load}"[:100],
        "seed": setting.seed,
        **times,
        "allow_extrapolation": setting.allow_extrapolation,
        "profiles": {_PROFILE: str(setting.profile.resolve())},
        "fleets": {
            _FLEET: {
                "profile": _PROFILE,
                "usd_per_hour": 1.0,
                "instances": 1,
                "model_instances": server.model_instances or 1,
                "batching": batching_of(server),
            }
        },
        "workloads": {_WORKLOAD: {"fleet": _FLEET, "items_per_request": case.items, "arrivals": arrivals}},
    }
    return scenario_from(content, folder=folder, file=f"<{case.load}>")


def batching_of(server: Server) -> dict[str, Any]:
    """The ``batching`` of a fleet: none where nobody says how large batches may become.

    >>> batching_of(Server())
    {'policy': 'none'}
    >>> batching_of(Server(max_batch_size=8, max_queue_delay_ms=5.0))
    {'policy': 'dynamic', 'rule': 'triton', 'max_batch_size': 8, 'max_queue_delay': '5000000ns'}
    """
    if server.max_batch_size is None:
        return {"policy": "none"}
    rule = server.rule or "triton"
    batching: dict[str, Any] = {"policy": "dynamic", "rule": rule, "max_batch_size": server.max_batch_size}
    if server.max_queue_delay_ms:
        batching["max_queue_delay"] = _duration(server.max_queue_delay_ms)
    preferred = [size for size in server.preferred_batch_sizes or () if size <= server.max_batch_size]
    if preferred and rule == "triton":
        batching["preferred_batch_sizes"] = preferred
    return batching


def _from_base(base: Scenario, case: Case, setting: Setting, changed: Mapping[str, Any]) -> Scenario:
    """The user's scenario under this load, with the profile that is validated."""
    (workload,), (fleet,) = base.workloads, base.fleets
    overrides = {
        "profiles": json.dumps({_PROFILE: str(setting.profile.resolve())}),
        f"fleets.{fleet}.profile": _PROFILE,
        f"workloads.{workload}.arrivals": json.dumps(changed["arrivals"]),
        f"workloads.{workload}.items_per_request": str(case.items),
        "horizon": changed["horizon"],
        "warmup": changed["warmup"],
        "seed": str(setting.seed),
    }
    if setting.allow_extrapolation:
        overrides["allow_extrapolation"] = "true"
    return base.with_overrides(overrides)


def check_base(base: Scenario) -> None:
    """Can loads be put on this scenario?

    Raises
    ------
    InputError
        When it has several fleets or workloads: nothing says which of them was measured.
    """
    problems = [
        base.problem(section, f"must hold one {word}: nothing says which of them was measured", f"{len(entries)}",
                     f"Write a scenario with the {word} that was measured.")
        for section, word, entries in (("fleets", "fleet", base.fleets), ("workloads", "workload", base.workloads))
        if len(entries) != 1
    ]  # fmt: skip
    if problems:
        raise InputError(problems)


def _arrivals(case: Case, setting: Setting, folder: Path) -> dict[str, Any]:
    if case.sent_s is not None:
        trace = folder / "arrivals.csv"
        trace.write_text("arrival_s\n" + "".join(f"{due_s:.9f}\n" for due_s in case.sent_s), encoding="utf-8")
        return {"process": "trace", "file": str(trace), "format": "column"}
    if case.concurrency is not None:
        return {"process": "closed_loop", "concurrency": case.concurrency}
    return {"process": case.process or setting.process or "poisson", "rate": case.rate_rps}


def _horizon_ms(case: Case, requests: int) -> float:
    """Simulated time in which about so many requests are sent."""
    if case.sent_s is not None:
        return 1000.0 * float(case.sent_s[-1]) + 1e-3
    if case.rate_rps is not None:
        return 1000.0 * requests / case.rate_rps
    measured = case.measured
    latency_ms = measured.get("mean_ms", measured.get("p50_ms"))
    if latency_ms is None:
        return 1000.0 * requests / measured.get("throughput_rps", 1.0)
    return requests * latency_ms / (case.concurrency or 1)


def _duration(ms: float) -> str:
    """A duration as YAML has it, to the nanosecond.

    >>> _duration(5.0)
    '5000000ns'
    """
    return f"{round(1e6 * ms)}ns"
