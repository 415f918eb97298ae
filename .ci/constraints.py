"""Resolve every extra afresh and print constraints.txt: one pinned line a distribution, markers where Pythons differ.

    python .ci/constraints.py python3.11 python3.12 > constraints.txt

Each argument is an interpreter, oldest first. Nothing is installed.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
HEADER = """\
# Exact versions of everything that pip may install here, resolved for Python {versions}.
# Use: pip install -c constraints.txt -e ".[test]"     Renew: python .ci/constraints.py python3.11 python3.12
"""


def resolve(python: str) -> tuple[str, dict[str, str]]:
    """``major.minor`` of an interpreter, and the version pip would install of each distribution."""
    command = [
        python,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--dry-run",
        "--ignore-installed",
        "--report",
        "-",
        "-e",
        ".[dev,measure]",
    ]
    report = json.loads(subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout)
    minor = ".".join(report["environment"]["python_full_version"].split(".")[:2])
    # A local label (2.13.0+cpu) names one index's build of a version; the pin is the version.
    found = {item["metadata"]["name"]: item["metadata"]["version"].split("+")[0] for item in report["install"]}
    found.pop("headroom-sim")
    return minor, found


def merged(oldest: dict[str, str], newest: dict[str, str], newest_minor: str) -> list[str]:
    """Lines for two resolutions; a marker only where they part."""
    lines = []
    for name in sorted({*oldest, *newest}, key=str.lower):
        old, new = oldest.get(name), newest.get(name)
        if old == new:
            lines.append(f"{name}=={old}")
            continue
        if old is not None:
            lines.append(f'{name}=={old} ; python_version < "{newest_minor}"')
        if new is not None:
            lines.append(f'{name}=={new} ; python_version >= "{newest_minor}"')
    return lines


if __name__ == "__main__":
    (old_minor, oldest), (new_minor, newest) = (resolve(python) for python in sys.argv[1:3])
    print(HEADER.format(versions=f"{old_minor} and {new_minor}") + "\n".join(merged(oldest, newest, new_minor)))
