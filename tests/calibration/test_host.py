"""The provenance of the host: what decides how fast a model runs here is told, and nothing that is not known."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from calibration import host


def test_what_matters_is_told_and_can_be_written() -> None:
    found = host.host_provenance()
    assert {"date", "tool", "cpu", "cores", "os", "python", "versions"} <= set(found)
    assert found == json.loads(json.dumps(found))
    assert found["cores"] >= 1
    assert "numpy" in found["versions"]
    assert not any(value in (None, "") for value in found.values())


def test_the_name_of_the_machine_can_be_left_out() -> None:
    assert "host" not in host.host_provenance(name=False)


def test_the_machine_is_the_same_in_two_halves_of_a_sweep() -> None:
    assert host.fingerprint() == host.fingerprint()


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        ({}, 8),
        ({"cpu.max": "max 100000"}, 8),
        ({"cpu.max": "200000 100000"}, 2),
        ({"cpu.max": "50000 100000"}, 1),
        ({"cpu/cpu.cfs_quota_us": "400000", "cpu/cpu.cfs_period_us": "100000"}, 4),
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, 8),
    ],
)
def test_a_container_has_the_cores_it_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: dict[str, str], cores: int
) -> None:
    """64 cores of which 2 may be used are 2: threads and utilisation follow from it."""
    monkeypatch.setattr(host.os, "sched_getaffinity", lambda _pid: set(range(8)), raising=False)
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(f"{text}\n")
    assert cores == host.usable_cores(tmp_path)


def test_the_governor_and_turbo_are_told_where_linux_tells(tmp_path: Path) -> None:
    for name, text in {
        "cpu0/cpufreq/scaling_governor": "powersave",
        "intel_pstate/no_turbo": "0",
        "smt/active": "1",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(f"{text}\n")
    assert {"cpu_governor": "powersave", "cpu_turbo": "on", "cpu_smt": "on"} == host.cpu_settings(tmp_path)
    assert {} == host.cpu_settings(tmp_path / "absent")


def test_a_checkout_tells_its_commit_and_an_installed_copy_tells_none(tmp_path: Path) -> None:
    assert None is host.commit(tmp_path)
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@example.com"]
    try:
        subprocess.run([*git, "init", "-q"], check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("git is absent")
    (tmp_path / "a").write_text("1")
    subprocess.run([*git, "add", "a"], check=True)
    subprocess.run([*git, "commit", "-q", "-m", "a"], check=True)
    head = host.commit(tmp_path)
    assert head is not None
    assert 40 == len(head)
    (tmp_path / "a").write_text("2")
    assert f"{head}-changed" == host.commit(tmp_path), "figures of an edited checkout are of no commit"
