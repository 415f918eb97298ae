"""Models of the user's own: found, called, checked, executed by every runtime that can."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from calibration.backends import open_session
from calibration.backends.input_specs import InputSpec, draw_items, parse_inputs
from calibration.backends.protocol import UnavailableError, Variant
from calibration.backends.sources import call, check_runtime, kind_of
from calibration.problems import InputError
from tests.calibration.backends.tiny import outputs_of

pytestmark = pytest.mark.usefixtures("here")


def write(name: str, text: str) -> None:
    Path(f"{name}.py").write_text(text)


def refusal(variant: Variant) -> str:
    with pytest.raises(InputError) as caught:
        open_session(variant)
    return str(caught.value)


def test_any_callable_is_timed_on_the_host() -> None:
    write(
        "ranker",
        "import numpy as np\n"
        "def ranker(width: int = 3, seed: int = 0):\n"
        "    weight = np.full(width, seed + 2.0)\n"
        "    return lambda x: x @ weight, lambda batch: np.arange(batch * width).reshape(batch, width)\n",
    )
    variant = Variant(model="ranker:ranker", runtime="python", sizes={"width": 2}, seed=1)
    session = open_session(variant)
    execution = session.prepare(3)
    execution.run()
    assert [[3.0], [15.0], [27.0]] == execution.outputs().tolist()
    assert ["compute"] == list(execution.run_parts())
    told = session.provenance()
    assert {"width": 2} == told["sizes"]
    assert "numpy" in told["versions"]
    session.close()


@pytest.mark.parametrize("runtime", ["torch", "torchscript", "onnxruntime"])
def test_a_module_of_pytorch_runs_wherever_pytorch_networks_run(runtime: str) -> None:
    torch = pytest.importorskip("torch")
    if runtime == "onnxruntime":
        pytest.importorskip("onnxruntime")
    write(
        "network",
        "import torch\n"
        "class Two(torch.nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.linear = torch.nn.Linear(4, 2)\n"
        "    def forward(self, x, scale):\n"
        "        return {'y': self.linear(x) * scale, 'norm': x.norm(dim=1)}\n"
        "def two():\n"
        "    torch.manual_seed(0)\n"
        "    return Two(), lambda batch: (torch.ones(batch, 4), torch.arange(batch)[:, None])\n",
    )
    found = outputs_of(Variant(model="network:two", runtime=runtime, threads=1), 3)
    torch.manual_seed(0)
    with torch.no_grad():
        row = torch.nn.Linear(4, 2)(torch.ones(4)).numpy()
    expected = np.column_stack((np.arange(3)[:, None] * row, np.full(3, 2.0)))
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_a_function_of_jax_is_compiled() -> None:
    jax = pytest.importorskip("jax")
    write(
        "functional",
        "import jax.numpy as jnp, numpy as np\n"
        "def functional(precision: str = 'fp32'):\n"
        "    kind = {'fp32': jnp.float32, 'bf16': jnp.bfloat16}[precision]\n"
        "    return lambda x: jnp.sin(x.astype(kind)), lambda batch: np.ones((batch, 2), np.float32)\n",
    )
    found = outputs_of(Variant(model="functional:functional", runtime="jax"), 2)
    np.testing.assert_allclose(found, np.full((2, 2), np.sin(1.0)), rtol=1e-6)
    low = outputs_of(Variant(model="functional:functional", runtime="jax", precision="bf16"), 2)
    assert float(jax.numpy.bfloat16(np.sin(1.0))) == pytest.approx(low[0, 0], rel=1e-2)
    assert low[0, 0] != found[0, 0]


def test_example_inputs_are_repeated_to_the_batch() -> None:
    write(
        "example",
        "import numpy as np\n"
        "def example():\n"
        "    return lambda x, y: (x + y)[:, 0], (np.array([[1.0, 2.0]]), np.array([[3.0]]))\n",
    )
    assert [[4.0]] * 5 == outputs_of(Variant(model="example:example", runtime="python"), 5).tolist()


def test_a_model_alone_is_served_by_inputs_of_the_command_line() -> None:
    write("alone", "def alone():\n    return lambda x: x.sum(axis=(1, 2))\n")
    variant = Variant(model="alone:alone", runtime="python", inputs={"x": "2x3:float32"})
    found = outputs_of(variant, 4)
    assert (4, 1) == found.shape
    np.testing.assert_array_equal(found[:2], outputs_of(variant, 2))


def test_a_precision_that_a_function_cannot_be_given_is_refused() -> None:
    """A callable that runs as it always does must not be filed as int8."""
    write("fixed", "def fixed():\n    return len, [[1]]\n")
    with pytest.raises(UnavailableError, match="Give it a parameter 'precision'"):
        open_session(Variant(model="fixed:fixed", runtime="python", precision="int8"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("def model():\n    return 3\n", "must return a model and its inputs, not int"),
        ("def model():\n    return 3, 4\n", "must return a model and its inputs, not tuple"),
        ("def model():\n    return len\n", "--input name=shape:type"),
        ("def model():\n    raise RuntimeError('no weights')\n", "failed: RuntimeError: no weights"),
        ("model = 3\n", "must be a function, not int"),
        ("import absent_library\n", "cannot be imported: ModuleNotFoundError: No module named 'absent_library'"),
        ("def other():\n    pass\n", "has no attribute 'model'"),
        ("def model(\n", "cannot be imported: SyntaxError"),
    ],
)
def test_a_function_that_is_of_no_use_is_told_why(text: str, said: str) -> None:
    write("useless", text)
    message = refusal(Variant(model="useless:model", runtime="python"))
    assert said in message
    assert "\n" not in message


def test_a_module_that_is_not_there_is_told() -> None:
    assert "No module named 'nowhere'" in refusal(Variant(model="nowhere:model", runtime="python"))


def test_sizes_that_a_function_does_not_take_are_named() -> None:
    write("sized", "def sized(width=3):\n    return len, [[1]]\n")
    message = refusal(Variant(model="sized:sized", runtime="python", sizes={"depth": 3}))
    assert "--size depth: is not a parameter of sized:sized (it takes width)" in message


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        ("lambda batch: np.ones((1, batch))", "first axis is the batch (3), not one of shape (1, 3)"),
        ("lambda batch: [1, 2, 3]", "first axis is the batch (3), not int"),
        ("lambda batch: 1 / 0", "could not make the inputs of a batch: ZeroDivisionError"),
    ],
)
def test_inputs_that_are_no_batch_are_refused(inputs: str, said: str) -> None:
    write("inputs", f"import numpy as np\ndef model():\n    return len, {inputs}\n")
    session = open_session(Variant(model="inputs:model", runtime="python"))
    with pytest.raises(InputError) as caught:
        session.prepare(3)
    assert said in str(caught.value)


def test_an_answer_that_is_no_batch_is_refused() -> None:
    write("answer", "import numpy as np\ndef model():\n    return lambda x: x.sum(), np.ones((1, 2))\n")
    session = open_session(Variant(model="answer:model", runtime="python"))
    with pytest.raises(InputError, match=r"first axis is the batch \(3\)"):
        session.prepare(3).outputs()


def test_a_callable_is_not_taken_for_a_network() -> None:
    pytest.importorskip("torch")
    write("plain", "import numpy as np\ndef model():\n    return np.sin, np.ones((1, 2))\n")
    assert "--runtime python" in refusal(Variant(model="plain:model"))


def test_current_folder_can_be_imported_from(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "inside.py").write_text("def model():\n    return len, [[1]]\n")
    for name in ("models.inside:model", "models/inside.py:model"):
        assert callable(call(Variant(model=name, runtime="python")).model)


def test_what_is_no_model_is_refused_with_those_that_are() -> None:
    with pytest.raises(InputError, match="Did you mean 'resnet50'"):
        kind_of("resnet-50")
    with pytest.raises(InputError, match="does not exist"):
        kind_of("absent.pt")


def test_a_file_is_not_executed_by_what_cannot_read_it() -> None:
    Path("network.onnx").write_bytes(b"")
    with pytest.raises(InputError, match="Give --runtime onnxruntime"):
        check_runtime(Variant(model="network.onnx", runtime="torch"))


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("3x224x224:float32", InputSpec(name="x", shape=(3, 224, 224), dtype="float32")),
        ("128:int64:30522", InputSpec(name="x", shape=(128,), dtype="int64", distinct=30522)),
        ("scalar:bool", InputSpec(name="x", shape=(), dtype="bool")),
    ],
)
def test_inputs_are_read_as_they_are_written(written: str, expected: InputSpec) -> None:
    assert (expected,) == parse_inputs({"x": written})


@pytest.mark.parametrize("written", ["", "3", "3:float99", "3x:float32", "axb:float32", "3:int64:-1"])
def test_inputs_that_cannot_be_read_are_refused(written: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_inputs({"x": written, "y": written})
    assert ["--input x", "--input y"] == [problem.path for problem in caught.value.problems]


def test_whole_numbers_are_below_what_was_said() -> None:
    specs = parse_inputs({"token": "1000:int64:7", "mask": "1000:int64", "flag": "1000:bool", "weight": "1000:float16"})
    token, mask, flag, weight = draw_items(specs, 0, 1)[0]
    assert set(range(7)) == set(token.tolist())
    assert {0, 1} == set(mask.tolist())
    assert {False, True} == set(flag.tolist())
    assert np.float16 == weight.dtype


def test_the_example_of_the_documentation_runs() -> None:
    from calibration.backends import sources

    text = str(sources.__doc__).split("::\n", 1)[1].split("``model`` is a", 1)[0]
    lines = [line[4:] for line in text.splitlines()]
    write(
        "mymodels",
        "class Ranker:\n"
        "    def __init__(self, candidates): self.candidates = candidates\n"
        "    def eval(self): return lambda x: x.sum(axis=(1, 2))\n",
    )
    write("documented", "\n".join(lines))
    variant: Any = Variant(model="documented:ranker", runtime="python", sizes={"candidates": 5})
    assert (2, 1) == outputs_of(variant, 2).shape
