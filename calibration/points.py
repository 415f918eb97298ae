"""What a profile says at each batch size: measured, fitted, and how sure of it we are."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from calibration.problems import InputError
from calibration.profile import Profile
from calibration.profile_file import ProfileFile, profile_from
from calibration.source import Source

_UPPER: Final = 0.975
"""Of a two-sided 95 % interval."""


@dataclass(frozen=True, kw_only=True)
class Point:
    """One batch size of a profile."""

    batch: int
    """Items in the batch."""
    fitted_ms: float
    """Mean time of an execution, by the curve that a run uses."""
    interval_ms: tuple[float, float] | None = None
    """95 % interval of ``fitted_ms``, where the file tells one."""
    measured_ms: float | None = None
    """Mean time as it was measured."""
    p50_ms: float | None = None
    p99_ms: float | None = None
    memory_bytes: float | None = None
    """Most memory of the device that was in use."""
    energy_j: float | None = None
    """Energy of the device for one execution."""
    power_w: float | None = None
    """Mean power drawn by the device."""

    @property
    def residual(self) -> float | None:
        """The curve over the measurement, less 1: positive where the curve is the slower."""
        return None if self.measured_ms is None else self.fitted_ms / self.measured_ms - 1

    @property
    def items_per_s(self) -> float:
        """Items served per second when executions follow one another without a gap."""
        return 1000 * self.batch / self.fitted_ms

    @property
    def joules_per_item(self) -> float | None:
        """Energy of the device for one item; from the mean power where the source gives no energy."""
        if self.energy_j is not None:
            return self.energy_j / self.batch
        return None if self.power_w is None else self.power_w / self.items_per_s


def profile_in(file: ProfileFile) -> Profile:
    """Which profile do the values of this file give a run?

    Raises
    ------
    InputError
        When they give none, for instance a curve that falls.
    """
    content = file.model_dump(mode="json", by_alias=True, exclude_none=True)
    profile, problems = profile_from(Source(file.name or "profile", content), name=file.name)
    if profile is None:
        raise InputError(problems)
    return profile


def points_of(file: ProfileFile) -> tuple[Point, ...]:
    """What does the file say at each batch size that was measured? At each point of its curve when none was.

    Nothing for a file of step times of an LLM, which has no batch curve.

    >>> measured = {"batch": [1, 4], "latency_ms": [5.0, 12.5]}
    >>> file = ProfileFile.model_validate({"schema": 1, "measurements": measured})
    >>> [(point.batch, point.measured_ms, point.items_per_s) for point in points_of(file)]
    [(1, 5.0, 200.0), (4, 12.5, 320.0)]
    """
    if not file.has_curve:
        return ()
    import numpy as np

    profile = profile_in(file)
    table = file.measurements
    batches = profile.batch if table is None else table.batch
    fitted = execution_ms(file, profile, np.array(batches))
    columns: dict[str, Sequence[Any]] = {}
    if table is not None:
        columns = {key: column for key, column in table if isinstance(column, Sequence)} | (table.model_extra or {})
    found = []
    for index, (batch, fitted_ms) in enumerate(zip(batches, fitted.tolist(), strict=True)):
        row = {key: column[index] for key, column in columns.items()}
        found.append(
            Point(
                batch=batch,
                fitted_ms=fitted_ms,
                interval_ms=interval_at(file, profile, batch) or _of_the_mean(row),
                measured_ms=_number(row.get("latency_ms")),
                **{
                    name: _number(row.get(name)) for name in ("p50_ms", "p99_ms", "memory_bytes", "energy_j", "power_w")
                },
            )
        )
    return tuple(found)


def execution_ms(file: ProfileFile, profile: Profile, batches: Any) -> Any:
    """How long does an execution of so many items take, launches and all? Times in ms, an array like ``batches``.

    The curve that a run uses is the time that the accelerator is taken; what of an execution leaves it to others
    stands apart in the measurements, and is added here, straight between the measured sizes.
    """
    return profile.mean_latency_ms(batches, allow_extrapolation=True) + _launches_at(file, batches)


def _launches_at(file: ProfileFile, batches: Any) -> Any:
    import numpy as np

    table = file.measurements
    told = None if table is None else (table.model_extra or {}).get("launch_ms")
    if table is None or told is None:
        return np.zeros(np.shape(batches))
    return np.interp(batches, table.batch, told)


def interval_at(file: ProfileFile, profile: Profile, batch: int) -> tuple[float, float] | None:
    """In which 95 % interval does the fitted mean lie at this batch size, in ms? None where the fit tells none.

    Straight lines between the points of the fit, as the curve itself has.
    """
    intervals = None if file.service_model is None else file.service_model.ci95_ms
    if intervals is None or not profile.batch[0] <= batch <= profile.batch[-1]:
        return None
    import numpy as np

    apart = float(_launches_at(file, np.array(batch)))
    low, high = (float(np.interp(batch, profile.batch, side)) + apart for side in zip(*intervals, strict=True))
    return low, high


def _of_the_mean(row: dict[str, Any]) -> tuple[float, float] | None:
    """Student's 95 % interval of a mean from its standard deviation and count, where no fit has given a better one."""
    mean, spread, count = (_number(row.get(key)) for key in ("latency_ms", "std_ms", "requests"))
    if mean is None or spread is None or count is None or count < 2:
        return None
    from scipy.special import stdtrit

    half = float(stdtrit(count - 1, _UPPER)) * spread / math.sqrt(count)
    return max(mean - half, 0.0), mean + half


def _number(value: Any) -> float | None:
    """A number, where a column beyond the known ones holds one."""
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
