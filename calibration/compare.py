"""Two profiles side by side: how much faster, with what certainty, at what cost in memory, energy and accuracy.

A speed-up is the time of A over the time of B at the same batch size, so above 1 B is the faster. Its interval joins
those of the two means; "beyond noise" says that it does not hold 1. The intervals know the scatter within each
measuring, not what changes from one start of the process to the next: whoever decides on a few per cent measures twice.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from calibration.backends.protocol import OutOfMemoryError, UnavailableError, Variant
from calibration.origin import said, variant_of
from calibration.outputs import (
    OutputDifference,
    SampleError,
    differences,
    outputs_of,
    outputs_of_sample,
    read_sample,
    sample_differences,
)
from calibration.outputs import output_sample as output_sample
from calibration.points import Point, execution_ms, interval_at, points_of, profile_in
from calibration.problems import InputError
from calibration.profile_file import ProfileFile

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from calibration.console import Watch

ITEMS: Final = 64
"""Items that are generated to compare outputs."""

Interval = tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class Row:
    """Both profiles at one batch size."""

    batch: int
    """Items in the batch."""
    a: Point
    b: Point
    interval: Interval | None
    """95 % interval of ``speed_up``; None where a profile does not tell how its figures scatter."""

    @property
    def speed_up(self) -> float:
        """Time of A over time of B."""
        return time_ms(self.a) / time_ms(self.b)

    @property
    def beyond_noise(self) -> bool | None:
        """Whether the interval leaves out 1; None where there is no interval."""
        return None if self.interval is None else not self.interval[0] <= 1 <= self.interval[1]


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Two profiles, and what they have in common."""

    a: ProfileFile
    b: ProfileFile
    rows: tuple[Row, ...]
    """One for each batch size that was measured in both; without any, those of A in the range of B, by its curve."""
    cautions: tuple[str, ...] = ()
    """What makes the comparison one of more than two variants: other devices, other models; the gravest first."""
    outputs: OutputDifference | None = None
    """How far the outputs of B are from those of A."""
    outputs_note: str = "not compared"
    """Why there is no ``outputs``."""


def compare(a: ProfileFile, b: ProfileFile) -> Comparison:
    """How do two profiles differ, by their figures? (Outputs: :func:`compared_outputs`.)

    Examples
    --------
    >>> slow, fast = ({"batch": [1, 8], "latency_ms": ms} for ms in ([10.0, 24.0], [5.0, 16.0]))
    >>> files = [ProfileFile.model_validate({"schema": 1, "measurements": one}) for one in (slow, fast)]
    >>> [(row.batch, row.speed_up, row.beyond_noise) for row in compare(*files).rows]
    [(1, 2.0, None), (8, 1.5, None)]
    """
    mine, theirs = ({point.batch: point for point in points_of(file)} for file in (a, b))
    shared = sorted(mine.keys() & theirs.keys())
    cautions = [*_different(a, b)]
    if not shared:
        shared, theirs = _by_the_curve(mine, b)
        if shared:
            cautions.append("no batch size was measured in both: B is read from its curve at those of A")
        elif not (a.has_curve and b.has_curve):
            cautions.append(
                "a profile has no batch curve (step times of an LLM, or loads alone): there is no speed-up to tell"
            )
        else:
            cautions.append("no batch size lies in the range of both: there is no speed-up to tell")
    pairs = [(mine[batch], theirs[batch]) for batch in shared]
    rows = tuple(Row(batch=one.batch, a=one, b=other, interval=ratio_interval(one, other)) for one, other in pairs)
    return Comparison(a=a, b=b, rows=rows, cautions=tuple(cautions))


def time_ms(point: Point) -> float:
    """Which time of a batch is compared? The measured mean, else the fitted one."""
    return point.fitted_ms if point.measured_ms is None else point.measured_ms


