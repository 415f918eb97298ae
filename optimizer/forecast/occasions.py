"""Days and times that are not like others: what holidays and launches did, and what they will do.

Demand on such hours is the usual demand times a factor. The factor of a holiday is measured on earlier ones of its
name, else it is taken for a Sunday; that of an event is given, or measured on earlier ones of its name. Usual demand
of an hour is the median of the same hour of the week in the weeks about it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Final

import numpy as np

from optimizer.calendar_days import Event, Holiday, event_hours, holiday_hours
from optimizer.forecast.marginals import Bools, Ints
from optimizer.forecast.scale import Floats
from optimizer.forecast.season import DAY, WEEK

_WEEKS_ABOUT: Final = 4
_SUNDAY_WEEKS: Final = 8
_MOST: Final = 20.0
"""A measured factor is kept within this and its inverse."""


@dataclass(frozen=True)
class Occasions:
    """Holidays and events about one series."""

    start: datetime
    """First hour of the series, UTC."""
    holidays: tuple[Holiday, ...] = ()
    events: tuple[Event, ...] = ()
    zone: tzinfo = field(default=UTC)
    """Whose midnight begins a holiday."""

    def usual(self, values: Floats) -> Floats:
        """(T,) what demand would have been without its holidays and events."""
        special = self._special(len(values))
        if not special.any():
            return values
        usual = values.copy()
        hours = np.flatnonzero(special)
        usual[hours] = [self._about(values, special, hour) for hour in hours.tolist()]
        return usual

    def factors(self, usual: Floats, values: Floats, steps: int) -> Floats:
        """(steps,) what usual demand is multiplied by in the hours after the series, from what is known at its end."""
        factor = np.ones(steps)
        now = len(values)
        for holiday in self.holidays:
            ahead = np.flatnonzero(holiday_hours([holiday], self.start, now + steps, self.zone)[now:])
            if ahead.size:
                factor[ahead] *= self.holiday_factor(holiday.name, usual, values, now + ahead)
        for event in self.events:
            ahead = np.flatnonzero(event_hours([event], self.start, now + steps)[now:])
            if ahead.size:
                measured = self.event_factor(event, usual, values)
                factor[ahead] *= 1.0 if measured is None else measured
        return factor

    def holiday_factor(self, name: str, usual: Floats, values: Floats, hours: Ints) -> Floats:
        """Factors of hours of a coming holiday: those of past ones of its name, else a Sunday's over the weekday's."""
        now = len(values)
        past = np.flatnonzero(self.on_holiday(name, now))
        of_day = (self.start.hour + hours) % DAY
        if past.size >= DAY // 2:
            past_of_day = (self.start.hour + past) % DAY
            actual = np.bincount(past_of_day, values[past], DAY)
            ordinary = np.bincount(past_of_day, usual[past], DAY)
            smooth = [np.roll(one, -1) + 2 * one + np.roll(one, 1) for one in (actual, ordinary)]
            overall = actual.sum() / max(ordinary.sum(), 1e-9)
            ratio = np.where(smooth[1] > 0, smooth[0] / np.maximum(smooth[1], 1e-9), overall)
            return np.asarray(np.clip(ratio, 1 / _MOST, _MOST)[of_day], dtype=np.float64)
        weeks = min(now // WEEK, _SUNDAY_WEEKS)
        if weeks == 0:
            return np.ones(len(of_day))
        table = np.median(usual[-weeks * WEEK :].reshape(weeks, WEEK), axis=0)
        of_week = (hours - now) % WEEK
        first = (self.start + timedelta(hours=now)).weekday() * DAY + (self.start + timedelta(hours=now)).hour
        sunday = (6 * DAY + of_day - first) % WEEK
        weekday, like = table[of_week], table[sunday]
        ratio = np.where(weekday > 0, like / np.maximum(weekday, 1e-9), 1.0)
        return np.asarray(np.clip(ratio, 1 / _MOST, _MOST))

    def event_factor(self, event: Event, usual: Floats, values: Floats) -> float | None:
        """Factor of an event: the user's, else what earlier ones of its name did; None where none is known."""
        if event.factor is not None:
            return event.factor
        now = len(values)
        end = self.start + timedelta(hours=now)
        ratios = []
        for other in self.events:
            if other.name == event.name and other.end <= end:
                hours = event_hours([other], self.start, now)
                if hours.any() and usual[hours].sum() > 0:
                    ratios.append(max(float(values[hours].sum() / usual[hours].sum()), 1 / _MOST))
        if not ratios:
            return None
        return float(np.clip(np.exp(np.mean(np.log(ratios))), 1 / _MOST, _MOST))

    def on_holiday(self, name: str, hours: int) -> Bools:
        """(hours,) which hours of the series lie on a holiday of that name."""
        return holiday_hours([day for day in self.holidays if day.name == name], self.start, hours, self.zone)

    def _special(self, hours: int) -> Bools:
        return holiday_hours(self.holidays, self.start, hours, self.zone) | event_hours(self.events, self.start, hours)

    def _about(self, values: Floats, special: Bools, hour: int) -> float:
        """Median of the same hour of the week in the ordinary weeks about; of the ordinary days where there is none."""
        for apart in (WEEK, DAY):
            near = hour + apart * np.arange(-_WEEKS_ABOUT, _WEEKS_ABOUT + 1)
            near = near[(near >= 0) & (near < len(values))]
            near = near[~special[near]]
            if near.size:
                return float(np.median(values[near]))
        return float(values[hour])


def holidays_of(given: Sequence[Holiday | date]) -> tuple[Holiday, ...]:
    """Holidays from days or from days with names, each day once."""
    found = {day.day: day for day in (one if isinstance(one, Holiday) else Holiday(one) for one in given)}
    return tuple(sorted(found.values()))
