"""PyTorch: devices and precisions that are not to be had, CUDA's parts, files, torch.compile."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from calibration.backends import open_session, torch_backend
from calibration.backends.protocol import OutOfMemoryError, UnavailableError, Variant
from calibration.backends.torch_runtimes import without_deprecations
from calibration.problems import InputError
from tests.calibration.backends.tiny import outputs_of, tiny

torch = pytest.importorskip("torch")


@pytest.fixture
def one_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand in for a machine with one CUDA device."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)


def refusal(variant: Variant) -> str:
    """What the variant is refused with."""
    with pytest.raises(UnavailableError) as caught:
        open_session(variant)
    return str(caught.value)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_cuda_that_is_absent_is_refused_with_what_would_mend_it() -> None:
    said = refusal(tiny("bert-base", device="cuda"))
    assert "cannot use CUDA" in said
    assert "--device cpu" in said


@pytest.mark.usefixtures("one_gpu")
def test_the_second_of_one_gpu_is_refused() -> None:
    assert "finds cuda:0 to cuda:0" in refusal(tiny("bert-base", device="cuda:1"))


@pytest.mark.usefixtures("one_gpu")
def test_int8_is_refused_on_cuda_and_not_run_as_something_else() -> None:
    assert "--precision fp16 or bf16, or --device cpu" in refusal(tiny("bert-base", device="cuda", precision="int8"))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"device": "tpu"}, "--runtime jax"),
        ({"device": "cuda:x"}, "no device 'cuda:x'"),
        ({"device": "npu"}, "no device 'npu'"),
        ({"precision": "fp8"}, "there are fp32, fp16, bf16, int8"),
    ],
)
def test_what_pytorch_cannot_do_is_refused(settings: dict[str, str], said: str) -> None:
    assert said in refusal(tiny("bert-base", **settings))


def test_pytorch_that_is_absent_is_refused_with_the_extra_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> Any:
        raise ModuleNotFoundError(f"No module named '{name}'", name=name)

    monkeypatch.setattr("importlib.import_module", absent)
    assert "headroom-sim[torch]" in refusal(tiny("bert-base"))


class FakeEvent:
    """Tells the order in which events were recorded as their time in ms."""

    recorded: list[FakeEvent]

    def __init__(self, *, enable_timing: bool) -> None:
        assert enable_timing

    def record(self) -> None:
        """Take the next number."""
        FakeEvent.recorded.append(self)

    def elapsed_time(self, later: FakeEvent) -> float:
        """How many events were recorded from this to the later one."""
        return float(FakeEvent.recorded.index(later) - FakeEvent.recorded.index(self))


def test_on_cuda_the_parts_lie_between_four_events_and_are_read_after_the_device_has_finished(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An event that is read before it has happened raises; a part left out would be counted to its neighbour."""
    FakeEvent.recorded, waited = [], []
    monkeypatch.setattr(torch.cuda, "Event", FakeEvent)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: waited.append((device, len(FakeEvent.recorded))))
    monkeypatch.setattr(torch_backend, "_pinned_like", torch.empty_like)
    session = open_session(tiny("decoder-decode"))
    execution: Any = session.prepare(2)
    execution.run()
    expected = execution.outputs()
    execution._on_cuda = True
    for array in execution.inputs[:1]:
        array.zero_()  # so that only a copy brings the tokens back

    parts = execution.run_parts()
    assert ["preprocess", "input", "compute", "output", "postprocess"] == list(parts)
    assert (1.0, 1.0, 1.0) == (parts["input"], parts["compute"], parts["output"])
    assert [(execution.device, 4)] == waited
    assert np.array_equal(expected, execution.outputs())
    execution.run_parts()
    assert 2 == len(waited)
    session.close()


