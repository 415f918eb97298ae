"""``calibrate measure --url``: a service that stands, profiled from the command line."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from calibration.commands.measuring import measure
from calibration.profile_file import read_profile_file
from calibration.profile_writer import observations_in
from calibration.store import partial_path
from tests.calibration.fake_service import Request, answer, fake_service
from tests.calibration.one_command import run


async def well(request: Request) -> bytes:
    await asyncio.sleep(0.001 if request.path == "/infer" else 0.0)
    return answer({"fine": True})


@pytest.fixture
def body(tmp_path: Path) -> Path:
    file = tmp_path / "body.json"
    file.write_text('{"texts": {"repeat": "hello"}}')
    return file


def test_a_service_becomes_a_profile(tmp_path: Path, body: Path) -> None:
    out, kept = tmp_path / "service.json", tmp_path / "requests.csv"
    quick = ["--duration", "500ms", "--warm-up", "2", "--max-requests", "30"]
    with fake_service(well) as service:
        null_url = service.url.replace("/infer", "/null")
        options = ["--url", service.url, "--null-url", null_url, "--body-file", body, "--rate", "50", "-o", out]
        secret = ["--header", "Authorization: Bearer secret", "--keep-requests", kept]
        ran = run(measure, *options, *quick, *secret, "--concurrency", "1,4", "--json")
    assert (0, "") == (ran.code, "" if ran.code == 0 else ran.err)
    (told,) = ran.json()["profiles"]
    assert [1, 4, None] == told["measured"]["concurrency"]
    file = read_profile_file(out)
    clients = [one for one in observations_in(file) if one.scope == "server"]
    assert [(1, None), (4, None), (None, 50.0)] == [(row.concurrency, row.rate_rps) for row in clients[0].rows]
    assert service.url == file.provenance["url"]
    assert "secret" not in out.read_text() + ran.out + ran.err
    assert kept.read_text().startswith("rate_rps,concurrency,items,scheduled_s,latency_ms,status\n")
    assert not partial_path(out).exists()


def test_a_service_that_answers_nothing_well_is_quoted(tmp_path: Path, body: Path) -> None:
    async def badly(request: Request) -> bytes:  # noqa: ARG001
        return answer({"detail": "model is loading"}, status=503)

    out = tmp_path / "service.json"
    with fake_service(badly) as service:
        ran = run(measure, "--url", service.url, "--body-file", body, "-o", out)
    assert (2, False) == (ran.code, out.exists())
    assert 'HTTP 503: {"detail": "model is loading"}' in ran.err


def test_a_load_that_fails_leaves_a_profile_of_the_others(tmp_path: Path, body: Path) -> None:
    out = tmp_path / "service.json"
    options = ["--body-file", body, "-o", out, "--max-requests", "3", "--warm-up", "0", "--json"]

    async def one_at_most(request: Request) -> bytes:
        return answer({}) if len(json.loads(request.body)["texts"]) < 2 else b""

    with fake_service(one_at_most) as service:
        ran = run(measure, "--url", service.url, *options, "--concurrency", "1", "--batch", "1,2")
    assert 0 == ran.code
    assert any("of 2 items" in words for words in ran.json()["profiles"][0]["warnings"])
    assert [1] == ran.json()["profiles"][0]["measured"]["batch"]
