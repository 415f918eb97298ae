"""ONNX Runtime: files, what they say and do not say, CUDA that is not there."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from calibration.backends import onnx_backend, onnx_exports, onnx_models, open_session
from calibration.backends.onnx_backend import OnnxExecution
from calibration.backends.protocol import OutOfMemoryError, UnavailableError, Variant
from calibration.backends.torch_variants import network_of
from calibration.models.sizes import sizes_of
from calibration.problems import InputError
from tests.calibration.backends.tiny import TINY, outputs_of, tiny

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")


ROOT = Path(__file__).resolve().parents[3]

RUN = onnx_exports._run
"""Before conftest.py replaces it."""


def write_product(file: Path, shape: list[str | int | None], *, kind: int | None = None) -> np.ndarray[Any, Any]:
    """Write the product of ``x`` with a matrix of 4 x 3 as an ONNX file, and give the matrix."""
    kind = onnx.TensorProto.FLOAT if kind is None else kind
    matrix = np.arange(12, dtype=onnx.helper.tensor_dtype_to_np_dtype(kind)).reshape(4, 3)
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("MatMul", ["x", "matrix"], ["y"])],
        "product",
        [onnx.helper.make_tensor_value_info("x", kind, shape)],
        [onnx.helper.make_tensor_value_info("y", kind, None)],
        [onnx.numpy_helper.from_array(matrix, "matrix")],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, file)
    return matrix


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "product.onnx"


def of_file(file: Path, **settings: Any) -> Variant:
    return Variant(**{"model": str(file), "runtime": "onnxruntime", "threads": 1, **settings})


def test_a_file_says_which_inputs_it_takes(file: Path) -> None:
    matrix = write_product(file, ["batch", 4])
    session = open_session(of_file(file))
    execution: Any = session.prepare(3)
    execution.run()
    expected = execution._feeds["x"] @ matrix
    assert (3, 4) == execution._feeds["x"].shape
    np.testing.assert_allclose(execution.outputs(), expected, rtol=1e-5)
    assert {"preprocess", "compute", "postprocess"} == set(execution.run_parts())
    assert {"x": [4, "float32"]} == session.provenance()["inputs"]
    assert ["CPUExecutionProvider"] == session.provenance()["providers"]
    session.close()
    np.testing.assert_allclose(outputs_of(of_file(file), 1), expected[:1], rtol=1e-5)


def test_an_axis_that_a_file_only_names_is_as_long_as_the_user_says(file: Path) -> None:
    write_product(file, ["batch", "length", 4])
    with pytest.raises(InputError, match="Give --size length=N, or --input x=128:float32"):
        open_session(of_file(file))
    assert (2, 5 * 3) == outputs_of(of_file(file, sizes={"length": 5}), 2).shape
    assert (2, 7 * 3) == outputs_of(of_file(file, inputs={"x": "7x4:float32"}), 2).shape


def test_a_size_or_an_input_that_a_file_does_not_have_is_refused(file: Path) -> None:
    write_product(file, ["batch", "length", 4])
    with pytest.raises(InputError) as caught:
        open_session(of_file(file, sizes={"lenght": 5}, inputs={"y": "4:float32"}))
    assert {"--input y", "--size lenght", "--model"} == {problem.path for problem in caught.value.problems}
    assert "Did you mean 'length'?" in str(caught.value)


def test_a_file_with_its_batch_built_in_takes_no_other(file: Path) -> None:
    write_product(file, [2, 4])
    session = open_session(of_file(file))
    session.prepare(2).run()
    with pytest.raises(InputError, match="has a batch of 2 built in, and takes none of 3"):
        session.prepare(3)
    session.close()


@pytest.mark.parametrize(("kind", "held"), [("FLOAT", "fp32"), ("FLOAT16", "fp16")])
def test_the_precision_of_a_file_is_that_of_its_weights(file: Path, kind: str, held: str) -> None:
    write_product(file, ["batch", 4], kind=getattr(onnx.TensorProto, kind))
    assert held == onnx_models.precision_of(str(file))


def test_a_file_is_not_run_under_the_name_of_another_precision(file: Path) -> None:
    """A profile that says fp32 of fp16 weights would be compared with what it is not."""
    write_product(file, ["batch", 4], kind=onnx.TensorProto.FLOAT16)
    with pytest.raises(InputError, match="holds weights in fp16, which are not turned into fp32"):
        open_session(of_file(file))


def test_a_file_in_fp32_is_quantised_on_demand(file: Path) -> None:
    write_product(file, ["batch", 4])
    session = open_session(of_file(file, precision="int8"))
    assert "1 MatMulInteger" in session.provenance()["notes"][0]
    session.close()
    exact, found = outputs_of(of_file(file), 3), outputs_of(of_file(file, precision="int8"), 3)
    assert 0 < np.abs(found - exact).max() <= 0.05 * np.abs(exact).max()


def test_what_is_no_onnx_file_is_refused(file: Path) -> None:
    file.write_text("no model")
    with pytest.raises(InputError, match="is no ONNX file"):
        open_session(of_file(file))
    with pytest.raises(InputError, match="does not exist"):
        open_session(of_file(file.with_name("absent.onnx")))


@pytest.mark.parametrize("precision", ["fp16", "bf16"])
def test_a_precision_that_the_cpu_would_only_emulate_is_refused(precision: str) -> None:
    with pytest.raises(UnavailableError, match=f"fp32 and int8 on cpu, not in {precision}"):
        open_session(tiny("bert-base", runtime="onnxruntime", precision=precision))


@pytest.mark.parametrize(("device", "said"), [("cuda", "onnxruntime-gpu"), ("tpu", "cpu, cuda or cuda:N")])
def test_a_device_without_a_provider_is_refused(monkeypatch: pytest.MonkeyPatch, device: str, said: str) -> None:
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    with pytest.raises(UnavailableError, match=said):
        open_session(tiny("bert-base", runtime="onnxruntime", device=device))


def test_a_session_that_fell_back_to_the_cpu_is_refused(monkeypatch: pytest.MonkeyPatch, file: Path) -> None:
    """ONNX Runtime falls back with a line in its log when CUDA's libraries do not load."""
    write_product(file, ["batch", 4])
    session = onnxruntime.InferenceSession
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider"])
    monkeypatch.setattr(
        onnxruntime, "InferenceSession", lambda path, options, **_: session(path, options, ["CPUExecutionProvider"])
    )
    with pytest.raises(UnavailableError, match="could not start its provider for CUDA"):
        open_session(of_file(file, device="cuda"))


