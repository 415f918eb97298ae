"""Models so small that a test can run them, and a way to run one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from calibration.backends import open_session
from calibration.backends.protocol import Variant

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

TINY: Mapping[str, Mapping[str, int]] = {
    "bert-base": {"layers": 2, "hidden": 32, "heads": 4, "ffn": 64, "vocab": 100, "classes": 5, "sequence_length": 8},
    "resnet50": {"image_size": 32, "width": 4, "classes": 10},
    "decoder-prefill": {
        **{"layers": 2, "hidden": 32, "heads": 4, "kv_heads": 2, "ffn": 48, "vocab": 100},
        "prompt_tokens": 5,
    },
    "decoder-decode": {
        **{"layers": 2, "hidden": 32, "heads": 4, "kv_heads": 2, "ffn": 48, "vocab": 100},
        "context_tokens": 6,
    },
}


def tiny(model: str, **settings: Any) -> Variant:
    """A built-in model at its smallest, on one thread: more would only wait for one another."""
    threads = None if settings.get("runtime") == "jax" else 1
    return Variant(**{"model": model, "sizes": TINY[model], "threads": threads, **settings})


def outputs_of(variant: Variant, batch: int) -> npt.NDArray[np.float64]:
    """What the variant gives for one batch."""
    session = open_session(variant)
    try:
        execution = session.prepare(batch)
        execution.run()
        return execution.outputs()
    finally:
        session.close()
