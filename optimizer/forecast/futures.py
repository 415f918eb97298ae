"""What may be wanted over a term? Futures of every pool's demand, hour by hour, for the commitments to be bought.

Each future continues one of the trends of the last weeks and months, fading as it goes, and adds changes as large as
those that were seen. All pools together are easier to foresee than any one of them, so the sum follows a trend of its
own, and the pools share it out; newcomers may take the place of older ones (:mod:`optimizer.forecast.substitution`).
Within a week, demand is that of a week of the last two months, drawn anew for every week, the same for all pools, so
that what peaks together stays together.

What this is measured by is the cost of committing by it: the backtest beside every recommendation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import numpy as np
import numpy.typing as npt

from optimizer.forecast.levels import (
    WEEK_H,
    Levels,
    lasting_change,
    levels_of,
    logarithms,
    trend,
)
from optimizer.forecast.substitution import CHANCE_OF_MOVE, YOUNG_H, Newcomers, moved, newcomers
from optimizer.history import History

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

TREND_OVER: Final = (4, 8, 13, 26, 52)
"""Weeks over which a future's trend is taken: a month to a year, all alike likely. Which one goes on is not known."""

LEVEL_OVER: Final = (3, 6)
"""Weeks over which the level is taken that a future starts from."""

FADING: Final = 0.97
"""What is left of a trend after each week: half after five months. Nothing grows for ever."""

SURE_AFTER: Final = 8
"""Levels after which the trend of a young pool counts fully."""

STEEPEST: Final = 0.2
"""Change of the logarithm from week to week beyond which no trend is believed."""

LASTING_SHARE: Final = 0.5
"""Share of the changes seen from week to week that lasts; the rest is undone the week after."""

LEAST_CHANGE: Final = 0.02
"""Change from week to week that is allowed for even where demand has been constant."""

MOST_GROWTH: Final = 6.0
"""No pool grows beyond so many times the highest level it had."""

SHAPE_BLOCKS: Final = 8
"""Last weeks whose hours are drawn from."""

FUTURES: Final = 100
"""Futures unless told otherwise."""

LARGEST_TABLE: Final = 30_000_000
"""Numbers in the table of all futures, hours and pools (240 MB); fewer futures are drawn where it would be larger."""

LEAST_FUTURES: Final = 20


@dataclass(frozen=True)
class DemandScenarios:
    """Demand that may come, from the hour after the history on. Shapes: S futures, T hours, P pools."""

    start: datetime
    """First hour, UTC."""
    pools: tuple[str, ...]
    demand: Floats
    """(S, T, P) instances wanted."""
    probability: Floats
    """(S,) of the futures; they add up to 1."""
    notes: tuple[str, ...] = ()
    """What was assumed, one sentence each, without a full stop."""

    def __post_init__(self) -> None:
        """Refuse shapes that do not belong together."""
        futures, hours, pools = self.demand.shape
        if self.probability.shape != (futures,) or len(self.pools) != pools or not hours:
            raise ValueError(f"demand must be futures x hours x pools, got {self.demand.shape}")

    @property
    def hours(self) -> int:
        """T, the hours of each future."""
        return len(self.demand[0])

    @property
    def mean(self) -> Floats:
        """(T, P) expected demand."""
        expected: Floats = np.tensordot(self.probability, self.demand, axes=1)
        return expected


