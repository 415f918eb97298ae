"""What does the name of a model mean: one that is built in, a function of the user's, a file?

A function of the user's, ``module:function``, is called once and returns ``(model, inputs)``::

    import numpy as np
    from mymodels import Ranker

    def ranker(candidates: int = 100):
        model = Ranker(candidates).eval()
        return model, lambda batch: np.zeros((batch, candidates, 64), np.float32)

``model`` is a ``torch.nn.Module`` (for the runtimes torch, torch-compile, torchscript and onnxruntime), a function that
JAX can compile (jax), or any callable at all (python: timed on the host until it returns). ``inputs`` is a function of
the batch size that gives one array, or a tuple of several that the model takes in order, each with the batch as its
first axis; or it is such arrays for a batch of one, which are then repeated. A function that returns the model alone,
for instance ``torchvision.models:resnet50``, is served by ``--input image=3x224x224:float32``. What ``--size name=N``
gives is passed by name, and ``device`` and ``seed`` where the function has parameters so called; under jax and python,
which cannot cast what they know nothing of, ``precision`` too. The current directory can be imported from.
"""

from __future__ import annotations

import importlib
import inspect
import os
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from calibration.backends.input_specs import draw_items, parse_inputs
from calibration.backends.protocol import UnavailableError
from calibration.models.sizes import BUILT_IN
from calibration.problems import InputError, Problem
from calibration.source import COMMAND_LINE, did_you_mean, file_problem, printable

if TYPE_CHECKING:
    import numpy.typing as npt

    from calibration.backends.protocol import Variant
    from calibration.models.batches import Item

Kind = Literal["built-in", "function", "torchscript", "onnx"]

FILES: Final[Mapping[str, Kind]] = {".pt": "torchscript", ".ts": "torchscript", ".onnx": "onnx"}
"""Which files hold a model, by how their names end."""

RUNTIMES: Final[Mapping[Kind, tuple[str, ...]]] = {
    "built-in": ("torch", "torch-compile", "torchscript", "onnxruntime", "jax"),
    "function": ("torch", "torch-compile", "torchscript", "onnxruntime", "jax", "python"),
    "torchscript": ("torchscript",),
    "onnx": ("onnxruntime",),
}
"""Which runtimes execute which models; the first is what runs where nobody chose."""


@dataclass(frozen=True, kw_only=True)
class Called:
    """What a function of the user's gave."""

    model: Any
    """A callable: what it takes and gives is its framework's."""
    inputs: Callable[[int], tuple[Any, ...]]
    """The inputs of a batch, each an array with the batch first."""
    sizes: Mapping[str, int] = field(default_factory=dict)
    """What ``--size`` passed to it."""


def kind_of(model: str) -> Kind:
    """Is this a built-in model, a function of the user's, or a file?

    >>> kind_of("bert-base"), kind_of("shop.models:ranker")
    ('built-in', 'function')

    Raises
    ------
    InputError
        When it is none of them, or the file cannot be opened.
    """
    if model in BUILT_IN:
        return "built-in"
    ending = Path(model).suffix.lower()
    if ending in FILES:
        if found := file_problem(model):
            raise model_error(model, *found)
        return FILES[ending]
    if ":" in model:
        return "function"
    remedy = did_you_mean(model, BUILT_IN)
    known = f"is none of {', '.join(BUILT_IN)}, no module:function, and no file ending in {', '.join(FILES)}"
    raise model_error(model, known, remedy)


def check_runtime(variant: Variant) -> Kind:
    """Which kind of model is this, one that its runtime can execute?

    Raises
    ------
    InputError
        When it is no model, or the runtime does not take its kind.
    """
    kind = kind_of(variant.model)
    if variant.runtime not in RUNTIMES[kind]:
        name = {"built-in": "a built-in model", "function": "a function"}.get(kind, "such a file")
        remedy = f"Give --runtime {' or '.join(RUNTIMES[kind])}."
        raise model_error(variant.model, f"is {name}, which {variant.runtime} does not execute", remedy)
    return kind


def call(variant: Variant, *, with_precision: bool = False) -> Called:
    """Import the module of a ``module:function``, call the function, and check what it returns.

    With ``with_precision`` the precision is the function's affair, and it must take it where it is not fp32.

    Raises
    ------
    InputError
        When it cannot be imported, does not take the sizes, fails, or returns something else.
    """
    function = _imported(variant.model)
    sizes = dict(variant.sizes or {})
    try:
        returned = function(**_arguments(function, variant, sizes, with_precision=with_precision))
    except (InputError, UnavailableError):
        raise
    except Exception as error:
        raise model_error(variant.model, f"failed: {_said(error)}", "") from error
    model, make = _model_and_inputs(variant, returned)

    def checked(batch: int) -> tuple[Any, ...]:
        try:
            made = make(batch)
        except Exception as error:
            raise model_error(variant.model, f"could not make the inputs of a batch: {_said(error)}", "") from error
        arrays = tuple(made) if isinstance(made, tuple | list) else (made,)
        for array in arrays:
            shape = getattr(array, "shape", None)
            if shape is None or not len(shape) or shape[0] != batch:
                found = f"one of shape {tuple(shape)}" if shape is not None else type(array).__name__
                rule = f"must give arrays whose first axis is the batch ({batch}), not {found}"
                raise model_error(variant.model, rule, "")
        return arrays

    return Called(model=model, inputs=checked, sizes=sizes)


