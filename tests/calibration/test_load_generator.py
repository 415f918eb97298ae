"""Sending: an open loop waits for nobody, a closed loop never has too many under way, and nothing hangs for ever."""

from __future__ import annotations

import asyncio
import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibration.endpoint_settings import EndpointSettings, Load
from calibration.http_connection import Answer, Connection, Target, request_bytes, target_of
from calibration.load_generator import GIVE_UP_AFTER, Generator, Run, runner
from calibration.problems import InputError
from tests.calibration.fake_service import CLOSE, FakeService, Request, answer, fake_service


def sent(
    service: FakeService,
    due_s: list[float] | None = None,
    *,
    concurrency: int = 1,
    most: int = 20,
    timeout_s: float = 10.0,
) -> Run:
    target = target_of(service.url)
    request = request_bytes(target, b"{}", {})

    async def work() -> Run:
        generator = Generator(target, None, timeout_s, keep_bodies=True)
        try:
            if due_s is not None:
                return await generator.send_at(due_s, [request])
            return await generator.keep_outstanding(concurrency, [request], duration_s=30.0, most=most)
        finally:
            await generator.close()

    with runner() as loop:
        return loop.run(work())


def statuses(run: Run) -> list[int]:
    return [each.answer.status for each in run.exchanges]


def errors(run: Run) -> set[str]:
    return {each.answer.error for each in run.exchanges}


async def well(request: Request) -> bytes:  # noqa: ARG001
    return answer({"fine": True})


def test_an_open_loop_sends_on_while_nothing_is_answered() -> None:
    """A generator that waits for answers would never send the last request here, and wait for ever."""
    due_s = [index / 1000 for index in range(40)]
    all_in = asyncio.Event()

    async def only_when_all_are_in(request: Request) -> bytes:
        if request.index == len(due_s) - 1:
            all_in.set()
        await all_in.wait()
        return answer({})

    with fake_service(only_when_all_are_in) as service:
        run = sent(service, due_s)
    assert [200] * len(due_s) == statuses(run)
    assert len(due_s) == service.most_outstanding


def test_latency_counts_from_when_a_request_was_due() -> None:
    """Counted from when it was sent, a late generator would hide its lateness, and a slow server its queue."""
    due_s = [0.0, 0.0, 0.001]
    with fake_service(well) as service:
        run = sent(service, due_s)
    offsets = [each.due_ns - run.exchanges[0].due_ns for each in run.exchanges]
    assert [0, 0, 1_000_000] == offsets
    for each in run.exchanges:
        assert each.due_ns <= each.sent_ns <= each.answer.end_ns
        assert each.latency_ms == (each.answer.end_ns - each.due_ns) / 1e6


@pytest.mark.parametrize("concurrency", [1, 7])
def test_a_closed_loop_keeps_so_many_outstanding_and_no_more(concurrency: int) -> None:
    both = asyncio.Event()

    async def only_when_the_first_are_in(request: Request) -> bytes:
        if request.index == concurrency - 1:
            both.set()
        await both.wait()
        return answer({})

    with fake_service(only_when_the_first_are_in) as service:
        run = sent(service, concurrency=concurrency, most=50)
    assert (50, concurrency) == (len(run.exchanges), service.most_outstanding)
    assert concurrency == service.connections


def test_a_client_of_a_closed_loop_sends_its_next_from_its_answer() -> None:
    with fake_service(well) as service:
        run = sent(service, most=5)
    assert all(after.due_ns == before.answer.end_ns for before, after in pairwise(run.exchanges))


def test_what_hangs_is_given_up_and_the_rest_goes_on() -> None:
    async def every_third_hangs(request: Request) -> bytes:
        if request.index % 3 == 2:
            await asyncio.sleep(60)
        return answer({})

    with fake_service(every_third_hangs) as service:
        run = sent(service, most=6, timeout_s=0.1)
    assert [200, 200, 0, 200, 200, 0] == statuses(run)
    assert {"", "no answer in time"} == errors(run)


def test_a_server_that_is_not_there_is_said_to_be_so() -> None:
    with fake_service(well) as service:
        pass
    run = sent(service, [0.0, 0.001])
    assert [0, 0] == statuses(run)
    (said,) = errors(run)
    assert said.startswith(f"127.0.0.1:{service.port} cannot be reached: ")


def test_a_load_that_only_fails_is_stopped() -> None:
    async def never(request: Request) -> bytes:  # noqa: ARG001
        return answer("no worker", status=503)

    with fake_service(never) as service:
        run = sent(service, most=10_000)
    assert [503] * GIVE_UP_AFTER == statuses(run)
    assert "stopped after 100 failures in a row" == run.stopped


def test_a_connection_that_idled_too_long_is_replaced_without_a_failure() -> None:
    """Servers close connections that idle; the request that finds out is not to blame."""

    async def three_each(request: Request) -> bytes:
        return CLOSE if request.index % 4 == 3 else answer({})

    with fake_service(three_each) as service:
        run = sent(service, most=9)
    assert [200] * 9 == statuses(run)


