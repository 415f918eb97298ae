"""How long an accelerator takes for a batch, and how sure we are of it: a measured profile.

A profile is written inline in a scenario, or kept in a file with its provenance (:mod:`calibration.profile_file`).

Why straight lines between the points
-------------------------------------
A planner checks a profile by hand: 24 ms at 8 items and 40 ms at 16 must give 32 ms at 12. A monotone cubic (PCHIP)
needs SciPy, differs by a few per cent, and nobody can check it. Straight lines are exact at the points, keep their
order, and err by 2 to 4 % on points held out of measured serving tables, where interpolation in log space errs by
12 to 14 %. Whoever wants a finer curve measures more points.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from pydantic import BeforeValidator, Field, PlainSerializer, WithJsonSchema

from calibration.schema import Entry, Flaw, Number, Whole
from calibration.units import refusal

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]
    Ints = npt.NDArray[np.integer[Any]]

Z99: Final = 2.3263478740408408
"""99th percentile of the standard normal distribution."""

LARGEST_BATCH: Final = 1_048_576
LONGEST_MS: Final = 86_400_000.0
SHORTEST_MS: Final = 1e-6

OVERHEADS: Final = ("frontend_ms", "enqueue_ms", "dispatch_ms", "release_ms", "reply_ms")
"""The parts of a request's life beside the execution, in the order in which they happen."""


_CURVE_NUMBER: Final = {"type": "number", "minimum": 0, "maximum": LONGEST_MS}


def _one_or_each(value: object) -> object:
    """A number stands for itself, a list for one value a point."""
    if isinstance(value, bool) or not isinstance(value, int | float | list | tuple):
        raise refusal("must be a number, or a list with one number for each batch size", "Write 0.2 or [0.2, 0.3].")
    return value if isinstance(value, list | tuple) else (value,)


def _shortest(values: tuple[float, ...]) -> float | list[float]:
    return values[0] if len(values) == 1 else list(values)


Curve = Annotated[
    tuple[Annotated[float, Field(strict=True, allow_inf_nan=False, ge=0, le=LONGEST_MS)], ...],
    BeforeValidator(_one_or_each),
    PlainSerializer(_shortest),
    WithJsonSchema({"anyOf": [_CURVE_NUMBER, {"type": "array", "items": _CURVE_NUMBER, "minItems": 1}]}),
]
"""One number for every batch size, or one for each point of the batch curve."""

Ms = Annotated[float, Field(strict=True, allow_inf_nan=False, ge=SHORTEST_MS, le=LONGEST_MS)]
"""Time of an execution: at least 1 ns, the clock's step, and at most a day."""


class Overheads(Entry):
    """The parts of a request's life outside the execution, in ms; each a number, or a list as long as ``batch``."""

    frontend_ms: Curve = Field(default=(0.0,), json_schema_extra={"default": 0.0})
    """Serial work for each request before the queue, one request at a time, in ms."""
    enqueue_ms: Curve = Field(default=(0.0,), json_schema_extra={"default": 0.0})
    """From sending a request until it is queued, in parallel with others, in ms."""
    dispatch_ms: Curve = Field(default=(0.0,), json_schema_extra={"default": 0.0})
    """From a batch being taken until its execution starts, in ms; the model instance is taken."""
    release_ms: Curve = Field(default=(0.0,), json_schema_extra={"default": 0.0})
    """From the end of an execution until the model instance is free again, in ms."""
    reply_ms: Curve = Field(default=(0.0,), json_schema_extra={"default": 0.0})
    """From the end of an execution until the client has the answer, in parallel with others, in ms."""


class Noise(Entry):
    """How execution times scatter around their mean."""

    kind: Literal["none", "lognormal", "empirical"]
    """``none``: every execution takes the mean. ``lognormal``: from ``latency_cv``, else from ``p50_ms`` and
    ``p99_ms``. ``empirical``: resampled from ``samples_ms``."""


