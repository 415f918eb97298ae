"""What the servers of these tests serve; each model can be measured by itself, too.

``calibrate measure --model served_models:encoder --runtime python``, in this folder, does that.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

import numpy as np
import numpy.typing as npt

TOKENS: Final = 32
WIDTH: Final = 256
LAYERS: Final = 6
VOCABULARY: Final = 100

Ids = npt.NDArray[np.int64]
Model = Callable[[Ids], npt.NDArray[np.float32]]
Inputs = Callable[[int], Ids]


def encoder() -> tuple[Model, Inputs]:
    """Give a small transformer encoder on one thread: token ids (batch, TOKENS) to one number an item.

    A batch costs a part that does not depend on its size (reading the weights, the framework's own work) and a part
    that grows with it, so that batching pays and the size matters. The ids make no difference.
    """
    import torch

    torch.set_num_threads(1)
    torch.manual_seed(0)
    layer = torch.nn.TransformerEncoderLayer(WIDTH, 4, 4 * WIDTH, batch_first=True, activation="gelu", dropout=0.0)
    embedding = torch.nn.Embedding(VOCABULARY, WIDTH)
    layers = torch.nn.TransformerEncoder(layer, LAYERS, enable_nested_tensor=False).eval()

    def encoded(ids: Ids) -> npt.NDArray[np.float32]:
        with torch.inference_mode():
            outputs: npt.NDArray[np.float32] = layers(embedding(torch.from_numpy(ids))).mean(dim=1)[:, :1].numpy()
            return outputs

    return encoded, _blank


def timed() -> tuple[Model, Inputs]:
    """Give a model that takes 8 ms and 1 ms an item, as an accelerator does: without using a processor."""

    def slept(ids: Ids) -> npt.NDArray[np.float32]:
        time.sleep((8 + len(ids)) / 1000)
        return np.zeros((len(ids), 1), np.float32)

    return slept, _blank


def nothing() -> tuple[Model, Inputs]:
    """Give a model that answers at once: what is left over is the server's own time."""
    return lambda ids: np.zeros((len(ids), 1), np.float32), _blank


def _blank(batch: int) -> Ids:
    return np.zeros((batch, TOKENS), np.int64)


MODELS: Final = {"encoder": encoder, "timed": timed, "nothing": nothing}
