"""One kept-alive HTTP/1.1 connection that notes when every piece of an answer came in.

Why no HTTP library: what is measured here is the time at which an answer's bytes arrive. A general client hands them
over after a chain of tasks of its own, a few tenths of a millisecond later and one answer after the other, and costs
the machine several times as much as this does. The part of HTTP that a model server speaks is small: requests with a
known length, answers with a length, in chunks, or up to the end of the connection.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from calibration.endpoint_settings import option_problem
from calibration.problems import InputError

if TYPE_CHECKING:
    import ssl

LONGEST_HEAD: Final = 1 << 16
"""More bytes than this before the end of the headers are no answer of a web server."""

CLOSED: Final = "the server closed the connection"
SILENT_CLOSE: Final = "the server closed the connection before it answered"
TIMED_OUT: Final = "no answer in time"


@dataclass(frozen=True)
class Target:
    """Where a server is."""

    host: str
    port: int
    path: str
    """Path and query of the address."""
    tls: bool = False

    @property
    def authority(self) -> str:
        """Host and port as the Host header names them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.tls else 80) else f"{host}:{self.port}"

    def at(self, path: str) -> Target:
        """Another path of the same server."""
        return Target(self.host, self.port, path, self.tls)


def target_of(url: str, option: str = "--url") -> Target:
    """Which host, port and path does this address name?

    Raises
    ------
    InputError
        When it is no address of a web server.

    >>> target_of("http://localhost:8000/v1?x=1")
    Target(host='localhost', port=8000, path='/v1?x=1', tls=False)
    """
    parts = urlsplit(url)
    try:
        port = parts.port
    except ValueError:
        port = -1
    if parts.scheme not in ("http", "https") or not parts.hostname or (port is not None and port < 1):
        raise InputError([option_problem(option, "must be an address", url, "Write http://HOST:PORT/PATH.")])
    tls = parts.scheme == "https"
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(parts.hostname, port or (443 if tls else 80), path, tls)


