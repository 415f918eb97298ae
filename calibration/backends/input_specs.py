"""Inputs of a model that says nothing of them, or not enough: their shapes and types from the command line.

``3x224x224:float32`` is one item of three axes; ``128:int64:30522`` is 128 whole numbers from 0 to 30521;
``scalar:float32`` is a single number. The axis of the batch is not written: it comes first.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from calibration.models.batches import item_generator
from calibration.problems import InputError, Problem
from calibration.source import COMMAND_LINE, did_you_mean

if TYPE_CHECKING:
    from calibration.models.batches import Item

TYPES: Final = ("float32", "float16", "float64", "int64", "int32", "int8", "uint8", "bool")
"""Types of inputs, as NumPy names them."""

_DISTINCT: Final = 2
"""How many whole numbers are drawn from where nobody said: 0 and 1 are right for tokens, segments and masks alike."""

_WRITTEN: Final = re.compile(r"(scalar|\d+(?:x\d+)*):([a-z]+\d*)(?::(\d+))?")


@dataclass(frozen=True, kw_only=True)
class InputSpec:
    """One input of one item."""

    name: str
    shape: tuple[int, ...]
    """Without the axis of the batch."""
    dtype: str
    """One of TYPES."""
    distinct: int = _DISTINCT
    """Whole numbers are drawn from 0 to one less than this."""


def parse_inputs(written: Mapping[str, str]) -> tuple[InputSpec, ...]:
    """Which inputs does the command line describe, in its order?

    >>> parse_inputs({"tokens": "128:int64:30522"})[0].shape
    (128,)

    Raises
    ------
    InputError
        With every input that cannot be read.
    """
    specs: list[InputSpec] = []
    problems: list[Problem] = []
    for name, text in written.items():
        found = _WRITTEN.fullmatch(text.strip().lower())
        if found is None:
            remedy = "Write the shape of one item and its type, for instance 3x224x224:float32 or 128:int64:30522."
            problems.append(Problem(COMMAND_LINE, None, None, f"--input {name}", "cannot be read", text, remedy))
        elif found.group(2) not in TYPES:
            rule, remedy = f"must be of a known type ({', '.join(TYPES)})", did_you_mean(found.group(2), TYPES)
            problems.append(Problem(COMMAND_LINE, None, None, f"--input {name}", rule, found.group(2), remedy))
        else:
            shape = () if found.group(1) == "scalar" else tuple(int(side) for side in found.group(1).split("x"))
            distinct = int(found.group(3) or _DISTINCT)
            specs.append(InputSpec(name=name, shape=shape, dtype=found.group(2), distinct=max(distinct, 1)))
    if problems:
        raise InputError(problems)
    return tuple(specs)


def draw_items(specs: Sequence[InputSpec], seed: int, batch: int) -> list[Item]:
    """Inputs of each request: standard normal or whole numbers, drawn from the seed and the item's own number."""
    import numpy as np

    drawn: list[Item] = []
    for number in range(batch):
        rng = item_generator(seed, number)
        drawn.append(
            tuple(
                rng.standard_normal(spec.shape).astype(spec.dtype)
                if spec.dtype.startswith("float")
                else rng.integers(0, 2 if spec.dtype == "bool" else spec.distinct, spec.shape).astype(spec.dtype)
                for spec in specs
            )
        )
    return [tuple(np.asarray(array) for array in item) for item in drawn]
