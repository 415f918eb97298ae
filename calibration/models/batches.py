"""Which inputs does a built-in model get? The same for every framework, batch size and precision.

Every item is drawn from the seed and its own number, so the first rows of a large batch are those of a small one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

Item = tuple["npt.NDArray[Any]", ...]
"""The inputs of one request, without the axis of the batch."""


def items(model: str, sizes: Mapping[str, int], seed: int, batch: int) -> list[Item]:
    """The inputs of each request, as a server has them on the host before it makes a batch.

    ``bert-base``: token ids, (sequence_length,) int64. ``resnet50``: an image, (3, image_size, image_size) float32.
    ``decoder-prefill``: the prompt, (prompt_tokens,) int64. ``decoder-decode``: the newest token, (1,) int64.
    """
    return [_item(model, sizes, item_generator(seed, number)) for number in range(batch)]


def _item(model: str, sizes: Mapping[str, int], rng: np.random.Generator) -> Item:
    import numpy as np

    if model == "resnet50":
        side = sizes["image_size"]
        return (rng.standard_normal((3, side, side), np.float32),)
    length = sizes.get("sequence_length", sizes.get("prompt_tokens", 1))
    return (rng.integers(0, sizes["vocab"], length, np.int64),)


def kv_cache(model: str, sizes: Mapping[str, int], seed: int, batch: int) -> tuple[npt.NDArray[np.float32], ...]:
    """What stays on the device between the steps of a decoder: keys and values of every layer, in turn.

    Each is (batch, kv_heads, tokens, hidden / heads), with room for the tokens that the step adds. What was read
    before is drawn; the rest is 0. Empty for a model without a cache.
    """
    import numpy as np

    if "kv_heads" not in sizes:
        return ()
    context = sizes.get("context_tokens", 0) if model == "decoder-decode" else 0
    room = context + sizes.get("prompt_tokens", 1)
    width = sizes["hidden"] // sizes["heads"]
    cache = tuple(np.zeros((batch, sizes["kv_heads"], room, width), np.float32) for _ in range(2 * sizes["layers"]))
    if context:
        for number in range(batch):
            rng = _generator(seed, 2, number)
            for layer in cache:
                layer[number, :, :context] = rng.standard_normal((sizes["kv_heads"], context, width), np.float32)
    return cache


def item_generator(seed: int, number: int) -> np.random.Generator:
    """What draws the inputs of one item, whatever the batch it travels in."""
    return _generator(seed, 1, number)


def _generator(seed: int, purpose: int, number: int) -> np.random.Generator:
    import numpy as np

    return np.random.default_rng([seed, purpose, number])
