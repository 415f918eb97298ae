"""Watching a GPU: a library with the functions of nvidia-ml-py 13 and made-up answers stands in for the driver's."""

from __future__ import annotations

import importlib
import sys
import time
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from calibration.nvml import REASONS, NvmlUnavailableError, open_nvml, reasons_in


class NVMLError(Exception):
    """As pynvml's: its text is the driver's."""


class FakeNvml(ModuleType):
    """Two GPUs; each function has the name and the unit of the real one."""

    NVMLError = NVMLError
    NVML_CLOCK_SM = 1
    NVML_CLOCK_MEM = 2
    NVML_TEMPERATURE_GPU = 0

    def __init__(self) -> None:
        super().__init__("pynvml")
        self.names = ["NVIDIA T4", "NVIDIA A100-SXM4-40GB"]
        self.uuids = ["GPU-aaaa", "GPU-bbbb"]
        self.unsupported: set[str] = set()
        self.power_mw = 60_000
        self.energy_mj = [1_000_000]
        self.bits = [0x4]
        self.sm_mhz = [1590]
        self.open = 0

    def _answer(self, question: str, values: list[int]) -> int:
        if question in self.unsupported:
            raise NVMLError("Not Supported")
        return values.pop(0) if len(values) > 1 else values[0]

    def nvmlInit(self) -> None:  # noqa: N802 - the library's name, as below
        if "nvmlInit" in self.unsupported:
            raise NVMLError("Driver Not Loaded")
        self.open += 1

    def nvmlShutdown(self) -> None:  # noqa: N802
        self.open -= 1

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:  # noqa: N802
        if index >= len(self.names):
            raise NVMLError("Invalid Argument")
        return index

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> int:  # noqa: N802
        if uuid not in self.uuids:
            raise NVMLError("Not Found")
        return self.uuids.index(uuid)

    def nvmlDeviceGetName(self, handle: int) -> str:  # noqa: N802
        return self.names[handle]

    def nvmlDeviceGetUUID(self, handle: int) -> str:  # noqa: N802
        return self.uuids[handle]

    def nvmlSystemGetDriverVersion(self) -> str:  # noqa: N802
        return "550.54.15"

    def nvmlDeviceGetEnforcedPowerLimit(self, _handle: int) -> int:  # noqa: N802
        return self._answer("nvmlDeviceGetEnforcedPowerLimit", [70_000])

    def nvmlDeviceGetMaxClockInfo(self, _handle: int, kind: int) -> int:  # noqa: N802
        return 1590 if kind == self.NVML_CLOCK_SM else 5001

    def nvmlDeviceGetClockInfo(self, _handle: int, kind: int) -> int:  # noqa: N802
        return self._answer("nvmlDeviceGetClockInfo", self.sm_mhz if kind == self.NVML_CLOCK_SM else [5001])

    def nvmlDeviceGetPowerUsage(self, _handle: int) -> int:  # noqa: N802
        return self._answer("nvmlDeviceGetPowerUsage", [self.power_mw])

    def nvmlDeviceGetTotalEnergyConsumption(self, _handle: int) -> int:  # noqa: N802
        return self._answer("nvmlDeviceGetTotalEnergyConsumption", self.energy_mj)

    def nvmlDeviceGetMemoryInfo(self, _handle: int) -> Any:  # noqa: N802
        return SimpleNamespace(total=16 << 30, used=3 << 30, free=13 << 30)

    def nvmlDeviceGetUtilizationRates(self, _handle: int) -> Any:  # noqa: N802
        return SimpleNamespace(gpu=95, memory=40)

    def nvmlDeviceGetTemperature(self, _handle: int, _sensor: int) -> int:  # noqa: N802
        return 61

    def nvmlDeviceGetCurrentClocksEventReasons(self, _handle: int) -> int:  # noqa: N802
        return self._answer("nvmlDeviceGetCurrentClocksEventReasons", self.bits)

    def nvmlDeviceGetCurrentClocksThrottleReasons(self, _handle: int) -> int:  # noqa: N802
        return self._answer("nvmlDeviceGetCurrentClocksThrottleReasons", self.bits)


