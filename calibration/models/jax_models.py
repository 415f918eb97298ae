"""The built-in models in JAX: the same functions of the same weights as in PyTorch, for any platform that XLA knows.

A model is a function ``(weights, input, *cache) -> (logits, cache)``, where weights go by the names of
:func:`calibration.models.weights.weights_of`, and the cache is empty but for a decoder's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from calibration.models.sizes import ROTARY_BASE
from calibration.models.weights import RESNET50_BLOCKS

if TYPE_CHECKING:
    from jax import Array

    Weights = Mapping[str, Array]
    Model = Callable[..., tuple[Array, tuple[Array, ...]]]


def model_of(model: str, sizes: Mapping[str, int]) -> Model:
    """The built-in model of these sizes as a function that JAX can compile."""
    networks: Mapping[str, Callable[..., Any]] = {"bert-base": _bert, "resnet50": _resnet50}
    network: Callable[..., Any] = networks.get(model, _decoder)

    def apply(weights: Weights, value: Array, *cache: Array) -> tuple[Array, tuple[Array, ...]]:
        if model in networks:
            return network(weights, sizes, value), ()
        logits, updated = network(weights, sizes, value, cache)
        return logits, updated

    return apply


def _bert(weights: Weights, sizes: Mapping[str, int], token: Array) -> Array:
    """Token ids (batch, length) to logits (batch, classes): Devlin et al. (2019)."""
    import jax
    import jax.numpy as jnp

    batch, length = token.shape
    heads, hidden = sizes["heads"], sizes["hidden"]
    embedded = weights["tokens.weight"][token] + weights["positions.weight"][:length] + weights["segments.weight"][0]
    state = _layer_norm(weights, "norm", embedded)
    for layer in range(sizes["layers"]):
        name = f"layers.{layer}"

        def by_head(part: str, name: str = name, state: Array = state) -> Array:
            return _linear(weights, f"{name}.{part}", state).reshape(batch, length, heads, hidden // heads)

        key, value = (by_head(part).swapaxes(1, 2) for part in ("key", "value"))
        mixed = _linear(weights, f"{name}.mix", _attended(by_head("query"), key, value))
        state = _layer_norm(weights, f"{name}.norm_mix", state + mixed)
        inner = jax.nn.gelu(_linear(weights, f"{name}.up", state), approximate=False)
        state = _layer_norm(weights, f"{name}.norm_ffn", state + _linear(weights, f"{name}.down", inner))
    pooled = jnp.tanh(_linear(weights, "pooler", state[:, 0]))
    return _linear(weights, "classifier", pooled)


def _resnet50(weights: Weights, sizes: Mapping[str, int], image: Array) -> Array:
    """Images (batch, 3, side, side) to logits (batch, classes): He et al. (2016), strides as in v1.5."""
    import jax
    import jax.numpy as jnp

    del sizes  # the weights have them
    relu = jax.nn.relu
    state = relu(_convolution(weights, "stem", image, stride=2))
    state = jax.lax.reduce_window(
        state, -jnp.inf, jax.lax.max, (1, 1, 3, 3), (1, 1, 2, 2), ((0, 0), (0, 0), (1, 1), (1, 1))
    )
    for stage, blocks in enumerate(RESNET50_BLOCKS):
        for block in range(blocks):
            name = f"stages.{stage}.{block}"
            stride = 2 if stage and not block else 1
            inner = relu(_convolution(weights, f"{name}.reduce", state))
            inner = relu(_convolution(weights, f"{name}.spatial", inner, stride))
            inner = _convolution(weights, f"{name}.expand", inner)
            kept = state if block else _convolution(weights, f"{name}.shortcut", state, stride)
            state = relu(inner + kept)
    return _linear(weights, "classifier", state.mean(axis=(2, 3)))


def _decoder(
    weights: Weights, sizes: Mapping[str, int], token: Array, cache: tuple[Array, ...]
) -> tuple[Array, tuple[Array, ...]]:
    """Newest tokens (batch, tokens) to logits after the last (batch, vocab), and the cache with them in it."""
    import jax
    import jax.numpy as jnp

    batch, length = token.shape
    heads, kv_heads, hidden = sizes["heads"], sizes["kv_heads"], sizes["hidden"]
    context, width = sizes.get("context_tokens", 0), hidden // heads
    state = weights["tokens.weight"][token]
    angle = jnp.outer(context + jnp.arange(length), ROTARY_BASE ** (-jnp.arange(0, width, 2) / width))
    updated: list[Array] = []
    for layer in range(sizes["layers"]):
        name = f"layers.{layer}"
        normed = _rms_norm(weights, f"{name}.norm_mix", state)
        query = _linear(weights, f"{name}.query", normed).reshape(batch, length, heads, width)
        key = _linear(weights, f"{name}.key", normed).reshape(batch, length, kv_heads, width)
        value = _linear(weights, f"{name}.value", normed).reshape(batch, length, kv_heads, width)
        query, key = _turned(query, angle), _turned(key, angle)
        for new, old in zip((key, value), cache[2 * layer : 2 * layer + 2], strict=True):
            updated.append(jax.lax.dynamic_update_slice(old, new.swapaxes(1, 2), (0, 0, context, 0)))
        mixed = _attended(query, *updated[-2:], causal=length > 1)
        state = state + _linear(weights, f"{name}.mix", mixed)
        normed = _rms_norm(weights, f"{name}.norm_ffn", state)
        gated = jax.nn.silu(_linear(weights, f"{name}.gate", normed)) * _linear(weights, f"{name}.up", normed)
        state = state + _linear(weights, f"{name}.down", gated)
    return _linear(weights, "head", _rms_norm(weights, "norm", state[:, -1])), tuple(updated)


def _attended(query: Array, key: Array, value: Array, *, causal: bool = False) -> Array:
    """Grouped-query attention: queries (batch, tokens, heads, width) on keys (batch, kv_heads, all tokens, width)."""
    import jax
    import jax.numpy as jnp

    batch, length, heads, width = query.shape
    kv_heads, tokens = key.shape[1], key.shape[2]
    grouped = query.reshape(batch, length, kv_heads, heads // kv_heads, width) * width**-0.5
    score = jnp.einsum("btkgd,bksd->bkgts", grouped, key).astype(jnp.float32)
    if causal:
        score = jnp.where(jnp.tril(jnp.ones((length, tokens), bool)), score, -jnp.inf)
    share = jax.nn.softmax(score, axis=-1).astype(value.dtype)
    return jnp.einsum("bkgts,bksd->btkgd", share, value).reshape(batch, length, heads * width)


def _linear(weights: Weights, name: str, value: Array) -> Array:
    import jax.numpy as jnp

    product = jnp.einsum("...i,oi->...o", value, weights[f"{name}.weight"])
    bias = weights.get(f"{name}.bias")
    return product if bias is None else product + bias


def _convolution(weights: Weights, name: str, image: Array, stride: int = 1) -> Array:
    """A convolution and its batch normalisation, with the running statistics."""
    import jax

    kernel = weights[f"{name}.convolution.weight"]
    edge = kernel.shape[-1] // 2
    made = jax.lax.conv_general_dilated(
        image,
        kernel,
        window_strides=(stride, stride),
        padding=((edge, edge), (edge, edge)),
        dimension_numbers=("NCHW", "OIHW", "NCHW"),
    )
    scale = weights[f"{name}.norm.weight"] * jax.lax.rsqrt(weights[f"{name}.norm.running_var"] + _BATCH_EPSILON)
    shift = weights[f"{name}.norm.bias"] - weights[f"{name}.norm.running_mean"] * scale
    return made * scale[:, None, None] + shift[:, None, None]


_BATCH_EPSILON: Final = 1e-5
_LAYER_EPSILON: Final = 1e-12
_RMS_EPSILON: Final = 1e-5


def _layer_norm(weights: Weights, name: str, value: Array) -> Array:
    import jax
    import jax.numpy as jnp

    wide = value.astype(jnp.float32)
    centred = wide - wide.mean(-1, keepdims=True)
    normed = centred * jax.lax.rsqrt(jnp.square(centred).mean(-1, keepdims=True) + _LAYER_EPSILON)
    return normed.astype(value.dtype) * weights[f"{name}.weight"] + weights[f"{name}.bias"]


def _rms_norm(weights: Weights, name: str, value: Array) -> Array:
    import jax
    import jax.numpy as jnp

    wide = value.astype(jnp.float32)
    normed = wide * jax.lax.rsqrt(jnp.square(wide).mean(-1, keepdims=True) + _RMS_EPSILON)
    return normed.astype(value.dtype) * weights[f"{name}.weight"]


def _turned(heads: Array, angle: Array) -> Array:
    """Rotary positions (Su et al., 2021, equation 15) of (batch, tokens, heads, width)."""
    import jax.numpy as jnp

    cosine, sine = (part(angle).astype(heads.dtype)[:, None, :] for part in (jnp.cos, jnp.sin))
    left, right = jnp.split(heads, 2, axis=-1)
    return jnp.concatenate((left * cosine - right * sine, right * cosine + left * sine), axis=-1)
