"""Which weights does a built-in model have, and what are they? The same for every framework.

Names and shapes are PyTorch's (a linear layer's weight is outputs x inputs, a convolution's outputs x inputs x height x
width), so that a state dict takes them as they are.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

RESNET50_BLOCKS: Final = (3, 4, 6, 3)
"""Bottleneck blocks of each stage: He et al. (2016), table 1, column 50-layer."""
BOTTLENECK_EXPANSION: Final = 4
"""A stage's output channels over those of its 3x3 convolutions."""


@dataclass(frozen=True)
class Weight:
    """One array of a model, and how it is drawn."""

    shape: tuple[int, ...]
    std: float = 0.0
    """Standard deviation of a normal distribution around 0; 0 means that all are ``value``."""
    value: float = 0.0
    trained: bool = True
    """Whether it counts as a parameter: the running statistics of a batch normalisation do not."""

    @property
    def size(self) -> int:
        """Numbers in it."""
        return math.prod(self.shape)


def weights_of(model: str, sizes: Mapping[str, int]) -> dict[str, Weight]:
    """Which weights has this built-in model, by name?"""
    if model == "bert-base":
        return _bert(sizes)
    if model == "resnet50":
        return _resnet50(sizes)
    return _decoder(sizes)


def parameters(model: str, sizes: Mapping[str, int]) -> int:
    """How many parameters has this built-in model?

    >>> from calibration.models.sizes import BUILT_IN
    >>> parameters("resnet50", BUILT_IN["resnet50"])
    25557032
    """
    return sum(weight.size for weight in weights_of(model, sizes).values() if weight.trained)


def draw(weights: Mapping[str, Weight], seed: int) -> dict[str, npt.NDArray[np.float32]]:
    """Draw every weight in the order of the mapping; the same seed gives the same numbers."""
    import numpy as np

    rng = np.random.default_rng([seed, 0])
    drawn: dict[str, npt.NDArray[np.float32]] = {}
    for name, weight in weights.items():
        if weight.std == 0:
            drawn[name] = np.full(weight.shape, weight.value, np.float32)
        else:
            drawn[name] = rng.standard_normal(weight.shape, np.float32)
            drawn[name] *= np.float32(weight.std)
    return drawn


_INITIAL_STD: Final = 0.02
"""Of linear layers and embeddings: BERT's initializer_range, and GPT-2's."""


def _linear(name: str, outputs: int, inputs: int) -> dict[str, Weight]:
    return {f"{name}.weight": Weight((outputs, inputs), _INITIAL_STD), f"{name}.bias": Weight((outputs,))}


def _norm(name: str, channels: int) -> dict[str, Weight]:
    return {f"{name}.weight": Weight((channels,), value=1.0), f"{name}.bias": Weight((channels,))}


def _bert(sizes: Mapping[str, int]) -> dict[str, Weight]:
    hidden, ffn = sizes["hidden"], sizes["ffn"]
    weights = {
        "tokens.weight": Weight((sizes["vocab"], hidden), _INITIAL_STD),
        "positions.weight": Weight((sizes["positions"], hidden), _INITIAL_STD),
        "segments.weight": Weight((2, hidden), _INITIAL_STD),
        **_norm("norm", hidden),
    }
    for layer in range(sizes["layers"]):
        for name in ("query", "key", "value", "mix"):
            weights |= _linear(f"layers.{layer}.{name}", hidden, hidden)
        weights |= _norm(f"layers.{layer}.norm_mix", hidden)
        weights |= _linear(f"layers.{layer}.up", ffn, hidden)
        weights |= _linear(f"layers.{layer}.down", hidden, ffn)
        weights |= _norm(f"layers.{layer}.norm_ffn", hidden)
    return weights | _linear("pooler", hidden, hidden) | _linear("classifier", sizes["classes"], hidden)


def _resnet50(sizes: Mapping[str, int]) -> dict[str, Weight]:
    width = sizes["width"]
    weights = _convolution("stem", width, 3, 7)
    channels = width
    for stage, blocks in enumerate(RESNET50_BLOCKS):
        inner = width << stage
        outer = inner * BOTTLENECK_EXPANSION
        for block in range(blocks):
            name = f"stages.{stage}.{block}"
            weights |= _convolution(f"{name}.reduce", inner, channels, 1)
            weights |= _convolution(f"{name}.spatial", inner, inner, 3)
            weights |= _convolution(f"{name}.expand", outer, inner, 1, gain=_BRANCH_GAIN)
            if block == 0:
                weights |= _convolution(f"{name}.shortcut", outer, channels, 1)
            channels = outer
    return weights | _linear("classifier", sizes["classes"], channels)


_BRANCH_GAIN: Final = 0.25
"""Of each residual branch's last normalisation: with 1 the variance doubles at every block, and fp16 comes near its
largest number; with 0, as trained networks start (Goyal et al., 2017, section 5.1), the branches would be idle."""


def _convolution(name: str, outputs: int, inputs: int, kernel: int, gain: float = 1.0) -> dict[str, Weight]:
    """A convolution without bias and its batch normalisation, drawn as He et al. (2015) do, fan out."""
    std = math.sqrt(2.0 / (outputs * kernel * kernel))
    return {
        f"{name}.convolution.weight": Weight((outputs, inputs, kernel, kernel), std),
        f"{name}.norm.weight": Weight((outputs,), value=gain),
        f"{name}.norm.bias": Weight((outputs,)),
        f"{name}.norm.running_mean": Weight((outputs,), trained=False),
        f"{name}.norm.running_var": Weight((outputs,), value=1.0, trained=False),
    }


def _decoder(sizes: Mapping[str, int]) -> dict[str, Weight]:
    hidden, ffn, layers = sizes["hidden"], sizes["ffn"], sizes["layers"]
    narrow = hidden // sizes["heads"] * sizes["kv_heads"]
    residual_std = _INITIAL_STD / math.sqrt(2 * layers)
    weights = {"tokens.weight": Weight((sizes["vocab"], hidden), _INITIAL_STD)}
    for layer in range(layers):
        weights |= {
            f"layers.{layer}.norm_mix.weight": Weight((hidden,), value=1.0),
            f"layers.{layer}.query.weight": Weight((hidden, hidden), _INITIAL_STD),
            f"layers.{layer}.key.weight": Weight((narrow, hidden), _INITIAL_STD),
            f"layers.{layer}.value.weight": Weight((narrow, hidden), _INITIAL_STD),
            f"layers.{layer}.mix.weight": Weight((hidden, hidden), residual_std),
            f"layers.{layer}.norm_ffn.weight": Weight((hidden,), value=1.0),
            f"layers.{layer}.gate.weight": Weight((ffn, hidden), _INITIAL_STD),
            f"layers.{layer}.up.weight": Weight((ffn, hidden), _INITIAL_STD),
            f"layers.{layer}.down.weight": Weight((hidden, ffn), residual_std),
        }
    return weights | {
        "norm.weight": Weight((hidden,), value=1.0),
        "head.weight": Weight((sizes["vocab"], hidden), _INITIAL_STD),
    }
