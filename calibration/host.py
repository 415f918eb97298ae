"""On which machine, with which software, from which commit, when: the provenance of whatever is measured here."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

FRAMEWORKS: Final = ("torch", "onnxruntime", "onnx", "jax", "jaxlib", "numpy", "nvidia-ml-py")
"""Packages whose versions are told, where they are installed."""

_CGROUP: Final = Path("/sys/fs/cgroup")
_CPU: Final = Path("/sys/devices/system/cpu")
_CHECKOUT: Final = Path(__file__).resolve().parents[1]


def host_provenance(*, name: bool = True) -> dict[str, Any]:
    """Where, when and with what is this measured? Keys of PROVENANCE and some beside them; unknown ones are left out.

    Parameters
    ----------
    name
        Whether to tell the machine's name.
    """
    found: dict[str, Any] = {
        "date": datetime.now(UTC).date().isoformat(),
        "tool": f"headroom-sim {_installed('headroom-sim') or 'from a checkout'}",
        "commit": commit(),
        "host": platform.node() if name else None,
        "cpu": cpu_name(),
        "cores": usable_cores(),
        "memory_bytes": memory_bytes(),
        "os": f"{platform.system()} {platform.release()} {platform.machine()}".strip(),
        "python": platform.python_version(),
        "versions": framework_versions(),
        **cpu_settings(),
    }
    return {key: value for key, value in found.items() if value}


def fingerprint() -> dict[str, Any]:
    """What must be the same for two parts of one sweep to belong together: the machine, and its frameworks."""
    return {"cpu": cpu_name(), "cores": usable_cores(), "versions": framework_versions()}


def framework_versions() -> dict[str, str]:
    """Versions of the installed frameworks, without importing any."""
    found = {name: _installed(name) for name in FRAMEWORKS}
    return {name: text for name, text in found.items() if text is not None}


def cpu_name() -> str:
    """Which processor is this?"""
    from calibration.backends.host import cpu_name as named

    return named()


def usable_cores(cgroup: Path = _CGROUP) -> int:
    """How many cores may this process use? Fewer than the machine has under taskset or a container's limit.

    >>> usable_cores() >= 1
    True
    """
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _quota(cgroup)
    return allowed if quota is None else max(1, min(allowed, int(quota)))


def memory_bytes() -> int | None:
    """Memory of the machine, or of the container where that has less."""
    try:
        whole = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):
        return None
    limit = _text(_CGROUP / "memory.max")
    return min(whole, int(limit)) if limit is not None and limit.isdecimal() else whole


def cpu_settings(folder: Path = _CPU) -> dict[str, Any]:
    """How the clock of the processor is governed, where Linux tells: it decides how steady times can be."""
    governor = _text(folder / "cpu0" / "cpufreq" / "scaling_governor")
    no_turbo = _text(folder / "intel_pstate" / "no_turbo")
    boost = _text(folder / "cpufreq" / "boost")
    turbo = {"0": "on", "1": "off"}.get(no_turbo or "") or {"1": "on", "0": "off"}.get(boost or "")
    smt = {"1": "on", "0": "off"}.get(_text(folder / "smt" / "active") or "")
    found = {"cpu_governor": governor, "cpu_turbo": turbo, "cpu_smt": smt}
    return {key: value for key, value in found.items() if value is not None}


def commit(folder: Path = _CHECKOUT) -> str | None:
    """Which commit does the tool run from? None when it is installed, not checked out; ``-changed`` after edits."""
    if not (folder / ".git").exists():
        return None
    head = _git(folder, ["rev-parse", "HEAD"])
    if head is None:
        return None
    changes = _git(folder, ["status", "--porcelain", "--untracked-files=no"])
    return f"{head}-changed" if changes else head


def _git(folder: Path, words: Sequence[str]) -> str | None:
    try:
        asked = subprocess.run(
            ["git", "-C", str(folder), *words], capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return asked.stdout.strip()


def _quota(cgroup: Path) -> float | None:
    """Cores that the container may use at a time: cgroup v2, else v1."""
    new = re.fullmatch(r"(\d+) (\d+)", _text(cgroup / "cpu.max") or "")
    if new is not None:
        return int(new[1]) / int(new[2])
    quota, period = (_text(cgroup / "cpu" / f"cpu.cfs_{name}_us") for name in ("quota", "period"))
    if quota is None or period is None or not quota.isdecimal() or not period.isdecimal() or period == "0":
        return None  # no limit is written as -1
    return int(quota) / int(period)


def _text(file: Path) -> str | None:
    try:
        return file.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return None


def _installed(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
