"""How far do the outputs of two variants of a model differ, and do they choose the same class?

Outputs are compared item by item on the same inputs: those that the backends draw from a seed, or a file of the
user's own. :func:`output_sample` keeps a small part of them with a profile, so that two profiles from different
machines can be compared without running anything again.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from calibration.backends.protocol import OutOfMemoryError
from calibration.problems import InputError, Problem

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt

    from calibration.backends.protocol import Session

    Floats = npt.NDArray[np.float64]

SAMPLE_ITEMS: Final = 32
"""Items whose outputs are kept with a profile."""

SAMPLE_VALUES: Final = 64
"""Outputs of each of them that are kept, at equal steps."""

_DIGITS: Final = 7
"""Significant digits kept: one more than float32 has."""


class SampleError(InputError):
    """The inputs that a user gave cannot be used."""


@dataclass(frozen=True, kw_only=True)
class OutputDifference:
    """How far the outputs of B are from those of A, on the same items."""

    items: int
    """Items compared."""
    values: int
    """Outputs of an item that were compared."""
    values_of: int
    """Outputs that an item has; more than ``values`` when only a kept sample was compared."""
    max_abs: float
    """Largest difference of two outputs, in the unit of the outputs."""
    mean_abs: float
    """Mean difference of two outputs, sign left out."""
    largest: float
    """Largest output of A, sign left out: what ``max_abs`` is to be seen against."""
    typical: float
    """Mean output of A, sign left out: what ``mean_abs`` is to be seen against."""
    top1_agreement: float | None
    """Share of items whose largest output is at the same place; None for models of one output."""
    narrow: int
    """Items that A decides by a margin of less than twice ``max_abs``: those that could have come out otherwise."""
    broken: int
    """Items with an output that is not a finite number, in A or B; they are left out of the differences."""
    origin: str
    """Where the inputs and the outputs come from."""


def outputs_of(session: Session, items: int) -> Floats:
    """What does the model give for the first items that are drawn from its seed?

    Returns
    -------
    numpy.ndarray
        Outputs, (items, values); fewer items where the device has not the memory for all of them at once.

    Raises
    ------
    OutOfMemoryError
        When not even one item fits.
    """
    count = items
    while True:
        try:
            execution = session.prepare(count)
            execution.run()
            return execution.outputs()
        except OutOfMemoryError:
            if count == 1:
                raise
            count //= 2


def outputs_of_sample(session: Session, arrays: Sequence[npt.NDArray[Any]]) -> Floats:
    """What does the model give for these inputs, one array an input of the model, one row an item?

    Raises
    ------
    SampleError
        When the arrays do not fit the inputs of the model.
    """
    execution = session.prepare(len(arrays[0]))
    put = getattr(execution, "put", None)
    if put is None:
        rule, remedy = (
            "cannot be given to this runtime",
            "Leave it out: the inputs are then those it was measured with.",
        )
        raise _sample_error("", rule, None, remedy)
    try:
        put(arrays)
    except InputError as error:
        raise SampleError(
            replace(problem, path="--sample", rule=f"does not fit: {problem.value} {problem.rule}", value=None)
            for problem in error.problems
        ) from None
    execution.run()
    return execution.outputs()


def read_sample(path: Path) -> list[npt.NDArray[Any]]:
    """Which inputs does this ``.npy`` or ``.npz`` file hold? One array an input, in the order of the file.

    Raises
    ------
    SampleError
        When it cannot be read, holds objects, or its arrays are not of one length.
    """
    import numpy as np

    try:
        loaded = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.lib.npyio.NpzFile):
            with loaded:
                arrays = [loaded[name] for name in loaded.files]
        else:
            arrays = [loaded]
    except OSError as error:
        raise _sample_error(path, f"cannot be read: {(error.strerror or str(error)).lower()}", None, "") from None
    except (ValueError, EOFError):
        remedy = "Save the inputs with numpy.save, or numpy.savez for several."
        raise _sample_error(path, "must be a .npy or .npz file of numbers", None, remedy) from None
    lengths = {len(array) if array.ndim else 0 for array in arrays}
    if len(lengths) != 1 or 0 in lengths:
        rule = "must hold arrays with one row an item, all of one length"
        raise _sample_error(path, rule, ", ".join(str(array.shape) for array in arrays), "")
    if any(array.dtype.kind not in "fiub" for array in arrays):
        raise _sample_error(path, "must hold numbers", ", ".join(str(array.dtype) for array in arrays), "")
    return arrays


def _sample_error(path: Path | str, rule: str, value: str | None, remedy: str) -> SampleError:
    return SampleError([Problem(str(path) or "<command line>", None, None, "--sample", rule, value, remedy)])


def differences(a: Floats, b: Floats, *, origin: str = "") -> OutputDifference:
    """How far are the outputs ``b`` from ``a``, both (items, values)?

    Examples
    --------
    >>> import numpy as np
    >>> found = differences(np.array([[1.0, 2.0], [4.0, 3.0]]), np.array([[1.0, 2.5], [3.0, 4.0]]))
    >>> found.max_abs, found.mean_abs, found.top1_agreement
    (1.0, 0.625, 0.5)
    """
    import numpy as np

    sound = np.isfinite(a).all(axis=1) & np.isfinite(b).all(axis=1)
    a, b = a[sound], b[sound]
    apart = np.abs(a - b)
    classes = a.shape[1] > 1
    margin = _margins(a) if classes else np.zeros(0)
    max_abs = float(apart.max(initial=0.0))
    return OutputDifference(
        items=len(a),
        values=a.shape[1],
        values_of=a.shape[1],
        max_abs=max_abs,
        mean_abs=float(apart.mean()) if apart.size else 0.0,
        largest=float(np.abs(a).max(initial=0.0)),
        typical=float(np.abs(a).mean()) if a.size else 0.0,
        top1_agreement=float((a.argmax(axis=1) == b.argmax(axis=1)).mean()) if classes and len(a) else None,
        narrow=int((margin < 2 * max_abs).sum()),
        broken=int((~sound).sum()),
        origin=origin,
    )


def _margins(outputs: Floats) -> Floats:
    """Largest output less the second largest, for each item."""
    import numpy as np

    best = np.partition(outputs, -2, axis=1)
    margins: Floats = best[:, -1] - best[:, -2]
    return margins


def output_sample(session: Session, *, items: int = SAMPLE_ITEMS) -> dict[str, Any]:
    """Which outputs of a model are worth keeping with its profile, to compare it with others later?

    Parameters
    ----------
    session
        A model, loaded.
    items
        Items to execute, drawn from the seed; fewer where they do not fit.

    Returns
    -------
    dict
        JSON-able, some 20 KB: ``values``, for each item SAMPLE_VALUES of its ``values_of`` outputs at equal steps;
        ``top1``, the place of its largest output; ``margin``, the largest less the second largest; ``broken``, items
        with an output that is no finite number (their entries are null).
    """
    import numpy as np

    outputs = outputs_of(session, items)
    count, width = outputs.shape
    chosen = np.unique(np.linspace(0, width - 1, min(width, SAMPLE_VALUES)).round().astype(int))
    margins = _margins(outputs) if width > 1 else np.zeros(count)
    finite = np.isfinite(outputs).all(axis=1)
    entries: dict[str, list[Any]] = {
        "values": [[_rounded(value) for value in row] for row in outputs[:, chosen]],
        "top1": outputs.argmax(axis=1).tolist(),
        "margin": [_rounded(margin) for margin in margins],
    }
    for row in np.flatnonzero(~finite):
        for column in entries.values():
            column[row] = None
    return {"items": count, "values_of": width, **entries, "broken": int((~finite).sum())}


def _rounded(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")


def sample_differences(a: Mapping[str, Any], b: Mapping[str, Any]) -> OutputDifference:
    """How far apart are two samples that :func:`output_sample` kept?

    Raises
    ------
    ValueError
        When they are not of the same items and outputs, or are no such samples.
    """
    import numpy as np

    try:
        if a["values_of"] != b["values_of"]:
            raise ValueError(f"an item has {a['values_of']} outputs in A and {b['values_of']} in B")
        items = min(a["items"], b["items"])
        pairs = list(zip(a["values"], b["values"], a["top1"], b["top1"], a["margin"], strict=False))[:items]
    except (KeyError, TypeError) as error:
        raise ValueError(f"the kept outputs cannot be read ({error})") from None
    sound = [pair for pair in pairs if pair[0] is not None and pair[1] is not None]
    width = len(sound[0][0]) if sound else 0
    left, right = (np.array([pair[side] for pair in sound], dtype=float).reshape(len(sound), width) for side in (0, 1))
    found = differences(left, right)
    agree = [mine == theirs for _, _, mine, theirs, _ in sound]
    return OutputDifference(
        items=len(sound),
        values=width,
        values_of=a["values_of"],
        max_abs=found.max_abs,
        mean_abs=found.mean_abs,
        largest=found.largest,
        typical=found.typical,
        top1_agreement=math.fsum(agree) / len(agree) if agree and a["values_of"] > 1 else None,
        narrow=sum(margin < 2 * found.max_abs for *_, margin in sound),
        broken=len(pairs) - len(sound),
        origin="outputs kept with the profiles",
    )