class FakeValue:
    """An array that is said to be on the device."""

    def __init__(self, array: np.ndarray[Any, Any]) -> None:
        self.array = array.copy()

    def update_inplace(self, array: np.ndarray[Any, Any]) -> None:
        """Copy to the device."""
        self.array[...] = array


class FakeBinding:
    """Inputs and outputs bound to a device, and the order in which it was used."""

    def __init__(self) -> None:
        self.inputs: dict[str, FakeValue] = {}
        self.order: list[str] = []
        self.produced: list[Any] = []

    def bind_ortvalue_input(self, name: str, value: FakeValue) -> None:
        """Bind an input."""
        self.inputs[name] = value

    def bind_output(self, name: str, kind: str, number: int) -> None:
        """Bind an output."""
        self.order.append(f"bind {name} to {kind}:{number}")

    def synchronize_inputs(self) -> None:
        """Wait."""
        self.order.append("inputs")

    def synchronize_outputs(self) -> None:
        """Wait."""
        self.order.append("outputs")

    def copy_outputs_to_cpu(self) -> list[Any]:
        """Copy back."""
        self.order.append("copy")
        return self.produced


def test_on_cuda_every_part_waits_for_the_device(monkeypatch: pytest.MonkeyPatch, file: Path) -> None:
    """Without waiting, the time of a part would be counted to the next."""
    matrix = write_product(file, ["batch", 4])
    session: Any = open_session(of_file(file))
    executable, binding = session._executable, FakeBinding()

    class FakeExecutable:
        get_inputs, get_outputs = executable.get_inputs, executable.get_outputs

        def io_binding(self) -> FakeBinding:
            return binding

        def run_with_iobinding(self, bound: FakeBinding) -> None:
            bound.order.append("run")
            bound.produced = [bound.inputs["x"].array @ matrix]

    monkeypatch.setattr(onnxruntime.OrtValue, "ortvalue_from_numpy", staticmethod(lambda array, *_: FakeValue(array)))
    execution: Any = OnnxExecution(FakeExecutable(), session._source, of_file(file, device="cuda:1"), 2)
    parts = execution.run_parts()
    assert ["preprocess", "input", "compute", "output", "postprocess"] == list(parts)
    assert ["bind y to cuda:1", "inputs", "run", "outputs", "copy"] == binding.order
    np.testing.assert_allclose(execution.outputs(), outputs_of(of_file(file), 2), rtol=1e-5)
    session.close()


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@pytest.mark.parametrize("model", ["bert-base", "resnet50", "decoder-prefill", "decoder-decode"])
def test_on_a_gpu_onnx_runtime_computes_what_the_cpu_computes(model: str, precision: str) -> None:
    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        pytest.skip("this ONNX Runtime has no provider for CUDA")
    pytest.importorskip("torch")
    expected = outputs_of(tiny(model), 3)
    found = outputs_of(tiny(model, runtime="onnxruntime", device="cuda", precision=precision), 3)
    assert np.abs(found - expected).max() <= 1e-2 * np.abs(expected).max()


