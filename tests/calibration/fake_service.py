"""A service on this machine that answers as a test wants it to: well, badly, late, in pieces, or not at all."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import threading
import warnings
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace


@dataclass(frozen=True)
class Request:
    """A request as it came in."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    index: int = 0
    """How many came before it."""


Answering = Callable[[Request], Awaitable[bytes | list[bytes]]]
"""What is said to a request, in one piece or in several that reach the client one after the other."""


def answer(content: object = None, *, status: int = 200, headers: str = "") -> bytes:
    """Write an HTTP answer with a JSON body."""
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    return f"HTTP/1.1 {status} Said\r\n{headers}Content-Length: {len(body)}\r\n\r\n".encode() + body


CLOSE = b""
"""Close the connection without a word."""


@dataclass
class FakeService:
    """What a service saw."""

    port: int = 0
    requests: list[Request] = field(default_factory=list)
    outstanding: int = 0
    most_outstanding: int = 0
    connections: int = 0
    loop: asyncio.AbstractEventLoop = field(init=False)
    stop: asyncio.Event = field(init=False)

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}/infer"

    def at(self, path: str) -> list[Request]:
        """Requests for this path."""
        return [request for request in self.requests if request.path == path]


@contextmanager
def fake_service(answering: Answering) -> Iterator[FakeService]:
    """Serve in a thread until the test is through."""
    service, ready = FakeService(), threading.Event()
    handlers: set[asyncio.Task[None]] = set()
    transports: list[asyncio.WriteTransport] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        service.connections += 1
        transports.append(writer.transport)
        task = asyncio.current_task()
        assert task is not None
        handlers.add(task)
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                request = replace(await _read(reader), index=len(service.requests))
                service.requests.append(request)
                service.outstanding += 1
                service.most_outstanding = max(service.most_outstanding, service.outstanding)
                try:
                    said = await answering(request)
                finally:
                    service.outstanding -= 1
                pieces = said if isinstance(said, list) else [said]
                for index, piece in enumerate(pieces):
                    await asyncio.sleep(0.003 if index else 0.0)
                    writer.write(piece)
                    await writer.drain()
                said = b"".join(pieces)
                if not said or b"Connection: close" in said or said.startswith(b"HTTP/1.0"):
                    break
        writer.close()
        handlers.discard(task)

    async def guarded(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        except asyncio.CancelledError:  # asyncio's own streams would complain of it
            writer.transport.abort()

    async def work() -> None:
        service.loop, service.stop = asyncio.get_running_loop(), asyncio.Event()
        async with await asyncio.start_server(guarded, "127.0.0.1", 0) as server:
            service.port = server.sockets[0].getsockname()[1]
            ready.set()
            await service.stop.wait()
        # A connection that was accepted just now has a handler soon; one that was closed loses its socket soon.
        await asyncio.sleep(0.01)
        running = set(handlers)
        for handler in running:
            handler.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        for transport in transports:
            transport.abort()
        await asyncio.sleep(0.01)

    thread = threading.Thread(target=lambda: asyncio.run(work()), daemon=True)
    thread.start()
    ready.wait(10)
    try:
        yield service
    finally:
        service.loop.call_soon_threadsafe(service.stop.set)
        thread.join(10)
        with warnings.catch_warnings():
            # A connection that came as the loop ended has no handler to close it: the service's, not the client's.
            warnings.simplefilter("ignore", ResourceWarning)
            gc.collect()


async def _read(reader: asyncio.StreamReader) -> Request:
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    first, *rest = head.strip().split("\r\n")
    method, path, _ = first.split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in rest)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Request(method, path, headers, body)
