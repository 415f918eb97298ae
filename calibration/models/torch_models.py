"""The built-in models in PyTorch, with their weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from calibration.models.torch_bert import bert
from calibration.models.torch_decoder import decoder
from calibration.models.torch_resnet import resnet50
from calibration.models.weights import draw, weights_of

if TYPE_CHECKING:
    from torch import nn


def build(model: str, sizes: Mapping[str, int], seed: int) -> nn.Module:
    """The built-in model of these sizes, in fp32 on the CPU, in evaluation mode, with weights drawn from the seed."""
    import torch

    with torch.device("meta"):  # nothing is initialised only to be overwritten
        module = _NETWORKS[model](sizes)
    drawn = draw(weights_of(model, sizes), seed)
    state = {name: torch.from_numpy(values) for name, values in drawn.items()}
    module.load_state_dict(state, assign=True)
    return module.eval().requires_grad_(False)


_NETWORKS = {
    "bert-base": bert,
    "resnet50": resnet50,
    "decoder-prefill": decoder,
    "decoder-decode": decoder,
}
