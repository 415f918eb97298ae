"""A small transformer encoder on one thread: served by every server of these tests, and measured by itself.

A batch of b costs a part that does not depend on b (reading the weights, the framework's own work) and a part that
grows with it, so that batching pays and the size of a batch matters. The inputs make no difference to the time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

TOKENS = 32
WIDTH = 256
LAYERS = 6
VOCABULARY = 100

Encode = Callable[[npt.NDArray[np.int64]], npt.NDArray[np.float32]]


def encode() -> tuple[Encode, Callable[[int], npt.NDArray[np.int64]]]:
    """Give what the servers call, and its inputs: token ids (batch, TOKENS) to one number an item, (batch, 1).

    ``calibrate measure --model encoder:encode --runtime python``, in this folder, measures it by itself.
    """
    import torch

    torch.set_num_threads(1)
    torch.manual_seed(0)
    layer = torch.nn.TransformerEncoderLayer(WIDTH, 4, 4 * WIDTH, batch_first=True, activation="gelu", dropout=0.0)
    embedding = torch.nn.Embedding(VOCABULARY, WIDTH)
    layers: Any = torch.nn.TransformerEncoder(layer, LAYERS, enable_nested_tensor=False).eval()

    def encoded(ids: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        with torch.inference_mode():
            outputs: npt.NDArray[np.float32] = layers(embedding(torch.from_numpy(ids))).mean(dim=1)[:, :1].numpy()
            return outputs

    return encoded, lambda batch: np.zeros((batch, TOKENS), np.int64)


def no_model(ids: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    """Answer at once: what is left over is the server's own time."""
    return np.zeros((len(ids), 1), np.float32)