@pytest.fixture
def nvml(monkeypatch: pytest.MonkeyPatch) -> FakeNvml:
    fake = FakeNvml()
    monkeypatch.setitem(sys.modules, "pynvml", fake)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return fake


def test_the_fake_has_only_functions_that_the_library_has() -> None:
    """A test against functions that nvidia-ml-py never had would pass for ever."""
    pytest.importorskip("pynvml")
    real = importlib.import_module("pynvml")
    ours = {name for name in (*vars(FakeNvml), "NVMLError") if name.lower().startswith("nvml")}
    assert set() == {name for name in ours if not hasattr(real, name)}
    for name in ("NVML_CLOCK_SM", "NVML_CLOCK_MEM", "NVML_TEMPERATURE_GPU"):
        assert getattr(FakeNvml, name) == getattr(real, name)


def test_bits_mean_what_the_library_says() -> None:
    pytest.importorskip("pynvml")
    real = importlib.import_module("pynvml")
    theirs = {
        "GpuIdle": "gpu idle",
        "ApplicationsClocksSetting": "application clocks",
        "SwPowerCap": "power cap",
        "HwSlowdown": "hardware slowdown",
        "SyncBoost": "sync boost",
        "SwThermalSlowdown": "software thermal slowdown",
        "HwThermalSlowdown": "hardware thermal slowdown",
        "HwPowerBrakeSlowdown": "hardware power brake",
        "DisplayClockSetting": "display clocks",
    }
    for name, words in theirs.items():
        assert (words,) == reasons_in(getattr(real, f"nvmlClocksEventReason{name}"))
    assert len(REASONS) == len(set(REASONS.values()))


def test_energy_is_the_difference_of_the_counter(nvml: FakeNvml) -> None:
    nvml.energy_mj = [1_000_000, 1_045_000]
    meter = open_nvml("cuda", interval_s=0.005)
    meter.start()
    time.sleep(0.05)
    reading = meter.stop()
    assert (45.0, "counter") == (reading.energy_j, reading.energy_from)
    assert reading.samples > 2, "the thread has sampled between the first and the last"
    assert 3 << 30 == reading.memory_bytes
    assert 0.95 == pytest.approx(reading.utilisation)
    assert (1590.0, 1590.0, 1590.0) == reading.sm_mhz
    assert (5001.0, 5001.0, 5001.0) == reading.memory_mhz
    assert 61.0 == reading.temperature_c
    assert {"power cap": 1.0} == reading.slowed_by
    meter.close()
    assert 0 == nvml.open


def test_power_over_time_stands_in_for_a_counter_that_stands_still(nvml: FakeNvml) -> None:
    """The counter moves in steps: 0 J for a short window would be a free lunch."""
    for nvml.unsupported in (set(), {"nvmlDeviceGetTotalEnergyConsumption"}):
        ticks = iter(range(1000))
        meter = open_nvml("cuda:0", clock=lambda ticks=ticks: next(ticks) * 0.5, interval_s=60.0)  # type: ignore[misc]
        meter.start()
        reading = meter.stop()
        assert "power" == reading.energy_from
        assert reading.energy_j == pytest.approx(60.0 * reading.seconds)


def test_what_a_device_does_not_tell_is_none(nvml: FakeNvml) -> None:
    nvml.unsupported = {
        *("nvmlDeviceGetPowerUsage", "nvmlDeviceGetTotalEnergyConsumption", "nvmlDeviceGetClockInfo"),
        *("nvmlDeviceGetCurrentClocksEventReasons", "nvmlDeviceGetEnforcedPowerLimit"),
    }
    meter = open_nvml("cuda", interval_s=60.0)
    meter.start()
    reading = meter.stop()
    assert (None, None, None) == (reading.energy_j, reading.power_w, reading.sm_mhz)
    assert {"power cap": 1.0} == reading.slowed_by, "an older driver knows the older question"
    assert "power_limit_w" not in meter.describe()
    assert "550.54.15" == meter.describe()["driver"]


