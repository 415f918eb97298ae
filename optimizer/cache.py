"""Capacities that were found before, in a folder, by the content of everything that they depend on.

A capacity depends on the profile, the batching, the router, the arrival process but not its rate, the objectives, and
on the code that finds it; names and prices do not matter. All of that goes into a key (SHA-256), and what is known
under it is one small JSON file. It is written after every count of instances, in one stroke: an interrupted search goes
on where it was, and two searches at once do no harm. A file that cannot be read is as good as none.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numba
import numpy as np

from optimizer.evidence import Evidence, Point, Refusal

if TYPE_CHECKING:
    from optimizer.settings import Setting

VERSION: Final = 1
"""Of the files' format."""

_DECIDES: Final = ("calibration/profile.py", "simulator/**/*.py")
_DECIDES_HERE: Final = ("bisection.py", "probe.py", "search.py", "settings.py")

_IRRELEVANT: Final = ("instance_type", "provider", "region", "usd_per_hour", "purchase", "profile", "instances")
"""Keys of a fleet that say what it costs, what it is called, or how large it is."""


def default_folder() -> Path:
    """Where capacities are kept unless the user says otherwise: ``headroom/capacities`` in the user's cache folder."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "headroom" / "capacities"


def key_of(setting: Setting, workload: str) -> str:
    """Under which key is the capacity of this setting for this workload kept?"""
    scenario = setting.scenario(1, {workload: 1.0}, seed=0, requests=1)
    (fleet,) = scenario.fleets.values()
    asked = scenario.workloads[workload]
    profile = scenario.profiles[fleet.profile]
    content = {
        "fleet": fleet.model_dump(mode="json", exclude=set(_IRRELEVANT)),
        "workload": asked.model_dump(mode="json", exclude={"fleet"}),
        "profile": profile.model_dump(mode="json", exclude={"name", "provenance", "notes", "warnings"}),
        "largest": scenario.batch_range(setting.candidate.name)[1],
        "trace": _digest_of_file(getattr(asked.arrivals, "file", None)),
        "added_ns": setting.candidate.added_latency_ns_of(workload),
        "code": code_digest(),
    }
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


@cache
def code_digest() -> str:
    """Digest of every file that has a say in what a capacity is: an upgrade never answers from an old cache."""
    root = Path(__file__).resolve().parents[1]
    files = [path for pattern in _DECIDES for path in root.glob(pattern)]
    files += [root / "optimizer" / name for name in _DECIDES_HERE]
    digest = hashlib.sha256(f"numpy {np.__version__}, numba {numba.__version__}".encode())
    for path in sorted(files):
        digest.update(path.name.encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


@dataclass(frozen=True)
class CapacityCache:
    """A folder of capacities."""

    folder: Path

    def get(self, key: str, workload: str) -> Evidence | None:
        """What is known under this key, told of this workload; None if nothing is, or the file is damaged."""
        try:
            found = json.loads(self._path(key).read_text(encoding="utf-8"))
            evidence = _evidence(found, key)
        except (OSError, ValueError, KeyError, TypeError):
            return None
        refusal = evidence.refusal and replace(evidence.refusal, workload=workload)
        return replace(evidence, workload=workload, refusal=refusal)

    def keep(self, key: str, evidence: Evidence) -> None:
        """Keep what is known under this key; a folder that cannot be written to keeps nothing, and nobody minds."""
        text = json.dumps({"version": VERSION, "key": key, "evidence": asdict(evidence)})
        with contextlib.suppress(OSError):
            self.folder.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=self.folder, prefix=".", suffix=".partial")
            try:
                with os.fdopen(handle, "w", encoding="utf-8") as stream:
                    stream.write(text)
                os.replace(name, self._path(key))
            except BaseException:
                with contextlib.suppress(OSError):
                    os.unlink(name)
                raise

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}.json"


def _evidence(found: Any, key: str) -> Evidence:
    """Rebuild what was kept; ValueError, KeyError or TypeError where it is not what was kept."""
    if found["version"] != VERSION or found["key"] != key:
        raise ValueError("of another version, or under another key")
    kept = found["evidence"]
    points = tuple(Point(**point) for point in kept["points"])
    if [point.instances for point in points] != [2**place for place in range(len(points))]:
        raise ValueError("points are missing")
    refusal = None if kept["refusal"] is None else Refusal(**kept["refusal"])
    return Evidence(str(kept["workload"]), float(kept["ceiling_rps"]), points, refusal)


def _digest_of_file(file: Path | None) -> str | None:
    return None if file is None else hashlib.sha256(Path(file).read_bytes()).hexdigest()
