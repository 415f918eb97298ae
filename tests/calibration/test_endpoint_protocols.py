"""KServe v2, Triton's statistics, OpenAI-compatible streams: what is sent, and what the answers are taken to mean."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from calibration.endpoint import EndpointSettings, measure_endpoint, measure_server
from calibration.http_connection import Answer
from calibration.observation import Observation, Observations
from calibration.problems import InputError
from calibration.token_stream import token_times
from calibration.triton_statistics import ModelStatistics, executions_of, read_statistics
from tests.calibration.fake_service import Answering, Request, answer, fake_service

# --- KServe v2 ------------------------------------------------------------------------------------------------------

IDS = {"name": "ids", "datatype": "INT64", "shape": [-1, 4]}
MASK = {"name": "mask", "datatype": "FP32", "shape": [-1, 2, -1]}


def counted(count: int, ns: int) -> dict[str, int]:
    return {"count": count, "ns": ns}


class Triton:
    """A server as Triton is, with a model that takes 1 ms for 1 item and 2 ms for 4."""

    def __init__(self, *, inputs: list[dict[str, Any]] | None = None, triton: bool = True) -> None:
        self.inputs, self.triton = inputs or [IDS], triton
        self.requests = 0

    async def __call__(self, request: Request) -> bytes:
        if request.path == "/v2":
            extensions = ["binary_tensor_data", "statistics"] if self.triton else []
            return answer({"name": "triton", "version": "2.51.0", "extensions": extensions})
        if request.path == "/v2/models/m":
            return answer({"name": "m", "platform": "python", "inputs": self.inputs, "outputs": []})
        if request.path == "/v2/models/m/config" and self.triton:
            return answer(self.config())
        if request.path == "/v2/models/m/stats" and self.triton:
            return answer(self.statistics())
        if request.path == "/v2/models/m/infer":
            self.requests += 1
            return answer({"outputs": []})
        return answer({"error": "not found"}, status=404)

    def config(self) -> dict[str, Any]:
        return {
            "max_batch_size": 8,
            "backend": "python",
            "instance_group": [{"kind": "KIND_GPU", "count": 2, "gpus": [0]}],
            "dynamic_batching": {"preferred_batch_size": [4, 8], "max_queue_delay_microseconds": 2500},
        }

    def statistics(self) -> dict[str, Any]:
        """Every fifth request came alone, the others in fours."""
        fives = self.requests // 5
        alone, in_fours = fives, fives
        requests = alone + 4 * in_fours
        times = {
            "success": counted(requests, requests * 5_000_000),
            "fail": counted(0, 0),
            "queue": counted(requests, requests * 2_000_000),
            "compute_input": counted(requests, requests * 100_000),
            "compute_infer": counted(requests, alone * 1_000_000 + 4 * in_fours * 2_000_000),
            "compute_output": counted(requests, requests * 200_000),
        }
        batches = [
            {
                "batch_size": size,
                "compute_input": counted(count, count * 100_000),
                "compute_infer": counted(count, count * ns),
                "compute_output": counted(count, count * 200_000),
            }
            for size, count, ns in ((1, alone, 1_000_000), (4, in_fours, 2_000_000))
        ]
        model = {
            "name": "m",
            "version": "1",
            "inference_count": requests,
            "execution_count": alone + in_fours,
            "inference_stats": times,
            "batch_stats": batches,
        }
        return {"model_stats": [model]}


def measured_at(answering: Answering, **changes: Any) -> tuple[Observations, list[Request]]:
    given: dict[str, Any] = {
        "body": "kserve",
        "model": "m",
        "concurrencies": (4,),
        "max_requests": 200,
        "warm_up": 4,
        "duration_s": 20.0,
    }
    with fake_service(answering) as service:
        settings = EndpointSettings(url=f"http://127.0.0.1:{service.port}", **(given | changes))
        return measure_endpoint(settings), service.requests


def test_triton_tells_its_batching_its_parts_and_its_batches() -> None:
    measured, _ = measured_at(Triton())
    (row,) = measured.rows
    assert (8, 2, 2.5) == (row.max_batch_size, row.model_instances, row.notes["max_queue_delay_ms"])
    assert (2.5, True) == (row.batch, row.merged)
    assert {"queue": 2.0, "input": 0.1, "output": 0.2} == {
        part: row.parts_ms[part] for part in ("queue", "input", "output")
    }
    assert row.parts_ms["compute"] == pytest.approx((1 + 4 * 2) / 5)
    assert row.parts_ms["network"] == max(row.latency_ms["mean"] - 5.0, 0.0)
    assert ("m", "triton 2.51.0", "python") == tuple(measured.provenance[key] for key in ("model", "server", "runtime"))
    assert {"preferred_batch_sizes": [4, 8]} == measured.notes


def test_what_triton_executed_is_a_curve_of_the_device() -> None:
    measured, _ = measured_at(Triton())
    executions = executions_of(measured)
    assert executions is not None
    assert "device" == executions.scope
    found = {row.batch: (row.requests, row.latency_ms["mean"], row.parts_ms["compute"]) for row in executions.rows}
    assert {1.0: (40, pytest.approx(1.3), 1.0), 4.0: (40, pytest.approx(2.3), 2.0)} == found
    assert () == executions.warnings


def test_everything_that_a_fit_needs_is_measured_at_once() -> None:
    from calibration.fit import fit_profile

    with fake_service(Triton()) as service:
        url = f"http://127.0.0.1:{service.port}/v2/models/m"
        settings = EndpointSettings(url=url, null_url=url, body="kserve", duration_s=20.0, max_requests=200, warm_up=4)
        served = measure_server(settings)
    assert [1, 64] == [row.concurrency for row in served.clients.rows]
    assert served.null_model is not None
    assert {1, 8, 64} >= {row.concurrency for row in served.null_model.rows}
    assert ["device", "server"] == [one.scope for one in served.measured]
    model = fit_profile(served.measured, null_model=served.null_model).service_model
    assert model is not None
    assert (1, 4) == model.valid_range


def test_batch_sizes_that_were_rare_are_left_out_of_the_curve() -> None:
    note = {"batch": [1, 2], "count": [500, 3], "input_ms": [0, 0], "compute_ms": [5.0, 90.0], "output_ms": [0, 0]}
    rows = (Observation(notes={"executions": note}), Observation(notes={"executions": note}))
    executions = executions_of(Observations(rows=rows, scope="server"))
    assert executions is not None
    assert [(1, 1000)] == [(row.batch, row.requests) for row in executions.rows]
    assert "fewer than 30 batches of 2: they are left out" in executions.warnings[0]


def test_a_server_without_statistics_has_no_curve() -> None:
    measured, _ = measured_at(Triton(triton=False))
    (row,) = measured.rows
    assert ({}, None, 1.0, False) == (dict(row.parts_ms), row.max_batch_size, row.batch, row.merged)
    assert executions_of(measured) is None


def test_statistics_count_from_one_look_to_the_next() -> None:
    before = ModelStatistics(10, 10, 5, {"queue": 100}, {2: {"count": 5, "compute": 50}})
    after = ModelStatistics(30, 30, 10, {"queue": 400}, {2: {"count": 7, "compute": 80}, 8: {"count": 3, "compute": 9}})
    since = after.since(before)
    assert (20, 4.0, {"queue": 300}) == (since.requests, since.mean_batch, since.total_ns)
    assert {2: {"count": 2, "compute": 30}, 8: {"count": 3, "compute": 9}} == since.by_batch


@pytest.mark.parametrize("body", [b"", b"[]", b'{"model_stats": []}', b'{"model_stats": [{"inference_stats": {}}]}'])
def test_what_are_no_statistics_are_none(body: bytes) -> None:
    assert read_statistics(body) is None


def test_tensors_go_as_bytes_where_the_server_takes_them() -> None:
    _, requests = measured_at(Triton(inputs=[IDS, MASK]), inputs={"mask": "2x3"}, batches=(2,), max_requests=8)
    request = [each for each in requests if each.path.endswith("/infer")][-1]
    length = int(request.headers["inference-header-content-length"])
    head, raw = json.loads(request.body[:length]), request.body[length:]
    ids, mask = head["inputs"]
    assert ("ids", [2, 4], "INT64", 64) == (*[*ids.values()][:3], ids["parameters"]["binary_data_size"])
    assert ("mask", [2, 2, 3], "FP32", 48) == (*[*mask.values()][:3], mask["parameters"]["binary_data_size"])
    assert 64 + 48 == len(raw)
    drawn = np.frombuffer(raw[:64], "<i8")
    assert ((drawn >= 0) & (drawn < 100)).all()


def test_tensors_go_as_json_where_it_does_not() -> None:
    inputs = [IDS, {"name": "text", "datatype": "BYTES", "shape": [-1]}]
    _, requests = measured_at(Triton(inputs=inputs, triton=False), batches=(3,), max_requests=4)
    body = json.loads([each for each in requests if each.path.endswith("/infer")][-1].body)
    ids, text = body["inputs"]
    assert ([3, 4], 12) == (ids["shape"], len(ids["data"]))
    assert ([3], 3, True) == (text["shape"], len(text["data"]), all(isinstance(word, str) for word in text["data"]))


@pytest.mark.parametrize(
    ("inputs", "given", "said"),
    [
        ([MASK], {}, "the model leaves the shape of mask open, got 2x?. Give it: --input mask=2x128."),
        ([MASK], {"mask": "3x4"}, "must fit the shape of mask, 2x?, got 3x4"),
        ([MASK], {"mask": "wide"}, "must be a shape for mask, got wide"),
        ([IDS], {"id": "4"}, "must name an input of the model, got id. It has ids."),
        ([{**IDS, "datatype": "BF16"}], {}, "cannot be made for ids: unknown datatype, got BF16"),
    ],
)
def test_inputs_that_cannot_be_made_are_explained(
    inputs: list[dict[str, Any]], given: dict[str, str], said: str
) -> None:
    with pytest.raises(InputError) as error:
        measured_at(Triton(inputs=inputs), inputs=given)
    assert said in str(error.value)


def test_a_model_that_is_not_there_is_named() -> None:
    with pytest.raises(InputError) as error:
        measured_at(Triton(), model="other")
    assert "what it knows of the model at /v2/models/other" in str(error.value)
    assert 'HTTP 404: {"error": "not found"}' in str(error.value)


def test_a_model_without_a_batch_takes_one_item() -> None:
    with pytest.raises(InputError, match="the model's inputs have no batch"):
        measured_at(Triton(inputs=[{**IDS, "shape": [4]}], triton=False), batches=(1, 2))


def test_the_models_name_may_stand_in_the_address() -> None:
    server = Triton()
    with fake_service(server) as service:
        url = f"http://127.0.0.1:{service.port}/v2/models/m"
        measure_endpoint(EndpointSettings(url=url, body="kserve", concurrencies=(1,), max_requests=3))
        paths = {request.path for request in service.requests}
    assert {"/v2", "/v2/models/m", "/v2/models/m/config", "/v2/models/m/stats", "/v2/models/m/infer"} == paths


# --- OpenAI-compatible ----------------------------------------------------------------------------------------------


def events(*contents: dict[str, Any] | str) -> list[bytes]:
    return [
        b"data: " + (one if isinstance(one, str) else json.dumps(one)).encode() + b"\n\n"
        for one in (*contents, "[DONE]")
    ]


def streamed(pieces: list[tuple[int, bytes]], content_type: str = "text/event-stream") -> Answer:
    """An answer whose pieces came at these times."""
    lengths = np.cumsum([len(piece) for _, piece in pieces]).tolist()
    arrived = tuple((at, length) for (at, _), length in zip(pieces, lengths, strict=True))
    body = b"".join(piece for _, piece in pieces)
    return Answer(200, {"content-type": content_type}, body, pieces[-1][0], arrived)


def text(word: str) -> dict[str, Any]:
    return {"choices": [{"text": word}]}


def test_times_of_tokens_are_those_of_their_pieces() -> None:
    usage = {"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 5}}
    first, second, third, last, done = events({"choices": [{"text": ""}]}, text("a"), text("b"), text("c"), usage)[:5]
    at_ms = [(1, first), (20, second), (24, third + last), (30, done)]
    times = token_times(streamed([(at * 1_000_000, piece) for at, piece in at_ms]))
    assert times is not None
    assert (5, 7) == (times.output_tokens, times.prompt_tokens)
    assert 15.0 == times.ttft_ms(due_ns=5_000_000)
    assert (4.0, 0.0) == times.itl_ms
    assert 4.0 / 4 == times.tpot_ms


def test_an_event_cut_in_two_came_with_its_second_half() -> None:
    one, other = events(text("a"), text("b"))[:2]
    times = token_times(streamed([(10, one[:9]), (20, one[9:] + other[:-9]), (30, other[-9:])]))
    assert times is not None
    assert (20, 30) == times.arrived_ns


@pytest.mark.parametrize(
    "choice",
    [{"delta": {"content": "a"}}, {"delta": {"reasoning_content": "a"}}, {"message": {"content": "a"}}, {"text": "a"}],
)
def test_a_token_is_found_wherever_a_server_puts_it(choice: dict[str, Any]) -> None:
    times = token_times(streamed([(10, events({"choices": [choice]})[0])]))
    assert times is not None
    assert (1, None) == (times.output_tokens, times.tpot_ms)


def test_an_answer_that_comes_at_once_tells_no_time_per_token() -> None:
    """Nine tokens in no time would make the server the fastest there is."""
    body = json.dumps({**text("all of it"), "usage": {"completion_tokens": 9}}).encode()
    times = token_times(streamed([(1, body[:4]), (50, body[4:])], "application/json"))
    assert times is not None
    assert ((50,), 9, None) == (times.arrived_ns, times.output_tokens, times.tpot_ms)


def llm(check: Callable[[dict[str, Any]], bytes | None], *, streams: bool = True, tokens: int = 3) -> Answering:
    async def answering(request: Request) -> bytes | list[bytes]:
        refused = check(json.loads(request.body))
        if refused is not None:
            return refused
        pieces = events(*(text(f"t{index} ") for index in range(tokens)))
        whole = answer(b"".join(pieces), headers="Content-Type: text/event-stream\r\n")
        head = whole[: -sum(map(len, pieces))]
        return [head + pieces[0], *pieces[1:]] if streams else whole

    return answering


def test_an_llm_is_profiled_token_by_token() -> None:
    settings = {"body": "openai-completions", "prompt_tokens": 5, "output_tokens": 3, "max_requests": 40}
    measured, requests = measured_at(llm(lambda _: None), **settings)
    (row,) = measured.rows
    assert (40, 3.0) == (row.requests, row.output_tokens)
    assert row.ttft_ms["p50"] <= row.latency_ms["p50"]
    assert {"p50", "p99"} <= row.itl_ms.keys() & row.tpot_ms.keys()
    assert measured.of_llm
    assert not any("came whole" in words for words in measured.warnings)
    asked = [json.loads(request.body) for request in requests]
    assert {"/v1/completions"} == {request.path for request in requests}
    assert {("m", 3, True, True)} == {
        (one["model"], one["max_tokens"], one["stream"], one["ignore_eos"]) for one in asked
    }
    assert {5} == {len(one["prompt"].split()) for one in asked}
    assert len({one["prompt"] for one in asked}) > 20  # a server that remembers prompts must not know them all


def test_an_llm_that_does_not_stream_is_said_not_to() -> None:
    measured, _ = measured_at(llm(lambda _: None, streams=False), body="openai-completions", max_requests=8)
    said = "; ".join(measured.warnings)
    assert "8 of 8 answers came whole, not token by token: TTFT is their latency" in said
    assert {} == measured.rows[0].tpot_ms


def test_a_server_that_refuses_extensions_is_asked_without_them() -> None:
    def strict(body: dict[str, Any]) -> bytes | None:
        return answer("unknown key ignore_eos", status=400) if "ignore_eos" in body else None

    measured, requests = measured_at(llm(strict), body="openai-chat", max_requests=10)
    assert (10, 0) == (measured.rows[0].requests, measured.rows[0].failed)
    last = json.loads(requests[-1].body)
    assert ({"/v1/chat/completions"}, "user") == ({each.path for each in requests}, last["messages"][0]["role"])


@pytest.mark.parametrize(
    ("said", "quoted"),
    [
        (b'data: {"error": {"message": "overloaded"}}\n\n', "the stream holds an error"),
        (b"data: [DONE]\n\n", "the answer holds no token"),
    ],
)
def test_a_stream_without_tokens_is_a_failure(said: bytes, quoted: str) -> None:
    """It ends well by its HTTP status: counted as an answer, it would be the fastest of all."""
    with pytest.raises(InputError, match=quoted):
        measured_at(llm(lambda _: answer(said)), body="openai-completions")
