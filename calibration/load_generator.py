"""Send requests to a server at given times, or so many at a time, and note when each was due, sent and answered.

Open loop: the times are fixed ahead and kept whatever the server does, and latency counts from the time at which a
request was **due**. A generator that waits for a slow answer before it sends the next request leaves out exactly the
requests that would have waited (coordinated omission), and reports a p99 that no user sees. How late the generator
itself was is noted for every request, so that its own limit is not taken for the server's.
"""

from __future__ import annotations

import asyncio
import gc
import select
import selectors
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import cycle
from typing import TYPE_CHECKING, Final

from calibration.http_connection import SILENT_CLOSE, TIMED_OUT, Answer, Connection, Target, connect

if TYPE_CHECKING:
    import ssl

GIVE_UP_AFTER: Final = 100
"""Failures in a row after which a load is stopped: the server will not recover by being asked again."""

SPARE: Final = 16
"""Connections kept open beside those in use, so that no request waits for one to be opened."""

OTHER_FILES: Final = 64
"""Files this process may need beside its connections."""

_SWEEP_S: Final = 0.05
"""How often requests that have waited too long are looked for."""


@dataclass(slots=True)
class Exchange:
    """One request and its answer; times on the monotonic clock."""

    due_ns: int
    """When it was to be sent; in a closed loop, when its client was free to send it."""
    request: bytes
    sent_ns: int = 0
    answer: Answer = field(default_factory=Answer)
    again: bool = False
    """Whether it was sent anew on a second connection, the first having been closed by the server meanwhile."""

    @property
    def latency_ms(self) -> float:
        """From when it was due until its last byte came in."""
        return (self.answer.end_ns - self.due_ns) / 1e6


@dataclass(frozen=True)
class Run:
    """What was sent at one load, and how the generator itself did."""

    exchanges: tuple[Exchange, ...]
    """In the order in which they were due; only those that were sent, or should have been."""
    start_ns: int
    stop_ns: int
    """When the last request was due; after it the answers outstanding were waited for."""
    cpu_share: float
    """Processor time of this process over the time it took: near 1, the generator is the limit."""
    opened: int
    """Connections opened meanwhile; as many as requests where the server closes each after one answer."""
    stopped: str = ""
    """Why fewer requests were sent than asked for."""


@contextmanager
def runner() -> Iterator[asyncio.Runner]:
    """An event loop whose timers are as fine as the system's."""
    with asyncio.Runner(loop_factory=_fine_loop) as one:
        yield one


def _fine_loop() -> asyncio.AbstractEventLoop:
    if not hasattr(selectors, "EpollSelector"):
        return asyncio.new_event_loop()

    class FineSelector(selectors.EpollSelector):
        """epoll counts its patience in whole milliseconds, which would send every request up to one too late."""

        def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
            if timeout is not None and timeout > 0:
                select.select([self.fileno()], [], [], timeout)
                timeout = 0
            return super().select(timeout)

    return asyncio.SelectorEventLoop(FineSelector())