@dataclass(frozen=True)
class LevelPaths:
    """Futures of all pools before they are written out by the hour: levels of weeks, and the weeks that shape them."""

    block_h: int
    """Hours of a level: 168, or 24 where the history is short."""
    levels: Floats
    """(S, K, P) level of each pool, future by future."""
    shapes: Floats
    """(N, block_h, P) hours of the last blocks over the means of these."""
    picked: Ints
    """(S, K) which of them each future has in each block, the same for all pools."""
    whole: bool
    """Whether whole instances were wanted so far: so they are from now on."""
    most: Floats
    """(P,) level that no future goes beyond because its spread is multiplied."""
    who: Newcomers
    """Pools that may take the place of others."""

    def of(self, pool: int, hours: int) -> Floats:
        """(S, hours) demand of one pool."""
        shaped = self.shapes[self.picked, :, pool] * self.levels[:, :, pool, np.newaxis]
        demand: Floats = shaped.reshape(len(self.levels), -1)[:, :hours]
        return np.rint(demand) if self.whole else demand

    def at(self, pool: int, leads: Ints, spread: float, factor: Floats | float = 1.0) -> Floats:
        """(S, K) demand of one pool so many hours ahead, with a factor, the spread of its levels multiplied."""
        blocks, hours = np.divmod(leads, self.block_h)
        levels = self.spread_by(pool, spread)[:, blocks]
        demand: Floats = self.shapes[self.picked[:, blocks], hours, pool] * levels * factor
        return np.rint(demand) if self.whole else demand

    def spread_by(self, pool: int, factor: float) -> Floats:
        """(S, K) levels of one pool, their logarithms so many times as far from their median."""
        levels = self.levels[:, :, pool]
        middle = np.median(levels, axis=0)
        off = np.divide(levels, middle, out=np.ones_like(levels), where=middle > 0)
        spread: Floats = np.minimum(middle * off**factor, np.maximum(levels, self.most[pool]))
        return spread


