"""Frameworks that execute models: each a module, imported when a variant asks for it.

:func:`open_session` is the door; :mod:`calibration.backends.protocol` says what a session does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from calibration.backends.protocol import Session, UnavailableError, Variant
from calibration.source import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable

RUNTIMES = ("torch", "torch-compile", "torchscript", "onnxruntime", "jax", "python")
"""What can execute a model."""


def open_session(variant: Variant) -> Session:
    """Load a model as the variant says.

    Raises
    ------
    UnavailableError
        When the framework, the device or the precision cannot be had here.
    InputError
        When there is no such model, or its sizes or inputs do not fit it.
    OutOfMemoryError
        When the device cannot hold the model.
    """
    return _opener(variant.runtime)(variant)


def _opener(runtime: str) -> Callable[[Variant], Session]:
    if runtime in {"torch", "torch-compile", "torchscript"}:
        from calibration.backends.torch_backend import open_torch

        return open_torch
    if runtime == "onnxruntime":
        from calibration.backends.onnx_backend import open_onnx

        return open_onnx
    if runtime == "jax":
        from calibration.backends.jax_backend import open_jax

        return open_jax
    if runtime == "python":
        from calibration.backends.python_backend import open_python

        return open_python
    known = ", ".join(RUNTIMES)
    raise UnavailableError(f"There is no runtime '{runtime}'; there are {known}. {did_you_mean(runtime, RUNTIMES)}")
