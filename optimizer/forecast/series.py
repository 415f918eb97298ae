"""Forecast one series: ``forecast_series(values, start=..., horizon_h=...) -> SeriesForecast``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import cached_property
from typing import Final

import numpy as np

from optimizer.calendar_days import Event, Holiday
from optimizer.forecast.backtest import UNTESTED, Scores, choose, place_origins, roll, widening
from optimizer.forecast.marginals import LEVELS, Marginals
from optimizer.forecast.models import LAST_LEVEL, REFERENCE, Training, forecasts
from optimizer.forecast.occasions import Occasions, holidays_of
from optimizer.forecast.paths import TYPICAL, Dependence, dependence, errors_by_day, fast_part, levels_of, slow_part
from optimizer.forecast.rolling import forecast_at
from optimizer.forecast.scale import Floats, choose_scale
from optimizer.forecast.season import DAY, Seasons, find_seasons
from optimizer.forecast.verdict import interval_notes, verdict

PATHS: Final = 200
"""Sample paths unless more or fewer are asked for."""
ENDED: Final = "ended"
"""In place of a model, of a pool that nobody wants any more."""
_ALONE: Final = np.ones(1)
_DECIMALS: Final = 9
"""A root squared is not quite what it was: five instances for ever lie within five and five."""


@dataclass(frozen=True)
class Shocks:
    """Where the randomness of sample paths comes from: shared streams, so that one path is one future of all pools."""

    seed: int
    paths: int
    """S."""
    column: int = 0
    """Stream of the pool's own."""
    row: Floats = field(default_factory=lambda: _ALONE)
    """(P,) how the pool's level mixes the streams of all pools; squares add up to 1."""
    common: float = 0.0
    """Share of the variance within the day that all pools have in common."""

    def slow(self, days: int) -> Floats:
        """(S, days) shocks to the level, standard normal."""
        mixed = np.zeros((self.paths, days))
        for stream, weight in enumerate(self.row):
            if weight:
                mixed += weight * self._normal(1, stream, days)
        return mixed

    def fast(self, hours: int) -> Floats:
        """(S, hours) shocks within the day, standard normal."""
        own = self._normal(2, self.column, hours)
        if self.common == 0:
            return own
        shared = np.sqrt(self.common) * self._normal(3, 0, hours)
        return np.asarray(shared + np.sqrt(1 - self.common) * own)

    def _normal(self, purpose: int, stream: int, length: int) -> Floats:
        source = np.random.default_rng(np.random.SeedSequence((self.seed, purpose, stream)))
        # Drawn by hour, so that a longer horizon goes on where a shorter one ended.
        return np.asarray(source.standard_normal((length, self.paths)).T)