def futures_of(
    history: History, hours: int, *, futures: int = FUTURES, seed: int = 0, interchangeable: bool = True
) -> DemandScenarios:
    """What may be wanted in the hours after a history?

    Parameters
    ----------
    history
        What was wanted. Two weeks or more; from four days on levels are taken day by day.
    hours
        How far to look.
    futures
        How many; fewer where the table would be too large for memory.
    seed
        Of all draws: the same seed gives the same futures.
    interchangeable
        As :func:`level_paths`.

    Raises
    ------
    ValueError
        The history has fewer than four days, or ``hours`` or ``futures`` is not positive.
    """
    if hours < 1 or futures < 1:
        raise ValueError(f"hours and futures must be at least 1, got {hours} and {futures}")
    pools = len(history.pools)
    drawn = max(min(futures, LEAST_FUTURES), min(futures, LARGEST_TABLE // (hours * pools)))
    found = level_paths(history.demand, hours, futures=drawn, seed=seed, interchangeable=interchangeable)
    demand = np.empty((drawn, hours, pools))
    for pool in range(pools):
        demand[:, :, pool] = found.of(pool, hours)
    return DemandScenarios(
        start=history.end,
        pools=history.pools,
        demand=demand,
        probability=np.full(drawn, 1 / drawn),
        notes=tuple(notes_on(history, found)),
    )


def level_paths(
    history: Floats, hours: int, *, futures: int, seed: int = 0, interchangeable: bool = True
) -> LevelPaths:
    """Which levels may follow those of a history (T, P), and which of its weeks may shape them?

    Parameters
    ----------
    history
        Hourly demand.
    hours
        How far to look.
    futures, seed
        How many to draw, and of what.
    interchangeable
        Whether the pools are kinds of machine that do the same work: then their sum has a trend of its own that they
        share out, and newcomers may take the place of older ones. Those of different workloads are not.

    Raises
    ------
    ValueError
        The history has fewer than four days.
    """
    levels = levels_of(history)
    pools = history.shape[1]
    streams = [np.random.default_rng(part) for part in np.random.SeedSequence(seed).spawn(pools + 4)]
    blocks = -(-hours // levels.block_h)
    start = _Start(futures, blocks, levels.block_h, streams[0])
    paths = np.zeros((futures, blocks, pools))
    for pool in np.flatnonzero(levels.current > 0):
        life = levels.demand[len(levels.demand) - levels.age[pool] :, pool]
        paths[:, :, pool] = start.paths(life, streams[4 + pool])
    who = newcomers(levels) if interchangeable else Newcomers(*np.zeros((2, pools), dtype=np.bool_))
    if who.any:
        paths = moved(paths, who, levels.current, levels.block_h, streams[1])
    if interchangeable and pools > 1 and levels.current.any():
        whole = start.paths(levels.demand.sum(axis=1), streams[2])
        together = paths.sum(axis=2)
        paths *= np.divide(whole, together, out=np.ones_like(whole), where=together > 0)[:, :, np.newaxis]
    shapes = _shapes(history, levels)
    last = history[len(history) - len(shapes) * levels.block_h :]
    return LevelPaths(
        block_h=levels.block_h,
        levels=paths,
        shapes=shapes,
        picked=streams[3].integers(len(shapes), size=(futures, blocks)),
        whole=bool(np.equal(np.mod(last, 1), 0).all()),
        most=MOST_GROWTH * levels.demand.max(axis=0),
        who=who,
    )


class _Start:
    """What all pools of a future have in common: over how long its trend and its level are taken."""

    def __init__(self, futures: int, blocks: int, block_h: int, rng: np.random.Generator) -> None:
        self.block_h = block_h
        self.trends = _dealt(len(TREND_OVER), futures, rng)
        self.levels = _dealt(len(LEVEL_OVER), futures, rng)
        self.fading = np.cumsum(FADING ** np.arange(1, blocks + 1))

    def paths(self, life: Floats, rng: np.random.Generator) -> Floats:
        """(S, K) levels that may follow those of a pool's life, (L,) of which the last is now."""
        logs = logarithms(life)
        slopes = np.array(
            [trend(logs, over).slope * min(1.0, min(over, len(logs)) / SURE_AFTER) for over in TREND_OVER]
        )
        # From one day to the next a weekday shows, not a trend.
        slopes = slopes.clip(-STEEPEST, STEEPEST) if self.block_h == WEEK_H else np.zeros(len(slopes))
        levels = np.array([trend(logs, over).level for over in LEVEL_OVER])
        change = np.hypot(LASTING_SHARE * lasting_change(logs[-60:]), LEAST_CHANGE)
        walk = np.cumsum(rng.normal(scale=change, size=(len(self.trends), len(self.fading))), axis=1)
        course = levels[self.levels][:, np.newaxis] + slopes[self.trends][:, np.newaxis] * self.fading + walk
        grown: Floats = np.exp(np.minimum(course, logs.max() + np.log(MOST_GROWTH)))
        return grown


def _dealt(kinds: int, futures: int, rng: np.random.Generator) -> Ints:
    """Deal futures to kinds as evenly as can be, in random order: less noise than drawing each."""
    return rng.permutation(np.arange(futures) % kinds)


def _shapes(history: Floats, levels: Levels) -> Floats:
    """(N, B, P) the hours of the last blocks over their mean."""
    pools = history.shape[1]
    count = min(SHAPE_BLOCKS, len(levels.demand))
    last = history[len(history) - count * levels.block_h :].reshape(count, levels.block_h, pools)
    level = last.mean(axis=1)
    # A block in which a pool hardly ran has no shape of its own.
    usual = level > 0.2 * levels.current
    shape: Floats = np.divide(last, level[:, np.newaxis], out=np.ones_like(last), where=(level > 0)[:, np.newaxis])
    for pool in range(pools):
        found = np.flatnonzero(usual[:, pool])
        if len(found):
            stand_in = found[np.arange(count) % len(found)]
            shape[:, :, pool] = np.where(usual[:, pool, None], shape[:, :, pool], shape[stand_in, :, pool])
    return shape


def notes_on(history: History, found: LevelPaths) -> list[str]:
    """Say what is assumed of the pools: one sentence each, without a full stop."""
    notes, who = [], found.who
    current = history.demand[-2 * found.block_h :].mean(axis=0)
    if who.any:
        new = _named(history.pools, who.new)
        share = current[who.new].sum() / current.sum()
        notes.append(
            f"{new} came within the last {YOUNG_H // 168} weeks and {'take' if who.new.sum() > 1 else 'takes'} "
            f"{share:.0%} of demand: in {CHANCE_OF_MOVE:.0%} of the scenarios the older pools move there within "
            "months, in the others they stay side by side"
        )
    ended = (current == 0) & history.lived
    if ended.any():
        notes.append(f"no demand at the end of the history, so none is foreseen: {_named(history.pools, ended)}")
    if found.block_h != WEEK_H:
        notes.append(f"only {history.hours / 24:.0f} days of history: levels are taken day by day")
    return notes


def _named(pools: Sequence[str], which: npt.NDArray[np.bool_]) -> str:
    names = [pool for pool, chosen in zip(pools, which, strict=True) if chosen]
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
