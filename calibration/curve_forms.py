"""The forms that a batch curve may take: straight lines, a monotone cubic, or two straight parts as a roofline has.

Each form takes a table with one row a resample and one column a batch size, so that a bootstrap costs one call.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from calibration.profile_file import Method

_ALIKE: Final = 1e-9
"""Relative difference of two losses that is rounding."""

Floats = npt.NDArray[np.float64]
Curve = Callable[[Floats], Floats]
"""Batch sizes (m,) to times (m,), or (r, m) where r resamples were fitted."""

_KNEES: Final = 64
"""Places that are tried for the knee, equally spaced in the logarithm of the batch size."""


def isotonic(values: Floats, weights: Floats) -> Floats:
    """Which non-decreasing sequence is nearest to these values, in weighted squares?

    Parameters
    ----------
    values : (n,) or (r, n)
        One sequence, or one a row.
    weights : (n,)
        How much each entry counts.

    Returns
    -------
    numpy.ndarray
        Of the shape of ``values``.

    Notes
    -----
    The max-min formula: x_i = max over k <= i of min over j >= i of the weighted mean of y_k ... y_j.

    References
    ----------
    R. E. Barlow et al., *Statistical Inference under Order Restrictions*, 1972, theorem 1.4.

    Examples
    --------
    >>> isotonic(np.array([1.0, 4.0, 2.0, 5.0]), np.ones(4)).tolist()
    [1.0, 3.0, 3.0, 5.0]
    """
    if values.ndim == 1 and bool((np.diff(values) >= 0).all()):
        return values.copy()
    n = values.shape[-1]
    total = np.concatenate([np.zeros((*values.shape[:-1], 1)), np.cumsum(values * weights, axis=-1)], axis=-1)
    weight = np.concatenate([[0.0], np.cumsum(weights)])
    pooled: Floats = np.full(values.shape, -np.inf)
    for first in range(n):
        ends = np.arange(first + 1, n + 1)
        means = (total[..., ends] - total[..., [first]]) / (weight[ends] - weight[first])
        least = np.minimum.accumulate(means[..., ::-1], axis=-1)[..., ::-1]
        pooled[..., first:] = np.maximum(pooled[..., first:], least)
    return pooled


def straight(batch: Floats, ms: Floats, weights: Floats) -> Curve:
    """Straight lines between the points, after pooling those that fall.

    >>> straight(np.array([8.0, 16.0]), np.array([24.0, 40.0]), np.ones(2))(np.array([12.0])).tolist()
    [32.0]
    """
    pooled = isotonic(ms, weights)
    return lambda at: _along(at, batch, pooled)


def monotone_cubic(batch: Floats, ms: Floats, weights: Floats) -> Curve:
    """A cubic through the points that keeps their order (PCHIP), after pooling those that fall.

    References
    ----------
    F. N. Fritsch and J. Butland, *A method for constructing local monotone piecewise cubic interpolants*, 1984.
    """
    from scipy.interpolate import PchipInterpolator

    cubic = PchipInterpolator(batch, isotonic(ms, weights), axis=-1)
    return lambda at: np.asarray(cubic(at), dtype=np.float64)


@dataclass(frozen=True)
class TwoParts:
    """t(b) = fixed + slow * min(b, knee) + steep * max(b - knee, 0), 0 <= slow <= steep: flat, then proportional.

    Below the knee the device is not full and time goes to launching and to reading weights; above it every item
    costs its share of the arithmetic or of the memory traffic.
    """

    knee: float
    fixed: float
    slow: float
    steep: float

    def at(self, batch: Floats) -> Floats:
        """Time in ms for batches of these sizes.

        >>> TwoParts(knee=4, fixed=5, slow=0, steep=1).at(np.array([1.0, 4.0, 10.0])).tolist()
        [5.0, 5.0, 11.0]
        """
        over = np.maximum(batch - self.knee, 0.0)
        times: Floats = self.fixed + self.slow * batch + (self.steep - self.slow) * over
        return times


def fit_two_parts(batch: Floats, ms: Floats, weights: Floats) -> TwoParts:
    """Which two straight parts leave the smallest relative errors, in weighted squares?

    The knee is tried at 64 places; for each, the three coefficients are the best that are not negative, found by
    trying which of them are zero. No iteration, so no local optimum. Where a single point lies above the knee every
    knee between it and the point before fits alike: the smallest is taken, so that rounding decides nothing.

    >>> sizes = np.array([1.0, 2.0, 4.0, 8.0, 16.0, 32.0])
    >>> found = fit_two_parts(sizes, TwoParts(8, 5, 0, 1).at(sizes), np.ones(6))
    >>> found.at(sizes).round(6).tolist()
    [5.0, 5.0, 5.0, 5.0, 13.0, 29.0]
    """
    root = np.sqrt(weights)
    knees = np.unique(np.concatenate([np.geomspace(batch[0], batch[-1], _KNEES + 2)[1:-1], batch[1:-1]]))
    over = np.maximum(batch[None, :] - knees[:, None], 0.0)
    design = np.stack([np.ones_like(over), np.broadcast_to(batch, over.shape), over], axis=-1)
    design = design * (root / ms)[:, None]
    best: tuple[float, TwoParts] | None = None
    for used in ((0, 1, 2), (0, 2), (0, 1), (1, 2), (1,), (0,)):
        if len(used) > len(batch):
            continue
        columns = design[:, :, used]
        found = np.linalg.pinv(columns) @ root
        loss = ((columns @ found[..., None])[..., 0] - root) ** 2
        rated = np.where((found >= 0).all(axis=-1), loss.sum(axis=-1), np.inf)
        index = int(np.argmax(rated <= rated.min() * (1 + _ALIKE) + 1e-15))
        if np.isfinite(rated[index]) and (best is None or rated[index] < best[0] * (1 - _ALIKE) - 1e-15):
            part = dict(zip(used, found[index].tolist(), strict=True))
            slow = part.get(1, 0.0)
            best = float(rated[index]), TwoParts(float(knees[index]), part.get(0, 0.0), slow, slow + part.get(2, 0.0))
    assert best is not None, "a constant is never negative"
    return best[1]


def two_parts(batch: Floats, ms: Floats, weights: Floats) -> Curve:
    """Two straight parts through the points: what the best ones leave over is spread between them.

    The trend gives the shape between the points; at the points the curve is the measurement. Curve over trend goes
    straight in the logarithm of the batch size, and never leaves the times of the two points it lies between.
    Resamples share the trend of their mean.
    """
    pooled = isotonic(ms, weights)
    trend = fit_two_parts(batch, pooled if pooled.ndim == 1 else pooled.mean(axis=0), weights)
    left_over = pooled / trend.at(batch)

    def curve(at: Floats) -> Floats:
        free = trend.at(at) * _along(np.log(at), np.log(batch), left_over)
        below = np.clip(np.searchsorted(batch, at, side="right") - 1, 0, len(batch) - 1)
        above = np.clip(np.searchsorted(batch, at, side="left"), 0, len(batch) - 1)
        bounded: Floats = np.clip(free, pooled[..., below], pooled[..., above])
        return bounded

    return curve


def _along(at: Floats, batch: Floats, values: Floats) -> Floats:
    """Straight lines through values (n,) or (r, n), constant outside."""
    if values.ndim == 1:
        return np.asarray(np.interp(at, batch, values), dtype=np.float64)
    place = np.clip(np.searchsorted(batch, at, side="right") - 1, 0, max(len(batch) - 2, 0))
    if len(batch) == 1:
        return np.repeat(values, len(at), axis=-1)
    share = np.clip((at - batch[place]) / (batch[place + 1] - batch[place]), 0.0, 1.0)
    along: Floats = values[..., place] * (1 - share) + values[..., place + 1] * share
    return along


FORMS: Final[Mapping[Method, Callable[[Floats, Floats, Floats], Curve]]] = {
    "points": straight,
    "isotonic_pchip": monotone_cubic,
    "linear_roofline": two_parts,
}
"""A function for every method: batch sizes (n,), times (n,) or (r, n), weights (n,), to a curve."""
