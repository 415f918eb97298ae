"""How long does one execution take, for each batch size? Measured so that the answer can be believed.

Every batch size is measured in several rounds, and the rounds of all batch sizes take turns, up and down: what drifts
slowly (a device that warms up, a neighbour that comes and goes) then shows as scatter of every point and bends none.
Each round is kept in the store (:mod:`calibration.store`) before the next begins; :mod:`calibration.measured_rows`
makes observations of what is kept, so that a sweep that was interrupted and resumed gives the same rows.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from calibration.backends.protocol import Execution, OutOfMemoryError, Session, UnavailableError
from calibration.measured_rows import observations_of
from calibration.meter import Meter, NoMeter
from calibration.observation import Observations
from calibration.problems import InputError, Problem
from calibration.repeats import (
    Beat,
    Budget,
    Clock,
    WarmUp,
    loops_needed,
    no_collector,
    sampled_ms,
    timer_resolution_s,
    warm_up,
)

if TYPE_CHECKING:
    from calibration.console import Watch
    from calibration.store import Store

LONGEST: Final = 12
"""A point is sampled for at most so many times ``min_time_s``."""

COSTLY: Final = 0.5
"""Coming back to a batch size may cost this share of its round; where it costs more, the rest follows at once."""

SETTLING: Final = 0.1
"""Share of a round that is executed unmeasured when a batch size is come back to."""

SAME_DEVICE: Final = ("device", "driver", "versions", "cpu", "sizes", "threads")
"""What of a session must be the same when a sweep goes on."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How long and how often to measure."""

    repeats: int = 5
    """Rounds of every batch size."""
    min_time_s: float = 5.0
    """At least so long for each batch size, all rounds together,"""
    min_executions: int = 100
    """and at least so many executions (a p99 needs them), but no longer than LONGEST times ``min_time_s``."""
    max_warm_up_s: float = 10.0
    """The warm-up ends when it is steady, or after this time."""
    parts: int = 3
    """Executions in each round whose parts are timed apart."""

    @property
    def budget(self) -> Budget:
        """How long one round lasts."""
        return Budget(
            time_s=self.min_time_s / self.repeats,
            executions=math.ceil(self.min_executions / self.repeats),
            longest_s=LONGEST * self.min_time_s / self.repeats,
        )

    def check(self) -> None:
        """Refuse settings that cannot be measured with.

        Raises
        ------
        ValueError
            With the field that is wrong.
        """
        if self.repeats < 1 or self.min_executions < 1 or self.parts < 0:
            raise ValueError("repeats and min_executions must be at least 1, parts at least 0")
        if not (0 < self.min_time_s < math.inf and 0 < self.max_warm_up_s < math.inf):
            raise ValueError("min_time_s and max_warm_up_s must be more than 0")


QUICK: Final = Settings(repeats=3, min_time_s=0.6, min_executions=15, max_warm_up_s=2.0, parts=1)
"""A first look: seconds instead of minutes, and a p99 that says little."""


class PointFailedError(Exception):
    """A batch size could not be measured."""

    def __init__(self, reason: str, words: str) -> None:
        self.reason = reason
        """``out of memory``, ``unavailable``, ``model``, ``not finite``; ``died`` and ``hung`` come from outside."""
        super().__init__(words)


def sweep(
    session: Session,
    batches: Sequence[int],
    settings: Settings,
    watch: Watch,
    store: Store,
    *,
    meter: Meter | None = None,
    clock: Clock = time.perf_counter,
) -> Observations:
    """How long does an execution take, for each of these batch sizes?

    Parameters
    ----------
    session
        The model on its device.
    batches
        Batch sizes in items, each once; measured in increasing order first.
    settings
        How long and how often.
    watch
        Is told how far it is.
    store
        Keeps every round as soon as it is measured; what it holds already is not measured again
        (:func:`calibration.store.in_memory` when nothing is to be resumed).
    meter
        Watches the device while it is timed.
    clock
        Seconds since some moment.

    Returns
    -------
    Observations
        A row for each batch size of which at least one round was measured, increasing. What failed is a warning, and
        stands in ``notes["failures"]``; batch sizes beyond one that ran out of memory are not tried.

    Raises
    ------
    InputError
        When the store was begun on another device, or with other versions.
    """
    settings.check()
    ordered = sorted(set(batches))
    _Sweep(session, ordered, settings, watch, store, meter or NoMeter(clock=clock), clock).run()
    return observations_of(store, ordered, settings.repeats)


