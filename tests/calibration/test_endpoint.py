"""Profiling a service: what is counted, what is kept when things go wrong, and what is said about it."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from calibration.endpoint import EndpointSettings, Load, measure_endpoint, measure_null_model
from calibration.http_connection import Answer
from calibration.load_figures import LIMITED, figures_of, throughput_rps
from calibration.load_generator import Exchange, Run
from calibration.observation import Observations
from calibration.problems import InputError
from calibration.request_file import COLUMNS
from calibration.store import in_memory
from tests.calibration.fake_service import CLOSE, FakeService, Request, answer, fake_service


def settings_for(service: FakeService, tmp_path: Path, **changes: Any) -> EndpointSettings:
    body = tmp_path / "body.json"
    body.write_text('{"texts": {"repeat": "hello"}, "count": {batch}}')
    given: dict[str, Any] = {"url": service.url, "body_file": body, "duration_s": 0.2, "warm_up": 3, "timeout_s": 5.0}
    return EndpointSettings(**(given | changes))


async def well(request: Request) -> bytes:  # noqa: ARG001
    return answer({"fine": True})


@dataclass
class Told:
    """A watch that remembers."""

    stages: list[str] = field(default_factory=list)
    shares: list[float] = field(default_factory=list)

    def stage(self, words: str) -> None:
        self.stages.append(words)

    def done(self, share: float) -> None:
        self.shares.append(share)


# --- what a row says ------------------------------------------------------------------------------------------------


def test_a_service_is_profiled_as_it_stands(tmp_path: Path) -> None:
    with fake_service(well) as service:
        watch = Told()
        settings = settings_for(service, tmp_path, concurrencies=(1, 4), rates_rps=(60.0,), max_requests=12)
        measured = measure_endpoint(settings, watch)
    idle, loaded, opened = measured.rows
    assert "server" == measured.scope
    assert [(1, None), (4, None), (None, 60.0)] == [(row.concurrency, row.rate_rps) for row in measured.rows]
    assert (12, 12, 0) == (idle.requests, loaded.requests, idle.failed)
    assert opened.requests is not None
    assert 1 <= opened.requests <= 12
    for row in measured.rows:
        assert row.samples_ms == tuple(sorted(row.samples_ms))
        assert len(row.samples_ms) == row.requests
        assert row.latency_ms["min"] <= row.latency_ms["p50"] <= row.latency_ms["p99"] <= row.latency_ms["max"]
        assert (row.throughput_rps or 0) > 0
    assert "poisson" == opened.notes["arrivals"]
    assert opened.notes["late_p50_ms"] <= opened.notes["late_p99_ms"] <= opened.notes["late_max_ms"]
    assert [3, 1.0] == [len(watch.stages), watch.shares[-1]]
    assert service.url == measured.provenance["url"]


def test_the_warm_up_is_in_no_figure(tmp_path: Path) -> None:
    with fake_service(well) as service:
        settings = settings_for(service, tmp_path, concurrencies=(2,), warm_up=5, max_requests=7)
        (row,) = measure_endpoint(settings).rows
    first, warm_up, measured = 1, 5, 7
    assert (measured, first + warm_up + measured) == (row.requests, len(service.requests))


def test_a_request_carries_its_items_in_the_users_own_body(tmp_path: Path) -> None:
    with fake_service(well) as service:
        settings = settings_for(service, tmp_path, concurrencies=(1,), batches=(1, 3), max_requests=2, warm_up=0)
        measured = measure_endpoint(replace(settings, headers={"Authorization": "Bearer secret"}))
    bodies = [json.loads(request.body) for request in service.requests]
    assert {"texts": ["hello"], "count": 1} == bodies[0]
    assert {"texts": ["hello"] * 3, "count": 3} == bodies[-1]
    assert [1.0, 3.0] == [row.batch for row in measured.rows]
    assert {"Bearer secret"} == {request.headers["authorization"] for request in service.requests}
    assert "secret" not in repr(measured)


def test_every_request_can_be_kept_for_a_replay(tmp_path: Path) -> None:
    kept = tmp_path / "requests.csv"
    with fake_service(well) as service:
        settings = settings_for(service, tmp_path, concurrencies=(1,), rates_rps=(100.0,), keep_requests=kept)
        measured = measure_endpoint(replace(settings, arrivals="deterministic", max_requests=5))
    rows = list(csv.DictReader(kept.read_text().splitlines()))
    assert list(COLUMNS) == list(rows[0])
    opened = [row for row in rows if row["rate_rps"]]
    assert [10.0, 20.0, 30.0, 40.0, 50.0] == [round(float(row["scheduled_s"]) * 1000, 3) for row in opened]
    assert {("100.0", "", "1", "200")} == {
        (row["rate_rps"], row["concurrency"], row["items"], row["status"]) for row in opened
    }
    mean_ms = sum(float(row["latency_ms"]) for row in opened) / 5
    assert mean_ms == pytest.approx(measured.rows[1].latency_ms["mean"], abs=1e-3)


def test_a_file_of_requests_is_not_written_over(tmp_path: Path) -> None:
    kept = tmp_path / "requests.csv"
    kept.write_text("my,own,table\n")
    with fake_service(well) as service, pytest.raises(InputError, match="holds something else"):
        measure_endpoint(settings_for(service, tmp_path, concurrencies=(1,), max_requests=1, keep_requests=kept))
    assert "my,own,table\n" == kept.read_text()


# --- what goes wrong ------------------------------------------------------------------------------------------------


def test_failures_are_counted_and_the_rest_is_kept(tmp_path: Path) -> None:
    async def every_fourth_fails(request: Request) -> bytes:
        return answer({"detail": "no free worker"}, status=503) if request.index % 4 == 3 else answer({})

    with fake_service(every_fourth_fails) as service:
        settings = settings_for(service, tmp_path, concurrencies=(1,), max_requests=11, warm_up=0)
        measured = measure_endpoint(settings)
    (row,) = measured.rows
    assert (8, 3) == (row.requests, row.failed)
    assert {'HTTP 503: {"detail": "no free worker"}': 3} == row.notes["failures"]
    assert any(
        '3 of 11 requests failed (HTTP 503: {"detail": "no free worker"})' in words for words in measured.warnings
    )


def test_a_load_that_fails_as_a_whole_leaves_the_others(tmp_path: Path) -> None:
    async def too_large(request: Request) -> bytes:
        return answer("out of memory", status=500) if b'"count": 8' in request.body else answer({})

    with fake_service(too_large) as service:
        settings = settings_for(service, tmp_path, concurrencies=(1,), batches=(1, 8, 2), max_requests=3)
        measured = measure_endpoint(settings)
    assert [1.0, 2.0] == [row.batch for row in measured.rows]
    assert any('of 8 items: HTTP 500: "out of memory"' in words for words in measured.warnings)


def test_a_server_that_goes_away_costs_only_the_loads_after_it(tmp_path: Path) -> None:
    async def gone_after_ten(request: Request) -> bytes:
        return answer({}) if request.index < 10 else CLOSE

    with fake_service(gone_after_ten) as service:
        settings = settings_for(service, tmp_path, concurrencies=(1, 2, 3), warm_up=0, max_requests=8)
        measured = measure_endpoint(settings)
    assert [1] == [row.concurrency for row in measured.rows]
    assert any("2 requests at a time: " in words and "closed the connection" in words for words in measured.warnings)
    assert not any("3 requests at a time" in words for words in measured.warnings)


@pytest.mark.parametrize(
    ("said", "quoted"),
    [
        (answer({"error": "unknown model"}, status=404), 'HTTP 404: {"error": "unknown model"}'),
        (CLOSE, "the server closed the connection before it answered"),
        (b"220 mail.example.org ESMTP\r\n\r\n", "the answer is not HTTP"),
    ],
)
def test_a_server_that_answers_nothing_well_is_quoted(said: bytes, quoted: str, tmp_path: Path) -> None:
    async def badly(request: Request) -> bytes:  # noqa: ARG001
        return said

    with fake_service(badly) as service, pytest.raises(InputError) as error:
        measure_endpoint(settings_for(service, tmp_path))
    assert quoted in str(error.value)
    assert "Check that the server is up" in str(error.value)


def test_a_server_that_hangs_does_not_hang_us(tmp_path: Path) -> None:
    import asyncio

    async def never(request: Request) -> bytes:  # noqa: ARG001
        await asyncio.sleep(60)
        return b""

    with fake_service(never) as service, pytest.raises(InputError, match="no answer in time"):
        measure_endpoint(settings_for(service, tmp_path, timeout_s=0.1))


def test_a_server_that_is_not_there_is_named(tmp_path: Path) -> None:
    with fake_service(well) as service:
        pass
    with pytest.raises(InputError, match=f"127.0.0.1:{service.port} cannot be reached"):
        measure_endpoint(settings_for(service, tmp_path))


# --- going on where it stopped --------------------------------------------------------------------------------------


def test_what_was_measured_is_not_measured_again(tmp_path: Path) -> None:
    store = in_memory()
    with fake_service(well) as service:
        settings = settings_for(service, tmp_path, concurrencies=(1, 2), max_requests=4)
        before = measure_endpoint(settings, store=store)
        asked = len(service.requests)
        assert before == measure_endpoint(settings, store=store)
        assert asked == len(service.requests)
        more = measure_endpoint(replace(settings, concurrencies=(1, 2, 3)), store=store)
    assert (*before.rows, more.rows[-1]) == more.rows


def test_an_interrupted_measurement_keeps_the_loads_before(tmp_path: Path) -> None:
    store = in_memory()

    class Impatient(Told):
        def stage(self, words: str) -> None:
            super().stage(words)
            if len(self.stages) == 2:
                raise KeyboardInterrupt

    with fake_service(well) as service:
        settings = settings_for(service, tmp_path, concurrencies=(1, 2), max_requests=4)
        with pytest.raises(KeyboardInterrupt):
            measure_endpoint(settings, Impatient(), store)
        assert 1 == len(store.kept("load"))
        assert [1, 2] == [row.concurrency for row in measure_endpoint(settings, store=store).rows]


# --- a model that takes no time -------------------------------------------------------------------------------------


def test_the_null_model_is_measured_idle_and_saturated(tmp_path: Path) -> None:
    with fake_service(well) as service:
        null_url = service.url.replace("/infer", "/null")
        settings = settings_for(service, tmp_path, null_url=null_url, max_batch_size=2, max_requests=20)
        measured = measure_null_model(settings)
    assert isinstance(measured, Observations)
    assert {1, 2, 8} >= {row.concurrency for row in measured.rows}
    assert {"/null"} == {request.path for request in service.requests}


def test_without_a_null_model_there_is_nothing_to_measure() -> None:
    assert measure_null_model(EndpointSettings(url="http://h")) is None


# --- figures of one load, without a clock ---------------------------------------------------------------------------


def run_of(due_ms: list[float], latency_ms: list[float], *, late_ms: float = 0.0, cpu: float = 0.1) -> Run:
    exchanges = []
    for due, latency in zip(due_ms, latency_ms, strict=True):
        at = round(due * 1e6)
        done = Answer(status=200, end_ns=at + round(latency * 1e6))
        exchanges.append(Exchange(at, b"", sent_ns=at + round(late_ms * 1e6), answer=done))
    return Run(tuple(exchanges), 0, max(each.due_ns for each in exchanges), cpu, opened=0)


def figures(load: Load, run: Run) -> tuple[dict[str, Any], str]:
    from calibration.bodies import Service
    from calibration.http_connection import target_of

    service = Service(target=target_of("http://h"), requests=lambda _: ())
    found = figures_of(load, run, EndpointSettings(url="http://h"), service, None)
    assert found.row is not None
    return dict(found.row.notes), "; ".join(found.warnings)


def test_a_generator_that_is_late_says_so() -> None:
    """Its lateness is in every latency: unsaid, it would be taken for the server's."""
    due = [10.0 * index for index in range(200)]
    notes, said = figures(Load(1, rate_rps=100.0), run_of(due, [12.0] * 200, late_ms=4.0))
    assert notes[LIMITED]
    assert "requests were sent up to 4 ms late (p99) by this program" in said
    notes, said = figures(Load(1, rate_rps=100.0), run_of(due, [12.0] * 200, late_ms=0.3))
    assert LIMITED not in notes
    assert "" == said


