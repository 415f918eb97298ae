"""One model, whatever executes it: runtimes agree, rows are independent, a cache changes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from calibration.backends.protocol import Session, UnavailableError
from calibration.models.batches import items, kv_cache
from calibration.models.sizes import BUILT_IN, sizes_of
from tests.calibration.backends.tiny import TINY, open_session, outputs_of, tiny

RUNTIMES = {"torch": "torch", "torchscript": "torch", "onnxruntime": "onnxruntime", "jax": "jax"}
"""Runtimes, and what must be installed for them beside torch."""

PRECISIONS = {
    "torch": ("fp32", "fp16", "bf16", "int8"),
    "torchscript": ("fp32", "fp16", "bf16", "int8"),
    "onnxruntime": ("fp32", "int8"),
    "jax": ("fp32", "fp16", "bf16"),
}
"""What each computes in on a CPU."""

TOLERANCE = {"fp32": 1e-5, "fp16": 4e-3, "bf16": 3e-2, "int8": 1e-1}
"""Largest difference from fp32, as a share of the largest output: about ten times what is seen."""

LONG_TO_COMPILE = [
    ("resnet50", "torchscript"),
    ("resnet50", "jax"),
    ("decoder-prefill", "jax"),
    ("decoder-decode", "jax"),
]
"""Tested in fp32 alone; the other precisions are tested on the other models."""

VARIANTS = [
    pytest.param(model, runtime, precision, id=f"{model}-{runtime}-{precision}")
    for model in BUILT_IN
    for runtime, precisions in PRECISIONS.items()
    for precision in precisions
    if precision == "fp32" or (model, runtime) not in LONG_TO_COMPILE
]


@pytest.fixture(scope="module")
def expected() -> dict[str, Any]:
    """Outputs of each model for three items, by PyTorch in fp32."""
    pytest.importorskip("torch")
    return {model: outputs_of(tiny(model), 3) for model in BUILT_IN}


@pytest.fixture
def session(model: str, runtime: str, precision: str) -> Iterator[Session]:
    pytest.importorskip("torch")
    pytest.importorskip(RUNTIMES[runtime])
    opened = open_session(tiny(model, runtime=runtime, precision=precision))
    yield opened
    opened.close()


@pytest.mark.parametrize(("model", "runtime", "precision"), VARIANTS)
def test_every_runtime_and_precision_computes_the_same_row_for_an_item_in_any_batch(
    session: Session, model: str, runtime: str, precision: str, expected: dict[str, Any]
) -> None:
    """A variant that computes something else would be compared in speed with what it is not."""
    near = TOLERANCE[precision] * np.abs(expected[model]).max()
    three = session.prepare(3)
    three.run()
    assert expected[model].shape == three.outputs().shape
    assert np.abs(three.outputs() - expected[model]).max() <= near

    parts = three.run_parts()
    assert {"preprocess", "compute", "postprocess"} == set(parts)
    assert all(part > 0 for part in parts.values())
    assert np.abs(three.outputs() - expected[model]).max() <= near

    if (model, runtime) in LONG_TO_COMPILE and runtime == "jax":
        return
    # Dynamic quantisation finds its range in the whole batch: there a row does depend on the others, a little.
    assert np.abs(session.prepare(1).outputs() - expected[model][:1]).max() <= near


@pytest.mark.parametrize("runtime", ["torch", "jax"])
def test_decoding_with_a_cache_gives_what_reading_everything_gives(runtime: str) -> None:
    """A cache that is written or read in the wrong place would be timed, and be of no use."""
    pytest.importorskip(runtime)
    step = {"torch": _torch_step, "jax": _jax_step}[runtime]
    shared = {name: size for name, size in TINY["decoder-prefill"].items() if name != "prompt_tokens"}
    token = items("decoder-prefill", sizes_of("decoder-prefill", {**shared, "prompt_tokens": 9}), 0, 3)
    prompt = np.stack([item[0] for item in token])

    whole, _ = step("decoder-prefill", {**shared, "prompt_tokens": 9}, prompt, None)
    _, cache = step("decoder-prefill", {**shared, "prompt_tokens": 8}, prompt[:, :8], None)
    room = [np.concatenate((array, np.zeros_like(array[:, :, :1])), axis=2) for array in cache]
    newest, _ = step("decoder-decode", {**shared, "context_tokens": 8}, prompt[:, 8:], room)
    np.testing.assert_allclose(newest, whole, atol=1e-6)


def _torch_step(model: str, overrides: dict[str, int], token: Any, cache: Any) -> tuple[Any, list[Any]]:
    import torch

    from calibration.models.torch_models import build

    sizes = sizes_of(model, overrides)
    kept = [torch.from_numpy(array) for array in cache or kv_cache(model, sizes, 0, len(token))]
    with torch.inference_mode():
        logits = build(model, sizes, 0)(torch.from_numpy(token), *kept)
    return logits.numpy(), [array.numpy() for array in kept]


def _jax_step(model: str, overrides: dict[str, int], token: Any, cache: Any) -> tuple[Any, list[Any]]:
    import jax

    from calibration.models.jax_models import model_of
    from calibration.models.weights import draw, weights_of

    sizes = sizes_of(model, overrides)
    kept = cache or kv_cache(model, sizes, 0, len(token))
    weights = draw(weights_of(model, sizes), 0)
    logits, updated = jax.jit(model_of(model, sizes))(weights, token.astype(np.int32), *kept)
    return np.asarray(logits), [np.asarray(array) for array in updated]


def test_attention_sees_no_later_token() -> None:
    """The logits after a prompt must not change when tokens are put behind it; only the last are given, so shorten."""
    pytest.importorskip("torch")
    shared = {name: size for name, size in TINY["decoder-prefill"].items() if name != "prompt_tokens"}
    prompt = np.arange(12).reshape(2, 6)
    _, long = _torch_step("decoder-prefill", {**shared, "prompt_tokens": 6}, prompt, None)
    _, short = _torch_step("decoder-prefill", {**shared, "prompt_tokens": 4}, prompt[:, :4], None)
    for whole, part in zip(long, short, strict=True):
        np.testing.assert_allclose(whole[:, :, :4], part, atol=1e-6)


@pytest.mark.parametrize("runtime", ["torch", "onnxruntime", "jax"])
def test_other_inputs_can_be_put_in_place_of_those_drawn(runtime: str) -> None:
    """Two variants are compared on what the user gives, too."""
    pytest.importorskip("torch")
    pytest.importorskip(runtime)
    session = open_session(tiny("bert-base", runtime=runtime))
    execution: Any = session.prepare(2)
    drawn = execution.outputs()
    token = np.stack([item[0] for item in items("bert-base", sizes_of("bert-base", TINY["bert-base"]), 0, 2)])
    execution.put([token[::-1]])
    np.testing.assert_allclose(execution.outputs(), drawn[::-1], atol=1e-6)
    with pytest.raises(ValueError, match="takes 2x8 as input 1, not 2x9"):
        execution.put([np.zeros((2, 9))])
    session.close()


def test_a_runtime_that_is_not_known_is_refused_with_those_that_are() -> None:
    with pytest.raises(UnavailableError, match="torch, torch-compile, torchscript, onnxruntime, jax, python"):
        open_session(tiny("bert-base", runtime="tensorflow"))
