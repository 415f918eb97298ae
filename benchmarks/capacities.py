"""How long it takes to find what every setting of a plan carries: capacity curves by simulation, nothing kept."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.measure import Lap, Timing, is_busy, load_average
from benchmarks.spec import BenchSpec, Effort, Figure, Outcome

SIZES: Final = (1, 2, 4, 8, 16, 32)
"""Batch sizes that the profiles measure."""

SETTINGS: Final = 6
"""Settings of one accelerator: three batch sizes, with and without waiting for a fuller batch."""

PROCESSES: Final = 2


@dataclass(frozen=True)
class Candidates:
    """A plan with so many settings: accelerators from quick to slow, with scatter, each in six settings.

    A batch of b takes 4 + 2 i + (0.4 + 0.25 i) b ms on accelerator i = 0 ... 9. The p99 of 100 ms is loose for the
    quick ones, whose queues then remember long, and tight for the slow ones. The demand of 20,000 requests per second
    asks for large fleets.
    """

    settings: int

    def scenario(self) -> str:
        """The YAML text that ``optimize`` plans."""
        accelerators = range(-(-self.settings // SETTINGS))
        profiles, candidates = [], []
        for i in accelerators:
            latency_ms = [round(4 + 2 * (i % 10) + (0.4 + 0.25 * (i % 10)) * size, 3) for size in SIZES]
            cv = 0.05 + 0.02 * (i % 10)
            profiles.append(f"  p{i}: {{batch: {list(SIZES)}, latency_ms: {latency_ms}, latency_cv: {cv:.2f}}}")
            left = min(self.settings - SETTINGS * i, SETTINGS)
            sizes, delays = [4, 8, 32][: -(-left // 2)], "[0ms, 5ms]" if left > 1 else "[0ms]"
            batching = f"{{policy: dynamic, max_batch_size: {sizes}, max_queue_delay: {delays}}}"
            candidates.append(f"    - {{name: c{i}, usd_per_hour: {i + 0.5}, profile: p{i}, batching: {batching}}}")
        lines = (
            f"# Benchmark: capacity curves of about {self.settings} settings.",
            "schema: 1",
            f"name: capacities-{self.settings}",
            "profiles:",
            *profiles,
            "workloads:",
            "  requests: {arrivals: {process: poisson, rate: 20000}, slo: {p99: 100ms}}",
            "plan:",
            "  candidates:",
            *candidates,
        )
        return "\n".join(lines) + "\n"


def measure_capacities(spec: BenchSpec, effort: Effort) -> Outcome:
    """Time the search for all curves over two processes, which have loaded the engine before."""
    from optimizer.capacity import capacities
    from optimizer.plan_file import load_plan
    from optimizer.settings import expand

    busy = load_average()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "plan.yaml"
        path.write_text(spec.build(effort.sizes[-1]).scenario(), encoding="utf-8")
        question = load_plan(path)
    settings = expand(question)
    capacities(question, settings[:3], jobs=PROCESSES)
    laps = []
    points = tries = 0
    for _ in range(effort.rounds):
        start, cpu_s = time.perf_counter(), time.process_time()
        found = capacities(question, settings, jobs=PROCESSES)
        laps.append(Lap(len(settings), time.perf_counter() - start, max(time.process_time() - cpu_s, 1e-9)))
        curves = [evidence for one in found for evidence in one.evidence.values()]
        points = sum(len(evidence.points) for evidence in curves)
        tries = sum(point.probes for evidence in curves for point in evidence.points)
    timing = Timing("two processes", tuple(laps))
    notes = [
        f"{len(settings)} settings, {points} points of their curves, {tries} rates simulated; wall time decides, CPU "
        "time is of this process only."
    ]
    if is_busy(busy):
        notes.append(f"The machine is busy (load average {busy:.2f} before the start): the figure says little.")
    figure = Figure("capacity curves", timing.wall_ns * timing.units / 1e9, "s")
    return Outcome((timing,), (figure,), tuple(notes))