@pytest.mark.gpu
@pytest.mark.parametrize("runtime", ["torch", "torch-compile", "torchscript"])
@pytest.mark.parametrize("precision", ["fp32", "fp16", "bf16"])
@pytest.mark.parametrize("model", ["bert-base", "resnet50", "decoder-prefill", "decoder-decode"])
def test_on_a_gpu_every_variant_computes_what_the_cpu_computes(model: str, runtime: str, precision: str) -> None:
    if not torch.cuda.is_available():
        pytest.skip("there is no CUDA device")
    session = open_session(tiny(model, device="cuda", runtime=runtime, precision=precision))
    execution = session.prepare(3)
    execution.run()
    expected = outputs_of(tiny(model), 3)
    assert np.abs(execution.outputs() - expected).max() <= 3e-2 * np.abs(expected).max()
    assert {"preprocess", "input", "compute", "output", "postprocess"} == set(execution.run_parts())
    assert (session.memory_bytes() or 0) > 0
    assert {"device", "driver", "versions", "cudnn_allow_tf32"} <= set(session.provenance())
    session.close()


@pytest.mark.gpu
def test_on_a_gpu_a_batch_too_large_is_told_and_a_smaller_one_runs_after_it() -> None:
    if not torch.cuda.is_available():
        pytest.skip("there is no CUDA device")
    session = open_session(Variant(model="resnet50", device="cuda", sizes={"width": 8, "image_size": 2048}))
    free, _ = torch.cuda.mem_get_info()
    with pytest.raises(OutOfMemoryError):
        session.prepare(int(free // (3 * 2048 * 2048 * 4)) + 1).run()
    session.prepare(1).run()
    session.close()


def test_memory_that_runs_out_in_the_allocator_is_told_with_the_batch() -> None:
    """The CPU's allocator raises a RuntimeError like any other; only its words tell what it is."""
    session = open_session(tiny("bert-base"))
    execution: Any = session.prepare(1)
    execution.module = lambda _: torch.empty(1 << 60)
    with pytest.raises(OutOfMemoryError, match=r"cpu has not enough memory for a batch of 1: .*allocate"):
        execution.run()
    session.close()


def test_threads_are_those_asked_for_and_pytorch_has_its_own_again_after() -> None:
    before = torch.get_num_threads()
    session = open_session(tiny("bert-base", threads=before + 1))
    assert before + 1 == torch.get_num_threads() == session.provenance()["threads"]
    session.close()
    assert before == torch.get_num_threads()


def test_provenance_says_what_ran_on_what() -> None:
    session = open_session(tiny("bert-base", precision="int8", seed=3))
    told = session.provenance()
    session.close()
    assert ("bert-base", "torch", "int8", 3) == tuple(told[key] for key in ("model", "runtime", "precision", "seed"))
    assert torch.__version__ == told["versions"]["torch"]
    assert 32 == told["sizes"]["hidden"]
    assert told["device"]
    assert "cudnn_allow_tf32" not in told


def test_parameters_are_those_of_the_model_whatever_became_of_it() -> None:
    counts = set()
    for settings in ({}, {"precision": "int8"}, {"runtime": "torchscript"}):
        session = open_session(tiny("bert-base", **settings))
        counts.add(session.provenance()["parameters"])
        session.close()
    assert 1 == len(counts)


def test_dynamic_quantisation_says_that_it_leaves_convolutions_alone() -> None:
    """A ResNet in int8 is hardly faster than in fp32, and the profile must say why."""
    session = open_session(tiny("resnet50", precision="int8"))
    (note,) = session.provenance()["notes"]
    session.close()
    assert "1 of 107 layers" in note
    assert "the others in fp32" in note


def test_memory_of_a_cpu_is_the_process_peak_since_prepare() -> None:
    session = open_session(tiny("bert-base"))
    execution: Any = session.prepare(1)
    before = session.memory_bytes()
    if before is None:
        pytest.skip("this system does not tell")
    execution.module = lambda _: torch.ones(64 << 20, dtype=torch.uint8).sum().reshape(1)
    execution.run()
    after = session.memory_bytes()
    session.close()
    assert after is not None
    assert after - before > 32 << 20


def test_a_torchscript_file_is_executed_as_it_was_saved(tmp_path: Path) -> None:
    layer = torch.nn.Linear(6, 4).eval()
    file = tmp_path / "layer.pt"
    with without_deprecations():
        torch.jit.save(torch.jit.trace(layer, torch.zeros(2, 6)), file)
    variant = Variant(model=str(file), runtime="torchscript", inputs={"x": "6:float32"}, threads=1)
    session = open_session(variant)
    execution: Any = session.prepare(3)
    execution.run()
    with torch.inference_mode():
        expected = layer(*execution.inputs).numpy()
    np.testing.assert_allclose(execution.outputs(), expected, rtol=1e-6)
    assert 28 == session.provenance()["parameters"]
    session.close()
    half = outputs_of(Variant(**{**vars(variant), "precision": "bf16"}), 3)
    np.testing.assert_allclose(half, expected, atol=5e-2)


def test_a_file_that_is_no_torchscript_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "weights.pt"
    torch.save({"weight": torch.zeros(2)}, file)
    variant = Variant(model=str(file), runtime="torchscript", inputs={"x": "6:float32"})
    with pytest.raises(InputError, match="is no TorchScript file"):
        open_session(variant)


def test_a_torchscript_file_needs_to_be_told_its_inputs(tmp_path: Path) -> None:
    file = tmp_path / "layer.ts"
    file.write_bytes(b"")
    with pytest.raises(InputError, match="--input name=shape:type"):
        open_session(Variant(model=str(file), runtime="torchscript"))


def test_a_frozen_file_is_not_cast_without_a_word(tmp_path: Path) -> None:
    file = tmp_path / "frozen.pt"
    with without_deprecations():
        torch.jit.save(torch.jit.freeze(torch.jit.trace(torch.nn.Linear(6, 4).eval(), torch.zeros(2, 6))), file)
    variant = Variant(model=str(file), runtime="torchscript", inputs={"x": "6:float32"})
    for precision, said in (("fp16", "cannot be cast"), ("int8", "cannot be quantised")):
        assert said in refusal(Variant(**{**vars(variant), "precision": precision}))


@pytest.mark.usefixtures("here")
def test_a_compiled_model_is_compiled_for_each_batch(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """After eight shapes PyTorch gives up and runs eagerly, without a word: each batch must start afresh."""
    shapes = []

    def backend(graph: Any, example: list[Any]) -> Any:
        shapes.append(next(tuple(value.shape) for value in example if value.shape[-1:] == (6,) and value.dim() == 2))
        return graph.forward

    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=backend))
    (tmp_path / "narrow_model.py").write_text(
        "import torch\ndef narrow():\n    return torch.nn.Softmax(dim=1), lambda batch: torch.ones(batch, 6)\n"
    )
    session = open_session(Variant(model="narrow_model:narrow", runtime="torch-compile", threads=1))
    for batch in range(1, 13):
        execution = session.prepare(batch)
        execution.run()
        execution.run()
    session.close()
    assert [(batch, 6) for batch in range(1, 13)] == shapes


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fp32", "bf16", "int8"])
@pytest.mark.parametrize("model", ["bert-base", "decoder-decode"])
def test_a_compiled_model_computes_what_the_eager_one_computes(model: str, precision: str) -> None:
    """Short sibling: test_a_compiled_model_is_compiled_for_each_batch, which needs no C++ compiler."""
    expected = outputs_of(tiny(model, precision=precision), 3)
    found = outputs_of(tiny(model, precision=precision, runtime="torch-compile"), 3)
    assert np.abs(found - expected).max() <= 2e-2 * np.abs(expected).max()


def test_without_a_compiler_torch_compile_is_refused_before_it_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda _: None)
    assert "apt-get install g++" in refusal(tiny("bert-base", runtime="torch-compile"))
