"""Which models are built in, and how large are they? The one place where their sizes stand.

Shapes are those of the publications: BERT-base of Devlin et al. (2019), https://arxiv.org/abs/1810.04805, section 3;
ResNet-50 of He et al. (2016), https://arxiv.org/abs/1512.03385, table 1, with the stride in the 3x3 convolution
(known as v1.5). The decoder is a Llama block stack (Touvron et al., 2023, https://arxiv.org/abs/2302.13971, section
2.2: RMSNorm before, rotary positions, SwiGLU) with grouped-query attention (Ainslie et al., 2023,
https://arxiv.org/abs/2305.13245), by default small enough for a CPU.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from calibration.problems import InputError, Problem
from calibration.source import COMMAND_LINE, did_you_mean

_DECODER: Final = {"layers": 12, "hidden": 768, "heads": 12, "kv_heads": 4, "ffn": 2048, "vocab": 32_000}

BUILT_IN: Final[Mapping[str, Mapping[str, int]]] = {
    "bert-base": {
        **{"layers": 12, "hidden": 768, "heads": 12, "ffn": 3072, "vocab": 30_522},
        **{"positions": 512, "classes": 2, "sequence_length": 128},
    },
    "resnet50": {"image_size": 224, "width": 64, "classes": 1000},
    "decoder-prefill": {**_DECODER, "prompt_tokens": 128},
    "decoder-decode": {**_DECODER, "context_tokens": 512},
}
"""Models that need no download, with their sizes. A batch of a decoder is a batch of sequences: ``decoder-prefill``
reads ``prompt_tokens`` of each into an empty KV cache and gives the logits after the last; ``decoder-decode`` reads one
token of each behind the ``context_tokens`` that its KV cache holds already."""

ROTARY_BASE: Final = 10_000.0
"""Of the decoder's positions: Su et al. (2021), https://arxiv.org/abs/2104.09864, section 3.2.2."""

_MULTIPLES: Final = (("hidden", "heads"), ("heads", "kv_heads"))
_LARGEST: Final = 1 << 24


def sizes_of(model: str, overrides: Mapping[str, int] | None = None) -> dict[str, int]:
    """How large is this built-in model, with some of its sizes chosen otherwise?

    >>> sizes_of("bert-base", {"sequence_length": 32})["sequence_length"]
    32

    Raises
    ------
    InputError
        When there is no such model or size, and when the sizes do not fit one another.
    """
    known = BUILT_IN.get(model)
    if known is None:
        rule = f"is not a built-in model ({', '.join(BUILT_IN)})"
        remedy = did_you_mean(model, BUILT_IN) or "Name one of them, a module:function, or a .pt, .ts or .onnx file."
        raise InputError([_problem("--model", rule, model, remedy)])
    given = overrides or {}
    problems = [
        _problem(f"--size {name}", f"is not a size of {model} ({', '.join(known)})", None, did_you_mean(name, known))
        for name in given
        if name not in known
    ]
    problems += [
        _problem(f"--size {name}", f"must be a whole number from 1 to {_LARGEST}", str(size), "")
        for name, size in given.items()
        if not 1 <= size <= _LARGEST
    ]
    if problems:
        raise InputError(problems)
    sizes = {**known, **given}
    if problems := _misfits(sizes):
        raise InputError(problems)
    return sizes


def _misfits(sizes: Mapping[str, int]) -> list[Problem]:
    """What is wrong between sizes that are right one by one."""
    problems = [
        _problem(f"--size {whole}", f"must be a multiple of {part} ({sizes[part]})", str(sizes[whole]), "")
        for whole, part in _MULTIPLES
        if whole in sizes and part in sizes and sizes[whole] % sizes[part]
    ]
    if "kv_heads" in sizes and not problems and (sizes["hidden"] // sizes["heads"]) % 2:
        rule = "must be an even multiple of heads, for rotary positions turn pairs"
        problems.append(_problem("--size hidden", rule, str(sizes["hidden"]), ""))
    if "positions" in sizes and sizes["sequence_length"] > sizes["positions"]:
        remedy = "Shorten it, or give --size positions too."
        rule = f"must not exceed positions ({sizes['positions']})"
        problems.append(_problem("--size sequence_length", rule, str(sizes["sequence_length"]), remedy))
    if "image_size" in sizes and sizes["image_size"] < _SMALLEST_IMAGE:
        rule = f"must be at least {_SMALLEST_IMAGE}, for the network halves it five times"
        problems.append(_problem("--size image_size", rule, str(sizes["image_size"]), ""))
    return problems


_SMALLEST_IMAGE: Final = 32


def _problem(path: str, rule: str, value: str | None, remedy: str) -> Problem:
    return Problem(COMMAND_LINE, None, None, path, rule, value, remedy)