class Profile(Entry):
    """A served model on one device: batch size to execution time, scatter, overheads, and where it was measured."""

    name: str = ""
    """A label of its own; the key in the scenario or the file's name where it is left out."""
    provenance: dict[str, Any] = Field(default={})
    """Where the figures come from: ``source``, ``device``, ``date``, ``url``, ``commit``; or one ``citation``."""
    batch: tuple[Annotated[Whole, Field(ge=1, le=LARGEST_BATCH)], ...] = Field(min_length=1)
    """Items in the batch, increasing."""
    latency_ms: tuple[Ms, ...] = Field(min_length=1)
    """Mean time in ms that the accelerator needs for that batch; interpolated between the points."""
    latency_cv: Curve | None = None
    """Coefficient of variation of the execution time (lognormal around the mean), one number or one a point."""
    p50_ms: tuple[Ms, ...] | None = None
    """Median of the execution time at each point, in ms; with ``p99_ms`` it gives the scatter."""
    p99_ms: tuple[Ms, ...] | None = None
    """99th percentile of the execution time at each point, in ms."""
    samples_ms: tuple[tuple[Ms, ...], ...] | None = None
    """Measured execution times at each point, in ms; they are resampled, scaled to ``latency_ms``."""
    noise: Noise | None = None
    """Which scatter to use; by default the one that is given, and none where none is given."""
    overheads: Overheads = Overheads()
    """Parts of a request's life outside the execution."""
    slowdown: tuple[Number, ...] | None = None
    """How many times as long each of k executions takes when k share the accelerator: 1 first, not decreasing."""
    valid_range: tuple[Whole, Whole] | None = None
    """Smallest and largest batch the figures may be used for; by default the first and the last measured."""
    warnings: tuple[str, ...] = ()
    """What a reader of a run with this profile should know: few points, points that contradict each other ..."""
    notes: dict[str, Any] = Field(default={})
    """What else was measured or fitted, kept but not used."""

    def flaws(self) -> Iterator[Flaw]:
        """Lists of unequal length, curves that fall, percentiles out of order, a range the points do not cover."""
        for index, (before, after) in enumerate(pairwise(self.batch), start=1):
            if after <= before:
                rule = f"must be more than the entry before ({before})"
                yield Flaw(("batch", index), rule, remedy="Sort the points by batch size, each once.")
        yield from self._unequal_lengths()
        if len(self.latency_ms) == len(self.batch):
            yield from _curve_flaws(self.batch, self.latency_ms)
        yield from self._scatter_flaws()
        yield from slowdown_flaws(self.slowdown)
        if self.valid_range is not None:
            low, high = self.valid_range
            if not self.batch[0] <= low <= high <= self.batch[-1]:
                remedy = f"Points lie from {self.batch[0]} to {self.batch[-1]}: measure more, or narrow the range."
                yield Flaw(("valid_range",), "must be a range of batch sizes that the points cover", remedy=remedy)

    def _unequal_lengths(self) -> Iterator[Flaw]:
        n = len(self.batch)
        each = {(key,): getattr(self, key) for key in ("latency_ms", "p50_ms", "p99_ms", "samples_ms")}
        curves = {("overheads", key): getattr(self.overheads, key) for key in OVERHEADS}
        for path, values in (each | curves | {("latency_cv",): self.latency_cv}).items():
            either = "" if path in each else " or a single number"
            if values is not None and len(values) != n and (path in each or len(values) != 1):
                rule = f"must be as long as batch ({n}){either}"
                yield Flaw(path, rule, f"{len(values)} entries", "Give one value for each batch size.")

    def _scatter_flaws(self) -> Iterator[Flaw]:
        if max(self.latency_cv or (0.0,)) > 10:
            yield Flaw(("latency_cv",), "must be at most 10", remedy="It is a ratio: 0.02 means 2 %.")
        if (self.p50_ms is None) != (self.p99_ms is None):
            given, other = ("p50_ms", "p99_ms") if self.p99_ms is None else ("p99_ms", "p50_ms")
            yield Flaw((given,), f"says nothing of the scatter without {other}", None, f"Add {other}.")
        for index, (p50, p99) in enumerate(zip(self.p50_ms or (), self.p99_ms or (), strict=False)):
            if p99 < p50:
                yield Flaw(("p99_ms", index), f"must be at least p50_ms ({p50:g})", remedy="Check the columns.")
        for index, samples in enumerate(self.samples_ms or ()):
            if not samples:
                yield Flaw(("samples_ms", index), "must not be empty", None, "Give at least one measured time.")
        wanted = self.noise.kind if self.noise is not None else self._given_noise()
        if self.noise is None and sum(self._noise_inputs()) > 1:
            rule = "is one of several descriptions of the scatter"
            remedy = "Say which one to use: noise: {kind: lognormal} or noise: {kind: empirical}."
            yield Flaw(("samples_ms",), rule, None, remedy)
        elif wanted == "lognormal" and self.latency_cv is None and self.p50_ms is None:
            remedy = "Add latency_cv, or p50_ms and p99_ms."
            yield Flaw(("noise", "kind"), "needs latency_cv, or p50_ms and p99_ms", remedy=remedy)
        elif wanted == "empirical" and self.samples_ms is None:
            yield Flaw(("noise", "kind"), "needs samples_ms", remedy="Add the measured times of each point.")

    def _noise_inputs(self) -> tuple[bool, bool]:
        return self.latency_cv is not None or self.p50_ms is not None, self.samples_ms is not None

    def _given_noise(self) -> Literal["none", "lognormal", "empirical"]:
        lognormal, empirical = self._noise_inputs()
        return "lognormal" if lognormal else "empirical" if empirical else "none"

    def __hash__(self) -> int:
        return hash(self.model_dump_json())

    @property
    def noise_kind(self) -> Literal["none", "lognormal", "empirical"]:
        """Which scatter execution times have around their mean."""
        return self.noise.kind if self.noise is not None else self._given_noise()

    @property
    def range(self) -> tuple[int, int]:
        """Smallest and largest batch the figures may be used for."""
        return self.valid_range or (self.batch[0], self.batch[-1])

    @property
    def citation(self) -> str:
        """Where the figures come from, in one line for a report.

        >>> Profile(batch=(1,), latency_ms=(5,), provenance={"source": "a table", "device": "T4"}).citation
        'a table, T4'
        """
        whole = self.provenance.get("citation")
        parts = [whole] if whole else [self.provenance.get(key) for key in ("source", "device", "date")]
        told = ", ".join(" ".join(str(part).split()) for part in parts if part)
        return told or "source not stated"

    def mean_latency_ms(self, batches: Ints, *, allow_extrapolation: bool = False) -> Floats:
        """How long does the accelerator need for batches of these sizes, on average?

        Parameters
        ----------
        batches
            Items in each batch, any shape.
        allow_extrapolation
            Whether sizes outside ``range`` may be asked for.

        Returns
        -------
        numpy.ndarray
            Mean execution times in ms, of the same shape.

        Raises
        ------
        ValueError
            For a size outside ``range`` without ``allow_extrapolation``.

        Notes
        -----
        Between points: a straight line. Above the last: the line through the last two points goes on. Below the
        first: the line through the first two goes on, but a batch of b items never takes less than b/b0 of the
        first point's time (no item is cheaper than there). With a single point (b0, l0) larger batches take
        l0 b/b0 and smaller ones l0: both err on the slow side.

        Examples
        --------
        >>> import numpy as np
        >>> profile = Profile(batch=(1, 8, 16), latency_ms=(10, 24, 40))
        >>> profile.mean_latency_ms(np.array([1, 12, 16])).tolist()
        [10.0, 32.0, 40.0]
        >>> profile.mean_latency_ms(np.array([32]), allow_extrapolation=True).tolist()
        [72.0]
        """
        import numpy as np

        b = np.asarray(batches, dtype=np.float64)
        low, high = self.range
        if not allow_extrapolation and b.size and (b.min() < low or b.max() > high):
            raise ValueError(f"batch sizes {low} to {high} were measured, asked for {b.min():g} to {b.max():g}")
        x, y = np.array(self.batch, dtype=np.float64), np.array(self.latency_ms)
        inside = np.interp(b, x, y)
        rise_below = rise_above = 0.0
        if len(x) > 1:
            rise_below, rise_above = np.diff(y)[[0, -1]] / np.diff(x)[[0, -1]]
        else:
            rise_above = y[0] / x[0]
        below = np.maximum(y[0] + rise_below * (b - x[0]), y[0] * b / x[0])
        above = y[-1] + rise_above * (b - x[-1])
        extended: Floats = np.where(b < x[0], below, np.where(b > x[-1], above, inside))
        return extended

    def overhead_ms(self, name: str, batches: Ints) -> Floats:
        """How long is this overhead for batches of these sizes, in ms?

        ``name`` is one of OVERHEADS. Straight lines between the points, constant outside them.

        >>> import numpy as np
        >>> profile = Profile(batch=(1, 3), latency_ms=(5, 6), overheads=Overheads(reply_ms=[1, 2]))
        >>> profile.overhead_ms("reply_ms", np.array([1, 2, 9])).tolist()
        [1.0, 1.5, 2.0]
        """
        return self._along(getattr(self.overheads, name), batches)

    def latency_cv_at(self, batches: Ints) -> Floats:
        """How widely do execution times scatter? Their coefficient of variation, 0 without noise.

        Notes
        -----
        From ``latency_cv``, else per point from the percentiles of a lognormal distribution:
        sigma = ln(p99 / p50) / 2.3263, cv = sqrt(exp(sigma^2) - 1); or the standard deviation of the samples over
        their mean. Straight lines between the points, constant outside them.

        >>> import numpy as np
        >>> profile = Profile(batch=(1,), latency_ms=(5,), p50_ms=(5,), p99_ms=(10,))
        >>> profile.latency_cv_at(np.array([1])).round(4).tolist()
        [0.3047]
        """
        return self._along(self._cv_by_point(), batches)

    def _cv_by_point(self) -> tuple[float, ...]:
        if self.noise_kind == "none":
            return (0.0,)
        if self.noise_kind == "empirical":
            return tuple(_spread(samples) for samples in self.samples_ms or ())
        if self.latency_cv is not None:
            return self.latency_cv
        pairs = zip(self.p50_ms or (), self.p99_ms or (), strict=True)
        return tuple(math.sqrt(math.expm1((math.log(p99 / p50) / Z99) ** 2)) for p50, p99 in pairs)

    def relative_samples(self, batch: int) -> Floats:
        """How long did single executions take over their mean, at the measured point nearest to this batch size?

        Of two points equally near the smaller. The mean of the result is 1, so that scaling ``mean_latency_ms`` with
        it keeps the curve.

        Raises
        ------
        ValueError
            When the profile holds no samples.
        """
        import numpy as np

        if self.samples_ms is None:
            raise ValueError("the profile holds no samples_ms")
        nearest = min(range(len(self.batch)), key=lambda index: abs(self.batch[index] - batch))
        samples = np.array(self.samples_ms[nearest])
        relative: Floats = samples / samples.mean()
        return relative

    def _along(self, curve: tuple[float, ...], batches: Ints) -> Floats:
        import numpy as np

        b = np.asarray(batches, dtype=np.float64)
        if len(curve) == 1:
            return np.full(b.shape, curve[0])
        return np.asarray(np.interp(b, np.array(self.batch, dtype=np.float64), np.array(curve)), dtype=np.float64)


