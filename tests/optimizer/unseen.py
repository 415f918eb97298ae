"""What a plan does under seeds that the optimizer has never seen, simulated from its JSON as anybody could.

Nothing of the optimizer is used: the fleets of an hour, as the plan tells them, become a scenario, and each part of a
workload's requests a workload of its own with the objectives of the plan file.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from simulator.scenario import scenario_from
from simulator.study import simulate

SEED: Final = 20_220_513
"""Of the first run. No plan file, search or proof uses it or those that follow."""

REQUESTS: Final = 20_000
"""Of the rarest stream in a run, about: as many as a proof takes, so that a run is as long as the one it speaks of."""

MOST_REQUESTS: Final = 400_000
"""Of all streams of a run, about."""


def share_of_runs_met(
    plan: Mapping[str, Any],
    content: Mapping[str, Any],
    *,
    runs: int,
    hours: Iterable[int] | None = None,
    folder: Path = Path(),
) -> dict[tuple[str, str, str], float]:
    """In which share of runs does each fleet hold each of its workloads? By hour, fleet and workload.

    Parameters
    ----------
    plan
        What ``optimize --json`` printed.
    content
        The plan file, Poisson or by the hour: a part of such a stream is one of its kind.
    runs
        How many, each with a seed of its own.
    hours
        Those to simulate; default: all.
    folder
        Where the files that it names stand.
    """
    met: dict[tuple[str, str, str], list[bool]] = defaultdict(list)
    for t in range(len(plan["hours"])) if hours is None else hours:
        scenario_of_hour, places = _scenario(plan, content, t)
        if not places:
            continue
        for run in range(runs):
            scenario = scenario_from(scenario_of_hour | {"seed": SEED + run}, folder=folder)
            for workload in simulate(scenario, jobs=1).workloads:
                assert workload.slo is not None
                met[(plan["hours"][t], *places[workload.name])].append(workload.slo.met is True)
    return {place: sum(each) / len(each) for place, each in met.items()}


def _scenario(
    plan: Mapping[str, Any], content: Mapping[str, Any], t: int
) -> tuple[dict[str, Any], dict[str, tuple[str, str]]]:
    """Everything that runs in an hour, and which fleet and workload each stream is."""
    fleets: dict[str, Any] = {}
    streams: dict[str, Any] = {}
    places: dict[str, tuple[str, str]] = {}
    rates: list[float] = []
    for number, (fleet, candidate) in enumerate(_simulated(plan, content)):
        count = fleet["instances_by_hour"][t]
        served = {name: shares[t] for name, shares in fleet["share_by_hour"].items() if count and shares[t] > 0}
        for workload, share in served.items():
            asked, stream = content["workloads"][workload], f"{workload} {number}"
            rates.append(share * plan["demand_rps"][workload][t])
            kept = {key: asked[key] for key in ("items_per_request", "slo") if key in asked}
            arrivals = {"process": "poisson", "rate": rates[-1]}
            streams[stream] = kept | {"fleet": f"fleet {number}", "arrivals": arrivals}
            places[stream] = (fleet["name"], workload)
            profile = candidate["profile"] if "profile" in candidate else candidate["profiles"][workload]
            fleets[f"fleet {number}"] = {
                "profile": profile,
                "usd_per_hour": 1.0,
                "instances": count,
                "model_instances": fleet["model_instances"],
                "batching": fleet["batching"],
            }
    if not places:
        return {}, {}
    horizon_s = min(REQUESTS / min(rates), MOST_REQUESTS / sum(rates))
    times = {"horizon": f"{horizon_s:.6f}s", "warmup": f"{horizon_s / 10:.6f}s"}
    profiles = {"profiles": content["profiles"]}
    return {"schema": 1, "name": "unseen", **times, **profiles, "fleets": fleets, "workloads": streams}, places


def _simulated(plan: Mapping[str, Any], content: Mapping[str, Any]) -> Iterator[tuple[Any, Any]]:
    """Fleets whose capacity is not stated, each with its candidate as the file has it."""
    written = {candidate["name"]: candidate for candidate in content["plan"]["candidates"]}
    for fleet in plan["fleets"]:
        candidate = written[fleet["candidate"]]
        assert not candidate.keys() & {"slowdown", "router", "added_latency"}, "not copied here"
        if "capacity_rps" not in candidate:
            yield fleet, candidate
