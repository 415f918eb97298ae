"""A program of its own: run a scenario as ``simulate`` does and say what it took at most, as one JSON object.

``python -m benchmarks.streamed FILE``. It is a process of its own because the most memory a process ever held
cannot be asked of a part of it.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from calibration import console
from simulator import cli, output, render, replicate, run, study
from simulator.compiling import compile_model
from simulator.scenario import load_scenario

IMPORTED = (cli, console, output, render, replicate, run, study)
"""What ``simulate`` has imported by the time it runs the engine: memory of the imports, not of the run."""


def _memory_mib(field: str) -> float:
    """One line of /proc/self/status, in MiB: VmRSS is what is held now, VmHWM the most that ever was."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(field):
            return int(line.split()[1]) / 1024
    raise LookupError(f"/proc/self/status has no {field}")


def main(path: str) -> None:
    """Run the scenario and print requests, p99, time and memory: after the imports, with the engine loaded, at most."""
    imported_mib = _memory_mib("VmRSS")
    scenario = load_scenario(path)
    run.warm_up(compile_model(scenario))
    loaded_mib = _memory_mib("VmRSS")
    wall_s, cpu_s = time.perf_counter(), time.process_time()
    report = study.simulate(scenario, engine="compiled")
    cpu_s, wall_s = time.process_time() - cpu_s, time.perf_counter() - wall_s
    (workload,) = report.workloads
    assert workload.latency_ms is not None
    found = {
        "imported_mib": imported_mib,
        "loaded_mib": loaded_mib,
        "most_mib": _memory_mib("VmHWM"),
        "requests": workload.outcomes["arrived"],
        "p99_ms": workload.latency_ms.p99,
        "wall_s": wall_s,
        "cpu_s": cpu_s,
        "engine_s": report.timing_s["run"],
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1])