def request_bytes(target: Target, body: bytes | None, headers: Mapping[str, str]) -> bytes:
    """Write a whole request: POST with a body, GET without one."""
    lines = [f"{'GET' if body is None else 'POST'} {target.path} HTTP/1.1", f"Host: {target.authority}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    if body is not None:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode("latin-1", "replace") + b"\r\n\r\n" + (body or b"")


@dataclass(slots=True)
class Answer:
    """What came back, and when."""

    status: int = 0
    """HTTP status; 0 when there is no whole answer."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Names in small letters."""
    body: bytes = b""
    end_ns: int = 0
    """When its last byte came in, on the monotonic clock."""
    pieces: tuple[tuple[int, int], ...] = ()
    """When bytes of the body came in, and how many there were then."""
    error: str = ""
    """Why there is no whole answer."""


class Connection(asyncio.Protocol):
    """A connection on which one request at a time is sent."""

    def __init__(self) -> None:
        self.open = False
        self.used = False
        """Whether an answer has come on it: one that idles may be closed by the server at any time."""
        self._transport: asyncio.Transport | None = None
        self._done: Callable[[Connection, Answer], None] | None = None
        self._start()

    def _start(self) -> None:
        self._buffer = bytearray()
        self._body = bytearray()
        self._pieces: list[tuple[int, int]] = []
        self._status = 0
        self._headers: dict[str, str] = {}
        self._left: int | None = None
        """Bytes of the body, or of the chunk, still to come; None before the headers, -1 for all until the end."""
        self._chunked = self._trailers = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take notice that the connection stands."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self.open = True

    def send(self, request: bytes, done: Callable[[Connection, Answer], None]) -> None:
        """Send a request; ``done`` is called with the answer, once, whatever happens."""
        assert self._done is None, "one request at a time"
        self._start()
        self._done = done
        if self._transport is None or not self.open:
            self._end(SILENT_CLOSE)
        else:
            self._transport.write(request)

    def give_up(self, error: str) -> None:
        """Wait no longer: the answer is this error, and the connection is closed."""
        self.close()
        self._end(error)

    def close(self) -> None:
        """Close the connection."""
        self.open = False
        if self._transport is not None:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """Take in some bytes."""
        now = time.monotonic_ns()
        if self._done is None:  # bytes nobody asked for
            self.close()
            return
        self._buffer += data
        try:
            complete = self._read()
        except ValueError:
            self.give_up("the answer is not HTTP")
            return
        if len(self._body) > (self._pieces[-1][1] if self._pieces else 0):
            self._pieces.append((now, len(self._body)))
        if complete:
            self._end("", now)

    def connection_lost(self, exc: Exception | None) -> None:
        """Take notice that the connection is gone; an answer without a length ends here."""
        self.open = False
        if self._done is not None:
            whole = self._left == -1 and not self._chunked and exc is None
            self._end("" if whole else CLOSED if self._status else SILENT_CLOSE, time.monotonic_ns())

    def _end(self, error: str, now: int | None = None) -> None:
        done, self._done = self._done, None
        if done is None:
            return
        if self._headers.get("connection", "").lower() == "close":
            self.close()
        self.used = True
        status = 0 if error else self._status
        end_ns = time.monotonic_ns() if now is None else now
        done(self, Answer(status, self._headers, bytes(self._body), end_ns, tuple(self._pieces), error))

    def _read(self) -> bool:
        """Read on; whether the answer is complete."""
        while self._left is None:
            if not self._read_head():
                return False
        if self._chunked:
            return self._read_chunks()
        if self._left == -1:
            self._body += self._buffer
            self._buffer.clear()
            return False
        self._left -= len(self._buffer)
        self._body += self._buffer
        self._buffer.clear()
        if self._left < 0:
            raise ValueError("more than the stated length")
        return self._left == 0

    def _read_head(self) -> bool:
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            if len(self._buffer) > LONGEST_HEAD:
                raise ValueError("no end of the headers")
            return False
        first, *rest = self._buffer[:end].decode("latin-1").split("\r\n")
        del self._buffer[: end + 4]
        version, status, *_ = first.split(" ", 2)
        if not version.startswith("HTTP/1."):
            raise ValueError("not HTTP/1")
        self._status = int(status)
        self._headers = {
            name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in rest)
        }
        if 100 <= self._status < 200:
            return True  # an interim answer: the real one follows
        if version == "HTTP/1.0":
            self._headers.setdefault("connection", "close")
        self._chunked = "chunked" in self._headers.get("transfer-encoding", "").lower()
        length = self._headers.get("content-length")
        if self._chunked or self._status in (204, 304):
            self._left = 0
        else:
            self._left = -1 if length is None else int(length)
            if length is not None and self._left < 0:
                raise ValueError("a negative length")
        return True

    def _read_chunks(self) -> bool:
        while True:
            assert self._left is not None
            if self._left:
                taken = min(self._left, len(self._buffer))
                self._body += self._buffer[:taken]
                del self._buffer[:taken]
                self._left -= taken
                if self._left:
                    return False
                self._left = 0
            end = self._buffer.find(b"\r\n")
            if end < 0:
                return False
            line = bytes(self._buffer[:end])
            del self._buffer[: end + 2]
            if self._trailers:
                if not line:
                    return True
            elif line:  # the empty one ends the chunk before
                size = int(line.split(b";", 1)[0], 16)
                self._left, self._trailers = size, size == 0


async def connect(target: Target, tls: ssl.SSLContext | None, timeout_s: float) -> Connection:
    """Open a connection.

    Raises
    ------
    OSError
        When the server cannot be reached; TimeoutError when it does not react.
    """
    loop = asyncio.get_running_loop()
    connection = Connection()
    opening = loop.create_connection(lambda: connection, target.host, target.port, ssl=tls)
    try:
        await asyncio.wait_for(opening, timeout_s)
    except BaseException:  # whoever gives up while it opens would leave it open for ever
        connection.close()
        raise
    return connection
