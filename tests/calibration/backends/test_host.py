"""What the machine under a framework says of itself."""

from __future__ import annotations

import sys
import weakref
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from calibration.backends import host
from calibration.backends.host import memory_errors
from calibration.backends.protocol import OutOfMemoryError

INTEL = """processor\t: 0
model name\t: Intel(R) Xeon(R) Platinum 8480+
flags\t\t: fpu avx2 avx512f avx512_bf16 amx_bf16 avx512_fp16
"""
"""From Linux's /proc/cpuinfo on x86, shortened."""

OLD_INTEL = "model name\t: Intel(R) Xeon(R) CPU E5-2686 v4\nflags\t\t: fpu avx2\n"

ARM = "processor\t: 0\nBogoMIPS\t: 243.75\nFeatures\t: fp asimd bf16\n"
"""On Arm there is neither a model's name nor a line of flags."""


@pytest.fixture
def cpuinfo(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "_cpuinfo", lambda: request.param)


@pytest.mark.usefixtures("cpuinfo")
@pytest.mark.parametrize(
    ("cpuinfo", "name"),
    [(INTEL, "Intel(R) Xeon(R) Platinum 8480+"), (OLD_INTEL, "Intel(R) Xeon(R) CPU E5-2686 v4")],
    indirect=["cpuinfo"],
)
def test_the_processor_is_named_as_linux_names_it(name: str) -> None:
    assert name == host.cpu_name()


@pytest.mark.usefixtures("cpuinfo")
@pytest.mark.parametrize("cpuinfo", [ARM, ""], indirect=True)
def test_a_processor_without_a_name_has_that_of_its_architecture(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.processor", lambda: "")
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    assert "aarch64" == host.cpu_name()


@pytest.mark.usefixtures("cpuinfo")
@pytest.mark.parametrize(
    ("cpuinfo", "emulated"), [(INTEL, []), (OLD_INTEL, ["fp16", "bf16"]), (ARM, [])], indirect=["cpuinfo"]
)
def test_a_precision_without_instructions_is_told(emulated: list[str]) -> None:
    """A half-width model that is slower than the whole one would puzzle whoever reads the profile."""
    assert emulated == [name for name in ("fp32", "fp16", "bf16", "int8") if host.emulated_on_cpu(name)]


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory: you tried"),
        Exception("[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : Failed to allocate memory for requested buffer"),
        ValueError("RESOURCE_EXHAUSTED: Out of memory allocating 68719476736 bytes"),
        RuntimeError("std::bad_alloc"),
    ],
)
def test_frameworks_say_in_their_own_ways_that_memory_ran_out(error: Exception) -> None:
    with (
        pytest.raises(OutOfMemoryError, match="cuda has not enough memory for a batch of 64"),
        memory_errors(64, "cuda"),
    ):
        raise error
    with pytest.raises(OutOfMemoryError, match="not enough memory for the model"), memory_errors(None, "cuda"):
        raise error


def test_other_errors_stay_what_they_are() -> None:
    with pytest.raises(KeyError, match="weights"), memory_errors(1, "cpu"):
        raise KeyError("weights")


def test_what_did_fit_is_let_go_when_a_batch_does_not() -> None:
    """Else the tensors of the failed batch would stay alive in the error, and the next, smaller one fail too."""

    class Tensor:
        pass

    kept: list[Any] = []

    def allocate() -> None:
        tensor = Tensor()
        kept.append(weakref.ref(tensor))
        raise RuntimeError("CUDA out of memory")

    with pytest.raises(OutOfMemoryError) as caught, memory_errors(8, "cuda"):
        allocate()
    assert caught.value is not None
    assert kept[0]() is None


def test_the_peak_of_memory_begins_anew_at_the_reset() -> None:
    if host.peak_memory_bytes() is None:
        pytest.skip("this system does not tell")
    host.reset_peak_memory()
    block = bytearray(64 << 20)
    high = host.peak_memory_bytes()
    del block
    host.reset_peak_memory()
    low = host.peak_memory_bytes()
    assert high is not None
    assert low is not None
    if high - low < 1 << 20:
        pytest.skip("this kernel does not let the peak be reset")
    assert high - low > 32 << 20


@pytest.fixture
def nvml(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """NVML of a machine with one GPU; what was asked of it."""
    asked: list[str] = []
    fake = SimpleNamespace(
        nvmlInit=lambda: asked.append("init"),
        nvmlShutdown=lambda: asked.append("shutdown"),
        nvmlSystemGetDriverVersion=lambda: "550.90.07",
        nvmlDeviceGetHandleByIndex=lambda number: number,
        nvmlDeviceGetName=lambda number: f"Tesla T4 #{number}",
    )
    monkeypatch.setitem(sys.modules, "pynvml", fake)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return asked


def test_nvml_tells_driver_and_device_and_is_shut_again(nvml: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert ("550.90.07", "Tesla T4 #1") == (host.nvidia_driver(), host.nvidia_device(1))
    assert ["init", "shutdown"] * 2 == nvml
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    assert host.nvidia_device(0) is None


def test_without_nvml_the_kernel_module_tells_the_driver(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    version = tmp_path / "version"
    version.write_text("NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.161.08  Tue Mar  5 22:42:15 UTC 2024\n")
    monkeypatch.setitem(sys.modules, "pynvml", None)
    monkeypatch.setattr(host, "_NVIDIA_VERSION", version)
    assert "535.161.08" == host.nvidia_driver()
    monkeypatch.setattr(host, "_NVIDIA_VERSION", tmp_path / "absent")
    assert host.nvidia_driver() is None