@dataclass(frozen=True)
class SeriesForecast:
    """What one series will be, hour by hour, and how sure that is."""

    start: datetime
    """First hour foretold, UTC."""
    model: str
    """Name of the model that the backtest chose."""
    p50: Floats
    """(H,) the point forecast, and the median."""
    forecastable: bool
    """Whether the forecast is better than repeating the past; ``reasons`` says why not."""
    reasons: tuple[str, ...]
    """Why it cannot be forecast, one sentence each; empty where it can."""
    notes: tuple[str, ...]
    """What was found and assumed, one sentence each."""
    scores: Scores
    """Of the backtest, on origins whose outcome neither the choice nor the intervals had seen."""
    seasons: Seasons
    """Seasons found."""
    quantiles: Floats
    """(Q, H) demand at the probabilities ``LEVELS``."""
    marginals: Marginals
    """Spread of the errors on the even scale."""
    dependence: Dependence
    """How errors hang together over the hours."""
    shocks: Shocks
    """Where sample paths come from."""
    day_errors: dict[int, float] = field(default_factory=dict)
    """Day of the history -> mean error of the backtest on it, in units of the spread: how pools go together."""

    @property
    def steps(self) -> int:
        """H, hours foretold."""
        return len(self.p50)

    def quantile(self, level: float) -> Floats:
        """(H,) demand that is not exceeded with this probability, hour by hour."""
        return np.asarray(self._at(np.full((1, self.steps), level))[0])

    @cached_property
    def mean(self) -> Floats:
        """(H,) expected demand: the mean of the sample paths."""
        count = self.shocks.paths
        return np.asarray(np.mean([self.quantile((i + 0.5) / count) for i in range(count)], axis=0))

    @property
    def paths(self) -> Floats:
        """(S, H) futures, each coherent over the hours; computed anew each time, always the same."""
        days = -(-self.steps // DAY)
        growth = np.maximum.accumulate(np.resize(self.marginals.spread, days * DAY).reshape(days, DAY).mean(axis=1))
        slow = slow_part(self.shocks.slow(days), growth, self.dependence)
        fast = fast_part(self.shocks.fast(self.steps), self.dependence)
        return self._at(levels_of(slow, fast, self.dependence))

    def _at(self, levels: Floats) -> Floats:
        """(S, H) quantiles at levels (S, H), linear between those kept."""
        upper = np.clip(np.searchsorted(LEVELS, levels), 1, len(LEVELS) - 1)
        share = np.clip((levels - LEVELS[upper - 1]) / (LEVELS[upper] - LEVELS[upper - 1]), 0.0, 1.0)
        step = np.arange(self.steps)
        return np.asarray((1 - share) * self.quantiles[upper - 1, step] + share * self.quantiles[upper, step])


def forecast_series(
    values: Floats,
    *,
    start: datetime,
    horizon_h: int,
    holidays: Sequence[Holiday | date] = (),
    events: Sequence[Event] = (),
    seed: int = 0,
    paths: int = PATHS,
    shocks: Shocks | None = None,
) -> SeriesForecast:
    """What will a series be, hour by hour, and how sure is that?

    Parameters
    ----------
    values
        (T,) hourly demand, 0 or more, without gaps; T at least 1.
    start
        Its first hour, UTC.
    horizon_h
        H, hours to foretell after its end, at least 1.
    holidays, events
        Past ones to learn from, coming ones to foretell.
    seed
        Of the sample paths; nothing else is random.
    paths
        S, sample paths.
    shocks
        Instead of ``seed`` and ``paths``: shared with other series.

    Returns
    -------
    SeriesForecast

    Raises
    ------
    ValueError
        The series is empty, or holds what is no demand.
    """
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 1 or not values.size or not (np.isfinite(values) & (values >= 0)).all() or horizon_h < 1:
        raise ValueError("values must be hourly demand, finite and not negative, and the horizon an hour at least")
    shocks = shocks or Shocks(seed, paths)
    occasions = Occasions(start, holidays_of(holidays), tuple(events))
    usual = occasions.usual(values)
    scale = choose_scale(usual)
    even = scale.forward(usual)
    seasons = find_seasons(even)
    origins, steps = place_origins(len(values), horizon_h)
    rolled = forecast_at(values, occasions, origins, steps, seasons.period_h)
    rolling, chosen, worse = UNTESTED, None, None
    if len(origins):
        rolling = roll(rolled)
        chosen = choose(rolled, len(values), scale, horizon_h)
        if rolling.scores.mase > rolling.scores.mase_naive:
            # To choose a model by its past did worse than not to choose: what is used is what it did not beat.
            worse = rolling.scores.mase
            rolling = roll(rolled, model=REFERENCE)
            chosen = choose(rolled, len(values), scale, horizon_h, model=REFERENCE)
    training = Training(even, seasons, horizon_h, seasons.period_h)
    said = forecasts(training)
    factor = occasions.factors(usual, values, horizon_h)
    how, day_errors = TYPICAL, dict[int, float]()
    if chosen is None:
        model, middle, marginals = LAST_LEVEL, said[LAST_LEVEL], _blind(even, horizon_h)
    else:
        model = chosen.model if chosen.model in said else REFERENCE
        middle = said[model]
        marginals = chosen.marginals.widened(widening(rolling.relative, rolling.when, len(values)))
        how = dependence(chosen.relative, chosen.known, rolled.leads)
        day_errors = errors_by_day(chosen.relative, chosen.known, rolled.leads, rolled.origins)
    reasons = verdict(rolling.scores, seasons, training.profiled, horizon_h, chosen_mase=worse)
    return SeriesForecast(
        start=start + timedelta(hours=len(values)),
        model=model,
        p50=np.round(factor * scale.back(middle), _DECIMALS),
        forecastable=not reasons,
        reasons=reasons,
        notes=(
            *interval_notes(rolling.scores, exact=rolling.exact),
            *_notes(rolled.reach if len(origins) else 0, horizon_h, model),
        ),
        scores=rolling.scores,
        seasons=seasons,
        quantiles=np.round(factor * scale.back(middle + marginals.shape[:, None] * marginals.spread), _DECIMALS),
        marginals=marginals,
        dependence=how,
        shocks=shocks,
        day_errors=day_errors,
    )


def ended(start: datetime, horizon_h: int, last: datetime | None, shocks: Shocks) -> SeriesForecast:
    """Give the forecast of a pool that nobody wants any more: nothing.

    Parameters
    ----------
    start
        First hour foretold.
    horizon_h
        H, hours to foretell.
    last
        Hour of its last demand; None where it never had any.
    shocks
        As for the other pools.
    """
    nothing = np.zeros(horizon_h)
    when = "It never had demand" if last is None else f"Its last demand was on {last:%Y-%m-%d}"
    return SeriesForecast(
        start=start,
        model=ENDED,
        p50=nothing,
        forecastable=False,
        reasons=(f"{when}: taken to stay without. Should it come back, no history can tell when",),
        notes=(),
        scores=UNTESTED.scores,
        seasons=Seasons(daily=False, weekly=False, strength=0.0),
        quantiles=np.zeros((len(LEVELS), horizon_h)),
        marginals=Marginals(nothing, np.zeros(len(LEVELS))),
        dependence=TYPICAL,
        shocks=shocks,
    )


def _notes(reach: int, horizon_h: int, model: str) -> tuple[str, ...]:
    notes = []
    if model == REFERENCE:
        notes.append("Seasonal naive is used: no model was clearly better on the past")
    if 0 < reach < horizon_h:
        notes.append(
            f"The history is long enough to test {reach:,} h ahead, not {horizon_h:,}: beyond, the interval widens "
            "as its growth so far leads to expect"
        )
    return tuple(notes)


def _blind(even: Floats, steps: int) -> Marginals:
    """Marginals of a series too short to backtest: as wide as it varied, and wider with the root of the time."""
    from statistics import NormalDist

    spread = 1.2816 * max(float(np.std(even)), 0.25 * abs(float(np.mean(even))))
    normal = np.array([NormalDist().inv_cdf(level) for level in LEVELS]) / 1.2816
    return Marginals(spread * np.sqrt(1 + np.arange(steps) / len(even)), normal)