class Generator:
    """Connections to one server, and what is under way on them."""

    def __init__(self, target: Target, tls: ssl.SSLContext | None, timeout_s: float, *, keep_bodies: bool) -> None:
        self._target, self._tls, self._timeout_s, self._keep_bodies = target, tls, timeout_s, keep_bodies
        self._most = _most_connections()
        self._spare = 0
        self._free: list[Connection] = []
        self._opening: set[asyncio.Task[None]] = set()
        self._waiting: deque[Exchange] = deque()
        self._under_way: dict[Connection, Exchange] = {}
        self._refused = ""
        self._failures = self._opened = 0
        self._closes = False
        self._landed: Callable[[Exchange], None] = _nothing
        self._idle = asyncio.Event()
        self._idle.set()

    async def send_at(self, due_s: Sequence[float], requests: Sequence[bytes]) -> Run:
        """Send at these times, in seconds from now, whatever the server does; take the requests in turn.

        Returns when all are answered, or have failed.
        """
        await self._prepare(min(SPARE, len(due_s)), spare=SPARE)
        loop, bodies = asyncio.get_running_loop(), cycle(requests)
        exchanges: list[Exchange] = []
        all_sent = asyncio.Event()
        with _undisturbed() as cpu_share:
            start_ns = time.monotonic_ns() + 1_000_000
            due_ns = [start_ns + round(due * 1e9) for due in due_s]

            def tick() -> None:
                while len(exchanges) < len(due_ns) and not self._hopeless:
                    due = due_ns[len(exchanges)]
                    now = time.monotonic_ns()
                    if due > now:
                        loop.call_later((due - now) / 1e9, tick)
                        return
                    exchanges.append(Exchange(due, next(bodies)))
                    self._send(exchanges[-1])
                all_sent.set()

            tick()
            await self._swept(all_sent)
            await self._swept(self._idle)
            return self._run(exchanges, start_ns, cpu_share())

    async def keep_outstanding(
        self, concurrency: int, requests: Sequence[bytes], *, duration_s: float, most: int
    ) -> Run:
        """Keep so many requests outstanding: a client sends its next as soon as it has its answer."""
        await self._prepare(min(concurrency, most), spare=0)
        bodies = cycle(requests)
        exchanges: list[Exchange] = []
        with _undisturbed() as cpu_share:
            start_ns = time.monotonic_ns()
            stop_ns = start_ns + round(duration_s * 1e9)

            def next_one(landed: Exchange | None) -> None:
                now = time.monotonic_ns()
                if now < stop_ns and len(exchanges) < most and not self._hopeless:
                    exchanges.append(Exchange(now if landed is None else landed.answer.end_ns, next(bodies)))
                    self._send(exchanges[-1])

            self._landed = next_one
            for _ in range(min(concurrency, most)):
                next_one(None)
            await self._swept(self._idle)
            self._landed = _nothing
            return self._run(exchanges, start_ns, cpu_share())

    async def ask(self, request: bytes) -> Answer:
        """Send one request and wait for its answer, whose body is kept."""
        await self._prepare(1, spare=0)
        keep, self._keep_bodies = self._keep_bodies, True
        exchange = Exchange(time.monotonic_ns(), request)
        self._send(exchange)
        await self._swept(self._idle)
        self._keep_bodies = keep
        return exchange.answer

    async def _prepare(self, connections: int, *, spare: int) -> None:
        """Have so many connections stand, and no more, before anything is timed.

        None for a server that closes each after one answer: it may serve one at a time, and one on which nothing is
        sent would hold up the others.
        """
        self._spare, self._failures, self._refused = 0 if self._closes else spare, 0, ""
        standing = [one for one in self._free if one.open]
        wanted = 0 if self._closes else min(connections, self._most)
        self._free, needless = standing[:wanted], standing[wanted:]
        for connection in needless:
            connection.close()
        await asyncio.gather(*(self._open_one() for _ in range(wanted - len(self._free))))
        self._opened = 0

    def _run(self, exchanges: list[Exchange], start_ns: int, cpu_share: float) -> Run:
        stop_ns = exchanges[-1].due_ns if exchanges else start_ns
        stopped = f"stopped after {GIVE_UP_AFTER} failures in a row" if self._hopeless else ""
        return Run(tuple(exchanges), start_ns, stop_ns, cpu_share, self._opened, stopped)

    async def close(self) -> None:
        """Close every connection; what is under way fails, and nothing follows it."""
        self._landed, self._most = _nothing, 0
        self._waiting.clear()
        for opening in self._opening:
            opening.cancel()
        await asyncio.gather(*self._opening, return_exceptions=True)
        for connection in (*self._free, *self._under_way):
            connection.close()
        await asyncio.sleep(0)  # a connection that is closed gives its socket back in the loop's next turn

    @property
    def _hopeless(self) -> bool:
        return self._failures >= GIVE_UP_AFTER

    def _send(self, exchange: Exchange) -> None:
        self._idle.clear()
        while self._free:
            connection = self._free.pop()
            if connection.open:
                self._under_way[connection] = exchange
                exchange.sent_ns = exchange.sent_ns or time.monotonic_ns()
                connection.send(exchange.request, self._take)
                break
        else:
            self._waiting.append(exchange)
        self._top_up()

    def _take(self, connection: Connection, answer: Answer) -> None:
        """An answer, or the news that there will be none."""
        exchange = self._under_way.pop(connection)
        if answer.error == SILENT_CLOSE and connection.used and not exchange.again:
            exchange.again = True
            self._send(exchange)
            return
        if connection.open:
            self._free.append(connection)
        elif not answer.error:
            self._closes = True
        self._land(exchange, answer)

    def _land(self, exchange: Exchange, answer: Answer) -> None:
        good = 200 <= answer.status < 300 and not answer.error
        self._failures = 0 if good else self._failures + 1
        if good and not self._keep_bodies:
            answer.body, answer.pieces = b"", ()
        exchange.answer = answer
        self._landed(exchange)
        if self._waiting and self._free:
            self._send(self._waiting.popleft())
        self._top_up()
        if not self._under_way and not self._waiting:
            self._idle.set()

    def _top_up(self) -> None:
        standing = len(self._free) + len(self._under_way) + len(self._opening)
        wanted = len(self._waiting) + self._spare - len(self._free) - len(self._opening)
        for _ in range(min(wanted, self._most - standing)):
            task = asyncio.get_running_loop().create_task(self._open_one())
            self._opening.add(task)
            task.add_done_callback(self._opening.discard)

    async def _open_one(self) -> None:
        try:
            connection = await connect(self._target, self._tls, self._timeout_s)
        except OSError as error:  # TimeoutError is one
            self._refused = _why_refused(self._target, error)
            while self._waiting and not self._under_way:  # nobody will serve these
                self._fail(self._waiting.popleft(), self._refused)
            return
        self._opened += 1
        self._free.append(connection)
        if self._waiting:
            self._send(self._waiting.popleft())

    def _fail(self, exchange: Exchange, error: str) -> None:
        self._land(exchange, Answer(end_ns=time.monotonic_ns(), error=error))

    async def _swept(self, event: asyncio.Event) -> None:
        """Wait for the event; whatever has waited too long for its answer fails meanwhile."""
        while not event.is_set():
            try:
                await asyncio.wait_for(event.wait(), _SWEEP_S)
            except TimeoutError:
                self._sweep()

    def _sweep(self) -> None:
        latest_ns = time.monotonic_ns() - round(self._timeout_s * 1e9)
        for connection, exchange in [*self._under_way.items()]:
            if exchange.due_ns < latest_ns:
                connection.give_up(TIMED_OUT)
        while self._waiting and self._waiting[0].due_ns < latest_ns:
            self._fail(self._waiting.popleft(), self._refused or TIMED_OUT)


@contextmanager
def _undisturbed() -> Iterator[Callable[[], float]]:
    """No collection of garbage meanwhile; gives the share of processor time used since."""
    cpu, wall, collecting = time.process_time(), time.monotonic(), gc.isenabled()
    gc.disable()
    try:
        yield lambda: (time.process_time() - cpu) / max(time.monotonic() - wall, 1e-9)
    finally:
        if collecting:
            gc.enable()


def _most_connections() -> int:
    """How many connections may stand at once."""
    try:
        import resource
    except ImportError:  # not on this system
        return 512 - OTHER_FILES
    return max(resource.getrlimit(resource.RLIMIT_NOFILE)[0], 512) - OTHER_FILES


def _nothing(exchange: Exchange) -> None:
    """Nobody waits for this answer."""


def _why_refused(target: Target, error: OSError) -> str:
    if isinstance(error, TimeoutError):
        return f"{target.authority} does not react"
    return f"{target.authority} cannot be reached: {(error.strerror or str(error)).lower()}"
