"""What does an ONNX file say of itself: in which precision are its weights, which inputs does it take?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from calibration.backends.input_specs import InputSpec, parse_inputs
from calibration.backends.onnx_exports import onnx_package
from calibration.backends.sources import model_error
from calibration.problems import InputError, Problem
from calibration.source import COMMAND_LINE, did_you_mean

if TYPE_CHECKING:
    from calibration.backends.protocol import Variant


def precision_of(path: str) -> str:
    """The precision in which most of a file's weights are kept: fp32, fp16, bf16 or int8.

    Raises
    ------
    InputError
        When the file is no ONNX model.
    """
    onnx = onnx_package()
    try:
        graph = onnx.load(path, load_external_data=False).graph
    except Exception as error:  # protobuf raises errors of its own
        raise model_error(path, f"is no ONNX file: {' '.join(str(error).split())[:200]}", "") from None
    kinds = onnx.TensorProto
    names = {kinds.FLOAT: "fp32", kinds.DOUBLE: "fp32", kinds.FLOAT16: "fp16", kinds.BFLOAT16: "bf16"}
    names |= {kinds.INT8: "int8", kinds.UINT8: "int8"}
    numbers: dict[str, int] = {}
    for weight in graph.initializer:
        name = names.get(weight.data_type)
        size = 1
        for side in weight.dims:
            size *= side
        if name is not None:
            numbers[name] = numbers.get(name, 0) + size
    return max(numbers, key=lambda name: numbers[name], default="fp32")


_TYPES: Final = {
    "tensor(float)": "float32",
    "tensor(float16)": "float16",
    "tensor(double)": "float64",
    "tensor(int64)": "int64",
    "tensor(int32)": "int32",
    "tensor(int8)": "int8",
    "tensor(uint8)": "uint8",
    "tensor(bool)": "bool",
}


def input_specs(variant: Variant, inputs: Sequence[Any]) -> tuple[tuple[InputSpec, ...], int | None]:
    """What does a file take: each input of one item; and the one batch size that it is fixed at, if it is.

    Axes that the file only names are as long as ``--size NAME=N`` says; ``--input`` overrules all.

    Raises
    ------
    InputError
        With every axis whose length nobody said.
    """
    told = {spec.name: spec for spec in parse_inputs(variant.inputs or {})}
    sizes = dict(variant.sizes or {})
    specs: list[InputSpec] = []
    problems: list[Problem] = []
    fixed: set[int] = set()
    for given in inputs:
        first, *axes = given.shape or [None]
        if isinstance(first, int):
            fixed.add(first)
        if given.name in told:
            specs.append(told[given.name])
            continue
        if given.type not in _TYPES:
            raise model_error(variant.model, f"takes {given.name} as {given.type}, which cannot be made up", "")
        lengths = [axis if isinstance(axis, int) else sizes.get(str(axis)) for axis in axes]
        for axis, length in zip(axes, lengths, strict=True):
            if length is None:
                problems.append(_unknown_length(variant, given, str(axis)))
        shape = tuple(length or 0 for length in lengths)
        specs.append(InputSpec(name=given.name, shape=shape, dtype=_TYPES[given.type]))
    problems += _unused(told, [given.name for given in inputs], "--input", "input")
    named = [str(axis) for given in inputs for axis in given.shape[1:] if isinstance(axis, str)]
    problems += _unused(sizes, named, "--size", "axis")
    if problems:
        raise InputError(problems)
    return tuple(specs), min(fixed) if fixed else None


def _unknown_length(variant: Variant, given: Any, axis: str) -> Problem:
    rule = f"does not say how long axis {axis} of {given.name} is"
    shape = f"--input {given.name}=128:{_TYPES[given.type]}"
    remedy = f"Give {shape}." if axis == "None" else f"Give --size {axis}=N, or {shape}."
    return Problem(COMMAND_LINE, None, None, "--model", rule, variant.model, remedy)


def _unused(told: Mapping[str, Any], known: Sequence[str], option: str, what: str) -> list[Problem]:
    listed = ", ".join(dict.fromkeys(known)) or "none"
    rule = f"is no {what} of this model ({listed})"
    return [
        Problem(COMMAND_LINE, None, None, f"{option} {name}", rule, None, did_you_mean(name, known))
        for name in told
        if name not in known
    ]