def ratio_interval(a: Point, b: Point) -> Interval | None:
    """In which 95 % interval does the time of A over the time of B lie? None where either has no interval.

    Notes
    -----
    The method of variance estimates recovery, on logarithms: with A in [a-, a+] and B in [b-, b+] independent,
    ln(upper / r) = sqrt(ln(a+/a)^2 + ln(b/b-)^2) and ln(r / lower) = sqrt(ln(a/a-)^2 + ln(b+/b)^2) for r = a/b.
    Each limit is as far off as the limits it stems from, so that skewed (bootstrap) intervals stay skewed.

    References
    ----------
    Zou, G. Y., Donner, A. (2008). Construction of confidence limits about effect measures: a general approach.
    Statistics in Medicine 27, 1693-1702.

    >>> at = dict(batch=1, measured_ms=10.0, fitted_ms=10.0)
    >>> low, high = ratio_interval(Point(interval_ms=(9.0, 11.0), **at), Point(interval_ms=(9.5, 10.5), **at))
    >>> round(low, 3), round(high, 3)
    (0.89, 1.114)
    """
    if a.interval_ms is None or b.interval_ms is None or min(a.interval_ms[0], b.interval_ms[0]) <= 0:
        return None
    here, there = time_ms(a), time_ms(b)
    # A mean can lie outside the interval of a curve that does not pass through it.
    (a_low, a_high), (b_low, b_high) = (
        (min(low, mean), max(high, mean)) for (low, high), mean in ((a.interval_ms, here), (b.interval_ms, there))
    )
    up = math.hypot(math.log(a_high / here), math.log(there / b_low))
    down = math.hypot(math.log(here / a_low), math.log(b_high / there))
    ratio = here / there
    return ratio * math.exp(-down), ratio * math.exp(up)


_MUST_AGREE: Final = (
    ("model", "models", "The outputs are of different models, and so is the speed-up."),
    ("sizes", "sizes of the model", "The speed-up is of the sizes, too."),
    ("device", "devices", "The speed-up is of the devices, too."),
    ("threads", "numbers of threads", "The speed-up is of the threads, too."),
    ("host", "machines", "Two machines of one kind can differ by more than two variants do."),
)
"""What should be the same for a comparison of variants: the key of the provenance, its name, what follows."""


def _different(a: ProfileFile, b: ProfileFile) -> Iterator[str]:
    for key, name, follows in _MUST_AGREE:
        mine, theirs = (file.provenance.get(key) for file in (a, b))
        if mine is not None and theirs is not None and mine != theirs:
            yield f"different {name}: A {said(mine)}, B {said(theirs)}. {follows}"
        elif (mine is None) != (theirs is None) and key in ("model", "device"):
            silent = "A" if mine is None else "B"
            yield f"the {key} of {silent} is not stated: whether it is the same is not known."


def _by_the_curve(mine: dict[int, Point], b: ProfileFile) -> tuple[list[int], dict[int, Point]]:
    """Batch sizes of A inside the range of B, and what the curve of B says there."""
    if not b.has_curve:
        return [], {}
    import numpy as np

    profile = profile_in(b)
    low, high = profile.range
    batches = [batch for batch in sorted(mine) if low <= batch <= high]
    times = execution_ms(b, profile, np.array(batches, dtype=int)).tolist()
    return batches, {
        batch: Point(batch=batch, fitted_ms=ms, interval_ms=interval_at(b, profile, batch))
        for batch, ms in zip(batches, times, strict=True)
    }