def missing(store: Store, batches: Sequence[int], settings: Settings) -> list[tuple[int, int]]:
    """Which rounds of which batch sizes are still to be measured? Pairs (round, batch size), in the order to do so."""
    done = {(record["round"], record["batch"]) for record in store.kept("round")}
    ordered = sorted(set(batches))
    turns = [
        (number, batch)
        for number in range(settings.repeats)
        for batch in (ordered if number % 2 == 0 else reversed(ordered))
    ]
    return [turn for turn in turns if turn not in done]


class _Sweep:
    """One run over the rounds that are missing."""

    def __init__(
        self,
        session: Session,
        batches: Sequence[int],
        settings: Settings,
        watch: Watch,
        store: Store,
        meter: Meter,
        clock: Clock,
    ) -> None:
        self._session = session
        self._settings = settings
        self._watch = watch
        self._store = store
        self._meter = meter
        self._clock = clock
        self._rounds = settings.repeats * len(batches)
        self._turns = missing(store, batches, settings)
        self._loops: dict[int, int] = {}  # of the batch sizes warmed up in this process
        self._typical_s: dict[int, float] = {}  # of the same
        self._given_up: set[int] = set()
        self._beat = Beat(clock, self._tell)
        self._resolution_s = timer_resolution_s(clock)

    def run(self) -> None:
        self._check_device()
        for number, batch in self._turns:
            if batch in self._given_up or self._is_done(number, batch):
                continue
            try:
                self._visit(number, batch)
            except PointFailedError as failed:
                self._give_up(batch, failed)
        self._tell()

    def _check_device(self) -> None:
        """What is measured now and what was measured before the interruption must be of one device."""
        found, watched = dict(self._session.provenance()), dict(self._meter.describe())
        before = self._store.kept("session")
        if not before:
            self._store.keep("session", provenance=found, meter=watched, at=_now())
            return
        remedy = "Go on where it began, write to another file (-o), or begin anew with --fresh."
        problems = [
            Problem(self._store.name, None, None, key, f"was begun with {then}", f"now {now}", remedy)
            for key in SAME_DEVICE
            if (then := before[0]["provenance"].get(key)) != (now := _as_json(found.get(key)))
        ]
        if problems:
            raise InputError(problems)

    def _visit(self, number: int, batch: int) -> None:
        """Measure this round; all that are left of this batch size when it turns out costly to come back to it."""
        first_time = batch not in self._loops
        if first_time:
            self._watch.stage(f"batch {batch}: warming up")
        self._store.keep("trying", batch=batch, at=_now())
        began_s = self._clock()
        with _asked_of_the_model(batch):
            execution = self._session.prepare(batch)
        if first_time:
            warmed = self._warm(execution, batch)
            self._typical_s[batch] = warmed.execution_s
            self._loops[batch] = loops_needed(warmed.execution_s, self._resolution_s)
            self._round(execution, number, batch, warmed)
            return
        costly = self._settle(execution, batch, began_s)
        mine = [turn for turn, other in self._turns if other == batch and not self._is_done(turn, batch)]
        for one in mine if costly else [number]:
            self._round(execution, one, batch, None)

    def _warm(self, execution: Execution, batch: int) -> WarmUp:
        """Execute until steady, and look whether what comes out are numbers."""
        with _asked_of_the_model(batch):
            warmed = warm_up(execution.run, self._clock, self._settings.max_warm_up_s, self._beat)
            outputs = execution.outputs()
        import numpy as np

        finite = np.isfinite(outputs)
        if not finite.all():
            kind = "NaN" if np.isnan(outputs).any() else "infinity"
            items = int((~finite.reshape(len(outputs), -1).all(axis=1)).sum())
            words = (
                f"the model gives {kind} for {items} of {len(outputs)} items, and such a run says nothing of its speed"
            )
            raise PointFailedError("not finite", words)
        return warmed

    def _settle(self, execution: Execution, batch: int, began_s: float) -> bool:
        """Execute unmeasured: caches, allocators and clocks come from another batch size. Was that costly?"""
        round_s, typical_s = self._settings.budget.time_s, self._typical_s[batch]
        with _asked_of_the_model(batch):
            execution.run()
            ready_s = self._clock()
            while self._clock() - ready_s < SETTLING * round_s - typical_s:
                execution.run()
        return ready_s - began_s - typical_s > COSTLY * max(round_s, typical_s)

    def _round(self, execution: Execution, number: int, batch: int, warmed: WarmUp | None) -> None:
        loops = self._loops[batch]
        with no_collector():
            self._meter.start()
            try:
                with _asked_of_the_model(batch):
                    samples_ms = sampled_ms(execution.run, loops, self._clock, self._settings.budget, self._beat)
            finally:
                reading = self._meter.stop()
            with _asked_of_the_model(batch):
                parts_ms = self._parts(execution, slow=self._typical_s[batch] > self._settings.budget.time_s)
        self._store.keep(
            "round",
            batch=batch,
            round=number,
            loops=loops,
            samples_ms=samples_ms,
            parts_ms=parts_ms,
            reading=asdict(reading),
            memory_bytes=self._session.memory_bytes(),
            load=_load(),
            warm_up=None if warmed is None else asdict(warmed),
            at=_now(),
        )
        self._tell()

    def _parts(self, execution: Execution, *, slow: bool) -> dict[str, list[float]]:
        """Times of the parts in ms, execution by execution; the first is thrown away, its path is another one.

        A slow model is executed once for this: what a first time adds does not show in it.
        """
        found: dict[str, list[float]] = {}
        times = min(self._settings.parts, 1) if slow else self._settings.parts
        if times and not slow:
            execution.run_parts()
        for _ in range(times):
            for part, ms in execution.run_parts().items():
                found.setdefault(part, []).append(float(ms))
            self._beat.at(self._clock())
        return found

    def _give_up(self, batch: int, failed: PointFailedError) -> None:
        """Leave this batch size, and every larger one when memory ran out."""
        larger = {other for _, other in self._turns if other > batch} if failed.reason == "out of memory" else set()
        self._given_up |= {batch, *larger}
        keep_failure(self._store, batch, failed.reason, str(failed), sorted(larger))
        self._watch.stage(f"batch {batch}: {failed}")

    def _is_done(self, number: int, batch: int) -> bool:
        return any(record["round"] == number and record["batch"] == batch for record in self._store.kept("round"))

    def _tell(self) -> None:
        self._watch.done(min(len(self._store.kept("round")) / max(self._rounds, 1), 1.0))


