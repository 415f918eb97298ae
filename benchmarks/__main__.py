"""The command ``python -m benchmarks``: run the specs, print ratios and whether the targets are reached."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from benchmarks.measure import machine
from benchmarks.registry import SPECS
from benchmarks.report import machine_as_text, outcome_as_text, outcome_to_json, write_json
from benchmarks.spec import DisagreementError


def _arguments(words: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="How fast is the simulator, beside other ways of doing the same work? Prints ratios of CPU time.",
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which benchmarks: {', '.join(SPECS)} (all)")
    parser.add_argument("--quick", action="store_true", help="the short form: fewer rounds, smaller sizes")
    parser.add_argument("--json", metavar="FILE", type=Path, help="also write every lap, figure and verdict there")
    parser.add_argument(
        "--scenario", metavar="SIZE", type=int, help="print the scenario of the one NAME at this size, and stop"
    )
    chosen = parser.parse_args(words)
    unknown = [name for name in chosen.names if name not in SPECS]
    if unknown:
        parser.error(f"there is no benchmark {', '.join(unknown)}; choose from {', '.join(SPECS)}")
    if chosen.scenario is not None and (len(chosen.names) != 1 or chosen.scenario < 1):
        parser.error("--scenario takes one NAME and a size of at least 1")
    if chosen.json is not None and not chosen.json.resolve().parent.is_dir():
        parser.error(f"there is no folder {chosen.json.parent} to write to")
    return chosen


def main(words: list[str] | None = None) -> int:
    """Run what was asked for; returns the exit code: 0, or 1 where two engines disagree."""
    chosen = _arguments(words)
    if chosen.scenario is not None:
        print(SPECS[chosen.names[0]].build(chosen.scenario).scenario(), end="")
        return 0
    here = machine()
    print(machine_as_text(here))
    outcomes = {}
    for name in chosen.names or SPECS:
        spec = SPECS[name]
        try:
            outcome = spec.measure(spec, spec.quick if chosen.quick else spec.full)
        except DisagreementError as error:
            print(f"{name}: {error}", file=sys.stderr)
            return 1
        print(outcome_as_text(spec, outcome), flush=True)
        outcomes[name] = outcome_to_json(spec, outcome)
    if chosen.json is not None:
        write_json(chosen.json, here, outcomes)
    return 0


if __name__ == "__main__":
    sys.exit(main())
