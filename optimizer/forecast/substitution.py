"""Does one instance type take another's place? Pools that came lately, and futures in which they go on growing.

Instance types come and go: a successor appears, takes a share, and the workload moves over months. A history that ends
in the middle of that says nothing of where it ends, so both are futures: the pools stay side by side, or the older ones
move. A move follows the logistic curve that substitutions have been seen to follow.

References
----------
J. C. Fisher and R. H. Pry, "A simple substitution model of technological change", Technological Forecasting and Social
Change 3 (1971): the share of what is left falls as 1 / (1 + exp(a (t - t_half))).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from optimizer.forecast.levels import WEEK_H, Levels

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

YOUNG_H: Final = 26 * WEEK_H
"""A pool younger than half a year is a newcomer ..."""

LEAST_SHARE: Final = 0.05
"""... where it has at least this share of all demand."""

CHANCE_OF_MOVE: Final = 0.5
"""Of the futures in which the older pools move to the newcomers. Nothing in the history tells: even chances."""

HALF_MOVED_WEEKS: Final = (8.0, 52.0)
"""Weeks until half has moved: from two months to a year, all alike likely."""

STEEPNESS_PER_WEEK: Final = (0.08, 0.25)
"""Rate of the logistic curve: from 10 to 90 % takes between 4 months and a year."""


@dataclass(frozen=True)
class Newcomers:
    """Who might take whose place."""

    new: Flags
    """(P,) pools that came lately and matter."""
    old: Flags
    """(P,) pools that they may replace."""

    @property
    def any(self) -> bool:
        """Whether there is somebody to replace and somebody to replace them."""
        return bool(self.new.any() and self.old.any())


def newcomers(levels: Levels) -> Newcomers:
    """Which pools came within the last half year and have a share of demand that matters?

    A history shorter than twice that cannot tell: pools that stand at its beginning may be old.

    Examples
    --------
    >>> demand = np.ones((60, 2)) * 10
    >>> demand[:57, 1] = 0
    >>> found = newcomers(Levels(168, demand))
    >>> found.new, found.old, found.any
    (array([False,  True]), array([ True, False]), True)
    """
    current = levels.current
    total = max(float(current.sum()), 1e-300)
    seen_from_start = levels.age == len(levels.demand)
    young = (levels.age * levels.block_h <= YOUNG_H) & ~seen_from_start
    new = young & (current >= LEAST_SHARE * total)
    return Newcomers(new, (current > 0) & ~new)


def moved(paths: Floats, who: Newcomers, shares: Floats, block_h: int, rng: np.random.Generator) -> Floats:
    """Let the older pools move to the newcomers in some of the futures.

    Parameters
    ----------
    paths : (S, K, P)
        Level of each pool, future by future.
    who
        The pools.
    shares : (P,)
        Share of demand of each pool today: newcomers take what moves in proportion to it.
    block_h
        Hours from one level to the next.
    rng
        Source of the draws: whether, when, how fast.

    Returns
    -------
    (S, K, P) the same demand in total, moved from the old to the new.
    """
    futures, blocks, _ = paths.shape
    moves = rng.permutation(np.arange(futures) < round(CHANCE_OF_MOVE * futures))
    half = rng.uniform(*HALF_MOVED_WEEKS, size=(futures, 1))
    steep = rng.uniform(*STEEPNESS_PER_WEEK, size=(futures, 1))
    week = np.arange(1, blocks + 1) * (block_h / WEEK_H)
    left = (1 + np.exp(-steep * half)) / (1 + np.exp(steep * (week - half)))
    left = np.where(moves[:, np.newaxis], left, 1.0)
    after = paths.copy()
    gone = paths[:, :, who.old].sum(axis=2) * (1 - left)
    after[:, :, who.old] *= left[:, :, np.newaxis]
    after[:, :, who.new] += gone[:, :, np.newaxis] * (shares[who.new] / shares[who.new].sum())
    return after