def items_of(arrays: tuple[Any, ...], batch: int) -> list[Item]:
    """The inputs of each request in the inputs of a batch, as NumPy arrays."""
    import numpy as np

    columns = [np.array(as_numpy(array)) for array in arrays]  # copied: PyTorch warns of arrays it may not write to
    return [tuple(column[row, ...] for column in columns) for row in range(batch)]


def items_with(items: Sequence[Item], arrays: Sequence[Any], model: str) -> list[Item]:
    """The items with other values for their first inputs: one array an input, one row an item.

    Raises
    ------
    InputError
        When the arrays are not of the inputs' shapes.
    """
    import numpy as np

    if len(arrays) > len(items[0]):
        raise model_error(model, f"takes at most {len(items[0])} arrays, not {len(arrays)}", "")
    placed = []
    for number, array in enumerate(arrays):
        drawn = items[0][number]
        shape = (len(items), *drawn.shape)
        if tuple(array.shape) != shape:
            sides = "x".join(map(str, shape))
            raise model_error(model, f"takes {sides} as input {number + 1}, not {'x'.join(map(str, array.shape))}", "")
        placed.append(np.array(array, dtype=drawn.dtype))
    return [(*(array[row, ...] for array in placed), *item[len(placed) :]) for row, item in enumerate(items)]


def model_error(model: str, rule: str, remedy: str) -> InputError:
    """The error that a model cannot be used, as the command line names it."""
    return InputError([Problem(COMMAND_LINE, None, None, "--model", rule, printable(model), remedy)])


def _imported(name: str) -> Callable[..., Any]:
    module_name, _, path = name.partition(":")
    folder = os.getcwd()
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        found: Any = importlib.import_module(module_name.removesuffix(".py").replace("/", "."))
        for part in path.split("."):
            found = getattr(found, part)
    except Exception as error:
        remedy = "Write it as it is imported, module:function, and start where the module can be imported from."
        raise model_error(name, f"cannot be imported: {_said(error)}", remedy) from error
    if not callable(found):
        raise model_error(name, f"must be a function, not {type(found).__name__}", "")
    function: Callable[..., Any] = found
    return function


def _arguments(
    function: Callable[..., Any], variant: Variant, sizes: Mapping[str, int], *, with_precision: bool
) -> dict[str, Any]:
    parameters = inspect.signature(function).parameters
    takes_all = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    unknown = [name for name in sizes if name not in parameters and not takes_all]
    if unknown:
        known = ", ".join(parameters) or "nothing"
        rule = f"is not a parameter of {variant.model} (it takes {known})"
        raise InputError([Problem(COMMAND_LINE, None, None, f"--size {name}", rule) for name in unknown])
    offered: dict[str, Any] = {"device": variant.device, "seed": variant.seed}
    if with_precision:
        offered["precision"] = variant.precision
        if variant.precision != "fp32" and "precision" not in parameters:
            remedy = "Give it a parameter 'precision', or leave --precision out."
            raise UnavailableError(f"{variant.model} does not let its precision be chosen. {remedy}")
    return {**{name: value for name, value in offered.items() if name in parameters}, **sizes}


def _model_and_inputs(variant: Variant, returned: Any) -> tuple[Any, Callable[[int], Any]]:
    """The two things that a function of the user's returned, or that the command line says of its inputs."""
    if variant.inputs and callable(returned):
        specs = parse_inputs(variant.inputs)
        return returned, lambda batch: stacked(draw_items(specs, variant.seed, batch))
    if isinstance(returned, tuple) and len(returned) == 2 and callable(returned[0]):
        model, inputs = returned
        return model, inputs if callable(inputs) else _repeated(inputs)
    remedy = "Return (model, inputs), where inputs is a function of the batch size, or give --input name=shape:type."
    raise model_error(variant.model, f"must return a model and its inputs, not {type(returned).__name__}", remedy)


def stacked(items: Sequence[Item]) -> tuple[Any, ...]:
    """The inputs of a batch from those of its items."""
    import numpy as np

    return tuple(np.stack(column) for column in zip(*items, strict=True))


def _repeated(example: Any) -> Callable[[int], tuple[Any, ...]]:
    arrays = tuple(example) if isinstance(example, tuple | list) else (example,)

    def make(batch: int) -> tuple[Any, ...]:
        import numpy as np

        return tuple(np.repeat(as_numpy(array)[:1], batch, axis=0) for array in arrays)

    return make


def as_numpy(array: Any) -> npt.NDArray[Any]:
    """A NumPy array of what may be a tensor of PyTorch, on any device, or an array of JAX."""
    import numpy as np

    return np.asarray(array.detach().cpu() if hasattr(array, "detach") else array)


def _said(error: Exception) -> str:
    """An error of the user's code on one line, with where it was raised."""
    text = " ".join(str(error).split())[:300]
    frames = traceback.extract_tb(error.__traceback__)
    theirs = bool(frames) and frames[-1].filename != __file__
    place = f" ({printable(frames[-1].filename)}:{frames[-1].lineno})" if theirs else ""
    return f"{type(error).__name__}: {text}{place}"