def test_a_built_in_model_is_exported_once_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    variant = tiny("decoder-decode", runtime="onnxruntime", precision="int8")
    session = open_session(variant)
    notes = " ".join(session.provenance()["notes"])
    session.close()
    assert "exported from PyTorch" in notes
    assert "copies it" in notes
    assert "MatMulInteger" in notes
    (kept,) = (tmp_path / "headroom" / "onnx").iterdir()
    assert ["facts.json", "int8.onnx"] == sorted(path.name for path in kept.iterdir())

    monkeypatch.setattr(onnx_exports, "_run", None)  # would fail
    open_session(variant).close()
    with pytest.raises(TypeError):
        open_session(tiny("decoder-decode", runtime="onnxruntime", precision="int8", seed=1))


@pytest.mark.parametrize("model", TINY)
def test_an_export_in_fp16_computes_in_fp16(tmp_path: Path, model: str) -> None:
    """One operator of the exporter's in fp32 turns all after it into fp32, and the half-width weights hide it."""
    pytest.importorskip("torch")
    variant = tiny(model)
    path, _ = onnx_exports.export(network_of(variant), "fp16", tmp_path)
    graph = onnx.shape_inference.infer_shapes(onnx.load(path)).graph
    types = {value.name: value.type.tensor_type.elem_type for value in (*graph.value_info, *graph.output)}
    products = {types[node.output[0]] for node in graph.node if node.op_type in {"MatMul", "Gemm", "Conv", "Softmax"}}
    assert {onnx.TensorProto.FLOAT16} == products

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    source = onnx_backend.built_in_source(variant, ())
    execution = OnnxExecution(session, source, variant, 3)
    expected = outputs_of(variant, 3)
    assert np.abs(execution.outputs() - expected).max() <= 4e-3 * np.abs(expected).max()


def test_an_export_in_a_process_of_its_own_leaves_pytorch_there(tmp_path: Path) -> None:
    """Who measures ONNX Runtime must not measure PyTorch's memory."""
    pytest.importorskip("torch")
    program = (
        "import sys\n"
        "from calibration.backends import open_session\n"
        "from calibration.backends.protocol import Variant\n"
        f"session = open_session({tiny('bert-base', runtime='onnxruntime')!r})\n"
        "print(session.prepare(1).outputs().shape, 'torch' in sys.modules)\n"
    )
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment, check=False)
    assert "(1, 5) False\n" == ran.stdout, ran.stderr


@pytest.mark.parametrize(
    ("program", "kind", "said"),
    [
        ('print(\'{"error": "no such operator"}\')', UnavailableError, "cannot be exported to ONNX: no such operator"),
        ('print(\'{"memory": "too large"}\')', OutOfMemoryError, "too large"),
        ("import os; os._exit(9)", UnavailableError, "without an answer .exit code 9."),
    ],
)
def test_an_export_that_fails_says_so_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str, kind: type[Exception], said: str
) -> None:
    pytest.importorskip("torch")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(onnx_exports, "_run", RUN)
    variant = tiny("bert-base", runtime="onnxruntime")
    with pytest.raises(kind, match=said):
        onnx_exports.kept_export(variant, sizes_of(variant.model, variant.sizes), (sys.executable, "-c", program))
    assert [] == list((tmp_path / "headroom" / "onnx").iterdir())


def test_an_export_that_nobody_used_for_a_week_is_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folder = tmp_path / "headroom" / "onnx"
    for name, days in (("old", 8), ("new", 6)):
        (folder / name).mkdir(parents=True)
        (folder / name / "facts.json").touch()
        then = time.time() - days * 86_400
        os.utime(folder / name / "facts.json", (then, then))
    open_session(tiny("bert-base", runtime="onnxruntime")).close()
    assert ["new"] == sorted(path.name for path in folder.iterdir() if not path.name.startswith("bert"))
