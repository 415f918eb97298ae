"""JAX: platforms that are not there, and the path of an accelerator with the CPU standing in for it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from calibration.backends import open_session
from calibration.backends.protocol import OutOfMemoryError, UnavailableError
from tests.calibration.backends.tiny import outputs_of, tiny

jax = pytest.importorskip("jax")


@pytest.mark.parametrize(("device", "said"), [("tpu", r"jax\[tpu\]"), ("cuda", r"jax\[cuda12\]")])
def test_a_platform_that_is_absent_is_refused_with_those_that_are_there(device: str, said: str) -> None:
    if any(found.platform == {"cuda": "gpu"}.get(device, device) for found in jax.devices()):
        pytest.skip(f"there is a {device}")
    with pytest.raises(UnavailableError, match=rf"JAX finds no {device} here, only .*{said}"):
        open_session(tiny("bert-base", runtime="jax", device=device))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"device": "npu"}, "no device 'npu'"),
        ({"device": "cpu:7"}, "JAX finds"),
        ({"precision": "int8"}, "do not compute in int8"),
        ({"threads": 2}, "taskset"),
    ],
)
def test_what_jax_cannot_do_is_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(UnavailableError, match=said):
        open_session(tiny("bert-base", runtime="jax", **settings))


class Accelerator:
    """The CPU of JAX under the name of a TPU."""

    def __init__(self, device: Any, limit: int | None = None) -> None:
        self.device, self.platform, self.device_kind, self.client = device, "tpu", "TPU v5 lite", device.client
        self.limit = limit


@pytest.fixture
def tpu(monkeypatch: pytest.MonkeyPatch) -> Accelerator:
    """Stand in for a machine with one TPU: what is put on it lies on the CPU."""
    cpu = jax.devices("cpu")[0]
    accelerator, put, devices = Accelerator(cpu), jax.device_put, jax.devices
    monkeypatch.setattr(jax, "devices", lambda kind=None: [accelerator] if kind == "tpu" else devices(kind))
    monkeypatch.setattr(jax, "device_put", lambda value, device: put(value, getattr(device, "device", device)))
    return accelerator


def test_a_tpu_runs_the_same_code_and_its_copies_are_parts(tpu: Accelerator) -> None:
    session = open_session(tiny("decoder-decode", runtime="jax", device="tpu", precision="fp32"))
    execution = session.prepare(2)
    parts = execution.run_parts()
    assert ["preprocess", "input", "compute", "output", "postprocess"] == list(parts)
    told = session.provenance()
    assert (tpu.device_kind, "tpu") == (told["device"], told["platform"])
    assert "bf16" in told["notes"][0]
    assert {"2"} == set(told["compile_s"])
    # At the least the weights and the cache must be in the program's memory.
    assert (session.memory_bytes() or 0) > 4 * told["parameters"]
    expected = outputs_of(tiny("decoder-decode", runtime="jax"), 2)
    np.testing.assert_allclose(execution.outputs(), expected, atol=1e-6)
    session.close()


def test_a_batch_that_xla_cannot_place_is_told(tpu: Accelerator, monkeypatch: pytest.MonkeyPatch) -> None:
    def exhausted(*_: Any) -> Any:
        raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Ran out of memory in memory space hbm.")

    session = open_session(tiny("bert-base", runtime="jax", device="tpu"))
    monkeypatch.setattr(jax, "device_put", exhausted)
    with pytest.raises(OutOfMemoryError, match="tpu has not enough memory for a batch of 4: RESOURCE_EXHAUSTED"):
        session.prepare(4)
    assert tpu.platform == "tpu"
    session.close()


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["fp32", "fp16", "bf16"])
@pytest.mark.parametrize("model", ["bert-base", "resnet50", "decoder-prefill", "decoder-decode"])
def test_on_an_accelerator_jax_computes_what_the_cpu_computes(model: str, precision: str) -> None:
    kinds = {"gpu": "cuda", "tpu": "tpu"}
    device = next((kinds[found.platform] for found in jax.devices() if found.platform in kinds), None)
    if device is None:
        pytest.skip("JAX finds no accelerator")
    expected = outputs_of(tiny(model, runtime="jax"), 3)
    found = outputs_of(tiny(model, runtime="jax", device=device, precision=precision), 3)
    assert np.abs(found - expected).max() <= 3e-2 * np.abs(expected).max()
