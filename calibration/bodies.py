"""What is sent to a service that takes JSON, and what its answers mean: the part that differs from server to server.

KServe v2: :mod:`calibration.kserve`. OpenAI-compatible services: :mod:`calibration.token_stream`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from calibration.endpoint_settings import option_problem
from calibration.http_connection import request_bytes, target_of
from calibration.problems import InputError, Problem
from calibration.source import file_problem, printable

if TYPE_CHECKING:
    from calibration.endpoint_settings import EndpointSettings
    from calibration.http_connection import Answer, Target

_JSON: Final = {"Content-Type": "application/json", "Accept": "application/json"}

_SHOWN: Final = 200
"""Letters of a server's complaint that are quoted."""


def complaint_of(answer: Answer) -> str:
    """What is wrong with this answer? Nothing when it is empty.

    >>> from calibration.http_connection import Answer
    >>> complaint_of(Answer(status=503, body=b"no  free worker"))
    'HTTP 503: no free worker'
    """
    if answer.error:
        return answer.error
    if 200 <= answer.status < 300:
        return ""
    said = " ".join(answer.body.decode("utf-8", "replace").split())
    quoted = said if len(said) <= _SHOWN else said[:_SHOWN] + "..."
    return f"HTTP {answer.status}" + (f": {quoted}" if quoted else "")


@dataclass(frozen=True, kw_only=True)
class Service:
    """A model behind an address: how to ask it, how to read its answers, and what it told of itself."""

    target: Target
    """Where the server is; its path is that of a request."""
    requests: Callable[[int], Sequence[bytes]]
    """Whole HTTP requests of so many items each, to be sent in turn."""
    complaint: Callable[[Answer], str] = complaint_of
    """What is wrong with an answer; nothing when it is empty."""
    streams: bool = False
    """Whether answers come token by token."""
    plainer: Service | None = None
    """How to ask a server that refuses what some understand and others do not."""
    statistics_path: str | None = None
    """Where the server's own statistics of the model are read, if it keeps any."""
    provenance: Mapping[str, Any] = field(default_factory=dict)
    """``server``, ``model``, ``versions`` as the server tells them."""
    max_batch_size: int | None = None
    max_queue_delay_ms: float | None = None
    model_instances: int | None = None
    notes: Mapping[str, Any] = field(default_factory=dict)
    """What else the server told of the model."""


def json_service(settings: EndpointSettings) -> Service:
    """A service that takes the JSON of ``--body-file``.

    Raises
    ------
    InputError
        When the file cannot be used.
    """
    assert settings.body_file is not None
    text = _text_of(settings.body_file)
    target = target_of(settings.url)
    headers = {**_JSON, **settings.headers}

    def requests(batch: int) -> tuple[bytes, ...]:
        body = json_body(text, batch, settings.body_file or "")
        return (request_bytes(target, json.dumps(body).encode(), headers),)

    first = {batch: requests(batch) for batch in settings.batches}
    if len(set(first.values())) < len(first):
        rule, given = "needs a body that grows with it", ",".join(map(str, settings.batches))
        remedy = 'Write {"repeat": ITEM} in the body file where a list of items belongs, or {batch} for their number.'
        raise InputError([option_problem("--batch", rule, given, remedy)])
    return Service(target=target, requests=requests)


def json_body(text: str, batch: int, file: str | Path = "") -> Any:
    """Which JSON does this template give for so many items?

    ``{batch}`` becomes their number, and every ``{"repeat": ITEM}`` a list of so many copies of ITEM.

    >>> json_body('{"texts": {"repeat": "hello"}, "n": {batch}}', 2)
    {'texts': ['hello', 'hello'], 'n': 2}

    Raises
    ------
    InputError
        When what comes out is no JSON.
    """
    try:
        content = json.loads(text.replace("{batch}", str(batch)))
    except ValueError as error:
        line, column = getattr(error, "lineno", None), getattr(error, "colno", None)
        rule = "must be JSON once {batch} is a number"
        raise InputError([Problem(printable(file), line, column, "", rule, None, "Check the body file.")]) from None
    return _repeated(content, batch)


def _repeated(content: Any, batch: int) -> Any:
    if isinstance(content, dict):
        if list(content) == ["repeat"]:
            return [_repeated(content["repeat"], batch)] * batch
        return {key: _repeated(value, batch) for key, value in content.items()}
    return [_repeated(value, batch) for value in content] if isinstance(content, list) else content


def _text_of(path: Path) -> str:
    fault = file_problem(path)
    if fault is not None:
        raise InputError([option_problem("--body-file", fault[0], printable(path), fault[1])])
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise InputError(
            [option_problem("--body-file", "must be UTF-8 text", printable(path), "Save it so.")]
        ) from None