def test_a_generator_that_has_no_processor_time_left_says_so() -> None:
    notes, said = figures(Load(1, concurrency=4), run_of([1.0 * index for index in range(200)], [4.0] * 200, cpu=0.97))
    assert notes[LIMITED]
    assert "used 97% of a processor and was the limit, not the server" in said


def test_a_server_that_falls_behind_is_said_to() -> None:
    """An open loop above capacity has no latency of its own: it grows as long as one measures."""
    due = [10.0 * index for index in range(200)]
    behind = [5.0 + 5.0 * index for index in range(200)]
    _, said = figures(Load(1, rate_rps=100.0), run_of(due, behind))
    assert "the server answered only 66.89 requests/s of those sent" in said


def test_a_p99_of_few_requests_is_called_what_it_is() -> None:
    _, said = figures(Load(1, rate_rps=100.0), run_of([10.0 * index for index in range(50)], [5.0] * 50))
    assert "p99 of 50 requests is little more than the slowest" in said


def test_throughput_of_a_closed_loop_is_that_of_its_steady_part() -> None:
    """Batches of 8 every 20 ms are 400 a second, however many batches the run happens to cut."""
    for batches in (30, 31, 47):
        ends = [20.0 * (index // 8 + 1) for index in range(8 * batches)]
        due = [max(end - 40.0, 0.0) for end in ends]
        latency = [end - at for end, at in zip(ends, due, strict=True)]
        run = run_of(due, latency)
        assert throughput_rps(Load(1, concurrency=16), run, run.exchanges) == pytest.approx(400.0, rel=0.005)


def test_loads_are_measured_idle_first() -> None:
    settings = EndpointSettings(url="http://h", max_batch_size=8, model_instances=2)
    assert [1, 64] == [load.concurrency for load in settings.loads()]
    many = EndpointSettings(url="http://h", rates_rps=(5.0,), concurrencies=(2,), batches=(1, 4)).loads()
    assert ["2 requests at a time", "2 requests at a time of 4 items"] == [str(load) for load in many[:2]]
    assert [5.0, 5.0] == [load.rate_rps for load in many[2:]]
    assert all(one != other for one, other in pairwise(many))


# --- settings that cannot be measured -------------------------------------------------------------------------------


def test_every_wrong_option_is_named_at_once() -> None:
    wrong = EndpointSettings(
        url="localhost:8000",
        body="xml",  # type: ignore[arg-type]
        rates_rps=(-1.0,),
        duration_s=0.0,
        warm_up=-1,
        arrivals="bursty",  # type: ignore[arg-type]
    )
    with pytest.raises(InputError) as error:
        measure_endpoint(wrong)
    named = {problem.path for problem in error.value.problems}
    assert {"--url", "--body", "--rate", "--duration", "--warm-up", "--arrivals"} == named


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "--body-file: is needed for --body json"),
        ({"body": "openai-chat"}, "--model: is needed for --body openai-chat"),
        ({"body": "openai-chat", "model": "m", "batches": (1, 2)}, "--batch: must be 1 for --body openai-chat"),
        ({"body": "kserve", "body_file": Path("b.json")}, "--body-file: means nothing for --body kserve"),
        ({"body_file": Path("b.json"), "inputs": {"ids": "4"}}, "--input: means nothing for --body json"),
    ],
)
def test_options_that_do_not_go_together_are_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError) as error:
        measure_endpoint(EndpointSettings(url="http://h", **changes))
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("text", "batches", "said"),
    [
        ("{not json", (1,), "body.json:1:2: must be JSON once {batch} is a number"),
        ('{"text": "hello"}', (1, 2), "--batch: needs a body that grows with it, got 1,2"),
        (None, (1,), "--body-file: does not exist"),
    ],
)
def test_a_body_that_cannot_be_sent_is_refused(
    text: str | None, batches: tuple[int, ...], said: str, tmp_path: Path
) -> None:
    file = tmp_path / "body.json"
    if text is not None:
        file.write_text(text)
    with pytest.raises(InputError) as error:
        measure_endpoint(EndpointSettings(url="http://127.0.0.1:1", body_file=file, batches=batches))
    assert said in str(error.value)
