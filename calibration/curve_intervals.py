"""How else might the measurements of a batch curve have come out? Resamples of them, for the bootstrap."""

from __future__ import annotations

from typing import Final, Literal

import numpy as np

from calibration.curve_forms import Floats, fit_two_parts
from calibration.curve_points import CurvePoint, JoinedPoints

RESAMPLES: Final = 2_000
"""Resamples of the bootstrap."""

RESIDUALS_NEED: Final = 7
"""Batch sizes from which on distances from two straight parts tell how measurements scatter."""

IntervalFrom = Literal["repeats", "samples", "residuals", "nothing"]
"""What an interval rests on."""

_TREND_FREEDOM: Final = 4
"""Numbers that describe two straight parts: fixed, two slopes, the knee."""

_MOST_DRAWS: Final = 4_000_000
_LEAST: Final = 0.01


def resampled_means(points: JoinedPoints, rng: np.random.Generator) -> tuple[Floats | None, IntervalFrom]:
    """Which means might have been measured as well, and what tells?

    Parameters
    ----------
    points
        What was measured.
    rng
        Where the draws come from.

    Returns
    -------
    numpy.ndarray or None
        (RESAMPLES, n), a row a resample; None when nothing tells.
    str
        What it rests on.

    Notes
    -----
    Repeats tell most, since they hold the spread from run to run: means are drawn from Student's t distribution with
    the pooled spread of all repeats, which batch sizes without repeats of their own share. Single executions hold only
    the spread within one run: they are drawn with replacement. Failing both, from RESIDUALS_NEED batch sizes on, the
    distances of the points from two straight parts (logarithms of their ratio) are drawn; they hold whatever bends the
    curve, too, so such intervals are wide rather than narrow.

    References
    ----------
    B. Efron and R. J. Tibshirani, *An Introduction to the Bootstrap*, 1993, chapters 6 and 9.
    """
    drawn = [_resampled_mean(group[0], rng) if len(group) == 1 else None for group in points.groups]
    known = [_repeats_of(group) for group in points.groups]
    if any(len(values) > 1 for values in known):
        return _by_repeats(points, known, drawn, rng), "repeats"
    if all(one is not None for one in drawn):
        return np.stack([one for one in drawn if one is not None], axis=1), "samples"
    if len(points.batch) >= RESIDUALS_NEED:
        return _by_residuals(points, rng), "residuals"
    return None, "nothing"


def _repeats_of(group: tuple[CurvePoint, ...]) -> Floats:
    """Repeats of one batch size over their mean: of several measurements, else of the rounds of one."""
    values = [point.mean_ms for point in group] if len(group) > 1 else list(group[0].repeats_ms)
    return np.array(values) / np.mean(values) if values else np.array([])


def _by_repeats(
    points: JoinedPoints, known: list[Floats], drawn: list[Floats | None], rng: np.random.Generator
) -> Floats:
    freedom = sum(len(values) - 1 for values in known if len(values) > 1)
    variance = sum(float(((values - 1) ** 2).sum()) for values in known) / freedom
    between = np.sqrt(variance / np.array([max(len(values), 1) for values in known]))
    within = np.array([0.0 if one is None else float(np.std(one)) for one in drawn]) / points.ms
    t = rng.standard_t(freedom, size=(RESAMPLES, len(known)))
    means: Floats = points.ms * np.maximum(1 + np.maximum(between, within) * t, _LEAST)
    return means


def _by_residuals(points: JoinedPoints, rng: np.random.Generator) -> Floats:
    trend = fit_two_parts(points.batch, points.ms, points.weight).at(points.batch)
    residual = np.log(points.ms / trend)
    widened = np.sqrt(len(residual) / (len(residual) - _TREND_FREEDOM))
    chosen = rng.choice(residual - residual.mean(), size=(RESAMPLES, len(residual)))
    means: Floats = points.ms * np.exp(widened * chosen)
    return means


def _resampled_mean(point: CurvePoint, rng: np.random.Generator) -> Floats | None:
    """Means that other executions of the same run might have had; None when nothing tells."""
    samples = np.asarray(point.samples_ms, dtype=np.float64)
    if 2 <= len(samples) <= _MOST_DRAWS // RESAMPLES:
        means = rng.choice(samples, size=(RESAMPLES, len(samples))).mean(axis=1)
        # Quantiles stand for more executions than they are: the mean of those scatters less.
        shrunk = np.sqrt(len(samples) / max(point.executions or 0, len(samples)))
        drawn: Floats = point.mean_ms * (1 + (means / samples.mean() - 1) * shrunk)
        return drawn
    error = point.relative_error
    if error is None:
        return None
    return point.mean_ms * np.maximum(1 + error * rng.standard_normal(RESAMPLES), _LEAST)
