"""A stack of decoder blocks with a KV cache in PyTorch: one step of prefill, or one step of decode."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from calibration.models.sizes import ROTARY_BASE

if TYPE_CHECKING:
    from torch import Tensor, nn


def decoder(sizes: Mapping[str, int]) -> nn.Module:
    """Newest tokens (batch, tokens) and the KV cache to logits after the last (batch, vocab).

    The cache comes as keys and values of each layer in turn, as :func:`calibration.models.batches.kv_cache` makes
    them, and is written in place. Without one the tokens attend to themselves alone. In an ONNX export, which knows no
    writing in place, new keys and values are joined to a cache that holds just the context.
    """
    from torch import nn

    layer, width = _layer(sizes), sizes["hidden"] // sizes["heads"]

    class Decoder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.tokens = nn.Embedding(sizes["vocab"], sizes["hidden"])
            self.layers = nn.ModuleList(layer() for _ in range(sizes["layers"]))
            self.norm = nn.RMSNorm(sizes["hidden"], eps=_EPSILON)
            self.head = nn.Linear(sizes["hidden"], sizes["vocab"], bias=False)
            cosine, sine = _rotations(sizes.get("context_tokens", 0), sizes.get("prompt_tokens", 1), width)
            self.register_buffer("cosine", cosine, persistent=False)
            self.register_buffer("sine", sine, persistent=False)

        def forward(self, token: Tensor, *cache: Tensor) -> Tensor:
            state = self.tokens(token)
            for number, block in enumerate(self.layers):
                state = block(state, self.cosine, self.sine, *cache[2 * number : 2 * number + 2])
            logits: Tensor = self.head(_normalised(state[:, -1], self.norm))
            return logits

    return Decoder()


_EPSILON: Final = 1e-5


def _layer(sizes: Mapping[str, int]) -> type[nn.Module]:
    from torch import nn
    from torch.nn import functional

    hidden, heads, kv_heads = sizes["hidden"], sizes["heads"], sizes["kv_heads"]
    width, ffn, context = hidden // heads, sizes["ffn"], sizes.get("context_tokens", 0)

    class Layer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm_mix = nn.RMSNorm(hidden, eps=_EPSILON)
            self.query = nn.Linear(hidden, hidden, bias=False)
            self.key = nn.Linear(hidden, kv_heads * width, bias=False)
            self.value = nn.Linear(hidden, kv_heads * width, bias=False)
            self.mix = nn.Linear(hidden, hidden, bias=False)
            self.norm_ffn = nn.RMSNorm(hidden, eps=_EPSILON)
            self.gate = nn.Linear(hidden, ffn, bias=False)
            self.up = nn.Linear(hidden, ffn, bias=False)
            self.down = nn.Linear(ffn, hidden, bias=False)

        def forward(self, state: Tensor, cosine: Tensor, sine: Tensor, *cache: Tensor) -> Tensor:
            batch, length, _ = state.shape
            normed = _normalised(state, self.norm_mix)
            query = self.query(normed).view(batch, length, heads, width).transpose(1, 2)
            key = self.key(normed).view(batch, length, kv_heads, width).transpose(1, 2)
            value = self.value(normed).view(batch, length, kv_heads, width).transpose(1, 2)
            query, key = _turned(query, cosine, sine), _turned(key, cosine, sine)
            if cache:
                key, value = _remembered(cache[0], key, context), _remembered(cache[1], value, context)
            state = state + self.mix(_attended(query, key, value).reshape(batch, length, hidden))
            normed = _normalised(state, self.norm_ffn)
            fed: Tensor = state + self.down(functional.silu(self.gate(normed)) * self.up(normed))
            return fed

    return Layer


def _attended(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Grouped-query attention of the newest tokens: (batch, tokens, heads, width)."""
    import torch
    from torch.nn.functional import scaled_dot_product_attention

    batch, heads, length, width = query.shape
    kv_heads, tokens = key.shape[1], key.shape[2]
    if length == 1:
        # The heads of a group stand where several tokens would: one pass over the cache serves them all.
        grouped = query.reshape(batch, kv_heads, heads // kv_heads, width)
        return scaled_dot_product_attention(grouped, key, value).reshape(batch, 1, heads, width)

    def for_every_head(shared: Tensor) -> Tensor:
        wide = shared[:, :, None].expand(batch, kv_heads, heads // kv_heads, tokens, width)
        return wide.reshape(batch, heads, tokens, width)

    key, value = for_every_head(key), for_every_head(value)
    if torch.onnx.is_in_onnx_export():  # whose own causal mask is in fp32, and turns everything after it into that
        later = torch.full((length, tokens), float("-inf"), dtype=query.dtype).triu(1)
        return scaled_dot_product_attention(query, key, value, attn_mask=later).transpose(1, 2)
    return scaled_dot_product_attention(query, key, value, is_causal=True).transpose(1, 2)


def _remembered(cache: Tensor, newest: Tensor, context: int) -> Tensor:
    """The cache with the newest tokens behind the context."""
    import torch

    if torch.onnx.is_in_onnx_export():
        return torch.cat((cache, newest), dim=2)
    cache[:, :, context : context + newest.shape[2]] = newest
    return cache


def _rotations(context: int, tokens: int, width: int) -> tuple[Tensor, Tensor]:
    """Cosine and sine of each newest token's position and each pair of channels (Su et al., 2021, equation 15)."""
    import torch

    position = torch.arange(context, context + tokens, dtype=torch.float64, device="cpu")
    pair = torch.arange(0, width, 2, dtype=torch.float64, device="cpu")
    angle = torch.outer(position, ROTARY_BASE ** (-pair / width))
    return angle.cos().float(), angle.sin().float()


def _turned(heads: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    import torch

    left, right = heads.chunk(2, dim=-1)
    return torch.cat((left * cosine - right * sine, right * cosine + left * sine), dim=-1)


def _normalised(state: Tensor, norm: nn.Module) -> Tensor:
    """Root-mean-square normalisation: PyTorch's own, or in the operators that ONNX has."""
    import torch

    if not torch.onnx.is_in_onnx_export():
        normed: Tensor = norm(state)
        return normed
    wide = state.float() if state.dtype == torch.float16 else state
    scaled = wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + _EPSILON)
    return scaled.type_as(state) * norm.get_parameter("weight")