def compared_outputs(
    a: ProfileFile,
    b: ProfileFile,
    *,
    sample: Path | None = None,
    items: int | None = None,
    rerun: bool = False,
    watch: Watch | None = None,
) -> OutputDifference:
    """How far are the outputs of B from those of A?

    Parameters
    ----------
    a, b
        Profiles of one model.
    sample
        Inputs to compare on, a ``.npy`` or ``.npz`` file; generated ones when None.
    items
        Items to generate; ITEMS when None.
    rerun
        Run both variants again even where outputs were kept with the profiles, or where the model is code or a file
        of the user's own. A profile can come from anybody: what it names is not executed unasked.
    watch
        Is told which variant runs.

    Raises
    ------
    UnavailableError
        When the outputs cannot be had: another model, no kept outputs and a device that is not here ...
    InputError
        When the sample cannot be used.
    """
    wanted = sample is not None or items is not None or rerun
    arrays = None if sample is None else read_sample(sample)
    variants = variant_of(a), variant_of(b)
    _check_same_model(a, b, variants)
    kept = a.notes.get("outputs"), b.notes.get("outputs")
    if not wanted and isinstance(kept[0], dict) and isinstance(kept[1], dict):
        try:
            return sample_differences(kept[0], kept[1])
        except ValueError as error:
            raise UnavailableError(f"{error}.") from None
    first, second = variants
    if first is None or second is None:
        whose = "A" if first is None else "B"
        raise UnavailableError(f"{whose} was not measured by calibrate: there is nothing to run again.")
    if not wanted and not is_built_in(first.model):
        raise UnavailableError(f"'{first.model}' is no built-in model. --rerun runs it here.")
    count = items or ITEMS

    found = []
    for letter, variant in (("A", first), ("B", second)):
        if watch is not None:
            how = f"{variant.precision}, {variant.runtime} on {variant.device}"
            watch.stage(f"running {letter}: {variant.model}, {how}")
        found.append(_outputs_here(letter, variant, count, arrays))
    (mine, theirs), fewest = found, min(map(len, found))
    if mine.shape[1] != theirs.shape[1]:
        raise UnavailableError(f"an item has {mine.shape[1]} outputs in A and {theirs.shape[1]} in B.")
    source = f"{sample}" if sample is not None else f"items generated from seed {first.seed}"
    return differences(mine[:fewest], theirs[:fewest], origin=f"{source}, both variants run here")


def _check_same_model(a: ProfileFile, b: ProfileFile, variants: tuple[Variant | None, Variant | None]) -> None:
    first, second = variants
    told = (file.provenance for file in (a, b))
    models = [found.model if found else said(p.get("model", "")) for found, p in zip(variants, told, strict=True)]
    if models[0] != models[1]:
        raise UnavailableError(f"A is {models[0] or 'not stated'}, B is {models[1] or 'not stated'}.")
    if first is not None and second is not None:
        for name in ("sizes", "seed"):
            mine, theirs = getattr(first, name) or {}, getattr(second, name) or {}
            if mine != theirs:
                raise UnavailableError(f"A and B have different {name} ({said(mine)} and {said(theirs)}).")


def is_built_in(model: str) -> bool:
    """Is this a model of our own, with weights drawn from a seed?"""
    from calibration.models.sizes import BUILT_IN

    return model in BUILT_IN


def _outputs_here(
    letter: str, variant: Variant, items: int, arrays: Sequence[npt.NDArray[Any]] | None
) -> npt.NDArray[np.float64]:
    """Run a variant for its outputs; whatever keeps it from running is said with its letter."""
    from calibration.backends import open_session

    try:
        with closing(open_session(variant)) as session:
            return outputs_of(session, items) if arrays is None else outputs_of_sample(session, arrays)
    except SampleError:
        raise
    except (UnavailableError, OutOfMemoryError, InputError) as error:
        raise UnavailableError(f"{letter} cannot run here. {error}") from None
    except Exception as error:
        if is_built_in(variant.model):
            raise
        raise UnavailableError(f"{letter} cannot run here. {type(error).__name__}: {error}") from None


def comparison_object(comparison: Comparison) -> dict[str, Any]:
    """The comparison as one JSON-able object; what is not known is null."""
    outputs = comparison.outputs
    return {
        "schema_version": 1,
        "a": {"name": comparison.a.name, "provenance": dict(comparison.a.provenance)},
        "b": {"name": comparison.b.name, "provenance": dict(comparison.b.provenance)},
        "cautions": list(comparison.cautions),
        "batches": [_row_object(row) for row in comparison.rows],
        "outputs": None if outputs is None else dict(vars(outputs)),
        "outputs_note": comparison.outputs_note,
    }


def _row_object(row: Row) -> dict[str, Any]:
    def of(point: Point) -> dict[str, Any]:
        return {
            "mean_ms": time_ms(point),
            "ci95_ms": None if point.interval_ms is None else list(point.interval_ms),
            "p99_ms": point.p99_ms,
            "items_per_s": 1000 * point.batch / time_ms(point),
            "memory_bytes": point.memory_bytes,
            "joules_per_item": point.joules_per_item,
        }

    return {
        "batch": row.batch,
        "speed_up": row.speed_up,
        "ci95": None if row.interval is None else list(row.interval),
        "beyond_noise": row.beyond_noise,
        "a": of(row.a),
        "b": of(row.b),
    }