def test_reasons_are_shares_of_the_samples(nvml: FakeNvml) -> None:
    nvml.bits = [0x1, 0x44]
    meter = open_nvml("cuda", interval_s=60.0)
    meter.start()
    assert {"gpu idle": 0.5, "power cap": 0.5, "hardware thermal slowdown": 0.5} == meter.stop().slowed_by


def test_a_window_that_was_never_opened_has_no_length(nvml: FakeNvml) -> None:
    assert 0.0 == open_nvml("cuda").stop().seconds
    assert nvml.open == 1


@pytest.mark.parametrize(
    ("device", "visible", "uuid", "gpu"),
    [
        ("cuda", None, None, "NVIDIA T4"),
        ("cuda:1", None, None, "NVIDIA A100-SXM4-40GB"),
        ("cuda", "1", None, "NVIDIA A100-SXM4-40GB"),
        ("cuda:1", "1,0", None, "NVIDIA T4"),
        ("cuda", "GPU-bbbb", None, "NVIDIA A100-SXM4-40GB"),
        ("cuda", None, "bbbb", "NVIDIA A100-SXM4-40GB"),
    ],
)
def test_the_device_is_the_one_that_cuda_means(
    nvml: FakeNvml, monkeypatch: pytest.MonkeyPatch, device: str, visible: str | None, uuid: str | None, gpu: str
) -> None:
    """Reading the power of the GPU next to the one at work gives a fine number that is wrong."""
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert gpu == open_nvml(device, uuid=uuid).describe()["gpu"]
    assert nvml.open == 1


@pytest.mark.parametrize(
    ("device", "visible", "name", "words"),
    [
        ("cuda:7", None, None, "NVML does not know cuda:7: Invalid Argument"),
        ("cuda:1", "0", None, r"CUDA_VISIBLE_DEVICES names 1 device\(s\), none is cuda:1"),
        ("cuda", None, "NVIDIA A100-SXM4-40GB", "set CUDA_DEVICE_ORDER=PCI_BUS_ID"),
    ],
)
def test_an_unclear_device_is_not_guessed(
    nvml: FakeNvml, monkeypatch: pytest.MonkeyPatch, device: str, visible: str | None, name: str | None, words: str
) -> None:
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    with pytest.raises(NvmlUnavailableError, match=words):
        open_nvml(device, name=name)
    assert 0 == nvml.open, "NVML is let go of"


def test_names_with_and_without_the_maker_are_one(nvml: FakeNvml) -> None:
    nvml.names = ["Tesla T4"]
    assert "Tesla T4" == open_nvml("cuda", name="NVIDIA Tesla T4").describe()["gpu"]


def test_without_a_driver_or_the_library_it_is_said(nvml: FakeNvml, monkeypatch: pytest.MonkeyPatch) -> None:
    nvml.unsupported = {"nvmlInit"}
    with pytest.raises(NvmlUnavailableError, match="NVML does not start: Driver Not Loaded"):
        open_nvml("cuda")
    monkeypatch.setitem(sys.modules, "pynvml", None)
    with pytest.raises(NvmlUnavailableError, match="nvidia-ml-py is not installed"):
        open_nvml("cuda")


@pytest.mark.gpu
def test_a_real_gpu_tells_its_power_and_clocks() -> None:
    pytest.importorskip("pynvml")
    meter = open_nvml("cuda")
    meter.start()
    time.sleep(1.0)
    reading = meter.stop()
    meter.close()
    assert reading.power_w is not None
    assert 1.0 < reading.power_w < 2000.0
    assert reading.sm_mhz is not None
