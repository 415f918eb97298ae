"""The encoder of BERT in PyTorch, with its pooler and a classifier on top."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor, nn


def bert(sizes: Mapping[str, int]) -> nn.Module:
    """Token ids (batch, sequence_length) to logits (batch, classes), computed as by Devlin et al. (2019).

    No sequence is padded, so there is no mask; all tokens are of the first segment.
    """
    import torch
    from torch import nn

    layer = _layer(sizes)

    class Bert(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            hidden = sizes["hidden"]
            self.tokens = nn.Embedding(sizes["vocab"], hidden)
            self.positions = nn.Embedding(sizes["positions"], hidden)
            self.segments = nn.Embedding(2, hidden)
            self.norm = nn.LayerNorm(hidden, eps=_EPSILON)
            self.layers = nn.ModuleList(layer() for _ in range(sizes["layers"]))
            self.pooler = nn.Linear(hidden, hidden)
            self.classifier = nn.Linear(hidden, sizes["classes"])

        def forward(self, token: Tensor) -> Tensor:
            embedded = self.tokens(token) + self.positions.weight[: token.shape[1]] + self.segments.weight[0]
            state = self.norm(embedded)
            for encode in self.layers:
                state = encode(state)
            pooled = torch.tanh(self.pooler(state[:, 0]))
            logits: Tensor = self.classifier(pooled)
            return logits

    return Bert()


_EPSILON = 1e-12
"""BERT's layer_norm_eps."""


def _layer(sizes: Mapping[str, int]) -> type[nn.Module]:
    from torch import nn
    from torch.nn import functional

    hidden, heads = sizes["hidden"], sizes["heads"]

    class Layer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.query = nn.Linear(hidden, hidden)
            self.key = nn.Linear(hidden, hidden)
            self.value = nn.Linear(hidden, hidden)
            self.mix = nn.Linear(hidden, hidden)
            self.norm_mix = nn.LayerNorm(hidden, eps=_EPSILON)
            self.up = nn.Linear(hidden, sizes["ffn"])
            self.down = nn.Linear(sizes["ffn"], hidden)
            self.norm_ffn = nn.LayerNorm(hidden, eps=_EPSILON)

        def forward(self, state: Tensor) -> Tensor:
            batch, length, _ = state.shape

            def by_head(flat: Tensor) -> Tensor:
                return flat.view(batch, length, heads, hidden // heads).transpose(1, 2)

            attended = functional.scaled_dot_product_attention(
                by_head(self.query(state)), by_head(self.key(state)), by_head(self.value(state))
            )
            mixed = self.mix(attended.transpose(1, 2).reshape(batch, length, hidden))
            state = self.norm_mix(state + mixed)
            encoded: Tensor = self.norm_ffn(state + self.down(functional.gelu(self.up(state))))
            return encoded

    return Layer
