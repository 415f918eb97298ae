"""Watching a CPU, and adding windows up."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from calibration.meter import CpuMeter, NoMeter, Reading, cpu_meter, reading_from, together


def package(
    folder: Path, name: str, energy_uj: int, *, kind: str = "package-0", wraps_at_uj: int = 262_143_328_850
) -> Path:
    """A RAPL domain as Linux shows it (Documentation/power/powercap/powercap.rst)."""
    domain = folder / name
    domain.mkdir()
    (domain / "name").write_text(f"{kind}\n")
    (domain / "max_energy_range_uj").write_text(f"{wraps_at_uj}\n")
    (domain / "energy_uj").write_text(f"{energy_uj}\n")
    return domain / "energy_uj"


def test_energy_is_that_of_all_packages_and_of_no_part_twice(tmp_path: Path) -> None:
    first = package(tmp_path, "intel-rapl:0", 1_000_000)
    second = package(tmp_path, "intel-rapl:1", 5_000_000, kind="package-1")
    package(tmp_path, "intel-rapl:0:0", 400_000, kind="core")
    package(tmp_path, "intel-rapl:2", 400_000, kind="psys")
    meter = cpu_meter(4, tmp_path)
    meter.start()
    first.write_text("31000000\n")
    second.write_text("25000000\n")
    reading = meter.stop()
    assert (50.0, "counter") == (reading.energy_j, reading.energy_from)
    assert "2 processor package(s)" in meter.describe()["power_from"]


def test_a_counter_that_wraps_around_is_no_negative_energy(tmp_path: Path) -> None:
    energy = package(tmp_path, "intel-rapl:0", 9_000_000, wraps_at_uj=10_000_000)
    meter = cpu_meter(4, tmp_path)
    meter.start()
    energy.write_text("2000000\n")
    assert 3.0 == meter.stop().energy_j


def test_a_counter_for_root_alone_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Since 2020 Linux shows it to root only; tests may run as root, so the refusal is made up."""
    package(tmp_path, "intel-rapl:0", 0)
    read = Path.read_text

    def refused(self: Path, *args: str, **more: str) -> str:
        if self.name == "energy_uj":
            raise PermissionError
        return read(self, *args, **more)

    monkeypatch.setattr(Path, "read_text", refused)
    meter = cpu_meter(4, tmp_path)
    meter.start()
    assert None is meter.stop().energy_j
    assert "only root may read the energy" in meter.describe()["power_not_read"]


def test_a_machine_without_counters_still_tells_how_busy_it_was(tmp_path: Path) -> None:
    times, cpu_times = iter([0.0, 10.0]), iter([3.0, 18.0])
    meter = CpuMeter(cores=2, clock=lambda: next(times), cpu_clock=lambda: next(cpu_times))
    meter.start()
    reading = meter.stop()
    assert 0.75 == reading.utilisation
    assert None is reading.power_w
    assert "does not tell the energy" in cpu_meter(1, tmp_path).describe()["power_not_read"]


def test_a_meter_that_sees_nothing_says_why() -> None:
    assert {"nvml_unavailable": "no driver"} == NoMeter({"nvml_unavailable": "no driver"}).describe()
    assert None is NoMeter().stop().energy_j


def test_windows_add_up() -> None:
    slow = Reading(
        seconds=1.0, samples=10, energy_j=50.0, energy_from="counter", memory_bytes=5.0, utilisation=0.5,
        sm_mhz=(900.0, 1000.0, 1100.0), temperature_c=60.0, slowed_by={"power cap": 1.0},
    )  # fmt: skip
    fast = Reading(
        seconds=3.0, samples=30, energy_j=250.0, energy_from="counter", memory_bytes=4.0, utilisation=0.9,
        sm_mhz=(1000.0, 1400.0, 1500.0), temperature_c=55.0,
    )  # fmt: skip
    both = together([slow, fast])
    assert both is not None
    assert (300.0, 75.0, 5.0, 60.0) == (both.energy_j, both.power_w, both.memory_bytes, both.temperature_c)
    assert pytest.approx(0.8) == both.utilisation
    assert (900.0, pytest.approx(1300.0), 1500.0) == both.sm_mhz
    assert {"power cap": 0.25} == both.slowed_by
    assert None is together([])


def test_energy_of_some_windows_is_not_that_of_all() -> None:
    both = together([Reading(seconds=1.0, energy_j=50.0), Reading(seconds=1.0)])
    assert both is not None
    assert None is both.energy_j


def test_a_reading_survives_the_store() -> None:
    reading = Reading(seconds=1.0, sm_mhz=(1.0, 2.0, 3.0), slowed_by={"power cap": 0.5})
    assert reading == reading_from(json.loads(json.dumps(asdict(reading))))