def keep_failure(store: Store, batch: int, reason: str, words: str, not_tried: Sequence[int]) -> None:
    """Keep that a batch size failed, and which others were not tried because of it."""
    store.keep("failed", batch=batch, reason=reason, words=words, not_tried=list(not_tried), at=_now())


@contextmanager
def _asked_of_the_model(batch: int) -> Iterator[None]:
    """Whatever a model or its framework raises is a failure of this point; what we raise ourselves is a bug."""
    try:
        yield
    except PointFailedError:
        raise
    except (OutOfMemoryError, MemoryError) as error:
        raise PointFailedError("out of memory", str(error) or f"not enough memory for a batch of {batch}") from None
    except UnavailableError as error:
        raise PointFailedError("unavailable", str(error)) from None
    except Exception as error:
        raise PointFailedError("model", f"the model failed: {one_line(error)}") from error


def one_line(error: BaseException) -> str:
    r"""What an error says, on one line and not too long.

    >>> one_line(ValueError("bad shape\nTraceback ..."))
    'ValueError: bad shape'
    """
    said = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    short = said if len(said) <= 200 else said[:199] + "…"
    return f"{type(error).__name__}: {short}" if short else type(error).__name__


def _load() -> float | None:
    """Load average of the last minute: how many threads of all programs wanted to run."""
    ask: Callable[[], tuple[float, float, float]] | None = getattr(os, "getloadavg", None)
    try:
        return None if ask is None else ask()[0]
    except OSError:
        return None


def _as_json(value: Any) -> Any:
    """The value as the store gives it back."""
    if isinstance(value, Mapping):
        return {str(key): _as_json(one) for key, one in value.items()}
    return [_as_json(one) for one in value] if isinstance(value, list | tuple) else value


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
