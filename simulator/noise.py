"""How single executions scatter around the mean of their batch size: the tables the engines draw from.

A table row is the quantile function of the factor on a grid, of mean 1. Each request draws one position on the grid
ahead of the run, and a batch uses the position of its oldest request, so the engines only interpolate.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

from simulator.log import Int64s
from simulator.model import Noise
from simulator.policies.service import NOISE_LEVELS
from simulator.state import Float64s

if TYPE_CHECKING:
    from calibration.profile import Profile

REACH: Final = 6.0
"""The grid of a continuous distribution covers this many standard deviations of a normal variable, both ways."""

MOST_ROWS: Final = 256
"""Different scatters of one profile; where batch sizes have more, neighbours share the row of the nearest."""


def noise_of(profile: Profile, largest: int) -> Noise | None:
    """The scatter of a profile for batches of 1 to ``largest`` items; None without scatter."""
    batches = np.arange(1, largest + 1)
    if profile.noise_kind == "empirical":
        return empirical(profile, batches)
    if profile.noise_kind == "lognormal":
        cv = profile.latency_cv_at(batches)
        return lognormal(cv) if cv.any() else None
    return None


def lognormal(cv: Float64s) -> Noise:
    """Lognormal factors of mean 1 with the coefficient of variation given for batches of 1, 2, ... items.

    Notes
    -----
    A factor is exp(sigma z - sigma^2 / 2) with sigma^2 = ln(1 + cv^2) and z standard normal, cut at 6 standard
    deviations. Linear interpolation between the 1,024 steps of the grid errs by sigma^2 (12/1024)^2 / 8, at cv 1
    by a hundred-thousandth.
    """
    shades, row = np.unique(_coarse(cv), return_inverse=True)
    sigma = np.sqrt(np.log1p(shades**2))[:, None]
    z = np.linspace(-REACH, REACH, NOISE_LEVELS + 1)
    return Noise(np.exp(sigma * z - sigma**2 / 2), np.concatenate(([0], row)).astype(np.int64), normal_positions)


def _coarse(cv: Float64s) -> Float64s:
    """At most MOST_ROWS different values, each moved by at most half a step."""
    if len(np.unique(cv)) <= MOST_ROWS:
        return cv
    steps = np.linspace(cv.min(), cv.max(), MOST_ROWS)
    coarse: Float64s = steps[np.rint((cv - steps[0]) / (steps[1] - steps[0])).astype(np.int64)]
    return coarse


def normal_positions(generator: np.random.Generator, n: int) -> Float64s:
    """Positions of ``n`` standard normal draws on the grid of a continuous distribution."""
    z = generator.standard_normal(n)
    return np.clip((z + REACH) * (NOISE_LEVELS / (2 * REACH)), 0.0, math.nextafter(NOISE_LEVELS, 0.0))


def empirical(profile: Profile, batches: Int64s) -> Noise:
    """Resample the measured times of the nearest measured batch size, relative to their mean."""
    points = np.array(profile.batch)
    factors = np.array([_levels(profile.relative_samples(batch)) for batch in profile.batch])
    row = np.abs(points[None, :] - batches[:, None]).argmin(axis=1)
    return Noise(factors, np.concatenate(([0], row)).astype(np.int64), whole_positions)


def _levels(relative: Float64s) -> Float64s:
    """The samples' quantiles at the middle of NOISE_LEVELS equal shares, of mean 1; the last one is never reached."""
    shares = (np.arange(NOISE_LEVELS) + 0.5) / NOISE_LEVELS
    levels = np.quantile(relative, shares, method="inverted_cdf")
    factors: Float64s = np.concatenate((levels, levels[-1:])) / levels.mean()
    return factors


def whole_positions(generator: np.random.Generator, n: int) -> Float64s:
    """``n`` levels, equally likely."""
    return np.floor(generator.random(n) * NOISE_LEVELS)