def slowdown_flaws(slowdown: tuple[float, ...] | None) -> Iterator[Flaw]:
    """Which rules does this list of slowdowns break?"""
    if slowdown is None:
        return
    if not slowdown or slowdown[0] != 1:
        remedy = "Entry k is how many times as long k executions at once take: [1, 2] when two share the accelerator."
        yield Flaw(("slowdown",), "must start with 1, since one execution alone is not slowed down", remedy=remedy)
    for index, (before, after) in enumerate(pairwise(slowdown), start=1):
        if after < before:
            remedy = "More executions at once cannot each be faster."
            yield Flaw(("slowdown", index), f"must be at least the entry before ({before:g})", remedy=remedy)


def _curve_flaws(batch: tuple[int, ...], latency_ms: tuple[float, ...]) -> Iterator[Flaw]:
    points = zip(batch, latency_ms, strict=True)
    for index, ((small, fast), (large, slow)) in enumerate(pairwise(points), start=1):
        if slow < fast:
            rule = f"is not increasing: {fast:g} ms at batch {small}, but {slow:g} ms at batch {large}"
            remedy = "A larger batch cannot be faster: check the order of the columns, or measure these points again."
            yield Flaw(("latency_ms", index), rule, None, remedy)


def _spread(samples: tuple[float, ...]) -> float:
    mean = math.fsum(samples) / len(samples)
    return math.sqrt(math.fsum((sample - mean) ** 2 for sample in samples) / len(samples)) / mean