def test_a_server_that_closes_after_each_answer_is_served_with_new_connections() -> None:
    async def old(request: Request) -> bytes:  # noqa: ARG001
        return b"HTTP/1.0 200 OK\r\n\r\n[]"

    with fake_service(old) as service:
        run = sent(service, most=5)
    assert ([200] * 5, b"[]") == (statuses(run), run.exchanges[-1].answer.body)
    assert 4 == run.opened


# --- one answer, whatever its form ----------------------------------------------------------------------------------

PLAIN = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2;note=1\r\nlo\r\n0\r\nTrailing: x\r\n\r\n"
INTERIM = b"HTTP/1.1 100 Continue\r\n\r\n" + PLAIN


def taken_in(pieces: list[bytes], *, ends: bool = False) -> list[Answer]:
    """What a connection makes of these bytes."""

    class Wire(asyncio.Transport):
        def write(self, data: bytes) -> None:  # type: ignore[override]
            pass

        def abort(self) -> None:
            pass

    answers: list[Answer] = []
    connection = Connection()
    connection.connection_made(Wire())
    connection.send(b"", lambda _, one: answers.append(one))
    for piece in pieces:
        connection.data_received(piece)
    if ends:
        connection.connection_lost(None)
    return answers


@pytest.mark.parametrize("whole", [PLAIN, CHUNKED, INTERIM], ids=["length", "chunks", "interim"])
@given(cuts=st.lists(st.integers(0, 120), max_size=6))
def test_an_answer_is_the_same_in_whatever_pieces_it_comes(whole: bytes, cuts: list[int]) -> None:
    places = sorted({0, *(cut % len(whole) for cut in cuts), len(whole)})
    pieces = [whole[a:b] for a, b in pairwise(places)]
    (one,) = taken_in(pieces)
    assert (200, b"hello", "") == (one.status, one.body, one.error)
    times, lengths = zip(*one.pieces, strict=True)
    assert sorted(times) == list(times)
    assert (sorted(set(lengths)), 5) == (list(lengths), lengths[-1])
    assert times[-1] <= one.end_ns <= time.monotonic_ns()


def test_an_answer_without_a_length_ends_with_its_connection() -> None:
    (one,) = taken_in([b"HTTP/1.1 200 OK\r\n\r\nhel", b"lo"], ends=True)
    assert (200, b"hello") == (one.status, one.body)


@pytest.mark.parametrize(
    ("pieces", "said"),
    [
        ([b"SSH-2.0-OpenSSH\r\n\r\n"], "the answer is not HTTP"),
        ([b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nabc"], "the answer is not HTTP"),
        ([b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"], "the server closed the connection"),
        ([], "the server closed the connection before it answered"),
    ],
)
def test_what_is_no_whole_answer_is_a_failure(pieces: list[bytes], said: str) -> None:
    (one,) = taken_in(pieces, ends=True)
    assert (0, said) == (one.status, one.error)


# --- addresses and times --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("url", ["ftp://h/x", "http://", "http://h:0/", "http://h:99999/", "h:80"])
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(InputError, match="--url: must be an address"):
        target_of(url)


def test_the_host_header_names_a_port_only_where_it_must() -> None:
    assert "h" == Target("h", 80, "/").authority
    assert "h:443" == Target("h", 443, "/").authority
    assert "[::1]:8000" == Target("::1", 8000, "/").authority


def test_arrivals_are_those_of_their_seed() -> None:
    from calibration.endpoint import due_times_s

    settings = EndpointSettings(url="http://h", duration_s=100.0, seed=3)
    due = due_times_s(Load(1, rate_rps=50.0), settings)
    assert due == due_times_s(Load(1, rate_rps=50.0), settings)
    assert due != due_times_s(Load(1, rate_rps=50.0), EndpointSettings(url="http://h", duration_s=100.0, seed=4))
    assert due == sorted(due)
    assert 0 < due[0] <= due[-1] <= 100.0
    assert abs(len(due) - 5000) < 4 * 5000**0.5


def test_no_more_requests_are_due_than_asked_for() -> None:
    from calibration.endpoint import due_times_s

    settings = EndpointSettings(url="http://h", duration_s=100.0, max_requests=7)
    assert 7 == len(due_times_s(Load(1, rate_rps=50.0), settings))


def test_an_interrupted_load_ends_at_once() -> None:
    """What is under way when somebody presses Ctrl-C must not send what would have come after it."""

    async def never(request: Request) -> bytes:  # noqa: ARG001
        await asyncio.sleep(60)
        return b""

    async def work(service: FakeService) -> None:
        target = target_of(service.url)
        generator = Generator(target, None, 60.0, keep_bodies=False)
        request = request_bytes(target, b"{}", {})
        loading = generator.keep_outstanding(3, [request], duration_s=60.0, most=100)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(loading, 0.05)
        await generator.close()
        await asyncio.sleep(0.05)

    with fake_service(never) as service, runner() as loop:
        loop.run(work(service))
        assert 3 == len(service.requests)
